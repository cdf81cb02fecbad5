"""What a recording says of an endpoint: findings, coverage, money, and what could not be told."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from wireproof.check import again
from wireproof.check import jobs as job_checks
from wireproof.check import money as _money  # noqa: F401
from wireproof.check import outputs as _outputs  # noqa: F401
from wireproof.check import relations as _relations_checks  # noqa: F401
from wireproof.check import replies as reply_checks
from wireproof.check.cover import cover
from wireproof.check.media import Eyes, from_base64, from_data_uri
from wireproof.check.registry import CHECKS, judge
from wireproof.check.trace import Reader, Seen, Trace
from wireproof.ledger import Ledger
from wireproof.lifecycle import Status
from wireproof.load.quantiles import not_seen
from wireproof.model import Credential, Endpoint, Exchange, Finding, Severity, Summary, Verdict
from wireproof.money import Money
from wireproof.runlog import Digest
from wireproof.spec.values import price_of

SEVERAL = 3
"""So many jobs that all failed say that something is wrong with the requests or with the day."""

FEW = 10
"""Fewer answers than this say nothing of defects that strike at random."""


def verdict(
    endpoint: Endpoint,
    exchanges: tuple[Exchange, ...],
    *,
    prefix: str = "",
    stopped: str = "",
    eyes: Eyes | None = None,
) -> Verdict:
    """What a recording says of an endpoint. The same for a live run, a journal, a client's traffic and a HAR.

    `eyes`: those that have looked at its pictures already.
    """
    return judged(Reader(endpoint, prefix), exchanges, stopped, eyes)


def judged(reader: Reader, exchanges: tuple[Exchange, ...], stopped: str, eyes: Eyes | None) -> Verdict:
    endpoint, trace = reader.endpoint, reader.read(exchanges)
    look(trace, eyes)
    found = tuple(_with_replay(trace, exchanges, one) for one in judge(trace))
    if not stopped and not any(one.severity is Severity.VIOLATION for one in found):
        stopped = _no_success(trace)
    return Verdict(
        endpoint=endpoint.name,
        findings=found,
        coverage=cover(trace),
        summary=_summary(endpoint, trace, exchanges, stopped),
        notes=tuple(_notes(trace, stopped)),
    )


def with_money(verdict: Verdict, ledger: Ledger | None, runs: Iterable[str]) -> Verdict:
    """The verdict with what a ledger knows of the money of these runs; with its own figures where none was kept.

    What jobs were understood to cost is no bill: one whose answer was lost is understood to be none.
    """
    if ledger is None:
        return verdict
    share = ledger.share(tuple(f"{run} {verdict.endpoint} " for run in runs))
    told = replace(verdict.summary, spent=share.spent, held=share.reserved, unknown_spend=share.unknown)
    return replace(verdict, summary=told)


def nothing_heard(trace: Trace) -> str:
    """Why a whole run says nothing of jobs: none was taken, or none was seen to end."""
    starts = [seen for seen in trace.seen if seen.operation and seen.operation.does.bills and _is_fair(seen)]
    if not any(seen.reading and seen.reading.alternative for seen in starts):
        told = sorted({str(seen.reply.status) if seen.reply else str(seen.exchange.broke) for seen in starts})
        return f"could not tell: no job was accepted (answers: {', '.join(told)}), so no job was judged"
    jobs = [job for job in trace.jobs if job.taken and job.submit in starts and len(job.news) > 1]
    if jobs and not any(job.end for job in trace.jobs):
        return f"could not tell: none of {len(jobs)} accepted jobs was seen to end, so nothing delivered was judged"
    fetched = [exchange for job in trace.jobs for exchange in job.media]
    if fetched and not any(one.reply is not None and one.reply.status < 300 for one in fetched):
        return f"could not tell: none of {len(fetched)} pictures could be fetched, so none was judged"
    return ""


def _is_fair(seen: Seen) -> bool:
    """A request that deserves a good answer: with our key, and within the rules."""
    return seen.exchange.credential is Credential.GOOD and not seen.breaches and not reply_checks.expected_kinds(seen)


def _no_success(trace: Trace) -> str:
    """Why nothing can be said of what is delivered, where jobs were followed to their end and none succeeded."""
    ended = [job for job in trace.jobs if job.taken and job.end is not None]
    if len(ended) < SEVERAL or any(job.outcome is Status.SUCCEEDED for job in ended):
        return ""
    reasons = {seen.reading.text("job.error")[:80] for job in ended for seen in job.news if seen.reading} - {""}
    why = f" ({'; '.join(sorted(reasons)[:2])})" if reasons else ""
    return f"could not tell: none of {len(ended)} jobs succeeded{why}, so nothing that is delivered was judged"


def look(trace: Trace, eyes: Eyes | None = None) -> None:
    """Decode what was delivered, in a bounded child; `eyes` may have done it already."""
    with Eyes.lent(eyes) as watching:
        for job in trace.jobs:
            for exchange in job.media:
                if (body := picture_in(exchange)) is not None:
                    job.pictures[exchange.seq, exchange.output or 0] = watching.look(body)
            for seen in job.results:
                for i, output in enumerate(seen.reading.outputs if seen.reading else ()):
                    if output.data:
                        job.pictures[seen.seq, i] = watching.look(_bytes(output.data))


def picture_in(exchange: Exchange) -> bytes | None:
    """What was fetched, where it was and has been kept whole."""
    reply = exchange.reply
    if reply is None or reply.status >= 300 or isinstance(reply.body, Digest):
        return None
    return reply.body if exchange.operation == "media" or exchange.output is not None else None


def _bytes(data: bytes) -> bytes:
    """The bytes of an inline output: raw, base64 or a data URI."""
    if data[:5] == b"data:":
        try:
            return from_data_uri(data.decode("ascii"), 64 << 20)[1]
        except (ValueError, UnicodeDecodeError):
            return data
    if data[:4] in (b"\x89PNG", b"RIFF") or data[:2] == b"\xff\xd8":
        return data
    try:
        return from_base64(data.decode("ascii"), 64 << 20)
    except (ValueError, UnicodeDecodeError):
        return data


def _with_replay(trace: Trace, exchanges: tuple[Exchange, ...], one: Finding) -> Finding:
    if one.replay:
        return one
    return replace(one, replay=again.line(trace, one, exchanges, CHECKS[one.check]))


def _summary(endpoint: Endpoint, trace: Trace, exchanges: tuple[Exchange, ...], stopped: str) -> Summary:
    taken = [job for job in trace.jobs if job.taken]
    prices = [price_of(endpoint, job.values) for job in taken]
    known = [price for price in prices if price is not None]
    return Summary(
        endpoint=endpoint.name,
        calls=len(exchanges),
        jobs=len(taken),
        seconds=max((e.at + e.took for e in exchanges), default=0.0),
        spent=functools.reduce(Money.__add__, known) if known else None,
        unknown_spend=len(prices) - len(known),
        stopped=stopped,
    )


def _notes(trace: Trace, stopped: str) -> Iterator[str]:
    """What could not be told, and what was seen that nobody promised."""
    if stopped:
        yield f"The run ended before its plan was done: {stopped}."
    left = sum(job_checks.waited(job) > 0 for job in trace.jobs)
    if left:
        yield f"Jobs that were accepted and not over when they were asked after for the last time: {left}."
    if not any(job.outcome is not None and job.outcome.value == "failed" for job in trace.jobs):
        yield "No job failed: how a failure is told was not seen."
    yield from _odds(trace)
    extra = sorted({name for seen in trace.seen for name in _extra_fields(seen)})
    if extra:
        yield f"Fields that the contract does not know, which hosts add freely: {', '.join(extra[:20])}."


def _odds(trace: Trace) -> Iterator[str]:
    """How rare a defect must be that strikes at random and was not seen: "not seen" is never "not there"."""
    counts: dict[str, int] = {}
    for seen in trace.seen:
        if seen.reading is not None and seen.reading.alternative is not None:
            counts[seen.reading.operation.name] = counts.get(seen.reading.operation.name, 0) + 1
    told = [f"{name} {not_seen(count):.1%} ({count} answers)" for name, count in counts.items() if count >= FEW]
    if told:
        rare = "A defect that strikes at random and was not seen is rarer than this, with 95 % confidence"
        yield f"{rare}: {', '.join(told)}."


def _extra_fields(seen: Any) -> Iterator[str]:
    reading = seen.reading
    if (
        reading is None
        or reading.alternative is None
        or reading.alternative.shape is None
        or not isinstance(reading.body, dict)
    ):
        return
    known = reading.alternative.shape.schema.get("properties", {})
    yield from (f"{reading.operation.name}.{name}" for name in reading.body if name not in known)
