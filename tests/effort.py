"""Work in lines of Python that are carried out: the same on every machine, however busy it is."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


def lines(act: Callable[[], object]) -> int:
    """How many lines `act` carries out, what it calls included; of what is written in C, nothing."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


@contextlib.contextmanager
def untried(pattern: str) -> Iterator[None]:
    """Within it, nobody may match anything against this pattern: that could take for ever."""

    def watch(frame: FrameType, event: str, arg: Any) -> None:
        owner = getattr(arg, "__self__", None)
        if event == "c_call" and isinstance(owner, re.Pattern) and owner.pattern == pattern:
            raise AssertionError(f"{pattern!r} was tried")

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
