"""The mock without a socket: httpx transports, a respx route, an ASGI app. All tell the same story."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import respx

from wireproof.clock import Clock, RealClock, ScaledClock, SteppedClock
from wireproof.mock.answer import MOST_DRIPS, Answer, Delivery, pieces, real_wait
from wireproof.mock.asgi import Message, MockApp
from wireproof.mock.framing import Limits
from wireproof.mock.route import async_side_effect, route, side_effect
from wireproof.mock.socket import serving
from wireproof.mock.transport import AsyncEngineTransport, EngineTransport
from wireproof.model import Call, Reply

URL = "http://mock.example"
BODY = b"0123456789"


@dataclass
class Always:
    """An engine that gives one answer, and keeps what it was asked."""

    given: Answer
    calls: list[tuple[Call, float]] = field(default_factory=list)

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        self.calls.append((call, now))
        return self.given


def always(
    delivery: Delivery = Delivery(),  # noqa: B008 - a frozen value
    *,
    after: float = 0.0,
    status: int = 200,
    effects: tuple[object, ...] = (),
) -> Always:
    reply = Reply(status, (("content-type", "text/plain"), ("x-two", "a"), ("x-two", "b")), BODY)
    return Always(Answer(reply, after=after, delivery=delivery, effects=effects))


Way = Callable[[Always, Clock, str, float], httpx.Response]
"""Engine, clock, method, the client's time-out -> what a client gets of the mock, or raises."""


def by_socket(engine: Always, clock: Clock, method: str, timeout: float) -> httpx.Response:
    with serving(engine, clock=clock) as url:
        return httpx.request(method, url, timeout=timeout)


def by_transport(engine: Always, clock: Clock, method: str, timeout: float) -> httpx.Response:
    with httpx.Client(transport=EngineTransport(engine, clock=clock), timeout=timeout) as client:
        return client.request(method, URL)


def by_async_transport(engine: Always, clock: Clock, method: str, timeout: float) -> httpx.Response:
    async def story() -> httpx.Response:
        transport = AsyncEngineTransport(engine, clock=clock)
        async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:
            return await client.request(method, URL)

    return asyncio.run(story())


def by_route(engine: Always, clock: Clock, method: str, timeout: float) -> httpx.Response:
    with respx.mock() as router:
        route(router, URL, engine, clock=clock)
        return httpx.request(method, URL, timeout=timeout)


WAYS: dict[str, Way] = {
    "socket": by_socket,
    "transport": by_transport,
    "async transport": by_async_transport,
    "route": by_route,
}
way = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)


@way
def test_a_whole_reply_arrives_whole(ask: Way) -> None:
    reply = ask(always(), SteppedClock(), "GET", 5.0)
    assert (reply.status_code, reply.content) == (200, BODY)
    assert reply.headers.get_list("x-two") == ["a", "b"]
    assert reply.headers["content-length"] == "10"


@way
def test_head_has_the_headers_of_the_body_it_lacks(ask: Way) -> None:
    reply = ask(always(), SteppedClock(), "HEAD", 5.0)
    assert (reply.headers["content-length"], reply.content) == ("10", b"")


@way
def test_a_status_without_a_body_has_none(ask: Way) -> None:
    reply = ask(always(status=204), SteppedClock(), "GET", 5.0)
    assert (reply.content, "content-length" in reply.headers) == (b"", False)


BREAKS = {
    "reset": (Delivery(reset=True), httpx.ReadError),
    "reset in the body": (Delivery(reset=True, cut_after=4), httpx.ReadError),
    "cut": (Delivery(cut_after=4), httpx.RemoteProtocolError),
    "cut at once": (Delivery(cut_after=0), httpx.RemoteProtocolError),
    "cut while dripping": (Delivery(cut_after=4, drip=0.001), httpx.RemoteProtocolError),
    "silence": (Delivery(silence=True), httpx.ReadTimeout),
}


@pytest.mark.parametrize(("delivery", "error"), BREAKS.values(), ids=BREAKS)
@way
def test_a_broken_delivery_breaks_as_on_a_real_socket(
    ask: Way, delivery: Delivery, error: type[httpx.TransportError]
) -> None:
    with pytest.raises(httpx.TransportError) as caught:
        ask(always(delivery), RealClock(), "GET", 0.1)
    assert caught.type is error
    assert caught.value.request.method == "GET"


@way
def test_a_cut_reply_says_how_much_came(ask: Way) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match=r"received 4 bytes, expected 10"):
        ask(always(Delivery(cut_after=4)), SteppedClock(), "GET", 5.0)


@way
def test_a_cut_behind_the_end_does_no_harm(ask: Way) -> None:
    assert ask(always(Delivery(cut_after=10)), SteppedClock(), "GET", 5.0).content == BODY


@way
def test_a_closing_reply_says_so(ask: Way) -> None:
    assert ask(always(Delivery(close=True)), SteppedClock(), "GET", 5.0).headers["connection"] == "close"


@way
def test_waits_move_a_stepped_clock_and_take_no_time(ask: Way) -> None:
    clock = SteppedClock()
    assert ask(always(Delivery(drip=3.0), after=3.0), clock, "GET", 5.0).content == BODY
    assert clock.now() == 3.0 + 9 * 3.0


@way
def test_waits_are_shortened_by_a_scaled_clock(ask: Way) -> None:
    clock, began = ScaledClock(1000.0), time.monotonic()
    assert ask(always(after=60.0), clock, "GET", 5.0).content == BODY
    assert time.monotonic() - began >= 0.06


@way
def test_an_answer_later_than_the_patience_of_the_client_is_a_timeout(ask: Way) -> None:
    with pytest.raises(httpx.ReadTimeout):
        ask(always(after=0.5), RealClock(), "GET", 0.05)


@way
def test_a_drip_slower_than_the_patience_of_the_client_is_a_timeout(ask: Way) -> None:
    with pytest.raises(httpx.ReadTimeout):
        ask(always(Delivery(drip=0.5)), RealClock(), "GET", 0.05)


def test_a_timeout_takes_the_client_its_patience_by_the_clock() -> None:
    clock = SteppedClock()
    with pytest.raises(httpx.ReadTimeout):
        by_transport(always(after=30.0), clock, "GET", 5.0)
    assert clock.now() == 5.0


def test_a_silence_without_a_timeout_does_not_hang() -> None:
    transport = EngineTransport(always(Delivery(silence=True)), clock=RealClock())
    with httpx.Client(transport=transport, timeout=None) as client, pytest.raises(httpx.ReadTimeout):
        client.get(URL)


def test_the_engine_sees_the_call_as_it_would_be_on_the_wire() -> None:
    engine = always()
    with httpx.Client(transport=EngineTransport(engine, clock=SteppedClock(9.0))) as client:
        client.post(f"{URL}/a%20b?c=d#e", json={"x": 1}, headers={"Host": "other.example", "X-Y": "z"})
    ((call, now),) = engine.calls
    assert (call.method, call.url, call.body) == ("POST", "http://other.example/a%20b?c=d", b'{"x":1}')
    assert (call.header("x-y"), now) == ("z", 9.0)


def test_effects_and_exchanges_are_told_even_when_the_reply_breaks() -> None:
    effects: list[object] = []
    exchanges: list[tuple[str, float]] = []
    transport = EngineTransport(
        always(Delivery(reset=True), effects=("hook",)),
        clock=SteppedClock(2.0),
        on_effect=effects.append,
        on_exchange=lambda call, answer, at: exchanges.append((call.method, at)),
    )
    with httpx.Client(transport=transport) as client, pytest.raises(httpx.ReadError):
        client.get(URL)
    assert (effects, exchanges) == (["hook"], [("GET", 2.0)])


# ------------------------------------------------------------------------------------------ respx


def test_a_route_leaves_other_addresses_alone() -> None:
    with respx.mock(assert_all_called=False) as router:
        mine = route(router, f"{URL}/v1", always(), clock=SteppedClock())
        router.get("http://else.example/").respond(418)
        assert httpx.get(f"{URL}/v1/x").status_code == 200
        assert httpx.get("http://else.example/").status_code == 418
    assert mine.call_count == 1


def test_one_side_effect_serves_clients_of_both_kinds() -> None:
    async def story() -> bytes:
        async with httpx.AsyncClient() as client:
            return (await client.get(URL)).content

    with respx.mock() as router:
        router.route().mock(side_effect=side_effect(always(), clock=SteppedClock()))
        assert httpx.get(URL).content == BODY
        assert asyncio.run(story()) == BODY


def test_an_async_side_effect_waits_without_holding_up_others() -> None:
    engine = always(after=0.1)

    async def one(client: httpx.AsyncClient) -> int:
        await client.get(URL)
        return len(engine.calls)

    async def story() -> list[int]:
        async with httpx.AsyncClient() as client:
            return await asyncio.gather(*(one(client) for _ in range(10)))

    with respx.mock() as router:
        router.route().mock(side_effect=async_side_effect(engine, clock=RealClock()))
        assert asyncio.run(story()) == [10] * 10, "all are heard before the first is answered"


# ------------------------------------------------------------------------------------------- ASGI


def drive(app: MockApp, *incoming: Message, **scope: Any) -> list[Message]:
    """What the app sends for one HTTP call, driven as a server would."""
    sent: list[Message] = []
    queue = list(incoming) or [{"type": "http.request", "body": b"", "more_body": False}]
    base = {"type": "http", "method": "GET", "scheme": "http", "path": "/", "raw_path": b"/"}
    base |= {"headers": [(b"host", b"h:1")], "query_string": b"", "server": ("h", 1)}

    async def receive() -> Message:
        return queue.pop(0) if queue else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(base | scope, receive, send))
    return sent


def body_of(sent: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent)


def complete(sent: list[Message]) -> bool:
    return sent[-1].get("more_body") is False


def test_an_asgi_server_gets_a_whole_reply() -> None:
    engine = always()
    chunks = [
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "body": b"b"},
    ]
    sent = drive(MockApp(engine, clock=SteppedClock()), *chunks, method="POST", query_string=b"q=1")
    assert (sent[0]["status"], body_of(sent), complete(sent)) == (200, BODY, True)
    assert (b"content-length", b"10") in sent[0]["headers"]
    call = engine.calls[0][0]
    assert (call.method, call.url, call.body) == ("POST", "http://h:1/?q=1", b"ab")


@pytest.mark.parametrize(
    ("delivery", "arrived"),
    [(Delivery(cut_after=4), b"0123"), (Delivery(reset=True), b""), (Delivery(silence=True), None)],
    ids=["cut", "reset", "silence"],
)
def test_what_an_asgi_app_breaks_off_it_never_completes(delivery: Delivery, arrived: bytes | None) -> None:
    sent = drive(MockApp(always(delivery), clock=SteppedClock()))
    assert (body_of(sent) if sent else None) == arrived
    assert not sent or not complete(sent)


def test_an_asgi_app_drips_in_pieces_and_waits_by_its_clock() -> None:
    clock = SteppedClock()
    sent = drive(MockApp(always(Delivery(drip=2.0), after=1.0), clock=clock))
    assert (body_of(sent), len(sent), clock.now()) == (BODY, 12, 19.0)


def test_an_asgi_app_refuses_what_is_too_large_before_the_engine_sees_it() -> None:
    engine = always()
    app = MockApp(engine, clock=SteppedClock(), limits=Limits(body=3))
    sent = drive(app, {"type": "http.request", "body": b"abcd", "more_body": True})
    assert (sent[0]["status"], engine.calls) == (413, [])


def test_an_asgi_server_can_start_and_stop_it() -> None:
    sent = drive(MockApp(always(), clock=SteppedClock()), {"type": "lifespan.startup"}, type="lifespan")
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_an_asgi_app_turns_websockets_away() -> None:
    sent = drive(MockApp(always(), clock=SteppedClock()), {"type": "websocket.connect"}, type="websocket")
    assert sent == [{"type": "websocket.close"}]


# --------------------------------------------------------------------------------------- delivery


@pytest.mark.parametrize("size", [0, 1, 2, 63, 64, 65, 1000, 1_000_000])
def test_a_body_drips_in_few_pieces_and_loses_nothing(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    parts = pieces(body[:size], Delivery(drip=1.0))
    assert b"".join(parts) == body[:size]
    assert 1 <= len(parts) <= MOST_DRIPS


def test_a_wait_takes_real_time_by_the_scale_of_the_clock() -> None:
    waits = [real_wait(clock, 30.0) for clock in (RealClock(), ScaledClock(10.0), SteppedClock())]
    assert waits == [30.0, 3.0, 0.0]
