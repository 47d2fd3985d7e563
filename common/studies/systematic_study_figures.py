"""Figures and tables of paper 4 from a result frame: for notebook 4, the overview and the README."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from common import plots, tables
from common.cells import Cell
from common.statistics import summarise
from common.studies import systematic_study as study
from common.studies.systematic_study_selection import whole_replicates

AUC_METHODS = (
    "baseline",
    "oversampling",
    "undersampling",
    "two-phase oversampling",
    "two-phase undersampling",
)
# In tables beside the paper's methods; in figures its collapses to .5 would flatten all other lines.
ADDED = ("weighted loss",)
ACCURACY_METHODS = (
    "baseline",
    "oversampling",
    "undersampling",
    "thresholding",
    "oversampling + thresholding",
    "undersampling + thresholding",
)


def summary(frame: pd.DataFrame, metric: str, methods: Iterable[str], imbalance: str, by: list[str]) -> pd.DataFrame:
    """Mean and 95% interval over replicates of a metric, completely resampled; diverged networks are left out."""
    chosen = frame[
        (frame["metric"] == metric)
        & frame["method"].isin(methods)
        & (frame["imbalance"] == imbalance)
        & (frame["to_rho"] == 1)
        & frame["prior"].isin(["", "original"])
        & (frame["status"] == "ok")
    ]
    return summarise(chosen, [*by, "method"])


def figures(frame: pd.DataFrame) -> dict[str, plots.Chart]:
    """The paper's figures 3 to 7, by number; a figure without data is left out.

    Figures 3 and 6 have a panel for each fraction of minority classes, figure 4 one for each imbalance ratio. Panels
    have vertical scales of their own, as in the paper.
    """
    auc = summary(frame, "auc", AUC_METHODS, "step", ["rho", "mu"])
    accuracy = summary(frame, "accuracy", ACCURACY_METHODS, "step", ["rho", "mu"])
    linear = summary(frame, "auc", AUC_METHODS, "linear", ["rho"])
    classes = frame.loc[frame["metric"] == "recall", "class_label"].nunique()
    minority = {mu: f"{round(mu * classes)} of {classes} classes minority" for mu in frame["mu"].dropna().unique()}
    ratios = {rho: f"ratio {rho:g}" for rho in auc["rho"].unique()}
    name = "multi-class ROC AUC"
    made = {}
    if len(auc):
        made["3"] = plots.panels(auc, "rho", "mu", ylabel=name, titles=minority, share_y=False)
        made["4"] = plots.panels(auc, "mu", "rho", ylabel=name, titles=ratios, columns=2, share_y=False)
    if len(linear):
        made["5"] = plots.panels(linear, "rho", ylabel=name)
    if len(accuracy):
        made["6"] = plots.panels(accuracy, "rho", "mu", ylabel="accuracy", titles=minority, share_y=False)
    partial = reduced(frame)
    if len(partial):
        titles = {method: f"{method} to a smaller ratio" for method in partial["method"].unique()}
        drawn = partial.assign(minority=partial["mu"].map(minority))
        made["7"] = plots.panels(drawn, "to_rho", "method", hue="minority", ylabel=name, titles=titles)
    return made


def reduced(frame: pd.DataFrame) -> pd.DataFrame:
    """Figure 7: mean AUC over the ratio after sampling, at the highest ratio for which partial sampling was run.

    The baseline stands at the original ratio of both samplers.
    """
    rows = frame[(frame["metric"] == "auc") & (frame["imbalance"] == "step") & (frame["status"] == "ok")]
    partial = rows[rows["to_rho"] > 1]
    if partial.empty:
        return partial
    rows = rows[rows["rho"] == partial["rho"].max()]
    samplers = [m for m in ("oversampling", "undersampling") if m in set(partial["method"])]
    baseline = rows[rows["method"] == "baseline"]
    ends = [baseline.assign(method=method, to_rho=baseline["rho"]) for method in samplers]
    return summarise(pd.concat([rows[rows["method"].isin(samplers)], *ends]), ["to_rho", "mu", "method"])


def parameters_of(frame: pd.DataFrame) -> study.Parameters | None:
    """The parameters that would give these rows of one data set and schedule, to say how they depart from the paper."""
    if frame.empty:
        return None

    def values(column, rows=frame):
        return tuple(sorted(rows[column].dropna().unique()))

    step, linear = (frame[frame["imbalance"] == kind] for kind in ("step", "linear"))
    # A learning rate that every network had is the protocol's own.
    rates = values("learning_rate")
    return study.Parameters(
        dataset=frame["dataset"].iloc[0],
        iterations=int(frame["iterations"].max()),
        precision=frame["precision"].iloc[0],
        samplers=values("sampler"),
        replicates=whole_replicates(frame),
        step_rhos=values("rho", step),
        step_mus=values("mu", step),
        linear_rhos=values("rho", linear),
        reduced_to=tuple(to for to in values("to_rho") if to > 1),
        learning_rates=rates if len(rates) > 1 else (),
    )


def protocol_table(cell: Cell, n_parameters: int) -> pd.DataFrame:
    """How the paper trains the cell's network beside how this cell does."""
    full, here = cell.protocol.schedule, study.schedule(cell)
    counts = {"lenet5": 431_080, "allcnn": 1_369_738, "resnet10": 5_418_792}
    rows = [("network", f"{cell.network}, {counts[cell.network]:,} parameters", f"{n_parameters:,} parameters")]
    for name in ("iterations", "batch_size", "learning_rate", "momentum", "weight_decay", "bias_rate"):
        rows.append((name.replace("_", " "), *(f"{getattr(one, name):,g}" for one in (full, here))))
    courses = {
        "inverse": "rate (1 + {0.gamma:g} t)^-{0.power:g}",
        "multistep": "times {0.factor:g} at {0.milestones}",
        "linear": "to 0 at the end",
    }
    rows.append(("course of the learning rate", *(courses[one.policy].format(one) for one in (full, here))))
    rows.append(
        ("second phase", "a tenth of the rate", "a tenth of the rate, head only" if cell.two_phase else "not run")
    )
    return pd.DataFrame(rows, columns=["what", "in the paper", "here"])


def convergence(curves: pd.DataFrame) -> plots.Chart | None:
    """Figure 8: accuracy on training and test images along the training, a panel for each method; None without data."""
    curves = curves[curves["curve"].isin(["training accuracy", "test accuracy"])]
    if curves.empty:
        return None
    drawn = summarise(curves, ["method", "curve", "x"], value="y")
    return plots.panels(
        drawn, "x", "method", hue="curve", ylabel="accuracy", xlabel="weight updates", scale="linear", intervals="bands"
    )


def table_4(published: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Table 4: AUC in percent by method and imbalance, the paper's on ImageNet beside ours, run by run."""
    printed = published[published["table"].astype(str) == "4"]
    printed = printed.assign(source="paper, imagenet", value=printed["value"].astype(float))
    ours = frame[(frame["metric"] == "auc") & (frame["network"] == "resnet10") & (frame["imbalance"] == "step")]
    ours = ours[ours["method"].isin(["baseline", "oversampling", "undersampling"])]
    ours = ours.assign(source="ours, " + ours["dataset"].astype(str), value=100 * ours["value"].astype(float))
    columns = ["source", "method", "rho", "mu", "value"]
    both = pd.concat([printed[columns], ours[columns]]).astype({"rho": float, "mu": float})
    cells = both.groupby(columns[:-1], sort=True)["value"].agg(lambda v: ", ".join(f"{x:.2f}" for x in v))
    table = cells.unstack(["mu", "rho"]).sort_index(axis=1)
    table.columns = [f"mu {mu:g}, rho {rho:g}" for mu, rho in table.columns]
    return table.reset_index()


def wide(frame: pd.DataFrame, metric: str, methods: Iterable[str]) -> pd.DataFrame:
    """One row per imbalance and one column per method: mean and interval as text."""
    parts = []
    for kind in ("none", "step", "linear"):
        part = summary(frame, metric, methods, kind, ["imbalance", "rho", "mu"])
        cells = [tables.effect(*row, digits=4) for row in part[["mean", "low", "high"]].to_numpy()]
        parts.append(part.assign(cell=cells))
    table = pd.concat(parts).set_index(["imbalance", "rho", "mu", "method"])["cell"].unstack()
    return table[[method for method in methods if method in table]].reset_index()


def gains_by_schedule(frame: pd.DataFrame) -> pd.DataFrame:
    """Gain in AUC over the baseline, of those cells that were run on more than one schedule.

    Returns
    -------
    DataFrame
        One row a method: cells, mean gain at each number of iterations, share of cells whose gain has the same sign at
        the shortest and the longest; no rows if every cell was run on one schedule only.
    """
    chosen = frame[(frame["metric"] == "auc") & frame["method"].isin(AUC_METHODS) & (frame["to_rho"] == 1)]
    chosen = chosen[chosen["imbalance"].isin(["step", "linear"]) & (chosen["status"] == "ok")]
    cell = ["dataset", "selection", "precision", "imbalance", "rho", "mu", "replicate", "iterations"]
    table = chosen.set_index([*cell, "method"])["value"].unstack()
    if "baseline" not in table:
        return pd.DataFrame()
    gains = table.sub(table["baseline"], axis=0).drop(columns="baseline").stack().unstack("iterations")
    both = gains.dropna(axis=1, thresh=1).dropna()
    if both.shape[1] < 2:
        return pd.DataFrame()
    rows = []
    for method, part in both.groupby(level="method", sort=False):
        means = {f"AUC gain, {int(length):,} iterations": part[length].mean() for length in part}
        same = (np.sign(part.iloc[:, 0]) == np.sign(part.iloc[:, -1])).mean()
        rows.append({"method": method, "cells": len(part), **means, "same sign, % of cells": 100 * float(same)})
    return pd.DataFrame(rows)


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Networks and their cost (`tables.cost`) by data set, device, schedule and sampler."""
    return tables.cost(frame, ["dataset", "device", "iterations", "sampler"])
