"""The summary of a run, worked out from its folder alone: yesterday's run sums up the same tomorrow.

Plain JSON values come out (`specs/schema/load-summary.schema.json`), with everything a report draws.
Times are in seconds. A number that the sample cannot bear is absent, and `withheld` says why.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

from wireproof.load import blocks, censor, folder, health, quantiles, record, thresholds, warmth
from wireproof.load.arrivals import Record
from wireproof.load.blocks import Timed
from wireproof.load.censor import Cadence, Curve, Interval
from wireproof.load.quantiles import Estimate
from wireproof.load.record import JobRecord, Outcome
from wireproof.load.thresholds import Answer, Threshold
from wireproof.money import plain

SCHEMA = 1
QUANTILES = (0.5, 0.9, 0.95, 0.99)
CADENCES = {"250ms": censor.every(0.25), "1s": censor.every(1.0), "5s": censor.every(5.0), "webhook": censor.WEBHOOK}
"""At which cadences the summary says what a client would feel, besides the run's own."""
POINTS = 120
"""Points of a drawn curve."""
_BINS = 120
"""Points of a drawn course of time."""
_ENDED = (Outcome.SUCCEEDED, Outcome.CENSORED)


def summarise(
    place: Path,
    *,
    demands: Sequence[Threshold] = (),
    seed: int = 0,
    cadences: Mapping[str, Cadence] | None = None,
    price: bool = True,
) -> dict[str, Any]:
    """What the run in a folder amounts to, however it ended. `cadences`: how each endpoint was polled."""
    jobs, state, manifest = folder.jobs(place), folder.read_state(place), _manifest(place)
    pulses = folder.pulses(place)
    names = manifest.get("endpoints") or sorted({job.endpoint for job in jobs})
    wanted = sorted({*QUANTILES, *thresholds.quantiles(demands)})
    hosts = Counter(name.partition("/")[0] for name in names)
    endpoints = {
        name: _endpoint(
            name,
            [job for job in jobs if job.endpoint == name],
            state,
            wanted,
            (cadences or {}).get(name),
            hosts[name.partition("/")[0]] == 1,
        )
        for name in names
    }
    diagnosis = _diagnosis(jobs, pulses, state, endpoints)
    judged = thresholds.judge(demands, endpoints)
    return {
        "schema": SCHEMA,
        "command": "load",
        **{
            key: manifest.get(key)
            for key in ("id", "version", "started", "target", "plan", "seed", "workers", "budget", "model")
        },
        "state": state.get("state", "not begun"),
        "stopped": state.get("why", ""),
        "lost_workers": len(state.get("lost", ())),
        "seconds": round(state.get("seconds", 0.0) or max((p["t"] for p in pulses), default=0.0), 3),
        "jobs": len(jobs),
        "planned": state.get("planned", 0),
        "health": {
            "verdict": diagnosis.health.value,
            "reasons": [{"health": r.health.value, "what": r.what, "says": r.says} for r in diagnosis.reasons],
        },
        "thresholds": [_threshold(one) for one in judged],
        "endpoints": endpoints,
        "differences": _differences(jobs, seed, manifest.get("models", {})) if len(names) > 1 else [],
        "calls": _calls(folder.calls(state)),
        "course": _course(jobs, pulses),
        "findings": [],
    }


def _manifest(place: Path) -> dict[str, Any]:
    path = place / folder.MANIFEST
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _threshold(one: thresholds.Judged) -> dict[str, Any]:
    return {
        "endpoint": one.endpoint,
        "measure": one.threshold.measure,
        "demand": one.threshold.text,
        "answer": one.answer.value,
        "says": one.says,
    }


# --------------------------------------------------------------------------------------- endpoints


def _endpoint(
    name: str,
    jobs: list[JobRecord],
    state: Mapping[str, Any],
    wanted: Sequence[float],
    cadence: Cadence | None,
    alone: bool,
) -> dict[str, Any]:
    """`alone`: no other endpoint of its host is in the run."""
    measured = [job for job in jobs if job.record is Record.MEASURE]
    timed = [job for job in measured if job.outcome in _ENDED]
    intervals = [job.done for job in timed]
    whole = record.summary(jobs).of(name)
    good = sum(job.outcome is Outcome.SUCCEEDED for job in measured)
    settled = sum(job.outcome is not Outcome.CENSORED for job in measured)
    curve = censor.completion(intervals) if any(i.right is not None for i in intervals) else None
    return {
        "jobs": whole.jobs,
        "measured": len(measured),
        "outcomes": {outcome.value: count for outcome, count in sorted(whole.outcomes.items())},
        "problems": dict(Counter(job.problem for job in jobs if job.problem).most_common()),
        **_unsent(name, state),
        "unsuccessful": len(measured) - good if measured else None,
        "success_rate": _estimate(quantiles.rate(good, settled)),
        "jobs_per_second": _throughput(measured),
        "completion": {quantiles.name(p): _estimate(quantiles.censored(intervals, p, curve)) for p in wanted}
        if curve
        else {},
        "naive": _exact([job.seen - job.sent for job in timed if job.seen is not None], wanted),
        "total": _exact([job.end - job.intended for job in measured if job.end is not None], wanted),
        "warmth": _warmth(timed, warmth.cold(jobs)),
        "felt": _felt(curve, cadence, timed, wanted),
        "parts": _parts(timed, curve),
        "curve": _drawn(curve, intervals),
        "calls": whole.calls,
        "calls_per_job": round(whole.calls / whole.jobs, 3) if whole.jobs else None,
        "polls": whole.polls,
        "bytes_in": whole.bytes_in,
        "images": whole.images,
        **_money(jobs, whole, alone),
    }


def _unsent(name: str, state: Mapping[str, Any]) -> dict[str, int]:
    counts = {"dropped": 0, "withheld": 0}
    for key, count in state.get("unsent", {}).items():
        endpoint, _, what = key.split(" ")
        if endpoint == name:
            counts[what] += count
    return counts


def _estimate(found: Estimate) -> dict[str, Any]:
    told: dict[str, Any] = {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
    if found.bracket is not None:
        told["bracket"] = [found.bracket.left, found.bracket.right]
    if found.withheld:
        told["withheld"] = found.withheld
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in told.items()}


def _exact(values: list[float], wanted: Sequence[float]) -> dict[str, Any]:
    return {quantiles.name(p): _estimate(quantiles.quantile(values, p)) for p in wanted} if values else {}


def _warmth(timed: Sequence[JobRecord], cold: Collection[int]) -> dict[str, Any]:
    """The completion of the jobs that may have met a cold host, and of the others."""
    sides = {"cold": [job for job in timed if job.k in cold], "warm": [job for job in timed if job.k not in cold]}
    return {"idle": warmth.IDLE, **{name: _side([job.done for job in jobs]) for name, jobs in sides.items()}}


def _side(intervals: Sequence[Interval]) -> dict[str, Any]:
    seen = [interval.right for interval in intervals if interval.right is not None]
    curve = censor.completion(intervals) if seen else None
    return {
        "jobs": len(intervals),
        "within": round(max(seen), 5) if len(seen) == len(intervals) and seen else None,
        "completion": {quantiles.name(p): _estimate(quantiles.censored(intervals, p, curve)) for p in QUANTILES}
        if curve
        else {},
    }


def _throughput(jobs: Sequence[JobRecord]) -> float | None:
    """Good jobs per second of the time in which measured jobs were started."""
    if len(jobs) < 2:
        return None
    span = max(job.intended for job in jobs) - min(job.intended for job in jobs)
    good = sum(job.outcome is Outcome.SUCCEEDED for job in jobs)
    return round(good / span, 4) if span > 0 else None


def _felt(
    curve: Curve | None, own: Cadence | None, jobs: Sequence[JobRecord], wanted: Sequence[float]
) -> dict[str, Any]:
    """When a client of another cadence would know, by the estimated law."""
    if curve is None:
        return {}
    trips = sorted(job.accepted - job.sent for job in jobs if job.accepted is not None)
    trip = trips[len(trips) // 2] if trips else 0.0
    chosen = {**CADENCES, **({"own": own} if own else {})}
    told: dict[str, Any] = {}
    for name, cadence in chosen.items():
        law = censor.felt(curve, cadence, trip=trip, draws=1000)
        told[name] = {quantiles.name(p): _round(law.quantile(p)) for p in wanted if len(jobs) >= quantiles.smallest(p)}
    # Thresholds on `felt` speak of the run's own cadence.
    own_law = told.get("own", {})
    return {**{key: {"value": value, "exact": True} for key, value in own_law.items()}, "by_cadence": told}


def _parts(jobs: Sequence[JobRecord], curve: Curve | None) -> list[dict[str, Any]]:
    """Where the time went at the middle and at p95: the means of the jobs round those totals."""
    if curve is None:
        return []
    times = censor.likely(curve, [job.done for job in jobs])
    split = [record.parts(job, done) for job, done in zip(jobs, times, strict=True) if job.right is not None]
    split.sort(key=lambda one: one.total)
    rows = [("mean", split)]
    for p in (0.5, 0.95):
        if len(split) >= quantiles.smallest(p):
            middle, width = int(p * (len(split) - 1)), max(2, len(split) // 20)
            rows.append((quantiles.name(p), split[max(0, middle - width) : middle + width + 1]))
    return [_row(name, found) for name, found in rows if found]


_PARTS = ("lag", "accept", "queue", "run", "notice", "fetch", "download")


def _row(name: str, split: Sequence[record.Parts]) -> dict[str, Any]:
    means = {}
    for part in _PARTS:
        values = [getattr(one, part) for one in split if getattr(one, part) is not None]
        # A part that some jobs do not have counts as nothing for those, so that the parts add up.
        means[part] = round(sum(values) / len(split), 5) if values else None
    return {"at": name, "jobs": len(split), **means}


def _drawn(curve: Curve | None, intervals: Sequence[Interval]) -> list[list[float | None]]:
    """Points of the law: part done, its time, and between which times it must lie."""
    if curve is None:
        return []
    lefts, rights = censor.edges(intervals)
    points = []
    for step in range(POINTS + 1):
        part = step / POINTS
        at = min(len(lefts) - 1, int(part * len(lefts)))
        right = None if rights[at] == float("inf") else round(rights[at], 4)
        points.append([round(part, 4), _round(curve.quantile(part)), round(lefts[at], 4), right])
    return points


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


# ------------------------------------------------------------------------------------------- money


def _money(jobs: Sequence[JobRecord], totals: record.Totals, alone: bool) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        {
            "unit": cost.unit,
            "spent": plain(cost.spent),
            "per_job": _amount(cost.per_job),
            "per_image": _amount(cost.per_image),
            "per_thousand": _amount(cost.per_thousand),
            "lost": plain(cost.lost),
            "uncertain": cost.uncertain,
            "reconciled": _reconciled(jobs, cost.unit, alone),
        }
        for cost in record.costs(totals)
    ]
    first = found[0] if len(found) == 1 else None
    return {
        "money": found,
        "spent": float(str(first["spent"])) if first else None,
        "cost_per_image": float(first["per_image"]) if first and first["per_image"] else None,
        "cost_per_job": float(first["per_job"]) if first and first["per_job"] else None,
    }


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else plain(round(value, 8))


def _reconciled(jobs: Sequence[JobRecord], unit: str, alone: bool) -> dict[str, Any]:
    # A balance is told in the host's own unit, and falls by what all endpoints of its account cost.
    own = not (len(unit) == 3 and unit.isupper())
    found = record.reconcile(jobs, unit, record.charged(jobs) if alone and own else None)
    return {
        "agreement": found.agreement.value,
        "says": found.says,
        "declared": None if found.declared is None else [plain(found.declared[0]), plain(found.declared[1])],
        "reported": None if found.reported is None else plain(found.reported),
        "account": None if found.account is None else [plain(found.account[0]), plain(found.account[1])],
        "silent": found.silent,
        "differ": list(found.differ[:100]),
        "unknown": list(found.unknown[:100]),
    }


# ------------------------------------------------------------------------------------------ health


def _diagnosis(
    jobs: Sequence[JobRecord],
    pulses: Sequence[Mapping[str, Any]],
    state: Mapping[str, Any],
    endpoints: Mapping[str, Any],
) -> health.Diagnosis:
    """The generator's verdict: the worst of its workers, and whether the records add up."""
    medians = [e["completion"].get("p50", {}).get("value") for e in endpoints.values()]
    median = min((m for m in medians if m), default=None)
    workers = sorted({p["worker"] for p in pulses} | {job.worker for job in jobs}) or [0]
    found = [health.diagnose(_samples(number, jobs, pulses, endpoints), median) for number in workers]
    if state.get("lost"):
        found.append(health.Diagnosis(health.Health.DEGRADED, (_lost(len(state["lost"])),)))
    else:
        found += [_little(number, jobs, pulses) for number in workers]
    whole = found[0]
    for one in found[1:]:
        whole = whole + one
    return whole


def _lost(workers: int) -> health.Reason:
    return health.Reason(
        health.Health.DEGRADED, "workers", f"{workers} lost during the run, with their share of the arrivals"
    )


def _samples(
    worker: int, jobs: Sequence[JobRecord], pulses: Sequence[Mapping[str, Any]], endpoints: Mapping[str, Any]
) -> health.Samples:
    mine = [job for job in jobs if job.worker == worker]
    told = [p for p in pulses if p["worker"] == worker]
    spans = [(b["cpu"], b["t"] - a["t"]) for a, b in pairwise(told) if b["t"] - a["t"] > 0.2]
    return health.Samples(
        send_lag=[job.sent - job.intended for job in mine if not job.waited],
        loop_lag=[lag for p in told for lag in p["loop_lag"]],
        cpu=[cpu / seconds for cpu, seconds in spans],
        planned=max((p["planned"] for p in told), default=len(mine)),
        dropped=sum(e["dropped"] for e in endpoints.values()) if worker == 0 else 0,
        waited=sum(job.waited for job in mine),
    )


def _little(worker: int, jobs: Sequence[JobRecord], pulses: Sequence[Mapping[str, Any]]) -> health.Diagnosis:
    """Jobs in flight, sampled by the generator, against what the records add up to."""
    told = [p for p in pulses if p["worker"] == worker]
    span = told[-1]["t"] if told else 0.0
    if span <= 0:
        return health.little(0.0, 0.0, 0.0)
    done = [job.ended - job.sent for job in jobs if job.worker == worker and job.ended is not None]
    return health.little(told[-1]["area"] / span, len(done) / span, sum(done) / len(done) if done else 0.0)


# ------------------------------------------------------------------------------ comparison, courses


def _differences(jobs: Iterable[JobRecord], seed: int, models: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every pair of endpoints of one model, compared inside the permuted blocks of this session."""

    def alike(a: str, b: str) -> bool:
        return models.get(a, a) == models.get(b, b)

    measured = [j for j in jobs if j.record is Record.MEASURE and j.outcome in _ENDED]
    timed = [Timed(job.endpoint, job.block, job.done) for job in measured]
    found = blocks.compare(timed, seed=seed, alike=alike) if timed else ()
    return [{**_rounded(asdict(one)), "significant": one.significant()} for one in found]


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    # Adding zero makes a negative one positive.
    return {key: round(value, 5) + 0.0 if isinstance(value, float) else value for key, value in values.items()}


def _calls(found: Mapping[tuple[str, str], record.Histogram]) -> list[dict[str, Any]]:
    return [
        {
            "endpoint": endpoint,
            "operation": operation,
            "n": histogram.n,
            **{
                quantiles.name(p): _round(histogram.quantile(p))
                for p in QUANTILES
                if histogram.n >= quantiles.smallest(p)
            },
        }
        for (endpoint, operation), histogram in sorted(found.items())
    ]


def _course(jobs: Sequence[JobRecord], pulses: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Starts, ends, troubles and jobs in flight over the time of the run, in equal steps."""
    length = max([0.0, *(p["t"] for p in pulses), *(job.intended for job in jobs)])
    step = max(1.0, length / _BINS)
    bins = int(length / step) + 1
    rows = {name: [0] * bins for name in ("intended", "sent", "succeeded", "other")}
    flight = [0.0] * bins
    lag = [0.0] * bins
    for job in jobs:
        rows["intended"][_bin(job.intended, step, bins)] += 1
        rows["sent"][_bin(job.sent, step, bins)] += 1
        lag[_bin(job.sent, step, bins)] = max(lag[_bin(job.sent, step, bins)], job.sent - job.intended)
        if job.ended is not None:
            rows["succeeded" if job.outcome is Outcome.SUCCEEDED else "other"][_bin(job.ended, step, bins)] += 1
        ended = length if job.ended is None else job.ended
        for at in range(_bin(job.sent, step, bins), _bin(ended, step, bins) + 1):
            # The mean number in flight: each job counts for the part of the step it was there.
            flight[at] += max(0.0, min(ended, (at + 1) * step) - max(job.sent, at * step)) / step
    troubles = [
        {
            "t": round(job.ended or job.sent, 3),
            "endpoint": job.endpoint,
            "outcome": job.outcome.value,
            "problem": job.problem,
        }
        for job in jobs
        if job.outcome is not Outcome.SUCCEEDED
    ]
    return {
        "step": round(step, 3),
        **rows,
        "in_flight": [round(mean, 3) for mean in flight],
        "lag": [round(value, 5) for value in lag],
        "troubles": troubles[:500],
    }


def _bin(time: float, step: float, bins: int) -> int:
    return min(bins - 1, max(0, int(time / step)))


# ----------------------------------------------------------------------------------------- verdict


def exit_code(summary: Mapping[str, Any]) -> int:
    """What the command ends with: 130 interrupted, 5 invalid, 1 missed, 4 budget, 3 undecided, 0 held.

    Invalid is a run whose generator spoilt what was asked of it; with no thresholds that is all of it.
    """
    answers = {one["answer"] for one in summary["thresholds"]}
    stopped = summary["stopped"]
    signs = (
        (stopped.startswith("interrupted"), 130),
        (not summary["jobs"] and not stopped.startswith("budget"), 3),
        (_spoilt(summary), 5),
        (Answer.MISSED.value in answers, 1),
        (stopped.startswith("budget"), 4),
        (Answer.UNDECIDED.value in answers or summary["state"] != "finished", 3),
    )
    return next((code for holds, code in signs if holds), 0)


_TIMING = frozenset({health.CPU, health.LOOP_LAG, health.SEND_LAG, health.WAITED})
"""What a busy generator spoils is times. Lost or unsent jobs spoil counts too."""


def _spoilt(summary: Mapping[str, Any]) -> bool:
    """Whether the generator stood in the way of an answer: where only counts are asked for, times may be late."""
    bad = {one["what"] for one in summary["health"]["reasons"] if one["health"] == health.Health.INVALID.value}
    asked = [one["measure"] for one in summary["thresholds"]]
    counts_only = bool(asked) and not any(map(thresholds.is_timed, asked))
    return summary["jobs"] > 0 and bool(bad - _TIMING if counts_only else bad)
