"""A conformance run: drive an endpoint through its documented behaviour, and judge what came back.

The plan is a list of steps with their prices, free ones first. Against the embedded mock time is
stepped and trouble can be staged; against any other server only HTTP is used.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from wireproof.check import again
from wireproof.check import jobs as job_checks
from wireproof.check import outputs as _outputs  # noqa: F401
from wireproof.check import relations as _relations_checks  # noqa: F401
from wireproof.check import replies as reply_checks
from wireproof.check.cover import cover
from wireproof.check.media import Decoder, Eyes, from_base64, from_data_uri
from wireproof.check.registry import CHECKS, judge
from wireproof.check.relations import changed
from wireproof.check.trace import FOLLOWED, ONCE_MORE, Reader, Seen, Trace
from wireproof.check.untested import Part, told, untested
from wireproof.clock import Clock, RealClock, SteppedClock
from wireproof.errors import CouldNotTell, Interrupted, OverBudget, Unreachable
from wireproof.generate import cases
from wireproof.ledger import Charge, Ledger, Reservation
from wireproof.ledger import Stopped as Closed
from wireproof.lifecycle import Status
from wireproof.load.quantiles import not_seen
from wireproof.mock.engine import Mock
from wireproof.mock.manners import Manners
from wireproof.mock.transport import EngineTransport
from wireproof.model import (
    Call,
    Cover,
    Credential,
    Does,
    Endpoint,
    Exchange,
    Finding,
    Kind,
    Poll,
    Severity,
    Summary,
    Verdict,
)
from wireproof.money import Money, exact
from wireproof.probe import stories
from wireproof.probe.driver import Bounds, Driver, Stopped, Story, Want
from wireproof.probe.memory import Memory, Skipped
from wireproof.probe.sender import Sender
from wireproof.probe.stories import Stage
from wireproof.runlog import Digest
from wireproof.spec.values import ceiling_of, price_of, refusal_billed
from wireproof.wire import links, replies, requests
from wireproof.wire.dialogue import Cadence, Dialogue, contract_cadence

SURPRISES = 3
"""So many requests that a paid host takes and should refuse end the probing with such requests, of whatever kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is driven: a base address and the keys for it. `mock`: the embedded one."""

    base: str
    key: str | None
    other_key: str | None = None
    paid: bool = False
    """Whether accepted jobs cost money there."""
    mock: Mock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One part of the plan: what it does, how many calls and jobs it takes at most, what it may cost."""

    name: str
    calls: int
    jobs: int
    price: Money | None
    make: Callable[[Stage], Iterator[Story]]
    together: int = 8
    opening: bool = False
    """Whether these are the first jobs of all: looked at most closely, and before others begin."""
    surprising: bool = False
    """Whether nothing of it should start a job, and all of it would be paid for that does."""
    parts: tuple[Part, ...] = ()
    """What it tests, one by one, and what each costs."""


SEARCHES: Mapping[str, tuple[int, int, int]] = {
    "quick": (0, 0, 0),
    "standard": (60, 0, 20),
    "thorough": (300, 150, 80),
}
"""For each profile: how many forbidden, valid and odd requests are drawn, where they cost nothing."""

STRANGERS = "another account"
"""The step that needs a second account's key."""

INTERRUPTED = "it was interrupted"
"""What a run says that a person ended."""

SMALL = (150, 12)
"""Bounds on calls and jobs below which the quick profile is chosen by itself."""

MOST_NARROWED = 40
"""So many single values are tried to find which one of a request was refused."""

SEVERAL = 3
"""So many jobs that all failed say that something is wrong with the requests or with the day."""

FEW = 10
"""Fewer answers than this say nothing of defects that strike at random."""

CROWD = 24
"""So many jobs run at once against a server of this machine."""

LOOKED_AT_LATE, FEW_LATE = 3, 2
"""So many jobs are looked at again late; in a quick run fewer."""

MOST_FOUND = 8
"""So many different findings a search goes on after."""

OPENING = 2
"""So many jobs go before all others. Where neither of them ends, the others are not followed as long."""

IMPATIENT = 0.1
"""The part of their deadline for which jobs are followed at a host whose first jobs did not end."""

QUICK_JOBS = 4
"""So many valid jobs the quick profile submits; they exercise the most values first."""


def embedded(endpoint: Endpoint, seed: int = 0, manners: Manners | None = None) -> Target:
    """The endpoint's own contract, served in this process."""
    mock = Mock([endpoint], seed=seed, manners=manners)
    provider = endpoint.provider.name
    return Target(
        base="http://mock.wireproof", key=mock.key(provider), other_key=mock.key(provider, "other"), mock=mock
    )


def is_loopback(url: str) -> bool:
    """Whether an address leads to this machine by its spelling alone."""
    host = links.parts(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# ------------------------------------------------------------------------------------------ the plan


def plan(
    endpoint: Endpoint, *, profile: str = "standard", embedded: bool = False, paid: bool = True
) -> tuple[Step, ...]:
    """What a run would do, in order, each step with what it may cost.

    On a paid host everything that costs nothing goes first; elsewhere the first jobs follow the keys, since they
    show the most.
    """
    base = cases.base(endpoint)
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    run = endpoint.doing(Does.RUN)
    if submit is None:
        raise CouldNotTell(f"{endpoint.name} has no operation that starts a job: there is nothing to drive")
    valid = cases.pairs(endpoint) if profile == "thorough" else cases.allowed(endpoint)
    chosen = valid[:QUICK_JOBS] if profile == "quick" else valid
    again = 0 if profile == "quick" else 1
    opening = _jobs_step(endpoint, "first jobs", "first", chosen[:OPENING], again, opening=True)
    steps = [
        _step(endpoint, "keys", lambda s: list(stories.without_key(s, base, few=profile == "quick")), free=True),
        *([] if paid else [opening]),
        _step(endpoint, "unknown ids", lambda s: list(stories.unknown_ids(s)), free=True),
        _step(endpoint, "unknown model", lambda s: list(stories.unknown_model(s, base)), free=True),
        _step(endpoint, "wrong method", lambda s: list(stories.wrong_method(s)), free=True),
        _step(endpoint, "other addresses", lambda s: list(stories.others(s)), free=True),
        _step(
            endpoint,
            "forbidden requests",
            lambda s: list(stories.bad_requests(s, submit, cases.forbidden(endpoint, submit))),
            free=True,
            breaks={case.purpose: case.covers for case in cases.forbidden(endpoint, submit)},
        ),
    ]
    if run is not None and run is not submit:
        few = functools.partial(_few_forbidden, endpoint, run)
        steps.append(_step(endpoint, f"forbidden requests to {run.name}", few, free=True))
    if paid:
        steps.append(opening)
    if chosen[OPENING:]:
        steps.append(
            _jobs_step(
                endpoint,
                "every pair of allowed values" if profile == "thorough" else "every allowed value",
                "value",
                chosen[OPENING:],
                again,
                closely=False,
            )
        )
    samples = [cases.from_example(endpoint, e) for e in endpoint.examples if _sound(endpoint, submit, e.parameters)]
    if samples and profile != "quick":
        steps.append(_jobs_step(endpoint, "the page's own samples", "sample", samples))
    troubles = [
        cases.Case(values={**base, **gift.parameters}, purpose=f"should end {gift.status.value}: {gift.says}")
        for gift in endpoint.provocations
    ]
    if troubles:
        steps.append(_jobs_step(endpoint, "jobs that should fail", "failing", troubles, closely=profile != "quick"))
    if run is not None and run is not submit:
        for i, way in enumerate(_ways_to_choose(endpoint, run)):
            label = f"run-{i + 1}"
            story = functools.partial(_blocking, label, {**base, **way}, run)
            steps.append(_story_step(endpoint, f"blocking {run.name}", label, base, story))
        if profile != "quick":
            for i, case in enumerate(_fullest(endpoint, valid, paid)):
                values = {**case.values, **run.request.select}
                story = functools.partial(_blocking, f"run-full-{i + 1}", values, run)
                name = f"blocking {run.name} with many values"
                steps.append(_story_step(endpoint, name, f"run-full-{i + 1}", values, story))
            for status, gift in {gift.status: gift for gift in reversed(endpoint.provocations)}.items():
                label, values = f"run-{status.value}", {**base, **run.request.select, **gift.parameters}
                story = functools.partial(_blocking, label, values, run)
                name = f"blocking {run.name} that should end {status.value}"
                steps.append(_story_step(endpoint, name, label, base, story))
    pairs = _relations(endpoint, base)
    if pairs and profile != "quick":
        steps.append(_jobs_step(endpoint, "relations between jobs", "relation", pairs))
    if endpoint.provider.repeat_id != "new":
        steps.append(
            _story_step(endpoint, "one id used twice", "twice", base, lambda s: [stories.same_id_twice(s, base)])
        )
    steps.append(
        _story_step(endpoint, STRANGERS, "strangers", base, lambda s: [stories.shown_to_others(s, "strangers", base)])
    )
    if embedded:
        steps.append(_step(endpoint, "staged troubles", lambda s: [], free=True))
    return tuple(steps)


def _relations(endpoint: Endpoint, base: Mapping[str, Any]) -> list[cases.Case]:
    """Two jobs for each metamorphic relation; jobs with the same values serve several relations."""
    jobs: dict[tuple[str, int], cases.Case] = {}
    seed = endpoint.parameters.get(endpoint.outputs.seed or "")
    for relation in endpoint.outputs.relations:
        touched = {*relation.first, *relation.second}
        # What is asked of another parameter is asked under one fixed seed.
        start = base if seed is None or seed.name in touched else {**base, seed.name: 7}
        first, second = changed(start, relation.first), changed(start, relation.second)
        # Two sides that are equal are two jobs.
        for values, copy in ((first, 0), (second, int(first == second))):
            case = cases.Case(values=values, purpose=f"valid: for a relation, {relation.name}")
            jobs.setdefault((str(sorted(values.items(), key=str)), copy), case)
    return list(jobs.values())


def _ways_to_choose(endpoint: Endpoint, operation: Any) -> Iterator[dict[str, Any]]:
    """The parameters that choose an operation: given, and left out where that means the same."""
    select = operation.request.select
    if select:
        yield dict(select)
    if all(endpoint.parameters[name].default == value for name, value in select.items()):
        yield {}


def _fullest(endpoint: Endpoint, valid: list[cases.Case], paid: bool) -> list[cases.Case]:
    """The requests that try the most values at once, and, where that costs nothing, the dearest: what holds for queued
    jobs need not hold for a blocking one."""
    if not valid:
        return []
    most = max(valid, key=lambda case: len(case.covers))
    prices = [(price.amount, i) for i, case in enumerate(valid) if (price := price_of(endpoint, case.values))]
    dearest = valid[max(prices, key=lambda pair: (pair[0], -pair[1]))[1]] if prices and not paid else most
    return [most] if dearest is most else [most, dearest]


def _blocking(label: str, values: Mapping[str, Any], operation: Any, stage: Stage) -> list[Story]:
    return [stories.whole_job(stage, label, values, "valid: blocking", operation=operation)]


def _sound(endpoint: Endpoint, operation: Any, values: Mapping[str, Any]) -> bool:
    """Whether a sample keeps the rules of its own contract, so that it deserves to be accepted."""
    known = {name: value for name, value in values.items() if name in endpoint.parameters}
    asked = requests.Asked(operation, known, job="00000000-0000-4000-8000-000000000000")
    return not [b for b in requests.breaches(endpoint, asked) if not _is_field(operation, b.parameter)]


def _is_field(operation: Any, name: str) -> bool:
    return any(field.name == name for field in operation.request.fields)


def _few_forbidden(endpoint: Endpoint, run: Any, stage: Stage) -> list[Want]:
    """The blocking operation shares its rules with the queued one: a few of them show that it applies them."""
    every = list(cases.forbidden(endpoint, run))
    return list(stories.bad_requests(stage, run, iter(every[:: max(1, len(every) // 4)])))


def _step(
    endpoint: Endpoint,
    name: str,
    wants: Callable[[Stage], list[Want]],
    *,
    free: bool,
    breaks: Mapping[str, tuple[str, ...]] | None = None,
) -> Step:
    """Single calls; `breaks`: the rules that calls break, by their purposes."""
    asked = wants(_dry_stage(endpoint))
    nothing = _nothing(endpoint)
    return Step(
        name=name,
        calls=len(asked),
        jobs=0,
        price=nothing,
        surprising=any(one.paid for one in asked),
        parts=tuple(
            Part(
                name=f"{one.operation}: {one.purpose}",
                step=name,
                covers=tuple(("bound", fact) for fact in (breaks or {}).get(one.purpose, ())),
                price=nothing,
            )
            for one in asked
        ),
        make=lambda stage: (stories.single(want, stage.clock) for want in wants(stage)),
        together=1,
    )


def _jobs_step(
    endpoint: Endpoint,
    name: str,
    label: str,
    batch: list[cases.Case],
    again: int = 1,
    *,
    opening: bool = False,
    closely: bool = True,
) -> Step:
    """Whole jobs; `again`: how often each is asked after when it is over.

    The first of all, and the first of a kind, are looked at most closely: early, often, and without a key.
    """
    prices = [price_of(endpoint, case.values) for case in batch]
    known = [price for price in prices if price is not None]
    total = functools.reduce(Money.__add__, known) if known and len(known) == len(prices) else None

    def make(stage: Stage) -> Iterator[Story]:
        for i, case in enumerate(batch):
            yield stories.whole_job(
                stage,
                f"{label}-{i + 1}",
                case.values,
                case.purpose,
                polls_after=3 if closely and i == 0 else again,
                ask_early=closely and i == 0,
            )

    parts = tuple(
        Part(
            name=f"{label}-{i + 1}",
            step=name,
            says=case.purpose,
            covers=tuple(("value", f) for f in case.covers),
            price=price,
        )
        for i, (case, price) in enumerate(zip(batch, prices, strict=True))
    )
    return Step(name=name, calls=12 * len(batch), jobs=len(batch), price=total, make=make, opening=opening, parts=parts)


def _story_step(
    endpoint: Endpoint, name: str, label: str, values: Mapping[str, Any], make: Callable[[Stage], list[Story]]
) -> Step:
    price = price_of(endpoint, values)
    parts = (Part(name=label, step=name, says="one job", price=price),)
    return Step(name=name, calls=12, jobs=1, price=price, make=lambda stage: iter(make(stage)), parts=parts)


def _nothing(endpoint: Endpoint) -> Money:
    return Money(Decimal(0), endpoint.price.unit if endpoint.price else "USD")


def _dry_stage(endpoint: Endpoint) -> Stage:
    return Stage(
        endpoint=endpoint,
        base="http://plan.wireproof",
        dialogue=Dialogue(endpoint=endpoint, base="http://plan.wireproof"),
        clock=SteppedClock(),
        key="key",
    )


# ------------------------------------------------------------------------------------------ the run


def hasty(poll: Poll, polls: int, first: float = 0.005) -> float:
    """A cadence for a server on this machine: quick at first so that no state is missed, then the contract's.

    `first`: seconds before the second poll; the gap doubles until it is that of `steady`.
    """
    if polls == 0:
        return 0.0
    return min(first * 2.0 ** (polls - 1), 0.04 * 1.25 ** (polls - 1), contract_cadence(poll, polls))


steady = functools.partial(hasty, first=0.04)
"""The cadence for a server on this machine whose jobs are known to take their time."""

QUICKLY = 0.4
"""Seconds; a job that takes longer is asked after steadily."""


def calm(poll: Poll, polls: int) -> float:
    """A cadence for a server on this machine where calls are counted."""
    return 0.0 if polls == 0 else min(0.05 * 1.7 ** (polls - 1), contract_cadence(poll, max(1, polls)))


NOT_OURS = frozenset(
    {Credential.NONE, Credential.MALFORMED, Credential.UNKNOWN, Credential.NEAR, Credential.BEYOND, Credential.OTHER}
)
"""Keys whose calls are on nobody's account, or on another one than that of the budget."""


@dataclass(slots=True)
class Guard:
    """Stands before every paid call: reserves its ceiling, and settles as soon as a reply tells the cost."""

    endpoint: Endpoint
    ledger: Ledger | None
    run: str = ""
    """Name of the run, by which a later one finds its reservations again."""
    prefix: str = ""
    """A path under which the host is reached."""
    short: str = ""
    """Why something was not bought; empty: the budget covered all."""
    _asked: Reservation | None = None
    """Of the call that is under way."""
    _open: dict[str, tuple[Reservation, Mapping[str, Any]]] = field(default_factory=dict)
    """Of jobs whose cost nobody has told yet, with their parameters."""

    def before(self, want: Want) -> None:
        """Reserve the most that the call may cost.

        Raises Skipped for one that is not covered, OverBudget when nothing more may be bought, CouldNotTell where
        there is no price.
        """
        self._asked = None
        if self.ledger is None or not want.paid:
            return
        ceiling = ceiling_of(self.endpoint, self._values(want.call)) or ceiling_of(
            self.endpoint, cases.base(self.endpoint)
        )
        if ceiling is None:
            raise CouldNotTell(f"{self.endpoint.name} has no price: a paid host is not driven without one")
        try:
            self._asked = self.ledger.reserve(
                ceiling, why=f"{self.run} {self.endpoint.name} {want.job or want.purpose}"
            )
        except Closed:
            raise
        except OverBudget as over:
            # What is too dear is left out; cheaper things may still be covered.
            self.short = self.short or str(over)
            raise Skipped(str(over)) from None

    def after(self, exchange: Exchange) -> None:
        """Settle what the reply tells. Raises Stopped at a charge far above the price."""
        reservation, self._asked = self._asked, None
        if self.ledger is None:
            return
        if reservation is not None:
            if exchange.broke == "refused" or self._is_free(exchange):
                self.ledger.release(reservation)
                return
            self._open[exchange.job or f"#{exchange.seq}"] = (reservation, self._values(exchange.call))
        self._settle(exchange)

    def resume(self, held: Mapping[str, Reservation], exchanges: Iterable[Exchange]) -> None:
        """Take over what an earlier run set aside for jobs (by their labels) whose cost may still be told."""
        for exchange in exchanges:
            label = exchange.job or ""
            if label in held and label not in self._open:
                self._open[label] = (held[label], self._values(exchange.call))

    def close(self) -> None:
        """What nobody told stays spent at its ceiling."""
        while self._open and self.ledger is not None:
            _, (reservation, _) = self._open.popitem()
            self.ledger.settle(reservation, None)

    def _values(self, call: Call) -> Mapping[str, Any]:
        asked = requests.recognise(self.endpoint, call, self.prefix)
        return asked[0].values if asked else {}

    def _is_free(self, exchange: Exchange) -> bool:
        """Whether a call was refused in a way that costs us nothing: so the contract says, or the key was not ours."""
        reply = exchange.reply
        if reply is None or not 400 <= reply.status < 500:
            return False
        if exchange.credential in NOT_OURS and reply.status in (401, 403):
            return True
        operation = self.endpoint.operations.get(exchange.operation)
        if operation is None:
            return False
        asked = requests.recognise(self.endpoint, exchange.call, self.prefix)
        reading = replies.read(self.endpoint, operation, reply, asked[0].values if asked else {})
        if reading.alternative is not None or refusal_billed(self.endpoint, reading.problems) != "zero":
            return False
        # A host that calls wrong what its contract allows is not believed that this costs nothing.
        wrong = reading.problem is not None and reading.problem.kind is Kind.INVALID
        return not wrong or not asked or any(requests.breaches(self.endpoint, one) for one in asked)

    def _settle(self, exchange: Exchange) -> None:
        label = exchange.job or f"#{exchange.seq}"
        if label not in self._open or exchange.reply is None or self.ledger is None or self.endpoint.price is None:
            return
        reservation, values = self._open[label]
        asked = requests.recognise(self.endpoint, exchange.call, self.prefix)
        if not asked:
            return
        reading = replies.read(self.endpoint, asked[0].operation, exchange.reply, values)
        billed = exact(reading.value("job.cost"))
        if billed is not None and reading.alternative is not None:
            del self._open[label]
            # A host's own word is no bill: what was set aside above it stays so until the run is over.
            charge: Charge = self.ledger.settle(reservation, Money(billed, self.endpoint.price.unit), sure=False)
            if charge.stop or charge.overcharged:
                raise Stopped(
                    f"a job was charged {billed} {self.endpoint.price.unit}, far above the declared price: "
                    "nothing more is spent"
                )


def conform(
    endpoint: Endpoint,
    target: Target,
    *,
    seed: int = 0,
    bounds: Bounds | None = None,
    profile: str = "standard",
    ledger: Ledger | None = None,
    clock: Clock | None = None,
    first: int = 1,
    heard: Callable[[Exchange], None] = lambda exchange: None,
    began: Callable[[Step], None] = lambda step: None,
    run: str = "",
    memory: Memory | None = None,
    late: float = stories.LATE,
) -> tuple[Verdict, tuple[Exchange, ...]]:
    """Drive an endpoint and judge it: the verdict, and everything that was said.

    `late`: seconds after its end at which a job is asked for once more, on a clock that is not ours. `run` names the
    run in the ledger; `memory` is what an earlier one has heard that was cut off.
    Raises Unreachable when the target does not answer at all, CouldNotTell when it takes no key of ours, Interrupted
    when a person ends it before the first answer.
    """
    own = target.mock is not None
    clock = clock or (SteppedClock() if own else RealClock())
    prefix = urlsplit(target.base).path.rstrip("/")
    guard = Guard(endpoint, ledger if target.paid else None, run, prefix)
    if memory is not None:
        guard.resume(memory.held, memory.jobs())

    def hear(exchange: Exchange) -> None:
        # Kept first: what is settled and not kept would be paid for again by whoever goes on with the run.
        heard(exchange)
        guard.after(exchange)
        if (body := _picture(exchange)) is not None:
            eyes.glance(body)

    transport = EngineTransport(target.mock, clock=clock) if target.mock else None
    with Decoder() as decoder, Eyes(decoder) as eyes, Sender(transport=transport) as sender:
        driver = Driver(
            sender=sender,
            clock=clock,
            bounds=bounds or Bounds(),
            heard=hear,
            before=guard.before,
            first=first,
            family=f"{endpoint.name} ",
            memory=memory,
        )
        eyes.prepare()
        counted = driver.bounds.requests is not None or profile == "quick"
        thrifty = calm if near(target) and counted else None
        stage = replace(stage_for(endpoint, target, clock, seed, thrifty), late=late)
        if _hurries(target):
            stage = _within(stage, job_checks.patience(endpoint, None))
        reader = Reader(endpoint, prefix)
        chosen = _fitting(profile, driver.bounds)
        steps = plan(endpoint, profile=chosen, embedded=own, paid=target.paid)
        stopped, left_out = _drive(reader, target, driver, stage, steps, profile, began)
        stopped = stopped or guard.short
        guard.close()
        exchanges = tuple(driver.exchanges)
        _must_have_answered(endpoint, target, exchanges)
        if not stopped and not left_out:
            stopped = _nothing_heard(reader.read(exchanges))
        runs = (run, *(memory.runs if memory else ()))
        said = with_money(_verdict(reader, exchanges, stopped, eyes), guard.ledger, runs)
    skipped = [f"{name}: not asked again: {why}." for name, why in (memory.skipped if memory else {}).items()]
    cut = stopped or (left_out[0].rpartition(" because ")[2].rstrip(".") if left_out else "")
    coverage, whole = _left_untested(endpoint, target, said, exchanges, chosen, steps, cut)
    return replace(said, coverage=coverage, notes=(*said.notes, *left_out, *skipped, *told(whole, coverage))), exchanges


def with_money(verdict: Verdict, ledger: Ledger | None, runs: Iterable[str]) -> Verdict:
    """The verdict with what a ledger knows of the money of these runs; with its own figures where none was kept.

    What jobs were understood to cost is no bill: one whose answer was lost is understood to be none.
    """
    if ledger is None:
        return verdict
    share = ledger.share(tuple(f"{run} {verdict.endpoint} " for run in runs))
    told = replace(verdict.summary, spent=share.spent, held=share.reserved, unknown_spend=share.unknown)
    return replace(verdict, summary=told)


def _left_untested(
    endpoint: Endpoint,
    target: Target,
    said: Verdict,
    exchanges: tuple[Exchange, ...],
    profile: str,
    steps: Sequence[Step],
    cut: str,
) -> tuple[tuple[Cover, ...], Money | None]:
    """The coverage against the whole plan, and what the rest of it would cost. `cut`: why the run was cut short."""
    every = plan(endpoint, paid=target.paid) if profile == "quick" else steps
    whole = [part for step in every for part in step.parts]
    meant = {part.name for step in steps for part in step.parts}
    family = f"{endpoint.name} "
    made = {one.job.removeprefix(family) if one.job else f"{one.operation}: {one.purpose}" for one in exchanges}

    def why(part: Part) -> str:
        if part.name not in meant:
            return f"is no part of the {profile} profile"
        if part.step == STRANGERS and not target.other_key:
            return f"needs the key of a second account, in {endpoint.provider.auth.env}_2"
        return cut or "was left out"

    return untested(said.coverage, whole, made, why)


def stage_for(endpoint: Endpoint, target: Target, clock: Clock, seed: int, cadence: Cadence | None = None) -> Stage:
    """Where the stories of a run play: which address, which key, and which links may be followed."""
    near = target.mock is None and is_loopback(target.base)
    origin = _origin(target.base)
    hosts = {_origin(server.url) for server in endpoint.provider.servers.values()}
    return Stage(
        endpoint=endpoint,
        base=target.base,
        dialogue=Dialogue(
            endpoint=endpoint,
            base=target.base,
            key=target.key,
            cadence=cadence or (hasty if near else contract_cadence),
            follow=lambda link: _origin(link) == origin,
        ),
        clock=clock,
        key=target.key,
        other_key=target.other_key,
        seed=seed,
        may_fetch=lambda url: (
            _origin(url) == origin or (near and is_loopback(url)) or (not near and _origin(url) in hosts)
        ),
    )


def _origin(url: str) -> str:
    parts = links.parts(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def _drive(
    reader: Reader,
    target: Target,
    driver: Driver,
    stage: Stage,
    steps: tuple[Step, ...],
    profile: str,
    began: Callable[[Step], None],
) -> tuple[str, list[str]]:
    """Carry out the plan; why it was cut short, or '', and what was left out because the run was asked to be small."""
    if near(target):
        steps = _side_by_side(steps)
    left_out: list[str] = []
    try:
        for step in steps:
            began(step)
            try:
                _carry_out(step, target, driver, _close(stage) if step.opening and target.mock else stage, reader)
            except Stopped as end:
                if not end.chosen:
                    raise
                left_out.append(f"{step.name}: not done, or not all of it, because {end.why}.")
            _must_be_there(target, driver)
            if step.opening:
                stage = _used_to(stage, target, reader.read(driver.exchanges))
        _round_off(reader, target, driver, stage, profile)
    except Stopped as end:
        return ("", [*left_out, f"The rest was left out because {end.why}."]) if end.chosen else (str(end), left_out)
    except OverBudget as end:
        return str(end), left_out
    except KeyboardInterrupt:
        if not driver.exchanges:
            raise Interrupted("interrupted before anything was answered") from None
        return INTERRUPTED, left_out
    return "", left_out


def _close(stage: Stage) -> Stage:
    """The stage with jobs looked at as often as they can change: on a stepped clock that costs nothing."""
    return replace(stage, dialogue=replace(stage.dialogue, cadence=hasty))


def _used_to(stage: Stage, target: Target, trace: Trace) -> Stage:
    """The stage with jobs followed as long as makes sense at a host whose first jobs are known.

    A server of this machine is not waited for much longer than it took before; a host that is paid, or on a clock
    that costs nothing, gets the contract's time, unless none of its first jobs ended within that.
    """
    deadline = stage.endpoint.provider.poll.deadline.seconds or 0.0
    if _hurries(target):
        took = job_checks.taken(trace)
        if stage.dialogue.cadence is hasty and (took is None or took > QUICKLY):
            stage = replace(stage, dialogue=replace(stage.dialogue, cadence=steady))
        return _within(stage, job_checks.patience(stage.endpoint, took))
    return _within(stage, IMPATIENT * deadline) if len(job_checks.stuck(trace)) >= OPENING else stage


def _hurries(target: Target) -> bool:
    """Whether it is our time that is spent, and nothing else."""
    return target.mock is None and not target.paid and near(target)


def _within(stage: Stage, seconds: float) -> Stage:
    """The stage with jobs followed for so long."""
    return replace(stage, dialogue=replace(stage.dialogue, deadline=seconds, asks_last=True), patience=seconds)


def _fitting(profile: str, bounds: Bounds) -> str:
    """The profile that fits into the bounds: a small run spends its calls on what shows the most."""
    small = (bounds.requests is not None and bounds.requests <= SMALL[0]) or (
        bounds.jobs is not None and bounds.jobs <= SMALL[1]
    )
    return "quick" if small else profile


def _side_by_side(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps with all their queued jobs in one: where calls cost nothing, jobs need not wait for one another."""
    queued = [step for step in steps if step.together > 1 and not step.opening and not step.name.startswith("blocking")]
    if len(queued) < 2:
        return steps
    whole = Step(
        name="jobs",
        calls=sum(step.calls for step in queued),
        jobs=sum(step.jobs for step in queued),
        price=None,
        make=lambda stage: (story for step in queued for story in step.make(stage)),
    )
    first = steps.index(queued[0])
    return (*steps[:first], whole, *(step for step in steps[first:] if step not in queued))


def _carry_out(step: Step, target: Target, driver: Driver, stage: Stage, reader: Reader) -> None:
    before = len(driver.exchanges)
    _told_of(step, target, driver, stage)
    if step.together == 1:
        _look_into(reader, target, driver, stage, before)


def _look_into(reader: Reader, target: Target, driver: Driver, stage: Stage, before: int) -> None:
    """What single calls leave open: whether a server error comes again, and what becomes of forbidden jobs."""
    asked = [seen for one in driver.exchanges[before:] for seen in reader.one(one)]
    broken = [seen for seen in asked if seen.reply is not None and seen.reply.status >= 500]
    for seen in broken[:MOST_BROKEN] if not target.paid else ():
        want = Want(
            call=seen.exchange.call,
            at=stage.clock.now(),
            operation=seen.exchange.operation,
            purpose=f"{seen.exchange.purpose}{ONCE_MORE}",
            credential=seen.exchange.credential,
            paid=seen.operation is not None and seen.operation.does.bills,
        )
        driver.run([stories.single(want, stage.clock)])
    taken = [seen for seen in asked if seen.breaches and seen.accepted and seen.reading and seen.reading.alternative]
    driver.run(
        (
            stories.followed(stage, seen.exchange, seen.operation, seen.values, FOLLOWED)
            for seen in taken[:MOST_FOLLOWED]
            if seen.operation is not None and seen.operation.does is Does.SUBMIT
        ),
        together=CROWD if near(target) else 8,
    )


MOST_BROKEN, MOST_FOLLOWED = 12, 24
"""So many server errors of a step are tried again, and so many forbidden jobs followed."""


def _told_of(step: Step, target: Target, driver: Driver, stage: Stage) -> None:
    """Carry out a step as it stands in the plan."""
    if step.surprising and target.paid:
        _wary(driver, step, stage)
    else:
        # A server of our own machine is not spared: the more jobs at once, the sooner a slow one is through.
        wide = CROWD if near(target) and step.together > 1 else step.together
        driver.run(step.make(stage), together=wide)


def _round_off(reader: Reader, target: Target, driver: Driver, stage: Stage, profile: str) -> None:
    """What depends on what was seen: narrower tries, a second chance, a search, and a late look back."""
    if not target.paid:
        _narrow(reader, driver, stage)
        _second_chance(reader, driver, stage)
        if any(SEARCHES[profile]) and driver.bounds.requests is None:
            _search(reader, driver, stage, SEARCHES[profile], target.mock is not None or near(target))
    _after_a_while(reader, target, driver, stage, FEW_LATE if profile == "quick" else LOOKED_AT_LATE)
    if target.mock is not None:
        _rehearse(reader, target.mock, driver, stage)


def _narrow(reader: Reader, driver: Driver, stage: Stage) -> None:
    """Valid requests that were refused, tried again with one of their values at a time: which one is it?"""
    endpoint = reader.endpoint
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    base = cases.base(endpoint)
    trace = reader.read(driver.exchanges)
    refused = {one.evidence[0] for one in judge(trace, [CHECKS["REQ002"]])}
    tried: set[str] = set()
    for seen in trace.seen:
        if seen.seq not in refused or submit is None:
            continue
        for name, value in seen.values.items():
            parameter = endpoint.parameters.get(name)
            if parameter is None or base.get(name, cases.ABSENT) == value:
                continue
            values = {**base, **cases.satisfying(parameter.matters, endpoint), name: value}
            fact = f"{name}={str(value)[:40]}"
            if fact in tried or len(tried) >= MOST_NARROWED:
                continue
            tried.add(fact)
            id = stage.new_id(f"narrow:{fact}")
            call = requests.build(endpoint, submit, stage.base, values=values, job=id, key=stage.key)
            want = Want(call=call, at=stage.clock.now(), operation=submit.name, purpose=f"valid: {fact}", paid=True)
            driver.run([stories.single(want, stage.clock)])


def _second_chance(reader: Reader, driver: Driver, stage: Stage) -> None:
    """Operations that start a job and were never answered well, tried twice more."""
    endpoint = reader.endpoint
    good = {
        seen.operation.name
        for seen in reader.read(driver.exchanges).seen
        if seen.operation and seen.reading and seen.reading.alternative
    }
    for operation in endpoint.operations.values():
        if operation.does.bills and operation.name not in good:
            for i in range(2):
                values = {**cases.base(endpoint), **operation.request.select}
                driver.run(
                    [
                        stories.whole_job(
                            stage, f"again-{operation.name}-{i}", values, "valid: once more", operation=operation
                        )
                    ]
                )


def near(target: Target) -> bool:
    """Whether the target is on this machine, where calls cost next to nothing."""
    return is_loopback(target.base)


def _search(reader: Reader, driver: Driver, stage: Stage, examples: tuple[int, int, int], shrink: bool) -> None:
    """Requests drawn from the whole domain and its edges; what one shows is made smaller at once."""
    from wireproof.generate import strategies

    endpoint = reader.endpoint
    submit = endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    if submit is None:
        return
    hunt = Hunt(reader, driver, stage, submit)
    wrong = strategies.forbidden(endpoint, submit)
    right = strategies.valid(endpoint).map(lambda values: cases.Case(values=values, purpose="valid: drawn"))
    for strategy, count in zip((wrong, right, strategies.odd(endpoint)), examples, strict=True):
        for attempt in range(MOST_FOUND):
            if (
                not count
                or strategies.search(strategy, hunt.tried, examples=count, seed=stage.seed + attempt, shrink=shrink)
                is None
            ):
                break
            hunt.remember()


@dataclass(slots=True)
class Hunt:
    """Single submits, each judged at once: whether one shows a violation that is not known yet."""

    reader: Reader
    driver: Driver
    stage: Stage
    submit: Any
    known: set[str] = field(default_factory=set)
    hunted: str | None = None
    sent: int = 0

    def __post_init__(self) -> None:
        self.known = {one.key for one in judge(self.reader.read(self.driver.exchanges), _single_checks())}

    def tried(self, case: cases.Case) -> bool:
        """Send one request; whether it shows what is hunted, or something new while nothing is."""
        self.sent += 1
        id = self.stage.new_id(f"drawn:{self.sent}")
        call = requests.build(
            self.stage.endpoint, self.submit, self.stage.base, values=case.values, job=id, key=self.stage.key
        )
        purpose = case.purpose
        want = Want(call=call, at=self.stage.clock.now(), operation=self.submit.name, purpose=purpose, paid=True)
        exchange = self.driver.ask(want)
        if exchange.reply is not None and exchange.reply.status >= 500:
            # A bad moment is not what is hunted.
            exchange = self.driver.ask(replace(want, purpose=f"{purpose}{ONCE_MORE}"))
        found = judge(self.reader.read([exchange]), _single_checks())
        keys = {one.key for one in found if one.severity is Severity.VIOLATION} - self.known
        if self.hunted is None and keys:
            self.hunted = min(keys)
        return self.hunted in keys

    def remember(self) -> None:
        """What was hunted is known now."""
        if self.hunted:
            self.known.add(self.hunted)
        self.hunted = None


def _single_checks() -> list[Any]:
    """The checks that judge one exchange by itself."""
    return [one for one in CHECKS.values() if one.alone]


def _must_be_there(target: Target, driver: Driver) -> None:
    if driver.exchanges and all(e.broke == "refused" for e in driver.exchanges):
        raise Unreachable(target.base, f"the connection is refused ({driver.why})")
    if len(driver.exchanges) >= 3 and all(e.reply is None for e in driver.exchanges):
        raise Unreachable(target.base, f"no call was answered ({driver.exchanges[-1].broke})")


def _wary(driver: Driver, step: Step, stage: Stage) -> None:
    """Requests that a paid host should refuse, until too many of them were taken, or may have been."""
    for story in step.make(stage):
        if driver.surprises >= SURPRISES:
            return
        before = driver.jobs
        driver.run([story])
        driver.surprises += driver.jobs - before


def _after_a_while(reader: Reader, target: Target, driver: Driver, stage: Stage, most: int) -> None:
    """Jobs that are over, at most so many, asked for once more: late but in time, on a clock of ours also too late."""
    endpoint, trace = reader.endpoint, reader.read(driver.exchanges)
    done = [job for job in trace.jobs if job.taken and job.end and job.id and not job.tangled][:most]
    record = endpoint.provider.retention.record.seconds
    if target.mock is not None and record:
        stage.clock.sleep(record * 0.5)
    elif done:
        ended = done[0].end
        over = (ended[0].exchange.at if ended else 0.0) + (driver.started or 0.0)
        driver.rest(over + stage.late)
    _again(driver, stage, done, "asked again late")
    if target.mock is not None and record:
        stage.clock.sleep(record)
        _again(driver, stage, done[:1], "asked again after the retention")


def _again(driver: Driver, stage: Stage, done: list[Any], purpose: str) -> None:
    for job in done:
        label = job.label.removeprefix(driver.family)
        links = job.submit.reading.links if job.submit and job.submit.reading else {}
        for does in (Does.STATUS, Does.RESULT):
            operation = stage.endpoint.doing(does)
            if operation is not None:
                driver.run(
                    [stories.single(stories.ask_after(stage, operation, job.id, label, purpose, links), stage.clock)]
                )
        for exchange in islice(job.media, 1):
            if "retention" not in purpose:
                driver.run([stories.fetched(stage, exchange.call.url, label, exchange.output or 0, purpose)])


def _rehearse(reader: Reader, mock: Mock, driver: Driver, stage: Stage) -> None:
    """Every problem that an operation may answer with and that no request of ours brings about, staged in turn."""
    endpoint = reader.endpoint
    met = {
        (seen.operation.name, problem.name)
        for seen in reader.read(driver.exchanges).seen
        if seen.operation and seen.reading and seen.reading.alternative is None
        for problem in seen.reading.problems
    }
    values = cases.base(endpoint)
    for label, more in (("hurried", {}), *((f"hurried-{g.status.value}", g.parameters) for g in endpoint.provocations)):
        mock.hurry = 1
        driver.run([stories.whole_job(stage, label, {**values, **more}, stories.HURRIED)])
    for operation in endpoint.operations.values():
        for name in operation.problems:
            if (operation.name, name) in met or not (operation.does.bills or operation.does.asks):
                continue
            mock.stage(name, operation.name)
            id = stage.new_id(f"staged:{operation.name}:{name}")
            call = requests.build(endpoint, operation, stage.base, values=values, job=id, key=stage.key)
            want = Want(
                call=call,
                at=stage.clock.now(),
                operation=operation.name,
                purpose=f"staged: {name}",
                credential=Credential.UNTOLD,
                provoked=True,
            )
            driver.run([stories.single(want, stage.clock)])


def _must_have_answered(endpoint: Endpoint, target: Target, exchanges: tuple[Exchange, ...]) -> None:
    """A verdict needs at least one call that was let in."""
    if not exchanges:
        raise CouldNotTell("nothing was tested: the bounds of the run allow no call")
    starts = {op.name for op in endpoint.operations.values() if op.does.bills}
    ours = [
        e
        for e in exchanges
        if e.credential is Credential.GOOD and e.reply is not None and e.operation in starts and e.reply.status != 405
    ]
    refused = [e for e in ours if e.reply is not None and e.reply.status in (401, 403)]
    if ours and len(refused) == len(ours):
        raise CouldNotTell(
            f"{target.base} refuses the key in {endpoint.provider.auth.env} "
            f"(status {refused[0].reply.status if refused[0].reply else ''})"
        )


# ------------------------------------------------------------------------------------------ the verdict


def verdict(
    endpoint: Endpoint,
    exchanges: tuple[Exchange, ...],
    *,
    prefix: str = "",
    stopped: str = "",
    eyes: Eyes | None = None,
) -> Verdict:
    """What a recording says of an endpoint. The same for a live run, a journal, a client's traffic and a HAR.

    `eyes`: those that have looked at its pictures already.
    """
    return _verdict(Reader(endpoint, prefix), exchanges, stopped, eyes)


def _verdict(reader: Reader, exchanges: tuple[Exchange, ...], stopped: str, eyes: Eyes | None) -> Verdict:
    endpoint, trace = reader.endpoint, reader.read(exchanges)
    look(trace, eyes)
    found = tuple(_with_replay(trace, exchanges, one) for one in judge(trace))
    if not stopped and not any(one.severity is Severity.VIOLATION for one in found):
        stopped = _no_success(trace)
    return Verdict(
        endpoint=endpoint.name,
        findings=found,
        coverage=cover(trace),
        summary=_summary(endpoint, trace, exchanges, stopped),
        notes=tuple(_notes(trace, stopped)),
    )


def _nothing_heard(trace: Trace) -> str:
    """Why a whole run says nothing of jobs: none was taken, or none was seen to end."""
    starts = [seen for seen in trace.seen if seen.operation and seen.operation.does.bills and _is_fair(seen)]
    if not any(seen.reading and seen.reading.alternative for seen in starts):
        told = sorted({str(seen.reply.status) if seen.reply else str(seen.exchange.broke) for seen in starts})
        return f"could not tell: no job was accepted (answers: {', '.join(told)}), so no job was judged"
    jobs = [job for job in trace.jobs if job.taken and job.submit in starts and len(job.news) > 1]
    if jobs and not any(job.end for job in trace.jobs):
        return f"could not tell: none of {len(jobs)} accepted jobs was seen to end, so nothing delivered was judged"
    fetched = [exchange for job in trace.jobs for exchange in job.media]
    if fetched and not any(one.reply is not None and one.reply.status < 300 for one in fetched):
        return f"could not tell: none of {len(fetched)} pictures could be fetched, so none was judged"
    return ""


def _is_fair(seen: Seen) -> bool:
    """A request that deserves a good answer: with our key, and within the rules."""
    return seen.exchange.credential is Credential.GOOD and not seen.breaches and not reply_checks.expected_kinds(seen)


def _no_success(trace: Trace) -> str:
    """Why nothing can be said of what is delivered, where jobs were followed to their end and none succeeded."""
    ended = [job for job in trace.jobs if job.taken and job.end is not None]
    if len(ended) < SEVERAL or any(job.outcome is Status.SUCCEEDED for job in ended):
        return ""
    reasons = {seen.reading.text("job.error")[:80] for job in ended for seen in job.news if seen.reading} - {""}
    why = f" ({'; '.join(sorted(reasons)[:2])})" if reasons else ""
    return f"could not tell: none of {len(ended)} jobs succeeded{why}, so nothing that is delivered was judged"


def look(trace: Trace, eyes: Eyes | None = None) -> None:
    """Decode what was delivered, in a bounded child; `eyes` may have done it already."""
    if eyes is None:
        with Decoder() as decoder, Eyes(decoder) as own:
            return look(trace, own)
    for job in trace.jobs:
        for exchange in job.media:
            if (body := _picture(exchange)) is not None:
                job.pictures[exchange.seq, exchange.output or 0] = eyes.look(body)
        for seen in job.results:
            for i, output in enumerate(seen.reading.outputs if seen.reading else ()):
                if output.data:
                    job.pictures[seen.seq, i] = eyes.look(_bytes(output.data))
    return None


def _picture(exchange: Exchange) -> bytes | None:
    """What was fetched, where it was and has been kept whole."""
    reply = exchange.reply
    if reply is None or reply.status >= 300 or isinstance(reply.body, Digest):
        return None
    return reply.body if exchange.operation == "media" or exchange.output is not None else None


def _bytes(data: bytes) -> bytes:
    """The bytes of an inline output: raw, base64 or a data URI."""
    if data[:5] == b"data:":
        try:
            return from_data_uri(data.decode("ascii"), 64 << 20)[1]
        except (ValueError, UnicodeDecodeError):
            return data
    if data[:4] in (b"\x89PNG", b"RIFF") or data[:2] == b"\xff\xd8":
        return data
    try:
        return from_base64(data.decode("ascii"), 64 << 20)
    except (ValueError, UnicodeDecodeError):
        return data


def _with_replay(trace: Trace, exchanges: tuple[Exchange, ...], one: Finding) -> Finding:
    if one.replay:
        return one
    return replace(one, replay=again.line(trace, one, exchanges, CHECKS[one.check]))


def _summary(endpoint: Endpoint, trace: Trace, exchanges: tuple[Exchange, ...], stopped: str) -> Summary:
    taken = [job for job in trace.jobs if job.taken]
    prices = [price_of(endpoint, job.values) for job in taken]
    known = [price for price in prices if price is not None]
    return Summary(
        endpoint=endpoint.name,
        calls=len(exchanges),
        jobs=len(taken),
        seconds=max((e.at + e.took for e in exchanges), default=0.0),
        spent=functools.reduce(Money.__add__, known) if known else None,
        unknown_spend=len(prices) - len(known),
        stopped=stopped,
    )


def _notes(trace: Trace, stopped: str) -> Iterator[str]:
    """What could not be told, and what was seen that nobody promised."""
    if stopped:
        yield f"The run ended before its plan was done: {stopped}."
    left = sum(job_checks.waited(job) > 0 for job in trace.jobs)
    if left:
        yield f"Jobs that were accepted and not over when they were asked after for the last time: {left}."
    if not any(job.outcome is not None and job.outcome.value == "failed" for job in trace.jobs):
        yield "No job failed: how a failure is told was not seen."
    yield from _odds(trace)
    extra = sorted({name for seen in trace.seen for name in _extra_fields(seen)})
    if extra:
        yield f"Fields that the contract does not know, which hosts add freely: {', '.join(extra[:20])}."


def _odds(trace: Trace) -> Iterator[str]:
    """How rare a defect must be that strikes at random and was not seen: "not seen" is never "not there"."""
    counts: dict[str, int] = {}
    for seen in trace.seen:
        if seen.reading is not None and seen.reading.alternative is not None:
            counts[seen.reading.operation.name] = counts.get(seen.reading.operation.name, 0) + 1
    told = [f"{name} {not_seen(count):.1%} ({count} answers)" for name, count in counts.items() if count >= FEW]
    if told:
        rare = "A defect that strikes at random and was not seen is rarer than this, with 95 % confidence"
        yield f"{rare}: {', '.join(told)}."


def _extra_fields(seen: Any) -> Iterator[str]:
    reading = seen.reading
    if (
        reading is None
        or reading.alternative is None
        or reading.alternative.shape is None
        or not isinstance(reading.body, dict)
    ):
        return
    known = reading.alternative.shape.schema.get("properties", {})
    yield from (f"{reading.operation.name}.{name}" for name in reading.body if name not in known)
