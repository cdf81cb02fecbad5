"""A load run on a terminal: the verdict, the numbers with what they are worth, and what they cost."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wireproof.secrets import printable

_SIGNS = {"held": ("✓", "green"), "missed": ("✗", "red"), "undecided": ("?", "yellow")}
_HEALTH = {"valid": "green", "degraded": "yellow", "invalid": "red"}


def render(summary: Mapping[str, Any], width: int = 100) -> str:
    """The same as plain text without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False)
    show(summary, console)
    written = console.file
    assert isinstance(written, io.StringIO)  # we handed it in
    return "\n".join(row.rstrip() for row in written.getvalue().split("\n"))


def show(summary: Mapping[str, Any], console: Console) -> None:
    """Print the summary of a load run, or the quote of a dry one."""
    _print(_quote(summary) if summary.get("dry_run") else _run(summary, console), console)


def show_quote(summary: Mapping[str, Any], console: Console) -> None:
    """Print what a plan would cost: its jobs, its money at worst, its calls against the hosts' limits."""
    _print(_quote(summary), console)


def _print(parts: Iterable[Text | Table], console: Console) -> None:
    for part in parts:
        console.print(part, highlight=False, markup=False, emoji=False)


def _run(summary: Mapping[str, Any], console: Console) -> Iterator[Text | Table]:
    health = summary["health"]
    yield Text.assemble(
        (printable(str(summary["plan"])), "bold"),
        f" · {summary['jobs']} jobs in {summary['seconds']:.1f} s · generator ",
        (health["verdict"], _HEALTH[health["verdict"]]),
        f" · stopped: {printable(summary['stopped'])}" if summary["stopped"] else "",
    )
    for reason in health["reasons"]:
        if reason["health"] != "valid":
            yield Text(f"  {reason['what']}: {reason['says']}", _HEALTH[reason["health"]])
    table = _numbers(summary)
    whole = console.measure(table, options=console.options.update(width=1000)).maximum
    yield from [table] if whole <= console.width else _narrow(summary)
    yield from _too_few(summary)
    yield from _cold(summary)
    yield from _troubles(summary)
    yield from _answers(summary)
    yield from _compared(summary["differences"])
    if "search" in summary:
        yield Text(f"  highest {summary['search']['by']} under which all was held: {summary['search']['highest']}")


_TIMES = (*(("completion", p, p) for p in ("p50", "p90", "p95", "p99")), ("naive", "p50", "naive p50"))
"""Family, quantile and what its column is called."""


def _numbers(summary: Mapping[str, Any]) -> Table:
    """One row an endpoint; a quantile that no endpoint has jobs enough for has no column."""
    rows = summary["endpoints"].items()
    shown = _shown(summary)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("endpoint", "good", *(name for _, _, name in shown), "calls/job", "per image"):
        table.add_column(name, justify="left" if name == "endpoint" else "right", no_wrap=True)
    for name, numbers in rows:
        times = [_time(numbers[family].get(p)) for family, p, _ in shown]
        table.add_row(printable(name), _good(numbers), *times, _calls(numbers), _cost(numbers))
    return table


def _shown(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The times that some endpoint has jobs enough for."""
    rows = summary["endpoints"].values()
    return [(family, p, name) for family, p, name in _TIMES if any(_told(n[family].get(p)) for n in rows)]


def _narrow(summary: Mapping[str, Any]) -> Iterator[Text]:
    """The same as lines, for a terminal that has no room for the table."""
    for name, numbers in summary["endpoints"].items():
        yield Text(printable(f"{name}: {_good(numbers)} good, {_calls(numbers)} calls/job, {_cost(numbers)} per image"))
        times = (f"{title} {_time(numbers[family].get(p))}" for family, p, title in _shown(summary))
        yield Text(f"  {', '.join(times)}")


def _good(numbers: Mapping[str, Any]) -> str:
    return f"{numbers['outcomes'].get('succeeded', 0)}/{numbers['jobs']}"


def _calls(numbers: Mapping[str, Any]) -> str:
    return "-" if numbers["calls_per_job"] is None else f"{numbers['calls_per_job']:.1f}"


def _too_few(summary: Mapping[str, Any]) -> Iterator[Text]:
    """Which quantiles no endpoint has jobs enough for, and how many they need."""
    rows = [numbers["completion"] for numbers in summary["endpoints"].values()]
    lacking = [p for family, p, _ in _TIMES if family == "completion" and not any(_told(row.get(p)) for row in rows)]
    known = {p: row[p] for row in rows for p in lacking if p in row}
    needs = [str(known[p].get("withheld", "")).partition(",")[0] for p in known]
    if any(needs):
        most = max(row[p]["n"] for row in rows for p in lacking if p in row)
        yield Text(printable(f"  not told: {', '.join(filter(None, needs))}; there are at most {most}"), "dim")


def _cold(summary: Mapping[str, Any]) -> Iterator[Text]:
    """The jobs that may have met a cold host, apart from the others."""
    for name, numbers in summary["endpoints"].items():
        cold, warm = numbers["warmth"]["cold"], numbers["warmth"]["warm"]
        if cold["jobs"] and warm["jobs"]:
            within = "not all done" if cold["within"] is None else f"done within {cold['within']:.2f} s"
            sides = [f"cold {cold['jobs']} ({within}{_median(cold)})", f"warm {warm['jobs']}{_median(warm)}"]
            yield Text(printable(f"  {name}: {', '.join(sides)}"), "dim")


def _median(side: Mapping[str, Any]) -> str:
    found = side["completion"].get("p50")
    return f", p50 {_time(found)}" if _told(found) else ""


def _told(found: Mapping[str, Any] | None) -> bool:
    return found is not None and found["value"] is not None


def _time(found: Mapping[str, Any] | None) -> str:
    """`1.52 (1.40-1.66)` s, or a dash where the sample is too small."""
    if not found or found["value"] is None:
        return f"n={found['n']}" if found else "-"
    high = "…" if found["high"] is None else f"{found['high']:.2f}"
    return f"{found['value']:.2f} ({found['low']:.2f}-{high})"


def _cost(numbers: Mapping[str, Any]) -> str:
    return " + ".join(f"{one['per_image'] or '?'} {one['unit']}" for one in numbers["money"]) or "-"


def _troubles(summary: Mapping[str, Any]) -> Iterator[Text]:
    for name, numbers in summary["endpoints"].items():
        if numbers["problems"]:
            told = ", ".join(f"{printable(problem)} {count}" for problem, count in numbers["problems"].items())
            yield Text(f"  {printable(name)}: {told}", "yellow")
        if numbers["withheld"] or numbers["dropped"]:
            yield Text(
                f"  {printable(name)}: never sent {numbers['dropped']} (late), {numbers['withheld']} (budget)", "yellow"
            )
        for one in numbers["money"]:
            if one["reconciled"]["agreement"] in ("explained", "unexplained"):
                yield Text(f"  {printable(name)}: {one['reconciled']['says']}", "yellow")


def _answers(summary: Mapping[str, Any]) -> Iterator[Text]:
    for one in summary["thresholds"]:
        sign, colour = _SIGNS[one["answer"]]
        yield Text.assemble((f"  {sign} ", colour), printable(f"{one['endpoint']}: {one['demand']}: {one['says']}"))


def _compared(differences: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    """What was found between hosts of one model; all that was not, in one line with what it would take."""
    for one in (d for d in differences if d["value"] is not None):
        yield Text(printable(f"  {_difference(one)}"), "" if one["significant"] else "dim")
    lacking = [d for d in differences if d["value"] is None]
    if lacking:
        hosts = sorted({name for d in lacking for name in (d["a"], d["b"])})
        wants = sorted({d["withheld"].partition(", there are")[0] for d in lacking})
        there = min(d["blocks"] for d in lacking)
        told = f"not compared: {', '.join(hosts)}: {'; '.join(wants)}; the smallest pair has {there}"
        yield Text(printable(f"  {told}"), "dim")


def _difference(one: Mapping[str, Any]) -> str:
    if one["measure"] == "faster":
        return f"{one['a']} is done before {one['b']} in {one['value']:.0%} of blocks"
    word = "longer" if one["value"] > 0 else "shorter"
    known = "" if one["low"] is None else f" (95 % {one['low']:+.2f} to {one['high']:+.2f})"
    sure = "" if one["significant"] else ", not significant"
    return f"{one['a']} takes {abs(one['value']):.2f} s {word} than {one['b']} at {one['measure']}{known}{sure}"


def _quote(summary: Mapping[str, Any]) -> Iterator[Text | Table]:
    yield Text.assemble(
        (printable(str(summary["plan"])), "bold"),
        f" · {summary['jobs']} jobs in {summary['seconds']:g} s · at worst {_amounts(summary['worst_cost'])}",
    )
    yield _shares(summary)
    for name, share in summary["endpoints"].items():
        for limit in share["over_limits"]:
            yield Text(printable(f"  {name}: over the declared limit {limit}"), "yellow")
    widths = summary["precision"].items()
    told = ", ".join(f"{name} " + ("too few jobs" if w is None else f"±{w:.0%} at best") for name, w in widths)
    yield Text(f"  will be known of each endpoint: {told}", "dim")
    if not summary["covered"]:
        yield Text("  the budget does not cover this", "red")


def _shares(summary: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("endpoint", "jobs", "at worst", "polls/job", "calls/min"):
        table.add_column(name, justify="left" if name == "endpoint" else "right", no_wrap=True)
    for name, share in summary["endpoints"].items():
        worst = _amounts([share["worst_cost"]] if share["worst_cost"] else [])
        polls, calls = f"{share['polls_per_job']:.1f}", f"{share['calls_per_minute']:.0f}"
        table.add_row(printable(name), str(share["jobs"]), worst, polls, calls)
    return table


def _amounts(costs: Sequence[Mapping[str, str]]) -> str:
    return " + ".join(f"{one['amount']} {one['unit']}" for one in costs) or "unknown"
