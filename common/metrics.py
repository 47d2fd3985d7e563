"""Metrics: of scores for many networks at once, on the device that holds them; and of confusion matrices."""

from __future__ import annotations

import numpy as np
import torch

from common.errors import UserError
from common.imbalance import checked_labels


def roc_auc(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One-vs-rest area under the ROC curve of every class (Buda et al., section 3.4, averages it over classes).

    Computed from average ranks (Mann-Whitney), so ties count one half; equal to scikit-learn's `roc_auc_score`.

    Parameters
    ----------
    scores : tensor, shape (..., n, C)
        Any monotone transform per class of the class's probability.
    labels : tensor of int, shape (n,)

    Returns
    -------
    tensor of float64, shape (..., C); NaN where a class has no positive or no negative.
    """
    _check(scores, labels)
    columns = scores.to(torch.float64).transpose(-1, -2).contiguous()
    ordered = columns.sort(dim=-1).values
    below = torch.searchsorted(ordered, columns, side="left")
    upto = torch.searchsorted(ordered, columns, side="right")
    rank = (below + upto + 1).to(torch.float64) / 2
    n_classes = columns.shape[-2]
    positive = torch.nn.functional.one_hot(labels.to(columns.device).long(), n_classes).T.to(torch.float64)
    n_positive = positive.sum(-1)
    n_negative = positive.shape[-1] - n_positive
    wins = (rank * positive).sum(-1) - n_positive * (n_positive + 1) / 2
    area = wins / (n_positive * n_negative)
    # A network that diverged has no ranking; NaN sorts somewhere, which must not look like a score.
    return torch.where(columns.isnan().any(-1), torch.nan, area)


def recall_per_class(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Share of each class's images whose highest score is their own class.

    Parameters
    ----------
    scores : tensor, shape (..., n, C)
    labels : tensor of int, shape (n,)

    Returns
    -------
    tensor of float64, shape (..., C); NaN for a class without images, and all where a score is NaN.
    """
    _check(scores, labels)
    n_classes = scores.shape[-1]
    labels = labels.to(scores.device).long()
    hit = (scores.argmax(-1) == labels).to(torch.float64)
    member = torch.nn.functional.one_hot(labels, n_classes).to(torch.float64)
    return torch.where(_lost(scores)[..., None], torch.nan, hit @ member / member.sum(0))


def accuracy(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Share of images whose highest score is their own class; shape (...,), NaN where a score is NaN."""
    _check(scores, labels)
    share = (scores.argmax(-1) == labels.to(scores.device)).to(torch.float64).mean(-1)
    return torch.where(_lost(scores), torch.nan, share)


def _check(scores: torch.Tensor, labels: torch.Tensor) -> None:
    """Raise `UserError` unless there is one label for each row of scores, each a whole number below C.

    Torch would repeat a single label, and of others each metric would make something else.
    """
    for name, one in (("scores", scores), ("labels", labels)):
        if not isinstance(one, torch.Tensor):
            raise UserError(f"{name} of type {type(one).__name__}: expected a tensor; torch.as_tensor makes one")
    if scores.dim() < 2 or labels.shape != scores.shape[-2:-1]:
        raise UserError(
            f"labels of shape {tuple(labels.shape)} for scores of shape {tuple(scores.shape)}; expected n labels for "
            "scores of shape (..., n, C)"
        )
    checked_labels(labels.cpu().numpy(), scores.shape[-1])


def _lost(scores: torch.Tensor) -> torch.Tensor:
    """Whether a network diverged: argmax makes a class of NaN, which must not look like an answer; shape (...,)."""
    return scores.isnan().flatten(-2).any(-1)


def confusion(labels, predicted, n_classes: int) -> np.ndarray:
    """How many samples of each true class (rows) were predicted as each class (columns).

    Parameters
    ----------
    labels, predicted : array of int, shape (n,)

    Returns
    -------
    ndarray of int64, shape (C, C)

    Raises
    ------
    UserError
        For a label that is no integer from 0 to below `n_classes`: it would count in another one's cell. If there are
        not as many predictions as labels: numpy would repeat a single one.
    """
    if len(labels) != len(predicted):
        raise UserError(f"{len(labels)} labels and {len(predicted)} predictions; expected as many of both")
    pairs = checked_labels(labels, n_classes) * n_classes + checked_labels(predicted, n_classes, "predicted")
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def recalls(matrix) -> np.ndarray:
    """Recall of each class from a confusion matrix (..., C, C).

    Raises
    ------
    UserError
        If a class has no sample: its recall is not defined. If there are not as many columns as rows.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise UserError(f"confusion matrix of shape {matrix.shape}; expected as many rows as columns, (..., C, C)")
    sizes = matrix.sum(axis=-1)
    if empty := int((sizes == 0).sum()):
        raise UserError(f"confusion matrix: {empty} classes without a sample; every class needs at least one")
    return np.diagonal(matrix, axis1=-2, axis2=-1) / sizes


def average_accuracy(matrix) -> np.ndarray:
    """AvAcc: mean recall over classes (Koziarski et al., equation 3), of confusion matrices (..., C, C)."""
    return recalls(matrix).mean(axis=-1)


def class_balance_accuracy(matrix) -> np.ndarray:
    """CBA: mean over classes of the smaller of precision and recall (Koziarski et al., equation 4).

    It depends on the class sizes of the test set, through precision. A class that is never predicted counts 0.
    """
    matrix = np.asarray(matrix)
    recalls(matrix)  # every class has a sample, so no denominator is 0
    larger = np.maximum(matrix.sum(axis=-1), matrix.sum(axis=-2))
    return (np.diagonal(matrix, axis1=-2, axis2=-1) / larger).mean(axis=-1)


def geometric_mean_recall(matrix) -> np.ndarray:
    """MAvG: geometric mean of recall over classes (Koziarski et al., equation 5); 0 as soon as one recall is."""
    values = recalls(matrix)
    # Each root for itself: the product of some hundred recalls may be too small for a number.
    return np.prod(values ** (1 / values.shape[-1]), axis=-1)
