"""Every finding shows again at the first try: by replay, and by its line for a shell."""

from __future__ import annotations

import shlex

import pytest

import curl_world
from looking import conform, replay
from wireproof.conform import embedded
from wireproof.errors import WireproofError
from wireproof.mock.defects import load_defects, manners
from wireproof.model import Run
from wireproof.spec.load import load_all

DEFECTS = load_defects()
ENDPOINTS = {endpoint.name: endpoint for endpoint in load_all()}
NOW_AND_THEN = {
    "cold-503": "only the first calls of a host that was asleep",
    "host-breaks-off": "some calls, by chance",
    "leaks-401": "some calls, by chance",
    "never-ends": "not before the deadline of a job has passed, which takes minutes",
    "one-by-one": "only while another job runs",
}
"""Defects that one line of a few calls cannot be sure to meet, or not soon; replay meets them."""

SAMPLE = ("bound-not-enforced", "conflict-not-enforced")
REPLAYED = ("credits-429", "picture-dies-early", "enum-value-refused", "progress-goes-back")


def _not_replayed(defect: str, name: str) -> list[str]:
    """The findings of a run against a defect that do not show again on a fresh mock that has it."""
    endpoint, one = ENDPOINTS[name], DEFECTS[defect]
    verdict, exchanges = conform(endpoint, embedded(endpoint, 1, manners(one)), seed=1)
    run = Run(
        id="r",
        command="check",
        target="mock",
        seed=1,
        started="2026-01-01T00:00:00+00:00",
        version="0",
        verdicts=(verdict,),
        exchanges=exchanges,
    )
    lost = []
    for finding in verdict.findings:
        try:
            shows, _ = replay(endpoint, finding, run, embedded(endpoint, 1, manners(one)))
        except WireproofError as error:
            lost.append(f"{finding.key}: {error}")
        else:
            lost += [] if shows else [finding.key]
    return lost


@pytest.mark.parametrize("defect", REPLAYED)
def test_findings_of_every_kind_show_again_when_they_are_replayed(defect: str) -> None:
    assert _not_replayed(defect, DEFECTS[defect].endpoints[0]) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "name"), [(defect, name) for defect, one in DEFECTS.items() for name in one.endpoints]
)
def test_every_finding_of_the_matrix_shows_again_at_the_first_replay(defect: str, name: str) -> None:
    assert _not_replayed(defect, name) == []


def _not_shown(defect: str) -> list[str]:
    one = DEFECTS[defect]
    tried = curl_world.tried(ENDPOINTS[one.endpoints[0]], one)
    assert all(shlex.split(each.finding.replay) for each in tried)
    return [f"{each.finding.key}: {each.told}" for each in tried if not each.shows]


@pytest.mark.parametrize("defect", SAMPLE)
def test_the_line_of_a_finding_shows_it_at_the_first_try(defect: str) -> None:
    assert _not_shown(defect) == []


@pytest.mark.slow
@pytest.mark.parametrize("defect", sorted(set(DEFECTS) - set(NOW_AND_THEN)))
def test_the_line_of_every_finding_of_the_matrix_shows_it_at_the_first_try(defect: str) -> None:
    assert _not_shown(defect) == []
