"""Ways in which a host can misbehave. Each is one small function at one point of `Manners`, and knows no provider.

A bend is handed what the point is handed, the value that it may change last, and gives back what becomes of
that value. Its keyword arguments are what a defect may say to it under `with`. `BENDS` is the table of all of
them; which defects there are stands in `mocks/defects/*.yaml`, read by `wireproof.mock.defects`.
"""

from __future__ import annotations

import inspect
import io
import random
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_type_hints

from wireproof.lifecycle import Status
from wireproof.mock.answer import Answer, Delivery
from wireproof.mock.jobs import Job
from wireproof.model import Evidence, Kind, Problem
from wireproof.spec.values import billed_of, by_canonical, effective, matters
from wireproof.wire.bodies import MISSING, Moment
from wireproof.wire.keys import presented
from wireproof.wire.requests import Asked, Breach, at_host, decode, encode

if TYPE_CHECKING:
    from wireproof.mock.scene import Scene

NEVER = 1e9
"""Seconds that no test outlives, and that a calendar can still hold."""
REFUSED = tuple(range(400, 600))
TAKEN = tuple(range(200, 300))


@dataclass(slots=True)
class Past:
    """What a misbehaving host remembers."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    notes: dict[str, Any] = field(default_factory=dict)
    """What was seen first under a name."""

    def again(self, *what: str) -> int:
        """How often this has happened, now included."""
        self.counts[what] += 1
        return self.counts[what]


@dataclass(frozen=True, slots=True)
class Bend:
    """A bend's function, the point at which it stands, and what can be said of it."""

    name: str
    point: str
    act: Callable[..., Any]

    @property
    def says(self) -> str:
        """What it does, in one sentence."""
        return (inspect.getdoc(self.act) or "").partition("\n")[0]

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """What may be said to it, as JSON Schema properties with their defaults."""
        hints = get_type_hints(self.act, localns={"Scene": Any})
        parameters = inspect.signature(self.act).parameters.values()
        return {
            p.name: {
                **_TYPES[hints[p.name]],
                **({} if p.default is p.empty else {"default": _plain(p.default)}),
            }
            for p in parameters
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }

    @property
    def needs(self) -> list[str]:
        """The options that have no default."""
        return [name for name, option in self.options.items() if "default" not in option]


_TYPES: Mapping[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    Any: {},
    tuple[str, ...]: {"type": "array", "items": {"type": "string"}},
    tuple[int, ...]: {"type": "array", "items": {"type": "integer"}},
    tuple[Any, ...]: {"type": "array"},
}

BENDS: dict[str, Bend] = {}
"""Every bend by its name."""


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _bend(point: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(act: Callable[..., Any]) -> Callable[..., Any]:
        name = act.__name__.strip("_").replace("_", "-")
        BENDS[name] = Bend(name, point, act)
        return act

    return register


# ------------------------------------------------------------------------------- who and what is let in


@_bend("admit")
def let_in(past: Past, asked: Asked, refusal: Kind | None, *, kinds: tuple[str, ...]) -> Kind | None:
    """Calls that should be refused for these reasons are let in."""
    return None if refusal in kinds else refusal


@_bend("admit")
def turn_away(past: Past, asked: Asked, refusal: Kind | None, *, kind: str = "broken", every: int = 1) -> Kind | None:
    """Each n-th call that is let in is answered with a problem of that kind instead."""
    return refusal or (Kind(kind) if past.again("let in") % every == 0 else None)


@_bend("breaches")
def overlook(
    past: Past,
    asked: Asked,
    found: list[Breach],
    *,
    rules: tuple[str, ...] = (),
    parameters: tuple[str, ...] = (),
) -> list[Breach]:
    """Requests are not refused for breaches of these rules (of these parameters)."""
    return [b for b in found if (rules and b.rule not in rules) or (parameters and b.parameter not in parameters)]


@_bend("breaches")
def take_bent(past: Past, asked: Asked, found: list[Breach]) -> list[Breach]:
    """A switch may be given as a word or as a number."""
    return [b for b in found if not (b.rule == "type" and b.value in ("true", "false", 0, 1))]


@_bend("breaches")
def refuse_value(
    past: Past,
    asked: Asked,
    found: list[Breach],
    *,
    parameters: tuple[str, ...],
    values: tuple[Any, ...] = (),
) -> list[Breach]:
    """Requests are refused that give these parameters (one of these values)."""
    given = [name for name in parameters if name in asked.values and (not values or asked.values[name] in values)]
    return [*found, *(_refusal(asked, name, f"{name}: this is not supported") for name in given)]


@_bend("breaches")
def refuse_long(
    past: Past, asked: Asked, found: list[Breach], *, parameters: tuple[str, ...], most: int
) -> list[Breach]:
    """Requests are refused whose text or list or number is larger than so much."""
    large = [name for name in parameters if (size := _size(asked.values.get(name))) is not None and size > most]
    return [*found, *(_refusal(asked, name, f"{name} must not be more than {most}") for name in large)]


def _size(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return len(value) if isinstance(value, (str, list)) else None


@_bend("breaches")
def want_other_name(
    past: Past, asked: Asked, found: list[Breach], *, parameters: tuple[str, ...], instead: str
) -> list[Breach]:
    """A parameter is taken only under another name than the documented one."""
    blind = [name for name in parameters if name in asked.values]
    return [*found, *(_refusal(asked, instead, f"{instead} is required") for _ in blind)]


def _refusal(asked: Asked, name: str, says: str) -> Breach:
    return Breach(name, "refused", says, Evidence(), asked.operation.where)


# --------------------------------------------------------------------------------- how refusals are told


@_bend("problem")
def other_code(
    past: Past, scene: Scene, kind: Kind, problem: Problem | None, *, kinds: tuple[str, ...], code: int
) -> Problem | None:
    """Problems of these kinds are told with another status code."""
    return replace(problem, statuses=(code,)) if problem and kind in kinds else problem


# ------------------------------------------------------------------------------------ what becomes of jobs


@_bend("repeated")
def take_twice(past: Past, scene: Scene, repeated: bool, *, after: float = 0.0) -> bool:
    """An id that was used before is taken again, so many seconds later."""
    first: float = past.notes.setdefault(scene.asked.job, scene.now)
    return repeated and scene.now - first < after


@_bend("take")
def same_id(past: Past, scene: Scene, job: Job) -> Job:
    """Every job gets the id of the first one."""
    return job if job.own_id else replace(job, id=past.notes.setdefault("id", job.id))


@_bend("take")
def endless(past: Past, scene: Scene, job: Job) -> Job:
    """A job starts, and never ends."""
    return replace(job, run=NEVER)


@_bend("take")
def forget_after(past: Past, scene: Scene, job: Job, *, seconds: float) -> Job:
    """A job is forgotten so soon after its end."""
    return replace(job, record_for=seconds)


@_bend("take")
def drop_media_after(past: Past, scene: Scene, job: Job, *, seconds: float) -> Job:
    """What a job delivers is gone so soon after its end."""
    return replace(job, media_for=seconds)


@_bend("take")
def deliver_fewer(past: Past, scene: Scene, job: Job, *, by: int = 1, least: int = 0) -> Job:
    """A job delivers so many outputs fewer."""
    return replace(job, outputs=max(least, job.outputs - by))


@_bend("take")
def charge_times(past: Past, scene: Scene, job: Job, *, factor: str) -> Job:
    """A job costs so many times its price; `factor` is a decimal number."""
    return replace(job, cost=job.cost * Decimal(factor))


@_bend("take")
def bill_failures(past: Past, scene: Scene, job: Job) -> Job:
    """A job that fails is charged like one that does not."""
    return replace(job, billed=True)


@_bend("take")
def end_otherwise(past: Past, scene: Scene, job: Job, *, was: str, now: str, every: int = 1) -> Job:
    """Each n-th job that would end one way ends another way."""
    if job.outcome != was or past.again("ended", was) % every:
        return job
    price = job.endpoint.price
    billed = price is None or billed_of(price, now) in ("full", "maybe", "unknown")
    return replace(job, outcome=Status(now), billed=billed)


@_bend("take")
def ignore(past: Past, scene: Scene, job: Job, *, canonical: str) -> Job:
    """A parameter that was sent counts as left out."""
    parameter = by_canonical(job.endpoint, canonical)
    if parameter is None or parameter.name not in job.values:
        return job
    rest = {name: value for name, value in job.values.items() if name != parameter.name}
    return replace(job, full=effective(job.endpoint, rest))


@_bend("take")
def apply_other_default(past: Past, scene: Scene, job: Job, *, canonical: str, value: Any) -> Job:
    """A parameter that was left out gets another value than its default."""
    parameter = by_canonical(job.endpoint, canonical)
    if parameter is None or parameter.name in job.values:
        return job
    made = replace(job, full={**job.full, parameter.name: value})
    return replace(made, seed=value) if parameter.name == job.endpoint.outputs.seed else made


@_bend("take")
def heed_first(past: Past, scene: Scene, job: Job, *, canonical: str) -> Job:
    """Of a list only the first item is taken."""
    parameter = by_canonical(job.endpoint, canonical)
    items = job.full.get(parameter.name) if parameter else None
    if parameter is None or not isinstance(items, list):
        return job
    return replace(job, full={**job.full, parameter.name: items[:1]})


# ----------------------------------------------------------------------------------- what is asked after


@_bend("find")
def find_late(past: Past, scene: Scene, job: Job | None, *, asks: int = 1) -> Job | None:
    """A job is unknown the first few times that it is asked after."""
    return job if job is None or past.again("asked", job.id) > asks else None


@_bend("find")
def find_otherwise(past: Past, scene: Scene, job: Job | None, *, now: str, after: int) -> Job | None:
    """A job that has succeeded has ended another way once it was asked after so often since its end."""
    if job is None or scene.now < job.ends or job.outcome is not Status.SUCCEEDED:
        return job
    return replace(job, outcome=Status(now)) if past.again("since", job.id) > after else job


@_bend("find")
def find_one_by_one(past: Past, scene: Scene, job: Job | None) -> Job | None:
    """A job is unknown for as long as another one of the account is at work."""
    if job is None:
        return None
    others = scene.mock.account(job.account).in_flight(scene.now) - (scene.now < job.ends)
    return None if others else job


@_bend("find")
def lose_every(past: Past, scene: Scene, job: Job | None, *, every: int) -> Job | None:
    """Each n-th question after a job is answered as if nobody knew it."""
    return None if past.again("found") % every == 0 else job


@_bend("find")
def invent(past: Past, scene: Scene, job: Job | None) -> Job | None:
    """An id that nobody was given is answered like that of a job that waits."""
    if job is not None or not scene.asked.job:
        return job
    return Job(
        id=scene.asked.job,
        number=0,
        endpoint=scene.endpoint,
        account=f"{scene.host.provider.name}:main",
        values={},
        full=effective(scene.endpoint, {}),
        taken=scene.now,
        wall=scene.wall,
        queue=60.0,
        run=60.0,
        outcome=Status.SUCCEEDED,
    )


@_bend("private")
def show_to_anybody(past: Past) -> bool:
    """A job is shown to whoever has its id."""
    return False


@_bend("status")
def seem(
    past: Past,
    scene: Scene,
    job: Job,
    status: Status,
    *,
    was: tuple[str, ...],
    now: str,
    after: int = 0,
    times: int = 1000,
) -> Status:
    """A job in one of these states is told as being in another, once it was told `after` times; so many times."""
    if status not in was:
        return status
    told = past.again("told", job.id, status)
    return Status(now) if after < told <= after + times else status


@_bend("word")
def say(past: Past, job: Job, asked: Asked, word: str, *, status: str, instead: str) -> str:
    """A canonical status is told with another word."""
    state = job.endpoint.provider.states.get(word)
    return instead if state and state.status == status else word


# ----------------------------------------------------------------------------------------- what is said


@_bend("fact")
def leave_out(past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...]) -> Any:
    """Nothing is said where these facts belong."""
    return MISSING if name in facts else value


@_bend("fact")
def say_null(
    past: Past,
    scene: Scene,
    job: Job | None,
    name: str,
    value: Any,
    *,
    facts: tuple[str, ...],
    every: int = 1,
) -> Any:
    """Null is said (each n-th time) where these facts belong."""
    hit = name in facts and value is not MISSING and past.again("said", name) % every == 0
    return None if hit else value


@_bend("fact")
def say_as_text(past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...]) -> Any:
    """These numbers are said as text."""
    plain = value is not MISSING and not isinstance(value, Moment)
    return str(value) if name in facts and plain else value


@_bend("fact")
def say_as_list(past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...]) -> Any:
    """These facts are said as a list with one element."""
    return [value] if name in facts and value is not MISSING else value


@_bend("fact")
def say_value(
    past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...], instead: Any
) -> Any:
    """These facts are said to be something else."""
    return instead if name in facts and value is not MISSING else value


@_bend("reply")
def say_first_in_items(past: Past, scene: Scene, answer: Answer, *, member: str) -> Answer:
    """This member of the objects in lists is always said to be what it was the first time."""
    if answer.reply.body[:1] != b"{":
        return answer
    body = decode(answer.reply.body)[0]
    items = [item for value in body.values() if isinstance(value, list) for item in value]
    hits = [item for item in items if isinstance(item, dict) and member in item]
    for item in hits:
        item[member] = past.notes.setdefault(member, item[member])
    return _with(answer, body=encode(body)) if hits else answer


@_bend("fact")
def say_more(
    past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...], by: int
) -> Any:
    """These numbers are said to be so much more than they are."""
    hit = name in facts and isinstance(value, (int, float, Decimal))
    return value + by if hit else value


@_bend("fact")
def say_earlier(
    past: Past,
    scene: Scene,
    job: Job | None,
    name: str,
    value: Any,
    *,
    facts: tuple[str, ...],
    seconds: float,
) -> Any:
    """These moments are said to be so much earlier."""
    return Moment(value.seconds - seconds) if name in facts and isinstance(value, Moment) else value


@_bend("fact")
def say_later_each_time(
    past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...], seconds: float
) -> Any:
    """These moments are put off by so much each time that they are said."""
    hit = name in facts and isinstance(value, Moment) and job is not None
    return Moment(value.seconds + seconds * past.again(f"put off {name}", job.id)) if hit and job else value


@_bend("fact")
def say_times(
    past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...], factor: str
) -> Any:
    """These numbers are said to be so many times what they are; `factor` is a decimal number."""
    if name not in facts or not isinstance(value, (int, float, Decimal)):
        return value
    scaled = Decimal(str(value)) * Decimal(factor)
    return int(scaled) if isinstance(value, int) else scaled


@_bend("fact")
def say_backwards(
    past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, fact: str = "job.progress"
) -> Any:
    """A share of 100 counts down."""
    return 100 - value if name == fact and isinstance(value, int) else value


@_bend("fact")
def say_other_id(past: Past, scene: Scene, job: Job | None, name: str, value: Any) -> Any:
    """The id of a job is said to be another one of the same form."""
    return (
        value[:-1] + ("0" if value[-1] != "0" else "1")
        if name == "job.id" and isinstance(value, str) and value
        else value
    )


@_bend("fact")
def say_frozen(past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, fact: str) -> Any:
    """A value stays what it was when it was first said."""
    return past.notes.setdefault(name, value) if name == fact and value is not MISSING else value


@_bend("fact")
def say_falling(
    past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, fact: str, factor: str = "2"
) -> Any:
    """An amount is said to fall so many times as fast as it does; `factor` is a decimal number."""
    if name != fact or not isinstance(value, Decimal):
        return value
    first: Decimal = past.notes.setdefault(name, value)
    return first - (first - value) * Decimal(factor)


@_bend("fact")
def link_elsewhere(
    past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...], to: str
) -> Any:
    """These addresses lead to another host."""
    return to + at_host(value) if name in facts and isinstance(value, str) else value


@_bend("fact")
def link_nowhere(past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, facts: tuple[str, ...]) -> Any:
    """These addresses name another id."""
    return value.replace(job.id, job.id[::-1]) if name in facts and isinstance(value, str) and job else value


@_bend("fact")
def cut_text(past: Past, scene: Scene, job: Job | None, name: str, value: Any, *, canonical: str, most: int) -> Any:
    """A text that was sent is repeated only up to so many characters."""
    parameter = by_canonical(scene.endpoint, canonical)
    hit = parameter is not None and name == f"request.{parameter.name}" and isinstance(value, str)
    return value[:most] if hit else value


# ------------------------------------------------------------------------------------------- whole replies


@_bend("body")
def rename(past: Past, scene: Scene, job: Job | None, body: Any, *, fields: tuple[str, ...], to: str) -> Any:
    """A field of a body is called otherwise, wherever it stands."""
    match body:
        case dict():
            return {
                to if k in fields else k: rename(past, scene, job, v, fields=fields, to=to) for k, v in body.items()
            }
        case list():
            return [rename(past, scene, job, one, fields=fields, to=to) for one in body]
    return body


@_bend("body")
def empty_list(past: Past, scene: Scene, job: Job | None, body: Any, *, fields: tuple[str, ...], status: str) -> Any:
    """These lists are empty in what is told of a job in that state."""
    if job is None or job.status(scene.now) != status:
        return body
    return _emptied(body, fields)


def _emptied(body: Any, fields: Sequence[str]) -> Any:
    if not isinstance(body, dict):
        return body
    return {k: [] if k in fields and isinstance(v, list) else _emptied(v, fields) for k, v in body.items()}


@_bend("reply")
def answer_code(
    past: Past, scene: Scene, answer: Answer, *, code: int, codes: tuple[int, ...] = TAKEN, every: int = 1
) -> Answer:
    """Replies with these status codes have (each n-th time) another one."""
    hit = answer.reply.status in codes and past.again("code") % every == 0
    return _with(answer, status=code) if hit else answer


@_bend("reply")
def answer_type(past: Past, scene: Scene, answer: Answer, *, value: str, codes: tuple[int, ...] = TAKEN) -> Answer:
    """Replies with these status codes say that they are of another content type."""
    return _with(answer, type=value) if answer.reply.status in codes else answer


@_bend("reply")
def answer_page(
    past: Past, scene: Scene, answer: Answer, *, codes: tuple[int, ...] = TAKEN, every: int = 1, code: int = 0
) -> Answer:
    """Replies with these status codes are (each n-th time) HTML pages, under another status code if one is given."""
    hit = answer.reply.status in codes and past.again("page") % every == 0
    page = b"<html><body><h1>Hello</h1></body></html>"
    return _with(answer, status=code or None, type="text/html", body=page) if hit else answer


@_bend("reply")
def answer_empty(
    past: Past, scene: Scene, answer: Answer, *, codes: tuple[int, ...] = REFUSED, every: int = 1
) -> Answer:
    """Replies with these status codes have (each n-th time) an empty JSON object for a body."""
    hit = answer.reply.status in codes and answer.reply.body and past.again("empty") % every == 0
    return _with(answer, body=b"{}") if hit else answer


@_bend("reply")
def answer_detail(past: Past, scene: Scene, answer: Answer, *, codes: tuple[int, ...] = REFUSED) -> Answer:
    """Errors are told under `detail`, as a framework does that nobody has set up."""
    told = b'{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}'
    is_json = answer.reply.body[:1] == b"{"
    return _with(answer, body=told) if answer.reply.status in codes and is_json else answer


@_bend("reply")
def repeat_key(past: Past, scene: Scene, answer: Answer, *, codes: tuple[int, ...] = REFUSED) -> Answer:
    """Replies with these status codes show the headers of the call, its key among them."""
    keys = presented(scene.host.provider, scene.call) if scene.call else ()
    if answer.reply.status not in codes or not keys or answer.reply.body[:1] != b"{":
        return answer
    auth = scene.host.provider.auth
    shown = {"request_headers": {auth.header.lower(): auth.prefix + min(keys)}}
    return _with(answer, body=encode({**decode(answer.reply.body)[0], **shown}))


@_bend("reply")
def without_headers(past: Past, scene: Scene, answer: Answer, *, names: tuple[str, ...]) -> Answer:
    """These headers are left out."""
    kept = tuple(pair for pair in answer.reply.headers if pair[0] not in names)
    return replace(answer, reply=replace(answer.reply, headers=kept))


@_bend("reply")
def break_off(past: Past, scene: Scene, answer: Answer, *, codes: tuple[int, ...] = TAKEN, every: int = 1) -> Answer:
    """Replies with these status codes break off (each n-th time) in the middle of their body."""
    hit = answer.reply.status in codes and past.again("whole") % every == 0
    return replace(answer, delivery=Delivery(cut_after=len(answer.reply.body) // 2)) if hit else answer


def _with(answer: Answer, *, status: int | None = None, type: str | None = None, body: bytes | None = None) -> Answer:
    reply = answer.reply
    headers = reply.headers
    if type is not None:
        headers = (("content-type", type), *(pair for pair in headers if pair[0] != "content-type"))
    body = reply.body if body is None else body
    return replace(answer, reply=replace(reply, status=status or reply.status, headers=headers, body=body))


# ------------------------------------------------------------------------------------------------ pictures


@_bend("seed")
def draw_by_chance(past: Past, job: Job, seed: int, *, every: int = 1) -> int:
    """Each n-th picture is drawn from a number of chance, whatever the seed."""
    return random.Random(f"{job.id}:{seed}").getrandbits(31) if job.number % every == 0 else seed


@_bend("seed")
def draw_alike(past: Past, job: Job, seed: int) -> int:
    """Every picture is drawn from the same number, whatever the seed."""
    return 1


@_bend("seed")
def draw_anew(past: Past, job: Job, seed: int) -> int:
    """A picture is another one each time that it is asked for."""
    return seed + past.again("drawn", job.id) - 1


@_bend("seed")
def draw_from_32_bits(past: Past, job: Job, seed: int) -> int:
    """Only the last 32 bits of the seed count."""
    return seed & 0xFFFFFFFF


@_bend("seed")
def draw_from_a_float(past: Past, job: Job, seed: int) -> int:
    """A seed counts as a number of single precision: large ones that are near each other are one."""
    return int(struct.unpack("f", struct.pack("f", seed))[0])


@_bend("seed")
def heed_idle(past: Past, job: Job, seed: int) -> int:
    """A parameter that has no effect beside the others has one."""
    known = job.endpoint.parameters
    given = [known[name] for name, value in job.values.items() if name in known and value != known[name].default]
    return seed if all(matters(one, job.full) for one in given) else seed + 1


@_bend("size")
def draw_scaled(past: Past, size: tuple[int, int], *, width: float = 1.0, height: float = 1.0) -> tuple[int, int]:
    """Pictures have so many times the width and the height that they should have."""
    return max(1, int(size[0] * width)), max(1, int(size[1] * height))


@_bend("format")
def draw_as(past: Past, form: str, *, format: str) -> str:
    """Pictures are of another file format."""
    return format


@_bend("picture")
def draw_flat(past: Past, job: Job, data: bytes) -> bytes:
    """Pictures are of one colour."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        out = io.BytesIO()
        Image.new("RGB", image.size, (0, 0, 0)).save(out, image.format)
    return out.getvalue()


@_bend("picture")
def draw_half(past: Past, job: Job, data: bytes) -> bytes:
    """Only half of a picture's bytes are there."""
    return data[: len(data) // 2]


@_bend("picture")
def draw_error(past: Past, job: Job, data: bytes) -> bytes:
    """The bytes of a picture are the text of an error."""
    return b'{"error": "upstream timeout"}'


@_bend("media")
def miss_media(past: Past, job: Job, answer: Answer, *, code: int = 404) -> Answer:
    """A picture's address is answered with an error."""
    return _with(answer, status=code, type="text/plain", body=b"No such file.")


@_bend("media")
def mislabel_media(past: Past, job: Job, answer: Answer, *, value: str) -> Answer:
    """A picture says that it is of another type."""
    return _with(answer, type=value)


@_bend("media")
def break_media_off(past: Past, job: Job, answer: Answer) -> Answer:
    """The transfer of a picture breaks off."""
    return replace(answer, delivery=Delivery(cut_after=len(answer.reply.body) // 2))
