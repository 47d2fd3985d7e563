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
#: What else makes a network of another kind; one kind is shown and judged for each data set.
KINDS = "pretraining pretrained pretraining_iterations batch_norm input_size image_size precision".split()
#: A network's schedule counts if D reaches this share of what it reaches in the paper with the same imbalances.
LEARNED = 0.5
#: Trainings of one network that are compared with each other, apart from imbalance, sampler and replicate.
SCHEDULE = "dataset network input_size pretraining iterations plateau precision count_scale epoch_scale".split()
#: Columns of this study, so that code may name them before anything was measured.
COLUMNS = (
    "image_size input_size batch_norm count_scale epoch_scale plateau pretraining pretrained pretraining_iterations "
    "variant samples epochs recessions iterations_done ended_by"
).split()
NAMES = {"allcnn": "All-CNN", "vgg16": "VGG-16"}
TRAINING_ONLY = "training images only"  # the variant of centres that leaves the validation images out
#: Not in the paper, on the same trained networks; `linear` is All-CNN's stand-in for a last layer with weights.
RIVALS = ("linear", "cRT", "tau-norm", "LWS", "logit adjustment")
INPUT, SIDE = 224, 32  # pixels: VGG-16's input in the paper, and CIFAR's images
#: Nearest to the paper last.
_PRETRAINING = ("", "tiny_imagenet", "imagenet")


def selected(frame: pd.DataFrame) -> pd.DataFrame:
    """Of measured rows, those of the paper's own setting, in one precision, and of one kind of VGG-16.

    A smaller width or other batches are experiments of their own, and must not stand among the replicates. Where a
    network was trained on a data set in several precisions, image or input sizes, from several weights, with batch
    normalisation and without, the kind with the most cells on the counts of tables I and II counts; of equal ones that
    nearest to the paper (ImageNet, torchvision's own file, or the longest pre-training; no batch normalisation, 224
    pixels, images as they are, fp32). The same for how often validation accuracy is looked at with fewer images.
    """
    frame = frame.reindex(columns=[*frame, *(column for column in COLUMNS if column not in frame)])
    frame = frame[at_defaults(frame, USUAL) & (frame["imbalance"] != "own")].reset_index(drop=True)
    parts = [frame.iloc[:0]]
    for _, rows in frame.groupby(["dataset", "network"]):
        kinds = rows.groupby(KINDS)
        cells, as_printed = kinds["key"].nunique(), rows[rows["count_scale"] == 1].groupby(KINDS)["key"].nunique()
        cells = cells if as_printed.empty else as_printed
        best = max(cells.index, key=lambda kind: (cells[kind], *_nearness(*kind)))
        own = kinds.get_group(best)
        for _, scaled in own.groupby("count_scale"):
            looks = scaled.groupby("epoch_scale")["key"].nunique()
            parts.append(scaled[scaled["epoch_scale"] == max(looks.index, key=lambda scale: (looks[scale], scale))])
    return pd.concat(parts)


def _nearness(pretraining, pretrained, updates, batch_norm, size, images, precision) -> tuple:
    known = _PRETRAINING.index(pretraining), not pretrained, updates
    return *known, not batch_norm, size, images == 0, precision == "fp32"


def _learning(frame: pd.DataFrame) -> pd.DataFrame:
    """How far each schedule has got: columns of `SCHEDULE`, mean precision of D here (`reached`), there (`level`), and
    whether the network has `learned` its task."""
    paper = published("category_centers")
    paper = paper[(paper["metric"] == "mean_precision") & (paper["method"] == "D")]
    place = ["dataset", "network", "imbalance"]
    own = frame[(frame["method"] == "D") & (frame["metric"] == "accuracy")]
    own = own.groupby([*SCHEDULE, "imbalance"], as_index=False)["value"].mean()
    # Means over the same imbalances, of which some are harder than others.
    both = own.merge(paper[[*place, "comparable"]], on=place).groupby(SCHEDULE)[["value", "comparable"]].mean()
    found = both.reset_index().rename(columns={"value": "reached", "comparable": "level"})
    return found.assign(learned=found["reached"] > LEARNED * found["level"])


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
    """Which networks have not learned their task, on the schedule with which they come nearest to it, or ""."""
    found = _learning(frame).query("not learned")
    best = (found["reached"] / found["level"]).sort_values(ascending=False).index
    found = found.loc[best].drop_duplicates(["network", "dataset", "count_scale"])
    told = [
        f"{NAMES[one.network]} on {named(one.dataset)} has not learned its task in {one.iterations:,.0f} updates"
        f"{f' with {one.count_scale:g} times the images' if one.count_scale != 1 else ''}: "
        f"its own classifier reaches {one.reached:.3f}, judged are networks above {LEARNED * one.level:.3f}"
        for one in found.itertuples()
    ]
    return "; ".join(told)


def remarks(settings: pd.DataFrame) -> list[str]:
    """What a verdict on these settings (`claims`) has to say: a schedule cut short, a stand-in for the network."""
    notes = []
    for (iterations, cut), _ in settings.groupby(["iterations", "schedule"]):
        if not cut.startswith("0 "):
            ended = cut.replace("of ", "of the ")
            notes.append(
                f"shortened schedule: {ended} networks of this schedule ended by the limit of {iterations:,.0f} updates"
            )
    other = _other_vgg(settings)
    if other:
        notes.append(f"stand-in for VGG-16 with ImageNet's weights at {INPUT} pixels: {', '.join(other)}")
    if (settings["pretraining"] == "tiny_imagenet").any():
        notes.append("all replicates from one pre-trained network")
    return notes


def departures(part: pd.DataFrame) -> list[str]:
    """What keeps the levels of one network on one data set from being compared with the paper's, in a few words."""
    return ["shortened schedule"] * bool((part["ended_by"] == "limit").any()) + _other_vgg(part)


def _other_vgg(frame: pd.DataFrame) -> list[str]:
    """In what VGG-16 departs from the paper's, of rows of one kind."""
    vgg = frame[frame["network"] == "vgg16"]
    if vgg.empty:
        return []
    one, words = vgg.iloc[0], []
    if one["pretraining"] != "imagenet":
        words.append(f"pre-trained on {one['pretraining']}" if one["pretraining"] else "from scratch")
    if one["input_size"] != INPUT:
        words.append(f"input of {pixels(one):g} pixels")
    return words + ["batch normalisation"] * bool(one["batch_norm"])


def pixels(one) -> float:
    """Height and width of what the network takes, of a row or of parameters with the images of tables I and II."""
    return one["input_size"] or one["image_size"] or SIDE


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
        what = [f"{NAMES[network]} on {named(dataset)} for at most {iterations:,} updates", *_other_vgg(rows)]
        unlearned = " (not judged: has not learned its task)" * judged(rows).empty
        parts.append(f"{', '.join(what)}, {span(replicates, 'replicate')}{unlearned}")
    return f"{frame['key'].nunique():,} networks: {'; '.join(parts)}."
