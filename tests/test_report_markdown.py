"""Markdown, read back by a Markdown parser."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from report_samples import (
    PAYLOADS,
    finding,
    hostile_run,
    huge_run,
    rich_run,
    run,
    verdict,
)
from wireproof.report import markdown

READER = MarkdownIt("commonmark").enable("table").enable("strikethrough")


def _tokens(text):
    for token in READER.parse(text):
        yield token
        yield from token.children or ()


def _shape(text):
    """The mark-up alone, without any words."""
    told = [token.type for token in _tokens(text) if token.type not in ("text", "code_inline", "softbreak")]
    return [kind for kind in told if kind != "text_special"]


def test_the_page_names_verdict_findings_places_and_what_was_not_exercised():
    text = markdown.render(rich_run())
    for part in (
        "# 2 of 5 endpoints do not conform",
        "❔ could not tell: the budget of 0.03 USD was used up",
        "`specs/segmind/protocol.yaml:112 moves`",
        "## Not exercised",
        "no budget was given for this paid probe",
        "0.03 USD + 1 job of unknown cost",
        "seed 7",
    ):
        assert part in text, part


def test_an_empty_run_is_a_page_too():
    assert markdown.render(run()).startswith("# Nothing was looked at\n")


@pytest.mark.parametrize("payload", [p for p in PAYLOADS if p.strip()])
def test_foreign_words_form_no_mark_up(payload):
    plain = "x" * min(len(payload), 3_000)
    assert _shape(markdown.render(hostile_run(payload))) == _shape(markdown.render(hostile_run(plain)))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_there_is_no_html_no_picture_and_no_link(payload):
    kinds = {token.type for token in _tokens(markdown.render(hostile_run(payload)))}
    assert not kinds & {"html_block", "html_inline", "image", "link_open"}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cell_is_split_even_by_readers_that_count_backslashes(payload):
    for row in markdown.render(hostile_run(payload)).split("\n"):
        if row.startswith("| ") and row.endswith(" |"):
            assert _cells(row, pairs=True) == _cells(row, pairs=False), row


def _cells(row: str, *, pairs: bool) -> int:
    """How many cells a reader sees for whom a pair of backslashes is one character, or is not."""
    count, before = 0, ""
    for char in row:
        count += char == "|" and before != "\\"
        before = "" if pairs and char == before == "\\" else char
    return count


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *((same, same) for same in ("plain", "`", "``", "a`b", " x ", "a|b", "\\", "<b>", "&amp;")),
        ("a\\|b", "a\\\\u007cb"),
    ],
)
def test_a_code_span_shows_the_text_itself(text, shown):
    (told,) = [
        token.content for token in _tokens(f"| h |\n|---|\n| {markdown.code(text)} |\n") if token.type == "code_inline"
    ]
    assert told == shown


def test_a_huge_run_fits_into_a_step_summary_and_says_what_is_left_out():
    text = markdown.render(huge_run(10_000))
    assert len(text.encode()) < 1024 * 1024
    assert "9,800 further findings" in text


def test_a_fence_is_longer_than_any_inside():
    text = markdown.render(run(verdict("a/b", (finding(1, replay="curl ````x````"),))))
    assert "`````sh\ncurl ````x````\n`````" in text
