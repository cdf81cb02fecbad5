"""What is worked out once for each contract noun, and not for each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_MOST = 4096
"""Nouns that are remembered at a time; who makes more of them than that gains nothing by remembering."""


class Once(Generic[T]):
    """A function of objects that never change, remembered by their identity.

    The objects need not be hashable: dicts of a contract are not, and hashing a contract would cost more
    than is saved.
    """

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make
        # The objects are kept beside what was made of them: while they live here, their identity is nobody else's.
        self._kept: dict[tuple[int, int], tuple[Any, Any, T]] = {}

    def __call__(self, first: Any, second: Any = None) -> T:
        """What `make` makes of the objects; the very same value every time."""
        found = self._kept.get((id(first), id(second)))
        if found is not None:
            return found[2]
        if len(self._kept) >= _MOST:
            self._kept.clear()
        made: T = self._make(first) if second is None else self._make(first, second)
        self._kept[id(first), id(second)] = first, second, made
        return made
