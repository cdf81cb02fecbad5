"""The tour of `wireproof demo`: the main jobs, one after the other, on the embedded mock."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.text import Text

from wireproof import session
from wireproof.model import Endpoint, Run, Severity
from wireproof.report import formats, terminal
from wireproof.report.contracts import listing
from wireproof.spec.lint import lint
from wireproof.spec.load import load_all


def tour(console: Console, seed: int, report_dir: Path) -> int:
    """Walk through the main jobs and end with the path of an HTML report. The exit code of the run."""
    endpoints = sorted(load_all(), key=lambda endpoint: endpoint.name)
    _chapter(console, "1  The contracts", "wireproof list")
    console.print(listing(endpoints))
    _chapter(console, "2  What their pages leave open or contradict", "wireproof lint")
    _lint(console, endpoints)
    _chapter(console, "3  Every endpoint driven and judged on the embedded mock", "wireproof check all")
    began = time.monotonic()
    run = _check(console, endpoints, seed, report_dir)
    terminal.show(run, console)
    (path,) = formats.write(run, ["html"], Path(run.folder))
    _chapter(
        console, "4  A few jobs at once, timed from where they should have begun", "wireproof load all --plan smoke"
    )
    _load(console, report_dir)
    console.print(Text(f"\n{len(run.exchanges)} calls judged in {time.monotonic() - began:.1f} s", "dim"))
    console.print(Text(f"report: {path}", "bold green"))
    return session.exit_code(run)


def _chapter(console: Console, title: str, command: str) -> None:
    console.print(Text.assemble("\n", (title, "bold"), ("   " + command, "dim"), "\n"))


def _lint(console: Console, endpoints: list[Endpoint]) -> None:
    found = lint(endpoints)
    mistakes = [finding for finding in found if finding.severity is Severity.VIOLATION]
    console.print(
        f"{len(mistakes)} mistakes in the contracts, "
        f"{len(found) - len(mistakes)} contradictions and open questions in the pages."
    )


def _check(console: Console, endpoints: list[Endpoint], seed: int, report_dir: Path) -> Run:
    options = session.CheckOptions(seed=seed, report_dir=report_dir)
    if not console.is_terminal:
        return session.check(endpoints, options)
    with terminal.Progress(console) as progress:
        began: Callable[[Endpoint], None] = lambda endpoint: progress.start(endpoint.name)  # noqa: E731
        return session.check(endpoints, options, session.Watch(endpoint=began, exchange=progress))


def _load(console: Console, report_dir: Path) -> None:
    """A short load run; its verdict on the generator is told, and is none on the contracts."""
    if find_spec("locust") is None:
        console.print("left out: it needs wireproof[load]")
        return
    from wireproof.load.terminal import show
    from wireproof.loading import LoadOptions, load

    done = load(["all"], LoadOptions(plan="smoke", report_dir=report_dir, seed=1))
    show(done.summary, console)
