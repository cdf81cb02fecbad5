"""The published legacy client of Runware, unmodified, over its WebSocket; its waits are real seconds."""

from __future__ import annotations

import asyncio
import os
import sys

from runware import IImageInference, Runware


async def main() -> str:
    """Why there is no picture; empty: there is one."""
    socket = f"ws{os.environ['WIREPROOF_URL'].removeprefix('http')}/v1"
    client = Runware(api_key=os.environ["WIREPROOF_KEY"], url=socket)
    try:
        await client.connect()
        wish = IImageInference(
            model="prunaai:2@1",
            positivePrompt="a red fox",
            inputs={"referenceImages": ["https://example.com/fox.png"]},
            numberResults=1,
        )
        print(await client.imageInference(requestImage=wish))
    except Exception as error:  # noqa: BLE001 - whatever it raises is what its user sees
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(asyncio.run(main()) or 0)
