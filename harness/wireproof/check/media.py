"""What is learnt of a delivered picture, safely: the host may be the attacker.

`header` reads size, format and ending from the bytes with a parser of our own, in this process. `Decoder`
hands what looks like a decent picture to a bounded child process and learns whether it decodes, whether it
is blank, and what it looks like. Names, content types and other words of the host play no part in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import signal
import struct
import subprocess
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from wireproof.check._decoder import ANSWER, ASK, LENGTH, MOST_TROUBLE, Seen, unpack

MOST_BYTES = 64 << 20
"""Bytes of the largest file that is decoded: no more is fetched either."""
MOST_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One delivered file, and what is known of it. None: nobody looked, or it cannot be known."""

    size: int
    """Bytes."""
    sha256: str
    magic: str
    """By the bytes alone: `png`, `jpeg`, `webp`, `gif`, `json`, `html`, `svg`, `unknown` or `empty`."""
    width: int | None = None
    """Pixels as stored: a rotation asked for in EXIF is not applied."""
    height: int | None = None
    whole: bool | None = None
    """Whether it decodes to its end. False without decoding where the end is plainly missing."""
    blank: bool | None = None
    """Whether it is one flat colour, or transparent all over."""
    pixels: str | None = None
    """Digest of the pixels: equal for one picture in two lossless files, however they were encoded."""
    thumb: tuple[int, ...] | None = None
    """16 x 16 grey values from 0 to 255, row by row, over white; see `distance`."""
    quality: int | None = None
    """JPEG quality from 1 to 100 on libjpeg's scale, estimated from the first quantisation table."""
    trouble: str = ""
    """What is wrong, in one printable sentence; empty when nothing is."""
    odd: str = ""
    """What there is besides one whole picture: several frames, or bytes behind its end; empty: nothing is."""


def header(data: bytes) -> Picture:
    """What the bytes tell without decoding. Never raises, starts nothing."""
    return _read(data)[0]


def distance(a: Sequence[int], b: Sequence[int]) -> float:
    """How far two thumbnails are apart: 0 the same, 1 black against white."""
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / (255 * len(a))


def extension(picture: Picture) -> str:
    """The extension to store it under, without a dot; `bin` for what a program might run or render."""
    return {"png": "png", "jpeg": "jpg", "webp": "webp", "gif": "gif", "json": "json"}.get(picture.magic, "bin")


# ----------------------------------------------------------------------------------- the header

_MOST_PARTS = 20_000
"""Chunks or segments followed in one file; a 64 MiB PNG in the usual pieces of 8 KiB has 8,192."""

_TAGS = rb"(?:html|head|title|meta|link|style|script|body|div|p|a|h1|center|table|pre|iframe|img)"
_MAGIC: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("gif", re.compile(rb"GIF8[79]a")),
    ("json", re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*["{\[\]0-9tfn-])')),
    (
        "svg",
        re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?!!doctype html|html)(?:.*<)?svg[\s>]", re.DOTALL | re.IGNORECASE),
    ),
    ("html", re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|!--|" + _TAGS + rb"[\s/>])", re.IGNORECASE)),
)
_SNIFFED = 1024
"""Bytes that decide what a file is."""

_NO_PICTURE: Mapping[str, str] = {
    "empty": "there is nothing where a picture was expected",
    "json": "JSON where a picture was expected",
    "html": "HTML where a picture was expected",
    "svg": "SVG (markup, not pixels) where a picture was expected",
    "unknown": "neither PNG, JPEG, WEBP nor GIF by its first bytes",
}


@dataclass(frozen=True, slots=True)
class _Head:
    """What the structure of a file says."""

    width: int | None = None
    height: int | None = None
    end: int | None = None
    """Offset behind the picture's last byte; more than there are when it is cut; None: too many parts."""
    moves: bool = False
    """Whether it is an animation of several frames."""
    quality: int | None = None


def _png(data: bytes) -> _Head:
    head, at = _Head(), 8
    for _ in range(_MOST_PARTS):
        if at + 12 > len(data):
            return replace(head, end=at + 12)
        size, name = struct.unpack_from(">I4s", data, at)
        if name == b"IHDR" and at == 8 and len(data) >= 24:
            width, height = struct.unpack_from(">II", data, 16)
            head = replace(head, width=width, height=height)
        elif name == b"acTL":
            head = replace(head, moves=int.from_bytes(data[at + 8 : at + 12], "big") > 1)
        at += 12 + size
        if name == b"IEND":
            return replace(head, end=at)
    return head


_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segments that hold width and height: baseline, progressive, lossless …"""
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd8])")
"""A marker that begins a segment or ends the file; inside compressed data only 00 and D0 to D7 follow FF."""


def _jpeg(data: bytes) -> _Head:
    head, at = _Head(), 2
    for _ in range(_MOST_PARTS):
        found = _MARKER.search(data, at)
        if found and found[1] == b"\xd9":
            return replace(head, end=found.end())
        if not found:
            return replace(head, end=len(data) + 1)
        marker, at = found[1][0], found.end()
        size = int.from_bytes(data[at : at + 2], "big")
        if marker in _SIZES and head.width is None and at + 7 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 3)
            head = replace(head, width=width, height=height)
        elif marker == 0xDB and head.quality is None:
            head = replace(head, quality=_quality(data[at + 2 : at + size]))
        at += size
    return head


def _webp(data: bytes) -> _Head:
    end = 8 + int.from_bytes(data[4:8], "little")
    kind, body = data[12:16], data[20:30]
    width, height = None, None
    if kind == b"VP8X" and len(body) == 10:
        width, height = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    elif kind == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) == 10:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
    moves = kind == b"VP8X" and bool(body[:1]) and bool(body[0] & 2) and data.count(b"ANMF") > 1
    return _Head(width, height, end, moves)


def _gif(data: bytes) -> _Head:
    width, height = (int.from_bytes(data[at : at + 2], "little") or None for at in (6, 8))
    return _Head(width, height, max(len(data), 13))


_READERS: Mapping[str, Callable[[bytes], _Head]] = {"png": _png, "jpeg": _jpeg, "webp": _webp, "gif": _gif}

_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
"""Table K.1 of the JPEG standard, which libjpeg scales by the quality."""


@cache
def _sums() -> tuple[int, ...]:
    """The sum of libjpeg's luminance table at quality 100, 99 … 1: rising."""
    scales = (200 - 2 * q if q >= 50 else 5000 // q for q in range(100, 0, -1))
    return tuple(sum(min(max((v * scale + 50) // 100, 1), 255) for v in _LUMINANCE) for scale in scales)


def _quality(table: bytes) -> int | None:
    """The quality whose table weighs nearest to this one; the order of its values plays no part."""
    form = ">64H" if table[:1] > b"\x0f" else ">64B"
    if len(table) < 1 + struct.calcsize(form):
        return None
    weight, sums = sum(struct.unpack_from(form, table, 1)), _sums()
    after = min(bisect_left(sums, weight), 99)
    return 100 - min(range(max(after - 1, 0), after + 1), key=lambda i: abs(sums[i] - weight))


def _kind(data: bytes) -> str:
    start = data[:_SNIFFED]
    return next((name for name, looks in _MAGIC if looks.match(start)), "unknown" if data else "empty")


def _read(data: bytes) -> tuple[Picture, bool]:
    """What the bytes tell, and whether they are fit to be decoded."""
    kind = _kind(data)
    head = _READERS[kind](data) if kind in _READERS else None
    trouble, fit = _judge(data, kind, head) if head else (_NO_PICTURE[kind], False)
    head = head or _Head()
    picture = Picture(
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        magic=kind,
        width=head.width,
        height=head.height,
        whole=False if head.end is not None and head.end > len(data) else None,
        quality=head.quality,
        trouble=trouble,
        odd=trouble if head.moves or head.end is not None and head.end < len(data) else "",
    )
    return picture, fit


def _judge(data: bytes, kind: str, head: _Head) -> tuple[str, bool]:
    """What is wrong with the structure, and whether decoding is worth it all the same."""
    name = kind.upper()
    if head.end is None:
        return f"a {name} of more than {_MOST_PARTS} parts", False
    if head.end > len(data):
        return f"a {name} that is cut short: it ends after {len(data)} bytes, before its own end", False
    if not head.width or not head.height:
        return f"a {name} that states no width and height", False
    if head.moves:
        return f"an animated {name} where one picture was expected", False
    extra = len(data) - head.end
    return f"{extra} bytes follow the end of the {name}" if extra else "", True


# ---------------------------------------------------------------------------------- the decoder

_COMMAND = (sys.executable, "-P", "-m", "wireproof.check._decoder")
"""`-P`: whatever lies in the current directory is not imported."""


class Decoder:
    """Decodes pictures in one child process that it starts at the first one, bounds, and replaces when it fails.

    Use it as a context manager; threads may share it, one picture is decoded at a time. `deadline`: seconds
    for one picture, the start of the child included. `command`: what to run instead of our own child.
    """

    def __init__(self, command: Sequence[str] = _COMMAND, *, deadline: float = 10.0) -> None:
        self._command = command
        self._deadline = deadline
        self._child: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._turn:
            self._stop()

    def prepare(self) -> None:
        """Start the child before there is a picture. What goes wrong is told with the first one."""
        with self._turn, suppress(OSError):
            self._running()

    def look(self, data: bytes, *, most_pixels: int = MOST_PIXELS) -> Picture:
        """All that can be learnt of it. Never raises over a picture: what goes wrong is its `trouble`."""
        picture, fit = _read(data)
        refusal = _refusal(picture, most_pixels)
        if not fit or refusal:
            return replace(picture, trouble=picture.trouble or refusal)
        with self._turn:
            return _with(picture, self._ask(data, most_pixels))

    def _ask(self, data: bytes, most_pixels: int) -> Seen:
        try:
            child = self._running()
        except OSError as why:
            return Seen(trouble=f"not decoded: the decoder does not start ({why.strerror})")
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        watch = threading.Timer(self._deadline, end)
        watch.daemon = True
        watch.start()
        try:
            return _converse(child, data, most_pixels)
        except (OSError, EOFError, ValueError) as why:
            return Seen(trouble=self._obituary(child, why, late=late))
        except BaseException:
            self._stop()  # interrupted half-way, the next answer would belong to this picture
            raise
        finally:
            watch.cancel()
            watch.join()

    def _obituary(self, child: subprocess.Popen[bytes], why: Exception, *, late: threading.Event) -> str:
        """End the child that failed, and say how it did."""
        if isinstance(why, ValueError):
            self._stop()
            return "not decoded: the decoder gave an answer that makes no sense"
        with suppress(subprocess.TimeoutExpired):
            child.wait(1.0)  # its pipe is closed already: let it tell how it ended
        self._stop()
        if late.is_set():
            return f"not decoded: it took longer than {self._deadline:g} s"
        return f"not decoded: the decoder died of it ({_end(child.returncode)})"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._stop()
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
        return self._child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with suppress(OSError):  # what was not written yet cannot be, and need not
                if pipe:
                    pipe.close()


class Eyes:
    """A decoder that looks at pictures while a run goes on, each picture once however often it comes.

    `glance` hands a picture in and waits for nothing; `look` waits for what was learnt of it.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="eyes")
        self._known: dict[bytes, Future[Picture]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    @classmethod
    @contextmanager
    def lent(cls, eyes: Self | None) -> Iterator[Self]:
        """Those that are given, which stay open; or some of one's own, which do not."""
        if eyes is not None:
            yield eyes
        else:
            with Decoder() as decoder, cls(decoder) as own:
                yield own

    def prepare(self) -> None:
        """Be ready for the first picture; waits for nothing."""
        self._pool.submit(self._decoder.prepare)

    def glance(self, data: bytes) -> Future[Picture]:
        """Have a picture looked at as soon as those before it are done."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._known:
            self._known[digest] = self._pool.submit(self._decoder.look, data)
        return self._known[digest]

    def look(self, data: bytes) -> Picture:
        """All that can be learnt of a picture. Never raises over one."""
        return self.glance(data).result()


def _refusal(picture: Picture, most_pixels: int) -> str:
    """Why a picture of sound structure is not decoded; empty when it may be."""
    pixels = (picture.width or 0) * (picture.height or 0)
    if picture.magic == "gif":
        return "a GIF, which is not decoded here"
    if pixels > most_pixels:
        return f"not decoded: {picture.width} x {picture.height} is more than {most_pixels} pixels"
    if picture.size > MOST_BYTES:
        return f"not decoded: more than {MOST_BYTES >> 20} MiB"
    return ""


def _environment() -> dict[str, str]:
    """What the child needs to find the same packages, and nothing else: keys stay here."""
    ours = str(Path(__file__).resolve().parents[2])
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))}


def _converse(child: subprocess.Popen[bytes], data: bytes, most_pixels: int) -> Seen:
    """One ask and its answer. OSError when the child is gone, ValueError when it talks nonsense."""
    if child.stdin is None or child.stdout is None:
        raise OSError("a child without pipes")
    child.stdin.write(ASK.pack(len(data), most_pixels))
    child.stdin.write(data)
    child.stdin.flush()
    (length,) = LENGTH.unpack(_exactly(child, LENGTH.size))
    if length > ANSWER.size + MOST_TROUBLE:
        raise ValueError("an answer too long")
    return unpack(_exactly(child, length))


def _exactly(child: subprocess.Popen[bytes], size: int) -> bytes:
    data = child.stdout.read(size) if child.stdout else b""
    if len(data) < size:
        raise EOFError
    return data


def _end(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _with(picture: Picture, seen: Seen) -> Picture:
    """The picture, and what decoding added."""
    size, decoded = (picture.width, picture.height), (seen.width, seen.height)
    differs = f"the header says {size[0]} x {size[1]}, the decoder found {decoded[0]} x {decoded[1]}"
    trouble = seen.trouble or (differs if seen.pixels and size != decoded else "")
    return replace(
        picture,
        whole=seen.whole,
        blank=seen.blank,
        pixels=seen.pixels.hex() or None,
        thumb=tuple(seen.thumb) or None,
        trouble="; ".join(filter(None, (picture.trouble, trouble))),
    )


# ------------------------------------------------------------------------------- inline pictures

_FOREIGN = re.compile(r"[^A-Za-z0-9+/=]")
_DATA_URI = re.compile(r"data:([a-z]+/[a-z0-9.+-]+)(?:;[a-z0-9-]+=[a-z0-9._+-]*)*;base64,", re.IGNORECASE)
_LONGEST_START = 200
"""Characters of a data URI before its data."""


def from_base64(text: str, most: int) -> bytes:
    """The bytes that base64 text stands for, at most that many; ValueError in words for any other text.

    Only the standard alphabet, no line breaks, padded to the full; the length is judged before anything else.
    """
    return _decoded(text, 0, most)


def from_data_uri(text: str, most: int) -> tuple[str, bytes]:
    """The media type a data URI states, in lower case, and its bytes; ValueError in words as in `from_base64`."""
    start = _DATA_URI.match(text[:_LONGEST_START])
    if start is None:
        raise ValueError("not a data URI of the form data:TYPE;base64,DATA")
    return start[1].lower(), _decoded(text, start.end(), most)


def _decoded(text: str, start: int, most: int) -> bytes:
    length = len(text) - start
    padding = text.count("=", max(start, len(text) - 2))
    if length // 4 * 3 - padding > most:
        raise ValueError(f"base64 of {length} characters stands for more than {most} bytes")
    if foreign := _FOREIGN.search(text, start):
        at = foreign.start() - start
        raise ValueError(f"character {at} of the base64 is U+{ord(foreign[0]):04X}, which is not of its alphabet")
    if length % 4:
        raise ValueError(f"base64 of {length} characters is not padded to a multiple of 4")
    try:
        return base64.b64decode(text[start:], validate=True)
    except binascii.Error as why:
        raise ValueError(f"base64 with misplaced padding: {why}") from None
