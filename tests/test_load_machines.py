"""Locust's own distribution between two machines, as two network namespaces of this one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from wireproof.load import folder
from wireproof.load.record import Outcome

ROOT = Path(__file__).resolve().parents[1]
HERE, THERE = "10.213.77.1", "10.213.77.2"


@dataclass(frozen=True)
class Machines:
    """Two network namespaces, joined by one cable."""

    here: str
    there: str

    def words(self, name: str, *words: str) -> list[str]:
        return ["ip", "netns", "exec", name, sys.executable, *words]


def told(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True, timeout=10)


@pytest.fixture
def machines() -> Iterator[Machines]:
    tag = f"wp{os.getpid() % 100000}"
    made = Machines(f"{tag}a", f"{tag}b")
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here to make network namespaces with")
    with ExitStack() as stack:
        try:
            for name in (made.here, made.there):
                told("ip", "netns", "add", name)
                stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False, capture_output=True)
            told(
                "ip",
                "link",
                "add",
                made.here,
                "netns",
                made.here,
                "type",
                "veth",
                "peer",
                made.there,
                "netns",
                made.there,
            )
            for name, address in ((made.here, HERE), (made.there, THERE)):
                told("ip", "-n", name, "address", "add", f"{address}/24", "dev", name)
                for device in (name, "lo"):
                    told("ip", "-n", name, "link", "set", device, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine lets us make no network namespaces: {error.stderr.strip()[:200]}")
        yield made


@pytest.mark.slow
def test_a_worker_on_another_machine_does_its_share_and_spends_from_the_same_budget(machines, tmp_path):
    (tmp_path / "plan.yaml").write_text(
        "kind: plan\nplan: far\ndownload: false\npoll: 100ms\ndrain: 10s\nphases: [{name: m, rate: 8/s, for: 3s}]\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "harness"), "XDG_STATE_HOME": str(tmp_path / "state")}
    with ExitStack() as stack:

        def start(name: str, *words: str) -> subprocess.Popen[str]:
            # What is said on standard error is kept for a failure to show.
            errors = stack.enter_context((tmp_path / f"{len(list(tmp_path.iterdir()))}.log").open("w"))
            process = subprocess.Popen(
                machines.words(name, *words),
                env=environment,
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            stack.callback(process.wait, 10)
            stack.callback(process.kill)
            return process

        mock = start(machines.here, "-m", "wireproof", "mock", "segmind/p-image", "--host", HERE, "--port", "8123")
        assert mock.stdout is not None
        ready = json.loads(mock.stdout.readline())
        environment["SEGMIND_API_KEY"] = ready["key"]
        door = ["-m", "locust", "-f", str(ROOT / "loadtests" / "locustfile.py"), "--headless"]
        ours = ["--host", f"http://{HERE}:8123", "--plan", "plan.yaml", "--live", "--budget", "0.30USD"]
        master = start(
            machines.here,
            *door,
            *ours,
            "--master",
            "--expect-workers",
            "2",
            "-u",
            "60",
            "-r",
            "60",
            "--report-dir",
            "runs",
        )
        start(machines.here, *door, "--worker", "--master-host", HERE)
        start(machines.there, *door, "--worker", "--master-host", HERE)
        code = master.wait(60)
    (place,) = (tmp_path / "runs").iterdir()
    jobs = folder.jobs(place)
    said = "\n".join(path.read_text()[-600:] for path in sorted(tmp_path.glob("*.log")))
    assert code in (0, 5), said
    assert len(jobs) == 24, said
    assert {job.outcome for job in jobs} <= {Outcome.SUCCEEDED, Outcome.MODERATED, Outcome.FAILED}
    assert [sum(job.worker == number for job in jobs) for number in (0, 1)] == [12, 12]
    assert sum(job.spent.amount for job in jobs) <= Decimal("0.30")
