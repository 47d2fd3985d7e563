"""Figures of paper 2 from a result frame, and what its protocol was: for notebook 2, the overview and the README."""

from __future__ import annotations

import numpy as np
import pandas as pd

from common import plots
from common.cells import Cell
from common.mobilenet_weights import RANDOM
from common.studies import mobilenet_features as study
from common.studies.mobilenet_features_deviations import DATASETS
from common.studies.mobilenet_features_resampling import METHODS
from common.studies.mobilenet_features_tables import SETS, TITLES, scores, summarise

STYLES = plots.method_styles(METHODS.values())


def over_ratios(frame: pd.DataFrame, metric: str = "avacc") -> plots.Chart | None:
    """A metric over the imbalance ratio, a panel for each representation and data set; None without two ratios."""
    rows = scores(frame)
    rows = rows[rows["metric"] == metric] if len(rows) else rows
    if rows.empty or rows["rho"].nunique() < 2:
        return None
    found = summarise(rows, ["representation", "dataset", "rho", "method"])
    titles = {
        (kind, name): f"{kind}, {SETS.get(name, name)}"
        for kind, name in found[["representation", "dataset"]].drop_duplicates().itertuples(index=False)
    }
    return plots.panels(
        found, "rho", ["representation", "dataset"], ylabel=TITLES[metric], titles=titles, share_y=False, columns=2,
        xlabel="imbalance ratio IR", styles=STYLES,
    )  # fmt: skip


def parameters_of(frame: pd.DataFrame) -> study.Parameters | None:
    """The parameters that would give these rows, to say how they depart from the paper."""
    if frame.empty:
        return None

    def samplers(representation):
        own = frame[frame["representation"] == representation]
        return tuple(name for name in METHODS if name in set(own["sampler"]))

    trained = frame[frame["representation"] != study.FEATURES]
    datasets = set(frame["dataset"])
    return study.Parameters(
        dataset=next((name for name in ("mnist", *DATASETS) if name in datasets), min(datasets)),
        rhos=tuple(sorted(frame["rho"].unique())),
        samplers=samplers(study.FEATURES),
        image_samplers=samplers(study.IMAGES),
        finetuned_samplers=samplers(study.FINETUNED),
        variants=tuple(v for v in study.VARIANTS if v in set(frame["variant"])) or ("paper",),
        epochs=float(trained["epochs"].min()) if len(trained) else study.EPOCHS,
        precision=trained["precision"].iloc[0] if len(trained) else "fp32",
        replicates=int(frame["replicate"].nunique()),
        per_class=int(frame["per_class"].max()),
        pretrained=frame["pretrained"].iloc[0],
        alpha=float(frame["alpha"].iloc[0]),
    )


def measured_deviations(frame: pd.DataFrame) -> list[dict]:
    """Departures from the paper of all these rows together."""
    rows = study.deviations(parameters_of(frame))
    if missing := [SETS[name] for name in DATASETS if name not in set(frame["dataset"])]:
        why = "not at hand; its rows stand empty, and averages over data sets are over fewer"
        rows.append({"what": "data sets left out", "paper": "none", "here": ", ".join(missing), "why": why})
    return rows


def protocol_table(cell: Cell) -> pd.DataFrame:
    """How the paper sets up both halves beside how this cell's run does."""
    rows = [
        ("images", "64 x 64, three channels", f"{cell.image_size} x {cell.image_size}, three channels"),
        ("network", "MobileNet, width 1, ImageNet weights", f"width {cell.alpha:g}, {_weights(cell.pretrained)}"),
        ("features", "4096, last convolution", f"{_n_features(cell):,}, {cell.layer}"),
        ("on features", "RBF machine, C = 1, gamma not stated", f"RBF machine, C = 1, gamma '{cell.gamma}'"),
        ("on images", "average pooling, 1024 ReLU, softmax", "the same"),
        ("fine-tuning", "RMSprop, rate 0.0001, batch 32, 50 epochs", f"the same, {cell.epochs:g} epochs"),
    ]
    return pd.DataFrame(rows, columns=["what", "in the paper", "here"])


def _weights(pretrained: str) -> str:
    return "random weights" if pretrained == RANDOM else f"ImageNet weights {pretrained}"


def _n_features(cell: Cell) -> int:
    return int(1024 * cell.alpha) * (cell.image_size // 32) ** 2


def interpolations(images: np.ndarray, labels: np.ndarray, features: np.ndarray, count: int = 4, seed: int = 0) -> dict:
    """Figure 1, and what interpolation does to features: pairs that SMOTE could take, half-way between them.

    An image and one of its five nearest of the same class, by pixels (as on images) or by features (as on features);
    the mean of the two, as an image, and for the mean of the two features the real images that are nearest to it, the
    pair left out.

    Parameters
    ----------
    images : array of uint8, shape (n, side, side, channels)
    labels : array of int, shape (n,)
    features : array of float, shape (n, d)
    count : int
        Pairs of each kind, each of another class where there are enough.

    Returns
    -------
    dict
        'pixels' and 'features': lists of rows of images, first, half-way or nearest real ones, second; 'same_class':
        share of those nearest real images that are of the pair's class.
    """
    random = np.random.default_rng(seed)
    classes = np.unique(labels)
    vectors = images.reshape(len(images), -1).astype(np.float32)
    found = {"pixels": [], "features": []}
    same = []
    for label in random.permutation(classes)[:count]:
        members = np.flatnonzero(labels == label)
        first = random.choice(members)
        second = _near(vectors, first, members, random)
        half = np.rint((vectors[first] + vectors[second]) / 2).astype(np.uint8).reshape(images.shape[1:])
        found["pixels"].append([images[first], half, images[second]])
        second = _near(features, first, members, random)
        distance = np.square(features - (features[first] + features[second]) / 2).sum(axis=1)
        distance[[first, second]] = np.inf
        nearest = np.argsort(distance)[:3]
        same += (labels[nearest] == label).tolist()
        found["features"].append([images[first], *images[nearest], images[second]])
    return {**found, "same_class": float(np.mean(same))}


def _near(vectors: np.ndarray, first: int, members: np.ndarray, random) -> int:
    """One of the five members nearest to `first`."""
    distance = np.square(vectors[members] - vectors[first]).sum(axis=1)
    return int(random.choice(members[np.argsort(distance)[1:6]]))
