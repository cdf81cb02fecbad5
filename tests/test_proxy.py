"""The proxy between a client and a host: everything passes, everything is written down and judged."""

from __future__ import annotations

import threading

import httpx
import pytest

from wireproof.clock import RealClock
from wireproof.mock.engine import Mock
from wireproof.mock.socket import serving
from wireproof.model import Severity
from wireproof.proxying import Proxy
from wireproof.recordings import judge
from wireproof.spec.load import resolve


@pytest.fixture
def endpoint():
    (found,) = resolve("segmind/p-image")
    return found


def test_a_client_goes_through_and_both_sides_are_judged(endpoint) -> None:
    mock = Mock([endpoint], seed=1)
    key = {"x-api-key": mock.key("segmind")}
    with serving(mock, clock=RealClock()) as target:
        proxy = Proxy((endpoint,), target)
        worker = threading.Thread(target=proxy.serve, daemon=True)
        worker.start()
        try:
            with httpx.Client(base_url=proxy.url, headers=key) as client:
                ack = client.post("/v2/p-image", json={"prompt": "a lighthouse"}).json()
                assert ack["status_url"].startswith(proxy.url)
                assert client.get(ack["status_url"]).json()["status"] == "QUEUED"
                assert (
                    client.post("/v2/p-image", json={"prompt": "a", "width": 1, "aspect_ratio": "custom"}).status_code
                    == 400
                )
                assert client.get("/v2/requests/nobody/status").status_code == 404
        finally:
            proxy.stop()
            worker.join(timeout=5)
    (verdict,) = judge([endpoint], proxy.exchanges)
    assert len(proxy.exchanges) == 4
    assert [f.says for f in verdict.findings if f.severity is Severity.VIOLATION] == []
    assert proxy.exchanges[0].call.url.startswith(target)


def test_a_host_that_is_down_is_told_to_the_client_as_502(endpoint) -> None:
    proxy = Proxy((endpoint,), "http://127.0.0.1:1")
    worker = threading.Thread(target=proxy.serve, daemon=True)
    worker.start()
    try:
        assert httpx.post(f"{proxy.url}/v2/p-image", json={"prompt": "a"}).status_code == 502
    finally:
        proxy.stop()
        worker.join(timeout=5)
    assert proxy.exchanges[0].broke == "refused"
