"""Exchanges read by the contract: what each asked, what each answered, and which belong to one job.

This is the only reading that checks see. It serves live runs, a mock's journal, a client's traffic and a
HAR file alike: jobs are put together by our own label where there is one and by the ids on the wire else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from wireproof.lifecycle import Status, is_final
from wireproof.model import (
    FOLLOWED,
    ONCE_MORE,
    Credential,
    Does,
    Endpoint,
    Exchange,
    Finding,
    Means,
    Operation,
    Provocation,
    Reply,
)
from wireproof.spec.values import effective
from wireproof.wire import replies, requests
from wireproof.wire.bodies import collect
from wireproof.wire.replies import Reading
from wireproof.wire.requests import Asked, Breach

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One exchange as the contract reads it."""

    exchange: Exchange
    endpoint: Endpoint
    asked: Asked | None
    """None: the address is none of the contract's (a fetched picture, a stray call)."""
    breaches: tuple[Breach, ...]
    reading: Reading | None
    """None: no reply, or nothing to read it by."""
    values: Mapping[str, Any]
    """The job's parameters as far as they are known."""
    passed: bool = False
    """Whether it was answered with a server error, and otherwise when it was asked once more."""
    told: dict[str, tuple[Finding, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)
    """What checks of single exchanges found in it, by their ids: a run is judged several times while it grows."""

    @property
    def seq(self) -> int:
        return self.exchange.seq

    @property
    def counts(self) -> bool:
        """Whether its reply is held to the contract: nothing is promised of what a forbidden request leads to."""
        return self.exchange.purpose != FOLLOWED

    @property
    def reply(self) -> Reply | None:
        return self.exchange.reply

    @property
    def operation(self) -> Operation | None:
        return self.asked.operation if self.asked else None

    @property
    def accepted(self) -> bool:
        """Whether the reply is one of the good ones."""
        return self.reply is not None and self.reply.status < 300

    @property
    def is_error(self) -> bool:
        """Whether a good status carries the body of an error: it has what an error needs, and nothing that a
        good reply of the operation would tell."""
        reading = self.reading
        if not self.accepted or reading is None or not isinstance(reading.body, dict):
            return False
        chosen = reading.alternative
        if chosen is not None and (chosen.shape is None or chosen.means is Means.FAILED or reading.found):
            return False
        shapes = [p.shape.schema for p in self.endpoint.provider.problems.values() if p.shape is not None]
        # An empty list of errors is none, whatever else it is.
        said = {name for name, value in reading.body.items() if value is not None and value != []}
        return any(s.get("required") and said.issuperset(s["required"]) for s in shapes)

    @property
    def let_in(self) -> bool:
        """Whether the call carried a key that the host should know."""
        return self.exchange.credential in (Credential.GOOD, Credential.OTHER, Credential.UNTOLD)


@dataclass(slots=True, kw_only=True)
class JobTrace:
    """Everything that was seen of one job, in order."""

    label: str
    endpoint: Endpoint
    submit: Seen | None = None
    news: list[Seen] = field(default_factory=list)
    """Replies about it: the submit, states, results."""
    media: list[Exchange] = field(default_factory=list)
    pictures: dict[tuple[int, int], Any] = field(default_factory=dict)
    """What was learnt of its pictures (`check.media.Picture`), by exchange number and output."""
    tangled: bool = False
    """Whether nothing that is told of it can be held against the host: its id is another job's too, or a
    forbidden request made it."""
    misled: bool = False
    """Whether it was told of under the id of another of our jobs: its states and pictures may be that one's."""

    @property
    def values(self) -> Mapping[str, Any]:
        return self.submit.values if self.submit else NOTHING

    @property
    def full(self) -> dict[str, Any]:
        """The parameters with their defaults."""
        return effective(self.endpoint, self.values)

    @property
    def id(self) -> str | None:
        """The id under which the host took it."""
        reading = self.submit.reading if self.submit else None
        if reading and reading.id:
            return reading.id
        return self.submit.asked.job or None if self.submit and self.submit.asked else None

    @property
    def taken(self) -> bool:
        """Whether the host accepted it."""
        return (
            self.submit is not None and self.submit.reading is not None and self.submit.reading.alternative is not None
        )

    @property
    def told(self) -> Iterator[tuple[Seen, Status]]:
        """Every canonical status that was told to the job's owner, in order."""
        for seen in self.news:
            if (
                seen.let_in
                and seen.exchange.credential is not Credential.OTHER
                and seen.reading
                and seen.reading.status is not None
            ):
                yield seen, seen.reading.status

    @property
    def end(self) -> tuple[Seen, Status] | None:
        """The first final status, and who told it."""
        return next(((seen, status) for seen, status in self.told if is_final(status)), None)

    @property
    def outcome(self) -> Status | None:
        return self.end[1] if self.end else None

    @property
    def results(self) -> list[Seen]:
        """Good replies that should carry the outputs."""
        carriers = {Does.RESULT, Does.RUN} if self.endpoint.doing(Does.RESULT) else {Does.STATUS, Does.RUN}
        return [
            seen
            for seen, status in self.told
            if status is Status.SUCCEEDED and seen.operation and seen.operation.does in carriers and not seen.is_error
        ]


@dataclass(slots=True, kw_only=True)
class Trace:
    """A whole recording of one endpoint, read."""

    endpoint: Endpoint
    seen: tuple[Seen, ...]
    jobs: tuple[JobTrace, ...]


@dataclass(slots=True)
class Reader:
    """Reads what is said to one endpoint. `prefix`: a path under which the host is reached.

    What has been read once is kept, so that a run that is read again while it grows costs only what is new.
    """

    endpoint: Endpoint
    prefix: str = ""
    _kept: dict[int, tuple[Exchange, Mapping[str, Any] | None, tuple[Seen, ...]]] = field(default_factory=dict)

    def read(self, exchanges: Iterable[Exchange]) -> Trace:
        """A recording, read by the contract."""
        return _whole(self, sorted(exchanges, key=lambda e: e.seq))

    def one(self, exchange: Exchange, values: Mapping[str, Any] | None = None) -> tuple[Seen, ...]:
        """One exchange; `values`: the parameters of the job that it is about, if that is known."""
        known = self._kept.get(exchange.seq)
        if known is None or known[0] is not exchange or known[1] is not values:
            known = exchange, values, tuple(_read(self.endpoint, exchange, self.prefix, values))
            self._kept[exchange.seq] = known
        return known[2]


def read(endpoint: Endpoint, exchanges: Iterable[Exchange], prefix: str = "") -> Trace:
    """Read a recording by a contract. `prefix` is a path under which the host was reached."""
    return Reader(endpoint, prefix).read(exchanges)


def _whole(reader: Reader, kept: list[Exchange]) -> Trace:
    endpoint, labels = reader.endpoint, _labels(reader, kept)
    jobs: dict[str, JobTrace] = {}
    all_seen: list[Seen] = []
    for exchange in kept:
        label = exchange.job or labels.get(exchange.seq)
        job = jobs.get(label) if label else None
        for seen in reader.one(exchange, job.values if job else None):
            all_seen.append(seen)
            if label is None:
                continue
            job = jobs.setdefault(label, JobTrace(label=label, endpoint=endpoint))
            if exchange.operation == "media" or exchange.output is not None:
                job.media.append(exchange)
            elif seen.asked:
                job.news.append(seen)
                if seen.asked.operation.does.bills and (job.submit is None or not job.taken):
                    job.submit = seen
    _untangle(jobs.values())
    return Trace(endpoint=endpoint, seen=_with_second_answers(all_seen), jobs=tuple(jobs.values()))


def _with_second_answers(all_seen: list[Seen]) -> tuple[Seen, ...]:
    """Calls that met a server error and not a second time, marked so."""
    better = {
        (seen.exchange.meant, seen.exchange.call)
        for seen in all_seen
        if seen.exchange.purpose.endswith(ONCE_MORE) and seen.reply is not None and not _failed(seen)
    }
    if not better:
        return tuple(all_seen)
    return tuple(
        replace(seen, passed=True) if _failed(seen) and (seen.exchange.purpose, seen.exchange.call) in better else seen
        for seen in all_seen
    )


def _failed(seen: Seen) -> bool:
    return seen.reply is not None and seen.reply.status >= 500


def _untangle(jobs: Collection[JobTrace]) -> None:
    """Mark the jobs to which the host gave one id, those that it took for one another, and those that a forbidden
    request made: nothing is promised of what comes of it."""
    owners: dict[str, list[JobTrace]] = {}
    for job in jobs:
        if job.submit is not None and any(breach.binds for breach in job.submit.breaches):
            job.tangled = True
        if job.taken and job.id is not None and job.submit and job.submit.asked and not job.submit.asked.job:
            owners.setdefault(job.id, []).append(job)
    for shared in owners.values():
        for job in shared if len(shared) > 1 else ():
            job.tangled = True
    ids = {job.id for job in jobs if job.taken and job.id is not None}
    for job in jobs:
        told = {str(id) for seen in job.news if seen.reading for id in seen.reading.values("job.id")}
        job.misled = not told.isdisjoint(ids - {job.id})


def _read(endpoint: Endpoint, exchange: Exchange, prefix: str, known: Mapping[str, Any] | None) -> Iterator[Seen]:
    asked_all = requests.recognise(endpoint, exchange.call, prefix) if exchange.operation != "media" else ()
    if not asked_all and known is not None and exchange.operation in endpoint.operations:
        # A link that the host handed out leads wherever it likes; what was asked there is known all the same.
        asked_all = (Asked(endpoint.operations[exchange.operation], {}),)
    if not asked_all:
        yield Seen(exchange=exchange, endpoint=endpoint, asked=None, breaches=(), reading=None, values={})
        return
    for asked in asked_all:
        own = asked.operation.does.bills
        values = asked.values if own or known is None else known
        reading = replies.read(endpoint, asked.operation, exchange.reply, values) if exchange.reply else None
        breaches = tuple(requests.breaches(endpoint, asked)) if own else ()
        yield Seen(exchange=exchange, endpoint=endpoint, asked=asked, breaches=breaches, reading=reading, values=values)


def _labels(reader: Reader, exchanges: Iterable[Exchange]) -> dict[int, str]:
    """Which job an unlabelled exchange belongs to, by the ids and addresses on the wire."""
    owner: dict[str, str] = {}
    outputs: dict[str, str] = {}
    found: dict[int, str] = {}
    for exchange in exchanges:
        if exchange.job:
            continue
        if exchange.call.url in outputs:
            found[exchange.seq] = outputs[exchange.call.url]
            continue
        for seen in reader.one(exchange):
            asked, reading = seen.asked, seen.reading
            if asked is None:
                continue
            id = asked.job if asked.operation.does.asks else (reading.id if reading and reading.id else asked.job)
            if asked.operation.does.bills and reading and reading.alternative is not None:
                owner.setdefault(id or f"#{exchange.seq}", f"{id or ''}#{exchange.seq}")
            label = owner.get(id) if id else owner.get(f"#{exchange.seq}")
            if label:
                found[exchange.seq] = label
            for output in reading.outputs if reading else ():
                if output.url and label:
                    outputs[output.url] = label
    return found


def misplaced_word(seen: Seen) -> str | None:
    """A state word of the host in a reply whose status code belongs to no reply that may carry one."""
    reading = seen.reading
    if reading is None or reading.alternative is not None or not isinstance(reading.body, dict):
        return None
    for alternative in reading.operation.alternatives:
        for found in collect(alternative.shape, reading.body) if alternative.shape else ():
            if found.name == "job.state" and found.value in seen.endpoint.provider.states:
                return str(found.value)
    return None


def provocation(endpoint: Endpoint, values: Mapping[str, Any]) -> Provocation | None:
    """The request meant to end in trouble that these parameters make; None for any other."""
    return next(
        (
            gift
            for gift in endpoint.provocations
            if all(values.get(name) == value for name, value in gift.parameters.items())
        ),
        None,
    )
