"""A finding, carried out again: by replay and by its curl line it shows at the first try."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import test_conform
from looking import conform, replay
from test_conform import DEFECTS
from wireproof.clock import ScaledClock
from wireproof.conform import Target, embedded
from wireproof.errors import CouldNotTell, UsageError
from wireproof.ledger import MemoryLedger
from wireproof.mock.engine import Mock
from wireproof.mock.socket import serving
from wireproof.model import Endpoint, Exchange, Run, Severity, Verdict
from wireproof.money import parse
from wireproof.replaying import pick
from wireproof.spec.load import resolve


def _endpoint() -> Endpoint:
    (found,) = resolve("segmind/p-image")
    return found


def _run(verdict: Verdict, exchanges: tuple[Exchange, ...]) -> Run:
    return Run(
        id="r",
        command="check",
        target="mock",
        seed=0,
        started="2026-01-01T00:00:00+00:00",
        version="0",
        verdicts=(verdict,),
        exchanges=exchanges,
    )


@pytest.mark.parametrize("name", [n for n in DEFECTS if n != "a result that vanishes early"])
def test_every_violation_shows_again_when_it_is_replayed(name: str) -> None:
    manners, _ = DEFECTS[name]
    endpoint = _endpoint()
    verdict, exchanges = conform(endpoint, embedded(endpoint, 0, manners()))
    run = _run(verdict, exchanges)
    found = [one for one in run.findings if one.severity is Severity.VIOLATION]
    assert found
    for finding in found:
        again, said = replay(endpoint, finding, run, embedded(endpoint, 0, manners()))
        assert again, finding.says
        assert len(said) < len(exchanges)


def test_a_finding_that_was_mended_is_not_found_again() -> None:
    endpoint = _endpoint()
    verdict, exchanges = conform(endpoint, embedded(endpoint, 0, test_conform.LaxBound()))
    run = _run(verdict, exchanges)
    again, _ = replay(endpoint, run.findings[0], run, embedded(endpoint))
    assert not again


def test_the_curl_line_of_a_finding_shows_it_as_printed() -> None:
    endpoint = _endpoint()
    mock = Mock([endpoint], seed=0, manners=test_conform.LaxBound())
    with serving(mock, clock=ScaledClock(20.0)) as url:
        verdict, _ = conform(endpoint, Target(base=url, key=mock.key("segmind")), profile="quick")
        (width,) = [one for one in verdict.findings if one.subject == "width.maximum"]
        assert shlex.split(width.replay)[0] == "curl"
        shell = {"PATH": os.environ["PATH"], "SEGMIND_API_KEY": mock.key("segmind")}
        done = subprocess.run(
            width.replay, shell=True, env=shell, capture_output=True, text=True, timeout=20, check=False
        )
    assert " 200 " in done.stdout.splitlines()[0]
    assert mock.key("segmind") not in width.replay


def test_there_is_no_finding_beyond_the_last() -> None:
    endpoint = _endpoint()
    run = _run(*conform(endpoint, embedded(endpoint)))
    with pytest.raises(UsageError, match="0 findings"):
        pick(run, 1)


def test_a_finding_without_evidence_cannot_be_replayed() -> None:
    endpoint = _endpoint()
    verdict, exchanges = conform(endpoint, embedded(endpoint, 0, test_conform.LaxBound()))
    run = _run(verdict, exchanges)
    with pytest.raises(CouldNotTell, match="nothing to send again"):
        replay(endpoint, replace(run.findings[0], evidence=()), run, embedded(endpoint))


def test_a_submit_in_a_recording_that_names_no_operation_is_paid_for() -> None:
    endpoint = _endpoint()
    verdict, exchanges = conform(endpoint, embedded(endpoint, 0, test_conform.LaxBound()))
    (found, *_) = [one for one in verdict.findings if one.subject == "width.maximum"]
    nameless = tuple(replace(one, operation="", job=None) for one in exchanges if one.seq in found.evidence)
    ledger = MemoryLedger(parse("1USD"))
    target = replace(embedded(endpoint, 0, test_conform.LaxBound()), paid=True)
    again, said = replay(endpoint, replace(found, evidence=(nameless[0].seq,)), _run(verdict, nameless), target, ledger)
    assert again
    assert len(said) == 1
    assert (ledger.state().spent + ledger.state().reserved).amount >= parse("0.005USD").amount


def test_baselines_accept_by_name_until_a_day(tmp_path: Path) -> None:
    from datetime import date

    from wireproof import baseline

    endpoint = _endpoint()
    verdict, _ = conform(endpoint, embedded(endpoint, 0, test_conform.LaxBound()))
    key = verdict.findings[0].key
    file = tmp_path / "known.yaml"
    file.write_text(
        f'accepted:\n  - {{finding: "{key}", reason: "ticket 1", until: "2027-01-01"}}\n'
        '  - {finding: "OUT004:gone:size", reason: "ticket 2", until: "2027-01-01"}\n'
    )
    entries = baseline.read(file)
    held = baseline.apply(str(file), entries, verdict.findings, date(2026, 6, 1))
    assert key not in {one.key for one in held.left}
    assert [sentence.partition(" ")[0] for sentence in held.stale] == [f"{file}:3:"]
    over = baseline.apply(str(file), entries, verdict.findings, date(2027, 6, 1))
    assert key in {one.key for one in over.left}
    assert len(over.stale) == 2
