"""What `wireproof init` lays out: complete, green as it is, and never over something of yours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import wireproof
from wireproof.errors import UsageError
from wireproof.rooms import shipped
from wireproof.scaffold import contents, scaffold

TODAY = date(2026, 11, 21)
SOURCE = str(Path(wireproof.__file__).parents[1])


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, with nothing of the test run in its environment but the source."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "MAKE", "MFLAGS"))}
    return subprocess.run(
        words,
        cwd=cwd,
        env={**env, "PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def init(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "wireproof", "init", str(folder), *words, cwd=folder.parent)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="the generated Makefile needs make")
@pytest.mark.parametrize(("host", "model"), [("acme", "lantern"), ("true", "1e5")])
def test_what_is_generated_is_green_as_it_is(tmp_path: Path, host: str, model: str) -> None:
    """Names that YAML would read as something else included."""
    made = init(tmp_path / "new", "--host", host, "--model", model)
    assert made.returncode == 0, made.stderr
    assert "wrote" in made.stdout and "kept" not in made.stdout
    done = run("make", "test", f"PYTHON={sys.executable}", cwd=tmp_path / "new")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{host}/{model} conforms" in done.stdout
    assert "6 passed" in done.stdout


@pytest.mark.slow
def test_the_first_contract_is_exercised_in_full(tmp_path: Path) -> None:
    """An example that leaves something untried would teach it."""
    scaffold(tmp_path, host="acme", model="lantern", today=TODAY)
    done = run(sys.executable, "-m", "wireproof", "check", "specs", "--json", cwd=tmp_path)
    (verdict,) = json.loads(done.stdout)["verdicts"]
    assert [cover for cover in verdict["coverage"] if not cover["seen"]] == []


def test_the_first_contract_has_no_mistake_and_shows_one_question(tmp_path: Path) -> None:
    scaffold(tmp_path, host="acme", model="lantern", today=TODAY)
    done = run(sys.executable, "-m", "wireproof", "lint", "specs", "--json", cwd=tmp_path)
    assert [finding["severity"] for finding in json.loads(done.stdout)["findings"]] == ["question"]


def test_a_file_that_is_there_stays_as_it_is_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("mine:\n")
    (tmp_path / "README.md").symlink_to(tmp_path / "elsewhere.md")
    first = init(tmp_path)
    assert first.returncode == 0
    assert (tmp_path / "Makefile").read_text() == "mine:\n"
    assert not (tmp_path / "elsewhere.md").exists()
    assert first.stdout.count("kept ") == 2
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = init(tmp_path)
    assert "wrote" not in again.stdout
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_same_names_and_day_give_the_same_files() -> None:
    assert contents("acme", "lantern", TODAY) == contents("acme", "lantern", TODAY)
    assert "2026-11-21" in contents("acme", "lantern", TODAY)["specs/acme/protocol.yaml"]


def test_no_placeholder_is_left_over_and_the_key_has_a_name_that_shells_know() -> None:
    files = contents("my-host", "my-model", TODAY)
    assert [
        path
        for path, text in files.items()
        for sign in ("@host@", "@HOST@", "@model@", "@today@")
        if sign in path + text
    ] == []
    assert "env: MY_HOST_API_KEY" in files["specs/my-host/protocol.yaml"]


def test_every_editor_hint_points_to_a_schema_that_is_there(tmp_path: Path) -> None:
    made = scaffold(tmp_path, host="acme", model="lantern", today=TODAY)
    hints = [
        tmp_path / Path(path).parent / (tmp_path / path).read_text().splitlines()[0].partition("$schema=")[2]
        for path in made.written
        if path.startswith(("specs/", "loadtests/")) and path.endswith(".yaml")
    ]
    assert len(hints) == 4
    for hint in hints:
        ours = shipped("specs") / "schema" / hint.name
        assert hint.read_text() == ours.read_text()


def test_the_workflow_is_one_that_can_be_read() -> None:
    workflow = YAML(typ="safe").load(contents("acme", "lantern", TODAY)[".github/workflows/wireproof.yml"])
    assert workflow["permissions"] == {"contents": "read"}
    assert "make test" in " ".join(step.get("run", "") for step in workflow["jobs"]["test"]["steps"])


@pytest.mark.parametrize(
    ("host", "model", "says"),
    [
        ("Acme", "lantern", "--host 'Acme'"),
        ("acme", "../lantern", "--model '../lantern'"),
        ("", "lantern", "--host ''"),
        ("models", "lantern", "--host 'models' means something else"),
        ("acme", "protocol", "--model 'protocol' means something else"),
    ],
)
def test_a_name_that_no_contract_can_have_is_refused_before_anything_is_written(
    tmp_path: Path, host: str, model: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        scaffold(tmp_path, host=host, model=model, today=TODAY)
    assert list(tmp_path.iterdir()) == []
