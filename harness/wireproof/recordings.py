"""Recorded traffic as Exchanges: a HAR file, a mock's journal, an exchange log, a kept run. No network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wireproof.conform import verdict
from wireproof.errors import CouldNotTell, UsageError
from wireproof.model import Call, Credential, Endpoint, Exchange, Reply, Verdict
from wireproof.runlog import Digest, decode, load_run
from wireproof.wire import keys, requests

MOST_BYTES = 512 << 20


def read_recording(path: Path) -> tuple[Exchange, ...]:
    """The exchanges of a recording. Raises UsageError for a file that is none, naming file and line."""
    if path.is_dir():
        return load_run(path).exchanges
    if not path.is_file():
        raise UsageError(f"{path} does not exist: give a .har file, a .jsonl journal or the folder of a run")
    if path.stat().st_size > MOST_BYTES:
        raise UsageError(f"{path} is larger than {MOST_BYTES >> 20} MiB")
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".jsonl":
        return tuple(_from_lines(path, text))
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: {_line(error)}this is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("log"), dict):
        raise UsageError(f"{path}: this is no HAR file: it has no `log`")
    return tuple(_from_har(path, document["log"]))


def _line(error: Exception) -> str:
    return f"line {error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""


def _from_lines(path: Path, text: str) -> Iterator[Exchange]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            data = record.get("exchange", record) if isinstance(record, dict) else None
            if isinstance(data, dict) and "call" in data:
                data = {key: value for key, value in data.items() if key != "#"}
                yield decode(Exchange, data)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}:{number}: this is no exchange: {error}") from None


def _from_har(path: Path, log: Mapping[str, Any]) -> Iterator[Exchange]:
    entries = log.get("entries")
    if not isinstance(entries, list):
        raise UsageError(f"{path}: this is no HAR file: `log.entries` is no list")
    moments = [_moment(entry) for entry in entries]
    start = min((moment for moment in moments if moment is not None), default=0.0)
    for number, (entry, moment) in enumerate(zip(entries, moments, strict=True), start=1):
        try:
            yield _entry(entry, number, (moment or start) - start)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{path}: entry {number} cannot be read: {type(error).__name__}: {error}") from None


def _moment(entry: Any) -> float | None:
    try:
        return datetime.fromisoformat(entry["startedDateTime"]).timestamp()
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _entry(entry: Mapping[str, Any], number: int, at: float) -> Exchange:
    request, response = entry["request"], entry.get("response") or {}
    call = Call(request["method"].upper(), request["url"], _headers(request), _posted(request))
    status = int(response.get("status") or 0)
    reply = Reply(status, _headers(response), _content(response)) if status > 0 else None
    return Exchange(
        seq=number,
        call=call,
        reply=reply,
        broke=None if reply else str(entry.get("_broke") or "no reply"),
        at=float(entry.get("_at", at)),
        took=max(0.0, float(entry.get("time") or 0.0)) / 1000,
        operation=str(entry.get("_operation") or ""),
        job=entry.get("_job"),
        credential=Credential(entry.get("_credential") or Credential.UNTOLD),
        purpose=str(entry.get("comment") or "") if "_seq" in entry else "",
        output=entry.get("_output"),
    )


def _headers(message: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(h["name"]), str(h["value"])) for h in message.get("headers") or ())


def _posted(request: Mapping[str, Any]) -> bytes:
    data = request.get("postData") or {}
    text = data.get("text") or ""
    return base64.b64decode(text) if data.get("_encoding") == "base64" else str(text).encode()


def _content(response: Mapping[str, Any]) -> bytes:
    content = response.get("content") or {}
    text = content.get("text") or ""
    return base64.b64decode(text) if content.get("encoding") == "base64" else str(text).encode()


def keys_in(endpoints: Iterable[Endpoint], exchanges: Iterable[Exchange]) -> frozenset[str]:
    """Everything in recorded calls that may be a key: what must not be seen in what is written or told of them."""
    providers = {endpoint.provider.name: endpoint.provider for endpoint in endpoints}.values()
    return frozenset(key for exchange in exchanges for key in keys.carried(providers, exchange.call))


# ------------------------------------------------------------------------------------------ judging


def judge(endpoints: Sequence[Endpoint], exchanges: Sequence[Exchange]) -> tuple[Verdict, ...]:
    """A verdict for every endpoint that the recording speaks with.

    Raises CouldNotTell when it speaks with none of them.
    """
    if any(isinstance(e.reply.body, Digest) and _is_json(e) for e in exchanges if e.reply):
        raise CouldNotTell("the bodies of this run were not kept: run it again with --keep-bodies to judge it")
    found: list[Verdict] = []
    for endpoint in endpoints:
        prefix, own = addressed(endpoint, exchanges)
        if own:
            found.append(verdict(endpoint, tuple(_told_key(endpoint, e) for e in own), prefix=prefix))
    if not found:
        names = ", ".join(endpoint.name for endpoint in endpoints)
        raise CouldNotTell(f"none of the {len(exchanges)} recorded calls is one that {names} would take")
    return tuple(found)


def _is_json(exchange: Exchange) -> bool:
    return "json" in ((exchange.reply.header("content-type") if exchange.reply else None) or "")


def addressed(endpoint: Endpoint, exchanges: Sequence[Exchange]) -> tuple[str, list[Exchange]]:
    """The path prefix and the exchanges of a recording that belong to an endpoint; none unless a job is started."""
    for prefix in _prefixes(endpoint, exchanges):
        own: list[Exchange] = []
        starts = False
        for exchange in exchanges:
            asked = requests.recognise(endpoint, exchange.call, prefix)
            if asked and any(one.model not in ("", endpoint.slug) or _other_model(endpoint, one) for one in asked):
                continue
            own.append(exchange)
            starts = starts or any(one.operation.does.bills for one in asked)
        if starts:
            return prefix, own
    return "", []


def _prefixes(endpoint: Endpoint, exchanges: Sequence[Exchange]) -> list[str]:
    """Paths under which the host may have been reached: none, and what stands before a submit's own path."""
    paths = {requests.fill(op.request.path, endpoint, "") for op in endpoint.operations.values() if op.does.bills}
    found = {""}
    for exchange in exchanges:
        path = urlsplit(exchange.call.url).path
        found |= {path[: -len(known)] for known in paths if path.endswith(known)}
    return sorted(found, key=len)


def _other_model(endpoint: Endpoint, asked: requests.Asked) -> bool:
    """Whether a body names another model than this endpoint's."""
    for field in asked.operation.request.fields:
        if field.name == "model" and "const" in field.schema and isinstance(asked.values.get("model"), str):
            return bool(asked.values["model"] != field.schema["const"])
    return False


def _told_key(endpoint: Endpoint, exchange: Exchange) -> Exchange:
    """Whether a call carried a key can be seen; whose it was cannot."""
    if exchange.credential is not Credential.UNTOLD:
        return exchange
    given = exchange.call.header(endpoint.provider.auth.header)
    return replace(exchange, credential=Credential.UNTOLD if given else Credential.NONE)
