"""What redaction promises: a known secret is found in no form anywhere, and what is shown is safe to show."""

from __future__ import annotations

import base64
import copy
import html
import json
import pickle
import shlex
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wireproof.model import Call, Exchange, Finding, Reply, Severity, Summary, Verdict
from wireproof.runlog import RunWriter
from wireproof.secrets import ENCODINGS, MASK, Redactor, Secret, curl, printable

KEY = "sk-Live/7f3a+Q&z<9>\"é'=wXyZ0123456789abcdef"
PLAIN_KEY = "SG_0f9e8d7c6b5a49382716"

# Written anew and not taken from the module: the outside opinion on what each form looks like.
FORMS: dict[str, Callable[[str], list[str]]] = {
    "plain": lambda key: [key],
    "url": lambda key: [urllib.parse.quote(key, safe=""), urllib.parse.quote_plus(key)],
    "base64": lambda key: [base64.b64encode(inside).decode() for inside in embedded(key)],
    "base64url": lambda key: [base64.urlsafe_b64encode(inside).decode() for inside in embedded(key)],
    "json": lambda key: [json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1]],
    "html": lambda key: [html.escape(key)],
    "hex": lambda key: [key.encode().hex(), key.encode().hex().upper()],
    "ends": lambda key: [key[:12], key[-12:]],
}


def embedded(key: str) -> list[bytes]:
    """The key at each of the three alignments, as in `user:key` of basic authentication."""
    return [b"u" * before + key.encode() + b":pw" for before in (0, 1, 2)]


def core(name: str, form: str) -> str:
    """What must not be seen of a form: of base64, what no neighbour of the key has a part in."""
    return form[4:-8] if name.startswith("base64") else form


def seen(text: str, key: str) -> set[str]:
    """The forms in which a key is found in a text."""
    return {name for name, forms in FORMS.items() if any(core(name, form) in text for form in forms(key))}


# --------------------------------------------------------------------------------------- Secret

SHOWN: list[Callable[[Secret], str]] = [
    repr,
    str,
    ascii,
    format,
    lambda key: f"{key:>60}",
    lambda key: f"{key!r}",
    lambda key: "%s %r" % (key, key),  # noqa: UP031 the old way of formatting is what is tried
    lambda key: "Bearer " + key,
    lambda key: key.join(["a", "b"]),
    lambda key: key[:40] + key.upper() + key.strip(),
    lambda key: key.encode().decode(),
    lambda key: json.dumps({"key": key, key: [key]}),
    lambda key: json.dumps(key, indent=1),
    lambda key: pickle.dumps(key).decode("latin-1"),
    lambda key: pickle.dumps([key], 0).decode("latin-1"),
    lambda key: repr(ValueError(key)) + str([key]) + str({"k": key}),
    lambda key: repr(vars(key) if hasattr(key, "__dict__") else ""),
]


@pytest.mark.parametrize("show", SHOWN)
def test_a_secret_shows_only_its_mask(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(PLAIN_KEY))
    assert seen(shown, PLAIN_KEY) == set()
    assert MASK in shown or "_dict_" in shown or shown == "''"


def test_a_secret_is_told_only_when_asked() -> None:
    key = Secret(PLAIN_KEY)
    assert key.reveal() == PLAIN_KEY
    assert Secret(key).reveal() == PLAIN_KEY
    assert copy.copy(key).reveal() == copy.deepcopy({"a": key})["a"].reveal() == PLAIN_KEY


def test_secrets_are_equal_when_their_keys_are_and_to_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") not in ("a", MASK)
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert bool(Secret("a"))
    assert not Secret("")


def test_a_pickled_secret_comes_back_loud_and_not_wrong() -> None:
    lost = pickle.loads(pickle.dumps(Secret(PLAIN_KEY)))
    assert lost == MASK
    assert not hasattr(lost, "reveal")


# ------------------------------------------------------------------------------------- Redactor


@pytest.mark.parametrize("key", [KEY, PLAIN_KEY, "éü字 key with spaces"])
@pytest.mark.parametrize("name", list(FORMS))
def test_a_known_secret_is_replaced_in_every_form(name: str, key: str) -> None:
    redactor = Redactor([Secret(key)])
    for form in FORMS[name](key):
        for around in ("before {} after", "x{}y", "{}", '{{"echo":"{}"}}'):
            text = around.replace("{}", form).replace("{{", "{").replace("}}", "}")
            assert redactor.shows(text)
            gone = core(name, form)
            assert gone not in redactor.text(text)
            assert gone.encode() not in redactor.body(text.encode())
            assert gone.encode() not in redactor.body(b"\x89PNG\xff" + text.encode() + b"\xfe")


def test_the_forms_are_the_eight_that_were_promised() -> None:
    assert list(ENCODINGS) == list(FORMS)


@given(st.text(min_size=16, max_size=60), st.text(), st.text())
@settings(deadline=None)
def test_no_secret_and_no_text_around_it_defeat_the_redactor(key: str, before: str, after: str) -> None:
    redactor = Redactor([key])
    once = redactor.text(before + key + after)
    assert key not in once
    assert not redactor.shows(once)


@given(st.text(alphabet='https://a.b?&=;#@\\u026:x"', max_size=60) | st.text(max_size=60))
def test_redacting_twice_is_redacting_once(text: str) -> None:
    redactor = Redactor([PLAIN_KEY], own=["https://a.b"])
    once = redactor.text(text)
    assert redactor.text(once) == once


@given(st.binary(max_size=300))
def test_bytes_that_hold_nothing_secret_stay_as_they_are(body: bytes) -> None:
    if b"://" not in body:
        assert Redactor([PLAIN_KEY]).body(body) == body


def test_a_redactor_without_secrets_masks_headers_all_the_same() -> None:
    pairs = [("Content-Type", "a/b"), ("X-API-Key", "k"), ("X-Novel", "v"), ("set-cookie", "c")]
    assert Redactor().headers(pairs) == (
        ("Content-Type", "a/b"),
        ("X-API-Key", MASK),
        ("X-Novel", MASK),
        ("set-cookie", MASK),
    )
    assert Redactor(["", Secret("")]).text("nothing to hide") == "nothing to hide"


ALWAYS = [
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Cookie",
    "Set-Cookie",
    "X-Api-Key",
    "api-key",
    "apikey",
    "x-key",
    "x-goog-api-key",
    "X-Amz-Security-Token",
    "X-Auth-Token",
    "X-Webhook-Signature",
    "Client-Secret",
]


@pytest.mark.parametrize("name", ALWAYS)
def test_a_header_of_keys_is_masked_even_when_it_is_asked_for(name: str) -> None:
    assert Redactor(keep=[name]).headers([(name, "value")]) == ((name, MASK),)


def test_a_header_that_is_asked_for_is_kept_and_redacted() -> None:
    redactor = Redactor([PLAIN_KEY], keep=["X-Balance"])
    assert redactor.headers([("x-balance", "3.5"), ("server", f"echo {PLAIN_KEY}")]) == (
        ("x-balance", "3.5"),
        ("server", "echo ***"),
    )


SIGNED = "https://bucket.s3.test/a.png?X-Amz-Signature=CANARY&X-Amz-Date=CANARY&flag"

ADDRESSES = [
    (SIGNED, "https://bucket.s3.test/a.png?X-Amz-Signature=***&X-Amz-Date=***&***"),
    (
        f'{{"url":"{SIGNED}"}}',
        '{"url":"https://bucket.s3.test/a.png?X-Amz-Signature=***&X-Amz-Date=***&***"}',
    ),
    ("https:\\/\\/b.test\\/a?s=CANARY\\u0026t=CANARY", "https:\\/\\/b.test\\/a?s=***\\u0026t=***"),
    ("https://b.test/a?s\\u003dCANARY", "https://b.test/a?s=***"),
    ('"{\\"url\\":\\"https://b.test/a?s=CANARY\\"}"', '"{\\"url\\":\\"https://b.test/a?s=***\\"}"'),
    ('<a href="https://b.test/?s=CANARY&amp;t=CANARY">', '<a href="https://b.test/?s=***&amp;t=***">'),
    ("wss://b.test/live?token=CANARY and more", "wss://b.test/live?token=*** and more"),
    ("HTTPS://B.TEST?s=CANARY", "HTTPS://B.TEST?s=***"),
    ("https://me:CANARY@b.test/", "https://***@b.test/"),
    ("https://me:CANARY@own.test/?a=1", "https://***@own.test/?a=1"),
    ("https://b.test/#access_token=CANARY", "https://b.test/#***"),
    ("https://b.test/?a=&b", "https://b.test/?a=&***"),
    ("https://b.test/a%20b?", "https://b.test/a%20b?"),
    ("https://own.test/v1?page=2#top", "https://own.test/v1?page=2#top"),
    ("https://own.test:443/v1?page=2", "https://own.test:443/v1?page=2"),
    ("https://own.test:8443/v1?page=CANARY", "https://own.test:8443/v1?page=***"),
    ("https://own.test.evil.test/?page=CANARY", "https://own.test.evil.test/?page=***"),
    ("what? no=address", "what? no=address"),
]


@pytest.mark.parametrize(("text", "shown"), ADDRESSES, ids=range(len(ADDRESSES)))
def test_foreign_addresses_keep_the_names_of_their_query_and_not_the_values(text: str, shown: str) -> None:
    assert Redactor(own=["https://own.test"]).text(text) == shown


def test_a_hostile_text_full_of_addresses_is_read_once() -> None:
    # Quadratic work on this megabyte would take hours; the test would not end.
    assert Redactor([PLAIN_KEY]).text("http://" * 150_000).startswith("http://")


# --------------------------------------------------------------------------------------- canary


def echoes(key: str) -> Iterator[Exchange]:
    """Calls that carry the key in header, query and body, and hosts that give it back in every form."""
    for name, forms in FORMS.items():
        for number, form in enumerate(forms(key)):
            call = Call(
                "POST",
                f"https://api.acme.test/v1?key={urllib.parse.quote(key, safe='')}",
                (("Authorization", f"Bearer {key}"), ("x-api-key", key), ("Accept", f"a/{key}")),
                json.dumps({"callback": f"https://hook.test/?secret={key}", "key": key}).encode(),
            )
            body = json.dumps({"error": f"bad key: {form}"}, ensure_ascii=bool(number)).encode()
            headers = (("Location", f"https://x.test/{form}"), ("X-Echo", form), ("Server", form))
            yield Exchange(seq=1, call=call, reply=Reply(401, headers, body), purpose=f"{name} of {form}")
            yield Exchange(seq=2, call=call, reply=Reply(200, headers, b"\x89PNG\xff tEXt" + form.encode()))
            yield Exchange(seq=3, call=call, reply=None, broke=f"reset: {form}", job=form)


class Off:
    """Redaction switched off: the control that shows the search can find."""

    def text(self, text: str) -> str:
        return text

    def exchange(self, exchange: Exchange) -> Exchange:
        return exchange


def _kept(root: Path, key: str, redactor: Any) -> str:
    """Everything a run with the key leaves on the disk, as text and with its JSON and base64 undone."""
    with RunWriter.create(
        root,
        command="check",
        target=f"https://api.acme.test/?k={key}",
        seed=0,
        version="0",
        options={"note": key, key: 1},
        specs={},
        keep_bodies=True,
        redactor=redactor,
    ) as writer:
        for exchange in echoes(key):
            writer.exchange(exchange)
        finding = Finding(check="KEY001", severity=Severity.VIOLATION, endpoint="a/b", says=key, actual=key, replay=key)
        writer.verdict(Verdict(endpoint="a/b", findings=(finding,), summary=Summary(endpoint="a/b"), notes=(key,)))
    text = "".join(path.read_text() for path in root.rglob("*") if path.is_file())
    return text + "".join(_leaves([json.loads(line) for line in text.splitlines()]))


def _leaves(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value + "\n"
        case list():
            for item in value:
                yield from _leaves(item)
        case dict():
            for name, item in value.items():
                yield name + "\n"
                yield base64.b64decode(item).decode("latin-1") if name == "base64" else ""
                yield from _leaves(item)


@pytest.mark.parametrize("key", [KEY, PLAIN_KEY])
def test_a_marked_key_is_found_nowhere_on_the_disk_and_everywhere_without_redaction(tmp_path: Path, key: str) -> None:
    on = _kept(tmp_path / "on", key, Redactor([Secret(key)], own=["api.acme.test"]))
    off = _kept(tmp_path / "off", key, Off())
    assert seen(off, key) == set(FORMS)
    assert seen(on, key) == set()
    assert "bad key: ***" in on


# ------------------------------------------------------------------------------------ printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9 \u5b57 \U0001f408", "plain \u00e9 \u5b57 \U0001f408"),
        ("\x1b]52;c;aGk=\x07", "\\u001b]52;c;aGk=\\u0007"),
        ("\x9b31m", "\\u009b31m"),
        ("a\r\nb\tc\x7f", "a\\u000d\\u000ab\\u0009c\\u007f"),
        ("\u202eexe.png\u2066\u200f", "\\u202eexe.png\\u2066\\u200f"),
        ("\u2028\u2029\ufeff\u00ad", "\\u2028\\u2029\\ufeff\\u00ad"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_does_not_print_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_printed_text_is_printable_whatever_it_was(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode()


# ----------------------------------------------------------------------------------------- curl

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


def line_for(call: Call, **changes: Any) -> str:
    given: dict[str, Any] = {"env": "ACME_API_KEY", "header": "Authorization", "prefix": "Bearer "}
    return curl(call, **(given | changes))


def a_call(body: bytes = b'{"prompt":"it\'s"}', url: str = "https://api.acme.test/v1") -> Call:
    headers = (
        ("authorization", f"Bearer {PLAIN_KEY}"),
        ("Content-Type", "application/json"),
        ("Cookie", "c=1"),
    )
    return Call("POST", url, headers, body)


def test_a_curl_line_reads_as_one_would_write_it() -> None:
    assert line_for(a_call()) == (
        "curl -g -sS -i -X POST --url https://api.acme.test/v1 "
        "-H \"Authorization: Bearer $ACME_API_KEY\" -H 'Content-Type: application/json' "
        '--data-raw \'{"prompt":"it\'"\'"\'s"}\''
    )


def test_a_call_that_carried_no_key_is_repeated_without_one() -> None:
    bare = Call("GET", "https://api.acme.test/v1")
    assert line_for(bare) == "curl -g -sS -i -X GET --url https://api.acme.test/v1"
    assert "ACME" not in line_for(a_call(), env="")


@given(
    st.builds(
        Call,
        st.sampled_from(["GET", "POST", "HEAD", "$(id)"]),
        words.map("https://api.acme.test/".__add__),
        st.lists(st.tuples(words, words), max_size=2).map(tuple),
        st.binary(max_size=30) | words.map(str.encode),
    )
)
def test_every_curl_line_is_one_printable_line_of_plain_words(call: Call) -> None:
    keyed = Call(call.method, call.url, (*call.headers, ("Authorization", f"Bearer {PLAIN_KEY}")), call.body)
    line = line_for(keyed, redactor=Redactor([PLAIN_KEY]))
    words = shlex.split(line)
    assert line.isprintable()
    assert seen(line, PLAIN_KEY) == set()
    assert "Authorization: Bearer $ACME_API_KEY" in words
    assert words.count("curl") == 1
    if "--data-raw" in words:
        assert words[-1].encode() == Redactor([PLAIN_KEY]).body(call.body)


@pytest.mark.parametrize("env", ["$(id)", "A B", "1A", "A-B", 'A"'])
def test_what_is_no_name_of_a_variable_never_reaches_a_shell(env: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        line_for(a_call(), env=env)


def test_a_secret_in_the_body_or_in_the_address_is_masked_in_the_line() -> None:
    call = a_call(json.dumps({"token": KEY}).encode(), f"https://api.acme.test/v1/{PLAIN_KEY}")
    line = line_for(call, redactor=Redactor([KEY, PLAIN_KEY]))
    assert seen(line, KEY) | seen(line, PLAIN_KEY) == set()
    assert '{"token": "***"}' in line


class _Host(BaseHTTPRequestHandler):
    """Remembers what it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *said: Any) -> None:
        pass


@pytest.fixture
def host() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Host)
    server.heard = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


BODIES = [
    b'{"prompt":"it\'s $HOME `id` \\\\ \\u001b"}',
    "@file é 字".encode(),
    b"\x89PNG\x00\xff\n",
    b"two\nlines",
    b"x" * 200_000,
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
@pytest.mark.parametrize("body", BODIES, ids=["json", "text", "bytes", "lines", "long"])
def test_a_printed_line_sends_the_same_call_again(host: HTTPServer, body: bytes) -> None:
    own = f"127.0.0.1:{host.server_port}"
    call = a_call(body, f"http://{own}/v1/[a]?q={{1,2}}&r=a+b")
    line = line_for(call, redactor=Redactor([PLAIN_KEY], own=[own]))
    environment = {"PATH": "/usr/bin:/bin", "ACME_API_KEY": PLAIN_KEY, "NO_PROXY": "*"}
    done = subprocess.run(["sh"], input=line.encode(), env=environment, capture_output=True, timeout=20, check=True)
    assert done.stdout.endswith(b"ok")
    ((path, headers, sent),) = host.heard  # type: ignore[attr-defined]
    assert (path, sent) == ("/v1/[a]?q={1,2}&r=a+b", body)
    assert headers["Authorization"] == f"Bearer {PLAIN_KEY}"
    assert headers["Content-Type"] == "application/json"
    assert "Cookie" not in headers
