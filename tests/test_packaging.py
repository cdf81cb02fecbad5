"""What is installed: a wheel and an editable install behave alike, and a wheel holds the declared rooms."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wireproof import __version__
from wireproof.rooms import ROOMS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ANSWERS = """
import json, wireproof
from importlib.metadata import version
from wireproof.spec.load import load_all
print(json.dumps({
    "from": wireproof.__file__,
    "versions": [wireproof.__version__, version("wireproof")],
    "endpoints": [endpoint.name for endpoint in load_all()],
}))
"""


BASH = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
"""A shell is named instead of detected: tests may run in none."""


EPOCH = {"SOURCE_DATE_EPOCH": "1760000000"}
"""The day that is written into both distributions."""
LATER = {**EPOCH, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
UNPACKED: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # 3.11.4 and newer


def run(*command: object, cwd: Path = ROOT, **more: str) -> str:
    """What the command says on stdout; it finds no package of ours but those that are installed."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=bare | more, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def authored(room: str) -> set[str]:
    """The files of a declared room in this tree: what a run or an import has left there is not authored."""
    left = {"runs", "__pycache__"}
    found = (file.relative_to(ROOT / room) for file in (ROOT / room).rglob("*") if file.is_file())
    return {f"{room}/{file.as_posix()}" for file in found if left.isdisjoint(file.parts)}


def fresh(folder: Path) -> Path:
    """The Python of a new environment that sees our dependencies, but no wireproof."""
    venv.create(folder, symlinks=True)
    paths = {key: str(folder) for key in ("base", "platbase")}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    packages.joinpath("ours.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    return folder / "bin" / "python"


def install(python: Path, *what: object) -> None:
    quiet = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", python, "install", *quiet, *what)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, **EPOCH)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [built] = dist.glob("*.whl")
    return built


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.mark.slow
def test_a_wheel_and_an_editable_install_behave_alike(wheel: Path, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    for kind, what in (("wheel", (wheel,)), ("editable", ("--editable", ROOT))):
        python = fresh(tmp_path / kind)
        install(python, *what)
        told.append(json.loads(run(python, "-IB", "-c", ANSWERS, cwd=tmp_path)))
    installed, editable = told
    assert Path(installed.pop("from")).is_relative_to(tmp_path)
    assert Path(editable.pop("from")).is_relative_to(ROOT / "harness")
    assert set(installed["endpoints"]) == {
        *("segmind/p-image", "segmind/p-image-edit", "segmind/p-image-try-on"),
        *("runware/p-image-edit", "pixeldojo/p-image-edit"),
    }
    assert installed["versions"] == [__version__, __version__]
    assert installed == editable


@pytest.mark.slow
def test_an_installed_wheel_does_its_work_away_from_the_tree(wheel: Path, tmp_path: Path) -> None:
    """As `pipx` would run it: check on the embedded mock, lay out a repository, complete in a shell."""
    python = fresh(tmp_path / "venv")
    install(python, wheel)
    command = python.with_name("wireproof")
    assert "segmind/p-image conforms" in run(command, "check", "segmind/p-image", "--profile", "quick", cwd=tmp_path)
    assert run(python, "-m", "wireproof", "version", cwd=tmp_path).strip() == __version__
    run(command, "init", "new", cwd=tmp_path)
    assert "1 question" in run(command, "lint", "specs", cwd=tmp_path / "new")
    assert "_wireproof_completion" in run(command, "--show-completion", "bash", cwd=tmp_path, **BASH)
    asked = {"_WIREPROOF_COMPLETE": "complete_bash", "COMP_WORDS": "wireproof chec", "COMP_CWORD": "1"}
    assert run(command, cwd=tmp_path, **asked).split() == ["check"]


@pytest.mark.slow
def test_the_readmes_test_passes_in_a_repository_with_rooms_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """A repository that has packages called harness, mocks and reports keeps working with the plugin installed."""
    python = fresh(tmp_path / "venv")
    install(python, wheel)
    own = tmp_path / "own"
    for name in ("harness", "mocks", "reports"):
        (own / name).mkdir(parents=True)
        (own / name / "__init__.py").write_text(f"NAME = {name!r}\n")
    (own / "test_own.py").write_text(
        "import harness, mocks, reports\n\n"
        "def test_own():\n    assert (harness.NAME, mocks.NAME, reports.NAME) == ('harness', 'mocks', 'reports')\n"
    )
    [sample] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (own / "test_readme.py").write_text(sample)
    told = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=own)
    assert "2 passed" in told


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_the_declared_rooms_and_no_more(wheel: Path) -> None:
    source = ROOT / "harness"
    package = {file.relative_to(source).as_posix() for file in source.rglob("wireproof/**/*") if file.is_file()}
    rooms = {f"wireproof/_rooms/{name}" for room in ROOMS for name in authored(room)}
    expected = {name for name in package if "__pycache__" not in name} | rooms
    found = {name for name in names(wheel) if ".dist-info/" not in name}
    assert found == expected
    assert "wireproof/py.typed" in found


@pytest.mark.slow
def test_the_source_distribution_builds_the_same_wheel(dist: Path, wheel: Path, tmp_path: Path) -> None:
    [source] = dist.glob("*.tar.gz")
    shutil.unpack_archive(source, tmp_path, **UNPACKED)
    [tree] = tmp_path.iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "again", cwd=tree, **EPOCH)
    [again] = (tmp_path / "again").glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.slow
def test_both_distributions_are_the_same_bytes_whenever_they_are_built(dist: Path, tmp_path: Path) -> None:
    """By somebody else, later, from the unpacked source: files have other times and other owners."""
    [source] = dist.glob("*.tar.gz")
    shutil.unpack_archive(source, tmp_path, **UNPACKED)
    [tree] = (place for place in tmp_path.iterdir() if place.is_dir())
    (tree / "PKG-INFO").unlink()  # which the build wrote: what is left is the tree it was built from
    for file in tree.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    run(sys.executable, "-m", "hatchling", "build", "-d", tmp_path / "later", cwd=tree, **LATER)
    built = {file.name: file.read_bytes() for file in dist.iterdir()}
    assert {file.name: file.read_bytes() for file in (tmp_path / "later").iterdir()} == built
    assert len(built) == 2


@pytest.mark.slow
def test_the_wheel_says_what_it_is_and_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [info] = {name.split("/", 1)[0] for name in archive.namelist() if ".dist-info/" in name}
        says = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        doors = archive.read(f"{info}/entry_points.txt").decode()
        assert "The wireproof authors" in archive.read(f"{info}/licenses/LICENSE").decode()
    assert (says["Name"], says["Version"], says["Requires-Python"]) == ("wireproof", __version__, ">=3.11")
    assert "wireproof = wireproof.cli:main" in doors
    assert len(says.get_all("Requires-Dist", [])) >= len(PROJECT["dependencies"])


# ------------------------------------------------------------------------------------ the locks


def locked(name: str) -> dict[str, str]:
    """Distribution to version, as a lock pins it."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    return {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("name", ["core", "dev"])
def test_a_lock_pins_by_hash_and_names_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    assert [
        entry for entry in entries if not re.fullmatch(r"[\w.-]+==\S+( ;.*?)?( +--hash=sha256:[0-9a-f]{64})+", entry)
    ] == []
    assert "://" not in text


@pytest.mark.parametrize(("name", "extras"), [("core", ()), ("dev", ("load", "tls", "docs", "dev"))])
def test_a_lock_holds_all_that_the_project_asks_for(name: str, extras: tuple[str, ...]) -> None:
    asked = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    wanted = [wish for wish in map(Requirement, asked) if wish.name != PROJECT["name"]]
    pinned = locked(name)
    assert [
        str(wish) for wish in wanted if pinned.get(canonicalize_name(wish.name), "none") not in wish.specifier
    ] == []


def test_the_two_locks_agree() -> None:
    assert locked("core").items() <= locked("dev").items()
