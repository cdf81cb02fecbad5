"""The published `segmind` client, unmodified, against the mock's sockets: it cannot tell."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wireproof.clock import ScaledClock
from wireproof.mock.engine import Mock
from wireproof.mock.moods import load_moods
from wireproof.mock.socket import serving
from wireproof.spec.load import resolve

segmind = pytest.importorskip("segmind", reason="the published client segmind is not installed: pip install segmind")
pytestmark = pytest.mark.clients

MOODS = load_moods()
MOCK = Mock(resolve("segmind"), moods=MOODS, seed=3)
REQUESTS = {
    "p-image": {"prompt": "a lighthouse"},
    "p-image-edit": {"prompt": "make it night", "image_urls": ["https://pictures.example/a.png"]},
    "p-image-try-on": {
        "person_image": "https://pictures.example/p.png",
        "garment_images": ["https://pictures.example/g.png"],
        "seed": 7,
    },
}
Client = Callable[..., Any]


@pytest.fixture(scope="module")
def clock() -> ScaledClock:
    return ScaledClock(200.0)


@pytest.fixture(scope="module")
def url(clock: ScaledClock) -> Iterator[str]:
    with serving(MOCK, clock=clock) as address:
        yield address


@pytest.fixture
def client(url: str) -> Client:
    """A client of the mock; a mood's name gives one whose every call meets it."""

    def make(mood: str = "") -> Any:
        key = MOCK.key("segmind", f"mood:{mood}" if mood else "main")
        return segmind.SegmindClient(api_key=key, base_url=f"{url}/v1")

    return make


def fetched(link: str) -> bytes:
    import httpx

    return httpx.get(link, timeout=5).content


def test_run_submits_and_waits(client: Client) -> None:
    assert client().run("p-image", prompt="a lighthouse")["status"] == "COMPLETED"


@pytest.mark.parametrize("slug", sorted(REQUESTS))
def test_every_endpoint_is_submitted_and_waited_for(client: Client, slug: str) -> None:
    result = client().submit_async(slug, **REQUESTS[slug]).wait(timeout=20, interval=0.02)
    assert result["status"] == "COMPLETED"
    assert result["metrics"]["inference_time"] > 0
    assert fetched(result["output"]).startswith((b"\x89PNG", b"\xff\xd8", b"RIFF"))


@pytest.mark.parametrize("slug", sorted(REQUESTS))
def test_run_sync_answers_with_the_picture_itself(client: Client, slug: str) -> None:
    response = client().run_sync(slug, **REQUESTS[slug])
    assert response.headers["content-type"].startswith("image/")
    assert float(response.headers["x-remaining-credits"]) < 1000
    assert len(response.content) > 1000


def test_submit_and_wait_are_two_steps(client: Client) -> None:
    job = client().submit_async("p-image", prompt="a lighthouse")
    assert job.request_id
    assert job.wait(timeout=20, interval=0.02)["status"] == "COMPLETED"
    assert job.status()["status"] == "COMPLETED"


def test_a_failing_job_raises_with_the_hosts_reason(client: Client) -> None:
    with pytest.raises(segmind.InferenceFailed) as caught:
        client("failed").submit_async("p-image", prompt="x").wait(timeout=20, interval=0.02)
    assert "CUDA out of memory" in str(caught.value)


def test_a_blocked_prompt_raises_as_a_failure(client: Client) -> None:
    with pytest.raises(segmind.InferenceFailed):
        client().submit_async("p-image", prompt="NSFW").wait(timeout=20, interval=0.02)


def test_an_expired_request_is_not_found(client: Client) -> None:
    eager = client("expired-results")
    job = eager.submit_async("p-image", prompt="x")
    time.sleep(0.1)  # twenty seconds of the mock's clock: longer than any job of this seed takes
    with pytest.raises(segmind.exceptions.SegmindError) as caught:
        job.status()
    assert caught.value.status == 404


def test_an_unfinished_job_times_out_with_its_id(client: Client) -> None:
    job = client("stuck-queue").submit_async("p-image", prompt="x")
    with pytest.raises(segmind.InferenceTimeout) as caught:
        job.wait(timeout=0.2, interval=0.05)
    assert caught.value.request_id == job.request_id


@pytest.mark.parametrize(
    ("mood", "status"),
    [("out-of-credits", 406), ("bad-key", 401), ("rate-limited-own", 429), ("error-after-submit", 503)],
)
def test_a_refusal_is_told_by_its_number(client: Client, mood: str, status: int) -> None:
    with pytest.raises(segmind.exceptions.SegmindError) as caught:
        client(mood).submit_async("p-image", prompt="x")
    assert caught.value.status == status


# ------------------------------------------------------------- its weak spots, shown by moods


def test_weak_spot_one_bad_poll_ends_a_paid_job(client: Client) -> None:
    jobs = MOCK.account("segmind:mood:poll-502").jobs
    with pytest.raises(segmind.exceptions.SegmindError):
        client("poll-502").run("p-image", prompt="x")
    assert MOCK.account("segmind:mood:poll-502").jobs == jobs + 1


def test_weak_spot_a_lost_reply_loses_a_paid_job(client: Client) -> None:
    before = MOCK.account("segmind:mood:lost-reply").jobs
    with pytest.raises(Exception, match=r"(?i)reset|disconnect|closed|read"):
        client("lost-reply").submit_async("p-image", prompt="x")
    assert MOCK.account("segmind:mood:lost-reply").jobs == before + 1


@pytest.mark.parametrize("mood", ["unknown-end", "other-case"])
def test_weak_spot_an_unknown_word_is_polled_until_the_deadline(client: Client, mood: str) -> None:
    with pytest.raises(segmind.InferenceTimeout):
        client(mood).submit_async("p-image", prompt="x").wait(timeout=0.3, interval=0.02)


def test_weak_spot_a_redirect_counts_as_success(client: Client) -> None:
    with pytest.raises(json.JSONDecodeError):
        client("redirect").submit_async("p-image", prompt="x")
