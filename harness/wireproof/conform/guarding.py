"""What stands between a run and the money: every paid call is set aside for before it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wireproof.errors import CouldNotTell, OverBudget
from wireproof.generate import cases
from wireproof.ledger import Charge, Ledger, Reservation
from wireproof.ledger import Stopped as Closed
from wireproof.model import ALMOST, Call, Credential, Endpoint, Exchange, Kind
from wireproof.money import Money, exact
from wireproof.probe.driver import Stopped, Want
from wireproof.probe.memory import Skipped
from wireproof.spec.values import ceiling_of, refusal_billed
from wireproof.wire import replies, requests

NOT_OURS = frozenset({Credential.NONE, Credential.MALFORMED, Credential.UNKNOWN, Credential.OTHER, *ALMOST})
"""Keys whose calls are on nobody's account, or on another one than that of the budget."""


@dataclass(slots=True)
class Guard:
    """Stands before every paid call: reserves its ceiling, and settles as soon as a reply tells the cost."""

    endpoint: Endpoint
    ledger: Ledger | None
    run: str = ""
    """Name of the run, by which a later one finds its reservations again."""
    prefix: str = ""
    """A path under which the host is reached."""
    short: str = ""
    """Why something was not bought; empty: the budget covered all."""
    _asked: Reservation | None = None
    """Of the call that is under way."""
    _open: dict[str, tuple[Reservation, Mapping[str, Any]]] = field(default_factory=dict)
    """Of jobs whose cost nobody has told yet, with their parameters."""

    def before(self, want: Want) -> None:
        """Reserve the most that the call may cost.

        Raises Skipped for one that is not covered, OverBudget when nothing more may be bought, CouldNotTell where
        there is no price.
        """
        self._asked = None
        if self.ledger is None or not want.paid:
            return
        ceiling = ceiling_of(self.endpoint, self._values(want.call)) or ceiling_of(
            self.endpoint, cases.base(self.endpoint)
        )
        if ceiling is None:
            raise CouldNotTell(f"{self.endpoint.name} has no price: a paid host is not driven without one")
        try:
            self._asked = self.ledger.reserve(
                ceiling, why=f"{self.run} {self.endpoint.name} {want.job or want.purpose}"
            )
        except Closed:
            raise
        except OverBudget as over:
            # What is too dear is left out; cheaper things may still be covered.
            self.short = self.short or str(over)
            raise Skipped(str(over)) from None

    def after(self, exchange: Exchange) -> None:
        """Settle what the reply tells. Raises Stopped at a charge far above the price."""
        reservation, self._asked = self._asked, None
        if self.ledger is None:
            return
        if reservation is not None:
            if exchange.broke == "refused" or self._is_free(exchange):
                self.ledger.release(reservation)
                return
            self._open[exchange.job or f"#{exchange.seq}"] = (reservation, self._values(exchange.call))
        self._settle(exchange)

    def resume(self, held: Mapping[str, Reservation], exchanges: Iterable[Exchange]) -> None:
        """Take over what an earlier run set aside for jobs (by their labels) whose cost may still be told."""
        for exchange in exchanges:
            label = exchange.job or ""
            if label in held and label not in self._open:
                self._open[label] = (held[label], self._values(exchange.call))

    def close(self) -> None:
        """What nobody told stays spent at its ceiling."""
        while self._open and self.ledger is not None:
            _, (reservation, _) = self._open.popitem()
            self.ledger.settle(reservation, None)

    def _values(self, call: Call) -> Mapping[str, Any]:
        asked = requests.recognise(self.endpoint, call, self.prefix)
        return asked[0].values if asked else {}

    def _is_free(self, exchange: Exchange) -> bool:
        """Whether a call was refused in a way that costs us nothing: so the contract says, or the key was not ours."""
        reply = exchange.reply
        if reply is None or not 400 <= reply.status < 500:
            return False
        if exchange.credential in NOT_OURS and reply.status in (401, 403):
            return True
        operation = self.endpoint.operations.get(exchange.operation)
        if operation is None:
            return False
        asked = requests.recognise(self.endpoint, exchange.call, self.prefix)
        reading = replies.read(self.endpoint, operation, reply, asked[0].values if asked else {})
        if reading.alternative is not None or refusal_billed(self.endpoint, reading.problems) != "zero":
            return False
        # A host that calls wrong what its contract allows is not believed that this costs nothing.
        wrong = reading.problem is not None and reading.problem.kind is Kind.INVALID
        return not wrong or not asked or any(requests.breaches(self.endpoint, one) for one in asked)

    def _settle(self, exchange: Exchange) -> None:
        label = exchange.job or f"#{exchange.seq}"
        if label not in self._open or exchange.reply is None or self.ledger is None or self.endpoint.price is None:
            return
        reservation, values = self._open[label]
        asked = requests.recognise(self.endpoint, exchange.call, self.prefix)
        if not asked:
            return
        reading = replies.read(self.endpoint, asked[0].operation, exchange.reply, values)
        billed = exact(reading.value("job.cost"))
        if billed is not None and reading.alternative is not None:
            del self._open[label]
            # A host's own word is no bill: what was set aside above it stays so until the run is over.
            charge: Charge = self.ledger.settle(reservation, Money(billed, self.endpoint.price.unit), sure=False)
            if charge.stop or charge.overcharged:
                raise Stopped(
                    f"a job was charged {billed} {self.endpoint.price.unit}, far above the declared price: "
                    "nothing more is spent"
                )
