"""A draft from somebody's OpenAPI document (3.0 or 3.1).

OpenAPI says requests, replies and codes. It cannot say what a state word means, how long things are
kept, what a job costs or which place of a reply holds the picture: those are guessed from names and
marked, or left open and listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from wireproof.errors import UsageError
from wireproof.spec.imports import drafting, shapes
from wireproof.spec.imports.drafting import Draft, Tree, guessed, sentence, snake, unsaid

MOST_BYTES = 16 << 20
MOST_NODES = 20_000
"""Nodes that one schema is followed for: references may make a small document endless."""
DEEPEST = 12

STANDARD = "OpenAPI"


def read(path: Path) -> Tree:
    """The document at `path`, JSON or YAML. Raises UsageError when it is no OpenAPI document."""
    if not path.is_file():
        raise UsageError(f"{path} is no file")
    if path.stat().st_size > MOST_BYTES:
        raise UsageError(f"{path} is larger than {MOST_BYTES >> 20} MiB")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        document = json.loads(text) if path.suffix == ".json" else YAML(typ="safe", pure=True).load(text)
    except (ValueError, RecursionError, YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {sentence(error)}") from None
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise UsageError(f"{path} is no OpenAPI 3 document: it does not begin with `openapi: 3.…`")
    if _is_too_much(document):
        raise UsageError(f"{path} holds more than {MOST_VALUES} values, aliases written out: it is no honest document")
    return document


MOST_VALUES = 2_000_000
"""Aliases of YAML can make a short file endless; so many values no document needs."""


def _is_too_much(document: Any) -> bool:
    """Whether a walk over the document would not come to an end in good time."""
    left, waiting = MOST_VALUES, [document]
    while waiting and left > 0:
        node = waiting.pop()
        left -= 1
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return left <= 0


def starts(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The calls that may start a job, as `POST /path`, the likeliest first."""
    book = _Book(document)
    found = [op for op in book.operations() if op.method == "POST" and not op.names and op.body() is not None]
    return tuple(op.address for op in sorted(found, key=lambda op: -_likely(book, op)))


def draft(
    document: Mapping[str, Any],
    *,
    provider: str,
    read: str,
    start: str = "",
    model: str = "",
) -> Draft:
    """Draft the three layers for the call that starts a job.

    `start` is an address (`POST /path`) or an operationId; empty takes the likeliest. `read` is the day
    on which the document was read (YYYY-MM-DD). Raises UsageError when no call can start a job.
    """
    if not drafting.NAME.fullmatch(provider):
        raise UsageError(f"{provider!r} cannot name a provider: small letters, digits, dots and dashes")
    book = _Book(document)
    submit = _chosen(book, start, starts(document))
    status = _status_of(book, submit)
    work = _Work(book, provider, model or drafting.name(_last(submit.path)), submit, status)
    return work.draft(read)


def _chosen(book: _Book, start: str, likely: Sequence[str]) -> _Operation:
    if not likely:
        raise UsageError("no call of this document can start a job: a POST with a body and without ids in its path")
    wanted = start or likely[0]
    known = {key: op for op in book.operations() for key in (op.address, op.id) if key}
    if wanted not in known or known[wanted].address not in likely:
        raise UsageError(f"{wanted!r} is no call that starts a job; there are {', '.join(likely[:20])}")
    return known[wanted]


def _last(path: str) -> str:
    parts = [part for part in path.split("/") if part and "{" not in part]
    return parts[-1] if parts else "model"


# ------------------------------------------------------------------------------------ the document


@dataclass(slots=True)
class _Book:
    """The document with its references followed."""

    document: Mapping[str, Any]
    followed: int = 0
    """Nodes of the schema that is being followed."""
    altogether: int = 0

    def follow(self, node: Any) -> Tree:
        """The node itself, or what it refers to inside the document; empty where that leads nowhere."""
        for _ in range(DEEPEST):
            if not isinstance(node, Mapping):
                return {}
            ref = node.get("$ref")
            if not isinstance(ref, str):
                return dict(node)
            node = self._at(ref) if ref.startswith("#/") else {}
        return {}

    def _at(self, ref: str) -> Any:
        node: Any = self.document
        for part in ref[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def schema(self, node: Any, depth: int = 0) -> Tree:
        """A schema with references and `allOf` put in, as far as `DEEPEST` and `MOST_NODES` allow."""
        self.followed = self.followed + 1 if depth else 0
        self.altogether += 1
        if depth > DEEPEST or self.followed > MOST_NODES or self.altogether > MOST_VALUES:
            return {}
        plain = self.follow(node)
        for part in plain.pop("allOf", ()):
            plain = _joined(plain, self.schema(part, depth + 1))
        choices = [self.schema(one, depth + 1) for key in ("oneOf", "anyOf") for one in plain.pop(key, ())]
        if choices:
            plain = _either(plain, choices)
        properties = plain.get("properties")
        if isinstance(properties, Mapping):
            plain["properties"] = {str(key): self.schema(child, depth + 1) for key, child in properties.items()}
        if isinstance(plain.get("items"), Mapping):
            plain["items"] = self.schema(plain["items"], depth + 1)
        return plain

    def operations(self) -> Iterator[_Operation]:
        """Every call of the document."""
        paths = self.document.get("paths")
        for path, item in paths.items() if isinstance(paths, Mapping) else ():
            shared = self.follow(item)
            for method in ("get", "post", "put", "patch", "delete"):
                if isinstance(shared.get(method), Mapping):
                    yield _Operation(self, method.upper(), str(path), shared[method], shared.get("parameters") or ())


def _joined(below: Tree, above: Tree) -> Tree:
    merged = {**below, **above}
    if "properties" in below and "properties" in above:
        merged["properties"] = {**below["properties"], **above["properties"]}
    if "required" in below and "required" in above:
        merged["required"] = sorted({*below["required"], *above["required"]})
    return merged


def _either(plain: Tree, choices: list[Tree]) -> Tree:
    """A choice, without the branch that only says null."""
    real = [one for one in choices if one.get("type") != "null"]
    nullable = len(real) < len(choices) or any(one.get("nullable") for one in real)
    if len(real) == 1:
        joined = _joined(real[0], plain)
        return {**joined, "nullable": True} if nullable else joined
    constants = [value for one in real for value in (one.get("enum") or ([one["const"]] if "const" in one else []))]
    if constants and all("enum" in one or "const" in one for one in real):
        return {**plain, "enum": constants}
    return {**plain, "anyOf": real, **({"nullable": True} if nullable else {})}


@dataclass(frozen=True, slots=True)
class _Operation:
    """One call of the document."""

    book: _Book
    method: str
    path: str
    node: Mapping[str, Any]
    shared: Sequence[Any]

    @property
    def address(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def id(self) -> str:
        return str(self.node.get("operationId") or "")

    @property
    def names(self) -> tuple[str, ...]:
        """The places of the path that have to be filled in."""
        return tuple(re.findall(r"\{([^}]+)\}", self.path))

    def parameters(self, kind: str) -> Iterator[Tree]:
        for node in (*self.shared, *(self.node.get("parameters") or ())):
            found = self.book.follow(node)
            if found.get("in") == kind and "name" in found:
                yield found

    def body(self) -> tuple[str, Any] | None:
        """Media type and schema of the body: JSON where there is a choice; None without a body."""
        content = self.book.follow(self.node.get("requestBody")).get("content") or {}
        for media in (*(m for m in content if "json" in m), *content):
            return str(media), self.book.follow(content[media]).get("schema", {})
        return None

    def replies(self) -> dict[int, tuple[str, Any, str]]:
        """Status code to media type, schema and description."""
        found: dict[int, tuple[str, Any, str]] = {}
        for code, node in self._responses():
            reply = self.book.follow(node)
            content = reply.get("content") or {}
            media = next((m for m in content if "json" in m), next(iter(content), ""))
            schema = self.book.follow(content.get(media)).get("schema")
            found[code] = str(media), schema, sentence(reply.get("description"))
        return found

    def _responses(self) -> Iterator[tuple[int, Any]]:
        """The replies by code: a range (`4XX`) stands under its first code, unless that has a reply of its own."""
        listed = self.node.get("responses")
        told = {str(code): node for code, node in listed.items()} if isinstance(listed, Mapping) else {}
        for code, node in told.items():
            if re.fullmatch(r"[1-5][0-9]{2}", code):
                yield int(code), node
            elif re.fullmatch(r"[1-5](XX|xx)", code) and f"{code[0]}00" not in told:
                yield int(f"{code[0]}00"), node

    def headers(self, code: int) -> Tree:
        """What the headers of a reply probably carry, in the words of a contract."""
        reply = self.book.follow(dict(self._responses()).get(code))
        named = {str(name).lower(): self.book.follow(node) for name, node in (reply.get("headers") or {}).items()}
        made: Tree = {}
        for name, word in drafting.HEADERS.items():
            if name in named:
                kind = self.book.schema(named[name].get("schema")).get("type")
                made[name] = {
                    "is": word,
                    "type": kind if kind in ("integer", "number") else "string",
                    "evidence": guessed(f"That it stands here is guessed from the name {name}."),
                }
        return made

    def good(self) -> dict[int, Tree]:
        """The JSON replies that mean success, references followed."""
        return {
            code: self.book.schema(schema)
            for code, (media, schema, _) in self.replies().items()
            if 200 <= code < 300 and "json" in media
        }


def _likely(book: _Book, op: _Operation) -> float:
    """How likely a call starts a job of ours: it takes a prompt or media, it has a call that asks after it."""
    body = op.body()
    schema = book.schema(body[1]) if body else {}
    names = {snake(name) for name in schema.get("properties", {})}
    hidden = set(re.findall(r"internal|manage|train|account|member|key|finetune|batch", op.path.lower()))
    json_taken = body is not None and "json" in body[0]
    score = 3.0 * ("prompt" in names) + 2.0 * bool(names & _MEDIA) + 3.0 * json_taken
    return score + 3.0 * _delivers(op) + 2.0 * bool(_status_of(book, op)) - 5.0 * bool(hidden) - 0.01 * len(op.path)


def _delivers(op: _Operation) -> bool:
    """Whether a good reply has a place for an output."""
    found = [shapes.shape(schema, "done", lambda says: None, []) for schema in op.good().values()]
    return "output.url" in json.dumps(found)


_MEDIA = {"image", "images", "image_url", "input", "input_image"}


def _status_of(book: _Book, submit: _Operation) -> _Operation | None:
    """The call that asks after the job: a GET with one id whose reply tells a state. The nearest path wins."""
    best: tuple[float, _Operation] | None = None
    for op in book.operations():
        query = [p["name"] for p in op.parameters("query") if p.get("required")]
        ids = [*op.names, *query]
        if op.method != "GET" or len(ids) != 1 or snake(ids[0]) not in (*drafting.IDS, f"{_stem(submit)}_id"):
            continue
        if not any(_state_place(schema) for schema in op.good().values()):
            continue
        shared = len(_common(op.path, submit.path)) + (5 if _same_reply(op, submit) else 0)
        if best is None or shared > best[0]:
            best = (shared, op)
    return best[1] if best and (best[0] > 0 or _has_id(submit)) else None


def _stem(op: _Operation) -> str:
    return snake(_last(op.path)).rstrip("s")


def _common(a: str, b: str) -> list[str]:
    parts = [(x, y) for x, y in zip(a.split("/")[1:], b.split("/")[1:], strict=False)]
    return [x for x, y in parts[: next((i for i, (x, y) in enumerate(parts) if x != y), len(parts))]]


def _same_reply(a: _Operation, b: _Operation) -> bool:
    return any(schema and schema in b.good().values() for schema in a.good().values())


def _has_id(op: _Operation) -> bool:
    return any(
        snake(name) in drafting.IDS
        for schema in op.good().values()
        for level in shapes.levels(schema)
        for name in level
    )


def _state_place(schema: Tree) -> Tree | None:
    for form in _forms(schema):
        for level in shapes.levels(form):
            for key, child in level.items():
                if drafting.VALUES.get(snake(key)) == "job.state":
                    return dict(child)
    return None


# ---------------------------------------------------------------------------------------- the draft


@dataclass(slots=True)
class _Work:
    """A draft in the making."""

    book: _Book
    provider: str
    model: str
    submit: _Operation
    status: _Operation | None
    unknowns: list[str] = field(default_factory=list)
    problems: Tree = field(default_factory=dict)
    shapes: Tree = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    good: list[Tree] = field(default_factory=list)

    def draft(self, read: str) -> Draft:
        info = self.book.document.get("info") or {}
        title = sentence(info.get("title") or self.provider)
        version = sentence(info.get("version"))
        told = drafting.sources(f"{title} {version}, OpenAPI document".strip(), "", read, "documented")
        operations = self._operations()
        parameters, canonical = self._parameters()
        states = self._states()
        for operation in operations.values():
            self._by_state(list(operation["replies"].values()), states)
        drafting.conditioned(self.shapes, states)
        outputs = drafting.outputs(self.shapes, self.good, self._unknown)
        self._silences()
        protocol: Tree = {
            "kind": "protocol",
            "provider": self.provider,
            "title": title,
            "sources": told,
            "evidence": "import",
            "servers": self._servers(),
            "auth": self._auth(),
            "states": states,
            "moves": drafting.moves(states),
            **drafting.silence("document"),
            "poll": {"every": {"seconds": 1, "evidence": unsaid("The document does not say how often to ask.")}},
            "shapes": self.shapes,
            "problems": self.problems,
            "operations": operations,
            "gaps": drafting.gaps(self.unknowns),
        }
        if any(_at_top(shape, "job.id").get("format") == "uuid" for shape in self.shapes.values()):
            protocol["job"]["id"] = {"pattern": drafting.UUID, "evidence": "import"}
        binding: Tree = {
            "kind": "endpoint",
            "provider": self.provider,
            "model": self.model,
            "slug": _last(self.submit.path),
            "title": sentence(self.submit.node.get("summary")) or f"{self.model} at {title}",
            "sources": told,
            "evidence": "import",
            "parameters": parameters,
            "outputs": outputs,
        }
        model: Tree = {
            "kind": "model",
            "model": self.model,
            "title": self.model,
            "capability": "unknown",
            "parameters": canonical,
        }
        return self._files(protocol, binding, model)

    def _files(self, protocol: Tree, binding: Tree, model: Tree) -> Draft:
        def head(kind: str) -> list[str]:
            return [
                f"yaml-language-server: $schema=../schema/{kind}.schema.json",
                f"A draft from {STANDARD}: {self.submit.address}.",
                "inferred: guessed from names. unknown: a placeholder. Both want a look.",
            ]

        endpoint = f"{self.provider}/{self.model}.yaml"
        return Draft(
            {
                f"models/{self.model}.yaml": drafting.yaml(model, head("model")),
                f"{self.provider}/protocol.yaml": drafting.yaml(
                    {k: v for k, v in protocol.items() if v != {}}, head("protocol")
                ),
                endpoint: drafting.yaml(binding, head("endpoint")),
            },
            endpoint,
            tuple(self.unknowns),
        )

    def _unknown(self, says: str) -> None:
        if says not in self.unknowns:
            self.unknowns.append(says)

    def _silences(self) -> None:
        """What the standard has no words for."""
        for says in (
            "price: OpenAPI cannot say what a job costs, nor who is billed for a failure.",
            "retention: OpenAPI cannot say how long a job and its pictures are kept.",
            "limits: OpenAPI cannot say how many calls or jobs are allowed.",
            "polling: OpenAPI cannot say how often to ask, nor when to give up.",
            "moves: OpenAPI cannot say which state may follow which.",
            "outputs: size and format of a picture are not stated in a form that could be read.",
            "rules: rules between parameters, if any, stand in prose only.",
        ):
            self._unknown(says)

    # ------------------------------------------------------------------------------------ hosts

    def _servers(self) -> Tree:
        listed = self.book.document.get("servers")
        first = self.book.follow(listed[0]) if isinstance(listed, list) and listed else {}
        url = re.sub(r"\{(\w+)\}", lambda m: _default_of(first, m[1]), str(first.get("url") or "")).rstrip("/")
        made: Tree
        if re.match(r"https?://[^/]", url):
            made = {"api": {"url": url, "keyed": True}}
        else:
            self._unknown("servers: the document names no address; https://api.example.invalid is a placeholder.")
            made = {
                "api": {
                    "url": "https://api.example.invalid",
                    "keyed": True,
                    "evidence": unsaid("No address is stated."),
                }
            }
        media = {
            "url": "https://media.example.invalid",
            "evidence": unsaid("Where pictures are kept is not stated."),
        }
        return {**made, "media": media}

    def _auth(self) -> Tree:
        env = f"{re.sub(r'[^A-Z0-9]', '_', self.provider.upper())}_API_KEY"
        env = env if env[0].isalpha() else f"KEY_{env}"
        schemes = (self.book.document.get("components") or {}).get("securitySchemes") or {}
        any_of_them: list[Any] = [{name: []} for name in schemes]
        wanted = self.submit.node.get("security", self.book.document.get("security")) or any_of_them
        for name in (name for one in wanted if isinstance(one, Mapping) for name in one):
            scheme = self.book.follow(schemes.get(name))
            if scheme.get("type") == "apiKey" and scheme.get("in") == "header":
                return {"header": str(scheme["name"]), "env": env}
            if scheme.get("type") == "http":
                kind = str(scheme.get("scheme") or "bearer")
                return {"header": "Authorization", "prefix": f"{kind.capitalize()} ", "env": env}
            if scheme.get("type") in ("oauth2", "openIdConnect"):
                self._unknown(f"auth: how a token is got ({scheme['type']}) is not carried over.")
                proof = guessed("A token of OAuth 2 usually travels so.")
                return {"header": "Authorization", "prefix": "Bearer ", "env": env, "evidence": proof}
        self._unknown("auth: the document does not say how a key is presented.")
        return {"header": "Authorization", "prefix": "Bearer ", "env": env, "evidence": unsaid("Not stated.")}

    def _states(self) -> Tree:
        if not self.words:
            self._unknown(
                "states: the document lists no state words; queued, running, succeeded, failed are placeholders."
            )
            return {
                word: {"status": word, "initial": word == "queued", "evidence": unsaid("Not stated.")}
                for word in drafting.PLACEHOLDER_STATES
            }
        found, trouble = drafting.states(
            list(dict.fromkeys(self.words)), "The word is documented, its meaning is guessed."
        )
        for says in trouble:
            self._unknown(says)
        return found

    # --------------------------------------------------------------------------------- requests

    def _parameters(self) -> tuple[Tree, Tree]:
        """The host's parameters, and the model's that they probably are."""
        media, node = self.submit.body() or ("", {})
        if "json" not in media:
            self._unknown(f"request: the body is {media}; it is drafted as JSON, which the host may not take.")
        made: Tree = {}
        self._flatten(self.book.schema(node), "", True, made, 0)
        for place in ("query", "header"):
            for parameter in self.submit.parameters(place):
                self._unknown(
                    f"parameter {parameter['name']}: travels as a {place} value, which a contract cannot say yet."
                )
        canonical: Tree = {}
        for key, parameter in made.items():
            known = drafting.CANONICAL.get(snake(key.rpartition(".")[2]))
            if known and known[0] not in canonical:
                canonical[known[0]] = {"kind": known[1]}
                parameter["is"] = known[0]
        return made, canonical

    def _flatten(self, schema: Tree, prefix: str, wanted: bool, made: Tree, depth: int) -> None:
        for key, child in schema.get("properties", {}).items():
            required = wanted and key in (schema.get("required") or ())
            if "." in key or not key:
                self._unknown(f"parameter {prefix}{key}: its name cannot be said in a contract.")
            elif child.get("readOnly"):
                continue
            elif child.get("properties") and depth < 3:
                self._flatten(child, f"{prefix}{key}.", required, made, depth + 1)
            else:
                made[f"{prefix}{key}"] = self._parameter(f"{prefix}{key}", child, required)

    def _parameter(self, key: str, child: Tree, required: bool) -> Tree:
        made = shapes.fragment(child)
        nested = made.pop("required", None)
        if nested:
            self._unknown(f"parameter {key}: which of its own entries must be given is not carried over.")
        if required:
            made["required"] = True
        if "default" in made and not shapes.allows(made, made["default"]):
            self._unknown(
                f"parameter {key}: its default, {made.pop('default')!r}, breaks its own rules; it is left out."
            )
        if (
            re.search(r"webhook|callback", key, re.IGNORECASE)
            and not re.search(r"event|secret|token|header", key, re.IGNORECASE)
            and made.get("type") != "array"
        ):
            made["calls_out"] = True
        says = sentence(child.get("description") or child.get("title"))
        return made | ({"says": says} if says else {})

    # ------------------------------------------------------------------------------- operations

    def _operations(self) -> Tree:
        waits = self.status is not None
        made: Tree = {"submit" if waits else "run": self._start(waits)}
        if self.status is not None:
            made["status"] = self._ask(self.status, "status")
            cancel = self._cancel(self.status)
            if cancel:
                made["cancel"] = self._ask(cancel, "cancel")
        else:
            called = self.submit.node.get("callbacks") or self.book.document.get("webhooks")
            by_webhook = " The host calls back with the result, which a contract cannot say yet." if called else ""
            self._unknown(
                "story: no call that asks after a job was found; the reply is drafted as holding the pictures."
                + by_webhook
            )
        for kind, code in drafting.NEEDED.items():
            if not any(entry["kind"] == kind for entry in self.problems.values()):
                placeholder = unsaid(f"The document has no such reply; {code} is a placeholder.")
                self.problems[kind] = drafting.problem(kind, code, None, placeholder)
                self._unknown(f"problem {kind}: the document has no reply for it; {code} is a placeholder.")
        for operation in made.values():
            asks = operation["does"] in ("status", "cancel")
            everywhere = ("no_key", "bad_key", "rate_limited", "broken", "unknown_job" if asks else "invalid")
            operation["problems"] = list(
                dict.fromkeys([*operation["problems"], *(self._called(kind) for kind in everywhere)])
            )
        return made

    def _called(self, kind: str) -> str:
        return next(name for name, entry in self.problems.items() if entry["kind"] == kind)

    def _start(self, waits: bool) -> Tree:
        path = self.submit.path
        body = self.submit.body()
        closed = bool(body) and self.book.schema(body[1] if body else {}).get("additionalProperties") is False
        policy: Tree = {"unknown_fields": "refused", "unknown_evidence": "import"} if closed else {}
        request = {"method": self.submit.method, "path": path, "body": "flat", **policy}
        return {
            "does": "submit" if waits else "run",
            "says": sentence(self.submit.node.get("summary")) or "Starts a job.",
            "request": request,
            "replies": self._replies(self.submit, "accepted" if waits else "done"),
            "problems": self._problems(self.submit, asks=False),
        }

    def _ask(self, op: _Operation, does: str) -> Tree:
        name = (*op.names, *(p["name"] for p in op.parameters("query") if p.get("required")))[0]
        path = op.path.replace(f"{{{name}}}", "{job.id}")
        if "{job.id}" not in path:
            path = f"{path}?{name}={{job.id}}"
        linked = does == "status" and any("link.status" in json.dumps(shape) for shape in self.shapes.values())
        made: Tree = {
            "does": does,
            "says": sentence(op.node.get("summary")) or f"Asks for the {does}.",
            "request": {"method": op.method, "path": path},
        }
        if linked:
            made["link"] = "status"
        made["replies"] = self._replies(op, "state" if does == "status" else "other")
        made["problems"] = self._problems(op, asks=True)
        return made

    def _cancel(self, status: _Operation) -> _Operation | None:
        ends = (f"{status.path}/cancel", f"{status.path}:cancel")
        for op in self.book.operations():
            says = f"{op.id} {op.node.get('summary') or ''}".lower()
            by_delete = op.method == "DELETE" and op.path == status.path and "cancel" in says
            if by_delete or op.method in ("POST", "PUT") and op.path in ends:
                return op
        return None

    def _replies(self, op: _Operation, means: str) -> Tree:
        """One alternative for each form of a good reply; forms are told apart by what only they have."""
        forms: dict[str, tuple[Tree, list[int]]] = {}
        for code, schema in op.good().items():
            for form in _forms(schema):
                forms.setdefault(self._shape(form, means), (form, []))[1].append(code)
        replies: Tree = {}
        for number, (name, (form, codes)) in enumerate(forms.items()):
            others = {key for other, (one, _) in forms.items() if other != name for key in one.get("properties", {})}
            own = sorted(set(form.get("properties", {})) - others)
            foreign = sorted(others - set(form.get("properties", {})))
            status = codes[0] if len(codes) == 1 else codes
            reply: Tree = {"status": status, "means": means, "body": name}
            headers = op.headers(codes[0])
            reply |= {"headers": headers} if headers else {}
            if len(forms) > 1:
                apart = {"having": [f"/{own[0]}"]} if number and own else {"lacking": [f"/{key}" for key in foreign]}
                reply |= apart
            replies[means if not number else f"{means}-{number + 1}"] = reply
        replies = replies or {means: self._unread(op, means)}
        self.good += replies.values()
        return replies

    def _by_state(self, replies: Sequence[Tree], states: Tree) -> None:
        """Give each of several forms of a reply the states that it can tell of, by what it holds."""
        held = [json.dumps(self.shapes.get(str(reply.get("body")), {})) for reply in replies]
        ends = {"succeeded": ["output." in text for text in held], "failed": ["job.error" in text for text in held]}
        if len(replies) < 2 or not all('"job.state"' in text for text in held) or not any(ends["succeeded"]):
            return
        for number, reply in enumerate(replies):
            mine = [status for status, there in ends.items() if there[number]]
            reply["states"] = [
                word
                for word, state in states.items()
                if (state["status"] in mine if mine else not any(ends.get(str(state["status"]), ())))
            ]
            for apart in ("having", "lacking"):
                reply.pop(apart, None)

    def _unread(self, op: _Operation, means: str) -> Tree:
        codes = [code for code in op.replies() if 200 <= code < 300] or [200]
        media = op.replies().get(codes[0], ("", None, ""))[0]
        self._unknown(f"{op.address}: its good reply has no JSON body that could be read.")
        return {"status": codes[0], "means": means, "media": "image" if "image" in media else "any"}

    def _shape(self, schema: Tree, means: str) -> str:
        name = "job" if _state_place(schema) else f"{means}-body"
        place = shapes.shape(schema, means, self._unknown, self.words)
        while self.shapes.setdefault(name, place) != place:
            name = f"{name}-2"
        return name

    def _problems(self, op: _Operation, *, asks: bool) -> list[str]:
        named = []
        for code, (media, schema, says) in op.replies().items():
            if code < 400:
                continue
            kind = (
                "unknown_model"
                if code == 404 and not asks
                else drafting.KINDS.get(code, "broken" if code >= 500 else "invalid")
            )
            body = self._error_body(schema) if "json" in media and schema else None
            entry = drafting.problem(kind, code, body, guessed("The code is documented, its meaning is guessed."))
            if says:
                entry["says"] = says
            headers = op.headers(code)
            entry |= {"headers": headers} if headers else {}
            named.append(self._enter(kind, code, entry))
        return list(dict.fromkeys(named))

    def _enter(self, kind: str, code: int, entry: Tree) -> str:
        same = next((n for n, e in self.problems.items() if (e["kind"], e["status"]) == (kind, code)), None)
        if same:
            return same
        name = drafting.problem_name(kind, code, self.problems)
        self.problems[name] = entry
        return name

    def _error_body(self, node: Any) -> str:
        place = shapes.shape(self.book.schema(node), "problem", self._unknown, [])
        name = "error"
        while self.shapes.setdefault(name, place) != place:
            name = f"{name}-2"
        return name


def _forms(schema: Tree) -> list[Tree]:
    """A body that is one of several objects, one by one."""
    choices = [one for one in schema.get("anyOf", ()) if one.get("properties")]
    return choices if choices and not schema.get("properties") else [schema]


def _at_top(shape: Tree, word: str) -> Tree:
    return next((dict(child) for child in shape.get("properties", {}).values() if child.get("is") == word), {})


def _default_of(server: Tree, name: str) -> str:
    variable = (server.get("variables") or {}).get(name)
    return str(variable.get("default", "")) if isinstance(variable, Mapping) else ""
