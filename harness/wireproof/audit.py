"""Client conformance: a client goes through scenarios, each against a mock of its own, and is judged.

    run = audit(endpoint, ["python", "my_client.py"], choose("all"), report_dir=Path("reports/runs"))

The command is started once for each scenario and told where to go: `WIREPROOF_URL`, `WIREPROOF_KEY`,
`WIREPROOF_TIME_SCALE`, and what the contract's recipes name. What it sent is judged by `check.client`.
Inside a test a `Session` does the same without a process: a transport, or a socket, and what was heard there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import math
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit

from wireproof import __version__
from wireproof.check.client import RULES, Ended, Played, judge, notes
from wireproof.check.trace import read
from wireproof.clock import Clock, ScaledClock, SteppedClock
from wireproof.errors import UsageError
from wireproof.mock.answer import Answer, pieces
from wireproof.mock.channels import Channels
from wireproof.mock.courier import Courier, aim
from wireproof.mock.effects import Send
from wireproof.mock.engine import Mock
from wireproof.mock.moods import Mood
from wireproof.mock.scenario import CALM, NotHere, Scenario, Staged, stage
from wireproof.mock.socket import serving
from wireproof.mock.transport import AsyncEngineTransport, EngineTransport
from wireproof.model import Call, Cover, Credential, Endpoint, Exchange, Finding, Reply, Run, Severity, Summary, Verdict
from wireproof.money import Money
from wireproof.runlog import RunWriter, load_run
from wireproof.secrets import Redactor
from wireproof.spec.values import outputs_of, price_of

TIME_SCALE = 10.0
"""How much faster than real time the mock's clock runs, unless a scenario is paced."""
FIRST_LIMIT = 20.0
"""Real seconds that a client has for a scenario before its deadline is waited for on a faster clock."""
LAST_LIMIT = 15.0
"""Real seconds that a client's whole patience takes on that faster clock."""
SILENCE = 62.0
"""Real seconds after which a client that hangs in a silent call is stopped: time-outs are often not scaled."""
BUSY = 0.75
"""Real seconds that a busy machine may be late without anybody's fault."""
PATIENCE = 600.0
"""Seconds of the mock's clock: a careful client has given up after twice this or twice the contract's deadline."""
TIMED = frozenset({"CLI003", "CLI004", "CLI005", "CLI006", "CLI019"})
"""Rules about waits: not judged where time stands still."""
MANY = 300
"""Calls after which a client that still waits is not one whose steps are slow, but one that waits for ever."""
FEW = 100
"""With fewer calls than this, a client that waits in slow steps may have a deadline that is counted in them."""
REAL = 1.0
"""On a clock of this speed nothing is hurried: for clients whose waits are constants."""
REAL_LIMIT = 100.0
"""Real seconds that such a client has for a scenario; what it still waits for then stays open."""
MOST_TEXT = 256 * 1024
"""Bytes of the client's own output that are read."""
_KEYS = re.compile(r"(^|_)(API_?KEY|API_?TOKEN|ACCESS_KEY|SECRET(_KEY)?)(_\d+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one scenario."""

    scenario: Scenario
    played: Played | None = None
    exchanges: tuple[Exchange, ...] = ()
    findings: tuple[Finding, ...] = ()
    why_not: str = ""
    """Why nothing can be said; empty: it passed or failed for real."""
    seconds: float = 0.0
    """Real ones."""

    @property
    def passed(self) -> bool | None:
        """None: nothing can be said."""
        if any(one.severity is Severity.VIOLATION for one in self.findings):
            return False
        return None if self.why_not else True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a client is put to the proof."""

    endpoint: Endpoint
    command: tuple[str, ...]
    seed: int = 0
    time_scale: float = TIME_SCALE
    silence: float = SILENCE
    """Real seconds; see `SILENCE`."""
    cwd: Path | None = None
    heard: Callable[[Exchange], None] = lambda exchange: None

    @property
    def bound(self) -> float:
        """Seconds of the mock's clock in which a careful client has given up."""
        return 2 * max(self.endpoint.provider.poll.deadline.seconds or 0.0, PATIENCE)


def audit(
    endpoint: Endpoint,
    command: Sequence[str],
    scenarios: Sequence[Scenario],
    *,
    report_dir: Path,
    seed: int = 0,
    time_scale: float = TIME_SCALE,
    parallel: int = 6,
    silence: float = SILENCE,
    heard: Callable[[Exchange], None] = lambda exchange: None,
    done: Callable[[Result], None] = lambda result: None,
) -> Run:
    """Put a client through scenarios, keep the run, and give it back as it was kept.

    `heard` is told of every exchange and `done` of every scenario, from several threads. Raises UsageError
    when the command cannot be started at all.
    """
    if not command:
        raise UsageError("there is no command to start: put your client's behind --")
    plan = Plan(
        endpoint=endpoint, command=tuple(command), seed=seed, time_scale=time_scale, silence=silence, heard=heard
    )
    results = numbered(play_all(plan, scenarios, parallel=parallel, done=done))
    return _kept(plan, results, report_dir)


# ------------------------------------------------------------------------------------------ playing


def play_all(
    plan: Plan,
    scenarios: Sequence[Scenario],
    *,
    parallel: int = 6,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Every scenario once, the calm one first: a client that does not end there proves nothing elsewhere."""
    found: dict[str, Result] = {}
    first = [one for one in scenarios if one.name == CALM]
    for scenario in first:
        found[scenario.name] = _play(plan, scenario, done)
    why_not = _proves_nothing(found.get(CALM))
    rest = sorted((one for one in scenarios if one not in first), key=_how_long, reverse=True)
    if not why_not and CALM in found and not _has_socket(found[CALM]):
        found |= {one.name: _told(one, done) for one in rest if "websocket" in one.needs}
        rest = [one for one in rest if one.name not in found]
    if why_not:
        found |= {one.name: Result(scenario=one, why_not=why_not) for one in rest}
    else:
        with ThreadPoolExecutor(max(1, parallel)) as pool:
            for result in pool.map(lambda one: _play(plan, one, done), rest):
                found[result.scenario.name] = result
    return [found[one.name] for one in scenarios]


def _proves_nothing(calm: Result | None) -> str:
    if calm is None or calm.played is None or calm.played.ended is None:
        return ""
    if not calm.exchanges:
        return "the client called nothing, even when nothing went wrong"
    if calm.played.ended.code is None:
        return "the client did not end, even when nothing went wrong"
    return "the client failed, even when nothing went wrong" if calm.played.ended.code else ""


def _how_long(scenario: Scenario) -> float:
    """About how long it takes compared with others: the long ones are begun first."""
    return max(scenario.pace, *(float(fault.get("with", {}).get("more", 0.0)) for fault in scenario.faults), 0.0)


def _has_socket(calm: Result) -> bool:
    return any(exchange.channel == "websocket" for exchange in calm.exchanges)


def _told(scenario: Scenario, done: Callable[[Result], None]) -> Result:
    """What is known of a scenario about WebSockets without playing it: the client opens none."""
    result = Result(scenario=scenario, why_not="the client opens no WebSocket")
    done(result)
    return result


def _play(plan: Plan, scenario: Scenario, done: Callable[[Result], None]) -> Result:
    began = time.monotonic()
    try:
        result = _judged(plan, scenario)
    except NotHere as why:
        result = Result(scenario=scenario, why_not=str(why))
    result = replace(result, seconds=time.monotonic() - began)
    done(result)
    return result


def _judged(plan: Plan, scenario: Scenario) -> Result:
    hurried = plan.time_scale > REAL
    scale = plan.time_scale * (scenario.pace if hurried else 1.0)
    result = _once(plan, scenario, scale, _limit(plan, scenario, scale) if hurried else REAL_LIMIT)
    if _may_still_wait(plan, result):
        if not hurried:
            return replace(result, why_not=f"still waiting after {REAL_LIMIT:.0f} s, and its own deadline may be later")
        if result.played and _plods(result.exchanges, result.played.bound, FEW):
            return replace(result, why_not=f"still waiting in slow steps after {len(result.exchanges)} calls")
        if not _is_silent(scenario):
            # It may be within a deadline of its own: look again on a clock on which that deadline comes soon.
            faster = max(scale, plan.bound / LAST_LIMIT)
            result = _once(plan, scenario, faster, plan.bound / faster)
    if result.played is None or not result.exchanges:
        return replace(result, why_not=_why_not(result, ()))
    found = tuple(_with_replay(plan, scenario, one) for one in judge(result.played))
    return replace(result, findings=found, why_not=_why_not(result, found))


def _may_still_wait(plan: Plan, result: Result) -> bool:
    """Whether a client that had to be stopped may have had a deadline of its own that was not over."""
    ended = result.played.ended if result.played else None
    early = ended is not None and (ended.at < plan.bound or _plods(result.exchanges, ended.at, FEW))
    return early and ended is not None and ended.code is None and bool(result.exchanges)


def _plods(exchanges: Sequence[Exchange], now: float, most: int) -> bool:
    """Whether a client has made few calls so far, and one of them not long ago."""
    return 0 < len(exchanges) < most and exchanges[-1].at > 0.8 * now


def _limit(plan: Plan, scenario: Scenario, scale: float) -> float:
    """Real seconds until a client is stopped."""
    if _is_silent(scenario):
        return plan.silence
    return min(plan.bound / scale, LAST_LIMIT + 5.0) if scenario.pace > 5 else FIRST_LIMIT


def _is_silent(scenario: Scenario) -> bool:
    return any(fault["fault"] == "silence" for fault in scenario.faults)


def _why_not(result: Result, found: Sequence[Finding]) -> str:
    """Why a scenario without a violation proves nothing: its trouble never came up."""
    if found or result.played is None:
        return ""
    if not result.exchanges:
        return "the client called nothing"
    scenario = result.scenario
    if scenario.strikes_by_rule() and not any(
        e.purpose.startswith("mood ") or "; mood " in e.purpose for e in result.exchanges
    ):
        return f"the client never made the call that this is about ({', '.join(sorted(scenario.roles)) or 'any'})"
    if "several" in scenario.needs and _asked_for(result) < 2:
        return "the client asked for one picture only"
    if "webhook" in scenario.needs and not any(e.channel == "webhook" for e in result.exchanges):
        return "the client named no address to be called at"
    return ""


def _asked_for(result: Result) -> int:
    played = result.played
    return max((outputs_of(played.trace.endpoint, s.values) for s in played.submits), default=1) if played else 1


@dataclass(slots=True)
class _Ear:
    """Hears everything that is said in one scenario, at both origins."""

    key: str
    header: str
    heard: Callable[[Exchange], None]
    exchanges: list[Exchange] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def here(self, call: Call, answer: Answer, at: float) -> None:
        self.keep(call, answer, at, foreign=False)

    def elsewhere(self, call: Call, answer: Answer, at: float) -> None:
        self.keep(call, answer, at, foreign=True)

    def socket(self, call: Call, answer: Answer, at: float, channel: str) -> None:
        self.keep(call, answer, at, foreign=False, channel=channel)

    def keep(self, call: Call, answer: Answer, at: float, *, foreign: bool, channel: str = "http") -> None:
        """Put one exchange into the record."""
        with self.lock:
            exchange = _exchange(len(self.exchanges) + 1, call, answer, at, self._credential(call), channel)
            self.exchanges.append(exchange)
            if foreign:
                self.foreign.add(exchange.seq)
        self.heard(exchange)

    def is_excused(self, now: float) -> bool:
        """Whether the client is still to be answered, or goes its way in slow steps (a shell script's polls)."""
        with self.lock:
            waited_on = any(e.broke == "timeout" or e.at + e.took > now for e in self.exchanges[-3:])
            return waited_on or _plods(self.exchanges, now, MANY)

    def _credential(self, call: Call) -> Credential:
        given = call.header(self.header)
        if given is None:
            return Credential.NONE
        return Credential.GOOD if self.key in given else Credential.UNKNOWN


def _exchange(seq: int, call: Call, answer: Answer, at: float, credential: Credential, channel: str) -> Exchange:
    delivery, body = answer.delivery, answer.reply.body
    broke = "timeout" if delivery.silence else "reset" if delivery.reset and delivery.cut_after is None else None
    if delivery.cut_after is not None:
        broke, body = "truncated", body[: delivery.cut_after]
    return Exchange(
        seq=seq,
        call=call,
        reply=None if broke in ("timeout", "reset") else Reply(answer.reply.status, answer.reply.headers, body),
        broke=broke,
        at=round(at, 4),
        took=round(answer.after + (delivery.drip or 0.0) * (len(pieces(body, delivery)) - 1), 4),
        operation=answer.operation,
        credential=credential,
        channel=channel,
        purpose=answer.rule,
    )


def _once(plan: Plan, scenario: Scenario, scale: float, limit: float) -> Result:
    """One run of the command in one scenario. Raises NotHere."""
    stage(scenario, plan.endpoint)
    with contextlib.ExitStack() as stack:
        clock = ScaledClock(scale)
        engine = _Late()
        key = Mock([plan.endpoint], seed=plan.seed).key(plan.endpoint.provider.name)
        ear = _Ear(key, plan.endpoint.provider.auth.header, plan.heard)
        caller = stack.enter_context(_Caller(clock, ear).running())
        elsewhere = stack.enter_context(serving(engine, clock=clock, on_exchange=ear.elsewhere, on_effect=caller.take))
        engine.mock = mock = _mock(plan, stage(scenario, plan.endpoint, elsewhere))
        channels = Channels(mock, clock, caller.take, ear.socket)
        url = stack.enter_context(
            serving(mock, clock=clock, on_exchange=ear.here, on_effect=caller.take, upgrade=channels.upgrade)
        )
        ended = _run(plan, _environment(plan.endpoint, url, key, scale), clock, limit, ear.is_excused)
        time.sleep(0.02)  # what the client left on the wire is still heard
    with ear.lock:
        exchanges = tuple(ear.exchanges)
    ids = [job.id for job in mock.memory]
    played = Played(
        scenario=scenario.name,
        trace=read(plan.endpoint, exchanges),
        ends=scenario.ends,
        again=scenario.again,
        foreign=frozenset(ear.foreign),
        key=key,
        slack=BUSY * scale if scenario.pace <= 2 else math.inf,
        wall=clock.wall() - clock.now(),
        taken=len(ids),
        ids=frozenset(map(unquote, ids)),
        bound=max(ended.at, 0.0) if ended.code is None else plan.bound,
        ended=ended,
    )
    return Result(scenario=scenario, played=played, exchanges=exchanges)


def _mock(plan: Plan, staged: Staged) -> Mock:
    return Mock([plan.endpoint], seed=plan.seed, mood=staged.mood, manners=staged.manners)


class _Late:
    """An engine that is there before the mock is: the mock has to know the other address."""

    mock: Mock

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        return self.mock.answer(call, now, wall)


class _Caller:
    """Makes the calls that a host makes by itself, to addresses on this machine only."""

    def __init__(self, clock: ScaledClock, ear: _Ear) -> None:
        self.courier = Courier(clock)
        self.ear = ear
        self._lock = threading.Lock()
        self._enough = threading.Event()

    def take(self, effect: object) -> None:
        if not isinstance(effect, Send):
            return
        place = aim(effect.call.url)
        with self._lock:
            if place and place[0] in ("127.0.0.1", "localhost", "::1"):
                self.courier.targets |= {place}
            self.courier.take(effect)

    @contextlib.contextmanager
    def running(self) -> Iterator[_Caller]:
        """While the block lasts, what is due is sent; then what was sent is put into the record."""
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._enough.set()
            thread.join()
            self._tell()

    def _work(self) -> None:
        while not self._enough.wait(0.005):
            if self.courier.next_due() is not None:
                with self._lock:
                    asyncio.run(self.courier.run_due())

    def _tell(self) -> None:
        for record in self.courier.records:
            for at, status in record.attempts:
                seq = len(self.ear.exchanges) + 1
                self.ear.exchanges.append(
                    Exchange(
                        seq=seq,
                        call=record.send.call,
                        reply=Reply(status),
                        at=at,
                        operation="webhook",
                        channel="webhook",
                    )
                )


# ------------------------------------------------------------------------------------------ the process


def _environment(endpoint: Endpoint, url: str, key: str, scale: float) -> dict[str, str]:
    """The child's environment: where to go, how fast time runs, and no real key."""
    filled = {"{url}": url, "{key}": key, "{ws}": "ws" + url.removeprefix("http")}
    env = {name: "wireproof-dummy" if _KEYS.search(name) else value for name, value in os.environ.items()}
    for recipe in endpoint.provider.recipes.values():
        for name, value in (recipe.get("env") or {}).items():
            env[name] = functools.reduce(lambda text, pair: text.replace(*pair), filled.items(), str(value))
    env[endpoint.provider.auth.env] = key
    near = "127.0.0.1,localhost"  # a proxy must not stand between a client and this machine
    return env | {
        "WIREPROOF_URL": url,
        "WIREPROOF_KEY": key,
        "WIREPROOF_TIME_SCALE": f"{scale:g}",
        "NO_PROXY": near,
        "no_proxy": near,
    }


def _run(
    plan: Plan, env: Mapping[str, str], clock: ScaledClock, limit: float, is_excused: Callable[[float], bool]
) -> Ended:
    """Start the command, wait for its end, stop it when it takes too long.

    One that is excused has until `plan.silence`: its time-out may be one of real seconds, or its steps be slow."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                plan.command,
                env=dict(env),
                cwd=plan.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(f"{plan.command[0]} cannot be started: {error.strerror or error}") from error
        code, waited = _waited(process, limit), limit
        while code is None and waited < plan.silence and is_excused(clock.now()):
            code, waited = _waited(process, 1.0), waited + 1.0
        at = clock.now()
        _stop(process)
        return Ended(code=code, stdout=_text(out), stderr=_text(err), at=at)


def _waited(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit status; None when it does not end in time."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started: they are one group, and it is ours."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(MOST_TEXT).decode("utf-8", "replace")


# ------------------------------------------------------------------------------------------ the run


def numbered(results: Sequence[Result]) -> list[Result]:
    """The results with their exchanges numbered through, each scenario's under its own name."""
    numbers = itertools.count(1)
    return [_renumbered(result, numbers) for result in results]


def _renumbered(result: Result, numbers: Iterator[int]) -> Result:
    new = {exchange.seq: next(numbers) for exchange in result.exchanges}
    name = result.scenario.name
    return replace(
        result,
        exchanges=tuple(replace(e, seq=new[e.seq], job=name, output=_output(e)) for e in result.exchanges),
        findings=tuple(
            replace(one, evidence=tuple(new[seq] for seq in one.evidence if seq in new)) for one in result.findings
        ),
    )


def _output(exchange: Exchange) -> int | None:
    return 0 if exchange.operation == "media" else None


def _with_replay(plan: Plan, scenario: Scenario, one: Finding) -> Finding:
    again = ["wireproof", "client", plan.endpoint.name, "--scenario", scenario.name, "--", *plan.command]
    return replace(one, replay=shlex.join(again))


def verdict(endpoint: Endpoint, results: Sequence[Result]) -> Verdict:
    """What the scenarios say of a client."""
    prices = [_price(endpoint, result) for result in results if result.played]
    return Verdict(
        endpoint=endpoint.name,
        findings=_folded(results),
        coverage=tuple(
            Cover(
                kind="scenario",
                name=result.scenario.name,
                seen=result.passed is not None,
                why_not=result.why_not,
                evidence=tuple(e.seq for e in result.exchanges[:1]),
            )
            for result in results
        ),
        summary=Summary(
            endpoint=endpoint.name,
            calls=sum(len(result.exchanges) for result in results),
            jobs=sum(result.played.taken or 0 for result in results if result.played),
            seconds=sum(result.seconds for result in results),
            spent=functools.reduce(Money.__add__, [p for p in prices if p]) if any(prices) else None,
            stopped=_could_not_tell(results),
        ),
        notes=tuple(_notes(results)),
    )


def _price(endpoint: Endpoint, result: Result) -> Money | None:
    submits = result.played.submits if result.played else []
    price = price_of(endpoint, submits[-1].values) if submits else None
    return Money(price.amount * (result.played.taken or 0), price.unit) if price and result.played else None


def _folded(results: Sequence[Result]) -> tuple[Finding, ...]:
    """All findings; a request that breaks the contract in the same way everywhere is told once."""
    told: dict[tuple[str, str, Severity], Finding] = {}
    for result in results:
        for one in result.findings:
            about = one.subject.partition(":")[2] if one.check == "CLI001" else one.subject
            told.setdefault((one.check, about, one.severity), one)
    return tuple(told.values())


def _could_not_tell(results: Sequence[Result]) -> str:
    if any(result.passed is False for result in results):
        return ""
    if not any(result.exchanges for result in results):
        return f"could not tell: the client called nothing at WIREPROOF_URL{_said(results)}"
    return "" if any(result.passed for result in results) else "could not tell: no scenario came about"


def _said(results: Sequence[Result]) -> str:
    ended = next((r.played.ended for r in results if r.played and r.played.ended), None)
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()] if ended else []
    return f"; it ended with {ended.code if ended else None}: {lines[-1][:200]}" if lines else ""


def _notes(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        if result.played:
            yield from notes(result.played)


def _kept(plan: Plan, results: Sequence[Result], report_dir: Path) -> Run:
    keys = {result.played.key for result in results if result.played}
    origins = {urlsplit(e.call.url).netloc for result in results for e in result.exchanges}
    redactor = Redactor([*keys, *(quote(key) for key in keys)], own=origins)
    writer = RunWriter.create(
        report_dir,
        command="client",
        target="mock",
        seed=plan.seed,
        version=__version__,
        options={"client": " ".join(plan.command), "time_scale": plan.time_scale, "rules": len(RULES)},
        specs={},
        keep_bodies=True,
        redactor=redactor,
    )
    with writer:
        for result in results:
            for exchange in result.exchanges:
                writer.exchange(_without_pictures(exchange))
        writer.verdict(verdict(plan.endpoint, results))
        folder = writer.close()
    return load_run(folder)


def _without_pictures(exchange: Exchange) -> Exchange:
    """Pictures were judged already; a run with hundreds of them would be large."""
    reply = exchange.reply
    if reply is None or len(reply.body) <= MOST_TEXT or exchange.operation != "media":
        return exchange
    return replace(exchange, reply=replace(reply, body=reply.body[:64]))


# ------------------------------------------------------------------------------------------ inside a test


class Session:
    """A mock inside a test: what it serves, what it heard, and what is to be said of it.

    Its time stands still but for `step` seconds after each call, so that a client that polls without waiting
    makes its way through a job and no test takes time; how fast a client polls is not judged then.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        scenario: Scenario | None = None,
        mood: Mood | None = None,
        seed: int = 0,
        step: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Raises NotHere for a scenario that cannot happen at this host."""
        self.endpoint = endpoint
        self.scenario = scenario
        self.elsewhere = "http://elsewhere.wireproof"
        staged = stage(scenario, endpoint, self.elsewhere) if scenario else None
        chosen = mood or (staged.mood if staged else None)
        self.mock = Mock([endpoint], seed=seed, mood=chosen, manners=staged.manners if staged else None)
        self.clock: Clock = clock or SteppedClock()
        self.step = (endpoint.provider.poll.every.seconds or 1.0) if step is None else step
        self.key = self.mock.key(endpoint.provider.name)
        self.url = "http://mock.wireproof"
        self.recorded: tuple[Exchange, ...] = ()
        self._ear = _Ear(self.key, endpoint.provider.auth.header, lambda exchange: None)

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        """The mock's answer; then time goes on."""
        answer = self.mock.answer(call, now, wall)
        if isinstance(self.clock, SteppedClock) and answer.operation != "media":
            self.clock.advance(self.step)
        return answer

    def hear(self, call: Call, answer: Answer, at: float) -> None:
        """Take note of one exchange."""
        self._ear.keep(call, answer, at, foreign=call.url.startswith(self.elsewhere))

    @property
    def transport(self) -> EngineTransport:
        """For `httpx.Client(transport=…, base_url=…)`."""
        return EngineTransport(self, clock=self.clock, on_exchange=self.hear)

    @property
    def async_transport(self) -> AsyncEngineTransport:
        """For `httpx.AsyncClient(transport=…, base_url=…)`."""
        return AsyncEngineTransport(self, clock=self.clock, on_exchange=self.hear)

    @property
    def httpx2_transport(self) -> Any:
        """For clients of httpx2, sync and async. Raises ImportError where httpx2 is not installed."""
        from wireproof.mock.successor import transport

        return transport(self, clock=self.clock, on_exchange=self.hear)

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """The address of a socket on this machine, while the block lasts."""
        with serving(self, clock=self.clock, on_exchange=self.hear) as url:
            self.url = url
            yield url

    @property
    def journal(self) -> tuple[Exchange, ...]:
        """Everything that was said so far."""
        with self._ear.lock:
            return (*self.recorded, *self._ear.exchanges)

    @property
    def played(self) -> Played:
        """What a judge reads."""
        jobs = list(self.mock.memory)
        return Played(
            scenario=self.scenario.name if self.scenario else CALM,
            trace=read(self.endpoint, self.journal),
            ends="success",
            again=self.scenario.again if self.scenario else "may",
            foreign=frozenset(self._ear.foreign),
            key=self.key,
            taken=None if self.recorded else len(jobs),
            ids=None if self.recorded else frozenset(job.id for job in jobs),
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the client did wrong so far, an unexpected address included."""
        untold = TIMED if isinstance(self.clock, SteppedClock) else frozenset()
        return tuple(one for one in judge(self.played) if one.check not in untold)

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that fail a strict test: broken promises, and what the contract does not know at all."""
        return tuple(
            one
            for one in self.findings
            if one.severity is Severity.VIOLATION or one.subject.endswith(".unknown") or ":address " in one.subject
        )


def heard(exchanges: Iterable[Exchange], endpoint: Endpoint) -> Session:
    """Exchanges that somebody else recorded, as a session that can be judged."""
    session = Session(endpoint)
    session.recorded = tuple(exchanges)
    return session


def explain(session: Session, findings: Sequence[Finding]) -> str:
    """The findings of a test, to be read where it failed."""
    by_seq = {exchange.seq: exchange for exchange in session.journal}
    return "\n\n".join("\n".join(_lines(one, by_seq)) for one in findings)


def _lines(one: Finding, by_seq: Mapping[int, Exchange]) -> Iterator[str]:
    yield f"{one.check} {one.says}"
    yield from (
        f"  {label} {text}" for label, text in (("- expected:", one.expected), ("+ actual:  ", one.actual)) if text
    )
    if one.where.file:
        yield f"    contract: {one.where} {one.where.pointer}"
    for seq in one.evidence[:5]:
        if seq in by_seq:
            call, reply = by_seq[seq].call, by_seq[seq].reply
            body = call.body.decode("utf-8", "replace")[:400]
            yield f"    #{seq} {call.method} {call.url} {body} -> {reply.status if reply else by_seq[seq].broke}"
