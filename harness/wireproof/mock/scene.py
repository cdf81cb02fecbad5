"""One request as the host sees it: what is known while it is answered, and the replies that can be given."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from wireproof.lifecycle import Status
from wireproof.mock.answer import Answer
from wireproof.mock.faults import Bends
from wireproof.mock.jobs import Account, Job
from wireproof.mock.moods import Struck
from wireproof.mock.pictures import content_type
from wireproof.model import (
    Alternative,
    Call,
    Confidence,
    Does,
    Endpoint,
    Kind,
    Means,
    Operation,
    Problem,
    Provider,
    Reply,
)
from wireproof.spec.values import by_canonical, holds, promised, spell
from wireproof.wire import bodies, requests
from wireproof.wire.bodies import MISSING, Moment
from wireproof.wire.requests import Asked, Breach

if TYPE_CHECKING:
    from wireproof.mock.engine import Mock

_PLAIN: Mapping[Kind, int] = {
    Kind.NO_KEY: 401,
    Kind.BAD_KEY: 401,
    Kind.OUT_OF_CREDITS: 402,
    Kind.FORBIDDEN: 403,
    Kind.UNKNOWN_JOB: 404,
    Kind.UNKNOWN_MODEL: 404,
    Kind.GONE: 410,
    Kind.RATE_LIMITED: 429,
    Kind.TOO_MANY_JOBS: 429,
    Kind.BROKEN: 500,
    Kind.OVERLOADED: 503,
    Kind.TIMEOUT: 504,
}
"""What is answered where a contract has no problem of that kind."""

JSON = ("content-type", "application/json")
MEDIA = "/~media/"


@dataclass(frozen=True, slots=True)
class Host:
    """One provider and the endpoints of it that are served."""

    provider: Provider
    endpoints: tuple[Endpoint, ...]
    prefix: str
    """The provider's name as a first path segment reaches it too."""


@dataclass(frozen=True, slots=True)
class Base:
    """The address that a client used: what links are built from."""

    origin: str
    prefix: str

    @property
    def url(self) -> str:
        return self.origin + self.prefix


def refused(breach: Breach) -> bool:
    """Whether the mock refuses a request for this breach: where anybody at all says that it is one.

    A disputed type is written as the union of what the sources say, so what is outside it breaks all of them."""
    if breach.rule == "type":
        return True
    if breach.evidence.confidence in (Confidence.UNKNOWN, Confidence.DISPUTED):
        return False
    return breach.rule != "format" or breach.binds


def fate(endpoint: Endpoint, full: Mapping[str, Any]) -> tuple[Status, str]:
    """What becomes of a job with these values: pictures that cannot be fetched fail, and blocked words
    are moderated where content is checked."""
    for parameter in endpoint.parameters.values():
        meant = endpoint.model.parameters.get(parameter.canonical or "")
        if meant and meant.kind == "media":
            value = full.get(parameter.name, ())
            for link in value if isinstance(value, list) else [value]:
                if isinstance(link, str) and host_of(link).endswith(".invalid"):
                    return Status.FAILED, f"Could not fetch {link}"
    prompt = by_canonical(endpoint, "prompt")
    text = full.get(prompt.name, "") if prompt else ""
    if isinstance(text, str) and re.search(r"\bnsfw\b", text, re.IGNORECASE) and is_checked(endpoint, full):
        return Status.MODERATED, "The request was blocked by the content filter."
    return Status.SUCCEEDED, ""


def host_of(link: str) -> str:
    """The host that a link names; empty when it names none."""
    try:
        return urlsplit(link).hostname or ""
    except ValueError:
        return ""


def is_checked(endpoint: Endpoint, full: Mapping[str, Any]) -> bool:
    """Whether content is checked for a request with these values."""
    if "safety" in endpoint.fixed:
        return bool(endpoint.fixed["safety"])
    switch = by_canonical(endpoint, "safety")
    if switch is None:
        return True
    value = full.get(switch.name)
    return bool(switch.words.get(str(value).lower(), value))


class Scene:
    """One request while it is being answered: what the shapes may speak of."""

    def __init__(
        self, mock: Mock, host: Host, endpoint: Endpoint, asked: Asked, base: Base, now: float, wall: float
    ) -> None:
        self.mock = mock
        self.host = host
        self.endpoint = endpoint
        self.asked = asked
        self.operation = endpoint.operations.get(asked.operation.name, asked.operation)
        self.call: Call | None = None
        """The call itself, where one is being answered."""
        self.base = base
        self.now = now
        self.wall = wall
        self.job: Job | None = None
        """The job that is asked after, or that was just taken."""
        self.account: Account | None = None
        """Whose call it is, once the key was looked at."""
        self.wait = 30.0
        """Seconds after which a refused caller should come again."""
        self.struck: list[Struck] = []
        """The faults that strike this call."""
        self.wish: str | None = None
        """The mood that a submit asks for by itself."""
        self.stored: Mapping[str, str] = {}
        """Where an uploaded picture is found, and under which id."""
        self.bent: list[Struck] = []
        """Those of them that bend what is said."""

    # ------------------------------------------------------------------------------------ replies

    def tell(self, job: Job, after: float = 0.0) -> Answer:
        """What the operation says of a job."""
        at = job.ends if after else self.now
        status = self.mock.manners.status(self, job, job.status(at))
        word = self.word(job, status)
        chosen = self._alternative(job, status, word)
        if chosen is None:
            return _later(self.problem(self._failure(status), job), after)
        facts = Facts(self, job, at, word, None, None)
        return _later(self._reply(chosen, facts, job), after)

    def word(self, job: Job, status: Status) -> str:
        """The host's word for a canonical status."""
        provider = self.host.provider
        first = next((s.word for s in provider.states.values() if s.initial), status.value)
        plain = _word(provider, status) or _word(provider, _NEXT_BEST.get(status, status)) or first
        if self.operation.does is Does.SUBMIT:
            plain = first
        plain = self.mock.manners.word(job, self.asked, plain)
        for struck in self.bent:
            plain = struck("job.state", plain)
        return plain

    def after(self, job: Job, operation: Operation) -> Answer:
        """What another operation will say of the job once it has ended."""
        later = Scene(
            self.mock,
            self.host,
            self.endpoint,
            replace(self.asked, operation=operation),
            self.base,
            job.ends,
            self.wall,
        )
        later.job = job
        return later.tell(job)

    def meet(self, struck: list[Struck]) -> None:
        """Let these faults strike."""
        self.struck = struck
        self.bent = [one for one in struck if one.fault.named.bends is Bends.FACTS]

    def _alternative(self, job: Job, status: Status, word: str) -> Alternative | None:
        wanted = self._meanings(status)
        own = [a for a in self.operation.alternatives if a.means in wanted and holds(a.when, job.full)]
        exact = [a for a in own if word in a.states]
        anything = [a for a in own if not a.states]
        known = word in self.host.provider.states
        chosen = next(iter(exact or anything or ([] if known else own)), None)
        return self.mock.manners.alternative(self.operation, chosen, self.operation.alternatives)

    def _meanings(self, status: Status) -> tuple[Means, ...]:
        if self.operation.does is Does.SUBMIT:
            return (Means.ACCEPTED,)
        if self.operation.does is Does.RUN:
            return (Means.DONE,) if status is Status.SUCCEEDED else (Means.FAILED,)
        if self.operation.does is Does.CANCEL:
            return (Means.OTHER, Means.STATE)
        if status is Status.SUCCEEDED:
            return (Means.STATE, Means.DONE)
        return (
            (Means.STATE,)
            if status in (Status.QUEUED, Status.THROTTLED, Status.RUNNING)
            else (Means.FAILED, Means.STATE)
        )

    def _failure(self, status: Status) -> Problem:
        """The problem that stands for a failed job where no alternative does."""
        kinds = (Kind.MODERATED, Kind.FAILED) if status is Status.MODERATED else (Kind.FAILED,)
        for kind in (*kinds, Kind.UNREACHABLE_MEDIA, Kind.INVALID, Kind.BROKEN):
            problem = of_kind(self.host.provider, self.operation, kind)
            if problem:
                return problem
        return next(iter(self.host.provider.problems.values()))

    def _reply(self, chosen: Alternative, facts: Facts, job: Job | None) -> Answer:
        manners = self.mock.manners
        headers = [
            (h.name, str(v))
            for h in chosen.headers
            if (v := bodies.spoken(facts(h.value, None), h.schema)) is not MISSING
        ]
        if chosen.media == "image" and job is not None:
            data, kind = self.mock.draw(job, 0)
            reply = Reply(chosen.statuses[0], (("content-type", kind), *headers), data)
            return manners.reply(self, Answer(reply, rule=self._rule(chosen.name)))
        body: Any = {}
        if chosen.shape is not None:
            counts = {
                "output": job.outputs if job else 1,
                "problem": 1 if chosen.means is Means.FAILED else 0,
                "item": 1,
            }
            body = bodies.render(chosen.shape, facts, counts, job.full if job else {})
        body = manners.body(self, job, body)
        reply = Reply(chosen.statuses[0], (JSON, *headers), requests.encode(body))
        return manners.reply(self, Answer(reply, rule=self._rule(chosen.name)))

    def _rule(self, name: str) -> str:
        """How a journal names what made a reply."""
        return f"{self.host.provider.name}.{self.operation.name}.{name}"

    def plain(self) -> Answer:
        """The first good reply of an operation that is about no job."""
        chosen = next((a for a in self.operation.alternatives if a.means is not Means.PROBLEM), None)
        if chosen is None:
            return plain(404, "Nothing is served at this address.")
        return self._reply(chosen, Facts(self, None, self.now, "", None, None), None)

    def refuse(self, kind: Kind, breach: Breach | None = None) -> Answer:
        """The host's own reply to a problem of that kind; a plain 400 where the contract has none."""
        problem = of_kind(self.host.provider, self.operation, kind) or of_kind(self.host.provider, None, kind)
        problem = self.mock.manners.problem(self, kind, problem)
        if problem is None:
            return plain(_PLAIN.get(kind, 400), kind.value.replace("_", " "))
        return self.problem(problem, None, breach)

    def problem(self, problem: Problem, job: Job | None = None, breach: Breach | None = None) -> Answer:
        """The reply that tells of a problem."""
        facts = Facts(self, job, self.now, self.word(job, job.status(self.now)) if job else "", problem, breach)
        headers = [
            (h.name, str(v))
            for h in problem.headers
            if (v := bodies.spoken(facts(h.value, None), h.schema)) is not MISSING
        ]
        rule = self._rule(problem.name) + (f" ({breach.parameter or 'body'}: {breach.rule})" if breach else "")
        if problem.shape is None:
            return self.mock.manners.reply(self, replace(_page(problem.statuses[0], headers), rule=rule))
        counts = {"output": 0, "problem": 1, "item": 0}
        body = bodies.render(problem.shape, facts, counts, job.full if job else {})
        body = self.mock.manners.body(self, job, body)
        reply = Reply(problem.statuses[0], (JSON, *headers), requests.encode(body))
        return self.mock.manners.reply(self, Answer(reply, rule=rule))

    def link(self, name: str, job: Job) -> Any:
        """The address of another operation about a job, built from the address the client used."""
        wanted = "status" if name == "poll" else name
        operation = next((op for op in self.endpoint.operations.values() if op.link == wanted), None)
        if operation is None:
            return MISSING
        return self.base.url + requests.fill(operation.request.path, self.endpoint, job.id)


class Facts:
    """The values of the vocabulary, as one reply sees them."""

    def __init__(
        self, scene: Scene, job: Job | None, at: float, word: str, problem: Problem | None, breach: Breach | None
    ) -> None:
        self.scene = scene
        self.job = job
        self.at = at
        self.own_word = word
        self.about = problem
        self.breach = breach

    def __call__(self, name: str, item: int | None) -> Any:
        """The value of a name; MISSING when nothing stands behind it."""
        value = self._plain(name, item)
        if name != "job.state":
            value = self.scene.mock.manners.fact(self.scene, self.job, name, value)
            for struck in self.scene.bent:
                value = struck(name, value)
        return value

    def _plain(self, name: str, item: int | None) -> Any:
        family, _, what = name.partition(".")
        if family == "job":
            return self._job(what)
        if family == "output":
            return self._output(what, item or 0)
        if family == "problem":
            return self._problem(what)
        if family == "link":
            return self.scene.link(what, self.job) if self.job else MISSING
        if family == "request":
            return self.job.full.get(what, MISSING) if self.job else self.scene.asked.values.get(what, MISSING)
        if family == "retry":
            return self._retry(what)
        if name == "account.balance":
            return self._balance()
        return MISSING

    def _balance(self) -> Any:
        """What is left: as it was when the job was taken, or now where it is about no job."""
        if self.job is not None:
            return MISSING if self.job.balance is None else self.job.balance
        return MISSING if self.scene.account is None else self.scene.account.balance

    def _job(self, what: str) -> Any:
        job, asked = self.job, self.scene.asked
        if job is None:
            return asked.job if what == "id" and asked.job else MISSING
        done = self.at >= job.ends
        wall = job.wall - job.taken
        table: dict[str, Any] = {
            "id": job.id,
            "state": self.own_word,
            "error": job.why if job.outcome is not Status.SUCCEEDED and done else MISSING,
            "error_code": self._error_code(),
            "cost": job.cost if job.billed or not done else Decimal(0),
            "created_at": Moment(job.wall),
            "expires_at": Moment(wall + job.ends + (job.record_for or job.media_for or 86400.0)),
            "run_time": round(job.run, 3) if done else MISSING,
            "queue_time": round(job.queue, 3) if done else MISSING,
            "total_time": round(job.queue + job.run, 3) if done else MISSING,
            "progress": min(100, int(100 * max(0.0, self.at - job.taken - job.queue) / job.run)) if job.run else 100,
        }
        return table.get(what, MISSING)

    def _error_code(self) -> Any:
        """The host's code for why the job failed: that of the problem, else of the first that fits the outcome."""
        if self.about and self.about.code:
            return self.about.code
        if self.job is None or self.job.outcome is Status.SUCCEEDED:
            return MISSING
        kinds = (Kind.MODERATED,) if self.job.outcome is Status.MODERATED else (Kind.FAILED, Kind.UNREACHABLE_MEDIA)
        problems = self.scene.host.provider.problems.values()
        return next((p.code for kind in kinds for p in problems if p.kind is kind and p.code), MISSING)

    def _output(self, what: str, item: int) -> Any:
        job = self.job
        if job is None:
            return self.scene.stored.get(what, MISSING)
        if what == "id":
            chance = random.Random(f"{job.id}:{item}")
            return spell("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", chance)
        if what == "cost":
            return job.cost / job.outputs
        if what == "flagged":
            return job.outcome is Status.MODERATED
        if job.status(self.at) is not Status.SUCCEEDED:
            return MISSING
        if what == "seed":
            return job.seed + item
        form = promised(job.endpoint, job.full).formats
        kind = form[0] if form else "png"
        name = f"{quote(job.id, safe='')}-{item}.{'jpg' if kind == 'jpeg' else kind}"
        if what == "url":
            return f"{self.scene.base.origin}{MEDIA}{name}"
        if what == "name":
            return name
        if what == "content_type":
            return content_type(kind)
        return self._bytes(what, item)

    def _bytes(self, what: str, item: int) -> Any:
        if self.job is None or what not in ("size", "base64", "data_uri"):
            return MISSING
        data, kind = self.scene.mock.draw(self.job, item)
        if what == "size":
            return len(data)
        text = base64.b64encode(data).decode("ascii")
        return text if what == "base64" else f"data:{kind};base64,{text}"

    def _problem(self, what: str) -> Any:
        if self.about is None:
            return MISSING
        breach = self.breach
        if what == "code":
            return self.about.code or MISSING
        if what == "status":
            return self.about.statuses[0]
        if what == "parameter":
            return breach.parameter if breach and breach.parameter else MISSING
        if what == "type":
            return breach.rule if breach else MISSING
        if what == "message":
            return self._message()
        return MISSING

    def _message(self) -> str:
        breach, job = self.breach, self.job
        text = self.about.message if self.about else ""
        if job is not None and job.outcome is not Status.SUCCEEDED:
            text = text or job.why
        says = breach.says.removeprefix(f"{breach.parameter}: ") if breach else "is not valid"
        filled = (
            text.replace("{job.id}", job.id if job else self.scene.asked.job)
            .replace("{model}", self.scene.asked.model or self.scene.endpoint.slug)
            .replace("{parameter}", breach.parameter or "body" if breach else "request")
            .replace("{reason}", says)
        )
        return filled or (self.about.says if self.about else "") or "error"

    def _retry(self, what: str) -> Any:
        wait = self.scene.wait
        return max(1, round(wait)) if what == "after" else Moment(self.scene.wall + wait)


# -------------------------------------------------------------------------------------- small parts

_NEXT_BEST: Mapping[Status, Status] = {
    Status.THROTTLED: Status.QUEUED,
    Status.MODERATED: Status.FAILED,
    Status.CANCELED: Status.FAILED,
    Status.TIMED_OUT: Status.FAILED,
}
"""What a host that has no word for a status tells in its place: an end is never told as a wait."""


def _word(provider: Provider, status: Status) -> str | None:
    """The host's own word for a status."""
    own = next((state.word for state in provider.states.values() if state.status is status), None)
    return provider.surfaces.get(status) or own


def of_kind(provider: Provider, operation: Operation | None, kind: Kind) -> Problem | None:
    names: Iterable[str] = operation.problems if operation else provider.problems
    found = [provider.problems[name] for name in names if name in provider.problems]
    if operation is not None and kind in (Kind.NO_KEY, Kind.BAD_KEY):
        pair = {Kind.NO_KEY: Kind.BAD_KEY, Kind.BAD_KEY: Kind.NO_KEY}
        return next((p for p in found if p.kind is kind), None) or next(
            (p for p in found if p.kind is pair[kind]), None
        )
    return next((p for p in found if p.kind is kind), None)


def _later(answer: Answer, after: float) -> Answer:
    return answer if not after else replace(answer, after=answer.after + after)


def plain(status: int, says: str, *headers: tuple[str, str]) -> Answer:
    return Answer(Reply(status, (("content-type", "text/plain; charset=utf-8"), *headers), says.encode()))


def _page(status: int, headers: Sequence[tuple[str, str]]) -> Answer:
    """The kind of page that a gateway puts up by itself."""
    title = {405: "405 Method Not Allowed", 502: "502 Bad Gateway", 504: "504 Gateway Timeout"}.get(status, f"{status}")
    text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(Reply(status, (("content-type", "text/html"), *headers), text.encode()))
