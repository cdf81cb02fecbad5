"""What `runware-sdk` makes of a mock: `python runware_sdk.py rest|ws URL KEY WHAT`; one line of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from runware import Runware, RunwareError

TASK: dict[str, Any] = {
    "taskType": "imageInference",
    "model": "prunaai:2@1",
    "positivePrompt": "make it night",
    "inputs": {"referenceImages": ["https://pictures.example/a.png"]},
    "includeCost": True,
}
MORE: dict[str, dict[str, Any]] = {
    "one": {},
    "three": {"numberResults": 3},
    "sync": {"deliveryMethod": "sync", "numberResults": 2},
    "blocked": {"positivePrompt": "nsfw", "safety": {"checkContent": True}},
    "invalid": {"numberResults": 99},
}


async def run(transport: str, url: str, key: str, what: str) -> dict[str, Any]:
    client = Runware(
        api_key=key,
        transport=transport,
        http_base_url=f"{url}/v1",
        ws_base_url=f"ws{url.removeprefix('http')}/v1",
    )
    try:
        if what == "upload":
            stored = await client.image_upload({"image": "data:image/png;base64,iVBORw0KGgo="})
            return {"stored": stored}
        results = await client.run({**TASK, **MORE[what]})
        return {"results": results}
    except RunwareError as error:
        return {"error": error.code, "retryable": error.retryable}
    finally:
        await client.close()


print(json.dumps(asyncio.run(run(*sys.argv[1:])), default=str))
