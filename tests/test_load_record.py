"""One record per job, read back as written; summaries add up whoever made them."""

import json
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireproof.load.arrivals import Record
from wireproof.load.censor import Interval
from wireproof.load.record import (
    Agreement,
    Billed,
    Histogram,
    JobRecord,
    LoadSummary,
    Outcome,
    charged,
    costs,
    hdr_log,
    parts,
    reconcile,
    summary,
    unsent,
)
from wireproof.money import Money


def usd(amount):
    return Money(Decimal(amount), "USD")


JOB = JobRecord(
    endpoint="a/m",
    k=0,
    phase="measure",
    record=Record.MEASURE,
    block=0,
    intended=10.0,
    sent=10.25,
    accepted=10.5,
    running=Interval(0.5, 1.0),
    left=2.0,
    right=3.0,
    seen=13.25,
    fetched=13.5,
    downloaded=14.0,
    polls=3,
    calls=6,
    images=1,
    outcome=Outcome.SUCCEEDED,
    declared=usd("0.0088"),
    billed=Billed.FULL,
    reported=usd("0.0088"),
)

TIMES = st.floats(0, 1e6)
MAYBE = st.none() | TIMES
MONEY = st.builds(Money, st.decimals(0, 1000, allow_nan=False, places=6), st.sampled_from(["USD", "credits"]))
SPANS = st.tuples(TIMES, MAYBE).map(lambda t: Interval(t[0], None if t[1] is None else t[0] + t[1]))
JOBS = st.builds(
    JobRecord,
    endpoint=st.sampled_from(["a/m", "b/m"]),
    k=st.integers(0, 10**6),
    phase=st.text(max_size=5),
    record=st.sampled_from(Record),
    block=st.integers(0, 99),
    case=st.text(max_size=5),
    intended=TIMES,
    sent=TIMES,
    accepted=MAYBE,
    running=st.none() | SPANS,
    left=st.just(0.0),
    right=MAYBE,
    seen=MAYBE,
    fetched=MAYBE,
    downloaded=MAYBE,
    polls=st.integers(0, 99),
    calls=st.integers(0, 99),
    images=st.integers(0, 4),
    bytes_in=st.integers(0, 10**9),
    outcome=st.sampled_from(Outcome),
    problem=st.sampled_from(["", "moderated", "overloaded"]),
    declared=st.none() | MONEY,
    billed=st.sampled_from(Billed),
    reported=st.none() | MONEY,
    job=st.text(max_size=5),
    ids=st.dictionaries(st.text(max_size=4), st.text(max_size=8), max_size=2),
)


# ---------------------------------------------------------------------------------------- records


@given(JOBS)
def test_a_record_is_read_back_exactly_as_it_was_written(job):
    line = job.to_json()
    assert "\n" not in line
    assert JobRecord.from_json(line) == job


@pytest.mark.parametrize("line", ["{}", "[]", "3", '{"endpoint": "a", "colour": 1}', "{", json.dumps({"k": 1})])
def test_a_line_that_is_no_record_is_refused(line):
    with pytest.raises(ValueError):
        JobRecord.from_json(line)


def test_a_word_that_no_outcome_has_is_refused():
    with pytest.raises(ValueError):
        JobRecord.from_json(JOB.to_json().replace("succeeded", "splendid"))


# ------------------------------------------------------------------------------------------ parts


def test_the_parts_of_a_job_are_told_apart_and_add_up():
    where = parts(JOB)
    assert (where.lag, where.accept, where.fetch, where.download) == (0.25, 0.25, 0.25, 0.5)
    # It began to run between 0.5 and 1 s after its submit, and was done between 2 and 3.
    assert (where.queue, where.run, where.notice) == (0.5, 1.75, 0.5)
    assert where.total == 4.0


def test_an_estimated_end_moves_time_between_run_and_notice_only():
    where = parts(JOB, done=2.9)
    assert (where.run, where.notice) == (pytest.approx(2.15), pytest.approx(0.1))
    assert where.total == pytest.approx(4.0)


def test_a_queue_nobody_saw_is_part_of_the_run():
    where = parts(replace(JOB, running=None))
    assert where.queue is None and where.run == 2.25
    assert where.total == 4.0


def test_a_job_never_seen_to_end_has_the_parts_it_came_to():
    where = parts(replace(JOB, right=None, seen=None, fetched=None, downloaded=None))
    assert (where.lag, where.accept, where.run, where.fetch) == (0.25, 0.25, None, None)


def test_a_blocking_call_has_neither_acceptance_nor_notice():
    where = parts(replace(JOB, accepted=None, running=None, left=3.0, right=3.0, fetched=13.25))
    assert (where.accept, where.run, where.notice, where.fetch) == (None, 3.0, 0.0, 0.0)
    assert where.total == 4.0


# ------------------------------------------------------------------------------------- histograms

SECONDS = st.floats(0, 4000)


def histogram(values):
    made = Histogram()
    for value in values:
        made.record(value)
    return made


@given(st.floats(1e-6, 4000))
def test_a_histogram_keeps_a_duration_to_a_tenth_of_a_percent(seconds):
    assert histogram([seconds]).quantile(0.5) == pytest.approx(seconds, rel=0.001, abs=1e-6)


@given(st.lists(SECONDS, min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_histogram_s_quantile_is_that_of_its_values(values, p):
    due = sorted(values)[max(0, -int(-p * len(values) // 1) - 1)]
    assert histogram(values).quantile(p) == pytest.approx(due, rel=0.0011, abs=2e-6)


@given(st.lists(SECONDS), st.lists(SECONDS), st.lists(SECONDS))
def test_histograms_add_up_in_any_order_and_grouping(a, b, c):
    whole = histogram(a + b + c)
    assert histogram(a) + (histogram(b) + histogram(c)) == whole == (histogram(c) + histogram(a)) + histogram(b)
    assert whole.n == len(a) + len(b) + len(c)


def test_an_empty_histogram_has_no_quantile():
    assert Histogram().quantile(0.5) is None


def test_hdr_tools_read_what_is_exported(tmp_path):
    pytest.importorskip("hdrh")
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader

    polls = histogram([k / 1000 for k in range(1, 1001)])
    log = tmp_path / "calls.hlog"
    log.write_text(hdr_log({("a/m", "poll"): polls, ("a/m", "sub,mit"): histogram([0.25])}, 60.0))
    assert "Tag=a/m/sub_mit," in log.read_text()
    reader = HistogramLogReader(str(log), HdrHistogram(1, 3_600_000_000, 3))
    first = reader.get_next_interval_histogram()
    assert first.get_total_count() == 1000
    assert first.get_value_at_percentile(99) == pytest.approx(990_000, rel=0.002)
    assert reader.get_next_interval_histogram().get_total_count() == 1
    reader.close()


# -------------------------------------------------------------------------------------- summaries

SUMMARIES = st.lists(JOBS, max_size=6).map(summary)


@given(SUMMARIES, SUMMARIES, SUMMARIES)
def test_summaries_add_up_in_any_order_and_grouping(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + LoadSummary() == a == LoadSummary() + a


@given(st.lists(JOBS, max_size=12), st.integers(1, 4))
def test_workers_summaries_together_are_the_summary_of_all(jobs, workers):
    shares = [summary(jobs[index::workers]) for index in range(workers)]
    assert sum(shares, LoadSummary()) == summary(jobs)
    assert sum(t.jobs for t in summary(jobs).totals.values()) == len(jobs)


def test_call_histograms_are_merged_with_the_rest():
    a = LoadSummary(calls={("a/m", "poll"): histogram([0.1, 0.2])})
    b = LoadSummary(calls={("a/m", "poll"): histogram([0.3]), ("a/m", "submit"): histogram([0.4])})
    assert {key: h.n for key, h in (a + b).calls.items()} == {("a/m", "poll"): 3, ("a/m", "submit"): 1}


def test_arrivals_that_never_became_jobs_are_counted_apart():
    total = (summary([JOB]) + unsent("a/m", Record.MEASURE, dropped=2, withheld=3)).of("a/m")
    assert (total.jobs, total.dropped, total.withheld) == (1, 2, 3)


# ------------------------------------------------------------------------------------------ money

FAILED = replace(JOB, outcome=Outcome.FAILED, images=0, reported=None)


def test_failures_are_paid_by_the_images_that_arrived():
    (cost,) = costs(summary([JOB] * 3 + [FAILED]).of("a/m"))
    assert cost.spent == Decimal("0.0352")
    assert cost.per_job == Decimal("0.0088")
    assert cost.per_image == Decimal("0.0352") / 3
    assert cost.per_thousand == Decimal("0.0352") * 1000 / 3
    assert cost.lost == Decimal("0.0088")


def test_warm_up_costs_money_too():
    (cost,) = costs(summary([JOB, replace(JOB, record=Record.WARMUP)]).of("a/m"))
    assert cost.spent == Decimal("0.0176")


def test_without_a_good_image_there_is_no_cost_of_one():
    (cost,) = costs(summary([FAILED]).of("a/m"))
    assert (cost.per_image, cost.per_thousand) == (None, None)


@pytest.mark.parametrize(
    "billed, reported, spent, certain",
    [
        (Billed.FULL, None, "0.0088", True),
        (Billed.ZERO, None, "0", True),
        (Billed.UNKNOWN, None, "0.0088", False),
        (Billed.ZERO, "0.004", "0.004", True),
    ],
)
def test_what_nobody_tells_counts_as_full_and_is_called_a_guess(billed, reported, spent, certain):
    job = replace(JOB, billed=billed, reported=None if reported is None else usd(reported))
    assert job.spent == usd(spent)
    assert job.certain is certain
    assert summary([job]).of("a/m").uncertain == (0 if certain else 1)


@pytest.mark.parametrize(
    "billed, reported, owed",
    [
        (Billed.FULL, None, "0.0088"),
        (Billed.FULL, "0", "0.0088"),
        (Billed.FULL, "0.001", "0.0088"),
        (Billed.FULL, "0.01", "0.01"),
        (Billed.UNKNOWN, "0.001", "0.0088"),
        (Billed.UNKNOWN, None, None),
        (Billed.ZERO, None, "0"),
        (Billed.ZERO, "0.004", "0.004"),
    ],
)
def test_a_host_that_tells_less_than_its_price_list_is_not_believed(billed, reported, owed):
    job = replace(JOB, billed=billed, reported=None if reported is None else usd(reported))
    assert job.owed == (None if owed is None else usd(owed))


def test_a_job_without_any_price_costs_an_unknown_amount():
    job = replace(JOB, declared=None, reported=None)
    assert job.spent is None and not job.certain
    assert costs(summary([job]).of("a/m")) == ()


UNTOLD = replace(JOB, reported=None)
DEARER = replace(JOB, k=7, reported=usd("0.0310"))
PERHAPS = replace(FAILED, k=8, billed=Billed.UNKNOWN)


@pytest.mark.parametrize(
    "jobs, account, agreement, differ, unknown",
    [
        ([JOB] * 3, None, Agreement.MATCH, (), ()),
        ([JOB] * 3, "0.0264", Agreement.MATCH, (), ()),
        ([UNTOLD] * 3, "0.0264", Agreement.MATCH, (), ()),
        ([UNTOLD] * 3, None, Agreement.ALONE, (), ()),
        ([JOB] * 3, "0.03", Agreement.UNEXPLAINED, (), ()),
        ([UNTOLD] * 3, "0.03", Agreement.UNEXPLAINED, (), ()),
        ([JOB, DEARER], "0.0398", Agreement.EXPLAINED, (7,), ()),
        ([JOB, DEARER], None, Agreement.EXPLAINED, (7,), ()),
        ([UNTOLD, PERHAPS], "0.0088", Agreement.EXPLAINED, (), (8,)),
        ([UNTOLD, PERHAPS], "0.0200", Agreement.UNEXPLAINED, (), (8,)),
        ([replace(JOB, declared=None)] * 2, "0.0176", Agreement.MATCH, (), ()),
        ([UNTOLD, DEARER], "0.0398", Agreement.EXPLAINED, (7,), ()),
        ([UNTOLD, DEARER], "0.0900", Agreement.UNEXPLAINED, (7,), ()),
        ([replace(JOB, declared=Money(Decimal(2), "credits"))], "0.0088", Agreement.MATCH, (), ()),
        ([replace(JOB, reported=usd("0.009"))] * 2, None, Agreement.MATCH, (), ()),
    ],
)
def test_money_is_told_three_ways_and_the_jobs_that_differ_are_named(jobs, account, agreement, differ, unknown):
    told = reconcile(jobs, "USD", None if account is None else (Decimal(account), Decimal(account)))
    assert told.agreement is agreement, told.says
    assert (told.differ, told.unknown) == (differ, unknown)


@given(st.lists(JOBS, max_size=10))
def test_the_columns_are_exact_sums_of_their_jobs(jobs):
    told = reconcile(jobs, "USD")
    reported = [j.reported.amount for j in jobs if j.reported and j.reported.unit == "USD"]
    assert (told.reported or 0) == sum(reported)
    if told.declared:
        assert told.declared[0] <= told.declared[1]


def test_a_line_names_every_field():
    assert set(json.loads(JOB.to_json())) == {f.name for f in fields(JobRecord)}


def drawn(sent, at, balance, ended):
    return replace(JOB, sent=sent, ended=ended, balance=None if balance is None else Decimal(balance), balance_at=at)


def test_an_account_is_charged_what_its_balance_falls_by_and_the_jobs_at_both_ends_leave_room():
    jobs = [drawn(0.0, 1.0, "9.95", 3.0), drawn(2.0, 4.0, "9.90", 4.0), drawn(3.0, 5.0, "9.85", 5.0)]
    low, high = charged(jobs)
    assert low == Decimal("0.10")
    assert high - low == (JOB.reported or JOB.declared).amount
    assert charged(jobs[:1]) is None
    assert charged([replace(job, balance=None) for job in jobs]) is None
