"""What we export works in other people's tools, unmodified. `make tools` fetches them; without them nothing is said."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from wireproof import export
from wireproof.clock import ScaledClock
from wireproof.generate.cases import base
from wireproof.mock.engine import Mock
from wireproof.mock.socket import serving
from wireproof.model import Does, Endpoint
from wireproof.spec.load import load_all
from wireproof.wire.requests import body_of, fill

ROOT = Path(__file__).parents[1]
TOOLS = Path(os.environ.get("WIREPROOF_TOOLS", ROOT / "build" / "tools"))
PAGE = ROOT / "docs" / "tutorials" / "tools.md"
JOB = "a1c88bd9-1e4c-47c2-9ed8-b4d5c8962f61"
ENDPOINTS = load_all(ROOT)
EACH = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
pytestmark = pytest.mark.slow


def tool(name: str) -> str:
    """Where a tool is; skips the test where it is nowhere."""
    places = os.pathsep.join((str(TOOLS / "bin"), str(TOOLS / "node_modules" / ".bin"), os.environ["PATH"]))
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"{name} is not here: `make tools` fetches it")
    return found


def run(folder: Path, *words: object, **more: str) -> str:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=bare | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@pytest.fixture
def document(endpoint: Endpoint, tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(export.openapi(endpoint)))
    return path


def hooks() -> str:
    """What the page tells a user to write for Runware."""
    [text] = re.findall(r"<!-- file: hooks.py -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(text)


@EACH
def test_schemathesis_finds_nothing_with_its_default_checks(endpoint: Endpoint, document: Path, tmp_path: Path) -> None:
    st = tool("st")
    more: dict[str, str] = {}
    if endpoint.provider.name == "runware":
        (tmp_path / "hooks.py").write_text(hooks())
        more["SCHEMATHESIS_HOOKS"] = str(tmp_path / "hooks.py")
    mock = Mock([endpoint])
    auth = endpoint.provider.auth
    key = f"{auth.header}: {auth.prefix}{mock.key(endpoint.provider.name)}"
    with serving(mock, clock=ScaledClock(50)) as url:
        said = run(tmp_path, st, "run", document, "--url", url, "-H", key, "--seed", 1, "-n", 10, "--no-color", **more)
    assert "No issues found" in said


@contextmanager
def prism(document: Path) -> Iterator[str]:
    """Prism, answering for the document, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [tool("prism"), "mock", str(document), "--port", str(port)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert any("Prism is listening" in line for line in server.stdout), "it ended before it listened"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@EACH
def test_prism_answers_every_operation_and_refuses_what_breaks_the_schema(endpoint: Endpoint, document: Path) -> None:
    auth = endpoint.provider.auth
    with prism(document) as url, httpx.Client(base_url=url, headers={auth.header: f"{auth.prefix}key"}) as http:
        for operation in endpoint.operations.values():
            path = fill(operation.request.path, endpoint, JOB)
            drives = operation.request.parameters == "binding" and operation.does.bills
            body = body_of(operation, base(endpoint) if drives else {}, JOB)
            if operation.does is Does.UPLOAD:
                body[0]["image"] = "https://a.test/1.png"
            assert http.request(operation.request.method, path, json=body).is_success, operation.name
            if drives:
                first = body[0] if isinstance(body, list) else body
                prompt = next(p for p in endpoint.parameters.values() if p.canonical == "prompt")
                first[prompt.name] = 5
                assert http.request(operation.request.method, path, json=body).is_client_error, operation.name


@EACH
def test_code_generators_take_the_document(endpoint: Endpoint, document: Path, tmp_path: Path) -> None:
    run(tmp_path, tool("openapi-typescript"), document, "-o", "types.d.ts")
    made = run(tmp_path, tool("datamodel-codegen"), "--input", document, "--input-file-type", "openapi")
    compile(made, "models.py", "exec")
    run(tmp_path, tool("openapi-python-client"), "generate", "--path", document, "--output-path", tmp_path / "client")
    assert list((tmp_path / "client").rglob("api/*/*.py"))
