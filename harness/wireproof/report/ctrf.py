"""CTRF, the Common Test Report Format: JSON for dashboards that do not read JUnit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from wireproof.model import Run, Verdict
from wireproof.report.cases import Case, Fate, cases
from wireproof.report.plain import document

_STATUS = {Fate.PASSED: "passed", Fate.FAILED: "failed", Fate.ERROR: "other", Fate.SKIPPED: "skipped"}


def render(run: Run) -> str:
    """The document; `other` is what could not be told."""
    tests = [test for verdict in run.verdicts for test in _tests(run, verdict)]
    results = {
        "tool": {"name": "wireproof", "version": run.version},
        "summary": _summary(run, tests),
        "tests": tests,
        "environment": {"testEnvironment": run.target, "extra": {"command": run.command, "seed": run.seed}},
        "extra": {"run": run.id},
    }
    return document({"reportFormat": "CTRF", "specVersion": "0.0.0", "results": results}, indent=2) + "\n"


def _tests(run: Run, verdict: Verdict) -> Iterator[dict[str, Any]]:
    for case in cases(run, verdict):
        yield _test(verdict, case)


def _test(verdict: Verdict, case: Case) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": case.name,
        "status": _STATUS[case.fate],
        "duration": 0,
        "suite": [verdict.endpoint, case.group],
    }
    optional = {
        "rawStatus": case.kind,
        "message": case.message,
        "trace": case.text,
        "filePath": case.file,
        "line": case.line,
    }
    return test | {key: value for key, value in optional.items() if value}


def _summary(run: Run, tests: list[dict[str, Any]]) -> dict[str, int]:
    statuses = Counter(test["status"] for test in tests)
    start = _milliseconds(run.started)
    took = max((verdict.summary.seconds for verdict in run.verdicts), default=0.0)
    return {
        "tests": len(tests),
        "passed": statuses["passed"],
        "failed": statuses["failed"],
        "skipped": statuses["skipped"],
        "pending": 0,
        "other": statuses["other"],
        "suites": len(run.verdicts) * 3,
        "start": start,
        "stop": start + round(took * 1000),
    }


def _milliseconds(started: str) -> int:
    """Since 1970; 0 when the run does not say when it began."""
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return 0
    return round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
