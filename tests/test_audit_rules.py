"""The rules on small hand-made stories: what is a fault, and what is only another way of doing it right."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from wireproof.audit import Session
from wireproof.check.client import RULES, Ended, Played, judge
from wireproof.clock import SteppedClock
from wireproof.mock.scenario import load_scenarios
from wireproof.model import Call, Endpoint
from wireproof.spec.load import resolve

SCENARIOS = load_scenarios()
(SEGMIND,) = resolve("segmind/p-image")
GOOD = Ended(code=0, stdout="https://example.com/a.png\n")


class Client:
    """Plays a client by hand: every call at a time of its own."""

    def __init__(self, scenario: str = "calm", endpoint: Endpoint = SEGMIND) -> None:
        self.clock = SteppedClock()
        self.session = Session(endpoint, scenario=SCENARIOS[scenario], step=0.0, clock=self.clock)

    def call(self, method: str, path: str, body: object = None, *, at: float | None = None, key: bool = True) -> dict:
        if at is not None:
            self.clock.advance(at - self.clock.now())
        url = path if path.startswith("http") else self.session.url + path
        headers = (("x-api-key", self.session.key),) if key else ()
        call = Call(method, url, headers, b"" if body is None else json.dumps(body).encode())
        now = self.clock.now()
        answer = self.session.answer(call, now, self.clock.wall())
        self.session.hear(call, answer, now)
        try:
            return dict(json.loads(answer.reply.body))
        except ValueError:
            return {}

    def submit(self, **body: object) -> str:
        return str(self.call("POST", "/v2/p-image", {"prompt": "a fox", **body}).get("request_id", ""))

    def poll(self, id: str, times: Iterable[float]) -> None:
        for at in times:
            self.call("GET", f"/v2/requests/{id}/status", at=at)

    def found(self, ended: Ended | None = GOOD, **facts: object) -> set[str]:
        """The ids of what is found."""
        played = self.session.played
        scenario = self.session.scenario
        known = {name: getattr(played, name) for name in Played.__dataclass_fields__}
        told = {
            "ends": scenario.ends if scenario else "either",
            "ended": ended,
            "wall": self.clock.wall() - self.clock.now(),
        }
        return {one.check for one in judge(Played(**{**known, **told, **facts}))}  # type: ignore[arg-type]


@pytest.mark.parametrize("every", [0.5, 1.0, 2.0, 5.0])
def test_any_decent_cadence_is_right(every: float) -> None:
    client = Client()
    id, now = client.submit(), 0.0
    while client.call("GET", f"/v2/requests/{id}/status", at=now).get("status") != "COMPLETED":
        now += every
    client.call("GET", f"/v2/requests/{id}")
    assert client.found() == set()


def test_fetching_the_result_twice_and_looking_once_more_is_right() -> None:
    client = Client()
    id = client.submit()
    client.poll(id, [10, 11])
    for _ in range(2):
        client.call("GET", f"/v2/requests/{id}")
    assert client.found() == set()


def test_polling_on_after_the_end_is_not() -> None:
    client = Client()
    id = client.submit()
    client.poll(id, [10, 11, 12, 13])
    client.call("GET", f"/v2/requests/{id}")
    assert client.found() == {"CLI008"}


def test_a_flood_is_heard_and_a_burst_of_a_few_is_not() -> None:
    for count, expected in ((6, set()), (40, {"CLI003"})):
        client = Client()
        id = client.submit()
        client.poll(id, [0.05 * n for n in range(1, count)])
        client.poll(id, [15.0])
        client.call("GET", f"/v2/requests/{id}")
        assert client.found() == expected


def test_leaving_a_job_alone_twice_is_a_stall_and_once_is_not() -> None:
    for times, expected in (([1, 40, 50, 60, 70, 80, 90, 100], set()), ([1, 34, 67, 100], {"CLI006"})):
        client = Client("slow-job")
        id = client.submit()
        client.poll(id, times)
        client.call("GET", f"/v2/requests/{id}")
        assert client.found() == expected


@pytest.mark.parametrize(("scenario", "early", "late"), [("poll-429-seconds", 1.5, 4.1), ("poll-429-date", 2.0, 5.1)])
def test_a_told_wait_is_measured_from_the_refusal(scenario: str, early: float, late: float) -> None:
    for at, expected in ((early, {"CLI005"}), (late, set())):
        client = Client(scenario)
        id = client.submit()
        client.poll(id, [1.0, at, 20.0])
        client.call("GET", f"/v2/requests/{id}")
        assert client.found() == expected


def test_giving_up_on_a_429_is_right_at_the_submit_and_wrong_at_a_poll() -> None:
    given_up = Ended(code=1, stderr="rate_limit_exceeded\n")
    client = Client("submit-429-seconds")
    client.submit()
    assert client.found(given_up) == set()
    client = Client("poll-429-seconds")
    client.poll(client.submit(), [1.0])
    assert client.found(given_up) == {"CLI014"}


def test_trying_again_at_once_three_times_is_no_pause() -> None:
    for gap, expected in ((0.01, {"CLI004"}), (0.5, set())):
        client = Client("overloaded")
        id = client.submit()
        client.poll(id, [0.1 + gap * n for n in range(5)])
        client.poll(id, [30.0])
        client.call("GET", f"/v2/requests/{id}")
        assert client.found() == expected


def test_a_second_job_is_heard_whatever_became_of_the_first_reply() -> None:
    for scenario in ("lost-reply", "error-after-submit", "page-after-submit"):
        client = Client(scenario)
        client.submit()
        client.poll(client.submit(), [20.0])
        assert "CLI002" in client.found(None), scenario


def test_another_try_is_right_where_the_host_never_saw_the_first() -> None:
    for scenario in ("submit-500", "submit-502", "submit-503", "submit-504"):
        client = Client(scenario)
        client.submit()
        client.clock.advance(2.0)
        id = client.submit()
        client.poll(id, [20.0])
        client.call("GET", f"/v2/requests/{id}")
        assert client.found() == set(), scenario


def test_two_different_requests_are_two_calls_and_not_one_twice() -> None:
    client = Client()
    ids = [client.submit(seed=1), client.submit(seed=2)]
    for id in ids:
        client.poll(id, [20.0])
        client.call("GET", f"/v2/requests/{id}")
    assert client.found() == set()


def test_a_failed_job_may_be_tried_anew_and_a_moderated_one_may_not() -> None:
    for scenario, expected in (("failed", set()), ("moderated", {"CLI009"})):
        client = Client(scenario)
        client.poll(client.submit(), [20.0])
        client.poll(client.submit(), [60.0])
        reason = "CUDA out of memory; The request was blocked by the content filter."
        assert client.found(Ended(code=1, stderr=reason)) == expected


def test_the_reason_may_be_told_in_any_of_the_hosts_words() -> None:
    for text, expected in (
        ("job failed: CUDA out of memory", set()),
        ("Something went wrong", {"CLI015"}),
        ("", {"CLI015"}),
    ):
        client = Client("failed")
        client.poll(client.submit(), [20.0])
        assert client.found(Ended(code=2, stderr=text)) == expected
    for text in ("HTTP Error 406: Not Acceptable", "Not enough credits to process request"):
        client = Client("out-of-credits")
        client.submit()
        assert client.found(Ended(code=2, stderr=text)) == set()


def test_success_without_a_picture_is_none() -> None:
    for scenario in ("failed", "missing-result", "failed-at-the-end", "unknown-end"):
        client = Client(scenario)
        id = client.submit()
        client.poll(id, [20.0])
        client.call("GET", f"/v2/requests/{id}")
        assert "CLI013" in client.found(), scenario


def test_a_picture_that_broke_off_is_no_success_unless_nobody_fetched_it() -> None:
    for fetch, expected in ((False, set()), (True, {"CLI018"})):
        client = Client("media-truncated")
        id = client.submit()
        client.poll(id, [20.0])
        told = client.call("GET", f"/v2/requests/{id}")
        if fetch:
            client.call("GET", told["output"], key=False)
        assert client.found() == expected


def test_a_key_at_another_origin_or_in_an_address_is_a_leak() -> None:
    client = Client("foreign-links")
    link = client.call("POST", "/v2/p-image", {"prompt": "a fox"})["status_url"]
    assert link.startswith(client.session.elsewhere)
    client.call("GET", link, key=False, at=1.0)
    assert client.found(None) == set()
    client.call("GET", link, at=2.0)
    assert client.found(None) == {"CLI012"}
    client = Client()
    client.call("GET", f"/v2/requests/{client.submit()}/status?key={client.session.key}", at=20.0)
    assert client.found(None) == {"CLI012"}


def test_a_key_on_stderr_is_seen_in_any_form() -> None:
    client = Client("bad-key")
    client.submit()
    key = client.session.key
    for text in (f"sent {key}", f"url ?k={key.replace('_', '%5F')}", key.encode().hex()):
        told = Ended(code=1, stderr=f"401 {text}")
        assert client.found(told) in ({"CLI016"}, set())
    assert client.found(Ended(code=1, stderr=f"401 with {key}")) == {"CLI016"}


@pytest.mark.parametrize(
    "text",
    [
        "Traceback (most recent call last):\n  File x\nValueError: 401",
        "Error: 401\n    at main (file:///app/client.mjs:12:9)\n",
        "panic: 401\n\ngoroutine 1 [running]:\n",
    ],
)
def test_a_crash_is_seen_in_any_language(text: str) -> None:
    client = Client("bad-key")
    client.submit()
    assert client.found(Ended(code=1, stderr=text)) == {"CLI017"}


def test_questions_that_pile_up_are_counted_while_they_are_open() -> None:
    for gap, expected in ((1.0, {"CLI019"}), (4.5, set())):
        client = Client("slow-replies")
        id = client.submit()
        client.poll(id, [gap * n for n in range(1, 6)])
        client.poll(id, [60.0])
        client.call("GET", f"/v2/requests/{id}", at=70.0)
        assert client.found() - {"CLI008"} == expected


def test_an_id_that_was_not_escaped_asks_after_nothing() -> None:
    client = Client("odd-ids")
    id = client.submit()
    client.call("GET", f"/v2/requests/{id.partition('?')[0]}/status", at=10.0)
    assert client.found(Ended(code=1, stderr="404")) == {"CLI010"}


def test_a_body_that_breaks_the_contract_is_named_with_parameter_and_rule() -> None:
    client = Client()
    client.submit(aspect_ratio="7:5")
    (one,) = [one for one in client.session.findings if one.check == "CLI001"]
    assert one.subject == "calm:CLI001:aspect_ratio.enum" and one.where.line > 0


def test_a_client_that_has_to_be_stopped_waits_for_ever() -> None:
    client = Client("never-ends")
    client.poll(client.submit(), [10.0 * n for n in range(1, 100)])
    assert client.found(Ended(code=None), slack=100.0) == {"CLI007"}
    assert client.found(Ended(code=1, stderr="gave up"), slack=100.0) == set()


def test_every_rule_has_a_page_and_a_name_that_promises() -> None:
    for rule in RULES.values():
        assert rule.promise.endswith(".") and "\n" in rule.page, rule.id
