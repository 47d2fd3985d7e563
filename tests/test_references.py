"""docs/references.bib is BibTeX, and holds every paper and every data set that we name."""

import re

import pytest
import yaml

from common import paths
from common.papers import PAPERS

NEEDED = {  # what BibTeX's standard styles warn about when it is missing
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "techreport": {"author", "title", "institution", "year"},
    "unpublished": {"author", "title", "note"},
    "misc": {"author", "title", "year"},
}


def parsed(text):
    """Entries by key: type and fields. Fails at the first character that BibTeX would not take."""
    text = re.sub(r"(?m)^%.*\n?", "", text)
    entries, at = {}, 0
    while rest := text[at:].strip():
        at = len(text) - len(text[at:].lstrip())
        opened = re.match(r"@(\w+)\{([\w-]+),\s*", text[at:])
        assert opened, f"no entry begins at {rest[:40]!r}"
        kind, key = opened.groups()
        assert key not in entries, f"{key} twice"
        at += opened.end()
        fields = {}
        while name := re.match(r"\s*(\w+)\s*=\s*\{", text[at:]):
            at += name.end()
            start, depth = at, 1
            while depth:
                assert at < len(text), f"{key}, {name[1]}: a brace is not closed"
                depth += {"{": 1, "}": -1}.get(text[at], 0)
                at += 1
            assert name[1] not in fields, f"{key}: {name[1]} twice"
            fields[name[1]] = " ".join(text[start : at - 1].split())
            comma = re.match(r"\s*,", text[at:])
            at += comma.end() if comma else 0
            if not comma:
                break
        closed = re.match(r"\s*\}", text[at:])
        assert closed, f"{key}: a comma or brace is missing at {text[at : at + 40]!r}"
        at += closed.end()
        entries[key] = (kind, fields)
    return entries


@pytest.fixture(scope="module")
def entries():
    return parsed((paths.ROOT / "docs" / "references.bib").read_text(encoding="utf-8"))


def plain(text):
    return re.sub(r"[{}]", "", text)


def test_entries_have_the_fields_of_their_type(entries):
    for key, (kind, fields) in entries.items():
        assert NEEDED[kind] <= fields.keys(), key
        assert all(fields.values()), key
        assert re.fullmatch(r"\d{4}", fields.get("year", "2000")), key
        assert re.fullmatch(r"10\.\d{4,}/\S+", fields.get("doi", "10.1000/x")), key


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.stem)
def test_every_paper_is_there_as_we_call_it(entries, paper):
    _, fields = entries[paper.stem]
    assert plain(fields["title"]) == paper.title
    assert fields.get("year") == (None if paper.year is None else str(paper.year))
    authors = [author.split(",")[0] for author in fields["author"].split(" and ")]
    named = re.findall(r"(?:[A-Z]\. )+([A-Z]\w+)", paper.authors)
    assert plain(" ".join(authors)).startswith(" ".join(named))
    assert "et al" in paper.authors or len(authors) == len(named)


def test_every_data_set_is_there(entries):
    cards = re.findall(r"^### (\w+)", (paths.ROOT / "docs" / "data.md").read_text(encoding="utf-8"), re.MULTILINE)
    generated = {"shapes", "textures"}
    known = {re.sub(r"^cifar\d+$|^cifar10$", "cifar", re.sub(r"^dagm.*", "dagm", name)) for name in cards} - generated
    assert known and known <= entries.keys()


def test_the_citation_file_names_the_papers():
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert [reference["title"] for reference in citation["references"]] == [paper.title for paper in PAPERS]
    for reference, paper in zip(citation["references"], PAPERS, strict=True):
        assert reference["type"] and reference["authors"][0]["family-names"] in paper.authors
        assert reference.get("year") == paper.year


@pytest.mark.parametrize(
    "text", ["@article{a, title = {x}", "@article{a, title = {x} year = {1}}", "text @a{b, c = {d}}"]
)
def test_what_is_not_bibtex_is_noticed(text):
    with pytest.raises(AssertionError):
        parsed(text)
