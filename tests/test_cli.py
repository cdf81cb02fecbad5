"""The command line as a person meets it: words, exit codes, no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from wireproof import __version__, cli

KEYS = ("SEGMIND_API_KEY", "RUNWARE_API_KEY", "PIXELDOJO_API_KEY")


def run(*words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as installed."""
    clean = {name: value for name, value in os.environ.items() if name not in KEYS}
    source = str(Path(cli.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "wireproof.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**clean, "PYTHONPATH": source, "NO_COLOR": "1", "COLUMNS": "100", **env},
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_list_names_the_five_endpoints() -> None:
    done = run("list", "--json")
    names = {row["endpoint"] for row in json.loads(done.stdout)["endpoints"]}
    assert names == {
        "segmind/p-image",
        "segmind/p-image-edit",
        "segmind/p-image-try-on",
        "runware/p-image-edit",
        "pixeldojo/p-image-edit",
    }


def test_show_tells_parameters_states_and_price() -> None:
    told = run("show", "segmind/p-image").stdout
    for word in ("width", "256 to 1440", "PROCESSING", "0.005 USD a job", "406", "$SEGMIND_API_KEY"):
        assert word in told


def test_check_on_the_embedded_mock_conforms(tmp_path: Path) -> None:
    done = run("check", "pixeldojo/p-image-edit", "--report-dir", str(tmp_path), "--report", "html,junit,md,sarif,har")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conforms" in done.stdout
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} >= {"run.jsonl", "report.html", "report.junit.xml", "report.md"}


def test_json_is_one_document_with_findings(tmp_path: Path) -> None:
    done = run("check", "segmind/p-image", "--json", "--report-dir", str(tmp_path))
    document = json.loads(done.stdout)
    assert document["findings"] == []


def test_dry_run_prints_a_price_and_sends_nothing(tmp_path: Path) -> None:
    done = run("check", "segmind/p-image", "--live", "--dry-run", "--report-dir", str(tmp_path), "--json")
    plan = json.loads(done.stdout)["plan"]
    assert done.returncode == 0
    assert sum(row["jobs"] for row in plan) > 0
    assert all(row["price"] for row in plan)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("check", "segmind/p-imge"), 2, "Did you mean"),
        (("check", "segmind/p-image", "--target", "ftp://x"), 2, "not an address"),
        (("check", "segmind/p-image", "--live"), 2, "--budget"),
        (("check", "segmind/p-image", "--live", "--target", "http://127.0.0.1:1"), 2, "exclude"),
        (("check", "segmind/p-image", "--budget", "many"), 2, "0.50USD"),
        (("check", "segmind/p-image", "--rate", "fast"), 2, "10/s"),
        (("check", "segmind/p-image", "--target", "https://example.com", "--budget", "1USD"), 2, "is sent only to"),
        (("check", "segmind/p-image", "--target", "http://127.0.0.1:1"), 3, "SEGMIND_API_KEY"),
        (("check", "no/such/file.yaml"), 2, "neither a file nor a folder"),
        (("check", "--no-such-option"), 2, "No such option"),
        (("report", "nowhere"), 2, "run.jsonl"),
        (("judge", "nothing.har"), 2, "does not exist"),
        (("replay", "nowhere"), 2, "RUN#N"),
        (("explain", "JOB999"), 2, "no check is called"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_bad_input_is_one_clear_sentence(words: tuple[str, ...], code: int, says: str, tmp_path: Path) -> None:
    done = run(*words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_target_that_is_down_ends_with_3_and_one_sentence(tmp_path: Path) -> None:
    done = run(
        "check",
        "segmind/p-image",
        "--target",
        "http://127.0.0.1:1",
        cwd=tmp_path,
        SEGMIND_API_KEY="SG_0123456789abcdef",
    )
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_broken_contract_tells_every_mistake_with_file_and_line(tmp_path: Path) -> None:
    folder = tmp_path / "specs" / "acme"
    folder.mkdir(parents=True)
    (folder / "thing.yaml").write_text(
        "kind: endpoint\nprovider: acme\nmodle: thing\nslug: x\nparameters: {a: {type: strin}}\n"
    )
    done = run("lint", str(folder / "thing.yaml"), cwd=tmp_path)
    assert done.returncode == 2
    assert "thing.yaml:3" in done.stderr
    assert "Did you mean model?" in done.stderr
    assert "thing.yaml:5" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_users_own_specs_room_is_found_first(tmp_path: Path) -> None:
    shipped = Path(cli.__file__).parents[2] / "specs"
    for name in ("segmind/protocol.yaml", "segmind/p-image.yaml", "models/p-image.yaml"):
        path = tmp_path / "specs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((shipped / name).read_text().replace("maximum: 1440", "maximum: 1000"))
    (tmp_path / "pyproject.toml").write_text("")
    assert "256 to 1000" in run("show", "segmind/p-image", cwd=tmp_path).stdout


def test_a_kept_run_renders_again_and_judges_the_same(tmp_path: Path) -> None:
    run("check", "segmind/p-image", "--report-dir", str(tmp_path), "--report", "har", "-q")
    (folder,) = tmp_path.iterdir()
    assert run("report", str(folder), "--format", "md").stdout.strip().endswith("report.md")
    for recording in (folder / "report.har", folder):
        done = run("judge", str(recording), "--report-dir", str(tmp_path / "judged"))
        assert done.returncode == 0, done.stdout
        assert "segmind/p-image conforms" in done.stdout


def test_the_key_stands_in_no_file_and_no_output(tmp_path: Path) -> None:
    key = "SG_feedfacefeedface"
    done = run("check", "segmind/p-image", "--target", "http://127.0.0.1:1", cwd=tmp_path, SEGMIND_API_KEY=key)
    written = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert key not in done.stdout + done.stderr + written


def test_help_lists_the_exit_codes() -> None:
    told = run("--help").stdout
    assert "4 stopped by the budget" in told


def test_no_option_takes_a_secret() -> None:
    for command in ("check", "judge", "replay", "mock"):
        assert "--key" not in run(command, "--help").stdout


def test_the_examples_of_a_command_are_lines_that_it_reads() -> None:
    root = typer.main.get_command(cli.app)
    known = {**root.commands, **root.commands["import"].commands}  # type: ignore[attr-defined]
    assert set(cli.EXAMPLES) <= set(known)
    for name, lines in cli.EXAMPLES.items():
        assert "Examples:" in known[name].epilog
        for line in lines:
            words = line.split()
            assert words[0] == "wireproof" and name in words[1:3]
            known[name].make_context(name, words[words.index(name) + 1 :])


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [
        ("locust", "load segmind/p-image --plan smoke", "load"),
        ("trustme", "mock segmind/p-image --tls", "tls"),
    ],
)
def test_a_missing_extra_is_one_clear_sentence(module: str, words: str, extra: str, tmp_path: Path) -> None:
    hidden = f"import sys; sys.modules[{module!r}] = None; from wireproof.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, *words.split()],
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(rf"wireproof: [^\n]*wireproof\[{extra}\][^\n]*\n", done.stderr)


def test_drift_takes_a_folder_of_runs(tmp_path: Path) -> None:
    for _ in range(2):
        assert (
            run("check", "segmind/p-image", "--profile", "quick", "--report-dir", str(tmp_path / "runs")).returncode
            == 0
        )
    assert "nothing shifted" in run("drift", str(tmp_path / "runs")).stdout
    assert run("drift", str(tmp_path)).returncode == 2


@pytest.mark.parametrize("words", [("version",), ("--version",)])
def test_the_version_is_told_both_ways(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")
