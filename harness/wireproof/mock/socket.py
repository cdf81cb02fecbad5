"""The mock's own HTTP/1.1 server: it owns every byte it writes, and survives every byte it reads.

A mock that resets, truncates, drips and falls silent cannot live behind a framework. One asyncio
protocol on `httptools`: calls go to the engine as they come, replies leave in the order of their
calls, one write each. What is not plain HTTP/1.1 is refused and the connection closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, TypeAlias, cast

from wireproof.clock import Clock, RealClock
from wireproof.mock.answer import Engine, OnEffect, OnExchange
from wireproof.mock.connection import BODY, HEAD, IDLE, LINGER, LINGERING, MOST_HEADS, SILENT, SLICE, Connection, Head
from wireproof.mock.framing import CROWDED, DEFAULT_LIMITS, FULL, Headers, Limits, Refusal

Desk: TypeAlias = Callable[[bytes, bytes, bytes, float], bytes | None]
"""Method, target, body, now -> a complete HTTP response, or None."""

Quick: TypeAlias = Callable[[Mapping[bytes, bytes], str], Desk | None]
"""An engine's short cut: headers by their lower-cased names, the origin that the client used -> the desk
that serves whoever calls with these, or None."""

OnQuick: TypeAlias = Callable[[bytes, bytes, str, Headers, bytes, bytes, float], None]
"""Told of what the short cut answered: method, target, origin, headers, body, the response, when."""

Upgrade: TypeAlias = Callable[[bytes, asyncio.Transport], asyncio.Protocol | None]
"""Given the raw head of a WebSocket handshake and the transport: the protocol that takes the
connection over (it is not told of `connection_made`; bytes after the head reach its
`data_received`), or None to have the handshake answered like any other call."""


Place: TypeAlias = Callable[[bytes, Mapping[bytes, bytes], int], int | None]
"""Target, headers by their lower-cased names, how often the call was handed over -> the worker that it is
for; None: this one."""

HandOver: TypeAlias = Callable[[int, socket.socket, bytes, int], None]
"""Brings a connection to another worker, with what was read from it and how often it was handed over."""


def _nowhere(place: int, connection: socket.socket, raw: bytes, hops: int) -> None:
    raise RuntimeError(f"there is no worker {place}")


@dataclass(slots=True, eq=False)
class Peer:
    """What the clients of one address have of a server."""

    address: str
    connections: int = 0
    held: int = 0
    """Bytes of unfinished requests and of untaken replies."""


class MockServer:
    """Serves an engine on one address, in the event loop that starts it.

    Another `host` than this machine's own has to be asked for. Delays pass by `clock`: divided by the
    scale of a scaled one, at once under a stepped one. `on_effect` is handed an answer's effects when
    its reply leaves; `on_exchange` is told of each call as it is answered, `on_quick` of those that the
    engine's short cut answered: without it, a server with `on_exchange` takes none. `upgrade` may take
    WebSockets over. A `listener` is an open socket to accept from, in place of the address; where several
    processes do so, `place` says which of them a call is for, and `hand_over` brings it there.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        limits: Limits = DEFAULT_LIMITS,
        on_effect: OnEffect | None = None,
        on_exchange: OnExchange | None = None,
        on_quick: OnQuick | None = None,
        upgrade: Upgrade | None = None,
        listener: socket.socket | None = None,
        place: Place | None = None,
        hand_over: HandOver | None = None,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.now = clock.now
        self.wall = clock.wall
        self.limits = limits
        self.tls = tls
        self.on_effect = on_effect
        self.on_exchange = on_exchange
        self.upgrade = upgrade
        self.listener = listener
        self.place = place
        self.hand_over: HandOver = hand_over or _nowhere
        # What is answered on the short cut would be missing from a journal that hears only of exchanges.
        heard = on_exchange is None or on_quick is not None
        self.quick: Quick | None = getattr(engine, "quick", None) if heard else None
        self.on_quick = on_quick
        self.heads: dict[bytes, Head] = {}
        """Header blocks that were parsed before, for the short cut: most calls of a client differ in nothing
        else than their first line and their body."""
        self.scheme = "http" if tls is None else "https"
        self.netloc = ""
        self.slice = min(SLICE, limits.head)
        self.longest_target = limits.line - len("OPTIONS  HTTP/1.1")
        self.connections: set[Connection] = set()
        self.peers: dict[str, Peer] = {}
        self.tick = 0.0
        self.leaving: list[tuple[asyncio.Transport, bytes]] = []
        """Answers of the short cut that were made in this turn of the loop."""
        self.loop: asyncio.AbstractEventLoop = cast(asyncio.AbstractEventLoop, None)
        self._address = host, port
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._patience = {
            IDLE: limits.idle,
            HEAD: limits.head_within,
            BODY: limits.request_within,
            LINGERING: LINGER,
            SILENT: math.inf,
        }

    @property
    def url(self) -> str:
        """The origin to call (`http://127.0.0.1:40123`), once started."""
        return f"{self.scheme}://{self.netloc}"

    def patience(self, phase: int, fresh: bool) -> float:
        """How long a connection may stay in a phase; one that never asked anything, less."""
        return self.limits.head_within if fresh and phase == IDLE else self._patience[phase]

    def enter(self, connection: Connection, address: str) -> Peer | Refusal:
        """Let a connection in, if there is room for it."""
        if len(self.connections) >= self.limits.connections:
            for one in [one for one in self.connections if one.is_gone]:
                self.leave(one)
        if len(self.connections) >= self.limits.connections:
            return FULL
        peer = self.peers.get(address) or Peer(address)
        if peer.connections >= self.limits.connections_each and not _is_here(address):
            return CROWDED
        self.peers[address] = peer
        self.connections.add(connection)
        peer.connections += 1
        return peer

    def leave(self, connection: Connection) -> None:
        """Forget a connection; once is enough."""
        if connection in self.connections:
            self.connections.discard(connection)
            peer = connection.peer
            peer.connections -= 1
            if not peer.connections:
                self.peers.pop(peer.address, None)

    def see_off(self) -> None:
        """Write the answers that are leaving. They go together: to wake up a client for each of them costs more
        than to make them, and one that is awake already sees the next ones by itself."""
        leaving, self.leaving = self.leaving, []
        for transport, whole in leaving:
            if not transport.is_closing():
                transport.write(whole)

    async def start(self) -> None:
        """Listen; returns once calls are answered."""
        self.loop = asyncio.get_running_loop()
        host, port = self._address
        self._listener = await self.loop.create_server(
            lambda: Connection(self),
            **({"host": host, "port": port} if self.listener is None else {"sock": self.listener}),
            ssl=self.tls,
            backlog=self.limits.connections,
            ssl_handshake_timeout=self.limits.head_within if self.tls else None,
        )
        name, bound = self._listener.sockets[0].getsockname()[:2]
        self.netloc = f"[{name}]:{bound}" if ":" in name else f"{name}:{bound}"
        self._sweep()

    async def stop(self) -> None:
        """Listen no more and close every connection, after what was already written to it."""
        if self._listener is None:
            return
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.see_off()
        self._listener.close()
        for connection in list(self.connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._drained(), timeout=1.0)
        for connection in list(self.connections):
            connection.abort()
        self._listener = None

    async def _drained(self) -> None:
        while self.connections:  # noqa: ASYNC110 - a look is cheaper than an event kept for each client
            await asyncio.sleep(0.005)

    def _sweep(self) -> None:
        self.tick = self.loop.time()
        self.see_off()
        for connection in list(self.connections):
            connection.check(self.tick)
        if len(self.heads) >= MOST_HEADS:
            self.heads.clear()
        self._sweeper = self.loop.call_later(self.limits.sweep, self._sweep)


def _is_here(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return not address  # a socket that has none is a local one


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop of the fastest kind that is installed."""
    try:
        import uvloop
    except ImportError:  # not made for every system
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@contextlib.contextmanager
def serving(
    engine: Engine,
    *,
    clock: Clock | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_effect: OnEffect | None = None,
    on_exchange: OnExchange | None = None,
    upgrade: Upgrade | None = None,
) -> Iterator[str]:
    """The URL of a server that runs in a thread of its own as long as the block does.

    Engine and callbacks run in that thread.
    """
    server = MockServer(
        engine,
        clock=clock or RealClock(),
        host=host,
        port=port,
        tls=tls,
        limits=limits,
        on_effect=on_effect,
        on_exchange=on_exchange,
        upgrade=upgrade,
    )
    started: Future[asyncio.Event] = Future()
    thread = threading.Thread(target=_serve_in_thread, args=(server, started), daemon=True)
    thread.start()
    enough = started.result()
    try:
        yield server.url
    finally:
        server.loop.call_soon_threadsafe(enough.set)
        thread.join()


def _serve_in_thread(server: MockServer, started: Future[asyncio.Event]) -> None:
    async def serve() -> None:
        enough = asyncio.Event()
        try:
            await server.start()
        except Exception as error:  # noqa: BLE001 - it is raised where the server was asked for
            return started.set_exception(error)
        started.set_result(enough)
        await enough.wait()
        await server.stop()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve())


def run_forever(
    server: MockServer,
    ready: Callable[[str], None],
    *beside: MockServer,
    errand: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then stop cleanly; `ready` is told the URL once calls are answered.

    Servers `beside` it share its loop, and `errand` runs there as long as they do.
    """

    async def serve() -> None:
        enough = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            # Where a loop takes no signals (Windows), Control-C still ends the run, as KeyboardInterrupt.
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, enough.set)
        servers = (server, *beside)
        running = asyncio.create_task(errand()) if errand is not None else None
        try:
            for each in servers:
                await each.start()
            ready(server.url)
            await enough.wait()
        finally:
            for each in servers:
                await each.stop()
            if running is not None:
                running.cancel()

    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve())
