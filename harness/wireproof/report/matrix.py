"""A client's run as a matrix: one line for each scenario, and what it showed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wireproof.model import Finding, Run, Severity, Verdict
from wireproof.report.plain import line

KIND = "scenario"
"""The kind of coverage that makes a line."""


class Mark(StrEnum):
    """What a scenario showed."""

    PASSED = "passed"
    FAILED = "failed"
    UNTOLD = "not told"


_SIGN = {Mark.PASSED: ("✓", "green"), Mark.FAILED: ("✗", "red"), Mark.UNTOLD: ("–", "dim")}


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario of one endpoint."""

    endpoint: str
    scenario: str
    mark: Mark
    why: str
    """What the client did wrong, or why nothing can be said."""
    checks: tuple[str, ...] = ()
    evidence: tuple[int, ...] = ()


def rows(run: Run) -> tuple[Row, ...]:
    """Every scenario of a run, in its order."""
    return tuple(row for verdict in run.verdicts for row in _rows(verdict))


def _rows(verdict: Verdict) -> Iterator[Row]:
    for cover in verdict.coverage:
        if cover.kind != KIND:
            continue
        found = [one for one in verdict.findings if one.subject.partition(":")[0] == cover.name]
        grave = [one for one in found if one.severity is Severity.VIOLATION]
        mark = Mark.FAILED if grave else Mark.PASSED if cover.seen else Mark.UNTOLD
        why = (
            "; ".join(dict.fromkeys(one.says.removeprefix(f"{cover.name}: ") for one in grave or found))
            or cover.why_not
        )
        yield Row(
            verdict.endpoint, cover.name, mark, why, _checks(grave), tuple(s for one in grave for s in one.evidence)
        )


def _checks(found: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.check for one in found))


def show(run: Run, console: Console) -> None:
    """Print the matrix."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", "scenario", "rule", "what was seen"):
        table.add_column(name, overflow="fold")
    for row in rows(run):
        sign, style = _SIGN[row.mark]
        table.add_row(
            Text(sign, style), line(row.scenario), " ".join(row.checks), Text(line(row.why), style if row.why else "")
        )
    console.print(table, highlight=False, markup=False, emoji=False)
    console.print(Text(tally(run), "bold"), highlight=False)


def tally(run: Run) -> str:
    """`60 passed, 3 failed, 7 not told`."""
    marks = [row.mark for row in rows(run)]
    return ", ".join(f"{marks.count(mark)} {mark}" for mark in Mark)


def scoreboard(columns: Sequence[tuple[str, Run]]) -> str:
    """Several clients side by side as a Markdown table: ✓, ✗ with the rules, or a dash where nothing can be said."""
    told = [{row.scenario: row for row in rows(run)} for _, run in columns]
    names = dict.fromkeys(name for known in told for name in known)
    head = ["scenario", *(name for name, _ in columns)]
    body = [[name, *(_cell(known.get(name)) for known in told)] for name in names]
    foot = ["**in all**", *(tally(run) for _, run in columns)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body, foot)) + "\n"


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    return " ".join((_SIGN[row.mark][0], *row.checks))
