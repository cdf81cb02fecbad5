"""Addresses that a host hands out: whether they are any is the host's word."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

from wireproof.model import Exchange

NOWHERE = SplitResult("", "", "", "", "")


def parts(url: str) -> SplitResult:
    """The parts of an address; empty ones where it is none. Its port can be asked for."""
    try:
        found = urlsplit(url)
        _ = found.port, found.hostname
    except ValueError:
        return NOWHERE
    return found


def leads_to(exchange: Exchange) -> str | None:
    """The address that a reply leads on to, empty where it is none; None where the reply does not lead on."""
    reply = exchange.reply
    where = reply.header("location") if reply is not None and reply.status in (301, 302, 303, 307, 308) else None
    try:
        return urljoin(exchange.call.url, where) if where else None
    except ValueError:
        return ""
