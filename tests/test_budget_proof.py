"""The proof of the budget: whatever is killed, and whatever the host charges, the ceiling holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import budget_world as world
from wireproof import session
from wireproof.ledger import Reservation
from wireproof.model import Call, Exchange, Reply, Run
from wireproof.money import parse
from wireproof.probe.memory import Memory, Skipped
from wireproof.runlog import Digest, load_run


def _holds(outcomes: list[world.Outcome]) -> None:
    over = [one for one in outcomes if one.most > one.plan.budget.amount]
    assert over == []
    for one in outcomes:
        if one.plan.resumes:
            assert one.jobs <= world.planned(one.plan), f"paid for twice: {one}"
        if one.last and one.codes != (0,):
            assert world.unlisted(one) == [], one


def test_no_plan_overspends_whoever_is_killed(tmp_path: Path) -> None:
    outcomes = world.many(range(1, 9), tmp_path, lanes=4, seconds=120)
    _holds(outcomes)
    assert sum(one.killed for one in outcomes) >= 5
    assert sum(one.jobs for one in outcomes) >= 20


@pytest.mark.slow
def test_two_hundred_plans_with_up_to_fifty_workers_never_spend_above_the_ceiling(tmp_path: Path) -> None:
    outcomes = world.many(range(200), tmp_path, lanes=4, seconds=900)
    assert len(outcomes) == 200
    _holds(outcomes)
    assert sum(one.plan.workers == 50 for one in outcomes) == 5
    assert sum(one.killed for one in outcomes) > 200
    assert sum(one.jobs for one in outcomes) > 1000
    # The proof would be idle if budgets were never near their ends.
    assert sum(2 * one.most > one.plan.budget.amount for one in outcomes) > 60


def test_the_command_itself_goes_on_where_it_was_killed_and_pays_nothing_twice(tmp_path: Path) -> None:
    endpoint = world.ENDPOINTS["segmind/p-image"]
    with world.host(endpoint, 5, admits=False) as at:
        shell = {
            **os.environ,
            "XDG_STATE_HOME": str(tmp_path),
            "SEGMIND_API_KEY": at.key,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        words = [sys.executable, "-m", "wireproof.cli", "check"]
        runs = ["--report-dir", str(tmp_path / "runs"), "-q"]
        first = subprocess.Popen([*words, endpoint.name, "--target", at.url, "--budget", "0.10USD", *runs], env=shell)
        deadline = time.monotonic() + 60
        while at.books().jobs < 4 and time.monotonic() < deadline:
            time.sleep(0.005)
        first.send_signal(signal.SIGKILL)
        first.wait()
        (cut,) = (tmp_path / "runs").iterdir()
        done = subprocess.run(
            [*words, "--resume", str(cut), *runs], env=shell, capture_output=True, text=True, timeout=120, check=False
        )
        books = at.books()
    assert done.returncode == 4, done.stderr
    assert books.gone <= world.Money(world.Decimal("0.10"), "USD").amount
    assert books.jobs >= 4
    (last,) = [path for path in (tmp_path / "runs").iterdir() if path != cut]
    before, after = load_run(cut), load_run(last)
    submits = [one.job for one in after.exchanges if one.operation == "submit" and one.job]
    assert len(submits) == len(set(submits))
    assert {one.job for one in before.exchanges if one.job} <= {one.job for one in after.exchanges}
    assert not [note for one in after.verdicts for note in one.notes if "was not kept" in note]
    (summary,) = (one.summary for one in after.verdicts)
    assert summary.spent is not None
    assert summary.held is not None
    # What the run that was killed has spent is told by the one that went on with it.
    assert books.gone <= (summary.spent + summary.held).amount <= world.Decimal("0.10")
    assert at.key not in done.stdout + done.stderr


def _submit(job: str, body: bytes) -> Exchange:
    return Exchange(
        seq=1, call=Call("POST", "http://h/x"), reply=Reply(202, (), body), operation="submit", job=f"a/b {job}"
    )


def test_who_goes_on_with_a_run_that_went_on_with_another_forgets_neither() -> None:
    first = [_submit("one", b"{}"), _submit("two", Digest.of(b"{}"))]
    memory = Memory.of("a/b ", [[_submit("three", b"{}")], first], 0.0, {})
    asked = [replace(_submit(name, b""), reply=None) for name in ("one", "two", "three", "four")]
    assert memory.recall(asked[0], paid=True) == first[0]
    with pytest.raises(Skipped, match="paid for before"):
        memory.recall(asked[1], paid=True)
    assert memory.recall(asked[2], paid=True) is not None
    assert memory.recall(asked[3], paid=True) is None


def test_a_call_that_was_about_to_leave_is_not_made_again_and_one_that_provably_did_not_is() -> None:
    held = {"a/b one": Reservation(1, world.Money(world.Decimal(1), "USD"), "r a/b one")}
    lost = replace(_submit("two", b""), reply=None, broke="refused")
    memory = Memory.of("a/b ", [[lost]], 0.0, held)
    with pytest.raises(Skipped, match="outcome unknown"):
        memory.recall(replace(_submit("one", b""), reply=None), paid=True)
    assert memory.recall(replace(_submit("two", b""), reply=None), paid=True) is None
    assert list(memory.skipped) == ["a/b one"]


def test_an_address_that_was_masked_when_it_was_kept_is_not_asked_for() -> None:
    url = "https://cdn.test/a.png?Signature=***"
    seen = Exchange(
        seq=1, call=Call("GET", url), reply=Reply(200, (), Digest.of(b"x")), operation="media", job="a/b one", output=0
    )
    memory = Memory.of("a/b ", [[seen]], 0.0, {})
    want = replace(seen, reply=None)
    assert memory.recall(want, paid=False) == seen
    with pytest.raises(Skipped, match="masked"):
        memory.recall(replace(want, job="a/b two"), paid=False)
    assert memory.recall(replace(want, job="a/b three", call=Call("GET", "https://cdn.test/b.png")), paid=False) is None


@pytest.mark.parametrize(
    ("kept", "budget", "says"),
    [
        ({"keep_bodies": False}, "1USD", "r kept no bodies"),
        ({"keep_bodies": False, "keep_json": True}, "1USD", ""),
        ({"keep_bodies": True}, "1USD", ""),
        ({"keep_bodies": False}, None, ""),
    ],
)
def test_who_goes_on_with_a_paid_run_that_kept_nothing_is_told_so_first(
    kept: dict[str, bool], budget: str | None, says: str
) -> None:
    run = Run(id="r", command="check", target="http://h", seed=0, started="", version="", options=kept)
    options = session.CheckOptions(budget=parse(budget) if budget else None, resumes=(run,))
    assert session.forgot(options).startswith(says)
    assert bool(session.forgot(options)) is bool(says)
