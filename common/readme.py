"""The README's results: state of the papers, verdicts, figure; from the committed results and never by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from common import paths, site, tables
from common.claims import Verdict
from common.errors import UserError
from common.papers import PAPERS

FIGURE = Path("docs/figures/systematic_study.svg")
NOT_YET = "not yet measured"


def blocks(results: Path | None = None) -> dict[str, str]:
    """What stands between the README's marks, by the marks' name, in Markdown.

    Parameters
    ----------
    results : Path, optional
        Folder of the measured results (default: the committed ones).
    """
    results = results or paths.RESULTS
    ledger = site.ledger(results)
    measured = {paper.number: site.summary(paper, results) for paper in PAPERS}
    return {"papers": _papers(ledger, measured), "results": _headlines(ledger, measured)}


def _papers(ledger: pd.DataFrame, measured: dict[int, str]) -> str:
    """A row a paper: what was measured, and how its claims fared."""
    lines = ["| | paper | measured | claims |", "| --- | --- | --- | --- |"]
    for paper in PAPERS:
        counts = ledger.loc[ledger["paper"] == paper.number, "verdict"].value_counts()
        counted = ", ".join(f"{counts[name]} {name}" for name in Verdict if counts.get(name))
        what = measured[paper.number] or NOT_YET
        lines.append(f"| {paper.number} | {paper.authors}, *{paper.title}* | {what} | {counted or '-'} |")
    return "\n".join(lines) + "\n"


def _headlines(ledger: pd.DataFrame, measured: dict[int, str]) -> str:
    """The claims that their files call headlines, as far as they were measured, by paper."""
    headline = ledger["headline"].astype(bool) & (ledger["verdict"] != Verdict.NO_DATA)
    lines = []
    for paper in PAPERS:
        shown = ledger[headline & (ledger["paper"] == paper.number)]
        if shown.empty:
            continue
        lines += [f"**Paper {paper.number}**: {measured[paper.number]}", ""]
        if paper.stem == FIGURE.stem:
            alt = "Multi-class ROC AUC over the imbalance ratio, by method and fraction of minority classes"
            lines += [f"![{alt}]({FIGURE})", ""]
        lines += ["| claim | effect [95% interval] | n | verdict |", "| --- | --- | --- | --- |"]
        lines += [_row(row) for row in shown.to_dict("records")] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _row(claim: dict) -> str:
    # Without this a claim refuted by networks that diverged would stand beside an effect of nothing.
    lost = [part for part in claim["verdict_note"].split("; ") if part.startswith("diverged in")]
    cells = (claim["statement"], tables.verdict_effect(claim), claim["n"], ": ".join([claim["verdict"], *lost]))
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def figure(results: Path | None = None):
    """Paper 4's figure 3 from the committed results, or None."""
    from common.studies import systematic_study as study
    from common.studies import systematic_study_figures as show

    frame = site.measured(next(paper for paper in PAPERS if paper.stem == study.STEM), results or paths.RESULTS)
    return show.figures(study.main_rows(frame[frame["dataset"] == "mnist"])).get("3") if len(frame) else None


def update(root: Path = paths.ROOT) -> None:
    """Write the results into README.md and the figure beside it.

    Raises
    ------
    UserError
        If the README has lost the marks between which the results stand.
    """
    results, readme = root / "reports" / "results", root / "README.md"
    text = readme.read_text(encoding="utf-8")
    for name, block in blocks(results).items():
        place = re.compile(rf"(<!-- {name}:.*?-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not place.search(text):
            raise UserError(
                f"{readme.name}: no '<!-- {name}: ... -->' and '<!-- /{name} -->' to write between; restore them"
            )
        text = place.sub(lambda match, block=block: match[1] + block + match[2], text)
    readme.write_text(text, encoding="utf-8")
    drawn = figure(results)
    if drawn is not None:
        (root / FIGURE).parent.mkdir(parents=True, exist_ok=True)
        (root / FIGURE).write_bytes(drawn.render())
