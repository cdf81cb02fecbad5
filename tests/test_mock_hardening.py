"""The mock under fire: odd JSON, raw bytes, broken frames, clients that want more than their share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import lines
from wireproof.clock import SteppedClock
from wireproof.mock.channels import Channels
from wireproof.mock.connection import Connection
from wireproof.mock.engine import Mock
from wireproof.mock.framing import DEFAULT_LIMITS, Limits, framed
from wireproof.mock.jobs import Memory
from wireproof.mock.socket import MockServer, serving
from wireproof.model import Call, Kind
from wireproof.spec.load import resolve
from wireproof.wire import requests

ALL = resolve("all")
SUBMITS: Mapping[str, tuple[str, Any]] = {
    "segmind": ("/v2/p-image", {"prompt": "a lighthouse", "seed": 7}),
    "runware": ("/v1", [{
        "taskType": "imageInference", "taskUUID": "00000000-0000-4000-8000-000000000001", "model": "prunaai:2@1",
        "positivePrompt": "a lighthouse", "ttl": 70, "inputs": {"referenceImages": ["https://pictures.example/a.png"]},
    }]),
}  # fmt: skip
"""A good submit of two hosts: one that tells a problem in an object, one that tells it in a list."""


def submit(mock: Mock, host: str, body: bytes, short: bool = True) -> bytes:
    """The whole reply to a submit, by the short cut where that takes it."""
    provider = next(one.provider for one in mock.hosts if one.provider.name == host)
    path, key = f"/{host}{SUBMITS[host][0]}", provider.auth.prefix + mock.key(host)
    fields = {b"host": b"m", provider.auth.header.lower().encode(): key.encode()}
    desk = mock.quick(fields, "http://m") if short else None
    whole = desk(b"POST", path.encode(), body, 0.0) if desk is not None else None
    if whole is not None:
        return whole
    call = Call("POST", f"http://m{path}", ((provider.auth.header, key),), body)
    reply = mock.answer(call, 0.0, 0.0).reply
    return framed(reply, keep=True) + reply.body


def deep(depth: int) -> bytes:
    return b'{"prompt":' + b"[" * depth + b"]" * depth + b"}"


ODD = {
    "a name twice": b'{"prompt":"a","seed":1,"seed":2}',
    "a name twice, with blanks": b'{ "prompt" : "a" , "seed" : 1 ,\n"seed" : 1 }',
    "a name twice, once escaped": b'{"prompt":"a","\\u0070rompt":"b"}',
    "a name twice, and an escaped colon": b'{"prompt":"a\\u003a","prompt":"b:"}',
    "a name twice, and colons in words": b'{"prompt":"a:b:c","prompt":":::"}',
    "a name twice further in": b'{"prompt":"a","metadata":[{"a":1,"a":2}]}',
    "an empty name twice": b'{"prompt":"a","":1,"":1}',
    "lists in lists": deep(101),
    "very deep lists": deep(100_000),
    "deep objects": b'{"prompt":' * 101 + b"1" + b"}" * 101,
    "a number of a million digits": b'{"prompt":"a","seed":' + b"9" * 1_000_000 + b"}",
    "a number beyond floats": b'{"prompt":"a","seed":1e400}',
    "not a number": b'{"prompt":"a","seed":NaN}',
    "infinity": b'{"prompt":"a","seed":-Infinity}',
    "half of a pair": b'{"prompt":"\\ud800"}',
    "half of a pair, raw": b'{"prompt":"\xed\xa0\x80"}',
    "a byte order mark": b'\xef\xbb\xbf{"prompt":"a"}',
    "another encoding": '{"prompt":"a"}'.encode("utf-16"),
    "bytes that are no text": b'{"prompt":"\xff"}',
    "a zero byte": b'{"prompt":"a\x00b"}',
    "two documents": b'{"prompt":"a"}{"prompt":"b"}',
    "no document": b"",
    "a comma too many": b'{"prompt":"a",}',
}


@pytest.mark.parametrize("host", SUBMITS)
@pytest.mark.parametrize("name", ODD)
def test_odd_json_is_refused_in_the_hosts_own_form_and_costs_little(host: str, name: str) -> None:
    body = ODD[name] if host == "segmind" else b"[" + ODD[name] + b"]"
    mock = Mock(ALL)
    provider = next(one.provider for one in mock.hosts if one.provider.name == host)
    replies: list[bytes] = []
    assert lines(lambda: replies.append(submit(mock, host, body))) < 20_000
    (whole,) = replies
    head, _, told = whole.partition(b"\r\n\r\n")
    allowed = {code for one in provider.problems.values() if one.kind is Kind.INVALID for code in one.statuses}
    assert int(head.split()[1]) in allowed
    assert json.loads(told)
    assert b"Traceback" not in told
    assert not len(mock.memory), "nothing is taken"


@pytest.mark.parametrize("host", SUBMITS)
def test_what_is_only_unusual_is_taken(host: str) -> None:
    body = requests.encode(SUBMITS[host][1])
    usual = [
        body.replace(b"a lighthouse", b'a \\"sign\\": \\"16:9\\" \\u003a'),
        body.replace(b'":', b'" :\t').replace(b',"', b' ,\n"'),
        body.replace(b"a lighthouse", "ein Leuchtturm für “zwei”: 灯台".encode()),
        body.replace(b'rompt":', b'\\u0072ompt":'),
    ]
    for one in usual:
        assert submit(Mock(ALL), host, one).startswith(b"HTTP/1.1 200 "), one


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON, ascii=st.booleans(), blanks=st.sampled_from(["", " "]))
def test_no_honest_text_is_said_to_name_a_member_twice(value: object, ascii: bool, blanks: str) -> None:
    text = json.dumps(value, ensure_ascii=ascii, separators=(f"{blanks},", f"{blanks}:{blanks}"))
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return
    read, trouble = requests.decode(raw)
    assert trouble or not requests.names_twice(raw, read)


@given(pairs=st.lists(st.tuples(st.text(max_size=2), st.text(max_size=3)), min_size=1, max_size=5), ascii=st.booleans())
def test_a_member_that_is_named_twice_is_always_seen(pairs: list[tuple[str, str]], ascii: bool) -> None:
    members = [f"{json.dumps(k, ensure_ascii=ascii)}:{json.dumps(v, ensure_ascii=ascii)}" for k, v in pairs]
    try:
        raw = ("{" + ",".join(members) + "}").encode()
    except UnicodeEncodeError:
        return
    read, trouble = requests.decode(raw)
    if not trouble:
        assert requests.names_twice(raw, read) == (len({name for name, _ in pairs}) < len(pairs))


# ------------------------------------------------------------------------------------- raw bytes

PATIENCE = 10.0
"""Seconds after which a test gives up on a socket."""
OWN = {501, 505}
"""What the server refuses as not its business, and by which number HTTP wants it refused so."""


@dataclass
class Target:
    """A mock behind its socket, and the words that it takes."""

    url: str
    key: str
    """One for Segmind."""
    other: str
    """One for Runware."""
    job: str

    def connect(self) -> socket.socket:
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)

    def honest(self, line: socket.socket) -> None:
        """A good call on a line that is kept; it is answered whatever happened before."""
        line.sendall(head("GET", f"/v2/requests/{self.job}/status", f"x-api-key: {self.key}"))
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")


def head(method: str, path: str, *fields: str, version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"{method} {path} {version}", "Host: m", *fields, "", ""]).encode("latin-1")


@contextlib.contextmanager
def target() -> Iterator[Target]:
    mock, clock = Mock(ALL, deposit=Decimal(10**9)), SteppedClock()
    key = mock.key("segmind")
    job = json.loads(submit(mock, "segmind", b'{"prompt":"x"}').partition(b"\r\n\r\n")[2])["request_id"]
    with serving(mock, clock=clock, upgrade=Channels(mock, clock).upgrade) as url:
        yield Target(url, key, mock.key("runware"), job)


def _some(chance: Random, most: int = 40) -> bytes:
    return chance.randbytes(chance.randrange(most))


def _good(chance: Random, at: Target, body: bytes) -> bytes:
    path, key = chance.choice(
        [("/v2/p-image", f"x-api-key: {at.key}"), ("/runware/v1", f"Authorization: Bearer {at.other}")]
    )
    if chance.random() < 0.1:
        path = chance.choice(["/v2/nobody", "/segmind/v2/p-image-edit", "/v1"])
    if chance.random() < 0.1:
        key = chance.choice(["x-api-key: wrong", "Authorization: Bearer", "X-None: 1"])
    return head("POST", path, key, f"Content-Length: {len(body)}") + body


def _body(chance: Random, at: Target) -> bytes:
    values: list[object] = [
        "x", "", "\0", "\ud7ff", 7, -1, 10**18, 10**40, 1e308, None, True, [], {}, ["x"], {"a": {"b": []}}, "NaN",
        "[mood:silence]",
    ]  # fmt: skip
    names = ["prompt", "seed", "width", "aspect_ratio", "image_urls", "taskType", "taskUUID", "model", "webhookURL"]
    made = {chance.choice(names): chance.choice(values) for _ in range(chance.randrange(6))}
    raw = json.dumps(made if chance.random() < 0.7 else [made, made]).encode()
    return _good(chance, at, _spoilt(chance, raw) if chance.random() < 0.5 else raw)


def _spoilt(chance: Random, raw: bytes) -> bytes:
    """The same bytes with some of them changed, doubled, or lost."""
    data = bytearray(raw)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        until = at + chance.randrange(6)
        data[at:until] = chance.choice([b"", b"\0", b"\r\n", b"\xff\xfe", bytes(data[at:until]) * 2, _some(chance, 4)])
    return bytes(data)


def _start_line(chance: Random, at: Target) -> bytes:
    word = ["GET", "get", "", "POST", "CONNECT", "PRI", "G\x00T", "OPTIONS", "\xe9"]
    path = [
        "/",
        "*",
        "",
        "http://m/v1",
        "http://[",
        "//",
        "/%00%ff",
        "/" + "a" * 9000,
        "/a b",
        "/~media/..%2f",
        "m:443",
    ]
    form = ["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "HTTP/1.1 x", "", "ICY"]
    return head(chance.choice(word), chance.choice(path), version=chance.choice(form)) + _some(chance)


def _header_flood(chance: Random, at: Target) -> bytes:
    many, long = chance.choice([(99, 3), (150, 3), (5000, 1), (10, 4000), (1, 300_000)])
    return head("GET", "/", *[f"x-{number}: {'y' * long}" for number in range(many)])


def _chunks(chance: Random, at: Target) -> bytes:
    sizes = [b"3", b"0", b"ffffffffffffffff", b"-1", b"0x3", b"3;a=b", b"", b"g", b"3 ", b"1" * 40]
    rows = [
        b"%b%b%b%b" % (chance.choice(sizes), chance.choice([b"\r\n", b"\n"]), chance.choice([b"abc", b""]), b"\r\n")
        for _ in range(chance.randrange(5))
    ]
    coding = chance.choice(["chunked", "Chunked", "chunked, chunked", "gzip, chunked", "identity", " chunked"])
    end = chance.choice([b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b""])
    return head("POST", "/v2/p-image", f"Transfer-Encoding: {coding}") + b"".join(rows) + end


def _lengths(chance: Random, at: Target) -> bytes:
    said = chance.choice(["-1", "+3", "3, 3", "0x3", "99999999999999999999", "1048577", "3", "007", "", "3\x0b"])
    return head("POST", "/v2/p-image", f"Content-Length: {said}") + chance.choice([b"", b"abc", b"{}", _some(chance)])


def _smuggled(chance: Random, at: Target) -> bytes:
    inner = head("GET", f"/v2/requests/{at.job}/status", f"x-api-key: {at.key}")
    ways = [
        ("Content-Length: 4", "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Content-Length: 5"), ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding:\x0bchunked",),
        ("Content-Length: 4\nContent-Length: 5",), ("X: y\r\n Transfer-Encoding: chunked", "Content-Length: 4"),
    ]  # fmt: skip
    return head("POST", "/v2/p-image", *chance.choice(ways)) + b"0\r\n\r\n" + inner


def _json_bomb(chance: Random, at: Target) -> bytes:
    depth = chance.choice([50, 101, 5000, 100_000])
    bombs = [
        deep(depth), b'{"a":' * depth + b"1" + b"}" * depth, b'{"seed":' + b"9" * depth + b"}",
        b'"' + b"\\u0000" * depth + b'"',
        b'{"prompt":"' + b"\xc3" * depth + b'"}', b"[" + b'{"taskType":"imageInference"},' * (depth // 40) + b"{}]",
    ]  # fmt: skip
    return _good(chance, at, chance.choice(bombs))


def _pipelined(chance: Random, at: Target) -> bytes:
    good = head("GET", f"/v2/requests/{at.job}", f"x-api-key: {at.key}")
    return b"".join(chance.choice([good, good, _body(chance, at), _start_line(chance, at)]) for _ in range(6))


def _other_protocol(chance: Random, at: Target) -> bytes:
    wish = chance.choice(["websocket", "h2c", "WEBSOCKET", "x"])
    fields = [
        "Connection: Upgrade",
        f"Upgrade: {wish}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    return head("GET", chance.choice(["/v1", "/"]), *chance.sample(fields, chance.randrange(5))) + _some(chance)


def _expecting(chance: Random, at: Target) -> bytes:
    wish = chance.choice(["100-continue", "200-ok", ""])
    coding = chance.choice(["gzip", "br", "identity", "x"])
    return head("POST", "/v1", f"Expect: {wish}", f"Content-Encoding: {coding}", "Content-Length: 2") + b"[]"


MAKERS: Mapping[str, Callable[[Random, Target], bytes]] = {
    "any bytes": lambda chance, at: _some(chance, 400),
    "spoilt": lambda chance, at: _spoilt(chance, _body(chance, at)),
    "nearly good": _body,
    "start line": _start_line,
    "header flood": _header_flood,
    "chunks": _chunks,
    "lengths": _lengths,
    "smuggled": _smuggled,
    "JSON bomb": _json_bomb,
    "pipelined": _pipelined,
    "other protocol": _other_protocol,
    "expecting": _expecting,
}
MANY = [400, pytest.param(10_000, marks=pytest.mark.slow)]


def told(line: socket.socket, data: bytes, chance: Random) -> bytes:
    """What is said to these bytes until the mock closes, or nothing to a client that goes away."""
    step = len(data) if chance.random() < 0.7 or len(data) > 2000 else chance.randrange(1, 200)
    said = b""
    try:
        for at in range(0, len(data), max(1, step)):
            line.sendall(data[at : at + step])
        if chance.random() < 0.1:
            return b""
        line.shutdown(socket.SHUT_WR)
        while more := line.recv(1 << 20):
            said += more
    except TimeoutError:
        raise  # it hangs
    except OSError:
        pass  # it was closed on, and has seen so
    return said


@pytest.mark.parametrize("count", MANY)
def test_no_bytes_make_it_fail_or_talk_or_hang(count: int, caplog: pytest.LogCaptureFixture) -> None:
    chance, names = Random(f"raw:{count}"), list(MAKERS)
    with target() as at, contextlib.closing(at.connect()) as kept:
        for number in range(count):
            name = names[number % len(names)]
            data = MAKERS[name](chance, at)
            with contextlib.closing(at.connect()) as line:
                said = told(line, data, chance)
            codes = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]
            assert all(code < 500 or code in OWN for code in codes), (name, data[:300], said[:300])
            assert not said or said.startswith(b"HTTP/1.1 "), (name, data[:300], said[:300])
            assert not re.search(rb"Traceback|\.py\b|/site-packages/", said), (name, data[:300], said[:300])
            at.honest(kept)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# ---------------------------------------------------------------------------------------- frames


def frame(chance: Random, payload: bytes) -> bytes:
    """A frame that may break any rule of the protocol, but mostly breaks none."""
    odd = chance.random() < 0.1
    code = chance.choice([1] * 16 + [2, 2, 0, 8, 9, 10] + [3, 7, 11, 15] * odd)
    first = code | chance.choice([0x80] * 19 + [0x00]) | (chance.choice([0x10, 0x20, 0x40]) if odd else 0)
    size = len(payload) if chance.random() < 0.95 else chance.choice([0, 1, 2**15, 2**40, 2**63 + 1])
    if size < 126 and not odd:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        length = bytes([0x80 | 127]) + struct.pack("!Q", size)
    if odd and chance.random() < 0.5:
        return bytes([first, length[0] & 0x7F]) + length[1:] + payload
    return bytes([first]) + length + bytes(4) + payload


def login(at: Target) -> bytes:
    """A good frame with a good key."""
    payload = json.dumps([{"taskType": "authentication", "apiKey": at.other}]).encode()
    return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload


def _message(chance: Random, at: Target) -> bytes:
    task = {**SUBMITS["runware"][1][0], "taskUUID": f"00000000-0000-4000-8000-{chance.randrange(10**12):012d}"}
    messages = [
        b"[]", b"{}", b"null", b"[null]", b"[1,[2]]", b"[{}]", b"\xff\xfe", b"[" * 5000, b'[{"a":1,"a":2}]',
        b'"' + b"x" * 3000,
        b'[{"taskType":"authentication","apiKey":7}]', b'[{"taskType":"authentication"}]',
        b'[{"taskType":"ping","ping":[]}]',
        b'[{"taskType":"getResponse","taskUUID":{}}]', json.dumps([task, task]).encode(), _some(chance, 200),
        struct.pack("!H", chance.choice([0, 999, 1000, 1005, 4999, 65535])) + _some(chance),
    ]  # fmt: skip
    message = chance.choice(messages)
    return _spoilt(chance, message) if chance.random() < 0.3 else message


WISH = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


@pytest.mark.parametrize("count", MANY)
def test_no_frames_make_it_fail_or_hang(count: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = Random(f"frames:{count}")
    with target() as at, contextlib.closing(at.connect()) as kept:
        for _ in range(count):
            frames = login(at) * (chance.random() < 0.9) + b"".join(
                frame(chance, _message(chance, at)) for _ in range(chance.randrange(1, 6))
            )
            with contextlib.closing(at.connect()) as line:
                said = told(line, head("GET", "/v1", *WISH) + frames, chance)
            assert not said or said.startswith(b"HTTP/1.1 101 "), (frames, said)
            assert b"Traceback" not in said
            at.honest(kept)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# ----------------------------------------------------------------------- more than a client's share


class Wire(asyncio.Transport):
    """A transport to somebody at an address, that keeps what was written until it is read."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.said = b""
        self.unread = 0
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@dataclass
class Clients:
    """A server that listens nowhere, and those who connect to it."""

    server: MockServer
    lines: list[tuple[Connection, Wire]] = field(default_factory=list)

    @classmethod
    def of(cls, **limits: float) -> Clients:
        return cls(MockServer(Mock(ALL), clock=SteppedClock(), limits=Limits(**limits)))  # type: ignore[arg-type]

    def connect(self, address: str = "203.0.113.7") -> tuple[Connection, Wire]:
        connection, wire = Connection(self.server), Wire(address)
        connection.connection_made(wire)
        self.lines.append((connection, wire))
        return connection, wire

    def status(self, address: str = "203.0.113.7") -> int:
        """What a new connection from there is told of an address that nobody serves."""
        connection, wire = self.connect(address)
        connection.data_received(head("GET", "/", "Connection: close"))
        connection.connection_lost(None)
        return int(wire.said.split()[1])

    def pass_time(self, until: int, each: Callable[[int], None] = lambda second: None) -> None:
        """Seconds pass on the machine's clock, with a sweep after each."""
        for second in range(int(self.server.tick) + 1, until + 1):
            self.server.tick = float(second)
            each(second)
            for connection, wire in self.lines:
                if connection in self.server.connections:
                    connection.check(self.server.tick)
                if wire.closed:
                    connection.connection_lost(None)


def test_another_machine_has_its_share_of_connections_and_this_one_all() -> None:
    clients = Clients.of(connections=10, connections_each=3)
    lines = [clients.connect() for _ in range(3)]
    assert clients.status() == 429
    assert clients.status("2001:db8::7") == 404, "another address has its own share"
    lines[0][0].connection_lost(None)
    assert clients.status() == 404
    here = [clients.connect(address) for address in ("127.0.0.1", "127.1.2.3", "::1", "127.0.0.1") * 2]
    assert not any(wire.said for _, wire in here)
    assert clients.status("127.0.0.1") == 503, "but not more than there are"
    for connection, _ in (*lines[1:], *here):
        connection.connection_lost(None)
    assert (clients.server.connections, clients.server.peers) == (set(), {})


def test_bytes_that_one_address_leaves_here_are_counted_over_all_its_connections() -> None:
    clients = Clients.of(held_each=2500)
    begun = head("POST", "/v2/p-image", "Content-Length: 1400") + b"x" * 1000
    first, second, third = (clients.connect() for _ in range(3))
    for connection, wire in (first, second):
        connection.data_received(begun)
        assert wire.said == b""
    third[0].data_received(begun)
    assert third[1].said.startswith(b"HTTP/1.1 429 ")
    first[0].data_received(b"x" * 400)
    assert first[1].said.startswith(b"HTTP/1.1 401 "), "it was within its share and is served"
    second[0].connection_lost(None)
    assert clients.server.peers["203.0.113.7"].held == 0
    assert clients.status("198.51.100.1") == 404


def test_replies_that_nobody_takes_count_as_left_here() -> None:
    clients = Clients.of(held_each=5000)
    connection, wire = clients.connect()
    wire.unread = 6000
    connection.pause_writing()
    assert clients.status() == 429
    wire.unread = 0
    with contextlib.closing(asyncio.new_event_loop()) as clients.server.loop:
        connection.resume_writing()
    assert clients.status() == 404


def test_five_hundred_clients_that_drip_are_gone_in_fifteen_seconds_and_a_good_one_is_not() -> None:
    clients = Clients.of()
    slow = [clients.connect("127.0.0.1") for _ in range(500)]
    good, wire = clients.connect("127.0.0.1")

    def drip(second: int) -> None:
        good.data_received(head("GET", "/"))
        for connection, one in slow:
            if not one.closed:
                connection.data_received(b"GET / HTTP/1.1\r\nHost: m\r\nX-Slow: yyyyyyyyyyyy"[second - 1 : second])

    clients.pass_time(15, drip)
    assert all(one.closed for _, one in slow)
    assert all(one.said.startswith(b"HTTP/1.1 408 ") for _, one in slow)
    assert (len(clients.server.connections), wire.closed) == (1, False)
    assert wire.said.count(b"HTTP/1.1 404 ") == 15


def test_a_body_that_drips_is_given_a_minute() -> None:
    clients = Clients.of()
    connection, wire = clients.connect()
    connection.data_received(head("POST", "/", "Content-Length: 1000"))
    clients.pass_time(58, lambda second: connection.data_received(b"x"))
    assert not wire.said
    clients.pass_time(62, lambda second: connection.data_received(b"x"))
    assert wire.said.startswith(b"HTTP/1.1 408 ")


def test_a_key_that_floods_the_mock_loses_its_own_jobs_and_no_others() -> None:
    mock = Mock(resolve("segmind/p-image"), memory=Memory(100))
    keys = [mock.key("segmind", role) for role in ("main", "other", "third")]

    def take(key: str, number: int, now: float = 0.0) -> list[str]:
        desk = mock.quick({b"x-api-key": key.encode()}, "http://m")
        assert desk
        wholes = [desk(b"POST", b"/v2/p-image", b'{"prompt":"x"}', now) or b"" for _ in range(number)]
        return [json.loads(whole.partition(b"\r\n\r\n")[2])["request_id"] for whole in wholes]

    def held(ids: list[str]) -> int:
        return sum(mock.memory.knows(id) for id in ids)

    quiet, loud = take(keys[0], 30), take(keys[1], 500)
    assert (held(quiet), held(loud), held(loud[-70:])) == (30, 70, 70)
    later = take(keys[2], 20)
    assert (held(quiet), held(loud), held(later)) == (30, 50, 20), "who has the most makes room"
    more = take(keys[0], 50, now=1.0)
    assert (held(quiet) + held(more), held(later)) == (33, 20), "an equal share is all that is owed"
    assert len(mock.memory) == 100
    assert mock.memory.forgotten == 500
    mock.memory.forget(7200.0)
    assert len(mock.memory) == 100, "media are kept for a week"
    mock.memory.forget(1e7)
    assert len(mock.memory) == 0


def test_websockets_that_ended_make_room_at_once() -> None:
    with target() as at, contextlib.closing(at.connect()) as kept:
        for _ in range(DEFAULT_LIMITS.connections + 100):
            with contextlib.closing(at.connect()) as line:
                assert told(line, head("GET", "/v1", *WISH), Random(1)).startswith(b"HTTP/1.1 101 ")
        at.honest(kept)
