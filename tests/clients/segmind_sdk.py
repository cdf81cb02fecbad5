"""What the published `segmind` client makes of a mock: `python segmind_sdk.py rest URL KEY WHAT`; one line of JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from segmind import InferenceFailed, InferenceTimeout, SegmindClient
from segmind.exceptions import SegmindError

MORE: dict[str, dict[str, Any]] = {
    "one": {},
    "direct": {},
    "blocked": {"prompt": "NSFW"},
    "invalid": {"seed": "seven"},
}


def run(url: str, key: str, what: str) -> dict[str, Any]:
    client = SegmindClient(api_key=key, base_url=f"{url}/v1")
    values = {"prompt": "a lighthouse", **MORE[what]}
    try:
        if what == "direct":
            response = client.run_sync("p-image", **values)
            return {"results": [{"type": response.headers["content-type"], "bytes": len(response.content)}]}
        result = client.submit_async("p-image", **values).wait(timeout=3, interval=0.05)
        return {"results": [{"url": result["output"]}]}
    except (InferenceFailed, InferenceTimeout) as error:
        return {"error": type(error).__name__}
    except SegmindError as error:
        return {"error": f"SegmindError {error.status}"}
    except Exception as error:  # noqa: BLE001 - whatever else it raises is what its user sees
        return {"error": type(error).__name__}


print(json.dumps(run(*sys.argv[2:])))
