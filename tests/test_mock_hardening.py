"""The mock under fire: odd JSON, raw bytes, broken frames, clients that want more than their share."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireproof.mock.engine import Mock
from wireproof.mock.framing import framed
from wireproof.model import Call, Kind
from wireproof.spec.load import resolve
from wireproof.wire import requests

ALL = resolve("all")
SUBMITS = {
    "segmind": ("/v2/p-image", {"prompt": "a lighthouse", "seed": 7}),
    "runware": ("/v1", [{
        "taskType": "imageInference", "taskUUID": "00000000-0000-4000-8000-000000000001", "model": "prunaai:2@1",
        "positivePrompt": "a lighthouse", "ttl": 70, "inputs": {"referenceImages": ["https://pictures.example/a.png"]},
    }]),
}  # fmt: skip
"""A good submit of two hosts: one that tells a problem in an object, one that tells it in a list."""


def submit(mock: Mock, host: str, body: bytes, short: bool = True) -> bytes:
    """The whole reply to a submit, by the short cut where that takes it."""
    provider = next(one.provider for one in mock.hosts if one.provider.name == host)
    path, key = f"/{host}{SUBMITS[host][0]}", provider.auth.prefix + mock.key(host)
    fields = {b"host": b"m", provider.auth.header.lower().encode(): key.encode()}
    desk = mock.quick(fields, "http://m") if short else None
    whole = desk(b"POST", path.encode(), body, 0.0) if desk is not None else None
    if whole is not None:
        return whole
    call = Call("POST", f"http://m{path}", ((provider.auth.header, key),), body)
    reply = mock.answer(call, 0.0, 0.0).reply
    return framed(reply, keep=True) + reply.body


def deep(depth: int) -> bytes:
    return b'{"prompt":' + b"[" * depth + b"]" * depth + b"}"


ODD = {
    "a name twice": b'{"prompt":"a","seed":1,"seed":2}',
    "a name twice, with blanks": b'{ "prompt" : "a" , "seed" : 1 ,\n"seed" : 1 }',
    "a name twice, once escaped": b'{"prompt":"a","\\u0070rompt":"b"}',
    "a name twice, and an escaped colon": b'{"prompt":"a\\u003a","prompt":"b:"}',
    "a name twice, and colons in words": b'{"prompt":"a:b:c","prompt":":::"}',
    "a name twice further in": b'{"prompt":"a","metadata":[{"a":1,"a":2}]}',
    "an empty name twice": b'{"prompt":"a","":1,"":1}',
    "lists in lists": deep(101),
    "very deep lists": deep(100_000),
    "deep objects": b'{"prompt":' * 101 + b"1" + b"}" * 101,
    "a number of a million digits": b'{"prompt":"a","seed":' + b"9" * 1_000_000 + b"}",
    "a number beyond floats": b'{"prompt":"a","seed":1e400}',
    "not a number": b'{"prompt":"a","seed":NaN}',
    "infinity": b'{"prompt":"a","seed":-Infinity}',
    "half of a pair": b'{"prompt":"\\ud800"}',
    "half of a pair, raw": b'{"prompt":"\xed\xa0\x80"}',
    "a byte order mark": b'\xef\xbb\xbf{"prompt":"a"}',
    "another encoding": '{"prompt":"a"}'.encode("utf-16"),
    "bytes that are no text": b'{"prompt":"\xff"}',
    "a zero byte": b'{"prompt":"a\x00b"}',
    "two documents": b'{"prompt":"a"}{"prompt":"b"}',
    "no document": b"",
    "a comma too many": b'{"prompt":"a",}',
}


@pytest.mark.parametrize("host", SUBMITS)
@pytest.mark.parametrize("name", ODD)
def test_odd_json_is_refused_in_the_hosts_own_form_at_once(host: str, name: str) -> None:
    body = ODD[name] if host == "segmind" else b"[" + ODD[name] + b"]"
    mock = Mock(ALL)
    provider = next(one.provider for one in mock.hosts if one.provider.name == host)
    began = time.process_time()
    whole = submit(mock, host, body)
    assert time.process_time() - began < 0.2, "a fair machine needs a hundredth of it"
    head, _, told = whole.partition(b"\r\n\r\n")
    allowed = {code for one in provider.problems.values() if one.kind is Kind.INVALID for code in one.statuses}
    assert int(head.split()[1]) in allowed
    assert json.loads(told)
    assert b"Traceback" not in told
    assert not len(mock.memory), "nothing is taken"


@pytest.mark.parametrize("host", SUBMITS)
def test_what_is_only_unusual_is_taken(host: str) -> None:
    body = requests.encode(SUBMITS[host][1])
    usual = [
        body.replace(b"a lighthouse", b'a \\"sign\\": \\"16:9\\" \\u003a'),
        body.replace(b'":', b'" :\t').replace(b',"', b' ,\n"'),
        body.replace(b"a lighthouse", "ein Leuchtturm für “zwei”: 灯台".encode()),
        body.replace(b'rompt":', b'\\u0072ompt":'),
    ]
    for one in usual:
        assert submit(Mock(ALL), host, one).startswith(b"HTTP/1.1 200 "), one


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON, ascii=st.booleans(), blanks=st.sampled_from(["", " "]))
def test_no_honest_text_is_said_to_name_a_member_twice(value: object, ascii: bool, blanks: str) -> None:
    text = json.dumps(value, ensure_ascii=ascii, separators=(f"{blanks},", f"{blanks}:{blanks}"))
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return
    read, trouble = requests.decode(raw)
    assert trouble or not requests.names_twice(raw, read)


@given(pairs=st.lists(st.tuples(st.text(max_size=2), st.text(max_size=3)), min_size=1, max_size=5), ascii=st.booleans())
def test_a_member_that_is_named_twice_is_always_seen(pairs: list[tuple[str, str]], ascii: bool) -> None:
    members = [f"{json.dumps(k, ensure_ascii=ascii)}:{json.dumps(v, ensure_ascii=ascii)}" for k, v in pairs]
    try:
        raw = ("{" + ",".join(members) + "}").encode()
    except UnicodeEncodeError:
        return
    read, trouble = requests.decode(raw)
    if not trouble:
        assert requests.names_twice(raw, read) == (len({name for name, _ in pairs}) < len(pairs))
