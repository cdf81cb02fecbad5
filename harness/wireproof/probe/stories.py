"""The stories a host is put through. Each is a generator of calls; none of them judges."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wireproof.clock import Clock
from wireproof.model import (
    ALMOST,
    GET_FOR_POST,
    ONCE_OVER,
    TWICE,
    TWICE_BLOCKING,
    Call,
    Credential,
    Does,
    Endpoint,
    Exchange,
    Operation,
    Output,
)
from wireproof.probe.driver import Story, Want
from wireproof.spec.values import spell
from wireproof.wire import requests
from wireproof.wire.dialogue import Ask, Dialogue, Known, Stop
from wireproof.wire.links import leads_to, parts

EARLY = "result asked for early"
"""Purpose of asking for a result before it can be there: hosts differ in what they answer."""

HURRIED = "a job that is over at once"
"""Purpose of a job for which the embedded mock was told to hurry."""

LATE = 3.0
"""Seconds: long enough for what a host forgets too soon, and short enough to wait for in every run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the stories play: one endpoint at one address with one key."""

    endpoint: Endpoint
    base: str
    dialogue: Dialogue
    clock: Clock
    key: str | None
    other_key: str | None = None
    """A key of another account, where there is one."""
    seed: int = 0
    patience: float = 120.0
    """Seconds that a blocking run may take."""
    sparing: bool = False
    """Whether calls are counted, and those that seldom show more than others are left out."""
    late: float = LATE
    """Seconds after its end at which a job is asked for once more."""
    may_fetch: Callable[[str], bool] = lambda url: True
    """Whether an address that the host hands out may be fetched (without a key)."""

    def new_id(self, label: str) -> str:
        """A fresh id in the host's own form, for calls that bring their own and for asking after nobody's job."""
        return spell(self.endpoint.provider.id_pattern or "[0-9a-f]{32}", random.Random(f"{self.seed}:id:{label}"))


def whole_job(
    stage: Stage,
    label: str,
    values: Mapping[str, Any],
    purpose: str,
    *,
    operation: Operation | None = None,
    polls_after: int = 1,
    ask_early: bool = False,
) -> Story:
    """A job from submit to its pictures, asked after `polls_after` times more when it is over.

    `ask_early`: ask for the result at once, before it can be there.
    """
    endpoint, clock = stage.endpoint, stage.clock
    start = operation or endpoint.doing(Does.SUBMIT) or endpoint.doing(Does.RUN)
    if start is None:
        return
    known, ask = stage.dialogue.begin(label, values, start, stage.new_id(label), clock.now())
    said = purpose
    while True:
        paid = ask.operation.does.bills
        blocks = paid and start.does is Does.RUN
        exchange = yield _want(ask, label, said, paid, timeout=stage.patience if blocks else None)
        known, _ = _heard(stage, known, ask, exchange)
        result = endpoint.doing(Does.RESULT)
        if ask_early and paid and known.accepted and result is not None:
            yield ask_after(stage, result, known.id, label, EARLY, known.links)
        step = stage.dialogue.next(known, clock.now())
        if isinstance(step, Stop):
            break
        ask, said = step, ""
    yield from _fetch(stage, known, label)
    if start.does is not Does.RUN and known.accepted:
        yield from _once_more(stage, known, label, polls_after)
        if ask_early:
            yield from _by_a_stranger(stage, known, label)


def _want(ask: Ask, label: str, purpose: str, paid: bool = False, timeout: float | None = None) -> Want:
    return Want(
        call=ask.call, at=ask.at, operation=ask.operation.name, job=label, purpose=purpose, paid=paid, timeout=timeout
    )


def _heard(stage: Stage, known: Known, ask: Ask, exchange: Exchange | None) -> tuple[Known, Any]:
    reply = exchange.reply if exchange else None
    return stage.dialogue.hear(known, ask, reply, stage.clock.now())


def _once_more(stage: Stage, known: Known, label: str, times: int) -> Story:
    """Status and result of a job that is over, asked for again."""
    for _ in range(times):
        for does in (Does.STATUS, Does.RESULT):
            operation = stage.endpoint.doing(does)
            if operation is not None:
                yield ask_after(stage, operation, known.id, label, "asked again after the end", known.links)


def _by_a_stranger(stage: Stage, known: Known, label: str) -> Story:
    """Status and result of a job that exists, asked for without any key and with almost a key; its result also with
    what is no key at all."""
    for does in (Does.STATUS, Does.RESULT):
        operation = stage.endpoint.doing(does)
        if operation is None or not operation.auth:
            continue
        wrong: list[tuple[Credential, str | None, str]] = [(Credential.NONE, None, "asked without a key")]
        if does is Does.STATUS or not stage.sparing:
            wrong += [(one, key, f"asked with {ALMOST[one]}") for one, key in near_keys(stage.key).items()]
        if does is Does.RESULT and not stage.sparing:
            wrong = [*wrong[:2], (Credential.MALFORMED, NO_KEY, "asked with what is no key")]
        for credential, key, said in wrong:
            yield ask_after(stage, operation, known.id, label, said, known.links, key, credential)


NO_KEY = "no-key-at-all"


def near_keys(key: str | None) -> dict[Credential, str]:
    """Keys that are almost one and open nothing: a host that compares beginnings, or forgets letters, lets one of them
    in. There is none for a key so short that it is no key but a word of somebody's tests."""
    if not key or len(key) < SHORTEST_KEY:
        return {}
    near = {Credential.NEAR: key[:-1], Credential.BEYOND: key + key[-1]}
    # Digits that are read as a number are the same in other letters, and lose nothing by it.
    is_number = _HEX.fullmatch(key) is not None
    return near if is_number or key.swapcase() == key else {**near, Credential.CASED: key.swapcase()}


SHORTEST_KEY = 12
_HEX = re.compile(r"(?:[A-Za-z]+[_-])?[0-9A-Fa-f-]+")
"""A number in hexadecimal digits, or a UUID, with a word before it or without."""


def ask_after(
    stage: Stage,
    operation: Operation,
    id: str,
    label: str | None,
    purpose: str,
    links: Mapping[str, str] | None = None,
    key: str | None = None,
    credential: Credential = Credential.GOOD,
) -> Want:
    """One question after a job, outside any dialogue."""
    link = (links or {}).get(operation.link or "")
    link = link if link and operation.follow != "template" and stage.dialogue.follow(link) else None
    call = requests.build(
        stage.endpoint,
        operation,
        stage.base,
        job=id,
        key=key or (stage.key if credential is Credential.GOOD else None),
        link=link,
    )
    return Want(
        call=call, at=stage.clock.now(), operation=operation.name, job=label, purpose=purpose, credential=credential
    )


def _fetch(stage: Stage, known: Known, label: str) -> Story:
    """The pictures themselves, without a key."""
    for i, output in enumerate(known.outputs):
        if _address(output) and stage.may_fetch(str(output.url)):
            yield from fetched(stage, str(output.url), label, i, f"output {i}")


MOST_HOPS = 3
"""So many times an output may lead on to another address: stores do, and only then hand out the file."""


def fetched(stage: Stage, url: str, label: str, output: int, purpose: str) -> Story:
    """One output, wherever its address leads on to and may be followed."""
    for _ in range(1 + MOST_HOPS):
        exchange = yield Want(
            call=Call("GET", url),
            at=stage.clock.now(),
            operation="media",
            job=label,
            purpose=purpose,
            credential=Credential.NONE,
            output=output,
        )
        further = leads_to(exchange) if exchange else None
        if not further or not stage.may_fetch(further):
            return
        url = further


def followed(stage: Stage, exchange: Exchange, operation: Operation, values: Mapping[str, Any], purpose: str) -> Story:
    """What becomes of a job that was made by this call, asked until it is over. Its pictures are not fetched."""
    now = stage.clock.now()
    known, ask = stage.dialogue.begin("", values, operation, "", now)
    known, _ = _heard(stage, known, ask, exchange)
    while known.accepted:
        step = stage.dialogue.next(known, stage.clock.now())
        if isinstance(step, Stop) or step.operation.does is not Does.STATUS:
            return
        answer = yield Want(call=step.call, at=step.at, operation=step.operation.name, purpose=purpose)
        known, _ = _heard(stage, known, step, answer)


def _address(output: Output) -> bool:
    return output.url is not None and parts(output.url).scheme in ("http", "https")


def shown_to_others(stage: Stage, label: str, values: Mapping[str, Any]) -> Story:
    """A job that another account asks after."""
    submit, status = stage.endpoint.doing(Does.SUBMIT), stage.endpoint.doing(Does.STATUS)
    if submit is None or status is None or stage.other_key is None:
        return
    known, ask = stage.dialogue.begin(label, values, submit, stage.new_id(label), stage.clock.now())
    exchange = yield _want(ask, label, "a job that another account asks after", paid=True)
    known, _ = _heard(stage, known, ask, exchange)
    result = stage.endpoint.doing(Does.RESULT)
    for operation in (status, result) if known.accepted else ():
        if operation is not None:
            yield ask_after(
                stage,
                operation,
                known.id,
                label,
                "asked by another account",
                key=stage.other_key,
                credential=Credential.OTHER,
            )


def same_id_twice(stage: Stage, values: Mapping[str, Any]) -> Story:
    """One submit, and the same once more under the same id: at once, to be waited for, and when the job is over."""
    submit, run = stage.endpoint.doing(Does.SUBMIT), stage.endpoint.doing(Does.RUN)
    if submit is None:
        return
    id = stage.new_id("twice")

    def asked(purpose: str, operation: Operation = submit, job: str | None = None) -> Want:
        full = {**values, **operation.request.select}
        call = requests.build(stage.endpoint, operation, stage.base, values=full, job=id, key=stage.key)
        waits = stage.patience if operation.does is Does.RUN else None
        return Want(
            call=call,
            at=stage.clock.now(),
            operation=operation.name,
            job=job,
            purpose=purpose,
            paid=True,
            timeout=waits,
        )

    def taken(exchange: Exchange, operation: Operation) -> bool:
        known, ask = stage.dialogue.begin("", values, operation, "", stage.clock.now())
        return _heard(stage, known, ask, exchange)[0].accepted

    first = yield asked("one id, first time", job="twice")
    if first is None or not taken(first, submit):
        return
    for purpose, operation in [(TWICE, submit), *([(TWICE_BLOCKING, run)] if run else [])]:
        again = yield asked(purpose, operation)
        # What may have been taken is not tried again: it may be paid for.
        if again is None or again.reply is None or again.reply.status >= 500 or taken(again, operation):
            return
    yield from followed(stage, first, submit, values, "one id, until its job is over")
    yield asked(ONCE_OVER)


# -------------------------------------------------------------------------------- single questions


def without_key(stage: Stage, values: Mapping[str, Any], *, few: bool = False) -> Iterator[Want]:
    """Every operation that wants a key: with none, with one that is malformed, with one that is nobody's.

    Whatever comes of them, it is not our account that pays. `few`: only what starts a job is tried with every key."""
    auth = stage.endpoint.provider.auth
    nobody = spell(auth.pattern or "key_[0-9a-f]{24}", random.Random(f"{stage.seed}:nobody"))
    for operation in stage.endpoint.operations.values():
        if not operation.auth or operation.does in (Does.OTHER, Does.ACCOUNT, Does.UPLOAD):
            continue
        for credential, key in (
            (Credential.NONE, None),
            (Credential.MALFORMED, NO_KEY),
            (Credential.UNKNOWN, nobody),
            *([(Credential.MALFORMED, "")] if operation.does is Does.SUBMIT else []),
        ):
            if few and credential is not Credential.NONE and operation.does is not Does.SUBMIT:
                continue
            # An id of its own each: what was let in must not make the next one a repeat.
            id = stage.new_id(f"key:{operation.name}:{credential.value}{':empty' if key == '' else ''}")
            call = requests.build(stage.endpoint, operation, stage.base, values=values, job=id, key=key)
            yield Want(
                call=call,
                at=stage.clock.now(),
                operation=operation.name,
                purpose=f"{operation.name} with {'an empty' if key == '' else credential.value} key",
                credential=credential,
            )


def unknown_ids(stage: Stage) -> Iterator[Want]:
    """Operations about a job, asked after ids that nobody handed out: one in the host's own form, one not."""
    for operation in stage.endpoint.operations.values():
        if operation.does.asks:
            ids = [("well-formed", stage.new_id(f"unknown:{operation.name}"))]
            if not any(
                f.canonical == "job.id" and {"format", "pattern"} & set(f.schema) for f in operation.request.fields
            ):
                ids.append(("odd", "wireproof-no-such-job"))
            for name, id in ids:
                yield ask_after(stage, operation, id, None, f"{operation.name} of an unknown id ({name})")


def unknown_model(stage: Stage, values: Mapping[str, Any]) -> Iterator[Want]:
    """A model that the host does not have, where the address names the model."""
    for operation in stage.endpoint.operations.values():
        if operation.does.bills and "{model}" in operation.request.path:
            call = requests.build(stage.endpoint, operation, stage.base, values=values, key=stage.key)
            url = call.url.replace(f"/{stage.endpoint.slug}", "/wireproof-no-such-model")
            yield Want(
                call=Call(call.method, url, call.headers, call.body),
                at=stage.clock.now(),
                operation=operation.name,
                purpose="a model that does not exist",
                paid=True,
            )


def wrong_method(stage: Stage) -> Iterator[Want]:
    """A method that the address does not know, where the contract says what is answered."""
    for operation in stage.endpoint.operations.values():
        if operation.does is Does.SUBMIT and "wrong_method" in operation.problems:
            call = requests.build(stage.endpoint, operation, stage.base, values={}, key=stage.key)
            bare = tuple(pair for pair in call.headers if pair[0] != "content-type")
            yield Want(
                call=Call("GET", call.url, bare),
                at=stage.clock.now(),
                operation=operation.name,
                purpose=GET_FOR_POST,
            )


def others(stage: Stage) -> Iterator[Want]:
    """Operations that belong to no job and need nothing but their address."""
    for operation in stage.endpoint.operations.values():
        request = operation.request
        if (
            operation.does in (Does.OTHER, Does.ACCOUNT)
            and request.envelope == "none"
            and "{job.id}" not in request.path
        ):
            call = requests.build(stage.endpoint, operation, stage.base, key=stage.key if operation.auth else None)
            yield Want(
                call=call,
                at=stage.clock.now(),
                operation=operation.name,
                purpose=operation.says,
                credential=Credential.GOOD if operation.auth else Credential.NONE,
            )


def bad_requests(stage: Stage, operation: Operation, cases: Iterator[Any]) -> Iterator[Want]:
    """Requests that the contract forbids, one rule at a time."""
    for i, case in enumerate(cases):
        id = stage.new_id(f"bad:{operation.name}:{i}")
        call = requests.build(
            stage.endpoint,
            operation,
            stage.base,
            values=case.values,
            job=id,
            key=stage.key,
            body=case.body,
            without=case.without,
        )
        yield Want(call=call, at=stage.clock.now(), operation=operation.name, purpose=case.purpose, paid=True)


def single(want: Want, clock: Clock) -> Story:
    """A story of one call, asked whenever its turn comes."""
    yield want
