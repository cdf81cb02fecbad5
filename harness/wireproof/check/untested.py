"""What a run did not test, and what testing it would cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce

from wireproof.model import Cover
from wireproof.money import Money
from wireproof.spec.values import MARGIN

NOT_TRIED = ("was not tried", "was not sent, or not accepted")
"""What is said of facts that no request was made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One request or job of a plan: by what name it is known in a recording, what it tests, what it costs."""

    name: str
    """The label of its job, or the operation and the purpose of its call."""
    step: str
    says: str = ""
    covers: tuple[tuple[str, str], ...] = ()
    """Facts of the contract, as kind and name; where there are none, it is told by itself."""
    price: Money | None = None
    """By the price list; None: nobody says."""


def untested(
    coverage: Iterable[Cover], parts: Sequence[Part], made: Collection[str], why: Callable[[Part], str]
) -> tuple[tuple[Cover, ...], Money | None]:
    """The coverage with the price of what is missing, the parts of the plan that no fact stands for as facts of
    their own, and the price of everything that was not made.

    `made`: names of what was done. `why`: why a part was not.
    """
    known = {fact: part for part in reversed(parts) for fact in part.covers}
    priced = [_priced(cover, known.get((cover.kind, cover.name)), made, why) for cover in coverage]
    left = [part.price for part in parts if part.name not in made and part.price is not None and part.price.amount]
    whole = reduce(Money.__add__, left) if left else None
    return (*priced, *_steps(parts, made, why, priced)), whole


def _priced(cover: Cover, part: Part | None, made: Collection[str], why: Callable[[Part], str]) -> Cover:
    if cover.seen or part is None:
        return cover
    cut = part.name not in made and cover.why_not in NOT_TRIED
    return replace(cover, price=part.price, why_not=why(part) if cut else cover.why_not)


def _steps(
    parts: Sequence[Part], made: Collection[str], why: Callable[[Part], str], covers: Sequence[Cover]
) -> Iterator[Cover]:
    """Free steps as one fact each, jobs that stand for themselves one by one."""
    facts = {(cover.kind, cover.name) for cover in covers}
    steps: dict[str, list[Part]] = {}
    for part in parts:
        if not facts & set(part.covers):
            costs = part.price is None or part.price.amount
            steps.setdefault(f"{part.step}: {part.says}" if costs else part.step, []).append(part)
    for name, those in steps.items():
        left = [part for part in those if part.name not in made]
        reason = why(left[0]) if left else ""
        yield Cover(
            kind="step",
            name=name,
            seen=not left,
            why_not=f"was done in part; the rest: {reason}" if 0 < len(left) < len(those) else reason,
            price=left[0].price if left else None,
        )


def told(whole: Money | None, coverage: Sequence[Cover]) -> Iterator[str]:
    """What the missing parts of a plan would cost together, in a sentence; nothing where none is missing."""
    missing = sum(1 for cover in coverage if not cover.seen and cover.price is not None)
    if missing and whole is not None:
        yield (
            f"Not tested: {missing} facts and steps that have a price. Testing all of them would cost {whole} by the "
            f"price list; a budget of {Money((whole * MARGIN).amount.normalize() + Decimal(0), whole.unit)} more "
            "covers it whatever happens."
        )
