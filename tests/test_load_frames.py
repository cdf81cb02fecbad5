"""Calls over a WebSocket: frames are put together as the reply that the call would have had over HTTP."""

from __future__ import annotations

import json

import pytest

from wireproof.errors import UsageError
from wireproof.generate.cases import base
from wireproof.load import frames
from wireproof.model import Call, Does
from wireproof.spec.load import resolve
from wireproof.wire import replies, requests

RUNWARE = resolve("runware/p-image-edit")[0]
CHANNEL = frames.channel(RUNWARE, "http://127.0.0.1:8000", "secret-key")
MINE = "00000000-0000-4000-8000-000000000001"


def asked(does: Does, **values) -> frames.Answer:
    call = requests.build(
        RUNWARE, RUNWARE.doing(does), "http://127.0.0.1:8000", values={**base(RUNWARE), **values}, job=MINE
    )
    return frames.Answer(CHANNEL, call)


def test_a_channel_is_at_the_contracts_own_server_or_at_the_target():
    live = frames.channel(RUNWARE, RUNWARE.provider.servers["api"].url, None)
    assert live.url == "wss://ws-api.runware.ai/v1"
    assert CHANNEL.url == "ws://127.0.0.1:8000/v1"
    assert frames.channel(RUNWARE, "https://127.0.0.1:1/runware", None).url == "wss://127.0.0.1:1/runware/v1"


def test_the_first_frame_logs_in_and_the_key_is_shown_nowhere_else():
    assert json.loads(CHANNEL.login) == [{"taskType": "authentication", "apiKey": "secret-key"}]
    assert "secret-key" not in repr(CHANNEL)


def test_a_contract_without_websockets_is_refused():
    with pytest.raises(UsageError, match="has none"):
        frames.channel(resolve("segmind/p-image")[0], "http://127.0.0.1:1", None)


def test_frames_of_other_jobs_are_passed_over():
    answer = asked(Does.STATUS)
    assert answer.hear('{"data": [{"taskUUID": "another", "status": "success"}]}') is None
    reply = answer.hear(json.dumps({"data": [{"taskUUID": MINE, "status": "processing"}]}))
    assert replies.read(RUNWARE, RUNWARE.doing(Does.STATUS), reply).word == "processing"


def test_the_results_of_one_call_are_gathered_from_their_frames():
    answer = asked(Does.RUN, numberResults=2)
    one = {"taskType": "imageInference", "taskUUID": MINE, "imageUUID": "a", "imageURL": "http://127.0.0.1:8000/a"}
    assert answer.hear(json.dumps({"data": [one]})) is None
    reply = answer.hear(json.dumps({"data": [{**one, "imageUUID": "b", "imageURL": "http://127.0.0.1:8000/b"}]}))
    assert len(replies.read(RUNWARE, RUNWARE.doing(Does.RUN), reply).outputs) == 2


@pytest.mark.parametrize(
    ("code", "status"), [("invalidApiKey", 401), ("rateLimitExceeded", 429), ("inferenceError", 200)]
)
def test_an_error_gets_the_status_code_that_it_has_over_http(code, status):
    reply = asked(Does.STATUS).hear(json.dumps({"errors": [{"code": code, "message": "", "taskUUID": MINE}]}))
    assert reply.status == status


def test_an_error_without_an_id_answers_the_call_under_way():
    reply = asked(Does.SUBMIT).refused('{"errors": [{"code": "invalidApiKey", "message": "no"}]}')
    assert replies.read(RUNWARE, RUNWARE.doing(Does.SUBMIT), reply).problem.name == "bad_key"


@pytest.mark.parametrize("frame", ["", "no json", "[]", '{"data": 3}', '{"data": [3]}', b"\xff"])
def test_a_frame_that_makes_no_sense_says_nothing(frame):
    assert asked(Does.STATUS).hear(frame) is None
    assert not frames.admitted(CHANNEL, frame)


def test_outputs_are_not_fetched_over_the_channel():
    assert not frames.carries(CHANNEL, Call("GET", "http://127.0.0.1:8000/v1/a.png"))
