"""One worker of a load test: takes its share of the arrivals, carries jobs out, tells the hub everything.

Knows nothing of Locust: users ask it what to do next (`next`), hand it a line to do it on (`carry`), and
its messages leave by `up`. Each job is announced before its submit leaves, so that none can be lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Protocol

from wireproof.load import arrivals, cases
from wireproof.load.arrivals import Arrival, Closed
from wireproof.load.conduct import Conduct, Line
from wireproof.load.leases import Purse
from wireproof.load.pilot import Pilot
from wireproof.load.record import Histogram, JobRecord, Outcome
from wireproof.load.settings import Settings
from wireproof.money import Money
from wireproof.spec.values import ceiling_of

log = logging.getLogger("wireproof.load")

LATE = 0.5
"""Seconds after which an arrival without a free place is dropped, where the plan says `late: drop`."""
_BLOCKS = 10_000_000
"""Blocks of one closed phase; the next one's are numbered from here."""

Message = Mapping[str, Any]


class Event(Protocol):
    """Something that can be waited for."""

    def set(self) -> object: ...
    def wait(self) -> object: ...
    def is_set(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Slot:
    """One job that a user is to start, at `intended` (seconds since the run began) or at once."""

    arrival: Arrival
    intended: float
    waited: bool = False


class Hand:
    """A worker. All times are seconds since the run began, by its own monotonic clock."""

    def __init__(self, up: Callable[[Message], None], event: Callable[[], Event]) -> None:
        self._up = up
        self._event = event
        self.begun = event()
        self.over = event()
        """Set when there is nothing left to do for a user."""
        self.index = 0
        self._epoch = 0.0
        self._feed: Iterator[Arrival] = iter(())
        self._fed = False
        """Whether the last arrival has been handed out."""
        self.stopped = False
        self.in_flight = 0
        self._held = 0
        """Slots that users hold and have not started."""
        self._users = 0
        self._drained = False
        self._area = 0.0
        self._changed = 0.0
        self._records: list[tuple[int, str]] = []
        self._ids: list[tuple[int, str, str]] = []
        self._unsent: dict[str, int] = {}
        self._planned = 0
        self._loop_lag: list[float] = []
        self._cpu = time.process_time()
        self._calls: dict[tuple[str, str], Histogram] = {}
        self._asks: dict[int, tuple[Event, list[int]]] = {}
        self._purse: Purse | None = None

    # ------------------------------------------------------------------------------- from the hub

    def hear(self, message: Message) -> None:
        """Do what the hub says."""
        getattr(self, f"_hear_{message['what']}")(message)

    def _hear_begin(self, message: Message) -> None:
        settings = Settings.from_json(message["settings"])
        endpoints = settings.endpoints()
        self.plan = settings.load_plan()
        self.setups = settings.setups(endpoints, self.plan)
        self.bodies = {e.name: cases.workload(e, list(self.plan.cases)) for e in endpoints}
        learns = self.plan.poll == "learned"
        self._pilots = {name: Pilot(setup.cadence) for name, setup in self.setups.items()} if learns else {}
        self.index, self.workers = message["index"], message["workers"]
        whole = self.plan.arrivals([e.name for e in endpoints])
        self._purse = Purse(self._ask) if settings.budget else None
        if self.plan.closed:
            self._turns = self._closed(whole)
        else:
            self._feed = arrivals.mine(arrivals.plan(self.plan.seed, whole), self.index, self.workers)
        self._epoch = time.monotonic() + message["in"]
        self.begun.set()

    def _hear_stop(self, message: Message) -> None:
        """Start nothing more; what is in flight goes on. `over`: what was due by now counts as dropped."""
        if message.get("over") and not self.stopped:
            now = self.now()
            for arrival in takewhile(lambda one: one.at <= now, self._feed):
                self._count(arrival, "dropped")
                self._planned += 1
        self.stopped = True
        self.settle_down()

    def _hear_granted(self, message: Message) -> None:
        event, answer = self._asks.pop(message["ask"])
        answer[:] = [message["lease"], message["jobs"]]
        event.set()

    def _hear_short(self, _: Message) -> None:
        """Somebody waits for money: what is in hand here goes back, and is asked for again when it is needed."""
        if self._purse is not None and (unused := self._purse.unused()):
            self._up({"what": "unused", "unused": list(unused.items())})

    def _ask(self, endpoint: str, price: Money, jobs: int) -> tuple[int, int]:
        number = max(self._asks, default=0) + 1
        event, answer = self._asks[number] = self._event(), []
        price_ = {"endpoint": endpoint, "amount": str(price.amount), "unit": price.unit}
        self._up({"what": "lease", "ask": number, "jobs": jobs, **price_})
        event.wait()
        return answer[0], answer[1]

    # ---------------------------------------------------------------------------------- for users

    def now(self) -> float:
        return time.monotonic() - self._epoch

    def join(self) -> int:
        """A number for one more user of this worker, from 0."""
        self._users += 1
        return self._users - 1

    def next(self, who: int) -> Slot | float | None:
        """What a user does next: a job, a wait of so many seconds before asking again, or nothing more."""
        slot = None if self.stopped else self._turn(who) if self.plan.closed else self._arrival()
        if isinstance(slot, Slot):
            self._planned += 1
            self._held += 1
        if slot is None:
            self.settle_down()
        return slot

    def _arrival(self) -> Slot | None:
        for arrival in self._feed:
            now = self.now()
            if self.plan.late == "drop" and now > arrival.at + LATE:
                self._count(arrival, "dropped")
                self._planned += 1
                continue
            return Slot(arrival, arrival.at, waited=now > arrival.at + 0.001)
        self._fed = True
        return None

    def _closed(self, whole: arrivals.Plan) -> list[tuple[float, Closed, int, Iterator[Arrival]]]:
        found = []
        for number, (begins, phase) in enumerate(arrivals.schedule(whole)):
            assert isinstance(phase, Closed)  # the plan is closed
            mine = arrivals.mine(arrivals.turns(self.plan.seed, whole, phase), self.index, self.workers)
            found.append((begins, phase, number, mine))
        return found

    def _turn(self, who: int) -> Slot | float | None:
        now = self.now()
        for begins, phase, number, feed in self._turns:
            if now >= begins + phase.seconds - 1e-6:
                continue
            if now < begins:
                return begins - now
            if who < arrivals.users(phase, self.index, self.workers):
                arrival = next(feed)
                # Every worker counts for itself; the numbers of all of them are different.
                k, block = self._planned * self.workers + self.index, arrival.block + number * _BLOCKS
                return Slot(replace(arrival, at=now, k=k, block=block), now)
            return begins + phase.seconds - now
        self._fed = True
        return None

    def carry(self, slot: Slot, line: Line) -> JobRecord | None:
        """Carry one job out; None when the run was stopped or its money was gone before it began."""
        arrival = slot.arrival
        setup, pilot = self.setups[arrival.endpoint], self._pilots.get(arrival.endpoint)
        if pilot is not None:
            setup = replace(setup, cadence=pilot.cadence)
        values = cases.body(self.bodies[arrival.endpoint][arrival.case], arrival.block)
        asked = self.now()
        lease = self._pay(arrival, values)
        self._held -= 1
        if lease is None:
            self.settle_down()
            return None
        conduct = Conduct(
            setup,
            arrival,
            slot.intended,
            values,
            line,
            worker=self.index,
            waited=slot.waited or self.now() - asked > 0.001,
            accepted=lambda id: self._ids.append((arrival.k, id, arrival.endpoint)),
        )
        self._change(1)
        started = conduct.announced(self.now())
        self._up({"what": "started", "lease": lease, "job": started.to_json()})
        record = started
        try:
            record = conduct.run()
            if pilot is not None:
                pilot.hear(record)
        except Exception as error:
            log.exception("job %s broke on our own side", arrival.k)
            record = conduct.record(Outcome.BROKEN, f"our own error: {type(error).__name__}")
        except BaseException:
            record = conduct.record(Outcome.CENSORED, "cut off")
            raise
        finally:
            self._records.append((lease, record.to_json()))
            self._change(-1)
            self.settle_down()
        return record

    def _pay(self, arrival: Arrival, values: Mapping[str, Any]) -> int | None:
        if self.stopped:
            return None
        if self._purse is None:
            return 0
        lease = self._purse.take(arrival.endpoint, ceiling_of(self.setups[arrival.endpoint].endpoint, values))
        if lease is None:
            self._count(arrival, "withheld")
            if not self.stopped:
                self.stopped = True
                self._up({"what": "broke"})
        elif lease and self.stopped:
            # The run was stopped while this job waited for its money.
            self._up({"what": "unused", "unused": [(lease, 1)]})
            return None
        return lease

    def _count(self, arrival: Arrival, what: str) -> None:
        key = f"{arrival.endpoint} {arrival.record} {what}"
        self._unsent[key] = self._unsent.get(key, 0) + 1

    def call(self, endpoint: str, operation: str, seconds: float) -> None:
        """Count one call."""
        key = (endpoint, operation)
        if key not in self._calls:
            self._calls[key] = Histogram()
        self._calls[key].record(seconds)

    # --------------------------------------------------------------------------------- to the hub

    def lagged(self, seconds: float) -> None:
        """A short sleep came back so much late."""
        self._loop_lag.append(seconds)

    def pulse(self) -> None:
        """Tell the hub what happened since the last time."""
        if not self.begun.is_set():
            return
        self._change(0)
        cpu, self._cpu = time.process_time() - self._cpu, time.process_time()
        told = {
            "t": round(self.now(), 3),
            "worker": self.index,
            "cpu": cpu,
            "loop_lag": [round(lag, 5) for lag in self._loop_lag],
            "in_flight": self.in_flight,
            "area": round(self._area, 6),
            "planned": self._planned,
            "fed": self._fed or self.stopped,
        }
        calls = [[*key, list(h.counts.items())] for key, h in self._calls.items()]
        records, ids = self._records, self._ids
        self._records, self._ids, self._calls, self._loop_lag = [], [], {}, []
        self._up({"what": "pulse", "told": told, "records": records, "ids": ids, "calls": calls})

    def _change(self, by: int) -> None:
        """One job more or less in flight; the area under their number is kept exactly."""
        now = max(0.0, self.now())
        self._area += self.in_flight * (now - self._changed)
        self._changed = now
        self.in_flight += by

    def settle_down(self) -> None:
        """Tell the hub once when nothing is in flight and nothing more will be."""
        waiting = 0 if self.stopped else self._held
        if self._drained or self.in_flight or waiting or not (self._fed or self.stopped):
            return
        self._drained = True
        self.pulse()
        unused = list(self._purse.unused().items()) if self._purse else []
        self._up({"what": "drained", "unused": unused, "unsent": self._unsent, "planned": self._planned})
