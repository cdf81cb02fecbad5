"""Delivers what a mock would send by itself: recorded always, sent only to targets named beforehand.

By default nothing leaves: no connection, no name looked up. A target is `host:port`; a call goes out only
if the address names exactly that host and port, and then to an address that was resolved once. Redirects
are not followed, and nothing of a receiver's reply is kept but its status code.
"""

from __future__ import annotations

import asyncio
import heapq
import http.client
import itertools
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from wireproof.clock import Clock
from wireproof.errors import UsageError
from wireproof.mock.answer import speed, stands
from wireproof.mock.effects import Send

MOST_BYTES = 10 << 20
"""A larger body is recorded and not sent."""
MOST_RECORDS = 1000
MOST_WAITING = 10_000
PER_SECOND = 100
"""Calls that leave in one real second at most."""


@dataclass(slots=True)
class Record:
    """What became of one call that the mock would make."""

    send: Send
    attempts: list[tuple[float, int]] = field(default_factory=list)
    """When each attempt was made (clock seconds), and its status; 0: no answer."""
    fate: str = "waiting"
    """`waiting`, `recorded` (its target was not named), `delivered` or `given up`."""


def target(text: str) -> tuple[str, int]:
    """A `host:port` as given on the command line. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{text!r} is no target: give host:port, such as 127.0.0.1:9000")
    return host.strip("[]").lower(), int(port)


def aim(url: str) -> tuple[str, int] | None:
    """The host and port that an address means; None where it is none that could be called."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or "@" in parts.netloc:
        return None
    return parts.hostname.lower(), port


class Courier:
    """Takes the effects of a mock's answers and carries them out, in the order of their times."""

    def __init__(self, clock: Clock, targets: Iterable[str] = ()) -> None:
        self.clock = clock
        self.targets = frozenset(map(target, targets))
        self.records: deque[Record] = deque(maxlen=MOST_RECORDS)
        self._queue: list[tuple[float, int, Record]] = []
        self._numbers = itertools.count()
        self._wake: asyncio.Event | None = None

    def take(self, effect: object) -> None:
        """Take one effect of an answer; others than `Send` are not for us."""
        if isinstance(effect, Send) and len(self._queue) < MOST_WAITING:
            record = Record(effect)
            self.records.append(record)
            self._push(effect.at, record)
            self.wake()

    def _push(self, at: float, record: Record) -> None:
        heapq.heappush(self._queue, (at, next(self._numbers), record))

    def wake(self) -> None:
        """Look again at what is due: the clock was moved, or there is something new."""
        if self._wake is not None:
            self._wake.set()

    def last_due(self) -> float | None:
        """When the last of the calls that wait is due."""
        return max((entry[0] for entry in self._queue), default=None)

    def next_due(self) -> float | None:
        """When the next call is due, by the mock's clock."""
        return self._queue[0][0] if self._queue else None

    def clear(self) -> None:
        """Forget everything that is recorded or waits."""
        self.records.clear()
        self._queue.clear()

    async def run_due(self) -> int:
        """Carry out what is due now; how many calls that were."""
        done = 0
        while self._queue and self._queue[0][0] <= self.clock.now():
            at, _, record = heapq.heappop(self._queue)
            await self._attempt(max(at, record.send.at), record)
            done += 1
        return done

    async def _attempt(self, at: float, record: Record) -> None:
        send = record.send
        if aim(send.call.url) not in self.targets or len(send.call.body) > MOST_BYTES:
            record.fate = "recorded"
            return
        status = await asyncio.to_thread(_post, send)
        record.attempts.append((round(at, 6), status))
        if 200 <= status < 300:
            record.fate = "delivered"
        elif len(record.attempts) <= len(send.retries):
            self._push(at + send.retries[len(record.attempts) - 1], record)
        else:
            record.fate = "given up"

    async def run(self) -> None:
        """Carry everything out as its time comes, until cancelled."""
        self._wake = asyncio.Event()
        while True:
            self._wake.clear()
            done = await self.run_due()
            if done:
                await asyncio.sleep(done / PER_SECOND if self.targets else 0)
            await self._until_next()

    async def _until_next(self) -> None:
        assert self._wake is not None
        due = self.next_due()
        stopped = due is None or stands(self.clock)
        wait = None if stopped or due is None else max(0.0, due - self.clock.now()) / speed(self.clock)
        try:
            await asyncio.wait_for(self._wake.wait(), min(wait, 3600.0) if wait is not None else None)
        except TimeoutError:
            return


def _post(send: Send) -> int:
    """One call, to one address that was looked up once; the status of its answer, 0 where there is none."""
    parts, place = urlsplit(send.call.url), aim(send.call.url)
    if place is None:
        return 0
    kind: Any = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(*place, timeout=send.within)
    try:
        found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0]
        line = socket.create_connection((str(found[4][0]), place[1]), timeout=send.within)
        connection.sock = (
            connection._context.wrap_socket(line, server_hostname=place[0]) if parts.scheme == "https" else line  # noqa: SLF001 - the one way to connect to an address and keep the name for TLS
        )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(send.call.method, path, send.call.body, dict(send.call.headers))
        return int(connection.getresponse().status)
    except (OSError, http.client.HTTPException, ValueError):
        return 0
    finally:
        connection.close()
