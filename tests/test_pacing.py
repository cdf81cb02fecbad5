"""A mock keeps the pace that it is told: by a law for each phase, or as a recording shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wireproof.cli import app
from wireproof.errors import UsageError
from wireproof.generate import cases
from wireproof.mock.engine import Mock
from wireproof.mock.moods import Fault, Mood, load_moods
from wireproof.model import Call, Does, Endpoint, Exchange
from wireproof.pacing import Pace, by_law, measured, paced
from wireproof.spec.load import resolve
from wireproof.wire import replies, requests

SEGMIND = resolve("segmind/p-image")[0]
PIXELDOJO = resolve("pixeldojo/p-image-edit")[0]
EVERY = 0.25
"""Seconds between two polls."""


def recorded(
    endpoint: Endpoint, faults: Sequence[Fault] = (), jobs: int = 1, gap: float = 100.0
) -> tuple[Mock, list[Exchange]]:
    """A mock of that pace, and what a patient client writes down of its jobs, on a clock that is moved by hand."""
    mock = Mock([endpoint], seed=9, mood=Mood("paced", tuple(faults)) if faults else None)
    key, exchanges = mock.key(endpoint.provider.name), list[Exchange]()

    def note(call: Call, now: float, job: int, operation: str) -> Exchange:
        answer = mock.answer(call, now, now)
        exchanges.append(
            Exchange(
                seq=len(exchanges),
                call=call,
                reply=answer.reply,
                at=now,
                took=answer.after,
                operation=operation,
                job=f"job {job}",
            )
        )
        return exchanges[-1]

    for number in range(jobs):
        now, values = number * gap, cases.base(endpoint)
        submit, status = endpoint.doing(Does.SUBMIT), endpoint.doing(Does.STATUS)
        assert submit
        assert status
        call = requests.build(endpoint, submit, "http://m", values=values, key=key)
        id = replies.read(endpoint, submit, note(call, now, number, submit.name).reply, values).id
        ends = next(job.ends for job in mock.memory if job.id == id)
        while now < ends:
            now += EVERY
            note(requests.build(endpoint, status, "http://m", job=id or "", key=key), now, number, status.name)
        note(Call("GET", f"http://m/~media/{id}-0.png"), now, number, "media")
    return mock, exchanges


def test_a_recording_shows_the_pace_as_closely_as_it_was_asked() -> None:
    law = [by_law("queue=uniform:2:0.5"), by_law("run=log-normal:6:0.3"), by_law("transfer=fixed:1.5")]
    mock, exchanges = recorded(PIXELDOJO, law, jobs=30)
    seen = measured(PIXELDOJO, exchanges)
    for job, queue, run in zip(mock.memory, seen.queue, seen.run, strict=True):
        assert queue == pytest.approx(job.queue, abs=EVERY / 2 + 0.01)
        assert run == pytest.approx(job.run, abs=EVERY + 0.01)
    assert seen.transfer == (1.5,) * 30


def test_what_a_host_tells_of_its_times_is_taken_at_its_word() -> None:
    mock, exchanges = recorded(SEGMIND, [by_law("run=uniform:3:0.9")], jobs=5)
    seen = measured(SEGMIND, exchanges)
    assert seen.run == tuple(job.run for job in mock.memory)
    assert seen.queue == pytest.approx([job.queue for job in mock.memory], abs=EVERY)


def test_a_mock_replays_the_times_of_a_recording_and_no_others() -> None:
    _, exchanges = recorded(SEGMIND, [by_law("queue=uniform:3:0.9"), by_law("transfer=uniform:2:0.9")], jobs=20)
    seen = measured(SEGMIND, exchanges)
    mock, again = recorded(SEGMIND, seen.faults, jobs=40)
    jobs = list(mock.memory)
    assert {job.queue for job in jobs} <= set(seen.queue)
    assert {job.run for job in jobs} <= set(seen.run)
    transfers = {exchange.took for exchange in again if exchange.operation == "media"}
    assert transfers <= set(seen.transfer)
    assert min(len({job.queue for job in jobs}), len(transfers)) > 10, "all of them, not the middle"


def test_a_phase_that_nobody_saw_keeps_the_contracts_own_pace() -> None:
    assert measured(SEGMIND, []) == Pace()
    assert Pace().faults == ()
    (fault,) = Pace(run=(1.0,)).faults
    assert fault.options["phase"] == "run"


def test_jobs_that_never_succeeded_say_nothing_of_the_pace() -> None:
    _, exchanges = recorded(SEGMIND, [Fault("fails", at=("submit",))], jobs=2)
    assert measured(SEGMIND, exchanges) == Pace()


def test_a_pace_lies_beneath_a_mood() -> None:
    busy = load_moods()["busy-hour"]
    both = paced(busy, [by_law("queue=fixed:0.5")])
    assert both.name == "busy-hour"
    assert [fault.name for fault in both.faults] == ["paced", *(fault.name for fault in busy.faults)]
    mock = Mock([SEGMIND], mood=both)
    call = Call("POST", "http://m/v2/p-image", (("x-api-key", mock.key("segmind")),), b'{"prompt":"x"}')
    while not len(mock.memory):
        mock.answer(call, 0.0, 0.0)
    assert next(iter(mock.memory)).queue == 0.5 * 8 + 2, "the busy hour is as many times as slow, and more"


@pytest.mark.parametrize(
    "text", ["run", "run=", "run=fixed", "run=fixed:x", "run=fixed:-1", "run=empirical:1", "sleep=fixed:1",
             "run=fixed:inf", "run=uniform:1:2:3", "run=uniform:1:nan", "=fixed:1"]
)  # fmt: skip
def test_a_law_that_is_none_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(UsageError, match="PHASE=LAW:SECONDS"):
        by_law(text)


def test_the_command_refuses_a_recording_without_a_job(tmp_path: Path) -> None:
    file = tmp_path / "empty.har"
    file.write_text('{"log": {"entries": []}}')
    told = CliRunner().invoke(app, ["mock", "segmind/p-image", "--latency", f"from:{file}"])
    assert told.exit_code != 0
    assert "no job" in str(told.exception or told.output)
