"""The pure centre of the mock: a call and a time in, an answer out. No socket, no clock, no globals.

Everything that it says comes from the contracts it was given; everything it decides by chance comes
from its seed, one stream for each key, so that the same seed and the same calls give the same bytes.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from wireproof.lifecycle import Status
from wireproof.mock import dice
from wireproof.mock.answer import WHOLE, Answer
from wireproof.mock.counts import Counts, OwnCounts
from wireproof.mock.faults import Bends
from wireproof.mock.jobs import Account, Job, Memory
from wireproof.mock.manners import Manners
from wireproof.mock.moods import Mood, Moods, Struck
from wireproof.mock.pictures import content_type, picture
from wireproof.mock.quick import Quick
from wireproof.mock.scene import MEDIA, Base, Host, Scene, fate, host_of, of_kind, plain, refused
from wireproof.mock.sends import sends_of
from wireproof.model import Call, Credential, Does, Endpoint, Kind, Limit, Operation, Reply
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
from wireproof.wire import requests
from wireproof.wire.keys import login_key
from wireproof.wire.requests import Asked, Breach

__all__ = ["Mock", "Scene", "fate", "host_of", "refused"]

DEPOSIT = Decimal(1000)
MOOD_HEADER = "x-wireproof-mood"
MOOD_KEY = "mood:"
"""A key whose role begins so meets that mood."""
_MARKER = re.compile(rb"\[mood:([a-z0-9][a-z0-9._-]{0,63})\]")
_NOBODY = "nobody"
"""Whose calls they are that carry no good key."""
T = TypeVar("T")


class Mock:
    """Serves contracts. State is the jobs, the accounts and the moods; everything else is a pure function."""

    shared = False
    """Whether jobs, accounts, time and seed belong to a store that others serve from, too."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        seed: int = 0,
        manners: Manners | None = None,
        mood: Mood | None = None,
        moods: Mapping[str, Mood] | None = None,
        keys: Mapping[str, str] | None = None,
        limits: bool = False,
        memory: Memory | None = None,
        deposit: Decimal = DEPOSIT,
        counts: Counts | None = None,
    ) -> None:
        """`mood` is the whole mock's; `moods` are those that a caller may ask for. `keys` maps further keys
        to account names; `limits` makes the declared rate limits count. `counts` is what moods count with."""
        self.hosts = _hosts(endpoints)
        self.seed = seed
        self.manners = manners or Manners()
        self._faithful = type(self.manners) is Manners
        self.limits = limits
        self.deposit = deposit
        self.counts = counts or OwnCounts()
        self._general = mood
        self._known = dict(moods or {})
        self.keys: dict[str, str] = dict(keys or {})
        for host in self.hosts:
            for role in ("main", "other"):
                self.key(host.provider.name, role)
        self.memory = Memory() if memory is None else memory
        self.offset = 0.0
        """Seconds from the clock's time to the calendar's, as the last call told them."""
        self._begin()
        self.quick = Quick(self)

    def reset(self) -> None:
        """Forget every job, account and count: the next calls are answered like the first ones."""
        self.memory.clear()
        self.counts.clear()
        self._begin()
        self.quick.forget()

    def _begin(self) -> None:
        self.accounts: MutableMapping[str, Account] = {}
        self.moods = Moods(self.seed, self._general, self._known, self.counts)
        for name in set(self.keys.values()):
            self._mood_of_key(name)
        self.hurry = 0
        """So many of the next jobs work in no time: they are over before anybody sees them run."""
        self._staged: list[tuple[str, str, str]] = []

    # ------------------------------------------------------------------------------- the outside

    @property
    def is_plain(self) -> bool:
        """Whether nothing stands between a good call and the contract's own answer."""
        moods = self.moods
        odd = self.limits or self._staged or self.hurry or moods.general is not None or moods.of_account
        return self._faithful and not odd

    def holds(self, id: str) -> bool:
        """Whether a picture of that id would be its own: a job's, or one that was brought along."""
        return self.memory.knows(id) or self.memory.upload(id) is not None

    def key(self, provider: str, role: str = "main") -> str:
        """A key that the mock takes. Each role is an account of its own; `mood:NAME` one that meets that mood."""
        pattern = next(h.provider.auth.pattern for h in self.hosts if h.provider.name == provider)
        chance = random.Random(f"{self.seed}:key:{provider}:{role}")
        key = spell(pattern or "key_[0-9a-f]{24}", chance)
        self.keys[key] = f"{provider}:{role}"
        if hasattr(self, "moods"):
            self._mood_of_key(f"{provider}:{role}")
        return key

    def _mood_of_key(self, account: str) -> None:
        name = account.partition(":")[2]
        if name.startswith(MOOD_KEY) and name.removeprefix(MOOD_KEY) in self._known:
            self.moods.set(self._known[name.removeprefix(MOOD_KEY)], account)

    def account(self, name: str) -> Account:
        """The account of that name; a new one has a deposit."""
        if name not in self.accounts:
            self.accounts[name] = Account(name, self.deposit, chance=self.stream(name))
        return self.accounts[name]

    def stream(self, account: str) -> random.Random:
        """The stream of chance that decides about an account's jobs, from its beginning."""
        return random.Random(f"{self.seed}:{account}")

    def at_once(self, act: Callable[[], T]) -> T:
        """Carry something out as one step: nobody else changes meanwhile what it sees."""
        return act()

    def stage(self, problem: str, operation: str, ticket: str = "") -> None:
        """Let the next call of an operation be answered with one of the host's problems. Where several mocks
        are told so under one `ticket`, only the first call that any of them gets is."""
        self._staged.append((operation, problem, ticket))

    def _unstage(self, operation: str) -> str | None:
        """The problem that the next call of an operation is to meet, which it now does."""
        for one in [one for one in self._staged if one[0] == operation]:
            self._staged.remove(one)
            if not one[2] or self.counts.next(one[2]) == 1:
                return one[1]
        return None

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        """The answer to a call. Never raises: what nobody serves is answered 404."""
        self.offset = wall - now
        try:
            parts = urlsplit(call.url)
        except ValueError:
            return plain(400, "This is not an address.")
        origin = f"{parts.scheme}://{parts.netloc}"
        if MEDIA in parts.path and call.method in ("GET", "HEAD"):
            return self._media(unquote(parts.path.rpartition(MEDIA)[2]), call, now, wall)
        for host in self.hosts:
            for prefix in (f"/{host.prefix}", ""):
                if prefix and not parts.path.startswith(prefix + "/"):
                    continue
                answer = self._host(host, call, Base(origin, prefix), now, wall)
                if answer is not None:
                    return answer
        return plain(404, "Nothing is served at this address.")

    def credential(self, call: Call) -> Credential:
        """Which kind of key a call carries."""
        for host in self.hosts:
            given = call.header(host.provider.auth.header)
            if given is not None:
                known = self.keys.get(given.removeprefix(host.provider.auth.prefix).strip())
                return Credential.GOOD if known else Credential.UNKNOWN
        return Credential.NONE

    # ----------------------------------------------------------------------------------- routing

    def _host(self, host: Host, call: Call, base: Base, now: float, wall: float) -> Answer | None:
        call = self._logged_in(host, call)
        asked = requests.recognise(host.endpoints[0], call, base.prefix)
        if not asked:
            return self._wrong_method(host, call, base, now, wall)
        if len(host.endpoints) > 1:
            asked = tuple(_as_meant(host, one, call, base, number) for number, one in enumerate(asked))
        answers = [self._one(host, one, call, base, now, wall) for one in asked]
        return answers[0] if len(answers) == 1 else merge(answers)

    def _logged_in(self, host: Host, call: Call) -> Call:
        """The call with its key in the header, where the host also takes it from the body's first element."""
        element = host.provider.channels.get("http", {}).get("login", {}).get("element")
        if not element or call.header(host.provider.auth.header) is not None:
            return call
        body, _ = requests.decode(call.body)
        key = login_key(element, body[0]) if isinstance(body, list) and body else None
        if key is None:
            return call
        header = (host.provider.auth.header, host.provider.auth.prefix + key)
        return replace(call, headers=(*call.headers, header), body=requests.encode(body[1:]))

    def _wrong_method(self, host: Host, call: Call, base: Base, now: float, wall: float) -> Answer | None:
        for method in ("POST", "GET"):
            other = Call(method, call.url, call.headers, call.body)
            asked = requests.recognise(host.endpoints[0], other, base.prefix) if method != call.method else ()
            if asked:
                problem = of_kind(host.provider, asked[0].operation, Kind.WRONG_METHOD)
                scene = Scene(self, host, host.endpoints[0], asked[0], base, now, wall)
                told = scene.refuse(Kind.WRONG_METHOD) if problem else plain(405, "Method not allowed.")
                if told.reply.status == 405:
                    # HTTP wants the methods named that would do.
                    return replace(told, reply=replace(told.reply, headers=(*told.reply.headers, ("allow", method))))
                return told
        return None

    def _one(self, host: Host, asked: Asked, call: Call, base: Base, now: float, wall: float) -> Answer:
        job = self.memory.get(asked.job) if asked.operation.does.asks else None
        endpoint = job.endpoint if job else _endpoint(host, asked)
        scene = Scene(self, host, endpoint or host.endpoints[0], asked, base, now, wall)
        scene.job, scene.call = job, call
        scene.meet(self._struck(scene, call))
        answer = _bent(scene.struck, lambda: self._true(scene, call, endpoint))
        return replace(answer, operation=asked.operation.name, job=scene.job.id if scene.job else asked.job)

    def _struck(self, scene: Scene, call: Call) -> list[Struck]:
        """The faults that strike this call."""
        if not self.moods.known:
            return []
        given = call.header(scene.host.provider.auth.header) or ""
        account = self.keys.get(given.removeprefix(scene.host.provider.auth.prefix).strip(), _NOBODY)
        wish = call.header(MOOD_HEADER)
        if scene.asked.operation.does.bills:
            marker = _MARKER.search(call.body)
            wish = wish or (marker[1].decode("ascii") if marker else None)
            scene.wish = wish
        mood = self.moods.pick(wish, scene.job.mood if scene.job else None, account=account)
        role = scene.asked.operation.does.value
        job = scene.job.id if scene.job else scene.asked.job
        return self.moods.strikes(mood, role, account=account, job=job, scene=scene, now=scene.now, wall=scene.wall)

    def _true(self, scene: Scene, call: Call, endpoint: Endpoint | None) -> Answer:
        """The answer as the contract has it."""
        host, operation = scene.host, scene.asked.operation
        staged = self._unstage(operation.name) if self._staged else None
        if staged:
            problem = host.provider.problems[staged]
            return scene.problem(self.manners.problem(scene, problem.kind, problem) or problem)
        name, refusal = self._admit(host, operation, call)
        refusal = self.manners.admit(scene.asked, refusal)
        if refusal:
            return scene.refuse(refusal)
        scene.account = account = self.account(name or f"{host.provider.name}:main")
        account.settle(scene.now)
        if account.forbidden:
            return scene.refuse(Kind.FORBIDDEN)
        limit = self._over_limit(scene, account, operation)
        if limit:
            return scene.problem(host.provider.problems[limit.problem])
        if operation.does.bills:
            return self._submit(scene, endpoint, account)
        if operation.does.asks:
            return self._ask(scene, scene.job, account)
        if operation.does is Does.UPLOAD:
            return self._upload(scene, account)
        return self._other(scene, account)

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

    def _over_limit(self, scene: Scene, account: Account, operation: Operation) -> Limit | None:
        """The limit that this call breaks; a call that is let in counts from now on."""
        if not self.limits:
            return None
        counted: list[deque[float]] = []
        for limit in _limits(scene.host, operation):
            if limit.what == "jobs":
                if operation.does.bills and limit.over == "refuse" and account.in_flight(scene.now) >= limit.most:
                    scene.wait = max(1.0, (account.next_end() or scene.now) - scene.now)
                    return limit
                continue
            window = limit.window or 60.0
            times = account.calls.setdefault(limit.name, deque())
            while times and times[0] <= scene.now - window:
                times.popleft()
            if len(times) >= limit.most:
                scene.wait = times[0] + window - scene.now
                return limit
            counted.append(times)
        for times in counted:
            times.append(scene.now)
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
        if self.manners.repeated(scene, self._repeated(scene, account)):
            kept = self.memory.get(scene.asked.job)
            if scene.host.provider.repeat_id == "same" and kept:
                return scene.tell(kept)
            return scene.refuse(Kind.CONFLICT)
        job = self._take(scene, endpoint, account, found)
        if job is None:
            return scene.refuse(Kind.OUT_OF_CREDITS)
        told = scene.tell(job, after=job.ends - scene.now if scene.operation.does is Does.RUN else 0.0)
        sends = self._sends(scene, job)
        return replace(told, effects=(*told.effects, *sends)) if sends else told

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
        price = price_of(endpoint, values)
        cost = self.manners.cost(price.amount if price else Decimal(0))
        if account.balance < cost:
            account.used_ids.discard(scene.asked.job)
            return None
        job = self.manners.take(scene, self._job(scene, endpoint, account.name, number, cost, found))
        for one in scene.struck:
            if one.fault.named.bends is Bends.JOBS:
                one(job)
        self._hold_back(scene, account, job)
        account.reserve(cost, job.ends, job.billed, scene.now)
        job.balance = account.balance
        self.memory.forget(scene.now)
        self.memory.add(job)
        scene.job = job
        return job

    def _job(
        self, scene: Scene, endpoint: Endpoint, account: str, number: int, cost: Decimal, found: Sequence[Breach]
    ) -> Job:
        """The job that a request makes, with its whole future."""
        values, provider = scene.asked.values, endpoint.provider
        throw = self.account(account).chance.getrandbits(dice.BITS)
        full = effective(endpoint, values)
        outcome, why = (Status.FAILED, found[0].says) if found else fate(endpoint, full)
        queue, run = self.manners.pace(
            dice.queue_time(throw, endpoint.timing.queue), dice.run_time(throw, endpoint.timing.run)
        )
        if self.hurry:
            self.hurry -= 1
            run = 0.0
        made = self.manners.fate(scene.asked, outcome)
        billed = endpoint.price is None or billed_of(endpoint.price, made.value) in ("full", "maybe", "unknown")
        return Job(
            id=scene.asked.job or dice.ids(provider.id_pattern)(throw),
            number=number,
            endpoint=endpoint,
            account=account,
            values=values,
            full=full,
            taken=scene.now,
            wall=scene.wall,
            queue=queue,
            run=run,
            outcome=made,
            why=why or "The model could not finish the request.",
            outputs=outputs_of(endpoint, values),
            seed=self.seed_of(endpoint, full, dice.seed(throw)),
            cost=cost,
            billed=self.manners.bills(made, billed),
            record_for=self.manners.retention(provider.retention.record.seconds),
            media_for=self.media_life(endpoint, full),
            own_id=bool(scene.asked.job),
            mood=scene.wish,
        )

    def seed_of(self, endpoint: Endpoint, full: Mapping[str, Any], drawn: int) -> int:
        """The seed that a job works with: the one asked for, or the one that was drawn for it."""
        name = endpoint.outputs.seed
        value = full.get(name) if name else None
        if isinstance(value, str) and value.isascii() and value.lstrip("-").isdigit():
            value = int(value[:40])
        parameter = endpoint.parameters.get(name) if name else None
        if not isinstance(value, int) or isinstance(value, bool) or (parameter and value == parameter.random):
            return drawn
        return value

    def media_life(self, endpoint: Endpoint, full: Mapping[str, Any]) -> float | None:
        """Seconds for which the pictures of a job live; None: for ever."""
        retention = endpoint.provider.retention
        asked = full.get(retention.ttl) if retention.ttl else None
        if isinstance(asked, (int, float)) and not isinstance(asked, bool):
            return float(asked)
        return retention.media.seconds

    def _hold_back(self, scene: Scene, account: Account, job: Job) -> None:
        """Let the job wait where the host lines up what is too much at once."""
        for limit in _limits(scene.host, scene.operation) if self.limits else ():
            if limit.what == "jobs" and limit.over in ("queue", "throttle"):
                wait = account.free_at(limit.most, scene.now) - scene.now
                if limit.over == "queue":
                    job.queue += wait
                else:
                    job.throttled += wait

    def _sends(self, scene: Scene, job: Job) -> tuple[Any, ...]:
        """The calls that the host makes because of this job, as the faults leave them."""
        sends: Sequence[Any] = sends_of(scene, job)
        if not sends or not self.moods.known:
            return tuple(sends)
        mood = self.moods.pick(job.mood, account=job.account)
        for one in self.moods.strikes(
            mood, "webhook", account=job.account, job=job.id, scene=scene, now=scene.now, wall=scene.wall
        ):
            if one.fault.named.bends is Bends.SENDS:
                sends = one(sends)
        return tuple(sends)

    def _ask(self, scene: Scene, job: Job | None, account: Account) -> Answer:
        scene.job = job = self.manners.find(scene, job)
        if job is None or (job.account != account.name and self.manners.private):
            return self.manners.unknown(scene, scene.refuse(Kind.UNKNOWN_JOB))
        if job.status(scene.now) is Status.EXPIRED:
            return scene.problem(scene.host.provider.problems[scene.host.provider.retention.after])
        job.polls += 1
        return scene.tell(job)

    def _other(self, scene: Scene, account: Account) -> Answer:
        """An operation that neither makes nor follows a job; one that names a job wants a known one."""
        named = any(field.canonical == "job.id" for field in scene.operation.request.fields)
        if not named:
            return scene.plain()
        found = [b for b in requests.breaches(scene.endpoint, scene.asked) if refused(b)]
        if found:
            return scene.refuse(Kind.INVALID, found[0])
        job = self.memory.get(scene.asked.job)
        if job is None or job.account != account.name:
            return scene.refuse(Kind.UNKNOWN_JOB)
        return scene.plain()

    def _upload(self, scene: Scene, account: Account) -> Answer:
        """Store a picture that a caller brings along; what it holds is not looked at."""
        found = [b for b in requests.breaches(scene.endpoint, scene.asked) if refused(b)]
        if found:
            return scene.refuse(Kind.INVALID, found[0])
        if self._repeated(scene, account):
            return scene.refuse(Kind.CONFLICT)
        number, account.uploads = account.uploads, account.uploads + 1
        id = spell(_UUID, random.Random(f"{self.seed}:{account.name}:upload:{number}:{scene.asked.job}"))
        self.memory.bring(id, account.name, number)
        scene.stored = {"id": id, "url": f"{scene.base.origin}{MEDIA}{id}-0.png"}
        return scene.plain()

    # ----------------------------------------------------------------------------------- pictures

    def _media(self, name: str, call: Call, now: float, wall: float) -> Answer:
        id, _, rest = name.rpartition("-")
        index = rest.partition(".")[0]
        job = self.memory.get(id)
        struck: list[Struck] = []
        if self.moods.known:
            account = job.account if job else _NOBODY
            mood = self.moods.pick(call.header(MOOD_HEADER), job.mood if job else None, account=account)
            struck = self.moods.strikes(mood, "media", account=account, job=name, scene=None, now=now, wall=wall)
        answer = _bent(struck, lambda: self._picture(job, id, index, now))
        return replace(answer, operation="media", job=id)

    def _picture(self, job: Job | None, id: str, index: str, now: float) -> Answer:
        upload = self.memory.upload(id)
        if upload is not None:
            data = picture(width=256, height=256, format="png", lines=("upload",), seed=upload)
            return Answer(Reply(200, (("content-type", "image/png"),), data), rule="media.upload")
        known = job is not None and index.isascii() and index.isdigit() and job.outcome is Status.SUCCEEDED
        if not known or job is None or int(index[:6]) >= job.outputs:
            return plain(404, "No such file.")
        if now < job.ends or (job.media_for is not None and now >= job.ends + job.media_for):
            return plain(404, "No such file.")
        data, kind = self.draw(job, int(index))
        return self.manners.media(job, Answer(Reply(200, (("content-type", kind),), data), rule="media"))

    def draw(self, job: Job, index: int) -> tuple[bytes, str]:
        """The picture that a job delivers, and its content type."""
        wish, twist = promised(job.endpoint, job.full), job.twist or {}
        width, height = self.manners.size(drawn_size(job.endpoint, job.full))
        factor = twist.get("factor", 1.0)
        width, height = max(1, int(width * factor)), max(1, int(height * factor))
        form = twist.get("format") or self.manners.format(wish.formats[0] if wish.formats else "png")
        quality = job.full.get(job.endpoint.outputs.quality or "")
        prompt = by_canonical(job.endpoint, "prompt")
        text = str(job.full.get(prompt.name, "")) if prompt else ""
        seed = self.manners.seed(job, job.seed + index)
        data = picture(
            width=width,
            height=height,
            format=form,
            quality=min(int(quality), 100) if isinstance(quality, (int, str)) and str(quality).isdigit() else None,
            lines=(job.endpoint.name, text[:40], f"seed {seed}"),
            seed=random.Random(f"{seed}:{_essence(job)}").getrandbits(63),
        )
        return self.manners.picture(job, data), content_type(form)


# -------------------------------------------------------------------------------------- small parts

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def _bent(struck: Sequence[Struck], true: Callable[[], Answer]) -> Answer:
    """The answer as the faults leave it: one that strikes before the call arrives is all there is."""
    on_answers = [one for one in struck if one.fault.named.bends is Bends.ANSWERS]
    first = next((one for one in on_answers if one.fault.phase == "before"), None)
    if first is not None:
        return replace(first.answer(Answer(Reply(200))), rule=first.rule)
    answer = true()
    for one in on_answers:
        answer = replace(one.answer(answer), rule=f"{answer.rule}; {one.rule}")
    return answer


def _limits(host: Host, operation: Operation) -> list[Limit]:
    return [limit for limit in host.provider.limits if not limit.operations or operation.name in limit.operations]


def _hosts(endpoints: Iterable[Endpoint]) -> tuple[Host, ...]:
    grouped: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        grouped.setdefault(endpoint.provider.name, []).append(endpoint)
    return tuple(Host(found[0].provider, tuple(found), name) for name, found in grouped.items())


def _as_meant(host: Host, asked: Asked, call: Call, base: Base, number: int) -> Asked:
    """The request read with the parameters of the endpoint that it means."""
    meant = _endpoint(host, asked)
    if meant is None or meant is host.endpoints[0] or asked.operation.request.parameters != "binding":
        return asked
    return requests.recognise(meant, call, base.prefix)[number]


def _endpoint(host: Host, asked: Asked) -> Endpoint | None:
    """Which endpoint of the host a request means; None for a model that it does not have."""
    if asked.model:
        return next((e for e in host.endpoints if e.slug == asked.model), None)
    if len(host.endpoints) == 1:
        return host.endpoints[0]
    body = asked.body if isinstance(asked.body, dict) else {}
    return next((e for e in host.endpoints if _has_constants(e, asked.operation, body)), host.endpoints[0])


def _has_constants(endpoint: Endpoint, operation: Operation, body: Mapping[str, Any]) -> bool:
    own = endpoint.operations.get(operation.name, operation)
    fields = [*own.request.fields, *endpoint.parameters.values()]
    given = requests.members(own, body)
    return all(given.get(field.name) == field.schema["const"] for field in fields if "const" in field.schema)


def merge(answers: Sequence[Answer]) -> Answer:
    """One answer for a list of requests: arrays under one key are joined; good if any part is good.

    What is not a JSON object, or does not leave whole, is the answer to all of them."""
    odd = next((a for a in answers if a.delivery != WHOLE or (a.reply.body and not bodies_of(a))), None)
    if odd is not None:
        return odd
    body: dict[str, Any] = {}
    for part in map(bodies_of, answers):
        for key, value in part.items():
            body[key] = body.get(key, []) + value if isinstance(value, list) else value
    good = next((a for a in answers if a.reply.status < 400), answers[0])
    reply = replace(good.reply, body=requests.encode({k: v for k, v in body.items() if v != []}))
    effects = tuple(effect for answer in answers for effect in answer.effects)
    return replace(good, reply=reply, after=max(answer.after for answer in answers), effects=effects)


def bodies_of(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; empty where it has none."""
    value, trouble = requests.decode(answer.reply.body)
    return value if isinstance(value, dict) and not trouble else {}


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
