"""The keys that a call carries: where the contract says that they stand, and wherever a name says that one does.

Who keeps or shows what was said asks here first what must not be seen in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from wireproof.model import Call, Provider
from wireproof.secrets import MASK
from wireproof.wire.links import parts

SHORTEST = 8
"""Characters. What is shorter is a word of somebody's tests, and would be found where it means something else."""

_NAMES = re.compile(
    r"(x|proxy)?(authorization|authtoken|(api|access|secret|private|auth)?key|(api|access|refresh|session|bearer)?token"
    r"|(api|client|webhook)?secret|password|passwd|credentials?)"
)
"""Names that stand before a key, in small letters and without what joins their words."""

_LOOSE = frozenset({"key", "xkey", "token", "xtoken"})
"""Names that as often stand before something else: what they name is taken for a key where it has a digit."""

_SCHEME = re.compile(r"(?:bearer|basic|token|key|api-?key)\s+", re.IGNORECASE)

_STAND_IN = re.compile(
    r"[*•…█]|x{4}|redact|mask|hidden|removed|omitted|filtered|sanit|censor|scrubbed|placeholder|dummy|^your|^undefined$"
    r"|^[<\[{(].*[>\])}]$|^\$",
    re.IGNORECASE,
)
"""What people and tools write where a key stood."""


def presented(provider: Provider, call: Call) -> frozenset[str]:
    """The keys of a call that stand where the contract says: in its header, or in the element of a body that logs in.

    Nothing that was put in a key's place is one: what was masked twice is alike without anybody having told it.
    """
    given = call.header(provider.auth.header) or ""
    found = {_bare(provider.auth.prefix, given), *_logged_in(provider, call)}
    return frozenset(key for key in found if len(key) >= SHORTEST and not _STAND_IN.search(key))


def carried(providers: Iterable[Provider], call: Call) -> frozenset[str]:
    """Everything in a call that may be a key: what is presented as one, and what a name says is one, in the headers,
    the address and the body. Rather too much than too little: it is only masked."""
    found = {_bare("", value) for name, value in call.headers if _says_key(name, value)}
    for provider in providers:
        found.add(_bare(provider.auth.prefix, call.header(provider.auth.header) or ""))
        found.update(_logged_in(provider, call))
    found.update(_in_address(call.url))
    found.update(_in_body(call))
    return frozenset(key for key in found if len(key) >= SHORTEST and MASK not in key)


def login_key(element: Mapping[str, Any], given: Any) -> str | None:
    """The key in a request that logs in by being of that form (`{"apiKey": "{key}"}`); None when it is not."""
    if not isinstance(given, dict):
        return None
    constants = {name: value for name, value in element.items() if not str(value).startswith("{")}
    place = next((name for name, value in element.items() if value == "{key}"), "")
    if any(given.get(name) != value for name, value in constants.items()):
        return None
    return str(given.get(place, ""))


def _bare(prefix: str, value: str) -> str:
    """A header's value without what stands before the key in it."""
    value = value.strip()
    if prefix and value.lower().startswith(prefix.lower()):
        return value[len(prefix) :].strip()
    return _SCHEME.sub("", value, count=1).strip()


def _logged_in(provider: Provider, call: Call) -> Iterator[str]:
    element = provider.channels.get("http", {}).get("login", {}).get("element")
    body = _json(call.body) if element else None
    for given in body if isinstance(body, list) else ():
        yield login_key(element, given) or ""


def _says_key(name: str, value: str) -> bool:
    plain = re.sub(r"[^a-z]", "", name.lower())
    if not _NAMES.fullmatch(plain):
        return False
    return plain not in _LOOSE or any(character.isdigit() for character in value)


def _in_address(url: str) -> Iterator[str]:
    """Both as they were written and as they are meant: who echoes an address echoes it as it came."""
    where = parts(url)
    yield where.password or ""
    for pair in re.split("[&;]", where.query):
        name, _, value = pair.partition("=")
        if _says_key(unquote_plus(name), value):
            yield from (value, unquote_plus(value))


def _in_body(call: Call) -> Iterator[str]:
    if "form-urlencoded" in (call.header("content-type") or ""):
        pairs = parse_qsl(call.body.decode("utf-8", "replace"))
        yield from (value for name, value in pairs if _says_key(name, value))
        return
    waiting = [_json(call.body)]
    while waiting:
        match waiting.pop():
            case list() as items:
                waiting += items
            case dict() as members:
                waiting += members.values()
                pairs = [(name, value) for name, value in members.items() if isinstance(value, str)]
                yield from (_bare("", value) for name, value in pairs if _says_key(name, value))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body[:1] in b"[{ \t\r\n" else None
    except (ValueError, RecursionError):
        return None
