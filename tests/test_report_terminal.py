"""The terminal report: what it says, and that nothing foreign drives the terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from report_samples import (
    PAYLOADS,
    finding,
    hostile_run,
    huge_run,
    rich_run,
    run,
    traffic,
    verdict,
)
from wireproof.model import Severity
from wireproof.report import terminal
from wireproof.report.terminal import Progress

SGR = re.compile(r"\x1b\[[0-9;]*m")
CURSOR = re.compile(r"\x1b\[(?:\?25[hl]|[0-9]*[ABCDGK]|2K)")
"""What a live display moves itself with."""


def _console(width=100, *, terminal=True, environ=None):
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=terminal,
        color_system="truecolor" if terminal else None,
        legacy_windows=False,
        _environ=environ or {},
    )


def _told(one, **how):
    console = _console(**how)
    terminal.show(one, console)
    return console.file.getvalue()


def _plain(one):
    return terminal.render(one)


def test_every_endpoint_has_its_verdict_line_and_the_run_has_its_own():
    text = _plain(rich_run())
    for row in (
        "✗ segmind/p-image does not conform",
        "✓ segmind/p-image-edit conforms",
        "? segmind/p-image-try-on could not tell: the budget of 0.03 USD was used up",
        "✗ 2 of 5 endpoints do not conform",
    ):
        assert row in text, row


def test_a_finding_says_what_where_and_how_to_see_it_again():
    text = _plain(rich_run())
    for part in (
        "JOB003 the job went back from PROCESSING to QUEUED",
        "expected states only move forward",
        "specs/segmind/protocol.yaml:112 moves",
        "#20 submit 202, #22 status 200",
        "again    curl -sS -X POST",
    ):
        assert part in text, part


def test_findings_are_grouped_by_severity_the_gravest_first():
    text = _plain(rich_run())
    assert text.index("3 violations") < text.index("1 drift") < text.index("1 question")


def test_what_was_not_exercised_is_named_with_its_reason():
    assert "not exercised: output output-71, value value-74" in _plain(rich_run())
    assert "exercised 70 of 79 facts" in _plain(rich_run())


def test_spending_is_told_with_what_is_unknown():
    assert "spent 0.03 USD + 1 job of unknown cost" in _plain(rich_run())


@pytest.mark.parametrize("width", [20, 40, 60, 200])
def test_no_line_but_the_curl_line_is_wider_than_the_terminal(width):
    rows = _plain_rows(width)
    wide = [row for row in rows if len(row) > width and not row.lstrip().startswith("again")]
    assert wide == []


def _plain_rows(width):
    return _told(rich_run(), width=width, terminal=False).split("\n")


def test_the_curl_line_stays_in_one_piece_on_a_narrow_terminal():
    (row,) = [row for row in _plain_rows(30) if "PROCESSING" not in row and '{"p": 2}' in row]
    assert row.strip().startswith("again    curl -sS") and row.rstrip().endswith("'{\"p\": 2}'")


def test_no_color_is_honoured():
    coloured = _told(rich_run())
    plain = _told(rich_run(), environ={"NO_COLOR": "1"})
    colours = re.compile(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;)[0-9;]*m")
    assert colours.search(coloured)
    assert not colours.search(plain)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_only_our_own_styles_reach_the_terminal(payload):
    text = SGR.sub("", _told(hostile_run(payload))).replace("\n", "")
    assert text.isprintable(), [char for char in text if not char.isprintable()]


def test_square_brackets_of_others_are_no_style():
    assert "[bold red]x[/]" in _plain(run(verdict("a/b", (finding(1, says="[bold red]x[/]"),))))


def test_a_huge_run_is_counted_rather_than_scrolled_past():
    text = _plain(huge_run(3_000))
    assert text.count("\n") < 6_000
    assert "more violations: the HTML report lists them all" in text


# -------------------------------------------------------------------------------------- progress


def _work(console, one, payload="segmind/p-image"):
    with Progress(console) as progress:
        progress.start(payload, 10)
        for event in (*traffic()[:5], finding(1), finding(2, Severity.QUESTION)):
            progress(event)
        progress(one)
    return console.file.getvalue()


def test_without_a_terminal_progress_is_one_line_per_endpoint():
    text = _work(_console(terminal=False), verdict("segmind/p-image"))
    assert text.split("\n")[0].startswith("segmind/p-image  no findings · 120 calls")
    assert text.count("\n") <= 2


def test_on_a_terminal_progress_counts_calls_and_findings_as_they_come():
    text = _work(_console(), verdict("segmind/p-image"))
    assert "5 calls" in text and "2 findings" in text


def test_events_before_the_start_are_no_mistake():
    progress = Progress(_console(terminal=False))
    progress(traffic()[0])
    progress(finding(1))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_progress_lets_nothing_foreign_through(payload):
    (one,) = hostile_run(payload).verdicts
    text = CURSOR.sub("", SGR.sub("", _work(_console(), one, payload))).replace("\n", "").replace("\r", "")
    assert text.isprintable(), [char for char in text if not char.isprintable()]
