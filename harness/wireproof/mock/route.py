"""The mock behind respx, for test suites that patch httpx with it already."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx
import respx

from wireproof.clock import Clock
from wireproof.mock.answer import Engine, OnEffect, OnExchange
from wireproof.mock.transport import AsyncEngineTransport, EngineTransport


def side_effect(
    engine: Engine, *, clock: Clock, on_effect: OnEffect | None = None, on_exchange: OnExchange | None = None
) -> Callable[[httpx.Request], httpx.Response]:
    """What a respx route is given as `side_effect=`. It answers async clients too, but blocks their
    loop while it waits; under a stepped clock there is nothing to wait for."""
    transport = EngineTransport(engine, clock=clock, on_effect=on_effect, on_exchange=on_exchange)

    def answer(request: httpx.Request) -> httpx.Response:
        return transport.handle_request(request)

    return answer


def async_side_effect(
    engine: Engine, *, clock: Clock, on_effect: OnEffect | None = None, on_exchange: OnExchange | None = None
) -> Callable[[httpx.Request], Coroutine[Any, Any, httpx.Response]]:
    """The same for async clients only: its delays hold up nobody else."""
    transport = AsyncEngineTransport(engine, clock=clock, on_effect=on_effect, on_exchange=on_exchange)

    async def answer(request: httpx.Request) -> httpx.Response:
        return await transport.handle_async_request(request)

    return answer


def route(
    router: respx.Router,
    base_url: str,
    engine: Engine,
    *,
    clock: Clock,
    on_effect: OnEffect | None = None,
    on_exchange: OnExchange | None = None,
) -> respx.Route:
    """Let the engine answer every call below `base_url` that the router sees."""
    answers = side_effect(engine, clock=clock, on_effect=on_effect, on_exchange=on_exchange)
    return router.route(url__startswith=base_url).mock(side_effect=answers)


@contextlib.contextmanager
def answering(
    base_url: str, engine: Engine, *, clock: Clock, on_exchange: OnExchange | None = None
) -> Iterator[respx.Route]:
    """The route of a router of its own, which is in force as long as the block is; other addresses are refused."""
    with respx.mock(assert_all_called=False) as router:
        yield route(router, base_url, engine, clock=clock, on_exchange=on_exchange)
