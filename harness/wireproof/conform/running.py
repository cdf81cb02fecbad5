"""A conformance run: the plan carried out against a target, and the verdict on what came back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from wireproof.check import jobs as job_checks
from wireproof.check.media import Eyes
from wireproof.check.trace import Reader
from wireproof.check.untested import Part, told, untested
from wireproof.clock import Clock, RealClock, SteppedClock
from wireproof.conform.afterwards import LATE_CALLS, round_off
from wireproof.conform.guarding import Guard
from wireproof.conform.judging import judged, nothing_heard, picture_in, with_money
from wireproof.conform.planning import STRANGERS, Step, fitting, plan, side_by_side
from wireproof.conform.staging import calm, closely, eased, hurries, stage_for, used_to, within
from wireproof.conform.target import Target, near
from wireproof.errors import CouldNotTell, Interrupted, OverBudget, Unreachable
from wireproof.ledger import Ledger
from wireproof.mock.within import Within
from wireproof.model import FOLLOWED, Cover, Credential, Does, Endpoint, Exchange, Verdict
from wireproof.money import Money
from wireproof.probe import stories
from wireproof.probe.driver import Bounds, Driver, Stopped
from wireproof.probe.memory import Memory
from wireproof.probe.sender import Sender
from wireproof.probe.stories import Stage

SURPRISES = 3
"""So many requests that a paid host takes and should refuse end the probing with such requests, of whatever kind."""

INTERRUPTED = "it was interrupted"
"""What a run says that a person ended."""

CROWD = 24
"""So many jobs run at once against a server of this machine."""

MOST_FOLLOWED = 24
"""So many forbidden jobs of a step are followed."""


def conform(
    endpoint: Endpoint,
    target: Target,
    *,
    seed: int = 0,
    bounds: Bounds | None = None,
    profile: str = "standard",
    ledger: Ledger | None = None,
    clock: Clock | None = None,
    first: int = 1,
    heard: Callable[[Exchange], None] = lambda exchange: None,
    began: Callable[[Step], None] = lambda step: None,
    run: str = "",
    memory: Memory | None = None,
    late: float = stories.LATE,
    eyes: Eyes | None = None,
) -> tuple[Verdict, tuple[Exchange, ...]]:
    """Drive an endpoint and judge it: the verdict, and everything that was said.

    `late`: seconds after its end at which a job is asked for once more, on a clock that is not ours. `run` names the
    run in the ledger; `memory` is what an earlier one has heard that was cut off; `eyes` are those of several runs
    that look at the same pictures.
    Raises Unreachable when the target does not answer at all, CouldNotTell when it takes no key of ours, Interrupted
    when a person ends it before the first answer.
    """
    own = target.mock is not None
    clock = clock or (SteppedClock() if own else RealClock())
    prefix = urlsplit(target.base).path.rstrip("/")
    guard = Guard(endpoint, ledger if target.paid else None, run, prefix)
    if memory is not None:
        guard.resume(memory.held, memory.jobs())

    def hear(exchange: Exchange) -> None:
        # Kept first: what is settled and not kept would be paid for again by whoever goes on with the run.
        heard(exchange)
        guard.after(exchange)
        if (body := picture_in(exchange)) is not None:
            watching.glance(body)

    through = Within(target.mock, clock) if target.mock else None
    with Eyes.lent(eyes) as watching, Sender(through=through) as sender:
        driver = Driver(
            sender=sender,
            clock=clock,
            bounds=bounds or Bounds(),
            heard=hear,
            before=guard.before,
            first=first,
            family=f"{endpoint.name} ",
            memory=memory,
            repeats=not target.paid,
            spare=LATE_CALLS if bounds is not None and (bounds.requests or 0) > 4 * LATE_CALLS else 0,
        )
        watching.prepare()
        counted = driver.bounds.requests is not None or profile == "quick"
        thrifty = calm if near(target) and counted else None
        stage = replace(stage_for(endpoint, target, clock, seed, thrifty), late=late, sparing=counted)
        if hurries(target):
            stage = within(stage, job_checks.patience(endpoint, None))
        reader = Reader(endpoint, prefix)
        chosen = fitting(profile, driver.bounds)
        steps = plan(endpoint, profile=chosen, embedded=own, paid=target.paid, scarce=driver.bounds.scarce)
        spared: list[str] = []
        stopped, left_out = _drive(reader, target, driver, stage, steps, profile, began, spared)
        stopped = stopped or guard.short
        guard.close()
        exchanges = tuple(driver.exchanges)
        _must_have_answered(endpoint, target, exchanges)
        if not stopped and not left_out:
            stopped = nothing_heard(reader.read(exchanges))
        runs = (run, *(memory.runs if memory else ()))
        said = with_money(judged(reader, exchanges, stopped, watching), guard.ledger, runs)
    skipped = [f"{name}: not asked again: {why}." for name, why in (memory.skipped if memory else {}).items()]
    cut = stopped or (left_out[0].rpartition(" because ")[2].rstrip(".") if left_out else "")
    coverage, whole = _left_untested(endpoint, target, said, exchanges, chosen, steps, cut)
    return replace(
        said, coverage=coverage, notes=(*said.notes, *left_out, *spared, *skipped, *told(whole, coverage))
    ), exchanges


def _left_untested(
    endpoint: Endpoint,
    target: Target,
    said: Verdict,
    exchanges: tuple[Exchange, ...],
    profile: str,
    steps: Sequence[Step],
    cut: str,
) -> tuple[tuple[Cover, ...], Money | None]:
    """The coverage against the whole plan, and what the rest of it would cost. `cut`: why the run was cut short."""
    every = plan(endpoint, paid=target.paid, scarce=True) if profile == "quick" else steps
    whole = [part for step in every for part in step.parts]
    meant = {part.name for step in steps for part in step.parts}
    family = f"{endpoint.name} "
    made = {one.job.removeprefix(family) if one.job else f"{one.operation}: {one.purpose}" for one in exchanges}

    def why(part: Part) -> str:
        if part.name not in meant:
            return f"is no part of the {profile} profile"
        if part.step == STRANGERS and not target.other_key:
            return f"needs the key of a second account, in {endpoint.provider.auth.env}_2"
        return cut or "was left out"

    return untested(said.coverage, whole, made, why)


def _drive(
    reader: Reader,
    target: Target,
    driver: Driver,
    stage: Stage,
    steps: tuple[Step, ...],
    profile: str,
    began: Callable[[Step], None],
    spared: list[str],
) -> tuple[str, list[str]]:
    """Carry out the plan; why it was cut short, or '', and what was left out because the run was asked to be small.

    `spared` is told what the host was not asked, for its own sake."""
    if near(target):
        steps = side_by_side(steps)
    left_out: list[str] = []
    try:
        for step in steps:
            if step.extra and driver.limited:
                spared.append(f"{step.name}: not tried, because the host limits its calls.")
                continue
            began(step)
            try:
                _carry_out(step, target, driver, _at_pace(stage, step, target), reader)
            except Stopped as end:
                if not end.chosen:
                    raise
                left_out.append(f"{step.name}: not done, or not all of it, because {end.why}.")
            _must_be_there(target, driver)
            if step.opening:
                stage = used_to(stage, target, reader.read(driver.exchanges))
        round_off(reader, target, driver, stage, profile)
    except Stopped as end:
        return ("", [*left_out, f"The rest was left out because {end.why}."]) if end.chosen else (str(end), left_out)
    except OverBudget as end:
        return str(end), left_out
    except KeyboardInterrupt:
        if not driver.exchanges:
            raise Interrupted("interrupted before anything was answered") from None
        return INTERRUPTED, left_out
    return "", left_out


def _at_pace(stage: Stage, step: Step, target: Target) -> Stage:
    """The stage with jobs looked at as often as the step is worth."""
    if step.extra:
        return eased(stage)
    return closely(stage) if step.opening and target.mock else stage


def _carry_out(step: Step, target: Target, driver: Driver, stage: Stage, reader: Reader) -> None:
    before = len(driver.exchanges)
    _told_of(step, target, driver, stage)
    if step.together == 1:
        _look_into(reader, target, driver, stage, before)


def _look_into(reader: Reader, target: Target, driver: Driver, stage: Stage, before: int) -> None:
    """What single calls leave open: what becomes of forbidden jobs."""
    asked = [seen for one in driver.exchanges[before:] for seen in reader.one(one)]
    taken = [seen for seen in asked if seen.breaches and seen.accepted and seen.reading and seen.reading.alternative]
    driver.run(
        (
            stories.followed(stage, seen.exchange, seen.operation, seen.values, FOLLOWED)
            for seen in taken[:MOST_FOLLOWED]
            if seen.operation is not None and seen.operation.does is Does.SUBMIT
        ),
        together=CROWD if near(target) else 8,
    )


def _told_of(step: Step, target: Target, driver: Driver, stage: Stage) -> None:
    """Carry out a step as it stands in the plan."""
    if step.surprising and target.paid:
        _wary(driver, step, stage)
    else:
        # A server of our own machine is not spared: the more jobs at once, the sooner a slow one is through.
        wide = step.together if step.together == 1 or not near(target) else CROWD * (2 if step.extra else 1)
        driver.run(step.make(stage), together=wide)


def _must_be_there(target: Target, driver: Driver) -> None:
    if driver.exchanges and all(e.broke == "refused" for e in driver.exchanges):
        raise Unreachable(target.base, f"the connection is refused ({driver.why})")
    if len(driver.exchanges) >= 3 and all(e.reply is None for e in driver.exchanges):
        raise Unreachable(target.base, f"no call was answered ({driver.exchanges[-1].broke})")


def _wary(driver: Driver, step: Step, stage: Stage) -> None:
    """Requests that a paid host should refuse, until too many of them were taken, or may have been."""
    for story in step.make(stage):
        if driver.surprises >= SURPRISES:
            return
        before = driver.jobs
        driver.run([story])
        driver.surprises += driver.jobs - before


def _must_have_answered(endpoint: Endpoint, target: Target, exchanges: tuple[Exchange, ...]) -> None:
    """A verdict needs at least one call that was let in."""
    if not exchanges:
        raise CouldNotTell("nothing was tested: the bounds of the run allow no call")
    starts = {op.name for op in endpoint.operations.values() if op.does.bills}
    ours = [
        e
        for e in exchanges
        if e.credential is Credential.GOOD and e.reply is not None and e.operation in starts and e.reply.status != 405
    ]
    refused = [e for e in ours if e.reply is not None and e.reply.status in (401, 403)]
    if ours and len(refused) == len(ours):
        raise CouldNotTell(
            f"{target.base} refuses the key in {endpoint.provider.auth.env} "
            f"(status {refused[0].reply.status if refused[0].reply else ''})"
        )
