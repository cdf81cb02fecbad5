"""One job carried out on a stepped clock against the mock itself: what is asked, timed and written down."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from wireproof.clock import SteppedClock
from wireproof.generate.cases import base
from wireproof.lifecycle import Status
from wireproof.load.arrivals import Arrival
from wireproof.load.censor import every
from wireproof.load.conduct import Conduct, Heard, Setup
from wireproof.load.record import Billed, JobRecord, Outcome
from wireproof.mock.engine import Mock
from wireproof.mock.manners import Manners
from wireproof.model import Call, Reply
from wireproof.money import Money
from wireproof.spec.load import resolve

TRIP = 0.02
ENDPOINTS = ["segmind/p-image", "segmind/p-image-edit", "runware/p-image-edit", "pixeldojo/p-image-edit"]


class Timed(Manners):
    def __init__(self, queue: float, run: float, outcome: Status = Status.SUCCEEDED) -> None:
        self._times, self._outcome = (queue, run), outcome

    def pace(self, queue, run):
        return self._times

    def fate(self, asked, outcome):
        return self._outcome


class Line:
    """Calls reach the mock in half a trip; `breaks` names operations whose replies are lost."""

    def __init__(self, mock: Mock, breaks: tuple[str, ...] = ()) -> None:
        self.mock, self.breaks = mock, breaks
        self.clock = SteppedClock()
        self.calls: list[tuple[str, Call]] = []

    def now(self) -> float:
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def send(self, call: Call, name: str, within: float) -> Heard:
        sent = self.now()
        self.calls.append((name, call))
        self.clock.advance(TRIP / 2)
        answer = self.mock.answer(call, self.now(), self.clock.wall())
        self.clock.advance(TRIP / 2 + answer.after)
        reply: Reply | None = None if name in self.breaks else answer.reply
        return Heard(reply, "reset" if reply is None else "", sent, self.now())


def carried(spec: str, manners: Manners, *, breaks: tuple[str, ...] = (), **options) -> tuple[JobRecord, Line]:
    endpoint = resolve(spec)[0]
    mock = Mock([endpoint], manners=manners)
    line = Line(mock, breaks)
    setup = Setup(
        endpoint=endpoint,
        base=f"http://127.0.0.1:1/{endpoint.provider.name}",
        key=mock.key(endpoint.provider.name),
        cadence=every(1.0),
        **options,
    )
    arrival = Arrival(k=3, at=0.0, phase="measure", endpoint=spec, case="base", block=3)
    return Conduct(setup, arrival, 0.0, base(endpoint), line).run(), line


@pytest.mark.parametrize("spec", ENDPOINTS)
def test_the_truth_lies_between_the_two_polls_that_bound_it(spec):
    job, _ = carried(spec, Timed(0.7, 2.6))
    assert job.outcome is Outcome.SUCCEEDED
    assert job.left < 3.3 + TRIP / 2 <= job.right
    assert job.right - job.left <= 1.0 + 2 * TRIP + 1e-9
    assert job.images == 1


def test_the_first_poll_goes_out_at_a_random_part_of_the_interval_and_the_others_after_whole_ones():
    _, line = carried("segmind/p-image", Timed(0.5, 3.0))
    assert [name for name, _ in line.calls] == ["submit", "status", "status", "status", "status", "result", "media"]


def test_an_equal_seed_polls_at_equal_times_and_makes_other_ids_in_another_run():
    one, _ = carried("runware/p-image-edit", Timed(0.5, 3.0), nonce="a")
    two, _ = carried("runware/p-image-edit", Timed(0.5, 3.0), nonce="b")
    assert (one.left, one.right) == (two.left, two.right)
    assert one.ids != two.ids


def test_a_blocking_call_is_known_exactly_and_polls_nothing():
    job, line = carried("segmind/p-image", Timed(0.5, 1.5), blocking=True)
    assert (job.outcome, job.polls, len(line.calls)) == (Outcome.SUCCEEDED, 0, 1)
    assert job.left == job.right == pytest.approx(2.0 + TRIP)
    assert job.accepted is None


def test_the_beginning_of_a_run_is_bounded_by_the_polls_round_it():
    job, _ = carried("segmind/p-image", Timed(2.2, 3.0))
    assert job.running is not None
    assert job.running.left <= 2.2 + TRIP <= job.running.right + TRIP


def test_a_failed_job_costs_what_the_contract_says_of_failures():
    job, _ = carried("segmind/p-image", Timed(0.1, 0.5, Status.FAILED))
    assert (job.outcome, job.billed) == (Outcome.FAILED, Billed.ZERO)
    assert job.spent == Money(Decimal("0.000"), "USD")


def test_a_submit_whose_answer_was_lost_may_have_been_paid():
    job, line = carried("segmind/p-image", Timed(0.1, 0.5), breaks=("submit",))
    assert (job.outcome, job.problem, job.certain) == (Outcome.BROKEN, "reset", False)
    assert job.spent == job.declared
    assert len(line.calls) == 1


def test_polls_that_break_do_not_end_a_job_until_there_are_five_in_a_row():
    job, line = carried("segmind/p-image", Timed(0.1, 0.5), breaks=("status",))
    assert job.outcome is Outcome.BROKEN
    assert [name for name, _ in line.calls].count("status") == 5


def test_a_job_that_outlasts_the_patience_is_censored_where_it_was_last_seen():
    job, _ = carried("segmind/p-image", Timed(0.1, 60.0), patience=5.0)
    assert (job.outcome, job.right) == (Outcome.CENSORED, None)
    assert 3.0 < job.left < 5.0


def test_a_picture_that_is_cut_off_is_no_good_picture_and_the_host_is_still_paid():
    class Cut(Timed):
        def picture(self, job, data):
            return data[:-20]

    job, _ = carried("segmind/p-image", Cut(0.1, 0.5))
    assert (job.outcome, job.problem, job.images) == (Outcome.BROKEN, "the output is cut off", 0)
    assert job.billed is Billed.FULL


def test_the_key_is_not_sent_with_the_download():
    _, line = carried("segmind/p-image", Timed(0.1, 0.5))
    keyed = {name for name, call in line.calls if call.header("x-api-key")}
    assert keyed == {"submit", "status", "result"}


def test_a_link_to_another_host_gets_no_key():
    class Elsewhere(Timed):
        def body(self, scene, job, body):
            return {**body, "status_url": "http://127.0.0.2:9/steal"} if "status_url" in body else body

    _, line = carried("segmind/p-image", Elsewhere(0.1, 0.5))
    assert not any("127.0.0.2" in call.url for _, call in line.calls)


def test_without_downloads_outputs_are_counted_as_told():
    job, line = carried("segmind/p-image", Timed(0.1, 0.5), download=False)
    assert (job.outcome, job.images, job.bytes_in) == (Outcome.SUCCEEDED, 1, 0)
    assert "media" not in [name for name, _ in line.calls]


def test_a_record_of_a_job_survives_its_line():
    job, _ = carried("segmind/p-image", Timed(1.5, 1.5))
    assert JobRecord.from_json(job.to_json()) == job
    assert replace(job, worker=3) != job
