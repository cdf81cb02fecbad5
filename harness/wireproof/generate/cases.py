"""Requests made from a contract, without chance: what it allows, and what it forbids by one rule at a time.

A `Case` knows what it is for and what should come of it, so that every answer to it can be judged.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from wireproof.model import Condition, Endpoint, Example, Operation, Parameter, Rule, RuleKind
from wireproof.spec.numbers import Numbers, numbers, written
from wireproof.spec.values import Values, effective, holds, price_of, same, spell

ABSENT = object()
"""The parameter is left out."""

ODD = "odd: "
"""Purpose of requests that a host may take or refuse, as long as it answers in one of its documented ways."""

UNHEARD_OF = "wireproof_unknown"
"""A parameter that no host has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request: its values, and why it is sent."""

    values: Mapping[str, Any]
    purpose: str
    covers: tuple[str, ...] = ()
    """Names of the covered facts (`aspect_ratio=1:1`, `width.maximum`, `seed omitted`)."""
    body: Any = None
    """A body that no parameters could make; None: made from the values."""
    without: str = ""
    """A field that every request carries and this one does not."""


# ------------------------------------------------------------------------------------ a base to vary


def base(endpoint: Endpoint) -> dict[str, Any]:
    """A small valid request: what is required, taken from the page's own sample where it has it."""
    sample = next((e for e in endpoint.examples if not set(e.breaks) & set(endpoint.parameters)), None)
    sample = sample or next(iter(endpoint.examples), None)
    values: dict[str, Any] = {}
    for parameter in endpoint.parameters.values():
        if parameter.required:
            given = sample.parameters.get(parameter.name, ABSENT) if sample else ABSENT
            values[parameter.name] = typical(parameter) if given is ABSENT else given
    for rule in endpoint.rules:
        values.update(_keeping(endpoint, rule, values))
    return values


def _keeping(endpoint: Endpoint, rule: Rule, values: Values) -> dict[str, Any]:
    """What must be added for a rule to hold; nothing where it holds already."""
    if not holds(rule.when, effective(endpoint, values)):
        return {}
    given = [name for name in rule.parameters if name in values]
    if rule.kind is RuleKind.EXACTLY_ONE and not given:
        first = endpoint.parameters[rule.parameters[0]]
        return {first.name: typical(first)}
    if rule.kind in (RuleKind.TOGETHER, RuleKind.REQUIRES) and given:
        return {n: typical(endpoint.parameters[n]) for n in rule.parameters if n not in values}
    return {}


def typical(parameter: Parameter) -> Any:
    """An unremarkable value that the parameter's schema allows."""
    return _typical(parameter.schema, parameter.name)


def _typical(schema: Mapping[str, Any], name: str) -> Any:
    if "const" in schema:
        return schema["const"]
    # Where null is as good as leaving a value out, it is no value to try the others beside.
    if "default" in schema and (schema["default"] is not None or types(schema) == ("null",)):
        return schema["default"]
    for keyword in ("examples", "enum"):
        if keyword in schema:
            return schema[keyword][0]
    if "type" not in schema and schema.get("anyOf"):
        return _typical(schema["anyOf"][0], name)
    kind = _real(types(schema))[0]
    if kind == "null":
        return None
    if kind == "boolean":
        return False
    if kind in ("integer", "number"):
        return written(numbers(schema).typical)
    if kind == "array":
        count = max(1, schema.get("minItems", 1))
        return _items(schema, name, count)
    if kind == "object":
        inner = schema.get("properties", {})
        return {key: _typical(inner.get(key, {}), f"{name}.{key}") for key in schema.get("required", ())}
    if "pattern" in schema:
        with contextlib.suppress(ValueError):  # a pattern that nothing can be spelled for
            return spell(schema["pattern"], random.Random(name))
    if schema.get("format") == "uuid":
        return "a1c88bd9-1e4c-47c2-9ed8-b4d5c8962f61"
    if schema.get("format") == "uri":
        return f"https://example.com/{name.replace('.', '-')}.png"
    text = "a lighthouse on a cliff at dusk"
    return (text * (schema.get("minLength", 0) // len(text) + 1))[: schema.get("maxLength", 10**6)]


def types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The JSON types that a fragment allows, the preferred one first."""
    given = schema.get("type")
    if given is None:
        value = next(iter(schema.get("enum", [schema.get("const", "")])), "")
        given = "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "string"
    return (given,) if isinstance(given, str) else tuple(given)


def _real(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """The types without null, where there is another."""
    return tuple(kind for kind in kinds if kind != "null") or kinds


# --------------------------------------------------------------------------------- what is allowed


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of one parameter that the contract names, and the fact it exercises."""

    parameter: str
    value: Any
    fact: str


def choices(endpoint: Endpoint) -> Iterator[Choice]:
    """Every documented bound, allowed value, default and omission.

    Parameters whose values come in rows of a rule are exercised row by row instead."""
    in_rows = {name for rule in endpoint.rules if rule.kind is RuleKind.AMONG for name in rule.parameters}
    for parameter in endpoint.parameters.values():
        if "const" in parameter.schema or parameter.calls_out:
            continue
        if parameter.name not in in_rows:
            yield from _named_values(parameter)
        if not parameter.required:
            yield Choice(parameter.name, ABSENT, f"{parameter.name} omitted")


def _named_values(parameter: Parameter) -> Iterator[Choice]:
    schema, name = parameter.schema, parameter.name
    if "enum" in schema:
        for value in schema["enum"]:
            yield Choice(name, value, f"{name}={_show(value)}")
        return
    kinds = _real(types(schema))
    if "boolean" in kinds:
        # False goes with the smallest numbers, and what is switched on with the largest.
        yield Choice(name, False, f"{name}=false")
        yield Choice(name, True, f"{name}=true")
    if "integer" in kinds or "number" in kinds:
        yield from _sizes(parameter)
        if "integer" in kinds:
            yield from _inside(name, schema)
    if "array" in kinds:
        yield from _lists(parameter)
    elif kinds == ("string",):
        yield from _texts(parameter)
    if "default" in schema:
        yield Choice(name, schema["default"], f"{name} default given")
    if "null" in types(schema) and schema.get("default", ABSENT) is not None:
        yield Choice(name, None, f"{name}=null")


LOW, HIGH = ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")


def _sizes(parameter: Parameter) -> Iterator[Choice]:
    """The smallest and the largest number that is allowed, and the one next to the smallest on its grid."""
    schema, name, known = parameter.schema, parameter.name, numbers(parameter.schema)
    ends = [*((bound, known.least) for bound in LOW), *((bound, known.most) for bound in HIGH)]
    for bound, end in ends:
        if bound in schema and end is not None:
            yield Choice(name, written(end), f"{name}.{bound}")
    if not set(schema) & {*LOW, *HIGH}:
        yield Choice(name, typical(parameter), f"{name} given")
    if "multipleOf" in schema and known.step is not None:
        start = known.least if known.least is not None else known.typical
        if known.holds(start + known.step):
            yield Choice(name, written(start + known.step), f"{name}.multipleOf")


def _inside(name: str, schema: Mapping[str, Any]) -> Iterator[Choice]:
    """Whole numbers between the bounds that hosts get wrong: 0, and one that is on nobody's grid."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return
    if low < 0 < high:
        yield Choice(name, 0, f"{name}=0")
    if ROOMY <= high - low <= VAST and "multipleOf" not in schema:
        # Another part of the way for each name, so that two sides of a picture are not alike.
        yield Choice(name, (low + (high - low) * (5 - sum(map(ord, name)) % 5) // 7) | 1, f"{name} inside")


ROOMY, VAST = 100, 100_000
"""A range of so many numbers may hide a grid; one of more is no side of a picture."""


def _lists(parameter: Parameter) -> Iterator[Choice]:
    schema, name = parameter.schema, parameter.name
    sizes = {bound: schema[bound] for bound in ("minItems", "maxItems") if bound in schema} or {"given": 1}
    for bound, size in sizes.items():
        yield Choice(name, _items(schema, name, size), f"{name} given" if bound == "given" else f"{name}.{bound}")


def _texts(parameter: Parameter) -> Iterator[Choice]:
    schema, name = parameter.schema, parameter.name
    plain = typical(parameter)
    if "format" in schema or "pattern" in schema:
        yield Choice(name, plain, f"{name} given")
        return
    sizes = {bound: schema[bound] for bound in ("minLength", "maxLength") if schema.get(bound)}
    for bound, size in sizes.items():
        # One letter of two bytes: a length is counted in characters.
        text = f"é{plain}" if bound == "maxLength" else str(plain)
        yield Choice(name, (text * (size // max(1, len(text)) + 1))[:size], f"{name}.{bound}")
    if not sizes:
        yield Choice(name, plain or "a lighthouse", f"{name} given")
    if parameter.canonical == "prompt":
        yield Choice(name, MANY_SIGNS[: schema.get("maxLength")], f"{name} of many signs")


MANY_SIGNS = """Un phare à l'aube 🦊, "so called", 灯台 & <b>fog</b> \\ 100 %; {it's} $5
a second line"""
"""A prompt with all that is mistaken for something else: quotes, braces, tags, lines, and letters beyond ASCII."""


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def allowed(endpoint: Endpoint) -> list[Case]:
    """Valid requests that together exercise every choice once, in as few jobs as a greedy packing needs."""
    start = base(endpoint)
    waiting = [c for c in choices(endpoint) if not _steers(endpoint, c.parameter)]
    # What matters only beside other values goes first: it decides those values, and the rest fits round it.
    waiting.sort(key=lambda c: (not endpoint.parameters[c.parameter].matters, c.value is ABSENT))
    cases = [(case, set(case.values) - set(start)) for case in _row_cases(endpoint, start)]
    while waiting:
        values, covers = dict(start), []
        left: list[Choice] = []
        touched: set[str] = set()
        for choice in waiting:
            trial = _with(endpoint, values, choice, touched)
            if trial is None:
                left.append(choice)
                continue
            values, touched = trial
            covers.append(choice.fact)
        if not covers:
            break
        cases.append((Case(values=values, purpose="valid: " + ", ".join(covers), covers=tuple(covers)), touched))
        waiting = left
    return _mixed(endpoint, cases)


def _mixed(endpoint: Endpoint, cases: list[tuple[Case, set[str]]]) -> list[Case]:
    """The cases with what each leaves open filled in, so that values meet that would not: at no other price, and for
    no job more. Of each parameter that value is taken which meets the most others for the first time."""
    ways: dict[str, list[Choice]] = {}
    for choice in choices(endpoint):
        parameter = endpoint.parameters[choice.parameter]
        if not _steers(endpoint, parameter.name) and parameter.canonical not in ("prompt", "seed"):
            ways.setdefault(parameter.name, []).append(choice)
    met: set[frozenset[str]] = set()
    used: Counter[str] = Counter()
    mixed = []
    for case, touched in cases:
        state: tuple[dict[str, Any], set[str]] = dict(case.values), touched
        for name, options in ways.items():
            best = (0, 0), state
            for choice in options if name not in touched else ():
                trial = _with(endpoint, state[0], choice, state[1])
                if trial is None or price_of(endpoint, trial[0]) != price_of(endpoint, case.values):
                    continue
                rank = len(_meetings(trial[0], name) - met), -used[choice.fact]
                best = max(best, (rank, trial), key=lambda pair: pair[0])
            state = best[1]
        values = state[0]
        for name in values:
            met |= _meetings(values, name)
            used.update(c.fact for c in ways.get(name, ()) if same(c.value, values[name]))
        mixed.append(replace(case, values=values))
    return mixed


def _meetings(values: Values, name: str) -> set[frozenset[str]]:
    """Every other value that one value stands beside."""
    shown = {other: f"{other}={_show(value)}" for other, value in values.items()}
    return {frozenset((shown[name], shown[other])) for other in shown if name in shown and other != name}


@dataclass(frozen=True, slots=True)
class Option:
    """One way to set a factor: a parameter by itself, or the parameters of a rule's row together."""

    factor: str
    fact: str
    chosen: tuple[Choice, ...]


def options(endpoint: Endpoint) -> list[Option]:
    """Every choice, and every row of values that belong together, as options of factors."""
    single = [Option(c.parameter, c.fact, (c,)) for c in choices(endpoint) if not _steers(endpoint, c.parameter)]
    rows = []
    for rule in endpoint.rules:
        for row in rule.rows if rule.kind is RuleKind.AMONG else ():
            fact = _row_fact(rule, row)
            rows.append(
                Option(rule.name, fact, tuple(Choice(n, v, fact) for n, v in zip(rule.parameters, row, strict=True)))
            )
    return [*rows, *single]


def pairs(endpoint: Endpoint) -> list[Case]:
    """Valid requests in which every two options that can stand together do so at least once.

    Greedy, without chance: each request begins with the two options that miss the most company, and takes of
    every other factor what meets the most it has not met.
    """
    known = options(endpoint)
    missing = _possible_pairs(endpoint, known)
    cases = []
    while any(missing.values()):
        values, together = _most_company(endpoint, known, missing)
        _meet(missing, together)
        facts = tuple(known[number].fact for number in together)
        cases.append(Case(values=values, purpose="valid: " + ", ".join(facts), covers=facts))
    return cases


def _possible_pairs(endpoint: Endpoint, known: list[Option]) -> dict[int, set[int]]:
    """For each option, by number, those of other factors that it can stand beside."""
    start = base(endpoint)
    beside: dict[int, set[int]] = {number: set() for number in range(len(known))}
    for i, one in enumerate(known):
        for j in range(i + 1, len(known)):
            if known[j].factor != one.factor and _fitted(endpoint, start, (one, known[j])) is not None:
                beside[i].add(j)
                beside[j].add(i)
    return beside


def _fitted(endpoint: Endpoint, start: Values, wanted: tuple[Option, ...]) -> tuple[dict[str, Any], set[str]] | None:
    """The values with these options, in whichever order they fit; None where they exclude one another."""
    for order in (wanted, wanted[::-1]):
        state: tuple[dict[str, Any], set[str]] | None = dict(start), set()
        for option in order:
            state = _opted(endpoint, state, option) if state is not None else None
        if state is not None:
            return state
    return None


def _opted(
    endpoint: Endpoint, state: tuple[dict[str, Any], set[str]], option: Option
) -> tuple[dict[str, Any], set[str]] | None:
    values, touched = state
    if len(option.chosen) == 1:
        return _with(endpoint, values, option.chosen[0], touched)
    row = {choice.parameter: choice.value for choice in option.chosen}
    trial = {**values, **row}
    return (trial, {*touched, *row}) if not touched & set(row) and _keeps_rules(endpoint, trial) else None


def _most_company(
    endpoint: Endpoint, known: list[Option], missing: Mapping[int, set[int]]
) -> tuple[dict[str, Any], list[int]]:
    """One request, and the options it has."""
    first = max(missing, key=lambda number: len(missing[number]))
    second = max(missing[first], key=lambda number: (len(missing[number]), -number))
    state = _fitted(endpoint, base(endpoint), (known[first], known[second]))
    together = [first, second]
    assert state is not None  # it is one of the possible pairs
    waiting = {option.factor for option in known} - {known[first].factor, known[second].factor}
    while waiting:
        best: tuple[tuple[int, int, int], int, tuple[dict[str, Any], set[str]]] | None = None
        for number, option in enumerate(known):
            if option.factor not in waiting:
                continue
            met = sum(number in missing[other] for other in together)
            rank = (met, len(missing[number]), -number)
            if (best is None or rank > best[0]) and (trial := _opted(endpoint, state, option)) is not None:
                best = rank, number, trial
        if best is None:
            break
        _, number, state = best
        together.append(number)
        waiting.discard(known[number].factor)
    return state[0], together


def _meet(missing: Mapping[int, set[int]], together: list[int]) -> None:
    """These have now stood beside one another."""
    for number in together:
        missing[number].difference_update(together)


def _steers(endpoint: Endpoint, name: str) -> bool:
    """Whether a parameter chooses the operation, and is set by it."""
    return any(name in op.request.select for op in endpoint.operations.values())


def telling(endpoint: Endpoint) -> dict[str, Any]:
    """The parameters that make a host tell what a job costs, where it has to be asked for it."""
    shapes = [alternative.shape for operation in endpoint.operations.values() for alternative in operation.alternatives]
    conditions = (when for shape in shapes if shape is not None for when in _conditions(shape.schema))
    found = next((when for when in conditions if when), {})
    return {n: v for n, v in found.items() if n in endpoint.parameters and not isinstance(v, (dict, list))}


def _conditions(node: Any) -> Iterator[Mapping[str, Any]]:
    """Under which values a cost stands in a body."""
    if isinstance(node, Mapping):
        if node.get("is") in ("job.cost", "output.cost"):
            yield {name: value for name, value in node.get("when", {}).items() if name != "job.state"}
        for child in node.values():
            yield from _conditions(child)


def _row_cases(endpoint: Endpoint, start: Values) -> Iterator[Case]:
    start = {**start, **telling(endpoint)}
    for rule in endpoint.rules:
        if rule.kind is RuleKind.AMONG:
            for row in rule.rows:
                named = dict(zip(rule.parameters, row, strict=True))
                fact = _row_fact(rule, row)
                yield Case(values={**start, **named}, purpose=f"valid: {fact}", covers=(fact,))


def _row_fact(rule: Rule, row: tuple[Any, ...]) -> str:
    return f"{rule.name}={'x'.join(map(str, row))}"


def _with(
    endpoint: Endpoint, values: Mapping[str, Any], choice: Choice, touched: set[str]
) -> tuple[dict[str, Any], set[str]] | None:
    """The values with one choice made as well; None where that would undo another choice or break a rule."""
    if choice.parameter in touched:
        return None
    parameter = endpoint.parameters[choice.parameter]
    needs = satisfying(parameter.matters, endpoint)
    if touched & set(needs) and holds(parameter.matters, effective(endpoint, values)):
        # It matters as things are, by another value than the first that would do.
        needs = {name: values[name] for name in needs if name in values}
    if any(name in touched and not same(values.get(name, ABSENT), value) for name, value in needs.items()):
        return None
    trial = {**values, **needs}
    beside: dict[str, Any] = {}
    if choice.value is ABSENT:
        trial.pop(choice.parameter, None)
        beside = _beside(endpoint, parameter, touched)
        trial |= beside
    else:
        trial[choice.parameter] = choice.value
    if not _keeps_rules(endpoint, trial):
        return None
    if not all(holds(endpoint.parameters[n].matters, effective(endpoint, trial)) for n in touched):
        return None
    return trial, {*touched, choice.parameter, *needs, *beside}


def _beside(endpoint: Endpoint, parameter: Parameter, touched: set[str]) -> dict[str, Any]:
    """What stands beside a parameter that is left out: others that matter only when it does are given, so that its
    own default is seen by itself."""
    alike = [p for p in endpoint.parameters.values() if p is not parameter and p.matters == parameter.matters]
    return {
        p.name: next((c.value for c in _named_values(p)), typical(p))
        for p in (alike if parameter.matters else ())
        if p.name not in touched
    }


def satisfying(condition: Condition, endpoint: Endpoint) -> dict[str, Any]:
    """Values under which a condition holds."""
    wanted: dict[str, Any] = {}
    for name, value in condition.items():
        if isinstance(value, dict):
            if value.get("present"):
                wanted[name] = typical(endpoint.parameters[name])
        else:
            wanted[name] = value[0] if isinstance(value, list) else value
    return wanted


def _keeps_rules(endpoint: Endpoint, values: Values) -> bool:
    return not any(_breaks(endpoint, rule, values) for rule in endpoint.rules)


def _breaks(endpoint: Endpoint, rule: Rule, values: Values) -> bool:
    if not holds(rule.when, effective(endpoint, values)):
        return False
    given = [name for name in rule.parameters if name in values]
    whole = len(given) == len(rule.parameters)
    if rule.kind is RuleKind.AMONG:
        return whole and not any(
            all(same(values[n], v) for n, v in zip(rule.parameters, row, strict=True)) for row in rule.rows
        )
    broken = {
        RuleKind.TOGETHER: 0 < len(given) < len(rule.parameters),
        RuleKind.AT_MOST_ONE: len(given) > 1,
        RuleKind.EXACTLY_ONE: len(given) != 1,
        RuleKind.REQUIRES: rule.parameters[0] in given and not whole,
    }
    return broken.get(rule.kind, False)


# ------------------------------------------------------------------------------- what is forbidden


def forbidden(endpoint: Endpoint, operation: Operation) -> Iterator[Case]:
    """Requests that break exactly one rule each, every documented rule in turn."""
    start = base(endpoint)
    for parameter in endpoint.parameters.values():
        if parameter.calls_out or _steers(endpoint, parameter.name) and operation.request.select:
            continue
        needs = satisfying(parameter.matters, endpoint)
        for fact, value in _wrong(parameter):
            values = {**start, **needs}
            if value is ABSENT:
                values.pop(parameter.name, None)
            else:
                values[parameter.name] = value
                values |= _companions(endpoint, parameter.name, values)
            yield Case(values=values, purpose=f"invalid: {fact}", covers=(fact,))
    yield from _broken_rules(endpoint, start)
    for field in operation.request.fields:
        if field.required and (field.canonical == "job.id" or field.name == "model"):
            fact = f"{field.name}.required"
            yield Case(values=start, purpose=f"invalid: {fact}", covers=(fact,), without=field.name)
        for keyword, value in _wrong_field(field):
            covers = (f"{field.name}.{keyword}",)
            yield Case(values={**start, field.name: value}, purpose=f"invalid: {covers[0]}", covers=covers)
    if operation.request.unknown_fields == "refused":
        yield Case(values={**start, UNHEARD_OF: True}, purpose="invalid: unknown parameter", covers=("body.unknown",))
    yield from _broken_bodies(operation)


def _wrong_field(field: Parameter) -> Iterator[tuple[str, str]]:
    """What a field that every request carries cannot be: an id of another form, a model that nobody has."""
    if field.canonical == "job.id" and field.schema.get("format") == "uuid":
        yield "format", "wireproof-no-uuid"
    if field.name == "model" and "const" in field.schema:
        yield "const", "wireproof:0@0"


def _companions(endpoint: Endpoint, name: str, values: Values) -> dict[str, Any]:
    """What must stand beside a parameter so that its own value is the only thing wrong."""
    added: dict[str, Any] = {}
    for rule in endpoint.rules:
        if rule.kind in (RuleKind.TOGETHER, RuleKind.REQUIRES) and name in rule.parameters:
            row = _row_for(endpoint, rule.parameters, tuple(typical(endpoint.parameters[n]) for n in rule.parameters))
            added |= {n: v for n, v in zip(rule.parameters, row, strict=True) if n not in values}
    return added


def _wrong(parameter: Parameter) -> Iterator[tuple[str, Any]]:
    """Values that break one keyword of a parameter's schema, each with the keyword's name."""
    schema, name = parameter.schema, parameter.name
    kinds = types(schema)
    if parameter.required:
        yield f"{name}.required", ABSENT
    yield f"{name}.type", _other_type(kinds)
    if "const" in schema:
        yield f"{name}.const", f"{schema['const']}-other"
    if "enum" in schema:
        yield f"{name}.enum", "no-such-value" if "string" in kinds else 987654321
        neighbours = [one for one in NEIGHBOURS.get(parameter.canonical or "", ()) if one not in schema["enum"]]
        for one in neighbours[:2]:
            yield f"{name}.enum", one
    yield from _outside(schema, name)
    if schema.get("minLength"):
        yield f"{name}.minLength", "x" * (schema["minLength"] - 1)
    if "maxLength" in schema:
        yield f"{name}.maxLength", "x" * (schema["maxLength"] + 1)
    if schema.get("minItems"):
        yield f"{name}.minItems", _items(schema, name, schema["minItems"] - 1)
    if "maxItems" in schema:
        yield f"{name}.maxItems", _items(schema, name, schema["maxItems"] + 1)
    if "array" in kinds and isinstance(schema.get("items"), Mapping):
        yield f"{name}.items.type", [_other_type(types(schema["items"]))]
    if "integer" in kinds and "number" not in kinds and "string" not in kinds:
        yield f"{name}.integer", written(numbers(schema).typical) + 0.5


NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "aspect_ratio": ("custom", "match_input_image", "21:9", "auto"),
    "output_format": ("gif", "avif"),
}
"""Values that sibling models and other hosts know, for a host that looks them up in somebody else's list."""


def _outside(schema: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Numbers just beyond a bound, on the grid of the others, and one between two places of the grid."""
    known = numbers(schema)
    gap = known.step or Fraction(1)
    for bounds, end, way in ((LOW, known.least, -gap), (HIGH, known.most, gap)):
        for bound in bounds:
            if bound in schema:
                yield f"{name}.{bound}", written(end + way) if end is not None else schema[bound]
    if "multipleOf" in schema and (off := off_grid(known, types(schema))) is not None:
        yield f"{name}.multipleOf", written(off)


def off_grid(known: Numbers, kinds: tuple[str, ...]) -> Fraction | None:
    """A number inside the bounds and beside the grid; None where a narrow range, or whole numbers, leave none."""
    part = Fraction(1) if "number" not in kinds else (known.step or Fraction(1)) / 2
    free = replace(known, step=None)
    starts = [start for start in (known.typical, known.least) if start is not None]
    tried = (start + way for start in starts for way in (part, -part))
    return next((one for one in tried if free.holds(one) and not known.holds(one)), None)


def _items(schema: Mapping[str, Any], name: str, count: int) -> list[Any]:
    """So many items: examples in turn where the contract has some, made up otherwise."""
    inner = schema.get("items", {"type": "string"})
    known = inner.get("examples", ())
    return [known[i % len(known)] if known else _typical(inner, f"{name}-{i}") for i in range(count)]


def _other_type(kinds: tuple[str, ...]) -> Any:
    """A value of a type that no lenient reader could take for one of these."""
    if not {"string", "array", "object"} & set(kinds):
        return "not this type"
    if "object" not in kinds:
        return {"wireproof": "not this type"}
    return ["not", "this", "type"]


def _broken_rules(endpoint: Endpoint, start: Values) -> Iterator[Case]:
    for rule in endpoint.rules:
        values = {**start, **satisfying(rule.when, endpoint)}
        names = rule.parameters
        for name in names:
            values.pop(name, None)
        for wrong in _breaking(endpoint, rule):
            trial = {**values, **wrong}
            if _breaks(endpoint, rule, trial) and sum(_breaks(endpoint, r, trial) for r in endpoint.rules) == 1:
                yield Case(values=trial, purpose=f"invalid: {rule.name}", covers=(rule.name,))
                break


def _breaking(endpoint: Endpoint, rule: Rule) -> Iterator[dict[str, Any]]:
    row = rule.rows[0] if rule.rows else tuple(typical(endpoint.parameters[n]) for n in rule.parameters)
    row = row if rule.kind is not RuleKind.TOGETHER else _row_for(endpoint, rule.parameters, row)
    whole = dict(zip(rule.parameters, row, strict=True))
    if rule.kind is RuleKind.AMONG:
        first, other = rule.parameters[0], rule.rows[-1][0]
        yield {**whole, first: other}
        yield {name: value + 1 if isinstance(value, int) else f"{value}-other" for name, value in whole.items()}
    elif rule.kind is RuleKind.EXACTLY_ONE:
        yield {}
        yield whole
    elif rule.kind is RuleKind.AT_MOST_ONE:
        yield whole
    else:
        yield {rule.parameters[0]: whole[rule.parameters[0]]}


def _row_for(endpoint: Endpoint, names: tuple[str, ...], row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values that some other rule lists for these parameters, so that only this rule is broken."""
    for rule in endpoint.rules:
        if rule.kind is RuleKind.AMONG and rule.parameters == names and rule.rows:
            return rule.rows[0]
    return row


def _broken_bodies(operation: Operation) -> Iterator[Case]:
    if operation.request.envelope == "none":
        return
    yield Case(values={}, purpose="invalid: body is not JSON", covers=("body.json",), body=b'{"prompt": "a')
    wrong: Any = {} if operation.request.envelope == "array" else ["not an object"]
    yield Case(values={}, purpose="invalid: body of the wrong JSON type", covers=("body.type",), body=wrong)


def from_example(endpoint: Endpoint, example: Example) -> Case:
    """A sample of the page as a request, without what it breaks."""
    known = {n: v for n, v in example.parameters.items() if n in endpoint.parameters and not _steers(endpoint, n)}
    return Case(values=known, purpose=f"sample {example.name}", covers=(f"sample {example.name}",))
