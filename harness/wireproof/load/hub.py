"""The one process of a load test that writes its run down, keeps its money and decides when it is over.

It hears its workers (`hear`) and speaks to them by `down`; whether they are in this process or on other
machines it does not know. Every line is in its file before the next message is read.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from wireproof.load import folder as files
from wireproof.load.hand import Message
from wireproof.load.leases import Teller
from wireproof.load.plans import LoadPlan
from wireproof.load.record import Histogram, JobRecord, Outcome
from wireproof.load.settings import Settings
from wireproof.money import Money

GRACE = 10.0
"""Seconds that jobs in flight are given when a run is interrupted, if its plan gives more."""
LEAD = 0.3
"""Seconds between the word to begin and the beginning, so that every worker has heard it."""


class Hub:
    """The run's own side. `now` is a monotonic clock in seconds."""

    def __init__(
        self,
        settings: Settings,
        plan: LoadPlan,
        *,
        teller: Teller | None,
        down: Callable[[str, Message], None],
        over: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.plan = plan
        self._teller = teller
        self._down = down
        self._over = over
        self._now = now
        self._folder = Path(settings.folder)
        self._files = {name: _append(self._folder / name) for name in files.GROWING}
        self._waiting: dict[str, int] = {}
        """Workers that have not drained, and their index."""
        self._calls: dict[tuple[str, str], Histogram] = {}
        self._asked: deque[tuple[str, Message]] = deque()
        """Workers that wait for money, and what for."""
        self._short = False
        """Whether the workers know that somebody waits for money."""
        self._lent: dict[str, set[int]] = {}
        """Leases by the worker that has them."""
        self.why = ""
        """Why the run was stopped before its plan was done; empty: it was not."""
        self.lost: list[int] = []
        self._taken: set[str] = set()
        """Endpoints that are known to have accepted a job."""
        self._unsent: dict[str, int] = {}
        self._planned = 0
        self._begun: float | None = None
        self._cut_at: float | None = None
        self.finished = False

    @property
    def begun(self) -> bool:
        return self._begun is not None

    def begin(self, workers: Sequence[str]) -> None:
        """Let the workers begin together."""
        if self.begun:
            return
        self._begun = self._now() + LEAD
        self._cut_at = self._begun + self.plan.seconds + self.plan.drain
        self._write_state("running", wall=time.time() + LEAD, workers=len(workers))
        self._waiting = {name: index for index, name in enumerate(workers)}
        text = self.settings.to_json()
        for name, index in self._waiting.items():
            self._down(name, {"what": "begin", "index": index, "workers": len(workers), "in": LEAD, "settings": text})

    # --------------------------------------------------------------------------------- from workers

    def hear(self, worker: str, message: Message) -> None:
        """Take a worker's message."""
        getattr(self, f"_hear_{message['what']}")(worker, message)

    def _hear_started(self, worker: str, message: Message) -> None:
        self._write(files.STARTED, message["job"])

    def _hear_pulse(self, worker: str, message: Message) -> None:
        self._write(files.IDS, *(json.dumps({"k": k, "id": id}) for k, id, _ in message["ids"]))
        self._write(files.JOBS, *(line for _, line in message["records"]))
        self._taken.update(endpoint for _, _, endpoint in message["ids"])
        for lease, line in message["records"]:
            if lease and self._teller:
                self._teller.settle(lease, self._charged(JobRecord.from_json(line)))
        if self._asked:
            self._lend()
        for endpoint, operation, counts in message["calls"]:
            key = (endpoint, operation)
            more = Histogram({int(bucket): count for bucket, count in counts})
            self._calls[key] = self._calls[key] + more if key in self._calls else more
        self._write(files.PULSES, json.dumps(message["told"]))

    def _charged(self, job: JobRecord) -> Money | None:
        """What a job has cost at least; None: the full price stays counted.

        A host that has taken nothing yet is not believed that what it refuses is free: it may bill all of it.
        """
        return None if job.outcome is Outcome.REFUSED and job.endpoint not in self._taken else job.owed

    def _hear_lease(self, worker: str, message: Message) -> None:
        self._asked.append((worker, message))
        self._lend()

    def _lend(self) -> None:
        """Grant what was asked for, in order. Where money lacks that may come back, everyone waits for it."""
        assert self._teller is not None  # workers ask only in runs with a budget
        while self._asked:
            worker, message = self._asked[0]
            price = Money(Decimal(message["amount"]), message["unit"])
            lease, jobs = (0, 0) if self.why else self._teller.grant(message["endpoint"], price, message["jobs"])
            if not jobs and not self.why and self._teller.may_come(message["endpoint"], price):
                if not self._short:
                    self._short = True
                    for name in list(self._waiting):
                        self._down(name, {"what": "short"})
                return
            self._short = False
            self._asked.popleft()
            self._lent.setdefault(worker, set()).add(lease)
            self._down(worker, {"what": "granted", "ask": message["ask"], "lease": lease, "jobs": jobs})

    def _hear_unused(self, worker: str, message: Message) -> None:
        for lease, jobs in message["unused"]:
            if self._teller:
                self._teller.settle(lease, Money(Decimal(0), ""), jobs)
        self._lend()

    def _hear_broke(self, worker: str, _: Message) -> None:
        # The others may still hold money; they stop when theirs is gone.
        self.why = self.why or f"budget: {self._teller.refused if self._teller else ''}"
        self._lend()

    def _hear_drained(self, worker: str, message: Message) -> None:
        if worker not in self._waiting:
            return
        if message["unused"]:
            self._hear_unused(worker, message)
        for key, count in message["unsent"].items():
            self._unsent[key] = self._unsent.get(key, 0) + count
        self._planned += message["planned"]
        self._left(worker)

    def lose(self, worker: str) -> None:
        """A worker is gone. What it had started and not told stays in the run as cut off."""
        if worker in self._waiting:
            self.lost.append(self._waiting[worker])
            if self._teller is not None:
                self._teller.orphan(self._lent.get(worker, ()))
                self._asked = deque(one for one in self._asked if one[0] != worker)
                self._lend()
            self._left(worker)

    def _left(self, worker: str) -> None:
        del self._waiting[worker]
        if not self._waiting:
            self._finish()

    # ----------------------------------------------------------------------------------- stopping

    def stop(self, why: str) -> None:
        """Start nothing more; jobs in flight get a grace. Called again, they are cut off at once."""
        if self.why and not self.why.startswith("budget"):
            self.cut()
            return
        self.why = why
        if self._asked:
            self._lend()
        if not self.begun:
            self._finish()
            return
        self._cut_at = min(self._cut_at or 0.0, self._now() + min(GRACE, self.plan.drain))
        for worker in list(self._waiting):
            self._down(worker, {"what": "stop"})

    def cut(self) -> None:
        """Cut off what is in flight: it is kept as censored."""
        self._cut_at = self._now()
        for worker in list(self._waiting):
            # Where nobody stopped the run, its time is over: what was due and found no place will not be sent.
            self._down(worker, {"what": "stop", "over": not self.why})
            self._down(worker, {"what": "cut"})

    def tick(self, alive: Sequence[str]) -> None:
        """Look after what is due: the end of the drain, and workers that are gone."""
        for worker in [name for name in self._waiting if name not in alive]:
            self.lose(worker)
        if self._waiting and self._cut_at is not None and self._now() >= self._cut_at:
            self._cut_at = self._now() + 2.0
            self.cut()
            self._cut_at = self._now() + 2.0

    def _finish(self) -> None:
        if not self.finished:
            self.finished = True
            self._write_state("finished")
            for descriptor in self._files.values():
                os.close(descriptor)
            self._over()

    def close(self) -> None:
        """Leave what is known behind, finished or not."""
        if not self.finished:
            self._write_state("abandoned")

    # ------------------------------------------------------------------------------------ writing

    def _write(self, name: str, *lines: str) -> None:
        if lines:
            os.write(self._files[name], b"".join(line.encode() + b"\n" for line in lines))

    def _write_state(self, state: str, **more: Any) -> None:
        before = files.read_state(self._folder)
        calls = [[*key, list(histogram.counts.items())] for key, histogram in self._calls.items()]
        ends = {
            "state": state,
            "why": self.why,
            "lost": self.lost,
            "unsent": self._unsent,
            "planned": self._planned,
            "calls": calls,
            "seconds": 0.0 if self._begun is None else max(0.0, self._now() - self._begun),
        }
        files.write_state(self._folder, {**before, **more, **ends})


def _append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
