"""Rules about the host's own pages: what contradicts itself, and what is left open. All of them ask questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from wireproof.lifecycle import FINAL, Status
from wireproof.model import (
    Alternative,
    Confidence,
    Endpoint,
    Evidence,
    Finding,
    Kind,
    Operation,
    Parameter,
    Problem,
    Severity,
    Where,
)
from wireproof.spec.linting.facts import Fact, Standing, facts, home, standing
from wireproof.spec.linting.registry import found, listed, rule, several
from wireproof.spec.linting.samples import (
    Breach,
    complaints,
    idle,
    misfits,
    request_breaches,
    said,
    told,
)

QUESTION = Severity.QUESTION


def noted(says: str, *proofs: Evidence) -> str:
    """The sentence, followed by the notes of the evidence, each once."""
    notes = dict.fromkeys(proof.note for proof in proofs if proof.note)
    return ". ".join([says, *(note.rstrip(".") for note in notes)])


# ---------------------------------------------------------------------------------- status codes


@rule(id="LINT001", severity=QUESTION)
def a_status_code_that_the_error_table_leaves_out(endpoint: Endpoint) -> Iterator[Finding]:
    """The host's documents use a status code that the host's own table of error codes does not list.

    A client written from the table takes the code for something unforeseen: it retries what can never
    succeed, or raises the wrong error. Example: "a failed request is served as HTTP 422" above a table that
    has no 422.
    """
    provider = endpoint.provider
    for code, (what, where, proof) in _used(endpoint).items():
        if provider.listed and code not in provider.listed:
            yield found(
                noted(
                    f"{code} is used ({what}, by {proof.source}), but the table of error codes leaves it out",
                    proof,
                ),
                subject=f"status:{code}",
                where=where,
                expected=f"one of {', '.join(map(str, provider.listed))}",
                actual=str(code),
            )


def _used(endpoint: Endpoint) -> dict[int, tuple[str, Where, Evidence]]:
    """The error codes that a document of the host speaks of, each with its first use and where that stands."""
    nodes: list[tuple[str, Alternative | Problem]] = [
        (f"reply {op.name}.{one.name}", one) for op in endpoint.operations.values() for one in op.alternatives
    ]
    nodes += [(f"problem {problem.name}", problem) for problem in endpoint.provider.problems.values()]
    used: dict[int, tuple[str, Where, Evidence]] = {}
    for what, node in nodes:
        for code in node.statuses:
            if code >= 400 and _told_by_host(endpoint, node.evidence):
                used.setdefault(code, (what, node.where, node.evidence))
    return used


def _told_by_host(endpoint: Endpoint, proof: Evidence) -> bool:
    """Whether a document of the host is the source, and says anything of it."""
    documented = _confidence(endpoint, proof.source) is Confidence.DOCUMENTED
    return documented and proof.confidence is not Confidence.UNKNOWN


def _confidence(endpoint: Endpoint, name: str) -> Confidence:
    """How much a source may be leaned on."""
    source = endpoint.sources.get(name)
    return source.confidence if source else Confidence.UNKNOWN


MEANINGS: Mapping[Kind, str] = {
    Kind.NO_KEY: "no valid key",  # what a client does about it is the same
    Kind.BAD_KEY: "no valid key",
    Kind.UNKNOWN_MODEL: "an unknown model",
    Kind.UNKNOWN_JOB: "an unknown job",
}


@rule(id="LINT002", severity=QUESTION)
def one_status_code_with_several_meanings(endpoint: Endpoint) -> Iterator[Finding]:
    """One status code stands for several problems, and no code in the body tells them apart.

    A client cannot know what to do: give up, correct the address, or start the job anew. Example: 404 for a
    model that does not exist, for a job that never was, and for one whose retention is over; only the job's
    age tells the last two apart.
    """
    problems = [p for p in endpoint.provider.problems.values() if p.evidence.binds and p.code is None]
    for code in sorted({code for problem in problems for code in problem.statuses}):
        meant = [problem for problem in problems if code in problem.statuses]
        meanings = list(dict.fromkeys(word for problem in meant for word in _meanings(endpoint, problem)))
        if len(meanings) > 1:
            yield found(
                f"{code} means {listed(meanings)}, and no code in the body tells which",
                subject=f"status:{code}",
                where=meant[0].where,
                expected="one meaning, or a code for each",
                actual=", ".join(problem.name for problem in meant),
            )


def _meanings(endpoint: Endpoint, problem: Problem) -> Iterator[str]:
    yield MEANINGS.get(problem.kind, problem.kind.value.replace("_", " "))
    if problem.kind is Kind.UNKNOWN_JOB and endpoint.provider.retention.after == problem.name:
        yield "an expired job"


@rule(id="LINT003", severity=QUESTION)
def missing_credits_under_a_strange_code(endpoint: Endpoint) -> Iterator[Finding]:
    """Exhausted credits are answered with another code than 402 Payment Required.

    A general client files 406 under content negotiation, 403 under permissions, 429 under "try again": it
    tells its user the wrong thing, or retries for ever. Example: 406 "Insufficient Credits".
    """
    for problem in endpoint.provider.problems.values():
        if problem.kind is Kind.OUT_OF_CREDITS and problem.statuses[0] != 402:
            yield found(
                noted(f"missing credits are answered with {problem.statuses[0]}, not with 402", problem.evidence),
                subject=f"problem:{problem.name}",
                where=problem.where,
                expected="402",
                actual=str(problem.statuses[0]),
            )


# ---------------------------------------------------------------------------------------- samples


def _by_subject(found_in: Iterator[tuple[Any, str, Where]]) -> dict[Any, tuple[list[str], Where]]:
    """The same trouble of several samples, told once: their names, and where the first stands."""
    grouped: dict[Any, tuple[list[str], Where]] = {}
    for key, name, where in found_in:
        grouped.setdefault(key, ([], where))[0].append(name)
    return grouped


@rule(id="LINT005", severity=QUESTION)
def a_sample_sends_what_has_no_effect(endpoint: Endpoint) -> Iterator[Finding]:
    """A sample request sends parameters that count for nothing beside its other values.

    Who copies the sample believes in a size or a quality that is never applied. Example: width and height
    beside a fixed aspect ratio, where both count only for the ratio `custom`.
    """
    samples = ((tuple(idle(endpoint, e.parameters)), e.name, e.where) for e in endpoint.examples)
    for names, (senders, where) in _by_subject(samples).items():
        conditions = list(dict.fromkeys(said(endpoint.parameters[name].matters) for name in names))
        if names:
            yield found(
                f"{several('sample', senders)} sends {listed(names)}: that counts only where {' / '.join(conditions)}",
                subject=f"idle:{','.join(names)}",
                where=where,
                expected="left out, or a request in which it counts",
                actual=listed(names),
            )


@rule(id="LINT006", severity=QUESTION)
def a_sample_breaks_the_table_of_its_own_page(endpoint: Endpoint) -> Iterator[Finding]:
    """A sample request does not keep to the parameter table that stands beside it.

    One of the two is wrong, and a client can only follow one: the sample is refused, or the table is
    stricter than the host. Example: a curl line without the parameter that the table calls required.
    """
    samples = ((breach, e.name, e.where) for e in endpoint.examples for breach in request_breaches(endpoint, e))
    for breach, (names, where) in _by_subject(samples).items():
        yield found(
            f"in {several('sample', names)}, {breach.subject} {breach.says}",
            subject=f"{breach.subject}.{breach.keyword}",
            where=where,
            expected=_wanted(endpoint, breach),
            actual=breach.says,
        )


def _wanted(endpoint: Endpoint, breach: Breach) -> str:
    parameter = endpoint.parameters.get(breach.subject)
    wanted = parameter.schema.get(breach.keyword) if parameter else None
    return f"{breach.keyword}: {told(wanted)}" if wanted is not None else breach.keyword


@rule(id="LINT007", severity=QUESTION)
def a_sample_reply_shows_what_was_not_asked_for(endpoint: Endpoint) -> Iterator[Finding]:
    """A sample reply holds a field that its request did not ask for.

    Whether the field comes always or only on request stays open; a client that reads it may find nothing.
    Example: every sample shows a cost, none sets the switch that adds it.
    """
    samples = (
        ((misfit.place, misfit.when), example.name, example.where)
        for example in endpoint.examples
        if example.reply is not None
        for misfit in misfits(endpoint, example)
        if misfit.unasked
    )
    for (place, when), (names, where) in _by_subject(samples).items():
        yield found(
            f"the reply of {several('sample', names)} shows {place}, which is there only where {when}",
            subject=f"unasked:{place}",
            where=where,
            expected=f"no {place}, or a request in which {when}",
            actual=place,
        )


# ------------------------------------------------------------------------------------- parameters


def _of_kind(endpoint: Endpoint, parameter: Parameter) -> str:
    canonical = endpoint.model.parameters.get(parameter.canonical or "")
    return canonical.kind if canonical else ""


@rule(id="LINT008", severity=QUESTION)
def an_omitted_seed_is_not_random(endpoint: Endpoint) -> Iterator[Finding]:
    """The seed has a fixed default, so requests that leave it out all get the same picture.

    Who asks ten times for variety pays ten times for one picture. Example: `seed` defaults to 42, and only
    -1 asks for another one each time.
    """
    for parameter in endpoint.parameters.values():
        fixed = parameter.has_default and parameter.default != parameter.random
        if _of_kind(endpoint, parameter) == "seed" and fixed:
            asks = "" if parameter.random is None else f"; {told(parameter.random)} asks for another one each time"
            yield found(
                noted(
                    f"without {parameter.name}, every request uses {told(parameter.default)}: equal requests give "
                    f"equal pictures{asks}",
                    parameter.proof("default"),
                ),
                subject=f"{parameter.name}.default",
                where=parameter.line("default"),
                expected="a random choice",
                actual=told(parameter.default),
            )


WIDTHS = ((2**31 - 1, "2^31"), (2**32 - 1, "2^32"), (2**53, "2^53"))


@rule(id="LINT009", severity=QUESTION)
def numbers_beyond_what_a_machine_word_holds(endpoint: Endpoint) -> Iterator[Finding]:
    """The range of an integer goes beyond 2^31, 2^32 or 2^53.

    Somewhere between client, gateway and worker such a number is cut to 32 bits or rounded to a double, and
    two seeds become one. Example: a seed up to 999999999999999.
    """
    for parameter in endpoint.parameters.values():
        bound = parameter.schema.get("maximum", 0)
        passed = [name for limit, name in WIDTHS if isinstance(bound, int) and bound > limit]
        if passed:
            yield found(
                f"{parameter.name} goes up to {bound}, beyond {listed(passed)}: cut or rounded on its way?",
                subject=f"{parameter.name}.maximum",
                where=parameter.line("maximum"),
                expected="a range that 32 bits hold, or a promise that no digit is lost",
                actual=str(bound),
            )


@rule(id="LINT012", severity=QUESTION)
def two_operations_for_one_act(endpoint: Endpoint) -> Iterator[Finding]:
    """Two addresses start the same work with the same parameters.

    A client has to know which one it talks to: one answers with the picture, the other with an id to poll.
    Example: the page's box shows POST /v1/<model>, its samples POST /v2/<model>.
    """
    acts = [op for op in endpoint.operations.values() if op.does.bills and op.request.parameters == "binding"]
    first = acts[:1]
    for other in acts[1:]:
        ways = [f"{op.name} ({_address(op)})" for op in (*first, other)]
        if _address(first[0]) != _address(other):
            yield found(
                f"{listed(ways)} start the same work with the same parameters",
                subject=f"operation:{other.name}",
                where=home(endpoint, other, "request.method", "request.path"),
                expected="one address, or a word on which to use",
                actual=listed(ways),
            )


def _address(operation: Operation) -> str:
    return f"{operation.request.method} {operation.request.path}"


@rule(id="LINT013", severity=QUESTION)
def a_text_names_a_value_that_is_not_allowed(endpoint: Endpoint) -> Iterator[Finding]:
    """Some text of the host uses a value, or a type, that the parameter does not allow.

    The table holds, so who follows the text is refused. Example: TIFF is recommended for transparency, and
    JPG, PNG and WEBP are allowed.
    """
    for parameter in endpoint.parameters.values():
        for keyword in ("enum", "type"):
            proof = parameter.facts.get(keyword)
            for rival in proof.rivals if proof and proof.confidence is not Confidence.DISPUTED else ():
                if _is_refused(parameter, keyword, rival.value):
                    says = f"{parameter.name}: {told(rival.value)} is not an allowed {WORD[keyword]} ({rival.source})"
                    yield found(
                        noted(says, *filter(None, [proof])),
                        subject=f"{parameter.name}={told(rival.value)}",
                        where=parameter.line(keyword),
                        expected=told(parameter.schema[keyword]),
                        actual=told(rival.value),
                    )


WORD: Mapping[str, str] = {"enum": "value", "type": "type"}


def _is_refused(parameter: Parameter, keyword: str, value: Any) -> bool:
    """Whether the parameter refuses a value that some text names, or everything of a type that it names."""
    if keyword == "type":
        kinds = parameter.schema.get("type", ())
        return value not in ([kinds] if isinstance(kinds, str) else kinds)
    return keyword in complaints(parameter, value)


LIMITS: Mapping[str, tuple[str, str, frozenset[str]]] = {
    "array": ("maxItems", "largest number of items", frozenset()),
    "string": ("maxLength", "largest length", frozenset({"enum", "const", "format", "pattern"})),
    "integer": ("maximum", "largest value", frozenset({"enum", "const"})),
    "number": ("maximum", "largest value", frozenset({"enum", "const"})),
}
"""Type to the keyword that bounds it, what that is in words, and keywords that make the bound needless."""


@rule(id="LINT021", severity=QUESTION)
def a_parameter_without_an_upper_limit(endpoint: Endpoint) -> Iterator[Finding]:
    """A number, a text or a list has no stated upper limit.

    There always is one; a client learns it from a refusal, or from a cut text that nobody notices.
    Example: a prompt without a largest length.
    """
    for parameter in endpoint.parameters.values():
        kinds = parameter.schema.get("type", ())
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            keyword, what, instead = LIMITS.get(kind, ("", "", frozenset()))
            if keyword and keyword not in parameter.schema and not instead & set(parameter.schema):
                yield found(
                    f"{parameter.name}: no {what} is stated",
                    subject=f"{parameter.name}.{keyword}",
                    where=parameter.where,
                    expected=keyword,
                    actual="not stated",
                )


@rule(id="LINT022", severity=QUESTION)
def nobody_says_what_becomes_of_what_does_not_belong(endpoint: Endpoint) -> Iterator[Finding]:
    """Whether a parameter that has no effect, or one that does not exist, is refused or ignored is not stated.

    A misspelt parameter is then noticed by nobody, or refuses a request that used to work. Example: `ttl`
    counts only for addresses, and what it does beside base64 is not said.
    """
    for parameter in endpoint.parameters.values():
        if parameter.matters and parameter.otherwise == "unknown":
            yield found(
                f"{parameter.name} counts only where {said(parameter.matters)}; what it does elsewhere is not stated",
                subject=f"{parameter.name}.otherwise",
                where=parameter.line("matters"),
                expected="ignored or refused",
                actual="not stated",
            )
    takers = [op for op in endpoint.operations.values() if op.request.envelope != "none"]
    silent = [op for op in takers if op.request.unknown_fields == "unknown"]
    if silent:
        yield found(
            f"{listed([op.name for op in silent])}: whether an unknown field is refused or ignored is not stated",
            subject="unknown_fields",
            where=home(endpoint, silent[0], "request.unknown_fields"),
            expected="refused or ignored",
            actual="not stated",
        )


# --------------------------------------------------------------------------------------- evidence


@rule(id="LINT004", severity=QUESTION)
def the_sources_contradict_one_another(endpoint: Endpoint) -> Iterator[Finding]:
    """Two sources, or two places of one page, say different things of one fact.

    A client that follows one of them breaks where the host follows the other; nothing can be called a
    violation until a live run has told. Example: a seed that the table calls a string and the sample sends
    as a number.
    """
    for fact in _standing(endpoint, Standing.DISPUTED):
        rivals = [f"{told(rival.value)} ({rival.source})" for rival in fact.evidence.rivals]
        yield found(
            noted(f"{fact.says}: disputed", fact.evidence),
            subject=_subject(fact),
            where=fact.where,
            expected="" if fact.value is None else told(fact.value),
            actual="; ".join(rivals),
        )


def _standing(endpoint: Endpoint, *kinds: Standing) -> list[Fact]:
    return [fact for fact in facts(endpoint) if not fact.is_gap and standing(fact.evidence) in kinds]


def _subject(fact: Fact) -> str:
    return f"{fact.group}.{fact.name}".strip(".").replace(" ", "-")


def _together(listing: list[Fact]) -> Iterator[tuple[str, list[Fact]]]:
    """Facts of one file and one group that have the same to say, as one line: its words, and the facts."""

    def key(fact: Fact) -> tuple[str, str, bool, str]:
        # What is told of a parameter stands alone; all there is of one group otherwise shares a line.
        alone = fact.where.pointer.startswith("/parameters/")
        return fact.where.file, fact.group, alone, fact.evidence.note if alone else ""

    for (_, group, _, _), same in groupby(sorted(listing, key=lambda f: (key(f), f.where.line)), key=key):
        members = list({(fact.name, fact.where): fact for fact in same}.values())
        yield f"{group} {listed([fact.name for fact in members])}".strip(), members


def _shared(members: list[Fact]) -> str:
    """What a line is about: the group, or the parameter and its keywords."""
    if not members[0].where.pointer.startswith("/parameters/"):
        return members[0].group.replace(" ", "-")
    return f"{members[0].group}.{'+'.join(fact.name for fact in members)}".strip(".")


def _told_together(endpoint: Endpoint, kind: Standing, why: str) -> Iterator[Finding]:
    for says, members in _together(_standing(endpoint, kind)):
        notes = {fact.evidence.note for fact in members}
        names = sorted({fact.evidence.source for fact in members if fact.evidence.source})
        sources = listed(names or ["nobody"])
        by_host = all(_confidence(endpoint, name) is Confidence.DOCUMENTED for name in names)
        how = "concluded from" if by_host else "known from"
        sentence = f"{says}: {why.format(sources=sources, how=how)}"
        yield found(
            noted(sentence, members[0].evidence) if len(notes) == 1 else sentence,
            subject=_shared(members),
            where=members[0].where,
            expected="told by the table of the page",
            actual=sources,
        )


@rule(id="LINT010", severity=QUESTION)
def a_fact_that_stands_only_in_prose(endpoint: Endpoint) -> Iterator[Finding]:
    """A value, a range or a limit stands in a sentence and not in the table that should hold it.

    Generated clients and validators do not read sentences, so they let through what the host refuses.
    Example: "compression quality 0-100" in the description of a parameter that has no range.
    """
    yield from _told_together(endpoint, Standing.PROSE, "stands only in a sentence ({sources})")


@rule(id="LINT011", severity=QUESTION)
def a_fact_taken_from_a_sibling(endpoint: Endpoint) -> Iterator[Finding]:
    """The page lacks a fact that the pages of its siblings have; the contract takes it from there.

    Hosts often share such facts, and sometimes do not. Example: a page that tells of states without naming
    them, next to two pages that do.
    """
    for fact in facts(endpoint):
        if standing(fact.evidence) is Standing.SIBLING:
            says = fact.value if fact.is_gap else noted(f"{fact.says}: taken from a sibling's page", fact.evidence)
            yield found(says, subject=_subject(fact), where=fact.where, expected="on its own page", actual="sibling")


@rule(id="LINT014", severity=QUESTION)
def a_fact_that_the_page_leaves_open(endpoint: Endpoint) -> Iterator[Finding]:
    """The page leaves something open, and another source fills it in.

    The other source may speak of another model, another version or another day. Example: "allowed values:
    3 values", and none of them named.
    """
    yield from _told_together(endpoint, Standing.ELSEWHERE, "left open by the page, filled in from {sources}")


@rule(id="LINT015", severity=QUESTION)
def a_fact_that_only_others_tell(endpoint: Endpoint) -> Iterator[Finding]:
    """No document of the host says it: it is concluded, read from a client's code, or told by somebody else.

    It may be right and may change without notice; a live run should confirm it before a client leans on it.
    Example: an error code that is only known from the list in a published client.
    """
    yield from _told_together(endpoint, Standing.INFERRED, "not documented, {how} {sources}")


@rule(id="LINT016", severity=QUESTION)
def a_fact_seen_only_in_a_sample(endpoint: Endpoint) -> Iterator[Finding]:
    """A sample shows it, and no text promises it.

    One sample tells what can happen, not what always does. Example: the format of a picture that only the
    ending of an address tells.
    """
    yield from _told_together(endpoint, Standing.SAMPLE, "only seen in a sample")


@rule(id="LINT017", severity=QUESTION)
def a_fact_that_nobody_states(endpoint: Endpoint) -> Iterator[Finding]:
    """Nobody says it: the contract holds a placeholder.

    A mock needs some value, and a client will meet another one. Example: how long a job is remembered.
    """
    yield from _told_together(endpoint, Standing.UNKNOWN, "nobody says, a placeholder stands there")


@rule(id="LINT018", severity=QUESTION)
def an_open_question(endpoint: Endpoint) -> Iterator[Finding]:
    """A contradiction or a hole that belongs to no single place of the contract.

    A client has to guess, and should be told that it does. Example: what several results mean together with
    one given seed.
    """
    for fact in facts(endpoint):
        if fact.is_gap and standing(fact.evidence) is not Standing.SIBLING:
            rivals = "; ".join(f"{told(rival.value)} ({rival.source})" for rival in fact.evidence.rivals)
            yield found(str(fact.value), subject=fact.name, where=fact.where, actual=rivals)


@rule(id="LINT025", severity=QUESTION)
def a_documented_fact_with_a_question_of_its_own(endpoint: Endpoint) -> Iterator[Finding]:
    """The host says it, and leaves something about it open or says it oddly.

    The fact can be relied on, its edge cannot. Example: a compression quality, without a word on whether it
    counts for a format that loses nothing.
    """
    asked: dict[tuple[str, str], list[Fact]] = {}
    for fact in _standing(endpoint, Standing.FIRM):
        if fact.evidence.note and not fact.evidence.rivals:
            asked.setdefault((fact.where.file, fact.evidence.note), []).append(fact)
    for (_, note), members in asked.items():
        yield found(
            f"{listed([fact.says for fact in members])}: {note}",
            subject=_subject(members[0]),
            where=members[0].where,
            actual="not stated",
        )


# ---------------------------------------------------------------------------------------- failure


@rule(id="LINT019", severity=QUESTION)
def no_failure_is_documented(endpoint: Endpoint) -> Iterator[Finding]:
    """No document of the host names a state in which a job has failed.

    A client that knows only good endings polls a failed job until its own patience ends. Example: a page
    that shows `pending` and `completed`, and nothing else.
    """
    states = endpoint.provider.states.values()
    failing = [state for state in states if state.status in FINAL - {Status.SUCCEEDED}]
    if states and not any(state.evidence.binds for state in failing):
        shown = [state.word for state in states if state.evidence.binds]
        where = failing[0].where if failing else endpoint.provider.where
        yield found(
            noted("no failure state is documented", *(state.evidence for state in failing[:1])),
            subject="states",
            where=where,
            expected="a word for a failed job",
            actual=", ".join(shown),
        )


@rule(id="LINT020", severity=QUESTION)
def no_error_reply_is_documented(endpoint: Endpoint) -> Iterator[Finding]:
    """No document of the host describes a single error reply: neither a code nor a body.

    A client cannot tell a wrong key from an empty account or from a busy host, so it retries everything or
    nothing. Example: a page with samples of good replies only.
    """
    problems = list(endpoint.provider.problems.values())
    if problems and not any(problem.evidence.binds for problem in problems):
        yield found(
            f"none of the {len(problems)} error replies is documented by the host",
            subject="problems",
            where=problems[0].where,
            expected="codes and bodies of errors",
            actual=listed(sorted({problem.evidence.source for problem in problems})),
        )


@rule(id="LINT024", severity=QUESTION)
def a_rate_limit_that_does_not_say_how_long(endpoint: Endpoint) -> Iterator[Finding]:
    """Too many calls are refused without Retry-After, the one header that every client understands.

    A client guesses how long to wait: too short, and it is refused again; too long, and it stands idle.
    Example: a 429 with nothing but a text.
    """
    for problem in endpoint.provider.problems.values():
        told_in = {header.value: header.name for header in problem.headers}
        speaks = problem.kind is Kind.RATE_LIMITED and _told_by_host(endpoint, problem.evidence)
        if speaks and "retry.after" not in told_in:
            instead = f"{told_in['retry.reset_at']} instead" if "retry.reset_at" in told_in else "nothing instead"
            yield found(
                f"the {problem.statuses[0]} of {problem.name} has no Retry-After ({instead})",
                subject=f"problem:{problem.name}",
                where=problem.where,
                expected="retry-after",
                actual=", ".join(told_in.values()) or "no header",
            )


@rule(id="LINT023", severity=QUESTION)
def a_picture_whose_size_nobody_states(endpoint: Endpoint) -> Iterator[Finding]:
    """A ratio is promised, or nothing at all, and no size in pixels.

    Whoever pays by the pixel, prints, or joins pictures has to find out. Example: "16:9" may be 1376 x 768
    or 1024 x 576.
    """
    rules = [size for size in endpoint.outputs.sizes if standing(size.evidence) is Standing.FIRM]
    silent = [size for size in rules if size.width is None or size.height is None]
    if silent:
        cases = [f"where {said(size.when)}" if size.when else "in the other cases" for size in silent]
        whole = len(endpoint.outputs.sizes) == 1
        yield found(
            f"the size in pixels is not stated{'' if whole else f' {listed(cases)}'}",
            subject="outputs.sizes",
            where=silent[0].where,
            expected="a width and a height",
            actual="a ratio" if any(size.ratio for size in silent) else "not stated",
        )


# ------------------------------------------------------------------------------------------ errors

FAMILIES: Mapping[str, tuple[int, int]] = {"4xx": (400, 428), "429": (429, 429), "5xx": (500, 599)}


@rule(id="LINT026", severity=QUESTION)
def an_operation_without_its_errors(endpoint: Endpoint) -> Iterator[Finding]:
    """An operation has no refusal (4xx), no rate limit (429) or no fault of the host (5xx) among its replies.

    Every host answers all three at times, whether its page says so or not; a client that was written from the
    page meets them unprepared. Example: a page that lists good replies only.
    """
    problems = endpoint.provider.problems
    for operation in endpoint.operations.values():
        codes = {c for name in operation.problems if name in problems for c in problems[name].statuses}
        codes |= {code for one in operation.alternatives for code in one.statuses}
        missing = [name for name, (low, high) in FAMILIES.items() if not any(low <= c <= high for c in codes)]
        if missing:
            yield found(
                f"{operation.name} has no reply for {listed(missing)}: what is answered then is not stated",
                subject=f"errors:{operation.name}",
                where=home(endpoint, operation, "problems", "alternatives"),
                expected="problems for 4xx, 429 and 5xx",
                actual=", ".join(map(str, sorted(codes))),
            )
