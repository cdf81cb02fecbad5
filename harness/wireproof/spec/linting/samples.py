"""Sample requests and replies held against their own contract: values against schemas, nothing sent."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from wireproof.model import Condition, Confidence, Endpoint, Example, Operation, Parameter, Rule, RuleKind
from wireproof.spec.values import Values, effective, holds, matters, same

STATE = "job.state"
TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule of the contract that a set of parameter values breaks."""

    subject: str
    """Name of the parameter, or of the rule between parameters."""
    keyword: str
    says: str


# --------------------------------------------------------------------------------------- requests


def breaches(endpoint: Endpoint, values: Values) -> list[Breach]:
    """What a request with these values breaks: tables first, then the rules between parameters."""
    known = endpoint.parameters
    found = [Breach(name, "unknown", "is not a parameter of this endpoint") for name in values if name not in known]
    for parameter in known.values():
        if parameter.name in values:
            found += [
                Breach(parameter.name, keyword, f"{told(values[parameter.name])} breaks {keyword}")
                for keyword in complaints(parameter, values[parameter.name])
            ]
        elif parameter.required:
            found.append(Breach(parameter.name, "required", "is left out, though it is required"))
    wrong = {breach.subject for breach in found}
    for rule in endpoint.rules:
        if not wrong & set(rule.parameters) and breaks(endpoint, rule, values):
            found.append(Breach(rule.name, rule.kind.value, f"is broken: {rule.says or ', '.join(rule.parameters)}"))
    return found


def complaints(parameter: Parameter, value: Any) -> list[str]:
    """The keywords of its own schema that a value breaks; only the type, when that is wrong."""
    schema = {key: part for key, part in parameter.schema.items() if key != "default"}
    if "pattern" in schema:
        schema["pattern"] = f"^(?:{schema['pattern']})$"
    broken = [str(error.schema_path[-1]) if error.schema_path else "schema" for error in _errors(schema, value)]
    return ["type"] if "type" in broken else broken


def table_complaints(parameter: Parameter, value: Any) -> list[Breach]:
    """What a value breaks of what its own page says elsewhere: the rivals that share the fact's source."""
    found = []
    for keyword, proof in parameter.facts.items():
        if proof.confidence is not Confidence.DISPUTED:
            continue
        for rival in proof.rivals:
            told_by_page = rival.source == proof.source and _is_keyword(parameter, keyword, rival.value)
            if told_by_page and _errors({keyword: rival.value}, value):
                says = f"is {told(value)}, though the page's table says {keyword} {told(rival.value)}"
                found.append(Breach(parameter.name, keyword, says))
    return found


def _is_keyword(parameter: Parameter, keyword: str, value: Any) -> bool:
    """Whether a rival's value can stand in a schema as it is."""
    if keyword == "type":
        return value in TYPES
    return keyword in ("enum", "minimum", "maximum", "minItems", "maxItems") and isinstance(
        value, type(parameter.schema.get(keyword))
    )


def _errors(schema: Mapping[str, Any], value: Any) -> list[Any]:
    return list(_validator(json.dumps(dict(schema), sort_keys=True)).iter_errors(value))


@functools.lru_cache(maxsize=1024)
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema), validate_formats=True)


_BROKEN: Mapping[RuleKind, Callable[[Rule, list[str], Values], bool]] = {
    RuleKind.TOGETHER: lambda rule, given, _: 0 < len(given) < len(rule.parameters),
    RuleKind.AMONG: lambda rule, given, values: (
        len(given) == len(rule.parameters)
        and not any(all(map(same, (values[name] for name in given), row)) for row in rule.rows)
    ),
    RuleKind.AT_MOST_ONE: lambda _, given, __: len(given) > 1,
    RuleKind.EXACTLY_ONE: lambda _, given, __: len(given) != 1,
    RuleKind.REQUIRES: lambda rule, given, _: rule.parameters[0] in given and len(given) < len(rule.parameters),
}


def breaks(endpoint: Endpoint, rule: Rule, values: Values) -> bool:
    """Whether these values break a rule between parameters."""
    given = [name for name in rule.parameters if name in values]
    return holds(rule.when, effective(endpoint, values)) and _BROKEN[rule.kind](rule, given, values)


def idle(endpoint: Endpoint, values: Values) -> list[str]:
    """The parameters among these that have no effect beside the others."""
    full = effective(endpoint, values)
    return [name for name in values if name in endpoint.parameters and not matters(endpoint.parameters[name], full)]


def sound(endpoint: Endpoint) -> Values:
    """A sample that breaks nothing, to put other values into; nothing at all where there is none."""
    clean = (e.parameters for e in endpoint.examples if not breaches(endpoint, e.parameters))
    return next(clean, {})


# ---------------------------------------------------------------------------------------- replies


@dataclass(frozen=True, slots=True)
class Misfit:
    """One place of a sample reply that does not fit its shape. `unasked`: it is right, but was not asked for."""

    place: str
    says: str
    unasked: bool = False
    when: str = ""


def misfits(endpoint: Endpoint, example: Example) -> list[Misfit]:
    """Where the reply of a sample does not fit the alternative that it is a sample of."""
    operation = endpoint.operations.get(example.operation)
    named = operation.alternatives if operation else ()
    chosen = next((one for one in named if one.name == example.alternative), None)
    if operation is None or chosen is None:
        return [Misfit("", f"no reply is called {example.operation}.{example.alternative}")]
    if chosen.shape is None:
        return []
    values = {**effective(endpoint, {**operation.request.select, **example.parameters})}
    return [
        *_misfits(chosen.shape.schema, example.reply, values, ""),
        *_state(operation, example, chosen.states),
    ]


def _state(operation: Operation, example: Example, states: tuple[str, ...]) -> Iterator[Misfit]:
    chosen = next(one for one in operation.alternatives if one.name == example.alternative)
    for place, word in _words(chosen.shape.schema if chosen.shape else {}, example.reply, ""):
        if states and word not in states:
            yield Misfit(place, f"{word!r} is not one of the states of {chosen.name}: {', '.join(states)}")


def _words(node: Mapping[str, Any], body: Any, place: str) -> Iterator[tuple[str, Any]]:
    if node.get("is") == STATE:
        yield place, body
    for name, child, inner in _children(node, body, place):
        yield from _words(child, inner, name)


def _children(node: Mapping[str, Any], body: Any, place: str) -> Iterator[tuple[str, Mapping[str, Any], Any]]:
    """The places inside a place for which the body has something, with what it has."""
    if isinstance(body, dict):
        for name, child in node.get("properties", {}).items():
            if name in body:
                yield f"{place}.{name}" if place else name, child, body[name]
    if isinstance(body, list) and isinstance(node.get("items"), Mapping):
        for item in body:
            yield f"{place}[]", node["items"], item


_OURS = frozenset({"is", "each", "when", "says", "evidence", "properties", "items", "required", "anyOf"})


def _misfits(node: Mapping[str, Any], body: Any, values: Values, place: str) -> Iterator[Misfit]:
    plain = {key: part for key, part in node.items() if key not in _OURS}
    for error in _errors(plain, body):
        yield Misfit(place, f"{told(body)} breaks {error.schema_path[-1] if error.schema_path else 'the schema'}")
    known = _with_state(node, body, values)
    if isinstance(body, dict):
        for name in node.get("required", ()):
            if name not in body and due(node.get("properties", {}).get(name, {}).get("when", {}), known) is True:
                yield Misfit(f"{place}.{name}" if place else name, "is missing")
    for name, child, inner in _children(node, body, place):
        if due(child.get("when", {}), known) is False:
            yield Misfit(name, "is there unasked", unasked=True, when=said(child["when"]))
        yield from _misfits(child, inner, known, name)
    branches = [list(_misfits(child, body, values, place)) for child in node.get("anyOf", ())]
    if branches and all(branches):
        yield from min(branches, key=len)


def _with_state(node: Mapping[str, Any], body: Any, values: Values) -> Values:
    """The values, with the state word that stands in this object."""
    at = next((name for name, child in node.get("properties", {}).items() if child.get("is") == STATE), None)
    return {**values, STATE: body[at]} if at and isinstance(body, dict) and at in body else values


def due(condition: Condition, values: Values) -> bool | None:
    """Whether a place with this condition should be there; None where that depends on a state nobody tells."""
    asked = {name: wanted for name, wanted in condition.items() if name != STATE}
    if not holds(asked, values):
        return False
    if STATE in condition and STATE not in values:
        return None
    return holds(condition, values)


def said(condition: Condition) -> str:
    """A condition in words: `includeCost is true`."""
    return " and ".join(f"{name} is {_one_of(wanted)}" for name, wanted in condition.items())


def _one_of(wanted: Any) -> str:
    if isinstance(wanted, dict) and "present" in wanted:
        return "given" if wanted["present"] else "left out"
    return " or ".join(map(told, wanted)) if isinstance(wanted, list) else told(wanted)


def told(value: Any) -> str:
    """A JSON value, short enough for a line; plain words without their quotes."""
    if isinstance(value, str) and value and value.isprintable() and len(value) <= 60:
        return value
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def computed(endpoint: Endpoint, example: Example) -> set[str]:
    """What a sample breaks, in the words of its `breaks` list."""
    names = {breach.subject for breach in breaches(endpoint, example.parameters)}
    names |= {b.subject for name in example.parameters for b in _against_page(endpoint, name, example)}
    names |= set(idle(endpoint, example.parameters))
    if example.reply is not None:
        found = misfits(endpoint, example)
        names |= {f"unasked:{misfit.place.rpartition('.')[2]}" for misfit in found if misfit.unasked}
    return names


def _against_page(endpoint: Endpoint, name: str, example: Example) -> list[Breach]:
    parameter = endpoint.parameters.get(name)
    return table_complaints(parameter, example.parameters[name]) if parameter else []


def request_breaches(endpoint: Endpoint, example: Example) -> list[Breach]:
    """Everything of its own page that a sample's request breaks."""
    disputed = [breach for name in example.parameters for breach in _against_page(endpoint, name, example)]
    return [*breaches(endpoint, example.parameters), *disputed]
