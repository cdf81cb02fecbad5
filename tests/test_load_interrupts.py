"""Ctrl-C at any moment: a report of what is known, every job in it, and a ledger that adds up."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from load_world import SPEC, Steady, World, until
from wireproof.ledger import FileLedger
from wireproof.load import folder
from wireproof.mock.engine import Mock
from wireproof.mock.socket import serving
from wireproof.money import Money
from wireproof.rooms import shipped
from wireproof.spec.load import resolve

HARNESS = str(Path(__file__).resolve().parents[1] / "harness")
BUDGET = Money(Decimal("2.00"), "USD")
PLAN = "kind: plan\nplan: mine\ndownload: false\npoll: 100ms\ndrain: 5s\nphases: [{name: m, rate: 10/s, for: 2s}]\n"


def started(root: Path, url: str, key: str) -> subprocess.Popen[str]:
    """`wireproof load` as a person starts it, against a host that counts as one elsewhere: its jobs are paid."""
    root.mkdir()
    (root / "plan.yaml").write_text(PLAN, encoding="utf-8")
    words = ["load", SPEC, "--plan", "plan.yaml", "--target", url.replace("127.0.0.1", "0.0.0.0"), "--live"]
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "wireproof.cli",
            *words,
            "--budget",
            str(BUDGET).replace(" ", ""),
            "--report-dir",
            "runs",
        ],
        env={**os.environ, "PYTHONPATH": HARNESS, "SEGMIND_API_KEY": key, "XDG_STATE_HOME": str(root / "state")},
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(root: Path, after: float) -> int:
    """A run that is interrupted once, so many seconds after its folder was made; checked, and its exit code."""
    mock = Mock(resolve(SPEC), manners=Steady(0.3))
    with serving(mock) as url:
        process = started(root, url, mock.key("segmind"))
        until(lambda: any(root.glob("runs/*")), 40.0)
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, says = process.communicate(timeout=60)
        here = World(mock, url, resolve(SPEC), root)
        # An interpreter that is on its way out hears no more: the signal ends it, which a shell tells as 130, too.
        assert process.returncode in (0, 3, 5, 130, -signal.SIGINT), says[-2000:]
        ledger_holds(root, here)
        (place,) = root.glob("runs/*")
        everything_is_told(place, here)
    return process.returncode


def everything_is_told(place: Path, here: World) -> None:
    """The summary can be read, and every job that the host took is in it."""
    summary = json.loads((place / folder.SUMMARY).read_text(encoding="utf-8"))
    jsonschema.validate(summary, json.loads((shipped("specs") / "schema" / "load-summary.schema.json").read_text()))
    jobs = folder.jobs(place)
    known = {job.ids["job"] for job in jobs if "job" in job.ids}
    nameless = sum("job" not in job.ids for job in jobs)
    assert len(set(here.taken) - known) <= nameless
    assert summary["jobs"] == len(jobs) >= len(here.taken)


def ledger_holds(root: Path, here: World) -> None:
    """What the host charged is in the ledger, and the ledger stayed within the budget."""
    billed = sum((job.cost for job in here.taken.values()), Decimal(0))
    logs = list((root / "state").rglob("*.jsonl"))
    assert logs or not billed
    for log in logs:
        with FileLedger.open(log.parents[1], log.parent.name, BUDGET, budget=log.stem) as ledger:
            assert ledger.before is not None
            assert billed <= ledger.before.at_most.amount <= BUDGET.amount


@pytest.mark.slow
def test_ctrl_c_at_any_moment_leaves_a_report_of_every_job_and_a_ledger_that_adds_up(tmp_path):
    chance = random.Random(20)
    moments = [chance.uniform(0.0, 4.0) for _ in range(20)]
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(interrupted, (tmp_path / str(number) for number in range(20)), moments))
    assert ends.count(130) >= 10


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once(tmp_path):
    mock = Mock(resolve(SPEC), manners=Steady(600.0))
    with serving(mock) as url:
        process = started(tmp_path / "run", url, mock.key("segmind"))
        here = World(mock, url, resolve(SPEC), tmp_path)
        until(lambda: len(here.taken) > 5, 40.0)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, says = process.communicate(timeout=60)  # a tenth of what its jobs take
        assert process.returncode == 130, says[-2000:]
        (place,) = (tmp_path / "run" / "runs").iterdir()
        everything_is_told(place, here)
        ledger_holds(tmp_path / "run", here)
