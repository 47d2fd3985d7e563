"""The README says what the committed results say, and nothing else."""

import re

import numpy as np
import pytest

from common import costs, ledger, paths, readme
from common.errors import UserError
from common.papers import PAPERS

NAMES = ("extent", "figure", "papers", "results", "reduced", "paper")
MARKS = "".join(f"before {name}\n<!-- {name}: x -->\nold 98%\n<!-- /{name} -->\n" for name in NAMES)


@pytest.fixture
def root(tmp_path):
    """A project without results, whose files have something old between their marks."""
    (tmp_path / "docs").mkdir()
    for name in ("README.md", readme.COSTS):
        (tmp_path / name).write_text(MARKS)
    return tmp_path


def test_the_readmes_results_are_those_that_are_committed():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    found = ledger.everything()
    for name, block in readme.blocks(found, readme.figure(found)).items():
        assert f"-->\n{block}<!-- /{name} -->" in text and block.strip(), "run ./run_all.sh site"
    assert (paths.ROOT / readme.FIGURE).exists()


def test_outside_the_marks_no_result_stands():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    by_hand = re.sub(r"<!-- (\w+):.*?<!-- /\1 -->", "", text, flags=re.DOTALL)
    assert "| --- |" not in by_hand.split("## What we found")[1].split("## The reports")[0]
    assert not re.search(r"\d[.,]\d+ \[|[+−]0\.\d|\d+ (un)?supported|\d+ networks", by_hand)


def test_every_local_link_and_path_exists():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#:]+)\)", text)
    named = [name for name in re.findall(r"`((?:reports|docs|notebooks)/[^`]*)`", text) if "<" not in name]
    assert len(linked) > 5 and len(named) > 3
    for name in linked + named:
        assert (paths.ROOT / name).exists(), name


def test_what_a_profile_costs_is_what_was_measured():
    text = (paths.ROOT / readme.COSTS).read_text(encoding="utf-8")
    for profile in ("reduced", "paper"):
        assert f"-->\n{costs.markdown(profile)}<!-- /{profile} -->" in text, "run ./run_all.sh site"


def test_update_writes_between_the_marks(root):
    (root / "reports").mkdir()
    (root / "reports" / "results").symlink_to(paths.RESULTS)
    readme.update(root)
    text = (root / "README.md").read_text(encoding="utf-8")
    assert re.match(
        r"before extent\n<!-- extent: x -->\nSo far \d+ of \d+ claims can be judged, and \d+ of \d+ printed", text
    )
    assert "\nbefore figure\n<!-- figure: x -->\n![" in text and "<!-- /papers -->\nbefore results\n" in text
    assert "\n<!-- results: x -->\n| paper |" in text and "<!-- /results -->\nbefore reduced\n" in text
    assert text.count("old 9") == 2  # what stands in the other file
    assert "| --- |" in (root / readme.COSTS).read_text(encoding="utf-8").split("before reduced")[1]
    assert (root / readme.FIGURE).read_bytes().startswith(b"<?xml")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert max(len(re.findall(r" \| ", row)) for row in rows) == 6 and len(rows) <= 2 * 2 + 5 + 5 * len(PAPERS)


def test_without_results_every_paper_is_called_unmeasured(root):
    readme.update(root)
    text = (root / "README.md").read_text(encoding="utf-8")
    assert text.count(readme.NOT_YET) == len(PAPERS) and "![" not in text
    assert "So far 0 of " in text and "claims can be judged, and 0 of " in text and text.count("only its abstract") == 1
    # Two lines of the table's head, and no claim below it.
    assert text.split("<!-- results: x -->\n")[1].count("\n|") == 1
    assert not (root / readme.FIGURE).exists()
    assert re.search(r"Nothing was measured yet of (\d+) of the \1 runs", (root / readme.COSTS).read_text())


@pytest.mark.parametrize(("file", "mark"), [("README.md", "extent"), ("docs/running.md", "reduced")])
def test_lost_marks_are_named(root, file, mark):
    (root / file).write_text("nothing to write between\n")
    with pytest.raises(UserError, match=rf"\.md: no '<!-- {mark}"):
        readme.update(root)


def test_what_it_shows_of_the_library_runs():
    block = (paths.ROOT / "README.md").read_text().partition("## As a library")[2].partition("```python\n")[2]
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60, 40])
    features = random.normal(0, 1, (100, 3)) + 3 * labels[:, None]
    names = {"features": features, "labels": labels, "others": features[:5]}
    exec(block.partition("```")[0], names)
    assert {"ClassSpecificExtrapolation", "ExpansiveOverSampler"} <= set(names)
