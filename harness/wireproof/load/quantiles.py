"""Quantiles and rates with what they are worth: an interval, or silence where the sample is too small.

Intervals are of order statistics with exact binomial ranks, so they hold for every law of times; rates
have Wilson's. All are two-sided at 95 % unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, inf, isinf, lgamma, log, log1p, pi, sqrt
from statistics import NormalDist

from wireproof.load.censor import Curve, Interval, bracket, completion, edges
from wireproof.money import Money

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number and between which values it lies. Each is None when it cannot be told."""

    value: float | None
    low: float | None
    high: float | None
    """None with a `value`: there is no upper end, for too many jobs were not seen to end."""
    n: int
    bracket: Interval | None = None
    """What the polls leave open, were the sample endless; only for estimates from polls."""
    withheld: str = ""
    """Why there is no value, in words; empty when there is one."""

    @property
    def told(self) -> bool:
        return self.value is not None


def smallest(p: float, confidence: float = CONFIDENCE) -> int:
    """The least number of jobs from which a two-sided interval for the quantile exists (p99: 368)."""
    _proper(p)
    return ceil(log((1 - confidence) / 2) / log(max(p, 1 - p)) - 1e-9)


@lru_cache(maxsize=1024)
def ranks(n: int, p: float, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Which two of `n` ordered values, counted from 1, hold the quantile between them; None: no two do."""
    _proper(p)
    tail = (1 - confidence) / 2
    low = high = 0
    below = 0.0
    for k in range(n):
        below += _binomial(n, k, p)
        if below <= tail:
            low = k + 1
        if below >= 1 - tail:
            high = k + 1
            break
    return (low, high) if low and high else None


def _binomial(n: int, k: int, p: float) -> float:
    """The chance of exactly `k` out of `n`."""
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return exp(ways + k * log(p) + (n - k) * log1p(-p))


def quantile(values: Sequence[float], p: float, confidence: float = CONFIDENCE) -> Estimate:
    """The quantile of exactly known times; withheld below the number of jobs it needs."""
    n = len(values)
    between = ranks(n, p, confidence)
    if between is None:
        return _withheld(n, p, confidence)
    ordered = sorted(values)
    low, high = between
    return Estimate(value=ordered[ceil(p * n - 1e-9) - 1], low=ordered[low - 1], high=ordered[high - 1], n=n)


def censored(
    intervals: Sequence[Interval], p: float, curve: Curve | None = None, confidence: float = CONFIDENCE
) -> Estimate:
    """The quantile of times known from polls; withheld below the number of jobs it needs.

    The value is read from the estimated law (`completion` of the intervals unless handed in) and kept
    inside the bracket, which no assumption can break. The interval takes its lower rank among the left
    ends and its upper one among the right ends: it is honest about polls and sample both, and wide.
    """
    n = len(intervals)
    between = ranks(n, p, confidence)
    if between is None:
        return _withheld(n, p, confidence)
    lefts, rights = edges(intervals)
    low, high = lefts[between[0] - 1], rights[between[1] - 1]
    open_ = bracket(intervals, p)
    value = (curve or completion(intervals)).quantile(p)
    return Estimate(
        value=None if value is None else _inside(value, open_),
        low=low,
        high=None if isinf(high) else high,
        n=n,
        bracket=open_,
        withheld="too many jobs were not seen to end" if value is None else "",
    )


def _inside(value: float, bounds: Interval) -> float:
    return min(max(value, bounds.left), inf if bounds.right is None else bounds.right)


def _withheld(n: int, p: float, confidence: float) -> Estimate:
    needs = smallest(p, confidence)
    says = f"{name(p)} needs {needs} jobs, there are {n}"
    return Estimate(value=None, low=None, high=None, n=n, withheld=says)


def name(p: float) -> str:
    """`p50`, `p99.9`."""
    return f"p{round(100 * p, 6):g}"


def _proper(p: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"a quantile is of a part between 0 and 1, not {p}")


# ------------------------------------------------------------------------------------------ rates


def rate(hits: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """The part of `n` that hit, with Wilson's interval; withheld when there were none at all."""
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no rate")
    if n == 0:
        return Estimate(value=None, low=None, high=None, n=0, withheld="nothing was counted")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    part, scale = hits / n, 1 + z * z / n
    middle = (part + z * z / (2 * n)) / scale
    half = z / scale * sqrt(part * (1 - part) / n + z * z / (4 * n * n))
    # At the ends the bound is the rate itself; rounding must not push it past.
    low, high = (0.0 if hits == 0 else middle - half), (1.0 if hits == n else middle + half)
    return Estimate(value=part, low=low, high=high, n=n)


def not_seen(n: int, confidence: float = CONFIDENCE) -> float:
    """How frequent something may still be that was not seen in `n` jobs (about 3/n)."""
    return 1.0 if n == 0 else 1 - (1 - confidence) ** (1 / n)


# ------------------------------------------------------------------------------ the price of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """What it takes to know a quantile to within a part of itself."""

    p: float
    within: float
    """0.1: to within 10 %."""
    jobs: int
    cost: Money | None


def needed(p: float, within: float, sigma: float, confidence: float = CONFIDENCE) -> int:
    """How many exactly timed jobs tell the quantile to within ± `within` (0.1: 10 %).

    `sigma` is the standard deviation of the logarithm of the times (`spread` of a pilot). Times known
    from polls need more: as many times more as the polls blur.
    """
    _proper(p)
    if not within > 0 or sigma < 0:
        raise ValueError(f"a precision is above 0 and a spread not below it, not {within}, {sigma}")
    normal = NormalDist()
    density = exp(-(normal.inv_cdf(p) ** 2) / 2) / sqrt(2 * pi)
    z = normal.inv_cdf((1 + confidence) / 2)
    return max(ceil((z * sigma * sqrt(p * (1 - p)) / (density * within)) ** 2), smallest(p, confidence))


def spread(curve: Curve) -> float | None:
    """The standard deviation of the logarithm of the times, from the middle and p90 of a pilot."""
    middle, late = curve.quantile(0.5), curve.quantile(0.9)
    if not middle or late is None:
        return None
    return log(late / middle) / NormalDist().inv_cdf(0.9)


def precision(p: float, within: float, sigma: float, price: Money | None) -> Precision:
    """The price of the precision asked for, at `price` a job; None where the price is not known."""
    jobs = needed(p, within, sigma)
    return Precision(p=p, within=within, jobs=jobs, cost=None if price is None else price * jobs)
