"""Support vector machines, fitted by scikit-learn-intelex where it is installed, which is faster, else by scikit-learn.

The prediction is ours. scikit-learn-intelex 2026.2 fits the same machine as scikit-learn, but on the Intel processor it
was looked at on its decision values are wrong, by up to 2, for those pairs of more than two classes whose number of
support vectors is one to thirteen more than a multiple of 256 (but for eight and twelve more). Computed from what was
fitted they agree with scikit-learn's to single precision. benchmarks/results/svm_prediction.md has what that changes.
"""

from __future__ import annotations

import itertools

import numpy as np

from common.errors import UserError

GAMMAS = ("scale", "auto")
PIECE = 512  # samples predicted at once, which bounds the memory of their kernel with the support vectors


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
    if variance < 1e-6 * square:  # the difference of two large numbers has lost its digits
        variance = np.average(((x - mean) ** 2).mean(axis=1, dtype=np.float64), weights=weights)
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
    The fitted classifier; `predict` takes it.
    """
    if np.ndim(x) != 2:
        raise UserError(f"x of type {type(x).__name__} with {np.ndim(x)} dimensions; expected a dense array (n, d)")
    kind, _ = svc_class()
    model = kind(C=1.0, kernel="rbf", gamma=rbf_gamma(gamma, x, weights))
    return model.fit(x, y, sample_weight=weights)


def by_class(model) -> list[slice]:
    """Where the support vectors of each class stand in a fitted classifier, which sorts them by class."""
    ends = np.cumsum(model.n_support_)
    return [slice(end - count, end) for end, count in zip(ends, model.n_support_, strict=True)]


def decisions(model, x) -> np.ndarray:
    """The decision values of a fitted RBF classifier for each pair of classes, from its support vectors.

    Parameters
    ----------
    model : SVC
        Of scikit-learn or scikit-learn-intelex, fitted with a number as `gamma`.
    x : array, shape (n, d)

    Returns
    -------
    ndarray of float64, shape (n, k * (k - 1) / 2)
        Pairs in the order (0, 1), (0, 2), ..., (k - 2, k - 1) of the classes; above 0 for the pair's first class.
        scikit-learn's 'ovo' decision values, but that it negates the only column of two classes.
    """
    from sklearn.metrics.pairwise import rbf_kernel

    of = by_class(model)
    pairs = list(itertools.combinations(range(len(of)), 2))
    sign = -1 if len(of) == 2 else 1
    values = np.empty((len(x), len(pairs)))
    for start in range(0, len(x), PIECE):
        piece = slice(start, start + PIECE)
        kernel = rbf_kernel(x[piece], model.support_vectors_, gamma=model.gamma)
        for column, (i, j) in enumerate(pairs):
            # Row j - 1 of a class i < j holds its coefficients against j, row i of class j those against i.
            against_j, against_i = model.dual_coef_[j - 1, of[i]], model.dual_coef_[i, of[j]]
            value = kernel[:, of[i]] @ against_j + kernel[:, of[j]] @ against_i
            values[piece, column] = sign * (value + model.intercept_[column])
    return values


def predict(model, x) -> np.ndarray:
    """The class that wins most pairs, the first of those that win equally many, as scikit-learn's SVC predicts.

    Parameters
    ----------
    model : SVC
        As `fit_rbf` returns it.
    x : array, shape (n, d)

    Returns
    -------
    ndarray, shape (n,)
    """
    votes = np.zeros((len(x), len(model.classes_)), dtype=int)
    values = decisions(model, x)
    for column, (i, j) in enumerate(itertools.combinations(range(len(model.classes_)), 2)):
        first = values[:, column] > 0
        votes[:, i] += first
        votes[:, j] += ~first
    return model.classes_[votes.argmax(axis=1)]
