"""The mock's server over real loopback sockets: what it answers, what it refuses, how it breaks off."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wireproof
from wireproof.clock import Clock, RealClock, ScaledClock, SteppedClock
from wireproof.mock.answer import Answer, Delivery
from wireproof.mock.connection import Connection
from wireproof.mock.framing import Limits
from wireproof.mock.socket import Desk, MockServer, serving
from wireproof.model import Call, Reply

PATIENCE = 5.0
"""Seconds after which a test gives up on a socket."""


def text(body: bytes | str, status: int = 200) -> Reply:
    return Reply(status, (("content-type", "text/plain"),), body.encode() if isinstance(body, str) else body)


@dataclass
class Script:
    """An engine that answers by path, and echoes what it does not know."""

    answers: dict[str, Answer] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        self.calls.append(call)
        known = self.answers.get(urlsplit(call.url).path)
        return known or Answer(text(f"{call.method} {call.url} ".encode() + call.body))


class Falling:
    def answer(self, call: Call, now: float, wall: float) -> Answer:
        raise RuntimeError("in /home/somebody/secret.py")


class Line:
    """A raw connection to the mock."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=PATIENCE)
        self.host = parts.netloc.encode()
        self.got = b""

    def send(self, data: bytes) -> Line:
        self.socket.sendall(data)
        return self

    def get(self, path: str, *more: str) -> Line:
        head = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {self.host.decode()}", *more, "", ""])
        return self.send(head.encode())

    def until(self, ending: bytes) -> bytes:
        while not self.got.endswith(ending):
            more = self.socket.recv(65536)
            assert more, f"closed after {self.got!r}"
            self.got += more
        return self.got

    def rest(self) -> bytes:
        """Everything until the mock closes."""
        while more := self.socket.recv(65536):
            self.got += more
        return self.got

    def reset(self) -> bytes:
        """Everything until the mock resets the connection."""
        with pytest.raises(ConnectionResetError):
            self.rest()
        return self.got


@contextlib.contextmanager
def line(url: str) -> Iterator[Line]:
    one = Line(url)
    try:
        yield one
    finally:
        one.socket.close()


def ask(url: str, data: bytes) -> bytes:
    """What the mock says to these bytes, until it closes."""
    with line(url) as one:
        return one.send(data).rest()


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def post(*headers: str, body: bytes = b"", path: str = "/", version: str = "1.1") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/{version}", "Host: a", *headers, "", ""]).encode() + body


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with serving(Script()) as url:
        yield url


# ---------------------------------------------------------------------------------- plain HTTP/1.1


def test_the_engine_is_handed_the_address_the_client_used() -> None:
    engine = Script()
    with serving(engine) as url:
        port = urlsplit(url).port
        httpx.post(f"http://localhost:{port}/v1/x?a=%20b", content=b"hello", headers={"X-One": "1"})
    (call,) = engine.calls
    assert (call.method, call.url, call.body) == ("POST", f"http://localhost:{port}/v1/x?a=%20b", b"hello")
    assert call.header("x-one") == "1"


def test_an_empty_header_stays_an_empty_header() -> None:
    engine = Script()
    with serving(engine) as url, line(url) as one:
        one.get("/", "X-Empty: ", "X-Next: n").until(b"/ ")
    assert (engine.calls[0].header("x-empty"), engine.calls[0].header("x-next")) == ("", "n")


def test_it_listens_on_this_machine_only_unless_asked(echo: str) -> None:
    assert urlsplit(echo).hostname == "127.0.0.1"


def test_a_connection_is_kept_for_the_next_call(echo: str) -> None:
    with line(echo) as one:
        one.get("/first").until(b"/first ")
        assert one.get("/second").until(b"/second ").count(b"200 OK") == 2


def test_pipelined_calls_are_answered_in_order(echo: str) -> None:
    calls = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(3000))
    with line(echo) as one:
        sender = threading.Thread(target=one.send, args=(calls,))
        sender.start()
        one.until(b"GET http://a/2999 ")
        sender.join()
    bodies = [part.split(b"\r\n\r\n")[1] for part in one.got.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"GET http://a/%d " % n for n in range(3000)]


def test_a_call_may_come_byte_by_byte(echo: str) -> None:
    with line(echo) as one:
        for byte in post("Content-Length: 3", body=b"abc", path="/slow"):
            one.send(bytes([byte]))
        assert one.until(b"/slow abc")


def test_a_chunked_body_arrives_whole(echo: str) -> None:
    with line(echo) as one:
        one.send(post("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"))
        assert one.until(b" abcdefg").startswith(b"HTTP/1.1 200 OK\r\n")


def test_head_is_answered_with_the_length_and_no_body(echo: str) -> None:
    with line(echo) as one:
        one.send(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
        one.get("/y").until(b"/y ")
    first, _ = one.got.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first == b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len("HEAD http://a/x ")


@pytest.mark.parametrize("code", [204, 304])
def test_a_reply_that_has_no_body_has_none(code: int) -> None:
    with serving(Script({"/empty": Answer(text("never", code))})) as url, line(url) as one:
        one.get("/empty").get("/next").until(b"/next ")
    assert b"never" not in one.got
    assert b"content-length" not in one.got.split(b"HTTP/1.1 200")[0]


def test_a_client_that_expects_a_sign_gets_it_before_it_sends_the_body(echo: str) -> None:
    with line(echo) as one:
        one.send(post("Content-Length: 2", "Expect: 100-continue"))
        assert one.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert b"200 OK" in one.send(b"ok").until(b"/ ok")


def test_a_body_too_large_is_refused_before_it_is_sent(echo: str) -> None:
    reply = ask(echo, post(f"Content-Length: {2 << 20}", "Expect: 100-continue"))
    assert status(reply) == 413


def test_an_unknown_expectation_is_refused(echo: str) -> None:
    assert status(ask(echo, post("Content-Length: 2", "Expect: a-miracle"))) == 417


def test_a_client_that_says_close_is_closed_on(echo: str) -> None:
    reply = ask(echo, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
    assert reply.count(b"HTTP/1.1") == 1
    assert b"connection: close\r\n" in reply


def test_a_client_of_http_1_0_is_answered_and_closed_on(echo: str) -> None:
    reply = ask(echo, b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert reply.endswith(f"GET {echo}/old ".encode())


def test_a_client_that_closed_its_half_is_still_answered() -> None:
    with serving(Script({"/late": Answer(text("late"), after=0.05)})) as url, line(url) as one:
        one.get("/late").get("/next").socket.shutdown(socket.SHUT_WR)
        assert one.rest().index(b"late") < one.got.index(b"/next ")


def test_an_offer_of_http_2_is_declined_by_answering(echo: str) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    with line(echo) as one:
        one.send(post(*offer, "Content-Length: 3", body=b"abc", path="/java")).until(b"/java abc")
        assert one.get("/again").until(b"/again ").count(b"200 OK") == 2


def test_a_header_value_cannot_smuggle_in_a_line() -> None:
    sly = Reply(200, (("x-echo", "a\r\nset-cookie: b"),), b"end")
    with serving(Script({"/": Answer(sly)})) as url, line(url) as one:
        assert b"\r\nset-cookie" not in one.get("/").until(b"end")


def test_httpx_and_its_pool_are_served(echo: str) -> None:
    with httpx.Client(base_url=echo) as client:
        said = [client.post(f"/{n}", json={"n": n}).text for n in range(20)]
    assert said == [f'POST {echo}/{n} {{"n":{n}}}' for n in range(20)]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_is_served_and_sees_refusals(echo: str, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(3 << 20))
    curl = ["curl", "-s", "-m", "5", "-o", os.devnull, "-w", "%{http_code} "]
    upload = [f"{echo}/b", "--data-binary", f"@{large}", "--next", *curl[1:]]
    said = subprocess.check_output([*curl, *upload, f"{echo}/c"], text=True, timeout=10)
    assert said.split() == ["413", "200"]


def test_tls_is_served_under_its_own_scheme() -> None:
    authority, here = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(here)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with serving(Script(), tls=here) as url:
        assert url.startswith("https://")
        assert httpx.get(f"{url}/x", verify=trust).text == f"GET {url}/x "


def test_a_quick_answer_goes_out_as_it_is_and_the_rest_to_the_engine() -> None:
    class Quick(Script):
        def quick(self, fields: Mapping[bytes, bytes], origin: str) -> Desk:
            return self.desk

        def desk(self, method: bytes, target: bytes, body: bytes, now: float) -> bytes | None:
            return b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nquick" if target == b"/q" else None

    with serving(Quick()) as url, line(url) as one:
        one.get("/q").get("/other").until(b"/other ")
        assert one.got.index(b"quick") < one.got.index(b"/other")
    journal: list[Call] = []
    with serving(Quick(), on_exchange=lambda call, answer, at: journal.append(call)) as url, line(url) as one:
        one.get("/q").until(b"/q ")
    assert len(journal) == 1, "a journal misses nothing: with one there is no short cut"


class Spoken(asyncio.Transport):
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return True


class Always(Script):
    """An engine whose short cut takes every call, and says what it was."""

    def quick(self, fields: Mapping[bytes, bytes], origin: str) -> Desk:
        said = fields.get(b"x-api-key", b"-"), origin.encode()
        return lambda method, target, body, now: b"%b %b %b %b %b\n" % (method, target, *said, body)


FIRST = [
    b"POST /q HTTP/1.1\r\n",
    b"GET /q HTTP/1.1\r\n",
    b"GET /q HTTP/1.0\r\n",
    b"GET  /q HTTP/1.1\r\n",
    b"GET /q HTTP/1.1\n",
    b"\r\nGET /q HTTP/1.1\r\n",
    b"POST /q HTTP/1.1\r\nGET /q HTTP/1.1\r\n",
    b"GET /q\r\n",
    b"get /q HTTP/1.1\r\n",
]
FIELDS = [
    b"Host: a\r\n",
    b"Host:a\r\n",
    b"X-Api-Key: 1\r\n",
    b"x-api-key: 2 \r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 0\r\n",
    b"Connection: close\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b" folded\r\n",
    b"X: y\n",
]
RAW = st.builds(
    lambda first, fields, end, body: first + b"".join(fields) + end + body,
    st.sampled_from(FIRST), st.lists(st.sampled_from(FIELDS), max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\n", b""]), st.sampled_from([b"", b"{}", b"{}{}", b"0\r\n\r\n"]),
)  # fmt: skip


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with contextlib.closing(asyncio.new_event_loop()) as one:
        yield one


def server_in(loop: asyncio.AbstractEventLoop) -> MockServer:
    """A server that listens nowhere."""
    server = MockServer(Always(), clock=SteppedClock())
    server.loop = loop
    return server


def turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop do what it has to do now."""
    loop.call_soon(loop.stop)
    loop.run_forever()


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(calls=st.lists(RAW, min_size=2, max_size=8))
def test_headers_known_by_heart_are_never_read_otherwise_than_by_the_parser(
    loop: asyncio.AbstractEventLoop, calls: list[bytes]
) -> None:
    ways = [server_in(loop) for _ in range(2)]
    for raw in [call for call in calls for _ in range(2)]:
        said = []
        for remembers, server in enumerate(ways):
            if not remembers:
                server.heads.clear()
            connection, transport = Connection(server), Spoken()
            connection.connection_made(transport)
            connection.data_received(raw)
            turn(loop)
            said.append((transport.said, transport.closed))
        assert said[0] == said[1]


def test_the_second_call_with_the_same_headers_is_known_by_heart(loop: asyncio.AbstractEventLoop) -> None:
    server = server_in(loop)
    connection, transport = Connection(server), Spoken()
    connection.connection_made(transport)
    for path in (b"/a", b"/b"):
        connection.data_received(b"GET %b HTTP/1.1\r\nHost: m\r\nX-Api-Key: k\r\n\r\n" % path)
    turn(loop)
    assert transport.said == b"GET /a k http://m \nGET /b k http://m \n"
    assert list(server.heads) == [b"Host: m\r\nX-Api-Key: k"]


def test_answers_of_one_turn_leave_together_and_ahead_of_whatever_comes_after_them(
    loop: asyncio.AbstractEventLoop,
) -> None:
    server = server_in(loop)
    call = b"GET /%d HTTP/1.1\r\nHost: m\r\n\r\n"
    lines = [(Connection(server), Spoken()) for _ in range(3)]
    for connection, transport in lines:
        connection.connection_made(transport)
    lines[0][0].data_received(call % 0)
    for number, (connection, _) in enumerate(lines):
        connection.data_received(call % number)
    assert [transport.said.count(b"\n") for _, transport in lines] == [1, 0, 0]
    lines[1][0].data_received(b"GET /odd HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
    assert [transport.said.split(b"\n")[:-1] for _, transport in lines] == [
        [b"GET /0 - http://m ", b"GET /0 - http://m "],
        [b"GET /1 - http://m ", b"GET /odd - http://m "],
        [b"GET /2 - http://m "],
    ]
    lines[2][0].data_received(call % 3)
    lines[2][1].close()
    turn(loop)
    assert lines[2][1].said.count(b"\n") == 1, "nobody is there any more"


def test_a_call_known_by_heart_is_answered_though_its_client_closed_its_half_at_once() -> None:
    with serving(Always()) as url:
        for _ in range(20):
            with line(url) as one:
                one.get("/q").socket.shutdown(socket.SHUT_WR)
                assert one.rest() == f"GET /q - {url} \n".encode()


def test_a_websocket_handshake_is_handed_over_raw_with_what_follows() -> None:
    heads: list[bytes] = []

    class Echo(asyncio.Protocol):
        def __init__(self, transport: asyncio.Transport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(b"<" + data + b">")

    def upgrade(head: bytes, transport: asyncio.Transport) -> asyncio.Protocol | None:
        heads.append(head)
        return Echo(transport) if b" /ws " in head else None

    wish = ("Connection: Upgrade", "Upgrade: websocket")
    with serving(Script(), upgrade=upgrade) as url, line(url) as one:
        one.get("/plain", *wish).until(b"/plain ")
        one.got = b""
        one.send(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nab")
        assert one.until(b">") == b"<ab>"
        assert one.send(b"cd").until(b"<cd>") == b"<ab><cd>"
    assert heads[1] == b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


# -------------------------------------------------------------------------------------- refusals

AMBIGUOUS = {
    "both lengths": post("Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "both lengths, other order": post("Transfer-Encoding: chunked", "Content-Length: 3", body=b"0\r\n\r\n"),
    "two lengths that agree": post("Content-Length: 3", "Content-Length: 3", body=b"abc"),
    "two lengths that differ": post("Content-Length: 3", "Content-Length: 4", body=b"abc"),
    "a list of lengths": post("Content-Length: 3, 3", body=b"abc"),
    "a signed length": post("Content-Length: +3", body=b"abc"),
    "a length beyond numbers": post("Content-Length: 99999999999999999999999", body=b"abc"),
    "two codings": post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "a coding that ends otherwise": post("Transfer-Encoding: chunked, x", body=b"0\r\n\r\n"),
    "a blank before the colon": post("Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "bare LF after a header": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF after a chunk size": post("Transfer-Encoding: chunked", body=b"3\nabc\r\n0\r\n\r\n"),
    "a chunk size with a prefix": post("Transfer-Encoding: chunked", body=b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": post("Transfer-Encoding: chunked", body=b"0\r\n\r\n", version="1.0"),
    "a folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "a bare CR": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    "trailers": post("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
    "a host that is none": b"GET / HTTP/1.1\r\nHost: a/../b\r\n\r\n",
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_and_closed(echo: str, data: bytes) -> None:
    reply = ask(echo, data)
    assert status(reply) == 400
    assert reply.count(b"\r\n\r\n") == 1


def chunks(count: int, size: int = 65536) -> Iterator[bytes]:
    for _ in range(count):
        yield bytes(size)


REFUSED = {
    "a long body": (413, post(f"Content-Length: {(1 << 20) + 1}", body=b"x")),
    "a long line": (414, b"GET /" + b"x" * 8200 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a long line without end": (414, b"GET /" + b"x" * 9000),
    "a packed body": (415, post("Content-Encoding: gzip", "Content-Length: 3", body=b"abc")),
    "long headers": (431, post(f"X: {'x' * 17000}")),
    "a long header without end": (431, post()[:-2] + b"X: " + b"x" * 40000),
    "many headers": (431, post(*["X: y"] * 101)),
    "another coding": (501, post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "a tunnel": (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "another version": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
}


@pytest.mark.parametrize(("expected", "data"), REFUSED.values(), ids=REFUSED)
def test_what_is_too_much_is_refused_and_closed(echo: str, expected: int, data: bytes) -> None:
    assert status(ask(echo, data)) == expected


def test_what_is_just_within_the_limits_is_served(echo: str) -> None:
    body = bytes(1 << 20)
    reply = httpx.post(f"{echo}/{'x' * 8000}", content=body, headers={"x-long": "y" * 15000})
    assert reply.status_code == 200
    assert httpx.get(echo, headers=[("x", str(n)) for n in range(90)]).status_code == 200


def test_an_endless_chunked_body_is_refused_while_it_comes(echo: str) -> None:
    assert httpx.post(echo, content=chunks(400)).status_code == 413


def test_a_body_in_tiny_chunks_is_counted_too() -> None:
    with serving(Script(), limits=Limits(body=1000)) as url:
        assert status(ask(url, post("Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * 1001))) == 413


def test_a_refusal_waits_for_its_turn() -> None:
    with serving(Script({"/late": Answer(text("late"), after=0.02)})) as url, line(url) as one:
        assert one.get("/late").send(b"nonsense\r\n\r\n").rest().index(b"late") < one.got.index(b" 400 ")


def test_a_connection_too_many_is_turned_away_and_the_next_one_served() -> None:
    with serving(Script(), limits=Limits(connections=2)) as url:
        with line(url) as one, line(url) as two:
            one.get("/1").until(b"/1 ")
            two.get("/2").until(b"/2 ")
            with line(url) as three:
                assert status(three.rest()) == 503
        assert eventually(lambda: httpx.get(f"{url}/4").status_code == 200)


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold while a test has patience."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            return False
    return True


HURRIED = Limits(head_within=0.1, request_within=0.2, write_within=0.2, idle=0.3)


@pytest.mark.parametrize(
    ("begun", "expected"),
    [(b"", b""), (b"GET / HT", b"HTTP/1.1 408 "), (post("Content-Length: 9", body=b"x"), b"HTTP/1.1 408 ")],
    ids=["nothing said", "headers unfinished", "body unfinished"],
)
def test_a_client_that_dawdles_is_closed_on(begun: bytes, expected: bytes) -> None:
    with serving(Script(), limits=HURRIED) as url:
        assert ask(url, begun)[: len(expected) or None] == expected


def test_a_connection_left_idle_is_closed() -> None:
    with serving(Script(), limits=HURRIED) as url, line(url) as one:
        assert one.get("/once").rest().count(b"HTTP/1.1") == 1


def test_a_client_that_does_not_read_is_dropped() -> None:
    huge = Answer(text(bytes(64 << 20)))
    with serving(Script({"/huge": huge}), limits=HURRIED) as url, line(url) as one, line(url) as other:
        one.get("/huge").get("/huge")
        assert other.get("/x", "Connection: close").rest().endswith(b"/x ")
        assert one.socket.recv(10, socket.MSG_WAITALL | socket.MSG_PEEK)
        time.sleep(0.5)  # the promise is about real time: nothing is read while it passes
        assert len(one.reset()) < 64 << 20


def test_an_engine_that_fails_tells_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    with serving(Falling()) as url:
        reply = ask(url, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status(reply) == 500
    assert b"secret" not in reply
    assert "secret.py" in caplog.text


PARTS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"abc",
        b"\r\n",
    ]
    + [b"Transfer-Encoding: chunked\r\n", b"3\r\n", b"0\r\n\r\n", b"Expect: 100-continue\r\n", b"\n", b"\xff"]
    + [b"Connection: Upgrade\r\n", b"Upgrade: h2c\r\n", b"Upgrade: websocket\r\n", b"HEAD * HTTP/1.0\r\n"]
    + [b"OPTIONS * HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"GET http://[ HTTP/1.1\r\n"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.one_of(st.lists(PARTS | st.binary(max_size=8), max_size=12).map(b"".join), st.binary()))
def test_no_bytes_bring_it_down_or_make_it_talk(echo: str, data: bytes) -> None:
    with line(echo) as one:
        one.send(data).socket.shutdown(socket.SHUT_WR)
        reply = one.rest()
    assert reply == b"" or reply.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 500" not in reply
    assert b"Traceback" not in reply
    assert b".py" not in reply
    assert ask(echo, b"GET /alive HTTP/1.0\r\nHost: a\r\n\r\n").endswith(b"GET http://a/alive ")


# -------------------------------------------------------------------------------------- delivery


def delivered(delivery: Delivery, body: bytes = b"0123456789", after: float = 0.0) -> Script:
    return Script({"/": Answer(text(body), after=after, delivery=delivery)})


def test_a_reset_takes_the_place_of_the_reply() -> None:
    with serving(delivered(Delivery(reset=True))) as url, line(url) as one:
        assert one.get("/").reset() == b""


def test_a_reset_may_come_after_some_of_the_body() -> None:
    with serving(delivered(Delivery(reset=True, cut_after=4))) as url, line(url) as one:
        assert one.get("/").reset().endswith(b"content-length: 10\r\n\r\n0123")


def test_a_late_reset_loses_none_of_the_bytes_before_it() -> None:
    body = bytes(8 << 20)
    with serving(delivered(Delivery(reset=True, cut_after=len(body)), body)) as url, line(url) as one:
        assert one.get("/").reset().endswith(b"\r\n\r\n" + body)


def test_a_cut_reply_promises_more_than_it_sends() -> None:
    with serving(delivered(Delivery(cut_after=4))) as url:
        assert ask(url, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"length: 10\r\n\r\n0123")
        with pytest.raises(httpx.RemoteProtocolError, match="received 4 bytes, expected 10"):
            httpx.get(url)


def test_a_dripped_reply_arrives_whole_and_slowly() -> None:
    with serving(delivered(Delivery(drip=0.01))) as url:
        began = time.monotonic()
        assert httpx.get(url).text == "0123456789"
        assert time.monotonic() - began > 0.08


def test_a_silent_mock_keeps_the_line_open_and_serves_others() -> None:
    with serving(delivered(Delivery(silence=True)), limits=HURRIED) as url, line(url) as one:
        one.get("/").get("/x").socket.settimeout(0.6)
        with pytest.raises(TimeoutError):
            one.rest()
        assert one.got == b""
        assert httpx.get(f"{url}/other").status_code == 200


def test_a_closing_reply_says_so_and_closes() -> None:
    with serving(delivered(Delivery(close=True))) as url, line(url) as one:
        assert b"\r\nconnection: close\r\n" in one.get("/").rest()
        assert one.got.endswith(b"0123456789")


def test_a_whole_reply_may_come_late_without_holding_up_other_clients() -> None:
    engine = Script({"/late": Answer(text("late"), after=0.2)})
    with serving(engine) as url, line(url) as one, line(url) as two:
        one.get("/late").get("/next")
        two.get("/other").until(b"/other ")
        one.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            one.socket.recv(1)
        one.socket.settimeout(PATIENCE)
        assert one.until(b"/next ").index(b"late") < one.got.index(b"/next ")


@pytest.mark.parametrize("clock", [ScaledClock(1000.0), SteppedClock()], ids=["scaled", "stepped"])
def test_waits_pass_by_the_clock_of_the_mock(clock: Clock) -> None:
    before = clock.now()
    with serving(delivered(Delivery(drip=1.0), after=50.0), clock=clock) as url:
        assert httpx.get(url, timeout=5.0).text == "0123456789"
    assert clock.now() - before >= 59.0


def test_many_answers_that_wait_for_nothing_do_not_nest() -> None:
    engine = Script({"/": Answer(text("."), after=1.0)})
    clock = SteppedClock()
    with serving(engine, clock=clock) as url, line(url) as one:
        one.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000).get("/end").until(b"/end ")
    assert clock.now() == 2000.0


def test_effects_follow_the_reply_and_survive_a_lost_client() -> None:
    done: list[object] = []
    answers = {
        "/": Answer(text("whole"), effects=("first",)),
        "/late": Answer(text("late"), after=60.0, effects=("second",)),
    }
    with serving(Script(answers), on_effect=done.append) as url:
        with line(url) as one:
            one.get("/").until(b"whole")
            assert eventually(lambda: done == ["first"])
            one.get("/late").get("/late")
        assert done == ["first"]
    assert done == ["first", "second"]


def test_every_exchange_is_told_with_the_time_it_came() -> None:
    told: list[tuple[str, int, float]] = []

    def note(call: Call, answer: Answer, at: float) -> None:
        told.append((call.method, answer.reply.status, at))

    with serving(Script(), clock=SteppedClock(7.0), on_exchange=note) as url:
        httpx.get(url)
        httpx.put(url)
    assert told == [("GET", 200, 7.0), ("PUT", 200, 7.0)]


# ------------------------------------------------------------------------------- start and stop


def test_an_address_in_use_is_told_to_who_asked(echo: str) -> None:
    with pytest.raises(OSError, match="in use"), serving(Script(), port=urlsplit(echo).port or 0):
        pass


def test_after_the_block_nobody_answers() -> None:
    with serving(Script()) as url, line(url) as one:
        one.get("/").until(b"/ ")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_the_loop_of_the_standard_library_serves_as_well() -> None:
    async def story() -> tuple[str, str]:
        server = MockServer(delivered(Delivery(close=True)), clock=RealClock())
        await server.start()
        async with httpx.AsyncClient(base_url=server.url) as client:
            said = (await client.get("/")).text, (await client.get("/x")).text
        await server.stop()
        return said

    first, second = asyncio.run(story())
    assert first == "0123456789"
    assert second.endswith("/x ")


FOREVER = """
from wireproof.clock import RealClock
from wireproof.mock.answer import Answer
from wireproof.mock.socket import MockServer, run_forever
from wireproof.model import Reply
class Engine:
    def answer(self, call, now, wall): return Answer(Reply(200, (), b"here"))
run_forever(MockServer(Engine(), clock=RealClock()), lambda url: print(url, flush=True))
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_runs_forever_ends_cleanly_when_told(number: signal.Signals) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(wireproof.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", FOREVER], env=env, stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout is not None
        assert httpx.get(child.stdout.readline().strip()).text == "here"
        child.send_signal(number)
        said, complained = child.communicate(timeout=PATIENCE)
    assert (said, complained, child.returncode) == ("ended\n", "", 0)
