"""A contract file while it is being turned into nouns: its tree, its lines, its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wireproof.errors import Mistake
from wireproof.model import Confidence, Evidence, Place, Rival, Source, Where
from wireproof.spec import reading


class Page:
    """One file, or an endpoint file laid over its protocol: the first document that has a pointer owns it."""

    def __init__(self, documents: tuple[reading.Document, ...], value: Any = None) -> None:
        self.documents = documents
        self.value: Any = documents[0].value if value is None else value
        self.mistakes: list[Mistake] = []
        self.sources: dict[str, Source] = {}
        for document in reversed(documents):
            self.sources |= _sources(document.value.get("sources", {}))

    def where(self, pointer: str) -> Where:
        """Where a pointer stands: its own line, or that of the nearest node above it."""
        for document in self.documents:
            if pointer in document.lines or pointer == "":
                return Where(document.file, document.lines.get(pointer, 1), pointer)
        return self.where(pointer.rpartition("/")[0])

    def wrong(self, pointer: str, says: str) -> None:
        """Note a mistake and go on, so that all of them are told at once."""
        at = self.where(pointer)
        self.mistakes.append(Mistake(at.file, at.line, pointer, says))

    @property
    def default(self) -> Evidence:
        """What holds for a node that says nothing of its own."""
        return self.evidence(self.documents[0].value.get("evidence"), "/evidence", Evidence())

    def evidence(self, node: Any, pointer: str, inherited: Evidence) -> Evidence:
        """The evidence a node carries; the inherited one when it carries none."""
        if node is None:
            return inherited
        given: Mapping[str, Any] = {"source": node} if isinstance(node, str) else node
        name = given.get("source", inherited.source)
        source = self.sources.get(name)
        if name and source is None:
            guess = reading.nearest(name, self.sources)
            self.wrong(pointer, f"no source is called {name!r}" + (f"; did you mean {guess}?" if guess else ""))
        confidence = given.get("confidence") or (source.confidence if source else inherited.confidence)
        return Evidence(
            source=name,
            read=given.get("read") or (source.read if source else ""),
            confidence=Confidence(confidence),
            place=Place(given.get("place", "table")),
            rivals=tuple(Rival(rival["value"], rival["source"]) for rival in given.get("rivals", ())),
            note=given.get("note", ""),
        )


def _sources(nodes: Mapping[str, Any]) -> dict[str, Source]:
    return {
        name: Source(
            name,
            node["title"],
            node.get("url", ""),
            node.get("read", ""),
            Confidence(node.get("confidence", "documented")),
        )
        for name, node in nodes.items()
    }
