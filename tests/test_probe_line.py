"""What a sender makes of a host's bytes: whole replies, nothing carried over, one deadline, one word for a break."""

from __future__ import annotations

import contextlib
import gzip
import select
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from wireproof.model import Call, Reply
from wireproof.probe import line, sender
from wireproof.probe.line import Broke, Hearing, place, unpacked
from wireproof.probe.sender import Sender, Sent, written

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CLOSE, RESET, HANG = b"<close>", b"<reset>", b"<hang>"
"""What a host may do between its bytes: hang up, break the connection, or say nothing more until the test is over."""

Turn = Sequence[bytes]
"""What is said to one request, piece by piece."""


@dataclass
class Host:
    """A host that says what it is told to, connection by connection, whatever it is asked."""

    connections: Sequence[Sequence[Turn]]
    tls: ssl.SSLContext | None = None
    asked: list[bytes] = field(default_factory=list)
    opened: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=self._serve, args=(listener,))
        thread.start()
        try:
            yield f"{'https' if self.tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            self.over.set()
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()

    def _serve(self, listener: socket.socket) -> None:
        for turns in self.connections:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            self.opened += 1
            with contextlib.suppress(OSError), connection:
                if self.tls:
                    with self.tls.wrap_socket(connection, server_side=True) as secure:
                        self._talk(secure, turns)
                else:
                    self._talk(connection, turns)

    def _talk(self, connection: socket.socket, turns: Sequence[Turn]) -> None:
        for turn in turns:
            request = _request(connection)
            if not request:
                return
            self.asked.append(request)
            for piece in turn:
                if piece == CLOSE:
                    return
                if piece == RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if piece == HANG:
                    self.over.wait(10)
                    return
                connection.sendall(piece)


def _request(connection: socket.socket) -> bytes:
    """A request with its body; empty where the caller has hung up."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (piece := connection.recv(65536)):
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    sizes = [row.split(b":")[1] for row in head.split(b"\r\n") if row.lower().startswith(b"content-length")]
    while sizes and len(body) < int(sizes[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def asked(*turn: bytes, method: str = "GET", timeout: float = 5.0) -> Sent:
    """What comes of one call to a host that says this."""
    with Host([[turn]]).serving() as url, Sender(timeout=timeout) as one:
        return one.send(Call(method, f"{url}/"))


def body_of(sent: Sent) -> bytes:
    assert sent.reply is not None, sent
    return sent.reply.body


CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nlate: 1\r\n\r\n"
WHOLE = {
    "sized": [OK],
    "byte by byte": [OK[i : i + 1] for i in range(len(OK))],
    "in chunks": [CHUNKS],
    "chunks byte by byte": [CHUNKS[i : i + 1] for i in range(len(CHUNKS))],
    "until it hangs up": [b"HTTP/1.0 200 OK\r\n\r\n{", b"}", CLOSE],
    "early hints": [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", OK],
    "continue and processing": [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK],
    "bare line feeds": [b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}"],
    "no reason": [b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}"],
    "too much": [OK + b"{} and more"],
    "gzip": [
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(gzip.compress(b"{}")),
        gzip.compress(b"{}"),
    ],
}


@pytest.mark.parametrize("turn", WHOLE.values(), ids=WHOLE)
def test_a_whole_reply_is_read_whatever_its_frame(turn: list[bytes]) -> None:
    assert body_of(asked(*turn)) == b"{}"


BROKEN = {
    "hangs up at once": ([CLOSE], "reset"),
    "breaks the connection": ([b"HTTP/1.1 200 OK\r\n", RESET], "reset"),
    "ends in its headers": ([b"HTTP/1.1 200 OK\r\ncontent-", CLOSE], "truncated"),
    "ends in its body": ([OK[:-1], CLOSE], "truncated"),
    "ends in a chunk": ([CHUNKS[:-12], CLOSE], "truncated"),
    "is silent": ([HANG], "timeout"),
    "is silent in its headers": ([b"HTTP/1.1 200 OK\r\n", HANG], "timeout"),
    "is silent in its body": ([OK[:-1], HANG], "timeout"),
    "is no HTTP": ([b"SSH-2.0-OpenSSH_9.7\r\n\r\n"], "garbled"),
    "changes the protocol": ([b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"], "garbled"),
    "has two lengths": ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"], "garbled"),
    "says gzip and is not": ([b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"], "garbled"),
    "has endless headers": ([b"HTTP/1.1 200 OK\r\n", *[b"x: %s\r\n" % (b"y" * 60_000)] * 5, HANG], "garbled"),
}  # fmt: skip


@pytest.mark.parametrize(("turn", "word"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_is_told_in_one_word(turn: list[bytes], word: str) -> None:
    sent = asked(*turn, timeout=0.3 if word == "timeout" else 5.0)
    assert (sent.reply, sent.broke) == (None, word)
    assert sent.why


def test_headers_that_drip_in_count_against_the_same_deadline_as_a_body() -> None:
    drips = [b"HTTP/1.1 200 OK\r\n", *[b"x: y\r\n"] * 400]
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            for piece in drips:
                connection.sendall(piece)
                if stopped.wait(0.02):
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    with Sender(timeout=0.2) as one:
        sent = one.send(Call("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/"))
    stopped.set()
    thread.join()
    listener.close()
    assert sent.broke == "timeout"


def test_nothing_behind_a_reply_becomes_part_of_the_next() -> None:
    evil = OK + b"HTTP/1.1 500 Smuggled\r\ncontent-length: 0\r\n\r\n"
    host = Host([[[evil], [OK]], [[OK]]])
    with host.serving() as url, Sender() as one:
        sent = [one.send(Call("GET", f"{url}/{i}")) for i in range(2)]
    assert [each.reply and each.reply.status for each in sent] == [200, 200]
    assert host.opened == 2


def test_a_connection_is_kept_and_one_that_the_host_has_left_is_not_used() -> None:
    last = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    host = Host([[[OK], [OK, CLOSE]], [[last]], [[OK]]])
    with host.serving() as url, Sender() as one:
        for i in range(4):
            assert one.send(Call("POST", f"{url}/{i}", body=b"[]")).broke is None
            if i == 1:
                [kept] = one._lines.values()
                assert select.select([kept._socket], [], [], 5)[0], "the host does not hang up"
    assert host.opened == 3
    assert len(host.asked) == 4


@pytest.mark.parametrize(("method", "free", "times"), [("GET", False, 2), ("POST", False, 1), ("POST", True, 2)])
def test_only_what_changes_nothing_is_asked_again_where_a_kept_connection_dies(
    method: str, free: bool, times: int
) -> None:
    """Whether the host had read a submit before it hung up cannot be known: it may be paid for."""
    host = Host([[[OK], [CLOSE]], [[OK]]])
    with host.serving() as url, Sender() as one:
        one.send(Call("GET", f"{url}/first"))
        sent = one.send(Call(method, f"{url}/second"), free=free)
    assert sum(b"/second" in each for each in host.asked) == times
    assert sent.broke == (None if times == 2 else "reset")


def test_a_host_that_hangs_up_without_a_word_gets_a_new_connection_each_time() -> None:
    host = Host([[[OK], [CLOSE]]] * 3)
    with host.serving() as url, Sender() as one:
        assert [one.send(Call(method, url)).broke for method in ("GET", "GET", "POST")] == [None] * 3
    assert host.opened == 3


def test_a_cookie_is_never_sent_back() -> None:
    host = Host([[[OK.replace(b"\r\n\r\n", b"\r\nset-cookie: sid=1; Path=/\r\n\r\n")]] * 2])
    with host.serving() as url, Sender() as one:
        assert [one.send(Call("GET", url)).broke for _ in range(2)] == [None, None]
    assert [b"cookie" in each.lower() for each in host.asked] == [False, False]


def test_a_head_has_no_body_and_a_204_none() -> None:
    assert body_of(asked(b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n", method="HEAD")) == b""
    assert body_of(asked(b"HTTP/1.1 204 No Content\r\n\r\n")) == b""


def test_headers_come_as_they_are_sent_twice_and_in_any_letters() -> None:
    sent = asked(
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-Name: na\xc3\xafve\r\nX-Old: \xe9\r\nContent-Length: 0\r\n\r\n"
    )
    assert sent.reply == Reply(
        200, (("x-a", "1"), ("x-a", "2"), ("x-name", "naïve"), ("x-old", "é"), ("content-length", "0")), b""
    )


def test_a_host_that_answers_before_it_has_read_all_is_heard() -> None:
    turn = [b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", CLOSE]

    def refuse(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(turn[0])
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 20):
                """What is still under way is taken and thrown away, so that the answer is not lost."""

    with socket.create_server(("127.0.0.1", 0)) as listener, Sender() as one:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        sent = one.send(Call("POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", body=b"x" * (8 << 20)))
        one.__exit__(None, None, None)
        thread.join()
    assert sent.reply is not None
    assert sent.reply.status == 413


REFUSED = [
    "http://127.0.0.1:1/",
    "ftp://127.0.0.1/",
    "nonsense",
    "http://",
    "http://[::1",
    "http://nowhere.invalid/",
    "//x",
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_never_left_is_called_refused(url: str) -> None:
    with Sender() as one:
        assert one.send(Call("POST", url, body=b"{}")).broke == "refused"


@pytest.mark.parametrize("bad", [("x-key", "a\r\nx: y"), ("x y", "a"), ("", "a"), ("x", "snow ☃"), ("x", "nul\0")])
def test_a_header_that_would_be_read_as_something_else_is_not_sent(bad: tuple[str, str]) -> None:
    with pytest.raises(Broke, match="no header"):
        written(Call("GET", "http://host.example/", (bad,)), place("http://host.example/"))


def test_an_address_is_sent_as_browsers_do() -> None:
    where = place("http://EXAMPLE.com:8080/a b/é?q=ä&r=%41#part")
    assert (where.host, where.port, where.authority) == ("example.com", 8080, b"example.com:8080")
    assert where.target == b"/a%20b/%C3%A9?q=%C3%A4&r=%41"
    request = written(Call("POST", "http://host.example/", (("User-Agent", "me"),)), place("http://host.example/"))
    assert request == (
        b"POST / HTTP/1.1\r\nhost: host.example\r\naccept: */*\r\naccept-encoding: identity\r\n"
        b"content-length: 0\r\nUser-Agent: me\r\n\r\n"
    )


def test_tls_is_believed_only_with_an_authority_and_the_right_name() -> None:
    authority = trustme.CA()
    tls, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(trust)
    host = Host([[[OK]], [[OK]]], tls=tls)
    with host.serving() as url, Sender(trust=trust) as known, Sender() as other:
        assert known.send(Call("GET", f"{url}/")).broke is None
        stranger = other.send(Call("POST", f"{url}/"))
    assert stranger.broke == "refused"
    assert "certificate" in stranger.why
    assert len(host.asked) == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "x-gzip", "gzip, deflate"])
def test_a_body_is_unpacked_up_to_its_limit(coding: str) -> None:
    words = coding.split(", ")
    packed = b"a" * 5000
    for word in words:
        packed = gzip.compress(packed) if word.endswith("gzip") else zlib.compress(packed)
    assert unpacked(packed, words, 5000) == b"a" * 5000
    with pytest.raises(Broke) as broke:
        unpacked(packed, words, 4999)
    assert broke.value.word == "too large"


def test_a_bomb_is_let_go_before_it_is_unpacked() -> None:
    bomb = gzip.compress(b"\0" * (40 << 20), 1)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    assert asked(head, bomb).broke == "too large"
    thrice = asked(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip, gzip\r\ncontent-length: 2\r\n\r\n{}")
    assert thrice.broke == "garbled"


def test_a_body_without_end_is_cut_at_its_limit() -> None:
    hearing = Hearing(headless=False, most=(1000, 2000))
    hearing.hear(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n")
    hearing.hear(b"x" * 2000)
    with pytest.raises(Broke) as broke:
        hearing.hear(b"x")
    assert broke.value.word == "too large"


def test_members_of_one_packed_body_are_one_body_and_half_a_member_is_none() -> None:
    assert unpacked(gzip.compress(b"a") + gzip.compress(b"b"), ["gzip"], 10) == b"ab"
    with pytest.raises(Broke, match="breaks off"):
        unpacked(gzip.compress(b"a" * 1000)[:-9], ["gzip"], 5000)
    assert unpacked(b"zz", ["br"], 10) == b"zz"


@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from([b"", OK[:40], OK[:-1], OK, CHUNKS[:-5]]))
def test_no_bytes_of_a_host_bring_a_reader_down(pieces: list[bytes], start: bytes) -> None:
    hearing = Hearing(headless=False, most=(200, 400))
    with contextlib.suppress(Broke):
        for piece in (start, *pieces):
            hearing.hear(piece)
        hearing.ended()
        assert isinstance(hearing.reply(), Reply)


def test_few_connections_are_kept_and_all_are_closed_at_the_end() -> None:
    hosts = [Host([[[OK], [OK]]]) for _ in range(sender.MOST_LINES + 2)]
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(host.serving()) for host in hosts]
        one = stack.enter_context(Sender())
        assert all(one.send(Call("GET", f"{url}/")).reply for url in urls)
        assert len(one._lines) == sender.MOST_LINES
    assert not one._lines


def test_an_idle_connection_is_not_trusted_for_long() -> None:
    with Host([[[OK], [HANG]]]).serving() as url, Sender() as one:
        one.send(Call("GET", f"{url}/"))
        [kept] = one._lines.values()
        assert kept.fresh()
        kept.used -= (line.IDLE + line.IDLE_PAID) / 2
        assert kept.fresh()
        assert not kept.fresh(line.IDLE_PAID)
        kept.used -= line.IDLE
        assert not kept.fresh()
