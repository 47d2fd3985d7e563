"""docs/reliability.md: written from the tests' run, and complete."""

import os
import subprocess
import sys

import reliability

from common.paths import ROOT

PAGE = ROOT / "docs" / "reliability.md"
EXAMPLE = """\
import pytest

@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.reliability("Second", "a | b")
def test_passes(n, happened, tmp_path):
    happened(f"{n} <kept> in {tmp_path}")
    happened("and more")

@pytest.mark.reliability("First", "what fails")
def test_fails(happened):
    happened("seen before")
    assert False

@pytest.mark.reliability("First", "what cannot begin")
def test_without_its_fixture(no_such_fixture):
    pass

@pytest.mark.reliability("First", "what is skipped")
def test_skipped():
    pytest.skip("needs root")

def test_unmarked():
    pass
"""


def pytest_run(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_page_says_what_happened(tmp_path):
    """Also when several processes run the tests."""
    (tmp_path / "test_example.py").write_text(EXAMPLE)
    pytest_run("-p", "reliability", "--reliability", tmp_path / "page.md", "-n", "2", tmp_path)
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Reliability")
    rows = reliability.read(text)
    assert [(row.area, row.tried, row.passed) for row in rows] == [
        ("First", "what fails", "no"),
        ("First", "what is skipped", "skipped"),
        ("First", "what cannot begin", "no"),
        ("Second", "a \\| b", "yes"),
        ("Second", "a \\| b", "yes"),
    ]
    assert rows[0].happened == "seen before" and rows[1].happened == "needs root"
    assert [row.happened for row in rows[3:]] == [f"{n} &lt;kept> in DIR; and more" for n in (1, 2)]
    assert rows[3].test == "test\\_example.py::test\\_passes"


def test_the_committed_page_lists_exactly_the_marked_tests(tmp_path):
    marked = [path for path in (ROOT / "tests").glob("test_*.py") if "mark.reliability" in path.read_text()]
    files = [path for path in marked if path.name != "test_reliability.py"]
    pytest_run("--collect-only", "-n", "0", "-m", "reliability", "--reliability", tmp_path / "page.md", *files)
    there_are, listed = (
        sorted((row.area, row.tried, row.test) for row in reliability.read(path.read_text()))
        for path in (tmp_path / "page.md", PAGE)
    )
    assert listed == there_are, "write the page again: its own header says how"
