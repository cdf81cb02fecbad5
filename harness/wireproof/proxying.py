"""Between any client and a host: passes every call on, writes it down, and judges both sides.

A small threading server on loopback. Links that the host hands out are rewritten in what the client
sees, so that it keeps coming through; the record holds what the host really said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from wireproof.model import Call, Credential, Endpoint, Exchange, Reply
from wireproof.probe.sender import Sender
from wireproof.wire import requests

MOST_BODY = 32 << 20
_OWN = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "keep-alive", "expect"}
)


class Proxy:
    """A proxy on 127.0.0.1 to one target. `heard` is told every exchange; `exchanges` keeps them."""

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        target: str,
        *,
        port: int = 0,
        heard: Callable[[Exchange], None] = lambda e: None,
    ) -> None:
        self.endpoints = endpoints
        self.target = target.rstrip("/")
        self.exchanges: list[Exchange] = []
        self._heard = heard
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True

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
        self._heard(exchange)
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


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def pass_on(self) -> None:
            length = self.headers.get("content-length", "0")
            if not length.isdigit() or int(length) > MOST_BODY or self.headers.get("transfer-encoding"):
                self.send_error(413 if length.isdigit() else 400)
                return
            body = self.rfile.read(int(length))
            kept = tuple((name, value) for name, value in self.headers.items() if name.lower() not in _OWN)
            # The target's path prefix stands before what the client asks for.
            self._answer(proxy.pass_on(Call(self.command, proxy.target + self.path, kept, body)))

        def _answer(self, reply: Reply) -> None:
            self.send_response_only(reply.status)
            for name, value in reply.headers:
                if name.lower() not in _OWN:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        def log_message(self, *args: Any) -> None:
            """Nothing: the record is the log."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.pass_on)
    return Handler
