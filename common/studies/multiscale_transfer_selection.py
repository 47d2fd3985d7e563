"""Which of the measured rows of paper 5 count, and what they are."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from common import tables
from common.names import named

#: What makes results comparable beside the data set, arm, network and training set.
SETTING = (
    "trunk", "pretrained", "pooling", "image_size", "width", "stem", "iterations", "batch_size", "learning_rate",
    "weight_decay", "augment", "folds", "total", "frozen_first", "frozen_second", "precision", "border",
)  # fmt: skip


def with_share(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `test_share`, what a replicate tests on of one pool (`statistics.interval`)."""
    return rows.assign(test_share=1 / rows["folds"])


def main_rows(frame: pd.DataFrame, dataset: str, trunk: str, but: Collection[str] = ()) -> pd.DataFrame:
    """The rows of one data set and trunk in the setting that was measured most often, so that nothing mixes two.

    `but` are names of `SETTING` in which the rows may differ all the same, for a comparison of these.
    """
    rows = frame[(frame["dataset"] == dataset) & (frame["trunk"] == trunk)] if len(frame) else frame
    if rows.empty:
        return rows
    number = rows.groupby([name for name in SETTING if name not in but], dropna=False).ngroup()
    cells = number[~rows["key"].duplicated()]
    return rows[number == cells.mode().max()]


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows on which claims are judged: `main_rows` of each data set and trunk, all arms and networks.

    Another setting is measured for some arms alone, and a mean over both would weigh the arms differently.
    """
    if frame.empty:
        return frame
    places = frame[["dataset", "trunk"]].drop_duplicates()
    return pd.concat([main_rows(frame, *place) for place in places.itertuples(index=False)]).sort_index(kind="stable")


def remarks(settings: pd.DataFrame) -> list[str]:
    """What a verdict on these settings (`claims`) has to say: what is not the paper's own."""
    notes = ["a reconstruction from the abstract"]
    if "magnetic_tile" in set(settings.get("dataset", ())):
        notes.append("stand-in: magnetic tiles for the industrial set")
    return notes


def caveats(metric: str, rows: pd.DataFrame) -> list[str]:
    """What a verdict has to say of the judged trainings of the claim's own arm (`claims`): how many are blind.

    Only of accuracy, which calling every image normal may raise.

    Parameters
    ----------
    metric : str
        That the claim is about.
    rows : DataFrame
        Tidied rows of these trainings, of all metrics.
    """
    recall = rows[(rows["metric"] == "recall") & (rows["class_label"] > 0)]
    if metric != "accuracy" or recall.empty:
        return []
    one = [column for column in recall if column not in ("metric", "value", "class_label")]
    best = recall.groupby(one, dropna=False)["value"].max()
    blind = int((best == 0).sum())
    said = "they call every image normal, or nearly, and their accuracy is at most the share of normal images"
    told = f"no test defect recognised in {blind} of {len(best)} judged trainings of its own arm: {said}"
    return [told] if blind else []


def levels(settings: pd.DataFrame) -> str:
    """Why no level is judged, whatever the settings."""
    return "a reconstruction on other data: levels are not compared"


def summary(frame: pd.DataFrame) -> str:
    """What was measured, in one sentence for the README and the index: the multi-scale network in its main setting.

    How many trainings were in other settings, of which nothing more is said, stands at its end.
    """
    parts, others = [], set(frame["key"])
    for (dataset, trunk), _ in frame.groupby(["dataset", "trunk"]):
        rows = main_rows(frame, dataset, trunk)
        rows = rows[rows["network"] == "multiscale"]
        ratios, few = _sets(rows, "ratio", "rho"), _sets(rows, "few", "few", " defects")
        said = [f"at ratios {ratios}"] * bool(ratios) + [f"with {few}"] * bool(few)
        if said:
            parts.append(f"{named(dataset)}{', from pixels,' * (trunk == 'own')} {' and '.join(said)}")
            others -= set(rows.loc[rows["imbalance"].isin(["ratio", "few"]), "key"])
    parts += [f"{len(others):,} with other branches, pooling, borders or classes"] * bool(parts and others)
    return f"A reconstruction from the abstract; {frame['key'].nunique():,} trainings: {'; '.join(parts)}."


def _sets(rows: pd.DataFrame, imbalance: str, column: str, unit: str = "") -> str:
    """Training sets of one kind, those of which as many splits were measured together."""
    rows = rows[rows["imbalance"] == imbalance]
    often = rows.groupby([column, "method"])["replicate"].nunique().groupby(column).agg(["max", "min"])
    return ", ".join(
        f"{', '.join(f'{value:g}' for value in same.index)}{unit} ({tables.span(count, 'split')})"
        for count, same in sorted(often.groupby(["max", "min"]), reverse=True, key=lambda group: group[0])
    )
