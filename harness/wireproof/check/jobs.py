"""Checks of whole jobs: their states over time, their ids, and how long they are remembered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from statistics import median_high
from typing import Any

from wireproof.check.media import distance
from wireproof.check.registry import check, finding
from wireproof.check.trace import JobTrace, Seen, Trace, misplaced_word, provocation
from wireproof.lifecycle import Status, is_final, may_follow
from wireproof.model import (
    Alternative,
    Confidence,
    Credential,
    Does,
    Endpoint,
    Evidence,
    Finding,
    Kind,
    Means,
    Severity,
    Shape,
    State,
    Where,
)
from wireproof.wire.bodies import MISSING, names
from wireproof.wire.replies import Reading

UNKNOWN = Evidence(confidence=Confidence.UNKNOWN)


def _states(job: JobTrace) -> list[State]:
    return list(job.endpoint.provider.states.values())


def _all_documented(job: JobTrace) -> bool:
    """Whether the host says which states there are, so that another one breaks a promise."""
    return all(state.evidence.binds for state in _states(job)) and any(s.status is Status.FAILED for s in _states(job))


@check(id="JOB001", reads=JobTrace, trips_on=("undocumented-state",))
def a_state_is_one_that_the_contract_lists(job: JobTrace) -> Iterator[Finding]:
    """A job is only ever in states that the contract lists.

    A client's loop ends at the states it knows. With an unknown word it polls for ever, or gives up a job
    that is still running and paid for.
    """
    known = job.endpoint.provider.states
    for seen in job.news:
        for word in seen.reading.words if seen.reading else ():
            near = next((k for k in known if k.lower() == word.strip().lower()), None)
            if word not in known and near is not None:
                yield finding(
                    f"the state {near} was spelled {word!r}",
                    subject="spelling of states",
                    proof=known[near].evidence,
                    where=known[near].where,
                    evidence=[seen.seq],
                    expected=near,
                    actual=word,
                )
            elif word not in known:
                yield finding(
                    f"the job was in a state {word!r} that the contract does not list",
                    subject=f"state {word}",
                    proof=_states(job)[0].evidence if _all_documented(job) else UNKNOWN,
                    where=_states(job)[0].where,
                    evidence=[seen.seq],
                    expected=f"one of {', '.join(known)}",
                    actual=word,
                )


@check(id="JOB002", reads=JobTrace, trips_on=("rises-from-the-dead", "completed-then-failed"))
def a_final_state_is_final(job: JobTrace) -> Iterator[Finding]:
    """Once a job has succeeded, failed or been stopped, it stays so.

    A client stops polling at the first final state and never sees a later one: a success that turns into a
    failure is a picture that is not there, a failure that turns into a success one that is paid and lost.
    """
    for (before, was), (after, now) in _changes(job):
        if is_final(was):
            yield _moved(job, before, after, was, now, "after the job was over, its state changed")


@check(id="JOB003", reads=JobTrace, trips_on=("steps-back",))
def a_job_never_goes_back(job: JobTrace) -> Iterator[Finding]:
    """States only move forward: a job that runs is not queued again.

    Progress that goes backwards breaks time-outs and progress bars, and hides that the work was restarted.
    """
    for (before, was), (after, now) in _changes(job):
        if not is_final(was) and not may_follow(was, now):
            yield _moved(job, before, after, was, now, "the job went back")


def _changes(job: JobTrace) -> Iterator[tuple[tuple[Seen, Status], tuple[Seen, Status]]]:
    """Each change of what the status operation tells; what the result says is compared by JOB007."""
    for before, after in pairwise([pair for pair in job.told if not _is_result(pair[0])]):
        if before[1] is not after[1]:
            yield before, after


def _is_result(seen: Seen) -> bool:
    return seen.operation is not None and seen.operation.does is Does.RESULT


def _moved(job: JobTrace, before: Seen, after: Seen, was: Status, now: Status, says: str) -> Finding:
    old, new = _word(before, was), _word(after, now)
    state = job.endpoint.provider.states.get(old)
    return finding(
        f"{says}: {old} became {new}",
        subject=f"{was.value} -> {now.value}",
        where=state.where if state else job.endpoint.where,
        evidence=[before.seq, after.seq],
        expected=f"{old}, or a state after it",
        actual=new,
    )


def _word(seen: Seen, status: Status) -> str:
    return (seen.reading.word if seen.reading else None) or status.value


@check(id="JOB004", reads=JobTrace, trips_on=("failed-with-200", "state-under-other-code"))
def a_state_comes_with_its_documented_code(job: JobTrace) -> Iterator[Finding]:
    """Each state is served with the status code that the contract gives it.

    Where a failure is documented as 422, a client that looks at the code takes a failure with 200 for good
    news and hands on a result that does not exist.
    """
    for seen in job.news:
        reading = seen.reading
        word = (reading.word or misplaced_word(seen)) if reading else None
        if "early" in seen.exchange.purpose:
            # What the result answers before its time, and with which code, nobody says.
            continue
        if reading is None or word not in job.endpoint.provider.states or seen.reply is None:
            continue
        proper = [a for a in reading.operation.alternatives if word in a.states]
        if not proper or (reading.alternative is not None and word in reading.alternative.states):
            continue
        if reading.operation.does is Does.SUBMIT:
            # A fast host may already be further than the first state.
            continue
        codes = sorted({code for a in proper for code in a.statuses})
        if seen.reply.status in codes:
            continue
        binding = [a for a in proper if a.evidence.binds]
        yield finding(
            f"{word} was served with {seen.reply.status}",
            subject=f"state with {seen.reply.status}",
            proof=(binding or proper)[0].evidence,
            where=proper[0].where,
            evidence=[seen.seq],
            expected=" or ".join(map(str, codes)),
            actual=str(seen.reply.status),
        )


@check(id="JOB005", reads=JobTrace, trips_on=("id-changes",))
def a_job_keeps_its_id(job: JobTrace) -> Iterator[Finding]:
    """Every reply about a job carries the id it was accepted under.

    The id is all that a client has to collect what it paid for.
    """
    brought = job.submit.asked.job if job.submit and job.submit.asked else ""
    for seen in job.news:
        if seen.reading is None or seen.reading.alternative is None or job.id is None:
            continue
        # The answer to a submit gives the id, or repeats the one that the client brought along.
        id = brought if seen is job.submit else job.id
        for value in seen.reading.values("job.id"):
            if id and str(value) != id:
                yield finding(
                    f"a reply about job {id} carries the id {value!r}",
                    subject="id",
                    where=seen.reading.operation.where,
                    evidence=[job.submit.seq if job.submit else seen.seq, seen.seq],
                    expected=id,
                    actual=str(value),
                )


@check(id="JOB007", reads=JobTrace, trips_on=("result-disagrees", "completed-without-result"))
def status_and_result_agree(job: JobTrace) -> Iterator[Finding]:
    """When the status says that a job has succeeded, the result is there and says the same.

    A client asks for the result once, when it is told to. One that is not there then, or tells of a failure,
    is a paid job whose outcome nobody can know.
    """
    yield from _too_soon(job)
    done = next((seen for seen, status in job.told if status is Status.SUCCEEDED and not _is_result(seen)), None)
    if done is None:
        return
    for seen in job.news:
        if seen.seq < done.seq or not _is_result(seen) or seen.reply is None or not seen.let_in:
            continue
        status = seen.reading.status if seen.reading else None
        if status is Status.SUCCEEDED or _passing(seen) or _is_over(job, seen) or _was_there(job, seen):
            continue
        if seen.reply.status < 300 and status is None and _words(seen) not in job.endpoint.provider.states:
            # No word is told by RPL002, one that is none by JOB001.
            continue
        what = _words(seen) or str(seen.reply.status)
        yield finding(
            f"the status said {_word(done, Status.SUCCEEDED)}, the result answers {what}",
            subject=f"result {'answers ' + str(seen.reply.status) if not _words(seen) else 'says otherwise'}",
            where=seen.reading.operation.where if seen.reading else job.endpoint.where,
            evidence=[done.seq, seen.seq],
            expected="the result",
            actual=what,
        )
        return


def _too_soon(job: JobTrace) -> Iterator[Finding]:
    """A result that is there while the status, asked later, says that the job is still at work."""
    there = next((seen for seen, status in job.told if status is Status.SUCCEEDED), None)
    if there is not None and not _is_result(there):
        # The status itself said so before: that it goes back is told by JOB002.
        return
    later = ((seen, status) for seen, status in job.told if there and seen.seq > there.seq and not _is_result(seen))
    for seen, status in later:
        if there is not None and not is_final(status):
            yield finding(
                f"the result said {_word(there, Status.SUCCEEDED)}, the status after it {_word(seen, status)}",
                subject="result before its time",
                proof=UNKNOWN,
                where=seen.operation.where if seen.operation else job.endpoint.where,
                evidence=[there.seq, seen.seq],
                expected=_word(there, Status.SUCCEEDED),
                actual=_word(seen, status),
            )
            return


def _is_over(job: JobTrace, seen: Seen) -> bool:
    """Whether the job's retention was over when it was asked after."""
    kept = job.endpoint.provider.retention.record.seconds
    return kept is not None and job.end is not None and seen.exchange.at - job.end[0].exchange.at >= kept


def _was_there(job: JobTrace, seen: Seen) -> bool:
    """Whether a result that is unknown now was told before: then it was forgotten, which JOB008 tells."""
    earlier = (other for other in job.news if other.seq < seen.seq and _is_result(other) and other.reading)
    return _says_unknown(seen) and any(o.reading and o.reading.status is Status.SUCCEEDED for o in earlier)


def _words(seen: Seen) -> str:
    return (seen.reading.word or "") if seen.reading else ""


def _passing(seen: Seen) -> bool:
    """A problem that says nothing about the job."""
    kinds = {p.kind for p in seen.reading.problems} if seen.reading else set()
    about = {Kind.UNKNOWN_JOB, Kind.GONE, Kind.FAILED, Kind.MODERATED, Kind.INVALID}
    return bool(kinds) and not kinds & about


@check(id="JOB008", reads=JobTrace, trips_on=("forgets-early", "not-found-after-submit", "batch-empty"))
def a_job_is_remembered_as_long_as_promised(job: JobTrace) -> Iterator[Finding]:
    """A job that was accepted is known under its id until its retention is over.

    Whoever fetches a little later than usual finds a job gone that was paid for. A job that is unknown right
    after its submit makes careful clients submit it again, and pay twice.
    """
    if not job.taken or job.submit is None or job.id is None:
        # Where no id was told, nobody can be asked to know it; that none was told is told by RPL002 and RPL003.
        return
    retention = job.endpoint.provider.retention
    ended = job.end[0].exchange.at if job.end else None
    for seen in job.news:
        if seen.reply is None or seen.reading is None or not seen.let_in:
            continue
        if not _says_unknown(seen) and not _says_nothing(seen):
            continue
        if _says_nothing(seen) and any(later.seq > seen.seq for later, _ in job.told):
            # Nothing yet.
            continue
        if seen.exchange.credential is Credential.OTHER:
            continue
        if _is_result(seen) and job.outcome is Status.SUCCEEDED and not _known_later(job, seen):
            # Told by JOB007: the result was never there.
            continue
        if _is_result(seen) and (ended is None or seen.exchange.at < ended):
            # What the result address answers before the end is not stated by anybody.
            continue
        age = seen.exchange.at - (ended if ended is not None else job.submit.exchange.at)
        if retention.record.seconds is not None and age < retention.record.seconds:
            proof = retention.record.evidence
        elif retention.record.seconds is None and ended is None:
            proof = Evidence()
        elif retention.record.seconds is None:
            proof = UNKNOWN
        else:
            continue
        if ended is None or seen.exchange.at < ended:
            proof = Evidence()
        if _says_nothing(seen):
            # Nothing may also mean nothing yet.
            proof = UNKNOWN
        yield finding(
            f"{seen.reading.operation.name} answered {_what(seen)} for a job that was "
            + ("accepted" if ended is None or seen.exchange.at < ended else f"over for {age:.1f} s"),
            subject="unknown while running" if ended is None or seen.exchange.at < ended else "forgotten",
            proof=proof,
            where=retention.record.where,
            evidence=[job.submit.seq, seen.seq],
            expected=f"known for {retention.record.seconds:g} s" if retention.record.seconds else "known",
            actual=str(seen.reply.status),
        )


def _says_unknown(seen: Seen) -> bool:
    reading = seen.reading
    return (
        reading is not None
        and reading.alternative is None
        and any(p.kind in (Kind.UNKNOWN_JOB, Kind.GONE) for p in reading.problems)
    )


def _says_nothing(seen: Seen) -> bool:
    """Whether the state of a job was asked for and the reply is one that tells of no job."""
    reading = seen.reading
    return (
        reading is not None
        and reading.operation.does is Does.STATUS
        and reading.alternative is not None
        and reading.alternative.means is Means.OTHER
    )


def _what(seen: Seen) -> str:
    reading, code = seen.reading, seen.reply.status if seen.reply else 0
    return f"{code} ({reading.alternative.name})" if reading and reading.alternative else str(code)


def _known_later(job: JobTrace, seen: Seen) -> bool:
    return any(_is_result(other) and other.reading and other.reading.status is Status.SUCCEEDED for other in job.news)


@check(id="JOB009", reads=Trace, trips_on=("never-ends",))
def a_job_ends(trace: Trace) -> Iterator[Finding]:
    """A job reaches a final state within the time after which the host's own clients give up.

    A job that never ends holds a slot, and keeps a client waiting that cannot know whether it will be billed. One
    that is at work many times as long as all the others is a question: it may yet end.
    """
    deadline = trace.endpoint.provider.poll.deadline
    usual = patience(trace.endpoint, taken(trace))
    for job in stuck(trace):
        since = waited(job)
        if job.tangled or job.misled or job.submit is None:
            continue
        late = deadline.seconds is not None and since >= deadline.seconds * AT_LAST
        last = next((w for seen in reversed(job.news) if (w := _words(seen))), "no state")
        yield finding(
            f"the job was not over after {since:.0f} s; its last state was {last}",
            subject="never over",
            proof=deadline.evidence if late else UNKNOWN,
            where=deadline.where,
            evidence=[job.submit.seq, job.news[-1].seq],
            expected=f"over within {deadline.seconds if late else usual:g} s",
            actual=last,
        )


AT_LAST = 0.9
"""The part of a deadline after which a job that is not over was not going to be."""
PATIENCE, SOON = 30.0, 10.0
"""Seconds that a job may take, at least: where nothing is known of others, and where others are known to be over."""
THRICE, MANY = 3.0, 10.0
"""Times the usual time of the contract, and times what others took."""


def patience(endpoint: Endpoint, others: float | None) -> float:
    """Seconds after which a job that is not over is stuck: not later than the deadline of the contract, and sooner
    where what others took (seconds; None: none is over) or the contract's usual time say so."""
    usual = endpoint.timing.queue + endpoint.timing.run
    enough = max(PATIENCE, THRICE * usual) if others is None else max(SOON, MANY * others)
    return min(endpoint.provider.poll.deadline.seconds or 600.0, enough)


def taken(trace: Trace) -> float | None:
    """Seconds that a job takes in the middle, of those that are over; None where none is."""
    known = [job.end[0].exchange.at - job.submit.exchange.at for job in trace.jobs if job.end and job.submit]
    return median_high(known) if known else None


def waited(job: JobTrace) -> float:
    """Seconds after which a job was still said to be at work; 0 where it is over, or was not asked after more than
    once."""
    polls = [seen for seen in job.news if seen.operation and seen.operation.does is Does.STATUS]
    told = [seen for seen, _ in job.told]
    if not job.taken or job.end is not None or job.submit is None or len(polls) < 2 or not told:
        return 0.0
    return told[-1].exchange.at - job.submit.exchange.at


def stuck(trace: Trace) -> list[JobTrace]:
    """The jobs that were followed as long as makes sense, and did not end."""
    usual = patience(trace.endpoint, taken(trace))
    return [job for job in trace.jobs if waited(job) >= usual * AT_LAST]


@check(id="JOB010", reads=JobTrace, trips_on=("progress-goes-back",))
def progress_only_grows(job: JobTrace) -> Iterator[Finding]:
    """Progress never goes back, and stays between 0 and 100.

    Clients draw it, and estimate the rest of the time from it.
    """
    last = None
    for seen in job.news:
        value = seen.reading.value("job.progress") if seen.reading else MISSING
        if value is MISSING or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if last is not None and value < last[0]:
            yield finding(
                f"progress went from {last[0]} back to {value}",
                subject="progress back",
                where=job.endpoint.where,
                evidence=[last[1], seen.seq],
                expected=f"at least {last[0]}",
                actual=str(value),
            )
        last = (value, seen.seq)


@check(id="JOB011", reads=JobTrace, trips_on=("shown-to-strangers",))
def a_job_is_shown_only_to_its_owner(job: JobTrace) -> Iterator[Finding]:
    """A job is answered only to the account that submitted it.

    Ids leak: into logs, tickets and browser histories. Whoever has one must not get the picture with it.
    """
    for seen in job.news:
        told = seen.reading.status if seen.reading else None
        shown = seen.reading is not None and told is not Status.FAILED and (told is not None or seen.reading.outputs)
        if seen.exchange.credential.value == "other" and seen.accepted and shown:
            yield finding(
                "another account was shown the job",
                subject="shown to another account",
                proof=UNKNOWN,
                where=seen.operation.where if seen.operation else job.endpoint.where,
                evidence=[seen.seq],
                expected="the answer to an unknown id",
                actual=str(seen.reply.status if seen.reply else ""),
            )


@check(id="JOB012", reads=JobTrace, trips_on=("failed-without-reason",))
def a_failure_says_why(job: JobTrace) -> Iterator[Finding]:
    """A job that fails says why, in the documented place.

    Without it nobody can tell a bad picture from a bad day, and the same request is paid for again.
    """
    for seen in job.news:
        reading = seen.reading
        if reading is None or reading.alternative is None:
            continue
        shape = reading.alternative.shape
        places = [f for f in reading.found if f.name == "job.error"]
        blank = bool(places) and all(isinstance(f.value, str) and not f.value.strip() for f in places)
        if shape is not None and blank and reading.alternative.means is Means.FAILED:
            yield _no_reason(seen, reading.alternative.evidence, shape.where, "an empty text")
        elif shape is not None and not places and _is_bare(seen, shape):
            yield _no_reason(seen, reading.alternative.evidence, shape.where, "nothing that could be one")
        elif not places and (proper := _with_reason(seen, reading)) is not None:
            # A word alone is not the documented form of a failure, and no promise says which form it takes here.
            yield _no_reason(seen, UNKNOWN, proper.where, "the state alone")


def _is_bare(seen: Seen, shape: Shape) -> bool:
    """Whether a failure has no member that could hold a reason, wherever its host may put it."""
    reading = seen.reading
    if reading is None or reading.alternative is None or reading.word not in reading.alternative.states:
        return False
    if reading.alternative.means is not Means.FAILED:
        return False
    body = reading.body
    members = shape.schema.get("properties", {})
    reasons = {name for name, node in members.items() if node.get("is") == "job.error"}
    return bool(reasons) and isinstance(body, dict) and set(body) <= set(members) - reasons


def _no_reason(seen: Seen, proof: Evidence, where: Where, actual: str) -> Finding:
    return finding(
        "the job failed without a reason",
        subject="no reason",
        proof=proof,
        where=where,
        evidence=[seen.seq],
        expected="a reason",
        actual=actual,
    )


def _with_reason(seen: Seen, reading: Reading) -> Alternative | None:
    """The form with a reason that a failure should have, where it is told in that of another state with that code."""
    chosen, code = reading.alternative, seen.reply.status if seen.reply else 0
    if reading.status is not Status.FAILED or chosen is None or reading.word in chosen.states:
        return None
    here = [a for a in reading.operation.alternatives if reading.word in a.states and code in a.statuses]
    return next((a for a in here if a.shape and "job.error" in names(a.shape)), None)


@check(id="JOB018", reads=JobTrace, trips_on=("expiry-moves", "picture-changes"))
def what_is_told_of_a_job_stays(job: JobTrace) -> Iterator[Finding]:
    """What is told of a job that is over is told again: its outputs, their ids and seeds, and when they expire.

    Whoever reads a result twice, or hands its address on, relies on it. Addresses may be signed anew each time.
    """
    for name, what in LASTING.items():
        for (before, was), (after, now) in pairwise(_told(job, name)):
            # Outputs that come one by one are more each time.
            if was == now or (len(was) < len(now) and set(was) <= set(now)):
                continue
            yield _otherwise(job, what, before.seq, after.seq, was, now)
            break
    yield from _other_pictures(job)


def _told(job: JobTrace, name: str) -> list[tuple[Seen, list[str]]]:
    """What was told of a job under a name, each time that it was: of its outputs in its results, of itself anywhere."""
    if not name.startswith("output."):
        each = ((seen, seen.reading.value(name)) for seen in job.news if seen.reading)
        return [(seen, [str(value)]) for seen, value in each if value is not MISSING]
    every = ((seen, [str(value) for value in seen.reading.values(name)]) for seen in job.results if seen.reading)
    return [(seen, values) for seen, values in every if values and not seen.is_error]


LASTING = {"output.id": "id of an output", "output.seed": "seed", "job.expires_at": "time of expiry"}


def _other_pictures(job: JobTrace) -> Iterator[Finding]:
    """An output that was fetched twice and is two pictures."""
    first: dict[int, tuple[int, Any]] = {}
    for (seq, output), picture in sorted(job.pictures.items()):
        if picture.pixels is None or picture.magic not in ("png", "jpeg", "webp"):
            continue
        before, was = first.setdefault(output, (seq, picture))
        if was.pixels == picture.pixels or (was.thumb and picture.thumb and distance(was.thumb, picture.thumb) < ALIKE):
            continue
        yield _otherwise(job, "picture", before, seq, ["one picture"], ["another one"])
        return


def _otherwise(job: JobTrace, what: str, before: int, after: int, was: list[str], now: list[str]) -> Finding:
    kept = job.endpoint.provider.retention.record
    return finding(
        f"the {what} changed after it was told",
        subject=what,
        # Nobody says in so many words that it stays, except of the result as a whole.
        proof=kept.evidence if what == "picture" and kept.seconds is not None else UNKNOWN,
        where=kept.where if kept.where.file else job.endpoint.outputs.where,
        evidence=[before, after],
        expected=", ".join(was)[:120],
        actual=", ".join(now)[:120],
    )


ALIKE = 0.02
"""Two pictures whose thumbnails are closer than this may be one picture in two lossy files."""


@check(id="JOB015", reads=JobTrace, trips_on=("expired-at-once",))
def a_job_does_not_expire_before_it_is_taken(job: JobTrace) -> Iterator[Finding]:
    """The moment at which a job or its outputs expire lies after its submit, by the host's own clock.

    A client that goes by it fetches nothing, or fetches in vain.
    """
    submit = job.submit
    if not job.taken or submit is None or submit.reading is None or submit.reply is None:
        return
    told = _moment(submit.reading.value("job.expires_at"))
    now = submit.reply.header("date")
    if told is None or now is None:
        return
    try:
        sent = parsedate_to_datetime(now)
    except ValueError:
        return
    if told < sent:
        yield finding(
            f"the job expires at {told.isoformat()}, before it was taken ({sent.isoformat()})",
            subject="expiry",
            proof=submit.reading.alternative.evidence if submit.reading.alternative else UNKNOWN,
            where=submit.reading.operation.where,
            evidence=[submit.seq],
            expected="a moment to come",
            actual=told.isoformat(),
        )


@check(id="JOB016", reads=Trace, trips_on=("dies-young",))
def a_job_with_valid_values_succeeds(trace: Trace) -> Iterator[Finding]:
    """A job whose values are all allowed ends in success.

    No contract promises it, and any host has a bad day; this is a question. Whoever pays for retries wants to
    know how many jobs fail that have no reason to.
    """
    ended, failed = _of_good_will(trace), failed_for_nothing(trace)
    if len(failed) < TWICE:
        return
    told = {seen.reading.text("job.error")[:80] for job in failed for seen in job.news if seen.reading} - {""}
    yield finding(
        f"{len(failed)} of {len(ended)} jobs with valid values failed" + (f": {min(told)}" if told else ""),
        subject="valid jobs fail",
        severity=Severity.QUESTION,
        where=trace.endpoint.where,
        evidence=[job.end[0].seq for job in failed if job.end],
        expected="success",
        actual=_words(failed[0].end[0]) if failed[0].end else "",
    )


TWICE = 2
"""So many failures are no accident of one moment."""


def failed_for_nothing(trace: Trace) -> list[JobTrace]:
    """The jobs that failed though all of their values are allowed."""
    return [job for job in _of_good_will(trace) if job.outcome is Status.FAILED]


def _of_good_will(trace: Trace) -> list[JobTrace]:
    return [job for job in trace.jobs if job.taken and not job.tangled and job.end is not None and not _meant(job)]


def _meant(job: JobTrace) -> bool:
    """Whether a job was made to end in trouble, or breaks a rule that nobody promised to enforce."""
    return provocation(job.endpoint, job.values) is not None or bool(job.submit and job.submit.breaches)


@check(id="JOB017", reads=JobTrace, trips_on=("blocked-and-completed",))
def a_job_that_should_be_stopped_is_stopped(job: JobTrace) -> Iterator[Finding]:
    """A job that any content filter blocks does not end in success.

    What is blocked and what is delivered is the host's to decide; this is a question. Whoever shows the pictures
    to others wants to know that nothing was held back.
    """
    gift = provocation(job.endpoint, job.values)
    if gift is None or gift.status is not Status.MODERATED or job.end is None:
        return
    if {status for _, status in job.told if is_final(status)} != {Status.SUCCEEDED}:
        # Stopped; or told in two ways, which JOB002 and JOB007 tell.
        return
    yield finding(
        f"a job that should have been {gift.status.value} ended in success",
        subject=f"not {gift.status.value}",
        severity=Severity.QUESTION,
        where=gift.where,
        evidence=[*([job.submit.seq] if job.submit else []), job.end[0].seq],
        expected=gift.status.value,
        actual=_words(job.end[0]) or "success",
    )


def _moment(value: object) -> datetime | None:
    """A point in time as hosts write it: ISO 8601 with a zone, or seconds since 1970."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
