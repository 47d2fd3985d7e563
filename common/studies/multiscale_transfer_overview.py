"""What the overview takes from paper 5: why no printed number has a partner, figure, contest of methods, deviations."""

from __future__ import annotations

import pandas as pd

from common.names import named
from common.studies import multiscale_transfer as study
from common.studies import multiscale_transfer_figures as show

RESULTS = ("accuracy", "accuracy_gain")
UNPAIRED = (
    "The abstract's figures are averages over three data sets, of which MURA and the industrial one are not at hand; "
    "none of ours is the same quantity, and its page shows both."
)
BASELINE = "baseline"
MEASURES = {"balanced_accuracy": "balanced accuracy", "pr_auc": "PR-AUC of the defects"}
SITUATIONS = {
    "imagenet": "look for rare defects with a network on a fixed ImageNet trunk, a reconstruction",
    "own": "look for rare defects with a small network from pixels, a reconstruction",
}
#: On the ImageNet trunk these are copies of baseline and oversampling.
COPIES = ("one-stage natural", "one-stage balanced")
FIGURE = "Four measures over the ratio of normal images to defects, by way of training (a reconstruction)."
STAND_INS = {"magnetic_tile": " (stand-in)"}  # for the paper's industrial set
MATTER = ("the whole method", "data", "source task", "ratios")


def beside(printed: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """No printed number has one of ours beside it: the data sets differ (`UNPAIRED`)."""
    return pd.DataFrame()


def contest(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of every way to train the multi-scale network, by data set and trunk (`common.overview_contest`)."""
    parts = []
    for main in show.settings(frame).values():
        rows = main[main["metric"].isin(MEASURES) & (main["network"] == "multiscale") & (main["imbalance"] == "ratio")]
        rows = rows[~((rows["trunk"] == "imagenet") & rows["method"].isin(COPIES))]
        parts.append(
            rows.assign(
                situation=rows["trunk"].map(SITUATIONS),
                where=[_where(*place) for place in zip(rows["dataset"], rows["trunk"], strict=True)],
                setting=[f"ratio {rho:g}" for rho in rows["rho"]],
            )
        )
    return pd.concat(parts) if parts else pd.DataFrame()


def _where(dataset: str, trunk: str) -> str:
    return named(dataset) + STAND_INS.get(dataset, "") + (", from pixels" if trunk == "own" else "")


def figure(frame: pd.DataFrame):
    """The sweep over ratios of the first data set and trunk that has one; its title says which."""
    for name, rows in show.settings(frame).items():
        chart = show.sweep(rows)
        if chart:
            chart.suptitle(name, x=0.02, ha="left", fontsize=11)
            chart.alt = f"{name}: {chart.alt}"
            return chart
    return None


def deviations(frame: pd.DataFrame) -> list[dict]:
    """Departures and reconstructions of all that was measured."""
    parts = show.settings(frame).values()
    return [row for rows in parts for row in study.deviations(show.parameters_of(rows))]
