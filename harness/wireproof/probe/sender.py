"""Calls to a host, each answered by a reply or by one word for what broke.

A reply is read under one total deadline and a cap on its decoded size, redirects are not followed, cookies are not
kept (a host that needs them is found out, and a call without a key stays one), no proxy stands between. An
in-process mock is asked through its `httpx` transport; this is the only file that drives one.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
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
        transport: httpx.BaseTransport | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout`: seconds for one whole call; `transport` replaces the network (an in-process mock); `trust`: whom
        to believe in TLS, instead of the authorities that browsers believe."""
        self.timeout = timeout
        self._trust = trust
        self._lines: dict[tuple[bool, str, int], Line] = {}
        self._through = _client(transport, timeout) if transport is not None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        if self._through is not None:
            self._through.close()

    def send(self, call: Call, *, timeout: float | None = None) -> Sent:
        """Make a call. Never raises for anything the other side does."""
        try:
            if self._through is not None:
                return Sent(_asked(self._through, call, timeout or self.timeout), None)
            return Sent(self._spoken(call, timeout or self.timeout), None)
        except Broke as broke:
            return Sent(None, broke.word, str(broke))

    def _spoken(self, call: Call, timeout: float) -> Reply:
        """The reply over a line of ours."""
        where = place(call.url)
        request = written(call, where)
        ends = time.monotonic() + timeout
        kept = self._lines.pop(where[:3], None)
        if kept is not None and not kept.fresh(IDLE if call.method in SAFE else IDLE_PAID):
            kept.close()
            kept = None
        try:
            return self._heard(call, where, request, ends, kept or self._new(where, ends))
        except Broke as broke:
            # It crossed with the end of a line that had been kept. What changes nothing may be asked once more.
            if kept is None or broke.word != "reset" or call.method not in SAFE:
                raise
        return self._heard(call, where, request, ends, self._new(where, ends))

    def _new(self, where: Place, ends: float) -> Line:
        trust = (self._trust or _authorities()) if where.secure else None
        return Line(where, ends=ends, patience=min(self.timeout, CONNECT), trust=trust)

    def _heard(self, call: Call, where: Place, request: bytes, ends: float, line: Line) -> Reply:
        stays = False
        try:
            reply, stays = line.ask(request, headless=call.method == "HEAD", ends=ends, most=(MOST_JSON, MOST_MEDIA))
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
    given = {name.lower() for name, _ in call.headers}
    lines = [f"{call.method} ".encode("ascii", "replace") + where.target + b" HTTP/1.1"]
    if "host" not in given:
        lines.append(b"host: " + where.authority)
    pairs = [pair for pair in OWN.items() if pair[0] not in given]
    if "content-length" not in given and (call.body or call.method in ("POST", "PUT", "PATCH")):
        pairs.append(("content-length", str(len(call.body))))
    for name, value in (*pairs, *call.headers):
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Broke("refused", f"not sent: {name!r} is no header that can stand in a request")
        lines.append(f"{name}: {value}".encode("latin-1"))
    return b"\r\n".join((*lines, b"", call.body))


@cache
def _authorities() -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context


# --------------------------------------------------------------------------------- in process


def _client(transport: httpx.BaseTransport, timeout: float) -> httpx.Client:
    return httpx.Client(
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=timeout,
    )


def _asked(client: httpx.Client, call: Call, timeout: float) -> Reply:
    """The reply of an in-process host. Raises Broke."""
    try:
        request = client.build_request(
            call.method, call.url, headers=[*OWN.items(), *call.headers], content=call.body or None, timeout=timeout
        )
        response = client.send(request)
        return Reply(response.status_code, tuple(response.headers.multi_items()), response.content)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError, UnicodeError) as error:
        raise Broke("refused", f"not an address: {error}") from None
    except httpx.ConnectError as error:
        raise Broke("refused", str(error)) from error
    except httpx.TimeoutException as error:
        raise Broke("timeout", str(error) or type(error).__name__) from error
    except httpx.RemoteProtocolError as error:
        cut = "without sending complete" in str(error) or "peer closed" in str(error)
        raise Broke("truncated" if cut else "garbled", str(error)) from error
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise Broke("reset", str(error) or type(error).__name__) from error
