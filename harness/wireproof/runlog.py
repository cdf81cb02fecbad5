"""How a run is kept: files of records that survive a kill at any byte, and the run written in them.

A record is one line of plain JSON, sealed by its last member, so that `grep`, `jq` and every reader of
JSON lines can be used on it:

    {"note":"no key","verdict":0,"#":"30 5d3c0a11"}

The seal says how many bytes stand before `,"#"` and their CRC32. A line is written in one `write`, is
ASCII (no character inside a record can end or forge a line) and counts once its line break is there.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import NoneType, TracebackType, UnionType
from typing import Any, Protocol, Self, cast, get_args, get_origin, get_type_hints

from wireproof.clock import Clock, RealClock
from wireproof.errors import CouldNotTell, UsageError, WireproofError
from wireproof.model import Cover, Exchange, Finding, Run, Summary, Verdict
from wireproof.secrets import Redactor

# --------------------------------------------------------------------------------------- errors


class DiskError(CouldNotTell):
    """A file cannot be read or written. `path` is the file, `doing` the attempt, `why` the system's word."""

    def __init__(self, path: Path, doing: str, why: str) -> None:
        self.path = path
        self.doing = doing
        self.why = why
        super().__init__(f"{path}: cannot {doing}: {why}")


class Damaged(WireproofError):
    """A record that was once whole is no longer. `path` and `line` (from 1) say which one."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        self.path = path
        self.line = line
        self.why = why
        super().__init__(f"{path}:{line}: the record is damaged: {why}")


class UnknownSchema(UsageError):
    """The file was written by another version in a form this one does not know."""

    def __init__(self, path: Path, found: object, known: int, writer: object) -> None:
        self.path = path
        self.found = found
        self.known = known
        super().__init__(
            f"{path}: written in schema {found!r} by wireproof {writer}; this version reads schema {known}"
        )


@contextmanager
def told(path: Path, doing: str) -> Iterator[None]:
    """Turns what the system says into our own error."""
    try:
        yield
    except OSError as error:
        raise DiskError(path, doing, error.strerror or str(error)) from error


# ----------------------------------------------------------------------------------------- disk


class Disk:
    """Every step to the disk, one method each, so that a test can make any of them fail (OSError).

    Folders are made 0700 and files 0600 whatever the umask.
    """

    def make_folder(self, path: Path, *, fresh: bool = False) -> None:
        """Make the folder and those above it; with `fresh` it must not have been there."""
        missing = [path, *(above for above in path.parents if not above.exists())]
        for folder in reversed(missing):
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                if fresh and folder == path:
                    raise
                continue
            folder.chmod(0o700)
            self.sync_folder(folder.parent)

    def open(self, path: Path) -> int:
        """A descriptor to read and append with; the file is made when it is missing."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)
        return descriptor

    def temporary(self, beside: Path) -> tuple[int, Path]:
        """A new file in the same folder, 0600, with a name nobody can foresee."""
        descriptor, name = tempfile.mkstemp(prefix=f".{beside.name}.", dir=beside.parent)
        os.fchmod(descriptor, 0o600)
        return descriptor, Path(name)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def read(self, descriptor: int, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, or to the end of the file."""
        parts = []
        while start < end and (part := os.pread(descriptor, end - start, start)):
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def write(self, descriptor: int, data: bytes) -> int:
        """How many bytes were written, in one system call."""
        return os.write(descriptor, data)

    def write_whole(self, descriptor: int, data: bytes) -> None:
        """One write; a short one is a failure, for the rest would be a second write."""
        if self.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, "only a part could be written (is the disk full?)")

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Make new names in the folder last."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def cut(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def replace(self, old: Path, new: Path) -> None:
        os.replace(old, new)

    def remove(self, path: Path) -> None:
        path.unlink()

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


DISK = Disk()
"""The machine's own disk."""


def atomic_write(path: Path, content: str | bytes, *, disk: Disk = DISK) -> None:
    """Put `content` into the file at once: after a kill there is the old file or the new one, whole.

    Raises DiskError and leaves the old file untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    with told(path, "write the file"):
        descriptor, fresh = disk.temporary(path)
        try:
            try:
                disk.write_whole(descriptor, data)
                disk.sync(descriptor)
            finally:
                disk.close(descriptor)
            disk.replace(fresh, path)
        except BaseException:
            with suppress(OSError):
                disk.remove(fresh)
            raise
        disk.sync_folder(path.parent)


# ---------------------------------------------------------------------------------------- lines

_SEAL = b',"#":"'
"""Cannot stand inside a string of the record: JSON escapes the quotes there."""


def _sealed(record: Mapping[str, Any]) -> bytes:
    if not record or "#" in record:
        raise ValueError("a record has members, and none called '#'")
    whole = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    body = whole[:-1].encode("ascii")
    return body + _SEAL + b'%d %08x"}\n' % (len(body), zlib.crc32(body))


def _unsealed(line: bytes) -> dict[str, Any]:
    """The record of a whole line. Raises ValueError with what is wrong."""
    body, _, rest = line.rpartition(_SEAL)
    seal = re.fullmatch(rb'([0-9]+) ([0-9a-f]{8})"}\n', rest)
    if not seal:
        raise ValueError("it has no seal")
    if int(seal[1]) != len(body):
        raise ValueError(f"{len(body)} bytes where {seal[1].decode()} were written")
    if int(seal[2], 16) != zlib.crc32(body):
        raise ValueError("the checksum differs")
    return cast(dict[str, Any], json.loads(body + b"}"))


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        return _unsealed(line)
    except ValueError as error:
        raise Damaged(path, number, str(error)) from None


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The records of the file, in order; only a last line without its line break is left out.

    Raises Damaged where an earlier record is not as it was written, DiskError where the file cannot be read.
    """
    with told(path, "read the log"), path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.endswith(b"\n"):
                yield _record(path, number, line)


class Log:
    """A file of records that grows at its end.

    A record is either appended whole or not at all: when a write fails, what was written of it is cut
    off again, at the latest before the next record. Threads may share a Log; processes that share a
    file take a lock around each use (the ledger does).
    """

    def __init__(self, path: Path, descriptor: int, disk: Disk) -> None:
        self.path = path
        self._descriptor = descriptor
        self._disk = disk
        self._guard = threading.Lock()
        self._doubtful = False
        self._seen = 0
        self._lines = 0

    @classmethod
    def open(cls, path: Path, *, disk: Disk = DISK) -> Self:
        """Open or make the file; an unterminated tail is moved to `*.torn` beside it."""
        with told(path, "open the log"):
            disk.make_folder(path.parent)
            descriptor = disk.open(path)
            try:
                log = cls(path, descriptor, disk)
                disk.sync_folder(path.parent)
                log._mend()
            except BaseException:
                disk.close(descriptor)
                raise
        return log

    def append(self, record: Mapping[str, Any], *, durable: bool = False) -> None:
        """Add one record; when `durable`, it is on the disk on return.

        Raises DiskError, and then nobody may count on the record; ValueError for what JSON cannot hold.
        """
        line = _sealed(record)
        with self._guard, told(self.path, "append to the log"):
            if self._doubtful:
                self._mend()
            end = self._disk.size(self._descriptor)
            self._doubtful = True
            try:
                self._disk.write_whole(self._descriptor, line)
                if durable:
                    self._disk.sync(self._descriptor)
            except OSError:
                with suppress(OSError):
                    self._disk.cut(self._descriptor, end)
                raise
            self._doubtful = False

    def catch_up(self) -> list[dict[str, Any]]:
        """The records that were added since the last call, by whomever; a torn tail is moved away first.

        Raises Damaged, DiskError.
        """
        with self._guard, told(self.path, "read the log"):
            self._mend()
            size = self._disk.size(self._descriptor)
            if size < self._seen:
                raise Damaged(self.path, self._lines, "records that were read before are gone")
            data = self._disk.read(self._descriptor, self._seen, size)
            lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
            records = [_record(self.path, self._lines + n, line) for n, line in enumerate(lines, 1)]
            self._seen += len(data)
            self._lines += len(lines)
        return records

    def close(self) -> None:
        """Make everything last and let go of the file."""
        with self._guard, told(self.path, "close the log"):
            try:
                self._disk.sync(self._descriptor)
            finally:
                self._disk.close(self._descriptor)

    def _mend(self) -> None:
        """Move what follows the last line break to `*.torn`."""
        size = self._disk.size(self._descriptor)
        end = self._last_break(size)
        if end < size:
            self._keep_torn(self._disk.read(self._descriptor, end, size))
            self._disk.cut(self._descriptor, end)
            self._disk.sync(self._descriptor)
        self._doubtful = False

    def _last_break(self, size: int) -> int:
        """Where the last whole line ends, searched from the end in steps."""
        while size > 0:
            start = max(0, size - 8192)
            found = self._disk.read(self._descriptor, start, size).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            size = start
        return 0

    def _keep_torn(self, tail: bytes) -> None:
        torn = self._disk.open(self.path.with_name(self.path.name + ".torn"))
        try:
            # A full disk must not keep the log from being mended: the tail was never acknowledged.
            with suppress(OSError):
                self._disk.write(torn, tail + b"\n")
        finally:
            self._disk.close(torn)


# ---------------------------------------------------------------------------------------- nouns

LARGEST_BODY = 256 * 1024
"""Bytes. Of a larger body only the digest is kept."""


class Digest(bytes):
    """A body that was not kept: empty, but it knows its sha256 (hex) and its size in bytes."""

    sha256: str
    size: int

    def __new__(cls, sha256: str, size: int) -> Self:
        made = super().__new__(cls)
        made.sha256 = sha256
        made.size = size
        return made

    @classmethod
    def of(cls, body: bytes) -> Digest:
        return body if isinstance(body, Digest) else cls(sha256(body).hexdigest(), len(body))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and (self.sha256, self.size) == (other.sha256, other.size)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.sha256, self.size))

    def __repr__(self) -> str:
        return f"Digest({self.sha256[:12]}…, {self.size} bytes)"


def _written_body(body: bytes) -> str | dict[str, Any]:
    """Text as text, other bytes as base64, a large or dropped body as its digest alone."""
    digest = Digest.of(body)
    facts: dict[str, Any] = {"sha256": digest.sha256, "size": digest.size}
    if isinstance(body, Digest) or len(body) > LARGEST_BODY:
        return facts
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii"), **facts}


def _read_body(data: Any) -> bytes:
    if isinstance(data, str):
        return data.encode("utf-8")
    return base64.b64decode(data["base64"]) if "base64" in data else Digest(data["sha256"], data["size"])


def encode(value: Any) -> Any:
    """A noun as JSON values: members that have their default are left out, amounts are strings."""
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, bytes):
        return _written_body(value)
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if is_dataclass(value):
        members = ((name, getattr(value, name), default) for name, default in _members(cast(Any, type(value))))
        return {name: encode(item) for name, item, default in members if item != default}
    return str(value)


def decode(kind: Any, data: Any) -> Any:
    """The value of type `kind` that `encode` made `data` of. Raises ValueError when it is none."""
    try:
        return _reader(kind)(data)
    except (LookupError, TypeError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"not a {kind.__name__}: {error!r}") from None


@cache
def _members(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((member.name, member.default) for member in fields(kind))


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """How values of a type are read, found out once per type."""
    if is_dataclass(kind):
        return _dataclass_reader(cast(type, kind))
    args = get_args(kind)
    if get_origin(kind) is UnionType:
        (inner,) = (_reader(arm) for arm in args if arm is not NoneType)
        return lambda data: None if data is None else inner(data)
    if get_origin(kind) is tuple:
        return _tuple_reader(args)
    if kind is bytes:
        return _read_body
    if kind is Decimal or (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return cast(Callable[[Any], Any], kind)
    return lambda data: data


def _tuple_reader(args: tuple[Any, ...]) -> Callable[[Any], Any]:
    if args[-1] is Ellipsis:
        each = _reader(args[0])
        return lambda data: tuple(map(each, data))
    readers = tuple(map(_reader, args))
    return lambda data: tuple(read(item) for read, item in zip(readers, data, strict=True))


def _dataclass_reader(kind: type) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    readers = {member.name: _reader(hints[member.name]) for member in fields(kind)}
    return lambda data: kind(**{name: readers[name](item) for name, item in data.items()})


# ---------------------------------------------------------------------------------------- a run

SCHEMA = 1
"""The form of the records of a run. Readers refuse every other by its number."""

FILE = "run.jsonl"
"""The one file of a run's folder."""

_PARTS: Mapping[str, Any] = {"summary": Summary, "finding": Finding, "cover": Cover, "note": str}
"""The records that make up a verdict; they say which one by its number in `verdict`."""

_PERSONAL = 16
"""Characters. From this length on, a string of a request is masked in an error reply that is kept."""


class Redacts(Protocol):
    """What stands between a run and the disk."""

    def text(self, text: str) -> str: ...
    def exchange(self, exchange: Exchange) -> Exchange: ...


class RunWriter:
    """Writes a run down while it happens. Each record is complete as soon as the call returns.

    As a context manager it closes the run at the end; when an exception ends it, the run is kept
    without its `end` record, and is read as interrupted.
    """

    def __init__(self, folder: Path, log: Log, *, redactor: Redacts, keep: Callable[[Exchange], Exchange]) -> None:
        """`keep`: what of an exchange is kept."""
        self.folder = folder
        self._log = log
        self._redactor = redactor
        self._keep = keep
        self._guard = threading.Lock()
        self._records = 0
        self._verdicts = 0
        self._closed = False

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        command: str,
        target: str,
        seed: int,
        version: str,
        options: Mapping[str, Any],
        specs: Mapping[str, str],
        keep_bodies: bool = False,
        keep_json: bool = False,
        redactor: Redacts | None = None,
        clock: Clock | None = None,
        disk: Disk = DISK,
    ) -> Self:
        """Begin a run in a folder of its own below `root`; `specs` are the contracts' names and sha256.

        Unless `keep_bodies`, a body is kept as digest and size only, except that of an error reply, and with
        `keep_json` also what is said in JSON. Raises DiskError.
        """
        started = datetime.fromtimestamp((clock or RealClock()).wall(), UTC)
        name = f"{started:%Y%m%dT%H%M%SZ}-{command}"
        with told(root, "make the run's folder"):
            folder = _new_folder(root, name, disk)
        log = Log.open(folder / FILE, disk=disk)
        keep = _whole if keep_bodies else _with_json if keep_json else _without_bodies
        writer = cls(folder, log, redactor=redactor or Redactor(), keep=keep)
        header = {
            "schema": SCHEMA,
            "id": folder.name,
            "command": command,
            "target": target,
            "seed": seed,
            "started": started.isoformat(timespec="seconds"),
            "version": version,
            "options": {**options, "keep_bodies": keep_bodies, **({"keep_json": True} if keep_json else {})},
            "specs": specs,
        }
        writer._append({"run": writer._clean(encode(header))}, durable=True)
        return writer

    def exchange(self, exchange: Exchange, *, durable: bool = False) -> None:
        """Keep one exchange; `durable` for those that cost money."""
        self._append({"exchange": encode(self._keep(self._redactor.exchange(exchange)))}, durable=durable)

    def verdict(self, verdict: Verdict) -> None:
        """Keep a verdict, its summary first, one record for each of its parts."""
        with self._guard:
            number = self._verdicts
            self._verdicts += 1
        parts: list[tuple[str, Any]] = [("summary", verdict.summary)]
        parts += [("finding", finding) for finding in verdict.findings]
        parts += [("cover", cover) for cover in verdict.coverage]
        parts += [("note", note) for note in verdict.notes]
        for name, part in parts:
            self._append({name: self._clean(encode(part)), "verdict": number})

    def close(self) -> Path:
        """End the run and make it last; returns its folder. Closing twice does nothing more."""
        if not self._closed:
            self._append({"end": {"records": self._records}}, durable=True)
            self._leave()
        return self.folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif not self._closed:
            # The exception that ends the run is the one to be heard.
            with suppress(DiskError):
                self._leave()

    def _leave(self) -> None:
        self._closed = True
        self._log.close()

    def _append(self, record: Mapping[str, Any], *, durable: bool = False) -> None:
        with self._guard:
            self._log.append(record, durable=durable)
            self._records += 1

    def _clean(self, value: Any) -> Any:
        match value:
            case str():
                return self._redactor.text(value)
            case dict():
                return {self._redactor.text(key): self._clean(item) for key, item in value.items()}
            case list():
                return [self._clean(item) for item in value]
        return value


def _new_folder(root: Path, name: str, disk: Disk) -> Path:
    """A folder that nobody else has: the name, or the name and a number."""
    number = 1
    while True:
        folder = root / (name if number == 1 else f"{name}-{number}")
        try:
            disk.make_folder(folder, fresh=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def _whole(exchange: Exchange) -> Exchange:
    return exchange


def _with_json(exchange: Exchange) -> Exchange:
    """The exchange with what was said in JSON; of other bodies what is kept of every one."""
    bare = _without_bodies(exchange)
    call = exchange.call if _is_json(exchange.call.body) else bare.call
    said = exchange.reply is not None and _is_json(exchange.reply.body)
    return replace(bare, call=call, reply=exchange.reply if said else bare.reply)


def _is_json(body: bytes) -> bool:
    """Whether it is an object or a list of JSON. One that is larger than what is kept is not looked at."""
    if len(body) > LARGEST_BODY or body.lstrip()[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _without_bodies(exchange: Exchange) -> Exchange:
    """The exchange with digests for bodies; what an error reply repeats of the request is masked."""
    call, reply = exchange.call, exchange.reply
    if reply is not None and reply.body:
        kept = Redactor(_personal(call.body)).body(reply.body) if reply.status >= 400 else Digest.of(reply.body)
        reply = replace(reply, body=kept)
    return replace(exchange, call=replace(call, body=call.body and Digest.of(call.body)), reply=reply)


def _personal(body: bytes) -> list[str]:
    """The longer strings of a JSON request: prompts, addresses of pictures, pictures."""
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return []
    found = []
    while waiting:
        match waiting.pop():
            case str() as text if len(text) >= _PERSONAL:
                found.append(text)
            case list() as items:
                waiting += items
            case dict() as members:
                waiting += members.values()
    return found


def runs_in(folder: Path) -> tuple[Path, ...]:
    """The runs that are kept right in a folder, by name; the folder itself where it is a run or holds none."""
    if (folder / FILE).is_file() or not folder.is_dir():
        return (folder,)
    return tuple(sorted(inside for inside in folder.iterdir() if (inside / FILE).is_file())) or (folder,)


def load_run(folder: Path) -> Run:
    """The run kept in `folder` (or in the file itself), also when it was killed.

    `options` holds what the run was given, and `specs`, `keep_bodies` and `complete`; a run that did not
    end has `complete: False` and `note: "interrupted"`. Bodies that were not kept are `Digest`s.
    Raises UsageError when there is no run, UnknownSchema, Damaged, DiskError.
    """
    path = folder / FILE if folder.is_dir() else folder
    if not path.is_file():
        raise UsageError(f"{folder}: there is no run here (no {FILE})")
    records = read_log(path)
    header = _header(path, next(records, None))
    story = _Story(path)
    for line, record in enumerate(records, 2):
        story.add(line, record)
    ending = {"complete": True} if story.complete else {"complete": False, "note": "interrupted"}
    return Run(
        **{name: header[name] for name in ("id", "command", "target", "seed", "started", "version")},
        verdicts=tuple(map(_verdict, story.verdicts.values())),
        exchanges=tuple(story.exchanges),
        options={**header["options"], "specs": header["specs"], **ending},
        folder=str(path.parent),
    )


def _header(path: Path, record: dict[str, Any] | None) -> dict[str, Any]:
    if record is None:
        raise CouldNotTell(f"{path}: the run was ended before it wrote anything")
    header = record.get("run")
    if not isinstance(header, dict):
        raise UsageError(f"{path}: this is not a run: its first record is no `run`")
    if header.get("schema") != SCHEMA:
        raise UnknownSchema(path, header.get("schema"), SCHEMA, header.get("version", "?"))
    return header


_RECORDS: Mapping[str, Any] = {"exchange": Exchange, **_PARTS, "end": dict}


class _Story:
    """What the records of a run have told so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exchanges: list[Exchange] = []
        self.verdicts: dict[int, dict[str, list[Any]]] = {}
        self.complete = False

    def add(self, line: int, record: dict[str, Any]) -> None:
        """Take the next record; raises Damaged for one that does not belong there."""
        name = next(iter(record))
        try:
            value = decode(_RECORDS[name], record[name])
            self._put(line, name, value, record)
        except KeyError as error:
            raise Damaged(self.path, line, f"no record of schema {SCHEMA} has or lacks {error}") from None
        except ValueError as error:
            raise Damaged(self.path, line, str(error)) from None

    def _put(self, line: int, name: str, value: Any, record: dict[str, Any]) -> None:
        if name == "exchange":
            self.exchanges.append(value)
        elif name == "end":
            if line - 1 < value["records"]:
                raise ValueError(f"{line - 1} records where {value['records']} were written")
            self.complete = True
        else:
            if name == "summary":
                self.verdicts[record["verdict"]] = {part: [] for part in _PARTS}
            self.verdicts[record["verdict"]][name].append(value)


def _verdict(parts: dict[str, list[Any]]) -> Verdict:
    summary: Summary = parts["summary"][0]
    return Verdict(
        endpoint=summary.endpoint,
        findings=tuple(parts["finding"]),
        coverage=tuple(parts["cover"]),
        summary=summary,
        notes=tuple(parts["note"]),
    )
