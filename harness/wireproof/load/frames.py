"""Calls over a WebSocket, as a contract's `channels.websocket` describes them: no socket in here.

A frame has no status code and no order: an answer is known by the job's id in it. What is heard is put
together as the reply that the same call would have had over HTTP, so that the one dialogue reads both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from wireproof.errors import UsageError
from wireproof.model import Call, Does, Endpoint, Means, Operation, Reply
from wireproof.spec.values import outputs_of
from wireproof.wire import requests

_JSON = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A host's WebSocket: where it is, how a session begins, what its frames are like."""

    endpoint: Endpoint
    url: str
    prefix: str
    """Of the paths of this host's calls."""
    login: bytes
    """The first frame; empty: none is needed. Holds the key."""
    good: str
    bad: str
    """The keys of a frame under which results and errors stand."""
    per_output: bool
    """Whether the results of one call may come in frames of their own."""
    idle: float
    """Seconds without a message after which the host may have closed."""

    def __repr__(self) -> str:
        return f"Channel({self.url})"


def channel(endpoint: Endpoint, base: str, key: str | None) -> Channel:
    """The WebSocket of an endpoint's host; at `base` where that is not the contract's own server.

    UsageError where the contract has none.
    """
    told = endpoint.provider.channels.get("websocket")
    if told is None:
        raise UsageError(f"the plan asks for WebSockets, and the contract of {endpoint.name} has none")
    servers = endpoint.provider.servers
    server = servers.get(told.get("server", ""), servers["api"]).url
    url = server if base == servers["api"].url else f"ws{base.removeprefix('http')}"
    login = told.get("login", {}).get("send")
    frames = told["frames"]
    return Channel(
        endpoint=endpoint,
        url=url.rstrip("/") + str(told["path"]),
        prefix=urlsplit(base).path.rstrip("/"),
        login=requests.encode([_filled(login, key or "")]) if login else b"",
        good=frames["keys"][0],
        bad=frames["keys"][1],
        per_output=bool(frames.get("per_output")),
        idle=float(told.get("idle_close", {}).get("seconds", "inf")),
    )


def _filled(form: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value.replace("{key}", key) if isinstance(value, str) else value for name, value in form.items()}


def carries(channel: Channel, call: Call) -> bool:
    """Whether a call goes over the channel: the host's own, not the fetching of an output."""
    return call.method == "POST" and bool(requests.recognise(channel.endpoint, call, channel.prefix))


def admitted(channel: Channel, frame: str | bytes) -> bool:
    """Whether the answer to the login lets us in."""
    heard = _read(frame)
    told = heard.get(channel.good)
    return isinstance(told, list) and any(isinstance(one, dict) for one in told) and not heard.get(channel.bad)


@dataclass(slots=True)
class Answer:
    """What the frames of a connection say to one call, as far as they were heard."""

    channel: Channel
    call: Call
    _operation: Operation = field(init=False)
    _name: str = field(init=False)
    _job: str = field(init=False)
    _wanted: int = field(init=False)
    _items: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        asked = requests.recognise(self.channel.endpoint, self.call, self.channel.prefix)[0]
        self._operation, self._job = asked.operation, asked.job
        ids = (field.name for field in self._operation.request.fields if field.canonical == "job.id")
        self._name = next(ids, "")
        several = self.channel.per_output and self._operation.does is Does.RUN
        self._wanted = outputs_of(self.channel.endpoint, asked.values) if several else 1

    def hear(self, frame: str | bytes) -> Reply | None:
        """The whole reply, when this frame completes it. Frames of other jobs are passed over."""
        heard = _read(frame)
        errors = list(self._mine(heard.get(self.channel.bad), lenient=True))
        self._items += self._mine(heard.get(self.channel.good), lenient=False)
        if not errors and len(self._items) < self._wanted:
            return None
        told = {self.channel.good: self._items, self.channel.bad: errors}
        body = requests.encode({key: items for key, items in told.items() if items})
        return Reply(200 if self._items else self._status(errors), _JSON, body)

    def refused(self, frame: str | bytes) -> Reply:
        """The reply to a call that never was sent, because the login before it was answered with this."""
        return self.hear(frame) or Reply(400, _JSON, requests.encode({self.channel.bad: []}))

    def _mine(self, items: Any, *, lenient: bool) -> Iterator[Any]:
        """The elements that carry the id of this job; an error without any id answers the one call under way."""
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and item.get(self._name, self._job if lenient else None) == self._job:
                yield item

    def _status(self, errors: list[Any]) -> int:
        """The status code that these errors have over HTTP."""
        known = self.channel.endpoint.provider.problems
        codes = {error.get("code") for error in errors}
        for name in self._operation.problems:
            if name in known and known[name].code in codes:
                return known[name].statuses[0]
        failed = (one.statuses[0] for one in self._operation.alternatives if one.means is Means.FAILED)
        return next(failed, 400)


def _read(frame: str | bytes) -> dict[str, Any]:
    try:
        heard = json.loads(frame)
    except (ValueError, RecursionError):
        return {}
    return heard if isinstance(heard, dict) else {}
