"""`wireproof load`, as one function: price the plan, run it in processes of its own, sum it up, judge it.

The caller's process never imports Locust. It watches the run's folder, stops the run when a threshold is
missed beyond doubt or a person asks for it, and works the summary out when it is over, however it ended.
"""

from __future__ import annotations

import json
import os
import secrets as chance
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from wireproof import __version__, ledger, money
from wireproof.errors import CouldNotTell, UsageError
from wireproof.load import cases, folder, frames, plans, pricing, record, summing, thresholds
from wireproof.load.plans import LoadPlan
from wireproof.load.pricing import Quote
from wireproof.load.settings import Settings, bases, is_loopback, key_of
from wireproof.model import Endpoint
from wireproof.runlog import atomic_write
from wireproof.secrets import Secret

RUNS = Path("reports/runs")
"""Where runs are kept unless told otherwise."""
_LOOK = 0.1
_OVERTIME = 20.0
"""Seconds that the processes may take beyond plan and drain before they are ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is, for whoever shows it."""

    seconds: float
    """Since it began."""
    length: float
    """How long the plan starts jobs."""
    started: int
    ended: int
    planned: int
    """How many the plan starts in all; of a closed plan a guess."""

    @property
    def in_flight(self) -> int:
        return self.started - self.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run that is over. `folder` is None for a dry run."""

    folder: Path | None
    summary: Mapping[str, Any]
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is run, in one value."""

    settings: Settings
    plan: LoadPlan
    endpoints: tuple[Endpoint, ...]
    workers: int
    environment: Mapping[str, str]
    progress: Callable[[Progress], None]
    target: str


def run(
    specs: Sequence[str],
    plan: str = "smoke",
    *,
    target: str | None = None,
    live: bool = False,
    rate: float | None = None,
    users: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    budget: Sequence[str] = (),
    workers: int = 1,
    places: int | None = None,
    report_dir: Path = RUNS,
    ledger_dir: Path | None = None,
    keys: Mapping[str, Secret] | None = None,
    start: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    dry_run: bool = False,
    embedded: bool = False,
) -> Outcome:
    """Run a plan against endpoints and judge it.

    `target`: the address of a server that speaks for all of them; with `live` each contract's own. What
    is not on this machine costs money: it needs `live` and `budget` (one amount for each unit). With a budget
    what is on this machine counts as paid, too, unless it is `embedded`: a mock of our own. `keys` by
    provider win over the environment. `seconds` is the plan's `--for`. Raises UsageError, ContractError,
    NoKey, CouldNotTell; an interruption ends the run and is told in its outcome.
    """
    settings = Settings(
        specs=tuple(specs),
        bases={},
        plan=plan,
        rate=rate,
        users=users,
        seconds=seconds,
        seed=seed,
        places=places,
        nonce=chance.token_hex(8),
        budget=tuple(budget),
        rooms=str(start or Path.cwd()),
    )
    endpoints, declared = settings.endpoints(), settings.load_plan()
    for endpoint in endpoints:
        cases.workload(endpoint, list(declared.cases))
        if declared.channel == "websocket":
            frames.channel(endpoint, "", None)
    if dry_run:
        quote = pricing.quote(_first_step(declared), endpoints, _ceilings(budget))
        return Outcome(folder=None, summary=quote.to_json(), exit_code=0 if quote.covered else 4)
    settings = _addressed(settings, endpoints, target, live)
    if settings.budget and not embedded:
        settings = replace(settings, ledger=str(ledger_dir or ledger.home()))
    _refuse_what_no_budget_covers(endpoints, _ceilings(budget))
    order = _Order(
        settings=settings,
        plan=declared,
        endpoints=endpoints,
        workers=workers,
        environment=_environment(endpoints, settings, keys or {}),
        progress=progress,
        target=target or "live",
    )
    _refuse_what_is_not_covered(order, _ceilings(budget))
    if declared.search is not None and rate is None and users is None:
        return _search(order, report_dir)
    return _one(order, report_dir)


def _ceilings(budget: Sequence[str]) -> tuple[money.Money, ...]:
    try:
        return tuple(map(money.parse, budget))
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from None


def _addressed(settings: Settings, endpoints: Sequence[Endpoint], target: str | None, live: bool) -> Settings:
    if target is None and not live:
        raise UsageError("a load test needs --target URL, or --live for the contract's own server")
    found = bases(endpoints, target)
    if not all(map(is_loopback, found.values())):
        if not live:
            raise UsageError("the target is not on this machine, so its jobs may cost money: add --live and --budget")
        if not settings.budget:
            raise UsageError("a live load test needs --budget, for example --budget 0.50USD")
    return replace(settings, bases=found)


def _refuse_what_no_budget_covers(endpoints: Sequence[Endpoint], ceilings: Sequence[money.Money]) -> None:
    """With a budget every endpoint has a price, in a unit of the budget."""
    units = {amount.unit for amount in ceilings}
    for endpoint in endpoints if units else ():
        if endpoint.price is None:
            raise UsageError(f"no budget can cover {endpoint.name}: the contract tells no price")
        if endpoint.price.unit not in units:
            raise UsageError(f"{endpoint.name} is paid in {endpoint.price.unit}: add a --budget in that unit")


def _environment(endpoints: Sequence[Endpoint], settings: Settings, keys: Mapping[str, Secret]) -> dict[str, str]:
    """The environment of the processes: ours, with the keys that were handed in."""
    found = dict(os.environ)
    variables = {endpoint.provider.name: endpoint.provider.auth.env for endpoint in endpoints}
    found.update({variables[name]: key.reveal() for name, key in keys.items() if name in variables})
    for endpoint in endpoints:
        if endpoint.provider.name not in keys:
            key_of(endpoint, settings.bases[endpoint.provider.name])
    paths = [str(Path(__file__).resolve().parents[2]), *filter(None, [found.get("PYTHONPATH")])]
    return {**found, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _first_step(plan: LoadPlan) -> LoadPlan:
    """The plan, or for a search what its highest load would be."""
    if plan.search is None or plan.phases:
        return plan
    by_rate = plan.search.by == "rate"
    return plans.overridden(
        plan,
        rate=plan.search.most if by_rate else None,
        users=None if by_rate else int(plan.search.most),
        seconds=plan.search.step,
    )


def _refuse_what_is_not_covered(order: _Order, ceilings: Sequence[money.Money]) -> None:
    """A live plan must fit its budget before it starts; on this machine a budget may be there to be met."""
    if all(map(is_loopback, order.settings.bases.values())):
        return
    quote = pricing.quote(_first_step(order.plan), order.endpoints, ceilings)
    if not quote.covered:
        raise UsageError(
            f"the plan may cost {quote.cost_words}, more than its budget: lower the load or raise the budget"
        )


# ---------------------------------------------------------------------------------------- one run


def _one(order: _Order, report_dir: Path) -> Outcome:
    with _listening() as asked:
        place = folder.make(report_dir, time.time())
        settings = replace(order.settings, folder=str(place))
        _write_manifest(order, place)
        with _Engine(replace(order, settings=settings), place) as engine:
            _watch(order, engine, place, asked)
        asked.over()
        summary = summed(place, order)
    code = summing.exit_code(summary)
    if summary["state"] == "not begun" and code != 130:
        raise CouldNotTell(f"the load test never began:\n{_last_words(place)}")
    return Outcome(folder=place, summary=summary, exit_code=code)


def _write_manifest(order: _Order, place: Path) -> None:
    plan = order.plan
    told = {
        "id": place.name,
        "version": __version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "target": order.target,
        "specs": list(order.settings.specs),
        **folder.subjects(order.endpoints),
        "plan": plan.name,
        "model": "closed" if plan.closed else "open",
        "seed": plan.seed,
        "workers": order.workers,
        "budget": list(order.settings.budget),
        "settings": json.loads(replace(order.settings, folder="").to_json()),
    }
    atomic_write(place / folder.MANIFEST, json.dumps(told, indent=2))


def summed(place: Path, order: _Order | None = None) -> dict[str, Any]:
    """The summary of a run's folder, worked out, and written beside its records."""
    if order is None:
        settings = Settings.from_json(json.dumps(json.loads((place / folder.MANIFEST).read_text())["settings"]))
        endpoints, plan = settings.endpoints(), settings.load_plan()
    else:
        endpoints, plan = order.endpoints, order.plan
    summary = summing.summarise(
        place,
        demands=plan.thresholds,
        seed=plan.seed,
        # A cadence that is learned is no single one: what a client of it would feel is not told.
        cadences={e.name: plans.cadence(plan, e) for e in endpoints if plan.poll != "learned"},
    )
    atomic_write(place / folder.SUMMARY, json.dumps(summary, indent=1))
    with suppress(ImportError):
        state = folder.read_state(place)
        text = record.hdr_log(folder.calls(state), summary["seconds"], state.get("wall", 0.0))
        atomic_write(place / folder.CALLS, text)
    return summary


def _last_words(place: Path) -> str:
    path = place / folder.LOG
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join(lines[-5:]) or "its processes said nothing"


# ------------------------------------------------------------------------------------ its processes


@dataclass(slots=True)
class _Engine:
    """The hub's process and the workers'. Orders go over their standard input: if we die, they stop."""

    order: _Order
    place: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    log: IO[bytes] | None = None

    def __enter__(self) -> _Engine:
        file = self.place / "settings.json"
        atomic_write(file, self.order.settings.to_json())
        self.log = (self.place / folder.LOG).open("ab")
        count = self.order.workers if self.order.workers > 1 else 0
        hub = self._start("hub", str(file), str(count))
        if count:
            assert hub.stdout is not None  # asked for in _start
            line = hub.stdout.readline()
            if not line:
                raise CouldNotTell(f"the load test never began:\n{_last_words(self.place)}")
            for _ in range(count):
                self._start("worker", "127.0.0.1", str(json.loads(line)["port"]))
        return self

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "wireproof.load.users", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=dict(self.order.environment),
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    @property
    def hub(self) -> subprocess.Popen[bytes]:
        return self.processes[0]

    def say(self, order: str) -> None:
        """Give the hub an order; it may be gone already."""
        with suppress(OSError, ValueError):
            assert self.hub.stdin is not None  # asked for in _start
            self.hub.stdin.write(order.encode() + b"\n")
            self.hub.stdin.flush()

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            with suppress(OSError):
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        pipe.close()
        for process in self.processes:
            try:
                process.wait(timeout=3.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.log is not None:
            self.log.close()


@dataclass(slots=True)
class _Asked:
    """How often a person asked to stop, and by which signal."""

    times: int = 0
    name: str = ""
    most: int = 2
    """After so many, whoever asks again is let out at once: what was written by then stays."""

    def hear(self, number: int, _: object) -> None:
        self.times += 1
        self.name = signal.Signals(number).name
        if self.times > self.most:
            raise KeyboardInterrupt

    def over(self) -> None:
        """Nothing is sent any more, only summed up: that is worth one request's wait, and no second's."""
        self.most = max(1, self.times)


@contextmanager
def _listening() -> Iterator[_Asked]:
    """Signals become requests as long as the block lasts; only the main thread can listen."""
    asked = _Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, asked.hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(order: _Order, engine: _Engine, place: Path, asked: _Asked) -> None:
    """Until the run is over: show how far it is, pass on who wants it stopped, judge while it runs."""
    planned = plans.jobs(order.plan, order.endpoints)
    counts = {name: _Counter(place / name) for name in (folder.STARTED, folder.JOBS)}
    look = _Lookout(order, engine, place)
    ends = time.monotonic() + order.plan.seconds + order.plan.drain + _OVERTIME
    heard = 0
    while engine.hub.poll() is None and time.monotonic() < ends:
        time.sleep(_LOOK)
        while heard < min(asked.times, 2):
            heard += 1
            engine.say(f"stop interrupted by {asked.name}" if heard == 1 else "cut")
            ends = min(ends, time.monotonic() + (30.0 if heard == 1 else 3.0))
        state = folder.read_state(place)
        started, ended = (counts[name].count() for name in (folder.STARTED, folder.JOBS))
        if "wall" in state:
            seconds = max(0.0, time.time() - state["wall"])
            order.progress(
                Progress(seconds=seconds, length=order.plan.seconds, started=started, ended=ended, planned=planned)
            )
            look.look(ended)


@dataclass(slots=True)
class _Counter:
    """How many lines a growing file has, reading only what is new."""

    path: Path
    lines: int = 0
    read: int = 0

    def count(self) -> int:
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self.read)
                fresh = file.read()
            self.read += len(fresh)
            self.lines += fresh.count(b"\n")
        return self.lines


@dataclass(slots=True)
class _Lookout:
    """Holds the thresholds that abort a run against it while it runs."""

    order: _Order
    engine: _Engine
    place: Path
    due: float = 0.0
    said: bool = False

    def look(self, ended: int) -> None:
        demands = [one for one in self.order.plan.thresholds if one.abort]
        now = time.monotonic()
        if not demands or not ended or self.said or now < self.due:
            return
        summary = summing.summarise(self.place, demands=demands)
        # Looking costs time of this machine, which also generates the load: at most a tenth of it.
        self.due = now + max(1.0, 10 * (time.monotonic() - now))
        missed = [one for one in summary["thresholds"] if one["answer"] == thresholds.Answer.MISSED.value]
        if missed:
            self.said = True
            self.engine.say(f"stop threshold: {missed[0]['demand']} is missed at {missed[0]['endpoint']}")


# ----------------------------------------------------------------------------------------- search


def _search(order: _Order, report_dir: Path) -> Outcome:
    """Double the load until a threshold is missed or the run is not valid, then halve the gap twice."""
    search = order.plan.search
    assert search is not None  # asked for by the caller
    place = folder.make(report_dir, time.time(), "capacity")
    steps: list[dict[str, Any]] = []
    low, high, load = 0.0, float("inf"), search.start
    last: Outcome | None = None
    while load <= search.most and len(steps) < 20:
        last = _step(order, place, load)
        held = last.exit_code in (0, 3) and not any(t["answer"] == "missed" for t in last.summary["thresholds"])
        steps.append(
            {"load": load, "held": held, "exit_code": last.exit_code, "folder": last.folder.name if last.folder else ""}
        )
        if last.exit_code in (4, 130):
            break
        low, high = (load, high) if held else (low, load)
        if high - low <= low / 4 or (not low and load <= search.start):
            break
        load = min(low * 2, search.most) if high == float("inf") else (low + high) / 2
        if search.by == "users":
            load = float(round(load))
        if any(step["load"] == load for step in steps):
            break
    assert last is not None  # the first step is always taken
    found = {
        "by": search.by,
        "highest": low or None,
        "lowest_missed": None if high == float("inf") else high,
        "steps": steps,
    }
    summary = {**last.summary, "search": found}
    atomic_write(place / folder.SUMMARY, json.dumps(summary, indent=1))
    return Outcome(
        folder=place, summary=summary, exit_code=last.exit_code if last.exit_code in (4, 130) else 0 if low else 1
    )


def _step(order: _Order, place: Path, load: float) -> Outcome:
    by_rate = order.plan.search is not None and order.plan.search.by == "rate"
    step = order.plan.search.step if order.plan.search else None
    settings = replace(
        order.settings,
        rate=load if by_rate else None,
        users=None if by_rate else int(load),
        seconds=step,
        nonce=chance.token_hex(8),
    )
    return _one(replace(order, settings=settings, plan=settings.load_plan()), place)


__all__ = ["RUNS", "Outcome", "Progress", "Quote", "run", "summed"]
