"""A careful client of Runware's tasks over HTTP, with httpx. It makes its own id, so a lost answer loses nothing."""

from __future__ import annotations

import os
import random
import sys
import time
import uuid

import httpx

SCALE = float(os.environ.get("WIREPROOF_TIME_SCALE", "1"))
HABIT = sys.argv[1] if len(sys.argv) > 1 else ""
DEADLINE = 900.0
TASK = {
    "taskType": "imageInference",
    "model": "prunaai:2@1",
    "positivePrompt": "a red fox",
    "inputs": {"referenceImages": ["https://example.com/fox.png"]},
    "deliveryMethod": "async",
    "numberResults": 2,
}


class Failed(Exception):
    """The task failed, or cannot be brought home."""


class Passing(Failed):
    """Trouble that may pass; `wait` seconds were asked for."""

    def __init__(self, says: str, wait: float = 0.0) -> None:
        super().__init__(says)
        self.wait = wait


def ask(client: httpx.Client, task: dict) -> list[dict]:
    """The results of one request; raises Failed with the host's words."""
    try:
        reply = client.post("/v1", json=[task])
        told = reply.json()
    except httpx.TransportError as error:
        raise Passing(f"no answer: {error}") from None
    except ValueError:
        if reply.status_code < 400 or reply.status_code == 429 or reply.status_code >= 500:
            raise Passing(f"HTTP {reply.status_code} without JSON") from None
        raise Failed(f"HTTP {reply.status_code} without JSON") from None
    errors = told.get("errors") or [item["error"] for item in told.get("data", []) if item.get("error")]
    if reply.status_code == 429 or reply.status_code >= 500:
        raise Passing(f"HTTP {reply.status_code} {told}", wait_of(reply))
    if errors:
        raise Failed("; ".join(f"{one.get('code')}: {one.get('message')}" for one in errors))
    if reply.status_code >= 300:
        raise Failed(f"HTTP {reply.status_code}: {reply.text[:200]}")
    return list(told.get("data") or [])


def wait_of(reply: httpx.Response) -> float:
    text = reply.headers.get("retry-after", "0")
    return float(text) if text.replace(".", "").isdigit() else 5.0


def submit(client: httpx.Client, id: str) -> str:
    """The id of the task; submitted again under the same id if the answer is lost: the host knows it then."""
    for attempt in range(3):
        try:
            own = str(uuid.uuid4()) if HABIT == "new-id-per-attempt" else id
            ask(client, {**TASK, "taskUUID": own})
            return own
        except Passing as trouble:
            if attempt == 2:
                raise
            time.sleep(max(trouble.wait, 2.0**attempt) / SCALE)
        except Failed as trouble:
            if attempt and "conflictTaskUUID" in str(trouble):
                return id
            raise
    raise Failed("no try was left")


def results(client: httpx.Client, id: str) -> list[dict]:
    end, wait, troubles = time.monotonic() + DEADLINE / SCALE, 1.0, 0
    while time.monotonic() < end:
        time.sleep(wait * random.uniform(1.0, 1.2) / SCALE)
        wait = min(5.0, wait * 1.5)
        try:
            items = ask(client, {"taskType": "getResponse", "taskUUID": id})
            troubles = 0
        except Passing as trouble:
            troubles += 1
            wait = max(wait, trouble.wait)
            if troubles > 5:
                raise
            continue
        if items and all(item.get("status") == "success" for item in items):
            return items
    raise Failed(f"gave up on task {id} after {DEADLINE:.0f} s")


def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['WIREPROOF_KEY']}"}
    timeout = httpx.Timeout(60 / SCALE + 1)
    with httpx.Client(base_url=os.environ["WIREPROOF_URL"], headers=headers, timeout=timeout) as client:
        items = results(client, submit(client, str(uuid.uuid4())))
    links = [item["imageURL"] for item in items if item.get("imageURL")]
    if len(links) < TASK["numberResults"] and HABIT != "takes-what-comes":
        raise Failed(f"{len(links)} of {TASK['numberResults']} pictures came: {links}")
    for link in links:
        reply = httpx.get(link, timeout=timeout)
        if reply.status_code != 200 or not reply.headers["content-type"].startswith("image/"):
            raise Failed(f"{link}: HTTP {reply.status_code} {reply.headers.get('content-type')}")
    print(links)


if __name__ == "__main__":
    try:
        main()
    except (Failed, httpx.HTTPError) as error:
        sys.exit(f"no picture: {error}")
