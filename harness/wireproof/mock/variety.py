"""A faithful host that is not ours: it differs in all that a contract leaves open, and in nothing else.

Two hosts that keep one contract still have other ids, other headers, fields of their own, other words for an
error and other times. `Variety` makes one such host out of a seed; whoever finds a fault with it is wrong.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from wireproof.mock.answer import Answer
from wireproof.mock.jobs import Job
from wireproof.mock.manners import Manners
from wireproof.mock.scene import Scene
from wireproof.model import Kind, Problem
from wireproof.spec.values import spell

IDS = (
    "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "[0-9A-HJKMNP-TV-Z]{26}",
    "[0-9a-f]{32}",
    "req_[A-Za-z0-9]{22}",
    "[1-9][0-9]{17}",
    "[A-Za-z0-9]{10}_[A-Za-z0-9]{8}~[0-9]",
)
"""Forms of an id: UUID, ULID, hexadecimal, with a prefix, a number, with signs that an address may hold."""

HEADERS = (
    ("server", "cloudflare"),
    ("server", "nginx/1.25.3"),
    ("via", "1.1 google"),
    ("cf-ray", "8f3c2a1b4d5e6f70-FRA"),
    ("x-request-id", "01JD8K3M9Q7W5T2Z"),
    ("cache-control", "no-store"),
    ("strict-transport-security", "max-age=31536000"),
    ("access-control-allow-origin", "*"),
    ("vary", "Origin, Accept-Encoding"),
    ("x-ratelimit-remaining", "57"),
    ("content-language", "en"),
)

TYPES = ("application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8")

WORDS = (
    "{parameter} {reason}",
    "Unprocessable: {reason} (at {parameter})",
    "Ungültig: {reason}",
    "Request failed. Contact support with reference 5f2a.",
    "请求无效",
)

FIELDS: tuple[tuple[str, Any], ...] = (
    ("beta", True),
    ("_links", {"self": "https://example.com/"}),
    ("region", "eu-west-1"),
    ("version", 3),
    ("warnings", []),
    ("traceId", "00-4bf92f3577b34da6a3ce929d0e0e4736-01"),
    ("note", None),
)


class Variety(Manners):
    """The manners of one such host."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(f"variety:{seed}")
        self.ids = chance.choice(IDS)
        self.headers_ = tuple(chance.sample(HEADERS, chance.randrange(len(HEADERS))))
        self.type = chance.choice(TYPES)
        self.words = chance.choice(WORDS)
        self.fields = dict(chance.sample(FIELDS, chance.randrange(len(FIELDS))))
        self.queue, self.run = chance.choice((0.0, 0.3, 1.0, 4.0)), chance.choice((0.05, 0.5, 1.0, 3.0))
        self.delay = chance.choice((0.0, 0.05, 0.4))
        self.chance = chance

    def take(self, scene: Scene, job: Job) -> Job:
        """A job with an id of another form, where the host makes it, and with other times."""
        id = job.id if job.own_id else spell(self.ids, self.chance)
        return replace(job, id=id, queue=job.queue * self.queue, run=job.run * self.run)

    def problem(self, scene: Scene, kind: Kind, problem: Problem | None) -> Problem | None:
        """A problem in other words."""
        return replace(problem, message=self.words) if problem else None

    def body(self, scene: Scene, job: Job | None, body: Any) -> Any:
        """A body with fields of its own, in the objects of its lists too."""
        if not isinstance(body, dict):
            return body
        grown = {
            key: [self._more(one) for one in value] if isinstance(value, list) else value for key, value in body.items()
        }
        return {**{name: value for name, value in self.fields.items() if name not in grown}, **grown}

    def _more(self, item: Any) -> Any:
        return {**self.fields, **item} if isinstance(item, dict) else item

    def reply(self, scene: Scene, answer: Answer) -> Answer:
        """A reply with headers of its own, a little later."""
        kept = tuple((n, self.type if v == "application/json" else v) for n, v in answer.reply.headers)
        own = tuple(pair for pair in self.headers_ if pair[0] not in {name for name, _ in kept})
        return replace(answer, reply=replace(answer.reply, headers=(*kept, *own)), after=answer.after + self.delay)

    def media(self, job: Job, answer: Answer) -> Answer:
        """A picture with headers of its own."""
        return replace(answer, reply=replace(answer.reply, headers=(*answer.reply.headers, *self.headers_)))
