"""What a run does once its plan is done, by what was seen: narrower tries, a search, a late look back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from wireproof.check import jobs as job_checks
from wireproof.check.registry import CHECKS, judge
from wireproof.check.trace import Reader
from wireproof.conform.target import Target, near
from wireproof.generate import cases
from wireproof.mock.engine import Mock
from wireproof.model import Credential, Does, Severity
from wireproof.probe import stories
from wireproof.probe.driver import Driver, Want
from wireproof.probe.stories import Stage
from wireproof.wire import requests

SEARCHES: Mapping[str, tuple[int, int]] = {"quick": (0, 0), "standard": (60, 0), "thorough": (300, 150)}
"""For each profile: how many forbidden and valid requests are drawn, where they cost nothing."""

MOST_NARROWED = 40
"""So many single values are tried to find which one of a request was refused."""

LATE_CALLS = 9
"""So many calls the late look takes where calls are counted: status, result and picture of three jobs."""

MOST_FOUND = 8
"""So many different findings a search goes on after."""

LOOKED_AT_LATE, FEW_LATE = 3, 2
"""So many jobs are looked at again late; in a quick run fewer."""


def round_off(reader: Reader, target: Target, driver: Driver, stage: Stage, profile: str) -> None:
    """What depends on what was seen: narrower tries, a second chance, a search, and a late look back."""
    most = FEW_LATE if profile == "quick" else LOOKED_AT_LATE
    if driver.spare:
        # Calls are counted, and these are kept for it: what else depends on what was seen gets the rest.
        driver.spare = 0
        _after_a_while(reader, target, driver, stage, FEW_LATE)
        most = 0
    if not target.paid:
        _narrow(reader, driver, stage)
        _failed_again(reader, driver, stage)
        _second_chance(reader, driver, stage)
        if any(SEARCHES[profile]) and driver.bounds.requests is None:
            _search(reader, driver, stage, SEARCHES[profile], target.mock is not None or near(target))
    if most:
        _after_a_while(reader, target, driver, stage, most)
    if target.mock is not None:
        _rehearse(reader, target.mock, driver, stage)


def _narrow(reader: Reader, driver: Driver, stage: Stage) -> None:
    """Valid requests that were refused, or met a server error, tried again: as they were where it was an error, and
    with one of their values at a time. Which one is it?"""
    endpoint = reader.endpoint
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    if submit is None:
        return
    base = cases.base(endpoint)
    trace = reader.read(driver.exchanges)
    refused = {one.evidence[0] for one in judge(trace, [CHECKS["REQ002"]])}
    broken = {seq for one in judge(trace, [CHECKS["RPL008"]]) for seq in one.evidence}
    tried: set[str] = set()
    for seen in trace.seen:
        if seen.seq not in refused | broken or seen.operation is None or not seen.operation.does.bills:
            continue
        ways = [(f"{n}={str(v)[:40]}", n, v) for n, v in seen.values.items() if n in endpoint.parameters]
        single = {
            fact: {**base, **cases.satisfying(endpoint.parameters[name].matters, endpoint), name: value}
            for fact, name, value in ways
            if base.get(name, cases.ABSENT) != value
        }
        whole = {f"all of {', '.join(single)}"[:200]: dict(seen.values)} if seen.seq in broken else {}
        for fact, values in {**whole, **single}.items():
            if fact in tried or len(tried) >= MOST_NARROWED:
                continue
            tried.add(fact)
            id = stage.new_id(f"narrow:{fact}")
            call = requests.build(endpoint, submit, stage.base, values=values, job=id, key=stage.key)
            want = Want(call=call, at=stage.clock.now(), operation=submit.name, purpose=f"valid: {fact}", paid=True)
            driver.run([stories.single(want, stage.clock)])


def _failed_again(reader: Reader, driver: Driver, stage: Stage) -> None:
    """Jobs with valid values that failed, tried once more: one failure is a bad moment, two are none."""
    failed = job_checks.failed_for_nothing(reader.read(driver.exchanges))
    for i, job in enumerate(failed[:MOST_FAILED] if len(failed) < SEVERAL_FAILED else ()):
        driver.run([stories.whole_job(stage, f"failed-again-{i + 1}", job.values, "valid: once more")])


MOST_FAILED, SEVERAL_FAILED = 3, 6
"""So many failed jobs are tried once more; where so many failed, that says enough."""


def _second_chance(reader: Reader, driver: Driver, stage: Stage) -> None:
    """Operations that start a job and were never answered well, tried twice more."""
    endpoint = reader.endpoint
    good = {
        seen.operation.name
        for seen in reader.read(driver.exchanges).seen
        if seen.operation and seen.reading and seen.reading.alternative
    }
    for operation in endpoint.operations.values():
        if operation.does.bills and operation.name not in good:
            for i in range(2):
                values = {**cases.base(endpoint), **operation.request.select}
                driver.run(
                    [
                        stories.whole_job(
                            stage, f"again-{operation.name}-{i}", values, "valid: once more", operation=operation
                        )
                    ]
                )


def _search(reader: Reader, driver: Driver, stage: Stage, examples: tuple[int, int], shrink: bool) -> None:
    """Requests drawn from the whole domain and its edges; what one shows is made smaller at once."""
    from wireproof.generate import strategies

    endpoint = reader.endpoint
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    if submit is None:
        return
    hunt = Hunt(reader, driver, stage, submit)
    wrong = strategies.forbidden(endpoint, submit)
    right = strategies.valid(endpoint).map(lambda values: cases.Case(values=values, purpose="valid: drawn"))
    for strategy, count in zip((wrong, right), examples, strict=True):
        for attempt in range(MOST_FOUND):
            if (
                not count
                or strategies.search(strategy, hunt.tried, examples=count, seed=stage.seed + attempt, shrink=shrink)
                is None
            ):
                break
            hunt.remember()
    for case in strategies.odd(endpoint):
        hunt.tried(case)
        hunt.remember()


@dataclass(slots=True)
class Hunt:
    """Single submits, each judged at once: whether one shows a violation that is not known yet."""

    reader: Reader
    driver: Driver
    stage: Stage
    submit: Any
    known: set[str] = field(default_factory=set)
    hunted: str | None = None
    sent: int = 0

    def __post_init__(self) -> None:
        self.known = {one.key for one in judge(self.reader.read(self.driver.exchanges), _single_checks())}

    def tried(self, case: cases.Case) -> bool:
        """Send one request; whether it shows what is hunted, or something new while nothing is."""
        self.sent += 1
        id = self.stage.new_id(f"drawn:{self.sent}")
        call = requests.build(
            self.stage.endpoint, self.submit, self.stage.base, values=case.values, job=id, key=self.stage.key
        )
        purpose = case.purpose
        want = Want(call=call, at=self.stage.clock.now(), operation=self.submit.name, purpose=purpose, paid=True)
        exchange = self.driver.ask(want)
        found = judge(self.reader.read([exchange]), _single_checks())
        keys = {one.key for one in found if one.severity is Severity.VIOLATION} - self.known
        if self.hunted is None and keys:
            self.hunted = min(keys)
        return self.hunted in keys

    def remember(self) -> None:
        """What was hunted is known now."""
        if self.hunted:
            self.known.add(self.hunted)
        self.hunted = None


def _single_checks() -> list[Any]:
    """The checks that judge one exchange by itself."""
    return [one for one in CHECKS.values() if one.alone]


def _after_a_while(reader: Reader, target: Target, driver: Driver, stage: Stage, most: int) -> None:
    """Jobs that are over, at most so many, asked for once more: late but in time, on a clock of ours also too late."""
    endpoint, trace = reader.endpoint, reader.read(driver.exchanges)
    over = [job for job in trace.jobs if job.taken and job.end and job.id and not job.tangled]
    # One of each outcome first, since hosts forget the failed ones sooner.
    first = list({job.outcome: job for job in reversed(over)}.values())
    done = [*first, *(job for job in over if job not in first)][: max(most, len(first))]
    record = endpoint.provider.retention.record.seconds
    if target.mock is not None and record:
        stage.clock.sleep(record * 0.5)
    elif done:
        last = max(job.end[0].exchange.at for job in done if job.end) + (driver.started or 0.0)
        driver.rest(last + stage.late)
    _again(driver, stage, done, LATE_AGAIN)
    if near(target) and most > FEW_LATE:
        rest = [job for job in over if job not in done]
        driver.run(
            stories.single(_after(driver, stage, operation, job, LATE_AGAIN), stage.clock)
            for job in rest
            if (operation := endpoint.doing(Does.STATUS)) is not None
        )
    if target.mock is not None and record:
        stage.clock.sleep(record)
        _again(driver, stage, done[:1], "asked again after the retention")


LATE_AGAIN = "asked again late"


def _again(driver: Driver, stage: Stage, done: list[Any], purpose: str) -> None:
    for job in done:
        for does in (Does.STATUS, Does.RESULT):
            operation = stage.endpoint.doing(does)
            if operation is not None:
                driver.run([stories.single(_after(driver, stage, operation, job, purpose), stage.clock)])
        for exchange in islice(job.media, 1):
            if "retention" not in purpose:
                label = job.label.removeprefix(driver.family)
                driver.run([stories.fetched(stage, exchange.call.url, label, exchange.output or 0, purpose)])


def _after(driver: Driver, stage: Stage, operation: Any, job: Any, purpose: str) -> Want:
    """One question after a job that is over."""
    links = job.submit.reading.links if job.submit and job.submit.reading else {}
    return stories.ask_after(stage, operation, job.id, job.label.removeprefix(driver.family), purpose, links)


def _rehearse(reader: Reader, mock: Mock, driver: Driver, stage: Stage) -> None:
    """Every problem that an operation may answer with and that no request of ours brings about, staged in turn."""
    endpoint = reader.endpoint
    met = {
        (seen.operation.name, problem.name)
        for seen in reader.read(driver.exchanges).seen
        if seen.operation and seen.reading and seen.reading.alternative is None
        for problem in seen.reading.problems
    }
    values = cases.base(endpoint)
    for label, more in (("hurried", {}), *((f"hurried-{g.status.value}", g.parameters) for g in endpoint.provocations)):
        mock.hurry = 1
        driver.run([stories.whole_job(stage, label, {**values, **more}, stories.HURRIED)])
    for operation in endpoint.operations.values():
        for name in operation.problems:
            if (operation.name, name) in met or not (operation.does.bills or operation.does.asks):
                continue
            mock.stage(name, operation.name)
            id = stage.new_id(f"staged:{operation.name}:{name}")
            call = requests.build(endpoint, operation, stage.base, values=values, job=id, key=stage.key)
            want = Want(
                call=call,
                at=stage.clock.now(),
                operation=operation.name,
                purpose=f"staged: {name}",
                credential=Credential.UNTOLD,
                provoked=True,
            )
            driver.run([stories.single(want, stage.clock)])
