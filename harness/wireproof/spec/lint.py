"""Mistakes and contradictions of contracts, found without a request.

Two kinds, never mixed: a *violation* says that the contract itself is wrong or unusable, a *question* that
the host's own pages contradict themselves or leave something open. Questions are no fault of the contract:
they are what a client has to be told, and what a live run should answer.

The rules are in `linting/`, one function each with its page; this is their door.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from wireproof.errors import ContractError, UsageError
from wireproof.model import Endpoint, Finding, Where
from wireproof.spec import reading
from wireproof.spec.linting import hosts, mistakes, pages
from wireproof.spec.linting.registry import RULES, Dated, Hosts, Rule

ROOMS = (pages, mistakes, hosts)
"""The modules whose rules are in the table."""


def lint(endpoints: Sequence[Endpoint], day: date | None = None) -> tuple[Finding, ...]:
    """Every finding about these contracts, violations first, then by file and line.

    What a whole host or a whole model shares is told once, under the name of the provider or the model.
    `day` is the day by which sources may be too old; None: their age is not judged.
    """
    heard: dict[str, Finding] = {}
    for owner, rule, finding in _hear(endpoints, day):
        told = replace(finding, check=rule.id, severity=rule.severity, endpoint=owner, where=_line(finding.where))
        heard.setdefault(told.key, told)
    return tuple(sorted(heard.values(), key=_order))


def _hear(endpoints: Sequence[Endpoint], day: date | None) -> Iterator[tuple[str, Rule, Finding]]:
    for endpoint in endpoints:
        handed: list[Endpoint | Dated] = [endpoint, *([Dated(endpoint, day)] if day else [])]
        for value in handed:
            for rule in _reading(type(value)):
                yield from ((_owner(endpoint, finding), rule, finding) for finding in rule.judge(value))
    for group in _groups(endpoints):
        for rule in _reading(Hosts):
            yield from ((group.model.name, rule, finding) for finding in rule.judge(group))


def _reading(kind: type) -> list[Rule]:
    return [rule for rule in RULES.values() if rule.reads is kind]


def _owner(endpoint: Endpoint, finding: Finding) -> str:
    """Whose a finding is: the host's when it stands in the host's file."""
    return endpoint.provider.name if finding.where.file == endpoint.provider.where.file else endpoint.name


def _groups(endpoints: Sequence[Endpoint]) -> Iterator[Hosts]:
    """The models that are there at two hosts or more."""
    models: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        models.setdefault(endpoint.model.name, []).append(endpoint)
    for same in models.values():
        if len({endpoint.provider.name for endpoint in same}) > 1:
            yield Hosts(same[0].model, tuple(sorted(same, key=lambda endpoint: endpoint.name)))


def _order(finding: Finding) -> tuple[int, str, int, str, str]:
    where = finding.where
    return (-finding.severity.rank, where.file, where.line, finding.check, finding.subject)


def _line(where: Where) -> Where:
    """The place with its own line: a few nouns keep the pointer of a fact but only the line of their file."""
    line = _lines(where.file).get(where.pointer)
    return where if line is None else replace(where, line=line)


@functools.lru_cache(maxsize=64)
def _lines(file: str) -> Mapping[str, int]:
    try:
        return reading.read(Path(file)).lines
    except (ContractError, OSError):  # a contract that was made in memory has no file
        return {}


def brief(finding: Finding) -> str:
    """One line for a person: `specs/acme/image.yaml:41: LINT004 question: …`."""
    return f"{finding.where}: {finding.check} {finding.severity}: {finding.says}"


def explain(rule_id: str) -> str:
    """The page of a rule: what it finds, what that breaks for a client, and an example."""
    rule = RULES.get(rule_id.upper())
    if rule is None:
        guess = reading.nearest(rule_id.upper(), RULES)
        raise UsageError(f"no rule is called {rule_id!r}." + (f" Did you mean {guess}?" if guess else ""))
    return f"{rule.id} ({rule.severity}): {rule.name}\n\n{rule.page}"


def catalogue() -> tuple[Rule, ...]:
    """Every rule, in the order of its id."""
    return tuple(sorted(RULES.values(), key=lambda rule: _number(rule.id)))


def _number(rule_id: str) -> int:
    return int(re.sub(r"\D", "", rule_id))
