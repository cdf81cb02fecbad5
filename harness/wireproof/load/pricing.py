"""What a plan will cost before it starts: jobs, money at worst, calls against the host's limits, precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any

from wireproof.load import arrivals, cases, censor, plans, quantiles
from wireproof.load.arrivals import Closed
from wireproof.load.plans import LoadPlan
from wireproof.model import Does, Endpoint
from wireproof.money import Money
from wireproof.spec.values import ceiling_of

SIGMA = 0.35
"""The spread of times (standard deviation of their logarithm) assumed before anything is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One endpoint's part of a plan."""

    endpoint: str
    jobs: int
    worst: Money | None
    """If every job is charged its full price; None: the contract has no price."""
    polls: float
    """Polls per job, at the times that the contract tells."""
    per_minute: float
    """Calls a minute at the plan's highest rate."""
    limits: tuple[str, ...]
    """Declared limits that this goes over, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A plan, priced."""

    plan: str
    seconds: float
    shares: tuple[Share, ...]
    worst: tuple[Money, ...]
    """In each unit."""
    budget: tuple[Money, ...]
    precision: Mapping[str, Any]
    """What the measured jobs will tell of a quantile, ± as a part of it; absent: nothing."""

    @property
    def covered(self) -> bool:
        """Whether the budget covers the worst case; true where none was given."""
        ceilings = {amount.unit: amount.amount for amount in self.budget}
        return not ceilings or all(cost.amount <= ceilings.get(cost.unit, Decimal(-1)) for cost in self.worst)

    @property
    def cost_words(self) -> str:
        return " + ".join(map(str, self.worst)) or "an amount that no contract tells"

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "command": "load",
            "dry_run": True,
            "plan": self.plan,
            "seconds": self.seconds,
            "jobs": sum(share.jobs for share in self.shares),
            "worst_cost": [{"amount": str(m.amount), "unit": m.unit} for m in self.worst],
            "covered": self.covered,
            "endpoints": {
                share.endpoint: {
                    "jobs": share.jobs,
                    "worst_cost": None
                    if share.worst is None
                    else {"amount": str(share.worst.amount), "unit": share.worst.unit},
                    "polls_per_job": round(share.polls, 2),
                    "calls_per_minute": round(share.per_minute, 1),
                    "over_limits": list(share.limits),
                }
                for share in self.shares
            },
            "precision": dict(self.precision),
            "findings": [],
        }


def quote(plan: LoadPlan, endpoints: Sequence[Endpoint], budget: Sequence[Money] = ()) -> Quote:
    """The plan's price at worst: every job it may start, charged in full."""
    counts = _counts(plan, endpoints)
    shares = tuple(_share(plan, endpoint, counts[endpoint.name], len(endpoints)) for endpoint in endpoints)
    worst: dict[str, Money] = {}
    for share in shares:
        if share.worst is not None:
            worst[share.worst.unit] = (
                worst[share.worst.unit] + share.worst if share.worst.unit in worst else share.worst
            )
    measured = min((sum(c.values()) for c in counts.values()), default=0)
    return Quote(
        plan=plan.name,
        seconds=plan.seconds,
        shares=shares,
        worst=tuple(worst.values()),
        budget=tuple(budget),
        precision={quantiles.name(p): _width(p, measured) for p in (0.5, 0.9, 0.95, 0.99)},
    )


def _counts(plan: LoadPlan, endpoints: Sequence[Endpoint]) -> dict[str, Counter[tuple[str, int]]]:
    """Per endpoint, how often each case and body comes."""
    counts: dict[str, Counter[tuple[str, int]]] = {endpoint.name: Counter() for endpoint in endpoints}
    whole = plan.arrivals([endpoint.name for endpoint in endpoints])
    if not plan.closed:
        for arrival in arrivals.plan(plan.seed, whole):
            counts[arrival.endpoint][arrival.case, arrival.block] += 1
        return counts
    # The faster the host, the more jobs: what the contract's own times say, with a half more.
    for phase in plan.phases:
        if isinstance(phase, Closed):
            typical = sum(map(plans.usual, endpoints)) / len(endpoints)
            for arrival in islice(
                arrivals.turns(plan.seed, whole, phase), round(1.5 * phase.users * phase.seconds / typical)
            ):
                counts[arrival.endpoint][arrival.case, arrival.block] += 1
    return counts


def _share(plan: LoadPlan, endpoint: Endpoint, counts: Counter[tuple[str, int]], among: int) -> Share:
    bodies = cases.workload(endpoint, list(plan.cases))
    prices = [(ceiling_of(endpoint, cases.body(bodies[case], block)), times) for (case, block), times in counts.items()]
    known = [price * times for price, times in prices if price is not None]
    jobs = sum(counts.values())
    polls = _polls(plan, endpoint)
    calls = 1 + polls + (endpoint.doing(Does.RESULT) is not None)
    fastest = plans.peak(plan) if not plan.closed else plans.places(plan, [endpoint]) / plans.usual(endpoint)
    per_minute = fastest / among * 60
    return Share(
        endpoint=endpoint.name,
        jobs=jobs,
        worst=sum(known[1:], known[0]) if known else None,
        polls=polls,
        per_minute=per_minute * calls,
        limits=tuple(_over(endpoint, per_minute, calls)),
    )


def _polls(plan: LoadPlan, endpoint: Endpoint) -> float:
    """Mean number of polls for a job of the usual length."""
    if plan.blocking and endpoint.doing(Does.RUN):
        return 0.0
    cadence, usual = plans.cadence(plan, endpoint), plans.usual(endpoint)
    chance, tries = Random(0), 200
    seen = 0
    for _ in range(tries):
        seen += 1 + sum(1 for _ in _until(censor.polls(cadence, chance), usual))
    return seen / tries


def _until(moments: Any, end: float) -> Any:
    for moment in moments:
        if moment >= end:
            return
        yield moment


def _over(endpoint: Endpoint, jobs: float, calls: float) -> list[str]:
    """Declared limits on calls that the plan goes over at its highest rate."""
    found = []
    for limit in endpoint.provider.limits:
        counted = (
            jobs
            if limit.operations
            and not any(endpoint.operations[o].does.asks for o in limit.operations if o in endpoint.operations)
            else jobs * calls
        )
        if limit.what == "calls" and limit.window and counted * limit.window / 60 > limit.most:
            calls_made = f"{counted * limit.window / 60:.0f} calls"
            found.append(f"{limit.name}: {calls_made} where {limit.most} are allowed in {limit.window:g} s")
    return found


def _width(p: float, jobs: int) -> float | None:
    """± as a part of the quantile that so many exactly timed jobs tell it by; None: too few."""
    if jobs < quantiles.smallest(p):
        return None
    low, high = 0.001, 5.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if quantiles.needed(p, middle, SIGMA) <= jobs else (middle, high)
    return round(high, 3)
