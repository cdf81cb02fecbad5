"""The run on a terminal: what conforms, what does not and where, what was not looked at, what it cost."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from wireproof.model import Cover, Exchange, Finding, Run, Severity, Verdict
from wireproof.report.plain import cut, line
from wireproof.report.reading import (
    NOUN,
    SEVERITIES,
    Outcome,
    answer,
    by_number,
    counted,
    duration,
    headline,
    outcome,
    overall,
    price_words,
    shares,
    spend_words,
    tally_words,
    unseen,
    untold,
)

_SIGN = {Outcome.CONFORMS: ("✓", "green"), Outcome.DIFFERS: ("✗", "red"), Outcome.UNTOLD: ("?", "yellow")}
_STYLE = {Severity.VIOLATION: "red", Severity.DRIFT: "yellow", Severity.QUESTION: "cyan"}
_VALUE = 600
"""How many characters of an expectation or of what came are shown."""
_EACH = 8
"""How many exchanges of a finding, and facts of one reason, are named before they are counted."""
_MOST = 50
"""How many findings of one severity of one endpoint are shown before they are counted."""


def render(run: Run) -> str:
    """The same as plain text, 100 columns wide, without colours."""
    console = Console(file=io.StringIO(), width=100, color_system=None, force_terminal=False, legacy_windows=False)
    show(run, console)
    written = console.file
    assert isinstance(written, io.StringIO)  # we handed it in
    return "\n".join(row.rstrip() for row in written.getvalue().split("\n"))


def show(run: Run, console: Console) -> None:
    """Print the run. Only our own styles reach the terminal; foreign controls are spelled out."""
    exchanges = by_number(run)
    for verdict in run.verdicts:
        _print(console, _title(run, verdict))
        _print(console, Text(_facts(verdict), "dim"), left=2)
        _show_findings(verdict, exchanges, console)
        _show_coverage(verdict.coverage, console)
        _show_notes(verdict.notes, console)
        console.print()
    _show_end(run, console)


def _print(console: Console, text: Text | Table, left: int = 0) -> None:
    console.print(Padding(text, (0, 0, 0, left)), highlight=False, markup=False, emoji=False)


def _title(run: Run, verdict: Verdict) -> Text:
    said = outcome(run, verdict)
    sign, colour = _SIGN[said]
    why = untold(run, verdict)
    return Text.assemble(
        (f"{sign} ", f"bold {colour}"),
        (line(verdict.endpoint), "bold"),
        (f" {said}", colour),
        f": {line(why)}" if why else "",
    )


def _facts(verdict: Verdict) -> str:
    summary = verdict.summary
    parts = (
        tally_words(verdict.findings),
        counted(summary.calls, "call"),
        counted(summary.jobs, "job"),
        f"spent {line(spend_words(summary))}",
        duration(summary.seconds),
    )
    return " · ".join(parts)


def _show_findings(verdict: Verdict, exchanges: Mapping[int, Exchange], console: Console) -> None:
    for severity in SEVERITIES:
        chosen = [finding for finding in verdict.findings if finding.severity is severity]
        if chosen:
            _print(console, Text(f"\n{_heading(severity, len(chosen))}", f"bold {_STYLE[severity]}"), left=2)
        for finding in chosen[:_MOST]:
            _show_finding(finding, exchanges, console)
        if len(chosen) > _MOST:
            more = counted(len(chosen) - _MOST, f"more {NOUN[severity]}")
            _print(console, Text(f"… and {more}: the HTML report lists them all", "dim"), left=2)


def _heading(severity: Severity, number: int) -> str:
    return counted(number, NOUN[severity])


def _show_finding(finding: Finding, exchanges: Mapping[int, Exchange], console: Console) -> None:
    _print(
        console,
        Text.assemble((f"{line(finding.check)} ", _STYLE[finding.severity]), line(finding.says)),
        left=2,
    )
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for label, value in _rows(finding, exchanges):
        rows.add_row(label, Text(cut(line(value), _VALUE)))
    if rows.row_count:
        _print(console, rows, left=4)
    if finding.replay:
        # One line however narrow the terminal is, so that it can be copied as it stands.
        again = Text.assemble(("    again    ", "dim"), line(finding.replay))
        console.print(again, soft_wrap=True, highlight=False, markup=False, emoji=False)


def _rows(finding: Finding, exchanges: Mapping[int, Exchange]) -> Iterator[tuple[str, str]]:
    if finding.expected:
        yield "expected", finding.expected
    if finding.actual:
        yield "actual", finding.actual
    if finding.where.file:
        yield "contract", f"{finding.where} {finding.where.pointer}".rstrip()
    if finding.evidence:
        yield "seen in", _seen_in(finding.evidence, exchanges)


def _seen_in(evidence: tuple[int, ...], exchanges: Mapping[int, Exchange]) -> str:
    named = [_exchange(seq, exchanges.get(seq)) for seq in evidence[:_EACH]]
    return ", ".join(named) + (f" and {len(evidence) - _EACH} more" if len(evidence) > _EACH else "")


def _exchange(seq: int, exchange: Exchange | None) -> str:
    if exchange is None:
        return f"#{seq}"
    return f"#{seq} {exchange.operation or exchange.call.method} {answer(exchange)}"


def _show_coverage(coverage: tuple[Cover, ...], console: Console) -> None:
    if not coverage:
        return
    seen = sum(cover.seen for cover in coverage)
    kinds = ", ".join(f"{line(share.kind)} {share.text}" for share in shares(coverage))
    _print(console, Text.assemble(f"\nexercised {seen} of {len(coverage)} facts  ", (kinds, "dim")), left=2)
    for reason, covers in unseen(coverage).items():
        # What has a price is named one by one: somebody has to decide whether to pay it.
        most = len(covers) if any(cover.price for cover in covers) else _EACH
        names = ", ".join(_fact(cover) for cover in covers[:most])
        rest = f" and {len(covers) - most} more" if len(covers) > most else ""
        _print(console, Text.assemble(("not exercised: ", "yellow"), line(f"{names}{rest}: {reason}")), left=4)


def _fact(cover: Cover) -> str:
    price = price_words(cover)
    return f"{cover.kind} {cover.name}{f' ({price})' if price else ''}"


def _show_notes(notes: Iterable[str], console: Console) -> None:
    for note in notes:
        _print(console, Text.assemble(("note: ", "dim"), line(note)), left=2)


def _show_end(run: Run, console: Console) -> None:
    sign, colour = _SIGN[overall(run)]
    _print(
        console,
        Text.assemble((f"{sign} {line(headline(run))}", f"bold {colour}"), f"  {tally_words(run.findings)}"),
    )
    how = f"{run.command} of {run.target} · seed {run.seed} · wireproof {run.version} · run {run.id}"
    _print(console, Text(line(how), "dim"))


Event = Exchange | Finding | Verdict
"""What long work tells of itself while it is under way."""


class Progress:
    """Long work, live: a bar per endpoint while it runs, one line when it is done.

    Hand it to whoever works as a plain callable: it is told each Exchange and Finding as they come and
    the Verdict at the end. Where the console is no terminal, only the lines at the end are printed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f} calls", markup=False),
            TextColumn("{task.fields[found]}", style="red", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._findings = 0

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, endpoint: str, calls: int | None = None) -> None:
        """The work on an endpoint begins; `calls` is about how many there will be, if that is known."""
        self._findings = 0
        self._task = self._bars.add_task(line(endpoint), total=calls, found="")

    def __call__(self, event: Event) -> None:
        """Take note of one thing that happened."""
        match event:
            case Exchange():
                self._move(calls=1)
            case Finding():
                self._findings += 1
                self._move()
            case Verdict():
                self._end(event)

    def _move(self, calls: int = 0) -> None:
        found = counted(self._findings, "finding") if self._findings else ""
        if self._task is not None:
            self._bars.update(self._task, advance=calls, found=found)

    def _end(self, verdict: Verdict) -> None:
        if self._task is not None:
            self._bars.refresh()
            self._bars.remove_task(self._task)
            self._task = None
        _print(self._console, Text.assemble((line(verdict.endpoint), "bold"), f"  {_facts(verdict)}"))
