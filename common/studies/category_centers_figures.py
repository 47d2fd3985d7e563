"""Figures of paper 1 from a result frame: for notebook 1, the overview and the README."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from common import plots
from common.look import METHOD_STYLE
from common.statistics import summarise
from common.studies.category_centers_selection import NAMES
from common.studies.category_centers_stability import BETWEEN, CENTER, LINEAR

METHODS = ("D", "C", "F", "OD", "OC", "OF")
_LIKE = {"D": "baseline", "OD": "oversampling", "C": "thresholding", "OC": "oversampling + thresholding"}
_LIKE |= {"F": "undersampling", "OF": "two-phase undersampling"}
STYLES = {method: METHOD_STYLE[like] for method, like in _LIKE.items()}
RANGES = 20  # labels from which on figures show ranges of ten, as table II does


def rows(frame: pd.DataFrame, metric: str, methods: Iterable[str], variant: str | None = "") -> pd.DataFrame:
    """The usable rows of a metric, in the order of `methods`; `variant` None: of all variants."""
    methods = list(methods)
    chosen = frame[(frame["metric"] == metric) & frame["method"].isin(methods) & (frame["status"] == "ok")]
    chosen = chosen[chosen["variant"] == variant] if variant is not None else chosen
    return _in_order(chosen, methods)


def per_label(frame: pd.DataFrame, methods: Iterable[str] = METHODS) -> plots.Chart | None:
    """Figures 4 and 5: recognition of each label by method, a panel an imbalance; None without data."""
    drawn = rows(frame, "recall", methods)
    if drawn.empty:
        return None
    axis = "label"
    if drawn["class_label"].max() >= RANGES:
        drawn = drawn.assign(class_label=drawn["class_label"] // 10 * 10)
        drawn = drawn.groupby(["method", "imbalance", "replicate", "class_label"], as_index=False, sort=False)
        drawn, axis = drawn["value"].mean(), "first label of a range of ten"
    drawn = _in_order(summarise(drawn, ["imbalance", "class_label", "method"]), methods)
    return plots.panels(
        drawn, "class_label", "imbalance", ylabel="share recognised", xlabel=axis, styles=STYLES,
        titles={kind: f"imbalance {kind}" for kind in drawn["imbalance"].unique()}, within=(0, 1),
    )  # fmt: skip


def _in_order(summary: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    return summary.sort_values("method", key=lambda column: column.map(list(methods).index), kind="stable")


def stability(frame: pd.DataFrame) -> plots.Chart | None:
    """Figures 2 and 3 measured: by what angle an estimate moves, over the samples it has; None without data."""
    drawn = rows(frame, "angle", (CENTER, BETWEEN, LINEAR))
    if drawn.empty:
        return None
    whose = NAMES[drawn["network"].iloc[0]] if drawn["network"].nunique() == 1 else "all networks"
    drawn = _in_order(summarise(drawn, ["imbalance", "samples", "method"]), (CENTER, BETWEEN, LINEAR))
    return plots.panels(
        drawn.astype({"samples": int}), "samples", "imbalance", ylabel="angle to the estimate from all, degrees",
        xlabel="samples of the class",
        titles={kind: f"{whose}, imbalance {kind}" for kind in drawn["imbalance"].unique()},
    )  # fmt: skip


def convergence(curves: pd.DataFrame) -> plots.Chart | None:
    """Validation accuracy after each epoch, a panel an imbalance; None without data."""
    curves = curves[curves["curve"] == "validation accuracy"]
    if curves.empty:
        return None
    drawn = _in_order(summarise(curves, ["imbalance", "method", "x"], value="y"), METHODS)
    return plots.panels(
        drawn, "x", "imbalance", ylabel="validation accuracy", xlabel="weight updates", scale="linear",
        intervals="bands", styles=STYLES, titles={kind: f"imbalance {kind}" for kind in drawn["imbalance"].unique()},
    )  # fmt: skip
