"""What a client did, judged from the wire and from its process.

A rule is a record and a function, as a check is; it reads one `Played`: a scenario as a client went through
it. Where the contract or the scenario leaves a choice, both are right: no rule asks for the better of two
ways. Times are seconds of the mock's clock; what a busy machine can add is allowed for (`Played.slack`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urlsplit

from wireproof.check.media import header
from wireproof.check.registry import finding
from wireproof.check.trace import Seen, Trace
from wireproof.lifecycle import Status, is_final
from wireproof.model import Does, Exchange, Finding, Kind, Severity
from wireproof.secrets import Redactor
from wireproof.spec.values import outputs_of
from wireproof.wire.requests import at_host

FLOOD = 0.2
"""Seconds: whoever polls faster than this, call after call, floods. Hosts ask for one to three."""
IN_A_ROW = 8
"""So many polls in a row make a habit."""
AT_ONCE = 0.2
"""Seconds: another try sooner than this after trouble is no pause."""
STALL = 15.0
"""Seconds that an unfinished job may be left alone, unless the contract asks for longer waits."""
HEAP = 3
"""So many questions about one job under way at once are a heap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the client's process ended."""

    code: int | None
    """None: it had to be stopped."""
    stdout: str = ""
    stderr: str = ""
    at: float = 0.0
    """Seconds of the mock's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One scenario as a client went through it."""

    scenario: str
    trace: Trace
    ends: str = "either"
    """How a careful client ends: `success`, `failure`, or `either`."""
    again: str = "may"
    foreign: frozenset[int] = frozenset()
    """Numbers of the exchanges that came in at another origin than the one the client was given."""
    key: str = ""
    slack: float = 0.0
    """Seconds of the mock's clock that pass while a busy machine is late."""
    wall: float = 0.0
    """Seconds since 1970 at the clock's 0."""
    taken: int | None = None
    """How many jobs the host took; None: only the trace can tell."""
    ids: frozenset[str] | None = None
    """Ids of those jobs."""
    bound: float = 0.0
    """Seconds in which the client had to end."""
    ended: Ended | None = None
    """None: it ran inside a test, and there is no process to judge."""

    @property
    def code(self) -> int | None:
        return self.ended.code if self.ended else None

    @property
    def submits(self) -> list[Seen]:
        """Calls that ask for paid work."""
        return [seen for seen in self.trace.seen if seen.operation and seen.operation.does.bills]

    @property
    def asks(self) -> list[Seen]:
        """Questions about a job."""
        wanted = (Does.STATUS, Does.RESULT)
        return [seen for seen in self.trace.seen if seen.operation and seen.operation.does in wanted]


@dataclass(frozen=True, slots=True)
class Rule:
    """One habit that is judged."""

    id: str
    name: str
    answers: tuple[str, ...]
    """Rows of the catalogue of client defects."""
    judge: Callable[[Played], Iterator[Finding]]

    @property
    def promise(self) -> str:
        """The first line of its page."""
        return self.page.partition("\n")[0]

    @property
    def page(self) -> str:
        """What a careful client does, and what it costs to do otherwise."""
        return inspect.cleandoc(self.judge.__doc__ or "")


RULES: dict[str, Rule] = {}


def rule(id: str, *answers: str) -> Callable[[Callable[[Played], Iterator[Finding]]], Rule]:
    """Enter a function into the table of rules."""

    def enter(judge: Callable[[Played], Iterator[Finding]]) -> Rule:
        RULES[id] = Rule(id, judge.__name__.replace("_", " "), answers, judge)
        return RULES[id]

    return enter


HIDES: Mapping[str, tuple[str, ...]] = {
    "CLI001": ("CLI013", "CLI014"),
    "CLI003": ("CLI004", "CLI008"),
    "CLI007": ("CLI008", "CLI014"),
    "CLI010": ("CLI013", "CLI014"),
    "CLI017": ("CLI015",),
}
"""What follows from another finding of the same scenario, and is not told beside it."""


def judge(played: Played) -> tuple[Finding, ...]:
    """Everything that a client did wrong in one scenario. Subjects are `<scenario>:<rule>`, with what it is about
    behind it where one rule finds several things."""
    found = [
        replace(
            one,
            check=each.id,
            endpoint=played.trace.endpoint.name,
            subject=_subject(played, each, one),
            says=f"{played.scenario}: {one.says}",
        )
        for each in RULES.values()
        for one in each.judge(played)
    ]
    hidden = {id for one in found if one.severity is Severity.VIOLATION for id in HIDES.get(one.check, ())}
    return tuple({one.key: one for one in found if one.check not in hidden}.values())


def _subject(played: Played, each: Rule, one: Finding) -> str:
    return ":".join(filter(None, (played.scenario, each.id, one.subject)))


# ----------------------------------------------------------------------------------- what was sent


@rule("CLI001", "C-33", "C-34", "C-35")
def requests_keep_the_contract(played: Played) -> Iterator[Finding]:
    """Every request is one that the contract allows.

    A parameter that the model does not take, a value out of bounds or of another type is refused, or taken
    for something else and billed.
    """
    for seen in played.submits:
        for breach in seen.breaches:
            yield finding(
                f"the client sent a request that breaks the contract: {breach.says}",
                subject=f"{breach.parameter or 'body'}.{breach.rule}",
                proof=breach.evidence,
                where=breach.where,
                expected=f"{breach.parameter or 'the body'} keeps the rule `{breach.rule}`",
                actual=repr(breach.value)[:200] if breach.value is not None else "",
                evidence=[seen.seq],
            )
    for seen in played.trace.seen if played.ends == "success" else ():
        if seen.asked is None and _is_stray(played, seen) and not _is_half_an_id(played, seen):
            yield finding(
                f"the client called an address that the contract does not know: {_path(seen)}",
                subject=f"address {seen.exchange.call.method} {_path(seen)[:80]}",
                severity=Severity.QUESTION,
                evidence=[seen.seq],
            )


def _path(seen: Seen) -> str:
    return urlsplit(seen.exchange.call.url).path


def _is_stray(played: Played, seen: Seen) -> bool:
    exchange = seen.exchange
    return exchange.operation != "media" and exchange.output is None and seen.seq not in played.foreign


@rule("CLI002", "C-01", "C-02")
def one_call_makes_one_job(played: Played) -> Iterator[Finding]:
    """However its replies get lost, one logical call starts one billable job.

    A submit that is repeated after a time-out, a reset or a 5xx under a new id is a second job: paid, and
    usually delivered to nobody.
    """
    submits = played.submits
    wanted = {_essence(seen) for seen in submits}
    told_off = sum(1 for job in played.trace.jobs if job.outcome not in (None, Status.SUCCEEDED))
    taken = played.taken if played.taken is not None else sum(job.taken for job in played.trace.jobs)
    if taken - told_off > len(wanted) > 0:
        yield finding(
            f"the client made {taken} billable jobs out of {_count(len(wanted), 'logical call')}",
            subject="",
            expected="one job for each logical call, or the same id on every attempt",
            actual=f"{len(submits)} submits, {taken} jobs",
            evidence=[seen.seq for seen in submits],
        )


def _essence(seen: Seen) -> str:
    """What a submit asks for: its values without those that must differ from call to call."""
    if seen.asked is None:
        return ""
    unique = {field.name for field in seen.asked.operation.request.fields if field.unique}
    return repr(sorted((name, repr(value)) for name, value in seen.asked.values.items() if name not in unique))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# ------------------------------------------------------------------------------------------- how often


@rule("CLI003", "C-14")
def polls_are_no_flood(played: Played) -> Iterator[Finding]:
    """A client leaves the host some time between two polls.

    Whoever asks as fast as the connection allows is rate limited, and takes the limit away from its own work.
    """
    for asks in _by_job(played.asks).values():
        gaps = [(b.exchange.at - a.exchange.at, b) for a, b in pairwise(asks) if _is_news(a)]
        for start in range(len(gaps) - IN_A_ROW + 1):
            window = gaps[start : start + IN_A_ROW]
            span = sum(gap for gap, _ in window)
            if span < FLOOD * IN_A_ROW:
                yield finding(
                    f"the client polled {IN_A_ROW} times within {span:.2f} s",
                    subject="",
                    expected=_advice(played),
                    actual=f"one poll every {span / IN_A_ROW:.3f} s, {len(asks)} polls in all",
                    evidence=[seen.seq for _, seen in window],
                )
                return


def _by_job(asks: Iterable[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for seen in asks:
        found.setdefault(seen.asked.job if seen.asked else "", []).append(seen)
    return found


def _is_news(seen: Seen) -> bool:
    """Whether the reply told something of the job."""
    return seen.reading is not None and seen.exchange.broke is None and bool(seen.reading.words or seen.reading.status)


def _advice(played: Played) -> str:
    every = played.trace.endpoint.provider.poll.every.seconds or 1.0
    return f"about one poll every {every:g} s"


@rule("CLI004", "C-14")
def trouble_slows_a_client_down(played: Played) -> Iterator[Finding]:
    """After a 429, a 5xx or a broken connection there is a pause before the next try.

    Clients that repeat at once keep an overloaded host down, and use up their tries within a second.
    """
    for group in (*_by_job(played.asks).values(), played.submits):
        hasty = [b for a, b in pairwise(group) if _is_trouble(a) and 0 <= b.exchange.at - _done(a) < AT_ONCE]
        if len(hasty) >= HEAP:
            yield finding(
                f"the client tried again at once {len(hasty)} times after trouble",
                subject="",
                expected="a pause that grows with every try",
                evidence=[seen.seq for seen in hasty[:20]],
            )
            return


def _is_trouble(seen: Seen) -> bool:
    reply = seen.reply
    return reply is None or reply.status == 429 or reply.status >= 500


def _done(seen: Seen) -> float:
    return seen.exchange.at + seen.exchange.took


@rule("CLI005", "C-16")
def a_told_wait_is_waited(played: Played) -> Iterator[Finding]:
    """Retry-After is read, in seconds and as a date, and kept.

    Calls within the wait are refused too, and with many hosts they lengthen it.
    """
    for group in (*_by_job(played.asks).values(), played.submits):
        for before, after in pairwise(group):
            wait = _told_wait(played, before)
            gap = after.exchange.at - _done(before)
            if wait and gap < wait * 0.9 - 0.05:
                yield finding(
                    f"the client was told to wait {wait:.1f} s and called again after {gap:.2f} s",
                    subject="",
                    expected=f"no call within the {wait:.1f} s",
                    actual=f"Retry-After: {before.reply.header('retry-after') if before.reply else ''}",
                    evidence=[before.seq, after.seq],
                )
                return


def _told_wait(played: Played, seen: Seen) -> float:
    """The seconds that a refusal asks for; 0: it asks for none. A date is only exact to a second."""
    reply = seen.reply
    if reply is None or reply.status not in (429, 503):
        return 0.0
    text = (reply.header("retry-after") or "").strip()
    try:
        return float(text) if text else 0.0
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, until - 1.0 - (played.wall + _done(seen)))


@rule("CLI006", "C-14")
def a_job_is_not_left_alone(played: Played) -> Iterator[Finding]:
    """An unfinished job is asked after again before long.

    A client that looks away for half a minute delivers half a minute late, and may miss what is kept briefly.
    """
    poll = played.trace.endpoint.provider.poll
    most = max(10 * (poll.every.seconds or 1.0), 2 * (poll.most.seconds or 0.0), STALL) + played.slack
    for asks in _by_job(played.asks).values():
        long = [
            (b.exchange.at - _done(a), b)
            for a, b in pairwise(asks)
            if _is_news(a) and not _is_over(a) and b.exchange.at - _done(a) > most
        ]
        if len(long) >= 2:
            yield finding(
                f"the client left an unfinished job alone for {max(gap for gap, _ in long):.0f} s, {len(long)} times",
                subject="",
                expected=f"{_advice(played)}, and never more than {most:.0f} s",
                evidence=[seen.seq for _, seen in long],
            )


def _is_over(seen: Seen) -> bool:
    return seen.reading is not None and seen.reading.status is not None and is_final(seen.reading.status)


@rule("CLI019", "C-15")
def one_question_at_a_time(played: Played) -> Iterator[Finding]:
    """A client waits for the answer to a poll before it sends the next one.

    A timer that fires regardless piles calls up on a host that is slow already.
    """
    for asks in _by_job(played.asks).values():
        for seen in asks:
            at = seen.exchange.at
            open_ = [other for other in asks if other.exchange.at <= at < _done(other) or other is seen]
            if len(open_) >= HEAP:
                yield finding(
                    f"{len(open_)} questions about one job were under way at once",
                    subject="",
                    expected="one",
                    evidence=[other.seq for other in open_],
                )
                return


# ------------------------------------------------------------------------------------------- how long


@rule("CLI007", "C-03", "C-04", "C-05", "C-11", "C-28")
def waiting_has_an_end(played: Played) -> Iterator[Finding]:
    """Every wait has a deadline of the client's own.

    A state that is missing from a list of ends, a job that is stuck or a host that falls silent must not keep
    a client for ever: it held 446 days on to one job.
    """
    if played.ended is not None and played.ended.code is None:
        yield finding(
            f"the client was still waiting after {played.bound:.0f} s and had to be stopped",
            subject="",
            expected="a deadline (divided by WIREPROOF_TIME_SCALE, as every wait)",
            actual=f"{len(played.asks)} polls; the last word of the host: {_last_word(played)}",
            evidence=[seen.seq for seen in (*played.submits[-1:], *played.asks[-3:])],
        )


def _last_word(played: Played) -> str:
    last = next((seen for seen in reversed(played.trace.seen) if seen.asked), None)
    if last is None:
        return "none"
    if last.reply is None:
        return last.exchange.broke or "none"
    return (last.reading.word if last.reading else None) or str(last.reply.status)


@rule("CLI008", "C-03")
def an_end_is_an_end(played: Played) -> Iterator[Finding]:
    """After the first final state a client asks no more than it needs.

    The result may be fetched once more; polling on is traffic that tells nothing and counts against the limit.
    """
    for job in played.trace.jobs:
        if job.end is None:
            continue
        told, _ = job.end
        later = [s for s in job.news if s.exchange.at >= _done(told) and s is not told and s.operation]
        polls = [s for s in later if s.operation and s.operation.does is Does.STATUS]
        whole = [s for s in later if s.operation and s.operation.does is Does.RESULT and _is_whole(s)]
        surplus = polls[1:] or whole[2:]
        if surplus:
            yield finding(
                f"the client went on asking after the job had ended: {_count(len(surplus), 'call')} too many",
                subject="",
                expected="no traffic after the end but the result",
                evidence=[told.seq, *(seen.seq for seen in surplus[:10])],
            )


def _is_whole(seen: Seen) -> bool:
    return _is_news(seen) and bool(seen.reading and seen.reading.outputs)


# ----------------------------------------------------------------------------------- what must not be


@rule("CLI009", "C-18", "C-19")
def what_cannot_get_better_is_not_tried_again(played: Played) -> Iterator[Finding]:
    """A refusal that the contract calls final is not repeated.

    A wrong key, an empty account, an invalid or a blocked request are the same the next time; some hosts
    bill or lock out for it.
    """
    refused: dict[str, list[Seen]] = {}
    for seen in played.submits:
        refused.setdefault(_essence(seen), []).append(seen)
    for group in refused.values():
        first = next((i for i, seen in enumerate(group) if _is_never(seen)), None)
        if first is not None and group[first + 1 :]:
            yield _repeated(group[first], group[first + 1 :], _why(group[first]))
    for asks in _by_job(played.asks).values():
        locked = [seen for seen in asks if seen.reply is not None and seen.reply.status in (401, 403)]
        if len(locked) > HEAP:
            yield _repeated(locked[0], locked[1:], "the key was refused")
    ended = [job for job in played.trace.jobs if job.outcome not in (None, Status.SUCCEEDED) and job.submit]
    if played.again == "never" and len(ended) > 1:
        yield _repeated(ended[0].submit, [job.submit for job in ended[1:]], "the content filter had blocked it")


def _repeated(first: Seen | None, rest: Sequence[Seen | None], why: str) -> Finding:
    return finding(
        f"the client tried again {_count(len(rest), 'time')} although {why}",
        subject="",
        expected="one try, and the host's reason",
        evidence=[seen.seq for seen in (first, *rest[:10]) if seen],
    )


def _is_never(seen: Seen) -> bool:
    problems = seen.reading.problems if seen.reading and seen.reading.alternative is None else ()
    return bool(problems) and all(one.retry == "never" for one in problems)


def _why(seen: Seen) -> str:
    problem = seen.reading.problem if seen.reading else None
    return f"the host had answered {seen.reply.status if seen.reply else ''} ({problem.name if problem else ''})"


@rule("CLI010")
def ids_are_sent_as_they_were_given(played: Played) -> Iterator[Finding]:
    """A job is asked after under the very id that the host gave it, escaped where it stands in an address.

    An id is any text. Unescaped, `a+b` asks after another job, and `a/b` after nothing at all.
    """
    if played.ids is None:
        return
    for seen in played.trace.seen:
        asked = seen.asked
        wrong = asked is not None and asked.operation.does.asks and _is_by_address(seen) and asked.job not in played.ids
        if wrong or _is_half_an_id(played, seen):
            yield finding(
                f"the client asked after an id that the host never gave: {unquote(_path(seen))[:120]}",
                subject="",
                expected=f"one of {', '.join(sorted(played.ids)) or 'none'}, with every reserved character escaped",
                evidence=[seen.seq],
            )
            return


def _is_by_address(seen: Seen) -> bool:
    return seen.operation is not None and "{job.id}" in seen.operation.request.path


def _is_half_an_id(played: Played, seen: Seen) -> bool:
    """Whether a call that fits no operation begins as one that asks after a job."""
    if seen.asked is not None or not _is_stray(played, seen):
        return False
    templates = [op.request.path for op in played.trace.endpoint.operations.values() if "{job.id}" in op.request.path]
    return any(_path(seen).startswith(re.split(r"\{job\.id\}|\?", path)[0]) for path in templates)


@rule("CLI011")
def links_are_followed_where_they_must_be(played: Played) -> Iterator[Finding]:
    """Where the contract says so, the handed-out address is used and not put together anew.

    A host that says `follow: link` is free to move its jobs to other addresses.
    """
    for job in played.trace.jobs:
        links = job.submit.reading.links if job.submit and job.submit.reading else {}
        for seen in job.news:
            operation = seen.operation
            link = links.get(operation.link or "") if operation and operation.follow == "link" else None
            if operation and link and at_host(link) != at_host(seen.exchange.call.url):
                yield finding(
                    f"the client put the address of {operation.name} together by itself",
                    subject=operation.name,
                    where=operation.where,
                    expected=link,
                    actual=seen.exchange.call.url,
                    evidence=[seen.seq],
                )


@rule("CLI012", "C-25", "C-26")
def a_key_goes_only_to_its_host(played: Played) -> Iterator[Finding]:
    """The key is sent to the origin that the client was given, in the place that the contract names, and nowhere else.

    Addresses in replies and redirects are words of a stranger; addresses end up in logs.
    """
    if not played.key:
        return
    for seen in played.trace.seen:
        call = seen.exchange.call
        if played.key in unquote(call.url):
            yield _leak("the client put its key into an address", seen, "url")
        elif seen.seq in played.foreign and _carries(call.headers, call.body, played.key):
            yield _leak(f"the client sent its key to another host: {urlsplit(call.url).netloc}", seen, "foreign")


def _carries(headers: Iterable[tuple[str, str]], body: bytes, key: str) -> bool:
    return any(key in value for _, value in headers) or key.encode() in body


def _leak(says: str, seen: Seen, subject: str) -> Finding:
    return finding(
        says, subject=subject, expected="the key goes to the configured origin, in its header", evidence=[seen.seq]
    )


# ------------------------------------------------------------------------------- what it made of it all


@rule("CLI013", "C-07", "C-24", "C-36")
def success_is_told_only_when_it_is_there(played: Played) -> Iterator[Finding]:
    """A client ends with 0 only when the host delivered what was asked for.

    Anything that is not called a failure was taken for a success: nothing, half of it, or an error came out.
    """
    if played.code != 0 or not played.trace.seen:
        return
    best = max((_delivered(seen) for seen in played.trace.seen), default=0)
    wanted = max((outputs_of(played.trace.endpoint, seen.values) for seen in played.submits), default=1)
    if best < wanted:
        yield finding(
            f"the client ended with 0, and the host delivered {best or 'nothing'} of {_count(wanted, 'picture')}",
            subject="",
            expected="an exit status other than 0, and the reason on stderr",
            actual=f"exit status 0; the last word of the host: {_last_word(played)}",
            evidence=[seen.seq for seen in played.trace.seen[-3:]],
        )


def _delivered(seen: Seen) -> int:
    """How many outputs a reply delivers as those of a job that succeeded."""
    reading = seen.reading
    if reading is None or seen.exchange.broke or reading.status is not Status.SUCCEEDED:
        return 0
    return len(reading.outputs)


@rule("CLI014", "C-06", "C-10", "C-47")
def trouble_that_passes_is_survived(played: Played) -> Iterator[Finding]:
    """A job that is well is brought home, whatever happens to a single call about it.

    The job is paid for: one 502, one reset or one 429 on a poll is no reason to lose it.
    """
    if played.ends == "success" and played.code not in (0, None):
        yield finding(
            f"the client ended with {played.code} although the job was well",
            subject="",
            expected="the picture, and exit status 0",
            actual=_last_line(played),
            evidence=[seen.seq for seen in (*played.submits[-1:], *played.asks[-3:])],
        )


def _last_line(played: Played) -> str:
    lines = [line.strip() for line in (played.ended.stderr if played.ended else "").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing on stderr"


@rule("CLI015", "C-20", "C-22", "C-24")
def the_reason_is_told(played: Played) -> Iterator[Finding]:
    """Whoever ends without a picture reads why: the host's own words, or at least its number.

    "Something went wrong" instead of "not enough credits" costs a support case each time.
    """
    if played.ended is None or played.code in (0, None) or played.ends == "success":
        return
    told = _flat(played.ended.stderr + " " + played.ended.stdout)
    reasons = _reasons(played)
    if not played.ended.stderr.strip():
        yield _silent(played, "the client failed without a word on stderr", reasons)
    elif reasons and not any(_flat(reason)[:40] in told for reason in reasons) and not _in_own_words(played, told):
        yield _silent(played, "the client failed and did not tell the host's reason", reasons)


OWN_WORDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.UNKNOWN_JOB: ("expired", "unknown", "not found", "gone", "no such", "no longer"),
    Kind.GONE: ("expired", "gone", "no longer"),
    Kind.NO_KEY: ("key", "unauthori", "authenticat"),
    Kind.BAD_KEY: ("key", "unauthori", "authenticat", "refused"),
    Kind.OUT_OF_CREDITS: ("credit", "balance", "funds", "payment"),
    Kind.RATE_LIMITED: ("rate", "too many", "limit"),
    Kind.TIMEOUT: ("timeout", "timed out"),
}
"""Words by which a client tells a kind of problem as well as the host does."""


def _in_own_words(played: Played, told: str) -> bool:
    """Whether the client names the kind of problem that it met, without quoting the host."""
    met = {p.kind for seen in played.trace.seen if _bad_news(seen) and seen.reading for p in seen.reading.problems}
    return any(word in told for kind in met for word in OWN_WORDS.get(kind, ()))


def _silent(played: Played, says: str, reasons: Sequence[str]) -> Finding:
    return finding(
        says,
        subject="",
        expected=f"one of: {'; '.join(dict.fromkeys(reasons))[:300]}" if reasons else "a reason",
        actual=_last_line(played),
        evidence=[seen.seq for seen in played.trace.seen if _bad_news(seen)][-3:],
    )


def _flat(text: str) -> str:
    return re.sub(r"[\s\\\"']+", " ", text).strip().lower()


def _bad_news(seen: Seen) -> bool:
    failed = seen.reading is not None and seen.reading.status not in (None, Status.SUCCEEDED) and _is_over(seen)
    return failed or (seen.reply is not None and seen.reply.status >= 400)


def _reasons(played: Played) -> list[str]:
    """What the host said went wrong: the words of a failed job, else the words and numbers of its refusals.

    Empty where it said nothing that could be told."""
    if any(_delivered(seen) for seen in played.trace.seen):
        return []
    bad = [seen for seen in played.trace.seen if seen.asked and _bad_news(seen)]
    final = [seen for seen in bad if seen.reading and seen.reading.alternative is not None and _is_over(seen)]
    return [word for seen in (final or bad) for word in _words(seen, with_number=not final)]


_SAID_IN = ("job.error", "job.error_code", "problem.message", "problem.code")


def _words(seen: Seen, *, with_number: bool) -> Iterator[str]:
    reading = seen.reading
    said = [text for name in _SAID_IN for text in reading.values(name) if isinstance(text, str)] if reading else []
    if not said and reading is not None:
        said = [text for text in _texts(reading.body) if text not in reading.words and text != reading.id]
    yield from (text for text in said if len(text) > 2 and not text.startswith("http"))
    if with_number and seen.reply is not None:
        yield str(seen.reply.status)


def _texts(value: Any) -> Iterator[str]:
    """The texts under the names by which errors are told."""
    match value:
        case dict():
            for name, inner in value.items():
                if name in ("error", "errors", "detail", "message", "msg", "reason", "code"):
                    yield from [inner] if isinstance(inner, str) else _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)


@rule("CLI016", "C-25")
def no_secret_is_shown(played: Played) -> Iterator[Finding]:
    """The key is on none of the client's outputs, in no form.

    What is printed is logged, and what is logged is read by many.
    """
    if played.ended is None or not played.key:
        return
    redactor = Redactor([played.key])
    shown = [name for name in ("stderr", "stdout") if redactor.shows(getattr(played.ended, name))]
    if shown:
        yield finding(
            f"the client's key is on its {' and '.join(shown)}", subject="", expected="no key, and no part of one"
        )


_TRACEBACKS = re.compile(
    r"^Traceback \(most recent call last\):"
    r"|^\s+at .+\(?(?:file://|node:|/|[A-Z]:\\).+:\d+:\d+\)?\s*$"
    r"|^panic: |^goroutine \d+ \["
    r"|^\s+at [\w.$]+\([\w]+\.java:\d+\)"
    r"|^thread '.+' panicked at ",
    re.MULTILINE,
)


@rule("CLI017", "C-22", "C-23")
def a_failure_is_told_in_words(played: Played) -> Iterator[Finding]:
    """A failure is a sentence on stderr and not the inside of a program.

    A traceback of a parse error hides the 502 behind it, and shows headers and bodies to whoever reads the log.
    """
    if played.ended is not None and _TRACEBACKS.search(played.ended.stderr):
        yield finding(
            "the client crashed: there is a traceback on stderr",
            subject="",
            expected="the reason in words",
            actual=_last_line(played),
            evidence=[seen.seq for seen in played.trace.seen[-2:]],
        )


@rule("CLI018", "C-29", "C-31")
def a_picture_is_whole_and_a_picture(played: Played) -> Iterator[Finding]:
    """What a client downloads it looks at, before it calls it a success.

    Half a file, a web page or an error in JSON was stored under the name of a picture.
    """
    if played.code != 0:
        return
    fetched: dict[str, list[Exchange]] = {}
    for seen in played.trace.seen:
        if seen.exchange.operation == "media" and seen.exchange.call.method == "GET":
            fetched.setdefault(_path(seen), []).append(seen.exchange)
    for path, tries in fetched.items():
        if not any(_is_picture(exchange) for exchange in tries):
            yield finding(
                f"the client ended with 0, and every fetch of {path[-60:]} brought something else than a whole picture",
                subject="",
                expected="an exit status other than 0, or another try",
                actual="; ".join(dict.fromkeys(map(_what_came, tries))),
                evidence=[exchange.seq for exchange in tries],
            )


def _is_picture(exchange: Exchange) -> bool:
    reply = exchange.reply
    return exchange.broke is None and reply is not None and reply.status == 200 and _magic(reply.body) in _PICTURES


_PICTURES = ("png", "jpeg", "webp", "gif")


def _magic(body: bytes) -> str:
    return header(body).magic


def _what_came(exchange: Exchange) -> str:
    if exchange.reply is None or exchange.broke:
        return exchange.broke or "no reply"
    return f"{exchange.reply.status} with {_magic(exchange.reply.body)}"


# --------------------------------------------------------------------------------------------- notes


def notes(played: Played) -> Iterator[str]:
    """What was seen and is nobody's fault for certain."""
    if played.code != 0 or not played.submits or played.scenario not in ("wrong-size", "wrong-format"):
        return
    asked = played.submits[-1].values
    for seen in played.trace.seen:
        exchange = seen.exchange
        if exchange.operation == "media" and exchange.reply and _is_picture(exchange):
            picture = header(exchange.reply.body)
            wish = ", ".join(f"{n} {asked[n]}" for n in ("width", "height", "aspect_ratio") if n in asked)
            yield (
                f"{played.scenario}: the client took a {picture.magic} of {picture.width}x{picture.height}"
                f"{f' for {wish}' if wish else ''}; whether that was noticed cannot be seen from outside."
            )
            return
