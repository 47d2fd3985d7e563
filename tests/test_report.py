"""A page needs nothing but itself, and the index knows every page and claim there is."""

import base64
import re
import shutil
import subprocess
from types import SimpleNamespace
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from common import paths, report, site, tables
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
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


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
    assert "rho" in page.select(".parameters")[0].get_text() and not page.select("details .parameters")
    assert [label.get_text() for label in page.select(".label")] == ["parameters (defaults)", "parameters of this run"]


def test_outputs_without_noise(page):
    text = page.main.get_text()
    assert "noise" not in text and "33%" not in text and "100%" not in text and "HBox" not in text
    assert [stream.get_text().strip() for stream in page.select(".stream")] == ["finished"]


def test_names_are_escaped(page):
    assert ATTACK in page.find("table").get_text() and "alert" not in str(page.find_all("script"))
    assert page.title.get_text() == f"Study {ATTACK}"


def test_images_have_alternative_texts(page):
    assert [image["alt"] for image in page.find_all("img")] == ['AUC "over" rho', "Figure: Results"]


def test_contents_lead_to_headings(page):
    links = page.select("nav.contents a")
    assert [link.get_text() for link in links] == ["Protocol", "Results", "Results"]
    ids = [element["id"] for element in page.select("[id]")]
    assert len(ids) == len(set(ids))
    for link in page.select('a[href^="#"]'):
        assert unquote(link["href"][1:]) in ids
    assert page.select_one(".top a")["href"] == "../index.html"


def test_badge_and_date(page):
    assert page.select_one(".top .badge").get_text() == "reduced"
    assert page.find("meta", attrs={"name": "date"})["content"] == "2026-02-03"


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


def test_size_limit_names_the_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "LIMIT", 60_000)
    heavy = new_code_cell("plot()", outputs=[shown({"text/html": "<p>" + "x" * 60_000})])
    with pytest.raises(UserError, match=r"limit is 0\.1 MB; cell 2 alone"):
        rendered(tmp_path, [new_markdown_cell("# One"), heavy])


def test_bad_input(tmp_path):
    with pytest.raises(UserError, match="profile 'full'"):
        rendered(tmp_path, sample(), profile="full")
    with pytest.raises(UserError, match="cannot be read"):
        report.render(tmp_path / "no.ipynb", tmp_path / "a.html", title="t", profile="demo")
    (tmp_path / "bad.ipynb").write_text("no json")
    with pytest.raises(UserError, match="no notebook"):
        report.render(tmp_path / "bad.ipynb", tmp_path / "a.html", title="t", profile="demo")


# -- index and ledger --------------------------------------------------------------------------------------------------

CLAIMS = f"""
- id: worse
  statement: Imbalance lowers AUC {ATTACK}.
  where: section 4.1
  test: difference
  metric: auc
  of: {{method: baseline, imbalance: step}}
  against: {{method: baseline, imbalance: none}}
  unmatched: [rho]
  direction: less
  margin: 0
- id: better
  statement: Imbalance raises AUC.
  where: section 4.2
  test: difference
  metric: auc
  of: {{method: baseline, imbalance: step}}
  against: {{method: baseline, imbalance: none}}
  unmatched: [rho]
  direction: greater
  margin: 0
"""


def measured():
    """Results in which imbalance costs a tenth of AUC; the columns of docs/architecture.md."""
    common = {
        "study": "category_centers", "version": 1, "profile": "reduced", "dataset": "cifar10", "stand_in": False,
        "network": "cnn", "mu": None, "sampler": "none", "to_rho": 1.0, "method": "baseline", "prior": None,
        "seeds": "{}", "learning_rate": 0.1, "iterations": 100, "schedule": "", "precision": "fp32",
        "selection": "last", "class_label": -1, "metric": "auc", "status": "ok", "train_seconds": 1.0,
        "device": "cpu", "code_version": "x", "created": "2026-01-01",
    }  # fmt: skip
    return pd.DataFrame(
        common | {"key": f"{kind}{r}", "imbalance": kind, "rho": rho, "replicate": r, "value": value - r / 1000}
        for kind, rho, value in (("none", 1.0, 0.9), ("step", 10.0, 0.8))
        for r in range(4)
    )


@pytest.fixture
def published(tmp_path, monkeypatch):
    """An empty folder of claims instead of the project's."""
    folder = tmp_path / "published"
    folder.mkdir()
    monkeypatch.setattr(paths, "PUBLISHED", folder)
    return folder


@pytest.fixture
def index(tmp_path, published, monkeypatch):
    """The index of one page, and of claims of two papers of which one was measured."""
    study = SimpleNamespace(STEM="category_centers", VERSION=1, summary=lambda frame: f"{len(frame)} <rows>.")
    monkeypatch.setattr(site, "_study", lambda paper, results: study if paper.stem == study.STEM else None)
    for stem in ("category_centers", "mobilenet_features"):
        (published / f"{stem}_claims.yaml").write_text(CLAIMS)
    reports = tmp_path / "reports"
    (reports / "results").mkdir(parents=True)
    measured().to_parquet(reports / "results/category_centers.parquet")
    rendered(tmp_path, sample())
    return report.site(reports, reports / "results")


def test_index_of_nothing(tmp_path, published):
    index = report.site(tmp_path / "reports")
    soup = BeautifulSoup(index.read_text(encoding="utf-8"), "html.parser")
    assert [item.h3.get_text() for item in soup.select(".papers > li")] == [paper.title for paper in PAPERS]
    assert soup.get_text().count("Not yet replicated.") == 5 and "No claims yet." in soup.get_text()
    assert len(pd.read_csv(tmp_path / "reports/claims.csv")) == 0


def test_index_and_ledger(index):
    soup = BeautifulSoup(index.read_text(encoding="utf-8"), "html.parser")
    assert soup.get_text().count("Not yet replicated.") == 4
    assert [item.get_text() for item in soup.select(".summary")] == ["8 <rows>."]
    for link in soup.find_all("a"):
        target, _, fragment = link["href"].partition("#")
        assert not target or (index.parent / target).exists()
        assert target or "=" in fragment or soup.find(id=fragment)
    rows = [(row["data-paper"], row["data-verdict"]) for row in soup.select(".ledger tbody tr")]
    assert rows == [("1", "supported"), ("1", "not supported"), ("2", "no data"), ("2", "no data")]
    assert "−0.100 [−0.100,\N{NO-BREAK SPACE}−0.100]" in soup.find("table").get_text()
    assert ATTACK in soup.find("table").get_text() and len(soup.find_all("script")) == 1
    ledger = pd.read_csv(index.parent / "claims.csv")
    assert ledger["verdict"].tolist() == ["supported", "not supported", "no data", "no data"]
    assert ledger["effect"].iloc[0] == pytest.approx(-0.1)


def test_a_committed_index_lists_no_demo_page(tmp_path, published):
    reports = tmp_path / "reports"
    report.render(write(tmp_path / "in.ipynb", sample()), reports / "demo" / PAPERS[3].page, title="x", profile="demo")
    assert "demo/" in report.site(reports).read_text(encoding="utf-8")
    assert "demo/" not in report.site(reports, demo=False).read_text(encoding="utf-8")


def test_same_files_give_the_same_index(index):
    before = index.read_bytes(), (index.parent / "claims.csv").read_bytes()
    report.site(index.parent, index.parent / "results")
    assert before == (index.read_bytes(), (index.parent / "claims.csv").read_bytes())


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_filter_in_a_browser(index, tmp_path):
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    for address, visible in {
        f"{index.as_uri()}#paper=1&verdict=not%20supported": 1,
        f"{index.as_uri()}#paper=2": 2,
        index.as_uri(): 4,
        f"{(index.parent / 'reduced/4_systematic_study.html').as_uri()}": None,
    }.items():
        done = subprocess.run([*command, address], capture_output=True, text=True, timeout=60, check=True)
        assert "CONSOLE" not in done.stderr
        soup = BeautifulSoup(done.stdout, "html.parser")
        if visible is None:
            assert soup.h1.get_text().startswith("Paper 4")
        else:
            assert len(soup.select(".ledger tbody tr:not([hidden])")) == visible
            assert soup.select_one("#shown").get_text() == f"{visible} of 4 claims"
            assert not soup.select_one("#filter").has_attr("hidden")
