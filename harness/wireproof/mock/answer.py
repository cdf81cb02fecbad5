"""What an engine gives back for a call, and what its shells need to know to carry it out.

The engine is pure: it says what is to be replied, when, and how the bytes are to leave. A shell (the
socket server, the ASGI app, the in-process transports, the respx route) waits, sends, breaks off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol

from wireproof.clock import Clock, SteppedClock
from wireproof.model import Call, Reply

MOST_DRIPS = 64
"""A dripped body leaves in at most so many pieces, so that a megabyte does not drip for a week."""

BODILESS = frozenset({204, 304})
"""Status codes whose replies have no body, whatever the engine put into them."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the bytes of a reply leave; the default is whole and at once."""

    cut_after: int | None = None
    """Send this many bytes of the body, then close: the reply is truncated."""
    reset: bool = False
    """Reset the connection instead of replying; with `cut_after`, after those bytes."""
    drip: float | None = None
    """Seconds between single bytes, or between pieces where the body is longer than `MOST_DRIPS`."""
    silence: bool = False
    """Never answer, and keep the connection open."""
    close: bool = False
    """Say `Connection: close` and close cleanly after the reply."""


WHOLE = Delivery()


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply, when it leaves and how, and what else comes of the call."""

    reply: Reply
    """Without `content-length`: the shell adds it."""
    after: float = 0.0
    """Seconds, by the mock's clock, before the first byte."""
    delivery: Delivery = WHOLE
    effects: tuple[object, ...] = ()
    """What else is to happen (webhooks, uploads): handed to a callback, never interpreted by a shell."""
    rule: str = ""
    """What made this reply, for a journal (`segmind.submit.accepted`, `mood lost-reply: reset`)."""
    operation: str = ""
    """Name of the operation that was asked; `media` for a fetched output."""
    job: str = ""
    """The id of the job that it is about."""


class Engine(Protocol):
    """The pure centre of the mock."""

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        """The answer to a call that came at `now` (clock seconds) and `wall` (seconds since 1970).

        `call.url` is absolute and begins with the address that the client used. Never raises.
        """
        ...


OnEffect = Callable[[object], None]
OnExchange = Callable[[Call, Answer, float], None]
"""Told of every call, its answer, and when the call came: seconds of the mock's clock."""


def speed(clock: Clock) -> float:
    """How many seconds of that clock pass in one real second."""
    return float(getattr(clock, "scale", 1.0))


def stands(clock: Clock) -> bool:
    """Whether the clock moves only when it is pushed."""
    return isinstance(clock, SteppedClock) or bool(getattr(clock, "stands", False))


def real_wait(clock: Clock, seconds: float) -> float:
    """The real seconds that a wait of so many clock seconds takes; a stepped clock moves on at once."""
    if stands(clock):
        clock.sleep(seconds)
        return 0.0
    return max(0.0, seconds) / speed(clock)


def pieces(body: bytes, delivery: Delivery) -> tuple[bytes, ...]:
    """The parts of the body that are sent, in order; more than one only where the reply drips."""
    sent = body if delivery.cut_after is None else body[: max(0, delivery.cut_after)]
    if delivery.drip is None or len(sent) < 2:
        return (sent,)
    size = -(-len(sent) // MOST_DRIPS)
    return tuple(sent[start : start + size] for start in range(0, len(sent), size))


def headers_of(answer: Answer, wall: float) -> list[tuple[str, str]]:
    """The headers with those that a socket, or the gate in front of a host, would have added, for a shell without."""
    headers = list(answer.reply.headers)
    if not any(name == "date" for name, _ in headers):
        headers.append(("date", formatdate(wall, usegmt=True)))
    if answer.delivery.close:
        headers.append(("connection", "close"))
    if answer.reply.status not in BODILESS:
        headers.append(("content-length", str(len(answer.reply.body))))
    return headers
