"""What the ledger promises: no interleaving, crash or hostile price spends more than was allowed."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from wireproof.clock import SteppedClock
from wireproof.errors import CouldNotTell, OverBudget, UsageError, WireproofError
from wireproof.ledger import Charge, FileLedger, Ledger, MemoryLedger, Reservation, Stopped, fingerprint
from wireproof.money import Money
from wireproof.runlog import Damaged, Disk, DiskError
from wireproof.secrets import Secret

KEY = fingerprint("acme", Secret("key-0123456789"))
FORK = multiprocessing.get_context("fork")


def usd(amount: str | int) -> Money:
    return Money(Decimal(amount), "USD")


Opener = Callable[[str], Ledger]


@pytest.fixture(params=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Makes a ledger with a ceiling, in memory or on disk: the promises are the same."""

    def make(ceiling: str) -> Ledger:
        if request.param == "memory":
            return MemoryLedger(usd(ceiling))
        return FileLedger.open(tmp_path, KEY, usd(ceiling))

    return make


# ---------------------------------------------------------------------------------------- rules


def test_what_is_reserved_counts_until_it_is_settled_at_what_it_cost(opened: Opener) -> None:
    ledger = opened("1.00")
    one = ledger.reserve(usd("0.40"), why="submit 1")
    two = ledger.reserve(usd("0.40"), why="submit 2")
    with pytest.raises(OverBudget) as told:
        ledger.reserve(usd("0.40"), why="submit 3")
    assert (told.value.spent, told.value.asked, told.value.ceiling) == (
        Decimal("0.80"),
        Decimal("0.40"),
        Decimal("1.00"),
    )
    charge = ledger.settle(one, usd("0.10"))
    assert (charge.overcharged, charge.stop) == (False, False)
    ledger.reserve(usd("0.40"), why="submit 3")
    state = ledger.state()
    assert (state.spent, state.reserved, state.at_most) == (usd("0.10"), usd("0.80"), usd("0.90"))
    assert (state.jobs, state.unknown, state.ceiling) == (3, 0, usd("1.00"))
    assert ledger.pending()[0] == two


def test_the_last_cent_can_be_spent_and_not_a_grain_more(opened: Opener) -> None:
    ledger = opened("0.3")
    for _ in range(3):
        ledger.reserve(usd("0.1"), why="")
    with pytest.raises(OverBudget):
        ledger.reserve(usd("0.0000000000000000000000000000000000000001"), why="")
    ledger.reserve(usd("0"), why="free")


def test_a_released_reservation_costs_nothing_and_was_no_job(opened: Opener) -> None:
    ledger = opened("1")
    ledger.release(ledger.reserve(usd("1"), why="never left"))
    assert (ledger.state().at_most, ledger.state().jobs) == (usd("0"), 0)
    ledger.reserve(usd("1"), why="again")


def test_a_charge_nobody_tells_stays_counted_at_its_ceiling_until_it_is_told(opened: Opener) -> None:
    ledger = opened("1")
    reservation = ledger.reserve(usd("0.6"), why="")
    assert ledger.settle(reservation, None).stop is False
    assert (ledger.state().spent, ledger.state().reserved, ledger.state().unknown) == (usd(0), usd("0.6"), 1)
    assert ledger.pending() == (reservation,)
    with pytest.raises(OverBudget):
        ledger.reserve(usd("0.6"), why="")
    ledger.settle(reservation, usd("0.2"))
    assert (ledger.state().at_most, ledger.state().unknown, ledger.state().jobs) == (usd("0.2"), 0, 1)


def test_the_share_of_those_whose_reasons_begin_alike_is_told_apart(opened: Opener) -> None:
    ledger = opened("9")
    ledger.settle(ledger.reserve(usd("1"), why="one a"), usd("0.7"), sure=False)
    ledger.settle(ledger.reserve(usd("2"), why="one b"), None)
    ledger.release(ledger.reserve(usd("3"), why="one c"))
    ledger.reserve(usd("0.5"), why="two a")
    share = ledger.share(("one ",))
    assert (share.spent, share.reserved, share.unknown, share.jobs) == (usd("0.7"), usd("2.3"), 1, 2)
    assert ledger.share(("one ", "two ")) == ledger.state()
    assert ledger.share(("three ",)).at_most == usd("0")


def test_a_charge_above_its_ceiling_is_counted_as_it_is_and_told(opened: Opener) -> None:
    ledger = opened("1")
    charge = ledger.settle(ledger.reserve(usd("0.5"), why=""), usd("1.2"))
    assert (charge.overcharged, charge.stop) == (True, False)
    assert ledger.state().spent == usd("1.2")
    with pytest.raises(OverBudget):
        ledger.reserve(usd("0.01"), why="")


@pytest.mark.parametrize(("billed", "stops"), [("0.5", False), ("0.50000001", True), ("10", True)])
def test_a_single_charge_above_five_times_its_ceiling_closes_the_budget(
    opened: Opener, billed: str, stops: bool
) -> None:
    ledger = opened("100")
    charge = ledger.settle(ledger.reserve(usd("0.1"), why="submit 7"), usd(billed))
    assert charge.stop is stops
    assert bool(ledger.state().stopped) is stops
    if stops:
        with pytest.raises(Stopped, match=r"nothing more is bought: call 1 \(submit 7\)") as told:
            ledger.reserve(usd("0.1"), why="")
        assert told.value.exit_code == 4
    else:
        ledger.reserve(usd("0.1"), why="")


def test_a_charge_for_what_was_promised_free_closes_the_budget(opened: Opener) -> None:
    ledger = opened("1")
    assert ledger.settle(ledger.reserve(usd(0), why=""), usd("0.001")).stop


BAD = [
    usd("-0.01"),
    usd("1E+30"),
    usd("1E-60"),
    usd("1E+999999"),
    Money(Decimal("0.1"), "EUR"),
    Money(Decimal("0.1"), "credits"),
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_amount_is_refused_and_gives_no_credit(opened: Opener, bad: Money) -> None:
    ledger = opened("1")
    reservation = ledger.reserve(usd("0.5"), why="")
    before = ledger.state()
    with pytest.raises(UsageError):
        ledger.settle(reservation, bad)
    with pytest.raises(UsageError):
        ledger.reserve(bad, why="")
    assert ledger.state() == before


@pytest.mark.parametrize("bad", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_an_amount_that_is_no_number_never_becomes_money(bad: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        usd(bad)


@pytest.mark.parametrize("bad", BAD[:4], ids=str)
def test_a_bad_ceiling_is_refused(tmp_path: Path, bad: Money) -> None:
    for make in (MemoryLedger, lambda ceiling: FileLedger.open(tmp_path, KEY, ceiling)):
        with pytest.raises(UsageError):
            make(bad)


def test_what_is_over_cannot_be_settled_or_released_again(opened: Opener) -> None:
    ledger = opened("1")
    settled, released = (ledger.reserve(usd("0.1"), why="") for _ in range(2))
    ledger.settle(settled, usd("0.1"))
    ledger.release(released)
    before = ledger.state()
    ledger.settle(settled, usd("0.1"))
    for again in (
        lambda: ledger.settle(settled, usd("0.05")),
        lambda: ledger.settle(settled, None),
        lambda: ledger.release(settled),
        lambda: ledger.release(released),
        lambda: ledger.settle(released, usd("0.1")),
        lambda: ledger.release(Reservation(99, usd("0.1"), "")),
    ):
        with pytest.raises(ValueError, match="not open|settled already"):
            again()
    assert ledger.state() == before


def test_a_hundred_thousand_charges_of_0_0088_are_exactly_880() -> None:
    ledger = MemoryLedger(usd("880"))
    for _ in range(100_000):
        ledger.settle(ledger.reserve(usd("0.0088"), why=""), usd("0.0088"))
    assert ledger.state().spent == usd("880")
    assert ledger.state().jobs == 100_000
    with pytest.raises(OverBudget):
        ledger.reserve(usd("0.0000001"), why="")


def test_sums_of_very_long_amounts_are_not_rounded(opened: Opener) -> None:
    ledger = opened("1000000000000000")
    long = ["900000000000000", "0.0000000000000000000000000000000000000001"]
    for amount in long:
        ledger.settle(ledger.reserve(usd(amount), why=""), usd(amount))
    assert str(ledger.state().at_most) == "900000000000000.0000000000000000000000000000000000000001 USD"


# -------------------------------------------------------------------------------- interleavings

cents = st.integers(0, 300).map(lambda n: usd(Decimal(n) / 100))
small = st.integers(0, 60).map(lambda n: usd(Decimal(n) / 100))
torn = st.binary(max_size=20).filter(lambda tail: b"\n" not in tail)


class Conservation(RuleBasedStateMachine):
    """Any order of steps by two users of one ledger, with crashes, against plain arithmetic."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.place = TemporaryDirectory()
        self.folder = Path(self.place.name)
        self.ceiling = usd("2.00")
        self.known: dict[int, Decimal] = {}
        self.open: dict[int, Decimal] = {}
        self.closed = self.overcharged = False
        self.users = [FileLedger.open(self.folder, KEY, self.ceiling) for _ in range(2)]
        self.memory = MemoryLedger(self.ceiling)

    def teardown(self) -> None:
        for user in self.users:
            user.close()
        self.place.cleanup()

    @property
    def log(self) -> Path:
        return self.folder / KEY / f"{self.users[0].budget}.jsonl"

    @rule(target=reservations, price=small, who=st.integers(0, 1))
    def reserve(self, price: Money, who: int) -> Any:
        counted = sum(self.known.values()) + sum(self.open.values())
        if self.closed or counted + price.amount > self.ceiling.amount:
            for ledger in (self.users[who], self.memory):
                with pytest.raises(OverBudget):
                    ledger.reserve(price, why="x")
            return multiple()
        made = self.users[who].reserve(price, why="x")
        assert self.memory.reserve(price, why="x") == made
        self.open[made.number] = price.amount
        return made

    @rule(made=consumes(reservations), billed=cents, who=st.integers(0, 1))
    def settle(self, made: Reservation, billed: Money, who: int) -> None:
        charge = self.users[who].settle(made, billed)
        assert charge == self.memory.settle(made, billed)
        self.known[made.number] = billed.amount
        del self.open[made.number]
        self.closed |= charge.stop
        self.overcharged |= charge.overcharged

    @rule(made=reservations, who=st.integers(0, 1))
    def nobody_tells(self, made: Reservation, who: int) -> None:
        self.users[who].settle(made, None)
        self.memory.settle(made, None)

    @rule(made=consumes(reservations), who=st.integers(0, 1))
    def release(self, made: Reservation, who: int) -> None:
        self.users[who].release(made)
        self.memory.release(made)
        del self.open[made.number]

    @rule(tail=torn)
    def a_third_process_dies_while_it_writes(self, tail: bytes) -> None:
        with self.log.open("ab") as log:
            log.write(tail)

    @rule(tail=torn)
    def all_die_and_the_budget_is_resumed(self, tail: bytes) -> None:
        log, budget = self.log, self.users[0].budget
        for user in self.users:
            user.close()
        with log.open("ab") as file:
            file.write(tail)
        self.users = [FileLedger.open(self.folder, KEY, self.ceiling, budget=budget) for _ in range(2)]
        assert self.users[0].state().unknown == len(self.open)

    @invariant()
    def what_is_counted_is_what_happened(self) -> None:
        for ledger in (*self.users, self.memory):
            state = ledger.state()
            assert state.spent.amount == sum(self.known.values())
            assert state.reserved.amount == sum(self.open.values())
            assert state.jobs == len(self.known) + len(self.open)
            assert [made.number for made in ledger.pending()] == sorted(self.open)

    @precondition(lambda self: not self.overcharged)
    @invariant()
    def nothing_goes_over_the_ceiling(self) -> None:
        assert self.users[0].state().at_most <= self.ceiling


TestConservation = Conservation.TestCase
TestConservation.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


# -------------------------------------------------------------------------------------- budgets


def budgets(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / KEY).glob("*.jsonl"))


def test_yesterdays_spending_does_not_eat_todays_budget(tmp_path: Path) -> None:
    clock = SteppedClock()
    with FileLedger.open(tmp_path, KEY, usd("1"), clock=clock) as ledger:
        ledger.reserve(usd("1"), why="")
    clock.advance(86_400)
    with FileLedger.open(tmp_path, KEY, usd("1"), clock=clock) as ledger:
        ledger.reserve(usd("1"), why="")
    assert budgets(tmp_path) == ["20260101T000000Z-1.jsonl", "20260102T000000Z-1.jsonl"]


def test_two_budgets_begun_in_one_second_are_two(tmp_path: Path) -> None:
    for _ in range(2):
        FileLedger.open(tmp_path, KEY, usd("1"), clock=SteppedClock()).close()
    assert budgets(tmp_path) == ["20260101T000000Z-1.jsonl", "20260101T000000Z-2.jsonl"]


def test_a_resumed_budget_counts_what_was_open_as_spent_and_can_be_reconciled(tmp_path: Path) -> None:
    with FileLedger.open(tmp_path, KEY, usd("1")) as ledger:
        ledger.settle(ledger.reserve(usd("0.3"), why="one"), usd("0.3"))
        lost = ledger.reserve(usd("0.5"), why="two")
    with FileLedger.open(tmp_path, KEY, usd("1"), budget=ledger.budget) as again:
        assert again.state().at_most == usd("0.8")
        assert again.state().unknown == 1
        with pytest.raises(OverBudget):
            again.reserve(usd("0.3"), why="three")
        assert again.pending() == (lost,)
        again.settle(lost, usd("0.4"))
        again.reserve(usd("0.3"), why="three")


def test_a_resumed_budget_can_be_given_another_ceiling(tmp_path: Path) -> None:
    with FileLedger.open(tmp_path, KEY, usd("1")) as ledger:
        ledger.reserve(usd("1"), why="")
    with FileLedger.open(tmp_path, KEY, usd("2"), budget=ledger.budget) as again:
        again.reserve(usd("1"), why="")
        with pytest.raises(OverBudget):
            again.reserve(usd("0.01"), why="")


def test_a_second_instance_joins_the_budget_in_use_and_the_lower_ceiling_counts(tmp_path: Path) -> None:
    with FileLedger.open(tmp_path, KEY, usd("1")) as one:
        one.reserve(usd("0.6"), why="")
        with FileLedger.open(tmp_path, KEY, usd("50")) as two, pytest.raises(OverBudget):
            two.reserve(usd("0.6"), why="")
        with FileLedger.open(tmp_path, KEY, usd("0.7")) as three:
            assert three.budget == one.budget
        with pytest.raises(OverBudget):
            one.reserve(usd("0.2"), why="")
    assert len(budgets(tmp_path)) == 1


def test_another_budget_of_a_key_in_use_is_refused(tmp_path: Path) -> None:
    with (
        FileLedger.open(tmp_path, KEY, usd("1"), budget="one"),
        pytest.raises(UsageError, match="in use within the budget one"),
    ):
        FileLedger.open(tmp_path, KEY, usd("1"), budget="two")
    FileLedger.open(tmp_path, KEY, usd("1"), budget="two").close()


def test_a_budget_keeps_its_unit(tmp_path: Path) -> None:
    with (
        FileLedger.open(tmp_path, KEY, usd("1"), budget="one"),
        pytest.raises(UsageError, match="kept in USD, not in credits"),
    ):
        FileLedger.open(tmp_path, KEY, Money(Decimal(5), "credits"))
    FileLedger.open(tmp_path, KEY, usd("1"), budget="one").close()


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a" * 65, "a\n", "\x00", "lock\x1b"])
def test_a_name_that_is_no_file_name_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not a name"):
        FileLedger.open(tmp_path / "below", name, usd("1"))
    if name:
        with pytest.raises(UsageError, match="not a name"):
            FileLedger.open(tmp_path / "below", KEY, usd("1"), budget=name)
    assert list(tmp_path.iterdir()) == []


def test_keys_do_not_share_budgets_and_are_not_told_by_their_files(tmp_path: Path) -> None:
    other = fingerprint("acme", "key-9999999999")
    with FileLedger.open(tmp_path, KEY, usd("1")) as one, FileLedger.open(tmp_path, other, usd("1")) as two:
        one.reserve(usd("1"), why="")
        two.reserve(usd("1"), why="")
    assert fingerprint("acme", "k") != fingerprint("bcme", "k")
    assert fingerprint("acme", Secret("key-9999999999")) == other
    text = "".join(map(str, tmp_path.rglob("*")))
    assert "key-" not in text
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {0o600, 0o700}


def test_a_damaged_ledger_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    with FileLedger.open(tmp_path, KEY, usd("1"), budget="one") as ledger:
        ledger.reserve(usd("1"), why="")
    path = tmp_path / KEY / "one.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"price":"1"', b'"price":"0"'))
    with pytest.raises(Damaged) as told:
        FileLedger.open(tmp_path, KEY, usd("1"), budget="one")
    assert (told.value.path, told.value.line) == (path, 2)


# ------------------------------------------------------------------------------- many processes


def _take_one(folder: Path, barrier: Any, told: Any) -> None:
    with FileLedger.open(folder, KEY, usd("0.10")) as ledger:
        barrier.wait(30)
        with suppress(OverBudget):
            reservation = ledger.reserve(usd("0.01"), why=f"submit by {os.getpid()}")
            os.write(told, b".")
            ledger.settle(reservation, usd("0.01"))
        barrier.wait(30)


@pytest.mark.parametrize("round_", range(3))
def test_fifty_processes_with_a_budget_for_ten_jobs_start_ten(tmp_path: Path, round_: int) -> None:
    reading, writing = os.pipe()
    barrier = FORK.Barrier(50)
    children = [FORK.Process(target=_take_one, args=(tmp_path, barrier, writing)) for _ in range(50)]
    for child in children:
        child.start()
    os.close(writing)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 50
    assert os.read(reading, 100) == b"." * 10
    os.close(reading)
    assert len(budgets(tmp_path)) == 1


def _go_on_from_the_parent(ledger: FileLedger, told: int) -> None:
    with suppress(OverBudget):
        while True:
            ledger.reserve(usd("0.01"), why="")
            os.write(told, b".")


def test_forked_workers_may_go_on_with_the_ledger_they_inherit(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with FileLedger.open(tmp_path, KEY, usd("1")) as ledger:
        children = [FORK.Process(target=_go_on_from_the_parent, args=(ledger, writing)) for _ in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join(60)
        os.close(writing)
        assert len(os.read(reading, 1000)) == 100
        assert ledger.state().reserved == usd("1")
    os.close(reading)


def _buy_for_ever(folder: Path, host: int) -> None:
    ledger = FileLedger.open(folder, KEY, usd("0.60"), budget="one")
    with suppress(OverBudget):
        while True:
            reservation = ledger.reserve(usd("0.01"), why="")
            os.write(host, b".")
            ledger.settle(reservation, usd("0.01"))
    os.write(host, b"!")


def test_a_buyer_killed_again_and_again_never_buys_more_than_its_budget(tmp_path: Path) -> None:
    bought = b""
    rounds = 0
    while b"!" not in bought:
        rounds += 1
        bought += _killed_soon_after(1 + rounds % 3, _buy_for_ever, tmp_path)
        with FileLedger.open(tmp_path, KEY, usd("0.60"), budget="one") as ledger:
            state = ledger.state()
        jobs = bought.count(b".")
        assert jobs <= state.jobs <= jobs + rounds
        assert state.at_most <= usd("0.60")
    assert 60 - rounds <= bought.count(b".") <= 60
    assert rounds > 5


def _buy_without_a_name(folder: Path, host: int) -> None:
    ledger = FileLedger.open(folder, KEY, usd("0.60"))
    with suppress(OverBudget):
        while True:
            ledger.settle(ledger.reserve(usd("0.01"), why=""), usd("0.01"))
            os.write(host, b".")
    os.write(host, b"!")
    ledger.close()


def test_a_kill_forgets_no_spending_though_nobody_names_the_budget(tmp_path: Path) -> None:
    bought = b""
    while b"!" not in bought:
        bought += _killed_soon_after(7, _buy_without_a_name, tmp_path)
    assert 60 - bought.count(b".") < 10
    assert bought.count(b".") <= 60
    assert len(budgets(tmp_path)) == 1


def test_one_killed_user_among_others_keeps_a_budget_unfinished(tmp_path: Path) -> None:
    with FileLedger.open(tmp_path, KEY, usd("0.60")) as left:
        _killed_soon_after(3, _buy_without_a_name, tmp_path)
    with FileLedger.open(tmp_path, KEY, usd("0.60")) as next_:
        assert next_.budget == left.budget
        assert next_.before is not None
        assert next_.before.spent >= usd("0.03")
    with FileLedger.open(tmp_path, KEY, usd("0.60")) as fresh:
        assert fresh.before is None


def test_a_process_that_ends_in_order_has_left_its_budget(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; import test_ledger; from pathlib import Path; "
        "kept = test_ledger.FileLedger.open(Path(sys.argv[1]), test_ledger.KEY, test_ledger.usd('1')); "
        "kept.reserve(test_ledger.usd('1'), why='')"
    )
    paths = [str(Path(__file__).parent), *sys.path]
    subprocess.run([sys.executable, "-c", code, str(tmp_path), *paths], check=True, timeout=60)
    with FileLedger.open(tmp_path, KEY, usd("1")) as ledger:
        ledger.reserve(usd("1"), why="")
    assert len(budgets(tmp_path)) == 2


def test_what_only_the_host_vouches_for_keeps_its_ceiling_set_aside(opened: Opener) -> None:
    ledger = opened("1")
    ledger.settle(ledger.reserve(usd("0.6"), why=""), usd("0.4"), sure=False)
    assert (ledger.state().spent, ledger.state().reserved) == (usd("0.4"), usd("0.2"))
    with pytest.raises(OverBudget):
        ledger.reserve(usd("0.5"), why="")
    dear = ledger.reserve(usd("0.1"), why="")
    ledger.settle(dear, usd("0.3"), sure=False)
    assert ledger.state().at_most == usd("0.9")


def _killed_soon_after(marks: int, target: Callable[..., None], *given: Any) -> bytes:
    """What the child had written when it was killed, soon after that many marks or at its end."""
    reading, writing = os.pipe()
    child = FORK.Process(target=target, args=(*given, writing))
    child.start()
    os.close(writing)
    heard = b""
    while len(heard) < marks and (part := os.read(reading, 1)):
        heard += part
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    while part := os.read(reading, 65536):
        heard += part
    os.close(reading)
    return heard


def test_a_ledger_held_by_a_process_that_does_not_go_on_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    clock = SteppedClock()
    ledger = FileLedger.open(tmp_path, KEY, usd("1"), clock=clock)
    with (tmp_path / KEY / "lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CouldNotTell, match="another process has held the ledger for 30 s"):
            ledger.reserve(usd("0.1"), why="")
    assert clock.now() == pytest.approx(30, abs=0.1)
    ledger.reserve(usd("0.1"), why="")


# ----------------------------------------------------------------------------------------- disk


class Watched(Disk):
    """Tells every step; the one with number `fails` (and with `for_good` all after it) fails."""

    def __init__(self, fails: int = 0, *, for_good: bool = False) -> None:
        self.steps: list[str] = []
        self._fails = fails
        self._for_good = for_good

    def step(self, name: str) -> None:
        self.steps.append(name)
        number = len(self.steps)
        if number == self._fails or (self._for_good and 0 < self._fails < number):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def _watched(name: str) -> Callable[..., Any]:
    def step(self: Watched, *given: Any, **named: Any) -> Any:
        self.step(name)
        return getattr(Disk, name)(self, *given, **named)

    return step


for _name in ("make_folder", "open", "size", "read", "write", "sync", "sync_folder", "cut"):
    setattr(Watched, _name, _watched(_name))


def test_every_reservation_is_on_the_disk_before_the_call_leaves(tmp_path: Path) -> None:
    disk = Watched()
    ledger = FileLedger.open(tmp_path / "state", KEY, usd("1"), disk=disk)
    assert "sync_folder" in disk.steps
    for _ in range(5):
        disk.steps.clear()
        reservation = ledger.reserve(usd("0.1"), why="")
        disk.step("send")
        ledger.settle(reservation, usd("0.1"))
        steps = [step for step in disk.steps if step in ("write", "sync", "send")]
        assert steps == ["write", "sync", "send", "write", "sync"]


@pytest.mark.parametrize("for_good", [False, True])
def test_whichever_step_to_the_disk_fails_nothing_leaves_that_was_not_reserved(tmp_path: Path, for_good: bool) -> None:
    for fails in count(1):
        disk = Watched(fails, for_good=for_good)
        folder = tmp_path / str(fails)
        sent = _buy_five(folder, disk)
        if fails > len(disk.steps):
            break
        with FileLedger.open(folder, KEY, usd("0.04"), budget="one") as ledger:
            state = ledger.state()
        assert sent <= 4
        assert sent <= state.jobs
        assert usd(Decimal(sent) / 100) <= state.at_most <= usd("0.04")
    assert fails > 60


def _buy_five(folder: Path, disk: Disk) -> int:
    """How many calls left; every error on the way must be ours."""
    sent = 0
    with (
        suppress(WireproofError),
        FileLedger.open(folder, KEY, usd("0.04"), budget="one", disk=disk) as ledger,
    ):
        for _ in range(5):
            with suppress(DiskError):
                reservation = ledger.reserve(usd("0.01"), why="")
                sent += 1
                ledger.settle(reservation, usd("0.01"))
    return sent


def test_without_a_writable_ledger_nothing_is_bought(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(DiskError) as told:
        FileLedger.open(tmp_path / "state", KEY, usd("1"))
    assert told.value.exit_code == 3


def test_a_charge_knows_what_it_means_without_a_ledger() -> None:
    made = Reservation(1, usd("0.1"), "")
    charges = [Charge(made, billed) for billed in (None, usd("0.1"), usd("0.11"), usd("0.51"))]
    assert [(charge.overcharged, charge.stop) for charge in charges] == [
        (False, False),
        (False, False),
        (True, False),
        (True, True),
    ]
