"""Accounts of the mock: money is neither made nor lost, and limits are windows that open again."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireproof.lifecycle import Status
from wireproof.mock.engine import Mock
from wireproof.mock.jobs import Account
from wireproof.mock.moods import Fault, Mood
from wireproof.model import Does, Endpoint, Limit, Reply
from wireproof.spec.load import resolve
from wireproof.wire import requests

SEGMIND = resolve("segmind/p-image")[0]
TRY_ON = resolve("segmind/p-image-try-on")[0]


class Client:
    """One key's calls to a mock."""

    def __init__(self, mock: Mock, endpoint: Endpoint = SEGMIND, role: str = "main") -> None:
        self.mock, self.endpoint = mock, endpoint
        self.key = mock.key(endpoint.provider.name, role)
        self.account = mock.account(f"{endpoint.provider.name}:{role}")

    def ask(self, does: Does, now: float, job: str = "", **values: Any) -> Reply:
        operation = self.endpoint.doing(does)
        assert operation is not None
        call = requests.build(self.endpoint, operation, "http://m", values=values, job=job, key=self.key)
        return self.mock.answer(call, now, now).reply

    def submit(self, now: float = 0.0, **values: Any) -> Reply:
        return self.ask(Does.SUBMIT, now, **{"prompt": "a lighthouse", **values})

    def state(self, submitted: Reply, now: float) -> str:
        id = json.loads(submitted.body)["request_id"]
        return str(json.loads(self.ask(Does.STATUS, now, id).body)["status"])


def limited(**limit: Any) -> Endpoint:
    """The endpoint with one limit of its host changed."""
    plain = Limit(**{"name": "own", "what": "jobs", "most": 2, "problem": "rate_limited", **limit})
    return replace(SEGMIND, provider=replace(SEGMIND.provider, limits=(plain,)))


def conserved(account: Account) -> bool:
    return account.deposited == account.balance + account.spent + account.reserved


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "deposit"]),
        st.decimals(0, 10, places=4),
        st.floats(0, 50),
        st.booleans(),
    ),
    max_size=60,
)


@given(MOVES)
def test_money_is_neither_made_nor_lost_by_any_history(moves: list[tuple[str, Decimal, float, bool]]) -> None:
    account, now = Account("a", Decimal(20)), 0.0
    for what, amount, seconds, billed in moves:
        now += seconds / 10
        if what == "reserve" and amount <= account.balance:
            account.reserve(amount, now + seconds, billed, now)
        elif what == "deposit":
            account.deposit(amount - 5, now)
        else:
            account.settle(now)
        assert conserved(account)
        assert account.balance >= 0
    account.settle(1e9)
    assert account.reserved == 0
    assert account.balance + account.spent == account.deposited


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.integers(1, 4)), max_size=25), st.integers(0, 5))
def test_money_is_neither_made_nor_lost_by_any_calls(calls: list[tuple[float, bool, int]], seed: int) -> None:
    half = Mood("half", (Fault("fails", at=("submit",), chance=0.5), Fault("reset", chance=0.2)))
    client = Client(Mock([TRY_ON], seed=seed, mood=half, deposit=Decimal("0.2")), TRY_ON)
    now = 0.0
    for seconds, asks, garments in calls:
        now += seconds
        if asks:
            client.ask(Does.STATUS, now, "nobody")
        pictures = ["https://x.example/a.png"] * garments
        client.ask(Does.SUBMIT, now, person_image="https://x.example/p.png", garment_images=pictures)
        assert conserved(client.account)
        assert client.account.balance >= 0


def test_a_job_is_reserved_when_it_is_taken_and_spent_when_it_ends() -> None:
    client = Client(Mock([SEGMIND]))
    client.submit()
    assert (client.account.reserved, client.account.spent) == (Decimal("0.005"), 0)
    client.account.settle(600.0)
    assert (client.account.reserved, client.account.spent) == (0, Decimal("0.005"))
    assert [entry.what for entry in client.account.book] == ["reserve", "spend"]


def test_a_failed_job_is_given_back_where_the_contract_says_so() -> None:
    client = Client(Mock([SEGMIND], mood=Mood("failing", (Fault("fails"),))))
    client.submit()
    client.account.settle(600.0)
    assert (client.account.spent, client.account.refunded) == (0, Decimal("0.005"))


def test_a_job_that_the_balance_does_not_cover_is_refused_until_money_comes_back() -> None:
    client = Client(Mock([SEGMIND], mood=Mood("failing", (Fault("fails"),)), deposit=Decimal("0.012")))
    assert [client.submit().status for _ in range(3)] == [200, 200, 406]
    assert client.submit(600.0).status == 200


def test_two_keys_of_one_account_share_its_balance_and_two_accounts_do_not() -> None:
    mock = Mock([SEGMIND], keys={"SG_0000000000000000": "segmind:main"}, deposit=Decimal("0.005"))
    first, second, other = Client(mock), Client(mock), Client(mock, role="other")
    second.key = "SG_0000000000000000"
    assert [first.submit().status, second.submit().status, other.submit().status] == [200, 406, 200]


def test_a_rate_limit_is_a_window_that_slides() -> None:
    client = Client(Mock([SEGMIND], limits=True))
    assert [client.submit(float(n) / 10).status for n in range(60)] == [200] * 60
    refused = client.submit(30.0)
    assert (refused.status, refused.header("x-rate-limit-reset-at-utc")) == (429, "1970-01-01T00:01:00Z")
    assert client.submit(59.9).status == 429
    assert client.submit(60.0).status == 200


def test_polls_do_not_eat_the_submits_budget() -> None:
    client = Client(Mock([SEGMIND], limits=True))
    for _ in range(200):
        client.ask(Does.STATUS, 0.0, "nobody")
    assert client.submit().status == 200


def test_a_limit_on_jobs_refuses_until_one_ends() -> None:
    client = Client(Mock([limited()], limits=True), limited())
    assert [client.submit().status for _ in range(3)] == [200, 200, 429]
    assert client.submit(60.0).status == 200


def test_a_limit_on_jobs_lines_up_what_is_too_much() -> None:
    endpoint = limited(over="queue", most=1)
    mock = Mock([endpoint], limits=True)
    client = Client(mock, endpoint)
    replies = [client.submit() for _ in range(4)]
    jobs = sorted(mock.memory, key=lambda job: job.number)
    starts = [job.taken + job.queue for job in jobs]
    assert [reply.status for reply in replies] == [200] * 4
    assert all(later >= earlier.ends for later, earlier in zip(starts[1:], jobs, strict=False))


def test_a_limit_on_jobs_throttles_and_says_so_in_the_hosts_first_word() -> None:
    endpoint = limited(over="throttle", most=1)
    mock = Mock([endpoint], limits=True)
    client = Client(mock, endpoint)
    client.submit()
    second = client.submit()
    job = max(mock.memory, key=lambda job: job.number)
    assert job.status(1.0) is Status.THROTTLED
    assert client.state(second, 1.0) == "QUEUED"
    assert client.state(second, job.ends) == "COMPLETED"


@pytest.mark.parametrize("over", ["queue", "throttle"])
@given(gaps=st.lists(st.floats(0, 5), min_size=1, max_size=20), most=st.integers(1, 4))
def test_never_more_jobs_run_at_once_than_the_limit_allows(over: str, gaps: list[float], most: int) -> None:
    endpoint = limited(over=over, most=most)
    mock, now = Mock([endpoint], limits=True), 0.0
    client = Client(mock, endpoint)
    for gap in gaps:
        now += gap
        client.submit(now)
    jobs = list(mock.memory)
    held = {job.number: job.taken + job.throttled + (job.queue if over == "queue" else 0.0) for job in jobs}
    for job in jobs:
        at_once = sum(held[other.number] <= held[job.number] < other.ends - 1e-9 for other in jobs)
        assert at_once <= most


def test_a_reset_mock_answers_like_a_new_one() -> None:
    client = Client(Mock([SEGMIND], limits=True))
    first = [client.submit().body for _ in range(3)]
    client.mock.reset()
    assert [client.submit().body for _ in range(3)] == first
