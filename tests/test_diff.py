"""Two versions of a contract, two runs: what changed, what it breaks, and nothing that did not change."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from contract_samples import Edit, Tree, contract
from wireproof.model import Call, Cover, Exchange, Finding, Reply, Run, Severity, Summary, Verdict
from wireproof.money import Money
from wireproof.spec.diff import Impact, diff, drift, exit_code, median
from wireproof.spec.load import load_all


def changed(tmp_path: Path, edit: Edit) -> list[tuple[str, str, str, Impact]]:
    old, new = contract(tmp_path / "old"), contract(tmp_path / "new", edit=edit)
    return [(c.topic, c.subject, c.aspect, c.impact) for c in diff(old, new)]


def at(*path: str | int, to: Any) -> Edit:
    """An edit: the value at a path of the protocol (`p`) or of the binding (`b`); None takes it away."""
    root, *inner, last = path

    def edit(protocol: Tree, binding: Tree) -> None:
        node: Any = protocol if root == "p" else binding
        for part in inner:
            node = node[part]
        if to is None:
            del node[last]
        else:
            node[last] = to

    return edit


B, C, S, N = Impact.BREAKING, Impact.CHANGED, Impact.COMPATIBLE, Impact.NOTED
REPLY = ("p", "operations", "status", "replies", "progress", "body", "properties")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (at("b", "parameters", "images", "maxItems", to=4), ("parameter", "images", "maxItems", B)),
        (at("b", "parameters", "images", "maxItems", to=6), ("parameter", "images", "maxItems", S)),
        (at("b", "parameters", "images", "maxItems", to=None), ("parameter", "images", "maxItems", S)),
        (at("b", "parameters", "seed", "maximum", to=9), ("parameter", "seed", "maximum", B)),
        (at("b", "parameters", "width", "minimum", to=512), ("parameter", "width", "minimum", B)),
        (at("b", "parameters", "width", "minimum", to=64), ("parameter", "width", "minimum", S)),
        (at("b", "parameters", "images", "required", to=True), ("parameter", "images", "required", B)),
        (at("b", "parameters", "prompt", "required", to=False), ("parameter", "prompt", "required", S)),
        (at("b", "parameters", "aspect_ratio", "enum", to=["1:1", "16:9"]), ("parameter", "aspect_ratio", "values", B)),
        (at("b", "parameters", "aspect_ratio", "enum", to=["1:1", "16:9", "9:16", "4:3"]),
         ("parameter", "aspect_ratio", "values", S)),
        (at("b", "parameters", "seed", "default", to=7), ("parameter", "seed", "default", C)),
        (at("b", "parameters", "seed", "type", to=["integer", "string"]), ("parameter", "seed", "type", S)),
        (at("b", "parameters", "quality", "multipleOf", to=5), ("parameter", "quality", "multipleOf", B)),
        (at("b", "parameters", "quality", to=None), ("parameter", "quality", "offered", B)),
        (at("b", "price", "terms", to=[{"amount": "0.02", "per": "request"}]), ("price", "terms", "is", C)),
        (at("b", "slug", to="sketch-2"), ("access", "slug", "is", B)),
        (at("p", "servers", "api", "url", to="https://v2.acme.test"), ("access", "server api", "is", B)),
        (at("p", "auth", "header", to="x-api-key"), ("access", "key", "is", B)),
        (at("p", "retention", "record", "seconds", to=600), ("retention", "record", "seconds", B)),
        (at("p", "retention", "record", "seconds", to=7200), ("retention", "record", "seconds", S)),
        (at("p", "poll", "every", "seconds", to=5), ("polling", "every", "seconds", C)),
        (at("p", "limits", "calls", "most", to=30), ("limit", "calls", "is", B)),
        (at("p", "limits", "calls", "most", to=90), ("limit", "calls", "is", S)),
        (at("p", "limits", to={}), ("limit", "calls", "is", S)),
        (at("p", "problems", "out_of_credits", "status", to=406), ("problem", "out_of_credits", "status", B)),
        (at("p", "problems", "invalid", "retry", to="later"), ("problem", "invalid", "retry", C)),
        (at("p", "problems", "moderated", to={"kind": "moderated", "status": 451}),
         ("problem", "moderated", "offered", C)),
        (at("p", "operations", "status", "request", "path", to="/tasks/{job.id}"),
         ("operation", "status", "address", B)),
        (at("p", "operations", "submit", "request", "unknown_fields", to="refused"),
         ("operation", "submit", "unknown fields", B)),
        (at("p", "operations", "submit", "replies", "accepted", "status", to=200), ("reply", "submit", "status", B)),
        (at(*REPLY, "picture", to=None), ("reply", "status", "output.url", B)),
        (at(*REPLY, "cost", to={"type": "number", "is": "job.cost"}), ("reply", "status", "job.cost", S)),
        (at("b", "rules", to=[{"name": "sides", "kind": "together", "parameters": ["width", "height"]}]),
         ("rule", "together: width, height", "holds", B)),
    ],
)  # fmt: skip
def test_one_change_is_told_once_with_what_it_does_to_clients(
    tmp_path: Path, edit: Edit, expected: tuple[str, str, str, Impact]
) -> None:
    assert changed(tmp_path, edit) == [expected]


def test_a_state_word_that_clients_do_not_know_breaks_them(tmp_path: Path) -> None:
    def renamed(protocol: Tree, binding: Tree) -> None:
        protocol["states"]["finished"] = protocol["states"].pop("ready")
        protocol["moves"][1] = ["working", "finished"]
        protocol["operations"]["status"]["replies"]["progress"]["body"]["properties"]["picture"]["when"] = {
            "job.state": "finished"
        }

    assert changed(tmp_path, renamed) == [("state", "succeeded", "word", B)]


def test_the_same_contract_has_not_changed(tmp_path: Path) -> None:
    assert changed(tmp_path, lambda protocol, binding: None) == []


def test_no_shipped_contract_differs_from_itself() -> None:
    assert [diff(endpoint, endpoint) for endpoint in load_all(Path(__file__).parents[1])] == [()] * 5


def test_a_fact_that_is_only_better_known_is_noted(tmp_path: Path) -> None:
    doubt = at("b", "parameters", "seed", "facts", to={"default": {"confidence": "disputed"}})
    assert changed(tmp_path, doubt) == [("parameter", "seed", "default", N)]


def test_a_placeholder_that_becomes_known_breaks_nobody(tmp_path: Path) -> None:
    unsaid = at("p", "retention", "record", to={"seconds": 60, "evidence": {"confidence": "unknown"}})
    old, new = contract(tmp_path / "old", edit=unsaid), contract(tmp_path / "new")
    (change,) = diff(old, new)
    assert (change.subject, change.impact, change.says) == ("record", N, "is known now")
    assert change.before == "unknown (placeholder 1 min)"


def test_breaking_changes_come_first_and_decide_the_exit_code(tmp_path: Path) -> None:
    def both(protocol: Tree, binding: Tree) -> None:
        binding["parameters"]["seed"]["default"] = 7
        binding["parameters"]["width"]["maximum"] = 1024

    old = contract(tmp_path / "old")
    changes = diff(old, contract(tmp_path / "new", edit=both))
    assert [change.impact for change in changes] == [B, C]
    assert exit_code(changes) == 1
    assert exit_code(changes[1:]) == 0
    assert exit_code(changes[1:], least=C) == 1
    assert (changes[0].before, changes[0].after) == ("1440", "1024")
    assert changes[0].new_where.file.endswith("specs/acme/sketch.yaml")
    assert changes[0].new_where.line > 1


# ------------------------------------------------------------------------------------------- drift


def finding(check: str, severity: Severity = Severity.VIOLATION) -> Finding:
    return Finding(check=check, severity=severity, endpoint="acme/sketch", says=f"{check} says so", subject="seed")


def run(day: int, *findings: Finding, took: float = 0.1, calls: int = 0, **summary: Any) -> Run:
    call = Call("GET", "https://api.acme.test/jobs/1")
    exchanges = tuple(
        Exchange(seq=n, call=call, reply=Reply(200), took=took + n / 1000, operation="status")
        for n in range(1, calls + 1)
    )
    coverage = (Cover(kind="state", name="ready", seen=day < 3, why_not="" if day < 3 else "never came"),)
    verdict = Verdict(
        endpoint="acme/sketch",
        findings=findings,
        coverage=coverage,
        summary=Summary(endpoint="acme/sketch", **summary),
    )
    return Run(id=str(day), command="check", target="mock", seed=0, started=f"2026-01-0{day}T00:00:00Z", version="1",
               verdicts=(verdict,), exchanges=exchanges)  # fmt: skip


def test_findings_that_appear_are_worse_and_those_that_go_are_not() -> None:
    shifts = drift([run(2, finding("JOB002")), run(1, finding("OUT004"))])
    assert [(s.subject, s.says, s.worse) for s in shifts] == [
        ("JOB002 seed", "a violation appeared", True),
        ("OUT004 seed", "a violation is gone", False),
    ]


def test_a_question_that_appears_is_told_and_is_not_worse() -> None:
    (shift,) = drift([run(1), run(2, finding("JOB009", Severity.QUESTION))])
    assert not shift.worse


def test_a_state_that_is_not_seen_any_more_is_told() -> None:
    (shift,) = drift([run(1), run(3)])
    assert (shift.kind, shift.subject, shift.after, shift.worse) == (
        "state",
        "state ready",
        "never came",
        True,
    )


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ({"spent": Money(Decimal("0.02"), "USD"), "jobs": 2}, {"spent": Money(Decimal("0.06"), "USD"), "jobs": 3},
         ["a job costs more"]),
        ({"spent": Money(Decimal("0.02"), "USD"), "jobs": 2}, {"spent": Money(Decimal("0.03"), "USD"), "jobs": 3}, []),
        ({"spent": Money(Decimal("0.02"), "USD"), "jobs": 2}, {"spent": Money(Decimal(9), "credits"), "jobs": 3}, []),
        ({"spent": Money(Decimal("0.02"), "USD"), "jobs": 2},
         {"spent": Money(Decimal("0.06"), "USD"), "jobs": 3, "unknown_spend": 1}, []),
    ],
)  # fmt: skip
def test_cost_per_job_drifts_only_where_it_is_known_in_one_unit(
    first: dict[str, Any], last: dict[str, Any], expected: list[str]
) -> None:
    assert [shift.says for shift in drift([run(1, **first), run(2, **last)])] == expected


def test_latency_drifts_when_the_intervals_of_the_medians_part() -> None:
    (shift,) = drift([run(1, took=0.1, calls=20), run(2, took=0.3, calls=20)])
    assert (shift.kind, shift.subject, shift.says, shift.worse) == (
        "latency",
        "status",
        "calls take longer",
        True,
    )


@pytest.mark.parametrize(("took", "calls"), [(0.105, 20), (0.3, 5)])
def test_latency_that_chance_explains_or_that_was_seen_too_seldom_is_not_drift(took: float, calls: int) -> None:
    assert drift([run(1, took=0.1, calls=calls), run(2, took=took, calls=calls)]) == ()


def test_one_run_alone_drifts_from_nothing() -> None:
    assert drift([run(1, finding("JOB002"))]) == ()


def test_the_interval_of_a_median_holds_the_order_statistics_of_the_binomial_law() -> None:
    assert median(range(5)) is None
    assert median([float(n) for n in range(1, 11)]) == (5.5, 2.0, 9.0)
