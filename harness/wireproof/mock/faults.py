"""Faults that any host can have. Each is one small function and knows no provider.

What a fault is handed says what it bends:

    answers   `(strike, answer) -> answer`   the reply to one call: replaced, cut, delayed, reset
    facts     `(strike, name, value) -> value`   one value of the vocabulary wherever a reply says it
    jobs      `(strike, job) -> None`   what becomes of a job that was just taken
    sends     `(strike, sends) -> sends`   the webhooks and uploads that a job leads to

Its keyword arguments are what a mood may say to it under `with`. `FAULTS` is the table of all of them;
where and how often they strike, and how a mock is put into a mood, is in `wireproof.mock.moods`.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_type_hints

from wireproof.lifecycle import Status
from wireproof.mock.answer import Answer, Delivery
from wireproof.mock.effects import Send
from wireproof.mock.jobs import Job
from wireproof.model import Kind, Reply
from wireproof.spec.values import by_canonical, drawn_size
from wireproof.wire import requests
from wireproof.wire.bodies import MISSING, Moment
from wireproof.wire.requests import at_host

if TYPE_CHECKING:
    from wireproof.mock.scene import Scene

NEVER = 1e9
"""Seconds that no test outlives, and that a calendar can still hold."""


Phase: TypeAlias = Literal["queue", "run"]
Law: TypeAlias = Literal["fixed", "uniform", "log-normal", "empirical"]


class Bends(StrEnum):
    """What a fault is about."""

    ANSWERS = "answers"
    FACTS = "facts"
    JOBS = "jobs"
    SENDS = "sends"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault as it strikes one call."""

    chance: random.Random
    """Of this strike alone."""
    scene: Scene | None = None
    """The call as the host sees it; None for media."""
    wall: float = 0.0
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Named:
    """A fault's function, and what can be said of it."""

    name: str
    bends: Bends
    act: Callable[..., Any]
    replaces: bool
    """Whether it needs nothing of the true answer, so that it may strike before the call arrives."""

    @property
    def says(self) -> str:
        """What it does, in one sentence."""
        return (inspect.getdoc(self.act) or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, Any]:
        """What may be said to it, as JSON Schema properties with their defaults."""
        hints = get_type_hints(self.act)
        parameters = inspect.signature(self.act).parameters.values()
        return {
            p.name: {**_TYPES[hints[p.name]], "default": p.default}
            for p in parameters
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }


_TYPES: Mapping[Any, Mapping[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number", "minimum": 0},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    tuple[float, ...]: {"type": "array", "items": {"type": "number", "minimum": 0}},
    Phase: {"enum": ["queue", "run"]},
    Law: {"enum": ["fixed", "uniform", "log-normal", "empirical"]},
    tuple[str, ...]: {"type": "array", "items": {"type": "string"}},
}

FAULTS: dict[str, Named] = {}
"""Every fault by its name."""


def _fault(bends: Bends, replaces: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(act: Callable[..., Any]) -> Callable[..., Any]:
        name = act.__name__.replace("_", "-")
        FAULTS[name] = Named(name, bends, act, replaces)
        return act

    return register


# ------------------------------------------------------------------- answers: in place of the true one


@_fault(Bends.ANSWERS, replaces=True)
def problem(strike: Strike, answer: Answer, *, kind: str = "broken") -> Answer:
    """The host's own reply to a kind of problem (out_of_credits, bad_key, unknown_job, overloaded …)."""
    return strike.scene.refuse(Kind(kind)) if strike.scene else _bare(404)


@_fault(Bends.ANSWERS, replaces=True)
def page(strike: Strike, answer: Answer, *, status: int = 502) -> Answer:
    """An HTML page, as a gateway puts it up by itself."""
    text = f"<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>"
    return Answer(Reply(status, (("content-type", "text/html"),), text.encode()))


@_fault(Bends.ANSWERS, replaces=True)
def bare(strike: Strike, answer: Answer, *, status: int = 503) -> Answer:
    """A status code without a body."""
    return _bare(status)


def _bare(status: int) -> Answer:
    return Answer(Reply(status))


@_fault(Bends.ANSWERS, replaces=True)
def rate_limited(strike: Strike, answer: Answer, *, retry_after: str = "seconds", seconds: float = 2.0) -> Answer:
    """The host's 429; `retry_after` tells the wait in `seconds`, as a `date`, the host's `own` way or not (`none`)."""
    if strike.scene is None:
        refused = _bare(429)
    else:
        strike.scene.wait = seconds
        refused = strike.scene.refuse(Kind.RATE_LIMITED)
    told = {"seconds": f"{seconds:g}", "date": formatdate(strike.wall + seconds, usegmt=True)}.get(retry_after)
    headers = refused.reply.headers if retry_after == "own" else _without(refused, "reset", "retry-after")
    more = (("retry-after", told),) if told else ()
    return replace(refused, reply=replace(refused.reply, status=429, headers=(*headers, *more)))


def _without(answer: Answer, *words: str) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in answer.reply.headers if not any(word in pair[0].lower() for word in words))


@_fault(Bends.ANSWERS, replaces=True)
def redirect(strike: Strike, answer: Answer, *, status: int = 307, to: str = "https://elsewhere.invalid/") -> Answer:
    """A redirect to another host."""
    return Answer(Reply(status, (("location", to),)))


@_fault(Bends.ANSWERS, replaces=True)
def reset(strike: Strike, answer: Answer) -> Answer:
    """The connection is reset instead of a reply."""
    return replace(answer, delivery=Delivery(reset=True))


@_fault(Bends.ANSWERS, replaces=True)
def hang_up(strike: Strike, answer: Answer) -> Answer:
    """The head of a reply, and then a clean close where its body should be."""
    reply = answer.reply if answer.reply.body else replace(answer.reply, body=b"{}")
    return replace(answer, reply=reply, delivery=Delivery(cut_after=0))


@_fault(Bends.ANSWERS, replaces=True)
def silence(strike: Strike, answer: Answer) -> Answer:
    """No answer at all; the connection stays open."""
    return replace(answer, delivery=Delivery(silence=True))


# ------------------------------------------------------------------------- answers: bent on their way


@_fault(Bends.ANSWERS)
def late(
    strike: Strike,
    answer: Answer,
    *,
    seconds: float = 5.0,
    law: Law = "fixed",
    spread: float = 0.25,
    of: tuple[float, ...] = (),
) -> Answer:
    """The answer comes so much later: by a law as in `paced`."""
    return replace(answer, after=answer.after + _by_law(strike, law, seconds, spread, of))


@_fault(Bends.ANSWERS)
def closed(strike: Strike, answer: Answer) -> Answer:
    """A good answer, and then a clean close."""
    return replace(answer, delivery=replace(answer.delivery, close=True))


@_fault(Bends.ANSWERS)
def truncated(strike: Strike, answer: Answer, *, share: float = 0.5, reset: bool = False) -> Answer:
    """The transfer breaks off after that share of the body: closed, or reset."""
    cut = min(int(len(answer.reply.body) * share), max(0, len(answer.reply.body) - 1))
    return replace(answer, delivery=Delivery(cut_after=cut, reset=reset))


@_fault(Bends.ANSWERS)
def cut(strike: Strike, answer: Answer, *, share: float = 0.5) -> Answer:
    """A whole transfer of half a body: half a JSON document, half a picture."""
    return _body(answer, answer.reply.body[: int(len(answer.reply.body) * share)])


@_fault(Bends.ANSWERS)
def drip(strike: Strike, answer: Answer, *, seconds: float = 1.0) -> Answer:
    """The body arrives in small pieces with pauses between them."""
    return replace(answer, delivery=replace(answer.delivery, drip=seconds))


@_fault(Bends.ANSWERS)
def content_type(strike: Strike, answer: Answer, *, value: str = "text/html") -> Answer:
    """The right body under a wrong content type."""
    return replace(
        answer, reply=replace(answer.reply, headers=(("content-type", value), *_without(answer, "content-type")))
    )


@_fault(Bends.ANSWERS)
def empty(strike: Strike, answer: Answer) -> Answer:
    """The right status and headers with an empty body."""
    return _body(answer, b"")


@_fault(Bends.ANSWERS)
def status(strike: Strike, answer: Answer, *, code: int = 200) -> Answer:
    """The right body under another status code."""
    return replace(answer, reply=replace(answer.reply, status=code))


@_fault(Bends.ANSWERS)
def extra_fields(strike: Strike, answer: Answer, *, names: tuple[str, ...] = ("beta", "_trace")) -> Answer:
    """Fields that no document knows, in the body and in the objects of its lists."""
    return _json(answer, lambda body: _more(body, {name: strike.chance.randrange(1000) for name in names}))


def _more(body: Any, fields: Mapping[str, Any]) -> Any:
    match body:
        case dict():
            return {**{k: _more(v, fields) if isinstance(v, list) else v for k, v in body.items()}, **fields}
        case list():
            return [_more(one, fields) if isinstance(one, dict) else one for one in body]
    return body


@_fault(Bends.ANSWERS)
def partial(strike: Strike, answer: Answer, *, keep: int = 1) -> Answer:
    """Lists hold fewer items than they should: `keep` of them."""
    return _json(answer, lambda body: _shorter(body, keep))


def _shorter(body: Any, keep: int) -> Any:
    match body:
        case dict():
            return {key: _shorter(value, keep) for key, value in body.items()}
        case list():
            return body[:keep]
    return body


@_fault(Bends.ANSWERS)
def error_shape(strike: Strike, answer: Answer, *, form: str = "object") -> Answer:
    """What went wrong is told as an `object`, as a `list`, or not at all (`missing`), where a text is promised."""
    return _json(answer, lambda body: _retold(body, form))


_TOLD_IN = ("error", "detail", "message")


def _retold(body: Any, form: str) -> Any:
    if not isinstance(body, dict):
        return body
    told = {key: value for key, value in body.items() if key in _TOLD_IN and isinstance(value, str)}
    kept = {key: value for key, value in body.items() if key not in told}
    shapes: Mapping[str, Callable[[str], Any]] = {
        "object": lambda text: {"type": "failed", "message": text},
        "list": lambda text: [{"loc": ["body"], "type": "failed", "msg": text}],
    }
    return {**kept, **({key: shapes[form](text) for key, text in told.items()} if form in shapes else {})}


def _json(answer: Answer, change: Callable[[Any], Any]) -> Answer:
    """The answer with its JSON body changed; as it is where it has none."""
    body, trouble = requests.decode(answer.reply.body)
    return answer if trouble else _body(answer, requests.encode(change(body)))


def _body(answer: Answer, body: bytes) -> Answer:
    return replace(answer, reply=replace(answer.reply, body=body))


# --------------------------------------------------------------------------------- facts: what is said


@_fault(Bends.FACTS)
def state_word(strike: Strike, name: str, value: Any, *, word: str = "BANANA", final: bool = False) -> Any:
    """A state word that no document knows, for unfinished jobs, or (`final`) for finished ones."""
    return word if name == "job.state" and final is _is_over(strike) else value


@_fault(Bends.FACTS)
def state_case(strike: Strike, name: str, value: Any) -> Any:
    """The state word in the other case."""
    return value.swapcase() if name == "job.state" and isinstance(value, str) else value


def _is_over(strike: Strike) -> bool:
    job = strike.scene.job if strike.scene else None
    return job is not None and strike.scene is not None and strike.scene.now >= job.ends


LINKS = ("link.status", "link.result", "link.poll", "link.cancel", "output.url")


@_fault(Bends.FACTS)
def foreign_links(
    strike: Strike, name: str, value: Any, *, to: str = "https://elsewhere.invalid", names: tuple[str, ...] = LINKS
) -> Any:
    """Links that lead to another host."""
    return to + at_host(value) if name in names and isinstance(value, str) else value


@_fault(Bends.FACTS)
def relative_links(strike: Strike, name: str, value: Any, *, names: tuple[str, ...] = LINKS) -> Any:
    """Links without scheme and host."""
    return at_host(value) if name in names and isinstance(value, str) else value


@_fault(Bends.FACTS)
def null(strike: Strike, name: str, value: Any, *, names: tuple[str, ...] = ("output.seed", "job.run_time")) -> Any:
    """Null where a value is promised."""
    return None if name in names and value is not MISSING else value


@_fault(Bends.FACTS)
def missing(strike: Strike, name: str, value: Any, *, names: tuple[str, ...] = ("output.url",)) -> Any:
    """Nothing where a value is promised."""
    return MISSING if name in names else value


FALSY = (
    "job.run_time",
    "job.queue_time",
    "job.total_time",
    "job.cost",
    "job.progress",
    "output.seed",
    "account.balance",
)


@_fault(Bends.FACTS)
def zero(strike: Strike, name: str, value: Any, *, names: tuple[str, ...] = FALSY) -> Any:
    """Values that are there, and 0."""
    return 0 if name in names and value is not MISSING else value


@_fault(Bends.FACTS)
def as_text(strike: Strike, name: str, value: Any, *, names: tuple[str, ...] = FALSY) -> Any:
    """Numbers as text."""
    return str(value) if name in names and value is not MISSING and not isinstance(value, Moment) else value


# ------------------------------------------------------------------------------ jobs: what becomes of them


@_fault(Bends.JOBS)
def slow(strike: Strike, job: Job, *, queue: float = 1.0, run: float = 1.0, more: float = 0.0) -> None:
    """The job waits and works that many times as long, and `more` seconds in the queue."""
    job.queue, job.run = job.queue * queue + more, job.run * run


@_fault(Bends.JOBS)
def paced(
    strike: Strike,
    job: Job,
    *,
    phase: Phase = "run",
    law: Law = "fixed",
    seconds: float = 1.0,
    spread: float = 0.25,
    of: tuple[float, ...] = (),
) -> None:
    """The job waits or works as long as a law has it: fixed, uniform, log-normal, or one `of` measured times."""
    setattr(job, phase, _by_law(strike, law, seconds, spread, of))


def _by_law(strike: Strike, law: Law, seconds: float, spread: float, of: Sequence[float]) -> float:
    """How long something takes this time. Seconds, in whole milliseconds."""
    return round(max(0.0, _LAWS[law](strike.chance, seconds, spread, of)), 3)


_LAWS: Mapping[str, Callable[[random.Random, float, float, Sequence[float]], float]] = {
    "fixed": lambda chance, seconds, spread, of: seconds,
    "uniform": lambda chance, seconds, spread, of: seconds * chance.uniform(1 - spread, 1 + spread),
    "log-normal": lambda chance, seconds, spread, of: seconds * chance.lognormvariate(0.0, spread),
    "empirical": lambda chance, seconds, spread, of: chance.choice(of) if of else seconds,
}
"""Of a middle and a relative spread: the half width of a uniform law, the sigma of a log-normal one."""


@_fault(Bends.JOBS)
def weighed(
    strike: Strike,
    job: Job,
    *,
    parameter: str = "",
    value: str = "",
    times: float = 1.0,
    each: float = 0.0,
    megapixel: float = 0.0,
) -> None:
    """The work takes as long as what is asked is heavy.

    `times` as long where a parameter (by its name in the model) has a value, or any value; seconds more for
    `each` thing that it lists and for each `megapixel` that is drawn.
    """
    meant = by_canonical(job.endpoint, parameter)
    given = job.full.get(meant.name) if meant else None
    if given is not None and value in ("", str(given).lower()):
        job.run *= times
        job.run += each * len(given) if isinstance(given, list) else 0.0
    width, height = drawn_size(job.endpoint, job.full)
    job.run = round(job.run + megapixel * width * height * job.outputs / 1e6, 3)


@_fault(Bends.JOBS)
def stuck(strike: Strike, job: Job) -> None:
    """The job never leaves the queue."""
    job.queue = NEVER


@_fault(Bends.JOBS)
def endless(strike: Strike, job: Job) -> None:
    """The job starts, and never ends."""
    job.run = NEVER


@_fault(Bends.JOBS)
def fails(strike: Strike, job: Job, *, says: str = "CUDA out of memory", billed: bool = False) -> None:
    """The work fails; with `billed` it is paid for all the same."""
    job.outcome, job.why, job.billed = Status.FAILED, says, billed


@_fault(Bends.JOBS)
def moderated(strike: Strike, job: Job, *, says: str = "The request was blocked by the content filter.") -> None:
    """The content filter blocks the job."""
    job.outcome, job.why, job.billed = Status.MODERATED, says, False


@_fault(Bends.JOBS)
def forgotten(strike: Strike, job: Job, *, seconds: float = 0.0) -> None:
    """The job is forgotten so soon after its end."""
    job.record_for = seconds


@_fault(Bends.JOBS)
def media_gone(strike: Strike, job: Job, *, seconds: float = 0.0) -> None:
    """What the job delivers is gone so soon after its end."""
    job.media_for = seconds


@_fault(Bends.JOBS)
def odd_id(strike: Strike, job: Job, *, form: str = "reserved") -> None:
    """An id that has to be escaped in an address (`reserved`), that is `long`, or looks like a `number`."""
    forms = {
        "reserved": f"a b+c?d=e#f&{job.id[:8]}",
        "long": (job.id * 8)[:240],
        "number": f"{int(job.id[:6].encode().hex(), 16)}",
    }
    if not job.own_id:
        job.id = forms.get(form, form)


@_fault(Bends.JOBS)
def wrong_size(strike: Strike, job: Job, *, factor: float = 0.5) -> None:
    """The picture has another size than was asked for."""
    job.twist = {**(job.twist or {}), "factor": factor}


@_fault(Bends.JOBS)
def wrong_type(strike: Strike, job: Job, *, format: str = "webp") -> None:
    """The picture has another file format than was asked for, under the promised name."""
    job.twist = {**(job.twist or {}), "format": format}


# -------------------------------------------------------------------------------- sends: what is called out


@_fault(Bends.SENDS)
def duplicate(strike: Strike, sends: Sequence[Send], *, copies: int = 2) -> Sequence[Send]:
    """Every webhook comes several times."""
    return [send for send in sends for _ in range(copies)]


@_fault(Bends.SENDS)
def delayed(strike: Strike, sends: Sequence[Send], *, seconds: float = 60.0) -> Sequence[Send]:
    """Every webhook comes so much later."""
    return [replace(send, at=send.at + seconds) for send in sends]


@_fault(Bends.SENDS)
def early(strike: Strike, sends: Sequence[Send]) -> Sequence[Send]:
    """Every webhook comes at once, even before the reply to the submit."""
    return [replace(send, at=0.0) for send in sends]


@_fault(Bends.SENDS)
def lost(strike: Strike, sends: Sequence[Send]) -> Sequence[Send]:
    """No webhook comes."""
    return []


@_fault(Bends.SENDS)
def unordered(strike: Strike, sends: Sequence[Send]) -> Sequence[Send]:
    """The webhooks of a job come in the opposite order."""
    return [replace(send, at=at.at) for send, at in zip(reversed(sends), sends, strict=True)]
