"""A conformance run end to end: on the faithful mock, and on hosts with one thing wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from looking import conform
from looking import verdict as verdict_of
from wireproof.clock import ScaledClock
from wireproof.conform import Guard, Target, embedded, plan
from wireproof.errors import CouldNotTell, OverBudget, Unreachable
from wireproof.ledger import MemoryLedger
from wireproof.lifecycle import Status
from wireproof.mock.answer import Answer, Delivery
from wireproof.mock.engine import Mock
from wireproof.mock.jobs import Job
from wireproof.mock.manners import Manners
from wireproof.mock.socket import serving
from wireproof.mock.variety import Variety
from wireproof.model import (
    ONCE_OVER,
    REUSED,
    TWICE,
    TWICE_BLOCKING,
    Credential,
    Does,
    Endpoint,
    Exchange,
    Kind,
    Problem,
    Reply,
    Severity,
    Verdict,
)
from wireproof.money import parse
from wireproof.probe.driver import Bounds, Want
from wireproof.report.reading import spend_words
from wireproof.spec.load import load_all, resolve
from wireproof.wire.bodies import MISSING
from wireproof.wire.requests import Asked, Breach, build

ENDPOINTS = load_all()


def _segmind() -> Endpoint:
    (endpoint,) = resolve("segmind/p-image")
    return endpoint


def _checked(endpoint: Endpoint, manners: Manners | None = None, **options: Any) -> Verdict:
    return conform(endpoint, embedded(endpoint, 0, manners), **options)[0]


def _violations(verdict: Verdict) -> set[str]:
    return {f.check for f in verdict.findings if f.severity is Severity.VIOLATION}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_the_faithful_mock_breaks_no_promise(endpoint: Endpoint) -> None:
    for seed in (0, 1, 2):
        verdict, _ = conform(endpoint, embedded(endpoint, seed), seed=seed)
        assert [f.says for f in verdict.findings if f.severity is Severity.VIOLATION] == []


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_every_documented_fact_is_exercised_or_says_why_not(endpoint: Endpoint) -> None:
    coverage = _checked(endpoint).coverage
    left = [one for one in coverage if not one.seen]
    assert all(one.why_not for one in left)
    assert {(one.kind, one.name) for one in left} <= {("operation", "upload"), ("operation", "details")}
    assert {one.kind for one in coverage} >= {"operation", "value", "bound", "state", "move", "problem", "output"}


def test_the_same_seed_is_the_same_run_byte_for_byte() -> None:
    endpoint = _segmind()
    one, two = (conform(endpoint, embedded(endpoint, 5), seed=5)[1] for _ in range(2))
    assert one == two
    assert conform(endpoint, embedded(endpoint, 6), seed=6)[1] != one


def _body(change: Callable[[dict[str, Any]], Any]) -> type[Manners]:
    class Changed(Manners):
        def body(self, scene: Any, job: Job | None, body: Any) -> Any:
            if job is not None and isinstance(body, dict):
                change(body)
            return body

    return Changed


class LaxBound(Manners):
    def breaches(self, asked: Asked, found: list[Breach]) -> list[Breach]:
        return [b for b in found if b.rule != "maximum"]


class OddState(Manners):
    def word(self, job: Job, asked: Asked, word: str) -> str:
        return "IN_PROGRESS" if word == "PROCESSING" else word


class StepsBack(Manners):
    def __init__(self) -> None:
        self.shown: set[str] = set()

    def word(self, job: Job, asked: Asked, word: str) -> str:
        if word == "PROCESSING" and job.id not in self.shown:
            self.shown.add(job.id)
            return word
        return "QUEUED" if word == "PROCESSING" else word


class FailsWith200(Manners):
    def reply(self, scene: Any, answer: Answer) -> Answer:
        if answer.reply.status == 422:
            return replace(answer, reply=replace(answer.reply, status=200))
        return answer


class KnowsEverybody(Manners):
    def unknown(self, scene: Any, answer: Answer) -> Answer:
        body = (
            b'{"request_id": "x", "status": "COMPLETED", "output": "http://mock.wireproof/x.png", '
            b'"metrics": {"inference_time": 1}}'
        )
        return Answer(Reply(200, (("content-type", "application/json"),), body))


class LetsEverybodyIn(Manners):
    def admit(self, asked: Asked, refusal: Kind | None) -> Kind | None:
        return None


class OtherSize(Manners):
    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] // 2 + 7, size[1]


class Forgets(Manners):
    def retention(self, seconds: float | None) -> float | None:
        return 60.0


class WrongCode(Manners):
    def reply(self, scene: Any, answer: Answer) -> Answer:
        return replace(answer, reply=replace(answer.reply, status=500)) if answer.reply.status == 400 else answer


class BillsFailures(Manners):
    def bills(self, outcome: Status, billed: bool) -> bool:
        return True


DEFECTS: dict[str, tuple[type[Manners], str]] = {
    "a bound that is not enforced": (LaxBound, "REQ001"),
    "an undocumented state": (OddState, "JOB001"),
    "a step back": (StepsBack, "JOB003"),
    "FAILED served with 200": (FailsWith200, "JOB004"),
    "an unknown id answered 200": (KnowsEverybody, "JOB006"),
    "a missing 401": (LetsEverybodyIn, "KEY001"),
    "a picture of the wrong size": (OtherSize, "OUT004"),
    "a result that vanishes early": (Forgets, "JOB008"),
    "the wrong code for a bad value": (WrongCode, "RPL004"),
    "a missing field": (_body(lambda body: body.pop("metrics", None)), "RPL002"),
    "a wrong type": (_body(lambda body: body.update(request_id=7) if "request_id" in body else None), "RPL002"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_one_thing_wrong_is_heard(name: str) -> None:
    manners, check = DEFECTS[name]
    verdict = _checked(_segmind(), manners())
    assert check in _violations(verdict), [(f.check, f.subject) for f in verdict.findings]


def test_findings_point_to_the_contract_the_exchanges_and_a_curl_line() -> None:
    verdict = _checked(_segmind(), LaxBound())
    (width,) = [f for f in verdict.findings if f.subject == "width.maximum"]
    assert width.where.file.endswith("segmind/p-image.yaml")
    assert width.where.pointer == "/parameters/width/maximum"
    assert width.evidence
    assert "1441" in width.replay
    assert "$SEGMIND_API_KEY" in width.replay


def test_a_request_bound_ends_the_run_and_is_told() -> None:
    verdict, exchanges = conform(_segmind(), embedded(_segmind()), bounds=Bounds(requests=20))
    assert len(exchanges) == 20
    assert any("max-requests 20" in note for note in verdict.notes)


def test_a_small_run_spends_its_calls_on_what_shows_the_most() -> None:
    verdict, exchanges = conform(_segmind(), embedded(_segmind(), 0, LaxBound()), bounds=Bounds(requests=100, jobs=10))
    assert len(exchanges) <= 100
    assert verdict.summary.jobs <= 10
    assert "REQ001" in _violations(verdict)


def test_no_paid_job_is_submitted_above_the_job_bound() -> None:
    verdict, _ = conform(_segmind(), embedded(_segmind()), bounds=Bounds(jobs=3))
    assert verdict.summary.jobs <= 3


def test_a_paid_target_never_spends_above_its_budget() -> None:
    endpoint = _segmind()
    ledger = MemoryLedger(parse("0.02USD"))
    target = replace(embedded(endpoint), paid=True)
    verdict, _ = conform(endpoint, target, ledger=ledger)
    assert target.mock is not None
    spent = target.mock.account("segmind:main").deposited - target.mock.account("segmind:main").balance
    assert spent <= parse("0.02USD").amount
    assert "budget" in verdict.summary.stopped


def test_free_steps_come_before_paid_ones() -> None:
    for endpoint in ENDPOINTS:
        jobs = [step.jobs > 0 for step in plan(endpoint)]
        assert jobs == sorted(jobs)


def test_a_target_that_is_down_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        conform(_segmind(), Target(base="http://127.0.0.1:1", key="k"))


def test_a_key_that_is_refused_is_no_verdict() -> None:
    endpoint = _segmind()
    target = replace(embedded(endpoint), key="SG_0000000000000000")
    with pytest.raises(CouldNotTell, match="refuses the key in SEGMIND_API_KEY"):
        conform(endpoint, target)


def test_over_budget_is_an_error_with_values() -> None:
    ledger = MemoryLedger(parse("0.01USD"))
    with pytest.raises(OverBudget):
        ledger.reserve(parse("0.02USD"), why="too dear")


def test_a_second_account_is_not_shown_the_job() -> None:
    class Shows(Manners):
        private = False

    verdict = _checked(_segmind(), Shows())
    assert "JOB011" in {f.check for f in verdict.findings}


def test_mock_keys_of_two_accounts_differ() -> None:
    mock = Mock([_segmind()], seed=3)
    assert mock.key("segmind") != mock.key("segmind", "other")


class ChargesMore(Manners):
    """A host that charges 30 % more than it announces."""

    def cost(self, amount: Decimal) -> Decimal:
        return amount * Decimal("1.3")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_no_budget_is_broken_even_where_charges_are_higher_than_announced(endpoint: Endpoint) -> None:
    assert endpoint.price is not None
    for cents in ("0.03", "0.10", "1"):
        ceiling = parse(f"{cents}{endpoint.price.unit}")
        target = replace(embedded(endpoint, 0, ChargesMore()), paid=True)
        conform(endpoint, target, ledger=MemoryLedger(ceiling))
        assert target.mock is not None
        account = target.mock.account(f"{endpoint.provider.name}:main")
        assert account.deposited - account.balance <= ceiling.amount


class ChargesWildly(Manners):
    def cost(self, amount: Decimal) -> Decimal:
        return amount * 100


def test_a_charge_far_above_the_price_ends_the_spending() -> None:
    endpoint = _segmind()
    target = replace(embedded(endpoint, 0, ChargesWildly()), paid=True)
    verdict, _ = conform(endpoint, target, ledger=MemoryLedger(parse("5USD")))
    assert "far above the declared price" in verdict.summary.stopped


# ------------------------------------------------------------------------------- what is given back


def _moderating(billed: str, **outcomes: str) -> Endpoint:
    """A host whose submit may be answered with 422, of which the contract says who pays for it."""
    endpoint = _segmind()
    assert endpoint.price is not None
    blocked = Problem(name="blocked", kind=Kind.MODERATED, statuses=(422,), billed=billed)
    submit = replace(endpoint.operations["submit"], problems=(*endpoint.operations["submit"].problems, "blocked"))
    return replace(
        endpoint,
        provider=replace(endpoint.provider, problems={**endpoint.provider.problems, "blocked": blocked}),
        operations={**endpoint.operations, "submit": submit},
        price=replace(endpoint.price, billed={**endpoint.price.billed, **outcomes}),
    )


WRONG, RIGHT = {"prompt": 3}, {"prompt": "a fox"}


@pytest.mark.parametrize(
    ("endpoint", "values", "status", "key", "free"),
    [
        (_segmind(), WRONG, 400, Credential.GOOD, True),
        (_segmind(), RIGHT, 400, Credential.GOOD, False),
        (_segmind(), RIGHT, 406, Credential.GOOD, True),
        (_segmind(), RIGHT, 418, Credential.GOOD, False),
        (_segmind(), WRONG, 422, Credential.GOOD, False),
        (_segmind(), RIGHT, 500, Credential.GOOD, False),
        (_segmind(), RIGHT, 403, Credential.UNKNOWN, True),
        (_segmind(), RIGHT, 418, Credential.UNKNOWN, False),
        (_moderating("never"), RIGHT, 422, Credential.GOOD, True),
        (_moderating("always"), RIGHT, 422, Credential.GOOD, False),
        (_moderating("maybe"), RIGHT, 422, Credential.GOOD, False),
        (_moderating("unknown", moderated="zero"), RIGHT, 422, Credential.GOOD, True),
        (_moderating("unknown", moderated="full"), RIGHT, 422, Credential.GOOD, False),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/below"])
def test_a_refusal_gives_money_back_only_where_the_contract_says_that_it_is_free(
    endpoint: Endpoint, values: dict[str, Any], status: int, key: Credential, free: bool, prefix: str
) -> None:
    ledger = MemoryLedger(parse("1USD"))
    guard = Guard(endpoint, ledger, prefix=prefix)
    call = build(endpoint, endpoint.operations["submit"], f"http://h{prefix}", values=values, key="k")
    guard.before(Want(call=call, at=0.0, operation="submit", paid=True))
    reply = Reply(status, (("content-type", "application/json"),), b'{"error": "no"}')
    guard.after(Exchange(seq=1, call=call, reply=reply, operation="submit", credential=key))
    guard.close()
    assert ledger.state().at_most == parse("0USD" if free else "0.0075USD")


class ChargesForNo(Manners):
    """A host that takes every job, charges for it, and answers that it was refused."""

    def __init__(self, status: int) -> None:
        self._status = status

    def reply(self, scene: Any, answer: Answer) -> Answer:
        if not scene.asked.operation.does.bills or answer.reply.status >= 300:
            return answer
        return replace(answer, reply=Reply(self._status, (("content-type", "application/json"),), b'{"error": "no"}'))


@pytest.mark.parametrize("status", [400, 418, 422])
def test_no_budget_is_broken_by_a_host_that_bills_what_it_says_it_refused(status: int) -> None:
    endpoint = _segmind()
    target = replace(embedded(endpoint, 0, ChargesForNo(status)), paid=True)
    verdict, _ = conform(endpoint, target, ledger=MemoryLedger(parse("0.03USD")))
    assert target.mock is not None
    account = target.mock.account("segmind:main")
    assert 0 < account.deposited - account.balance <= Decimal("0.03")
    assert (verdict.summary.spent, verdict.summary.held) == (parse("0USD"), parse("0.03USD"))


class TakesEverything(Manners):
    """A host that starts a job for every request, whatever is wrong with it."""

    def breaches(self, asked: Asked, found: list[Breach]) -> list[Breach]:
        return []


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_at_most_three_forbidden_requests_become_jobs_on_a_paid_host(endpoint: Endpoint) -> None:
    assert endpoint.price is not None
    target = replace(embedded(endpoint, 0, TakesEverything()), paid=True)
    _, exchanges = conform(endpoint, target, ledger=MemoryLedger(parse(f"100{endpoint.price.unit}")))
    surprising = [part.name for step in plan(endpoint) if step.surprising for part in step.parts]
    taken = [one for one in exchanges if f"{one.operation}: {one.purpose}" in surprising and one.reply.status < 300]
    assert len(taken) == 3


class Tells(Manners):
    """A host that charges as promised, and tells this number for a cost."""

    def __init__(self, cost: Any) -> None:
        self._cost = cost

    def fact(self, scene: Any, job: Job | None, name: str, value: Any) -> Any:
        return self._cost if name == "job.cost" and value is not MISSING else value


@pytest.mark.parametrize("cost", [-4, -0.001, 1e300, 1e-60, 10**17])
def test_a_cost_that_cannot_be_counted_is_a_finding_and_no_credit(cost: float) -> None:
    endpoint = _segmind()
    target = replace(embedded(endpoint, 0, Tells(cost)), paid=True)
    verdict, _ = conform(endpoint, target, ledger=MemoryLedger(parse("0.03USD")))
    assert target.mock is not None
    account = target.mock.account("segmind:main")
    assert account.deposited - account.balance <= Decimal("0.03")
    assert verdict.summary.spent == parse("0USD")
    assert ["no amount" in f.says for f in verdict.findings if f.check == "MON001"] == [True]


class AnswersNothing(Manners):
    """A host whose answers to submits say nothing that anybody understands."""

    def reply(self, scene: Any, answer: Answer) -> Answer:
        taken = scene.asked.operation.does.bills and answer.reply.status < 300
        return replace(answer, reply=Reply(500, (), b"")) if taken else answer


def test_what_is_set_aside_is_told_though_no_job_was_understood() -> None:
    endpoint = _segmind()
    target = replace(embedded(endpoint, 0, AnswersNothing()), paid=True)
    verdict, _ = conform(endpoint, target, ledger=MemoryLedger(parse("0.03USD")), run="r")
    assert verdict.summary.jobs == 0
    assert spend_words(verdict.summary) == "0 USD, 0.03 USD set aside"


def test_what_others_reserved_in_the_same_budget_is_no_spending_of_this_run() -> None:
    endpoint, ledger = _segmind(), MemoryLedger(parse("1USD"))
    ledger.settle(ledger.reserve(parse("0.5USD"), why="other segmind/p-image x"), parse("0.25USD"))
    ledger.settle(ledger.reserve(parse("0.1USD"), why="mine segmind/p-image-edit x"), None)
    target = replace(embedded(endpoint), paid=True)
    verdict, _ = conform(endpoint, target, ledger=ledger, run="mine", bounds=Bounds(jobs=1))
    mine = ledger.share(("mine segmind/p-image ",))
    assert (verdict.summary.spent, verdict.summary.held) == (mine.spent, mine.reserved)
    assert mine.at_most == parse("0.0075USD")


def test_an_address_lives_from_the_end_of_its_job_and_not_from_when_we_heard_of_it() -> None:
    """A correct host whose addresses live for the 60 seconds that were asked for, told a moment after the end."""
    [endpoint] = [one for one in ENDPOINTS if one.name == "runware/p-image-edit"]
    verdict, exchanges = conform(endpoint, embedded(endpoint, 21, Variety(21)), seed=21)
    gone = [one for one in exchanges if one.operation == "media" and one.reply and one.reply.status == 404]
    assert gone, "the late look finds nothing there"
    assert "OUT002" not in {one.check for one in verdict.findings}


class SaysNoNumber(Manners):
    def reply(self, scene: Any, answer: Answer) -> Answer:
        headers = tuple((n, "0.25s" if n == "x-generation-time" else v) for n, v in answer.reply.headers)
        return replace(answer, reply=replace(answer.reply, headers=headers))


def test_a_header_that_should_be_a_number_is_one() -> None:
    found = {one.subject for one in _checked(_segmind(), SaysNoNumber(), profile="quick").findings}
    assert "200 x-generation-time value" in found


class ChokesOnSigns(Manners):
    """A host that answers 500 to whatever goes beyond the plane that everybody tests with."""

    def reply(self, scene: Any, answer: Answer) -> Answer:
        chokes = answer.reply.status < 300 and "🦊" in str(scene.asked.values.get("prompt", ""))
        return replace(answer, reply=replace(answer.reply, status=500, body=b'{"error": "x"}')) if chokes else answer


def test_a_valid_value_that_meets_a_server_error_twice_is_refused() -> None:
    found = {(one.check, one.severity) for one in _checked(_segmind(), ChokesOnSigns()).findings}
    assert ("REQ002", Severity.VIOLATION) in found


@pytest.mark.parametrize(
    ("how", "pairs"),
    [
        ({"paid": False}, True),
        ({"paid": False, "scarce": True}, False),
        ({"paid": False, "embedded": True}, False),
        ({"paid": False, "profile": "quick"}, False),
        ({"paid": True}, False),
        ({"paid": True, "profile": "thorough"}, True),
    ],
)
def test_all_pairs_of_values_meet_where_jobs_cost_nothing(how: dict[str, Any], pairs: bool) -> None:
    steps = {step.name: step for step in plan(_segmind(), **how)}
    assert ("every pair of allowed values" in steps) is pairs
    alone = {step.name: step for step in plan(_segmind(), paid=True)}["every allowed value"]
    if pairs:
        assert steps["every pair of allowed values"].jobs > 2 * alone.jobs


class FailsOnce(Manners):
    """One job that deserves to succeed fails."""

    def __init__(self, times: int = 1) -> None:
        self.left = times

    def fate(self, asked: Asked, outcome: Status) -> Status:
        if outcome is Status.SUCCEEDED and asked.values.get("seed") == 0 and self.left:
            self.left -= 1
            return Status.FAILED
        return outcome


def test_a_job_that_failed_is_tried_once_more_before_anything_is_said_of_its_values() -> None:
    once, always = FailsOnce(), FailsOnce(1000)
    for manners, checks in ((once, []), (always, ["JOB016"])):
        verdict, exchanges = conform(_segmind(), embedded(_segmind(), 0, manners))
        assert any(one.purpose == "valid: once more" for one in exchanges)
        assert sorted({one.check for one in verdict.findings}) == checks


def test_where_calls_are_counted_fewer_wrong_keys_are_tried() -> None:
    def tried(bounds: Bounds | None) -> set[Credential]:
        _, exchanges = conform(_segmind(), embedded(_segmind()), bounds=bounds)
        return {one.credential for one in exchanges if one.job and one.credential is not Credential.GOOD}

    assert tried(Bounds(requests=140)) < tried(None)
    assert {Credential.NONE, Credential.NEAR, Credential.BEYOND} < tried(None)


class FreeWhenOver(Manners):
    """The third use of an id is taken, after a server error."""

    def __init__(self) -> None:
        self.uses: Counter[str] = Counter()

    def repeated(self, scene: Any, repeated: bool) -> bool:
        self.uses[scene.asked.job] += repeated
        return repeated and self.uses[scene.asked.job] < 3

    def reply(self, scene: Any, answer: Answer) -> Answer:
        third = self.uses[scene.asked.job] == 3 and scene.operation.does is Does.SUBMIT
        return Answer(Reply(500, (), b"")) if third else answer


def test_an_id_that_is_taken_again_later_is_a_question_also_when_it_was_asked_once_more() -> None:
    endpoint = next(one for one in ENDPOINTS if one.name == "runware/p-image-edit")
    verdict, exchanges = conform(endpoint, embedded(endpoint, 0, FreeWhenOver()))
    assert [one.meant for one in exchanges if one.meant in REUSED] == [TWICE, TWICE_BLOCKING, ONCE_OVER, ONCE_OVER]
    (found,) = [one for one in verdict.findings if one.check == "JOB014"]
    assert (found.subject, found.severity) == ("repeated id, later", Severity.QUESTION)
    assert "sleep" in found.replay


class SaysNothing(Manners):
    """What is asked under an id that was used before is not answered."""

    def __init__(self) -> None:
        self.uses: Counter[str] = Counter()

    def repeated(self, scene: Any, repeated: bool) -> bool:
        self.uses[scene.asked.job] += repeated
        return repeated

    def reply(self, scene: Any, answer: Answer) -> Answer:
        lost = self.uses[scene.asked.job] and scene.operation.does.bills
        return replace(answer, delivery=Delivery(reset=True)) if lost else answer


def test_an_id_is_not_used_again_where_nobody_knows_what_came_of_it() -> None:
    endpoint = next(one for one in ENDPOINTS if one.name == "runware/p-image-edit")
    target = replace(embedded(endpoint, 0, SaysNothing()), paid=True)
    _, exchanges = conform(endpoint, target, ledger=MemoryLedger(parse("5USD")))
    assert [one.meant for one in exchanges if one.meant in REUSED] == [TWICE]


class TooFast(Manners):
    """Every job is one too many."""

    def admit(self, asked: Asked, refusal: Kind | None) -> Kind | None:
        return refusal or (Kind.RATE_LIMITED if asked.operation.does.bills else None)


def test_a_host_that_lets_no_job_in_is_not_said_to_conform() -> None:
    mock, clock = Mock([_segmind()], manners=TooFast()), ScaledClock(1000.0)
    with serving(mock, clock=clock) as url:
        target = Target(base=url, key=mock.key("segmind"))
        verdict, exchanges = conform(_segmind(), target, clock=clock, late=0.0)
    assert verdict.summary.stopped.startswith("could not tell: no job was accepted (answers: 429)")
    assert not any(one.job and " pair-" in one.job for one in exchanges)
    assert "every pair of allowed values: not tried, because the host limits its calls." in verdict.notes


def test_pairs_are_tried_at_a_server_of_this_machine() -> None:
    mock, clock = Mock([_segmind()]), ScaledClock(1000.0)
    with serving(mock, clock=clock) as url:
        target = Target(base=url, key=mock.key("segmind"), other_key=mock.key("segmind", "other"))
        verdict, exchanges = conform(_segmind(), target, clock=clock, late=0.0)
    assert verdict.findings == ()
    assert not verdict.summary.stopped
    assert len({one.job for one in exchanges if one.job and " pair-" in one.job}) > 50


def test_a_key_in_other_letters_that_opens_is_a_question() -> None:
    endpoint = next(one for one in ENDPOINTS if one.name == "pixeldojo/p-image-edit")
    _, exchanges = conform(endpoint, embedded(endpoint))
    (good, *_) = [one for one in exchanges if one.operation == "status" and one.credential is Credential.GOOD]
    let_in = tuple(replace(one, reply=good.reply) if one.credential is Credential.CASED else one for one in exchanges)
    found = [one for one in verdict_of(endpoint, let_in).findings if one.check == "KEY001"]
    assert [(one.subject, one.severity) for one in found] == [("key in other letters", Severity.QUESTION)]
