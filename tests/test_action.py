"""The doors to GitHub and pre-commit, tried without a network: what they say, and what their shell steps do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

import wireproof
from wireproof.scaffold import TEMPLATES, scaffold

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = [
    *sorted((ROOT / ".github/workflows").glob("*.yml")),
    *sorted((TEMPLATES / ".github/workflows").glob("*.yml")),
]
KEY = "SG_b6bcb5936aed8f0a"
bash = pytest.mark.skipif(shutil.which("bash") is None, reason="the steps of the action are bash")


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


ACTION = read(ROOT / "action.yml")
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]


def step(id: str) -> dict[str, Any]:
    return next(one for one in STEPS if one.get("id") == id)


# ------------------------------------------------------------------------------------------ what it says


def test_the_action_uses_only_inputs_that_it_declares_and_uses_them_all() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text("utf-8")))
    assert used == set(ACTION["inputs"])
    assert all("description" in one and "default" in one for one in ACTION["inputs"].values())


def test_every_output_of_the_action_is_written_by_its_step() -> None:
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.check.outputs.{name} }}}}"
        assert f"{name}=" in step("check")["run"]


def scripts(node: Any) -> Iterator[str]:
    """Every shell script of a workflow or an action."""
    if isinstance(node, Mapping):
        if isinstance(node.get("run"), str):
            yield node["run"]
        for child in node.values():
            yield from scripts(child)
    if isinstance(node, list):
        for child in node:
            yield from scripts(child)


@bash
@pytest.mark.parametrize("path", [ROOT / "action.yml", *WORKFLOWS], ids=lambda path: path.name)
def test_every_script_is_bash_and_none_has_an_expression_pasted_into_it(path: Path) -> None:
    """What a pull request names would be run by the shell otherwise."""
    found = list(scripts(read(path)))
    assert found
    assert [script for script in found if "${{" in script] == []
    for script in found:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=10)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_write_no_more_than_it_says(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 30 for job in workflow["jobs"].values())


def test_the_workflow_runs_what_the_makefile_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    asked = {
        words.split()[1] for words in scripts(read(ROOT / ".github/workflows/ci.yml")) if words.startswith("make ")
    }
    assert asked <= targets
    assert {"setup", "test", "check", "docs", "build"} <= asked


# ------------------------------------------------------------------------------------------ what it does


class Runner:
    """A folder with what a runner gives to a step."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.output, self.summary = folder / "output", folder / "summary"
        bins = folder / "bin"
        for made in (self.work, bins):
            made.mkdir()
        (bins / "wireproof").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wireproof "$@"\n')
        (bins / "wireproof").chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB", "PYTEST"))}
        self.env = kept | {
            "PATH": f"{bins}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(wireproof.__file__).parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }

    def run(self, id: str, env: Mapping[str, str] | None = None, **inputs: str) -> subprocess.CompletedProcess[str]:
        """A step of the action, as GitHub runs `shell: bash`; inputs are named with _ for -."""
        given = {name: str(one["default"]) for name, one in ACTION["inputs"].items()}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        one = step(id)
        asked = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: given[m[1]], str(value))
            for name, value in one["env"].items()
        }
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", one["run"]],
            cwd=self.work,
            env=self.env | asked | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def outputs(self) -> dict[str, str]:
        lines = self.output.read_text("utf-8").splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@contextmanager
def serving(runner: Runner, *words: str) -> Iterator[str]:
    """The address of a mock in a process of its own."""
    started = [sys.executable, "-m", "wireproof", "mock", "segmind", "--time-scale", "50", *words]
    with subprocess.Popen(started, env=runner.env, cwd=runner.work, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield re.findall(r'"url": "([^"]+)"', server.stdout.readline())[0]
        finally:
            server.send_signal(signal.SIGINT)


@bash
@pytest.mark.slow
def test_the_action_lints_checks_and_reports(runner: Runner) -> None:
    scaffold(runner.work, host="acme", model="lantern", today=date(2026, 11, 21))
    assert runner.run("lint").returncode == 0
    done = runner.run("check", profile="quick")
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = runner.outputs()
    assert outputs["exit-code"] == "0"
    assert set(outputs) == set(ACTION["outputs"])
    assert all((runner.work / path).exists() for name, path in outputs.items() if name != "exit-code")
    assert ElementTree.parse(runner.work / outputs["junit"]).getroot().tag == "testsuites"
    assert "acme/lantern" in runner.summary.read_text("utf-8")


@bash
@pytest.mark.slow
def test_the_action_fails_on_findings_and_annotates_the_line_of_the_contract(runner: Runner) -> None:
    with serving(runner, "--mood", "wrong-pictures") as url:
        given = {"spec": "segmind/p-image", "profile": "quick", "target": url}
        done = runner.run("check", {"SEGMIND_API_KEY": KEY}, **given)
    assert done.returncode == 1, done.stdout + done.stderr
    assert runner.outputs()["exit-code"] == "1"
    assert re.search(r"^::error file=.*p-image\.yaml,line=\d+,title=OUT004", done.stdout, re.MULTILINE)
    quiet = re.findall(r"^::stop-commands::(\d+)$", done.stdout, re.MULTILINE)
    assert done.stdout.index(f"::{quiet[0]}::") < done.stdout.index("::error ")


@bash
def test_the_action_says_when_nothing_could_be_told(runner: Runner) -> None:
    done = runner.run("check", spec="segmind/p-image", target="http://127.0.0.1:1")
    assert done.returncode == 3
    assert runner.outputs() == {"exit-code": "3"}
    assert "ended with 3" in runner.summary.read_text("utf-8")


@bash
def test_an_input_is_never_run(runner: Runner) -> None:
    evil = "$(touch gone) `touch gone` ; touch gone"
    assert runner.run("lint", spec=evil).returncode == 2
    assert runner.run("check", spec="segmind/p-image", target=evil, profile="quick").returncode == 2
    assert not list(runner.work.rglob("gone"))


@bash
def test_a_lint_mistake_fails_the_action(runner: Runner) -> None:
    scaffold(runner.work, host="acme", model="lantern", today=date(2026, 11, 21))
    contract = runner.work / "specs/acme/lantern.yaml"
    contract.write_text(contract.read_text("utf-8").replace("maxLength", "maxLenght"))
    done = runner.run("lint")
    assert done.returncode == 2
    assert "Did you mean maxLength?" in done.stderr


def test_the_hook_lints_a_repository_of_contracts(runner: Runner) -> None:
    [hook] = read(ROOT / ".pre-commit-hooks.yaml")
    scaffold(runner.work, host="acme", model="lantern", today=date(2026, 11, 21))
    [command, *words] = hook["entry"].split()
    assert (command, hook["language"], hook["pass_filenames"]) == ("wireproof", "python", False)
    started = [sys.executable, "-m", "wireproof", *words, *hook["args"]]
    done = subprocess.run(
        started, cwd=runner.work, env=runner.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "1 question" in done.stdout
