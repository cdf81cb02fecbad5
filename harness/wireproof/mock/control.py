"""The control API of a mock: an engine of its own, for a port of its own, behind a token.

It can set moods, move time, reset and read; it cannot name a path, run anything or leave this machine. A
web page cannot reach it: the Host has to be a loopback name, an Origin is refused, and JSON is required.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema_rs

from wireproof.errors import WireproofError
from wireproof.mock.answer import Answer
from wireproof.mock.courier import Courier
from wireproof.mock.engine import MOOD_KEY, Mock
from wireproof.mock.faults import FAULTS
from wireproof.mock.journal import Cut, Journal, as_har, as_lines, joined
from wireproof.mock.moods import Mood, from_plain
from wireproof.mock.movable import MovableClock
from wireproof.mock.store import Gone
from wireproof.model import Call, Reply
from wireproof.runlog import encode
from wireproof.wire import requests

TOKEN = "x-wireproof-token"  # noqa: S105 - the name of a header
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_SECONDS = 366 * 24 * 3600.0
"""The clock is moved by so much at most, in one go."""
T = TypeVar("T")
_FAR = 1e8
"""What is further away never happens."""


class Refused(Exception):
    """A control call that is not carried out: a status code and why."""

    def __init__(self, status: int, says: str) -> None:
        self.status = status
        super().__init__(status, says)

    def __str__(self) -> str:
        return str(self.args[1])


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked of the control API."""

    method: str
    path: str
    act: Callable[[Control, Asked], Any]
    says: str
    body: Mapping[str, Any] | None = None
    """JSON Schema of the body, where there is one."""
    media: str = "application/json"
    before: Callable[[Control, Asked], float] | None = None
    """What has to be known first: of several mocks, the highest."""
    merge: Callable[[Sequence[Any]], Any] = lambda told: told[0]
    """One out of what several mocks told, the first of them first. Plainly, they all tell the same."""
    render: Callable[[Any, Asked], str] | None = None
    """The text of what was told, where it is not JSON."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One control call that was let in."""

    value: Any
    name: str = ""
    """What stands in the place of `{name}`."""
    query: Mapping[str, str] = field(default_factory=dict)
    now: float = 0.0
    """When that was. Clock seconds."""
    mark: int = 0
    """The same, as the machine counts it: nanoseconds."""
    ticket: str = ""
    """The name of this one call."""
    highest: float = 0.0
    """What was found out before, where the route wants it."""

    def at(self, highest: float) -> Asked:
        """The same, with what was found out before."""
        return replace(self, highest=highest)


class Gate(ABC):
    """Who may ask the control API for what: the same over one mock and over several."""

    def __init__(self, clock: MovableClock, token: str) -> None:
        self.clock = clock
        self.token = token
        self.port: int | None = None
        """The port that it is served on: a Host with another one is a page that was rebound. None: any."""

    @abstractmethod
    def carry_out(self, route: Route, asked: Asked) -> Any:
        """Do what was asked, and tell. Raises Refused and WireproofError."""

    def answer(self, call: Call, now: float, wall: float) -> Answer:
        """The answer to a control call. Never raises."""
        try:
            self._let_in(call)
            route, asked = self._route(call)
            told = self.carry_out(route, asked)
        except ValueError:
            return _json({"error": "this is not an address"}, 400)
        except Refused as refused:
            return _json({"error": str(refused)}, refused.status)
        except WireproofError as error:
            return _json({"error": str(error)}, 400)
        if route.render is not None:
            return Answer(Reply(200, (("content-type", route.media),), route.render(told, asked).encode()))
        return _json(told, 200)

    def _let_in(self, call: Call) -> None:
        place = urlsplit(call.url)
        elsewhere = place.hostname not in LOOPBACK or (self.port is not None and place.port != self.port)
        if elsewhere or call.header("origin") is not None:
            raise Refused(403, "the control API answers this machine only, and no web page")
        if not hmac.compare_digest((call.header(TOKEN) or "").encode(), self.token.encode()):
            raise Refused(401, f"give the token of the ready line in the header {TOKEN}")

    def _route(self, call: Call) -> tuple[Route, Asked]:
        parts = urlsplit(call.url)
        found = [(route, name) for route in ROUTES if (name := _match(route.path, parts.path)) is not None]
        if not found:
            raise Refused(404, "there is no such address; GET /openapi.json lists them")
        route, name = next((one for one in found if one[0].method == call.method), (None, ""))
        if route is None:
            raise Refused(405, f"this address takes {', '.join(one[0].method for one in found)}")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        stamps = self.clock.now(), time.monotonic_ns(), secrets.token_hex(8)
        return route, Asked(_value(route, call), name, query, *stamps)


class Control(Gate):
    """The control API over one mock, its clock, its journal and its courier. Of several mocks that share their
    keys, each is asked; `owns` says whether an account is this one's, `tells_jobs` whether its jobs are."""

    def __init__(
        self,
        mock: Mock,
        clock: MovableClock,
        journal: Journal,
        courier: Courier,
        token: str,
        owns: Callable[[str], bool] = lambda account: True,
        tells_jobs: bool = True,
    ) -> None:
        super().__init__(clock, token)
        self.tells_jobs = tells_jobs
        self.mock = mock
        self.journal = journal
        self.courier = courier
        self.owns = owns

    def carry_out(self, route: Route, asked: Asked) -> Any:
        if route.before is not None:
            asked = asked.at(self.find_out(route, asked))
        return self.do(route, asked)

    def find_out(self, route: Route, asked: Asked) -> float:
        """What the route has to know first."""
        before = route.before
        return 0.0 if before is None else self._at_once(lambda: before(self, asked))

    def do(self, route: Route, asked: Asked) -> Any:
        """What was asked for, as one step."""
        return self._at_once(lambda: route.act(self, asked))

    def _at_once(self, act: Callable[[], T]) -> T:
        try:
            return self.mock.at_once(act)
        except Gone:
            raise Refused(503, "the store does not answer") from None

    def _is_mine(self, what: str) -> None:
        """Raises Refused where it belongs to a store, and so to others, too."""
        if self.mock.shared:
            raise Refused(409, f"{what} belongs to the store, and so to everybody who serves from there")

    # ------------------------------------------------------------------------------ what it does

    def reset(self, asked: Asked) -> Any:
        seed = asked.value.get("seed", self.mock.seed)
        if seed != self.mock.seed:
            self._is_mine("the seed")
            self.mock.seed = seed
        self.mock.reset()
        self.courier.clear()
        self.journal.clear(asked.now)
        return self.health(asked)

    def health(self, asked: Asked) -> Any:
        return {
            "status": "ok",
            "now": self.clock.now(),
            "endpoints": [endpoint.name for host in self.mock.hosts for endpoint in host.endpoints],
            "jobs": len(self.mock.memory) if self.tells_jobs else 0,
            "forgotten": self.mock.memory.forgotten if self.tells_jobs else 0,
            "seed": self.mock.seed,
            "mood": self.mock.moods.general.name if self.mock.moods.general else None,
        }

    def time(self, asked: Asked) -> Any:
        return {"now": self.clock.now(), "wall": self.clock.wall()}

    def advance(self, asked: Asked) -> Any:
        self._is_mine("the clock")
        self.clock.advance(float(asked.value["seconds"]))
        self._settle()
        return self.time(asked)

    def _settle(self) -> None:
        for account in self.mock.accounts.values():
            account.settle(self.clock.now())
        self.courier.wake()

    def last(self, asked: Asked) -> float:
        """When the last job ends, or the last call is due. Clock seconds."""
        self._is_mine("the clock")
        return max(self.mock.memory.last_end(asked.now + _FAR), self.courier.last_due() or 0.0)

    def idle(self, asked: Asked) -> Any:
        """Move on to the end of the last job and to the last call that is due."""
        self.clock.advance(max(0.0, asked.highest - asked.now))
        self._settle()
        return self.time(asked)

    def moods(self, asked: Asked) -> Any:
        return {name: {"says": mood.says, "faults": [f.name for f in mood.faults]} for name, mood in self._known()}

    def _known(self) -> list[tuple[str, Mood]]:
        return sorted(self.mock.moods.known.items())

    def faults(self, asked: Asked) -> Any:
        return {name: {"says": fault.says, "with": fault.options} for name, fault in FAULTS.items()}

    def mood(self, asked: Asked) -> Any:
        general = self.mock.moods.general
        return {"mood": general.name if general else None}

    def set_mood(self, asked: Asked) -> Any:
        given = asked.value
        own = from_plain(given.get("name", "own"), {"faults": given["faults"]}) if "faults" in given else None
        mood = own or self.mock.moods.known.get(given.get("name", ""))
        if mood is None:
            raise Refused(404, f"there is no mood {given.get('name')!r}; GET /moods lists them")
        self.mock.moods.set(mood, given.get("account"))
        return {"mood": mood.name, "account": given.get("account")}

    def no_mood(self, asked: Asked) -> Any:
        self.mock.moods.set(None, asked.query.get("account"))
        return {"mood": None, "account": asked.query.get("account")}

    def stage(self, asked: Asked) -> Any:
        problem, operation = asked.value["problem"], asked.value["operation"]
        hosts = [host.provider for host in self.mock.hosts]
        if not any(problem in host.problems and operation in host.operations for host in hosts):
            raise Refused(404, f"no host here has the problem {problem!r} and the operation {operation!r}")
        self.mock.stage(problem, operation, asked.ticket)
        return asked.value

    def cut(self, asked: Asked) -> Cut:
        return self.journal.cut(asked.mark)

    def forget(self, asked: Asked) -> Any:
        self.journal.clear(asked.now)
        return {"lines": 0}

    def accounts(self, asked: Asked) -> Any:
        return {name: self._account(name) for name in self._owned()}

    def _owned(self) -> list[str]:
        return [name for name in sorted(self.mock.accounts) if self.owns(name)]

    def _account(self, name: str) -> Any:
        account = self.mock.account(name)
        account.settle(self.clock.now())
        amounts = ("deposited", "balance", "spent", "reserved", "refunded")
        told = {amount: str(getattr(account, amount)) for amount in amounts}
        book = [encode(entry._asdict()) for entry in account.book]
        return {**told, "jobs": account.jobs, "forbidden": account.forbidden, "book": book[-100:]}

    def set_account(self, asked: Asked) -> Any:
        if asked.name not in self.mock.keys.values():
            raise Refused(404, f"no key belongs to an account {asked.name!r}")
        amount = _amount(asked.value.get("deposit", 0))
        if not self.owns(asked.name):
            return None
        account = self.mock.account(asked.name)
        account.forbidden = asked.value.get("forbidden", account.forbidden)
        if amount:
            account.deposit(amount, self.clock.now())
        return self._account(asked.name)

    def new_key(self, asked: Asked) -> Any:
        provider = asked.value["provider"]
        if provider not in {host.provider.name for host in self.mock.hosts}:
            raise Refused(404, f"no provider {provider!r} is served here")
        role = MOOD_KEY + asked.value["mood"] if "mood" in asked.value else asked.value.get("role", "main")
        return {"key": self.mock.key(provider, role), "account": f"{provider}:{role}"}

    def sends(self, asked: Asked) -> Any:
        return [
            {
                "what": record.send.what,
                "job": record.send.job,
                "due": record.send.at,
                "fate": record.fate,
                "attempts": [{"at": at, "status": status} for at, status in record.attempts],
                "call": encode(record.send.call),
            }
            for record in self.courier.records
        ]

    def numbers(self, asked: Asked) -> Counter[tuple[str, str]]:
        """Every metric by its name and labels."""
        told: Counter[tuple[str, str]] = Counter()
        for (operation, status), number in (self.journal.counts + self.mock.quick.counts).items():
            told["wireproof_calls_total", f'{{operation="{operation}",status="{status}"}}'] = number
        told["wireproof_jobs", ""] = len(self.mock.memory) if self.tells_jobs else 0
        for name in self._owned():
            # An amount is a Decimal: sums of it are exact.
            told["wireproof_spent", f'{{account="{name}"}}'] = self.mock.accounts[name].spent  # type: ignore[assignment]
        return told

    def openapi(self, asked: Asked) -> Any:
        return openapi()


def _summed(told: Sequence[Mapping[str, Any]]) -> Any:
    """The health of several mocks."""
    return {**told[0], **{name: sum(one[name] for one in told) for name in ("jobs", "forgotten")}}


def _together(told: Sequence[Mapping[str, Any]]) -> Any:
    return dict(sorted(pair for one in told for pair in one.items()))


def _lined_up(told: Sequence[Sequence[Mapping[str, Any]]]) -> Any:
    return sorted((one for some in told for one in some), key=lambda one: one["due"])


def _added(told: Sequence[Counter[tuple[str, str]]]) -> Any:
    sums: Counter[tuple[str, str]] = Counter()
    for one in told:
        sums.update(one)
    return sums


def _one(told: Sequence[Any]) -> Any:
    """What the one told whom it concerns."""
    return next(one for one in told if one is not None)


def _lines(cut: Cut, asked: Asked) -> str:
    since = asked.query.get("since", "0")
    return as_lines(cut.since(int(since) if since.isascii() and since.isdigit() else 0))


def _har(cut: Cut, asked: Asked) -> str:
    return as_har(cut.since(), cut.wall)


_METRICS = {
    "wireproof_calls_total": ("counter", "Calls by operation and status; 0: no reply."),
    "wireproof_jobs": ("gauge", "Jobs that are remembered."),
    "wireproof_spent": ("gauge", "What was spent, by account."),
}


def _metrics(told: Mapping[tuple[str, str], Any], asked: Asked) -> str:
    """As Prometheus reads it."""
    lines: list[str] = []
    for name, (kind, says) in _METRICS.items():
        lines += [f"# HELP {name} {says}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {number}" for (own, labels), number in sorted(told.items()) if own == name]
    return "\n".join(lines) + "\n"


_SECONDS = {"type": "number", "minimum": 0, "maximum": MOST_SECONDS}
_NAME = {"type": "string", "maxLength": 200}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


ROUTES = (
    Route("GET", "/health", Control.health, "Whether it lives, and what it serves.", merge=_summed),
    Route(
        "POST",
        "/reset",
        Control.reset,
        "Forget every job, account, count and line.",
        _object(seed={"type": "integer"}),
        merge=_summed,
    ),
    Route("GET", "/clock", Control.time, "The mock's time: seconds since its start, and seconds since 1970."),
    Route("POST", "/clock/advance", Control.advance, "Move time on.", _object(("seconds",), seconds=_SECONDS)),
    Route(
        "POST",
        "/clock/idle",
        Control.idle,
        "Move on until no job runs and no call is due.",
        _object(),
        before=Control.last,
    ),
    Route("GET", "/moods", Control.moods, "The moods that can be asked for."),
    Route("GET", "/faults", Control.faults, "The faults that moods are made of."),
    Route("GET", "/mood", Control.mood, "The mood that everybody meets."),
    Route(
        "PUT",
        "/mood",
        Control.set_mood,
        "Set a mood by its name, or one made of faults; for everybody, or for one account.",
        _object(name=_NAME, account=_NAME, faults={"type": "array"}),
    ),
    Route("DELETE", "/mood", Control.no_mood, "Be faithful again; with ?account= for one account only."),
    Route(
        "POST",
        "/stage",
        Control.stage,
        "Let the next call of an operation meet one of the host's problems.",
        _object(("problem", "operation"), problem=_NAME, operation=_NAME),
    ),
    Route(
        "GET",
        "/journal",
        Control.cut,
        "The last exchanges; ?since=N after a number.",
        media="application/x-ndjson",
        merge=joined,
        render=_lines,
    ),
    Route("GET", "/journal.har", Control.cut, "The same as HAR 1.2.", merge=joined, render=_har),
    Route("DELETE", "/journal", Control.forget, "Empty the journal."),
    Route("GET", "/accounts", Control.accounts, "Every account's money and book.", merge=_together),
    Route(
        "PUT",
        "/accounts/{name}",
        Control.set_account,
        "Put money in (or take it out), or forbid everything.",
        _object(deposit={"type": ["string", "number"]}, forbidden={"type": "boolean"}),
        merge=_one,
    ),
    Route(
        "POST",
        "/keys",
        Control.new_key,
        "A key for an account of its own, or for one that meets a mood.",
        _object(("provider",), provider=_NAME, role=_NAME, mood=_NAME),
    ),
    Route("GET", "/sends", Control.sends, "What the mock called by itself, or would have called.", merge=_lined_up),
    Route(
        "GET",
        "/metrics",
        Control.numbers,
        "Counts for Prometheus.",
        media="text/plain; version=0.0.4",
        merge=_added,
        render=_metrics,
    ),
    Route("GET", "/openapi.json", Control.openapi, "This API."),
)


def _match(template: str, path: str) -> str | None:
    """What stands for `{name}` where the path fits ('' where there is none); None where it does not."""
    if "{name}" not in template:
        return "" if path == template else None
    head = template.removesuffix("{name}")
    rest = path.removeprefix(head)
    return unquote(rest) if path.startswith(head) and rest and "/" not in rest else None


def _value(route: Route, call: Call) -> Any:
    """The body, checked; an empty one where the route wants none."""
    if route.body is None:
        return {}
    if (call.header("content-type") or "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "the body has to be application/json")
    value, trouble = requests.decode(call.body or b"{}")
    if trouble:
        raise Refused(400, trouble)
    wrong = next(iter(jsonschema_rs.validator_for(dict(route.body)).iter_errors(value)), None)
    if wrong is not None:
        raise Refused(400, str(wrong.message)[:300])
    return value


def _amount(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise Refused(400, "an amount is a decimal number") from None
    if not amount.is_finite() or abs(amount) > 10**12:
        raise Refused(400, "an amount is finite and not absurd")
    return amount


def _json(value: Any, status: int) -> Answer:
    return Answer(Reply(status, (("content-type", "application/json"),), json.dumps(value).encode()))


def openapi() -> dict[str, Any]:
    """The OpenAPI document of the control API, made from its table of routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        operation: dict[str, Any] = {
            "summary": route.says,
            "responses": {"200": {"description": "Done.", "content": {route.media: {}}}},
        }
        if "{name}" in route.path:
            operation["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
        if route.body is not None:
            operation["requestBody"] = {"content": {"application/json": {"schema": dict(route.body)}}}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "wireproof mock control", "version": "1"},
        "components": {"securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": TOKEN}}},
        "security": [{"token": []}],
        "paths": paths,
    }
