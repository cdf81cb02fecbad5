"""How a run is carried out: a host that asks for patience gets it, and links and files are followed where they lead."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from wireproof import conform
from wireproof.check.trace import Reader
from wireproof.clock import SteppedClock
from wireproof.conform import Target
from wireproof.conform.judging import nothing_heard
from wireproof.conform.staging import within
from wireproof.model import FOLLOWED, ONCE_MORE, Call, Credential, Does, Endpoint, Exchange, Reply, Severity
from wireproof.probe import stories
from wireproof.probe.driver import MOST_WAIT, Bounds, Driver, Stopped, Want
from wireproof.probe.sender import Sent
from wireproof.spec.load import resolve

JSON = (("content-type", "application/json"),)


@dataclass
class Line:
    """A sender that answers by a function of the call and of how many there were before."""

    answer: Callable[[Call, int], Reply]
    calls: list[Call] = field(default_factory=list)
    timeout: float = 30.0

    def send(self, call: Call, *, timeout: float | None = None, free: bool = False) -> Sent:
        self.calls.append(call)
        return Sent(self.answer(call, len(self.calls)), None)


def want(url: str = "http://h.example/", **more: bool) -> Want:
    return Want(call=Call("POST", url), at=0.0, operation="submit", **more)


def in_turn(*answers: Reply) -> Callable[[Call, int], Reply]:
    return lambda _, number: answers[number - 1]


def busy(headers: tuple[tuple[str, str], ...], times: int) -> Callable[[Call, int], Reply]:
    return lambda _, number: Reply(429, headers, b"") if number <= times else Reply(200, (), b"")


@pytest.mark.parametrize(
    ("told", "waited"),
    [("3", 3.0), ("", 0.5), ("nan", 0.5), ("-4", 0.5), ("soon", 0.5)],
)
def test_a_call_that_comes_too_fast_is_made_again_when_it_may_come(told: str, waited: float) -> None:
    line, clock = Line(busy((("retry-after", told),), 1)), SteppedClock()
    driver = Driver(line, clock)
    exchange = driver.ask(want(paid=True))
    assert exchange.reply is not None
    assert (exchange.reply.status, len(driver.exchanges), driver.jobs) == (200, 2, 1)
    assert driver.exchanges[1].at - driver.exchanges[0].at == pytest.approx(waited, abs=0.06)


def test_nobody_waits_for_ever_and_not_for_trouble_that_was_asked_for() -> None:
    for line, wanted, calls in (
        (Line(busy((), 99)), want(), 5),
        (Line(busy((("retry-after", str(MOST_WAIT + 1)),), 99)), want(), 1),
        (Line(busy((), 99)), want(provoked=True), 1),
    ):
        Driver(line, SteppedClock()).ask(wanted)
        assert len(line.calls) == calls


def test_a_host_that_was_too_slow_once_is_gone_about_more_slowly() -> None:
    driver = Driver(Line(busy((("retry-after", "1"),), 1)), SteppedClock())
    for _ in range(60):
        driver.ask(want())
    gaps = [b.at - a.at for a, b in pairwise(driver.exchanges[2:])]
    assert 0.04 < gaps[0] < 0.05
    assert gaps == sorted(gaps, reverse=True), "by and by it is asked as fast as before"
    assert gaps[-1] < 0.005


def test_a_free_call_that_meets_a_server_error_is_made_once_more() -> None:
    bad, good = told(503, {}), told(200, {})
    driver = Driver(Line(in_turn(bad, good, bad, bad)), SteppedClock())
    probe = replace(want(), paid=False, purpose="a question")
    assert driver.ask(probe).reply == good
    assert driver.ask(probe).reply == bad, "twice is no bad moment"
    assert [one.purpose for one in driver.exchanges] == ["a question", f"a question{ONCE_MORE}"] * 2


def test_a_call_that_may_start_a_job_is_made_once_more_only_where_nothing_is_paid() -> None:
    forbidden = replace(want(), paid=True, job=None, purpose="invalid: width")
    for repeats, calls in ((False, 1), (True, 2)):
        driver = Driver(Line(in_turn(told(500, {}), told(500, {}))), SteppedClock(), repeats=repeats)
        driver.ask(forbidden)
        assert len(driver.exchanges) == calls
    driver = Driver(Line(in_turn(told(500, {}), told(500, {}))), SteppedClock(), repeats=True)
    driver.ask(replace(forbidden, job="first-1"))
    assert len(driver.exchanges) == 1, "a dialogue about a job has its own way"


def test_waiting_ends_with_the_time_of_the_run() -> None:
    driver = Driver(Line(busy((("retry-after", "5"),), 9)), SteppedClock(), Bounds(seconds=3.0))
    with pytest.raises(Stopped, match="--max-time 3"):
        driver.ask(want())


# ------------------------------------------------------------------------------------ where files lead


def stage(base: str = "http://127.0.0.1:9") -> stories.Stage:
    [endpoint] = resolve("pixeldojo/p-image-edit")
    return conform.stage_for(endpoint, Target(base=base, key="pd_0123456789"), SteppedClock(), 1)


def fetched(answers: dict[str, Reply]) -> list[str]:
    """The addresses that are asked for one after the other for the first of them."""
    line = Line(lambda call, _: answers[call.url])
    Driver(line, SteppedClock()).run([stories.fetched(stage(), next(iter(answers)), "job", 0, "output 0")])
    assert all(call.header("authorization") is None for call in line.calls)
    return [call.url.removeprefix("http://127.0.0.1:9") for call in line.calls]


def moved(to: str, status: int = 302) -> Reply:
    return Reply(status, (("location", to),), b"")


def test_a_picture_is_followed_to_where_its_store_leads_and_not_to_strangers() -> None:
    base, png = "http://127.0.0.1:9", Reply(200, (), b"png")
    assert fetched({f"{base}/a": moved("/b"), f"{base}/b": moved(f"{base}/c", 307), f"{base}/c": png}) == [
        "/a",
        "/b",
        "/c",
    ]
    assert fetched({f"{base}/a": moved("https://evil.example/b")}) == ["/a"]
    assert fetched({f"{base}/a": moved("http://[::1")}) == ["/a"]
    assert fetched({f"{base}/a": Reply(304, (), b"")}) == ["/a"]
    assert fetched({f"{base}/a": moved("/a")}) == ["/a"] * (1 + stories.MOST_HOPS)


# -------------------------------------------------------------------------------- what a verdict needs


def spoken(endpoint: Endpoint, talk: list[tuple[str, str, Reply]]) -> tuple[Exchange, ...]:
    """Exchanges about one job: operation, path, reply."""
    base = endpoint.provider.servers["api"].url
    body = json.dumps({"prompt": "a boat", "images": ["https://a.example/1.png"]}).encode()
    return tuple(
        Exchange(
            seq=seq,
            call=Call(
                "POST" if operation == "submit" else "GET",
                path if path.startswith("http") else f"{base}{path}",
                (("authorization", "Bearer pd_0123456789"), *JSON),
                body if operation == "submit" else b"",
            ),
            reply=reply,
            operation=operation,
            job="job",
            at=float(seq),
            credential=Credential.NONE if operation == "media" else Credential.GOOD,
            output=0 if operation == "media" else None,
        )
        for seq, (operation, path, reply) in enumerate(talk, 1)
    )


def told(status: int, body: object) -> Reply:
    return Reply(status, JSON, json.dumps(body).encode())


def state(word: str, **more: object) -> Reply:
    return told(
        200,
        {"jobId": "job_abcdef", "status": word, "creditCost": 0.25, "expiresAt": "2030-01-01T00:00:00Z", **more},
    )


ACCEPTED = told(
    202,
    {
        "jobId": "job_abcdef",
        "status": "pending",
        "statusUrl": "https://pixeldojo.ai/q/7/s",
        "creditCost": 0.25,
        "creditsRemaining": 9.75,
        "expiresAt": "2030-01-01T00:00:00Z",
    },
)
RUN = "/api/v1/models/p-image-edit/run"


def keys(endpoint: Endpoint, talk: list[tuple[str, str, Reply]]) -> set[str]:
    found = conform.verdict(endpoint, spoken(endpoint, talk)).findings
    return {f"{one.check} {one.severity.value}" for one in found}


def test_what_stands_behind_a_link_is_judged_wherever_it_leads() -> None:
    """A host may hand out any address; a state that goes back there is a state that goes back."""
    [endpoint] = resolve("pixeldojo/p-image-edit")
    link = "https://pixeldojo.ai/q/7/s"
    talk = [("submit", RUN, ACCEPTED), ("status", link, state("completed")), ("status", link, state("pending"))]
    assert "JOB002 violation" in keys(endpoint, talk)
    gone = [*talk[:2], ("status", link, told(404, {"error": {"message": "no"}}))]
    assert any(key.startswith("JOB008") for key in keys(endpoint, gone))


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([told(429, {"error": {"message": "busy"}})], "no job was accepted"),
        ([ACCEPTED, state("pending"), state("processing")], "none of 1 accepted jobs was seen to end"),
        (
            [ACCEPTED, state("completed", output={"images": ["https://pixeldojo.ai/1.png"]}), Reply(404, (), b"")],
            "none of 1 pictures could be fetched",
        ),
    ],
)
def test_a_run_that_heard_nothing_says_so(answers: list[Reply], says: str) -> None:
    [endpoint] = resolve("pixeldojo/p-image-edit")
    places = [("submit", RUN), ("status", "/api/v1/jobs/job_abcdef"), ("status", "/api/v1/jobs/job_abcdef")]
    if len(answers) == 3 and answers[2].status == 404:
        places[2] = ("media", "https://pixeldojo.ai/1.png")
    talk = [(*place, reply) for place, reply in zip(places, answers, strict=False)]
    trace = Reader(endpoint).read(spoken(endpoint, talk))
    assert says in nothing_heard(trace)


@pytest.mark.parametrize(
    "link", ["http://[::1", "http://h.example:999999/x", "http://h:x/", "//", "\x00", "http://a b/"]
)
def test_no_address_of_a_host_brings_a_run_down(link: str) -> None:
    [endpoint] = resolve("pixeldojo/p-image-edit")
    accepted = json.loads(ACCEPTED.body)
    done = state("completed", output={"images": [link]})
    talk = [("submit", RUN, told(202, {**accepted, "statusUrl": link})), ("status", "/api/v1/jobs/job_abcdef", done)]
    assert isinstance(keys(endpoint, talk), set)
    place = stage()
    line = Line(lambda call, _: talk[0][2] if call.method == "POST" else done)
    values = {"prompt": "a", "images": ["https://a.example/1.png"]}
    Driver(line, place.clock).run([stories.whole_job(place, "job", values, "valid")])
    assert {call.url.partition("/api")[0] for call in line.calls} == {"http://127.0.0.1:9"}


@pytest.mark.parametrize("depth", [101, 900, 5000])
def test_no_depth_of_a_reply_brings_a_judge_down(depth: int) -> None:
    [endpoint] = resolve("pixeldojo/p-image-edit")
    deep = Reply(200, JSON, b'{"jobId":' + b"[" * depth + b"]" * depth + b"}")
    found = conform.verdict(endpoint, spoken(endpoint, [("submit", RUN, ACCEPTED), ("status", "/api/v1/jobs/j", deep)]))
    assert any("nested deeper" in one.says for one in found.findings)


def test_a_server_error_that_passes_says_nothing_of_a_request_and_one_that_stays_does() -> None:
    [endpoint] = resolve("segmind/p-image")
    for again, severities in ((400, []), (502, [Severity.VIOLATION])):
        found = conform.verdict(endpoint, tuple(_twice(endpoint, 502, again))).findings
        assert [one.severity for one in found if one.check == "RPL004"] == severities


def _twice(endpoint: Endpoint, first: int, again: int) -> Iterator[Exchange]:
    """A forbidden request that is answered with a code, and once more."""
    call = Call(
        "POST", "https://api.segmind.com/v2/p-image", (("x-api-key", "SG_0123456789abcdef"), *JSON), b'{"seed":1}'
    )
    one = Exchange(
        seq=1,
        call=call,
        reply=told(first, {"error": "trouble"}),
        operation="submit",
        at=0.0,
        purpose="invalid: prompt.required",
        credential=Credential.GOOD,
    )
    yield one
    yield replace(one, seq=2, reply=told(again, {"error": "no"}), purpose=f"{one.purpose}{ONCE_MORE}")


def test_a_forbidden_job_that_fails_is_a_question_and_many_rules_are_one_finding() -> None:
    [endpoint] = resolve("segmind/p-image")
    wrong = [{"prompt": "a", "seed": -2}, {"prompt": 1}, {"prompt": "a", "aspect_ratio": "x"}, {}]
    wrong += [{"prompt": "a", "disable_safety_checker": "no"}, {"prompt": "a", "aspect_ratio": "custom", "width": 1}]
    found = [one for one in conform.verdict(endpoint, _taken(wrong, "COMPLETED")).findings if one.check == "REQ001"]
    assert [(one.subject, one.severity) for one in found] == [("submit: several rules", Severity.VIOLATION)]
    few = [one for one in conform.verdict(endpoint, _taken(wrong[:2], "COMPLETED")).findings if one.check == "REQ001"]
    assert [one.subject for one in few] == ["seed.minimum", "prompt.type"]
    late = [one for one in conform.verdict(endpoint, _taken(wrong, "FAILED")).findings if one.check == "REQ001"]
    assert {one.severity for one in late} == {Severity.QUESTION}


def _taken(bodies: list[dict[str, object]], word: str) -> tuple[Exchange, ...]:
    """Requests that are all accepted, and what their jobs come to."""
    base, made = "https://api.segmind.com/v2", []
    for number, body in enumerate(bodies):
        id = f"0000000{number}-0000-4000-8000-000000000000"
        links = {"status_url": f"{base}/requests/{id}/status", "response_url": f"{base}/requests/{id}"}
        submit = Call(
            "POST", f"{base}/p-image", (("x-api-key", "SG_0123456789abcdef"), *JSON), json.dumps(body).encode()
        )
        status = Call("GET", links["status_url"], (("x-api-key", "SG_0123456789abcdef"),))
        ended = {"status": word, "request_id": id, **({"error": "seed is wrong"} if word == "FAILED" else {})}
        made += [
            (submit, told(200, {"request_id": id, "status": "QUEUED", **links}), "submit", f"invalid: {number}"),
            (status, told(422 if word == "FAILED" else 200, ended), "status", FOLLOWED),
        ]
    return tuple(
        Exchange(
            seq=seq, call=call, reply=reply, operation=name, at=float(seq), purpose=purpose, credential=Credential.GOOD
        )
        for seq, (call, reply, name, purpose) in enumerate(made, 1)
    )


def test_a_stuck_job_is_asked_after_one_last_time_when_it_is_given_up() -> None:
    place = stage()
    patient = within(place, 10.0)
    assert (patient.dialogue.deadline, patient.dialogue.asks_last, patient.patience) == (10.0, True, 10.0)
    submit = place.endpoint.doing(Does.SUBMIT)
    assert submit is not None
    line = Line(lambda call, _: ACCEPTED if call.method == "POST" else state("processing"))
    driver = Driver(line, place.clock)
    driver.run([stories.whole_job(patient, "stuck", {"prompt": "a", "images": ["https://a.example/1.png"]}, "valid")])
    assert max(one.at for one in driver.exchanges if one.operation == "status" and not one.purpose) == 10.0
