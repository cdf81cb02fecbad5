"""The numbers that a fragment of JSON Schema allows: between two bounds, on a grid. Exact, as JSON writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, isfinite
from typing import Any

Number = int | float


@dataclass(frozen=True, slots=True)
class Numbers:
    """What lies between two bounds (None: there is none) and on the multiples of a step (None: everything does)."""

    low: Fraction | None = None
    high: Fraction | None = None
    above: bool = False
    """Whether the lower bound itself is excluded."""
    below: bool = False
    """Whether the upper bound itself is excluded."""
    step: Fraction | None = None

    def holds(self, value: Fraction) -> bool:
        """Whether a number is one of them."""
        low = self.low is None or value > self.low or (value == self.low and not self.above)
        high = self.high is None or value < self.high or (value == self.high and not self.below)
        return low and high and (self.step is None or value % self.step == 0)

    @property
    def least(self) -> Fraction | None:
        """The smallest of them; None where there is none, because nothing bounds them or an excluded bound does."""
        if self.low is None or self.step is None:
            return None if self.above else self.low
        first = ceil(self.low / self.step) * self.step
        return first + self.step if self.above and first == self.low else first

    @property
    def most(self) -> Fraction | None:
        """The largest of them; None where there is none."""
        if self.high is None or self.step is None:
            return None if self.below else self.high
        last = floor(self.high / self.step) * self.step
        return last - self.step if self.below and last == self.high else last

    @property
    def typical(self) -> Fraction:
        """One in the middle, a whole number where one is as good; near a lonely bound, else near one."""
        low, high = self.least, self.most
        for wish in self._wishes():
            held = Fraction(floor(wish)) if self.step is None else floor(wish / self.step) * self.step
            near = next((one for one in (held, wish) if self.holds(one)), None)
            if near is not None:
                return near
        return low if low is not None else high if high is not None else Fraction(1)

    def _wishes(self) -> list[Fraction]:
        if self.low is not None and self.high is not None:
            return [(self.low + self.high) / 2]
        gap = self.step or Fraction(1)
        if self.low is not None:
            return [self.low, self.low + gap]
        return [self.high, self.high - gap] if self.high is not None else [max(Fraction(1), gap)]

    @property
    def is_empty(self) -> bool:
        """Whether no number at all is one of them."""
        if self.step is not None and self.least is not None and self.most is not None:
            return self.least > self.most
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.above or self.below))


def numbers(schema: Mapping[str, Any]) -> Numbers:
    """The numbers that a fragment allows by its bounds, its grid, and whether it wants whole ones."""
    low, above = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, below = _bound(schema, "maximum", "exclusiveMaximum", min)
    return Numbers(low, high, above, below, _step(schema))


def _bound(
    schema: Mapping[str, Any], plain: str, strict: str, tighter: Callable[[Fraction, Fraction], Fraction]
) -> tuple[Fraction | None, bool]:
    """The bound that counts, and whether it is excluded itself."""
    at, out = _exact(schema, plain), _exact(schema, strict)
    if at is None or out is None:
        return (at, False) if out is None else (out, True)
    return tighter(at, out), at == out or tighter(at, out) == out


def _exact(schema: Mapping[str, Any], key: str) -> Fraction | None:
    """The number under a key, as it is written; None where there is none."""
    value = schema.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return Fraction(str(value))


def _step(schema: Mapping[str, Any]) -> Fraction | None:
    step = _exact(schema, "multipleOf")
    kinds = schema.get("type") or ()
    if "integer" not in kinds or "number" in kinds:
        return step or None
    # Of a fraction p/q in its lowest terms, the whole multiples are those of p.
    return Fraction(step.numerator) if step else Fraction(1)


def written(value: Fraction) -> Number:
    """A number as JSON writes it: whole where it is."""
    return int(value) if value.denominator == 1 else float(value)
