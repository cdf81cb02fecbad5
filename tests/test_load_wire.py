"""What leaves a load user: whole calls, on connections that hosts may close when they please."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager

import pytest

from load_world import SPEC, kept
from wireproof.load.command import run
from wireproof.load.record import Outcome
from wireproof.secrets import Secret

ID = "00000000-0000-4000-8000-000000000001"


class Closing(socketserver.StreamRequestHandler):
    """Answers the first request of a connection, and closes it under the second one, unanswered."""

    def handle(self):
        first = self.rfile.readline().decode().split()
        if not first:
            return
        fields = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(": ")
            fields.setdefault(name.lower(), []).append(value)
        body = self.rfile.read(int(fields.get("content-length", ["0"])[0]))
        self.server.heard.append((*first[:2], fields, body))
        told = {"request_id": ID, "status": "QUEUED", "status_url": "x:", "response_url": "x:"}
        if first[0] == "GET":
            told = {"request_id": ID, "status": "COMPLETED", "metrics": {"inference_time": 0.1}}
            told |= {} if first[1].endswith("/status") else {"output": "http://127.0.0.1/x.png"}
        text = json.dumps(told).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
        self.wfile.write(head.encode() + text)
        self.rfile.readline()


@contextmanager
def closing():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Closing) as server:
        server.daemon_threads = True
        server.heard = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def loaded(root, url, key):
    plan = root / "plan.yaml"
    plan.write_text(
        "kind: plan\nplan: mine\ndownload: false\npoll: 100ms\ndrain: 3s\nphases: [{name: m, rate: 3/s, for: 1s}]\n"
    )
    return kept(run([SPEC], str(plan), target=url, keys={"segmind": Secret(key)}, report_dir=root / "runs"))


def test_a_question_on_a_connection_that_the_host_just_closed_is_asked_again_and_every_call_is_whole(tmp_path):
    with closing() as (server, url):
        jobs = loaded(tmp_path, url, "some-key")
        heard = server.heard
    assert [(job.outcome, job.problem, job.calls) for job in jobs] == [(Outcome.SUCCEEDED, "", 3)] * 3
    for method, _, fields, body in heard:
        assert {name: fields[name] for name in ("host", "x-api-key", "accept-encoding")} == {
            "host": [url.removeprefix("http://")],
            "x-api-key": ["some-key"],
            "accept-encoding": ["identity"],
        }
        assert "prompt" in json.loads(body) if method == "POST" else not body
        assert len(fields["user-agent"]) == 1
    assert {method for method, *_ in heard} == {"POST", "GET"}


@pytest.mark.parametrize("key", ["a\r\nx-admin: yes", "a\nb"])
def test_a_key_that_is_no_single_line_is_never_sent(tmp_path, key):
    with closing() as (server, url):
        jobs = loaded(tmp_path, url, key)
        assert server.heard == []
    assert {job.outcome for job in jobs} == {Outcome.BROKEN}
    assert not any(key in job.problem for job in jobs)
