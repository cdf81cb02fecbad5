"""Hypothesis strategies from a contract: what it allows, and what it forbids by one rule at a time.

Values stay inside what an honest host can be expected to take: texts are readable and not empty, media
are addresses that exist as samples. Whether a value is right is decided by the contract's own judge,
never by how it was drawn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import Flaky

from wireproof.generate import cases
from wireproof.model import Endpoint, Operation, Parameter, RuleKind
from wireproof.spec.numbers import numbers, written
from wireproof.spec.values import effective, matters

T = TypeVar("T")
Values = dict[str, Any]

RARE = (
    "a lighthouse 🏠👩‍🚀 at dusk",
    "un phare à la tombée de la nuit, e\u0301te\u0301",
    "מגדלור בשעת דמדומים",
    "黄昏时悬崖上的灯塔",
    'a lighthouse\nat dusk,\tin "fog" \\ 100 % <b>&amp;</b> {0} $PATH \';--',
    "  a lighthouse with room about it  ",
)
"""Texts that people do write: joined emoji, combining marks, right to left, no spaces, marks of every syntax."""

READABLE = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=120).filter(
    str.strip
)
FAR = (1, 2, 7, 1000, 10**9, 2**31, 2**53, 2**63, 10**30)
"""How far outside a bound a value is drawn: also beyond what a float or a machine's integer holds."""


def value(schema: Mapping[str, Any], name: str) -> st.SearchStrategy[Any]:
    """A value that a fragment allows."""
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return st.one_of([_of_type(kind, schema, name) for kind in cases.types(schema)])


def _of_type(kind: str, schema: Mapping[str, Any], name: str) -> st.SearchStrategy[Any]:
    if kind == "boolean":
        return st.booleans()
    if kind in ("integer", "number"):
        return _numbers(kind, schema)
    if kind == "array":
        low = max(1, schema.get("minItems", 1))
        high = min(schema.get("maxItems", low + 2), low + 11)
        several = st.lists(_item(schema, name), min_size=low, max_size=high, unique=bool(schema.get("uniqueItems")))
        if schema.get("uniqueItems"):
            return several
        # The same item as often as there is room: nobody forbids it.
        return st.one_of(several, st.tuples(_item(schema, name), st.integers(low, high)).map(lambda t: [t[0]] * t[1]))
    if kind == "object":
        return st.just({})
    if kind == "null":
        return st.none()
    return _text(schema, name)


REACH = 1000
"""How far from its other bound, or from nothing, a number is drawn on a side where nothing bounds it."""


def _numbers(kind: str, schema: Mapping[str, Any]) -> st.SearchStrategy[int | float]:
    """Numbers between the bounds, those at the edges more often; on the grid where there is one."""
    known = numbers({**schema, "type": kind})
    step = known.step or Fraction(1)
    low = known.low if known.low is not None else min(-REACH * step, (known.high or 0) - REACH * step)
    high = known.high if known.high is not None else max(REACH * step, low + REACH * step)
    if known.step is None:
        drawn = st.floats(float(low), float(high), allow_nan=False, exclude_min=known.above, exclude_max=known.below)
        return drawn.filter(lambda value: known.holds(Fraction(value)))
    ends = replace(known, low=low, high=high)
    assert ends.least is not None  # there is a grid,
    assert ends.most is not None  # and both sides are bounded
    first, last = int(ends.least / step), int(ends.most / step)
    edges = sorted({edge for edge in (first, first + 1, last - 1, last) if first <= edge <= last})
    places = st.one_of(st.integers(first, last), st.sampled_from(edges))
    return places.map(lambda place: written(place * step)) if step != 1 else places


def _item(schema: Mapping[str, Any], name: str) -> st.SearchStrategy[Any]:
    """One item of a list: of media, an address of its own."""
    inner = schema.get("items", {"type": "string"})
    if "examples" in inner:
        return st.sampled_from(inner["examples"])
    if inner.get("format") == "uri" or inner.get("type") == "string":
        return st.integers(0, 99).map(lambda i: f"https://example.com/{name.replace('.', '-')}-{i}.png")
    return value(inner, name)


def _text(schema: Mapping[str, Any], name: str) -> st.SearchStrategy[str]:
    if "examples" in schema:
        return st.sampled_from(schema["examples"])
    if schema.get("format") == "uri":
        return st.integers(0, 99).map(lambda i: f"https://example.com/{name.replace('.', '-')}-{i}.png")
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    low, high = max(1, schema.get("minLength", 1)), schema.get("maxLength", 400)
    plain = READABLE.filter(lambda text: low <= len(text) <= high)
    rare = [text for text in RARE if low <= len(text) <= high]
    return st.one_of(
        plain,
        *([st.sampled_from(rare)] if rare else []),
        st.just("a lighthouse at dusk"[:high].ljust(low, "x")),
        st.just("x" * high if high <= 2000 else "x" * 400),
    )


def valid(endpoint: Endpoint) -> st.SearchStrategy[Values]:
    """Requests that keep every rule, over the whole documented domain; the smallest is the base request."""
    start = cases.base(endpoint)
    free = [p for p in endpoint.parameters.values() if _is_free(endpoint, p)]
    drawn = st.fixed_dictionaries(
        {p.name: value(p.schema, p.name) for p in free if p.required},
        optional={p.name: value(p.schema, p.name) for p in free if not p.required},
    )
    rows = [rule for rule in endpoint.rules if rule.kind is RuleKind.AMONG]
    chosen = st.tuples(*[st.sampled_from([None, *rule.rows]) for rule in rows])

    def joined(parts: tuple[Values, tuple[Any, ...]]) -> Values:
        values, picked = parts
        whole = {**start, **values}
        for rule, row in zip(rows, picked, strict=True):
            if row is not None:
                whole |= dict(zip(rule.parameters, row, strict=True))
        full = effective(endpoint, whole)
        return {
            n: v for n, v in whole.items() if endpoint.parameters[n].required or matters(endpoint.parameters[n], full)
        }

    return st.tuples(drawn, chosen).map(joined)


def _is_free(endpoint: Endpoint, parameter: Parameter) -> bool:
    """Whether a parameter may be drawn by itself: nothing else decides it, and nobody is called because of it."""
    in_rows = any(parameter.name in rule.parameters for rule in endpoint.rules if rule.kind is RuleKind.AMONG)
    steers = any(parameter.name in op.request.select for op in endpoint.operations.values())
    return not (in_rows or steers or parameter.calls_out or "const" in parameter.schema)


def forbidden(endpoint: Endpoint, operation: Operation) -> st.SearchStrategy[cases.Case]:
    """Requests that break one rule: the plain ones of `cases.forbidden`, and values further out."""
    plain = [case for case in cases.forbidden(endpoint, operation) if case.body is None and not case.without]
    further = [s for p in endpoint.parameters.values() if _is_free(endpoint, p) for s in _further(endpoint, p)]
    return st.one_of(st.sampled_from(plain), *further)


def _further(endpoint: Endpoint, parameter: Parameter) -> list[st.SearchStrategy[cases.Case]]:
    schema, found = parameter.schema, []

    def cased(keyword: str, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[cases.Case]:
        start = {**cases.base(endpoint), **cases.satisfying(parameter.matters, endpoint)}
        return strategy.map(
            lambda wrong: cases.Case(
                values={**start, parameter.name: wrong},
                purpose=f"invalid: {parameter.name}.{keyword}",
                covers=(f"{parameter.name}.{keyword}",),
            )
        )

    known = numbers(schema)
    step = known.step or Fraction(1)
    for bound, end, way in (("minimum", known.least, -step), ("maximum", known.most, step)):
        if bound in schema and end is not None:
            found.append(cased(bound, st.sampled_from(FAR).map(_further_than(end, way))))
    if "multipleOf" in schema and (off := cases.off_grid(known, cases.types(schema))) is not None:
        found.append(cased("multipleOf", st.just(written(off))))
    if "enum" in schema and "string" in cases.types(schema):
        found.append(
            cased(
                "enum",
                st.sampled_from(["none-of-these", "999:1", "null", "x"]).filter(lambda v: v not in schema["enum"]),
            )
        )
    kinds = cases.types(schema)
    wrong: list[Any] = [{"a": 1}, {"deep": {"er": []}}]
    if "array" not in kinds:
        wrong.append([["nested"]])
    found.append(cased("type", st.sampled_from(wrong)))
    if "maxLength" in schema:
        found.append(cased("maxLength", st.sampled_from(FAR[:4]).map(lambda far: "x" * (schema["maxLength"] + far))))
    if "maxItems" in schema and "items" in schema:
        most = schema["maxItems"]
        far = _item(schema, parameter.name).flatmap(
            lambda one: st.sampled_from([most + 1, most + 2, most * 3]).map(lambda count: [one] * count)
        )
        found.append(cased("maxItems", far))
    if "integer" in kinds and "number" not in kinds and "string" not in kinds:
        low = schema.get("minimum", 0)
        found.append(cased("integer", st.sampled_from([0.5, 0.25, 1e-9]).map(lambda part: low + 1 + part)))
    return found


def _further_than(end: Fraction, way: Fraction) -> Callable[[int], int | float]:
    return lambda far: written(end + far * way)


def odd(endpoint: Endpoint) -> list[cases.Case]:
    """Requests at the edge of JSON and of common sense: a host may take or refuse them, but it has to answer."""
    start = cases.base(endpoint)
    return [
        cases.Case(
            values={**start, **cases.satisfying(parameter.matters, endpoint), parameter.name: given},
            purpose=f"{cases.ODD}{parameter.name} {what}",
        )
        for parameter in endpoint.parameters.values()
        if _is_free(endpoint, parameter)
        for what, given in _oddities(parameter)
    ]


def _oddities(parameter: Parameter) -> Iterator[tuple[str, Any]]:
    """Values between what is allowed and what is forbidden, each in a few words."""
    schema, kinds = parameter.schema, cases.types(parameter.schema)
    if "null" not in kinds:
        yield "null", None
    if "integer" in kinds or "number" in kinds:
        whole = int(schema.get("minimum", 1)) if schema.get("minimum", 1) > 0 else 1
        yield "a whole number with a fraction of zero", float(whole)
        yield "a number as text", str(whole)
        yield "a boolean for a number", True
        if schema.get("minimum", 0) <= 0:
            yield "minus zero", -0.0
            yield "a number with an exponent", 1e-300
        yield "a huge number with an exponent", 1e300
    if kinds == ("string",) and "enum" not in schema and "format" not in schema:
        yield "nothing but space", " \t\n"
        yield "control characters", "a\u0000b\u0007\u001b[31m\u202e"
        yield "one character of every plane", "".join(chr((plane << 16) + 0x41) for plane in range(3)) + "\U0010fffd"
        yield "very long", "lighthouse " * 3000
    if "enum" in schema and kinds == ("string",):
        if (other := str(schema["enum"][0]).swapcase()) not in schema["enum"]:
            yield "in other letters", other
        yield "with a space behind it", f"{schema['enum'][0]} "
    if "boolean" in kinds:
        yield "a boolean as text", "true"
        yield "a number for a boolean", 1
    if "array" in kinds:
        yield "one item without its list", "https://example.com/one.png"
        if not schema.get("minItems"):
            yield "an empty list", []


def search(
    strategy: st.SearchStrategy[T], trial: Callable[[T], bool], *, examples: int, seed: int, shrink: bool
) -> T | None:
    """Try values until `trial` says that one shows something; the smallest such value, or None.

    A trial that shows something once and not again ends the search with what it showed. Nothing is stored between runs.
    """
    smallest: list[T] = []
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @hypothesis.given(strategy)
    def run(drawn: T) -> None:
        if trial(drawn):
            smallest[:] = [drawn]
            raise _Shown

    # Hypothesis keeps notes beside whoever runs it; a user's folder is not the place for ours.
    with tempfile.TemporaryDirectory(prefix="wireproof-") as notes:
        set_hypothesis_home_dir(notes)
        try:
            run()
        except (_Shown, Flaky):
            # Flaky: a host that errs at times only, which is no reason to give up.
            return smallest[0]
        finally:
            set_hypothesis_home_dir(None)
    return None


class _Shown(Exception):
    """A value that shows something; raised so that Hypothesis makes it smaller."""
