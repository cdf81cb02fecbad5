"""Contracts that somebody else writes: what they may say is believed, served, read and tried like the shipped ones."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_samples import Tree, contract
from wireproof.conform import conform, embedded
from wireproof.errors import ContractError
from wireproof.export import body_schema
from wireproof.generate import cases, strategies
from wireproof.mock.engine import Mock
from wireproof.model import Confidence, Endpoint, Reply, Severity, Shape
from wireproof.spec.numbers import Numbers, numbers, written
from wireproof.wire import bodies, requests
from wireproof.wire.bodies import MISSING

# ---------------------------------------------------------------------------------- unknown fields


def refusing(protocol: Tree, _: Tree) -> None:
    request = protocol["operations"]["submit"]["request"]
    request["unknown_fields"] = "refused"
    del request["unknown_evidence"]


def test_a_refusal_of_unknown_fields_is_believed_as_the_file_is(tmp_path: Path) -> None:
    submit = contract(tmp_path, edit=refusing).operations["submit"].request
    assert (submit.unknown_evidence.source, submit.unknown_evidence.confidence) == ("page", Confidence.DOCUMENTED)


def test_what_nobody_says_of_unknown_fields_is_believed_by_nobody(tmp_path: Path) -> None:
    status = contract(tmp_path, edit=refusing).operations["status"].request
    assert (status.unknown_fields, status.unknown_evidence.confidence) == ("unknown", Confidence.UNKNOWN)


def test_a_documented_refusal_of_unknown_fields_is_kept_by_the_mock(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=refusing)
    reply = asked(endpoint, "submit", prompt="a", wireproof_unknown=True)
    assert reply.status == 400


def test_a_host_that_takes_what_it_says_it_refuses_is_a_violation(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=refusing)
    kind = replace(endpoint.operations["submit"].request, unknown_fields="ignored")
    lenient = {**endpoint.operations, "submit": replace(endpoint.operations["submit"], request=kind)}
    verdict, _ = conform(endpoint, embedded(replace(endpoint, operations=lenient)))
    heard = [f for f in verdict.findings if f.check == "REQ001" and "unknown" in f.subject]
    assert [f.severity for f in heard] == [Severity.VIOLATION]


# ---------------------------------------------------------------------------------------- accounts


def with_account(protocol: Tree, _: Tree) -> None:
    body = {
        "type": "object",
        "required": ["left"],
        "properties": {"left": {"type": "number", "is": "account.balance"}},
    }
    protocol["operations"]["left"] = {
        "does": "account",
        "request": {"method": "GET", "path": "/account"},
        "replies": {"left": {"status": 200, "means": "other", "body": body}},
        "problems": ["no_key", "rate_limited"],
    }


def asked(endpoint: Endpoint, operation: str, mock: Mock | None = None, **values: Any) -> Reply:
    """What a mock answers to an operation, with a good key."""
    mock = mock or Mock([endpoint])
    key = mock.key(endpoint.provider.name)
    call = requests.build(endpoint, endpoint.operations[operation], "http://m", values=values, key=key)
    return mock.answer(call, 0.0, 0.0).reply


def test_an_account_is_told_what_is_left_on_it(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=with_account)
    mock = Mock([endpoint])
    assert json.loads(asked(endpoint, "left", mock).body) == {"left": 1000}
    asked(endpoint, "submit", mock, prompt="a lighthouse")
    assert json.loads(asked(endpoint, "left", mock).body) == {"left": 999.99}


def test_a_mock_of_an_account_has_nothing_to_hide_from_our_own_check(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=with_account)
    verdict, _ = conform(endpoint, embedded(endpoint))
    assert [f.key for f in verdict.findings if f.severity is Severity.VIOLATION] == []


# ------------------------------------------------------------------------------------ alternatives

DETAIL: Tree = {
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {
            "anyOf": [
                {"type": "string", "is": "problem.message"},
                {
                    "type": "array",
                    "each": "problem",
                    "items": {
                        "type": "object",
                        "required": ["msg", "type"],
                        "properties": {
                            "msg": {"type": "string", "is": "problem.message"},
                            "type": {"type": "string", "is": "problem.code"},
                        },
                    },
                },
            ]
        }
    },
}


def with_details(protocol: Tree, _: Tree) -> None:
    """Errors as a text, or as a list of what is wrong, as many frameworks write them."""
    protocol["shapes"]["error"] = DETAIL
    protocol["problems"]["invalid"] |= {"status": 422, "code": "value_error", "message": "{parameter}: {reason}"}
    blocked = {"kind": "moderated", "status": 422, "body": "error", "message": "Blocked", "retry": "never"}
    protocol["problems"]["blocked"] = blocked
    protocol["operations"]["submit"]["problems"].append("blocked")


def test_the_mock_takes_the_alternative_that_tells_the_most(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=with_details)
    told = json.loads(asked(endpoint, "submit", prompt="a", width=1).body)["detail"]
    assert [item["type"] for item in told] == ["value_error"]
    assert told[0]["msg"].startswith("width: ")


def test_the_mock_takes_no_alternative_that_it_cannot_fill(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=with_details)
    call = requests.build(endpoint, endpoint.operations["submit"], "http://m", values={"prompt": "a"})
    told = json.loads(Mock([endpoint]).answer(call, 0.0, 0.0).reply.body)["detail"]
    assert isinstance(told, str) and told != "sample"


def test_what_an_alternative_tells_is_met_and_read(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=with_details)
    verdict, _ = conform(endpoint, embedded(endpoint))
    assert {cover.name for cover in verdict.coverage if cover.kind == "problem" and cover.seen} >= {"invalid"}
    assert [f.key for f in verdict.findings if f.severity is Severity.VIOLATION] == []


@pytest.mark.parametrize(
    ("detail", "found"),
    [
        ("no", {"problem.message": "no"}),
        ([{"msg": "no", "type": "x"}], {"problem.message": "no", "problem.code": "x"}),
        ([{"msg": "no"}], {}),
        ([], {}),
    ],
)
def test_an_alternative_is_read_by_the_form_that_the_body_has(detail: Any, found: Tree) -> None:
    assert {f.name: f.value for f in bodies.collect(Shape(DETAIL), {"detail": detail})} == found


def test_the_names_of_a_shape_are_those_of_its_alternatives_too() -> None:
    assert bodies.names(Shape(DETAIL)) == {"problem.message", "problem.code"}


def test_what_stands_beside_alternatives_is_written_too() -> None:
    shape = Shape(
        {
            "type": "object",
            "required": ["id"],
            "properties": {"id": {"type": "string", "is": "job.id"}},
            "anyOf": [{"type": "object", "properties": {"cost": {"type": "number", "is": "job.cost"}}}],
        }
    )
    facts = {"job.id": "1", "job.cost": 2}
    assert bodies.render(shape, lambda name, _: facts.get(name, MISSING), {}, {}) == {"id": "1", "cost": 2}


# ------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/jobs/{job.idx}", "did you mean {job.id}?"),
        ("/jobs/{modell}/{job.id}", "did you mean {model}?"),
        ("/jobs/{nonsense}", "{model} and {job.id} can stand here"),
    ],
)
def test_a_placeholder_that_nothing_fills_is_a_mistake(tmp_path: Path, path: str, hint: str) -> None:
    def spoil(protocol: Tree, _: Tree) -> None:
        protocol["operations"]["status"]["request"]["path"] = path

    (mistake,) = mistakes_of(tmp_path, spoil)
    assert mistake.pointer == "/operations/status/request/path"
    assert mistake.says.endswith(hint)


def test_a_method_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    def spoil(protocol: Tree, _: Tree) -> None:
        protocol["operations"]["status"]["request"]["method"] = "FETCH"

    (mistake,) = mistakes_of(tmp_path, spoil)
    assert "GET, POST, PUT, PATCH, DELETE" in mistake.says


def mistakes_of(folder: Path, spoil: Any) -> list[Any]:
    with pytest.raises(ContractError) as caught:
        contract(folder, edit=spoil)
    return list(caught.value.mistakes)


# ------------------------------------------------------------------------------------------ bounds


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"minimum": 1, "maximum": 0}, "minimum is 1 and maximum is 0: no value can satisfy both"),
        ({"exclusiveMinimum": 3, "maximum": 3}, "exclusiveMinimum is 3 and maximum is 3: no value can satisfy both"),
        (
            {"minimum": 33, "maximum": 60, "multipleOf": 32},
            "minimum is 33, maximum is 60 and multipleOf is 32: no value can satisfy all of them",
        ),
    ],
)
def test_bounds_that_leave_nothing_between_them_are_a_mistake(tmp_path: Path, bounds: Tree, says: str) -> None:
    def spoil(_: Tree, binding: Tree) -> None:
        binding["parameters"]["width"] = {"type": "integer", "default": 1, **bounds}

    assert [mistake.says for mistake in mistakes_of(tmp_path, spoil)] == [says]


@pytest.mark.parametrize("words", [{"minLength": 3, "maxLength": 2}, {"minItems": 3, "maxItems": 2}])
def test_lengths_that_leave_nothing_between_them_are_a_mistake(tmp_path: Path, words: Tree) -> None:
    def spoil(_: Tree, binding: Tree) -> None:
        binding["parameters"]["note"] = {"type": ["string", "array"], **words}

    (mistake,) = mistakes_of(tmp_path, spoil)
    assert mistake.says.endswith("no value can satisfy both")


bound = st.none() | st.integers(-50, 50) | st.sampled_from([-0.5, 0.1, 0.25, 7.5])
fragments = st.builds(
    lambda **given: {key: value for key, value in given.items() if value is not None},
    type=st.sampled_from(["integer", "number"]),
    minimum=bound,
    maximum=bound,
    exclusiveMinimum=bound,
    exclusiveMaximum=bound,
    multipleOf=st.none() | st.sampled_from([1, 2, 8, 32, 0.5, 0.1]),
)


@given(fragments)
@settings(derandomize=True, database=None, deadline=None, max_examples=400)
def test_the_ends_and_the_middle_of_a_range_are_in_it_and_nothing_is_beyond_them(schema: Tree) -> None:
    known = numbers(schema)
    if known.is_empty:
        assert not any(known.holds(Fraction(place, 20)) for place in range(-1200, 1200))
        return
    assert known.holds(known.typical)
    for end, way in ((known.least, -1), (known.most, 1)):
        if end is not None:
            assert known.holds(end)
            assert not known.holds(end + way * (known.step or 1))


def test_a_number_is_written_whole_where_it_is_whole() -> None:
    assert [written(Numbers(low=Fraction(low), step=Fraction(1, 2)).typical) for low in ("2", "2.5")] == [2, 2.5]


# --------------------------------------------------------------------------------- grids and nulls

SIZED: Tree = {"type": "integer", "minimum": 250, "maximum": 1450, "multipleOf": 32}
MAYBE: Tree = {"type": ["integer", "null"], "default": None, "minimum": 0, "maximum": 9}
SHARE: Tree = {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "multipleOf": 0.25}


def varied(_: Tree, binding: Tree) -> None:
    binding["parameters"] |= {"width": {**SIZED, "is": "width"}, "pick": MAYBE, "share": SHARE}
    binding["parameters"]["loose"] = {"type": ["integer", "null"], "default": None}


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    return contract(tmp_path, edit=varied)


def chosen(endpoint: Endpoint, name: str) -> Tree:
    return {choice.fact: choice.value for choice in cases.choices(endpoint) if choice.parameter == name}


def test_ends_that_are_allowed_lie_on_the_grid_and_another_multiple_is_tried(endpoint: Endpoint) -> None:
    told = chosen(endpoint, "width")
    assert {told[f"width.{key}"] for key in ("minimum", "maximum", "multipleOf")} == {256, 1440, 288}


def test_a_parameter_that_may_be_null_is_sent_with_real_values_too(endpoint: Endpoint) -> None:
    told = chosen(endpoint, "pick")
    assert (told["pick.minimum"], told["pick.maximum"], told["pick default given"]) == (0, 9, None)
    assert chosen(endpoint, "loose")["loose given"] == 1


def test_null_is_tried_where_it_is_allowed_and_not_the_default(tmp_path: Path) -> None:
    def nullable(_: Tree, binding: Tree) -> None:
        binding["parameters"]["note"] = {"type": ["string", "null"], "maxLength": 9}

    told = chosen(contract(tmp_path, edit=nullable), "note")
    assert (told["note=null"], len(told["note.maxLength"])) == (None, 9)


def breached(endpoint: Endpoint, values: Tree) -> list[tuple[str, str]]:
    call = requests.build(endpoint, endpoint.operations["submit"], "http://m", values=values)
    (one,) = requests.recognise(endpoint, call)
    return [(breach.parameter, breach.rule) for breach in requests.breaches(endpoint, one)]


def test_every_request_about_numbers_breaks_the_one_rule_that_it_is_for(endpoint: Endpoint) -> None:
    for case in cases.allowed(endpoint):
        assert breached(endpoint, dict(case.values)) == [], case
    tried = [case for case in cases.forbidden(endpoint, endpoint.operations["submit"]) if case.body is None]
    found = {case.covers[0]: breached(endpoint, dict(case.values)) for case in tried}
    for name in ("width.minimum", "width.maximum", "width.multipleOf", "share.exclusiveMinimum", "share.multipleOf"):
        assert found[name] == [tuple(name.split("."))], name


def test_the_mock_refuses_what_is_off_the_grid(endpoint: Endpoint) -> None:
    assert asked(endpoint, "submit", prompt="a", width=288, share=0.75).status == 202
    assert asked(endpoint, "submit", prompt="a", width=289).status == 400
    assert asked(endpoint, "submit", prompt="a", share=0.8).status == 400


def test_a_grid_is_a_bound_that_a_run_exercises(endpoint: Endpoint) -> None:
    verdict, _ = conform(endpoint, embedded(endpoint))
    seen = {cover.name: cover.seen for cover in verdict.coverage if cover.kind == "bound"}
    assert (seen["width.multipleOf"], seen["share.multipleOf"], seen["share.exclusiveMinimum"]) == (True, True, True)
    assert [f.key for f in verdict.findings if f.severity is Severity.VIOLATION] == []


def test_a_host_that_takes_what_is_off_the_grid_is_a_violation(endpoint: Endpoint) -> None:
    free = {key: value for key, value in SIZED.items() if key != "multipleOf"}
    width = replace(endpoint.parameters["width"], schema=free)
    lenient = replace(endpoint, parameters={**endpoint.parameters, "width": width})
    verdict, _ = conform(endpoint, embedded(lenient))
    assert any(f.check == "REQ001" and f.subject == "width.multipleOf" for f in verdict.findings)


def test_drawn_values_lie_on_the_grid_and_drawn_mistakes_do_not(endpoint: Endpoint) -> None:
    submit = endpoint.operations["submit"]

    @given(strategies.valid(endpoint), strategies.forbidden(endpoint, submit))
    @settings(derandomize=True, database=None, deadline=None, max_examples=150)
    def drawn(values: Tree, case: cases.Case) -> None:
        assert breached(endpoint, values) == []
        assert breached(endpoint, dict(case.values)) != []

    drawn()


def test_a_bound_far_from_nought_can_be_drawn_from(tmp_path: Path) -> None:
    def far(_: Tree, binding: Tree) -> None:
        binding["parameters"]["pick"] = {"type": "integer", "minimum": 5000}

    endpoint = contract(tmp_path, edit=far)

    @given(strategies.value(endpoint.parameters["pick"].schema, "pick"))
    @settings(derandomize=True, database=None, deadline=None, max_examples=30)
    def drawn(value: int) -> None:
        assert value >= 5000

    drawn()


# ------------------------------------------------------------------------------------ nested bodies


def nested(protocol: Tree, _: Tree) -> None:
    """`{version: …, input: {…}}`: a constant beside the parameters, in a body that is closed."""
    refusing(protocol, _)
    fields = {"version": {"type": "string", "const": "v7", "required": True}}
    protocol["operations"]["submit"]["request"] |= {"body": "input", "fields": fields, "beside": ["version"]}


def test_a_field_stands_beside_a_nested_body_and_is_found_there_again(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=nested)
    call = requests.build(endpoint, endpoint.operations["submit"], "http://m", values={"prompt": "a"})
    assert json.loads(call.body) == {"version": "v7", "input": {"prompt": "a"}}
    (one,) = requests.recognise(endpoint, call)
    assert (one.values, one.extra) == ({"version": "v7", "prompt": "a"}, ())
    assert requests.breaches(endpoint, one) == []


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        ({"input": {"prompt": "a"}}, [("version", "required")]),
        ({"version": "v6", "input": {"prompt": "a"}}, [("version", "const")]),
        ({"version": "v7", "input": {"prompt": "a", "version": "v7"}}, [("input.version", "unknown")]),
        ({"version": "v7", "input": {"prompt": "a"}, "prompt": "b"}, [("prompt", "unknown")]),
        ({"version": "v7"}, [("", "body")]),
    ],
)
def test_what_stands_on_the_wrong_level_of_a_nested_body_is_told(tmp_path: Path, body: Tree, broken: Any) -> None:
    endpoint = contract(tmp_path, edit=nested)
    call = requests.build(endpoint, endpoint.operations["submit"], "http://m", body=body)
    (one,) = requests.recognise(endpoint, call)
    assert [(breach.parameter, breach.rule) for breach in requests.breaches(endpoint, one)] == broken


def test_the_mock_and_the_check_of_a_nested_body_agree(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=nested)
    verdict, _ = conform(endpoint, embedded(endpoint))
    assert [f.key for f in verdict.findings if f.severity is Severity.VIOLATION] == []
    assert verdict.summary.jobs > 0


def test_what_is_exported_of_a_nested_body_takes_what_is_sent(tmp_path: Path) -> None:
    endpoint = contract(tmp_path, edit=nested)
    submit = endpoint.operations["submit"]
    schema = body_schema(endpoint, submit)
    assert schema is not None
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(json.loads(requests.build(endpoint, submit, "http://m", values={"prompt": "a"}).body))
    assert not validator.is_valid({"input": {"prompt": "a", "version": "v7"}})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"body": "flat"}, "nothing can stand beside a body that is flat"),
        ({"beside": ["versoin"]}, "did you mean version?"),
        ({"beside": ["version"], "fields": {"version": {}, "input": {}}, "body": "version"}, "under version already"),
        ({"fields": {"prompt": {"type": "string"}}, "beside": ["prompt"]}, "prompt is a parameter, too"),
    ],
)
def test_what_cannot_stand_beside_a_body_is_a_mistake(tmp_path: Path, change: Tree, says: str) -> None:
    def spoil(protocol: Tree, binding: Tree) -> None:
        nested(protocol, binding)
        protocol["operations"]["submit"]["request"] |= change

    assert any(says in mistake.says for mistake in mistakes_of(tmp_path, spoil))
