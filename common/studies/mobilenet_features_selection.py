"""Which of the measured rows of paper 2 count, and what a verdict from them has to say."""

from __future__ import annotations

import pandas as pd

from common.coverage import covering
from common.matching import AGAINST
from common.mobilenet_weights import IMAGENET, RANDOM
from common.names import named
from common.tables import span

EPOCHS = 50  # of the paper's fine-tuning
FOLDS = 10  # of the paper
RATIOS = (2, 5, 10)  # of the paper
FEATURES, IMAGES, FINETUNED = "features", "images", "fine-tuned features"
TRAINED = (IMAGES, FINETUNED)  # representations that come from fine-tuning


def selected(frame: pd.DataFrame) -> pd.DataFrame:
    """Of measured rows, those of the paper's own setting from one set of trained weights.

    Fewer images a class, narrower networks and random weights are experiments of their own. Of two sets of trained
    weights the one with more cells is taken, so that no mean mixes them.
    """
    if frame.empty:
        return frame
    usual = (frame["per_class"] == 0) & (frame["alpha"] == 1) & (frame["pretrained"] != RANDOM)
    cells = frame[usual].groupby("pretrained")["key"].nunique()
    return frame[usual & (frame["pretrained"] == cells.idxmax())] if len(cells) else frame[usual]


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows on which claims are judged: of what is fine-tuned one schedule a data set and representation.

    Which one `coverage.covering` says.
    """
    if frame.empty:
        return frame
    trained = frame["representation"].isin(TRAINED)
    parts = [frame[~trained]]
    how, setting = ["epochs", "precision"], ["rho", "sampler", "variant"]
    for _, part in frame[trained].groupby(["dataset", "representation"]):
        (epochs, precision), *_ = covering(part, setting, how)
        parts.append(part[(part["epochs"] == epochs) & (part["precision"] == precision)])
    return pd.concat(parts)


def main_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the paper's tables: the paper's features, and one schedule of fine-tuning."""
    frame = judged(frame)
    return frame[frame["variant"] == "paper"] if len(frame) else frame


def remarks(settings: pd.DataFrame) -> list[str]:
    """What a verdict on these settings (`claims`) has to say: other weights, fine-tuning that was shortened."""
    notes = other_weights(settings)
    for side in ("", AGAINST):
        representation = settings.get(f"representation{side}", settings.get("representation"))
        epochs = settings.get(f"epochs{side}")
        if representation is None or epochs is None:
            continue
        for length in sorted(set(epochs[representation.isin(TRAINED) & (epochs < EPOCHS)])):
            notes.append(f"shortened fine-tuning: {length:g} of {EPOCHS} epochs")
    return notes


def other_weights(rows: pd.DataFrame) -> list[str]:
    """What is to be said where other weights were used than the file that Keras downloads; empty otherwise."""
    return ["other weights than Keras' file"] if "pretrained" in rows and (rows["pretrained"] != IMAGENET).any() else []


def folds(rows: pd.DataFrame) -> str:
    """In how many folds a method was measured on a data set at a ratio: ``3``, or ``2 to 4`` where that differs."""
    return span(rows.groupby(["dataset", "rho", "method"])["replicate"].nunique())


def summary(frame: pd.DataFrame) -> str:
    """What was measured, in one sentence for the README and the index."""
    parts = []
    main = main_rows(frame)
    for kind, name in ((FEATURES, "support vector machines on features"), (IMAGES, "fine-tuned networks")):
        rows = main[main["representation"] == kind]
        if rows.empty:
            continue
        sets = ", ".join(map(named, sorted(rows["dataset"].unique())))
        ratios, of = (", ".join(f"{ratio:g}" for ratio in sorted(set(found))) for found in (rows["rho"], RATIOS))
        ratios = f"IR {ratios}" if ratios == of else f"IR {ratios}, the paper's are {of}"
        part = f"{rows['key'].nunique():,} {name} ({sets}; {ratios}; folds: {folds(rows)} of {FOLDS}"
        epochs = rows["epochs"].min()
        parts.append(part + (f"; shortened, {epochs:g} of {EPOCHS} epochs)" if epochs < EPOCHS else ")"))
    return "; ".join(parts) + "." if parts else f"{frame['key'].nunique():,} cells."
