"""Rules of contracts: a record and a function each, and the table of all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from wireproof.model import Endpoint, Finding, Model, Severity, Where


@dataclass(frozen=True, slots=True)
class Hosts:
    """One model at two hosts or more."""

    model: Model
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Dated:
    """An endpoint, and the day on which it is looked at."""

    endpoint: Endpoint
    day: date


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong with a contract. `reads` is what its function is handed."""

    id: str
    name: str
    severity: Severity
    reads: type
    judge: Callable[[Any], Iterator[Finding]]

    @property
    def promise(self) -> str:
        """The first line of its page."""
        return self.page.partition("\n")[0]

    @property
    def page(self) -> str:
        """What it finds, what that breaks for a client, and an example."""
        return inspect.cleandoc(self.judge.__doc__ or "")


RULES: dict[str, Rule] = {}

_Judge = Callable[[Any], Iterator[Finding]]


def rule(*, id: str, reads: type = Endpoint, severity: Severity) -> Callable[[_Judge], Rule]:
    """Enter a function into the table of rules."""

    def enter(judge: _Judge) -> Rule:
        if id in RULES:
            raise ValueError(f"two rules are called {id}")
        RULES[id] = Rule(id, judge.__name__.replace("_", " "), severity, reads, judge)
        return RULES[id]

    return enter


def found(says: str, *, subject: str, where: Where, expected: str = "", actual: str = "") -> Finding:
    """A finding whose check, endpoint and severity are filled in by who called the rule."""
    return Finding(
        check="",
        severity=Severity.QUESTION,
        endpoint="",
        says=says,
        expected=expected,
        actual=actual,
        where=where,
        subject=subject,
    )


def several(noun: str, words: list[str] | tuple[str, ...]) -> str:
    """`the sample a`, `the samples a and b`."""
    return f"the {noun}{'s' if len(words) > 1 else ''} {listed(words)}"


def listed(words: list[str] | tuple[str, ...], most: int = 8) -> str:
    """`a, b and c`; a long list is cut, and says so."""
    shown = list(dict.fromkeys(words))
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {len(shown) - most} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
