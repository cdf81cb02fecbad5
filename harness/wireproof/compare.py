"""One model at several hosts, side by side: what a caller who switches will notice, the worst first.

Everything comes from contracts, fact by fact, with where it stands and how sure it is; finished runs add
what was measured. What nobody says stays unknown: it is neither a difference nor an agreement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from wireproof.errors import UsageError
from wireproof.model import NOWHERE, Confidence, Endpoint, Evidence, Rival, Run, Severity, Verdict, Where
from wireproof.money import Money, plain
from wireproof.report.reading import outcome
from wireproof.spec.facts import Fact, Key, facts, text
from wireproof.spec.values import by_canonical, price_of

# ------------------------------------------------------------------------------------------ nouns


class Said(StrEnum):
    """How much a contract says of one fact."""

    YES = "yes"
    NOT = "not"
    """Nothing, and the lack means something: no limit, no such state, no such parameter."""
    UNKNOWN = "unknown"
    """Nobody says, though there must be something."""
    APART = "apart"
    """The question does not arise: the whole that it belongs to is not offered here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one host's contract says of one fact."""

    endpoint: str
    said: Said
    shown: str
    value: Any = None
    """In the model's own words; what is compared."""
    evidence: Evidence = Evidence()  # noqa: RUF009 - a frozen value
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fact at every host."""

    topic: str
    subject: str
    aspect: str
    cells: tuple[Cell, ...]
    differs: bool
    """Whether what is known is not the same everywhere."""


class Breaks(StrEnum):
    """What a difference does to somebody who switches. Ordered by `rank`."""

    REFUSED = "refused"
    """A request that works at one host is refused by another."""
    CHANGED = "changed"
    """The same request is taken, with another result, cost or check."""
    HANDLED = "handled"
    """Replies, states or problems have to be handled otherwise."""
    RENAMED = "renamed"
    """The same under another name or address: mechanical."""
    NOTED = "noted"
    """Good to know."""

    @property
    def rank(self) -> int:
        return {"refused": 4, "changed": 3, "handled": 2, "renamed": 1, "noted": 0}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row that differs, and what that means."""

    row: Row
    breaks: Breaks
    says: str
    """What differs and why it matters, in one or two sentences."""
    confidence: Confidence
    """That of the weakest fact it rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the stated workload costs at one host."""

    endpoint: str
    money: Money | None
    """In the host's own unit; None: the contract has no price."""
    normalised: Money | None
    """In the common currency; None: nobody says what the unit is worth."""
    evidence: Evidence
    rate_evidence: Evidence | None = None
    """Why the rate is believed, where there is one."""
    where: Where = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the last conformance run says of one host."""

    endpoint: str
    run: str
    command: str
    target: str
    verdict: str
    violations: int
    questions: int
    seen: int
    facts: int
    jobs: int
    per_job: Money | None
    """Known spending for each accepted job; None where any job's cost is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What the last load run says of one host. Estimates are as the run's summary tells them."""

    endpoint: str
    run: str
    target: str
    health: str
    jobs: int
    completion: Mapping[str, Mapping[str, Any]]
    """`p50` … to value, low, high (seconds), or why it is withheld."""
    success_rate: Mapping[str, Any]
    per_image: str
    """Cost of one good picture with its unit; `unknown` where nobody told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A contradiction or an open question of one host's own documents."""

    endpoint: str
    name: str
    says: str
    evidence: Evidence
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One model over its hosts."""

    model: str
    title: str
    capability: str
    endpoints: tuple[str, ...]
    workload: Mapping[str, Any]
    """Canonical parameters of the job that is priced."""
    currency: str
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    """The ones that break most first."""
    costs: tuple[Cost, ...]
    checked: tuple[Checked, ...] = ()
    timed: tuple[Timed, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def unknown(self) -> tuple[Row, ...]:
        """Rows in which at least one host leaves open what another one says."""
        return tuple(
            row
            for row in self.rows
            if any(c.said is Said.UNKNOWN for c in row.cells)
            and any(c.said is Said.YES for c in row.cells)
            and not row.subject.startswith((*IDENTITY, "rate in "))
        )


# ----------------------------------------------------------------------------------------- compare


def compare(
    endpoints: Sequence[Endpoint],
    runs: Iterable[Run] = (),
    *,
    loads: Iterable[Mapping[str, Any]] = (),
    workload: Mapping[str, Any] | None = None,
    currency: str = "USD",
) -> Comparison:
    """Compare the hosts of one model.

    `runs` are conformance runs, `loads` summaries of load runs; the last of each endpoint counts.
    `workload` names canonical parameters; a number for a list of media means so many of them.
    Raises UsageError for fewer than two endpoints and for endpoints of several models.
    """
    if len(endpoints) < 2:
        raise UsageError("a comparison needs at least two hosts of one model")
    models = sorted({endpoint.model.name for endpoint in endpoints})
    if len(models) > 1:
        raise UsageError(f"one model is compared at a time, not {', '.join(models)}")
    rows = tuple(_rows(endpoints))
    job = dict(workload) if workload is not None else _plain_job(endpoints)
    return Comparison(
        model=models[0],
        title=endpoints[0].model.title,
        capability=endpoints[0].model.capability,
        endpoints=tuple(endpoint.name for endpoint in endpoints),
        workload=job,
        currency=currency,
        rows=rows,
        differences=_ranked(rows),
        costs=tuple(_cost(endpoint, job, currency) for endpoint in endpoints),
        checked=tuple(_checked(endpoints, runs)),
        timed=tuple(_timed(endpoints, loads)),
        notes=tuple(note for endpoint in endpoints for note in _notes(endpoint)),
    )


def _rows(endpoints: Sequence[Endpoint]) -> Iterator[Row]:
    tables = {endpoint.name: facts(endpoint) for endpoint in endpoints}
    for key in dict.fromkeys(key for table in tables.values() for key in table):
        needs = {need for table in tables.values() if key in table for need in table[key].needs}
        cells = tuple(_cell(name, key, table, needs) for name, table in tables.items())
        yield Row(topic=key[0], subject=key[1], aspect=key[2], cells=cells, differs=_differs(key, cells))


MEANS_NONE = frozenset({"parameter", "rule", "operation", "reply", "state", "problem", "channel", "limit"})
"""Topics in which saying nothing says that there is none."""

IDENTITY = ("slug", "variable", "server ")
"""Beginnings of what tells hosts apart by nature: shown, and no difference to be ranked."""


def _cell(name: str, key: Key, table: Mapping[Key, Fact], needs: Iterable[tuple[str, str]]) -> Cell:
    fact = table.get(key)
    if fact is not None:
        said = Said.YES if fact.known else Said.UNKNOWN
        shown = fact.shown if fact.known else "unknown"
        return Cell(endpoint=name, said=said, shown=shown, value=fact.value, evidence=fact.evidence, where=fact.where)
    if any(not _has(table, need) for need in needs):
        return Cell(endpoint=name, said=Said.APART, shown="–")
    if key[0] in MEANS_NONE:
        return Cell(endpoint=name, said=Said.NOT, shown=_NONE.get(key[2], "none stated"))
    return Cell(endpoint=name, said=Said.UNKNOWN, shown="unknown")


_NONE = {"offered": "not offered", "word": "no such state", "name": "not offered"}


def _has(table: Mapping[Key, Fact], need: tuple[str, str]) -> bool:
    fact = table.get((*need, "offered"))
    return fact is not None and fact.known and fact.value != "decided"


def _differs(key: Key, cells: Iterable[Cell]) -> bool:
    if key[0] == "access" and key[1].startswith(IDENTITY):
        return False
    told = {(cell.said, text(cell.value)) for cell in cells if cell.said in (Said.YES, Said.NOT)}
    return len(told) > 1 and any(said is Said.YES for said, _ in told)


# --------------------------------------------------------------------------------- what they break


@dataclass(frozen=True, slots=True)
class Reason:
    """What a kind of difference breaks, and why."""

    breaks: Breaks
    what: str
    """What differs, in words; `{subject}` and `{aspect}` are filled in."""
    why: str


_TOO_MUCH = "what one host takes beyond the narrower bound, the other refuses"

REASONS: Mapping[tuple[str, str], Reason] = {
    ("parameter", "name"): Reason(Breaks.RENAMED, "{subject}: name of the parameter", "requests have to be respelled"),
    ("parameter", "required"): Reason(
        Breaks.REFUSED,
        "{subject}: whether it must be given",
        "a request without it works at one host and is refused at another",
    ),
    ("parameter", "type"): Reason(
        Breaks.REFUSED, "{subject}: type", "a value of the one type is refused where the other is wanted"
    ),
    ("parameter", "items"): Reason(
        Breaks.REFUSED,
        "{subject}: what each item may be",
        "an item that one host takes may be refused by another",
    ),
    ("parameter", "default"): Reason(
        Breaks.CHANGED, "{subject}: what happens when it is left out", "the same request gives another result"
    ),
    ("parameter", "values"): Reason(
        Breaks.REFUSED,
        "{subject}: allowed values",
        "a value that only one host knows is refused by the other",
    ),
    ("parameter", "random"): Reason(
        Breaks.CHANGED,
        "{subject}: value that asks for chance",
        "the same value is chance at one host and a plain number at another",
    ),
    ("parameter", "matters"): Reason(
        Breaks.CHANGED, "{subject}: when it has an effect", "the same request is understood otherwise"
    ),
    ("parameter", "offered"): Reason(
        Breaks.CHANGED, "parameter {subject}", "where it is lacking, the wish goes unheard"
    ),
    ("parameter", ""): Reason(Breaks.REFUSED, "{subject}: {aspect}", _TOO_MUCH),
    ("rule", "holds"): Reason(Breaks.REFUSED, "rule {subject}", "combinations that one host takes, another refuses"),
    ("operation", "offered"): Reason(
        Breaks.HANDLED, "operation {subject}", "the story of a job has a step more or less"
    ),
    ("operation", "address"): Reason(Breaks.RENAMED, "address of {subject}", "calls go to another path"),
    ("operation", "body"): Reason(
        Breaks.RENAMED, "form of the body of {subject}", "the same parameters are wrapped otherwise"
    ),
    ("operation", "unknown fields"): Reason(
        Breaks.REFUSED,
        "{subject}: keys that the host does not know",
        "a key too many passes at one host and is refused at another",
    ),
    ("operation", ""): Reason(Breaks.HANDLED, "{subject}: {aspect}", "calls are made otherwise"),
    ("reply", "status"): Reason(Breaks.HANDLED, "status code of a good reply to {subject}", "clients decide by it"),
    ("reply", ""): Reason(Breaks.HANDLED, "{subject}: where {aspect} stands", "replies are read otherwise"),
    ("state", "word"): Reason(
        Breaks.HANDLED, "word for {subject}", "a client that waits for the wrong word polls for ever"
    ),
    ("state", "status"): Reason(
        Breaks.HANDLED, "state that a job begins in", "a wait in the queue is seen at one host only"
    ),
    ("state", "moves"): Reason(Breaks.NOTED, "ways from state to state", "other states may be seen on the way"),
    ("problem", "offered"): Reason(
        Breaks.HANDLED, "problem {subject}", "one host tells of it, another has no documented reply for it"
    ),
    ("problem", "status"): Reason(
        Breaks.HANDLED, "status code of {subject}", "clients tell problems apart by it, and retry by it"
    ),
    ("problem", "code"): Reason(
        Breaks.HANDLED, "machine-readable code of {subject}", "clients tell problems apart by it"
    ),
    ("problem", "codes"): Reason(Breaks.NOTED, "the host's own table of error codes", "other numbers are documented"),
    ("problem", ""): Reason(Breaks.HANDLED, "{subject}: {aspect}", "the problem is handled otherwise"),
    ("job", "is"): Reason(Breaks.HANDLED, "job: {subject}", "lost replies and bad requests end otherwise"),
    ("channel", "offered"): Reason(Breaks.HANDLED, "channel {subject}", "the other host cannot be used that way"),
    ("retention", "seconds"): Reason(
        Breaks.CHANGED, "how long the {subject} is kept", "who comes back later finds it at one host only"
    ),
    ("retention", "is"): Reason(Breaks.HANDLED, "retention: {subject}", "what is forgotten is told otherwise"),
    ("polling", "seconds"): Reason(Breaks.NOTED, "polling: {subject}", "the advised pace is another"),
    ("polling", "is"): Reason(Breaks.NOTED, "polling: {subject}", "the advised pace is another"),
    ("limit", "is"): Reason(Breaks.CHANGED, "limit {subject}", "the pace that one host allows, another refuses"),
    ("price", "is"): Reason(Breaks.CHANGED, "price: {subject}", "the same job costs otherwise"),
    ("output", "count"): Reason(Breaks.CHANGED, "number of pictures", "a job brings more or fewer of them"),
    ("output", "is"): Reason(Breaks.CHANGED, "output: {subject}", "what comes out is another"),
    ("access", "is"): Reason(Breaks.RENAMED, "how the {subject} is presented", "calls carry it otherwise"),
}
"""By topic and aspect; an empty aspect stands for all others of the topic."""

_SUBJECTS: Mapping[tuple[str, str], Breaks] = {
    ("job", "id form"): Breaks.NOTED,
    ("output", "time"): Breaks.NOTED,
}
"""Where the subject weighs otherwise than its topic."""


def _ranked(rows: Iterable[Row]) -> tuple[Difference, ...]:
    found = [_difference(row, rows) for row in rows if row.differs]
    order = list(Confidence)
    return tuple(
        sorted(
            found,
            key=lambda d: (
                -d.breaks.rank,
                order.index(d.confidence),
                d.row.topic,
                d.row.subject,
                d.row.aspect,
            ),
        )
    )


def _difference(row: Row, rows: Iterable[Row]) -> Difference:
    reason = REASONS.get((row.topic, row.aspect)) or REASONS[row.topic, ""]
    breaks, why, resting = reason.breaks, reason.why, list(row.cells)
    refusing = _refusing(row, rows) if (row.topic, row.aspect) == ("parameter", "offered") else ()
    if refusing:
        hosts = sorted({cell.endpoint.partition("/")[0] for cell in refusing})
        breaks, why = Breaks.REFUSED, f"{' and '.join(hosts)} refuses keys it does not know"
        resting += refusing
    if row.topic == "operation" and row.subject.startswith("other"):
        breaks = Breaks.NOTED
    told = [cell.evidence.confidence for cell in resting if cell.said is Said.YES]
    what = reason.what.format(subject=_called(row, rows), aspect=WORDS.get(row.aspect, row.aspect))
    return Difference(
        row=row,
        breaks=_SUBJECTS.get((row.topic, row.subject), breaks),
        says=f"{what}: {sides(row)} ({why}).",
        confidence=max(told, key=list(Confidence).index),
    )


def _called(row: Row, rows: Iterable[Row]) -> str:
    """What a parameter is called: as a host spells it, where the model has no word of its own for it."""
    offered = (r for r in rows if (r.topic, r.subject, r.aspect) == (row.topic, row.subject, "offered"))
    shown = (cell.shown for other in offered for cell in other.cells if cell.said is Said.YES)
    return next((name for name in shown if re.sub(r"[^a-z0-9.]", "", name.lower()) == row.subject), row.subject)


def sides(row: Row) -> str:
    """What each host says, hosts of one mind together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for cell in row.cells:
        if cell.said is not Said.APART:
            groups.setdefault((cell.shown, text(cell.value)), []).append(cell.endpoint.partition("/")[0])
    return "; ".join(f"{shown} at {' and '.join(hosts)}" for (shown, _), hosts in groups.items())


def _refusing(row: Row, rows: Iterable[Row]) -> tuple[Cell, ...]:
    """Which of the hosts that lack a parameter refuse a request that carries it."""
    lacking = {cell.endpoint for cell in row.cells if cell.said is Said.NOT}
    return tuple(
        cell
        for other in rows
        if (other.topic, other.aspect) == ("operation", "unknown fields")
        for cell in other.cells
        if cell.endpoint in lacking and cell.said is Said.YES and cell.value == "refused"
    )


WORDS: Mapping[str, str] = {
    "minimum": "smallest value",
    "maximum": "largest value",
    "exclusiveMinimum": "lower bound, itself not taken",
    "exclusiveMaximum": "upper bound, itself not taken",
    "multipleOf": "step",
    "minLength": "shortest text",
    "maxLength": "longest text",
    "minItems": "fewest items",
    "maxItems": "most items",
    "uniqueItems": "whether items may repeat",
    "job.id": "the job's id",
    "job.state": "the state",
    "job.cost": "the cost",
    "job.error": "the reason of a failure",
    "output.url": "the picture's address",
}
"""Aspects in words."""


# -------------------------------------------------------------------------------------------- cost


def _plain_job(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """One output from one of each medium that some host wants."""
    job: dict[str, Any] = {}
    for endpoint in endpoints:
        for parameter in endpoint.parameters.values():
            known = endpoint.model.parameters.get(parameter.canonical or "")
            if known and known.kind == "media" and parameter.required:
                job[known.name] = 1
    counts = (c.name for c in endpoints[0].model.parameters.values() if c.kind == "count")
    return job | dict.fromkeys(counts, 1)


def _cost(endpoint: Endpoint, job: Mapping[str, Any], currency: str) -> Cost:
    values: dict[str, Any] = {}
    for name, wanted in job.items():
        parameter = by_canonical(endpoint, name)
        if parameter is not None:
            listed = parameter.schema.get("type") == "array" and isinstance(wanted, int)
            values[parameter.name] = ["medium"] * wanted if listed else wanted
    money, price = price_of(endpoint, values), endpoint.price
    if money is None or price is None:
        return Cost(
            endpoint=endpoint.name,
            money=None,
            normalised=None,
            evidence=Evidence(confidence=Confidence.UNKNOWN),
            where=endpoint.where,
        )
    rate = price.rate.get(currency)
    same = money.unit == currency
    return Cost(
        endpoint=endpoint.name,
        money=money,
        normalised=money if same else Money(money.amount * rate, currency) if rate is not None else None,
        evidence=price.evidence,
        rate_evidence=None if same or rate is None else price.rate_evidence,
        where=price.where,
    )


# ---------------------------------------------------------------------------------------- measured


def _checked(endpoints: Sequence[Endpoint], runs: Iterable[Run]) -> Iterator[Checked]:
    last: dict[str, tuple[Run, Verdict]] = {}
    for run in sorted(runs, key=lambda run: run.started):
        last |= {verdict.endpoint: (run, verdict) for verdict in run.verdicts}
    for endpoint in endpoints:
        if endpoint.name in last:
            yield _check(*last[endpoint.name])


def _check(run: Run, verdict: Verdict) -> Checked:
    severities = [finding.severity for finding in verdict.findings]
    summary = verdict.summary
    whole = summary.spent is not None and summary.jobs and not summary.unknown_spend
    return Checked(
        endpoint=verdict.endpoint,
        run=run.id,
        command=run.command,
        target=run.target,
        verdict=str(outcome(run, verdict)),
        violations=severities.count(Severity.VIOLATION),
        questions=severities.count(Severity.QUESTION),
        seen=sum(cover.seen for cover in verdict.coverage),
        facts=len(verdict.coverage),
        jobs=summary.jobs,
        per_job=Money(round(summary.spent.amount / Decimal(summary.jobs), 6), summary.spent.unit)
        if whole and summary.spent
        else None,
    )


def _timed(endpoints: Sequence[Endpoint], loads: Iterable[Mapping[str, Any]]) -> Iterator[Timed]:
    ordered = sorted(loads, key=lambda summary: str(summary.get("started") or ""))
    last = {name: (summary, numbers) for summary in ordered for name, numbers in summary["endpoints"].items()}
    for endpoint in endpoints:
        if endpoint.name in last:
            summary, numbers = last[endpoint.name]
            costs = [f"{one['per_image']} {one['unit']}" for one in numbers["money"] if one.get("per_image")]
            yield Timed(
                endpoint=endpoint.name,
                run=str(summary.get("id") or ""),
                target=str(summary.get("target") or ""),
                health=str(summary["health"]["verdict"]),
                jobs=numbers["jobs"],
                completion=numbers["completion"],
                success_rate=numbers["success_rate"],
                per_image=" + ".join(costs) or "unknown",
            )


def _notes(endpoint: Endpoint) -> Iterator[Note]:
    for gap in (*endpoint.gaps, *endpoint.provider.gaps):
        yield Note(endpoint=endpoint.name, name=gap.name, says=gap.says, evidence=gap.evidence, where=gap.where)
    for example in endpoint.examples:
        if example.breaks:
            broken = ", ".join(example.breaks)
            says = f"The sample {example.name} breaks its own page ({broken}). {example.says}".strip()
            yield Note(
                endpoint=endpoint.name,
                name=f"sample-{example.name}",
                says=says,
                evidence=example.evidence,
                where=example.where,
            )


# ---------------------------------------------------------------------------------------- document

VERSION = 1
"""Goes up when a reader of the document would have to change."""


def document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain values; `specs/schema/comparison.schema.json` describes it. Money is text, exact."""
    return {
        "format": "wireproof-comparison",
        "format_version": VERSION,
        "command": "compare",
        "findings": [],
        "model": comparison.model,
        "title": comparison.title,
        "capability": comparison.capability,
        "endpoints": list(comparison.endpoints),
        "workload": dict(comparison.workload),
        "currency": comparison.currency,
        "differences": [_difference_document(one) for one in comparison.differences],
        "rows": [_row_document(row) for row in comparison.rows],
        "costs": [_cost_document(cost) for cost in comparison.costs],
        "checked": [_checked_document(one) for one in comparison.checked],
        "timed": [_timed_document(one) for one in comparison.timed],
        "notes": [
            {
                "endpoint": n.endpoint,
                "name": n.name,
                "says": n.says,
                **_proof(n.evidence),
                "where": _where(n.where),
            }
            for n in comparison.notes
        ],
    }


def _difference_document(one: Difference) -> dict[str, Any]:
    return {
        "breaks": one.breaks.value,
        "says": one.says,
        "confidence": one.confidence.value,
        **_row_document(one.row),
    }


def _row_document(row: Row) -> dict[str, Any]:
    return {
        "topic": row.topic,
        "subject": row.subject,
        "aspect": row.aspect,
        "differs": row.differs,
        "cells": [_cell_document(cell) for cell in row.cells],
    }


def _cell_document(cell: Cell) -> dict[str, Any]:
    told = cell.said in (Said.YES, Said.UNKNOWN) and bool(cell.where.file)
    return {
        "endpoint": cell.endpoint,
        "said": cell.said.value,
        "shown": cell.shown,
        "value": cell.value if cell.said is Said.YES else None,
        **_proof(cell.evidence if told else Evidence(confidence=Confidence.UNKNOWN)),
        "where": _where(cell.where),
    }


def _proof(evidence: Evidence) -> dict[str, Any]:
    return {
        "confidence": evidence.confidence.value,
        "source": evidence.source,
        "read": evidence.read,
        "note": evidence.note,
        "rivals": [_rival(rival) for rival in evidence.rivals],
    }


def _rival(rival: Rival) -> dict[str, Any]:
    return {"value": rival.value, "source": rival.source}


def _where(where: Where) -> dict[str, Any] | None:
    return {"file": where.file, "line": where.line, "pointer": where.pointer} if where.file else None


def _money(money: Money | None) -> dict[str, str] | None:
    return None if money is None else {"amount": plain(money.amount), "unit": money.unit}


def _cost_document(cost: Cost) -> dict[str, Any]:
    return {
        "endpoint": cost.endpoint,
        "money": _money(cost.money),
        "normalised": _money(cost.normalised),
        **_proof(cost.evidence),
        "rate": _proof(cost.rate_evidence) if cost.rate_evidence else None,
        "where": _where(cost.where),
    }


def _checked_document(one: Checked) -> dict[str, Any]:
    return {
        "endpoint": one.endpoint,
        "run": one.run,
        "command": one.command,
        "target": one.target,
        "verdict": one.verdict,
        "violations": one.violations,
        "questions": one.questions,
        "seen": one.seen,
        "facts": one.facts,
        "jobs": one.jobs,
        "per_job": _money(one.per_job),
    }


def _timed_document(one: Timed) -> dict[str, Any]:
    return {
        "endpoint": one.endpoint,
        "run": one.run,
        "target": one.target,
        "health": one.health,
        "jobs": one.jobs,
        "completion": {name: dict(estimate) for name, estimate in one.completion.items()},
        "success_rate": dict(one.success_rate),
        "per_image": one.per_image,
    }


RENDERERS: tuple[str, ...] = ("text", "md", "html", "json")


def render(comparison: Comparison, form: str = "text") -> str:
    """The comparison as `text`, `md`, `html` or `json`. Raises UsageError for another form."""
    from wireproof.report import comparison as shown
    from wireproof.report.plain import document as written

    told = document(comparison)
    forms: Mapping[str, Callable[[], str]] = {
        "text": lambda: shown.plain(told),
        "md": lambda: shown.markdown(told),
        "html": lambda: shown.html(told),
        "json": lambda: written(told, indent=2) + "\n",
    }
    if form not in forms:
        raise UsageError(f"a comparison has no form {form!r}; there are {', '.join(RENDERERS)}")
    return forms[form]()
