"""The folder of a load run: what its files are called, and how they are read back, whole or cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wireproof.load.record import Histogram, JobRecord
from wireproof.model import Endpoint
from wireproof.runlog import DISK, atomic_write

JOBS = "jobs.jsonl"
"""One `JobRecord` a line, written when the job ended."""
STARTED = "started.jsonl"
"""One `JobRecord` a line, written before its submit left: what is missing in JOBS was cut off."""
IDS = "ids.jsonl"
"""The hosts' ids of accepted jobs, so that they can be collected."""
PULSES = "pulses.jsonl"
"""What the generator saw of itself, twice a second and worker."""
STATE = "state.json"
MANIFEST = "manifest.json"
SUMMARY = "summary.json"
CALLS = "calls.hlog"
LOG = "engine.log"

GROWING = (JOBS, STARTED, IDS, PULSES)


def make(root: Path, wall: float, name: str = "load") -> Path:
    """A new folder for a run below `root`."""
    stem, number = f"{datetime.fromtimestamp(wall, UTC):%Y%m%dT%H%M%SZ}-{name}", 1
    while True:
        folder = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            DISK.make_folder(folder, fresh=True)
            return folder
        except FileExistsError:
            number += 1


def subjects(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """What a manifest says of the endpoints of its run: their names, and whose work is the same."""
    return {
        "endpoints": [endpoint.name for endpoint in endpoints],
        "models": {endpoint.name: endpoint.model.name for endpoint in endpoints},
    }


def lines(path: Path) -> Iterator[str]:
    """The whole lines of a file; a last one that was cut off is left out, a missing file is empty."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as text:
        for line in text:
            if line.endswith("\n"):
                yield line


def jobs(folder: Path) -> list[JobRecord]:
    """Every job that was started, once, in order of its number; what never told its end is censored."""
    found = {record.k: record for record in map(JobRecord.from_json, lines(folder / STARTED))}
    for note in map(json.loads, lines(folder / IDS)):
        if note["k"] in found:
            found[note["k"]] = replace(found[note["k"]], ids={"job": note["id"]})
    found.update((record.k, record) for record in map(JobRecord.from_json, lines(folder / JOBS)))
    return [found[k] for k in sorted(found)]


def pulses(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(folder / PULSES)]


def read_state(folder: Path) -> dict[str, Any]:
    """How far the run came; empty before it began."""
    path = folder / STATE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    atomic_write(folder / STATE, json.dumps(state))


def calls(state: Mapping[str, Any]) -> dict[tuple[str, str], Histogram]:
    """The durations of calls by endpoint and operation."""
    return {
        (endpoint, operation): Histogram({int(bucket): count for bucket, count in counts})
        for endpoint, operation, counts in state.get("calls", ())
    }
