"""Docs that cannot lie: commands of tutorials run, generated pages are up to date, links lead somewhere.

A fenced `console` block in a tutorial is a session. What stands before it says what is done with it:

    <!-- run -->                   each `$ ` line is run and must end with 0
    <!-- run: exit 1 -->           and must end with 1
    <!-- run: exit 0 or 5 -->      may end with 5 on a machine that is too busy to measure
    <!-- serve -->                 started, and left running until the page ends
    <!-- stop: exit 0 -->          what the last one started says when Control-C stops it
    <!-- not run: WHY -->          needs a key, a network, somebody's own client
    <!-- file: client.py -->       the next block, in any language, is this file

One page is one session in one folder. A shown line must occur in the output: numbers may differ, `…` is anything.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import wireproof
from wireproof.spec.load import KINDS, schema

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
SHOWN_PORTS = ("8080", "8081")
"""The ports that pages speak of; a session gets free ones in their place."""
KNOWN = re.compile(r"(run|stop)(: exit \d( or \d)?)?|serve|not run: .{10,}")
_BLOCK = re.compile(
    r"(?:<!-- (?P<what>.+?) -->\n+)?```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One fenced block, and what is done with it."""

    page: str
    what: str
    language: str
    text: str

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command with the lines that are shown as its output."""
        found: list[tuple[str, list[str]]] = []
        for line in re.sub(r" \\\n +", " ", self.text).splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ ").partition("   # ")[0], []))
            elif line.strip() and found:
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [Block(page.name, m["what"] or "", m["language"], m["text"]) for m in _BLOCK.finditer(text)]


# ------------------------------------------------------------------------------------------ sessions


@dataclass(frozen=True)
class Session:
    """A folder in which the commands of one page are run, one after the other."""

    folder: Path
    ports: dict[str, str]
    bins: Path

    @functools.cached_property
    def env(self) -> dict[str, str]:
        path = f"{self.bins}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        more = {"PATH": path, "PYTHONPATH": str(Path(wireproof.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST", "MAKE", "MFLAGS", "GITHUB"))
        }
        return (
            kept
            | more
            | {
                "NO_COLOR": "1",
                "COLUMNS": "160",
                "HOME": str(self.folder),
                "XDG_STATE_HOME": str(self.folder / "state"),
            }
        )

    def real(self, text: str) -> str:
        return re.sub("|".join(self.ports), lambda shown: self.ports[shown[0]], text)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        kept = re.fullmatch(r"export (\w+)=(\S+)", command)
        if kept:
            self.env[kept[1]] = self.real(kept[2])
        words = ["sh", "-c", self.real(command)]
        return subprocess.run(
            words,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def serve(self, command: str, stack: ExitStack) -> subprocess.Popen[str]:
        """Start a server, wait for the line that says it is ready, and stop it when the page ends."""
        words = ["sh", "-c", f"exec {self.real(command)}"]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        server = stack.enter_context(subprocess.Popen(words, cwd=self.folder, env=self.env, text=True, **pipes))
        stack.callback(server.terminate)
        assert server.stdout is not None
        ready, _, _ = select.select([server.stdout], [], [], 30)
        assert ready and '"ready": true' in server.stdout.readline(), command
        return server


def stopped(server: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """What a server says when Control-C stops it."""
    server.send_signal(signal.SIGINT)
    said, _ = server.communicate(timeout=30)
    return subprocess.CompletedProcess(server.args, server.returncode, said, "")


def session(folder: Path) -> Session:
    bins = folder / "bin"
    bins.mkdir()
    for name, words in {"wireproof": "-m wireproof", "python": "", "python3": ""}.items():
        (bins / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (bins / name).chmod(0o755)
    (folder / "work").mkdir()
    with ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in SHOWN_PORTS]
        for one in free:
            one.bind(("127.0.0.1", 0))
        ports = {shown: str(one.getsockname()[1]) for shown, one in zip(SHOWN_PORTS, free, strict=True)}
    return Session(folder / "work", ports, bins)


def play(page: Path, here: Session) -> Iterator[str]:
    """What went otherwise than the page says."""
    servers: list[subprocess.Popen[str]] = []
    with ExitStack() as stack:
        for block in blocks(page):
            kind, _, detail = block.what.partition(": ")
            wanted = [int(code) for code in re.findall(r"\d+", detail)] or [0]
            if kind == "file":
                (here.folder / detail).parent.mkdir(parents=True, exist_ok=True)
                (here.folder / detail).write_text(here.real(block.text))
            elif kind == "serve":
                [(command, _)] = block.commands
                servers.append(here.serve(command, stack))
            elif kind == "stop":
                yield from differences(stopped(servers.pop()), "Control-C", wanted, block.text.splitlines())
            elif kind == "run":
                for command, shown in block.commands:
                    ends = [0] if command.startswith("export ") else wanted
                    yield from differences(here.run(command), command, ends, shown)


def differences(
    done: subprocess.CompletedProcess[str], command: str, wanted: list[int], shown: list[str]
) -> Iterator[str]:
    said = done.stdout + done.stderr
    if done.returncode not in wanted:
        yield f"$ {command}\nended with {done.returncode} instead of {wanted[0]}:\n{said[-3000:]}"
    if done.returncode != wanted[0]:
        return
    plain = spoken(said)
    for line in shown:
        if not re.search(".*?".join(re.escape(part) for part in spoken(line).split("…")), plain):
            yield f"$ {command}\nnever said {line!r}:\n{said[-3000:]}"


def spoken(text: str) -> str:
    """Text without what is different each time: numbers, the line breaks of a narrow terminal."""
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "0", text)).strip()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the sessions are those of a POSIX shell")
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_commands_of_a_tutorial_do_what_it_says(page: Path, tmp_path: Path) -> None:
    assert list(play(page, session(tmp_path))) == []


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_is_run_or_says_why_not(page: Path) -> None:
    sessions = [block for block in blocks(page) if block.language == "console"]
    assert sessions
    assert [b.text for b in sessions if not KNOWN.fullmatch(b.what)] == []
    assert any(block.what.startswith("run") for block in sessions)


def test_a_page_that_lies_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- run -->\n```console\n$ echo 3 birds   # a remark\n12 birds\nno …fish\n```\n"
        "<!-- run: exit 1 -->\n```console\n$ true\n```\n<!-- not run: it would fail -->\n```console\n$ false\n```\n"
    )
    wrong = list(play(page, session(tmp_path)))
    assert [text.splitlines()[1].rstrip(":") for text in wrong] == [
        "never said 'no …fish'",
        "ended with 0 instead of 1",
    ]


# ------------------------------------------------------------------------------------------ pages


@functools.cache
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_pages_are_what_the_code_says() -> None:
    assert list(generate().differing()) == [], "make docs writes them anew"


def keys_of(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that a schema of contracts names, with what stands under it."""
    yield from node.get("properties", {}).items()
    inside = [*node.get("properties", {}).values(), *node.get("$defs", {}).values()]
    inside += [one for union in ("oneOf", "anyOf") for one in node.get(union, ())]
    inside += [node[step] for step in ("additionalProperties", "items") if isinstance(node.get(step), dict)]
    for child in inside:
        yield from keys_of(child)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_a_contract_has_its_row_and_its_meaning(kind: str) -> None:
    rows = {tuple(row.split(" | ", 1)[0].split("`")[1:2]): row for row in language_rows()}
    for key, node in keys_of(schema(kind)):
        assert (key,) in rows, key
        assert {"description", "$ref", "const"} & set(node), f"nothing says what {key} means"
    assert [row for row in rows.values() if row.endswith("|  |")] == []


def language_rows() -> list[str]:
    page = (DOCS / "language.md").read_text("utf-8")
    return [line for line in page.splitlines() if line.startswith("| `")]


def anchors(page: Path) -> set[str]:
    """The anchors of a page, as its headings make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)


def dead(page: Path) -> Iterator[str]:
    for link in links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or anchor and anchor not in anchors(there):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(dead(page)) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n[a](page.md#one-two) [b](#three) [c](gone.md) `[d](code.md)` [e](https://example.com)\n"
    )
    assert list(dead(page)) == ["#three", "gone.md"]


# ------------------------------------------------------------------------------------------ the site


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the extra docs builds the site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert built >= {"index.html", "checks.html", *(f"tutorials/{page.stem}.html" for page in TUTORIALS)}
    loaded = [
        tag
        for page in (tmp_path / "site").rglob("*.html")
        for tag in re.findall(
            r"<(?:script|img|iframe|link)[^>]+(?:src|href)=\"?(?:https?:)?//[^>]*>", page.read_text("utf-8")
        )
        if 'rel="canonical"' not in tag
    ]
    assert loaded == []
