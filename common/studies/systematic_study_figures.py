"""Figures and tables of paper 4 from a result frame: for notebook 4, the overview and the README."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from common import plots, tables
from common.cells import Cell
from common.names import NAMES
from common.statistics import summarise
from common.studies import systematic_study as study
from common.studies.systematic_study_deviations import TRIED
from common.studies.systematic_study_selection import whole_replicates

AUC_METHODS = (
    "baseline",
    "oversampling",
    "undersampling",
    "two-phase oversampling",
    "two-phase undersampling",
)
PAPERS_SETS = ("mnist", "cifar10", "imagenet")
# In tables beside the paper's methods; in figures the collapses to .5 of the first would flatten all other lines.
ADDED = ("weighted loss", "weighted loss, normalised")
ACCURACY_METHODS = (
    "baseline",
    "oversampling",
    "undersampling",
    "thresholding",
    "oversampling + thresholding",
    "undersampling + thresholding",
)


def summary(frame: pd.DataFrame, metric: str, methods: Iterable[str], imbalance: str, by: list[str]) -> pd.DataFrame:
    """Mean and 95% interval over replicates of a metric, completely resampled; diverged networks are left out.

    Several trainings of one set, such as one a learning rate, are one replicate: their mean.
    """
    chosen = frame[
        (frame["metric"] == metric)
        & frame["method"].isin(methods)
        & (frame["imbalance"] == imbalance)
        & (frame["to_rho"] == 1)
        & frame["prior"].isin(["", "original"])
        & (frame["status"] == "ok")
    ]
    return _over_replicates(chosen, [*by, "method"])


def _over_replicates(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    return summarise(rows.groupby([*by, "replicate"], dropna=False, as_index=False)["value"].mean(), by)


def figures(frame: pd.DataFrame) -> dict[str, plots.Chart]:
    """The paper's figures 3 to 7, by number; a figure without data is left out.

    Figures 3 and 6 have a panel for each fraction of minority classes, figure 4 one for each imbalance ratio. Panels
    have vertical scales of their own, as in the paper.
    """
    auc = summary(frame, "auc", AUC_METHODS, "step", ["rho", "mu"])
    accuracy = summary(frame, "accuracy", ACCURACY_METHODS, "step", ["rho", "mu"])
    linear = summary(frame, "auc", AUC_METHODS, "linear", ["rho"])
    classes = frame.loc[frame["metric"] == "recall", "class_label"].nunique()  # none: a network that has no such rows
    mus = frame["mu"].dropna().unique()
    minority = {mu: f"{round(mu * classes)} of {classes} classes minority" if classes else f"mu {mu:g}" for mu in mus}
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
    return _over_replicates(pd.concat([rows[rows["method"].isin(samplers)], *ends]), ["to_rho", "mu", "method"])


def parameters_of(frame: pd.DataFrame) -> study.Parameters:
    """The parameters that would give these rows of one data set and schedule, to say how they depart from the paper."""

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
        image_size=int(frame["image_size"].max()) if "image_size" in frame else 0,
    )


def measured_deviations(frame: pd.DataFrame) -> list[dict]:
    """Departures from the paper of all that was measured: what of its data sets, then those of each that is judged."""
    parts, ran = [], {}
    for dataset in PAPERS_SETS:
        full, rows = study.FULL_ITERATIONS[dataset], frame[frame["dataset"] == dataset]
        grid = study.main_rows(rows, dataset, "test" if dataset == "cifar10" else "last")
        longest = (grid if len(grid) else rows)["iterations"].max()
        learned = len(rows) and len(study.judged(rows))
        parts.append(
            f"{NAMES[dataset]} not run" if rows.empty
            else f"{NAMES[dataset]}, {longest:,.0f} of {full:,} iterations"
            + ("" if learned else ", too few to learn the task and not judged")
        )  # fmt: skip
        if learned and len(grid):
            # Of trainings that were tried the rows have the best alone, so they do not tell how many there were.
            ran[NAMES[dataset]] = [row for row in study.deviations(parameters_of(grid)) if row["what"] != TRIED]
    why = "cost; what the paper claims of several data sets is judged on those that were measured"
    paper = ", ".join(NAMES[dataset] for dataset in PAPERS_SETS)
    first = {"what": "data sets", "paper": paper, "here": "; ".join(parts), "why": why}
    return [first, *tables.together(ran)] if ran else []


def protocol_table(cell: Cell, n_parameters: int) -> pd.DataFrame:
    """How the paper trains the cell's network beside how this cell does."""
    full, here = cell.protocol.schedule, study.schedule(cell)
    counts = {"lenet5": 431_080, "allcnn": 1_369_738, "resnet10": 5_418_792}
    rows = [("network", f"{cell.network}, {counts[cell.network]:,} parameters", f"{n_parameters:,} parameters")]
    for name in ("iterations", "batch_size", "learning_rate", "momentum", "weight_decay"):
        rows.append((name.replace("_", " "), *(f"{getattr(one, name):,g}" for one in (full, here))))
    rows.append(("factor of the rate for biases", "not stated", f"{here.bias_rate:g}"))
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
    printed = published[published["table"] == "4"].assign(source="paper, imagenet")
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
    """One row per imbalance and one column per method: mean and interval as text.

    `n` is how many replicates most methods of the row have; a method that has another number says so.
    """
    parts = []
    for kind in ("none", "step", "linear"):
        part = summary(frame, metric, methods, kind, ["imbalance", "rho", "mu"])
        # From behind: of two that are equally frequent the larger.
        most = part.groupby(["imbalance", "rho", "mu"], dropna=False)["n"].transform(lambda n: n.mode().iloc[-1])
        cells = [tables.effect(*row, digits=4) for row in part[["mean", "low", "high"]].to_numpy()]
        marks = [f" (n = {n})" if n != usual else "" for n, usual in zip(part["n"], most, strict=True)]
        parts.append(
            part.assign(n=most.astype(int), cell=[cell + mark for cell, mark in zip(cells, marks, strict=True)])
        )
    table = pd.concat(parts).set_index(["imbalance", "rho", "mu", "n", "method"])["cell"].unstack()
    return table[[method for method in methods if method in table]].reset_index()


def by_schedule(frame: pd.DataFrame) -> pd.DataFrame:
    """AUC of those cells and replicates that were run on two schedules, beside each other.

    Of each data set the longest schedule, and of the shorter ones that which shares most cells with it.

    Returns
    -------
    DataFrame
        One row a cell, replicate and method: data set, imbalance, rho, mu, replicate, method, iterations (the longer),
        shorter (iterations), auc and shorter_auc, gain and shorter_gain (over the baseline, NaN for itself). No rows
        where nothing was run on two.
    """
    chosen = frame[(frame["metric"] == "auc") & frame["method"].isin(AUC_METHODS) & (frame["to_rho"] == 1)]
    chosen = chosen[chosen["imbalance"].isin(["none", "step", "linear"]) & (chosen["status"] == "ok")]
    chosen = chosen[chosen["selection"] != "test"]  # the other selection of the same trainings
    cell = ["dataset", "precision", "imbalance", "rho", "mu", "replicate"]
    parts = []
    for _, one in chosen.groupby("dataset"):
        values = one.set_index([*cell, "method", "iterations"])["value"].unstack()
        longest = values.columns.max()
        pairs = {short: values[[short, longest]].dropna() for short in values.columns.drop(longest)}
        short, both = max(pairs.items(), key=lambda pair: len(pair[1]), default=(None, ()))
        if len(both):
            both = both.set_axis(["shorter_auc", "auc"], axis=1).reset_index()
            parts.append(both.assign(iterations=longest, shorter=short))
    if not parts:
        return pd.DataFrame()
    found = pd.concat(parts, ignore_index=True)
    baseline = found[found["method"] == "baseline"].drop(columns=["method", "iterations", "shorter"])
    found = found.merge(baseline, on=cell, how="left", suffixes=("", "_baseline"))
    own = found["method"] == "baseline"
    for name in ("auc", "shorter_auc"):
        gain = (found[name] - found.pop(f"{name}_baseline")).mask(own)
        found = found.assign(**{name.replace("auc", "gain"): gain})
    return found.drop(columns="precision")


def schedule_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """`by_schedule` as a table: a row an imbalance and method, means over replicates."""
    by = ["dataset", "iterations", "shorter", "imbalance", "rho", "mu", "method"]
    numbers = ["shorter_auc", "auc", "shorter_gain", "gain"]
    found = pairs.groupby(by, dropna=False, sort=False)[numbers].mean()
    found.insert(0, "n", pairs.groupby(by, dropna=False, sort=False).size())
    found = found.reset_index().rename(columns={"dataset": "data set"})
    found["data set"] = found["data set"].replace(NAMES)
    schedules = [
        f"{short:,.0f} and {full:,.0f}" for short, full in zip(found["shorter"], found["iterations"], strict=True)
    ]
    found.insert(1, "iterations, shorter and longer", schedules)
    names = {"shorter_auc": "AUC, shorter", "auc": "AUC, longer", "shorter_gain": "gain over the baseline, shorter",
             "gain": "gain, longer"}  # fmt: skip
    return found.drop(columns=["iterations", "shorter"]).rename(columns=names)


def schedule_words(pairs: pd.DataFrame) -> str:
    """On what `schedule_table` rests, and how often a gain has the same sign on both schedules."""
    words = []
    for dataset, one in pairs.groupby("dataset"):
        gains = one.dropna(subset=["gain", "shorter_gain"])
        same = int((np.sign(gains["gain"]) == np.sign(gains["shorter_gain"])).sum())
        settings = len(one[["imbalance", "rho", "mu"]].drop_duplicates())
        replicates = one["replicate"].nunique()
        words.append(
            f"{NAMES[dataset]}: {settings} imbalance{'s' * (settings != 1)} in {replicates} "
            f"replicate{'s' * (replicates != 1)}; {same} of {len(gains)} gains over the baseline have the same sign on "
            f"both schedules."
        )
    return " ".join(words)


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Networks and their cost (`tables.cost`) by data set, device, schedule and sampler."""
    return tables.cost(frame, ["dataset", "device", "iterations", "sampler"])
