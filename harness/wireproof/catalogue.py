"""The catalogue of everything that is checked: one page for each check, from its own docstring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wireproof import conform  # noqa: F401  (enters all checks into the table)
from wireproof.check import client
from wireproof.check.registry import CHECKS
from wireproof.errors import UsageError
from wireproof.spec import lint
from wireproof.spec.reading import nearest


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the catalogue."""

    id: str
    name: str
    text: str
    trips_on: tuple[str, ...] = ()


def pages() -> Iterator[Page]:
    """Every check, by id."""
    for id in sorted(CHECKS):
        one = CHECKS[id]
        yield Page(id, one.name, one.page, one.trips_on)
    for id in sorted(client.RULES):
        yield Page(id, client.RULES[id].name, client.RULES[id].page)
    for rule in lint.catalogue():
        yield Page(rule.id, rule.name, lint.explain(rule.id))


def explained(id: str) -> str:
    """The page of a check as text. Raises UsageError for an id that does not exist."""
    known = {page.id: page for page in pages()}
    page = known.get(id.upper())
    if page is None:
        guess = nearest(id.upper(), known)
        hint = f"Did you mean {guess}?" if guess else f"Known: {', '.join(known)}"
        raise UsageError(f"no check is called {id!r}. {hint}")
    trips = f"\n\nHeard on: {', '.join(page.trips_on)}" if page.trips_on else ""
    return f"{page.id}  {page.name}\n\n{page.text}{trips}"
