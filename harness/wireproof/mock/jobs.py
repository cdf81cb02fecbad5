"""Jobs and accounts of the mock: what it remembers between two calls."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from wireproof.lifecycle import Status
from wireproof.model import Endpoint

if TYPE_CHECKING:
    from wireproof.mock.quick import Lean, Plan


@dataclass(slots=True, kw_only=True)
class Job:
    """One job, its whole future decided when it is taken: no timer is ever needed. Times are clock seconds."""

    id: str
    number: int
    """Which job of its key it is, counted from 0."""
    endpoint: Endpoint
    account: str
    values: Mapping[str, Any]
    """The parameters as sent."""
    full: Mapping[str, Any]
    """The parameters with their defaults."""
    taken: float
    wall: float
    queue: float
    run: float
    outcome: Status
    why: str = ""
    """Why it fails, in words."""
    outputs: int = 1
    seed: int = 0
    cost: Decimal = Decimal(0)
    billed: bool = True
    """Whether it is charged in the end."""
    record_for: float | None = None
    """Seconds that it is remembered after its end; None: for ever."""
    media_for: float | None = None
    balance: Decimal | None = None
    """What was left on the account when it was taken."""
    polls: int = 0
    """How often it was asked after."""
    throttled: float = 0.0
    """Seconds that the account's own limit holds it back before it is queued."""
    own_id: bool = False
    """Whether the caller made its id."""
    mood: str | None = None
    """The mood that its submit asked for: it goes with the job."""
    twist: Mapping[str, Any] | None = None
    """What is wrong with its pictures: `factor` of the size, `format`."""

    @property
    def ends(self) -> float:
        """When the work is over."""
        return self.taken + self.throttled + self.queue + self.run

    def status(self, now: float) -> Status:
        """How far it is."""
        if now < self.taken + self.throttled:
            return Status.THROTTLED
        if now < self.taken + self.throttled + self.queue:
            return Status.QUEUED
        if now < self.ends:
            return Status.RUNNING
        if self.record_for is not None and now >= self.ends + self.record_for:
            return Status.EXPIRED
        return self.outcome


_LINES = 1000
"""Of a book that are kept."""
_FOLD = 16 * _LINES
"""So many jobs are new before those that ended are booked as one sum."""


_UPLOADS = 1000
"""Pictures that were brought along, of which is known."""


class Throws(Protocol):
    """A stream of chance."""

    def getrandbits(self, bits: int, /) -> int: ...


class Entry(NamedTuple):
    """One line of an account's book."""

    at: float
    """Clock seconds."""
    what: str
    """`deposit`, `reserve`, `spend` or `refund`."""
    amount: Decimal
    job: int | None = None
    """Which job of the account, counted from 0."""


@dataclass(slots=True)
class Account:
    """What one key has: a balance that holds deposited = balance + spent + reserved at any time."""

    name: str
    deposited: Decimal
    jobs: int = 0
    """Jobs taken so far: the number of the next one."""
    uploads: int = 0
    """Pictures that it brought along."""
    forbidden: bool = False
    used_ids: set[str] = field(default_factory=set)
    calls: dict[str, deque[float]] = field(default_factory=dict)
    """Times of the calls that a limit counts, by the limit's name."""
    chance: Throws = field(default_factory=random.Random)
    """The stream that decides about its jobs, in the order in which they are taken."""
    _unbilled: int = 0
    """Jobs that run and will not be charged: when they end, the balance grows."""
    _new: list[Lean] = field(default_factory=list)
    """Jobs that are not in the books yet."""
    _fold_at: int = _FOLD
    _book: deque[tuple[float, str, Decimal, int | None]] = field(default_factory=lambda: deque(maxlen=_LINES))
    _running: list[tuple[float, int, Decimal, bool]] = field(default_factory=list)
    _balance: Decimal = Decimal(0)
    _spent: Decimal = Decimal(0)
    _reserved: Decimal = Decimal(0)
    _refunded: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        self._balance = self.deposited

    @property
    def balance(self) -> Decimal:
        """What may still be spent."""
        return self._balance

    @property
    def spent(self) -> Decimal:
        """What ended jobs have cost."""
        self._catch_up()
        return self._spent

    @property
    def reserved(self) -> Decimal:
        """What running jobs may cost."""
        self._catch_up()
        return self._reserved

    @property
    def refunded(self) -> Decimal:
        """What was reserved and given back."""
        self._catch_up()
        return self._refunded

    @property
    def book(self) -> list[Entry]:
        """The last entries."""
        self._catch_up()
        return [Entry(*entry) for entry in self._book]

    def deposit(self, amount: Decimal, now: float) -> None:
        """Put money in; a negative amount takes out, at most the balance."""
        amount = max(amount, -self.balance)
        self._catch_up()
        self.deposited += amount
        self._balance += amount
        self._book.append((now, "deposit", amount, None))

    def reserve(self, cost: Decimal, ends: float, billed: bool, now: float = 0.0) -> None:
        """Put the price of a job aside until it ends; then it is spent, or given back."""
        self._catch_up()
        self._balance -= cost
        self._reserved += cost
        self._unbilled += not billed
        heapq.heappush(self._running, (ends, self.jobs, cost, billed))
        self._book.append((now, "reserve", cost, self.jobs))
        self.jobs += 1

    def left(self, now: float) -> Decimal:
        """What may be spent by then."""
        if self._unbilled:
            self.settle(now)
        return self._balance

    def take(self, lean: Lean) -> None:
        """Reserve for a job of the short cut, which is charged for sure: the balance is right at once, the
        books when somebody looks."""
        self.jobs += 1
        self._balance = lean[9]
        self._new.append(lean)
        if len(self._new) >= self._fold_at:
            self._fold()

    def _fold(self) -> None:
        """Book what has ended as one sum, but for the latest. The lines that it would have in the book are
        older than the last ones, which are all it keeps."""
        new, until = self._new, self._new[-_LINES][4]
        self._spent += sum(one[8] for one in new if one[6] <= until)
        self._new = [one for one in new if one[6] > until]
        self._fold_at = len(self._new) * 3 // 2 + _FOLD

    def _catch_up(self) -> None:
        """Bring the books up to the last job: the same entries as if each had been booked when it was taken."""
        if not self._new:
            return
        new, self._new = self._new, []
        if len(new) * 16 < len(self._running):
            return self._catch_up_slowly(new)
        running = sorted([*self._running, *((one[6], one[2], one[8], True) for one in new)])
        done, book = 0, self._book.append
        for one in new:
            while running[done][0] <= one[4] and running[done][1] < one[2]:
                self._end(*running[done])
                done += 1
            self._reserved += one[8]
            book((one[4], "reserve", one[8], one[2]))
        self._running = running[done:]

    def _catch_up_slowly(self, new: Sequence[Lean]) -> None:
        """The same one by one: less work where few are new and many run."""
        for one in new:
            while self._running and self._running[0][0] <= one[4]:
                self._end(*heapq.heappop(self._running))
            heapq.heappush(self._running, (one[6], one[2], one[8], True))
            self._reserved += one[8]
            self._book.append((one[4], "reserve", one[8], one[2]))

    def _end(self, ended: float, job: int, cost: Decimal, billed: bool) -> None:
        self._reserved -= cost
        if billed:
            self._spent += cost
        else:
            self._refunded += cost
            self._balance += cost
            self._unbilled -= 1
        self._book.append((ended, "spend" if billed else "refund", cost, job))

    def settle(self, now: float) -> None:
        """Book every job that has ended by now."""
        self._catch_up()
        while self._running and self._running[0][0] <= now:
            self._end(*heapq.heappop(self._running))

    def in_flight(self, now: float) -> int:
        """Jobs that have not ended yet."""
        self.settle(now)
        return len(self._running)

    def free_at(self, most: int, now: float) -> float:
        """When a job more can start, where only `most` may run at once. Clock seconds."""
        if self.in_flight(now) < most:
            return now
        return sorted(job[0] for job in self._running)[len(self._running) - most]

    def next_end(self) -> float | None:
        """When the next job ends."""
        self._catch_up()
        return self._running[0][0] if self._running else None


class Memory:
    """Jobs by id, the oldest forgotten first once there are too many or their time is over.

    Where there are too many, a key loses its own oldest job if it has more than an equal share, else the key
    with the most does: nobody's flood washes away what others may still ask for.

    A job that came by the short cut is kept in short, and made whole for whoever asks for it.
    """

    def __init__(self, most: int = 100_000) -> None:
        self.most = most
        self._forgotten = 0
        self.plans: list[Plan] = []
        """What the jobs that are kept in short go by."""
        self.due = math.inf
        """Before this time nothing is to be forgotten. Clock seconds."""
        self._jobs: dict[str, Job | Lean] = {}
        self._orders: dict[str, deque[str]] = {}
        """By account, the ids of its jobs."""
        self._uploads: dict[str, int] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._uploads.clear()
        self._jobs.clear()
        self._orders.clear()
        self.due = math.inf
        self._forgotten = 0

    def add(self, job: Job) -> None:
        self._keep(job.id, job.account, job)

    def add_lean(self, id: str, lean: Lean) -> None:
        """Keep a job in short."""
        self._keep(id, lean[1], lean)

    def _keep(self, id: str, account: str, job: Job | Lean) -> None:
        self._jobs[id] = job
        order = self._orders.get(account)
        if order is None:
            order = self._orders[account] = deque()
            self.due = min(self.due, self._over(job))
        order.append(id)
        while len(self._jobs) > self.most:
            self._drop(account)

    def _drop(self, account: str) -> None:
        """Forget one job, so that there is room for one of this account."""
        order = self._orders[account]
        if len(order) * len(self._orders) <= self.most:
            account, order = max(self._orders.items(), key=lambda pair: len(pair[1]))
        if self._jobs.pop(order.popleft(), None) is not None:
            self._forgotten += 1
        if not order:
            del self._orders[account]
        elif (next_one := self._jobs.get(order[0])) is not None:
            self.due = min(self.due, self._over(next_one))

    @property
    def forgotten(self) -> int:
        """Jobs dropped for want of room before their retention was over."""
        return self._forgotten

    def get(self, id: str) -> Job | None:
        """The job of that id. Of one that is kept in short it is a copy."""
        found = self._jobs.get(id)
        return self.plans[found[0]].job(id, found) if isinstance(found, tuple) else found

    def knows(self, id: str) -> bool:
        return id in self._jobs

    def bring(self, id: str, account: str, number: int) -> None:
        """Remember a picture that an account brought along, and which of its pictures it is, from 0."""
        self._uploads[id] = number
        if len(self._uploads) > _UPLOADS:
            del self._uploads[next(iter(self._uploads))]

    def upload(self, id: str) -> int | None:
        """The number of a picture that was brought along; None for any other id."""
        return self._uploads.get(id)

    def lean(self, id: str) -> Lean | None:
        """The job of that id as the short cut keeps it; None where it is another kind, or unknown."""
        found = self._jobs.get(id)
        return found if isinstance(found, tuple) else None

    def forget(self, now: float) -> None:
        """Drop each account's oldest jobs whose record and media are both over."""
        if now < self.due:
            return
        self.due = math.inf
        for account, order in list(self._orders.items()):
            while order:
                kept = self._jobs.get(order[0])
                over = self._over(kept) if kept is not None else now
                if now < over:
                    self.due = min(self.due, over)
                    break
                self._jobs.pop(order.popleft(), None)
            else:
                del self._orders[account]

    def _over(self, kept: Job | Lean) -> float:
        """When a job and what it delivered are both gone. Clock seconds."""
        if isinstance(kept, tuple):
            return kept[6] + self.plans[kept[0]].kept
        if kept.record_for is None:
            return math.inf
        return kept.ends + max(kept.record_for, kept.media_for or 0.0)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter([job for id in list(self._jobs) if (job := self.get(id)) is not None])

    def last_end(self, within: float) -> float:
        """When the last job ends, of those that end before `within`; 0 where there is none. Clock seconds."""
        ends = (kept[6] if isinstance(kept, tuple) else kept.ends for kept in self._jobs.values())
        return max((end for end in ends if end < within), default=0.0)
