"""The site around the papers' pages: index, ledger of claims, comparison, and the navigation and style all share.

Everything follows from the files found: pages under ``reports/<profile>/``, results under ``reports/results/``, claims
and printed numbers under ``common/published/``. Nothing of the moment is written: the same files give the same site.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from common import pages, verdict_tables
from common.claim_words import caveats, how_tested
from common.ledger import Findings, by_chance, everything, ledger
from common.papers import PAPERS, Paper
from common.replications import reports_root

TEMPLATES = Path(__file__).resolve().parent / "templates"
OVERVIEW = "0_overview.html"
LIMIT = 3_000_000  # bytes of a page; more is slow on a phone and heavy in git


def site(
    reports: Path | None = None, results: Path | None = None, *, demo: bool = True, found: list[Findings] | None = None
) -> Path:
    """Write index, ledger and comparison again, and the navigation and style of all pages.

    Parameters
    ----------
    reports : Path, optional
        Folder of the pages (default: the project's, or IMBALANCE_REPORTS).
    results : Path, optional
        Folder of ``<stem>.parquet`` (default: the committed ones).
    demo : bool
        Whether demo pages are listed. They are not committed, so a committed index leaves them out.
    found : list of Findings, optional
        `ledger.everything` of these results, where it is known already.

    Returns
    -------
    Path
        ``<reports>/index.html``; ``ledger.html``, ``claims.csv`` and ``comparison.html`` lie beside it.

    Raises
    ------
    UserError
        If a file of claims or results is not as it should be, or a study lacks what its page needs.
    """
    from common import comparison

    reports = Path(reports) if reports else reports_root()
    for paper in PAPERS:
        comparison.hook(paper.stem)  # what is missing is said before anything is written
    reports.mkdir(parents=True, exist_ok=True)
    found = everything(results) if found is None else found
    claims = ledger(found)
    claims.drop(columns="headline").to_csv(
        reports / "claims.csv", index=False, float_format="%.6g", lineterminator="\n"
    )
    numbers = comparison.together({one.paper.stem: one.frame for one in found})
    _write_ledger(reports, claims, demo)
    _write_comparison(reports, numbers, demo)
    for profile in pages.PROFILES:
        for page in sorted((reports / profile).glob("*.html")):
            pages.refresh(page, shared(reports, page.name, profile))
    return _write_index(reports, found, claims, numbers, demo)


# -- what all pages share ----------------------------------------------------------------------------------------------


def _style(code: bool = False) -> str:
    """The style of all pages; `code`: with that of highlighted source, light and dark."""
    css = (TEMPLATES / "site" / "page.css").read_text(encoding="utf-8")
    if code:
        from pygments.formatters import HtmlFormatter

        light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("default", "github-dark"))
        screen = "screen and (prefers-color-scheme: dark)"
        css = f"@media not {screen} {{\n{light}\n}}\n@media {screen} {{\n{dark}\n}}\n{css}"
    return f"<style>\n{css}</style>"


def shared(reports: Path, name: str, profile: str) -> dict[str, str]:
    """What the page `name` of a notebook has between the marks of `pages.refresh`."""
    return {"style": _style(code=True), "navigation": navigation(reports, name, profile)}


def navigation(reports: Path, current: str, profile: str = "", demo: bool = False) -> str:
    """Links to all parts of the site, the current one marked.

    Parameters
    ----------
    reports : Path
    current : str
        File name of the page that it stands on.
    profile : str
        The folder of that page; "": it lies in `reports` itself. Links stay in the profile where they can; only demo
        pages lead to demo pages, for the others are committed without them.
    demo : bool
        Whether a page outside the profiles may link to demo pages.
    """
    demo = demo or profile == "demo"

    def link(name: str, otherwise: str) -> str:
        there = pages.find(reports, name, demo)
        best = next((page for page in there if page.profile == profile), there[0] if there else None)
        return best.link if best else otherwise

    entries = [("index.html", "index.html", "Index", "")]
    if overview := link(OVERVIEW, ""):
        entries.append((OVERVIEW, overview, "Overview", ""))
    for paper in PAPERS:
        entries.append((paper.page, link(paper.page, f"index.html#paper-{paper.number}"), paper.short, paper.number))
    entries += [("ledger.html", "ledger.html", "Ledger", ""), ("comparison.html", "comparison.html", "Comparison", "")]
    return (
        _templates()
        .get_template("navigation.html.j2")
        .render(entries=entries, current=current, up="../" if profile else "")
    )


@cache
def _templates():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES / "site"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _write(reports: Path, name: str, title: str, demo: bool, script: str = "", **content) -> Path:
    """One of the site's own pages; its script is allowed by its hash alone."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = _templates().get_template(f"{name}.j2").render(
        title=title, style=Markup(_style()), navigation=Markup(navigation(reports, name, demo=demo)),
        script=Markup(script), allowed=f"'sha256-{digest}'" if script else "'none'", profiles=pages.PROFILES,
        badge=verdict_tables.verdict, verdicts=list(verdict_tables.VERDICTS), **content,
    )  # fmt: skip
    if (size := len(text.encode())) > LIMIT:
        print(f"{name} has {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.1f} MB: split it", file=sys.stderr)
    pages.write(reports / name, text)
    return reports / name


# -- its own pages -----------------------------------------------------------------------------------------------------


def _write_index(reports: Path, found: list[Findings], claims: pd.DataFrame, numbers: pd.DataFrame, demo: bool) -> Path:
    from common import comparison

    entries = [_entry(one, pages.find(reports, one.paper.page, demo)) for one in found]
    return _write(
        reports, "index.html", "Five class-imbalance papers, replicated", demo,
        entries=entries, overview=pages.find(reports, OVERVIEW, demo), counts=_counts(claims["verdict"]),
        with_data=int((claims["verdict"] != "no data").sum()), numbers=comparison.paired(numbers),
    )  # fmt: skip


def _entry(found: Findings, there: list[pages.Page]) -> dict:
    """What the index says of one paper."""
    from common import comparison

    claims, own = found.claims, comparison.hook(found.paper.stem)
    chart = own.figure(found.frame) if found.summary else None
    shown = claims[claims["headline"].astype(bool) & (claims["verdict"] != "no data")]
    return {
        "paper": found.paper,
        "found": found,
        "pages": there,
        "counts": _counts(claims["verdict"]),
        "headlines": [_claim(row, there) for row in shown.to_dict("records")],
        "figure": _data(chart),
        "caption": f"{own.FIGURE} {own.drawn(found.frame)}" if chart else "",
    } | _deviations(own, found.frame)


def _deviations(own, frame: pd.DataFrame) -> dict:
    """Departures of the measured results from the paper: those that matter most, and the names of the others."""
    rows = own.deviations(frame) if len(frame) else []
    main = {(row["what"], str(row["paper"]), str(row["here"])): row for row in rows if row["what"] in own.MATTER}
    others = dict.fromkeys(row["what"] for row in rows if row["what"] not in own.MATTER)
    return {"deviations": list(main.values()), "others": list(others)}


def _write_ledger(reports: Path, claims: pd.DataFrame, demo: bool) -> None:
    there = {paper.number: pages.find(reports, paper.page, demo) for paper in PAPERS}
    # What was judged comes first: rows without data would hide it.
    ordered = claims.sort_values("verdict", key=lambda verdict: verdict == "no data", kind="stable")
    rows = [_claim(row, there[row["paper"]]) for row in ordered.to_dict("records")]
    totals = [(paper, _counts(claims.loc[claims["paper"] == paper.number, "verdict"])) for paper in PAPERS]
    script = (TEMPLATES / "site" / "ledger.js").read_text(encoding="utf-8")
    _write(
        reports, "ledger.html", "Every claim and its verdict", demo, script=script, rows=rows, chance=by_chance(claims),
        totals=[(paper, counts) for paper, counts in totals if counts], counts=_counts(claims["verdict"]),
        changes=verdict_tables.changes(claims),
    )  # fmt: skip


def _claim(row: dict, there: list[pages.Page]) -> dict:
    """A claim as the pages show it."""
    return row | {
        "tested": how_tested(row),
        "shown": verdict_tables.verdict_effect(row),
        "evidence": there[0].evidence(row["id"]) if there and row["verdict"] != "no data" else "",
        "limits": caveats(row["verdict_note"])[0],
        "judged": verdict_tables.judgement(row),
    }


def _counts(verdicts: pd.Series) -> dict[str, int]:
    """How often each verdict was given, in the order of `verdict_tables.VERDICTS`, without those never given."""
    counted = Counter(verdicts)
    return {name: counted[name] for name in verdict_tables.VERDICTS if counted[name]}


def _write_comparison(reports: Path, numbers: pd.DataFrame, demo: bool) -> None:
    parts = [_beside(paper, numbers[numbers["paper"] == paper.number]) for paper in PAPERS]
    _write(reports, "comparison.html", "Published numbers beside ours", demo, papers=parts)


def _beside(paper: Paper, frame: pd.DataFrame) -> dict:
    """What the comparison says of one paper: its figure, and a block a table, figure or section of the paper."""
    from common import comparison, comparison_tables

    results, settings = frame[frame["is_result"]], frame[~frame["is_result"]]
    blocks = []
    for where, rows in results.groupby("where", sort=False):
        ours, rest = rows[rows["ours"].notna()], rows[rows["ours"].isna()]
        blocks.append(
            {
                "where": where[:1].upper() + where[1:],
                "beside": comparison_tables.beside(ours, f"{where}: printed and ours") if len(ours) else "",
                "missing": len(rest),
                "waiting": comparison_tables.printed(rest, f"{where}: printed") if len(rest) else "",
            }
        )
    return {
        "paper": paper, "blocks": blocks, "chart": _data(comparison.figure(frame)),
        "paired": comparison.paired(frame), "unpaired": comparison.hook(paper.stem).UNPAIRED, "settings": len(settings),
        "setting": comparison_tables.printed(settings, "Printed settings") if len(settings) else "",
    }  # fmt: skip


def _data(chart) -> dict[str, str | int] | None:
    """A chart as an image that the page holds."""
    if chart is None:
        return None
    kind = "svg+xml" if chart.vector else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(chart.render()).decode()}"
    return {"src": source, "alt": chart.alt, "width": pages.image_width(source)}
