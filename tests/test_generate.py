"""What is promised of generated requests: few jobs that bring every two documented values together, every corner
of the domain, and the same bytes for the same seed."""

from __future__ import annotations

from itertools import combinations
from typing import TypeVar

import pytest
from hypothesis import strategies as st

from wireproof.conform import conform, embedded, plan
from wireproof.generate import cases, strategies
from wireproof.model import Does, Endpoint, Severity
from wireproof.spec.load import load_all
from wireproof.wire import requests

T = TypeVar("T")
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
    assert len(cases.allowed(endpoint)) <= 15


@BY_NAME
def test_what_a_request_leaves_open_is_filled_at_no_other_price(endpoint: Endpoint) -> None:
    """Values meet that would not, and for the same money: the sides of a size with a switch that is on, say."""
    sound = [case for case in cases.allowed(endpoint) if _sound(endpoint, case.values)]
    assert len(sound) == len(cases.allowed(endpoint))
    if endpoint.name == "runware/p-image-edit":
        turbo = "providerSettings.prunaai.turbo"
        assert {case.values.get(turbo) for case in sound if "width" in case.values} == {True, False}
        assert all(case.values.get("includeCost") for case in sound if "width" in case.values)
        assert sum(case.values.get("numberResults") == 20 for case in sound) == 1


@BY_NAME
def test_only_a_thorough_plan_pays_for_pairs(endpoint: Endpoint) -> None:
    jobs = {size: sum(step.jobs for step in plan(endpoint, profile=size)) for size in ("quick", "standard", "thorough")}
    assert jobs["quick"] < jobs["standard"] < jobs["thorough"]


def _drawn(strategy: st.SearchStrategy[T], seed: int, count: int = 150) -> list[T]:
    found: list[T] = []
    strategies.search(strategy, lambda one: bool(found.append(one)), examples=count, seed=seed, shrink=False)
    return found


def _breached(endpoint: Endpoint, values: cases.Values) -> set[str]:
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    assert submit is not None
    call = requests.build(endpoint, submit, "http://h", values=values, job="00000000-0000-4000-8000-000000000000")
    (asked,) = requests.recognise(endpoint, call)
    return {breach.parameter for breach in requests.breaches(endpoint, asked)}


@BY_NAME
def test_valid_requests_keep_every_rule_wherever_they_are_drawn(endpoint: Endpoint) -> None:
    assert [values for values in _drawn(strategies.valid(endpoint), 1) if _breached(endpoint, values)] == []


@BY_NAME
def test_forbidden_requests_break_rules_of_one_parameter_only(endpoint: Endpoint) -> None:
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    assert submit is not None
    rules = {rule.name for rule in endpoint.rules}
    for case in _drawn(strategies.forbidden(endpoint, submit), 1):
        if case.covers[0] not in rules and case.covers[0] != "body.unknown":
            assert len({name.partition("[")[0] for name in _breached(endpoint, case.values)}) == 1, case


@BY_NAME
def test_both_sides_of_every_numeric_bound_are_drawn(endpoint: Endpoint) -> None:
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    assert submit is not None
    inside = [case.values for case in cases.pairs(endpoint)]
    outside = [case.values for case in cases.forbidden(endpoint, submit)]
    for option in cases.options(endpoint):
        name, _, bound = option.fact.rpartition(".")
        if bound in ("minimum", "maximum") and "enum" not in endpoint.parameters[name].schema:
            edge = endpoint.parameters[name].schema[bound]
            assert any(values.get(name) == edge for values in inside)
            assert any(values.get(name) == edge + (1 if bound == "maximum" else -1) for values in outside)


@BY_NAME
def test_the_edges_of_json_are_tried(endpoint: Endpoint) -> None:
    drawn = strategies.odd(endpoint)
    said = " ".join(case.purpose for case in drawn)
    assert all(case.purpose.startswith(cases.ODD) for case in drawn)
    assert "null" in said
    kinds = {kind for parameter in endpoint.parameters.values() for kind in cases.types(parameter.schema)}
    for kind, words in {"integer": "fraction of zero", "string": "control characters", "boolean": "as text"}.items():
        assert kind not in kinds or words in said


@BY_NAME
def test_the_same_seed_draws_the_same_bytes_and_another_one_others(endpoint: Endpoint) -> None:
    first, same, other = (_drawn(strategies.valid(endpoint), seed, 60) for seed in (7, 7, 8))
    assert repr(first) == repr(same) != repr(other)


@BY_NAME
@pytest.mark.parametrize("profile", ["quick", pytest.param("thorough", marks=pytest.mark.slow)])
def test_the_same_seed_sends_the_same_requests_byte_for_byte(endpoint: Endpoint, profile: str) -> None:
    one, same = (
        [exchange.call for exchange in conform(endpoint, embedded(endpoint, 3), seed=3, profile=profile)[1]]
        for _ in range(2)
    )
    assert one == same


def test_what_is_shown_is_made_as_small_as_it_can_be() -> None:
    found = strategies.search(
        strategies.valid(ENDPOINTS[-1]), lambda values: "seed" in values, examples=200, seed=1, shrink=True
    )
    assert found is not None
    assert set(found) == {*cases.base(ENDPOINTS[-1]), "seed"}


@pytest.mark.slow
@BY_NAME
def test_a_thorough_run_finds_no_violation_in_a_faithful_host(endpoint: Endpoint) -> None:
    verdict, _ = conform(endpoint, embedded(endpoint, 1), seed=1, profile="thorough")
    assert [one.key for one in verdict.findings if one.severity is Severity.VIOLATION] == []
