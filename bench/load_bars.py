"""The thirteen bars of a truthful load test, each measured against a host whose law is known.

    python bench/load_bars.py [NAME …]

prints one line a bar and ends with 1 when one is missed. Everything happens on this machine's loopback;
the numbers are worst on a busy machine, and a run that its own generator spoilt is told as such.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from math import ceil, exp, sqrt
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import load_speed

from load_world import Freezing, Lognormal, Steady, burning, in_background, kept, processes, unaccounted, until, world
from wireproof.ledger import MemoryLedger
from wireproof.load import blocks, censor, quantiles
from wireproof.load.blocks import Timed
from wireproof.load.censor import Interval
from wireproof.load.leases import Purse, Teller
from wireproof.money import Money
from wireproof.report import load as report

Result = tuple[bool, str]


def freeze(root: Path) -> Result:
    """A host that freezes for 5 s in a test of 30 s at 20 jobs/s: p90, p95 and p99 within 5 % of the truth."""
    plan = "blocking: true\ndownload: false\nconcurrency: 150\nphases:\n  - {name: measure, rate: 20/s, for: 30s}\n"
    with world(root, Steady(0.05), wrap=lambda mock: Freezing(mock, 10.0, 5.0)) as here:
        outcome = here.run(here.plan(plan))
        totals = sorted(job.end - job.intended for job in kept(outcome) if job.end is not None)
    starts = [k / 20 for k in range(600)]
    truth = sorted((15.05 - t if 10 <= t < 15 else 0.05) for t in starts)
    rows = [(p, _at(totals, p), _at(truth, p)) for p in (0.9, 0.95, 0.99)]
    good = len(totals) == 600 and all(abs(got / want - 1) <= 0.05 for _, got, want in rows)
    return good, f"{len(totals)} jobs, " + ", ".join(
        f"p{100 * p:.0f} {got:.2f} s (truth {want:.2f})" for p, got, want in rows
    )


def polling(root: Path) -> Result:
    """Jobs of lognormal(1.5 s, .25) polled every second: p50, p90 within 4 %, p95 within 6 %, truth inside."""
    plan = "download: false\npoll: 1s\nphases:\n  - {name: measure, arrivals: poisson, rate: 40/s, for: 25s}\n"
    with world(root, Lognormal(1.5, 0.25)) as here:
        outcome = here.run(here.plan(plan), places=300)
        jobs, taken = kept(outcome), here.taken
    outside = 0
    for job in jobs:
        truth = taken[job.ids["job"]]
        accept = (job.accepted or job.sent) - job.sent
        # The host's clock starts when it takes the job, somewhere inside the submit's round trip.
        outside += not job.left - accept - 0.002 <= truth.run <= (job.right or 1e9) + 0.002
    numbers = outcome.summary["endpoints"]["segmind/p-image"]
    sample = sorted(job.run for job in taken.values())
    rows = []
    for name, p in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95)):
        want = _at(sample, p)
        rows.append((name, numbers["completion"][name]["value"] / want - 1, numbers["naive"][name]["value"] / want - 1))
    good = not outside and all(abs(error) <= (0.06 if name == "p95" else 0.04) for name, error, _ in rows)
    good = good and all(naive > 0.2 for _, _, naive in rows[:2])
    told = ", ".join(f"{name} {error:+.1%} (naive {naive:+.0%})" for name, error, naive in rows)
    return good, f"{len(jobs)} jobs, {told}, outside their interval {outside}, {outcome.summary['health']['verdict']}"


def nothing_lost(root: Path) -> Result:
    """Every job the host took is in the run: 1, 2, 4 workers and every way of stopping."""
    told, good = [], True
    for workers in (1, 2, 4):
        for way, stop in _WAYS.items():
            if way == "worker kill" and workers == 1:
                continue
            place = root / f"{workers}-{way.replace(' ', '-')}"
            place.mkdir()
            taken, jobs, lost, why = _stopped(place, workers, stop)
            good = good and lost == 0 and taken > 0
            told.append(f"{workers} {way}: {taken} taken, {jobs} kept, {lost} lost{why}")
    return good, "\n    " + "\n    ".join(told)


def _stopped(root: Path, workers: int, stop: Callable[[], None] | str) -> tuple[int, int, int, str]:
    demands = "thresholds: [{measure: success_rate, at_least: 99%, abort: true}]\n" if stop == "threshold" else ""
    plan = f"download: false\npoll: 250ms\ndrain: 8s\n{demands}phases: [{{name: measure, rate: 20/s, for: 5s}}]\n"
    budget = ("0.20USD",) if stop == "budget" else ()
    with world(root, Failing() if stop == "threshold" else Steady(1.0)) as here:
        wait = in_background(lambda: here.run(here.plan(plan), workers=workers, budget=budget))
        if callable(stop):
            until(lambda: len(here.taken) > 25)
            stop()
        outcome = wait()
        jobs = kept(outcome)
        why = (
            f" ({outcome.summary['stopped'][:40]}, exit {outcome.exit_code})"
            if outcome.summary["stopped"]
            else f" (exit {outcome.exit_code})"
        )
        return len(here.taken), len(jobs), len(unaccounted(here, outcome)), why


class Failing(Steady):
    """Jobs that all fail."""

    def __init__(self) -> None:
        super().__init__(0.3)

    def fate(self, asked, outcome):  # type: ignore[no-untyped-def]  # as in Manners
        from wireproof.lifecycle import Status

        return Status.FAILED


def _tell(number: int) -> Callable[[], None]:
    return lambda: os.kill(processes("hub")[0], number)


_WAYS: dict[str, Callable[[], None] | str] = {
    "plan end": "",
    "SIGINT": _tell(signal.SIGINT),
    "SIGTERM": _tell(signal.SIGTERM),
    "threshold": "threshold",
    "budget": "budget",
    "worker kill": lambda: os.kill(processes("worker")[-1], signal.SIGKILL),
}


def budget(root: Path) -> Result:
    """Spend stays within the budget and uses at least 95 % of it, with 1, 2 and 4 workers."""
    told, good = [], True
    plan = "download: false\npoll: 250ms\nphases: [{name: measure, rate: 60/s, for: 8s}]\n"
    for workers in (1, 2, 4):
        place = root / f"budget-{workers}"
        place.mkdir()
        with world(place, Steady(0.3)) as here:
            outcome = here.run(here.plan(plan), workers=workers, budget=("1.00USD",))
            billed = sum((job.cost for job in here.taken.values()), Decimal(0))
        good = good and Decimal("0.95") <= billed <= 1 and outcome.exit_code in (4, 5)
        told.append(f"{workers} workers billed {billed} of 1.00 (exit {outcome.exit_code})")
    return good, ", ".join(told)


def same_arrivals(root: Path) -> Result:
    """The same seed sends the same jobs at the same times on 1 and on 4 workers."""
    plan = "download: false\npoll: 250ms\nphases: [{name: measure, arrivals: poisson, rate: 30/s, for: 4s}]\n"
    seen = []
    with world(root, Steady(0.1)) as here:
        for workers in (1, 4):
            jobs = kept(here.run(here.plan(plan), workers=workers))
            seen.append([(job.k, round(job.intended, 9), job.case) for job in jobs])
            late = max(job.sent - job.intended for job in jobs)
    return seen[0] == seen[
        1
    ], f"{len(seen[0])} and {len(seen[1])} arrivals, equal: {seen[0] == seen[1]}, latest send {late * 1000:.0f} ms"


def speed(root: Path) -> Result:
    """One core carries 300 jobs of seven calls a second at no more than 60 % CPU, send lag p99 at most 20 ms.

    A neighbour's burst is no property of ours: of up to three attempts one has to show it, and each is told.
    """
    told = []
    with load_speed.serving() as url:
        for _ in range(3):
            good, mine = load_speed.carried(url, 300.0, 20.0)
            told.append(
                f"{mine['jobs_per_second']:.0f} jobs/s of {mine['calls_per_job']:.1f} calls, {mine['cpu']:.0%} CPU, "
                f"send lag p99 {mine['lag_p99_ms']:.1f} ms at load average {os.getloadavg()[0]:.1f}"
            )
            if good:
                break
    return good, "; then ".join(told)


def invalid(root: Path) -> Result:
    """A generator that cannot keep up says so and ends with 5: one asked for too much, one kept busy otherwise."""
    plan = (
        "download: false\npoll: 50ms\nconcurrency: 600\nphases: [{name: measure, rate: 1500/s, for: 3s}]\ndrain: 5s\n"
    )
    with world(root, Steady(0.3)) as here:
        asked = here.run(here.plan(plan))
        code, summary = burning(here, here.plan("poll: 100ms\nphases: [{name: measure, rate: 4/s, for: 3s}]\n"))
    told = [("1500 jobs/s", asked.exit_code, asked.summary), ("a burning greenlet", code, summary)]
    return asked.exit_code == code == 5, ", ".join(f"{name}: exit {code} ({_why(tale)})" for name, code, tale in told)


def _why(summary: Mapping[str, Any]) -> str:
    reasons = [r for r in summary["health"]["reasons"] if r["health"] == "invalid"]
    return "; ".join(f"{r['what']} {r['says']}" for r in reasons)


def alike(root: Path) -> Result:
    """Two equal endpoints under shared drift: each measure alone differs at 5 % in at most 7 % of 1,000 interleaved
    sessions, and so does what the tool claims; one that takes 20 % longer is told apart."""
    equal, planted = 1000, 40
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("forkserver")) as pool:
        alone = list(pool.map(_session, range(equal), chunksize=10))
        slower = list(pool.map(_session, range(equal, equal + planted), [1.2] * planted))
    false = {name: 100 * sum(one[name] for one in alone) / equal for name in alone[0]}
    power = {name: sum(one[name] for one in slower) for name in slower[0]}
    rate = max(false.values()) / 100
    # What chance alone moves such a rate by: at 1,000 sessions a true 5 % is seen above 7 % once in 500 times.
    error = 196 * sqrt(rate * (1 - rate) / equal)
    told = ", ".join(f"{name} {n:.1f} %" for name, n in false.items())
    seen = ", ".join(f"{name} {n}" for name, n in power.items())
    good = max(false.values()) <= 7 and power["p50"] >= 0.8 * planted and power["claimed"] >= 0.8 * planted
    return good, (
        f"equal ones differ in {told} of {equal} sessions (each ±{error:.1f} at most); "
        f"20 % longer is seen in, of {planted}: {seen}"
    )


def _session(seed: int, slower: float = 1.0) -> dict[str, bool]:
    """By which measures alone, and by what is claimed in the end, two endpoints differ in one session."""
    chance, drift, jobs = Random(seed), 0.0, []
    for block in range(150):
        drift = 0.98 * drift + chance.gauss(0, 0.03)
        for name in ("a", "b"):
            done = exp(0.7 + drift + chance.gauss(0, 0.3)) * (slower if name == "a" else 1.0)
            first = chance.random()
            right = first + max(0, ceil(done - first))
            jobs.append(Timed(name, block, Interval(max(0.0, right - 1) if right > first else 0.0, right)))
    found = blocks.compare(jobs, seed=seed, resamples=0)
    raw = {one.measure: one.p is not None and one.p <= 0.05 for one in found}
    return raw | {"claimed": any(one.significant() for one in found)}


def withheld(root: Path) -> Result:
    """There is no p99 of fewer than 368 jobs, in a summary and on its page, and there is one of 368."""
    with world(root, Lognormal(0.3, 0.3)) as here:
        few = here.run(here.plan("download: false\npoll: 100ms\nphases: [{name: measure, rate: 40/s, for: 3s}]\n"))
    told = few.summary["endpoints"]["segmind/p-image"]["completion"]["p99"]
    page = report.html(few.summary)
    values = [0.001 * n for n in range(1, 369)]
    least = [quantiles.quantile(values[:n], 0.99).value is not None for n in (367, 368)]
    good = told["value"] is None and told["withheld"] in page and least == [False, True]
    return good, f"{told['withheld']}; told of 367: {least[0]}, of 368: {least[1]}"


def page(root: Path) -> Result:
    """The page of a run loads nothing, runs nothing, and has at most 1.5 MB."""
    plan = "download: false\npoll: 100ms\nphases: [{name: measure, rate: 60/s, for: 8s}]\n"
    with world(root, Lognormal(0.3, 0.3), "segmind/p-image-edit", "runware/p-image-edit") as here:
        text = report.html(here.run(here.plan(plan)).summary)
    outside = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//|<script|@import", text)
    return len(text.encode()) <= 1_500_000 and not outside, (
        f"{len(text.encode()) / 1000:.0f} kB, {text.count('<svg')} pictures, {len(outside)} references to elsewhere"
    )


def conserved(root: Path) -> Result:
    """Money in Decimal: whatever workers take, pay, never tell and die with, the ledger holds the sum of it."""
    off = over = steps = 0
    for seed in range(2000):
        chance = Random(seed)
        ceiling = Decimal(chance.randint(10, 2000)) / 1000
        ledger = MemoryLedger(Money(ceiling, "USD"))
        teller = Teller(lambda endpoint, unit, ledger=ledger: [ledger])
        purses = [Purse(teller.grant) for _ in range(4)]
        taken: list[list[int]] = [[] for _ in purses]
        charged = Decimal(0)
        for _ in range(chance.randint(1, 80)):
            worker, step = chance.randrange(4), chance.choice(_STEPS[: 6 - seed % 2])
            steps += 1
            if step == "die":
                purses[worker], taken[worker] = Purse(teller.grant), []
            elif step == "take":
                lease = purses[worker].take("a", _PRICE)
                taken[worker] += [lease] if lease else []
            elif taken[worker]:
                cost = {"free": _PRICE * 0, "paid": _PRICE, "silent": None}[step]
                charged += _PRICE.amount if cost is None else cost.amount
                teller.settle(taken[worker].pop(), cost)
            over += not charged <= ledger.state().at_most.amount <= ceiling
        for purse, leases in zip(purses, taken, strict=True):
            for lease, jobs in [*purse.unused().items(), *((one, 1) for one in leases)]:
                teller.settle(lease, _PRICE * 0, jobs)
        # What died with a worker stays set aside; where none died, all is settled to the last decimal.
        state = ledger.state()
        off += seed % 2 and (state.reserved.amount, state.spent.amount) != (0, charged)
    return (
        not off and not over,
        f"2,000 interleavings of {steps:,} steps: {over} over the ceiling, {off} sums that differ",
    )


_STEPS = ("take", "take", "free", "paid", "silent", "die")
_PRICE = Money(Decimal("0.007"), "USD")


def foretold(root: Path) -> Result:
    """One run at 0.5 s tells what clients of three other cadences feel, within 3 % at p50, p90 and p95."""
    chance, trip = Random(13), 0.12
    intervals = []
    for _ in range(4000):
        done, before = _law(chance), 0.0
        for at in censor.polls(censor.every(0.5), chance):
            if at + trip / 2 >= done:
                intervals.append(Interval(before, at + trip))
                break
            before = at
    law = censor.completion(intervals)
    rows = []
    for name, cadence in (("250 ms", censor.every(0.25)), ("1 s", censor.every(1.0)), ("5 s", censor.every(5.0))):
        said = censor.felt(law, cadence, trip=trip)
        lived = sorted(_felt(_law(chance), cadence, trip, chance) for _ in range(20000))
        off = max(abs((said.quantile(p) or 0.0) / _at(lived, p) - 1) for p in (0.5, 0.9, 0.95))
        rows.append((name, off))
    told = ", ".join(f"{name} {off:.1%} off at most" for name, off in rows)
    return all(off <= 0.03 for _, off in rows), told


def _law(chance: Random) -> float:
    return 1.5 * exp(chance.gauss(0, 0.25))


def _felt(done: float, cadence: censor.Cadence, trip: float, chance: Random) -> float:
    return next(at for at in censor.polls(cadence, chance) if at + trip / 2 >= done) + trip


def _at(ordered: list[float], p: float) -> float:
    return ordered[ceil(p * len(ordered)) - 1] if ordered else float("nan")


BARS: dict[str, Callable[[Path], Result]] = {
    "freeze": freeze,
    "polling": polling,
    "nothing-lost": nothing_lost,
    "budget": budget,
    "same-arrivals": same_arrivals,
    "speed": speed,
    "invalid": invalid,
    "alike": alike,
    "withheld": withheld,
    "page": page,
    "conserved": conserved,
    "foretold": foretold,
}


def results(names: list[str]) -> Iterator[bool]:
    for name in names:
        with tempfile.TemporaryDirectory() as root:
            good, says = BARS[name](Path(root))
        print(f"{'✓' if good else '✗'} {name}: {says}", flush=True)
        yield good


if __name__ == "__main__":
    sys.exit(0 if all(list(results(sys.argv[1:] or list(BARS)))) else 1)
