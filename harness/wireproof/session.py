"""One command's work on the meeting floor: from the names on the command line to a kept `Run`."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from wireproof import __version__
from wireproof.conform import Step, Target, conform, embedded, is_loopback, plan
from wireproof.errors import CouldNotTell, NoKey, UsageError
from wireproof.learning import answers, proposal
from wireproof.ledger import FileLedger, Ledger, fingerprint
from wireproof.model import Endpoint, Exchange, Finding, Run, Severity, Summary, Verdict
from wireproof.money import Money
from wireproof.probe.driver import Bounds
from wireproof.proxying import Proxy
from wireproof.recordings import judge as judge_recording
from wireproof.recordings import read_recording
from wireproof.replaying import pick
from wireproof.replaying import replay as replay_finding
from wireproof.runlog import RunWriter, atomic_write, load_run
from wireproof.secrets import Redactor, Secret
from wireproof.spec.load import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What `wireproof check` was asked for."""

    target: str | None = None
    live: bool = False
    budget: Money | None = None
    profile: str = "standard"
    seed: int = 0
    bounds: Bounds = field(default_factory=Bounds)
    keep_bodies: bool | None = None
    report_dir: Path = Path("reports/runs")


@dataclass(frozen=True, slots=True)
class Watch:
    """Who wants to know how the run goes on."""

    endpoint: Callable[[Endpoint], None] = lambda endpoint: None
    step: Callable[[Step], None] = lambda step: None
    exchange: Callable[[Exchange], None] = lambda exchange: None


def check(endpoints: Sequence[Endpoint], options: CheckOptions, watch: Watch | None = None) -> Run:
    """Drive and judge endpoints, keep the run, and give it back as it was kept.

    Raises UsageError, CouldNotTell (unreachable, no key) and OverBudget.
    """
    watch = watch or Watch()
    targets = [(endpoint, target_of(endpoint, options)) for endpoint in endpoints]
    secrets = [Secret(t.key) for _, t in targets if t.key and t.mock is None]
    keep = options.keep_bodies if options.keep_bodies is not None else not any(t.paid for _, t in targets)
    writer = RunWriter.create(
        options.report_dir,
        command="check",
        target=_told_target(options, endpoints),
        seed=options.seed,
        version=__version__,
        options={"profile": options.profile, "budget": str(options.budget) if options.budget else None},
        specs=spec_hashes(endpoints),
        keep_bodies=keep,
        redactor=Redactor(secrets, own=[urlsplit(t.base).netloc for _, t in targets]),
    )
    first, trouble = 1, []
    with writer:
        for endpoint, target in targets:
            watch.endpoint(endpoint)
            try:
                first += _one(endpoint, target, options, writer, watch, first)
            except CouldNotTell as error:
                trouble.append(error)
                writer.verdict(could_not_tell(endpoint, str(error)))
        folder = writer.close()
    if len(trouble) == len(targets):
        raise trouble[0]
    return load_run(folder)


def _one(endpoint: Endpoint, target: Target, options: CheckOptions, writer: RunWriter, watch: Watch, first: int) -> int:
    """One endpoint of a run; how many exchanges it took."""

    def heard(exchange: Exchange) -> None:
        writer.exchange(exchange, durable=target.paid)
        watch.exchange(exchange)

    verdict, exchanges = conform(
        endpoint,
        target,
        seed=options.seed,
        bounds=options.bounds,
        profile=options.profile,
        ledger=_ledger(endpoint, target, options),
        first=first,
        heard=heard,
        began=watch.step,
    )
    writer.verdict(verdict)
    return len(exchanges)


def could_not_tell(endpoint: Endpoint, why: str) -> Verdict:
    """A verdict that is none: the reason stands in its notes and in `stopped`."""
    return Verdict(
        endpoint=endpoint.name, summary=Summary(endpoint=endpoint.name, stopped=f"could not tell: {why}"), notes=(why,)
    )


def target_of(endpoint: Endpoint, options: CheckOptions) -> Target:
    """What is driven for an endpoint. Raises NoKey, and UsageError for a paid target without a budget."""
    if options.target is None and not options.live:
        return embedded(endpoint, options.seed)
    if options.target is not None and options.live:
        raise UsageError("--target and --live exclude one another: give one of them")
    base = options.target or endpoint.provider.servers["api"].url
    if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).hostname:
        raise UsageError(f"--target {base!r} is not an address: write it like http://127.0.0.1:8080")
    near = is_loopback(base)
    own = {_host(server.url) for server in endpoint.provider.servers.values() if server.keyed}
    if not near and not options.live and _host(base) not in own:
        # A key of this host must not reach another one; only a loopback address is taken on trust.
        raise UsageError(
            f"the key of {endpoint.provider.name} is sent only to {', '.join(sorted(own))} "
            f"or to this machine, not to {base}"
        )
    paid = not near or options.budget is not None
    if paid and options.budget is None:
        raise UsageError(f"{base} costs money: say how much may be spent with --budget, e.g. --budget 0.50USD")
    return Target(base=base, key=key_of(endpoint), other_key=other_key_of(endpoint), paid=paid)


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()


def key_of(endpoint: Endpoint) -> str:
    """The key from the environment variable that the contract names. Raises NoKey."""
    variable = endpoint.provider.auth.env
    key = os.environ.get(variable, "").strip()
    if not key:
        raise NoKey(endpoint.provider.name, variable)
    return key


def other_key_of(endpoint: Endpoint) -> str | None:
    """A key of a second account, from the same variable with `_2` behind its name, where there is one."""
    return os.environ.get(f"{endpoint.provider.auth.env}_2", "").strip() or None


def _ledger(endpoint: Endpoint, target: Target, options: CheckOptions) -> Ledger | None:
    if not target.paid or options.budget is None:
        return None
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "wireproof" / "ledger"
    return FileLedger.open(folder, fingerprint(endpoint.provider.name, target.key or ""), options.budget)


def _told_target(options: CheckOptions, endpoints: Sequence[Endpoint]) -> str:
    if options.target:
        return options.target
    return ", ".join(sorted({e.provider.servers["api"].url for e in endpoints})) if options.live else "mock"


def spec_hashes(endpoints: Iterable[Endpoint]) -> dict[str, str]:
    """Each contract file that takes part, and the sha256 of what it says."""
    files = {f.where.file for e in endpoints for f in (e, e.provider, e.model)}
    return {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in sorted(files) if Path(file).is_file()}


def priced_plan(endpoints: Sequence[Endpoint], options: CheckOptions) -> list[tuple[Endpoint, tuple[Step, ...]]]:
    """What a run would do and cost, without doing any of it."""
    own = options.target is None and not options.live
    paid = not own and (options.budget is not None or not (options.target and is_loopback(options.target)))
    return [(endpoint, plan(endpoint, profile=options.profile, embedded=own, paid=paid)) for endpoint in endpoints]


def without(run: Run, accepted: Sequence[Finding]) -> Run:
    """The run without these findings."""
    gone = {finding.key for finding in accepted}
    return replace(
        run,
        verdicts=tuple(replace(v, findings=tuple(f for f in v.findings if f.key not in gone)) for v in run.verdicts),
    )


def judge(endpoints: Sequence[Endpoint], recording: Path, report_dir: Path) -> Run:
    """The verdict on recorded traffic, kept as a run of its own. Raises UsageError and CouldNotTell."""
    exchanges = read_recording(recording)
    verdicts = judge_recording(endpoints, exchanges)
    spoken = [endpoint for endpoint in endpoints if any(v.endpoint == endpoint.name for v in verdicts)]
    writer = RunWriter.create(
        report_dir,
        command="judge",
        target=str(recording),
        seed=0,
        version=__version__,
        options={},
        specs=spec_hashes(spoken),
        keep_bodies=True,
    )
    with writer:
        for exchange in exchanges:
            writer.exchange(exchange)
        for verdict in verdicts:
            writer.verdict(verdict)
        folder = writer.close()
    return load_run(folder)


def proxy(
    endpoints: Sequence[Endpoint],
    target: str,
    *,
    port: int,
    seconds: float | None,
    report_dir: Path,
    ready: Callable[[str], None],
) -> Run:
    """Serve a proxy until interrupted (or for so long), then judge what went through it.

    Raises UsageError for a target that is no address, CouldNotTell when nothing went through.
    """
    if urlsplit(target).scheme not in ("http", "https") or not urlsplit(target).hostname:
        raise UsageError(f"--target {target!r} is not an address: write it like https://api.example.com")
    writer = RunWriter.create(
        report_dir,
        command="proxy",
        target=target,
        seed=0,
        version=__version__,
        options={},
        specs=spec_hashes(endpoints),
        keep_bodies=True,
        redactor=Redactor([], own=[urlsplit(target).netloc]),
    )
    with writer:
        standing = Proxy(tuple(endpoints), target, port=port, heard=writer.exchange)
        _serve(standing, seconds, ready)
        if not standing.exchanges:
            raise CouldNotTell("no call came through the proxy")
        for verdict in judge_recording(endpoints, standing.exchanges):
            writer.verdict(verdict)
        folder = writer.close()
    return load_run(folder)


def _serve(standing: Proxy, seconds: float | None, ready: Callable[[str], None]) -> None:
    """Until SIGINT or SIGTERM, or until the time is over."""
    over = threading.Event()
    before = {number: signal.signal(number, lambda *_: over.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    worker = threading.Thread(target=standing.serve, daemon=True)
    worker.start()
    try:
        ready(standing.url)
        over.wait(seconds)
    finally:
        standing.stop()
        worker.join(timeout=5)
        for number, handler in before.items():
            signal.signal(number, handler)


def learn(run: Run, endpoints: Sequence[Endpoint], path: Path) -> None:
    """Write what a run answered of its contracts' open questions, as a proposed change that a person takes over."""
    prefix = urlsplit(run.target).path.rstrip("/")
    driven = {verdict.endpoint for verdict in run.verdicts}
    found = [
        answer
        for endpoint in endpoints
        if endpoint.name in driven
        for answer in answers(endpoint, own_exchanges(run, endpoint), prefix)
    ]
    atomic_write(path, proposal(run, found))


def own_exchanges(run: Run, endpoint: Endpoint) -> list[Exchange]:
    """The exchanges of one endpoint: runs drive their endpoints one after the other, in their order."""
    ends = [0]
    for verdict in run.verdicts:
        ends.append(ends[-1] + verdict.summary.calls)
    order = [verdict.endpoint for verdict in run.verdicts]
    index = order.index(endpoint.name)
    return [e for e in run.exchanges if ends[index] < e.seq <= ends[index + 1]]


def replay(folder: Path, number: int, target: str | None = None) -> tuple[Finding, bool, int]:
    """One finding of a kept run, carried out again: the finding, whether it still holds, and how many calls it took."""
    run = load_run(folder)
    finding = pick(run, number)
    (endpoint,) = resolve(finding.endpoint)
    base = target or (None if run.target == "mock" else run.target)
    again, said = replay_finding(endpoint, finding, run, target_of(endpoint, CheckOptions(target=base, seed=run.seed)))
    return finding, again, len(said)


def exit_code(run: Run, fail_on: Severity = Severity.VIOLATION) -> int:
    """What a finished run ends with: 1 for findings at or above `fail_on`, 3 where nothing could be told,
    4 where the budget of money or time ended it, 0 when it conforms."""
    if any(finding.severity.rank >= fail_on.rank for finding in run.findings):
        return 1
    stops = [verdict.summary.stopped for verdict in run.verdicts]
    if any(stop.startswith("could not tell") for stop in stops) or not run.exchanges:
        return 3
    return 4 if any(stops) else 0
