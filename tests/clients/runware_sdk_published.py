"""The published runware-sdk, unmodified, over REST; its waits are real seconds."""

from __future__ import annotations

import asyncio
import os
import sys

from runware import Runware

URL = os.environ["WIREPROOF_URL"]


async def main() -> str:
    """Why there is no picture; empty: there is one."""
    client = Runware(
        api_key=os.environ["WIREPROOF_KEY"],
        transport="rest",
        http_base_url=f"{URL}/v1",
        ws_base_url=f"ws{URL.removeprefix('http')}/v1",
    )
    task = {
        "taskType": "imageInference",
        "model": "prunaai:2@1",
        "positivePrompt": "a red fox",
        "inputs": {"referenceImages": ["https://example.com/fox.png"]},
    }
    try:
        print(await client.run(task))
    except Exception as error:  # noqa: BLE001 - whatever it raises is what its user sees
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(asyncio.run(main()) or 0)
