"""A mock whose jobs and accounts lie in a store, so that any process on any machine may answer any call.

The engine is the same, and so are the rules: an account is read from the store, changed here by the engine's
own arithmetic, and written back as one step together with the jobs that it paid for.
"""

from __future__ import annotations

import heapq
import json
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from wireproof.clock import Clock
from wireproof.lifecycle import Status
from wireproof.mock import dice
from wireproof.mock.answer import Answer, speed
from wireproof.mock.engine import Mock
from wireproof.mock.jobs import Account, Entry, Job, Memory
from wireproof.mock.scene import plain
from wireproof.mock.store import DAY, Gone, Step, Store
from wireproof.model import Call, Endpoint
from wireproof.spec.values import effective

LINES = 1000
"""Of an account's book that are kept."""
LOOK = 256
"""So many jobs are taken before it is looked at whether there are too many."""
GRACE = 1000
"""Milliseconds for which a job is kept after its time, so that its host can say that it is over."""
RECENT = 64
"""Throws that are known by heart, for steps that are done again."""
TRIES = 1000
"""How often one step is done again before the store counts as gone."""

T = TypeVar("T")


class SharedMock(Mock):
    """Serves contracts from a store. What is asked of it is the same as of any mock; what it was told for
    itself (its moods, what is staged) stays with it."""

    shared = True

    def __init__(self, endpoints: Any, *, store: Store, clock: Clock, jobs: int, **more: Any) -> None:
        """`jobs`: how many are remembered, about; `more` is what every mock takes."""
        self.store = store
        found = list(endpoints)
        memory = StoredMemory(store, clock, {endpoint.name: endpoint for endpoint in found}, jobs)
        super().__init__(found, memory=memory, counts=StoredCounts(store), **more)
        self.keys = StoredKeys(self.keys, store, self._mood_of_key)

    @property
    def is_plain(self) -> bool:
        """The short cut keeps its books in this process."""
        return False

    def _begin(self) -> None:
        super()._begin()
        self._throws: dict[str, Throws] = {}
        self.accounts = self._books = Accounts(self.store, self.deposit, self._chance)

    def _chance(self, account: str) -> Throws:
        if account not in self._throws:
            self._throws[account] = Throws(lambda: self.stream(account))
        return self._throws[account]

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        try:
            return self.at_once(lambda: super(SharedMock, self).answer(call, now, wall))
        except Gone:
            return plain(503, "The store does not answer.")

    def at_once(self, act: Callable[[], T]) -> T:
        """Carry something out as one step of the store. Raises Gone."""
        staged, hurry = list(self._staged), self.hurry
        for _ in range(TRIES):
            self.store.begin()
            done = act()
            self._books.hand_over()
            if self.store.step.commit():
                return done
            self._staged[:], self.hurry = staged, hurry
        raise Gone("others are always faster")


# ------------------------------------------------------------------------------------------ chance


class Throws:
    """The throws of one account, by the number of the job that each is for."""

    def __init__(self, begin: Callable[[], random.Random]) -> None:
        self._begin = begin
        self._stream, self._done = begin(), 0
        self._recent: deque[int] = deque(maxlen=RECENT)

    def __getitem__(self, number: int) -> int:
        if number < self._done - len(self._recent):
            self._stream, self._done = self._begin(), 0
            self._recent.clear()
        while self._done <= number:
            self._recent.append(self._stream.getrandbits(dice.BITS))
            self._done += 1
        return self._recent[number - self._done]


class NextThrow:
    """The stream of chance as an account sees it: what its next job goes by."""

    def __init__(self, throws: Throws) -> None:
        self._throws = throws
        self.account: StoredAccount | None = None

    def getrandbits(self, bits: int, /) -> int:
        return self._throws[self.account.jobs if self.account else 0]


# ---------------------------------------------------------------------------------------- accounts

_AMOUNTS = ("deposited", "_balance", "_spent", "_reserved", "_refunded")
_NUMBERS = ("jobs", "uploads", "_unbilled")


class Accounts(MutableMapping[str, Account]):
    """The accounts of a store. Each is read once in a step, and written with it."""

    def __init__(self, store: Store, deposit: Decimal, chance: Callable[[str], Throws]) -> None:
        self._store = store
        self._deposit = deposit
        self._chance = chance
        self._step: Step | None = None
        self._read: dict[str, StoredAccount] = {}

    def _now(self) -> dict[str, StoredAccount]:
        """What was read in the step that is being made."""
        if self._step is not self._store.step:
            self._step, self._read = self._store.step, {}
        return self._read

    def __getitem__(self, name: str) -> Account:
        read = self._now()
        if name not in read:
            read[name] = StoredAccount.of(self._store.step, name, self._deposit, self._chance(name))
        return read[name]

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.ask("SMEMBERS", "accounts"))

    def __len__(self) -> int:
        return int(self._store.ask("SCARD", "accounts"))

    def __setitem__(self, name: str, account: Account) -> None:
        raise TypeError("an account of a store is made by its first reader")

    __delitem__: Any = None

    def hand_over(self) -> None:
        """What was changed goes into the step."""
        for account in self._now().values():
            account.hand_over()


@dataclass(slots=True, kw_only=True)
class StoredAccount(Account):
    """One account of a store, as one step sees it. Jobs that ended are booked when somebody looks."""

    step: Step
    key: str
    queue: Queue
    lines: Book
    due: float = -math.inf
    """Until when jobs that ended are to be booked. Clock seconds."""

    @classmethod
    def of(cls, step: Step, name: str, deposit: Decimal, throws: Throws) -> StoredAccount:
        key = f"account:{name}"
        head = step.head(key)
        lines, chance = Book(step, key, f"book:{name}"), NextThrow(throws)
        made = cls(
            name=name,
            deposited=deposit,
            chance=chance,
            used_ids=Ids(step, key, f"ids:{name}"),
            calls=Windows(step, key, name),
            step=step,
            key=key,
            queue=Queue(step, key, f"queue:{name}"),
            lines=lines,
        )
        chance.account, made._book = made, lines
        if "is" in head:
            amounts, numbers, made.forbidden = json.loads(head["is"])
            for own, value in (
                *zip(_AMOUNTS, map(Decimal, amounts), strict=True),
                *zip(_NUMBERS, numbers, strict=True),
            ):
                setattr(made, own, value)
        return made

    def hand_over(self) -> None:
        """What it is now goes into the step."""
        head = self.step.head(self.key)
        if "is" not in head:
            self.step.write(self.key, "SADD", "accounts", self.name)
        self.queue.hand_over()
        self.lines.hand_over()
        amounts, numbers = ([getattr(self, own) for own in names] for names in (_AMOUNTS, _NUMBERS))
        head["is"] = json.dumps([list(map(str, amounts)), numbers, self.forbidden])

    @property
    def balance(self) -> Decimal:
        self._catch_up()
        return self._balance

    def settle(self, now: float) -> None:
        self.due = max(self.due, now)

    def _catch_up(self) -> None:
        for ended, job, cost, billed in self.queue.take(self.due):
            self._end(ended, job, cost, billed)

    @property
    def book(self) -> list[Entry]:
        self._catch_up()
        return [Entry(*line) for line in self._book]

    def reserve(self, cost: Decimal, ends: float, billed: bool, now: float = 0.0) -> None:
        self._catch_up()
        self._balance -= cost
        self._reserved += cost
        self._unbilled += not billed
        self.queue.put(ends, self.jobs, cost, billed)
        self._book.append((now, "reserve", cost, self.jobs))
        self.jobs += 1

    def in_flight(self, now: float) -> int:
        self.settle(now)
        self._catch_up()
        return len(self.queue)

    def free_at(self, most: int, now: float) -> float:
        running = self.in_flight(now)
        return now if running < most else self.queue.end(running - most)

    def next_end(self) -> float | None:
        self._catch_up()
        return self.queue.end(0) if len(self.queue) else None


Running = tuple[float, int, Decimal, bool]
"""A job that has not ended: when it does, its number, what it costs, whether it is charged."""


class Queue:
    """The jobs of an account that have not ended, by their ends, as one step sees them."""

    def __init__(self, step: Step, head: str, name: str) -> None:
        self._step, self._head, self._name = step, head, name
        self._new: list[Running] = []
        self._taken = 0
        self._until = -math.inf

    def put(self, *running: Any) -> None:
        """Add one."""
        ends, number, cost, billed = running
        heapq.heappush(self._new, (ends, number, cost, billed))

    def take(self, until: float) -> Iterator[Running]:
        """Take out those that have ended, in the order of their ends."""
        ended: list[Running] = []
        if until > self._until:
            told = self._step.store.ask("ZRANGEBYSCORE", self._name, f"({self._until!r}", repr(until), "WITHSCORES")
            ended = [_running(*pair) for pair in _pairs(told)]
            self._taken += len(ended)
            self._until = until
            if ended:
                self._step.write(self._head, "ZREMRANGEBYSCORE", self._name, "-inf", repr(until))
        while self._new and self._new[0][0] <= until:
            ended.append(heapq.heappop(self._new))
        return iter(sorted(ended))

    def __len__(self) -> int:
        return int(self._step.store.ask("ZCARD", self._name)) - self._taken + len(self._new)

    def end(self, index: int) -> float:
        """When the one ends that has so many before it. Clock seconds."""
        first = max(0, index - len(self._new))
        told = self._step.store.ask("ZRANGE", self._name, self._taken + first, self._taken + index, "WITHSCORES")
        ends = sorted([float(score) for _, score in _pairs(told)] + [one[0] for one in self._new])
        return ends[index - first]

    def hand_over(self) -> None:
        """What was added goes into the step."""
        for at in range(0, len(self._new), LINES):
            pairs = [word for one in self._new[at : at + LINES] for word in (repr(one[0]), _member(one))]
            self._step.write(self._head, "ZADD", self._name, *pairs)
        self._new = []


def _pairs(told: Any) -> list[tuple[str, Any]]:
    """Members and scores, in whichever of both ways a client gives them."""
    if told and isinstance(told[0], (tuple, list)):
        return [(member, score) for member, score in told]
    return list(zip(told[::2], told[1::2], strict=True))


def _member(one: Running) -> str:
    return f"{one[1]:012d} {one[2]} {one[3]:d}"


def _running(member: str, score: Any) -> Running:
    number, cost, billed = member.split(" ")
    return float(score), int(number), Decimal(cost), billed == "1"


class Windows(dict[str, deque[float]]):
    """When an account called, for each limit that counts its calls."""

    def __init__(self, step: Step, head: str, account: str) -> None:
        super().__init__()
        self._step, self._head, self._account = step, head, account

    def setdefault(self, limit: str, default: deque[float] | None = None) -> deque[float]:
        """The times under a limit."""
        if limit not in self:
            self[limit] = Window(self._step, self._head, f"window:{self._account}:{limit}")
        return self[limit]


class Window(deque[float]):
    """The times of the calls that one limit counts."""

    def __init__(self, step: Step, head: str, name: str) -> None:
        super().__init__(map(float, step.store.ask("LRANGE", name, 0, -1)))
        self._step, self._head, self._name = step, head, name

    def popleft(self) -> float:
        self._step.write(self._head, "LPOP", self._name)
        return super().popleft()

    def append(self, time: float) -> None:
        self._step.write(self._head, "RPUSH", self._name, repr(time))
        self._step.write(self._head, "PEXPIRE", self._name, DAY)
        super().append(time)


class Ids(set[str]):
    """The ids that an account used for its jobs; those of this step are its own members."""

    def __init__(self, step: Step, head: str, name: str) -> None:
        super().__init__()
        self._step, self._head, self._name = step, head, name

    def __contains__(self, id: object) -> bool:
        return super().__contains__(id) or bool(self._step.store.ask("SISMEMBER", self._name, str(id)))

    def add(self, id: str) -> None:
        self._step.write(self._head, "SADD", self._name, id)
        self._step.write(self._head, "PEXPIRE", self._name, DAY)
        super().add(id)

    def discard(self, id: object) -> None:
        self._step.write(self._head, "SREM", self._name, id)
        super().discard(id)


class Book(deque[tuple[float, str, Decimal, int | None]]):
    """The last lines of an account's book; those of this step are its own members."""

    def __init__(self, step: Step, head: str, name: str) -> None:
        super().__init__()
        self._step, self._head, self._name = step, head, name

    def hand_over(self) -> None:
        """What was written goes into the step."""
        new = [f"{at!r} {what} {amount} {'' if job is None else job}" for at, what, amount, job in super().__iter__()]
        for at in range(0, len(new), LINES):
            self._step.write(self._head, "RPUSH", self._name, *new[at : at + LINES])
        if new:
            self._step.write(self._head, "LTRIM", self._name, -LINES, -1)
        self.clear()

    def __iter__(self) -> Iterator[tuple[float, str, Decimal, int | None]]:
        for line in self._step.store.ask("LRANGE", self._name, 0, -1):
            at, what, amount, job = line.split(" ")
            yield float(at), what, Decimal(amount), int(job) if job else None
        yield from super().__iter__()


# -------------------------------------------------------------------------------------------- jobs


class StoredMemory(Memory):
    """The jobs of a store. Each is forgotten by the store itself once its time is over; where there are too
    many, the key with the most loses those whose time is over first."""

    def __init__(self, store: Store, clock: Clock, endpoints: Mapping[str, Endpoint], most: int) -> None:
        super().__init__(most)
        self._store, self._clock, self._endpoints = store, clock, endpoints
        self._step: Step | None = None
        self._added: dict[str, Job] = {}
        self._taken = 0

    def _new(self) -> dict[str, Job]:
        """What was added in the step that is being made."""
        if self._step is not self._store.step:
            self._step, self._added = self._store.step, {}
        return self._added

    def clear(self) -> None:
        self._store.wipe("account:*", "queue:*", "window:*", "ids:*", "book:*", "job:*", "jobs:*", "upload:*")
        self._store.wipe("accounts", "forgotten")

    def add(self, job: Job) -> None:
        kept = max(job.record_for, job.media_for or 0.0) if job.record_for is not None else math.inf
        now, scale = self._clock.now(), speed(self._clock)
        life = DAY if kept == math.inf else math.ceil((job.ends + kept - now) / scale * 1000) + GRACE
        head, step = f"account:{job.account}", self._store.step
        step.write(head, "SET", f"job:{job.id}", _packed(job), "PX", max(1, life))
        step.write(head, "ZADD", f"jobs:{job.account}", repr(now + life / 1000 * scale), job.id)
        step.write(head, "ZREMRANGEBYSCORE", f"jobs:{job.account}", "-inf", repr(now))
        self._new()[job.id] = job
        self._taken += 1
        if self._taken % LOOK == 0:
            self._make_room()

    def _make_room(self) -> None:
        held = self._held()
        while held and (spare := sum(held.values()) - self.most) > 0:
            account, second = max(held, key=held.__getitem__), sorted(held.values())[-2:][0]
            many = min(spare, max(1, held[account] - second)) if len(held) > 1 else spare
            dropped = [id for id, _ in _pairs(self._store.ask("ZPOPMIN", f"jobs:{account}", many))]
            for id in dropped:
                self._store.ask("UNLINK", f"job:{id}")
            self._store.ask("INCRBY", "forgotten", len(dropped))
            held[account] -= many

    def _held(self) -> dict[str, int]:
        """How many jobs each account has."""
        names, now = self._store.ask("SMEMBERS", "accounts"), self._clock.now()
        return {name: int(self._store.ask("ZCOUNT", f"jobs:{name}", f"({now!r}", "+inf")) for name in sorted(names)}

    def get(self, id: str) -> Job | None:
        added = self._new().get(id)
        if added is not None or not id:
            return added
        told = self._store.ask("GET", f"job:{id}")
        return _unpacked(told, self._endpoints) if told else None

    def knows(self, id: str) -> bool:
        return bool(self._store.ask("EXISTS", f"job:{id}"))

    def forget(self, now: float) -> None:
        """The store does it."""

    def bring(self, id: str, account: str, number: int) -> None:
        self._store.step.write(f"account:{account}", "SET", f"upload:{id}", number, "PX", DAY)

    def upload(self, id: str) -> int | None:
        told = self._store.ask("GET", f"upload:{id}") if id else None
        return None if told is None else int(told)

    @property
    def forgotten(self) -> int:
        """Jobs dropped for want of room, by all who serve from the store."""
        return int(self._store.ask("GET", "forgotten") or 0)

    def __len__(self) -> int:
        return sum(self._held().values())

    def __iter__(self) -> Iterator[Job]:
        ids = [id for name in self._held() for id in self._store.ask("ZRANGE", f"jobs:{name}", 0, -1)]
        return iter([job for id in ids if (job := self.get(id)) is not None])


_PLAIN = (
    "id", "number", "account", "values", "taken", "wall", "queue", "run", "why", "outputs", "seed", "billed",
    "record_for", "media_for", "throttled", "own_id", "mood", "twist",
)  # fmt: skip
"""Of a job, what JSON can tell."""


def _packed(job: Job) -> str:
    told = {name: getattr(job, name) for name in _PLAIN}
    told |= {"endpoint": job.endpoint.name, "outcome": job.outcome.value, "cost": str(job.cost)}
    told["balance"] = None if job.balance is None else str(job.balance)
    return json.dumps(told)


def _unpacked(text: str, endpoints: Mapping[str, Endpoint]) -> Job:
    told = json.loads(text)
    endpoint, balance = endpoints[told.pop("endpoint")], told.pop("balance")
    return Job(
        endpoint=endpoint,
        full=effective(endpoint, told["values"]),
        outcome=Status(told.pop("outcome")),
        cost=Decimal(told.pop("cost")),
        balance=None if balance is None else Decimal(balance),
        **told,
    )


# ------------------------------------------------------------------------------------ keys, counts


class StoredKeys(dict[str, str]):
    """Keys and their accounts: those that this mock made, and those that another one did."""

    def __init__(self, own: Mapping[str, str], store: Store, met: Callable[[str], None]) -> None:
        """`met` is told the account of every key that comes from elsewhere."""
        super().__init__(own)
        self._store, self._met = store, met

    def __setitem__(self, key: str, account: str) -> None:
        self._store.ask("HSET", "keys", key, account)
        super().__setitem__(key, account)

    def __contains__(self, key: object) -> bool:
        return self.get(str(key)) is not None

    def get(self, key: str, default: Any = None) -> Any:
        found = super().get(key)
        if found is None and key:
            try:
                found = self._store.ask("HGET", "keys", key)
            except Gone:
                return default
            if found is not None:
                super().__setitem__(key, found)
                self._met(found)
        return default if found is None else found

    def values(self) -> Any:
        for key in self._store.ask("HKEYS", "keys"):
            self.get(key)
        return super().values()


@dataclass(slots=True)
class StoredCounts:
    """What moods count by, in a store. What is about a key or a job has a name of its own."""

    store: Store
    _head: str = field(default="counts", init=False)

    def _era(self, name: str) -> str:
        return self.store.step.head(self._head).get(f"{name} era", "0")

    def next(self, name: str, index: int = 0, scope: str = "") -> int:
        place = f"{self._head}:{scope}" if scope else self._head
        fields, field_ = self.store.step.head(place), f"{name} {self._era(name)} {index}"
        number = int(fields.get(field_, "0")) + 1
        fields[field_] = str(number)
        if scope:
            self.store.step.write(place, "PEXPIRE", place, DAY)
        return number

    def first(self, name: str, now: float) -> float:
        return float(self.store.step.head(self._head).setdefault(f"{name} {self._era(name)} first", repr(now)))

    def forget(self, name: str) -> None:
        self.store.step.head(self._head)[f"{name} era"] = str(int(self._era(name)) + 1)

    def clear(self) -> None:
        self.store.wipe(self._head, f"{self._head}:*")
