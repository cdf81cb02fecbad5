"""A load run as pages: a function of its `summary.json` alone. Opens from disk, loads nothing, has no script.

Every picture is inline SVG and has a table twin with the same numbers; text of hosts is escaped everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from markupsafe import Markup

from wireproof.errors import UsageError
from wireproof.report.plain import line
from wireproof.report.sheet import sheet
from wireproof.runlog import atomic_write

Summary = Mapping[str, Any]

WIDE, HIGH = 680, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 40
COLOURS = ("c1", "c2", "c3", "c4", "c5")
PARTS = ("lag", "accept", "queue", "run", "notice", "fetch", "download")


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing and the same in numbers."""

    title: str
    says: str
    svg: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: tuple[tuple[str, str], ...] = ()
    """Class and name of each colour."""


def write(folder: Path, formats: Sequence[str] = ("html", "md", "junit"), out: Path | None = None) -> tuple[Path, ...]:
    """The reports of a run's folder, beside its summary or in `out`; returns their paths.

    UsageError without a summary.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise UsageError(f"{folder}: there is no summary of a load run here")
    summary = json.loads(path.read_text(encoding="utf-8"))
    written = []
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"a load run has no report {name!r}; there are {', '.join(FORMATS)}")
        file, render = FORMATS[name]
        atomic_write((out or folder) / file, render(summary))
        written.append((out or folder) / file)
    return tuple(written)


def html(summary: Summary) -> str:
    """The page. Templates come from the nearest `reports/templates`, a user's own before the shipped ones."""
    return sheet("load.html.j2", _page(summary), styles=("run.css", "load.css"))


# ------------------------------------------------------------------------------------------ content

_SIGNS = {"held": "✓", "missed": "✗", "undecided": "?"}
_TONES = {"held": "good", "missed": "bad", "undecided": "warn"}


def _page(summary: Summary) -> dict[str, Any]:
    answers = [one["answer"] for one in summary["thresholds"]]
    verdict = summary["health"]["verdict"]
    worst = next((a for a in ("missed", "undecided") if a in answers), "held" if answers else "undecided")
    title, tone = _HEADS[worst] if answers else ("A load run without thresholds", "warn")
    if verdict == "invalid":
        title, tone = "The generator was the limit: these numbers are not the target's", "bad"
    elif summary["stopped"]:
        title, tone = f"Stopped: {summary['stopped']}", "warn"
    return {
        "title": line(title),
        "tone": tone,
        "sign": {"good": "✓", "bad": "✗", "warn": "?"}[tone],
        "facts": _facts(summary),
        "thresholds": [
            {**one, "sign": _SIGNS[one["answer"]], "tone": _TONES[one["answer"]]} for one in summary["thresholds"]
        ],
        "numbers": [_numbers(name, numbers) for name, numbers in summary["endpoints"].items()],
        "pictures": [picture for draw in DRAWN for picture in draw(summary)],
        "differences": summary["differences"],
        "health": summary["health"],
        "calls": summary["calls"],
        "method": _method(summary),
    }


_HEADS = {
    "held": ("Every threshold was held", "good"),
    "missed": ("A threshold was missed", "bad"),
    "undecided": ("Not enough evidence to decide every threshold", "warn"),
}


def _facts(summary: Summary) -> list[str]:
    money = [f"{one['spent']} {one['unit']}" for e in summary["endpoints"].values() for one in e["money"]]
    return [
        line(f"plan {summary['plan']}"),
        f"{len(summary['endpoints'])} endpoint(s)",
        f"{summary['jobs']:,} jobs",
        f"{summary['seconds']:.1f} s",
        " + ".join(money) + " spent" if money else "nothing spent",
        f"generator {summary['health']['verdict']}",
    ]


def _numbers(name: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    good = numbers["success_rate"]
    return {
        "name": line(name),
        "good": "-" if good["value"] is None else f"{good['value']:.1%} ({good['low']:.1%} to {good['high']:.1%})",
        "jobs": numbers["jobs"],
        "times": [_quantile(numbers["completion"].get(p)) for p in ("p50", "p90", "p95", "p99")],
        "naive": _quantile(numbers["naive"].get("p50")),
        "calls": "-" if numbers["calls_per_job"] is None else f"{numbers['calls_per_job']:.1f}",
        "cost": " + ".join(f"{m['per_image'] or '?'} {m['unit']}" for m in numbers["money"]) or "-",
        "felt": [
            (cadence, [_seconds(times.get(p)) for p in ("p50", "p90", "p95")])
            for cadence, times in numbers["felt"].get("by_cadence", {}).items()
        ],
        "met_cold": numbers["warmth"]["cold"]["jobs"] > 0,
        "warmth": [_side(side, numbers["warmth"][side]) for side in ("cold", "warm")],
        "problems": [(line(problem), count) for problem, count in numbers["problems"].items()],
        "unsent": {"dropped": numbers["dropped"], "withheld": numbers["withheld"]},
    }


def _side(name: str, side: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "jobs": side["jobs"],
        "times": [_quantile(side["completion"].get(p)) for p in ("p50", "p90", "p95")],
        "within": _seconds(side["within"]) if side["jobs"] else "-",
    }


def _quantile(found: Mapping[str, Any] | None) -> dict[str, str]:
    if not found:
        return {"value": "-", "between": ""}
    if found["value"] is None:
        return {"value": "withheld", "between": found["withheld"]}
    open_ = found.get("bracket")
    bracket = f"; polls leave {_seconds(open_[0])} to {_seconds(open_[1])} open" if open_ else ""
    return {
        "value": _seconds(found["value"]),
        "between": f"{_seconds(found['low'])} to {_seconds(found['high'])}{bracket}",
    }


def _seconds(value: float | None) -> str:
    if value is None:
        return "…"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _method(summary: Summary) -> list[tuple[str, str]]:
    rows = [
        ("Run", summary["id"]),
        ("Target", summary["target"]),
        ("Model of load", f"{summary['model']}; latency counts from the intended start"),
        ("Seed and workers", f"{summary['seed']}, {summary['workers']}"),
        ("Completion", "estimated from the polls as interval-censored times (Turnbull, smoothed)"),
        ("Cold", "sent at the beginning or after 10 s without a job, until one of the endpoint is seen to end"),
        ("Intervals", "95 %, by order statistics; a quantile is withheld below the sample it needs"),
        ("wireproof", summary["version"]),
    ]
    return [(name, line(str(value))) for name, value in rows]


# ----------------------------------------------------------------------------------------- pictures


def _latency(summary: Summary) -> Iterable[Picture]:
    """When a job is done: the law, and the band that the polls leave open."""
    curves = [(name, e["curve"]) for name, e in summary["endpoints"].items() if e["curve"]]
    if not curves:
        return
    most = max((p[3] or p[2] or 0.0) for _, curve in curves for p in curve) * 1.02 or 1.0
    x, y = _scale(0, most, LEFT, WIDE - RIGHT), _scale(0, 1, HIGH - BOTTOM, TOP)
    parts = _grid(most, x, lambda v: f"{v:g} s", [0, 0.25, 0.5, 0.75, 1], y, lambda v: f"{v:.0%}")
    for number, (_, curve) in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        left = [(x(p[2]), y(p[0])) for p in curve]
        right = [(x(p[3] if p[3] is not None else most), y(p[0])) for p in curve]
        parts.append(f'<polygon class="band {colour}" points="{_points([*left, *reversed(right)])}"/>')
        law = [(x(p[1]), y(p[0])) for p in curve if p[1] is not None]
        parts.append(f'<polyline class="line {colour}" points="{_points(law)}"/>')
    rows = tuple(
        (line(name), f"{p[0]:.0%}", _seconds(p[1]), f"{_seconds(p[2])} to {_seconds(p[3])}")
        for name, curve in curves
        for p in curve[::6]
    )
    yield Picture(
        "How long until a job is done",
        "The line is the estimated law of completion; the band is what the polls leave open, whatever the law.",
        _svg(parts, "Part of jobs done by time"),
        ("endpoint", "part of jobs", "done by", "known to lie in"),
        rows,
        _legend(name for name, _ in curves),
    )


def _course(summary: Summary) -> Iterable[Picture]:
    """Starts and good ends per second, and jobs in flight, over the run."""
    course = summary["course"]
    step = course["step"]
    yield _over_time(
        course,
        {"planned": [n / step for n in course["intended"]], "good ends": [n / step for n in course["succeeded"]]},
        "Throughput",
        "Jobs per second: planned starts, and jobs that ended well.",
        "jobs/s",
    )
    yield _over_time(course, {"in flight": course["in_flight"]}, "Concurrency", "Jobs under way at once.", "jobs")
    if course["troubles"] or any(course["other"]):
        yield _over_time(
            course,
            {"not good": course["other"]},
            "Errors over time",
            "Jobs that ended otherwise than well, per step of the picture.",
            "jobs",
        )


def _over_time(
    course: Mapping[str, Any], series: Mapping[str, Sequence[float]], title: str, says: str, unit: str
) -> Picture:
    step = course["step"]
    length = step * max(1, *(len(values) for values in series.values()))
    most = max([0.001, *chain.from_iterable(series.values())]) * 1.08
    x, y = _scale(0, length, LEFT, WIDE - RIGHT), _scale(0, most, HIGH - BOTTOM, TOP)
    parts = _grid(length, x, lambda v: f"{v:g} s", _ticks(most), y, lambda v: f"{v:g}")
    for number, values in enumerate(series.values()):
        corners = [(x(at * step + shift), y(value)) for at, value in enumerate(values) for shift in (0, step)]
        parts.append(f'<polyline class="line {COLOURS[number]}" points="{_points(corners)}"/>')
    head = ("from", *(f"{name}, {unit}" for name in series))
    rows = tuple(
        (f"{at * step:g} s", *(f"{values[at]:.4g}" for values in series.values()))
        for at in range(len(course["in_flight"]))
    )
    return Picture(title, says, _svg(parts, title), head, rows, _legend(series))


def _where(summary: Summary) -> Iterable[Picture]:
    """The parts of a job, stacked, at the mean, the middle and p95."""
    bars = [(f"{name} · {row['at']}", row) for name, e in summary["endpoints"].items() for row in e["parts"]]
    if not bars:
        return
    most = max(sum(row[part] or 0.0 for part in PARTS) for _, row in bars) * 1.05 or 1.0
    high = TOP + 34 * len(bars) + BOTTOM
    x = _scale(0, most, 210, WIDE - RIGHT)
    parts = [_tick_x(x(tick), f"{tick:g} s", high) for tick in _ticks(most)]
    for number, (name, row) in enumerate(bars):
        at, top = 0.0, TOP + 34 * number
        parts.append(f'<text class="name" x="202" y="{top + 17}" text-anchor="end">{escape(line(name))}</text>')
        for part in PARTS:
            width = row[part] or 0.0
            if width > 0:
                says = escape(f"{part}: {_seconds(width)}")
                place = f'x="{x(at):.1f}" y="{top}" width="{max(0.5, x(width) - x(0)):.1f}" height="24"'
                parts.append(f'<rect class="part p-{part}" {place}><title>{says}</title></rect>')
            at += width
    rows = tuple(
        (line(name), *(_seconds(row[part]) if row[part] is not None else "-" for part in PARTS)) for name, row in bars
    )
    yield Picture(
        "Where the time went",
        "From the intended start to the usable picture. Lag is ours; notice is the wait for the next poll.",
        _svg(parts, "Parts of a job", high),
        ("jobs", *PARTS),
        rows,
        tuple((f"p-{part}", part) for part in PARTS),
    )


def _cost(summary: Summary) -> Iterable[Picture]:
    """Cost of a good picture and what went to failures, per endpoint and unit."""
    rows = [(name, m) for name, e in summary["endpoints"].items() for m in e["money"]]
    for unit in sorted({m["unit"] for _, m in rows}):
        mine = [(name, m) for name, m in rows if m["unit"] == unit]
        most = max(float(m["per_image"] or 0) for _, m in mine) * 1.1 or 1.0
        high = TOP + 34 * len(mine) + BOTTOM
        x = _scale(0, most, 210, WIDE - RIGHT)
        parts = [_tick_x(x(tick), f"{tick:.4g}", high) for tick in _ticks(most)]
        for number, (name, m) in enumerate(mine):
            top = TOP + 34 * number
            parts.append(f'<text class="name" x="202" y="{top + 17}" text-anchor="end">{escape(line(name))}</text>')
            width = x(float(m["per_image"] or 0)) - x(0)
            parts.append(f'<rect class="part c1" x="{x(0):.1f}" y="{top}" width="{max(0.5, width):.1f}" height="24"/>')
        table = tuple(
            (
                line(name),
                m["spent"],
                m["per_image"] or "-",
                m["per_thousand"] or "-",
                m["lost"],
                str(m["uncertain"]),
                line(m["reconciled"]["says"]),
            )
            for name, m in mine
        )
        yield Picture(
            f"Cost of a good picture, {line(unit)}",
            "All the money over the good pictures: failures are paid by what arrived.",
            _svg(parts, f"Cost per good picture in {line(unit)}", high),
            ("endpoint", "spent", "per picture", "per 1,000", "lost to failures", "uncertain jobs", "reconciliation"),
            table,
        )


DRAWN: tuple[Callable[[Summary], Iterable[Picture]], ...] = (_latency, _where, _course, _cost)


# ------------------------------------------------------------------------------------------ drawing

Scale = Callable[[float], float]


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _ticks(most: float) -> list[float]:
    """About five round numbers from 0."""
    rough = most / 5
    base = 10.0 ** (len(f"{int(1 / rough)}") * -1 if rough < 1 else len(str(int(rough))) - 1)
    step = next(base * times for times in (1, 2, 5, 10, 20, 50) if base * times >= rough)
    return [round(step * number, 10) for number in range(int(most / step) + 1)]


def _grid(
    most: float, x: Scale, across: Callable[[float], str], levels: Sequence[float], y: Scale, up: Callable[[float], str]
) -> list[str]:
    parts = [_tick_x(x(tick), across(tick), HIGH) for tick in _ticks(most)]
    for level in levels:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{escape(up(level))}</text>'
        )
    return parts


def _tick_x(at: float, says: str, high: int) -> str:
    return (
        f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{high - BOTTOM}"/>'
        f'<text class="tick" x="{at:.1f}" y="{high - BOTTOM + 18}" text-anchor="middle">{escape(says)}</text>'
    )


def _points(corners: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)


def _svg(parts: Sequence[str], says: str, high: int = HIGH) -> Markup:
    inner = "".join(parts)
    return Markup(f'<svg viewBox="0 0 {WIDE} {high}" role="img" aria-label={quoteattr(says)}>{inner}</svg>')  # noqa: S704 - every text in it went through escape


def _legend(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((COLOURS[number % len(COLOURS)], line(name)) for number, name in enumerate(names))


# ------------------------------------------------------------------------------------ other formats


def markdown(summary: Summary) -> str:
    """The numbers for a pull request or a wiki."""
    head = "| endpoint | good | p50 | p90 | p95 | p99 | calls/job | per image |"
    rows = [head, "|---" * 8 + "|"]
    for name, numbers in summary["endpoints"].items():
        told = _numbers(name, numbers)
        times = " | ".join(f"{t['value']} ({t['between']})" if t["between"] else t["value"] for t in told["times"])
        rows.append(f"| {_cell(told['name'])} | {told['good']} | {times} | {told['calls']} | {_cell(told['cost'])} |")
    answers = [
        f"- {_SIGNS[t['answer']]} {_cell(t['endpoint'])}: {_cell(t['demand'])}: {_cell(t['says'])}"
        for t in summary["thresholds"]
    ]
    facts = " · ".join(_facts(summary))
    return "\n".join(
        [f"## Load: {_cell(str(summary['plan']))}", "", _cell(facts), "", *rows, "", *_warmth(summary), *answers, ""]
    )


def _warmth(summary: Summary) -> list[str]:
    """Cold and warm jobs apart, where a host was met cold."""
    rows = [
        f"| {_cell(name)} | {side['name']} | {side['jobs']} | {side['times'][0]['value']} | {side['within']} |"
        for name, numbers in summary["endpoints"].items()
        if numbers["warmth"]["cold"]["jobs"]
        for side in _numbers(name, numbers)["warmth"]
    ]
    return ["| endpoint | host | jobs | p50 | all done within |", "|---" * 5 + "|", *rows, ""] if rows else []


def _cell(text: str) -> str:
    return line(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def junit(summary: Summary) -> str:
    """Thresholds as test cases: missed is a failure, undecided is skipped, an invalid run an error."""
    cases = [_case(one) for one in summary["thresholds"]]
    invalid = summary["health"]["verdict"] == "invalid"
    if invalid:
        error = '<error message="the generator was the limit"/>'
        cases.append(f'<testcase classname="generator" name="the run is valid">{error}</testcase>')
    failures = sum(one["answer"] == "missed" for one in summary["thresholds"])
    counts = f'tests="{len(cases)}" failures="{failures}" errors="{int(invalid)}"'
    suite = f"<testsuite name={quoteattr('load ' + line(str(summary['plan'])))} {counts}>{''.join(cases)}</testsuite>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites {counts}>{suite}</testsuites>\n'


def _case(one: Mapping[str, Any]) -> str:
    says = quoteattr(line(one["says"]))
    inner = {"held": "", "missed": f"<failure message={says}/>", "undecided": f"<skipped message={says}/>"}[
        one["answer"]
    ]
    return f"<testcase classname={quoteattr(line(one['endpoint']))} name={quoteattr(one['demand'])}>{inner}</testcase>"


FORMATS: Mapping[str, tuple[str, Callable[[Summary], str]]] = {
    "html": ("report.html", html),
    "md": ("report.md", markdown),
    "junit": ("junit.xml", junit),
}
