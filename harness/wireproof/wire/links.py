"""Addresses that a host hands out: whether they are any is the host's word."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

NOWHERE = SplitResult("", "", "", "", "")


def parts(url: str) -> SplitResult:
    """The parts of an address; empty ones where it is none. Its port can be asked for."""
    try:
        found = urlsplit(url)
        _ = found.port, found.hostname
    except ValueError:
        return NOWHERE
    return found
