"""Pictures of jobs: where things are drawn, and that every picture has its words."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from report_samples import exchange, rich_run, run, segmind_job, traffic
from wireproof.lifecycle import Status
from wireproof.report import timeline
from wireproof.report.timeline import WIDTH, pictures, state_word, tone, worth_drawing

URL = "https://host.example/jobs/1"


def _job(*steps, job="j"):
    return tuple(
        exchange(n, "status", "GET", URL, status, told, at=at, took=0.1, job=job)
        for n, (at, status, told) in enumerate(steps)
    )


def _one(*exchanges):
    (picture,) = pictures(run(exchanges=exchanges))
    return picture


def test_a_job_is_drawn_as_the_states_it_told_in_their_order():
    picture = _one(*segmind_job(1, "j", 0.0, ("QUEUED", "PROCESSING", "COMPLETED")))
    assert [(band.word, band.tone) for band in picture.bands] == [
        ("QUEUED", "waiting"),
        ("PROCESSING", "working"),
        ("COMPLETED", "good"),
    ]
    assert [mark.shape for mark in picture.marks] == ["submit", "ask", "ask", "ask", "ask", "media"]


def test_everything_lies_inside_the_drawing_and_time_runs_to_the_right():
    for picture in pictures(rich_run()):
        places = [mark.x for mark in picture.marks]
        assert places == sorted(places)
        assert all(0 <= mark.x <= WIDTH for mark in picture.marks)
        assert all(band.x >= 0 and band.x + band.width <= WIDTH for band in picture.bands)
        assert all(after.x - before.x >= 51 for before, after in pairwise(picture.ticks))


def test_a_long_wait_is_shortened_and_says_how_long_it_was():
    hour = _one(*_job((0, 200, {"status": "QUEUED"}), (1, 200, {}), (2, 200, {}), (3602, 404, {})))
    assert [pause.label for pause in hour.pauses] == ["1 h"]
    assert hour.marks[2].x - hour.marks[0].x > WIDTH / 2


def test_even_polling_needs_no_shortening():
    assert _one(*_job(*((n, 200, {"status": "RUNNING"}) for n in range(20)))).pauses == ()


def test_a_job_that_had_ended_and_is_not_found_any_more_has_gone():
    picture = _one(*_job((0, 200, {"status": "done"}), (1, 404, {"error": "x"})))
    assert [(band.word, band.tone) for band in picture.bands] == [("done", "good"), ("404 gone", "gone")]


def test_a_job_that_is_not_found_at_first_has_not_gone():
    picture = _one(*_job((0, 404, {"error": "x"}), (1, 200, {"status": "queued"})))
    assert [band.word for band in picture.bands] == ["queued"]


def test_refused_and_broken_requests_are_marked():
    broken = exchange(2, "status", "GET", URL, None, broke="reset", at=1.0, job="j")
    picture = _one(*_job((0, 200, {}), (0.5, 500, {})), broken)
    assert [mark.good for mark in picture.marks] == [True, False, False]
    assert picture.marks[2].title == "#2 status: reset"


def test_the_picture_and_its_table_say_the_same():
    for picture in pictures(rich_run()):
        assert [step.seq for step in picture.steps] == [mark.seq for mark in picture.marks]
        assert str(len(picture.steps)) in picture.says


def test_one_exchange_alone_can_be_drawn():
    assert len(_one(*_job((5, 200, {"status": "queued"}))).marks) == 1


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"status": "A"}, "A"),
        ({"data": [{"status": "B"}]}, "B"),
        ([{"state": "C"}], "C"),
        ({"job": {"status": "inner"}, "status": "outer"}, "outer"),
        ({"status": 3}, ""),
        ({"errors": []}, ""),
        ("text", ""),
    ],
)
def test_the_state_word_is_found_where_hosts_put_it(told, word):
    assert state_word(exchange(1, "status", "GET", URL, 200, told)) == word


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"status": "x"' + b" " * 70_000 + b"}"])
def test_bodies_that_cannot_be_read_tell_no_state(body):
    assert state_word(exchange(1, "status", "GET", URL, 200, body=body)) == ""


@pytest.mark.parametrize("status", Status)
def test_every_canonical_status_has_a_colour(status):
    assert tone(status.value.upper()) != "unknown"


def test_jobs_that_findings_cite_are_drawn_first():
    assert worth_drawing(rich_run(), 2) == ["job-2", "job-4"]
    assert set(worth_drawing(run(exchanges=traffic()), 99)) == {
        "job-1",
        "job-2",
        "job-3",
        "job-4",
        "runware-1",
    }


def test_pictures_are_plain_values():
    assert json.dumps([str(picture) for picture in timeline.pictures(rich_run())])
