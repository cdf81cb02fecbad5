"""Imports go down only, neighbours on a floor are strangers, and heavy things stay behind their door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wireproof

FLOORS = (
    {"model", "lifecycle", "errors", "clock", "money", "rooms", "runlog", "ledger", "secrets"},
    {"spec"},
    {"wire", "generate"},
    {"mock", "check", "probe", "load", "report", "export", "baseline", "scaffold"},
    {"conform", "audit", "compare"},
    {"recordings", "replaying", "proxying", "catalogue", "learning", "loading", "pacing"},  # what the verdict is put to
    {"session"},  # one command's work, and what is kept of it
    {"cli", "tour", "pytest_plugin", "__main__", "__init__"},
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
GROUND, DOORS = 0, len(FLOORS) - 1
FRIENDS = (GROUND, DOORS)  # on these floors neighbours may know each other
ONLY_IN = {
    "locust": "load/users.py",
    "redis": "mock/store.py",
    "respx": "mock/route.py",
    "hypothesis": "generate/",
    "ruamel": "spec/",
}
HERE = Path(wireproof.__file__).parent


def imported(source: str) -> Iterator[str]:
    """Every module that the source imports, wherever in it: `a.b` for `from a import b`, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def room_of(path: str) -> str:
    return Path(path).parts[0].removesuffix(".py")


def strays(path: str, source: str) -> list[str]:
    """The imports of one file, named by its path inside the package, that go where they should not."""
    room = room_of(path)
    return [name for name in imported(source) if not allowed(room, path, name.split("."))]


def allowed(room: str, path: str, name: list[str]) -> bool:
    top, here = name[0], FLOOR.get(room, -1)
    if top == "wireproof":
        there = FLOOR.get(name[1], DOORS if name[1] != "__version__" else GROUND)
        return there < here or name[1] == room or (there == here and here in FRIENDS)
    if here == GROUND:
        return top in sys.stdlib_module_names
    return path.startswith(ONLY_IN.get(top, "")) and top != ""


FILES = [file.relative_to(HERE).as_posix() for file in sorted(HERE.rglob("*.py"))]


def test_every_module_has_its_floor() -> None:
    assert {room_of(path) for path in FILES} <= FLOOR.keys()


@pytest.mark.parametrize("path", FILES)
def test_imports_go_down_only(path: str) -> None:
    assert strays(path, (HERE / path).read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("model.py", "import httpx"),  # the ground is the standard library
        ("money.py", "from wireproof.spec import load"),  # up
        ("spec/load.py", "from wireproof import conform"),  # up, said another way
        ("wire/bodies.py", "from wireproof.generate.cases import allowed"),  # a stranger
        ("mock/engine.py", "import wireproof.check.registry"),  # a stranger
        ("check/jobs.py", "def f():\n    from wireproof.report import plain"),  # in a function
        ("conform/running.py", "from wireproof.compare import table"),  # a stranger
        ("report/html.py", "from . import plain"),  # relative
        ("conform/running.py", "from wireproof import nowhere"),  # no such room
        ("cli.py", "import locust"),
        ("load/plan.py", "from locust import User"),
        ("mock/engine.py", "import respx"),
        ("spec/values.py", "from hypothesis import strategies"),
        ("report/plain.py", "from ruamel.yaml import YAML"),
    ],
)
def test_an_import_that_strays_is_found(path: str, line: str) -> None:
    assert len(strays(path, line)) == 1


def test_importing_the_package_pulls_in_nothing_heavy() -> None:
    script = "import sys, wireproof; print([n for n in ('hypothesis', 'locust', 'gevent') if n in sys.modules])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert told.stdout.strip() == "[]"
