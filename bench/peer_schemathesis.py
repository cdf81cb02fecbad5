"""Schemathesis as a peer: reads one ask per line (JSON) and answers each with what it found, in order.

Run by a Python that has Schemathesis installed, and nothing of ours. An ask names an OpenAPI file, the address
of a server, the header with the key, the seed and the most requests; an answer has the number of requests, and
for each distinct failure its name and the number of the request that showed it first.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine.events import ScenarioFinished


def main() -> None:
    """Answer every ask until the input ends."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


def answer(ask: dict[str, Any]) -> dict[str, Any]:
    config = SchemathesisConfig(seed=ask["seed"])
    schema = schemathesis.openapi.from_path(ask["openapi"], config=config)
    schema.config.update(
        base_url=ask["url"], headers=ask["headers"], workers=1, request_timeout=10, continue_on_failure=True
    )
    requests, accepted = 0, 0
    found: dict[str, tuple[int, int]] = {}
    stream = engine.from_schema(schema).execute()
    for event in stream:
        if not isinstance(event, ScenarioFinished):
            continue
        for id, interaction in event.recorder.interactions.items():
            if requests >= ask["budget"]:
                break
            requests += 1
            accepted += is_job(interaction, ask["submits"])
            for check in event.recorder.checks.get(id, ()):
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    key = f"{check.name} {event.recorder.cases[id].value.operation.label} {failure.title}"
                    found.setdefault(key, (requests, accepted))
        if requests >= ask["budget"]:
            stream.stop()
            break
    return {"requests": requests, "accepted": accepted, "found": found}


def is_job(interaction: Any, submits: list[str]) -> bool:
    """Whether a job was accepted, so that a live host would have charged for it."""
    reply, request = interaction.response, interaction.request
    paid = request.method == "POST" and any(request.uri.split("?")[0].endswith(path) for path in submits)
    return bool(paid and reply is not None and reply.status_code < 300)


if __name__ == "__main__":
    main()
