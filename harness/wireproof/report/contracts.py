"""Contracts in words: what there is, what one says, what lint found, what a run would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wireproof.model import Confidence, Endpoint, Finding, Operation, Parameter, Severity
from wireproof.money import Money, plain
from wireproof.secrets import printable

_HUES = {Severity.VIOLATION: "bold red", Severity.DRIFT: "yellow", Severity.QUESTION: "cyan"}


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def listing(endpoints: Sequence[Endpoint]) -> RenderableType:
    """One line for each endpoint."""
    table = _table("endpoint", "model", "does", "parameters", "price", "contract")
    for endpoint in endpoints:
        table.add_row(
            Text(endpoint.name, "bold"),
            endpoint.model.title,
            endpoint.model.capability,
            str(len(endpoint.parameters)),
            price_words(endpoint),
            endpoint.where.file,
        )
    return table


def price_words(endpoint: Endpoint) -> str:
    """The price of one job as a person would say it."""
    price = endpoint.price
    if price is None:
        return "not stated"
    parts = []
    for term in price.terms:
        what = {"request": "a job", "output": "a result"}.get(term.per, f"each of {term.of}")
        further = f" beyond the first {term.beyond}" if term.beyond > 1 else " beyond the first" if term.beyond else ""
        parts.append(f"{plain(term.amount)} {price.unit} {what}{further}")
    doubt = "" if price.evidence.binds else f" ({price.evidence.confidence.value})"
    return " + ".join(parts) + doubt


def page(endpoint: Endpoint) -> RenderableType:
    """Everything one contract says, for a person."""
    provider = endpoint.provider
    kept, poll = provider.retention, provider.poll
    head = Text.assemble(
        (f"{endpoint.name}\n", "bold"),
        f"{endpoint.title}: {endpoint.model.title}, {endpoint.model.capability}\n",
        (f"contract {endpoint.where.file} over {provider.where.file}\n", "dim"),
        f"price     {price_words(endpoint)}\n",
        f"key       {provider.auth.header}: {provider.auth.prefix}${provider.auth.env}\n",
        f"kept      job {_span(kept.record.seconds)}, picture {_span(kept.media.seconds)}\n",
        f"polling   every {_span(poll.every.seconds)}, given up after {_span(poll.deadline.seconds)}\n",
    )
    return Group(
        head,
        _parameters(endpoint),
        Text(),
        _operations(endpoint),
        Text(),
        _states(endpoint),
        Text(),
        _problems(endpoint),
        Text(),
    )


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "for a time nobody states"
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size or seconds == size:
            return f"{seconds / size:g} {unit if seconds != size else unit[:-1]}"
    return f"{seconds:g} s"


def _parameters(endpoint: Endpoint) -> Table:
    table = _table("parameter", "takes", "default", "is", "known from")
    for parameter in endpoint.parameters.values():
        name = Text(parameter.name, "bold" if parameter.required else "")
        name.append(" *" if parameter.required else "")
        default = "" if not parameter.has_default else _value(parameter.default)
        table.add_row(name, takes(parameter), default, parameter.canonical or "", _proof(parameter))
    return table


def _proof(parameter: Parameter) -> str:
    doubts = sorted({f"{key} {proof.confidence.value}" for key, proof in parameter.facts.items() if not proof.binds})
    own = parameter.evidence.confidence
    return ", ".join(([own.value] if own is not Confidence.DOCUMENTED else []) + doubts) or "documented"


def takes(parameter: Parameter) -> str:
    """What a parameter takes, in a few words."""
    schema = parameter.schema
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return " | ".join(_value(value) for value in schema["enum"])
    kind = schema.get("type", "anything")
    words = kind if isinstance(kind, str) else " or ".join(kind)
    if isinstance(schema.get("items"), Mapping):
        words = f"list of {schema['items'].get('type', 'anything')}"
    return (
        words + "".join(_bounds(schema)) + (f", only with {_condition(parameter.matters)}" if parameter.matters else "")
    )


def _bounds(schema: Mapping[str, Any]) -> Iterable[str]:
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        if low in schema or high in schema:
            yield f" {schema.get(low, '…')} to {schema.get(high, '…')}{unit}"
    if "format" in schema:
        yield f" ({schema['format']})"


def _condition(condition: Mapping[str, Any]) -> str:
    return " and ".join(f"{name} {_value(value)}" for name, value in condition.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " or ".join(map(_value, value))
    return printable(str(value)) if value != "" else '""'


def _operations(endpoint: Endpoint) -> Table:
    table = _table("operation", "call", "good answers", "says")
    for operation in endpoint.operations.values():
        table.add_row(operation.name, _call(endpoint, operation), _answers(operation), operation.says)
    return table


def _call(endpoint: Endpoint, operation: Operation) -> str:
    path = operation.request.path.replace("{model}", endpoint.slug).replace("{job.id}", "<id>")
    chosen = "".join(f", {name} {_value(value)}" for name, value in operation.request.select.items())
    return f"{operation.request.method} {path}{chosen}"


def _answers(operation: Operation) -> str:
    return ", ".join(f"{'/'.join(map(str, a.statuses))} {a.name}" for a in operation.alternatives)


def _states(endpoint: Endpoint) -> Table:
    table = _table("state", "means", "known from")
    for state in endpoint.provider.states.values():
        table.add_row(state.word, state.status.value, state.evidence.confidence.value)
    return table


def _problems(endpoint: Endpoint) -> Table:
    table = _table("error", "status", "try again", "billed", "says", "known from")
    for problem in endpoint.provider.problems.values():
        codes = " or ".join(map(str, problem.statuses)) + (f" {problem.code}" if problem.code else "")
        table.add_row(
            problem.kind.value, codes, problem.retry, problem.billed, problem.says, problem.evidence.confidence.value
        )
    return table


def linted(findings: Sequence[Finding]) -> RenderableType:
    """Findings of lint, one line each, by file and line."""
    lines = [_line(finding) for finding in sorted(findings, key=lambda f: (f.where.file, f.where.line, f.check))]
    counts = Counter(finding.severity for finding in findings)
    total = ", ".join(
        f"{counts[severity]} {severity.value}{'s' if counts[severity] != 1 else ''}"
        for severity in Severity
        if counts[severity]
    )
    return Group(*lines, Text(total or "nothing found", "dim"))


def _line(finding: Finding) -> Text:
    return Text.assemble(
        (f"{finding.where}: ", "bold"),
        (finding.severity.value, _HUES[finding.severity]),
        f" {finding.check} {printable(finding.says)}",
    )


Row = tuple[str, str, int, int, Money | None]
"""Endpoint, step, calls, jobs, price of a planned step."""


def planned(rows: Sequence[Row]) -> RenderableType:
    """What a run would do and cost."""
    table = _table("endpoint", "step", "calls at most", "jobs", "price")
    totals: dict[str, Money] = {}
    unknown = False
    for endpoint, step, calls, jobs, price in rows:
        table.add_row(endpoint, step, str(calls), str(jobs), str(price) if price else "unknown")
        unknown = unknown or price is None
        if price is not None:
            totals[price.unit] = totals[price.unit] + price if price.unit in totals else price
    told = " + ".join(str(total) for total in totals.values()) or "nothing"
    return Group(table, Text(f"\nat most {told}" + (", and what nobody knows" if unknown else ""), "bold"))
