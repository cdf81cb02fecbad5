"""What a job leads to beyond its replies: calls that the host makes by itself, decided when it is taken."""

from __future__ import annotations

from dataclasses import dataclass

from wireproof.model import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One call that the mock would make, all by itself: a webhook, or the upload of an output."""

    at: float
    """Clock seconds before which it is not made."""
    call: Call
    job: str
    what: str = "webhook"
    """`webhook` or `upload`."""
    retries: tuple[float, ...] = ()
    """Seconds from one attempt to the next, for as long as it is not accepted."""
    within: float = 5.0
    """Seconds in which the receiver has to answer."""
