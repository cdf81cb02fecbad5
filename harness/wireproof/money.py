"""Money: exact amounts in a unit, and what it means not to know one. Never a float."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An exact amount. `unit` is a currency code (`USD`) or a host's own unit (`credits`)."""

    amount: Decimal
    unit: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"money is a Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise ValueError(f"money is finite, not {self.amount}")

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.unit)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.unit)

    def __mul__(self, times: int | Decimal) -> Money:
        return Money(self.amount * times, self.unit)

    def _same(self, other: Money) -> Decimal:
        if other.unit != self.unit:
            raise ValueError(f"{self.unit} and {other.unit} do not add up")
        return other.amount

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.unit}"


def plain(amount: Decimal) -> str:
    """The amount in digits, without exponent and without needless zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_WRITTEN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")


def parse(text: str) -> Money:
    """Read `0.50USD`, `0.50 USD` or `20credits`. Raises ValueError with what was expected."""
    match = _WRITTEN.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not an amount: write it like 0.50USD or 20credits")
    unit = match[2]
    return Money(Decimal(match[1]), unit.upper() if len(unit) == 3 else unit.lower())


LARGEST, FINEST = 12, -40
"""Powers of ten: of the first digit of an amount that a host may name, and of its last one."""


def countable(amount: Decimal, spare: int = 0) -> bool:
    """Whether it is an amount that can be charged: not negative, and of a size that somebody may have meant.

    `spare`: by how many digits a sum of such amounts may be longer.
    """
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and amount >= 0 and amount.adjusted() <= LARGEST + spare and exponent >= FINEST


def exact(value: object) -> Decimal | None:
    """A host's number as an exact amount that can be counted; None when it is none.

    JSON numbers arrive as int, float or Decimal; a float is read by its shortest decimal form,
    which is what the host wrote. A number sent as text is not a number.
    """
    if not is_number(value):
        return None
    try:
        amount = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return amount if countable(amount) else None


def is_number(value: object) -> bool:
    """Whether a JSON value is a number at all."""
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def total(amounts: Iterable[Money], unit: str) -> Money:
    """The sum; zero of `unit` when there is nothing to add."""
    result = Money(Decimal(0), unit)
    for amount in amounts:
        result += amount
    return result
