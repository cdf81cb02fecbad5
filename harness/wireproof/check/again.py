"""A line for a shell that shows a finding again: one call, or the few calls of a job up to what was seen."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from wireproof.check.registry import Check
from wireproof.check.trace import JobTrace, Trace
from wireproof.model import ONCE_OVER, Credential, Endpoint, Exchange, Finding
from wireproof.secrets import curl

FRESH_ID = (
    "$(od -An -vN16 -tx1 /dev/urandom | tr -d ' \\n' | "
    r"sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.*\)$/\1-\2-4\3-8\4-\5/')"
)
"""A random UUID, with nothing but what every shell has beside it."""

MOST_SAME = 40
"""So often the same question is asked in a row at most."""


def line(trace: Trace, finding: Finding, exchanges: Sequence[Exchange], check: Check) -> str:
    """The line; empty where the finding names no call. It holds no key of ours: keys come from the environment.

    `check`: the one that found it. How a job went on is not shown by its last call alone, and of calls that
    show the same each by itself the smallest does.
    """
    asked = [exchange for exchange in exchanges if exchange.seq in finding.evidence]
    if not asked:
        return ""
    shown = min(asked, key=lambda one: len(one.call.body) + len(one.call.url)) if check.alone else asked[-1]
    endpoint = trace.endpoint
    job = next((job for job in trace.jobs if job.label == shown.job), None)
    if (
        check.reads is JobTrace
        and job is not None
        and job.submit is not None
        and shown.operation in endpoint.operations
    ):
        told = _story(endpoint, job, shown, exchanges)
        if told:
            return told
    alone = _curl(endpoint, shown)
    own = _own_id(trace, shown)
    if not own or own not in alone:
        return alone
    # An id may be used once only: each time the line is carried out it takes another, in all of its calls.
    same = [one for one in asked if one is not shown and _own_id(trace, one) == own]
    words = [_named(_curl(endpoint, one), own) for one in (*same, shown)]
    if same and shown.meant == ONCE_OVER:
        words.insert(-1, f"sleep {max(0.0, shown.at - same[0].at):.2f}")
    return "; ".join([f"JOB={FRESH_ID}", *words])


def _curl(endpoint: Endpoint, exchange: Exchange) -> str:
    auth = endpoint.provider.auth
    variables = {
        Credential.GOOD: auth.env,
        Credential.UNTOLD: auth.env,
        Credential.OTHER: f"{auth.env}_2",
    }
    made = curl(exchange.call, env=variables.get(exchange.credential, ""), header=auth.header, prefix=auth.prefix)
    # Nearly a secret: the shell makes it of the secret, and nobody reads it.
    nearly = {
        Credential.NEAR: f"${{{auth.env}%?}}",
        Credential.BEYOND: f"${{{auth.env}}}${{{auth.env}#${{{auth.env}%?}}}}",
        Credential.CASED: f'$(printf %s "${auth.env}" | tr A-Za-z a-zA-Z)',
    }
    if exchange.credential in nearly and made.startswith("curl "):
        return f'{made} -H "{auth.header}: {auth.prefix}{nearly[exchange.credential]}"'
    nobodys = exchange.call.header(auth.header)
    if exchange.credential in (Credential.MALFORMED, Credential.UNKNOWN) and nobodys and made.startswith("curl "):
        # A key that opens nothing is no secret, and without it this would be another question.
        return f"{made} -H {shlex.quote(f'{auth.header}: {nobodys}')}"
    return made


def _own_id(trace: Trace, shown: Exchange) -> str:
    """The id that the call brings along, where it may be used once only; empty: it brings none."""
    seen = next((seen for seen in trace.seen if seen.seq == shown.seq), None)
    asked = seen.asked if seen else None
    bills = asked is not None and asked.operation.does.bills
    return asked.job or "" if asked and bills and trace.endpoint.provider.repeat_id != "new" else ""


def _named(words: str, id: str) -> str:
    """The words with the shell's `$JOB` in the place of the id."""
    parts = words.split(id)
    whole = parts[0]
    for part in parts[1:]:
        quoted = whole.count("'") % 2
        whole += ("'\"$JOB\"'" if quoted else '"$JOB"') + part
    return whole


@dataclass(frozen=True, slots=True)
class Round:
    """The same question, asked so often in a row, after so many seconds each."""

    exchange: Exchange
    times: int
    wait: float


def rounds(job: JobTrace, shown: Exchange, exchanges: Sequence[Exchange]) -> list[Round]:
    """What was asked about a job after its submit and until something was seen.

    What was asked several times is asked twice as often, so that no state passes between two questions.
    """
    begun = job.submit.seq if job.submit else shown.seq
    told = [e for e in exchanges if e.job == job.label and begun <= e.seq <= shown.seq and e.operation != "media"]
    found: list[tuple[Exchange, list[float]]] = []
    for before, one in pairwise(told):
        gap = max(0.0, one.at - before.at)
        if found and _same(found[-1][0], one):
            found[-1][1].append(gap)
        else:
            found.append((one, [gap]))
    return [
        Round(one, len(gaps), gaps[0])
        if len(gaps) == 1
        else Round(one, min(2 * len(gaps), MOST_SAME), sum(gaps) / len(gaps) / 2)
        for one, gaps in found
    ]


def _same(one: Exchange, other: Exchange) -> bool:
    return one.call == other.call and one.credential is other.credential


def _story(endpoint: Endpoint, job: JobTrace, shown: Exchange, exchanges: Sequence[Exchange]) -> str:
    """The calls of a job from its submit to what was seen, each wait as long as it was; '' where its id has no name."""
    submit, id = job.submit, job.id or ""
    if submit is None or not id or submit.seq >= shown.seq:
        return ""
    first = _curl(endpoint, submit.exchange)
    if id in first:
        begin = f"JOB={FRESH_ID}; {_named(first, id)}"
    else:
        name = _name_of(id, submit.reply.body if submit.reply else b"")
        if not name:
            return ""
        take = rf"""sed -n 's/.*"{name}" *: *"\([^"]*\)".*/\1/p' | head -n 1"""
        begin = f"""OUT=$({first}); printf '%s\\n' "$OUT"; JOB=$(printf '%s' "$OUT" | {take})"""
    return "; ".join([begin, *(_asked(endpoint, one, id) for one in rounds(job, shown, exchanges))])


def _asked(endpoint: Endpoint, one: Round, id: str) -> str:
    words = f"sleep {one.wait:.2f}; {_named(_curl(endpoint, one.exchange), id)}"
    return words if one.times == 1 else f"for n in $(seq {one.times}); do {words}; done"


def _name_of(id: str, body: bytes) -> str:
    """The member of a JSON body whose value is the id; '' where there is none that a shell could pick out."""
    try:
        waiting: list[Any] = [json.loads(body)]
    except (ValueError, RecursionError):
        return ""
    while waiting:
        match waiting.pop():
            case dict() as members:
                for name, value in members.items():
                    if value == id and name.replace("_", "").isalnum():
                        return str(name)
                waiting += members.values()
            case list() as items:
                waiting += items
    return ""
