"""Segmind's three endpoints as somebody else would build them from the published pages: /v1 blocking, /v2 queued.

`Ways` are honest differences that the pages leave room for; `defect` breaks exactly one promise (table in README.md).
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

from hosts.shell import KINDS, Ask, Job, Manner, Reply, Shell, blank, picture, say, sized, unreachable

KEY, OTHER_KEY = "SG_0123456789abcdef", "SG_fedcba9876543210"
TOP = 999_999_999_999_999
RATIOS = ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3"]
YES, NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
PRICES = {"p-image": 0.005, "p-image-edit": 0.01, "p-image-try-on": 0.0197}
DEFAULTS = {
    "p-image": {"aspect_ratio": "16:9"},
    "p-image-edit": {"aspect_ratio": "match_input_image"},
    "p-image-try-on": {"prompt": "", "preserve_input_size": False, "turbo": False},
}
# Parameters that change no line of a picture: how it is packed, how large it is cut, whether it is looked at.
UNSEEN = ("output_format", "output_quality", "width", "height", "disable_safety_checker")
NAUGHTY = ("nude", "naked", "nsfw", "explicit", "porn", "gore", "sexual")

# name: (type, required, lowest, highest or longest, values)
Rule = tuple[str, bool, int | None, int | None, list[str] | None]
RULES: dict[str, dict[str, Rule]] = {
    "p-image": {
        "prompt": ("string", True, None, None, None),
        "aspect_ratio": ("string", False, None, None, [*RATIOS, "custom"]),
        "width": ("integer", False, 256, 1440, None),
        "height": ("integer", False, 256, 1440, None),
        "seed": ("integer", False, -1, TOP, None),
        "disable_safety_checker": ("boolean", False, None, None, None),
    },
    "p-image-edit": {
        "prompt": ("string", True, None, None, None),
        "image_urls": ("urls", True, 1, None, None),
        "aspect_ratio": ("string", False, None, None, ["match_input_image", *RATIOS]),
        "seed": ("integer", False, -1, TOP, None),
        "disable_safety_checker": ("boolean", False, None, None, None),
    },
    "p-image-try-on": {
        "person_image": ("url", True, None, None, None),
        "garment_images": ("urls", True, 1, 11, None),
        "output_format": ("string", False, None, None, ["webp", "jpg", "png"]),
        "output_quality": ("integer-like", False, 0, 100, None),
        "preserve_input_size": ("boolean", False, None, None, None),
        "prompt": ("string", False, None, None, None),
        "reference_pose": ("url", False, None, None, None),
        "seed": ("integer-like", False, None, None, None),
        "turbo": ("boolean", False, None, None, None),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Honest differences between hosts; each is left open by the pages."""

    manner: Manner = field(default_factory=Manner)
    wait: float = 0.04
    run: float = 0.08
    ids: str = "uuid"  # uuid, short, odd
    early: str = "state"  # what a result asked for too soon is answered with: state, 404, 409
    unknown: str = "ignore"  # unknown parameters: ignore, refuse
    lenient: bool = False  # "42" and 42.0 pass for 42, "true" and 1 for true, as pydantic's default has it
    words: str = "docs"  # error texts: docs, own
    rich: bool = True  # whether optional fields are in the answers
    kind: str = "jpeg"  # of pictures whose format nobody documents
    grid: int = 16
    v1_json: bool = False  # p-image's page says "Returns: Text/JSON"
    moderates: bool = True
    fetches: bool = True  # whether an unreachable input fails the job
    strict_inputs: bool = False  # whether addresses that lead to no picture count as unreachable
    media_apart: bool = False  # pictures come from a port of their own
    null_is_absent: bool = True
    accepted: int = 200


class SegmindHost:
    """One running host with all three models."""

    def __init__(self, ways: Ways | None = None, defect: str = "") -> None:
        self.ways, self.defect = ways or Ways(), defect
        self.jobs: dict[str, Job] = {}
        self.media: dict[str, tuple[bytes, str]] = {}
        self.credits = {KEY: 12.5, OTHER_KEY: 3.0}
        self.lock = threading.RLock()
        self.chance = Random(20)
        self.calls = 0
        self.taken = 0
        self.shell = Shell(self.answer, self.ways.manner)
        self.store = Shell(self.answer, self.ways.manner) if self.ways.media_apart else self.shell

    def __enter__(self) -> SegmindHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.shell.close()
        if self.store is not self.shell:
            self.store.close()

    @property
    def url(self) -> str:
        return self.shell.url

    def has(self, *names: str) -> bool:
        return self.defect in names

    # Routing

    def answer(self, ask: Ask) -> Reply:
        with self.lock:
            self.calls += 1
            parts = [unquote(part) for part in urlsplit(ask.path).path.split("/")[1:]]
            if parts[0] == "media":
                return self.file(parts[-1])
            refusal = self.doorman(ask, parts)
            if refusal:
                return refusal
            match (ask.method, parts):
                case ("GET", ["v2", "requests", id, "status"]):
                    return self.status(id, ask)
                case ("GET", ["v2", "requests", id]) | ("GET", ["v1", "requests", id]):
                    return self.result(id, ask)
                case ("GET", ["v1", "get-user-credits"]):
                    return say(200, {"credits": self.credits[self.owner(ask)]})
                case ("POST", ["v1" | "v2" as version, slug]) if slug in RULES:
                    return self.submit(version, slug, ask)
                case (_, ["v1" | "v2", slug]) if slug in RULES:
                    return Reply(405, b"<!doctype html><title>405</title><p>Method Not Allowed</p>", "text/html")
                case (_, ["v2", "requests", *_]):
                    return Reply(405, b"<!doctype html><title>405</title><p>Method Not Allowed</p>", "text/html")
            if self.has("unknown-model-400"):
                return self.error(400, "no such model")
            return self.error(404, "Model not found" if self.ways.words == "docs" else f"nothing lives at {ask.path}")

    def error(self, status: int, text: str) -> Reply:
        if self.has("errors-without-text") and status == 400:
            return say(400, {})
        if self.has("errors-as-html") and status == 400:
            return Reply(400, b"<html><body>Bad Request</body></html>", "text/html; charset=utf-8")
        if self.has("errors-as-200") and status == 400:
            return say(200, {"error": text})
        body: dict[str, Any] = {"error": text}
        if self.ways.words == "own":
            body |= {"trace": uuid.uuid4().hex, "docs": "https://docs.segmind.com"}
        return say(status, body)

    def owner(self, ask: Ask) -> str:
        key = ask.headers.get("x-api-key", "")
        return key if key in self.credits else KEY

    def doorman(self, ask: Ask, parts: list[str]) -> Reply | None:
        key = ask.headers.get("x-api-key")
        if self.has("no-key-needed") and key is None:
            return None
        if self.has("any-key-will-do") and key is not None:
            return None
        if self.has("key-cut-taken") and key and len(key) > 8 and any(known.startswith(key) for known in self.credits):
            return None
        if (
            self.has("key-longer-taken")
            and key
            and len(key) > 8
            and any(key.startswith(known) for known in self.credits)
        ):
            return None
        if self.has("status-needs-no-key") and parts[:2] == ["v2", "requests"]:
            return None
        if key is None:
            own = "please authenticate"
            return self.error(401, own if self.ways.words == "own" else "Missing Authorization or x-api-key in header")
        if key not in self.credits:
            status = 403 if self.has("bad-key-403") else 400 if self.has("bad-key-400") else 401
            if self.has("bad-key-200"):
                status = 200
            if self.has("bad-key-500"):
                status = 500
            own = "who are you?"
            docs = "Unauthorized. API key is invalid or may have expired."
            return self.error(status, own if self.ways.words == "own" else docs)
        return None

    # Requests

    def faults(self, slug: str, body: dict[str, Any]) -> Iterator[str]:
        """What is wrong with a request, one sentence each."""
        for name, (_, required, *_rest) in RULES[slug].items():
            missing = body.get(name) is None if self.ways.null_is_absent else name not in body
            if required and missing and not self.has("required-not-enforced"):
                yield f"'{name}' is a required property"
        for name, value in body.items():
            if name not in RULES[slug]:
                if self.ways.unknown == "refuse":
                    yield f"'{name}' is not known here"
            elif not (value is None and self.ways.null_is_absent):
                yield from self.misfit(name, value, RULES[slug][name])

    def misfit(self, name: str, value: Any, rule: Rule) -> Iterator[str]:
        kind, _, low, high, values = rule
        value = self.coerced(value, kind)
        if not fits(value, kind):
            if not self.has("types-not-enforced", f"type-of-{name}-not-enforced"):
                yield f"{name}: {value!r} is not of type {kind}"
            return
        if self.has("refuses-2:3") and value == "2:3" or self.has("refuses-webp") and value == "webp":
            yield f"{name}: {value} is not available"
        if self.has("refuses-top") and name in ("width", "seed") and value == high:
            yield f"{name}: must be below {high}"
        if self.has("refuses-bottom") and name == "height" and value == low:
            yield f"{name}: must be above {low}"
        if self.has("refuses-2^32") and name == "seed" and int(value) > 2**32:
            yield "seed: must be below 2^32"
        if values and value not in values and not self.has("enum-not-enforced"):
            yield f"{name}: {value!r} is not one of {values}"
        size = len(value) if isinstance(value, list) else int(value) if "integer" in kind else None
        if size is not None and low is not None and size < low and not self.has(f"lowest-{name}-not-enforced"):
            yield f"{name}: {value!r} is less than the minimum of {low}"
        if size is not None and high is not None and size > high and not self.has(f"highest-{name}-not-enforced"):
            yield f"{name}: {value!r} is greater than the maximum of {high}"

    def coerced(self, value: Any, kind: str) -> Any:
        """What pydantic's lax mode makes of a value."""
        if not self.ways.lenient:
            return value
        if kind in ("integer", "integer-like"):
            if isinstance(value, bool):
                return int(value)
            if isinstance(value, float) and value.is_integer():
                return int(value)
            if isinstance(value, str) and value.strip().lstrip("-").isdigit():
                return int(value)
        if kind == "boolean":
            if isinstance(value, str) and value.lower() in (*YES, *NO):
                return value.lower() in YES
            if isinstance(value, int | float) and value in (0, 1):
                return bool(value)
        return value

    def submit(self, version: str, slug: str, ask: Ask) -> Reply:
        try:
            body = ask.json()
        except ValueError as error:
            return self.error(400, f"Invalid JSON: {error}")
        if not isinstance(body, dict):
            return self.error(400, "The body must be an object")
        wrong = list(self.faults(slug, body))
        if wrong and self.has("bad-input-500"):
            return self.error(500, "Internal server error")
        if wrong and self.has("bad-input-422"):
            return self.error(422, "; ".join(wrong))
        if wrong:
            return self.error(400, "; ".join(wrong) if self.ways.words == "docs" else "we cannot do that")
        job = self.take(slug, body, self.owner(ask))
        return self.blocking(job) if version == "v1" else self.accepted(job)

    def take(self, slug: str, body: dict[str, Any], owner: str) -> Job:
        """A new job; what becomes of it is decided here."""
        self.taken += 1
        body = {name: self.coerced(value, RULES[slug][name][0]) for name, value in body.items() if name in RULES[slug]}
        # Where a defect lets a wrong value in, the host works on as if it had not been given.
        body = {name: value for name, value in body.items() if value is not None and fits(value, RULES[slug][name][0])}
        id = self.new_id()
        job = Job(id, owner, {"slug": slug, **body}, self.ways.wait, self.ways.run)
        if self.has("never-ends"):
            job.run = 1e9
        asked = int(body.get("seed", self.default_seed(slug)))
        fixed = 7 if self.has("minus-one-is-fixed") else self.chance.randrange(2**31)
        job.seed = fixed if asked == -1 else asked
        job.error = self.trouble(slug, body)
        job.cost = PRICES[slug] * (1.5 if self.has("cost-too-high") else 1)
        if not job.error or self.has("failed-charged"):
            self.credits[owner] -= job.cost
        job.extra["credits"] = round(self.credits[owner], 6)
        self.jobs[id] = job
        return job

    def default_seed(self, slug: str) -> int:
        if self.has("default-seed-random"):
            return self.chance.randrange(2**31)
        if self.has("default-seed-other"):
            return 43
        return 12345 if slug == "p-image-try-on" else 42

    def new_id(self) -> str:
        if self.has("same-id-twice") and self.taken % 2 == 0 and self.jobs:
            return list(self.jobs)[-1]
        unique = uuid.uuid4()
        return {"uuid": str(unique), "short": unique.hex[:10], "odd": f"rq~{unique.hex[:12]}.A_b=1"}[self.ways.ids]

    def trouble(self, slug: str, body: dict[str, Any]) -> str | None:
        """Why a job will fail, if it will."""
        words = str(body.get("prompt", "")).lower()
        if self.ways.moderates and not body.get("disable_safety_checker") and any(word in words for word in NAUGHTY):
            return "Content blocked by safety checker"
        links = [body.get("person_image"), body.get("reference_pose")]
        links += [*body.get("image_urls", []), *body.get("garment_images", [])]
        lost = [link for link in links if link is not None and unreachable(link, self.ways.strict_inputs)]
        if lost and self.ways.fetches:
            return f"Could not download {lost[0]}" if self.ways.words == "docs" else "worker exited: input"
        return None

    # Answers

    def links(self, id: str) -> dict[str, str]:
        base = "http://queue.segmind-cdn.example" if self.has("links-elsewhere") else self.shell.links
        links = {"status_url": f"{base}/v2/requests/{id}/status", "response_url": f"{base}/v2/requests/{id}"}
        if self.has("links-swapped"):
            links = {"status_url": links["response_url"], "response_url": links["status_url"]}
        return links | ({"poll_url": f"{base}/v1/requests/{id}"} if self.ways.rich else {})

    def accepted(self, job: Job) -> Reply:
        body = {**self.links(job.id), "status": "QUEUED", "request_id": job.id}
        if self.ways.rich:
            body |= {"queue_position": 0, "model": job.body["slug"]}
        for name in ("request_id", "status_url", "response_url", "status"):
            if self.has(f"ack-without-{name}"):
                del body[name]
            if self.has(f"ack-null-{name}"):
                body[name] = None  # type: ignore[assignment]
        if self.has("ack-id-number"):
            body["request_id"] = self.taken  # type: ignore[assignment]
        if self.has("ack-as-text"):
            return say(self.ways.accepted, body, kind="text/html; charset=utf-8")
        return say(self.ways.accepted, body)

    def found(self, id: str, ask: Ask, route: str) -> Job | Reply:
        """The job, or the 404 of one that is not there."""
        job = self.jobs.get(id)
        owner = self.owner(ask)
        if job and (job.owner == owner or self.has("shows-other-accounts")):
            if self.has("unknown-at-first") and job.age < 1.2 and route == "status":
                return self.error(404, f"Request {id} not found")
            return job
        known_form = len(id) == 36 and id.count("-") == 4
        if self.has("unknown-200") or self.has("unknown-200-uuid") and known_form:
            return say(200, {"status": "QUEUED", "request_id": id, "metrics": {}, **self.links(id)})
        if self.has("unknown-result-200") and route == "result":
            return say(200, {"status": "PROCESSING", "request_id": id, "metrics": {}})
        if self.has("unknown-400"):
            return self.error(400, "bad id")
        if self.has("unknown-500"):
            return self.error(500, "oops")
        if self.has("unknown-422"):
            return say(422, {"status": "FAILED", "error": "no such request", "request_id": id})
        return self.error(404, f"Request {id} not found" if self.ways.words == "docs" else "gone or never here")

    def word(self, job: Job) -> str:
        """The state as it is told."""
        job.polls += 1
        phase = job.phase
        if phase in ("done", "failed"):
            job.done_polls += 1
        if self.has("steps-back") and phase == "running" and job.age > job.wait + job.run * 0.6:
            return "QUEUED"
        if self.has("undocumented-state") and phase == "running":
            return "RUNNING"
        if self.has("lower-case-state") and phase == "done":
            return "completed"
        if self.has("completed-then-processing") and phase == "done" and job.done_polls > 1:
            return "PROCESSING"
        if self.has("completed-then-failed") and phase == "done" and job.age > job.wait + job.run + 0.3:
            job.error = "late trouble"
            return "FAILED"
        return {"waiting": "QUEUED", "running": "PROCESSING", "failed": "FAILED", "done": "COMPLETED"}[phase]

    def status(self, id: str, ask: Ask) -> Reply:
        job = self.found(id, ask, "status")
        if isinstance(job, Reply):
            return job
        state = self.word(job)
        if self.has("one-poll-500") and job.polls == 1 and self.taken % 4 == 1:
            return self.error(500, "Internal server error")
        if state == "FAILED":
            return self.failed(job)
        body: dict[str, Any] = {"request_id": job.id, "metrics": {}, "status": state}
        if self.ways.rich and state != "COMPLETED":
            body |= self.links(job.id)
        if state == "COMPLETED":
            body["metrics"] = self.times(job)
        if self.has("request-id-changes"):
            body["request_id"] = str(uuid.uuid4())
        if self.has("status-without-status"):
            del body["status"]
        if self.has("status-without-request_id"):
            del body["request_id"]
        if self.has("status-number"):
            body["status"] = 2
        if self.has("null-in-five") and self.chance.random() < 0.2:
            body["status"] = None
        if self.has("status-as-text"):
            return say(200, body, kind="text/plain")
        if self.has("status-cut"):
            return Reply(200, json.dumps(body).encode()[:-7])
        return say(200, body)

    def failed(self, job: Job) -> Reply:
        body: dict[str, Any] = {"metrics": self.times(job), "error": job.error, "status": "FAILED"}
        if self.ways.rich:
            body["request_id"] = job.id
        if self.has("failed-charged"):
            body["metrics"] |= {"cost": job.cost, "remaining_credits": job.extra["credits"]}
        if self.has("failed-without-error"):
            del body["error"]
        return say(200 if self.has("failed-200") else 500 if self.has("failed-500") else 422, body)

    def times(self, job: Job) -> dict[str, Any]:
        times: dict[str, Any] = {"inference_time": round(job.run, 3)}
        if self.ways.rich:
            times |= {"queue_time": round(job.wait, 3), "total_time": round(job.wait + job.run, 3)}
        if self.has("time-as-text"):
            times["inference_time"] = f"{job.run:.2f}"
        if self.has("time-negative"):
            times["inference_time"] = -1.0
        return times

    def result(self, id: str, ask: Ask) -> Reply:
        job = self.found(id, ask, "result")
        if isinstance(job, Reply):
            return job
        phase = job.phase
        if phase == "failed":
            return self.failed(job)
        if phase != "done":
            return self.too_soon(job)
        job.fetches += 1
        gone = (
            self.has("result-404-after-completed")
            or self.has("result-gone-after-2s")
            and job.age > job.wait + job.run + 2
            or self.has("result-gone-after-fetch")
            and job.fetches > 1
        )
        if gone:
            return self.error(404, f"Request {id} not found")
        if self.has("completed-then-422"):
            return say(422, {"status": "FAILED", "error": "upload failed", "metrics": {}})
        return say(200, self.done(job))

    def too_soon(self, job: Job) -> Reply:
        if self.ways.early == "404":
            return self.error(404, "result not ready")
        if self.ways.early == "409":
            return self.error(409, "still running")
        state = "QUEUED" if job.phase == "waiting" else "PROCESSING"
        return say(200, {"status": state, "request_id": job.id, "metrics": {}})

    def done(self, job: Job) -> dict[str, Any]:
        """The final body."""
        link, size, mime = self.paint(job)
        metrics = self.times(job)
        body: dict[str, Any] = {"output": link, "metrics": metrics, "status": "COMPLETED"}
        if self.ways.rich:
            metrics |= {"cost": job.cost, "remaining_credits": job.extra["credits"]}
            body |= {"request_id": job.id, "seed": job.seed, "prompt": job.body.get("prompt", "")}
            file = {"url": link, "content_type": mime, "file_name": link.rsplit("/", 1)[-1], "file_size": size}
            body |= {"images": [file], "timings": {"inference": job.run}}
        if self.has("cost-as-text"):
            metrics["cost"] = str(job.cost)
        if self.has("seed-echo-wrong"):
            body["seed"] = job.seed + 1
        if self.has("done-without-output"):
            del body["output"]
        if self.has("done-null-output"):
            body["output"] = None
        if self.has("done-output-number"):
            body["output"] = 7
        if self.has("done-without-metrics"):
            del body["metrics"]
        if self.has("done-without-status"):
            del body["status"]
        if self.has("output-null-in-five") and self.chance.random() < 0.2:
            body["output"] = None
        if self.has("result-says-processing"):
            body["status"] = "PROCESSING"
        return body

    # Pictures

    def shape(self, job: Job) -> tuple[int, int]:
        body = job.body
        ratio = body.get("aspect_ratio", "16:9" if body["slug"] == "p-image" else "match_input_image")
        if self.has("ratio-ignored"):
            ratio = "1:1"
        if self.has("ratio-swapped") and ":" in ratio:
            ratio = ":".join(reversed(ratio.split(":")))
        if body["slug"] == "p-image-try-on":
            return 768, 1024
        if ratio == "custom":
            width, height = body.get("width", 1024), body.get("height", 576)
            if self.has("custom-size-ignored"):
                return 1024, 576
            if self.has("custom-size-on-grid"):
                return max(64, width // 64 * 64), max(64, height // 64 * 64)
            return width, height
        if ratio == "match_input_image":
            return 816, 512
        wide, high = map(int, ratio.split(":"))
        return sized(wide / high, self.ways.grid)

    def about(self, job: Job) -> str:
        """What a picture depends on."""
        body = DEFAULTS[job.body["slug"]] | {k: v for k, v in job.body.items() if k not in UNSEEN}
        body["seed"] = job.seed
        if self.has("same-seed-other-picture"):
            body["seed"] = job.id
        if self.has("other-seed-same-picture"):
            body["seed"] = 0
        if self.has("placeholder"):
            body = {}
        return json.dumps(body, sort_keys=True)

    def drawn(self, job: Job) -> tuple[bytes, str]:
        """The picture's bytes and content type."""
        width, height = self.shape(job)
        asked = {"jpg": "jpeg", "png": "png", "webp": "webp"}.get(job.body.get("output_format", ""))
        default = "png" if job.body["slug"] == "p-image-try-on" else self.ways.kind
        kind = asked or default
        if self.has("format-ignored"):
            kind = "jpeg" if kind == "png" else "png"
        quality = max(1, int(job.body.get("output_quality", 95)))
        body = picture(width, height, kind, self.about(job), quality)
        if self.has("blank-picture"):
            body = blank(width, height, kind)
        if self.has("truncated-picture"):
            body = body[: len(body) * 2 // 3]
        if self.has("picture-is-html"):
            body = b"<html><body>Not here</body></html>"
        return body, KINDS[kind]

    def paint(self, job: Job) -> tuple[str, int, str]:
        """Makes the picture once and says where it lies."""
        if "link" not in job.extra:
            body, mime = self.drawn(job)
            name = f"{uuid.uuid4().hex}.{mime.rsplit('/', 1)[1]}"
            self.media[name] = (body, mime)
            job.extra["link"] = (f"{self.store.links}/media/{name}", len(body), mime)
        return job.extra["link"]

    def file(self, name: str) -> Reply:
        if name not in self.media or self.has("picture-404"):
            return Reply(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
        body, mime = self.media[name]
        if self.has("picture-gone-after-fetch"):
            del self.media[name]
        if self.has("picture-type-wrong"):
            mime = "application/json"
        return Reply(200, body, mime, {"cache-control": "max-age=604800"})

    def blocking(self, job: Job) -> Reply:
        """v1: the answer is the picture, or on p-image a JSON body where the host has it so."""
        self.lock.release()
        try:
            time.sleep(min(job.wait + job.run, 2))
        finally:
            self.lock.acquire()
        if self.has("v1-500"):
            return self.error(500, "Internal server error")
        if job.error:
            return self.error(200 if self.has("v1-error-200") else 400, job.error)
        if self.ways.v1_json and job.body["slug"] == "p-image":
            return say(200, self.done(job))
        body, mime = self.drawn(job)
        if self.has("v1-picture-type-wrong"):
            mime = "text/html"
        if self.has("v1-picture-called-webp"):
            mime = "image/webp"
        more = {"x-remaining-credits": str(job.extra["credits"]), "x-generation-time": f"{job.run:.2f}"}
        more["x-request-id"] = job.id
        return Reply(200, body, mime, more if self.ways.rich else {})


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a documented type."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "url":
            return isinstance(value, str)
        case "urls":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "integer-like":
            digits = isinstance(value, str) and value.lstrip("-").isdigit()
            return digits or isinstance(value, int) and not isinstance(value, bool)
    raise ValueError(kind)


if __name__ == "__main__":
    import sys

    with SegmindHost(defect=sys.argv[1] if len(sys.argv) > 1 else "") as host:
        print(host.url, flush=True)
        threading.Event().wait()
