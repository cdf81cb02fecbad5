"""Prints one line about everything that a mock said to fixed calls: equal lines mean equal bytes.

python tests/mock_transcript.py            every mood
python tests/mock_transcript.py --store    and the same from a store, which has to be equal: `make identical`
                                           runs it on every Python that is at hand
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from wireproof.mock.answer import WHOLE
from wireproof.mock.engine import Mock
from wireproof.mock.framing import framed
from wireproof.mock.moods import load_moods
from wireproof.mock.scene import MEDIA
from wireproof.model import Call
from wireproof.spec.load import load_all

ORIGIN = "http://mock.example"
PICTURES = ["https://pictures.example/a.png"]
SUBMITS = [
    ("/v2/p-image", {"prompt": "x"}),
    ("/v2/p-image", {"prompt": "x", "width": 9}),
    ("/v2/p-image-edit", {"prompt": "x", "images": PICTURES}),
    ("/api/v1/models/p-image-edit/run", {"prompt": "x", "images": PICTURES}),
    (
        "/runware/v1",
        [{"taskType": "imageInference", "model": "prunaai:1@1", "positivePrompt": "x", "numberResults": 1}],
    ),
]
QUESTIONS = ("/v2/requests/{}/status", "/v2/requests/{}", "/api/v1/jobs/{}")


def said(make: Callable[..., Mock] = Mock, wanted: Sequence[str | None] = ()) -> Iterator[bytes]:
    """Every reply: without a mood and in each one (or those wanted), by the engine and by its short cut."""
    moods = load_moods()
    for mood in wanted or (None, *sorted(moods)):
        mock = make(endpoints=load_all(), seed=9, mood=moods[mood] if mood else None, moods=moods)
        headers = (
            ("x-api-key", mock.key("segmind")),
            ("authorization", "Bearer " + mock.key("pixeldojo")),
            ("content-type", "application/json"),
        )
        calls = [("POST", path, json.dumps(body).encode(), float(i)) for i in range(3) for path, body in SUBMITS]
        for call in calls:
            yield tell(mock, headers, *call)
        for job in sorted(mock.memory, key=lambda job: (job.taken, job.id)):
            for path in QUESTIONS:
                for at in (3.0, 60.0, 5000.0):
                    yield tell(mock, headers, "GET", path.format(job.id), b"", at)
            if mood is None:
                yield tell(mock, headers, "GET", f"{MEDIA}{job.id}-0.png", b"", 60.0)


def tell(mock: Mock, headers: tuple[tuple[str, str], ...], method: str, path: str, body: bytes, at: float) -> bytes:
    fields = {name.encode(): value.encode() for name, value in headers}
    desk = mock.quick(fields, ORIGIN)
    whole = desk(method.encode(), path.encode(), body, at) if desk is not None else None
    if whole is not None:
        return whole
    answer = mock.answer(Call(method, ORIGIN + path, headers, body), at, at + 1_767_225_600.0)
    odd = b"" if answer.after == 0 and answer.delivery == WHOLE else repr((answer.after, answer.delivery)).encode()
    return odd + framed(answer.reply, True) + answer.reply.body


def said_from_a_store() -> list[bytes] | None:
    """Every reply of a mock whose jobs are in a store; None where no server for one is at hand."""
    import stores
    from wireproof.clock import SteppedClock
    from wireproof.mock.shared import SharedMock
    from wireproof.mock.store import Store
    from wireproof.secrets import Secret

    if stores.binary() is None:
        return None
    with stores.serving() as (port, _):

        def make(**more: Any) -> Mock:
            store = Store(Secret(f"redis://127.0.0.1:{port}/0"))
            store.wipe("*")
            return SharedMock(store=store, clock=SteppedClock(), jobs=1000, **more)

        return list(said(make))


if __name__ == "__main__":
    replies = list(said())
    if "--store" in sys.argv:
        stored = said_from_a_store()
        print("no server for a store is at hand" if stored is None else "from a store: the same", file=sys.stderr)
        if stored not in (None, replies):
            sys.exit("from a store: not the same bytes")
    print(hashlib.sha256(b"".join(replies)).hexdigest(), "of", len(replies), "replies")
