"""What a run did not test is listed, with what testing it would cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from wireproof.conform import conform, embedded, plan
from wireproof.ledger import MemoryLedger
from wireproof.model import Cover, Credential, Endpoint, Exchange, Run, Verdict
from wireproof.money import Money
from wireproof.probe.driver import Bounds
from wireproof.report import formats
from wireproof.spec.load import load_all

ENDPOINTS = load_all()


def _within(endpoint: Endpoint, amount: str) -> tuple[Verdict, tuple[Exchange, ...]]:
    """A run on a paid host whose budget is so much."""
    assert endpoint.price is not None
    ledger = MemoryLedger(Money(Decimal(amount), endpoint.price.unit))
    return conform(endpoint, replace(embedded(endpoint), paid=True), ledger=ledger)


def _missing(verdict: Verdict) -> list[Cover]:
    return [cover for cover in verdict.coverage if not cover.seen and cover.price is not None]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_every_rule_that_a_budget_left_untested_is_listed_with_its_price(endpoint: Endpoint) -> None:
    verdict, exchanges = _within(endpoint, "0.05")
    assert "budget" in verdict.summary.stopped
    family = f"{endpoint.name} "
    made = {one.job.removeprefix(family) if one.job else f"{one.operation}: {one.purpose}" for one in exchanges}
    left = [part for step in plan(endpoint) for part in step.parts if part.name not in made]
    assert left
    listed = {(cover.kind, cover.name): cover for cover in verdict.coverage}
    for part in left:
        facts = [fact for fact in part.covers if fact in listed] or [
            ("step", f"{part.step}: {part.says}" if part.says else part.step)
        ]
        assert all(listed[fact].seen or listed[fact].price is not None for fact in facts), part
    assert {cover.why_not for cover in _missing(verdict)} >= {verdict.summary.stopped}
    assert any(note.startswith(f"Not tested: {len(_missing(verdict))} facts") for note in verdict.notes)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_a_run_that_is_carried_out_leaves_nothing_that_money_could_test(endpoint: Endpoint) -> None:
    verdict, _ = conform(endpoint, embedded(endpoint))
    assert [cover for cover in _missing(verdict) if cover.price and cover.price.amount] == []
    assert not any(note.startswith("Not tested") for note in verdict.notes)


def test_every_report_for_people_and_machines_tells_the_price() -> None:
    verdict, exchanges = _within(ENDPOINTS[0], "0.05")
    run = Run(
        id="r",
        command="check",
        target="mock",
        seed=0,
        started="2026-01-01T00:00:00+00:00",
        version="0",
        verdicts=(verdict,),
        exchanges=exchanges,
    )
    dear = next(cover for cover in _missing(verdict) if cover.price and cover.price.amount)
    for name in ("text", "md", "html", "junit", "json"):
        told = formats.named(name).render(run)
        assert dear.price is not None
        assert (f"{dear.price.amount:f}" if name == "json" else str(dear.price)) in " ".join(told.split())


def test_what_a_chosen_bound_leaves_out_is_priced_and_no_failure() -> None:
    verdict, _ = conform(ENDPOINTS[0], embedded(ENDPOINTS[0]), bounds=Bounds(jobs=2))
    assert verdict.summary.stopped == ""
    reasons = {cover.why_not for cover in _missing(verdict)}
    no_part = "is no part of the quick profile"
    assert reasons == {"--max-jobs 2 is reached", no_part, f"was done in part; the rest: {no_part}"}


def test_a_step_that_was_done_in_part_is_not_said_to_be_left_out() -> None:
    verdict, exchanges = conform(ENDPOINTS[0], embedded(ENDPOINTS[0]), profile="quick")
    assert any(one.credential is Credential.NONE and one.operation == "submit" for one in exchanges)
    (keys,) = [cover for cover in verdict.coverage if (cover.kind, cover.name) == ("step", "keys")]
    assert keys.why_not == "was done in part; the rest: is no part of the quick profile"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_a_second_account_that_is_missing_is_named_by_its_variable(endpoint: Endpoint) -> None:
    verdict, _ = conform(endpoint, replace(embedded(endpoint), other_key=None))
    (step,) = [cover for cover in verdict.coverage if cover.name.startswith("another account")]
    assert step.why_not == f"needs the key of a second account, in {endpoint.provider.auth.env}_2"
