"""How a run ends before its plan is done: by its time, by a person, and with a word why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from test_cli import run
from test_conform import Forgets
from wireproof import cli
from wireproof.clock import SteppedClock
from wireproof.conform import Target, conform
from wireproof.mock.engine import Mock
from wireproof.mock.socket import serving
from wireproof.model import GIVEN_UP, Call, Credential, Exchange, Reply
from wireproof.probe.driver import LEAST, Bounds, Driver, Stopped, Story, Want
from wireproof.probe.memory import Memory, Skipped
from wireproof.probe.sender import Sent
from wireproof.spec.load import resolve

(SEGMIND,) = resolve("segmind/p-image")
CALL = Call("GET", "http://127.0.0.1:1/")


@dataclass
class Slow:
    """A host that answers after so many seconds, or not within the time-out."""

    clock: SteppedClock
    takes: float
    timeout: float = 30.0
    allowed: list[float] = field(default_factory=list)

    def send(self, call: Call, *, timeout: float | None = None, free: bool = False) -> Sent:
        given = timeout or self.timeout
        self.allowed.append(given)
        self.clock.sleep(min(self.takes, given))
        return Sent(Reply(200), None) if self.takes <= given else Sent(None, "timeout")


def driven(takes: float, bounds: Bounds, *wants: Want) -> tuple[Driver, Slow, str]:
    """A run of these calls, one after the other, and why it was stopped."""
    host = Slow(SteppedClock(), takes)
    driver = Driver(sender=host, clock=host.clock, bounds=bounds)

    def story() -> Story:
        for one in wants:  # noqa: UP028  (a tuple takes no answers)
            yield one

    try:
        driver.run([story()])
    except Stopped as stopped:
        return driver, host, stopped.why
    return driver, host, ""


def want(at: float = 0.0, timeout: float | None = None) -> Want:
    return Want(call=CALL, at=at, operation="status", timeout=timeout)


# ------------------------------------------------------------------------------------------ its time


def test_a_call_is_given_no_more_time_than_the_run_has_left() -> None:
    driver, host, why = driven(8.0, Bounds(seconds=20), want(), want(), want(), want())
    assert host.allowed == [20.0, 12.0, 4.0]
    assert [one.broke for one in driver.exchanges] == [None, None, GIVEN_UP]
    assert (host.clock.now(), why) == (20.0, "--max-time 20 is reached")


def test_a_call_keeps_its_own_time_out_where_that_ends_sooner() -> None:
    driver, host, _ = driven(60.0, Bounds(seconds=100), want(timeout=5.0), want(), want())
    assert host.allowed == [5.0, 30.0, 30.0]
    assert {one.broke for one in driver.exchanges} == {"timeout"}


def test_the_last_call_is_given_a_moment_at_least() -> None:
    _, host, _ = driven(0.1, Bounds(seconds=20), want(), want(at=19.8))
    assert host.allowed == [20.0, LEAST]


def test_a_run_without_a_bound_leaves_a_call_its_time() -> None:
    _, host, why = driven(8.0, Bounds(), want(), want(timeout=120.0))
    assert (host.allowed, why) == ([30.0, 120.0], "")


@pytest.mark.parametrize("bounds", [Bounds(seconds=5), Bounds(seconds=5, gap=60.0)])
def test_nobody_waits_beyond_the_end_of_a_run_for_what_is_due_later(bounds: Bounds) -> None:
    driver, host, why = driven(0.0, bounds, want(), want(at=60.0))
    assert (len(driver.exchanges), host.clock.now(), why) == (1, 5.0, "--max-time 5 is reached")


def test_a_host_that_never_answered_is_said_to_have_been_silent() -> None:
    _, _, why = driven(60.0, Bounds(seconds=5), want(), want())
    assert why == "--max-time 5 is reached, and no call was answered until then"


@pytest.mark.parametrize("paid", [False, True])
def test_a_call_that_was_given_up_is_made_anew_by_who_goes_on_unless_it_may_be_paid_for(paid: bool) -> None:
    given_up = Exchange(
        seq=1, call=CALL, reply=None, broke=GIVEN_UP, operation="status", credential=Credential.GOOD, job="a b"
    )
    memory = Memory.of("a ", [[given_up]], 0.0, {})
    if paid:
        with pytest.raises(Skipped, match="outcome unknown"):
            memory.recall(given_up, paid=True)
    else:
        assert memory.recall(given_up, paid=False) is None


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A host that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_run_at_a_host_that_hangs_ends_with_its_time_and_says_why(silent: socket.socket) -> None:
    verdict, exchanges = conform(SEGMIND, Target(base=address(silent), key="SG_0123456789"), bounds=Bounds(seconds=1.5))
    assert verdict.summary.stopped == "--max-time 1.5 is reached, and no call was answered until then"
    assert {one.broke for one in exchanges} == {GIVEN_UP}
    assert verdict.findings == (), "that we had no more time is no fault of the host"


# ----------------------------------------------------------------------------------------- a person


HEARS_INTERRUPTS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins deaf to it
from wireproof.cli import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_before_the_first_answer_is_told(
    silent: socket.socket, number: signal.Signals, tmp_path: Path
) -> None:
    source = str(Path(cli.__file__).parents[1])
    words = ["check", "segmind/p-image", "--target", address(silent), "--report-dir", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-c", HEARS_INTERRUPTS, *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source, "SEGMIND_API_KEY": "SG_0123456789abcdef"},
    ) as process:
        line, _ = silent.accept()
        with line:
            process.send_signal(number)
            _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "wireproof: interrupted before anything was answered\n")


# ------------------------------------------------------------------------------------------ its budget


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ("-1USD", "write it like 0.50USD or 20credits"),
        ("0.06", "write it like 0.50USD or 20credits"),
        ("nanUSD", "write it like 0.50USD or 20credits"),
        ("1e-3USD", "write it like 0.50USD or 20credits"),
        ("0.06 EUR", "paid in USD, which a budget of 0.06 EUR cannot cover: write it like 0.06USD"),
    ],
)
def test_an_odd_budget_is_refused_with_one_that_would_do(budget: str, says: str, tmp_path: Path) -> None:
    words = ("check", "segmind/p-image", "--target", "http://127.0.0.1:1", "--report-dir", str(tmp_path))
    done = run(*words, f"--budget={budget}", SEGMIND_API_KEY="SG_0123456789abcdef")
    assert done.returncode == 2
    assert says in done.stderr


# ----------------------------------------------------------------------------------- a late look


@pytest.mark.parametrize(("late", "heard"), [(3.0, False), (90.0, True)])
def test_a_job_is_asked_for_once_more_as_late_as_a_run_was_told(late: float, heard: bool) -> None:
    """A host that forgets a minute after the end, on a clock that only we move."""
    clock, mock = SteppedClock(), Mock([SEGMIND], manners=Forgets())
    with serving(mock, clock=clock) as url:
        target = Target(base=url, key=mock.key("segmind"))
        verdict, exchanges = conform(SEGMIND, target, profile="quick", clock=clock, late=late)
    (end, *_) = [one for one in exchanges if one.purpose == "asked again late"]
    assert end.at >= late
    assert ("JOB008" in {one.check for one in verdict.findings}) is heard


def test_where_calls_are_counted_some_are_kept_for_the_late_look() -> None:
    clock, mock = SteppedClock(), Mock([SEGMIND], manners=Forgets())
    with serving(mock, clock=clock) as url:
        target = Target(base=url, key=mock.key("segmind"))
        verdict, exchanges = conform(SEGMIND, target, bounds=Bounds(requests=60), clock=clock, late=90.0)
    assert len(exchanges) <= 60
    assert "JOB008" in {one.check for one in verdict.findings}
    assert any("--max-requests 60 is reached" in note for note in verdict.notes)
