"""Figures of paper 2 from a result frame, and what its protocol was: for notebook 2, the overview and the README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from common import plots
from common.mobilenet import BLOCKS, LAYERS
from common.mobilenet_weights import RANDOM
from common.names import named
from common.studies import mobilenet_features as study
from common.studies.mobilenet_features import Cell
from common.studies.mobilenet_features_deviations import DATASETS
from common.studies.mobilenet_features_folds import shared
from common.studies.mobilenet_features_resampling import METHODS
from common.studies.mobilenet_features_selection import TRAINED, unequal_updates, updates
from common.studies.mobilenet_features_tables import SETTING, TITLES, scores, summarise

STYLES = plots.method_styles(METHODS.values())
HALVES = (study.FEATURES, study.IMAGES, study.FINETUNED)
#: Departures that a reader could take for those of the other half, too.
BY_HALF = ("imbalance ratios", "folds", "epochs", "precision", "data sets left out")


def over_ratios(frame: pd.DataFrame, metric: str = "avacc") -> plots.Chart | None:
    """A metric over the imbalance ratio, a panel for each representation and data set; None without two ratios.

    All methods at a ratio are over the same folds, as in `mobilenet_features_tables.detail`; their number is in the
    title.
    """
    rows = scores(frame)
    rows = rows[rows["metric"] == metric] if len(rows) else rows
    if rows.empty or rows["rho"].nunique() < 2:
        return None
    rows = shared(rows, SETTING)
    found = summarise(rows, [*SETTING, "method"])
    titles = {
        (kind, name): f"{kind}, {named(name)}, n = {study.folds(part)}"
        for (kind, name), part in rows.groupby(["representation", "dataset"])
    }
    return plots.panels(
        found, "rho", ["representation", "dataset"], ylabel=TITLES[metric], titles=titles, share_y=False, columns=2,
        xlabel="imbalance ratio IR", styles=STYLES, within=(0, 1),
    )  # fmt: skip


def told(kind: str, frame: pd.DataFrame) -> str:
    """What was measured of one half, and what of it can be compared with the paper, for the top of the page.

    Parameters
    ----------
    kind : str
        The representation.
    frame : DataFrame
        Its rows; at least one.
    """
    cells = frame.drop_duplicates("key")
    sets = ", ".join(map(named, cells["dataset"].unique()))
    said = f"On {kind}: {len(cells)} classifiers on {sets}; folds: {study.folds(cells)}."
    if not (why := study.levels(cells)):
        return said
    said += f" Order and direction can be compared with the paper; {why}."
    differing = unequal_updates(updates(cells)) if (cells["epochs"] < study.EPOCHS).any() else ""
    if differing:
        said += (
            f" The exception is a method that changes how many updates an epoch has (in all: {differing}): what it "
            "gains or loses is not told apart from the shortened schedule."
        )
    return said


def parameters_of(frame: pd.DataFrame) -> study.Parameters:
    """The parameters that would give these rows, of one representation and data set, to say how they depart.

    Folds are those that every setting has.
    """

    def samplers(representation):
        own = frame[frame["representation"] == representation]
        return tuple(name for name in METHODS if name in set(own["sampler"]))

    trained = frame["representation"].iloc[0] != study.FEATURES
    return study.Parameters(
        dataset=frame["dataset"].iloc[0],
        rhos=tuple(sorted(frame["rho"].unique())),
        samplers=samplers(study.FEATURES),
        image_samplers=samplers(study.IMAGES),
        finetuned_samplers=samplers(study.FINETUNED),
        variants=tuple(v for v in study.VARIANTS if v in set(frame["variant"])) or ("paper",),
        epochs=float(frame["epochs"].iloc[0]) if trained else study.EPOCHS,
        precision=frame["precision"].iloc[0] if trained else "fp32",
        replicates=_folds(frame)[0],
        per_class=int(frame["per_class"].max()),
        pretrained=frame["pretrained"].iloc[0],
        alpha=float(frame["alpha"].iloc[0]),
    )


def _folds(frame: pd.DataFrame) -> tuple[int, int]:
    """Least and most folds of a ratio and resampler on the paper's features; the least is 0 where one is not there."""
    own = frame[frame["variant"] == "paper"]
    table = (own if len(own) else frame).pivot_table(
        index="rho", columns="sampler", values="replicate", aggfunc="nunique", fill_value=0
    )
    return int(table.min(axis=None)), int(table.max(axis=None))


def measured_deviations(frame: pd.DataFrame) -> list[dict]:
    """Departures from the paper of the rows that count (`judged`), each saying of which unless it is of all of them."""
    frame = study.judged(frame[frame["dataset"].isin(DATASETS)])
    if frame.empty:
        return []
    halves = [kind for kind in HALVES if kind in set(frame["representation"])]
    places, found = [], {}
    for kind in halves:
        own = frame[frame["representation"] == kind]
        at_hand = [name for name in DATASETS if name in set(own["dataset"])]
        for dataset in at_hand:
            places.append((kind, dataset))
            for row in _departures(own[own["dataset"] == dataset]):
                found.setdefault((row["what"], str(row["paper"])), []).append((places[-1], row))
        if missing := [named(name) for name in DATASETS if name not in at_hand]:
            why = "not at hand, or not measured yet; their rows stand empty, and averages over data sets are over fewer"
            row = {"what": "data sets left out", "paper": "none", "here": ", ".join(missing), "why": why}
            found.setdefault((row["what"], "none"), []).extend(((kind, name), row) for name in at_hand)
    rows = [{**told[0][1], "here": _here(what, told, places)} for (what, _), told in found.items()]
    if missing := [kind for kind in (study.FEATURES, study.IMAGES) if kind not in halves]:
        why = "not measured yet; claims that need them have no data"
        rows.append({"what": "representations left out", "paper": "none", "here": ", ".join(missing), "why": why})
    return rows


def _departures(frame: pd.DataFrame) -> list[dict]:
    """Those of one representation and data set; `folds` says where settings have different numbers."""
    least, most = _folds(frame)
    rows = study.deviations(parameters_of(frame))
    uneven = {"here": f"{least} to {most}"} if least < most else {}
    return [row | uneven if row["what"] == "folds" else row for row in rows]


def _here(what: str, told: list[tuple[tuple[str, str], dict]], places: list[tuple[str, str]]) -> object:
    """What is here in place of the paper's, with representation and data set unless that goes without saying."""
    values = {place: row["here"] for place, row in told}
    alike: dict[str, list[tuple[str, str]]] = {}
    for place, here in values.items():
        alike.setdefault(str(here), []).append(place)
    concerned = [place for place in places if what in BY_HALF or place[0] in {kind for kind, _ in values}]
    if len(alike) == 1 and len(values) == len(concerned):
        return next(iter(values.values()))
    return "; ".join(f"{_named(of, places)}: {here}" for here, of in alike.items())


def _named(some: list[tuple[str, str]], places: list[tuple[str, str]]) -> str:
    """These of all places in words: by representation or data set alone where that is enough."""
    kinds, sets = (dict.fromkeys(place[part] for place in some) for part in (0, 1))
    if all(place in some for place in places if place[0] in kinds):
        return ", ".join(kinds)
    if all(place in some for place in places if place[1] in sets):
        return ", ".join(map(named, sets))
    return ", ".join(f"{kind} of {named(name)}" for kind, name in some)


def protocol_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """How the paper sets up each half beside how these cells do: the rows of what is among them."""
    kinds = {cell.representation for cell in cells}
    first, sizes = cells[0], dict.fromkeys(f"{cell.image_size} x {cell.image_size}" for cell in cells)
    rows = [
        ("images", "64 x 64, three channels", f"{', '.join(sizes)}, three channels"),
        ("network", "MobileNet, width 1, ImageNet weights", f"width {first.alpha:g}, {_weights(first.pretrained)}"),
    ]
    variants = {cell.variant: cell for cell in cells if cell.representation == study.FEATURES}
    for name, cell in variants.items():
        what = "features" if name == "paper" else f"features, {name}"
        how = f"{n_features(cell):,}, {cell.layer}" + ", averaged over places" * cell.pooled
        rows.append((what, "4,096, last convolution" if name == "paper" else "not run", how))
    for cell in [cell for cell in cells if cell.representation == study.FINETUNED][:1]:
        rows.append(("fine-tuned features", "not run", f"{n_features(cell):,}, {cell.layer}, fine-tuned on the fold"))
    if kinds - {study.IMAGES}:
        gammas = dict.fromkeys(f"'{cell.gamma}'" for cell in cells if cell.representation != study.IMAGES)
        machine = "RBF machine, C = 1, gamma"
        rows.append(("on features", f"{machine} not stated", f"{machine} {', '.join(gammas)}"))
    trained = [cell for cell in cells if cell.representation in TRAINED]
    if trained:
        epochs = ", ".join(dict.fromkeys(f"{cell.epochs:g} epochs" for cell in trained))
        rows += [
            ("on images", "average pooling, 1024 ReLU, softmax", "the same"),
            ("fine-tuning", "RMSprop, rate 0.0001, batch 32, 50 epochs", f"the same, {epochs}"),
        ]
    return pd.DataFrame(rows, columns=["what", "in the paper", "here"])


def _weights(pretrained: str) -> str:
    return "random weights" if pretrained == RANDOM else f"ImageNet weights {pretrained}"


def n_features(cell: Cell) -> int:
    """How many values the cell's machine sees of an image: those of the layer's map, or of one place if pooled."""
    blocks = BLOCKS[: LAYERS.index(cell.layer) + 1]
    side = cell.image_size // 2
    for _, stride in blocks:
        side //= stride
    return int(blocks[-1][0] * cell.alpha) * (1 if cell.pooled else side**2)


def on_features(cell: Cell) -> Cell:
    """The cell whose features are shown for it: of an image cell that of the paper's, which are kept of all images."""
    return cell if cell.representation == study.FEATURES else replace(cell, representation=study.FEATURES)
