"""Lint says what is wrong with a contract and what the host's own pages leave open, and sends nothing.

`tests/data/lint.txt` holds every finding about the shipped contracts, to be read by a person. After a change
that is meant, write it anew: `python tests/test_spec_lint.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from wireproof.errors import UsageError
from wireproof.lifecycle import Status
from wireproof.model import (
    NOWHERE,
    Confidence,
    Endpoint,
    Evidence,
    Finding,
    Move,
    Place,
    Provocation,
    Severity,
    Shape,
    State,
    Term,
)
from wireproof.spec.lint import brief, catalogue, explain, lint
from wireproof.spec.linting.facts import field_name
from wireproof.spec.linting.samples import computed, due, misfits
from wireproof.spec.load import load_all
from wireproof.spec.values import effective

DAY = date(2026, 11, 21)
SNAPSHOT = Path(__file__).parent / "data" / "lint.txt"
SHIPPED = {endpoint.name: endpoint for endpoint in load_all()}


def room(finding: Finding) -> str:
    """The file as it stands in the room, wherever the tests are started from."""
    return finding.where.file[finding.where.file.index("specs/") :]


def report(findings: tuple[Finding, ...]) -> str:
    """One line for each finding: pointers instead of line numbers, so that only what matters can change."""
    lines = [
        f"{room(f)} {f.where.pointer or '/'}\n    {f.check} {f.severity}, {f.endpoint}: {f.says}"
        + (f"\n    {f.actual}" if f.check == "LINT004" else "")
        for f in findings
    ]
    return "\n".join(lines) + "\n"


def test_the_findings_about_the_shipped_contracts_are_those_that_were_reviewed() -> None:
    told = report(lint(list(SHIPPED.values()), DAY))
    assert told == SNAPSHOT.read_text("utf-8"), "review the change, then run: python tests/test_spec_lint.py"


def test_the_shipped_contracts_have_no_mistakes() -> None:
    assert [brief(f) for f in lint(list(SHIPPED.values()), DAY) if f.severity is Severity.VIOLATION] == []


# What the five seed pages contradict or leave open, row by row of the catalogue of defects.
ROWS = [
    ("D-01", "LINT001", "segmind/protocol.yaml", "/operations/status/replies/failed"),
    ("D-02", "LINT002", "segmind/protocol.yaml", "/problems/unknown_model"),
    ("D-03", "LINT003", "segmind/protocol.yaml", "/problems/out_of_credits"),
    ("D-04", "LINT004", "segmind/p-image.yaml", "/operations/run/replies/picture"),
    ("D-05", "LINT005", "segmind/p-image.yaml", "/examples/neon-sign"),
    ("D-06", "LINT008", "segmind/p-image-edit.yaml", "/parameters/seed/default"),
    ("D-06", "LINT008", "segmind/p-image.yaml", "/parameters/seed/default"),
    ("D-07", "LINT009", "segmind/p-image-edit.yaml", "/parameters/seed/maximum"),
    ("D-07", "LINT009", "segmind/p-image.yaml", "/parameters/seed/maximum"),
    ("D-08", "LINT004", "segmind/p-image-try-on.yaml", "/parameters/seed/type"),
    ("D-08", "LINT004", "segmind/p-image-try-on.yaml", "/parameters/output_quality/type"),
    ("D-08", "LINT006", "segmind/p-image-try-on.yaml", "/examples/one-garment"),
    ("D-09", "LINT010", "segmind/p-image-try-on.yaml", "/parameters/output_format/enum"),
    ("D-09", "LINT010", "segmind/p-image-try-on.yaml", "/parameters/output_quality/minimum"),
    ("D-09", "LINT010", "segmind/p-image-try-on.yaml", "/parameters/garment_images/maxItems"),
    ("D-10", "LINT011", "segmind/p-image-try-on.yaml", "/gaps/error-table-cut"),
    ("D-11", "LINT012", "segmind/protocol.yaml", "/operations/run"),
    ("D-12", "LINT007", "runware/p-image-edit.yaml", "/examples/piano-atrium"),
    ("D-13", "LINT013", "runware/protocol.yaml", "/parameters/outputFormat/enum"),
    ("D-14", "LINT014", "runware/protocol.yaml", "/parameters/safety.mode/enum"),
    ("D-14", "LINT004", "runware/protocol.yaml", "/parameters/safety.mode/default"),
    ("D-15", "LINT014", "runware/protocol.yaml", "/parameters/outputType/enum"),
    ("D-15", "LINT014", "runware/protocol.yaml", "/parameters/deliveryMethod/enum"),
    ("D-16", "LINT014", "runware/p-image-edit.yaml", "/parameters/width"),
    ("D-16", "LINT014", "runware/p-image-edit.yaml", "/parameters/height"),
    ("D-17", "LINT018", "runware/p-image-edit.yaml", "/gaps/number-results-seed"),
    ("D-18", "LINT006", "pixeldojo/p-image-edit.yaml", "/examples/landscape-curl"),
    ("D-19", "LINT019", "pixeldojo/protocol.yaml", "/states/failed"),
    ("D-19", "LINT020", "pixeldojo/protocol.yaml", "/problems/invalid"),
    ("D-19", "LINT004", "pixeldojo/protocol.yaml", "/retention/media"),
    ("D-20", "LINT018", "pixeldojo/protocol.yaml", "/gaps/expires-at"),
    ("D-21", "LINT201", "models/p-image-edit.yaml", "/parameters/images"),
    ("D-22", "LINT202", "models/p-image-edit.yaml", "/parameters/safety"),
    ("D-22", "LINT203", "models/p-image-edit.yaml", "/parameters/aspect_ratio"),
]


@pytest.mark.parametrize(("row", "rule", "file", "pointer"), ROWS)
def test_what_the_seed_pages_contradict_is_found(row: str, rule: str, file: str, pointer: str) -> None:
    places = {(f.check, room(f), f.where.pointer) for f in lint(list(SHIPPED.values()))}
    assert (rule, f"specs/{file}", pointer) in places, row


def test_every_row_of_the_catalogue_has_a_finding() -> None:
    assert {row for row, *_ in ROWS} == {f"D-{number:02}" for number in range(1, 23)}


def test_every_finding_stands_on_the_line_of_its_pointer() -> None:
    """The last name of the pointer, or what a nameless place begins with, is on the line."""
    for finding in lint(list(SHIPPED.values()), DAY):
        line = Path(finding.where.file).read_text("utf-8").splitlines()[finding.where.line - 1]
        name = finding.where.pointer.rpartition("/")[2]
        assert line.lstrip().startswith("- ") if name.isdigit() else f"{name}:" in line, brief(finding)


def test_no_finding_is_told_twice() -> None:
    findings = lint(list(SHIPPED.values()), DAY)
    assert len({f.key for f in findings}) == len(findings)
    assert len({(f.check, f.where, f.says) for f in findings}) == len(findings)


def test_what_a_host_says_for_all_its_endpoints_is_told_once_and_under_its_name() -> None:
    told = [f for f in lint(list(SHIPPED.values())) if f.check == "LINT003"]
    assert [f.endpoint for f in told] == ["segmind"]


def test_the_order_of_the_endpoints_changes_nothing() -> None:
    endpoints = list(SHIPPED.values())
    assert {brief(f) for f in lint(endpoints)} == {brief(f) for f in lint(endpoints[::-1])}


def test_one_host_alone_is_not_compared() -> None:
    alone = lint([SHIPPED["segmind/p-image"], SHIPPED["segmind/p-image-edit"]])
    assert not [f for f in alone if f.check.startswith("LINT2")]


def test_a_contract_without_a_file_is_judged_all_the_same() -> None:
    endpoint = SHIPPED["segmind/p-image"]
    found = lint([replace(endpoint, where=replace(NOWHERE, file="made-in-memory.yaml"))], DAY)
    assert "LINT005" in {f.check for f in found}


def test_the_line_for_a_person_has_place_rule_and_kind() -> None:
    told = next(f for f in lint([SHIPPED["segmind/p-image"]]) if f.check == "LINT009")
    assert brief(told) == (
        f"{told.where}: LINT009 question: seed goes up to 999999999999999, beyond 2^31 and 2^32: "
        "cut or rounded on its way?"
    )


# --------------------------------------------------------------------------------- broken contracts

SEGMIND, RUNWARE, PIXELDOJO = "segmind/p-image", "runware/p-image-edit", "pixeldojo/p-image-edit"


def host(endpoint: Endpoint, **changes: Any) -> Endpoint:
    return replace(endpoint, provider=replace(endpoint.provider, **changes))


def parameter(endpoint: Endpoint, name: str, schema: Mapping[str, Any] | None = None, **changes: Any) -> Endpoint:
    old = endpoint.parameters[name]
    new = replace(old, schema={**old.schema, **(schema or {})}, **changes)
    return replace(endpoint, parameters={**endpoint.parameters, name: new})


def operation(endpoint: Endpoint, name: str, **changes: Any) -> Endpoint:
    changed = replace(endpoint.operations[name], **changes)
    return replace(endpoint, operations={**endpoint.operations, name: changed})


def problem(endpoint: Endpoint, name: str, **changes: Any) -> Endpoint:
    changed = replace(endpoint.provider.problems[name], **changes)
    return host(endpoint, problems={**endpoint.provider.problems, name: changed})


def example(endpoint: Endpoint, index: int, **changes: Any) -> Endpoint:
    examples = list(endpoint.examples)
    examples[index] = replace(examples[index], **changes)
    return replace(endpoint, examples=tuple(examples))


def without_moves_to(endpoint: Endpoint, word: str) -> Endpoint:
    return host(endpoint, moves=tuple(move for move in endpoint.provider.moves if move.after != word))


def with_state(endpoint: Endpoint, word: str, status: Status) -> Endpoint:
    states = {**endpoint.provider.states, word: State(word, status, evidence=Evidence("page"))}
    return host(endpoint, states=states)


def twin_reply(endpoint: Endpoint) -> Endpoint:
    """The second reply of `status` becomes a copy of the first under another name."""
    first = endpoint.operations["status"].alternatives[0]
    return operation(endpoint, "status", alternatives=(first, replace(first, name="twin")))


def bad_rows(endpoint: Endpoint) -> Endpoint:
    rules = [replace(rule, rows=((1024, 1025),)) if rule.rows else rule for rule in endpoint.rules]
    return replace(endpoint, rules=tuple(rules))


def per_item(endpoint: Endpoint) -> Endpoint:
    assert endpoint.price
    return replace(endpoint, price=replace(endpoint.price, terms=(Term(Decimal(1), "item", of="prompt"),)))


def refused_provocation(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, provocations=(Provocation(Status.FAILED, {"aspect_ratio": "17:9"}),))


def odd_format(endpoint: Endpoint) -> Endpoint:
    form = replace(endpoint.outputs.format, values={"JPG": "jpeg", "PNG": "png"})
    return replace(endpoint, outputs=replace(endpoint.outputs, format=form))


def key_in_path(endpoint: Endpoint) -> Endpoint:
    request = endpoint.operations["status"].request
    return operation(endpoint, "status", request=replace(request, path=f"{request.path}?api_key={{account.key}}"))


def reply_without(endpoint: Endpoint, name: str) -> Endpoint:
    reply = {key: value for key, value in endpoint.examples[0].reply.items() if key != name}
    return example(endpoint, 0, reply=reply)


MISTAKES: list[tuple[str, str, Callable[[Endpoint], Endpoint], str]] = [
    ("no move leads to FAILED", SEGMIND, lambda e: without_moves_to(e, "FAILED"), "LINT101"),
    ("no state is initial", RUNWARE, lambda e: with_state(e, "processing", Status.RUNNING), "LINT101"),
    (
        "PROCESSING leads nowhere",
        SEGMIND,
        lambda e: host(e, moves=tuple(m for m in e.provider.moves if m.before != "PROCESSING")),
        "LINT102",
    ),
    (
        "a finished job runs again",
        SEGMIND,
        lambda e: host(e, moves=(*e.provider.moves, Move("COMPLETED", "PROCESSING"))),
        "LINT103",
    ),
    ("no reply has the word", SEGMIND, lambda e: with_state(e, "CANCELED", Status.CANCELED), "LINT104"),
    ("a surface is no state", SEGMIND, lambda e: host(e, surfaces={Status.MODERATED: "BLOCKED"}), "LINT104"),
    (
        "a problem is in no list",
        PIXELDOJO,
        lambda e: host(
            e, problems={**e.provider.problems, "gone": replace(e.provider.problems["invalid"], name="gone")}
        ),
        "LINT105",
    ),
    ("two replies are one", SEGMIND, twin_reply, "LINT106"),
    ("a problem has no body", SEGMIND, lambda e: problem(e, "invalid", shape=None), "LINT107"),
    ("a price counts a text", SEGMIND, per_item, "LINT108"),
    (
        "a price says nothing of success",
        SEGMIND,
        lambda e: replace(e, price=replace(e.price, billed={})),
        "LINT108",
    ),
    ("no key is refused", SEGMIND, lambda e: operation(e, "submit", problems=("invalid",)), "LINT109"),
    ("the key is in the path", SEGMIND, key_in_path, "LINT110"),
    ("a sample reply lacks a field", PIXELDOJO, lambda e: reply_without(e, "jobId"), "LINT111"),
    (
        "a sample reply is in another state",
        PIXELDOJO,
        lambda e: example(e, 0, reply={**e.examples[0].reply, "status": "completed"}),
        "LINT111",
    ),
    ("a sample reply is of nothing", PIXELDOJO, lambda e: example(e, 0, alternative="taken"), "LINT111"),
    ("a broken sample is marked as sound", PIXELDOJO, lambda e: example(e, 0, breaks=()), "LINT112"),
    ("a sound sample is marked as broken", SEGMIND, lambda e: example(e, 0, breaks=("prompt",)), "LINT112"),
    (
        "a default is not allowed",
        SEGMIND,
        lambda e: parameter(e, "aspect_ratio", {"default": "17:9"}),
        "LINT113",
    ),
    ("a random value is not allowed", SEGMIND, lambda e: parameter(e, "seed", random=-2), "LINT113"),
    ("a row is not allowed", RUNWARE, bad_rows, "LINT114"),
    ("a provocation is refused", SEGMIND, refused_provocation, "LINT115"),
    (
        "a condition names no value",
        SEGMIND,
        lambda e: parameter(e, "width", matters={"aspect_ratio": "costum"}),
        "LINT116",
    ),
    ("a format has no name", RUNWARE, odd_format, "LINT117"),
    ("a fact has no source", SEGMIND, lambda e: parameter(e, "prompt", evidence=Evidence()), "LINT118"),
    (
        "a dispute has one side",
        SEGMIND,
        lambda e: parameter(e, "prompt", evidence=Evidence("page", confidence=Confidence.DISPUTED)),
        "LINT118",
    ),
]


@pytest.mark.parametrize(("what", "name", "spoil", "rule"), MISTAKES)
def test_a_mistake_in_a_contract_is_found(
    what: str, name: str, spoil: Callable[[Endpoint], Endpoint], rule: str
) -> None:
    sound = SHIPPED[name]
    new = {f.key for f in lint([spoil(sound)])} - {f.key for f in lint([sound])}
    assert rule in {key.partition(":")[0] for key in new}, what


def kept(endpoint: Endpoint, **facts: Evidence) -> Endpoint:
    return parameter(endpoint, "prompt", facts=facts)


def endless_width(endpoint: Endpoint) -> Endpoint:
    width = replace(endpoint.parameters["width"], schema={"type": "integer"})
    return replace(endpoint, parameters={**endpoint.parameters, "width": width})


OPEN: list[tuple[str, str, Callable[[Endpoint], Endpoint], str]] = [
    (
        "prose",
        SEGMIND,
        lambda e: kept(e, type=Evidence("page", place=Place.PROSE)),
        "LINT010:segmind/p-image:prompt.type",
    ),
    (
        "a sibling",
        SEGMIND,
        lambda e: kept(e, type=Evidence("page", place=Place.SIBLING)),
        "LINT011:segmind/p-image:prompt.type",
    ),
    (
        "a sample",
        SEGMIND,
        lambda e: kept(e, type=Evidence("page", confidence=Confidence.SAMPLE)),
        "LINT016:segmind/p-image:prompt.type",
    ),
    (
        "nobody",
        SEGMIND,
        lambda e: kept(e, type=Evidence("page", confidence=Confidence.UNKNOWN)),
        "LINT017:segmind/p-image:prompt.type",
    ),
    (
        "a client",
        SEGMIND,
        lambda e: kept(e, type=Evidence("sdk", confidence=Confidence.SDK)),
        "LINT015:segmind/p-image:prompt.type",
    ),
    (
        "a question",
        SEGMIND,
        lambda e: kept(e, type=Evidence("page", note="Is it?")),
        "LINT025:segmind/p-image:prompt.type",
    ),
    (
        "an ignored field",
        RUNWARE,
        lambda e: parameter(e, "outputQuality", matters={"outputFormat": "JPG"}, otherwise="unknown"),
        "LINT022:runware:outputQuality.otherwise",
    ),
    (
        "2^53",
        SEGMIND,
        lambda e: parameter(e, "width", {"maximum": 2**53 + 1}),
        "LINT009:segmind/p-image:width.maximum",
    ),
    (
        "a page that is silent about limits and faults",
        SEGMIND,
        lambda e: operation(e, "submit", problems=("no_key", "bad_key", "invalid")),
        "LINT026:segmind:errors:submit",
    ),
    (
        "an endless width",
        SEGMIND,
        endless_width,
        "LINT021:segmind/p-image:width.maximum",
    ),
]


@pytest.mark.parametrize(("what", "name", "spoil", "key"), OPEN)
def test_a_fact_that_does_not_stand_firm_is_told(
    what: str, name: str, spoil: Callable[[Endpoint], Endpoint], key: str
) -> None:
    sound = SHIPPED[name]
    assert key not in {f.key for f in lint([sound])}, what
    assert key in {f.key for f in lint([spoil(sound)])}, what


def test_a_contradiction_that_is_mended_is_told_no_more() -> None:
    endpoint = SHIPPED["segmind/p-image"]
    sample = {**endpoint.examples[0].parameters, "aspect_ratio": "custom"}
    mended = host(
        problem(
            example(parameter(endpoint, "seed", {"default": -1}), 0, parameters=sample, breaks=()),
            "out_of_credits",
            statuses=(402,),
        ),
        listed=(*endpoint.provider.listed, 402, 405, 422),
    )
    told = {f.check for f in lint([mended])}
    assert not told & {"LINT001", "LINT003", "LINT005", "LINT008", "LINT112"}


def test_a_code_in_the_body_tells_two_meanings_apart() -> None:
    endpoint = SHIPPED["segmind/p-image"]
    coded = problem(problem(endpoint, "unknown_model", code="no_model"), "unknown_job", code="no_job")
    assert "LINT002" not in {f.check for f in lint([coded])}


def test_hosts_that_agree_are_not_compared() -> None:
    segmind, pixeldojo = SHIPPED["segmind/p-image-edit"], SHIPPED["pixeldojo/p-image-edit"]
    checked = replace(pixeldojo, fixed={"safety": True})  # decided there as it is by default at Segmind
    assert "safety.defaults" in {f.subject for f in lint([segmind, pixeldojo])}
    assert "safety.defaults" not in {f.subject for f in lint([segmind, checked])}


# ------------------------------------------------------------------------------------------ samples


def test_what_a_sample_breaks_is_worked_out_and_not_believed() -> None:
    for endpoint in SHIPPED.values():
        for one in endpoint.examples:
            assert computed(endpoint, replace(one, breaks=())) == set(one.breaks), (endpoint.name, one.name)


def test_a_cost_that_was_asked_for_is_not_unasked() -> None:
    endpoint = SHIPPED[RUNWARE]
    asked = replace(endpoint.examples[0], parameters={**endpoint.examples[0].parameters, "includeCost": True})
    assert [m.place for m in misfits(endpoint, endpoint.examples[0])] == ["data[].cost"]
    assert misfits(endpoint, asked) == []


def test_a_sample_reply_is_held_against_its_shape_place_by_place() -> None:
    endpoint = SHIPPED[PIXELDOJO]
    wrong = {**endpoint.examples[1].reply, "creditCost": "free", "output": {"images": ["not an address"]}}
    told = misfits(endpoint, replace(endpoint.examples[1], reply=wrong))
    assert [m.place for m in told] == ["output.images[]", "creditCost"]


def test_a_shape_with_branches_takes_what_one_of_them_takes() -> None:
    endpoint = SHIPPED[PIXELDOJO]
    named = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    shape = Shape({"anyOf": [named, {"type": "array"}]})
    taken = replace(endpoint.operations["submit"].alternatives[0], shape=shape, states=())
    changed = operation(endpoint, "submit", alternatives=(taken,))
    verdicts = [misfits(changed, replace(endpoint.examples[0], reply=reply)) for reply in ({"id": "a"}, [], {"id": 1})]
    assert [bool(verdict) for verdict in verdicts] == [False, False, True]


@pytest.mark.parametrize(
    ("condition", "there"),
    [
        ({}, True),
        ({"includeCost": True}, False),
        ({"job.state": "success"}, None),
        ({"job.state": "success", "includeCost": True}, False),
        ({"outputType": ["URL", "dataURI"]}, True),
    ],
)
def test_a_place_is_due_by_its_condition(condition: dict[str, Any], there: bool | None) -> None:
    assert due(condition, effective(SHIPPED[RUNWARE], {})) is there


@pytest.mark.parametrize(
    ("pointer", "name"),
    [
        ("", ""),
        ("/properties/data/items/properties/cost", "data[].cost"),
        ("/properties/items/items", "items[]"),
        ("/anyOf/0/properties/error", "0.error"),
    ],
)
def test_a_field_is_named_as_a_reader_of_bodies_names_it(pointer: str, name: str) -> None:
    assert field_name(pointer) == name


# -------------------------------------------------------------------------------------------- dates


def test_without_a_day_no_source_is_old() -> None:
    assert "LINT119" not in {f.check for f in lint(list(SHIPPED.values()))}


@pytest.mark.parametrize(
    ("day", "old"),
    [
        (date(2026, 11, 20), set()),
        (date(2026, 11, 21), {"source:price-list"}),
        (date(2026, 10, 31), {"source:page"}),  # read on a day that has not come
    ],
)
def test_a_source_is_old_after_ninety_days(day: date, old: set[str]) -> None:
    told = {f.subject for f in lint([SHIPPED["segmind/p-image"]], day) if f.check == "LINT119"}
    assert told >= old and ("source:price-list" in told) is ("source:price-list" in old)


# ------------------------------------------------------------------------------------------ the rules


def test_every_rule_can_be_heard() -> None:
    heard = {f.check for f in lint(list(SHIPPED.values()), DAY)} | {rule for *_, rule in MISTAKES}
    heard |= {key.partition(":")[0] for *_, key in OPEN}
    assert heard == {rule.id for rule in catalogue()}


@pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.id)
def test_every_rule_has_a_page_with_a_promise_a_consequence_and_an_example(rule: Any) -> None:
    promise, consequence = rule.page.split("\n\n", 1)
    assert promise.endswith(".") and len(promise.splitlines()) == 1
    assert "Example: " in consequence.replace("\n", " ")
    assert explain(rule.id).startswith(f"{rule.id} ({rule.severity}): {rule.name}\n\n{promise}")


def test_mistakes_of_ours_are_violations_and_doubts_about_pages_are_questions() -> None:
    grave = {rule.id for rule in catalogue() if rule.severity is Severity.VIOLATION}
    assert grave == {rule.id for rule in catalogue() if rule.id.startswith("LINT1")} - {"LINT119"}


def test_a_rule_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean LINT0"):
        explain("lint0042")


if __name__ == "__main__":
    SNAPSHOT.write_text(report(lint(list(SHIPPED.values()), DAY)), "utf-8")
