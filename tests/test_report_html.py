"""The HTML page: what it holds, that it loads nothing, and that no foreign word becomes mark-up."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from functools import cache
from itertools import pairwise

import html5lib
import pytest

from report_samples import (
    PAYLOADS,
    finding,
    hostile_run,
    huge_run,
    rich_run,
    run,
    verdict,
)
from wireproof.report import html
from wireproof.rooms import shipped

TEMPLATES = shipped("reports") / "templates"


def _tree(text):
    return html5lib.parse(text, namespaceHTMLElements=False)


def _elements(text):
    """Every element; those of SVG under their plain names."""
    elements = [element for element in _tree(text).iter() if isinstance(element.tag, str)]
    for element in elements:
        element.tag = element.tag.rpartition("}")[2]
    return elements


@cache
def _hostile(payload):
    """The elements of the page that is hostile in that way; parsing takes most of a test's time."""
    return tuple(_elements(html.render(hostile_run(payload))))


def _tags(elements):
    """How many there are of each element, but for the words in pictures: those depend on the room."""
    tags = Counter(element.tag for element in elements)
    del tags["text"]
    return tags


def _data(text):
    (block,) = [e for e in _elements(text) if e.tag == "script" and e.get("type") == "application/json"]
    told = json.loads(block.text)
    return json.loads(gzip.decompress(base64.b64decode(told["packed"]))) if "packed" in told else told


def _words(text):
    return " ".join(" ".join(_tree(text).find("body").itertext()).split())


# ------------------------------------------------------------------------------------- the page


def test_the_page_says_the_verdict_of_every_endpoint_with_its_reason():
    words = _words(html.render(rich_run()))
    for part in (
        "2 of 5 endpoints do not conform",
        "segmind/ p-image-try-on ? could not tell : the budget of 0.03 USD was used up",
        "12 of 50 facts exercised",
        "spent 0.2676 USD + 6 credits + 1 job of unknown cost",
        "no budget was given for this paid probe",
        "output_quality above 100 was not tried",
        "Seed 7",
    ):
        assert part in words, part


def test_findings_stand_in_the_page_itself_for_readers_without_scripts():
    text = html.render(huge_run(200))
    static = [e for e in _elements(text) if e.tag == "details" and "badge" in str([c.get("class") for c in e.iter()])]
    assert len(static) == html.STATIC
    assert "Scripts are off: only the first 25 findings stand here" in text


def test_the_script_is_given_every_finding_and_the_exchanges_they_cite():
    told = _data(html.render(rich_run()))
    assert len(told["findings"]) == 7
    assert [row[0] for row in told["exchanges"]] == [66, 63, 20, 22, 23, 24, 61, 52]
    words = told["words"]
    assert any('"WARMING_UP"' in word for word in words)


def test_bodies_are_cut_and_binary_ones_are_told_by_size_and_digest():
    told = _data(html.render(run(verdict("a/b", (finding(1, evidence=(9,)),)), exchanges=rich_run().exchanges)))
    assert any(re.fullmatch(r"\[image/png, 2,072 bytes, sha256 [0-9a-f]{64}\]", word) for word in told["words"])
    long = _data(html.render(hostile_run("x" * 6_000)))
    assert any(word.endswith("… (4,000 more characters)") for word in long["words"])
    assert all(len(word) < 6_100 for word in long["words"])


def test_every_picture_has_words_and_a_table():
    elements = _elements(html.render(rich_run()))
    pictures = [e for e in elements if e.tag == "svg" and e.get("role") == "img"]
    figures = [e for e in elements if e.tag == "figure"]
    assert len(pictures) == len(figures) == 5
    assert all(picture.get("aria-label") for picture in pictures)
    assert all(figure.find(".//table/caption") is not None for figure in figures)
    others = [e for e in elements if e.tag == "svg" and e.get("role") != "img"]
    assert all(e.get("aria-hidden") == "true" for e in others)


def test_the_page_can_be_walked_by_keyboard_and_screen_reader():
    elements = _elements(html.render(rich_run()))
    tags = Counter(e.tag for e in elements)
    assert tags["main"] == tags["h1"] == tags["header"] == tags["nav"] == 1
    assert next(e for e in elements if e.tag == "a").get("href") == "#main"
    ids = [e.get("id") for e in elements if e.get("id")]
    assert len(ids) == len(set(ids))
    targets = {e.get("href")[1:] for e in elements if e.tag == "a"}
    assert targets <= set(ids)
    for table in (e for e in elements if e.tag == "table"):
        assert table.find("caption") is not None
        assert all(cell.get("scope") in ("col", "row") for cell in table.iter("th"))
    levels = [int(e.tag[1]) for e in elements if re.fullmatch("h[1-6]", e.tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_an_empty_run_is_a_small_page():
    text = html.render(run())
    assert "Nothing was looked at" in text
    assert len(text.encode()) < 40_000


def test_ten_thousand_findings_stay_below_one_and_a_half_megabytes():
    text = html.render(huge_run(10_000))
    assert len(text.encode()) < 1_500_000
    assert len(_data(text)["findings"]) == 10_000


# -------------------------------------------------------------------------------- shut and sealed


def test_the_policy_allows_only_the_style_and_the_script_of_the_page():
    text = html.render(rich_run())
    elements = _elements(text)
    (policy,) = [e.get("content") for e in elements if e.get("http-equiv") == "Content-Security-Policy"]
    told = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert told["default-src"] == "'none'"
    assert told["img-src"] == "data:"
    assert told["base-uri"] == told["form-action"] == "'none'"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (element,) = [e for e in elements if e.tag == tag and e.get("type") is None]
        digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
        assert told[rule] == f"'sha256-{digest}'"


def test_the_policy_comes_before_anything_it_should_govern():
    head = [e.tag for e in _tree(html.render(rich_run())).find("head")]
    assert head.index("meta") < head.index("style")
    metas = [e for e in _elements(html.render(rich_run())) if e.tag == "meta"]
    assert metas[0].get("charset") and metas[1].get("http-equiv")


def test_the_page_asks_for_nothing_outside_itself():
    elements = _elements(html.render(rich_run()))
    for name in ("src", "srcset", "data", "action", "poster", "background", "xlink:href", "style"):
        assert [e.tag for e in elements if e.get(name) is not None] == [], name
    assert not {"link", "img", "iframe", "object", "embed", "base", "use", "image"} & {e.tag for e in elements}
    style = (TEMPLATES / "run.css").read_text(encoding="utf-8")
    assert "url(" not in style and "@import" not in style


def test_the_script_never_parses_mark_up():
    script = (TEMPLATES / "run.js").read_text(encoding="utf-8")
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
    ):
        assert way not in script


@pytest.mark.parametrize("payload", [p for p in PAYLOADS if p.strip()])
def test_no_foreign_word_becomes_an_element(payload):
    assert _tags(_hostile(payload)) == _tags(_hostile("word"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_foreign_word_becomes_an_attribute_or_a_link(payload):
    for element in _hostile(payload):
        assert not [name for name in element.attrib if str(name).lower().startswith("on")]
        assert (element.get("href") or "#").startswith("#")
        assert set(map(str, element.attrib)) <= _attributes(), element.attrib


@cache
def _attributes():
    return frozenset(str(name) for e in _elements(html.render(rich_run())) for name in e.attrib)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_data_block_holds_no_character_that_html_could_read(payload):
    text = html.render(hostile_run(payload))
    block = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(block)
    assert len(json.loads(block)["findings"]) == 2


def test_controls_and_turned_text_are_spelled_out():
    text = html.render(hostile_run("\u202egnp.exe\x1b[2J"))
    assert "\u202e" not in text and "\x1b" not in text
    assert "\\u202egnp.exe\\u001b[2J" in text


def test_a_template_of_ones_own_is_found_first_and_cannot_reach_out_of_its_sandbox(tmp_path, monkeypatch):
    own = tmp_path / "reports" / "templates"
    own.mkdir(parents=True)
    (own / "run.html.j2").write_text("{{ page.title }} | {{ ''.__class__.__mro__ }}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="unsafe"):
        html.render(rich_run())
    (own / "run.html.j2").write_text("own: {{ page.title }}", encoding="utf-8")
    assert html.render(rich_run()) == "own: 2 of 5 endpoints do not conform"


# ------------------------------------------------------------------------------------- contrast


def _themes():
    style = (TEMPLATES / "run.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    )
    return {"light": light, "dark": light | dark}


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one, other):
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


_PAIRS = [
    *((ink, ground) for ink in ("ink", "soft", "accent", "good", "bad", "warn", "ask") for ground in ("paper", "card")),
    *((tone, f"{tone}-tint") for tone in ("good", "bad", "warn", "ask", "violet")),
    *(("ink", f"{tone}-tint") for tone in ("good", "bad", "warn", "ask")),
    ("soft", "grey-tint"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), _PAIRS)
def test_text_can_be_read_on_its_ground(theme, ink, ground):
    colours = _themes()[theme]
    assert _contrast(colours[ink], colours[ground]) >= 4.5
