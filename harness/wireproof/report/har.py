"""HAR 1.2 of the exchanges: any HTTP tool opens it. Secrets are masked."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from wireproof.model import Call, Exchange, Reply, Run
from wireproof.report.plain import address, document, masked
from wireproof.runlog import Digest

_CODES = {status.value: status.phrase for status in HTTPStatus}


def render(run: Run) -> str:
    """The archive. Bodies are whole; what is not text is base64. Our own fields start with `_`."""
    start = _start(run.started)
    log = {
        "version": "1.2",
        "creator": {"name": "wireproof", "version": run.version},
        "pages": [],
        "entries": [_entry(exchange, start) for exchange in run.exchanges],
        "comment": f"run {run.id}, {run.command} of {run.target}, seed {run.seed}",
    }
    return document({"log": log}, indent=1) + "\n"


def _start(started: str) -> datetime:
    try:
        moment = datetime.fromisoformat(started)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _entry(exchange: Exchange, start: datetime) -> dict[str, Any]:
    took = round(exchange.took * 1000, 3)
    entry = {
        "startedDateTime": (start + timedelta(seconds=exchange.at)).isoformat(timespec="milliseconds"),
        "time": took,
        "request": _request(exchange.call),
        "response": _response(exchange.reply) if exchange.reply else _NO_RESPONSE,
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
    }
    return entry | {name: value for name, value in _ours(exchange).items() if value not in (None, "")}


def _ours(exchange: Exchange) -> dict[str, Any]:
    return {
        "comment": exchange.purpose,
        "_seq": exchange.seq,
        "_at": exchange.at,
        "_operation": exchange.operation,
        "_job": exchange.job,
        "_broke": exchange.broke,
        "_credential": exchange.credential,
        "_channel": exchange.channel,
        "_output": exchange.output,
    }


def _request(call: Call) -> dict[str, Any]:
    url = address(call.url)
    request: dict[str, Any] = {
        "method": call.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(masked(call.headers)),
        "queryString": _pairs(_query(url)),
        "headersSize": -1,
        "bodySize": _size(call.body),
    }
    if _size(call.body):
        told = _told(call.body, "_encoding")
        request["postData"] = {
            "mimeType": call.header("content-type") or "",
            "params": [],
            "text": "",
            **told,
        }
    return request


def _query(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query, keep_blank_values=True)
    except ValueError:
        return []


def _response(reply: Reply) -> dict[str, Any]:
    size = _size(reply.body)
    content = {"size": size, "mimeType": reply.header("content-type") or ""}
    return {
        "status": reply.status,
        "statusText": _CODES.get(reply.status, ""),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(masked(reply.headers)),
        "content": content | _told(reply.body, "encoding"),
        "redirectURL": reply.header("location") or "",
        "headersSize": -1,
        "bodySize": size,
    }


_NO_RESPONSE = {
    "status": 0,
    "statusText": "",
    "httpVersion": "",
    "cookies": [],
    "headers": [],
    "content": {"size": 0, "mimeType": ""},
    "redirectURL": "",
    "headersSize": -1,
    "bodySize": -1,
}


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _size(body: bytes) -> int:
    return body.size if isinstance(body, Digest) else len(body)


def _told(body: bytes, encoding: str) -> dict[str, str]:
    """The body as text, or as base64 under that name of the encoding; of one not kept, its digest."""
    if isinstance(body, Digest):
        return {"comment": f"not kept, sha256 {body.sha256}"}
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode("ascii"), encoding: "base64"}
