"""A host in this process tells a sender what it would have told it over a line, and hears the same."""

from __future__ import annotations

import pytest

from test_mock_transports import BODY, Always
from wireproof.clock import Clock, ScaledClock, SteppedClock
from wireproof.mock.answer import Answer, Delivery
from wireproof.mock.socket import serving
from wireproof.mock.within import Within
from wireproof.model import Call, Reply
from wireproof.probe.sender import Sender, Sent


def told(call: Call, engine: Always, clock: Clock, timeout: float, *, line: bool) -> Sent:
    """What a sender makes of the answer, over a line of this machine or without one."""
    if not line:
        with Sender(through=Within(engine, clock), timeout=timeout) as sender:
            return sender.send(call)
    with serving(engine, clock=clock) as url, Sender(timeout=timeout) as sender:
        return sender.send(Call(call.method, call.url.replace("http://host.example", url), call.headers, call.body))


def plain(sent: Sent) -> tuple[object, ...]:
    """What does not hang on who said it: our socket leaves the date out, which gates in front of hosts add."""
    if sent.reply is None:
        return (sent.broke,)
    headers = {name: value for name, value in sent.reply.headers if name not in ("connection", "date")}
    return (sent.reply.status, headers, sent.reply.body)


ANSWERS = {
    "whole": Answer(Reply(200, (("content-type", "text/plain"),), BODY)),
    "empty": Answer(Reply(204, (), b"")),
    "late": Answer(Reply(200, (), BODY), after=30.0),
    "dripped": Answer(Reply(200, (), BODY), delivery=Delivery(drip=1.0)),
    "cut": Answer(Reply(200, (), BODY), delivery=Delivery(cut_after=4)),
    "cut at once": Answer(Reply(200, (), BODY), delivery=Delivery(cut_after=0)),
    "cut behind the end": Answer(Reply(200, (), BODY), delivery=Delivery(cut_after=10)),
    "reset": Answer(Reply(200, (), BODY), delivery=Delivery(reset=True)),
    "reset in the body": Answer(Reply(200, (), BODY), delivery=Delivery(reset=True, cut_after=4)),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_what_is_told_is_what_a_line_would_have_told(answer: Answer, method: str) -> None:
    call = Call(method, "http://host.example/a")
    over, within = (told(call, Always(answer), ScaledClock(1000.0), 5.0, line=line) for line in (True, False))
    assert plain(over) == plain(within)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(Reply(200, (), BODY), delivery=Delivery(silence=True)),
        Answer(Reply(200, (), BODY), after=31.0),
        Answer(Reply(200, (), BODY), delivery=Delivery(drip=4.0)),
    ],
    ids=["silent", "late", "slow"],
)
def test_patience_is_for_the_whole_reply_and_passes_by_the_clock(answer: Answer) -> None:
    clock = SteppedClock()
    assert told(Call("GET", "http://host.example/"), Always(answer), clock, 30.0, line=False).broke == "timeout"
    assert clock.now() == 30.0


@pytest.mark.parametrize(
    "call",
    [
        Call("POST", "http://host.example/a b?c=%C3%A4", (("X-Api-Key", "k"), ("content-type", "text/x")), b"body"),
        Call("GET", "http://host.example", (("User-Agent", "mine"),)),
        Call("POST", "http://host.example/empty"),
    ],
)
def test_what_a_host_hears_is_what_a_line_would_have_carried(call: Call) -> None:
    over, within = Always(ANSWERS["whole"]), Always(ANSWERS["whole"])
    told(call, over, SteppedClock(), 5.0, line=True)
    told(call, within, SteppedClock(), 5.0, line=False)

    def heard(engine: Always) -> tuple[object, ...]:
        ((one, _),) = engine.calls
        headers = {name.lower(): value for name, value in one.headers if name.lower() != "host"}
        return (one.method, one.url.partition("//")[2].partition("/")[2], headers, one.body)

    assert heard(over) == heard(within)


@pytest.mark.parametrize("headers", [(("a b", "1"),), (("a", "1\r\nx: 2"),)])
def test_what_cannot_stand_in_a_request_is_not_heard(headers: tuple[tuple[str, str], ...]) -> None:
    engine = Always(ANSWERS["whole"])
    for call in (Call("GET", "http://host.example/", headers), Call("GET", "ftp://host.example/")):
        assert told(call, engine, SteppedClock(), 5.0, line=False).broke == "refused"
    assert engine.calls == []
