"""What the legacy `runware` client makes of a mock: `python runware_legacy.py ws URL KEY WHAT`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from runware import IImageInference, Runware, RunwareAPIError

MORE: dict[str, dict[str, Any]] = {"one": {}, "three": {"numberResults": 3}, "invalid": {"numberResults": 99}}


async def run(transport: str, url: str, key: str, what: str) -> dict[str, Any]:
    client = Runware(api_key=key, url=f"{transport}{url.removeprefix('http')}/v1")
    await client.connect()
    try:
        asked = IImageInference(
            model="prunaai:2@1",
            positivePrompt="make it night",
            inputs={"referenceImages": ["https://pictures.example/a.png"]},
            **MORE[what],
        )
        images = await client.imageInference(requestImage=asked)
        return {"results": [{"imageURL": image.imageURL, "imageUUID": image.imageUUID} for image in images]}
    except RunwareAPIError as error:
        return {"error": error.code}
    finally:
        await client.disconnect()


print(json.dumps(asyncio.run(run(*sys.argv[1:]))))
