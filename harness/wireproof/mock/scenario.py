"""Scenarios: what a client goes through in one run, as data that names no provider, made up for a contract.

    from wireproof.mock.scenario import load_scenarios, stage
    scenarios = load_scenarios()                       # the user's room first, then the shipped one
    staged = stage(scenarios["lost-reply"], endpoint, elsewhere="http://127.0.0.1:9")
    mock = Mock([endpoint], seed=7, mood=staged.mood, manners=staged.manners)

A scenario that cannot happen at a host raises `NotHere`, which says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wireproof import rooms
from wireproof.errors import ContractError, Mistake, UsageError
from wireproof.lifecycle import Status
from wireproof.mock.faults import FAULTS, Bends
from wireproof.mock.manners import Manners
from wireproof.mock.moods import Mood, from_plain
from wireproof.model import Alternative, Does, Endpoint, Kind, Means, Operation
from wireproof.spec import load, reading
from wireproof.spec.values import outputs_of

CALM = "calm"
"""The scenario that all others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One bad day for a client."""

    name: str
    says: str
    """What happens, in one sentence."""
    careful: str
    """What a careful client does."""
    why: str
    """What it costs to do otherwise."""
    ends: str
    """How a careful client ends: `success`, `failure`, or `either`."""
    answers: tuple[str, ...] = ()
    """Rows of the catalogue of client defects."""
    needs: tuple[str, ...] = ()
    """What a contract must have for it to happen; see `NEEDS`."""
    again: str = "may"
    """`never`: after the end the same must not be submitted once more."""
    other_form: bool = False
    pace: float = 1.0
    """How many times faster than the rest of the run its clock goes."""
    faults: tuple[Mapping[str, Any], ...] = ()
    """As in a mood, with `{elsewhere}` and `{word.STATUS}` still to be filled in."""

    @property
    def roles(self) -> frozenset[str]:
        """What the calls are for that it can strike; empty: any, or none."""
        return frozenset(role for fault in self.faults for role in fault.get("at", ()))

    def strikes_by_rule(self) -> bool:
        """Whether each of its strikes shows in the answer to a call."""
        return bool(self.faults) and all(FAULTS[str(f["fault"])].bends is Bends.ANSWERS for f in self.faults)


@dataclass(frozen=True, slots=True)
class Staged:
    """A scenario made up for one contract."""

    scenario: Scenario
    mood: Mood | None
    manners: Manners | None


class NotHere(Exception):
    """A scenario cannot happen at a host; the text says why."""


# ------------------------------------------------------------------------------------------- reading


def load_scenarios(start: Path | None = None) -> dict[str, Scenario]:
    """Every scenario by its name, the calm one first. Raises ContractError."""
    files: dict[str, Path] = {}
    for place in rooms.places("mocks", start):
        for file in sorted((place / "scenarios").glob("*.yaml")):
            files.setdefault(file.stem, file)
    names = sorted(files, key=lambda name: (name != CALM, name))
    return {name: read_scenario(files[name]) for name in names}


def choose(wanted: str, start: Path | None = None) -> tuple[Scenario, ...]:
    """The scenarios that `all`, or names with commas between them, mean. Raises UsageError with a guess."""
    known = load_scenarios(start)
    names = list(known) if wanted.strip() == "all" else [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in known:
            guess = reading.nearest(name, known)
            hint = f" Did you mean {guess}?" if guess else ""
            raise UsageError(f"there is no scenario {name!r}.{hint} Known: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def read_scenario(file: Path) -> Scenario:
    """The scenario in a file. Raises ContractError with every mistake in it."""
    document = reading.read(file)
    found = [
        Mistake(
            document.file, _line(document, error.instance_path), _pointer(error.instance_path), str(error.message)[:300]
        )
        for error in _validator().iter_errors(document.value)
    ]
    if found:
        raise ContractError(sorted(set(found)))
    value = {key: _frozen(item) for key, item in document.value.items() if key != "kind"}
    scenario = Scenario(name=file.stem, **value)
    from_plain(file.stem, {"faults": _filled(scenario.faults, _Anything())}) if scenario.faults else None
    return scenario


def _validator() -> Any:
    import jsonschema_rs

    return jsonschema_rs.validator_for(load.schema("scenario"))


def _pointer(path: Iterable[Any]) -> str:
    return "".join(f"/{part}" for part in path)


def _line(document: reading.Document, path: Sequence[Any]) -> int:
    parts = list(path)
    while parts and _pointer(parts) not in document.lines:
        parts.pop()
    return document.lines.get(_pointer(parts), 1)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# ---------------------------------------------------------------------------------------- making it up


def stage(scenario: Scenario, endpoint: Endpoint, elsewhere: str = "https://elsewhere.invalid") -> Staged:
    """The scenario as it happens at this host; `elsewhere` is another origin. Raises NotHere."""
    for need in scenario.needs:
        why_not = NEEDS[need](endpoint)
        if why_not:
            raise NotHere(why_not)
    words = {"elsewhere": elsewhere, **_words(endpoint)}
    mood = from_plain(scenario.name, {"faults": _filled(scenario.faults, words)}) if scenario.faults else None
    return Staged(scenario, mood, OtherForm() if scenario.other_form else None)


class OtherForm(Manners):
    """Tells failures in the second form that the contract knows."""

    def alternative(
        self, operation: Operation, chosen: Alternative | None, known: Sequence[Alternative]
    ) -> Alternative | None:
        if chosen is None or chosen.means is not Means.FAILED:
            return chosen
        return next((one for one in other_forms(operation) if one is not chosen), chosen)


def other_forms(operation: Operation) -> list[Alternative]:
    """The alternatives of an operation that tell of a failed job and of nothing else."""
    failed = [one for one in operation.alternatives if one.means is Means.FAILED]
    words = {word for one in failed for word in one.states}
    return [one for one in operation.alternatives if one.states and set(one.states) <= words]


class _Anything(dict[str, str]):
    """Stands for every word, so that a file can be checked before there is a contract."""

    def __missing__(self, name: str) -> str:
        return "https://elsewhere.invalid"


def _words(endpoint: Endpoint) -> dict[str, str]:
    states = endpoint.provider.states.values()
    return {f"word.{status}": state.word for status in Status for state in states if state.status is status}


def _filled(faults: Iterable[Mapping[str, Any]], words: Mapping[str, str]) -> list[Any]:
    """The faults as plain JSON with every `{name}` in their texts filled in."""

    def fill(value: Any) -> Any:
        match value:
            case str() if value.startswith("{") and "}" in value:
                name, _, rest = value[1:].partition("}")
                return words[name] + rest
            case dict():
                return {key: fill(item) for key, item in value.items()}
            case list() | tuple():
                return [fill(item) for item in value]
        return value

    return list(json.loads(json.dumps(fill(list(faults)))))


# ------------------------------------------------------------------------------------ what it needs


def _operation(does: Does) -> Callable[[Endpoint], str]:
    return lambda endpoint: "" if endpoint.doing(does) else f"this host has no operation of the kind {does.value}"


def _links(endpoint: Endpoint) -> str:
    return "" if any(op.link for op in endpoint.operations.values()) else "this host hands out no links"


def _host_ids(endpoint: Endpoint) -> str:
    submit = endpoint.doing(Does.SUBMIT)
    own = submit is None or any(field.canonical == "job.id" for field in submit.request.fields)
    return "the caller makes the ids here" if own else ""


def _reset_header(endpoint: Endpoint) -> str:
    limited = [p for p in endpoint.provider.problems.values() if p.kind is Kind.RATE_LIMITED]
    return (
        "" if any(h.value.startswith("retry.") for p in limited for h in p.headers) else "this host has no such header"
    )


def _failed(endpoint: Endpoint) -> list[Alternative]:
    operations = [op for op in endpoint.operations.values() if op.does in (Does.STATUS, Does.RESULT)]
    return [one for op in operations for one in op.alternatives if one.means is Means.FAILED]


def _failure_number(endpoint: Endpoint) -> str:
    return (
        "" if any(one.statuses[0] != 200 for one in _failed(endpoint)) else "this host tells failures under 200 anyway"
    )


def _error_text(endpoint: Endpoint) -> str:
    shapes = [one.shape.schema.get("properties", {}) for one in _failed(endpoint) if one.shape]
    plain = [
        node
        for shape in shapes
        for node in shape.values()
        if node.get("is") == "job.error" and node.get("type") == "string"
    ]
    return "" if plain else "this host gives the reason in an object of its own"


def _other_form(endpoint: Endpoint) -> str:
    status = endpoint.doing(Does.STATUS)
    return "" if status and len(other_forms(status)) > 1 else "this host is known for one form only"


def _structured(endpoint: Endpoint) -> str:
    ways = [op for op in endpoint.operations.values() if op.does in (Does.STATUS, Does.RESULT)]
    return "" if ways else "this host hands out the picture itself"


def _several(endpoint: Endpoint) -> str:
    return (
        ""
        if isinstance(endpoint.outputs.count, str) or outputs_of(endpoint, {}) > 1
        else "a job makes one picture here"
    )


def _moderation(endpoint: Endpoint) -> str:
    provider = endpoint.provider
    words = {state.status for state in provider.states.values()} | set(provider.surfaces)
    return "" if Status.MODERATED in words else "nothing says how this host tells of a blocked job"


def _channel(name: str) -> Callable[[Endpoint], str]:
    return lambda endpoint: "" if name in endpoint.provider.channels else f"this host has no {name}"


NEEDS: Mapping[str, Callable[[Endpoint], str]] = {
    "status": _operation(Does.STATUS),
    "result": _operation(Does.RESULT),
    "links": _links,
    "host-ids": _host_ids,
    "reset-header": _reset_header,
    "failure-number": _failure_number,
    "error-text": _error_text,
    "other-form": _other_form,
    "structured": _structured,
    "several": _several,
    "moderation": _moderation,
    "webhook": _channel("webhook"),
    "websocket": _channel("websocket"),
}
"""Each need, and why a contract lacks it; empty: it does not."""
