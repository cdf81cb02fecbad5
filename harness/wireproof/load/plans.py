"""Declared plans (`loadtests/*.yaml`) as values: found, read strictly, checked against their schema.

A `LoadPlan` says everything about a run but where it goes and what it may spend. `arrivals` is its pure
part; the rest says how jobs are polled, when a run stops and what is asked of its numbers.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from wireproof import rooms
from wireproof.errors import ContractError, Mistake, UsageError
from wireproof.load import arrivals
from wireproof.load.arrivals import Closed, Phase, Record
from wireproof.load.censor import Cadence, every, fixed
from wireproof.load.thresholds import Threshold, threshold
from wireproof.model import Endpoint
from wireproof.spec import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Looking for the highest load under which the thresholds hold."""

    by: str
    """`rate` (jobs per second) or `users` (jobs in flight)."""
    start: float
    most: float
    step: float
    """Seconds that each load is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """One declared load test."""

    name: str
    says: str = ""
    seed: int = 42
    phases: tuple[Phase | Closed, ...] = ()
    cases: Mapping[str, int] = field(default_factory=lambda: {"base": 1})
    """`base`, `examples`, `generated` or the name of one of the contract's examples, with weights."""
    concurrency: int | None = None
    """At most so many jobs in flight, over all workers; None: as many as the plan is likely to need."""
    late: str = "queue"
    """What happens to a job that found no free place: `queue` or `drop`."""
    poll: str | Mapping[str, Any] = "contract"
    """`contract`, `client` (as the vendor's own does), `learned` (as the contract says, then where the jobs
    seen so far were done), `250ms`, or a cadence spelled out."""
    channel: str = "http"
    """`http` or `websocket`, where the contract has it."""
    blocking: bool = False
    download: bool = True
    drain: float = 30.0
    """Seconds for jobs in flight after the last start; then they are cut off and kept as censored."""
    patience: float | None = None
    thresholds: tuple[Threshold, ...] = ()
    search: Search | None = None
    where: str = ""
    """The file it was read from."""

    @property
    def seconds(self) -> float:
        """How long jobs are started."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def closed(self) -> bool:
        return bool(self.phases) and all(isinstance(phase, Closed) for phase in self.phases)

    def arrivals(self, targets: Sequence[str]) -> arrivals.Plan:
        """What is started when, against these endpoints."""
        return arrivals.Plan(phases=self.phases, targets=tuple(targets), cases=dict(self.cases))


# ---------------------------------------------------------------------------------------- reading


def find(name: str, start: Path | None = None) -> LoadPlan:
    """The plan of that name, a user's own before the shipped ones; or the one in a file. UsageError if none."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return read(path)
    known = names(start)
    if name not in known:
        guess = reading.nearest(name, known)
        hint = f" Did you mean {guess}?" if guess else ""
        raise UsageError(f"no plan is called {name!r}.{hint} Known: {', '.join(known)}")
    return read(known[name])


def names(start: Path | None = None) -> dict[str, Path]:
    """Every plan by its name; the nearest room wins."""
    found: dict[str, Path] = {}
    for room in rooms.places("loadtests", start):
        for file in sorted(room.glob("*.yaml")):
            found.setdefault(file.stem, file)
    return found


def read(path: Path) -> LoadPlan:
    """The plan in a file. Raises ContractError with every mistake in it."""
    document = reading.read(path)
    mistakes = sorted(_mistakes(document))
    if mistakes:
        raise ContractError(mistakes)
    plan, wrong = _build(document)
    if wrong or plan is None:
        raise ContractError(wrong)
    return plan


@functools.cache
def schema() -> Mapping[str, Any]:
    """The published JSON Schema of a plan."""
    file = rooms.shipped("specs") / "schema" / "plan.schema.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _mistakes(document: reading.Document) -> list[Mistake]:
    import jsonschema

    found = []
    for error in jsonschema.Draft202012Validator(schema()).iter_errors(document.value):
        pointer = "".join(f"/{part}" for part in error.absolute_path)
        if error.validator == "additionalProperties":
            known = list(error.schema.get("properties", {}))
            for key in (key for key in error.instance if key not in known):
                guess = reading.nearest(str(key), known)
                hint = f"Did you mean {guess}?" if guess else f"Known here: {', '.join(known)}."
                at = f"{pointer}/{key}"
                found.append(
                    Mistake(document.file, _line(document, at), at, f"{key!r} is not a key of this place. {hint}")
                )
        else:
            found.append(Mistake(document.file, _line(document, pointer), pointer, str(error.message)[:300]))
    return found


def _line(document: reading.Document, pointer: str) -> int:
    while pointer and pointer not in document.lines:
        pointer = pointer.rpartition("/")[0]
    return document.lines.get(pointer, 1)


def _build(document: reading.Document) -> tuple[LoadPlan | None, list[Mistake]]:
    value, wrong = document.value, []

    def tried(pointer: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except (ValueError, UsageError) as error:
            wrong.append(Mistake(document.file, _line(document, pointer), pointer, str(error)))
            return None

    phases = [tried(f"/phases/{i}", partial(phase, node)) for i, node in enumerate(value.get("phases", ()))]
    asked = enumerate(value.get("thresholds", ()))
    limits = [tried(f"/thresholds/{i}", partial(threshold, node)) for i, node in asked]
    if len({node["name"] for node in value.get("phases", ())}) < len(phases):
        wrong.append(Mistake(document.file, _line(document, "/phases"), "/phases", "every phase has a name of its own"))
    kinds = {isinstance(p, Closed) for p in phases if p is not None}
    if len(kinds) > 1:
        says = (
            "open phases (rate) and closed ones (users) cannot follow one another: their numbers mean different things"
        )
        wrong.append(Mistake(document.file, _line(document, "/phases"), "/phases", says))
    if "poll" in value:
        tried("/poll", lambda: _spelled(value["poll"]))
    if wrong:
        return None, wrong
    return _plan(document, phases, limits), []


def _plan(document: reading.Document, phases: Sequence[Any], limits: Sequence[Any]) -> LoadPlan:
    value = document.value
    plain = {
        name: value[name]
        for name in ("says", "seed", "cases", "concurrency", "late", "poll", "channel", "blocking", "download")
        if name in value
    }
    timed: dict[str, Any] = {name: seconds(value[name]) for name in ("drain", "patience") if name in value}
    looking = value.get("search")
    return LoadPlan(
        name=value["plan"],
        phases=tuple(phases),
        thresholds=tuple(limits),
        search=_search(looking) if looking else None,
        where=document.file,
        **plain,
        **timed,
    )


def _search(node: Mapping[str, Any]) -> Search:
    number = rate if node["by"] == "rate" else float
    return Search(by=node["by"], start=number(node["start"]), most=number(node["most"]), step=seconds(node["step"]))


_KINDS: Mapping[str, Callable[[Mapping[str, Any], float, Record], Phase | Closed]] = {
    "constant": lambda n, s, r: arrivals.constant(n["name"], rate(n["rate"]), s, r),
    "poisson": lambda n, s, r: arrivals.poisson(n["name"], rate(n["rate"]), s, r),
    "gamma": lambda n, s, r: arrivals.gamma(n["name"], rate(n["rate"]), s, float(n["cv"]), r),
    "ramp": lambda n, s, r: arrivals.ramp(n["name"], rate(n["rate"]), rate(n["to"]), s, r),
    "burst": lambda n, s, r: arrivals.burst(n["name"], n["jobs"], seconds(n["every"]), s, r),
    "trace": lambda n, s, r: replace(arrivals.trace(n["name"], map(float, n["at"]), r), seconds=s),
    "closed": lambda n, s, r: arrivals.closed(n["name"], n["users"], s, r),
}


def phase(node: Mapping[str, Any]) -> Phase | Closed:
    """One phase of a plan. ValueError for what makes no sense, KeyError for nothing the schema lets through."""
    kind = "closed" if "users" in node else node.get("arrivals", "constant")
    return _KINDS[kind](node, seconds(node["for"]), Record(node.get("record", "measure")))


_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(text: str | float) -> float:
    """`250ms`, `30s`, `10m`, `1h`, or a number of seconds. UsageError for anything else."""
    if isinstance(text, int | float):
        return float(text)
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is not a length of time: write it like 250ms, 30s, 10m or 1h")
    return float(match[1]) * _UNITS[match[2]]


_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*/\s*(s|m|h)")


def rate(text: str | float) -> float:
    """Jobs per second: `5/s`, `30/m`, `100/h`, or a number. UsageError for anything else."""
    if isinstance(text, int | float):
        return float(text)
    match = _RATE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is not a rate: write it like 5/s, 30/m or 100/h")
    return float(match[1]) / _UNITS[match[2]]


# -------------------------------------------------------------------------------------- overriding


def overridden(
    plan: LoadPlan,
    *,
    rate: float | None = None,
    users: int | None = None,
    seconds: float | None = None,
    seed: int | None = None,
) -> LoadPlan:
    """The plan with what the command line says instead.

    A rate or a number of users replaces what is measured by one phase of it; a time alone makes the last
    phase that long, others as they are.
    """
    if rate is not None and users is not None:
        raise UsageError("--rate asks for arrivals, --users for jobs in flight: one of the two")
    phases = plan.phases
    if rate is not None or users is not None:
        warm = tuple(p for p in phases if p.record is Record.WARMUP and isinstance(p, Closed) is (users is not None))
        length = seconds or sum(p.seconds for p in phases if p.record is Record.MEASURE) or 30.0
        made = arrivals.closed("measure", users, length) if users is not None else _spaced(plan, rate or 0.0, length)
        phases = (*warm, made)
    elif seconds is not None and phases:
        phases = (*phases[:-1], _lasting(phases[-1], seconds))
    return replace(plan, phases=phases, seed=plan.seed if seed is None else seed)


def _spaced(plan: LoadPlan, rate: float, length: float) -> Phase:
    measured = [p for p in plan.phases if isinstance(p, Phase) and p.record is Record.MEASURE]
    flat = arrivals.constant("measure", rate, length)
    return replace(flat, spacing=measured[0].spacing, cv=measured[0].cv) if measured else flat


def _lasting(phase: Phase | Closed, length: float) -> Phase | Closed:
    if isinstance(phase, Closed) or not phase.slopes:
        if isinstance(phase, Closed):
            return replace(phase, seconds=length)
        return replace(phase, seconds=length, moments=tuple(m for m in phase.moments if m < length))
    scale = length / phase.seconds
    slopes = tuple(replace(slope, seconds=slope.seconds * scale) for slope in phase.slopes)
    return replace(phase, seconds=length, slopes=slopes)


# ---------------------------------------------------------------------------------------- derived


def cadence(plan: LoadPlan, endpoint: Endpoint) -> Cadence:
    """How jobs of an endpoint are polled. Only `client` keeps a fixed phase, as vendors' clients do."""
    poll = endpoint.provider.poll
    step = poll.every.seconds or 1.0
    if plan.poll == "client":
        return replace(
            fixed(step, max(0.001, poll.first.seconds or 0.001)),
            growth=float(poll.growth),
            most=poll.most.seconds or float("inf"),
        )
    if plan.poll in ("contract", "learned"):
        return Cadence(waits=(step,), growth=float(poll.growth), most=poll.most.seconds or float("inf"), phase=True)
    return _spelled(plan.poll)


def _spelled(poll: str | Mapping[str, Any]) -> Cadence:
    if poll in ("contract", "client", "learned"):
        return every(1.0)
    if isinstance(poll, str):
        return every(seconds(poll))
    return Cadence(
        waits=tuple(map(seconds, poll["waits"])),
        growth=float(poll.get("growth", 1.0)),
        most=seconds(poll["most"]) if "most" in poll else float("inf"),
        jitter=float(poll.get("jitter", 0.0)),
        phase=poll.get("first", "uniform") == "uniform",
    )


def jobs(plan: LoadPlan, endpoints: Sequence[Endpoint]) -> int:
    """How many jobs the plan starts; of a closed one what the contract's own times make of it."""
    if not plan.closed:
        return sum(1 for _ in arrivals.plan(plan.seed, plan.arrivals([e.name for e in endpoints])))
    typical = sum(map(usual, endpoints)) / len(endpoints)
    return sum(ceil(p.users * p.seconds / typical) for p in plan.phases if isinstance(p, Closed))


def usual(endpoint: Endpoint) -> float:
    """Seconds that a job takes there, as somebody says."""
    return max(0.05, endpoint.timing.queue + endpoint.timing.run)


def places(plan: LoadPlan, endpoints: Sequence[Endpoint]) -> int:
    """How many jobs may be in flight: the plan's cap, else room for jobs that take five times as usual."""
    if plan.closed:
        return max(p.users for p in plan.phases if isinstance(p, Closed))
    if plan.concurrency is not None:
        return plan.concurrency
    slowest = max(map(usual, endpoints))
    return max(20, min(1000, ceil(peak(plan) * (5 * slowest + 5))))


def peak(plan: LoadPlan) -> float:
    """The highest rate of starts, jobs per second."""
    rates = [max(s.start, s.end) for p in plan.phases if isinstance(p, Phase) for s in p.slopes]
    moments = [len(p.moments) / max(p.seconds, 1.0) for p in plan.phases if isinstance(p, Phase) and p.moments]
    heaps = [max(map(p.moments.count, set(p.moments))) / 5 for p in plan.phases if isinstance(p, Phase) and p.moments]
    return max([0.0, *rates, *moments, *heaps])
