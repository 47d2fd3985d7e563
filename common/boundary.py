"""Where a classifier's boundary between two classes lies on a segment, and how well it tells the two apart.

Probabilities are those of the pair, ``P_min / (P_min + P_maj)``; a segment is ``z = z_min + a (z_maj - z_min)``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BOUNDARY = 0.5
STEPS = 25  # of the bisection: the position on a segment is then known to 3e-8 of its length
TINY = np.finfo(float).tiny

Probability = Callable[[np.ndarray], np.ndarray]


def pair_probability(probabilities: np.ndarray, minor: int, major: int) -> np.ndarray:
    """Probability of the minor class among the two of a pair.

    Parameters
    ----------
    probabilities : ndarray, shape (n, C)
    minor, major : int
        Columns.

    Returns
    -------
    ndarray of float64, shape (n,); 0.5 where the classifier gives both nothing.
    """
    of_minor, of_major = (np.maximum(probabilities[:, column].astype(float), TINY) for column in (minor, major))
    return of_minor / (of_minor + of_major)


def pair_accuracy(probabilities: np.ndarray, labels: np.ndarray, minor: int, major: int) -> float:
    """Mean recall of the two classes of a pair when nothing else is possible.

    Parameters
    ----------
    probabilities : ndarray, shape (n, C)
    labels : ndarray of int, shape (n,)
        Columns of the true classes; other classes are left out.
    """
    said_minor = pair_probability(probabilities, minor, major) >= BOUNDARY
    return float((said_minor[labels == minor].mean() + 1 - said_minor[labels == major].mean()) / 2)


def bisect(
    probability: Probability, starts: np.ndarray, ends: np.ndarray, targets: float | np.ndarray, steps: int = STEPS
) -> np.ndarray:
    """Where on each segment the probability falls to its target, for all segments at once.

    Parameters
    ----------
    probability : callable
        Points (n, d) to probabilities (n,); above the target at every start and not above it at every end.
    starts, ends : ndarray, shape (n, d)
    targets : float or ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n,): the share of the way from start to end, one crossing of possibly several.
    """
    low, high = np.zeros(len(starts)), np.ones(len(starts))
    if not len(starts):  # classifiers do not take an empty matrix
        return low
    for _ in range(steps):
        middle = (low + high) / 2
        above = probability(between(starts, ends, middle)) > targets
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return (low + high) / 2


def between(starts: np.ndarray, ends: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Points at a share of the way from start to end, shape (n, d)."""
    return starts + share[:, None] * (ends - starts)


def asymmetric_target(d_normal, d_abnormal, gamma: float, p_max: float) -> np.ndarray:
    """Equation 1: ``0.5 + gamma * p_max * (max(1, d_normal / d_abnormal) - 1)``, not yet clipped."""
    ratio = np.asarray(d_normal) / np.maximum(d_abnormal, TINY**0.5)
    return BOUNDARY + gamma * p_max * (np.maximum(1.0, ratio) - 1)
