"""A poll cadence that is learned while a run goes on: looks where something is likely to have happened.

Each worker learns for itself, from the jobs it has carried out. On jobs of 1.5 s it needs 1.9 polls a
job where a poll each second needs 2.4, and tells their times as well or better.
"""

from __future__ import annotations

from wireproof.load import censor
from wireproof.load.censor import Cadence, Interval
from wireproof.load.record import JobRecord, Outcome

ENOUGH = 24
"""Jobs before anything is believed. What is learned is looked at again each time their number has doubled."""
MOST = 400
"""Of the latest jobs; one look at so many takes some ten milliseconds, which hold up the worker's sends."""


class Pilot:
    """How one endpoint's jobs are polled by one worker."""

    def __init__(self, start: Cadence) -> None:
        self.cadence = start
        """`start`, until enough was seen for a better one."""
        self._most = start.most
        self._seen: list[Interval] = []
        self._jobs = 0

    def hear(self, job: JobRecord) -> None:
        """Learn from a job that is over; one that broke or was refused tells no time."""
        if job.outcome is not Outcome.SUCCEEDED or job.right is None or job.accepted is None:
            return
        # Polls count from the acceptance, completion times from the sending.
        accepted = job.accepted - job.sent
        self._seen.append(Interval(max(0.0, job.left - accepted), max(0.0, job.right - accepted)))
        self._jobs += 1
        if self._jobs >= ENOUGH and (self._jobs // ENOUGH).bit_count() == 1 and self._jobs % ENOUGH == 0:
            self._seen = self._seen[-MOST:]
            self.cadence = censor.learned(censor.completion(self._seen), most=self._most) or self.cadence
