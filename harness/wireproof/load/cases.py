"""What jobs ask for: the bodies of a workload, by name, the same for every endpoint of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wireproof.errors import UsageError
from wireproof.generate.cases import allowed, base
from wireproof.model import Endpoint, Example

Bodies = Sequence[Mapping[str, Any]]


def workload(endpoint: Endpoint, names: Sequence[str]) -> dict[str, Bodies]:
    """For each case name the bodies that jobs take in turn. UsageError for a name that means nothing here."""
    return {name: _bodies(endpoint, name) for name in names}


def _bodies(endpoint: Endpoint, name: str) -> Bodies:
    if name in ("", "base"):
        return [base(endpoint)]
    if name == "generated":
        return [case.values for case in allowed(endpoint)]
    sound = [e for e in endpoint.examples if _is_sound(endpoint, e)]
    if name == "examples":
        return [dict(e.parameters) for e in sound] or [base(endpoint)]
    found = [dict(e.parameters) for e in endpoint.examples if e.name == name]
    if not found:
        known = ", ".join(["base", "examples", "generated", *(e.name for e in endpoint.examples)])
        raise UsageError(f"{endpoint.name} has no case {name!r}; it has {known}")
    return found


def _is_sound(endpoint: Endpoint, example: Example) -> bool:
    """Whether a sample keeps the rules of its own page: one that breaks them may be refused."""
    return not set(example.breaks) & set(endpoint.parameters)


def body(bodies: Bodies, k: int) -> Mapping[str, Any]:
    """The body of the arrival `k`."""
    return bodies[k % len(bodies)]
