"""The short cut: what almost every call of a load test asks, answered as ready bytes.

A submit that is plainly good and a question about its job need no scene: the reply is a template, made by
the engine itself for a job with a marked id, in which only the id is put. Whatever is not plain (a mood, a
limit, a body that breaks a rule or speaks of a fault, a reply that tells a balance or a time) is left to
the engine; both ways give the same bytes, and both keep the same books.
"""

from __future__ import annotations

import json
import math
import types
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote

import jsonschema_rs
import msgspec

from wireproof.lifecycle import Status
from wireproof.mock import dice
from wireproof.mock.answer import WHOLE
from wireproof.mock.framing import framed
from wireproof.mock.jobs import Account, Job
from wireproof.mock.scene import Base, Host, Scene
from wireproof.model import Call, Does, Endpoint, Operation, Parameter
from wireproof.spec.values import billed_of, effective, outputs_of, price_of
from wireproof.wire import requests
from wireproof.wire.requests import Asked

if TYPE_CHECKING:
    from wireproof.mock.engine import Mock

MOST_BODY = 64 << 10
MOST_ORIGINS = 64
"""Addresses by which one mock is called; more of them take the long way."""
MOST_DESKS = 4096
"""Keys and addresses together; callers beyond them take the long way."""
MOST_TOLD = 16_384
"""Replies about jobs that are kept ready; they are all dropped once there are so many."""
_LONG_S = "\u017f"
"""A letter that a search without regard to case takes for an s."""
_MOOD = b"x-wireproof-mood"
_decode = msgspec.json.Decoder().decode

Fields = Mapping[bytes, bytes]
Template = tuple[bytes, ...]
"""A reply about a job: what stands between the places of its id."""
Lean = tuple[int, str, int, bytes, float, float, float, int, Decimal, Decimal]
"""A job as the short cut keeps it: number of its plan, account, number, body, taken, end of the queue, end,
throw, cost, balance. It is made into a `Job` whenever somebody wants to look at it. Nothing in it can refer
to it, so that the garbage collector has no work with a million of them."""


@dataclass(slots=True, eq=False)
class Plan:
    """How one address that takes jobs is served."""

    mock: Mock
    host: Host
    endpoint: Endpoint
    operation: Operation
    prefix: str
    header: bytes
    read: Callable[[bytes], str]
    """The free words and addresses in a body. Raises where it is not plainly good."""
    make_id: Callable[[int], str]
    marked: str
    """An id of the right length that no job has."""
    number: int
    """Which plan of its mock it is."""
    price: Decimal | None
    """What every job costs; None where that depends on what it asks for."""
    waits: tuple[float, ...]
    works: tuple[float, ...]
    kept: float
    """Seconds from the end of a job until it and its media are both gone."""
    replies: dict[str, Template | None] = field(default_factory=dict)
    """By the origin that the client used: the reply to a submit; None: not this way."""
    taken: int = 0
    """Jobs that it took."""

    def submit(self, account: Account, origin: str, body: bytes, now: float) -> bytes | None:
        """Take a job and answer; None leaves the call to the engine."""
        if len(body) > MOST_BODY:
            return None
        try:
            words = self.read(body).lower()
        except (msgspec.DecodeError, RecursionError, ValueError):
            return None
        if "nsfw" in words or "[mood:" in words or ".invalid" in words or _LONG_S in words:
            return None  # they may decide what becomes of the job
        parts = self.replies[origin] if origin in self.replies else self.prepare(origin)
        cost = self.price if self.price is not None else self._cost(_decode(body))
        left = account.left(now) - cost
        if parts is None or left < 0:
            return None
        throw = account.chance.getrandbits(dice.BITS)
        queued = now + self.waits[throw & 1023]
        ends = queued + self.works[throw >> 10 & 1023]
        id = self.make_id(throw)
        lean = (self.number, account.name, account.jobs, body, now, queued, ends, throw, cost, left)
        account.take(lean)
        memory = self.mock.memory
        if now >= memory.due:
            memory.forget(now)
        memory.add_lean(id, lean)
        self.taken += 1
        return id.encode().join(parts)

    def _cost(self, values: dict[str, Any]) -> Decimal:
        price = price_of(self.endpoint, values)
        return price.amount if price else Decimal(0)

    def prepare(self, origin: str) -> Template | None:
        """The template for an origin: rendered for two jobs that have nothing but their id in common."""
        if len(self.replies) >= MOST_ORIGINS:
            return None
        self.replies[origin] = made = self.template(origin, self.operation, 0.0)
        return made

    def template(self, origin: str, operation: Operation, age: float) -> Template | None:
        """What an operation says of a job of that age; None where it says more than its id."""
        first, second = (self._rendered(origin, operation, age, other) for other in (False, True))
        return tuple(first.split(self.marked.encode())) if first == second else None

    def _rendered(self, origin: str, operation: Operation, age: float, other: bool) -> bytes:
        taken = 5000.0 if other else 0.0
        body = b'{"prompt":"b"}' if other else b'{"prompt":"a"}'
        lean = (
            self.number,
            "nobody",
            int(other),
            body,
            taken,
            taken + 1,
            taken + 2,
            7 + other,
            Decimal(other),
            Decimal(3 - other),
        )
        job = self.job(self.marked, lean)
        asked = Asked(operation, {}, job=self.marked, model=self.endpoint.slug)
        scene = Scene(self.mock, self.host, self.endpoint, asked, Base(origin, self.prefix), taken + age, taken)
        scene.job = job
        reply = scene.tell(job).reply
        return framed(reply, keep=True) + reply.body

    def job(self, id: str, lean: Lean) -> Job:
        """The job that was kept in short."""
        _, account, number, body, taken, queued, ends, throw, cost, balance = lean
        values = _decode(body)
        retention = self.endpoint.provider.retention
        full = effective(self.endpoint, values)
        return Job(
            id=id,
            number=number,
            endpoint=self.endpoint,
            account=account,
            values=values,
            full=full,
            taken=taken,
            wall=taken + self.mock.offset,
            queue=queued - taken,
            run=round(ends - queued, 3),
            outcome=Status.SUCCEEDED,
            why="The model could not finish the request.",
            outputs=outputs_of(self.endpoint, values),
            seed=self.mock.seed_of(self.endpoint, full, dice.seed(throw)),
            cost=cost,
            billed=True,
            record_for=retention.record.seconds,
            media_for=self.mock.media_life(self.endpoint, full),
            balance=balance,
        )


@dataclass(slots=True, eq=False)
class Question:
    """How one address that asks after jobs is served, for one plan."""

    plan: Plan
    operation: Operation
    ready: dict[str, tuple[Template | None, Template | None]] = field(default_factory=dict)
    """By origin: the replies for queued and for running jobs."""

    def phases(self, origin: str) -> tuple[Template | None, Template | None]:
        if origin not in self.ready and len(self.ready) < MOST_ORIGINS:
            made = (self.plan.template(origin, self.operation, 0.5), self.plan.template(origin, self.operation, 1.5))
            self.ready[origin] = made
        return self.ready.get(origin, (None, None))


@dataclass(slots=True, eq=False)
class Tally:
    """How often something was said."""

    times: int = 0


@dataclass(slots=True, eq=False)
class Told:
    """What one desk says of a job as long as nothing changes: a job's phases are fixed when it is taken."""

    desk: Desk
    id: str
    lean: Lean
    account: Account
    whole: bytes
    until: float
    """When there will be something else to say. Clock seconds."""
    tally: Tally


@dataclass(slots=True, eq=False)
class Desk:
    """Where all callers are served whose header fields say the same: one key, one origin. Called with method,
    target, body and clock time: a complete response, or None."""

    quick: Quick
    fields: Fields
    origin: str
    mock: Mock
    told: dict[bytes, Told]
    """Of all desks, by the address that was asked."""
    plans: Mapping[bytes, Plan]
    accounts: dict[int, Account] = field(default_factory=dict)
    """By the number of the plan."""

    def __call__(self, method: bytes, target: bytes, body: bytes, now: float) -> bytes | None:
        if not self.mock.is_plain:
            return None
        if method == b"GET":
            told = self.told.get(target)
            if told is None or now >= told.until or told.desk is not self or not self._keeps(told):
                told = self._tell(target, now)
            if told is None or told.account.forbidden:
                return None
            told.tally.times += 1
            return told.whole
        plan = self.plans.get(target)
        if plan is None or method != b"POST":
            return None
        account = self._account(plan)
        return None if account is None else plan.submit(account, self.origin, body, now)

    def _keeps(self, told: Told) -> bool:
        """Whether the job is still remembered, and still the same."""
        return self.mock.memory.lean(told.id) is told.lean

    def _account(self, plan: Plan) -> Account | None:
        """The account behind the key for that plan's host; one that may do nothing has no short cut."""
        account = self.accounts.get(plan.number)
        if account is None:
            name = self.quick.owner(self.fields, plan.host)
            if name is None:
                return None
            account = self.accounts[plan.number] = self.mock.account(name)
        return None if account.forbidden else account

    def _tell(self, target: bytes, now: float) -> Told | None:
        for prefix, head, tail, operation in self.quick.questions:
            if target.startswith(head) and target.endswith(tail):
                id = target[len(head) : len(target) - len(tail)].decode("latin-1")
                lean = self.mock.memory.lean(id)
                if lean is not None:
                    return self._phase(target, prefix, operation, id, lean, now)
        return None

    def _phase(
        self, target: bytes, prefix: str, operation: Operation, id: str, lean: Lean, now: float
    ) -> Told | None:  # fmt: skip
        plan = self.mock.memory.plans[lean[0]]
        if plan.host.provider.operations.get(operation.name) is not operation:
            return None  # another host's address, asked about a job of this one
        account = self._account(plan)
        if account is None or account.name != lean[1]:
            return None
        if now >= lean[6]:
            kept = plan.endpoint.provider.retention.record.seconds
            until = math.inf if kept is None else lean[6] + kept
            whole = self._ended(target, plan, now) if now < until else None
        elif plan.prefix != prefix:
            return None  # its links lead where the caller asked, not where the job was submitted
        else:
            runs = now >= lean[5]
            parts = self.quick.question(plan, operation).phases(self.origin)[runs]
            until = lean[6] if runs else lean[5]
            whole = id.encode().join(parts) if parts is not None else None
        if whole is None:
            return None
        if len(self.told) >= MOST_TOLD:
            self.told.clear()
        tally = self.quick.tallies.setdefault((operation.name, int(whole[9:12])), Tally())
        told = self.told[target] = Told(self, id, lean, account, whole, until, tally)
        return told

    def _ended(self, target: bytes, plan: Plan, now: float) -> bytes | None:
        """The reply about an ended job, as the engine makes it."""
        key = plan.header.decode("ascii"), self.fields[plan.header].decode("latin-1")
        call = Call("GET", self.origin + target.decode("latin-1"), (key,))
        answer = self.mock.answer(call, now, now + self.mock.offset)
        if answer.after or answer.delivery is not WHOLE or answer.effects:
            return None
        return framed(answer.reply, keep=True) + answer.reply.body


class Quick:
    """The short cut of one mock. Called with header fields by their lower-cased names and the origin that the
    client used: the desk where such a client is served, or None."""

    def __init__(self, mock: Mock) -> None:
        self.mock = mock
        self.questions: list[tuple[str, bytes, bytes, Operation]] = []
        """The host's prefix, and what stands before and after the id in an address that asks after a job."""
        self.tallies: dict[tuple[str, int], Tally] = {}
        self._asked: dict[tuple[int, str], Question] = {}
        self._plans: dict[bytes, Plan] = {}
        self._desks: dict[tuple[str | bytes | None, ...], Desk] = {}
        self._told: dict[bytes, Told] = {}
        self._headers = sorted({host.provider.auth.header.lower().encode() for host in mock.hosts})
        mock.memory.plans.clear()
        for host in mock.hosts:
            for prefix in (f"/{host.prefix}", ""):
                self._serve(host, prefix)

    def __call__(self, fields: Fields, origin: str) -> Desk | None:
        if _MOOD in fields:
            return None
        which = (origin, *[fields.get(name) for name in self._headers])
        desk = self._desks.get(which)
        if desk is None and len(self._desks) < MOST_DESKS and any(self.owner(fields, h) for h in self.mock.hosts):
            desk = self._desks[which] = Desk(self, fields, origin, self.mock, self._told, self._plans)
        return desk

    def owner(self, fields: Fields, host: Host) -> str | None:
        """The name of the account whose key for that host is among the header fields."""
        auth = host.provider.auth
        text = fields.get(auth.header.lower().encode(), b"").decode("latin-1")
        name = self.mock.keys.get(text.removeprefix(auth.prefix)) if text.startswith(auth.prefix) else None
        return name if name is not None and name.startswith(f"{host.provider.name}:") else None

    def question(self, plan: Plan, operation: Operation) -> Question:
        """How that operation is asked about the jobs of that plan."""
        key = plan.number, operation.name
        if key not in self._asked:
            self._asked[key] = Question(plan, plan.endpoint.operations.get(operation.name, operation))
        return self._asked[key]

    def forget(self) -> None:
        """What was kept belongs to jobs and accounts that are no more."""
        self._told.clear()
        self.tallies.clear()
        for desk in self._desks.values():
            desk.accounts.clear()
        for plan in self.mock.memory.plans:
            plan.taken = 0

    @property
    def counts(self) -> Counter[tuple[str, int]]:
        """Calls that it answered, by operation and status code."""
        found = Counter({said: tally.times for said, tally in self.tallies.items()})
        for plan in self.mock.memory.plans:
            if plan.taken:
                found[plan.operation.name, plan.operation.alternatives[0].statuses[0]] += plan.taken
        return found

    def _serve(self, host: Host, prefix: str) -> None:
        for endpoint in host.endpoints:
            for operation in endpoint.operations.values():
                plan = _plan(self.mock, host, endpoint, operation, prefix, len(self.mock.memory.plans))
                if plan is not None:
                    self.mock.memory.plans.append(plan)
                    self._plans[f"{prefix}{requests.fill(operation.request.path, endpoint, '')}".encode()] = plan
        for operation in host.provider.operations.values():
            head, _, tail = operation.request.path.partition("{job.id}")
            if (
                operation.does in (Does.STATUS, Does.RESULT)
                and operation.request.method == "GET"
                and head
                and "{" not in tail
            ):
                self.questions.append((prefix, f"{prefix}{head}".encode(), tail.encode(), operation))


def _plan(mock: Mock, host: Host, endpoint: Endpoint, operation: Operation, prefix: str, number: int) -> Plan | None:
    """The plan for an operation that the short cut can serve; None for any other."""
    provider, request = host.provider, operation.request
    plain = (
        operation.does is Does.SUBMIT
        and request.method == "POST"
        and request.envelope == "flat"
        and not request.fields
        and provider.repeat_id == "new"
        and provider.refused_at == "submit"
        and provider.retention.ttl is None
        and not endpoint.rules
        and all(
            "." not in name and p.otherwise != "refused" and not p.calls_out for name, p in endpoint.parameters.items()
        )
        and unquote(request.path) == request.path
    )
    if not plain:
        return None
    make_id = dice.ids(provider.id_pattern)
    price = endpoint.price
    fixed = price is None or all(term.per == "request" and not term.when for term in price.terms)
    if price is not None and billed_of(price, Status.SUCCEEDED.value) not in ("full", "maybe", "unknown"):
        return None
    plan = Plan(
        mock=mock,
        host=host,
        endpoint=endpoint,
        operation=operation,
        prefix=prefix,
        header=provider.auth.header.lower().encode(),
        read=reader(_schema(endpoint), [p.name for p in endpoint.parameters.values() if not _closed(p)]),
        make_id=make_id,
        marked="~" * len(make_id(0)),
        number=number,
        price=None,
        waits=dice.times(endpoint.timing.queue),
        works=dice.times(endpoint.timing.run),
        kept=_kept(mock, endpoint),
    )
    plan.price = plan._cost({}) if fixed else None  # noqa: SLF001 - it is being made
    return plan if len({len(make_id(1 << bit)) for bit in range(0, dice.BITS, 7)}) == 1 else None


def _closed(parameter: Parameter) -> bool:
    """Whether a parameter takes no text of the caller's own."""
    return "enum" in parameter.schema or parameter.schema.get("type") in ("integer", "number", "boolean")


def _kept(mock: Mock, endpoint: Endpoint) -> float:
    record = endpoint.provider.retention.record.seconds
    return math.inf if record is None else max(record, mock.media_life(endpoint, {}) or 0.0)


def _schema(endpoint: Endpoint) -> dict[str, Any]:
    """What a plainly good body is: stricter than the engine, which forgives what nobody is sure of."""
    parameters = endpoint.parameters.values()
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [p.name for p in parameters if p.required],
        "properties": {p.name: _anchored(p.schema) for p in parameters},
    }


def _anchored(schema: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(schema)))
    plain.pop("default", None)
    if "pattern" in plain:
        plain["pattern"] = f"^(?:{plain['pattern']})$"
    return plain


# ------------------------------------------------------------------------------- reading bodies


def reader(schema: Mapping[str, Any], spoken: Sequence[str]) -> Callable[[bytes], str]:
    """What reads a body that obeys the schema of an object, and gives the text of its `spoken` members; it
    raises for every body that does not, and may for one that does in an odd way. Where the schema says
    more than types can, it is slower."""
    try:
        fields = [_member(name, inner, name in schema["required"]) for name, inner in schema["properties"].items()]
        body = msgspec.defstruct("Body", fields, forbid_unknown_fields=True, kw_only=True, gc=False)
    except (NotTyped, TypeError, ValueError):
        return _by_schema(schema, spoken)
    decode = msgspec.json.Decoder(body).decode

    def read(raw: bytes) -> str:
        value = decode(raw)
        if requests.names_twice(raw, value):
            raise ValueError("a member is named twice")
        return "\n".join([str(getattr(value, name)) for name in spoken])

    return read


def _by_schema(schema: Mapping[str, Any], spoken: Sequence[str]) -> Callable[[bytes], str]:
    good = jsonschema_rs.validator_for(dict(schema), validate_formats=True).is_valid

    def read(body: bytes) -> str:
        values = _decode(body)
        if not good(values):
            raise ValueError("this breaks a rule")
        trouble = requests.oddity(body, values)
        if trouble:
            raise ValueError(trouble)
        return "\n".join([str(values.get(name)) for name in spoken])

    return read


class NotTyped(Exception):
    """A schema that types do not express."""


def _member(name: str, schema: Mapping[str, Any], required: bool) -> Any:
    kind = _type(schema)
    return (name, kind) if required else (name, kind | msgspec.UnsetType, msgspec.UNSET)


_TYPES: Mapping[str, Any] = {"string": str, "integer": int, "boolean": bool, "number": float}
_BOUNDS = {"minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt"}
_LENGTHS = {"minLength": "min_length", "maxLength": "max_length"}
_WORDLESS = frozenset({"title", "description", "examples", "example", "deprecated"})
"""What a schema says to people."""


def _type(schema: Mapping[str, Any]) -> Any:
    """The type of the values that a schema allows. Raises NotTyped."""
    said = {key: value for key, value in schema.items() if key not in _WORDLESS}
    name = said.pop("type", None)
    if "enum" in said or "const" in said:
        return _choice(name, said)
    if name == "array":
        return _list(said)
    if name not in _TYPES:
        raise NotTyped
    names = {**_LENGTHS, "pattern": "pattern"} if name == "string" else _BOUNDS
    if not said.keys() <= names.keys():
        raise NotTyped
    meta = {names[key]: value for key, value in said.items()}
    return Annotated[_TYPES[name], msgspec.Meta(**meta)] if meta else _TYPES[name]


def _choice(name: Any, said: dict[str, Any]) -> Any:
    words = said.pop("enum", None) or [said.pop("const")]
    plain = name in (None, "string", "integer") and all(type(word) in (str, int) for word in words)
    if said or not plain or (name and any(type(word) is not _TYPES[name] for word in words)):
        raise NotTyped
    return Literal[tuple(words)]


def _list(said: dict[str, Any]) -> Any:
    items = said.pop("items", None)
    names = {"minItems": "min_length", "maxItems": "max_length"}
    if items is None or not said.keys() <= names.keys():
        raise NotTyped
    inner: Any = types.GenericAlias(list, (_type(items),))
    return Annotated[inner, msgspec.Meta(**{names[key]: value for key, value in said.items()})] if said else inner
