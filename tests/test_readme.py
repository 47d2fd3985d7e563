"""The README says what the committed results say, and nothing else."""

import pytest

from common import paths, readme
from common.errors import UserError

MARKS = (
    "before\n<!-- papers: x -->\nold 98%\n<!-- /papers -->\nbetween\n<!-- results: x -->\nold 99%\n<!-- /results -->\n"
)


def test_the_readmes_results_are_those_that_are_committed():
    text = (paths.ROOT / "README.md").read_text()
    for name, block in readme.blocks().items():
        assert block.count("\n") > 5, f"no results for {name}"
        assert block in text, "run ./run_all.sh site"
    assert (paths.ROOT / readme.FIGURE).exists()


def test_update_writes_between_the_marks(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "results").symlink_to(paths.RESULTS)
    (tmp_path / "README.md").write_text(MARKS)
    readme.update(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n<!-- papers: x -->\n| | paper |") and "<!-- /papers -->\nbetween\n" in text
    assert "\n<!-- results: x -->\n**Paper" in text and text.endswith("<!-- /results -->\n")
    assert "old 9" not in text
    assert (tmp_path / readme.FIGURE).read_bytes().startswith(b"<?xml")


def test_without_results_every_paper_is_called_unmeasured(tmp_path):
    (tmp_path / "README.md").write_text(MARKS)
    readme.update(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.count(readme.NOT_YET) == 5 and "supported" not in text
    assert not (tmp_path / readme.FIGURE).exists()


def test_lost_marks_are_named(tmp_path):
    (tmp_path / "README.md").write_text("nothing to write between\n")
    with pytest.raises(UserError, match=r"README\.md: no '<!-- papers"):
        readme.update(tmp_path)
