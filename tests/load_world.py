"""A small world for load tests: a host of known law on a loopback socket, and runs against it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from math import exp, log
from pathlib import Path
from typing import Any

import psutil

from wireproof.clock import RealClock
from wireproof.load import folder
from wireproof.load.command import Outcome, run
from wireproof.load.record import JobRecord
from wireproof.mock.answer import Answer
from wireproof.mock.channels import Channels
from wireproof.mock.engine import Mock
from wireproof.mock.manners import Manners
from wireproof.mock.socket import serving
from wireproof.model import Call, Endpoint
from wireproof.secrets import Secret
from wireproof.spec.load import resolve

SPEC = "segmind/p-image"


class Lognormal(Manners):
    """Jobs that take a lognormal time, with no queue."""

    def __init__(self, median: float, sigma: float, seed: int = 1) -> None:
        self._law = (log(median), sigma)
        self._chance = random.Random(seed)

    def pace(self, queue: float, run: float) -> tuple[float, float]:
        return 0.0, exp(self._chance.gauss(*self._law))


class Steady(Manners):
    """Jobs that all take the same time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def pace(self, queue: float, run: float) -> tuple[float, float]:
        return 0.0, self._seconds


@dataclass
class Freezing:
    """An engine that answers nothing for a while: what comes meanwhile is answered at the end of it."""

    mock: Mock
    begins: float
    lasts: float
    first: float | None = None
    quick: None = None

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        self.first = now if self.first is None else self.first
        answer, since = self.mock.answer(call, now, wall), now - self.first - self.begins
        return replace(answer, after=answer.after + self.lasts - since) if 0 <= since < self.lasts else answer


@dataclass
class World:
    """A host, where it listens, and what it has seen."""

    mock: Mock
    url: str
    endpoints: tuple[Endpoint, ...]
    root: Path

    @property
    def keys(self) -> dict[str, Secret]:
        return {e.provider.name: Secret(self.mock.key(e.provider.name)) for e in self.endpoints}

    @property
    def taken(self) -> dict[str, Any]:
        """Every job the host has accepted, by its id."""
        return dict(self.mock.memory._jobs)

    def run(self, plan: str | Path, **options: Any) -> Outcome:
        specs = [endpoint.name for endpoint in self.endpoints]
        kept = {"report_dir": self.root / "runs", "ledger_dir": self.root / "ledger"}
        return run(specs, str(plan), target=self.url, keys=self.keys, **{**kept, **options})

    def plan(self, text: str) -> Path:
        """A plan file of this world; the header is added."""
        path = self.root / "plan.yaml"
        path.write_text(f"kind: plan\nplan: mine\n{text}", encoding="utf-8")
        return path


@contextmanager
def world(
    root: Path, manners: Manners | None = None, *specs: str, wrap: Callable[[Mock], Any] = lambda mock: mock
) -> Iterator[World]:
    endpoints = tuple(resolve(spec)[0] for spec in specs or (SPEC,))
    mock = Mock(endpoints, manners=manners or Steady(0.2))
    clock = RealClock()
    with serving(wrap(mock), clock=clock, upgrade=Channels(mock, clock).upgrade) as url:
        yield World(mock, url, endpoints, root)


def kept(outcome: Outcome) -> list[JobRecord]:
    assert outcome.folder is not None
    return folder.jobs(outcome.folder)


def unaccounted(world: World, outcome: Outcome) -> set[str]:
    """Jobs that the host accepted and the run does not know by their id or as cut off during the submit."""
    jobs = kept(outcome)
    known = {job.ids["job"] for job in jobs if "job" in job.ids}
    nameless = sum(1 for job in jobs if "job" not in job.ids)
    missing = set(world.taken) - known
    return missing if len(missing) > nameless else set()


def processes(role: str, of: int | None = None) -> list[int]:
    """Ids of the engine processes of a role (`hub` or `worker`) that this very process, or another, has started."""
    found = []
    for child in psutil.Process(of).children():
        with suppress(psutil.Error):
            words = child.cmdline()
            found += [child.pid] if "wireproof.load.users" in words and role in words else []
    return sorted(found)


def gone(process: int) -> bool:
    """Whether a process is over, though perhaps nobody has asked after it yet."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def in_background(job: Callable[[], Outcome]) -> Callable[[], Outcome]:
    """Start a run in a thread; what is returned waits for its outcome."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(job())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def wait() -> Outcome:
        thread.join(120)
        assert found, "the run did not end"
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]

    return wait


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)


_BURNING = """import time

import gevent

from wireproof.load.users import JobUser


def burn():
    while True:
        ends = time.perf_counter() + 0.05
        while time.perf_counter() < ends:
            pass
        gevent.sleep(0)


class Burning(JobUser):
    spec = "segmind/p-image"

    def on_start(self):
        gevent.spawn(burn)
        super().on_start()
"""


def burning(world: World, plan: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and summary of a run by Locust whose user has a greenlet that keeps the processor for itself."""
    file = world.root / "burning.py"
    file.write_text(_BURNING, encoding="utf-8")
    places = world.root / "burning"
    harness = str(Path(__file__).resolve().parents[1] / "harness")
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(file), "--headless", "-u", "4", "-r", "4"]
        + ["--host", world.url, "--plan", str(plan), "--report-dir", str(places)],
        env={**os.environ, "SEGMIND_API_KEY": world.mock.key("segmind"), "PYTHONPATH": harness},
        cwd=world.root,
        capture_output=True,
        timeout=60,
        check=False,
    )
    (place,) = places.iterdir()
    return done.returncode, json.loads((place / folder.SUMMARY).read_text(encoding="utf-8"))
