"""How money is kept: nothing paid is asked for before its highest price is reserved, on disk.

A budget is the allowance of one session of work, not of a day: it begins when a ledger is opened while
nobody else uses the key, and whoever opens the key's ledger meanwhile joins it, so two instances share
one ceiling. When the last user has left it the budget is over, and yesterday's spending does not eat
today's. Who is killed does not leave: the next to come goes on within the same budget, so that a kill
forgets no spending. A budget that was left can be resumed by its name (`budget=`).

What is known of a budget is a fold over its records, the same in memory and on disk. The disk's are one
`Log` per budget in a folder per key; each step happens under a file lock, after reading what other
processes have added. What was reserved and never settled stays counted, whoever died.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any, Protocol, Self

from wireproof.clock import Clock, RealClock
from wireproof.errors import CouldNotTell, OverBudget, UsageError, WireproofError
from wireproof.money import Money, countable
from wireproof.runlog import DISK, Damaged, Disk, Log, read_log, told
from wireproof.secrets import Secret

ABSURD = 5
"""A single charge of more than this many times its ceiling means that the price is not understood."""

# --------------------------------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside for one paid call. `number` is its name within the budget."""

    number: int
    price: Money
    """The most it should cost."""
    why: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What a settled reservation has cost, and whether to go on."""

    reservation: Reservation
    billed: Money | None
    """None: nobody told; the reserved price stays counted."""

    @property
    def overcharged(self) -> bool:
        """Whether it cost more than was reserved."""
        return self.billed is not None and self.billed > self.reservation.price

    @property
    def stop(self) -> bool:
        """Whether it cost so much that nothing further may be bought in this budget."""
        return self.billed is not None and self.billed > self.reservation.price * ABSURD


@dataclass(frozen=True, slots=True)
class LedgerState:
    """How a budget stands. What was spent lies between `spent` and `at_most`."""

    ceiling: Money
    spent: Money
    """Known charges."""
    reserved: Money
    """Set aside: ceiling prices of everything whose charge is not known (under way, never told, or orphaned),
    and what stands behind charges that only the host vouches for."""
    unknown: int
    """How many of those will not be told by a caller that is still there."""
    jobs: int
    """Reservations that were not released: the calls that may have been made."""
    stopped: str = ""
    """Why nothing more may be bought although money may be left; empty: it may."""

    @property
    def at_most(self) -> Money:
        with localcontext(_EXACT):
            return self.spent + self.reserved


class Stopped(OverBudget):
    """One charge was so far above its ceiling that the budget is closed. `why` says which."""

    def __init__(self, state: LedgerState, asked: Money, why: str) -> None:
        super().__init__(
            ceiling=state.ceiling.amount,
            spent=state.at_most.amount,
            asked=asked.amount,
            unit=asked.unit,
        )
        self.why = why
        self.args = (f"nothing more is bought: {why}",)


class Ledger(Protocol):
    """The one place where spending is allowed and written down. Amounts in the budget's own unit.

    All methods may be called from any thread. An amount that is negative, absurdly long or in another
    unit is refused with UsageError and changes nothing.
    """

    def reserve(self, price: Money, *, why: str) -> Reservation:
        """Set the price aside before the call leaves. Raises OverBudget when it is not covered."""
        ...

    def settle(self, reservation: Reservation, billed: Money | None, *, sure: bool = True) -> Charge:
        """Write down what it cost; None when nobody tells, which a later settlement may still correct.

        Unless `sure`, the bill may be higher than the host says: what was set aside above `billed` stays so.
        A charge above its ceiling is written down at its real amount. Raises ValueError when the
        reservation is released or was settled with another amount.
        """
        ...

    def release(self, reservation: Reservation) -> None:
        """Give the money back: the call provably did not leave, or its outcome is free by contract."""
        ...

    def state(self) -> LedgerState: ...

    def share(self, whose: tuple[str, ...]) -> LedgerState:
        """How the budget stands, counting only what was reserved with a reason that begins with one of these."""
        ...

    def pending(self) -> tuple[Reservation, ...]:
        """Reservations whose charge is not known, in their order: what a resumed run has to look into."""
        ...


# ----------------------------------------------------------------------------------------- fold

_EXACT = Context(prec=120)
"""Wide enough that no sum of amounts within `_counted` is ever rounded."""


def _counted(money: Money, unit: str) -> Money:
    """The amount, when it is one that can be counted in this budget."""
    if money.unit != unit:
        raise UsageError(f"{money} cannot be counted in a budget of {unit}")
    if not countable(money.amount, spare=3):
        raise UsageError(f"{money.amount} {unit} is not an amount that can be charged")
    return money


@dataclass(slots=True)
class _Entry:
    reservation: Reservation
    billed: Money | None = None
    open: bool = True
    """Whether a caller that is still there may settle it."""


@dataclass(frozen=True, slots=True)
class _Settled:
    why: str
    amount: Decimal
    kept: Decimal
    """Set aside above it."""


@dataclass(slots=True)
class _Book:
    """A budget as its records tell it."""

    unit: str = ""
    ceiling: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    made: int = 0
    entries: dict[int, _Entry] = field(default_factory=dict)
    """Those whose charge is not known."""
    settled: dict[int, _Settled] = field(default_factory=dict)
    stopped: str = ""
    begun: int = 0
    users: set[int] = field(default_factory=set)
    """Who has come and not left, by the number of their coming: those at work and those that were killed."""

    def apply(self, record: Mapping[str, Any]) -> None:
        """Take the next record. Raises LookupError or ValueError for one that does not belong."""
        with localcontext(_EXACT):
            _STEPS[next(iter(record))](self, record)

    def begin(self, record: Mapping[str, Any]) -> None:
        """Somebody opened the budget: alone, and every open reservation is an orphan; or joining."""
        ceiling = Decimal(record["ceiling"])
        self.begun += 1
        if record["begin"] == "join":
            self.users.add(self.begun)
            # Nobody may spend more than the most careful of those who share the budget allowed.
            self.ceiling = min(self.ceiling, ceiling)
            return
        self.unit, self.ceiling = record["unit"], ceiling
        self.users = {self.begun}
        for entry in self.entries.values():
            entry.open = False

    def end(self, record: Mapping[str, Any]) -> None:
        """Somebody left."""
        self.users.discard(record["end"])

    def reserve(self, record: Mapping[str, Any]) -> None:
        price = Money(Decimal(record["price"]), self.unit)
        self.made = record["reserve"]
        self.entries[self.made] = _Entry(Reservation(self.made, price, record["why"]))
        self.reserved += price.amount

    def settle(self, record: Mapping[str, Any]) -> None:
        number, billed = record["settle"], record["billed"]
        if billed is None:
            self.entries[number].open = False
            return
        entry = self.entries.pop(number)
        amount, kept = Decimal(billed), Decimal(record.get("kept", 0))
        self.reserved -= entry.reservation.price.amount - kept
        self.spent += amount
        self.settled[number] = _Settled(entry.reservation.why, amount, kept)
        if Charge(entry.reservation, Money(amount, self.unit)).stop:
            self.stopped = (
                f"call {number} ({entry.reservation.why}) was charged {amount} {self.unit}, "
                f"over {ABSURD} times its ceiling of {entry.reservation.price}"
            )

    def release(self, record: Mapping[str, Any]) -> None:
        self.reserved -= self.entries.pop(record["release"]).reservation.price.amount

    def state(self) -> LedgerState:
        return LedgerState(
            ceiling=Money(self.ceiling, self.unit),
            spent=Money(self.spent, self.unit),
            reserved=Money(self.reserved, self.unit),
            unknown=sum(not entry.open for entry in self.entries.values()),
            jobs=len(self.entries) + len(self.settled),
            stopped=self.stopped,
        )

    def share(self, whose: tuple[str, ...]) -> LedgerState:
        """The part of those whose reasons begin so."""
        open_ = [one for one in self.entries.values() if one.reservation.why.startswith(whose)]
        over = [one for one in self.settled.values() if one.why.startswith(whose)]
        with localcontext(_EXACT):
            aside = sum((one.kept for one in over), Decimal(0))
            return replace(
                self.state(),
                spent=Money(sum((one.amount for one in over), Decimal(0)), self.unit),
                reserved=Money(sum((one.reservation.price.amount for one in open_), aside), self.unit),
                unknown=sum(not one.open for one in open_),
                jobs=len(open_) + len(over),
            )

    def allow(self, price: Money) -> None:
        """Raises OverBudget when the price is not covered."""
        if self.stopped:
            raise Stopped(self.state(), price, self.stopped)
        with localcontext(_EXACT):
            counted = self.spent + self.reserved
            covered = counted + price.amount <= self.ceiling
        if not covered:
            raise OverBudget(ceiling=self.ceiling, spent=counted, asked=price.amount, unit=self.unit)


_STEPS: Mapping[str, Callable[[_Book, Mapping[str, Any]], None]] = {
    "begin": _Book.begin,
    "reserve": _Book.reserve,
    "settle": _Book.settle,
    "release": _Book.release,
    "end": _Book.end,
}


class _Keeper:
    """A ledger less the place where its records are: `_turn` gives the book to one caller at a time."""

    def _turn(self) -> AbstractContextManager[_Book]:
        """The book as it stands now, and nobody else's until the end of the block."""
        raise NotImplementedError

    def _write(self, record: Mapping[str, Any]) -> None:
        """Keep a record and fold it into the book; within a turn."""
        raise NotImplementedError

    def reserve(self, price: Money, *, why: str) -> Reservation:
        with self._turn() as book:
            _counted(price, book.unit)
            book.allow(price)
            number = book.made + 1
            self._write({"reserve": number, "price": str(price.amount), "why": why})
        return Reservation(number, price, why)

    def settle(self, reservation: Reservation, billed: Money | None, *, sure: bool = True) -> Charge:
        with self._turn() as book:
            amount = None if billed is None else _counted(billed, book.unit).amount
            if amount is None or reservation.number not in book.settled:
                _must_be_open(book, reservation)
                record = {"settle": reservation.number, "billed": None if amount is None else str(amount)}
                if amount is not None and not sure:
                    with localcontext(_EXACT):
                        record["kept"] = str(max(Decimal(0), reservation.price.amount - amount))
                self._write(record)
            elif book.settled[reservation.number].amount != amount:
                raise ValueError(f"{reservation} is settled already, with another amount")
        return Charge(reservation, billed)

    def release(self, reservation: Reservation) -> None:
        with self._turn() as book:
            _must_be_open(book, reservation)
            self._write({"release": reservation.number})

    def state(self) -> LedgerState:
        with self._turn() as book:
            return book.state()

    def share(self, whose: tuple[str, ...]) -> LedgerState:
        with self._turn() as book:
            return book.share(whose)

    def pending(self) -> tuple[Reservation, ...]:
        with self._turn() as book:
            return tuple(entry.reservation for entry in book.entries.values())


def _must_be_open(book: _Book, reservation: Reservation) -> None:
    entry = book.entries.get(reservation.number)
    if entry is None or entry.reservation != reservation:
        raise ValueError(f"{reservation} is not open in this budget")


# --------------------------------------------------------------------------------------- places


class MemoryLedger(_Keeper):
    """A ledger for runs that cost nothing: the same rules, forgotten at the end of the process."""

    def __init__(self, ceiling: Money) -> None:
        self._lock = threading.Lock()
        self._book = _Book()
        _counted(ceiling, ceiling.unit)
        self._write({"begin": "alone", "ceiling": str(ceiling.amount), "unit": ceiling.unit})

    @contextmanager
    def _turn(self) -> Iterator[_Book]:
        with self._lock:
            yield self._book

    def _write(self, record: Mapping[str, Any]) -> None:
        self._book.apply(record)


def home() -> Path:
    """Where the ledgers of keys are kept, for all commands alike: `check` and `load` share the budget of a key."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "wireproof" / "ledger"


def fingerprint(provider: str, key: str | Secret) -> str:
    """Sixteen hex digits that name a key without telling it."""
    known = key.reveal() if isinstance(key, Secret) else key
    return hashlib.sha256(f"{provider}\0{known}".encode()).hexdigest()[:16]


class JointLedger:
    """Several ledgers that must all cover a price: that of a key, and that of a command which uses several keys.

    Charges are told to all of them. `state` is that of the last, which stands for the whole.
    """

    def __init__(self, *ledgers: Ledger) -> None:
        self._ledgers = ledgers
        self._parts: dict[int, tuple[tuple[Ledger, Reservation], ...]] = {}

    def reserve(self, price: Money, *, why: str) -> Reservation:
        parts = []
        with ExitStack() as undo:
            for ledger in self._ledgers:
                parts.append((ledger, ledger.reserve(price, why=why)))
                undo.callback(ledger.release, parts[-1][1])
            undo.pop_all()
        reservation = parts[-1][1]
        self._parts[reservation.number] = tuple(parts)
        return reservation

    def settle(self, reservation: Reservation, billed: Money | None, *, sure: bool = True) -> Charge:
        return [ledger.settle(part, billed, sure=sure) for ledger, part in self._of(reservation)][-1]

    def release(self, reservation: Reservation) -> None:
        for ledger, part in self._of(reservation):
            ledger.release(part)

    def _of(self, reservation: Reservation) -> tuple[tuple[Ledger, Reservation], ...]:
        """What belongs together was reserved with the same words, where it was by whom we go on for."""
        if reservation.number not in self._parts:
            *others, whole = self._ledgers
            same = [(ledger, one) for ledger in others for one in ledger.pending() if one.why == reservation.why]
            self._parts[reservation.number] = (*same, (whole, reservation))
        return self._parts[reservation.number]

    def state(self) -> LedgerState:
        return self._ledgers[-1].state()

    def share(self, whose: tuple[str, ...]) -> LedgerState:
        return self._ledgers[-1].share(whose)

    def pending(self) -> tuple[Reservation, ...]:
        return self._ledgers[-1].pending()


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATIENCE = 30.0
"""Seconds. Longer than any number of honest turns; a lock held for longer is held by a stopped process."""


class FileLedger(_Keeper):
    """The ledger of one key, shared by all processes and machine-wide instances that use the key.

    `folder/<fingerprint>/` holds one log per budget, `lock` (held for a turn) and `live` (held as long
    as somebody uses the key; its text is the budget in use). A forked child may go on with its parent's.
    """

    def __init__(self, log: Log, lock: Path, live: int, *, budget: str, clock: Clock, disk: Disk) -> None:
        self.budget = budget
        """The name by which the budget can be resumed."""
        self._log = log
        self._lock = lock
        self._live = live
        self._clock = clock
        self._disk = disk
        self._book = _Book()
        self._records = 0
        self.before: LedgerState | None = None
        """How the budget stood when we came, where somebody had been there before us."""

    @classmethod
    def open(
        cls,
        folder: Path,
        fingerprint: str,
        ceiling: Money,
        *,
        budget: str | None = None,
        clock: Clock | None = None,
        disk: Disk = DISK,
    ) -> FileLedger:
        """Join the budget in use for this key, or go on with one whose user was killed, or resume the one named
        `budget`, or begin one.

        Joining, the lowest ceiling of all counts; resuming, the new one. Raises UsageError when another
        budget of the key is in use or the units differ, DiskError where nothing can be written.
        `clock` names budgets and bounds the wait for other processes, so it is a real one outside tests.
        """
        _counted(ceiling, ceiling.unit)
        for name in (fingerprint, budget or fingerprint):
            if not _NAME.fullmatch(name):
                raise UsageError(f"{name!r} is not a name for a ledger")
        time = clock or RealClock()
        home = folder / fingerprint
        lock = home / "lock"
        with told(home, "open the ledger"):
            disk.make_folder(home)
        with _locked(lock, time, disk), ExitStack() as undo:
            live, alone = _enter(home / "live", disk)
            undo.callback(disk.close, live)
            name = _budget_name(home, live, alone, budget, time, disk)
            log = Log.open(home / f"{name}.jsonl", disk=disk)
            undo.callback(log.close)
            ledger = cls(log, lock, live, budget=name, clock=time, disk=disk)
            ledger._begin(ceiling, alone=alone)
            undo.pop_all()
        return ledger

    def close(self) -> None:
        """Leave the budget. What was not settled stays counted in it. An orderly end of the process does the same."""
        self._leaving()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin(self, ceiling: Money, *, alone: bool) -> None:
        self._follow()
        if self._book.unit not in ("", ceiling.unit):
            raise UsageError(f"the budget {self.budget} is kept in {self._book.unit}, not in {ceiling.unit}")
        self.before = self._book.state() if self._book.begun else None
        self._write(
            {
                "begin": "alone" if alone else "join",
                "ceiling": str(ceiling.amount),
                "unit": ceiling.unit,
                "by": os.getpid(),
            }
        )
        place = (self._log, self._lock, self._live, self._clock, self._disk)
        self._leaving = weakref.finalize(self, _leave, *place, self._book.begun, os.getpid())

    @contextmanager
    def _turn(self) -> Iterator[_Book]:
        with _locked(self._lock, self._clock, self._disk):
            self._follow()
            yield self._book

    def _write(self, record: Mapping[str, Any]) -> None:
        # The book follows the file and nothing else, so that it cannot know what the disk does not.
        self._log.append(record, durable=True)
        self._follow()

    def _follow(self) -> None:
        for record in self._log.catch_up():
            self._records += 1
            try:
                self._book.apply(record)
            except (LookupError, ValueError, ArithmeticError, TypeError) as error:
                raise Damaged(self._log.path, self._records, f"no step of a ledger: {error!r}") from None


def _leave(log: Log, lock: Path, live: int, clock: Clock, disk: Disk, number: int, by: int) -> None:
    """Say that a user has left, where it can be said, and let go of its files. A forked child says nothing."""
    try:
        # Where it cannot be said, the user counts as killed: the careful side.
        if os.getpid() == by:
            with suppress(WireproofError, OSError), _locked(lock, clock, disk):
                # Reading first mends a line that another process died in.
                log.catch_up()
                log.append({"end": number}, durable=True)
    finally:
        log.close()
        disk.close(live)


@contextmanager
def _locked(path: Path, clock: Clock, disk: Disk) -> Iterator[None]:
    """Alone among all processes and threads for the length of the block.

    The file is opened anew each time: a lock belongs to the opening, which a forked child would share.
    """
    with told(path, "lock the ledger"):
        descriptor = disk.open(path)
    try:
        _wait_for(descriptor, path, clock)
        yield
    finally:
        disk.close(descriptor)


def _wait_for(descriptor: int, path: Path, clock: Clock) -> None:
    deadline = clock.now() + _PATIENCE
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if clock.now() > deadline:
            raise CouldNotTell(f"{path}: another process has held the ledger for {_PATIENCE:.0f} s")
        clock.sleep(0.001)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _enter(path: Path, disk: Disk) -> tuple[int, bool]:
    """Hold the mark that says the key is in use; whether nobody else did."""
    with told(path, "open the ledger"):
        descriptor = disk.open(path)
        alone = _try_lock(descriptor, fcntl.LOCK_EX)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor, alone


def _budget_name(home: Path, live: int, alone: bool, asked: str | None, clock: Clock, disk: Disk) -> str:
    """The name of the budget to use, written into `live` when it is we who decide."""
    with told(home / "live", "open the ledger"):
        if alone:
            last = disk.read(live, 0, 64).decode("ascii", "replace")
            name = asked or _unfinished(home, last) or _fresh_name(home, clock)
            disk.cut(live, 0)
            disk.write_whole(live, name.encode())
            return name
        in_use = disk.read(live, 0, 64).decode("ascii", "replace")
    if asked not in (None, in_use):
        raise UsageError(f"this key is in use within the budget {in_use}; {asked} can be resumed after it")
    return in_use


def _unfinished(home: Path, last: str) -> str:
    """The last budget of the key, where one of its users was killed; '' where all have left it. Raises Damaged."""
    path = home / f"{last}.jsonl"
    if not _NAME.fullmatch(last) or not path.is_file():
        return ""
    book = _Book()
    for record in read_log(path):
        if {"begin", "end"} & record.keys():
            book.apply(record)
    return last if book.users else ""


def _fresh_name(home: Path, clock: Clock) -> str:
    """A name that no budget of this key has had."""
    stem = f"{datetime.fromtimestamp(clock.wall(), UTC):%Y%m%dT%H%M%SZ}"
    number = 1
    while (home / f"{stem}-{number}.jsonl").exists():
        number += 1
    return f"{stem}-{number}"
