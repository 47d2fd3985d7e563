"""What was tried against the project and what happened: docs/reliability.md, written by the tests' own run.

    python -m pytest -m reliability --reliability docs/reliability.md -n 2

A test takes part by a marker, and may say by the fixture `happened` what it saw::

    @pytest.mark.reliability("Processes", "kill -9 of a run at 20 random moments")
    def test_...(happened):
        ...
        happened(f"{kept} finished cells kept, {again} run again")

The rows travel with the tests' reports (`user_properties`), so pytest-xdist changes nothing: its controller writes.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Reliability

What was tried, and what happened. The tests themselves write this page, from what they saw:

```bash
python -m pytest -m reliability --reliability docs/reliability.md -n 2
```

Every start of the command puts the whole page anew. A number may differ from run to run where chance decides the moment
of a kill; that the list of tests is complete, `tests/test_reliability.py` checks.
"""


@dataclass(frozen=True, order=True)
class Row:
    """A line of the page; `passed` is yes, no, skipped, or a dash for a test that was only collected."""

    area: str
    test: str
    tried: str
    happened: str = ""
    passed: str = "-"


def pytest_addoption(parser):
    parser.addoption("--reliability", metavar="FILE", help="write what the marked tests tried and saw to FILE")


def pytest_configure(config):
    config.addinivalue_line("markers", "reliability(area, tried): a row of docs/reliability.md")
    if config.getoption("reliability") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Writer(Path(config.getoption("reliability"))), "reliability-writer")


@pytest.fixture
def happened(request):
    """Call it with a sentence of what was seen; several calls make several sentences."""
    return lambda text: request.node.user_properties.append(("happened", _without_places(str(text), request)))


def _without_places(text: str, request) -> str:
    """Folders of this machine and this run out of a text."""
    if "tmp_path" in request.fixturenames:
        text = text.replace(str(request.getfixturevalue("tmp_path")), "DIR")
    return text.replace(str(ROOT), ".").replace(tempfile.gettempdir(), "DIR")


def pytest_runtest_setup(item):
    if row := _marked(item):
        item.user_properties.append(("reliability", json.dumps([row.area, row.test, row.tried])))


def _marked(item) -> Row | None:
    """The row of a collected test, or None if it has no marker."""
    marker = item.get_closest_marker("reliability")
    if marker is None:
        return None
    area, tried = marker.args
    return Row(area, f"{item.path.name}::{item.originalname}", tried)


class _Writer:
    """Gathers the rows in the process that reports, and writes them at the end."""

    def __init__(self, path: Path):
        self.path, self.found = path, {}

    def pytest_collection_finish(self, session):
        if session.config.option.collectonly:
            self.found = {item.nodeid: row for item in session.items if (row := _marked(item))}

    def pytest_runtest_logreport(self, report):
        properties = dict(report.user_properties)
        if "reliability" not in properties or (report.when != "call" and report.passed):
            return
        area, test, tried = json.loads(properties["reliability"])
        said = "; ".join(text for name, text in report.user_properties if name == "happened")
        if report.skipped and isinstance(report.longrepr, tuple):
            said = report.longrepr[2].removeprefix("Skipped: ")
        passed = {"passed": "yes", "failed": "no", "skipped": "skipped"}[report.outcome]
        self.found[report.nodeid] = Row(area, test, tried, said, passed)

    def pytest_sessionfinish(self):
        self.path.write_text(page(self.found.values()), encoding="utf-8")


def page(rows) -> str:
    """The page: a heading per area, a table below each."""
    rows, parts = sorted(rows), [HEADER]
    for area in dict.fromkeys(row.area for row in rows):
        parts.append(f"\n## {area}\n\n| what was tried | what happened | test | passed |\n| --- | --- | --- | --- |\n")
        parts += [
            f"| {_cell(r.tried)} | {_cell(r.happened)} | {_cell(r.test)} | {r.passed} |\n"
            for r in rows
            if r.area == area
        ]
    return "".join(parts)


def read(text: str) -> list[Row]:
    """The rows of a page."""
    rows, area = [], ""
    for line in text.splitlines():
        if line.startswith("## "):
            area = line[3:]
        elif line.startswith("| ") and not line.startswith(("| what was tried", "| ---")):
            tried, happened, test, passed = line[2:-2].replace("\\|", "\0").split(" | ")
            rows.append(Row(area, test, *(cell.replace("\0", "\\|") for cell in (tried, happened)), passed))
    return rows


def _cell(text: str) -> str:
    """A text inside a table of Markdown, with nothing in it that a page would take for markup."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return text.replace("*", "\\*").replace("_", "\\_")
