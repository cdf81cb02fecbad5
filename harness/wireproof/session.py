"""One command's work on the meeting floor: from the names on the command line to a kept `Run`."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from wireproof import __version__
from wireproof.conform import INTERRUPTED, Step, Target, conform, embedded, is_loopback, plan, with_money
from wireproof.errors import CouldNotTell, Interrupted, NoKey, UsageError
from wireproof.learning import answers, proposal
from wireproof.ledger import FileLedger, JointLedger, Ledger, fingerprint, home
from wireproof.model import Endpoint, Exchange, Finding, Run, Severity, Summary, Verdict
from wireproof.money import Money, parse, plain
from wireproof.probe.driver import Bounds
from wireproof.probe.memory import Memory
from wireproof.probe.stories import LATE, near_keys
from wireproof.proxying import Proxy
from wireproof.recordings import judge as judge_recording
from wireproof.recordings import keys_in, read_recording
from wireproof.replaying import pick
from wireproof.replaying import replay as replay_finding
from wireproof.runlog import FILE, RunWriter, atomic_write, load_run
from wireproof.secrets import Redactor, Secret
from wireproof.spec.load import resolve
from wireproof.wire.keys import carried


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What `wireproof check` was asked for."""

    target: str | None = None
    live: bool = False
    budget: Money | None = None
    profile: str = "standard"
    seed: int = 0
    bounds: Bounds = field(default_factory=Bounds)
    late: float = LATE
    """Seconds after its end at which a job is asked for once more."""
    keep_bodies: bool | None = None
    """None: all of them where nothing is paid for, and what is said in JSON where it is."""
    report_dir: Path = Path("reports/runs")
    resumes: tuple[Run, ...] = ()
    """Runs that were cut off, to be gone on with: the last one, before it the one that it went on with, and so on."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who wants to know how the run goes on."""

    endpoint: Callable[[Endpoint], None] = lambda endpoint: None
    step: Callable[[Step], None] = lambda step: None
    exchange: Callable[[Exchange], None] = lambda exchange: None


def check(endpoints: Sequence[Endpoint], options: CheckOptions, watch: Watch | None = None) -> Run:
    """Drive and judge endpoints, keep the run, and give it back as it was kept.

    An interrupt (SIGINT, SIGTERM) ends the driving; what was heard until then is judged all the same.
    Raises UsageError, CouldNotTell (unreachable, no key), OverBudget, and Interrupted where nothing was heard.
    """
    watch = watch or Watch()
    targets = [(endpoint, target_of(endpoint, options)) for endpoint in endpoints]
    keys = [
        key for _, t in targets if t.mock is None for key in (t.key, t.other_key, *near_keys(t.key).values()) if key
    ]
    secrets = [Secret(key) for key in keys]
    paid = any(t.paid for _, t in targets)
    keep = options.keep_bodies if options.keep_bodies is not None else not paid
    with ExitStack() as stack:
        purses = _purses(targets, options, stack)
        writer = stack.enter_context(
            RunWriter.create(
                options.report_dir,
                command="check",
                target=_told_target(options, endpoints),
                seed=options.seed,
                version=__version__,
                options={**_kept(endpoints, options), "budgets": {one.name: one.budget for one in purses}},
                specs=spec_hashes(endpoints),
                keep_bodies=keep,
                # What is paid for must be known again by whoever goes on with the run. All of it is our own making.
                keep_json=paid and options.keep_bodies is None,
                redactor=Redactor(secrets, own=[urlsplit(t.base).netloc for _, t in targets]),
            )
        )
        stack.enter_context(_terminated_is_interrupted())
        trouble = _all(targets, options, purses, writer, watch)
        folder = writer.close()
    if len(trouble) == len(targets):
        raise trouble[0]
    return load_run(folder)


def _all(
    targets: Sequence[tuple[Endpoint, Target]],
    options: CheckOptions,
    purses: Sequence[Purse],
    writer: RunWriter,
    watch: Watch,
) -> list[CouldNotTell]:
    """One endpoint after the other; why nothing could be told of some."""
    trouble: list[CouldNotTell] = []
    count = 0

    for endpoint, target in targets:
        watch.endpoint(endpoint)
        before = count

        def heard(exchange: Exchange, durable: bool = target.paid) -> None:
            nonlocal count
            count += 1
            writer.exchange(exchange, durable=durable)
            watch.exchange(exchange)

        ledger = _ledger(endpoint, purses) if target.paid else None
        try:
            verdict, _ = conform(
                endpoint,
                target,
                seed=options.seed,
                bounds=options.bounds,
                profile=options.profile,
                ledger=ledger,
                first=count + 1,
                heard=heard,
                began=watch.step,
                run=writer.folder.name,
                memory=_memory(endpoint, options.resumes, ledger),
                late=options.late,
            )
        except CouldNotTell as error:
            trouble.append(error)
            runs = (writer.folder.name, *(run.id for run in options.resumes))
            verdict = with_money(could_not_tell(endpoint, str(error), count - before), ledger, runs)
        except Interrupted:
            if not count:
                raise
            # What was heard of the endpoints before is told all the same.
            verdict = Verdict(endpoint=endpoint.name, summary=Summary(endpoint=endpoint.name, stopped=INTERRUPTED))
        notes = (*verdict.notes, *_told_before(endpoint, purses))
        writer.verdict(replace(verdict, notes=notes))
        if verdict.summary.stopped == INTERRUPTED:
            break
    return trouble


@contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """SIGTERM does what SIGINT does, where signals can be heard at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def could_not_tell(endpoint: Endpoint, why: str, calls: int = 0) -> Verdict:
    """A verdict that is none: the reason stands in its notes and in `stopped`."""
    summary = Summary(endpoint=endpoint.name, calls=calls, stopped=f"could not tell: {why}")
    return Verdict(endpoint=endpoint.name, summary=summary, notes=(why,))


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


# ------------------------------------------------------------------------------------------- money


@dataclass(frozen=True, slots=True)
class Purse:
    """A budget that is in use: of one provider's key, or of a whole command that uses several keys."""

    name: str
    ledger: FileLedger

    @property
    def budget(self) -> str:
        return self.ledger.budget


WHOLE = "all"
"""Name of the budget over several keys."""


def _purses(targets: Sequence[tuple[Endpoint, Target]], options: CheckOptions, stack: ExitStack) -> tuple[Purse, ...]:
    """The budgets of a command, in use until the stack is closed: one for each key, and one over all of them."""
    budget = options.budget
    paid = [(endpoint, target) for endpoint, target in targets if target.paid]
    if not paid or budget is None:
        return ()
    for endpoint, _ in paid:
        if endpoint.price is not None and endpoint.price.unit != budget.unit:
            raise UsageError(
                f"{endpoint.name} is paid in {endpoint.price.unit}, which a budget of {budget} cannot cover: "
                f"write it like {plain(budget.amount)}{endpoint.price.unit}"
            )
    keys = {endpoint.provider.name: fingerprint(endpoint.provider.name, target.key or "") for endpoint, target in paid}
    names = keys if len(keys) == 1 else {**keys, WHOLE: fingerprint(WHOLE, ",".join(sorted(keys.values())))}
    resumed = options.resumes[0].options.get("budgets", {}) if options.resumes else {}
    return tuple(
        Purse(name, stack.enter_context(FileLedger.open(home(), print_, budget, budget=resumed.get(name))))
        for name, print_ in names.items()
    )


def _ledger(endpoint: Endpoint, purses: Sequence[Purse]) -> Ledger | None:
    """What must cover a job of an endpoint: the budget of its key, and the one over all keys."""
    own = [one.ledger for one in purses if one.name in (endpoint.provider.name, WHOLE)]
    return own[0] if len(own) == 1 else JointLedger(*own) if own else None


def _told_before(endpoint: Endpoint, purses: Sequence[Purse]) -> Iterator[str]:
    """That a budget was in use before us, where it was."""
    for one in purses:
        before = one.ledger.before
        if one.name == endpoint.provider.name and before is not None:
            yield (
                f"The budget {one.budget} of this key was in use before, by a run that is still at work or was cut "
                f"off: {before.at_most} of it were spent or set aside already. A run that ends in order ends it."
            )


# ------------------------------------------------------------------------------------------ going on


def _kept(endpoints: Sequence[Endpoint], options: CheckOptions) -> dict[str, object]:
    """What a run says of how it was asked for, so that it can be gone on with."""
    return {
        "profile": options.profile,
        "budget": str(options.budget) if options.budget else None,
        "endpoints": [endpoint.name for endpoint in endpoints],
        "live": options.live,
        "resumes": [run.id for run in options.resumes],
    }


def resumed(folder: Path, options: CheckOptions) -> tuple[list[Endpoint], CheckOptions]:
    """What a run that was cut off was asked for, so that `check` can go on with it. Of `options` count the budget,
    the bounds and the folder.

    Raises UsageError for a run that is none, that is done, or whose contracts have changed.
    """
    run = load_run(folder)
    asked = run.options
    if run.command != "check" or "endpoints" not in asked:
        raise UsageError(f"{folder} is no run of `wireproof check` that can be gone on with")
    if run.target == "mock":
        raise UsageError(f"{folder} drove the embedded mock, which costs nothing: run it again")
    if asked["complete"] and not any(verdict.summary.stopped for verdict in run.verdicts):
        raise UsageError(f"{folder} was carried out to its end: there is nothing to go on with")
    endpoints = [endpoint for name in asked["endpoints"] for endpoint in resolve(name)]
    if spec_hashes(endpoints) != asked["specs"]:
        raise UsageError(f"{folder}: its contracts have changed since, so it cannot be gone on with: run it anew")
    # One that was itself going on with another may have been cut off before it had remembered all of it.
    chain = [run, *(load_run(Path(run.folder).parent / id) for id in asked["resumes"])]
    given = options.budget or (parse(asked["budget"]) if asked["budget"] else None)
    return endpoints, replace(
        options,
        target=None if asked["live"] else run.target,
        live=asked["live"],
        budget=given,
        profile=asked["profile"],
        seed=run.seed,
        keep_bodies=None if asked.get("keep_json") else asked["keep_bodies"],
        resumes=tuple(chain),
    )


def forgot(options: CheckOptions) -> str:
    """What is to be said before a paid run is gone on with that kept no bodies; '' where nothing is."""
    run = options.resumes[0]
    if run.options["keep_bodies"] or run.options.get("keep_json") or options.budget is None:
        return ""
    return f"{run.id} kept no bodies: what it has paid for is not paid for again, and cannot be judged"


def _memory(endpoint: Endpoint, runs: Sequence[Run], ledger: Ledger | None) -> Memory | None:
    """What earlier runs have heard of an endpoint, and what they had set aside."""
    if not runs:
        return None
    heard = [_heard_of(run, endpoint) for run in runs]
    family = f"{endpoint.name} "
    held = {}
    for reservation in ledger.pending() if ledger else ():
        by, _, name = reservation.why.partition(" ")
        if by in {run.id for run in runs} and name.startswith(family):
            held[name] = reservation
    written = (Path(runs[0].folder) / FILE).stat().st_mtime
    since = max(0.0, time.time() - written) + max((one.at + one.took for each in heard for one in each), default=0.0)
    return Memory.of(family, heard, since, held, tuple(run.id for run in runs))


def _heard_of(run: Run, endpoint: Endpoint) -> list[Exchange]:
    """The exchanges of one endpoint of a run, also of the one at which it was cut off."""
    if any(verdict.endpoint == endpoint.name for verdict in run.verdicts):
        return own_exchanges(run, endpoint)
    if [verdict.endpoint for verdict in run.verdicts] != run.options["endpoints"][: len(run.verdicts)]:
        return []
    if run.options["endpoints"][len(run.verdicts)] != endpoint.name:
        return []
    return list(run.exchanges[sum(verdict.summary.calls for verdict in run.verdicts) :])


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
    scarce = options.bounds.scarce
    return [
        (endpoint, plan(endpoint, profile=options.profile, embedded=own, paid=paid, scarce=scarce))
        for endpoint in endpoints
    ]


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
        redactor=Redactor(keys_in(endpoints, exchanges)),
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
    trouble: Callable[[str], None] = lambda line: None,
) -> Run:
    """Serve a proxy until interrupted (or for so long), then judge what went through it. `trouble` is told, in a
    sentence, what went wrong on our own side.

    A key is learnt from the call that carries it, before anything is kept that it might be echoed in.
    Raises UsageError for a target that is no address, CouldNotTell when nothing went through.
    """
    if urlsplit(target).scheme not in ("http", "https") or not urlsplit(target).hostname:
        raise UsageError(f"--target {target!r} is not an address: write it like https://api.example.com")
    redactor = Redactor([], own=[urlsplit(target).netloc])
    providers = {endpoint.provider.name: endpoint.provider for endpoint in endpoints}.values()
    writer = RunWriter.create(
        report_dir,
        command="proxy",
        target=target,
        seed=0,
        version=__version__,
        options={},
        specs=spec_hashes(endpoints),
        keep_bodies=True,
        redactor=redactor,
    )
    with writer:
        standing = Proxy(
            tuple(endpoints),
            target,
            port=port,
            asked=lambda call: redactor.learn(carried(providers, call)),
            heard=writer.exchange,
            trouble=lambda line: trouble(redactor.text(line)),
        )
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


def replay(
    folder: Path, number: int, target: str | None = None, budget: Money | None = None
) -> tuple[Finding, bool, int]:
    """One finding of a kept run, carried out again: the finding, whether it still holds, and how many calls it took.

    What is paid is taken from `budget`. Raises UsageError for a paid host without one.
    """
    run = load_run(folder)
    finding = pick(run, number)
    (endpoint,) = resolve(finding.endpoint)
    live = target is None and bool(run.options.get("live"))
    base = None if live else target or (None if run.target == "mock" else run.target)
    options = CheckOptions(target=base, live=live, budget=budget, seed=run.seed)
    at = target_of(endpoint, options)
    with ExitStack() as stack:
        ledger = _ledger(endpoint, _purses([(endpoint, at)], options, stack)) if at.paid else None
        again, said = replay_finding(endpoint, finding, run, at, ledger)
    return finding, again, len(said)


def exit_code(run: Run, fail_on: Severity = Severity.VIOLATION) -> int:
    """What a finished run ends with: 130 where it was interrupted, 1 for findings at or above `fail_on`, 3 where
    nothing could be told, 4 where the budget of money or time ended it, 0 when it conforms."""
    stops = [verdict.summary.stopped for verdict in run.verdicts]
    if INTERRUPTED in stops:
        return 130
    if any(finding.severity.rank >= fail_on.rank for finding in run.findings):
        return 1
    if any(stop.startswith("could not tell") for stop in stops) or not run.exchanges:
        return 3
    return 4 if any(stops) else 0
