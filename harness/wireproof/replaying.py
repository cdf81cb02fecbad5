"""The smallest sequence that shows a finding, carried out again: does it still hold?"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from wireproof.check.trace import JobTrace, Trace, read
from wireproof.clock import RealClock, SteppedClock
from wireproof.conform import Target, stage_for, verdict
from wireproof.errors import CouldNotTell, UsageError
from wireproof.mock.transport import EngineTransport
from wireproof.model import Call, Credential, Does, Endpoint, Exchange, Finding, Run
from wireproof.probe import stories
from wireproof.probe.driver import Driver, Story, Want
from wireproof.probe.sender import Sender
from wireproof.probe.stories import Stage
from wireproof.runlog import Digest
from wireproof.spec.values import spell


def pick(run: Run, number: int) -> Finding:
    """The n-th finding of a run, counted from 1 as reports do. Raises UsageError."""
    if not 1 <= number <= len(run.findings):
        raise UsageError(f"{run.folder or run.id} has {len(run.findings)} findings; there is no #{number}")
    return run.findings[number - 1]


def replay(endpoint: Endpoint, finding: Finding, run: Run, target: Target) -> tuple[bool, tuple[Exchange, ...]]:
    """Carry out what the finding's evidence shows: whether it is found again, and what was said.

    Raises CouldNotTell when the run kept no bodies to send again.
    """
    needed = [e for e in run.exchanges if e.seq in finding.evidence]
    if not needed:
        raise CouldNotTell("the finding names no exchange: there is nothing to send again")
    if any(isinstance(e.call.body, Digest) for e in needed):
        raise CouldNotTell("the bodies of this run were not kept: run it again with --keep-bodies")
    prefix = urlsplit(target.base).path.rstrip("/")
    trace = read(endpoint, [e for e in run.exchanges if _of(endpoint, e)], prefix)
    said: tuple[Exchange, ...] = ()
    # The last exchange alone shows most findings; only what it does not show needs all of them.
    for shown in ([needed[-1]], needed) if len(needed) > 1 else (needed,):
        said = _carried_out(endpoint, target, trace, shown, run.seed)
        if any(one.key == finding.key for one in verdict(endpoint, said, prefix=prefix).findings):
            return True, said
    return False, said


def _carried_out(
    endpoint: Endpoint, target: Target, trace: Trace, needed: list[Exchange], seed: int
) -> tuple[Exchange, ...]:
    """The stories that these exchanges are part of, told anew."""
    clock = SteppedClock() if target.mock else RealClock()
    transport = EngineTransport(target.mock, clock=clock) if target.mock else None
    with Sender(transport=transport) as sender:
        driver = Driver(sender=sender, clock=clock)
        driver.run(_stories(stage_for(endpoint, target, clock, seed), trace, needed), together=1)
    return tuple(driver.exchanges)


def _of(endpoint: Endpoint, exchange: Exchange) -> bool:
    return exchange.operation == "media" or exchange.operation in endpoint.operations


def _stories(stage: Stage, trace: Trace, needed: list[Exchange]) -> Iterator[Story]:
    """A whole job for each job that the evidence speaks of, and each single call as it was."""
    jobs = {job.label: job for job in trace.jobs}
    done: set[str] = set()
    for exchange in needed:
        job = jobs.get(exchange.job or "")
        if job is None or job.submit is None:
            yield _single(stage, exchange)
        elif job.label not in done:
            done.add(job.label)
            yield _job(stage, job)


def _job(stage: Stage, job: JobTrace) -> Story:
    """The job as it was: the same values, asked after as often and as the same people."""
    submit = job.submit
    start = submit.operation if submit else None
    early = any("early" in seen.exchange.purpose for seen in job.news)
    if any(seen.exchange.credential is Credential.OTHER for seen in job.news):
        yield from stories.shown_to_others(stage, job.label, job.values)
        return
    if submit is not None and submit.exchange.purpose.startswith("one id"):
        yield from stories.same_id_twice(stage, job.values)
        return
    after = sum("asked again" in seen.exchange.purpose for seen in job.news)
    yield from stories.whole_job(
        stage,
        job.label,
        job.values,
        submit.exchange.purpose if submit else "",
        operation=start,
        polls_after=max(3, after),
        ask_early=early,
    )


def _single(stage: Stage, exchange: Exchange) -> Story:
    """One call as it was, with a key of the same kind and against the address of now."""
    operation = stage.endpoint.operations.get(exchange.operation)
    yield Want(
        call=_again(stage, exchange),
        at=stage.clock.now(),
        operation=exchange.operation,
        purpose=exchange.purpose,
        credential=exchange.credential,
        paid=operation is not None and operation.does in (Does.SUBMIT, Does.RUN),
    )


def _again(stage: Stage, exchange: Exchange) -> Call:
    auth = stage.endpoint.provider.auth
    old, new = urlsplit(exchange.call.url), urlsplit(stage.base)
    url = old._replace(scheme=new.scheme, netloc=new.netloc).geturl()
    headers = [(name, value) for name, value in exchange.call.headers if name.lower() in ("content-type", "accept")]
    key = _key(stage, exchange.credential)
    if key is not None:
        headers.insert(0, (auth.header, auth.prefix + key))
    return Call(exchange.call.method, url, tuple(headers), exchange.call.body)


def _key(stage: Stage, credential: Credential) -> str | None:
    auth = stage.endpoint.provider.auth
    table: Mapping[Credential, Any] = {
        Credential.GOOD: stage.key,
        Credential.UNTOLD: stage.key,
        Credential.OTHER: stage.other_key,
        Credential.MALFORMED: "no-key-at-all",
        Credential.UNKNOWN: spell(auth.pattern or "key_[0-9a-f]{24}", random.Random(f"{stage.seed}:nobody")),
        Credential.NONE: None,
    }
    key = table[credential]
    return str(key) if key is not None else None
