"""Metrics, computed for many networks at once on the device that holds their scores."""

from __future__ import annotations

import torch


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
    tensor of float64, shape (..., C); NaN for a class without images.
    """
    n_classes = scores.shape[-1]
    labels = labels.to(scores.device).long()
    hit = (scores.argmax(-1) == labels).to(torch.float64)
    member = torch.nn.functional.one_hot(labels, n_classes).to(torch.float64)
    return hit @ member / member.sum(0)


def accuracy(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Share of images whose highest score is their own class; shape (...,)."""
    return (scores.argmax(-1) == labels.to(scores.device)).to(torch.float64).mean(-1)
