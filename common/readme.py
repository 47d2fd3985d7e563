"""The README's results: its figure and its table, written from the committed results and never by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from common import paths, tables
from common.errors import UserError

FIGURE = Path("docs/figures/systematic_study.svg")
#: Claims whose verdicts the README shows: the paper's own conclusions as far as MNIST can speak to them.
HEADLINES = (
    "imbalance-detrimental",
    "oversampling-best",
    "undersampling-poor",
    "undersampling-on-par-at-extremes",
    "thresholding-improves-accuracy",
    "thresholding-improves-oversampling",
    "thresholding-not-with-undersampling",
    "weighted-loss-equivalent",
    "linear-5000-harmless",
    "lenet-below-1-percent",
)
_SECTION = re.compile(r"(<!-- results:.*?-->\n).*?(<!-- /results -->)", re.DOTALL)


def results(committed: Path | None = None) -> pd.DataFrame:
    """Committed rows of paper 4 on MNIST at its present version."""
    from common import study
    from common.store import Store
    from common.studies import systematic_study as paper

    frame = study.measured(paper, Store(paths.ROOT / "no-store", committed or paths.RESULTS))
    return frame[frame["dataset"] == "mnist"]


def section(frame: pd.DataFrame) -> str:
    """The README's results in Markdown: counts of verdicts, headline claims, what they rest on."""
    from common import claims
    from common.studies import systematic_study as paper

    verdicts = claims.evaluate(claims.load(paper.STEM), frame, paper)
    counts = verdicts["verdict"].value_counts()
    counted = ", ".join(f"{counts.get(name, 0)} {name}" for name in claims.Verdict if name != claims.Verdict.NO_DATA)
    grid, full = paper.main_rows(frame), paper.FULL_ITERATIONS["mnist"]
    iterations = int(grid["iterations"].max()) if len(grid) else 0
    schedule = f"{iterations:,} of {full:,} iterations" + (" (shortened)" if iterations < full else "")
    lines = [
        f"Paper 4 on MNIST so far: {frame['key'].nunique():,} networks. The grid of imbalances ran for {schedule} "
        f"with {grid['replicate'].nunique()} replicates. Of {len(verdicts)} claims: {counted}, "
        f"{counts.get(claims.Verdict.NO_DATA.value, 0)} not yet measured.",
        "",
        f"![Multi-class ROC AUC over the imbalance ratio, by method and fraction of minority classes]({FIGURE})",
        "",
        "| claim | effect [95% interval] | n | verdict |",
        "| --- | --- | --- | --- |",
    ]
    shown = verdicts.set_index("id").loc[list(HEADLINES)]
    for row in shown.to_dict("records"):
        # Without this a claim refuted by networks that diverged would stand beside an effect of nothing.
        lost = [part for part in row["verdict_note"].split("; ") if part.startswith("diverged in")]
        verdict = ": ".join([row["verdict"], *lost])
        cells = (row["statement"], tables.verdict_effect(row), row["n"], verdict)
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def update(root: Path = paths.ROOT) -> None:
    """Write the results into README.md and the figure beside it; without committed results nothing happens.

    Raises
    ------
    UserError
        If the README has lost the marks between which the results stand.
    """
    from common.studies import systematic_study as paper
    from common.studies import systematic_study_figures as show

    frame = results(root / "reports" / "results")
    if frame.empty:
        return
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    if not _SECTION.search(text):
        raise UserError(
            f"{readme.name}: no '<!-- results: ... -->' and '<!-- /results -->' to write between; restore them"
        )
    readme.write_text(_SECTION.sub(lambda m: m[1] + section(frame) + m[2], text), encoding="utf-8")
    figure = show.figures(paper.main_rows(frame)).get("3")
    if figure is not None:
        (root / FIGURE).parent.mkdir(parents=True, exist_ok=True)
        (root / FIGURE).write_bytes(figure.render())
