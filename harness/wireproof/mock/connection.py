"""One client of the mock's server: reads its calls strictly, answers them in order, owns each byte."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from socket import SO_LINGER, SOL_SOCKET
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import httptools

from wireproof.mock.answer import BODILESS, WHOLE, Answer, Delivery, pieces, real_wait
from wireproof.mock.framing import (
    BROKEN,
    CONTINUE,
    CROWDED,
    ENCODED,
    LONG_HEAD,
    LONG_LINE,
    MALFORMED,
    OTHER_VERSION,
    TIMED_OUT,
    TOO_LARGE,
    UNEXPECTED,
    UNSUPPORTED,
    Headers,
    Refusal,
    framed,
    origin_of,
    raw_head,
    refused,
)
from wireproof.model import Call, Reply

if TYPE_CHECKING:
    from wireproof.mock.socket import Desk, MockServer, Peer

log = logging.getLogger(__name__)

SLICE = 16 * 1024
"""The parser is fed so many bytes at a time, so that one read cannot queue up thousands of calls."""
_BIG = 64 * 1024
"""From this size on a body is not copied behind its head."""
_SPARE = 64 * 1024
"""How much of a refused request is still read (and dropped), so that its sender sees the refusal."""
LINGER = 2.0
"""Seconds in which a refused client may fetch its refusal."""
_SETTLE = 0.01
"""Seconds between looks at whether the last byte before a reset has left."""
_RESET = struct.pack("ii", 1, 0)

MOST_HEADS = 1024
"""Header blocks that are known by heart; the next sweep forgets them all once there are so many."""
_SPECIAL = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"})
IDLE, HEAD, BODY, LINGERING, SILENT, GIVEN_AWAY = range(6)

_Request: TypeAlias = tuple[bytes, bytes, str, Headers, dict[bytes, bytes], bytes, bool]
"""Method, target, origin, headers (also by their lower-cased names), body, and whether the connection is kept."""


class Head(NamedTuple):
    """What a header block says."""

    length: int
    """Of the body. Bytes."""
    desk: Desk
    """Where a call with these headers is served."""
    headers: Headers
    origin: str


class _Refused(Exception):
    """Leaves the parser's callbacks; `httptools` wraps it."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


class Connection(asyncio.Protocol):
    """One client. `_holds` counts why the next call has to wait: a reply that is still to leave, a
    client that does not take what was written."""

    __slots__ = (
        "_body", "_charged", "_eof", "_fields", "_first", "_fresh", "_headers", "_held", "_holds", "_hops", "_keep",
        "_left", "_left_at", "_mark", "_moves_to", "_origin", "_parser", "_phase", "_server", "_spare", "_stop",
        "_target", "_timer", "_trailers", "_transport", "_undone", "_unread", "_unsent", "_upgrading", "_waiting",
        "peer",
    )  # fmt: skip

    _transport: asyncio.Transport
    peer: Peer

    def __init__(self, server: MockServer, first: bytes = b"", hops: int = 0) -> None:
        """`first` was read from it already, by another worker; `hops` of them had it before."""
        self._server = server
        self._first = first
        self._hops = hops
        self._moves_to: tuple[int, bytes] | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._phase = IDLE
        self._fresh = True
        self._mark = server.tick
        self._held = 0
        self._target = b""
        self._origin = ""
        self._headers: Headers = []
        self._fields: dict[bytes, bytes] = {}
        self._trailers: Headers | None = None
        self._body: bytes | bytearray = b""
        self._upgrading = False
        self._keep = True
        self._holds = 0
        self._waiting: deque[_Request | Refusal] = deque()
        self._unread = b""
        self._stop = False
        self._spare = _SPARE
        self._eof = False
        self._timer: asyncio.TimerHandle | None = None
        self._undone: tuple[object, ...] = ()
        self._left = 0
        self._left_at = 0.0
        self._charged = 0
        self._unsent = 0

    # ---- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        name = self._transport.get_extra_info("peername")
        entered = self._server.enter(self, str(name[0]) if name else "")
        if isinstance(entered, Refusal):
            self._transport.write(refused(entered))
            self._end()
            return
        self.peer = entered
        if self._first:
            self.data_received(self._first)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop = True
        self._charge(-self._charged)
        self._take_back()
        self._server.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        self._unread = b""
        self._settle_effects()

    def data_received(self, data: bytes) -> None:
        waits = self._stop or self._moves_to or self._holds or self._unread or self._phase != IDLE
        if not waits and len(data) <= self._server.slice and self._by_heart(data):
            return
        self._server.see_off()
        if self._stop:
            self._drop(len(data))
        elif self._moves_to is not None:
            self._feed(data)
            self._depart()
        elif self._holds or self._unread or len(data) > self._server.slice:
            self._unread += data
            self._read_on()
        else:
            self._feed(data)

    def _by_heart(self, data: bytes) -> bool:
        """Whether this was one whole call, with headers like another's before, that the short cut answered."""
        server = self._server
        line, _, rest = data.partition(b"\r\n")
        block, blank, body = rest.partition(b"\r\n\r\n")
        head = server.heads.get(block)
        if head is None or not blank:
            return False
        length, desk, headers, origin = head
        words = line.split(b" ")
        if len(words) != 3 or words[2] != b"HTTP/1.1" or len(body) != length:
            return False
        method, target, _ = words
        now = server.now()
        try:
            whole = desk(method, target, body, now)
            if whole is None:
                return False
            if server.on_quick is not None:
                server.on_quick(method, target, origin, headers, body, whole, now)
        except Exception:
            log.exception("the short cut failed on a call")
            return False
        self._fresh = False
        self._mark = server.tick
        if not server.leaving:
            server.loop.call_soon(server.see_off)
        server.leaving.append((self._transport, whole))
        return True

    def _learn(self, desk: Desk, headers: Headers, fields: Mapping[bytes, bytes], origin: str, length: int) -> None:
        """Know these headers when they come again. As they are written here they parse to what they were
        parsed to, whoever sends them."""
        heads = self._server.heads
        if len(heads) < MOST_HEADS and not (_SPECIAL - {b"content-length"}).intersection(fields):
            heads[b"\r\n".join([b"%b: %b" % field for field in headers])] = Head(length, desk, headers, origin)

    def eof_received(self) -> bool:
        """A client that closed only its own half still gets the replies it is owed."""
        self._server.see_off()
        self._eof = True
        owed = bool(self._holds or self._waiting or self._unread)
        return owed and self._server.tls is None

    def pause_writing(self) -> None:
        self._holds += 1
        self._unsent = self._transport.get_write_buffer_size()
        self.peer.held += self._unsent

    def resume_writing(self) -> None:
        self._take_back()
        self._release()

    def _take_back(self) -> None:
        """What was not sent is sent, or never will be."""
        if self._unsent:
            self.peer.held -= self._unsent
            self._unsent = 0

    def _charge(self, size: int) -> None:
        """So many bytes more of a request are kept, or less."""
        if size:
            self._charged += size
            self.peer.held += size

    def _drop(self, size: int) -> None:
        if self._phase == LINGERING:
            self._spare -= size
            if self._spare < 0:
                self._transport.close()

    def _read_on(self) -> None:
        """Feed what came until a reply is in the way; what is left holds up further reading."""
        size, unread, at = self._server.slice, self._unread, 0
        while at < len(unread) and not self._holds and not self._stop:
            self._feed(unread[at : at + size])
            at += size
        self._unread = b"" if self._stop else unread[at:]
        if self._unread:
            self._transport.pause_reading()
        elif not self._transport.is_reading() and not self._transport.is_closing():
            self._transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        if self._phase == HEAD:
            self._held += len(data)
            if self._held > self._server.limits.head:
                return self._refuse(LONG_HEAD)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._change(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._misread(error.__context__)
        else:
            if self._trailers:
                self._refuse(MALFORMED)

    def _misread(self, why: BaseException | None) -> None:
        # What follows a call that asked for the connection to be closed is nobody's business.
        if not self._stop and (self._keep or self._phase != IDLE):
            self._refuse(why.refusal if isinstance(why, _Refused) else MALFORMED)

    # ---- what the parser says

    def on_message_begin(self) -> None:
        if self._stop or not self._keep:
            raise _Refused(MALFORMED)
        self._phase = HEAD
        self._fresh = False
        self._mark = self._server.tick
        self._held = 0
        self._target = b""
        self._headers = []
        self._trailers = None
        self._body = b""

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > self._server.longest_target:
            raise _Refused(LONG_LINE)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._trailers is None:
            self._headers.append((name, value))
        else:
            self._trailers.append((name, value))  # refused: no client of an API sends them

    def on_headers_complete(self) -> None:
        headers = self._headers
        if self.peer.held > self._server.limits.held_each:
            raise _Refused(CROWDED)
        self._trailers = []
        self._phase = BODY
        fields = self._fields = {name.lower(): value for name, value in headers}
        if self._held or len(headers) > self._server.limits.fields:
            self._measure()
        version = self._parser.get_http_version()
        self._keep = version == "1.1" and self._parser.should_keep_alive()
        host = fields.get(b"host", b"") if version == "1.1" else self._older(version, fields)
        origin = origin_of(self._server.scheme, host)
        if origin is None or (len(fields) < len(headers) and _repeats(headers, b"host")):
            raise _Refused(MALFORMED)
        self._origin = origin
        self._upgrading = self._parser.should_upgrade()
        if not _SPECIAL.isdisjoint(fields):
            self._look_closer(fields)

    def _measure(self) -> None:
        limits, headers = self._server.limits, self._headers
        size = sum(len(name) + len(value) + len(": \r\n") for name, value in headers)
        if size > limits.head or len(headers) > limits.fields:
            raise _Refused(LONG_HEAD)

    def _older(self, version: str, fields: dict[bytes, bytes]) -> bytes:
        """The host that a call in HTTP/1.0 means; a chunked body is unknown there."""
        if version != "1.0":
            raise _Refused(OTHER_VERSION)
        if b"transfer-encoding" in fields:
            raise _Refused(MALFORMED)
        return fields.get(b"host") or self._server.netloc.encode()

    def _look_closer(self, fields: dict[bytes, bytes]) -> None:
        length = int(fields.get(b"content-length", b"0"))
        if length > self._server.limits.body:
            raise _Refused(TOO_LARGE)
        if fields.get(b"content-encoding", b"identity").lower() != b"identity":
            raise _Refused(ENCODED)
        coding = fields.get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            raise _Refused(UNSUPPORTED)
        if b"expect" in fields:
            self._expected(fields[b"expect"].lower(), bool(length or coding))

    def _expected(self, expect: bytes, body: bool) -> None:
        if expect != b"100-continue":
            raise _Refused(UNEXPECTED)
        # Ahead of a reply that has not left yet it would be out of its turn: it is left out then, and
        # the client sends its body unasked.
        if body and not self._upgrading and not self._holds and not self._waiting:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._body = body
        elif isinstance(self._body, bytearray):
            self._body += body
        else:
            self._body = bytearray(self._body) + body
        if len(self._body) > self._server.limits.body:
            raise _Refused(TOO_LARGE)
        self._charge(len(body))
        if self.peer.held > self._server.limits.held_each:
            raise _Refused(CROWDED)

    def on_message_complete(self) -> None:
        if self._trailers:
            raise _Refused(MALFORMED)
        if self._upgrading or self._stop:
            return
        self._charge(-self._charged)
        self._phase = IDLE
        method = self._parser.get_method()
        body = self._body if isinstance(self._body, bytes) else bytes(self._body)
        if self._holds or self._waiting:
            request = (method, self._target, self._origin, self._headers, self._fields, body, self._keep)
            self._waiting.append(request)
        else:
            self._serve(method, self._target, self._origin, self._headers, self._fields, body, self._keep)

    def _change(self, rest: bytes) -> None:
        """A call that wants another protocol: a WebSocket is given away, all else is plain HTTP/1.1
        (a Java client offers `h2c` with every call, and lives with a plain answer)."""
        method, wish = self._parser.get_method(), b""
        if method == b"CONNECT":
            return self._refuse(UNSUPPORTED)
        plain = [field for field in self._headers if field[0].lower() != b"upgrade"]
        wish = next(value for name, value in self._headers if name.lower() == b"upgrade")
        if wish.lower() == b"websocket" and self._server.upgrade is not None:
            if self._holds or self._waiting:
                return self._refuse(MALFORMED)
            raw = raw_head(method, self._target, self._headers)
            fields = {name.lower(): value for name, value in self._headers}
            self._phase = IDLE
            if self._server.place is not None and not self._is_here(method, self._target, self._headers, fields, rest):
                return None
            if self._give_away(self._server.upgrade(raw, self._transport), rest):
                return
        self._parser = httptools.HttpRequestParser(self)
        self._phase = IDLE
        self._feed(raw_head(method, self._target, plain) + rest)

    def _give_away(self, heir: asyncio.Protocol | None, rest: bytes) -> bool:
        if heir is None:
            return False
        self._stop = True
        self._phase = GIVEN_AWAY
        self._transport.set_protocol(heir)
        if rest:
            heir.data_received(rest)
        return True

    # ---- the calls, one after the other

    def _serve(
        self, method: bytes, target: bytes, origin: str, headers: Headers, fields: dict[bytes, bytes],
        body: bytes, keep: bool,
    ) -> None:  # fmt: skip
        server = self._server
        if server.place is not None and not self._is_here(method, target, headers, fields, body):
            return None
        try:
            # A header that comes twice is the engine's to judge.
            desk = server.quick(fields, origin) if server.quick is not None and len(fields) == len(headers) else None
            if desk is not None:
                now = server.now()
                whole = desk(method, target, body, now)
                if whole is not None:
                    if server.on_quick is not None:
                        server.on_quick(method, target, origin, headers, body, whole, now)
                    self._transport.write(whole)
                    if keep:
                        return self._learn(desk, headers, fields, origin, len(body))
                    return self._end()
            call = _call(method, target, origin, headers, body)
            now = server.now()
            answer = server.engine.answer(call, now, server.wall())
            if server.on_exchange is not None:
                server.on_exchange(call, answer, now)
        except Exception:
            log.exception("the engine failed on a call")
            return self._refuse(BROKEN)
        if answer.after <= 0 and answer.delivery is WHOLE and not answer.effects:
            self._write(answer.reply, answer.reply.body if method != b"HEAD" else b"", keep)
            return None if keep else self._end()
        return self._begin(answer, method, keep)

    def _is_here(
        self, method: bytes, target: bytes, headers: Headers, fields: Mapping[bytes, bytes], body: bytes
    ) -> bool:
        """Whether this worker is the one to answer; else the connection moves to the one that is, once the
        last byte that was written has left and no call is half read."""
        place = self._server.place(target, fields, self._hops) if self._server.place is not None else None
        self._hops = 0 if place is None else self._hops + 1
        if place is None:
            return True
        self._holds += 1
        self._moves_to = place, raw_head(method, target, headers) + body
        self._server.loop.call_soon(self._depart)
        return False

    def _depart(self) -> None:
        if self._moves_to is None or self._stop or self._phase != IDLE:
            return
        if self._transport.get_write_buffer_size():
            self._later(_SETTLE, self._depart)
            return
        place, raw = self._moves_to
        rest = b"".join(part for request in self._waiting if not isinstance(request, Refusal) for part in _raw(request))
        number = self._transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as connection:
            self._server.hand_over(place, connection, raw + rest + self._unread, self._hops)
        self._end_reading()
        self._transport.abort()

    def _write(self, reply: Reply, body: bytes, keep: bool) -> None:
        head = framed(reply, keep)
        if reply.status in BODILESS:
            self._transport.write(head)
        elif len(body) < _BIG:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    def _begin(self, answer: Answer, method: bytes, keep: bool) -> None:
        self._holds += 1
        self._undone = answer.effects
        wait = real_wait(self._server.clock, answer.after)
        if wait > 0:
            self._later(wait, self._leave, answer, method, keep)
        else:
            self._leave(answer, method, keep)

    def _later(self, wait: float, act: Callable[..., None], *given: Any) -> None:
        self._timer = self._server.loop.call_later(wait, act, *given)

    def _leave(self, answer: Answer, method: bytes, keep: bool) -> None:
        """The reply begins to leave, or whatever it is that happens in its place."""
        delivery = answer.delivery
        if delivery.silence:
            self._fall_silent()
        elif delivery.reset and delivery.cut_after is None:
            self._reset()
        else:
            keep = keep and not delivery.close
            first, *rest = pieces(b"" if method == b"HEAD" else answer.reply.body, delivery)
            self._write(answer.reply, first, keep)
            self._drip(iter(rest), delivery, keep)
        self._settle_effects()

    def _drip(self, rest: Iterator[bytes], delivery: Delivery, keep: bool) -> None:
        piece = next(rest, None)
        if piece is None:
            self._finish(delivery, keep)
        else:
            wait = real_wait(self._server.clock, delivery.drip or 0.0)
            self._later(wait, self._drip_one, piece, rest, delivery, keep)

    def _drip_one(self, piece: bytes, rest: Iterator[bytes], delivery: Delivery, keep: bool) -> None:
        self._transport.write(piece)
        self._drip(rest, delivery, keep)

    def _finish(self, delivery: Delivery, keep: bool) -> None:
        if delivery.reset:
            self._reset_once_sent()
        elif delivery.cut_after is not None or not keep:
            self._end()
        else:
            self._release()

    def _fall_silent(self) -> None:
        self._holds -= 1
        self._stop = True
        self._phase = SILENT
        self._waiting.clear()
        if self._eof:
            self._transport.close()

    def _reset(self) -> None:
        self._end_reading()
        self._transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self._transport.abort()

    def _reset_once_sent(self) -> None:
        self._end_reading()
        sent = self._transport.get_write_buffer_size() == 0 and not _in_kernel(self._transport)
        self._later(_SETTLE, self._reset if sent else self._reset_once_sent)

    def _settle_effects(self) -> None:
        effects, self._undone = self._undone, ()
        if self._server.on_effect is not None:
            for effect in effects:
                try:
                    self._server.on_effect(effect)
                except Exception:
                    log.exception("an effect failed")

    def _release(self) -> None:
        self._holds -= 1
        if not self._holds:
            # Not at once: a row of answers that wait for nothing must not nest.
            self._server.loop.call_soon(self._next)

    def _next(self) -> None:
        while self._waiting and not self._holds:
            match self._waiting.popleft():
                case Refusal() as refusal:
                    self._send_refusal(refusal)
                case request:
                    self._serve(*request)
        if not self._holds and not self._stop:
            self._read_on()
            if self._eof and not self._holds and not self._waiting:
                self._end()

    # ---- endings

    def _end_reading(self) -> None:
        self._stop = True
        self._unread = b""
        self._waiting.clear()

    def _end(self) -> None:
        self._end_reading()
        self._transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        self._stop = True
        self._charge(-self._charged)
        self._body = self._unread = b""
        if self._holds or self._waiting:
            self._waiting.append(refusal)
        else:
            self._send_refusal(refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        """Reply and close, but not so fast that the reply is lost to what the client still sends."""
        self._end_reading()
        if self._transport.is_closing():
            return
        self._transport.write(refused(refusal))
        if self._eof or not self._transport.can_write_eof():
            self._transport.close()
        else:
            self._transport.write_eof()
            self._phase = LINGERING
            self._mark = self._server.tick

    def check(self, tick: float) -> None:
        """Look at the deadlines; once per sweep."""
        if self._phase == GIVEN_AWAY:
            if self._transport.is_closing():
                self._server.leave(self)
        elif not self._stalls(tick):
            self._check_reading(tick)

    def _stalls(self, tick: float) -> bool:
        left = self._transport.get_write_buffer_size()
        if left != self._left:
            self._left, self._left_at = left, tick
        stalled = left > 0 and tick - self._left_at > self._server.limits.write_within
        if stalled:
            self._reset()  # the kernel is to forget what it holds for that client, too
        return stalled

    def _check_reading(self, tick: float) -> None:
        if self._holds or self._waiting:
            self._mark = tick  # it is the client who waits
            return
        late = tick - self._mark > self._server.patience(self._phase, self._fresh)
        if late and self._phase in (HEAD, BODY):
            self._refuse(TIMED_OUT)
        elif late:
            self._end()

    def close(self) -> None:
        """Close after what was already written."""
        self._end()
        if self._phase == GIVEN_AWAY:  # the end of it is told to somebody else
            self._server.leave(self)

    @property
    def is_gone(self) -> bool:
        """Whether it was given away and has ended: that is told to somebody else."""
        return self._phase == GIVEN_AWAY and self._transport.is_closing()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes that were written and have not reached the client; a reset would discard them."""
    try:
        from fcntl import ioctl
        from termios import TIOCOUTQ

        queued = ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, bytes(4))
    except (ImportError, OSError):  # a system that does not tell
        return 0
    return int.from_bytes(queued, sys.byteorder)


def _raw(request: _Request) -> tuple[bytes, bytes]:
    method, target, _, headers, _, body, _ = request
    return raw_head(method, target, headers), body


def _repeats(headers: Headers, name: bytes) -> bool:
    return sum(key.lower() == name for key, _ in headers) > 1


def _call(method: bytes, target: bytes, origin: str, headers: Headers, body: bytes) -> Call:
    return Call(
        method.decode("ascii"),
        _url(origin, target.decode("latin-1")),
        tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]),
        body,
    )


def _url(origin: str, target: str) -> str:
    """The absolute address: a proxy's client sends one already; `*` stands for the server itself."""
    if target[0] == "/":
        return origin + target
    return origin if target == "*" else target
