"""What the overview takes from paper 1: numbers beside the printed ones, figure, contest of methods, deviations."""

from __future__ import annotations

import pandas as pd

from common.names import NAMES as DATA
from common.statistics import summarise
from common.studies import category_centers as study
from common.studies import category_centers_figures as show
from common.studies import category_centers_runs as runs
from common.studies import category_centers_tables as facts
from common.studies.category_centers_selection import NAMES, TRAINING_ONLY

RESULTS = ("mean_precision",)
UNPAIRED = (
    "Levels stand side by side and are not subtracted where the limit of updates ended a training, or VGG-16 has other "
    "weights, a smaller input or batch normalisation."
)
TABLES = {"VII": ("cifar10", "allcnn"), "V": ("cifar10", "vgg16"), "VI": ("cifar100", "vgg16")}
BASELINE = "D"
MEASURES = {"accuracy": "accuracy on a balanced test set", "recall_few": "recall of labels with few images"}
SITUATIONS = {
    "allcnn": "train an All-CNN from scratch and choose how it classifies in the end",
    "vgg16": "train a VGG-16 and choose how it classifies in the end",
}
FIGURE = (
    "How well each label is recognised by the network's own classifier (D) and by centres of its features (C, F; O in "
    "front: after oversampled training), by imbalance (figures 4 and 5)."
)
MATTER = (
    "weight updates of All-CNN", "weight updates of VGG-16", "pre-training", "input of VGG-16", "batch normalisation",
    "learning rate after s recessions, as a factor",
)  # fmt: skip


def beside(printed: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Ours for each printed mean precision that was measured (`common.comparison`)."""
    parts = []
    for number, part in _measured(frame).items():
        rows = printed.loc[(printed["table"] == number) & printed["metric"].isin(RESULTS), ["imbalance", "method"]]
        ours = summarise(show.rows(part, "accuracy", show.METHODS), ["imbalance", "method"])
        known = rows.reset_index().merge(ours, on=["imbalance", "method"]).set_index("index")
        profile = ", ".join(["/".join(sorted(part["profile"].unique())), *study.departures(part)])
        parts.append(known.assign(profile=profile, full=runs.is_full(part), stand_in=False))
    return pd.concat(parts) if parts else pd.DataFrame()


def contest(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of every method on the imbalances of tables I and II (`common.overview_contest`).

    Centres are those of the training images alone, on which the others are fitted.
    """
    parts = []
    for part in map(facts.on_training_images, _measured(frame).values()):
        rows = part[part["metric"].isin(MEASURES) & part["method"].isin(facts.EVERY) & (part["variant"] == "")]
        dataset, network = rows[["dataset", "network"]].iloc[0]
        where = ", ".join([DATA[dataset], NAMES[network], *study.departures(part), f"centres: {TRAINING_ONLY}"])
        names = {"situation": SITUATIONS[network], "where": where, "rho": float("nan")}
        parts.append(rows.assign(**names, setting="imbalance " + rows["imbalance"]))
    return pd.concat(parts) if parts else pd.DataFrame()


def figure(frame: pd.DataFrame):
    """Recognition by label, of the first table that was measured."""
    return next((show.per_label(part) for part in _measured(frame).values()), None)


def drawn(frame: pd.DataFrame) -> str:
    """On what the figure rests: data, network, its departures and replicates."""
    part = next(iter(_measured(frame).values()))
    first = part.iloc[0]
    where = ", ".join([DATA[first["dataset"]], NAMES[first["network"]], *study.departures(part)])
    return f"{where}; {runs.counted(part)}."


def deviations(frame: pd.DataFrame) -> list[dict]:
    """Departures from the paper of all that is judged."""
    return [row for part in _measured(frame).values() for row in study.deviations(runs.parameters_of(part))]


def _measured(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by table, of networks that have learned their task."""
    frame = study.judged(frame)
    parts = {number: study.main_rows(frame, *place) for number, place in TABLES.items()}
    return {number: part for number, part in parts.items() if len(part)}
