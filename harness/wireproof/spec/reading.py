"""Contract files, read strictly: what they say is plain JSON, and everything wrong with them is told at once.

A contract may come from a stranger's pull request, so nothing in it is executed, expanded, followed or
guessed at. Text that one YAML reader takes for a number, a date or a truth value and another for text is
a mistake here, and so is every key that is given twice.
"""

from __future__ import annotations

import difflib
import importlib
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from wireproof.errors import ContractError, Mistake, UsageError
from wireproof.spec.events import NO_TAGS, NotYaml, events
from wireproof.spec.numbers import numbers

_parser: Any = importlib.import_module("re._parser")  # its tree is what hypothesis generates by, too


@dataclass(frozen=True, slots=True)
class Document:
    """A contract file as read."""

    file: str
    """The name shown in messages."""
    value: Any
    """Plain JSON: dict, list, str, int, float, bool, None."""
    lines: Mapping[str, int]
    """JSON pointer (RFC 6901) of every node to its line, from 1; an entry has the line of its key."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a contract file may hold at most. More is a mistake, never cut off."""

    bytes: int = 1 << 20
    nodes: int = 200_000
    depth: int = 64
    scalar: int = 64 << 10
    """Characters of one value."""
    key: int = 256
    """Characters of one key."""
    pointers: int = 16 << 20
    """Characters of all pointers together: long keys nested over many values would fill the memory."""
    digits: int = 20
    """Digits of an integer: more than any 64-bit number needs."""
    items: int = 10_000
    """Entries of one list or mapping."""
    mistakes: int = 100
    """Mistakes told of one file; reading stops there."""
    pattern: int = 512
    """Characters of a regular expression."""
    fits: int = 4096
    """Characters that a value may have to match a pattern."""
    ways: int = 100
    """Ways in which the quantifiers of a pattern that have small bounds may share out a text."""


LIMITS = Limits()


# ------------------------------------------------------------------------------------- files


def read(path: Path) -> Document:
    """The contract file at `path`. Raises ContractError with all mistakes found."""
    file = _displayed(path)
    try:
        text = _decoded(_content(path), file)
    except (OSError, ValueError) as error:
        raise _unreadable(file, getattr(error, "strerror", None) or str(error)) from None
    return read_text(text, file)


def _content(path: Path) -> bytes:
    # a pipe or a device may never end
    if path.exists() and not path.is_file():
        raise OSError(0, "not a file")
    with path.open("rb") as source:
        content = source.read(LIMITS.bytes + 1)
    if len(content) > LIMITS.bytes:
        raise OSError(0, f"larger than {LIMITS.bytes} bytes")
    return content


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        says = f"the byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise ContractError([Mistake(file, line, "", says)]) from None


def _unreadable(file: str, why: str) -> ContractError:
    return ContractError([Mistake(file, 0, "", f"the file cannot be read: {_shown(why)}")])


def _displayed(path: Path) -> str:
    full, here = path.absolute(), Path.cwd()
    return _shown(str(full.relative_to(here) if full.is_relative_to(here) else path), 1000)


def _shown(text: str, most: int = 60) -> str:
    """`text`, short and without anything that a terminal would obey."""
    short = text if len(text) <= most else text[:most] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]


# -------------------------------------------------------------------------------------- text

# control characters, separators and marks of direction that an editor hides from the reviewer
_HIDDEN = re.compile(
    "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
    "|\r(?!\n)"
)
_NAMES = {
    "\t": "a tab: use spaces (in double quotes, \\t)",
    "\0": "a NUL character: is this a text file?",
    "\r": "a carriage return without a line feed: save the file with LF line ends",
    "\ufeff": "a byte order mark: save the file as UTF-8 without one",
}


def read_text(text: str, file: str) -> Document:
    """The contract in `text`, called `file` in messages. Raises ContractError with all mistakes found."""
    if hidden := list(_hidden(text, file)):
        raise ContractError(hidden)
    builder = _Builder(file)
    try:
        for event in events(text, LIMITS.depth):
            builder.take(event)
    except NotYaml as error:
        builder.stop(error.line, f"column {error.column}: {error.says}")
    return builder.document()


def _hidden(text: str, file: str) -> Iterator[Mistake]:
    if len(text) > LIMITS.bytes:
        yield Mistake(file, 0, "", f"longer than {LIMITS.bytes} characters")
        return
    line, counted = 1, 0
    for found, match in enumerate(_HIDDEN.finditer(text)):
        if found == LIMITS.mistakes:
            return
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        column = match.start() - text.rfind("\n", 0, match.start())
        says = _NAMES.get(match[0], f"the hidden character U+{ord(match[0]):04X}: in double quotes, write its escape")
        yield Mistake(file, line, "", f"column {column}: {says}")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose entries are still being read."""

    value: Any
    pointer: str
    line: int
    key: str | None = None
    """Of a mapping: the key whose value comes next."""
    is_key: bool = False
    """Whether the whole stands where a key should."""


@dataclass(slots=True)
class _Builder:
    """Takes events in one pass: values, lines and mistakes come out together."""

    file: str
    lines: dict[str, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    root: Any = None
    open: list[_Open] = field(default_factory=list)
    documents: int = 0
    nodes: int = 0
    pointed: int = 0
    """Characters of all pointers so far."""

    def take(self, event: Event) -> None:
        handle = _HANDLERS.get(type(event))
        if handle is not None:
            handle(self, event)

    def document(self) -> Document:
        if not self.lines and not self.mistakes:
            self.wrong(1, "", "the file is empty")
        if self.mistakes:
            raise ContractError(self.mistakes)
        return Document(self.file, self.root, self.lines)

    def wrong(self, line: int, pointer: str, says: str) -> None:
        self.mistakes.append(Mistake(self.file, line, pointer, says))
        if len(self.mistakes) >= LIMITS.mistakes:
            self.mistakes.append(Mistake(self.file, line, pointer, "reading stopped after so many mistakes"))
            raise ContractError(self.mistakes)

    def stop(self, line: int, says: str) -> NoReturn:
        """Tells a mistake after which nothing can be read."""
        pointer = self.open[-1].pointer if self.open else ""
        raise ContractError([*self.mistakes, Mistake(self.file, line, pointer, says)])

    def starts(self, event: DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self.stop(event.start_mark.line + 1, "a second document begins here: one file holds one contract")

    def scalar(self, event: ScalarEvent) -> None:
        line = event.start_mark.line + 1
        text = event.value
        if self._awaits_key():
            self._counted(line)
            pointer = self._named(event, line)
        else:
            pointer = self._stand(line)
            value, says = read_plain(text) if event.style is None and event.ctag is None else (text, None)
            if says:
                self.wrong(line, pointer, says)
            self._put(value)
        self._decent(event, line, pointer)
        if len(text) > LIMITS.scalar or (event.style == '"' and not text.isascii()):
            self._measured(text, line, pointer)

    def alias(self, event: AliasEvent) -> None:
        line = event.start_mark.line + 1
        says = f"*{_shown(event.anchor)} is an alias; contracts have none: write the value out"
        if self._awaits_key():
            self.open[-1].key = f"*{_shown(event.anchor)}"
            self.wrong(line, self.open[-1].pointer, says)
        else:
            self.wrong(line, self._stand(line), says)
            self._put(None)

    def opens(self, event: MappingStartEvent | SequenceStartEvent, make: Callable[[], Any]) -> None:
        line = event.start_mark.line + 1
        is_key = self._awaits_key()
        pointer = self.open[-1].pointer if is_key else self._stand(line)
        value = make()
        if is_key:
            self.open[-1].key = "?"
            self.wrong(line, pointer, "a list or mapping cannot be a key")
        else:
            self._put(value, keep_key=True)
        self._decent(event, line, pointer)
        if len(self.open) == LIMITS.depth:
            self.stop(line, f"nested more than {LIMITS.depth} deep")
        self.open.append(_Open(value, pointer, line, is_key=is_key))

    def closes(self, _event: MappingEndEvent | SequenceEndEvent) -> None:
        done = self.open.pop()
        if self.open and not done.is_key:
            self.open[-1].key = None

    def _awaits_key(self) -> bool:
        return bool(self.open) and type(self.open[-1].value) is dict and self.open[-1].key is None

    def _counted(self, line: int) -> None:
        self.nodes += 1
        if self.nodes > LIMITS.nodes:
            self.stop(line, f"more than {LIMITS.nodes} values")

    def _stand(self, line: int) -> str:
        """The pointer of the value that comes now."""
        self._counted(line)
        if not self.open:
            self._point("", line)
            return ""
        parent = self.open[-1]
        if len(parent.value) >= LIMITS.items:
            self.stop(line, f"more than {LIMITS.items} entries")
        if parent.key is not None:
            return f"{parent.pointer}/{_escaped(parent.key)}"
        pointer = f"{parent.pointer}/{len(parent.value)}"
        self._point(pointer, line)
        return pointer

    def _point(self, pointer: str, line: int) -> None:
        self.pointed += len(pointer)
        if self.pointed > LIMITS.pointers:
            self.stop(line, "keys this long cannot be nested this deeply over so many values")
        self.lines.setdefault(pointer, line)

    def _put(self, value: Any, keep_key: bool = False) -> None:
        """Puts a value where it belongs; a list or mapping keeps its key until it closes."""
        if not self.open:
            self.root = value
            return
        parent = self.open[-1]
        if parent.key is None:
            parent.value.append(value)
            return
        parent.value[parent.key] = value
        if not keep_key:
            parent.key = None

    def _named(self, event: ScalarEvent, line: int) -> str:
        """Takes a key; the pointer of its entry."""
        parent = self.open[-1]
        says = _wrong_key(event.value) if event.style is None and event.ctag is None else None
        key = _shown(event.value, LIMITS.key)
        pointer = f"{parent.pointer}/{_escaped(key)}"
        if key != event.value:
            says = f"a key may have {LIMITS.key} characters, all of them printable"
        elif key in parent.value:
            first = self.lines[pointer]
            says = f"the key {_shown(key)} is given twice, in line {first} and in line {line}"
        if says:
            self.wrong(line, pointer, says)
        self._point(pointer, line)
        parent.key = key
        return pointer

    def _decent(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent, line: int, pointer: str) -> None:
        """Refuses anchors and tags."""
        column = event.start_mark.column + 1
        if event.ctag is not None:
            tag = _shown(str(event.ctag).replace("tag:yaml.org,2002:", "!!"))
            self.wrong(line, pointer, f"column {column}: {tag} is a tag; {NO_TAGS}")
        if event.anchor is not None:
            says = f"column {column}: &{_shown(event.anchor)} is an anchor; contracts have none: remove it"
            self.wrong(line, pointer, says)

    def _measured(self, text: str, line: int, pointer: str) -> None:
        if len(text) > LIMITS.scalar:
            self.wrong(line, pointer, f"longer than {LIMITS.scalar} characters")
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.wrong(line, pointer, "half a character (\\ud800 to \\udfff): write \\U and eight digits")


_HANDLERS: Mapping[type, Callable[[_Builder, Any], None]] = {
    DocumentStartEvent: _Builder.starts,
    ScalarEvent: _Builder.scalar,
    AliasEvent: _Builder.alias,
    MappingStartEvent: partial(_Builder.opens, make=dict),
    SequenceStartEvent: partial(_Builder.opens, make=list),
    MappingEndEvent: _Builder.closes,
    SequenceEndEvent: _Builder.closes,
}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


# ------------------------------------------------------------------------------------ plain text

_TRUTHS = {
    "true": "yes Yes YES on On ON y Y True TRUE",
    "false": "no No NO off Off OFF n N False FALSE",
    "null": "~ Null NULL",
}
_WORDS: Mapping[str, tuple[Any, str | None]] = {
    "true": (True, None),
    "false": (False, None),
    "null": (None, None),
    "": (
        None,
        "the value is missing: write it, or null (does a # begin a comment, is a ':' without a space?)",
    ),
    "=": ("=", 'some YAML readers refuse =: quote it ("=")'),
    "<<": ("<<", "contracts have no merge keys (<<): write the entries out"),
} | {
    word: (word, f'some YAML readers take {word} for {meaning}: quote it ("{word}"), or write {meaning}')
    for meaning, words in _TRUTHS.items()
    for word in words.split()
}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
# an exponent needs its dot and its sign, or YAML 1.1 takes the number for text
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+][0-9]+)?")
_LOOKALIKES = (
    ("a number in base 60", re.compile(r"[-+]?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9_]*)?")),
    (
        "a date",
        re.compile(
            r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
            r"(?:(?:[Tt]| +)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)? *(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?)?)?"
        ),
    ),
    ("a number in base 16", re.compile(r"[-+]?0x[0-9a-fA-F_]+")),
    ("a number in base 2", re.compile(r"[-+]?0b[01_]+")),
    ("a number in base 8", re.compile(r"[-+]?0o?[0-7_]+")),
    ("infinity or no number", re.compile(r"[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)")),
    ("a number", re.compile(r"[-+]?(?=[._]*[0-9])[0-9_]*\.?[0-9_]*(?:[eE][-+]?[0-9]+)?")),
)


def read_plain(text: str) -> tuple[Any, str | None]:
    """What unquoted text means, and what is wrong with leaving it unquoted, if anything is."""
    if text[:1] in _NUMERIC:
        return _number(text)
    return _WORDS.get(text) or (text, None)


_NUMERIC = frozenset("+-.0123456789")


def _number(text: str) -> tuple[Any, str | None]:
    if _INTEGER.fullmatch(text):
        if len(text.lstrip("-")) > LIMITS.digits:
            return text, f"{_shown(text)} has more than {LIMITS.digits} digits: quote it if it is text"
        return int(text), None
    if _FRACTION.fullmatch(text):
        value = float(text)
        return value, None if math.isfinite(value) else f"{_shown(text)} is too large for a number"
    kind = next((kind for kind, pattern in _LOOKALIKES if pattern.fullmatch(text)), None)
    if kind is None:
        return text, None
    shown = _shown(text)
    return text, f'some YAML readers take {shown} for {kind}: quote it ("{shown}"), or write it as JSON does'


def _wrong_key(text: str) -> str | None:
    """What is wrong with an unquoted key; a plain integer is read as text."""
    if _INTEGER.fullmatch(text):
        return None
    if text == "":
        return "the key is missing"
    value, says = read_plain(text)
    if says or isinstance(value, str):
        return says
    return f'a key is text, not {_shown(text)}: quote it ("{_shown(text)}")'


# ----------------------------------------------------------------------------- names and places

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(name: str) -> str | None:
    """What is wrong with the name of a model, provider or file; None: nothing."""
    if _NAME.fullmatch(name):
        return None
    return f"{_shown(name)!r} is no name: 1 to 64 of a-z, 0-9, '.', '_', '-', with a letter or digit first"


def inside(root: Path, name: str) -> Path:
    """The place below `root` that `name` leads to, links followed. Raises UsageError for any other place."""
    base = root.resolve()
    try:
        place = (base / name).resolve()
        # one folder's name holds 255 bytes at most, everywhere we run
        fits = all(len(part.encode()) <= 255 for part in place.parts)
    except (OSError, ValueError, RuntimeError):  # NUL, half a character, a circle of links
        fits = False
    if not fits or not _is_plain(name) or place == base or not place.is_relative_to(base):
        raise UsageError(f"{_shown(name)!r} does not lead to a place below {base}")
    return place


def _is_plain(name: str) -> bool:
    """Whether a name means the same on every system: no twins, no drives, no addresses, no way up."""
    twin = unicodedata.normalize("NFKC", name) != name
    return name.isprintable() and not twin and not set(name) & set("\\:") and ".." not in name.split("/")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be; None: nothing comes near."""
    if len(word) > 100:
        return None
    folded = {each.casefold(): each for each in sorted(known, reverse=True)}
    found = difflib.get_close_matches(word.casefold(), folded, n=1)
    return folded[found[0]] if found else None


# ------------------------------------------------------------------------------------- patterns

_Node = tuple[Any, Any]
_ALL = frozenset(range(129))
"""ASCII, and 128 for every other character."""
_MANY = 32
"""A quantifier whose bounds lie further apart counts as unbounded."""
_BITS = math.log2(LIMITS.ways)
_REFUSED = {
    "GROUPREF": "a back-reference",
    "GROUPREF_EXISTS": "a back-reference",
    "ASSERT": "a look-around",
    "ASSERT_NOT": "a look-around",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive quantifier",
}
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT")
_CATEGORIES = {
    f"CATEGORY_{name}": frozenset(code for code in range(128) if re.match(letter, chr(code))) | beyond
    for name, letter, beyond in (
        ("DIGIT", r"\d", frozenset[int]()),
        ("NOT_DIGIT", r"\D", frozenset({128})),
        ("SPACE", r"\s", frozenset[int]()),
        ("NOT_SPACE", r"\S", frozenset({128})),
        ("WORD", r"\w", frozenset({128})),
        ("NOT_WORD", r"\W", frozenset({128})),
    )
}


def check_pattern(pattern: str) -> str | None:
    """What is wrong with a regular expression; None: it compiles, and no text makes it slow.

    Refused is whatever can take more than about the square of the text's length, and what the engines
    do not share: look-around, back-references, inline flags.
    """
    if len(pattern) > LIMITS.pattern:
        return f"longer than {LIMITS.pattern} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what will mean something else one day is refused today
            re.compile(pattern)
            tree = _parser.parse(pattern)
        return _judged(tree)
    except (re.error, Warning, OverflowError) as error:
        return f"no regular expression: {_shown(str(error))}"
    except RecursionError:
        return "groups are nested too deeply"


def _judged(tree: Any) -> str | None:
    if tree.getwidth()[0] > LIMITS.fits:
        return f"nothing shorter than {LIMITS.fits} characters would match"
    if tree.state.flags & ~re.UNICODE:
        return "inline flags, as in (?i), are not for every engine: write [aA]"
    return next(_slow(tree), None) or _shares(tree)


def _slow(nodes: Iterable[_Node]) -> Iterator[str]:
    """What makes a pattern slow, or at home in one engine only, from the outside in."""
    for op, value in nodes:
        if str(op) in _REFUSED:
            yield f"{_REFUSED[str(op)]} is not for every engine, and may be slow"
        if str(op) == "SUBPATTERN" and value[1]:
            yield "inline flags, as in (?i:…), are not for every engine: write [aA]"
        if str(op) in _REPEATS:
            yield from _repeated(value[1], value[2])
        for body in _bodies((op, value)):
            yield from _slow(body)


def _repeated(most: int, body: Iterable[_Node]) -> Iterator[str]:
    bits = _bits(body)
    if most > 1 and bits and (most > _MANY or most * bits > _BITS):
        if any(_overlaps(each) for each in _within(body)):
            yield "alternatives of a quantified group begin alike, as in (a|aa)+, which can take for ever"
        yield "a quantifier inside a quantified group, as in (a+)+, can take for ever: write it as one"


def _bodies(node: _Node) -> list[Any]:
    """The sequences inside a node."""
    op, value = str(node[0]), node[1]
    if op == "BRANCH":
        return list(value[1])
    if op == "SUBPATTERN":
        return [value[3]]
    return [value[2]] if op in _REPEATS else []


def _within(nodes: Iterable[_Node]) -> Iterator[_Node]:
    """All nodes, however deep."""
    for node in nodes:
        yield node
        for body in _bodies(node):
            yield from _within(body)


def _bits(nodes: Iterable[_Node]) -> float:
    """In how many ways a sequence may take the same text, at most, as a power of two."""
    return sum(_bits_of(node) for node in nodes)


def _bits_of(node: _Node) -> float:
    inner = sum(map(_bits, _bodies(node)))
    if str(node[0]) not in _REPEATS:
        return inner + (math.log2(len(_bodies(node))) if _overlaps(node) else 0)
    least, most, _ = node[1]
    if most - least > _MANY:
        return math.inf
    return math.log2(most - least + 1) + (most * inner if most else 0)


def _overlaps(node: _Node) -> bool:
    """Whether two alternatives of a branch can begin with the same character, or one is empty."""
    seen: frozenset[int] = frozenset()
    for body in _bodies(node) if str(node[0]) == "BRANCH" else ():
        begins, empty = _begins(body)
        if empty or begins & seen:
            return True
        seen |= begins
    return False


def _shares(tree: Iterable[_Node]) -> str | None:
    """Weighs the quantifiers that cannot know where they end; an anchored pattern bears one more."""
    sequences = list(_sequences(tree))
    anchored = bool(sequences[0]) and str(sequences[0][0][1]) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
    doubts = [_doubt(node, nodes[place:]) for nodes in sequences for place, node in enumerate(nodes, 1)]
    bounded = sum(bits for bits in doubts if bits < math.inf)
    if doubts.count(math.inf) <= anchored + 1 and bounded <= _BITS:
        return None
    return "several quantifiers share out the same characters, as in .*a.*b.*c: say what each may not hold"


def _sequences(nodes: Iterable[_Node]) -> Iterator[list[_Node]]:
    """A sequence and those inside it, each with its groups opened."""
    opened = _flat(nodes)
    yield opened
    for node in opened:
        for body in _bodies(node):
            yield from _sequences(body)


def _flat(nodes: Iterable[_Node]) -> list[_Node]:
    """A sequence with its groups opened."""
    opened: list[_Node] = []
    for node in nodes:
        opened += _flat(node[1][3]) if str(node[0]) == "SUBPATTERN" else [node]
    return opened


def _doubt(node: _Node, rest: Iterable[_Node]) -> float:
    """In how many ways a node and the rest may share out the same text, as a power of two."""
    if _overlaps(node):
        return _bits_of(node)
    if str(node[0]) in _REPEATS and _begins(node[1][2])[0] & _begins(rest)[0]:
        return _bits_of(node)
    return 0


def _begins(nodes: Iterable[_Node]) -> tuple[frozenset[int], bool]:
    """The characters that a sequence can begin with, and whether it can be empty."""
    begins: frozenset[int] = frozenset()
    for node in nodes:
        first, empty = _first(node)
        begins |= first
        if not empty:
            return begins, False
    return begins, True


def _first(node: _Node) -> tuple[frozenset[int], bool]:
    op, value = str(node[0]), node[1]
    if op == "AT":
        return frozenset(), True
    if bodies := [_begins(body) for body in _bodies(node)]:
        empty = any(empty for _, empty in bodies) or (op in _REPEATS and value[0] == 0)
        return frozenset().union(*(begins for begins, _ in bodies)), empty
    return _characters(op, value), False


def _characters(op: str, value: Any) -> frozenset[int]:
    """The characters that one place of a pattern allows."""
    match op:
        case "LITERAL":
            return frozenset({min(value, 128)})
        case "NOT_LITERAL":
            return _ALL - ({value} - {128})
        case "RANGE":
            return frozenset(range(min(value[0], 128), min(value[1], 128) + 1))
        case "CATEGORY":
            return _CATEGORIES.get(str(value), _ALL)
        case "IN":
            allowed = frozenset[int]().union(*(_characters(str(each), what) for each, what in value if what))
            return (_ALL - allowed) | {128} if str(value[0][0]) == "NEGATE" else allowed
    return _ALL


# -------------------------------------------------------------------------- numbers in a schema

_COUNT = (0, 1000)
_LENGTH = (0, LIMITS.scalar)
_RANGE = (-(2**63), 2**63)
SIZES: Mapping[str, tuple[int, int]] = {
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "minContains": _COUNT,
    "maxContains": _COUNT,
    "minProperties": _COUNT,
    "maxProperties": _COUNT,
    "minLength": _LENGTH,
    "maxLength": _LENGTH,
    "minimum": _RANGE,
    "maximum": _RANGE,
    "exclusiveMinimum": _RANGE,
    "exclusiveMaximum": _RANGE,
    "multipleOf": _RANGE,
    "seconds": (0, 30 * 24 * 3600),
}
"""The least and the most that a keyword of a schema may say."""
_CHILDREN = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"const", "default", "enum", "example", "examples"})


def check_schema_numbers(schema: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """The numbers in a JSON Schema fragment that are absurd, or contradict one another: the pointer of each, and
    what is wrong with it."""
    match schema:
        case list():
            for place, each in enumerate(schema):
                yield from check_schema_numbers(each, f"{pointer}/{place}")
        case dict():
            for key, value in schema.items():
                yield from _keyword(key, value, f"{pointer}/{_escaped(key)}")
            yield from _at_odds(schema, pointer)


def _at_odds(schema: Mapping[str, Any], pointer: str) -> Iterator[tuple[str, str]]:
    """Bounds that leave no value between them."""
    pairs = [("minLength", "maxLength"), ("minItems", "maxItems")]
    found = [pair for pair in pairs if all(_is_number(schema.get(key)) for key in pair)]
    empty: list[tuple[str, ...]] = [pair for pair in found if schema[pair[0]] > schema[pair[1]]]
    if numbers(schema).is_empty:
        empty.append(tuple(key for key in _BOUNDS if _is_number(schema.get(key))))
    for keys in empty:
        said = [f"{key} is {schema[key]}" for key in keys]
        which = "both" if len(said) == 2 else "all of them"
        yield f"{pointer}/{keys[1]}", f"{', '.join(said[:-1])} and {said[-1]}: no value can satisfy {which}"


_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _keyword(key: str, value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if key in _CHILDREN and isinstance(value, dict):
        for name, child in value.items():
            yield from check_schema_numbers(child, f"{pointer}/{_escaped(name)}")
    elif key in SIZES and _is_number(value):
        if says := _absurd(key, value):
            yield pointer, says
    elif key not in _DATA:
        yield from check_schema_numbers(value, pointer)


def _absurd(key: str, value: float) -> str | None:
    least, most = SIZES[key]
    if not least <= value <= most:
        return f"{key} is {value}: it may lie between {least} and {most}"
    if key == "multipleOf" and value <= 0:
        return f"multipleOf is {value}: it must be more than 0"
    return None
