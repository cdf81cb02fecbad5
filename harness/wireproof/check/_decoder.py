"""The child that decodes pictures: `python -m wireproof.check._decoder`, spoken to over its pipes.

A picture comes from a host, and the host may be the attacker, so its pixels are made in a process that
may be lost: little memory, little time, no key in its environment, no file it may write. `media.Decoder` owns
it. An ask is `ASK` and the bytes; an answer is its length, `ANSWER` and the trouble in ASCII. Answers have
a fixed form so that a child that was taken over has nothing to say that the parent would have to parse.
"""

from __future__ import annotations

import hashlib
import math
import os
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from PIL.Image import Image

ASK = struct.Struct("!QQ")
"""Bytes that follow, and the most pixels that may be decoded."""
ANSWER = struct.Struct("!bb?II32s256s")
"""whole, blank, whether there are pixels, width, height, digest, thumbnail."""
LENGTH = struct.Struct("!I")
MOST_TROUBLE = 300
"""Longest trouble, in characters."""

MEMORY = 1 << 30
"""Bytes of address space."""
CPU = 10
"""Seconds of CPU time for one picture."""

SIDE = 16
"""Width and height of the thumbnail."""
FLAT = 2.0
"""A channel whose standard deviation (of 255) stays below this is flat: invisible, and more than JPEG adds."""

_FORMATS = ("PNG", "JPEG", "WEBP")
_SAYS = {True: 1, False: 0, None: -1}
_MEANS = {said: meant for meant, said in _SAYS.items()}
_TOO_MUCH_TEXT = ("MAX_TEXT_CHUNK", "MAX_TEXT_MEMORY")
"""What Pillow names when text chunks unpack to too much; it has no class of its own for that."""
_MOST_WEBP = 32_000_000
"""Pixels. Beyond some 40 million (measured) libwebp's copies do not fit into `MEMORY`, and it may then say that the
picture is broken, which would be a false verdict."""
_STRIP = 4_000_000
"""Pixels hashed at a time: a second copy of all of a large picture would not fit beside the first."""


class Seen(NamedTuple):
    """What decoding taught. `whole` is None when the picture was refused and not tried to its end."""

    whole: bool | None = None
    blank: bool | None = None
    width: int = 0
    height: int = 0
    pixels: bytes = b""
    thumb: bytes = b""
    trouble: str = ""


def pack(seen: Seen) -> bytes:
    """An answer as it goes over the pipe."""
    trouble = ascii(seen.trouble)[1:-1][:MOST_TROUBLE].encode()
    fixed = ANSWER.pack(_SAYS[seen.whole], _SAYS[seen.blank], bool(seen.pixels), *seen[2:6])
    return LENGTH.pack(len(fixed) + len(trouble)) + fixed + trouble


def unpack(answer: bytes) -> Seen:
    """`pack` undone, its length taken off; ValueError when it makes no sense."""
    if not ANSWER.size <= len(answer) <= ANSWER.size + MOST_TROUBLE:
        raise ValueError("an answer of the wrong length")
    whole, blank, decoded, width, height, pixels, thumb = ANSWER.unpack_from(answer)
    trouble = answer[ANSWER.size :].decode("ascii")
    if {whole, blank} - _MEANS.keys() or not trouble.isprintable():
        raise ValueError("an answer in unknown words")
    seen = Seen(_MEANS[whole], _MEANS[blank], width, height, trouble=trouble)
    return seen._replace(pixels=pixels, thumb=thumb) if decoded else seen


# ------------------------------------------------------------------------------------- pictures


def look(data: bytes, most_pixels: int) -> Seen:
    """Decode one picture and tell of it. Never raises: what goes wrong is told as trouble."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        return Seen(trouble="Pillow is not installed, so no picture was decoded")
    Image.MAX_IMAGE_PIXELS = most_pixels
    try:
        return _look(data)
    except MemoryError:
        return Seen(trouble=f"decoding takes more than {MEMORY >> 20} MiB of memory")
    except (Warning, Image.DecompressionBombError) as why:
        return Seen(trouble=f"not decoded: {why}")
    except UnidentifiedImageError:  # whose own words hold an address in memory
        return Seen(whole=False, trouble="does not decode: it is none of " + ", ".join(_FORMATS))
    except Exception as why:  # noqa: BLE001 -- a decoder fed by an attacker may raise anything at all
        if isinstance(why, ValueError) and any(words in str(why) for words in _TOO_MUCH_TEXT):
            return Seen(trouble=f"not decoded: {why}")
        return Seen(whole=False, trouble=f"does not decode: {str(why) or type(why).__name__}")


def _look(data: bytes) -> Seen:
    # Named one by one: asked for a format that is not loaded yet, Pillow imports all that it has.
    from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

    with Image.open(BytesIO(data), formats=_FORMATS) as first:
        if first.format == "WEBP" and first.width * first.height > _MOST_WEBP:
            raise MemoryError
        first.verify()  # check sums of PNG, which decoding passes over
    with Image.open(BytesIO(data), formats=_FORMATS) as picture:
        picture.load()
        plain = _plain(picture)
    small = plain.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=1.0)
    return Seen(
        whole=True,
        blank=_flat(small) and _flat(plain),  # the thumbnail alone would take a fine pattern for flat
        width=plain.width,
        height=plain.height,
        pixels=_digest(plain),
        thumb=_grey(small),
    )


def _plain(picture: Image) -> Image:
    """The picture as RGB, or as premultiplied RGBa where something shows through it."""
    if picture.mode.startswith("I"):  # 16 bits a pixel: converting alone would clip them to 255
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    return clear.convert("RGB" if clear.getchannel("A").getextrema() == (255, 255) else "RGBa")


def _flat(picture: Image) -> bool:
    from PIL import ImageStat

    return max(ImageStat.Stat(picture).stddev) < FLAT


def _digest(picture: Image) -> bytes:
    digest = hashlib.sha256(f"{picture.mode} {picture.width}x{picture.height}".encode())
    rows = max(1, _STRIP // picture.width)
    for top in range(0, picture.height, rows):
        bottom = min(top + rows, picture.height)
        strip = picture if rows >= picture.height else picture.crop((0, top, picture.width, bottom))
        digest.update(strip.tobytes())
    return digest.digest()


def _grey(small: Image) -> bytes:
    from PIL import Image

    if small.mode == "RGBa":
        white = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(white, small.convert("RGBA"))
    return small.convert("L").tobytes()


# ---------------------------------------------------------------------------------------- child


def serve(source: BinaryIO, sink: BinaryIO, see: Callable[[bytes, int], Seen] = look) -> None:
    """Answer asks from `source` on `sink` until `source` ends."""
    while len(ask := source.read(ASK.size)) == ASK.size:
        size, most_pixels = ASK.unpack(ask)
        _allow(CPU)
        sink.write(pack(see(source.read(size), most_pixels)))
        sink.flush()


def _allow(seconds: int) -> None:
    """That much more CPU time from now on, then death."""
    if sys.platform != "win32":
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = math.ceil(used.ru_utime + used.ru_stime) + seconds
        with suppress(ValueError, OSError):  # a stricter limit from above stays
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _confine() -> None:
    """Give up what decoding does not need. Where the system knows no such limits, only the deadline holds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    if sys.platform != "win32":
        for limit, most in (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            with suppress(ValueError, OSError):  # macOS refuses some of them
                resource.setrlimit(limit, (most, most))
    warnings.simplefilter("error")


def main(see: Callable[[bytes, int], Seen] = look) -> None:
    """Serve standard input and output, which belong to the protocol alone."""
    sys.dont_write_bytecode = True
    answers = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not speak to the parent
    _confine()
    with suppress(ImportError):  # told with the first picture
        from PIL import Image, ImageStat, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401
    with open(answers, "wb") as sink:
        serve(sys.stdin.buffer, sink, see)


if __name__ == "__main__":
    main()
