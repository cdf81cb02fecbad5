"""How a run goes about an uneasy host: one that errs at times only, one that hands out cookies."""

from __future__ import annotations

from itertools import count

import httpx
from hypothesis import strategies as st

from wireproof.generate.strategies import search
from wireproof.model import Call
from wireproof.probe.sender import Sender


def test_what_is_shown_once_and_not_again_ends_a_search_without_a_crash() -> None:
    calls = count(1)
    shown = search(st.integers(0, 9), lambda _: next(calls) == 3, examples=20, seed=1, shrink=True)
    assert shown in range(10)


def test_a_cookie_is_never_sent_back() -> None:
    heard: list[str | None] = []

    def host(request: httpx.Request) -> httpx.Response:
        heard.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"set-cookie": "sid=1; Path=/"})

    with Sender(transport=httpx.MockTransport(host)) as sender:
        for _ in range(2):
            sender.send(Call("GET", "http://host.example/"))
    assert heard == [None, None]
