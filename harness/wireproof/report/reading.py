"""What a run amounts to, in the words that all reports share. Pure folds; nothing is judged again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from wireproof.model import Cover, Exchange, Finding, Run, Severity, Summary, Verdict
from wireproof.money import Money


class Outcome(StrEnum):
    """The three things that can be said of an endpoint, kept apart everywhere."""

    CONFORMS = "conforms"
    DIFFERS = "does not conform"
    UNTOLD = "could not tell"


UNSENT = frozenset({"lint", "diff", "drift", "compare", "explain"})
"""Commands that read contracts or records and send nothing: no call is no sign of trouble there."""

NOUN = {Severity.VIOLATION: "violation", Severity.DRIFT: "drift", Severity.QUESTION: "question"}
SEVERITIES = tuple(sorted(Severity, key=lambda severity: -severity.rank))
"""The gravest first."""


def untold(run: Run, verdict: Verdict) -> str:
    """Why nothing can be concluded about this endpoint; empty when something can."""
    if verdict.summary.stopped:
        return verdict.summary.stopped
    if run.command in UNSENT or verdict.summary.calls or any(cover.seen for cover in verdict.coverage):
        return ""
    return "nothing was tested"


def outcome(run: Run, verdict: Verdict) -> Outcome:
    """What the run says of this endpoint. A violation counts however much was left undone."""
    if any(finding.severity is Severity.VIOLATION for finding in verdict.findings):
        return Outcome.DIFFERS
    return Outcome.UNTOLD if untold(run, verdict) else Outcome.CONFORMS


def overall(run: Run) -> Outcome:
    """What the run says of everything it looked at: the worst there is; no verdict at all tells nothing."""
    outcomes = {outcome(run, verdict) for verdict in run.verdicts}
    if Outcome.DIFFERS in outcomes:
        return Outcome.DIFFERS
    return Outcome.CONFORMS if outcomes == {Outcome.CONFORMS} else Outcome.UNTOLD


def headline(run: Run) -> str:
    """The verdict of the run in one sentence."""
    counts = Counter(outcome(run, verdict) for verdict in run.verdicts)
    total = len(run.verdicts)
    if not total:
        return "Nothing was looked at"
    if len(counts) == 1:
        return f"{_subject(run)}{_UNANIMOUS[next(iter(counts))][total > 1]}"
    wrong = counts[Outcome.DIFFERS]
    if wrong:
        return f"{wrong} of {total} endpoints {'does' if wrong == 1 else 'do'} not conform"
    return f"{counts[Outcome.CONFORMS]} of {total} endpoints conform, the rest could not be told"


_UNANIMOUS = {
    Outcome.CONFORMS: (" conforms", " conform"),
    Outcome.DIFFERS: (" does not conform", " do not conform"),
    Outcome.UNTOLD: (": could not tell", ": could not tell"),
}
"""What is said of one, and of several."""


def _subject(run: Run) -> str:
    if len(run.verdicts) == 1:
        return run.verdicts[0].endpoint
    return "Both endpoints" if len(run.verdicts) == 2 else f"All {len(run.verdicts)} endpoints"


def tally(findings: Iterable[Finding]) -> dict[Severity, int]:
    """How many findings of each severity, the gravest first, zeros included."""
    counts = Counter(finding.severity for finding in findings)
    return {severity: counts[severity] for severity in SEVERITIES}


def counted(number: int, noun: str) -> str:
    """`1 call`, `2 calls`, `1,234 calls`."""
    return f"{number:,} {noun if number == 1 or noun == 'drift' else noun + 's'}"


def tally_words(findings: Iterable[Finding]) -> str:
    """`2 violations, 1 question`; `no findings` when there is none."""
    return ", ".join(counted(n, NOUN[severity]) for severity, n in tally(findings).items() if n) or "no findings"


def spend_words(summary: Summary) -> str:
    """What was spent. What nobody told, and what is set aside for it, is said, and never counted as nothing."""
    if summary.held is not None:
        return _with_aside(str(summary.spent or summary.held * 0), [summary.held])
    known = str(summary.spent) if summary.spent is not None else ""
    unknown = f"{counted(summary.unknown_spend, 'job')} of unknown cost" if summary.unknown_spend else ""
    return " + ".join(filter(None, (known, unknown))) or ("nothing" if not summary.jobs else "unknown")


def _with_aside(known: str, held: Sequence[Money]) -> str:
    aside = " + ".join(str(money) for money in held if money.amount)
    return f"{known}, {aside} set aside" if aside else known


def all_spend_words(run: Run) -> str:
    """What the whole run spent, in the same words."""
    summaries = [verdict.summary for verdict in run.verdicts]
    known = sums(summary.spent for summary in summaries)
    held = sums(summary.held for summary in summaries)
    # What is set aside covers the jobs whose cost nobody told, where a ledger was kept.
    unknown = sum(summary.unknown_spend for summary in summaries if summary.held is None)
    parts = [str(money) for money in known] + ([f"{counted(unknown, 'job')} of unknown cost"] if unknown else [])
    nothing = "unknown" if any(summary.jobs for summary in summaries) else "nothing"
    return _with_aside(" + ".join(parts) or nothing, held)


def sums(amounts: Iterable[Money | None]) -> tuple[Money, ...]:
    """What there is of each unit, added up."""
    found: dict[str, Money] = {}
    for money in amounts:
        if money is not None:
            found[money.unit] = found[money.unit] + money if money.unit in found else money
    return tuple(found[unit] for unit in sorted(found))


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the documented facts of one kind were exercised."""

    kind: str
    seen: int
    total: int

    @property
    def text(self) -> str:
        return f"{self.seen}/{self.total}"

    @property
    def part(self) -> float:
        """0 to 1."""
        return self.seen / self.total if self.total else 0.0


_KINDS = ("operation", "parameter", "value", "bound", "rule", "state", "move", "problem", "output", "step")


def shares(coverage: Iterable[Cover]) -> tuple[Share, ...]:
    """Coverage by kind of fact: the contract's own kinds in their order, then any others."""
    facts = tuple(coverage)
    total = Counter(cover.kind for cover in facts)
    seen = Counter(cover.kind for cover in facts if cover.seen)
    return tuple(Share(kind, seen[kind], total[kind]) for kind in sorted(total, key=_kind_order))


def _kind_order(kind: str) -> tuple[int, str]:
    return (_KINDS.index(kind) if kind in _KINDS else len(_KINDS), kind)


def unseen(coverage: Iterable[Cover]) -> dict[str, list[Cover]]:
    """The facts that were not exercised, by the reason why."""
    reasons: dict[str, list[Cover]] = {}
    for cover in coverage:
        if not cover.seen:
            reasons.setdefault(cover.why_not or "no reason given", []).append(cover)
    return reasons


def price_words(cover: Cover) -> str:
    """What testing a fact would cost, in words: `0.005 USD`, `free`; empty: no money buys it, or nobody says."""
    if cover.price is None:
        return ""
    return str(cover.price) if cover.price.amount else "free"


def by_number(run: Run) -> Mapping[int, Exchange]:
    """The exchanges by their sequence number."""
    return {exchange.seq: exchange for exchange in run.exchanges}


def answer(exchange: Exchange) -> str:
    """What came back, in a word or two: the status code, or what broke."""
    if exchange.broke:
        return f"{exchange.reply.status}, {exchange.broke}" if exchange.reply else exchange.broke
    return str(exchange.reply.status) if exchange.reply else "no answer"


def duration(seconds: float) -> str:
    """A length of time for people: `12 ms`, `3.4 s`, `2 min 5 s`, `1 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
