"""The mock as an ASGI app, for whoever has a server already.

An app does not own its bytes: a reset can only be a reply that is begun and abandoned, on which
servers close the connection. Whoever needs a true reset uses `wireproof.mock.socket`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from wireproof.clock import Clock
from wireproof.mock.answer import BODILESS, Answer, Engine, OnEffect, OnExchange, pieces, real_wait
from wireproof.mock.framing import DEFAULT_LIMITS, TOO_LARGE, Limits
from wireproof.model import Call, Reply

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class _TooLarge(Exception):
    pass


class _Gone(Exception):
    pass


class MockApp:
    """An ASGI 3 application that answers HTTP calls by an engine and refuses WebSockets."""

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        limits: Limits = DEFAULT_LIMITS,
        on_effect: OnEffect | None = None,
        on_exchange: OnExchange | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._limits = limits
        self._on_effect = on_effect
        self._on_exchange = on_exchange

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await _lifespan(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close"})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await _body(receive, self._limits.body)
        except _Gone:
            return
        except _TooLarge:
            refusal = Reply(TOO_LARGE.status, (("content-type", "text/plain"),), TOO_LARGE.says.encode())
            return await _send(send, Answer(refusal), self._clock, scope["method"])
        answer = self._answer(_call(scope, body))
        await asyncio.sleep(real_wait(self._clock, answer.after))
        if answer.delivery.silence:
            self._settle(answer)
            await _until_gone(receive)
        else:
            await _send(send, answer, self._clock, scope["method"])
            self._settle(answer)

    def _answer(self, call: Call) -> Answer:
        now = self._clock.now()
        answer = self._engine.answer(call, now, self._clock.wall())
        if self._on_exchange is not None:
            self._on_exchange(call, answer, now)
        return answer

    def _settle(self, answer: Answer) -> None:
        if self._on_effect is not None:
            for effect in answer.effects:
                self._on_effect(effect)


async def _send(send: Send, answer: Answer, clock: Clock, method: str) -> None:
    reply, delivery = answer.reply, answer.delivery
    await send({"type": "http.response.start", "status": reply.status, "headers": _headers(answer)})
    if delivery.reset and delivery.cut_after is None:
        return
    whole = b"" if method == "HEAD" or reply.status in BODILESS else reply.body
    first, *rest = pieces(whole, delivery)
    await send({"type": "http.response.body", "body": first, "more_body": True})
    for piece in rest:
        await asyncio.sleep(real_wait(clock, delivery.drip or 0.0))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if delivery.cut_after is None or delivery.cut_after >= len(whole):
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = list(answer.reply.headers)
    if answer.delivery.close:
        headers.append(("connection", "close"))
    if answer.reply.status not in BODILESS:
        headers.append(("content-length", str(len(answer.reply.body))))
    return [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def _body(receive: Receive, most: int) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise _TooLarge
    return bytes(body)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


def _call(scope: Message, body: bytes) -> Call:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    host = next((value for name, value in headers if name.lower() == "host"), None)
    if host is None:
        host = "{}:{}".format(*(scope.get("server") or ("localhost", 80)))
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return Call(
        scope["method"],
        f"{scope.get('scheme', 'http')}://{host}{path}{'?' + query if query else ''}",
        headers,
        body,
    )
