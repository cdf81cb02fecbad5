"""A paid host that charges more than it announces, and workers on one key that are killed and go on.

Everything is real but the interpreter's start: hosts and workers are processes of their own, calls go over
sockets, ledgers and runs are on the disk, and `kill -9` comes when it comes. The truth of what was spent is
the host's own account.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from wireproof import conform, session
from wireproof.clock import ScaledClock
from wireproof.errors import WireproofError
from wireproof.ledger import FileLedger, fingerprint
from wireproof.mock.engine import Mock
from wireproof.mock.jobs import Job
from wireproof.mock.manners import Manners
from wireproof.mock.scene import Scene
from wireproof.mock.socket import serving
from wireproof.model import Endpoint
from wireproof.money import Money
from wireproof.runlog import load_run
from wireproof.spec.load import load_all
from wireproof.spec.values import price_of

FORK = multiprocessing.get_context("fork")
MORE = Decimal("1.3")
FASTER = 60.0
"""How many times faster than real time jobs pass at the host."""
LONGEST = 60.0
"""Seconds after which a worker hangs."""
ENDPOINTS = {endpoint.name: endpoint for endpoint in load_all()}


class Dearer(Manners):
    """A host that charges 30 % above its price list. `admits`: its replies say so."""

    def __init__(self, admits: bool) -> None:
        self.admits = admits

    def cost(self, amount: Decimal) -> Decimal:
        return amount * MORE

    def take(self, scene: Scene, job: Job) -> Job:
        return job if self.admits else replace(job, cost=job.cost / MORE)


@dataclass(frozen=True, slots=True)
class Books:
    """What a host's account says."""

    jobs: int
    gone: Decimal
    """What is spent or held for jobs under way."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host in a process of its own."""

    url: str
    key: str
    pipe: Connection

    def books(self) -> Books:
        self.pipe.send("books")
        jobs, gone = self.pipe.recv()
        return Books(jobs, gone)


@contextmanager
def host(endpoint: Endpoint, seed: int, admits: bool) -> Iterator[Host]:
    here, there = FORK.Pipe()
    process = FORK.Process(target=_serve, args=(endpoint, seed, admits, there), daemon=True)
    process.start()
    there.close()
    try:
        url, key = here.recv()
        yield Host(url, key, here)
    finally:
        here.close()
        process.kill()
        process.join()


def _serve(endpoint: Endpoint, seed: int, admits: bool, pipe: Connection) -> None:
    mock = Mock([endpoint], seed=seed, manners=Dearer(admits))
    account = mock.account(f"{endpoint.provider.name}:main")
    with serving(mock, clock=ScaledClock(FASTER)) as url, suppress(EOFError, OSError):
        pipe.send((url, mock.key(endpoint.provider.name)))
        while pipe.recv():
            pipe.send((account.jobs, account.deposited - account.balance))


@dataclass(frozen=True, slots=True)
class Plan:
    """What one budget is put through."""

    seed: int
    endpoint: str
    budget: Money
    workers: int
    """How many at a time."""
    profile: str
    admits: bool
    kills: int
    keep_bodies: bool | None
    resumes: bool
    """Whether who was killed goes on with its run, or a new run is begun."""


def plan(seed: int) -> Plan:
    """A plan by chance. One in four has several workers, one in forty has fifty."""
    chance = random.Random(f"plan {seed}")
    endpoint = ENDPOINTS[chance.choice(sorted(ENDPOINTS))]
    price = price_of(endpoint, {})
    assert price is not None
    workers = 50 if seed % 40 == 0 else chance.randint(2, 6) if seed % 4 == 0 else 1
    jobs = Decimal(chance.randint(15, 400)) / 10
    return Plan(
        seed=seed,
        endpoint=endpoint.name,
        budget=max(price, Money(Decimal("0.005"), price.unit)) * jobs,
        workers=workers,
        profile=chance.choice(["quick", "standard", "thorough"]),
        admits=chance.random() < 0.5,
        kills=chance.randint(workers // 2, workers) if workers > 1 else chance.randint(1, 4),
        keep_bodies=(True, None, None, False)[int(4 * chance.random())],
        resumes=workers == 1 and chance.random() < 0.7,
    )


@dataclass(slots=True)
class Outcome:
    """What came of a plan."""

    plan: Plan
    most: Decimal = Decimal(0)
    """The most that was gone from the account at any time it was looked at."""
    jobs: int = 0
    killed: int = 0
    codes: tuple[int, ...] = ()
    last: str = ""
    """Folder of the last run."""


def carry_out(plan: Plan, place: Path) -> Outcome:
    """Start workers, kill them at random moments, let others go on, and end with one that is left alone."""
    chance = random.Random(f"kills {plan.seed}")
    endpoint = ENDPOINTS[plan.endpoint]
    told = Outcome(plan)
    with host(endpoint, plan.seed, plan.admits) as at:
        if plan.workers > 1:
            # Somebody who stays keeps the budget in use; else whoever comes late would begin another.
            print_ = fingerprint(endpoint.provider.name, at.key)
            with FileLedger.open(place / "wireproof" / "ledger", print_, plan.budget):
                _together(plan, at, place, chance, told)
        else:
            _in_turn(plan, at, place, chance, told)
    return told


def _together(plan: Plan, at: Host, place: Path, chance: random.Random, told: Outcome) -> None:
    alive = [_worker(plan, at, place, plan.seed + n) for n in range(plan.workers)]
    doomed = alive[: plan.kills]
    for worker in doomed:
        _look(at, told)
        worker.join(chance.uniform(0, 0.5))
        told.killed += _kill(worker)
    again = [_worker(plan, at, place, plan.seed + plan.workers + n) for n in range(min(4, len(doomed)))]
    for worker in (*alive, *again):
        while worker.exitcode is None:
            worker.join(0.05)
            _look(at, told)
    told.codes = tuple(worker.exitcode or 0 for worker in (*alive[plan.kills :], *again))
    _look(at, told)


def _in_turn(plan: Plan, at: Host, place: Path, chance: random.Random, told: Outcome) -> None:
    before: Path | None = None
    for _ in range(plan.kills):
        worker = _worker(plan, at, place, plan.seed, before if plan.resumes else None)
        wanted = at.books().jobs + chance.randint(1, 8)
        while worker.exitcode is None and at.books().jobs < wanted:
            worker.join(0.002)
        worker.join(chance.uniform(0, 0.02))
        killed = _kill(worker)
        told.killed += killed
        _look(at, told)
        if not killed:
            # It ended in order before its time, and its budget with it.
            break
        before = _newest(place) or before
    else:
        worker = _worker(plan, at, place, plan.seed, before if plan.resumes else None)
        while worker.exitcode is None:
            worker.join(0.05)
            _look(at, told)
    told.codes = (worker.exitcode or 0,)
    told.last = str(_newest(place) or "")
    _look(at, told)


def _look(at: Host, told: Outcome) -> None:
    books = at.books()
    told.most, told.jobs = max(told.most, books.gone), books.jobs


def _kill(worker: BaseProcess) -> bool:
    """Whether it was still alive."""
    alive = worker.exitcode is None
    if alive:
        os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join()
    return alive and worker.exitcode == -signal.SIGKILL


def _newest(place: Path) -> Path | None:
    """The run that was begun last, where it wrote anything."""
    runs = sorted(place.glob("runs/*/run.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    whole = [path for path in runs if b"\n" in path.read_bytes()]
    return whole[-1].parent if whole else None


def _worker(plan: Plan, at: Host, place: Path, seed: int, resumed: Path | None = None) -> BaseProcess:
    worker = FORK.Process(target=_check, args=(plan, at.url, at.key, place, seed, resumed))
    worker.start()
    return worker


def _check(plan: Plan, url: str, key: str, place: Path, seed: int, resumed: Path | None) -> None:
    """What `wireproof check` does, less the start of an interpreter."""
    endpoint = ENDPOINTS[plan.endpoint]
    os.environ |= {"XDG_STATE_HOME": str(place), endpoint.provider.auth.env: key}
    signal.alarm(int(LONGEST))
    options = session.CheckOptions(
        target=url,
        budget=plan.budget,
        profile=plan.profile,
        seed=seed,
        keep_bodies=plan.keep_bodies,
        report_dir=place / "runs",
    )
    endpoints: list[Any] = [endpoint]
    try:
        if resumed is not None:
            endpoints, options = session.resumed(resumed, options)
        code = session.exit_code(session.check(endpoints, options))
    except WireproofError as error:
        print(f"plan {plan.seed}: {error}", file=sys.stderr)
        code = error.exit_code
    sys.exit(code)


def many(seeds: range, place: Path, lanes: int = 2, seconds: float = 600.0) -> list[Outcome]:
    """So many plans, in so many lanes beside one another. Raises TimeoutError after so long."""
    here = [FORK.Pipe(duplex=False) for _ in range(lanes)]
    processes = []
    for lane, (_, telling) in enumerate(here):
        processes.append(FORK.Process(target=_lane, args=(seeds[lane::lanes], place, telling)))
        processes[-1].start()
        telling.close()
    ends = time.monotonic() + seconds
    outcomes: list[Outcome] = []
    try:
        for reading, _ in here:
            with suppress(EOFError):
                while True:
                    if not reading.poll(max(0.0, ends - time.monotonic())):
                        raise TimeoutError(f"{len(outcomes)} of {len(seeds)} plans were done in time")
                    outcomes.append(reading.recv())
    finally:
        for process in processes:
            process.kill()
            process.join()
    return outcomes


def _lane(seeds: range, place: Path, telling: Connection) -> None:
    for seed in seeds:
        folder = place / str(seed)
        folder.mkdir()
        telling.send(carry_out(plan(seed), folder))
    telling.close()


def unlisted(outcome: Outcome) -> list[str]:
    """What the last run of a plan did not test and does not list with a price."""
    run = load_run(Path(outcome.last))
    endpoint = ENDPOINTS[outcome.plan.endpoint]
    family = f"{endpoint.name} "
    made = {one.job.removeprefix(family) if one.job else f"{one.operation}: {one.purpose}" for one in run.exchanges}
    listed = {
        (cover.kind, cover.name)
        for one in run.verdicts
        for cover in one.coverage
        if cover.seen or cover.price is not None
    }
    named = {(cover.kind, cover.name) for one in run.verdicts for cover in one.coverage}
    left = [part for step in conform.plan(endpoint) for part in step.parts if part.name not in made]
    return [
        part.name
        for part in left
        if not listed
        >= {*(fact for fact in part.covers if fact in named)}.union(
            set() if part.covers else {("step", f"{part.step}: {part.says}" if part.says else part.step)}
        )
    ]


def planned(plan: Plan) -> int:
    """How many jobs the plan of a run makes at most."""
    steps = conform.plan(ENDPOINTS[plan.endpoint], profile=plan.profile)
    # One id is used twice; a host may take both for jobs.
    return sum(step.jobs for step in steps) + 1
