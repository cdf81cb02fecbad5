"""The one lifecycle of a job: its canonical statuses and the moves between them.

The mock moves by this table, the dialogue decides by it, and the checks judge by it, so the two
parties of a conversation can never be held to different machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Status(StrEnum):
    """What has become of a job, in the words every host's own words are mapped to."""

    QUEUED = "queued"
    """Accepted, waiting for a worker."""
    THROTTLED = "throttled"
    """Accepted, held back by the account's own limit."""
    RUNNING = "running"
    """A worker has it."""
    SUCCEEDED = "succeeded"
    """The outputs are ready."""
    FAILED = "failed"
    """The host gave up; nothing usable came of it."""
    MODERATED = "moderated"
    """Refused for what was asked or for what came out."""
    CANCELED = "canceled"
    """Stopped on request."""
    TIMED_OUT = "timed_out"
    """Stopped by a deadline of the host or of the caller."""
    EXPIRED = "expired"
    """Was there, and is forgotten after its retention."""


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.MODERATED, Status.CANCELED, Status.TIMED_OUT})
"""Statuses that end the work. EXPIRED ends the record, and may follow any of them."""

_AFTER_WORK = frozenset({Status.EXPIRED})

MOVES: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.THROTTLED, Status.RUNNING, *FINAL}),
    Status.THROTTLED: frozenset({Status.QUEUED, Status.RUNNING, *FINAL}),
    Status.RUNNING: FINAL,
    Status.SUCCEEDED: _AFTER_WORK,
    Status.FAILED: _AFTER_WORK,
    Status.MODERATED: _AFTER_WORK,
    Status.CANCELED: _AFTER_WORK,
    Status.TIMED_OUT: _AFTER_WORK,
    Status.EXPIRED: frozenset(),
}
"""The allowed moves. A poll may miss a status, so a job is also allowed to be seen to skip ahead."""


def is_final(status: Status) -> bool:
    """Whether the work is over, for good or ill."""
    return status in FINAL or status is Status.EXPIRED


def may_follow(before: Status, after: Status) -> bool:
    """Whether an observer who saw `before` may later see `after`: by any chain of allowed moves."""
    return after is before or after in _REACHABLE[before]


def worst(statuses: Iterable[Status]) -> Status:
    """The status of a job made of several parts: unfinished while any part is, then failed if any failed.

    Raises ValueError when there is no part at all.
    """
    seen = set(statuses)
    for status in _PRECEDENCE:
        if status in seen:
            return status
    raise ValueError("a job without parts has no status")


_PRECEDENCE = (
    Status.QUEUED,
    Status.THROTTLED,
    Status.RUNNING,
    Status.FAILED,
    Status.MODERATED,
    Status.TIMED_OUT,
    Status.CANCELED,
    Status.EXPIRED,
    Status.SUCCEEDED,
)


def _closure(start: Status) -> frozenset[Status]:
    found: set[Status] = set()
    ahead = set(MOVES[start])
    while ahead:
        status = ahead.pop()
        if status not in found:
            found.add(status)
            ahead |= MOVES[status]
    return frozenset(found - {start})


_REACHABLE = {status: _closure(status) for status in Status}
