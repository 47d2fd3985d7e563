"""Support vector machines, by scikit-learn-intelex where it is installed, which is faster, else by scikit-learn."""

from __future__ import annotations

import numpy as np

from common.errors import UserError

GAMMAS = ("scale", "auto")


def svc_class() -> tuple[type, str]:
    """The class of support vector classifier that this machine has, and the name of the package it is from."""
    try:
        from sklearnex.svm import SVC
    except ImportError:
        from sklearn.svm import SVC

        return SVC, "scikit-learn"
    return SVC, "scikit-learn-intelex"


def rbf_gamma(rule: str, x, weights=None) -> float:
    """scikit-learn's `gamma` of an RBF kernel as a number, also of weighted samples.

    Parameters
    ----------
    rule : {'scale', 'auto'}
        ``1 / (d * variance)`` over all entries (the default since scikit-learn 0.22), or ``1 / d`` (before).
    x : array, shape (n, d)
    weights : array, shape (n,), or None
        How often each sample counts; whole numbers give what the repeated samples give.

    Returns
    -------
    float; 1 where the variance is 0, as in scikit-learn.
    """
    if rule not in GAMMAS:
        raise UserError(f"gamma {rule!r}: expected one of {', '.join(GAMMAS)}")
    x = np.asarray(x)
    if rule == "auto":
        return 1 / x.shape[1]
    # Row sums, so that a large set of float32 features is not copied to float64 as a whole.
    mean = np.average(x.mean(axis=1, dtype=np.float64), weights=weights)
    square = np.average(np.einsum("ij,ij->i", x, x, dtype=np.float64) / x.shape[1], weights=weights)
    variance = square - mean**2
    return 1 / (x.shape[1] * variance) if variance > 0 else 1.0


def fit_rbf(x, y, *, gamma: str = "scale", weights=None):
    """An RBF support vector classifier with C = 1, one class against another (Koziarski et al., section 3).

    Parameters
    ----------
    x : array, shape (n, d)
    y : array of int, shape (n,)
    gamma : {'scale', 'auto'}
    weights : array, shape (n,), or None
        Multiply C by sample. Whole numbers give the optimum of the set in which each sample is repeated so often,
        gamma included: random oversampling without its cost.

    Returns
    -------
    The fitted classifier.
    """
    kind, _ = svc_class()
    model = kind(C=1.0, kernel="rbf", gamma=rbf_gamma(gamma, x, weights))
    return model.fit(x, y, sample_weight=weights)
