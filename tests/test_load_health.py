"""A run whose generator was the limit is not passed off as a measurement."""

from dataclasses import replace

import pytest

from wireproof.load.health import Health, Samples, diagnose, little

CALM = Samples(send_lag=[0.001] * 100, loop_lag=[0.002] * 100, cpu=[0.3] * 20, planned=1000)


def test_a_calm_generator_is_valid_and_says_why():
    verdict = diagnose(CALM)
    assert verdict.valid
    assert {reason.what for reason in verdict.reasons} == {"cpu", "loop lag", "send lag", "dropped", "waited"}


@pytest.mark.parametrize(
    "changed, health, what",
    [
        ({"cpu": [0.60] * 20}, Health.VALID, None),
        ({"cpu": [0.70] * 20}, Health.DEGRADED, "cpu"),
        ({"cpu": [0.98] * 20}, Health.INVALID, "cpu"),
        ({"cpu": [0.3] * 15 + [1.0] * 5}, Health.INVALID, "cpu"),
        ({"loop_lag": [0.018] * 100}, Health.DEGRADED, "loop lag"),
        ({"loop_lag": [0.001] * 95 + [0.3] * 5}, Health.INVALID, "loop lag"),
        ({"send_lag": [0.015] * 100}, Health.DEGRADED, "send lag"),
        ({"send_lag": [0.001] * 95 + [0.05] * 5}, Health.INVALID, "send lag"),
        ({"dropped": 1}, Health.DEGRADED, "dropped"),
        ({"dropped": 2}, Health.INVALID, "dropped"),
        ({"waited": 5}, Health.DEGRADED, "waited"),
        ({"cpu": []}, Health.INVALID, "cpu"),
        ({"loop_lag": []}, Health.INVALID, "loop lag"),
        ({"send_lag": []}, Health.INVALID, "send lag"),
    ],
)
def test_each_measurement_alone_can_spoil_a_run(changed, health, what):
    verdict = diagnose(replace(CALM, **changed))
    assert verdict.health is health
    if what:
        assert verdict.reasons[0].what == what and verdict.reasons[0].health is health


def test_a_lag_that_is_small_beside_the_jobs_is_forgiven():
    late = replace(CALM, loop_lag=[0.018] * 100, send_lag=[0.018] * 100)
    assert diagnose(late, median=0.3).health is Health.DEGRADED
    assert diagnose(late, median=2.0).valid


def test_a_run_is_as_good_as_its_worst_worker():
    calm, pinned = diagnose(CALM), diagnose(replace(CALM, cpu=[1.0] * 20))
    assert (calm + pinned) == (pinned + calm)
    assert (calm + pinned).health is Health.INVALID
    assert (calm + calm).valid


def test_jobs_in_flight_that_no_record_tells_of_spoil_a_run():
    assert little(in_flight=20.5, rate=10, mean=2.0).valid
    lost = diagnose(CALM) + little(in_flight=25, rate=10, mean=2.0)
    assert lost.health is Health.INVALID and lost.reasons[0].what == "in flight"
    assert little(in_flight=3, rate=0, mean=0).health is Health.INVALID
