"""GitHub-flavoured Markdown: fit for a pull request, and short enough for a step summary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from wireproof.model import Finding, Run, Verdict
from wireproof.report.cases import place
from wireproof.report.plain import cut, line, lines
from wireproof.report.reading import (
    NOUN,
    SEVERITIES,
    Outcome,
    counted,
    duration,
    headline,
    outcome,
    price_words,
    shares,
    spend_words,
    tally_words,
    unseen,
    untold,
)

MOST = 200
"""How many findings are told in full: GitHub takes step summaries of at most 1 MiB."""

_CELL = 400
_BLOCK = 1_500
_SIGN = {Outcome.CONFORMS: "✅", Outcome.DIFFERS: "❌", Outcome.UNTOLD: "❔"}


def render(run: Run) -> str:
    """The page. Foreign text is escaped, so it can neither form nor break any mark-up."""
    parts = (_head(run), _verdicts(run), _findings(run), _unexercised(run), _notes(run), _method(run))
    return "\n".join(row for part in parts for row in part).rstrip("\n") + "\n"


def _head(run: Run) -> Iterator[str]:
    yield f"# {prose(headline(run))}"
    yield ""


def _verdicts(run: Run) -> Iterator[str]:
    if run.verdicts:
        yield from _table(
            ("Endpoint", "Verdict", "Findings", "Exercised", "Calls", "Jobs", "Spent"),
            (_verdict_row(run, verdict) for verdict in run.verdicts),
        )


def _verdict_row(run: Run, verdict: Verdict) -> tuple[str, ...]:
    said, why = outcome(run, verdict), untold(run, verdict)
    seen = sum(cover.seen for cover in verdict.coverage)
    return (
        code(verdict.endpoint),
        f"{_SIGN[said]} {said}{f': {prose(why)}' if why else ''}",
        tally_words(verdict.findings),
        f"{seen} of {len(verdict.coverage)}",
        f"{verdict.summary.calls:,}",
        f"{verdict.summary.jobs:,}",
        prose(spend_words(verdict.summary)),
    )


def _findings(run: Run) -> Iterator[str]:
    shown = run.findings[:MOST]
    for severity in SEVERITIES:
        chosen = [finding for finding in shown if finding.severity is severity]
        if chosen:
            yield f"## {NOUN[severity].capitalize()}{'' if severity.value == 'drift' else 's'}"
            yield ""
            for finding in chosen:
                yield from _finding(finding)
    if len(run.findings) > MOST:
        yield f"{counted(len(run.findings) - MOST, 'further finding')}: see the HTML or the JSON report."
        yield ""


def _finding(finding: Finding) -> Iterator[str]:
    yield f"### {code(finding.check)} {prose(finding.says)}"
    yield ""
    yield from _table(
        ("", ""),
        (
            (label, code(cut(value, _CELL)))
            for label, value in (
                ("Endpoint", finding.endpoint),
                ("About", finding.subject),
                ("Expected", finding.expected),
                ("Actual", finding.actual),
                ("Contract", place(finding)),
                ("Exchanges", " ".join(f"#{seq}" for seq in finding.evidence)),
            )
            if value
        ),
    )
    if finding.replay:
        yield from _block("sh", finding.replay)


def _unexercised(run: Run) -> Iterator[str]:
    rows = [row for verdict in run.verdicts for row in _coverage_rows(verdict)]
    if rows:
        yield "## Not exercised"
        yield ""
        yield from _table(("Endpoint", "Fact", "Why not", "Testing it costs"), rows[:MOST])
        if len(rows) > MOST:
            yield f"{counted(len(rows) - MOST, 'further fact')}: see the HTML or the JSON report."
            yield ""
    if any(verdict.coverage for verdict in run.verdicts):
        yield "## Exercised"
        yield ""
        for verdict in run.verdicts:
            kinds = ", ".join(f"{line(share.kind)} {share.text}" for share in shares(verdict.coverage))
            yield f"- {code(verdict.endpoint)}: {prose(kinds) or 'nothing to exercise'}"
        yield ""


def _coverage_rows(verdict: Verdict) -> Iterator[tuple[str, ...]]:
    for reason, covers in unseen(verdict.coverage).items():
        for cover in covers:
            fact = f"{prose(cover.kind)} {code(cover.name)}"
            yield code(verdict.endpoint), fact, prose(cut(reason, _CELL)), prose(price_words(cover))


def _notes(run: Run) -> Iterator[str]:
    noted = [(verdict.endpoint, note) for verdict in run.verdicts for note in verdict.notes]
    if noted:
        yield "## Notes"
        yield ""
        yield from (f"- {code(endpoint)}: {prose(note)}" for endpoint, note in noted)
        yield ""


def _method(run: Run) -> Iterator[str]:
    seconds = max((verdict.summary.seconds for verdict in run.verdicts), default=0.0)
    yield (
        f"wireproof {prose(run.version)}, {prose(run.command)} of {code(run.target)}, seed {run.seed}, "
        f"started {prose(run.started)}, took {duration(seconds)}, run {code(run.id)}"
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _block(language: str, text: str) -> Iterator[str]:
    shown = lines(cut(text, _BLOCK))
    fence = "`" * max(3, _longest_run(shown) + 1)
    yield f"{fence}{language}"
    yield shown
    yield fence
    yield ""


_MARKS = re.compile(r"([\\`*_{}\[\]()<>#!|~&:@$]|(?<=www)\.)", re.IGNORECASE)


def prose(text: str) -> str:
    """Foreign words within a sentence: every character that Markdown could read is escaped."""
    return _MARKS.sub(r"\\\1", line(text))


def code(text: str) -> str:
    """Foreign text as a code span that nothing inside can end, in a table cell or out of one."""
    shown = _PIPE.sub(_pipe, line(text))
    if not shown.strip():
        return ""
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


_PIPE = re.compile(r"\\*\|")


def _pipe(match: re.Match[str]) -> str:
    """Readers disagree on backslashes before a pipe in a table: such a pipe is spelled out."""
    return "\\|" if match[0] == "|" else f"{match[0][:-1]}\\u007c"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
