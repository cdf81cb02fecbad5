"""The ledgers behind a load test: one ceiling for the run in each unit, and the ledger of each key used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wireproof import money
from wireproof.errors import UsageError
from wireproof.ledger import FileLedger, Ledger, MemoryLedger, fingerprint
from wireproof.load.leases import Teller
from wireproof.load.settings import Settings, key_of
from wireproof.model import Endpoint


def teller(settings: Settings, endpoints: Sequence[Endpoint]) -> Teller | None:
    """Who grants the money of a run; None for one that was given no budget."""
    if not settings.budget:
        return None
    ceilings = {amount.unit: amount for amount in map(money.parse, settings.budget)}
    whole = {unit: MemoryLedger(ceiling) for unit, ceiling in ceilings.items()}
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    keyed: dict[str, Ledger] = {}

    def ledgers(name: str, unit: str) -> Sequence[Ledger]:
        if unit not in whole:
            raise UsageError(f"{name} is paid in {unit}, and the budget has none")
        provider = by_name[name].provider
        if settings.ledger and provider.name not in keyed:
            key = key_of(by_name[name], settings.bases[provider.name]) or ""
            keyed[provider.name] = FileLedger.open(
                Path(settings.ledger), fingerprint(provider.name, key), ceilings[unit]
            )
        return [whole[unit], keyed[provider.name]] if settings.ledger else [whole[unit]]

    return Teller(ledgers)
