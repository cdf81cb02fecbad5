"""Several mocks on one store are one host: any answers any call, and no money, job or limit is lost between them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stores
import wireproof
from mock_transcript import said
from wireproof.clock import SteppedClock
from wireproof.errors import UsageError
from wireproof.lifecycle import Status
from wireproof.mock.command import serve
from wireproof.mock.engine import Mock
from wireproof.mock.moods import Fault, Mood, load_moods
from wireproof.mock.scene import MEDIA
from wireproof.mock.shared import LOOK, SharedMock, Throws
from wireproof.mock.store import Gone, Store
from wireproof.model import Call, Reply
from wireproof.secrets import Secret
from wireproof.spec.load import load_all, resolve
from wireproof.spec.values import effective

pytest.importorskip("redis", reason="the extra `store` is not installed")

ROOT = Path(wireproof.__file__).parents[2]
PATIENCE = 20.0
SEED = 5
CANARY = "canary-3f9c1d7a5b"
MOODS = load_moods()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server for the tests of this module."""
    with stores.serving() as (port, _):
        yield port


@pytest.fixture
def url(port: int) -> str:
    """An empty database."""
    Store(Secret(f"redis://127.0.0.1:{port}/0")).wipe("*")
    return f"redis://127.0.0.1:{port}/0"


# ----------------------------------------------------------------------------- programs on one store


class Program:
    """A running mock."""

    def __init__(self, ready: dict[str, Any], process: subprocess.Popen[str]) -> None:
        self.ready, self.process, self.url = ready, process, ready["url"]
        self.headers = {"x-api-key": ready["key"]}
        self.client = httpx.Client(base_url=self.url, headers=self.headers, timeout=PATIENCE)
        headers = {"x-wireproof-token": ready["token"]}
        self.control = httpx.Client(base_url=ready["control"], headers=headers, timeout=PATIENCE)

    def submit(self, prompt: str = "x") -> httpx.Response:
        return self.client.post("/v2/p-image", json={"prompt": prompt})

    def account(self, name: str = "segmind:main") -> dict[str, Any]:
        told: dict[str, Any] = self.control.get("/accounts").json()[name]
        return told


Start = Callable[..., list[Program]]


@contextlib.contextmanager
def starting(url: str) -> Iterator[Start]:
    """Starts so many mocks on one store, and stops them in the end."""
    with contextlib.ExitStack() as stack:

        def programs(number: int, *words: str) -> list[Program]:
            line = [sys.executable, str(ROOT / "mocks/server.py"), "segmind", "runware", "--seed", str(SEED), *words]
            surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "harness"), "WIREPROOF_STORE": url}
            made = []
            for _ in range(number):
                made.append(subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=surroundings))
                stack.callback(made[-1].wait, PATIENCE)
                stack.callback(made[-1].kill)
            return [Program(json.loads(one.stdout.readline() if one.stdout else ""), one) for one in made]

        yield programs


@pytest.fixture
def start(url: str) -> Iterator[Start]:
    """Mocks of one's own, on an empty store."""
    with starting(url) as programs:
        yield programs


@pytest.fixture(scope="module")
def both(port: int) -> Iterator[list[Program]]:
    with starting(f"redis://127.0.0.1:{port}/1") as programs:
        yield programs(2)


@pytest.fixture
def pair(both: list[Program]) -> list[Program]:
    """Two mocks on one store that is empty."""
    assert both[0].control.post("/reset", json={}).status_code == 200
    return both


def test_what_is_submitted_at_one_is_polled_and_fetched_at_the_other(start: Start) -> None:
    one, other = start(2, "--time-scale", "50")
    id = one.submit().json()["request_id"]
    limit, told = time.monotonic() + PATIENCE, b""
    while MEDIA.encode() not in told and time.monotonic() < limit:
        reply = other.client.get(f"/v2/requests/{id}")
        assert reply.status_code in (200, 202)
        told = reply.content
    path = MEDIA + told.partition(MEDIA.encode())[2].partition(b'"')[0].decode()
    assert {mock.client.get(path).status_code for mock in (one, other)} == {200}
    assert one.client.get(path).content == other.client.get(path).content


def test_credits_are_conserved_and_never_overspent_when_two_mocks_take_jobs_at_once(start: Start) -> None:
    mocks = start(2, "--deposit", "0.1", "--no-journal")
    told: list[int] = []

    def submit(mock: Program) -> None:
        with httpx.Client(base_url=mock.url, headers=mock.headers, timeout=PATIENCE) as client:
            told.extend(client.post("/v2/p-image", json={"prompt": "x"}).status_code for _ in range(10))

    threads = [threading.Thread(target=submit, args=(mock,)) for mock in mocks for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    price = Decimal("0.005")
    accepted = told.count(200)
    assert (len(told), accepted, set(told)) == (60, 20, {200, 406})
    for mock in mocks:
        account = {name: Decimal(mock.account()[name]) for name in ("deposited", "balance", "spent", "reserved")}
        assert account["deposited"] == account["balance"] + account["spent"] + account["reserved"]
        assert account["spent"] + account["reserved"] == accepted * price
    assert mocks[0].control.get("/health").json()["jobs"] == accepted


def test_the_minute_of_a_rate_limit_is_one_for_both(start: Start) -> None:
    mocks = start(2, "--limits")
    told = [mocks[number % 2].submit().status_code for number in range(62)]
    assert told == [200] * 60 + [429] * 2


def test_a_job_whose_mock_was_killed_is_not_lost(start: Start) -> None:
    one, other = start(2)
    ids: list[str] = []
    killed = threading.Event()

    def submit() -> None:
        with contextlib.suppress(httpx.HTTPError), httpx.Client(base_url=one.url, headers=one.headers) as client:
            while True:
                ids.append(client.post("/v2/p-image", json={"prompt": "x"}).json()["request_id"])
                if len(ids) == 25:
                    killed.set()

    thread = threading.Thread(target=submit)
    thread.start()
    assert killed.wait(PATIENCE)
    one.process.send_signal(signal.SIGKILL)
    thread.join(PATIENCE)
    assert {other.client.get(f"/v2/requests/{id}/status").status_code for id in ids} == {200}
    account = other.account()
    # One more may have been taken whose reply was cut off; then it is known, too, and paid.
    assert (
        account["jobs"] in (len(ids), len(ids) + 1) and account["jobs"] == other.control.get("/health").json()["jobs"]
    )
    assert Decimal(account["spent"]) + Decimal(account["reserved"]) == account["jobs"] * Decimal("0.005")
    assert other.submit().status_code == 200


@pytest.mark.slow
def test_whoever_is_killed_and_whenever_jobs_and_money_agree(start: Start) -> None:
    acknowledged: list[str] = []
    lines, rounds = 2, 8
    for number in range(rounds):
        mocks = start(2, "--no-journal")
        enough, enough_for = threading.Event(), len(acknowledged) + random.Random(number).randrange(20, 80)

        def submit(mock: Program, enough: threading.Event = enough, enough_for: int = enough_for) -> None:
            with contextlib.suppress(httpx.HTTPError), httpx.Client(base_url=mock.url, headers=mock.headers) as client:
                while not enough.is_set():
                    told = client.post("/v2/p-image", json={"prompt": "x"}, timeout=PATIENCE)
                    acknowledged.append(told.json()["request_id"])
                    if len(acknowledged) >= enough_for:
                        enough.set()

        threads = [threading.Thread(target=submit, args=(mock,)) for mock in mocks for _ in range(lines)]
        for thread in threads:
            thread.start()
        assert enough.wait(PATIENCE)
        mocks[number % 2].process.kill()
        for thread in threads:
            thread.join(PATIENCE)
        mocks[1 - number % 2].process.kill()
    (mock,) = start(1)
    assert {mock.client.get(f"/v2/requests/{id}/status").status_code for id in acknowledged} == {200}
    account, jobs = mock.account(), mock.control.get("/health").json()["jobs"]
    assert len(acknowledged) == len(set(acknowledged)) <= jobs <= len(acknowledged) + 2 * lines * rounds
    assert Decimal(account["spent"]) + Decimal(account["reserved"]) == jobs * Decimal("0.005")
    assert account["jobs"] == jobs


def test_a_key_that_one_made_is_taken_by_the_other_with_its_mood(pair: list[Program]) -> None:
    one, other = pair
    made = one.control.post("/keys", json={"provider": "segmind", "mood": "failed"}).json()
    headers = {"x-api-key": made["key"]}
    reply = httpx.post(f"{other.url}/v2/p-image", json={"prompt": "x"}, headers=headers, timeout=PATIENCE)
    assert reply.status_code == 200
    assert one.account(made["account"])["jobs"] == 1
    assert one.control.put(f"/accounts/{made['account']}", json={"forbidden": True}).status_code == 200
    assert httpx.post(f"{other.url}/v2/p-image", json={"prompt": "x"}, headers=headers).status_code == 403


def test_a_reset_at_one_is_one_for_both(pair: list[Program]) -> None:
    one, other = pair
    id = one.submit().json()["request_id"]
    other.control.post("/reset", json={})
    assert one.client.get(f"/v2/requests/{id}/status").status_code == 404
    assert one.submit().json()["request_id"] == id


def test_what_is_everybodys_is_not_changed_by_one(pair: list[Program]) -> None:
    mock = pair[0]
    assert mock.control.post("/clock/advance", json={"seconds": 5}).status_code == 409
    assert mock.control.post("/clock/idle", json={}).status_code == 409
    assert mock.control.post("/reset", json={"seed": SEED + 1}).status_code == 409


def test_the_time_is_one_for_who_came_first_and_who_came_later(pair: list[Program]) -> None:
    one, other = pair
    clocks = [mock.control.get("/clock").json() for mock in (one, other)]
    # Each reads its own machine's clock and asks the store for the beginning: what they share is that beginning.
    begun = [clock["wall"] - clock["now"] for clock in clocks]
    assert abs(begun[0] - begun[1]) < 1
    assert abs(clocks[0]["wall"] - clocks[1]["wall"]) < 60


def test_workers_on_a_store_are_one_mock_and_speak_tls(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("trustme")
    (mock,) = start(1, "--workers", "2", "--tls")
    trust = ssl.create_default_context(cafile=mock.ready["ca"])
    ids = []
    for _ in range(6):
        with httpx.Client(base_url=mock.url, headers=mock.headers, verify=trust, timeout=PATIENCE) as client:
            ids.append(client.post("/v2/p-image", json={"prompt": "x"}).json()["request_id"])
            assert {client.get(f"/v2/requests/{id}/status").status_code for id in ids} == {200}
    assert (mock.control.get("/health").json()["jobs"], mock.account()["jobs"]) == (6, 6)
    lines = [json.loads(line)["exchange"] for line in mock.control.get("/journal").text.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, 28))
    assert 'wireproof_calls_total{operation="submit",status="200"} 6' in mock.control.get("/metrics").text


def test_a_password_of_the_store_is_never_told() -> None:
    with stores.serving("--requirepass", CANARY) as (port, _):
        good, wrong = f"redis://:{CANARY}@127.0.0.1:{port}/0", f"redis://:{CANARY}wrong@127.0.0.1:{port}/0"
        gone, odd = f"redis://:{CANARY}@127.0.0.1:1/0", f":{CANARY}@127.0.0.1:{port}"
        told = []
        for url in (wrong, gone, odd, f"redis://u:{CANARY}@127.0.0.1:x/0"):
            with pytest.raises(UsageError) as refused:
                serve(resolve("segmind"), store=Secret(url))
            told.append(str(refused.value))
        surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "harness"), "WIREPROOF_STORE": wrong}
        line = [sys.executable, "-m", "wireproof", "mock", "segmind/p-image"]
        done = subprocess.run(line, capture_output=True, text=True, env=surroundings, timeout=60, check=False)
        assert (done.returncode, "cannot be used" in done.stderr) == (2, True)
        told += [done.stdout, done.stderr]
        store = Store(Secret(good))
        made = SharedMock(resolve("segmind"), store=store, clock=SteppedClock(), jobs=10, seed=SEED)
        store.agree({"seed": "1"})
        with pytest.raises(UsageError, match="belongs to another mock") as refused:
            store.agree({"seed": "2"})
        told += [str(refused.value), repr(store), repr(made), repr(vars(store))]
    assert not [text for text in told if CANARY in text]


def test_a_mock_of_another_seed_is_told_which_mock_the_store_belongs_to(url: str) -> None:
    Store(Secret(url)).agree({"seed": "5"})
    with pytest.raises(UsageError, match="seed is 5 there and 6 here"):
        serve(resolve("segmind"), seed=6, store=Secret(url))


def test_a_store_that_is_gone_is_told_to_the_client_and_found_again() -> None:
    with stores.serving() as (port, process):
        mock = shared(f"redis://127.0.0.1:{port}/0")
        key = mock.key("segmind")
        assert submit(mock, key=key).status == 200
        process.kill()
        process.wait(PATIENCE)
        assert submit(mock, key=key).status == 503
        with stores.serving(port=port):
            assert submit(mock, key=key).status == 200


# ------------------------------------------------------------------------------- the engine on a store


def shared(url: str, *names: str, clock: SteppedClock | None = None, **more: Any) -> SharedMock:
    endpoints = [endpoint for name in names or ("segmind",) for endpoint in resolve(name)]
    more = {"seed": SEED, "moods": MOODS, "jobs": 1000, **more}
    return SharedMock(endpoints, store=Store(Secret(url)), clock=clock or SteppedClock(), **more)


def ask(mock: Mock, method: str, path: str, at: float, body: Any = None, key: str = "") -> Reply:
    content = b"" if body is None else json.dumps(body).encode()
    headers = (("x-api-key", key or mock.key("segmind")), ("content-type", "application/json"))
    return mock.answer(Call(method, "http://mock.example" + path, headers, content), at, 1e9 + at).reply


def submit(mock: Mock, at: float = 0.0, key: str = "") -> Reply:
    return ask(mock, "POST", "/v2/p-image", at, {"prompt": "x"}, key)


def id_of(reply: Reply) -> str:
    return str(json.loads(reply.body)["request_id"])


def test_the_same_calls_are_answered_byte_for_byte_as_without_a_store(url: str) -> None:
    def on_a_store(**more: Any) -> Mock:
        store = Store(Secret(url))
        store.wipe("*")
        return SharedMock(store=store, clock=SteppedClock(), jobs=1000, **more)

    moods = (None, "flapping-gateway", "lost-reply", "busy-hour")
    assert list(said(on_a_store, moods)) == list(said(Mock, moods))


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["submit", "bad", "dear", "status", "result", "picture", "refund", "forbid"]),
        st.sampled_from(["main", "other", "poor"]),
        st.sampled_from([0.0, 0.4, 3.0, 20.0]),
    ),
    max_size=25,
)


@given(STEPS, st.sampled_from([None, "failed", "flapping-gateway"]), st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_of_two_mocks_on_one_store_one_mock_would_have_said(
    url: str, steps: list[tuple[int, str, str, float]], mood: str | None, limits: bool
) -> None:
    Store(Secret(url)).wipe("*")
    more = {"mood": MOODS[mood] if mood else None, "limits": limits, "deposit": Decimal("0.03")}
    pair = [shared(url, **more) for _ in range(2)]
    alone = Mock(resolve("segmind"), seed=SEED, moods=MOODS, **more)
    now, ids = 0.0, ["nobody"]
    for which, what, role, later in steps:
        now += later
        told = [carry_out(mock, what, role, ids[-1], now) for mock in (alone, pair[which])]
        assert told[0] == told[1]
        if what == "submit" and told[0].status == 200:
            ids.append(id_of(told[0]))
    books = [{name: book(mock, name, now) for name in alone.accounts} for mock in (alone, *pair)]
    assert books[0] == books[1] == books[2]


def carry_out(mock: Mock, what: str, role: str, id: str, now: float) -> Any:
    key = mock.key("segmind", role)
    if what in ("refund", "forbid"):

        def change() -> None:
            account = mock.account(f"segmind:{role}")
            if what == "forbid":
                account.forbidden = not account.forbidden
            else:
                account.settle(now)
                account.deposit(Decimal("0.01"), now)

        return mock.at_once(change)
    bodies = {"submit": {"prompt": "x"}, "bad": {"prompt": "x", "width": 7}, "dear": {"prompt": "an nsfw thing"}}
    if what in bodies:
        return ask(mock, "POST", "/v2/p-image", now, bodies[what], key)
    paths = {"status": f"/v2/requests/{id}/status", "result": f"/v2/requests/{id}", "picture": f"{MEDIA}{id}-0.png"}
    return ask(mock, "GET", paths[what], now, key=key)


def book(mock: Mock, name: str, now: float) -> Any:
    def read() -> Any:
        account = mock.account(name)
        account.settle(now)
        amounts = account.deposited, account.balance, account.spent, account.reserved, account.refunded
        assert account.deposited == account.balance + account.spent + account.reserved
        return amounts, account.jobs, account.forbidden, account.book, account.next_end(), account.in_flight(now)

    return mock.at_once(read)


def test_a_job_is_forgotten_by_the_store_itself_when_its_time_is_over(url: str) -> None:
    mock = shared(url)
    id = id_of(submit(mock))
    job = mock.memory.get(id)
    assert job is not None and job.record_for is not None
    kept = mock.store.ask("PTTL", f"job:{id}") / 1000
    until = job.ends + max(job.record_for, job.media_for or 0.0)
    assert until - 60 < kept <= until + 2
    mock.store.ask("PEXPIRE", f"job:{id}", 1)
    limit = time.monotonic() + PATIENCE
    while mock.memory.knows(id) and time.monotonic() < limit:
        pass
    assert ask(mock, "GET", f"/v2/requests/{id}/status", 1.0).status == 404


def test_every_word_of_a_job_survives_the_store(url: str) -> None:
    job = next(iter(shared(url).memory), None)
    assert job is None
    one, other = shared(url), shared(url)
    submit(one)
    (kept,) = one.memory
    odd = replace(
        kept, id="odd", outcome=Status.FAILED, why="ü \ud800", throttled=0.1, cost=Decimal("0.10"), own_id=True,
        billed=False, twist={"factor": 2.0}, mood="failed", media_for=None, balance=None,
        values={"prompt": "\U0001f600"},
    )  # fmt: skip
    one.at_once(lambda: one.memory.add(replace(odd, full=effective(odd.endpoint, odd.values))))
    found = other.memory.get("odd")
    assert found == replace(odd, full=effective(odd.endpoint, odd.values))


def test_a_key_that_floods_a_store_loses_its_own_jobs_and_no_others(url: str) -> None:
    mock = shared(url, jobs=100)
    quiet = [id_of(submit(mock, number * 0.001, mock.key("segmind", "other"))) for number in range(30)]
    loud = [id_of(submit(mock, 1 + number * 0.001)) for number in range(LOOK * 2 - 30)]
    assert all(mock.memory.knows(id) for id in quiet)
    assert [mock.memory.knows(id) for id in loud] == [False] * (len(loud) - 71) + [True] * 71
    assert (mock.memory.forgotten, len(mock.memory)) == (LOOK * 2 - 101, 101)


def test_everything_in_the_store_has_an_end_but_the_books(url: str) -> None:
    own = Mood("own", (Fault("slow", at=("submit",), every=2, options={"run": 3.0}),))
    mock = shared(url, "segmind", "runware", limits=True, mood=own)
    submit(mock)
    task = {"taskType": "imageUpload", "taskUUID": "11111111-1111-4111-8111-111111111111", "image": "data:,x"}
    headers = (("authorization", f"Bearer {mock.key('runware')}"), ("content-type", "application/json"))
    for status in (200, 400):
        call = Call("POST", "http://m/v1", headers, json.dumps([task]).encode())
        reply = mock.answer(call, 0.0, 0.0).reply
        assert reply.status == status, reply.body
    names = {name.removeprefix("wireproof:") for name in mock.store._client.scan_iter("*")}
    endless = {name.partition(":")[0] for name in names if mock.store.ask("TTL", name) == -1}
    assert {"job", "window", "ids", "upload"} <= {name.partition(":")[0] for name in names}
    assert endless <= {"account", "accounts", "queue", "book", "jobs", "counts", "keys"}


def test_a_step_that_others_overtook_changes_nothing_and_one_that_counted_is_not_done_twice(url: str) -> None:
    one, other = Store(Secret(url)), Store(Secret(url))
    for store in (one, other):
        store.begin().head("account:a")["jobs"] = "1"
        store.step.write("account:a", "RPUSH", "book:a", "line")
    assert (one.step.commit(), other.step.commit()) == (True, False)
    assert one.ask("LLEN", "book:a") == 1
    heads, sent = {"account:a": ("", True)}, []
    one.wipe("*")
    one._commit = lambda keys, args, inner=one._commit: (sent.append((keys, args)), inner(keys, args))[1]
    assert one.commit(heads, [("RPUSH", "book:a", "line")])
    assert other._commit(*sent[0]) == 1
    assert one.ask("LLEN", "book:a") == 1


def test_a_step_is_done_again_until_it_counts_and_takes_one_job(url: str) -> None:
    one, other = shared(url), shared(url)
    overtaken = [3]

    def slowly() -> Reply:
        told = super(SharedMock, one).answer(call, 0.0, 0.0).reply
        if overtaken[0]:
            overtaken[0] -= 1
            submit(other)
        return told

    headers = (("x-api-key", one.key("segmind")), ("content-type", "application/json"))
    call = Call("POST", "http://mock.example/v2/p-image", headers, b'{"prompt":"x"}')
    alone = Mock(resolve("segmind"), seed=SEED)
    fourth = [alone.answer(call, 0.0, 0.0).reply.body for _ in range(4)][-1]
    assert one.at_once(slowly).body == fourth
    assert (len(one.memory), book(one, "segmind:main", 0.0)[1]) == (4, 4)


def test_a_step_that_is_overtaken_for_ever_is_given_up(url: str) -> None:
    one, other = shared(url), shared(url)

    def never() -> None:
        one.account("segmind:main").deposit(Decimal(1), 0.0)
        other.at_once(lambda: other.account("segmind:main").deposit(Decimal(1), 0.0))

    with pytest.raises(Gone):
        one.at_once(never)


def test_throws_are_the_streams_own_in_whatever_order_they_are_asked_for() -> None:
    mock = Mock(resolve("segmind"), seed=SEED)
    stream = mock.stream("segmind:main")
    whole = [stream.getrandbits(192) for _ in range(200)]
    throws = Throws(lambda: mock.stream("segmind:main"))
    order = [0, 0, 5, 4, 199, 198, 140, 3, 199]
    assert [throws[number] for number in order] == [whole[number] for number in order]


def test_the_contracts_that_a_store_belongs_to_are_all_that_are_served(url: str) -> None:
    store = Store(Secret(url))
    names = " ".join(sorted(endpoint.name for endpoint in load_all()))
    began = store.agree({"endpoints": names})
    assert store.agree({"endpoints": names}) == began
    with pytest.raises(UsageError, match="endpoints"):
        store.agree({"endpoints": "other"})
