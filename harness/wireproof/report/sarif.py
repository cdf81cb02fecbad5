"""SARIF 2.1.0 for code scanning: every finding points at the line of the contract that it breaks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from wireproof.model import Cover, Finding, Run, Severity, Where
from wireproof.report.plain import document
from wireproof.report.reading import counted, untold

_LEVEL = {Severity.VIOLATION: "error", Severity.DRIFT: "warning", Severity.QUESTION: "note"}


def render(run: Run) -> str:
    """The log with its one run."""
    return document({"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(run)]}, indent=2) + "\n"


_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def _run(run: Run) -> dict[str, Any]:
    checks = {check: number for number, check in enumerate(sorted({f.check for f in run.findings}))}
    files = _files(run)
    return {
        "tool": {"driver": {"name": "wireproof", "version": run.version, "rules": _rules(run, checks)}},
        "automationDetails": {"id": f"wireproof/{run.command}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(run)],
        "results": [_result(finding, checks, files) for finding in run.findings],
    }


def _rules(run: Run, checks: Iterable[str]) -> list[dict[str, Any]]:
    gravest = {finding.check: finding for finding in reversed(run.findings)}
    return [
        {
            "id": check,
            "name": check,
            "shortDescription": {"text": f"Check {check} of the contract"},
            "help": {"text": f"wireproof explain {check}"},
            "defaultConfiguration": {"level": _LEVEL[gravest[check].severity]},
        }
        for check in checks
    ]


def _invocation(run: Run) -> dict[str, Any]:
    """What could not be told is a notification of the tool, never a result."""
    notifications = list(_notifications(run))
    invocation: dict[str, Any] = {
        "executionSuccessful": not notifications,
        "toolExecutionNotifications": notifications,
        "properties": {"run": run.id, "target": run.target, "seed": run.seed},
    }
    return invocation | ({"startTimeUtc": run.started} if run.started else {})


def _notifications(run: Run) -> Iterator[dict[str, Any]]:
    for verdict in run.verdicts:
        if why := untold(run, verdict):
            yield {"level": "warning", "message": {"text": f"{verdict.endpoint}: could not tell: {why}"}}


def _result(finding: Finding, checks: dict[str, int], files: dict[str, str]) -> dict[str, Any]:
    return {
        "ruleId": finding.check,
        "ruleIndex": checks[finding.check],
        "level": _LEVEL[finding.severity],
        "kind": "fail",
        "message": {"text": _message(finding)},
        "locations": [_location(finding, files)],
        "partialFingerprints": {"wireproofFinding/v1": hashlib.sha256(_key(finding)).hexdigest()[:32]},
        "properties": {
            "severity": finding.severity,
            "endpoint": finding.endpoint,
            "subject": finding.subject,
            "evidence": finding.evidence,
            "replay": finding.replay,
        },
    }


def _key(finding: Finding) -> bytes:
    return finding.key.encode("utf-8", "replace")


def _message(finding: Finding) -> str:
    rows = (
        f"{finding.endpoint}: {finding.says}",
        f"Expected: {finding.expected}" if finding.expected else "",
        f"Actual: {finding.actual}" if finding.actual else "",
        f"Shown by {counted(len(finding.evidence), 'exchange')}." if finding.evidence else "",
    )
    return "\n".join(filter(None, rows))


def _location(finding: Finding, files: dict[str, str]) -> dict[str, Any]:
    """A reader such as GitHub refuses results without a file, so there always is one."""
    where = finding.where if finding.where.file else Where(files[finding.endpoint], 1, "")
    place: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": uri(where.file)},
            "region": {"startLine": max(1, where.line)},
        }
    }
    name = where.pointer or finding.endpoint
    return place | {"logicalLocations": [{"fullyQualifiedName": name, "kind": "member"}]}


def _files(run: Run) -> dict[str, str]:
    """The contract file of each endpoint: where its facts stand, or where a room keeps it by its name."""
    files = {}
    for verdict in run.verdicts:
        told: tuple[Finding | Cover, ...] = (*verdict.findings, *verdict.coverage)
        named = (fact.where.file for fact in told if fact.where.file)
        files[verdict.endpoint] = next(named, f"specs/{verdict.endpoint}.yaml")
    return {finding.endpoint: f"specs/{finding.endpoint}.yaml" for finding in run.findings} | files


def uri(file: str) -> str:
    """The file as a URI reference: relative as it is, absolute as `file:`."""
    path = PurePosixPath(file.replace("\\", "/"))
    quoted = quote(str(path), safe="/~", errors="replace")
    return f"file://{quoted}" if path.is_absolute() else quoted
