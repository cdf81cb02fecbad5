"""A clock that can be pushed forward while it runs."""

from __future__ import annotations

from wireproof.clock import Clock, SteppedClock
from wireproof.mock.answer import speed


class MovableClock:
    """Another clock, plus what it was pushed by."""

    def __init__(self, clock: Clock, start: float | None = None) -> None:
        """Counts from now on, or from `start` on, a time of that other clock."""
        self.inner = clock
        self.scale = speed(clock)
        self._start = clock.now() if start is None else start
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since its start."""
        return self.inner.now() - self._start + self._ahead

    def wall(self) -> float:
        return self.inner.wall() + self._ahead

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Push it forward. Refuses to go back."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        if isinstance(self.inner, SteppedClock):
            self.inner.advance(seconds)
        else:
            self._ahead += seconds

    @property
    def stands(self) -> bool:
        """Whether it moves only when pushed."""
        return isinstance(self.inner, SteppedClock)
