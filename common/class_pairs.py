"""What samplers have in common that make new samples between a minor and a major class, in imbalanced-learn's sense."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy

import numpy as np
import pandas as pd
from imblearn.over_sampling.base import BaseOverSampler
from scipy import sparse
from sklearn.base import clone
from sklearn.metrics import pairwise_distances
from sklearn.utils import check_random_state

from common.errors import UserError


def closest_majors(X: np.ndarray, y: np.ndarray, minors) -> dict:
    """For each minor class the larger class whose mean is nearest.

    Raises
    ------
    UserError
        If no class is larger.
    """
    labels, counts = np.unique(y, return_counts=True)
    centres = np.stack([X[y == label].mean(axis=0) for label in labels])
    partners = {}
    for minor in minors:
        larger = counts > counts[labels == minor]
        if not larger.any():
            raise UserError(f"class {minor} is the largest; expected a larger one to extrapolate towards")
        distances = pairwise_distances(centres[labels == minor], centres[larger])[0]
        partners[minor] = labels[larger][distances.argmin()]
    return partners


def check_pairs(pairs: Mapping, wanted: list, labels: np.ndarray) -> None:
    """Raise `UserError` unless each class to resample has another class of the data as its major one."""
    for label in wanted:
        if label not in pairs:
            raise UserError(f"pairs: no major class for class {label}; expected one for each class to resample")
        if pairs[label] == label or pairs[label] not in labels:
            raise UserError(f"pairs: {pairs[label]!r} for class {label}; expected another class of the data")


def check_classes(estimator, labels: Iterable) -> None:
    """Raise `UserError` unless a fitted estimator knows all these labels; a frozen one may be of other data."""
    known = np.asarray(estimator.classes_).tolist()
    for label in labels:
        if label not in known:
            raise UserError(
                f"estimator: fitted to classes {known}, without class {label!r} of the data; expected one that was "
                "fitted to all classes, or is not fitted"
            )


def floating(X):
    """A frame with its other columns as float64, what else as it is.

    imbalanced-learn casts the columns of a frame back to the types that they came with, and a sample between two
    classes is no whole number.
    """
    if not isinstance(X, pd.DataFrame):
        return X
    return X.astype({name: float for name, dtype in X.dtypes.items() if dtype.kind != "f"})


def named(fitted, X):
    """Features under the names that a sampler's or an estimator's own data had, where they had names; else as they are.

    So that an estimator which knows its columns by name refuses others, and finds those it asks for.
    """
    names = getattr(fitted, "feature_names_in_", None)
    return X if names is None or sparse.issparse(X) else pd.DataFrame(X, columns=names)


def seeded(estimator, random: np.random.RandomState):
    """A clone, of which random states that are None follow from `random`; this is not advanced."""
    estimator, random = clone(estimator), deepcopy(random)
    unset = [
        name
        for name, value in sorted(estimator.get_params().items())
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    if unset:  # a frozen estimator has none, and a `set_params` that returns nothing
        estimator.set_params(**{name: random.randint(2**31 - 1) for name in unset})
    return estimator


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line that called the sampler, through however many layers of imbalanced-learn."""
    inner = ("common.class_pairs", "common.extrapolation", "common.class_specific", "imblearn", "sklearn")
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(inner):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


class FloatingSampler(BaseOverSampler):
    """Makes new samples between others, and so of floating-point numbers."""

    def fit_resample(self, X, y, **params):
        """As everywhere in imbalanced-learn, but features that are not floating-point numbers come back as float64."""
        return super().fit_resample(floating(X), y, **params)


class PairSampler(FloatingSampler):
    """What samplers have in common that make new samples class by class."""

    def _new(self, X: np.ndarray, y: np.ndarray, label, amount: int, random) -> np.ndarray:
        """At most `amount` new samples of the class."""
        raise NotImplementedError

    def _prepare(self, X: np.ndarray, y: np.ndarray, labels: list, random) -> None:
        """Before the first class."""

    def _fit_resample(self, X, y):
        random = check_random_state(self.random_state)
        wanted = {label: amount for label, amount in self.sampling_strategy_.items() if amount > 0}
        X = X if X.dtype.kind == "f" else X.astype(float)  # new samples lie between whole numbers
        dense = X.toarray() if sparse.issparse(X) else X
        self._prepare(dense, y, list(wanted), random)
        parts = [self._new(dense, y, label, amount, random).astype(X.dtype) for label, amount in wanted.items()]
        labels = [np.full(len(part), label, y.dtype) for part, label in zip(parts, wanted, strict=True)]
        if sparse.issparse(X):
            return sparse.vstack([X, *map(sparse.csr_matrix, parts)], format=X.format), np.concatenate([y, *labels])
        return np.concatenate([X, *parts]), np.concatenate([y, *labels])
