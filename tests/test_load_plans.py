"""Declared plans: all shipped ones are sound, mistakes are told with their line, a price comes first."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from wireproof.errors import ContractError, UsageError
from wireproof.load import plans, pricing
from wireproof.load.arrivals import Closed, Record, Spacing
from wireproof.money import Money
from wireproof.rooms import shipped
from wireproof.spec.load import resolve


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(f"kind: plan\nplan: mine\n{text}", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", sorted(path.stem for path in shipped("loadtests").glob("*.yaml")))
def test_a_shipped_plan_is_sound_and_called_as_its_file(name):
    plan = plans.find(name)
    assert plan.name == name
    assert plan.says
    assert plan.phases or plan.search


def test_the_plans_that_were_promised_are_shipped():
    assert {"smoke", "steady", "ramp", "burst", "soak", "capacity"} <= set(plans.names())


def test_an_unknown_plan_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean steady"):
        plans.find("stedy")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("phases: [{name: a, rate: 5/s, for: 3s}]\ncurrency: 3\n", 4, "not a key"),
        ("phases: [{name: a, rate: five, for: 3s}]\n", 3, "five"),
        ("phases: [{name: a, for: 3s}]\n", 3, "not valid"),
        ("phases:\n  - {name: a, rate: 1/s, for: 3s}\n  - {name: a, rate: 1/s, for: 3s}\n", 3, "a name of its own"),
        ("phases:\n  - {name: a, rate: 1/s, for: 3s}\n  - {name: b, users: 3, for: 3s}\n", 3, "cannot follow"),
        ("phases: [{name: a, rate: 1/s, for: 3s}]\nthresholds: [{measure: speed, at_most: 3}]\n", 4, "no measure"),
    ],
)
def test_a_mistake_in_a_plan_is_told_with_its_line(tmp_path, text, line, says):
    with pytest.raises(ContractError) as caught:
        plans.read(written(tmp_path, text))
    assert any(m.line == line and says in m.says for m in caught.value.mistakes), caught.value.mistakes


def test_every_kind_of_phase_can_be_declared(tmp_path):
    text = """phases:
  - {name: a, rate: 2/s, for: 4s, record: warmup}
  - {name: b, arrivals: poisson, rate: 60/m, for: 1m}
  - {name: c, arrivals: gamma, rate: 1/s, cv: 3, for: 5s}
  - {name: d, arrivals: ramp, rate: 1/s, to: 3/s, for: 2s}
  - {name: e, arrivals: burst, jobs: 3, every: 500ms, for: 1s}
  - {name: f, arrivals: trace, at: [0, 0.25], for: 1s}
"""
    plan = plans.read(written(tmp_path, text))
    assert [phase.seconds for phase in plan.phases] == [4, 60, 5, 2, 1, 1]
    assert plan.phases[0].record is Record.WARMUP
    assert plan.phases[2].cv == 3
    assert len(plan.phases[4].moments) == 6


def test_a_rate_on_the_command_line_replaces_what_is_measured_and_keeps_the_warm_up():
    plan = plans.overridden(plans.find("steady"), rate=7.0, seconds=5.0)
    assert [phase.record for phase in plan.phases] == [Record.WARMUP, Record.MEASURE]
    assert plan.phases[1].slopes[0].start == 7.0
    assert plan.phases[1].seconds == 5.0
    assert plan.phases[1].spacing is Spacing.POISSON


def test_users_on_the_command_line_make_the_plan_a_closed_one():
    plan = plans.overridden(plans.find("smoke"), users=4)
    assert plan.closed
    assert [p.users for p in plan.phases if isinstance(p, Closed)] == [4]


def test_a_rate_and_users_at_once_are_refused():
    with pytest.raises(UsageError, match="one of the two"):
        plans.overridden(plans.find("smoke"), rate=1.0, users=1)


def test_a_plan_is_priced_at_its_worst_before_it_starts():
    endpoint = resolve("segmind/p-image")[0]
    quote = pricing.quote(plans.find("smoke"), [endpoint], [Money(Decimal("0.05"), "USD")])
    assert quote.worst == (Money(Decimal("0.090"), "USD"),)
    assert not quote.covered
    assert pricing.quote(plans.find("smoke"), [endpoint], [Money(Decimal("0.09"), "USD")]).covered


def test_a_plan_that_goes_over_a_declared_limit_is_told_so():
    quote = pricing.quote(plans.find("smoke"), [resolve("segmind/p-image")[0]])
    assert "60 are allowed" in quote.shares[0].limits[0]


def test_twelve_jobs_are_too_few_for_p99_and_said_to_be():
    quote = pricing.quote(plans.find("smoke"), [resolve("segmind/p-image")[0]])
    assert quote.precision["p99"] is None
    assert quote.precision["p50"] is not None
