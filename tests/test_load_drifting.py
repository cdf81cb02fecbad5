"""Two load runs differ where their intervals do not meet, and nowhere else."""

from __future__ import annotations

import json
from decimal import Decimal

from typer.testing import CliRunner

from wireproof import cli
from wireproof.load.arrivals import Record
from wireproof.load.drifting import LoadRun, drift, runs_in
from wireproof.load.record import Billed, JobRecord, Outcome
from wireproof.money import Money

HOST = "a/m"


def span(value, low, high):
    return {"value": value, "low": low, "high": high, "n": 100}


def job(k, price):
    return JobRecord(
        endpoint=HOST,
        k=k,
        phase="measure",
        record=Record.MEASURE,
        block=k,
        intended=float(k),
        sent=float(k),
        right=1.0,
        outcome=Outcome.SUCCEEDED,
        declared=Money(Decimal(price), "USD"),
        billed=Billed.FULL,
    )


def run(started, p50=(1.5, 1.4, 1.6), good=(0.99, 0.97, 1.0), price="0.01", verdict="valid", plan="steady"):
    numbers = {"completion": {"p50": span(*p50), "p99": span(None, None, None)}, "success_rate": span(*good)}
    summary = {
        "started": started,
        "plan": plan,
        "health": {"verdict": verdict, "reasons": []},
        "endpoints": {HOST: numbers},
    }
    return LoadRun(summary, tuple(job(k, price) for k in range(8)))


def told(*runs):
    return {(s.kind, s.subject, s.worse) for s in drift(runs)}


def test_what_lies_in_both_intervals_has_not_shifted():
    assert drift([run("1"), run("2", p50=(1.65, 1.55, 1.75), good=(0.96, 0.93, 0.98))]) == ()


def test_slower_jobs_more_failures_and_a_higher_price_are_each_told_as_worse():
    (cost, failure, latency) = drift([run("1"), run("2", (2.3, 2.1, 2.5), (0.8, 0.72, 0.86), "0.012")])
    assert {s.worse for s in (cost, failure, latency)} == {True}
    assert (latency.before, latency.after) == ("1.5 s (1.4 s to 1.6 s)", "2.3 s (2.1 s to 2.5 s)")
    assert (failure.before, failure.after) == ("1.0% (0.0% to 3.0%)", "20.0% (14.0% to 28.0%)")
    assert cost.after == "0.012 USD (0.012 USD to 0.012 USD)"


def test_the_order_is_that_of_the_starts_and_better_is_not_worse():
    assert told(run("2"), run("1", (2.3, 2.1, 2.5))) == {("latency", "p50", False)}


def test_times_of_a_run_that_its_generator_spoilt_are_compared_with_nothing():
    assert told(run("1"), run("2", (9.0, 8.0, 9.9), verdict="invalid")) == {("generator", "", False)}


def test_other_plans_are_told_with_what_shifted():
    (shift,) = drift([run("1"), run("2", (2.3, 2.1, 2.5), plan="ramp")])
    assert shift.says == "jobs take longer; the plans differ: steady, ramp"


def test_the_command_reads_load_runs_and_ends_with_1_where_one_is_worse(tmp_path):
    for name, one in (("monday", run("1")), ("friday", run("2", (2.3, 2.1, 2.5)))):
        place = tmp_path / name
        place.mkdir()
        (place / "summary.json").write_text(json.dumps(one.summary))
        (place / "jobs.jsonl").write_text("".join(f"{job.to_json()}\n" for job in one.jobs))
    assert [place.name for place in runs_in(tmp_path)] == ["friday", "monday"]
    for given in ([tmp_path], [tmp_path / "monday", tmp_path / "friday"]):
        done = CliRunner().invoke(cli.app, ["drift", *map(str, given)])
        assert done.exit_code == 1, done.output
        assert "a/m: worse latency p50: 1.5 s" in done.output
    alone = CliRunner().invoke(cli.app, ["drift", str(tmp_path / "monday")])
    assert "at least two runs" in str(alone.exception)
