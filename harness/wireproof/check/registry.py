"""Checks: a record and a function each, and the table of all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from wireproof.check.trace import JobTrace, Seen, Trace
from wireproof.model import NOWHERE, Evidence, Finding, Severity, Where


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is judged. `reads` is what its function is handed."""

    id: str
    name: str
    reads: type
    trips_on: tuple[str, ...]
    """Names of the defects that it must hear."""
    judge: Callable[[Any], Iterator[Finding]]
    alone: bool = False
    """Whether one exchange shows a finding of it by itself."""

    @property
    def promise(self) -> str:
        """The first line of its page."""
        return inspect.cleandoc(self.judge.__doc__ or "").partition("\n")[0]

    @property
    def page(self) -> str:
        """What it promises and what breaks for a client when the promise fails."""
        return inspect.cleandoc(self.judge.__doc__ or "")


CHECKS: dict[str, Check] = {}

MOST_SHOWN = 20
"""So many exchanges are named as evidence of one finding: the latest, which are the smallest after a search."""


def check(
    *, id: str, reads: type, trips_on: tuple[str, ...] = (), alone: bool | None = None
) -> Callable[[Callable[[Any], Iterator[Finding]]], Check]:
    """Enter a function into the table of checks. `alone`: whether one exchange shows a finding by itself; None: if
    it is handed exchanges."""

    def enter(judge: Callable[[Any], Iterator[Finding]]) -> Check:
        if id in CHECKS:
            raise ValueError(f"two checks are called {id}")
        single = reads is Seen if alone is None else alone
        CHECKS[id] = Check(id, judge.__name__.replace("_", " "), reads, trips_on, judge, single)
        return CHECKS[id]

    return enter


def judge(trace: Trace, checks: Iterable[Check] | None = None) -> tuple[Finding, ...]:
    """Every finding of every check over one recording; the same finding seen twice is told once."""
    found: dict[str, Finding] = {}
    for one in checks or CHECKS.values():
        for heard in _hear(one, trace):
            named = replace(heard, check=one.id, endpoint=trace.endpoint.name)
            known = found.get(named.key)
            found[named.key] = named if known is None else _joined(known, named)
    return tuple(found.values())


OF_ONE_REPLY = frozenset({"JOB001", "JOB005", "LNK001"})
"""Checks of jobs that hold for each reply by itself, whichever job it is about."""


def _hear(one: Check, trace: Trace) -> Iterator[Finding]:
    if one.reads is Seen:
        for seen in trace.seen:
            if seen.counts:
                known = seen.told.get(one.id)
                if known is None:
                    known = seen.told[one.id] = tuple(one.judge(seen))
                yield from known
    elif one.reads is JobTrace:
        for job in trace.jobs:
            if not job.tangled and (not job.misled or one.id in OF_ONE_REPLY):
                yield from one.judge(job)
    else:
        yield from one.judge(trace)


def _joined(a: Finding, b: Finding) -> Finding:
    graver = a if a.severity.rank >= b.severity.rank else b
    return replace(graver, evidence=tuple(sorted({*a.evidence, *b.evidence})[-MOST_SHOWN:]))


def finding(
    says: str,
    *,
    subject: str,
    proof: Evidence | None = None,
    where: Where = NOWHERE,
    evidence: Iterable[int] = (),
    expected: str = "",
    actual: str = "",
    severity: Severity | None = None,
) -> Finding:
    """A finding; its severity follows from the evidence of the promise it breaks unless it is given."""
    graded = severity or (Severity.VIOLATION if proof is None or proof.binds else Severity.QUESTION)
    return Finding(
        check="",
        severity=graded,
        endpoint="",
        says=says,
        expected=expected,
        actual=actual,
        where=where,
        evidence=tuple(evidence),
        subject=subject,
    )
