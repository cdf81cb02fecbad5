"""The mock as a program: serve contracts until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from time import monotonic_ns
from typing import Any, TextIO

from wireproof.clock import Clock, RealClock, ScaledClock, SteppedClock
from wireproof.errors import UsageError, WireproofError
from wireproof.mock.answer import speed, stands
from wireproof.mock.channels import Channels
from wireproof.mock.control import Control
from wireproof.mock.counts import CommonCounts
from wireproof.mock.courier import Courier
from wireproof.mock.engine import Mock
from wireproof.mock.framing import DEFAULT_LIMITS, Limits
from wireproof.mock.jobs import Memory
from wireproof.mock.journal import Journal, SharedJournal, write
from wireproof.mock.moods import Mood, load_moods
from wireproof.mock.moods import mood as named_mood
from wireproof.mock.movable import MovableClock
from wireproof.mock.shared import SharedMock
from wireproof.mock.socket import MockServer, run_forever, serving
from wireproof.mock.store import Store, StoreClock
from wireproof.mock.switchboard import Switchboard
from wireproof.mock.workers import Desks, spread
from wireproof.model import Endpoint
from wireproof.secrets import Secret
from wireproof.spec.load import resolve

PLENTY = Decimal(1_000_000)
"""What each account has, in the unit of its host: more than a load test spends."""


ROOM = 250_000
"""Jobs that are remembered at most; about 200 MiB where they came by the short cut."""


@dataclass(frozen=True, slots=True)
class Safe:
    """A throw-away certificate, and the file of the authority that vouches for it."""

    context: ssl.SSLContext
    ca: Path


def serve(
    endpoints: Iterable[Endpoint],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
    seed: int = 0,
    mood: Mood | str | None = None,
    workers: int = 1,
    tls: bool = False,
    control_port: int | None = 0,
    allow_targets: Sequence[str] = (),
    journal: bool = True,
    journal_file: Path | None = None,
    limits: bool = False,
    deposit: Decimal = PLENTY,
    jobs: int = ROOM,
    connections: int = DEFAULT_LIMITS.connections,
    store: Secret | None = None,
    out: TextIO | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Prints one line of JSON when it is ready.

    `url` and `key` are what a client needs (`keys` has one for each provider), `control` and `token` what
    a test needs, `ca` the file with which a client trusts the certificate. A `control_port` of None means
    no control API. Webhooks and uploads leave only for `allow_targets` (`host:port`); all others are only
    recorded. The journal is written to `journal_file` in the end. Raises UsageError for what cannot be served.

    So many `connections` are held, by each worker; another machine may have a tenth of them.

    With several `workers` each key (its jobs, money and limits) is one process's own, and connections move
    there; `jobs` is divided among them. Calls without a good key and hosts with a WebSocket are the first
    worker's. The control API and the journal are one, whichever worker it concerns.

    With a `store` (`redis://HOST:PORT/NUMBER`) jobs, accounts, limits and the time lie there, and whoever
    serves from it, on whichever machine, answers for all: any worker any call.
    """
    moods, found = load_moods(), list(endpoints)
    chosen = named_mood(mood) if isinstance(mood, str) else mood
    make = partial(Mock, found, seed=seed, mood=chosen, moods=moods, limits=limits, deposit=deposit)
    bounds = Limits(connections=connections, connections_each=max(1, connections // 10))
    if journal_file is not None:
        _try(journal_file)
    if store is None:
        time = MovableClock(clock or RealClock())
    else:
        facts = {"seed": str(seed), "limits": str(limits), "deposit": str(deposit)}
        time = _join(store, clock, {**facts, "endpoints": " ".join(sorted(endpoint.name for endpoint in found))})
        make = partial(
            _shared, store, found, time, jobs, seed=seed, mood=chosen, moods=moods, limits=limits, deposit=deposit
        )
    if workers != 1:
        _check_workers(workers, tls and store is None)
        with _certificate(host) if tls else contextlib.nullcontext() as safe:
            crew = Crew(
                workers=workers,
                make=make if store else partial(make, counts=CommonCounts()),
                jobs=None if store else max(1, jobs // workers),
                bounds=bounds,
                clock=time,
                start=(time.now(), time.wall()),
                safe=safe,
                control_port=control_port,
                token=secrets.token_hex(16),
                targets=tuple(allow_targets),
                journal=journal,
                leaves_journal=journal_file is not None,
                out=out or sys.stdout,
            )
            desks = spread(workers, host, port, crew.work)
        if journal_file is not None:
            write(journal_file, desks.journal())
        return
    mock = make() if store else make(memory=Memory(jobs))
    book = Journal(mock, time.now(), time.wall())
    courier = Courier(time, allow_targets)
    control = Control(mock, time, book, courier, secrets.token_hex(16))
    with contextlib.ExitStack() as stack:
        safe = stack.enter_context(_certificate(host)) if tls else None
        hear = book.hear if journal else None
        channels = Channels(mock, time, courier.take, hear)
        server = MockServer(
            mock,
            clock=time,
            host=host,
            port=port,
            tls=safe.context if safe else None,
            limits=bounds,
            on_effect=courier.take,
            on_exchange=hear,
            on_quick=book.note if journal else None,
            upgrade=channels.upgrade,
        )
        beside = [MockServer(control, clock=RealClock(), port=control_port)] if control_port is not None else []

        def ready(url: str) -> None:
            line: dict[str, object] = {"ready": True, "url": url, **_keys(mock)}
            if beside:
                control.port = int(beside[0].netloc.rpartition(":")[2])
                line |= {"control": beside[0].url, "token": control.token}
            if safe:
                line["ca"] = str(safe.ca)
            print(json.dumps(line), file=out or sys.stdout, flush=True)

        _listen(server, ready, beside, courier)
    if journal_file is not None:
        write(journal_file, book.cut(0))


def _join(url: Secret, clock: Clock | None, facts: Mapping[str, str]) -> MovableClock:
    """The time of those who serve from a store, one of whom this mock is from now on. Raises UsageError."""
    scale = speed(clock) if clock else 1.0
    if clock and stands(clock):
        raise UsageError("not with a store: a stepped clock would have to stand everywhere")
    store = Store(url)
    epoch = store.agree({**facts, "time scale": f"{scale:g}"})
    age = store.now() - epoch
    store.close()
    return MovableClock(StoreClock(epoch, age, scale), start=0.0)


def _shared(url: Secret, endpoints: Sequence[Endpoint], clock: Clock, jobs: int, **more: Any) -> Mock:
    """A mock on a store, with a connection of its own."""
    return SharedMock(endpoints, store=Store(url), clock=clock, jobs=jobs, **more)


def _try(file: Path) -> None:
    """Find out now whether the journal can be written there in the end. Raises UsageError."""
    try:
        file.touch(mode=0o600)
    except OSError as error:
        raise UsageError(f"the journal cannot be written to {file}: {error.strerror or error}") from None


def _check_workers(workers: int, tls: bool) -> None:
    """Refuse what several processes cannot do together. Raises UsageError."""
    troubles = {
        "--workers is at least 1": workers < 1,
        "--tls: an encrypted connection cannot move to another process": tls,
    }
    found = [says for says, is_so in troubles.items() if is_so]
    if found:
        raise UsageError(f"not with several workers: {'; '.join(found)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """What all workers of one mock have in common, made before they part."""

    workers: int
    make: Callable[..., Mock]
    """Makes the mock of one worker; given its `memory`, unless that is in a store."""
    jobs: int | None
    """That each of them remembers; None: all are in a store."""
    bounds: Limits
    clock: MovableClock
    start: tuple[float, float]
    """When it all began: clock seconds, and seconds since 1970."""
    safe: Safe | None
    control_port: int | None
    token: str
    targets: Sequence[str]
    journal: bool
    leaves_journal: bool
    """Whether each leaves its journal behind at its end."""
    out: TextIO

    def work(self, number: int, listener: socket.socket, desks: Desks) -> None:
        """Be one worker, until told to stop."""
        mock = self.make() if self.jobs is None else self.make(memory=Memory(self.jobs))
        book = SharedJournal(mock, *self.start, self.workers)
        courier = Courier(self.clock, self.targets)
        # What is in a store is everybody's; the first worker speaks for it.
        owns = (lambda account: number == 0) if mock.shared else partial(desks.owns, mock, number)
        tells_jobs = number == 0 or not mock.shared
        control = Control(mock, self.clock, book, courier, self.token, owns, tells_jobs)
        desk, hear = desks.desk(mock, number), book.hear if self.journal else None
        channels = Channels(mock, self.clock, courier.take, hear)
        server = desk.server = MockServer(
            mock,
            clock=self.clock,
            limits=self.bounds,
            on_effect=courier.take,
            on_exchange=hear,
            on_quick=book.note if self.journal else None,
            upgrade=channels.upgrade,
            listener=listener,
            tls=self.safe.context if self.safe else None,
            place=None if mock.shared else desk.place,
            hand_over=desk.hand_over,
        )
        with contextlib.ExitStack() as stack:
            where = stack.enter_context(self._switchboard(desks)) if number == 0 else {}

            def ready(url: str) -> None:
                desk.listen()
                if number == 0:
                    line = {"ready": True, "url": url, **_keys(mock), **where, "workers": self.workers}
                    if self.safe:
                        line["ca"] = str(self.safe.ca)
                    print(json.dumps(line), file=self.out, flush=True)

            async def errand() -> None:
                await asyncio.gather(courier.run(), desks.watch(number, control))

            run_forever(server, ready, errand=errand)
        if self.leaves_journal:
            desks.leave(number, book.cut(monotonic_ns()))

    @contextlib.contextmanager
    def _switchboard(self, desks: Desks) -> Iterator[dict[str, object]]:
        """What the ready line says of the control API, as long as it is served."""
        if self.control_port is None:
            yield {}
            return
        switchboard = Switchboard([line[0] for line in desks.lines], self.clock, self.token)
        try:
            with serving(switchboard, port=self.control_port) as url:
                switchboard.port = int(url.rpartition(":")[2])
                yield {"control": url, "token": self.token}
        except OSError as error:
            raise UsageError(f"the mock cannot listen: {error.strerror or error}") from None


def _listen(server: MockServer, ready: Callable[[str], None], beside: Sequence[MockServer], courier: Courier) -> None:
    try:
        run_forever(server, ready, *beside, errand=courier.run)
    except OSError as error:
        raise UsageError(f"the mock cannot listen: {error.strerror or error}") from None


def _keys(mock: Mock) -> dict[str, object]:
    keys = {host.provider.name: mock.key(host.provider.name) for host in mock.hosts}
    return {"key": next(iter(keys.values()), None), "keys": keys}


@contextlib.contextmanager
def _certificate(host: str) -> Iterator[Safe]:
    """A certificate for this machine's names, made for this run alone."""
    try:
        import trustme
    except ImportError:
        raise UsageError("--tls needs the extra `wireproof[tls]`") from None
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "::1", *({host} - {"0.0.0.0", "::"})).configure_cert(context)  # noqa: S104 - compared, not bound
    with tempfile.TemporaryDirectory(prefix="wireproof-") as folder:
        file = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        yield Safe(context, file)


# ------------------------------------------------------------------------------------ as a program


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line of `mocks/server.py`, and serve."""
    asked = _parser().parse_args(words)
    clock = SteppedClock() if asked.stepped else ScaledClock(asked.time_scale) if asked.time_scale != 1 else RealClock()
    try:
        specs = asked.spec or ["all"]
        serve(
            [endpoint for spec in specs for endpoint in resolve(spec)],
            host=asked.host,
            port=asked.port,
            clock=clock,
            seed=asked.seed,
            mood=asked.mood,
            workers=asked.workers,
            tls=asked.tls,
            control_port=None if asked.no_control else asked.control_port,
            allow_targets=asked.allow_target,
            journal=not asked.no_journal,
            journal_file=asked.journal_file,
            limits=asked.limits,
            deposit=asked.deposit,
            jobs=asked.jobs,
            connections=asked.connections,
            store=Secret(asked.store) if asked.store else None,
        )
    except WireproofError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the reason, for a person
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mocks/server.py", description="Serve contracts as a mock.")
    parser.add_argument("spec", nargs="*", help="endpoint, provider, model, path, or all")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mood", help="a name from mocks/moods, or a file")
    parser.add_argument("--time-scale", type=float, default=1.0, help="how many times faster than real time")
    parser.add_argument("--stepped", action="store_true", help="time moves only by the control API")
    parser.add_argument("--limits", action="store_true", help="let the declared rate limits count")
    parser.add_argument("--deposit", type=Decimal, default=PLENTY, help="what each account has")
    parser.add_argument(
        "--connections",
        type=int,
        default=DEFAULT_LIMITS.connections,
        help="how many are held at once; another machine may have a tenth of them",
    )
    parser.add_argument("--jobs", type=int, default=ROOM, help="how many jobs are remembered at most")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the keys among them")
    parser.add_argument("--tls", action="store_true", help="with a throw-away certificate")
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--no-control", action="store_true")
    parser.add_argument("--no-journal", action="store_true", help="faster; the journal stays empty")
    parser.add_argument(
        "--store",
        metavar="URL",
        default=os.environ.get("WIREPROOF_STORE"),
        help="redis://HOST:PORT/NUMBER, where several mocks have their jobs and accounts; with a password in it, "
        "better as WIREPROOF_STORE",
    )
    parser.add_argument("--journal-file", type=Path, help="where the journal goes in the end: .har, or JSON lines")
    parser.add_argument(
        "--allow-target", action="append", default=[], metavar="HOST:PORT", help="webhooks may go there"
    )
    return parser
