"""The page for people who test their client: its clients go through the scenarios, its test passes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from test_pytest_plugin import plugin_words
from wireproof.audit import audit
from wireproof.mock.scenario import choose
from wireproof.spec.load import resolve

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "clients.md").read_text("utf-8")
CLIENTS = re.findall(r"<!-- client: (\S+) (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
TESTS = re.findall(r"<!-- test -->\n```python\n(.*?)```", PAGE, re.DOTALL)
SOME = "calm,lost-reply,poll-502,poll-429-seconds,poll-page,failed,bad-key,submit-502,odd-ids,redirect,missing-result"


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "name", "source"), CLIENTS, ids=[name for _, name, _ in CLIENTS])
def test_a_client_of_the_page_survives(tmp_path: Path, spec: str, name: str, source: str) -> None:
    program = {"py": sys.executable, "sh": shutil.which("sh")}[name.rpartition(".")[2]]
    if name.endswith(".sh") and shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    (tmp_path / name).write_text(source)
    (endpoint,) = resolve(spec)
    run = audit(endpoint, [str(program), str(tmp_path / name)], choose(SOME), report_dir=tmp_path / "runs")
    assert [(one.subject, one.says, one.actual) for one in run.findings] == []


def test_the_test_of_the_page_passes(tmp_path: Path) -> None:
    (tmp_path / "test_page.py").write_text(TESTS[0])
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "harness"), "HOME": str(tmp_path)}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin_words()]
    told = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "3 passed" in told.stdout, told.stdout


def test_the_page_says_as_many_rules_as_there_are() -> None:
    from wireproof.check.client import RULES

    assert len(RULES) == 19 and "Nineteen rules, `CLI001` to `CLI019`" in PAGE
