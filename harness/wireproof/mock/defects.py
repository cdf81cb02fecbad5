"""Defects as data: one file each, one thing each that a host does otherwise than its contract says.

    from wireproof.mock.defects import load_defects, manners
    known = load_defects()                                   # every defect by its name
    mock = Mock([endpoint], manners=manners(known["steps-back"]))

A defect names one bend (`wireproof.mock.bends`), what is said to it, the endpoints whose contracts it breaks,
the checks that must hear it, and which parts of which replies it changes. Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wireproof import rooms
from wireproof.errors import ContractError, Mistake, UsageError
from wireproof.mock.bends import BENDS, Bend, Past
from wireproof.mock.jobs import Job
from wireproof.mock.manners import Manners
from wireproof.model import Does
from wireproof.spec import load, reading
from wireproof.wire.requests import Asked

GROUPS = ("status", "schema", "lifecycle", "semantics", "media", "money", "transport", "security")
PARTS = ("code", "headers", "body", "delivery")
MEDIA = "media"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One thing that a host does otherwise than its contract says."""

    name: str
    says: str
    group: str
    rows: tuple[str, ...] = ()
    """Ids of reports of it from the wild."""
    endpoints: tuple[str, ...]
    """Those whose contracts promise otherwise."""
    heard: tuple[str, ...] = ()
    """Ids of the checks that hear it; empty: none can, and `unheard` says why."""
    also: tuple[str, ...] = ()
    """Ids of further checks that may rightly speak up."""
    unheard: str = ""
    bend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    at: tuple[str, ...] = ()
    """What the calls are for whose replies it changes; empty: any."""
    differs: tuple[str, ...]
    """Parts of replies that it changes, as `role.part`."""
    waits: bool = False
    """Whether it only shows to somebody who waits."""


def manners(*defects: Defect) -> Manners:
    """The manners of a host that has these defects, and no others."""
    return _Defective(defects)


class _Defective(Manners):
    def __init__(self, defects: Sequence[Defect]) -> None:
        for one in defects:
            bend = BENDS[one.bend]
            if bend.point == "private":
                self.private = bool(bend.act(Past()))
            else:
                setattr(self, bend.point, _bent(one, bend, getattr(self, bend.point)))


def _bent(defect: Defect, bend: Bend, true: Callable[..., Any]) -> Callable[..., Any]:
    """A point of the manners with a defect laid over what it was before."""
    past = Past()

    def point(*given: Any) -> Any:
        value = true(*given)
        if defect.at and _role(given) not in defect.at:
            return value
        return bend.act(past, *given[:-1], value, **defect.options)

    return point


def _role(given: Sequence[Any]) -> str:
    """What the call is for that a point is asked about."""
    for one in given:
        if isinstance(one, Asked):
            return one.operation.does.value
        if hasattr(one, "operation") and not isinstance(one, Job):
            return str(one.operation.does.value)
    return MEDIA


# ----------------------------------------------------------------------------------------------- reading


def load_defects(start: Path | None = None) -> dict[str, Defect]:
    """Every defect by its name: the user's own room first, then the shipped one. Raises ContractError."""
    files: dict[str, Path] = {}
    for place in rooms.places("mocks", start):
        for file in sorted((place / "defects").glob("*.yaml")):
            files.setdefault(file.stem, file)
    return {name: read_defect(files[name]) for name in sorted(files)}


def defect(name: str, start: Path | None = None) -> Defect:
    """The defect of that name, or in that file. Raises UsageError when there is none."""
    if name.endswith((".yaml", ".yml")):
        return read_defect(Path(name))
    known = load_defects(start)
    if name not in known:
        guess = reading.nearest(name, known)
        hint = f" Did you mean {guess}?" if guess else ""
        raise UsageError(f"there is no defect {name!r}.{hint} Known: {', '.join(known)}")
    return known[name]


def read_defect(file: Path) -> Defect:
    """The defect in a file. Raises ContractError with every mistake in it."""
    document = reading.read(file)
    found = sorted(set(_mistakes(document)))
    if found:
        raise ContractError(found)
    value = document.value
    lists = {key: tuple(value.get(key, ())) for key in ("rows", "endpoints", "heard", "also", "at", "differs")}
    return Defect(
        name=file.stem,
        says=value["says"],
        group=value["group"],
        unheard=value.get("unheard", ""),
        bend=value["bend"],
        options={key: _frozen(one) for key, one in value.get("with", {}).items()},
        waits=value.get("waits", False),
        **lists,
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _mistakes(document: reading.Document) -> Iterator[Mistake]:
    import jsonschema_rs

    for error in jsonschema_rs.validator_for(load.schema("defect")).iter_errors(document.value):
        pointer = "".join(f"/{part}" for part in error.instance_path)
        yield Mistake(document.file, _line(document, pointer), pointer, str(error.message)[:300])


def _line(document: reading.Document, pointer: str) -> int:
    while pointer and pointer not in document.lines:
        pointer = pointer.rpartition("/")[0]
    return document.lines.get(pointer, 1)


# -------------------------------------------------------------------------------------------- the schema


def schema() -> dict[str, Any]:
    """The JSON Schema of a defect file, as it is published in `specs/schema/defect.schema.json`."""
    roles = [does.value for does in Does] + [MEDIA]
    text = {"type": "string", "minLength": 1}
    properties = {
        "kind": {"const": "defect"},
        "says": {**text, "description": "What the host does, in one sentence."},
        "group": {"enum": list(GROUPS), "description": "What kind of promise it breaks."},
        "rows": _list({"type": "string", "pattern": "^P-[A-Z]{2}-[0-9]{2}$"}, "Reports of it from the wild."),
        "endpoints": {**_list(text, "Endpoints whose contracts promise otherwise."), "minItems": 1},
        "heard": _list({"type": "string", "pattern": "^[A-Z]{3}[0-9]{3}$"}, "Checks that hear it."),
        "also": _list({"type": "string", "pattern": "^[A-Z]{3}[0-9]{3}$"}, "Checks that may rightly speak up too."),
        "unheard": {**text, "description": "Why no check hears it."},
        "bend": {
            "enum": list(BENDS),
            "description": "\n".join(f"{b.name}: {b.says}" for b in BENDS.values()),
        },
        "with": {"type": "object", "description": "What is said to the bend."},
        "at": _list({"enum": roles}, "What the calls are for whose replies it changes; left out: any."),
        "differs": {
            **_list({"enum": [f"{role}.{part}" for role in roles for part in PARTS]}, "What it changes."),
            "minItems": 1,
        },
        "waits": {"type": "boolean", "description": "Whether it only shows to somebody who waits."},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wireproof: a defect of the mock",
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", "says", "group", "endpoints", "bend", "differs"],
        "properties": properties,
        "oneOf": [{"required": ["heard"]}, {"required": ["unheard"]}],
        "allOf": [_options_of(bend) for bend in BENDS.values()],
    }


def _list(items: dict[str, Any], says: str) -> dict[str, Any]:
    return {"type": "array", "items": items, "uniqueItems": True, "description": says}


def _options_of(bend: Bend) -> dict[str, Any]:
    options = {"additionalProperties": False, "properties": bend.options, "required": bend.needs}
    then = {"properties": {"with": options}, **({"required": ["with"]} if bend.needs else {})}
    return {"if": {"properties": {"bend": {"const": bend.name}}}, "then": then}
