"""A quantile comes with its interval, or not at all."""

from decimal import Decimal
from math import exp
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireproof.load.censor import Curve, Interval, every, polls
from wireproof.load.quantiles import (
    censored,
    needed,
    not_seen,
    precision,
    quantile,
    ranks,
    rate,
    smallest,
    spread,
)
from wireproof.money import Money


@pytest.mark.parametrize("p, jobs", [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_a_quantile_is_withheld_below_the_jobs_it_needs(p, jobs):
    assert smallest(p) == jobs
    assert quantile(range(jobs), p).told
    few = quantile(range(jobs - 1), p)
    assert not few.told and (few.low, few.high) == (None, None)
    assert f"needs {jobs} jobs, there are {jobs - 1}" in few.withheld


def test_p99_of_polled_jobs_is_withheld_below_368_jobs():
    jobs = [Interval(1, 2)] * 368
    assert not censored(jobs[:-1], 0.99).told
    assert censored(jobs, 0.99).told


def test_an_extreme_low_quantile_needs_as_many_jobs_as_its_mirror():
    assert smallest(0.01) == smallest(0.99)


@given(st.integers(1, 400), st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.99]))
def test_ranks_exist_exactly_from_the_least_number_of_jobs_on(n, p):
    between = ranks(n, p)
    assert (between is not None) == (n >= smallest(p))
    if between:
        assert 1 <= between[0] < between[1] <= n


@pytest.mark.parametrize("n, p, expected", [(100, 0.5, (40, 61)), (6, 0.5, (1, 6)), (368, 0.99, (360, 368))])
def test_ranks_are_those_of_the_exact_binomial(n, p, expected):
    assert ranks(n, p) == expected


@pytest.mark.parametrize("p", [0.5, 0.9, 0.95])
def test_the_interval_holds_the_truth_at_least_as_often_as_it_says(p):
    chance, held = Random(1), 0
    truth = NormalDist().inv_cdf(p)
    for _ in range(400):
        found = quantile([chance.gauss(0, 1) for _ in range(100)], p)
        held += found.low <= truth <= found.high
    assert held >= 0.93 * 400


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_the_interval_of_polled_jobs_holds_the_truth(p):
    chance, held = Random(2), 0
    truth = 1.5 * exp(0.25 * NormalDist().inv_cdf(p))
    for _ in range(60):
        found = censored([polled(1.5 * exp(0.25 * chance.gauss(0, 1)), chance) for _ in range(60)], p)
        held += found.low <= truth <= found.high
        assert found.bracket.left <= found.value <= found.bracket.right
    assert held >= 57


def polled(done, chance):
    before = 0.0
    for at in polls(every(0.5), chance):
        if at >= done:
            return Interval(before, at)
        before = at


def test_an_interval_without_an_upper_end_says_so():
    jobs = [Interval(0, 1)] * 70 + [Interval(1, None)] * 30
    assert censored(jobs, 0.5).high == 1
    found = censored(jobs, 0.65)
    assert found.told and found.high is None
    late = censored(jobs, 0.8)
    assert not late.told and "not seen to end" in late.withheld


# ------------------------------------------------------------------------------------------ rates


@pytest.mark.parametrize(
    "hits, n, low, high",
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (98, 100, 0.9300, 0.9945)],
)
def test_a_rate_has_wilsons_interval(hits, n, low, high):
    found = rate(hits, n)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_a_rate_of_nothing_is_not_told_and_an_impossible_one_is_refused():
    assert not rate(0, 0).told
    with pytest.raises(ValueError):
        rate(3, 2)


def test_what_was_not_seen_may_still_be_about_three_in_n():
    assert not_seen(299) == pytest.approx(0.01, abs=1e-4)
    assert not_seen(0) == 1.0


# -------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize(
    "p, within, sigma, jobs",
    [
        (0.5, 0.10, 0.25, 38),
        (0.5, 0.05, 0.60, 869),
        (0.9, 0.10, 0.35, 138),
        (0.95, 0.05, 0.25, 429),
        (0.99, 0.10, 0.35, 656),
        (0.99, 0.10, 0.25, 368),
    ],
)
def test_the_jobs_needed_for_a_precision_are_told_and_never_fewer_than_the_quantile_needs(p, within, sigma, jobs):
    assert needed(p, within, sigma) == jobs


def test_a_precision_has_a_price():
    asked = precision(0.99, 0.10, 0.35, Money(Decimal("0.0088"), "USD"))
    assert asked.cost == Money(Decimal("5.7728"), "USD")
    assert precision(0.99, 0.10, 0.35, None).cost is None


def test_the_spread_of_a_pilot_is_that_of_its_logarithms():
    ps = [k / 1000 for k in range(1, 1000)]
    times = [2 * exp(0.35 * NormalDist().inv_cdf(p)) for p in ps]
    assert spread(Curve(tuple(times), tuple(ps), 1000)) == pytest.approx(0.35, rel=0.01)
    assert spread(Curve((0.0, 1.0), (0.0, 0.6), 10)) is None


@pytest.mark.parametrize("p", [0, 1, -0.5])
def test_a_quantile_of_no_proper_part_is_refused(p):
    with pytest.raises(ValueError):
        smallest(p)
