"""Where the declared rooms are: a user's own first, the ones that came with the package second.

The declared rooms (`specs`, `mocks`, `loadtests`, `reports`) lie beside `harness/` in a checkout and
inside the package (`wireproof/_rooms/`) once installed; callers never see the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOMS = ("specs", "mocks", "loadtests", "reports")
_PACKAGE = Path(__file__).resolve().parent


def shipped(room: str) -> Path:
    """The room as it came with the package. Raises ValueError for a room that does not exist."""
    if room not in ROOMS:
        raise ValueError(f"there is no room {room!r}; the rooms are {', '.join(ROOMS)}")
    installed = _PACKAGE / "_rooms" / room
    return installed if installed.is_dir() else _PACKAGE.parents[1] / room


def places(room: str, start: Path | None = None) -> tuple[Path, ...]:
    """The folders to look in, best first: the nearest `room` at or above `start`, then the shipped one."""
    ours = shipped(room)
    found = [folder / room for folder in _upwards(start or Path.cwd()) if (folder / room).is_dir()]
    nearest = [place for place in found[:1] if place.resolve() != ours.resolve()]
    return (*nearest, ours)


def _upwards(start: Path) -> Iterator[Path]:
    """`start` and its parents, up to the root of the repository it lies in."""
    here = start.resolve()
    for folder in (here, *here.parents):
        yield folder
        if (folder / ".git").exists() or (folder / "pyproject.toml").exists():
            return
