"""A comparison as text, Markdown and a page: functions of its JSON document alone. Nothing is fetched or judged."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from wireproof.report.markdown import prose
from wireproof.report.plain import cut, line
from wireproof.report.sheet import sheet

Document = Mapping[str, Any]

BREAKS = ("refused", "changed", "handled", "renamed", "noted")
MEANING = {
    "refused": "a request that works at one host is refused by another",
    "changed": "the same request is taken, with another result, cost or check",
    "handled": "replies, states or problems have to be handled otherwise",
    "renamed": "the same under another name or address",
    "noted": "good to know",
}
METHOD = (
    "Every statement is a fact of a contract, with the line it stands on.",
    "Parameters are compared under the model's own names and values.",
    "A fact that a host's documents leave open is unknown: it counts neither as a difference nor as an agreement.",
    "documented: the host's documents say so.",
    "sample, sdk: seen in the host's samples, or relied on by its client.",
    "inferred: concluded by us, or told by others.",
    "disputed: the sources contradict one another.",
    *(f"{word}: {says}." for word, says in MEANING.items()),
)
_STYLE = {"refused": "red", "changed": "yellow", "handled": "cyan", "renamed": "magenta", "noted": "dim"}
_CELL = 300
_MOST = 40
"""How many differences of one kind are told on a terminal before they are counted."""


# ---------------------------------------------------------------------------------------- in words


def headline(told: Document) -> str:
    """What the comparison amounts to, in one sentence."""
    hosts = [name.partition("/")[0] for name in told["endpoints"]]
    counts = ", ".join(
        f"{len(found)} {word}" for word in BREAKS if (found := [d for d in told["differences"] if d["breaks"] == word])
    )
    return f"{told['title']} at {', '.join(hosts)}: {counts or 'no differences'}"


def workload(told: Document) -> str:
    """The job that is priced."""
    parts = [f"{name} = {value}" for name, value in told["workload"].items()]
    return f"one job with {', '.join(parts)}" if parts else "one job with every default"


def money(amount: Mapping[str, str] | None, missing: str = "unknown") -> str:
    """An amount with its unit."""
    return f"{amount['amount']} {amount['unit']}" if amount else missing


def where(place: Mapping[str, Any] | None) -> str:
    """`file:line`, from the specs room on; empty when it stands nowhere."""
    if not place:
        return ""
    _, room, inside = str(place["file"]).rpartition("specs/")
    return f"{room}{inside}:{place['line']}"


def doubt(cost: Mapping[str, Any]) -> str:
    """Why the price is not certain; empty when it is."""
    words = [] if cost["confidence"] == "documented" else [f"price {cost['confidence']}"]
    if cost["money"] and not cost["normalised"]:
        words.append("nobody says what the unit is worth")
    if cost["rate"] and cost["rate"]["confidence"] != "documented":
        words.append(f"rate {cost['rate']['confidence']}: {cost['rate']['note']}".rstrip(": "))
    return "; ".join(words)


def unknown(told: Document) -> Iterator[str]:
    """One sentence for each fact that some host leaves open and another one states."""
    for row in told["rows"]:
        open_, said = ([c for c in row["cells"] if c["said"] == word] for word in ("unknown", "yes"))
        idle = row["topic"] == "access" or row["subject"].startswith("rate in ")
        if open_ and said and not idle:
            others = "; ".join(f"{cell['shown']} at {_host(cell)}" for cell in said)
            fact = " ".join(filter(None, (row["topic"], row["subject"], _aspect(row))))
            yield f"{fact}: unknown at {' and '.join(map(_host, open_))} ({others})"


def _host(cell: Mapping[str, Any]) -> str:
    return str(cell["endpoint"]).partition("/")[0]


def _aspect(row: Mapping[str, Any]) -> str:
    return "" if row["aspect"] == "is" else str(row["aspect"])


HEAD = (
    "host",
    "verdict",
    "violations",
    "facts exercised",
    "cost per job",
    "done by half (p50)",
    "done by 95 % (p95)",
    "good of all jobs",
    "cost per good picture",
    "target",
)


def measured(told: Document) -> Iterator[tuple[str, ...]]:
    """A row of `HEAD` for each host that a run looked at."""
    checked = {one["endpoint"]: one for one in told["checked"]}
    timed = {one["endpoint"]: one for one in told["timed"]}
    for name in told["endpoints"]:
        check, time = checked.get(name), timed.get(name)
        if check or time:
            yield (
                name,
                *(_checked(check) if check else _GAP),
                *(_timed(time) if time else _GAP),
                _targets(check, time),
            )


_GAP = ("not measured",) * 4


def _checked(check: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        check["verdict"],
        str(check["violations"]),
        f"{check['seen']} of {check['facts']}",
        money(check["per_job"]),
    )


def _timed(time: Mapping[str, Any]) -> tuple[str, ...]:
    valid = "" if time["health"] == "valid" else f" (generator {time['health']})"
    completion = [estimate(time["completion"].get(name), "s") + valid for name in ("p50", "p95")]
    return (*completion, share(time["success_rate"]), time["per_image"])


def _targets(*found: Mapping[str, Any] | None) -> str:
    return ", ".join(dict.fromkeys(one["target"] for one in found if one))


def estimate(found: Mapping[str, Any] | None, unit: str) -> str:
    """A value with its interval, or why it is withheld."""
    if not found:
        return "not measured"
    if found.get("value") is None:
        return f"withheld: {found.get('withheld', 'too few')}"
    between = f" ({_number(found.get('low'))} to {_number(found.get('high'))})"
    return f"{found['value']:.3g} {unit}".rstrip() + between


def share(found: Mapping[str, Any] | None) -> str:
    """A share of one in percent, with its interval, or why it is withheld."""
    if not found or found.get("value") is None:
        return estimate(found, "")
    percent = {name: 100 * found[name] for name in ("value", "low", "high") if found.get(name) is not None}
    return estimate({**found, **percent}, "%")


def across(told: Document) -> tuple[Sequence[str], list[Sequence[str]]]:
    """What was measured with a column for each host: the names, and a row for each measure."""
    rows = list(measured(told))
    names = ("", *(row[0] for row in rows))
    return names, list(zip(*(HEAD[1:], *(row[1:] for row in rows)), strict=True)) if rows else []


def _number(value: float | None) -> str:
    return "…" if value is None else f"{value:.3g}"


def topics(told: Document) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The rows by topic, those that differ first."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for row in told["rows"]:
        grouped.setdefault(row["topic"], []).append(row)
    for topic, rows in grouped.items():
        yield topic, sorted(rows, key=lambda row: not row["differs"])


# ---------------------------------------------------------------------------------------- terminal


def terminal(told: Document) -> RenderableType:
    """For a terminal: prices, measurements, differences, what is unknown."""
    parts: list[RenderableType] = [
        Text(line(headline(told)), "bold"),
        Text(line(f"Priced: {workload(told)}."), "dim"),
        _prices(told),
    ]
    names, rows = across(told)
    if rows:
        parts += [Text(), _grid(names, rows)]
    for word in BREAKS:
        found = [one for one in told["differences"] if one["breaks"] == word]
        if found:
            parts += [Text(), Text(f"{word}: {MEANING[word]}", f"bold {_STYLE[word]}")]
            parts += [_bullet(one["says"], one["confidence"]) for one in found[:_MOST]]
        if len(found) > _MOST:
            parts.append(Text(f"  and {len(found) - _MOST} more"))
    open_ = list(unknown(told))
    if open_:
        parts += [Text(), Text("unknown: nobody says", "bold")]
        parts += [_bullet(says, "") for says in open_]
    return Group(*parts)


def _bullet(says: str, confidence: str) -> Text:
    sure = f" [{confidence}]" if confidence and confidence != "documented" else ""
    return Text.assemble(("  - ", "dim"), cut(line(says), _CELL * 2), (sure, "dim"))


def _prices(told: Document) -> Table:
    rows = [
        (c["endpoint"], money(c["money"], "no price"), money(c["normalised"]), doubt(c), where(c["where"]))
        for c in told["costs"]
    ]
    return _grid(("host", "price", f"in {told['currency']}", "doubt", "where"), rows)


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(line(cell)) for cell in row))
    return table


def plain(told: Document) -> str:
    """The same as plain text, 120 columns wide, without colours."""
    console = Console(file=io.StringIO(), width=120, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(terminal(told))
    written = console.file
    assert isinstance(written, io.StringIO)  # we handed it in
    return "\n".join(row.rstrip() for row in written.getvalue().split("\n"))


# ---------------------------------------------------------------------------------------- Markdown


def markdown(told: Document) -> str:
    """GitHub-flavoured Markdown; foreign text is escaped."""
    return "\n".join(_markdown(told)).rstrip("\n") + "\n"


def _markdown(told: Document) -> Iterator[str]:
    yield f"# {prose(headline(told))}\n"
    yield f"Priced: {prose(workload(told))}.\n"
    yield from _table(
        ("Host", "Price", f"In {told['currency']}", "Doubt", "Where"),
        (
            (
                c["endpoint"],
                money(c["money"], "no price"),
                money(c["normalised"]),
                doubt(c),
                where(c["where"]),
            )
            for c in told["costs"]
        ),
    )
    names, rows = across(told)
    if rows:
        yield "## Measured\n"
        yield from _table(names, rows)
    yield "## What breaks for somebody who switches\n"
    yield from _table(
        ("Breaks", "What", "Confidence", "Where"),
        ((d["breaks"], d["says"], d["confidence"], _places(d)) for d in told["differences"]),
    )
    yield "## Everything the contracts say\n"
    for topic, found in topics(told):
        yield f"### {prose(topic)}\n"
        yield from _table(
            ("Fact", *told["endpoints"], "Differs"),
            (
                (
                    f"{r['subject']} {_aspect(r)}",
                    *(c["shown"] for c in r["cells"]),
                    "yes" if r["differs"] else "",
                )
                for r in found
            ),
        )
    yield "## What nobody says\n"
    yield from (f"- {prose(cut(says, _CELL))}" for says in unknown(told))
    yield "\n## Contradictions and gaps of the hosts' own documents\n"
    yield from (f"- **{prose(n['endpoint'])}**: {prose(n['says'])} ({prose(where(n['where']))})" for n in told["notes"])
    yield "\n## Method\n"
    yield from (f"- {prose(says)}" for says in METHOD)


def _places(difference: Mapping[str, Any]) -> str:
    return ", ".join(dict.fromkeys(filter(None, (where(cell["where"]) for cell in difference["cells"]))))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(map(prose, head)) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(prose(cut(cell, _CELL)) for cell in row) + " |"
    yield ""


# -------------------------------------------------------------------------------------------- page


def html(told: Document) -> str:
    """One self-contained page without a script; templates come from the nearest `reports/templates`."""
    return sheet("compare.html.j2", _page(told), styles=("run.css", "compare.css"))


def _page(told: Document) -> dict[str, Any]:
    names, rows = across(told)
    return {
        "title": line(told["title"]),
        "headline": line(headline(told).partition(": ")[0]) if told["differences"] else line(headline(told)),
        "counts": [
            {"breaks": word, "count": count, "means": MEANING[word]}
            for word in BREAKS
            if (count := sum(1 for one in told["differences"] if one["breaks"] == word))
        ],
        "facts": [
            f"{len(told['endpoints'])} hosts",
            line(str(told["capability"])),
            f"{len(told['rows'])} facts",
            f"{len(told['differences'])} differences",
        ],
        "endpoints": [line(name) for name in told["endpoints"]],
        "workload": line(workload(told)),
        "hosts": [_card(told, cost) for cost in told["costs"]],
        "measured": {"head": [line(name) for name in names], "rows": [[line(cell) for cell in row] for row in rows]},
        "differences": [_shown(one) for one in told["differences"]],
        "topics": [(topic, [_row(row) for row in rows]) for topic, rows in topics(told)],
        "unknown": [cut(line(says), _CELL) for says in unknown(told)],
        "notes": [
            {"endpoint": line(n["endpoint"]), "says": line(n["says"]), "where": line(where(n["where"]))}
            for n in told["notes"]
        ],
        "method": METHOD,
    }


def _card(told: Document, cost: Mapping[str, Any]) -> dict[str, Any]:
    provider, _, model = line(cost["endpoint"]).partition("/")
    return {
        "provider": provider,
        "model": model,
        "price": line(money(cost["money"], "no price stated")),
        "normalised": ("about " if doubt(cost) and cost["normalised"] else "")
        + line(money(cost["normalised"], f"unknown in {told['currency']}")),
        "doubt": line(doubt(cost)),
        "where": line(where(cost["where"])),
    }


def _shown(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "breaks": one["breaks"],
        "says": cut(line(one["says"]), _CELL * 2),
        "confidence": one["confidence"],
        "name": line(f"{one['topic']} {one['subject']} {_aspect(one)}"),
        "cells": [_cell(cell) for cell in one["cells"]],
    }


def _cell(cell: Mapping[str, Any]) -> dict[str, str]:
    rivals = "; ".join(f"{rival['value']} says {rival['source']}" for rival in cell["rivals"])
    told = cell["said"] in ("yes", "unknown") and cell["where"]
    sure = str(cell["confidence"]) if told else ""
    place = line(where(cell["where"]))
    return {
        "endpoint": line(cell["endpoint"]),
        "said": cell["said"],
        "shown": cut(line(cell["shown"]), _CELL),
        "confidence": sure,
        "where": place,
        "note": line(" ".join(filter(None, (cell["note"], f"Rivals: {rivals}." if rivals else "")))),
        "trail": " ".join(filter(None, ("" if sure == "documented" else sure, place))),
    }


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "subject": line(row["subject"]),
        "aspect": line(_aspect(row)),
        "differs": row["differs"],
        "tone": "differs" if row["differs"] else "same",
        "cells": [_cell(cell) for cell in row["cells"]],
    }
