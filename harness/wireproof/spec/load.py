"""From contract files to `Endpoint` values: find, read, check against the published schemas, build.

Every mistake of every file that takes part is reported in one `ContractError`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wireproof import rooms
from wireproof.errors import ContractError, Mistake, UsageError
from wireproof.model import Canonical, Endpoint, Model, Provider
from wireproof.spec import build, reading
from wireproof.spec.page import Page
from wireproof.spec.words import check_words

KINDS = ("model", "protocol", "endpoint")


def resolve(spec: str = "all", start: Path | None = None) -> tuple[Endpoint, ...]:
    """The endpoints that a SPEC means: an endpoint, a provider, a model, a path, or `all`.

    Raises UsageError when nothing is meant by it, ContractError when a file is wrong.
    """
    folders = rooms.places("specs", start)
    path = Path(spec)
    if path.suffix in (".yaml", ".yml") or path.is_dir() and spec not in _names(folders):
        return _at(path)
    known = _names(folders)
    wanted = [name for name in known if spec in ("all", name, *name.split("/"))]
    if not wanted:
        words = {"all", *known, *(part for name in known for part in name.split("/"))}
        guess = reading.nearest(spec, words)
        hint = f" Did you mean {guess}?" if guess else ""
        raise UsageError(f"nothing is called {spec!r}.{hint} Known: {', '.join(known)}")
    return tuple(load(known[name]) for name in wanted)


def load_all(start: Path | None = None) -> tuple[Endpoint, ...]:
    """Every endpoint of the user's room and of the shipped one."""
    return resolve("all", start)


def _at(path: Path) -> tuple[Endpoint, ...]:
    if path.is_file():
        return (load(path),)
    if not path.is_dir():
        raise UsageError(f"{path} is neither a file nor a folder")
    found = sorted(file for file in path.rglob("*.yaml") if _kind(file) == "endpoint")
    if not found:
        raise UsageError(f"no endpoint file lies in {path} (a YAML file that begins with `kind: endpoint`)")
    return tuple(load(file) for file in found)


def _names(folders: Sequence[Path]) -> dict[str, Path]:
    """`provider/model` to file; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for file in sorted(folder.glob("*/*.yaml")):
            if file.parent.name not in ("models", "schema") and file.name != "protocol.yaml":
                found.setdefault(f"{file.parent.name}/{file.stem}", file)
    return found


def _kind(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("kind:"):
                return line.removeprefix("kind:").strip().strip("\"'")
    return ""


@functools.lru_cache(maxsize=256)
def load(file: Path) -> Endpoint:
    """Read one endpoint file together with its protocol and its model."""
    page = _page(file, "endpoint")
    provider_name, model_name = str(page.value["provider"]), str(page.value["model"])
    trouble: list[Mistake] = []
    protocol = provider = model = None
    try:
        protocol, provider = _protocol(
            _companion(page, file.parent / "protocol.yaml", f"{provider_name}/protocol.yaml")
        )
    except ContractError as error:
        trouble += error.mistakes
    try:
        model = _model(
            _companion(page, file.parent.parent / "models" / f"{model_name}.yaml", f"models/{model_name}.yaml")
        )
    except ContractError as error:
        trouble += error.mistakes
    if protocol is None or provider is None or model is None:
        raise ContractError(trouble)
    endpoint = build.endpoint(page, protocol, provider, model)
    mistakes = sorted({*protocol.mistakes, *page.mistakes, *check_words(endpoint)})
    if mistakes:
        raise ContractError(mistakes)
    return endpoint


def _companion(page: Page, beside: Path, name: str) -> Path:
    """The file that belongs to an endpoint file: beside it, or in any room."""
    for candidate in (beside, *(folder / name for folder in rooms.places("specs", beside.parent))):
        if candidate.is_file():
            return candidate
    where = page.where("/provider" if name.endswith("protocol.yaml") else "/model")
    raise ContractError(
        [Mistake(where.file, where.line, where.pointer, f"there is no {name} beside it or in any specs room")]
    )


@functools.lru_cache(maxsize=64)
def _protocol(file: Path) -> tuple[Page, Provider]:
    page = _page(file, "protocol")
    provider = build.provider(page)
    return page, provider


@functools.lru_cache(maxsize=64)
def _model(file: Path) -> Model:
    page = _page(file, "model")
    return Model(
        name=page.value["model"],
        title=page.value["title"],
        capability=page.value["capability"],
        parameters={
            name: Canonical(name, node["kind"], node.get("says", ""), page.where(f"/parameters/{name}"))
            for name, node in page.value["parameters"].items()
        },
        where=page.where(""),
    )


def _page(file: Path, kind: str) -> Page:
    """A file that is what it should be, or every reason why it is not."""
    document = reading.read(file)
    mistakes = list(_against_schema(document, kind))
    if mistakes:
        raise ContractError(sorted(set(mistakes)))
    return Page((document,))


def _against_schema(document: reading.Document, kind: str) -> Iterator[Mistake]:
    if not isinstance(document.value, dict) or document.value.get("kind") != kind:
        yield Mistake(document.file, 1, "/kind", f"this should be a {kind} file: begin it with `kind: {kind}`")
        return
    if not _fast(kind).is_valid(document.value):
        yield from _explain(document, kind)


def schema(kind: str) -> dict[str, Any]:
    """The published JSON Schema of a kind of contract file."""
    return dict(json.loads((rooms.shipped("specs") / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8")))


@functools.cache
def _fast(kind: str) -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for(schema(kind))


def _explain(document: reading.Document, kind: str) -> Iterator[Mistake]:
    """The same verdict once more, in words; slower, and only where something is wrong."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema(kind))
    for error in validator.iter_errors(document.value):
        yield from _in_words(document, error)


def _in_words(document: reading.Document, error: Any) -> Iterator[Mistake]:
    branches = [e for e in error.context or () if e.validator != "type"]
    if error.validator in ("oneOf", "anyOf") and branches:
        for inner in branches:
            yield from _in_words(document, inner)
        return
    pointer = "".join(f"/{_escape(part)}" for part in error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = list(error.schema.get("properties", {}))
        for key in error.instance:
            if key not in known:
                guess = reading.nearest(str(key), known)
                hint = f" Did you mean {guess}?" if guess else f" Known here: {', '.join(known)}."
                at = f"{pointer}/{_escape(key)}"
                yield Mistake(document.file, _line(document, at), at, f"{key!r} is not a key of this place.{hint}")
        return
    yield Mistake(document.file, _line(document, pointer), pointer, _says(error))


def _says(error: Any) -> str:
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{', '.join(map(repr, missing))} must be given here"
    if error.validator == "enum":
        guess = reading.nearest(str(error.instance), map(str, error.validator_value))
        hint = f" Did you mean {guess}?" if guess else ""
        return f"{error.instance!r} is not one of {', '.join(map(str, error.validator_value))}.{hint}"
    if error.validator == "type":
        wanted = error.validator_value
        return f"this must be {wanted if isinstance(wanted, str) else ' or '.join(wanted)}, not {error.instance!r:.60}"
    return str(error.message)[:300]


def _escape(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _line(document: reading.Document, pointer: str) -> int:
    while pointer and pointer not in document.lines:
        pointer = pointer.rpartition("/")[0]
    return document.lines.get(pointer, 1)
