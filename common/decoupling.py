"""Post-hoc classifiers of decoupled training, on features computed once (Kang et al. 2020, section 4).

'Decoupling representation and classifier for long-tailed recognition' (arXiv:1910.09217) learns features on the
imbalanced set and then repairs the last layer alone. Everything here works on features (n, d) and on the last layer's
weight (C, d) and bias (C,), whatever network they come from. Its nearest class mean is
`centers.CategoryCenters`; post-hoc logit adjustment is `posthoc.threshold`.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from common import resampling
from common.errors import UserError
from common.imbalance import checked_labels

TAUS = tuple(np.linspace(0, 2, 21).round(1).tolist())
ITERATIONS = 200


def retrained(
    features: np.ndarray, labels: np.ndarray, n_classes: int, weight_decay: float, balanced: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """A last layer trained anew on fixed features: cRT where class-balanced (section 4).

    The minimum of the (class-balanced) mean cross-entropy plus ``weight_decay / 2 * |W|^2``, found by scikit-learn's
    logistic regression instead of a few epochs of SGD, so that no schedule decides it. Class weights give in
    expectation what class-balanced sampling does.

    Parameters
    ----------
    features : ndarray, shape (n, d)
    labels : ndarray of int, shape (n,)
        Every class below `n_classes` at least once.
    weight_decay : float
        That of the network's own training, for comparison on equal terms.
    balanced : bool
        Whether every class weighs the same; else every image.

    Returns
    -------
    weight : ndarray, shape (n_classes, d)
    bias : ndarray, shape (n_classes,)

    Raises
    ------
    UserError
        If a class has no image, there are fewer than three, a feature is not finite, or `weight_decay` not positive.
    """

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    features, labels = _checked(features, labels, n_classes)
    if n_classes < 3:
        raise UserError(f"{n_classes} classes: a last layer with a weight for each needs at least 3")
    if not 0 < weight_decay < np.inf:
        raise UserError(f"weight_decay {weight_decay!r}: expected a positive number; 1e-6 is nearly none")
    weight = "balanced" if balanced else None
    model = LogisticRegression(C=1 / (weight_decay * len(labels)), class_weight=weight, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        # On separable features the last digits of the weights take thousands of steps and decide nothing.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    return model.coef_, model.intercept_


def tau_normalized(weight: np.ndarray, tau: float) -> np.ndarray:
    """tau-normalisation: each class's weight over the tau-th power of its norm (Kang et al., equation 3).

    Frequent classes get weights of larger norm; tau 0 leaves them, 1 makes all norms equal. There is no bias then.
    """
    norm = np.linalg.norm(weight, axis=1, keepdims=True)
    if not (np.isfinite(norm).all() and np.isfinite(tau)):
        raise UserError(f"weights, or tau {tau}: NaN or infinity; a network that diverged has no classifier to repair")
    if not norm.all():
        raise UserError(f"weight of class {int(norm.argmin())} is zero: it has no direction to normalise")
    return weight / norm**tau


def best_tau(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, taus: tuple[float, ...] = TAUS
) -> tuple[float, float]:
    """The tau of highest macro recall on held-out features, and that recall; of equal ones the smallest.

    Macro recall, because the held-out set may be as imbalanced as the training set.
    """
    weight = np.asarray(weight)
    if weight.ndim != 2 or len(weight) < 2:
        raise UserError(f"weight of shape {weight.shape}: expected a row for each of two classes or more")
    if not len(taus):
        raise UserError("taus: none to choose from; expected one at least")
    features, labels = _checked(features, labels, len(weight))
    counts = np.bincount(labels, minlength=len(weight))

    def macro_recall(tau: float) -> float:
        hits = labels[(features @ tau_normalized(weight, tau).T).argmax(axis=1) == labels]
        return float((np.bincount(hits, minlength=len(weight)) / counts).mean())

    recalls = [macro_recall(tau) for tau in taus]
    best = int(np.argmax(recalls))
    return taus[best], recalls[best]


def learned_scale(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Learnable weight scaling, LWS: one factor per class on its score, weights and features fixed (equation 4).

    The minimum of the class-balanced cross-entropy of ``scale * scores``, which is convex in the factors, from 1 on.

    Parameters
    ----------
    scores : ndarray, shape (n, C)
        Outputs of the last layer on training features.
    labels : ndarray of int, shape (n,)

    Returns
    -------
    ndarray, shape (C,)
    """
    n_classes = np.shape(scores)[-1] if np.ndim(scores) else 0
    scores, labels = _checked(scores, labels, n_classes)
    weights = resampling.class_weights(labels, n_classes)[labels] / len(labels)
    scores, rows = scores.astype(np.float64), np.arange(len(labels))

    def loss(scale: np.ndarray) -> tuple[float, np.ndarray]:
        scaled = scores * scale
        error = softmax(scaled, axis=1)
        error[rows, labels] -= 1
        value = -(weights * log_softmax(scaled, axis=1)[rows, labels]).sum()
        return float(value), (weights[:, None] * error * scores).sum(axis=0)

    return minimize(loss, np.ones(n_classes), jac=True, method="L-BFGS-B").x


def _checked(values, labels, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features or scores and labels as arrays; `UserError` unless they are whole and hold every class."""
    values, labels = np.asarray(values), checked_labels(labels, n_classes)
    if values.ndim != 2 or values.dtype.kind not in "biuf" or labels.shape != values.shape[:1]:
        raise UserError(
            f"features of shape {values.shape} and type {values.dtype}, labels of shape {labels.shape}; expected a "
            "dense array of numbers of shape (n, d), and n labels"
        )
    if not np.isfinite(values).all():
        raise UserError("features hold NaN or infinity; a network that diverged has no classifier to repair")
    counts = np.bincount(labels, minlength=n_classes)
    if not counts.all():
        raise UserError(f"images per class {counts.tolist()}: expected at least one of each of {n_classes} classes")
    return values, labels
