"""Where the stories of a run play, and how long and how often jobs are asked after there."""

from __future__ import annotations

import functools
from dataclasses import replace

from wireproof.check import jobs as job_checks
from wireproof.check.trace import Trace
from wireproof.clock import Clock
from wireproof.conform.planning import OPENING
from wireproof.conform.target import Target, is_loopback, near, origin
from wireproof.model import Endpoint, Poll
from wireproof.probe.stories import Stage
from wireproof.wire.dialogue import Cadence, Dialogue, contract_cadence

IMPATIENT = 0.1
"""The part of their deadline for which jobs are followed at a host whose first jobs did not end."""

QUICKLY = 0.4
"""Seconds; a job that takes longer is asked after steadily."""


def hasty(poll: Poll, polls: int, first: float = 0.005) -> float:
    """A cadence for a server on this machine: quick at first so that no state is missed, then the contract's.

    `first`: seconds before the second poll; the gap doubles until it is that of `steady`.
    """
    if polls == 0:
        return 0.0
    return min(first * 2.0 ** (polls - 1), 0.04 * 1.25 ** (polls - 1), contract_cadence(poll, polls))


steady = functools.partial(hasty, first=0.04)
"""The cadence for a server on this machine whose jobs are known to take their time."""


def calm(poll: Poll, polls: int) -> float:
    """A cadence for a server on this machine where calls are counted."""
    return 0.0 if polls == 0 else min(0.05 * 1.7 ** (polls - 1), contract_cadence(poll, max(1, polls)))


def stage_for(endpoint: Endpoint, target: Target, clock: Clock, seed: int, cadence: Cadence | None = None) -> Stage:
    """Where the stories of a run play: which address, which key, and which links may be followed."""
    here = target.mock is None and is_loopback(target.base)
    own = origin(target.base)
    hosts = {origin(server.url) for server in endpoint.provider.servers.values()}
    return Stage(
        endpoint=endpoint,
        base=target.base,
        dialogue=Dialogue(
            endpoint=endpoint,
            base=target.base,
            key=target.key,
            cadence=cadence or (hasty if here else contract_cadence),
            follow=lambda link: origin(link) == own,
        ),
        clock=clock,
        key=target.key,
        other_key=target.other_key,
        seed=seed,
        may_fetch=lambda url: origin(url) == own or (here and is_loopback(url)) or (not here and origin(url) in hosts),
    )


def closely(stage: Stage) -> Stage:
    """The stage with jobs looked at as often as they can change: on a stepped clock that costs nothing."""
    return _paced(stage, hasty)


def eased(stage: Stage) -> Stage:
    """The stage with jobs asked after seldom: it is their pictures that count."""
    return _paced(stage, calm)


def _paced(stage: Stage, cadence: Cadence) -> Stage:
    return replace(stage, dialogue=replace(stage.dialogue, cadence=cadence))


def used_to(stage: Stage, target: Target, trace: Trace) -> Stage:
    """The stage with jobs followed as long as makes sense at a host whose first jobs are known.

    A server of this machine is not waited for much longer than it took before; a host that is paid, or on a clock
    that costs nothing, gets the contract's time, unless none of its first jobs ended within that.
    """
    deadline = stage.endpoint.provider.poll.deadline.seconds or 0.0
    if hurries(target):
        took = job_checks.taken(trace)
        if stage.dialogue.cadence is hasty and (took is None or took > QUICKLY):
            stage = _paced(stage, steady)
        return within(stage, job_checks.patience(stage.endpoint, took))
    return within(stage, IMPATIENT * deadline) if len(job_checks.stuck(trace)) >= OPENING else stage


def hurries(target: Target) -> bool:
    """Whether it is our time that is spent, and nothing else."""
    return target.mock is None and not target.paid and near(target)


def within(stage: Stage, seconds: float) -> Stage:
    """The stage with jobs followed for so long."""
    return replace(stage, dialogue=replace(stage.dialogue, deadline=seconds, asks_last=True), patience=seconds)
