"""Contracts in the words of others: OpenAPI 3.1, Arazzo 1.0 and JSON Schema 2020-12.

What those standards can say is said in their own keys, so that their tools work unmodified; what they
cannot (lifecycle, prices, retention, where a fact was read) stands under `x-wireproof`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs

from wireproof.errors import UsageError
from wireproof.lifecycle import Status, is_final
from wireproof.model import (
    Alternative,
    Condition,
    Confidence,
    Does,
    Endpoint,
    Evidence,
    HeaderField,
    Kind,
    Limit,
    Means,
    Operation,
    Parameter,
    Price,
    Provider,
    Rule,
    RuleKind,
    Shape,
    Span,
    Where,
)
from wireproof.spec.values import holds, spell
from wireproof.spec.words import VOCABULARY, places
from wireproof.wire.bodies import pure
from wireproof.wire.requests import body_of, format_is_told, known_fields

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


# ------------------------------------------------------------------------------------- OpenAPI


def openapi(endpoints: Endpoint | Sequence[Endpoint]) -> Json:
    """An OpenAPI 3.1 document of one endpoint or of several.

    Raises UsageError when two hosts claim the same address, which one document cannot say.
    """
    chosen = (endpoints,) if isinstance(endpoints, Endpoint) else tuple(endpoints)
    if not chosen:
        raise UsageError("there is no endpoint to export")
    book = _Book()
    paths: dict[str, Json] = {}
    for address, group in _addresses(chosen).items():
        method, path = address
        item = paths.setdefault(path, {"servers": [{"url": group.server}]})
        if item["servers"][0]["url"] != group.server:
            raise UsageError(f"two hosts serve {path}: export them one by one")
        item[method.lower()] = _operation(book, chosen, group)
    title = chosen[0].title if len(chosen) == 1 else ", ".join(e.name for e in chosen)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": _version(chosen),
            "description": "Made from a contract: what the host's documents say, with where each fact was read.",
        },
        "servers": [{"url": url} for url in dict.fromkeys(_server(e) for e in chosen)],
        "paths": paths,
        "components": {
            "schemas": book.schemas,
            "securitySchemes": {p.name: _security(p) for p in _providers(chosen)},
        },
        "x-wireproof": {endpoint.name: _facts(endpoint) for endpoint in chosen},
    }


@dataclass(slots=True)
class _Book:
    """The named schemas of a document: one name for one content."""

    schemas: dict[str, Json] = field(default_factory=dict)

    def add(self, name: str, schema: Json) -> Json:
        """A reference to the schema, under this name or the next free one like it."""
        plain = _word(name)
        candidate, number = plain, 1
        while self.schemas.setdefault(candidate, schema) != schema:
            number += 1
            candidate = f"{plain}_{number}"
        return {"$ref": f"#/components/schemas/{candidate}"}


@dataclass(slots=True)
class _Group:
    """Everything that is asked for at one address."""

    server: str
    asked: list[tuple[Endpoint, Operation]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The operationId: whose, which models, which operations."""
        named = (e.model.name for e, op in self.asked if op.does.bills or "{model}" in op.request.path)
        parts = [self.asked[0][0].provider.name, *named, *(op.name for _, op in self.asked)]
        return _word("_".join(dict.fromkeys(parts)))


def _addresses(endpoints: Sequence[Endpoint]) -> dict[tuple[str, str], _Group]:
    groups: dict[tuple[str, str], _Group] = {}
    for endpoint in endpoints:
        for operation in endpoint.operations.values():
            server = endpoint.provider.servers[operation.request.server].url
            address = operation.request.method, _path(endpoint, operation)
            group = groups.setdefault(address, _Group(server))
            if group.server != server:
                raise UsageError(f"two hosts serve {address[0]} {address[1]}: export them one by one")
            group.asked.append((endpoint, operation))
    return groups


def _path(endpoint: Endpoint, operation: Operation) -> str:
    path = operation.request.path.partition("?")[0]
    return path.replace("{model}", endpoint.slug).replace("{job.id}", "{job_id}")


def _parameters(endpoint: Endpoint, operation: Operation) -> list[Json]:
    """What has to be filled in, in the path or in the query."""
    path, _, query = operation.request.path.partition("?")
    made = [_job_id(endpoint.provider, "job_id", "path")] if "{job.id}" in path else []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if value == "{job.id}":
            made.append(_job_id(endpoint.provider, name, "query"))
        else:
            made.append({"name": name, "in": "query", "required": True, "schema": {"const": value}})
    return made


def _asked_by(operation: Operation) -> Json:
    """Where the id of a job travels: the name and the place of the parameter; empty where it is in the body."""
    path, _, query = operation.request.path.partition("?")
    if "{job.id}" in path:
        return {"name": "job_id", "in": "path"}
    return next(({"name": n, "in": "query"} for n, value in parse_qsl(query) if value == "{job.id}"), {})


def _server(endpoint: Endpoint) -> str:
    return endpoint.provider.servers["api"].url if "api" in endpoint.provider.servers else "/"


def _providers(endpoints: Iterable[Endpoint]) -> tuple[Provider, ...]:
    return tuple({e.provider.name: e.provider for e in endpoints}.values())


def _version(endpoints: Iterable[Endpoint]) -> str:
    """The day of the newest source."""
    read = [s.read for e in endpoints for s in (*e.sources.values(), *e.provider.sources.values()) if s.read]
    return max(read, default="0")


def _security(provider: Provider) -> Json:
    auth = provider.auth
    says = {"description": f"The key, taken from the environment variable {auth.env}." if auth.env else "The key."}
    if auth.header.lower() == "authorization" and auth.prefix.strip().lower() == "bearer":
        return {"type": "http", "scheme": "bearer", **says}
    if auth.prefix:
        says["description"] += f" The header's value is {auth.prefix!r} followed by the key."
    return {"type": "apiKey", "in": "header", "name": auth.header, **says}


def _operation(book: _Book, endpoints: Sequence[Endpoint], group: _Group) -> Json:
    first, operation = group.asked[0]
    made: Json = {
        "operationId": group.id,
        "summary": " / ".join(dict.fromkeys(op.says or op.name for _, op in group.asked)),
        "tags": list(dict.fromkeys(e.provider.name for e, _ in group.asked)),
        "security": [{first.provider.name: []}] if operation.auth else [],
    }
    parameters = _parameters(first, operation)
    if parameters:
        made["parameters"] = parameters
    body = _body(book, group)
    if body:
        made["requestBody"] = body
    made["responses"] = _responses(book, endpoints, group)
    callbacks = _callbacks(group)
    if callbacks:
        made["callbacks"] = callbacks
    made["x-wireproof"] = [_meaning(endpoint, op) for endpoint, op in group.asked]
    return made


def _job_id(provider: Provider, name: str, place: str) -> Json:
    schema: Json = {"type": "string", "minLength": 1}
    if provider.id_pattern:
        schema = {"type": "string", "examples": [spell(provider.id_pattern, random.Random(provider.name))]}
    return {
        "name": name,
        "in": place,
        "required": True,
        "description": "The id that the job was given.",
        "schema": schema,
    }


def _meaning(endpoint: Endpoint, operation: Operation) -> Json:
    problems = (endpoint.provider.problems[name] for name in operation.problems)
    return {
        "endpoint": endpoint.name,
        "operation": operation.name,
        "does": operation.does.value,
        "bills": operation.does.bills,
        "follow": operation.follow,
        "unknown_fields": operation.request.unknown_fields,
        "problems": {
            p.name: {"kind": p.kind.value, "status": list(p.statuses), "retry": p.retry, "billed": p.billed}
            for p in problems
        },
        "where": place(operation.where),
    }


# -------------------------------------------------------------------------------------- requests


def _body(book: _Book, group: _Group) -> Json | None:
    parts = [(e, op, schema) for e, op in group.asked if (schema := body_schema(e, op)) is not None]
    if not parts:
        return None
    examples = {n: {"value": value} for e, op, schema in parts for n, value in _samples(e, op, schema)}
    listed = parts[0][1].request.envelope == "array"
    kinds = [book.add(f"{e.name}_{op.name}_request", s["items"] if listed else s) for e, op, s in parts]
    one: Json = kinds[0] if len(kinds) == 1 else {"oneOf": _unique(kinds)}
    schema = {"type": "array", "minItems": 1, "items": one} if listed else one
    return {
        "required": True,
        "content": {"application/json": {"schema": schema, **({"examples": examples} if examples else {})}},
    }


def body_schema(endpoint: Endpoint, operation: Operation) -> Json | None:
    """The body of a request as plain JSON Schema, rules between parameters included; None without a body."""
    request = operation.request
    if request.envelope == "none":
        return None
    known = dict(known_fields(endpoint, operation))
    closed = request.unknown_fields == "refused" and _settled(request.unknown_evidence)
    inner = _object((p for name, p in known.items() if name not in request.beside), closed=closed)
    for name, value in request.select.items():
        _fix(inner, name, value, given=name not in known or known[name].default != value)
    branches = [*_irrelevant(endpoint), *(_rule(endpoint, rule) for rule in endpoint.rules if _settled(rule.evidence))]
    if request.parameters == "binding":
        inner |= {"allOf": branches} if branches else {}
        unsettled = [
            {"rule": rule.name, "says": rule.says, "parameters": list(rule.parameters), **evidence(rule.evidence)}
            for rule in endpoint.rules
            if not _settled(rule.evidence)
        ]
        inner |= {"x-wireproof": {"unsettled": unsettled}} if unsettled else {}
    if request.envelope == "flat":
        return inner
    if request.envelope == "array":
        return {"type": "array", "minItems": 1, "items": inner}
    outer = _object((known[name] for name in request.beside), closed=closed)
    required = [request.envelope, *outer.get("required", ())]
    return {**outer, "required": required, "properties": {**outer["properties"], request.envelope: inner}}


def _object(parameters: Iterable[Parameter], *, closed: bool) -> Json:
    root = _level(closed)
    for parameter in parameters:
        *parents, last = parameter.path
        node = root
        required = parameter.required and _settled(parameter.proof("required"))
        for parent in parents:
            if required:
                _require(node, parent)
            node = node["properties"].setdefault(parent, _level(closed))
        if required:
            _require(node, last)
        node["properties"][last] = parameter_schema(parameter)
    return root


def _settled(proof: Evidence) -> bool:
    """Whether a caller can be held to a fact: not where the sources contradict each other, or nobody says."""
    return proof.confidence not in (Confidence.DISPUTED, Confidence.UNKNOWN)


def _level(closed: bool) -> Json:
    return {"type": "object", "properties": {}, **({"additionalProperties": False} if closed else {})}


def _require(node: Json, name: str) -> None:
    required = node.setdefault("required", [])
    if name not in required:
        required.append(name)


def _fix(root: Json, name: str, value: Any, *, given: bool) -> None:
    """Let a parameter have one value only; `given`: it must be there, since its default is another."""
    *parents, last = name.split(".")
    node = root
    for parent in parents:
        node = node["properties"][parent]
    node["properties"][last] = {"const": value}
    if given:
        _require(node, last)


_KEPT = frozenset({"type", "items", "properties", "default", "examples", "title", "description", "format"})
"""Keywords that stay where the sources contradict each other. A disputed type is written as the union of what
they say: what is outside it, all of them refuse."""


def parameter_schema(parameter: Parameter) -> Json:
    """One parameter as JSON Schema, with what the standard cannot say under `x-wireproof`."""
    schema: Json = dict(parameter.schema)
    formats: dict[str, str] = {}
    if not format_is_told(parameter):
        schema, formats = _unbound(schema)
    unsettled = {
        key: schema.pop(key) for key in tuple(schema) if key not in _KEPT and not _settled(parameter.proof(key))
    }
    if parameter.required and not _settled(parameter.proof("required")):
        unsettled["required"] = True
    if "pattern" in schema:
        schema["pattern"] = f"^(?:{schema['pattern']})$"
    if parameter.says:
        schema["description"] = parameter.says
    ours: Json = {
        "formats": formats,
        "unsettled": [{"keyword": keyword, "value": value} for keyword, value in unsettled.items()],
        "canonical": parameter.canonical,
        "words": dict(parameter.words),
        "matters": dict(parameter.matters),
        "otherwise": parameter.otherwise if parameter.matters else None,
        "random": parameter.random,
        "unique": parameter.unique or None,
        "calls_out": parameter.calls_out or None,
        "evidence": evidence(parameter.evidence),
        # A list, since linters take any key called `default` or `enum` for a schema's.
        "facts": [{"keyword": keyword, **evidence(proof)} for keyword, proof in parameter.facts.items()],
        "where": place(parameter.where),
    }
    schema["x-wireproof"] = {key: value for key, value in ours.items() if value not in (None, {}, [], "")}
    return schema


def _unbound(schema: Any, pointer: str = "") -> tuple[Any, dict[str, str]]:
    """A schema without its formats, and where they stood.

    A format is an annotation unless somebody says that it is enforced; many tools enforce every one they read.
    """
    formats: dict[str, str] = {}
    if not isinstance(schema, dict):
        return schema, formats
    made = {key: value for key, value in schema.items() if key != "format" or not isinstance(value, str)}
    if len(made) < len(schema):
        formats[pointer or "/"] = schema["format"]
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key], inner = _unbound(made[key], f"{pointer}/{key}")
            formats |= inner
    for key in ("properties", "anyOf", "oneOf", "allOf"):
        if key in made:
            made[key], inner = _each_unbound(made[key], f"{pointer}/{key}")
            formats |= inner
    return made, formats


def _each_unbound(schemas: Any, pointer: str) -> tuple[Any, dict[str, str]]:
    named = schemas.items() if isinstance(schemas, dict) else enumerate(schemas)
    pairs = {name: _unbound(inner, f"{pointer}/{name}") for name, inner in named}
    formats = {at: word for _, found in pairs.values() for at, word in found.items()}
    plain = {name: inner for name, (inner, _) in pairs.items()}
    return (plain if isinstance(schemas, dict) else list(plain.values())), formats


def present(name: str, schema: Json | None = None) -> Json:
    """A schema that holds where the parameter is given (and is of that schema)."""
    *parents, last = name.split(".")
    node: Json = {"required": [last], **({"properties": {last: schema}} if schema else {})}
    for parent in reversed(parents):
        node = {"required": [parent], "properties": {parent: node}}
    return node


def condition_schema(endpoint: Endpoint, condition: Condition) -> Json:
    """A schema of the requests under which a condition holds, defaults counted in."""
    return _all_of([_wanted(endpoint, name, wanted) for name, wanted in condition.items()])


def _wanted(endpoint: Endpoint, name: str, wanted: Any) -> Json:
    parameter = endpoint.parameters.get(name)
    defaulted = parameter is not None and parameter.has_default
    if isinstance(wanted, dict) and set(wanted) == {"present"}:
        if defaulted:
            return {} if wanted["present"] else {"not": {}}
        return present(name) if wanted["present"] else {"not": present(name)}
    values = wanted if isinstance(wanted, list) else [wanted]
    given = present(name, {"enum": values})
    if parameter is not None and defaulted and holds({name: wanted}, {name: parameter.default}):
        return {"anyOf": [given, {"not": present(name)}]}
    return given


def _irrelevant(endpoint: Endpoint) -> Iterator[Json]:
    for parameter in endpoint.parameters.values():
        if parameter.matters and parameter.otherwise == "refused":
            yield {"if": present(parameter.name), "then": condition_schema(endpoint, parameter.matters)}


def _rule(endpoint: Endpoint, rule: Rule) -> Json:
    given = [present(name) for name in rule.parameters]
    says = {"description": rule.says} if rule.says else {}
    match rule.kind:
        case RuleKind.TOGETHER:
            made: Json = {"anyOf": [_all_of(given), {"not": {"anyOf": given}}]}
        case RuleKind.AMONG:
            rows = [
                _all_of([present(n, {"const": v}) for n, v in zip(rule.parameters, row, strict=True)])
                for row in rule.rows
            ]
            made = {"if": _all_of(given), "then": {"anyOf": rows}}
        case RuleKind.AT_MOST_ONE:
            made = {"anyOf": [{"not": {"anyOf": given}}, {"oneOf": given}]}
        case RuleKind.EXACTLY_ONE:
            made = {"oneOf": given}
        case RuleKind.REQUIRES:
            made = {"if": given[0], "then": _all_of(given[1:])}
    return ({"if": condition_schema(endpoint, rule.when), "then": made} if rule.when else made) | says


def _all_of(schemas: Sequence[Json]) -> Json:
    return schemas[0] if len(schemas) == 1 else {"allOf": list(schemas)} if schemas else {}


def _samples(endpoint: Endpoint, operation: Operation, schema: Json) -> Iterator[tuple[str, Any]]:
    """The page's own requests, where the page's own rules allow them and they work more than once."""
    if operation.request.parameters != "binding" or any(f.unique for f in operation.request.fields):
        return
    for example in endpoint.examples:
        body = body_of(operation, example.parameters, "")
        if jsonschema_rs.is_valid(schema, body):
            yield f"{operation.name}_{example.name}", body


# --------------------------------------------------------------------------------------- replies


_BINARY = {"type": "string", "format": "binary"}
"""A file. OpenAPI 3.1 would do without a schema; generators and mocks written for 3.0 would not."""


@dataclass(slots=True)
class _Response:
    """What may come under one status code."""

    says: list[str] = field(default_factory=list)
    bodies: dict[str, list[Json]] = field(default_factory=dict)
    headers: Json = field(default_factory=dict)
    links: Json = field(default_factory=dict)
    examples: Json = field(default_factory=dict)

    def take(self, says: str, media: Iterable[str], schema: Json | None, headers: Iterable[HeaderField]) -> None:
        self.says.append(says)
        for kind in media:
            self.bodies.setdefault(kind, []).append(_BINARY if kind.startswith("image/") else schema or {})
        for header in headers:
            self.headers[header.name] = {
                "description": VOCABULARY.get(header.value, ""),
                "schema": dict(header.schema),
            }


def _responses(book: _Book, endpoints: Sequence[Endpoint], group: _Group) -> Json:
    found: dict[int, _Response] = {}
    for endpoint, operation in group.asked:
        for reply in operation.alternatives:
            _alternative(book, endpoints, found, endpoint, operation, reply)
        for name in operation.problems:
            problem = endpoint.provider.problems[name]
            if problem.kind is Kind.WRONG_METHOD:
                continue  # never the answer to a method that is described here
            schema = _named(book, endpoint, problem.shape, problem.name)
            for status in problem.statuses:
                found.setdefault(status, _Response()).take(
                    problem.says or problem.name, _media(endpoint, problem.media), schema, problem.headers
                )
    if group.asked[0][1].request.envelope == "array":
        for status, response in found.items():
            _as_batch(book, response, f"{group.id}_{status}")
    return {str(status): _response(found[status]) for status in sorted(found)}


def _as_batch(book: _Book, response: _Response, name: str) -> None:
    """Let one answer hold what several tasks brought: each list may mix the items of every reply."""
    refs = _unique(response.bodies.get("application/json", ()))
    schemas = [book.schemas[ref["$ref"].rpartition("/")[2]] for ref in refs if "$ref" in ref]
    if 1 < len(refs) == len(schemas) and all(schema.get("type") == "object" for schema in schemas):
        response.bodies["application/json"] = [book.add(name, _batch(schemas))]


def _batch(schemas: Sequence[Json]) -> Json:
    names = dict.fromkeys(name for schema in schemas for name in schema.get("properties", {}))
    return {
        "type": "object",
        "properties": {
            name: _mixed([s["properties"][name] for s in schemas if name in s["properties"]]) for name in names
        },
        "anyOf": _unique({"required": schema.get("required", [])} for schema in schemas),
    }


def _mixed(schemas: Sequence[Json]) -> Json:
    if all(schema.get("type") == "array" for schema in schemas):
        return {"type": "array", "items": _any_of([schema.get("items", {}) for schema in schemas])}
    return _any_of(schemas)


def _any_of(schemas: Iterable[Json]) -> Json:
    kinds = _unique(schemas)
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _alternative(
    book: _Book,
    endpoints: Sequence[Endpoint],
    found: dict[int, _Response],
    endpoint: Endpoint,
    operation: Operation,
    reply: Alternative,
) -> None:
    schema = _named(book, endpoint, reply.shape, f"{operation.name}_{reply.name}", reply.states)
    for status in reply.statuses:
        response = found.setdefault(status, _Response())
        response.take(
            reply.says or f"{operation.name}: {reply.name}",
            _media(endpoint, reply.media),
            schema,
            reply.headers,
        )
        response.links |= dict(_links(endpoint, endpoints, operation, reply))
        for example in endpoint.examples:
            shown = example.operation == operation.name and example.alternative == reply.name
            if shown and reply.shape and jsonschema_rs.is_valid(shape_schema(reply.shape), example.reply):
                response.examples[example.name] = {"value": example.reply, "summary": example.says}


def _named(book: _Book, endpoint: Endpoint, shape: Shape | None, name: str, states: Sequence[str] = ()) -> Json | None:
    if shape is None:
        return None
    pointer = shape.where.pointer
    own = pointer.removeprefix("/shapes/") if pointer.startswith("/shapes/") else name
    return book.add(f"{endpoint.provider.name}_{own}", shape_schema(shape, states))


def _response(response: _Response) -> Json:
    made: Json = {"description": " | ".join(dict.fromkeys(response.says))}
    if response.headers:
        made["headers"] = response.headers
    content = {kind: _content(schemas) for kind, schemas in response.bodies.items()}
    if response.examples and "application/json" in content:
        content["application/json"]["examples"] = response.examples
    if content:
        made["content"] = content
    if response.links:
        made["links"] = response.links
    return made


def _content(schemas: Sequence[Json]) -> Json:
    kinds = _unique(schemas)
    if {} in kinds:
        return {}
    return {"schema": _any_of(kinds)}


def _unique(schemas: Iterable[Json]) -> list[Json]:
    return [json.loads(text) for text in dict.fromkeys(json.dumps(schema) for schema in schemas)]


def _media(endpoint: Endpoint, media: str) -> tuple[str, ...]:
    if media == "image":
        rule = endpoint.outputs.format
        formats = (rule.fixed,) if rule.fixed else tuple(rule.values.values()) or rule.any_of
        return tuple(f"image/{name}" for name in dict.fromkeys(formats)) or ("image/*",)
    return {"json": ("application/json",), "html": ("text/html",), "empty": (), "any": ()}[media]


def shape_schema(shape: Shape, states: Sequence[str] = ()) -> Json:
    """The body of a reply as plain JSON Schema: required is what is there whatever was asked for.

    `states`: the state words that such a reply may carry; none: any.
    """
    schema = pure(shape.schema, {})
    for pointer, node in places(shape.schema):
        target: Any = schema
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            target = target[int(name)] if isinstance(target, list) else target[name]
        says = node.get("says") or VOCABULARY.get(node.get("is", ""), "")
        if says:
            target["description"] = says
        if target.get("type") == "array":
            target.setdefault("items", {})  # which some tools insist upon
        if "is" in node:
            target["x-wireproof-is"] = node["is"]
        if node.get("is") == "job.state" and states:
            target["enum"] = list(states)
    return schema


# ----------------------------------------------------------------------------- links and callbacks


def pointer_to(shape: Shape | None, word: str) -> str | None:
    """Where a value of the vocabulary stands in a body (of the first item of a list); None: nowhere."""
    if shape is None:
        return None
    for pointer, node in places(shape.schema):
        if node.get("is") == word and "/anyOf/" not in pointer:
            return re.sub(r"/items(?=/|$)", "/0", re.sub(r"/properties/([^/]*)", r"/\1", pointer))
    return None


def _links(
    endpoint: Endpoint, endpoints: Sequence[Endpoint], operation: Operation, reply: Alternative
) -> Iterator[tuple[str, Json]]:
    pointer = pointer_to(reply.shape, "job.id")
    if pointer is None or operation.does.asks and reply.means is not Means.STATE:
        return
    for target in endpoint.operations.values():
        if target.does.asks and target.name != operation.name:
            yield (
                _word(f"{endpoint.provider.name}_{target.name}"),
                _link(endpoint, endpoints, target, f"$response.body#{pointer}"),
            )


def _link(endpoint: Endpoint, endpoints: Sequence[Endpoint], target: Operation, job: str) -> Json:
    group = _addresses(endpoints)[target.request.method, _path(endpoint, target)]
    made: Json = {"operationId": group.id, "description": target.says}
    asked_by = _asked_by(target)
    if asked_by:
        made["parameters"] = {asked_by["name"]: job}
    body = body_of(target, {}, job)
    if body is not None:
        made["requestBody"] = body
    return made


def _callbacks(group: _Group) -> Json:
    """Where the host calls back, for each parameter that says where to."""
    found: Json = {}
    for endpoint, operation in group.asked:
        for name, parameter in known_fields(endpoint, operation):
            if parameter.calls_out and operation.request.envelope in ("flat", "array"):
                prefix = "/0" if operation.request.envelope == "array" else ""
                pointer = prefix + "".join(f"/{part}" for part in parameter.path)
                found[_word(name)] = {f"{{$request.body#{pointer}}}": _called(name, parameter)}
    return found


def _called(name: str, parameter: Parameter) -> Json:
    method = "put" if "upload" in name.lower() else "post"
    return {
        method: {
            "summary": parameter.says or name,
            "requestBody": {"content": {"*/*": {}}},
            "responses": {"2XX": {"description": "Taken. What else the host expects is not in the contract."}},
        }
    }


# --------------------------------------------------------------------------------- what is ours


def _facts(endpoint: Endpoint) -> Json:
    """What OpenAPI has no words for."""
    provider = endpoint.provider
    return {
        "provider": provider.name,
        "model": endpoint.model.name,
        "capability": endpoint.model.capability,
        "lifecycle": {
            "states": {
                word: {
                    "status": s.status.value,
                    "initial": s.initial,
                    "final": is_final(s.status),
                    "evidence": evidence(s.evidence),
                }
                for word, s in provider.states.items()
            },
            "moves": [[move.before, move.after] for move in provider.moves],
            "surfaces": {status.value: word for status, word in provider.surfaces.items()},
        },
        "poll": {name: _span(span) for name, span in _spans(endpoint)},
        "retention": {"record": _span(provider.retention.record), "media": _span(provider.retention.media)},
        "limits": [_limit(limit) for limit in provider.limits],
        "price": _price(endpoint.price),
        "fixed": dict(endpoint.fixed),
        "gaps": {gap.name: gap.says for gap in (*endpoint.gaps, *provider.gaps)},
        "sources": {
            s.name: {"title": s.title, "url": s.url, "read": s.read, "confidence": s.confidence.value}
            for s in (*provider.sources.values(), *endpoint.sources.values())
        },
        "where": place(endpoint.where),
    }


def _spans(endpoint: Endpoint) -> tuple[tuple[str, Span], ...]:
    poll = endpoint.provider.poll
    return ("every", poll.every), ("first", poll.first), ("most", poll.most), ("deadline", poll.deadline)


def _span(span: Span) -> Json:
    return {"seconds": span.seconds, "evidence": evidence(span.evidence), "where": place(span.where)}


def _limit(limit: Limit) -> Json:
    return {
        "name": limit.name,
        "what": limit.what,
        "most": limit.most,
        "window": limit.window,
        "operations": list(limit.operations),
        "evidence": evidence(limit.evidence),
        "where": place(limit.where),
    }


def _price(price: Price | None) -> Json | None:
    if price is None:
        return None
    terms = [
        {
            "amount": _text(term.amount),
            "per": term.per,
            "of": term.of,
            "beyond": term.beyond,
            "up_to": term.up_to,
            "when": dict(term.when),
        }
        for term in price.terms
    ]
    return {
        "unit": price.unit,
        "terms": [{key: value for key, value in term.items() if value not in (None, {}, 0)} for term in terms],
        "billed": dict(price.billed),
        "rate": {unit: _text(amount) for unit, amount in price.rate.items()},
        "evidence": evidence(price.evidence),
        "where": place(price.where),
    }


def _text(amount: Decimal) -> str:
    return f"{amount:f}"


def evidence(proof: Evidence) -> Json:
    """Why a fact is believed, without what is empty."""
    made: Json = {
        "source": proof.source,
        "read": proof.read,
        "confidence": proof.confidence.value,
        "note": proof.note,
    }
    made["rivals"] = [{"value": rival.value, "source": rival.source} for rival in proof.rivals]
    return {key: value for key, value in made.items() if value}


def place(where: Where) -> str:
    """`host/file.yaml:12`: the same on every machine."""
    return f"{'/'.join(where.file.split('/')[-2:])}:{where.line}" if where.file else ""


def _word(name: str) -> str:
    """A name that every tool takes: letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")


# ------------------------------------------------------------------------------------ JSON Schema


def jsonschema(endpoint: Endpoint) -> Json:
    """The bodies of an endpoint as one JSON Schema: the root is what starts a job, the rest stands in `$defs`.

    Names in `$defs` are `<operation>.request`, `<operation>.<reply>` and `problem.<name>`.
    """
    defs: dict[str, Json] = {}
    for operation in endpoint.operations.values():
        body = body_schema(endpoint, operation)
        if body is not None:
            defs[f"{operation.name}.request"] = body
        for reply in operation.alternatives:
            if reply.shape is not None:
                defs[f"{operation.name}.{reply.name}"] = shape_schema(reply.shape, reply.states)
    for problem in endpoint.provider.problems.values():
        if problem.shape is not None:
            defs[f"problem.{problem.name}"] = shape_schema(problem.shape)
    starts = [op.name for op in endpoint.operations.values() if op.does.bills]
    return {
        "$schema": DIALECT,
        "$id": f"urn:wireproof:{endpoint.name.replace('/', ':')}",
        "title": endpoint.title,
        "anyOf": [{"$ref": f"#/$defs/{name}.request"} for name in starts],
        "$defs": defs,
    }


# ----------------------------------------------------------------------------------------- Arazzo


def arazzo(endpoints: Endpoint | Sequence[Endpoint], source: str = "./openapi.json") -> Json:
    """The story of a job as Arazzo 1.0 workflows over the document at `source`."""
    chosen = (endpoints,) if isinstance(endpoints, Endpoint) else tuple(endpoints)
    return {
        "arazzo": "1.0.1",
        "info": {
            "title": f"Jobs of {', '.join(e.name for e in chosen)}",
            "summary": "Start a job, wait for it, fetch what it made.",
            "description": "Made from a contract: waits and states are the host's own.",
            "version": _version(chosen),
        },
        "sourceDescriptions": [{"name": "host", "url": source, "type": "openapi"}],
        "workflows": [flow for endpoint in chosen for flow in _workflows(endpoint, chosen)],
    }


def _workflows(endpoint: Endpoint, chosen: Sequence[Endpoint]) -> Iterator[Json]:
    for operation in endpoint.operations.values():
        if operation.does.bills:
            steps = [_start(endpoint, chosen, operation)]
            status, result = endpoint.doing(Does.STATUS), endpoint.doing(Does.RESULT)
            if operation.does is Does.SUBMIT:
                steps += [_wait(endpoint, chosen, status)] if status else []
                steps += [_fetch(endpoint, chosen, result)] if result else []
            body = body_schema(endpoint, operation) or {}
            yield {
                "workflowId": _word(f"{endpoint.name}_{operation.name}"),
                "summary": f"{endpoint.title}: {operation.name}",
                "description": operation.says or operation.name,
                "inputs": {"type": "object", "required": ["body"], "properties": {"body": body}},
                "steps": steps,
                "outputs": _results(steps[-1]),
            }


def _results(step: Json) -> Json:
    return {name: f"$steps.{step['stepId']}.outputs.{name}" for name in step.get("outputs", {}) if name != "job"}


def _step(endpoint: Endpoint, chosen: Sequence[Endpoint], operation: Operation) -> Json:
    group = _addresses(chosen)[operation.request.method, _path(endpoint, operation)]
    return {
        "stepId": operation.name,
        "operationId": group.id,
        "description": operation.says or operation.name,
    }


def _start(endpoint: Endpoint, chosen: Sequence[Endpoint], operation: Operation) -> Json:
    good = [a for a in operation.alternatives if a.means in (Means.ACCEPTED, Means.DONE, Means.STATE)]
    step = _step(endpoint, chosen, operation)
    if operation.request.envelope != "none":
        step["requestBody"] = {"contentType": "application/json", "payload": "$inputs.body"}
    step["successCriteria"] = [{"condition": _codes(good)}]
    step["outputs"] = dict(_outputs(good))
    return _kept(step)


def _codes(replies: Iterable[Alternative]) -> str:
    codes = dict.fromkeys(code for reply in replies for code in reply.statuses)
    return " || ".join(f"$statusCode == {code}" for code in codes)


def _outputs(replies: Iterable[Alternative]) -> Iterator[tuple[str, str]]:
    words = (("job", "job.id"), ("output", "output.url"), ("cost", "job.cost"))
    for name, word in words:
        pointer = next((p for reply in replies if (p := pointer_to(reply.shape, word))), None)
        if pointer:
            yield name, f"$response.body#{pointer}"


def _kept(step: Json) -> Json:
    return {key: value for key, value in step.items() if value not in ({}, [])}


def _ask(endpoint: Endpoint, chosen: Sequence[Endpoint], operation: Operation) -> Json:
    """A step that asks after the job that the first step started."""
    job = f"$steps.{next(op.name for op in endpoint.operations.values() if op.does is Does.SUBMIT)}.outputs.job"
    step = _step(endpoint, chosen, operation)
    asked_by = _asked_by(operation)
    if asked_by:
        step["parameters"] = [{**asked_by, "value": job}]
    body = body_of(operation, {}, job)
    if body is not None:
        step["requestBody"] = {"contentType": "application/json", "payload": body}
    return step


def _wait(endpoint: Endpoint, chosen: Sequence[Endpoint], operation: Operation) -> Json:
    """Ask until the job is done: again after the advised wait while it is at work, over when it failed."""
    told = [a for a in operation.alternatives if a.means is Means.STATE]
    state = next((p for reply in told if (p := pointer_to(reply.shape, "job.state"))), None)
    step = _ask(endpoint, chosen, operation)
    step["successCriteria"] = [{"condition": _codes(told)}]
    if state is not None:
        words = endpoint.provider.states
        step["successCriteria"].append(
            {"condition": _any_word(state, [w for w, s in words.items() if s.status is Status.SUCCEEDED])}
        )
        busy = [word for word, s in words.items() if not is_final(s.status)]
        step["onFailure"] = [_again(endpoint, state, busy)] if busy else []
    step["outputs"] = dict(_outputs(told))
    return _kept(step)


def _any_word(pointer: str, words: Sequence[str]) -> str:
    return " || ".join(f"$response.body#{pointer} == '{word}'" for word in words)


def _again(endpoint: Endpoint, pointer: str, busy: Sequence[str]) -> Json:
    poll = endpoint.provider.poll
    every, deadline = poll.every.seconds or 1.0, poll.deadline.seconds or 600.0
    return {
        "name": "still_at_work",
        "type": "retry",
        "retryAfter": every,
        "retryLimit": max(1, int(deadline / every)),
        "criteria": [{"condition": _any_word(pointer, busy)}],
    }


def _fetch(endpoint: Endpoint, chosen: Sequence[Endpoint], operation: Operation) -> Json:
    good = [a for a in operation.alternatives if a.means in (Means.STATE, Means.DONE)]
    step = _ask(endpoint, chosen, operation)
    step["successCriteria"] = [{"condition": _codes(good)}]
    step["outputs"] = dict(_outputs(good))
    return _kept(step)
