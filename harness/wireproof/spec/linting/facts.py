"""Every fact of a contract that carries evidence, in the order of the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any

from wireproof.model import (
    NOWHERE,
    Confidence,
    Endpoint,
    Evidence,
    HeaderField,
    Operation,
    Parameter,
    Place,
    Provider,
    Shape,
    Span,
    Where,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a contract claims, and why it is believed."""

    group: str
    """What it belongs to (`states`, `width`, `replies of submit`); facts of one group are told in one line."""
    name: str
    where: Where
    evidence: Evidence
    value: Any = None
    """What is claimed, where that is a plain value."""
    is_gap: bool = False

    @property
    def says(self) -> str:
        return f"{self.group} {self.name}".strip()


class Standing(Enum):
    """How firm a fact stands; the weakest thing that is true of it."""

    DISPUTED = "the sources contradict one another"
    UNKNOWN = "nobody says"
    SIBLING = "taken from the page of a sibling"
    ELSEWHERE = "left open by the page and filled in from elsewhere"
    PROSE = "only in a sentence"
    INFERRED = "concluded, or told by others"
    SAMPLE = "only seen in a sample"
    FIRM = "documented"


def standing(evidence: Evidence) -> Standing:
    """The one reason for which a fact is worth a line."""
    tests = (
        (evidence.confidence is Confidence.DISPUTED, Standing.DISPUTED),
        (evidence.confidence is Confidence.UNKNOWN, Standing.UNKNOWN),
        (evidence.place is Place.SIBLING, Standing.SIBLING),
        (evidence.place is Place.ELSEWHERE, Standing.ELSEWHERE),
        (evidence.confidence in (Confidence.INFERRED, Confidence.SDK), Standing.INFERRED),
        (evidence.place is Place.PROSE, Standing.PROSE),
        (evidence.confidence is Confidence.SAMPLE, Standing.SAMPLE),
    )
    return next((kind for holds, kind in tests if holds), Standing.FIRM)


def facts(endpoint: Endpoint) -> Iterator[Fact]:
    """The facts of an endpoint and of its protocol. A fact that only inherits its evidence is not told again."""
    yield from _host(endpoint.provider)
    for parameter in endpoint.parameters.values():
        yield from _parameter(parameter)
    for operation in endpoint.operations.values():
        yield from _operation(operation, home(endpoint, operation, "request.unknown_evidence"))
    for problem in endpoint.provider.problems.values():
        yield Fact("problems", problem.name, problem.where, problem.evidence, list(problem.statuses))
        yield from _headers(f"headers of {problem.name}", problem.headers, problem.evidence)
        yield from _shape(f"body of {problem.name}", problem.shape, problem.evidence)
    yield from _binding(endpoint)
    for gap in (*endpoint.provider.gaps, *endpoint.gaps):
        yield Fact("", gap.name, gap.where, gap.evidence, gap.says, is_gap=True)


def _host(provider: Provider) -> Iterator[Fact]:
    for server in provider.servers.values():
        yield Fact("servers", server.name, server.where, server.evidence, server.url)
    auth = provider.auth
    yield Fact("auth", "", auth.where, auth.evidence, f"{auth.header}: {auth.prefix}<key>")
    for state in provider.states.values():
        yield Fact("states", state.word, state.where, state.evidence, state.status.value)
    for move in provider.moves:
        yield Fact("moves", f"{move.before} to {move.after}", move.where, move.evidence)
    place = Where(provider.where.file, provider.where.line, "/job/refused_at")
    yield Fact("refusal of bad parameters", "", place, provider.refused_evidence, provider.refused_at)
    kept, poll = provider.retention, provider.poll
    yield from _spans("retention", record=kept.record, media=kept.media)
    yield from _spans("polling", every=poll.every, first=poll.first, most=poll.most, deadline=poll.deadline)
    for limit in provider.limits:
        yield Fact("limit", limit.name, limit.where, limit.evidence, f"{limit.most} {limit.what}")


def _spans(group: str, **spans: Span) -> Iterator[Fact]:
    for name, span in spans.items():
        if span.where is not NOWHERE:
            value = "not stated" if span.seconds is None else f"{span.seconds:g} s"
            yield Fact(group, name, span.where, span.evidence, value)


def _parameter(parameter: Parameter, group: str = "") -> Iterator[Fact]:
    name = group or parameter.name
    yield Fact(name, "", parameter.where, parameter.evidence)
    for keyword, proof in parameter.facts.items():
        value = parameter.required if keyword == "required" else parameter.schema.get(keyword)
        yield Fact(name, keyword, parameter.line(keyword), proof, value)


def home(endpoint: Endpoint, operation: Operation, *same: str) -> Where:
    """Where an operation stands: in the host's file, unless the endpoint's own says otherwise in one of these."""
    shared = endpoint.provider.operations.get(operation.name)
    agree = shared is not None and all(attrgetter(name)(shared) == attrgetter(name)(operation) for name in same)
    return shared.where if shared is not None and agree else operation.where


def _operation(operation: Operation, home: Where) -> Iterator[Fact]:
    request = operation.request
    yield Fact("operations", operation.name, home, operation.evidence)
    if request.unknown_evidence.source:
        where = Where(home.file, home.line, f"{home.pointer}/request/unknown_fields")
        yield Fact("unknown fields of", operation.name, where, request.unknown_evidence, request.unknown_fields)
    for field in request.fields:
        if field.evidence != operation.evidence:
            yield from _parameter(field, f"{operation.name}.{field.name}")
    for one in operation.alternatives:
        if one.evidence != operation.evidence:
            yield Fact(f"replies of {operation.name}", one.name, one.where, one.evidence, _reply(one.media))
        yield from _headers(f"headers of {operation.name}", one.headers, one.evidence)
        yield from _shape(f"body of {operation.name}.{one.name}", one.shape, one.evidence)


def _reply(media: str) -> str:
    return "a body of JSON" if media == "json" else f"a body of {media}"


def _headers(group: str, headers: Iterable[HeaderField], above: Evidence) -> Iterator[Fact]:
    for header in headers:
        if header.evidence != above:
            yield Fact(group, header.name, header.where, header.evidence)


def _shape(group: str, shape: Shape | None, above: Evidence) -> Iterator[Fact]:
    if shape is None:
        return
    named = shape.where.pointer.removeprefix("/shapes/")
    whole = group if named == shape.where.pointer else f"body {named}"
    for pointer, proof in shape.proofs.items():
        if proof != (above if pointer == "" else _over(shape, pointer)):
            where = shape.lines.get(pointer, shape.where)
            yield Fact(whole, field_name(pointer), where, proof, _schema(shape, pointer).get("type"))


def _over(shape: Shape, pointer: str) -> Evidence | None:
    """The evidence of the place around a place."""
    above = pointer.rpartition("/")[0]
    while above and above not in shape.proofs:
        above = above.rpartition("/")[0]
    return shape.proofs.get(above)


def _schema(shape: Shape, pointer: str) -> Any:
    node: Any = shape.schema
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, (list, tuple)) else node[key]
    return node


def field_name(pointer: str) -> str:
    """A place inside a shape as a reader of bodies would name it: `data[].imageURL`."""
    parts = pointer.split("/")[1:]
    text, i = "", 0
    while i < len(parts):
        if parts[i] == "items":
            text, i = f"{text}[]", i + 1
        else:  # `properties/<name>` or `anyOf/<number>`
            text, i = f"{text}.{parts[i + 1]}" if text else parts[i + 1], i + 2
    return text


def _binding(endpoint: Endpoint) -> Iterator[Fact]:
    for rule in endpoint.rules:
        yield Fact("rules", rule.name, rule.where, rule.evidence)
    outputs = endpoint.outputs
    yield Fact("outputs", "format", outputs.format.where, outputs.format.evidence)
    for i, size in enumerate(outputs.sizes):
        yield Fact("outputs", f"size {i + 1}", size.where, size.evidence)
    for relation in (r for r in outputs.relations if r.evidence.note):  # without one it stands as its parameter does
        yield Fact("relations", relation.name, relation.where, relation.evidence)
    if endpoint.price:
        price = endpoint.price
        yield Fact("price", "", price.where, price.evidence, _amounts(endpoint))
        if price.rate:
            rate = ", ".join(f"{amount} {unit}" for unit, amount in price.rate.items())
            where = Where(price.where.file, price.where.line, "/price/rate")
            yield Fact("price", f"of one unit of {price.unit}", where, price.rate_evidence, rate)
    if endpoint.timing.where is not NOWHERE:
        yield Fact("timing", "", endpoint.timing.where, endpoint.timing.evidence)
    for i, provocation in enumerate(endpoint.provocations):
        if provocation.evidence.confidence is not Confidence.INFERRED:  # the rest is of our own making
            yield Fact("provocations", f"{i + 1}", provocation.where, provocation.evidence)


def _amounts(endpoint: Endpoint) -> str:
    terms = endpoint.price.terms if endpoint.price else ()
    unit = endpoint.price.unit if endpoint.price else ""
    return " + ".join(f"{term.amount} {unit} per {term.of or term.per}" for term in terms)
