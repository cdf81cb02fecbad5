"""A careful client of Segmind's queue with nothing but the standard library; an argument gives it a bad habit."""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from email.utils import parsedate_to_datetime

URL, KEY = os.environ["WIREPROOF_URL"], os.environ["WIREPROOF_KEY"]
SCALE = float(os.environ.get("WIREPROOF_TIME_SCALE", "1"))
HABIT = sys.argv[1] if len(sys.argv) > 1 else ""
BODY = {"prompt": "a red fox in the snow", "aspect_ratio": "1:1", "seed": 7}
DEADLINE, EVERY, PATIENCE = 600.0, 1.0, 30.0


class Failed(Exception):
    """The job failed, or cannot be brought home."""


class Passing(Failed):
    """Trouble that may pass; `wait` seconds were asked for."""

    def __init__(self, says: str, wait: float = 0.0) -> None:
        super().__init__(says)
        self.wait = wait


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)
if HABIT == "follows-redirects":

    class Anywhere(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, request, fp, code, msg, headers, newurl):
            return urllib.request.Request(newurl, request.data, dict(request.header_items()), method=request.method)

    OPENER = urllib.request.build_opener(Anywhere)


def sleep(seconds: float) -> None:
    time.sleep(seconds / SCALE)


def call(method: str, url: str, body: object = None, key: bool = True) -> tuple[int, dict, bytes]:
    headers = {"x-api-key": KEY} if key else {}
    if HABIT == "key-in-url" and key:
        url += ("&" if "?" in url else "?") + f"api_key={KEY}"
    data = None
    if body is not None:
        data, headers["content-type"] = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(url, data, headers, method=method)
    patience = None if HABIT == "no-time-outs" else PATIENCE / SCALE + 1
    try:
        with OPENER.open(request, timeout=patience) as reply:
            return reply.status, dict(reply.headers), reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def reason(status: int, raw: bytes) -> str:
    try:
        told = json.loads(raw)
    except ValueError:
        return f"HTTP {status}"
    error = told.get("error") or told.get("detail") if isinstance(told, dict) else None
    return f"HTTP {status}: {error}" if error else f"HTTP {status}, no reason given"


def told_wait(headers: dict) -> float:
    value = {name.lower(): text for name, text in headers.items()}.get("retry-after", "")
    if HABIT == "ignores-retry-after" or not value:
        return 0.0
    try:
        return float(value)
    except ValueError:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())


def document(status: int, headers: dict, raw: bytes) -> dict:
    """The JSON object of a reply; raises for every other reply."""
    if status == 429 or status >= 500:
        raise Passing(reason(status, raw), told_wait(headers))
    if status >= 300:
        raise Failed(reason(status, raw))
    if HABIT == "crashes":
        return json.loads(raw)
    try:
        told = json.loads(raw)
    except ValueError:
        raise Passing(f"HTTP {status} without JSON") from None
    if not isinstance(told, dict):
        raise Passing(f"HTTP {status} with something else than an object")
    return told


def asked(url: str) -> dict:
    try:
        return document(*call("GET", url))
    except OSError as error:
        raise Passing(f"no answer: {error}") from None
    except Exception as error:
        if isinstance(error, Failed) or HABIT == "crashes":
            raise
        raise Passing(f"no answer: {error!r}") from None


def submitted() -> dict:
    body = {**BODY, "steps": 5, "seed": 7.5} if HABIT == "invalid-body" else BODY
    tries = 3 if HABIT in ("resubmits", "retries-refusals") else 1
    for left in reversed(range(tries)):
        try:
            status, headers, raw = call("POST", f"{URL}/v2/p-image", body)
        except OSError as error:
            if HABIT == "resubmits" and left:
                sleep(1)
                continue
            raise Failed(f"no answer to the submit: {error}") from None
        if HABIT == "resubmits" and status >= 500 and left:
            sleep(1)
            continue
        if HABIT == "retries-refusals" and 400 <= status < 429 and left:
            sleep(1)
            continue
        return document(status, headers, raw)
    raise Failed("no answer to the submit")


def address(job: dict, name: str) -> str:
    """The address about the job at our own origin, whatever the host hands out."""
    if HABIT == "unescaped-ids":
        tail = "/status" if name == "status_url" else ""
        return f"{URL}/v2/requests/{job['request_id'].replace(' ', '+')}{tail}"
    link = urllib.parse.urljoin(URL, str(job.get(name, "")))
    if HABIT == "follows-anywhere" or link.startswith(URL + "/"):
        return link
    tail = "/status" if name == "status_url" else ""
    return f"{URL}/v2/requests/{urllib.parse.quote(str(job['request_id']), safe='')}{tail}"


def polled(job: dict) -> dict:
    """What the last poll told."""
    end, troubles = time.monotonic() + DEADLINE / SCALE, 0
    beyond = float("inf") if HABIT == "no-deadline" else end
    while time.monotonic() < beyond:
        wait = EVERY
        try:
            told = asked(address(job, "status_url"))
            troubles = 0
            state = told.get("status")
            if state == "COMPLETED":
                return told
            if state == "FAILED":
                raise Failed(f"the job failed: {told.get('error') or 'no reason given'}")
        except Passing as trouble:
            troubles += 1
            if HABIT == "gives-up-on-trouble" or troubles > 12:
                raise
            wait = max(trouble.wait, EVERY * min(8, 2 ** (troubles - 1)))
            if HABIT == "ignores-retry-after":
                wait = EVERY
            if HABIT == "no-back-off":
                wait = 0.0
        if HABIT == "floods":
            wait = 0.0
        if HABIT == "stalls":
            wait = 60.0
        sleep(wait)
    raise Failed(f"gave up on job {job['request_id']} after {DEADLINE:.0f} s")


def piled_up(job: dict) -> dict:
    """Polls on a timer that does not wait for answers."""
    found: list[dict] = []

    def ask() -> None:
        try:
            told = asked(address(job, "status_url"))
            if told.get("status") in ("COMPLETED", "FAILED"):
                found.append(told)
        except Failed as trouble:
            if not isinstance(trouble, Passing):
                found.append({"status": "FAILED", "error": str(trouble)})

    end = time.monotonic() + DEADLINE / SCALE
    while not found and time.monotonic() < end:
        threading.Thread(target=ask, daemon=True).start()
        sleep(EVERY)
    if not found:
        raise Failed(f"gave up on job {job['request_id']}")
    if found[0]["status"] == "FAILED":
        raise Failed(f"the job failed: {found[0].get('error')}")
    return found[0]


def fetched(job: dict) -> str:
    """The address of the picture."""
    for attempt in range(4):
        try:
            told = asked(address(job, "response_url"))
        except Passing as trouble:
            if attempt == 3:
                raise
            sleep(max(trouble.wait, 1.0))
            continue
        if HABIT == "trusts-any-end":
            return str(told.get("output"))
        if told.get("status") == "COMPLETED" and told.get("output"):
            return str(told["output"])
        raise Failed(f"the job is done and has no picture: {told.get('error') or told.get('status')}")
    raise Failed("no result")


def downloaded(url: str) -> None:
    """Fetch the picture, twice if need be, without the key."""
    keyed = HABIT == "key-to-media"
    for _attempt in range(2):
        try:
            status, _headers, raw = call("GET", urllib.parse.urljoin(URL, url), key=keyed)
        except (OSError, http.client.HTTPException) as error:
            if HABIT == "trusts-any-download":
                return
            trouble = f"the picture broke off: {error!r}"
        else:
            if HABIT == "trusts-any-download" or (
                status == 200 and raw[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0", b"RIFF")
            ):
                return
            trouble = f"the picture cannot be fetched: HTTP {status}, {len(raw)} bytes"
        sleep(1)
    raise Failed(trouble)


def main() -> None:
    job = submitted()
    if "request_id" not in job:
        raise Failed(f"the answer to the submit has no id: {job}")
    if HABIT == "fire-and-forget":
        return
    told = piled_up(job) if HABIT == "piles-up" else polled(job)
    if HABIT == "polls-on":
        for _ in range(5):
            sleep(EVERY)
            asked(address(job, "status_url"))
    print(json.dumps({"state": told["status"], "picture": (url := fetched(job))}))
    if HABIT in ("downloads", "key-to-media", "trusts-any-download"):
        downloaded(url)


if __name__ == "__main__":
    if HABIT == "shows-key":
        print(f"calling {URL} with {{'x-api-key': '{KEY}'}}", file=sys.stderr)
    if HABIT == "crashes":
        main()
    else:
        try:
            main()
        except Failed as error:
            if HABIT == "swallows-reason":
                sys.exit("Something went wrong.")
            if HABIT == "always-0":
                sys.exit(0)
            sys.exit(f"no picture: {error}")
