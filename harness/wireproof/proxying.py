"""Between any client and a host: passes every call on, writes it down, and judges both sides.

A small threading server on loopback. Links that the host hands out are rewritten in what the client
sees, so that it keeps coming through; the record holds what the host really said.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from wireproof.errors import WireproofError
from wireproof.model import Call, Credential, Endpoint, Exchange, Reply
from wireproof.probe.sender import Sender
from wireproof.wire import requests

MOST_BODY = 32 << 20
_DIGITS = re.compile(r"[0-9]{1,18}")
_OWN = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "keep-alive", "expect"}
)


class Proxy:
    """A proxy on 127.0.0.1 to one target. `asked` is told every call before it is passed on, `heard` every exchange,
    `trouble` what went wrong on our own side; `exchanges` keeps them."""

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        target: str,
        *,
        port: int = 0,
        asked: Callable[[Call], None] = lambda call: None,
        heard: Callable[[Exchange], None] = lambda e: None,
        trouble: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.endpoints = endpoints
        self.target = target.rstrip("/")
        self.exchanges: list[Exchange] = []
        self._asked = asked
        self._heard = heard
        self.trouble = trouble
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._server = _Server(self, port)

    @property
    def url(self) -> str:
        """Where the client is to send its calls."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self) -> None:
        """Pass calls on until `stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def pass_on(self, call: Call) -> Reply:
        """Send a call to the target, write down what came of it, and give the client its reply."""
        self._asked(call)
        sent_at = time.monotonic()
        with Sender(timeout=120.0) as sender:
            sent = sender.send(call)
        with self._lock:
            exchange = Exchange(
                seq=len(self.exchanges) + 1,
                call=call,
                reply=sent.reply,
                broke=sent.broke,
                at=round(sent_at - self._started, 6),
                took=round(time.monotonic() - sent_at, 6),
                operation=self._operation(call),
                credential=self._credential(call),
            )
            self.exchanges.append(exchange)
        try:
            self._heard(exchange)
        except WireproofError as error:
            # The client has its answer all the same: what cannot be kept is our trouble.
            self.trouble(f"proxy: what was said could not be kept: {error}")
        if sent.reply is None:
            return Reply(502, (("content-type", "text/plain"),), f"the host did not answer: {sent.broke}".encode())
        return self._with_own_links(sent.reply)

    def _operation(self, call: Call) -> str:
        prefix = urlsplit(self.target).path.rstrip("/")
        for endpoint in self.endpoints:
            asked = requests.recognise(endpoint, call, prefix)
            if asked:
                return asked[0].operation.name
        return ""

    def _credential(self, call: Call) -> Credential:
        header = self.endpoints[0].provider.auth.header
        return Credential.UNTOLD if call.header(header) else Credential.NONE

    def _with_own_links(self, reply: Reply) -> Reply:
        parts = urlsplit(self.target)
        origin = f"{parts.scheme}://{parts.netloc}"
        headers = tuple((name, value.replace(origin, self.url)) for name, value in reply.headers)
        body = reply.body
        if "json" in (reply.header("content-type") or ""):
            body = body.replace(origin.encode(), self.url.encode())
            body = body.replace(origin.replace("/", "\\/").encode(), self.url.replace("/", "\\/").encode())
        return Reply(reply.status, headers, body)


class _Server(ThreadingHTTPServer):
    """A thread for each client. What goes wrong in one is told in a line; a client that goes away is no error."""

    daemon_threads = True

    def __init__(self, proxy: Proxy, port: int) -> None:
        super().__init__(("127.0.0.1", port), _handler(proxy))
        self._proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            self._proxy.trouble(f"proxy: a call was not passed on: {error or type(error).__name__}")


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def pass_on(self) -> None:
            length = self.headers.get("content-length", "0")
            if self.headers.get("transfer-encoding"):
                return self.send_error(411, "a body in chunks is not passed on: send it with a Content-Length")
            if not _DIGITS.fullmatch(length):
                return self.send_error(400, "the Content-Length is no number")
            if int(length) > MOST_BODY:
                return self.send_error(413, f"a body of more than {MOST_BODY >> 20} MiB is not passed on")
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                # The client went away in the middle of its request: half of one is none.
                self.close_connection = True
                return None
            kept = tuple((name, value) for name, value in self.headers.items() if name.lower() not in _OWN)
            # The target's path prefix stands before what the client asks for.
            return self._answer(proxy.pass_on(Call(self.command, proxy.target + self.path, kept, body)))

        def _answer(self, reply: Reply) -> None:
            self.send_response_only(reply.status)
            for name, value in reply.headers:
                if name.lower() not in _OWN:
                    self.send_header(name, value)
            if self.close_connection:
                self.send_header("connection", "close")
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            """A sentence in place of the library's page, after which the connection ends: what follows a request that
            was not understood is not another one."""
            self.close_connection = True
            # A first line that names no version would be answered without a status.
            self.request_version = self.protocol_version
            says = f"wireproof proxy: {message or HTTPStatus(code).phrase}\n"
            self._answer(Reply(code, (("content-type", "text/plain; charset=utf-8"),), says.encode()))

        def log_message(self, *args: Any) -> None:
            """Nothing: the record is the log."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.pass_on)
    return Handler
