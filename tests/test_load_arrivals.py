"""Arrivals are a pure function of (seed, plan), however many workers share them."""

from collections import Counter
from itertools import groupby, islice, pairwise
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireproof.load.arrivals import (
    Plan,
    Record,
    burst,
    closed,
    constant,
    gamma,
    mine,
    plan,
    poisson,
    ramp,
    steps,
    trace,
    turns,
    users,
)

RATES = st.floats(0.1, 20)
SPANS = st.floats(0.5, 10)
PHASES = st.one_of(
    st.builds(constant, st.just("c"), RATES, SPANS),
    st.builds(poisson, st.just("p"), RATES, SPANS),
    st.builds(gamma, st.just("g"), RATES, SPANS, st.floats(0.3, 3)),
    st.builds(ramp, st.just("r"), st.floats(0, 20), RATES, SPANS),
    st.builds(steps, st.just("s"), st.lists(st.tuples(RATES, SPANS), min_size=1, max_size=3)),
    st.builds(burst, st.just("b"), st.integers(1, 9), st.floats(0.2, 3), SPANS),
    st.builds(trace, st.just("t"), st.lists(st.floats(0, 9), max_size=30)),
)
PLANS = st.builds(
    Plan,
    phases=st.lists(PHASES, min_size=1, max_size=3).map(tuple),
    targets=st.sampled_from([("a/m",), ("a/m", "b/m"), ("a/m", "b/m", "c/m")]),
    cases=st.just({"one": 3, "five": 1}),
)


def one(phase, *targets):
    return Plan(phases=(phase,), targets=targets or ("a/m",))


def times(phase, seed=1):
    return [arrival.at for arrival in plan(seed, one(phase))]


@given(PLANS, st.integers(0, 99), st.integers(1, 5))
def test_workers_together_start_exactly_what_one_worker_starts(load, seed, workers):
    alone = list(plan(seed, load))
    shares = [list(mine(plan(seed, load), index, workers)) for index in range(workers)]
    assert sorted((a for share in shares for a in share), key=lambda a: a.k) == alone
    assert all(a.k % workers == index for index, share in enumerate(shares) for a in share)


@given(PLANS, st.integers(0, 99))
def test_arrivals_come_in_order_and_are_numbered_without_a_gap(load, seed):
    arrivals = list(plan(seed, load))
    assert [a.k for a in arrivals] == list(range(len(arrivals)))
    assert all(a.at <= b.at for a, b in pairwise(arrivals))


@given(PLANS, st.integers(0, 99))
def test_every_full_block_holds_each_target_once_on_one_case(load, seed):
    arrivals = list(plan(seed, load))
    for _, block in groupby(arrivals, key=lambda a: (a.phase, a.block)):
        jobs = list(block)
        assert len({a.endpoint for a in jobs}) == len(jobs) <= len(load.targets)
        assert len({a.case for a in jobs}) == 1
    assert len(arrivals) <= len(load.targets) * len({a.block for a in arrivals})


def test_another_seed_makes_other_arrivals():
    phase = poisson("p", 5, 60)
    assert times(phase, seed=1) == times(phase, seed=1) != times(phase, seed=2)


def test_a_constant_rate_starts_at_once_and_stops_before_its_end():
    assert times(constant("c", 20, 30)) == pytest.approx([k / 20 for k in range(600)])
    assert len(times(constant("c", 0.1, 30))) == 3


def test_a_ramp_starts_as_many_jobs_as_the_area_under_it():
    climbing = times(ramp("r", 0, 10, 20))
    assert len(climbing) == 100
    # A quarter of the area lies before the middle of a ramp from nothing.
    assert sum(at < 10 for at in climbing) == 25
    assert len(times(ramp("r", 10, 0, 20))) == 100


def test_steps_hold_each_rate_for_its_time():
    stairs = times(steps("s", [(1, 10), (0, 5), (4, 10)]))
    assert sum(at < 10 for at in stairs) == 10
    assert sum(10 <= at < 15 for at in stairs) == 0
    assert sum(15 <= at < 25 for at in stairs) == 40


@pytest.mark.parametrize(
    "phase, cv",
    [(poisson("p", 10, 400), 1.0), (gamma("g", 10, 400, 2.0), 2.0), (gamma("g", 10, 400, 0.5), 0.5)],
)
def test_random_gaps_have_the_rate_and_the_scatter_asked_for(phase, cv):
    gaps = [b - a for a, b in pairwise(times(phase))]
    assert mean(gaps) == pytest.approx(0.1, rel=0.1)
    assert stdev(gaps) / mean(gaps) == pytest.approx(cv, rel=0.1)


def test_a_burst_starts_its_jobs_at_one_moment():
    assert Counter(times(burst("b", 5, 2, 6))) == {0.0: 5, 2.0: 5, 4.0: 5}


def test_a_trace_is_replayed_as_recorded():
    assert times(trace("t", [0.5, 0.1, 7])) == [0.1, 0.5, 7]


def test_a_longer_warm_up_does_not_change_what_is_measured():
    def measured(warm):
        load = Plan(phases=(constant("warm", 1, warm, Record.WARMUP), poisson("m", 2, 30)), targets=("a/m", "b/m"))
        return [(round(a.at - warm, 9), a.endpoint) for a in plan(7, load) if a.record is Record.MEASURE]

    assert measured(10) == measured(25)


def test_cases_come_as_often_as_their_weights_say():
    load = Plan(phases=(constant("c", 100, 40),), targets=("a/m",), cases={"one": 3, "five": 1, "none": 0})
    drawn = Counter(a.case for a in plan(1, load))
    assert drawn["one"] / drawn["five"] == pytest.approx(3, rel=0.15)
    assert drawn["none"] == 0


def test_targets_take_turns_at_being_first():
    firsts = Counter(a.endpoint for a in plan(1, one(constant("c", 100, 40), "a/m", "b/m")) if a.k % 2 == 0)
    assert firsts["a/m"] == pytest.approx(1000, abs=100)


def test_a_closed_phase_deals_turns_without_end_and_divides_its_users():
    phase = closed("full", 10, 60)
    load = Plan(phases=(constant("warm", 1, 5, Record.WARMUP), phase), targets=("a/m", "b/m"))
    dealt = list(islice(turns(1, load, phase), 100))
    assert {a.at for a in dealt} == {5.0}
    assert Counter(a.endpoint for a in dealt) == {"a/m": 50, "b/m": 50}
    assert [users(phase, index, 4) for index in range(4)] == [3, 3, 2, 2]
    with pytest.raises(ValueError, match="turns"):
        list(plan(1, load))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: constant("c", -1, 5),
        lambda: constant("c", 1, 0),
        lambda: gamma("g", 1, 1, 0),
        lambda: burst("b", 0, 1, 5),
        lambda: trace("t", [-1]),
        lambda: closed("x", 0, 5),
        lambda: Plan(phases=(), targets=()),
        lambda: Plan(phases=(), targets=("a", "a")),
        lambda: Plan(phases=(), targets=("a",), cases={"x": 0}),
        lambda: list(mine([], 4, 4)),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError):
        wrong()
