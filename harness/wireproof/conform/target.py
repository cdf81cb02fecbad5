"""What is driven: an address, its keys, and whether it is ours."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from wireproof.mock.engine import Mock
from wireproof.mock.manners import Manners
from wireproof.model import Endpoint
from wireproof.wire import links


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is driven: a base address and the keys for it. `mock`: the embedded one."""

    base: str
    key: str | None
    other_key: str | None = None
    paid: bool = False
    """Whether accepted jobs cost money there."""
    mock: Mock | None = None


def embedded(endpoint: Endpoint, seed: int = 0, manners: Manners | None = None) -> Target:
    """The endpoint's own contract, served in this process."""
    mock = Mock([endpoint], seed=seed, manners=manners)
    provider = endpoint.provider.name
    return Target(
        base="http://mock.wireproof", key=mock.key(provider), other_key=mock.key(provider, "other"), mock=mock
    )


def is_loopback(url: str) -> bool:
    """Whether an address leads to this machine by its spelling alone."""
    host = links.parts(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def near(target: Target) -> bool:
    """Whether the target is on this machine, where calls cost next to nothing."""
    return is_loopback(target.base)


def origin(url: str) -> str:
    """Scheme, host and port of an address, in one spelling."""
    parts = links.parts(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"
