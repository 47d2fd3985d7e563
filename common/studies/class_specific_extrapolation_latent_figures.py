"""Tables and figures of paper 3's latent space: the closest classes (figure 3), and pairs of classes in a plane."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.lines import Line2D

from common import plots
from common.look import RC
from common.studies.class_specific_extrapolation_claims import closest_pairs, paper_pairs

PICTURE = "picture "
#: Points of a picture: colour, marker, the class that they are of, and the other one.
KINDS = {
    "major": ("#a8958a", "o", "major", "minor"),
    "minor": ("#1f45e0", "^", "minor", "major"),
    "synthetic": ("#eb6823", "D", "minor", "major"),
}


def closeness(frame: pd.DataFrame) -> pd.DataFrame:
    """Figure 3: for each minor class the major one nearest to it, by three measures, beside the paper's."""
    printed = {pair.split("-")[1]: pair.split("-")[0] for pair in paper_pairs()}
    part = frame[frame["metric"].isin(["centre_distance", "nearest_share"]) & (frame["method"] == "backbone")]
    if part.empty:
        return pd.DataFrame()
    means = part.groupby(["metric", "pair"])["value"].mean()
    names = means["centre_distance"].index.str.split("-", expand=True)
    distance = pd.Series(means["centre_distance"].to_numpy(), names).unstack()
    share = pd.Series(means["nearest_share"].to_numpy(), names).unstack()
    assigned = {pair.split("-")[1]: pair.split("-")[0] for pair in closest_pairs(means["centre_distance"])}
    rows = [
        {
            "minor class": minor,
            "nearest mean": distance[minor].idxmin(),
            "nearest images": f"{share[minor].idxmax()} ({100 * share[minor].max():.0f}%)",
            "one to one": assigned[minor],
            "paper": printed.get(minor),
        }
        for minor in distance
    ]
    return pd.DataFrame(rows)


def closeness_map(frame: pd.DataFrame) -> plots.Chart | None:
    """Distances between the means of minor and major classes; the paper's pairs and the closest ones are marked."""
    part = frame[(frame["metric"] == "centre_distance") & (frame["method"] == "backbone")]
    if part.empty:
        return None
    means = part.groupby("pair")["value"].mean()
    matrix = pd.Series(means.to_numpy(), means.index.str.split("-", expand=True)).unstack()
    found, printed = set(closest_pairs(means)), set(paper_pairs())
    with matplotlib.rc_context({**RC, "axes.grid": False}):
        figure = plots.Chart(figsize=(6.2, 4.2))
        axes = figure.subplots()
        image = axes.imshow(matrix, cmap="viridis")
        for y, major in enumerate(matrix.index):
            for x, minor in enumerate(matrix.columns):
                pair = f"{major}-{minor}"
                text = f"{matrix.loc[major, minor]:.1f}{' ●' if pair in found else ''}{' ◻' if pair in printed else ''}"
                bright = matrix.loc[major, minor] > (matrix.to_numpy().min() + matrix.to_numpy().max()) / 2
                axes.text(x, y, text, ha="center", va="center", color="black" if bright else "white", fontsize=9)
        axes.set_xticks(range(matrix.shape[1]), matrix.columns, parse_math=False)
        axes.set_yticks(range(matrix.shape[0]), matrix.index, parse_math=False)
        axes.set_xlabel("minor class")
        axes.set_ylabel("major class")
        figure.colorbar(image, label="distance of class means")
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
