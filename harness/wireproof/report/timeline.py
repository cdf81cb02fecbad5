"""Jobs as pictures: what was asked of a job and what it said, over time. Geometry only; no mark-up here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median
from typing import Any

from wireproof.lifecycle import Status, is_final
from wireproof.model import Exchange, Run
from wireproof.report.plain import line
from wireproof.report.reading import answer, duration

WIDTH = 760
"""Of the drawing, in its own units."""
_LEFT, _RIGHT = 12, 108
"""What is left free at the ends; on the right the last state has room to be named."""
_LONG = 6.0
"""A wait this many times the usual one is drawn shortened, and says how long it was."""
_SHORTENED = 0.2
"""How long a shortened wait is drawn, as a part of all that is drawn to scale."""
_LABEL = 52
"""Room that a time below the axis needs."""
_LETTER = 6.6
"""About how wide a letter of a label is."""

WORDS = {
    **{status.value: status for status in Status},
    "accepted": Status.QUEUED,
    "created": Status.QUEUED,
    "in_queue": Status.QUEUED,
    "pending": Status.QUEUED,
    "scheduled": Status.QUEUED,
    "starting": Status.QUEUED,
    "submitted": Status.QUEUED,
    "waiting": Status.QUEUED,
    "active": Status.RUNNING,
    "generating": Status.RUNNING,
    "in_progress": Status.RUNNING,
    "processing": Status.RUNNING,
    "started": Status.RUNNING,
    "complete": Status.SUCCEEDED,
    "completed": Status.SUCCEEDED,
    "done": Status.SUCCEEDED,
    "finished": Status.SUCCEEDED,
    "ok": Status.SUCCEEDED,
    "ready": Status.SUCCEEDED,
    "success": Status.SUCCEEDED,
    "error": Status.FAILED,
    "errored": Status.FAILED,
    "failure": Status.FAILED,
    "cancelled": Status.CANCELED,
    "blocked": Status.MODERATED,
    "content_blocked": Status.MODERATED,
    "timeout": Status.TIMED_OUT,
}
"""Common words of hosts. They choose a colour and judge nothing: the contract's own table does that."""

_KEYS = ("status", "state", "job_status", "phase")


@dataclass(frozen=True, slots=True)
class Mark:
    """One request in the picture."""

    x: float
    width: float
    """How long it took, in units of the drawing."""
    shape: str
    """`submit`, `ask` or `media`."""
    good: bool
    """Whether it was answered below 400."""
    seq: int
    title: str


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time in which the job was last heard in one state."""

    x: float
    width: float
    tone: str
    """`waiting`, `working`, `good`, `bad`, `gone` or `unknown`."""
    label: str
    """The host's own word; empty when there is no room for it."""
    word: str


@dataclass(frozen=True, slots=True)
class Pause:
    """A long wait that is drawn shortened."""

    x: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A time on the axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the table that says the same in words."""

    seq: int
    at: str
    took: str
    operation: str
    answer: str
    word: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One job, drawn and in words."""

    job: str
    says: str
    """The text alternative."""
    marks: tuple[Mark, ...]
    bands: tuple[Band, ...]
    pauses: tuple[Pause, ...]
    ticks: tuple[Tick, ...]
    steps: tuple[Step, ...]


def pictures(run: Run, wanted: Iterable[str] | None = None) -> tuple[Picture, ...]:
    """A picture of every job, or of the wanted ones in their order."""
    jobs = by_job(run.exchanges)
    chosen = jobs if wanted is None else [job for job in wanted if job in jobs]
    return tuple(_picture(job, jobs[job]) for job in chosen)


def by_job(exchanges: Iterable[Exchange]) -> dict[str, list[Exchange]]:
    """The exchanges of each job in the order they were sent."""
    jobs: dict[str, list[Exchange]] = {}
    for exchange in sorted(exchanges, key=lambda e: (e.at, e.seq)):
        if exchange.job is not None:
            jobs.setdefault(exchange.job, []).append(exchange)
    return jobs


def _picture(job: str, exchanges: Sequence[Exchange]) -> Picture:
    start = exchanges[0].at
    scale = _Scale(exchanges)
    words = [state_word(exchange) for exchange in exchanges]
    heard = [line(word) for word in words if word]
    ended = max(exchange.at + exchange.took for exchange in exchanges) - start
    story = " then ".join(_changes(heard)) or "no state was told"
    return Picture(
        job=line(job),
        says=f"Job {line(job)}: {len(exchanges)} requests in {duration(ended)}; {story}",
        marks=tuple(_mark(exchange, scale) for exchange in exchanges),
        bands=tuple(_bands(exchanges, words, scale)),
        pauses=tuple(scale.pauses()),
        ticks=tuple(_ticks(exchanges, scale)),
        steps=tuple(_step(exchange, word, start) for exchange, word in zip(exchanges, words, strict=True)),
    )


def _changes(words: Sequence[str]) -> list[str]:
    return [word for number, word in enumerate(words) if not number or words[number - 1] != word]


class _Scale:
    """Time to place, with the long waits shortened so that what goes on between them can be seen."""

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        begun = [exchange.at for exchange in exchanges]
        waits = [after - before for before, after in pairwise(begun)]
        self._most = median(waits) * _LONG if len(waits) > 1 else math.inf
        self._moments = sorted({moment for e in exchanges for moment in (e.at, e.at + e.took)})
        self._places = list(accumulate(self._drawn(), initial=float(_LEFT)))
        self._order = {moment: number for number, moment in enumerate(self._moments)}

    def _drawn(self) -> list[float]:
        """How long each stretch between two moments is in the drawing."""
        gaps = [after - before for before, after in pairwise(self._moments)]
        short = sum(gap for gap in gaps if gap <= self._most) or 1.0
        lengths = [gap if gap <= self._most else short * _SHORTENED for gap in gaps]
        unit = (WIDTH - _LEFT - _RIGHT) / (sum(lengths) or 1.0)
        return [length * unit for length in lengths]

    def __call__(self, moment: float) -> float:
        """The place of a moment that one of the exchanges began or ended at."""
        return round(self._places[self._order[moment]], 1)

    def pauses(self) -> Iterator[Pause]:
        for number, (before, after) in enumerate(pairwise(self._moments)):
            if after - before > self._most:
                left, right = self._places[number], self._places[number + 1]
                yield Pause(round(left, 1), round(right - left, 1), duration(after - before))


def _mark(exchange: Exchange, scale: _Scale) -> Mark:
    begun, ended = scale(exchange.at), scale(exchange.at + exchange.took)
    return Mark(
        x=begun,
        width=round(max(ended - begun, 1.5), 1),
        shape="media" if exchange.operation == "media" else "submit" if exchange.call.method == "POST" else "ask",
        good=exchange.broke is None and exchange.reply is not None and exchange.reply.status < 400,
        seq=exchange.seq,
        title=f"#{exchange.seq} {line(exchange.operation or exchange.call.method)}: {line(answer(exchange))}",
    )


def _bands(exchanges: Sequence[Exchange], words: Sequence[str], scale: _Scale) -> Iterator[Band]:
    """From each answer that told a state to the next that told another; the last one stays open."""
    heard = [
        (scale(e.at + e.took), *told) for e, told in zip(exchanges, _told(exchanges, words), strict=True) if told[0]
    ]
    changed = [point for number, point in enumerate(heard) if not number or heard[number - 1][1] != point[1]]
    for number, (x, word, colour) in enumerate(changed):
        end = changed[number + 1][0] if number + 1 < len(changed) else WIDTH - _LEFT
        width = round(max(end - x, 3.0), 1)
        shown = line(word)[:40]
        yield Band(x, width, colour, shown if len(shown) * _LETTER + 12 <= width else "", shown)


def _told(exchanges: Sequence[Exchange], words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The state each answer told and its colour; a job that had ended and is not found any more has gone."""
    ended = False
    for exchange, word in zip(exchanges, words, strict=True):
        status = exchange.reply.status if exchange.reply else 0
        if not word and ended and status in (404, 410):
            yield f"{status} gone", "gone"
        else:
            ended = ended or is_final_word(word)
            yield word, tone(word)


def tone(word: str) -> str:
    """The colour family of a host's state word."""
    status = WORDS.get(word.lower().replace("-", "_").replace(" ", "_"))
    return _TONES[status] if status else "unknown"


_TONES = {
    Status.QUEUED: "waiting",
    Status.THROTTLED: "waiting",
    Status.RUNNING: "working",
    Status.SUCCEEDED: "good",
    Status.FAILED: "bad",
    Status.MODERATED: "bad",
    Status.CANCELED: "bad",
    Status.TIMED_OUT: "bad",
    Status.EXPIRED: "gone",
}


def _ticks(exchanges: Sequence[Exchange], scale: _Scale) -> Iterator[Tick]:
    """A time under each request that has room for one, the last before the others."""
    start, last = exchanges[0].at, exchanges[-1]
    final = scale(last.at)
    taken = -_LABEL * 1.0
    for exchange in exchanges[:-1]:
        x = scale(exchange.at)
        if x - taken >= _LABEL and final - x >= _LABEL:
            taken = x
            yield Tick(x, duration(exchange.at - start) if exchange.at > start else "0")
    yield Tick(final, duration(last.at - start) if last.at > start else "0")


def _step(exchange: Exchange, word: str, start: float) -> Step:
    return Step(
        seq=exchange.seq,
        at=duration(exchange.at - start),
        took=duration(exchange.took),
        operation=line(exchange.operation or exchange.call.method),
        answer=line(answer(exchange)),
        word=line(word),
    )


_DEEPEST, _LONGEST = 4, 65_536


def state_word(exchange: Exchange) -> str:
    """The host's state word in a JSON answer, the outermost one; empty when there is none."""
    if exchange.reply is None or not 0 < len(exchange.reply.body) <= _LONGEST:
        return ""
    try:
        told = json.loads(exchange.reply.body)
    except (ValueError, RecursionError):
        return ""
    level = [told]
    for _ in range(_DEEPEST):
        for value in level:
            if isinstance(value, dict) and (word := _word(value)):
                return word
        level = [inner for value in level for inner in _inner(value)]
    return ""


def _word(value: dict[str, Any]) -> str:
    return next((found for key in _KEYS if isinstance(found := value.get(key), str)), "")


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def worth_drawing(run: Run, most: int) -> list[str]:
    """The jobs to show when there are too many: those that findings cite, gravest first, then by length."""
    jobs = by_job(run.exchanges)
    owner = {exchange.seq: exchange.job for exchange in run.exchanges if exchange.job is not None}
    cited = [owner[seq] for finding in run.findings for seq in finding.evidence if seq in owner]
    told = [job for job in jobs if any(is_final_word(state_word(exchange)) for exchange in jobs[job])]
    rest = sorted(told, key=lambda job: -len(jobs[job]))
    return list(dict.fromkeys([*cited, *rest, *jobs]))[:most]


def is_final_word(word: str) -> bool:
    """Whether the word is one that commonly ends a job."""
    status = WORDS.get(word.lower())
    return status is not None and is_final(status)
