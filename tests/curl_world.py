"""Curl lines, carried out by a real shell against a host with a defect, and judged like any other traffic."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, replace
from email.parser import BytesParser

from looking import conform, verdict
from wireproof.check import again
from wireproof.check.registry import CHECKS
from wireproof.check.trace import Seen, read
from wireproof.clock import ScaledClock
from wireproof.conform import Target
from wireproof.mock.defects import Defect, manners
from wireproof.mock.engine import Mock
from wireproof.mock.socket import serving
from wireproof.model import Endpoint, Exchange, Finding, Reply

FASTER = 20.0
CLOSE = {"progress-goes-back": 2.0, "steps-back": 2.0} | dict.fromkeys(
    ("other-word", "undocumented-state", "progress-out-of-range", "state-with-203", "state-under-other-code"), 4.0
)
"""How many times as fast the clock runs: slower where a job must be seen at work, on a busy machine too."""
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3})[^\r\n]*\r?\n(.*?)\r?\n\r?\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Tried:
    """A finding, and whether its line showed it."""

    finding: Finding
    shows: bool
    told: str = ""
    """What the shell said, where it did not."""


def tried(endpoint: Endpoint, defect: Defect, seed: int = 1) -> list[Tried]:
    """Every finding that a defect leads to, and what its line does against the same host."""
    provider = endpoint.provider
    mock = Mock([endpoint], seed=seed, manners=manners(defect))
    keys = mock.key(provider.name), mock.key(provider.name, "other")
    shell = {"PATH": os.environ["PATH"], provider.auth.env: keys[0], f"{provider.auth.env}_2": keys[1]}
    with serving(mock, clock=ScaledClock(CLOSE.get(defect.name, FASTER))) as url:
        target = Target(base=url, key=keys[0], other_key=keys[1])
        found, exchanges = conform(endpoint, target, profile="quick", seed=seed)
        return [_try(endpoint, one, exchanges, shell) for one in found.findings]


def _try(endpoint: Endpoint, finding: Finding, exchanges: tuple[Exchange, ...], shell: dict[str, str]) -> Tried:
    words = f"{finding.replay}; printf '\\nJOB=%s' \"$JOB\""
    done = subprocess.run(words, shell=True, env=shell, capture_output=True, timeout=120, check=False)
    out, _, job = done.stdout.rpartition(b"\nJOB=")
    evidence = [one for one in exchanges if one.seq in finding.evidence]
    alone = CHECKS[finding.check].reads is Seen
    shown = min(evidence, key=lambda one: len(one.call.body) + len(one.call.url)) if alone else evidence[-1]
    asked = _asked(endpoint, finding, exchanges, shown)
    heard = _heard(asked, out, _id_in(finding, asked), job.decode())
    shows = any(one.key == finding.key for one in verdict(endpoint, tuple(heard)).findings)
    if not shows and len(heard) == 1:
        # What one call shows only beside others is judged beside them.
        whole = tuple(replace(heard[0], seq=one.seq) if one.seq == shown.seq else one for one in exchanges)
        shows = any(one.key == finding.key for one in verdict(endpoint, whole).findings)
    return Tried(finding, shows, "" if shows else f"{finding.replay}\n{done.stdout!r}\n{done.stderr!r}")


def _asked(endpoint: Endpoint, finding: Finding, exchanges: tuple[Exchange, ...], shown: Exchange) -> list[Exchange]:
    """The calls that the line makes."""
    if "sleep " not in finding.replay or shown.job is None:
        several = finding.replay.count("; curl ") > 1
        return [one for one in exchanges if one.seq in finding.evidence] if several else [shown]
    (job,) = [one for one in read(endpoint, exchanges).jobs if one.label == shown.job]
    assert job.submit is not None
    told = [one.exchange for one in again.rounds(job, shown, exchanges) for _ in range(one.times)]
    return [replace(one, seq=seq, at=float(seq)) for seq, one in enumerate([job.submit.exchange, *told], 1)]


def _id_in(finding: Finding, asked: list[Exchange]) -> str:
    """The id that the line has another in the place of: the longest word that all later calls share."""
    if "$JOB" not in finding.replay:
        return ""
    texts = [f"{one.call.url} {one.call.body.decode('utf-8', 'replace')}" for one in asked[1:] or asked]
    ids = [set(re.findall(r"[A-Za-z0-9_-]{8,}", text)) for text in texts]
    said = finding.replay
    return max((word for word in set.intersection(*ids) if word not in said), key=len, default="")


def _heard(asked: list[Exchange], out: bytes, old: str, new: str) -> list[Exchange]:
    """The calls with the replies that curl printed, one after the other."""
    heads = [*_HEAD.finditer(out)]
    replies = []
    for head, after in zip(heads, [*(one.start() for one in heads[1:]), len(out)], strict=True):
        headers = BytesParser().parsebytes(head[2] + b"\r\n\r\n").items()
        body = out[head.end() : after]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), len(body))
        replies.append((Reply(int(head[1]), tuple((k, str(v)) for k, v in headers), body[:length]), len(body) < length))
    told = []
    for number, one in enumerate(asked):
        reply, torn = replies[number] if number < len(replies) else (None, True)
        call = one.call
        if old:
            call = replace(call, url=call.url.replace(old, new), body=call.body.replace(old.encode(), new.encode()))
        broke = (one.broke or "truncated") if torn or reply is None else None
        told.append(replace(one, call=call, reply=None if torn else reply, broke=broke))
    return told
