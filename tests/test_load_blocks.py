"""Endpoints are compared inside blocks: equal ones are left alone, different ones are told apart."""

from math import exp, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireproof.load.blocks import FASTER, Timed, chance_faster, compare, holm
from wireproof.load.censor import Curve, Interval, every, polls

COARSE, FINE = every(1.0), every(0.25)


def polled(done, chance, cadence):
    before = 0.0
    for at in polls(cadence, chance):
        if at >= done:
            return Interval(before, at)
        before = at


def session(seed, blocks, slower=1.0, names=("a", "b"), *, cadence=COARSE, drift=0.15, tau=60.0):
    """Jobs of 1.5 s, polled, while the whole network drifts; those of `a` take `slower` times as long."""
    chance, level, jobs = Random(seed), 0.0, []
    for block in range(blocks):
        level += -level / tau + chance.gauss(0, drift * sqrt(2 / tau))
        for endpoint in names:
            done = 1.5 * exp(level + 0.25 * chance.gauss(0, 1)) * (slower if endpoint == "a" else 1.0)
            jobs.append(Timed(endpoint, block, polled(done, chance, cadence)))
    return jobs


def one_after_the_other(jobs, blocks):
    """The first half of `a`'s jobs, and the second called `b`'s: one endpoint run twice."""
    return [
        Timed("a" if job.block < blocks else "b", job.block % blocks, job.done) for job in jobs if job.endpoint == "a"
    ]


def claims(sessions, exchanges=79):
    """How many sessions end in any claim of a difference."""
    found = [
        compare(jobs, seed=seed, quantiles=[0.5], exchanges=exchanges, resamples=0)
        for seed, jobs in enumerate(sessions)
    ]
    return sum(any(difference.significant() for difference in differences) for differences in found)


@pytest.mark.slow
def test_alike_endpoints_are_called_different_in_at_most_seven_of_a_hundred_sessions():
    assert claims(session(seed, 12) for seed in range(200)) <= 14


@pytest.mark.slow
def test_drift_that_blocks_cancel_would_fool_a_comparison_of_one_run_after_the_other():
    sessions = [session(seed, 80, cadence=FINE, drift=0.3, tau=20.0) for seed in range(10)]
    in_turn = [one_after_the_other(jobs, 40) for jobs in sessions]
    together = [[job for job in jobs if job.block < 40] for jobs in sessions]
    assert claims(together) <= 1
    assert claims(in_turn) >= 3


def test_a_slower_endpoint_is_found_and_measured():
    p50, p95, faster = compare(session(3, 80, 1.3, cadence=FINE), exchanges=79, resamples=40)
    assert (p50.measure, p95.measure, faster.measure) == ("p50", "p95", FASTER)
    assert p50.significant() and faster.significant()
    assert p50.low <= p50.value <= p50.high
    assert p50.low <= 0.45 <= p50.high
    assert p50.part == pytest.approx(0.3, abs=0.08)
    assert faster.value < 0.35 and faster.high < 0.5


def test_a_comparison_repeats_for_an_equal_seed():
    jobs = session(4, 30)
    first = compare(jobs, seed=1, exchanges=19, resamples=10)
    assert first == compare(reversed(jobs), seed=1, exchanges=19, resamples=10)
    assert first != compare(jobs, seed=2, exchanges=19, resamples=10)


def test_a_quantile_of_too_few_blocks_is_withheld_and_the_others_are_told():
    p50, p95, _ = compare(session(5, 40), exchanges=19, resamples=10)
    assert p50.value is not None and p50.p is not None
    assert (p95.value, p95.p, p95.adjusted) == (None, None, None)
    assert p95.withheld == "p95 needs 72 blocks, there are 40"
    assert not p95.significant()


def test_a_block_that_lacks_one_endpoint_does_not_count():
    jobs = [job for job in session(6, 20) if not (job.block >= 10 and job.endpoint == "b")]
    assert compare(jobs, quantiles=[0.5], exchanges=9, resamples=0)[0].blocks == 10


def test_jobs_never_seen_to_end_withhold_the_difference_of_a_quantile():
    jobs = [Timed(e, b, Interval(1, None) if e == "a" and b % 3 else Interval(0, 1)) for e in "ab" for b in range(12)]
    p50 = compare(jobs, quantiles=[0.5], faster=False, exchanges=9, resamples=0)[0]
    assert p50.value is None and "not seen to end" in p50.withheld


def test_three_endpoints_make_three_pairs_and_share_the_level():
    found = compare(session(7, 40, 1.5, ("a", "b", "c")), quantiles=[0.5], exchanges=139, resamples=0)
    assert [(d.a, d.b) for d in found[::2]] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert all(d.adjusted >= d.p for d in found)
    assert {(d.a, d.b) for d in found if d.significant()} == {("a", "b"), ("a", "c")}


def test_one_endpoint_twice_in_a_block_is_refused():
    with pytest.raises(ValueError, match="twice"):
        compare([Timed("a", 0, Interval(0, 1))] * 2)


def test_holm_raises_each_p_by_how_many_are_left():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers(ps):
    raised = holm(ps)
    assert all(p <= r <= 1 for p, r in zip(ps, raised, strict=True))
    assert all(raised[i] <= raised[j] for i in range(len(ps)) for j in range(len(ps)) if ps[i] < ps[j])


def test_the_chance_to_be_faster_is_even_for_equals_and_sure_for_the_surely_faster():
    early, late = Curve((0.0, 1.0), (0.0, 1.0), 10), Curve((2.0, 3.0), (0.0, 1.0), 10)
    half_late = Curve((0.5, 1.5), (0.0, 1.0), 10)
    assert chance_faster(early, early) == pytest.approx(0.5)
    assert (chance_faster(early, late), chance_faster(late, early)) == (pytest.approx(1), pytest.approx(0))
    # Two even laws of one second, half a second apart: the later is first in 1/8 of all pairs.
    assert chance_faster(early, half_late) == pytest.approx(7 / 8)
    assert chance_faster(early, Curve((0.0, 1.0), (0.0, 0.0), 10)) == pytest.approx(1)
