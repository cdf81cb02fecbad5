"""Takes the pictures of the README: `python docs/pictures.py`, with Chromium at hand. No test needs it.

The run that is shown is one of a host that delivers pictures of the wrong size, so that there is something to see.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from wireproof.rooms import shipped

HERE = Path(__file__).parent
SHOWN = HERE / "img"
KEY = "SG_b6bcb5936aed8f0a"
"""What the mock of segmind takes as its key when its seed is 0."""
SPEC = "specs/segmind/p-image.yaml"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main() -> None:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is on PATH")
    SHOWN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with mock(place) as url:
            checked(place, url)
        [report] = place.glob("runs/*/report.html")
        shot(browser, report, SHOWN / "report.png", 1200, 1000)
        shot(browser, terminal(place), SHOWN / "terminal.png", 940, 470)
    with tempfile.TemporaryDirectory() as folder:
        shot(browser, compared(Path(folder)), SHOWN / "compare.png", 1200, 1180)


@contextmanager
def mock(place: Path) -> Iterator[str]:
    """The address of a host that has a bad day."""
    words = [sys.executable, "-m", "wireproof", "mock", "segmind", "--time-scale", "50", "--mood", "wrong-pictures"]
    with subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().partition('"url": "')[2].partition('"')[0]
        finally:
            server.terminate()


def checked(place: Path, url: str) -> None:
    """A run with findings. Its contracts lie in the folder, so that no path of this machine is shown."""
    shutil.copytree(shipped("specs"), place / "specs")
    words = ["check", SPEC, "--target", url, "--report-dir", "runs", "--report", "html"]
    env = {**os.environ, "SEGMIND_API_KEY": KEY}
    subprocess.run([sys.executable, "-m", "wireproof", *words], cwd=place, env=env, check=False, capture_output=True)


def compared(place: Path) -> Path:
    """The page that sets the hosts of one model side by side, with a run of the mock beside the contracts."""
    for words in ("check p-image-edit --quiet", "compare p-image-edit {runs} --report html"):
        runs = next(iter(place.glob("reports/runs/*-check")), "")
        told = [sys.executable, "-m", "wireproof", *words.format(runs=runs).split()]
        subprocess.run(told, cwd=place, check=False, capture_output=True)
    [page] = place.rglob("compare-*.html")
    return page


def terminal(place: Path) -> Path:
    """The terminal report, drawn by rich itself, as a picture that a browser can show."""
    from rich.console import Console

    from wireproof.report import terminal as report
    from wireproof.runlog import load_run

    [folder] = place.glob("runs/*")
    console = Console(record=True, width=104, force_terminal=True, file=io.StringIO(), highlight=False)
    run = load_run(folder)
    console.print(f"[bold]$[/] wireproof check {SPEC} --target {run.target}")
    report.show(run, console)
    drawn = place / "terminal.svg"
    drawn.write_text(console.export_svg(title="wireproof"), encoding="utf-8")
    return drawn


def shot(browser: str, page: Path, picture: Path, width: int, height: int) -> None:
    """A picture of a page, in 128 colours: small, and sharp enough to read."""
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    taken = picture.with_suffix(".taken.png")
    words += [f"--screenshot={taken}", "--virtual-time-budget=3000", page.as_uri()]
    subprocess.run([browser, *words], check=True, capture_output=True, timeout=60)
    with Image.open(taken) as image:
        image.convert("RGB").quantize(128).save(picture, optimize=True)
    taken.unlink()


if __name__ == "__main__":
    main()
