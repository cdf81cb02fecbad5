"""Bodies by their shape, in both directions: write one, read one, and say what a right one is.

A `Shape` is JSON Schema whose places say what stands there (`is`), what repeats (`each`) and when a
place is there (`when`). The mock writes by it, the dialogue reads by it, the checks judge by it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import jsonschema_rs

from wireproof.model import Shape
from wireproof.spec.once import Once
from wireproof.spec.values import Values, holds


class Missing:
    """Nothing stands there."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()

Lookup = Callable[[str, int | None], Any]
"""The value of a name of the vocabulary, of one item where there are several; MISSING if there is none.

Amounts are Decimal and moments are `Moment`; the place they stand in decides how they are written."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, seconds since 1970-01-01 UTC."""

    seconds: float


OURS = frozenset({"is", "each", "when", "says", "evidence"})


# --------------------------------------------------------------------------------------- writing


def render(shape: Shape, lookup: Lookup, counts: Mapping[str, int], values: Values) -> Any:
    """A body of this shape. `counts` says how many items each kind of repetition has."""
    return _render(shape.schema, lookup, counts, values, None)


def _render(
    node: Mapping[str, Any], lookup: Lookup, counts: Mapping[str, int], values: Values, item: int | None
) -> Any:
    if "is" in node:
        return spoken(lookup(node["is"], item), node)
    if "const" in node:
        return node["const"]
    if "anyOf" in node:
        return _render_either(node, lookup, counts, values, item)
    if "properties" in node:
        return _render_object(node, lookup, counts, values, item)
    if "each" in node:
        inner = node.get("items", {})
        kept = [i for i in range(counts.get(node["each"], 0)) if _is_there(inner, lookup, values, i)]
        items = (_render(inner, lookup, counts, values, i) for i in kept)
        return [one for one in items if one is not MISSING]
    if node.get("type") == "object":
        return {}
    if node.get("type") == "array":
        inner = _render(node["items"], lookup, counts, values, item) if isinstance(node.get("items"), dict) else MISSING
        return [] if inner is MISSING else [inner]
    return MISSING


def _render_either(
    node: Mapping[str, Any], lookup: Lookup, counts: Mapping[str, int], values: Values, item: int | None
) -> Any:
    """The alternative that tells the most of those that come out whole, beside what the place says by itself."""
    plain = {key: value for key, value in node.items() if key != "anyOf"}
    own = _render(plain, lookup, counts, values, item)
    ways = [way for way in node["anyOf"] if _is_there(way, lookup, values, item)]
    made = [(way, _render(way, lookup, counts, values, item)) for way in ways]
    made = [(way, body) for way, body in made if body is not MISSING]
    whole = [(way, body) for way, body in made if _fits(way).is_valid(body)]
    if not made:
        return own
    chosen = max(whole or made[:1], key=lambda pair: len(_read(pair[0], pair[1])))[1]
    return {**own, **chosen} if isinstance(own, dict) and isinstance(chosen, dict) else chosen


def _is_there(node: Mapping[str, Any], lookup: Lookup, values: Values, item: int | None) -> bool:
    """Whether a place is there under its condition; an array leaves out the items for which it is not."""
    return "when" not in node or holds(node["when"], {**values, "job.state": lookup("job.state", item)})


def spoken(value: Any, node: Mapping[str, Any]) -> Any:
    """A value as the place it stands in wants it: amounts as numbers or text, moments as ISO 8601 or seconds,
    progress in percent or as a share of one."""
    if isinstance(value, Decimal):
        return (
            f"{value:f}"
            if node.get("type") == "string"
            else (int(value) if value == value.to_integral_value() else float(value))
        )
    if isinstance(value, Moment):
        if node.get("type") in ("integer", "number"):
            return int(value.seconds) if node["type"] == "integer" else value.seconds
        return datetime.fromtimestamp(value.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if node.get("is") == "job.progress" and node.get("maximum") == 1 and isinstance(value, int):
        return value / 100  # a share of the whole, where the contract says so, and not a percentage
    return value


def _render_object(
    node: Mapping[str, Any], lookup: Lookup, counts: Mapping[str, int], values: Values, item: int | None
) -> Any:
    seen = {**values, "job.state": lookup("job.state", item)}
    body: dict[str, Any] = {}
    for name, child in node["properties"].items():
        if "when" in child and not holds(child["when"], seen):
            continue
        value = _render(child, lookup, counts, values, item)
        if value is MISSING and name in node.get("required", ()) and "is" not in child:
            value = plainest(child)
        if value is not MISSING:
            body[name] = value
    return body


def plainest(node: Mapping[str, Any]) -> Any:
    """The plainest value that a place allows, for required places that stand for nothing in particular."""
    for keyword in ("const", "default"):
        if keyword in node:
            return node[keyword]
    if "enum" in node:
        return node["enum"][0]
    if "type" not in node and "anyOf" in node:
        return plainest(node["anyOf"][0])
    kind = node.get("type", "string")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "object":
        return {name: plainest(node.get("properties", {}).get(name, {})) for name in node.get("required", ())}
    if kind == "array":
        return [plainest(node.get("items", {})) for _ in range(node.get("minItems", 0))]
    table = {"integer": node.get("minimum", 0), "number": node.get("minimum", 0), "boolean": False, "null": None}
    return table[kind] if kind in table else "https://example.com/" if node.get("format") == "uri" else "sample"


# --------------------------------------------------------------------------------------- reading


class Found(NamedTuple):
    """One value found in a body: which, where, and in which item of a repetition."""

    name: str
    pointer: str
    value: Any
    item: int | None


MOST_DEPTH = 100
"""Of lists and objects within each other, in a request or a reply: more than that brings most readers down."""


def too_deep(text: bytes, value: Any) -> bool:
    """Whether a JSON text, read to this value, is nested deeper than that."""
    return text.count(b"[") + text.count(b"{") > MOST_DEPTH and _depth(value) > MOST_DEPTH


def _depth(value: Any) -> int:
    """How many lists and objects are within each other."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, (list, dict))]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth


def collect(shape: Shape, body: Any) -> list[Found]:
    """Every value of the vocabulary that stands in a body, in the order of the shape."""
    return _read(shape.schema, body)


def _read(node: Mapping[str, Any], body: Any) -> list[Found]:
    found: list[Found] = []
    reader = _readers(node)
    if reader is not None:
        reader(body, "", None, found)
    return found


_Reader = Callable[[Any, str, "int | None", list[Found]], None]
"""Adds what stands in a body at a pointer, in an item of a repetition, to a list."""


def _reader(node: Mapping[str, Any]) -> _Reader | None:
    """What reads a place of a shape, made once for all bodies; None where nothing is said to stand."""
    name, each = node.get("is"), "each" in node
    inner = node.get("items")
    items = _reader(inner) if isinstance(inner, dict) else None
    made = [(key, f"/{key}", _reader(child)) for key, child in node.get("properties", {}).items()]
    children = [(key, step, reader) for key, step, reader in made if reader is not None]
    either = _either(node.get("anyOf", ()))

    def read(body: Any, pointer: str, item: int | None, found: list[Found]) -> None:
        if name is not None:
            found.append(Found(name, pointer, body, item))
        if isinstance(body, dict):
            for key, step, reader in children:
                if key in body:
                    reader(body[key], pointer + step, item, found)
        elif items is not None and isinstance(body, list):
            for i, one in enumerate(body):
                items(one, f"{pointer}/{i}", i if each else item, found)
        if either is not None:
            either(body, pointer, item, found)

    return read if name is not None or children or items is not None or either is not None else None


_readers = Once(_reader)


def _either(ways: Sequence[Mapping[str, Any]]) -> _Reader | None:
    """What reads a place that has alternatives: by the one that tells the most of those that the body fits."""
    made = [(way, _reader(way)) for way in ways]
    if not any(reader for _, reader in made):
        return None

    def read(body: Any, pointer: str, item: int | None, found: list[Found]) -> None:
        fitting = [reader for way, reader in made if _fits(way).is_valid(body)]
        heard: list[list[Found]] = [[] for _ in fitting]
        for reader, told in zip(fitting, heard, strict=True):
            if reader is not None:
                reader(body, pointer, item, told)
        most: list[Found] = max(heard, key=len, default=[])
        found += most

    return read


def names(shape: Shape) -> frozenset[str]:
    """Every name of the vocabulary that a body of this shape may tell."""
    return frozenset(_told(shape.schema))


def _told(node: Mapping[str, Any]) -> Iterator[str]:
    if "is" in node:
        yield node["is"]
    inner = node.get("items")
    inside = [inner] if isinstance(inner, dict) else []
    for child in (*node.get("properties", {}).values(), *inside, *node.get("anyOf", ())):
        yield from _told(child)


# --------------------------------------------------------------------------------------- judging


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a body is not of its shape."""

    pointer: str
    """Where in the body."""
    keyword: str
    """Which JSON Schema keyword fails (`required`, `type`, `enum` …)."""
    subject: str
    """The property meant (`/metrics/inference_time`)."""
    place: str
    """Pointer inside the shape, for its line and its evidence."""
    says: str


def faults(shape: Shape, body: Any, values: Values, word: str | None) -> list[Fault]:
    """How a body differs from its shape, given the request's effective values and the state word in it."""
    schema, names = _worded(shape.schema)
    relevant = {name: values[name] for name in names if name in values}
    pure = _pure_text(schema, json.dumps(relevant, sort_keys=True), word)
    return [_fault(error, body) for error in pure.iter_errors(body)]


def _fault(error: Any, body: Any) -> Fault:
    path = [str(part) for part in error.schema_path]
    keyword = path[-1] if path else ""
    pointer = "".join(f"/{part}" for part in error.instance_path)
    place = "".join(f"/{part}" for part in _place(path))
    subject = pointer
    missing = getattr(error.kind, "property", None) if keyword == "required" else None
    if missing is not None:
        subject, place = f"{pointer}/{missing}", f"{place}/properties/{missing}"
    return Fault(pointer, keyword, subject, place, _short(error.message))


def _place(path: list[str]) -> list[str]:
    """The schema path without the conditional branches that compiling put in, and without the keyword."""
    kept: list[str] = []
    steps = iter(path[:-1])
    for step in steps:
        if step == "allOf":
            next(steps, None)
            next(steps, None)
        else:
            kept.append(step)
    return kept


def _short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:140]} … {message[-50:]}"


def _in_words(schema: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    """A shape as text, and the request values that its conditions speak of."""
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, Mapping):
            found.update(node.get("when", {}) if isinstance(node.get("when"), Mapping) else {})
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(schema)
    return json.dumps(schema, sort_keys=True), frozenset(found)


_worded = Once(_in_words)
"""Both, worked out once for each shape."""


@functools.lru_cache(maxsize=2048)
def _pure_text(schema: str, values: str, word: str | None) -> Any:
    """A validator of the shape under these values; compiled once for each combination that occurs."""
    return jsonschema_rs.validator_for(pure(json.loads(schema), json.loads(values), word), validate_formats=True)


def pure(node: Mapping[str, Any], values: Values, word: str | None = None) -> dict[str, Any]:
    """The shape as plain JSON Schema under these request values: what is required there is required.

    A place whose `when` speaks of `job.state` is required where the object itself carries that state,
    or, when it carries none, where the whole reply's `word` is that state.
    """
    plain = {
        key: value
        for key, value in node.items()
        if key not in OURS and key not in ("properties", "items", "required", "anyOf")
    }
    children = node.get("properties", {})
    if children:
        plain["properties"] = {name: pure(child, values, word) for name, child in children.items()}
    if isinstance(node.get("items"), Mapping):
        plain["items"] = pure(node["items"], values, word)
    if "anyOf" in node:
        plain["anyOf"] = [pure(child, values, word) for child in node["anyOf"]]
    state_at = next((name for name, child in children.items() if child.get("is") == "job.state"), None)
    required: list[str] = []
    branches: list[dict[str, Any]] = []
    for name in node.get("required", ()):
        condition = dict(children.get(name, {}).get("when", {}))
        states = condition.pop("job.state", None)
        if not holds(condition, values):
            continue
        if states is None:
            required.append(name)
            continue
        words = states if isinstance(states, list) else [states]
        if state_at is not None:
            test = {"properties": {state_at: {"enum": words}}, "required": [state_at]}
            branches.append({"if": test, "then": {"required": [name]}})
        elif word in words:
            required.append(name)
    if required:
        plain["required"] = required
    if branches:
        plain["allOf"] = branches
    return plain


def _compiled(node: Mapping[str, Any]) -> Any:
    return jsonschema_rs.validator_for(pure(node, {}), validate_formats=True)


_fits = Once(_compiled)
"""What tells whether a body is of a place's form, whatever was asked for; compiled once for each place."""
