"""The reports of a load run: functions of its summary, whole without a network, harmless whatever hosts wrote."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from load_world import Lognormal, world
from wireproof import cli
from wireproof.load import command, summing, terminal
from wireproof.report import load as report


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("load")
    plan = """download: false
poll: 100ms
drain: 5s
phases: [{name: m, rate: 30/s, for: 3s}]
thresholds:
  - {measure: completion.p50, at_most: 5s}
  - {measure: completion.p90, at_most: 1ms}
  - {measure: completion.p99, at_most: 5s}
"""
    with world(root, Lognormal(0.3, 0.3), "segmind/p-image-edit", "runware/p-image-edit") as here:
        return here.run(here.plan(plan))


def test_a_threshold_is_held_missed_or_undecided_for_want_of_jobs(run):
    answers = {(t["demand"].split()[0], t["answer"]) for t in run.summary["thresholds"]}
    assert answers == {("completion.p50", "held"), ("completion.p90", "missed"), ("completion.p99", "undecided")}


def test_the_page_loads_nothing_and_runs_nothing(run):
    page = report.html(run.summary)
    assert len(page) < 1_500_000
    assert "<script" not in page
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", page)


def test_every_picture_has_a_table_of_the_same(run):
    page = report.html(run.summary)
    pictures = page.count('<svg viewBox="0 0 680')
    assert pictures >= 5
    assert page.count("The same in numbers") == pictures


def test_what_a_host_wrote_is_only_text_in_every_report(run):
    evil = '<img src=x onerror=alert(1)>|"\x1b[31m'
    course = {**run.summary["course"], "troubles": []}
    endpoints = {f"segmind/{evil}": {**e, "problems": {evil: 1}} for e in run.summary["endpoints"].values()}
    summary = {**run.summary, "plan": evil, "stopped": evil, "endpoints": endpoints, "course": course}
    page = report.html(summary)
    assert "<img" not in page
    assert "\x1b" not in page + report.markdown(summary) + report.junit(summary) + terminal.render(summary)
    assert "<img" not in report.markdown(summary)
    ElementTree.fromstring(report.junit(summary))


def test_junit_keeps_missed_undecided_and_held_apart(run):
    root = ElementTree.fromstring(report.junit(run.summary))
    assert len(root.findall(".//failure")) == 2
    assert len(root.findall(".//skipped")) == 2


def test_the_terminal_tells_the_numbers_and_what_they_are_worth(run):
    text = terminal.render(run.summary, 140)
    assert "segmind/p-image-edit" in text
    assert re.search(r"0\.\d\d \(0\.\d\d-0\.\d\d\)", text)
    assert "p95 needs 72 jobs, p99 needs 368 jobs; there are at most 45" in text


def test_cold_and_warm_jobs_are_told_apart_everywhere(run):
    for numbers in run.summary["endpoints"].values():
        cold, warm = numbers["warmth"]["cold"], numbers["warmth"]["warm"]
        assert cold["jobs"] >= 1 and cold["jobs"] + warm["jobs"] == numbers["measured"]
        assert warm["completion"]["p50"]["value"] > 0
    assert "segmind/p-image-edit: cold " in terminal.render(run.summary, 140)
    assert "<td>cold</td>" in report.html(run.summary)
    assert "| segmind/p-image-edit | cold |" in report.markdown(run.summary)


@pytest.mark.parametrize("width", [40, 80, 100, 140])
def test_a_terminal_of_any_width_shows_every_endpoint_and_number(run, width):
    text = " ".join(terminal.render(run.summary, width).split())
    assert "…" not in text
    for name, numbers in run.summary["endpoints"].items():
        assert name in text
        assert f"{numbers['completion']['p50']['value']:.2f} (" in text


def test_reports_are_written_beside_the_summary(run):
    assert {path.name for path in report.write(run.folder)} == {"report.html", "report.md", "junit.xml"}


def test_only_hosts_of_one_model_are_compared_and_what_is_withheld_is_one_line(tmp_path):
    plan = "download: false\npoll: 100ms\ndrain: 5s\nphases: [{name: m, rate: 9/s, for: 1s}]\n"
    with world(
        tmp_path, Lognormal(0.1, 0.1), "segmind/p-image", "segmind/p-image-edit", "runware/p-image-edit"
    ) as here:
        summary = here.run(here.plan(plan)).summary
    assert {(d["a"], d["b"]) for d in summary["differences"]} == {("runware/p-image-edit", "segmind/p-image-edit")}
    told = [row for row in terminal.render(summary, 200).splitlines() if "not compared" in row]
    assert len(told) == 1
    assert "p95 needs 72 blocks" in told[0] and "has 3" in told[0]


def test_a_quote_is_a_small_table():
    summary = command.run(["segmind/p-image", "runware/p-image-edit"], "smoke", dry_run=True).summary
    rows = terminal.render(summary, 100).splitlines()
    assert rows[0].startswith("smoke · 12 jobs in 3 s · at worst")
    assert [row.split()[0] for row in rows[1:4]] == ["endpoint", "segmind/p-image", "runware/p-image-edit"]


@pytest.mark.parametrize(
    ("measure", "what", "code"),
    [("unsuccessful", "cpu", 0), ("unsuccessful", "in flight", 5), ("completion.p50", "cpu", 5), (None, "cpu", 5)],
)
def test_a_busy_generator_spoils_times_but_not_counts(run, measure, what, code):
    health = {"verdict": "invalid", "reasons": [{"health": "invalid", "what": what, "says": ""}]}
    asked = [{"endpoint": "a", "measure": measure, "demand": "", "answer": "held", "says": ""}] if measure else []
    assert summing.exit_code({**run.summary, "health": health, "thresholds": asked}) == code


def test_a_run_that_was_killed_before_it_was_summed_up_is_reported_from_its_folder(run, tmp_path):
    place = tmp_path / "killed"
    shutil.copytree(run.folder, place, ignore=shutil.ignore_patterns("summary.json", "report.*"))
    done = CliRunner().invoke(cli.app, ["report", str(place), "--format", "md", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "report.md").read_text() == report.markdown(run.summary)
