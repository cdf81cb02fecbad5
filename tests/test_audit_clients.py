"""Real clients as real processes: the good ones pass, each bad one is caught for its own reason."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from wireproof.audit import audit
from wireproof.errors import UsageError
from wireproof.mock.scenario import choose
from wireproof.model import Run
from wireproof.report import matrix
from wireproof.spec.load import resolve

CLIENTS = Path(__file__).parent / "clients"
PLAIN = CLIENTS / "segmind_plain.py"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no Node here")

KILLS = {
    "resubmits": ("CLI002", "lost-reply,error-after-submit,submit-502"),
    "invalid-body": ("CLI001", "calm"),
    "floods": ("CLI003", "slow-job"),
    "no-back-off": ("CLI004", "overloaded"),
    "ignores-retry-after": ("CLI005", "poll-429-seconds,poll-429-date"),
    "stalls": ("CLI006", "slow-job"),
    "no-deadline": ("CLI007", "never-ends"),
    "no-time-outs": ("CLI007", "poll-silence"),
    "polls-on": ("CLI008", "calm"),
    "retries-refusals": ("CLI009", "bad-key,out-of-credits"),
    "unescaped-ids": ("CLI010", "odd-ids"),
    "key-in-url": ("CLI012", "calm"),
    "follows-anywhere": ("CLI012", "foreign-links"),
    "follows-redirects": ("CLI012", "redirect"),
    "key-to-media": ("CLI012", "media-elsewhere"),
    "always-0": ("CLI013", "failed,stuck-queue"),
    "trusts-any-end": ("CLI013", "missing-result"),
    "fire-and-forget": ("CLI013", "calm"),
    "gives-up-on-trouble": ("CLI014", "poll-502,poll-reset"),
    "swallows-reason": ("CLI015", "out-of-credits,failed"),
    "shows-key": ("CLI016", "calm"),
    "crashes": ("CLI017", "page-after-submit"),
    "trusts-any-download": ("CLI018", "media-truncated,media-page"),
    "piles-up": ("CLI019", "slow-replies"),
}
"""Each bad habit of the plain client: the rule that names it, and the scenarios in which it shows."""


def tried(folder: Path, spec: str, scenarios: str, *command: str, silence: float = 62.0) -> Run:
    (endpoint,) = resolve(spec)
    return audit(endpoint, command, choose(scenarios), report_dir=folder, silence=silence)


def named(run: Run) -> set[str]:
    return {one.check for one in run.findings if one.severity.value == "violation"}


@pytest.mark.slow
@pytest.mark.parametrize("habit", KILLS)
def test_a_bad_habit_is_named_and_nothing_else(tmp_path: Path, habit: str) -> None:
    rule, scenarios = KILLS[habit]
    run = tried(tmp_path, "segmind/p-image", scenarios, sys.executable, str(PLAIN), habit, silence=8.0)
    assert named(run) == {rule}, [one.says for one in run.findings]
    failed = {row.scenario for row in matrix.rows(run) if row.mark is matrix.Mark.FAILED}
    assert failed <= set(scenarios.split(",")) and failed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "client"),
    [
        ("segmind/p-image", "segmind_plain.py"),
        ("segmind/p-image", "segmind_blocking.py"),
        ("runware/p-image-edit", "runware_tasks.py"),
        ("pixeldojo/p-image-edit", "pixeldojo_plain.py"),
        pytest.param("segmind/p-image", "segmind_node.mjs", marks=needs_node),
    ],
)
def test_a_good_client_passes_every_scenario(tmp_path: Path, spec: str, client: str) -> None:
    program = NODE if client.endswith(".mjs") else sys.executable
    run = tried(tmp_path, spec, "all", str(program), str(CLIENTS / client))
    assert [one.says for one in run.findings] == []
    assert not run.verdicts[0].summary.stopped


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize(
    ("habit", "rule", "scenario"),
    [
        ("floods", "CLI003", "calm"),
        ("resubmits", "CLI002", "lost-reply"),
        ("follows-redirects", "CLI012", "redirect"),
        ("crashes", "CLI017", "failed"),
    ],
)
def test_a_bad_client_in_node_is_named_as_well(tmp_path: Path, habit: str, rule: str, scenario: str) -> None:
    run = tried(tmp_path, "segmind/p-image", scenario, str(NODE), str(CLIENTS / "segmind_node.mjs"), habit)
    assert named(run) == {rule}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("habit", "rule", "scenario"),
    [
        ("new-id-per-attempt", "CLI002", "lost-reply"),
        ("takes-what-comes", "CLI013", "partial-results"),
    ],
)
def test_a_client_with_ids_of_its_own_is_judged_by_them(tmp_path: Path, habit: str, rule: str, scenario: str) -> None:
    client = str(CLIENTS / "runware_tasks.py")
    assert named(tried(tmp_path, "runware/p-image-edit", scenario, sys.executable, client)) == set()
    assert named(tried(tmp_path, "runware/p-image-edit", scenario, sys.executable, client, habit)) == {rule}


@pytest.mark.clients
@pytest.mark.slow
def test_the_published_segmind_client_shows_what_is_known_of_it(tmp_path: Path) -> None:
    pytest.importorskip("segmind")
    scenarios = "calm,poll-502,poll-429-seconds,poll-reset,failed-at-the-end,foreign-links,failed,lost-reply,poll-page"
    run = tried(tmp_path, "segmind/p-image", scenarios, sys.executable, str(CLIENTS / "segmind_published.py"))
    failed = {row.scenario: row.checks for row in matrix.rows(run) if row.mark is matrix.Mark.FAILED}
    assert failed == {
        "poll-502": ("CLI014",),
        "poll-429-seconds": ("CLI014",),
        "poll-reset": ("CLI014",),
        "failed-at-the-end": ("CLI013",),
        "foreign-links": ("CLI012",),
    }


ENVIRONMENT = """
import json, os, sys, urllib.request
names = ("WIREPROOF_URL", "WIREPROOF_KEY", "WIREPROOF_TIME_SCALE", "SEGMIND_API_KEY", "SEGMIND_BASE_URL")
names += ("OTHER_API_KEY",)
print(json.dumps({name: os.environ.get(name) for name in names}))
json.dump({name: os.environ.get(name) for name in names}, open(sys.argv[1], "w"))
try:
    urllib.request.urlopen(os.environ["WIREPROOF_URL"] + "/v2/requests/none/status")
except Exception:
    sys.exit("404 not found")
"""


def test_a_client_is_told_where_to_go_and_never_gets_a_real_key(tmp_path: Path) -> None:
    (tmp_path / "client.py").write_text(ENVIRONMENT)
    seen = tmp_path / "seen.json"
    os.environ["OTHER_API_KEY"] = "a-real-one"
    try:
        run = tried(tmp_path, "segmind/p-image", "bad-key", sys.executable, str(tmp_path / "client.py"), str(seen))
    finally:
        del os.environ["OTHER_API_KEY"]
    told = eval(seen.read_text().replace("null", "None"))
    assert told["OTHER_API_KEY"] == "wireproof-dummy"
    assert told["SEGMIND_API_KEY"] == told["WIREPROOF_KEY"] and told["WIREPROOF_KEY"].startswith("SG_")
    assert told["SEGMIND_BASE_URL"] == told["WIREPROOF_URL"] + "/v1" and told["WIREPROOF_TIME_SCALE"] == "10"
    kept = "".join(file.read_text(errors="replace") for file in Path(run.folder).glob("*"))
    assert told["WIREPROOF_KEY"] not in kept


def test_a_client_that_calls_nothing_proves_nothing(tmp_path: Path) -> None:
    run = tried(
        tmp_path, "segmind/p-image", "calm,lost-reply", sys.executable, "-c", "import sys; sys.exit('no such module')"
    )
    assert run.verdicts[0].summary.stopped.startswith("could not tell: the client called nothing")
    assert "no such module" in run.verdicts[0].summary.stopped
    assert [row.mark for row in matrix.rows(run)] == [matrix.Mark.UNTOLD, matrix.Mark.UNTOLD]


def test_a_command_that_is_not_there_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-program cannot be started"):
        tried(tmp_path, "segmind/p-image", "calm", "no-such-program")


def test_a_run_tells_each_scenario_its_reason_and_how_to_see_it_again(tmp_path: Path) -> None:
    run = tried(
        tmp_path, "segmind/p-image", "calm,bad-key,partial-results", sys.executable, str(PLAIN), "swallows-reason"
    )
    rows = {row.scenario: row for row in matrix.rows(run)}
    assert rows["calm"].mark is matrix.Mark.PASSED and rows["bad-key"].checks == ("CLI015",)
    assert rows["partial-results"].mark is matrix.Mark.UNTOLD and "one picture" in rows["partial-results"].why
    (finding,) = run.findings
    assert finding.subject == "bad-key:CLI015"
    assert finding.replay.startswith("wireproof client segmind/p-image --scenario bad-key -- ")
    assert {exchange.job for exchange in run.exchanges} == {"calm", "bad-key"}
    assert matrix.tally(run) == "1 passed, 1 failed, 1 not told"
    assert "| bad-key | ✗ CLI015 |" in matrix.scoreboard([("mine", run)])
