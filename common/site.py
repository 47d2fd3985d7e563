"""`reports/index.html` and `reports/claims.csv`: every page there is, and every claim with its verdict.

Both follow from the files found: pages under ``reports/<profile>/``, results under ``reports/results/``, claims under
``common/published/``. Nothing of the moment is written into them, so that the same files give the same index.
"""

from __future__ import annotations

import html
import importlib
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from common import paths, tables
from common.papers import PAPERS, Paper

TEMPLATES = Path(__file__).resolve().parent / "templates"
PROFILES = {  # name to what its numbers are worth
    "demo": "stand-in data, minutes",
    "reduced": "real data, part of the grid, shortened schedule",
    "paper": "real data, the full grid and schedule",
}
OVERVIEW = "0_overview.html"
LEDGER = (
    "paper stem id statement where test metric direction n cells effect low high value margin verdict verdict_note "
    "note headline"
).split()


def site(reports: Path | None = None, results: Path | None = None, *, demo: bool = True) -> Path:
    """Write the index and the ledger again.

    Parameters
    ----------
    reports : Path, optional
        Folder of the pages (default: the project's, or IMBALANCE_REPORTS).
    results : Path, optional
        Folder of ``<stem>.parquet`` (default: the committed ones).
    demo : bool
        Whether demo pages are listed. They are not committed, so a committed index leaves them out.

    Returns
    -------
    Path
        ``<reports>/index.html``; ``claims.csv`` lies beside it.

    Raises
    ------
    UserError
        If a file of claims or results is not as it should be.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from common import jobs

    reports = Path(reports) if reports else jobs.reports_root()
    results = Path(results) if results else paths.RESULTS
    reports.mkdir(parents=True, exist_ok=True)
    claims = ledger(results)
    records = claims.to_dict("records")
    papers = [
        {
            "paper": paper,
            "summary": summary(paper, results),
            "pages": _pages(reports, paper.page, demo),
            "verdicts": Counter(row["verdict"] for row in records if row["paper"] == paper.number),
        }
        for paper in PAPERS
    ]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / "replication"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    index = reports / "index.html"
    index.write_text(
        environment.get_template("site.html.j2").render(
            papers=papers, overview=_pages(reports, OVERVIEW, demo), ledger=records, profiles=PROFILES,
            verdicts=list(tables.VERDICTS), badge=tables.verdict, effect=tables.verdict_effect,
            css=tables.Html(stylesheet()),
        ),
        encoding="utf-8", newline="\n",
    )  # fmt: skip
    claims.drop(columns="headline").to_csv(
        reports / "claims.csv", index=False, float_format="%.6g", lineterminator="\n"
    )
    return index


def stylesheet(code: bool = False) -> str:
    """The style of all pages; `code`: with that of highlighted source, light and dark."""
    css = (TEMPLATES / "replication" / "page.css").read_text(encoding="utf-8")
    if code:
        from pygments.formatters import HtmlFormatter

        light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("default", "github-dark"))
        screen = "screen and (prefers-color-scheme: dark)"
        css = f"@media not {screen} {{\n{light}\n}}\n@media {screen} {{\n{dark}\n}}\n{css}"
    return css


def ledger(results: Path) -> pd.DataFrame:
    """All claims of all papers with their verdicts, in the order of papers and files."""
    parts = [_evaluated(paper, results) for paper in PAPERS if (paths.PUBLISHED / f"{paper.stem}_claims.yaml").exists()]
    return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()).reindex(columns=LEDGER)


def measured(paper: Paper, results: Path) -> pd.DataFrame:
    """Rows of a paper's measured results that count; empty where there are none."""
    from common import study
    from common.store import Store

    module = _study(paper, results)
    return pd.DataFrame() if module is None else study.measured(module, Store(results / "no-store", results))


def summary(paper: Paper, results: Path) -> str:
    """What was measured for a paper, in the words of its study; "" where nothing was."""
    frame = measured(paper, results)
    return _study(paper, results).summary(frame) if len(frame) else ""


def _study(paper: Paper, results: Path):
    """The paper's study module if there are results; without them its import would only cost time."""
    name = f"common.studies.{paper.stem}"
    if not (results / f"{paper.stem}.parquet").exists() or not importlib.util.find_spec(name):
        return None
    return importlib.import_module(name)


def _evaluated(paper: Paper, results: Path) -> pd.DataFrame:
    from common import claims

    stated = claims.load(paper.stem)
    verdicts = claims.evaluate(stated, measured(paper, results), study_module=_study(paper, results))
    return verdicts.assign(paper=paper.number, stem=paper.stem, headline=[claim.headline for claim in stated])


def _pages(reports: Path, name: str, demo: bool) -> list[dict[str, str]]:
    """The pages called `name`, best profile first: profile, link, title and date as the page's head says them."""
    found = []
    for profile in reversed(PROFILES):
        if profile == "demo" and not demo:
            continue
        page = reports / profile / name
        if page.exists():
            with page.open(encoding="utf-8", errors="replace") as file:
                head = file.read(4096)
            title = re.search(r"<title>(.*?)</title>", head, re.DOTALL)
            date = re.search(r'<meta [^>]*content="([\d-]+)"[^>]*name="date"|name="date"[^>]*content="([\d-]+)"', head)
            found.append(
                {
                    "profile": profile,
                    "link": f"{profile}/{name}",
                    "title": html.unescape(title[1]).strip() if title else name,
                    "date": next(filter(None, date.groups())) if date else "",
                }
            )
    return found
