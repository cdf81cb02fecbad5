"""Rules about the contract itself: what makes it wrong or unusable, whatever the host does. All are violations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from wireproof.lifecycle import FINAL, Status, is_final, may_follow
from wireproof.model import (
    NOWHERE,
    Alternative,
    Condition,
    Confidence,
    Endpoint,
    Finding,
    Kind,
    Means,
    Move,
    Provider,
    RuleKind,
    Severity,
    Shape,
    State,
    Where,
)
from wireproof.spec.linting.facts import facts, home
from wireproof.spec.linting.registry import Dated, found, listed, rule
from wireproof.spec.linting.samples import (
    STATE,
    breaches,
    complaints,
    computed,
    misfits,
    said,
    sound,
    told,
)
from wireproof.spec.values import Values, price_of
from wireproof.spec.words import places

VIOLATION = Severity.VIOLATION
FRESH = timedelta(days=90)

# ----------------------------------------------------------------------------------------- states


def _reached(starts: set[str], moves: tuple[Move, ...]) -> set[str]:
    """The state words that can be seen from these, themselves included."""
    seen = set(starts)
    while more := {move.after for move in moves if move.before in seen} - seen:
        seen |= more
    return seen


@rule(id="LINT101", severity=VIOLATION)
def a_state_that_no_job_can_reach(endpoint: Endpoint) -> Iterator[Finding]:
    """No chain of moves leads from an initial state to this one.

    The mock never shows it, so no client is ever tried against it, and a host that shows it is called wrong.
    Example: FAILED without a move that leads to it.
    """
    provider = endpoint.provider
    initial = {state.word for state in provider.states.values() if state.initial}
    if provider.states and not initial:
        first = next(iter(provider.states.values()))
        yield found("no state is initial", subject="initial", where=first.where, expected="one with initial: true")
        return
    reached = _reached(initial, provider.moves)
    for state in provider.states.values():
        if state.word not in reached:
            yield found(
                f"no move leads to the state {state.word}",
                subject=f"state:{state.word}",
                where=state.where,
                expected=f"a chain of moves from {listed(sorted(initial))}",
                actual=f"reachable: {', '.join(word for word in provider.states if word in reached)}",
            )


@rule(id="LINT102", severity=VIOLATION)
def a_state_without_a_way_out(endpoint: Endpoint) -> Iterator[Finding]:
    """From this unfinished state no move leads to the end of the job.

    A job that gets there never ends: every client polls until its deadline. Example: PROCESSING with no move
    to COMPLETED or FAILED.
    """
    provider = endpoint.provider
    for state in provider.states.values():
        onward = _reached({state.word}, provider.moves)
        if not any(is_final(provider.states[word].status) for word in onward if word in provider.states):
            yield found(
                f"no move leads from the state {state.word} to the end of the job",
                subject=f"state:{state.word}",
                where=state.where,
                expected="a move towards a final state",
                actual=f"leads to {listed(sorted(onward - {state.word}) or ['nothing'])}",
            )


@rule(id="LINT103", severity=VIOLATION)
def a_move_against_the_lifecycle(endpoint: Endpoint) -> Iterator[Finding]:
    """A move goes backwards, or leads out of a final state, by what its two words are mapped to.

    Either the move or the mapping of a word is wrong; the mock would show what the checks call a defect.
    Example: a move from COMPLETED to PROCESSING.
    """
    states = endpoint.provider.states
    for move in endpoint.provider.moves:
        before, after = states.get(move.before), states.get(move.after)
        if before and after and not may_follow(before.status, after.status):
            yield found(
                f"the move from {move.before} to {move.after} goes from {before.status} to {after.status}",
                subject=f"move:{move.before}>{move.after}",
                where=move.where,
                expected="forwards only, and nothing after the end",
            )


@rule(id="LINT104", severity=VIOLATION)
def a_state_that_no_reply_can_carry(endpoint: Endpoint) -> Iterator[Finding]:
    """No reply of any operation may carry this state word, or a status is shown under a word that is none.

    Nobody can ever see such a state, so everything the contract says of it is idle. Example: CANCELED among
    the states, while the status reply lists all states but this one. Where no operation asks after a job, the
    states only name how it can end.
    """
    provider = endpoint.provider
    asked = any(op.does.asks for op in endpoint.operations.values())
    replies = [one for op in endpoint.operations.values() for one in op.alternatives if asked]
    for state in provider.states.values():
        if replies and not any(_carries(one, state) for one in replies):
            yield found(
                f"no reply can carry the state {state.word}",
                subject=f"state:{state.word}",
                where=state.where,
                expected="a reply whose states hold it",
            )
    for status, word in provider.surfaces.items():
        if word not in provider.states:
            yield found(
                f"{status} is shown as {word}, which is not one of the states",
                subject=f"surface:{status}",
                where=Where(provider.where.file, provider.where.line, f"/surfaces/{status}"),
                expected=f"one of {', '.join(provider.states)}",
                actual=word,
            )


MEANT: Mapping[Means, frozenset[Status]] = {
    Means.ACCEPTED: frozenset(Status) - FINAL,
    Means.DONE: frozenset({Status.SUCCEEDED}),
    Means.FAILED: FINAL - {Status.SUCCEEDED},
}
"""What a reply that lists no states can tell of; any status where it is not in this table."""


def _carries(one: Alternative, state: State) -> bool:
    if one.states:
        return state.word in one.states
    return _says_state(one.shape) and state.status in MEANT.get(one.means, frozenset(Status))


def _says_state(shape: Shape | None) -> bool:
    return shape is not None and any(node.get("is") == STATE for _, node in places(shape.schema))


# ---------------------------------------------------------------------------- replies and problems


@rule(id="LINT105", severity=VIOLATION)
def a_problem_that_no_operation_uses(endpoint: Endpoint) -> Iterator[Finding]:
    """A problem is described, and no operation answers with it.

    No check provokes it and no client is told of it. Example: `rate_limited`, forgotten in the list of the
    one operation that has a limit.
    """
    provider = endpoint.provider
    used = {name for op in endpoint.operations.values() for name in op.problems}
    if not any(op.does.asks for op in endpoint.operations.values()):
        used.add(provider.retention.after)  # nobody can ask after a job, so none can be told that it is gone
    for problem in provider.problems.values():
        if problem.name not in used:
            yield found(
                f"no operation answers with the problem {problem.name}",
                subject=f"problem:{problem.name}",
                where=problem.where,
                expected="its name in the problems of an operation",
            )


@rule(id="LINT106", severity=VIOLATION)
def replies_that_nothing_tells_apart(endpoint: Endpoint) -> Iterator[Finding]:
    """Two replies of one operation have the same status code, and nothing in them says which one it is.

    The first is always taken and the second never, so what the second says is idle. Example: two replies
    with 200, both in JSON, with the same states and no pointer that one has and the other lacks.
    """
    for operation in endpoint.operations.values():
        for one, other in combinations(operation.alternatives, 2):
            if not _told_apart(one, other):
                yield found(
                    f"nothing tells the replies {one.name} and {other.name} of {operation.name} apart",
                    subject=f"reply:{operation.name}.{one.name}={other.name}",
                    where=other.where,
                    expected="another status, medium, state, condition, or pointer (`having`, `lacking`)",
                )


def _told_apart(one: Alternative, other: Alternative) -> bool:
    """Whether some reply is taken for one of them and not for the other."""
    statuses = set(one.statuses) & set(other.statuses)
    places_differ = (set(one.having), set(one.lacking)) != (set(other.having), set(other.lacking))
    media_differ = one.media != other.media and "any" not in (one.media, other.media)
    states_differ = bool(one.states and other.states) and set(one.states) != set(other.states)
    return not statuses or places_differ or media_differ or states_differ or dict(one.when) != dict(other.when)


@rule(id="LINT107", severity=VIOLATION)
def a_status_without_a_body(endpoint: Endpoint) -> Iterator[Finding]:
    """A reply or a problem is said to be JSON, and no shape says what stands in it.

    The mock answers an empty object, and no check can tell a right body from a wrong one. Example: a problem
    with a status code and neither `body` nor `media: empty`.
    """
    for operation in endpoint.operations.values():
        for one in operation.alternatives:
            if one.media == "json" and one.shape is None:
                yield _bodiless(f"the reply {operation.name}.{one.name}", one.where)
    for problem in endpoint.provider.problems.values():
        if problem.media == "json" and problem.shape is None:
            yield _bodiless(f"the problem {problem.name}", problem.where)


def _bodiless(what: str, where: Where) -> Finding:
    return found(
        f"{what} has no body",
        subject=f"body:{where.pointer}",
        where=where,
        expected="a body, or media: empty or any",
    )


@rule(id="LINT109", severity=VIOLATION)
def a_key_that_nobody_asks_for(endpoint: Endpoint) -> Iterator[Finding]:
    """An operation wants a key, the host has a problem for a missing or a wrong one, and the operation leaves it out.

    The refusal of a key is then taken for a reply that the host has not promised, and no client is told of it.
    Example: `problems` of a new operation without `no_key`. An operation for everybody says `auth: false`.
    """
    problems = endpoint.provider.problems
    known = [name for name, problem in problems.items() if problem.kind in (Kind.NO_KEY, Kind.BAD_KEY)]
    for operation in endpoint.operations.values():
        if operation.auth and known and not set(known) & set(operation.problems):
            yield found(
                f"{operation.name} wants a key and has no reply for a wrong one",
                subject=f"key:{operation.name}",
                where=home(endpoint, operation, "problems", "auth"),
                expected=f"{listed(known)} among its problems, or auth: false",
            )


KEYLIKE = re.compile(r"(?i)^(x-)?(api[-_]?)?key$|^(access[-_]?|auth[-_]?)?token$|^secret$")


@rule(id="LINT110", severity=VIOLATION)
def a_key_that_travels_in_the_address(endpoint: Endpoint) -> Iterator[Finding]:
    """The key is part of an address.

    Addresses are written to the access log of every machine on the way, and the key with them. Example:
    `/v1/run?api_key={key}`.
    """
    addresses = [(server.url, server.where) for server in endpoint.provider.servers.values()]
    addresses += [(op.request.path, home(endpoint, op, "request.path")) for op in endpoint.operations.values()]
    for address, where in addresses:
        names = [name for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)]
        if "{key}" in address or any(KEYLIKE.match(name) for name in names):
            yield found(
                f"the key travels in the address {address.partition('?')[0]}?…",
                subject=f"key:{where.pointer}",
                where=where,
                expected="a header",
                actual=", ".join(names) or "{key}",
            )


# ------------------------------------------------------------------------------------------ money


@rule(id="LINT108", severity=VIOLATION)
def a_price_that_cannot_be_evaluated(endpoint: Endpoint) -> Iterator[Finding]:
    """The price of a request cannot be worked out, or comes out as something no price can be.

    A budget that cannot count lets everything through. Example: a term per item of a parameter that is no list.
    """
    if endpoint.price is None:
        return
    for says in dict.fromkeys(_price_troubles(endpoint)):
        yield found(says, subject="price", where=endpoint.price.where, expected="a sum of amounts, none below zero")


def _price_troubles(endpoint: Endpoint) -> Iterator[str]:
    price = endpoint.price
    assert price is not None
    for term in price.terms:
        counted = endpoint.parameters.get(term.of or "")
        if term.per not in ("request", "output", "item"):
            yield f"the price counts per {term.per}, which nothing can be counted by"
        if term.per == "item" and (counted is None or counted.schema.get("type") != "array"):
            yield f"the price counts items of {term.of}, which is no list"
    count = endpoint.parameters.get(str(endpoint.outputs.count))
    if count and "integer" not in count.schema.get("type", ()):
        yield f"the price counts outputs by {count.name}, which is no number"
    requests: list[Values] = [example.parameters for example in endpoint.examples] or [{}]
    amounts = [money.amount for values in requests if (money := price_of(endpoint, values))]
    if any(amount < Decimal(0) for amount in amounts):
        yield f"a sample comes out at {min(amounts)} {price.unit}"
    if "succeeded" not in price.billed:
        yield "whether a job that succeeds is billed is not said"


# ---------------------------------------------------------------------------------------- samples


@rule(id="LINT111", severity=VIOLATION)
def a_sample_reply_that_does_not_fit(endpoint: Endpoint) -> Iterator[Finding]:
    """A sample reply does not fit the reply that it is a sample of.

    The host's own sample is the best witness there is, so the shape is wrong; every check by it would call
    a right host wrong. Example: a required field that no sample has.
    """
    for example in endpoint.examples:
        for misfit in misfits(endpoint, example) if example.reply is not None else ():
            if not misfit.unasked:
                at = misfit.place or "the reply"
                yield found(
                    f"the reply of the sample {example.name} does not fit {example.operation}."
                    f"{example.alternative}: {at} {misfit.says}",
                    subject=f"{example.name}.{misfit.place}",
                    where=example.where,
                    expected=f"what {example.operation}.{example.alternative} says",
                    actual=misfit.says,
                )


@rule(id="LINT112", severity=VIOLATION)
def a_sample_that_breaks_other_things_than_it_says(endpoint: Endpoint) -> Iterator[Finding]:
    """The `breaks` list of a sample is not what the sample breaks.

    A sample marked as sound is sent as a valid request; one marked as broken is expected to be refused.
    Example: a sample without a required parameter whose `breaks` is empty.
    """
    for example in endpoint.examples:
        breaks = computed(endpoint, example)
        if breaks != set(example.breaks):
            yield found(
                f"the sample {example.name} breaks {listed(sorted(breaks) or ['nothing'])}, and its list says "
                f"{listed(sorted(example.breaks) or ['nothing'])}",
                subject=f"breaks:{example.name}",
                where=example.where,
                expected=", ".join(sorted(breaks)) or "no breaks",
                actual=", ".join(sorted(example.breaks)) or "no breaks",
            )


@rule(id="LINT115", severity=VIOLATION)
def a_request_of_ours_that_is_not_valid(endpoint: Endpoint) -> Iterator[Finding]:
    """A provocation, or one side of a relation, is refused by its own contract.

    It should get as far as the work and end in trouble there; refused at the door it shows nothing.
    Example: a provocation that sends a value outside the list of allowed values.
    """
    base = sound(endpoint)
    usual = set(breaches(endpoint, base))
    for what, values, where in _ours(endpoint):
        for breach in breaches(endpoint, _laid_over(base, values)):
            if breach not in usual:
                yield found(
                    f"{what} is not a valid request: {breach.subject} {breach.says}",
                    subject=f"{what.replace(' ', '-')}.{breach.subject}",
                    where=where,
                    expected="a request that the contract allows",
                    actual=breach.says,
                )


def _ours(endpoint: Endpoint) -> Iterator[tuple[str, Values, Where]]:
    for i, provocation in enumerate(endpoint.provocations):
        yield f"provocation {i + 1}", provocation.parameters, provocation.where
    for relation in endpoint.outputs.relations:
        yield f"relation {relation.name}", relation.first, relation.where
        yield f"relation {relation.name}", relation.second, relation.where


def _laid_over(base: Values, changes: Values) -> dict[str, Any]:
    """The base with changes; `{absent: true}` leaves a parameter out."""
    dropped = {name for name, value in changes.items() if value == {"absent": True}}
    return {name: value for name, value in {**base, **changes}.items() if name not in dropped}


# ------------------------------------------------------------------------------------- parameters


@rule(id="LINT113", severity=VIOLATION)
def a_default_outside_its_own_schema(endpoint: Endpoint) -> Iterator[Finding]:
    """A default, or the value that asks for a random choice, is not allowed by the parameter's own schema.

    A client that sends the default openly is refused. Example: a default that the list of values does not have.
    """
    for parameter in endpoint.parameters.values():
        given = [("default", parameter.default)] if parameter.has_default else []
        given += [("random", parameter.random)] if parameter.random is not None else []
        for keyword, value in given:
            for broken in complaints(parameter, value):
                yield found(
                    f"the {keyword} of {parameter.name}, {told(value)}, breaks its own {broken}",
                    subject=f"{parameter.name}.{keyword}",
                    where=parameter.line(keyword),
                    expected=f"{broken}: {told(parameter.schema.get(broken))}",
                    actual=told(value),
                )


@rule(id="LINT114", severity=VIOLATION)
def a_rule_that_the_parameters_cannot_keep(endpoint: Endpoint) -> Iterator[Finding]:
    """A row of a rule between parameters holds a value that the parameter itself does not allow.

    No request can ever use that row, and whoever tries is refused. Example: 1376 x 768 among the sizes, and
    1376 not among the widths.
    """
    for one in endpoint.rules:
        for row in one.rows if one.kind is RuleKind.AMONG else ():
            for name, value in zip(one.parameters, row, strict=False):
                parameter = endpoint.parameters.get(name)
                for broken in complaints(parameter, value) if parameter else ():
                    yield found(
                        f"the rule {one.name} allows {name} {told(value)}, which breaks its {broken}",
                        subject=f"{one.name}.{name}={told(value)}",
                        where=one.where,
                        expected=f"{broken}: {told(parameter.schema.get(broken)) if parameter else ''}",
                        actual=told(value),
                    )


@rule(id="LINT116", severity=VIOLATION)
def a_condition_that_can_never_hold(endpoint: Endpoint) -> Iterator[Finding]:
    """A condition asks for a value that the parameter, or the list of states, does not have.

    What stands under it is never there and never asked for. Example: a width that counts for the ratio
    `costum`.
    """
    for condition, where in _conditions(endpoint):
        for name, wanted in condition.items():
            if isinstance(wanted, dict):
                continue
            values = wanted if isinstance(wanted, list) else [wanted]
            if all(_impossible(endpoint, name, value) for value in values):
                yield found(
                    f"{said({name: wanted})}: that can never be",
                    subject=f"{name}={told(wanted)}@{where.pointer}",
                    where=where,
                    expected=_allowed(endpoint, name),
                    actual=told(wanted),
                )


def _impossible(endpoint: Endpoint, name: str, value: Any) -> bool:
    if name == STATE:
        return value not in endpoint.provider.states
    parameter = endpoint.parameters.get(name)
    return parameter is not None and bool(complaints(parameter, value))


def _allowed(endpoint: Endpoint, name: str) -> str:
    if name == STATE:
        return f"one of {', '.join(endpoint.provider.states)}"
    schema = endpoint.parameters[name].schema
    return f"one of {', '.join(map(told, schema['enum']))}" if "enum" in schema else told(dict(schema))


def _conditions(endpoint: Endpoint) -> Iterator[tuple[Condition, Where]]:
    yield from ((p.matters, p.line("matters")) for p in endpoint.parameters.values())
    yield from ((one.when, one.where) for one in endpoint.rules)
    yield from ((size.when, size.where) for size in endpoint.outputs.sizes)
    if endpoint.price:
        yield from ((term.when, endpoint.price.where) for term in endpoint.price.terms)
    for operation in endpoint.operations.values():
        yield operation.request.select, operation.where
        for one in operation.alternatives:
            yield one.when, one.where
            yield from _shape_conditions(one.shape)


def _shape_conditions(shape: Shape | None) -> Iterator[tuple[Condition, Where]]:
    for pointer, node in places(shape.schema) if shape else ():
        if shape and "when" in node:
            yield node["when"], shape.lines.get(pointer, shape.where)


@rule(id="LINT117", severity=VIOLATION)
def a_format_that_the_values_do_not_name(endpoint: Endpoint) -> Iterator[Finding]:
    """The words for picture formats and the allowed values of their parameter are not the same.

    A picture of that format can never be judged, or a format can never be asked for. Example: WEBP allowed,
    and no word on what a WEBP is.
    """
    form = endpoint.outputs.format
    parameter = endpoint.parameters.get(form.parameter or "")
    allowed = {str(value) for value in parameter.schema.get("enum", ())} if parameter else set()
    for value in sorted(allowed ^ set(form.values)) if allowed else ():
        side = "allowed, and no picture format is named for it" if value in allowed else "named, and not allowed"
        yield found(
            f"the format {value} of {form.parameter} is {side}",
            subject=f"format:{value}",
            where=form.where,
            expected=", ".join(sorted(allowed)),
            actual=", ".join(sorted(form.values)),
        )


# --------------------------------------------------------------------------------------- evidence


@rule(id="LINT118", severity=VIOLATION)
def a_fact_without_a_source(endpoint: Endpoint) -> Iterator[Finding]:
    """A fact names no source, a source has no date, or a dispute names no second voice.

    Nobody can look it up again, so nobody can tell whether it is still true. Example: a price without a page.
    """
    for fact in facts(endpoint):
        if not fact.evidence.source and fact.where is not NOWHERE:
            yield found(f"{fact.says} has no source", subject=f"source:{fact.where.pointer}", where=fact.where)
        if fact.evidence.confidence is Confidence.DISPUTED and not fact.evidence.rivals:
            yield found(
                f"{fact.says} is disputed, and nobody who says otherwise is named",
                subject=f"rivals:{fact.where.pointer}",
                where=fact.where,
                expected="rivals",
            )
    for name, where in _sources(endpoint):
        if not endpoint.sources[name].read and not endpoint.provider.sources.get(name, endpoint.sources[name]).read:
            yield found(f"the source {name} has no date", subject=f"source:{name}", where=where, expected="read")


def _sources(endpoint: Endpoint) -> Iterator[tuple[str, Where]]:
    """The sources of both files, each with where it stands."""
    for name in endpoint.provider.sources:
        yield name, _beside(endpoint.provider, name)
    for name, source in endpoint.sources.items():
        if endpoint.provider.sources.get(name) != source:
            yield name, _beside(endpoint, name)


def _beside(owner: Provider | Endpoint, name: str) -> Where:
    return Where(owner.where.file, owner.where.line, f"/sources/{name}")


@rule(id="LINT119", reads=Dated, severity=Severity.QUESTION)
def a_source_that_was_read_long_ago(dated: Dated) -> Iterator[Finding]:
    """A source was read more than 90 days before the day handed in, or after it.

    Hosts change prices, limits and words without notice; an old contract accuses a host that merely moved on.
    Example: a price list read in spring, checked against in autumn.
    """
    owners: tuple[Provider | Endpoint, ...] = (dated.endpoint.provider, dated.endpoint)
    inherited = dated.endpoint.provider.sources
    for owner in owners:
        for source in owner.sources.values():
            if owner is dated.endpoint and inherited.get(source.name) == source:
                continue
            age = dated.day - date.fromisoformat(source.read) if source.read else timedelta(0)
            if age > FRESH or age < timedelta(0):
                when = f"{age.days} days ago" if age > FRESH else "on a day that has not come"
                yield found(
                    f"the source {source.name} was read {when} ({source.read}): {source.title}",
                    subject=f"source:{source.name}",
                    where=_beside(owner, source.name),
                    expected=f"read in the {FRESH.days} days before {dated.day.isoformat()}",
                    actual=source.read,
                )
