"""The table of formats, and the machine-readable ones against their schemas."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from report_samples import (
    PAYLOADS,
    PNG,
    finding,
    hostile_run,
    huge_run,
    rich_run,
    run,
    verdict,
)
from wireproof.errors import UsageError
from wireproof.model import NOWHERE, Call, Exchange, Reply, Severity, Where
from wireproof.report import ctrf, formats, github, har, jsonout, sarif
from wireproof.rooms import shipped
from wireproof.runlog import Digest

RUN_SCHEMA = json.loads((shipped("specs") / "schema" / "run.schema.json").read_text(encoding="utf-8"))
CTRF_SCHEMA = json.loads((Path(__file__).parent / "data" / "ctrf-schema-0.0.json").read_text(encoding="utf-8"))


def _mistakes(schema, text):
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(json.loads(text))]


# ------------------------------------------------------------------------------------- the table


def test_every_format_renders_every_run_and_each_has_a_file_of_its_own():
    for form in formats.FORMATS.values():
        for one in (run(), rich_run()):
            assert isinstance(form.render(one), str)
    assert len({form.suffix for form in formats.FORMATS.values()}) == len(formats.FORMATS)


def test_a_run_is_told_the_same_way_twice():
    for form in formats.FORMATS.values():
        assert form.render(rich_run()) == form.render(rich_run()), form.name


def test_reading_the_table_loads_neither_rich_nor_jinja():
    code = "import sys, wireproof.report.formats; print({'rich', 'jinja2', 'xml'} & set(sys.modules))"
    where = Path(formats.__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=where, capture_output=True, text=True, timeout=30, check=True
    )
    assert told.stdout.strip() == "set()"


def test_an_unknown_format_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean junit"):
        formats.named("junti")
    assert formats.named("markdown") is formats.FORMATS["md"]


def test_reports_are_written_whole_and_nothing_else_is_left_behind(tmp_path):
    written = formats.write(rich_run(), ["json", "md"], tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["report.json", "report.md"]
    assert json.loads(written[0].read_text(encoding="utf-8"))["findings"]


def test_nothing_is_written_when_one_of_the_names_is_wrong(tmp_path):
    with pytest.raises(UsageError):
        formats.write(rich_run(), ["json", "nosuch"], tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_whatever_a_host_says_every_report_can_be_stored_as_utf8(payload):
    for form in formats.FORMATS.values():
        form.render(hostile_run(payload)).encode("utf-8")


# ------------------------------------------------------------------------------------------ JSON


@pytest.mark.parametrize("one", [run(), rich_run(), hostile_run("\ud800")], ids=["empty", "rich", "hostile"])
def test_the_json_document_keeps_to_its_published_schema(one):
    assert _mistakes(RUN_SCHEMA, jsonout.render(one)) == []


def test_the_schema_notices_a_document_that_does_not_keep_to_it():
    document = json.loads(jsonout.render(rich_run()))
    document["verdicts"][0]["summary"]["spent"]["amount"] = 0.0792
    del document["findings"][0]["says"]
    assert len(_mistakes(RUN_SCHEMA, json.dumps(document))) == 2


def test_findings_stand_at_the_top_and_the_gravest_comes_first():
    told = json.loads(jsonout.render(rich_run()))["findings"]
    assert [row["severity"] for row in told] == ["violation"] * 4 + ["drift"] + ["question"] * 2
    assert told[1]["where"] == {
        "file": "specs/segmind/protocol.yaml",
        "line": 140,
        "pointer": "problems.unknown_job",
    }


def test_money_is_exact_text_and_unknown_money_is_null():
    summaries = [row["summary"]["spent"] for row in json.loads(jsonout.render(rich_run()))["verdicts"]]
    assert summaries[2] == {"amount": "0.030", "unit": "USD"}
    silent = verdict("a/b", summary=verdict("a/b").summary.__class__(endpoint="a/b", jobs=1))
    assert json.loads(jsonout.render(run(silent)))["verdicts"][0]["summary"]["spent"] is None


@pytest.mark.parametrize("payload", PAYLOADS)
def test_json_reports_are_pure_ascii_and_strict(payload):
    for told in (jsonout, sarif, ctrf, har):
        text = told.render(hostile_run(payload))
        assert text.isascii()
        assert "NaN" not in text
        json.loads(text)


def test_log_lines_cannot_be_forged_through_what_a_host_says():
    for forged in ("a\nb", "a\r\nb", "a\u2028b", "a\u0085b"):
        assert len(github.render(hostile_run(forged)).splitlines()) == len(
            github.render(hostile_run("ab")).splitlines()
        )


# ----------------------------------------------------------------------------------------- SARIF

_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
SARIF_SUBSET = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "name": {"type": "string"},
                                                "shortDescription": _TEXT,
                                                "help": _TEXT,
                                                "defaultConfiguration": {"properties": {"level": _LEVEL}},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "automationDetails": {"properties": {"id": {"type": "string"}}},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "invocations": {
                        "type": "array",
                        "items": {
                            "required": ["executionSuccessful"],
                            "additionalProperties": False,
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "startTimeUtc": {"type": "string", "format": "date-time"},
                                "toolExecutionNotifications": {
                                    "items": {
                                        "required": ["message"],
                                        "properties": {"level": _LEVEL, "message": _TEXT},
                                    }
                                },
                                "properties": {"type": "object"},
                            },
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "locations"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": _LEVEL,
                                "kind": {
                                    "enum": [
                                        "notApplicable",
                                        "pass",
                                        "fail",
                                        "review",
                                        "open",
                                        "informational",
                                    ]
                                },
                                "message": _TEXT,
                                "partialFingerprints": {
                                    "type": "object",
                                    "additionalProperties": {"type": "string"},
                                },
                                "properties": {"type": "object"},
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "required": ["uri"],
                                                        "properties": {
                                                            "uri": {
                                                                "type": "string",
                                                                "format": "uri-reference",
                                                            }
                                                        },
                                                    },
                                                    "region": {
                                                        "properties": {"startLine": {"type": "integer", "minimum": 1}}
                                                    },
                                                },
                                            },
                                            "logicalLocations": {"type": "array"},
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""The part of SARIF 2.1.0 that we use, closed, so that nothing outside it slips in."""


@pytest.mark.parametrize("one", [run(), rich_run(), hostile_run("a b\\c\n")], ids=["empty", "rich", "hostile"])
def test_the_sarif_log_keeps_to_the_standard(one):
    assert _mistakes(SARIF_SUBSET, sarif.render(one)) == []


def _results(one):
    return json.loads(sarif.render(one))["runs"][0]["results"]


def test_a_sarif_result_points_at_the_line_of_the_contract():
    place = _results(rich_run())[1]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "specs/segmind/protocol.yaml"},
        "region": {"startLine": 140},
    }


def test_every_sarif_result_names_its_rule_and_its_level_is_its_severity():
    (told,) = json.loads(sarif.render(rich_run()))["runs"]
    rules = [rule["id"] for rule in told["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in told["results"])
    assert [result["level"] for result in told["results"]] == ["error"] * 4 + ["warning"] + ["note"] * 2


def test_the_fingerprint_follows_the_key_and_not_the_words_or_the_line():
    def prints(*findings):
        return [r["partialFingerprints"]["wireproofFinding/v1"] for r in _results(run(verdict("a/b", findings)))]

    first = finding(1)
    assert prints(first) == prints(finding(1, says="other words", where=Where("specs/x.yaml", 99, "")))
    assert prints(first) != prints(finding(1, subject="another"))


def test_a_finding_that_stands_nowhere_is_still_placed_in_its_contract():
    lost = finding(1, where=NOWHERE, endpoint="acme/x")
    (result,) = _results(run(verdict("acme/x", (lost,), seen=0)))
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "specs/acme/x.yaml"


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("a b.yaml", "a%20b.yaml"),
        ("/x/y.yaml", "file:///x/y.yaml"),
        ("specs\\x.yaml", "specs/x.yaml"),
        ("a%:#?.yaml", "a%25%3A%23%3F.yaml"),
    ],
)
def test_file_names_become_uris(file, uri):
    assert sarif.uri(file) == uri


def test_what_could_not_be_told_is_a_notification_and_no_result():
    (told,) = json.loads(sarif.render(rich_run()))["runs"]
    (invocation,) = told["invocations"]
    assert not invocation["executionSuccessful"]
    assert "the budget of 0.03 USD was used up" in invocation["toolExecutionNotifications"][0]["message"]["text"]


# ------------------------------------------------------------------------------------------ CTRF


@pytest.mark.parametrize("one", [run(), rich_run(), hostile_run("x")], ids=["empty", "rich", "hostile"])
def test_the_ctrf_report_keeps_to_its_schema(one):
    assert _mistakes(CTRF_SCHEMA, ctrf.render(one)) == []


def test_the_ctrf_summary_counts_its_tests():
    results = json.loads(ctrf.render(rich_run()))["results"]
    summary = results["summary"]
    for status in ("passed", "failed", "skipped", "pending", "other"):
        assert summary[status] == sum(test["status"] == status for test in results["tests"]), status
    assert (summary["failed"], summary["other"]) == (4, 1)
    assert summary["stop"] - summary["start"] == 16_200


# ---------------------------------------------------------------------------------------- GitHub


def test_an_annotation_points_at_file_and_line():
    first = github.render(rich_run()).splitlines()[0]
    assert first.startswith("::error file=specs/pixeldojo/protocol.yaml,line=61,title=REP002 pixeldojo/p-image-edit")
    assert "%0Aexpected: JSON with a status field%0Aactual: text/html, 43 bytes" in first


def test_annotations_are_graded_by_severity():
    commands = [row.split(" ")[0] for row in github.render(rich_run()).splitlines()]
    assert commands == ["::error"] * 4 + ["::warning"] + ["::notice"] * 2


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_workflow_command_can_be_smuggled_in(payload):
    for row in github.render(hostile_run(payload)).splitlines():
        head = re.fullmatch(r"::(error|notice) ((?:(?:file|line|title)=[^:,\r\n]*,?)+)::[^\r\n]*", row)
        assert head, row


# ------------------------------------------------------------------------------------------- HAR

_HAR_ENTRY = {"startedDateTime", "time", "request", "response", "cache", "timings"}
_HAR_REQUEST = {
    "method",
    "url",
    "httpVersion",
    "cookies",
    "headers",
    "queryString",
    "headersSize",
    "bodySize",
}
_HAR_RESPONSE = {
    *("status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL"),
    *("headersSize", "bodySize"),
}


def _entries(one):
    log = json.loads(har.render(one))["log"]
    assert log["version"] == "1.2"
    return log["entries"]


@pytest.mark.parametrize("one", [rich_run(), hostile_run("\x00")], ids=["rich", "hostile"])
def test_every_har_entry_has_all_that_the_format_demands(one):
    for entry in _entries(one):
        assert set(entry) >= _HAR_ENTRY
        assert set(entry["request"]) >= _HAR_REQUEST
        assert set(entry["response"]) >= _HAR_RESPONSE
        assert {"size", "mimeType"} <= set(entry["response"]["content"])
        ours = set(entry) - _HAR_ENTRY - {"comment"}
        assert all(name.startswith("_") for name in ours)
        assert entry["time"] == sum(entry["timings"].values())


def test_bodies_come_back_byte_for_byte():
    content = next(
        e["response"]["content"] for e in _entries(rich_run()) if e["response"]["content"]["mimeType"] == "image/png"
    )
    assert base64.b64decode(content["text"]) == PNG
    assert content["encoding"] == "base64" and content["size"] == len(PNG)


def test_a_call_without_a_reply_says_what_broke():
    (entry,) = [entry for entry in _entries(rich_run()) if entry["response"]["status"] == 0]
    assert entry["_broke"] == "timeout"


def test_a_body_that_was_not_kept_is_told_by_its_digest():
    call = Call("GET", "https://host.example/big.png")
    big = Exchange(seq=1, call=call, reply=Reply(200, (), Digest("ab" * 32, 9_000_000)))
    (entry,) = _entries(run(exchanges=(big,)))
    assert entry["response"]["content"]["size"] == 9_000_000
    assert "ab" * 32 in entry["response"]["content"]["comment"]


SECRET = "SG_not_to_be_seen"


def test_no_report_shows_a_key_that_a_recorder_left_in():
    call = Call(
        "GET",
        f"https://me:{SECRET}@host.example/x?api_key={SECRET}&page=2",
        (("Authorization", f"Bearer {SECRET}"),),
    )
    careless = Exchange(seq=1, call=call, reply=Reply(200, (("set-cookie", SECRET),)), operation="status", job="j")
    one = run(verdict("a/b", (finding(1, evidence=(1,)),)), exchanges=(careless,))
    for form in formats.FORMATS.values():
        assert SECRET not in form.render(one), form.name
    assert "page=2" in har.render(one)


def test_ten_thousand_findings_are_told_by_every_machine_format():
    many = huge_run(10_000)
    assert len(json.loads(jsonout.render(many))["findings"]) == 10_000
    assert sum(1 for f in many.findings if f.severity is Severity.VIOLATION) == github.render(many).count("::error ")
