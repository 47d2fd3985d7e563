"""Figures and tables of paper 5 from a result frame: for notebook 5 and the overview."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib
import numpy as np
import pandas as pd

from common import plots, tables
from common.look import RC, Chart
from common.statistics import summarise
from common.studies import multiscale_transfer as study
from common.studies.multiscale_transfer_explaining import pictures_of

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "recall": "recall of the defects",
    "pr_auc": "PR-AUC of the defects",
}
#: The arms of the figure over the ratio; tables have all.
DRAWN = (
    "baseline", "oversampling", "undersampling", "weighted loss", "focal loss", "one-stage natural",
    "two-stage balanced-natural", "two-stage natural-balanced", "related task",
)  # fmt: skip
#: What makes results comparable within a figure or table beside the data set, arm and network.
SETTING = (
    "trunk", "pretrained", "pooling", "image_size", "width", "stem", "iterations", "batch_size", "learning_rate",
    "folds", "total", "frozen_first", "frozen_second",
)  # fmt: skip


def main_rows(frame: pd.DataFrame, dataset: str, trunk: str) -> pd.DataFrame:
    """The rows of one data set and trunk in the setting that was measured most often, so that no figure mixes two."""
    rows = frame[(frame["dataset"] == dataset) & (frame["trunk"] == trunk)] if len(frame) else frame
    if rows.empty:
        return rows
    setting = [column for column in SETTING if column in rows]
    number = rows.groupby(setting, dropna=False).ngroup()
    cells = number[~rows["key"].duplicated()]
    return rows[number == cells.mode().max()]


def metric_rows(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Usable rows of one metric; recall is that of the defects, averaged over their classes."""
    rows = frame[(frame["metric"] == metric) & (frame["status"] == "ok")]
    if metric != "recall":
        return rows
    defects, one = rows[rows["class_label"] > 0], ["key", "method"]  # a training may be an arm under two names
    return defects.assign(value=defects.groupby(one)["value"].transform("mean")).drop_duplicates(one)


def sweep(frame: pd.DataFrame, methods: Iterable[str] = DRAWN) -> Chart | None:
    """The four measures over the ratio, one line an arm, of the multi-scale network; None without data."""
    parts = []
    for metric, name in METRICS.items():
        rows = metric_rows(frame, metric)
        rows = rows[(rows["imbalance"] == "ratio") & (rows["network"] == "multiscale") & rows["method"].isin(methods)]
        if len(rows):
            parts.append(summarise(rows, ["rho", "method"]).assign(measure=name))
    if not parts:
        return None
    drawn = pd.concat(parts)
    drawn["method"] = pd.Categorical(drawn["method"], methods).as_ordered()
    drawn = drawn.sort_values(["measure", "method", "rho"]).astype({"method": str})
    drawn["measure"] = pd.Categorical(drawn["measure"], METRICS.values(), ordered=True)
    drawn = drawn.sort_values("measure", kind="stable").astype({"measure": str})
    label = "ratio of normal images to defects"
    return plots.panels(drawn, "rho", "measure", ylabel="score (0 to 1)", xlabel=label, columns=2, share_y=False)


def wide(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row per network and arm, one column per training set: mean and interval as text."""
    rows = metric_rows(frame, metric)
    if rows.empty:
        return pd.DataFrame(columns=["network", "arm"])
    found = summarise(rows.assign(setting=_setting_names(rows)), ["network", "method", "setting"])
    found["cell"] = [tables.effect(*row) for row in found[["mean", "low", "high"]].to_numpy()]
    table = found.pivot(index=["network", "method"], columns="setting", values="cell")
    order = rows.assign(setting=_setting_names(rows)).sort_values(
        ["imbalance", "rho", "few"], ascending=[False, True, True]
    )
    methods = [arm for arm in study.ARMS if arm in table.index.get_level_values("method")]
    networks = list(dict.fromkeys(["multiscale", "plain", "resnet10", *rows["network"]]))
    index = [(n, m) for n in networks for m in methods if (n, m) in table.index]
    table = table.loc[index, list(dict.fromkeys(order["setting"]))].astype(object)
    return table.reset_index().rename(columns={"method": "arm"}).rename_axis(columns=None)


def _setting_names(rows: pd.DataFrame) -> pd.Series:
    names = {"ratio": "ratio {0.rho:g}", "few": "{0.few:g} defects", "natural": "all classes as they are"}
    return pd.Series([names[row.imbalance].format(row) for row in rows.itertuples()], rows.index)


def averages(frame: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The abstract's figures beside ours: accuracy averaged over ratios, arm by arm, and the gain over common methods.

    Parameters
    ----------
    frame : DataFrame
        Rows of one data set in one setting (`main_rows`).
    published : DataFrame
        As `published_numbers.published` gives them.

    Returns
    -------
    DataFrame
        what, in the paper (percent), ours (percent, with 95% interval over replicates), n.
    """
    rows = metric_rows(frame, "accuracy")
    rows = rows[rows["network"] == "multiscale"]
    table = rows[rows["imbalance"] == "ratio"].pivot_table(index="replicate", columns=["rho", "method"], values="value")
    common = [m for m, arm in study.ARMS.items() if m != "baseline" and arm.start == "scratch" and m in COMMON]
    # Only ratios that every replicate shown has for every method, else an average would be one over other ratios.
    table = table.dropna(axis=1)

    def mean(methods, ratios=None):
        columns = [c for c in table if c[1] in methods and (ratios is None or c[0] in ratios)]
        return table[columns].mean(axis=1) if columns else pd.Series(dtype=float)

    def printed(metric, method, imbalance=None):
        found = published[(published["metric"] == metric) & (published["method"] == method)]
        found = found if imbalance is None else found[found["imbalance"] == imbalance]
        return [f"{value:g}" for value in found["value"]]

    gain, extreme = printed("accuracy_gain", "proposed")
    over = "average over " + (
        f"ratios {', '.join(f'{rho:g}' for rho in sorted({c[0] for c in table}))}" if len(table.columns) else "ratios"
    )
    lines = [(f"common methods, {over}", *printed("accuracy", "common methods"), mean(common))]
    for reading in READINGS:
        own = mean([reading])
        level = printed("accuracy", "proposed", "ratio")[0]
        lines += [
            (f"{reading}, {over}", level, own),
            (f"{reading}, gain over common methods", gain, own - mean(common)),
            (f"{reading}, gain at ratios 50 and 100", extreme, mean([reading], (50, 100)) - mean(common, (50, 100))),
        ]
    for reading in READINGS:
        several = rows[(rows["imbalance"] == "few") & (rows["method"] == reading)].groupby("replicate")["value"].mean()
        lines.append((f"{reading}, several defects", printed("accuracy", "proposed", "few")[0], several))
    return pd.DataFrame([_line(*line) for line in lines], columns=["what", "in the paper, %", "ours, %", "n"])


COMMON = ("oversampling", "undersampling", "weighted loss", "focal loss", "undersampling ensemble")
READINGS = ("two-stage balanced-natural", "two-stage natural-balanced", "related task")


def _line(what: str, paper: str, values: pd.Series) -> tuple:
    values = values.dropna()
    if values.empty:
        return what, paper, "not measured yet", 0
    found = summarise(pd.DataFrame({"all": 0, "value": 100 * values}), "all").iloc[0]
    return what, paper, tables.effect(found["mean"], found["low"], found["high"], digits=2), len(values)


def pointing(frame: pd.DataFrame) -> pd.DataFrame:
    """Pointing-game hit rates with intervals, arm by arm, beside chance."""
    rows = pd.concat([metric_rows(frame, name) for name in ("pointing_game", "pointing_chance")])
    if rows.empty:
        return pd.DataFrame(columns=["network", "arm"])
    found = summarise(rows, ["network", "method", "metric"])
    found["cell"] = [tables.effect(*row) for row in found[["mean", "low", "high"]].to_numpy()]
    table = found.pivot(index=["network", "method"], columns="metric", values="cell")
    names = {"method": "arm", "pointing_game": "hits", "pointing_chance": "hits by chance"}
    return (
        table.reset_index()
        .rename(columns=names)
        .rename_axis(columns=None)[["network", "arm", "hits", "hits by chance"]]
    )


def explained(frame: pd.DataFrame, curves: pd.DataFrame, columns: int = 6) -> Chart | None:
    """Grad-CAM over the kept test defects with the outline of the mask, one row an arm; None without pictures."""
    cells = frame[(frame["pictures"] > 0) & (frame["status"] == "ok")].drop_duplicates("key")
    if len(cells):
        cells = cells[(cells["imbalance"] == "ratio") & (cells["rho"] == cells["rho"].min())]
    kept = [(row.method, pictures_of(curves, row.key)) for row in cells.itertuples() if row.network == "multiscale"]
    order = list(study.ARMS).index
    kept = sorted([(method, cases) for method, cases in kept if cases], key=lambda one: order(one[0]))
    if not kept:
        return None
    columns = min(columns, max(len(cases) for _, cases in kept))
    with matplotlib.rc_context(RC):
        figure = Chart(figsize=(1.75 * columns, 2.0 * len(kept)), vector=False)
        grid = figure.subplots(len(kept), columns, squeeze=False)
        for axes_row, (method, cases) in zip(grid, kept, strict=True):
            for axes in axes_row:
                axes.axis("off")
            for axes, ((outcome, _), case) in zip(axes_row, cases.items(), strict=False):
                axes.imshow(case["image"], cmap="gray", vmin=0, vmax=1)
                axes.imshow(case["map"], cmap="magma", vmin=0, vmax=1, alpha=0.45)
                if np.ptp(case["mask"]) > 0:
                    axes.contour(case["mask"], levels=[0.5], colors="#35d0ff", linewidths=1.2)
                axes.set_title(outcome, fontsize=8.5)
            axes_row[0].text(0, -0.04, method, transform=axes_row[0].transAxes, ha="left", va="top", fontsize=9)
    figure.alt = "Grad-CAM heat maps over test defects with the outline of the true defect; rows: " + ", ".join(
        f"{method} ({', '.join(f'{o} {n}' for o, n in cases)})" for method, cases in kept
    )
    return figure


def parameters_of(frame: pd.DataFrame) -> study.Parameters | None:
    """The parameters that would give these rows of one data set and setting, to say how they depart from the paper."""
    if frame.empty:
        return None

    def values(column):
        return tuple(dict.fromkeys(frame.sort_values(column)[column].dropna()))

    one = frame.iloc[0]
    source = frame[frame["source"].fillna("") != ""]
    shared = ("image_size", "width", "stem", "pooling", "pretrained", "iterations", "batch_size", "learning_rate",
              "weight_decay", "augment", "folds", "precision", "frozen_first", "frozen_second")  # fmt: skip
    plain = {name: getattr(one[name], "item", lambda value=one[name]: value)() for name in shared}
    origin = {}
    if len(source):
        first = source.iloc[0]
        related = [name for name in values("related") if name]
        origin = {
            "source": first["source"],
            "source_size": int(first["source_size"]),
            "source_iterations": int(first["source_iterations"]),
            "related": ", ".join(related) or "none",
        }
    return study.Parameters(
        dataset=one["dataset"],
        ratios=values("rho"),
        few=tuple(int(few) for few in values("few") if few),
        natural=bool(frame["imbalance"].eq("natural").any()),
        arms=tuple(arm for arm in study.ARMS if arm in set(frame["arm"])),
        networks=values("network"),
        total=int(frame["total"].max()),
        ensemble=int(frame["ensemble"].max()),
        replicates=frame["replicate"].nunique(),
        **plain,
        **origin,
    )


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells and their cost (`tables.cost`) by data set, device, network and arm."""
    return tables.cost(frame, ["dataset", "device", "network", "arm"], "cell")


def arms() -> pd.DataFrame:
    """What each arm does, one row each."""
    return pd.DataFrame(
        {
            "arm": name,
            "first stage sees": arm.first,
            "second stage sees": arm.second,
            "weights from": arm.start,
            "loss": arm.loss,
            "networks": "several" if arm.ensemble else "one",
        }
        for name, arm in study.ARMS.items()
    )


def majority(cells: pd.DataFrame) -> float:
    """Accuracy of calling every test image normal, mean over the cells in which defects are one class."""
    return float(cells.loc[cells["imbalance"] != "natural", "majority"].mean())


def settings(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """`main_rows` by name: every data set with the ImageNet trunk, and with a trunk of its own; only what there is."""
    names = {"imagenet": "ImageNet trunk", "own": "own trunk"}
    datasets = sorted(set(frame["dataset"])) if len(frame) else []
    found = {f"{name}, {names[trunk]}": main_rows(frame, name, trunk) for trunk in names for name in datasets}
    return {name: rows for name, rows in found.items() if len(rows)}
