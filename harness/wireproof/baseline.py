"""Known findings, accepted by name with a reason and an end: everything else still fails the run.

A baseline is a YAML file:

    accepted:
      - finding: "OUT004:segmind/p-image:size"
        reason: "Ticket 4711: the host rounds to 16 pixels."
        until: "2027-01-31"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from wireproof.errors import ContractError, Mistake
from wireproof.model import Finding
from wireproof.spec import reading


@dataclass(frozen=True, slots=True)
class Accepted:
    """One finding that is known and borne with for a while."""

    finding: str
    """`Finding.key`: check, endpoint and subject, with colons."""
    reason: str
    until: date
    line: int


@dataclass(frozen=True, slots=True)
class Applied:
    """Findings after a baseline: what is left, what was accepted, and entries that no longer hold."""

    left: tuple[Finding, ...]
    accepted: tuple[tuple[Finding, Accepted], ...]
    stale: tuple[str, ...]
    """One sentence for each entry that is over or no longer occurs, with file and line."""


def read(path: Path) -> tuple[Accepted, ...]:
    """The entries of a baseline file. Raises ContractError with every mistake."""
    document = reading.read(path)
    mistakes: list[Mistake] = []
    entries: list[Accepted] = []
    rows = document.value.get("accepted") if isinstance(document.value, dict) else None
    if not isinstance(rows, list):
        raise ContractError([Mistake(document.file, 1, "/accepted", "a baseline begins with `accepted:` and a list")])
    for i, row in enumerate(rows):
        pointer = f"/accepted/{i}"
        line = document.lines.get(pointer, 1)
        says = _wrong(row)
        if says:
            mistakes.append(Mistake(document.file, line, pointer, says))
        else:
            entries.append(Accepted(row["finding"], row["reason"], date.fromisoformat(row["until"]), line))
    if mistakes:
        raise ContractError(mistakes)
    return tuple(entries)


def _wrong(row: object) -> str:
    """What is wrong with one entry; empty: nothing."""
    if not isinstance(row, dict):
        return "an entry is a mapping with finding, reason and until"
    for key in ("finding", "reason", "until"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            return f"{key!r} must be given, as text"
    extra = sorted(set(row) - {"finding", "reason", "until"})
    if extra:
        return f"{extra[0]!r} is not a key of an entry; known: finding, reason, until"
    try:
        date.fromisoformat(row["until"])
    except ValueError:
        return f"until {row['until']!r} is not a date: write it like 2027-01-31"
    return ""


def apply(file: str, entries: Sequence[Accepted], findings: Sequence[Finding], today: date) -> Applied:
    """Set the accepted findings aside; name the entries that are over, or that nothing matches any more."""
    by_key = {entry.finding: entry for entry in entries}
    accepted = [(finding, by_key[finding.key]) for finding in findings if finding.key in by_key]
    good = [(finding, entry) for finding, entry in accepted if entry.until >= today]
    kept = {id(finding) for finding, _ in good}
    occurring = {finding.key for finding, _ in accepted}
    stale = [
        f"{file}:{entry.line}: {entry.finding} "
        + (f"was accepted until {entry.until}" if entry.until < today else "no longer occurs: delete the entry")
        for entry in entries
        if entry.until < today or entry.finding not in occurring
    ]
    return Applied(tuple(f for f in findings if id(f) not in kept), tuple(good), tuple(stale))
