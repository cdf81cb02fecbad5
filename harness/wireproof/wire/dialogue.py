"""The one dialogue about a job: given what is known of it and what time it is, what is asked next.

Pure: no socket, no clock. Probes, load users and tests are shells round it, so that no second poll
loop exists. Times are seconds of whatever clock the shell uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from wireproof.lifecycle import Status, is_final
from wireproof.model import Call, Does, Endpoint, Operation, Output, Poll, Reply
from wireproof.spec.once import Once
from wireproof.wire import replies, requests
from wireproof.wire.replies import Reading


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of one job so far."""

    label: str
    """Our own name of the job."""
    values: Mapping[str, Any]
    operation: Operation
    """The operation that starts it."""
    id: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    status: Status | None = None
    word: str | None = None
    accepted: bool = False
    refused: bool = False
    """The host said no, or the submit broke."""
    polls: int = 0
    polled_at: float = 0.0
    started_at: float = 0.0
    finished_at: float | None = None
    """When a final status was first seen."""
    result_read: bool = False
    outputs: tuple[Output, ...] = ()
    troubles: int = 0
    """Polls in a row that told nothing."""
    not_before: float = 0.0
    """The host asked to be left alone until then."""


def _with(known: Known, **news: Any) -> Known:
    """`known`, changed. Does what `dataclasses.replace` does at a tenth of the price: it is paid at every poll."""
    changed = object.__new__(Known)
    changed.__dict__.update(known.__dict__, **news)
    return changed


@dataclass(frozen=True, slots=True)
class Ask:
    """Make this call, at the earliest at `at`."""

    call: Call
    operation: Operation
    at: float
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """There is nothing more to ask. `why`: `done`, `refused`, `deadline` or `lost`."""

    why: str


Step = Ask | Stop

Cadence = Callable[[Poll, int], float]
"""Seconds from one poll to the next, given the contract's advice and the number of polls so far."""


def contract_cadence(poll: Poll, polls: int) -> float:
    """The waits that the contract advises."""
    if polls == 0:
        return poll.first.seconds or 0.0
    wait = Decimal(str(poll.every.seconds or 1.0)) * poll.growth ** (polls - 1)
    most = poll.most.seconds
    return float(min(wait, Decimal(str(most))) if most is not None else wait)


_ENDED = frozenset(status for status in Status if is_final(status))

MOST_TROUBLES = 5
"""So many polls in a row may break before a job is given up as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """How jobs of one endpoint are talked about with one host."""

    endpoint: Endpoint
    base: str
    key: str | None = None
    cadence: Cadence = contract_cadence
    deadline: float | None = None
    """Seconds after which a job is given up; None: as the contract advises."""
    asks_last: bool = False
    """Whether a job is asked after once more when it is given up, however soon that comes after the last time."""
    follow: Callable[[str], bool] = lambda link: True
    """Whether a link that the host hands out may be followed (same host, same key)."""

    def begin(
        self, label: str, values: Mapping[str, Any], operation: Operation, id: str, at: float
    ) -> tuple[Known, Ask]:
        """Start a job: what is known of it, and its submit."""
        known = Known(label=label, values=values, operation=operation, id=id, started_at=at)
        call = requests.build(self.endpoint, operation, self.base, values=values, job=id, key=self.key)
        return known, Ask(call, operation, at)

    def _doing(self, does: Does) -> Operation | None:
        return _doers(self.endpoint.operations).get(does)

    def next(self, known: Known, now: float) -> Step:
        """What to ask next about a job."""
        if known.refused:
            return Stop("refused")
        if known.operation.does is Does.RUN and known.accepted:
            return Stop("done")
        if known.status is not None and is_final(known.status):
            return self._after_the_end(known, now)
        if known.troubles >= MOST_TROUBLES:
            return Stop("lost")
        patience = (
            self.deadline if self.deadline is not None else (self.endpoint.provider.poll.deadline.seconds or 600.0)
        )
        due, last = self._due(known), known.started_at + patience
        if self.asks_last and due > last and known.not_before <= last and known.polled_at < last:
            due = last
        if due > last:
            return Stop("deadline")
        operation = self._doing(Does.STATUS) or self._doing(Does.RESULT)
        return Stop("lost") if operation is None else self._ask(known, operation, max(due, now))

    def _due(self, known: Known) -> float:
        since = known.polled_at if known.polls else known.started_at
        return max(since + self.cadence(self.endpoint.provider.poll, known.polls), known.not_before)

    def _after_the_end(self, known: Known, now: float) -> Step:
        """Fetch the result where that is a call of its own."""
        operation = self._doing(Does.RESULT)
        if operation is None or known.result_read or known.status is not Status.SUCCEEDED:
            return Stop("done")
        if known.troubles >= MOST_TROUBLES:
            return Stop("lost")
        return self._ask(known, operation, max(now, self._due(known)) if known.troubles else now)

    def _ask(self, known: Known, operation: Operation, at: float) -> Ask:
        handed = known.links.get(operation.link or "")
        link = handed if handed and operation.follow != "template" and self.follow(handed) else None
        call = requests.build(self.endpoint, operation, self.base, job=known.id, key=self.key, link=link)
        return Ask(call, operation, at, link)

    def hear(self, known: Known, ask: Ask, reply: Reply | None, at: float) -> tuple[Known, Reading | None]:
        """What is known after a reply (None: it broke) that was complete at `at`."""
        bills = ask.operation.does.bills
        polls = known.polls + (0 if bills else 1)
        if reply is None:
            return _with(known, polls=polls, polled_at=at, refused=bills, troubles=known.troubles + 1), None
        reading = replies.read(self.endpoint, ask.operation, reply, known.values)
        heard = self._submitted(known, reading, at) if bills else self._news(known, ask, reading, reply, at)
        return _with(known, polls=polls, polled_at=at, **heard), reading

    def _submitted(self, known: Known, reading: Reading, at: float) -> dict[str, Any]:
        """What the answer to a submit changes."""
        if reading.alternative is None:
            return {"refused": True}
        id, links = reading.id or known.id, _joined(known.links, reading.links)
        taken = {"accepted": True, "id": id, "links": links}
        if not id and not links and self._doing(Does.STATUS) and reading.status not in _ENDED:
            # Taken, and no way to ask after it.
            return {**taken, "refused": True}
        return {**taken, **self._told(known, reading, at)}

    def _news(self, known: Known, ask: Ask, reading: Reading, reply: Reply, at: float) -> dict[str, Any]:
        """What the answer to a question changes."""
        if reading.status is None:
            wait = retry_after(reply)
            return {"troubles": known.troubles + 1, "not_before": max(known.not_before, at + wait)}
        ended = reading.status in _ENDED
        # A result that is not there although the job is over is trouble too: it must not be asked for for ever.
        troubles = known.troubles + 1 if known.status in _ENDED and not ended else 0
        news = {"troubles": troubles, "links": _joined(known.links, reading.links), **self._told(known, reading, at)}
        if ask.operation.does is Does.RESULT or self._doing(Does.RESULT) is None:
            news["result_read"] = ended
        return news

    def _told(self, known: Known, reading: Reading, at: float) -> dict[str, Any]:
        status, outputs = reading.status, reading.outputs or known.outputs
        if status is None or known.status in _ENDED:
            return {"outputs": outputs}
        finished = at if status in _ENDED else known.finished_at
        return {"status": status, "word": reading.word, "outputs": outputs, "finished_at": finished}


def _first_of_each(operations: Mapping[str, Operation]) -> Mapping[Does, Operation]:
    """The first operation of every kind."""
    return {operation.does: operation for operation in reversed([*operations.values()])}


_doers = Once(_first_of_each)


def _joined(links: Mapping[str, str], more: Mapping[str, str]) -> Mapping[str, str]:
    return {**links, **more} if more else links


def retry_after(reply: Reply) -> float:
    """The seconds that a Retry-After header asks for; 0 when it asks for none or is no number."""
    text = (reply.header("retry-after") or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), 3600.0) if math.isfinite(seconds) else 0.0
