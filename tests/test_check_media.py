"""What is learnt of a delivered picture, and that an attacker's picture costs nothing but a sentence."""

from __future__ import annotations

import base64
import os
import random
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, PngImagePlugin

from effort import lines
from wireproof.check.media import (
    Decoder,
    Eyes,
    Picture,
    distance,
    extension,
    from_base64,
    from_data_uri,
    header,
)


def scene(width: int = 120, height: int = 80, mode: str = "RGB") -> Image.Image:
    """A picture with areas, lines and something to see through where the mode allows it."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGBA")
    draw = ImageDraw.Draw(image)
    draw.ellipse((5, 5, width // 2, height - 5), fill=(200, 30, 40, 255))
    draw.rectangle((width // 2, 3, width - 4, height // 2), fill=(10, 90, 220, 120))
    return image.convert(mode)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *before: bytes, rows: bytes = b"") -> bytes:
    """A PNG of our own making, true or not."""
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    parts = (size, *before, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


GREY_ROWS = b"".join(b"\0" + bytes(range(row, row + 8)) for row in range(8))
SMALL = png(8, 8, rows=GREY_ROWS)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


# ------------------------------------------------------------------------------------ the header

EXIF = Image.Exif()
EXIF[0x010E] = "\xff\xd9 a description with markers \xff\xc0" * 40
TEXT = PngImagePlugin.PngInfo()
TEXT.add_text("Description", "IHDR IEND " * 40)

MADE: dict[str, tuple[str, bytes]] = {
    "png": ("png", encoded(scene(), "PNG")),
    "png with text first": ("png", encoded(scene(61, 27), "PNG", pnginfo=TEXT)),
    "png palette": ("png", encoded(scene().quantize(16), "PNG")),
    "jpeg": ("jpeg", encoded(scene(121, 33), "JPEG")),
    "jpeg progressive": ("jpeg", encoded(scene(300, 200), "JPEG", progressive=True)),
    "jpeg grey": ("jpeg", encoded(scene(mode="L"), "JPEG")),
    "jpeg cmyk": ("jpeg", encoded(scene().convert("CMYK"), "JPEG")),
    "jpeg with exif": ("jpeg", encoded(scene(77, 44), "JPEG", exif=EXIF)),
    "jpeg with comment": ("jpeg", encoded(scene(), "JPEG", comment=b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01")),
    "jpeg with restarts": ("jpeg", encoded(scene(), "JPEG", restart_marker_blocks=2)),
    "webp lossy": ("webp", encoded(scene(99, 55), "WEBP", quality=70)),
    "webp lossless": ("webp", encoded(scene(57, 201), "WEBP", lossless=True)),
    "webp with alpha": ("webp", encoded(scene(45, 67, "RGBA"), "WEBP")),
    "webp with exif": ("webp", encoded(scene(45, 68), "WEBP", exif=EXIF)),
    "gif": ("gif", encoded(scene(19, 300).quantize(8), "GIF")),
}


@pytest.mark.parametrize("name", MADE)
def test_the_header_parser_agrees_with_pillow(name: str) -> None:
    magic, data = MADE[name]
    seen = header(data)
    with Image.open(BytesIO(data)) as image:
        assert (seen.magic, seen.width, seen.height) == (magic, *image.size)
    assert (seen.trouble, seen.size, seen.whole) == ("", len(data), None)


def test_the_three_kinds_of_webp_are_among_the_pictures_compared() -> None:
    kinds = {data[12:16] for magic, data in MADE.values() if magic == "webp"}
    assert kinds == {b"VP8 ", b"VP8L", b"VP8X"}


@pytest.mark.parametrize("name", [name for name, (magic, _) in MADE.items() if magic != "gif"])
def test_every_cut_through_a_picture_is_noticed_without_decoding_it(name: str) -> None:
    data = MADE[name][1]
    for end in range(12, len(data), 7):
        cut = header(data[:end])
        assert cut.whole is False
        assert "cut short" in cut.trouble


@pytest.mark.parametrize("quality", [*range(1, 100, 7), 75, 90, 95, 100])
def test_jpeg_quality_is_read_from_its_tables(quality: int) -> None:
    estimate = header(encoded(scene(16, 16), "JPEG", quality=quality)).quality
    assert estimate is not None
    assert abs(estimate - quality) <= (0 if quality > 10 else 1)


def test_quality_is_told_of_jpeg_only() -> None:
    assert header(MADE["png"][1]).quality is None
    assert header(MADE["webp lossy"][1]).quality is None


@pytest.mark.parametrize(
    ("data", "magic"),
    [
        (b"", "empty"),
        (b'{"error": "no credits"}', "json"),
        (b'\xef\xbb\xbf \n[{"a": 1}]', "json"),
        (b"{}", "json"),
        (b"<!DOCTYPE html><title>502</title>", "html"),
        (b"\n<HTML><body>", "html"),
        (b"<!-- hello --><p>", "html"),
        (b"<script>alert(1)</script>", "html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<svg onload='x'>", "svg"),
        (b"SIMPLE  =                    T", "unknown"),
        (b"%PDF-1.7", "unknown"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "unknown"),
        (b"plain words", "unknown"),
        (b"RIFF\x00\x00\x00\x00WAVE", "unknown"),
    ],
)
def test_what_is_no_picture_is_named_by_its_bytes(data: bytes, magic: str) -> None:
    seen = header(data)
    assert seen.magic == magic
    assert seen.trouble
    assert (seen.width, seen.height, seen.whole) == (None, None, None)


@pytest.mark.parametrize(
    ("data", "stored_as"),
    [
        (MADE["png"][1] + b"<script>alert(1)</script>", "png"),
        (MADE["jpeg"][1] + b"PK\x03\x04", "jpg"),
        (MADE["webp lossy"][1], "webp"),
        (b"GIF89a/*<svg onload=alert(1)>*/=1", "gif"),
        (b'{"svg": "<svg>"}', "json"),
        (b"<svg>\x89PNG\r\n\x1a\n", "bin"),
        (b"<html>" + MADE["jpeg"][1], "bin"),
        (b"=HYPERLINK()", "bin"),
        (b"", "bin"),
    ],
)
def test_a_file_is_stored_under_what_its_first_bytes_are(data: bytes, stored_as: str) -> None:
    assert extension(header(data)) == stored_as


@pytest.mark.parametrize("name", ["png", "jpeg", "jpeg progressive", "webp lossy", "webp with alpha"])
def test_bytes_behind_the_picture_are_told_and_it_is_decoded_all_the_same(name: str, decoder: Decoder) -> None:
    seen = decoder.look(MADE[name][1] + b"PK\x03\x04 a zip")
    assert "10 bytes follow" in seen.odd
    assert seen.trouble == seen.odd
    assert seen.whole is True


def test_what_moves_is_odd_and_what_is_cut_or_plain_is_not() -> None:
    plain = MADE["png"][1]
    assert "animated" in header(frames("PNG", 3)).odd
    assert header(plain).odd == header(plain[:-5]).odd == ""


def mutated(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for at, value in changes:
        changed[at % len(changed)] = value
    return bytes(changed)


MUTANTS = st.builds(
    mutated,
    st.sampled_from([data for _, data in MADE.values()]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8),
)
BEGINNINGS = st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"GIF89a", b"<", b"{"])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.builds(bytes.__add__, BEGINNINGS, st.binary(max_size=80)) | MUTANTS)
@example(b"\xff\xd8\xff\xdb\x00")
@example(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0")
@example(b"RIFF\x04\0\0\0WEBP")
def test_no_bytes_make_the_header_parser_raise(data: bytes) -> None:
    seen = header(data)
    assert seen.size == len(data)
    assert seen.trouble.isprintable()


@settings(max_examples=60, deadline=None)
@given(MUTANTS)
def test_no_damaged_picture_makes_the_decoder_raise(decoder: Decoder, data: bytes) -> None:
    seen = decoder.look(data)
    assert seen.whole is True or seen.trouble
    assert seen.trouble.isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 8_000_000,
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 2_000_000,
        b"\xff\xd8\xff\xdb\x00\x00" + b"\xff\x00" * 4_000_000,
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt") * 600_000,
        b"<" * 8_000_000,
        b"{" + b" " * 8_000_000,
    ],
    ids=["fill bytes", "comments", "stuffing", "chunks", "angles", "blanks"],
)
def test_the_header_parser_does_no_more_work_over_files_made_of_nothing(data: bytes) -> None:
    assert header(data).trouble
    assert lines(lambda: header(data)) < 500_000


# ---------------------------------------------------------------------------------- the decoding


@pytest.mark.parametrize("name", [name for name, (magic, _) in MADE.items() if magic != "gif"])
def test_an_ordinary_picture_is_whole_not_blank_and_without_trouble(name: str, decoder: Decoder) -> None:
    seen = decoder.look(MADE[name][1])
    assert (seen.whole, seen.blank, seen.trouble) == (True, False, "")
    assert seen.thumb is not None
    assert len(seen.thumb) == 256


def test_decoding_adds_to_the_header_and_takes_nothing_away(decoder: Decoder) -> None:
    data = MADE["jpeg"][1]
    before, after = header(data), decoder.look(data)
    facts = ("size", "sha256", "magic", "width", "height", "quality")
    assert [getattr(after, fact) for fact in facts] == [getattr(before, fact) for fact in facts]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_one_picture_in_lossless_files_has_one_digest(mode: str, decoder: Decoder) -> None:
    image = scene(mode=mode)
    files = (
        encoded(image, "PNG"),
        encoded(image, "PNG", compress_level=1),
        encoded(image, "WEBP", lossless=True),
        encoded(image.convert("RGBA"), "PNG"),
    )
    assert len(set(files)) >= 3
    assert len({decoder.look(file).pixels for file in files}) == 1


def test_one_changed_pixel_changes_the_digest(decoder: Decoder) -> None:
    image = scene()
    before = decoder.look(encoded(image, "PNG")).pixels
    image.putpixel((0, 0), (1, 2, 3))
    assert decoder.look(encoded(image, "PNG")).pixels not in (before, None)


def test_the_same_values_in_another_shape_are_another_picture(decoder: Decoder) -> None:
    shapes = [Image.new("RGB", size, "teal") for size in ((20, 30), (30, 20))]
    assert len({decoder.look(encoded(image, "PNG")).pixels for image in shapes}) == 2


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.new("RGB", (64, 64)), "PNG"),
        encoded(Image.new("L", (64, 64), 255), "PNG"),
        encoded(Image.new("RGB", (64, 64), "teal"), "JPEG", quality=30),
        encoded(Image.new("RGB", (64, 64), "teal"), "WEBP"),
        encoded(Image.merge("RGBA", (*scene().split(), Image.new("L", (120, 80)))), "PNG"),
        encoded(Image.new("RGB", (1, 1)), "PNG"),
        encoded(Image.new("I;16", (64, 64), 40_000), "PNG"),
    ],
    ids=["black", "white", "flat jpeg", "flat webp", "transparent", "one pixel", "16 bits"],
)
def test_one_flat_colour_is_blank(data: bytes, decoder: Decoder) -> None:
    seen = decoder.look(data)
    assert (seen.whole, seen.blank, seen.trouble) == (True, True, "")


def checks(side: int = 64) -> Image.Image:
    image = Image.new("L", (side, side))
    image.putdata([255 * ((x + y) % 2) for x in range(side) for y in range(side)])
    return image


def two_colours_of_one_brightness() -> Image.Image:
    image = Image.new("RGB", (64, 64), (150, 0, 0))
    image.paste((0, 76, 0), (0, 0, 32, 64))
    return image


def white_on_nothing() -> Image.Image:
    image = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (16, 16, 48, 48))
    return image


@pytest.mark.parametrize("draw", [checks, two_colours_of_one_brightness, white_on_nothing])
def test_what_only_its_thumbnail_shows_as_flat_is_not_blank(draw: Callable[[], Image.Image], decoder: Decoder) -> None:
    assert decoder.look(encoded(draw(), "PNG")).blank is False


def test_sixteen_bit_grey_is_not_clipped_to_white(decoder: Decoder) -> None:
    thumb = decoder.look(encoded(Image.new("I;16", (32, 32), 0x4000), "PNG")).thumb
    assert thumb == (0x40,) * 256


def test_pictures_that_look_alike_are_near_and_others_are_far(decoder: Decoder) -> None:
    def thumb(data: bytes) -> tuple[int, ...]:
        return decoder.look(data).thumb or ()

    original = thumb(encoded(scene(), "PNG"))
    assert distance(original, original) == 0
    assert distance(original, thumb(encoded(scene(240, 160), "JPEG", quality=40))) < 0.03
    assert distance(original, thumb(encoded(scene().rotate(180), "PNG"))) > 0.1
    black, white = (thumb(encoded(Image.new("L", (9, 9), grey), "PNG")) for grey in (0, 255))
    assert distance(black, white) == 1


def test_the_same_bytes_are_decoded_once_however_often_they_are_looked_at() -> None:
    with Decoder() as decoder, Eyes(decoder) as eyes:
        eyes.glance(SMALL)
        first, second, third = (eyes.look(data) for data in (SMALL, MADE["png"][1], SMALL))
    assert first is third
    assert second.whole is True
    assert second.width == 120


# -------------------------------------------------------------------------------------- attacks


def wrong_sum() -> bytes:
    data = bytearray(encoded(scene(), "PNG"))
    data[data.index(b"IDAT") + 40] ^= 0x10
    return bytes(data)


def frames(form: str, count: int, **options: Any) -> bytes:
    pictures = [Image.new("L" if form == "PNG" else "RGB", (2, 2), number % 251) for number in range(count)]
    return encoded(pictures[0], form, save_all=True, append_images=pictures[1:], **options)


def webp_of_frames(count: int) -> bytes:
    """One frame, over and over: encoding so many would take longer than the test is about."""
    still = encoded(Image.new("RGB", (2, 2)), "WEBP")[12:]
    body = bytes(6) + b"\x01\0\0\x01\0\0" + b"\x0a\0\0\0" + still
    frame = b"ANMF" + struct.pack("<I", len(body)) + body
    parts = b"VP8X\x0a\0\0\0\x02\0\0\0\x01\0\0\x01\0\0" + b"ANIM\x06\0\0\0" + bytes(6) + frame * count
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WEBP" + parts


def compressed_text(megabytes: int) -> bytes:
    return chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(megabytes << 20), 9))


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "30000 x 30000": (lambda: png(30_000, 30_000), r"30000 x 30000 is more than 50000000 pixels"),
    "whole 30000 x 30000": (
        lambda: png(30_000, 30_000, rows=bytes(30_001 * 1000)),
        r"more than 50000000 pixels",
    ),
    "most pixels a PNG can state": (lambda: png(2**31 - 1, 2**31 - 1), r"more than 50000000 pixels"),
    "no pixels": (lambda: png(0, 10), r"no width and height"),
    "fewer rows than stated": (lambda: png(5000, 5000), r"does not decode"),
    "64 MB of text in zTXt": (
        lambda: png(8, 8, compressed_text(64), rows=GREY_ROWS),
        r"not decoded: .*too large",
    ),
    "64 times 1 MB of text": (
        lambda: png(8, 8, *[compressed_text(1)] * 70, rows=GREY_ROWS),
        r"not decoded: Too much memory",
    ),
    "APNG of 200 frames": (lambda: frames("PNG", 200), r"an animated PNG"),
    "WebP of 10,000 frames": (lambda: webp_of_frames(10_000), r"an animated WEBP"),
    "cut PNG": (lambda: encoded(scene(), "PNG")[:-200], r"a PNG that is cut short"),
    "cut JPEG": (lambda: encoded(scene(), "JPEG")[:-200], r"a JPEG that is cut short"),
    "cut WebP": (lambda: encoded(scene(), "WEBP")[:-200], r"a WEBP that is cut short"),
    "damaged PNG": (wrong_sum, r"does not decode: .*IDAT"),
    "PNG and ZIP in one": (lambda: SMALL + b"PK\x03\x04" + bytes(30), r"34 bytes follow the end of the PNG"),
    "FITS named png": (lambda: b"SIMPLE  =" + b" " * 5751, r"neither PNG, JPEG, WEBP nor GIF"),
    "GIF named png": (lambda: MADE["gif"][1], r"a GIF"),
    "JSON error": (lambda: b'{"error": "out of credits"}', r"^JSON where"),
    "HTML": (lambda: b"<!doctype html><h1>502</h1>", r"^HTML where"),
    "SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", r"^SVG"),
    "nothing": (lambda: b"", r"^there is nothing"),
}


def peak_memory() -> int:
    """Most bytes this process held in memory since `forget_the_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) << 10


def forget_the_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_fifty_megabytes_at_most_and_is_told(name: str) -> None:
    make, says = BOMBS[name]
    data = make()
    measured = os.access("/proc/self/clear_refs", os.W_OK)
    if measured:
        forget_the_peak()
    before = peak_memory() if measured else 0
    with Decoder() as decoder:
        seen = decoder.look(data)
    assert re.search(says, seen.trouble), seen.trouble
    assert not measured or peak_memory() - before < 50 << 20


def test_a_limit_of_pixels_may_be_set_lower(decoder: Decoder) -> None:
    seen = decoder.look(SMALL, most_pixels=63)
    assert (seen.whole, seen.pixels) == (None, None)
    assert seen.trouble == "not decoded: 8 x 8 is more than 63 pixels"
    assert decoder.look(SMALL, most_pixels=64).whole is True


# ------------------------------------------------------------------------------ the child itself


def child(body: str) -> tuple[str, ...]:
    """A child that speaks the protocol and sees pictures by `body`, where `look` is the real one."""
    code = f"""
import os, signal, sys
from wireproof.check._decoder import LENGTH, Seen, look, pack, serve
def see(data, most):
    {body}
serve(sys.stdin.buffer, sys.stdout.buffer, see)
"""
    return (sys.executable, "-c", code)


POISON = png(8, 8, chunk(b"tEXt", b"poison"), rows=GREY_ROWS)

FATES = {
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", r"died of it \(SIGKILL\)"),
    "leaves": ("os._exit(3)", r"died of it \(exit code 3\)"),
    "answers half": (
        "sys.stdout.buffer.write(LENGTH.pack(400) + b'x'); sys.stdout.flush(); os._exit(0)",
        r"died of it \(exit code 0\)",
    ),
    "hangs": ("signal.pause()", r"took longer than 1 s"),
    "talks too much": ("sys.stdout.buffer.write(b'\\xff' * 9999)", r"makes no sense"),
    "talks nonsense": ("sys.stdout.buffer.write(LENGTH.pack(400) + b'\\x07' * 400)", r"makes no sense"),
    "says too little": ("sys.stdout.buffer.write(LENGTH.pack(2) + b'ok')", r"makes no sense"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("fate", FATES)
def test_a_child_lost_over_one_picture_is_replaced_for_the_next(fate: str) -> None:
    does, says = FATES[fate]
    command = child(f"if b'poison' in data: {does}\n    return look(data, most)")
    with Decoder(command, deadline=1.0) as decoder:
        before, lost, after = (decoder.look(data) for data in (SMALL, POISON, SMALL))
    assert re.search(says, lost.trouble), lost.trouble
    assert (lost.whole, lost.pixels, lost.width) == (None, None, 8)
    assert before == after
    assert after.whole is True
    assert after.trouble == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
def test_a_picture_that_takes_more_memory_than_the_child_may_have_is_refused_and_the_child_lives_on() -> None:
    # The limit of memory set lower, so that little is touched; the limit of pixels out of the way.
    less = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28)); return look(data, most)"
    with Decoder(child(less)) as decoder:
        seen = decoder.look(png(16_000, 32_000), most_pixels=10**9)
        assert seen.whole is None
        assert "of memory" in seen.trouble
        assert decoder.look(SMALL).trouble == ""


def test_a_webp_too_large_for_the_childs_memory_is_refused_and_not_called_broken(decoder: Decoder) -> None:
    data = bytearray(encoded(scene(), "WEBP", lossless=True))
    data[21:25] = ((7999 | 4999 << 14) | int.from_bytes(data[21:25], "little") >> 28 << 28).to_bytes(4, "little")
    seen = decoder.look(bytes(data))
    assert (seen.width, seen.height, seen.whole) == (8000, 5000, None)
    assert "memory" in seen.trouble


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know fewer limits")
def test_our_own_child_has_a_gibibyte_ten_seconds_no_file_and_no_core_dump() -> None:
    limits = "', '.join(str(resource.getrlimit(getattr(resource, 'RLIMIT_' + n))[0]) for n in names)"
    code = f"""
import resource
from wireproof.check._decoder import Seen, main
names = ("AS", "CPU", "FSIZE", "CORE")
main(lambda data, most: Seen(trouble={limits}))
"""
    with Decoder((sys.executable, "-c", code)) as decoder:
        assert re.fullmatch(r"1073741824, 1[12], 0, 0", decoder.look(SMALL).trouble)


def test_what_a_library_prints_does_not_reach_the_parent() -> None:
    code = """
from wireproof.check._decoder import look, main
main(lambda data, most: (print("libpng warning", flush=True), look(data, most))[1])
"""
    with Decoder((sys.executable, "-c", code)) as decoder:
        assert decoder.look(SMALL).whole is True


def test_a_child_that_contradicts_the_header_is_quoted() -> None:
    command = child("return look(data, most)._replace(width=9)")
    with Decoder(command) as decoder:
        assert decoder.look(SMALL).trouble == "the header says 8 x 8, the decoder found 9 x 8"


def test_words_of_the_child_are_made_printable() -> None:
    with Decoder(child(r"return Seen(False, trouble='\x1b]0;owned\x07 \u202e' + 'x' * 999)")) as decoder:
        trouble = decoder.look(SMALL).trouble
    assert trouble.startswith(r"\x1b]0;owned\x07 \u202e")
    assert len(trouble) == 300


def test_no_variable_of_ours_reaches_the_child_but_where_its_packages_are() -> None:
    with Decoder(child("return Seen(False, trouble=' '.join(os.environ))")) as decoder:
        names = set(decoder.look(SMALL).trouble.split())
    assert "PYTHONPATH" in names
    assert names <= {
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "SYSTEMROOT",
        "LC_CTYPE",
    }  # the last is Python's own doing


def test_without_pillow_nothing_is_decoded_and_that_is_said() -> None:
    with Decoder(child("sys.modules['PIL'] = None; return look(data, most)")) as decoder:
        seen = decoder.look(SMALL)
    assert (seen.whole, seen.blank, seen.pixels, seen.width) == (None, None, None, 8)
    assert seen.trouble == "Pillow is not installed, so no picture was decoded"


def test_a_decoder_that_does_not_start_is_trouble_and_no_crash(tmp_path: Path) -> None:
    with Decoder((str(tmp_path / "absent"),)) as decoder:
        seen = decoder.look(SMALL)
    assert seen.whole is None
    assert "does not start" in seen.trouble


def test_no_child_is_started_for_what_the_header_refuses(tmp_path: Path) -> None:
    with Decoder((str(tmp_path / "absent"),)) as decoder:
        for make in (b"", b"{}", png(30_000, 30_000), SMALL[:-1]):
            assert "does not start" not in decoder.look(make).trouble


def test_a_folder_that_poses_as_pillow_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "PIL.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    with Decoder() as decoder:
        assert decoder.look(SMALL).whole is True


# ------------------------------------------------------------------------------ inline pictures


@given(st.binary(max_size=200))
def test_base64_and_data_uris_give_back_what_was_written(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert from_base64(text, len(data)) == data
    assert from_data_uri(f"data:image/PNG;charset=utf-8;base64,{text}", len(data)) == ("image/png", data)


@settings(max_examples=200)
@given(st.text(alphabet="AZaz09+/=-_ \n\u0660", max_size=12), st.integers(0, 9))
def test_text_is_either_base64_of_at_most_so_many_bytes_or_refused(text: str, most: int) -> None:
    try:
        data = from_base64(text, most)
    except ValueError:
        return
    assert len(data) <= most
    assert len(base64.b64encode(data)) == len(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("QUJD\nQUJD", "character 4 of the base64 is U+000A"),
        ("QUJ-", "character 3 of the base64 is U+002D"),
        ("QUJDR", "not padded"),
        ("QQ", "not padded"),
        ("Q===", "misplaced padding"),
        ("QQ==QUJD", "misplaced padding"),
        ("====", "misplaced padding"),
        ("\u0660" * 4, "U+0660"),
        ("data:image/png;base64,QUJD", "character 4 of the base64 is U+003A"),
    ],
)
def test_malformed_base64_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        from_base64(text, 100)


def test_base64_is_refused_by_its_length_before_it_is_read() -> None:
    text = "!" * (64 << 20)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        from_base64(text, 1000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "QUJD",
        "data:,hello",
        "data:image/png,QUJD",
        "data:;base64,QUJD",
        "data:image/png;" + "a=b;" * 90 + "base64,QUJD",
    ],
)
def test_what_is_no_data_uri_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="not a data URI"):
        from_data_uri(text, 100)


def test_random_bytes_behind_every_beginning_are_told_as_trouble(decoder: Decoder) -> None:
    chance = random.Random(7)
    for beginning in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x84\x00\x00\x00WEBP"):
        seen: Picture = decoder.look(beginning + chance.randbytes(128))
        assert seen.whole is not True
        assert seen.trouble
