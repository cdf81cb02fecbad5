"""A small simulated host as plain data, for tests that change one thing and look at what is said about it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wireproof.model import Endpoint
from wireproof.spec.load import load

Tree = dict[str, Any]
Edit = Callable[[Tree, Tree], None]
"""Changes a protocol and a binding in place."""

MODEL: Tree = {
    "kind": "model",
    "model": "sketch",
    "title": "Sketch",
    "capability": "text-to-image",
    "parameters": {
        "prompt": {"kind": "text"},
        "images": {"kind": "media"},
        "aspect_ratio": {"kind": "ratio"},
        "width": {"kind": "size"},
        "height": {"kind": "size"},
        "seed": {"kind": "seed"},
        "safety": {"kind": "switch"},
        "quality": {"kind": "number"},
    },
}

SOURCES: Tree = {"page": {"title": "The page", "read": "2026-01-15"}}

BINDING: Tree = {
    "kind": "endpoint",
    "provider": "acme",
    "model": "sketch",
    "slug": "sketch",
    "title": "Sketch",
    "sources": SOURCES,
    "evidence": "page",
    "parameters": {
        "prompt": {"type": "string", "maxLength": 2000, "required": True, "is": "prompt"},
        "images": {"type": "array", "items": {"type": "string"}, "maxItems": 5, "is": "images"},
        "aspect_ratio": {
            "type": "string",
            "enum": ["1:1", "16:9", "9:16"],
            "default": "1:1",
            "is": "aspect_ratio",
        },
        "width": {"type": "integer", "minimum": 256, "maximum": 1440, "is": "width"},
        "height": {"type": "integer", "minimum": 256, "maximum": 1440, "is": "height"},
        "seed": {"type": "integer", "minimum": -1, "default": 42, "random": -1, "is": "seed"},
        "unchecked": {"type": "boolean", "default": False, "is": {"safety": {"true": False, "false": True}}},
        "quality": {"type": "integer", "minimum": 0, "maximum": 100, "default": 95, "is": "quality"},
    },
    "outputs": {"count": 1, "format": {"fixed": "png"}, "sizes": [{"ratio": "aspect_ratio"}]},
    "price": {
        "unit": "USD",
        "terms": [{"amount": "0.01", "per": "request"}],
        "billed": {"succeeded": "full", "failed": "zero"},
    },
    "timing": {"queue": 0.5, "run": 4.0, "evidence": "page"},
}

_ERROR: Tree = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "is": "problem.message"}},
}

PROTOCOL: Tree = {
    "kind": "protocol",
    "provider": "acme",
    "title": "Acme",
    "sources": SOURCES,
    "evidence": "page",
    "servers": {
        "api": {"url": "https://api.acme.test", "keyed": True},
        "media": {"url": "https://cdn.acme.test"},
    },
    "auth": {"header": "x-key", "env": "ACME_API_KEY"},
    "states": {
        "waiting": {"status": "queued", "initial": True},
        "working": "running",
        "ready": "succeeded",
        "broken": "failed",
    },
    "moves": [["waiting", "working"], ["working", "ready"], ["working", "broken"]],
    "job": {"repeat": {"does": "new"}, "refused_at": {"at": "submit"}},
    "retention": {"record": {"seconds": 3600}, "media": {"seconds": 86400}, "after": "unknown_job"},
    "poll": {"every": {"seconds": 1}, "deadline": {"seconds": 600}},
    "limits": {"calls": {"what": "calls", "most": 60, "window": 60, "problem": "rate_limited"}},
    "shapes": {"error": _ERROR},
    "problems": {
        "invalid": {"kind": "invalid", "status": 400, "body": "error", "retry": "never", "billed": "never"},
        "no_key": {"kind": "no_key", "status": 401, "body": "error", "retry": "never", "billed": "never"},
        "out_of_credits": {"kind": "out_of_credits", "status": 402, "body": "error", "retry": "never"},
        "unknown_job": {"kind": "unknown_job", "status": 404, "body": "error", "retry": "never"},
        "rate_limited": {"kind": "rate_limited", "status": 429, "body": "error", "retry": "later"},
    },
    "operations": {
        "submit": {
            "does": "submit",
            "request": {
                "method": "POST",
                "path": "/jobs/{model}",
                "body": "flat",
                "unknown_fields": "ignored",
                "unknown_evidence": "page",
            },
            "replies": {
                "accepted": {
                    "status": 202,
                    "means": "accepted",
                    "states": ["waiting"],
                    "body": {
                        "type": "object",
                        "required": ["id", "state"],
                        "properties": {
                            "id": {"type": "string", "is": "job.id"},
                            "state": {"type": "string", "is": "job.state"},
                        },
                    },
                }
            },
            "problems": ["invalid", "no_key", "out_of_credits", "rate_limited"],
        },
        "status": {
            "does": "status",
            "request": {"method": "GET", "path": "/jobs/{job.id}"},
            "replies": {
                "progress": {
                    "status": 200,
                    "means": "state",
                    "body": {
                        "type": "object",
                        "required": ["id", "state"],
                        "properties": {
                            "id": {"type": "string", "is": "job.id"},
                            "state": {"type": "string", "is": "job.state"},
                            "picture": {
                                "type": "string",
                                "format": "uri",
                                "is": "output.url",
                                "when": {"job.state": "ready"},
                            },
                            "error": {"type": "string", "is": "job.error", "when": {"job.state": "broken"}},
                        },
                    },
                }
            },
            "problems": ["no_key", "unknown_job", "rate_limited"],
        },
    },
}


def contract(folder: Path, provider: str = "acme", edit: Edit | None = None) -> Endpoint:
    """The simulated host under a name of its own, after an edit, read by the loader like any contract."""
    protocol, binding = copy.deepcopy(PROTOCOL), copy.deepcopy(BINDING)
    protocol["provider"] = binding["provider"] = provider
    if edit:
        edit(protocol, binding)
    place = folder / "specs" / provider
    place.mkdir(parents=True)
    (folder / "specs" / "models").mkdir(exist_ok=True)
    # JSON is YAML, too.
    (folder / "specs" / "models" / "sketch.yaml").write_text(json.dumps(MODEL, indent=1))
    (place / "protocol.yaml").write_text(json.dumps(protocol, indent=1))
    (place / "sketch.yaml").write_text(json.dumps(binding, indent=1))
    return load(place / "sketch.yaml")
