"""Calls on a real wire: the only file that drives `httpx` against a host.

A reply is read under one total deadline and a cap on its decoded size, redirects are not followed, cookies
are not kept (a host that needs them is found out, and a call without a key stays one), and whatever breaks is
told in one word.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self

import httpx

from wireproof.model import Call, Reply

MOST_JSON = 16 * 1024 * 1024
MOST_MEDIA = 64 * 1024 * 1024
USER_AGENT = ("user-agent", "wireproof")


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a call: a reply, or what broke (`refused`, `timeout`, `reset`, `truncated`, `too large`)."""

    reply: Reply | None
    broke: str | None
    why: str = ""


class Sender:
    """Makes calls one after the other over kept-alive connections."""

    def __init__(self, *, timeout: float = 30.0, transport: httpx.BaseTransport | None = None) -> None:
        """`timeout`: seconds for one whole call; `transport` replaces the network (an in-process mock)."""
        self.timeout = timeout
        self._client = httpx.Client(
            transport=transport,
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            limits=httpx.Limits(max_keepalive_connections=4, max_connections=8),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def send(self, call: Call, *, timeout: float | None = None) -> Sent:
        """Make a call. Never raises for anything the other side does."""
        headers = [USER_AGENT, ("accept-encoding", "identity"), *call.headers]
        try:
            # The call's own limit, not the client's: a blocking run may take longer than a poll.
            wait = httpx.Timeout(timeout or self.timeout, connect=min(self.timeout, 5.0))
            request = self._client.build_request(
                call.method, call.url, headers=headers, content=call.body or None, timeout=wait
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError, UnicodeError) as error:
            return Sent(None, "refused", f"not an address: {error}")
        try:
            return self._receive(request, timeout or self.timeout)
        except httpx.ConnectError as error:
            return Sent(None, "refused", str(error))
        except httpx.TimeoutException as error:
            return Sent(None, "timeout", str(error) or type(error).__name__)
        except httpx.RemoteProtocolError as error:
            cut = "without sending complete" in str(error) or "peer closed" in str(error)
            return Sent(None, "truncated" if cut else "garbled", str(error))
        except httpx.TransportError as error:
            return Sent(None, "reset", str(error) or type(error).__name__)
        except (httpx.DecodingError, httpx.InvalidURL, UnicodeError) as error:
            return Sent(None, "garbled", str(error))

    def _receive(self, request: httpx.Request, timeout: float) -> Sent:
        ends = time.monotonic() + timeout
        response = self._client.send(request, stream=True)
        try:
            image = response.headers.get("content-type", "").startswith("image/")
            most, parts, size = MOST_MEDIA if image else MOST_JSON, [], 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > most:
                    return Sent(None, "too large", f"more than {most} bytes")
                if time.monotonic() > ends:
                    return Sent(None, "timeout", f"not complete after {timeout:g} s")
            return Sent(Reply(response.status_code, tuple(response.headers.multi_items()), b"".join(parts)), None)
        finally:
            response.close()
