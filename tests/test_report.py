"""A page needs nothing but itself."""

import base64
import re
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from common import pages, report, tables
from common.errors import UserError
from common.papers import PAPERS

ATTACK = "<script>alert(1)</script>"
PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
        "0000000049454e44ae426082"
    )
).decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="3"/></svg>'


def shown(data, **metadata):
    return new_output("display_data", data=data, metadata=metadata)


def sample():
    """What a run leaves: every kind of cell and output that our notebooks have."""
    table = str(tables.table(pd.DataFrame({"class": [ATTACK], "auc": [0.5]}), "AUC per class"))
    return [
        new_markdown_cell("# Paper 4\n\nSee [results](#Results) and [the paper](https://example.org)."),
        new_code_cell("rho = 10", metadata={"tags": ["parameters"]}),
        new_code_cell("rho = 100", metadata={"tags": ["injected-parameters"]}),
        new_markdown_cell("## Protocol\n\nRatio $\\rho = \\frac{a}{b}$ and\n\n$$\\sum_i x_i < 1$$\n\n### Results"),
        new_markdown_cell("## Results\n\n\\begin{align*} a &= b \\\\ c &= d \\end{align*}"),
        new_code_cell(
            "secret_of_this_cell = 1",
            outputs=[
                new_output("stream", name="stderr", text="UserWarning: noise"),
                new_output("stream", name="stdout", text=" 33%|###   | 1/3\r100%|######| 3/3\nfinished\n"),
                shown({"image/svg+xml": SVG, "text/plain": "figure"}, **{"image/svg+xml": {"alt": 'AUC "over" rho'}}),
                shown({"image/png": PIXEL}),
                shown({"text/html": table, "text/plain": "Html"}),
                shown({report.WIDGETS: {"model_id": "1"}, "text/plain": "HBox(children=())"}),
            ],
        ),
    ]


def write(path, cells):
    notebook = new_notebook(cells=cells, metadata={"papermill": {"end_time": "2026-02-03T04:05:06.000000"}})
    nbformat.write(notebook, path)
    return path


def rendered(folder, cells, **options):
    options = {"title": f"Study {ATTACK}", "profile": "reduced"} | options
    page = report.render(
        write(folder / "in.ipynb", cells), folder / "reports/reduced/4_systematic_study.html", **options
    )
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return rendered(tmp_path_factory.mktemp("page"), sample())


# -- one page ----------------------------------------------------------------------------------------------------------


def test_page_holds_everything(page):
    assert not page.find_all(["script", "link", "iframe"])
    for element in page.select("[src], link[href]"):
        assert element.get("src", "").startswith("data:")
    styles = " ".join(style.get_text() for style in page.find_all("style"))
    assert "http:" not in styles and "https:" not in styles and "@import" not in styles
    assert page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"].startswith(
        "default-src 'none'"
    )


def test_formulas_are_mathml(page):
    assert len(page.find_all("math")) == 3
    assert page.find("math", display="block") and page.select_one("math mtable")
    assert "$" not in page.main.get_text()


def test_code_is_folded_and_parameters_are_not(page):
    folded = page.select("details.code")
    assert ["secret_of_this_cell" in cell.get_text() for cell in folded] == [True]
    assert not folded[0].has_attr("open")
    defaults, injected = page.select(".parameters")
    assert "rho = 10" in defaults.get_text() and defaults.name == "details" and not defaults.has_attr("open")
    assert "rho = 100" in injected.get_text() and injected.name == "div"
    assert [label.get_text() for label in page.select(".label")] == ["parameters (defaults)", "parameters of this run"]


def test_defaults_are_open_where_nothing_was_injected(tmp_path):
    page = rendered(tmp_path, [new_code_cell("rho = 10", metadata={"tags": ["parameters"]})])
    assert page.select_one("details.parameters").has_attr("open")


def test_tables_of_markdown_scroll_in_their_own_box(tmp_path):
    page = rendered(tmp_path, [new_markdown_cell("## Open questions\n\n| a | b |\n| --- | --- |\n| 1 | 2 |")])
    box = page.select_one(".table > table").parent
    assert (box["role"], box["tabindex"], box["aria-label"]) == ("region", "0", "Open questions")


def test_outputs_without_noise(page):
    text = page.main.get_text()
    assert "noise" not in text and "33%" not in text and "100%" not in text and "HBox" not in text
    assert [stream.get_text().strip() for stream in page.select(".stream")] == ["finished"]


def test_names_are_escaped(page):
    assert ATTACK in page.find("table").get_text() and "alert" not in str(page.find_all("script"))
    assert page.title.get_text() == f"Study {ATTACK}"


def test_images_have_alternative_texts(page):
    assert [image["alt"] for image in page.find_all("img")] == ['AUC "over" rho', "Figure: Results"]


def test_images_say_how_wide_they_are(page):
    assert [image["style"] for image in page.find_all("img")] == ["--width: 9px", "--width: 1px"]


@pytest.mark.parametrize(
    ("kind", "content", "width"),
    [
        ("svg+xml", b'<?xml version="1.0"?><svg height="9pt" version="1.1" width="72pt" viewBox="0 0 72 9">', 96),
        ("svg+xml", b'<svg width="40.4px">', 40),
        ("svg+xml", b'<svg viewBox="0 0 9 9"><rect width="3"/>', 0),
        ("png", base64.b64decode(PIXEL), 1),
    ],
)
def test_the_width_of_an_image(kind, content, width):
    assert pages.image_width(f"data:image/{kind};base64,{base64.b64encode(content).decode()}") == width
    assert pages.image_width("data:image/svg+xml,<svg width='9'/>") == 0


def test_contents_lead_to_headings(page):
    links = page.select("nav.contents a")
    assert [link.get_text() for link in links] == ["Protocol", "Results", "Results"]
    ids = [element["id"] for element in page.select("[id]")]
    assert len(ids) == len(set(ids))
    for link in page.select('a[href^="#"]'):
        assert unquote(link["href"][1:]) in ids


def test_badge_and_date(page):
    assert page.select_one(".made .badge").get_text() == "reduced"
    assert page.find("meta", attrs={"name": "date"})["content"] == "2026-02-03"


def test_navigation_leads_to_all_parts_and_marks_this_one(page):
    links = {link.select_one(".name").get_text(): link for link in page.select("nav.site a")}
    assert list(links) == ["Index", *(paper.short for paper in PAPERS), "Ledger", "Comparison"]
    assert [name for name, link in links.items() if link.get("aria-current")] == ["Systematic study"]
    assert links["Index"]["href"] == "../index.html" and links["Ledger"]["href"] == "../ledger.html"
    assert links["Category centers"]["href"] == "../index.html#paper-1"  # which has no page


def test_title_becomes_heading_where_there_is_none(tmp_path):
    soup = rendered(tmp_path, [new_markdown_cell("text")])
    assert soup.h1.get_text() == f"Study {ATTACK}#"
    assert not soup.select("nav.contents")


def test_failed_cell_shows_what_it_wrote(tmp_path):
    failed = new_output("error", ename="ValueError", evalue="x", traceback=["\x1b[31mValueError\x1b[0m: <b>"])
    soup = rendered(tmp_path, [new_code_cell("1/0", outputs=[new_output("stream", name="stderr", text="why"), failed])])
    assert [part.get_text().strip() for part in soup.select(".stream.error")] == ["why", "ValueError: <b>"]


@pytest.mark.parametrize("formula", [r"\frac{1}{", r"\nosuchcommand{x}", r"\left( a", "a & b"])
def test_formula_that_cannot_be_converted(tmp_path, formula):
    cells = [new_markdown_cell("# One"), new_markdown_cell(f"## Two\n\n${formula}$")]
    with pytest.raises(UserError, match=r"in\.ipynb: cell 2 \(## Two\): formula .*" + re.escape(formula)):
        rendered(tmp_path, cells)


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://example.org/a.js"></script>',
        '<img src="figure.png">',
        '<link rel="stylesheet" href="//example.org/a.css">',
        "<style>@import 'https://example.org/a.css';</style>",
        '<p style="background: url(https://example.org/a.png)">x</p>',
        '<iframe src="https://example.org"></iframe>',
    ],
)
def test_remote_content_is_refused(tmp_path, html):
    cells = [new_markdown_cell("# One"), new_code_cell("show()", outputs=[shown({"text/html": html})])]
    with pytest.raises(UserError, match=r"in\.ipynb: cell 2 (loads|has a style)"):
        rendered(tmp_path, cells)
    assert not list((tmp_path / "reports").rglob("*.html"))


def test_embedded_content_is_not(tmp_path):
    html = "<p style=\"background: url( 'data:image/png;base64,AAAA')\">x</p><script>let a = 1</script>"
    soup = rendered(tmp_path, [new_code_cell("show()", outputs=[shown({"text/html": html})])])
    assert soup.select_one(".output p") and not soup.find("script")


def test_a_page_above_the_limit_is_written_and_its_heaviest_cell_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "LIMIT", 60_000)
    heavy = new_code_cell("plot()", outputs=[shown({"text/html": "<p>" + "x" * 60_000})])
    assert rendered(tmp_path, [new_markdown_cell("# One"), heavy]).select_one(".output p")
    assert "more than 0.1 MB; cell 2 alone has 0.1 MB" in capsys.readouterr().err


def test_bad_input(tmp_path):
    with pytest.raises(UserError, match="profile 'full'"):
        rendered(tmp_path, sample(), profile="full")
    with pytest.raises(UserError, match="cannot be read"):
        report.render(tmp_path / "no.ipynb", tmp_path / "a.html", title="t", profile="demo")
    (tmp_path / "bad.ipynb").write_text("no json")
    with pytest.raises(UserError, match="no notebook"):
        report.render(tmp_path / "bad.ipynb", tmp_path / "a.html", title="t", profile="demo")
