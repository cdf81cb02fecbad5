"""The calls that a host makes by itself because of a job, as the contract's channels have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wireproof.mock.effects import Send
from wireproof.mock.jobs import Job
from wireproof.model import Call, Does
from wireproof.wire import requests

if TYPE_CHECKING:
    from wireproof.mock.scene import Scene

ATTEMPTS = 5
"""How often one webhook is tried at most."""
_TOLD_BY = (Does.RUN, Does.RESULT, Does.STATUS)
"""Which operation's reply a webhook repeats: the first of these that the host has."""


def sends_of(scene: Scene, job: Job) -> list[Send]:
    """The calls that follow from a job, in the order in which they would be made."""
    return [send for channel in scene.host.provider.channels.values() for send in _of_channel(scene, job, channel)]


def _of_channel(scene: Scene, job: Job, channel: Mapping[str, Any]) -> Iterator[Send]:
    target = job.full.get(str(channel.get("parameter")))
    if not isinstance(target, str) or "method" not in channel:
        return
    method, retries = str(channel["method"]), _retries(channel.get("retries") or {})
    within = float(channel.get("answer_within_seconds") or 5.0)
    if channel.get("body") == "bytes":
        for index in range(job.outputs if job.outcome.value == "succeeded" else 0):
            data, kind = scene.mock.draw(job, index)
            call = Call(method, target, (("content-type", kind),), data)
            yield Send(at=job.ends, call=call, job=job.id, what="upload", retries=retries, within=within)
        return
    for body in _bodies(scene, job, per=str(channel.get("per", "job"))):
        call = Call(method, target, (("content-type", "application/json"),), requests.encode(body))
        yield Send(at=job.ends, call=call, job=job.id, retries=retries, within=within)


def _retries(plan: Mapping[str, Any]) -> tuple[float, ...]:
    """The waits between attempts; a contract that plans none has one attempt."""
    if not plan:
        return ()
    first, factor, most = (float(plan.get(name, 1)) for name in ("first_seconds", "factor", "most_seconds"))
    return tuple(min(most, first * factor**number) for number in range(ATTEMPTS - 1))


def _bodies(scene: Scene, job: Job, per: str) -> list[Any]:
    """What is told of the job: the reply as a whole, or each object of its lists by itself."""
    operation = next((op for does in _TOLD_BY if (op := scene.endpoint.doing(does)) is not None), None)
    if operation is None:
        return []
    told = scene.after(job, operation)
    body, _ = requests.decode(told.reply.body)
    if per != "output" or not isinstance(body, dict):
        return [body]
    return [one for value in body.values() if isinstance(value, list) for one in value]
