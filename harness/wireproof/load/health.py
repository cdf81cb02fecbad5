"""Whether a run's numbers are the target's, or its generator's own.

A generator that is busy times its own queue. So its processor time, the lag of its event loop and the
lag of its sends are sampled while it measures, and a run says at once whether they may be believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil


class Health(StrEnum):
    """How far a run may be believed, best first."""

    VALID = "valid"
    DEGRADED = "degraded"
    """Readable with care: an error of a few percent is the generator's."""
    INVALID = "invalid"
    """The generator, not the target, was the limit."""


_WORSE = {health: rank for rank, health in enumerate(Health)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What one generator process saw of itself while it measured."""

    send_lag: Sequence[float]
    """Seconds between a job's intended start and its sending, of jobs that had a free place.

    In a closed phase: between the end of a user's job and the sending of its next."""
    loop_lag: Sequence[float]
    """Seconds by which a short sleep came back late."""
    cpu: Sequence[float]
    """Parts of one core used, each over a second or so."""
    planned: int
    """Arrivals that were due."""
    dropped: int = 0
    """Arrivals that were never sent because they were late."""
    waited: int = 0
    """Arrivals that had to wait for a free place under the concurrency cap."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that was measured, and what it does to the run."""

    health: Health
    what: str
    says: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The verdict on a run's generator. `reasons` tells every measurement, the gravest first."""

    health: Health
    reasons: tuple[Reason, ...]

    @property
    def valid(self) -> bool:
        return self.health is Health.VALID

    def __add__(self, other: Diagnosis) -> Diagnosis:
        """The verdict on both: a run is as good as its worst worker."""
        return _diagnosis((*self.reasons, *other.reasons))


@dataclass(frozen=True, slots=True)
class Limit:
    """Up to `degraded` all is well; above `invalid` nothing is."""

    what: str
    degraded: float
    invalid: float
    text: str


CPU, LOOP_LAG, SEND_LAG = "cpu", "loop lag", "send lag"
DROPPED, WAITED, IN_FLIGHT = "dropped", "waited", "in flight"


def limits(median: float | None) -> tuple[Limit, ...]:
    """What is allowed when a typical job takes `median` seconds: a lag matters by its part of that.

    At 60 % of a core and 10 ms of loop lag the error of a measured median stayed below 1 %; at 80 % and
    20 ms it was 2 %; beyond, it grew to 280 %.
    """
    part = 0.01 * (median or 0.0)
    return (
        Limit(CPU, 0.60, 0.80, "{:.0%} of a core in the busiest tenth of the time"),
        Limit(LOOP_LAG, max(0.010, part), max(0.020, 2 * part), "p99 {:.4f} s"),
        Limit(SEND_LAG, max(0.010, part), max(0.020, 2 * part), "p99 {:.4f} s"),
        Limit(DROPPED, 0.0, 0.001, "{:.2%} of the arrivals were never sent"),
        Limit(WAITED, 0.001, 1.0, "{:.2%} of the arrivals waited for a free place under the cap"),
    )


def diagnose(samples: Samples, median: float | None = None) -> Diagnosis:
    """The verdict on one generator. What was not measured makes a run invalid: nobody can tell.

    `median` is the measured median time of a job in seconds, where there is one.
    """
    measured = {
        CPU: _high(samples.cpu, 0.90),
        LOOP_LAG: _high(samples.loop_lag, 0.99, spare=2),
        SEND_LAG: _high(samples.send_lag, 0.99, spare=2),
        DROPPED: samples.dropped / samples.planned if samples.planned else 0.0,
        WAITED: samples.waited / samples.planned if samples.planned else 0.0,
    }
    return _diagnosis(_judge(limit, measured[limit.what]) for limit in limits(median))


def little(in_flight: float, rate: float, mean: float, tolerance: float = 0.05) -> Diagnosis:
    """Whether records were lost: jobs in flight on average are jobs per second times their mean time.

    Sampled by the generator on the one side, added up from the records on the other.
    """
    expected = rate * mean
    off = abs(in_flight - expected) / expected if expected else float(in_flight > 0)
    health = Health.VALID if off <= tolerance else Health.INVALID
    says = f"{in_flight:.2f} sampled, {expected:.2f} by the records ({off:.1%} apart)"
    return _diagnosis((Reason(health, IN_FLIGHT, says),))


def _judge(limit: Limit, value: float | None) -> Reason:
    if value is None:
        return Reason(Health.INVALID, limit.what, "not measured")
    bounds = ((limit.invalid, Health.INVALID), (limit.degraded, Health.DEGRADED))
    health = next((worse for bound, worse in bounds if value > bound), Health.VALID)
    return Reason(health, limit.what, limit.text.format(value))


def _diagnosis(reasons: Iterable[Reason]) -> Diagnosis:
    ordered = tuple(sorted(reasons, key=lambda r: (-_WORSE[r.health], r.what, r.says)))
    return Diagnosis(ordered[0].health, ordered)


def _high(values: Sequence[float], p: float, spare: int = 0) -> float | None:
    """The quantile; of a short run so low that `spare` single hiccups of the machine condemn nothing."""
    if not values:
        return None
    return sorted(values)[max(0, min(ceil(p * len(values)) - 1, len(values) - 1 - spare))]
