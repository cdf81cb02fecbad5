"""Checks between jobs: two requests, and how their pictures or ids compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from wireproof.check.jobs import ALIKE
from wireproof.check.media import distance
from wireproof.check.registry import check, finding
from wireproof.check.trace import JobTrace, Seen, Trace
from wireproof.model import ONCE_OVER, Call, Confidence, Evidence, Finding, Relation, Severity
from wireproof.spec.values import by_canonical, matters, same
from wireproof.wire.links import parts
from wireproof.wire.requests import recognise


def changed(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a request with a change made to it; `{absent: true}` leaves a parameter out."""
    values = dict(base)
    for name, value in change.items():
        if value == {"absent": True}:
            values.pop(name, None)
        else:
            values[name] = value
    return values


@check(
    id="OUT008",
    reads=Trace,
    trips_on=(
        "seed-ignored",
        "seed-not-repeatable",
        "seed-cut",
        "seed-rounded",
        "default-not-applied",
        "default-switched",
        "default-turbo",
        "idle-value-heeded",
        "later-inputs-ignored",
        "prompt-ignored",
        "input-ignored",
    ),
)
def pictures_relate_as_their_requests_do(trace: Trace) -> Iterator[Finding]:
    """Requests that mean the same give the same picture, and another seed gives another one.

    A seed that does nothing cannot make a picture again; a default that is not applied gives something else
    than the documents say; a parameter that is ignored is paid for and missed. Where several such promises are
    broken at once, pictures may belong to other requests altogether, and one finding tells of all.
    """
    broken = list(_unrelated(trace)) or list(_one_for_all(trace)) or list(_unequal(trace))
    if len(broken) < SEVERAL:
        yield from broken
        return
    worst = max(broken, key=lambda one: one.severity.rank)
    names = ", ".join(sorted(one.subject for one in broken))
    yield replace(worst, subject="several relations", says=f"{worst.says} So it is with {names}.")


SEVERAL = 3
"""So many broken relations have one cause."""


def _unrelated(trace: Trace) -> Iterator[Finding]:
    shown = [
        (job, picture)
        for job in trace.jobs
        if not (job.tangled or job.misled) and (picture := _picture(job)) is not None
    ]
    repeatable = True
    for relation in sorted(trace.endpoint.outputs.relations, key=lambda r: r.first != r.second):
        if relation.kind == "same" and not repeatable:
            # Where equal requests differ, nothing is learnt from requests that should mean the same.
            continue
        # Nothing is learnt from a picture that is another one each time.
        fit = [(job, it) for job, it in shown if relation.kind == "different" or not _by_chance(job)]
        for one, a, other, b in _pairs(relation, fit):
            alike = a.pixels == b.pixels
            close = _is_close(a, b)
            if relation.kind == "same" and not alike and not (a.magic != "png" and close):
                yield _unlike(relation, one, other, "the same picture", "two different pictures")
                repeatable = repeatable and relation.first != relation.second
                break
            if relation.kind == "different" and alike and not a.blank:
                yield _unlike(relation, one, other, "two different pictures", "the same picture")
                break


def _unequal(trace: Trace) -> Iterator[Finding]:
    """Different pictures for two jobs that ask for the same, one in so many words and one by what it leaves out."""
    groups: dict[str, list[tuple[JobTrace, Any]]] = {}
    for job in trace.jobs if trace.endpoint.outputs.seed else ():
        picture = _picture(job)
        if job.tangled or job.misled or picture is None or _by_chance(job) or job.submit is None:
            continue
        full, known = job.full, trace.endpoint.parameters
        meant = {name: full[name] for name in sorted(full) if name in known and matters(known[name], full)}
        operation = job.submit.operation.name if job.submit.operation else ""
        groups.setdefault(f"{operation} {json.dumps(meant, default=str)}", []).append((job, picture))
    for (one, a), (other, b) in (pair for group in groups.values() for pair in combinations(group, 2)):
        names = sorted(one.values.keys() ^ other.values.keys())
        if not names or a.pixels == b.pixels or (a.magic != "png" and _is_close(a, b)):
            continue
        proofs = [trace.endpoint.parameters[name].proof("default") for name in names]
        seqs = [job.submit.seq for job in (one, other) if job.submit]
        yield finding(
            f"what is left out ({', '.join(names)}) is not what the defaults are: two different pictures came",
            subject="defaults",
            proof=next((proof for proof in proofs if not proof.binds), proofs[0]),
            where=trace.endpoint.parameters[names[0]].line("default"),
            evidence=[*seqs, *(seq for job in (one, other) for seq, _ in list(job.pictures)[:1])],
            expected="the same picture",
            actual="two different pictures",
        )
        return


def _is_close(a: Any, b: Any) -> bool:
    return bool(_of_one_size(a, b) and a.thumb and b.thumb and distance(a.thumb, b.thumb) < ALIKE)


def _of_one_size(a: Any, b: Any) -> bool:
    return (a.width, a.height) == (b.width, b.height)


def _one_for_all(trace: Trace) -> Iterator[Finding]:
    """The same picture for two prompts. That prompts count is what a prompt is; no page says it."""
    prompt = by_canonical(trace.endpoint, "prompt")
    first: dict[str, JobTrace] = {}
    for job in trace.jobs:
        picture = _picture(job)
        if prompt is None or job.tangled or job.misled or picture is None or picture.blank:
            continue
        other = first.setdefault(picture.pixels, job)
        if other.full.get(prompt.name) == job.full.get(prompt.name):
            continue
        yield finding(
            "two prompts gave the same picture",
            subject="one picture for all",
            severity=Severity.QUESTION,
            where=prompt.where,
            evidence=[seq for one in (other, job) for seq, _ in list(one.pictures)[:1]],
            expected="another picture",
            actual="the same picture",
        )
        return


def _picture(job: JobTrace) -> Any:
    return next((p for p in job.pictures.values() if p.pixels is not None), None)


def _by_chance(job: JobTrace) -> bool:
    """Whether the same request gives another picture each time: by a relation that says so, or for want of a seed."""
    outputs = job.endpoint.outputs
    seed = job.endpoint.parameters.get(outputs.seed or "")
    unseeded = seed is not None and not seed.has_default and seed.name not in job.values
    random = (r.first for r in outputs.relations if r.kind == "different" and r.first == r.second)
    return unseeded or any(_has(job, first) for first in random)


def _pairs(relation: Relation, shown: list[tuple[JobTrace, Any]]) -> Iterator[tuple[JobTrace, Any, JobTrace, Any]]:
    """Jobs that are the two sides of a relation and differ in nothing else, each with its picture."""
    touched = {*relation.first, *relation.second}
    sides = [
        (job, picture, first, second, {name: value for name, value in job.values.items() if name not in touched})
        for job, picture in shown
        if (first := _has(job, relation.first)) | (second := _has(job, relation.second))
    ]
    seed = shown[0][0].endpoint.outputs.seed if shown else None
    sown = [side for side in sides if seed in side[0].values]
    if seed not in touched and any(side[2] for side in sown) and any(side[3] for side in sown):
        # Where the seed is given, nothing else than the relation can make a difference.
        sides = sown
    for (one, a, *is_one, rest), (other, b, *is_other, others) in combinations(sides, 2):
        if (is_one[0] and is_other[1] or is_other[0] and is_one[1]) and rest == others:
            yield one, a, other, b


def _has(job: JobTrace, change: Mapping[str, Any]) -> bool:
    for name, value in change.items():
        if value == {"absent": True}:
            if name in job.values:
                return False
        elif name not in job.values or not same(job.values[name], value):
            return False
    return True


def _unlike(relation: Relation, one: JobTrace, other: JobTrace, expected: str, actual: str) -> Finding:
    seqs = [
        seq
        for job in (one, other)
        for seq in ([job.submit.seq] if job.submit else []) + [s for s, _ in job.pictures][:1]
    ]
    return finding(
        f"{relation.says or relation.name} {actual.capitalize()} came.",
        subject=relation.name,
        proof=relation.evidence,
        where=relation.where,
        evidence=seqs,
        expected=expected,
        actual=actual,
    )


@check(id="JOB013", reads=Trace, trips_on=("one-id-for-two-jobs",))
def every_job_has_an_id_of_its_own(trace: Trace) -> Iterator[Finding]:
    """Two jobs never share an id, unless they were submitted under the same one.

    With one id for two jobs, one caller's picture is another's.
    """
    owners: dict[str, JobTrace] = {}
    for job in trace.jobs:
        if not job.taken or job.id is None or job.submit is None:
            continue
        other = owners.setdefault(job.id, job)
        if other is job or other.submit is None or (job.submit.asked and job.submit.asked.job):
            continue
        yield finding(
            f"two jobs have the id {job.id}",
            subject="shared id",
            where=job.submit.operation.where if job.submit.operation else trace.endpoint.where,
            evidence=[other.submit.seq, job.submit.seq],
            expected="another id",
            actual=job.id,
        )
        return


@check(id="JOB014", reads=Trace, trips_on=("conflict-not-enforced", "id-free-when-over"))
def an_id_that_must_be_unique_is_taken_once(trace: Trace) -> Iterator[Finding]:
    """A client-made id that was used before is refused, where the contract says so.

    Clients repeat a submit whose answer was lost, and rely on the host to know the id: otherwise the job is
    made and billed twice.
    """
    if trace.endpoint.provider.repeat_id != "conflict":
        return
    taken: dict[str, int] = {}
    for seen in trace.seen:
        asked = seen.asked
        if asked is None or not asked.operation.does.bills or not asked.job or seen.reading is None:
            continue
        if seen.reading.alternative is None:
            continue
        before = taken.setdefault(asked.job, seen.seq)
        if before == seen.seq:
            continue
        field = next((f for f in asked.operation.request.fields if f.unique), None)
        proof, when = field.evidence if field else Evidence(), ""
        over = seen.exchange.meant == ONCE_OVER
        if over:
            # That ids are unique is documented; for how long a host must know them, is not.
            proof, when = replace(proof, confidence=Confidence.INFERRED), " when its job was over"
        yield finding(
            f"an id that was used before was accepted again{when}",
            subject="repeated id, later" if over else "repeated id",
            proof=proof,
            where=field.where if field else asked.operation.where,
            evidence=[before, seen.seq],
            expected="a refusal",
            actual=str(seen.reply.status if seen.reply else ""),
        )
        return


@check(id="LNK001", reads=JobTrace, trips_on=("foreign-link",))
def links_lead_to_the_host_itself(job: JobTrace) -> Iterator[Finding]:
    """The addresses for status and result lead to the host that was asked.

    A client follows them with its key in the header. Another host there is given the key.
    """
    if job.submit is None or job.submit.reading is None:
        return
    own = {(parts(job.submit.exchange.call.url).hostname or "").lower()}
    own |= {(parts(server.url).hostname or "").lower() for server in job.endpoint.provider.servers.values()}
    near = {"localhost", "127.0.0.1", "::1"}
    yield from _foreign_pictures(job, own)
    for name, link in job.submit.reading.links.items():
        host = (parts(link).hostname or "").lower()
        if not host or host in own or (host in near and own & near):
            yield from _astray(job, job.submit, name, link)
            continue
        yield finding(
            f"the {name} address leads to {host}",
            subject=f"{name} address",
            where=job.submit.operation.where if job.submit.operation else job.endpoint.where,
            evidence=[job.submit.seq],
            expected=" or ".join(sorted(own)),
            actual=host,
        )


def _astray(job: JobTrace, submit: Seen, name: str, link: str) -> Iterator[Finding]:
    """An address at the host itself that leads to another operation, or to another port or scheme than was asked.

    Behind a gateway the latter may be as good; a client that goes by it learns nothing there if it is not."""
    meant = [asked.operation for asked in recognise(job.endpoint, Call("GET", link)) if asked.operation.link]
    there, asked_at = parts(link), parts(submit.exchange.call.url)
    known = any(operation.link == name for operation in job.endpoint.operations.values())
    if known and meant and all(operation.link != name for operation in meant):
        yield finding(
            f"the {name} address is that of {meant[0].name}",
            subject=f"{name} address",
            proof=meant[0].evidence,
            where=meant[0].where,
            evidence=[submit.seq],
            expected=f"the address of {name}",
            actual=link,
        )
    elif there.hostname == asked_at.hostname and (there.scheme, there.port) != (asked_at.scheme, asked_at.port):
        yield finding(
            f"the {name} address leads to another port or scheme of the host",
            subject=f"{name} address",
            severity=Severity.QUESTION,
            where=submit.operation.where if submit.operation else job.endpoint.where,
            evidence=[submit.seq],
            expected=f"{asked_at.scheme}://{asked_at.netloc}",
            actual=f"{there.scheme}://{there.netloc.rpartition('@')[2]}",
        )


def _foreign_pictures(job: JobTrace, own: set[str]) -> Iterator[Finding]:
    """Pictures on a host that the contract does not name: none of our keys is sent there, and they are not fetched."""
    near = {"localhost", "127.0.0.1", "::1"}
    for seen in job.results:
        for output in seen.reading.outputs if seen.reading else ():
            scheme, host = parts(output.url or "").scheme, (parts(output.url or "").hostname or "").lower()
            if scheme not in ("", "http", "https", "data"):
                host = f"{scheme}:{host}"
            if host and host not in own and not (host in near and own & near):
                yield finding(
                    f"the picture lies at {host}, which the contract does not name",
                    subject="picture address",
                    severity=Severity.QUESTION,
                    where=job.endpoint.outputs.where,
                    evidence=[seen.seq],
                    expected=" or ".join(sorted(own)),
                    actual=host,
                )
                return
