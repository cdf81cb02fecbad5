"""The scenarios as data: each says what it should, can be made up for every contract, and answers the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from wireproof.check.client import RULES
from wireproof.errors import ContractError, UsageError
from wireproof.mock.engine import Mock
from wireproof.mock.scenario import NEEDS, NotHere, Scenario, choose, load_scenarios, read_scenario, stage
from wireproof.model import Call, Endpoint
from wireproof.spec.load import load_all, resolve

SCENARIOS = load_scenarios()
ENDPOINTS = load_all()
ROWS = {row for scenario in SCENARIOS.values() for row in scenario.answers}


def made(tmp_path: Path, text: str) -> Scenario:
    file = tmp_path / "own.yaml"
    file.write_text(f"kind: scenario\nsays: It rains.\ncareful: Stays in.\nwhy: Wet feet.\n{text}")
    return read_scenario(file)


def test_the_calm_one_comes_first() -> None:
    assert next(iter(SCENARIOS)) == "calm"
    assert SCENARIOS["calm"].faults == () and SCENARIOS["calm"].ends == "success"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda s: s.name)
def test_a_scenario_is_made_up_for_a_contract_or_says_why_not(scenario: Scenario, endpoint: Endpoint) -> None:
    try:
        staged = stage(scenario, endpoint)
    except NotHere as why:
        assert scenario.needs and len(str(why)) > 10
    else:
        assert (staged.mood is None) is (not scenario.faults)
        Mock([endpoint], mood=staged.mood, manners=staged.manners)


def test_every_scenario_can_happen_somewhere() -> None:
    def happens(scenario: Scenario) -> bool:
        for endpoint in ENDPOINTS:
            try:
                stage(scenario, endpoint)
            except NotHere:
                continue
            return True
        return False

    assert [name for name, scenario in SCENARIOS.items() if not happens(scenario)] == []


def test_every_row_that_a_rule_answers_is_played_by_a_scenario() -> None:
    assert {row for rule in RULES.values() for row in rule.answers} <= ROWS


def test_every_need_is_somebodys() -> None:
    assert {need for scenario in SCENARIOS.values() for need in scenario.needs} == set(NEEDS)


def test_words_of_a_host_and_the_other_origin_are_filled_in() -> None:
    (segmind,) = resolve("segmind/p-image")
    done = stage(SCENARIOS["failed-at-the-end"], segmind).mood
    away = stage(SCENARIOS["redirect"], segmind, "http://127.0.0.1:9").mood
    assert done and away
    assert [f.options["word"] for f in done.faults if f.name == "state-word"] == ["COMPLETED"]
    assert away.faults[0].options["to"] == "http://127.0.0.1:9/"


def test_a_failure_is_told_in_the_other_form_that_a_contract_knows() -> None:
    (runware,) = resolve("runware/p-image-edit")
    staged = stage(SCENARIOS["failed-other-form"], runware)
    mock = Mock([runware], mood=staged.mood, manners=staged.manners)
    id = "7f0c8b1e-4b7a-4b62-9a35-0d5f5b6f8a01"
    task = (
        b'{"taskType":"imageInference","taskUUID":"%s","model":"prunaai:2@1","positivePrompt":"a fox",'
        b'"inputs":{"referenceImages":["https://example.com/a.png"]},"deliveryMethod":"async"}'
    )
    headers = (("Authorization", f"Bearer {mock.key('runware')}"),)
    mock.answer(Call("POST", "http://m/v1", headers, b"[" + task % id.encode() + b"]"), 0.0, 0.0)
    ask = b'[{"taskType":"getResponse","taskUUID":"%s"}]' % id.encode()
    told = mock.answer(Call("POST", "http://m/v1", headers, ask), 60.0, 60.0).reply.body
    assert b'"data"' in told and b'"error":{' in told and b'"errors"' not in told


def test_a_scenario_of_the_user_comes_before_ours(tmp_path: Path) -> None:
    folder = tmp_path / "mocks" / "scenarios"
    folder.mkdir(parents=True)
    (folder / "calm.yaml").write_text("kind: scenario\nsays: a\ncareful: b\nwhy: c\nends: either\n")
    assert load_scenarios(tmp_path)["calm"].ends == "either"
    assert "lost-reply" in load_scenarios(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ends: perhaps\n", "own.yaml:5: /ends"),
        ("ends: either\nneed: [status]\n", "need"),
        ("ends: either\nfaults:\n  - {fault: rain}\n", "rain"),
        ("ends: either\nfaults:\n  - {fault: slow, with: {wetter: 2}}\n", "wetter"),
        ("ends: either\nfaults:\n  - {fault: slow, phase: before}\n", "only strike after"),
    ],
)
def test_a_mistake_in_a_scenario_is_told(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        made(tmp_path, text)


def test_a_name_that_is_nearly_right_gets_a_guess() -> None:
    with pytest.raises(UsageError, match="Did you mean lost-reply"):
        choose("lost-replay")
    assert [one.name for one in choose("failed, calm,failed")] == ["failed", "calm"]
