"""Hosts side by side: every difference that their pages contain, and nothing invented."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from contract_samples import Tree, contract
from wireproof.compare import Breaks, Comparison, Difference, Said, compare, document, render
from wireproof.errors import UsageError
from wireproof.model import Confidence, Cover, Finding, Run, Severity, Summary, Verdict
from wireproof.money import Money
from wireproof.rooms import shipped
from wireproof.spec.load import resolve

HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def edit_hosts() -> Comparison:
    return compare(resolve("p-image-edit", HERE))


def found(comparison: Comparison, *key: str) -> dict[str, str]:
    """What each host is said to say of one fact."""
    row = next(row for row in comparison.rows if (row.topic, row.subject, row.aspect) == key)
    return {cell.endpoint.partition("/")[0]: cell.shown for cell in row.cells}


def differing(comparison: Comparison) -> set[tuple[str, str, str]]:
    return {(d.row.topic, d.row.subject, d.row.aspect) for d in comparison.differences}


def one(comparison: Comparison, *key: str) -> Difference:
    return next(d for d in comparison.differences if (d.row.topic, d.row.subject, d.row.aspect) == key)


# ----------------------------------------------------------------------------- planted differences


def planted(protocol: Tree, binding: Tree) -> None:
    """Twenty changes, each of which a caller would notice."""
    parameters, problems = binding["parameters"], protocol["problems"]
    submit, status = protocol["operations"]["submit"], protocol["operations"]["status"]
    parameters["images"]["maxItems"] = 4
    parameters["prompt"]["maxLength"] = 500
    parameters["aspect_ratio"]["enum"] = ["1:1", "16:9", "4:3"]
    parameters["seed"]["default"] = 7
    parameters["unchecked"]["default"] = True
    parameters["width"]["minimum"] = 512
    parameters["description"] = {**parameters.pop("prompt")}
    del parameters["quality"]
    parameters["images"]["required"] = True
    binding["price"] = {**binding["price"], "unit": "credits", "terms": [{"amount": "2", "per": "request"}]}
    binding["outputs"]["format"] = {"fixed": "jpeg"}
    protocol["states"]["done"] = protocol["states"].pop("ready")
    protocol["moves"][1] = ["working", "done"]
    status["replies"]["progress"]["body"]["properties"]["picture"]["when"] = {"job.state": "done"}
    problems["out_of_credits"]["status"] = 406
    problems["moderated"] = {"kind": "moderated", "status": 451}
    protocol["retention"]["record"]["seconds"] = 600
    protocol["poll"]["every"]["seconds"] = 3
    protocol["limits"]["calls"]["most"] = 10
    submit["replies"]["accepted"]["status"] = 200
    properties = status["replies"]["progress"]["body"]["properties"]
    properties["link"] = properties.pop("picture")
    protocol["auth"]["header"] = "x-api-key"


PLANTED = {
    ("parameter", "images", "maxItems"),
    ("parameter", "prompt", "maxLength"),
    ("parameter", "aspect_ratio", "values"),
    ("parameter", "seed", "default"),
    ("parameter", "safety", "default"),
    ("parameter", "width", "minimum"),
    ("parameter", "prompt", "name"),
    ("parameter", "quality", "offered"),
    ("parameter", "images", "required"),
    ("price", "terms", "is"),
    ("output", "formats", "is"),
    ("state", "succeeded", "word"),
    ("problem", "out_of_credits", "status"),
    ("problem", "moderated", "offered"),
    ("retention", "record", "seconds"),
    ("polling", "every", "seconds"),
    ("limit", "calls", "is"),
    ("reply", "submit", "status"),
    ("reply", "status", "output.url"),
    ("access", "key", "is"),
}


def test_twenty_planted_differences_are_found_and_no_other(tmp_path: Path) -> None:
    comparison = compare([contract(tmp_path), contract(tmp_path, "bolt", planted)])
    assert len(PLANTED) == 20
    assert differing(comparison) == PLANTED


def test_two_hosts_that_say_the_same_do_not_differ(tmp_path: Path) -> None:
    comparison = compare([contract(tmp_path), contract(tmp_path, "bolt")])
    assert comparison.differences == ()
    assert "no differences" in render(comparison)


def test_differences_are_ranked_by_what_they_break(tmp_path: Path) -> None:
    comparison = compare([contract(tmp_path), contract(tmp_path, "bolt", planted)])
    ranks = [difference.breaks.rank for difference in comparison.differences]
    assert ranks == sorted(ranks, reverse=True)
    assert one(comparison, "parameter", "images", "maxItems").breaks is Breaks.REFUSED
    assert one(comparison, "parameter", "seed", "default").breaks is Breaks.CHANGED
    assert one(comparison, "state", "succeeded", "word").breaks is Breaks.HANDLED
    assert one(comparison, "parameter", "prompt", "name").breaks is Breaks.RENAMED
    assert one(comparison, "polling", "every", "seconds").breaks is Breaks.NOTED


def test_values_are_compared_in_the_models_words_and_not_in_the_hosts(tmp_path: Path) -> None:
    def turned_round(protocol: Tree, binding: Tree) -> None:
        """The same switch, said the other way round."""
        binding["parameters"]["unchecked"] = {
            "type": "boolean",
            "default": True,
            "is": {"safety": {"true": True, "false": False}},
        }

    assert compare([contract(tmp_path), contract(tmp_path, "bolt", turned_round)]).differences == ()


def test_a_placeholder_is_unknown_and_no_difference(tmp_path: Path) -> None:
    def unsaid(protocol: Tree, binding: Tree) -> None:
        protocol["retention"]["media"] = {"seconds": 60, "evidence": {"confidence": "unknown"}}
        del protocol["poll"]["deadline"]

    comparison = compare([contract(tmp_path), contract(tmp_path, "bolt", unsaid)])
    assert comparison.differences == ()
    assert found(comparison, "retention", "media", "seconds") == {"acme": "1 d", "bolt": "unknown"}
    assert {(row.topic, row.subject) for row in comparison.unknown} == {
        ("retention", "media"),
        ("polling", "deadline"),
    }


def test_a_lacking_parameter_breaks_requests_where_the_host_refuses_what_it_does_not_know(
    tmp_path: Path,
) -> None:
    def strict(protocol: Tree, binding: Tree) -> None:
        del binding["parameters"]["quality"]
        protocol["operations"]["submit"]["request"]["unknown_fields"] = "refused"

    comparison = compare([contract(tmp_path), contract(tmp_path, "bolt", strict)])
    difference = one(comparison, "parameter", "quality", "offered")
    assert (difference.breaks, "bolt refuses keys" in difference.says) == (Breaks.REFUSED, True)


def test_a_difference_is_as_sure_as_the_weakest_fact_it_rests_on(tmp_path: Path) -> None:
    def doubted(protocol: Tree, binding: Tree) -> None:
        binding["parameters"]["seed"] |= {"default": 7, "facts": {"default": {"confidence": "disputed"}}}

    comparison = compare([contract(tmp_path), contract(tmp_path, "bolt", doubted)])
    assert one(comparison, "parameter", "seed", "default").confidence is Confidence.DISPUTED


def test_every_cell_says_where_it_stands(tmp_path: Path) -> None:
    comparison = compare([contract(tmp_path), contract(tmp_path, "bolt", planted)])
    cells = [cell for row in comparison.rows for cell in row.cells if cell.said is Said.YES]
    assert cells and all(cell.where.file and cell.where.line for cell in cells)


@pytest.mark.parametrize(
    ("spec", "message"),
    [("segmind/p-image", "at least two hosts"), ("segmind", "one model is compared at a time")],
)
def test_what_cannot_be_compared_is_said_so(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare(resolve(spec, HERE))


# ------------------------------------------------------------------------------ p-image-edit, real


PAGES: dict[tuple[str, str, str], tuple[str, str, str]] = {
    # what Segmind, Runware and PixelDojo say
    ("parameter", "images", "maxItems"): ("none stated", "4", "5"),
    ("parameter", "safety", "default"): (
        "true (disable_safety_checker: false)",
        "false (safety.checkContent: false)",
        "false, decided by the host",
    ),
    ("parameter", "aspect_ratio", "values"): (
        "match_input_image, 1:1, 16:9, 9:16, 4:3, 3:4, 3:2, 2:3",
        "–",
        "1:1, 2:3, 3:2, 3:4, 4:3, 9:16, 16:9",
    ),
    ("output", "size", "is"): ("by aspect_ratio", "by width and height", "by aspect_ratio"),
    ("price", "terms", "is"): ("0.01 USD a job", "0.0088 USD a result", "0.25 credits a job"),
    ("parameter", "images", "name"): ("image_urls", "inputs.referenceImages", "images"),
    ("parameter", "prompt", "maxLength"): ("none stated", "2000", "none stated"),
    ("parameter", "seed", "offered"): ("seed", "no parameter: always random", "not offered"),
    ("parameter", "turbo", "offered"): ("not offered", "providerSettings.prunaai.turbo", "not offered"),
    ("state", "succeeded", "word"): ("COMPLETED", "success", "completed"),
    ("reply", "submit", "status"): ("200", "200", "202"),
    ("problem", "out_of_credits", "status"): ("406", "402", "402"),
    ("retention", "record", "seconds"): ("1 h", "unknown", "unknown"),
    ("operation", "run", "offered"): ("POST /v1/{model}", "POST /v1", "not offered"),
    ("job", "id made by", "is"): ("the host", "the caller", "the host"),
}


@pytest.mark.parametrize(("key", "said"), PAGES.items(), ids=" ".join)
def test_what_the_pages_of_p_image_edit_say_stands_side_by_side(
    edit_hosts: Comparison, key: tuple[str, str, str], said: tuple[str, str, str]
) -> None:
    assert found(edit_hosts, *key) == dict(zip(("segmind", "runware", "pixeldojo"), said, strict=True))


def test_what_only_one_page_leaves_open_is_listed_as_unknown_and_not_as_a_difference(
    edit_hosts: Comparison,
) -> None:
    assert ("retention", "record", "seconds") not in differing(edit_hosts)
    assert ("retention", "record") in {(row.topic, row.subject) for row in edit_hosts.unknown}


def test_prices_are_told_in_the_hosts_unit_and_normalised_only_with_a_rate(edit_hosts: Comparison) -> None:
    costs = {cost.endpoint.partition("/")[0]: cost for cost in edit_hosts.costs}
    assert str(costs["pixeldojo"].money) == "0.25 credits"
    assert str(costs["pixeldojo"].normalised) == "0.00625 USD"
    rate = costs["pixeldojo"].rate_evidence
    assert rate is not None and rate.confidence is Confidence.DISPUTED
    assert str(costs["runware"].normalised) == "0.0088 USD"
    euros = compare(resolve("p-image-edit", HERE), currency="EUR").costs
    assert [cost.normalised for cost in euros] == [None, None, None]


def test_a_stated_workload_is_priced_as_each_host_counts() -> None:
    costs = compare(resolve("p-image-edit", HERE), workload={"images": 2, "count": 3}).costs
    assert {c.endpoint.partition("/")[0]: str(c.money) for c in costs} == {
        "pixeldojo": "0.25 credits",
        "runware": "0.0264 USD",
        "segmind": "0.01 USD",
    }


def test_the_hosts_own_contradictions_and_broken_samples_are_told(edit_hosts: Comparison) -> None:
    told = {(note.endpoint, note.name) for note in edit_hosts.notes}
    hosts = resolve("p-image-edit", HERE)
    assert {(host.name, gap.name) for host in hosts for gap in (*host.gaps, *host.provider.gaps)} <= told
    assert {(host.name, f"sample-{sample.name}") for host in hosts for sample in host.examples if sample.breaks} <= told


# ---------------------------------------------------------------------------------------- measured


def checked(name: str, day: int, *findings: Finding, **summary: Any) -> Run:
    coverage = (Cover(kind="state", name="a", seen=True), Cover(kind="state", name="b"))
    verdict = Verdict(
        endpoint=name,
        findings=findings,
        coverage=coverage,
        summary=Summary(endpoint=name, calls=9, **summary),
    )
    return Run(
        id=f"r{day}",
        command="check",
        target="mock",
        seed=0,
        started=f"2026-01-0{day}T00:00:00Z",
        version="1",
        verdicts=(verdict,),
    )


LOAD: dict[str, Any] = {
    "id": "l1",
    "started": "2026-01-03T00:00:00Z",
    "target": "mock",
    "health": {"verdict": "valid"},
    "endpoints": {
        "segmind/p-image-edit": {
            "jobs": 200,
            "completion": {
                "p50": {"value": 7.51, "low": 7.4, "high": 7.62, "n": 200},
                "p95": {"value": None, "low": None, "high": None, "n": 200, "withheld": "too few jobs"},
            },
            "success_rate": {"value": 0.99, "low": 0.96, "high": 1.0, "n": 200},
            "money": [{"unit": "USD", "per_image": "0.0101"}],
        }
    },
}


def test_runs_add_what_was_measured_and_the_last_of_each_host_counts() -> None:
    bad = Finding(check="JOB002", severity=Severity.VIOLATION, endpoint="segmind/p-image-edit", says="x")
    runs = [
        checked("segmind/p-image-edit", 2, spent=Money(Decimal("0.04"), "USD"), jobs=4),
        checked("segmind/p-image-edit", 1, bad),
        checked("segmind/p-image", 3),
    ]
    comparison = compare(resolve("p-image-edit", HERE), runs, loads=[LOAD])
    (check,), (timed,) = comparison.checked, comparison.timed
    assert (check.run, check.verdict, check.violations, check.seen, check.facts) == (
        "r2",
        "conforms",
        0,
        1,
        2,
    )
    assert str(check.per_job) == "0.01 USD"
    assert timed.per_image == "0.0101 USD"
    said = render(comparison)
    assert "7.51 s (7.4 to 7.62)" in said
    assert "withheld: too few jobs" in said


def test_the_cost_of_a_job_is_unknown_while_any_jobs_cost_is() -> None:
    run = checked("segmind/p-image-edit", 1, spent=Money(Decimal("0.04"), "USD"), jobs=4, unknown_spend=1)
    (check,) = compare(resolve("p-image-edit", HERE), [run]).checked
    assert check.per_job is None


# ------------------------------------------------------------------------------------------- forms


def test_the_document_is_of_its_published_schema() -> None:
    schema = json.loads((shipped("specs") / "schema" / "comparison.schema.json").read_text(encoding="utf-8"))
    comparison = compare(resolve("p-image-edit", HERE), [checked("segmind/p-image-edit", 1)], loads=[LOAD])
    told = json.loads(render(comparison, "json"))
    assert [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(told)] == []
    assert told["differences"][0]["breaks"] == "refused"


def test_a_form_that_does_not_exist_is_refused(edit_hosts: Comparison) -> None:
    with pytest.raises(UsageError, match="text, md, html, json"):
        render(edit_hosts, "pdf")


class Page(HTMLParser):
    """The tags of a page, its ids and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.loads += [
            f"{tag} {named[name]}" for name in ("src", "href", "action") if not (named.get(name) or "#").startswith("#")
        ]


HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>|[x](javascript:alert(3))\u202e\x1b[31m"


def test_the_page_loads_nothing_runs_nothing_and_keeps_hostile_text_dead(tmp_path: Path) -> None:
    mean = contract(tmp_path, "bolt", planted)
    mean = replace(mean, slug=HOSTILE, title=HOSTILE)
    mean = replace(mean, provider=replace(mean.provider, auth=replace(mean.provider.auth, header=HOSTILE)))
    comparison = compare([contract(tmp_path), mean])
    text = render(comparison, "html")
    page = Page(text)
    assert not {"script", "img", "iframe", "form", "link"} & set(page.tags)
    assert page.loads == []
    assert len(page.ids) == len(set(page.ids))
    assert "default-src 'none'" in unescape(text)
    assert not {"\x1b", "\u202e"} & set(text + render(comparison, "md") + render(comparison, "text"))
    assert "<script>" not in render(comparison, "md")


def test_every_form_tells_the_three_reference_picture_limits(edit_hosts: Comparison) -> None:
    says = "5 at pixeldojo; 4 at runware; none stated at segmind"
    flat = " ".join(render(edit_hosts, "text").split())
    assert says in flat
    assert says in render(edit_hosts, "md")
    assert says in render(edit_hosts, "html")
    assert any(says in difference["says"] for difference in document(edit_hosts)["differences"])
