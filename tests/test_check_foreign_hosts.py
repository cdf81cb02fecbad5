"""`check --target` on hosts that we did not write: quiet on every honest one, heard on every broken promise.

The hosts (`tests/hosts/`) know the providers' pages and nothing of the package. Each row is one run over a socket and
in real time; the rows of a test run side by side, as most of a run is waiting.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hosts import pixeldojo, runware, segmind
from hosts.shell import Manner
from wireproof.model import Finding, Severity
from wireproof.probe.driver import Bounds
from wireproof.session import CheckOptions, check
from wireproof.spec.load import resolve

KEYS = {
    "SEGMIND_API_KEY": segmind.KEY,
    "SEGMIND_API_KEY_2": segmind.OTHER_KEY,
    "RUNWARE_API_KEY": runware.KEY,
    "RUNWARE_API_KEY_2": runware.OTHER_KEY,
    "PIXELDOJO_API_KEY": pixeldojo.KEY,
    "PIXELDOJO_API_KEY_2": pixeldojo.OTHER_KEY,
}
HOSTS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "segmind": (segmind.SegmindHost, segmind.Ways),
    "runware": (runware.RunwareHost, runware.Ways),
    "pixeldojo": (pixeldojo.PixelDojoHost, pixeldojo.Ways),
}
AT_ONCE = 8
MOST_FINDINGS = 3
MOST_CALLS = 800
HERE = Path(__file__).parent

TERSE = Manner(version="HTTP/1.0", case=str.lower, more={})
CHUNKED = Manner(chunked=True, close=True, name="localhost", case=str.upper)

# Honest hosts by provider. Every difference is one that the provider's page leaves open.
HONEST: dict[str, dict[str, dict[str, Any]]] = {
    "segmind": {
        "plain": {},
        "terse": {
            "rich": False, "words": "own", "ids": "odd", "early": "404", "unknown": "refuse", "kind": "png",
            "moderates": False, "fetches": False, "manner": TERSE,
        },
        "lax": {
            "ids": "short", "early": "409", "lenient": True, "kind": "webp", "grid": 32, "v1_json": True,
            "media_apart": True, "manner": CHUNKED,
        },
        "instant": {"wait": 0.0, "run": 0.0, "null_is_absent": False, "grid": 8, "strict_inputs": True},
        "slow": {"wait": 0.2, "run": 0.5, "fetches": False},
    },
    "runware": {
        "plain": {},
        "terse": {
            "unknown_task": "empty", "code": "plain", "data_on_error": False, "one_error": True, "progress": False,
            "in_flight_id": False, "moderation": "nothing", "unreachable": "never", "manner": TERSE,
        },
        "lax": {
            "unknown_task": "400", "unknown_parameter": "ignore", "lenient": True, "unasked_cost": True,
            "moderation": "flag", "unreachable": "run", "needs_images": False, "sizes": "sixteen", "media_apart": True,
            "at_once": True, "manner": CHUNKED,
        },
        "instant": {"wait": 0.0, "run": 0.0, "unreachable": "run", "strict_inputs": True},
        "slow": {"wait": 0.2, "run": 0.4},
    },
    "pixeldojo": {
        "plain": {},
        "terse": {
            "ids": "odd", "words": "flat", "unknown": "ignore", "bad_input": 422, "middle": False, "fetches": False,
            "lists_models": False, "rich": False, "manner": TERSE,
        },
        "lax": {"words": "problem", "kind": "webp", "hours": 24, "media_apart": True, "grid": 32, "manner": CHUNKED},
        "instant": {"wait": 0.0, "run": 0.0, "kind": "jpeg", "strict_inputs": True},
        "slow": {"wait": 0.3, "run": 0.9},
    },
}  # fmt: skip
ENDPOINTS = {
    "segmind": ("segmind/p-image", "segmind/p-image-edit", "segmind/p-image-try-on"),
    "runware": ("runware/p-image-edit",),
    "pixeldojo": ("pixeldojo/p-image-edit",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One host, one run, and what must come of it."""

    endpoint: str
    defect: str = ""
    hears: str = ""
    """Check id and a part of the subject, `JOB003 running`; empty: no violation at all."""
    severity: Severity = Severity.VIOLATION
    """The least that is asked for: a question where the page does not promise the thing in so many words."""
    ways: dict[str, Any] = field(default_factory=dict)
    profile: str = "quick"

    @property
    def name(self) -> str:
        return f"{self.endpoint} {self.defect}"


def broken(endpoint: str, table: str, **more: Any) -> list[Row]:
    """Rows from lines of `defect: CHECK subject`; a `?` before the check asks for a question only."""
    rows = []
    for line in filter(None, map(str.strip, table.splitlines())):
        defect, hears = line.split(": ", 1)
        severity = Severity.QUESTION if hears.startswith("?") else Severity.VIOLATION
        rows.append(Row(endpoint=endpoint, defect=defect, hears=hears.lstrip("?"), severity=severity, **more))
    return rows


BROKEN = [
    *broken(
        "segmind/p-image",
        """
        highest-height-not-enforced: REQ001 height.maximum
        enum-not-enforced: REQ001 aspect_ratio.enum
        required-not-enforced: REQ001 prompt.required
        type-of-width-not-enforced: REQ001 width.type
        bad-input-500: RPL004 invalid
        errors-as-200: RPL005 error
        errors-as-html: ?RPL003 content type
        no-key-needed: KEY001 key
        key-cut-taken: KEY001 key
        key-longer-taken: KEY001 key
        links-swapped: LNK001 address
        v1-picture-called-webp: OUT006 media type
        bad-key-403: RPL004 key -> 403
        status-needs-no-key: KEY001 key
        unknown-model-400: RPL004 400
        lower-case-state: JOB001 completed
        completed-then-processing: JOB002 succeeded
        failed-200: JOB004 200
        failed-500: JOB004 500
        failed-without-error: JOB012 reason
        unknown-200-uuid: JOB006 unknown id
        unknown-422: JOB006 unknown id
        unknown-result-200: JOB006 unknown id
        unknown-500: JOB006 unknown id
        ack-null-status_url: RPL002 status_url
        ack-as-text: RPL003 submit
        status-without-status: RPL002 status
        status-cut: RPL003 status
        request-id-changes: JOB005 id
        null-in-five: RPL002 status
        result-404-after-completed: JOB007 result
        result-gone-after-2s: JOB008 forgotten
        result-gone-after-fetch: JOB008 forgotten
        result-says-processing: JOB007 result
        unknown-at-first: JOB008 unknown while running
        same-id-twice: JOB013 shared id
        shows-other-accounts: ?JOB011 another account
        links-elsewhere: LNK001 address
        picture-type-wrong: OUT006 media type
        truncated-picture: OUT005 damaged
        blank-picture: OUT007 blank
        cost-too-high: MON001 cost
        failed-charged: ?MON002 failed
        v1-500: RPL009 run
        """,
    ),
    *broken(
        "segmind/p-image",
        """
        refuses-2:3: REQ002 aspect_ratio='2:3'
        refuses-bottom: REQ002 height=256
        custom-size-on-grid: OUT004 size
        ratio-ignored: OUT004 size
        default-seed-random: OUT008 default-seed
        minus-one-is-fixed: OUT008 random-seed
        same-seed-other-picture: OUT008 same-seed
        other-seed-same-picture: OUT008 other-seed
        seed-echo-wrong: OUT009 seed
        """,
        profile="standard",
    ),
    *broken(
        "segmind/p-image-try-on",
        """
        highest-garment_images-not-enforced: REQ001 garment_images.maxItems
        lowest-garment_images-not-enforced: ?REQ001 garment_images.minItems
        format-ignored: OUT003 format
        """,
        profile="standard",
    ),
    *broken(
        "runware/p-image-edit",
        """
        errors-in-200: RPL005 error
        errors-as-html: RPL003 content type
        errors-500: RPL004 invalid
        highest-numberResults-not-enforced: REQ001 numberResults.maximum
        conflict-not-enforced: JOB014 repeated id
        ack-without-taskUUID: RPL002 taskUUID
        unknown-is-processing: ?JOB006 unknown id
        success-then-processing: JOB002 succeeded
        progress-253: ?RPL002 progress
        item-without-seed: ?RPL002 seed
        other-taskUUID: JOB005 id
        links-elsewhere: ?LNK001 address
        wrong-size: OUT004 size
        picture-type-wrong: OUT006 media type
        """,
    ),
    *broken(
        "runware/p-image-edit",
        """
        refuses-WEBP: REQ002 outputFormat
        refuses-20-results: REQ002 numberResults=20
        one-result-short: OUT001 too few
        all-results-alike: OUT011 results alike
        cost-too-high: ?MON001 cost
        format-ignored: OUT003 format
        data-uri-type-wrong: ?OUT006 media type
        """,
        profile="standard",
    ),
    # what shows only while a job runs: jobs long enough to be met running on a busy machine
    *broken("segmind/p-image", "steps-back: JOB003 running\nundocumented-state: JOB001 RUNNING", ways={"run": 1.5}),
    *broken("runware/p-image-edit", "progress-backwards: JOB010 progress", ways={"run": 1.5}),
    *broken("runware/p-image-edit", "undocumented-state: JOB001 rendering", ways={"run": 1.5}),
    *broken("pixeldojo/p-image-edit", "steps-back: JOB003 running", ways={"run": 1.5}),
    *broken("pixeldojo/p-image-edit", "undocumented-state: ?JOB001 rendering", ways={"run": 1.5}),
    *broken("runware/p-image-edit", "failed-without-error: ?JOB012 reason", ways={"unreachable": "run"}),
    *broken(
        "pixeldojo/p-image-edit",
        """
        errors-in-200: RPL005 error
        six-images: REQ001 images.maxItems
        bad-input-500: ?RPL004 invalid
        same-id-twice: JOB013 shared id
        links-elsewhere: LNK001 status
        ack-without-statusUrl: RPL002 statusUrl
        ack-200: RPL001 submit
        expired-at-once: ? expir
        unknown-200: ?JOB006 unknown id
        upper-case-state: JOB001 spelling
        unknown-at-first: JOB008 unknown while running
        completed-then-processing: JOB002 succeeded
        job-id-changes: JOB005 id
        output-missing: RPL002 output
        cost-changes: MON001 cost
        credits-do-not-fall: ?MON003 balance
        picture-404: OUT002 picture
        """,
    ),
    *broken("pixeldojo/p-image-edit", "ratio-ignored: OUT004 size", profile="standard"),
    *broken("pixeldojo/p-image-edit", "refuses-3:2: REQ002 aspect_ratio='3:2'", profile="standard"),
]  # fmt: skip


# What is still wrong, by row. A row that is mended fails its test until it is taken off this list.
def honest() -> Iterator[Row]:
    """Every honest host at every endpoint; where only the clock differs, the few calls of `quick` will do."""
    for provider, hosts in HONEST.items():
        for endpoint, (name, ways) in product(ENDPOINTS[provider], hosts.items()):
            profile = "quick" if name in ("instant", "slow") else "standard"
            yield Row(endpoint=endpoint, defect=f"({name})", ways=ways, profile=profile)


@pytest.fixture(scope="module", autouse=True)
def keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, key in KEYS.items():
            patch.setenv(name, key)
        yield


def found(row: Row, folder: Path) -> tuple[Sequence[Finding], int]:
    """What a run says of the row's host, and how many calls the host got."""
    make, ways = HOSTS[row.endpoint.split("/")[0]]
    defect = "" if row.defect.startswith("(") else row.defect
    with make(ways(**row.ways), defect) as host:
        options = CheckOptions(target=host.url, profile=row.profile, bounds=Bounds(seconds=120.0), report_dir=folder)
        run = check(resolve(row.endpoint), options)
        return [finding for verdict in run.verdicts for finding in verdict.findings], host.calls


def complaint(row: Row, folder: Path) -> str:
    """What is wrong with the run of one row; empty when all is well."""
    try:
        findings, calls = found(row, folder)
    except Exception as error:  # noqa: BLE001  a crash is one row's trouble; the others are still told
        return f"{row.name}: {type(error).__name__}: {error}"
    told = "".join(f"\n    {finding.severity.value} {finding.key}: {finding.says}" for finding in findings)
    told = f" in {calls} calls{told or ': nothing'}"
    if calls > MOST_CALLS:
        return f"{row.name}: too many calls,{told}"
    if not row.hears:
        loud = [finding for finding in findings if finding.severity is Severity.VIOLATION]
        return f"{row.name}: a violation where there is none{told}" if loud else ""
    if len(findings) > MOST_FINDINGS:
        return f"{row.name}: a flood{told}"
    return "" if any(heard(finding, row) for finding in findings) else f"{row.name}: not {row.hears!r}{told}"


def heard(finding: Finding, row: Row) -> bool:
    id, part = row.hears.split(" ", 1)
    severe = finding.severity is Severity.VIOLATION or finding.severity is row.severity
    return severe and finding.check.startswith(id) and part.lower() in f"{finding.subject} {finding.says}".lower()


def complaints(rows: Sequence[Row], folder: Path) -> str:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        folders = [folder / str(number) for number in range(len(rows))]
        return "\n".join(filter(None, pool.map(complaint, rows, folders)))


def batches(rows: Sequence[Row], size: int = 16) -> list[Any]:
    """The rows in parts, for the workers of a parallel run."""
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [pytest.param(part, id=f"{part[0].name} to {part[-1].name}") for part in parts]


@pytest.mark.slow
@pytest.mark.parametrize("provider", HONEST)
def test_an_honest_host_is_not_accused(provider: str, tmp_path: Path) -> None:
    rows = [row for row in honest() if row.endpoint.startswith(provider)]
    assert complaints(rows, tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize("rows", batches(BROKEN))
def test_a_broken_promise_is_heard_by_its_name_and_without_a_flood(rows: Sequence[Row], tmp_path: Path) -> None:
    assert complaints(rows, tmp_path) == ""


@pytest.mark.slow
def test_every_defect_of_the_table_is_told_in_the_hosts_own_page() -> None:
    page = (HERE / "hosts" / "README.md").read_text()
    assert [row.name for row in BROKEN if f"`{row.defect}`" not in page] == []


def test_the_hosts_know_nothing_of_the_package() -> None:
    assert [path.name for path in (HERE / "hosts").glob("*.py") if "wireproof" in path.read_text()] == []


@pytest.mark.slow
@pytest.mark.parametrize(("defect", "code"), [("", 0), ("unknown-200", 1)])
def test_the_command_says_it_with_its_exit_code(defect: str, code: int, tmp_path: Path) -> None:
    with segmind.SegmindHost(defect=defect) as host:
        line = [sys.executable, "-m", "wireproof.cli", "check", "segmind/p-image", "--target", host.url]
        line += ["--profile", "quick", "--report-dir", str(tmp_path)]
        done = subprocess.run(line, env=os.environ | KEYS, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stdout
