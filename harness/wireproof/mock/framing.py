"""The bytes of HTTP/1.1 that the mock's server writes by itself, and what it refuses to read."""

from __future__ import annotations

import functools
import http
import re
from dataclasses import dataclass
from typing import TypeAlias

from wireproof.mock.answer import BODILESS
from wireproof.model import Reply

Headers: TypeAlias = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may cost. Bytes, and real seconds: a mock's clock does not stop an attack."""

    body: int = 1 << 20
    head: int = 16 * 1024
    fields: int = 100
    line: int = 8 * 1024
    connections: int = 1000
    connections_each: int = 100
    """Of one other machine. This one runs the load tests: it may have them all."""
    held_each: int = 256 << 20
    """Of requests that are not whole yet, and of replies that are not taken, with one address."""
    head_within: float = 10.0
    """From the first byte of a request (or the connection itself) to the end of its headers."""
    request_within: float = 60.0
    write_within: float = 30.0
    """How long a client may take nothing of a reply that waits for it."""
    idle: float = 75.0
    """How long a kept connection may wait for its next request."""

    @property
    def sweep(self) -> float:
        """How often the deadlines are looked at."""
        return min(1.0, min(self.head_within, self.request_within, self.write_within, self.idle) / 8)


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is replied where no engine is asked: the connection closes after it."""

    status: int
    says: str


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MALFORMED = Refusal(400, "this is not a request that HTTP/1.1 allows")
TIMED_OUT = Refusal(408, "the request took too long to arrive")
TOO_LARGE = Refusal(413, "the body is larger than this mock accepts")
LONG_LINE = Refusal(414, "the request line is too long")
ENCODED = Refusal(415, "the mock takes no compressed bodies")
UNEXPECTED = Refusal(417, "the mock meets no expectation but 100-continue")
LONG_HEAD = Refusal(431, "the headers are too many or too long")
BROKEN = Refusal(500, "the mock itself failed; its log says how")
UNSUPPORTED = Refusal(501, "the mock does not tunnel and knows no transfer coding but chunked")
CROWDED = Refusal(429, "this address has as many connections, or leaves as many bytes here, as it may")
FULL = Refusal(503, "the mock holds as many connections as it may")
OTHER_VERSION = Refusal(505, "the mock speaks HTTP/1.1 and 1.0")

_UNSAFE = str.maketrans("\r\n\0", "   ")
_CLOSE = b"connection: close\r\n"


_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
"""Of RFC 9110, where older Pythons have older ones: the bytes are to be the same on all of them."""


def _phrase(status: int) -> str:
    if status in _PHRASES:
        return _PHRASES[status]
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


@functools.lru_cache(maxsize=4096)
def _head(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The head of a reply up to its length; a value can never end its own line."""
    lines = [f"HTTP/1.1 {status} {_phrase(status)}"]
    lines += [f"{name}: {value}".translate(_UNSAFE) for name, value in headers]
    return "\r\n".join([*lines, ""]).encode("latin-1", "replace")


def framed(reply: Reply, keep: bool) -> bytes:
    """The whole head of a reply, ready for its body."""
    head = _head(reply.status, reply.headers)
    if not keep:
        head += _CLOSE
    if reply.status in BODILESS:
        return head + b"\r\n"
    return b"%bcontent-length: %d\r\n\r\n" % (head, len(reply.body))


def refused(refusal: Refusal) -> bytes:
    text = f"wireproof mock: {refusal.says}\n".encode()
    return framed(Reply(refusal.status, (("content-type", "text/plain"),), text), keep=False) + text


_HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@functools.lru_cache(maxsize=1024)
def origin_of(scheme: str, host: bytes) -> str | None:
    """The address a client used, from its Host header; None where that is no host."""
    return f"{scheme}://{host.decode('ascii')}" if _HOST.fullmatch(host) else None


def raw_head(method: bytes, target: bytes, headers: Headers) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % field for field in headers)]
    return b"\r\n".join([*lines, b"", b""])
