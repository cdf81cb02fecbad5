"""YAML 1.2 text as parser events, quickly; whatever is no YAML is told in plain words.

The grammar is that of ruamel.yaml's pure parser. Only what it does most (moving on, plain and quoted
text on one line, the space between tokens) takes one regular expression here instead of one step per
character: half the time. Anything unusual is left to ruamel.yaml, and a test holds both to the same
events. No tag is ever resolved and nothing is constructed at this level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml.error import FileMark, MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import Event
from ruamel.yaml.parser import Parser
from ruamel.yaml.reader import Reader
from ruamel.yaml.scanner import Scanner, ScannerError
from ruamel.yaml.tokens import ScalarToken

NO_TAGS = "contracts have none: remove it, and quote the value if it is text"
HINTS = (
    ("found a directive", "lines that begin with % (%YAML, %TAG) have no place in a contract: remove them"),
    ("nested too deeply", "brackets are nested too deeply"),
    (
        "mapping values are not allowed",
        "a second ': ' where none can stand: quote the text if it holds ': ', or correct the indentation",
    ),
    (
        "could not find expected ':'",
        "a key needs ': ' after it; is it missing, or should this be quoted text?",
    ),
    (
        "expected <block end>",
        "this does not line up with the lines above: correct the indentation or the '-'",
    ),
    ("expected ',' or", "a ',' or the closing bracket is missing"),
    ("end of stream", "a quoted text is never closed"),
    ("document separator", "a quoted text is never closed before the line of --- or ..."),
    ("escape", "a backslash in double quotes begins an escape: double it, or use single quotes"),
    ("cannot start any token", "text cannot begin with this character: quote it"),
    ("sequence entries are not allowed", "a list entry cannot begin here: put '- ' on a line of its own"),
    ("undefined tag handle", f"!… is a tag; {NO_TAGS}"),
    ("while scanning a tag", f"!… is a tag; {NO_TAGS}"),
    ("'<document start>'", "the document ends before this line: is the indentation right?"),
)
"""Part of what ruamel.yaml says, and what it means to the author. The first that fits is told."""


class NotYaml(Exception):
    """The text is no YAML from here on. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, says: str) -> None:
        self.line = line
        self.column = column
        self.says = says
        super().__init__(f"{line}:{column}: {says}")


def events(text: str, depth: int) -> Iterator[Event]:
    """The parser events of `text`, in order; brackets may be nested `depth` deep. Raises NotYaml.

    `text` must hold no tab, no NUL and no line break other than LF and CRLF.
    """
    source = Source(text, depth)
    try:
        while (event := source.get_event()) is not None:
            yield event
    except MarkedYAMLError as error:
        raise _explained(error, source.get_mark()) from None
    # ruamel.yaml lets these slip on malformed escapes and tags: \UFFFFFFFF, !%25zz
    except (YAMLError, ValueError, OverflowError, AssertionError, LookupError, AttributeError) as error:
        raise NotYaml(source.line + 1, source.column + 1, f"this cannot be read as YAML: {error}") from None


def _explained(error: MarkedYAMLError, here: StreamMark) -> NotYaml:
    mark = error.problem_mark or error.context_mark or here
    heard = f"{error.context or ''} {error.problem or ''}".strip()
    says = next((hint for part, hint in HINTS if part in heard), heard)
    began = error.context_mark.line + 1 if error.context_mark else mark.line + 1
    since = f" (it begins at line {began})" if began != mark.line + 1 else ""
    return NotYaml(mark.line + 1, mark.column + 1, says + since)


def _plain(stops: str) -> re.Pattern[str]:
    """Plain text on one line: what it says, and the line breaks and indentation after it."""
    run = rf"(?:[^ \0\r\n:{stops}]|:(?=[^ \0\r\n]))+"
    return re.compile(rf"({run}(?: +(?!#){run})*) *((?:\r?\n *)*)")


_BLOCK = _plain("")
_FLOW = _plain(r",\[\]{}")
_QUOTED = {
    '"': re.compile(r'"([^"\\\0\r\n]*)"'),
    "'": re.compile(r"'([^'\0\r\n]*)'(?!')"),
}
_GAP = re.compile(r"(?: *(?:#[^\0\r\n]*)?\r?\n)* *(?:#[^\0\r\n]*)?")


class Source(Reader, Scanner, Parser):
    """ruamel.yaml's reader, scanner and parser in one object, with the fast lanes."""

    comment_handling = None
    processing_version = scanner_processing_version = (1, 2)
    reader: Any = None
    scanner: Any = None
    resolver: Any = None

    def __init__(self, text: str, depth: int) -> None:
        self.depth = depth
        # ruamel.yaml looks these up by way of its loader, anew for every character
        self.reader = self.scanner = self.resolver = self
        Reader.__init__(self, text, loader=self)
        Scanner.__init__(self, loader=self)
        Parser.__init__(self, loader=self)

    def peek(self, index: int = 0) -> str:
        return str(self.buffer[self.pointer + index])

    def prefix(self, length: int = 1) -> str:
        return str(self.buffer[self.pointer : self.pointer + length])

    def get_mark(self) -> FileMark:
        return FileMark(self.name, self.pointer, self.line, self.column)

    def forward(self, length: int = 1) -> None:
        self._go(self.pointer + length)

    def _go(self, to: int) -> int:
        """Moves to that place of the buffer; how many line breaks were passed."""
        breaks = self.buffer.count("\n", self.pointer, to)
        if breaks:
            self.line += breaks
            self.column = to - self.buffer.rfind("\n", self.pointer, to) - 1
        else:
            self.column += to - self.pointer
        self.index = self.pointer = to
        return breaks

    def need_more_tokens(self) -> bool:
        if self.done or not self.tokens:
            return not self.done
        return bool(self.possible_simple_keys) and bool(super().need_more_tokens())

    def check_token(self, *choices: type) -> bool:
        while self.need_more_tokens():
            self.fetch_more_tokens()
        return bool(self.tokens) and (not choices or isinstance(self.tokens[0], choices))

    def scan_to_next_token(self) -> None:
        gap = _GAP.match(self.buffer, self.pointer)
        if gap and self._go(gap.end()) and not self.flow_context:
            self.allow_simple_key = True

    def scan_plain(self) -> Any:
        text = (_FLOW if self.flow_context else _BLOCK).match(self.buffer, self.pointer)
        if text is None or (text[2] and self._may_go_on(text.end())):
            return super().scan_plain()
        start = self.get_mark()
        self._go(text.end(1))
        end = self.get_mark()
        self.allow_simple_key = bool(self._go(text.end()))
        return ScalarToken(text[1], True, start, end)

    def _may_go_on(self, place: int) -> bool:
        """Whether plain text may continue at that place, on a later line than it began."""
        column = place - self.buffer.rfind("\n", 0, place) - 1
        return bool(self.flow_context) or (column > self.indent and self.buffer[place] != "#")

    def scan_flow_scalar(self, style: str) -> Any:
        text = _QUOTED[style].match(self.buffer, self.pointer)
        if text is None:
            return super().scan_flow_scalar(style)
        start = self.get_mark()
        self._go(text.end())
        return ScalarToken(text[1], False, start, self.get_mark(), style)

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803  (its name there)
        # the scanner looks far ahead for a ':' and would take its time over a thousand brackets
        if len(self.flow_context) >= self.depth:
            raise ScannerError(None, None, "nested too deeply", self.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)

    def fetch_directive(self) -> None:
        raise ScannerError(None, None, "found a directive", self.get_mark())
