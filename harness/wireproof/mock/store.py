"""A store that several mocks serve from: a Redis or Valkey server, read and changed in steps that count whole.

A step reads what it needs, decides here, and is written by one script that first looks whether somebody
else changed what was read; if so, nothing is written and the step is done again. So no lock exists that a
process could take with it when it is killed, and no sum is ever computed anywhere but here.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from wireproof.errors import UsageError
from wireproof.secrets import Secret

PREFIX = "wireproof:"
"""What every name in the store begins with."""
DAY = 86_400_000
"""Milliseconds for which is kept what has no end of its own."""
WITHIN = 2.0
"""Seconds in which the store has to answer."""

_COMMIT = """
local mine, n = ARGV[1], #KEYS
for i = 1, n do
  local is = redis.call('HGET', KEYS[i], 'v') or ''
  if is == mine then return 1 end
  if is ~= ARGV[1 + i] then return 0 end
end
for i = 1, n do
  if ARGV[1 + n + i] == '1' then redis.call('HSET', KEYS[i], 'v', mine) end
end
local at = 2 + 2 * n
while at <= #ARGV do
  local length = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + length))
  at = at + length + 1
end
return 1
"""
"""Given the heads that were read with their versions, which of them change, and the commands. A step whose
answer was lost on the way is not done twice: its own version stands there already."""


class Gone(Exception):
    """The store does not answer."""


class Store:
    """One database of a server. Names are without the prefix."""

    def __init__(self, url: Secret) -> None:
        """Raises UsageError where there is no such server. A password in the address is never told."""
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise UsageError("--store needs the extra `wireproof[store]`") from None
        self.place, self._errors = _place(url), (redis.RedisError, OSError)
        try:
            self._client: Any = redis.Redis.from_url(
                url.reveal(),
                decode_responses=True,
                encoding_errors="surrogatepass",
                socket_timeout=WITHIN,
                socket_connect_timeout=WITHIN,
                retry=Retry(NoBackoff(), 1),
            )
            self._commit: Any = self._client.register_script(_COMMIT)
            self._client.ping()
        except self._errors as error:
            raise UsageError(f"the store at {self.place} cannot be used: {type(error).__name__}") from None
        except ValueError:
            raise UsageError(f"--store wants redis://HOST:PORT/NUMBER, which {self.place} is not") from None
        self.step = Step(self)

    def close(self) -> None:
        """Ask no more."""
        self._client.close()

    def ask(self, command: str, name: str, *rest: Any) -> Any:
        """One command about one name, carried out at once. Raises Gone."""
        return self._told(self._client.execute_command, command, PREFIX + name, *rest)

    def _told(self, ask: Any, *given: Any) -> Any:
        try:
            return ask(*given)
        except self._errors as error:
            raise Gone(type(error).__name__) from None

    def now(self) -> float:
        """The server's time. Seconds since 1970."""
        seconds, micros = self._told(self._client.time)
        return float(seconds) + float(micros) / 1e6

    def begin(self) -> Step:
        """A new step, in place of the one before."""
        self.step = Step(self)
        return self.step

    def commit(self, heads: Mapping[str, tuple[str, bool]], commands: Iterable[tuple[Any, ...]]) -> bool:
        """Carry out the commands if every head has still that version; those that are marked get a new one."""
        ordered = sorted(heads.items(), key=lambda pair: not pair[1][1])
        words: list[Any] = [secrets.token_hex(8), *[version for _, (version, _) in ordered]]
        words += [int(changes) for _, (_, changes) in ordered]
        for name, key, *rest in commands:
            words += [2 + len(rest), name, PREFIX + key, *rest]
        return bool(self._told(self._commit, [PREFIX + name for name, _ in ordered], words))

    def wipe(self, *patterns: str) -> None:
        """Forget everything whose name is like one of these."""
        for pattern in patterns:
            names = self._told(lambda like: list(self._client.scan_iter(match=like, count=1000)), PREFIX + pattern)
            for at in range(0, len(names), 1000):
                self._told(self._client.unlink, *names[at : at + 1000])
        self.begin()

    def agree(self, facts: Mapping[str, str]) -> float:
        """Be one of those who serve from here: the time when the first of them began, seconds since 1970.
        Raises UsageError where the others serve something else."""
        self.ask("SET", "facts", json.dumps(dict(facts)), "NX")
        self.ask("SET", "epoch", repr(self.now()), "NX")
        held = json.loads(self.ask("GET", "facts"))
        other = [f"{name} is {held.get(name)} there and {value} here" for name, value in facts.items()]
        other = [says for says, (name, value) in zip(other, facts.items(), strict=True) if held.get(name) != value]
        if other:
            raise UsageError(
                f"the store at {self.place} belongs to another mock: {'; '.join(other)}. Take another database "
                "(the number at the end of the address), or empty this one."
            )
        return float(self.ask("GET", "epoch"))


class Step:
    """What one step reads and wants to change."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._heads: dict[str, dict[str, str]] = {}
        self._before: dict[str, dict[str, str]] = {}
        self._changes: set[str] = set()
        self._commands: list[tuple[Any, ...]] = []

    def head(self, name: str) -> dict[str, str]:
        """The fields under a name, to be read and changed in place; the step counts only if nobody else
        changes them meanwhile."""
        if name not in self._heads:
            told = self.store.ask("HGETALL", name)
            found: dict[str, str] = told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=True))
            self._heads[name], self._before[name] = found, dict(found)
        return self._heads[name]

    def write(self, head: str, command: str, name: str, *rest: Any) -> None:
        """Carry out a command in the end; it belongs to that head, which counts as changed."""
        self.head(head)
        self._changes.add(head)
        self._commands.append((command, name, *rest))

    def commit(self) -> bool:
        """Let it count; False where somebody else was faster, and nothing is changed. Raises Gone."""
        for name, fields in self._heads.items():
            before = self._before[name]
            new = [word for pair in fields.items() if before.get(pair[0]) != pair[1] for word in pair]
            old = [field for field in before if field not in fields]
            if new:
                self.write(name, "HSET", name, *new)
            if old:
                self.write(name, "HDEL", name, *old)
        if not self._commands:
            return True
        heads = {name: (before.get("v", ""), name in self._changes) for name, before in self._before.items()}
        return self.store.commit(heads, self._commands)


def _place(url: Secret) -> str:
    """The address without what is secret in it."""
    unknown = "what was given"
    try:
        parts = urlsplit(url.reveal())
        where = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}{parts.path}"
    except ValueError:
        return unknown
    return f"{parts.scheme}://{where}" if parts.scheme in ("redis", "rediss", "unix") else unknown


class StoreClock:
    """The time that all who serve from a store have: seconds since the first of them began, `scale` times as
    fast as real ones."""

    def __init__(self, epoch: float, age: float, scale: float = 1.0) -> None:
        """`epoch`: when it began, seconds since 1970; `age`: so many real seconds ago."""
        self.scale = scale
        self._epoch = epoch
        self._start = time.monotonic() - age

    def now(self) -> float:
        return (time.monotonic() - self._start) * self.scale

    def wall(self) -> float:
        return self._epoch + self.now()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds / self.scale)
