"""One control API over several workers: what it is asked, each of them is asked, and their answers become one.

The switchboard serves the control port from a thread of the first worker and may wait; every worker,
the first one too, answers from its own loop, between two calls of its clients. They speak over pairs of
sockets that were made before the workers parted.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import pickle
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, cast

from wireproof.errors import WireproofError
from wireproof.mock.control import ROUTES, Asked, Control, Gate, Refused, Route
from wireproof.mock.movable import MovableClock

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds in which every worker has to answer."""
_HEAD = struct.Struct("!QQ")
"""Number of the question, length of what follows."""
_ONCE = 1 << 16
"""Bytes that are read at a time."""


class Switchboard(Gate):
    """The control API over the workers at the other ends of these lines, the first worker's first."""

    def __init__(self, lines: Sequence[socket.socket], clock: MovableClock, token: str) -> None:
        super().__init__(clock, token)
        self._lines = [Line(line) for line in lines]
        self._numbers = itertools.count()

    def carry_out(self, route: Route, asked: Asked) -> Any:
        number = ROUTES.index(route)
        highest = max(self._ask(number, True, asked)) if route.before is not None else 0.0
        return route.merge(self._ask(number, False, asked, highest))

    def _ask(self, route: int, before: bool, asked: Asked, highest: float = 0.0) -> list[Any]:
        """What each worker tells. Raises Refused."""
        number, until = next(self._numbers), time.monotonic() + PATIENCE
        try:
            for line in self._lines:
                line.say(number, (route, before, asked, highest), until)
            told = [line.hear(number, until) for line in self._lines]
        except OSError:
            raise Refused(503, "not every worker answers") from None
        refused = next((one for one in told if isinstance(one, Refused)), None)
        if refused is not None:
            raise refused
        return told


class Line:
    """The switchboard's end of the line to one worker."""

    def __init__(self, socket: socket.socket) -> None:
        self._socket = socket
        self._read = bytearray()

    def say(self, number: int, value: Any, until: float) -> None:
        self._socket.settimeout(max(0.001, until - time.monotonic()))
        self._socket.sendall(packed(number, value))

    def hear(self, number: int, until: float) -> Any:
        """The answer to a question; late ones to earlier questions are dropped. Raises OSError."""
        while True:
            found = _unpacked(self._read)
            if found is None:
                self._socket.settimeout(max(0.001, until - time.monotonic()))
                data = self._socket.recv(_ONCE)
                if not data:
                    raise ConnectionResetError
                self._read += data
            elif found[0] == number:
                return found[1]


class Extension(asyncio.Protocol):
    """A worker's end: asks its own control, and says what that tells."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._read = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not of asyncio's class

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (found := _unpacked(self._read)) is not None and self._transport is not None:
            number, question = found
            self._transport.write(packed(number, self._told(*question)))

    def _told(self, number: int, before: bool, asked: Asked, highest: float) -> Any:
        route = ROUTES[number]
        try:
            if before:
                return self._control.find_out(route, asked)
            return self._control.do(route, asked.at(highest))
        except Refused as refused:
            return refused
        except WireproofError as error:
            return Refused(400, str(error))
        except Exception:
            # An exception that left here would hang up for good.
            log.exception("a control call failed")
            return Refused(500, "this went wrong; the log of the mock knows more")


def packed(number: int, value: Any) -> bytes:
    """A message as it goes over a line."""
    body = pickle.dumps(value)
    return _HEAD.pack(number, len(body)) + body


def _unpacked(read: bytearray) -> tuple[int, Any] | None:
    """The first message, taken out of what was read; None while it is not whole."""
    if len(read) < _HEAD.size:
        return None
    number, length = _HEAD.unpack_from(read)
    end = _HEAD.size + length
    if len(read) < end:
        return None
    value = pickle.loads(read[_HEAD.size : end])  # noqa: S301 - nobody but our own fork has the other end
    del read[:end]
    return number, value
