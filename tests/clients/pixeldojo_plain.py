"""A careful client of PixelDojo's jobs with nothing but the standard library: the shortest that passes."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

URL, KEY = os.environ["WIREPROOF_URL"], os.environ["WIREPROOF_KEY"]
SCALE = float(os.environ.get("WIREPROOF_TIME_SCALE", "1"))


def call(path: str, body: object = None) -> dict:
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"Bearer {KEY}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers), timeout=30 / SCALE + 1) as reply:
        return json.loads(reply.read())


def told(error: urllib.error.HTTPError) -> str:
    return f"HTTP {error.code}: {error.read().decode('utf-8', 'replace')[:300]}"


def poll(id: str) -> dict:
    path, end = "/api/v1/jobs/" + urllib.parse.quote(id, safe=""), time.monotonic() + 300 / SCALE
    while time.monotonic() < end:
        wait = 3.0
        try:
            job = call(path)
            if job["status"] in ("completed", "failed"):
                return job
        except urllib.error.HTTPError as error:
            if error.code != 429 and error.code < 500:
                sys.exit(f"the job is lost: {told(error)}")
            wait = 5.0
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            wait = 5.0
        time.sleep(wait / SCALE)
    sys.exit(f"job {id} did not end within 300 s")


def main() -> None:
    body = {"prompt": "a red fox", "images": ["https://example.com/fox.png"], "aspect_ratio": "1:1"}
    try:
        job = poll(call("/api/v1/models/p-image-edit/run", body)["jobId"])
    except urllib.error.HTTPError as error:
        sys.exit(f"not accepted: {told(error)}")
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        sys.exit(f"no answer to the submit: {error!r}")
    if job["status"] == "failed":
        sys.exit(f"the job failed: {job.get('error')}")
    images = (job.get("output") or {}).get("images")
    if not images:
        sys.exit(f"the job is done and has no picture: {job}")
    print(images[0])


if __name__ == "__main__":
    main()
