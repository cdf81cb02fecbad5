"""The published Segmind client, unmodified: pointed at the mock, its waits divided, its errors told in one line."""

from __future__ import annotations

import os
import sys

from segmind import SegmindClient

SCALE = float(os.environ.get("WIREPROOF_TIME_SCALE", "1"))


def main() -> str:
    """Why there is no picture; empty: there is one."""
    client = SegmindClient(base_url=f"{os.environ['WIREPROOF_URL']}/v1", api_key=os.environ["WIREPROOF_KEY"])
    try:
        job = client.submit_async("p-image", prompt="a red fox in the snow", seed=7)
        job.wait(timeout=600 / SCALE, interval=1.0 / SCALE)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what its user sees
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(main() or 0)
