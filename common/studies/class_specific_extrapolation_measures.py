"""What is measured on a head of paper 3: rows, precision-recall curves, closeness of classes, the pictures' points."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import (
    average_precision_score,
    pairwise_distances,
    pairwise_distances_argmin,
    precision_recall_curve,
)

from common import posthoc
from common.boundary import BOUNDARY, pair_accuracy, pair_probability
from common.studies.class_specific_extrapolation_backbone import Latents

RECALL_GRID = np.linspace(0, 1, 201)  # on which curves are stored, the same for all, so that they can be averaged
SHOWN = 100  # points of each kind in a picture
DIGITS = 5


def pair_name(classes, major: int, minor: int) -> str:
    """``Dog-Cat``: the major class first, as the paper writes it; a hyphen within a name becomes a space."""
    first, second = (str(classes[label]).replace("-", " ") for label in (major, minor))
    return f"{first}-{second}".title()


def row(method: str, metric: str, value: float, pair: str = "", class_label: int = -1) -> dict:
    """One row of the result frame."""
    return {
        "method": method, "prior": "", "metric": metric, "pair": pair, "class_label": class_label, "value": float(value)
    }  # fmt: skip


def plain(curve: dict) -> dict:
    """A curve as lists, rounded to what a figure can show."""
    return {**curve, **{axis: np.asarray(curve[axis], float).round(DIGITS).tolist() for axis in ("x", "y")}}


class Scores:
    """Probabilities of a test set and what follows from them.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (n, C)
    labels : ndarray of int, shape (n,)
    """

    def __init__(self, probabilities: np.ndarray, labels: np.ndarray):
        self.probabilities, self.labels = probabilities, labels
        self.finite = bool(np.isfinite(probabilities).all())

    def adjusted(self, counts: np.ndarray) -> Scores:
        """Divided by the training set's class sizes: `posthoc.threshold`."""
        logits = posthoc.threshold(torch.from_numpy(self.probabilities).log(), counts)
        return Scores(torch.softmax(logits, dim=-1).numpy(), self.labels)

    def _pair(self, major: int, minor: int) -> tuple[np.ndarray, np.ndarray]:
        """Whether each test image of the two classes is a minor one, and its probability of being one."""
        of_pair = np.isin(self.labels, (major, minor))
        score = pair_probability(self.probabilities[of_pair], minor, major)
        return self.labels[of_pair] == minor, score

    def pr_auc(self, major: int, minor: int) -> float:
        """Average precision with the minor class as positive, on the test images of the two classes."""
        return float(average_precision_score(*self._pair(major, minor))) if self.finite else float("nan")

    def rows(self, method: str, pairs: Iterable[tuple[int, int]], classes) -> list[dict]:
        """PR-AUC and accuracy of each pair, accuracy and recall over all classes."""
        hit = self.probabilities.argmax(axis=1) == self.labels
        recall = np.array([hit[self.labels == label].mean() for label in range(len(classes))])
        rows = [row(method, "accuracy", hit.mean())]
        rows += [row(method, "recall", value, class_label=label) for label, value in enumerate(recall)]
        for major, minor in pairs:
            pair = pair_name(classes, major, minor)
            rows.append(row(method, "pr_auc", self.pr_auc(major, minor), pair))
            accuracy = pair_accuracy(self.probabilities, self.labels, minor, major)
            rows.append(row(method, "pair_accuracy", accuracy, pair))
            rows.append(row(method, "minor_recall", recall[minor], pair))
        return rows

    def curves(self, method: str, pairs: Iterable[tuple[int, int]], classes) -> list[dict]:
        """Precision over recall of each pair."""
        if not self.finite:
            return []
        found = []
        for major, minor in pairs:
            precision, recall, _ = precision_recall_curve(*self._pair(major, minor))
            # Recall falls along the curve. The first point at or above a level is its nearest threshold from below.
            at = len(recall) - 1 - np.searchsorted(recall[::-1], RECALL_GRID, side="left")
            name = f"precision-recall {pair_name(classes, major, minor)}"
            found.append({"method": method, "curve": name, "x": RECALL_GRID, "y": precision[at]})
        return found


def closeness(found: Latents, minors: list[int], classes) -> list[dict]:
    """How near every minor class is to every major one in the latent space (figure 3).

    Rows centre_distance, between means, and nearest_share: of the minor class's images, those whose nearest major image
    is of that class.
    """
    majors = [label for label in range(len(classes)) if label not in minors]
    means = np.stack([found.train[found.train_labels == label].mean(axis=0) for label in range(len(classes))])
    distances = pairwise_distances(means)
    others = np.flatnonzero(np.isin(found.train_labels, majors))
    rows = []
    for minor in minors:
        own = found.train[found.train_labels == minor]
        nearest = found.train_labels[others[pairwise_distances_argmin(own, found.train[others])]]
        for major in majors:
            pair = pair_name(classes, major, minor)
            rows.append(row("backbone", "centre_distance", distances[minor, major], pair))
            rows.append(row("backbone", "nearest_share", np.mean(nearest == major), pair))
    return rows


def picture(
    method: str,
    pair: str,
    found: Latents,
    labels: tuple[int, int],
    made: np.ndarray,
    probabilities: Callable[[np.ndarray], np.ndarray],
) -> list[dict]:
    """Points of a pair's latents in a plane, told apart by what the head takes them for.

    The plane goes through the middle of the two classes, along Fisher's discriminant and the direction of most variance
    across it. The head decides in all dimensions, of which the plane has two: it has no boundary that could be drawn.

    Parameters
    ----------
    labels : tuple of int
        Major and minor class.
    made : ndarray, shape (m, d)
        Synthetic samples of the minor class.
    probabilities : callable
        Latents to class probabilities.

    Returns
    -------
    list of dict
        Curves ``picture <pair> <kind> as <class>``: kind is minor, major or synthetic, class what the head decides
        between the two, minor or major.
    """
    major, minor = labels
    parts = [found.train[found.train_labels == label].astype(float) for label in (minor, major)]
    origin, axes = _plane(*parts)
    random = np.random.default_rng(0)  # which points are shown decides nothing
    curves = []
    for name, points in zip(("minor", "major", "synthetic"), (*parts, made.astype(float)), strict=True):
        some = points[random.permutation(len(points))[:SHOWN]]
        as_minor = pair_probability(probabilities(some), minor, major) > BOUNDARY
        for decided, which in (("minor", as_minor), ("major", ~as_minor)):
            x, y = ((some[which] - origin) @ axes.T).T
            curves.append({"method": method, "curve": f"picture {pair} {name} as {decided}", "x": x, "y": y})
    return curves


def _plane(minor: np.ndarray, major: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origin (d,) and orthonormal axes (2, d), the first from the minor to the major class."""
    both, labels = np.concatenate([minor, major]), np.repeat([0, 1], [len(minor), len(major)])
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(both, labels)
    first = discriminant.coef_[0] / np.linalg.norm(discriminant.coef_[0])
    across = both - both.mean(axis=0)
    across = across - np.outer(across @ first, first)
    second = np.linalg.svd(across, full_matrices=False)[2][0]
    return (minor.mean(axis=0) + major.mean(axis=0)) / 2, np.stack([first, second])
