"""How well defects are found, how quiet correct hosts are left, and how Schemathesis does beside us.

    python bench/score.py [--peer PYTHON] [--clean 200] [--write docs/score.md]
    python bench/score.py --loop 200            # every endpoint's own mock, seed after seed: no violation

Each defect of `mocks/defects` is put into each endpoint that it names. A run starts from nothing: no run knows
of another, and none is told what is wrong. Ours counts as having heard a defect when it reports what it did not
report of the faithful mock; so does the peer. The peer gets the OpenAPI document that we export, the same mock
over a socket with its clock running a thousand times as fast, and as many requests as we made for that defect.
"""

from __future__ import annotations

import argparse
import bisect
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer import Peer

from wireproof import conform
from wireproof.check.media import Decoder, Eyes
from wireproof.check.registry import CHECKS, judge
from wireproof.check.trace import read
from wireproof.clock import ScaledClock
from wireproof.mock.defects import GROUPS, Defect, load_defects, manners
from wireproof.mock.engine import Mock
from wireproof.mock.manners import Manners
from wireproof.mock.socket import serving
from wireproof.mock.variety import Variety
from wireproof.model import Endpoint, Exchange, Finding, Severity
from wireproof.spec.load import load_all

EYES = Eyes(Decoder())
"""What the mock paints is the same in many runs: it is looked at once."""
SCALE = 1000.0
"""How many times as fast the clock of the peer's mock runs."""


@dataclass(frozen=True)
class Heard:
    """One defect at one endpoint, as one of the two judges heard it."""

    defect: Defect
    endpoint: str
    findings: int
    requests: int
    """Requests to the first sign of it; 0: there was none."""
    jobs: int
    """Accepted jobs until then."""
    calls: int
    """Requests in all."""


# ------------------------------------------------------------------------------------------------------ ours


def run(endpoint: Endpoint, seed: int, how: Manners | None = None) -> tuple[tuple[Finding, ...], tuple[Exchange, ...]]:
    """One run against the endpoint's own mock."""
    verdict, exchanges = conform.conform(endpoint, conform.embedded(endpoint, seed, how), seed=seed, eyes=EYES)
    return verdict.findings, exchanges


def ours(endpoint: Endpoint, defect: Defect, known: set[str]) -> Heard:
    """How our run hears a defect."""
    findings, exchanges = run(endpoint, 1, manners(defect))
    new = [one for one in findings if one.key not in known]
    first = _first_sign(endpoint, exchanges, new)
    return Heard(defect, endpoint.name, len(new), first, _jobs(endpoint, exchanges, first), len(exchanges))


def _first_sign(endpoint: Endpoint, exchanges: Sequence[Exchange], new: Sequence[Finding]) -> int:
    """The number of the request after which the verdict had one of these findings; 0: there is none."""
    if not new:
        return 0
    keys, checks = {one.key for one in new}, [CHECKS[id] for id in sorted({one.check for one in new})]

    def told(until: int) -> bool:
        trace = read(endpoint, exchanges[: until + 1])
        if any(one.id.startswith("OUT") for one in checks):
            conform.look(trace, EYES)
        return bool(keys & {one.key for one in judge(trace, checks)})

    return exchanges[bisect.bisect_left(range(len(exchanges) - 1), True, key=told)].seq


def _jobs(endpoint: Endpoint, exchanges: Iterable[Exchange], until: int) -> int:
    bills = {name for name, operation in endpoint.operations.items() if operation.does.bills}
    return sum(1 for e in exchanges if e.seq <= until and e.operation in bills and e.reply and e.reply.status < 300)


def false_alarms(endpoints: Sequence[Endpoint], runs: int) -> list[str]:
    """What is said of correct hosts that differ in all that contracts leave open. Questions that the faithful
    mock raises too are none."""
    known = {endpoint.name: {one.key for one in run(endpoint, 1)[0]} for endpoint in endpoints}
    found = []
    for seed in range(runs):
        endpoint = endpoints[seed % len(endpoints)]
        for one in run(endpoint, seed, Variety(seed))[0]:
            if one.severity is Severity.VIOLATION or one.key not in known[endpoint.name]:
                found.append(f"{one.severity.value} {one.check} {one.endpoint} (seed {seed}): {one.says}")
    return found


def loop(endpoints: Sequence[Endpoint], runs: int) -> list[str]:
    """Every violation that any seed brings about at a faithful mock."""
    return [
        f"{one.check} {one.endpoint} (seed {seed}): {one.says}"
        for seed in range(runs)
        for endpoint in endpoints
        for one in run(endpoint, seed)[0]
        if one.severity is Severity.VIOLATION
    ]


# -------------------------------------------------------------------------------------------------- the peer


class Rival:
    """The peer as a judge of defects."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._known: dict[str, set[str]] = {}

    def known(self, endpoint: Endpoint) -> set[str]:
        """What it says of the faithful mock, which is none of the defects' doing."""
        if endpoint.name not in self._known:
            seen: set[str] = set()
            for seed in (1, 2):
                seen |= set(self._ask(endpoint, None, 2000, seed)["found"])
            self._known[endpoint.name] = seen
        return self._known[endpoint.name]

    def hear(self, endpoint: Endpoint, defect: Defect, budget: int) -> Heard:
        """How it hears a defect within so many requests."""
        answer = self._ask(endpoint, manners(defect), budget, 1)
        known = self.known(endpoint)
        new = [where for key, where in answer["found"].items() if key not in known]
        first = min(new, default=(0, 0))
        return Heard(defect, endpoint.name, len(new), first[0], first[1], answer["requests"])

    def _ask(self, endpoint: Endpoint, how: Manners | None, budget: int, seed: int) -> dict[str, Any]:
        mock = Mock([endpoint], seed=1, manners=how)
        with serving(mock, clock=ScaledClock(SCALE)) as url:
            return self._peer.ask(endpoint, url, mock.key(endpoint.provider.name), budget=budget, seed=seed)


# ------------------------------------------------------------------------------------------------- the table


def page(
    ours_: Sequence[Heard],
    peer: Sequence[Heard],
    alarms: Sequence[str],
    clean: int,
    endpoints: Sequence[Endpoint],
) -> str:
    """The page with all numbers, in Markdown."""
    return "\n".join([*_head(ours_, alarms, clean, endpoints), *_groups(ours_, peer), *_rows(ours_, peer), ""])


def _head(ours_: Sequence[Heard], alarms: Sequence[str], clean: int, endpoints: Sequence[Endpoint]) -> Iterator[str]:
    heard = [one for one in ours_ if one.findings]
    rows = {row for one in ours_ for row in one.defect.rows}
    found = {row for one in heard for row in one.defect.rows}
    easy = [one for one in ours_ if not one.defect.waits and one.defect.rows]
    yield "# Score"
    yield ""
    yield "Written by `make score`; the numbers are those of its last run. A defect is heard when a run reports what"
    yield "it does not report of the faithful mock. `mocks/defects/README.md` lists what no contract here can express."
    yield ""
    share = _share(len(found), len(rows))
    yield f"- Reports from the wild (`P-` rows) that are expressible: {len(rows)}; heard: {len(found)} ({share})."
    yield f"- Not heard: {', '.join(sorted(rows - found)) or 'none'}."
    yield f"- Defects at endpoints: {len(ours_)}; heard: {len(heard)} ({_share(len(heard), len(ours_))})."
    yield f"- Of rows that need no waiting: {_share(sum(1 for one in easy if one.findings), len(easy))}."
    yield f"- Findings for each defect that is heard: {statistics.mean(one.findings for one in heard):.2f} in the mean."
    yield (
        f"- Requests to the first sign: {statistics.median(one.requests for one in heard):g} in the median; "
        f"accepted jobs until then: {statistics.median(one.jobs for one in heard):g}."
    )
    hosts = f"{clean} runs at correct hosts, all of them different, {len(endpoints)} endpoints"
    yield f"- False alarms over {hosts}: **{len(alarms)}**."
    yield from (f"  - {alarm}" for alarm in alarms[:10])
    yield ""


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _groups(ours_: Sequence[Heard], peer: Sequence[Heard]) -> Iterator[str]:
    yield "| what is broken | defects | heard | findings | requests | jobs | Schemathesis: heard | requests | jobs |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    pairs = {(one.defect.name, one.endpoint) for one in peer}
    for group in (*GROUPS, "all"):
        mine = [one for one in ours_ if group in (one.defect.group, "all")]
        same = [one for one in mine if (one.defect.name, one.endpoint) in pairs] if peer else mine
        theirs = [one for one in peer if group in (one.defect.group, "all")]
        if same:
            yield f"| {group} | {len(same)} | {_cells(same)} | {_cells(theirs, findings=False)} |"
    yield ""
    yield "Findings are means, requests and accepted jobs medians to the first sign, over the defects that were heard."
    yield ""


def _cells(some: Sequence[Heard], findings: bool = True) -> str:
    heard = [one for one in some if one.findings]
    if not heard:
        return " | ".join(["0 %" if some else "-", *["-"] * (3 if findings else 2)])
    cells = [_share(len(heard), len(some))]
    cells += [f"{statistics.mean(one.findings for one in heard):.1f}"] if findings else []
    cells += [
        f"{statistics.median(one.requests for one in heard):g}",
        f"{statistics.median(one.jobs for one in heard):g}",
    ]
    return " | ".join(cells)


def _rows(ours_: Sequence[Heard], peer: Sequence[Heard]) -> Iterator[str]:
    theirs = {(one.defect.name, one.endpoint): one for one in peer}
    yield "## Each defect"
    yield ""
    yield "Request and accepted job at which it was first heard; `-`: not heard."
    yield ""
    yield "| defect | reports | endpoint | findings | ours | Schemathesis | behind |"
    yield "|---|---|---|---:|---:|---:|---|"
    for one in ours_:
        other = theirs.get((one.defect.name, one.endpoint))
        yield (
            f"| {one.defect.name} | {', '.join(one.defect.rows)} | {one.endpoint} | {one.findings} | {_first(one)} "
            f"| {_first(other) if other else ''} | {_behind(one, other)} |"
        )
    yield ""


def _first(one: Heard) -> str:
    return f"{one.requests} ({one.jobs})" if one.findings else "-"


def _behind(one: Heard, other: Heard | None) -> str:
    if other is None or not other.findings:
        return ""
    if not one.findings:
        return "not heard"
    return "later" if one.requests > other.requests else ""


# ------------------------------------------------------------------------------------------------- the door


def measure(peer: Rival | None, clean: int, every: bool, say: Callable[[str], None]) -> str:
    """All of it, as one page."""
    endpoints = load_all()
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    known = {endpoint.name: {one.key for one in run(endpoint, 1)[0]} for endpoint in endpoints}
    mine, theirs = [], []
    for defect in load_defects().values():
        for number, name in enumerate(defect.endpoints):
            mine.append(ours(by_name[name], defect, known[name]))
            if peer and (every or not number):
                theirs.append(peer.hear(by_name[name], defect, mine[-1].calls))
        say(f"{defect.name}: {mine[-1].findings} findings")
    alarms = false_alarms(endpoints, clean)
    return page(mine, theirs, alarms, clean, endpoints)


def main() -> int:
    """Measure, and print or write the page."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peer", metavar="PYTHON", help="a Python that has Schemathesis 4")
    options.add_argument("--clean", type=int, default=200, help="runs at correct hosts")
    options.add_argument(
        "--every", action="store_true", help="the peer at every endpoint, not only the first of a defect"
    )
    options.add_argument("--write", type=Path, metavar="FILE")
    options.add_argument("--loop", type=int, metavar="SEEDS", help="only look for violations at faithful mocks")
    asked = options.parse_args()
    began = time.monotonic()
    if asked.loop:
        found = loop(load_all(), asked.loop)
        print("\n".join(found) or f"{asked.loop} seeds, no violation ({time.monotonic() - began:.0f} s)")
        return 1 if found else 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rival = Rival(stack.enter_context(Peer(asked.peer, folder))) if asked.peer else None
        text = measure(rival, asked.clean, asked.every, lambda line: print(line, file=sys.stderr, flush=True))
    if asked.write:
        asked.write.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
