"""Contract files come from strangers: what is read is plain JSON, and all that is wrong is told."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from effort import lines, untried
from wireproof import errors
from wireproof.errors import ContractError, UsageError
from wireproof.spec.events import Source
from wireproof.spec.reading import (
    LIMITS,
    Document,
    check_name,
    check_pattern,
    check_schema_numbers,
    inside,
    nearest,
    read,
    read_text,
)

REPEATABLE = settings(derandomize=True, database=None, deadline=None)


def value_of(text: str) -> Any:
    return read_text(text, "acme.yaml").value


def mistakes_in(text: str) -> list[str]:
    with pytest.raises(ContractError) as caught:
        read_text(text, "acme.yaml")
    return [str(mistake) for mistake in caught.value.mistakes]


# ------------------------------------------------------------------------------- what is read

CONTRACT = """\
# a contract
kind: protocol
states:
  IN_QUEUE: queued
  "done/~": succeeded

limits: {per_minute: 60, price: "0.025", share: -0.5, big: 1.0e+3}
codes:
- 200
- [true, false, null]
200: an integer key is text
says: >-
  folded
  text
note: |
  kept
  lines
"""


def test_a_contract_is_read_as_plain_json() -> None:
    assert value_of(CONTRACT) == {
        "kind": "protocol",
        "states": {"IN_QUEUE": "queued", "done/~": "succeeded"},
        "limits": {"per_minute": 60, "price": "0.025", "share": -0.5, "big": 1000.0},
        "codes": [200, [True, False, None]],
        "200": "an integer key is text",
        "says": "folded text",
        "note": "kept\nlines\n",
    }


def test_every_node_has_its_line_and_an_entry_stands_where_its_key_does() -> None:
    assert read_text(CONTRACT, "acme.yaml").lines == {
        "": 2,
        "/kind": 2,
        "/states": 3,
        "/states/IN_QUEUE": 4,
        "/states/done~1~0": 5,
        "/limits": 7,
        "/limits/per_minute": 7,
        "/limits/price": 7,
        "/limits/share": 7,
        "/limits/big": 7,
        "/codes": 8,
        "/codes/0": 9,
        "/codes/1": 10,
        "/codes/1/0": 10,
        "/codes/1/1": 10,
        "/codes/1/2": 10,
        "/200": 11,
        "/says": 12,
        "/note": 15,
    }


text_of_letters = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Cn"]), max_size=20)
keys = st.from_regex(r"\A[a-z~/ ]{1,8}\Z")
fractions = st.floats(-1e6, 1e6).map(lambda number: round(number, 3))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | fractions | text_of_letters,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


def pointers_of(value: Any, pointer: str = "") -> set[str]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = (pointers_of(each, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}") for key, each in entries)
    return {pointer}.union(*below)


@settings(REPEATABLE, max_examples=100)
@given(json_values, st.sampled_from([None, 2]))
def test_json_is_read_back_as_it_was_written_and_every_node_has_a_line(value: Any, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if re.search(r"\de|\d[.]\d*e", text):  # 1e-05: the one spelling of JSON that YAML 1.1 reads as text
        return
    document = read_text(text, "acme.json")
    assert document.value == value
    assert set(document.lines) == pointers_of(value)


# ------------------------------------------------------------------------------ S-10: no tags

TAGS = (
    "!!python/object/apply:os.system ['touch {canary}']",
    "!!python/object/new:os.system ['touch {canary}']",
    "!!python/object:os.system {{}}",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object/apply:subprocess.check_output [['touch', '{canary}']]",
    "!!python/object/apply:eval [\"open('{canary}', 'w')\"]",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {canary}']",
    "!!ruby/object:Gem::Installer {{}}",
    "!!java.net.URLClassLoader [[]]",
    "!!binary aGVsbG8=",
    "!!set {{a: 1}}",
    "!!str 012",
    "!include {canary}",
    "! 'text'",
)


@pytest.mark.parametrize("payload", TAGS)
def test_a_tag_is_a_mistake_with_line_and_column_and_does_nothing(payload: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    told = mistakes_in(f"kind: model\nname: {payload.format(canary=canary)}\n")
    assert told[0].startswith("acme.yaml:2: /name: column 7: !")
    assert "is a tag; contracts have none" in told[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tag", ["!%25zz a", "!e!x a", "!!python/x,", "!<a", "!%zz a", "{!x a: b}", "!x {y: z}: b"])
def test_a_malformed_tag_is_a_mistake_too(tag: str) -> None:
    assert mistakes_in(f"name: {tag}\n")


SCANNED = sorted(Path(errors.__file__).parent.rglob("*.py"))
PARTS_OF_RUAMEL = {f"ruamel.yaml.{part}" for part in ("error", "events", "parser", "reader", "scanner", "tokens")}


def dangers_in(tree: ast.AST) -> list[str]:
    """Calls that execute what they are given, and readers of YAML that construct objects."""
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                found.append(name)
            case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                found.append("shell=True")
            case ast.Import(names=names):
                found += [name.name for name in names if is_danger(name.name)]
            case ast.ImportFrom(module=str(module)) if is_danger(module):
                found.append(module)
    return found


def is_danger(module: str) -> bool:
    first = module.split(".", maxsplit=1)[0]
    return first in {"pickle", "marshal", "shelve", "yaml"} or (first == "ruamel" and module not in PARTS_OF_RUAMEL)


ALLOWED = {
    # Documents of others have anchors and dates: they are read by ruamel's safe loader, and once.
    ("imports", "openapi.py"): ("ruamel.yaml", 'YAML(typ="safe", pure=True)', "YAML("),
    # What forks of one mock tell one another, over a socket pair and in files without a name: nobody else writes there.
    ("mock", "switchboard.py"): ("pickle", "pickle.loads(read[_HEAD.size : end])", "pickle.load"),
    ("mock", "workers.py"): ("pickle", "[pickle.loads(one) for one in kept if one]", "pickle.load"),
}
"""Where something of the kind is used all the same: what, how, and what must stand there only once."""


@pytest.mark.parametrize("file", SCANNED, ids=lambda file: str(file.relative_to(SCANNED[0].parent)))
def test_nothing_in_the_package_executes_or_constructs_what_it_reads(file: Path) -> None:
    text, allowed = file.read_text("utf-8"), ALLOWED.get(file.parts[-2:])
    assert dangers_in(ast.parse(text)) == ([allowed[0]] if allowed else [])
    assert allowed is None or (allowed[1] in text and text.count(allowed[2]) == 1)


def test_the_scan_itself_sees_what_it_looks_for() -> None:
    source = "import pickle\nfrom ruamel.yaml import YAML\neval('1')\nrun('x', shell=True)\nimport yaml"
    assert sorted(dangers_in(ast.parse(source))) == ["eval", "pickle", "ruamel.yaml", "shell=True", "yaml"]


# --------------------------------------------------------------- S-11, S-12: bombs and sizes

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_an_alias_bomb_is_refused_and_takes_neither_work_nor_memory() -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = mistakes_in(BOMB)
    assert lines(lambda: mistakes_in(BOMB)) < 60_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 20 * 1024
    assert told[0] == "acme.yaml:1: /a: column 4: &a is an anchor; contracts have none: remove it"
    assert told[2] == "acme.yaml:2: /b/0: *a is an alias; contracts have none: write the value out"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 10_000, id="open"),
        pytest.param("[" * 10_000 + "]" * 10_000, id="closed"),
        pytest.param("- " * 10_000, id="block"),
        pytest.param("{a: " * 10_000, id="mapping"),
        pytest.param("? " * 10_000, id="keys"),
        pytest.param("[? " * 10_000, id="both"),
        pytest.param("\n".join(" " * depth + "a:" for depth in range(1000)), id="stairs"),
    ],
)
def test_deep_nesting_is_one_mistake_and_is_told_without_reading_on(text: str) -> None:
    assert "deep" in mistakes_in(text)[-1]
    assert lines(lambda: mistakes_in(text)) < 200_000


def test_nesting_as_deep_as_allowed_is_read() -> None:
    deepest = "[" * LIMITS.depth + "]" * LIMITS.depth
    assert json.dumps(value_of(deepest)) == deepest
    assert "deep" in mistakes_in(f"[{deepest}]")[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(f"a: {'x' * (LIMITS.scalar + 1)}", "longer than 65536", id="scalar"),
        pytest.param(f"a: |\n  {'x' * LIMITS.scalar}\n", "longer than 65536", id="block"),
        pytest.param(f"a: {'9' * 21}", "more than 20 digits", id="digits"),
        pytest.param(f"a: -{'9' * 5000}", "more than 20 digits", id="many digits"),
        pytest.param("a: 1.0e+999", "too large for a number", id="float"),
        pytest.param(f'"{"k" * 257}": 1', "a key may have 256 characters", id="key"),
        pytest.param(f"[{'1,' * 10_001}]", "more than 10000 entries", id="items"),
        pytest.param("x" * (LIMITS.bytes + 1), "longer than 1048576", id="file"),
    ],
)
def test_a_size_beyond_the_limit_is_told_and_not_cut_off(text: str, says: str) -> None:
    told = mistakes_in(text)
    assert says in told[0]
    assert len(told[0]) < 700


def test_long_keys_nested_over_many_values_do_not_fill_the_memory() -> None:
    text = "".join(f'{{"{"k" * 250}": ' for _ in range(60)) + f"[{'1,' * 9000}]" + "}" * 60
    assert "keys this long" in mistakes_in(text)[0]


def test_an_honest_file_of_a_mebibyte_is_read(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    line = 'entry-{}: {{says: "{}"}}\n'
    file.write_text("".join(line.format(number, "words and more words " * 45) for number in range(1060)))
    assert 0.95 < file.stat().st_size / LIMITS.bytes <= 1
    assert len(read(file).value) == 1060


# ---------------------------------------------------------------------- S-13: silent misreading

MISREAD = (
    ("no", "false"),
    ("On", "true"),
    ("y", "true"),
    ("NULL", "null"),
    ("~", "null"),
    ("1:30", "a number in base 60"),
    ("16:9", "a number in base 60"),
    ("012", "a number in base 8"),
    ("0o14", "a number in base 8"),
    ("0x1F", "a number in base 16"),
    ("2025-01-01", "a date"),
    ("1e3", "a number"),
    ("1_000", "a number"),
    (".inf", "infinity or no number"),
)


@pytest.mark.parametrize(("text", "kind"), MISREAD)
def test_what_yaml_readers_read_differently_must_be_quoted(text: str, kind: str) -> None:
    [told] = mistakes_in(f"kind: model\nsays: {text}\n")
    assert told.startswith(f'acme.yaml:2: /says: some YAML readers take {text} for {kind}: quote it ("{text}")')
    assert value_of(f'says: "{text}"') == {"says": text}
    assert value_of(f"says: '{text}'") == {"says": text}


@pytest.mark.parametrize("text", [text for text, _ in MISREAD])
def test_a_key_is_not_misread_either(text: str) -> None:
    assert "quote it" in mistakes_in(f"{text}: 1")[0]
    assert value_of(f'"{text}": 1') == {text: 1}


@pytest.mark.parametrize(
    "text",
    "yes YES n N off True FALSE Null 1:30:00 0b11 00 -012 +1 .5 5. 1.0e3 1E3 -.INF .NaN = << 1.5E5".split()  # noqa: SIM905 (reads as a row)
    + [
        "2025-1-1",
        "2025-01-01T10:00:00Z",
        "2025-01-01 10:00:00 +01:00",
        "0.1_0",
        "1:30.5",
        "",
        "# a comment",
    ],
)
def test_other_spellings_are_not_let_through(text: str) -> None:
    assert mistakes_in(f"says: {text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3",
        "127.0.0.1",
        "1024x768",
        "p-image",
        "no way",
        "a:b",
        "--x",
        "...",
        "3.png",
        "inf",
        "0xyz",
        "2025-01",
    ],
)
def test_text_that_every_reader_takes_for_text_needs_no_quotes(text: str) -> None:
    assert value_of(f"says: {text}\n") == {"says": text}


def test_a_key_given_twice_is_told_with_both_lines() -> None:
    [told] = mistakes_in("a:\n  x: 1\n  z: 2\n  x: 3\n")
    assert told == "acme.yaml:4: /a/x: the key x is given twice, in line 2 and in line 4"
    assert "given twice" in mistakes_in('{200: 1, "200": 2}')[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("true: 1", "a key is text"),
        ("1.5: 1", "a key is text"),
        ("null: 1", "a key is text"),
        ("[a]: 1", "a list or mapping cannot be a key"),
        ("? {a: b}\n: 1", "a list or mapping cannot be a key"),
        (": 1", "the key is missing"),
        ("a:\n", "the value is missing"),
        ("- \n- a", "the value is missing"),
        ("{a:1}", "the value is missing"),
        ("a: &x 1\nb: {<<: *x}", "an anchor"),
        ("<<: {a: 1}", "no merge keys"),
        ('"\\e[31m": 1', "all of them printable"),
        ('a: "\\ud83d\\ude00"', "half a character"),
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("a: 1\n---\nb: 2\n", "a second document"),
        ("%YAML 1.1\n---\na: b\n", "lines that begin with %"),
        ("a:\n\tb: 1", "a tab"),
        ("\ufeffa: 1", "byte order mark"),
        ("a: \0", "a NUL character"),
        ("a: 1\rb: 2", "a carriage return"),
        ("a: x\u2028b: y", "U+2028"),
        ("a: x\u202ey", "U+202E"),
        ("a: \x1b[31m", "U+001B"),
        ("a: \ud800", "U+D800"),
        ("a: b: c", "a second ': '"),
        ("a: 1\nb\nc: 2", "a key needs ': '"),
        ("a:\n   b: 1\n  c: 2", "does not line up"),
        ("a: [1, 2\nb: 3", "',' or the closing bracket"),
        ('a: "x', "never closed"),
        ('a: "\\q"', "a backslash"),
        ('a: "\\UFFFFFFFF"', "cannot be read as YAML"),
        ("a: @b", "quote it"),
        ("a: `b`", "quote it"),
        ("a: - b", "a list entry cannot begin here"),
        ("a: 1\n--- x\n...\nb", "a second document"),
    ],
)
def test_each_kind_of_mistake_is_told_in_plain_words(text: str, says: str) -> None:
    assert says in mistakes_in(text)[0]


def test_all_mistakes_of_a_file_are_told_up_to_where_it_cannot_be_read() -> None:
    told = mistakes_in("a: yes\nb: !x c\na: 012\nlist:\n  - &q 1\n  - [2025-01-01]\nbroken: 'x\n")
    assert [line.split(": ")[0] + " " + line.split(": ")[1] for line in told] == [
        "acme.yaml:1 /a",
        "acme.yaml:2 /b",
        "acme.yaml:3 /a",
        "acme.yaml:3 /a",
        "acme.yaml:5 /list/0",
        "acme.yaml:6 /list/1/0",
        "acme.yaml:8 /",
    ]
    assert "never closed (it begins at line 7)" in told[-1]


def test_the_mistakes_told_of_one_file_have_a_limit() -> None:
    assert len(mistakes_in("- yes\n" * 5000)) == LIMITS.mistakes + 1
    assert len(mistakes_in("\t\n" * 5000)) == LIMITS.mistakes


# ------------------------------------------------------------------------- any input, no traceback

PIECES = [
    "a: ",
    "- ",
    "b",
    "\n",
    "  ",
    "'x'",
    '"y"',
    ": ",
    "# c",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "k: v\n",
    "? ",
    "|\n",
    ">\n",
] + [
    "--- ",
    "...\n",
    "\r\n",
    "!!str ",
    "&a ",
    "*a",
    "%",
    "\\",
    "012",
    "yes",
    "~",
    "\t",
    "\0",
    "é",
    "\U0001f600",
]
any_text = st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=16).map("".join)


@settings(REPEATABLE, max_examples=500)
@given(any_text)
@example("a: |\n  b\n c")
@example("!%25zz a")
def test_any_text_is_a_document_or_a_list_of_mistakes(text: str) -> None:
    try:
        document = read_text(text, "acme.yaml")
    except ContractError as error:
        assert all(mistake.says and mistake.file == "acme.yaml" for mistake in error.mistakes)
        assert str(error).replace("\n", "").isprintable()
    else:
        assert isinstance(document, Document)
        assert json.loads(json.dumps(document.value)) == document.value
        assert set(document.lines) == pointers_of(document.value)


@settings(REPEATABLE, max_examples=200)
@given(content=st.binary(max_size=60) | any_text.map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_a_document_or_a_list_of_mistakes(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    try:
        read(file)
    except ContractError as error:
        assert error.mistakes


def heard(next_event: Callable[[], Any]) -> list[object]:
    """All that a parser says, and where."""
    said: list[object] = []
    try:
        while (event := next_event()) is not None:
            marks = (
                event.start_mark.line,
                event.start_mark.column,
                event.end_mark.line,
                event.end_mark.column,
            )
            facts = [str(getattr(event, fact, None)) for fact in ("value", "anchor", "tag", "style", "implicit")]
            said.append((type(event), *facts, *marks))
    except MarkedYAMLError as error:
        said.append((error.problem, str(error.problem_mark and error.problem_mark.line)))
    except (ValueError, LookupError, OverflowError) as error:
        said.append(str(error))
    return said


@settings(REPEATABLE, max_examples=500)
@given(any_text)
def test_the_fast_lanes_hear_what_ruamel_hears(text: str) -> None:
    hidden = r"[\0-\t\v-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]"
    plain = re.sub(hidden, " ", text)
    if re.search(r"^%", plain, re.MULTILINE):
        return
    _, parser = YAML(typ="safe", pure=True).get_constructor_parser(plain)
    assert heard(Source(plain, 64).get_event) == heard(parser.get_event)


# ------------------------------------------------------------------------------------------ files


def test_a_file_below_the_working_folder_is_named_from_there(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    file = tmp_path / "specs" / "acme.yaml"
    file.write_text("a: 1")
    assert read(file).file == str(file)
    with contextlib.chdir(tmp_path):
        assert read(file).file == read(Path("specs/acme.yaml")).file == os.path.join("specs", "acme.yaml")


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (LIMITS.bytes + 1))
    for path, says in (
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "not a file"),
        (tmp_path / "pipe", "not a file"),
        (tmp_path / "large", "larger than 1048576 bytes"),
        (Path("a\0b"), "null"),
        (Path("x" * 5000), "too long"),
    ):
        with pytest.raises(ContractError, match=says):
            read(path)


def test_bytes_that_are_not_utf_8_are_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ContractError, match="latin.yaml:2: /: the byte 0xe9 is not UTF-8"):
        read(file)


# ------------------------------------------------------------------------- S-14: names and places

PATHS = (
    "..",
    "../other",
    "a/../../other",
    "./../other",
    "a/..",
    "/etc/passwd",
    "//etc/passwd",
    "~/../../etc/passwd/..",
    "a\0b",
    "a\nb",
    "a\x1b[31m",
    "x" * 300,
    f"a/{'x' * 300}",
    "\uff0e\uff0e/other",
    "ﬁle.yaml",
    "acme\u2024yaml",
    "..\\other",
    "C:\\Windows",
    "C:other",
    "https://acme.example/spec.yaml",
    "file:///etc/passwd",
    "link/secret",
    "link",
    "circle",
    "",
)


def snapshot(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", PATHS, ids=ascii)
def test_no_name_leads_out_of_its_folder_and_nothing_is_touched(name: str, tmp_path: Path) -> None:
    root = tmp_path / "specs"
    root.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret").write_text("x")
    (root / "link").symlink_to(tmp_path / "other")
    (root / "circle").symlink_to(root / "circle")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="does not lead to a place below"):
        inside(root, name)
    assert check_name(name) or (root / name).is_symlink()
    assert snapshot(tmp_path) == before


def test_a_place_below_the_folder_is_found_by_way_of_links_that_stay_there(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "acme")
    assert inside(tmp_path, "acme/new.yaml") == tmp_path.resolve() / "acme" / "new.yaml"
    assert inside(tmp_path, "alias/new.yaml") == tmp_path.resolve() / "acme" / "new.yaml"


@pytest.mark.parametrize("name", ["p-image", "acme_2", "9.1-fast", "a", "x" * 64])
def test_a_plain_name_is_a_name(name: str) -> None:
    assert check_name(name) is None


@pytest.mark.parametrize("name", ["Acme", "-a", ".a", "_a", "a b", "ä", "x" * 65, "a/b", "a\n", "ａ"])
def test_other_names_are_not(name: str) -> None:
    assert "is no name" in (check_name(name) or "")


def test_the_nearest_known_word_is_offered_and_nothing_far_fetched() -> None:
    known = ["PENDING", "RUNNING", "SUCCEEDED", "FAILED"]
    assert nearest("PENDNG", known) == "PENDING"
    assert nearest("running", known) == "RUNNING"
    assert nearest("zebra", known) is None
    assert nearest("PENDNG" * 100_000, known) is None
    assert nearest("x", []) is None


# --------------------------------------------------------------------------------- S-15: patterns

BAD_PATTERNS = (
    r"(a+)+$",
    r"(a*)*b",
    r"(a|a)*$",
    r"(a|aa)+$",
    r"([a-zA-Z]+)*$",
    r"(.*a){12}",
    r"(\w+\s?)*$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(x+x+)+y",
    r"(?:a?){30}a{30}",
    r"(\d|\d\d)*$",
    r".*.*.*.*=",
    "a?" * 30 + "a" * 30,
    "(a|aa)" * 40 + "$",
    r"(a|aa){30}$",
    "((a|aa){5}){6}b",
)


@pytest.mark.parametrize("pattern", BAD_PATTERNS)
def test_a_pattern_that_can_take_for_ever_is_refused_without_trying_it(pattern: str) -> None:
    with untried(pattern):
        assert check_pattern(pattern)
    assert lines(lambda: check_pattern(pattern)) < 100_000


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(a)\1", "a back-reference"),
        (r"(?P<x>a)?(?(x)b|c)", "a back-reference"),
        (r"(?=a)b", "a look-around"),
        (r"(?!a)b", "a look-around"),
        (r"(?<!a)b", "a look-around"),
        (r"(?>a+)b", "an atomic group"),
        (r"a++b", "a possessive quantifier"),
        (r"(?i)a", "inline flags"),
        (r"(?i:a)", "inline flags"),
        (r"(ab|[a-c]d)*x", "alternatives"),
        (r"(x|.*a.*b.*c)", "share out"),
        (r"(", "no regular expression"),
        (r"[[a]", "no regular expression"),
        (r"a{99999999999}", "no regular expression"),
        (r"(a{100}){100}", "nothing shorter"),
        ("a" * 513, "longer than 512"),
        ("(" * 250 + "a" + ")?" * 250, "longer than 512|nested too deeply"),
        ("((a?){9}(b?){9}(c?){9}(d?){9}){32}", "inside a quantified group"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_told(pattern: str, says: str) -> None:
    assert re.search(says, check_pattern(pattern) or "nothing")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        r"SG_[0-9a-f]{16}",
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        r"^https?://[^/]+/.*\.png$",
        r"^\d{1,3}(\.\d{1,3}){3}$",
        r"^(in_queue|in_progress|completed)$",
        r"^\w+-\w+-\w+$",
        r"^data:image/(png|jpeg);base64,[A-Za-z0-9+/]+={0,2}$",
        r"^urn:air:[a-z0-9]+:[a-z]+@[0-9]+$",
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$",
        r"(ab|cd)+",
    ],
)
def test_an_everyday_pattern_is_good(pattern: str) -> None:
    assert check_pattern(pattern) is None


@settings(REPEATABLE, max_examples=300)
@given(st.text(r"ab.*+?{}()[]|\d\w^$-,0123", max_size=30))
def test_what_passes_for_a_pattern_matches_quickly(pattern: str) -> None:
    if check_pattern(pattern) is None:
        compiled, began = re.compile(pattern), time.perf_counter()
        for text in ("a" * 30 + "!", "ab" * 15 + "!", "0" * 30 + "!"):
            compiled.search(text)
        assert time.perf_counter() - began < 0.05


# ------------------------------------------------------------------------- S-16: absurd numbers

ABSURD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"maxItems": 10**9}, "/maxItems"),
    ({"maxItems": 1001}, "/maxItems"),
    ({"minItems": 10**6}, "/minItems"),
    ({"minItems": -1}, "/minItems"),
    ({"maxContains": 10**7}, "/maxContains"),
    ({"minContains": 2000}, "/minContains"),
    ({"maxProperties": 10**9}, "/maxProperties"),
    ({"minProperties": 10**9}, "/minProperties"),
    ({"maxLength": 65537}, "/maxLength"),
    ({"minLength": 10**12}, "/minLength"),
    ({"maximum": 10**19}, "/maximum"),
    ({"minimum": -(10**19)}, "/minimum"),
    ({"exclusiveMaximum": 1e300}, "/exclusiveMaximum"),
    ({"exclusiveMinimum": -1e300}, "/exclusiveMinimum"),
    ({"multipleOf": 0}, "/multipleOf"),
    ({"multipleOf": -1}, "/multipleOf"),
    ({"seconds": 10**9}, "/seconds"),
    ({"properties": {"a/b": {"maxItems": 10**9}}}, "/properties/a~1b/maxItems"),
    ({"properties": {"default": {"items": {"maxLength": 10**9}}}}, "/properties/default/items/maxLength"),
    ({"anyOf": [{}, {"prefixItems": [{"maximum": 2**64}]}]}, "/anyOf/1/prefixItems/0/maximum"),
)


@pytest.mark.parametrize(("schema", "at"), ABSURD)
def test_an_absurd_number_is_told_with_its_pointer(schema: dict[str, Any], at: str) -> None:
    began = time.perf_counter()
    [(pointer, says)] = check_schema_numbers(schema, "/parameters/x")
    assert time.perf_counter() - began < 0.1
    assert pointer == f"/parameters/x{at}"
    assert at.rsplit("/", 1)[1] in says


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "maxItems": 1000, "items": {"type": "string", "maxLength": 65536}},
        {"minimum": -(2**63), "maximum": 2**63, "multipleOf": 0.5},
        {"default": {"maxItems": 10**9}, "enum": [{"maximum": 10**30}], "const": {"seconds": 10**9}},
        {"properties": {"maxItems": {"type": "integer"}}},
        {"maxItems": True},
        True,
    ],
)
def test_honest_numbers_and_data_are_left_alone(schema: Any) -> None:
    assert list(check_schema_numbers(schema, "")) == []


# -------------------------------------------------------------------------------------- speed


def test_five_hundred_lines_are_read_before_anybody_notices() -> None:
    parameter = """\
  parameter_{0}:
    canonical: name_{0}
    schema: {{type: integer, minimum: 0, maximum: 100, default: 5}}
    says: "How far the model may go, from 0 to 100."
    matters: {{aspect_ratio: custom}}
    evidence:
      source: page
      confidence: disputed
      note: The table says 100, a sample says otherwise.
"""
    text = "parameters:\n" + "".join(parameter.format(number) for number in range(56))
    took = []
    for _ in range(3):
        began = time.perf_counter()
        read_text(text, "acme.yaml")
        took.append(time.perf_counter() - began)
    assert text.count("\n") > 500
    assert min(took) < 0.12
