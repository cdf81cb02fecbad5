"""Moods: lists of faults under a name, with where and how often each strikes; and for whom they count.

A mood is read from `mocks/moods/*.yaml`, or made here:

    from wireproof.mock.moods import Fault, Mood, load_moods, mood
    moods = load_moods()                          # every mood by its name: the user's room, then ours
    one = mood("lost-reply")                      # one of them; UsageError with a guess if unknown
    own = Mood("own", (Fault("reset", at=("submit",), calls=(1,)), Fault("slow", options={"run": 3.0})))
    mock = Mock(endpoints, seed=7, mood=one)      # the whole mock is in this mood
    mock = Mock(endpoints, moods=moods)           # faithful, until somebody steers:

    mock.moods.set(one)                           # from now on, for everybody; None: faithful again
    mock.moods.set(one, account="segmind:main")   # for one account only
    mock.key("segmind", "mood:lost-reply")        # a good key whose calls all meet that mood
    [mood:lost-reply]                             # anywhere in the prompt: this job, from submit to media
    x-wireproof-mood: lost-reply                  # a header: this call, and the job that it submits

The nearest of these counts: header, job, key, mock. A header or marker `faithful` asks for no mood.

Where a fault strikes: `at` (roles: submit run status result cancel upload account other media webhook,
empty: any), `phase` (`before` the call reaches the host, so that nothing was taken or billed, or
`after`), and how often: `calls` (which of the calls that it could strike, from 1), `every` (each n-th),
`chance` (0 to 1, from the seed), `since`, `until` and `period` (seconds from the first call in this mood;
with a period they repeat). Calls are counted `per` key (the default), job or mock.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from wireproof import rooms
from wireproof.errors import ContractError, Mistake, UsageError
from wireproof.mock.answer import Answer
from wireproof.mock.counts import Counts, OwnCounts
from wireproof.mock.faults import FAULTS, Named, Strike
from wireproof.spec import load, reading

if TYPE_CHECKING:
    from wireproof.mock.scene import Scene

ROLES = ("submit", "run", "status", "result", "cancel", "upload", "account", "other", "media", "webhook")
"""What a call is for. `webhook` is a call that the mock itself would make."""
FAITHFUL = "faithful"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault with where it strikes and how often. `name` is one of FAULTS."""

    name: str
    at: tuple[str, ...] = ()
    phase: str = "after"
    calls: tuple[int, ...] = ()
    every: int = 1
    chance: float = 1.0
    per: str = "key"
    since: float = 0.0
    until: float = math.inf
    period: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> Named:
        return FAULTS[self.name]

    def act(self, strike: Strike, *given: Any) -> Any:
        """Let it strike."""
        return self.named.act(strike, *given, **self.options)

    def counts(self, number: int) -> bool:
        """Whether it strikes the call of that number, from 1."""
        return number in self.calls if self.calls else number % self.every == 0

    def is_time(self, age: float) -> bool:
        """Whether it is about, so many seconds after its mood began."""
        return self.since <= (age % self.period if self.period else age) < self.until


@dataclass(frozen=True, slots=True)
class Mood:
    """A bad day: faults under a name."""

    name: str
    faults: tuple[Fault, ...] = ()
    says: str = ""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that strikes now, with what it needs."""

    mood: str
    fault: Fault
    strike: Strike

    def __call__(self, *given: Any) -> Any:
        return self.fault.act(self.strike, *given)

    def answer(self, answer: Answer) -> Answer:
        """What it makes of an answer."""
        bent: Answer = self(answer)
        return bent

    @property
    def rule(self) -> str:
        """How a journal names it."""
        return f"mood {self.mood}: {self.fault.name}"


class Moods:
    """Which mood counts for whom, and how often each of its faults had its chance."""

    def __init__(
        self,
        seed: int,
        general: Mood | None = None,
        known: Mapping[str, Mood] | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.seed = seed
        self.counts = counts or OwnCounts()
        self.general = general
        self.known: dict[str, Mood] = {**(known or {}), **({general.name: general} if general else {})}
        self.of_account: dict[str, Mood | None] = {}

    def set(self, mood: Mood | None, account: str | None = None) -> None:
        """From now on this mood, or none, for everybody or for one account; its counts begin anew."""
        if account is None:
            self.general = mood
        else:
            self.of_account[account] = mood
        if mood is not None:
            self.known[mood.name] = mood
            self.counts.forget(mood.name)

    def pick(self, *named: str | None, account: str) -> Mood | None:
        """The mood that counts: the first name that is known, else the account's, else the general one."""
        for name in named:
            if name == FAITHFUL:
                return None
            if name in self.known:
                return self.known[name]
        return self.of_account.get(account, self.general)

    def strikes(
        self, mood: Mood | None, role: str, *, account: str, job: str, scene: Scene | None, now: float, wall: float
    ) -> list[Struck]:
        """The faults of a mood that strike this call, in the mood's order."""
        return [] if mood is None else list(self._strikes(mood, role, account, job, scene, now, wall))

    def _strikes(
        self, mood: Mood, role: str, account: str, job: str, scene: Scene | None, now: float, wall: float
    ) -> Iterator[Struck]:
        age = now - self.counts.first(mood.name, now)
        for index, fault in enumerate(mood.faults):
            if (fault.at and role not in fault.at) or not fault.is_time(age):
                continue
            scope = {"key": account, "job": f"{account}/{job}", "mock": ""}[fault.per]
            number = self.counts.next(mood.name, index, scope)
            dice = _dice(f"{self.seed}:{mood.name}:{index}:{scope}:{number}")
            if fault.counts(number) and dice.random() < fault.chance:
                yield Struck(mood.name, fault, Strike(dice, scene, wall))


def _dice(seed: str) -> random.Random:
    return random.Random(int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big"))


# ----------------------------------------------------------------------------------------------- reading


def load_moods(start: Path | None = None) -> dict[str, Mood]:
    """Every mood by its name: the user's own room first, then the shipped one. Raises ContractError."""
    files: dict[str, Path] = {}
    for place in rooms.places("mocks", start):
        for file in sorted((place / "moods").glob("*.yaml")):
            files.setdefault(file.stem, file)
    return {name: read_mood(file) for name, file in files.items()}


def mood(name: str, start: Path | None = None) -> Mood:
    """The mood of that name, or in that file. Raises UsageError when there is none."""
    if name.endswith((".yaml", ".yml")):
        return read_mood(Path(name))
    known = load_moods(start)
    if name not in known:
        guess = reading.nearest(name, known)
        hint = f" Did you mean {guess}?" if guess else ""
        raise UsageError(f"there is no mood {name!r}.{hint} Known: {', '.join(sorted(known))}")
    return known[name]


def read_mood(file: Path) -> Mood:
    """The mood in a file. Raises ContractError with every mistake in it."""
    document = reading.read(file)
    found = list(_mistakes(document))
    if found:
        raise ContractError(sorted(set(found)))
    value = document.value
    return Mood(file.stem, tuple(map(_made, value["faults"])), value["says"])


def from_plain(name: str, value: Mapping[str, Any]) -> Mood:
    """A mood from plain JSON of the form of a mood file. Raises UsageError."""
    document = reading.Document(name, {"kind": "mood", "says": "", **value}, {})
    found = list(_mistakes(document))
    if found:
        raise ContractError(sorted(set(found)))
    return Mood(name, tuple(map(_made, document.value["faults"])), document.value["says"])


def _made(node: Mapping[str, Any]) -> Fault:
    where = {key: _frozen(value) for key, value in node.items() if key not in ("fault", "with")}
    options = {key: _frozen(value) for key, value in node.get("with", {}).items()}
    return Fault(str(node["fault"]), options=options, **where)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _mistakes(document: reading.Document) -> Iterator[Mistake]:
    for error in jsonschema_rs.validator_for(load.schema("mood")).iter_errors(document.value):
        pointer = "".join(f"/{part}" for part in error.instance_path)
        yield Mistake(document.file, _line(document, pointer), pointer, str(error.message)[:300])
    faults = document.value.get("faults", ()) if isinstance(document.value, dict) else ()
    for index, node in enumerate(faults if isinstance(faults, list) else ()):
        if (
            isinstance(node, dict)
            and node.get("phase") == "before"
            and (named := FAULTS.get(str(node.get("fault"))))
            and not named.replaces
        ):
            pointer = f"/faults/{index}/phase"
            yield Mistake(
                document.file,
                _line(document, pointer),
                pointer,
                f"{named.name} bends a true answer: it can only strike after",
            )


def _line(document: reading.Document, pointer: str) -> int:
    while pointer and pointer not in document.lines:
        pointer = pointer.rpartition("/")[0]
    return document.lines.get(pointer, 1)


def schema() -> dict[str, Any]:
    """The JSON Schema of a mood file, made from the table of faults; published as `specs/schema/mood.schema.json`."""
    seconds = {"type": "number", "minimum": 0}
    options = [
        {
            "if": {"properties": {"fault": {"const": name}}},
            "then": {
                "properties": {
                    "with": {"type": "object", "additionalProperties": False, "properties": _plain(fault.options)}
                }
            },
        }
        for name, fault in FAULTS.items()
    ]
    fault = {
        "type": "object",
        "additionalProperties": False,
        "required": ["fault"],
        "properties": {
            "fault": {"enum": list(FAULTS), "description": "\n".join(f"{n}: {f.says}" for n, f in FAULTS.items())},
            "at": {
                "type": "array",
                "items": {"enum": list(ROLES)},
                "description": "What the calls that it strikes are for; left out: any.",
            },
            "phase": {
                "enum": ["before", "after"],
                "description": "before: the host never sees the call, and nothing is billed.",
            },
            "calls": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1},
                "minItems": 1,
                "description": "Which of the calls that it could strike, from 1.",
            },
            "every": {"type": "integer", "minimum": 1, "description": "Each n-th of them."},
            "chance": {"type": "number", "minimum": 0, "maximum": 1},
            "per": {"enum": ["key", "job", "mock"], "description": "For whom calls are counted."},
            "since": {**seconds, "description": "Seconds from the first call in this mood."},
            "until": seconds,
            "period": {
                "type": "number",
                "exclusiveMinimum": 0,
                "description": "since and until repeat in this rhythm.",
            },
            "with": {"type": "object", "description": "What the fault is told."},
        },
        "allOf": options,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wireproof: a mood of the mock",
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", "says", "faults"],
        "properties": {
            "kind": {"const": "mood"},
            "says": {"type": "string", "description": "What kind of bad day this is, in one sentence."},
            "faults": {"type": "array", "minItems": 1, "maxItems": 100, "items": fault},
        },
    }


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(options))  # type: ignore[no-any-return]
