"""A load run on a terminal: the verdict, the numbers with what they are worth, and what they cost."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
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
    for part in _quote(summary) if summary.get("dry_run") else _run(summary):
        console.print(part, highlight=False, markup=False, emoji=False)


def _run(summary: Mapping[str, Any]) -> Iterator[Text | Table]:
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
    yield _numbers(summary)
    yield from _troubles(summary)
    yield from _answers(summary)
    for one in summary["differences"]:
        yield Text(printable(f"  {_difference(one)}"), "" if one["significant"] else "dim")
    if "search" in summary:
        yield Text(f"  highest {summary['search']['by']} under which all was held: {summary['search']['highest']}")


def _numbers(summary: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("endpoint", "good", "p50", "p90", "p95", "p99", "naive p50", "calls/job", "per image"):
        table.add_column(name, justify="left" if name == "endpoint" else "right", no_wrap=name != "endpoint")
    for name, numbers in summary["endpoints"].items():
        times = [_time(numbers["completion"].get(p)) for p in ("p50", "p90", "p95", "p99")]
        good = f"{numbers['outcomes'].get('succeeded', 0)}/{numbers['jobs']}"
        naive = _time(numbers["naive"].get("p50"))
        calls = "-" if numbers["calls_per_job"] is None else f"{numbers['calls_per_job']:.1f}"
        table.add_row(printable(name), good, *times, naive, calls, _cost(numbers))
    return table


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


def _difference(one: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return f"{one['a']} against {one['b']}, {one['measure']}: {one['withheld']}"
    if one["measure"] == "faster":
        return f"{one['a']} is done before {one['b']} in {one['value']:.0%} of blocks"
    word = "longer" if one["value"] > 0 else "shorter"
    known = "" if one["low"] is None else f" (95 % {one['low']:+.2f} to {one['high']:+.2f})"
    sure = "" if one["significant"] else ", not significant"
    return f"{one['a']} takes {abs(one['value']):.2f} s {word} than {one['b']} at {one['measure']}{known}{sure}"


def _quote(summary: Mapping[str, Any]) -> Iterator[Text]:
    worst = " + ".join(f"{one['amount']} {one['unit']}" for one in summary["worst_cost"]) or "unknown"
    yield Text.assemble(
        (summary["plan"], "bold"), f" · {summary['jobs']} jobs in {summary['seconds']:g} s · at worst {worst}"
    )
    for name, share in summary["endpoints"].items():
        polls, calls = share["polls_per_job"], share["calls_per_minute"]
        yield Text(f"  {name}: {share['jobs']} jobs, {polls} polls each, {calls:g} calls a minute")
        for limit in share["over_limits"]:
            yield Text(f"    over the declared limit {limit}", "yellow")
    for name, width in summary["precision"].items():
        yield Text(
            f"  {name}: " + ("too few jobs to tell" if width is None else f"known to ±{width:.0%} at best"), "dim"
        )
    if not summary["covered"]:
        yield Text("  the budget does not cover this", "red")
