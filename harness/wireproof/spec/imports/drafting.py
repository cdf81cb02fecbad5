"""What every importer shares: the draft, what names usually mean, and contract files as text.

A guess is marked `inferred`, a placeholder `unknown`; neither can ever become a violation of the host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wireproof.errors import UsageError
from wireproof.spec import reading

Tree = dict[str, Any]

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Draft:
    """The three layers of a contract as text, and what has to be filled in by hand."""

    files: Mapping[str, str]
    """Path inside a `specs` room to the text of the file."""
    endpoint: str
    """Which of the files is the endpoint."""
    unknowns: tuple[str, ...]
    """What the original cannot say or did not, one sentence each."""


def write(draft: Draft, folder: Path, *, replace: bool = False) -> tuple[Path, ...]:
    """Write the files below a `specs` room. Raises UsageError where one is there already, unless replaced."""
    paths = [folder / name for name in draft.files]
    taken = [str(path) for path in paths if path.exists()]
    if taken and not replace:
        raise UsageError(f"{', '.join(taken)}: there already; take another folder or another name")
    for path, text in zip(paths, draft.files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tuple(paths)


def name(text: str) -> str:
    """A name that a contract may carry: small letters, digits, dots and dashes. `draft` when nothing is left."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:64]
    return plain or "draft"


def sentence(text: Any, most: int = 200) -> str:
    """The first sentence of a foreign text on one line, without what does not print."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(text or "")).split())
    first = re.split(r"(?<=[.!?])\s", flat, maxsplit=1)[0]
    return first if len(first) <= most else f"{first[: most - 1]}…"


# -------------------------------------------------------------------------------- what names mean

CANONICAL: Mapping[str, tuple[str, str]] = {
    "prompt": ("prompt", "text"),
    "positive_prompt": ("prompt", "text"),
    "text_prompt": ("prompt", "text"),
    "negative_prompt": ("negative_prompt", "text"),
    "images": ("images", "media"),
    "image_urls": ("images", "media"),
    "reference_images": ("images", "media"),
    "image": ("image", "media"),
    "image_url": ("image", "media"),
    "input_image": ("image", "media"),
    "mask": ("mask", "media"),
    "aspect_ratio": ("aspect_ratio", "ratio"),
    "ratio": ("aspect_ratio", "ratio"),
    "width": ("width", "size"),
    "height": ("height", "size"),
    "seed": ("seed", "seed"),
    "output_format": ("output_format", "choice"),
    "format": ("output_format", "choice"),
    "output_quality": ("output_quality", "number"),
    "num_images": ("count", "count"),
    "num_outputs": ("count", "count"),
    "number_results": ("count", "count"),
    "model": ("variant", "choice"),
    "steps": ("steps", "number"),
    "guidance": ("guidance", "number"),
}
"""Usual names of parameters to those that a model knows, and their kinds."""

VALUES: Mapping[str, str] = {
    "status": "job.state",
    "state": "job.state",
    "task_status": "job.state",
    "progress": "job.progress",
    "failure_reason": "job.error",
    "error_message": "job.error",
    "polling_url": "link.status",
    "status_url": "link.status",
    "poll_url": "link.status",
    "response_url": "link.result",
    "result_url": "link.result",
    "cancel_url": "link.cancel",
    "created_at": "job.created_at",
    "expires_at": "job.expires_at",
    "cost": "job.cost",
    "credits_remaining": "account.balance",
}
"""Usual names of places in a reply to what stands there."""

HEADERS: Mapping[str, str] = {"retry-after": "retry.after", "location": "link.status"}
"""Usual headers of a reply to what they carry."""

IDS = ("id", "job_id", "request_id", "task_id", "prediction_id", "generation_id", "task_uuid")
OUTPUTS = (
    "output",
    "outputs",
    "image",
    "images",
    "image_url",
    "url",
    "urls",
    "sample",
    "samples",
    "video",
    "result",
    "assets",
    "data",
)
MESSAGES = ("message", "detail", "error", "title", "msg", "description", "reason")

_WORDS_OF: Mapping[str, str] = {
    "queued": "queued pending starting created submitted waiting inqueue accepted preparing queueing",
    "throttled": "throttled",
    "running": "running processing inprogress dreaming working generating active started",
    "succeeded": "succeeded success completed complete ready done finished succeed",
    "failed": "failed failure error fail errored rejected",
    "moderated": "moderated requestmoderated contentmoderated blocked nsfw",
    "canceled": "canceled cancelled aborted stopped",
    "timed_out": "timedout timeout",
    "expired": "expired tasknotfound notfound deleted gone",
}
STATES: Mapping[str, str] = {word: status for status, words in _WORDS_OF.items() for word in words.split()}
"""State words, without case and punctuation, to canonical statuses."""

KINDS: Mapping[int, str] = {
    400: "invalid",
    401: "bad_key",
    402: "out_of_credits",
    403: "forbidden",
    404: "unknown_job",
    405: "wrong_method",
    408: "timeout",
    409: "conflict",
    410: "gone",
    413: "too_large",
    415: "invalid",
    422: "invalid",
    429: "rate_limited",
    500: "broken",
    502: "broken",
    503: "overloaded",
    504: "timeout",
}
"""Status codes to the kind of problem that they usually are."""

NEEDED: Mapping[str, int] = {
    "invalid": 400,
    "no_key": 401,
    "bad_key": 401,
    "unknown_job": 404,
    "rate_limited": 429,
    "broken": 500,
}
"""Problems that every host has and a document may be silent about: kind to the placeholder's code."""

RETRY: Mapping[str, str] = dict.fromkeys(("rate_limited", "overloaded", "timeout", "broken"), "later")

GUESSED: Tree = {"source": "import", "confidence": "inferred"}
NOBODY: Tree = {"source": "nobody", "confidence": "unknown"}


def guessed(note: str) -> Tree:
    """Evidence of a guess."""
    return {**GUESSED, "note": note}


def unsaid(note: str) -> Tree:
    """Evidence of a placeholder."""
    return {**NOBODY, "note": note}


def snake(text: str) -> str:
    """`imageUrl`, `image-url` and `taskUUID` as `image_url` and `task_uuid`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def states(words: Sequence[str], note: str) -> tuple[Tree, list[str]]:
    """State words with the canonical status of each, and what could not be told of them."""
    found: Tree = {}
    trouble: list[str] = []
    told: set[str | None] = set()
    for word in words:
        status = STATES.get(_bare(word))
        if status is None:
            status = _placeholder(word, {STATES.get(_bare(known)) for known in words} | told)
            told.add(status)
            trouble.append(f"states: what {word!r} means is not known; {status} is a placeholder.")
            found[word] = {"status": status, "evidence": unsaid("What this word means is not known.")}
        else:
            found[word] = {"status": status, "evidence": guessed(note)}
    first = next((s for s in ("queued", "throttled", "running") if any(v["status"] == s for v in found.values())), "")
    for entry in found.values():
        if entry["status"] == first:
            entry["initial"] = True
            break
    return found, trouble


def _bare(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.lower())


def _placeholder(word: str, told: set[str | None]) -> str:
    """A status for a word that nobody knows: at work, unless no other word says how a job ends."""
    if word.lower().endswith("ing"):
        return "running"
    return next((status for status in ("succeeded", "failed") if status not in told), "running")


AT_WORK = ("queued", "throttled", "running")


def moves(states: Mapping[str, Tree]) -> list[Tree]:
    """Every move between the words that a job may make, as placeholders."""
    proof = unsaid("Which state may follow which is not stated.")
    return [
        {"from": before, "to": after, "evidence": proof}
        for before, left in states.items()
        for after, reached in states.items()
        if left["status"] in AT_WORK and _later(left["status"], reached["status"])
    ]


def _later(before: str, after: str) -> bool:
    return after not in AT_WORK or AT_WORK.index(after) > AT_WORK.index(before)


def conditioned(shapes: Mapping[str, Tree], states: Mapping[str, Tree]) -> None:
    """Let outputs stand in replies about jobs that succeeded, and reasons in those about failures."""
    good = [word for word, state in states.items() if state["status"] == "succeeded"]
    bad = [word for word, state in states.items() if state["status"] in ("failed", "moderated")]
    for shape in shapes.values():
        if any(child.get("is") == "job.state" for child in shape.get("properties", {}).values()):
            _conditioned(shape, good, bad)


def _conditioned(node: Tree, good: list[str], bad: list[str]) -> None:
    for child in node.get("properties", {}).values():
        delivers = child.get("each") == "output" or str(child.get("is", "")).startswith("output.")
        words = good if delivers else bad if child.get("is") == "job.error" else []
        if words:
            child["when"] = {"job.state": words}
        else:
            _conditioned(child, good, bad)


UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

PLACEHOLDER_STATES = ("queued", "running", "succeeded", "failed")


def problem(kind: str, code: int, body: Any, evidence: Tree) -> Tree:
    """One kind of error reply."""
    made: Tree = {"kind": kind, "status": code, "retry": RETRY.get(kind, "never"), "evidence": evidence}
    return made | ({"body": body} if body is not None else {"media": "any"})


def problem_name(kind: str, code: int, taken: Mapping[str, Any]) -> str:
    """The kind, or the kind and its code where the kind has a reply already."""
    return kind if kind not in taken else f"{kind}_{code}"


def silence(kind: str) -> Tree:
    """The protocol's placeholders for what neither a document nor traffic says."""
    keep = unsaid(f"The {kind} does not say how long it is kept.")
    return {
        "job": {
            "refused_at": {
                "at": "submit",
                "evidence": unsaid(f"The {kind} does not say where a bad parameter is refused."),
            }
        },
        "retention": {
            "record": {"seconds": None, "evidence": keep},
            "media": {"seconds": None, "evidence": keep},
        },
    }


def outputs(shapes: Mapping[str, Tree], replies: Sequence[Tree], unknown: Callable[[str], None]) -> Tree:
    """What a job delivers: one picture of some format, or none where no reply has a place for one."""
    form = {"any_of": ["png", "jpeg", "webp"], "evidence": unsaid("The format is not stated.")}
    if '"output.' in json.dumps(shapes) or any(reply.get("media") == "image" for reply in replies):
        return {"format": form}
    unknown(
        "outputs: no reply has a place that looks like a picture's address; "
        "mark it in its shape (`is: output.url`), and let count be 1."
    )
    return {"format": form, "count": 0}


def gaps(unknowns: Sequence[str]) -> Tree:
    """The unknowns as gaps of the contract, each under its topic, so that they stay in sight."""
    made: Tree = {}
    for says in unknowns:
        topic = name(says.partition(":")[0])
        same = sum(1 for other in made if re.fullmatch(rf"{re.escape(topic)}(-[0-9]+)?", other))
        made[f"{topic}-{same + 1}" if same else topic] = {"says": says, "evidence": "nobody"}
    return made


def sources(title: str, url: str, read: str, confidence: str) -> Tree:
    """The sources that a draft speaks of."""
    made: Tree = {"title": title, "read": read, "confidence": confidence}
    if re.match(r"https?://", url):
        made["url"] = url
    return {
        "import": made,
        "nobody": {"title": "No source: a placeholder", "read": read, "confidence": "unknown"},
    }


# ------------------------------------------------------------------------------- fragments, cleaned

KEYWORDS = (
    "default",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
)
FORMATS = ("uri", "uuid", "date-time", "email", "date")
TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")


def sound(fragment: Tree) -> Tree:
    """The fragment without what the loader refuses: absurd numbers, slow patterns, foreign formats."""
    kept = dict(fragment)
    if "pattern" in kept and reading.check_pattern(kept["pattern"]):
        del kept["pattern"]
    if kept.get("format") not in (None, *FORMATS):
        del kept["format"]
    for pointer, _ in list(reading.check_schema_numbers(kept, "")):
        kept.pop(pointer.split("/")[1], None)
    return {key: value for key, value in kept.items() if _plain(value)}


def _plain(value: Any) -> bool:
    """Whether a value is JSON that a contract may hold: no number that only a float's exponent can write."""
    try:
        return len(json.dumps(value, allow_nan=False)) < 4000
    except (TypeError, ValueError):
        return False


# -------------------------------------------------------------------------------------------- YAML

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"})


def yaml(tree: Tree, head: Sequence[str]) -> str:
    """A contract file. Every text is quoted, so that no reader takes it for anything else."""
    comments = [f"# {' '.join(line.split())}" for line in head]
    return "\n".join([*comments, *_block(tree, 0)]) + "\n"


def _block(tree: Mapping[str, Any], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for key, value in tree.items():
        shown = _scalar(value)
        if shown is not None:
            yield f"{pad}{_key(key)}: {shown}"
        elif isinstance(value, Mapping):
            yield f"{pad}{_key(key)}:"
            yield from _block(value, depth + 1)
        else:
            yield f"{pad}{_key(key)}:"
            yield from _items(value, depth + 1)
        if depth == 0:
            yield ""


def _items(values: Sequence[Any], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for value in values:
        yield f"{pad}- {json.dumps(value, ensure_ascii=False)}"


def _scalar(value: Any) -> str | None:
    """A value that fits on its key's line; None for one that needs a block."""
    if isinstance(value, Mapping):
        flat = all(not isinstance(inner, (Mapping, list)) for inner in value.values())
        if value and not (flat and len(json.dumps(value)) < 110):
            return None
        return "{" + ", ".join(f"{_key(key)}: {_scalar(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list) and len(json.dumps(value)) > 110:
        return None
    return json.dumps(_clean(value), ensure_ascii=False)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c == "\n" else " " for c in value)
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return {key: _clean(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _key(key: str) -> str:
    plain = _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS
    return key if plain else json.dumps(_clean(key), ensure_ascii=False)
