"""Which of the measured rows of paper 1 count: its own setting, and networks that have learned their task."""

from __future__ import annotations

import pandas as pd

from common.matching import at_defaults, covering
from common.names import named
from common.published_numbers import published

#: Fields of a cell that the paper does not vary, at their defaults.
USUAL = {"width": 96, "hidden": 4096, "batch_size": 0, "batch_norm": False, "patience": 8}
#: A network's schedule counts if D reaches this share of what it reaches in the paper, over A, B and C.
LEARNED = 0.5
#: Trainings of one network that are compared with each other, apart from imbalance, sampler and replicate.
SCHEDULE = ["dataset", "network", "input_size", "pretraining", "iterations", "plateau", "precision"]
#: Columns of this study, so that code may name them before anything was measured.
COLUMNS = (
    "image_size input_size count_scale plateau pretraining variant samples epochs recessions iterations_done ended_by"
).split()
NAMES = {"allcnn": "All-CNN", "vgg16": "VGG-16"}
#: Nearest to the paper last.
_PRETRAINING = ("", "tiny_imagenet", "imagenet")


def selected(frame: pd.DataFrame) -> pd.DataFrame:
    """Of measured rows, those of the paper's own setting, with VGG-16 in one input size and pre-training a data set.

    A smaller width or other batches are experiments of their own, and must not stand among the replicates. Where
    VGG-16 was measured at several input sizes or pre-trainings, the one with the most cells counts; of equal ones that
    nearest to the paper (ImageNet, 224 pixels).
    """
    frame = frame.reindex(columns=[*frame, *(column for column in COLUMNS if column not in frame)])
    frame = frame[at_defaults(frame, USUAL) & (frame["imbalance"] != "own")]
    vgg = frame["network"] == "vgg16"
    parts = [frame[~vgg]]
    for _, rows in frame[vgg].groupby("dataset"):
        cells = rows.groupby(["pretraining", "input_size"])["key"].nunique()
        best = max(cells.index, key=lambda kind: (cells[kind], _PRETRAINING.index(kind[0]), kind[1]))
        parts.append(rows[(rows["pretraining"] == best[0]) & (rows["input_size"] == best[1])])
    return pd.concat(parts)


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows on which claims are judged: of schedules on which the network has learned its task (`LEARNED`).

    A network that knows nothing yet says nothing about imbalance.
    """
    paper = published("category_centers")
    paper = paper[(paper["metric"] == "mean_precision") & (paper["method"] == "D")]
    level = paper.groupby(["dataset", "network"])["comparable"].mean().rename("level").reset_index()
    own = (frame["method"] == "D") & (frame["metric"] == "accuracy") & (frame["count_scale"] == 1)
    reached = frame[own].groupby(SCHEDULE)["value"].mean().rename("reached").reset_index()
    known = reached.merge(level, on=["dataset", "network"])
    known = known.loc[known["reached"] > LEARNED * known["level"], SCHEDULE]
    return frame.merge(known, on=SCHEDULE)


def main_rows(frame: pd.DataFrame, dataset: str, network: str, count_scale: float = 1.0) -> pd.DataFrame:
    """The rows to show of a network on a data set: one schedule (`matching.covering`) and precision, none mixed."""
    frame = frame[(frame["dataset"] == dataset) & (frame["network"] == network)]
    frame = frame[(frame["count_scale"] == count_scale) & (frame["plateau"] == "exponential")]
    if frame.empty:
        return frame
    (iterations, precision), _, _ = covering(frame, ["imbalance", "sampler"], ["iterations", "precision"])
    return frame[(frame["iterations"] == iterations) & (frame["precision"] == precision)]


def summary(frame: pd.DataFrame) -> str:
    """What was measured, in one sentence for the README and the index."""
    parts = []
    for (network, dataset), rows in frame[frame["count_scale"] == 1].groupby(["network", "dataset"]):
        iterations, replicates = int(rows["iterations"].max()), rows["replicate"].nunique()
        what = f"{NAMES[network]} on {named(dataset)} for at most {iterations:,} updates"
        parts.append(f"{what}, {replicates} replicate{'s' * (replicates > 1)}")
    return f"{frame['key'].nunique():,} networks: {'; '.join(parts)}."
