"""What must not be seen: keys that do not print, one redaction in front of every sink, safe text for people.

`Secret` holds a key, `Redactor` takes what it knows out of everything that is written, `printable` makes
foreign text safe for a terminal, and `curl` writes a call down so that it can be repeated without its key.
"""

from __future__ import annotations

import base64
import hmac
import html
import json
import re
import shlex
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Self
from urllib.parse import quote, quote_plus, urlsplit

from wireproof.model import Call, Exchange, Reply

MASK = "***"
"""What stands where a secret stood."""


class Secret(str):
    """A key. As a string it is `***`, whoever prints, formats, slices, encodes, pickles or dumps it.

    The string's own text is the mask and the key lies beside it, so that even code in C that looks
    past `__str__` (json) finds the mask. Only `reveal()` gives the key. A pickled Secret comes
    back as plain `***`, which has no `reveal()`: a lost key is loud. Compared with anything but another
    Secret it is unequal.
    """

    __slots__ = ("_key",)
    _key: str

    def __new__(cls, key: str) -> Self:
        made = super().__new__(cls, MASK)
        made._key = key.reveal() if isinstance(key, Secret) else key
        return made

    def reveal(self) -> str:
        """The key itself, for the one place that sends it."""
        return self._key

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __bool__(self) -> bool:
        return bool(self._key)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return False
        return hmac.compare_digest(_octets(self._key), _octets(other._key))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._key)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> tuple[type[str], tuple[str]]:
        return str, (MASK,)


# ------------------------------------------------------------------------------------ encodings


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _plain(key: str) -> Iterable[str]:
    return (key,)


def _url(key: str) -> Iterable[str]:
    octets = _octets(key)
    for text in (quote(octets, safe=""), quote(octets), quote_plus(octets)):
        yield text
        yield re.sub(r"%[0-9A-F]{2}", lambda hit: hit[0].lower(), text)


def _base64(key: str) -> Iterable[str]:
    """The characters that depend on the key alone, at each of the three places it may begin at."""
    octets = _octets(key)
    yield base64.b64encode(octets).decode()
    for before, spoilt in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(b"\0" * before + octets).decode()
        yield text[spoilt : (before + len(octets)) * 8 // 6]


def _base64url(key: str) -> Iterable[str]:
    table = str.maketrans("+/", "-_")
    return (text.translate(table) for text in _base64(key))


def _json(key: str) -> Iterable[str]:
    for text in (json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1]):
        yield text
        yield text.replace("/", "\\/")


def _html(key: str) -> Iterable[str]:
    escaped = html.escape(key)
    return (escaped, html.escape(key, quote=False), escaped.replace("&#x27;", "&#39;"))


def _hex(key: str) -> Iterable[str]:
    text = _octets(key).hex()
    return (text, text.upper())


def _ends(key: str) -> Iterable[str]:
    """How logs shorten keys. Of a short key there is no end that is not nearly all of it."""
    return (key[:12], key[-12:]) if len(key) >= 16 else ()


ENCODINGS: Mapping[str, Callable[[str], Iterable[str]]] = {
    "plain": _plain,
    "url": _url,
    "base64": _base64,
    "base64url": _base64url,
    "json": _json,
    "html": _html,
    "hex": _hex,
    "ends": _ends,
}
"""In which forms a secret is looked for."""

_SHORTEST = 6
"""Shorter pieces of a secret occur by chance; a secret that is itself shorter is looked for whole."""


def _needles(keys: Iterable[str], encodings: Iterable[str] = ENCODINGS) -> tuple[str, ...]:
    """Every form of every key, the longest first, so that no form is broken by a part of it."""
    found: set[str] = set()
    for key in filter(None, keys):
        forms = {form for name in encodings for form in ENCODINGS[name](key)}
        found |= {form for form in forms if len(form) >= min(_SHORTEST, len(key))}
    # Bodies that are not UTF-8 are searched as Latin-1, where a non-ASCII key looks different.
    found |= {_octets(form).decode("latin-1") for form in found if not form.isascii()}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def repeats(key: str, data: str | bytes) -> bool:
    """Whether the whole of a key stands in it, in any form. Its beginning alone may be that of every key of a host."""
    return _found(_whole(_revealed(key)), data)


@lru_cache(maxsize=64)
def _whole(key: str) -> tuple[str, ...]:
    return _needles([key], ENCODINGS.keys() - {"ends"})


def _found(needles: Iterable[str], data: str | bytes) -> bool:
    texts = (data,) if isinstance(data, str) else {_octets_as_text(data), data.decode("latin-1")}
    return any(needle in text for text in texts for needle in needles)


# ------------------------------------------------------------------------------------ redaction

KEPT_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "accept-ranges", "age", "allow", "cache-control", "connection"),
        *("content-disposition", "content-encoding", "content-length", "content-location"),
        *("content-range", "content-type", "date", "etag", "expires", "host", "last-modified", "link"),
        *("location", "range", "retry-after", "server", "transfer-encoding", "user-agent", "vary"),
        *("ratelimit", "ratelimit-limit", "ratelimit-policy", "ratelimit-remaining", "ratelimit-reset"),
        *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
        *("x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"),
        *("x-rate-limit-reset-at-utc", "request-id", "x-request-id", "x-should-retry"),
        *("x-cost", "x-remaining-credits", "x-generation-time", "x-seed-value", "x-initiator"),
        *("x-sdk-name", "x-sdk-version"),
    }
)
"""Headers kept with their values; of all others only the name is kept."""

_NEVER_KEPT = re.compile(r"auth|cookie|token|secret|passw|signature|api-?key|^x-key$|credential", re.IGNORECASE)
"""Names whose values are masked even when somebody asks to keep them."""

_URL = re.compile(r"(?:https?|wss?):\\?/\\?/(?:[^\s\"'<>\\]++|\\/|\\u[0-9a-fA-F]{4})*+", re.IGNORECASE)
"""An address, also inside JSON, where `/`, `&` and `=` may be escaped.

What follows the scheme cannot fail to match, so the search is linear in the text, whoever wrote it.
"""
_URL_PARTS = re.compile(r"([a-z]+:\\?/\\?/)([^/\\?#]*)([^?#]*)(\??[^#]*)(#?.*)", re.IGNORECASE | re.DOTALL)
_BETWEEN = re.compile(r"(&amp;|&#38;|\\u0026|[&;])", re.IGNORECASE)
_EQUALS = re.compile(r"(=|\\u003d)", re.IGNORECASE)


class Redactor:
    """Takes known secrets, unlisted headers and foreign query values out of everything that is stored.

    `secrets` are masked in every form of `ENCODINGS`. `own` are the hosts (or addresses) whose query
    strings may stay; the query values of every other host are masked, for they are often signatures.
    `keep` adds names to `KEPT_HEADERS`. Doing it twice changes nothing more.
    """

    def __init__(self, secrets: Iterable[str] = (), *, own: Iterable[str] = (), keep: Iterable[str] = ()) -> None:
        self._keys: frozenset[str] = frozenset()
        self._needles: tuple[str, ...] = ()
        self._guard = threading.Lock()
        self.learn(secrets)
        self._own = frozenset(map(_host, own))
        self._kept = KEPT_HEADERS | {name.lower() for name in keep}

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these, too, in everything that comes from now on. Threads may teach one Redactor."""
        with self._guard:
            keys = self._keys | set(map(_revealed, secrets))
            if keys != self._keys:
                self._keys, self._needles = keys, _needles(keys)

    def shows(self, data: str | bytes) -> bool:
        """Whether a known secret is seen in it, in any form: a host that echoes a key shows it."""
        return _found(self._needles, data)

    def text(self, text: str) -> str:
        """The text without known secrets and without the query values of foreign addresses."""
        for needle in self._needles:
            text = text.replace(needle, MASK)
        return _URL.sub(self._address, text)

    def headers(self, pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """All names in their order; the values of those that are kept, `***` for the others."""
        return tuple((self.text(name), self._value(name, value)) for name, value in pairs)

    def body(self, body: bytes) -> bytes:
        """The body, text or not, with `***` for what had to go."""
        try:
            return self.text(body.decode("utf-8")).encode("utf-8")
        except UnicodeDecodeError:
            return self.text(body.decode("latin-1")).encode("latin-1")

    def call(self, call: Call) -> Call:
        return replace(call, url=self.text(call.url), headers=self.headers(call.headers), body=self.body(call.body))

    def reply(self, reply: Reply) -> Reply:
        return replace(reply, headers=self.headers(reply.headers), body=self.body(reply.body))

    def exchange(self, exchange: Exchange) -> Exchange:
        """The exchange as it may be stored and shown."""
        return replace(
            exchange,
            call=self.call(exchange.call),
            reply=None if exchange.reply is None else self.reply(exchange.reply),
            broke=None if exchange.broke is None else self.text(exchange.broke),
            job=None if exchange.job is None else self.text(exchange.job),
            purpose=self.text(exchange.purpose),
        )

    def _value(self, name: str, value: str) -> str:
        if name.lower() not in self._kept or _NEVER_KEPT.search(name):
            return MASK
        return self.text(value)

    def _address(self, hit: re.Match[str]) -> str:
        parts = _URL_PARTS.fullmatch(hit[0])
        if parts is None:
            return hit[0]
        scheme, authority, path, query, fragment = parts.groups()
        login, at, place = authority.rpartition("@")
        who = f"{MASK}@" if at else login
        if _bare(place) in self._own:
            return f"{scheme}{who}{place}{path}{query}{fragment}"
        return f"{scheme}{who}{place}{path}{_names(query)}{fragment and '#' + MASK}"


def _revealed(secret: str) -> str:
    return secret.reveal() if isinstance(secret, Secret) else secret


def _octets_as_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _host(place: str) -> str:
    return _bare(urlsplit(place).netloc if "//" in place else place)


def _bare(authority: str) -> str:
    return re.sub(r":(?:80|443)?$", "", authority.lower())


def _names(query: str) -> str:
    """The query with its names and without its values. A part without `=` is taken for a value."""
    if len(query) < 2:
        return query
    return "?" + "".join(part if index % 2 else _name(part) for index, part in enumerate(_BETWEEN.split(query[1:])))


def _name(part: str) -> str:
    name, *rest = _EQUALS.split(part, maxsplit=1)
    if not rest:
        return MASK if name else ""
    return f"{name}={MASK}" if rest[1] else f"{name}="


# ------------------------------------------------------------------------------------ for people


def printable(text: str) -> str:
    """The text as a terminal may show it: every character that does not print is written `\\uXXXX`.

    That covers C0, C1, DEL, line breaks, surrogates and the marks that turn the direction of writing;
    a text of several lines is split before it comes here.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


_MADE_BY_CURL = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "user-agent", "accept-encoding"}
)
_LONGEST_ARGUMENT = 64 * 1024
"""Bytes. Linux takes at most 128 KiB in one argument."""


def curl(call: Call, *, env: str, header: str, prefix: str = "", redactor: Redactor | None = None) -> str:
    """A line for a POSIX shell that sends the call again, with the key taken from the variable `env`.

    The line holds no key: `header` is written as `prefix` and `$env`, and only where the call had that
    header; an empty `env` leaves it out. `redactor` masks the rest; what it masks (a signature in a
    foreign address) cannot be repeated. A body that does not print travels as base64 through a pipe.
    """
    safe = (redactor or Redactor()).call(call)
    words = ["curl", "-g", "-sS", "-i", *_method(safe.method)]
    words += ["--url", shlex.quote(quote(safe.url, safe=_URL_SAFE, errors="replace"))]
    if env and call.header(header) is not None:
        words += ["-H", _from_environment(header, prefix, env)]
    for name, value in safe.headers:
        if value != MASK and name.lower() not in _MADE_BY_CURL | {header.lower()}:
            words += ["-H", shlex.quote(printable(f"{name}: {value}" if value else f"{name};"))]
    return _with_body(words, safe)


_URL_SAFE = "".join(map(chr, range(0x21, 0x7F)))


def _method(method: str) -> tuple[str, ...]:
    return ("--head",) if method == "HEAD" else ("-X", shlex.quote(printable(method)))


def _from_environment(header: str, prefix: str, env: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", env):
        raise ValueError(f"{env!r} is not the name of an environment variable")
    literal = re.sub(r'(["$`\\])', r"\\\1", printable(f"{header}: {prefix}"))
    return f'"{literal}${env}"'


def _with_body(words: list[str], call: Call) -> str:
    line = " ".join(words)
    if not call.body:
        return line
    # Without a content type of its own curl would claim that the body is a form.
    typed = "" if call.header("content-type") else " -H Content-Type:"
    text = call.body.decode("utf-8", "replace")
    if text.isprintable() and text.encode() == call.body and len(call.body) <= _LONGEST_ARGUMENT:
        return f"{line}{typed} --data-raw {shlex.quote(text)}"
    packed = base64.b64encode(call.body).decode()
    return f"printf %s {packed} | base64 -d | {line}{typed} --data-binary @-"
