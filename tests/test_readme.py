"""The README says what the committed results say, and nothing else."""

import pytest

from common import paths, readme
from common.errors import UserError


def test_the_readmes_results_are_those_that_are_committed():
    frame = readme.results()
    assert len(frame), "no committed results of paper 4"
    text = (paths.ROOT / "README.md").read_text()
    assert readme.section(frame) in text, "run ./run_all.sh site"
    assert (paths.ROOT / readme.FIGURE).exists()


def test_update_writes_between_the_marks(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "results").symlink_to(paths.RESULTS)
    (tmp_path / "README.md").write_text("before\n<!-- results: x -->\nold 99%\n<!-- /results -->\nafter\n")
    readme.update(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n<!-- results: x -->\nPaper 4") and text.endswith("<!-- /results -->\nafter\n")
    assert "old 99%" not in text
    assert (tmp_path / readme.FIGURE).read_bytes().startswith(b"<?xml")


def test_lost_marks_are_named(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "results").symlink_to(paths.RESULTS)
    (tmp_path / "README.md").write_text("nothing to write between\n")
    with pytest.raises(UserError, match=r"README\.md: no '<!-- results"):
        readme.update(tmp_path)
