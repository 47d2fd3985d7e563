"""Figures and tables of paper 3 from result frames and curves: for notebook 3 and the overview."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup

from common import plots, tables
from common.look import RC
from common.statistics import interval, summarise
from common.studies.class_specific_extrapolation_claims import UNIFORM, paper_pairs
from common.studies.class_specific_extrapolation_comparisons import alike, both_starts
from common.studies.class_specific_extrapolation_protocol import ADJUSTED, ARMS, BEFORE, METHODS
from common.studies.class_specific_extrapolation_selection import main_rows

NAMES = tuple(METHODS[arm] for arm in ARMS)
ADDED = (METHODS["eos"], METHODS["smote"], METHODS["oversampling"], ADJUSTED)
THRESHOLD = tuple(METHODS[arm] for arm in ("written", "run", "two"))
SPECIFIC = (*THRESHOLD, METHODS["without"])
#: Arms that place every sample by equation 1; those with a threshold do so for overlapped pairs.
AIMED = tuple(METHODS[arm] for arm in ("asymmetric", "both", "without"))
EVERY = (BEFORE, *NAMES, METHODS["both"], *SPECIFIC, *ADDED)
STYLES = plots.method_styles((BEFORE, *NAMES))
#: Panels of figure 1 as the paper has them: the pair, and whether its corner is enlarged.
FIGURE_1 = (
    ("Airplane-Automobile", False), ("Airplane-Automobile", True), ("Truck-Ship", False), ("Truck-Ship", True),
    ("Frog-Bird", False), ("Frog-Bird", True), ("Dog-Cat", False), ("Horse-Deer", False),
)  # fmt: skip
CORNER = 0.6  # recall from which a panel is enlarged
WHOLE = 50  # steps of recall in a whole panel
COURSE = (0, 1, 2, 4, 7, 10, 13, 16, 19)  # iterations shown of the course


def pairs_of(frame: pd.DataFrame) -> list[str]:
    """Names of the pairs that were extrapolated, the paper's in its order."""
    found = frame.loc[frame["metric"] == "pr_auc", "pair"].unique().tolist()
    return [pair for pair in paper_pairs() if pair in found] + [pair for pair in found if pair not in paper_pairs()]


def _known(frame: pd.DataFrame, methods: Iterable[str]) -> list[str]:
    return [method for method in methods if method in set(frame["method"])]


# -- precision and recall ----------------------------------------------------------------------------------------------


def figure_1(curves: pd.DataFrame, pairs: Sequence[str]) -> plots.Chart | None:
    """Figure 1: precision over recall of each pair and arm, means over replicates with 95% bands; None without data."""
    panels = [panel for panel in FIGURE_1 if panel[0] in pairs]
    panels = panels or [(pair, enlarged) for pair in pairs for enlarged in (False, True)]
    return _precision_recall(curves, [(pair, curves, enlarged, pair) for pair, enlarged in panels])


def figure_2(curves: pd.DataFrame, pair: str) -> plots.Chart | None:
    """Figure 2: the same for the ablation's pair, a panel for each ratio of its major to its minor class."""
    panels = [(pair, part, False, f"{pair}, {_ratio(rho, part)}") for rho, part in curves.groupby("rho")]
    return _precision_recall(curves, panels)


def _ratio(rho: float, part: pd.DataFrame) -> str:
    """A ratio with its number of backbones, which need not be that of the other ratios."""
    return f"{rho:g}:1, n = {part['replicate'].nunique()}"


def _precision_recall(curves: pd.DataFrame, panels) -> plots.Chart | None:
    methods = _known(curves, STYLES)
    if not panels or not methods:
        return None
    columns = min(len(panels), 2 if len(panels) > 3 else 3)
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(RC):
        figure = plots.Chart(figsize=(4.2 * columns + 1, 3.1 * rows + 0.7))
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        titles = []
        for number, (pair, part, enlarged, name) in enumerate(panels):
            _draw_curves(grid[number], part[part["curve"] == f"precision-recall {pair}"], methods, enlarged)
            titles.append(f"({chr(97 + number)}) {name}{', enlarged' if enlarged else ''}")
            grid[number].set_title(titles[-1], loc="left", parse_math=False)
        for axes in grid[len(panels) :]:
            axes.remove()
        handles = {line.get_label(): line for axes in figure.axes for line in axes.lines}
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3, handlelength=3.2)
    figure.alt = f"Precision over recall, means with 95% bands; panels {'; '.join(titles)}; lines {', '.join(handles)}"
    return figure


def _draw_curves(axes, curves: pd.DataFrame, methods: list[str], enlarged: bool) -> None:
    # What a panel cannot show makes the page heavy: points outside the corner, and more of them than pixels need.
    kept = curves["x"] >= CORNER if enlarged else (curves["x"] * WHOLE).round(6) % 1 == 0
    shown = summarise(curves[kept], ["method", "x"], value="y") if len(curves) else pd.DataFrame(columns=["method"])
    lowest = 1.0
    for method in methods:
        line = shown[shown["method"] == method]
        if line.empty:
            continue
        style = STYLES[method]
        axes.plot(line["x"], line["mean"], color=style.color, linestyle=style.dash, label=method, linewidth=1.3)
        axes.fill_between(line["x"], line["low"], line["high"], color=style.color, alpha=0.12, linewidth=0)
        # At full recall nothing but the prior is left, so the corner ends before.
        corner = line[line["x"].between(CORNER, 0.98)]
        lowest = min(lowest, corner["mean"].min())
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    if enlarged:
        axes.set_xlim(CORNER, 1)
        axes.set_ylim(lowest - 0.01, 1.003)
    else:
        axes.set_xlim(0, 1)
        axes.set_ylim(0.45, 1.01)


def gains(frame: pd.DataFrame) -> plots.Chart | None:
    """PR-AUC of every arm minus that without extrapolation, by pair, paired over replicates; None without data."""
    methods, pairs = _known(frame, NAMES[1:]), pairs_of(frame) if len(frame) else []
    if not methods or not pairs or NAMES[0] not in set(frame["method"]):
        return None
    table = frame[frame["metric"] == "pr_auc"].pivot_table(
        index="replicate", columns=["pair", "method"], values="value"
    )
    with matplotlib.rc_context(RC):
        figure = plots.Chart(figsize=(1.7 * len(pairs) + 2, 3.8))
        axes = figure.subplots()
        for number, method in enumerate(methods):
            at = np.arange(len(pairs)) + 0.16 * (number - (len(methods) - 1) / 2)
            found = [interval(table[pair][method] - table[pair][NAMES[0]]) for pair in pairs]
            middle = np.array([one.estimate for one in found])
            reach = np.nan_to_num([[one.estimate - one.low, one.high - one.estimate] for one in found]).T
            style = STYLES[method]
            axes.errorbar(at, middle, yerr=reach, fmt=style.marker, color=style.color, label=method, capsize=2)
        axes.axhline(0, color="#444444", linewidth=0.8)
        axes.set_xticks(range(len(pairs)), pairs, parse_math=False)
        axes.set_ylabel("PR-AUC minus no extrapolation")
        figure.legend(loc="outside lower center", ncols=4)
    figure.alt = (
        f"Gain in PR-AUC over no extrapolation{' with 95% intervals' * (len(table) > 1)}; pairs {', '.join(pairs)}; "
        f"{', '.join(methods)}"
    )
    return figure


def course(curves: pd.DataFrame, pairs: Sequence[str]) -> plots.Chart | None:
    """PR-AUC after each iteration, a panel for each pair; the value at 0 is that of the network before."""
    prefix = "PR-AUC "
    shown = curves[curves["curve"].str.startswith(prefix) & curves["method"].isin(NAMES) & curves["x"].isin(COURSE)]
    if shown.empty:
        return None
    shown = shown.assign(pair=shown["curve"].str.removeprefix(prefix))
    drawn = summarise(shown[shown["pair"].isin(pairs)], ["pair", "method", "x"], value="y")
    return plots.panels(
        drawn, "x", "pair", ylabel="PR-AUC", xlabel="iteration of extrapolation", scale="linear", share_y=False,
        intervals="none", styles=STYLES,
    )  # fmt: skip


# -- tables ------------------------------------------------------------------------------------------------------------


def by_pair(frame: pd.DataFrame, metric: str, methods: Iterable[str] = EVERY) -> pd.DataFrame:
    """One row per method, one column per pair: mean over n replicates and 95% interval."""
    pairs = pairs_of(frame)
    part = frame[(frame["metric"] == metric) & frame["pair"].isin(pairs)]
    return _with_n(_wide(part, "pair", pairs, methods), part)


def by_ratio(frame: pd.DataFrame, metric: str = "pr_auc") -> pd.DataFrame:
    """The ablation: one row per method, one column per ratio."""
    part = frame[(frame["metric"] == metric) & (frame["pair"] != "")]
    names = {rho: _ratio(rho, rows) for rho, rows in part.groupby("rho")}
    return _wide(part.assign(ratio=part["rho"].map(names)), "ratio", list(names.values()), (BEFORE, *NAMES))


def _wide(part: pd.DataFrame, across: str, order: Sequence[str], methods: Iterable[str]) -> pd.DataFrame:
    found = summarise(part, ["method", across])
    cells = [tables.effect(*row, digits=4) for row in found[["mean", "low", "high"]].to_numpy()]
    table = found.assign(cell=cells).set_index(["method", across])["cell"].unstack()
    return table.reindex(index=_known(part, methods), columns=list(order)).rename_axis(columns=None).reset_index()


def _with_n(table: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Beside each method on how many replicates it rests: some were run on more of them than others."""
    table.insert(1, "n", table["method"].map(part.groupby("method")["replicate"].nunique()))
    return table


def by_starts(frame: pd.DataFrame) -> pd.DataFrame:
    """PR-AUC of the arms that were also run with images alone as starts, on the replicates that have both.

    And without extrapolation on these replicates, from which gain and harm are counted.
    """
    both, real = both_starts(frame)
    if real.empty:
        return pd.DataFrame()
    main = main_rows(frame)
    none = main[(main["method"] == METHODS["none"]) & main["replicate"].isin(real["replicate"])]
    tables_ = {"nothing": none, "images and synthetic samples": both, "images only": real}
    found = [
        by_pair(part[part["status"] == "ok"], "pr_auc").assign(starts=name, n=part["replicate"].nunique())
        for name, part in tables_.items()
    ]
    columns = ["method", "starts", "n", *pairs_of(real)]
    return pd.concat(found)[columns].sort_values("method", kind="stable", ignore_index=True)


def by_chance(frame: pd.DataFrame) -> pd.DataFrame:
    """PR-AUC of two arms that are `alike`, by replicate and pair."""
    return alike(frame, "pr_auc").drop(columns="class_label", errors="ignore")


def overall(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy over all classes and mean recall of minor classes, one row per method."""
    minor = frame[frame["metric"] == "minor_recall"].groupby(["replicate", "method"], as_index=False)["value"].mean()
    parts = {"accuracy": frame[frame["metric"] == "accuracy"], "recall of minor classes": minor}
    part = pd.concat([one.assign(what=name) for name, one in parts.items()])
    return _with_n(_wide(part, "what", list(parts), EVERY), part)


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """What each arm costs after the backbone, and what it saves against biased extrapolation of all pairs, in %.

    Last, how much of its time goes into making samples, both in wall time: as much could be saved of it by making them
    faster.
    """
    metrics = {"generated": "samples made", "samples_seen": "samples seen", "busy_seconds": "seconds"}
    clocks = ["sampling_seconds", "seconds"]
    whole = frame[(frame["pair"] == "") & frame["metric"].isin([*metrics, *clocks])]
    table = whole.pivot_table(index="replicate", columns=["metric", "method"], values="value")
    methods, rows = _known(whole, EVERY), []
    table = table.reindex(columns=pd.MultiIndex.from_product([[*metrics, *clocks], methods]))
    for method in methods:
        row = {"method": method}
        for metric, name in metrics.items():
            values = table[metric]
            row[name] = tables.text(float(values[method].mean()), 0) + _fewer(values[method].count(), len(values))
            # A replicate without the uniform bias, or with no time of it, says nothing of what is saved.
            if method != UNIFORM and UNIFORM in values and values[UNIFORM].gt(0).any():
                saved = interval(100 * (1 - values[method] / values[UNIFORM].where(values[UNIFORM] > 0)))
                shown = tables.effect(saved.estimate, saved.low, saved.high, digits=1)
                row[f"{name} saved, %"] = shown + _fewer(saved.n, len(values))
        timed = table[[(clock, method) for clock in clocks]].dropna()
        share = _percent(*(timed[clock][method] for clock in clocks))
        row["making samples, % of time"] = tables.text(share, 1) + _fewer(len(timed), len(table))
        rows.append(row)
    return pd.DataFrame(rows)


def _percent(part: pd.Series, whole: pd.Series) -> float:
    """One sum in percent of another; NaN of nothing."""
    return 100 * part.sum() / whole.sum() if whole.sum() else np.nan


def _fewer(n: int, replicates: int) -> Markup:
    """How many replicates a number has, where not all have it."""
    return Markup(f" (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n})" if 0 < n < replicates else "")


def overlapped(frame: pd.DataFrame) -> pd.DataFrame:
    """Pair accuracy on held-out images and which pairs the threshold calls overlapped, beside the paper's."""
    printed = paper_pairs()
    rows = []
    for pair in pairs_of(frame):
        own = frame[(frame["pair"] == pair) & (frame["method"] == METHODS["none"])]
        accuracy = interval(own.loc[own["metric"] == "held_out_pair_accuracy", "value"])
        share = own.loc[own["metric"] == "overlapped", "value"]
        rows.append(
            {
                "pair": pair,
                "pair accuracy": tables.effect(accuracy.estimate, accuracy.low, accuracy.high),
                "overlapped here": f"{int(share.sum())} of {len(share)} replicates",
                "overlapped in the paper": printed.get(pair),
            }
        )
    return pd.DataFrame(rows)


def sampling(frame: pd.DataFrame) -> pd.DataFrame:
    """How the samples came about: pairs tried without a crossing, repeated samples, clipped targets.

    Of the n replicates in which the arm extrapolated the pair; samples made in each, shares of all together. Targets
    are those that equation 1 set: not where a pair got random selection.
    """
    metrics = ["generated", "distinct", "skipped", "clipped", "overlapped"]
    made = frame[(frame["pair"] != "") & frame["metric"].isin(metrics)]
    table = made.pivot_table(index=["method", "pair", "replicate"], columns="metric", values="value")
    table = table.reindex(columns=metrics).dropna(subset="skipped")
    rows = []
    for method, pair in ((method, pair) for method in EVERY for pair in pairs_of(frame)):
        if (method, pair) not in table.index:
            continue
        part = table.loc[(method, pair)]
        aimed = part[part["overlapped"] == 1] if method in THRESHOLD else part if method in AIMED else part[:0]
        clipped = _percent(aimed["clipped"] * aimed["distinct"], aimed["distinct"])
        rows.append(
            {
                "method": method,
                "pair": pair,
                "n": len(part),
                "samples": tables.span(part["generated"]),
                "pairs without a crossing, %": _percent(part["skipped"], part["skipped"] + part["distinct"]),
                "repeated, %": _percent(part["generated"] - part["distinct"], part["generated"]),
                "targets clipped, %": tables.text(clipped, 1) + _fewer(len(aimed), len(part)),
            }
        )
    return pd.DataFrame(rows)
