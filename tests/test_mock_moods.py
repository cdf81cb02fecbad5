"""Moods: every fault strikes where it should, as often as it should, and nobody else notices."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from wireproof.errors import ContractError, UsageError
from wireproof.lifecycle import FINAL, Status, is_final
from wireproof.mock.answer import WHOLE, Answer
from wireproof.mock.engine import Mock
from wireproof.mock.faults import FAULTS, Bends
from wireproof.mock.manners import Manners
from wireproof.mock.moods import Fault, Mood, from_plain, load_moods, mood, read_mood, schema
from wireproof.model import Call, Does, Endpoint
from wireproof.spec.load import load_all, resolve
from wireproof.spec.load import schema as published
from wireproof.wire import replies, requests
from wireproof.wire.requests import Asked

MOODS = load_moods()
ENDPOINTS = load_all()
SEGMIND = resolve("segmind/p-image")[0]
RUNWARE = resolve("runware/p-image-edit")[0]
BASE = "http://mock.example"


@dataclass
class World:
    """A mock with one endpoint, a clock that is moved by hand, and a client's few words."""

    mock: Mock
    endpoint: Endpoint = SEGMIND
    key: str = ""
    now: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    ids: int = 0
    answers: list[Answer] = field(default_factory=list)

    def ask(self, does: Does, job: str = "", **values: Any) -> Answer:
        operation = self.endpoint.doing(does)
        assert operation is not None
        key = self.key or self.mock.key(self.endpoint.provider.name)
        call = requests.build(self.endpoint, operation, BASE, values=values, job=job, key=key)
        return self.call(Call(call.method, call.url, (*call.headers, *self.headers), call.body))

    def call(self, call: Call) -> Answer:
        answer = self.mock.answer(call, self.now, 1_767_225_600.0 + self.now)
        self.answers.append(answer)
        return answer

    def submit(self, **values: Any) -> Answer:
        self.ids += 1
        given = (
            {"prompt": "a lighthouse", **values} if self.endpoint is SEGMIND else {**sample(self.endpoint), **values}
        )
        return self.ask(Does.SUBMIT, f"00000000-0000-4000-8000-{self.ids:012d}", **given)

    def id(self) -> str:
        body = json.loads(self.submit().reply.body)
        return str(body.get("request_id") or body["data"][0]["taskUUID"])

    @property
    def spent(self) -> int:
        return sum(account.jobs for account in self.mock.accounts.values())


def sample(endpoint: Endpoint) -> dict[str, Any]:
    """The host's own sample, with a picture where its page forgot the one that it requires."""
    asked = {p.name: ["https://pictures.example/a.png"] for p in endpoint.parameters.values() if p.name == "images"}
    return {**asked, **endpoint.examples[0].parameters}


def world(name: str | Mood | None = None, endpoint: Endpoint = SEGMIND, **options: Any) -> World:
    chosen = MOODS[name] if isinstance(name, str) else name
    return World(Mock([endpoint], mood=chosen, **options), endpoint)


def body(answer: Answer) -> Any:
    return json.loads(answer.reply.body)


def test_the_published_schema_is_the_one_that_the_table_of_faults_makes() -> None:
    assert published("mood") == schema()


def test_every_fault_is_used_by_a_shipped_mood_or_said_to_be_for_own_moods() -> None:
    used = {fault.name for one in MOODS.values() for fault in one.faults}
    assert set(FAULTS) - used == {"empty", "hang-up", "status"}


def test_no_mood_names_a_provider() -> None:
    names = {endpoint.provider.name for endpoint in ENDPOINTS}
    assert not [m.name for m in MOODS.values() for name in names if name in repr(m)]


@pytest.mark.parametrize("name", sorted(MOODS))
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_every_mood_suits_every_host(endpoint: Endpoint, name: str) -> None:
    struck = World(Mock([endpoint], mood=MOODS[name]), endpoint)
    for does in (Does.SUBMIT, Does.RUN):
        if endpoint.doing(does):
            for number in range(4):
                struck.ask(does, f"00000000-0000-4000-8000-{number + 10 * (does is Does.RUN):012d}", **sample(endpoint))
    jobs = list(struck.mock.memory)
    for _ in range(4):
        struck.now += 20.0
        for job in jobs:
            for does in (Does.STATUS, Does.RESULT):
                if endpoint.doing(does):
                    struck.ask(does, job.id)
            struck.call(Call("GET", f"{BASE}/~media/{job.id}-0.png"))
    bent = [one for one in MOODS[name].faults if one.named.bends is Bends.ANSWERS]
    roles = {operation.does.value for operation in endpoint.operations.values()} | {"media"}
    met = any("mood" in answer.rule for answer in struck.answers)
    assert met is any(not one.at or roles & set(one.at) for one in bent)


@pytest.mark.parametrize("name", sorted(MOODS))
def test_the_same_seed_and_calls_give_the_same_bytes(name: str) -> None:
    def transcript() -> list[Answer]:
        same = world(name)
        for _ in range(5):
            same.submit()
        for job in list(same.mock.memory):
            same.now += 3.0
            same.ask(Does.STATUS, job.id)
        return same.answers

    assert transcript() == transcript()


def test_a_lost_reply_is_billed_and_a_lost_submit_is_not() -> None:
    lost_reply, lost_submit = world("lost-reply"), world("lost-submit")
    assert lost_reply.submit().delivery.reset and lost_submit.submit().delivery.reset
    assert (lost_reply.spent, lost_submit.spent) == (1, 0)
    assert lost_reply.submit().delivery == WHOLE


def test_a_retry_under_the_same_id_after_a_lost_reply_is_a_conflict_where_ids_are_the_callers() -> None:
    struck = world("lost-reply", RUNWARE)
    id = "11111111-1111-4111-8111-111111111111"
    assert struck.ask(Does.SUBMIT, id, **sample(RUNWARE)).delivery.reset
    again = struck.ask(Does.SUBMIT, id, **sample(RUNWARE))
    assert body(again)["errors"][0]["code"] == "conflictTaskUUID"
    assert struck.spent == 1


def test_a_job_is_unknown_at_first_and_known_later() -> None:
    struck = world("eventual-404")
    id = struck.id()
    assert [struck.ask(Does.STATUS, id).reply.status for _ in range(3)] == [404, 404, 200]


@pytest.mark.parametrize(
    ("name", "told"), [("rate-limited", "3"), ("rate-limited-own", None), ("rate-limited-silent", None)]
)
def test_a_wait_is_told_in_seconds_or_only_by_the_host_or_not_at_all(name: str, told: str | None) -> None:
    reply = world(name).submit().reply
    assert reply.status == 429
    assert reply.header("retry-after") == told
    assert (reply.header("x-rate-limit-reset-at-utc") is not None) is (name == "rate-limited-own")


def test_a_wait_is_told_as_a_date() -> None:
    told = world("rate-limited-date").submit().reply.header("retry-after")
    assert told is not None
    assert parsedate_to_datetime(told).timestamp() == 1_767_225_603


def test_the_reset_header_tells_the_moment_of_the_wait() -> None:
    told = world("rate-limited-own").submit().reply.header("x-rate-limit-reset-at-utc")
    assert told == "2026-01-01T00:00:03Z"


def test_a_flapping_gateway_is_down_three_seconds_out_of_ten() -> None:
    struck = world("flapping-gateway")
    seen = []
    for second in range(20):
        struck.now = float(second)
        seen.append(struck.submit().reply.status)
    assert seen == ([502] * 3 + [200] * 7) * 2


def test_a_stuck_queue_never_moves() -> None:
    struck = world("stuck-queue")
    id = struck.id()
    struck.now = 3600 * 24 * 365
    assert body(struck.ask(Does.STATUS, id))["status"] == "QUEUED"


def test_links_lead_elsewhere_or_nowhere() -> None:
    assert body(world("foreign-links").submit())["status_url"].startswith("https://elsewhere.invalid/v2/requests/")
    assert body(world("relative-links").submit())["status_url"].startswith("/v2/requests/")


def test_unfinished_and_finished_jobs_show_words_that_nobody_knows() -> None:
    for name, before, after in (("unknown-state", "BANANA", "COMPLETED"), ("unknown-end", "QUEUED", "ABORTED")):
        struck = world(name)
        id = struck.id()
        assert body(struck.ask(Does.STATUS, id))["status"] == before
        struck.now = 600.0
        assert body(struck.ask(Does.STATUS, id))["status"] == after


def test_a_failed_job_fails_in_the_hosts_own_way_and_is_not_charged() -> None:
    struck = world("failed")
    id = struck.id()
    struck.now = 600.0
    answer = struck.ask(Does.STATUS, id)
    assert (answer.reply.status, body(answer)["error"]) == (422, "CUDA out of memory")
    assert all(account.spent == 0 for account in struck.mock.accounts.values())


def test_json_is_cut_under_a_length_that_fits_and_a_transfer_under_one_that_does_not() -> None:
    struck = world("truncated-json")
    id = struck.id()
    whole, half = struck.ask(Does.STATUS, id), struck.ask(Does.STATUS, id)
    assert (half.reply.body, half.delivery) == (whole.reply.body[: len(whole.reply.body) // 2], WHOLE)
    broken = world("truncated-media")
    id = broken.id()
    broken.now = 600.0
    picture = broken.call(Call("GET", f"{BASE}/~media/{id}-0.png"))
    assert picture.delivery.cut_after == len(picture.reply.body) // 2
    assert broken.call(Call("GET", f"{BASE}/~media/{id}-0.png")).delivery == WHOLE


def test_falsy_values_are_there_and_zero() -> None:
    struck = world("falsy-values")
    id = struck.id()
    struck.now = 600.0
    result = body(struck.ask(Does.RESULT, id))
    assert (result["seed"], result["metrics"]["cost"], result["metrics"]["inference_time"]) == (0, 0, 0)


def test_of_several_results_one_comes() -> None:
    struck = world("partial-results", RUNWARE)
    answer = struck.ask(Does.RUN, "11111111-1111-4111-8111-111111111111", **sample(RUNWARE), numberResults=4)
    assert len(body(answer)["data"]) == 1


def test_an_odd_id_works_where_it_is_escaped() -> None:
    struck = world("odd-ids")
    id = struck.id()
    assert set("? #&=+") <= set(id)
    assert body(struck.ask(Does.STATUS, id))["request_id"] == id


def test_a_mood_ends_by_itself() -> None:
    short = Mood("short", (Fault("bare", at=("submit",), phase="before", until=10.0),))
    struck = world(short)
    before = struck.submit().reply.status
    struck.now = 10.0
    assert (before, struck.submit().reply.status) == (503, 200)


def test_chances_are_met_about_as_often_as_they_say() -> None:
    half = Mood("half", (Fault("bare", at=("submit",), phase="before", chance=0.3),))
    struck = world(half)
    refused = sum(struck.submit().reply.status == 503 for _ in range(1000))
    assert 250 < refused < 350


def test_a_header_steers_one_call_and_the_job_that_it_submits() -> None:
    struck = world(moods=MOODS)
    struck.headers = (("x-wireproof-mood", "stuck-queue"),)
    id = struck.id()
    struck.headers = ()
    struck.now = 600.0
    assert body(struck.ask(Does.STATUS, id))["status"] == "QUEUED"
    assert struck.mock.memory.get(struck.id()).queue < 600  # type: ignore[union-attr]


def test_a_marker_in_the_prompt_steers_the_whole_life_of_its_job() -> None:
    struck = world(moods=MOODS)
    marked = body(struck.submit(prompt="a lighthouse [mood:eventual-404]"))["request_id"]
    plain = struck.id()
    assert struck.ask(Does.STATUS, marked).reply.status == 404
    assert struck.ask(Does.STATUS, plain).reply.status == 200


def test_a_key_made_for_a_mood_meets_it_and_others_do_not() -> None:
    struck = world(moods=MOODS)
    struck.key = struck.mock.key("segmind", "mood:out-of-credits")
    assert struck.submit().reply.status == 406
    struck.key = struck.mock.key("segmind")
    assert struck.submit().reply.status == 200


def test_a_caller_may_ask_for_faithful_answers_in_a_bad_mood() -> None:
    struck = world("out-of-credits")
    struck.headers = (("x-wireproof-mood", "faithful"),)
    assert struck.submit().reply.status == 200


def test_a_mood_set_later_begins_anew() -> None:
    struck = world(moods=MOODS)
    for _ in range(2):
        struck.mock.moods.set(MOODS["lost-reply"])
        assert struck.submit().delivery.reset
    struck.mock.moods.set(None)
    assert struck.submit().delivery == WHOLE


def test_an_unknown_mood_in_a_header_changes_nothing() -> None:
    struck = world(moods=MOODS)
    struck.headers = (("x-wireproof-mood", "no-such-mood"),)
    assert struck.submit().reply.status == 200


def test_each_key_has_its_own_counts() -> None:
    struck = world("lost-reply")
    first = struck.submit()
    struck.key = struck.mock.key("segmind", "other")
    assert first.delivery.reset and struck.submit().delivery.reset


def test_a_mood_that_nobody_has_is_told_with_a_guess() -> None:
    with pytest.raises(UsageError, match="Did you mean busy-hour"):
        mood("busy-huor")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- {fault: reset, at: [sumbit]}", "sumbit"),
        ("- {fault: rest}", "rest"),
        ("- {fault: late, phase: before}", "only strike after"),
        ("- {fault: late, with: {secnds: 3}}", "secnds"),
        ("- {fault: late, chance: 1.5}", "1.5"),
    ],
)
def test_a_mistake_in_a_mood_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(f"kind: mood\nsays: A bad day.\nfaults:\n  {text}\n")
    with pytest.raises(ContractError, match=says) as caught:
        read_mood(file)
    assert caught.value.mistakes[0].line == 4


def test_a_mood_can_be_made_of_plain_json() -> None:
    made = from_plain("own", {"faults": [{"fault": "slow", "with": {"run": 3.0}}]})
    assert made == Mood("own", (Fault("slow", options={"run": 3.0}),))
    with pytest.raises(UsageError):
        from_plain("own", {"faults": [{"fault": "nothing"}]})


def test_webhooks_are_doubled_and_turned_round() -> None:
    values = {"numberResults": 2, "webhookURL": "https://hooks.example/a"}
    plain, struck = world(endpoint=RUNWARE), world("webhook-storm", RUNWARE)
    calm = [send.call.body for send in plain.submit(**values).effects]  # type: ignore[attr-defined]
    storm = [send.call.body for send in struck.submit(**values).effects]  # type: ignore[attr-defined]
    assert len(calm) == 2
    assert storm == [calm[1]] * 3 + [calm[0]] * 3


def test_a_moderated_job_is_moderated() -> None:
    struck = world("moderated")
    assert struck.mock.memory.get(struck.id()).outcome is Status.MODERATED  # type: ignore[union-attr]


@dataclass
class Ending(Manners):
    """A host whose jobs all end in one way."""

    outcome: Status

    def fate(self, asked: Asked, outcome: Status) -> Status:
        return self.outcome


@pytest.mark.parametrize("outcome", sorted(FINAL))
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_end_is_told_as_an_end_by_a_host_that_has_no_word_for_it(endpoint: Endpoint, outcome: Status) -> None:
    host = World(Mock([endpoint], manners=Ending(outcome)), endpoint)
    host.submit()
    (job,) = host.mock.memory
    host.now = job.ends
    asked = [op for op in endpoint.operations.values() if op.does in (Does.STATUS, Does.RESULT)]
    assert asked
    for operation in asked:
        reading = replies.read(endpoint, operation, host.ask(operation.does, job.id).reply, job.full)
        told = reading.status is not None and is_final(reading.status)
        assert told or reading.problem is not None, reading
        assert (reading.status is Status.SUCCEEDED) is (outcome is Status.SUCCEEDED)


def paced(endpoint: Endpoint, body: dict[str, Any], *faults: Fault, jobs: int = 1) -> list[tuple[float, float]]:
    """How long jobs wait and work where these faults strike each submit."""
    mock = Mock([endpoint], seed=3, mood=Mood("paced", faults))
    headers = (("x-api-key", mock.key("segmind")), ("content-type", "application/json"))
    for number in range(jobs):
        content = json.dumps(body).encode()
        mock.answer(Call("POST", f"http://m/v2/{endpoint.slug}", headers, content), float(number), 100.0 + number)
    return [(job.queue, job.run) for job in mock.memory]


@pytest.mark.parametrize(
    ("options", "least", "middle", "most"),
    [
        ({"law": "fixed", "seconds": 2.0}, 2.0, 2.0, 2.0),
        ({"law": "uniform", "seconds": 2.0, "spread": 0.5}, 1.0, 2.0, 3.0),
        ({"law": "log-normal", "seconds": 2.0, "spread": 0.3}, 0.5, 2.0, 8.0),
        ({"law": "empirical", "of": (1.0, 2.0, 2.0, 9.0)}, 1.0, 2.0, 9.0),
    ],
    ids=lambda value: value["law"] if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("phase", ["queue", "run"])
def test_a_phase_takes_as_long_as_its_law_says(
    phase: str, options: dict[str, Any], least: float, middle: float, most: float
) -> None:
    (endpoint,) = resolve("segmind/p-image")
    times = paced(endpoint, {"prompt": "x"}, Fault("paced", options={"phase": phase, **options}), jobs=300)
    seen = sorted(time[phase == "run"] for time in times)
    assert least <= seen[0] and seen[-1] <= most
    assert seen[150] == pytest.approx(middle, rel=0.15)
    assert (len(set(seen)) == 1) is (options["law"] == "fixed")


def test_the_work_takes_longer_by_what_is_asked() -> None:
    (endpoint,) = resolve("segmind/p-image-try-on")
    base = Fault("paced", options={"phase": "run", "seconds": 1.0})
    garments = ["https://p.example/a.png", "https://p.example/b.png"]
    body = {"person_image": "https://p.example/p.png", "garment_images": garments, "turbo": True}

    def works(**options: Any) -> float:
        return paced(endpoint, body, base, Fault("weighed", options=options))[0][1]

    assert works(parameter="turbo", value="true", times=0.5) == 0.5
    assert works(parameter="turbo", value="false", times=0.5) == 1.0
    assert works(parameter="garments", each=0.25) == 1.5
    assert works(parameter="unheard-of", times=9.0) == 1.0
    (endpoint,) = resolve("segmind/p-image")
    body = {"prompt": "x", "aspect_ratio": "custom", "width": 1024, "height": 512}
    assert works(megapixel=2.0) == pytest.approx(1.0 + 2 * 1024 * 512 / 1e6, abs=0.001)
