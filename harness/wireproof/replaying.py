"""The smallest sequence that shows a finding, carried out again: does it still hold?"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from wireproof.check.media import Eyes
from wireproof.check.replies import STAGED
from wireproof.check.trace import JobTrace, Trace, read
from wireproof.clock import RealClock, SteppedClock
from wireproof.conform import Guard, Target, conform, hasty, near, stage_for, verdict
from wireproof.errors import CouldNotTell, UsageError
from wireproof.ledger import Ledger
from wireproof.mock.engine import Mock
from wireproof.mock.within import Within
from wireproof.model import Call, Credential, Does, Endpoint, Exchange, Finding, Run
from wireproof.probe import stories
from wireproof.probe.driver import Driver, Story, Want
from wireproof.probe.sender import SAFE, Sender
from wireproof.probe.stories import Stage, near_keys
from wireproof.runlog import Digest
from wireproof.spec.values import spell
from wireproof.wire.requests import recognise

SEVERAL = 8
"""So many jobs at once, or one job so often, where one alone does not show what was seen."""


def pick(run: Run, number: int) -> Finding:
    """The n-th finding of a run, counted from 1 as reports do. Raises UsageError."""
    if not 1 <= number <= len(run.findings):
        raise UsageError(f"{run.folder or run.id} has {len(run.findings)} findings; there is no #{number}")
    return run.findings[number - 1]


def replay(
    endpoint: Endpoint,
    finding: Finding,
    run: Run,
    target: Target,
    ledger: Ledger | None = None,
    eyes: Eyes | None = None,
) -> tuple[bool, tuple[Exchange, ...]]:
    """Carry out what the finding's evidence shows: whether it is found again, and what was said.

    What shows it is looked for in growing circles: the last exchange, all of them, all of them beside a request
    that went well, all at once, the last job several times, and at last the whole run again by its seed, for what
    strikes now and then or shows only among others.

    Paid calls need a `ledger`; `eyes` are those of several replays. Raises CouldNotTell when the run kept no bodies
    to send again.
    """
    needed = [e for e in run.exchanges if e.seq in finding.evidence]
    if not needed:
        raise CouldNotTell("the finding names no exchange: there is nothing to send again")
    if any(isinstance(e.call.body, Digest) for e in needed):
        raise CouldNotTell("the bodies of this run were not kept: run it again with --keep-bodies")
    prefix = urlsplit(target.base).path.rstrip("/")
    trace = read(endpoint, [e for e in run.exchanges if _of(endpoint, e)], prefix)
    said: tuple[Exchange, ...] = ()
    with Eyes.lent(eyes) as watching:
        for circle in _circles(trace, needed, target):
            said = _carried_out(endpoint, target, trace, circle, run.seed, ledger)
            found = verdict(endpoint, said, prefix=prefix, eyes=watching).findings
            if any(one.key == finding.key for one in found):
                return True, said
        _as_new(target)
        profile = str(run.options.get("profile", "standard"))
        whole, said = conform(endpoint, target, seed=run.seed, profile=profile, ledger=ledger, eyes=watching)
    return any(one.key == finding.key for one in whole.findings), said


@dataclass(frozen=True, slots=True)
class _Circle:
    """A part of a recording, how much of it is carried out at once, and how often."""

    shown: list[Exchange]
    together: int = 1
    times: int = 1


def _circles(trace: Trace, needed: list[Exchange], target: Target) -> Iterator[_Circle]:
    """Growing parts of a recording, each of which may show what is looked for."""
    yield _Circle([needed[-1]])
    if len(needed) > 1:
        yield _Circle(needed)
    good = [seen for seen in trace.seen if seen.accepted and not seen.breaches and seen.operation]
    taken = [seen for seen in good if seen.operation and seen.operation.does.bills]
    if taken:
        yield _Circle([min(taken, key=lambda seen: len(seen.values)).exchange, *needed])
    if len(needed) > 1:
        yield _Circle(needed, together=SEVERAL)
    if needed[-1].job and not target.paid:
        yield _Circle([needed[-1]], times=SEVERAL)


def _as_new(target: Target) -> None:
    """The embedded mock as it was at the beginning of a run."""
    if target.mock is not None:
        target.mock.reset()


def _carried_out(
    endpoint: Endpoint, target: Target, trace: Trace, circle: _Circle, seed: int, ledger: Ledger | None
) -> tuple[Exchange, ...]:
    """The stories that these exchanges are part of, told anew."""
    _as_new(target)
    clock = SteppedClock() if target.mock else RealClock()
    through = Within(target.mock, clock) if target.mock else None
    guard = Guard(endpoint, ledger if target.paid else None, prefix=urlsplit(target.base).path.rstrip("/"))
    with Sender(through=through) as sender:
        driver = Driver(sender=sender, clock=clock, before=guard.before, heard=guard.after)
        # As often as states can change: what passed quickly must not pass unseen.
        stage = stage_for(endpoint, target, clock, seed, hasty if near(target) or target.mock else None)
        for time in range(circle.times):
            driver.run(
                _stories(stage, target.mock, trace, circle.shown, f"~{time}" if time else ""), together=circle.together
            )
        guard.close()
    return tuple(driver.exchanges)


def _of(endpoint: Endpoint, exchange: Exchange) -> bool:
    return exchange.operation == "media" or exchange.operation in endpoint.operations


def _stories(stage: Stage, mock: Mock | None, trace: Trace, needed: list[Exchange], behind: str) -> Iterator[Story]:
    """A whole job for each job that the evidence speaks of, and each single call as it was. `behind`: what is set
    behind the labels of jobs, so that one that is told again is another."""
    jobs = {job.label: job for job in trace.jobs}
    done: set[str] = set()
    for exchange in needed:
        job = jobs.get(exchange.job or "")
        if job is None or job.submit is None:
            _arranged(mock, exchange)
            yield _single(stage, exchange)
        elif job.label not in done:
            done.add(job.label)
            _arranged(mock, job.submit.exchange)
            yield _job(stage, job, f"{job.label}{behind}")


def _arranged(mock: Mock | None, exchange: Exchange) -> None:
    """What the embedded mock was told to do when this was asked."""
    if mock is None:
        return
    mock.hurry = int(exchange.purpose == stories.HURRIED)
    if exchange.purpose.startswith(STAGED):
        mock.stage(exchange.purpose.removeprefix(STAGED), exchange.operation)


def _job(stage: Stage, job: JobTrace, label: str) -> Story:
    """The job as it was: the same values, asked after as often, as late and as the same people."""
    submit = job.submit
    start = submit.operation if submit else None
    early = any("early" in seen.exchange.purpose for seen in job.news)
    if any(seen.exchange.credential is Credential.OTHER for seen in job.news):
        yield from stories.shown_to_others(stage, label, job.values)
        return
    if submit is not None and submit.exchange.purpose.startswith("one id"):
        yield from stories.same_id_twice(stage, job.values)
        return
    after = sum("asked again" in seen.exchange.purpose for seen in job.news)
    heard: list[Exchange] = []
    yield from _listened(
        stories.whole_job(
            stage,
            label,
            job.values,
            submit.exchange.purpose if submit else "",
            operation=start,
            polls_after=max(3, after),
            ask_early=early,
        ),
        heard,
    )
    yield from _late(stage, job, label, heard)


def _listened(story: Story, heard: list[Exchange]) -> Story:
    """The story, and what was answered to it in a list of its own."""
    want = next(story, None)
    while want is not None:
        answer = yield want
        if answer is not None:
            heard.append(answer)
        try:
            want = story.send(answer)
        except StopIteration:
            return


def _late(stage: Stage, job: JobTrace, label: str, heard: list[Exchange]) -> Story:
    """What was asked long after the job was over, as long after it."""
    asked = [seen.exchange for seen in job.news] + list(job.media)
    late = [one for one in asked if one.purpose.startswith(("asked again late", "asked again after the retention"))]
    again = next((one for one in read(stage.endpoint, heard, urlsplit(stage.base).path.rstrip("/")).jobs), None)
    if not late or not job.end or again is None or not again.id:
        return
    over, ended = job.end[0].exchange, stage.clock.now()
    links = again.submit.reading.links if again.submit and again.submit.reading else {}
    for one in sorted(late, key=lambda one: one.at):
        due = ended + one.at - over.at
        operation = stage.endpoint.operations.get(one.operation)
        if operation is not None:
            yield replace(stories.ask_after(stage, operation, again.id, label, one.purpose, links), at=due)
        elif again.media:
            media = again.media[0]
            yield Want(
                call=media.call,
                at=due,
                operation=media.operation,
                job=label,
                purpose=one.purpose,
                credential=Credential.NONE,
                output=media.output,
            )


def _single(stage: Stage, exchange: Exchange) -> Story:
    """One call as it was, with a key of the same kind and against the address of now."""
    call = _again(stage, exchange)
    named = stage.endpoint.operations.get(exchange.operation)
    # A recording of somebody else's names no operations; what nobody knows may be paid for.
    asked = [named] if named else [one.operation for one in recognise(stage.endpoint, call, urlsplit(stage.base).path)]
    paid = any(one.does.bills for one in asked) or not (asked or call.method in SAFE or exchange.operation == "media")
    yield Want(
        call=call,
        at=stage.clock.now(),
        operation=exchange.operation,
        purpose=exchange.purpose,
        credential=exchange.credential,
        paid=paid,
        timeout=120.0 if any(one.does is Does.RUN for one in asked) else None,
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
        **near_keys(stage.key),
        Credential.NONE: None,
    }
    key = table.get(credential)
    return str(key) if key is not None else None
