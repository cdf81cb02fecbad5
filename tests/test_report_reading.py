"""What a run amounts to, before any format tells it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from report_samples import covers, finding, rich_run, run, verdict
from wireproof.model import Severity, Summary
from wireproof.money import Money
from wireproof.report.cases import Fate, cases
from wireproof.report.reading import (
    Outcome,
    all_spend_words,
    duration,
    headline,
    outcome,
    overall,
    shares,
    spend_words,
    unseen,
    untold,
)


def _said(one, **changes):
    return outcome(run(one, **changes), one)


def _idle(stopped=""):
    return Summary(endpoint="a/b", stopped=stopped)


def test_an_endpoint_without_findings_conforms():
    assert _said(verdict("a/b")) is Outcome.CONFORMS


@pytest.mark.parametrize("severity", [Severity.DRIFT, Severity.QUESTION])
def test_what_nobody_promised_does_not_make_an_endpoint_differ(severity):
    assert _said(verdict("a/b", (finding(1, severity),))) is Outcome.CONFORMS


def test_a_violation_counts_however_much_was_left_undone():
    assert _said(verdict("a/b", (finding(1),), summary=_idle("no budget"))) is Outcome.DIFFERS


@pytest.mark.parametrize(("stopped", "why"), [("no key", "no key"), ("", "nothing was tested")])
def test_a_run_that_did_not_look_cannot_tell_and_says_why(stopped, why):
    one = verdict("a/b", seen=0, unseen=3, summary=_idle(stopped))
    assert _said(one) is Outcome.UNTOLD
    assert untold(run(one), one) == why


def test_a_command_that_only_reads_contracts_needs_no_call_to_tell():
    assert _said(verdict("a/b", seen=0, summary=_idle()), command="lint") is Outcome.CONFORMS


def test_the_run_is_as_good_as_its_worst_endpoint():
    good, bad, idle = verdict("a/b"), verdict("c/d", (finding(1),)), verdict("e/f", summary=_idle("no key"))
    assert overall(run(good)) is Outcome.CONFORMS
    assert overall(run(good, idle)) is Outcome.UNTOLD
    assert overall(run(good, idle, bad)) is Outcome.DIFFERS
    assert overall(run()) is Outcome.UNTOLD


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ((), "Nothing was looked at"),
        ((verdict("a/b"),), "a/b conforms"),
        ((verdict("a/b", (finding(1),)),), "a/b does not conform"),
        ((verdict("a/b"), verdict("c/d")), "Both endpoints conform"),
        ((verdict("a/b", (finding(1),)), verdict("c/d")), "1 of 2 endpoints does not conform"),
        (
            (verdict("a/b"), verdict("c/d", summary=_idle("no key"))),
            "1 of 2 endpoints conform, the rest could not be told",
        ),
    ],
)
def test_the_headline_is_one_sentence(verdicts, says):
    assert headline(run(*verdicts)) == says


def test_spending_that_nobody_told_is_never_nothing():
    known = Money(Decimal("0.10"), "USD")
    assert spend_words(Summary(endpoint="a/b", jobs=2)) == "unknown"
    assert spend_words(Summary(endpoint="a/b")) == "nothing"
    assert spend_words(Summary(endpoint="a/b", jobs=2, spent=known, unknown_spend=1)) == (
        "0.1 USD + 1 job of unknown cost"
    )


def test_spending_adds_up_within_a_unit_and_never_across_units():
    assert all_spend_words(rich_run()) == "0.2676 USD + 6 credits + 1 job of unknown cost"
    assert all_spend_words(run()) == "nothing"


def test_what_a_ledger_keeps_set_aside_is_told_beside_what_it_knows():
    known, held = Money(Decimal("0.010"), "USD"), Money(Decimal("0.0450"), "USD")
    one = Summary(endpoint="a/b", jobs=2, spent=known, held=held, unknown_spend=6)
    none = Summary(endpoint="a/b", spent=known * 0, held=held)
    assert spend_words(one) == "0.01 USD, 0.045 USD set aside"
    assert spend_words(none) == "0 USD, 0.045 USD set aside"
    assert spend_words(replace(none, held=held * 0)) == "0 USD"
    assert spend_words(one + none) == "0.01 USD, 0.09 USD set aside"
    whole = run(verdict("a/b", summary=one), verdict("c/d", summary=replace(none, endpoint="c/d")))
    assert all_spend_words(whole) == "0.01 USD, 0.09 USD set aside"


def test_coverage_is_counted_by_kind_and_what_is_missing_is_kept_with_its_reason():
    facts = covers(seen=8, unseen=2)
    assert {share.kind: share.text for share in shares(facts)}["operation"] == "1/2"
    assert sum(map(len, unseen(facts).values())) == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (1, "1 s"),
        (3.42, "3.4 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
    ],
)
def test_durations_are_told_for_people(seconds, words):
    assert duration(seconds) == words


def test_what_fails_a_run_fails_its_case_and_what_was_asked_for_is_heeded():
    one = verdict("a/b", (finding(1, Severity.DRIFT),), seen=0)

    def fates(**options):
        return [case.fate for case in cases(run(one, options=options), one) if case.group == "checks"]

    assert fates() == [Fate.SKIPPED]
    assert fates(fail_on="drift") == [Fate.FAILED]
    assert fates(fail_on="violation") == [Fate.SKIPPED]


def test_findings_of_one_key_are_one_case_that_tells_them_all():
    twice = (finding(1, subject="x", says="first"), finding(2, subject="x", says="second"))
    one = verdict("segmind/p-image", twice, seen=0)
    (case,) = [case for case in cases(run(one), one) if case.group == "checks"]
    assert "first" in case.text and "second" in case.text
