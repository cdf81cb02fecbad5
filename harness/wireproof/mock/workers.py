"""One mock in several processes: each key belongs to one of them, and connections move to where their key lives.

Everything that the mock remembers belongs to an account (its jobs, its money, its windows, its stream of
chance), and an account is one worker's alone: nothing is shared, so nothing can disagree. A connection that
was accepted elsewhere is handed over whole, socket and all, with the first call that shows its key; from
then on it costs nothing. Hosts with channels (a WebSocket logs in after it was opened) and calls without a
good key are the first worker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from wireproof.errors import UsageError
from wireproof.mock.connection import Connection
from wireproof.mock.control import Control
from wireproof.mock.engine import Mock
from wireproof.mock.journal import Cut, joined
from wireproof.mock.scene import MEDIA
from wireproof.mock.socket import MockServer
from wireproof.mock.switchboard import Extension

MOST_INLINE = 32 << 10
"""What is handed over inside the message; more goes through a file without a name."""
_AGAIN = 0.002
"""Seconds until a worker that cannot take more is tried again."""
_LOOK = 0.5
"""Seconds between looks at whether the others still live."""


def owner(mock: Mock, account: str, workers: int) -> int:
    """Which worker an account belongs to."""
    provider = account.partition(":")[0]
    if any(host.provider.name == provider and host.provider.channels for host in mock.hosts):
        return 0
    return zlib.crc32(account.encode()) % workers


class Desk:
    """Where one worker hands connections over, and takes those that are handed to it."""

    def __init__(self, mock: Mock, number: int, inbox: socket.socket, others: Sequence[socket.socket]) -> None:
        self.mock = mock
        self.number = number
        self.inbox = inbox
        self.others = others
        self.server: MockServer | None = None
        self._busy: set[asyncio.Task[Any]] = set()

    def place(self, target: bytes, fields: Mapping[bytes, bytes], hops: int) -> int | None:
        """The worker that a call is for; None: this one. `hops` counts how often it was handed over."""
        workers = len(self.others)
        for host in self.mock.hosts:
            auth = host.provider.auth
            given = fields.get(auth.header.lower().encode(), b"").decode("latin-1")
            name = self.mock.keys.get(given.removeprefix(auth.prefix).strip())
            if name is not None:
                return self._unless_here(owner(self.mock, name, workers))
        path = target.partition(b"?")[0].decode("latin-1")
        if MEDIA not in path:
            return self._unless_here(0)
        # A picture is fetched without a key: whoever knows the job has it.
        id = unquote(path.rpartition(MEDIA)[2]).rpartition("-")[0]
        return None if hops >= workers - 1 or self.mock.holds(id) else (self.number + 1) % workers

    def _unless_here(self, place: int) -> int | None:
        return None if place == self.number else place

    def hand_over(self, place: int, connection: socket.socket, raw: bytes, hops: int) -> None:
        """Give a connection away, with what was read from it and is still to be answered."""
        with contextlib.ExitStack() as stack:
            head, fds = b"%d " % hops, [connection.fileno()]
            if len(raw) > MOST_INLINE:
                file = stack.enter_context(tempfile.TemporaryFile())
                file.write(raw)
                file.flush()
                fds.append(file.fileno())
                raw = b""
            try:
                socket.send_fds(self.others[place], [head + raw], fds)
            except BlockingIOError:
                again = connection.dup()
                whole = _contents(fds[1]) if len(fds) > 1 else raw
                asyncio.get_running_loop().call_later(_AGAIN, self._again, place, again, whole, hops)

    def _again(self, place: int, connection: socket.socket, raw: bytes, hops: int) -> None:
        with connection:
            self.hand_over(place, connection, raw, hops)

    def listen(self) -> None:
        """Take what is handed over, from now on; called in the loop that serves."""
        asyncio.get_running_loop().add_reader(self.inbox.fileno(), self.take)

    def take(self) -> None:
        """Adopt one connection."""
        try:
            message, fds, _, _ = socket.recv_fds(self.inbox, MOST_INLINE + 64, 2)
        except BlockingIOError:
            return
        hops, _, raw = message.partition(b" ")
        if len(fds) > 1:
            raw = _contents(fds[1])
            os.close(fds[1])
        server = self.server
        if server is None:
            return os.close(fds[0])
        made = Connection(server, raw, int(hops))
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(lambda: made, socket.socket(fileno=fds[0])))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)


def _contents(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def spread(workers: int, host: str, port: int, work: Callable[[int, socket.socket, Desks], None]) -> Desks:
    """Run `work` once for each worker, with its number, the listening socket and the desks: number 0 here,
    the others in processes of their own, which end when this one does. The desks know what the workers
    said last. Raises UsageError."""
    if not hasattr(os, "fork") or not hasattr(socket, "send_fds"):
        raise UsageError("this system cannot hand connections from process to process: --workers can only be 1")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise UsageError(f"the mock cannot listen: {error.strerror or error}") from None
    desks = Desks(workers)
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=work, args=(number, listener, desks), daemon=True) for number in range(1, workers)]
    with listener:
        for other in others:
            other.start()
        desks.others = [other.pid or 0 for other in others]
        try:
            work(0, listener, desks)
        finally:
            for other in others:
                other.terminate()
            for other in others:
                other.join(5)
    return desks


class Desks:
    """The desks of all workers, made before they part."""

    def __init__(self, workers: int) -> None:
        self.pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(workers)]
        self.lines = [socket.socketpair() for _ in range(workers)]
        """From the switchboard to each worker."""
        self._last_words = [tempfile.TemporaryFile() for _ in range(workers)]  # noqa: SIM115 - open as long as the mock lives
        self.parent = os.getpid()
        self.others: list[int] = []
        for each in (one for pair in self.pairs for one in pair):
            each.setblocking(False)

    def desk(self, mock: Mock, number: int) -> Desk:
        """The desk of one worker, in its process."""
        for other, (asks, answers) in enumerate(self.lines):
            # So that a line breaks when the worker at its end has gone.
            if other != number:
                answers.close()
            if number != 0:
                asks.close()
        return Desk(mock, number, self.pairs[number][0], [pair[1] for pair in self.pairs])

    def owns(self, mock: Mock, number: int, account: str) -> bool:
        """Whether an account is that worker's."""
        return owner(mock, account, len(self.pairs)) == number

    def leave(self, number: int, cut: Cut) -> None:
        """Leave a worker's journal behind."""
        file = self._last_words[number]
        file.write(pickle.dumps(cut))
        file.flush()

    def journal(self) -> Cut:
        """The journals that the workers left behind, as one."""
        kept = [_contents(file.fileno()) for file in self._last_words]
        return joined([pickle.loads(one) for one in kept if one])  # noqa: S301 - written by our own fork, seen by nobody else

    async def watch(self, number: int, control: Control) -> None:
        """Answers what a worker is asked by the switchboard. Returns when a worker has gone, or the first
        one; stops this process then, too."""
        line = self.lines[number][1]
        await asyncio.get_running_loop().create_unix_connection(lambda: Extension(control), sock=line)
        while self._all_live():  # noqa: ASYNC110 - nobody is there to tell when a process was killed
            await asyncio.sleep(_LOOK)
        os.kill(os.getpid(), signal.SIGTERM)

    def _all_live(self) -> bool:
        if os.getpid() != self.parent:
            return os.getppid() == self.parent
        return len(multiprocessing.active_children()) >= len(self.others)
