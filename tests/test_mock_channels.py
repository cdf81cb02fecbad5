"""The WebSocket channel over real sockets: login, ping, tasks, batches, resume, and what goes wrong."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from wireproof.clock import ScaledClock
from wireproof.mock.answer import Answer
from wireproof.mock.channels import Channels
from wireproof.mock.engine import Mock
from wireproof.mock.moods import load_moods
from wireproof.mock.socket import serving
from wireproof.model import Call
from wireproof.spec.load import resolve

RUNWARE = resolve("runware/p-image-edit")[0]
MOODS = load_moods()
PATIENCE = 5.0


class Host:
    """A mock behind its sockets, with a clock that runs fast."""

    def __init__(self) -> None:
        self.mock = Mock([RUNWARE], moods=MOODS, seed=5)
        self.clock = ScaledClock(100.0)
        self.heard: list[tuple[Call, Answer, float, str]] = []
        self.channels = Channels(self.mock, self.clock, hear=lambda *told: self.heard.append(told))
        self.url = ""

    @contextmanager
    def line(self, path: str = "/v1", key: str | None = None, **more: Any) -> Iterator[Line]:
        address = f"ws{self.url.removeprefix('http')}{path}"
        with connect(address, open_timeout=PATIENCE, close_timeout=1, **more) as connection:
            line = Line(connection)
            if key != "":
                line.hello = line.ask({"taskType": "authentication", "apiKey": key or self.mock.key("runware")})
            yield line


class Line:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.hello: Any = None

    def send(self, *tasks: Any) -> None:
        self.connection.send(json.dumps(tasks))

    def hear(self, timeout: float = PATIENCE) -> Any:
        return json.loads(self.connection.recv(timeout))

    def ask(self, *tasks: Any) -> Any:
        self.send(*tasks)
        return self.hear()


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    with serving(made.mock, clock=made.clock, upgrade=made.channels.upgrade) as url:
        made.url = url
        yield made


def task(number: int = 1, **more: Any) -> dict[str, Any]:
    plain = {
        "taskType": "imageInference",
        "taskUUID": f"00000000-0000-4000-8000-{number:012d}",
        "model": "prunaai:2@1",
        "positivePrompt": "make it night",
        "inputs": {"referenceImages": ["https://pictures.example/a.png"]},
    }
    return {**plain, **more}


def poll(number: int = 1) -> dict[str, Any]:
    return {"taskType": "getResponse", "taskUUID": task(number)["taskUUID"]}


def test_a_login_is_answered_with_a_session(host: Host) -> None:
    with host.line() as line:
        (item,) = line.hello["data"]
        assert item["taskType"] == "authentication"
        assert len(item["connectionSessionUUID"]) == 36


def test_a_bad_key_is_refused_with_the_type_of_its_task(host: Host) -> None:
    with host.line(key="wrong") as line:
        (problem,) = line.hello["errors"]
        assert (problem["code"], problem["taskType"]) == ("invalidApiKey", "authentication")


def test_a_task_before_the_login_is_refused(host: Host) -> None:
    with host.line(key="") as line:
        assert line.ask(task())["errors"][0]["code"] == "missingApiKey"


def test_pings_of_both_kinds_are_answered(host: Host) -> None:
    with host.line() as line:
        assert line.ask({"taskType": "ping", "ping": True}) == {"data": [{"taskType": "ping", "pong": True}]}
        assert line.connection.ping().wait(PATIENCE)


def test_the_query_of_the_address_and_a_prefix_do_not_matter(host: Host) -> None:
    for path in ("/v1?sdk=js&version=1.3.2", "/runware/v1"):
        with host.line(path) as line:
            assert "data" in line.hello


def test_results_of_one_task_come_one_by_one(host: Host) -> None:
    with host.line() as line:
        line.send(task(numberResults=3, deliveryMethod="sync"))
        frames = [line.hear() for _ in range(3)]
        assert [len(frame["data"]) for frame in frames] == [1, 1, 1]
        assert len({frame["data"][0]["imageUUID"] for frame in frames}) == 3


def test_tasks_of_one_frame_are_answered_for_themselves(host: Host) -> None:
    with host.line() as line:
        line.send(task(1, deliveryMethod="async"), {**task(2), "positivePrompt": ""}, task(3, deliveryMethod="async"))
        frames = [line.hear() for _ in range(3)]
        assert [list(frame) for frame in frames] == [["data"], ["errors"], ["data"]]
        assert frames[1]["errors"][0]["taskUUID"] == task(2)["taskUUID"]


def test_an_async_task_is_polled_over_the_same_line(host: Host) -> None:
    with host.line() as line:
        assert line.ask(task(deliveryMethod="async"))["data"][0]["taskUUID"] == task()["taskUUID"]
        first = line.ask(poll())["data"][0]
        assert (first["status"], "imageUUID" in first) == ("processing", True)
        assert _finished(line)["imageURL"].startswith("http://127.0.0.1:")


def _finished(line: Line) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        item = line.ask(poll())["data"][0]
        if item["status"] == "success":
            return item
    pytest.fail("the task never ended")


def test_a_second_use_of_an_id_is_a_conflict_over_either_transport(host: Host) -> None:
    import httpx

    key = host.mock.key("runware")
    with host.line() as line:
        line.ask(task(deliveryMethod="async"))
        assert line.ask(task(deliveryMethod="async"))["errors"][0]["code"] == "conflictTaskUUID"
    again = httpx.post(f"{host.url}/v1", json=[task()], headers={"authorization": f"Bearer {key}"})
    assert again.json()["errors"][0]["code"] == "conflictTaskUUID"
    assert host.mock.account("runware:main").jobs == 1


def test_a_dropped_session_is_taken_up_again_and_gets_what_it_missed(host: Host) -> None:
    with host.line() as line:
        session = line.hello["data"][0]["connectionSessionUUID"]
        line.send(task(numberResults=2))
        line.ask({"taskType": "ping", "ping": True})
        line.connection.socket.shutdown(socket.SHUT_RDWR)
    deadline = time.monotonic() + PATIENCE
    while len(host.channels.sessions[session].owed) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    login = {"taskType": "authentication", "apiKey": host.mock.key("runware"), "connectionSessionUUID": session}
    with host.line(key="") as line:
        assert line.ask(login)["data"][0]["connectionSessionUUID"] == session
        assert {line.hear()["data"][0]["taskUUID"] for _ in range(2)} == {task()["taskUUID"]}


def test_a_session_belongs_to_its_key(host: Host) -> None:
    with host.line() as line:
        session = line.hello["data"][0]["connectionSessionUUID"]
    other = {
        "taskType": "authentication",
        "apiKey": host.mock.key("runware", "other"),
        "connectionSessionUUID": session,
    }
    with host.line(key="") as line:
        assert line.ask(other)["data"][0]["connectionSessionUUID"] != session


def test_pictures_are_uploaded_and_found_again(host: Host) -> None:
    import httpx

    upload = {"taskType": "imageUpload", "taskUUID": task(9)["taskUUID"], "image": "data:image/png;base64,AAAA"}
    with host.line() as line:
        (stored,) = line.ask(upload)["data"]
    assert len(stored["imageUUID"]) == 36
    assert httpx.get(stored["imageURL"]).content.startswith(b"\x89PNG")


@pytest.mark.parametrize("message", ["", "{", "null", "[]", '"x"', "[1]", "[[]]", '[{"taskType": "nothing"}]', b"\xff"])
def test_a_message_that_makes_no_sense_harms_nobody(host: Host, message: str | bytes) -> None:
    with host.line() as line:
        line.connection.send(message)
        if message != "[]":
            assert line.hear()["errors"][0]["code"]
        assert "data" in line.ask({"taskType": "ping", "ping": True})


def test_a_lost_reply_drops_the_line_after_the_task_was_taken(host: Host) -> None:
    key = host.mock.key("runware", "mood:lost-reply")
    with host.line(key=key) as line:
        line.send(task())
        with pytest.raises(ConnectionClosed):
            line.hear()
    assert host.mock.account("runware:mood:lost-reply").jobs == 1


def test_a_clean_close_comes_with_code_1000(host: Host) -> None:
    with host.line(key=host.mock.key("runware", "mood:clean-close")) as line:
        assert "data" in line.ask(task(deliveryMethod="async"))
        with pytest.raises(ConnectionClosed) as caught:
            line.hear()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1000


def test_an_idle_line_is_closed_by_the_mocks_clock(host: Host) -> None:
    with host.line() as line, pytest.raises(ConnectionClosed):
        line.hear()


def test_both_transports_share_one_journal_form(host: Host) -> None:
    with host.line() as line:
        line.ask(task(deliveryMethod="async"))
    ((call, answer, _, channel),) = host.heard
    assert (channel, answer.operation, call.method) == ("websocket", "submit", "POST")


def test_an_address_without_a_channel_is_an_ordinary_call(host: Host) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus), connect(f"ws{host.url.removeprefix('http')}/v9", open_timeout=PATIENCE):
        pass
