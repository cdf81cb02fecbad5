"""What changed: between two versions of a contract, and between runs. What breaks clients comes first."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import comb
from typing import Any

from wireproof.model import NOWHERE, Endpoint, Run, Severity, Verdict, Where
from wireproof.spec.facts import Fact, Key, facts


class Impact(StrEnum):
    """What a change does to clients that were written for the old contract. Ordered by `rank`."""

    BREAKING = "breaking"
    """A request that worked is refused, or a reply cannot be read any more."""
    CHANGED = "changed"
    """Everything works, with another result, cost or pace."""
    COMPATIBLE = "compatible"
    """Nothing that worked stops working."""
    NOTED = "noted"
    """Only what is known about the host changed, or how well."""

    @property
    def rank(self) -> int:
        return {"breaking": 3, "changed": 2, "compatible": 1, "noted": 0}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One fact that is another one now."""

    endpoint: str
    topic: str
    subject: str
    aspect: str
    impact: Impact
    before: str
    """As the old contract says it; empty: it said nothing."""
    after: str
    says: str
    """Why it matters, in one sentence."""
    old_where: Where = NOWHERE
    new_where: Where = NOWHERE


def diff(old: Endpoint, new: Endpoint) -> tuple[Change, ...]:
    """Every fact in which two versions of a contract differ, breaking changes first."""
    before, after = facts(old), facts(new)
    changes = [
        change
        for key in dict.fromkeys((*before, *after))
        if (change := _change(new.name, key, before, after)) is not None
    ]
    return tuple(sorted(changes, key=lambda c: (-c.impact.rank, c.topic, c.subject, c.aspect)))


def exit_code(changes: Sequence[Change], least: Impact = Impact.BREAKING) -> int:
    """1 when a change is at least that grave, else 0."""
    return int(any(change.impact.rank >= least.rank for change in changes))


def _change(endpoint: str, key: Key, before: Mapping[Key, Fact], after: Mapping[Key, Fact]) -> Change | None:
    old, new = before.get(key), after.get(key)
    if _gated(old, after) or _gated(new, before):
        return None  # the whole came or went, which is told once
    impact, says = _judged(key, old, new)
    if impact is None:
        return None
    return Change(
        endpoint=endpoint,
        topic=key[0],
        subject=key[1],
        aspect=key[2],
        impact=impact,
        before=_shown(old),
        after=_shown(new),
        says=says,
        old_where=old.where if old else NOWHERE,
        new_where=new.where if new else NOWHERE,
    )


def _shown(fact: Fact | None) -> str:
    if fact is None:
        return ""
    return fact.shown if fact.known else f"unknown (placeholder {fact.shown})"


def _gated(fact: Fact | None, others: Mapping[Key, Fact]) -> bool:
    """Whether the other contract lacks the whole that this fact belongs to."""
    return fact is not None and any((*need, "offered") not in others for need in fact.needs)


def _judged(key: Key, old: Fact | None, new: Fact | None) -> tuple[Impact | None, str]:
    was, now = (old if old and old.known else None), (new if new and new.known else None)
    if old and new and old.value == new.value:
        if old.evidence.confidence is new.evidence.confidence:
            return None, ""
        return Impact.NOTED, f"was {old.evidence.confidence.value}, is {new.evidence.confidence.value} now"
    if was is None and now is None:
        return Impact.NOTED, "only a placeholder changed: nobody says"
    if (old and was is None) or (new and now is None):
        return Impact.NOTED, "is known now" if now else "is not known any more"
    return _TABLE.get((key[0], key[2]), _TABLE.get((key[0], ""), _noted))(was, now)


# -------------------------------------------------------------------------------------- judgements

Judge = Callable[[Fact | None, Fact | None], tuple[Impact, str]]


def _noted(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    return Impact.NOTED, "another description of the same behaviour"


def _always(impact: Impact, says: str) -> Judge:
    return lambda old, new: (impact, says)


def _if_lower(breaking: str, safe: str) -> Judge:
    """An upper bound: no bound is the highest."""

    def judge(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
        lower = new is not None and (old is None or new.value < old.value)
        return (Impact.BREAKING, breaking) if lower else (Impact.COMPATIBLE, safe)

    return judge


def _if_higher(breaking: str, safe: str) -> Judge:
    """A lower bound: no bound is the lowest."""

    def judge(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
        higher = new is not None and (old is None or new.value > old.value)
        return (Impact.BREAKING, breaking) if higher else (Impact.COMPATIBLE, safe)

    return judge


def _if_lost(breaking: str, safe: str) -> Judge:
    """A list of what is taken: losing an entry breaks, and so does a list where everything was taken."""

    def judge(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
        lost = new is not None and (old is None or any(one not in new.value for one in old.value))
        return (Impact.BREAKING, breaking) if lost else (Impact.COMPATIBLE, safe)

    return judge


def _told(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    """Where a reply tells something: a client reads the old place."""
    if old is None:
        return Impact.COMPATIBLE, "is told now"
    if new is None or any(place not in new.value for place in old.value):
        return Impact.BREAKING, "a client that reads the old place finds nothing"
    return Impact.COMPATIBLE, "is told in more places"


def _offered(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    if new is None:
        return Impact.BREAKING, "is not there any more"
    if old is None:
        return Impact.COMPATIBLE, "is new"
    return Impact.CHANGED, "is decided by the host now" if new.value == "decided" else "can be chosen now"


def _problem(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    if old is None:
        return Impact.CHANGED, "a problem that clients do not know yet"
    return Impact.COMPATIBLE, "a problem less"


def _required(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    if new is not None and new.value:
        return Impact.BREAKING, "a request without it is refused now"
    return Impact.COMPATIBLE, "may be left out now"


def _words(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    fresh = [word for word in new.value if old is None or word not in old.value] if new else []
    if fresh:
        return Impact.BREAKING, f"a client that does not know {', '.join(fresh)} polls for ever"
    return Impact.COMPATIBLE, "a word less"


def _restricted(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    if new is None:
        return Impact.COMPATIBLE, "is not demanded any more"
    return Impact.BREAKING, "values that were taken may be refused"


def _policy(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    if new is not None and new.value == "refused":
        return Impact.BREAKING, "a request with a key that the host does not know is refused now"
    return Impact.COMPATIBLE, "unknown keys do no harm now"


def _limit(old: Fact | None, new: Fact | None) -> tuple[Impact, str]:
    if new is None:
        return Impact.COMPATIBLE, "the limit is gone"
    if old is None or _pace(new.value) < _pace(old.value):
        return Impact.BREAKING, "a client at its old pace is held back"
    return Impact.COMPATIBLE, "the limit is wider or counts otherwise"


def _pace(value: Sequence[Any]) -> float:
    return float(value[1]) / float(value[2] or 1.0)


_LESS = "what was taken above the new limit is refused", "the limit is wider"
_MORE = "what was taken below the new limit is refused", "the limit is wider"
_SOONER = "who comes back later finds nothing", "is kept longer"

_TABLE: Mapping[tuple[str, str], Judge] = {
    ("parameter", "offered"): _offered,
    ("parameter", "name"): _always(Impact.BREAKING, "the old name is not known any more"),
    ("parameter", "required"): _required,
    ("parameter", "type"): _if_lost("a type that was taken is refused", "more types are taken"),
    ("parameter", "values"): _if_lost("a value that was taken is refused", "more values are taken"),
    ("parameter", "default"): _always(Impact.CHANGED, "the same request, leaving it out, gives another result"),
    ("parameter", "random"): _always(Impact.CHANGED, "another value asks for chance"),
    ("parameter", "matters"): _always(Impact.CHANGED, "it has its effect under another condition"),
    **{("parameter", word): _if_lower(*_LESS) for word in ("maximum", "exclusiveMaximum", "maxLength", "maxItems")},
    **{("parameter", word): _if_higher(*_MORE) for word in ("minimum", "exclusiveMinimum", "minLength", "minItems")},
    ("parameter", ""): _restricted,
    ("rule", "holds"): _restricted,
    ("operation", "offered"): _offered,
    ("operation", "address"): _always(Impact.BREAKING, "the old address is not served any more"),
    ("operation", "body"): _always(Impact.BREAKING, "the body has another form"),
    ("operation", "key"): _always(Impact.BREAKING, "who asks with or without a key is treated otherwise"),
    ("operation", "unknown fields"): _policy,
    ("operation", "follow"): _always(Impact.CHANGED, "whether the address is handed out or built"),
    ("reply", "status"): _if_lost("clients decide by the status code", "another status code may come as well"),
    ("reply", "media"): _if_lost("clients read the other kind of body", "another kind of body may come as well"),
    ("reply", ""): _told,
    ("state", "word"): _words,
    ("state", "status"): _always(Impact.CHANGED, "jobs begin in another state"),
    ("state", "moves"): _always(Impact.CHANGED, "jobs take other ways"),
    ("problem", "offered"): _problem,
    ("problem", "status"): _always(Impact.BREAKING, "clients tell problems apart by the status code"),
    ("problem", "code"): _always(Impact.BREAKING, "clients tell problems apart by the code"),
    ("problem", "message at"): _told,
    ("problem", "headers"): _if_lost("a header that clients may read is gone", "another header"),
    ("problem", ""): _always(Impact.CHANGED, "what to do about it is another"),
    ("job", "is"): _always(Impact.CHANGED, "jobs are begun or refused otherwise"),
    ("channel", "offered"): _offered,
    ("retention", "seconds"): _if_lower(*_SOONER),
    ("retention", "is"): _always(Impact.CHANGED, "what is forgotten is told otherwise"),
    ("polling", "seconds"): _always(Impact.CHANGED, "the host asks for another pace"),
    ("polling", "is"): _always(Impact.CHANGED, "the host asks for another pace"),
    ("limit", "is"): _limit,
    ("price", "is"): _always(Impact.CHANGED, "a job costs otherwise"),
    ("output", "is"): _always(Impact.CHANGED, "what comes out is another"),
    ("access", "is"): _always(Impact.BREAKING, "calls go elsewhere, or carry their key otherwise"),
}
"""By topic and aspect; an empty aspect stands for all others of the topic."""


# ------------------------------------------------------------------------------------------- drift


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One thing that is otherwise in the last run than in the first."""

    endpoint: str
    kind: str
    """`finding`, `coverage`, `state`, `cost` or `latency`."""
    subject: str
    before: str
    after: str
    says: str
    worse: bool


def drift(runs: Sequence[Run]) -> tuple[Shift, ...]:
    """What shifted between the first and the last of the runs that looked at an endpoint, the worse first.

    Runs are taken in the order of their start. An endpoint that only one run looked at says nothing.
    """
    ordered = sorted(runs, key=lambda run: run.started)
    seen: dict[str, list[tuple[Run, Verdict]]] = {}
    for run in ordered:
        for verdict in run.verdicts:
            seen.setdefault(verdict.endpoint, []).append((run, verdict))
    shifts = [
        shift
        for endpoint, pairs in seen.items()
        if len(pairs) > 1
        for reader in (_findings, _coverage, _cost, _latency)
        for shift in reader(endpoint, pairs[0], pairs[-1])
    ]
    return tuple(sorted(shifts, key=lambda s: (not s.worse, s.endpoint, s.kind, s.subject)))


Looked = tuple[Run, Verdict]


def _findings(endpoint: str, first: Looked, last: Looked) -> Iterator[Shift]:
    before = {finding.key: finding for finding in first[1].findings}
    after = {finding.key: finding for finding in last[1].findings}
    for key in sorted(before.keys() ^ after.keys()):
        came = key in after
        finding = after[key] if came else before[key]
        yield Shift(
            endpoint=endpoint,
            kind="finding",
            subject=f"{finding.check} {finding.subject}".strip(),
            before="" if came else finding.says,
            after=finding.says if came else "",
            says=f"a {finding.severity.value} {'appeared' if came else 'is gone'}",
            worse=came and finding.severity is not Severity.QUESTION,
        )


def _coverage(endpoint: str, first: Looked, last: Looked) -> Iterator[Shift]:
    """Facts that one run exercised and the other could not; states that were seen and are not."""
    before = {(cover.kind, cover.name): cover for cover in first[1].coverage}
    for cover in last[1].coverage:
        earlier = before.get((cover.kind, cover.name))
        if earlier is not None and earlier.seen != cover.seen:
            yield Shift(
                endpoint=endpoint,
                kind="state" if cover.kind in ("state", "move") else "coverage",
                subject=f"{cover.kind} {cover.name}",
                before="seen" if earlier.seen else earlier.why_not or "not seen",
                after="seen" if cover.seen else cover.why_not or "not seen",
                says="is exercised now" if cover.seen else "was exercised and is not any more",
                worse=not cover.seen,
            )


def _cost(endpoint: str, first: Looked, last: Looked) -> Iterator[Shift]:
    """Known spending for each accepted job; silent where a run has jobs of unknown cost."""
    told = [
        (v.summary.spent, v.summary.spent.amount / v.summary.jobs)
        for _, v in (first, last)
        if v.summary.spent and v.summary.jobs and not v.summary.unknown_spend
    ]
    if len(told) == 2 and told[0][0].unit == told[1][0].unit and told[0][1] != told[1][1]:
        (spent, before), (_, after) = told
        yield Shift(
            endpoint=endpoint,
            kind="cost",
            subject="per job",
            before=f"{before:f} {spent.unit}",
            after=f"{after:f} {spent.unit}",
            says="a job costs more" if after > before else "a job costs less",
            worse=after > before,
        )


NOTICED = 0.01
"""Seconds by which the median of a call must have moved to be worth telling."""


def _latency(endpoint: str, first: Looked, last: Looked) -> Iterator[Shift]:
    before, after = (_times(run, verdict) for run, verdict in (first, last))
    for operation in sorted(before.keys() & after.keys()):
        old, new = median(before[operation]), median(after[operation])
        if old is None or new is None or old[1] <= new[2] and new[1] <= old[2]:
            continue  # too few, or their intervals overlap
        if abs(new[0] - old[0]) < NOTICED:
            continue  # the machine of the runs, not the host
        yield Shift(
            endpoint=endpoint,
            kind="latency",
            subject=operation,
            before=_interval(old),
            after=_interval(new),
            says="calls take longer" if new[0] > old[0] else "calls are faster",
            worse=new[0] > old[0],
        )


def _times(run: Run, verdict: Verdict) -> dict[str, list[float]]:
    """Seconds of the whole calls by operation; of runs of one endpoint only, since calls name no endpoint."""
    found: dict[str, list[float]] = {}
    for exchange in run.exchanges if len(run.verdicts) == 1 else ():
        if exchange.reply is not None and exchange.reply.status < 300 and exchange.operation:
            found.setdefault(exchange.operation, []).append(exchange.took)
    return found


def median(values: Sequence[float]) -> tuple[float, float, float] | None:
    """The median with an interval that holds it 19 times of 20 whatever the law (order statistics).

    None for fewer than six values, which no such interval has.
    """
    n, ordered = len(values), sorted(values)
    if n < 6:
        return None
    outside, rank = 0.0, 0
    while outside + comb(n, rank) / 2**n <= 0.025:
        outside += comb(n, rank) / 2**n
        rank += 1
    return statistics.median(ordered), ordered[rank - 1], ordered[n - rank]


def _interval(told: tuple[float, float, float]) -> str:
    return f"{told[0]:.3g} s ({told[1]:.3g} to {told[2]:.3g})"
