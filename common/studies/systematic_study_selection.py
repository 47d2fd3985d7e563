"""Which of the measured rows count: the paper's own setting, and of several trainings of one set the chosen one.

On CIFAR-10 the paper trains each set at four base rates, twice each, and reports the best of the eight on the test set.
That is given as `selection` test. Beside it stands `selection` validation: the training is chosen on one half of the
test images and reported on the other, and the two ways round are averaged, so no image both chooses and reports.
"""

from __future__ import annotations

import pandas as pd

from common.coverage import covering
from common.matching import at_defaults
from common.studies.systematic_study_protocols import (
    FULL_ITERATIONS,
    IMAGENET_SIDE,
    PROTOCOLS,
    network_of,
    side,
)

#: Fields of a cell that the paper does not vary, at their defaults.
USUAL = {"per_class": 0, "rectified": True, "whiten": True, "width": 96}
#: Samplers of arms of ours, which may have fewer replicates than the paper's.
WEIGHTED = ("weighted", "normalised")
LEARNED = 0.8  # accuracy of the balanced All-CNN from which on its schedule counts
_SEARCHED = [name for name, protocol in PROTOCOLS.items() if protocol.learning_rates]
_HALVES = (" (half 0)", " (half 1)")
# What differs between the trainings of one set, or only records how they went.
_RUN = (
    "key learning_rate repeat value train_seconds created code_version device engine profile metric class_label status "
    "selection convergence"
).split()


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """Results with one training for each set, method and selection; those without a search stay as they are.

    Parameters
    ----------
    frame : DataFrame
        Result rows of the study, one training a cell.

    Returns
    -------
    DataFrame
        The same columns. A method's AUC is that of the training with the best AUC; everything else that of the one with
        the best accuracy. Diverged trainings are never chosen, unless all are.
    """
    searched = frame["network"].isin(_SEARCHED)
    if not searched.any():
        return frame
    rows = frame[searched]
    place = [column for column in rows if column not in _RUN and not column.startswith("seed_")]
    # Of trainings that differ only in how often accuracy was taken along the way, the one with most points (figure 8).
    same = [*place, "learning_rate", "repeat", "metric", "class_label"]
    rows = rows.sort_values("convergence", ascending=False, kind="stable").drop_duplicates(same).sort_index()
    parts = [frame[~searched]]
    for _, group in rows.groupby(place, dropna=False, sort=False):
        parts += [_by_test(group), _by_validation(group)]
    return pd.concat(parts, ignore_index=True)


def _best(group: pd.DataFrame, metric: str):
    """Key of the training with the highest value of a metric; the first if none has one."""
    values = group[group["metric"] == metric].set_index("key")["value"]
    return values.idxmax() if values.notna().any() else values.index[0]


def _by_test(group: pd.DataFrame) -> pd.DataFrame:
    if not {"auc", "accuracy"} <= set(group["metric"]):
        return group.iloc[:0]  # rows such as training accuracy stand with their method's own group
    whole = group[~group["metric"].str.endswith(_HALVES)]
    auc = whole[(whole["metric"] == "auc") & (whole["key"] == _best(group, "auc"))]
    rest = whole[(whole["metric"] != "auc") & (whole["key"] == _best(group, "accuracy"))]
    return pd.concat([auc, rest]).assign(selection="test")


def _by_validation(group: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for metric in ("auc", "accuracy"):
        if not {metric + half for half in _HALVES} <= set(group["metric"]):
            continue
        reported = []
        for choosing, reporting in (_HALVES, _HALVES[::-1]):
            key = _best(group, metric + choosing)
            reported.append(group[(group["metric"] == metric + reporting) & (group["key"] == key)].iloc[0])
        # The two halves hold equally many images, so the plain mean is that over all images.
        value = sum(row["value"] for row in reported) / 2
        rows.append({**reported[0], "metric": metric, "value": value, "selection": "validation"})
    return pd.DataFrame(rows, columns=group.columns)


def selected(frame: pd.DataFrame) -> pd.DataFrame:
    """Of measured rows, those of the paper's own setting, with one training for each set (see `chosen`).

    A smaller width, fewer images a class, another network for a data set, images of another size or, where the paper
    does not search for it, another learning rate are experiments of their own, and must not stand among the replicates.
    Of ImageNet those of the paper's size count where there are any, else those of the size that `data.load` gives.
    """
    usual = at_defaults(frame, USUAL)
    imagenet = frame["dataset"] == "imagenet"
    size = IMAGENET_SIDE if (frame.loc[imagenet, "image_size"] == IMAGENET_SIDE).any() else 0
    usual &= frame["image_size"] == imagenet * size
    usual &= frame["network"] == frame["dataset"].map(network_of)
    rates = {name: one.schedule.learning_rate for name, one in PROTOCOLS.items()}
    usual &= frame["network"].isin(_SEARCHED) | (frame["learning_rate"] == frame["network"].map(rates))
    return chosen(frame[usual])


def main_rows(frame: pd.DataFrame, dataset: str = "mnist", selection: str = "last") -> pd.DataFrame:
    """The rows of a data set to show: one schedule (`coverage.covering`) and one precision, so that no figure mixes."""
    frame = frame[(frame["dataset"] == dataset) & (frame["selection"] == selection)]
    imbalanced = frame[frame["imbalance"].isin(["step", "linear"])]
    if imbalanced.empty:
        return frame.iloc[:0]
    setting = ["imbalance", "rho", "mu", "sampler", "to_rho"]
    (iterations, precision), _, _ = covering(imbalanced, setting, ["iterations", "precision"])
    shown = (frame["iterations"] == iterations) & (frame["precision"] == precision)
    return frame[shown & (frame["imbalance"] != "original")]


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows on which claims are judged: without schedules on CIFAR-10 too short for their network to have learned.

    A schedule there counts if the balanced set reaches an accuracy above `LEARNED`; a network that has not learned the
    task says nothing about imbalance.
    """
    cifar = frame["dataset"] == "cifar10"
    reference = frame[cifar & (frame["imbalance"] == "none") & (frame["metric"] == "accuracy")]
    reached = reference.groupby("iterations")["value"].mean()
    kept = frame[~cifar | frame["iterations"].isin(reached.index[reached > LEARNED])]
    return pd.concat([kept, _trained(kept)], ignore_index=True)


def remarks(settings: pd.DataFrame) -> list[str]:
    """What a verdict on these settings (`claims`) has to say: images of ImageNet that are smaller than the paper's."""
    if "image_size" not in settings:
        return []
    own = settings[settings["dataset"] == "imagenet"]
    sides = sorted({side("imagenet", int(size)) for size in own["image_size"]} - {IMAGENET_SIDE})
    return [f"images of {size} x {size} pixels, the paper's are of {IMAGENET_SIDE}" for size in sides]


def levels(settings: pd.DataFrame) -> str:
    """Why no level is judged on these settings (`claims`); "" where they are the paper's."""
    found = remarks(settings)
    return f"levels are not compared ({'; '.join(found)})" if found else ""


def _trained(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the metric share_trained: 1 for each AUC of a network that was trained to its end, 0 if it diverged."""
    auc = frame[frame["metric"] == "auc"]
    return auc.assign(metric="share_trained", value=(auc["status"] == "ok").astype(float), status="ok")


def summary(frame: pd.DataFrame) -> str:
    """What was measured, in one sentence for the README and the index."""
    grid, full = main_rows(frame), FULL_ITERATIONS["mnist"]
    if grid.empty:
        return f"{frame['key'].nunique():,} networks."
    iterations = int(grid["iterations"].max())
    shortened = f"{iterations:,} of {full:,} iterations" + (" (shortened)" if iterations < full else "")
    return (
        f"{frame['key'].nunique():,} networks; the grid of imbalances on MNIST ran for {shortened} with "
        f"{counted_replicates(grid)}."
    )


def counted_replicates(frame: pd.DataFrame) -> str:
    """How many replicates there are, in words: '3 replicates and part of 1 more'."""
    whole, total = whole_replicates(frame), frame["replicate"].nunique()
    more = f" and part of {total - whole} more" if total > whole else ""
    return f"{whole} replicate{'s' * (whole != 1)}{more}"


def whole_replicates(frame: pd.DataFrame) -> int:
    """How many replicates have as many cells of the paper's arms as the fullest; one that is being added has fewer."""
    cells = frame[~frame["sampler"].isin(WEIGHTED)].groupby("replicate")["key"].nunique()
    return int((cells == cells.max()).sum())
