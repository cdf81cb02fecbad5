"""The pure centre of the mock: a call and a time in, an answer out. No socket, no clock, no globals.

Everything that it says comes from the contracts it was given; everything it decides by chance comes
from its seed, one stream for each key, so that the same seed and the same calls give the same bytes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

from wireproof.lifecycle import Status
from wireproof.mock.answer import Answer
from wireproof.mock.jobs import Account, Job, Memory
from wireproof.mock.manners import Manners
from wireproof.mock.pictures import content_type, picture
from wireproof.model import (
    Alternative,
    Call,
    Confidence,
    Does,
    Endpoint,
    Kind,
    Limit,
    Means,
    Operation,
    Problem,
    Provider,
    Reply,
)
from wireproof.spec.values import (
    billed_of,
    by_canonical,
    drawn_size,
    effective,
    holds,
    outputs_of,
    price_of,
    promised,
    spell,
)
from wireproof.wire import bodies, requests
from wireproof.wire.bodies import MISSING, Moment
from wireproof.wire.requests import Asked, Breach

JSON = ("content-type", "application/json")
MEDIA = "/~media/"
DEPOSIT = Decimal(1000)


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


class Mock:
    """Serves contracts. State is the jobs and the accounts; everything else is a pure function."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        seed: int = 0,
        manners: Manners | None = None,
        keys: Mapping[str, str] | None = None,
        limits: bool = False,
        memory: Memory | None = None,
    ) -> None:
        """`keys` maps further keys to account names; `limits` makes the declared rate limits count."""
        self.hosts = _hosts(endpoints)
        self.seed = seed
        self.manners = manners or Manners()
        self.limits = limits
        self.memory = memory or Memory()
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, str] = dict(keys or {})
        for host in self.hosts:
            for role in ("main", "other"):
                self.keys[self.key(host.provider.name, role)] = f"{host.provider.name}:{role}"
        self.hurry = 0
        """So many of the next jobs work in no time: they are over before anybody sees them run."""
        self._staged: list[tuple[str, str]] = []

    # ------------------------------------------------------------------------------- the outside

    def key(self, provider: str, role: str = "main") -> str:
        """A key that the mock takes; `role` `main` or `other` are two different accounts."""
        pattern = next(h.provider.auth.pattern for h in self.hosts if h.provider.name == provider)
        chance = random.Random(f"{self.seed}:key:{provider}:{role}")
        return spell(pattern or "key_[0-9a-f]{24}", chance)

    def account(self, name: str) -> Account:
        """The account of that name; a new one has a deposit."""
        if name not in self.accounts:
            self.accounts[name] = Account(name, DEPOSIT)
        return self.accounts[name]

    def stage(self, problem: str, operation: str) -> None:
        """Let the next call of an operation be answered with one of the host's problems."""
        self._staged.append((operation, problem))

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        """The answer to a call. Never raises: what nobody serves is answered 404."""
        parts = urlsplit(call.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if MEDIA in parts.path and call.method in ("GET", "HEAD"):
            return self._media(parts.path.rpartition(MEDIA)[2], now)
        for host in self.hosts:
            for prefix in (f"/{host.prefix}", ""):
                if prefix and not parts.path.startswith(prefix + "/"):
                    continue
                answer = self._host(host, call, Base(origin, prefix), now, wall)
                if answer is not None:
                    return answer
        return _plain(404, "Nothing is served at this address.")

    # ----------------------------------------------------------------------------------- routing

    def _host(self, host: Host, call: Call, base: Base, now: float, wall: float) -> Answer | None:
        asked = requests.recognise(host.endpoints[0], call, base.prefix)
        if not asked:
            return self._wrong_method(host, call, base, now, wall)
        answers = [self._one(host, one, call, base, now, wall) for one in asked]
        return answers[0] if len(answers) == 1 else merge(answers)

    def _wrong_method(self, host: Host, call: Call, base: Base, now: float, wall: float) -> Answer | None:
        for method in ("POST", "GET"):
            other = Call(method, call.url, call.headers, call.body)
            asked = requests.recognise(host.endpoints[0], other, base.prefix) if method != call.method else ()
            if asked:
                problem = _of_kind(host.provider, asked[0].operation, Kind.WRONG_METHOD)
                scene = Scene(self, host, host.endpoints[0], asked[0], base, now, wall)
                return scene.problem(problem) if problem else _plain(405, "Method not allowed.", ("allow", method))
        return None

    def _one(self, host: Host, asked: Asked, call: Call, base: Base, now: float, wall: float) -> Answer:
        operation = asked.operation
        staged = next((pair for pair in self._staged if pair[0] == operation.name), None)
        job = self.memory.get(asked.job) if operation.does.asks else None
        endpoint = job.endpoint if job else _endpoint(host, asked)
        scene = Scene(self, host, endpoint or host.endpoints[0], asked, base, now, wall)
        if staged:
            self._staged.remove(staged)
            return scene.problem(host.provider.problems[staged[1]])
        name, refusal = self._admit(host, operation, call)
        refusal = self.manners.admit(scene.asked, refusal)
        if refusal:
            return scene.refuse(refusal)
        account = self.account(name or f"{host.provider.name}:main")
        account.settle(now)
        if account.forbidden:
            return scene.refuse(Kind.FORBIDDEN)
        limit = self._over_limit(host, account, operation, now)
        if limit:
            return scene.problem(host.provider.problems[limit.problem])
        if operation.does.bills:
            return self._submit(scene, endpoint, account)
        if operation.does.asks:
            return self._ask(scene, job, account)
        return scene.plain()

    def _admit(self, host: Host, operation: Operation, call: Call) -> tuple[str | None, Kind | None]:
        """The account behind a call's key, or why it is not let in."""
        if not operation.auth:
            return None, None
        auth = host.provider.auth
        given = call.header(auth.header)
        if given is None:
            return None, Kind.NO_KEY
        if not given.startswith(auth.prefix):
            return None, Kind.BAD_KEY
        name = self.keys.get(given[len(auth.prefix) :].strip())
        return (name, None) if name else (None, Kind.BAD_KEY)

    def _over_limit(self, host: Host, account: Account, operation: Operation, now: float) -> Limit | None:
        if not self.limits:
            return None
        for limit in host.provider.limits:
            if limit.operations and operation.name not in limit.operations:
                continue
            if limit.what == "jobs":
                if operation.does.bills and account.in_flight(now) >= limit.most:
                    return limit
                continue
            times = account.calls.setdefault(limit.name, _window())
            while times and times[0] <= now - (limit.window or 60.0):
                times.popleft()
            if len(times) >= limit.most:
                return limit
            times.append(now)
        return None

    # ---------------------------------------------------------------------------------- the jobs

    def _submit(self, scene: Scene, endpoint: Endpoint | None, account: Account) -> Answer:
        if endpoint is None:
            return scene.refuse(Kind.UNKNOWN_MODEL)
        found = [b for b in requests.breaches(endpoint, scene.asked) if refused(b)]
        found = self.manners.breaches(scene.asked, found)
        late = scene.host.provider.refused_at == "run" and scene.operation.does is Does.SUBMIT
        if found and not (late and not scene.asked.unreadable):
            return scene.refuse(Kind.INVALID, found[0])
        if self._repeated(scene, account):
            kept = self.memory.get(scene.asked.job)
            if scene.host.provider.repeat_id == "same" and kept:
                return scene.tell(kept)
            return scene.refuse(Kind.CONFLICT)
        job = self._take(scene, endpoint, account, found)
        if job is None:
            return scene.refuse(Kind.OUT_OF_CREDITS)
        return scene.tell(job, after=job.queue + job.run if scene.operation.does is Does.RUN else 0.0)

    def _repeated(self, scene: Scene, account: Account) -> bool:
        id = scene.asked.job
        if not id or scene.host.provider.repeat_id == "new":
            return False
        if id in account.used_ids:
            return True
        account.used_ids.add(id)
        return False

    def _take(self, scene: Scene, endpoint: Endpoint, account: Account, found: Sequence[Breach]) -> Job | None:
        values, number = scene.asked.values, account.jobs
        chance = random.Random(f"{self.seed}:{account.name}:{number}")
        price = price_of(endpoint, values)
        cost = self.manners.cost(price.amount if price else Decimal(0))
        if account.balance < cost:
            return None
        full = effective(endpoint, values)
        outcome, why = fate(endpoint, full)
        if found:
            outcome, why = Status.FAILED, found[0].says
        queue, run = self.manners.pace(_seconds(chance, endpoint.timing.queue), _seconds(chance, endpoint.timing.run))
        if self.hurry:
            self.hurry -= 1
            run = 0.0
        provider = endpoint.provider
        made = self.manners.fate(scene.asked, outcome)
        job = Job(
            id=scene.asked.job or spell(provider.id_pattern or "[0-9a-f]{32}", chance),
            number=number,
            endpoint=endpoint,
            account=account.name,
            values=values,
            full=full,
            taken=scene.now,
            wall=scene.wall,
            queue=queue,
            run=run,
            outcome=made,
            why=why or "The model could not finish the request.",
            outputs=outputs_of(endpoint, values),
            seed=_seed(endpoint, full, chance),
            cost=cost,
            record_for=self.manners.retention(provider.retention.record.seconds),
            media_for=_media_life(endpoint, full),
        )
        billed = endpoint.price is None or billed_of(endpoint.price, made.value) in ("full", "maybe", "unknown")
        job.billed = self.manners.bills(made, billed)
        account.reserve(cost, job.ends, job.billed)
        job.balance = account.balance
        self.memory.forget(scene.now)
        self.memory.add(job)
        return job

    def _ask(self, scene: Scene, job: Job | None, account: Account) -> Answer:
        if job is None or job.account != account.name and self.manners.private:
            return self.manners.unknown(scene, scene.refuse(Kind.UNKNOWN_JOB))
        if job.status(scene.now) is Status.EXPIRED:
            return scene.problem(scene.host.provider.problems[scene.host.provider.retention.after])
        job.polls += 1
        return scene.tell(job)

    # ----------------------------------------------------------------------------------- pictures

    def _media(self, name: str, now: float) -> Answer:
        id, _, rest = name.rpartition("-")
        index = rest.partition(".")[0]
        job = self.memory.get(id)
        if job is None or not index.isdigit() or int(index) >= job.outputs or job.outcome is not Status.SUCCEEDED:
            return _plain(404, "No such file.")
        if now < job.ends or (job.media_for is not None and now >= job.ends + job.media_for):
            return _plain(404, "No such file.")
        data, kind = self.draw(job, int(index))
        return self.manners.media(job, Answer(Reply(200, (("content-type", kind),), data)))

    def draw(self, job: Job, index: int) -> tuple[bytes, str]:
        """The picture that a job delivers, and its content type."""
        wish = promised(job.endpoint, job.full)
        width, height = self.manners.size(drawn_size(job.endpoint, job.full))
        form = self.manners.format(wish.formats[0] if wish.formats else "png")
        quality = job.full.get(job.endpoint.outputs.quality or "")
        prompt = by_canonical(job.endpoint, "prompt")
        text = str(job.full.get(prompt.name, "")) if prompt else ""
        seed = job.seed + index
        data = picture(
            width=width,
            height=height,
            format=form,
            quality=int(quality) if isinstance(quality, (int, str)) and str(quality).isdigit() else None,
            lines=(job.endpoint.name, text[:40], f"seed {seed}"),
            seed=random.Random(f"{seed}:{_essence(job)}").getrandbits(63),
        )
        return self.manners.picture(job, data), content_type(form)


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
                if isinstance(link, str) and (urlsplit(link).hostname or "").endswith(".invalid"):
                    return Status.FAILED, f"Could not fetch {link}"
    prompt = by_canonical(endpoint, "prompt")
    text = full.get(prompt.name, "") if prompt else ""
    if isinstance(text, str) and re.search(r"\bnsfw\b", text, re.IGNORECASE) and is_checked(endpoint, full):
        return Status.MODERATED, "The request was blocked by the content filter."
    return Status.SUCCEEDED, ""


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

    def __init__(self, mock: Mock, host: Host, endpoint: Endpoint, asked: Asked, base: Base, now: float, wall: float) -> None:
        self.mock = mock
        self.host = host
        self.endpoint = endpoint
        self.asked = asked
        self.operation = endpoint.operations.get(asked.operation.name, asked.operation)
        self.base = base
        self.now = now
        self.wall = wall

    # ------------------------------------------------------------------------------------ replies

    def tell(self, job: Job, after: float = 0.0) -> Answer:
        """What the operation says of a job."""
        at = job.ends if after else self.now
        status = job.status(at)
        word = self.word(job, status)
        chosen = self._alternative(job, status, word)
        if chosen is None:
            return _later(self.problem(self._failure(status), job), after)
        facts = Facts(self, job, at, word, None, None)
        return _later(self._reply(chosen, facts, job), after)

    def word(self, job: Job, status: Status) -> str:
        """The host's word for a canonical status."""
        provider = self.host.provider
        states = [s.word for s in provider.states.values() if s.status is status]
        first = next((s.word for s in provider.states.values() if s.initial), status.value)
        plain = provider.surfaces.get(status) or (states[0] if states else first)
        if self.operation.does is Does.SUBMIT:
            plain = first
        return self.mock.manners.word(job, self.asked, plain)

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
        return (Means.STATE,) if status in (Status.QUEUED, Status.RUNNING) else (Means.FAILED, Means.STATE)

    def _failure(self, status: Status) -> Problem:
        """The problem that stands for a failed job where no alternative does."""
        kinds = (Kind.MODERATED, Kind.FAILED) if status is Status.MODERATED else (Kind.FAILED,)
        for kind in (*kinds, Kind.UNREACHABLE_MEDIA, Kind.INVALID, Kind.BROKEN):
            problem = _of_kind(self.host.provider, self.operation, kind)
            if problem:
                return problem
        return next(iter(self.host.provider.problems.values()))

    def _reply(self, chosen: Alternative, facts: Facts, job: Job | None) -> Answer:
        manners = self.mock.manners
        headers = [(h.name, str(v)) for h in chosen.headers if (v := bodies.spoken(facts(h.value, None), h.schema)) is not MISSING]
        if chosen.media == "image" and job is not None:
            data, kind = self.mock.draw(job, 0)
            return manners.reply(self, Answer(Reply(chosen.statuses[0], (("content-type", kind), *headers), data)))
        body: Any = {}
        if chosen.shape is not None:
            counts = {"output": job.outputs if job else 1, "problem": 1 if chosen.means is Means.FAILED else 0, "item": 1}
            body = bodies.render(chosen.shape, facts, counts, job.full if job else {})
        body = manners.body(self, job, body)
        return manners.reply(self, Answer(Reply(chosen.statuses[0], (JSON, *headers), requests.encode(body))))

    def plain(self) -> Answer:
        """The first good reply of an operation that is about no job."""
        chosen = next((a for a in self.operation.alternatives if a.means is not Means.PROBLEM), None)
        if chosen is None:
            return _plain(404, "Nothing is served at this address.")
        return self._reply(chosen, Facts(self, None, self.now, "", None, None), None)

    def refuse(self, kind: Kind, breach: Breach | None = None) -> Answer:
        """The host's own reply to a problem of that kind; a plain 400 where the contract has none."""
        problem = _of_kind(self.host.provider, self.operation, kind) or _of_kind(self.host.provider, None, kind)
        problem = self.mock.manners.problem(self, kind, problem)
        if problem is None:
            return _plain(400, f"{kind.value.replace('_', ' ')}")
        return self.problem(problem, None, breach)

    def problem(self, problem: Problem, job: Job | None = None, breach: Breach | None = None) -> Answer:
        """The reply that tells of a problem."""
        facts = Facts(self, job, self.now, self.word(job, job.status(self.now)) if job else "", problem, breach)
        headers = [(h.name, str(v)) for h in problem.headers if (v := bodies.spoken(facts(h.value, None), h.schema)) is not MISSING]
        if problem.shape is None:
            return self.mock.manners.reply(self, _page(problem.statuses[0], headers))
        counts = {"output": 0, "problem": 1, "item": 0}
        body = bodies.render(problem.shape, facts, counts, job.full if job else {})
        body = self.mock.manners.body(self, job, body)
        return self.mock.manners.reply(self, Answer(Reply(problem.statuses[0], (JSON, *headers), requests.encode(body))))

    def link(self, name: str, job: Job) -> Any:
        """The address of another operation about a job, built from the address the client used."""
        wanted = "status" if name == "poll" else name
        operation = next((op for op in self.endpoint.operations.values() if op.link == wanted), None)
        if operation is None:
            return MISSING
        return self.base.url + requests.fill(operation.request.path, self.endpoint, job.id)


class Facts:
    """The values of the vocabulary, as one reply sees them."""

    def __init__(self, scene: Scene, job: Job | None, at: float, word: str, problem: Problem | None, breach: Breach | None) -> None:
        self.scene = scene
        self.job = job
        self.at = at
        self.own_word = word
        self.about = problem
        self.breach = breach

    def __call__(self, name: str, item: int | None) -> Any:
        """The value of a name; MISSING when nothing stands behind it."""
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
            return self.job.balance if self.job and self.job.balance is not None else MISSING
        return MISSING

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
            return MISSING
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
        import base64

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
        wait = 30
        return wait if what == "after" else Moment(self.scene.wall + wait)


# -------------------------------------------------------------------------------------- small parts


def _hosts(endpoints: Iterable[Endpoint]) -> tuple[Host, ...]:
    grouped: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        grouped.setdefault(endpoint.provider.name, []).append(endpoint)
    return tuple(Host(found[0].provider, tuple(found), name) for name, found in grouped.items())


def _endpoint(host: Host, asked: Asked) -> Endpoint | None:
    """Which endpoint of the host a request means; None for a model that it does not have."""
    if asked.model:
        return next((e for e in host.endpoints if e.slug == asked.model), None)
    constants = [(e, [p for p in e.parameters.values() if "const" in p.schema]) for e in host.endpoints]
    named = [(e, ps) for e, ps in constants if ps]
    for endpoint, parameters in named:
        if all(asked.values.get(p.name, p.schema["const"]) == p.schema["const"] for p in parameters):
            return endpoint
    if named and asked.operation.does.bills and all(isinstance(asked.values.get(p.name), str) for _, ps in named for p in ps):
        return None
    return host.endpoints[0]


def _of_kind(provider: Provider, operation: Operation | None, kind: Kind) -> Problem | None:
    names: Iterable[str] = operation.problems if operation else provider.problems
    found = [provider.problems[name] for name in names if name in provider.problems]
    if operation is not None and kind in (Kind.NO_KEY, Kind.BAD_KEY):
        pair = {Kind.NO_KEY: Kind.BAD_KEY, Kind.BAD_KEY: Kind.NO_KEY}
        return next((p for p in found if p.kind is kind), None) or next((p for p in found if p.kind is pair[kind]), None)
    return next((p for p in found if p.kind is kind), None)


def merge(answers: Sequence[Answer]) -> Answer:
    """One answer for a list of requests: arrays under one key are joined; good if any part is good."""
    parts = [bodies_of(answer) for answer in answers]
    body: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            body[key] = body.get(key, []) + value if isinstance(value, list) else value
    good = next((a for a in answers if a.reply.status < 400), answers[0])
    return Answer(
        Reply(good.reply.status, good.reply.headers, requests.encode({k: v for k, v in body.items() if v != []})),
        max(answer.after for answer in answers),
        good.delivery,
        tuple(effect for answer in answers for effect in answer.effects),
    )


def bodies_of(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; empty where it has none."""
    value, trouble = requests.decode(answer.reply.body)
    return value if isinstance(value, dict) and not trouble else {}


def _later(answer: Answer, after: float) -> Answer:
    return answer if not after else Answer(answer.reply, answer.after + after, answer.delivery, answer.effects)


def _plain(status: int, says: str, *headers: tuple[str, str]) -> Answer:
    return Answer(Reply(status, (("content-type", "text/plain; charset=utf-8"), *headers), says.encode()))


def _page(status: int, headers: Sequence[tuple[str, str]]) -> Answer:
    """The kind of page that a gateway puts up by itself."""
    title = {405: "405 Method Not Allowed", 502: "502 Bad Gateway", 504: "504 Gateway Timeout"}.get(status, f"{status}")
    text = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Answer(Reply(status, (("content-type", "text/html"), *headers), text.encode()))


def _seconds(chance: random.Random, median: float) -> float:
    """A duration round that median, log-normal, in whole milliseconds."""
    return round(median * chance.lognormvariate(0.0, 0.2), 3)


def _seed(endpoint: Endpoint, full: Mapping[str, Any], chance: random.Random) -> int:
    name = endpoint.outputs.seed
    value = full.get(name) if name else None
    if isinstance(value, str) and value.lstrip("-").isdigit():
        value = int(value)
    parameter = endpoint.parameters.get(name) if name else None
    if not isinstance(value, int) or isinstance(value, bool) or (parameter and value == parameter.random):
        return chance.randrange(1, 2**31)
    return value


def _media_life(endpoint: Endpoint, full: Mapping[str, Any]) -> float | None:
    retention = endpoint.provider.retention
    asked = full.get(retention.ttl) if retention.ttl else None
    return float(asked) if isinstance(asked, (int, float)) and not isinstance(asked, bool) else retention.media.seconds


def _essence(job: Job) -> str:
    """What decides how a picture looks: every value that has an effect, in a fixed order; not the seed,
    and not how many are made."""
    endpoint = job.endpoint
    skipped = {endpoint.outputs.seed, endpoint.outputs.count}
    kept = {
        name: value
        for name, value in job.full.items()
        if name not in skipped
        and (p := endpoint.parameters.get(name)) is not None
        and p.canonical
        and holds(p.matters, job.full)
    }
    return repr(sorted(kept.items(), key=lambda pair: pair[0]))


def _window() -> Any:
    from collections import deque

    return deque()
