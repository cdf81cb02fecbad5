"""How many cases a second our check tries and judges, beside Schemathesis on the same server, in one run.

    python bench/check_speed.py [--peer PYTHON] [--rounds 5] [SPEC ...]

PEER is a Python that has Schemathesis 4. The server is the mock in a process of its own, its clock a thousand
times as fast as real time, so that no job keeps either of the two waiting. The peer gets the OpenAPI document
that we export, and all its checks; both count every request, and both judge every answer. Rounds alternate.
Each begins warm: one run of each goes before and is not counted.

A case of ours is one request of a whole run, with everything that is made of it: reading, states, pictures,
money. A run also looks at results some seconds after their end; here these are seconds of the server's clock. Cases
a second say nothing of what is found: that is what `bench/score.py` is for.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer import Peer

from wireproof import conform
from wireproof.conform import Target
from wireproof.model import Endpoint
from wireproof.probe.stories import LATE
from wireproof.spec.load import resolve

ROOT = Path(__file__).resolve().parents[1]
SCALE = 1000
"""How many times as fast as real time the clock of the server runs."""
GOAL = 5.0
"""So many times the peer's cases a second is what we ask of ourselves."""


@dataclass(frozen=True)
class Tried:
    """One run of one of the two."""

    requests: int
    accepted: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@contextmanager
def server(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    """The endpoint's mock in a process of its own: its ready line."""
    words = [sys.executable, str(ROOT / "mocks/server.py"), endpoint.name, "--no-control", "--no-journal"]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "harness")}
    process = subprocess.Popen(
        [*words, "--time-scale", str(SCALE)],
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(timeout=10)


def ours(endpoint: Endpoint, ready: dict[str, Any]) -> Tried:
    """A whole standard run."""
    began = time.perf_counter()
    target = Target(base=ready["url"], key=ready["key"])
    verdict, exchanges = conform.conform(endpoint, target, late=LATE / SCALE)
    jobs = verdict.summary.jobs if verdict.summary else 0
    return Tried(len(exchanges), jobs, time.perf_counter() - began)


def theirs(peer: Peer, endpoint: Endpoint, ready: dict[str, Any], budget: int) -> Tried:
    """A run of the peer of at most so many requests."""
    began = time.perf_counter()
    answer = peer.ask(endpoint, ready["url"], ready["key"], budget=budget)
    return Tried(answer["requests"], answer["accepted"], time.perf_counter() - began)


def measure(endpoint: Endpoint, peer: Peer | None, rounds: int) -> tuple[list[Tried], list[Tried]]:
    """Alternating runs; the first of each is thrown away."""
    mine, other = [], []
    with server(endpoint) as ready:
        for _ in range(rounds + 1):
            mine.append(ours(endpoint, ready))
            if peer is not None:
                other.append(theirs(peer, endpoint, ready, 4 * mine[-1].requests))
    return mine[1:], other[1:]


def line(name: str, runs: Sequence[Tried]) -> str:
    """The medians of some runs."""
    middle = {
        "cases": statistics.median(one.requests for one in runs),
        "accepted": statistics.median(one.accepted for one in runs),
        "s": statistics.median(one.seconds for one in runs),
        "cases/s": statistics.median(one.rate for one in runs),
    }
    return f"  {name:14}" + "".join(f"{value:10.4g} {unit}" for unit, value in middle.items())


def main() -> int:
    """Measure, print, and fail where the goal is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("spec", nargs="*", default=["segmind/p-image", "pixeldojo/p-image-edit"])
    options.add_argument("--peer", metavar="PYTHON", help="a Python that has Schemathesis 4")
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    if not asked.peer:
        print("Schemathesis is left out: no --peer PYTHON that has it")
    missed = False
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peer = stack.enter_context(Peer(asked.peer, folder)) if asked.peer else None
        for endpoint in (one for name in asked.spec for one in resolve(name)):
            mine, other = measure(endpoint, peer, asked.rounds)
            print(f"{endpoint.name} ({asked.rounds} rounds, medians)")
            print(line("wireproof", mine))
            if other:
                print(line("Schemathesis", other))
                ratio = statistics.median(m.rate / t.rate for m, t in zip(mine, other, strict=True))
                print(f"  {ratio:.1f} times as many cases a second (asked: {GOAL:g})")
                missed |= ratio < GOAL
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
