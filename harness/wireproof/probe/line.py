"""One connection to a host: a request's bytes out, one whole reply in, under one deadline.

A judge has to know what stood on the wire. So the connection is ours and the parser is `httptools`, the one the
mock writes for: what is left behind the end of a reply never becomes part of the next one, every wait counts against
the same deadline (headers that drip in, too), a request goes over a kept connection only where the host has not hung
up meanwhile, and it is known of every call whether it can have left.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import httptools
import httpx

from wireproof.model import Reply

MOST_HEAD = 256 * 1024
"""Bytes of all the headers of a reply, interim ones included."""
MOST_CODINGS = 2
IDLE = 4.0
"""Seconds for which an unused connection is trusted: many hosts close theirs after five."""
IDLE_PAID = 1.0
"""The same before a call that must not get lost: whether a host that hung up had read it cannot be known."""
PIECE = 64 * 1024


class Broke(Exception):
    """A call without a whole reply. `word` says how in one word, `args[0]` in more."""

    def __init__(self, word: str, why: str) -> None:
        self.word = word
        super().__init__(why)


class Place(NamedTuple):
    """Where a call goes: the connection, and what stands in its first line and its host header."""

    secure: bool
    host: str
    port: int
    target: bytes
    authority: bytes


@lru_cache(maxsize=4096)
def place(url: str) -> Place:
    """Read an address as clients do: percent-encoded where it must be. Raises Broke for one that is none."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise Broke("refused", f"not an address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Broke("refused", "not an address: it does not begin with http:// or https:// and a host")
    secure = parsed.scheme == "https"
    host = parsed.raw_host.decode("ascii").strip("[]")
    return Place(secure, host, parsed.port or (443 if secure else 80), parsed.raw_path, parsed.netloc)


class Line:
    """A kept connection. What breaks is raised as `Broke`, after which the line is closed."""

    def __init__(self, where: Place, *, ends: float, patience: float, trust: ssl.SSLContext | None) -> None:
        """Connect. `ends`: the time.monotonic() by which the call must be over; `patience`: seconds for this part of
        it; `trust`: for a secure place."""
        self.used = time.monotonic()
        within = max(0.001, min(patience, ends - self.used))
        try:
            self._socket = socket.create_connection((where.host, where.port), within)
        except TimeoutError as error:
            raise Broke("timeout", f"no connection after {within:.3g} s") from error
        except (OSError, UnicodeError) as error:
            raise Broke("refused", str(error)) from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if where.secure and trust is not None:
                self._socket = trust.wrap_socket(self._socket, server_hostname=where.host)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise Broke("timeout", f"no secure connection after {within:.3g} s") from error
            if isinstance(error, (OSError, ValueError)):
                raise Broke("refused", str(error)) from error
            raise

    def fresh(self, idle: float = IDLE) -> bool:
        """Whether it may carry another call: used within `idle` seconds, and the host has neither hung up nor said
        more."""
        if time.monotonic() - self.used > idle:
            return False
        try:
            # A poll, not a select: descriptors may be many.
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            return not waiting.poll(0)
        except (OSError, ValueError):
            return False

    def ask(self, request: bytes, *, headless: bool, ends: float, most: tuple[int, int]) -> tuple[Reply, bool]:
        """The reply to a request, and whether the line may be kept.

        `headless`: the reply to a HEAD has no body; `most`: bytes of a body, and of one that says it is a picture.
        """
        unsent: OSError | None = None
        try:
            self._socket.settimeout(_left(ends))
            self._socket.sendall(request)
        except TimeoutError as error:
            raise Broke("timeout", "the request was not taken in time") from error
        except OSError as error:
            # A host may answer before it has read all, and hang up: what it said comes first.
            unsent = error
        hearing = Hearing(headless=headless, most=most)
        try:
            while not hearing.over:
                self._socket.settimeout(_left(ends))
                piece = self._socket.recv(PIECE)
                if not piece:
                    hearing.ended()
                    break
                hearing.hear(piece)
        except TimeoutError as error:
            raise Broke("timeout", "no whole reply in time") from error
        except OSError as error:
            raise Broke("reset", str(unsent or error)) from error
        self.used = time.monotonic()
        return hearing.reply(), hearing.may_stay and unsent is None

    def close(self) -> None:
        self._socket.close()


def _left(ends: float) -> float:
    """Seconds until the deadline. Raises TimeoutError where it has passed."""
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@dataclass(slots=True, kw_only=True)
class Hearing:
    """A reply as it comes in, piece by piece."""

    headless: bool
    most: tuple[int, int]
    over: bool = False
    """Whether all of it is there."""
    may_stay: bool = False
    """Whether the connection may be used again."""
    _parser: httptools.HttpResponseParser = field(init=False)
    _status: int = 0
    """Of the final reply, once its headers are all there."""
    _headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    _body: list[bytes] = field(default_factory=list)
    _heard: int = 0
    _size: int = 0
    _limit: int = 0

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # What the standard lets a reader forgive: a line that ends in a line feed alone.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)

    def hear(self, piece: bytes) -> None:
        """Take in the next piece. Raises Broke where it is no HTTP, or too much."""
        if not self._status:
            self._heard += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            raise Broke("garbled", "the host changed to another protocol") from None
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, Broke):
                raise error.__context__ from None
            if not self.over:
                raise Broke("garbled", f"not HTTP: {error}") from None
            # What follows the end belongs to nobody: the reply stands, the connection goes.
            self.may_stay = False
        if not self._status and self._heard > MOST_HEAD:
            raise Broke("garbled", f"more than {MOST_HEAD} bytes of headers")

    def ended(self) -> None:
        """The host has closed. Raises Broke where the reply is not whole."""
        if not self._status:
            what = "in the middle of its headers" if self._heard else "without a reply"
            raise Broke("truncated" if self._heard else "reset", f"the host hung up {what}")
        framed = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)
        if framed and not self.over:
            raise Broke("truncated", f"the host hung up after {self._size} bytes of the body")
        self.over = True

    def reply(self) -> Reply:
        """What was heard. Raises Broke for a body that cannot be unpacked."""
        headers = tuple((_text(name).lower(), _text(value)) for name, value in self._headers)
        codings = [word.strip() for name, value in headers if name == "content-encoding" for word in value.split(",")]
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Reply(self._status, headers, unpacked(body, codings, self._limit) if codings and body else body)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.over:
            self.may_stay = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.over:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.over:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._headers = []
            return
        self._status = status
        said = next((value for name, value in self._headers if name.lower() == b"content-type"), b"")
        self._limit = self.most[said.lower().startswith(b"image/")]
        if self.headless:
            self.over, self.may_stay = True, False

    def on_body(self, body: bytes) -> None:
        if self.over:
            return
        self._body.append(body)
        self._size += len(body)
        if self._size > self._limit:
            raise Broke("too large", f"more than {self._limit} bytes")

    def on_message_complete(self) -> None:
        if self._status and not self.over:
            self.over, self.may_stay = True, bool(self._parser.should_keep_alive())


def unpacked(body: bytes, codings: Sequence[str], most: int) -> bytes:
    """A body without its codings, of which we asked for none. What we cannot undo stays as it is.

    Raises Broke for one that is broken, of more than `most` bytes, or packed more than twice.
    """
    known = [word.lower() for word in codings if word and word.lower() != "identity"]
    if len(known) > MOST_CODINGS:
        raise Broke("garbled", f"packed {len(known)} times")
    for word in reversed(known):
        if word not in ("gzip", "x-gzip", "deflate"):
            return body
        body = _inflated(body, most)
    return body


def _inflated(body: bytes, most: int) -> bytes:
    parts, size, rest = [], 0, body
    # 47: gzip or zlib, whichever it is; -15: the bare stream that some hosts call deflate.
    window = 47 if body[:2] == b"\x1f\x8b" or (len(body) > 1 and int.from_bytes(body[:2], "big") % 31 == 0) else -15
    while rest:
        unpacker = zlib.decompressobj(window)
        try:
            part = unpacker.decompress(rest, most - size + 1)
        except zlib.error as error:
            raise Broke("garbled", f"cannot be unpacked: {error}") from None
        size += len(part)
        parts.append(part)
        if size > most:
            raise Broke("too large", f"more than {most} bytes")
        if not unpacker.eof:
            raise Broke("garbled", "cannot be unpacked: it breaks off")
        rest = unpacker.unused_data if unpacker.unused_data[:2] == b"\x1f\x8b" else b""
    return b"".join(parts)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
