"""The mock inside a client: httpx transports that ask an engine and open no socket.

What a broken delivery looks like is what httpx makes of it on a real socket: `ReadError` for a reset,
`RemoteProtocolError` for a truncated body, `ReadTimeout` for a silence. A client's read time-out is
real time; it is compared with the wait as the clock would make it take.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx

from wireproof.clock import Clock
from wireproof.mock.answer import (
    BODILESS,
    Answer,
    Delivery,
    Engine,
    OnEffect,
    OnExchange,
    headers_of,
    pieces,
    real_wait,
    speed,
)
from wireproof.model import Call


@dataclass(frozen=True, slots=True)
class _Start:
    """What comes first: a wait (clock seconds), and then the reply or a failure."""

    wait: float
    failure: httpx.TransportError | None


@dataclass(frozen=True, slots=True)
class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body as it arrives, for clients of both kinds."""

    whole: bytes
    delivery: Delivery
    patience: float
    clock: Clock

    def _steps(self) -> Iterator[tuple[float, bytes]]:
        """Each piece with the wait before it; ends as the delivery ends."""
        gap, arrived = 0.0, 0
        for piece in pieces(self.whole, self.delivery):
            yield min(gap, self.patience), b""
            if gap > self.patience:
                raise httpx.ReadTimeout("The read operation timed out")
            yield 0.0, piece
            gap, arrived = self.delivery.drip or 0.0, arrived + len(piece)
        if arrived < len(self.whole):
            raise _broken(self.delivery, arrived, len(self.whole))

    def __iter__(self) -> Iterator[bytes]:
        for wait, piece in self._steps():
            self.clock.sleep(wait)
            if piece:
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for wait, piece in self._steps():
            if wait > 0:
                await asyncio.sleep(real_wait(self.clock, wait))
            if piece:
                yield piece


def _broken(delivery: Delivery, arrived: int, expected: int) -> httpx.TransportError:
    if delivery.reset:
        return httpx.ReadError("[Errno 104] Connection reset by peer")
    return httpx.RemoteProtocolError(
        f"peer closed connection without sending complete message body (received {arrived} bytes, expected {expected})"
    )


class _Shell:
    """What both transports share: everything but the waiting."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        on_effect: OnEffect | None = None,
        on_exchange: OnExchange | None = None,
    ) -> None:
        self.clock = clock
        self._engine = engine
        self._on_effect = on_effect
        self._on_exchange = on_exchange

    def _answer(self, request: httpx.Request, body: bytes) -> Answer:
        call, now = call_of(request, body), self.clock.now()
        answer = self._engine.answer(call, now, self.clock.wall())
        if self._on_exchange is not None:
            self._on_exchange(call, answer, now)
        return answer

    def _start(self, answer: Answer, request: httpx.Request) -> _Start:
        patience = self._patience(request)
        if answer.delivery.silence and math.isinf(patience):
            # Waiting for ever would hang the test that asked for it.
            return _Start(0.0, httpx.ReadTimeout("The mock is silent, and the client set no read time-out"))
        if answer.delivery.silence or answer.after > patience:
            return _Start(patience, httpx.ReadTimeout("The read operation timed out"))
        if answer.delivery.reset and answer.delivery.cut_after is None:
            return _Start(answer.after, _broken(answer.delivery, 0, 0))
        return _Start(answer.after, None)

    def _patience(self, request: httpx.Request) -> float:
        """The client's read time-out in clock seconds."""
        read: float | None = request.extensions.get("timeout", {}).get("read")
        return math.inf if read is None else read * speed(self.clock)

    def _end(self, start: _Start, answer: Answer, request: httpx.Request) -> httpx.Response:
        if self._on_effect is not None:
            for effect in answer.effects:
                self._on_effect(effect)
        if start.failure is not None:
            start.failure.request = request
            raise start.failure
        return self._response(answer, request)

    def _response(self, answer: Answer, request: httpx.Request) -> httpx.Response:
        reply, delivery = answer.reply, answer.delivery
        headers = headers_of(answer, self.clock.wall())
        body = b"" if request.method == "HEAD" or reply.status in BODILESS else reply.body
        stream = _Body(body, delivery, self._patience(request), self.clock)
        return httpx.Response(reply.status, headers=headers, stream=stream, request=request)


class EngineTransport(_Shell, httpx.BaseTransport):
    """For `httpx.Client(transport=…)`. Delays are waited by `clock.sleep`."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answer(request, request.read())
        start = self._start(answer, request)
        self.clock.sleep(start.wait)
        return self._end(start, answer, request)


class AsyncEngineTransport(_Shell, httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient(transport=…)`, under asyncio. Delays hold up nobody else."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answer(request, await request.aread())
        start = self._start(answer, request)
        if start.wait > 0:
            await asyncio.sleep(real_wait(self.clock, start.wait))
        return self._end(start, answer, request)


def call_of(request: httpx.Request, body: bytes) -> Call:
    """The call as a server would read it from the wire."""
    url = request.url
    host = request.headers.get("host") or url.netloc.decode("ascii")
    return Call(
        request.method,
        f"{url.scheme}://{host}{url.raw_path.decode('ascii')}",
        tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw),
        body,
    )
