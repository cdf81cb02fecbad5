"""What is asked of a run's numbers, with three answers: held, missed, or not enough evidence.

A number is known to lie between two others. A threshold is held when both ends are on its good side,
missed when both are on its bad side, and undecided between: more jobs, not luck, decide it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from wireproof.errors import UsageError


class Answer(StrEnum):
    """What a run says to a threshold."""

    HELD = "held"
    MISSED = "missed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One demand on one measure of every endpoint."""

    measure: str
    """`completion.p95`, `felt.p90`, `success_rate`, `unsuccessful`, `cost_per_image`, `spent` …"""
    at_most: float | None = None
    at_least: float | None = None
    abort: bool = False
    """Whether the run is stopped as soon as it is missed beyond doubt."""

    @property
    def text(self) -> str:
        return f"{self.measure} {'<=' if self.at_most is not None else '>='} {self.bound:g}"

    @property
    def bound(self) -> float:
        return self.at_most if self.at_most is not None else float(self.at_least or 0.0)

    def answer(self, value: float | None, low: float | None, high: float | None, exact: bool) -> Answer:
        """What a number between `low` and `high` says; `exact`: it is counted, not estimated."""
        if exact:
            low = high = value
        top = self.at_most is not None
        if high is not None and (high <= self.bound if top else False):
            return Answer.HELD
        if low is not None and (low > self.bound if top else low >= self.bound):
            return Answer.MISSED if top else Answer.HELD
        if high is not None and not top and high < self.bound:
            return Answer.MISSED
        return Answer.UNDECIDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A threshold, the endpoint it was held against, and what came of it."""

    threshold: Threshold
    endpoint: str
    answer: Answer
    says: str


_QUANTILES = ("completion", "felt", "total")
_COUNTED = ("unsuccessful", "success_rate", "cost_per_image", "cost_per_job", "spent", "dropped", "jobs_per_second")
_MEASURE = re.compile(rf"(?:{'|'.join(_QUANTILES)})\.p[0-9]+(?:\.[0-9]+)?|{'|'.join(_COUNTED)}")
_BOUND = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|%|[A-Za-z]+)?")
_SCALE = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "%": 0.01}


def threshold(node: Mapping[str, Any]) -> Threshold:
    """One entry of a plan's list. UsageError for a measure or a bound that nobody knows."""
    if not _MEASURE.fullmatch(node["measure"]):
        raise UsageError(
            f"{node['measure']!r} is no measure; there are completion.p95, felt.p95, total.p95, {', '.join(_COUNTED)}"
        )
    bounds = {name: _bound(node[name]) for name in ("at_most", "at_least") if name in node}
    if len(bounds) != 1:
        raise UsageError("a threshold has either at_most or at_least")
    return Threshold(measure=node["measure"], abort=bool(node.get("abort", False)), **bounds)


def _bound(value: str | float) -> float:
    """`8s`, `99%`, `0.02USD` or a number, in the measure's own unit."""
    if isinstance(value, int | float):
        return float(value)
    match = _BOUND.fullmatch(value.strip())
    if not match:
        raise UsageError(f"{value!r} is no bound: write it like 8s, 99% or 0.02USD")
    return float(Decimal(match[1])) * _SCALE.get(match[2] or "", 1.0)


def judge(thresholds: Iterable[Threshold], endpoints: Mapping[str, Mapping[str, Any]]) -> tuple[Judged, ...]:
    """Every threshold held against every endpoint's numbers, as a summary tells them."""
    return tuple(_judged(one, name, numbers) for one in thresholds for name, numbers in endpoints.items())


def _judged(one: Threshold, endpoint: str, numbers: Mapping[str, Any]) -> Judged:
    known = _number(one.measure, numbers)
    value, low, high = (known.get(key) for key in ("value", "low", "high"))
    answer = one.answer(value, low, high, bool(known.get("exact")))
    says = known.get("withheld") or f"{_shown(value)} (95 % between {_shown(low)} and {_shown(high)})"
    return Judged(
        threshold=one, endpoint=endpoint, answer=answer, says=says if not known.get("exact") else _shown(value)
    )


def _number(measure: str, numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    family, _, name = measure.partition(".")
    if name:
        told: Mapping[str, Any] = numbers.get(family, {})
        return dict(told.get(name, {"withheld": f"{name} was not worked out"}))
    found = numbers.get(measure)
    if isinstance(found, Mapping):
        return found
    return {"withheld": "nothing was measured"} if found is None else {"value": float(found), "exact": True}


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def is_timed(measure: str) -> bool:
    """Whether a measure is one of time, which a busy generator spoils; the others are counts."""
    return measure.startswith(_QUANTILES) or measure == "jobs_per_second"


def quantiles(thresholds: Sequence[Threshold]) -> set[float]:
    """The quantiles that thresholds ask for, as parts."""
    named = (t.measure.partition(".p")[2] for t in thresholds if ".p" in t.measure)
    return {float(text) / 100 for text in named}
