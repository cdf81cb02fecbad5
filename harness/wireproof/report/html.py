"""The run as one self-contained page: opens from disk, loads nothing, and runs no script but its own."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wireproof.model import Cover, Exchange, Finding, Run, Verdict
from wireproof.report import timeline
from wireproof.report.plain import SHOWN, address, body, cut, document, line, masked
from wireproof.report.reading import (
    NOUN,
    SEVERITIES,
    Outcome,
    all_spend_words,
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
    tally,
    unseen,
    untold,
)
from wireproof.report.sheet import sheet

STATIC = 25
"""How many findings stand in the page itself, for readers without scripts and for the first paint."""
PICTURES = 24
"""How many jobs are drawn."""
BODIES = 2_000
"""How many of the exchanges that findings cite are told with headers and bodies."""
PACKED = 250_000
"""From this many characters on the data is compressed."""
NAMED = 400
"""How many facts of one reason are listed."""

_TONE = {Outcome.CONFORMS: "good", Outcome.DIFFERS: "bad", Outcome.UNTOLD: "warn"}
_SIGN = {Outcome.CONFORMS: "✓", Outcome.DIFFERS: "✗", Outcome.UNTOLD: "?"}


def render(run: Run) -> str:
    """The page. Templates come from the nearest `reports/templates`, a user's own before the shipped ones."""
    return sheet("run.html.j2", _page(run), styles=("run.css",), script="run.js", data=_data(run))


# ------------------------------------------------------------------------------------ what is static


def _page(run: Run) -> dict[str, Any]:
    said = overall(run)
    return {
        "title": line(headline(run)),
        "tone": _TONE[said],
        "sign": _SIGN[said],
        "facts": _facts(run),
        "cards": [_card(run, number, verdict) for number, verdict in enumerate(run.verdicts)],
        "tally": [(severity.value, NOUN[severity], n) for severity, n in tally(run.findings).items()],
        "total": len(run.findings),
        "findings": [_shown(run, finding) for finding in run.findings[:STATIC]],
        "endpoints": [line(verdict.endpoint) for verdict in run.verdicts],
        "jobs": _jobs(run),
        "matrix": _matrix(run),
        "spend": _spend(run),
        "notes": [(line(verdict.endpoint), [line(note) for note in verdict.notes]) for verdict in run.verdicts],
        "method": [(name, line(value)) for name, value in _method(run)],
    }


def _facts(run: Run) -> list[str]:
    summaries = [verdict.summary for verdict in run.verdicts]
    return [
        counted(len(summaries), "endpoint"),
        counted(len(run.findings), "finding"),
        counted(sum(summary.calls for summary in summaries), "call"),
        counted(sum(summary.jobs for summary in summaries), "job"),
        f"spent {line(all_spend_words(run))}",
        duration(max((summary.seconds for summary in summaries), default=0.0)),
    ]


def _card(run: Run, number: int, verdict: Verdict) -> dict[str, Any]:
    said = outcome(run, verdict)
    provider, _, model = line(verdict.endpoint).rpartition("/")
    seen = sum(cover.seen for cover in verdict.coverage)
    return {
        "number": number,
        "provider": provider,
        "model": model,
        "said": str(said),
        "tone": _TONE[said],
        "sign": _SIGN[said],
        "why": line(untold(run, verdict)),
        "counts": [
            (severity.value, counted(n, NOUN[severity])) for severity, n in tally(verdict.findings).items() if n
        ],
        "calls": counted(verdict.summary.calls, "call"),
        "jobs": counted(verdict.summary.jobs, "job"),
        "spend": line(spend_words(verdict.summary)),
        "seen": seen,
        "total": len(verdict.coverage),
        "bar": _bar(seen, len(verdict.coverage)),
    }


def _bar(part: int, whole: int) -> int:
    """Of 100; full only when nothing is missing, empty only when nothing is there."""
    if not whole or not part:
        return 0
    return 100 if part >= whole else min(99, max(1, round(100 * part / whole)))


def _shown(run: Run, finding: Finding) -> dict[str, Any]:
    exchanges = by_number(run) if finding.evidence else {}
    return {
        "severity": finding.severity.value,
        "check": line(finding.check),
        "endpoint": line(finding.endpoint),
        "says": line(finding.says),
        "rows": [(name, cut(line(value))) for name, value in _rows(finding) if value],
        "evidence": [_brief(seq, exchanges.get(seq)) for seq in finding.evidence[:20]],
        "replay": cut(line(finding.replay)),
    }


def _rows(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "Expected", finding.expected
    yield "Actual", finding.actual
    yield "About", finding.subject
    yield "Contract", f"{finding.where} {finding.where.pointer}".rstrip() if finding.where.file else ""


def _brief(seq: int, exchange: Exchange | None) -> str:
    if exchange is None:
        return f"#{seq}"
    call = exchange.call
    return line(f"#{seq} {call.method} {cut(address(call.url), 300)} → {answer(exchange)}")


def _jobs(run: Run) -> dict[str, Any]:
    owners = _owners(run)
    jobs = timeline.by_job(run.exchanges)
    drawn = timeline.pictures(run, timeline.worth_drawing(run, PICTURES))
    endpoints = {line(job): line(_owner(exchanges, owners)) for job, exchanges in jobs.items()}
    return {
        "total": len(jobs),
        "drawn": [(endpoints[picture.job], picture) for picture in drawn],
        "width": timeline.WIDTH,
    }


def _owners(run: Run) -> Mapping[int, str]:
    """To which endpoint an exchange belongs, as far as findings and coverage tell."""
    return {seq: verdict.endpoint for verdict in reversed(run.verdicts) for seq in _cited(verdict)}


def _cited(verdict: Verdict) -> Iterator[int]:
    for cover in verdict.coverage:
        yield from cover.evidence
    for finding in verdict.findings:
        yield from finding.evidence


def _owner(exchanges: Iterable[Exchange], owners: Mapping[int, str]) -> str:
    return next((owners[exchange.seq] for exchange in exchanges if exchange.seq in owners), "")


def _matrix(run: Run) -> dict[str, Any]:
    kinds = [share.kind for share in shares(cover for verdict in run.verdicts for cover in verdict.coverage)]
    return {
        "kinds": [line(kind) for kind in kinds],
        "rows": [_coverage(number, verdict, kinds) for number, verdict in enumerate(run.verdicts)],
    }


def _coverage(number: int, verdict: Verdict, kinds: Iterable[str]) -> dict[str, Any]:
    known = {share.kind: share for share in shares(verdict.coverage)}
    cells = [known.get(kind) for kind in kinds]
    return {
        "number": number,
        "endpoint": line(verdict.endpoint),
        "cells": [(cell.seen, cell.total, _bar(cell.seen, cell.total)) if cell else None for cell in cells],
        "missing": sum(not cover.seen for cover in verdict.coverage),
        "reasons": [(line(why), _names(covers)) for why, covers in unseen(verdict.coverage).items()],
    }


def _names(covers: list[Cover]) -> dict[str, Any]:
    rows = [
        (
            line(cover.kind),
            line(cover.name),
            line(str(cover.where)) if cover.where.file else "",
            line(price_words(cover)),
        )
        for cover in covers
    ]
    return {"rows": rows[:NAMED], "more": max(0, len(rows) - NAMED)}


def _spend(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "endpoint": line(verdict.endpoint),
            "calls": f"{verdict.summary.calls:,}",
            "jobs": f"{verdict.summary.jobs:,}",
            "spent": line(str(verdict.summary.spent)) if verdict.summary.spent is not None else "unknown",
            "aside": line(str(verdict.summary.held)) if verdict.summary.held is not None else "–",
            "unknown": f"{verdict.summary.unknown_spend:,}",
            "seconds": duration(verdict.summary.seconds),
        }
        for verdict in run.verdicts
    ]


def _method(run: Run) -> Iterator[tuple[str, str]]:
    yield "Command", run.command
    yield "Target", run.target
    yield "Seed", str(run.seed)
    yield "Started", run.started
    yield "wireproof", run.version
    yield "Run", run.id
    if run.folder:
        yield "Folder", run.folder
    for name, value in run.options.items():
        yield f"Option {line(str(name))}", str(value)


# ------------------------------------------------------------------------------ what the script reads


def _data(run: Run) -> str:
    """The findings and their exchanges as JSON that no HTML parser can mistake for mark-up."""
    words = _Words()
    findings = [_packed_finding(finding, words) for finding in run.findings]
    exchanges = [_packed_exchange(exchange, words, whole) for exchange, whole in _cited_exchanges(run)]
    text = document({"words": words.listed, "findings": findings, "exchanges": exchanges})
    return _harmless(text if len(text) < PACKED else document({"packed": _pack(text)}))


def _pack(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _harmless(text: str) -> str:
    """U+2028 and U+2029 are escaped already: the JSON is pure ASCII."""
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@dataclass(slots=True)
class _Words:
    """Every text once: findings repeat themselves."""

    numbers: dict[str, int]

    def __init__(self) -> None:
        self.numbers = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    @property
    def listed(self) -> list[str]:
        return list(self.numbers)


def _packed_finding(finding: Finding, words: _Words) -> list[Any]:
    rows = [words(cut(line(value))) for _, value in _rows(finding)]
    said = [words(line(text)) for text in (finding.endpoint, finding.check, finding.says)]
    return [
        SEVERITIES.index(finding.severity),
        *said,
        *rows,
        words(line(finding.replay)),
        list(finding.evidence),
    ]


def _cited_exchanges(run: Run) -> Iterator[tuple[Exchange, bool]]:
    """The exchanges that findings cite, and whether there is room for their bodies."""
    exchanges = by_number(run)
    cited = dict.fromkeys(seq for finding in run.findings for seq in finding.evidence if seq in exchanges)
    for number, seq in enumerate(cited):
        yield exchanges[seq], number < BODIES


def _packed_exchange(exchange: Exchange, words: _Words, whole: bool) -> list[Any]:
    call, reply = exchange.call, exchange.reply
    good = exchange.broke is None and reply is not None and reply.status < 400
    brief = (
        exchange.operation,
        exchange.job or "",
        call.method,
        cut(address(call.url)),
        answer(exchange),
        exchange.purpose,
    )
    times = (f"+{duration(exchange.at)}", duration(exchange.took))
    told = [words(line(text)) for text in (*brief, *times)]
    return [exchange.seq, int(good), *told, *(map(words, _bodies(exchange)) if whole else ())]


def _bodies(exchange: Exchange) -> tuple[str, str, str, str]:
    call, reply = exchange.call, exchange.reply
    asked = body(call.body, call.header("content-type") or "")
    if reply is None:
        return _headers(call.headers), asked, "", ""
    return (
        _headers(call.headers),
        asked,
        _headers(reply.headers),
        body(reply.body, reply.header("content-type") or ""),
    )


def _headers(headers: tuple[tuple[str, str], ...]) -> str:
    return cut("\n".join(line(f"{name}: {value}") for name, value in masked(headers)), SHOWN)
