"""Drafts from what exists: they load, say what they guessed, and invent nothing."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from wireproof.conform import conform, embedded
from wireproof.errors import UsageError
from wireproof.generate import cases
from wireproof.lifecycle import Status
from wireproof.model import Call, Confidence, Does, Endpoint, Exchange, Reply, Severity
from wireproof.spec.imports import drafting, har, openapi
from wireproof.spec.lint import lint
from wireproof.spec.load import load
from wireproof.wire import requests

JOB: dict[str, Any] = {
    "type": "object",
    "required": ["id", "state", "created_at"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "state": {"type": "string", "enum": ["pending", "dreaming", "completed", "failed"]},
        "created_at": {"type": "string"},
        "assets": {
            "type": "object",
            "nullable": True,
            "properties": {"image": {"type": "string", "format": "uri"}},
        },
        "failure_reason": {"type": "string", "nullable": True},
    },
}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Dreams", "version": "1"},
    "servers": [{"url": "https://api.dreams.test/{stage}", "variables": {"stage": {"default": "v1"}}}],
    "security": [{"key": []}],
    "components": {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-dream-key"}},
        "schemas": {
            "Job": JOB,
            "Error": {"type": "object", "properties": {"detail": {"type": "string"}}},
            "Style": {"allOf": [{"type": "string"}, {"enum": ["soft", "loud"]}]},
            "Ask": {
                "type": "object",
                "required": ["prompt", "options"],
                "additionalProperties": False,
                "properties": {
                    "prompt": {"type": "string", "maxLength": 900, "description": "What to dream. Be brief."},
                    "seed": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "nullable": True},
                    "aspect_ratio": {"type": "string", "enum": ["1:1", "16:9"], "default": "1:1"},
                    "options": {
                        "type": "object",
                        "required": ["style"],
                        "properties": {
                            "style": {"$ref": "#/components/schemas/Style"},
                            "depth": {"type": "integer"},
                        },
                    },
                    "webhook_url": {"type": "string", "format": "uri"},
                },
            },
        },
    },
    "paths": {
        "/account": {"get": {"responses": {"200": {"description": "you"}}}},
        "/dreams/image": {
            "post": {
                "operationId": "dream",
                "summary": "Start a dream",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}}},
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}},
                    "402": {
                        "description": "No money.",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                    },
                },
            }
        },
        "/dreams/{id}": {
            "get": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}}
                },
            }
        },
    },
}


def drafted(tmp_path: Path, document: dict[str, Any] = DOCUMENT, **options: Any) -> tuple[Endpoint, drafting.Draft]:
    draft = openapi.draft(document, provider="dreams", read="2026-01-15", **options)
    drafting.write(draft, tmp_path / "specs")
    return load(tmp_path / "specs" / draft.endpoint), draft


def test_a_draft_holds_the_three_layers_and_loads(tmp_path: Path) -> None:
    endpoint, draft = drafted(tmp_path)
    assert set(draft.files) == {"models/image.yaml", "dreams/protocol.yaml", "dreams/image.yaml"}
    assert endpoint.name == "dreams/image"
    assert endpoint.provider.servers["api"].url == "https://api.dreams.test/v1"
    assert (endpoint.provider.auth.header, endpoint.provider.auth.env) == ("x-dream-key", "DREAMS_API_KEY")


def test_parameters_come_with_nested_names_bounds_and_what_must_be_given(tmp_path: Path) -> None:
    parameters = drafted(tmp_path)[0].parameters
    assert {name: dict(p.schema) for name, p in parameters.items()} == {
        "prompt": {"type": "string", "maxLength": 900},
        "seed": {"type": ["integer", "null"], "exclusiveMinimum": 0},
        "aspect_ratio": {"type": "string", "enum": ["1:1", "16:9"], "default": "1:1"},
        "options.style": {"type": "string", "enum": ["soft", "loud"]},
        "options.depth": {"type": "integer"},
        "webhook_url": {"type": "string", "format": "uri"},
    }
    assert {name for name, p in parameters.items() if p.required} == {"prompt", "options.style"}
    assert parameters["prompt"].canonical == "prompt"
    assert parameters["webhook_url"].calls_out


def test_the_story_of_the_job_is_found(tmp_path: Path) -> None:
    endpoint = drafted(tmp_path)[0]
    submit, status = endpoint.doing(Does.SUBMIT), endpoint.doing(Does.STATUS)
    assert submit is not None and status is not None
    assert (submit.request.method, submit.request.path) == ("POST", "/dreams/image")
    assert submit.request.unknown_fields == "refused"
    assert (status.request.method, status.request.path) == ("GET", "/dreams/{job.id}")
    assert endpoint.provider.problems["out_of_credits"].statuses == (402,)


def test_state_words_are_mapped_and_the_mapping_is_marked_as_a_guess(tmp_path: Path) -> None:
    states = drafted(tmp_path)[0].provider.states
    assert {word: state.status for word, state in states.items()} == {
        "pending": Status.QUEUED,
        "dreaming": Status.RUNNING,
        "completed": Status.SUCCEEDED,
        "failed": Status.FAILED,
    }
    assert {state.evidence.confidence for state in states.values()} == {Confidence.INFERRED}
    assert [word for word, state in states.items() if state.initial] == ["pending"]


def test_a_word_that_nobody_knows_is_a_placeholder_and_is_told(tmp_path: Path) -> None:
    odd = copy.deepcopy(DOCUMENT)
    odd["components"]["schemas"]["Job"]["properties"]["state"]["enum"].append("levitating")
    endpoint, draft = drafted(tmp_path, odd)
    assert endpoint.provider.states["levitating"].evidence.confidence is Confidence.UNKNOWN
    assert any("levitating" in says for says in draft.unknowns)


def test_what_openapi_cannot_say_is_unknown_and_stays_in_sight(tmp_path: Path) -> None:
    endpoint, draft = drafted(tmp_path)
    provider = endpoint.provider
    assert endpoint.price is None
    assert provider.retention.record.seconds is None
    assert provider.retention.record.evidence.confidence is Confidence.UNKNOWN
    assert provider.poll.every.evidence.confidence is Confidence.UNKNOWN
    assert {gap.says for gap in provider.gaps} == set(draft.unknowns)
    for topic in ("price", "retention", "limits", "polling", "moves"):
        assert any(says.startswith(f"{topic}:") for says in draft.unknowns), topic


def test_what_the_document_demands_without_a_meaning_is_told_and_not_demanded(tmp_path: Path) -> None:
    endpoint, draft = drafted(tmp_path)
    submit = endpoint.doing(Does.SUBMIT)
    assert submit is not None and submit.alternatives[0].shape is not None
    assert submit.alternatives[0].shape.schema["required"] == ["id", "state"]
    assert any("created_at" in says for says in draft.unknowns)


def test_a_draft_is_clean_of_lint_is_served_by_the_mock_and_conforms_there(tmp_path: Path) -> None:
    endpoint = drafted(tmp_path)[0]
    assert [f.says for f in lint([endpoint]) if f.severity is Severity.VIOLATION] == []
    verdict, _ = conform(endpoint, embedded(endpoint), profile="quick")
    assert verdict.summary.jobs
    assert [f.says for f in verdict.findings if f.severity is Severity.VIOLATION] == []


def test_a_host_without_a_call_that_asks_after_a_job_is_drafted_as_answering_at_once(tmp_path: Path) -> None:
    sync = copy.deepcopy(DOCUMENT)
    del sync["paths"]["/dreams/{id}"]
    endpoint, draft = drafted(tmp_path, sync)
    assert endpoint.doing(Does.SUBMIT) is None
    assert endpoint.doing(Does.RUN) is not None
    assert any(says.startswith("story:") for says in draft.unknowns)


def test_the_start_can_be_named_by_address_or_by_id_and_a_wrong_name_lists_the_right_ones(
    tmp_path: Path,
) -> None:
    assert openapi.starts(DOCUMENT) == ("POST /dreams/image",)
    by_id = openapi.draft(DOCUMENT, provider="dreams", read="2026-01-15", start="dream")
    by_address = openapi.draft(DOCUMENT, provider="dreams", read="2026-01-15", start="POST /dreams/image")
    assert by_id == by_address
    with pytest.raises(UsageError, match="there are POST /dreams/image"):
        openapi.draft(DOCUMENT, provider="dreams", read="2026-01-15", start="POST /nightmares")


def test_a_document_that_starts_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="no call of this document can start a job"):
        openapi.draft({"openapi": "3.1.0", "paths": {}}, provider="dreams", read="2026-01-15")


def test_a_document_that_refers_to_itself_comes_to_an_end(tmp_path: Path) -> None:
    endless = copy.deepcopy(DOCUMENT)
    ask = endless["components"]["schemas"]["Ask"]
    ask["properties"]["more"] = {"type": "array", "items": {"$ref": "#/components/schemas/Ask"}}
    ask["properties"]["again"] = {"$ref": "#/components/schemas/Loop"}
    endless["components"]["schemas"]["Loop"] = {"$ref": "#/components/schemas/Loop"}
    assert "more" in drafted(tmp_path, endless)[0].parameters


HOSTILE = 'x"\n  admin: true\n# \u202e: {a: !!python/object y} \x00 &a *a'


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    mean = copy.deepcopy(DOCUMENT)
    mean["info"]["title"] = HOSTILE
    mean["components"]["schemas"]["Ask"]["properties"]["prompt"]["description"] = HOSTILE
    mean["components"]["schemas"]["Ask"]["properties"]["on"] = {
        "type": "string",
        "pattern": "(a+)+$",
        "default": "no",
    }
    endpoint = drafted(tmp_path, mean)[0]
    assert endpoint.parameters["on"].default == "no"
    assert "pattern" not in endpoint.parameters["on"].schema
    assert "\n" not in endpoint.provider.title


def test_files_that_are_there_are_not_overwritten(tmp_path: Path) -> None:
    draft = drafted(tmp_path)[1]
    with pytest.raises(UsageError, match="there already"):
        drafting.write(draft, tmp_path / "specs")
    assert len(drafting.write(draft, tmp_path / "specs", replace=True)) == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "cannot be read"),
        ("a.yaml", "a: [", "cannot be read"),
        ("a.yaml", "swagger: '2.0'", "is no OpenAPI 3 document"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "cannot be read"),
    ],
)
def test_a_file_that_is_no_openapi_document_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        openapi.read(tmp_path / name)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_document_is_read_as_json_and_as_yaml(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text(json.dumps(DOCUMENT))
    assert openapi.read(path) == DOCUMENT


# ------------------------------------------------------------------------------------ recordings


def exchange(at: float, method: str, path: str, status: int, told: Any, asked: Any = None) -> Exchange:
    headers = (("Authorization", "Bearer sk-very-secret"), ("content-type", "application/json"))
    call = Call(method, f"https://api.seen.test{path}", headers, json.dumps(asked).encode() if asked else b"")
    return Exchange(
        seq=int(at * 10) + 1, call=call, reply=Reply(status, (), json.dumps(told).encode()), at=at, took=0.1
    )


def job(number: int, at: float, *words: str, **asked: Any) -> list[Exchange]:
    """A job whose polls, a second apart, told these words."""
    id_ = f"job-{number}"
    sent = {"prompt": f"private words {number}", **asked}
    told = [exchange(at, "POST", "/jobs", 202, {"id": id_, "status": "queued"}, sent)]
    for second, word in enumerate(words, start=1):
        body = {"id": id_, "status": word}
        body |= {"output": ["https://cdn.seen.test/1.png"]} if word == "done" else {}
        told.append(exchange(at + second, "GET", f"/jobs/{id_}", 200, body))
    return told


RECORDING = [
    *job(1, 0.0, "queued", "working", "done", seed=7),
    *job(2, 10.0, "working", "working", "working", "working", "done", seed=8.5, options={"fast": True}),
    *job(3, 20.0, "working", "done"),
    exchange(30.0, "POST", "/jobs", 422, {"detail": "no prompt"}, {"seed": 1}),
    exchange(31.0, "GET", "/jobs/nobody", 404, {"detail": "no such job"}),
    exchange(32.0, "GET", "/jobs/job-1/extra", 404, {"detail": "no such page"}),
]


def from_traffic(tmp_path: Path, exchanges: list[Exchange]) -> tuple[Endpoint, drafting.Draft]:
    draft = har.draft(exchanges, provider="seen", read="2026-01-15", model="sketch")
    drafting.write(draft, tmp_path / "specs")
    return load(tmp_path / "specs" / draft.endpoint), draft


def test_traffic_shows_operations_states_and_moves(tmp_path: Path) -> None:
    endpoint = from_traffic(tmp_path, RECORDING)[0]
    provider = endpoint.provider
    submit, status = endpoint.doing(Does.SUBMIT), endpoint.doing(Does.STATUS)
    assert submit is not None and status is not None
    assert (submit.request.path, submit.alternatives[0].statuses) == ("/jobs", (202,))
    assert status.request.path == "/jobs/{job.id}"
    assert {word: state.status for word, state in provider.states.items()} == {
        "queued": Status.QUEUED,
        "working": Status.RUNNING,
        "done": Status.SUCCEEDED,
    }
    assert {(move.before, move.after) for move in provider.moves} == {
        ("queued", "working"),
        ("working", "done"),
    }
    assert {move.evidence.confidence for move in provider.moves} == {Confidence.SAMPLE}
    assert provider.servers["media"].url == "https://cdn.seen.test"
    assert provider.problems["invalid"].statuses == (422,)


def test_a_draft_from_traffic_is_clean_of_lint_and_conforms_in_the_mock(tmp_path: Path) -> None:
    endpoint = from_traffic(tmp_path, RECORDING)[0]
    assert [f.says for f in lint([endpoint]) if f.severity is Severity.VIOLATION] == []
    verdict, _ = conform(endpoint, embedded(endpoint), profile="quick")
    assert [f.says for f in verdict.findings if f.severity is Severity.VIOLATION] == []


def test_traffic_shows_parameters_and_types_and_no_bounds(tmp_path: Path) -> None:
    parameters = from_traffic(tmp_path, RECORDING)[0].parameters
    assert {name: dict(p.schema) for name, p in parameters.items()} == {
        "prompt": {"type": "string"},
        "seed": {"type": ["integer", "number"]},
        "options.fast": {"type": "boolean"},
    }
    assert not any(p.required for p in parameters.values())


def test_traffic_shows_how_long_jobs_take_between_two_polls(tmp_path: Path) -> None:
    """Three jobs, polled each second, told done at the second, third and fifth poll."""
    timing = from_traffic(tmp_path, RECORDING)[0].timing
    assert timing.queue + timing.run == pytest.approx(2.6)
    assert timing.evidence.confidence is Confidence.SAMPLE
    assert "3 jobs, 1.6 to 4.6 s, log-normal with median 2.6 s and sigma 0.53" in timing.evidence.note


def test_traffic_with_ids_in_the_query_and_jobs_one_level_down_is_read(tmp_path: Path) -> None:
    id_, words = "t-1", ("submitted", "processing", "succeed")
    told = [
        exchange(
            0.0,
            "POST",
            "/jobs",
            200,
            {"request_id": "r", "data": {"task_id": id_, "task_status": "submitted"}},
            {"prompt": "x"},
        )
    ]
    for second, word in enumerate(words, start=1):
        body = {
            "request_id": f"r{second}",
            "data": {"task_id": id_, "task_status": word, "image_url": "https://cdn.seen.test/1.png"},
        }
        told.append(exchange(float(second), "GET", f"/result?task_id={id_}", 200, body))
    endpoint = from_traffic(tmp_path, told)[0]
    status = endpoint.doing(Does.STATUS)
    assert status is not None and status.request.path == "/result?task_id={job.id}"
    assert set(endpoint.provider.states) == set(words)
    verdict, _ = conform(endpoint, embedded(endpoint), profile="quick")
    assert verdict.summary.jobs and verdict.findings == ()


def test_a_recording_of_lists_of_requests_is_refused_with_the_reason() -> None:
    listed = [exchange(0.0, "POST", "/v1", 200, {"data": [{"id": "a"}]}, [{"prompt": "x"}])]
    with pytest.raises(UsageError, match="takes a list of requests"):
        har.draft(listed, provider="seen", read="2026-01-15")


def test_a_failure_told_under_an_error_code_is_a_reply_about_the_job(tmp_path: Path) -> None:
    failed = [
        *job(1, 0.0, "working"),
        exchange(5.0, "GET", "/jobs/job-1", 422, {"status": "failed", "error": "no"}),
    ]
    endpoint = from_traffic(tmp_path, failed)[0]
    status = endpoint.doing(Does.STATUS)
    assert status is not None
    assert [(a.name, a.statuses) for a in status.alternatives] == [("state", (200,)), ("failed", (422,))]
    assert endpoint.provider.states["failed"].status is Status.FAILED


def test_neither_the_key_nor_what_users_wrote_gets_into_a_draft(tmp_path: Path) -> None:
    text = "".join(from_traffic(tmp_path, RECORDING)[1].files.values())
    assert "secret" not in text
    assert "private words" not in text
    assert 'prefix: "Bearer "' in text


def test_a_recording_without_a_submit_is_refused() -> None:
    with pytest.raises(UsageError, match="no call of this recording started a job"):
        har.draft(RECORDING[-2:], provider="seen", read="2026-01-15")


# ------------------------------------------------------------------------- documents of other manners

MANNERS = sorted((Path(__file__).parent / "data" / "openapi").glob("*.yaml"))


def of_manner(name: str, tmp_path: Path) -> tuple[Endpoint, drafting.Draft]:
    document = openapi.read(Path(__file__).parent / "data" / "openapi" / f"{name}.yaml")
    draft = openapi.draft(document, provider=name, read="2026-01-15")
    drafting.write(draft, tmp_path / "specs")
    return load(tmp_path / "specs" / draft.endpoint), draft


@pytest.mark.parametrize("manner", [path.stem for path in MANNERS])
def test_a_draft_of_any_manner_is_clean_of_mistakes_and_conforms_in_the_mock(manner: str, tmp_path: Path) -> None:
    endpoint, _ = of_manner(manner, tmp_path)
    assert [f.says for f in lint([endpoint]) if f.severity is Severity.VIOLATION] == []
    verdict, _ = conform(endpoint, embedded(endpoint), profile="quick")
    assert verdict.summary.jobs
    assert [f.says for f in verdict.findings] == []


def test_an_id_in_the_query_is_asked_after_and_told_there(tmp_path: Path) -> None:
    endpoint, _ = of_manner("query", tmp_path)
    status = endpoint.doing(Does.STATUS)
    assert status is not None and status.request.path == "/v2/get_result?id={job.id}"


def test_a_job_told_one_level_down_is_found_there_and_not_in_the_envelopes_id(tmp_path: Path) -> None:
    endpoint, _ = of_manner("nested", tmp_path)
    submit, status = endpoint.doing(Does.SUBMIT), endpoint.doing(Does.STATUS)
    assert submit is not None and status is not None and submit.alternatives[0].shape is not None
    places = submit.alternatives[0].shape.schema["properties"]
    assert "is" not in places["request_id"]
    assert places["data"]["properties"]["task_id"]["is"] == "job.id"
    assert places["data"]["properties"]["task_status"]["is"] == "job.state"


def test_one_form_for_each_state_is_told_apart_by_what_it_holds(tmp_path: Path) -> None:
    endpoint, draft = of_manner("queue", tmp_path)
    status = endpoint.doing(Does.STATUS)
    assert status is not None
    assert [reply.states for reply in status.alternatives] == [("waiting", "firing"), ("fired",), ("cracked",)]
    assert {word: state.status for word, state in endpoint.provider.states.items()} == {
        "waiting": Status.QUEUED,
        "firing": Status.RUNNING,
        "fired": Status.SUCCEEDED,
        "cracked": Status.FAILED,
    }
    assert "states: what 'fired' means is not known; succeeded is a placeholder." in draft.unknowns


def test_headers_that_say_where_and_when_to_ask_are_drafted(tmp_path: Path) -> None:
    endpoint, _ = of_manner("queue", tmp_path)
    submit = endpoint.doing(Does.SUBMIT)
    assert submit is not None
    assert {(h.name, h.value) for h in submit.alternatives[0].headers} == {
        ("retry-after", "retry.after"),
        ("location", "link.status"),
    }


def test_a_range_of_codes_stands_for_its_first(tmp_path: Path) -> None:
    endpoint, _ = of_manner("queue", tmp_path)
    assert endpoint.provider.problems["invalid"].statuses == (400,)
    assert endpoint.provider.problems["invalid"].shape is not None


def test_a_default_that_breaks_its_own_bounds_is_left_out_and_told(tmp_path: Path) -> None:
    endpoint, draft = of_manner("queue", tmp_path)
    assert not endpoint.parameters["size.width"].has_default
    assert "parameter size.width: its default, 0, breaks its own rules; it is left out." in draft.unknowns


def test_a_host_that_only_calls_back_says_so_and_promises_no_picture(tmp_path: Path) -> None:
    endpoint, draft = of_manner("webhook", tmp_path)
    assert endpoint.outputs.count == 0
    assert any(says.startswith("outputs: no reply") for says in draft.unknowns)
    assert any(says.startswith("story:") and "calls back" in says for says in draft.unknowns)
    assert any("multipart/form-data" in says for says in draft.unknowns)
    assert any("oauth2" in says for says in draft.unknowns)
    assert endpoint.parameters["paper"].schema["enum"] == ["rough", "fine"]
    assert endpoint.parameters["notify.callbackUrl"].calls_out


def test_a_document_whose_references_branch_without_end_is_cut_off_soon() -> None:
    wide: dict[str, Any] = copy.deepcopy(DOCUMENT)
    schemas = wide["components"]["schemas"]
    for level in range(12):
        schemas[f"L{level}"] = {
            "type": "object",
            "properties": {f"p{i}": {"$ref": f"#/components/schemas/L{level + 1}"} for i in range(8)},
        }
    schemas["L12"] = {"type": "string"}
    schemas["Ask"]["properties"]["wide"] = {"$ref": "#/components/schemas/L0"}
    draft = openapi.draft(wide, provider="dreams", read="2026-01-15")
    assert "prompt" in draft.files[draft.endpoint]


def test_values_of_odd_schemas_are_ones_that_they_allow(tmp_path: Path) -> None:
    """Objects with entries that must be given, choices, patterns within lists: each can be asked for."""
    odd = copy.deepcopy(DOCUMENT)
    odd["components"]["schemas"]["Ask"]["properties"] |= {
        "codes": {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]{8}$"}},
        "palette": {
            "anyOf": [
                {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "enum": ["EMBER"]}}},
                {"type": "object", "required": ["hex"], "properties": {"hex": {"type": "string"}}},
            ]
        },
        "frame": {"type": "string", "format": "uuid"},
    }
    endpoint = drafted(tmp_path, odd)[0]
    submit = endpoint.doing(Does.SUBMIT)
    assert submit is not None
    for case in cases.allowed(endpoint):
        call = requests.build(endpoint, submit, "https://a.test", values=case.values)
        [asked] = requests.recognise(endpoint, call)
        assert requests.breaches(endpoint, asked) == [], case.values
