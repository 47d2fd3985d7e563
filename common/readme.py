"""Results in Markdown files: the README's figure, state of the papers and verdicts, and what the profiles cost.

They come from the committed results and are never written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from common import comparison, costs, paths, tables, verdict_tables
from common.claim_words import caveats
from common.errors import UserError
from common.ledger import Findings, everything
from common.look import Chart

FIGURE = Path("docs/figures/systematic_study.svg")
COSTS = Path("docs/running.md")
ALT = "Multi-class ROC AUC over the imbalance ratio, by method and fraction of minority classes"
NOT_YET = "not yet measured"


def blocks(found: list[Findings], chart: Chart | None) -> dict[str, str]:
    """What stands between the README's marks, by the marks' name, in Markdown.

    Parameters
    ----------
    found : list of Findings
        `ledger.everything`.
    chart : Chart or None
        `figure` of them.
    """
    caption = "" if chart is None else _caption(found)
    return {"extent": _extent(found), "figure": caption, "papers": _papers(found), "results": _headlines(found)}


def _extent(found: list[Findings]) -> str:
    """How many of the printed results and claims have results of ours."""
    paired, printed = comparison.paired(comparison.together({one.paper.stem: one.frame for one in found}))
    verdicts = pd.concat([one.claims["verdict"] for one in found])
    return (
        f"So far {(verdicts != 'no data').sum()} of {len(verdicts)} claims can be judged, and {paired} of {printed} "
        "printed results have one of ours beside them; the rest waits for machines and data.\n"
    )


def _caption(found: list[Findings]) -> str:
    """The figure with what it shows."""
    one = _drawn(found)
    drawn = comparison.hook(one.paper.stem).drawn(one.frame)
    return f"![{ALT}]({FIGURE})\n\n*Figure 3 of paper {one.paper.number}, rerun; bars are 95% intervals. {drawn}*\n"


def _drawn(found: list[Findings]) -> Findings:
    return next(one for one in found if one.paper.stem == FIGURE.stem)


def _papers(found: list[Findings]) -> str:
    """A row a paper: what was measured, and how its claims fared."""
    heads = [f"{mark} {name}" for name, mark in verdict_tables.VERDICTS.items()]
    rows = []
    for one in found:
        counts = one.claims["verdict"].value_counts()
        counted = [counts.get(name, 0) for name in verdict_tables.VERDICTS]
        paper = f"**{one.paper.short}** ({one.paper.source})"
        rows.append([one.paper.number, paper, one.summary or NOT_YET, *counted])
    return tables.markdown(["", "paper", "measured", *heads], rows, right=heads) + "\n"


def _headlines(found: list[Findings]) -> str:
    """The claims that their files call headlines, as far as they were measured."""
    rows = []
    for one in found:
        shown = one.claims[one.claims["headline"].astype(bool) & (one.claims["verdict"] != "no data")]
        rows += [_row(row) for row in shown.to_dict("records")]
    heads = ["paper", "claim", "measured on", "effect [95% interval]", "n", "verdict"]
    return tables.markdown(heads, rows, right=["n"]) + "\n"


def _row(claim: dict) -> tuple:
    limits = [limit for limit in caveats(claim["verdict_note"])[0].split("; ") if limit]
    limits = [limit if "favourable of" in limit else limit.split(":")[0] for limit in limits]
    verdict = f"{verdict_tables.VERDICTS[claim['verdict']]} {claim['verdict']}"
    verdict += f" ({', '.join(limits)})" if limits else ""
    return claim["paper"], claim["statement"], claim["data"], verdict_tables.verdict_effect(claim), claim["n"], verdict


def figure(found: list[Findings]) -> Chart | None:
    """Paper 4's figure 3, or None where it was not measured."""
    one = _drawn(found)
    return comparison.hook(one.paper.stem).figure(one.frame) if len(one.frame) else None


def update(root: Path = paths.ROOT, found: list[Findings] | None = None) -> None:
    """Write the results into README.md, the figure beside it, and the costs into docs/running.md.

    Parameters
    ----------
    root : Path
    found : list of Findings, optional
        `ledger.everything` of the results in it, where it is known already.

    Raises
    ------
    UserError
        If a file has lost the marks between which the results stand.
    """
    results = root / "reports" / "results"
    found = everything(results) if found is None else found
    drawn = figure(found)
    _write(root / "README.md", blocks(found, drawn))
    _write(root / COSTS, {name: costs.markdown(name, results) for name in ("reduced", "paper")})
    if drawn is not None:
        (root / FIGURE).parent.mkdir(parents=True, exist_ok=True)
        (root / FIGURE).write_bytes(drawn.render())


def _write(file: Path, contents: dict[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for name, block in contents.items():
        place = re.compile(rf"(<!-- {name}:.*?-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not place.search(text):
            raise UserError(
                f"{file.name}: no '<!-- {name}: ... -->' and '<!-- /{name} -->' to write between; restore them"
            )
        text = place.sub(lambda match, block=block: match[1] + block + match[2], text)
    file.write_text(text, encoding="utf-8")
