"""Rules about one model at several hosts: what is said of the model differs with who hosts it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wireproof.model import NOWHERE, Canonical, Endpoint, Finding, Parameter, Severity, Where
from wireproof.spec.linting.registry import Hosts, found, listed, rule
from wireproof.spec.linting.samples import told
from wireproof.spec.values import by_canonical

QUESTION = Severity.QUESTION
UNSTATED = "not stated"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one host says of a facet of a parameter."""

    value: str
    where: Where
    fixed: bool = False
    """No parameter: the host has decided."""

    def __str__(self) -> str:
        return f"always {self.value}" if self.fixed else self.value


Says = Callable[[Endpoint, Canonical], Answer | None]
"""What one host says of a facet of a parameter; None: the host does not have the parameter."""


def _differ(hosts: Hosts, facet: str, says: Says) -> Iterator[Finding]:
    """One finding for each parameter of the model of which two hosts say different things."""
    for canonical in hosts.model.parameters.values():
        told_by = {e.provider.name: answer for e in hosts.endpoints if (answer := says(e, canonical))}
        stated = {answer.value for answer in told_by.values() if answer.value != UNSTATED}
        if len(stated) > 1:
            table = [f"{name} {answer} ({answer.where})" for name, answer in told_by.items()]
            plain = [f"{answer} at {name}" for name, answer in told_by.items()]
            yield found(
                f"one model, several {facet} of {canonical.name}: {'; '.join(plain)}",
                subject=f"{canonical.name}.{facet.replace(' ', '-')}",
                where=canonical.where,
                expected="the same at every host, or known to differ",
                actual="; ".join(table),
            )


def _keyword(*keywords: str) -> Says:
    """What a host says under the first of these keywords of a schema."""

    def says(endpoint: Endpoint, canonical: Canonical) -> Answer | None:
        parameter = by_canonical(endpoint, canonical.name)
        if parameter is None:
            return None
        keyword = next((keyword for keyword in keywords if keyword in parameter.schema), None)
        if keyword is None:
            return Answer(UNSTATED, parameter.where)
        return Answer(told(parameter.schema[keyword]), parameter.line(keyword))

    return says


FACETS: Mapping[str, Says] = {
    "upper limits": _keyword("maxItems", "maxLength", "maximum"),
    "lower limits": _keyword("minItems", "minLength", "minimum"),
}


@rule(id="LINT201", reads=Hosts, severity=QUESTION)
def one_model_with_different_limits(hosts: Hosts) -> Iterator[Finding]:
    """The hosts of one model give different limits for the same parameter.

    A limit belongs to the host and never to the model: a request that one takes is refused by the next.
    Example: four pictures here, five there, and no number at a third.
    """
    for facet, says in FACETS.items():
        yield from _differ(hosts, facet, says)


@rule(id="LINT202", reads=Hosts, severity=QUESTION)
def one_model_with_different_defaults(hosts: Hosts) -> Iterator[Finding]:
    """The hosts of one model do different things when a parameter is left out.

    The same request gives another picture, or an unchecked one, when it moves to another host. Example:
    content is checked by default at one host, unchecked at the next, and a third has decided for its callers.
    """
    yield from _differ(hosts, "defaults", _default)


def _default(endpoint: Endpoint, canonical: Canonical) -> Answer | None:
    if canonical.name in endpoint.fixed:
        where = Where(endpoint.where.file, endpoint.where.line, f"/fixed/{canonical.name}")
        return Answer(told(endpoint.fixed[canonical.name]), where, fixed=True)
    parameter = by_canonical(endpoint, canonical.name)
    if parameter is None:
        return None
    if not parameter.has_default:
        return Answer(UNSTATED, parameter.where)
    return Answer(told(_meant(parameter, parameter.default)), parameter.line("default"))


def _meant(parameter: Parameter, value: Any) -> Any:
    """A host's value as the model would say it."""
    return parameter.words.get(value if isinstance(value, str) else json.dumps(value), value)


@rule(id="LINT203", reads=Hosts, severity=QUESTION)
def one_model_with_different_value_sets(hosts: Hosts) -> Iterator[Finding]:
    """The hosts of one model allow different values for the same parameter.

    A value that works at one host is refused at the next. Example: one host can keep the shape of the
    picture that it was given, another has no word for it.
    """
    for canonical in hosts.model.parameters.values():
        sets = {e.provider.name: _values(e, canonical) for e in hosts.endpoints}
        known = {name: (values, where) for name, (values, where) in sets.items() if values}
        everywhere = set.intersection(*(set(values) for values, _ in known.values())) if known else set()
        extra = {name: [v for v in values if v not in everywhere] for name, (values, _) in known.items()}
        if any(extra.values()):
            told_by = [f"only {name} has {listed(more)}" for name, more in extra.items() if more]
            yield found(
                f"one model, several sets of values of {canonical.name}: {'; '.join(told_by)}",
                subject=f"{canonical.name}.values",
                where=canonical.where,
                expected="the same at every host, or known to differ",
                actual="; ".join(f"{name} {', '.join(values)} ({where})" for name, (values, where) in known.items()),
            )


def _values(endpoint: Endpoint, canonical: Canonical) -> tuple[list[str], Where]:
    parameter = by_canonical(endpoint, canonical.name)
    if parameter is None:
        return [], NOWHERE
    return [told(_meant(parameter, v)) for v in parameter.schema.get("enum", ())], parameter.line("enum")
