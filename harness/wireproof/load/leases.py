"""How several workers spend one budget: the teller grants leases, a purse pays its jobs from them.

A lease is one reservation in the ledger, for several jobs of one price. A job starts only with money of
a lease in hand, so no number of workers can overspend. A lease is settled when the last of its jobs is
accounted for; what a killed worker held stays reserved, for it may have been spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal

from wireproof.errors import OverBudget
from wireproof.ledger import Ledger, Reservation, Stopped
from wireproof.money import Money

LEASE = 10
"""Jobs per lease, as long as the budget has plenty."""

Price = tuple[str, Money]
"""An endpoint, and the most one job of it may cost."""


@dataclass(slots=True)
class _Lease:
    reservations: Sequence[tuple[Ledger, Reservation]]
    price: Money
    open: int
    """Jobs of it that are not accounted for."""
    spent: Decimal = Decimal(0)


@dataclass(slots=True)
class Teller:
    """Grants leases against ledgers. `ledgers` gives those that must all agree to a price of an endpoint."""

    ledgers: Callable[[str, str], Sequence[Ledger]]
    """By endpoint and unit."""
    _leases: dict[int, _Lease] = field(default_factory=dict)
    """Those with jobs that are not accounted for."""
    _made: int = 0
    _orphans: set[int] = field(default_factory=set)
    """Leases of workers that are gone: nothing of them will come back."""
    _closed: bool = False
    refused: str = ""
    """Why the last request was refused; empty: none was."""

    def grant(self, endpoint: str, price: Money, jobs: int) -> tuple[int, int]:
        """A lease number and for how many jobs it is, at most `jobs`; (0, 0) when not even one is covered."""
        wanted = min(jobs, LEASE)
        while wanted:
            try:
                return self._lease(endpoint, price, wanted), wanted
            except OverBudget as error:
                self.refused = str(error)
                self._closed = self._closed or isinstance(error, Stopped)
                # Near the end everyone gets single jobs, so that none sits on what another could use.
                wanted = 1 if wanted > 1 else 0
        return 0, 0

    def may_come(self, endpoint: str, price: Money) -> bool:
        """Whether a price that was refused may be covered later: by what is set aside for more than it will cost."""
        if self._closed or not self._leases.keys() - self._orphans:
            return False
        states = [ledger.state() for ledger in self.ledgers(endpoint, price.unit)]
        return all((state.spent + price).amount <= state.ceiling.amount for state in states)

    def orphan(self, numbers: Iterable[int]) -> None:
        """Whoever held these leases is gone: what they hold stays set aside, for it may have been spent."""
        self._orphans.update(numbers)

    def _lease(self, endpoint: str, price: Money, jobs: int) -> int:
        number = self._made + 1
        with ExitStack() as undo:
            held = []
            for ledger in self.ledgers(endpoint, price.unit):
                reservation = ledger.reserve(price * jobs, why=f"lease {number}: {jobs} jobs of {endpoint}")
                undo.callback(ledger.release, reservation)
                held.append((ledger, reservation))
            undo.pop_all()
        self._made = number
        self._leases[number] = _Lease(held, price, jobs)
        return number

    def settle(self, number: int, spent: Money | None, jobs: int = 1) -> None:
        """So many jobs of a lease are accounted for; None: nobody tells, so the full price stays counted."""
        lease = self._leases[number]
        lease.open -= jobs
        lease.spent += lease.price.amount * jobs if spent is None else spent.amount
        if lease.open == 0:
            del self._leases[number]
            for ledger, reservation in lease.reservations:
                ledger.settle(reservation, Money(lease.spent, lease.price.unit))


@dataclass(slots=True)
class Purse:
    """A worker's money in hand. `ask` brings a lease, or (0, 0); it may take a moment."""

    ask: Callable[[str, Money, int], tuple[int, int]]
    _held: dict[Price, list[list[int]]] = field(default_factory=dict)
    empty: bool = False
    """Whether the budget has refused a job: no more are started."""

    def take(self, endpoint: str, price: Money | None) -> int | None:
        """The lease that a job is paid from; 0 when it needs none; None when there is no money."""
        if price is None:
            return 0
        held = self._held.setdefault((endpoint, price), [])
        if not held and not self.empty:
            number, jobs = self.ask(endpoint, price, LEASE)
            # What was in hand may have been given back meanwhile, and the list with it.
            held = self._held.setdefault((endpoint, price), [])
            if jobs:
                held.append([number, jobs])
        if not held:
            # Another of this worker's users may have got a lease meanwhile; only now is there none.
            self.empty = True
            return None
        lease = held[0]
        lease[1] -= 1
        if not lease[1]:
            held.pop(0)
        return lease[0]

    def unused(self) -> Mapping[int, int]:
        """What is left in hand, by lease, to be given back. It is no longer in hand."""
        left = {number: jobs for held in self._held.values() for number, jobs in held}
        self._held.clear()
        return left
