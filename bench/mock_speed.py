"""How fast the mock answers, beside nginx (the limit) and WireMock (the best peer), in one run.

    python bench/mock_speed.py [--wiremock JAR] [--rounds 5] [--seconds 2]

Needs `wrk` and `nginx` on the path, and a WireMock standalone jar with `java` for that peer; what is not
there is left out and said. Each server gets core 0, wrk core 1 with 32 kept connections; rounds are
interleaved, and the medians are printed with their ratios. Because other work on the machine disturbs
rates, the processor time of the server for one request is printed too: it hardly depends on neighbours.
Before that, how long a start takes to the first answer; after it, what the jobs taken meanwhile occupy.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "custom")
ID = "0b5e3c1e-5a7d-4e0b-9a3f-7c2d1e4b6a88"
SUBMITTED = {
    "request_id": ID,
    "status": "QUEUED",
    "status_url": f"http://127.0.0.1:4010/v2/requests/{ID}/status",
    "response_url": f"http://127.0.0.1:4010/v2/requests/{ID}",
    "poll_url": f"http://127.0.0.1:4010/v2/requests/{ID}/status",
}
STATUS = {"status": "PROCESSING", "request_id": ID}
SCRIPT = """
local n, i, prepared = 16, 0, {}
function init(args)
  local ratios = {"1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "custom"}
  for k = 1, n do
    local body = nil
    if args[1] == "POST" then
      body = string.format('{"prompt":"a lighthouse at dusk, variation %d, oil on canvas","aspect_ratio":"%s",'
        .. '"width":%d,"height":%d,"seed":%d,"disable_safety_checker":%s}',
        k, ratios[(k - 1) % 8 + 1], 256 + 64 * k, 1440 - 64 * k, 7919 * k, k % 2 == 0 and "true" or "false")
    end
    prepared[k] = wrk.format(args[1], args[2], {["x-api-key"] = args[3], ["Content-Type"] = "application/json"}, body)
  end
end
function request() i = i % n + 1; return prepared[i] end
function done(s, latency, r)
  local e = s.errors
  local bad = e.status + e.connect + e.read + e.write + e.timeout
  io.write(string.format('\\n{"requests":%d,"us":%d,"bad":%d}\\n', s.requests, s.duration, bad))
end
"""


@dataclass
class Contestant:
    """A server that runs, and what was measured of it."""

    name: str
    process: subprocess.Popen[str]
    url: str
    key: str
    status: Callable[[], str]
    """The path of a status that it knows; of a mock that keeps state, of a job just taken."""
    rates: dict[str, list[float]] = field(default_factory=lambda: {"submit": [], "poll": []})
    costs: dict[str, list[float]] = field(default_factory=lambda: {"submit": [], "poll": []})
    taken: int = 0
    """Jobs."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(words: Sequence[str], **more: object) -> subprocess.Popen[str]:
    pinned = ["taskset", "-c", "0", *words]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, **more}
    return subprocess.Popen(pinned, **quiet)  # type: ignore[call-overload, no-any-return]


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


def ours(name: str, folder: Path, *flags: str) -> Contestant:
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "harness")}
    words = [sys.executable, str(ROOT / "mocks/server.py"), "segmind", "--no-control", *flags]
    process = start(words, env=surroundings)
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())

    def status() -> str:
        headers = {"x-api-key": line["key"], "content-type": "application/json"}
        call = urllib.request.Request(f"{line['url']}/v2/p-image", b'{"prompt":"x"}', headers)
        with urllib.request.urlopen(call, timeout=10) as reply:
            return f"/v2/requests/{json.load(reply)['request_id']}/status"

    return Contestant(name, process, line["url"], line["key"], status)


def nginx(folder: Path) -> Contestant:
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err crit; daemon off;
events {{ worker_connections 2048; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600; default_type application/json;
client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
server {{ listen 127.0.0.1:{port} backlog=1024;
location = /v2/p-image {{ return 200 '{json.dumps(SUBMITTED)}'; }}
location /v2/requests/ {{ return 200 '{json.dumps(STATUS)}'; }} }} }}"""
    )
    process = start(["nginx", "-c", str(folder / "nginx.conf")])
    wait_for(port)
    return Contestant("nginx (static)", process, f"http://127.0.0.1:{port}", "any", lambda: f"/v2/requests/{ID}/status")


def wiremock(folder: Path, jar: str) -> Contestant:
    port = free_port()
    (folder / "mappings").mkdir()
    kinds = {"Content-Type": "application/json"}
    key = {"x-api-key": {"matches": ".+"}}
    schema = {
        "type": "object",
        "required": ["prompt"],
        "properties": {
            "prompt": {"type": "string"},
            "aspect_ratio": {"enum": list(RATIOS)},
            "width": {"type": "integer", "minimum": 256, "maximum": 1440},
            "height": {"type": "integer", "minimum": 256, "maximum": 1440},
            "seed": {"type": "integer", "minimum": -1, "maximum": 999999999999999},
            "disable_safety_checker": {"type": "boolean"},
        },
    }
    valid = [{"matchesJsonSchema": json.dumps(schema), "schemaVersion": "V202012"}]
    stubs = [
        {"request": {"method": "POST", "urlPath": "/v2/p-image", "headers": key, "bodyPatterns": valid},
         "response": {"status": 200, "jsonBody": SUBMITTED, "headers": kinds}},
        {"request": {"method": "GET", "urlPathPattern": "/v2/requests/[0-9a-f-]{36}/status", "headers": key},
         "response": {"status": 200, "jsonBody": STATUS, "headers": kinds}},
    ]  # fmt: skip
    (folder / "mappings/all.json").write_text(json.dumps({"mappings": stubs}))
    process = start(
        ["java", "-jar", jar, "--port", str(port), "--bind-address", "127.0.0.1", "--root-dir", str(folder),
         "--no-request-journal", "--disable-banner", "--disable-gzip"])  # fmt: skip
    wait_for(port)
    return Contestant("WireMock", process, f"http://127.0.0.1:{port}", "any", lambda: f"/v2/requests/{ID}/status")


def spent(pid: int) -> float:
    """Seconds of processor time of a process and its children."""
    total = 0
    for child in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """MiB of a process's memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def starts(folder: Path, times: int = 3) -> None:
    """Say how long a start takes to the first answer, with and without waiting for the processor."""
    took, worked = [], []
    for _ in range(times):
        began = time.monotonic()
        one = ours("start", folder)
        try:
            one.status()
            took.append(time.monotonic() - began)
            worked.append(spent(one.process.pid))
        finally:
            one.process.terminate()
            one.process.wait(10)
    print(f"start to first answer: {statistics.median(took):.2f} s, {statistics.median(worked):.2f} s of it work")


def measure(one: Contestant, what: str, script: Path, seconds: int) -> None:
    path = ["POST", "/v2/p-image"] if what == "submit" else ["GET", one.status()]
    before = spent(one.process.pid)
    words = [
        "taskset",
        "-c",
        "1",
        "wrk",
        "-t1",
        "-c32",
        f"-d{seconds}s",
        "-s",
        str(script),
        one.url,
        "--",
        *path,
        one.key,
    ]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    took = spent(one.process.pid) - before
    found = json.loads(re.findall(r"^\{.*\}$", told, re.MULTILINE)[-1])
    if found["bad"]:
        sys.exit(f"{one.name} refused {found['bad']} of {found['requests']} calls")
    one.taken += found["requests"] if what == "submit" else 1
    one.rates[what].append(found["requests"] / found["us"] * 1e6)
    one.costs[what].append(took / found["requests"] * 1e6)


@contextlib.contextmanager
def running(contestants: Sequence[Callable[[], Contestant]]) -> Iterator[list[Contestant]]:
    started: list[Contestant] = []
    try:
        for make in contestants:
            started.append(make())
        yield started
    finally:
        for one in started:
            one.process.terminate()
            one.process.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wiremock", metavar="JAR")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "load.lua"
        script.write_text(SCRIPT)
        makers: list[Callable[[], Contestant]] = [
            lambda: ours("wireproof mock", folder, "--no-journal"),
            lambda: ours("with its journal", folder),
        ]
        if shutil.which("nginx"):
            makers.append(lambda: nginx(folder))
        else:
            print("nginx is not installed: without the limit")
        if asked.wiremock:
            makers.append(lambda: wiremock(folder, asked.wiremock))
        else:
            print("no --wiremock: without that peer")
        starts(folder)
        with running(makers) as all_of_them:
            for number in range(-1, asked.rounds):
                for one in all_of_them if number % 2 else reversed(all_of_them):
                    for what in ("submit", "poll"):
                        measure(one, what, script, asked.seconds)
                if number < 0:  # the first round only warms up
                    for one in all_of_them:
                        for kept in (*one.rates.values(), *one.costs.values()):
                            kept.clear()
            report(all_of_them)
            print(f"memory: {resident(all_of_them[0].process.pid):.0f} MiB after {all_of_them[0].taken} jobs")


def report(contestants: Sequence[Contestant]) -> None:
    print(f"{'':18}{'submit/s':>10}{'µs each':>9}{'poll/s':>10}{'µs each':>9}")
    middle = {
        (one.name, what): statistics.median(one.rates[what]) for one in contestants for what in ("submit", "poll")
    }
    for one in contestants:
        cells = [f"{middle[one.name, w]:10.0f}{statistics.median(one.costs[w]):9.1f}" for w in ("submit", "poll")]
        print(f"{one.name:18}{''.join(cells)}")
    for peer in contestants[2:]:
        for one in contestants[:2]:
            ratios = [middle[one.name, w] / middle[peer.name, w] for w in ("submit", "poll")]
            print(f"{one.name} / {peer.name}: submit {ratios[0]:.2f}, poll {ratios[1]:.2f}")


if __name__ == "__main__":
    main()
