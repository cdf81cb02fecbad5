"""The mock's pictures: real, labelled, repeatable."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageChops

import wireproof
from wireproof.mock.pictures import LARGEST, _Shelf, content_type, picture

FORMATS = ("png", "jpeg", "webp")


def drawn(
    width: int = 256,
    height: int = 192,
    *,
    format: str = "png",
    quality: int | None = None,
    lines: tuple[str, ...] = ("acme/p-image", "a fox", "seed 7"),
    seed: int = 7,
) -> bytes:
    return picture(width=width, height=height, format=format, quality=quality, lines=lines, seed=seed)


def seen(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def apart(one: bytes, other: bytes) -> float:
    """The share of pixels in which two pictures differ."""
    difference = ImageChops.difference(seen(one).convert("RGB"), seen(other).convert("RGB")).convert("L")
    return 1 - difference.histogram()[0] / (difference.width * difference.height)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (64, 64), (300, 7), (513, 1021), (1440, 1440)])
def test_a_picture_is_what_was_asked_for(format: str, size: tuple[int, int]) -> None:
    image = seen(drawn(*size, format=format))
    assert image.size == size
    assert Image.MIME[image.format or ""] == content_type(format)


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_is_not_blank(format: str) -> None:
    colours = seen(drawn(format=format)).convert("RGB").getcolors(256 * 192)
    assert colours is not None
    assert len(colours) > 50


AGAIN = """
import sys
from wireproof.mock.pictures import picture
for format in sys.argv[1:]:
    sys.stdout.buffer.write(picture(width=300, height=200, format=format, lines=("a", "b"), seed=3))
"""


def test_equal_arguments_give_equal_bytes_in_another_process() -> None:
    env = {"PYTHONPATH": str(Path(wireproof.__file__).parents[1]), "PYTHONHASHSEED": "77"}
    there = subprocess.check_output([sys.executable, "-c", AGAIN, *FORMATS], env=env, timeout=20)
    assert there == b"".join(drawn(300, 200, format=form, lines=("a", "b"), seed=3) for form in FORMATS)


def test_another_seed_or_prompt_is_seen_at_once() -> None:
    base = drawn()
    assert apart(base, base) == 0
    assert apart(base, drawn(seed=8)) > 0.5
    assert apart(base, drawn(lines=("acme/p-image", "a dog", "seed 7"))) > 0.5


def test_the_label_can_be_read() -> None:
    image = seen(drawn(400, 300, lines=("I" * 10,))).convert("RGB")
    band = image.crop((0, 282, 400, 300)).getcolors()
    assert {colour for _, colour in band or ()} == {(18, 18, 24), (250, 250, 245)}


def test_a_label_in_any_script_and_of_any_length_does_no_harm() -> None:
    lines = ("狐狸 🦊 \x00\x1b[31m\n", "x" * 5000, *["y"] * 100)
    assert seen(drawn(lines=lines)).size == (256, 192)


def test_quality_counts_where_the_format_has_one() -> None:
    assert len(drawn(format="jpeg", quality=20)) < len(drawn(format="jpeg", quality=95))
    assert len(drawn(format="webp", quality=20)) < len(drawn(format="webp", quality=95))
    assert drawn(quality=20) == drawn(quality=95)


@pytest.mark.parametrize("size", [(0, 10), (10, -1), (LARGEST + 1, 1)])
def test_an_absurd_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="pixels a side"):
        drawn(*size)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(KeyError):
        drawn(format="gif")


def test_the_shelf_keeps_the_last_used_within_its_size() -> None:
    shelf = _Shelf(most=25)
    keys = [(1, 1, "png", None, (), seed) for seed in range(3)]
    shelf.put(keys[0], bytes(10))
    shelf.put(keys[1], bytes(10))
    shelf.get(keys[0])
    shelf.put(keys[2], bytes(10))
    assert [shelf.get(key) is not None for key in keys] == [True, False, True]


def test_the_shelf_counts_a_picture_once_however_often_it_is_put() -> None:
    shelf = _Shelf(most=25)
    for _ in range(5):
        shelf.put((1, 1, "png", None, (), 0), bytes(20))
    assert shelf.get((1, 1, "png", None, (), 0)) == bytes(20)
