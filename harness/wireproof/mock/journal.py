"""What a mock was asked and what it said: a ring of the last exchanges, and counts that never forget."""

from __future__ import annotations

import base64
import json
import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wireproof.mock.answer import Answer
from wireproof.mock.engine import Mock
from wireproof.mock.framing import Headers
from wireproof.mock.scene import Host
from wireproof.model import Call, Exchange, Reply
from wireproof.runlog import encode
from wireproof.wire import requests

MOST = 10_000
"""Exchanges that are kept."""
MOST_BYTES = 64 << 20
"""Bytes of bodies that are kept."""
_MASK = "***"


@dataclass(frozen=True, slots=True)
class Line:
    """One exchange, and what made its reply."""

    exchange: Exchange
    rule: str


@dataclass(frozen=True, slots=True)
class Cut:
    """What a journal holds at one time, or those of several mocks together."""

    heard: int
    """Exchanges that there were."""
    lost: int
    """Up to which mark lines were dropped."""
    lines: tuple[tuple[int, Line], ...]
    """Those that are kept, by their marks: numbers that tell their order."""
    wall: float
    """When the journal began. Seconds since 1970."""

    def since(self, number: int = 0) -> list[Line]:
        """The lines after that number: the last one has as many as were heard."""
        first = self.heard - len(self.lines) + 1
        return [
            Line(replace(line.exchange, seq=seq), line.rule)
            for seq, (_, line) in enumerate(self.lines, first)
            if seq > number
        ]


def joined(cuts: Sequence[Cut]) -> Cut:
    """The journals of several mocks as one: in order, and only from where none of them has a gap."""
    lost = max(cut.lost for cut in cuts)
    lines = sorted((one for cut in cuts for one in cut.lines if one[0] > lost), key=itemgetter(0))[-MOST:]
    return Cut(sum(cut.heard for cut in cuts), lost, tuple(lines), cuts[0].wall)


Raw = tuple[int, bytes, bytes, str, Headers, bytes, bytes, float, int]
"""What the short cut answered: number, method, target, origin, headers, body, response, when, size."""


class Journal:
    """Hears every exchange of a mock. Keys are masked as they come in: a client may have sent a real one."""

    def __init__(self, mock: Mock, start: float, wall: float, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self.mock = mock
        self.start = start
        self.wall = wall
        self.most_bytes = most_bytes
        self._kept: deque[Line | Raw] = deque(maxlen=most)
        self.heard = 0
        self.counts: Counter[tuple[str, int]] = Counter()
        """Calls by operation and status code; 0: no reply."""
        self._held = 0

    def hear(self, call: Call, answer: Answer, at: float, channel: str = "http") -> None:
        """Keep one call and its answer; `at` in seconds of the mock's clock."""
        self.heard += 1
        broke = _broke(answer)
        self.counts[answer.operation, 0 if broke else answer.reply.status] += 1
        exchange = Exchange(
            seq=self.heard,
            call=self._masked(call),
            reply=None if broke in ("reset", "timeout") else answer.reply,
            broke=broke,
            at=round(at - self.start, 6),
            took=round(answer.after, 6),
            operation=answer.operation,
            job=answer.job or None,
            credential=self.mock.credential(call),
            channel=channel,
            purpose=answer.rule,
        )
        self._keep(Line(exchange, answer.rule), _size(exchange))

    def note(
        self, method: bytes, target: bytes, origin: str, headers: Headers, body: bytes, whole: bytes, at: float
    ) -> None:
        """Keep what the short cut answered, as it is; it is read when somebody wants to see it."""
        self.heard += 1
        size = len(body) + len(whole) + 500
        self._keep((self.heard, method, target, origin, headers, body, whole, at, size), size)

    def _keep(self, kept: Line | Raw, size: int) -> None:
        while self._kept and (self._held > self.most_bytes or len(self._kept) == self._kept.maxlen):
            first = self._kept.popleft()
            self._held -= _size(first.exchange) if isinstance(first, Line) else first[-1]
        self._kept.append(kept)
        self._held += size

    @property
    def lines(self) -> list[Line]:
        """The kept exchanges."""
        return [kept if isinstance(kept, Line) else self._read(kept) for kept in self._kept]

    def _read(self, raw: Raw) -> Line:
        seq, method, target, origin, headers, body, whole, at, _ = raw
        pairs = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
        call = Call(method.decode("ascii"), origin + target.decode("latin-1"), pairs, body)
        head, _, content = whole.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        told = tuple((name, value.strip()) for name, _, value in (field.partition(":") for field in fields))
        reply = Reply(int(first.split(" ")[1]), told, content)
        host, asked = next(found for host in self.mock.hosts for found in _asked(host, call))
        exchange = Exchange(
            seq=seq,
            call=self._masked(call),
            reply=reply,
            at=round(at - self.start, 6),
            operation=asked.operation.name,
            job=asked.job or None,
            credential=self.mock.credential(call),
            purpose=f"{host.provider.name}.{asked.operation.name}",
        )
        return Line(exchange, exchange.purpose)

    def _masked(self, call: Call) -> Call:
        secret = {host.provider.auth.header.lower() for host in self.mock.hosts} | {"authorization", "cookie"}
        headers = tuple((n, _mask(v) if n.lower() in secret else v) for n, v in call.headers)
        places = [element for host in self.mock.hosts for element in self._logins(host)]
        body = call.body
        if places and b"{" in body and any(place.encode() in body for place in places):
            body = _masked_body(body, places)
        return replace(call, headers=headers, body=body)

    def _logins(self, host: Host) -> Iterator[str]:
        """The names under which a key may stand in a body."""
        for channel in host.provider.channels.values():
            login = channel.get("login", {}) if isinstance(channel, dict) else {}
            for element in (login.get("element"), login.get("send")):
                yield from (name for name, value in (element or {}).items() if value == "{key}")

    def cut(self, mark: int) -> Cut:
        """What it holds now, in the order of the exchanges' numbers."""
        lines = tuple((line.exchange.seq, line) for line in self.lines)
        return Cut(self.heard, self.heard - len(lines), lines, self.wall)

    def clear(self, start: float) -> None:
        """Forget everything; times count from `start` on."""
        self.start = start
        self.heard = self._held = 0
        self._kept.clear()
        self.counts.clear()


class SharedJournal(Journal):
    """One of several workers' journals. Each line is marked with the machine's time, which is one for all of
    them, so that their cuts can be joined."""

    def __init__(self, mock: Mock, start: float, wall: float, workers: int) -> None:
        super().__init__(mock, start, wall, most_bytes=MOST_BYTES // workers)
        self._marks: deque[int] = deque()
        self._lost = 0

    def _keep(self, kept: Line | Raw, size: int) -> None:
        self._marks.append(time.monotonic_ns())
        super()._keep(kept, size)
        while len(self._marks) > len(self._kept):
            self._lost = self._marks.popleft()

    def cut(self, mark: int) -> Cut:
        """What it held at that mark: what comes later has a later mark, in every worker."""
        lines = tuple(pair for pair in zip(self._marks, self.lines, strict=True) if pair[0] <= mark)
        return Cut(self.heard - len(self._marks) + len(lines), self._lost, lines, self.wall)

    def clear(self, start: float) -> None:
        super().clear(start)
        self._marks.clear()
        self._lost = 0


def _asked(host: Host, call: Call) -> Iterator[tuple[Host, requests.Asked]]:
    for prefix in (f"/{host.prefix}", ""):
        for asked in requests.recognise(host.endpoints[0], call, prefix):
            yield host, asked


def _mask(value: str) -> str:
    word, space, _ = value.partition(" ")
    return f"{word} {_MASK}" if space else _MASK


def _masked_body(body: bytes, places: Iterable[str]) -> bytes:
    try:
        value = json.loads(body)
    except ValueError:
        return _MASK.encode()
    return json.dumps(_without(value, set(places))).encode()


def _without(value: Any, places: set[str]) -> Any:
    match value:
        case dict():
            return {name: _MASK if name in places else _without(inner, places) for name, inner in value.items()}
        case list():
            return [_without(inner, places) for inner in value]
    return value


def _broke(answer: Answer) -> str | None:
    delivery = answer.delivery
    if delivery.silence:
        return "timeout"
    if delivery.reset and delivery.cut_after is None:
        return "reset"
    return "truncated" if delivery.cut_after is not None else None


def _size(exchange: Exchange) -> int:
    return len(exchange.call.body) + (len(exchange.reply.body) if exchange.reply else 0) + 500


def write(file: Path, cut: Cut) -> None:
    """Write a journal down for its owner alone: as HAR where the file's name ends so, else as JSON lines."""
    text = as_har(cut.since(), cut.wall) if file.suffix == ".har" else as_lines(cut.since())
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)


def as_lines(lines: Iterable[Line]) -> str:
    """JSON lines, one `{"exchange": …, "rule": …}` each."""
    return "".join(json.dumps({"exchange": encode(line.exchange), "rule": line.rule}) + "\n" for line in lines)


def as_har(lines: Iterable[Line], wall: float) -> str:
    """HAR 1.2; our own fields begin with `_`."""
    entries = [_entry(line, wall) for line in lines]
    log = {"version": "1.2", "creator": {"name": "wireproof mock", "version": "1"}, "pages": [], "entries": entries}
    return json.dumps({"log": log})


def _entry(line: Line, wall: float) -> dict[str, Any]:
    exchange = line.exchange
    began = datetime.fromtimestamp(wall + exchange.at, UTC).isoformat(timespec="milliseconds")
    took = round(exchange.took * 1000, 3)
    return {
        "startedDateTime": began,
        "time": took,
        "request": _request(exchange.call),
        "response": _response(exchange),
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
        "comment": line.rule,
        "_seq": exchange.seq,
        "_operation": exchange.operation,
        "_job": exchange.job,
        "_broke": exchange.broke,
        "_channel": exchange.channel,
    }


def _request(call: Call) -> dict[str, Any]:
    query = [part.partition("=") for part in urlsplit(call.url).query.split("&") if part]
    request: dict[str, Any] = {
        "method": call.method,
        "url": call.url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(call.headers),
        "queryString": [{"name": name, "value": value} for name, _, value in query],
        "headersSize": -1,
        "bodySize": len(call.body),
    }
    if call.body:
        kind = call.header("content-type") or "application/octet-stream"
        request["postData"] = {"mimeType": kind, "params": [], "text": call.body.decode("utf-8", "replace")}
    return request


def _response(exchange: Exchange) -> dict[str, Any]:
    reply = exchange.reply
    body, headers = (reply.body, reply.headers) if reply else (b"", ())
    content: dict[str, Any] = {"size": len(body), "mimeType": (reply and reply.header("content-type")) or "x-unknown"}
    try:
        content["text"] = body.decode()
    except UnicodeDecodeError:
        content |= {"text": base64.b64encode(body).decode("ascii"), "encoding": "base64"}
    return {
        "status": reply.status if reply else 0,
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(headers),
        "content": content,
        "redirectURL": (reply and reply.header("location")) or "",
        "headersSize": -1,
        "bodySize": len(body),
    }


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]
