"""What a run has answered of a contract's open questions, as a proposed change to the contract.

Nothing is changed by itself: the proposal names file and line, what stands there, what was seen, and the
exchanges that show it. A person takes it over, with the run as its source.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from wireproof.check.trace import Trace, read
from wireproof.lifecycle import Status
from wireproof.model import Does, Endpoint, Exchange, Run, Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One open question of a contract, and what a run saw."""

    endpoint: str
    question: str
    stands: Any
    """What the contract says now."""
    seen: Any
    """What was seen."""
    where: Where
    evidence: tuple[int, ...]


def answers(endpoint: Endpoint, exchanges: Sequence[Exchange], prefix: str = "") -> list[Answer]:
    """Every question of the contract that these exchanges answer."""
    trace = read(endpoint, exchanges, prefix)
    return [*_problems(trace), *_states(trace), *_early(trace), *_types(trace)]


def _answer(trace: Trace, question: str, stands: Any, seen: Any, where: Where, evidence: Sequence[int]) -> Answer:
    return Answer(
        endpoint=trace.endpoint.name,
        question=question,
        stands=stands,
        seen=seen,
        where=where,
        evidence=tuple(evidence[:5]),
    )


def _problems(trace: Trace) -> Iterator[Answer]:
    """Error replies whose number nobody documents, and that were met."""
    for problem in trace.endpoint.provider.problems.values():
        if problem.evidence.binds:
            continue
        met = [
            s
            for s in trace.seen
            if s.reading
            and s.reading.alternative is None
            and s.reply
            and problem in s.reading.problems[:1]
            and "staged" not in s.exchange.purpose
        ]
        codes = sorted({s.reply.status for s in met if s.reply})
        if met:
            yield _answer(
                trace,
                f"with which code {problem.name} is told",
                list(problem.statuses),
                codes,
                problem.where,
                [s.seq for s in met],
            )


def _states(trace: Trace) -> Iterator[Answer]:
    """States that the host does not document, and in which a job was seen."""
    for state in trace.endpoint.provider.states.values():
        found = [s.seq for job in trace.jobs for s in job.news if s.reading and state.word in s.reading.words]
        if found and not state.evidence.binds:
            yield _answer(
                trace,
                f"whether there is a state {state.word}",
                state.evidence.confidence.value,
                "seen",
                state.where,
                found,
            )


def _early(trace: Trace) -> Iterator[Answer]:
    """What the result address answers before the job is over."""
    result = trace.endpoint.doing(Does.RESULT)
    if result is None:
        return
    early = [
        s
        for s in trace.seen
        if "early" in s.exchange.purpose and s.reply and not (s.reading and s.reading.status is Status.SUCCEEDED)
    ]
    alternative = next((a for a in result.alternatives if not a.evidence.binds), None)
    if early and alternative is not None:
        codes = sorted({s.reply.status for s in early if s.reply})
        yield _answer(
            trace,
            "what a result that is asked for too early is answered with",
            list(alternative.statuses),
            codes,
            alternative.where,
            [s.seq for s in early],
        )


def _types(trace: Trace) -> Iterator[Answer]:
    """Disputed types and value sets: which of the rivals were taken."""
    for parameter in trace.endpoint.parameters.values():
        for keyword, proof in parameter.facts.items():
            if proof.binds or keyword != "type":
                continue
            taken: dict[str, list[int]] = {}
            for seen in trace.seen:
                if (
                    seen.operation
                    and seen.operation.does.bills
                    and parameter.name in seen.values
                    and seen.let_in
                    and seen.reply
                ):
                    kind = _kind(seen.values[parameter.name])
                    answer = "accepted" if seen.accepted else f"refused with {seen.reply.status}"
                    taken.setdefault(f"{kind}: {answer}", []).append(seen.seq)
            if taken:
                yield _answer(
                    trace,
                    f"of which type {parameter.name} is",
                    parameter.schema.get("type"),
                    sorted(taken),
                    parameter.line(keyword),
                    [seq for seqs in taken.values() for seq in seqs[:1]],
                )


def _kind(value: Any) -> str:
    table = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
        type(None): "null",
    }
    return table[type(value)]


def proposal(run: Run, found: Sequence[Answer]) -> str:
    """The answers as a YAML file that a person reads and takes over, each with the evidence block to paste."""
    day = run.started[:10]
    lines = [
        f"# What run {run.id} of {run.target} answered, {day}. Take over what convinces you; nothing was changed.",
        f"source: {json.dumps(f'run {run.id} against {urlsplit(run.target).netloc or run.target}')}",
        f"read: {json.dumps(day)}",
        "answers:" if found else "answers: []",
    ]
    for one in found:
        lines += [
            f"  - at: {json.dumps(str(one.where))}",
            f"    pointer: {json.dumps(one.where.pointer)}",
            f"    endpoint: {json.dumps(one.endpoint)}",
            f"    question: {json.dumps(one.question)}",
            f"    stands: {json.dumps(one.stands)}",
            f"    seen: {json.dumps(one.seen)}",
            f"    evidence: {{source: live-run, read: {json.dumps(day)}, confidence: sample, note: {_note(run, one)}}}",
        ]
    return "\n".join(lines) + "\n"


def _note(run: Run, one: Answer) -> str:
    return json.dumps(f"Seen in run {run.id}, exchanges {', '.join(map(str, one.evidence))}.")
