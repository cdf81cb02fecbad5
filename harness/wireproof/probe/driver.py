"""Stories carried out: many jobs at once, one call at a time, everything written down as Exchanges.

A story is a generator: it yields what it wants to ask and when, and is handed the exchange that came of
it. The driver keeps them in one heap by time, so that jobs overlap while calls stay in a fixed order:
the same plan on a stepped clock is the same run, byte for byte.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from wireproof.clock import Clock
from wireproof.model import FOLLOWED, GIVEN_UP, ONCE_MORE, Call, Credential, Exchange
from wireproof.probe.memory import Memory, Skipped
from wireproof.probe.sender import Sent
from wireproof.wire.dialogue import retry_after

LEAST = 0.5
"""Seconds that a call is given at least, however little of the run's time is left."""


class Sends(Protocol):
    """Whatever makes a call."""

    timeout: float
    """Seconds that a call may take where nothing else is said."""

    def send(self, call: Call, *, timeout: float | None = None, free: bool = False) -> Sent: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A call that a story wants made, at the earliest at `at` (clock seconds)."""

    call: Call
    at: float
    operation: str
    job: str | None = None
    purpose: str = ""
    credential: Credential = Credential.GOOD
    output: int | None = None
    timeout: float | None = None
    paid: bool = False
    """Whether an accepted answer starts paid work."""
    provoked: bool = False
    """Whether trouble is what is asked for."""


SLOWEST, RECOVERS = 1.0, 0.95
"""Seconds between two calls, at most, to a host that limits rates; and what is left of them with each call."""

MOST_BAD = 12
"""So many calls of a run that met a server error are made once more."""
MOST_AGAIN, MOST_WAIT, MOST_HELD = 4, 10.0, 30.0
"""So often a call that came too fast is made again, after so many seconds at most, and so many in a whole run."""

Story = Generator[Want, Exchange | None, None]


class Stopped(Exception):
    """A limit of the run was reached. `why` says which."""

    def __init__(self, why: str, *, chosen: bool = False) -> None:
        """`chosen`: the size of the run was asked for to be so; nothing went wrong."""
        self.why = why
        self.chosen = chosen
        super().__init__(why)


@dataclass(slots=True)
class Bounds:
    """What a run may use up. None: no bound."""

    requests: int | None = None
    jobs: int | None = None
    seconds: float | None = None
    gap: float = 0.0
    """Seconds from one call to the next, at least."""

    @property
    def scarce(self) -> bool:
        """Whether calls, jobs or time are bounded."""
        return (self.requests, self.jobs, self.seconds) != (None, None, None)


@dataclass(slots=True)
class Driver:
    """Makes calls and keeps count. `heard` is told every exchange as it happens."""

    sender: Sends
    clock: Clock
    bounds: Bounds = field(default_factory=Bounds)
    heard: Callable[[Exchange], None] = lambda exchange: None
    before: Callable[[Want], None] = lambda want: None
    """Asked before every call; may raise to stop the run (a budget)."""
    exchanges: list[Exchange] = field(default_factory=list)
    jobs: int = 0
    """Paid calls that were answered with success."""
    surprises: int = 0
    """Those among them that the host should have refused."""
    started: float | None = None
    first: int = 1
    """Number of the first exchange, where a run drives several endpoints."""
    family: str = ""
    """Stands before the label of every job, so that labels stay apart where a run drives several endpoints."""
    memory: Memory | None = None
    """What an earlier run has heard, where this one goes on with it."""
    spare: int = 0
    """So many of the calls that the bounds allow are kept for the end."""
    repeats: bool = False
    """Whether a call that may start a job may be made once more when it meets a server error."""
    why: str = ""
    """What the network said of the last call that broke."""
    _held: float = 0.0
    """Seconds for which it was waited because a host asked for it."""
    _slow: float = 0.0
    """Seconds between two calls to a host that has turned one away for coming too fast."""
    _bad: int = 0
    _begun: float = 0.0
    _last: float = float("-inf")

    @property
    def limited(self) -> bool:
        """Whether the host has turned a call away for coming too fast."""
        return any(one.reply is not None and one.reply.status == 429 for one in self.exchanges)

    def ask(self, want: Want) -> Exchange:
        """Make one call now, or remember what came of it; one that comes too fast for the host is made again when
        it may come. Raises Skipped for one that must not be made again."""
        exchange = self._once(want)
        for attempt in range(MOST_AGAIN):
            wait = self._told_to_wait(want, exchange, attempt)
            if wait is None:
                break
            # From here on the host is gone about more slowly, and by and by as fast as before.
            self._slow = min(SLOWEST, max(0.05, 2 * self._slow))
            self._held += wait
            self.rest(self.clock.now() + wait)
            exchange = self._once(want)
        if not self._is_bad_moment(want, exchange):
            return exchange
        self._bad += 1
        return self._once(replace(want, purpose=f"{want.purpose}{ONCE_MORE}"))

    def _is_bad_moment(self, want: Want, exchange: Exchange) -> bool:
        """Whether a server error may be gone when the call is made once more, and that costs nothing.

        A dialogue about a job has its own way with them."""
        free = not want.paid or (self.repeats and want.job is None)
        return (
            exchange.reply is not None
            and exchange.reply.status >= 500
            and free
            and not want.provoked
            and (want.purpose not in ("", FOLLOWED) or want.operation == "media")
            and self._bad < MOST_BAD
        )

    def _told_to_wait(self, want: Want, exchange: Exchange, attempt: int) -> float | None:
        """Seconds to wait before a call that was turned away for coming too fast; None for any other, and where it
        would take too long. Nothing came of such a call, so that a paid one is not paid for twice."""
        reply = exchange.reply
        if reply is None or reply.status != 429 or want.provoked:
            return None
        wait = retry_after(reply) or 0.5 * 2**attempt
        return wait if wait <= MOST_WAIT and self._held + wait <= MOST_HELD else None

    def _once(self, want: Want) -> Exchange:
        if self.started is None:
            self._begun = self.clock.now()
            self.started = self._begun - (self.memory.since if self.memory else 0.0)
        unanswered = Exchange(
            seq=len(self.exchanges) + self.first,
            call=want.call,
            reply=None,
            operation=want.operation,
            job=f"{self.family}{want.job}" if want.job else None,
            credential=want.credential,
            purpose=want.purpose,
            output=want.output,
        )
        known = self.memory.recall(unanswered, paid=want.paid) if self.memory else None
        exchange = known or self._asked(want, unanswered, self.started)
        if want.paid and (exchange.reply is None or exchange.reply.status < 300) and exchange.broke != "refused":
            self.jobs += 1
        self.exchanges.append(exchange)
        self.heard(exchange)
        return exchange

    def _asked(self, want: Want, unanswered: Exchange, started: float) -> Exchange:
        """Make the call, within the bounds of the run."""
        self._within_bounds(want)
        self.rest(self._last + max(self.bounds.gap, self._slow))
        self._slow *= RECOVERS
        self.before(want)
        sent_at = self._last = self.clock.now()
        patience = want.timeout or self.sender.timeout
        left = max(LEAST, self._ends - sent_at)
        sent = self.sender.send(want.call, timeout=min(patience, left), free=not want.paid)
        self.why = sent.why or self.why
        return replace(
            unanswered,
            reply=sent.reply,
            broke=GIVEN_UP if sent.broke == "timeout" and left < patience else sent.broke,
            at=round(sent_at - started, 6),
            took=round(self.clock.now() - sent_at, 6),
        )

    def _within_bounds(self, want: Want) -> None:
        bounds = self.bounds
        if bounds.requests is not None and len(self.exchanges) >= bounds.requests - self.spare:
            raise Stopped(f"--max-requests {bounds.requests} is reached", chosen=True)
        if want.paid and bounds.jobs is not None and self.jobs >= bounds.jobs:
            raise Stopped(f"--max-jobs {bounds.jobs} is reached", chosen=True)
        if self.clock.now() >= self._ends:
            raise self._over()

    @property
    def _ends(self) -> float:
        """When the time of the run is over, on the clock."""
        if self.bounds.seconds is None or self.started is None:
            return float("inf")
        return self._begun + self.bounds.seconds

    def _over(self) -> Stopped:
        silent = self.exchanges and all(one.reply is None for one in self.exchanges)
        heard = ", and no call was answered until then" if silent else ""
        return Stopped(f"--max-time {self.bounds.seconds:g} is reached{heard}")

    def rest(self, until: float) -> None:
        """Sleep until then. Raises Stopped as soon as the time of the run is over, where that is before."""
        self.clock.sleep(max(0.0, min(until, self._ends) - self.clock.now()))
        if until > self._ends:
            raise self._over()

    def run(self, stories: Iterable[Story], *, together: int = 8) -> None:
        """Carry out stories, at most `together` of them at a time. Raises Stopped at a bound.

        What is due in a story that has begun goes before a new story: a job's first states pass quickly.
        """
        waiting = iter(stories)
        order = itertools.count()
        heap: list[tuple[float, int, Story, Want]] = []
        fresh = next(waiting, None)
        while heap or fresh is not None:
            now = self.clock.now()
            if fresh is not None and len(heap) < together and not (heap and heap[0][0] <= now):
                self._push(heap, order, fresh, None)
                fresh = next(waiting, None)
                continue
            at, _, story, step = heapq.heappop(heap)
            if at > now:
                self.rest(at)
            try:
                answer = self.ask(step)
            except Skipped:
                story.close()
                continue
            self._push(heap, order, story, answer, first=False)

    def _push(
        self,
        heap: list[tuple[float, int, Story, Want]],
        order: Iterator[int],
        story: Story,
        answer: Exchange | None,
        first: bool = True,
    ) -> None:
        """Take the next step of a story into the heap; nothing where the story is over."""
        try:
            step = next(story) if first else story.send(answer)
        except StopIteration:
            return
        heapq.heappush(heap, (step.at, next(order), story, step))
