"""The paper's resamplers, imbalanced-learn's with their defaults, and what becomes of a set they cannot balance."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from common import resampling
from common.errors import UserError

#: Result names of the samplers; the names of paper 4 where the method is the same.
METHODS = {
    "none": "baseline",
    "oversampling": "oversampling",
    "undersampling": "undersampling",
    "smote": "SMOTE",
    "smoteenn": "S+ENN",
    "iht": "IHT",
    "weighted": "class weights",
}
SAMPLERS = tuple(METHODS)
BY_POSITION = ("none", "oversampling", "undersampling")


class Failed(Exception):
    """A resampler could not do its work on this set; the message says why."""


@dataclass(frozen=True)
class Resampled:
    """A training set after resampling.

    `positions` are those of its samples in the set before, in order, and None where there are synthetic ones.
    `x` is None where positions tell all.
    """

    x: np.ndarray | None
    y: np.ndarray
    positions: np.ndarray | None
    seconds: float


def neighbours_class() -> type:
    """scikit-learn's search for nearest neighbours, by scikit-learn-intelex where it is installed, which is faster."""
    try:
        from sklearnex.neighbors import NearestNeighbors
    except ImportError:
        from sklearn.neighbors import NearestNeighbors
    return NearestNeighbors


def sampler(name: str, seed: int):
    """imbalanced-learn's sampler for one of the names that are not in `BY_POSITION`."""
    from imblearn.combine import SMOTEENN
    from imblearn.over_sampling import SMOTE
    from imblearn.under_sampling import EditedNearestNeighbours, InstanceHardnessThreshold

    kinds = {"smote": SMOTE, "smoteenn": SMOTEENN, "iht": InstanceHardnessThreshold}
    if name not in kinds:
        raise UserError(f"sampler {name!r}: expected one of {', '.join((*BY_POSITION, *kinds))}")
    if name == "smoteenn":
        # Its default cleaning, 3 neighbours and the sample itself, with a search that takes half the time.
        enn = EditedNearestNeighbours(sampling_strategy="all", n_neighbors=neighbours_class()(n_neighbors=4))
        return SMOTEENN(random_state=seed, enn=enn)
    return kinds[name](random_state=seed)


def resample(name: str, x: np.ndarray, y: np.ndarray, seed: int) -> Resampled:
    """Resample to balance.

    Parameters
    ----------
    name : str
        One of `SAMPLERS`; weighted resamples nothing.
    x : array of float32, shape (n, d)
    y : array of int, shape (n,)
    seed : int

    Raises
    ------
    Failed
        If the sampler refuses the set or leaves less than two classes.
    """
    started = time.perf_counter()
    name = "none" if name == "weighted" else name
    if name in BY_POSITION:
        positions = resampling.index_plan(y, name, seed)
        return Resampled(None, y[positions], positions, time.perf_counter() - started)
    found = sampler(name, seed)
    try:
        new_x, new_y = found.fit_resample(x, y)
    except ValueError as error:  # too few neighbours, or nothing left of a class that must not vanish
        raise Failed(" ".join(str(error).split())) from error
    if len(np.unique(new_y)) < 2:
        raise Failed(f"{len(new_y)} samples of {len(np.unique(new_y))} class left; a classifier needs two classes")
    positions = getattr(found, "sample_indices_", None)
    return Resampled(new_x, new_y, positions, time.perf_counter() - started)
