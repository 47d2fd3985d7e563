"""What the overview takes from paper 5: why no printed number has a partner, figure, contest of methods, deviations."""

from __future__ import annotations

import pandas as pd

from common import tables
from common.names import named
from common.studies import multiscale_transfer as study
from common.studies import multiscale_transfer_figures as show
from common.studies.multiscale_transfer_selection import with_share

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
FIGURE = (
    "Balanced accuracy over the ratio of normal images to defects: common methods above, readings of the proposed one "
    "below. A reconstruction. Means with 95% intervals, cut at 1 and at the axis; a line ends where a ratio was not "
    "measured."
)
STAND_INS = {"magnetic_tile": " (stand-in)"}  # for the paper's industrial set
MATTER = ("the whole method", "data", "source task", "weights of the trunk", "ratios")


def beside(printed: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """No printed number has one of ours beside it: the data sets differ (`UNPAIRED`)."""
    return pd.DataFrame()


def contest(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of every way to train the multi-scale network, by data set and trunk (`common.overview_contest`)."""
    parts = []
    for main in show.settings(frame).values():
        main = show.distinct(main)
        rows = main[main["metric"].isin(MEASURES) & (main["network"] == "multiscale") & (main["imbalance"] == "ratio")]
        parts.append(
            with_share(rows).assign(
                situation=rows["trunk"].map(SITUATIONS),
                where=[_where(*place) for place in zip(rows["dataset"], rows["trunk"], strict=True)],
                setting=[f"ratio {rho:g}" for rho in rows["rho"]],
            )
        )
    return pd.concat(parts) if parts else pd.DataFrame()


def _where(dataset: str, trunk: str) -> str:
    return named(dataset) + STAND_INS.get(dataset, "") + (", from pixels" if trunk == "own" else "")


def figure(frame: pd.DataFrame):
    """Balanced accuracy over the ratio: every data set on the trunk that most stand on."""
    return show.sweep(_main(frame), "balanced_accuracy")


def drawn(frame: pd.DataFrame) -> str:
    """On what the figure rests: its networks, splits and schedule."""
    rows = pd.concat([show.drawn(main, "balanced_accuracy") for main in _main(frame)])
    often = tables.span(rows.groupby(["dataset", "rho", "method"])["replicate"].nunique(), "split")
    return f"{rows['key'].nunique():,} trainings of {rows['iterations'].max():,} updates, {often} behind each point."


def _main(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return max(show.by_trunk(frame).values(), key=len, default=[])


def deviations(frame: pd.DataFrame) -> list[dict]:
    """Departures and reconstructions of all that was measured."""
    parts = show.settings(frame).items()
    return tables.together({name: study.deviations(show.parameters_of(rows)) for name, rows in parts})
