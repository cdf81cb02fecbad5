"""What is promised of generated requests: few jobs that bring every two documented values together, every corner
of the domain, and the same bytes for the same seed."""

from __future__ import annotations

from itertools import combinations

import pytest

from wireproof.conform import plan
from wireproof.generate import cases
from wireproof.model import Does, Endpoint
from wireproof.spec.load import load_all
from wireproof.wire import requests

ENDPOINTS = load_all()
BY_NAME = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)


def _can_stand_together(endpoint: Endpoint, one: cases.Option, other: cases.Option) -> bool:
    """Whether a request has both: each parameter is what it was set to, matters, and no rule is broken."""
    found = cases._fitted(endpoint, cases.base(endpoint), (one, other))
    return found is not None and _sound(endpoint, found[0])


def _sound(endpoint: Endpoint, values: cases.Values) -> bool:
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    assert submit is not None
    call = requests.build(endpoint, submit, "http://h", values=values, job="00000000-0000-4000-8000-000000000000")
    (asked,) = requests.recognise(endpoint, call)
    return not requests.breaches(endpoint, asked)


@BY_NAME
def test_every_two_options_that_can_stand_together_do_in_a_thorough_run(endpoint: Endpoint) -> None:
    together = [set(case.covers) for case in cases.pairs(endpoint)]
    for one, other in combinations(cases.options(endpoint), 2):
        if one.factor != other.factor and _can_stand_together(endpoint, one, other):
            assert any({one.fact, other.fact} <= facts for facts in together), (one.fact, other.fact)


@BY_NAME
def test_requests_that_bring_values_together_keep_every_rule(endpoint: Endpoint) -> None:
    assert all(_sound(endpoint, case.values) for case in [*cases.pairs(endpoint), *cases.allowed(endpoint)])


@BY_NAME
def test_no_more_than_twice_the_jobs_that_any_such_set_needs(endpoint: Endpoint) -> None:
    known = cases.options(endpoint)
    factors = sorted({option.factor for option in known})
    least = max(
        sum(
            _can_stand_together(endpoint, one, other)
            for one in known
            for other in known
            if (one.factor, other.factor) == pair
        )
        for pair in combinations(factors, 2)
    )
    assert least <= len(cases.pairs(endpoint)) <= 2 * least


@BY_NAME
def test_a_standard_run_has_every_option_once_and_few_jobs(endpoint: Endpoint) -> None:
    every = {fact for case in cases.allowed(endpoint) for fact in case.covers}
    assert {option.fact for option in cases.options(endpoint)} <= every
    assert len(cases.allowed(endpoint)) <= 13


@BY_NAME
def test_only_a_thorough_plan_pays_for_pairs(endpoint: Endpoint) -> None:
    jobs = {size: sum(step.jobs for step in plan(endpoint, profile=size)) for size in ("quick", "standard", "thorough")}
    assert jobs["quick"] < jobs["standard"] < jobs["thorough"]
