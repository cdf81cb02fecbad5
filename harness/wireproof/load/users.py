"""Locust's side: the only file that imports it, for importing it patches the whole process.

`JobUser` carries the jobs of a plan out over Locust's own session; subclass it to choose endpoints and a
plan. Run as a program it is one process of `wireproof load`; imported by a locustfile it works under the
`locust` command, with its web interface, `--processes` and `--master`/`--worker`.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import secrets as chance
import signal
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gevent
import websocket
from gevent.event import Event
from geventhttpclient.client import HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPSocketPoolResponse
from geventhttpclient.url import URL
from locust import FastHttpUser, events, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS
from locust.env import Environment
from locust.exception import CatchResponseError
from locust.runners import MasterRunner, Runner, WorkerRunner

from wireproof import __version__, ledger
from wireproof.errors import UsageError, WireproofError
from wireproof.load import folder as files
from wireproof.load import frames, money, plans
from wireproof.load.conduct import Heard, Line
from wireproof.load.frames import Channel
from wireproof.load.hand import Hand, Slot
from wireproof.load.hub import Hub
from wireproof.load.settings import Settings, bases, is_loopback
from wireproof.model import Call, Reply
from wireproof.runlog import atomic_write

CHANNEL = "wireproof"
PULSE = 0.5
SAMPLE = 0.05

_HANDS: dict[int, Hand] = {}
"""The hand of each environment in this process."""


_FAILURES = frozenset({401, 403, 404, 429, *range(500, 600)})
"""Status codes that Locust's statistics count as a failed call. Another 4xx may be a job's own answer (a
failed job told as 422); the record tells which."""


_PLAIN = re.compile(r"(https?://[a-z0-9.-]+(?::[0-9]+)?)(/[A-Za-z0-9/._~?=&-]*)")
"""An address that is sent as it stands: no part of it is quoted, folded or cut off."""

_TARGET = re.compile(r"/[!-~]*")


def _place(url: str) -> tuple[str, str]:
    """Scheme, host and port of an address, and what is asked for there."""
    if plain := _PLAIN.fullmatch(url):
        return plain[1], plain[2]
    parts = URL(url)
    target = parts.quoted_uri
    if not _TARGET.fullmatch(target):
        raise ValueError("an address is no single line of text")
    return f"{parts.scheme}://{parts.netloc}", target


_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*")


def _head(client: HTTPClient, call: Call) -> str:
    """The header lines of a call but its length. ValueError for one that would not be a line of its own."""
    fields = {name.lower(): f"{name}: {value}" for name, value in client.default_headers.items()}
    fields |= {name.lower(): f"{name}: {value}" for name, value in call.headers}
    for line in fields.values():
        if not _FIELD.fullmatch(line):
            raise ValueError("a header is no single line of text")
    return "".join(f"{line}\r\n" for line in fields.values())


class _Wire:
    """A user's line: the connections of its FastHttpUser, timed by the hand's clock, told to Locust.

    Calls go to the client inside Locust's session, which has the user's timeouts, proxy and TLS. The
    session itself would parse each address and merge each header twice over: half of what a call costs.
    """

    def __init__(self, user: JobUser, endpoint: str) -> None:
        self._user = user
        self._agent = user.client.client
        self._clients: dict[str, HTTPClient] = {}
        self._request = user.environment.events.request
        self._hand = user.hand
        self._endpoint = endpoint
        self._names: dict[str, str] = {}
        self._heads: dict[tuple[tuple[str, str], ...], str] = {}

    def now(self) -> float:
        return self._hand.now()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            gevent.sleep(seconds)

    def send(self, call: Call, name: str, within: float) -> Heard:
        sent = self._hand.now()
        reply, broke = None, "timeout"
        with gevent.Timeout(within, False):  # type: ignore[arg-type]  # its own word for: raise nothing
            reply, broke = self._exchange(call, name)
        received = self._hand.now()
        self._hand.call(self._endpoint, name, received - sent)
        return Heard(reply, broke, sent, received)

    def _exchange(self, call: Call, name: str) -> tuple[Reply | None, str]:
        """The reply, or what broke; told to whoever listens to Locust's requests."""
        wall, begun = time.time(), time.perf_counter()
        response, size = None, 0
        error: BaseException | None = None
        reply, broke = None, ""
        try:
            origin, target = _place(call.url)
            client = self._clients.get(origin) or self._connected(call.url, origin)
            response = self._asked(client, call, target)
            body = bytes(response.read())
            size, status = len(body), response.status_code
            reply = Reply(status, tuple(response.headers), body)
            if status in _FAILURES:
                error = CatchResponseError(f"status {status}")
        except FAILURE_EXCEPTIONS as failure:
            # Whatever is left on that connection belongs to a call that was given up.
            self._close()
            error, broke = failure, _broke(failure)
        self._tell(call, name, wall, begun, size, response, error)
        return reply, broke

    def _asked(self, client: HTTPClient, call: Call, target: str) -> Any:
        """The response to a call, over the client's own connections and by its own parser.

        Its `request` does the same, but merges and checks the same few headers anew, thrice for each call: a
        fifth of what a call costs. It is left the calls through a proxy, and those whose kept connection
        turns out to be closed, which it knows to repeat only where that is safe.
        """
        pool = getattr(client, "_connection_pool", None)
        if pool is None or client.use_proxy:
            return client.request(call.method, target, call.body, dict(call.headers))
        head = self._heads.get(call.headers) or self._heads.setdefault(call.headers, _head(client, call))
        length = f"Content-Length: {len(call.body)}\r\n" if call.body or call.method in _WITH_BODY else ""
        line = pool.get_socket()
        try:
            line.sendall(f"{call.method} {target} HTTP/1.1\r\n{head}{length}\r\n".encode("latin-1") + call.body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the host may have answered before it closed: that answer is read below
        except BaseException:
            pool.release_socket(line)
            raise
        try:
            # It gives the connection back, whatever becomes of it.
            return HTTPSocketPoolResponse(line, pool, block_size=client.block_size, method=call.method)
        except (HTTPConnectionClosed, ConnectionResetError):
            if call.method in _WITH_BODY:
                raise
            return client.request(call.method, target, call.body, dict(call.headers))

    def _tell(
        self, call: Call, name: str, wall: float, begun: float, size: int, response: Any, error: BaseException | None
    ) -> None:
        self._request.fire(
            request_type=call.method,
            name=self._names.get(name) or self._names.setdefault(name, f"{self._endpoint} {name}"),
            response_time=(time.perf_counter() - begun) * 1000,
            response_length=size,
            response=response,
            context=self._user.context(),
            exception=error,
            start_time=wall,
            url=call.url,
        )

    def _connected(self, url: str, origin: str) -> HTTPClient:
        client = self._clients[origin] = self._agent.clientpool.get_client(URL(url))
        # What every call says is said once: to merge it anew for each would cost a tenth of the call.
        client.default_headers.update(self._agent.default_headers)
        client.default_headers["Accept-Encoding"] = "identity"
        client.default_headers.setdefault("Host", URL(url).netloc)
        return client

    def _close(self) -> None:
        self._clients.clear()
        self._agent.close()


class _Socket(_Wire):
    """A user's WebSocket, open from its first job on; outputs are still fetched over HTTP."""

    def __init__(self, user: JobUser, endpoint: str, channel: Channel) -> None:
        super().__init__(user, endpoint)
        self._channel = channel
        self._socket: websocket.WebSocket | None = None
        self._used = 0.0
        self._verify = {} if user.insecure is False else {"cert_reqs": ssl.CERT_NONE}

    def _exchange(self, call: Call, name: str) -> tuple[Reply | None, str]:
        if not frames.carries(self._channel, call):
            return super()._exchange(call, name)
        wall, begun = time.time(), time.perf_counter()
        reply, broke = None, ""
        error: BaseException | None = None
        try:
            reply = self._answered(call)
            if reply.status in _FAILURES:
                error = CatchResponseError(f"status {reply.status}")
        except (OSError, websocket.WebSocketException, gevent.Timeout) as failure:
            self._hang_up()
            error, broke = failure, _broke(failure)
        asked = replace(call, method="WS")
        self._tell(asked, name, wall, begun, len(reply.body) if reply else 0, reply, error)
        return reply, broke

    def _answered(self, call: Call) -> Reply:
        """The reply to a call; the connection belongs to this user alone, so only one is under way."""
        answer = frames.Answer(self._channel, call)
        line = self._kept() or self._connected_anew()
        if self._socket is None and self._channel.login:
            line.send(self._channel.login.decode())
            told = line.recv()
            if not frames.admitted(self._channel, told):
                line.shutdown()  # type: ignore[no-untyped-call]
                return answer.refused(told)
        self._socket = line
        line.send(call.body.decode())
        while True:
            frame = line.recv()
            self._used = time.monotonic()
            if not frame:
                raise websocket.WebSocketConnectionClosedException("closed by the host")
            reply = answer.hear(frame)
            if reply is not None:
                return reply

    def _kept(self) -> websocket.WebSocket | None:
        """The connection in use, unless the host may have closed it for its silence."""
        if time.monotonic() - self._used > 0.9 * self._channel.idle:
            self._hang_up()
        return self._socket

    def _connected_anew(self) -> websocket.WebSocket:
        self._used = time.monotonic()
        return websocket.create_connection(self._channel.url, timeout=self._user.network_timeout, sslopt=self._verify)

    def _hang_up(self) -> None:
        line, self._socket = self._socket, None
        if line is not None:
            # No closing handshake: whoever breaks a connection does not answer one.
            line.shutdown()  # type: ignore[no-untyped-call]


def _broke(error: BaseException) -> str:
    """One word for what broke a call."""
    name = type(error).__name__.lower()
    words = {
        "timeout": "timeout",
        "refused": "refused",
        "reset": "reset",
        "closed": "reset",
        "ssl": "tls",
        "parse": "garbled",
        "protocol": "garbled",
    }
    return next((word for part, word in words.items() if part in name), "reset")


class JobUser(FastHttpUser):
    """One place in which a job can be under way. Users take the plan's arrivals in turn.

    Under `locust`, class attributes choose what is done; options of the command line win.
    """

    abstract = True
    insecure = False  # Locust's own default would send keys to anybody
    # Each call has a time limit as a whole; one for each read besides would cost a timer at every read.
    network_timeout = None  # type: ignore[assignment]  # Locust passes it on, and None is no limit
    connection_timeout = 10.0
    concurrency = 1
    host = "http://127.0.0.1"

    spec: ClassVar[str] = ""
    """SPECs, separated by commas; their jobs are interleaved."""
    plan: ClassVar[str] = ""
    """Name or file of the plan."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.hand = _HANDS[id(environment)]
        self._who = self.hand.join()
        self._slot: Slot | None = None
        self._wires: dict[str, Line] = {}

    def on_start(self) -> None:
        self.hand.begun.wait()
        gevent.sleep(self.wait_time())

    def wait_time(self) -> float:
        """Seconds until the next job of this user is to start; waits for good when there is none."""
        while True:
            found = self.hand.next(self._who)
            if isinstance(found, Slot):
                self._slot = found
                return max(0.0, found.intended - self.hand.now())
            if found is None:
                self._slot = None
                self.hand.over.wait()
            else:
                gevent.sleep(found)

    @task
    def job(self) -> None:
        """Carry out the job whose time has come."""
        slot, self._slot = self._slot, None
        if slot is not None:
            self.hand.carry(slot, self.line(slot.arrival.endpoint))

    def line(self, endpoint: str) -> Line:
        """What this user's calls of an endpoint go out on."""
        if endpoint not in self._wires:
            channel = self.hand.setups[endpoint].channel
            self._wires[endpoint] = _Socket(self, endpoint, channel) if channel else _Wire(self, endpoint)
        return self._wires[endpoint]


# ------------------------------------------------------------------------------- hub and hand, linked


class Room:
    """A load test in one Locust environment: its hub, its hand or both, and the messages between them."""

    def __init__(self, environment: Environment, settings: Callable[[], Settings], over: Callable[[], None]) -> None:
        self.environment = environment
        runner = environment.runner
        assert runner is not None  # made before its room
        self.runner: Runner = runner
        self._settings = settings
        self._over = over
        self.hub: Hub | None = None
        self.hand: Hand | None = None
        if not isinstance(runner, MasterRunner):
            self.renew()
            gevent.spawn(self._sample)
            gevent.spawn(self._pulse)
        if isinstance(runner, MasterRunner | WorkerRunner):
            runner.register_message(CHANNEL, self._message)
        if not isinstance(runner, WorkerRunner):
            gevent.spawn(self._watch)

    def renew(self) -> None:
        """A fresh hand, for a test that is about to start."""
        if not isinstance(self.runner, MasterRunner):
            self.hand = _HANDS[id(self.environment)] = Hand(self._up, Event)

    def prepare(self) -> Hub:
        """The hub of a test that is about to start. Raises for settings that do not work."""
        settings = self._settings()
        endpoints, plan = settings.endpoints(), settings.load_plan()
        teller = money.teller(settings, endpoints)
        self.hub = Hub(settings, plan, teller=teller, down=self._down, over=self._over)
        return self.hub

    def begin(self) -> None:
        """Every user is there: begin."""
        if self.hub is not None:
            self.hub.begin(self.workers())

    def workers(self) -> list[str]:
        """The workers that are alive."""
        if not isinstance(self.runner, MasterRunner):
            return ["local"]
        clients = self.runner.clients
        return sorted(client.id for client in [*clients.ready, *clients.spawning, *clients.running])

    def _up(self, message: Mapping[str, Any]) -> None:
        if isinstance(self.runner, WorkerRunner):
            self.runner.send_message(CHANNEL, dict(message))
        elif self.hub is not None:
            self.hub.hear("local", message)

    def _down(self, worker: str, message: Mapping[str, Any]) -> None:
        if isinstance(self.runner, MasterRunner):
            self.runner.send_message(CHANNEL, dict(message), client_id=worker)
        else:
            self.order(message)

    def _message(self, environment: Environment, msg: Any, **_: Any) -> None:
        if isinstance(self.runner, MasterRunner):
            if self.hub is not None and not self.hub.finished:
                self.hub.hear(msg.node_id, msg.data)
        else:
            self.order(msg.data)

    def order(self, message: Mapping[str, Any]) -> None:
        """What the hub wants of this process's hand."""
        if message["what"] == "cut":
            self.cut()
        elif self.hand is not None:
            self.hand.hear(message)
            if message["what"] == "begin":
                # What is there by now stays: to look through it again would hold up sends for tens of ms.
                gc.collect()
                gc.freeze()

    def cut(self) -> None:
        """End the users of this process; their jobs are kept as cut off."""
        for greenlet in list(self.runner.user_greenlets):
            greenlet.kill(block=False)

    def _sample(self) -> None:
        while True:
            asleep = time.monotonic()
            gevent.sleep(SAMPLE)
            if self.hand is not None and self.hand.begun.is_set():
                self.hand.lagged(max(0.0, time.monotonic() - asleep - SAMPLE))

    def _pulse(self) -> None:
        while True:
            gevent.sleep(PULSE)
            if self.hand is not None:
                self.hand.pulse()

    def _watch(self) -> None:
        while True:
            gevent.sleep(0.1)
            if self.hub is not None and self.hub.begun and not self.hub.finished:
                self.hub.tick(self.workers())


# ------------------------------------------------------------------------------------ under `locust`


def _options(parser: Any) -> None:
    """What `locust` is told besides its own options. No key is among them: options travel in the clear."""
    group = parser.add_argument_group("wireproof")
    group.add_argument("--spec", default="", help="endpoints whose jobs are interleaved, separated by commas")
    group.add_argument("--plan", default="", help="name or file of the plan")
    group.add_argument("--budget", default="", help="how much may be spent, such as 0.50USD")
    group.add_argument("--live", action="store_true", help="use a target that is not on this machine")
    group.add_argument("--report-dir", default="reports/runs", help="where the run is kept")


def _plain_settings(environment: Environment) -> Settings:
    """What a run under `locust` was asked for: its options, else what the user class says."""
    options: Any = environment.parsed_options
    chosen = next((c for c in environment.user_classes if issubclass(c, JobUser) and c.spec), JobUser)
    specs = (options.spec or chosen.spec or "all").split(",")
    asked = Settings(specs=tuple(specs), bases={}, plan=options.plan or chosen.plan or "smoke", rooms=str(Path.cwd()))
    found = bases(asked.endpoints(), environment.host or chosen.host)
    budget = tuple(filter(None, [options.budget]))
    if not all(map(is_loopback, found.values())) and not (options.live and budget):
        raise UsageError("the target is not on this machine, so its jobs may cost money: add --live and --budget")
    place = files.make(Path(options.report_dir), time.time())
    return replace(
        asked,
        bases=found,
        budget=budget,
        folder=str(place),
        nonce=chance.token_hex(8),
        # With a budget jobs cost money, wherever they run; without one they are on this machine.
        ledger=str(ledger.home()) if budget else "",
    )


def _begin_plainly(environment: Environment, **_: Any) -> None:
    """Make an environment of the `locust` command a load test of ours."""
    if not any(issubclass(c, JobUser) for c in environment.user_classes):
        return

    def over() -> None:
        options: Any = environment.parsed_options
        quits = options.headless or options.autostart
        gevent.spawn(room.runner.quit if quits else room.runner.stop)

    room = Room(environment, lambda: _plain_settings(environment), over)

    def start(**_: Any) -> None:
        room.renew()
        if isinstance(room.runner, WorkerRunner):
            return
        try:
            _keep_manifest(room.prepare())
        except WireproofError as error:
            logging.getLogger("wireproof").error("%s", error)
            environment.process_exit_code = error.exit_code
            gevent.spawn(room.runner.quit)

    def ended(**_: Any) -> None:
        # Users are gone by now, and what was in flight is kept as cut off: let it be told.
        if room.hand is not None:
            room.hand.stopped = True
            room.hand.settle_down()
        if room.hub is not None and not room.hub.finished and isinstance(room.runner, MasterRunner):
            ends = time.monotonic() + 3.0
            while not room.hub.finished and time.monotonic() < ends:
                gevent.sleep(0.02)
        _sum_up(environment, room)

    _listen(environment.events.test_start, start)
    _listen(environment.events.spawning_complete, lambda **_: room.begin())
    _listen(environment.events.test_stop, ended)


def _keep_manifest(hub: Hub) -> None:
    settings = hub.settings
    told = {
        "id": Path(settings.folder).name,
        "version": __version__,
        "target": ",".join(sorted(set(settings.bases.values()))),
        **files.subjects(settings.endpoints()),
        "plan": hub.plan.name,
        "seed": hub.plan.seed,
        "budget": list(settings.budget),
        "settings": json.loads(settings.to_json()),
    }
    atomic_write(Path(settings.folder) / files.MANIFEST, json.dumps(told, indent=2))


def _sum_up(environment: Environment, room: Room) -> None:
    """Write the summary of a test under `locust`, and take its verdict as the exit code."""
    if room.hub is None or isinstance(room.runner, WorkerRunner):
        return
    from wireproof.load import command, summing, terminal

    room.hub.close()
    summary = command.summed(Path(room.hub.settings.folder))
    environment.process_exit_code = summing.exit_code(summary)
    print(terminal.render(summary), file=sys.__stderr__)
    print(f"kept in {room.hub.settings.folder}", file=sys.__stderr__)
    room.hub = None


def _listen(event: Any, listener: Callable[..., Any]) -> None:
    event.add_listener(listener)


_listen(events.init_command_line_parser, _options)
_listen(events.init, _begin_plainly)


# ------------------------------------------------------------------------------ under `wireproof load`


class _Jobs(JobUser):
    """The user of `wireproof load`."""

    abstract = False


def main(arguments: list[str]) -> int:
    """One process of a load test: `hub SETTINGS.json WORKERS` or `worker HOST PORT`."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    environment = Environment(user_classes=[_Jobs], events=events)
    return _worker(environment, *arguments[1:]) if arguments[0] == "worker" else _hub(environment, *arguments[1:])


def _hub(environment: Environment, file: str, workers: str) -> int:
    settings = Settings.from_json(Path(file).read_text(encoding="utf-8"))
    count = int(workers)
    runner = environment.create_master_runner("127.0.0.1", 0) if count else environment.create_local_runner()
    done = Event()
    room = Room(environment, lambda: settings, done.set)
    hub = room.prepare()
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, hub.stop, f"interrupted by {signal.Signals(number).name}")
    orphaned = Event()
    gevent.spawn(_obey, hub, orphaned)
    if isinstance(runner, MasterRunner):
        sys.stdout.write(json.dumps({"port": runner.server.port}) + "\n")
        sys.stdout.flush()
        while len(room.workers()) < count and not hub.finished:
            gevent.sleep(0.02)
    _listen(environment.events.spawning_complete, lambda **_: room.begin())
    users = plans.places(hub.plan, settings.endpoints()) if settings.places is None else settings.places
    users = -(-users // max(1, count)) * max(1, count)
    if not hub.finished:
        gevent.spawn(runner.start, users, users)
    done.wait()
    runner.quit()
    if orphaned.is_set():
        # Who started us was killed, which is no orderly end: the budget stays in use, for whoever comes next.
        os._exit(1)
    return 0


def _worker(environment: Environment, host: str, port: str) -> int:
    runner = environment.create_worker_runner(host, int(port))
    room = Room(environment, lambda: Settings(specs=(), bases={}), lambda: None)
    assert room.hand is not None  # a worker has one

    def stop() -> None:
        room.order({"what": "stop"})
        gevent.spawn_later(5.0, room.cut)

    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, stop)
    gevent.spawn(_leave_with_parent)
    runner.greenlet.join()
    return 0


def _obey(hub: Hub, orphaned: Event) -> None:
    """Orders from the process that started us: `stop WHY`, `cut`; its end, told by `orphaned`, is an order to stop."""
    for line in _typed():
        word, _, why = line.strip().partition(" ")
        if word == "stop":
            hub.stop(why)
        elif word == "cut":
            hub.cut()
    orphaned.set()
    hub.stop("the process that started the run is gone")


def _leave_with_parent() -> None:
    for _ in _typed():
        continue
    gevent.sleep(15.0)
    os._exit(1)


def _typed() -> Any:
    """The lines of standard input, without holding up the loop."""
    from gevent.fileobject import FileObject

    return FileObject(sys.stdin.fileno(), "r", closefd=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
