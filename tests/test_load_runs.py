"""Whole load tests over loopback sockets, in processes of their own: nothing lost, nothing overspent."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import jsonschema
import pytest
import trustme

from load_world import Freezing, Steady, World, burning, gone, in_background, kept, processes, unaccounted, until, world
from wireproof.errors import UsageError
from wireproof.ledger import FileLedger
from wireproof.load import folder
from wireproof.load.command import run, summed
from wireproof.load.record import Outcome
from wireproof.mock.engine import Mock
from wireproof.mock.socket import serving
from wireproof.model import Reply
from wireproof.money import Money
from wireproof.rooms import shipped
from wireproof.secrets import Secret
from wireproof.spec.load import resolve
from wireproof.wire.bodies import MISSING

QUICK = "download: false\npoll: 100ms\ndrain: 5s\n"


def test_the_smoke_plan_on_two_workers_keeps_every_job_and_tells_a_summary_of_the_published_form(tmp_path):
    with world(tmp_path, Steady(0.2), "segmind/p-image-edit", "runware/p-image-edit") as here:
        outcome = here.run("smoke", workers=2, rate=8.0, seconds=1.5)
        jobs = kept(outcome)
        assert not unaccounted(here, outcome)
    schema = json.loads((shipped("specs") / "schema" / "load-summary.schema.json").read_text())
    jsonschema.validate(outcome.summary, schema)
    assert len(jobs) == len(here.taken) == 12
    assert {job.outcome for job in jobs} == {Outcome.SUCCEEDED}
    assert {job.worker for job in jobs} == {0, 1}
    assert [sum(job.endpoint == e.name for job in jobs) for e in here.endpoints] == [6, 6]
    assert outcome.exit_code in (0, 5)
    assert (outcome.folder / "calls.hlog").read_text().startswith("#[Histogram log format version 1.3]")


@pytest.mark.slow
def test_latency_counts_from_the_intended_start_while_the_host_is_frozen(tmp_path):
    plan = "blocking: true\ndownload: false\nconcurrency: 60\nphases: [{name: m, rate: 20/s, for: 3s}]\n"
    with world(tmp_path, Steady(0.02), wrap=lambda mock: Freezing(mock, 1.0, 1.0)) as here:
        jobs = kept(here.run(here.plan(plan)))
    frozen = [job for job in jobs if 1.0 < job.intended < 1.9]
    assert len(frozen) >= 17
    for job in frozen:
        assert job.end - job.intended == pytest.approx(2.02 - job.intended, abs=0.15)


@pytest.mark.parametrize(("workers", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM)])
def test_an_interrupted_run_keeps_every_job_that_the_host_took(tmp_path, workers, number):
    with world(tmp_path, Steady(0.5)) as here:
        plan = here.plan(QUICK + "phases: [{name: m, rate: 20/s, for: 60s}]\n")
        wait = in_background(lambda: here.run(plan, workers=workers))
        until(lambda: len(here.taken) > 8)
        os.kill(processes("hub")[0], number)
        outcome = wait()
        assert not unaccounted(here, outcome)
    assert outcome.exit_code == 130
    assert len(kept(outcome)) == len(here.taken)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_none_of_the_jobs_it_had_started(tmp_path):
    with world(tmp_path, Steady(0.7)) as here:
        plan = here.plan(QUICK + "phases: [{name: m, rate: 20/s, for: 2s}]\n")
        wait = in_background(lambda: here.run(plan, workers=2))
        until(lambda: len(here.taken) > 12)
        os.kill(processes("worker")[0], signal.SIGKILL)
        outcome = wait()
        jobs = kept(outcome)
        assert not unaccounted(here, outcome)
    assert len(jobs) == len(here.taken)
    assert {job.outcome for job in jobs} == {Outcome.SUCCEEDED, Outcome.CENSORED}
    assert outcome.summary["lost_workers"] == 1
    assert outcome.summary["health"]["verdict"] != "valid"


def test_two_workers_spend_the_whole_budget_and_not_a_cent_more(tmp_path):
    with world(tmp_path, Steady(0.1)) as here:
        plan = here.plan(QUICK + "phases: [{name: m, rate: 40/s, for: 20s}]\n")
        outcome = here.run(plan, workers=2, budget=("0.15USD",))
        billed = sum((job.cost for job in here.taken.values()), Decimal(0))
    assert Decimal("0.1425") <= billed <= Decimal("0.15")
    assert outcome.exit_code in (4, 5)
    assert outcome.summary["stopped"].startswith("budget")


class Modest(Steady):
    """Jobs that are charged in full, and said to have cost nothing."""

    def fact(self, scene, job, name, value):
        return 0 if name == "job.cost" and value is not MISSING else value


class Grasping(Steady):
    """A host that takes every job, charges for it, and says that the request was wrong."""

    def reply(self, scene, answer):
        wrong = Reply(400, (("content-type", "application/json"),), b'{"error": "invalid"}')
        return replace(answer, reply=wrong) if scene.asked.operation.does.bills else answer


@pytest.mark.parametrize("manners", [Modest(0.1), Grasping(0.1)], ids=["says it is free", "says it was refused"])
def test_no_host_overspends_a_budget_by_telling_less_than_it_charges(tmp_path, manners):
    with world(tmp_path, manners) as here:
        plan = here.plan(QUICK + "phases: [{name: m, rate: 20/s, for: 2s}]\n")
        outcome = here.run(plan, budget=("0.06USD",))
        billed = sum((job.cost for job in here.taken.values()), Decimal(0))
    assert Decimal("0.04") <= billed <= Decimal("0.06")
    assert outcome.summary["stopped"].startswith("budget")


def test_a_load_test_that_was_killed_goes_on_within_the_same_budget_also_on_this_machine(tmp_path):
    with world(tmp_path, Steady(30.0)) as here:
        plan = here.plan(QUICK + "phases: [{name: m, rate: 20/s, for: 3s}]\n")
        wait = in_background(lambda: here.run(plan, budget=("0.06USD",)))
        until(lambda: len(here.taken) > 5)
        os.kill(processes("hub")[0], signal.SIGKILL)
        wait()
        here.run(plan, budget=("0.06USD",))
        billed = sum((job.cost for job in here.taken.values()), Decimal(0))
    assert billed <= Decimal("0.06")
    assert len(list((tmp_path / "ledger").rglob("*.jsonl"))) == 1


def test_who_is_killed_before_its_processes_has_not_left_its_budget(tmp_path):
    with world(tmp_path, Steady(0.1)) as here:
        shell = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SEGMIND_API_KEY": here.keys["segmind"].reveal(),
        }
        plan = here.plan(QUICK + "phases: [{name: m, rate: 20/s, for: 30s}]\n")
        words = ["load", "segmind/p-image", "--plan", str(plan), "--target", here.url, "--budget", "1USD"]
        first = subprocess.Popen(
            [sys.executable, "-m", "wireproof.cli", *words, "--report-dir", str(tmp_path / "runs")],
            env={**shell, "XDG_STATE_HOME": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: len(here.taken) > 5, 40.0)
        hub = processes("hub", of=first.pid)[0]
        first.kill()
        first.wait()
        until(lambda: gone(hub), 40.0)
    (log,) = tmp_path.rglob("ledger/*/*.jsonl")
    with FileLedger.open(log.parents[1], log.parent.name, Money(Decimal(1), "USD")) as ledger:
        assert ledger.budget == log.stem


def test_a_mock_of_our_own_costs_nothing_and_leaves_no_ledger(tmp_path):
    with world(tmp_path, Steady(0.1)) as here:
        here.run(here.plan(QUICK + "phases: [{name: m, rate: 5/s, for: 1s}]\n"), budget=("1USD",), embedded=True)
    assert not (tmp_path / "ledger").exists()


@pytest.mark.slow
def test_a_closed_plan_keeps_so_many_jobs_in_flight(tmp_path):
    with world(tmp_path, Steady(0.2)) as here:
        outcome = here.run(here.plan(QUICK + "phases: [{name: m, users: 5, for: 2s}]\n"))
    assert outcome.summary["model"] == "closed"
    assert max(outcome.summary["course"]["in_flight"]) <= 5.1
    assert 20 <= len(kept(outcome)) <= 50


@pytest.mark.slow
def test_a_run_whose_processes_all_die_can_still_be_summed_up(tmp_path):
    with world(tmp_path, Steady(0.6)) as here:
        plan = here.plan(QUICK + "phases: [{name: m, rate: 20/s, for: 60s}]\n")
        wait = in_background(lambda: here.run(plan))
        until(lambda: len(here.taken) > 8)
        os.kill(processes("hub")[0], signal.SIGKILL)
        outcome = wait()
        assert not unaccounted(here, outcome)
    assert outcome.summary["state"] == "running"
    assert outcome.exit_code not in (0, 1)
    assert summed(outcome.folder)["jobs"] == outcome.summary["jobs"] == len(here.taken)


def test_a_target_elsewhere_needs_live_and_a_budget_before_anything_is_sent(tmp_path):
    with pytest.raises(UsageError, match="--live and --budget"):
        run(["segmind/p-image"], target="http://192.0.2.1", report_dir=tmp_path)
    with pytest.raises(UsageError, match="needs --budget"):
        run(["segmind/p-image"], live=True, report_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_sends_nothing_and_tells_the_price(tmp_path):
    outcome = run(["segmind/p-image"], "steady", dry_run=True, report_dir=tmp_path, budget=["0.10USD"])
    assert outcome.exit_code == 4
    assert Decimal(outcome.summary["worst_cost"][0]["amount"]) > 1
    assert not list(tmp_path.iterdir())


def test_the_caller_never_imports_locust():
    code = "import sys, wireproof.load.command; sys.exit('locust' in sys.modules or 'gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_budget_in_another_unit_than_the_price_is_refused_before_anything_is_sent(tmp_path):
    with pytest.raises(UsageError, match="paid in USD"):
        run(["segmind/p-image"], target="http://127.0.0.1:9", budget=["5credits"], report_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_started_job_without_an_end_is_read_back_as_cut_off(tmp_path):
    with world(tmp_path, Steady(0.1)) as here:
        outcome = here.run(here.plan(QUICK + "phases: [{name: m, rate: 5/s, for: 1s}]\n"))
    path = outcome.folder / folder.JOBS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:40])
    jobs = folder.jobs(outcome.folder)
    assert len(jobs) == 5
    assert [job.outcome for job in jobs].count(Outcome.CENSORED) == 1
    assert all("job" in job.ids for job in jobs)


@pytest.mark.slow
def test_locust_itself_runs_the_front_door(tmp_path):
    door = Path(__file__).resolve().parents[1] / "loadtests" / "locustfile.py"
    with world(tmp_path, Steady(0.2)) as here:
        harness = str(door.parents[1] / "harness")
        environment = {**os.environ, "SEGMIND_API_KEY": here.mock.key("segmind"), "PYTHONPATH": harness}
        done = subprocess.run(
            [sys.executable, "-m", "locust", "-f", str(door), "--headless", "-u", "12", "-r", "12"]
            + ["--host", here.url, "--report-dir", str(tmp_path / "runs")],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert len(here.taken) == 12
    assert done.returncode in (0, 5), done.stderr[-800:]
    (place,) = (tmp_path / "runs").iterdir()
    assert json.loads((place / folder.SUMMARY).read_text())["jobs"] == 12


@pytest.mark.slow
def test_a_run_started_from_locusts_web_interface_is_kept_like_any_other(tmp_path):
    door = Path(__file__).resolve().parents[1] / "loadtests" / "locustfile.py"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = f"http://127.0.0.1:{port}"
    with world(tmp_path, Steady(0.2)) as here:
        harness = str(door.parents[1] / "harness")
        environment = {**os.environ, "SEGMIND_API_KEY": here.mock.key("segmind"), "PYTHONPATH": harness}
        process = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(door), "--web-host", "127.0.0.1", "--web-port", str(port)]
            + ["--host", here.url, "--spec", "segmind/p-image", "--report-dir", str(tmp_path / "runs")],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: _answers(page), 40.0)
            asked = {"user_count": 6, "spawn_rate": 6, "host": here.url}
            assert httpx.post(f"{page}/swarm", data=asked).json()["success"]
            until(lambda: any((tmp_path / "runs").glob("*/summary.json")), 40.0)
            told = httpx.get(f"{page}/stats/requests").json()
        finally:
            process.terminate()
            process.wait(20)
        assert len(here.taken) == 12
    (summary,) = (tmp_path / "runs").glob("*/summary.json")
    assert json.loads(summary.read_text())["jobs"] == 12
    assert {"segmind/p-image submit", "segmind/p-image status"} <= {one["name"] for one in told["stats"]}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_a_process_that_is_kept_busy_by_something_else_makes_the_run_invalid(tmp_path):
    with world(tmp_path, Steady(0.3)) as here:
        code, summary = burning(here, here.plan(QUICK + "phases: [{name: m, rate: 4/s, for: 2s}]\n"))
    assert code == 5
    assert summary["health"]["verdict"] == "invalid"
    assert {r["what"] for r in summary["health"]["reasons"] if r["health"] == "invalid"} >= {"loop lag"}


@pytest.mark.slow
def test_arrivals_that_found_no_place_until_the_run_was_over_are_told_as_dropped(tmp_path):
    plan = "download: false\npoll: 100ms\nconcurrency: 2\ndrain: 1s\nphases: [{name: m, rate: 5/s, for: 2s}]\n"
    with world(tmp_path, Steady(60.0)) as here:
        outcome = here.run(here.plan(plan))
    (numbers,) = outcome.summary["endpoints"].values()
    assert (numbers["jobs"], numbers["dropped"], outcome.summary["planned"]) == (2, 8, 10)
    assert outcome.exit_code == 5


def test_a_host_that_cannot_prove_who_it_is_gets_no_key(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    mock = Mock(resolve("segmind/p-image"))
    with serving(mock, tls=context) as url:
        here = World(mock, url, resolve("segmind/p-image"), tmp_path)
        outcome = here.run(here.plan(QUICK + "phases: [{name: m, rate: 3/s, for: 1s}]\n"))
    assert not here.taken
    assert {(job.outcome, job.problem) for job in kept(outcome)} == {(Outcome.BROKEN, "tls")}


@pytest.mark.parametrize("blocking", [False, True])
def test_jobs_over_websockets_are_the_same_jobs(tmp_path, blocking):
    with world(tmp_path, Steady(0.2), "runware/p-image-edit") as here:
        text = f"channel: websocket\nblocking: {str(blocking).lower()}\npoll: 100ms\ndrain: 5s\n"
        outcome = here.run(here.plan(text + "phases: [{name: m, rate: 8/s, for: 1s}]\n"))
        jobs = kept(outcome)
        assert not unaccounted(here, outcome)
    assert [(job.outcome, job.problem, job.images) for job in jobs] == [(Outcome.SUCCEEDED, "", 1)] * 8
    assert len(here.taken) == 8
    assert {one["operation"] for one in outcome.summary["calls"]} == ({"run"} if blocking else {"submit", "status"}) | {
        "media"
    }


def test_a_login_that_is_refused_over_a_websocket_is_told_as_the_problem_it_is(tmp_path):
    with world(tmp_path, Steady(0.2), "runware/p-image-edit") as here:
        plan = here.plan("channel: websocket\nphases: [{name: m, rate: 2/s, for: 1s}]\n")
        keys = {"runware": Secret("nobody-has-this-one")}
        jobs = kept(run(["runware/p-image-edit"], str(plan), target=here.url, keys=keys, report_dir=tmp_path / "runs"))
    assert {(job.outcome, job.problem) for job in jobs} == {(Outcome.REFUSED, "bad_key")}


def test_the_balance_that_replies_tell_is_the_third_column_of_the_bill(tmp_path):
    with world(tmp_path, Steady(0.1), "pixeldojo/p-image-edit") as here:
        outcome = here.run(here.plan(QUICK + "phases: [{name: m, rate: 8/s, for: 1s}]\n"))
    (money,) = outcome.summary["endpoints"]["pixeldojo/p-image-edit"]["money"]
    low, high = map(Decimal, money["reconciled"]["account"])
    assert low <= Decimal("0.25") * 8 <= high
    assert money["reconciled"]["agreement"] == "match"
