"""Writes the scoreboard of published clients from kept runs: `python docs/scoreboard.py 'NAME VERSION=RUN' …`.

A run is the folder that `wireproof client … --scenario all -- COMMAND` left behind; nothing is judged again here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from wireproof.model import Run
from wireproof.report.matrix import Mark, rows, scoreboard
from wireproof.runlog import load_run

HERE = Path(__file__).parent
HEAD = """# Scoreboard of published clients

Generated from kept runs by `docs/scoreboard.py`. Each client is unmodified and behind a script of a few lines in
`tests/clients/` that submits one job, tells an error in one line and ends with 1 for it. ✓ passed; ✗ with the rules
that it broke (`wireproof explain CLI014`); a dash where nothing can be said, with the reason below.

Clients whose waits are constants ran on a clock of real time (`--time-scale 1`); what they still waited for after 100
seconds is left open. All of it is about these versions and these scenarios, against a mock: no host was called. In
`missing-result` each of them hands its caller an answer without an address, and who does not look takes it for one.

"""


def page(columns: Sequence[tuple[str, Run]]) -> str:
    """The whole page."""
    parts = [HEAD, scoreboard(columns), *(line for name, run in columns for line in _evidence(name, run))]
    return "".join(parts)


def _evidence(name: str, run: Run) -> Iterator[str]:
    yield f"\n## {name}\n\nRun of {run.started[:10]}, {len(run.exchanges)} calls, seed {run.seed}.\n\n"
    for row in rows(run):
        if row.mark is Mark.FAILED:
            found = [one for one in run.findings if one.subject.startswith(f"{row.scenario}:")]
            says = "; ".join(one.says.partition(": ")[2] for one in found)
            came = next((one.actual for one in found if one.actual), "")
            told = f" ({_decent(came)})" if came else ""
            yield f"- **{row.scenario}** {' '.join(row.checks)}: {_decent(says)}{told}\n"
    reasons: dict[str, list[str]] = {}
    for row in rows(run):
        if row.mark is Mark.UNTOLD:
            reasons.setdefault(row.why, []).append(row.scenario)
    for why, names in reasons.items():
        yield f"- not told: {', '.join(names)}: {why}.\n"


def _decent(text: str) -> str:
    """Without the port of the day, and short."""
    return text.replace("|", "/").partition("127.0.0.1:")[0].strip().removesuffix(":")[:160]


if __name__ == "__main__":
    pairs = [pair.rpartition("=") for pair in sys.argv[1:]]
    runs = [(name, load_run(Path(folder))) for name, _, folder in pairs]
    (HERE / "scoreboard.md").write_text(page(runs), encoding="utf-8")
