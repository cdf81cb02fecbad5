"""The command line: reads, calls, prints, and chooses the exit code. Each command is a short list of steps.

Nothing heavy is imported before a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from wireproof import __version__
from wireproof.errors import Interrupted, UsageError, WireproofError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from wireproof.mock.moods import Fault, Mood
    from wireproof.model import Endpoint, Run
    from wireproof.session import CheckOptions, Watch


class _Commands(typer.core.TyperGroup):
    """The commands. An interrupt is told in a word: left to the library, it ends the process without one."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


app = typer.Typer(
    cls=_Commands,
    name="wireproof",
    help="What an API does on the wire, put to the proof: contracts, mocks, conformance, load.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 conforms, 1 findings, 2 usage or contract error, 3 could not tell, 4 stopped by the budget, "
    "5 invalid load run, 130 interrupted.",
)


def _say_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit(0)


@app.callback()
def _any_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """What every command knows."""


class FailOn(StrEnum):
    """From which severity on a finding makes the command fail."""

    VIOLATION = "violation"
    DRIFT = "drift"
    QUESTION = "question"


class ProfileName(StrEnum):
    """How much a conformance run tries."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


SPEC = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SPEC...",
        help="An endpoint (segmind/p-image), a provider, a model, a path, or all.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Decides everything that is left to chance.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
ReportDir = Annotated[Path, typer.Option("--report-dir", help="Where runs and reports are kept.")]
Reports = Annotated[
    str,
    typer.Option(
        "--report", help="Formats to write besides, with commas: html,md,junit,sarif,ctrf,github,har,json,text."
    ),
]
Fail = Annotated[FailOn, typer.Option("--fail-on", help="The least severity that fails the command.")]
Baseline = Annotated[
    Path | None, typer.Option("--baseline", help="Known findings, accepted by name with a reason and an end.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only findings and the verdict.")]

RUNS = Path("reports/runs")


def main() -> NoReturn:
    """Run the command line; every expected failure is one clear sentence and an exit code."""
    try:
        # Without its own standalone mode the library gives an exit code back instead of ending the process.
        ended = app(standalone_mode=False)
        code = ended if isinstance(ended, int) else 0
    except WireproofError as error:
        code = _told(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = _told("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except Exception as error:  # noqa: BLE001  (the last stop before a person: no traceback)
        code = _unexpected(error)
    sys.exit(code)


def _told(says: str, code: int) -> int:
    from wireproof.secrets import printable

    for line in says.splitlines() or [""]:
        print(f"wireproof: {printable(line)}", file=sys.stderr)
    return code


def _beside(says: str) -> None:
    """A sentence beside what the command prints."""
    _told(says, 0)


def _unexpected(error: Exception) -> int:
    """Usage errors of the option parser, and whatever nobody thought of: no traceback either way."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        return _told(error.format_message(), 2)
    if isinstance(error, OSError):
        return _told(f"{error.filename or 'the system'}: {error.strerror or error}", 2)
    import os

    if os.environ.get("WIREPROOF_DEBUG"):
        raise error
    return _told(
        f"this should not have happened: {type(error).__name__}: {error} (set WIREPROOF_DEBUG=1 to see where)", 2
    )


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _endpoints(specs: list[str] | None) -> list[Endpoint]:
    from wireproof.spec.load import resolve

    found = {endpoint.name: endpoint for spec in specs or ["all"] for endpoint in resolve(spec)}
    return [found[name] for name in sorted(found)]


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=True, default=str))


# ----------------------------------------------------------------------------------- what is there


@app.command("list")
def list_(spec: SPEC = None, as_json: AsJson = False) -> None:
    """List the endpoints that there are contracts for."""
    endpoints = _endpoints(spec)
    if as_json:
        rows = [
            {"endpoint": e.name, "title": e.title, "capability": e.model.capability, "file": e.where.file}
            for e in endpoints
        ]
        return _print_json({"endpoints": rows})
    from wireproof.report.contracts import listing

    _console().print(listing(endpoints))


@app.command()
def show(spec: SPEC = None) -> None:
    """Tell what a contract says: parameters, operations, states, errors, price."""
    from wireproof.report.contracts import page

    console = _console()
    for endpoint in _endpoints(spec):
        console.print(page(endpoint))


@app.command()
def explain(
    check: Annotated[str, typer.Argument(metavar="CHECK", help="An id such as JOB002 or LINT004.", show_default=False)],
) -> None:
    """Explain a check: what it promises, and what breaks for a client when the promise fails."""
    from wireproof.catalogue import explained

    print(explained(check))


@app.command()
def lint(spec: SPEC = None, as_json: AsJson = False, fail_on: Fail = FailOn.VIOLATION) -> None:
    """Find mistakes in contracts, and contradictions of the pages they were made from. Sends no request."""
    from wireproof.model import Severity
    from wireproof.report.contracts import linted
    from wireproof.spec.lint import lint as lint_contracts

    findings = lint_contracts(_endpoints(spec))
    if as_json:
        from wireproof.report.jsonout import findings_document

        _print_json({"command": "lint", "findings": findings_document(findings)})
    else:
        _console().print(linted(findings), soft_wrap=True)
    if any(finding.severity.rank >= Severity(fail_on.value).rank for finding in findings):
        raise typer.Exit(1)


# ------------------------------------------------------------------------------------- conformance


@app.command()
def check(
    spec: SPEC = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Drive this server instead of the embedded mock.", metavar="URL")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Drive the contract's own server. Costs money.")] = False,
    budget: Annotated[
        str | None,
        typer.Option("--budget", help="How much may be spent: 0.50USD, '0.50 USD', 20credits.", metavar="AMOUNT"),
    ] = None,
    profile: Annotated[
        ProfileName,
        typer.Option(
            "--profile",
            help="How much is tried: quick (what shows the most), standard (every value and rule; at a server of this "
            "machine, where jobs cost nothing, every pair of values), thorough (every pair, and many more examples).",
        ),
    ] = ProfileName.STANDARD,
    seed: Seed = 0,
    max_requests: Annotated[
        int | None, typer.Option("--max-requests", min=1, help="At most so many calls per endpoint.")
    ] = None,
    max_jobs: Annotated[
        int | None, typer.Option("--max-jobs", min=0, help="At most so many accepted jobs per endpoint.")
    ] = None,
    max_time: Annotated[
        float | None, typer.Option("--max-time", min=0.001, help="Seconds per endpoint, at most.")
    ] = None,
    rate: Annotated[str | None, typer.Option("--rate", help="At most so many calls: 10/s, 30/m.")] = None,
    late: Annotated[
        float,
        typer.Option(
            "--late",
            min=0,
            help="Seconds after its end at which a job on a server is asked for once more: is its result still there? "
            "More than the 3 by default hears what is forgotten later; 0 waits for nothing.",
        ),
    ] = 3.0,
    fail_on: Fail = FailOn.VIOLATION,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its price; send nothing.")] = False,
    keep_bodies: Annotated[
        bool | None,
        typer.Option(
            "--keep-bodies/--no-keep-bodies",
            help="Whether bodies are kept in the run. By default all, and on a paid host what is said in JSON.",
        ),
    ] = None,
    as_json: AsJson = False,
    report_dir: ReportDir = RUNS,
    report: Reports = "",
    baseline: Baseline = None,
    learn: Annotated[
        Path | None,
        typer.Option("--learn", help="Write what the run answered of open questions, as a proposed change."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            help="Go on with a run that was cut off (its folder), within its budget; nothing is paid for twice.",
            metavar="RUN",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Drive a host through its documented behaviour and judge every answer."""
    from wireproof import session
    from wireproof.model import Severity
    from wireproof.probe.driver import Bounds

    _known_before(report, baseline)
    if resume is not None and (spec or target or live):
        raise UsageError("--resume goes on with what the run was asked for: leave out SPEC, --target and --live")
    endpoints = [] if resume else _endpoints(spec)
    if learn is not None and target is None and not live and resume is None:
        raise UsageError(
            "--learn needs a host to learn from: give --target or --live; the embedded mock only repeats the contract"
        )
    options = session.CheckOptions(
        target=target,
        live=live,
        budget=_money(budget),
        profile=profile.value,
        seed=seed,
        bounds=Bounds(requests=max_requests, jobs=max_jobs, seconds=max_time, gap=_gap(rate)),
        late=late,
        keep_bodies=keep_bodies,
        report_dir=report_dir,
    )
    if resume is not None:
        endpoints, options = session.resumed(resume, options)
        if said := session.forgot(options):
            _told(said, 0)
    if dry_run:
        return _dry_run(endpoints, options, as_json)
    kept = _watched(endpoints, options, quiet or as_json)
    if learn is not None:
        session.learn(kept, endpoints, learn)
        _beside(f"what the run answered: {learn}")
    run, stale = _without_known(kept, baseline)
    _tell(run, report, as_json, quiet)
    raise typer.Exit(stale or session.exit_code(run, Severity(fail_on.value)))


def _known_before(report: str, baseline: Path | None) -> None:
    """Refuse what could not be written or read in the end before anything is sent or paid."""
    from wireproof import baseline as known
    from wireproof.report import formats

    for name in filter(None, map(str.strip, report.split(","))):
        formats.named(name)
    if baseline is not None:
        known.read(baseline)


def _without_known(run: Run, baseline: Path | None) -> tuple[Run, int]:
    """The run without its accepted findings, and 1 where an entry of the baseline no longer holds."""
    if baseline is None:
        return run, 0
    from datetime import UTC, date, datetime

    from wireproof import baseline as known
    from wireproof.session import without

    today: date = datetime.now(UTC).date()
    applied = known.apply(str(baseline), known.read(baseline), run.findings, today)
    for sentence in applied.stale:
        _told(sentence, 1)
    for finding, entry in applied.accepted:
        _beside(f"accepted until {entry.until}: {finding.key} ({entry.reason})")
    return without(run, [finding for finding, _ in applied.accepted]), 1 if applied.stale else 0


def _money(text: str | None) -> Any:
    from wireproof.money import parse

    try:
        return parse(text) if text is not None else None
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from None


def _gap(rate: str | None) -> float:
    """Seconds between two calls for a rate such as `10/s` or `30/m`."""
    if rate is None:
        return 0.0
    number, _, unit = rate.partition("/")
    seconds = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}.get(unit.strip() or "s")
    try:
        calls = float(number)
    except ValueError:
        calls = 0.0
    if seconds is None or not calls > 0:
        raise UsageError(f"--rate {rate!r} is not a rate: write it like 10/s or 30/m")
    return seconds / calls


def _watched(endpoints: list[Endpoint], options: CheckOptions, quiet: bool) -> Run:
    """The run, with live progress on standard error."""
    from wireproof import session
    from wireproof.report.terminal import Progress

    console = _console(stderr=True)
    if quiet or not console.is_terminal:
        return session.check(endpoints, options)
    with Progress(console) as progress:
        plans = {e.name: sum(step.calls for step in steps) for e, steps in session.priced_plan(endpoints, options)}
        watch: Watch = session.Watch(endpoint=lambda e: progress.start(e.name, plans[e.name]), exchange=progress)
        return session.check(endpoints, options, watch)


def _tell(run: Run, report: str, as_json: bool, quiet: bool) -> None:
    """The run on standard output, and every report that was asked for."""
    from wireproof.report import formats, terminal

    names = [name.strip() for name in report.split(",") if name.strip()]
    written = formats.write(run, names, Path(run.folder)) if names else ()
    if as_json:
        print(formats.named("json").render(run))
        return
    terminal.show(run, _console())
    for path in written:
        print(f"report: {path}")
    if not quiet:
        print(f"run kept in {run.folder}")


def _dry_run(endpoints: list[Endpoint], options: CheckOptions, as_json: bool) -> None:
    from wireproof import session
    from wireproof.report.contracts import planned

    priced = session.priced_plan(endpoints, options)
    rows = [(e.name, step.name, step.calls, step.jobs, step.price) for e, steps in priced for step in steps]
    if as_json:
        plan = [
            dict(
                zip(
                    ("endpoint", "step", "calls", "jobs", "price"),
                    (*row[:4], str(row[4]) if row[4] else None),
                    strict=True,
                )
            )
            for row in rows
        ]
        return _print_json({"command": "check", "dry_run": True, "findings": [], "plan": plan})
    _console().print(planned(rows))


@app.command()
def judge(
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A .har file, a .jsonl journal, or the folder of a run.", show_default=False
        ),
    ],
    spec: Annotated[str, typer.Option("--spec", help="The contracts to judge by.")] = "all",
    fail_on: Fail = FailOn.VIOLATION,
    as_json: AsJson = False,
    report_dir: ReportDir = RUNS,
    report: Reports = "",
    quiet: Quiet = False,
) -> None:
    """Give the same verdict on recorded traffic. Sends nothing."""
    from wireproof import session
    from wireproof.model import Severity

    run = session.judge(_endpoints([spec]), recording, report_dir)
    _tell(run, report, as_json, quiet)
    raise typer.Exit(session.exit_code(run, Severity(fail_on.value)))


@app.command()
def proxy(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="The contracts to judge by.", show_default=False)],
    target: Annotated[str, typer.Option("--target", help="The host behind it.", metavar="URL", show_default=False)],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0.1, help="Seconds to serve; until interrupted by default.")
    ] = None,
    fail_on: Fail = FailOn.VIOLATION,
    as_json: AsJson = False,
    report_dir: ReportDir = RUNS,
    report: Reports = "har",
    quiet: Quiet = False,
) -> None:
    """Stand between any client and a host, pass everything on, and judge both sides. Keeps a HAR without secrets."""
    from wireproof import session
    from wireproof.model import Severity

    run = session.proxy(
        _endpoints([spec]),
        target,
        port=port,
        seconds=seconds,
        report_dir=report_dir,
        ready=_ready,
        trouble=_beside,
    )
    _tell(run, report, as_json, quiet)
    raise typer.Exit(session.exit_code(run, Severity(fail_on.value)))


def _ready(url: str) -> None:
    print(json.dumps({"ready": True, "url": url}), flush=True)


@app.command()
def replay(
    finding: Annotated[
        str,
        typer.Argument(metavar="RUN#N", help="The folder of a run, # and the number of a finding.", show_default=False),
    ],
    target: Annotated[
        str | None, typer.Option("--target", help="Another server than the run's.", metavar="URL")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="How much may be spent on a paid host.", metavar="AMOUNT")
    ] = None,
) -> None:
    """Carry out the smallest sequence that shows a finding: does it still hold? Ends with 1 if it does."""
    from wireproof import session

    folder, _, number = finding.rpartition("#")
    if not folder or not number.isdigit():
        raise UsageError(f"{finding!r} is not RUN#N: give the folder of a run, # and the number of a finding")
    one, again, calls = session.replay(Path(folder), int(number), target, _money(budget))
    print(f"{one.check} {one.subject}: {'still there' if again else 'not there any more'} ({calls} calls)")
    raise typer.Exit(1 if again else 0)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    format: Annotated[str, typer.Option("--format", help="Formats, with commas.")] = "html",
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to; the run's own by default.")] = None,
) -> None:
    """Render a kept run again."""
    from wireproof.report import formats
    from wireproof.runlog import load_run

    names = [name.strip() for name in format.split(",") if name.strip()]
    if (run / "started.jsonl").is_file():
        paths = _load_again(run, names, out or run)
    elif (run / "run.jsonl").is_file():
        paths = formats.write(load_run(run), names, out or run)
    else:
        raise UsageError(f"{run} is not the folder of a run: there is no run.jsonl in it")
    for path in paths:
        print(path)


def _load_again(folder: Path, formats: Sequence[str], out: Path) -> tuple[Path, ...]:
    """The reports of a load run; one that was killed before it was summed up is summed up now."""
    from wireproof.load.command import summed
    from wireproof.report import load as pages

    if not (folder / "summary.json").is_file():
        summed(folder)
    return pages.write(folder, formats, out)


# ------------------------------------------------------------------------------------- comparisons


@app.command()
def compare(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, such as p-image-edit.", show_default=False)],
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN...", help="Folders of check and load runs to measure by.", show_default=False),
    ] = None,
    workload: Annotated[
        str | None, typer.Option("--workload", help="What a job is priced for: images=2,count=3.")
    ] = None,
    currency: Annotated[
        str, typer.Option("--currency", help="What prices are brought to, where a rate is known.")
    ] = "USD",
    as_json: AsJson = False,
    report: Annotated[str, typer.Option("--report", help="Formats to write: html,md,json,text.")] = "",
    out: Annotated[Path, typer.Option("--out", help="Folder for the reports.")] = Path("reports/runs"),
) -> None:
    """Set the hosts of one model side by side: what differs, and what breaks for whoever switches."""
    from wireproof import compare as comparing
    from wireproof.runlog import atomic_write, load_run

    endpoints = [endpoint for endpoint in _endpoints([model]) if model in (endpoint.model.name, "all") or "/" in model]
    folders = list(runs or [])
    loads = [
        json.loads((folder / "summary.json").read_text("utf-8"))
        for folder in folders
        if (folder / "summary.json").is_file()
    ]
    checks = [
        load_run(folder)
        for folder in folders
        if (folder / "run.jsonl").is_file() and not (folder / "summary.json").is_file()
    ]
    told = comparing.compare(endpoints, checks, loads=loads, workload=_workload(workload), currency=currency)
    if as_json:
        print(comparing.render(told, "json"))
    else:
        print(comparing.render(told, "text"))
    for form in [name.strip() for name in report.split(",") if name.strip()]:
        path = out / f"compare-{model.replace('/', '-')}.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, comparing.render(told, form))
        print(f"report: {path}", file=sys.stderr)


def _workload(text: str | None) -> dict[str, Any] | None:
    """`images=2,count=3` as canonical parameters."""
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if any(not name or not value for name, _, value in pairs):
        raise UsageError(f"--workload {text!r} is not a list like images=2,count=3")
    return {name.strip(): int(value) if value.strip().isdigit() else value.strip() for name, _, value in pairs}


class ExportTo(StrEnum):
    """What a contract can be said in."""

    OPENAPI = "openapi"
    JSONSCHEMA = "jsonschema"
    ARAZZO = "arazzo"


@app.command()
def export(
    spec: SPEC = None,
    to: Annotated[ExportTo, typer.Option("--to", help="The form.")] = ExportTo.OPENAPI,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="A file; standard output by default.")] = None,
) -> None:
    """Say contracts in the words of OpenAPI 3.1, Arazzo or JSON Schema, for other tools."""
    from wireproof import export as exporting
    from wireproof.runlog import atomic_write

    endpoints = _endpoints(spec)
    if to is ExportTo.JSONSCHEMA and len(endpoints) != 1:
        raise UsageError("a JSON Schema is of one endpoint: name it, e.g. segmind/p-image")
    table = {
        ExportTo.OPENAPI: lambda: exporting.openapi(endpoints),
        ExportTo.ARAZZO: lambda: exporting.arazzo(endpoints),
        ExportTo.JSONSCHEMA: lambda: exporting.jsonschema(endpoints[0]),
    }
    text = json.dumps(table[to](), indent=2, ensure_ascii=False, default=str) + "\n"
    if out is None:
        print(text, end="")
    else:
        atomic_write(out, text)


class Impact(StrEnum):
    """How hard a change of a contract is on a client."""

    BREAKING = "breaking"
    CHANGED = "changed"
    COMPATIBLE = "compatible"
    NOTED = "noted"


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="An endpoint or the path of its file.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same, as it is now.", show_default=False)],
    fail_on: Annotated[
        Impact, typer.Option("--fail-on", help="The least impact that fails the command.")
    ] = Impact.BREAKING,
    as_json: AsJson = False,
) -> None:
    """Tell two versions of a contract apart, what breaks clients first."""
    from wireproof.spec import diff as differing

    (before,), (after,) = _endpoints([old]), _endpoints([new])
    changes = differing.diff(before, after)
    if as_json:
        _print_json({"findings": [], "changes": [_plain(change) for change in changes]})
    else:
        for change in changes:
            print(
                f"{change.new_where}: {change.impact.value}: {change.topic} {change.subject}, {change.aspect}: ", end=""
            )
            print(f"{change.before or 'nothing'} -> {change.after or 'nothing'} ({change.says})")
        print(f"{len(changes)} changes" if changes else "no change")
    raise typer.Exit(differing.exit_code(changes, differing.Impact(fail_on.value)))


@app.command()
def drift(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs in any order, or a folder that holds them.", show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Tell what changed between the first and the last of some runs, checks and load runs each among themselves.

    Ends with 1 where something got worse. A number of a load run has shifted only where the intervals of both
    runs do not meet.
    """
    from wireproof.load import drifting
    from wireproof.runlog import load_run, runs_in
    from wireproof.spec import diff as differing

    loads = [folder for given in runs for folder in drifting.runs_in(given)]
    alone = {given for given in runs if drifting.runs_in(given) and runs_in(given) == (given,)}
    folders = [folder for given in runs if given not in alone for folder in runs_in(given)]
    if max(len(folders), len(loads)) < 2:
        raise UsageError("drift needs at least two runs of a kind")
    shifts = differing.drift([load_run(folder) for folder in folders])
    shifts += drifting.drift([drifting.read(folder) for folder in loads])
    if as_json:
        _print_json({"findings": [], "shifts": [_plain(shift) for shift in shifts]})
    else:
        for shift in shifts:
            mark = "worse " if shift.worse else ""
            print(
                f"{shift.endpoint}: {mark}{shift.kind} {shift.subject}: "
                f"{shift.before or 'nothing'} -> {shift.after or 'nothing'} ({shift.says})"
            )
        print(f"{len(shifts)} shifts" if shifts else "nothing shifted")
    raise typer.Exit(1 if any(shift.worse for shift in shifts) else 0)


def _plain(value: Any) -> Any:
    from wireproof.runlog import encode

    return encode(value)


importing = typer.Typer(
    help="Draft contracts from what exists: an OpenAPI document, or recorded traffic.", no_args_is_help=True
)
app.add_typer(importing, name="import")
Host = Annotated[str, typer.Option("--provider", help="What the host is to be called.", show_default=False)]
Specs = Annotated[Path, typer.Option("--out", help="The specs folder to write to.")]
ModelName = Annotated[str, typer.Option("--model", help="What the model is to be called.")]


@importing.command("openapi")
def import_openapi(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An OpenAPI document, JSON or YAML.", show_default=False)
    ],
    provider: Host,
    start: Annotated[str, typer.Option("--start", help='The operation that starts a job: "POST /v1/images".')] = "",
    model: ModelName = "",
    list_starts: Annotated[bool, typer.Option("--list", help="Only list the operations that may start a job.")] = False,
    out: Specs = Path("specs"),
) -> None:
    """Draft the three layers from an OpenAPI document; what it cannot say is marked unknown."""
    from wireproof.spec.imports import openapi

    document = openapi.read(file)
    if list_starts:
        for one in openapi.starts(document):
            print(one)
        return
    _drafted(openapi.draft(document, provider=provider, read=_today(), start=start, model=model), out)


@importing.command("har")
def import_har(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A .har file, a .jsonl journal, or the folder of a run.", show_default=False
        ),
    ],
    provider: Host,
    model: ModelName = "",
    out: Specs = Path("specs"),
) -> None:
    """Draft the three layers from recorded traffic: states, parameters and times as they were seen."""
    from wireproof.recordings import read_recording
    from wireproof.spec.imports import har

    _drafted(har.draft(read_recording(file), provider=provider, read=_today(), model=model), out)


def _drafted(draft: Any, out: Path) -> None:
    """Write a draft, read it back, and say what is left to a person."""
    from wireproof.spec.imports import drafting
    from wireproof.spec.load import load as load_file

    written = drafting.write(draft, out)
    for path in written:
        print(path)
    for path in written:
        if path.name != "protocol.yaml" and path.parent.name != "models":
            print(
                f"drafted {load_file(path).name}: now fill in what is marked unknown, and run wireproof lint {path}",
                file=sys.stderr,
            )


def _today() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).date().isoformat()


# ------------------------------------------------------------------------------------------ client


@app.command()
def client(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="The endpoint that the client calls.", show_default=False)
    ],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- COMMAND...", help="How the client is started.", show_default=False)
    ] = None,
    scenario: Annotated[
        str, typer.Option("--scenario", help="all, or names with commas: see mocks/scenarios.")
    ] = "all",
    seed: Seed = 0,
    time_scale: Annotated[
        float | None,
        typer.Option("--time-scale", min=0.1, help="How many times faster than real time the mock's clock runs."),
    ] = None,
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Scenarios at a time.")] = 6,
    fail_on: Fail = FailOn.VIOLATION,
    as_json: AsJson = False,
    report_dir: ReportDir = RUNS,
    report: Reports = "html",
    quiet: Quiet = False,
) -> None:
    """Run a client, in any language, through a host's bad days, and judge what it did.

    The client finds the mock in WIREPROOF_URL, a key in WIREPROOF_KEY, and how much faster than real time the
    mock's clock runs in WIREPROOF_TIME_SCALE. It should end with 0 when it got a usable result, and with
    another code and the reason on standard error when it did not.
    """
    from wireproof import audit, session
    from wireproof.mock.scenario import choose
    from wireproof.model import Severity

    endpoints = _endpoints([spec])
    if len(endpoints) != 1:
        raise UsageError(f"{spec} means {len(endpoints)} endpoints: a client is put to the proof against one of them")
    run = audit.audit(
        endpoints[0],
        command or [],
        choose(scenario),
        report_dir=report_dir,
        seed=seed,
        time_scale=time_scale or audit.TIME_SCALE,
        parallel=parallel,
        done=_scenario_done(quiet or as_json),
    )
    _tell_client(run, report, as_json, quiet)
    raise typer.Exit(session.exit_code(run, Severity(fail_on.value)))


def _scenario_done(quiet: bool) -> Any:
    """One line on standard error for each scenario that is over."""
    marks = {True: "passed", False: "FAILED", None: "not told"}

    def done(result: Any) -> None:
        if not quiet and sys.stderr.isatty():
            print(f"{marks[result.passed]:9} {result.scenario.name} ({result.seconds:.1f} s)", file=sys.stderr)

    return done


def _tell_client(run: Run, report: str, as_json: bool, quiet: bool) -> None:
    from wireproof.report.matrix import show

    if not as_json:
        show(run, _console())
    _tell(run, report, as_json, quiet)


# -------------------------------------------------------------------------------------------- load


@app.command()
def load(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC[,SPEC]", help="Endpoints, providers, models or all, with commas.", show_default=False
        ),
    ],
    plan: Annotated[
        str, typer.Option("--plan", help="smoke, steady, ramp, burst, soak, capacity, or one of your own.")
    ] = "smoke",
    target: Annotated[
        str | None, typer.Option("--target", help="A server; the embedded mock by default.", metavar="URL")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="The contracts' own servers. Costs money.")] = False,
    budget: Annotated[
        list[str] | None, typer.Option("--budget", help="How much may be spent; once for each unit.", metavar="AMOUNT")
    ] = None,
    rate: Annotated[str | None, typer.Option("--rate", help="Jobs begun: 5/s, 30/m.")] = None,
    users: Annotated[int | None, typer.Option("--users", min=1, help="Jobs in flight, instead of a rate.")] = None,
    seconds: Annotated[str | None, typer.Option("--for", help="How long jobs are begun: 30s, 10m.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that send.")] = 1,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Decides arrivals and everything else left to chance.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Price the plan; send nothing.")] = False,
    as_json: AsJson = False,
    report_dir: ReportDir = RUNS,
    report: Annotated[
        str, typer.Option("--report", help="Formats to write besides, with commas: html,md,junit.")
    ] = "html",
    quiet: Quiet = False,
) -> None:
    """Time the job and count its money, under load: open or closed, on one host or several."""
    _needs("locust", "load")
    from wireproof import loading
    from wireproof.load import plans, terminal

    options = loading.LoadOptions(
        plan=plan,
        target=target,
        live=live,
        rate=plans.rate(rate) if rate else None,
        users=users,
        seconds=plans.seconds(seconds) if seconds else None,
        seed=seed,
        budget=tuple(budget or ()),
        workers=workers,
        dry_run=dry_run,
        report_dir=report_dir,
    )
    done = loading.load(spec.split(","), options, _load_progress(quiet or as_json))
    if as_json:
        _print_json({"findings": [], **done.summary})
    elif dry_run:
        terminal.show_quote(done.summary, _console())
    else:
        terminal.show(done.summary, _console())
        _load_reports(done.folder, report)
    raise typer.Exit(done.exit_code)


def _load_reports(folder: Path | None, report: str) -> None:
    from wireproof.report import load as pages

    names = tuple(name.strip() for name in report.split(",") if name.strip())
    for path in pages.write(folder, names) if folder and names else ():
        print(f"report: {path}")


def _load_progress(quiet: bool) -> Any:
    """A line that is written over on standard error; nothing where nobody looks."""
    if quiet or not sys.stderr.isatty():
        return lambda _: None

    def show(now: Any) -> None:
        print(
            f"\r{now.seconds:5.0f} s  {now.started} of {now.planned} begun, {now.in_flight} in flight ",
            end="",
            file=sys.stderr,
        )

    return show


def _needs(module: str, extra: str) -> None:
    """Say in one sentence what is missing where an extra is not installed."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise UsageError(f"this command needs {module}: install wireproof[{extra}]")


# -------------------------------------------------------------------------------------------- mock


@app.command()
def mock(
    spec: SPEC = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option("--host", "--listen", help="The address to listen on.")] = "127.0.0.1",
    seed: Seed = 0,
    profile: Annotated[
        str | None, typer.Option("--profile", "--mood", help="A bad day by name: see mocks/moods.")
    ] = None,
    latency: Annotated[
        list[str] | None,
        typer.Option(
            "--latency",
            help="from:RECORDING takes the times of a kept run, HAR or journal; PHASE=LAW:SECONDS[:SPREAD] sets one: "
            "queue, run or transfer, fixed, uniform or log-normal.",
        ),
    ] = None,
    time_scale: Annotated[
        float, typer.Option("--time-scale", min=0.001, help="How many times faster than real time its clock runs.")
    ] = 1.0,
    clock: Annotated[str, typer.Option("--clock", help="real, or stepped: it moves only by the control API.")] = "real",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that answer.")] = 1,
    tls: Annotated[bool, typer.Option("--tls", help="Serve https with a throw-away authority.")] = False,
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="Whether there is a control API, on a port of its own.")
    ] = True,
    control_port: Annotated[int, typer.Option("--control-port", min=0, max=65535, help="0 takes a free one.")] = 0,
    journal: Annotated[bool, typer.Option("--journal/--no-journal", help="Whether calls are written down.")] = True,
    journal_file: Annotated[
        Path | None, typer.Option("--journal-file", help="Where the journal goes in the end: .har, or JSON lines.")
    ] = None,
    limits: Annotated[bool, typer.Option("--limits/--no-limits", help="Whether declared rate limits count.")] = False,
    connections: Annotated[
        int,
        typer.Option(
            "--connections", min=1, help="How many are held at once; another machine may have a tenth of them."
        ),
    ] = 1000,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            envvar="WIREPROOF_STORE",
            metavar="URL",
            help="redis://HOST:PORT/NUMBER, where several mocks have their jobs and accounts.",
        ),
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="host:port that webhooks and uploads may be sent to.")
    ] = None,
) -> None:
    """Serve contracts. Prints one line of JSON when it is ready, with its address and a key that it takes."""
    from wireproof.mock.command import serve
    from wireproof.secrets import Secret

    endpoints = _endpoints(spec)
    serve(
        endpoints,
        host=host,
        port=port,
        seed=seed,
        clock=_clock(clock, time_scale),
        mood=_at_pace(profile, latency, endpoints) if latency else profile,
        workers=workers,
        tls=tls,
        control_port=control_port if control else None,
        journal=journal,
        journal_file=journal_file,
        limits=limits,
        connections=connections,
        store=Secret(store) if store else None,
        allow_targets=allow or [],
    )


def _at_pace(profile: str | None, latency: Sequence[str], endpoints: Sequence[Endpoint]) -> Mood:
    """The mood of that name, with the times that were asked for."""
    from wireproof.mock.moods import mood
    from wireproof.pacing import Pace, by_law, measured, paced
    from wireproof.recordings import addressed, read_recording

    faults: list[Fault] = []
    for text in latency:
        if not text.startswith("from:"):
            faults.append(by_law(text))
            continue
        recording, pace = read_recording(Path(text.removeprefix("from:"))), Pace()
        for endpoint in endpoints:
            prefix, own = addressed(endpoint, recording)
            pace += measured(endpoint, own, prefix)
        if not pace.faults:
            raise UsageError(f"--latency {text}: no job of what is served is seen to succeed there")
        faults += pace.faults
    return paced(mood(profile) if profile else None, faults)


def _clock(name: str, scale: float) -> Any:
    from wireproof.clock import RealClock, ScaledClock, SteppedClock

    if name == "stepped":
        return SteppedClock()
    if name != "real":
        raise UsageError(f"--clock {name!r} is neither real nor stepped")
    return RealClock() if scale == 1.0 else ScaledClock(scale)


# -------------------------------------------------------------------------------------------- init


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to; it is made where it is missing.")
    ] = Path(),
    host: Annotated[str, typer.Option("--host", help="Name of the first host.")] = "acme",
    model: Annotated[str, typer.Option("--model", help="Name of the first model.")] = "lantern",
) -> None:
    """Lay out the rooms of a repository: a first contract, a client test, a load plan, CI. Overwrites nothing."""
    from datetime import UTC, datetime

    from wireproof.scaffold import scaffold

    made = scaffold(folder, host=host, model=model, today=datetime.now(UTC).date())
    for path in made.written:
        print(f"wrote {folder / path}")
    for path in made.kept:
        print(f"kept {folder / path}, which was there already")
    print(f"next: cd {folder} && make test" if folder != Path() else "next: make test")


# -------------------------------------------------------------------------------------------- demo


@app.command()
def demo(seed: Seed = 1, report_dir: ReportDir = RUNS) -> None:
    """The whole tour on the embedded mock: read the contracts, drive all endpoints, write a report."""
    from wireproof.tour import tour

    raise typer.Exit(tour(_console(), seed, report_dir))


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


# ---------------------------------------------------------------------------------------- examples

EXAMPLES: Mapping[str, Sequence[str]] = {
    "list": ("wireproof list", "wireproof list p-image-edit --json"),
    "show": ("wireproof show segmind/p-image",),
    "explain": ("wireproof explain JOB002",),
    "lint": ("wireproof lint specs", "wireproof lint all --fail-on question"),
    "check": (
        "wireproof check segmind/p-image",
        "wireproof check segmind --target http://127.0.0.1:8080 --report html,junit",
        "wireproof check segmind/p-image --live --budget 0.20USD",
    ),
    "judge": ("wireproof judge recording.har --spec segmind/p-image",),
    "proxy": ("wireproof proxy segmind/p-image --target http://127.0.0.1:8080",),
    "replay": ("wireproof replay reports/runs/RUN#1",),
    "report": ("wireproof report reports/runs/RUN --format html,sarif",),
    "compare": ("wireproof compare p-image-edit", "wireproof compare p-image-edit reports/runs/* --report html"),
    "export": ("wireproof export segmind/p-image --to openapi --out openapi.json",),
    "diff": ("wireproof diff old/p-image.yaml specs/myhost/p-image.yaml --fail-on changed",),
    "drift": ("wireproof drift reports/runs", "wireproof drift reports/runs/MONDAY reports/runs/FRIDAY --json"),
    "openapi": ("wireproof import openapi host.yaml --provider host",),
    "har": ("wireproof import har recording.har --provider host",),
    "client": ("wireproof client segmind/p-image --scenario all -- python my_client.py",),
    "load": (
        "wireproof load segmind/p-image --plan steady --rate 5/s --for 30s",
        "wireproof load segmind/p-image-edit,runware/p-image-edit --plan smoke",
    ),
    "mock": ("wireproof mock segmind --port 8080", "wireproof mock segmind/p-image --mood wrong-pictures"),
    "init": ("wireproof init pictures --host acme --model lantern",),
}
"""What stands below the help of a command: lines that work."""

for _command in (*app.registered_commands, *importing.registered_commands):
    _name = str(_command.name or getattr(_command.callback, "__name__", ""))
    if _name in EXAMPLES:
        _command.epilog = "\n".join(("\b", "Examples:", *(f"  {line}" for line in EXAMPLES[_name])))


if __name__ == "__main__":
    main()
