"""The mock in this process for callers that speak of calls and replies: no socket, and no client between."""

from __future__ import annotations

from dataclasses import dataclass

from wireproof.clock import Clock
from wireproof.mock.answer import BODILESS, Engine, headers_of, pieces, speed
from wireproof.model import Call, Reply


@dataclass(frozen=True, slots=True)
class Within:
    """Asks an engine, and waits by its clock as long as the reply would have taken."""

    engine: Engine
    clock: Clock

    def __call__(self, call: Call, patience: float) -> Reply:
        """The reply to a call, whole, within `patience` (real seconds).

        Raises what a socket would lead to: TimeoutError, ConnectionResetError, EOFError for a body that is cut off.
        """
        left = patience * speed(self.clock)
        answer = self.engine.answer(call, self.clock.now(), self.clock.wall())
        reply, delivery = answer.reply, answer.delivery
        bare = call.method == "HEAD" or reply.status in BODILESS
        sent = pieces(b"" if bare else reply.body, delivery)
        takes = answer.after + (delivery.drip or 0.0) * (len(sent) - 1)
        if delivery.silence or takes > left:
            self.clock.sleep(left)
            raise TimeoutError("no whole reply in time")
        self.clock.sleep(takes)
        arrived = sum(map(len, sent))
        whole = bare or arrived == len(reply.body)
        if delivery.reset and (delivery.cut_after is None or not whole):
            raise ConnectionResetError("[Errno 104] Connection reset by peer")
        if not whole:
            raise EOFError(f"the host hung up after {arrived} bytes of the body")
        return Reply(reply.status, tuple(headers_of(answer, self.clock.wall())), b"" if bare else reply.body)
