"""The pytest plugin, in test runs of its own: what it gives to a test, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "harness"
CLIENT = """
import httpx, pytest

def picture(http, key, **body):
    headers = {"x-api-key": key}
    job = http.post("/v2/p-image", json={"prompt": "a fox", **body}, headers=headers).json()
    for _ in range(99):
        reply = http.get(job["status_url"], headers=headers)
        told = reply.json() if reply.status_code in (200, 422) else {}
        if told.get("status") == "COMPLETED":
            return http.get(job["response_url"], headers=headers).json()["output"]
        if told.get("status") == "FAILED":
            raise RuntimeError(told["error"])
"""


def plugin_words() -> list[str]:
    """How the plugin gets into a test run: by itself where we are installed, else by name."""
    installed = any(point.name == "wireproof" for point in entry_points(group="pytest11"))
    return [] if installed else ["-p", "wireproof.pytest_plugin"]


def run(folder: Path, source: str, *options: str, plugin: bool = True) -> subprocess.CompletedProcess[str]:
    """A test run in a fresh project, with nothing of this one but the package."""
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HARNESS), "HOME": str(folder)}
    load = plugin_words() if plugin else ["-p", "no:wireproof"]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", *load, *options]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_test_gets_a_mock_in_process_and_passes_with_a_client_that_keeps_the_contract(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        CLIENT
        + """
@pytest.mark.wireproof("segmind/p-image")
def test_one(wireproof_mock):
    with httpx.Client(transport=wireproof_mock.transport, base_url=wireproof_mock.url) as http:
        assert picture(http, wireproof_mock.key).startswith("http")
    assert [e.operation for e in wireproof_mock.journal][0] == "submit"
    assert wireproof_mock.findings == ()

@pytest.mark.wireproof("segmind/p-image")
def test_two(wireproof_mock, wireproof_route):
    with httpx.Client(base_url=wireproof_mock.url) as http:
        assert picture(http, wireproof_mock.key)

@pytest.mark.wireproof("segmind/p-image")
def test_three(wireproof_mock, wireproof_server):
    with httpx.Client(base_url=wireproof_server) as http:
        assert picture(http, wireproof_mock.key)

@pytest.mark.wireproof("segmind/p-image", scenario="failed")
def test_four(wireproof_mock, wireproof_transport):
    with httpx.Client(transport=wireproof_transport, base_url=wireproof_mock.url) as http:
        with pytest.raises(RuntimeError, match="out of memory"):
            picture(http, wireproof_mock.key)
""",
    )
    assert "4 passed" in told.stdout, told.stdout


def test_a_request_that_breaks_the_contract_fails_its_test_with_parameter_rule_and_line(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        CLIENT
        + """
def ask(mock, **body):
    with httpx.Client(transport=mock.transport, base_url=mock.url) as http:
        http.post("/v2/p-image", json={"prompt": "a fox", **body}, headers={"x-api-key": mock.key})

@pytest.mark.wireproof("segmind/p-image")
def test_strict(wireproof_mock):
    ask(wireproof_mock, aspect_ratio="7:5")

@pytest.mark.wireproof("segmind/p-image", strict=False)
def test_lenient(wireproof_mock):
    ask(wireproof_mock, aspect_ratio="7:5")

@pytest.mark.wireproof("segmind/p-image")
def test_unknown(wireproof_mock):
    ask(wireproof_mock, styel="noir")
""",
    )
    assert "3 passed, 2 errors" in told.stdout, told.stdout
    assert "aspect_ratio keeps the rule `enum`" in told.stdout and "p-image.yaml:" in told.stdout
    assert "styel is not a parameter" in told.stdout


def test_scenarios_make_one_test_each_under_names_that_stay(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
import pytest

@pytest.mark.wireproof("segmind/p-image", scenarios=["calm", "lost-reply", "partial-results"])
def test_it(wireproof_mock, wireproof_scenario):
    assert wireproof_mock.scenario.name == wireproof_scenario
""",
        "-vv",
        "-rs",
    )
    assert "test_it[calm] PASSED" in told.stdout and "test_it[lost-reply] PASSED" in told.stdout, told.stdout
    assert "test_it[partial-results] SKIPPED" in told.stdout and "one picture" in told.stdout


def test_the_seed_decides_what_the_mock_makes_up(tmp_path: Path) -> None:
    source = """
import pytest

@pytest.mark.wireproof("segmind/p-image")
def test_it(wireproof_mock):
    print("key", wireproof_mock.key)
"""
    first, same, other = (
        [line for line in run(tmp_path, source, "-s", f"--wireproof-seed={seed}").stdout.splitlines() if "key" in line]
        for seed in (1, 1, 2)
    )
    assert first == same and first != other


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ("", "say which contract is served"),
        ('@pytest.mark.wireproof("segmind")', "means 3 endpoints"),
        ('@pytest.mark.wireproof("segmind/p-image", scenario="lost-replay")', "Did you mean lost-reply?"),
        ('@pytest.mark.wireproof("segmind/p-image", moood="x")', "not ['moood']"),
    ],
)
def test_a_marker_that_is_wrong_says_how_to_mend_it(tmp_path: Path, marker: str, says: str) -> None:
    told = run(tmp_path, f"import pytest\n{marker}\ndef test_it(wireproof_mock): pass\n")
    assert says in told.stdout + told.stderr, told.stdout


def test_a_journal_can_be_asked_about_by_hand(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        CLIENT
        + """
from wireproof.pytest_plugin import assert_conforms

@pytest.mark.wireproof("segmind/p-image", strict=False)
def test_it(wireproof_mock):
    with httpx.Client(transport=wireproof_mock.transport, base_url=wireproof_mock.url) as http:
        http.post("/v2/p-image", json={"seed": "seven"}, headers={"x-api-key": wireproof_mock.key})
    for journal in ((wireproof_mock,), (wireproof_mock.journal, wireproof_mock.endpoint)):
        with pytest.raises(pytest.fail.Exception, match="prompt is required"):
            assert_conforms(*journal)
""",
    )
    assert "1 passed" in told.stdout, told.stdout


def test_a_second_job_for_one_call_fails_its_test(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
import httpx, pytest

@pytest.mark.wireproof("segmind/p-image", scenario="lost-reply")
def test_it(wireproof_mock):
    with httpx.Client(transport=wireproof_mock.transport, base_url=wireproof_mock.url) as http:
        for _ in range(2):
            try:
                http.post("/v2/p-image", json={"prompt": "a fox"}, headers={"x-api-key": wireproof_mock.key})
            except httpx.TransportError:
                pass
""",
    )
    assert "CLI002" in told.stdout and "2 billable jobs out of 1 logical call" in told.stdout, told.stdout


def test_a_client_of_httpx2_gets_a_transport_too(tmp_path: Path) -> None:
    pytest.importorskip("httpx2")
    told = run(
        tmp_path,
        CLIENT.replace("import httpx, pytest", "import asyncio, httpx2, pytest")
        + """
@pytest.mark.wireproof("segmind/p-image")
def test_sync(wireproof_mock, wireproof_httpx2_transport):
    with httpx2.Client(transport=wireproof_httpx2_transport, base_url=wireproof_mock.url) as http:
        assert picture(http, wireproof_mock.key)

@pytest.mark.wireproof("segmind/p-image", scenario="lost-reply")
def test_async(wireproof_mock, wireproof_httpx2_transport):
    async def ask():
        async with httpx2.AsyncClient(transport=wireproof_httpx2_transport, base_url=wireproof_mock.url) as http:
            await http.post("/v2/p-image", json={"prompt": "a fox"}, headers={"x-api-key": wireproof_mock.key})
    with pytest.raises(httpx2.ReadError):
        asyncio.run(ask())
""",
    )
    assert "2 passed" in told.stdout, told.stdout


@pytest.mark.parametrize("options", [("-n", "2"), ("-p", "anyio")])
def test_it_works_beside_other_plugins(tmp_path: Path, options: tuple[str, ...]) -> None:
    told = run(
        tmp_path,
        """
import httpx, pytest

@pytest.fixture
def anyio_backend(): return "asyncio"

@pytest.mark.anyio
@pytest.mark.wireproof("segmind/p-image", scenarios=["calm", "extra-fields"])
async def test_it(wireproof_mock, wireproof_scenario, wireproof_async_transport):
    async with httpx.AsyncClient(transport=wireproof_async_transport, base_url=wireproof_mock.url) as http:
        headers = {"x-api-key": wireproof_mock.key}
        reply = await http.post("/v2/p-image", json={"prompt": "a fox"}, headers=headers)
    assert reply.status_code == 200
""",
        *options,
    )
    assert "2 passed" in told.stdout, told.stdout + told.stderr


def test_a_run_that_does_not_use_it_loads_nothing_of_ours(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
import sys

def test_it():
    ours = {name for name in sys.modules if name.startswith("wireproof")}
    assert ours == {"wireproof", "wireproof.pytest_plugin"}
    assert not {"httpx", "respx", "jsonschema_rs", "ruamel"} & set(sys.modules)
""",
        "-p",
        "no:respx",
        "-p",
        "no:anyio",
        "-p",
        "no:hypothesispytest",
    )
    assert "1 passed" in told.stdout, told.stdout


def test_a_repository_with_rooms_of_its_own_keeps_working(tmp_path: Path) -> None:
    for name in ("harness", "mocks", "reports", "specs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"NAME = {name!r}\n")
    told = run(
        tmp_path,
        """
import pytest
import harness, mocks, reports, specs

@pytest.mark.wireproof("segmind/p-image", scenario="calm")
def test_it(wireproof_mock):
    assert {m.NAME for m in (harness, mocks, reports, specs)} == {"harness", "mocks", "reports", "specs"}
    assert wireproof_mock.key
""",
        "--import-mode=prepend",
    )
    assert "1 passed" in told.stdout, told.stdout
