"""The peer of the benches: a Schemathesis process that is asked again and again, in a Python that has it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wireproof.export import openapi
from wireproof.model import Endpoint


class Peer:
    """Use it as a context manager. `python`: one that has Schemathesis 4; `folder`: where its documents are put."""

    def __init__(self, python: str, folder: Path) -> None:
        script = Path(__file__).with_name("peer_schemathesis.py")
        self._process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def ask(self, endpoint: Endpoint, url: str, key: str, *, budget: int, seed: int = 1) -> dict[str, Any]:
        """What it finds at a server within so many requests: `requests`, `accepted` and `found`."""
        auth = endpoint.provider.auth
        bills = [op.request.path for op in endpoint.operations.values() if op.does.bills]
        ask = {
            "openapi": str(self._document(endpoint)),
            "url": url,
            "headers": {auth.header: auth.prefix + key},
            "seed": seed,
            "budget": budget,
            "submits": [path.replace("{model}", endpoint.slug) for path in bills],
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(ask) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _document(self, endpoint: Endpoint) -> Path:
        """The exported OpenAPI document, without addresses of its own."""
        file = self._folder / f"{endpoint.name.replace('/', '-')}.json"
        if not file.exists():
            document = openapi([endpoint])
            document.pop("servers", None)
            for path in document["paths"].values():
                path.pop("servers", None)
            file.write_text(json.dumps(document), encoding="utf-8")
        return file
