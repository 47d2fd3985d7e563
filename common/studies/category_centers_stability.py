"""How far a class's centre, and its boundary, move when the class has fewer samples (section III, figures 2 and 3).

The paper argues that a boundary is decided by part of the samples and a centre by all, so that the centre is the more
stable. Measured here as an angle: between the estimate from n samples of a class and that from all of them, all other
classes' samples being the same.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

SAMPLES = (5, 10, 20, 50, 100)
ALL = 200  # samples of a class that stand for all of them
REST = 2_000  # samples of all other classes together
CLASSES = 10  # classes measured, evenly spread over the labels
WEIGHT_DECAY = 5e-4
#: What is measured: a centre's direction from the origin; the normal of the boundary half-way between it and the mean
#: of all else, which is what a linear classifier's weight compares with; that weight, of logistic regression.
CENTER, BETWEEN, LINEAR = "centre", "boundary between centres", "linear boundary"


def angles(features: np.ndarray, labels: np.ndarray, n_classes: int, seed: int) -> list[dict]:
    """Mean angle over classes, for each number of samples and each estimate.

    Parameters
    ----------
    features : ndarray, shape (n, d)
        Normalised here.
    labels : ndarray of int, shape (n,)
    n_classes : int
    seed : int
        Decides which samples are drawn; those of a smaller number are among those of a larger one.

    Returns
    -------
    list of dict
        method, samples and value: the angle in degrees. A number of samples counts the classes that have more.
    """
    random = np.random.default_rng(seed)
    mixed = random.permutation(len(labels))
    unit, labels = normalize(features[mixed]), labels[mixed]
    found: dict[tuple[str, int], list[float]] = {}
    for label in np.unique(np.linspace(0, n_classes - 1, CLASSES).round().astype(int)):
        own = unit[labels == label][:ALL]
        rest = _spread(unit, labels, label, n_classes)
        whole = _estimates(own, rest)
        for n in SAMPLES:
            if n < len(own):
                for method, estimate in _estimates(own[:n], rest).items():
                    found.setdefault((method, n), []).append(angle(estimate, whole[method]))
    return [{"method": method, "samples": n, "value": float(np.mean(v))} for (method, n), v in found.items()]


def _spread(unit: np.ndarray, labels: np.ndarray, label: int, n_classes: int) -> np.ndarray:
    """Samples of all other classes, as equally many of each as there are."""
    each = REST // (n_classes - 1)
    return np.concatenate([unit[labels == other][:each] for other in range(n_classes) if other != label])


def _estimates(own: np.ndarray, rest: np.ndarray) -> dict[str, np.ndarray]:
    """The three directions that a class's samples give."""
    center = own.mean(axis=0)
    inputs, target = np.concatenate([own, rest]), np.arange(len(own) + len(rest)) < len(own)
    model = LogisticRegression(C=1 / (WEIGHT_DECAY * len(target)), max_iter=1_000).fit(inputs, target)
    return {CENTER: center, BETWEEN: center - rest.mean(axis=0), LINEAR: model.coef_[0]}


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two vectors in degrees."""
    a, b = (v.astype(np.float64) / np.linalg.norm(v.astype(np.float64)) for v in (a, b))
    # By the chord: an arc cosine loses small angles.
    return float(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a - b) / 2, 0, 1))))
