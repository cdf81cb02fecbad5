"""A key is learnt from the call that carries it: it is neither kept nor shown, and a host that repeats it is asked."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from test_cli import run
from test_secrets import FORMS, seen
from wireproof import session
from wireproof.check import replies as _replies  # noqa: F401  (enters its checks into the table)
from wireproof.check.registry import CHECKS, judge
from wireproof.check.trace import read
from wireproof.conform import conform, embedded
from wireproof.errors import CouldNotTell
from wireproof.mock.defects import load_defects, manners
from wireproof.model import Call, Credential, Endpoint, Exchange, Finding, Reply, Severity
from wireproof.proxying import Proxy
from wireproof.recordings import read_recording
from wireproof.report import formats
from wireproof.runlog import load_run
from wireproof.secrets import Redactor, repeats
from wireproof.spec.load import resolve
from wireproof.wire.keys import carried, presented

KEY = "SG_0f9e8d7c6b5a49382716"
ODD_KEY = "sk-Live/7f3a+Q&z<9>\"é'=wXyZ0123456789abcdef"
(SEGMIND,) = resolve("segmind/p-image")
(RUNWARE,) = resolve("runware/p-image-edit")
SUBMIT = "https://api.segmind.com/v2/p-image"
ACK = {"request_id": "0" * 32, "status": "QUEUED"}


def call(body: Any = None, *headers: tuple[str, str], url: str = SUBMIT) -> Call:
    return Call("POST", url, headers, b"" if body is None else json.dumps(body).encode())


# ------------------------------------------------------------------------------------- what is a key

CARRIED = {
    "the contract's header": call(None, ("X-API-Key", KEY)),
    "a header of another host": call(None, ("Authorization", f"Bearer {KEY}")),
    "a prefix in other letters": call(None, ("authorization", f"bearer  {KEY}")),
    "the query": call(url=f"{SUBMIT}?api_key={KEY}&page=2"),
    "the login of an address": call(url=f"https://me:{KEY}@api.segmind.com/v2"),
    "the body": call({"prompt": "a fox", "apiKey": KEY}),
    "deep in the body": call([{"input": {"auth": [{"access_token": KEY}]}}]),
    "an element that logs in": call([{"taskType": "authentication", "apiKey": KEY}, {"taskType": "ping"}]),
    "a form": Call("POST", SUBMIT, (("content-type", "application/x-www-form-urlencoded"),), f"key={KEY}".encode()),
}


@pytest.mark.parametrize("place", CARRIED)
def test_a_key_is_known_wherever_a_call_carries_it(place: str) -> None:
    assert carried([SEGMIND.provider, RUNWARE.provider], CARRIED[place]) == {KEY}


@pytest.mark.parametrize(
    "harmless",
    [
        call({"prompt": "a fox", "seed": 7, "key": "mode_name", "keywords": "lighthouse1"}),
        call(None, ("x-api-key", "test")),
        call(None, ("x-api-key", "***"), ("authorization", "Bearer ***"), ("x-request-id", "0123456789abcdef")),
        call(None, (":authority", "api.segmind.com"), ("cookie", "theme=dark0123456789")),
        call(url=f"{SUBMIT}?page_token=abcdef0123456789&max_tokens=0123456789&api_key=***"),
        call(url="https://[broken/v2?"),
        Call("POST", SUBMIT, (), b"[" * 100_000),
    ],
)
def test_what_is_no_key_is_not_taken_for_one(harmless: Call) -> None:
    assert carried([SEGMIND.provider, RUNWARE.provider], harmless) == frozenset()


def test_a_key_in_the_query_is_known_as_it_is_written_and_as_it_is_meant() -> None:
    assert carried([], call(url=f"{SUBMIT}?key=a%2fb%2Fc0123")) == {"a%2fb%2Fc0123", "a/b/c0123"}


@pytest.mark.parametrize(
    "stand_in", ["***", "REDACTED", "[filtered]", "<your-api-key>", "sk-xxxxxxxxxxxx", "$SEGMIND_API_KEY", "key***1234"]
)
def test_what_stands_in_a_keys_place_is_not_presented_as_one(stand_in: str) -> None:
    assert presented(SEGMIND.provider, call(None, ("x-api-key", stand_in))) == frozenset()


# --------------------------------------------------------------------------------------- echoes


class _Echo(BaseHTTPRequestHandler):
    """A host that repeats the key it was called with, in every form, in a header, a body and an error."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        forms = [form for encode in FORMS.values() for form in encode(self.server.key)]  # type: ignore[attr-defined]
        body = json.dumps({**ACK, "echo": forms}).encode()
        self.send_response(400 if "bad" in self.path else 200)
        self.send_header("content-type", "application/json")
        self.send_header("server", forms[1])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said: Any) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], key: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.key = key  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def everything(folder: Path, *told: str) -> str:
    """All that a command has left behind, also with the escapes of its JSON undone."""
    text = "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())
    return "".join((text, *told)) + text.replace('\\"', '"').replace("\\\\", "\\")


@pytest.mark.parametrize("key", [KEY, ODD_KEY.replace("é", "e")])
def test_the_proxy_keeps_no_key_wherever_it_came_and_was_echoed(key: str, tmp_path: Path) -> None:
    def talk(url: str) -> None:
        with httpx.Client(base_url=url) as client:
            body = {"prompt": "a fox"}
            client.post("/v2/p-image", json=body, headers={"x-api-key": key})
            client.post("/v2/p-image/bad", params={"api_key": key}, json=body, headers={"x-api-key": "of-another"})
            client.post("/v2/p-image", json={**body, "api_key": key})

    with serving(_Echo, key) as target:
        ended = session.proxy([SEGMIND], target, port=0, seconds=0.1, report_dir=tmp_path, ready=talk)
    formats.write(ended, ["har", "html", "md", "json", "junit", "text"], Path(ended.folder))
    assert len(ended.exchanges) == 3
    assert seen(everything(tmp_path), key) == set()


@pytest.mark.parametrize("how", [("x-api-key", KEY), ("authorization", f"Bearer {KEY}"), None], ids=str)
def test_judging_a_recording_tells_no_key_that_its_calls_carry(how: tuple[str, str] | None, tmp_path: Path) -> None:
    url = SUBMIT if how else f"{SUBMIT}?api_key={KEY}"
    entry = {
        "startedDateTime": "2026-01-01T00:00:00Z",
        "time": 5,
        "request": {
            "method": "POST",
            "url": url,
            "headers": [{"name": name, "value": value} for name, value in [how or ("x-y", "z")]],
            "postData": {"text": json.dumps({"prompt": "a fox"})},
        },
        "response": {
            "status": 200,
            "headers": [{"name": "content-type", "value": "application/json"}],
            "content": {"text": json.dumps({**ACK, "status": KEY, "b": base64.b64encode(KEY.encode()).decode()})},
        },
    }
    recording = tmp_path / "traffic.har"
    recording.write_text(json.dumps({"log": {"entries": [entry]}}))
    kept = tmp_path / "kept"
    every = "html,md,junit,sarif,ctrf,github,har,json,text"
    done = run("judge", str(recording), "--spec", "segmind/p-image", "--report", every, "--report-dir", str(kept))
    assert "actual   ***" in done.stdout, "the state that was told is the key, and a finding says so"
    assert seen(everything(kept, done.stdout, done.stderr), KEY) == set()


def test_a_redactor_masks_what_it_learns_from_then_on() -> None:
    redactor = Redactor(["first-key-0123"])
    assert redactor.text(f"first-key-0123 {KEY}") == f"*** {KEY}"
    redactor.learn([KEY])
    assert redactor.text(f"first-key-0123 {KEY}") == "*** ***"


# ---------------------------------------------------------------------------- a reply repeats the key


def found(reply: Reply, *, key: str = KEY, credential: Credential = Credential.GOOD) -> list[Finding]:
    asked = call({"prompt": "a fox"}, ("x-api-key", key), ("content-type", "application/json"))
    exchange = Exchange(seq=1, call=asked, reply=reply, credential=credential)
    return list(judge(read(SEGMIND, [exchange]), [CHECKS["KEY003"]]))


def reply(status: int = 200, echo: str = "", **headers: str) -> Reply:
    return Reply(status, (("content-type", "application/json"), *headers.items()), json.dumps({"error": echo}).encode())


@pytest.mark.parametrize("name", [name for name in FORMS if name != "ends"])
@pytest.mark.parametrize("status", [200, 401, 500])
def test_a_key_in_a_body_is_asked_about_whatever_its_form(name: str, status: int) -> None:
    (one,) = found(reply(status, f"bad key {FORMS[name](KEY)[0]}!"))
    assert one.severity is Severity.QUESTION
    assert one.subject == "key in the body"
    assert KEY not in f"{one}"


def test_a_key_in_a_header_is_asked_about() -> None:
    assert [one.subject for one in found(reply(location=f"/v2?key={KEY}"))] == ["key in the headers"]


@pytest.mark.parametrize(
    ("key", "echo", "credential"),
    [
        (KEY, f"{KEY[:12]}…{KEY[-4:]}", Credential.GOOD),
        ("***", "***", Credential.GOOD),
        ("[REDACTED]", "[REDACTED]", Credential.UNTOLD),
        ("no-key-at-all", "no-key-at-all", Credential.MALFORMED),
        ("", "", Credential.NONE),
    ],
)
def test_what_is_not_the_whole_key_is_not_asked_about(key: str, echo: str, credential: Credential) -> None:
    assert found(reply(401, echo), key=key, credential=credential) == []


def test_the_beginning_of_a_key_is_not_the_key() -> None:
    assert not repeats(KEY, KEY[:12])
    assert repeats(KEY, f"x{KEY}y".encode())


def test_a_key_that_was_found_is_not_found_again_in_what_was_kept_of_the_run(tmp_path: Path) -> None:
    endpoint: Endpoint = SEGMIND
    verdict, exchanges = conform(
        endpoint, embedded(endpoint, 1, manners(load_defects()["echoes-key"])), profile="quick"
    )
    assert "KEY003" in {one.check for one in verdict.findings}
    recording = tmp_path / "run.jsonl"
    kept = session.RunWriter.create(
        tmp_path,
        command="check",
        target="mock",
        seed=0,
        version="0",
        options={},
        specs={},
        keep_bodies=True,
        redactor=Redactor(key for one in exchanges for key in carried([endpoint.provider], one.call)),
    )
    for one in exchanges:
        kept.exchange(one)
    recording = kept.close()
    again = session.judge([endpoint], recording, tmp_path / "judged")
    assert "KEY003" not in {one.check for one in again.findings}
    assert len(read_recording(recording)) == len(load_run(recording).exchanges) == len(exchanges)


# ------------------------------------------------------------------------------- bad days of the proxy


@pytest.fixture
def standing() -> Iterator[tuple[Proxy, list[str]]]:
    trouble: list[str] = []
    proxy = Proxy((SEGMIND,), "http://127.0.0.1:1", trouble=trouble.append)
    worker = threading.Thread(target=proxy.serve, daemon=True)
    worker.start()
    yield proxy, trouble
    proxy.stop()
    worker.join(timeout=5)


def said(proxy: Proxy, octets: bytes, *, reset: bool = False) -> bytes:
    """What the proxy answers to these bytes, until it ends the connection."""
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(octets)
        if reset:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return b""
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while part := line.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize(
    ("octets", "status", "words"),
    [
        (b"GARBAGE\r\n\r\n", b"400", b"Bad request syntax"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400", b"Bad request"),
        (b"BREW /v2 HTTP/1.1\r\nhost: a\r\n\r\n", b"501", b"Unsupported method"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505", b"version"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414", b"Long"),
        (b"POST / HTTP/1.1\r\ncontent-length: \xb2\r\n\r\n", b"400", b"Content-Length"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", b"413", b"32 MiB"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"411", b"chunks"),
    ],
)
def test_what_is_no_request_is_answered_with_a_sentence_and_no_page(
    standing: tuple[Proxy, list[str]], octets: bytes, status: bytes, words: bytes
) -> None:
    proxy, trouble = standing
    head, _, body = said(proxy, octets).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"text/plain" in head
    assert b"connection: close" in head
    assert body.startswith(b"wireproof proxy: ")
    assert words in body
    assert b"<" not in body
    assert (proxy.exchanges, trouble) == ([], [])


def test_a_client_that_goes_away_is_no_error_and_half_a_request_none(
    standing: tuple[Proxy, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    proxy, trouble = standing
    half = b"POST /v2/p-image HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\n{"
    said(proxy, half)
    for octets in (b"POST /v2 HT", half, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"):
        said(proxy, octets, reset=True)
    assert b"502" in said(proxy, b"GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    proxy.stop()
    assert {one.call.method for one in proxy.exchanges} == {"GET"}
    assert trouble == []
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_kept_is_told_in_a_line_and_the_client_has_its_answer() -> None:
    trouble: list[str] = []

    def full(exchange: Exchange) -> None:
        raise CouldNotTell("the disk is full")

    proxy = Proxy((SEGMIND,), "http://127.0.0.1:1", heard=full, trouble=trouble.append)
    assert proxy.pass_on(call()).status == 502
    assert proxy.pass_on(replace(call(), method="GET")).status == 502
    assert trouble == ["proxy: what was said could not be kept: the disk is full"] * 2
    proxy._server.server_close()
