"""Calls to a host, each answered by a reply or by one word for what broke.

A reply is read under one total deadline and a cap on its decoded size, redirects are not followed, cookies are not
kept (a host that needs them is found out, and a call without a key stays one), no proxy stands between. A host in
this process is asked without a line, with the very call that would have come out of one.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Self

import httpx

from wireproof.model import Call, Reply
from wireproof.probe.line import IDLE, IDLE_PAID, Broke, Line, Place, place

MOST_JSON = 16 * 1024 * 1024
MOST_MEDIA = 64 * 1024 * 1024
CONNECT = 5.0
"""Seconds for a connection, at most."""
MOST_LINES = 8
OWN: Mapping[str, str] = {"user-agent": "wireproof", "accept": "*/*", "accept-encoding": "identity"}
"""What we say of ourselves where the call says nothing else."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that may be asked once more where a kept connection turned out to be dead."""
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a call: a reply, or what broke (`refused`, `timeout`, `reset`, `truncated`, `garbled`,
    `too large`). Only a call that is `refused` has certainly not left."""

    reply: Reply | None
    broke: str | None
    why: str = ""


class Sender:
    """Makes calls one after the other over kept-alive connections. Not to be shared by threads."""

    def __init__(
        self,
        *,
        timeout: float = 30.0,
        through: Callable[[Call, float], Reply] | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout`: seconds for one whole call; `trust`: whom to believe in TLS, instead of the authorities that
        browsers believe. `through` replaces the network: it gives the reply to a call within so many seconds, or
        raises TimeoutError, ConnectionResetError, or EOFError for one that is cut off."""
        self.timeout = timeout
        self._trust = trust
        self._lines: dict[tuple[bool, str, int], Line] = {}
        self._fickle: set[tuple[bool, str, int]] = set()
        """Hosts that hang up on kept connections without a word: they get a new one each time."""
        self._through = through

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    def send(self, call: Call, *, timeout: float | None = None, free: bool = False) -> Sent:
        """Make a call. Never raises for anything the other side does. `free`: whether it may be made once more where
        a kept connection turned out to be dead, although its method is one that may change things."""
        try:
            if self._through is not None:
                return Sent(self._through(as_heard(call, place(call.url)), timeout or self.timeout), None)
            return Sent(self._spoken(call, timeout or self.timeout, free=free or call.method in SAFE), None)
        except Broke as broke:
            return Sent(None, broke.word, str(broke))
        except TimeoutError as error:
            return Sent(None, "timeout", str(error))
        except ConnectionResetError as error:
            return Sent(None, "reset", str(error))
        except EOFError as error:
            return Sent(None, "truncated", str(error))

    def _spoken(self, call: Call, timeout: float, *, free: bool) -> Reply:
        """The reply over a line of ours."""
        where = place(call.url)
        request = written(call, where)
        ends = time.monotonic() + timeout
        kept = self._lines.pop(where[:3], None)
        if kept is not None and not kept.fresh(IDLE if free else IDLE_PAID):
            if time.monotonic() - kept.used < IDLE_PAID:
                self._fickle.add(where[:3])
            kept.close()
            kept = None
        try:
            return self._heard(call, where, request, ends, kept or self._new(where, ends))
        except Broke as broke:
            # It crossed with the end of a line that had been kept. What changes nothing may be asked once more.
            if kept is None or broke.word != "reset":
                raise
            self._fickle.add(where[:3])
            if not free:
                raise
        return self._heard(call, where, request, ends, self._new(where, ends))

    def _new(self, where: Place, ends: float) -> Line:
        trust = (self._trust or _authorities()) if where.secure else None
        return Line(where, ends=ends, patience=min(self.timeout, CONNECT), trust=trust)

    def _heard(self, call: Call, where: Place, request: bytes, ends: float, line: Line) -> Reply:
        stays = False
        try:
            reply, stays = line.ask(request, headless=call.method == "HEAD", ends=ends, most=(MOST_JSON, MOST_MEDIA))
            stays = stays and where[:3] not in self._fickle
        finally:
            if not stays:
                line.close()
        if stays:
            self._lines[where[:3]] = line
        if len(self._lines) > MOST_LINES:
            self._lines.pop(next(iter(self._lines))).close()
        return reply


def written(call: Call, where: Place) -> bytes:
    """The bytes of a request. Raises Broke where a header would be read as something else."""
    lines = [f"{call.method} ".encode("ascii", "replace") + where.target + b" HTTP/1.1"]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in _headers(call, where)]
    return b"\r\n".join((*lines, b"", call.body))


def as_heard(call: Call, where: Place) -> Call:
    """The call as a host reads it off a line. Raises Broke where a header would be read as something else."""
    scheme = "https" if where.secure else "http"
    host = next((value for name, value in call.headers if name.lower() == "host"), where.authority.decode("ascii"))
    return Call(call.method, f"{scheme}://{host}{where.target.decode('ascii')}", _headers(call, where), call.body)


def _headers(call: Call, where: Place) -> tuple[tuple[str, str], ...]:
    given = {name.lower() for name, _ in call.headers}
    pairs = [("host", where.authority.decode("ascii"))] if "host" not in given else []
    pairs += [pair for pair in OWN.items() if pair[0] not in given]
    if "content-length" not in given and (call.body or call.method in ("POST", "PUT", "PATCH")):
        pairs.append(("content-length", str(len(call.body))))
    for name, value in call.headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Broke("refused", f"not sent: {name!r} is no header that can stand in a request")
    return (*pairs, *call.headers)


@cache
def _authorities() -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context
