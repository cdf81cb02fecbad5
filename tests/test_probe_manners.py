"""How a run goes about an uneasy host: one that errs at times only, hands out cookies, or says more than it need."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st

from wireproof.check import jobs as _jobs  # noqa: F401  (enters its checks into the table)
from wireproof.check import outputs as _outputs  # noqa: F401
from wireproof.check import relations as _relations  # noqa: F401
from wireproof.check import replies as _replies  # noqa: F401
from wireproof.check.registry import CHECKS, judge
from wireproof.check.trace import read
from wireproof.generate.strategies import search
from wireproof.model import Call, Credential, Endpoint, Exchange, Reply, Severity
from wireproof.probe.stories import near_keys
from wireproof.spec.load import resolve


def test_what_is_shown_once_and_not_again_ends_a_search_without_a_crash() -> None:
    calls = count(1)
    shown = search(st.integers(0, 9), lambda _: next(calls) == 3, examples=20, seed=1, shrink=True)
    assert shown in range(10)


def test_almost_a_key_is_tried_and_a_word_too_short_to_be_one_is_not() -> None:
    assert [*near_keys("pd_01234wxyZ").values()] == ["pd_01234wxy", "pd_01234wxyZZ", "PD_01234WXYz"]
    # A number in hexadecimal digits is the same number in other letters.
    assert [*near_keys("SG_0123456789abcdef").values()] == ["SG_0123456789abcde", "SG_0123456789abcdeff"]
    assert near_keys("key") == near_keys(None) == {}


def test_null_where_nothing_need_stand_is_no_finding_and_another_form_there_a_question() -> None:
    [endpoint] = resolve("pixeldojo/p-image-edit")
    assert _told(endpoint, "pending", None) == []
    assert _told(endpoint, "pending", {"images": []}) == [Severity.QUESTION]
    assert _told(endpoint, "completed", None) == [Severity.VIOLATION]


@pytest.mark.parametrize(
    ("text", "found"), [('"completed", "status": "pending"', 1), ('"completed", "new": {"status": "x"}', 0)]
)
def test_a_member_that_is_named_twice_is_asked_about(text: str, found: int) -> None:
    [endpoint] = resolve("pixeldojo/p-image-edit")
    call = Call("GET", f"{endpoint.provider.servers['api'].url}/api/v1/jobs/job_abcdef", ())
    reply = Reply(200, (("content-type", "application/json"),), f'{{"jobId": "job_abcdef", "status": {text}}}'.encode())
    exchange = Exchange(seq=1, at=0.0, took=0.1, operation="status", call=call, reply=reply, credential=Credential.GOOD)
    told = judge(read(endpoint, [exchange]), [CHECKS["RPL003"]])
    assert [(one.severity, one.subject) for one in told] == [(Severity.QUESTION, "members named twice")] * found


def _told(endpoint: Endpoint, state: str, output: Any) -> list[Severity]:
    """How grave RPL002 finds the state of a job that is told with such an output."""
    base = endpoint.provider.servers["api"].url
    body = {"jobId": "job_abcdef", "status": state, "output": output, "creditCost": 0.25}
    body["expiresAt"] = "2030-01-01T00:00:00Z"
    call = Call("GET", f"{base}/api/v1/jobs/job_abcdef", (("authorization", "Bearer pd_0123456789"),))
    reply = Reply(200, (("content-type", "application/json"),), json.dumps(body).encode())
    exchange = Exchange(seq=1, at=0.0, took=0.1, operation="status", call=call, reply=reply, credential=Credential.GOOD)
    return [one.severity for one in judge(read(endpoint, [exchange]), [CHECKS["RPL002"]])]


@pytest.mark.parametrize(("later", "severity"), [(2, Severity.QUESTION), (1, Severity.VIOLATION)])
def test_results_that_come_one_by_one_are_a_question_and_too_few_for_good_are_not(
    later: int, severity: Severity
) -> None:
    [endpoint] = resolve("runware/p-image-edit")
    id = "11111111-1111-4111-8111-111111111111"
    task = {"taskType": "imageInference", "taskUUID": id, "model": "prunaai:2@1", "positivePrompt": "a boat"}
    talk = [
        ({**task, "numberResults": 2, "deliveryMethod": "async"}, [{"taskType": "imageInference", "taskUUID": id}]),
        ({"taskType": "getResponse", "taskUUID": id}, _results(id, 1)),
        ({"taskType": "getResponse", "taskUUID": id}, _results(id, later)),
    ]
    exchanges = [_spoken(endpoint, seq, asked, {"data": told}) for seq, (asked, told) in enumerate(talk, 1)]
    assert [one.severity for one in judge(read(endpoint, exchanges), [CHECKS["OUT001"]])] == [severity]


def _results(id: str, count: int) -> list[dict[str, Any]]:
    one = {"taskType": "imageInference", "taskUUID": id, "status": "success", "seed": 7}
    names = [f"22222222-2222-4222-8222-00000000000{i}" for i in range(count)]
    return [{**one, "imageUUID": name, "imageURL": f"https://im.runware.ai/{name}.jpg"} for name in names]


def _spoken(endpoint: Endpoint, seq: int, asked: object, told: object) -> Exchange:
    url = endpoint.provider.servers["api"].url + "/v1"
    return _exchange(seq, Call("POST", url, (("authorization", "Bearer key"),), json.dumps([asked]).encode()), told)


ID, OTHER_ID = "11111111-1111-4111-8111-111111111111", "33333333-3333-4333-8333-333333333333"
ACK = {"taskType": "imageInference", "taskUUID": ID}


@pytest.mark.parametrize(
    ("check", "told", "severity"),
    [
        ("JOB005", {"data": [ACK]}, None),
        ("JOB005", {"data": [{**ACK, "taskUUID": OTHER_ID}]}, Severity.VIOLATION),
        ("RPL005", {"data": [], "errors": [{"code": "busy", "message": "later"}]}, Severity.VIOLATION),
        ("RPL005", {"data": [ACK], "errors": []}, None),
        ("RPL006", {"data": [ACK], "errors": []}, None),
        ("RPL010", {"data": [ACK], "errors": []}, Severity.QUESTION),
    ],
)
def test_what_a_submit_is_answered_with_is_weighed(check: str, told: object, severity: Severity | None) -> None:
    [endpoint] = resolve("runware/p-image-edit")
    asked: dict[str, Any] = {**ACK, "model": "prunaai:2@1", "positivePrompt": "a boat", "deliveryMethod": "async"}
    asked["inputs"] = {"referenceImages": ["https://example.com/boat.png"]}
    trace = read(endpoint, [_spoken(endpoint, 1, asked, told)])
    assert [one.severity for one in judge(trace, [CHECKS[check]])] == ([severity] if severity else [])


def test_one_seed_for_two_results_is_a_question() -> None:
    [endpoint] = resolve("runware/p-image-edit")
    asked = {**ACK, "model": "prunaai:2@1", "positivePrompt": "a boat", "numberResults": 2, "deliveryMethod": "async"}
    talk = [(asked, [ACK]), ({"taskType": "getResponse", "taskUUID": ID}, _results(ID, 2))]
    exchanges = [_spoken(endpoint, seq, one, {"data": told}) for seq, (one, told) in enumerate(talk, 1)]
    found = judge(read(endpoint, exchanges), [CHECKS["OUT011"]])
    assert [(one.severity, one.subject) for one in found] == [(Severity.QUESTION, "results share a seed")]


PICTURE = "https://images.segmind.com/a.png"


@pytest.mark.parametrize(
    ("check", "told", "found"),
    [
        ("JOB007", ["status COMPLETED", "result COMPLETED"], []),
        ("JOB007", ["result COMPLETED", "status PROCESSING"], ["result before its time"]),
        ("OUT001", ["status COMPLETED", "result COMPLETED"], []),
        ("OUT001", ["status COMPLETED", "result COMPLETED nothing"], ["no outputs"]),
        ("LNK001", ["result COMPLETED file:///etc/passwd"], ["picture address"]),
    ],
)
def test_what_is_told_of_one_job_is_weighed_together(check: str, told: list[str], found: list[str]) -> None:
    [endpoint] = resolve("segmind/p-image")
    base, key = endpoint.provider.servers["api"].url, (("x-api-key", "SG_0123456789abcdef"),)
    talk = [(Call("POST", f"{base}/v2/p-image", key, b'{"prompt": "a boat"}'), {"request_id": ID})]
    for operation, state, *output in map(str.split, told):
        path = f"{base}/v2/requests/{ID}" + ("/status" if operation == "status" else "")
        address = {"nothing": ""}.get(output[0], output[0]) if output else PICTURE
        body = {"status": state, "request_id": ID, "metrics": {"inference_time": 1}}
        talk.append((Call("GET", path, key), body | ({"output": address} if operation == "result" else {})))
    exchanges = [_exchange(seq, call, body) for seq, (call, body) in enumerate(talk, 1)]
    assert [one.subject for one in judge(read(endpoint, exchanges), [CHECKS[check]])] == found


def _exchange(seq: int, call: Call, body: object) -> Exchange:
    reply = Reply(200, (("content-type", "application/json"),), json.dumps(body).encode())
    return Exchange(
        seq=seq, at=float(seq), took=0.1, operation="", call=call, reply=reply, credential=Credential.GOOD, job="one"
    )
