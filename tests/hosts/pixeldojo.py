"""PixelDojo's p-image-edit as somebody else would build it from the published page: run a model, ask for the job.

`Ways` are honest differences that the page leaves room for; `defect` breaks one promise (README.md).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

from hosts.shell import KINDS, Ask, Job, Manner, Reply, Shell, blank, picture, say, sized, unreachable

KEY, OTHER_KEY = "pd_key_A", "pd_key_B"
RATIOS = ["1:1", "2:3", "3:2", "3:4", "4:3", "9:16", "16:9"]
KNOWN = ("prompt", "images", "aspect_ratio", "webhook_url")
PRICE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Honest differences between hosts; each is left open by the page."""

    manner: Manner = field(default_factory=Manner)
    wait: float = 0.03
    run: float = 0.07
    ids: str = "job"  # job, odd
    words: str = "nested"  # error bodies: nested, flat, problem
    unknown: str = "refuse"  # unknown parameters: refuse, ignore
    bad_input: int = 400  # no code for a bad request is on the page
    middle: bool = True  # whether a job says processing
    fetches: bool = True  # whether an unreachable input fails the job
    strict_inputs: bool = False  # whether addresses that lead to no picture count as unreachable
    lists_models: bool = True
    rich: bool = True
    kind: str = "png"
    hours: int = 1
    media_apart: bool = False
    grid: int = 16


class PixelDojoHost:
    """One running host."""

    def __init__(self, ways: Ways | None = None, defect: str = "") -> None:
        self.ways, self.defect = ways or Ways(), defect
        self.jobs: dict[str, Job] = {}
        self.media: dict[str, tuple[bytes, str]] = {}
        self.credits = {KEY: 95.0, OTHER_KEY: 40.0}
        self.lock = threading.RLock()
        self.chance = Random(5)
        self.calls = self.taken = 0
        self.shell = Shell(self.answer, self.ways.manner)
        self.store = Shell(self.answer, self.ways.manner) if self.ways.media_apart else self.shell

    def __enter__(self) -> PixelDojoHost:
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
            parts = [unquote(part) for part in urlsplit(ask.path).path.strip("/").split("/")]
            if parts[0] == "pixeldojotemp":
                return self.file(parts[-1])
            if parts[:2] != ["api", "v1"]:
                return self.error(404, "not_found", "No such page")
            if parts[2:3] == ["models"] and ask.method == "GET" and self.ways.lists_models:
                return self.catalogue(parts[3:])
            refusal = self.doorman(ask)
            if refusal:
                return refusal
            match (ask.method, parts[2:]):
                case ("POST", ["models", "p-image-edit", "run"]):
                    return self.submit(ask)
                case ("GET", ["jobs", id]):
                    return self.status(id, ask)
                case (_, ["models", "p-image-edit", "run"]) | (_, ["jobs", _]):
                    return self.error(405, "method_not_allowed", "Wrong method")
                case ("POST", ["models", _, "run"]):
                    return self.error(404, "model_not_found", "No such model")
            return self.error(404, "not_found", "No such page")

    def error(self, status: int, code: str, text: str) -> Reply:
        if self.has("errors-in-200"):
            status = 200
        if self.has("errors-as-html") and status == self.ways.bad_input:
            return Reply(status, b"<!doctype html><h1>Bad Request</h1>", "text/html")
        if self.ways.words == "nested":
            return say(status, {"error": {"status": status, "message": text, "code": code}})
        if self.ways.words == "flat":
            return say(status, {"error": text})
        return say(status, {"type": "about:blank", "title": code, "detail": text}, kind="application/problem+json")

    def doorman(self, ask: Ask) -> Reply | None:
        header = ask.headers.get("authorization", "")
        key = header[7:] if header.lower().startswith("bearer ") else None
        if key is None and not self.has("no-key-needed"):
            return self.error(401, "invalid_api_key", "Send your key")
        if key is not None and key not in self.credits and not self.has("any-key-will-do"):
            return self.error(403 if self.has("bad-key-403") else 401, "invalid_api_key", "This key is not valid")
        return None

    def owner(self, ask: Ask) -> str:
        key = ask.headers.get("authorization", "")[7:]
        return key if key in self.credits else KEY

    def catalogue(self, rest: list[str]) -> Reply:
        cost = {"default": PRICE, "type": "fixed", "amount": PRICE}
        text = {"type": "string"}
        properties = {
            "prompt": text,
            "images": {"type": "array", "items": text},
            "aspect_ratio": {"type": "string", "enum": RATIOS},
        }
        schema = {"type": "object", "required": ["prompt", "images"], "properties": properties}
        schema["additionalProperties"] = False
        model = {"apiId": "p-image-edit", "name": "P-Image Edit", "modality": "image", "creditCost": cost}
        model["description"] = "Fast edits"
        match rest:
            case []:
                return say(200, {"models": [model], "total": 1, "imageCount": 1, "videoCount": 0})
            case ["p-image-edit"]:
                return say(200, model | {"requestSchema": schema})
            case ["p-image-edit", "schema"]:
                return say(200, schema)
        return self.error(404, "model_not_found", "No such model")

    # Requests

    def faults(self, body: dict[str, Any]) -> Iterator[str]:
        prompt, images, ratio = body.get("prompt"), body.get("images"), body.get("aspect_ratio")
        if prompt is None and not self.has("required-not-enforced"):
            yield "prompt is required"
        if prompt is not None and not isinstance(prompt, str) and not self.has("types-not-enforced"):
            yield "prompt must be a string"
        if images is None and not self.has("images-not-required"):
            yield "images is required"
        strings = isinstance(images, list) and all(isinstance(item, str) for item in images)
        if images is not None and not strings and not self.has("types-not-enforced"):
            yield "images must be an array of addresses"
        if strings and isinstance(images, list):
            if not images:
                yield "images is empty"
            if len(images) > 5 and not self.has("six-images"):
                yield "images: up to 5"
            if len(images) > 4 and self.has("refuses-five-images"):
                yield "images: up to 4"
        if ratio is not None and ratio not in RATIOS and not self.has("enum-not-enforced"):
            yield f"aspect_ratio: one of {RATIOS}"
        if ratio == "3:2" and self.has("refuses-3:2"):
            yield "aspect_ratio: 3:2 is not available"
        if self.ways.unknown == "refuse":
            yield from (f"{name} is not known" for name in body if name not in KNOWN)

    def submit(self, ask: Ask) -> Reply:
        try:
            body = ask.json()
        except ValueError:
            return self.error(self.ways.bad_input, "invalid_request", "not JSON")
        wrong = list(self.faults(body)) if isinstance(body, dict) else ["send an object"]
        if wrong:
            status = 500 if self.has("bad-input-500") else self.ways.bad_input
            return self.error(status, "invalid_request", "; ".join(wrong))
        self.taken += 1
        unique = uuid.uuid4().hex
        id = f"job_{unique[:16]}" if self.ways.ids == "job" else f"j:{unique[:9]}@eu-1"
        if self.has("same-id-twice") and self.jobs and self.taken % 2 == 0:
            id = list(self.jobs)[-1]
        owner = self.owner(ask)
        job = Job(id, owner, body, self.ways.wait, self.ways.run if not self.has("never-ends") else 1e9)
        images = body.get("images")
        links = [str(link) for link in images] if isinstance(images, list) else []
        if self.ways.fetches and any(unreachable(link, self.ways.strict_inputs) for link in links):
            job.error = "An input image could not be loaded"
        job.cost = PRICE * (2 if self.has("cost-too-high") else 1)
        if not job.error or self.has("failed-charged"):
            self.credits[owner] -= job.cost
        job.extra["until"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600 * self.ways.hours))
        self.jobs[id] = job
        return self.accepted(job)

    # Answers

    def accepted(self, job: Job) -> Reply:
        base = "http://jobs.elsewhere.example" if self.has("links-elsewhere") else self.shell.links
        body: dict[str, Any] = {
            "expiresAt": job.extra["until"],
            "creditsRemaining": self.credits[job.owner],
            "creditCost": job.cost,
            "statusUrl": f"{base}/api/v1/jobs/{job.id}",
            "status": "pending",
            "jobId": job.id,
        }
        if self.has("credits-do-not-fall"):
            body["creditsRemaining"] = 95.0
        if self.has("ack-status-queued"):
            body["status"] = "queued"
        for name in list(body):
            if self.has(f"ack-without-{name}"):
                del body[name]
            if self.has(f"ack-null-{name}"):
                body[name] = None
        if self.has("cost-as-text"):
            body["creditCost"] = str(job.cost)
        if self.has("expired-at-once"):
            body["expiresAt"] = "2025-01-23T12:00:00Z"
        if self.has("expires-as-number"):
            body["expiresAt"] = int(time.time())
        kind = "text/html" if self.has("ack-as-text") else "application/json"
        return say(200 if self.has("ack-200") else 202, body, kind=kind)

    def status(self, id: str, ask: Ask) -> Reply:
        job = self.jobs.get(id)
        if job is None or job.owner != self.owner(ask) and not self.has("shows-other-accounts"):
            if self.has("unknown-200"):
                later = "2027-01-01T00:00:00Z"
                return say(200, {"jobId": id, "status": "pending", "creditCost": PRICE, "expiresAt": later})
            return self.error(500 if self.has("unknown-500") else 404, "job_not_found", "No such job")
        if self.has("unknown-at-first") and job.age < 1.2:
            return self.error(404, "job_not_found", "No such job")
        job.polls += 1
        job.done_polls += job.phase in ("done", "failed")
        if self.has("job-gone-after-fetch") and job.done_polls > 1:
            return self.error(404, "job_not_found", "No such job")
        return self.told(job)

    def told(self, job: Job) -> Reply:
        running = "processing" if self.ways.middle else "pending"
        state = {"waiting": "pending", "running": running, "failed": "failed", "done": "completed"}[job.phase]
        if self.has("steps-back") and job.phase == "running" and job.age > job.wait + job.run * 0.6:
            state = "pending"
        if self.has("completed-then-processing") and job.phase == "done" and job.done_polls > 1:
            state = "processing"
        if self.has("undocumented-state") and job.phase == "running":
            state = "rendering"
        if self.has("upper-case-state"):
            state = state.upper()
        body: dict[str, Any] = {"expiresAt": job.extra["until"], "creditCost": job.cost, "status": state}
        body["jobId"] = job.id
        if self.ways.rich:
            body |= {"model": "p-image-edit", "createdAt": "2026-11-21T00:00:00Z"}
        if job.phase == "done" and state.lower() == "completed":
            images = self.images(job)
            body["output"] = {"images": images}
            if self.has("output-missing"):
                del body["output"]
            if self.has("output-empty"):
                body["output"] = {"images": []}
            if self.has("output-null-in-five") and self.chance.random() < 0.2:
                body["output"] = None
            if self.has("output-objects"):
                body["output"] = {"images": [{"url": link} for link in images]}
        if state == "failed" and not self.has("failed-without-error"):
            body["error"] = job.error
        if state == "failed" and self.has("failed-500"):
            return say(500, body)
        if self.has("job-id-changes"):
            body["jobId"] = f"job_{uuid.uuid4().hex[:16]}"
        for name in ("jobId", "status", "creditCost", "expiresAt"):
            if self.has(f"status-without-{name}"):
                del body[name]
        if self.has("cost-changes") and state == "completed":
            body["creditCost"] = 0.5
        if self.has("expiry-moves") and state == "completed":
            body["expiresAt"] = "2025-01-23T12:00:00Z"
        return say(200, body)

    def images(self, job: Job) -> list[str]:
        if "links" not in job.extra:
            ratio = job.body.get("aspect_ratio", "4:3")
            ratio = ratio if isinstance(ratio, str) and ratio in RATIOS else "1:1"
            if self.has("ratio-ignored"):
                ratio = "1:1"
            wide, high = map(int, ratio.split(":"))
            width, height = sized(wide / high, self.ways.grid)
            kind = self.ways.kind
            body = picture(width, height, kind, job.id)
            if self.has("blank-picture"):
                body = blank(width, height, kind)
            if self.has("truncated-picture"):
                body = body[: len(body) // 2]
            name = f"{int(time.time())}-{self.chance.randrange(10**6)}.{kind}"
            self.media[name] = (body, KINDS[kind])
            job.extra["links"] = [f"{self.store.links}/pixeldojotemp/{name}"]
        return list(job.extra["links"])

    def file(self, name: str) -> Reply:
        if name not in self.media or self.has("picture-404"):
            return Reply(404, b"gone", "text/plain")
        body, mime = self.media[name]
        return Reply(200, body, "application/json" if self.has("picture-type-wrong") else mime)
