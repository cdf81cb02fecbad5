"""Leases: no order of workers, jobs and deaths spends more than the budget, and nothing is counted twice."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from wireproof.ledger import MemoryLedger
from wireproof.load.leases import LEASE, Purse, Teller
from wireproof.money import Money


def usd(amount: str) -> Money:
    return Money(Decimal(amount), "USD")


def test_a_lease_holds_the_money_of_all_its_jobs_until_they_are_accounted_for():
    ledger = MemoryLedger(usd("1.00"))
    teller = Teller(lambda endpoint, unit: [ledger])
    number, jobs = teller.grant("a", usd("0.05"), LEASE)
    assert (jobs, ledger.state().reserved) == (LEASE, usd("0.50"))
    teller.settle(number, usd("0.05"), 1)
    teller.settle(number, usd("0.00"), jobs - 1)
    assert (ledger.state().spent, ledger.state().reserved) == (usd("0.05"), usd("0.00"))


def test_near_the_end_single_jobs_are_granted_until_not_one_is_covered():
    ledger = MemoryLedger(usd("0.12"))
    teller = Teller(lambda endpoint, unit: [ledger])
    assert [teller.grant("a", usd("0.05"), LEASE)[1] for _ in range(3)] == [1, 1, 0]
    assert "0.12 USD" in teller.refused


def test_when_one_of_two_ledgers_refuses_the_other_gets_its_money_back():
    whole, key = MemoryLedger(usd("1.00")), MemoryLedger(usd("0.01"))
    teller = Teller(lambda endpoint, unit: [whole, key])
    assert teller.grant("a", usd("0.05"), LEASE) == (0, 0)
    assert whole.state().reserved == usd("0.00")


def test_a_purse_that_was_refused_still_pays_from_what_it_holds():
    grants = iter([(1, 2), (0, 0)])
    purse = Purse(lambda endpoint, price, jobs: next(grants))
    assert [purse.take("a", usd("0.05")) for _ in range(3)] == [1, 1, None]
    assert purse.empty


def test_what_is_left_in_a_purse_is_given_back_once():
    purse = Purse(lambda endpoint, price, jobs: (7, 10))
    purse.take("a", usd("0.05"))
    assert dict(purse.unused()) == {7: 9}
    assert dict(purse.unused()) == {}


@settings(max_examples=60, deadline=None)
@given(
    ceiling=st.decimals("0.01", "2", places=3),
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["take", "free", "paid", "silent", "die"])), max_size=80
    ),
)
def test_any_interleaving_of_workers_keeps_the_ledger_within_its_ceiling(ceiling, steps):
    ledger = MemoryLedger(Money(ceiling, "USD"))
    teller = Teller(lambda endpoint, unit: [ledger])
    purses = [Purse(teller.grant) for _ in range(4)]
    under_way: list[list[int]] = [[] for _ in range(4)]
    charged = Decimal(0)
    for worker, step in steps:
        if step == "die":
            purses[worker], under_way[worker] = Purse(teller.grant), []
        elif step == "take":
            lease = purses[worker].take("a", usd("0.007"))
            under_way[worker] += [lease] if lease else []
        elif under_way[worker]:
            cost = {"free": usd("0"), "paid": usd("0.007"), "silent": None}[step]
            charged += cost.amount if cost else Decimal("0.007")
            teller.settle(under_way[worker].pop(), cost)
        state = ledger.state()
        assert charged <= state.at_most.amount <= ceiling


def test_a_refused_price_may_come_as_long_as_more_is_set_aside_than_was_spent():
    ledger = MemoryLedger(usd("0.10"))
    teller = Teller(lambda endpoint, unit: [ledger])
    (first, _), (second, _) = (teller.grant("a", usd("0.05"), 1) for _ in range(2))
    assert teller.grant("a", usd("0.05"), 1) == (0, 0)
    assert teller.may_come("a", usd("0.05"))
    teller.settle(first, usd("0.03"))
    assert teller.may_come("a", usd("0.07"))
    assert not teller.may_come("a", usd("0.08"))
    teller.settle(second, usd("0.02"))
    assert not teller.may_come("a", usd("0.06"))
    assert teller.grant("a", usd("0.05"), 1)[1] == 1


def test_nothing_is_waited_for_that_only_a_dead_worker_holds():
    ledger = MemoryLedger(usd("0.05"))
    teller = Teller(lambda endpoint, unit: [ledger])
    lease, _ = teller.grant("a", usd("0.05"), 1)
    teller.orphan([lease])
    assert not teller.may_come("a", usd("0.01"))


def test_what_is_given_back_while_a_purse_asks_for_more_does_not_take_the_new_lease_with_it():
    def ask(endpoint, price, jobs):
        purse.unused()
        return 5, 2

    purse = Purse(ask)
    assert purse.take("a", usd("0.05")) == 5
    assert dict(purse.unused()) == {5: 1}
