"""What of a contract a recording has exercised, fact by fact, and why the rest was not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wireproof.check.trace import JobTrace, Seen, Trace
from wireproof.generate import cases
from wireproof.generate.cases import ABSENT, Choice
from wireproof.lifecycle import Status
from wireproof.model import Cover, Does, Endpoint, Kind, RuleKind, Where
from wireproof.spec.values import effective, matters, same

WHY_NOT: Mapping[Kind, str] = {
    Kind.OUT_OF_CREDITS: "needs an account without credits",
    Kind.FORBIDDEN: "needs a key without this permission",
    Kind.RATE_LIMITED: "needs more calls than the limit allows",
    Kind.TOO_MANY_JOBS: "needs more jobs in flight than the limit allows",
    Kind.OVERLOADED: "needs the host to be overloaded",
    Kind.BROKEN: "needs the host to be broken",
    Kind.TIMEOUT: "needs the host to be too slow",
    Kind.FAILED: "needs a job that fails",
    Kind.MODERATED: "needs content that is blocked",
    Kind.UNREACHABLE_MEDIA: "needs a picture that cannot be fetched",
    Kind.CONFLICT: "needs an id that is used twice",
    Kind.GONE: "needs a job whose retention is over",
}


def cover(trace: Trace) -> tuple[Cover, ...]:
    """Every documented fact of the endpoint, and the exchanges that exercised it."""
    return (
        *_operations(trace),
        *_values(trace),
        *_bounds(trace),
        *_states(trace),
        *_moves(trace),
        *_problems(trace),
        *_outputs(trace),
    )


def _covered(kind: str, name: str, where: Where, evidence: Sequence[int], why_not: str) -> Cover:
    seen = bool(evidence)
    return Cover(
        kind=kind, name=name, where=where, seen=seen, why_not="" if seen else why_not, evidence=tuple(evidence[:3])
    )


def _operations(trace: Trace) -> Iterator[Cover]:
    for operation in trace.endpoint.operations.values():
        good = [
            seen.seq
            for seen in trace.seen
            if seen.operation and seen.operation.name == operation.name and seen.reading and seen.reading.alternative
        ]
        yield _covered("operation", operation.name, operation.where, good, _operation_reason(operation.does))


def _operation_reason(does: Does) -> str:
    if does in (Does.OTHER, Does.UPLOAD, Does.ACCOUNT):
        return "belongs to no job; not driven"
    return "was not answered as it should be"


def _values(trace: Trace) -> Iterator[Cover]:
    sent = [
        seen
        for seen in trace.seen
        if seen.operation and seen.operation.does.bills and seen.accepted and not seen.breaches
    ]
    for choice in cases.choices(trace.endpoint):
        parameter = trace.endpoint.parameters[choice.parameter]
        found = [seen.seq for seen in sent if _made(trace.endpoint, choice, seen)]
        yield _covered("value", choice.fact, parameter.where, found, "was not sent, or not accepted")
    for rule in trace.endpoint.rules:
        if rule.kind is RuleKind.AMONG:
            for row in rule.rows:
                hits = [
                    s.seq
                    for s in sent
                    if all(same(s.values.get(n), v) for n, v in zip(rule.parameters, row, strict=True))
                ]
                yield _covered(
                    "value", f"{rule.name}={'x'.join(map(str, row))}", rule.where, hits, "was not sent, or not accepted"
                )


def _made(endpoint: Endpoint, choice: Choice, seen: Seen) -> bool:
    """Whether a request made this choice, where it has an effect."""
    full = effective(endpoint, seen.values)
    for operation in endpoint.operations.values():
        if choice.parameter in operation.request.select:
            if choice.value is ABSENT:
                return choice.parameter not in seen.values
            return same(full.get(choice.parameter), choice.value)
    if choice.value is ABSENT:
        return choice.parameter not in seen.values
    if choice.parameter not in seen.values or not matters(endpoint.parameters[choice.parameter], full):
        return False
    value = seen.values[choice.parameter]
    if choice.fact.endswith(" given"):
        return choice.fact != f"{choice.parameter} default given" or same(value, choice.value)
    if choice.fact.endswith(("Items", "Length")):
        return isinstance(value, (list, str)) and len(value) == len(choice.value)
    return same(value, choice.value)


def _bounds(trace: Trace) -> Iterator[Cover]:
    """Every rule whose breach was tried. A rule is exercised once a request that breaks it was answered."""
    endpoint = trace.endpoint
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    if submit is None:
        return
    tried: dict[str, list[int]] = {}
    for seen in trace.seen:
        if seen.reply is not None and seen.breaches:
            for name in _breach_names(seen):
                tried.setdefault(name, []).append(seen.seq)
    for case in cases.forbidden(endpoint, submit):
        fact = case.covers[0]
        name, _, keyword = fact.rpartition(".")
        parameter = endpoint.parameters.get(name)
        rule = next((r for r in endpoint.rules if r.name == fact), None)
        where = parameter.line(keyword) if parameter else rule.where if rule else submit.where
        yield _covered("bound", fact, where, tried.get(fact, []), "was not tried")


WHOLE_BODIES: Mapping[str, str] = {
    "body is not JSON": "body.json",
    "body of the wrong JSON type": "body.type",
    "unknown parameter": "body.unknown",
}
"""What is wrong with a body as a whole, and the fact that it tries."""


def _breach_names(seen: Seen) -> Iterator[str]:
    purpose = seen.exchange.purpose.removeprefix("invalid: ")
    for breach in seen.breaches:
        yield f"{breach.parameter}.{breach.rule}"
        yield breach.rule
    if seen.exchange.purpose.startswith("invalid: "):
        yield WHOLE_BODIES.get(purpose, purpose)


def _states(trace: Trace) -> Iterator[Cover]:
    for state in trace.endpoint.provider.states.values():
        found = [s.seq for job in trace.jobs for s in job.news if s.reading and state.word in s.reading.words]
        reason = "no job was seen in it" if state.status is not Status.FAILED else "no job failed"
        yield _covered("state", state.word, state.where, found, reason)


def _moves(trace: Trace) -> Iterator[Cover]:
    observed: dict[tuple[str, str], list[int]] = {}
    for job in trace.jobs:
        last: tuple[str, int] | None = None
        for seen in job.news:
            word = seen.reading.word if seen.reading else None
            if word is None:
                continue
            if last and last[0] != word:
                observed.setdefault((last[0], word), []).append(seen.seq)
            last = (word, seen.seq)
    for move in trace.endpoint.provider.moves:
        found = observed.get((move.before, move.after), [])
        yield _covered("move", f"{move.before} -> {move.after}", move.where, found, "no job was seen to make it")


def _problems(trace: Trace) -> Iterator[Cover]:
    used = {name for operation in trace.endpoint.operations.values() for name in operation.problems}
    for name, problem in trace.endpoint.provider.problems.items():
        if name in used:
            found = [
                s.seq for s in trace.seen if s.reading and name in {p.name for p in s.reading.problems} and _told(s)
            ]
            yield _covered("problem", name, problem.where, found, WHY_NOT.get(problem.kind, "was not met"))


def _told(seen: Seen) -> bool:
    return seen.reading is not None and seen.reading.alternative is None


def _outputs(trace: Trace) -> Iterator[Cover]:
    fetched = [e.seq for job in trace.jobs for e in job.media if e.reply and e.reply.status < 300]
    inline = [seq for job in trace.jobs for seq, _ in job.pictures if seq not in fetched]
    yield _covered(
        "output",
        "picture",
        trace.endpoint.outputs.where,
        [*fetched, *inline],
        "no picture was delivered or could be fetched",
    )
    expired = [s.seq for job in trace.jobs for s in job.news if _after_retention(job, s)]
    record = trace.endpoint.provider.retention.record
    if record.seconds is not None:
        yield _covered("output", "expiry", record.where, expired, f"needs a wait of {record.seconds:g} s")


def _after_retention(job: JobTrace, seen: Seen) -> bool:
    record = job.endpoint.provider.retention.record.seconds
    return job.end is not None and record is not None and seen.exchange.at - job.end[0].exchange.at >= record


def summary(coverage: Sequence[Cover]) -> dict[str, tuple[int, int]]:
    """For each kind of fact: how many were exercised, of how many."""
    counts: dict[str, tuple[int, int]] = {}
    for one in coverage:
        seen, known = counts.get(one.kind, (0, 0))
        counts[one.kind] = (seen + one.seen, known + 1)
    return counts


def missing(coverage: Sequence[Cover]) -> list[Any]:
    """The facts that were not exercised."""
    return [one for one in coverage if not one.seen]
