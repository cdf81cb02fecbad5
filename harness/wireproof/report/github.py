"""GitHub workflow annotations: one line per finding, shown at the contract's line in the diff."""

from __future__ import annotations

from wireproof.model import Finding, Run, Severity
from wireproof.report.plain import line, lines

_COMMAND = {Severity.VIOLATION: "error", Severity.DRIFT: "warning", Severity.QUESTION: "notice"}


def render(run: Run) -> str:
    """The lines, the gravest finding first: GitHub shows only the first ten of a kind."""
    return "".join(f"{_annotation(finding)}\n" for finding in run.findings)


def _annotation(finding: Finding) -> str:
    where = {"file": finding.where.file, "line": str(finding.where.line)} if finding.where.file else {}
    title = f"{finding.check} {finding.endpoint} {finding.subject}".strip()
    properties = ",".join(f"{name}={_property(value)}" for name, value in {**where, "title": title}.items())
    return f"::{_COMMAND[finding.severity]} {properties}::{_data(_message(finding))}"


def _message(finding: Finding) -> str:
    rows = (finding.says, _labelled("expected", finding.expected), _labelled("actual", finding.actual))
    return "\n".join(filter(None, rows))


def _labelled(label: str, value: str) -> str:
    return f"{label}: {value}" if value else ""


def _data(text: str) -> str:
    return lines(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return line(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
