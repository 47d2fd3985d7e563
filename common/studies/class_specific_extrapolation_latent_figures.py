"""Tables and figures of paper 3's latent space: the closest classes (figure 3), and pairs of classes in a plane."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from common import plots
from common.look import RC
from common.studies.class_specific_extrapolation_claims import by_class, closest_pairs, paper_pairs

PICTURE = "picture "
#: Points of a picture: colour, marker, the class that they are of, and the other one.
KINDS = {
    "major": ("#a8958a", "o", "major", "minor"),
    "minor": ("#1f45e0", "^", "minor", "major"),
    "synthetic": ("#eb6823", "D", "minor", "major"),
}


def closeness(frame: pd.DataFrame) -> pd.DataFrame:
    """Figure 3: for each minor class the major one nearest to it, by three measures, beside the paper's.

    Distances and shares are averaged over replicates; how many find a pair one to one stands with it.
    """
    printed = {pair.split("-")[1]: pair.split("-")[0] for pair in paper_pairs()}
    part = frame[frame["metric"].isin(["centre_distance", "nearest_share"]) & (frame["method"] == "backbone")]
    if part.empty:
        return pd.DataFrame()
    means = part.groupby(["metric", "pair"])["value"].mean()
    distance, share = by_class(means["centre_distance"]), by_class(means["nearest_share"])
    assigned = {pair.split("-")[1]: pair.split("-")[0] for pair in closest_pairs(means["centre_distance"])}
    distances = part[part["metric"] == "centre_distance"].groupby("replicate")
    each = [closest_pairs(one.set_index("pair")["value"]) for _, one in distances]

    def times(major: str, minor: str) -> str:
        return f"{sum(f'{major}-{minor}' in one for one in each)} of {len(each)}"

    rows = [
        {
            "minor class": minor,
            "nearest mean": distance[minor].idxmin(),
            "nearest images": f"{share[minor].idxmax()} ({100 * share[minor].max():.0f}%)",
            "one to one": f"{assigned[minor]} ({times(assigned[minor], minor)})",
            "paper": f"{printed[minor]} ({times(printed[minor], minor)})" if minor in printed else None,
        }
        for minor in distance
    ]
    return pd.DataFrame(rows)


def closeness_map(frame: pd.DataFrame) -> plots.Chart | None:
    """Distances between the means of minor and major classes; the paper's pairs and the closest ones are marked."""
    import seaborn

    part = frame[(frame["metric"] == "centre_distance") & (frame["method"] == "backbone")]
    if part.empty:
        return None
    means = part.groupby("pair")["value"].mean()
    found, printed = set(closest_pairs(means)), set(paper_pairs())
    matrix = by_class(means)
    marked = [f"{d:.1f}{' ●' * (pair in found)}{' ◻' * (pair in printed)}" for pair, d in means.items()]
    texts = by_class(pd.Series(marked, means.index))
    with matplotlib.rc_context({**RC, "axes.grid": False}):
        figure = plots.Chart(figsize=(6.2, 4.2))
        axes = figure.subplots()
        seaborn.heatmap(
            matrix, annot=texts, fmt="", annot_kws={"fontsize": 9}, cmap="viridis", square=True, ax=axes,
            cbar_kws={"label": "distance of class means"}, xticklabels=False, yticklabels=False,
        )  # fmt: skip
        axes.set_xticks(np.arange(matrix.shape[1]) + 0.5, matrix.columns, parse_math=False)
        axes.set_yticks(np.arange(matrix.shape[0]) + 0.5, matrix.index, parse_math=False)
        axes.set(xlabel="minor class", ylabel="major class")
    figure.alt = f"Distances of class means in latent space; closest one-to-one pairs: {', '.join(sorted(found))}"
    return figure


def pictures(curves: pd.DataFrame, pairs: Sequence[str], method: str) -> plots.Chart | None:
    """A pair's latents in a plane, real images and synthetic samples; a panel for each pair.

    Hollow are those that the head takes for the other class of the pair, where the result keeps what it decides.
    """
    shown = curves[curves["curve"].str.startswith(PICTURE) & (curves["method"] == method)]
    if shown.empty:
        return None
    decided = shown[shown["curve"].str.contains(" as ")]
    shown = decided if len(decided) else shown
    shown = shown[shown["key"] == shown["key"].iloc[0]]
    columns = min(len(pairs), 3)
    with matplotlib.rc_context(RC):
        figure = plots.Chart(figsize=(3.7 * columns, 3.4 * -(-len(pairs) // columns) + 0.5), vector=False)
        grid = figure.subplots(-(-len(pairs) // columns), columns, squeeze=False).ravel()
        for number, pair in enumerate(pairs):
            axes = grid[number]
            _draw_points(axes, shown, pair)
            axes.set_title(f"({chr(97 + number)}) {pair}", loc="left", parse_math=False)
            axes.set_xlabel("along Fisher's discriminant")
            axes.set_ylabel("most variance across it")
        for axes in grid[len(pairs) :]:
            axes.remove()
        handles = {point.get_label(): point for point in grid[0].lines if not point.get_label().startswith("_")}
        if len(decided):
            label = "hollow: taken for the other class by the head"
            handles[label] = Line2D([], [], color="black", marker="o", markerfacecolor="none", linestyle="")
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=4)
    figure.alt = f"Latents of the pairs {', '.join(pairs)} in a plane, with {method}'s samples"
    return figure


def _draw_points(axes, shown: pd.DataFrame, pair: str) -> None:
    for name, (color, marker, own, other) in KINDS.items():
        look = {"marker": marker, "color": color, "markersize": 4, "alpha": 0.7, "linestyle": ""}
        kind = shown["curve"].str.removeprefix(f"{PICTURE}{pair} {name}")
        right, wrong = shown[kind.isin(["", f" as {own}"])], shown[kind == f" as {other}"]
        axes.plot(right["x"], right["y"], **look, label=name)
        axes.plot(wrong["x"], wrong["y"], **look, markerfacecolor="none")
