"""WebSockets: the same tasks over one connection, as a contract's `channels.websocket` describes them.

Frames are read and written by `websockets`' sans-I/O protocol; the answers are the engine's own. What a
session is owed is kept while its connection is gone, and sent when it is taken up again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import InvalidState
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from wireproof.clock import Clock
from wireproof.mock.answer import Answer, OnEffect, real_wait, speed, stands
from wireproof.mock.engine import Mock
from wireproof.mock.scene import Host
from wireproof.model import Call, Does, Operation
from wireproof.spec.values import spell
from wireproof.wire import requests
from wireproof.wire.keys import login_key

Hear = Callable[[Call, Answer, float, str], None]

MOST_BYTES = 8 << 20
"""Of one message."""
MOST_OWED = 1000
"""Frames that are kept for a session whose connection is gone."""
MOST_SESSIONS = 10_000
MOST_UNSENT = 64 << 20
"""Bytes that a client may leave unread before it is dropped."""
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@dataclass(slots=True, eq=False)
class Session:
    """One login, which may outlive its connection."""

    id: str
    key: str
    line: Line | None = None
    owed: list[tuple[float, bytes]] = field(default_factory=list)
    """Frames that found no connection, and when (clock seconds)."""


class Channels:
    """Takes WebSocket handshakes over from a server, for every host whose contract has that channel."""

    def __init__(self, mock: Mock, clock: Clock, on_effect: OnEffect | None = None, hear: Hear | None = None) -> None:
        self.mock = mock
        self.clock = clock
        self.on_effect = on_effect
        self.hear = hear
        self.sessions: dict[str, Session] = {}
        self._made = 0

    def upgrade(self, raw: bytes, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """The protocol that takes a connection over, or None where no host has a channel at that address."""
        line, _, rest = raw.partition(b"\r\n")
        path = urlsplit(line.split(b" ")[1].decode("latin-1")).path
        name = next((v for n, v in _headers(rest) if n == "host"), "localhost")
        scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        for host in self.mock.hosts:
            channel = host.provider.channels.get("websocket")
            for prefix in (f"/{host.prefix}", ""):
                if channel and path == prefix + channel["path"]:
                    return Line(self, host, channel, f"{scheme}://{name}{prefix}", transport, raw)
        return None

    def session(self, key: str, wanted: Any, buffered: float) -> Session:
        """The session that is taken up again, or a new one."""
        kept = self.sessions.get(str(wanted)) if wanted else None
        if kept is not None and kept.key == key:
            since = self.clock.now() - buffered
            kept.owed = [(at, frame) for at, frame in kept.owed if at >= since]
            return kept
        self._made += 1
        made = Session(spell(_UUID, random.Random(f"{self.mock.seed}:session:{self._made}")), key)
        self.sessions[made.id] = made
        if len(self.sessions) > MOST_SESSIONS:
            del self.sessions[next(iter(self.sessions))]
        return made


def _headers(rest: bytes) -> Iterator[tuple[str, str]]:
    for line in rest.split(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        yield name.strip().lower(), value.strip()


class Line(asyncio.Protocol):
    """One WebSocket connection."""

    def __init__(
        self,
        channels: Channels,
        host: Host,
        channel: Mapping[str, Any],
        base: str,
        transport: asyncio.Transport,
        raw: bytes,
    ) -> None:
        self.channels = channels
        self.host = host
        self.channel = channel
        self.base = base
        self.transport = transport
        self.session: Session | None = None
        deflate = [ServerPerMessageDeflateFactory()] if channel.get("deflate") else []
        self._protocol = ServerProtocol(extensions=deflate, max_size=MOST_BYTES)
        self._parts: list[bytes] = []
        self._idle: asyncio.TimerHandle | None = None
        self.data_received(raw)

    # ---- what the transport says

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame):
                self._frame(event)
        self._flush()
        self._await_more()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self.session is not None and self.session.line is self:
            self.session.line = None

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.transport.write(data)
            else:
                self.transport.close()
        if self.transport.get_write_buffer_size() > MOST_UNSENT:
            self.transport.abort()

    def _await_more(self) -> None:
        """Close a connection on which nothing comes for as long as the contract says."""
        if self._idle is not None:
            self._idle.cancel()
        rule = self.channel.get("idle_close")
        if rule and not stands(self.channels.clock):
            wait = float(rule["seconds"]) / speed(self.channels.clock)
            self._idle = asyncio.get_running_loop().call_later(wait, self.close, int(rule.get("code", 1000)))

    def close(self, code: int = 1000) -> None:
        """Say goodbye with that code."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code)
            self._flush()

    # ---- messages

    def _frame(self, frame: Frame) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            message, self._parts = b"".join(self._parts), []
            self._message(message)

    def _message(self, message: bytes) -> None:
        value, trouble = requests.decode(message)
        if trouble or not isinstance(value, list) or requests.oddity(message, value):
            self._ask(message)
            return
        for element in value:
            self._element(element)

    def _element(self, element: Any) -> None:
        login, ping = self.channel.get("login", {}), self.channel.get("ping", {})
        key = login_key(login["send"], element) if "send" in login else None
        if key is not None:
            self._log_in(login, key, element)
        elif ping and _has(element, ping["send"]):
            self._say(self._good(ping["reply"]))
        else:
            self._ask(requests.encode([element]))

    def _good(self, item: Any) -> bytes:
        return requests.encode({self.channel["frames"]["keys"][0]: [item]})

    def _log_in(self, login: Mapping[str, Any], key: str, element: Mapping[str, Any]) -> None:
        if key not in self.channels.mock.keys:
            self._say(requests.encode({self.channel["frames"]["keys"][1]: [login["refused"]]}))
            return
        resume = self.channel.get("resume", {})
        place = next((name for name, value in resume.get("send", {}).items() if value == "{session.id}"), "")
        session = self.channels.session(key, element.get(place), float(resume.get("buffered_seconds", 0)))
        if session.line is not None and session.line is not self:
            session.line.close()
        self.session, session.line = session, self
        self._say(self._good({n: session.id if v == "{session.id}" else v for n, v in login["reply"].items()}))
        owed, session.owed = session.owed, []
        for _, frame in owed:
            self._say(frame)

    # ---- tasks

    def _ask(self, body: bytes) -> None:
        """Let the engine answer one task, and send what it says when its time has come."""
        mock, clock, auth = self.channels.mock, self.channels.clock, self.host.provider.auth
        path = next(op.request.path for op in self._operations() if op.request.envelope == "array")
        headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
        if self.session is not None:
            headers = ((auth.header, auth.prefix + self.session.key), *headers)
        call, now = Call("POST", self.base + path, headers, body), clock.now()
        answer = mock.answer(call, now, clock.wall())
        if self.channels.hear is not None:
            self.channels.hear(call, answer, now, "websocket")
        wait = real_wait(clock, answer.after)
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._leave, answer, self.session)
        else:
            self._leave(answer, self.session)

    def _operations(self) -> list[Operation]:
        return list(self.host.provider.operations.values())

    def _leave(self, answer: Answer, session: Session | None) -> None:
        delivery = answer.delivery
        if self.channels.on_effect is not None:
            for effect in answer.effects:
                self.channels.on_effect(effect)
        if delivery.reset:
            self.transport.abort()
        elif delivery.cut_after is not None:
            self.close(1011)
        elif not delivery.silence:
            for frame in self._frames(answer):
                self._owe(frame, session)
            if delivery.close:
                self.close()

    def _frames(self, answer: Answer) -> list[bytes]:
        """The frames of an answer: one for each result where the contract sends them one by one."""
        body, trouble = requests.decode(answer.reply.body)
        if trouble or not isinstance(body, dict):
            return []  # a page that only a gateway puts up: nothing of it reaches an open connection
        operation = self.host.provider.operations.get(answer.operation)
        if not self.channel["frames"].get("per_output") or operation is None or operation.does is not Does.RUN:
            return [answer.reply.body]
        return [requests.encode({key: [one]}) for key, value in body.items() for one in _listed(value)]

    def _owe(self, frame: bytes, session: Session | None) -> None:
        line = session.line if session is not None else self
        if line is not None and not line.transport.is_closing():
            line._say(frame)  # noqa: SLF001 - another line of the same session
        elif session is not None and len(session.owed) < MOST_OWED:
            session.owed.append((self.channels.clock.now(), frame))

    def _say(self, frame: bytes) -> None:
        try:
            self._protocol.send_text(frame)
        except InvalidState:  # it is closing: nobody reads it
            return
        self._flush()


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _has(element: Any, wanted: Mapping[str, Any]) -> bool:
    return isinstance(element, dict) and all(element.get(name) == value for name, value in wanted.items())
