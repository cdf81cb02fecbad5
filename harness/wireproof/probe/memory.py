"""What a run that was cut off has heard, so that whoever goes on with it asks and pays nothing twice.

A call is known again by what it is for, not by its bytes: the same plan makes the same calls, in whatever
order time lets them come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from wireproof.ledger import Reservation
from wireproof.model import GIVEN_UP, Credential, Exchange
from wireproof.runlog import Digest
from wireproof.secrets import MASK

Name = tuple[str | None, str, str, Credential, int | None]


class Skipped(Exception):
    """A call that is not made again, although what came of it is not known. `why` says so in a few words."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(slots=True)
class Memory:
    """The exchanges of an earlier run by what they were for, and the paid calls that nobody heard the end of."""

    family: str
    """What stands before every label of a job."""
    since: float
    """Seconds from the first call of that run until now."""
    held: Mapping[str, Reservation] = field(default_factory=dict)
    """What is set aside for paid calls whose cost nobody has told, by the labels of their jobs or their purposes.
    One that was never heard was about to leave when the run was cut off."""
    runs: tuple[str, ...] = ()
    """Names of the runs that are remembered, as the ledger knows them."""
    skipped: dict[str, str] = field(default_factory=dict)
    """What was not asked again, by its name, and why."""
    _heard: dict[Name, deque[Exchange]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        family: str,
        runs: Iterable[Iterable[Exchange]],
        since: float,
        held: Mapping[str, Reservation],
        names: tuple[str, ...] = (),
    ) -> Memory:
        """What several runs have heard of the same calls: the one that got furthest with each knows most of it."""
        memory = cls(family=family, since=since, held=held, runs=names)
        for exchanges in runs:
            heard: dict[Name, deque[Exchange]] = {}
            for one in exchanges:
                heard.setdefault(_name(one), deque()).append(one)
            for name, queue in heard.items():
                if len(queue) > len(memory._heard.get(name, ())):
                    memory._heard[name] = queue
        return memory

    def recall(self, want: Exchange, *, paid: bool) -> Exchange | None:
        """What came of this call the last time, in the words of now; None: it is to be made.

        `want` is the call as an exchange without an answer. Raises Skipped for a paid call that may have left
        and whose answer is not known.
        """
        known = self._heard.get(_name(want))
        before = known.popleft() if known else None
        if before is not None and before.broke == GIVEN_UP and paid:
            raise self._skip(want, "sent when the time of the run was over, outcome unknown; it stays charged")
        if before is not None and before.broke not in ("refused", GIVEN_UP):
            if before.reply is None or not isinstance(before.reply.body, Digest) or _masked(want):
                return replace(want, reply=before.reply, broke=before.broke, at=before.at, took=before.took)
            if paid:
                raise self._skip(want, "paid for before it was cut off, and its answer was not kept (--keep-bodies)")
        elif before is None and paid and self._called(want) in self.held:
            raise self._skip(want, "sent when the run was cut off, outcome unknown; it stays charged")
        elif _masked(want):
            raise self._skip(want, "its address was masked before it was kept")
        return None

    def jobs(self) -> Iterator[Exchange]:
        """The first exchange of each job."""
        return (heard[0] for heard in self._heard.values() if heard and heard[0].job)

    def _called(self, want: Exchange) -> str:
        return want.job or f"{self.family}{want.purpose}"

    def _skip(self, want: Exchange, why: str) -> Skipped:
        self.skipped[self._called(want)] = why
        return Skipped(why)


def _masked(want: Exchange) -> bool:
    """Whether an address was read from what was kept, and is none any more: signatures are masked on the disk."""
    return MASK in want.call.url


def _name(one: Exchange) -> Name:
    return one.job, one.operation, one.purpose, one.credential, one.output
