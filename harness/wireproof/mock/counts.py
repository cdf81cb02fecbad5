"""What a mood has to count, and where: in this process, or once for all workers of one mock."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from typing import Protocol


class Counts(Protocol):
    """Numbers that go up, and first times. `scope` is whom a number is about; empty: the whole mock."""

    def next(self, name: str, index: int = 0, scope: str = "") -> int:
        """The next number, from 1."""
        ...

    def first(self, name: str, now: float) -> float:
        """The time that was told first. Clock seconds."""
        ...

    def forget(self, name: str) -> None:
        """Begin anew with everything under a name."""
        ...

    def clear(self) -> None:
        """Begin anew with everything."""
        ...


class OwnCounts:
    """Kept by one process, for itself."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int, str], int] = {}
        self._firsts: dict[str, float] = {}

    def next(self, name: str, index: int = 0, scope: str = "") -> int:
        key = name, index, scope
        number = self._numbers[key] = self._numbers.get(key, 0) + 1
        return number

    def first(self, name: str, now: float) -> float:
        return self._firsts.setdefault(name, now)

    def forget(self, name: str) -> None:
        self._firsts.pop(name, None)
        for key in [key for key in self._numbers if key[0] == name]:
            del self._numbers[key]

    def clear(self) -> None:
        self._numbers.clear()
        self._firsts.clear()


class CommonCounts:
    """Kept by all processes that were forked from the one that made it.

    What is about a key or a job stays with the worker that they belong to; what is about the whole mock
    stands in a file without a name, under a lock that ends with the process that holds it.
    """

    def __init__(self) -> None:
        self._own = OwnCounts()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the mock lives

    def next(self, name: str, index: int = 0, scope: str = "") -> int:
        if scope:
            return self._own.next(name, index, scope)
        with self._held() as held:
            under = held.setdefault(name, {})
            under[str(index)] = under.get(str(index), 0) + 1
            return int(under[str(index)])

    def first(self, name: str, now: float) -> float:
        with self._held() as held:
            return held.setdefault(name, {}).setdefault("first", now)

    def forget(self, name: str) -> None:
        self._own.forget(name)
        with self._held() as held:
            held.pop(name, None)

    def clear(self) -> None:
        self._own.clear()
        with self._held() as held:
            held.clear()

    @contextlib.contextmanager
    def _held(self) -> Iterator[dict[str, dict[str, float]]]:
        import fcntl  # not made for every system; nor is the fork that this is for

        # A record lock: unlike flock, it tells processes apart that got the same file by a fork.
        fd = self._file.fileno()
        fcntl.lockf(fd, fcntl.LOCK_EX)
        try:
            raw = os.pread(fd, os.fstat(fd).st_size, 0)
            held: dict[str, dict[str, float]] = json.loads(raw or b"{}")
            yield held
            written = json.dumps(held).encode()
            if written != raw:
                os.pwrite(fd, written, 0)
                os.ftruncate(fd, len(written))
        finally:
            fcntl.lockf(fd, fcntl.LOCK_UN)
