"""What the overview takes from paper 4: numbers beside the printed ones, figure, contest of methods, deviations."""

from __future__ import annotations

import pandas as pd

from common.coverage import covering
from common.matching import at_defaults
from common.names import NAMES
from common.statistics import interval
from common.studies import systematic_study as study
from common.studies import systematic_study_figures as show

RESULTS = ("auc", "accuracy", "error", "auc_range_of_runs", "auc_variability", "mnist_to_cifar10_ratio")
UNPAIRED = "Table 4 is on ImageNet, which is not at hand; the curves (figures 3 to 8) have no printed numbers."
BASELINE = "baseline"
MEASURES = {"auc": "multi-class ROC AUC", "accuracy": "accuracy on the official test set"}
#: Data sets with the selection reported: on CIFAR-10 not the paper's, which picks a training by its test score.
DATASETS = {"mnist": "last", "cifar10": "validation", "imagenet": "last"}
SITUATIONS = {
    "mnist": "train a small network from scratch on an easy task",
    "cifar10": "train a convolutional network from scratch",
    "imagenet": "train a residual network from scratch on many classes",
}
FIGURE = "Multi-class ROC AUC over the imbalance ratio, by method and number of minority classes, MNIST (figure 3)."
MATTER = (
    "data sets",
    "iterations",
    "step imbalances (ratios x fractions)",
    "repetitions, each with another training set",
)


def beside(printed: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Ours for each printed result that was measured (`common.comparison`).

    Errors and scores on the original sets; table 4 setting by setting, each of its three runs beside the mean of ours.
    """
    wanted = printed[printed["metric"].isin(["auc", "accuracy", "error"]) & (printed["imbalance"] != "none")]
    rows, frame = {}, study.judged(frame)
    for index, row in wanted.iterrows():
        found = _measured(frame, row)
        if len(found):
            one = interval(1 - found["value"] if row["metric"] == "error" else found["value"])
            full = bool(found["iterations"].min() >= study.FULL_ITERATIONS[row["dataset"]])
            profile = "/".join(sorted(found["profile"].unique())) + ("" if full else ", shortened schedule")
            rows[index] = {"mean": one.estimate, "low": one.low, "high": one.high, "n": one.n}
            rows[index] |= {"profile": profile, "full": full, "stand_in": False}
    return pd.DataFrame.from_dict(rows, orient="index")


def _measured(frame: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """Our values of what one printed number says, on the longest schedule."""
    wanted = {name: row[name] for name in ("dataset", "method")} | {"to_rho": 1, "status": "ok"}
    wanted |= {"metric": "accuracy" if row["metric"] == "error" else row["metric"]}
    wanted |= {name: row[name] for name in ("rho", "mu") if pd.notna(row[name])}
    kinds = [row["imbalance"], *["none"] * (row["dataset"] == "cifar10")]  # the original CIFAR-10 is balanced
    found = frame[at_defaults(frame, wanted) & frame["imbalance"].isin(kinds)]
    found = found[found["selection"].isin(["last", "test"])]
    if found.empty:
        return found
    (iterations, precision), _, _ = covering(found, ["imbalance"], ["iterations", "precision"])
    return found[(found["iterations"] == iterations) & (found["precision"] == precision)]


def contest(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of every method, completely resampled, by kind, ratio and extent of imbalance (`common.overview_contest`).

    Thresholding leaves the ranking of a class's scores nearly alone, so AUC compares the samplers only.
    """
    judged = study.judged(frame)
    main = pd.concat([study.main_rows(judged, *place) for place in DATASETS.items()])
    rows = main[main["metric"].isin(MEASURES) & main["imbalance"].isin(["step", "linear"]) & (main["to_rho"] == 1)]
    rows = rows[rows["prior"].isin(["", "original"])]
    rows = rows[(rows["metric"] != "auc") | rows["method"].isin([*show.AUC_METHODS, *show.ADDED])]
    minority = [f", {100 * mu:g}% of classes" if mu == mu else "" for mu in rows["mu"]]
    setting = [f"{kind}, ratio {rho:g}" for kind, rho in zip(rows["imbalance"], rows["rho"], strict=True)]
    return rows.assign(
        situation=rows["dataset"].map(SITUATIONS),
        where=[_where(*place) for place in zip(rows["dataset"], rows["iterations"], strict=True)],
        setting=[a + b for a, b in zip(setting, minority, strict=True)],
    )


def _where(dataset: str, iterations: float) -> str:
    full = study.FULL_ITERATIONS[dataset]
    return NAMES[dataset] + (f", {iterations:,.0f} of {full:,} iterations" if iterations < full else "")


def figure(frame: pd.DataFrame):
    """Figure 3."""
    return show.figures(study.main_rows(frame)).get("3")


def drawn(frame: pd.DataFrame) -> str:
    """On what the figure rests: its networks, replicates and schedule."""
    grid = study.main_rows(frame)
    rows = grid[(grid["imbalance"] == "step") & (grid["metric"] == "auc") & grid["method"].isin(show.AUC_METHODS)]
    rows = rows[(rows["to_rho"] == 1) & (rows["status"] == "ok")]
    where = _where("mnist", rows["iterations"].max())
    return f"{where}; {rows['key'].nunique():,} networks, {study.counted_replicates(rows)}."


deviations = show.measured_deviations
