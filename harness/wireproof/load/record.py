"""One record per job, and what records add up to.

Jobs cost money, so they are few: each is kept whole (`JobRecord`), and every statistic can be drawn from
the records again. Calls are many: they are counted in a `Histogram`. A `LoadSummary` holds what merges;
workers' summaries are added (`a + b`) in any order and grouping, with the same total.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from wireproof.load.arrivals import Record
from wireproof.load.censor import Interval
from wireproof.money import Money, plain


class Outcome(StrEnum):
    """How one job ended for the caller."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MODERATED = "moderated"
    REFUSED = "refused"
    """The submit was answered with a problem; there never was a job."""
    BROKEN = "broken"
    """An exchange broke, or a reply made no sense; what became of the job is not known."""
    CENSORED = "censored"
    """Still going when last looked at: the run or its patience ended first."""


class Billed(StrEnum):
    """What the contract says is charged for the way the job ended."""

    FULL = "full"
    ZERO = "zero"
    UNKNOWN = "unknown"
    """Nobody says. Counts as full, and is told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """Everything a load test keeps of one job. Times are seconds since the run began unless they say so."""

    endpoint: str
    k: int
    """Number of its arrival in the plan."""
    phase: str
    record: Record
    block: int
    case: str = ""
    worker: int = 0
    waited: bool = False
    """It had to wait for a free place under the concurrency cap."""
    intended: float
    """When the plan wanted it to begin: latency counts from here."""
    sent: float
    """When its submit was sent."""
    accepted: float | None = None
    """When the accepting reply was complete; None for a blocking call."""
    running: Interval | None = None
    """When it began to run, since `sent`, by the polls; None: never seen to wait or to run."""
    left: float = 0.0
    """It was not done yet by then, since `sent`."""
    right: float | None = None
    """It was done by then, since `sent`; None: never seen to end. Equal to `left` when exact."""
    seen: float | None = None
    """When the reply that said so was complete."""
    fetched: float | None = None
    """When the result was there; equal to `seen` when it came with the last poll."""
    downloaded: float | None = None
    """When the outputs were there, decoded and found to be what was promised."""
    ended: float | None = None
    """When the caller was done with it, for good or ill; None: it was cut off."""
    polls: int = 0
    calls: int = 0
    """All requests made for it."""
    images: int = 0
    """Good outputs that arrived."""
    bytes_in: int = 0
    """Of outputs fetched."""
    outcome: Outcome
    problem: str = ""
    """Name of the problem it ended with, or what broke."""
    declared: Money | None = None
    """The price by the contract, if charged; None: the contract has none."""
    billed: Billed = Billed.UNKNOWN
    reported: Money | None = None
    """What the host itself said it cost."""
    balance: Decimal | None = None
    """What the host said is left on the account, in the last of its replies that told it."""
    balance_at: float | None = None
    """When that reply was complete."""
    job: str = ""
    """Our own label for it, as in its exchanges."""
    ids: Mapping[str, str] = field(default_factory=dict)
    """The host's names for it, so that it can be collected later."""

    @property
    def done(self) -> Interval:
        """When it was done, since it was sent."""
        return Interval(self.left, self.right)

    @property
    def end(self) -> float | None:
        """When the caller had what it came for; None when it never had."""
        return self.downloaded if self.downloaded is not None else self.fetched

    @property
    def spent(self) -> Money | None:
        """What it cost as far as is known: the host's word, else the contract's; unknown counts as full."""
        if self.reported is not None or self.declared is None:
            return self.reported
        return self.declared * 0 if self.billed is Billed.ZERO else self.declared

    @property
    def certain(self) -> bool:
        """Whether `spent` is more than a guess."""
        return self.reported is not None or (self.declared is not None and self.billed is not Billed.UNKNOWN)

    @property
    def owed(self) -> Money | None:
        """What is certain to be charged for it at least; None: it may be the full price and more.

        A host's own word counts where it is more than the contract's price, or where the contract says that such an
        end is free. That a job cost less is a promise which only the bill can keep.
        """
        if self.declared is None or self.billed is Billed.ZERO:
            return self.spent
        if not self.certain:
            return None
        return max(self.reported or self.declared, self.declared)

    def to_json(self) -> str:
        """One line; `from_json` gives back an equal record."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, line: str | bytes) -> JobRecord:
        """Raises ValueError for a line that is not such a record, naming what it does not know."""
        raw = json.loads(line)
        if not isinstance(raw, dict):
            # A line of a file is at fault, not a caller's type.
            raise ValueError(f"not a job record: {raw!r}")
        if unknown := raw.keys() - {f.name for f in fields(cls)}:
            raise ValueError(f"not a job record: it has {', '.join(sorted(unknown))}")
        try:
            return cls(**{key: _READ.get(key, _same)(value) for key, value in raw.items()})
        except (TypeError, KeyError) as bad:
            raise ValueError(f"not a job record: {bad}") from bad


def _same(value: Any) -> Any:
    return value


def _money(value: Any) -> Money | None:
    return None if value is None else Money(Decimal(value["amount"]), value["unit"])


def _interval(value: Any) -> Interval | None:
    return None if value is None else Interval(**value)


_READ: Mapping[str, Any] = {
    "record": Record,
    "outcome": Outcome,
    "billed": Billed,
    "running": _interval,
    "declared": _money,
    "reported": _money,
    "balance": lambda value: None if value is None else Decimal(value),
}


# ------------------------------------------------------------------------------------------ parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where the time of a job went, seconds. None: it did not come to that, or nobody could see it."""

    lag: float
    """Intended start to send: the generator's and its full pool's, never the host's."""
    accept: float | None = None
    queue: float | None = None
    """None when the host was never seen to wait and to run; `run` then holds both."""
    run: float | None = None
    notice: float | None = None
    """Done to seen: a property of the poll cadence."""
    fetch: float | None = None
    download: float | None = None

    @property
    def total(self) -> float:
        """From the intended start to the last thing known."""
        known = (getattr(self, f.name) for f in fields(self))
        return float(sum(part for part in known if part is not None))


def parts(job: JobRecord, done: float | None = None) -> Parts:
    """The parts of a job; they add up to its whole time.

    `done`: when it was done, seconds since it was sent, from the estimated law (`censor.likely`); the
    middle of what the polls left open unless given. The beginning of its run is such a middle too.
    """
    accepted = None if job.accepted is None else job.accepted - job.sent
    known = Parts(lag=job.sent - job.intended, accept=accepted)
    if job.seen is None or job.right is None:
        return known
    begun = accepted or 0.0
    done = max(begun, (job.left + job.right) / 2 if done is None else done)
    started = _started(job.running, begun, done)
    return Parts(
        lag=known.lag,
        accept=accepted,
        queue=None if started is None else started - begun,
        run=done - (begun if started is None else started),
        notice=job.seen - job.sent - done,
        fetch=_gap(job.seen, job.fetched),
        download=_gap(job.fetched, job.downloaded),
    )


def _started(running: Interval | None, begun: float, done: float) -> float | None:
    """The middle of when the run may have begun, after its acceptance and before its end."""
    if running is None:
        return None
    right = done if running.right is None else running.right
    return min(done, max(begun, (running.left + right) / 2))


def _gap(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


# ------------------------------------------------------------------------------------- histograms


class Histogram:
    """Durations counted in buckets 0.2 % wide. Grows while it records; `a + b` is a new one."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})

    def record(self, seconds: float) -> None:
        """Count one duration, to the microsecond; what is below 0 counts as 0."""
        micros = int(seconds * 1e6 + 0.5)
        if micros < 1024:
            key = max(0, micros)
        else:
            # The ten leading bits, and by how much they were shifted.
            shift = micros.bit_length() - 10
            key = (shift << 10) | (micros >> shift)
        counts = self.counts
        counts[key] = counts.get(key, 0) + 1

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(Counter(self.counts) + Counter(other.counts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"Histogram({self.counts})"

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def values(self) -> list[tuple[float, int]]:
        """The middle of every bucket in seconds and its count, in order."""
        return [(micros / 1e6, count) for micros, count in self.micros()]

    def quantile(self, p: float) -> float | None:
        """Seconds within which a part `p` of the calls was answered, to 0.1 %; None when there are none."""
        due = p * self.n - 1e-9
        for value, count in self.values():
            due -= count
            if due <= 0:
                return value
        return None

    def micros(self) -> list[tuple[float, int]]:
        return sorted((_middle(key), count) for key, count in self.counts.items())


def _middle(key: int) -> float:
    shift, lead = key >> 10, key & 1023
    return float(lead) if shift == 0 else ((lead << shift) + ((lead + 1) << shift) - 1) / 2


# -------------------------------------------------------------------------------------- summaries


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the jobs of one endpoint and one kind of phase add up to."""

    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    problems: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    """Arrivals never sent because they were late."""
    withheld: int = 0
    """Arrivals never sent because the budget did not cover them."""
    polls: int = 0
    calls: int = 0
    images: int = 0
    bytes_in: int = 0
    spent: Mapping[str, Decimal] = field(default_factory=dict)
    """By unit; what is not known counts as full."""
    reported: Mapping[str, Decimal] = field(default_factory=dict)
    lost: Mapping[str, Decimal] = field(default_factory=dict)
    """The part of `spent` that went to jobs which did not succeed."""
    uncertain: int = 0
    """Jobs whose cost is a guess."""

    @property
    def jobs(self) -> int:
        """Jobs that were sent: each is recorded with one outcome."""
        return sum(self.outcomes.values())

    def __add__(self, other: Totals) -> Totals:
        return Totals(**{f.name: _sum(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})


def _sum(a: Any, b: Any) -> Any:
    """Numbers add up; tables add up key by key."""
    if not isinstance(a, Mapping):
        return a + b
    return {key: a[key] + b[key] if key in a and key in b else a.get(key, b.get(key)) for key in {**a, **b}}


Part = tuple[str, Record]
"""An endpoint, and whether its jobs were warm-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """What a load test, or one worker's share of it, amounts to. Summaries add up."""

    totals: Mapping[Part, Totals] = field(default_factory=dict)
    calls: Mapping[tuple[str, str], Histogram] = field(default_factory=dict)
    """How long calls took, by endpoint and operation."""

    def __add__(self, other: LoadSummary) -> LoadSummary:
        return LoadSummary(totals=_sum(self.totals, other.totals), calls=_sum(self.calls, other.calls))

    def of(self, endpoint: str) -> Totals:
        """Warm-up and measurement together: what it cost."""
        parts = (totals for (name, _), totals in self.totals.items() if name == endpoint)
        return sum(parts, Totals())


def summary(jobs: Iterable[JobRecord]) -> LoadSummary:
    """What records add up to, without the calls they were made of."""
    totals: dict[Part, Totals] = {}
    for job in jobs:
        part = (job.endpoint, job.record)
        totals[part] = totals.get(part, Totals()) + _totals(job)
    return LoadSummary(totals=totals)


def unsent(endpoint: str, record: Record, *, dropped: int = 0, withheld: int = 0) -> LoadSummary:
    """Arrivals that never became jobs, to be added to a summary."""
    return LoadSummary(totals={(endpoint, record): Totals(dropped=dropped, withheld=withheld)})


def _totals(job: JobRecord) -> Totals:
    spent = _purse(job.spent)
    return Totals(
        outcomes={job.outcome: 1},
        problems={job.problem: 1} if job.problem else {},
        polls=job.polls,
        calls=job.calls,
        images=job.images,
        bytes_in=job.bytes_in,
        spent=spent,
        reported=_purse(job.reported),
        lost={} if job.outcome is Outcome.SUCCEEDED else spent,
        uncertain=0 if job.certain else 1,
    )


def _purse(money: Money | None) -> dict[str, Decimal]:
    return {} if money is None else {money.unit: money.amount}


def hdr_log(calls: Mapping[tuple[str, str], Histogram], seconds: float, wall: float = 0.0) -> str:
    """The call histograms in HdrHistogram's log format (V2, microseconds), one tagged line each.

    `seconds`: how long they were recorded; `wall`: since 1970 at the beginning. Needs `hdrhistogram`,
    which is imported only here.
    """
    from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # it has no types

    lines = [
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {wall:.3f} (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for tag, histogram in sorted(calls.items()):
        coded = HdrHistogram(1, _HOUR, 3)
        for micros, count in histogram.micros():
            coded.record_value(min(_HOUR, max(1, round(micros))), count)
        name = "/".join(tag).translate(_TAG)
        most = coded.get_max_value() / 1000
        lines.append(f"Tag={name},0.000,{seconds:.3f},{most:.3f},{coded.encode().decode()}")
    return "\n".join(lines) + "\n"


_HOUR = 3_600_000_000
_TAG = str.maketrans({",": "_", " ": "_", "\n": "_", "\r": "_"})


# ------------------------------------------------------------------------------------------ money


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the work cost, in one unit. None where there is nothing to divide by."""

    unit: str
    spent: Decimal
    per_job: Decimal | None
    per_image: Decimal | None
    """All the money over the good images: failures are paid by what arrived."""
    per_thousand: Decimal | None
    """A thousand good images."""
    lost: Decimal
    """Spent on jobs that did not succeed."""
    uncertain: int
    """Jobs whose cost is a guess."""


def costs(totals: Totals) -> tuple[Costs, ...]:
    """The costs in every unit that was paid in."""
    return tuple(_costs(totals, unit, spent) for unit, spent in sorted(totals.spent.items()))


def _costs(totals: Totals, unit: str, spent: Decimal) -> Costs:
    each = spent / totals.images if totals.images else None
    return Costs(
        unit=unit,
        spent=spent,
        per_job=spent / totals.jobs if totals.jobs else None,
        per_image=each,
        per_thousand=None if each is None else spent * 1000 / totals.images,
        lost=totals.lost.get(unit, Decimal(0)),
        uncertain=totals.uncertain,
    )


class Agreement(StrEnum):
    """Whether the columns of a reconciliation tell the same story."""

    MATCH = "match"
    EXPLAINED = "explained"
    """They differ, and the listed jobs are the difference."""
    UNEXPLAINED = "unexplained"
    ALONE = "alone"
    """Only one column is known: nothing to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """One endpoint's money told three ways, in one unit."""

    unit: str
    declared: tuple[Decimal, Decimal] | None
    """By the contract: if nothing of what nobody tells was charged, and if all of it was."""
    reported: Decimal | None
    """The sum of what the host's replies said."""
    silent: int
    """Jobs of which the host told no cost."""
    account: Span | None
    """Balance before less balance after, at least and at most (`charged`)."""
    differ: tuple[int, ...]
    """`k` of the jobs for which the host told another cost than the contract."""
    unknown: tuple[int, ...]
    """`k` of the jobs of which nobody tells whether they are charged."""
    agreement: Agreement
    says: str


def reconcile(jobs: Iterable[JobRecord], unit: str, account: Span | None = None) -> Reconciliation:
    """The money of jobs told by the contract, by the host's replies and by the account.

    Amounts are equal when they differ by no more than rounding to the host's last decimal can. `account`
    is compared with what is best known of each job: the host's reply, else the contract.
    """
    counted = [job for job in (_in(job, unit) for job in jobs) if job.declared or job.reported]
    told = [job for job in counted if job.reported is not None]
    priced = [job for job in counted if job.declared is not None]
    silent = [job for job in counted if job.reported is None]
    reported = sum((_amount(job.reported) for job in told), Decimal(0))
    slack = sum((_rounding(job.reported) for job in told), Decimal(0))
    low, high = (reported + part for part in _declared(silent))
    differ = tuple(job.k for job in told if _differs(job))
    columns = sum((bool(priced), bool(told), account is not None))
    gap = Decimal(0) if account is None else max(low - slack - account[1], account[0] - high - slack, Decimal(0))
    agreement, says = _agreement(columns, gap, bool(differ), low != high)
    return Reconciliation(
        unit=unit,
        declared=_declared(priced) if priced else None,
        reported=reported if told else None,
        silent=len(silent),
        account=account,
        differ=differ,
        unknown=tuple(job.k for job in priced if job.billed is Billed.UNKNOWN),
        agreement=agreement,
        says=says,
    )


Span = tuple[Decimal, Decimal]


def charged(jobs: Iterable[JobRecord]) -> Span | None:
    """What the account was charged for these jobs, at least and at most, by the balances in their replies.

    The fall from the first balance told to the last is known. A job that was under way at the first, or not
    over at the last, may have been charged outside of that; its price is the room between the two ends.
    None where fewer than two balances were told.
    """
    known = list(jobs)
    told = sorted(
        ((job.balance_at, job.balance) for job in known if job.balance is not None and job.balance_at is not None),
        key=lambda pair: pair[0],
    )
    if len(told) < 2:
        return None
    (first, before), (last, after) = told[0], told[-1]
    open_ = [job for job in known if job.sent <= first or job.ended is None or job.ended > last]
    prices = (job.reported or job.declared for job in open_)
    room = sum((price.amount for price in prices if price is not None), Decimal(0))
    return before - after, before - after + room


def _agreement(columns: int, gap: Decimal, differ: bool, unknown: bool) -> tuple[Agreement, str]:
    if columns < 2:
        return Agreement.ALONE, "only one column is known"
    if gap:
        return Agreement.UNEXPLAINED, f"the account is {plain(gap)} away from what the jobs can have cost"
    if differ:
        return Agreement.EXPLAINED, "the replies tell other costs than the contract for the listed jobs"
    if unknown:
        return Agreement.EXPLAINED, "of the listed jobs nobody tells whether they are charged"
    return Agreement.MATCH, "the columns agree"


def _in(job: JobRecord, unit: str) -> JobRecord:
    """The job with the money of one unit only."""
    declared, reported = (m if m and m.unit == unit else None for m in (job.declared, job.reported))
    return replace(job, declared=declared, reported=reported)


def _declared(jobs: Iterable[JobRecord]) -> tuple[Decimal, Decimal]:
    low = high = Decimal(0)
    for job in jobs:
        price = _amount(job.declared)
        low += price if job.billed is Billed.FULL else 0
        high += price if job.billed is not Billed.ZERO else 0
    return low, high


def _differs(job: JobRecord) -> bool:
    """Whether the host's figure is none of those that the contract allows."""
    if job.declared is None:
        return False
    allowed = {
        Billed.FULL: (job.declared.amount,),
        Billed.ZERO: (Decimal(0),),
        Billed.UNKNOWN: (job.declared.amount, Decimal(0)),
    }[job.billed]
    told = _amount(job.reported)
    return all(abs(told - price) > _rounding(job.reported) for price in allowed)


def _amount(money: Money | None) -> Decimal:
    return Decimal(0) if money is None else money.amount


def _rounding(money: Money | None) -> Decimal:
    """Half of the last decimal that was told; nothing for a whole or an absent amount."""
    exponent = 0 if money is None else money.amount.as_tuple().exponent
    return Decimal(5).scaleb(exponent - 1) if isinstance(exponent, int) and exponent < 0 else Decimal(0)
