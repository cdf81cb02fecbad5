"""JUnit XML: a suite per endpoint; failure, error and skipped kept apart."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as Xml

from wireproof.model import Run, Verdict
from wireproof.report.cases import Case, Fate, cases
from wireproof.report.plain import line, lines
from wireproof.report.reading import spend_words

_ELEMENT = {Fate.FAILED: "failure", Fate.ERROR: "error", Fate.SKIPPED: "skipped"}


def render(run: Run) -> str:
    """The document; characters that XML cannot hold are shown as `\\uXXXX`."""
    suites = [_suite(run, number, verdict) for number, verdict in enumerate(run.verdicts)]
    root = Xml.Element("testsuites", {"name": f"wireproof {line(run.command)}", **_totals(suites)})
    root.extend(suites)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _totals(suites: list[Xml.Element]) -> dict[str, str]:
    totals = {name: str(sum(int(s.get(name, "0")) for s in suites)) for name in ("tests", "failures", "errors")}
    return {**totals, "time": _seconds(sum(float(s.get("time", "0")) for s in suites))}


def _suite(run: Run, number: int, verdict: Verdict) -> Xml.Element:
    told = list(cases(run, verdict))
    fates = Counter(case.fate for case in told)
    suite = Xml.Element(
        "testsuite",
        {
            "name": line(verdict.endpoint),
            "id": str(number),
            "package": "wireproof",
            "hostname": line(run.target) or "unknown",
            "timestamp": _timestamp(run.started),
            "time": _seconds(verdict.summary.seconds),
            "tests": str(len(told)),
            "failures": str(fates[Fate.FAILED]),
            "errors": str(fates[Fate.ERROR]),
            "skipped": str(fates[Fate.SKIPPED]),
        },
    )
    suite.append(_properties(run, verdict))
    suite.extend(_case(verdict, case) for case in told)
    Xml.SubElement(suite, "system-out").text = lines("\n".join(verdict.notes))
    Xml.SubElement(suite, "system-err").text = ""
    return suite


def _properties(run: Run, verdict: Verdict) -> Xml.Element:
    element = Xml.Element("properties")
    rows = {
        "run": run.id,
        "version": run.version,
        "seed": str(run.seed),
        "calls": str(verdict.summary.calls),
        "jobs": str(verdict.summary.jobs),
        "spent": spend_words(verdict.summary),
    }
    for name, value in rows.items():
        Xml.SubElement(element, "property", {"name": name, "value": line(value)})
    return element


def _case(verdict: Verdict, case: Case) -> Xml.Element:
    group = f"{line(verdict.endpoint).replace('.', '-')}.{case.group}"
    element = Xml.Element("testcase", {"classname": group, "name": line(case.name), "time": "0"})
    if case.fate is not Fate.PASSED:
        attributes = {"message": line(case.message)}
        if case.fate is not Fate.SKIPPED:
            attributes["type"] = line(case.kind)
        Xml.SubElement(element, _ELEMENT[case.fate], attributes).text = lines(case.text) or None
    return element


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _timestamp(started: str) -> str:
    """As the schema wants it: to the second, without a zone (ours is UTC)."""
    return line(started)[:19]
