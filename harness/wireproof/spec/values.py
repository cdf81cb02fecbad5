"""What a contract says about a set of parameter values: conditions, effective values, prices, pictures.

Pure functions of contract nouns and plain JSON values; both sides of the wire use them.
"""

from __future__ import annotations

import functools
import importlib
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from wireproof.model import Condition, Endpoint, Kind, Parameter, Price, Problem, SizeRule, Term
from wireproof.money import Money
from wireproof.spec.once import Once

MARGIN = Decimal("1.5")
"""How far above its declared price a charge may lie before spending stops."""

Values = Mapping[str, Any]
"""Parameters by the host's dotted names, as they stand in a request."""


def holds(condition: Condition, values: Values) -> bool:
    """Whether every name of the condition is what it must be."""
    return all(_matches(wanted, name in values, values.get(name)) for name, wanted in condition.items())


def _matches(wanted: Any, present: bool, value: Any) -> bool:
    if isinstance(wanted, dict) and set(wanted) == {"present"}:
        return bool(wanted["present"]) is present
    if not present:
        return False
    allowed = wanted if isinstance(wanted, list) else [wanted]
    return any(same(value, one) for one in allowed)


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values: true is not 1, and 1.0 is 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def effective(endpoint: Endpoint, values: Values) -> dict[str, Any]:
    """The values with the defaults filled in for what was left out."""
    return {**_defaults(endpoint.parameters), **values}


def _read_defaults(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {p.name: p.default for p in parameters.values() if p.has_default}


_defaults = Once(_read_defaults)


def matters(parameter: Parameter, values: Values) -> bool:
    """Whether the parameter has an effect beside these effective values."""
    return holds(parameter.matters, values)


def by_canonical(endpoint: Endpoint, name: str) -> Parameter | None:
    """The host's parameter for a canonical one of the model."""
    return next((p for p in endpoint.parameters.values() if p.canonical == name), None)


# -------------------------------------------------------------------------------- nested bodies


def nest(values: Values) -> dict[str, Any]:
    """Dotted names to nested objects: `{'safety.mode': 'fast'}` to `{'safety': {'mode': 'fast'}}`."""
    body: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        place = body
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return body


@dataclass(frozen=True, slots=True)
class Flat:
    """A body taken apart into the parameters of a contract."""

    values: dict[str, Any]
    extra: tuple[str, ...]
    """Dotted names of keys that the contract does not know."""
    blocked: tuple[str, ...]
    """Names of objects that should hold parameters and are something else."""


def flatten(body: Mapping[str, Any], known: Mapping[str, Parameter]) -> Flat:
    """Take a body apart by the parameters a contract knows."""
    parents = {name[:i] for name in known for i, char in enumerate(name) if char == "."}
    values: dict[str, Any] = {}
    extra: list[str] = []
    blocked: list[str] = []

    def walk(node: Mapping[str, Any], prefix: str) -> None:
        for key, value in node.items():
            name = f"{prefix}{key}"
            if name in known:
                values[name] = value
            elif name in parents:
                if isinstance(value, dict):
                    walk(value, f"{name}.")
                else:
                    blocked.append(name)
            else:
                extra.append(name)

    walk(body, "")
    return Flat(values, tuple(extra), tuple(blocked))


# ---------------------------------------------------------------------------------------- money


def price_of(endpoint: Endpoint, values: Values) -> Money | None:
    """What a job with these values costs by the contract; None where the contract has no price."""
    if endpoint.price is None:
        return None
    full = effective(endpoint, values)
    amounts = (_term(endpoint, term, full) for term in endpoint.price.terms if holds(term.when, full))
    return Money(sum(amounts, Decimal(0)), endpoint.price.unit)


def _term(endpoint: Endpoint, term: Term, values: Values) -> Decimal:
    if term.per == "request":
        return term.amount
    if term.per == "output":
        return term.amount * outputs_of(endpoint, values)
    items = values.get(term.of or "", ())
    counted = len(items) if isinstance(items, list) else 0
    if term.up_to is not None:
        counted = min(counted, term.up_to)
    return term.amount * max(0, counted - term.beyond)


def ceiling_of(endpoint: Endpoint, values: Values) -> Money | None:
    """The most such a job is allowed to cost: its price and half of it again, whatever the outcome. A charge
    that stays inside it cannot break a budget that was reserved by it; one above it ends the spending."""
    price = price_of(endpoint, values)
    return price * MARGIN if price is not None else None


def billed_of(price: Price, outcome: str) -> str:
    """`full`, `zero`, `maybe` or `unknown` for an outcome (a canonical status, or `refused`)."""
    return price.billed.get(outcome, "unknown")


_REFUSALS = frozenset(
    {
        Kind.NO_KEY,
        Kind.BAD_KEY,
        Kind.FORBIDDEN,
        Kind.UNKNOWN_MODEL,
        Kind.INVALID,
        Kind.TOO_LARGE,
        Kind.WRONG_METHOD,
        Kind.OUT_OF_CREDITS,
        Kind.RATE_LIMITED,
        Kind.TOO_MANY_JOBS,
        Kind.OVERLOADED,
        Kind.CONFLICT,
    }
)
"""Problems that are told before any work is begun."""

_OUTCOMES = {**dict.fromkeys(_REFUSALS, "refused"), Kind.MODERATED: "moderated", Kind.FAILED: "failed"}
_BILLED = {"never": "zero", "maybe": "maybe", "always": "full"}


def refusal_billed(endpoint: Endpoint, problems: Iterable[Problem]) -> str:
    """`full`, `zero`, `maybe` or `unknown` for a refusal that may tell of any of these problems.

    What the contract says of a problem counts; where it says nothing, what it says of outcomes of that kind. A
    refusal that is none of its problems is `unknown`.
    """
    words = {_problem_billed(endpoint.price, problem) for problem in problems}
    return words.pop() if len(words) == 1 else "unknown"


def _problem_billed(price: Price | None, problem: Problem) -> str:
    if problem.billed in _BILLED or price is None:
        return _BILLED.get(problem.billed, "unknown")
    return billed_of(price, _OUTCOMES.get(problem.kind, ""))


# ------------------------------------------------------------------------------------- pictures


def outputs_of(endpoint: Endpoint, values: Values) -> int:
    """How many outputs a finished job with these values delivers."""
    count = endpoint.outputs.count
    if isinstance(count, int):
        return count
    wanted = effective(endpoint, values).get(count, 1)
    return wanted if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0 else 1


@dataclass(frozen=True, slots=True)
class Promised:
    """What the contract promises of a picture. None: nobody says."""

    width: int | None = None
    height: int | None = None
    ratio: Decimal | None = None
    tolerance: Decimal = Decimal("0.03")
    formats: tuple[str, ...] = ()
    size_rule: SizeRule | None = None
    format_parameter: str | None = None


def promised(endpoint: Endpoint, values: Values) -> Promised:
    """What a picture made with these values should be like."""
    full = effective(endpoint, values)
    rule = next((rule for rule in endpoint.outputs.sizes if holds(rule.when, full)), None)
    form = endpoint.outputs.format
    if form.fixed:
        formats: tuple[str, ...] = (form.fixed,)
    elif form.parameter and isinstance(full.get(form.parameter), str) and full[form.parameter] in form.values:
        formats = (form.values[full[form.parameter]],)
    else:
        formats = form.any_of
    width = _pixels(rule.width, full) if rule else None
    height = _pixels(rule.height, full) if rule else None
    ratio = _ratio(full.get(rule.ratio)) if rule and rule.ratio else None
    return Promised(
        width=width,
        height=height,
        ratio=ratio,
        tolerance=rule.tolerance if rule else Decimal("0.03"),
        formats=formats,
        size_rule=rule,
        format_parameter=form.parameter,
    )


def _pixels(given: Any, values: Values) -> int | None:
    value = values.get(given) if isinstance(given, str) else given
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _ratio(value: Any) -> Decimal | None:
    if not isinstance(value, str) or value.count(":") != 1:
        return None
    wide, high = value.split(":")
    if not (wide.isdigit() and high.isdigit() and int(high)):
        return None
    return Decimal(wide) / Decimal(high)


def drawn_size(endpoint: Endpoint, values: Values) -> tuple[int, int]:
    """A width and a height that keep the promise, for a mock that has to choose. A grid of 16 pixels
    is kept only where the ratio stays well inside its tolerance."""
    wish = promised(endpoint, values)
    if wish.width and wish.height:
        return wish.width, wish.height
    pixels = wish.size_rule.pixels if wish.size_rule else 1_048_576
    ratio = wish.ratio or Decimal(1)
    height = int((Decimal(pixels) / ratio).sqrt() // 16 * 16) or 16
    width = int((Decimal(height) * ratio) // 16 * 16) or 16
    if abs(Decimal(width) / Decimal(height) / ratio - 1) > wish.tolerance / 2:
        width = int(Decimal(height) * ratio)
    return width, height


# ------------------------------------------------------------------------------------- patterns


def spell(pattern: str, chance: random.Random) -> str:
    """A text that a simple pattern matches: literals, classes, groups, branches, bounded repeats.

    Raises ValueError for a pattern that needs more than that.
    """
    return _speller(pattern)(chance)


_Spells = Callable[[random.Random], str]


@functools.lru_cache(maxsize=256)
def _speller(pattern: str) -> _Spells:
    """What spells a pattern; worked out once, since ids are made for every call."""
    parser: Any = importlib.import_module("re._parser")
    return _inner(parser.parse(pattern))


def _inner(tokens: Any) -> _Spells:
    """What spells the parts of a pattern one after the other."""
    parts = [_spells(str(kind), argument) for kind, argument in tokens]
    return lambda chance: "".join([part(chance) for part in parts])


def _spells(name: str, argument: Any) -> _Spells:
    """What spells one part of a pattern."""
    if name == "LITERAL":
        text = chr(argument)
        return lambda chance: text
    if name == "IN":
        letters = _class(argument)
        return lambda chance: chance.choice(letters)
    if name in ("MAX_REPEAT", "MIN_REPEAT"):
        low, high, inner = argument[0], min(int(argument[1]), argument[0] + 8), _inner(argument[2])
        return lambda chance: "".join([inner(chance) for _ in range(chance.randint(low, high))])
    if name == "SUBPATTERN":
        return _inner(argument[-1])
    if name == "BRANCH":
        ways = [_inner(way) for way in argument[1]]
        return lambda chance: chance.choice(ways)(chance)
    if name == "ANY":
        return lambda chance: chance.choice("abcdefghijklmnopqrstuvwxyz")
    if name == "AT":
        return lambda chance: ""
    raise ValueError(f"{name} is more than a simple pattern may hold")


def _class(items: Any) -> str:
    letters: list[str] = []
    for kind, argument in items:
        name = str(kind)
        if name == "LITERAL":
            letters.append(chr(argument))
        elif name == "RANGE":
            letters += [chr(code) for code in range(argument[0], argument[1] + 1)]
        elif name == "CATEGORY":
            letters += list("0123456789" if str(argument).endswith("DIGIT") else "abcdefghijklmnopqrstuvwxyz0123456789")
        else:
            raise ValueError(f"{name} is more than a simple class may hold")
    return "".join(letters)
