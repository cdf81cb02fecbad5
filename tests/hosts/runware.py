"""Runware's HTTP interface for prunaai:2@1 as somebody else would build it from the published page.

One address, arrays of tasks in, `data` or `errors` out. `Ways` are honest; `defect` breaks one promise (README.md).
"""

from __future__ import annotations

import base64
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hosts.shell import KINDS, Ask, Job, Manner, Reply, Shell, blank, picture, say, unreachable

KEY, OTHER_KEY = "rw_key_A", "rw_key_B"
PAIRS = [(1024, 1024), (1184, 896), (896, 1184), (1376, 768), (768, 1376), (1248, 832), (832, 1248)]
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
NAUGHTY = ("nude", "naked", "nsfw", "explicit", "porn", "gore", "sexual")

# name: (type, required, lowest or shortest, highest or longest, values)
Rule = tuple[str, bool, int | None, int | None, list[str] | None]
RULES: dict[str, Rule] = {
    "taskType": ("string", True, None, None, None),
    "taskUUID": ("uuid", True, None, None, None),
    "model": ("string", True, None, None, ["prunaai:2@1"]),
    "positivePrompt": ("string", True, 1, 2000, None),
    "outputType": ("string", False, None, None, ["URL", "base64Data", "dataURI"]),
    "outputFormat": ("string", False, None, None, ["JPG", "PNG", "WEBP"]),
    "outputQuality": ("integer", False, 20, 99, None),
    "webhookURL": ("url", False, None, None, None),
    "uploadEndpoint": ("url", False, None, None, None),
    "deliveryMethod": ("string", False, None, None, ["sync", "async"]),
    "safety": ("object", False, None, None, None),
    "safety.checkContent": ("boolean", False, None, None, None),
    "safety.mode": ("string", False, None, None, ["none", "fast"]),
    "ttl": ("integer", False, 60, None, None),
    "includeCost": ("boolean", False, None, None, None),
    "numberResults": ("integer", False, 1, 20, None),
    "inputs": ("object", False, None, None, None),
    "inputs.referenceImages": ("pictures", True, 1, 4, None),
    "width": ("integer", False, None, None, None),
    "height": ("integer", False, None, None, None),
    "providerSettings": ("object", False, None, None, None),
    "providerSettings.prunaai": ("object", False, None, None, None),
    "providerSettings.prunaai.turbo": ("boolean", False, None, None, None),
}

NO_RULE: Rule = ("", False, None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Honest differences between hosts; each is left open by the page."""

    manner: Manner = field(default_factory=Manner)
    wait: float = 0.02
    run: float = 0.06
    unknown_task: str = "404"  # getResponse for a task nobody gave: 404, 400, empty
    unknown_parameter: str = "refuse"  # refuse, ignore
    lenient: bool = False
    code: str = "family"  # error codes: family (invalidWidth), plain (invalidParameter)
    data_on_error: bool = True
    one_error: bool = False  # the first mistake only
    unasked_cost: bool = False  # all four samples of the page show it
    progress: bool = True
    in_flight_id: bool = True
    moderation: str = "error"  # what a blocked prompt gets: error, flag, nothing
    strict_inputs: bool = False  # whether addresses that lead to no picture count as unreachable
    unreachable: str = "submit"  # where a dead input shows: submit, run, never
    needs_images: bool = True
    sizes: str = "pairs"  # pairs, sixteen
    media_apart: bool = False
    at_once: bool = False  # an acknowledgement that says more than it must


class RunwareHost:
    """One running host."""

    def __init__(self, ways: Ways | None = None, defect: str = "") -> None:
        self.ways, self.defect = ways or Ways(), defect
        self.jobs: dict[str, Job] = {}
        self.media: dict[str, tuple[bytes, str]] = {}
        self.lock = threading.RLock()
        self.chance = Random(77)
        self.calls = self.taken = 0
        self.shell = Shell(self.answer, self.ways.manner)
        self.store = Shell(self.answer, self.ways.manner) if self.ways.media_apart else self.shell

    def __enter__(self) -> RunwareHost:
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
            if ask.path.startswith("/image/"):
                return self.file(ask.path.rsplit("/", 1)[1])
            if ask.path.rstrip("/") != "/v1":
                return self.refused(404, [self.problem("notFound", f"No route {ask.path}", {})])
            if ask.method != "POST":
                return self.refused(405, [self.problem("methodNotAllowed", "Use POST", {})])
            try:
                tasks = ask.json()
            except ValueError:
                return self.refused(400, [self.problem("invalidJSON", "The body is not JSON", {})])
            if not isinstance(tasks, list) or not tasks or not all(isinstance(task, dict) for task in tasks):
                return self.refused(400, [self.problem("invalidPayload", "Send an array of task objects", {})])
            return self.work(tasks, ask)

    def work(self, tasks: list[dict[str, Any]], ask: Ask) -> Reply:
        key, tasks = self.key(tasks, ask)
        accounts = (KEY, OTHER_KEY)
        if key is None and not self.has("no-key-needed"):
            body = self.problem("missingApiKey", "An API key is needed.", {"taskType": "authentication"}, "apiKey")
            return self.refused(401, [body])
        if key is not None and key not in accounts and not self.has("any-key-will-do"):
            text = "Invalid API key. Get one at https://my.runware.ai/signup"
            status = 403 if self.has("bad-key-403") else 200 if self.has("bad-key-200") else 401
            return self.refused(status, [self.problem("invalidApiKey", text, {"taskType": "authentication"}, "apiKey")])
        owner = key if key in accounts else KEY
        data: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        status = 200
        for task in tasks:
            code, items, wrong = self.task(task, owner)
            status = max(status, code)
            data += items
            errors += wrong
        if errors:
            return self.refused(status, errors, data)
        return say(200, {"data": data}, kind="text/plain" if self.has("answers-as-text") else "application/json")

    def key(self, tasks: list[dict[str, Any]], ask: Ask) -> tuple[str | None, list[dict[str, Any]]]:
        """The key, from the header or from a first element, and the tasks without that element."""
        header = ask.headers.get("authorization", "")
        if tasks[0].get("taskType") == "authentication":
            return str(tasks[0].get("apiKey")), tasks[1:]
        return (header[7:] if header.lower().startswith("bearer ") else None), tasks

    def problem(self, code: str, text: str, task: dict[str, Any], parameter: str | None = None) -> dict[str, Any]:
        body: dict[str, Any] = {"message": text, "code": code, "documentation": "https://runware.ai/docs/errors"}
        body |= {"parameter": parameter} if parameter else {}
        body |= {name: task[name] for name in ("taskType", "taskUUID") if name in task}
        if self.has("error-without-code"):
            del body["code"]
        return body

    def refused(self, status: int, errors: list[dict[str, Any]], data: list[dict[str, Any]] | None = None) -> Reply:
        if self.ways.one_error:
            errors = errors[:1]
        if self.has("errors-in-200"):
            status = 200
        if self.has("errors-500") and status == 400:
            status = 500
        if self.has("errors-as-html") and status == 400:
            return Reply(400, b"<html>Bad Request</html>", "text/html")
        if self.has("errors-as-object") and status == 400:
            return say(400, {"errors": errors[0]})
        if data or self.ways.data_on_error:
            return say(status, {"errors": errors, "data": data or []})
        return say(status, {"errors": errors})

    def task(self, task: dict[str, Any], owner: str) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
        """One task: HTTP status, data, errors."""
        match task.get("taskType"):
            case "imageInference":
                return self.inference(task, owner)
            case "getResponse":
                return self.response(task, owner)
            case "ping":
                return 200, [{"taskType": "ping", "pong": True}], []
            case "imageUpload":
                id = str(uuid.uuid4())
                link = f"{self.store.links}/image/os/a1/ws/2/ii/{id}.png"
                self.media[f"{id}.png"] = (picture(64, 64, "png", id), "image/png")
                body = {"taskType": "imageUpload", "taskUUID": task.get("taskUUID"), "imageUUID": id, "imageURL": link}
                return 200, [body], []
        return 400, [], [self.problem("invalidTaskType", "No such task type", task, "taskType")]

    # Requests

    def faults(self, task: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        """(parameter, code, sentence) for what is wrong with a task."""
        flat = dict(flatten(task))
        for name, (_, required, *_rest) in RULES.items():
            lax = self.has("required-not-enforced") and name == "positivePrompt"
            lax = lax or name == "inputs.referenceImages" and not self.ways.needs_images
            if required and flat.get(name) is None and not lax:
                yield name, "missing", f"'{name}' is required"
        for name, value in flat.items():
            if value is None:
                continue
            if name not in RULES:
                if self.ways.unknown_parameter == "refuse":
                    yield name, "unsupported", f"'{name}' is not supported by this model"
                continue
            yield from ((name, "invalid", text) for text in self.misfit(name, value, RULES[name]))
        yield from self.frame(flat)

    def frame(self, flat: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        width, height = flat.get("width"), flat.get("height")
        if self.has("any-size") or (width is None and height is None):
            return
        if not isinstance(width, int) or not isinstance(height, int):
            if width is None or height is None:
                yield "width,height", "invalid", "width and height go together"
            return
        sixteen = all(512 <= side <= 2048 and side % 16 == 0 for side in (width, height))
        if (width, height) not in PAIRS if self.ways.sizes == "pairs" else not sixteen:
            yield "width,height", "invalid", f"{width}x{height} is not offered"

    def misfit(self, name: str, value: Any, rule: Rule) -> Iterator[str]:
        kind, _, low, high, values = rule
        if self.ways.lenient and kind == "integer" and isinstance(value, str) and value.isdigit():
            value = int(value)
        if self.ways.lenient and kind == "boolean" and value in ("true", "false", 0, 1):
            value = value in ("true", 1)
        if not fits(value, kind):
            if not self.has("types-not-enforced", f"type-of-{name}-not-enforced"):
                yield f"{name} must be of type {kind}"
            return
        if values and value not in values and not self.has("enum-not-enforced", f"enum-of-{name}-not-enforced"):
            yield f"{name} must be one of {', '.join(values)}"
        size = value if kind == "integer" else len(value) if kind in ("string", "pictures") else 0
        if low is not None and size < low and not self.has(f"lowest-{name}-not-enforced"):
            yield f"{name}: at least {low}"
        top = high - 500 if high and self.has("prompt-limit-tighter") and name == "positivePrompt" else high
        if top is not None and size > top and not self.has(f"highest-{name}-not-enforced"):
            yield f"{name}: at most {top}"
        refused = {"refuses-WEBP": ("outputFormat", "WEBP"), "refuses-20-results": ("numberResults", 20)}
        if refused.get(self.defect) == (name, value):
            yield f"{name}: {value} is not available"

    def inference(self, task: dict[str, Any], owner: str) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
        faults = list(self.faults(task))
        if faults:
            return 400, [], [self.problem(self.code(name, kind), text, task, name) for name, kind, text in faults]
        id = str(task["taskUUID"])
        if id in self.jobs and not self.has("conflict-not-enforced"):
            text = "This taskUUID was used before"
            return 400, [], [self.problem("conflictTaskUUID", text, task, "taskUUID")]
        # Where a defect lets a wrong value in, the host works on as if it had not been given.
        flat = {name: value for name, value in flatten(task) if name not in RULES or fits(value, RULES[name][0])}
        flat = {name: value for name, value in flat.items() if value in (RULES.get(name, NO_RULE)[4] or [value])}
        trouble = self.trouble(flat)
        if trouble and (self.ways.unreachable == "submit" or trouble[0] == "contentPolicyViolation"):
            return 400, [], [self.problem(trouble[0], trouble[1], task, "inputs.referenceImages")]
        self.taken += 1
        job = Job(id, owner, flat, self.ways.wait, self.ways.run, error=trouble[1] if trouble else None)
        if self.has("never-ends"):
            job.run = 1e9
        job.extra = {"task": task, "code": trouble[0] if trouble else None, "items": {}}
        self.jobs[id] = job
        if flat.get("deliveryMethod", "sync") == "async":
            ack = {"taskUUID": id, "taskType": "imageInference"}
            if self.ways.at_once:
                ack |= {"status": "processing"}
            if self.has("ack-without-taskUUID"):
                del ack["taskUUID"]
            if self.has("ack-other-taskUUID"):
                ack["taskUUID"] = str(uuid.uuid4())
            if self.has("ack-without-taskType"):
                del ack["taskType"]
            return 200, [ack], []
        self.lock.release()
        try:
            time.sleep(min(job.wait + job.run, 2))
        finally:
            self.lock.acquire()
        if job.error:
            return 400, [], [self.problem(job.extra["code"], job.error, task)]
        return 200, self.results(job, polled=False), []

    def code(self, name: str, kind: str) -> str:
        if self.ways.code == "plain":
            return "unsupportedParameter" if kind == "unsupported" else f"{kind}Parameter"
        last = name.split(",", maxsplit=1)[0].rsplit(".", 1)[-1]
        return "unsupportedParameter" if kind == "unsupported" else f"{kind}{last[0].upper()}{last[1:]}"

    def trouble(self, flat: dict[str, Any]) -> tuple[str, str] | None:
        """Why a task will fail, if it will."""
        words = flat["positivePrompt"].lower() if isinstance(flat.get("positivePrompt"), str) else ""
        watched = flat.get("safety.checkContent") or flat.get("safety.mode") == "fast"
        if watched and self.ways.moderation == "error" and any(word in words for word in NAUGHTY):
            return "contentPolicyViolation", "The content was refused"
        links = [link for link in flat.get("inputs.referenceImages") or [] if str(link).startswith("http")]
        if self.ways.unreachable != "never" and any(unreachable(link, self.ways.strict_inputs) for link in links):
            return "invalidReferenceImages", "A reference image could not be fetched"
        return None

    # Answers

    def response(self, task: dict[str, Any], owner: str) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
        job = self.jobs.get(str(task.get("taskUUID")))
        if job is None or job.owner != owner and not self.has("shows-other-accounts"):
            if self.has("unknown-is-processing"):
                item = {"taskType": "imageInference", "taskUUID": task.get("taskUUID"), "status": "processing"}
                return 200, [item], []
            if self.ways.unknown_task == "empty":
                return 200, [], []
            status = 500 if self.has("unknown-500") else int(self.ways.unknown_task)
            return status, [], [self.problem("taskFailedOrNotFound", "No such task", task, "taskUUID")]
        job.polls += 1
        if self.has("forgets-after-fetch") and job.done_polls > 0:
            return 404, [], [self.problem("taskFailedOrNotFound", "No such task", task, "taskUUID")]
        if job.phase == "failed":
            return self.broken(job, task)
        if job.phase != "done":
            return 200, self.in_flight(job), []
        job.done_polls += 1
        if self.has("success-then-processing") and job.done_polls > 1:
            return 200, self.in_flight(job), []
        if self.has("empty-after-success") and job.done_polls > 1:
            return 200, [], []
        return 200, self.results(job, polled=True), []

    def broken(self, job: Job, task: dict[str, Any]) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
        inner = {"code": job.extra["code"], "message": job.error}
        item = {"taskType": "imageInference", "taskUUID": job.id, "status": "error", "error": inner}
        if self.has("failed-without-error"):
            del item["error"]
        if self.has("failed-with-cost"):
            item["cost"] = 0.0088
        return 200, [item], []

    def in_flight(self, job: Job) -> list[dict[str, Any]]:
        state = "processing"
        share = min(99, int(100 * job.age / (job.wait + job.run)))
        if self.has("undocumented-state"):
            state = "rendering"
        if self.has("progress-backwards"):
            share = 99 - share
        if self.has("progress-253"):
            share = 253
        items = []
        for number in range(int(job.body.get("numberResults", 1))):
            item: dict[str, Any] = {"status": state, "taskUUID": job.id, "taskType": "imageInference"}
            if self.ways.progress:
                item["progress"] = share
            if self.ways.in_flight_id:
                item["imageUUID"] = self.image_id(job, number)
            if self.has("poll-without-status"):
                del item["status"]
            items.append(item)
        return items

    def image_id(self, job: Job, number: int) -> str:
        return job.extra["items"].setdefault(("id", number), str(uuid.uuid4()))

    def results(self, job: Job, polled: bool) -> list[dict[str, Any]]:
        count = int(job.body.get("numberResults", 1))
        if self.has("one-result-short") and count > 1:
            count -= 1
        if self.has("one-result-too-many"):
            count += 1
        return [self.item(job, number, polled) for number in range(count)]

    def item(self, job: Job, number: int, polled: bool) -> dict[str, Any]:
        drawn = self.drawn(job, 0 if self.has("all-results-alike") else number)
        id = self.image_id(job, 0 if self.has("same-imageUUID") else number)
        item: dict[str, Any] = {"imageUUID": id, "seed": drawn["seed"], "taskUUID": job.id}
        item |= {"taskType": "imageInference"} | self.delivered(job, id, drawn)
        if polled:
            item = {"status": "success"} | item
        if (job.body.get("includeCost") or self.ways.unasked_cost) and not self.has("no-cost-when-asked"):
            item["cost"] = 0.0088
        if "cost" in item and self.has("cost-too-high"):
            item["cost"] = 0.0114
        if "cost" in item and self.has("cost-as-text"):
            item["cost"] = "0.0088"
        if job.body.get("safety.checkContent") or job.body.get("safety.mode") == "fast":
            words = job.body["positivePrompt"].lower()
            item["NSFWContent"] = self.ways.moderation == "flag" and any(word in words for word in NAUGHTY)
        for name in ("taskUUID", "imageUUID", "seed", "taskType"):
            if self.has(f"item-without-{name}"):
                del item[name]
        if self.has("item-null-imageURL") and "imageURL" in item:
            item["imageURL"] = None
        if self.has("item-null-in-five") and self.chance.random() < 0.2:
            item["imageUUID"] = None
        if self.has("seed-as-text"):
            item["seed"] = str(item["seed"])
        if self.has("other-taskUUID"):
            item["taskUUID"] = str(uuid.uuid4())
        return item

    def delivered(self, job: Job, id: str, drawn: dict[str, Any]) -> dict[str, str]:
        """The picture in the form that was asked for."""
        kind = job.body.get("outputType", "URL")
        if self.has("type-ignored"):
            kind = "URL"
        body, mime = drawn["body"], drawn["mime"]
        text = base64.b64encode(body).decode()
        if kind == "base64Data":
            return {"imageBase64Data": text}
        if kind == "dataURI":
            return {"imageDataURI": f"data:{'image/gif' if self.has('data-uri-type-wrong') else mime};base64,{text}"}
        name = f"{id}.{ {'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp'}[mime] }"
        self.media[name] = (body, mime)
        base = "http://im.elsewhere.example" if self.has("links-elsewhere") else self.store.links
        return {"imageURL": f"{base}/image/os/a24d12/ws/2/ii/{name}"}

    def drawn(self, job: Job, number: int) -> dict[str, Any]:
        """A picture, made once."""
        made = job.extra["items"].get(number)
        if made is None:
            width, height = job.body.get("width", 1248), job.body.get("height", 832)
            if self.has("wrong-size"):
                width, height = width - 16, height - 16
            if self.has("sides-swapped"):
                width, height = height, width
            kind = {"JPG": "jpeg", "PNG": "png", "WEBP": "webp"}[job.body.get("outputFormat", "JPG")]
            if self.has("format-ignored"):
                kind = "jpeg"
            seed = self.chance.randrange(2**31)
            body = picture(width, height, kind, f"{seed}", int(job.body.get("outputQuality", 95)))
            if self.has("blank-picture"):
                body = blank(width, height, kind)
            if self.has("truncated-picture"):
                body = body[: len(body) // 2]
            made = {"seed": seed, "body": body, "mime": KINDS[kind]}
            job.extra["items"][number] = made
        return made

    def file(self, name: str) -> Reply:
        if name not in self.media or self.has("picture-404"):
            return Reply(404, b"not found", "text/plain")
        body, mime = self.media[name]
        return Reply(200, body, "text/html" if self.has("picture-type-wrong") else mime)


def flatten(task: dict[str, Any], stem: str = "") -> Iterator[tuple[str, Any]]:
    """Every parameter with its dotted name, objects before what they hold."""
    for name, value in task.items():
        yield stem + name, value
        if isinstance(value, dict):
            yield from flatten(value, f"{stem}{name}.")


def is_picture(text: str) -> bool:
    """The four forms of the page: UUID, URL, data URI, base64."""
    forms = (r"[0-9a-f-]{36}", r"https?://\S+", r"data:image/[a-z]+;base64,\S+", r"[A-Za-z0-9+/]{40,}={0,2}")
    return any(re.fullmatch(form, text, re.IGNORECASE) for form in forms)


def fits(value: Any, kind: str) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "uuid":
            return isinstance(value, str) and bool(UUID4.fullmatch(value))
        case "url":
            return isinstance(value, str) and value.startswith(("http://", "https://"))
        case "pictures":
            return isinstance(value, list) and all(isinstance(item, str) and is_picture(item) for item in value)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
    raise ValueError(kind)
