"""Runs the published clients against the mock and writes down what happened: `make clients`.

The clients are installed in the folder that WIREPROOF_CLIENTS names. The page is written only where every
one of them could be run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/clients-published.md"
TESTS = ROOT / "tests/test_clients_published.py"
HEAD = """# Published clients against the mock

Made by `make clients`, which installs each client as it is published, points it at the mock's socket and
writes down what it did. `jobs` is how many jobs the mock took, and billed, for the one picture or batch that
the program asked for: more than 1 is money lost. The promises are in `tests/test_clients_published.py`.

| client | over | asked for | the host's mood | what the program was told | jobs |
|---|---|---|---|---|---|
"""
ASKED = {
    "one": "one picture",
    "three": "three pictures",
    "invalid": "a picture with a forbidden value",
    "direct": "one picture, as the reply itself",
    "sync": "two pictures, waiting for the reply",
    "upload": "to store a picture",
    "blocked": "a picture that is blocked",
}


def happened(report: Path) -> Iterator[dict[str, Any]]:
    """What the clients' runs came to, from a JUnit file."""
    for found in ElementTree.parse(report).iter("property"):
        if found.get("name") == "happened":
            yield json.loads(found.get("value", "{}"))


def page(rows: Iterable[dict[str, Any]]) -> str:
    """The page with its table."""
    order = sorted(rows, key=lambda r: (r["client"], r["over"], r["mood"], list(ASKED).index(r["what"])))
    return HEAD + "".join(dict.fromkeys(map(_line, order)))


def _line(row: dict[str, Any]) -> str:
    cells = [row["client"], row["over"], ASKED[row["what"]], row["mood"] or "none", _told(row["told"]), row["jobs"]]
    return f"| {' | '.join(map(str, cells))} |\n"


def _told(told: dict[str, Any]) -> str:
    """What a client's script told of its run, in words."""
    if "error" in told:
        kept = {True: ", may be tried again", False: ", not to be tried again"}.get(told.get("retryable"), "")
        return f"error `{told['error']}`{kept}"
    if "stored" in told:
        return f"{len(told['stored'])} stored"
    return f"{len(told.get('results', ()))} of them" if len(told.get("results", ())) != 1 else "its picture"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "clients.xml"
        words = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            "-o",
            "junit_family=xunit1",  # the other has no room for what a test tells
            f"--junitxml={report}",
            str(TESTS),
        ]
        ran = subprocess.run(words, cwd=ROOT, env=os.environ, check=False)
        suite = ElementTree.parse(report).find("testsuite")
        skipped = suite is None or suite.get("skipped") != "0"
        rows = list(happened(report))
    if ran.returncode or skipped:
        sys.exit("the page stays as it was: not every client could be run, or not all kept their promises")
    PAGE.write_text(page(rows))
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
