"""When jobs begin, as a pure function of a seed and a plan; no clock inside.

An open plan says when each job starts, whatever the target does; a `Closed` one says how many are in
flight, so its latencies are service times under that many and never an arrival process. Every worker
runs the same plan and keeps the arrivals whose `k` modulo the number of workers is its own index, so a
run may be split, and repeated, without anybody handing out work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count, islice
from math import sqrt
from random import Random


class Record(StrEnum):
    """What a phase's jobs are for."""

    WARMUP = "warmup"
    """They cost money and are counted as such; no latency is told from them."""
    MEASURE = "measure"


class Spacing(StrEnum):
    """How starts are spread around the rate that a phase asks for."""

    EVEN = "even"
    POISSON = "poisson"
    GAMMA = "gamma"
    """With a coefficient of variation of its own: above 1 clumped, below 1 nearly even."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """A stretch over which the rate goes from `start` to `end` jobs per second, evenly, in `seconds`."""

    start: float
    end: float
    seconds: float

    def __post_init__(self) -> None:
        if self.start < 0 or self.end < 0 or not self.seconds > 0:
            raise ValueError(f"a rate is 0 or more and a stretch longer than 0 s, not {self}")

    @property
    def jobs(self) -> float:
        """How many jobs it starts, on average."""
        return (self.start + self.end) / 2 * self.seconds

    def reach(self, jobs: float) -> float:
        """Seconds from its beginning until that many jobs have started, on average."""
        gain = (self.end - self.start) / self.seconds
        # The root of start*t + gain*t*t/2 = jobs in the form that is stable for small gains.
        return 2 * jobs / (self.start + sqrt(max(0.0, self.start**2 + 2 * gain * jobs))) if jobs else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A named part of an open plan: a rate over time, or the very moments (`moments`)."""

    name: str
    seconds: float
    slopes: tuple[Slope, ...] = ()
    spacing: Spacing = Spacing.EVEN
    cv: float = 1.0
    """Coefficient of variation of the gaps; only with `Spacing.GAMMA`."""
    moments: tuple[float, ...] = ()
    """Seconds since the phase began, ascending; stands instead of `slopes` (bursts, traces)."""
    record: Record = Record.MEASURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A phase that keeps `users` jobs in flight: the next begins when one ends."""

    name: str
    users: int
    seconds: float
    record: Record = Record.MEASURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start, against which targets, with which cases."""

    phases: tuple[Phase | Closed, ...]
    targets: tuple[str, ...]
    """Endpoint names; each stands once in every permuted block."""
    cases: Mapping[str, int] = field(default_factory=lambda: {"": 1})
    """Case names and their weights."""

    def __post_init__(self) -> None:
        if not self.targets or len(set(self.targets)) < len(self.targets):
            raise ValueError(f"a plan has targets, each named once, not {self.targets}")
        if not self.cases or min(self.cases.values()) < 0 or not any(self.cases.values()):
            raise ValueError(f"cases have weights of 0 or more, one of them more: {dict(self.cases)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One job that is to begin."""

    k: int
    """Number within the plan, over all workers."""
    at: float
    """Seconds since the run began. In a closed phase: the phase's beginning."""
    phase: str
    endpoint: str
    case: str
    """The same for all arrivals of a block, so that endpoints are compared on equal inputs."""
    block: int
    """Number of the permuted block it belongs to; endpoints are compared inside blocks."""
    record: Record = Record.MEASURE


# ---------------------------------------------------------------------------------------- phases


def constant(name: str, rate: float, seconds: float, record: Record = Record.MEASURE) -> Phase:
    """Evenly spaced starts, `rate` per second, the first at once."""
    return steps(name, ((rate, seconds),), record)


def poisson(name: str, rate: float, seconds: float, record: Record = Record.MEASURE) -> Phase:
    """Starts independent of one another, as those of many unconnected users are."""
    flat = Slope(start=rate, end=rate, seconds=seconds)
    return Phase(name=name, seconds=seconds, slopes=(flat,), spacing=Spacing.POISSON, record=record)


def gamma(name: str, rate: float, seconds: float, cv: float, record: Record = Record.MEASURE) -> Phase:
    """Starts whose gaps vary by `cv` (1 is Poisson)."""
    if not cv > 0:
        raise ValueError(f"a coefficient of variation is greater than 0, not {cv}")
    flat = Slope(start=rate, end=rate, seconds=seconds)
    return Phase(name=name, seconds=seconds, slopes=(flat,), spacing=Spacing.GAMMA, cv=cv, record=record)


def ramp(name: str, start: float, end: float, seconds: float, record: Record = Record.MEASURE) -> Phase:
    """A rate that climbs (or falls) evenly from `start` to `end` per second."""
    slope = Slope(start=start, end=end, seconds=seconds)
    return Phase(name=name, seconds=seconds, slopes=(slope,), record=record)


def steps(name: str, stairs: Sequence[tuple[float, float]], record: Record = Record.MEASURE) -> Phase:
    """One (rate, seconds) after the other."""
    slopes = tuple(Slope(start=rate, end=rate, seconds=seconds) for rate, seconds in stairs)
    return Phase(name=name, seconds=sum(s.seconds for s in slopes), slopes=slopes, record=record)


def burst(name: str, jobs: int, every: float, seconds: float, record: Record = Record.MEASURE) -> Phase:
    """`jobs` starts at one moment, again after `every` seconds."""
    if jobs < 1 or not every > 0:
        raise ValueError(f"a burst is of 1 job or more, every so many seconds, not {jobs} every {every}")
    peaks = range(int((seconds - _TINY) // every) + 1)
    moments = tuple(peak * every for peak in peaks for _ in range(jobs))
    return Phase(name=name, seconds=seconds, moments=moments, record=record)


def trace(name: str, moments: Iterable[float], record: Record = Record.MEASURE) -> Phase:
    """Starts at recorded moments, seconds since the phase began."""
    ordered = tuple(sorted(moments))
    if ordered and ordered[0] < 0:
        raise ValueError(f"a trace starts at 0 s or later, not at {ordered[0]}")
    return Phase(name=name, seconds=ordered[-1] if ordered else 0.0, moments=ordered, record=record)


def closed(name: str, users: int, seconds: float, record: Record = Record.MEASURE) -> Closed:
    """`users` jobs in flight for so many seconds."""
    if users < 1 or not seconds > 0:
        raise ValueError(f"a closed phase has 1 user or more for some time, not {users} for {seconds} s")
    return Closed(name=name, users=users, seconds=seconds, record=record)


# -------------------------------------------------------------------------------------- arrivals


def plan(seed: int, plan: Plan) -> Iterator[Arrival]:
    """Every arrival of an open plan, in order of time. Raises ValueError for a plan with a closed phase.

    Each phase draws from streams of its own, so a longer warm-up does not change what is measured.
    """
    k = block = 0
    for begins, phase in schedule(plan):
        if isinstance(phase, Closed):
            # The kind is right and the plan is not: a value, not a type, is at fault.
            raise ValueError(f"{phase.name} is closed: ask for its turns()")
        arrivals = list(_dealt(seed, plan, phase, begins, _moments(seed, phase), k, block))
        yield from arrivals
        k += len(arrivals)
        block = arrivals[-1].block + 1 if arrivals else block


def turns(seed: int, plan: Plan, phase: Closed) -> Iterator[Arrival]:
    """What the users of a closed phase do next, one after the other, without end. `k` counts from 0."""
    begins = next(at for at, other in schedule(plan) if other == phase)
    return _dealt(seed, plan, phase, begins, (0.0 for _ in count()), 0, 0)


def schedule(plan: Plan) -> Iterator[tuple[float, Phase | Closed]]:
    """Every phase with the second at which it begins."""
    begins = 0.0
    for phase in plan.phases:
        yield begins, phase
        begins += phase.seconds


def mine(arrivals: Iterable[Arrival], index: int, workers: int) -> Iterator[Arrival]:
    """The arrivals that one of several workers is to start."""
    if not 0 <= index < workers:
        raise ValueError(f"there is no worker {index} of {workers}")
    return islice(arrivals, index, None, workers)


def users(phase: Closed, index: int, workers: int) -> int:
    """How many of a closed phase's users one of several workers plays."""
    return len(range(index, phase.users, workers))


def _dealt(
    seed: int, plan: Plan, phase: Phase | Closed, begins: float, moments: Iterable[float], k: int, block: int
) -> Iterator[Arrival]:
    deck = _blocks(Random(f"{seed}/{phase.name}/targets"), plan)
    for number, (moment, (offset, endpoint, case)) in enumerate(zip(moments, deck, strict=False)):
        yield Arrival(
            k=k + number,
            at=begins + moment,
            phase=phase.name,
            endpoint=endpoint,
            case=case,
            block=block + offset,
            record=phase.record,
        )


def _blocks(chance: Random, plan: Plan) -> Iterator[tuple[int, str, str]]:
    """Block number, endpoint and case: all endpoints once per block, in random order, on one case."""
    names, weights = tuple(plan.cases), tuple(plan.cases.values())
    for block in count():
        case = chance.choices(names, weights)[0]
        for endpoint in chance.sample(plan.targets, len(plan.targets)):
            yield block, endpoint, case


_TINY = 1e-9
"""What rounding may add to a product of rate and seconds without becoming one more job."""


def _moments(seed: int, phase: Phase) -> Iterator[float]:
    """Seconds since the phase began: unit gaps, stretched by the rate of the moment."""
    if phase.moments:
        yield from phase.moments
        return
    jobs = iter(_counts(Random(f"{seed}/{phase.name}/times"), phase))
    due = next(jobs)
    begins = passed = 0.0
    for slope in phase.slopes:
        while due < passed + slope.jobs - _TINY:
            yield begins + slope.reach(due - passed)
            due = next(jobs)
        begins += slope.seconds
        passed += slope.jobs


def _counts(chance: Random, phase: Phase) -> Iterator[float]:
    """By what average count of jobs each one is due: 0, 1, 2 … when even, scattered otherwise."""
    if phase.spacing is Spacing.EVEN:
        yield from map(float, count())
    shape = 1.0 if phase.spacing is Spacing.POISSON else phase.cv**-2
    due = 0.0
    while True:
        due += chance.gammavariate(shape, 1 / shape)
        yield due
