"""Figures of paper 5 from a result frame, and which of its rows belong together: for notebook 5 and the overview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd

from common import plots
from common.look import RC, Chart, method_styles
from common.names import named
from common.statistics import summarise
from common.studies import multiscale_transfer as study
from common.studies.multiscale_transfer_explaining import pictures_of
from common.studies.multiscale_transfer_selection import main_rows, with_share

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "recall": "recall of the defects",
    "pr_auc": "PR-AUC of the defects",
}
#: What the abstract calls common methods, and what its two stages may be.
COMMON = ("oversampling", "undersampling", "weighted loss", "focal loss", "undersampling ensemble")
READINGS = ("two-stage balanced-natural", "two-stage natural-balanced", "related task")
#: Arms of the figure over the ratio by row of panels, each beside the baseline; tables have all.
DRAWN = {"common methods": COMMON, "proposed, by reading": (*READINGS, "one-stage natural")}
STYLES = method_styles(dict.fromkeys(["baseline", *COMMON, *READINGS, "one-stage natural"]))
#: What the arms start from, as titles name it.
TRUNKS = {"imagenet": "ImageNet trunk", "own": "own trunk"}
#: On the ImageNet trunk these are the networks of baseline and oversampling under another name.
COPIES = ("one-stage natural", "one-stage balanced")


def distinct(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows without those of a network that stands there under another name, too."""
    return frame[~((frame["trunk"] == "imagenet") & frame["method"].isin(COPIES))] if len(frame) else frame


def metric_rows(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Usable rows of one metric, `with_share`; recall is that of the defects, averaged over their classes."""
    rows = with_share(frame[(frame["metric"] == metric) & (frame["status"] == "ok")])
    if metric != "recall":
        return rows
    defects, one = rows[rows["class_label"] > 0], ["key", "method"]  # a training may be an arm under two names
    return defects.assign(value=defects.groupby(one)["value"].transform("mean")).drop_duplicates(one)


def drawn(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows that `sweep` shows of one setting."""
    rows = metric_rows(distinct(frame), metric)
    return rows[rows["imbalance"].eq("ratio") & rows["network"].eq("multiscale") & rows["method"].isin(STYLES)]


def sweep(mains: Sequence[pd.DataFrame], metric: str) -> Chart | None:
    """One measure of the multi-scale network over the ratio: a column a data set, `DRAWN` in rows; None without data.

    The axis begins below the least mean. Intervals are cut there and at 0 and 1, which Student's t of few replicates
    may exceed. A line ends where a ratio was not measured.
    """
    parts = []
    for group, methods in DRAWN.items():
        for main in mains:
            rows = drawn(main, metric)
            rows = rows[rows["method"].isin(["baseline", *methods])]
            if len(rows) and (group == "common methods" or set(rows["method"]) != {"baseline"}):
                panel = f"{named(rows['dataset'].iloc[0])}: {group}"
                parts.append(summarise(rows, ["rho", "method"], test_share="test_share").assign(panel=panel))
    if not parts:
        return None
    summary = pd.concat([part.sort_values("method", key=lambda c: c.map(list(STYLES).index)) for part in parts])
    chart = plots.panels(
        summary, "rho", "panel", ylabel=METRICS[metric], xlabel="ratio of normal images to defects",
        columns=len(mains), styles=STYLES, within=(0, 1),
    )  # fmt: skip
    least = max(0.0, np.floor(10 * summary["mean"].min() - 0.5) / 10)
    for axes in chart.axes:
        axes.set_ylim(least - 0.03 * (1 - least) * (least == 0), 1 + 0.03 * (1 - least))
        _end_at_gaps(axes)
    return chart


def _end_at_gaps(axes) -> None:
    """Do not join points across a tick at which a line has none; ticks are one apart."""
    for line in axes.lines:
        x, y = (np.asarray(values, float) for values in line.get_data())
        gaps = np.flatnonzero(np.diff(x) > 1.5) + 1
        if not line.get_label().startswith("_") and len(gaps):
            line.set_data(np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan))


def pictured(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells whose pictures `explained` shows, a row each: those at the smallest ratio of which any were kept."""
    cells = frame[(frame["pictures"] > 0) & (frame["status"] == "ok") & (frame["network"] == "multiscale")]
    return cells[cells["imbalance"].eq("ratio") & cells["rho"].eq(cells["rho"].min())].drop_duplicates("key")


def explained(frame: pd.DataFrame, curves: pd.DataFrame, most: int = 3) -> Chart | None:
    """Grad-CAM over kept test defects of the first replicate at the smallest ratio; None without pictures.

    A row is an arm, a column one defect with one outcome: at most `most` defects of each outcome, those that most arms
    kept. A place is empty where the arm has no such picture.
    """
    cells, of_cell = pictured(frame), dict(list(curves.groupby("key")))
    kept = {}  # arm: (outcome, image): case
    for row in cells.sort_values("arm", key=lambda column: column.map(list(study.ARMS).index)).itertuples():
        cases = pictures_of(of_cell[row.key]) if row.key in of_cell else {}
        if cases:
            kept[row.arm] = {(outcome, case["image"].tobytes()): case for (outcome, _), case in sorted(cases.items())}
    if not kept:
        return None
    often = Counter(place for cases in kept.values() for place in cases)
    columns = [
        place for outcome in ("recognised", "missed")
        for place in [place for place, _ in often.most_common() if place[0] == outcome][:most]
    ]  # fmt: skip
    names = {image: chr(65 + number) for number, image in enumerate(dict.fromkeys(image for _, image in columns))}
    ratio, dataset = cells["rho"].iloc[0], named(cells["dataset"].iloc[0])
    with matplotlib.rc_context(RC):
        figure = Chart(figsize=(1.45 * len(columns) + 2.6, 1.45 * len(kept) + 1.0), vector=False)
        grid = figure.subplots(len(kept), len(columns), squeeze=False)
        for axes_row, (arm, cases) in zip(grid, kept.items(), strict=True):
            for axes, place in zip(axes_row, columns, strict=True):
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if place in cases:
                    shade = _overlay(axes, cases[place])
            axes_row[0].set_ylabel(arm.replace(" ", "\n", 1), rotation=0, ha="right", va="center", fontsize=9)
        for axes, (outcome, image) in zip(grid[0], columns, strict=True):
            axes.set_title(f"{outcome}\ndefect {names[image]}", fontsize=9)
        bar = figure.colorbar(shade, ax=grid, fraction=0.04, aspect=30, ticks=[0, 1])
        bar.ax.set_yticklabels(["least", "most"])
        bar.set_label("what speaks for a defect (Grad-CAM, of each picture's own maximum)")
        figure.get_layout_engine().set(w_pad=0.1)
        figure.suptitle(f"{dataset}, ratio {ratio:g}, one split: test defects as each arm sees them", fontsize=10.5)
    shown = {
        arm: ", ".join(f"{outcome} {names[image]}" for outcome, image in columns if (outcome, image) in cases)
        for arm, cases in kept.items()
    }
    figure.alt = (
        f"Grad-CAM heat maps over test defects of {dataset} at ratio {ratio:g}, with the outline of the true defect; "
        f"rows: {'; '.join(f'{arm} ({cases})' for arm, cases in shown.items())}"
    )
    return figure


def _overlay(axes, case: Mapping[str, np.ndarray]):
    """An image under its map, with the outline of its mask; what the scale of colours belongs to."""
    axes.imshow(case["image"], cmap="gray", vmin=0, vmax=1)
    shade = axes.imshow(case["map"], cmap="magma", vmin=0, vmax=1, alpha=0.45)
    if np.ptp(case["mask"]) > 0:
        axes.contour(case["mask"], levels=[0.5], colors="#35d0ff", linewidths=1.2)
    return shade


def parameters_of(frame: pd.DataFrame) -> study.Parameters:
    """The parameters that would give these rows of one data set and setting, to say how they depart from the paper."""

    def values(column):
        return tuple(dict.fromkeys(frame.sort_values(column)[column].dropna()))

    one = frame.iloc[0]
    source = frame[frame["source"] != ""]
    shared = ("image_size", "width", "stem", "pooling", "pretrained", "iterations", "batch_size", "learning_rate",
              "weight_decay", "augment", "border", "folds", "precision", "frozen_first", "frozen_second")  # fmt: skip
    plain = {name: getattr(one[name], "item", lambda value=one[name]: value)() for name in shared}
    origin = {"related": ", ".join(name for name in values("related") if name) or "none"}
    if len(source):
        first = source.iloc[0]
        origin |= {
            "source": first["source"],
            "source_size": int(first["source_size"]),
            "source_iterations": int(first["source_iterations"]),
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


def settings(frame: pd.DataFrame, but: Collection[str] = ()) -> dict[str, pd.DataFrame]:
    """`main_rows` by name: every data set with the ImageNet trunk, and with a trunk of its own; only what there is."""
    return {
        f"{named(rows['dataset'].iloc[0])}, {name}": rows
        for name, sets in by_trunk(frame, but).items()
        for rows in sets
    }


def by_trunk(frame: pd.DataFrame, but: Collection[str] = ()) -> dict[str, list[pd.DataFrame]]:
    """`main_rows` by the name of the trunk, a data set each; only what there is."""
    datasets = sorted(set(frame["dataset"])) if len(frame) else []
    found = {name: [main_rows(frame, dataset, trunk, but) for dataset in datasets] for trunk, name in TRUNKS.items()}
    measured = {name: [rows for rows in sets if len(rows)] for name, sets in found.items()}
    return {name: sets for name, sets in measured.items() if sets}
