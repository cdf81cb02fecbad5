"""A careful client of Segmind's blocking address, with httpx: one call, and the picture comes back."""

from __future__ import annotations

import os
import sys

import httpx

SCALE = float(os.environ.get("WIREPROOF_TIME_SCALE", "1"))


def main() -> str:
    """Why there is no picture; empty: there is one."""
    with httpx.Client(
        headers={"x-api-key": os.environ["WIREPROOF_KEY"]}, timeout=httpx.Timeout(300 / SCALE + 1)
    ) as client:
        try:
            reply = client.post(f"{os.environ['WIREPROOF_URL']}/v1/p-image", json={"prompt": "a red fox", "seed": 7})
        except httpx.TransportError as error:
            return f"no answer: {error}"
    if reply.status_code != 200:
        return f"HTTP {reply.status_code}: {reply.text[:200]}"
    if not reply.headers.get("content-type", "").startswith("image/"):
        return f"no picture but {reply.headers.get('content-type')}"
    return ""


if __name__ == "__main__":
    sys.exit(main() or 0)
