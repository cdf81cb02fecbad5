"""A run as test cases, for the reports of test tools: JUnit and CTRF read the same list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from wireproof.model import Cover, Finding, Run, Severity, Verdict
from wireproof.report.reading import price_words, untold


class Fate(StrEnum):
    """What became of a case. The four stay apart."""

    PASSED = "passed"
    FAILED = "failed"
    """A documented promise is broken."""
    ERROR = "error"
    """It could not be told."""
    SKIPPED = "skipped"
    """Not exercised, or a question that nobody's promise answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that was, or was not, put to the proof."""

    group: str
    """`plan`, `facts` or `checks`."""
    name: str
    fate: Fate = Fate.PASSED
    kind: str = ""
    """Check id, `not exercised` or `could not tell`."""
    message: str = ""
    text: str = ""
    file: str = ""
    line: int = 0


def cases(run: Run, verdict: Verdict) -> Iterator[Case]:
    """The cases of one endpoint: whether the plan was carried out, every covered fact, every finding."""
    yield _plan(run, verdict)
    for cover in verdict.coverage:
        yield _fact(cover)
    threshold = failing_rank(run)
    for findings in _by_key(verdict.findings):
        yield _finding(findings, threshold)


def failing_rank(run: Run) -> int:
    """From which severity on a finding fails the run: `--fail-on`, violations when nobody said."""
    wanted = run.options.get("fail_on")
    return Severity(wanted).rank if wanted in set(Severity) else Severity.VIOLATION.rank


def _plan(run: Run, verdict: Verdict) -> Case:
    why = untold(run, verdict)
    if not why:
        return Case(group="plan", name="the plan was carried out")
    return Case(group="plan", name="the plan was carried out", fate=Fate.ERROR, kind="could not tell", message=why)


def _fact(cover: Cover) -> Case:
    fate = Fate.PASSED if cover.seen else Fate.SKIPPED
    return Case(
        group="facts",
        name=f"{cover.kind} {cover.name}",
        fate=fate,
        kind="" if cover.seen else "not exercised",
        message="" if cover.seen else _not_exercised(cover),
        file=cover.where.file,
        line=cover.where.line,
    )


def _not_exercised(cover: Cover) -> str:
    price = price_words(cover)
    return f"{cover.why_not or 'not exercised'}{f' (testing it: {price})' if price else ''}"


def _finding(findings: list[Finding], threshold: int) -> Case:
    gravest = max(findings, key=lambda finding: finding.severity.rank)
    return Case(
        group="checks",
        name=f"{gravest.check} {gravest.subject}".strip(),
        fate=Fate.FAILED if gravest.severity.rank >= threshold else Fate.SKIPPED,
        kind=f"{gravest.severity} {gravest.check}",
        message=f"{gravest.severity}: {gravest.says}",
        text="\n\n".join(map(told, findings)),
        file=gravest.where.file,
        line=gravest.where.line,
    )


def _by_key(findings: Iterable[Finding]) -> Iterable[list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.key, []).append(finding)
    return groups.values()


def told(finding: Finding) -> str:
    """The whole finding in a few lines of plain text."""
    rows = (
        ("", finding.says),
        ("expected: ", finding.expected),
        ("actual:   ", finding.actual),
        ("contract: ", place(finding)),
        ("evidence: ", " ".join(f"#{seq}" for seq in finding.evidence)),
        ("again:    ", finding.replay),
    )
    return "\n".join(f"{label}{value}" for label, value in rows if value)


def place(finding: Finding) -> str:
    """`file:line pointer`; empty when the promise stands nowhere in particular."""
    return f"{finding.where} {finding.where.pointer}".strip() if finding.where.file else ""
