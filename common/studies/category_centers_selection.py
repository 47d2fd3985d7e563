"""Which of the measured rows of paper 1 count: its own setting, and networks that have learned their task."""

from __future__ import annotations

import pandas as pd

from common.coverage import covering
from common.matching import at_defaults
from common.names import named
from common.published_numbers import published
from common.tables import span

#: Fields of a cell that the paper does not vary, at their defaults.
USUAL = {"width": 96, "hidden": 4096, "batch_size": 0, "patience": 8}
#: A network's schedule counts if D reaches this share of what it reaches in the paper, over A, B and C.
LEARNED = 0.5
#: Trainings of one network that are compared with each other, apart from imbalance, sampler and replicate.
SCHEDULE = "dataset network input_size pretraining iterations plateau precision count_scale epoch_scale".split()
#: Columns of this study, so that code may name them before anything was measured.
COLUMNS = (
    "image_size input_size batch_norm count_scale epoch_scale plateau pretraining pretrained pretraining_iterations "
    "variant samples epochs recessions iterations_done ended_by"
).split()
NAMES = {"allcnn": "All-CNN", "vgg16": "VGG-16"}
#: Nearest to the paper last.
_PRETRAINING = ("", "tiny_imagenet", "imagenet")


def selected(frame: pd.DataFrame) -> pd.DataFrame:
    """Of measured rows, those of the paper's own setting, in one precision, and of one kind of VGG-16.

    A smaller width or other batches are experiments of their own, and must not stand among the replicates. Where a
    network was trained on a data set in several precisions, input sizes, from several weights, with batch normalisation
    and without, the kind with the most cells counts; of equal ones that nearest to the paper (ImageNet, torchvision's
    own file, or the longest pre-training; no batch normalisation, 224 pixels, fp32).
    """
    frame = frame.reindex(columns=[*frame, *(column for column in COLUMNS if column not in frame)])
    frame = frame[at_defaults(frame, USUAL) & (frame["imbalance"] != "own")].reset_index(drop=True)
    kinds = ["pretraining", "pretrained", "pretraining_iterations", "batch_norm", "input_size", "precision"]
    parts = [frame.iloc[:0]]
    for _, rows in frame.groupby(["dataset", "network"]):
        cells = rows.groupby(kinds)["key"].nunique()
        best = max(cells.index, key=lambda kind: (cells[kind], *_nearness(*kind)))
        parts.append(rows[at_defaults(rows, dict(zip(kinds, best, strict=True)))])
    return pd.concat(parts)


def _nearness(pretraining: str, pretrained: str, updates: float, batch_norm: bool, size: float, precision: str):
    return _PRETRAINING.index(pretraining), not pretrained, updates, not batch_norm, size, precision == "fp32"


def _learning(frame: pd.DataFrame) -> pd.DataFrame:
    """How far each schedule has got: columns of `SCHEDULE`, mean precision of D here (`reached`), there (`level`), and
    whether the network has `learned` its task."""
    paper = published("category_centers")
    paper = paper[(paper["metric"] == "mean_precision") & (paper["method"] == "D")]
    level = paper.groupby(["dataset", "network"])["comparable"].mean().rename("level").reset_index()
    own = frame[(frame["method"] == "D") & (frame["metric"] == "accuracy")]
    reached = (
        own.groupby(SCHEDULE)["value"].mean().rename("reached").reset_index().merge(level, on=["dataset", "network"])
    )
    return reached.assign(learned=reached["reached"] > LEARNED * reached["level"])


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows on which claims are judged: of schedules on which the network has learned its task (`LEARNED`).

    A network that knows nothing yet says nothing about imbalance. The column `schedule` says how many of a schedule's
    networks the limit of updates ended and not the rule, for `remarks`.
    """
    known = _learning(frame).query("learned")[SCHEDULE]
    ended = frame.drop_duplicates("key").groupby(SCHEDULE, dropna=False)["ended_by"]
    ended = ended.agg(lambda by: f"{(by == 'limit').sum()} of {len(by)}").rename("schedule").reset_index()
    return frame.drop(columns="schedule", errors="ignore").merge(known, on=SCHEDULE).merge(ended, on=SCHEDULE)


def unjudged(frame: pd.DataFrame) -> str:
    """Which networks have not learned their task, and by how much, or ""."""
    told = [
        f"{NAMES[one.network]} on {named(one.dataset)} has not learned its task in {one.iterations:,.0f} updates"
        f"{f' with {one.count_scale:g} times the images' if one.count_scale != 1 else ''}: "
        f"its own classifier reaches {one.reached:.3f}, judged are networks above {LEARNED * one.level:.3f}"
        for one in _learning(frame).query("not learned").itertuples()
    ]
    return "; ".join(told)


def remarks(settings: pd.DataFrame) -> list[str]:
    """What a verdict on these settings (`claims`) has to say: a schedule cut short, a stand-in, a smaller input."""
    notes = []
    for place, _ in settings.groupby(["iterations", "schedule"]):
        iterations, cut = place
        if not cut.startswith("0 "):
            notes.append(f"shortened schedule: {cut} networks ended by the limit of {iterations:,.0f} updates")
    vgg = settings[settings["network"] == "vgg16"]
    if (vgg["pretraining"] != "imagenet").any():
        notes.append("stand-in: not pre-trained on ImageNet")
    if (vgg["input_size"] != 224).any():
        sizes = [f"{size:g}" if size else "the images' own size" for size in vgg["input_size"].unique()]
        notes.append(f"stand-in: input of {', '.join(sizes)}, not 224")
    if vgg["batch_norm"].any():
        notes.append("stand-in: VGG-16 with batch normalisation")
    return notes


def main_rows(frame: pd.DataFrame, dataset: str, network: str, count_scale: float = 1.0) -> pd.DataFrame:
    """The rows to show of a network on a data set: one schedule (`coverage.covering`)."""
    frame = frame[(frame["dataset"] == dataset) & (frame["network"] == network)]
    frame = frame[(frame["count_scale"] == count_scale) & (frame["plateau"] == "exponential")]
    if frame.empty:
        return frame
    iterations, _, _ = covering(frame, ["imbalance", "sampler"], ["iterations"])
    return frame[frame["iterations"] == iterations]


def summary(frame: pd.DataFrame) -> str:
    """What was measured, in one sentence for the README and the index."""
    parts = []
    for (network, dataset), rows in frame[frame["count_scale"] == 1].groupby(["network", "dataset"]):
        iterations = int(rows["iterations"].max())
        replicates = rows.groupby(["imbalance", "sampler"])["replicate"].nunique()
        what = f"{NAMES[network]} on {named(dataset)} for at most {iterations:,} updates"
        parts.append(f"{what}, {span(replicates, 'replicate')}")
    return f"{frame['key'].nunique():,} networks: {'; '.join(parts)}."
