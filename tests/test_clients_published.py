"""The other published clients, unmodified, each in an environment of its own: the mock's sockets convince them.

They are made once, in the folder that WIREPROOF_CLIENTS names, by the ordinary package clients; without that
variable nothing is installed and every test here says why it was skipped.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wireproof.clock import ScaledClock
from wireproof.mock.channels import Channels
from wireproof.mock.engine import Mock
from wireproof.mock.moods import load_moods
from wireproof.mock.socket import serving
from wireproof.spec.load import resolve

pytestmark = [pytest.mark.clients, pytest.mark.slow]

SCRIPTS = Path(__file__).parent / "clients"
FOLDER = os.environ.get("WIREPROOF_CLIENTS", "")
PATIENCE = 60.0
"""Seconds for one client to come to its end."""


@dataclass(frozen=True, slots=True)
class Client:
    """A published client: what it is, how it is had, and the script that uses it."""

    package: str
    version: str
    script: str
    host: str = "runware"

    @property
    def home(self) -> Path:
        return Path(FOLDER).absolute() / Path(self.script).stem


SDK = Client("runware-sdk", "1.8.0", "runware_sdk.py")
LEGACY = Client("runware", "0.5.24", "runware_legacy.py")
JAVASCRIPT = Client("@runware/sdk-js", "1.3.2", "runware_js.mjs")
SEGMIND = Client("segmind", "1.3.0", "segmind_sdk.py", host="segmind")


@functools.cache
def command(client: Client) -> tuple[str, ...]:
    """The command that runs a client's script; installs the client first. Skips, with the reason, where it cannot."""
    if not FOLDER:
        pytest.skip(f"{client.package} is not installed: name a folder for it in WIREPROOF_CLIENTS")
    script = str(SCRIPTS / client.script)
    if client.script.endswith(".mjs"):
        _install(client, shutil.which("npm"), "install", "--no-audit", "--no-fund", "--prefix", str(client.home))
        return (shutil.which("node") or "node", script)
    python = client.home / "bin" / "python"
    if not python.exists():
        venv.create(client.home, with_pip=True)
    _install(client, str(python), "-m", "pip", "install", "-q", separator="==")
    return str(python), script


def _install(client: Client, *words: str | None, separator: str = "@") -> None:
    done = client.home / f".{client.version}"
    if done.exists():
        return
    if words[0] is None:
        pytest.skip(f"{client.package} cannot be installed: there is no npm here")
    client.home.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(
        [*map(str, words), f"{client.package}{separator}{client.version}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if ran.returncode:
        pytest.skip(f"{client.package} {client.version} cannot be installed: {ran.stderr.strip()[-300:]}")
    done.touch()


class World:
    """A mock behind its sockets and whoever calls it."""

    def __init__(self) -> None:
        self.mock = Mock([*resolve("runware"), *resolve("segmind")], moods=load_moods(), seed=11)
        self.clock = ScaledClock(20.0)
        self.url = ""
        self.happened: list[dict[str, Any]] = []
        """What each run of a client came to, for the table in the docs."""

    def run(self, client: Client, transport: str, what: str, mood: str = "") -> Any:
        key = self.mock.key(client.host, f"mood:{mood}" if mood else "main")
        before = self.jobs(mood, client.host)
        words = [*command(client), transport, self.url, key, what]
        surroundings = {"PATH": os.environ["PATH"], "HOME": str(client.home), "CLIENT_FOLDER": str(client.home)}
        ran = subprocess.run(words, check=False, capture_output=True, text=True, timeout=PATIENCE, env=surroundings)
        assert ran.stdout, ran.stderr[-2000:]
        told = json.loads(ran.stdout.splitlines()[-1])
        row = {"client": f"{client.package} {client.version}", "over": transport, "what": what, "mood": mood}
        self.happened.append({**row, "told": told, "jobs": self.jobs(mood, client.host) - before})
        return told

    def jobs(self, mood: str = "", host: str = "runware") -> int:
        return self.mock.account(f"{host}:mood:{mood}" if mood else f"{host}:main").jobs


@pytest.fixture
def world(record_property: Callable[[str, object], None]) -> Iterator[World]:
    made = World()
    channels = Channels(made.mock, made.clock)
    with serving(made.mock, clock=made.clock, upgrade=channels.upgrade) as url:
        made.url = url
        yield made
    for row in made.happened:
        record_property("happened", json.dumps(row, sort_keys=True))


ALL = [(SDK, "rest"), (SDK, "websocket"), (LEGACY, "ws"), (JAVASCRIPT, "ws")]
ANY = pytest.mark.parametrize(("client", "transport"), ALL, ids=lambda v: v if isinstance(v, str) else v.package)


@ANY
@pytest.mark.parametrize(("what", "results"), [("one", 1), ("three", 3)])
def test_every_client_gets_its_pictures(world: World, client: Client, transport: str, what: str, results: int) -> None:
    told = world.run(client, transport, what)
    assert len({result["imageUUID"] for result in told["results"]}) == results
    assert all(result["imageURL"].startswith(world.url) for result in told["results"])
    assert world.jobs() == 1


@ANY
def test_every_client_is_told_what_is_wrong(world: World, client: Client, transport: str) -> None:
    told = world.run(client, transport, "invalid")
    assert told["error"] in ("validation", "invalidParameter")
    assert world.jobs() == 0


@pytest.mark.parametrize("transport", ["rest", "websocket"])
def test_the_current_client_gets_sync_results_uploads_and_refusals(world: World, transport: str) -> None:
    assert len(world.run(SDK, transport, "sync")["results"]) == 2
    assert world.run(SDK, transport, "upload")["stored"][0]["imageURL"].startswith(world.url)
    assert world.run(SDK, transport, "blocked") == {"error": "safety", "retryable": False}


def test_segminds_client_gets_its_picture_by_either_way(world: World) -> None:
    (result,) = world.run(SEGMIND, "rest", "one")["results"]
    assert result["url"].startswith(world.url)
    (result,) = world.run(SEGMIND, "rest", "direct")["results"]
    assert result["type"].startswith("image/")
    assert result["bytes"] > 1000
    assert world.jobs(host="segmind") == 2


@pytest.mark.parametrize(
    ("what", "mood", "error", "jobs"),
    [
        ("invalid", "", "SegmindError 400", 0),
        ("blocked", "", "InferenceFailed", 1),
        ("one", "failed", "InferenceFailed", 1),
        ("one", "stuck-queue", "InferenceTimeout", 1),
        ("one", "out-of-credits", "SegmindError 406", 0),
        ("one", "bad-key", "SegmindError 401", 0),
        ("one", "rate-limited-own", "SegmindError 429", 0),
    ],
)
def test_segminds_client_tells_what_the_host_told(world: World, what: str, mood: str, error: str, jobs: int) -> None:
    assert world.run(SEGMIND, "rest", what, mood) == {"error": error}
    assert world.jobs(mood, "segmind") == jobs


# ------------------------------------------------------------- their weak spots, shown by moods


@pytest.mark.parametrize(
    ("mood", "error", "jobs"),
    [
        ("poll-502", "SegmindError 502", 1),
        ("poll-429", "SegmindError 429", 1),
        ("poll-reset", "ReadError", 1),
        ("lost-reply", "ReadError", 1),
        ("unknown-end", "InferenceTimeout", 1),
        ("other-case", "InferenceTimeout", 1),
        ("redirect", "JSONDecodeError", 0),
    ],
)
def test_weak_spot_one_bad_moment_costs_segminds_client_the_job(world: World, mood: str, error: str, jobs: int) -> None:
    assert world.run(SEGMIND, "rest", "one", mood) == {"error": error}
    assert world.jobs(mood, "segmind") == jobs


def test_weak_spot_a_reply_lost_over_rest_becomes_a_validation_error_though_the_job_is_billed(world: World) -> None:
    told = world.run(SDK, "rest", "one", "error-after-submit")
    assert told == {"error": "validation", "retryable": False}
    assert world.jobs("error-after-submit") == 1


def test_a_reply_lost_over_a_websocket_is_survived_without_a_second_job(world: World) -> None:
    told = world.run(SDK, "websocket", "one", "lost-reply")
    assert len(told["results"]) == 1
    assert world.jobs("lost-reply") == 1


def test_weak_spot_a_lost_reply_makes_the_javascript_client_submit_under_a_new_id(world: World) -> None:
    world.run(JAVASCRIPT, "ws", "one", "lost-reply")
    assert world.jobs("lost-reply") == 2


def test_weak_spot_a_late_reply_is_billed_twice_by_the_javascript_client(world: World) -> None:
    world.run(JAVASCRIPT, "ws", "one", "late-submit")
    assert world.jobs("late-submit") == 2
