"""The mock inside a client that uses httpx2, the maintained successor of httpx. Needs httpx2 to be installed."""

from __future__ import annotations

import importlib
from typing import Any

import httpx

from wireproof.clock import Clock
from wireproof.mock.answer import Engine, OnExchange
from wireproof.mock.transport import EngineTransport


def transport(engine: Engine, *, clock: Clock, on_exchange: OnExchange | None = None) -> Any:
    """For `httpx2.Client(transport=…)` and `httpx2.AsyncClient(transport=…)`. Raises ImportError without httpx2.

    A reply is handed over when it is whole, and what breaks is raised as httpx2's own error of that name.
    """
    httpx2 = importlib.import_module("httpx2")
    inner = EngineTransport(engine, clock=clock, on_exchange=on_exchange)

    def answer(request: Any) -> Any:
        asked = httpx.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            content=request.read(),
            extensions=request.extensions,
        )
        try:
            reply = inner.handle_request(asked)
            body = reply.read()
        except httpx.TransportError as error:
            raise getattr(httpx2, type(error).__name__)(str(error), request=request) from error
        return httpx2.Response(reply.status_code, headers=reply.headers.raw, content=body)

    return httpx2.MockTransport(answer)
