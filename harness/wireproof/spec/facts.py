"""A contract taken apart into single facts, each under a name that means the same at every host.

Two hosts of one model, and two versions of one contract, are compared fact by fact: parameters by the
model's own names and values, states and problems by their canonical kinds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wireproof.lifecycle import Status
from wireproof.model import (
    NOWHERE,
    Confidence,
    Does,
    Endpoint,
    Evidence,
    Means,
    Operation,
    Parameter,
    Price,
    Problem,
    Shape,
    Span,
    Term,
    Where,
)
from wireproof.money import plain
from wireproof.spec.values import outputs_of
from wireproof.spec.words import places

Key = tuple[str, str, str]
"""Topic, subject and aspect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that one contract says."""

    topic: str
    """`parameter`, `rule`, `operation`, `reply`, `state`, `problem`, `price` …"""
    subject: str
    """Canonical where there is a canonical name."""
    aspect: str
    """`offered`, `maximum`, `default` …"""
    value: Any
    """Plain JSON, in the model's own words where it has some: what is compared."""
    shown: str
    """The same as the host says it."""
    evidence: Evidence = Evidence()  # noqa: RUF009 - a frozen value
    where: Where = NOWHERE
    needs: tuple[tuple[str, str], ...] = ()
    """Topics and subjects that must be offered for the lack of this fact to mean anything."""

    @property
    def key(self) -> Key:
        return self.topic, self.subject, self.aspect

    @property
    def known(self) -> bool:
        """Whether somebody says so, be it in dispute; a placeholder is not known."""
        return self.evidence.confidence is not Confidence.UNKNOWN


def facts(endpoint: Endpoint) -> dict[Key, Fact]:
    """Everything that a contract says and a caller may notice."""
    readers: tuple[Callable[[Endpoint], Iterator[Fact]], ...] = (
        _parameters,
        _fixed,
        _rules,
        _operations,
        _replies,
        _states,
        _problems,
        _job,
        _spans,
        _limits,
        _price,
        _outputs,
        _access,
    )
    found: dict[Key, Fact] = {}
    for reader in readers:
        for fact in reader(endpoint):
            found.setdefault(fact.key, fact)
    return found


def text(value: Any) -> str:
    """A value as a person reads it: no quotes around words, JSON otherwise."""
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, list) and all(isinstance(one, (str, int)) and not isinstance(one, bool) for one in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False)


# ------------------------------------------------------------------------------------ parameters

KEYWORDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "pattern",
    "format",
    "const",
)


def subject_of(parameter: Parameter) -> str:
    """The model's name for it; the host's, without case and punctuation, where the model has none."""
    return parameter.canonical or re.sub(r"[^a-z0-9.]", "", parameter.name.lower())


def in_canonical(parameter: Parameter, value: Any) -> Any:
    """The host's value in the model's words."""
    return parameter.words.get(value if isinstance(value, str) else json.dumps(value), value)


def _parameters(endpoint: Endpoint) -> Iterator[Fact]:
    for parameter in endpoint.parameters.values():
        yield from _parameter(parameter)


def _parameter(parameter: Parameter) -> Iterator[Fact]:
    subject = subject_of(parameter)
    needs = (("parameter", subject),)

    def fact(aspect: str, keyword: str, value: Any, shown: str) -> Fact:
        return Fact(
            topic="parameter",
            subject=subject,
            aspect=aspect,
            value=value,
            shown=shown,
            evidence=parameter.proof(keyword),
            where=parameter.line(keyword),
            needs=needs,
        )

    schema = parameter.schema
    yield replace(fact("offered", "", "parameter", parameter.name), needs=())
    yield fact("name", "", parameter.name, parameter.name)
    yield fact("required", "required", parameter.required, "required" if parameter.required else "optional")
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        yield fact("type", "type", sorted(kinds), " or ".join(kinds))
    if parameter.has_default:
        yield fact("default", "default", in_canonical(parameter, parameter.default), _default(parameter))
    if "enum" in schema:
        values = [in_canonical(parameter, one) for one in schema["enum"]]
        yield fact("values", "enum", sorted(values, key=text), text(schema["enum"]))
    if "items" in schema:
        items = {key: value for key, value in schema["items"].items() if key not in ("examples", "default")}
        yield fact("items", "items", items, _items(items))
    for keyword in KEYWORDS:
        if keyword in schema:
            yield fact(keyword, keyword, schema[keyword], text(schema[keyword]))
    if parameter.random is not None:
        yield fact("random", "random", parameter.random, text(parameter.random))
    if parameter.matters:
        shown = f"{_condition(parameter.matters)}; otherwise {parameter.otherwise}"
        yield fact("matters", "matters", [dict(parameter.matters), parameter.otherwise], shown)


def _default(parameter: Parameter) -> str:
    meant = text(in_canonical(parameter, parameter.default))
    return f"{meant} ({parameter.name}: {text(parameter.default)})" if parameter.words else meant


def _items(schema: Mapping[str, Any]) -> str:
    kind = text(schema.get("type", "any"))
    rest = {key: value for key, value in schema.items() if key != "type"}
    return f"{kind} ({', '.join(f'{key} {text(value)}' for key, value in rest.items())})" if rest else kind


def _condition(condition: Mapping[str, Any]) -> str:
    return " and ".join(f"{name} is {text(wanted)}" for name, wanted in condition.items())


def _fixed(endpoint: Endpoint) -> Iterator[Fact]:
    """What the host has decided on: an effect without a parameter."""
    for name, value in endpoint.fixed.items():
        proof = _decision(endpoint, name)
        for aspect, worth, shown in (
            ("offered", "decided", f"no parameter: always {text(value)}"),
            ("default", value, f"{text(value)}, decided by the host"),
        ):
            yield Fact(
                topic="parameter",
                subject=name,
                aspect=aspect,
                value=worth,
                shown=shown,
                evidence=proof[0],
                where=proof[1],
            )


def _decision(endpoint: Endpoint, name: str) -> tuple[Evidence, Where]:
    """A decision has no evidence of its own: that of a gap which speaks of it, else our conclusion."""
    gap = next((gap for gap in endpoint.gaps if name in gap.name.split("-")), None)
    return (gap.evidence, gap.where) if gap else (Evidence(confidence=Confidence.INFERRED), endpoint.where)


def _rules(endpoint: Endpoint) -> Iterator[Fact]:
    for rule in endpoint.rules:
        named = [endpoint.parameters[name] for name in rule.parameters if name in endpoint.parameters]
        subjects = [subject_of(parameter) for parameter in named]
        rows = [" × ".join(map(text, row)) for row in rule.rows]
        yield Fact(
            topic="rule",
            subject=f"{rule.kind.value.replace('_', ' ')}: {', '.join(subjects)}",
            aspect="holds",
            value=[sorted(map(list, rule.rows), key=text), dict(rule.when)],
            shown="; ".join(rows) or rule.says or rule.kind.value,
            evidence=rule.evidence,
            where=rule.where,
            needs=tuple(("parameter", subject) for subject in subjects),
        )


# ------------------------------------------------------------------------------------ operations


def _by_purpose(endpoint: Endpoint) -> Iterator[tuple[str, Operation]]:
    """Operations by what they are for; those for which there is no word, by their names."""
    seen: set[str] = set()
    for operation in endpoint.operations.values():
        purpose = operation.does.value
        if operation.does is Does.OTHER or purpose in seen:
            purpose = f"{purpose} {operation.name}"
        seen.add(purpose)
        yield purpose, operation


def _operations(endpoint: Endpoint) -> Iterator[Fact]:
    for purpose, operation in _by_purpose(endpoint):
        request, needs = operation.request, (("operation", purpose),)
        address = f"{request.method} {request.path}"

        def fact(
            aspect: str,
            value: Any,
            proof: Evidence = operation.evidence,
            where: Where = operation.where,
            *,
            purpose: str = purpose,
            needs: tuple[tuple[str, str], ...] = needs,
        ) -> Fact:
            return Fact(
                topic="operation",
                subject=purpose,
                aspect=aspect,
                value=value,
                shown=text(value),
                evidence=proof,
                where=where,
                needs=needs,
            )

        yield replace(fact("offered", True), shown=address, needs=())
        yield fact("address", address)
        yield fact("body", ", beside ".join([request.envelope, *request.beside]))
        yield replace(fact("key", operation.auth), shown="needed" if operation.auth else "not needed")
        if request.envelope != "none":
            policy, proof = request.unknown_fields, request.unknown_evidence
            unsaid = policy == "unknown"
            yield fact("unknown fields", policy, replace(proof, confidence=Confidence.UNKNOWN) if unsaid else proof)
        if operation.link:
            yield fact("follow", operation.follow)


TOLD = (
    "job.id",
    "job.state",
    "job.progress",
    "job.error",
    "job.error_code",
    "job.cost",
    "job.expires_at",
    "link.status",
    "link.result",
    "output.url",
    "output.base64",
    "output.data_uri",
    "output.seed",
    "output.flagged",
    "account.balance",
)
"""What a reply may tell that a caller builds upon."""


def _replies(endpoint: Endpoint) -> Iterator[Fact]:
    for purpose, operation in _by_purpose(endpoint):
        for what, means in (("", _GOOD), (" failed", (Means.FAILED,))):
            replies = [reply for reply in operation.alternatives if reply.means in means]
            if replies:
                subject, needs = f"{purpose}{what}", (("operation", purpose),)
                codes = sorted({code for reply in replies for code in reply.statuses})
                yield _reply(subject, "status", codes, replies[0].evidence, replies[0].where, needs)
                media = sorted({reply.media for reply in replies})
                yield _reply(subject, "media", media, replies[0].evidence, replies[0].where, needs)
                for word in TOLD:
                    yield from _told(subject, word, [r.shape for r in replies], needs)


_GOOD = (Means.ACCEPTED, Means.STATE, Means.DONE)


def _reply(
    subject: str, aspect: str, value: Any, proof: Evidence, where: Where, needs: tuple[tuple[str, str], ...]
) -> Fact:
    return Fact(
        topic="reply",
        subject=subject,
        aspect=aspect,
        value=value,
        shown=text(value),
        evidence=proof,
        where=where,
        needs=needs,
    )


def _told(
    subject: str, word: str, shapes: Iterable[Shape | None], needs: tuple[tuple[str, str], ...]
) -> Iterator[Fact]:
    """Where a value stands in the replies; the first place lends its evidence."""
    found: dict[str, tuple[Evidence, Where]] = {}
    for shape in shapes:
        for pointer, node in places(shape.schema) if shape else ():
            if shape and node.get("is") == word:
                stands = shape.proofs.get(pointer, Evidence()), shape.lines.get(pointer, shape.where)
                found.setdefault(in_body(pointer), stands)
    if found:
        proof, where = next(iter(found.values()))
        yield _reply(subject, word, list(found), proof, where, needs)


def in_body(pointer: str) -> str:
    """A pointer inside a shape as one inside the body; `*` stands for every item of a list."""
    steps = re.sub(r"/anyOf/[0-9]+", "", pointer)
    return re.sub(r"/items(?=/|$)", "/*", re.sub(r"/properties/([^/]*)", r"/\1", steps)) or "/"


# ---------------------------------------------------------------------------- states and problems


def _states(endpoint: Endpoint) -> Iterator[Fact]:
    provider = endpoint.provider
    for status in Status:
        states = [state for state in provider.states.values() if state.status is status]
        if states:
            words = sorted(state.word for state in states)
            yield _state(status.value, "word", words, states[0].evidence, states[0].where)
    for status, word in provider.surfaces.items():
        state = provider.states.get(word)
        if state and not any(one.status is status for one in provider.states.values()):
            yield _state(status.value, "word", [word], state.evidence, state.where)
    first = [state for state in provider.states.values() if state.initial]
    if first:
        yield _state("first", "status", sorted(s.status.value for s in first), first[0].evidence, first[0].where)
    if provider.moves:
        moves = {f"{_status(endpoint, move.before)} → {_status(endpoint, move.after)}" for move in provider.moves}
        weakest = max(provider.moves, key=lambda move: list(Confidence).index(move.evidence.confidence))
        yield _state("moves", "moves", sorted(moves), weakest.evidence, provider.moves[0].where)


def _state(subject: str, aspect: str, value: Any, proof: Evidence, where: Where) -> Fact:
    return Fact(
        topic="state",
        subject=subject,
        aspect=aspect,
        value=value,
        shown=text(value),
        evidence=proof,
        where=where,
    )


def _status(endpoint: Endpoint, word: str) -> str:
    state = endpoint.provider.states.get(word)
    return state.status.value if state else word


def _problems(endpoint: Endpoint) -> Iterator[Fact]:
    kinds: dict[str, list[Problem]] = {}
    for problem in endpoint.provider.problems.values():
        kinds.setdefault(problem.kind.value, []).append(problem)
    for kind, problems in kinds.items():
        yield from _kind(kind, problems)
    listed = sorted(endpoint.provider.listed)
    if listed:
        yield Fact(
            topic="problem",
            subject="table of codes",
            aspect="codes",
            value=listed,
            shown=text(listed),
            where=endpoint.provider.listed_where,
        )


def _kind(kind: str, problems: list[Problem]) -> Iterator[Fact]:
    first, needs = problems[0], (("problem", kind),)

    def fact(aspect: str, value: Any, proof: Evidence = first.evidence) -> Fact:
        return Fact(
            topic="problem",
            subject=kind,
            aspect=aspect,
            value=value,
            shown=text(value),
            evidence=proof,
            where=first.where,
            needs=needs,
        )

    names = sorted(problem.name for problem in problems)
    yield replace(fact("offered", True), shown=text(names), needs=())
    yield fact("status", sorted({problem.statuses[0] for problem in problems}))
    codes = sorted({problem.code for problem in problems if problem.code})
    if codes:
        yield fact("code", codes)
    for aspect, words in (("retry", {p.retry for p in problems}), ("billed", {p.billed for p in problems})):
        known = sorted(words - {"unknown"})
        yield fact(aspect, known or ["unknown"], concluded(first.evidence, known=bool(known)))
    told = {
        in_body(p) for one in problems if one.shape for p, node in places(one.shape.schema) if node.get("is") in _SAID
    }
    if told:
        yield fact("message at", sorted(told))
    headers = sorted({header.name for problem in problems for header in problem.headers})
    if headers:
        yield fact("headers", headers)


_SAID = ("problem.message", "job.error")


def concluded(proof: Evidence, *, known: bool) -> Evidence:
    """Evidence of what we conclude from a documented fact: never documented itself."""
    if not known:
        return replace(proof, confidence=Confidence.UNKNOWN)
    return replace(proof, confidence=Confidence.INFERRED) if proof.binds else proof


# ------------------------------------------------------------------------- jobs, times and limits


def _job(endpoint: Endpoint) -> Iterator[Fact]:
    provider = endpoint.provider
    ours = Evidence(confidence=Confidence.INFERRED)
    starts = [op for op in endpoint.operations.values() if op.does.bills]
    unique = next((f for op in starts for f in op.request.fields if f.unique and f.canonical == "job.id"), None)
    proof, where = (unique.evidence, unique.where) if unique else (ours, provider.where)
    maker = "the caller" if unique else "the host"
    yield _about("job", "id made by", maker, maker, proof, where)
    repeats = {"new": "starts another job", "conflict": "is refused", "same": "gives the same job"}
    yield _about("job", "second submit", provider.repeat_id, repeats[provider.repeat_id], proof, where)
    if provider.id_pattern:
        yield _about("job", "id form", provider.id_pattern, provider.id_pattern, ours, provider.where)
    shown = {"submit": "refused at submit", "run": "taken, and the job fails"}[provider.refused_at]
    yield _about("job", "bad parameter", provider.refused_at, shown, provider.refused_evidence, provider.where)
    for name, data in provider.channels.items():
        if name == "http":  # the plain way, which every host offers
            continue
        told = data.get("evidence") if isinstance(data, Mapping) else None
        weak = told.get("confidence") if isinstance(told, Mapping) else None
        proof = Evidence(confidence=Confidence(weak)) if weak else Evidence()
        # A channel is there or not; how well its details are known does not make it a placeholder.
        known = replace(proof, confidence=Confidence.INFERRED) if weak == "unknown" else proof
        yield Fact(
            topic="channel",
            subject=name,
            aspect="offered",
            value=True,
            shown=name,
            evidence=known,
            where=provider.where,
        )


def _about(topic: str, subject: str, value: Any, shown: str, proof: Evidence, where: Where) -> Fact:
    return Fact(topic=topic, subject=subject, aspect="is", value=value, shown=shown, evidence=proof, where=where)


def _spans(endpoint: Endpoint) -> Iterator[Fact]:
    provider = endpoint.provider
    kept, poll = provider.retention, provider.poll
    spans = (
        ("retention", "record", kept.record),
        ("retention", "media", kept.media),
        ("polling", "every", poll.every),
        ("polling", "first", poll.first),
        ("polling", "most", poll.most),
        ("polling", "deadline", poll.deadline),
    )
    for topic, subject, span in spans:
        if span.where is not NOWHERE:  # what stands nowhere is our own default
            yield _span(topic, subject, span)
    if poll.growth != 1:
        yield _about(
            "polling",
            "growth",
            plain(poll.growth),
            f"× {plain(poll.growth)}",
            poll.every.evidence,
            poll.every.where,
        )
    expired = provider.problems.get(kept.after)
    if expired and kept.record.where is not NOWHERE:
        yield _about(
            "retention",
            "afterwards",
            expired.statuses[0],
            str(expired.statuses[0]),
            expired.evidence,
            expired.where,
        )
    if kept.ttl:
        known = endpoint.parameters.get(kept.ttl)
        proof, where = (known.evidence, known.where) if known else (kept.media.evidence, kept.media.where)
        yield _about("retention", "chosen by", kept.ttl, kept.ttl, proof, where)


def _span(topic: str, subject: str, span: Span) -> Fact:
    unsaid = span.seconds is None
    proof = replace(span.evidence, confidence=Confidence.UNKNOWN) if unsaid else span.evidence
    return replace(_about(topic, subject, span.seconds, duration(span.seconds), proof, span.where), aspect="seconds")


def duration(seconds: float | None) -> str:
    """Seconds in the largest unit that leaves a whole number."""
    if seconds is None:
        return "not stated"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _limits(endpoint: Endpoint) -> Iterator[Fact]:
    for limit in endpoint.provider.limits:
        window = f" in {duration(limit.window)}" if limit.window else " at a time"
        value = [limit.what, limit.most, limit.window, sorted(limit.operations), limit.over]
        shown = f"{limit.most} {limit.what}{window}"
        yield _about("limit", limit.name, value, shown, limit.evidence, limit.where)


# ---------------------------------------------------------------------------- money and pictures


def _price(endpoint: Endpoint) -> Iterator[Fact]:
    price = endpoint.price
    if price is None:
        return
    terms = [_term(endpoint, term) for term in price.terms]
    yield _about("price", "terms", [price.unit, *terms], price_words(price), price.evidence, price.where)
    for outcome, billed in price.billed.items():
        proof = concluded(price.evidence, known=billed != "unknown")
        yield _about("price", f"billed when {outcome}", billed, billed, proof, price.where)
    for unit, worth in price.rate.items():
        yield _about("price", f"rate in {unit}", plain(worth), plain(worth), price.rate_evidence, price.where)


def _term(endpoint: Endpoint, term: Term) -> dict[str, Any]:
    counted = endpoint.parameters.get(term.of or "")
    return {
        "amount": plain(term.amount),
        "per": term.per,
        "of": subject_of(counted) if counted else None,
        "beyond": term.beyond,
        "up_to": term.up_to,
        "when": dict(term.when),
    }


def price_words(price: Price) -> str:
    """The price of one job as a person would say it."""
    parts = []
    for term in price.terms:
        what = {"request": "a job", "output": "a result"}.get(term.per, f"each of {term.of}")
        beyond = f" beyond the first {term.beyond}" if term.beyond > 1 else " beyond the first" if term.beyond else ""
        until = f" up to {term.up_to}" if term.up_to else ""
        when = f" when {_condition(term.when)}" if term.when else ""
        parts.append(f"{plain(term.amount)} {price.unit} {what}{beyond}{until}{when}")
    return " + ".join(parts)


def _outputs(endpoint: Endpoint) -> Iterator[Fact]:
    outputs, form = endpoint.outputs, endpoint.outputs.format
    counted = endpoint.parameters.get(outputs.count) if isinstance(outputs.count, str) else None
    if counted:
        count, shown, proof, where = "asked", f"as asked by {counted.name}", counted.evidence, counted.where
    else:
        count, shown = str(outputs_of(endpoint, {})), str(outputs_of(endpoint, {}))
        proof, where = Evidence(confidence=Confidence.INFERRED), outputs.where
    yield _about("output", "count", count, shown, proof, where)
    formats = sorted({form.fixed} if form.fixed else {*form.values.values(), *form.any_of})
    if formats:
        yield _about("output", "formats", formats, text(formats), form.evidence, form.where)
    sized = [_size(endpoint, rule.width, rule.height, rule.ratio) for rule in outputs.sizes]
    stated = [words for words in sized if words]
    if stated:
        yield _about("output", "size", stated, text(stated), outputs.sizes[0].evidence, outputs.sizes[0].where)
    yield _about(
        "output",
        "key for pictures",
        outputs.auth,
        "needed" if outputs.auth else "not needed",
        Evidence(confidence=Confidence.INFERRED),
        outputs.where,
    )
    time = endpoint.timing
    if time.where is not NOWHERE:
        shown = f"about {time.queue + time.run:g} s"
        yield _about("output", "time", time.queue + time.run, shown, time.evidence, time.where)


def _size(endpoint: Endpoint, width: Any, height: Any, ratio: str | None) -> str:
    names = [part for part in (width, height, ratio) if part is not None]
    shown = [subject_of(endpoint.parameters[n]) if n in endpoint.parameters else str(n) for n in names]
    return f"by {' and '.join(shown)}" if shown else ""


def _access(endpoint: Endpoint) -> Iterator[Fact]:
    auth, servers = endpoint.provider.auth, endpoint.provider.servers
    header = f"{auth.header}: {auth.prefix}KEY"
    yield _about("access", "key", header.lower(), header, auth.evidence, auth.where)
    yield _about("access", "variable", auth.env, auth.env, auth.evidence, auth.where)
    yield _about("access", "slug", endpoint.slug, endpoint.slug, Evidence(), endpoint.where)
    for name, server in servers.items():
        yield _about("access", f"server {name}", server.url, server.url, server.evidence, server.where)
