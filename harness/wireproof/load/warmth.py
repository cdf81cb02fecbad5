"""Which jobs may have met a host that had gone cold: those that follow a time without any.

A host that lets a machine go when nobody asks for it has to start one again, and that takes seconds or
minutes. Such jobs are another population than those of a warm host: their times are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from wireproof.load.record import JobRecord, Outcome

IDLE = 10.0
"""Seconds without a job under way after which a host may have let its machine go."""


def cold(jobs: Iterable[JobRecord], idle: float = IDLE) -> frozenset[int]:
    """The numbers (`k`) of the jobs of one endpoint that may have met a cold host.

    After `idle` seconds without a job, and at the beginning of a run, these are all that are sent until the
    first of them is seen to end: before that nobody knows that a machine is up.
    """
    found = set()
    busy_until, warm_from = -inf, inf
    for job in sorted(jobs, key=lambda job: (job.sent, job.k)):
        if job.outcome is Outcome.REFUSED:
            # No machine was asked for it, so it neither met a cold one nor warmed it.
            continue
        if job.sent >= busy_until + idle:
            warm_from = inf
        if job.sent < warm_from:
            found.add(job.k)
        over = job.seen if job.seen is not None else job.ended
        busy_until = max(busy_until, job.sent + job.left if over is None else over)
        warm_from = min(warm_from, inf if job.seen is None else job.seen)
    return frozenset(found)
