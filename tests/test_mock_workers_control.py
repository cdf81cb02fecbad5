"""Several workers are steered and read as one: one control port, one clock, one journal, one set of books."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wireproof
from wireproof.clock import SteppedClock
from wireproof.mock.control import ROUTES, Route
from wireproof.mock.counts import CommonCounts, OwnCounts
from wireproof.mock.engine import Mock
from wireproof.mock.journal import MOST, Cut, SharedJournal, joined
from wireproof.mock.movable import MovableClock
from wireproof.mock.switchboard import Switchboard
from wireproof.mock.workers import owner
from wireproof.model import Exchange
from wireproof.runlog import decode
from wireproof.spec.load import resolve

ROOT = Path(wireproof.__file__).parents[2]
PATIENCE = 20.0
WORKERS = 2
SEED = 1
ROLES = ("main", "other")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


class Crew:
    """A running mock with several workers: its keys' clients, and its control."""

    def __init__(self, ready: dict[str, Any], process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ready["url"]
        mock = Mock(resolve("segmind"), seed=SEED)
        self.clients = {
            role: httpx.Client(base_url=self.url, headers={"x-api-key": mock.key("segmind", role)}, timeout=PATIENCE)
            for role in ROLES
        }
        headers = {"x-wireproof-token": ready["token"]}
        self.control = httpx.Client(base_url=ready["control"], headers=headers, timeout=PATIENCE)

    def submit(self, role: str, prompt: str = "x") -> httpx.Response:
        return self.clients[role].post("/v2/p-image", json={"prompt": prompt})

    def id(self, role: str) -> str:
        return str(self.submit(role).json()["request_id"])

    def state(self, role: str, id: str) -> str:
        return str(self.clients[role].get(f"/v2/requests/{id}/status").json()["status"])

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        reply = self.control.request(method, path, **({} if body is None else {"json": body}))
        assert reply.status_code == 200, reply.text
        return reply.json()

    def lines(self, since: int = 0) -> list[Exchange]:
        text = self.control.get("/journal", params={"since": since}).text
        return [decode(Exchange, json.loads(line)["exchange"]) for line in text.splitlines()]


@contextlib.contextmanager
def crew(*words: str, workers: int = WORKERS) -> Iterator[Crew]:
    line = [sys.executable, str(ROOT / "mocks/server.py"), "segmind", "runware", "--seed", str(SEED)]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "harness")}
    words = ("--workers", str(workers), *words)
    with subprocess.Popen([*line, *words], stdout=subprocess.PIPE, text=True, env=surroundings) as process:
        try:
            assert process.stdout is not None
            yield Crew(json.loads(process.stdout.readline()), process)
        finally:
            process.terminate()
            process.wait(PATIENCE)


@pytest.fixture(scope="module")
def running() -> Iterator[Crew]:
    """One crew on a clock that stands, for all tests that reset it first."""
    with crew("--stepped", "--limits") as made:
        yield made


@pytest.fixture
def host(running: Crew) -> Crew:
    running.ask("DELETE", "/mood")
    running.ask("POST", "/reset", {"seed": SEED})
    return running


def test_the_keys_of_these_tests_are_not_the_same_workers() -> None:
    mock = Mock(resolve("segmind"), seed=SEED)
    assert len({owner(mock, f"segmind:{role}", WORKERS) for role in ROLES}) == WORKERS


def test_one_clock_moves_the_jobs_of_every_worker(host: Crew) -> None:
    jobs = {role: host.id(role) for role in ROLES}
    assert {host.state(role, id) for role, id in jobs.items()} == {"QUEUED"}
    before = host.ask("GET", "/clock")["now"]
    assert host.ask("POST", "/clock/advance", {"seconds": 60})["now"] == before + 60
    assert {host.state(role, id) for role, id in jobs.items()} == {"COMPLETED"}


def test_until_idle_is_until_the_last_job_of_any_worker_has_ended(host: Crew) -> None:
    host.ask("POST", "/clock/advance", {"seconds": 100})
    jobs = [(role, host.id(role)) for role in ROLES for _ in range(4)]
    host.ask("POST", "/clock/idle", {})
    assert {host.state(role, id) for role, id in jobs} == {"COMPLETED"}
    told = host.ask("GET", "/accounts")
    assert {(told[f"segmind:{role}"]["jobs"], told[f"segmind:{role}"]["reserved"]) for role in ROLES} == {(4, "0.000")}


def test_a_mood_is_met_in_every_worker_until_it_is_taken_away(host: Crew) -> None:
    own = {"name": "own", "faults": [{"fault": "page", "at": ["submit"], "with": {"status": 503}}]}
    assert host.ask("PUT", "/mood", own)["mood"] == "own"
    assert [host.submit(role).status_code for role in ROLES] == [503, 503]
    host.ask("DELETE", "/mood")
    assert [host.submit(role).status_code for role in ROLES] == [200, 200]


def test_what_a_mood_counts_for_the_whole_mock_is_counted_once_over_all_workers(host: Crew) -> None:
    fault = {"fault": "page", "at": ["submit"], "every": 3, "per": "mock", "with": {"status": 503}}
    host.ask("PUT", "/mood", {"name": "third", "faults": [fault]})
    told = [host.submit(ROLES[number % 2]).status_code for number in range(9)]
    assert told == [200, 200, 503] * 3


def test_a_problem_that_was_staged_is_met_by_one_call_of_all(host: Crew) -> None:
    host.ask("POST", "/stage", {"problem": "rate_limited", "operation": "submit"})
    told = [host.submit(ROLES[number % 2]).status_code for number in range(6)]
    assert sorted(told) == [200] * 5 + [429]
    assert told[0] == 429


def test_accounts_are_told_and_changed_where_they_live(host: Crew) -> None:
    for role in ROLES:
        host.submit(role)
        told = host.ask("PUT", f"/accounts/segmind:{role}", {"deposit": 5, "forbidden": True})
        assert (told["deposited"], told["jobs"]) == ("1000005", 1)
        assert host.submit(role).status_code == 403
    assert [name for name in host.ask("GET", "/accounts") if name.startswith("segmind")] == [
        "segmind:main",
        "segmind:other",
    ]
    refused = host.control.put("/accounts/nobody", json={"deposit": 5})
    assert (refused.status_code, "no key belongs" in refused.text) == (404, True)
    assert host.control.put("/accounts/segmind:main", json={"deposit": "many"}).status_code == 400


def test_a_new_key_is_taken_by_every_worker(host: Crew) -> None:
    for number in range(4):
        made = host.ask("POST", "/keys", {"provider": "segmind", "role": f"team-{number}"})
        headers = {"x-api-key": made["key"]}
        for _ in range(2):
            reply = httpx.post(f"{host.url}/v2/p-image", json={"prompt": "x"}, headers=headers, timeout=PATIENCE)
            assert reply.status_code == 200
        assert host.ask("GET", "/accounts")[made["account"]]["jobs"] == 2


def test_health_and_metrics_are_sums(host: Crew) -> None:
    for role in ROLES:
        for _ in range(3):
            host.submit(role)
    assert host.ask("GET", "/health")["jobs"] == 6
    text = host.control.get("/metrics").text
    assert 'wireproof_calls_total{operation="submit",status="200"} 6' in text
    assert "wireproof_jobs 6" in text
    assert text.count("# TYPE") == 3
    assert all(f'wireproof_spent{{account="segmind:{role}"}} 0' in text for role in ROLES)


def test_a_reset_leaves_nothing_behind_in_any_worker(host: Crew) -> None:
    first = {role: host.id(role) for role in ROLES}
    assert host.ask("POST", "/reset", {"seed": SEED})["jobs"] == 0
    assert host.lines() == []
    assert {host.clients[role].get(f"/v2/requests/{id}/status").status_code for role, id in first.items()} == {404}
    host.ask("POST", "/reset", {"seed": SEED})
    assert {role: host.id(role) for role in ROLES} == first


def test_the_journal_of_all_workers_is_one_in_the_order_of_the_calls(host: Crew) -> None:
    prompts = [f"number {number}" for number in range(12)]
    for number, prompt in enumerate(prompts):
        host.submit(ROLES[number % 5 % 2], prompt)
    lines = host.lines()
    assert [json.loads(line.call.body)["prompt"] for line in lines] == prompts
    assert [line.seq for line in lines] == list(range(1, 13))
    host.submit("main", "late")
    assert [(line.seq, json.loads(line.call.body)["prompt"]) for line in host.lines(since=12)] == [(13, "late")]
    har = host.ask("GET", "/journal.har")["log"]["entries"]
    assert [entry["_seq"] for entry in har] == list(range(1, 14))
    keys = [client.headers["x-api-key"] for client in host.clients.values()]
    assert not any(key in host.control.get("/journal").text for key in keys)
    host.ask("DELETE", "/journal")
    assert host.lines() == []


def test_what_the_mock_would_send_is_told_whichever_worker_is_asked(host: Crew) -> None:
    task = {
        "taskType": "imageInference",
        "taskUUID": "11111111-1111-4111-8111-111111111111",
        "model": "prunaai:2@1",
        "positivePrompt": "x",
        "inputs": {"referenceImages": ["https://pictures.example/a.png"]},
        "deliveryMethod": "async",
        "webhookURL": "https://hooks.example/a",
    }
    key = Mock(resolve("runware"), seed=SEED).key("runware")
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(f"{host.url}/v1", json=[task], headers=headers, timeout=PATIENCE).status_code == 200
    assert [one["job"] for one in host.ask("GET", "/sends")] == [task["taskUUID"]]


def test_every_route_answers_and_only_with_the_token(host: Crew) -> None:
    for route in ROUTES:
        if route.method == "GET":
            assert host.control.get(route.path).status_code == 200
            assert httpx.get(f"{host.control.base_url}{route.path}", timeout=PATIENCE).status_code == 401


NAMES = st.sampled_from(["segmind:main", "own", "failed", "rate_limited", "submit", "segmind", ""])
VALUES = NAMES | st.integers(-5, 10**20) | st.floats(allow_nan=False) | st.booleans() | st.none() | st.lists(NAMES)
KEYS = (
    "seed",
    "seconds",
    "name",
    "account",
    "faults",
    "problem",
    "operation",
    "deposit",
    "forbidden",
    "provider",
    "mood",
)


@given(st.sampled_from(ROUTES), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3), NAMES)
@settings(max_examples=80, deadline=None)
def test_no_control_call_breaks_a_worker(running: Crew, route: Route, body: Any, name: str) -> None:
    reply = running.control.request(route.method, route.path.replace("{name}", quote(name)), json=body)
    assert reply.status_code < 500
    assert running.ask("GET", "/health")["status"] == "ok"


def test_a_mood_of_the_command_line_says_the_same_with_one_worker_and_with_several() -> None:
    told = []
    for workers in (1, 2):
        with crew("--stepped", "--mood", "flapping-gateway", workers=workers) as host:
            told.append([host.submit(ROLES[number % 3 % 2]).content for number in range(12)])
            told[-1] = [one.replace(host.url.encode(), b"URL") for one in told[-1]]
    assert told[0] == told[1]


@pytest.mark.parametrize("name, workers", [("kept.har", 2), ("kept.jsonl", 2), ("kept.jsonl", 1)])
def test_the_journal_of_all_workers_is_written_to_a_file_in_the_end(tmp_path: Path, name: str, workers: int) -> None:
    file = tmp_path / name
    with crew("--journal-file", str(file), workers=workers) as host:
        for number in range(6):
            host.submit(ROLES[number % 2], f"number {number}")
        host.process.send_signal(signal.SIGTERM)
        assert host.process.wait(PATIENCE) == 0
    text = file.read_text()
    entries = json.loads(text)["log"]["entries"] if name.endswith("har") else text.splitlines()
    assert len(entries) == 6
    assert [f"number {number}" in json.dumps(entry) for number, entry in enumerate(entries)] == [True] * 6
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


# ---------------------------------------------------------------------------------- the parts alone


def test_a_journal_with_a_gap_is_joined_from_where_there_is_none() -> None:
    mock = Mock(resolve("segmind"), seed=SEED)
    books = [SharedJournal(mock, 0.0, 0.0, workers=2) for _ in range(2)]
    for number in range(MOST + 10):
        books[0].note(b"GET", b"/v2/requests/x/status", "http://m", [], b"", b"HTTP/1.1 404 x\r\n\r\n", float(number))
        if number in (3, MOST):
            books[1].note(b"GET", b"/v2/requests/y/status", "http://m", [], b"", b"HTTP/1.1 404 x\r\n\r\n", 0.0)
    cut = joined([book.cut(10**30) for book in books])
    lines = cut.since()
    assert (len(lines), lines[-1].exchange.seq, cut.heard) == (MOST, MOST + 12, MOST + 12)
    assert [line.exchange.call.url for line in lines].count("http://m/v2/requests/y/status") == 1


def test_what_comes_after_a_cut_changes_no_number_before_it() -> None:
    mock = Mock(resolve("segmind"), seed=SEED)
    book = SharedJournal(mock, 0.0, 0.0, workers=2)
    book.note(b"GET", b"/v2/requests/x/status", "http://m", [], b"", b"HTTP/1.1 404 x\r\n\r\n", 0.0)
    assert (book.cut(0), len(book.cut(10**30).lines)) == (Cut(0, 0, (), 0.0), 1)


def test_processes_that_were_forked_count_together_and_for_themselves() -> None:
    counts = CommonCounts()
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            good = all(counts.next("a", 1, "key") == number + 1 for number in range(50))
            for _ in range(50):
                counts.next("a", 1)
            os._exit(0 if good and counts.first("a", 7.0) == counts.first("a", 8.0) else 1)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert counts.next("a", 1) == 201
    counts.forget("a")
    assert counts.next("a", 1) == 1
    counts.clear()
    assert (counts.next("a", 1), counts.first("a", 5.0)) == (1, 5.0)


def test_what_is_counted_in_common_is_what_one_process_counts() -> None:
    for counts in (OwnCounts(), CommonCounts()):
        told = [counts.next("a"), counts.next("a"), counts.next("a", 1), counts.next("b"), counts.next("a", 0, "k")]
        assert told == [1, 2, 1, 1, 1]
        assert (counts.first("a", 3.0), counts.first("a", 4.0)) == (3.0, 3.0)


def test_a_worker_that_is_gone_is_told_as_such() -> None:
    import socket

    from wireproof.model import Call

    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        board = Switchboard([ours], MovableClock(SteppedClock()), "t")
        reply = board.answer(Call("GET", "http://127.0.0.1:1/health", (("x-wireproof-token", "t"),)), 0, 0).reply
    assert reply.status == 503
