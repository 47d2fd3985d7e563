"""Which of the measured rows of paper 2 count, and what a verdict from them has to say."""

from __future__ import annotations

import json

import pandas as pd

from common.coverage import covering
from common.matching import AGAINST
from common.mobilenet_weights import IMAGENET, KNOWN, RANDOM
from common.names import named
from common.tables import span

EPOCHS = 50  # of the paper's fine-tuning
FOLDS = 10  # of the paper
RATIOS = (2, 5, 10)  # of the paper
FEATURES, IMAGES, FINETUNED = "features", "images", "fine-tuned features"
TRAINED = (IMAGES, FINETUNED)  # representations that come from fine-tuning
IMAGE_SIZE = 64
#: The paper's features and what is changed on them, one thing at a time. `image_size` needs features of its own.
VARIANTS = {
    "paper": {},
    "gamma auto": {"gamma": "auto"},
    "standardised": {"standardise": True},
    "layer 12": {"layer": "conv_pw_12_relu"},
    "layer 11": {"layer": "conv_pw_11_relu"},
    "layer 5": {"layer": "conv_pw_5_relu"},
    "pooled": {"pooled": True},
    "pooled, 128 px": {"pooled": True, "image_size": 128},
    "pooled, 224 px": {"pooled": True, "image_size": 224},
    "128 px": {"image_size": 128},
}


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

    Which one `coverage.covering` says. The column `updates` says how many weight updates each method made on images
    (`updates`): one text for all rows, for a column that differs would keep methods and ratios from being compared.
    """
    if frame.empty:
        return frame
    trained = frame["representation"].isin(TRAINED)
    parts = [frame[~trained]]
    how, setting = ["epochs", "precision"], ["rho", "sampler", "variant"]
    for _, part in frame[trained].groupby(["dataset", "representation"]):
        (epochs, precision), *_ = covering(part, setting, how)
        parts.append(part[(part["epochs"] == epochs) & (part["precision"] == precision)])
    kept = pd.concat(parts)
    return kept.assign(updates=json.dumps(updates(kept).to_numpy().tolist()))


def updates(frame: pd.DataFrame) -> pd.DataFrame:
    """Weight updates of networks fine-tuned on images: dataset, rho, method and updates, the mean over folds."""
    place = ["dataset", "rho", "method"]
    if "iterations" not in frame:
        return pd.DataFrame(columns=[*place, "updates"])
    cells = frame[(frame["representation"] == IMAGES) & frame["iterations"].notna()].drop_duplicates("key")
    return cells.groupby(place, as_index=False).agg(updates=("iterations", "mean"))


def unequal_updates(made: pd.DataFrame) -> str:
    """Updates by method in words, most first, where methods differ at one ratio of a data set; else "".

    Parameters
    ----------
    made : DataFrame
        As `updates` gives them.
    """
    if not (made.groupby(["dataset", "rho"])["updates"].nunique() > 1).any():
        return ""
    found = made.assign(updates=made["updates"].astype(float).round().astype(int)).groupby("method")["updates"]
    most_first = found.mean().sort_values(ascending=False, kind="stable").index
    return ", ".join(f"{method} {span(found.get_group(method))}" for method in most_first)


def main_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the paper's tables: the paper's features, and one schedule of fine-tuning."""
    frame = judged(frame)
    return frame[frame["variant"] == "paper"] if len(frame) else frame


def remarks(settings: pd.DataFrame) -> list[str]:
    """What a verdict on these settings (`claims`) has to say: other weights, fine-tuning that was shortened."""
    notes = other_weights(settings) + _weights_and_sizes(settings)
    notes += [f"shortened fine-tuning: {length:g} of {EPOCHS} epochs" for length in _shortened(settings)]
    if differing := unequal_updates(_made(settings)):
        notes.append(
            f"shortened to different numbers of updates, so that method and schedule are not told apart: {differing}"
        )
    return notes


def levels(settings: pd.DataFrame) -> str:
    """Why levels of these settings, or of these rows of results, are not compared with the paper's; or ""."""
    why = other_weights(settings)
    why += [f"fine-tuning of {length:g} of {EPOCHS} epochs" for length in _shortened(settings)]
    return f"levels are not compared ({', '.join(why)})" if why else ""


def _sides(settings: pd.DataFrame, *names: str) -> list[pd.DataFrame]:
    """These columns of each of the two arms of a comparison that has them; what both have in common is in both."""
    sides = []
    for side in ("", AGAINST):
        columns = {name: settings.get(f"{name}{side}", settings.get(name)) for name in names}
        if all(column is not None for column in columns.values()):
            sides.append(pd.DataFrame(columns))
    return sides


def _shortened(settings: pd.DataFrame) -> list[float]:
    """The lengths, in epochs, of what was fine-tuned for less than the paper's."""
    lengths = set()
    for arm in _sides(settings, "representation", "epochs"):
        lengths |= set(arm.loc[arm["representation"].isin(TRAINED) & (arm["epochs"] < EPOCHS), "epochs"])
    return sorted(lengths)


def _made(settings: pd.DataFrame) -> pd.DataFrame:
    """`updates` of the shortened networks on images among these settings (`judged`)."""
    names = ["dataset", "rho", "method", "updates"]
    if "updates" not in settings or not (arms := _sides(settings, *names[:3], "representation", "epochs")):
        return pd.DataFrame(columns=names)
    arms = pd.concat(arms)
    short = arms.loc[(arms["representation"] == IMAGES) & (arms["epochs"] < EPOCHS), names[:3]].drop_duplicates()
    made = pd.DataFrame(json.loads(settings["updates"].iloc[0]), columns=names).astype({"rho": float})
    return short.merge(made, on=names[:3])


def _weights_and_sizes(settings: pd.DataFrame) -> list[str]:
    """What the weights have to do with the size of the images, where that is what is compared."""
    if f"variant{AGAINST}" not in settings or "pretrained" not in settings:
        return []
    sizes = [settings[f"variant{side}"].map(_size) for side in ("", AGAINST)]
    known = sorted(set(settings.loc[sizes[0] != sizes[1], "pretrained"]) & set(KNOWN))
    return [f"other weights, which may account for part of the effect of image size: {KNOWN[name]}" for name in known]


def _size(variant: str) -> int:
    return VARIANTS.get(variant, {}).get("image_size", IMAGE_SIZE)


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
