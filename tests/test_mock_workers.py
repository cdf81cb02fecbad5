"""One mock in several processes answers like one in a single process, whichever of them a call reaches."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wireproof
from wireproof.errors import UsageError
from wireproof.mock.command import serve
from wireproof.mock.engine import Mock
from wireproof.mock.scene import MEDIA
from wireproof.mock.workers import owner
from wireproof.spec.load import resolve

ROOT = Path(wireproof.__file__).parents[2]
PATIENCE = 20.0
WORKERS = 4

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@contextlib.contextmanager
def program(*words: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port of a running mock, and its process."""
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "harness")}
    line = [sys.executable, str(ROOT / "mocks/server.py"), "segmind", "runware", "--seed", "5", "--no-control", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        try:
            assert process.stdout is not None
            yield int(json.loads(process.stdout.readline())["url"].rpartition(":")[2]), process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def keys() -> dict[str, str]:
    mock = Mock(resolve("segmind"), seed=5)
    return {role: mock.key("segmind", role) for role in ("main", "other")}


class Line:
    """A kept connection."""

    def __init__(self, port: int) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.port = port

    def ask(self, key: str, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        content = None if body is None else json.dumps(body)
        self.http.request(method, path, content, {"x-api-key": key, "content-type": "application/json"})
        reply = self.http.getresponse()
        return reply.status, reply.read().replace(str(self.port).encode(), b"PORT")


def transcript(port: int) -> list[tuple[int, bytes]]:
    """What many connections are told that change their key now and then."""
    said, given = [], list(keys().values())
    for number in range(12):
        line = Line(port)
        for key in (given[number % 2], given[number % 3 % 2]):
            status, body = line.ask(key, "POST", "/v2/p-image", {"prompt": f"number {number}"})
            said.append((status, body))
            id = json.loads(body)["request_id"]
            asker = Line(port)
            said.append(asker.ask(key, "GET", f"/v2/requests/{id}/status"))
            said += [asker.ask(other, "GET", f"/v2/requests/{id}") for other in ("wrong", *given) if other != key]
        line.http.close()
    said.append(Line(port).ask(given[1], "POST", "/v2/p-image", {"prompt": "x" * 100_000}))
    return said


def test_the_two_keys_are_not_the_same_workers() -> None:
    mock = Mock(resolve("segmind"), seed=5)
    assert len({owner(mock, f"segmind:{role}", WORKERS) for role in keys()}) == 2


def test_four_workers_say_what_one_says_byte_for_byte() -> None:
    told = []
    for workers in (1, WORKERS):
        with program("--workers", str(workers)) as (port, _):
            told.append(transcript(port))
    assert told[0] == told[1]


def test_pictures_are_had_from_any_worker_without_a_key() -> None:
    with program("--workers", str(WORKERS), "--time-scale", "50") as (port, _):
        for key in keys().values():
            _, body = Line(port).ask(key, "POST", "/v2/p-image", {"prompt": "x"})
            id = json.loads(body)["request_id"]
            limit, told = time.monotonic() + PATIENCE, b""
            while MEDIA.encode() not in told and time.monotonic() < limit:
                told = Line(port).ask(key, "GET", f"/v2/requests/{id}")[1]
            path = MEDIA + told.partition(MEDIA.encode())[2].partition(b'"')[0].decode()
            found = {Line(port).ask("", "GET", path)[0] for _ in range(8)}
            assert found == {200}


def test_calls_that_came_together_are_all_answered_in_their_order_where_they_belong() -> None:
    with program("--workers", str(WORKERS)) as (port, _):
        for key in keys().values():
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
                call = "GET /v2/requests/{} HTTP/1.1\r\nHost: m\r\nX-Api-Key: {}\r\n\r\n"
                raw = "".join(call.format(number, key) for number in range(5)).encode()
                line.sendall(raw[:-20])
                line.sendall(raw[-20:])
                got = b""
                while got.count(b"HTTP/1.1 404") < 5:
                    more = line.recv(65536)
                    assert more
                    got += more


def test_no_worker_is_left_behind() -> None:
    with program("--workers", str(WORKERS)) as (_, process):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            pytest.skip("this system does not tell which processes a process has")
        others = children.read_text().split()
        assert len(others) == WORKERS - 1
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        assert not any(Path(f"/proc/{other}").exists() for other in others)


def test_what_several_processes_cannot_do_together_is_refused() -> None:
    with pytest.raises(UsageError, match="--tls"):
        serve(resolve("segmind"), workers=2, tls=True)
