"""The table of reports. A format's module is read when it is first asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

from wireproof.errors import UsageError
from wireproof.model import Run
from wireproof.runlog import atomic_write


@dataclass(frozen=True, slots=True)
class Format:
    """One way to tell a run: its name on the command line, its file's ending, its text."""

    name: str
    suffix: str
    """What is put behind `report`; two formats never share one, so all fit into one folder."""
    render: Callable[[Run], str]


def _late(module: str) -> Callable[[Run], str]:
    """`render` of that module, imported when it is first called."""

    def render(run: Run) -> str:
        told = cast(Callable[[Run], str], importlib.import_module(f"wireproof.report.{module}").render)
        return told(run)

    return render


_ROWS = (
    ("text", ".txt", "terminal"),
    ("json", ".json", "jsonout"),
    ("html", ".html", "html"),
    ("md", ".md", "markdown"),
    ("junit", ".junit.xml", "junit"),
    ("sarif", ".sarif", "sarif"),
    ("ctrf", ".ctrf.json", "ctrf"),
    ("github", ".github.txt", "github"),
    ("har", ".har", "har"),
)

FORMATS: Mapping[str, Format] = MappingProxyType(
    {name: Format(name, suffix, _late(module)) for name, suffix, module in _ROWS}
)


def named(name: str) -> Format:
    """The format of that name. Raises UsageError that lists the names and suggests the nearest."""
    wanted = {"markdown": "md", "terminal": "text"}.get(name, name)
    if wanted in FORMATS:
        return FORMATS[wanted]
    near = difflib.get_close_matches(name, FORMATS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"there is no report format {name!r}; the formats are {', '.join(FORMATS)}.{hint}")


def write(run: Run, names: Iterable[str], folder: Path) -> tuple[Path, ...]:
    """Write the reports into the folder as `report<suffix>`; each file is there whole or not at all.

    Raises UsageError for an unknown name before anything is written, DiskError when the disk refuses.
    """
    chosen = [named(name) for name in names]
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_written(run, form, folder / f"report{form.suffix}") for form in chosen)


def _written(run: Run, form: Format, path: Path) -> Path:
    atomic_write(path, form.render(run))
    return path
