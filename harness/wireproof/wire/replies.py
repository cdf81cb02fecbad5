"""Replies by their contract: which alternative is meant, and what it says of the job."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from wireproof.lifecycle import Status, worst
from wireproof.model import (
    Alternative,
    Does,
    Endpoint,
    HeaderField,
    Means,
    Operation,
    Output,
    Problem,
    Reply,
)
from wireproof.spec.once import Once
from wireproof.spec.values import Values, effective, holds
from wireproof.wire.bodies import MISSING, Found, collect, too_deep


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one reply says. Everything is None or empty where it says nothing."""

    operation: Operation
    alternative: Alternative | None = None
    problems: tuple[Problem, ...] = ()
    """Problems of the operation that a reply of this status and form may be; the likeliest first."""
    media: str = "empty"
    """`json`, `image`, `html`, `text` or `empty`, by the bytes and the content type."""
    body: Any = MISSING
    found: tuple[Found, ...] = ()
    words: tuple[str, ...] = ()
    """The host's state words in it, one for each output where it has several."""
    status: Status | None = None
    id: str | None = None
    links: Mapping[str, str] = None  # type: ignore[assignment]
    outputs: tuple[Output, ...] = ()
    trouble: str = ""
    """Why the reply is none that the contract knows; empty: it is one."""

    @property
    def problem(self) -> Problem | None:
        """The likeliest problem it tells of."""
        return self.problems[0] if self.problems and self.alternative is None else None

    @property
    def word(self) -> str | None:
        """The state word that counts for the whole reply."""
        return self.words[0] if self.words else None

    def value(self, name: str) -> Any:
        """The first value of a name of the vocabulary; MISSING when it stands nowhere."""
        return next((f.value for f in self.found if f.name == name), MISSING)

    def values(self, name: str) -> tuple[Any, ...]:
        """All values of a name of the vocabulary."""
        return tuple(f.value for f in self.found if f.name == name)

    def text(self, name: str) -> str:
        """The first value of a name as text; empty when it stands nowhere."""
        value = self.value(name)
        return "" if value is MISSING or value is None else str(value)


def kind_of(reply: Reply) -> str:
    """What a body is: by its content type, and by its bytes where the type says nothing."""
    if not reply.body:
        return "empty"
    declared = ""
    for name, value in reply.headers:
        if name.lower() == "content-type":
            declared = _media_type(value)
            break
    if declared.startswith("image/"):
        return "image"
    if declared.endswith("json"):
        return "json"
    head = reply.body.lstrip()[:1]
    if head in (b"{", b"["):
        # What it is counts, not what it says; that the two differ is for the judge to tell.
        return "json"
    if declared == "text/html":
        return "html"
    if reply.body[:4] in (b"\x89PNG", b"RIFF") or reply.body[:2] == b"\xff\xd8":
        return "image"
    return "html" if head == b"<" else "text"


@functools.lru_cache(maxsize=256)
def _media_type(declared: str) -> str:
    return declared.partition(";")[0].strip().lower()


def parse(body: bytes) -> Any:
    """The JSON value of a body; MISSING when it is none, or too deep for most readers. Numbers with a fraction stay
    exact enough for money because they are read by their shortest decimal form."""
    try:
        value = msgspec.json.decode(body)
        return MISSING if too_deep(body, value) else value
    except (msgspec.DecodeError, RecursionError, ValueError):
        return MISSING


def read(endpoint: Endpoint, operation: Operation, reply: Reply, values: Values | None = None) -> Reading:
    """What a reply to this operation says, by the contract; `values` are the request's parameters."""
    media = kind_of(reply)
    body = parse(reply.body) if media in ("json", "text") else MISSING
    expected = _expected(operation, endpoint.provider.problems)
    full = effective(endpoint, values or {}) if expected.conditional else {}
    alternatives = _candidates(expected.alternatives.get(reply.status, ()), media, body, full)
    if not alternatives and 200 <= reply.status < 300:
        alternatives = _by_form(operation.alternatives, reply, body, full)
    problems = _problems(expected.problems.get(reply.status, ()), body)
    chosen, found = _choose(endpoint, alternatives, body)
    if chosen is not None and problems and _is_problem(endpoint, chosen, problems, body):
        chosen = None
    if chosen is None:
        problem = problems[0] if problems else None
        found = tuple(collect(problem.shape, body)) if problem and problem.shape and body is not MISSING else ()
    headers = chosen.headers if chosen else problems[0].headers if problems else ()
    if headers:
        found = (*found, *_from_headers(headers, reply))
    trouble = "" if chosen or problems else _trouble(operation, reply, media, body, endpoint)
    return _reading(endpoint, operation, chosen, problems, media, body, found, reply, trouble)


@dataclass(frozen=True, slots=True)
class _Expected:
    """What an operation may be answered with, by status code."""

    alternatives: Mapping[int, tuple[Alternative, ...]]
    problems: Mapping[int, tuple[Problem, ...]]
    conditional: bool
    """Whether some alternative depends on the values of the request."""


def _what_is_expected(operation: Operation, problems: Mapping[str, Problem]) -> _Expected:
    known = [problems[name] for name in operation.problems if name in problems]
    return _Expected(
        alternatives=_by_status(operation.alternatives),
        problems=_by_status(known),
        conditional=any(one.when for one in operation.alternatives),
    )


_expected = Once(_what_is_expected)

Answered = TypeVar("Answered", Alternative, Problem)


def _by_status(answers: Sequence[Answered]) -> dict[int, tuple[Answered, ...]]:
    """The answers that each status code may be, in their order."""
    codes = {code for one in answers for code in one.statuses}
    return {code: tuple(one for one in answers if code in one.statuses) for code in codes}


def _candidates(alternatives: Sequence[Alternative], media: str, body: Any, values: Values) -> Sequence[Alternative]:
    """Those of one status code that a body of this kind may be."""
    return [
        one
        for one in alternatives
        if (one.media == "any" or (one.media == "image") == (media == "image"))
        and (one.media != "empty" or media == "empty")
        and (not one.having or all(at(body, pointer) is not MISSING for pointer in one.having))
        and (not one.lacking or not any(at(body, pointer) is not MISSING for pointer in one.lacking))
        and (not one.when or holds(one.when, values))
    ]


def _by_form(alternatives: Iterable[Alternative], reply: Reply, body: Any, values: Values) -> Sequence[Alternative]:
    """Good replies whose body this is, under another good status: the judge tells of that, and the story goes on."""
    return [
        one
        for one in alternatives
        if one.shape is not None
        and isinstance(body, dict)
        and reply.status not in one.statuses
        and all(200 <= code < 300 for code in one.statuses)
        and one.shape.schema.get("required")
        and all(name in body for name in one.shape.schema["required"])
        and holds(one.when, values)
    ]


def _choose(
    endpoint: Endpoint, candidates: Sequence[Alternative], body: Any
) -> tuple[Alternative | None, tuple[Found, ...]]:
    """The candidate whose states hold the word that stands in the body; otherwise the first one."""
    if not candidates:
        return None, ()
    readings: list[tuple[Alternative, tuple[Found, ...]]] = []
    for one in candidates:
        found = tuple(collect(one.shape, body)) if one.shape and body is not MISSING else ()
        words = [f.value for f in found if f.name == "job.state"]
        if words and one.states and all(word in one.states for word in words):
            return one, found
        readings.append((one, found))
    plain = [pair for pair in readings if not pair[0].states]
    wordless = not any(f.name == "job.state" for _, found in readings for f in found)
    return plain[0] if plain and wordless else readings[0]


def _is_problem(endpoint: Endpoint, chosen: Alternative, problems: Sequence[Problem], body: Any) -> bool:
    """Whether a body of a shared status code is an error after all: it lacks what the reply needs and has
    what the error needs."""
    if chosen.shape is None or body is MISSING or not isinstance(body, dict):
        return False
    shape = problems[0].shape
    if shape is None:
        return False
    needs = [name for name in chosen.shape.schema.get("required", ()) if name not in body]
    shows = shape.schema.get("required", ())
    return bool(needs) and bool(shows) and all(name in body for name in shows)


def _problems(fitting: Sequence[Problem], body: Any) -> tuple[Problem, ...]:
    """Those of one status code that a body may tell of, the likeliest first."""
    if not fitting:
        return ()
    coded = [p for p in fitting if p.code and p.code in _codes(p, body)]
    if coded:
        return tuple(coded)
    # A JSON body is told of by a problem that has a form, a page by one that has none.
    fitting = sorted(fitting, key=lambda p: (p.shape is None) is (body is not MISSING))
    uncoded = [p for p in fitting if not p.code and (p.shape is None) is (body is MISSING)]
    return tuple(uncoded or fitting)


def _codes(problem: Problem, body: Any) -> list[Any]:
    if problem.shape is None or body is MISSING:
        return []
    return [f.value for f in collect(problem.shape, body) if f.name in ("problem.code", "job.error_code")]


def _from_headers(headers: Sequence[HeaderField], reply: Reply) -> tuple[Found, ...]:
    return tuple(
        Found(header.value, f"header {header.name}", _number(value, header), None)
        for header in headers
        if (value := reply.header(header.name)) is not None
    )


def _number(value: str, header: HeaderField) -> Any:
    if header.schema.get("type") in ("number", "integer"):
        try:
            return float(value) if "." in value else int(value)
        except ValueError:
            return value
    return value


def _reading(
    endpoint: Endpoint,
    operation: Operation,
    chosen: Alternative | None,
    problems: tuple[Problem, ...],
    media: str,
    body: Any,
    found: tuple[Found, ...],
    reply: Reply,
    trouble: str,
) -> Reading:
    words: list[str] = []
    links: dict[str, str] = {}
    id = None
    for name, _, value, _ in found:
        if name == "job.state":
            if isinstance(value, str):
                words.append(value)
        elif name == "job.id":
            if id is None and isinstance(value, (str, int)):
                id = str(value)
        elif name.startswith("link.") and isinstance(value, str):
            links[name.removeprefix("link.")] = value
    return Reading(
        operation=operation,
        alternative=chosen,
        problems=problems,
        media=media,
        body=body,
        found=found,
        words=tuple(words),
        status=_status(endpoint, operation, chosen, words),
        id=id,
        links=links,
        outputs=_outputs(found, chosen, reply),
        trouble=trouble,
    )


def _status(
    endpoint: Endpoint, operation: Operation, chosen: Alternative | None, words: Sequence[str]
) -> Status | None:
    """The canonical status that a reply tells of; None where it tells of none that the contract knows."""
    known = [endpoint.provider.states[word].status for word in words if word in endpoint.provider.states]
    if known and len(known) == len(words):
        return worst(known)
    if words or chosen is None:
        return None
    meant = {Means.DONE: Status.SUCCEEDED, Means.FAILED: Status.FAILED}.get(chosen.means)
    if meant is None and chosen.means is Means.ACCEPTED:
        return next((state.status for state in endpoint.provider.states.values() if state.initial), Status.QUEUED)
    return meant


def _outputs(found: Sequence[Found], chosen: Alternative | None, reply: Reply) -> tuple[Output, ...]:
    """The outputs that a reply delivers; a value told outside a list belongs to the first of them."""
    if chosen is not None and chosen.media == "image" and chosen.means is Means.DONE:
        return (Output(data=reply.body, content_type=reply.header("content-type")),)
    items: dict[int, dict[str, Any]] = {}
    for f in found:
        if f.name.startswith("output."):
            items.setdefault(f.item or 0, {}).setdefault(f.name.removeprefix("output."), f.value)
    return (
        ()
        if not items
        else tuple(
            Output(
                url=facts.get("url") if isinstance(facts.get("url"), str) else None,
                data=_inline(facts),
                id=str(facts["id"]) if "id" in facts else None,
                content_type=facts.get("content_type"),
            )
            for _, facts in sorted(items.items())
            if _inline(facts) or (isinstance(facts.get("url"), str) and facts["url"].strip())
        )
    )


def _inline(facts: Mapping[str, Any]) -> bytes | None:
    for name in ("base64", "data_uri"):
        if isinstance(facts.get(name), str):
            return str(facts[name]).encode()
    return None


def _trouble(operation: Operation, reply: Reply, media: str, body: Any, endpoint: Endpoint) -> str:
    known = sorted(codes(endpoint, operation))
    if reply.status not in known:
        return f"status {reply.status} is none that {operation.name} may answer with ({', '.join(map(str, known))})"
    if media == "json" and body is MISSING:
        return f"status {reply.status} with a body that says it is JSON and is not"
    return f"status {reply.status} with a body of kind {media} is none that {operation.name} may answer with"


@functools.lru_cache(maxsize=1024)
def _codes_of(alternatives: tuple[tuple[int, ...], ...], problems: tuple[tuple[int, ...], ...]) -> frozenset[int]:
    return frozenset(code for group in (*alternatives, *problems) for code in group)


def codes(endpoint: Endpoint, operation: Operation) -> frozenset[int]:
    """Every status code that an operation may answer with."""
    problems = tuple(
        endpoint.provider.problems[name].statuses for name in operation.problems if name in endpoint.provider.problems
    )
    return _codes_of(tuple(a.statuses for a in operation.alternatives), problems)


def at(body: Any, pointer: str) -> Any:
    """The value at a JSON pointer; MISSING when there is none."""
    node = body
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return MISSING
    return node


def tells_of_a_job(operation: Operation) -> bool:
    """Whether a good reply of it belongs to a job."""
    return operation.does in (Does.SUBMIT, Does.RUN, Does.STATUS, Does.RESULT, Does.CANCEL)
