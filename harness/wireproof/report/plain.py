"""Foreign text made harmless to show: hosts and contracts write it, terminals and pages must survive it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from wireproof.runlog import Digest
from wireproof.secrets import MASK, printable

SHOWN = 2_000
"""How many characters of a body a report shows."""

_LONE = re.compile("[\ud800-\udfff]")
_SECRET_NAME = re.compile(r"auth|cookie|token|secret|password|credential|api[-_]?key|x-key|signature", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:key|token|secret|signature|credential|password)[\w.-]*)=)[^&#;\s'\"]+"
)


def line(text: str) -> str:
    """The text on one line: whatever does not print (controls, bidi, newlines) is shown as `\\uXXXX`."""
    return printable(text)


def lines(text: str) -> str:
    """The same, with its line breaks kept."""
    return "\n".join(map(printable, text.replace("\r\n", "\n").split("\n")))


def cut(text: str, most: int = SHOWN) -> str:
    """At most that many characters, and how many were left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters)"


def body(data: bytes, content_type: str = "") -> str:
    """A body fit to be read: text cut at `SHOWN` characters, anything else as its size and sha256."""
    if isinstance(data, Digest):
        return _weighed(data, content_type)
    text = _as_text(data)
    return _weighed(Digest.of(data), content_type) if text is None else cut(lines(text))


def _weighed(digest: Digest, content_type: str) -> str:
    kind = line(content_type.split(";", maxsplit=1)[0].strip()) or "binary"
    return f"[{kind}, {digest.size:,} bytes, sha256 {digest.sha256}]"


def _as_text(data: bytes) -> str | None:
    """UTF-8 without the control characters that only binary data holds; None when it is not that."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else text


def masked(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers with every value that may be a secret replaced, whatever the recorder left in."""
    return tuple((name, MASK if _SECRET_NAME.search(name) else value) for name, value in headers)


def address(url: str) -> str:
    """The URL without user names, and without the values of query keys that carry secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if "@" in parts.netloc:
        url = urlunsplit(parts._replace(netloc=f"{MASK}@{parts.netloc.rpartition('@')[2]}"))
    return _SECRET_VALUE.sub(rf"\g<1>{MASK}", url)


def document(value: Any, *, indent: int | None = None) -> str:
    """The value as strict, pure-ASCII JSON: exact amounts as text, no NaN, no half characters."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(_strict(value), ensure_ascii=True, allow_nan=False, indent=indent, separators=separators)


def _strict(value: Any) -> Any:
    match value:
        case str():
            return _LONE.sub("\ufffd", value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return f"{value:f}"
        case Mapping():
            return {_strict(str(key)): _strict(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_strict(item) for item in value]
        case _:
            return _strict(str(value))
