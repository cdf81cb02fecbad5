"""A draft from recorded traffic: what was seen, and nothing that was not.

Traffic shows which parameters, states, moves and problems there are, and how long jobs take. It cannot
show bounds, defaults, what must be given, what is kept for how long, nor what was never provoked.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from wireproof.errors import UsageError
from wireproof.model import Exchange
from wireproof.spec.imports import drafting, shapes
from wireproof.spec.imports.drafting import Draft, Tree, snake, unsaid

SEEN: Tree = {"source": "import", "confidence": "sample"}


@dataclass(frozen=True, slots=True)
class _Heard:
    """One exchange with its bodies read."""

    exchange: Exchange
    asked: Any
    told: Any

    @property
    def path(self) -> str:
        return urlsplit(self.exchange.call.url).path

    @property
    def status(self) -> int:
        return self.exchange.reply.status if self.exchange.reply else 0


@dataclass(slots=True)
class _Job:
    """One job as it was seen."""

    id: str
    sent: float
    seen: list[tuple[float, str]] = field(default_factory=list)
    """When a state word was told, and which."""


def draft(exchanges: Sequence[Exchange], *, provider: str, read: str, model: str = "") -> Draft:
    """Draft the three layers from recorded exchanges. `read` is the day of the recording (YYYY-MM-DD).

    Raises UsageError when no call in it started a job.
    """
    if not drafting.NAME.fullmatch(provider):
        raise UsageError(f"{provider!r} cannot name a provider: small letters, digits, dots and dashes")
    heard = [_Heard(e, _json(e.call.body), _json(e.reply.body if e.reply else b"")) for e in exchanges]
    start = _start(heard)
    return _Work(provider, heard, start, read, model).draft()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _start(heard: Sequence[_Heard]) -> str:
    """The path of the call that starts jobs: the commonest POST with a JSON object that was taken."""
    paths = [
        h.path
        for h in heard
        if h.exchange.call.method == "POST" and isinstance(h.asked, dict) and 200 <= h.status < 300
    ]
    if not paths:
        lists = {h.path for h in heard if h.exchange.call.method == "POST" and isinstance(h.asked, list)}
        why = (
            f"POST {min(lists)} takes a list of requests, which no draft is made of yet: start from a protocol whose "
            "operations have `body: array` (wireproof show runware)"
            if lists
            else "no POST with a JSON object was answered with 2xx"
        )
        raise UsageError(f"no call of this recording started a job: {why}")
    with_id = [h.path for h in heard if h.path in paths and _id_of(h.told)]
    return statistics.mode(with_id or paths)


def _id_of(told: Any) -> str:
    """The id of the job: on the level where its state stands, else on the first that has one."""
    within = [told, *told.values()] if isinstance(told, dict) else []
    levels = [level for level in within if isinstance(level, dict)]
    for level in sorted(levels, key=lambda level: not any(drafting.VALUES.get(snake(k)) == "job.state" for k in level)):
        for key, value in level.items():
            if snake(key) in drafting.IDS and isinstance(value, str) and value:
                return value
    return ""


def _state_of(told: Any) -> str:
    """The state word of a reply, at its top or one level below."""
    for node in (told, *(told.values() if isinstance(told, dict) else ())):
        for key, value in node.items() if isinstance(node, dict) else ():
            if drafting.VALUES.get(snake(key)) == "job.state" and isinstance(value, str) and value:
                return value
    return ""


def _template(heard: _Heard, id: str) -> str:
    """The address with the id's place left open, in the path or in the query; '' where the id is in neither."""
    if id in unquote(heard.path).split("/"):
        return unquote(heard.path).replace(id, "{job.id}")
    query = parse_qsl(urlsplit(heard.exchange.call.url).query, keep_blank_values=True)
    named = [f"{quote(name)}={{job.id}}" for name, value in query if value == id]
    return f"{heard.path}?{named[0]}" if named else ""


def _answers(heard: _Heard) -> bool:
    """Whether a reply tells of the job: a success, or a failure that is told under an error code with its state."""
    return 200 <= heard.status < 300 or heard.status >= 400 and bool(_state_of(heard.told))


def _reached(job: _Job, states: Tree, wanted: set[str]) -> float | None:
    """After how many seconds a job was in one of these statuses, half way between two polls; None: it was not."""
    before = job.sent
    for at, word in job.seen:
        if states[word]["status"] in wanted:
            return (before + at) / 2 - job.sent
        before = at
    return None


def _law(times: Sequence[float]) -> str:
    """The law of completion times in words: log-normal, as such times mostly are."""
    if len(times) < 3 or min(times) <= 0:
        return "too few for a law"
    return f"log-normal with median {statistics.median(times):.3g} s and sigma {_sigma(times):.2g}"


def _sigma(times: Sequence[float]) -> float:
    return statistics.stdev(math.log(time) for time in times)


# ------------------------------------------------------------------------------- schemas of samples


def schema(samples: Iterable[Any]) -> Tree:
    """The narrowest schema of types that all samples are of; `required` is what every object had."""
    values = list(samples)
    kinds = sorted({_kind(value) for value in values})
    made: Tree = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        names = dict.fromkeys(name for one in objects for name in one)
        made["properties"] = {name: schema(one[name] for one in objects if name in one) for name in names}
        made["required"] = [name for name in names if all(name in one for one in objects)]
    items = [item for value in values if isinstance(value, list) for item in value]
    if items:
        made["items"] = schema(items)
    return made


def _kind(value: Any) -> str:
    kinds = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


# ---------------------------------------------------------------------------------------- the draft


@dataclass(slots=True)
class _Work:
    """A draft in the making."""

    provider: str
    heard: Sequence[_Heard]
    start: str
    read: str
    model: str
    unknowns: list[str] = field(default_factory=list)
    shapes: Tree = field(default_factory=dict)
    problems: Tree = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    @property
    def submits(self) -> list[_Heard]:
        return [h for h in self.heard if h.path == self.start and h.exchange.call.method == "POST"]

    @property
    def taken(self) -> list[_Heard]:
        return [h for h in self.submits if 200 <= h.status < 300]

    def draft(self) -> Draft:
        jobs = self._jobs()
        asked = self._asked(jobs)
        operations = self._operations(asked)
        states, moves = self._states(jobs)
        drafting.conditioned(self.shapes, states)
        name = self.model or drafting.name(next((p for p in reversed(self.start.split("/")) if p), "model"))
        parameters, canonical = self._parameters()
        timing = self._timing(jobs, states)
        replies = [reply for operation in operations.values() for reply in operation["replies"].values()]
        outputs = drafting.outputs(self.shapes, replies, self._unknown)
        self._silences()
        told = drafting.sources("Recorded traffic", "", self.read, "sample")
        protocol: Tree = {
            "kind": "protocol",
            "provider": self.provider,
            "title": self.provider,
            "sources": told,
            "evidence": "import",
            "servers": self._servers(),
            "auth": self._auth(),
            "states": states,
            "moves": moves,
            **drafting.silence("traffic"),
            "poll": {
                "every": {
                    "seconds": 1,
                    "evidence": unsaid("Traffic shows the client's pace, not the host's wish."),
                }
            },
            "shapes": self.shapes,
            "problems": self.problems,
            "operations": operations,
            "gaps": drafting.gaps(self.unknowns),
        }
        binding: Tree = {
            "kind": "endpoint",
            "provider": self.provider,
            "model": name,
            "slug": name,
            "title": f"{name} at {self.provider}",
            "sources": told,
            "evidence": "import",
            "parameters": parameters,
            "outputs": outputs,
            **timing,
        }
        layer: Tree = {
            "kind": "model",
            "model": name,
            "title": name,
            "capability": "unknown",
            "parameters": canonical,
        }
        head = ["A draft from recorded traffic. sample: seen. inferred: guessed from names. unknown: a placeholder."]
        return Draft(
            {
                f"models/{name}.yaml": drafting.yaml(layer, head),
                f"{self.provider}/protocol.yaml": drafting.yaml(protocol, head),
                f"{self.provider}/{name}.yaml": drafting.yaml(binding, head),
            },
            f"{self.provider}/{name}.yaml",
            tuple(self.unknowns),
        )

    def _unknown(self, says: str) -> None:
        if says not in self.unknowns:
            self.unknowns.append(says)

    def _silences(self) -> None:
        for says in (
            "parameters: bounds, defaults and which of them must be given cannot be seen.",
            "price, retention and limits cannot be seen.",
            "problems that nobody provoked were not seen.",
        ):
            self._unknown(says)

    # -------------------------------------------------------------------------------- what was seen

    def _jobs(self) -> list[_Job]:
        """The jobs of the recording, with every state word that was told of them."""
        jobs = {one.id: one for h in self.taken if (one := _Job(_id_of(h.told), h.exchange.at)).id}
        for h in sorted(self.heard, key=lambda h: h.exchange.at):
            word = _state_of(h.told)
            whose = next(
                (job for id_, job in jobs.items() if id_ in unquote(h.exchange.call.url) or _id_of(h.told) == id_),
                None,
            )
            if word and whose:
                whose.seen.append((h.exchange.at + h.exchange.took, word))
        return list(jobs.values())

    def _asked(self, jobs: Sequence[_Job]) -> dict[str, list[_Heard]]:
        """Templates of the GET calls that ask after a job."""
        found: dict[str, list[_Heard]] = {}
        for h in self.heard:
            for job in jobs if h.exchange.call.method == "GET" else ():
                template = _template(h, job.id)
                if template:
                    found.setdefault(template, []).append(h)
        return found

    def _states(self, jobs: Sequence[_Job]) -> tuple[Tree, list[Tree]]:
        words = list(dict.fromkeys(word for job in jobs for _, word in job.seen))
        if not words:
            self._unknown("states: no state word was seen; queued, running, succeeded, failed are placeholders.")
            placeholders = {
                word: {"status": word, "initial": word == "queued", "evidence": unsaid("Not seen.")}
                for word in drafting.PLACEHOLDER_STATES
            }
            return placeholders, drafting.moves(placeholders)
        found, trouble = drafting.states(words, "The word was seen, its meaning is guessed.")
        self.unknowns += trouble
        seen = {(a, b) for job in jobs for (_, a), (_, b) in zip(job.seen, job.seen[1:], strict=False) if a != b}
        return found, [{"from": a, "to": b, "evidence": SEEN} for a, b in sorted(seen)]

    def _timing(self, jobs: Sequence[_Job], states: Tree) -> Tree:
        """How long jobs took: a job ended between the poll that told it done and the one before."""
        waits = [wait for job in jobs if (wait := _reached(job, states, {"succeeded"})) is not None]
        if not waits:
            self._unknown("timing: no job was seen to succeed.")
            return {}
        begun = [wait for job in jobs if (wait := _reached(job, states, {"running", "succeeded"})) is not None]
        queued = any(states[word]["status"] == "queued" for job in jobs for _, word in job.seen)
        queue = min(statistics.median(begun), statistics.median(waits)) if queued else 0.0
        note = f"{len(waits)} jobs, {min(waits):.3g} to {max(waits):.3g} s, {_law(waits)}; between two polls."
        run = round(statistics.median(waits) - queue, 3)
        return {"timing": {"queue": round(queue, 3), "run": run, "evidence": {**SEEN, "note": note}}}

    # ------------------------------------------------------------------------------------ the parts

    def _operations(self, asked: Mapping[str, list[_Heard]]) -> Tree:
        does = "submit" if asked else "run"
        made = {does: self._operation(does, "POST", self.start, self.submits, "accepted" if asked else "done")}
        made[does]["request"]["body"] = "flat"
        ordered = sorted(asked.items(), key=lambda pair: (not any(_state_of(h.told) for h in pair[1]), -len(pair[1])))
        for name, (path, heard) in zip(("status", "result"), ordered, strict=False):
            made[name] = self._operation(name, "GET", path, heard, "state")
        if not asked:
            self._unknown("story: no call that asks after a job was seen.")
        for kind, code in drafting.NEEDED.items():
            if not any(entry["kind"] == kind for entry in self.problems.values()):
                placeholder = unsaid(f"No such reply was seen; {code} is a placeholder.")
                self.problems[kind] = drafting.problem(kind, code, None, placeholder)
        for operation in made.values():
            kinds = (
                "no_key",
                "bad_key",
                "rate_limited",
                "broken",
                "invalid" if operation["does"] == does else "unknown_job",
            )
            named = [next(n for n, e in self.problems.items() if e["kind"] == kind) for kind in kinds]
            operation["problems"] = list(dict.fromkeys([*operation["problems"], *named]))
        return made

    def _operation(self, does: str, method: str, path: str, heard: Sequence[_Heard], means: str) -> Tree:
        replies: Tree = {}
        for code in sorted({h.status for h in heard if _answers(h)}):
            bodies = [h.told for h in heard if h.status == code and isinstance(h.told, dict)]
            meaning = means if code < 300 else "failed"
            reply: Tree = {"status": code, "means": meaning}
            reply |= {"body": self._shape(does, bodies, meaning)} if bodies else {"media": "any"}
            replies[meaning if meaning not in replies else f"{meaning}-{code}"] = reply
        return {
            "does": does,
            "request": {"method": method, "path": path},
            "replies": replies or {means: {"status": 200, "means": means, "media": "any"}},
            "problems": self._problems(heard, asks=does not in ("submit", "run")),
        }

    def _shape(self, does: str, bodies: Sequence[Any], means: str) -> str:
        made = shapes.shape(schema(bodies), means, lambda says: None, self.words)
        name = f"{does}-body"
        while self.shapes.setdefault(name, made) != made:
            name = f"{name}-2"
        return name

    def _problems(self, heard: Sequence[_Heard], *, asks: bool) -> list[str]:
        named = []
        for code in sorted({h.status for h in heard if h.status >= 400 and not _answers(h)}):
            kind = (
                "unknown_model"
                if code == 404 and not asks
                else drafting.KINDS.get(code, "broken" if code >= 500 else "invalid")
            )
            name = next((n for n, e in self.problems.items() if (e["kind"], e["status"]) == (kind, code)), None)
            if name is None:
                name = drafting.problem_name(kind, code, self.problems)
                bodies = [h.told for h in heard if h.status == code and isinstance(h.told, dict)]
                body = shapes.shape(schema(bodies), "problem", lambda says: None, []) if bodies else None
                note = {
                    **SEEN,
                    "confidence": "inferred",
                    "note": "The code was seen, its meaning is guessed.",
                }
                self.problems[name] = drafting.problem(kind, code, body, note)
            named.append(name)
        return named

    def _parameters(self) -> tuple[Tree, Tree]:
        made: Tree = {}
        self._flatten(schema(h.asked for h in self.taken if isinstance(h.asked, dict)), "", made)
        canonical: Tree = {}
        for key, parameter in made.items():
            known = drafting.CANONICAL.get(snake(key.rpartition(".")[2]))
            if known and known[0] not in canonical:
                canonical[known[0]] = {"kind": known[1]}
                parameter["is"] = known[0]
        return made, canonical

    def _flatten(self, found: Tree, prefix: str, made: Tree) -> None:
        for key, child in found.get("properties", {}).items():
            if "." in key or not key:
                self._unknown(f"parameter {prefix}{key}: its name cannot be said in a contract.")
            elif child.get("properties"):
                self._flatten(child, f"{prefix}{key}.", made)
            else:
                made[f"{prefix}{key}"] = {k: v for k, v in shapes.fragment(child).items() if k != "required"}

    def _servers(self) -> Tree:
        parts = urlsplit(self.submits[0].exchange.call.url)
        outputs = (url for h in self.heard for url in re.findall(r'"(https?://[^"\s]+)"', json.dumps(h.told)))
        media = next((u for u in map(urlsplit, outputs) if u.netloc and u.netloc != parts.netloc), None)
        if media is None:
            self._unknown("servers: where pictures are kept was not seen.")
        return {
            "api": {"url": f"{parts.scheme}://{parts.netloc}", "keyed": True},
            "media": {"url": f"{media.scheme}://{media.netloc}"}
            if media
            else {"url": "https://media.example.invalid", "evidence": unsaid("Not seen.")},
        }

    def _auth(self) -> Tree:
        """The header that carries the key; the key itself is never looked at beyond its scheme word."""
        env = f"{re.sub(r'[^A-Z0-9]', '_', self.provider.upper())}_API_KEY"
        env = env if env[0].isalpha() else f"KEY_{env}"
        for name, value in (pair for h in self.taken for pair in h.exchange.call.headers):
            if re.fullmatch(r"authorization|.*api[-_]?key|x-key", name, re.IGNORECASE):
                word = re.match(r"(Bearer|Key|Token|Basic) ", value)
                return {"header": name.lower(), **({"prefix": word[0]} if word else {}), "env": env}
        self._unknown("auth: no header that carries a key was seen.")
        return {"header": "Authorization", "prefix": "Bearer ", "env": env, "evidence": unsaid("Not seen.")}
