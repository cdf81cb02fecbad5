"""The rooms of a user's own repository, as `wireproof init` lays them out.

The templates are plain files in `_scaffold/`. `@host@`, `@HOST@`, `@model@` and `@today@` stand in their
text and in their names; nothing else is a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from wireproof import rooms
from wireproof.errors import UsageError

TEMPLATES = Path(__file__).resolve().parent / "_scaffold"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TAKEN = {"host": {"models", "schema"}, "model": {"protocol"}}
"""Names that mean something else in a `specs` room."""


@dataclass(frozen=True, slots=True)
class Scaffolded:
    """What became of each file, by its path inside the folder."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]
    """Files that were there already; they were left as they are."""


def scaffold(folder: Path, *, host: str, model: str, today: date) -> Scaffolded:
    """Lay the rooms out in `folder`, which is made where it is missing. No file that exists is touched.

    Raises UsageError for a name that no contract can have, and OSError where a file cannot be written.
    """
    files = contents(host, model, today)
    written = [path for path, text in files.items() if _new(folder / path, text)]
    return Scaffolded(folder, tuple(written), tuple(path for path in files if path not in written))


def contents(host: str, model: str, today: date) -> Mapping[str, str]:
    """The text of every file by its path inside the folder, in the order of their names."""
    words = {
        "@host@": _named("host", host),
        "@HOST@": host.upper().replace("-", "_"),
        "@model@": _named("model", model),
        "@today@": today.isoformat(),
    }
    found = {_said(path, words): _said(text, words) for path, text in _templates()}
    return dict(sorted((found | dict(_schemas())).items()))


def _templates() -> Iterator[tuple[str, str]]:
    for file in TEMPLATES.rglob("*"):
        if file.is_file():
            # `.in` keeps tools from taking a template for a module or a test of ours
            yield file.relative_to(TEMPLATES).as_posix().removesuffix(".in"), file.read_text(encoding="utf-8")


def _schemas() -> Iterator[tuple[str, str]]:
    """The published schemas, beside the contracts whose first line points editors to them."""
    for file in (rooms.shipped("specs") / "schema").glob("*.schema.json"):
        yield f"specs/schema/{file.name}", file.read_text(encoding="utf-8")


def _said(text: str, words: Mapping[str, str]) -> str:
    for sign, word in words.items():
        text = text.replace(sign, word)
    return text


def _named(what: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"--{what} {name!r}: use small letters, digits and -, such as my-{what}")
    if name in _TAKEN[what]:
        raise UsageError(f"--{what} {name!r} means something else in a specs room: choose another name")
    return name


def _new(path: Path, text: str) -> bool:
    """Write a file that is not there yet; False where something is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:  # never follows a link to elsewhere
            file.write(text)
    except FileExistsError:
        return False
    return True
