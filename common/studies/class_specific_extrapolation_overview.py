"""What the overview takes from paper 3: numbers beside the printed ones, figure, contest of methods, deviations."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from common.names import named
from common.statistics import interval
from common.studies import class_specific_extrapolation as study
from common.studies import class_specific_extrapolation_figures as show
from common.studies.class_specific_extrapolation_deviations import parameters_of
from common.studies.class_specific_extrapolation_protocol import ADJUSTED, METHODS
from common.studies.class_specific_extrapolation_selection import departures, main_rows

RESULTS = ("overlapped", "overlapped_pairs", "cost_saved")
UNPAIRED = "Its curves (figures 1 and 2) have no printed numbers."
BASELINE = METHODS["none"]
MEASURES = {"pr_auc": "PR-AUC of the rare class of a pair", "minor_recall": "recall of rare classes"}
SITUATION = "retrain the last layers of a VGG-19 and may add synthetic features of rare classes"
FIGURE = "PR-AUC of every arm minus that without extrapolation, by pair."
MATTER = (
    "width of the fully connected layers", "what is trained on synthetic samples", "what segments begin at",
    "no extrapolation",
)  # fmt: skip


def beside(printed: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Ours for each printed result that was measured (`common.comparison`).

    *overlapped* is the share of replicates in which the threshold calls a pair so, without an interval, which a few
    yes and no do not give. The cost saved has no partner: the
    paper does not say of which cost, and against what (notebook 3 shows several).
    """
    main = main_rows(frame)
    main = main[(main["status"] == "ok") & (main["dataset"] == "cifar10")]
    own = main[(main["metric"] == "overlapped") & (main["method"] == METHODS["none"])]
    by_pair = own.pivot_table(index="replicate", columns="pair", values="value").astype(float)
    rows = {}
    for index, row in printed.iterrows():
        if row["metric"] == "overlapped" and row["pair"] in by_pair:
            share = interval(by_pair[row["pair"]])
            rows[index] = replace(share, low=math.nan, high=math.nan)
        elif row["metric"] == "overlapped_pairs" and len(by_pair):
            rows[index] = interval(by_pair.sum(axis=1, skipna=False))
    found = [(one.estimate, one.low, one.high, one.n) for one in rows.values()]
    table = pd.DataFrame(found, index=list(rows), columns=["mean", "low", "high", "n"])
    return table.assign(**_how(main)) if len(table) else table


def _how(rows: pd.DataFrame) -> dict:
    profile = ", ".join(["/".join(sorted(rows["profile"].unique())), *departures(rows)])
    return {"profile": profile, "full": not departures(rows), "stand_in": False}


def contest(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of every arm by pair (`common.overview_contest`)."""
    main = main_rows(frame)
    rows = main[main["metric"].isin(MEASURES) & main["method"].isin([*METHODS.values(), ADJUSTED])]
    rows = rows[rows["pair"] != ""]
    how = departures(rows)
    where = [", ".join([name, *how]) for name in rows["dataset"].map(named)]
    return rows.assign(situation=SITUATION, where=where, setting=rows["pair"], rho=float("nan"))


def figure(frame: pd.DataFrame):
    """Gains of the arms."""
    main = main_rows(frame)
    return show.gains(main[main["status"] == "ok"])


def drawn(frame: pd.DataFrame) -> str:
    """On what the figure rests: data, departures of the network and replicates."""
    main = main_rows(frame)
    n = main["replicate"].nunique()
    what = ", ".join([*(named(name) for name in main["dataset"].unique()), *departures(main)])
    return f"{what}; {n} replicate{'s' * (n != 1)}" + ("." if n > 1 else ", so no intervals.")


def deviations(frame: pd.DataFrame) -> list[dict]:
    """Departures from the paper of the main experiment and, where it was run, of the ablation."""
    main = main_rows(frame)
    if main.empty:
        return []
    return study.deviations(parameters_of(pd.concat([main, main_rows(frame, ablation=True)])), frame)
