"""A learned cadence: fewer looks at each job, and its times are told as well."""

from __future__ import annotations

from math import exp, log
from random import Random

from wireproof.load import censor
from wireproof.load.arrivals import Record
from wireproof.load.censor import Interval, Poll, every
from wireproof.load.pilot import ENOUGH, Pilot
from wireproof.load.record import JobRecord, Outcome

TRIP = 0.1


def carried(pilot: Pilot, done: float, chance: Random, outcome: Outcome = Outcome.SUCCEEDED) -> JobRecord:
    """A job that is done so long after its acceptance, polled as the pilot says."""
    looks: list[Poll] = []
    for moment in censor.polls(pilot.cadence, chance):
        looks.append(Poll(TRIP + moment, TRIP + moment, moment >= done))
        if looks[-1].done:
            break
    bounds = censor.interval(0.0, looks)
    facts = {"endpoint": "a", "k": 0, "phase": "m", "record": Record.MEASURE, "block": 0, "intended": 0.0, "sent": 0.0}
    job = JobRecord(**facts, accepted=TRIP, left=bounds.left, right=bounds.right, polls=len(looks), outcome=outcome)
    pilot.hear(job)
    return job


def lognormal(chance: Random) -> float:
    return exp(chance.gauss(log(1.5), 0.25))


def test_nothing_is_learned_from_too_few_jobs_or_from_jobs_that_tell_no_time():
    pilot, chance = Pilot(every(1.0)), Random(1)
    for _ in range(ENOUGH - 1):
        carried(pilot, lognormal(chance), chance)
    for _ in range(100):
        carried(pilot, lognormal(chance), chance, Outcome.FAILED)
    assert pilot.cadence == every(1.0)
    carried(pilot, lognormal(chance), chance)
    assert pilot.cadence != every(1.0)


def test_a_learned_cadence_needs_fewer_polls_and_tells_the_median_as_well():
    pilot, chance = Pilot(every(1.0)), Random(2)
    before = [carried(pilot, lognormal(chance), chance) for _ in range(ENOUGH * 8)][:ENOUGH]
    after = [carried(pilot, lognormal(chance), chance) for _ in range(600)]
    assert sum(j.polls for j in after) / len(after) < 0.9 * sum(j.polls for j in before) / len(before)
    law = censor.completion([Interval(j.left, j.right) for j in after])
    assert abs(law.quantile(0.5) / (1.5 + TRIP) - 1) < 0.04
    assert abs(law.quantile(0.9) / (1.5 * exp(0.25 * 1.2816) + TRIP) - 1) < 0.06
