"""What leaves for other tools: valid by their own validators, and nothing that the contract says is lost."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import openapi_spec_validator
import pytest

from wireproof import export
from wireproof.errors import UsageError
from wireproof.model import Confidence, Endpoint, Evidence, Rule, RuleKind
from wireproof.spec.load import load_all, resolve
from wireproof.wire.requests import body_of

ENDPOINTS = load_all(Path(__file__).parents[1])
EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)


def one(name: str) -> Endpoint:
    return resolve(name, Path(__file__).parents[1])[0]


def schema_of(document: dict[str, Any], path: str, method: str = "post") -> dict[str, Any]:
    """The body of a request, its references resolvable."""
    schema = document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    return {**schema, "components": document["components"]}


@EACH
def test_every_contract_becomes_an_openapi_document_that_an_independent_validator_takes(
    endpoint: Endpoint,
) -> None:
    openapi_spec_validator.validate(export.openapi(endpoint))


def test_all_hosts_fit_into_one_valid_document_with_a_server_for_each_address() -> None:
    document = export.openapi(ENDPOINTS)
    openapi_spec_validator.validate(document)
    servers = {item["servers"][0]["url"] for item in document["paths"].values()}
    assert servers == {"https://api.segmind.com", "https://api.runware.ai", "https://pixeldojo.ai"}


def test_two_hosts_at_one_address_are_refused_because_one_document_cannot_say_it() -> None:
    mine = one("segmind/p-image")
    servers = {
        **mine.provider.servers,
        "api": replace(mine.provider.servers["api"], url="https://other.test"),
    }
    other = replace(mine, name="other/p-image", provider=replace(mine.provider, name="other", servers=servers))
    with pytest.raises(UsageError, match="two hosts serve"):
        export.openapi((mine, other))


def test_nothing_to_export_is_said_so() -> None:
    with pytest.raises(UsageError, match="no endpoint"):
        export.openapi(())


@EACH
def test_the_document_is_plain_json_and_the_same_every_time(endpoint: Endpoint) -> None:
    first = export.openapi(endpoint)
    assert json.loads(json.dumps(first)) == first == export.openapi(endpoint)


@EACH
def test_no_path_of_the_machine_it_was_made_on_leaves_with_it(endpoint: Endpoint) -> None:
    text = json.dumps([export.openapi(endpoint), export.jsonschema(endpoint), export.arazzo(endpoint)])
    assert str(Path(__file__).parents[1]) not in text


def accepts(endpoint: Endpoint, path: str, values: dict[str, Any], operation: str = "submit") -> bool:
    body = body_of(endpoint.operations[operation], values, "a1c88bd9-1e4c-47c2-9ed8-b4d5c8962f61")
    return jsonschema_rs.is_valid(schema_of(export.openapi(endpoint), path), body)


EDIT = {"positivePrompt": "a cat", "inputs.referenceImages": ["https://a.test/1.png"]}


@pytest.mark.parametrize(
    ("values", "right"),
    [
        (EDIT, True),
        (EDIT | {"width": 1184, "height": 896}, True),
        (EDIT | {"width": 1184}, False),
        (EDIT | {"width": 1184, "height": 1184}, False),
        (EDIT | {"safety.mode": "fast"}, True),
        (EDIT | {"safety.mode": "slow"}, False),
        (EDIT | {"safety.unheard": 1}, False),
        (EDIT | {"providerSettings.prunaai.turbo": True}, True),
        ({}, False),
        ({"positivePrompt": "a cat"}, True),  # whether pictures are required is disputed
        (EDIT | {"inputs.referenceImages": ["x"] * 4}, True),
        (EDIT | {"inputs.referenceImages": ["x"] * 5}, False),
        (EDIT | {"numberResults": 21}, False),
    ],
)
def test_nested_names_bounds_and_rules_between_parameters_hold_in_the_array_body(
    values: dict[str, Any], right: bool
) -> None:
    assert accepts(one("runware/p-image-edit"), "/v1", values) is right


def test_each_task_of_an_array_body_is_one_of_the_tasks_of_the_host_and_of_one_only() -> None:
    endpoint = one("runware/p-image-edit")
    schema = schema_of(export.openapi(endpoint), "/v1")
    kinds = schema["items"]["oneOf"]
    assert len(kinds) == len([op for op in endpoint.operations.values() if op.request.path == "/v1"])
    for name in ("submit", "run", "status"):
        body = body_of(
            endpoint.operations[name],
            EDIT if name != "status" else {},
            "a1c88bd9-1e4c-47c2-9ed8-b4d5c8962f61",
        )
        assert jsonschema_rs.is_valid(schema, body), name


def test_an_answer_to_several_tasks_may_mix_what_they_brought() -> None:
    document = export.openapi(one("runware/p-image-edit"))
    reply = document["paths"]["/v1"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = {**reply, "components": document["components"]}
    job = "a1c88bd9-1e4c-47c2-9ed8-b4d5c8962f61"
    acked = {"taskType": "imageInference", "taskUUID": job}
    failed = {"code": "invalidWidth", "message": "no"}
    assert jsonschema_rs.is_valid(schema, {"data": [acked], "errors": [failed]})
    assert not jsonschema_rs.is_valid(schema, {"jobs": [acked]})


def test_sample_replies_stand_in_the_document_and_are_of_its_own_schema() -> None:
    document = export.openapi(one("pixeldojo/p-image-edit"))
    content = document["paths"]["/api/v1/models/p-image-edit/run"]["post"]["responses"]["202"]["content"]
    shown = content["application/json"]["examples"]["landscape-curl"]["value"]
    assert shown["status"] == "pending"
    assert jsonschema_rs.is_valid(
        {**content["application/json"]["schema"], "components": document["components"]}, shown
    )


def test_a_sample_request_that_breaks_its_own_page_is_not_shown_as_an_example() -> None:
    document = export.openapi(one("pixeldojo/p-image-edit"))
    body = document["paths"]["/api/v1/models/p-image-edit/run"]["post"]["requestBody"]["content"]
    assert "examples" not in body["application/json"]


def test_a_state_word_in_a_reply_is_one_that_this_reply_may_carry() -> None:
    document = export.openapi(one("segmind/p-image"))
    accepted = document["components"]["schemas"]["segmind_submit_accepted"]
    assert accepted["properties"]["status"]["enum"] == ["QUEUED"]


@pytest.mark.parametrize(
    ("name", "path", "code", "links"),
    [
        ("segmind/p-image", "/v2/p-image", "200", {"segmind_status", "segmind_result"}),
        ("pixeldojo/p-image-edit", "/api/v1/models/p-image-edit/run", "202", {"pixeldojo_status"}),
    ],
)
def test_the_accepted_reply_links_to_status_and_result(name: str, path: str, code: str, links: set[str]) -> None:
    document = export.openapi(one(name))
    found = document["paths"][path]["post"]["responses"][code]["links"]
    assert set(found) == links
    ids = {op["operationId"] for item in document["paths"].values() for key, op in item.items() if key != "servers"}
    assert {link["operationId"] for link in found.values()} <= ids
    assert {link["parameters"]["job_id"] for link in found.values()} <= {
        "$response.body#/request_id",
        "$response.body#/jobId",
    }


def test_a_host_that_is_asked_by_post_is_linked_to_by_a_body() -> None:
    document = export.openapi(one("runware/p-image-edit"))
    link = document["paths"]["/v1"]["post"]["responses"]["200"]["links"]["runware_status"]
    assert link["requestBody"] == [{"taskType": "getResponse", "taskUUID": "$response.body#/data/0/taskUUID"}]


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("segmind", {"type": "apiKey", "in": "header", "name": "x-api-key"}),
        ("runware", {"type": "http", "scheme": "bearer"}),
    ],
)
def test_the_key_is_declared_where_it_belongs(name: str, scheme: dict[str, str]) -> None:
    made = export.openapi(resolve(name, Path(__file__).parents[1]))["components"]["securitySchemes"][name]
    assert scheme.items() <= made.items()


def test_what_openapi_cannot_say_stands_beside_it() -> None:
    ours = export.openapi(one("pixeldojo/p-image-edit"))["x-wireproof"]["pixeldojo/p-image-edit"]
    assert ours["price"]["terms"] == [{"amount": "0.25", "per": "request"}]
    assert ours["price"]["unit"] == "credits"
    assert ours["lifecycle"]["states"]["completed"] == {
        "status": "succeeded",
        "initial": False,
        "final": True,
        "evidence": {"source": "page", "read": "2026-11-01", "confidence": "documented"},
    }
    assert ["pending", "completed"] in ours["lifecycle"]["moves"]
    assert ours["retention"]["media"]["evidence"]["confidence"] == "disputed"
    assert ours["where"].startswith("pixeldojo/p-image-edit.yaml:")


def test_every_problem_of_an_operation_is_a_reply_or_needs_another_method() -> None:
    document = export.openapi(one("segmind/p-image"))
    responses = set(document["paths"]["/v2/p-image"]["post"]["responses"])
    assert responses == {"200", "400", "401", "403", "404", "406", "429", "500", "502", "504"}


def test_what_the_sources_dispute_is_told_beside_the_schema_and_not_demanded() -> None:
    endpoint = one("runware/p-image-edit")
    images = export.parameter_schema(endpoint.parameters["inputs.referenceImages"])
    assert images["x-wireproof"]["unsettled"] == [{"keyword": "required", "value": True}]
    assert (images["minItems"], images["maxItems"]) == (1, 4)
    doubted = replace(
        images_of := endpoint.parameters["outputQuality"], evidence=Evidence(confidence=Confidence.UNKNOWN)
    )
    schema = export.parameter_schema(doubted)
    assert "minimum" not in schema and "minimum" in images_of.schema
    assert {"keyword": "minimum", "value": 20} in schema["x-wireproof"]["unsettled"]


def test_a_rule_that_the_sources_dispute_binds_nobody() -> None:
    rule = Rule("sizes", RuleKind.TOGETHER, ("width", "height"), evidence=Evidence(confidence=Confidence.DISPUTED))
    endpoint = replace(one("segmind/p-image"), rules=(rule,))
    schema = export.body_schema(endpoint, endpoint.operations["submit"])
    assert schema is not None
    assert jsonschema_rs.is_valid(schema, {"prompt": "x", "width": 300})
    assert [r["rule"] for r in schema["x-wireproof"]["unsettled"]] == ["sizes"]


def test_a_format_is_a_keyword_only_where_somebody_enforces_it() -> None:
    endpoint = one("segmind/p-image-edit")
    links = export.parameter_schema(endpoint.parameters["image_urls"])
    assert "format" not in links["items"]
    assert links["x-wireproof"]["formats"] == {"/items": "uri"}
    told = {"format": Evidence()}
    enforced = export.parameter_schema(replace(endpoint.parameters["image_urls"], facts=told))
    assert enforced["items"]["format"] == "uri"
    runware = one("runware/p-image-edit")
    task = schema_of(export.openapi(runware), "/v1")["components"]["schemas"]["runware_p_image_edit_submit_request"]
    assert task["properties"]["taskUUID"]["format"] == "uuid"


@EACH
def test_the_bodies_are_one_valid_json_schema(endpoint: Endpoint) -> None:
    schema = export.jsonschema(endpoint)
    jsonschema_rs.meta.validate(schema)
    start = next(op for op in endpoint.operations.values() if op.does.bills)
    required = {
        p.name: ["https://a.test/1.png"] if p.schema["type"] == "array" else "https://a.test/2.png"
        for p in endpoint.parameters.values()
        if p.required
    }
    whole = body_of(start, required, "a1c88bd9-1e4c-47c2-9ed8-b4d5c8962f61")
    assert jsonschema_rs.is_valid(schema, whole)
    assert not jsonschema_rs.is_valid(schema, body_of(start, {}, "a1c88bd9-1e4c-47c2-9ed8-b4d5c8962f61"))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (RuleKind.AT_MOST_ONE, [{}, {"width": 300}], [{"width": 300, "height": 300}]),
        (RuleKind.EXACTLY_ONE, [{"width": 300}], [{}, {"width": 300, "height": 300}]),
        (RuleKind.REQUIRES, [{}, {"height": 300}, {"width": 300, "height": 300}], [{"width": 300}]),
        (RuleKind.TOGETHER, [{}, {"width": 300, "height": 300}], [{"width": 300}, {"height": 300}]),
    ],
)
def test_every_kind_of_rule_is_said_in_json_schema(kind: RuleKind, good: list[Any], bad: list[Any]) -> None:
    endpoint = replace(one("segmind/p-image"), rules=(Rule("rule", kind, ("width", "height")),))
    schema = export.body_schema(endpoint, endpoint.operations["submit"])
    assert all(jsonschema_rs.is_valid(schema, {"prompt": "x"} | values) for values in good)
    assert not any(jsonschema_rs.is_valid(schema, {"prompt": "x"} | values) for values in bad)


def test_a_parameter_that_is_refused_beside_others_is_refused_by_the_schema_defaults_counted_in() -> None:
    plain = one("segmind/p-image")
    width = replace(plain.parameters["width"], otherwise="refused")
    endpoint = replace(plain, parameters={**plain.parameters, "width": width})
    schema = export.body_schema(endpoint, endpoint.operations["submit"])
    assert jsonschema_rs.is_valid(schema, {"prompt": "x", "width": 300, "aspect_ratio": "custom"})
    assert not jsonschema_rs.is_valid(schema, {"prompt": "x", "width": 300, "aspect_ratio": "1:1"})
    assert not jsonschema_rs.is_valid(schema, {"prompt": "x", "width": 300})


@EACH
def test_the_story_of_a_job_is_told_as_a_workflow_whose_steps_exist(endpoint: Endpoint) -> None:
    document = export.openapi(endpoint)
    ids = {op["operationId"] for item in document["paths"].values() for key, op in item.items() if key != "servers"}
    flows = export.arazzo(endpoint)["workflows"]
    assert {step["operationId"] for flow in flows for step in flow["steps"]} <= ids
    assert len(flows) == len([op for op in endpoint.operations.values() if op.does.bills])


def test_the_workflow_waits_as_the_host_asks_and_stops_at_its_word() -> None:
    flow = export.arazzo(one("segmind/p-image"))["workflows"][0]
    assert [step["stepId"] for step in flow["steps"]] == ["submit", "status", "result"]
    wait = flow["steps"][1]
    assert wait["successCriteria"][1] == {"condition": "$response.body#/status == 'COMPLETED'"}
    again = copy.deepcopy(wait["onFailure"][0])
    assert (again["type"], again["retryAfter"], again["retryLimit"]) == ("retry", 1, 600)
    assert flow["outputs"]["output"] == "$steps.result.outputs.output"


def test_an_id_that_travels_in_the_query_is_a_parameter_of_the_query() -> None:
    plain = one("segmind/p-image")
    asking = plain.operations["status"]
    asking = replace(asking, request=replace(asking.request, path="/v2/result?kind=image&id={job.id}"))
    endpoint = replace(plain, operations={**plain.operations, "status": asking})
    document = export.openapi(endpoint)
    openapi_spec_validator.validate(document)
    told = document["paths"]["/v2/result"]["get"]["parameters"]
    assert [(p["name"], p["in"]) for p in told] == [("kind", "query"), ("id", "query")]
    links = document["paths"]["/v2/p-image"]["post"]["responses"]["200"]["links"]
    assert links["segmind_status"]["parameters"] == {"id": "$response.body#/request_id"}
    wait = export.arazzo(endpoint)["workflows"][0]["steps"][1]
    assert wait["parameters"] == [{"name": "id", "in": "query", "value": "$steps.submit.outputs.job"}]
