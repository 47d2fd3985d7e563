"""Index, ledger and comparison know every page, claim and printed number there is, and every link leads somewhere."""

import re
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell
from test_report import ATTACK, rendered, sample, shown, write

from common import claim_words, comparison, ledger, pages, paths, plots, report, site, tables, verdict_tables
from common.cells import Cell
from common.papers import PAPERS

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
  headline: true
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
        "selection": "last", "class_label": -1, "metric": "auc", "status": "ok", "train_seconds": 900.0,
        "device": "a processor, 2 cores", "code_version": "x", "created": "2026-01-01",
    }  # fmt: skip
    return pd.DataFrame(
        common
        | {
            "key": f"{kind}{r}",
            "imbalance": kind,
            "rho": rho,
            "replicate": r,
            "value": value - r / 1000 + (kind == "step") * (-1) ** r / 1000,
        }
        for kind, rho, value in (("none", 1.0, 0.9), ("step", 10.0, 0.8))
        for r in range(4)
    )


def printed():
    """Numbers of ours beside two printed ones, a printed one without ours, and one that is no result."""
    row = {
        "paper": 1, "where": "table V", "what": f"baseline {ATTACK}", "dataset": "cifar10", "metric": "auc",
        "printed": "95.0", "bound": "", "published": 0.95, "ours": 0.9, "low": 0.88,
        "high": 0.92, "n": 4, "difference": -0.05, "profile": "reduced",
        "stand_in": False, "full": True, "unit": "percent", "note": "", "is_result": True,
    }  # fmt: skip
    unknown = {"ours": None, "low": None, "high": None, "n": 0, "difference": None}
    setting = {"metric": "train images", "printed": "4000", "published": 4000.0, "is_result": False, "unit": "images"}
    return pd.DataFrame(
        [row, row | {"where": "table VI"}, row | unknown | {"what": "centres"}, row | unknown | setting]
    )


def chapter():
    """The section of measured results of a page: a verdict."""
    verdicts = pd.DataFrame(
        [
            {
                "id": "worse", "statement": "x", "where": "y", "test": "difference", "n": 4, "effect": -0.1,
                "low": -0.1, "high": -0.1, "verdict": "supported",
            }
        ]
    )  # fmt: skip
    return [
        new_markdown_cell("# Paper 1\n\n## What we found\n\n### Verdicts"),
        new_code_cell("show()", outputs=[shown({"text/html": str(verdict_tables.verdict_table(verdicts))})]),
    ]


def hook(stem):
    """What a study tells index and comparison."""
    chart = plots.class_counts([1, 2], alt="bars")
    rows = [{"what": what, "paper": 50, "here": ATTACK, "why": "cost"} for what in ("folds", "folds", "speed", "speed")]
    return SimpleNamespace(
        figure=lambda frame: chart,
        FIGURE="Two bars.",
        drawn=lambda frame: f"Of {len(frame)} rows.",
        deviations=lambda frame: rows,
        MATTER=("folds",),
        UNPAIRED="None.",
    )


@pytest.fixture
def published(tmp_path, monkeypatch):
    """An empty folder of claims instead of the project's, and three printed numbers."""
    folder = tmp_path / "published"
    folder.mkdir()
    monkeypatch.setattr(paths, "PUBLISHED", folder)
    monkeypatch.setattr(comparison, "together", lambda frames: printed())
    monkeypatch.setattr(comparison, "hook", hook)
    return folder


@pytest.fixture
def reports(tmp_path, published, monkeypatch):
    """A site of two papers with claims, of which the first was measured and has a page, and the fourth a page only."""
    study = SimpleNamespace(
        STEM="category_centers", VERSION=1, Cell=Cell, summary=lambda frame: f"{len(frame)} <rows>."
    )
    monkeypatch.setattr(ledger, "_study", lambda paper, results: study if paper.stem == study.STEM else None)
    for stem in ("category_centers", "mobilenet_features"):
        (published / f"{stem}_claims.yaml").write_text(CLAIMS)
    reports = tmp_path / "reports"
    (reports / "results").mkdir(parents=True)
    measured().to_parquet(reports / "results/category_centers.parquet")
    rendered(tmp_path, sample())
    page = write(tmp_path / "first.ipynb", chapter())
    report.render(page, reports / "reduced" / PAPERS[0].page, title="Paper 1", profile="reduced")
    site.site(reports, reports / "results")
    return reports


def parsed(page):
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def broken(reports):
    """Links of the pages that lead nowhere, each with its page."""
    found = sorted(reports.glob("*.html")) + [page for p in pages.PROFILES for page in (reports / p).glob("*.html")]
    names = {page.resolve(): {element["id"] for element in parsed(page).select("[id]")} for page in found}
    lost = []
    for page in found:
        for link in parsed(page).select("a[href]"):
            target, _, fragment = link["href"].partition("#")
            if re.match(r"\w+:", target):
                continue
            there = (page.parent / unquote(target)).resolve() if target else page.resolve()
            is_filter = there.name == "ledger.html" and (fragment == "all" or "=" in fragment)
            known = there in names and (not fragment or is_filter or unquote(fragment) in names[there])
            if not (known or (there.exists() and not fragment)):
                lost.append((page.name, link["href"]))
    return lost


def test_site_of_nothing(tmp_path, published):
    index = site.site(tmp_path / "reports", tmp_path / "none")
    soup = parsed(index)
    assert [one.h3.get_text().split(" ", 1)[1] for one in soup.select(".paper")] == [paper.title for paper in PAPERS]
    assert [one.p.find_next("p").get_text() for one in soup.select(".paper")] == [paper.says for paper in PAPERS]
    assert soup.get_text().count("Not yet measured.") == soup.get_text().count("No page yet.") == len(PAPERS)
    assert "No claims yet." in parsed(index.parent / "ledger.html").get_text()
    assert len(pd.read_csv(index.parent / "claims.csv")) == 0
    assert not broken(index.parent)


def test_index(reports):
    first, second, *_ = parsed(reports / "index.html").select(".paper")
    assert first.select_one(".summary").get_text() == "8 <rows>."
    assert first.select_one(".cost").get_text() == "Cost: 2.0 core hours of training on a processor, 2 cores."
    assert [(part["style"], part.a.get_text(), part.a["href"]) for part in first.select(".bar li")] == [
        ("flex-grow: 1", "1 supported", "ledger.html#paper=1&verdict=supported"),
        ("flex-grow: 1", "1 not supported", "ledger.html#paper=1&verdict=not%20supported"),
    ]
    (headline,) = first.select(".headlines li")  # only the claim that is called one
    assert ATTACK in headline.a.get_text() and headline.a["href"] == "ledger.html#1-worse"
    shown = "CIFAR-10; difference of AUC <\N{NO-BREAK SPACE}0: −0.100 [−0.102,\N{NO-BREAK SPACE}−0.098], n = 4"
    assert shown in headline.get_text()
    assert first.figure.img["alt"] == "bars" and first.figure.figcaption.get_text() == "Two bars. Of 8 rows."
    deviations = first.select_one(".deviations")
    assert [row.get_text() for row in deviations.select("li")] == [f"folds: in the paper 50; here {ATTACK}"]
    assert deviations.select_one(".note").get_text() == "Others, on the full page: speed."
    assert second.select_one(".none").get_text() == "Not yet measured." and not second.figure
    assert not broken(reports)


def test_ledger(reports):
    soup = parsed(reports / "ledger.html")
    rows = soup.select(".ledger tbody tr")
    assert [(row["id"], row["data-verdict"]) for row in rows] == [
        ("1-worse", "supported"), ("1-better", "not supported"), ("2-worse", "no data"), ("2-better", "no data"),
    ]  # fmt: skip
    cells = {cell["data-label"]: cell for cell in rows[0].select("[data-label]")}
    assert ATTACK in rows[0].th.get_text() and "Measured on CIFAR-10." in rows[0].th.get_text()
    assert cells["holds if"].get_text() == "difference of AUC <\N{NO-BREAK SPACE}0"
    assert cells["effect"].get_text() == "−0.100 [−0.102,\N{NO-BREAK SPACE}−0.098]"
    assert cells["n"].get_text() == "4 1\N{NO-BREAK SPACE}cell each"
    assert cells["evidence"].a["href"] == "reduced/1_category_centers.html#claim-worse"
    # A claim that is not in the page's table leads to the table; one without results nowhere.
    assert rows[1].select_one("[data-label=evidence] a")["href"] == "reduced/1_category_centers.html#Verdicts"
    assert not rows[2].select("[data-label=evidence] a")
    counts = {label.input["value"]: label.select_one(".count").get_text() for label in soup.select("#filter label")}
    assert counts == {"1": "2", "2": "2", "supported": "1", "not supported": "1", "no data": "2"}
    assert (
        len(soup.find_all("script")) == 1
        and "script-src 'sha256-" in soup.meta.find_next("meta").find_next("meta")["content"]
    )


def test_claims_file_is_the_ledger(reports):
    claims = pd.read_csv(reports / "claims.csv")
    assert claims["verdict"].tolist() == ["supported", "not supported", "no data", "no data"]
    assert claims["effect"].iloc[0] == pytest.approx(-0.1)


def test_comparison(reports):
    first, second = parsed(reports / "comparison.html").select("section")[:2]
    assert "2 of 3 printed results have one of ours beside them." in first.get_text()
    (row,) = first.select_one("h3 + .table").select("tbody tr")
    assert [cell.get_text() for cell in row.select("th, td")] == [
        f"baseline {ATTACK}", "CIFAR-10", "AUC", "95.0", "%", "90.0 [88.0,\N{NO-BREAK SPACE}92.0]", "4", "−5.0",
        "reduced",
    ]  # fmt: skip
    assert [fold.summary.get_text() for fold in first.select("details")] == [
        "Table V: 1 not measured", "1 numbers that say how the paper set it up",
    ]  # fmt: skip
    assert "4000" in first.select("details")[1].get_text()
    assert first.figure.img["src"].startswith("data:image/svg+xml") and first.figure.img["alt"]
    assert not second.figure and "0 of 0 printed results" in second.get_text()


def test_pages_are_refreshed_and_only_where_all_share_something(reports):
    page = reports / "reduced" / PAPERS[0].page
    before = page.read_text(encoding="utf-8")
    assert f'href="../reduced/{PAPERS[3].page}"' in before  # rendered after this one
    old = before.replace("--paper: #ffffff", "--paper: #123456").replace("Category centers", "Old name")
    page.write_text(old, encoding="utf-8")
    stranger = reports / "reduced" / "own.html"
    stranger.write_text("<p>mine</p>")
    site.site(reports, reports / "results")
    assert page.read_text(encoding="utf-8") == before
    assert stranger.read_text() == "<p>mine</p>"


def test_the_index_has_the_overviews_advice(tmp_path, published):
    """And the notebooks still have the sections that the site takes from their pages."""
    notebooks = {path.name: path.read_text(encoding="utf-8") for path in (paths.ROOT / "notebooks").glob("*.ipynb")}
    for name, text in notebooks.items():
        wanted = f"## {pages.ADVICE}" if name.startswith("0") else f"### {pages.VERDICTS}"
        assert f'"{wanted}' in text, name
    table = tables.table(pd.DataFrame({"use": [ATTACK]}), "If it is rare")
    cells = [new_markdown_cell(f"## {pages.ADVICE}"), new_code_cell("x", outputs=[shown({"text/html": str(table)})])]
    overview = tmp_path / "reports" / "reduced" / site.OVERVIEW
    report.render(write(tmp_path / "in.ipynb", cells), overview, title="Overview", profile="reduced")
    soup = parsed(site.site(tmp_path / "reports", tmp_path / "none"))
    fold = soup.select_one("#use ~ details")
    assert fold.summary.get_text() == "If it is rare" and fold.td is None and fold.tbody.th.get_text() == ATTACK
    assert "../reduced/0_overview.html" not in str(soup) and soup.select_one("nav.site li:nth-child(2) a")["href"] == (
        "reduced/0_overview.html"
    )
    assert not broken(tmp_path / "reports")


def test_a_committed_site_leads_to_no_demo_page(tmp_path, published):
    reports = tmp_path / "reports"
    for profile in ("demo", "reduced"):
        notebook = write(tmp_path / "in.ipynb", sample())
        report.render(notebook, reports / profile / PAPERS[4].page, title="x", profile=profile)
    report.render(notebook, reports / "demo" / PAPERS[3].page, title="x", profile="demo")
    committed = [reports / "reduced" / PAPERS[4].page, *(reports / f"{n}.html" for n in ("ledger", "comparison"))]
    site.site(reports, tmp_path / "none")
    assert f"demo/{PAPERS[3].page}" in (reports / "index.html").read_text(encoding="utf-8")
    assert "demo/" not in committed[0].read_text(encoding="utf-8")
    # From a demo page to demo pages where there are any.
    navigation = parsed(reports / "demo" / PAPERS[3].page).select_one("nav.site")
    assert f"../demo/{PAPERS[4].page}" in [link["href"] for link in navigation.select("a")]
    site.site(reports, tmp_path / "none", demo=False)
    for page in (reports / "index.html", *committed):
        assert "demo/" not in page.read_text(encoding="utf-8")
    assert not broken(reports)


def test_same_files_give_the_same_site(reports):
    before = {page: page.read_bytes() for page in reports.rglob("*.*")}
    site.site(reports, reports / "results")
    assert before == {page: page.read_bytes() for page in reports.rglob("*.*")}


@pytest.mark.parametrize(
    ("words", "claim"),
    {
        "difference of AUC > −0.01": {"test": "difference", "direction": "not less", "margin": 0.01},
        "difference of AUC within ±0.01": {"test": "equivalence", "margin": 0.01},
        "AUC > 0.99": {"test": "level", "direction": "greater", "margin": 0.0, "value": 0.99},
        "AUC within ±0.01 of 0.9": {"test": "level", "direction": "equal", "margin": 0.01, "value": 0.9},
        "slope of AUC over ρ (per decade) < 0": {
            "test": "trend", "direction": "less", "margin": 0.0, "over": "rho", "scale": "log10",
        },
        "share saved > 0.1": {
            "test": "claim_saving", "quantity": "share saved", "direction": "greater", "margin": 0.1,
        },
        "percent of time saved within ±5 of 20.7": {
            "test": "claim_percent_saved", "quantity": "percent of time saved", "margin": 5.0, "value": 20.7,
        },
        "difference of train accuracy − accuracy < 0": {
            "test": "difference", "metric": "train_accuracy - accuracy", "direction": "less", "margin": 0.0,
        },
    }.items(),
)  # fmt: skip
def test_how_a_claim_is_tested(words, claim):
    assert claim_words.how_tested({"metric": "auc"} | claim).replace("\N{NO-BREAK SPACE}", " ") == words


def test_what_limits_a_verdict_is_told_apart():
    note = (
        "1 without a partner left out; shortened schedule: 1 of 2 iterations; diverged in 3 cells whose partner did not"
    )
    limits, how = claim_words.caveats(note)
    assert limits == "shortened schedule: 1 of 2 iterations; diverged in 3 cells whose partner did not"
    assert how == "1 without a partner left out" and claim_words.caveats("") == ("", "")
    row = {"verdict": "undecided", "verdict_note": note}
    assert "<summary>how judged</summary>1 without" in verdict_tables.judgement(row)
    assert "<details" not in verdict_tables.judgement(row | {"verdict": "no data"})


# -- what is committed -------------------------------------------------------------------------------------------------

REPORTS = paths.ROOT / "reports"
COMMITTED = [page for page in sorted(REPORTS.rglob("*.html")) if page.parent.name != "demo"]


def test_committed_links_resolve(tmp_path):
    for page in COMMITTED:
        copy = tmp_path / page.relative_to(REPORTS)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(page.read_bytes())
    (tmp_path / "claims.csv").touch()
    assert len(COMMITTED) > 3 and not broken(tmp_path)


def test_committed_pages_are_small_and_hold_everything():
    for page in COMMITTED:
        assert page.stat().st_size <= site.LIMIT, page
        soup = parsed(page)
        assert not soup.select("link, iframe, [src]:not([src^='data:'])"), page
        assert all(image["alt"].strip() for image in soup.select("img")), page
        policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
        assert policy.startswith("default-src 'none'") and "script-src 'unsafe-inline'" not in policy


def test_committed_claims_are_those_of_the_committed_results():
    found, committed = ledger.ledger([ledger.findings(paper) for paper in PAPERS]), pd.read_csv(REPORTS / "claims.csv")
    wanted = ["paper", "id", "n", "verdict"]
    assert found["id"].tolist() == committed["id"].tolist(), "run ./run_all.sh site"
    stale = committed.loc[(found[wanted] != committed[wanted]).any(axis=1), wanted]
    assert stale.empty, f"run ./run_all.sh site: {stale.to_string()}"
    assert found["verdict_note"].tolist() == committed["verdict_note"].fillna("").tolist()
    for column in ("effect", "low", "high"):  # as many digits as are written
        np.testing.assert_allclose(found[column], committed[column], atol=1e-4, err_msg=column)


@pytest.mark.parametrize(
    "page", [page for page in COMMITTED if page.parent.name in pages.PROFILES], ids=lambda p: p.name
)
def test_a_page_says_what_the_ledger_says(page):
    claims = pd.read_csv(REPORTS / "claims.csv")
    number = int(page.name.split("_")[0])
    claims = claims[claims["paper"] == number] if number else claims  # 0: the overview, of all papers
    for row in parsed(page).select("table.verdicts tbody tr"):
        badge = row.select_one(".verdict")
        said = badge.get_text().split(" ", 1)[1] if badge else "no data"  # the table of claims that wait has no badges
        known = set(claims.loc[claims["statement"] == row.th.get_text(), "verdict"])
        assert said in known, f"{page.name} and claims.csv disagree: export results, render the page, run_all.sh site"
