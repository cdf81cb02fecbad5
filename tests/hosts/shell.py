"""What the three hosts share: a threaded HTTP server on loopback, pictures, and jobs that take real time.

Written from the providers' pages alone, as a stranger would: nothing of the package under test is imported.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

KINDS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; `kind` is its content type."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def say(status: int, body: Any, headers: Mapping[str, str] | None = None, kind: str = "application/json") -> Reply:
    """A JSON answer."""
    return Reply(status, json.dumps(body).encode(), kind, headers or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How answers travel. None of it is in any provider's contract."""

    version: str = "HTTP/1.1"
    chunked: bool = False
    close: bool = False
    case: Callable[[str], str] = str.title
    name: str = "127.0.0.1"  # the name that links are built with
    more: Mapping[str, str] = field(default_factory=lambda: {"server": "cloudfront", "x-amz-cf-id": "Zk3=="})


class Shell:
    """A running server: `answer` is asked for every request, `url` is where it listens."""

    def __init__(self, answer: Callable[[Ask], Reply], manner: Manner) -> None:
        self.manner = manner
        self.asked: list[Ask] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = manner.version
            disable_nagle_algorithm = True

            def _any(handler) -> None:  # noqa: N805  (the shell is `self`)
                size = int(handler.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in handler.headers.items()}
                ask = Ask(handler.command, handler.path, headers, handler.rfile.read(size))
                self.asked.append(ask)
                handler.wfile.write(wire(answer(ask), manner, handler.command))
                handler.close_connection = handler.close_connection or manner.close or manner.version == "HTTP/1.0"

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _any  # noqa: N815  (http.server's names)

            def log_message(handler, *_: Any) -> None:  # noqa: N805
                """Keeps the tests' output clean."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(server, *_: Any) -> None:  # noqa: N805
                """A client that hangs up is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.links = f"http://{manner.name}:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def wire(reply: Reply, manner: Manner, method: str) -> bytes:
    """An answer as bytes, in one piece."""
    headers = {"content-type": reply.kind, "date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())}
    headers |= dict(manner.more) | dict(reply.headers)
    body = b"" if method == "HEAD" else reply.body
    if manner.chunked and manner.version == "HTTP/1.1":
        headers["transfer-encoding"] = "chunked"
        half = max(1, len(body) // 2)
        body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:half], body[half:]) if p) + b"0\r\n\r\n"
    else:
        headers["content-length"] = str(len(reply.body))
    if manner.close:
        headers["connection"] = "close"
    head = f"{manner.version} {reply.status} Whatever\r\n"
    head += "".join(f"{manner.case(name)}: {value}\r\n" for name, value in headers.items())
    return head.encode() + b"\r\n" + body


# Pictures


@lru_cache(maxsize=256)
def picture(width: int, height: int, kind: str, about: str, quality: int = 90) -> bytes:
    """A picture with something on it that depends on `about` alone: the same words, the same bytes."""
    noise = Random(hashlib.sha256(about.encode()).digest()).randbytes(16 * 16 * 3)
    image = Image.frombytes("RGB", (16, 16), noise).resize((width, height), Image.Resampling.BILINEAR)
    return encoded(image, kind, quality)


def blank(width: int, height: int, kind: str) -> bytes:
    """A picture that is black from corner to corner."""
    return encoded(Image.new("RGB", (width, height)), kind, 90)


def encoded(image: Image.Image, kind: str, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind.upper(), quality=quality, compress_level=1, method=0)
    return out.getvalue()


def measured(body: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(body)).size


def sized(ratio: float, grid: int, area: int = 600_000) -> tuple[int, int]:
    """The picture size of about `area` pixels for a ratio, on a grid of so many pixels."""
    width = (area * ratio) ** 0.5
    return max(grid, round(width / grid) * grid), max(grid, round(width / ratio / grid) * grid)


# Inputs


def unreachable(link: str, strict: bool = False) -> bool:
    """Whether a picture's address can lead nowhere: a reserved name, or no address at all.

    `strict`: as a host that really fetches; example.com answers, but has no pictures.
    """
    parts = urlsplit(link)
    host = parts.hostname or ""
    reserved = host.endswith((".invalid", ".test")) or strict and host in ("example.com", "example.org", "example.net")
    return parts.scheme not in ("http", "https") or not host or reserved


# Jobs


@dataclass
class Job:
    """A job in real time: waiting, running, over. Seconds since it was taken."""

    id: str
    owner: str
    body: dict[str, Any]
    wait: float
    run: float
    error: str | None = None
    begun: float = field(default_factory=time.monotonic)
    seed: int = 0
    cost: float = 0.0
    polls: int = 0
    fetches: int = 0
    done_polls: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def age(self) -> float:
        return time.monotonic() - self.begun

    @property
    def phase(self) -> str:
        """waiting, running, failed or done."""
        if self.age < self.wait:
            return "waiting"
        if self.age < self.wait + self.run:
            return "running"
        return "failed" if self.error else "done"
