"""What changed between two load runs: told only where the intervals of both do not meet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wireproof.load import folder
from wireproof.load.record import JobRecord, Outcome
from wireproof.spec.diff import Shift, median


@dataclass(frozen=True, slots=True)
class LoadRun:
    """A load run as its folder keeps it."""

    summary: Mapping[str, Any]
    jobs: tuple[JobRecord, ...]


def runs_in(place: Path) -> tuple[Path, ...]:
    """The load runs that were summed up in a folder, by name, or the folder itself where it is one."""
    inside = sorted(place.iterdir()) if place.is_dir() else []
    return tuple(one for one in (place, *inside) if _is_run(one))


def _is_run(place: Path) -> bool:
    return (place / folder.SUMMARY).is_file() and (place / folder.JOBS).is_file()


def read(place: Path) -> LoadRun:
    """The run that is kept in a folder of `runs_in`."""
    summary = json.loads((place / folder.SUMMARY).read_text(encoding="utf-8"))
    return LoadRun(summary, tuple(folder.jobs(place)))


def drift(runs: Sequence[LoadRun]) -> tuple[Shift, ...]:
    """What shifted between the first and the last run that loaded an endpoint, the worse first.

    Both numbers have an interval at 95 %, and only where these do not meet is there a shift. Times of a run
    whose generator was the limit are compared with nothing. Runs are taken in the order of their start.
    """
    seen: dict[str, list[LoadRun]] = {}
    for run in sorted(runs, key=lambda run: run.summary["started"] or ""):
        for name in run.summary["endpoints"]:
            seen.setdefault(name, []).append(run)
    shifts = [
        shift
        for name, pair in seen.items()
        if len(pair) > 1
        for read_ in (_generator, _latency, _failures, _cost)
        for shift in read_(name, pair[0], pair[-1])
    ]
    return tuple(sorted(shifts, key=lambda s: (not s.worse, s.endpoint, s.kind, s.subject)))


def _generator(name: str, first: LoadRun, last: LoadRun) -> Iterator[Shift]:
    before, after = (run.summary["health"]["verdict"] for run in (first, last))
    if "invalid" in (before, after):
        says = "the generator was the limit of a run: times are not compared"
        yield Shift(endpoint=name, kind="generator", subject="", before=before, after=after, says=says, worse=False)


def _latency(name: str, first: LoadRun, last: LoadRun) -> Iterator[Shift]:
    if "invalid" in (first.summary["health"]["verdict"], last.summary["health"]["verdict"]):
        return
    before, after = (run.summary["endpoints"][name]["completion"] for run in (first, last))
    for p in before.keys() & after.keys():
        yield from _shifted(
            name, "latency", p, (_span(before[p]), _span(after[p])), _seconds, _words(first, last, "jobs take {}")
        )


def _failures(name: str, first: LoadRun, last: LoadRun) -> Iterator[Shift]:
    """The part of jobs that did not end well."""
    told = [_span(run.summary["endpoints"][name]["success_rate"]) for run in (first, last)]
    bad = [None if s is None else (1 - s[0], 1 - s[2], 1 - s[1]) for s in told]
    words = _words(first, last, "{} jobs fail", ("more", "fewer"))
    yield from _shifted(name, "failure", "part of jobs", (bad[0], bad[1]), _percent, words)


def _cost(name: str, first: LoadRun, last: LoadRun) -> Iterator[Shift]:
    """The middle price of a job that ended well; silent where a price is a guess, or in another unit."""
    paid = [
        [job.spent for job in run.jobs if job.endpoint == name and job.outcome is Outcome.SUCCEEDED and job.certain]
        for run in (first, last)
    ]
    units = {money.unit for side in paid for money in side if money is not None}
    if len(units) != 1:
        return
    (unit,) = units
    spans = [median([float(money.amount) for money in side if money is not None]) for side in paid]
    words = _words(first, last, "a job costs {}", ("more", "less"))
    yield from _shifted(name, "cost", "per job", (spans[0], spans[1]), lambda amount: f"{amount:.6g} {unit}", words)


Span = tuple[float, float, float]
"""A number, and between which two it lies."""


def _span(found: Mapping[str, Any]) -> Span | None:
    """None where the sample was too small, or nothing bounds it from above."""
    value, low, high = found["value"], found["low"], found["high"]
    return None if value is None or low is None or high is None else (value, low, high)


def _words(
    first: LoadRun, last: LoadRun, pattern: str, two: tuple[str, str] = ("longer", "less long")
) -> tuple[str, str]:
    """How a rise and a fall are told; that the plans differ is told with them."""
    plans = [str(run.summary["plan"]) for run in (first, last)]
    note = "" if plans[0] == plans[1] else f"; the plans differ: {plans[0]}, {plans[1]}"
    return pattern.format(two[0]) + note, pattern.format(two[1]) + note


def _shifted(
    name: str,
    kind: str,
    subject: str,
    spans: tuple[Span | None, Span | None],
    shown: Callable[[float], str],
    words: tuple[str, str],
) -> Iterator[Shift]:
    before, after = spans
    if before is None or after is None or (before[1] <= after[2] and after[1] <= before[2]):
        return
    rose = after[0] > before[0]
    texts = [f"{shown(value)} ({shown(low)} to {shown(high)})" for value, low, high in (before, after)]
    yield Shift(
        endpoint=name,
        kind=kind,
        subject=subject,
        before=texts[0],
        after=texts[1],
        says=words[0] if rose else words[1],
        worse=rose,
    )


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


def _percent(value: float) -> str:
    return f"{value:.1%}"
