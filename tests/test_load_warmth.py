"""Jobs that may have met a cold host are told apart from the others."""

from __future__ import annotations

from wireproof.load.arrivals import Record
from wireproof.load.record import JobRecord, Outcome
from wireproof.load.warmth import cold


def jobs(*times, outcome=Outcome.SUCCEEDED):
    """Jobs sent and seen to end at these times; None: never seen to end."""
    return [
        JobRecord(
            endpoint="a/m",
            k=k,
            phase="measure",
            record=Record.MEASURE,
            block=k,
            intended=sent,
            sent=sent,
            left=5.0,
            seen=seen,
            outcome=outcome if seen is not None else Outcome.CENSORED,
        )
        for k, (sent, seen) in enumerate(times)
    ]


def test_every_job_that_is_sent_before_the_first_one_ends_may_have_met_a_cold_host():
    assert cold(jobs((0, 8), (1, 7), (6.5, 9), (7, 9), (30, 31))) == {0, 1, 2, 4}


def test_a_host_stays_warm_while_no_pause_is_as_long_as_the_idle_time():
    assert cold(jobs((0, 2), (11.9, 14), (23, 25), (35, 36))) == {0, 3}
    assert cold(jobs((0, 2), (4, 6)), idle=1.0) == {0, 1}


def test_a_job_under_way_keeps_the_host_from_idling():
    assert cold(jobs((0, 30), (35, 36), (44, 46))) == {0}


def test_a_job_never_seen_to_end_warms_nothing_and_keeps_busy_as_long_as_it_was_seen():
    assert cold(jobs((0, None), (3, 6), (14, 15), (40, None), (54, 56))) == {0, 1, 3, 4}


def test_a_refused_submit_neither_meets_a_machine_nor_warms_one():
    refused = jobs((0, None), (1, None))
    refused = [JobRecord(**{f: getattr(j, f) for f in j.__slots__} | {"outcome": Outcome.REFUSED}) for j in refused]
    later = jobs((2, None), (3, None), (5, 7))[2:]
    assert cold([*refused, *later]) == {2}


def test_no_jobs_no_cold_ones():
    assert cold([]) == frozenset()
