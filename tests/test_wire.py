"""The wire room: one text for three readers, and one dialogue."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wireproof.generate import cases
from wireproof.lifecycle import Status
from wireproof.model import Call, Does, Endpoint, Means, Reply, Shape
from wireproof.spec.load import load_all, resolve
from wireproof.wire import bodies, replies, requests
from wireproof.wire.bodies import MISSING
from wireproof.wire.dialogue import Ask, Dialogue, Stop, contract_cadence

ENDPOINTS = load_all()
names = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, (("content-type", "application/json"),), json.dumps(value).encode())


# --------------------------------------------------------------------------------------- requests


@names
def test_what_is_built_is_recognised_again(endpoint: Endpoint) -> None:
    values = cases.base(endpoint)
    for operation in endpoint.operations.values():
        if operation.does in (Does.UPLOAD, Does.OTHER):
            continue
        call = requests.build(
            endpoint, operation, "http://h/prefix", values=values, job="00000000-0000-4000-8000-000000000001", key="k"
        )
        (asked,) = requests.recognise(endpoint, call, "/prefix")
        assert asked.operation.name == operation.name
        if operation.does.bills:
            assert {name: asked.values[name] for name in values} == values
            assert not requests.breaches(endpoint, asked)
        if operation.does.asks:
            assert asked.job == "00000000-0000-4000-8000-000000000001"


@names
def test_every_valid_case_keeps_every_rule(endpoint: Endpoint) -> None:
    submit = endpoint.doing(Does.SUBMIT)
    assert submit is not None
    for case in cases.allowed(endpoint):
        call = requests.build(
            endpoint, submit, "http://h", values=case.values, job="00000000-0000-4000-8000-000000000001"
        )
        (asked,) = requests.recognise(endpoint, call)
        assert [b.says for b in requests.breaches(endpoint, asked)] == [], case.purpose


@names
def test_every_forbidden_case_breaks_exactly_one_rule(endpoint: Endpoint) -> None:
    submit = endpoint.doing(Does.SUBMIT)
    assert submit is not None
    for case in cases.forbidden(endpoint, submit):
        id = "00000000-0000-4000-8000-000000000001"
        call = requests.build(
            endpoint, submit, "http://h", values=case.values, job=id, body=case.body, without=case.without
        )
        (asked,) = requests.recognise(endpoint, call)
        assert len({b.parameter for b in requests.breaches(endpoint, asked)}) == 1, case.purpose


@names
def test_the_valid_cases_exercise_every_choice(endpoint: Endpoint) -> None:
    steering = {name for op in endpoint.operations.values() for name in op.request.select}
    wanted = {c.fact for c in cases.choices(endpoint) if c.parameter not in steering}
    assert wanted <= {fact for case in cases.allowed(endpoint) for fact in case.covers}


def test_an_id_with_slashes_and_dots_stays_one_segment() -> None:
    (endpoint,) = resolve("segmind/p-image")
    status = endpoint.operations["status"]
    call = requests.build(endpoint, status, "http://h", job="../a/b?c#d")
    assert call.url == "http://h/v2/requests/..%2Fa%2Fb%3Fc%23d/status"
    (asked,) = requests.recognise(endpoint, call)
    assert asked.job == "../a/b?c#d"


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_body_is_read_without_an_exception(body: bytes) -> None:
    for endpoint in ENDPOINTS:
        submit = endpoint.doing(Does.SUBMIT)
        assert submit is not None
        path = requests.fill(submit.request.path, endpoint, "")
        for asked in requests.recognise(endpoint, Call("POST", f"http://h{path}", (), body)):
            requests.breaches(endpoint, asked)


def test_true_is_not_one() -> None:
    (endpoint,) = resolve("segmind/p-image")
    submit = endpoint.operations["submit"]
    for value, broken in ((True, True), (1, False)):
        call = requests.build(endpoint, submit, "http://h", values={"prompt": "a", "seed": value})
        (asked,) = requests.recognise(endpoint, call)
        assert bool(requests.breaches(endpoint, asked)) is broken


def test_a_list_of_tasks_is_as_many_requests() -> None:
    (endpoint,) = resolve("runware/p-image-edit")
    one = json.loads(
        requests.build(endpoint, endpoint.operations["submit"], "http://h", values=cases.base(endpoint), job="a").body
    )
    poll = json.loads(requests.build(endpoint, endpoint.operations["status"], "http://h", job="b").body)
    asked = requests.recognise(endpoint, Call("POST", "http://h/v1", (), json.dumps(one + poll).encode()))
    assert [a.operation.name for a in asked] == ["submit", "status"]


# ----------------------------------------------------------------------------------------- bodies

SHAPE = Shape(
    {
        "type": "object",
        "required": ["id", "state", "url", "cost"],
        "properties": {
            "id": {"type": "string", "is": "job.id"},
            "state": {"type": "string", "is": "job.state"},
            "url": {"type": "string", "is": "output.url", "when": {"job.state": "DONE"}},
            "cost": {"type": "number", "is": "job.cost", "when": {"tell": True}},
        },
    }
)


def _facts(**values: Any) -> Any:
    return lambda name, item: values.get(name.replace(".", "_"), MISSING)


@pytest.mark.parametrize(
    ("state", "tell", "there"),
    [
        ("WAITING", False, {"id", "state"}),
        ("DONE", False, {"id", "state", "url"}),
        ("DONE", True, {"id", "state", "url", "cost"}),
    ],
)
def test_a_place_is_written_and_required_under_the_same_condition(state: str, tell: bool, there: set[str]) -> None:
    facts = _facts(job_id="1", job_state=state, output_url="http://x/1.png", job_cost=Decimal("0.0088"))
    body = bodies.render(SHAPE, facts, {}, {"tell": tell})
    assert set(body) == there
    assert bodies.faults(SHAPE, body, {"tell": tell}, state) == []
    for name in there:
        missing = {key: value for key, value in body.items() if key != name}
        assert [f.subject for f in bodies.faults(SHAPE, missing, {"tell": tell}, state)] or name == "state"


def test_a_body_reads_back_what_was_written() -> None:
    facts = _facts(job_id="1", job_state="DONE", output_url="http://x/1.png", job_cost=Decimal("0.0088"))
    body = bodies.render(SHAPE, facts, {}, {"tell": True})
    assert {f.name: f.value for f in bodies.collect(SHAPE, body)} == {
        "job.id": "1",
        "job.state": "DONE",
        "output.url": "http://x/1.png",
        "job.cost": 0.0088,
    }


EITHER = Shape(
    {
        "type": "object",
        "properties": {
            "detail": {
                "anyOf": [
                    {"type": "string", "is": "problem.message"},
                    {"type": ["array", "null"], "items": {"properties": {"type": {"is": "problem.code"}}}},
                    {"type": "integer", "is": "problem.code"},
                ]
            }
        },
    }
)


@pytest.mark.parametrize(
    ("detail", "found"),
    [
        ("no credit", [("problem.message", "no credit")]),
        ([{"type": "value_error"}, 3], [("problem.code", "value_error")]),
        (422, [("problem.code", 422)]),
        (None, []),
        ({"type": "x"}, []),
        (True, []),
    ],
)
def test_of_several_forms_the_one_is_read_that_the_body_has(detail: Any, found: list[Any]) -> None:
    assert [(one.name, one.value) for one in bodies.collect(EITHER, {"detail": detail})] == found


def test_a_fault_names_the_field_and_its_place_in_the_contract() -> None:
    (fault,) = bodies.faults(SHAPE, {"id": 7, "state": "WAITING"}, {}, "WAITING")
    assert (fault.keyword, fault.subject, fault.place) == ("type", "/id", "/properties/id")


def test_items_of_a_batch_are_judged_by_their_own_state() -> None:
    (endpoint,) = resolve("runware/p-image-edit")
    progress = next(a for a in endpoint.operations["status"].alternatives if a.name == "progress")
    assert progress.shape is not None
    waiting = {"taskType": "imageInference", "taskUUID": "00000000-0000-4000-8000-000000000001", "status": "processing"}
    done = {**waiting, "status": "success"}
    values = {"outputType": "URL", "includeCost": False}
    found = bodies.faults(progress.shape, {"data": [waiting, done]}, values, "processing")
    assert {f.subject for f in found} == {"/data/1/imageURL", "/data/1/seed"}


# ---------------------------------------------------------------------------------------- replies


@pytest.mark.parametrize(
    ("status", "body", "means", "state"),
    [
        (200, {"status": "QUEUED", "request_id": "a"}, Means.STATE, Status.QUEUED),
        (200, {"status": "COMPLETED", "request_id": "a"}, Means.STATE, Status.SUCCEEDED),
        (422, {"status": "FAILED", "error": "no"}, Means.FAILED, Status.FAILED),
        (422, {"error": "no"}, Means.FAILED, Status.FAILED),
    ],
)
def test_a_state_is_read_from_word_and_code(status: int, body: Any, means: Means, state: Status) -> None:
    (endpoint,) = resolve("segmind/p-image")
    reading = replies.read(endpoint, endpoint.operations["status"], _json(body, status))
    assert reading.alternative is not None
    assert (reading.alternative.means, reading.status) == (means, state)


def test_an_unknown_word_is_no_status() -> None:
    (endpoint,) = resolve("segmind/p-image")
    reading = replies.read(endpoint, endpoint.operations["status"], _json({"status": "BANANA", "request_id": "a"}))
    assert (reading.word, reading.status) == ("BANANA", None)


def test_a_batch_is_over_when_every_part_is() -> None:
    (endpoint,) = resolve("runware/p-image-edit")
    item = {"taskType": "imageInference", "taskUUID": "a", "imageURL": "http://x/1.jpg"}
    status = endpoint.operations["status"]
    for words, expected in ((("success", "processing"), Status.RUNNING), (("success", "success"), Status.SUCCEEDED)):
        reading = replies.read(endpoint, status, _json({"data": [{**item, "status": word} for word in words]}))
        assert reading.status is expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[1", b"\xff\xfe", b"null", b'"x"', b"[]", b"{}"])
def test_any_reply_is_read_without_an_exception(body: bytes) -> None:
    for endpoint in ENDPOINTS:
        for operation in endpoint.operations.values():
            for status in (200, 202, 404, 422, 500):
                replies.read(endpoint, operation, Reply(status, (("content-type", "application/json"),), body))


# --------------------------------------------------------------------------------------- dialogue


def _dialogue() -> tuple[Endpoint, Dialogue]:
    (endpoint,) = resolve("segmind/p-image")
    return endpoint, Dialogue(endpoint=endpoint, base="http://h", key="k")


ACCEPTED = {
    "request_id": "a",
    "status": "QUEUED",
    "status_url": "http://h/v2/requests/a/status",
    "response_url": "http://h/v2/requests/a",
}


def test_a_dialogue_submits_polls_fetches_and_stops() -> None:
    endpoint, dialogue = _dialogue()
    known, ask = dialogue.begin("j", {"prompt": "a"}, endpoint.operations["submit"], "", 0.0)
    asked = [ask.operation.name]
    for body in (
        ACCEPTED,
        {"status": "QUEUED", "request_id": "a"},
        {"status": "COMPLETED", "request_id": "a", "metrics": {}},
        {"status": "COMPLETED", "output": "http://h/1.png", "metrics": {"inference_time": 1}},
    ):
        known, _ = dialogue.hear(known, ask, _json(body), ask.at)
        step = dialogue.next(known, ask.at)
        if isinstance(step, Stop):
            assert step.why == "done"
            break
        ask = step
        asked.append(ask.operation.name)
    assert asked == ["submit", "status", "status", "result"]
    assert known.outputs[0].url == "http://h/1.png"


def test_a_refused_submit_is_never_repeated() -> None:
    endpoint, dialogue = _dialogue()
    known, ask = dialogue.begin("j", {"prompt": "a"}, endpoint.operations["submit"], "", 0.0)
    for reply in (_json({"error": "no"}, 500), None):
        heard, _ = dialogue.hear(known, ask, reply, 1.0)
        assert dialogue.next(heard, 1.0) == Stop("refused")


def test_one_broken_poll_does_not_lose_the_job_and_many_do() -> None:
    endpoint, dialogue = _dialogue()
    known, ask = dialogue.begin("j", {"prompt": "a"}, endpoint.operations["submit"], "", 0.0)
    known, _ = dialogue.hear(known, ask, _json(ACCEPTED), 0.0)
    for broken in range(10):
        step = dialogue.next(known, float(broken))
        if isinstance(step, Stop):
            assert (step.why, broken) == ("lost", 5)
            return
        known, _ = dialogue.hear(known, step, None, step.at)
    raise AssertionError("it never gave up")


def test_retry_after_is_honoured() -> None:
    endpoint, dialogue = _dialogue()
    known, ask = dialogue.begin("j", {"prompt": "a"}, endpoint.operations["submit"], "", 0.0)
    known, _ = dialogue.hear(known, ask, _json(ACCEPTED), 0.0)
    step = dialogue.next(known, 0.0)
    assert isinstance(step, Ask)
    slow = Reply(429, (("retry-after", "7"), ("content-type", "application/json")), b'{"error": "slow down"}')
    known, _ = dialogue.hear(known, step, slow, 1.0)
    step = dialogue.next(known, 1.0)
    assert isinstance(step, Ask)
    assert step.at == 8.0


def test_a_job_that_never_ends_is_given_up_at_the_deadline() -> None:
    endpoint, dialogue = _dialogue()
    known, ask = dialogue.begin("j", {"prompt": "a"}, endpoint.operations["submit"], "", 0.0)
    known, _ = dialogue.hear(known, ask, _json(ACCEPTED), 0.0)
    for _ in range(2000):
        step = dialogue.next(known, known.polled_at)
        if isinstance(step, Stop):
            assert step.why == "deadline"
            assert known.polled_at <= 600.0
            return
        known, _ = dialogue.hear(known, step, _json({"status": "PROCESSING", "request_id": "a"}), step.at)
    raise AssertionError("it never gave up")


def test_a_link_to_another_host_is_not_followed_when_it_may_not_be() -> None:
    (endpoint,) = resolve("segmind/p-image")
    dialogue = Dialogue(endpoint=endpoint, base="http://h", key="k", follow=lambda link: link.startswith("http://h/"))
    known, ask = dialogue.begin("j", {"prompt": "a"}, endpoint.operations["submit"], "", 0.0)
    known, _ = dialogue.hear(known, ask, _json({**ACCEPTED, "status_url": "http://evil/steal"}), 0.0)
    step = dialogue.next(known, 0.0)
    assert isinstance(step, Ask)
    assert step.call.url == "http://h/v2/requests/a/status"


def test_the_cadence_grows_to_its_bound_where_the_contract_says_so() -> None:
    (endpoint,) = resolve("runware/p-image-edit")
    waits = [contract_cadence(endpoint.provider.poll, n) for n in range(12)]
    assert waits[:3] == [1.0, 1.0, 1.5]
    assert max(waits) == 10.0


def test_an_id_that_travels_in_the_query_is_recognised_there_and_only_there() -> None:
    endpoint = ENDPOINTS[0]
    status = endpoint.doing(Does.STATUS)
    assert status is not None
    asking = replace(status, request=replace(status.request, path="/v1/result?kind=image&id={job.id}"))
    changed = replace(endpoint, operations={**endpoint.operations, status.name: asking})
    call = requests.build(changed, asking, "https://a.test/prefix", job="a b/c&d")
    assert call.url == "https://a.test/prefix/v1/result?kind=image&id=a%20b%2Fc%26d"
    [asked] = requests.recognise(changed, call, "/prefix")
    assert (asked.operation.name, asked.job) == (status.name, "a b/c&d")
    for url in ("/v1/result", "/v1/result?id=x", "/v1/result?kind=video&id=x", "/v1/result?kind=image&id="):
        assert requests.recognise(changed, Call("GET", f"https://a.test{url}")) == ()
    assert requests.recognise(changed, Call("GET", "https://a.test/v1/result?extra=1&id=x&kind=image"))[0].job == "x"
