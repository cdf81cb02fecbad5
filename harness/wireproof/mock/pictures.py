"""Pictures for a mock to deliver: real, decodable, labelled, and the same for the same arguments.

They are drawn as palette indices, which makes them cheap to draw and to compress; a caller who asks
for JPEG or WebP gets the same picture encoded that way. Pillow is loaded with the first picture.
"""

from __future__ import annotations

import functools
import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import ImageFont

_TYPES: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
LARGEST: Final = 16_383
"""Pixels that a side may have: more than that WebP cannot say."""
SHELF: Final = 64 << 20
"""Bytes of finished pictures that are kept."""

_RAMP: Final = 120
"""Steps of a gradient; there are two, the ground and the shapes."""
_INK, _PAPER = 255, 254
_CELL: Final = (6, 11)
"""Width and height of a letter of the built-in font, which looks the same everywhere."""
_LINE: Final = 13

_Key = tuple[int, int, str, int | None, tuple[str, ...], int]


def content_type(format: str) -> str:
    """The media type of a picture format (`png`, `jpeg`, `webp`)."""
    return _TYPES[format]


def picture(
    *, width: int, height: int, format: str, quality: int | None = None, lines: Sequence[str], seed: int
) -> bytes:
    """An encoded picture of exactly that size, with `lines` written on it.

    `format` is `png`, `jpeg` or `webp`; `quality` (1 to 100) is of no effect on a PNG. Equal arguments
    give equal bytes; another seed or other lines give visibly another picture. Raises ValueError for a
    side below 1 or above `LARGEST`, KeyError for another format.
    """
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise ValueError(f"a picture has 1 to {LARGEST} pixels a side, not {width}x{height}")
    content_type(format)
    key = (width, height, format, quality, tuple(lines), seed)
    return _shelf.get(key) or _shelf.put(key, _encode(_draw(width, height, tuple(lines), seed), format, quality))


class _Shelf:
    """The pictures last asked for, up to a number of bytes. Threads may share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._pictures: OrderedDict[_Key, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key) -> bytes | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def put(self, key: _Key, data: bytes) -> bytes:
        with self._lock:
            self._held += len(data) - len(self._pictures.pop(key, b""))
            self._pictures[key] = data
            while self._held > self._most:
                self._held -= len(self._pictures.popitem(last=False)[1])
        return data


_shelf = _Shelf(SHELF)


def _encode(image: Image, format: str, quality: int | None) -> bytes:
    out = io.BytesIO()
    match format:
        case "png":
            image.save(out, "PNG", compress_level=1)
        case "jpeg":
            image.convert("RGB").save(out, "JPEG", quality=85 if quality is None else max(1, quality))
        case _:
            image.convert("RGB").save(out, "WEBP", quality=80 if quality is None else quality, method=0)
    return out.getvalue()


def _draw(width: int, height: int, lines: tuple[str, ...], seed: int) -> Image:
    dice = hashlib.sha512(repr((seed, lines)).encode()).digest()
    image = _ground(width, height, across=bool(dice[0] % 2))
    _discs(image, dice[1:])
    _label(image, lines)
    image.putpalette(_palette(dice[48:]))
    return image


_STEPS: Final = [step * (_RAMP - 1) // 255 for step in range(256)]
"""Grey values as steps of the ground's gradient."""
_TURNED: Final = [2 * _RAMP - 1 - step if step < 2 * _RAMP else step for step in range(256)]
"""The ground's steps as those of the shapes, against its run, and back."""


def _ground(width: int, height: int, *, across: bool) -> Image:
    """A gradient from the ground's first step to its last, downwards or across: one line of it, repeated."""
    from PIL import Image

    side = width if across else height
    line = Image.linear_gradient("L").resize((1, side), Image.Resampling.BILINEAR, box=(0, 0, 1, 256)).point(_STEPS)
    if across:
        line = line.transpose(Image.Transpose.ROTATE_90)
    return line.resize((width, height), Image.Resampling.NEAREST)


def _discs(image: Image, dice: bytes) -> None:
    """Draw the shapes: discs, each of which turns over what lies under it."""
    from PIL import Image, ImageDraw

    width, height = image.size
    for at in range(0, 15, 3):
        x, y = dice[at] * width // 255, dice[at + 1] * height // 255
        radius = (40 + dice[at + 2] // 2) * max(width, height) // 512
        # Only what the disc covers is turned over: most of a large picture is left alone.
        left, top = max(0, x - radius), max(0, y - radius)
        under = image.crop((left, top, min(width, x + radius + 1), min(height, y + radius + 1)))
        disc = Image.new("1", under.size)
        x, y = x - left, y - top
        ImageDraw.Draw(disc).ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
        image.paste(under.point(_TURNED), (left, top), disc)


def _palette(dice: bytes) -> bytes:
    """Two gradients in hues of chance, then what the label is written with."""
    hue = dice[0] / 255
    ground = _gradient((hue, 0.75, 0.45), (hue + 0.08 + dice[1] / 1500, 0.55, 0.95))
    apart = 0.3 + dice[2] / 640
    shapes = _gradient((hue + apart, 0.7, 0.55), (hue + apart + 0.1, 0.45, 1.0))
    unused = bytes(3 * (_PAPER - 2 * _RAMP))
    return ground + shapes + unused + bytes((18, 18, 24, 250, 250, 245))


def _gradient(first: tuple[float, float, float], last: tuple[float, float, float]) -> bytes:
    """The colours from one hue, saturation and value to another, as red, green and blue."""
    from PIL import Image

    (h, s, v), (dh, ds, dv) = first, (b - a for a, b in zip(first, last, strict=True))
    shares = [step / (_RAMP - 1) for step in range(_RAMP)]
    colours = [(int((h + dh * x) % 1 * 256), int((s + ds * x) * 255), int((v + dv * x) * 255)) for x in shares]
    return Image.frombytes("HSV", (_RAMP, 1), bytes(chain.from_iterable(colours))).convert("RGB").tobytes()


@functools.cache
def _font() -> ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default_imagefont()


def _label(image: Image, lines: tuple[str, ...]) -> None:
    """Write the lines onto a dark band at the foot, as large as they fit into its half."""
    from PIL import Image, ImageDraw

    width, height = image.size
    longest = max(map(len, lines), default=0)
    scale = max(1, min(width // (_CELL[0] * longest + 2 * _CELL[0]) if longest else 0, height // 160 or 1))
    shown = lines[: (height // scale // 2 - _CELL[0]) // _LINE]
    if not shown:
        return
    small = Image.new("L", (-(-width // scale), _LINE * len(shown) + _CELL[0]), _PAPER)
    pen, font = ImageDraw.Draw(small), _font()
    for row, line in enumerate(shown):
        written = "".join(c if c.isprintable() else "?" for c in line).encode("latin-1", "replace")
        pen.text((_CELL[0], _CELL[0] // 2 + row * _LINE), written.decode("latin-1"), fill=_INK, font=font)
    band = small.resize((small.width * scale, small.height * scale), Image.Resampling.NEAREST)
    image.paste(band, (0, height - band.height))
