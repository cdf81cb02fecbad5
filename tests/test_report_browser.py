"""The pages in a real browser: quiet, alone, readable by all, and there at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wireproof
from browser import Page, page
from report_samples import PAYLOADS, hostile_run, huge_run, rich_run
from wireproof.report import html

ROOT = Path(__file__).parents[1]
TOOLS = Path(os.environ.get("WIREPROOF_TOOLS", ROOT / "build" / "tools"))
AXE = TOOLS / "node_modules" / "axe-core" / "axe.min.js"
CLIENT = Path(__file__).parent / "clients" / "segmind_plain.py"
LOOKS = [(1280, False), (1280, True), (390, False)]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One page of each kind, written by the commands that write them, and the two that strain a browser."""
    here = tmp_path_factory.mktemp("pages")
    for kind, words in {
        "check": "check segmind/p-image --profile quick --report html",
        "client": f"client segmind/p-image --scenario calm,bad-key,failed -- {sys.executable} {CLIENT}",
        "load": "load segmind/p-image-edit --plan smoke",
        "compare": "compare p-image-edit --report html",
    }.items():
        (here / kind).mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "wireproof", *words.split()],
            cwd=here / kind,
            env={**os.environ, "PYTHONPATH": str(Path(wireproof.__file__).parents[1])},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert list((here / kind).rglob("*.html")), done.stdout + done.stderr
    made = {kind: next((here / kind).rglob("*.html")) for kind in ("check", "client", "load", "compare")}
    for name, run in {
        "rich": rich_run(),
        "huge": huge_run(10_000),
        **{f"hostile-{i}": hostile_run(payload) for i, payload in enumerate(PAYLOADS)},
    }.items():
        made[name] = here / f"{name}.html"
        made[name].write_text(html.render(run), encoding="utf-8")
    return made


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Page]:
    with page(tmp_path / "profile") as opened:
        yield opened


@pytest.mark.parametrize("kind", ["check", "client", "load", "compare", "rich", "huge"])
def test_a_page_complains_of_nothing_and_asks_for_nothing(kind: str, pages: dict[str, Path], tab: Page) -> None:
    assert pages[kind].stat().st_size <= 1_500_000
    tab.open(pages[kind])
    tab.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert tab.complaints == []
    assert tab.requests == []
    assert tab.value("document.querySelector('h1').innerText.length") > 10


def test_no_hostile_word_comes_alive_in_a_browser(pages: dict[str, Path], tab: Page) -> None:
    """A dialogue would stop the page, a script would leave its mark, an address would be asked for."""
    for name, path in pages.items():
        if name.startswith("hostile"):
            tab.open(path)
            tab.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            assert tab.value("document.querySelectorAll('img, iframe, object, embed, base, link').length") == 0
            assert tab.value("Object.keys(window).filter(name => /pwned|owned|xss/i.test(name)).length") == 0
            assert [e for e in tab.events if e.get("method") == "Page.javascriptDialogOpening"] == []
            assert tab.requests == []


def test_ten_thousand_findings_are_painted_within_a_second(pages: dict[str, Path], tab: Page) -> None:
    tab.open(pages["huge"])
    first = tab.value("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert first < 1000, f"{first:.0f} ms"


@pytest.mark.parametrize("kind", ["check", "client", "load", "compare", "rich"])
def test_axe_finds_no_serious_hurdle_on_any_screen(kind: str, pages: dict[str, Path], tab: Page) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not here: `make tools` fetches it")
    for width, dark in LOOKS:
        tab.open(pages[kind], width=width, dark=dark)
        tab.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        tab.value(AXE.read_text("utf-8") + ";0")
        found = tab.value(
            "axe.run().then(told => told.violations.filter(v => ['serious', 'critical'].includes(v.impact))"
            ".map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.target).join(' | ')}`))"
        )
        assert found == [], (width, dark)


@pytest.mark.parametrize("kind", ["check", "client", "load", "compare", "rich"])
def test_nothing_is_wider_than_a_phone(kind: str, pages: dict[str, Path], tab: Page) -> None:
    tab.open(pages[kind], width=390)
    assert tab.value("document.documentElement.scrollWidth") <= 390
