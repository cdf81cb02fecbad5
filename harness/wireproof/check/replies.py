"""Checks of single answers: status code, form, and whether a request got the answer it deserves."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from wireproof.check.registry import check, finding
from wireproof.check.trace import Seen, Trace, misplaced_word, provocation
from wireproof.generate.cases import ODD
from wireproof.lifecycle import Status, is_final
from wireproof.model import (
    ALMOST,
    GET_FOR_POST,
    GIVEN_UP,
    ONCE_MORE,
    REUSED,
    Confidence,
    Credential,
    Does,
    Evidence,
    Finding,
    HeaderField,
    Kind,
    Means,
    Problem,
    Reply,
    Severity,
    Shape,
    Where,
)
from wireproof.secrets import repeats
from wireproof.spec.values import effective, holds
from wireproof.wire import bodies, keys
from wireproof.wire.bodies import MISSING, Fault
from wireproof.wire.replies import Reading, at, codes
from wireproof.wire.requests import Breach, names_twice

UNKNOWN = Evidence(confidence=Confidence.UNKNOWN)

PASSING = frozenset(
    {Kind.RATE_LIMITED, Kind.TOO_MANY_JOBS, Kind.OUT_OF_CREDITS, Kind.OVERLOADED, Kind.TIMEOUT, Kind.BROKEN}
)
"""Problems that say nothing about the request: the account or the host is at its limit."""


KEYS = frozenset({Kind.NO_KEY, Kind.BAD_KEY})
NOBODYS = frozenset({Credential.MALFORMED, Credential.UNKNOWN, *ALMOST})
UNFOUND = frozenset({Kind.UNKNOWN_JOB, Kind.GONE})
STAGED = "staged: "
"""A purpose that begins so names the problem which our own mock was told to answer with."""


def expected_kinds(seen: Seen) -> frozenset[Kind]:
    """The kinds of problem that a call deserves by the contract; empty: it deserves a good answer.

    The order is that of every host we know: the key first, then the model or the job, then the values.
    """
    asked, credential = seen.asked, seen.exchange.credential
    if asked is None:
        return frozenset()
    if seen.exchange.meant in REUSED and seen.endpoint.provider.repeat_id == "conflict":
        return frozenset({Kind.CONFLICT})
    staged = seen.endpoint.provider.problems.get(seen.exchange.purpose.removeprefix(STAGED))
    if staged is not None and seen.exchange.purpose.startswith(STAGED):
        return frozenset({staged.kind})
    if asked.operation.auth and credential is Credential.NONE:
        return frozenset({Kind.NO_KEY, Kind.BAD_KEY})
    if asked.operation.auth and credential in NOBODYS:
        return frozenset({Kind.BAD_KEY, Kind.NO_KEY})
    if asked.model and asked.model != seen.endpoint.slug:
        return frozenset({Kind.UNKNOWN_MODEL})
    if any(_names_model(seen, breach) for breach in seen.breaches):
        return frozenset({Kind.UNKNOWN_MODEL, Kind.INVALID})
    return frozenset({Kind.INVALID}) if seen.breaches else frozenset()


def _names_model(seen: Seen, breach: Breach) -> bool:
    return breach.rule in ("const", "required") and breach.parameter == "model"


def of_kinds(seen: Seen, kinds: frozenset[Kind]) -> list[Problem]:
    """The problems of those kinds that the operation may answer with."""
    operation = seen.operation
    provider = seen.endpoint.provider
    named = [provider.problems[name] for name in operation.problems if name in provider.problems] if operation else []
    return [problem for problem in named if problem.kind in kinds]


def _about(seen: Seen) -> str:
    """What the call was, as the subject of a finding."""
    if seen.breaches:
        breach = seen.breaches[0]
        return f"{breach.parameter or 'body'}.{breach.rule}"
    if seen.exchange.credential is not Credential.GOOD and seen.exchange.credential is not Credential.UNTOLD:
        return f"{seen.exchange.credential.value} key"
    return seen.operation.name if seen.operation else ""


@check(id="RPL001", reads=Seen, trips_on=("undeclared-status", "retired-410", "cold-503"))
def a_status_code_is_one_that_the_contract_lists(seen: Seen) -> Iterator[Finding]:
    """An operation answers only with status codes that its contract lists.

    A client branches on the status code. One that nobody announced falls through to whatever its author
    wrote last: a crash, an endless retry, or a lost job that is paid for.
    """
    reading, reply, operation = seen.reading, seen.reply, seen.operation
    if reading is None or reply is None or operation is None or reply.status in codes(seen.endpoint, operation):
        return
    if _asked_early(seen) or expected_kinds(seen) or asks_after_nobody(seen) or _word_of(seen):
        return
    if seen.exchange.credential is Credential.OTHER and reply.status in (401, 403, 404, 410):
        # A stranger is turned away; how, nobody says.
        return
    known = sorted(codes(seen.endpoint, operation))
    listed = bool(seen.endpoint.provider.listed)
    beside = operation.does in (Does.OTHER, Does.ACCOUNT)
    yield finding(
        f"{operation.name} answered {reply.status}, which the contract does not list",
        subject=f"{'beside the jobs' if beside else operation.name} {reply.status}",
        proof=_listed(seen, listed and not _fails_so(seen)) if not beside else UNKNOWN,
        where=operation.where,
        evidence=[seen.seq],
        expected=f"one of {', '.join(map(str, known))}",
        actual=str(reply.status),
    )


def _listed(seen: Seen, listed: bool) -> Evidence:
    """Why the codes of an operation are believed to be all of them: the host's table of codes; for a good answer,
    the code that the host shows for it."""
    reading = seen.reading
    if reading is not None and reading.alternative is not None:
        return reading.alternative.evidence
    return reading.operation.evidence if listed and reading is not None else UNKNOWN


def _fails_so(seen: Seen) -> bool:
    """Whether a job that was made to fail is answered with the code that its host documents for failures elsewhere."""
    return _provoked(seen) and seen.reply is not None and seen.reply.status in _failing_codes(seen)


def _failing_codes(seen: Seen) -> set[int]:
    """The codes with which the host documents that a job failed."""
    operations = seen.endpoint.operations.values()
    return {code for op in operations for a in op.alternatives if a.means is Means.FAILED for code in a.statuses}


def asks_after_nobody(seen: Seen) -> bool:
    """Whether a call asks after an id that nobody was given."""
    return seen.exchange.job is None and "unknown id" in seen.exchange.purpose


def _word_of(seen: Seen) -> str | None:
    """The state word that a reply carries whatever its status code; told of by JOB004."""
    return misplaced_word(seen)


def _asked_early(seen: Seen) -> bool:
    """A result asked for before the job is over: hosts differ in what they answer, and few say so."""
    return "early" in seen.exchange.purpose


@check(
    id="RPL002",
    reads=Seen,
    trips_on=("missing-field", "wrong-type", "null-field", "number-as-text", "cost-missing", "progress-out-of-range"),
)
def a_body_is_of_its_documented_form(seen: Seen) -> Iterator[Finding]:
    """A reply has every documented field, each of its documented type.

    Strict clients crash on a missing or mistyped field; lenient ones carry a null or a text into the next
    step and fail there. Fields that the contract does not know are no finding: hosts add them freely.
    """
    reading = seen.reading
    if reading is None or reading.alternative is None or reading.alternative.shape is None or seen.is_error:
        return
    chosen, shape = reading.alternative, reading.alternative.shape
    if reading.body is MISSING or (asks_after_nobody(seen) and of_kinds(seen, UNFOUND)):
        # That an id of nobody's is answered well at all is told by JOB006.
        return
    values = _effective(seen)
    if _is_another(shape, reading.body):
        yield finding(
            f"{seen.asked.operation.name if seen.asked else ''}: none of the documented fields is there",
            subject="body.required",
            proof=chosen.evidence,
            where=shape.where,
            evidence=[seen.seq],
            expected=f"the form of {chosen.name}",
            actual=f"the fields {', '.join(map(str, reading.body))}"[:160],
        )
        return
    for fault in bodies.faults(shape, reading.body, values, reading.word):
        due = _is_due(shape, reading.body, fault, {**values, "job.state": reading.word})
        if not due and at(reading.body, fault.pointer) is None:
            # Null where nothing needs to stand says what leaving it out says.
            continue
        if not due or (at(reading.body, fault.pointer) is None and not _is_wanted(shape, fault)):
            # Null where something may be left out is nearly the same.
            proof: Evidence = UNKNOWN
        elif fault.keyword == "format":
            proof = Evidence(confidence=Confidence.INFERRED)
        else:
            proof = shape.proofs.get(fault.place, chosen.evidence)
        yield finding(
            f"{seen.asked.operation.name if seen.asked else ''}: {fault.says}",
            subject=f"{_plain(fault.subject) or 'body'}.{fault.keyword}",
            proof=proof,
            where=shape.lines.get(fault.place, shape.where),
            evidence=[seen.seq],
            expected=f"the form of {chosen.name}",
            actual=fault.says,
        )


def _is_wanted(shape: Shape, fault: Fault) -> bool:
    """Whether the place of a fault is a member that its object must have, or no member at all."""
    *above, name = fault.place.split("/")[1:] or [""]
    if not above or above[-1] != "properties":
        return True
    node: Any = shape.schema
    for step in above[:-1]:
        node = node[int(step)] if isinstance(node, list) else node.get(step, {})
    return name in node.get("required", ())


def _is_another(shape: Shape, body: object) -> bool:
    """Whether a body has nothing of a form that asks for several fields: one finding, not one for each of them."""
    fields = shape.schema.get("properties", {})
    asked = [name for name in shape.schema.get("required", ()) if "when" not in fields.get(name, {})]
    return isinstance(body, dict) and len(asked) > 1 and not any(name in body for name in fields)


def _is_due(shape: Shape, body: object, fault: Fault, known: Mapping[str, Any]) -> bool:
    """Whether the contract says that something stands at a fault's place in this state, so that it has a form there.

    `known`: the request's values and the state word of the whole reply; an object's own state counts before it.
    """
    steps, path = fault.place.split("/")[1:], fault.pointer.split("/")[1:]
    return _stands(shape.schema, body, steps if fault.keyword != "required" else steps[:-2], path, known)


def _stands(node: Mapping[str, Any], here: object, steps: list[str], path: list[str], known: Mapping[str, Any]) -> bool:
    children = node.get("properties", {})
    state = next((name for name, child in children.items() if child.get("is") == "job.state"), None)
    if state is not None and isinstance(here, dict) and state in here:
        known = {**known, "job.state": here[state]}
    if not holds(node.get("when", {}), known):
        return False
    below = at(here, f"/{path[0]}") if path else MISSING
    match steps:
        case ["properties", name, *rest] if name in children:
            return _stands(children[name], below, rest, path[1:], known)
        case ["items", *rest] if isinstance(node.get("items"), Mapping):
            return _stands(node["items"], below, rest, path[1:], known)
        case ["anyOf", which, *rest]:
            return _stands(node["anyOf"][int(which)], here, rest, path, known)
    return True


def _effective(seen: Seen) -> dict[str, object]:
    return effective(seen.endpoint, seen.values)


def _plain(pointer: str) -> str:
    """A pointer without the numbers of list items, so that the same field is the same subject."""
    return "/".join("*" if part.isdigit() else part for part in pointer.split("/"))


@check(id="RPL003", reads=Seen, trips_on=("wrong-content-type", "html-for-json"))
def a_body_is_of_the_kind_it_says(seen: Seen) -> Iterator[Finding]:
    """A JSON reply says that it is JSON, and is.

    Clients choose their parser by the content type; an HTML page, or JSON under another name, ends in a
    parse error that hides the real answer. An object that names a member twice is a question: JSON leaves open
    what it means, and readers differ.
    """
    reading, reply = seen.reading, seen.reply
    if (
        reading is None
        or reply is None
        or not reply.body
        or reply.status not in codes(seen.endpoint, reading.operation)
    ):
        return
    wanted = _wanted_media(seen)
    declared = (reply.header("content-type") or "").partition(";")[0].strip().lower()
    is_json = reading.body is not MISSING
    if wanted == {"json"} and not (is_json and ("json" in declared)):
        why = "" if is_json else _why_not_json(reply.body, reading.media)
        yield finding(
            f"{reading.operation.name} answered {reply.status} with {declared or 'no content type'}"
            + ("" if is_json else f" and a body that is not JSON{why}"),
            subject=f"{reply.status // 100}xx content type",
            proof=UNKNOWN if why in (TOO_GREAT, TOO_DEEP) else _form_of_error(seen),
            where=reading.alternative.where if reading.alternative else reading.operation.where,
            evidence=[seen.seq],
            expected="application/json",
            actual=declared or "none",
        )
    elif wanted == {"image"} and reading.media != "image":
        yield finding(
            f"{reading.operation.name} promises a picture and answered {declared or 'no content type'}",
            subject=f"{reading.operation.name} content type",
            proof=_image_proof(seen),
            where=reading.operation.where,
            evidence=[seen.seq],
            expected="image/*",
            actual=declared or "none",
        )
    if is_json and reading.media == "json" and names_twice(reply.body, reading.body):
        yield finding(
            f"{reading.operation.name} answered {reply.status} with an object that names a member twice",
            subject="members named twice",
            severity=Severity.QUESTION,
            where=reading.alternative.where if reading.alternative else reading.operation.where,
            evidence=[seen.seq],
            expected="every member once",
            actual="a member twice: readers take the first, the last, or refuse it",
        )


def _form_of_error(seen: Seen) -> Evidence | None:
    """Why it is believed that an error is told in JSON, where it is one: its form as a whole may be known otherwise
    than that there are errors."""
    reading = seen.reading
    if reading is None or reading.alternative is not None:
        return None
    proofs = [p.shape.proofs[""] for p in _likely(seen) if p.shape is not None and "" in p.shape.proofs]
    return next((proof for proof in proofs if not proof.binds), None)


def _why_not_json(body: bytes, media: str) -> str:
    """What a parser stumbles over, for a body that means to be JSON; empty for another kind of body."""
    if media not in ("json", "text"):
        return ""
    if body.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ": it begins with a byte order mark"
    if body.count(b"[") + body.count(b"{") > bodies.MOST_DEPTH:
        return TOO_DEEP
    try:
        json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as why:
        return f": {str(why)[:100]}"
    return TOO_GREAT


TOO_GREAT = ": a number in it is greater than most readers take"
TOO_DEEP = f": it is nested deeper than {bodies.MOST_DEPTH} levels"
"""What keeps a body from being read although the grammar of JSON allows it."""


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _image_proof(seen: Seen) -> Evidence:
    operation = seen.operation
    pictures = [a for a in operation.alternatives if a.media == "image"] if operation else []
    return pictures[0].evidence if pictures else UNKNOWN


def _likely(seen: Seen) -> list[Problem]:
    """The problems that a refusal may tell of: of the kinds that the call deserves, where it deserves any."""
    status = seen.reply.status if seen.reply else 0
    kinds = expected_kinds(seen) or frozenset(Kind) - {Kind.WRONG_METHOD}
    fitting = [p for p in of_kinds(seen, kinds) if status in p.statuses]
    return fitting or [p for p in of_kinds(seen, frozenset(Kind)) if status in p.statuses]


def _wanted_media(seen: Seen) -> set[str]:
    reading, reply = seen.reading, seen.reply
    if reading is None or reply is None:
        return set()
    chosen = reading.alternative
    if chosen is not None:
        pictures = {
            a.media for a in reading.operation.alternatives if reply.status in a.statuses and a.media == "image"
        }
        # A body that is neither JSON nor a picture is measured by the picture that the operation promises.
        return pictures if pictures and chosen.media == "json" and reading.body is MISSING else {chosen.media}
    alternatives = {a.media for a in reading.operation.alternatives if reply.status in a.statuses}
    problems = {p.media if p.shape is not None else "any" for p in _likely(seen)}
    return alternatives | problems


@check(id="RPL004", reads=Seen, trips_on=("wrong-error-code", "error-500-on-bad-input", "bad-key-404", "credits-429"))
def a_refusal_has_its_documented_code(seen: Seen) -> Iterator[Finding]:
    """A request that is refused is refused with the code that the contract gives for that reason.

    Retrying, asking for another key, topping up and reporting a bug are different things to do; the code is
    how a client tells which. An invalid value answered with 500 is retried for ever.
    """
    reply, reading = seen.reply, seen.reading
    kinds = expected_kinds(seen)
    if reply is None or reading is None or not kinds or reply.status < 300 or asks_after_nobody(seen):
        return
    proper = of_kinds(seen, kinds)
    if not proper or any(reply.status in problem.statuses for problem in proper):
        return
    if _tells_of_the_job(seen) or (seen.passed and reply.status >= 500):
        # A server error that was gone a moment later says nothing of the request.
        return
    if (
        reply.status < 500
        and not _is_staged(seen)
        and any(p.kind in PASSING and reply.status in p.statuses for p in of_kinds(seen, frozenset(Kind)))
    ):
        return
    breach = seen.breaches[0] if seen.breaches else None
    documented = [p for p in proper if p.evidence.binds]
    proof = (documented or proper)[0].evidence
    if breach is not None and not breach.binds:
        if seen.operation and seen.operation.does is Does.RUN and reply.status in _failing_codes(seen):
            return  # it may have been taken, and its job have failed while it was waited for
        proof = breach.evidence
    if reply.status >= 500 and breach is not None and breach.binds:
        # Whatever the number for a bad value is: a fault of the host is not it.
        proof = Evidence()
    if _looked_up_first(seen):
        proof = UNKNOWN
    if _looked_up_first(seen):
        says = f"{_about(seen)}: told {reply.status} of the id, where {_codes(proper)} tells of the key"
    else:
        says = f"{_about(seen)}: refused with {reply.status} instead of {_codes(proper)}"
    yield finding(
        says,
        subject=f"{_group(seen)} -> {reply.status}",
        proof=proof,
        where=proper[0].where,
        evidence=[seen.seq],
        expected=_codes(proper),
        actual=str(reply.status),
    )


def _looked_up_first(seen: Seen) -> bool:
    """Whether a host may have looked for the job before it looked at the key: no contract states the order."""
    asks = seen.operation is not None and seen.operation.does.asks
    return (
        asks
        and not seen.let_in
        and any(p.kind is Kind.UNKNOWN_JOB for p in (seen.reading.problems if seen.reading else ()))
    )


def _group(seen: Seen) -> str:
    """Refusals of one kind are one subject, whichever value or key they are for."""
    kinds = expected_kinds(seen)
    if not seen.let_in or kinds <= KEYS:
        return "without a good key"
    return "invalid" if seen.breaches else " or ".join(sorted(kind.value for kind in kinds))


def _is_staged(seen: Seen) -> bool:
    return seen.exchange.purpose.startswith(STAGED)


def _tells_of_the_job(seen: Seen) -> bool:
    """Whether a call that should have been turned away was told about the job: KEY001 tells that."""
    return not seen.let_in and seen.reading is not None and seen.reading.alternative is not None


def _codes(problems: list[Problem]) -> str:
    return " or ".join(str(code) for code in sorted({code for p in problems for code in p.statuses}))


@check(id="RPL012", reads=Seen, trips_on=("wrong-method-500",))
def a_wrong_method_is_refused(seen: Seen) -> Iterator[Finding]:
    """An address asked with a method that it does not know says so.

    Proxies, crawlers and people with a browser ask with GET. A server error for it rings the alarm of whoever runs
    the client, and a good answer is none.
    """
    operation = seen.endpoint.operations.get(seen.exchange.operation)
    if not seen.exchange.purpose.startswith(GET_FOR_POST) or operation is None or seen.reply is None or seen.passed:
        return
    names = [seen.endpoint.provider.problems[name] for name in operation.problems]
    proper = [problem for problem in names if problem.kind is Kind.WRONG_METHOD]
    status = seen.reply.status
    if not proper or 300 <= status < 500:
        # Turned away, with whichever code: routers differ.
        return
    yield finding(
        f"{operation.name} asked with {seen.exchange.call.method} answered {status}",
        subject=f"wrong method -> {status}",
        proof=proper[0].evidence,
        where=proper[0].where,
        evidence=[seen.seq],
        expected=_codes(proper),
        actual=str(status),
    )


@check(id="RPL005", reads=Seen, trips_on=("error-in-200",))
def a_good_status_carries_no_error(seen: Seen) -> Iterator[Finding]:
    """A reply with a 2xx status is never the body of an error.

    Clients look at the status first. An error in a success is stored as a result, and found out by whoever
    opens the file.
    """
    if seen.is_error and seen.reply is not None and seen.asked is not None:
        fails_so = _provoked(seen) and any(
            seen.reply.status in p.statuses for p in of_kinds(seen, frozenset({Kind.FAILED, Kind.MODERATED}))
        )
        yield finding(
            f"{seen.asked.operation.name} answered {seen.reply.status} with the body of an error",
            subject="error in a good status",
            # A job that was made to fail may be told so; under which of its codes is seldom said.
            proof=UNKNOWN if fails_so else None,
            where=seen.asked.operation.where,
            evidence=[seen.seq],
            expected="an error status",
            actual=str(seen.reply.status),
        )


@check(id="RPL006", reads=Seen, trips_on=("error-without-body", "other-error-form"))
def an_error_has_its_documented_form(seen: Seen) -> Iterator[Finding]:
    """An error reply has the documented form, so that its reason can be read.

    Clients show the host's reason from a documented place; elsewhere it is lost, and a person is left with a
    bare number.
    """
    reading, reply = seen.reading, seen.reply
    if reading is None or reply is None or reading.alternative is not None or not reading.problems:
        return
    if reply.status < 300 and not seen.is_error:
        # No error after all; what it is instead is asked by RPL010.
        return
    likely = _likely(seen)
    shapes = [p for p in likely if p.shape is not None]
    if not shapes or len(shapes) < len(likely) or (reading.body is MISSING and reply.body):
        return
    if reading.body is MISSING:
        yield finding(
            f"an error with {reply.status} has an empty body",
            subject="error body empty",
            proof=shapes[0].evidence,
            where=shapes[0].where,
            evidence=[seen.seq],
            expected=f"the form of {shapes[0].name}",
            actual="nothing",
        )
        return
    results = [(p, bodies.faults(p.shape, reading.body, {}, None)) for p in shapes if p.shape]
    if any(not faults for _, faults in results):
        return
    problem, faults = results[0]
    for fault in faults[:1]:
        shape = problem.shape
        assert shape is not None
        yield finding(
            f"an error with {reply.status}: {fault.says}",
            subject=f"error {_plain(fault.subject) or 'body'}.{fault.keyword}",
            proof=shape.proofs.get(fault.place, problem.evidence),
            where=shape.lines.get(fault.place, shape.where),
            evidence=[seen.seq],
            expected=f"the form of {problem.name}",
            actual=fault.says,
        )


@check(
    id="REQ001",
    reads=Trace,
    alone=True,
    trips_on=(
        "bound-not-enforced",
        "enum-not-enforced",
        "required-not-enforced",
        "nameless-taken",
        "type-not-enforced",
        "unknown-parameter-taken",
    ),
)
def what_the_contract_forbids_is_refused(trace: Trace) -> Iterator[Finding]:
    """A request that breaks a documented rule is refused.

    A value that is silently accepted is silently changed: the picture is not what was asked for, it is paid
    for, and nobody is told. A job that is accepted and then fails is no such thing. Where many rules are not
    applied, one finding tells of all.
    """
    ended = {job.submit.seq: job.outcome for job in trace.jobs if job.submit is not None}
    wrong = [seen for seen in trace.seen if _is_taken_wrongly(seen)]
    known = {outcome for seen in wrong if (outcome := ended.get(seen.seq)) is not None and is_final(outcome)}
    # Where all that were followed failed, those that were not are no worse.
    usual = Status.FAILED if known and known <= ENDED_BADLY else None
    taken = [_taken_wrongly(seen, ended.get(seen.seq) or usual) for seen in wrong]
    for name in {seen.asked.operation.name: None for seen in trace.seen if seen.asked}:
        own = [one for operation, one in taken if operation == name]
        grave = {one.subject: one for one in own if one.severity is Severity.VIOLATION}
        if len(grave) < SEVERAL:
            yield from own
            continue
        first = next(iter(grave.values()))
        yield replace(
            first,
            says=f"{name} accepts what breaks {len(grave)} rules: {', '.join(grave)}",
            subject=f"{name}: several rules",
            evidence=tuple(seq for one in grave.values() for seq in one.evidence),
        )
        yield from (one for one in own if one.subject not in grave)


ENDED_BADLY = frozenset({Status.FAILED, Status.MODERATED})

SEVERAL = 5
"""So many rules that are not applied have one cause."""


def _is_taken_wrongly(seen: Seen) -> bool:
    if seen.asked is None or not seen.accepted or not seen.let_in or seen.is_error or _is_odd(seen):
        return False
    if seen.breaches:
        return not _failed_later(seen)
    made = seen.reading is not None and seen.reading.alternative is not None
    return made and seen.asked.operation.does.bills and expected_kinds(seen) == frozenset({Kind.UNKNOWN_MODEL})


def _taken_wrongly(seen: Seen, outcome: Status | None) -> tuple[str, Finding]:
    """The operation that took a forbidden request, and what is to be said of it."""
    operation = seen.operation
    assert operation is not None
    if not seen.breaches:
        named = of_kinds(seen, frozenset({Kind.UNKNOWN_MODEL}))
        says, subject = "a job was made for a model that does not exist", "unknown model"
        proof, where = (named[0].evidence, named[0].where) if named else (UNKNOWN, operation.where)
    else:
        breach = _gravest(seen.breaches)
        says, subject = (
            f"accepted although it breaks a rule: {breach.says}",
            f"{breach.parameter or 'body'}.{breach.rule}",
        )
        proof = breach.evidence if seen.endpoint.provider.refused_at == "submit" else UNKNOWN
        where = breach.where
    if outcome in ENDED_BADLY:
        # Found out late, and not passed off as a success: whether that is late is a question.
        proof = UNKNOWN
    return operation.name, finding(
        says,
        subject=subject,
        proof=proof,
        where=where,
        evidence=[seen.seq],
        expected="a refusal" + (f" with {_codes(of_kinds(seen, frozenset({Kind.INVALID})))}" if seen.breaches else ""),
        actual=str(seen.reply.status if seen.reply else ""),
    )


def _is_odd(seen: Seen) -> bool:
    """Whether a host may take or refuse it."""
    return seen.exchange.purpose.startswith(ODD)


def _gravest(breaches: tuple[Breach, ...]) -> Breach:
    """The breach that decides: one that nobody promised to refuse makes the whole request a question."""
    return next((b for b in breaches if b.binds), breaches[0])


def _failed_later(seen: Seen) -> bool:
    """Whether the job is known to have failed at once because of the breach (validated when run)."""
    reading = seen.reading
    return reading is not None and reading.alternative is not None and reading.alternative.means is Means.FAILED


@check(id="REQ003", reads=Trace, trips_on=("types-bent",))
def a_value_of_another_type_is_not_bent(trace: Trace) -> Iterator[Finding]:
    """A value that only looks like the documented type is refused.

    Many hosts read "7" as 7 and true as 1, and no page says that they do not: this is a question. A client that
    sends the wrong thing by mistake gets a picture of what the host took it for.
    """
    bent = [s for s in trace.seen if _is_odd(s) and s.accepted and s.let_in and s.breaches and not s.is_error]
    bent = [s for s in bent if s.reading and s.reading.alternative and not _failed_later(s)]
    open_to_all = {s.breaches[0].parameter for s in trace.seen if s.breaches and _is_taken_wrongly(s)}
    bent = [s for s in bent if s.breaches[0].parameter not in open_to_all]
    if not bent:
        return
    what = sorted(seen.exchange.meant.removeprefix(ODD) for seen in bent)
    yield finding(
        f"taken although the documents want another type or spelling: {', '.join(what)}",
        subject="types",
        severity=Severity.QUESTION,
        where=bent[0].breaches[0].where,
        evidence=[seen.seq for seen in bent],
        expected="a refusal",
        actual=str(bent[0].reply.status if bent[0].reply else ""),
    )


@check(id="REQ002", reads=Trace, trips_on=("valid-value-refused",))
def what_the_contract_allows_is_taken(trace: Trace) -> Iterator[Finding]:
    """A request that keeps every documented rule is accepted.

    A documented value that is refused breaks callers who did as they were told, most often at the bounds and
    in the rarer allowed values.
    """
    for blamed, group in _refused_for(trace):
        seen = min(group, key=lambda one: len(one.values))
        proof, where = _leaned_on(seen, blamed.partition("=")[0])
        told = seen.reading.text("problem.message")[:160] if seen.reading else ""
        status = seen.reply.status if seen.reply else 0
        yield finding(
            f"a valid request was refused with {status}: {told or 'no reason given'}",
            subject=f"valid {blamed}",
            proof=proof,
            where=where,
            evidence=[*(one.seq for one in group if one is not seen), seen.seq],
            expected="acceptance",
            actual=str(status),
        )


def _refused_for(trace: Trace) -> Iterator[tuple[str, list[Seen]]]:
    """What valid requests were refused for, operation by operation, and those requests."""
    repeated = _repeated_ids(trace)
    starts = [seen for seen in trace.seen if seen.operation and seen.operation.does.bills]
    for operation in trace.endpoint.operations.values():
        own = [seen for seen in starts if seen.operation and seen.operation.name == operation.name]
        # A blocking run may fail over its job, and not over its values: what was taken elsewhere is fine.
        taken = [s for s in (starts if operation.does is Does.RUN else own) if s.accepted and not s.is_error]
        fine = {_spelt(name, value) for seen in taken for name, value in seen.values.items()}
        reached = {address for seen in taken for address in _addresses(seen)}
        refused = [s for s in own if s.seq not in repeated and _wrongly_refused(s, reached)]
        yield from _blamed(refused, fine)


def _addresses(seen: Seen) -> set[str]:
    """The addresses of files that a request sends."""
    texts = (one for value in seen.values.values() for one in (value if isinstance(value, list) else [value]))
    return {text for text in texts if isinstance(text, str) and text.startswith(("http://", "https://"))}


def _spelt(name: str, value: object) -> str:
    return f"{name}={value!r}"


def _blamed(refused: list[Seen], fine: set[str]) -> Iterator[tuple[str, list[Seen]]]:
    """Refused requests, put together by the parameter that most of them gave a value that no accepted one had.

    Without such a parameter nothing is to blame but the request as a whole.
    """
    waiting = list(refused)
    while waiting:
        suspects = Counter(name for seen in waiting for name in _suspects(seen, fine))
        if not fine:
            # Where nothing is answered well, RPL009 tells of server errors.
            waiting = [seen for seen in waiting if seen.reply is None or seen.reply.status < 500]
        if not suspects or not fine:
            yield from [("request", waiting)] if waiting else []
            return
        worst = max(suspects, key=lambda name: suspects[name])
        group = [seen for seen in waiting if worst in _suspects(seen, fine)]
        values = {_spelt(worst, seen.values[worst]) for seen in group}
        yield values.pop()[:60] if len(values) == 1 else worst, group
        waiting = [seen for seen in waiting if worst not in _suspects(seen, fine)]


def _suspects(seen: Seen, fine: set[str]) -> list[str]:
    return [
        name
        for name, value in seen.values.items()
        if name in seen.endpoint.parameters and _spelt(name, value) not in fine
    ]


def _repeated_ids(trace: Trace) -> set[int]:
    """Submits under an id that an earlier accepted submit brought along."""
    used: set[str] = set()
    again: set[int] = set()
    for seen in trace.seen:
        if seen.asked and seen.asked.operation.does.bills and seen.asked.job:
            if seen.asked.job in used:
                again.add(seen.seq)
            elif seen.reading and seen.reading.alternative:
                used.add(seen.asked.job)
    return again


def _wrongly_refused(seen: Seen, reached: set[str]) -> bool:
    """Whether a valid submit was refused for its values. `reached`: addresses that the host is known to reach."""
    reading, reply = seen.reading, seen.reply
    if reading is None or reply is None or seen.asked is None or not seen.asked.operation.does.bills:
        return False
    if seen.accepted or not seen.let_in or expected_kinds(seen) or seen.exchange.credential is Credential.OTHER:
        return False
    if reply.status >= 500:
        # Twice within a moment, and others are answered well: it is these values.
        return seen.exchange.purpose.endswith(ONCE_MORE) and not _provoked(seen) and not _is_odd(seen)
    proper = of_kinds(seen, frozenset({Kind.INVALID, Kind.UNKNOWN_MODEL}))
    if seen.asked.operation.does is Does.RUN and reply.status in _failing_codes(seen) and not _named_so(proper, reply):
        # A job that failed while it was waited for; that it did is told by JOB016.
        return False
    if not (reply.status in (400, 422) or any(reply.status in p.statuses for p in proper)):
        return False
    other = [*PASSING, Kind.MODERATED, Kind.CONFLICT]
    if not _addresses(seen) or not _addresses(seen) <= reached:
        other.append(Kind.UNREACHABLE_MEDIA)
    return not any(p.kind in other for p in reading.problems[:1]) and not _provoked(seen) and not _is_odd(seen)


def _named_so(problems: list[Problem], reply: Reply) -> bool:
    return any(reply.status in problem.statuses for problem in problems)


def _provoked(seen: Seen) -> bool:
    """A request that was made to end in trouble may also be refused at once."""
    return provocation(seen.endpoint, seen.values) is not None


def _leaned_on(seen: Seen, blamed: str) -> tuple[Evidence, Where]:
    """The weakest fact that makes a request valid: a refusal is a violation only if all of them are documented.

    Where one parameter is to blame, only what is known of it counts."""
    operation = seen.asked.operation if seen.asked else None
    names = [blamed] if blamed in seen.endpoint.parameters else list(seen.values)
    for parameter in (seen.endpoint.parameters[name] for name in names if name in seen.endpoint.parameters):
        known = [parameter.facts[k] for k in ("type", "enum", "pattern", "format") if k in parameter.facts]
        weak = next((proof for proof in (parameter.evidence, *known) if not proof.binds), None)
        if weak is not None:
            return weak, parameter.where
    for rule in seen.endpoint.rules:
        if not rule.evidence.binds and (blamed not in seen.endpoint.parameters or blamed in rule.parameters):
            return rule.evidence, rule.where
    if blamed in seen.endpoint.parameters:
        return Evidence(), seen.endpoint.parameters[blamed].where
    return Evidence(), operation.where if operation else seen.endpoint.where


@check(id="KEY002", reads=Trace, trips_on=("leaks-401",))
def a_good_key_stays_good(trace: Trace) -> Iterator[Finding]:
    """A key that was let in is not called a bad one in the same run.

    Clients stop for good when they are told that their key is wrong. A gateway that hands on the trouble of
    its own suppliers under this code turns a bad minute into an outage.
    """
    ours = [
        seen
        for seen in trace.seen
        if seen.exchange.credential is Credential.GOOD and seen.operation and seen.operation.auth
    ]
    denied = [seen for seen in ours if seen.reply is not None and seen.reply.status == 401 and not expected_kinds(seen)]
    if not any(seen.accepted and not seen.is_error for seen in ours):
        return
    for seen in denied[:1]:
        named = of_kinds(seen, KEYS)
        yield finding(
            f"{seen.operation.name if seen.operation else ''} refused a key that it takes otherwise",
            subject="good key refused",
            where=named[0].where if named else trace.endpoint.provider.auth.where,
            evidence=[one.seq for one in denied[:3]],
            expected="any other answer",
            actual=str(seen.reply.status if seen.reply else ""),
        )


def _key_words(credential: Credential) -> str:
    return {Credential.NONE: "no key", **ALMOST}.get(credential, f"a key that is {credential.value}")


@check(id="KEY001", reads=Seen, trips_on=("missing-401", "any-key-taken"))
def a_call_without_a_good_key_is_not_let_in(seen: Seen) -> Iterator[Finding]:
    """A call without a key, or with a key that is nobody's, is refused.

    A host that lets strangers in shows everybody's pictures to everybody, and bills the wrong person.
    """
    if seen.operation is None or not seen.operation.auth or seen.reply is None or not seen.accepted or seen.is_error:
        return
    credential = seen.exchange.credential
    if seen.reading and seen.reading.alternative and seen.reading.alternative.means is Means.FAILED:
        # Refused after all, in the form of a failure.
        return
    if credential is Credential.NONE or credential in NOBODYS:
        auth = seen.endpoint.provider.auth
        named = of_kinds(seen, frozenset({Kind.NO_KEY, Kind.BAD_KEY}))
        yield finding(
            f"{seen.operation.name} let a call in with {_key_words(credential)}",
            subject="key in other letters" if credential is Credential.CASED else "without a good key",
            # No page says that letters count; that what is no key opens nothing goes without saying.
            severity=Severity.QUESTION if credential is Credential.CASED else None,
            where=named[0].where if named else auth.where,
            evidence=[seen.seq],
            expected=_codes(named) if named else "a refusal",
            actual=str(seen.reply.status),
        )


@check(id="KEY003", reads=Seen, trips_on=("echoes-key",))
def a_reply_does_not_repeat_the_key(seen: Seen) -> Iterator[Finding]:
    """A reply never repeats the key that it was asked with, neither in its headers nor in its body.

    Replies are logged, shown to users and attached to reports where keys are not: a key that an error echoes leaks
    with the first person who asks for help. It is looked for whole, plainly and as it stands in addresses, JSON,
    HTML, base64 and hexadecimal digits; the first or last characters of it are no finding. It is asked as a
    question: hosts tell callers to keep keys secret, and none promises in words that it does so itself. In a
    recording that keeps no keys nothing is found, for what is masked in a call and in its reply tells nothing.
    """
    reply = seen.reply
    # What stands for a malformed key is a word of ours, and nobody's secret.
    if reply is None or seen.exchange.credential is Credential.MALFORMED:
        return
    auth = seen.endpoint.provider.auth
    for key in sorted(keys.presented(seen.endpoint.provider, seen.exchange.call)):
        headers = "\n".join(f"{name}: {value}" for name, value in reply.headers)
        for part, said in (("body", reply.body), ("headers", headers)):
            if repeats(key, said):
                name = seen.operation.name if seen.operation else seen.exchange.operation or "an address"
                yield finding(
                    f"{name} answered {reply.status} with the key of the call in its {part}",
                    subject=f"key in the {part}",
                    proof=UNKNOWN,
                    where=auth.where,
                    evidence=[seen.seq],
                    expected="no key",
                    actual="the whole key",
                )


@check(id="JOB006", reads=Trace, trips_on=("unknown-id-200",))
def an_unknown_id_is_not_answered_as_a_job(trace: Trace) -> Iterator[Finding]:
    """An id that nobody was given is answered as the contract says for unknown ids.

    A client that has lost or mistyped an id otherwise polls a job that does not exist, or takes somebody
    else's result for its own.
    """
    asked = [
        s for s in trace.seen if asks_after_nobody(s) and s.let_in and s.reply is not None and s.operation is not None
    ]
    for seen in asked:
        about = (seen.operation, seen.exchange.meant)
        same = [s for s in asked if (s.operation, s.exchange.meant) == about]
        answers = [s.reply.status for s in same if s.reply is not None]
        repeated = len(answers) > 1 and min(answers) >= 500
        proper = of_kinds(seen, UNFOUND)
        status = seen.reply.status if seen.reply else 0
        if not proper or seen.operation is None or any(status in p.statuses for p in proper):
            continue
        if not repeated and seen.reading and any(p.kind in PASSING for p in seen.reading.problems[:1]):
            continue
        failed = seen.reading and seen.reading.alternative and seen.reading.alternative.means is Means.FAILED
        if failed and not proper[0].evidence.binds:
            # A failure is told where an unknown id should be: not a job that anybody could take for his own.
            continue
        # An id of another form than the host's own may be refused as malformed.
        lenient = "(odd)" in seen.exchange.purpose and 400 <= status < 500
        yield finding(
            f"{seen.operation.name} of an id that nobody was given answered {status}",
            subject=f"unknown id -> {status // 100}xx",
            proof=UNKNOWN if lenient else proper[0].evidence,
            where=proper[0].where,
            evidence=[seen.seq],
            expected=_codes(proper),
            actual=str(status),
        )


@check(id="RPL007", reads=Seen, trips_on=("host-breaks-off",))
def an_answer_arrives_whole(seen: Seen) -> Iterator[Finding]:
    """Every call is answered, whole.

    A reply that breaks off after the request was read leaves the caller not knowing whether the job exists
    and is paid for. One lost reply is the network's; the finding is a question unless it can be repeated.
    """
    name = seen.operation.name if seen.operation else seen.exchange.operation
    if seen.exchange.broke and name and seen.exchange.broke not in ("refused", GIVEN_UP):
        large = seen.exchange.broke == "too large"
        how = "an answer larger than is read here" if large else f"no whole answer ({seen.exchange.broke})"
        yield finding(
            f"{name}: {how}",
            subject=f"{name} {seen.exchange.broke}",
            severity=Severity.QUESTION,
            where=seen.operation.where if seen.operation else seen.endpoint.outputs.where,
            evidence=[seen.seq],
            expected="a reply",
            actual=seen.exchange.broke,
        )


@check(id="RPL008", reads=Seen, trips_on=("sudden-500",))
def a_good_request_is_not_answered_with_a_server_error(seen: Seen) -> Iterator[Finding]:
    """A valid request is not answered with 5xx.

    The contract may list 500 for a bad day; a valid request that meets one tells of the day, not of the
    contract, so this is a question. It is kept because a host whose bad days are many is worth knowing.
    """
    reply = seen.reply
    if reply is None or reply.status < 500 or seen.asked is None or expected_kinds(seen) or not seen.let_in:
        return
    if asks_after_nobody(seen) or misplaced_word(seen) or _provoked(seen):
        return
    if reply.status in codes(seen.endpoint, seen.asked.operation) and seen.asked.operation.does is not Does.OTHER:
        yield finding(
            f"{seen.asked.operation.name}: a good request was answered with {reply.status}",
            subject=f"{seen.asked.operation.name} {reply.status}",
            severity=Severity.QUESTION,
            where=seen.asked.operation.where,
            evidence=[seen.seq],
            expected="a good answer",
            actual=str(reply.status),
        )


@check(id="RPL009", reads=Trace, trips_on=("operation-always-500",))
def every_documented_operation_works(trace: Trace) -> Iterator[Finding]:
    """An operation that is asked rightly is answered well at least once.

    One 5xx is a bad moment. An operation that fails every time it is tried does not exist, whatever the
    documents say. A call that we gave up waiting for tells nothing.
    """
    for operation in trace.endpoint.operations.values():
        tries = [s for s in trace.seen if s.operation and s.operation.name == operation.name and _rightly_asked(s)]
        bad = [
            s for s in tries if (s.reply.status >= 500 if s.reply else s.exchange.broke not in ("timeout", GIVEN_UP))
        ]
        if len(bad) < 2 or len(bad) < len(tries):
            continue
        yield finding(
            f"{operation.name} failed each of the {len(bad)} times it was asked rightly",
            subject=f"{operation.name} never works",
            proof=operation.evidence,
            where=operation.where,
            evidence=[s.seq for s in bad[:3]],
            expected="a good answer",
            actual=str(bad[0].reply.status if bad[0].reply else bad[0].exchange.broke),
        )


def _rightly_asked(seen: Seen) -> bool:
    purpose = seen.exchange.purpose
    staged = purpose.startswith(STAGED) or asks_after_nobody(seen) or "early" in purpose
    return seen.let_in and not expected_kinds(seen) and not staged and not misplaced_word(seen) and not _provoked(seen)


@check(id="RPL010", reads=Seen, trips_on=("good-status-odd-body",))
def a_good_status_has_one_of_the_documented_bodies(seen: Seen) -> Iterator[Finding]:
    """A reply with a good status is one of the replies that the contract knows.

    A body of another form, or an empty list where a job should be, tells a client nothing; most poll on until
    their deadline.
    """
    reading, reply, operation = seen.reading, seen.reply, seen.operation
    if reading is None or reply is None or operation is None or reading.alternative is not None or reply.status >= 300:
        return
    here = [a for a in operation.alternatives if reply.status in a.statuses]
    if not here or seen.is_error or expected_kinds(seen) or asks_after_nobody(seen) or not seen.let_in:
        return
    if reading.media != "json" or seen.exchange.credential is Credential.OTHER:
        return
    yield finding(
        f"{operation.name} answered {reply.status} with a body that is none of {', '.join(a.name for a in here)}",
        subject=f"{operation.name} body",
        severity=Severity.QUESTION,
        where=here[0].where,
        evidence=[seen.seq],
        expected=" or ".join(a.name for a in here),
        actual=str(reading.body)[:120],
    )


@check(id="RPL011", reads=Seen, trips_on=("no-reset-header",))
def a_reply_has_its_documented_headers(seen: Seen) -> Iterator[Finding]:
    """A reply carries the headers that the contract lists for it.

    A caller who is too fast must be told when to come again; without the header he guesses, and either loses
    time or is turned away once more. A header that is only said to be sent at times is a question.
    """
    reading, reply = seen.reading, seen.reply
    if reading is None or reply is None:
        return
    name, status = reading.operation.name, reply.status
    for field in _headers_due(seen, reading):
        told = reply.header(field.name)
        if told is None and field.evidence.binds:
            says, subject = f"{name} answered {status} without {field.name}", f"{status} {field.name}"
            expected, actual = field.name, "no such header"
        elif told is not None and _is_unlike(field, told):
            actual = told[:40] or "nothing"
            says, subject = f"{name} says {field.name}: {actual}", f"{status} {field.name} value"
            expected = str(field.schema.get("type", "a value"))
        else:
            continue
        yield finding(
            says,
            subject=subject,
            proof=field.evidence if field.required else UNKNOWN,
            where=field.where,
            evidence=[seen.seq],
            expected=expected,
            actual=actual,
        )


def _is_unlike(field: HeaderField, told: str) -> bool:
    """Whether a header carries nothing, or no number where one is documented."""
    if field.schema.get("type") not in ("number", "integer"):
        return not told.strip()
    try:
        return not isfinite(float(told))
    except ValueError:
        return True


def _headers_due(seen: Seen, reading: Reading) -> tuple[HeaderField, ...]:
    """The headers that a reply should have: those of what it is, if only one thing is what it can be."""
    if reading.alternative is not None:
        return reading.alternative.headers
    kinds = expected_kinds(seen)
    fitting = [problem for problem in reading.problems if not kinds or problem.kind in kinds]
    return fitting[0].headers if len(fitting) == 1 else ()
