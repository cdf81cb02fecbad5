"""The pace of a host, for a mock that is to keep it: by a law for each phase of a job, or as a recording shows it.

faults = [*by_law("queue=fixed:2"), *by_law("run=log-normal:6:0.3"), *measured(endpoint, exchanges).faults]
mood = paced(load_moods()["busy-hour"], faults)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wireproof.check.trace import JobTrace, read
from wireproof.errors import UsageError
from wireproof.lifecycle import Status
from wireproof.mock.moods import Fault, Mood
from wireproof.model import Does, Endpoint, Exchange
from wireproof.wire.bodies import MISSING

PHASES: Mapping[str, tuple[str, tuple[str, ...], Mapping[str, Any]]] = {
    "queue": ("paced", ("submit", "run"), {"phase": "queue"}),
    "run": ("paced", ("submit", "run"), {"phase": "run"}),
    "transfer": ("late", ("media",), {}),
}
"""Each phase, and the fault that sets how long it takes: its name, the calls that it strikes, its options."""
LAWS = ("fixed", "uniform", "log-normal")
_WAITS = (Status.QUEUED, Status.THROTTLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long each phase of the jobs of a recording took. Seconds; empty where nothing was seen of it."""

    queue: tuple[float, ...] = ()
    run: tuple[float, ...] = ()
    transfer: tuple[float, ...] = ()

    def __add__(self, other: Pace) -> Pace:
        return Pace(
            queue=self.queue + other.queue, run=self.run + other.run, transfer=self.transfer + other.transfer
        )  # fmt: skip

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What makes a mock take one of these times for each phase that was seen."""
        seen = {"queue": self.queue, "run": self.run, "transfer": self.transfer}
        return tuple(_fault(phase, law="empirical", of=times) for phase, times in seen.items() if times)


def _fault(phase: str, **options: Any) -> Fault:
    name, at, own = PHASES[phase]
    return Fault(name, at=at, options={**own, **options})


def paced(mood: Mood | None, faults: Iterable[Fault]) -> Mood:
    """A mood with this pace, beneath whatever else it does."""
    base = mood or Mood("latency")
    return replace(base, faults=(*faults, *base.faults))


def by_law(text: str) -> Fault:
    """The fault that `PHASE=LAW:SECONDS` or `PHASE=LAW:SECONDS:SPREAD` asks for. Raises UsageError."""
    phase, _, rest = text.partition("=")
    law, *numbers = rest.split(":")
    try:
        seconds, *spread = [float(number) for number in numbers]
    except ValueError:
        seconds, spread = math.nan, []
    good = phase in PHASES and law in LAWS and 0 <= seconds < math.inf and len(spread) < 2
    if not good or not all(0 <= one < math.inf for one in spread):
        raise UsageError(
            f"--latency {text!r}: give from:RECORDING, or PHASE=LAW:SECONDS[:SPREAD] with a phase of "
            f"{', '.join(PHASES)} and a law of {', '.join(LAWS)}"
        )
    return _fault(phase, law=law, seconds=seconds, **({"spread": spread[0]} if spread else {}))


def measured(endpoint: Endpoint, exchanges: Sequence[Exchange], prefix: str = "") -> Pace:
    """How long the phases of the jobs took that these exchanges show from submit to success.

    What the host tells of its own times counts; else a change came halfway between the poll that told it and
    the one before."""
    found = Pace()
    for job in read(endpoint, exchanges, prefix).jobs:
        if job.taken and not job.tangled and job.outcome is Status.SUCCEEDED:
            queue, run = _told(job) or _seen(job)
            found += Pace(queue=(round(queue, 3),), run=(round(run, 3),))
        found += Pace(transfer=tuple(round(e.took, 3) for e in job.media if e.reply and e.reply.status == 200))
    return found


def _told(job: JobTrace) -> tuple[float, float] | None:
    """Queue and run as the host tells them; a queue that it does not tell is what was seen besides the run."""
    values = {
        name: seen.reading.value(name)
        for seen, _ in job.told
        for name in ("job.queue_time", "job.run_time")
        if seen.reading and isinstance(seen.reading.value(name), (int, float))
    }
    run = values.get("job.run_time", MISSING)
    if run is MISSING:
        return None
    queue = values.get("job.queue_time", MISSING)
    return (max(0.0, sum(_seen(job)) - run) if queue is MISSING else float(queue)), float(run)


def _seen(job: JobTrace) -> tuple[float, float]:
    """Queue and run as they could be seen from outside."""
    assert job.submit is not None
    if job.submit.operation is not None and job.submit.operation.does is Does.RUN:
        return 0.0, job.submit.exchange.took
    taken = job.submit.exchange.at + job.submit.exchange.took
    news = [(seen.exchange.at + seen.exchange.took, status) for seen, status in job.told]
    left = _halfway(taken, news, _WAITS)
    ended = _halfway(taken, news, (*_WAITS, Status.RUNNING))
    if left == ended:  # it was never seen to run: what the contract says of the queue is all there is
        left = min(taken + job.endpoint.timing.queue, ended)
    return left - taken, ended - left


def _halfway(start: float, news: Sequence[tuple[float, Status]], before: Sequence[Status]) -> float:
    """When the job was no longer `before`: between the last news that it was, and the first that it was not."""
    last = start
    for at, status in news:
        if status not in before:
            return (last + at) / 2
        last = at
    return last
