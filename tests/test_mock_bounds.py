"""What the mock costs: hours of a host's life in a moment, a million jobs in a gigabyte, and a start in no time."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import wireproof
from wireproof.clock import SteppedClock
from wireproof.mock.courier import Courier
from wireproof.mock.engine import Mock
from wireproof.mock.movable import MovableClock
from wireproof.mock.socket import serving
from wireproof.spec.load import resolve

ROOT = Path(wireproof.__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="this system does not tell what a process costs"
)


@contextlib.contextmanager
def failing_thrice() -> Iterator[tuple[str, list[bytes]]]:
    """A receiver of webhooks that takes the fourth: where it is, and what came."""
    got: list[bytes] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(500 if len(got) < 4 else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()


def test_an_hours_retention_three_retries_of_a_webhook_and_a_minutes_window_pass_by_the_clock() -> None:
    clock = MovableClock(SteppedClock())
    mock = Mock([*resolve("segmind/p-image"), *resolve("runware/p-image-edit")], limits=True)
    with failing_thrice() as (receiver, got):
        courier = Courier(clock, [receiver])
        with serving(mock, clock=clock, on_effect=courier.take) as url:

            def ask(path: str, body: object = None) -> tuple[int, bytes]:
                keys = {"x-api-key": mock.key("segmind"), "authorization": f"Bearer {mock.key('runware')}"}
                content = json.dumps(body).encode() if body is not None else None
                call = urllib.request.Request(url + path, content, {**keys, "content-type": "application/json"})
                try:
                    with urllib.request.urlopen(call, timeout=5) as reply:
                        return reply.status, reply.read()
                except urllib.error.HTTPError as error:
                    return error.code, error.read()

            # The hour that a record is kept.
            id = json.loads(ask("/v2/p-image", {"prompt": "x"})[1])["request_id"]
            (job,) = mock.memory
            clock.advance(job.ends - clock.now() + 3599)
            assert ask(f"/v2/requests/{id}/status")[0] == 200
            clock.advance(2)
            assert ask(f"/v2/requests/{id}/status")[0] == 404

            # The minute in which sixty calls are let in.
            assert [ask("/v2/p-image", {"prompt": "x"})[0] for _ in range(61)] == [200] * 60 + [429]
            clock.advance(60)
            assert ask("/v2/p-image", {"prompt": "x"})[0] == 200

            # The webhook that is taken at the fourth attempt.
            task = {"taskType": "imageInference", "taskUUID": "11111111-1111-4111-8111-111111111111"}
            task |= {"model": "prunaai:2@1", "positivePrompt": "x", "deliveryMethod": "async"}
            pictures = {"referenceImages": ["https://pictures.example/a.png"]}
            assert ask("/v1", [{**task, "inputs": pictures, "webhookURL": f"http://{receiver}/"}])[0] == 200
            while (due := courier.next_due()) is not None:
                clock.advance(max(0.0, due - clock.now()))
                asyncio.run(courier.run_due())
    (record,) = courier.records
    assert (len(record.attempts), record.fate) == (4, "delivered")
    assert len(set(got)) == 1
    assert clock.now() > 3600


HOLD = """
from decimal import Decimal
from wireproof.mock.engine import Mock
from wireproof.mock.jobs import Memory
from wireproof.spec.load import resolve

mock = Mock(resolve("segmind/p-image"), memory=Memory(1_000_000), deposit=Decimal(10**9))
desk = mock.quick({b"x-api-key": mock.key("segmind").encode()}, "http://127.0.0.1:8000")

def size():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

def submit(first, last):
    for number in range(first, last):
        body = b'{"prompt":"a lighthouse at dusk, variation %d, oil on canvas","seed":%d}' % (number, number % 10**6)
        assert desk(b"POST", b"/v2/p-image", body, number / 20_000).startswith(b"HTTP/1.1 200 ")

submit(0, 1_000_000)
held, full = len(mock.memory), size()
submit(1_000_000, 1_400_000)
before = size()
submit(1_400_000, 1_600_000)
after = size()
mock.memory.forget(1e9)
print(held, full, before, after, len(mock.memory), mock.memory.forgotten)
"""


@LINUX
@pytest.mark.slow
def test_a_million_jobs_are_held_in_a_gigabyte_and_more_of_them_cost_nothing_more() -> None:
    ran = subprocess.run([sys.executable, "-c", HOLD], capture_output=True, text=True, timeout=300, check=True)
    held, full, before, after, left, forgotten = map(int, ran.stdout.split())
    assert held == 1_000_000
    assert full <= 1 << 20, "KiB"
    assert after - before < 20 * 1024, "a megabyte for ten thousand jobs would be growth"
    assert (left, forgotten) == (0, 600_000)


HEAVY = ("hypothesis", "locust", "gevent", "PIL", "rich", "jinja2", "jsonschema", "redis", "respx", "pytest")


def test_a_mock_that_answers_has_loaded_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """How long it takes to the first answer is measured by `bench/mock_speed.py`."""
    script = (
        "import atexit, sys, runpy\n"
        f"atexit.register(lambda: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr))\n"
        f"sys.argv = ['server.py', 'segmind']\n"
        f"runpy.run_path({str(ROOT / 'mocks/server.py')!r}, run_name='__main__')\n"
    )
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "harness")}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings
    ) as process:
        try:
            assert process.stdout
            ready = json.loads(process.stdout.readline())
            headers = {"x-api-key": ready["key"], "content-type": "application/json"}
            call = urllib.request.Request(f"{ready['url']}/v2/p-image", b'{"prompt":"x"}', headers)
            with urllib.request.urlopen(call, timeout=30) as reply:
                assert reply.status == 200
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    assert told.strip().endswith("[]")
