"""What a run's files promise: nothing acknowledged is lost, nothing fused, nothing guessed."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wireproof.clock import SteppedClock
from wireproof.errors import CouldNotTell, UsageError, WireproofError
from wireproof.model import (
    Call,
    Cover,
    Credential,
    Exchange,
    Finding,
    Reply,
    Severity,
    Summary,
    Verdict,
    Where,
)
from wireproof.money import Money
from wireproof.runlog import (
    FILE,
    LARGEST_BODY,
    SCHEMA,
    Damaged,
    Digest,
    Disk,
    DiskError,
    Log,
    RunWriter,
    UnknownSchema,
    atomic_write,
    decode,
    encode,
    load_run,
    read_log,
)


class AsIs:
    """A redactor that hides nothing: what the codec does is seen alone."""

    def text(self, text: str) -> str:
        return text

    def exchange(self, exchange: Exchange) -> Exchange:
        return exchange


def begin(root: Path, **changes: Any) -> RunWriter:
    given: dict[str, Any] = {
        "command": "check",
        "target": "mock",
        "seed": 7,
        "version": "0.1.0",
        "options": {"fail_on": "violation"},
        "specs": {"acme/p-image": "ab" * 32},
        "redactor": AsIs(),
        "clock": SteppedClock(),
    }
    return RunWriter.create(root, **(given | changes))


def an_exchange(seq: int, **changes: Any) -> Exchange:
    call = Call("POST", "https://api.acme.test/v1/p-image", (("Accept", "*/*"),), b'{"prompt":"a cat"}')
    reply = Reply(200, (("Content-Type", "application/json"),), b'{"id":"\xc3\xa9t\xc3\xa9"}')
    return replace(Exchange(seq=seq, call=call, reply=reply, at=1.5, took=0.25), **changes)


# ---------------------------------------------------------------------------------------- lines


def test_a_log_is_json_lines_for_everybody_else(tmp_path: Path) -> None:
    log = Log.open(tmp_path / "a.jsonl")
    log.append({"note": "no key", "verdict": 0})
    log.close()
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert json.loads(line) == {"note": "no key", "verdict": 0, "#": json.loads(line)["#"]}


FORGERIES = [
    "\n",
    "\r\n",
    "\u2028",
    "\u2029",
    "\x00",
    "\x85",
    "\x1b[2J",
    "\ud800",
    '"}\n{"note":"',
    '","#":"',
]


@pytest.mark.parametrize("text", FORGERIES)
def test_no_character_in_a_record_can_end_or_forge_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    log = Log.open(path)
    log.append({"note": text, text: text})
    log.append({"note": "next"})
    assert list(read_log(path)) == [{"note": text, text: text}, {"note": "next"}]
    assert path.read_bytes().count(b"\n") == 2
    assert path.read_bytes().isascii()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
records = st.dictionaries(st.text().filter("#".__ne__), json_values, min_size=1, max_size=4)


@given(st.lists(records, max_size=5))
def test_every_record_reads_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, written: Any) -> None:
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    log = Log.open(path)
    for record in written:
        log.append(record)
    log.close()
    assert list(read_log(path)) == written


@pytest.mark.parametrize("record", [{}, {"#": 1}, {"a": float("nan")}, {"a": float("inf")}, {"a": b"b"}])
def test_what_a_log_cannot_hold_is_refused_before_anything_is_written(
    tmp_path: Path, record: Mapping[str, Any]
) -> None:
    log = Log.open(tmp_path / "a.jsonl")
    with pytest.raises((ValueError, TypeError)):
        log.append(record)
    assert (tmp_path / "a.jsonl").read_bytes() == b""


def test_a_log_cut_at_any_byte_keeps_every_whole_record_and_takes_the_next(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    log = Log.open(whole)
    for n in range(6):
        log.append({"note": f"Zürich \U0001f408 {n}" * (n + 1), "n": n})
    data = whole.read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == 10]
    path, torn = tmp_path / "cut.jsonl", tmp_path / "cut.jsonl.torn"
    for cut in range(ends[2], len(data) + 1):
        path.write_bytes(data[:cut])
        torn.unlink(missing_ok=True)
        kept = sum(end <= cut for end in ends)
        assert [record["n"] for record in read_log(path)] == list(range(kept))
        again = Log.open(path)
        again.append({"n": "next"})
        again.close()
        assert [record["n"] for record in read_log(path)] == [*range(kept), "next"]
        tail = data[ends[kept - 1] : cut]
        assert (torn.read_bytes() if torn.exists() else b"") == (tail and tail + b"\n")


def test_damage_before_the_end_is_told_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = Log.open(path)
    for n in range(3):
        log.append({"n": n, "note": "abc"})
    data = path.read_bytes()
    middle = data.index(b'"n":1')
    for at in range(middle, data.index(b"\n", middle)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(Damaged) as told:
            list(read_log(path))
        # A byte that turns into a line break splits the line: the first half is the damaged one.
        assert (told.value.path, told.value.line) == (path, 2)
        assert str(told.value).startswith(f"{path}:2: ")


def test_a_terminated_last_line_that_is_damaged_is_damage_and_no_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":1,"#":"6 00000000"}\n')
    with pytest.raises(Damaged, match="checksum"):
        list(read_log(path))
    with pytest.raises(Damaged):
        Log.open(path).catch_up()


def test_a_record_of_600_kib_is_one_line_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = Log.open(path)
    for n in range(3):
        log.append({"n": n, "data": "é" * 100_000}, durable=True)
    assert path.stat().st_size > 3 * 600_000
    assert [record["n"] for record in read_log(path)] == [0, 1, 2]


def test_two_logs_on_one_file_see_each_others_records_once(tmp_path: Path) -> None:
    one, two = Log.open(tmp_path / "a.jsonl"), Log.open(tmp_path / "a.jsonl")
    one.append({"n": 1})
    assert two.catch_up() == [{"n": 1}]
    two.append({"n": 2})
    assert one.catch_up() == [{"n": 1}, {"n": 2}]
    assert one.catch_up() == []


def test_records_that_vanish_from_under_a_log_are_noticed(tmp_path: Path) -> None:
    log = Log.open(tmp_path / "a.jsonl")
    log.append({"n": 1})
    log.catch_up()
    os.truncate(tmp_path / "a.jsonl", 0)
    with pytest.raises(Damaged, match="gone"):
        log.catch_up()


# ----------------------------------------------------------------------------------------- disk


class FailingDisk(Disk):
    """A disk whose steps from number `first` to `last` fail; a failing write leaves half behind."""

    def __init__(self, first: int, last: float) -> None:
        self._steps = count(1)
        self._first, self._last = first, last
        self.done: list[str] = []

    def _step(self, name: str) -> None:
        number = next(self._steps)
        self.done.append(name)
        if self._first <= number <= self._last:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, descriptor: int, data: bytes) -> int:
        try:
            self._step("write")
        except OSError:
            super().write(descriptor, data[: len(data) // 2])
            raise
        return super().write(descriptor, data)


def _failing(name: str) -> Callable[..., Any]:
    def step(self: FailingDisk, *given: Any, **named: Any) -> Any:
        self._step(name)
        return getattr(Disk, name)(self, *given, **named)

    return step


for _name in ("make_folder", "open", "temporary", "size", "read", "sync", "sync_folder", "cut", "replace"):
    setattr(FailingDisk, _name, _failing(_name))


@pytest.mark.parametrize("more", [0, 1, 2, float("inf")])
def test_whichever_steps_to_the_disk_fail_no_line_is_fused_and_the_error_is_ours(tmp_path: Path, more: float) -> None:
    first = 0
    steps = 1
    while first <= steps:
        first += 1
        path = tmp_path / str(first) / "a.jsonl"
        disk = FailingDisk(first, first + more)
        kept = _append_five(path, disk)
        steps = len(disk.done)
        found = [record["n"] for record in read_log(path)] if path.exists() else []
        # A record may be there that was not acknowledged; one that was is never missing.
        assert found == sorted(set(found))
        assert set(kept) <= set(found)
        if path.exists():
            Log.open(path).append({"n": 99})
            assert [record["n"] for record in read_log(path)] == [*found, 99]
    assert first > 15


def _append_five(path: Path, disk: Disk) -> list[int]:
    kept = []
    try:
        log = Log.open(path, disk=disk)
    except DiskError:
        return []
    for n in range(5):
        try:
            log.append({"n": n}, durable=n % 2 == 0)
        except DiskError as error:
            assert error.path == path
        else:
            kept.append(n)
    return kept


def test_a_record_that_could_not_be_written_whole_does_not_stand_in_the_way_of_the_next(
    tmp_path: Path,
) -> None:
    class Short(Disk):
        def write(self, descriptor: int, data: bytes) -> int:
            return super().write(descriptor, data[:9] if b"long" in data else data)

    log = Log.open(tmp_path / "a.jsonl", disk=Short())
    with pytest.raises(DiskError, match="only a part"):
        log.append({"note": "long"})
    assert (tmp_path / "a.jsonl").read_bytes() == b""
    log.append({"note": "next"})
    assert list(read_log(tmp_path / "a.jsonl")) == [{"note": "next"}]


def test_a_file_size_limit_of_the_system_is_told_as_our_error(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from wireproof.runlog import Log, DiskError, read_log\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "path = Path(sys.argv[1]); log = Log.open(path)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "failed = 0\n"
        "for n in range(40):\n"
        "    try: log.append({'n': n, 'note': 'x' * 40})\n"
        "    except DiskError: failed += 1\n"
        "print(failed, len(list(read_log(path))))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.jsonl")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    failed, kept = map(int, done.stdout.split())
    assert failed > 0
    assert failed + kept == 40


def test_a_durable_record_is_synced_after_it_is_written_and_its_folder_after_it_is_made(
    tmp_path: Path,
) -> None:
    disk = FailingDisk(0, 0)
    log = Log.open(tmp_path / "new" / "a.jsonl", disk=disk)
    assert disk.done[:4] == ["make_folder", "sync_folder", "open", "sync_folder"]
    before = len(disk.done)
    log.append({"n": 1}, durable=True)
    assert disk.done[before:] == ["size", "write", "sync"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_files_are_0600_and_folders_0700_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with begin(tmp_path / "runs" / "deep") as writer:
            writer.exchange(an_exchange(1))
        atomic_write(writer.folder / "report.html", "<p>")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "runs").rglob("*")}
    assert modes == {"deep": 0o700, writer.folder.name: 0o700, FILE: 0o600, "report.html": 0o600}


def test_a_log_does_not_follow_a_link_that_somebody_left_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "theirs")
    with pytest.raises(DiskError):
        Log.open(tmp_path / "a.jsonl")
    assert (tmp_path / "theirs").read_text() == "precious"


def test_a_file_is_replaced_whole_or_not_at_all_whichever_step_fails(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for first in range(1, 7):
        path.write_text("old")
        disk = FailingDisk(first, first)
        try:
            atomic_write(path, "new", disk=disk)
        except DiskError:
            # Only the last step, that the name lasts, can fail after the exchange.
            assert path.read_text() == ("new" if disk.done[-1] == "sync_folder" else "old")
        else:
            assert first > len(disk.done)
            assert path.read_text() == "new"
        assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


# ---------------------------------------------------------------------------------------- kills


def _append_for_ever(path: Path, told: int) -> None:
    log = Log.open(path)
    for n in count(len(list(read_log(path)))):
        log.append({"n": n, "data": "x" * (600_000 if n % 3 == 0 else 50)})
        os.write(told, b".")


def killed_after(records: int, target: Callable[..., None], *given: Any) -> bytes:
    """What the child had acknowledged when it was killed, soon after that many records."""
    reading, writing = os.pipe()
    child = multiprocessing.get_context("fork").Process(target=target, args=(*given, writing))
    child.start()
    os.close(writing)
    heard = b""
    while len(heard) < records:
        heard += os.read(reading, 1)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    while part := os.read(reading, 65536):
        heard += part
    os.close(reading)
    return heard


def test_a_log_killed_again_and_again_loses_nothing_acknowledged_and_fuses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    acknowledged = 0
    for round_ in range(25):
        acknowledged += len(killed_after(1 + round_ % 7, _append_for_ever, path))
        found = [record["n"] for record in read_log(path)]
        assert found == list(range(len(found)))
        # At most one record a round was whole on the disk and not yet acknowledged.
        assert acknowledged <= len(found) <= acknowledged + round_ + 1
    assert acknowledged >= 25


# ---------------------------------------------------------------------------------------- a run

names = st.text(st.characters(codec="utf-8"), max_size=12)
wheres = st.builds(Where, names, st.integers(0, 9999), names)
evidence = st.lists(st.integers(0, 99), max_size=3).map(tuple)
seconds = st.floats(0, 1e6, allow_nan=False)
bodies = st.binary(max_size=40) | names.map(str.encode)
headers = st.lists(st.tuples(names, names), max_size=3).map(tuple)
amounts = st.builds(Money, st.decimals(allow_nan=False, allow_infinity=False), st.sampled_from(["USD", "credits"]))
calls = st.builds(Call, names, names, headers, bodies)
replies = st.builds(Reply, st.integers(100, 599), headers, bodies)
exchanges = st.builds(
    Exchange,
    seq=st.integers(0),
    call=calls,
    reply=st.none() | replies,
    broke=st.none() | names,
    at=seconds,
    took=seconds,
    operation=names,
    job=st.none() | names,
    credential=st.sampled_from(Credential),
    channel=st.sampled_from(["http", "websocket", "webhook"]),
    purpose=names,
    output=st.none() | st.integers(0, 9),
)
findings = st.builds(
    Finding,
    check=names,
    severity=st.sampled_from(Severity),
    endpoint=names,
    says=names,
    expected=names,
    actual=names,
    where=wheres,
    evidence=evidence,
    subject=names,
    replay=names,
)
covers = st.builds(Cover, kind=names, name=names, where=wheres, seen=st.booleans(), why_not=names, evidence=evidence)
summaries = st.builds(
    Summary,
    endpoint=names,
    calls=st.integers(0),
    jobs=st.integers(0),
    seconds=seconds,
    spent=st.none() | amounts,
    unknown_spend=st.integers(0),
    stopped=names,
)
verdicts = st.builds(
    Verdict,
    endpoint=names,
    findings=st.lists(findings, max_size=2).map(tuple),
    coverage=st.lists(covers, max_size=2).map(tuple),
    summary=summaries,
    notes=st.lists(names, max_size=2).map(tuple),
).map(lambda verdict: replace(verdict, summary=replace(verdict.summary, endpoint=verdict.endpoint)))


@settings(deadline=None)
@given(st.lists(exchanges, max_size=4), st.lists(verdicts, max_size=3))
def test_a_run_reads_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, sent: list[Exchange], judged: list[Verdict]
) -> None:
    root = tmp_path_factory.mktemp("runs")
    with begin(root, keep_bodies=True) as writer:
        for exchange in sent:
            writer.exchange(exchange)
        for verdict in judged:
            writer.verdict(verdict)
    run = load_run(writer.folder)
    assert (run.exchanges, run.verdicts) == (tuple(sent), tuple(judged))
    assert (run.command, run.target, run.seed, run.version) == ("check", "mock", 7, "0.1.0")
    assert (run.id, run.started) == ("20260101T000000Z-check", "2026-01-01T00:00:00+00:00")
    assert run.options == {
        "fail_on": "violation",
        "keep_bodies": True,
        "specs": {"acme/p-image": "ab" * 32},
        "complete": True,
    }


@given(st.one_of(exchanges, findings, covers, summaries))
def test_every_noun_survives_json(noun: Any) -> None:
    assert decode(type(noun), json.loads(json.dumps(encode(noun)))) == noun


def test_amounts_stay_exact_and_are_written_as_text() -> None:
    summary = Summary(endpoint="a/b", spent=Money(Decimal("0.0088000"), "USD"))
    written = encode(summary)
    assert written["spent"] == {"amount": "0.0088000", "unit": "USD"}
    assert str(decode(Summary, written).spent.amount) == "0.0088000"


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"a":1}', '{"a":1}'),
        ("héllo\n".encode(), "héllo\n"),
        (b"\x89PNG", {"base64": "iVBORw==", "sha256": Digest.of(b"\x89PNG").sha256, "size": 4}),
        (b"x" * LARGEST_BODY, "x" * LARGEST_BODY),
        (
            b"x" * (LARGEST_BODY + 1),
            {"sha256": Digest.of(b"x" * (LARGEST_BODY + 1)).sha256, "size": LARGEST_BODY + 1},
        ),
    ],
)
def test_text_is_kept_as_text_bytes_as_base64_and_much_as_a_digest(body: bytes, kept: Any) -> None:
    assert encode(body) == kept
    assert decode(bytes, kept) == (body if len(body) <= LARGEST_BODY else Digest.of(body))


def test_a_digest_is_empty_but_not_the_empty_body() -> None:
    digest = Digest.of(b"abc")
    assert (len(digest), digest.size, Digest.of(digest)) == (0, 3, digest)
    assert digest != b""
    assert b"" != digest
    assert digest != Digest.of(b"abd")
    assert len({digest, Digest.of(b"abc"), b""}) == 2


def test_what_is_said_in_json_can_be_kept_without_the_pictures(tmp_path: Path) -> None:
    said, picture, much = b' {"prompt": "a fox"}', b"\x89PNG", b"[" + b" " * LARGEST_BODY + b"]"
    call = Call("POST", "https://api.acme.test/", (), said)
    replies = [Reply(200, (), body) for body in (b'["a"]', picture, b"{ no json", much)]
    with begin(tmp_path, keep_json=True) as writer:
        for seq, reply in enumerate(replies, 1):
            writer.exchange(an_exchange(seq, call=call, reply=reply))
        writer.exchange(an_exchange(5, call=replace(call, body=picture), reply=Reply(400, (), b"no picture, please")))
    run = load_run(writer.folder)
    kept = [one.reply.body for one in run.exchanges if one.reply]
    assert kept == [b'["a"]', *map(Digest.of, (picture, b"{ no json", much)), b"no picture, please"]
    assert [one.call.body for one in run.exchanges] == [said] * 4 + [Digest.of(picture)]
    assert (run.options["keep_bodies"], run.options["keep_json"]) == (False, True)


CANARY = "a portrait of my neighbour Josephine, aged 44"


@pytest.mark.parametrize("status", [200, 422])
def test_prompts_are_not_kept_unless_asked_for_even_where_an_error_repeats_them(tmp_path: Path, status: int) -> None:
    body = json.dumps({"prompt": CANARY, "nested": [{"image": "https://home.test/josephine.png"}]}).encode()
    reply = Reply(status, (), b'{"detail":"bad prompt","input":' + body + b"}")
    exchange = an_exchange(1, call=Call("POST", "https://api.acme.test/", (), body), reply=reply)
    for keep, hits in ((False, 0), (True, 2)):
        with begin(tmp_path, keep_bodies=keep) as writer:
            writer.exchange(exchange)
        text = (writer.folder / FILE).read_text()
        assert text.count("Josephine, aged 44") == hits
        assert text.count("home.test") == hits
    assert status == 200 or "bad prompt" in text


def test_without_bodies_an_error_still_tells_what_was_wrong(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        writer.exchange(an_exchange(1, reply=Reply(400, (), b'{"error":"width is above 1440"}')))
        writer.exchange(an_exchange(2))
    first, second = load_run(writer.folder).exchanges
    assert first.reply is not None
    assert first.reply.body == b'{"error":"width is above 1440"}'
    assert first.call.body == Digest.of(an_exchange(1).call.body)
    assert second.reply is not None
    assert isinstance(second.reply.body, Digest)


def test_what_is_read_and_written_again_is_the_same(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        writer.exchange(an_exchange(1))
    run = load_run(writer.folder)
    with begin(tmp_path) as again:
        again.exchange(run.exchanges[0])
    assert load_run(again.folder).exchanges == run.exchanges


def test_by_default_no_authorization_reaches_the_disk(tmp_path: Path) -> None:
    call = Call("GET", "https://api.acme.test/", (("Authorization", "Bearer key-0123456789abcdef"),))
    for redactor, found in ((None, False), (AsIs(), True)):
        with begin(tmp_path, redactor=redactor) as writer:
            writer.exchange(an_exchange(1, call=call))
        assert ("0123456789abcdef" in (writer.folder / FILE).read_text()) is found


def test_two_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = [begin(tmp_path).close().name for _ in range(3)]
    assert folders == [f"20260101T000000Z-check{end}" for end in ("", "-2", "-3")]
    assert [load_run(tmp_path / name).id for name in folders] == folders


def test_a_run_ended_by_an_exception_is_read_as_interrupted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), begin(tmp_path) as writer:  # noqa: PT012  (what is interrupted is the block)
        writer.exchange(an_exchange(1))
        raise KeyboardInterrupt
    run = load_run(writer.folder)
    assert [exchange.seq for exchange in run.exchanges] == [1]
    assert (run.options["complete"], run.options["note"]) == (False, "interrupted")


def _a_small_run(root: Path) -> Path:
    finding = Finding(check="JOB002", severity=Severity.VIOLATION, endpoint="a/b", says="was", evidence=(1,))
    with begin(root) as writer:
        writer.exchange(an_exchange(1))
        writer.verdict(Verdict(endpoint="a/b", findings=(finding,), summary=Summary(endpoint="a/b"), notes=("so",)))
    return writer.folder / FILE


def test_a_run_cut_at_any_byte_is_readable_as_far_as_it_goes(tmp_path: Path) -> None:
    path = _a_small_run(tmp_path / "runs")
    data = path.read_bytes()
    header = data.index(b"\n") + 1
    seen = set()
    for cut in range(header, len(data)):
        (tmp_path / FILE).write_bytes(data[:cut])
        run = load_run(tmp_path)
        assert run.options["complete"] is False
        seen.add((len(run.exchanges), len(run.verdicts), len(run.findings)))
    assert seen == {(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)}
    assert load_run(path.parent).options["complete"] is True


def test_a_run_cut_before_its_header_could_not_be_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(_a_small_run(tmp_path / "runs").read_bytes()[:20])
    with pytest.raises(CouldNotTell, match="before it wrote anything"):
        load_run(tmp_path)


def _rewritten(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The same run with every record changed and sealed anew."""
    told = [{k: v for k, v in record.items() if k != "#"} for record in read_log(path)]
    path.unlink()
    log = Log.open(path)
    for record in told:
        change(record)
        if record:
            log.append(record)
    return path


@pytest.mark.parametrize("schema", [0, SCHEMA + 1, "1", None])
def test_a_run_of_another_schema_is_refused_by_its_number(tmp_path: Path, schema: object) -> None:
    def change(record: dict[str, Any]) -> None:
        if "run" in record:
            record["run"]["schema"] = schema

    path = _rewritten(_a_small_run(tmp_path), change)
    with pytest.raises(UnknownSchema, match=f"schema {schema!r} .* reads schema {SCHEMA}") as told:
        load_run(path)
    assert told.value.exit_code == 2


def _new_kind(record: dict[str, Any]) -> None:
    if "exchange" in record:
        record["telemetry"] = record.pop("exchange")


def _new_member(record: dict[str, Any]) -> None:
    if "exchange" in record:
        record["exchange"]["colour"] = "red"


def _no_seq(record: dict[str, Any]) -> None:
    if "exchange" in record:
        del record["exchange"]["seq"]


def _no_severity(record: dict[str, Any]) -> None:
    if "finding" in record:
        record["finding"]["severity"] = "fatal"


def _no_summary(record: dict[str, Any]) -> None:
    if "summary" in record:
        record.clear()


def _no_exchange(record: dict[str, Any]) -> None:
    if "exchange" in record:
        record.clear()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_new_kind, 2),
        (_new_member, 2),
        (_no_seq, 2),
        (_no_severity, 4),
        (_no_summary, 3),
        (_no_exchange, 5),
    ],
)
def test_a_record_that_does_not_belong_is_damage_and_not_a_guess(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], line: int
) -> None:
    path = _rewritten(_a_small_run(tmp_path), change)
    with pytest.raises(Damaged) as told:
        load_run(path)
    assert told.value.line == line


def test_where_there_is_no_run_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run here"):
        load_run(tmp_path)
    log = Log.open(tmp_path / FILE)
    log.append({"note": "hello"})
    with pytest.raises(UsageError, match="not a run"):
        load_run(tmp_path)


@pytest.mark.parametrize("for_good", [False, True])
def test_whichever_step_to_the_disk_fails_a_run_is_readable_or_honestly_missing(tmp_path: Path, for_good: bool) -> None:
    for first in range(1, 60):
        disk = FailingDisk(first, float("inf") if for_good else first)
        root = tmp_path / str(first)
        try:
            with begin(root, disk=disk) as writer:
                for seq in range(3):
                    writer.exchange(an_exchange(seq))
                writer.verdict(Verdict(endpoint="a/b", summary=Summary(endpoint="a/b"), notes=("so",)))
        except DiskError:
            pass
        if first > len(disk.done):
            break
        for path in root.glob("*/" + FILE):
            _reads_or_says_why(path)
    assert 20 < first < 59


def _reads_or_says_why(path: Path) -> None:
    try:
        run = load_run(path)
    except WireproofError as error:
        assert isinstance(error, CouldNotTell)
    else:
        assert [exchange.seq for exchange in run.exchanges] == list(range(len(run.exchanges)))


def test_threads_that_share_a_writer_lose_nothing(tmp_path: Path) -> None:
    with begin(tmp_path) as writer, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seq: writer.exchange(an_exchange(seq)), range(200)))
    assert sorted(exchange.seq for exchange in load_run(writer.folder).exchanges) == list(range(200))
