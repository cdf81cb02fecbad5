"""One job from its planned start to its usable outputs, over whatever line makes the calls.

The dialogue says what to ask next; here it is asked, timed and written down as one `JobRecord`. A line is
Locust's session, or in a test the mock itself on a stepped clock. Times are seconds since the run began.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, Protocol
from urllib.parse import urlsplit

from wireproof.lifecycle import Status, is_final
from wireproof.load import censor
from wireproof.load.arrivals import Arrival
from wireproof.load.censor import Cadence, Interval
from wireproof.load.frames import Channel
from wireproof.load.record import Billed, JobRecord, Outcome
from wireproof.model import Call, Does, Endpoint, Operation, Output, Poll, Problem, Reply, Server
from wireproof.money import Money, exact
from wireproof.spec.once import Once
from wireproof.spec.values import billed_of, outputs_of, price_of, promised, refusal_billed, spell
from wireproof.wire.dialogue import Ask, Dialogue, Known, Stop
from wireproof.wire.replies import Reading


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one call, and when it left and was over."""

    reply: Reply | None
    broke: str
    """What broke when there is no whole reply; else empty."""
    sent: float
    received: float


class Line(Protocol):
    """Whatever makes calls and can wait."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...
    def send(self, call: Call, name: str, within: float) -> Heard:
        """Make a call, total time at most `within` seconds; `name` is what it counts as."""
        ...


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one call may take, in all. Seconds."""

    quick: float = 30.0
    """Submits, polls and results."""
    whole: float = 300.0
    """Calls that answer with the outputs themselves."""
    media: float = 60.0

    def of(self, operation: Operation) -> float:
        return self.whole if operation.does is Does.RUN else self.quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How the jobs of one endpoint are carried out."""

    endpoint: Endpoint
    base: str
    key: str | None
    cadence: Cadence
    channel: Channel | None = None
    """The WebSocket that the host's calls go over; None: HTTP."""
    blocking: bool = False
    """Ask for the outputs in one call, where the host has such an operation."""
    patience: float | None = None
    """Seconds after which a job is given up; None: as the contract advises."""
    download: bool = True
    seed: int = 0
    nonce: str = ""
    """Makes ids of our own making new in every run, though the plan repeats."""
    timeouts: Timeouts = Timeouts()

    @property
    def operation(self) -> Operation:
        """What starts a job here."""
        order = (Does.RUN, Does.SUBMIT) if self.blocking else (Does.SUBMIT, Does.RUN)
        found = next((op for does in order if (op := self.endpoint.doing(does))), None)
        if found is None:
            raise ValueError(f"{self.endpoint.name} has no operation that starts a job")
        return found

    def may_follow(self, url: str) -> bool:
        """Whether the key may be sent to an address that the host handed out."""
        origin = _origin(url)
        return origin == _origin(self.base) or origin in _keyed(self.endpoint.provider.servers)

    def may_fetch(self, url: str) -> bool:
        """Whether an output is fetched from there, without a key."""
        servers = self.endpoint.provider.servers.values()
        return _origin(url) in {_origin(self.base), *(_origin(s.url) for s in servers)}


def _keyed_origins(servers: Mapping[str, Server]) -> frozenset[tuple[str, str]]:
    return frozenset(_origin(server.url) for server in servers.values() if server.keyed)


_keyed = Once(_keyed_origins)


@functools.lru_cache(maxsize=4096)
def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


@dataclass(slots=True)
class _Looks:
    """When the polls of one job are due: the cadence's moments, counted from its acceptance."""

    source: Iterator[float]
    started: float
    accepted: float = 0.0
    heard: float = 0.0
    """When the last poll was answered."""
    moments: list[float] = field(default_factory=list)

    def wait(self, _: Poll, polls: int) -> float:
        """What the dialogue asks for: seconds from the last answer (or the start) to the next poll."""
        while len(self.moments) <= polls:
            self.moments.append(next(self.source))
        since = self.heard if polls else self.started
        return max(0.0, self.accepted + self.moments[polls] - since)


_NAMES = {Status.SUCCEEDED: Outcome.SUCCEEDED, Status.MODERATED: Outcome.MODERATED}


class Conduct:
    """A job under way. `run` carries it through; `record` tells it at any time, also half done."""

    def __init__(
        self,
        setup: Setup,
        arrival: Arrival,
        intended: float,
        values: Mapping[str, Any],
        line: Line,
        *,
        worker: int = 0,
        waited: bool = False,
        accepted: Callable[[str], None] = lambda id: None,
    ) -> None:
        """`accepted` is told the host's id as soon as there is one, so that a kill cannot lose it."""
        self.setup = setup
        self._starts = setup.operation
        self._has_result = setup.endpoint.doing(Does.RESULT) is not None
        self.arrival = arrival
        self.label = f"job-{arrival.k}"
        self._line = line
        self._values = values
        self._told_accepted = accepted
        self._known: Known | None = None
        self._facts: dict[str, Any] = {
            "endpoint": setup.endpoint.name,
            "k": arrival.k,
            "phase": arrival.phase,
            "record": arrival.record,
            "block": arrival.block,
            "case": arrival.case,
            "worker": worker,
            "waited": waited,
            "intended": intended,
            "sent": intended,
            "declared": price_of(setup.endpoint, values),
            "job": self.label,
        }
        self._queued_until: float | None = None
        self._refusals: tuple[Problem, ...] = ()
        """What the reply that refused it may tell of."""
        self._costs: dict[str, Any] = {}
        self._calls = 0
        self._polls = 0

    def run(self) -> JobRecord:
        """Carry the job out. Whatever the host does, there is a record of it."""
        outcome, problem = self._ask_and_hear()
        if outcome is Outcome.SUCCEEDED:
            outcome, problem = self._collect()
        self._facts["ended"] = self._line.now()
        return self.record(outcome, problem)

    def announced(self, now: float) -> JobRecord:
        """The job as it is about to be sent: what a run keeps of it should nothing more be heard."""
        self._facts["sent"] = now
        return JobRecord(**self._facts, outcome=Outcome.CENSORED, problem="cut off")

    def record(self, outcome: Outcome, problem: str) -> JobRecord:
        """The job as far as it is known, ended for the caller in that way."""
        facts = dict(self._facts)
        facts.setdefault("ended", self._line.now())
        known = self._known
        if known is not None and known.id:
            facts["ids"] = {"job": known.id}
        return JobRecord(
            **facts,
            polls=self._polls,
            calls=self._calls,
            outcome=outcome,
            problem=problem,
            billed=self._billed(outcome),
            reported=self._reported(),
        )

    # ------------------------------------------------------------------------------- the dialogue

    def _ask_and_hear(self) -> tuple[Outcome, str]:
        setup, line = self.setup, self._line
        chance = Random(f"{setup.seed}/{self.arrival.k}/polls")
        looks = _Looks(censor.polls(setup.cadence, chance), line.now())
        dialogue = Dialogue(
            endpoint=setup.endpoint,
            base=setup.base,
            key=setup.key,
            cadence=looks.wait,
            deadline=setup.patience,
            follow=setup.may_follow,
        )
        known, ask = dialogue.begin(self.label, self._values, self._starts, self._own_id(), line.now())
        while True:
            line.sleep(ask.at - line.now())
            heard = self._send(ask)
            known, reading = dialogue.hear(known, ask, heard.reply, heard.received)
            self._known = known
            looks.accepted, looks.heard = looks.accepted or heard.received, heard.received
            self._note(ask, heard, known, reading)
            step = dialogue.next(known, line.now())
            if isinstance(step, Stop):
                return self._ended(step.why, known, heard, reading)
            ask = step

    def _own_id(self) -> str:
        """An id of our own making, new in every run, for a host that wants the caller to bring one."""
        setup = self.setup
        if not any(field.canonical == "job.id" for field in self._starts.request.fields):
            return ""
        chance = Random(f"{setup.nonce}/{setup.seed}/{self.arrival.k}/id")
        return spell(setup.endpoint.provider.id_pattern or "[0-9a-f]{32}", chance)

    def _send(self, ask: Ask) -> Heard:
        operation = ask.operation
        if operation.does.bills:
            # Known even if the run is cut off while the host works on its answer.
            self._facts["sent"] = self._line.now()
        self._calls += 1
        heard = self._line.send(ask.call, operation.name, self.setup.timeouts.of(operation))
        if operation.does.bills:
            self._facts["sent"] = heard.sent
        elif operation.does is Does.STATUS:
            self._polls += 1
        return heard

    def _note(self, ask: Ask, heard: Heard, known: Known, reading: Reading | None) -> None:
        """Write down what this reply says about when what happened."""
        sent = self._facts["sent"]
        since = heard.received - sent
        if reading is not None:
            self._keep_costs(reading, heard.received)
        if ask.operation.does.bills and known.accepted:
            self._note_accepted(ask, heard, known)
        if known.status is None or reading is None or reading.status is None:
            return
        if is_final(known.status):
            if "seen" not in self._facts:
                self._facts["seen"] = heard.received
                self._facts["right"] = since
                if ask.operation.does is Does.RUN:
                    # The reply is the result: the job was done when it came, not at some time before.
                    self._facts["left"] = since
            if known.result_read or not self._has_result or ask.operation.does is Does.RUN:
                self._facts["fetched"] = heard.received
        elif not ask.operation.does.bills:
            self._facts["left"] = max(self._facts.get("left", 0.0), heard.sent - sent)
            self._note_running(known.status, heard.sent - sent, since)

    def _note_accepted(self, ask: Ask, heard: Heard, known: Known) -> None:
        if ask.operation.does is not Does.RUN:
            self._facts["accepted"] = heard.received
            self._queued_until = 0.0 if known.status is Status.QUEUED else None
        self._told_accepted(known.id)

    def _note_running(self, status: Status, sent: float, received: float) -> None:
        if status is Status.RUNNING:
            if "running" not in self._facts and self._queued_until is not None:
                self._facts["running"] = Interval(self._queued_until, received)
        else:
            self._queued_until = sent

    def _ended(self, why: str, known: Known, heard: Heard, reading: Reading | None) -> tuple[Outcome, str]:
        if why == "deadline":
            return Outcome.CENSORED, "out of patience"
        if why == "lost":
            return Outcome.BROKEN, heard.broke or _problem(reading) or "lost"
        if why == "refused":
            self._refusals = reading.problems if reading is not None else ()
            return (Outcome.REFUSED if self._refusals else Outcome.BROKEN), _problem(reading) or heard.broke
        status = known.status
        if status is None or self._starts.does is Does.RUN:
            status = status or Status.SUCCEEDED
        return _NAMES.get(status, Outcome.FAILED), "" if status is Status.SUCCEEDED else status.value

    # -------------------------------------------------------------------------------- the outputs

    def _collect(self) -> tuple[Outcome, str]:
        """Get the outputs and see that they are what was promised, as far as their bytes tell."""
        outputs = self._known.outputs if self._known else ()
        if not self.setup.download:
            self._facts["images"] = len(outputs) or outputs_of(self.setup.endpoint, self._values)
            return Outcome.SUCCEEDED, ""
        trouble = ""
        for output in outputs:
            said = self._output(output)
            if not said:
                self._facts["images"] = self._facts.get("images", 0) + 1
            trouble = trouble or said
        if trouble or not outputs:
            return Outcome.BROKEN, trouble or "no output was delivered"
        self._facts["downloaded"] = self._line.now()
        return Outcome.SUCCEEDED, ""

    def _output(self, output: Output) -> str:
        """What is wrong with one output; empty: nothing."""
        formats = promised(self.setup.endpoint, self._values).formats
        if output.data is not None:
            return "" if output.url is None and not output.content_type else _unlike(output.data, formats)
        if output.url is None or not self.setup.may_fetch(output.url):
            return "the output lies on a server that the contract does not name"
        self._calls += 1
        heard = self._line.send(Call("GET", output.url), "media", self.setup.timeouts.media)
        if heard.reply is None or heard.reply.status != 200:
            return f"output: {heard.broke or heard.reply.status if heard.reply else heard.broke}"
        self._facts["bytes_in"] = self._facts.get("bytes_in", 0) + len(heard.reply.body)
        return _unlike(heard.reply.body, formats)

    # ---------------------------------------------------------------------------------- the money

    def _keep_costs(self, reading: Reading, at: float) -> None:
        if not any(found.name in _MONEY for found in reading.found):
            return
        balance = exact(reading.value("account.balance"))
        if isinstance(balance, Decimal):
            self._facts["balance"], self._facts["balance_at"] = balance, at
        whole = exact(reading.value("job.cost"))
        parts = [exact(value) for value in reading.values("output.cost")]
        known = [part for part in parts if part is not None]
        if whole is None and known and len(known) == len(parts):
            whole = exact(sum(known, Decimal(0)))
        if whole is not None:
            self._costs["reported"] = whole

    def _reported(self) -> Money | None:
        price = self.setup.endpoint.price
        return Money(self._costs["reported"], price.unit) if price and "reported" in self._costs else None

    def _billed(self, outcome: Outcome) -> Billed:
        price = self.setup.endpoint.price
        if price is None:
            return Billed.UNKNOWN
        if outcome is Outcome.REFUSED:
            return _BILLED.get(refusal_billed(self.setup.endpoint, self._refusals), Billed.UNKNOWN)
        status = self._known.status if self._known else None
        word = outcome.value
        if outcome is Outcome.BROKEN and status is Status.SUCCEEDED:
            # The host did its work; that the outputs did not arrive is told apart from what it charges.
            word = Status.SUCCEEDED.value
        return _BILLED.get(billed_of(price, word), Billed.UNKNOWN)


_MONEY = frozenset({"account.balance", "job.cost", "output.cost"})
_BILLED = {"full": Billed.FULL, "zero": Billed.ZERO}


def _problem(reading: Reading | None) -> str:
    if reading is None:
        return ""
    return reading.problems[0].name if reading.problems else reading.trouble and "unknown reply"


_STARTS = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}


def _unlike(data: bytes, formats: tuple[str, ...]) -> str:
    """Why bytes are no whole picture of a promised format, by their first and last bytes; empty: they are."""
    kind = next((name for name, start in _STARTS.items() if data.startswith(start)), "")
    if not kind:
        return "the output is no picture"
    if formats and kind not in formats:
        return f"the output is {kind}, promised was {' or '.join(formats)}"
    return "" if _is_whole(kind, data) else "the output is cut off"


def _is_whole(kind: str, data: bytes) -> bool:
    if kind == "png":
        return data[-8:-4] == b"IEND"
    if kind == "jpeg":
        return data.rstrip(b"\0")[-2:] == b"\xff\xd9"
    return len(data) >= int.from_bytes(data[4:8], "little") + 8
