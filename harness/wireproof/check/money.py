"""Checks of the account: what is left on it, against what jobs are said to cost."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from wireproof.check.outputs import told_cost
from wireproof.check.registry import check, finding
from wireproof.check.trace import JobTrace, Trace
from wireproof.lifecycle import Status
from wireproof.model import Credential, Does, Finding, Price, Severity
from wireproof.money import exact, plain
from wireproof.spec.values import billed_of, price_of


@check(id="MON003", reads=Trace, trips_on=("balance-stands-still",))
def the_balance_falls_with_every_paid_job(trace: Trace) -> Iterator[Finding]:
    """Where replies tell what is left on the account, it falls as jobs are accepted.

    A balance that stands still or rises hides spending until the account is empty.
    """
    told: list[tuple[int, Decimal]] = []
    for job in trace.jobs:
        submit = job.submit
        if not job.taken or submit is None or submit.reading is None or submit.exchange.credential.value == "other":
            continue
        balance = exact(submit.reading.value("account.balance"))
        price = price_of(job.endpoint, job.values)
        if balance is not None and price is not None and price.amount > 0:
            told.append((submit.seq, balance))
    if len(told) >= STILL and all(before <= after for (_, before), (_, after) in pairwise(told)):
        where = trace.endpoint.price.where if trace.endpoint.price else trace.endpoint.where
        still = told[0][1] == told[-1][1]
        went = f"stayed at {plain(told[0][1])}" if still else f"rose from {plain(told[0][1])} to {plain(told[-1][1])}"
        yield finding(
            f"the balance {went} over {len(told)} accepted jobs",
            subject="balance",
            severity=Severity.QUESTION,
            where=where,
            evidence=[seq for seq, _ in told[:3]],
            expected="a balance that falls",
            actual=plain(told[-1][1]),
        )


STILL = 4
"""So many accepted jobs with a balance that never falls are no accident."""


@check(id="MON004", reads=Trace, trips_on=("charges-failures",))
def the_balance_gets_back_what_failed(trace: Trace) -> Iterator[Finding]:
    """Where replies tell what is left on the account, jobs that failed are not missing from it.

    A failure that is told as free and billed all the same is found by nobody but the balance.
    """
    price = trace.endpoint.price
    told = [(job, balance) for job in _own(trace) if (balance := _balance(job)) is not None]
    if price is None or len(told) < SPAN:
        return
    (first, before), (last, after) = told[0], told[-1]
    start, end = _seq(first), _seq(last)
    charged = [_cost(job) for job in _own(trace) if start < _seq(job) <= end]
    failed = [job for job in _own(trace) if _given_back(job, price) and job.end and start < job.end[0].seq < end]
    if not failed or None in charged or before - after != sum((one for one in charged if one), Decimal(0)):
        return
    outcomes = sorted({job.outcome.value for job in failed if job.outcome})
    yield finding(
        f"the balance fell by the price of every job, though {len(failed)} of them {' or '.join(outcomes)}",
        subject="failures not given back",
        proof=price.billed_evidence,
        where=price.where,
        evidence=[start, *(job.end[0].seq for job in failed if job.end), end],
        expected="no charge for what failed",
        actual=f"{plain(before)} to {plain(after)}",
    )


@check(id="MON005", reads=Trace, trips_on=("charges-twice",))
def the_balance_falls_by_what_jobs_cost(trace: Trace) -> Iterator[Finding]:
    """Where replies tell what is left on the account, each job takes away what it is said to cost.

    Whoever trusts the cost that is told runs out of credits at half of his budget. Others may use the account at
    the same time, so this is a question.
    """
    steps = list(_steps(trace))
    odd = [(job, fell, cost) for job, fell, cost in steps if fell != cost]
    if len(steps) < SPAN or not odd:
        return
    _, fell, cost = odd[0]
    price = trace.endpoint.price
    times = "each of" if len(odd) == len(steps) else "some of"
    yield finding(
        f"the balance fell by {plain(fell)} for a job of {plain(cost)}; it was wrong {times} {len(steps)} times",
        subject="balance and cost",
        severity=Severity.QUESTION,
        where=price.where if price else trace.endpoint.where,
        evidence=[_seq(job) for job, _, _ in odd[:3]],
        expected=plain(cost),
        actual=plain(fell),
    )


def _steps(trace: Trace) -> Iterator[tuple[JobTrace, Decimal, Decimal]]:
    """By how much the balance fell from each job's submit to the next one's, and what that job costs.

    Only as long as no job is over that may be given back, and where the balance fell at all."""
    before: Decimal | None = None
    for job in _own(trace):
        if job.outcome is not Status.SUCCEEDED:
            return
        after, cost = _balance(job), _cost(job)
        if before is not None and after is not None and cost is not None and after < before:
            yield job, before - after, cost
        before = after


SPAN = 3
"""So many balances are needed to see a job fail between the first and the last of them."""


def _own(trace: Trace) -> list[JobTrace]:
    """The accepted jobs of our own account, in the order of their submits."""
    taken = [job for job in trace.jobs if job.taken and job.submit and job.submit.exchange.credential.value != "other"]
    return sorted(taken, key=_seq)


def _seq(job: JobTrace) -> int:
    return job.submit.seq if job.submit else 0


def _balance(job: JobTrace) -> Decimal | None:
    reading = job.submit.reading if job.submit else None
    return exact(reading.value("account.balance")) if reading else None


def _cost(job: JobTrace) -> Decimal | None:
    """What the host set aside for a job at its submit: what it then said, else the contract's price; None where
    nobody says. A job that is over at once may be told as free already."""
    told = told_cost(job.submit.reading) if job.submit else None
    price = price_of(job.endpoint, job.values)
    return told or (price.amount if price else None)


def _given_back(job: JobTrace, price: Price) -> bool:
    ended = job.outcome in (Status.FAILED, Status.MODERATED)
    return ended and billed_of(price, str(job.outcome.value if job.outcome else "")) == "zero" and bool(_cost(job))


@check(id="MON006", reads=Trace, trips_on=("account-drained",))
def the_account_pays_for_jobs_and_for_nothing_else(trace: Trace) -> Iterator[Finding]:
    """Where results tell what is left on the account, all that is gone from it is what the run's jobs cost.

    A bill for refusals, for polls, or twice for one job is told nowhere else. Others may use the account at the same
    time, so this is a question.
    """
    price = trace.endpoint.price
    told = sorted(first for job in _own(trace) if (first := _told_with_results(job)) is not None)
    if price is None or len(told) < STILL:
        return
    grain = min(Decimal(1).scaleb(int(one.as_tuple().exponent)) for _, one in told)
    (most_at, most), (least_at, least) = max(told, key=lambda t: t[1]), min(told, key=lambda t: t[1])
    fell, owed = most - least, _owed(trace, most_at, least_at)
    if owed is None or fell <= owed + grain and not (fell == 0 and _plain_sum(trace, price) > grain):
        return
    if any(after - before > owed for (_, before), (_, after) in pairwise(told)):
        return  # somebody has paid something in
    yield finding(
        f"the balance stayed at {plain(most)} over {len(told)} results"
        if fell == 0
        else f"the balance fell by {plain(fell)} while jobs cost {plain(owed)}",
        subject="account",
        severity=Severity.QUESTION,
        where=price.where,
        evidence=sorted({most_at, least_at}),
        expected=f"{plain(owed)} at most" if fell else "a balance that falls",
        actual=plain(fell),
    )


def _told_with_results(job: JobTrace) -> tuple[int, Decimal] | None:
    """When a job that is over first told what is left, and how much that is: later it may tell the same once more.

    What submits tell is judged by MON005."""
    for seen in job.news:
        if seen.exchange.credential is not Credential.GOOD or not seen.accepted or seen.reading is None:
            continue
        ended = seen.reading.status is Status.SUCCEEDED or (seen.operation and seen.operation.does is Does.RUN)
        balance = exact(seen.reading.value("account.balance")) if ended else None
        if balance is not None:
            return seen.seq, balance
    return None


def _owed(trace: Trace, since: int, until: int) -> Decimal | None:
    """What the jobs cost together that may be missing from the balance between two tellings. None where nobody knows
    of one. A host may tell what was left before the job itself, or when it ended: that one counts, too."""
    whole, price = _lost(trace), trace.endpoint.price
    for job in _own(trace):
        if job.tangled or job.misled:
            return None
        told = _told_with_results(job)
        free = price is not None and job.outcome is not None and billed_of(price, job.outcome.value) == "zero"
        if free or _seq(job) > until or (told is not None and told[0] < since):
            continue
        cost = _dearest(job)
        if cost is None:
            return None
        whole += cost
    return whole


def _lost(trace: Trace) -> Decimal:
    """What submits cost whose answer says neither that there is a job nor that there is none."""
    whole = Decimal(0)
    for seen in trace.seen:
        if seen.operation is None or not seen.operation.does.bills or seen.exchange.credential is not Credential.GOOD:
            continue
        taken = seen.reading is not None and seen.reading.alternative is not None
        refused = (
            seen.reply is not None
            and seen.reading is not None
            and bool(seen.reading.problems)
            and seen.reply.status < 500
        )
        price = price_of(trace.endpoint, seen.values)
        whole += price.amount if price and not taken and not refused else Decimal(0)
    return whole


def _dearest(job: JobTrace) -> Decimal | None:
    """The most that is said of what a job costs."""
    price = price_of(job.endpoint, job.values)
    said = [told_cost(seen.reading) for seen in job.news]
    return max([one for one in (*said, price.amount if price else None) if one is not None], default=None)


def _plain_sum(trace: Trace, price: Price) -> Decimal:
    """What the jobs that are over and paid for cost by the contract's price."""
    paid = [job for job in _own(trace) if job.outcome is not None and billed_of(price, job.outcome.value) == "full"]
    return sum((one.amount for job in paid if (one := price_of(job.endpoint, job.values))), Decimal(0))
