"""Chance for jobs: one number drawn from an account's own stream decides everything about one job.

It is drawn in one go because a job is taken in millionths of a second; the same number gives the same id,
the same times and the same seed whichever way the job was taken.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable
from operator import itemgetter

from wireproof.spec.values import spell

BITS = 192
"""Of one throw: the lowest for times and seed, the rest for the id."""
_STEPS = 1024
_SPREAD = 0.2
_TIMES = tuple(sorted(random.Random(0).lognormvariate(0.0, _SPREAD) for _ in range(_STEPS)))
"""Factors round 1, log-normal: how long the one job takes and the other."""
_ID = 64
"""From which bit on the id is made."""
_MOST_HEX = (BITS - _ID) // 4
_CLASS = re.compile(r"\[([^\]\\^]+)\](?:\{(\d+)\})?")
_RANGE = re.compile(r"(.)-(.)")


@functools.lru_cache(maxsize=256)
def times(median: float) -> tuple[float, ...]:
    """Every time that a job of that median may take. Seconds, in whole milliseconds."""
    return tuple(round(median * factor, 3) for factor in _TIMES)


def queue_time(throw: int, median: float) -> float:
    """How long a job waits. Seconds."""
    return times(median)[throw & _STEPS - 1]


def run_time(throw: int, median: float) -> float:
    """How long a job works. Seconds."""
    return times(median)[throw >> 10 & _STEPS - 1]


def seed(throw: int) -> int:
    """A seed that nobody asked for: 1 to 2^31 - 1."""
    return 1 + (throw >> 20) % (2**31 - 1)


def ids(pattern: str) -> Callable[[int], str]:
    """A maker of ids of that pattern, out of throws."""
    return _maker(pattern or "[0-9a-f]{32}")


@functools.lru_cache(maxsize=64)
def _maker(pattern: str) -> Callable[[int], str]:
    parts = _parts(pattern)
    if parts is None:
        return lambda throw: spell(pattern, random.Random(throw >> _ID))
    template, slices, choices = parts
    cut = itemgetter(*slices) if len(slices) > 1 else lambda text: (text[slices[0]],)

    def plain(throw: int) -> str:
        return template % cut((throw >> _ID).to_bytes(_MOST_HEX // 2, "big").hex())

    def chosen(throw: int) -> str:
        found = list(cut((throw >> _ID).to_bytes(_MOST_HEX // 2, "big").hex()))
        for i, names in choices.items():
            found[i] = names[found[i]]
        return template % tuple(found)

    return chosen if choices else plain


def _parts(pattern: str) -> tuple[str, list[slice], dict[int, dict[str, str]]] | None:
    """A pattern of literals and classes of at most 16 characters as a template, the hexadecimal digits that
    go into it, and what each of them stands for where that is something else; None for any other pattern."""
    template, slices, choices, at = "", [], {}, 0
    rest = pattern
    while rest:
        found = _CLASS.match(rest)
        if found is None:
            if not (rest[0].isalnum() or rest[0] in "_- "):
                return None
            template, rest = template + rest[0].replace("%", "%%"), rest[1:]
            continue
        alphabet = _RANGE.sub(lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), found[1])
        count, rest = int(found[2] or 1), rest[found.end() :]
        if alphabet == "0123456789abcdef":
            template, at = template + "%s", at + count
            slices.append(slice(at - count, at))
        elif len(alphabet) <= 16:
            for _ in range(count):
                choices[len(slices)] = {f"{n:x}": alphabet[n % len(alphabet)] for n in range(16)}
                template, at = template + "%s", at + 1
                slices.append(slice(at - 1, at))
        else:
            return None
    return (template, slices, choices) if slices and at <= _MOST_HEX else None
