"""The run as one JSON document with `findings` at the top; `specs/schema/run.schema.json` describes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wireproof.model import (
    Cover,
    Exchange,
    Finding,
    Run,
    Severity,
    Summary,
    Verdict,
    Where,
)
from wireproof.money import Money
from wireproof.report.plain import address, document
from wireproof.report.reading import outcome, overall, tally, untold

VERSION = 1
"""Goes up when a reader of the document would have to change."""


def render(run: Run) -> str:
    """The document, pretty-printed, ending in a newline. Amounts of money are text, exact."""
    return document(as_document(run), indent=2) + "\n"


def as_document(run: Run) -> dict[str, Any]:
    """The document as plain values."""
    return {
        "format": "wireproof-run",
        "format_version": VERSION,
        "id": run.id,
        "command": run.command,
        "target": run.target,
        "seed": run.seed,
        "started": run.started,
        "version": run.version,
        "options": run.options,
        "folder": run.folder,
        "verdict": overall(run),
        "counts": _counts(run.findings),
        "findings": findings_document(run.findings),
        "verdicts": [_verdict(run, verdict) for verdict in run.verdicts],
        "exchanges": [_exchange(exchange) for exchange in run.exchanges],
    }


def findings_document(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as plain values, the same in every document."""
    return [_finding(finding) for finding in findings]


def _counts(findings: tuple[Finding, ...]) -> Mapping[Severity, int]:
    return tally(findings)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.key,
        "check": finding.check,
        "severity": finding.severity,
        "endpoint": finding.endpoint,
        "subject": finding.subject,
        "says": finding.says,
        "expected": finding.expected,
        "actual": finding.actual,
        "where": _where(finding.where),
        "evidence": finding.evidence,
        "replay": finding.replay,
    }


def _verdict(run: Run, verdict: Verdict) -> dict[str, Any]:
    return {
        "endpoint": verdict.endpoint,
        "verdict": outcome(run, verdict),
        "untold": untold(run, verdict),
        "counts": _counts(verdict.findings),
        "summary": _summary(verdict.summary),
        "coverage": [_cover(cover) for cover in verdict.coverage],
        "notes": verdict.notes,
    }


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "calls": summary.calls,
        "jobs": summary.jobs,
        "seconds": summary.seconds,
        "spent": _money(summary.spent),
        "set_aside": _money(summary.held),
        "unknown_spend": summary.unknown_spend,
        "stopped": summary.stopped,
    }


def _money(money: Money | None) -> dict[str, str] | None:
    return None if money is None else {"amount": f"{money.amount:f}", "unit": money.unit}


def _cover(cover: Cover) -> dict[str, Any]:
    return {
        "kind": cover.kind,
        "name": cover.name,
        "where": _where(cover.where),
        "seen": cover.seen,
        "why_not": cover.why_not,
        "evidence": cover.evidence,
        "price": _money(cover.price),
    }


def _where(where: Where) -> dict[str, Any] | None:
    return {"file": where.file, "line": where.line, "pointer": where.pointer} if where.file else None


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {
        "seq": exchange.seq,
        "operation": exchange.operation,
        "job": exchange.job,
        "method": exchange.call.method,
        "url": address(exchange.call.url),
        "status": exchange.reply.status if exchange.reply else None,
        "broke": exchange.broke,
        "at": exchange.at,
        "took": exchange.took,
        "credential": exchange.credential,
        "channel": exchange.channel,
        "purpose": exchange.purpose,
    }
