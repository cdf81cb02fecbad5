"""Time as an argument. Whoever needs the time or has to wait is handed a `Clock`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time that can also be waited on. Seconds throughout."""

    def now(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC, for labels and for `expiresAt`; never for durations."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long by this clock."""
        ...


class RealClock:
    """The machine's own time."""

    # Without a frame in between: a server asks for every call.
    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class ScaledClock:
    """Real time that runs `scale` times as fast, so that an hour's retention passes in a minute."""

    def __init__(self, scale: float) -> None:
        if not scale > 0:
            raise ValueError(f"a time scale is greater than 0, not {scale}")
        self.scale = scale
        self._start = time.monotonic()
        self._wall = time.time()

    def now(self) -> float:
        return (time.monotonic() - self._start) * self.scale

    def wall(self) -> float:
        return self._wall + self.now()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds / self.scale)


EPOCH = 1_767_225_600.0
"""Where a stepped clock's calendar starts: 2026-01-01T00:00:00Z, so that runs repeat byte for byte."""


class SteppedClock:
    """Time that moves only when told to: a wait takes no time at all, and every run is the same."""

    def __init__(self, start: float = 0.0, epoch: float = EPOCH) -> None:
        self._now = start
        self._epoch = epoch

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._epoch + self._now

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Move on; refuses to go back."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        self._now += seconds
