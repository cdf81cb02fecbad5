"""JUnit XML, held to the rules that readers of it rely on."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

import pytest

from report_samples import PAYLOADS, hostile_run, rich_run, run
from wireproof.report import junit

_TIME = re.compile(r"\d+\.\d{3}|0")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_ALLOWED = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, ["testsuite"]),
    "testsuite": (
        {
            *("name", "id", "package", "hostname", "timestamp", "time"),
            *("tests", "failures", "errors", "skipped"),
        },
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), ["property"]),
    "property": ({"name", "value"}, []),
    "testcase": ({"name", "classname", "time"}, ["skipped", "failure", "error"]),
    "failure": ({"message", "type"}, []),
    "error": ({"message", "type"}, []),
    "skipped": ({"message"}, []),
    "system-out": (set(), []),
    "system-err": (set(), []),
}
"""The elements, their attributes and their children in order, as the schemas of Jenkins and Ant have them."""


def mistakes(text: str) -> list[str]:
    """What the usual schemas would refuse."""
    root = Xml.fromstring(text.encode("utf-8"))
    found = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for element in root.iter():
        attributes, children = _ALLOWED[element.tag]
        found += [f"{element.tag} has {name}" for name in set(element.attrib) - attributes]
        places = [children.index(child.tag) if child.tag in children else -1 for child in element]
        if -1 in places or places != sorted(places):
            found.append(f"{element.tag} holds {[child.tag for child in element]}")
    for suite in root:
        found += _suite_mistakes(suite)
    return found


def _suite_mistakes(suite: Xml.Element) -> list[str]:
    cases = suite.findall("testcase")
    counts = {"tests": len(cases)}
    counts |= {f"{tag}s": sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error")}
    counts["skipped"] = sum(case.find("skipped") is not None for case in cases)
    names = [(case.get("classname"), case.get("name")) for case in cases]
    checks = {
        **{f"{name} is miscounted": suite.get(name) == str(count) for name, count in counts.items()},
        "a case has several fates": all(len(case) <= 1 for case in cases),
        "a name is missing": all(all(pair) for pair in names),
        "two cases share a name": len(set(names)) == len(names),
        "the time is no time": bool(_TIME.fullmatch(suite.get("time", ""))),
        "the timestamp has a zone": bool(_STAMP.fullmatch(suite.get("timestamp", ""))),
    }
    return [mistake for mistake, fine in checks.items() if not fine]


@pytest.mark.parametrize("one", [run(), rich_run()], ids=["empty", "rich"])
def test_the_document_keeps_to_the_usual_schemas(one):
    assert mistakes(junit.render(one)) == []


def test_the_checker_notices_what_the_schemas_refuse():
    text = junit.render(rich_run())
    assert mistakes(text.replace('failures="3"', 'failures="2"'))
    assert mistakes(
        text.replace("<skipped ", "<ignored ")
        .replace("<properties>", "<properties><failure/>", 1)
        .replace("ignored", "skipped")
    )
    assert mistakes(text.replace('timestamp="2026-01-15T09:30:00"', 'timestamp="2026-01-15T09:30:00Z"'))


def test_failure_error_and_skipped_are_kept_apart():
    root = Xml.fromstring(junit.render(rich_run()))
    suites = {suite.get("name"): suite for suite in root}
    image, stopped = suites["segmind/p-image"], suites["segmind/p-image-try-on"]
    assert (image.get("failures"), image.get("errors"), image.get("skipped")) == ("3", "0", "11")
    assert (stopped.get("failures"), stopped.get("errors"), stopped.get("skipped")) == ("0", "1", "38")
    assert stopped.find(".//error").get("message") == "the budget of 0.03 USD was used up"


def test_a_failure_tells_the_whole_finding():
    failure = Xml.fromstring(junit.render(rich_run())).find(".//failure")
    for part in ("expected: 400 with an error body", "specs/segmind/p-image.yaml:48", "#61", "curl -sS"):
        assert part in failure.text


@pytest.mark.parametrize("payload", PAYLOADS)
def test_strict_parsers_read_it_whatever_a_host_says(payload):
    text = junit.render(hostile_run(payload))
    Xml.fromstring(text.encode("utf-8"))
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", text)
