"""The mock as a program: its ready line, its control API, its journal, and what it sends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wireproof
from wireproof.clock import SteppedClock
from wireproof.errors import UsageError
from wireproof.mock.control import ROUTES, Control, openapi
from wireproof.mock.courier import Courier, aim, target
from wireproof.mock.effects import Send
from wireproof.mock.engine import Mock
from wireproof.mock.journal import Journal
from wireproof.mock.moods import load_moods
from wireproof.mock.movable import MovableClock
from wireproof.mock.transport import EngineTransport
from wireproof.model import Call, Exchange
from wireproof.runlog import decode
from wireproof.spec.load import load_all, resolve

ROOT = Path(wireproof.__file__).resolve().parents[2]
SEGMIND, RUNWARE = resolve("segmind/p-image")[0], resolve("runware/p-image-edit")[0]
TOKEN = "0123456789abcdef"
MOODS = load_moods()


class World:
    """A mock and its control, both asked in this process, on a clock that stands."""

    def __init__(self) -> None:
        self.clock = MovableClock(SteppedClock())
        self.mock = Mock([SEGMIND, RUNWARE], moods=MOODS, seed=2)
        self.journal = Journal(self.mock, self.clock.now(), self.clock.wall())
        self.courier = Courier(self.clock)
        self.control = Control(self.mock, self.clock, self.journal, self.courier, TOKEN)
        self.client = httpx.Client(
            transport=EngineTransport(
                self.mock, clock=self.clock, on_exchange=self.journal.hear, on_effect=self.courier.take
            ),
            base_url="http://mock.example",
            headers={"x-api-key": self.mock.key("segmind")},
        )

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        whole = {"x-wireproof-token": TOKEN, "content-type": "application/json", **headers}
        content = b"" if body is None else json.dumps(body).encode()
        call = Call(method, f"http://127.0.0.1:9{path}", tuple(whole.items()), content)
        return self.control.answer(call, 0.0, 0.0).reply

    def get(self, path: str) -> Any:
        reply = self.ask("GET", path)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def submit(self) -> str:
        return str(self.client.post("/v2/p-image", json={"prompt": "a lighthouse"}).json()["request_id"])

    def task(self, **more: Any) -> httpx.Response:
        plain = {
            "taskType": "imageInference",
            "taskUUID": "11111111-1111-4111-8111-111111111111",
            "model": "prunaai:2@1",
            "positivePrompt": "x",
            "inputs": {"referenceImages": ["https://pictures.example/a.png"]},
            "deliveryMethod": "async",
        }
        headers = {"authorization": f"Bearer {self.mock.key('runware')}"}
        return self.client.post("/v1", json=[{**plain, **more}], headers=headers)


@pytest.fixture
def world() -> World:
    return World()


# ------------------------------------------------------------------------------------ who gets in

CASES = [
    (host, origin, token, method)
    for host in ("127.0.0.1:9", "localhost:9", "[::1]:9", "evil.example:9", "127.0.0.1:80", "127.0.0.1.evil.example:9")
    for origin in (None, "https://evil.example")
    for token in (TOKEN, "wrong")
    for method in ("GET",)
]


@pytest.mark.parametrize(("host", "origin", "token", "method"), CASES)
def test_only_this_machine_with_the_token_and_without_an_origin_gets_in(
    world: World, host: str, origin: str | None, token: str, method: str
) -> None:
    world.control.port = 9
    headers = [("x-wireproof-token", token), *([("origin", origin)] if origin else [])]
    reply = world.control.answer(Call(method, f"http://{host}/health", tuple(headers)), 0.0, 0.0).reply
    legal = host in ("127.0.0.1:9", "localhost:9", "[::1]:9") and origin is None and token == TOKEN
    assert (reply.status == 200) is legal
    assert reply.header("access-control-allow-origin") is None


def test_a_form_of_a_web_page_is_not_taken_for_json(world: World) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert world.ask("POST", "/reset", {}, **{"content-type": kind}).status == 415


def test_the_port_of_the_mock_knows_no_control_address(world: World) -> None:
    for route in ROUTES:
        path = route.path.replace("{name}", "segmind:main")
        reply = world.client.request(route.method, path, headers={"x-wireproof-token": TOKEN})
        assert reply.status_code in (404, 405)


TEXT = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
KEYS = ("seed", "seconds", "name", "account", "faults", "problem", "operation", "deposit", "provider", "mood", "role")


@given(st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3) | JSON, TEXT)
def test_no_control_call_breaks_it(route: Any, body: Any, name: str) -> None:
    world = World()
    path = route.path.replace("{name}", name)
    assert world.ask(route.method, path, body).status < 500
    assert world.ask("GET", "/health").status == 200


# ------------------------------------------------------------------------------------ what it does


def test_time_is_moved_and_with_it_the_jobs(world: World) -> None:
    id = world.submit()
    state = f"/v2/requests/{id}/status"
    assert world.client.get(state).json()["status"] == "QUEUED"
    assert world.ask("POST", "/clock/advance", {"seconds": 60}).status == 200
    assert world.client.get(state).json()["status"] == "COMPLETED"
    world.ask("POST", "/clock/advance", {"seconds": 3600})
    assert world.client.get(state).status_code == 404


def test_until_idle_is_until_the_last_job_has_ended(world: World) -> None:
    ids = [world.submit() for _ in range(5)]
    world.ask("POST", "/clock/idle", {})
    assert {world.client.get(f"/v2/requests/{id}/status").json()["status"] for id in ids} == {"COMPLETED"}
    assert world.get("/clock")["now"] < 30


def test_time_does_not_go_back_or_to_the_end_of_the_world(world: World) -> None:
    for seconds in (-1, 1e12, "1", None):
        assert world.ask("POST", "/clock/advance", {"seconds": seconds}).status == 400


def test_a_mood_is_set_by_name_by_faults_and_for_one_account(world: World) -> None:
    world.ask("PUT", "/mood", {"name": "out-of-credits"})
    assert world.client.post("/v2/p-image", json={"prompt": "x"}).status_code == 406
    world.ask("DELETE", "/mood")
    assert world.get("/mood") == {"mood": None}
    world.ask("PUT", "/mood", {"faults": [{"fault": "bare", "with": {"status": 599}}], "account": "segmind:main"})
    assert world.client.post("/v2/p-image", json={"prompt": "x"}).status_code == 599
    world.ask("DELETE", "/mood?account=segmind:main")
    assert world.client.post("/v2/p-image", json={"prompt": "x"}).status_code == 200


def test_a_mood_that_is_none_is_refused_with_the_reason(world: World) -> None:
    assert world.ask("PUT", "/mood", {"name": "nothing"}).status == 404
    refused = world.ask("PUT", "/mood", {"faults": [{"fault": "late", "with": {"secnds": 1}}]})
    assert (refused.status, b"secnds" in refused.body) == (400, True)


def test_a_key_is_made_for_a_mood(world: World) -> None:
    key = json.loads(world.ask("POST", "/keys", {"provider": "segmind", "mood": "bad-key"}).body)["key"]
    assert world.client.post("/v2/p-image", json={"prompt": "x"}, headers={"x-api-key": key}).status_code == 401


def test_one_of_the_hosts_problems_is_staged(world: World) -> None:
    assert world.ask("POST", "/stage", {"problem": "internal", "operation": "submit"}).status == 200
    assert [world.client.post("/v2/p-image", json={"prompt": "x"}).status_code for _ in range(2)] == [500, 200]
    assert world.ask("POST", "/stage", {"problem": "nothing", "operation": "submit"}).status == 404


def test_money_is_put_in_and_taken_out(world: World) -> None:
    world.submit()
    world.ask("PUT", "/accounts/segmind:main", {"deposit": "-5000"})
    assert world.client.post("/v2/p-image", json={"prompt": "x"}).status_code == 406
    world.ask("PUT", "/accounts/segmind:main", {"deposit": "0.005"})
    assert world.client.post("/v2/p-image", json={"prompt": "x"}).status_code == 200
    assert world.get("/accounts")["segmind:main"]["reserved"] == "0.010"


def test_a_reset_leaves_nothing_behind(world: World) -> None:
    first = world.submit()
    world.ask("POST", "/reset", {})
    assert world.client.get(f"/v2/requests/{first}/status").status_code == 404
    world.ask("POST", "/reset", {})
    assert world.submit() == first
    world.ask("POST", "/reset", {"seed": 3})
    assert world.get("/health")["seed"] == 3


def test_the_journal_is_exchanges_with_their_rules_and_without_keys(world: World) -> None:
    world.submit()
    world.client.get("/v2/requests/nobody/status")
    text = world.ask("GET", "/journal").body.decode()
    first, second = map(json.loads, text.splitlines())
    assert (first["rule"], second["rule"]) == ("segmind.submit.accepted", "segmind.status.unknown_job")
    exchange = decode(Exchange, second["exchange"])
    assert (exchange.operation, exchange.reply.status, exchange.seq) == ("status", 404, 2)
    assert world.mock.key("segmind") not in text
    assert len(world.ask("GET", "/journal?since=1").body.splitlines()) == 1


def test_what_the_short_cut_answered_is_in_the_journal_too(world: World) -> None:
    key = world.mock.key("segmind").encode()
    headers = [(b"Host", b"m"), (b"X-Api-Key", key)]
    fields = {b"host": b"m", b"x-api-key": key}
    body = b'{"prompt":"a lighthouse"}'
    desk = world.mock.quick(fields, "http://m")
    assert desk is not None
    whole = desk(b"POST", b"/v2/p-image", body, 1.0)
    assert whole is not None
    world.journal.note(b"POST", b"/v2/p-image", "http://m", headers, body, whole, 1.0)
    (line,) = world.journal.lines
    assert (line.exchange.operation, line.exchange.call.body, line.exchange.reply.status) == ("submit", body, 200)
    assert key.decode() not in world.ask("GET", "/journal").body.decode()


def test_a_key_in_a_body_is_masked_in_the_journal(world: World) -> None:
    key = world.mock.key("runware")
    world.client.post("/v1", json=[{"taskType": "authentication", "apiKey": key}, {"taskType": "getResponse"}])
    assert key not in world.ask("GET", "/journal").body.decode()


def test_the_journal_is_had_as_har(world: World) -> None:
    world.submit()
    log = world.get("/journal.har")["log"]
    assert (log["version"], log["entries"][0]["response"]["status"]) == ("1.2", 200)


def test_metrics_count_calls_by_operation(world: World) -> None:
    world.submit()
    world.client.get("/v2/requests/nobody/status")
    text = world.ask("GET", "/metrics").body.decode()
    assert 'wireproof_calls_total{operation="submit",status="200"} 1' in text
    assert 'wireproof_calls_total{operation="status",status="404"} 1' in text


def test_every_route_is_in_its_own_document(world: World) -> None:
    told = world.get("/openapi.json")
    assert told == json.loads(json.dumps(openapi()))
    assert {(method.upper(), path) for path, methods in told["paths"].items() for method in methods} == {
        (route.method, route.path) for route in ROUTES
    }


# -------------------------------------------------------------------------------- what is sent out

SPELLINGS = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://0x7f000001:{port}/",
    "http://2130706433:{port}/",
    "http://[",
    "//x",
    "http://0177.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "data:,x",
    "http://user@127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/",
]


class Receiver(http.server.BaseHTTPRequestHandler):
    got: list[bytes]
    status = 200

    def do_POST(self) -> None:
        self.got.append(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.send_response(self.status)
        self.end_headers()

    do_PUT = do_POST  # noqa: N815 - the library calls it so

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def receiving(status: int = 200) -> Iterator[tuple[int, list[bytes]]]:
    kind = type("Own", (Receiver,), {"got": [], "status": status})
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server.server_port, kind.got
        finally:
            server.shutdown()


def test_by_default_nothing_leaves_whatever_the_address(world: World) -> None:
    with receiving() as (port, got):
        for number, spelling in enumerate(SPELLINGS):
            link, id = spelling.format(port=port), f"11111111-1111-4111-8111-{number:012d}"
            for name in ("webhookURL", "uploadEndpoint"):
                world.courier.take(send(link, name, id))
        asyncio.run(world.courier.run_due())
        assert got == []
        assert {record.fate for record in world.courier.records} == {"recorded"}


def send(link: str, what: str = "webhook", job: str = "j", **more: Any) -> Send:
    return Send(at=0.0, call=Call("POST", link, (), b"{}"), job=job, what=what, **more)


def test_only_the_very_host_and_port_that_were_named_are_called() -> None:
    with receiving() as (port, got):
        clock = SteppedClock()
        courier = Courier(clock, [f"127.0.0.1:{port}"])
        for spelling in SPELLINGS:
            courier.take(send(spelling.format(port=port)))
        asyncio.run(courier.run_due())
        assert got == [b"{}"]


def test_a_webhook_is_due_when_its_job_ends_and_says_what_the_result_is(world: World) -> None:
    with receiving() as (port, got):
        world.courier.targets = frozenset({("127.0.0.1", port)})
        assert world.task(webhookURL=f"http://127.0.0.1:{port}/hook?token=1", numberResults=2).status_code == 200
        asyncio.run(world.courier.run_due())
        assert got == []
        world.ask("POST", "/clock/idle", {})
        asyncio.run(world.courier.run_due())
        items = [json.loads(body) for body in got]
        assert [item["taskUUID"] for item in items] == ["11111111-1111-4111-8111-111111111111"] * 2
        assert len({item["imageUUID"] for item in items}) == 2


def test_an_upload_is_the_picture_itself(world: World) -> None:
    with receiving() as (port, got):
        world.courier.targets = frozenset({("127.0.0.1", port)})
        world.task(uploadEndpoint=f"http://127.0.0.1:{port}/put")
        world.ask("POST", "/clock/idle", {})
        asyncio.run(world.courier.run_due())
        assert got[0].startswith(b"\xff\xd8")


def test_a_dead_receiver_is_tried_five_times_with_growing_gaps(world: World) -> None:
    with receiving(status=500) as (port, got):
        world.courier.targets = frozenset({("127.0.0.1", port)})
        world.task(webhookURL=f"http://127.0.0.1:{port}/")
        for _ in range(10):
            world.ask("POST", "/clock/idle", {})
            asyncio.run(world.courier.run_due())
        (record,) = world.courier.records
        times = [at for at, _ in record.attempts]
        gaps = [round(b - a, 3) for a, b in itertools.pairwise(times)]
        assert (len(got), gaps, record.fate) == (5, [0.25, 0.5, 1.0, 2.0], "given up")


def test_what_was_or_would_have_been_sent_is_told_by_the_control_api(world: World) -> None:
    world.task(webhookURL="https://hooks.example/a")
    world.ask("POST", "/clock/idle", {})
    asyncio.run(world.courier.run_due())
    (told,) = world.get("/sends")
    assert (told["fate"], told["attempts"], told["call"]["url"]) == ("recorded", [], "https://hooks.example/a")


@pytest.mark.parametrize("text", ["", "localhost", ":80", "host:", "host:0", "host:65536", "host:x"])
def test_a_target_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(UsageError):
        target(text)


@given(st.text())
def test_any_address_is_read_or_refused(text: str) -> None:
    found = aim(text)
    assert found is None or (found[0] and 0 < found[1] < 65536)


# ----------------------------------------------------------------------------------- as a program


@contextlib.contextmanager
def program(*flags: str) -> Iterator[tuple[Any, subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "mocks" / "server.py"), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "harness")},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield json.loads(line) if line else None, process
    finally:
        process.kill()
        process.communicate()


def test_the_program_says_where_it_is_and_what_it_takes_and_ends_when_told() -> None:
    with program("segmind", "--stepped", "--mood", "never-ends") as (ready, process):
        assert ready["ready"] is True
        headers = {"x-api-key": ready["key"]}
        told = httpx.post(f"{ready['url']}/v2/p-image", json={"prompt": "x"}, headers=headers).json()
        assert told["status_url"].startswith(ready["url"])
        control = {"x-wireproof-token": ready["token"]}
        assert httpx.get(f"{ready['control']}/health", headers=control).json()["mood"] == "never-ends"
        assert httpx.get(f"{ready['control']}/health").status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_the_program_holds_as_many_connections_as_it_is_told() -> None:
    with program("segmind", "--connections", "1", "--no-control") as (ready, _):
        port = int(ready["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as first:
            first.sendall(b"GET / HTTP/1.1\r\nHost: m\r\n\r\n")
            assert first.recv(100).startswith(b"HTTP/1.1 404 ")
            with socket.create_connection(("127.0.0.1", port), timeout=5) as second:
                assert second.recv(100).startswith(b"HTTP/1.1 503 ")


def test_the_program_listens_on_this_machine_only() -> None:
    with program("segmind") as (ready, process):
        for url in (ready["url"], ready["control"]):
            port = int(url.rpartition(":")[2])
            assert _listeners(port) == {"0100007F"}
        assert process.poll() is None


def _listeners(port: int) -> set[str]:
    """The addresses on which this machine listens on a port, as the kernel writes them."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        place.partition(":")[0] for _, place, _, state, *_ in lines if state == "0A" and place.endswith(f":{port:04X}")
    }


def test_the_program_speaks_tls_with_an_authority_of_its_own() -> None:
    pytest.importorskip("trustme")
    import ssl

    with program("segmind", "--tls", "--no-control") as (ready, _):
        trust = ssl.create_default_context(cafile=ready["ca"])
        told = httpx.get(f"{ready['url']}/v2/requests/x/status", verify=trust, headers={"x-api-key": ready["key"]})
        assert (told.status_code, "control" in ready) == (404, False)


@pytest.mark.parametrize(
    ("flags", "says"), [(("sgemind",), "Did you mean segmind"), (("--mood", "busy"), "there is no mood")]
)
def test_the_program_tells_a_wrong_word_and_ends_with_2(flags: tuple[str, ...], says: str) -> None:
    with program(*flags) as (_, process):
        assert process.wait(10) == 2
        assert process.stderr is not None
        assert says in process.stderr.read()


def test_a_port_that_is_taken_is_told_as_such() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        with program("segmind", "--port", str(one.getsockname()[1])) as (_, process):
            assert process.wait(10) == 2


# ---------------------------------------------------------------------------------- under fire

METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "get", "X"])
PATHS = st.sampled_from(
    [
        "/v2/p-image",
        "/v1/p-image",
        "/v1",
        "/v2/requests/x",
        "/v2/requests/%2e%2e/status",
        "/api/v1/models/p-image-edit/run",
        "/",
        "//",
        "/[",
        "*",
        "/api/v1/jobs/x",
        "/segmind/v2/p-image",
        "/runware/v1",
        "/~media/x-0.png",
        "/~media/-",
        "/~media/x-²",
    ]
)
NAMES = sorted({name for endpoint in load_all() for name in endpoint.parameters} | {"taskType", "taskUUID", "model"})
WORDS = st.sampled_from(
    ["imageInference", "getResponse", "imageUpload", "prunaai:2@1", "16:9", "http://[", "nsfw", "x"]
)
VALUES = JSON | WORDS | st.lists(WORDS, max_size=3)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)


@given(
    METHODS,
    PATHS | st.text(max_size=20),
    BODIES | st.lists(BODIES, max_size=3) | JSON,
    st.binary(max_size=8),
    st.booleans(),
)
def test_no_call_makes_the_mock_fail_by_itself(method: str, path: str, body: Any, raw: bytes, known: bool) -> None:
    mock = Mock(load_all(), limits=known)
    key = mock.key("segmind") if known else "x"
    headers = (("x-api-key", key), ("authorization", f"Bearer {mock.key('runware') if known else 'x'}"))
    with contextlib.suppress(ValueError):
        raw = json.dumps(body, allow_nan=True).encode() if len(raw) % 2 else raw
    answer = mock.answer(Call(method, f"http://mock.example{path}", headers, raw), 1.0, 2.0)
    assert answer.reply.status < 500
    assert b"Traceback" not in answer.reply.body
