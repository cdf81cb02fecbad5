"""One self-contained page from a template: everything escaped, nothing fetched, its policy by hashes.

Templates come from the nearest `reports/templates`, a user's own before the shipped ones.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from wireproof.rooms import places


def sheet(template: str, page: Any, *, styles: Sequence[str], script: str = "", data: str = "") -> str:
    """The page. `styles` and `script` name files beside the template; `data` is JSON that is safe inside a script."""
    environment = _environment()
    style = "".join(_source(environment, name) for name in styles)
    code = _source(environment, script) if script else ""
    # What is marked as safe here is our own, and named in the policy by its hash.
    return environment.get_template(template).render(
        page=page,
        style=Markup(style),  # noqa: S704
        script=Markup(code),  # noqa: S704
        data=Markup(data),  # noqa: S704
        policy=_policy(style, code),
    )


def _environment() -> ImmutableSandboxedEnvironment:
    """Escapes everything everywhere; sandboxed, since a repository that is only read may bring templates."""
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader([str(Path(place) / "templates") for place in places("reports")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(environment: ImmutableSandboxedEnvironment, name: str) -> str:
    assert environment.loader is not None  # given above
    return environment.loader.get_source(environment, name)[0]


def _policy(style: str, script: str) -> str:
    scripts = f"script-src '{_hash(script)}'; img-src data:; " if script else ""
    return f"default-src 'none'; style-src '{_hash(style)}'; {scripts}base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
