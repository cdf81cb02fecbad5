"""The points at which a host can behave otherwise than its contract says.

The faithful mock uses `Manners` as it stands: every method gives back what it was handed. A defect is
a subclass or a composition that changes one answer at one point and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wireproof.lifecycle import Status
from wireproof.mock.answer import Answer
from wireproof.mock.jobs import Job
from wireproof.model import Alternative, Kind, Operation, Problem
from wireproof.wire.requests import Asked, Breach

if TYPE_CHECKING:
    from wireproof.mock.scene import Scene


class Manners:
    """What a faithful host does at each point: just what its contract says."""

    private = True
    """Whether a job is shown only to the key that submitted it."""

    def admit(self, asked: Asked, refusal: Kind | None) -> Kind | None:
        """Whether a call is let in; None: it is."""
        return refusal

    def breaches(self, asked: Asked, found: list[Breach]) -> list[Breach]:
        """The breaches for which a request is refused."""
        return found

    def problem(self, scene: Scene, kind: Kind, problem: Problem | None) -> Problem | None:
        """The problem that a refusal is told with."""
        return problem

    def cost(self, amount: Decimal) -> Decimal:
        """What a job is charged."""
        return amount

    def bills(self, outcome: Status, billed: bool) -> bool:
        """Whether a job with this outcome is charged."""
        return billed

    def pace(self, queue: float, run: float) -> tuple[float, float]:
        """How long a job waits and works. Seconds."""
        return queue, run

    def fate(self, asked: Asked, outcome: Status) -> Status:
        """What becomes of a job."""
        return outcome

    def retention(self, seconds: float | None) -> float | None:
        """How long a job is remembered after its end."""
        return seconds

    def repeated(self, scene: Scene, repeated: bool) -> bool:
        """Whether an id that must be unique counts as used before."""
        return repeated

    def take(self, scene: Scene, job: Job) -> Job:
        """The job that a request makes, with its whole future."""
        return job

    def find(self, scene: Scene, job: Job | None) -> Job | None:
        """The job that is asked after; None: nobody knows it."""
        return job

    def status(self, scene: Scene, job: Job, status: Status) -> Status:
        """How far the job is said to be."""
        return status

    def fact(self, scene: Scene, job: Job | None, name: str, value: Any) -> Any:
        """One value of the vocabulary, wherever a reply says it; not the state word."""
        return value

    def word(self, job: Job, asked: Asked, word: str) -> str:
        """The state word that is shown."""
        return word

    def alternative(
        self, operation: Operation, chosen: Alternative | None, known: Sequence[Alternative]
    ) -> Alternative | None:
        """The kind of reply that is given."""
        return chosen

    def body(self, scene: Scene, job: Job | None, body: Any) -> Any:
        """The JSON body that is sent."""
        return body

    def reply(self, scene: Scene, answer: Answer) -> Answer:
        """The whole reply."""
        return answer

    def unknown(self, scene: Scene, answer: Answer) -> Answer:
        """The reply to an id that nobody knows."""
        return answer

    def seed(self, job: Job, seed: int) -> int:
        """The seed that a picture is drawn from."""
        return seed

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the picture."""
        return size

    def format(self, form: str) -> str:
        """Format of the picture."""
        return form

    def picture(self, job: Job, data: bytes) -> bytes:
        """The bytes of the picture."""
        return data

    def media(self, job: Job, answer: Answer) -> Answer:
        """The reply to a fetch of the picture."""
        return answer
