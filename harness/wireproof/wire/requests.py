"""Requests in both directions: put one together, recognise one, and say what is wrong with one."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import jsonschema_rs
import msgspec

from wireproof.model import (
    Call,
    Confidence,
    Does,
    Endpoint,
    Evidence,
    Operation,
    Parameter,
    Rule,
    RuleKind,
    Where,
)
from wireproof.spec.once import Once
from wireproof.spec.values import Values, effective, flatten, holds, matters, nest, same
from wireproof.wire import links
from wireproof.wire.bodies import MOST_DEPTH, too_deep

# -------------------------------------------------------------------------------------- building


def build(
    endpoint: Endpoint,
    operation: Operation,
    base: str,
    *,
    values: Values | None = None,
    job: str = "",
    key: str | None = None,
    body: Any = None,
    link: str | None = None,
    without: str = "",
) -> Call:
    """The call that asks this of a host at `base` (scheme, host, port and an optional prefix).

    `body` replaces what the values would make; `link` replaces the address that the template would make; the field
    `without` is left out.
    """
    url = link or base.rstrip("/") + fill(operation.request.path, endpoint, job)
    headers: list[tuple[str, str]] = []
    if key is not None:
        auth = endpoint.provider.auth
        headers.append((auth.header, auth.prefix + key))
    payload = body
    if payload is None and operation.request.envelope != "none":
        defaults = effective(endpoint, {}) if operation.request.select else None
        payload = body_of(operation, values or {}, job, defaults, without)
    content = b""
    if payload is not None:
        content = payload if isinstance(payload, bytes) else encode(payload)
        headers.append(("content-type", "application/json"))
    return Call(operation.request.method, url, tuple(headers), content)


def at_host(url: str) -> str:
    """What an address asks of its host: path and query."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def encode(value: Any) -> bytes:
    """A JSON value as bytes."""
    return msgspec.json.encode(value)


def fill(template: str, endpoint: Endpoint, job: str) -> str:
    """The path of an operation; ids are one segment, whatever they hold."""
    return template.replace("{model}", endpoint.slug).replace("{job.id}", _segment(job))


@functools.lru_cache(maxsize=4096)
def _segment(text: str) -> str:
    """Text as one segment of a path. A job's id is asked for as often as the job is polled."""
    return quote(text, safe="")


def body_of(operation: Operation, values: Values, job: str, defaults: Values | None = None, without: str = "") -> Any:
    """The body of a request with these parameter values; None where the operation has no body.

    The values that choose the operation are added unless they are the `defaults` anyway. The field `without` is left
    out."""
    defaults = defaults or {}
    request = operation.request
    if request.envelope == "none":
        return None
    parts: dict[str, Any] = {}
    for field in request.fields:
        if "const" in field.schema:
            parts[field.name] = field.schema["const"]
        elif field.canonical == "job.id":
            parts[field.name] = job
    if request.parameters == "binding":
        parts.update(values)
        for name, value in request.select.items():
            if defaults.get(name) != value:
                parts.setdefault(name, value)
    parts.pop(without, None)
    outer = {name: parts.pop(name) for name in request.beside if name in parts}
    inner = nest(parts)
    if request.envelope == "flat":
        return inner
    if request.envelope == "array":
        return [inner]
    return {**outer, request.envelope: inner}


# ----------------------------------------------------------------------------------- recognising


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request asks for."""

    operation: Operation
    values: dict[str, Any]
    """Parameters by their dotted names, as sent."""
    extra: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    job: str = ""
    """The id it asks after, or brings along."""
    model: str = ""
    """The model that its address names, where the address names one."""
    body: Any = None
    """The JSON body, or the element of it that asks this."""
    unreadable: str = ""
    """Why the body could not be read, if it could not."""
    element: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The operations that share an address."""

    method: str
    regex: re.Pattern[str]
    operations: tuple[Operation, ...]
    query: tuple[tuple[str, str], ...] = ()
    """What its query must hold: names to values, `{job.id}` for any."""

    def match(self, method: str, path: str, query: Mapping[str, str]) -> dict[str, str] | None:
        """What stands in the places of the address; None when it is another."""
        found = self.regex.fullmatch(path) if method == self.method else None
        if found is None:
            return None
        named = {key: unquote(value) for key, value in found.groupdict().items()}
        for name, wanted in self.query:
            given = query.get(name, "")
            if given != wanted and (wanted != _JOB_ID or not given):
                return None
            named |= {"job_id": given} if wanted == _JOB_ID else {}
        return named


_JOB_ID = "{job.id}"
_ROUTES: dict[int, tuple[Mapping[str, Operation], tuple[Route, ...]]] = {}


def routes(operations: Mapping[str, Operation]) -> tuple[Route, ...]:
    """The addresses of a host, the most specific first; worked out once for each mapping of operations."""
    kept = _ROUTES.get(id(operations))
    if kept is None or kept[0] is not operations:
        # The mapping is kept beside its routes: while it lives here, its identity belongs to nobody else.
        kept = _ROUTES[id(operations)] = operations, _routes(operations)
    return kept[1]


def _routes(operations: Mapping[str, Operation]) -> tuple[Route, ...]:
    grouped: dict[tuple[str, str], list[Operation]] = {}
    for operation in operations.values():
        grouped.setdefault((operation.request.method, operation.request.path), []).append(operation)
    ordered = sorted(grouped.items(), key=lambda pair: (pair[0][1].partition("?")[0].count("{"), -len(pair[0][1])))
    return tuple(_route(method, *address.split("?", 1), found=found) for (method, address), found in ordered)


def _route(method: str, path: str, query: str = "", *, found: Sequence[Operation]) -> Route:
    return Route(method, _path_regex(path), tuple(found), tuple(parse_qsl(query, keep_blank_values=True)))


def _path_regex(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[a-z.]+\})", path)
    text = "".join(
        f"(?P<{part[1:-1].replace('.', '_')}>[^/]+)" if part.startswith("{") else re.escape(part) for part in parts
    )
    return re.compile(text)


def recognise(endpoint: Endpoint, call: Call, prefix: str = "") -> tuple[Asked, ...]:
    """What a call asks of this endpoint's host; empty when the address is none of its own.

    Several answers only where the body is a list of requests.
    """
    where = links.parts(call.url)
    path = where.path
    if prefix and path.startswith(prefix):
        path = path[len(prefix) :]
    query = dict(parse_qsl(where.query, keep_blank_values=True)) if where.query else {}
    for route in routes(endpoint.operations):
        named = route.match(call.method, path, query)
        if named is not None:
            return tuple(_asked(endpoint, route.operations, call, named))
    return ()


def _asked(
    endpoint: Endpoint, operations: Sequence[Operation], call: Call, named: Mapping[str, str]
) -> Iterator[Asked]:
    first = operations[0]
    job, model = named.get("job_id", ""), named.get("model", "")
    if first.request.envelope == "none":
        yield Asked(first, {}, job=job, model=model)
        return
    body, trouble = decode(call.body)
    trouble = trouble or oddity(call.body, body)
    if trouble:
        yield Asked(first, {}, job=job, model=model, unreadable=trouble)
        return
    if first.request.envelope != "array":
        yield _one(endpoint, operations, body, job, model, None)
        return
    if not isinstance(body, list) or not body:
        yield Asked(first, {}, job=job, model=model, body=body, unreadable="the body must be a JSON array of requests")
        return
    for i, element in enumerate(body):
        yield _one(endpoint, operations, element, job, model, i)


def _one(
    endpoint: Endpoint, operations: Sequence[Operation], body: Any, job: str, model: str, element: int | None
) -> Asked:
    operation = choose(endpoint, operations, body)
    inner = _inner(operation, body)
    if not isinstance(inner, dict):
        return Asked(
            operation,
            {},
            job=job,
            model=model,
            body=body,
            unreadable="the request must be a JSON object",
            element=element,
        )
    known = dict(known_fields(endpoint, operation))
    flat = flatten(members(operation, body), known)
    extra = (*flat.extra, *_misplaced(operation, body, inner))
    brought = next(
        (
            str(flat.values[f.name])
            for f in operation.request.fields
            if f.canonical == "job.id" and f.name in flat.values
        ),
        job,
    )
    return Asked(operation, flat.values, extra, flat.blocked, brought, model, body, element=element)


def _inner(operation: Operation, body: Any) -> Any:
    """Where in a body the parameters stand."""
    if operation.request.envelope in ("flat", "array"):
        return body
    return body.get(operation.request.envelope) if isinstance(body, dict) else None


def members(operation: Operation, body: Any) -> dict[str, Any]:
    """What a body holds where the contract looks for it: the parameters, and what stands beside them."""
    inner, beside = _inner(operation, body), operation.request.beside
    if not isinstance(inner, dict):
        inner = {}
    if not beside:
        return inner
    found = {name: value for name, value in inner.items() if name not in beside}
    return found | {name: body[name] for name in beside if isinstance(body, dict) and name in body}


def _misplaced(operation: Operation, body: Any, inner: Mapping[str, Any]) -> Iterator[str]:
    """Names on a level of a nested body on which the contract knows nothing of them."""
    request = operation.request
    if inner is not body:
        yield from (name for name in body if name != request.envelope and name not in request.beside)
        yield from (f"{request.envelope}.{name}" for name in request.beside if name in inner)


def known_fields(endpoint: Endpoint, operation: Operation) -> Iterator[tuple[str, Parameter]]:
    """Every name that may stand in the body of an operation."""
    if operation.request.parameters == "binding":
        yield from endpoint.parameters.items()
    for field in operation.request.fields:
        yield field.name, field


def choose(endpoint: Endpoint, operations: Sequence[Operation], body: Any) -> Operation:
    """Which of the operations of one address a body asks for; the first one when nothing tells."""
    if not isinstance(body, dict) or len(operations) == 1:
        return operations[0]
    for operation in operations:
        if _fits(endpoint, operation, body):
            return operation
    return next((op for op in operations if _constants_fit(op, body)), operations[0])


def _constants_fit(operation: Operation, body: Mapping[str, Any]) -> bool:
    given = members(operation, body)
    return all(given.get(f.name) == f.schema["const"] for f in operation.request.fields if "const" in f.schema)


def _fits(endpoint: Endpoint, operation: Operation, body: Mapping[str, Any]) -> bool:
    if not _constants_fit(operation, body):
        return False
    full = effective(endpoint, flatten(members(operation, body), endpoint.parameters).values)
    return holds(operation.request.select, full)


def decode(body: bytes) -> tuple[Any, str]:
    """A JSON body and '', or None and why it is not one. NaN, depth bombs and broken text are refused."""
    try:
        return msgspec.json.decode(body), ""
    except msgspec.DecodeError as error:
        return None, f"the body is not JSON: {error}"
    except (RecursionError, ValueError) as error:
        return None, f"the body cannot be read: {str(error)[:100]}"


_BACKSLASH = ord("\\")


def oddity(text: bytes, value: Any) -> str:
    """Why a request's JSON text is refused though it was read to this value; '' where it is not."""
    if too_deep(text, value):
        return f"the body is nested deeper than {MOST_DEPTH} levels"
    return "an object of the body names a member twice" if names_twice(text, value) else ""


def names_twice(text: bytes, value: Any) -> bool:
    """Whether an object in a JSON text names a member more than once; `value` is what the text was read to.

    Readers disagree about which of the two counts. A member that was dropped took its colon along: only a text
    with other colons than its value has, or with one that is escaped, is read once more."""
    escaped = _BACKSLASH in text and text.find(b"\\u003") >= 0
    if not escaped and text.count(b":") == encode(value).count(b":"):
        return False
    try:
        json.loads(text, object_pairs_hook=_once)
    except _Twice:
        return True
    except (RecursionError, ValueError):
        return False
    return False


class _Twice(Exception):
    """A member came a second time."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice
    return found


# --------------------------------------------------------------------------------------- judging


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule of the contract that a request breaks."""

    parameter: str
    rule: str
    """The JSON Schema keyword, or `unknown`, `irrelevant`, `body`, or the name of a cross-field rule."""
    says: str
    evidence: Evidence
    where: Where
    value: Any = None

    @property
    def binds(self) -> bool:
        """Whether the host has promised to refuse it."""
        return self.evidence.binds


def breaches(endpoint: Endpoint, asked: Asked) -> list[Breach]:
    """Every rule of the contract that a request breaks, each named with parameter and rule."""
    operation = asked.operation
    if asked.unreadable:
        return [Breach("", "body", asked.unreadable, operation.evidence, operation.where)]
    found = [*_blocked(endpoint, asked), *_extra(asked)]
    for name, parameter in known_fields(endpoint, operation):
        found += _parameter(parameter, asked.values.get(name, _ABSENT))
    if operation.request.parameters == "binding":
        found += _irrelevant(endpoint, asked.values)
        wrong = {breach.parameter for breach in found}
        for rule in endpoint.rules:
            if not wrong & set(rule.parameters):
                found += _rule(endpoint, rule, asked.values)
    return found


_ABSENT = object()


def _blocked(endpoint: Endpoint, asked: Asked) -> Iterator[Breach]:
    for name in asked.blocked:
        inner = next(p for p in endpoint.parameters.values() if p.name.startswith(f"{name}."))
        yield Breach(name, "type", f"{name} must be an object", inner.evidence, inner.where)


def _extra(asked: Asked) -> Iterator[Breach]:
    request = asked.operation.request
    if request.unknown_fields == "ignored":
        return
    for name in asked.extra:
        proof = (
            request.unknown_evidence if request.unknown_fields == "refused" else Evidence(confidence=Confidence.UNKNOWN)
        )
        yield Breach(name, "unknown", f"{name} is not a parameter of this endpoint", proof, asked.operation.where)


def _parameter(parameter: Parameter, value: Any) -> Iterator[Breach]:
    if value is _ABSENT:
        if parameter.required:
            yield Breach(
                parameter.name,
                "required",
                f"{parameter.name} is required",
                parameter.proof("required"),
                parameter.line("required"),
            )
        return
    errors = [
        (str(e.schema_path[-1]) if e.schema_path else "schema", e) for e in validator(parameter).iter_errors(value)
    ]
    typed = [pair for pair in errors if pair[0] == "type"]
    # A value of the wrong type breaks every other keyword too; only the type is worth telling.
    for keyword, error in typed or errors:
        proof = parameter.proof(keyword)
        if keyword == "format" and proof.binds and not format_is_told(parameter):
            proof = Evidence(proof.source, proof.read, Confidence.INFERRED)
        yield Breach(
            parameter.name, keyword, f"{parameter.name}: {error.message[:160]}", proof, parameter.line(keyword), value
        )


def format_is_told(parameter: Parameter) -> bool:
    """Whether the format of a parameter is more than an annotation: somebody says that it is enforced, or it
    is the form of the id under which the caller will ask for the job."""
    return "format" in parameter.facts or parameter.canonical == "job.id"


def _checked_by(schema: Mapping[str, Any]) -> Any:
    plain = {key: value for key, value in schema.items() if key != "default"}
    if "pattern" in plain:
        plain["pattern"] = f"^(?:{plain['pattern']})$"
    return jsonschema_rs.validator_for(plain, validate_formats=True)


_validator = Once(_checked_by)


def validator(parameter: Parameter) -> Any:
    """The compiled validator of one parameter, made once."""
    return _validator(parameter.schema)


def _irrelevant(endpoint: Endpoint, values: Values) -> Iterator[Breach]:
    full = effective(endpoint, values)
    for name in values:
        parameter = endpoint.parameters.get(name)
        if parameter and parameter.otherwise == "refused" and not matters(parameter, full):
            yield Breach(
                name,
                "irrelevant",
                f"{name} has no place beside these values",
                parameter.proof("matters"),
                parameter.line("matters"),
            )


def _rule(endpoint: Endpoint, rule: Rule, values: Values) -> Iterator[Breach]:
    if not holds(rule.when, effective(endpoint, values)):
        return
    given = [name for name in rule.parameters if name in values]
    if _broken(rule, given, values):
        says = rule.says or f"{', '.join(rule.parameters)}: {rule.kind.value.replace('_', ' ')}"
        yield Breach(", ".join(rule.parameters), rule.name, says, rule.evidence, rule.where)


def _broken(rule: Rule, given: Sequence[str], values: Values) -> bool:
    match rule.kind:
        case RuleKind.TOGETHER:
            return 0 < len(given) < len(rule.parameters)
        case RuleKind.AMONG:
            row = tuple(values[name] for name in given)
            whole = len(given) == len(rule.parameters)
            return whole and not any(all(map(same, row, allowed)) for allowed in rule.rows)
        case RuleKind.AT_MOST_ONE:
            return len(given) > 1
        case RuleKind.EXACTLY_ONE:
            return len(given) != 1
        case RuleKind.REQUIRES:
            return rule.parameters[0] in given and len(given) < len(rule.parameters)


def is_submission(asked: Asked) -> bool:
    """Whether an accepted answer to it starts paid work."""
    return asked.operation.does in (Does.SUBMIT, Does.RUN)
