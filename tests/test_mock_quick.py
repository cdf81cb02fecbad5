"""The short cut gives the same bytes and keeps the same books as the engine; what is not plain, it leaves alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireproof.lifecycle import Status
from wireproof.mock import dice
from wireproof.mock.engine import Mock
from wireproof.mock.framing import framed
from wireproof.mock.jobs import Account, Memory
from wireproof.mock.manners import Manners
from wireproof.mock.moods import load_moods
from wireproof.mock.quick import _schema, reader
from wireproof.model import Call
from wireproof.spec.load import load_all, resolve

SEGMIND = resolve("segmind")
MOODS = load_moods()
ORIGIN = "http://127.0.0.1:8000"
GOOD = {"prompt": "a lighthouse", "aspect_ratio": "16:9", "seed": 7}


class Way:
    """One mock, asked by one of the two ways."""

    def __init__(self, quick: bool, **options: Any) -> None:
        self.mock = Mock(SEGMIND, seed=4, **options)
        self.quick = quick
        self.taken = 0
        """Calls that the short cut answered."""
        self.key = self.mock.key("segmind")

    def ask(self, method: str, path: str, body: Any = None, now: float = 0.0, **headers: str) -> bytes:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"host": "127.0.0.1:8000", "x-api-key": self.key, **headers}
        if self.quick:
            given = {name.encode(): value.encode() for name, value in fields.items()}
            whole = self.ask_short(method, path, given, content, now)
            if whole is not None:
                self.taken += 1
                return whole
        reply = self.mock.answer(Call(method, ORIGIN + path, tuple(fields.items()), content), now, now + 100.0).reply
        return framed(reply, keep=True) + reply.body

    def ask_short(self, method: str, path: str, fields: dict[bytes, bytes], body: bytes, now: float) -> bytes | None:
        desk = self.mock.quick(fields, ORIGIN)
        return desk(method.encode(), path.encode(), body, now) if desk is not None else None

    def submit(self, body: Any = GOOD, now: float = 0.0, model: str = "p-image", **headers: str) -> bytes:
        return self.ask("POST", f"/v2/{model}", body, now, **headers)


def id_in(whole: bytes) -> str:
    return str(json.loads(whole.partition(b"\r\n\r\n")[2])["request_id"])


def submitted(*ways: Way, now: float = 0.0) -> str:
    """The id of a job that each of them took."""
    (id,) = {id_in(way.submit(now=now)) for way in ways}
    return id


WORDS = ["a lighthouse", "", "NSFW", "[mood:failed]", "ü\\u0041", "\\u006esfw", "n\u017ffw", "x" * 300, 7, None]
BODIES = st.fixed_dictionaries(
    {"prompt": st.sampled_from(WORDS)},
    optional={
        "aspect_ratio": st.sampled_from(["16:9", "custom", "5:4", 1]),
        "width": st.sampled_from([256, 1440, 1441, 300.0, "300", True]),
        "seed": st.sampled_from([-1, 0, 42, 10**15, 999999999999999]),
        "disable_safety_checker": st.booleans(),
        "unknown": st.just(1),
    },
)
STEPS = st.lists(st.tuples(st.floats(0, 3), st.one_of(BODIES, st.none(), st.just(b"{"))), min_size=1, max_size=12)


@given(STEPS)
def test_both_ways_give_the_same_bytes_and_keep_the_same_books(steps: list[tuple[float, Any]]) -> None:
    ways, now, ids = (Way(True, moods=MOODS), Way(False, moods=MOODS)), 0.0, ["nobody"]
    for seconds, body in steps:
        now += seconds
        short, long = (
            way.submit(body, now) if body is not None else way.ask("GET", f"/v2/requests/{ids[-1]}/status", now=now)
            for way in ways
        )
        assert short == long
        if body is not None and b"200 OK" in short:
            ids.append(id_in(short))
    for id in ids:
        for at in (now, now + 5, now + 100, now + 4000):
            for tail in ("/status", ""):
                short, long = (way.ask("GET", f"/v2/requests/{id}{tail}", now=at) for way in ways)
                assert short == long
    short_books, long_books = map(account_of, ways)
    assert short_books == long_books


def account_of(way: Way) -> Any:
    account = way.mock.account("segmind:main")
    return account.balance, account.spent, account.reserved, account.jobs, account.book


def test_plain_calls_take_the_short_cut() -> None:
    way = Way(True, moods=MOODS)
    id = id_in(way.submit())
    for now in (0.0, 2.0, 100.0, 100.0):
        way.ask("GET", f"/v2/requests/{id}/status", now=now)
    way.ask("GET", f"/v2/requests/{id}", now=100.0)
    way.ask("GET", f"/segmind/v2/requests/{id}", now=100.0)
    assert way.taken == 7


def test_what_is_kept_ready_gives_way_to_what_happens() -> None:
    ways = Way(True, memory=Memory(2)), Way(False, memory=Memory(2))

    def said(now: float = 0.0) -> bytes:
        short, long = (way.ask("GET", f"/v2/requests/{id}/status", now=now) for way in ways)
        assert short == long
        return short

    id = submitted(*ways)
    first = said()
    assert said() == first
    assert said(100.0) != first, "the job has ended"
    for way in ways:
        way.mock.account("segmind:main").forbidden = True
    assert b" 403 " in said(100.0)
    for way in ways:
        way.mock.account("segmind:main").forbidden = False
        for _ in range(2):
            way.submit(now=100.0)
    assert b" 404 " in said(100.0), "there was no room for it any more"
    id = submitted(*ways, now=100.0)
    assert b" 200 " in said(100.0)
    for way in ways:
        way.mock.reset()
    assert b" 404 " in said(100.0)
    assert submitted(*ways) != id
    assert ways[0].mock.quick.counts == {("submit", 200): 1}


def test_links_in_a_reply_lead_where_the_caller_asked() -> None:
    ways = Way(True), Way(False)
    id = submitted(*ways)
    short, long = (way.ask("GET", f"/segmind/v2/requests/{id}/status") for way in ways)
    assert short == long


def test_books_that_were_brought_up_late_are_the_books_of_each_job_by_itself() -> None:
    ways = Way(True), Way(False)
    for number in range(40):
        for way in ways:
            way.submit(now=number * 0.2)
            assert number % 13 or account_of(way)[0] < 1000
    assert account_of(ways[0]) == account_of(ways[1])


def test_the_sums_are_right_though_the_lines_of_old_jobs_were_never_written() -> None:
    hurried, plain = Account("a", Decimal(10**6)), Account("a", Decimal(10**6))
    cost = Decimal("0.5")
    for number in range(40_000):
        now = number / 1000
        hurried.take((0, "a", number, b"", now, now, now + 1.5, 0, cost, hurried.left(now) - cost))
        plain.settle(now)
        plain.reserve(cost, now + 1.5, True, now)
    assert len(hurried._new) < 25_000, "what has ended is not kept"
    for account in (hurried, plain):
        account.settle(40.25)
    assert (hurried.spent, hurried.reserved, hurried.balance) == (plain.spent, plain.reserved, plain.balance)
    assert hurried.book == plain.book


VALUES = st.one_of(
    st.sampled_from(["", "x", "1:1", "png", "16:9", -1, 0, 1, 7.5, 256, 2.0, 10**20, True, None]),
    st.lists(st.sampled_from(["https://x.example/a.png", 1, ""]), max_size=12),
)


SCHEMAS = {endpoint.name: _schema(endpoint) for endpoint in load_all()}


@pytest.mark.parametrize("name", SCHEMAS)
@given(st.data())
def test_what_is_read_in_one_go_obeys_the_schema(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    needed = dict.fromkeys(schema["required"], VALUES)
    more = dict.fromkeys([name for name in [*schema["properties"], "odd"] if name not in needed], VALUES)
    values = data.draw(st.fixed_dictionaries(needed, optional=more))
    try:
        reader(schema, [])(json.dumps(values).encode())
    except ValueError:
        return
    assert jsonschema_rs.is_valid(schema, values)


class Own(Manners):
    """A host with manners of its own, though they change nothing."""


@pytest.mark.parametrize("options", [{"mood": MOODS["failed"]}, {"limits": True}, {"manners": Own()}])
def test_whoever_is_not_plain_takes_the_long_way(options: Any) -> None:
    way = Way(True, **options)
    way.submit()
    assert way.taken == 0


@pytest.mark.parametrize("headers", [{"x-wireproof-mood": "failed"}, {"x-api-key": "wrong"}])
def test_a_call_with_a_wish_or_a_wrong_key_takes_the_long_way(headers: dict[str, str]) -> None:
    way = Way(True, moods=MOODS)
    way.submit(**headers)
    assert way.taken == 0


def test_jobs_of_another_key_are_not_shown_by_the_short_cut() -> None:
    way = Way(True)
    id = id_in(way.submit())
    way.ask("GET", f"/v2/requests/{id}/status", now=100.0)
    way.key = way.mock.key("segmind", "other")
    assert b" 404 " in way.ask("GET", f"/v2/requests/{id}/status", now=100.0)


def test_an_expired_job_is_gone_though_its_reply_was_ready() -> None:
    way = Way(True)
    id = id_in(way.submit())
    assert b" 200 " in way.ask("GET", f"/v2/requests/{id}/status", now=100.0)
    assert b" 404 " in way.ask("GET", f"/v2/requests/{id}/status", now=4000.0)


def test_an_account_without_money_is_refused_by_either_way() -> None:
    way = Way(True, deposit=Decimal("0.012"))
    assert [way.submit().split(b" ")[1] for _ in range(3)] == [b"200", b"200", b"406"]


def test_a_job_of_the_short_cut_is_a_whole_job_for_whoever_looks() -> None:
    way = Way(True)
    id = id_in(way.submit({**GOOD, "seed": 99}))
    job = way.mock.memory.get(id)
    assert job is not None
    assert (job.seed, job.full["width"], job.status(1000.0)) == (99, 1024, Status.SUCCEEDED)


def test_the_memory_is_a_ring_and_says_what_it_dropped() -> None:
    way = Way(True, memory=Memory(most=10))
    ids = [id_in(way.submit()) for _ in range(25)]
    assert (len(way.mock.memory), way.mock.memory.forgotten) == (10, 15)
    assert way.mock.memory.get(ids[0]) is None
    assert way.mock.memory.get(ids[-1]) is not None


def test_a_reset_mock_gives_the_same_bytes_again_by_the_short_cut() -> None:
    way = Way(True)
    first = [way.submit() for _ in range(3)]
    way.mock.reset()
    assert [way.submit() for _ in range(3)] == first


@pytest.mark.parametrize("endpoint", load_all(), ids=lambda e: e.name)
@given(st.integers(0, 2**dice.BITS - 1))
def test_an_id_is_of_the_hosts_pattern(endpoint: Any, throw: int) -> None:
    assert re.fullmatch(endpoint.provider.id_pattern or "[0-9a-f]{32}", dice.ids(endpoint.provider.id_pattern)(throw))


def test_a_host_that_is_asked_about_anothers_job_does_not_know_it_either_way() -> None:
    endpoints = [*SEGMIND, *resolve("pixeldojo")]
    said = []
    for quick in (True, False):
        way = Way(quick)
        way.mock = Mock(endpoints, seed=4)
        other = f"Bearer {way.mock.key('pixeldojo')}"
        id = id_in(way.submit(authorization=other))
        said.append(way.ask("GET", f"/api/v1/jobs/{id}", authorization=other))
    assert said[0] == said[1] and b" 404 " in said[0]


PATTERNS = ["[0-9a-f]{32}", "job_[a-d]{3}-[0-9]{4}", "[A-Za-z0-9]{12}", "(a|b){3}", "x-[0-9a-f]"]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(st.integers(0, 2**dice.BITS - 1))
def test_ids_are_made_of_any_simple_pattern(pattern: str, throw: int) -> None:
    assert re.fullmatch(pattern, dice.ids(pattern)(throw))


TRANSCRIPT = Path(__file__).parent / "mock_transcript.py"


def test_the_answers_do_not_depend_on_how_python_orders_its_sets() -> None:
    def digest(seed: str) -> str:
        path = os.pathsep.join(path for path in sys.path if path)
        surroundings = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        words = [sys.executable, str(TRANSCRIPT)]
        return subprocess.run(words, env=surroundings, capture_output=True, text=True, check=True, timeout=60).stdout

    assert len({digest("1"), digest("2")}) == 1
