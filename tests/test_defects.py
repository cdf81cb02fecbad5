"""What is promised of defects: each changes one thing, is heard by the checks it names, and by no other."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

import looking
from wireproof import conform
from wireproof.check.registry import CHECKS
from wireproof.errors import ContractError, UsageError
from wireproof.mock import dice
from wireproof.mock.bends import BENDS
from wireproof.mock.defects import Defect, defect, load_defects, manners, read_defect, schema
from wireproof.mock.engine import Mock
from wireproof.mock.manners import Manners
from wireproof.model import REUSED, Endpoint, Evidence, Exchange, Finding, Reply
from wireproof.rooms import shipped
from wireproof.spec.load import load_all
from wireproof.wire.replies import read

DEFECTS = load_defects()
ENDPOINTS = {endpoint.name: endpoint for endpoint in load_all()}
HEARD = [one for one in DEFECTS.values() if one.heard]
MOST = 3
"""Findings that one defect may lead to; their mean is held to 2 by the last test."""


@functools.cache
def ran(name: str, spoilt: str = "") -> tuple[tuple[Finding, ...], tuple[Exchange, ...]]:
    """A whole run against an endpoint's own mock, faithful or with one defect."""
    endpoint = ENDPOINTS[name]
    how = manners(DEFECTS[spoilt]) if spoilt else None
    verdict, exchanges = looking.conform(endpoint, conform.embedded(endpoint, 1, how), seed=1)
    return verdict.findings, exchanges if not spoilt else ()


def new(one: Defect) -> list[Finding]:
    """What a defect adds to the findings, at the first endpoint that it names."""
    known = {finding.key for finding in ran(one.endpoints[0])[0]}
    return [finding for finding in ran(one.endpoints[0], one.name)[0] if finding.key not in known]


# --------------------------------------------------------------------------------------- checks and defects


@pytest.mark.parametrize("name", ENDPOINTS)
def test_no_check_finds_a_violation_in_a_faithful_host(name: str) -> None:
    assert [one for one in ran(name)[0] if one.severity.value == "violation"] == []


@pytest.mark.parametrize("one", HEARD, ids=lambda one: one.name)
def test_a_defect_is_heard_by_the_checks_it_names_and_by_no_other(one: Defect) -> None:
    found = Counter(finding.check for finding in new(one))
    assert set(one.heard) <= set(found)
    assert set(found) <= {*one.heard, *one.also}
    assert sum(found.values()) <= MOST


def test_a_charge_for_a_failure_is_a_violation_once_a_host_documents_that_failures_are_free() -> None:
    endpoint = ENDPOINTS["pixeldojo/p-image-edit"]
    assert endpoint.price is not None
    sure = replace(endpoint, price=replace(endpoint.price, billed_evidence=Evidence()))
    target = conform.embedded(sure, 1, manners(DEFECTS["charges-failures"]))
    found = {one.check: one.severity.value for one in looking.conform(sure, target, seed=1)[0].findings}
    assert (found["MON002"], found["MON004"]) == ("violation", "violation")


@pytest.mark.parametrize("one", [d for d in DEFECTS.values() if not d.heard], ids=lambda one: one.name)
def test_a_defect_that_is_said_to_be_unheard_is_not_heard_by_accident(one: Defect) -> None:
    assert new(one) == []


@pytest.mark.parametrize("id", sorted(CHECKS))
def test_every_check_names_defects_and_they_name_it(id: str) -> None:
    assert CHECKS[id].trips_on
    for name in CHECKS[id].trips_on:
        assert name in DEFECTS, f"{id} trips on {name}, which no file describes"
        assert id in (*DEFECTS[name].heard, *DEFECTS[name].also)


def test_every_check_that_a_defect_names_exists() -> None:
    assert {id for one in DEFECTS.values() for id in (*one.heard, *one.also)} <= set(CHECKS)


@pytest.mark.slow
def test_a_defect_leads_to_two_findings_at_most_in_the_mean() -> None:
    counts = [len(new(one)) for one in HEARD]
    assert sum(counts) / len(counts) <= 2.0


# ---------------------------------------------------------------------------------------- one thing changes


@pytest.mark.parametrize("one", DEFECTS.values(), ids=lambda one: one.name)
def test_a_defect_changes_what_it_says_and_nothing_else(one: Defect) -> None:
    changed = differences(ENDPOINTS[one.endpoints[0]], one)
    assert changed == set(one.differs)


def differences(endpoint: Endpoint, one: Defect) -> set[str]:
    """Where two mocks differ, as `role.part`, that are asked the same: a faithful one, and one with the defect.

    What belongs to one job is asked of a pair of its own, so that one more job that is taken here or there
    does not shift the others' chances.
    """
    found: set[str] = set()
    spoiler = manners(one)
    for group, true in zip(groups(endpoint.name), faithful(endpoint.name), strict=True):
        spoilt = spoken(endpoint, group, spoiler)
        for exchange, was, now in zip(group.exchanges, true, spoilt, strict=True):
            role = "media" if exchange.operation == "media" else endpoint.operations[exchange.operation].does
            found |= {f"{role}.{part}" for part in parts(was, now)}
    return found


@functools.cache
def faithful(name: str) -> list[list[tuple[Reply, object]]]:
    """What a faithful mock answers to each group of questions."""
    return [spoken(ENDPOINTS[name], group, None) for group in groups(name)]


def parts(true: tuple[Reply, object], said: tuple[Reply, object]) -> Iterator[str]:
    (a, way), (b, other) = true, said
    same = {
        "code": a.status == b.status,
        "headers": a.headers == b.headers,
        "body": a.body == b.body,
        "delivery": way == other,
    }
    return (part for part, equal in same.items() if not equal)


@dataclass(frozen=True)
class Group:
    """What was asked about one job, or one question that is about none."""

    exchanges: tuple[Exchange, ...]
    number: int
    """Which job of its account a submit in it makes: what chance gives a job hangs on this."""


@functools.cache
def groups(name: str) -> tuple[Group, ...]:
    """What was asked in a faithful run, put together by job; not what was hurried."""
    asked: dict[str, list[Exchange]] = {}
    for exchange in ran(name)[1]:
        label = exchange.job or ("twice" if exchange.purpose in REUSED else f"#{exchange.seq}")
        asked.setdefault(label.removeprefix(f"{name} "), []).append(exchange)
    kept = [tuple(group) for label, group in asked.items() if not label.startswith("hurried")]
    alone = [Group(group, number) for group in kept if (number := _number(name, group)) is not None]
    return (*alone, _at_once(alone), _misspelt(alone))


def _misspelt(alone: list[Group]) -> Group:
    """A submit with a parameter that no contract knows."""
    first = next(group.exchanges[0] for group in alone if len(group.exchanges) > 2)
    body = json.loads(first.call.body)
    (body[0] if isinstance(body, list) else body)["promt"] = "a lighthouse"
    return Group((replace(first, call=replace(first.call, body=json.dumps(body).encode())),), 0)


def _at_once(alone: list[Group]) -> Group:
    """The first two jobs of the host together, as they overlapped."""
    pair = [group for group in alone if len(group.exchanges) > 2][:2]
    both = sorted((one for group in pair for one in group.exchanges), key=lambda one: one.seq)
    return Group(tuple(both), min(group.number for group in pair))


def _number(name: str, group: tuple[Exchange, ...]) -> int | None:
    """The number that gives the job the id that it had; 0 for a group without an id of the host's."""
    first = group[0]
    told = _id(name, first, first.reply) if first.reply else None
    for number in range(100):
        again = spoken(ENDPOINTS[name], Group(group[:1], number), None)[0][0]
        if told is None or _id(name, first, again) == told:
            return number
    return None


def _id(name: str, exchange: Exchange, reply: Reply) -> str | None:
    operation = ENDPOINTS[name].operations.get(exchange.operation)
    return read(ENDPOINTS[name], operation, reply).id if operation and operation.does.bills else None


def spoken(endpoint: Endpoint, group: Group, how: Manners | None) -> list[tuple[Reply, object]]:
    """What a fresh mock answers to a group of questions."""
    mock = Mock([endpoint], seed=1, manners=how, deposit=Decimal(1000) - group.number)
    account = mock.account(f"{endpoint.provider.name}:main")
    account.jobs = group.number
    for _ in range(group.number):
        account.chance.getrandbits(dice.BITS)
    answers = []
    for exchange in group.exchanges:
        if exchange.purpose.startswith("staged: "):
            mock.stage(exchange.purpose.removeprefix("staged: "), exchange.operation)
        answer = mock.answer(exchange.call, exchange.at, exchange.at)
        answers.append((answer.reply, answer.delivery))
    return answers


# ------------------------------------------------------------------------------------------------- reading


def test_the_published_schema_is_the_one_that_the_bends_make() -> None:
    file = shipped("specs") / "schema" / "defect.schema.json"
    assert json.loads(file.read_text(encoding="utf-8")) == schema()


def test_every_bend_is_used_by_a_defect() -> None:
    assert {one.bend for one in DEFECTS.values()} == set(BENDS)


def test_the_readme_says_which_reports_have_which_defects() -> None:
    text = (shipped("mocks") / "defects" / "README.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| (P-[A-Z]{2}-\d\d) \| (.+) \|$", text.partition("cannot express")[0], re.MULTILINE))
    rows: dict[str, list[str]] = {}
    for name, one in DEFECTS.items():
        for row in one.rows:
            rows.setdefault(row, []).append(name)
    assert table == {row: ", ".join(sorted(names)) for row, names in rows.items()}


def test_a_defect_that_does_not_exist_is_refused_with_a_guess() -> None:
    with pytest.raises(UsageError, match="Did you mean steps-back"):
        defect("step-back")


def test_every_mistake_of_a_defect_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "kind: defect\nsays: Bad.\ngroup: status\nendpoints: [segmind/p-image]\nheard: [RPL001]\n"
        "bend: answer-code\nwith: {cod: 1}\ndiffers: [status.cod]\n"
    )
    with pytest.raises(ContractError) as caught:
        read_defect(file)
    assert {mistake.line for mistake in caught.value.mistakes} == {7, 8}


def test_two_defects_of_one_host_both_show() -> None:
    both = manners(DEFECTS["number-as-text"], DEFECTS["missing-expiry"])
    group = next(one for one in groups("pixeldojo/p-image-edit") if one.exchanges[-1].operation == "media")
    body = json.loads(spoken(ENDPOINTS["pixeldojo/p-image-edit"], group, both)[0][0].body)
    assert body["creditCost"] == "0.25"
    assert "expiresAt" not in body


@pytest.mark.parametrize("name", ["default-not-applied", "default-switched", "default-turbo"])
def test_a_quick_run_hears_a_default_that_is_not_applied(name: str) -> None:
    one = DEFECTS[name]
    endpoint = ENDPOINTS[one.endpoints[0]]
    found = looking.conform(endpoint, conform.embedded(endpoint, 1, manners(one)), seed=1, profile="quick")[0].findings
    assert "OUT008" in {finding.check for finding in found}
