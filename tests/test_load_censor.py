"""Completion times are estimated from polls as well as polls allow, and no better is claimed."""

from math import ceil, exp
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireproof.load.censor import (
    WEBHOOK,
    Cadence,
    Curve,
    Interval,
    Poll,
    backoff,
    bracket,
    completion,
    every,
    felt,
    fixed,
    interval,
    learned,
    likely,
    polls,
    smooth,
    turnbull,
)

TRIP = 0.12


def lognormal(median, sigma):
    return lambda chance: median * exp(sigma * chance.gauss(0, 1))


def law_quantile(median, sigma, p):
    return median * exp(sigma * NormalDist().inv_cdf(p))


def watch(done, cadence, chance):
    """What polling one job of known duration gives: the host looks anywhere inside the round trip."""
    seen = []
    for at in polls(cadence, chance):
        look = at + chance.uniform(0, TRIP)
        seen.append(Poll(sent=at, received=at + TRIP, done=look >= done))
        if seen[-1].done:
            return interval(0.0, seen), len(seen)


def session(seed, n, law, cadence):
    chance = Random(seed)
    return [watch(law(chance), cadence, chance)[0] for _ in range(n)]


def errors(curve, median, sigma, ps):
    return [abs(curve.quantile(p) / law_quantile(median, sigma, p) - 1) for p in ps]


def naive(intervals, p):
    return sorted(i.right for i in intervals)[ceil(p * len(intervals)) - 1]


# ---------------------------------------------------------------------------------------- truth


@given(
    st.integers(0, 10_000),
    st.sampled_from([every(1.0), fixed(0.5), backoff(0.25, 1.5, 5.0), every(5.0)]),
)
def test_the_truth_lies_in_the_interval_whatever_the_cadence(seed, cadence):
    chance = Random(seed)
    done = lognormal(1.5, 0.5)(chance)
    assert watch(done, cadence, chance)[0].holds(done)


def test_an_unfinished_answer_counts_from_its_sending_and_a_finished_one_until_its_arrival():
    looks = [Poll(11.0, 11.25, False), Poll(12.0, 12.25, False), Poll(13.0, 13.25, True)]
    assert interval(10.0, looks) == Interval(2.0, 3.25)
    assert interval(10.0, looks[:2]) == Interval(2.0, None)


@pytest.mark.parametrize("seed", range(4))
def test_one_second_polls_tell_the_law_of_one_and_a_half_second_jobs(seed):
    intervals = session(seed, 1000, lognormal(1.5, 0.25), every(1.0))
    p50, p90, p95 = errors(completion(intervals), 1.5, 0.25, (0.5, 0.9, 0.95))
    assert p50 <= 0.04 and p90 <= 0.04 and p95 <= 0.06
    for p in (0.5, 0.9, 0.95):
        assert naive(intervals, p) / law_quantile(1.5, 0.25, p) > 1.2


def test_smoothing_takes_a_quarter_off_the_error_or_more():
    rough, smoothed = [], []
    for seed in range(12):
        intervals = session(100 + seed, 300, lognormal(1.5, 0.25), every(1.0))
        rough += errors(turnbull(intervals), 1.5, 0.25, (0.5, 0.9))
        smoothed += errors(completion(intervals), 1.5, 0.25, (0.5, 0.9))
    assert sum(smoothed) < 0.75 * sum(rough)


def test_polls_in_step_with_the_jobs_hide_their_times():
    in_step = session(1, 1000, lognormal(1.5, 0.25), fixed(2.0))
    scattered = session(1, 1000, lognormal(1.5, 0.25), every(2.0))
    assert max(errors(completion(in_step), 1.5, 0.25, (0.5, 0.9))) > 0.15
    assert max(errors(completion(scattered), 1.5, 0.25, (0.5, 0.9))) < 0.06


def test_a_cadence_that_learnt_from_a_pilot_asks_less_and_knows_as_much():
    pilot = completion(session(5, 100, lognormal(1.5, 0.25), every(1.0)))
    cadence = learned(pilot)
    chance = Random(6)
    seen = [watch(lognormal(1.5, 0.25)(chance), cadence, chance) for _ in range(1000)]
    assert sum(asked for _, asked in seen) / 1000 < 2.1
    p50, p90 = errors(completion([bounds for bounds, _ in seen]), 1.5, 0.25, (0.5, 0.9))
    assert p50 < 0.04 and p90 < 0.05


# --------------------------------------------------------------------------------------- Turnbull


def test_exact_times_give_the_empirical_law():
    times = [0.1 * k for k in range(1, 11)]
    curve = completion([Interval(t, t) for t in times])
    assert [curve.quantile(p / 10) for p in range(1, 11)] == pytest.approx(times, abs=0.0011)


def test_turnbull_finds_the_likeliest_masses_of_a_case_worked_by_hand():
    # Cells (0, 1] and (1, 2]: two jobs surely early, one surely late, one either: its 1/4 is split 2:1.
    jobs = [Interval(0, 1), Interval(0, 1), Interval(1, 2), Interval(0, 2)]
    assert turnbull(jobs, steps=1000, tolerance=0).done_by(1.0) == pytest.approx(2 / 3)


def test_jobs_not_seen_to_end_push_the_tail_out_and_are_never_lost():
    jobs = [Interval(0, 1)] * 6 + [Interval(1, None)] * 4
    curve = turnbull(jobs)
    assert curve.parts[-1] == pytest.approx(0.6)
    assert curve.quantile(0.5) < 1.0
    assert curve.quantile(0.7) is None
    assert bracket(jobs, 0.7) == Interval(1, None)


INTERVALS = st.lists(
    st.tuples(st.floats(0, 5), st.one_of(st.none(), st.floats(0, 5))).map(
        lambda t: Interval(t[0], None if t[1] is None else t[0] + t[1])
    ),
    min_size=1,
    max_size=40,
)


@given(INTERVALS, st.floats(0.01, 0.99))
def test_the_quantile_never_leaves_the_bracket(intervals, p):
    value, open_ = turnbull(intervals).quantile(p), bracket(intervals, p)
    if value is None:
        assert open_.right is None
    else:
        assert open_.left - 0.0011 <= value
        assert open_.right is None or value <= open_.right + 0.0011


@given(INTERVALS)
def test_a_curve_climbs_and_stays_between_none_and_all(intervals):
    for curve in (turnbull(intervals), completion(intervals), smooth(turnbull(intervals), 0.3)):
        assert list(curve.times) == sorted(curve.times)
        assert list(curve.parts) == sorted(curve.parts)
        assert -1e-9 <= curve.parts[0] and curve.parts[-1] <= 1 + 1e-9


@given(INTERVALS, st.floats(0.01, 0.99))
def test_quantile_and_part_done_are_each_other_s_inverse(intervals, p):
    curve = completion(intervals)
    time = curve.quantile(p)
    if time is not None:
        assert curve.done_by(time) >= p - 1e-6


@given(INTERVALS)
def test_a_job_s_likely_time_is_one_of_its_possible_times(intervals):
    for bounds, time in zip(intervals, likely(completion(intervals), intervals), strict=True):
        assert bounds.left - 1e-9 <= time
        assert bounds.right is None or time <= bounds.right + 1e-9


def test_likely_times_average_to_the_truth():
    chance = Random(3)
    truths = [lognormal(1.5, 0.25)(chance) for _ in range(1000)]
    intervals = [watch(done, every(1.0), chance)[0] for done in truths]
    times = likely(completion(intervals), intervals)
    assert sum(times) / 1000 == pytest.approx(sum(truths) / 1000, rel=0.02)


def test_no_jobs_have_no_law():
    for ask in (turnbull, completion, lambda none: bracket(none, 0.5)):
        with pytest.raises(ValueError):
            ask([])
    with pytest.raises(ValueError):
        Interval(2, 1)


# ---------------------------------------------------------------------------------- what is felt


@pytest.mark.parametrize("cadence", [every(0.25), every(1.0), every(5.0), fixed(1.0), backoff(0.5, 1.5, 5.0)])
def test_one_run_foretells_what_clients_of_other_cadences_will_feel(cadence):
    estimate = completion(session(11, 4000, lognormal(1.5, 0.25), every(0.5)))
    foretold = felt(estimate, cadence, trip=TRIP)
    chance, lived = Random(12), []
    for _ in range(8000):
        done = lognormal(1.5, 0.25)(chance)
        lived.append(next(t for t in polls(cadence, chance) if t + TRIP / 2 >= done) + TRIP)
    lived.sort()
    for p in (0.5, 0.9, 0.95):
        assert foretold.quantile(p) == pytest.approx(lived[ceil(p * 8000) - 1], rel=0.03)


def test_a_webhook_is_felt_half_a_trip_after_the_end():
    curve = Curve((1.0, 2.0), (0.0, 1.0), 100)
    assert felt(curve, WEBHOOK, trip=0.1).quantile(0.5) == pytest.approx(1.55, abs=0.01)


def test_what_was_not_seen_to_end_is_not_felt_either():
    curve = Curve((1.0, 2.0), (0.0, 0.8), 100)
    assert felt(curve, every(1.0)).quantile(0.9) is None


# ---------------------------------------------------------------------------------------- cadences


def first(cadence, n, seed=1):
    moments = polls(cadence, Random(seed))
    return [next(moments) for _ in range(n)]


def test_the_first_poll_is_at_any_part_of_the_interval_and_the_rest_at_every_one():
    starts = [first(every(2.0), 1, seed)[0] for seed in range(400)]
    assert min(starts) < 0.1 and max(starts) > 1.9
    assert sum(starts) / 400 == pytest.approx(1.0, rel=0.1)
    a, b, c = first(every(2.0), 3)
    assert (b - a, c - b) == (pytest.approx(2.0), pytest.approx(2.0))


def test_a_vendor_s_client_polls_alike_for_every_job():
    assert first(fixed(1.0, first=0.5), 3, seed=1) == first(fixed(1.0, first=0.5), 3, seed=2) == [0.5, 1.5, 2.5]


def test_backing_off_grows_to_its_limit_and_scatters():
    plain = first(backoff(1.0, 2.0, 5.0, jitter=0), 5)
    assert plain == [1, 3, 7, 12, 17]
    waits = [first(backoff(1.0, 2.0, 5.0), 1, seed)[0] for seed in range(200)]
    assert 0.5 <= min(waits) < 0.6 and 1.4 < max(waits) <= 1.5


def test_a_learned_cadence_looks_about_when_something_may_have_happened():
    curve = Curve((0.0, 10.0), (0.0, 1.0), 100)
    moments = first(learned(curve, jitter=0), 4)
    assert moments == pytest.approx([3.0, 8.0, 8 * 1.3, 8 * 1.3**2])
    assert learned(Curve((0.0, 1.0), (0.0, 0.5), 10)) is None


@pytest.mark.parametrize(
    "wrong",
    [{"waits": ()}, {"waits": (0.0,)}, {"waits": (1.0,), "growth": 0.5}, {"waits": (1.0,), "jitter": 1}],
)
def test_a_cadence_that_would_never_end_a_wait_is_refused(wrong):
    with pytest.raises(ValueError):
        Cadence(**wrong)
