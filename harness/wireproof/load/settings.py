"""What the processes of one load test are told: everything but keys, which each reads from its own environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from wireproof.errors import NoKey, UsageError
from wireproof.load import frames, plans
from wireproof.load.conduct import Setup
from wireproof.load.plans import LoadPlan
from wireproof.model import Endpoint
from wireproof.spec.load import resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run, as it travels from the hub to its workers. Holds no key."""

    specs: tuple[str, ...]
    bases: Mapping[str, str]
    """Provider to the address that its calls go to."""
    plan: str = "smoke"
    rate: float | None = None
    users: int | None = None
    seconds: float | None = None
    seed: int | None = None
    places: int | None = None
    """Jobs that may be in flight, over all workers."""
    nonce: str = ""
    budget: tuple[str, ...] = ()
    """Amounts, one for each unit."""
    ledger: str = ""
    """Folder of the ledgers of keys; empty: nothing costs money, and a budget is there to be tried out."""
    folder: str = ""
    """Where the run is kept; only the hub writes there."""
    rooms: str = ""
    """From where the user's own rooms are looked for."""
    options: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        raw = json.loads(text)
        return cls(**{**raw, "specs": tuple(raw["specs"]), "budget": tuple(raw["budget"])})

    def endpoints(self) -> tuple[Endpoint, ...]:
        start = Path(self.rooms) if self.rooms else None
        found = [endpoint for spec in self.specs for endpoint in resolve(spec, start)]
        return tuple({endpoint.name: endpoint for endpoint in found}.values())

    def load_plan(self) -> LoadPlan:
        plan = plans.find(self.plan, Path(self.rooms) if self.rooms else None)
        return plans.overridden(plan, rate=self.rate, users=self.users, seconds=self.seconds, seed=self.seed)

    def setups(self, endpoints: Sequence[Endpoint], plan: LoadPlan) -> dict[str, Setup]:
        """How each endpoint's jobs are carried out, with the keys of this process's environment."""
        return {endpoint.name: self._setup(endpoint, plan) for endpoint in endpoints}

    def _setup(self, endpoint: Endpoint, plan: LoadPlan) -> Setup:
        base = self.bases[endpoint.provider.name]
        key = key_of(endpoint, base)
        return Setup(
            endpoint=endpoint,
            base=base,
            key=key,
            cadence=plans.cadence(plan, endpoint),
            channel=frames.channel(endpoint, base, key) if plan.channel == "websocket" else None,
            blocking=plan.blocking,
            patience=plan.patience,
            download=plan.download,
            seed=plan.seed,
            nonce=self.nonce,
        )


def key_of(endpoint: Endpoint, base: str) -> str | None:
    """The key from the variable that the contract names. Raises NoKey for a host elsewhere without one."""
    variable = endpoint.provider.auth.env
    key = os.environ.get(variable, "")
    if not key and not is_loopback(base):
        raise NoKey(endpoint.provider.name, variable)
    return key or None


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine, so that calls to it cost nothing unless a budget is given."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


def bases(endpoints: Sequence[Endpoint], target: str | None) -> dict[str, str]:
    """Where each provider's calls go: the contract's own server, or a target (with the provider's name as
    first path segment where several share it, as the mock serves them)."""
    providers = {endpoint.provider.name: endpoint.provider for endpoint in endpoints}
    if target is None:
        return {name: provider.servers["api"].url for name, provider in providers.items()}
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{target!r} is no address: write it like http://127.0.0.1:8000")
    plain = target.rstrip("/")
    return {name: f"{plain}/{name}" if len(providers) > 1 else plain for name in providers}
