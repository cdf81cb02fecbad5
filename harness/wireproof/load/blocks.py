"""Whether one endpoint differs from another: compared inside permuted blocks, never one after the other.

Within a block every endpoint got one job, on the same case, at about the same time, in random order. If
two endpoints are alike, their jobs in a block may change places; how often a random exchange makes a
difference as large as the one that was seen is the p-value. It speaks of this session only: a host's own
drift shows between sessions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import floor
from random import Random

from wireproof.load.censor import Curve, Interval, completion
from wireproof.load.quantiles import name, smallest


@dataclass(frozen=True, slots=True)
class Timed:
    """A job's completion time, where it ran and in which block."""

    endpoint: str
    block: int
    done: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much longer one endpoint takes than the other, by one measure.

    A difference of a quantile is in seconds, `a` less `b`; of `faster` it is the chance that a job of `a`
    is done before one of `b`. `low` and `high` bound it at 95 %.
    """

    a: str
    b: str
    measure: str
    """`p50`, `p95` … or `faster`."""
    value: float | None
    low: float | None
    high: float | None
    part: float | None = None
    """The difference as a part of `b`'s own quantile."""
    p: float | None = None
    """How often chance alone differs as much; None when withheld."""
    adjusted: float | None = None
    """`p` after Holm, over all that was compared at once."""
    blocks: int
    withheld: str = ""

    def significant(self, level: float = 0.05) -> bool:
        """Whether there is a difference in this session."""
        return self.adjusted is not None and self.adjusted <= level


FASTER = "faster"
Row = tuple[Interval, Interval]
"""One block: the times of `a` and of `b`."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """What one law has over the other: of the quantile `p`, or by the chance to be first when None."""

    p: float | None

    @property
    def name(self) -> str:
        return FASTER if self.p is None else name(self.p)

    @property
    def least(self) -> int:
        """How many blocks it needs."""
        return smallest(0.5 if self.p is None else self.p)

    def of(self, a: Curve, b: Curve) -> float | None:
        """0 when the two are alike; None when a quantile was not reached."""
        if self.p is None:
            return chance_faster(a, b) - 0.5
        first, second = a.quantile(self.p), b.quantile(self.p)
        return None if first is None or second is None else first - second


def compare(
    jobs: Iterable[Timed],
    *,
    seed: int = 0,
    quantiles: Sequence[float] = (0.5, 0.95),
    faster: bool = True,
    exchanges: int | None = None,
    resamples: int = 100,
    alike: Callable[[str, str], bool] = lambda a, b: True,
) -> tuple[Difference, ...]:
    """Every pair of endpoints by every measure, with Holm's correction over all of them.

    `alike` says which two may be compared at all: what does different work differs for no reason.
    Only blocks in which both endpoints have a time count; a job that was not seen to end has one. A
    quantile is withheld below the number of jobs that it needs. Repeats for an equal seed. `exchanges`
    is how often places are changed, unless given as often as the correction asks for.
    """
    table = _table(jobs)
    measures = [_Measure(p) for p in quantiles] + [_Measure(None)] * faster
    names = sorted({endpoint for block in table.values() for endpoint in block})
    pairs = [(a, b) for a, b in combinations(names, 2) if alike(a, b)]
    # The smallest p there can be is 1/(exchanges + 1); Holm multiplies it by all that is compared.
    times = max(199, 40 * len(measures) * len(pairs) - 1) if exchanges is None else exchanges
    found: list[Difference] = []
    for a, b in pairs:
        rows = [(block[a], block[b]) for _, block in sorted(table.items()) if a in block and b in block]
        found += _differences(a, b, rows, measures, Random(f"{seed}/{a}/{b}"), times, resamples)
    adjusted = iter(holm([d.p for d in found if d.p is not None]))
    return tuple(d if d.p is None else replace(d, adjusted=next(adjusted)) for d in found)


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values, raised so that the chance of any false claim among all of them stays below the level."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    raised = [0.0] * len(ps)
    most = 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, (len(ps) - rank) * ps[i]))
        raised[i] = most
    return raised


def chance_faster(a: Curve, b: Curve) -> float:
    """The chance that a job of `a` is done before one of `b`; a tie counts half.

    What neither was seen to finish is a tie: nobody knows which came first.
    """
    times = sorted({*a.times, *b.times})
    steps = [(a.done_by(t), b.done_by(t)) for t in times]
    first = sum((a1 - a0) * (1 - (b0 + b1) / 2) for (a0, b0), (a1, b1) in pairwise(steps))
    start_a, start_b = steps[0]
    first += start_a * (1 - start_b / 2)
    return first + (1 - a.parts[-1]) * (1 - b.parts[-1]) / 2


def _table(jobs: Iterable[Timed]) -> Mapping[int, Mapping[str, Interval]]:
    table: dict[int, dict[str, Interval]] = defaultdict(dict)
    for job in jobs:
        if job.endpoint in table[job.block]:
            raise ValueError(f"block {job.block} has {job.endpoint} twice")
        table[job.block][job.endpoint] = job.done
    return table


def _curves(rows: Sequence[Row]) -> tuple[Curve, Curve]:
    return completion([a for a, _ in rows]), completion([b for _, b in rows])


def _differences(
    a: str,
    b: str,
    rows: Sequence[Row],
    measures: Sequence[_Measure],
    chance: Random,
    exchanges: int,
    resamples: int,
) -> list[Difference]:
    """One pair by every measure, in their order; what cannot be told says why."""
    able = [m for m in measures if len(rows) >= m.least]
    curves = _curves(rows) if able else None
    seen = {m: value for m in able if curves and (value := m.of(*curves)) is not None}
    ps = _exchanged(rows, seen, chance, exchanges)
    spans = _resampled(rows, seen, chance, resamples)
    found = []
    for m in measures:
        blank = Difference(a=a, b=b, measure=m.name, value=None, low=None, high=None, blocks=len(rows))
        if curves and m in seen:
            found.append(_told(blank, m, curves[1], (seen[m], *spans[m]), ps[m]))
        else:
            few = f"{m.name} needs {m.least} blocks, there are {len(rows)}"
            says = "too many jobs were not seen to end" if m in able else few
            found.append(replace(blank, withheld=says))
    return found


def _told(
    blank: Difference, m: _Measure, b: Curve, span: tuple[float | None, float | None, float | None], p: float
) -> Difference:
    if m.p is None:
        value, low, high = (None if x is None else x + 0.5 for x in span)
        return replace(blank, value=value, low=low, high=high, p=p)
    value, low, high = span
    base = b.quantile(m.p)
    part = value / base if base and value is not None else None
    return replace(blank, value=value, low=low, high=high, part=part, p=p)


_ENOUGH = 10
"""After so many chance differences as large as the real one the p-value is known well enough.

Stopping at a count, not at a look, keeps it honest (Besag and Clifford 1991).
"""


def _exchanged(
    rows: Sequence[Row], seen: Mapping[_Measure, float], chance: Random, exchanges: int
) -> dict[_Measure, float]:
    """p-values: jobs change places inside their blocks at random, and both laws are estimated anew."""
    as_large = dict.fromkeys(seen, 1)
    tried = dict.fromkeys(seen, 1)
    for _ in range(exchanges):
        unsettled = [m for m in seen if as_large[m] <= _ENOUGH]
        if not unsettled:
            break
        curves = _curves([(b, a) if chance.random() < 0.5 else (a, b) for a, b in rows])
        for m in unsettled:
            value = m.of(*curves)
            tried[m] += 1
            as_large[m] += value is None or abs(value) >= abs(seen[m]) - 1e-9
    return {m: as_large[m] / tried[m] for m in seen}


def _resampled(
    rows: Sequence[Row], measures: Iterable[_Measure], chance: Random, resamples: int
) -> dict[_Measure, tuple[float | None, float | None]]:
    """Between which values 95 % of the differences lie when whole blocks are drawn again."""
    drawn: dict[_Measure, list[float]] = {m: [] for m in measures}
    for _ in range(resamples if drawn else 0):
        curves = _curves(chance.choices(rows, k=len(rows)))
        for m, values in drawn.items():
            value = m.of(*curves)
            if value is not None:
                values.append(value)
    return {m: _middle_95(values, resamples) for m, values in drawn.items()}


def _middle_95(values: list[float], resamples: int) -> tuple[float | None, float | None]:
    """Nothing when some draw had no value: its end would be unknown."""
    if not values or len(values) < resamples:
        return None, None
    ordered = sorted(values)
    edge = floor(0.025 * len(ordered))
    return ordered[edge], ordered[-edge - 1]
