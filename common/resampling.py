"""Which images a network sees: index plans drawn by imbalanced-learn.

Resampling by replication or removal needs no copy of an image: imbalanced-learn resamples the row numbers, and training
gathers by them. A plan of an undersampled set is short and one of an oversampled set long; both point into one tensor.
"""

from __future__ import annotations

import numpy as np

from common.errors import UserError, unknown
from common.imbalance import checked_labels

SAMPLERS = ("none", "oversampling", "undersampling")


def target_counts(counts, sampler: str, to_rho: float = 1.0) -> dict[int, int]:
    """Class sizes after resampling to the ratio `to_rho` (1: balanced; Buda et al., section 4.5).

    Oversampling raises every class to at least ``largest / to_rho``; undersampling cuts every class to at most
    ``smallest * to_rho``.
    """
    counts = np.asarray(counts)
    present = np.flatnonzero(counts)
    if not to_rho >= 1:
        raise UserError(f"to_rho {to_rho!r}: expected a ratio after resampling of at least 1 (1: balanced)")
    if sampler == "oversampling":
        floor = max(round(counts[present].max() / to_rho), 1)
        return {int(c): int(max(counts[c], floor)) for c in present}
    if sampler == "undersampling":
        ceiling = max(round(counts[present].min() * to_rho), 1)
        return {int(c): int(min(counts[c], ceiling)) for c in present}
    raise UserError(f"sampler {sampler!r}: expected {' or '.join(SAMPLERS[1:])}")


def index_plan(labels, sampler: str, seed: int, to_rho: float = 1.0) -> np.ndarray:
    """Positions into `labels` that make up one epoch, with repeats when oversampling.

    Parameters
    ----------
    labels : array of int, shape (n,)
        Labels of the images that the imbalanced set keeps.
    sampler : {'none', 'oversampling', 'undersampling'}
    seed : int
    to_rho : float
        Ratio of largest to smallest class after resampling.

    Returns
    -------
    ndarray of int64

    Raises
    ------
    UserError
        For an unknown sampler, labels that are no integers from 0 on, or a ratio below 1.
    """
    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    labels = checked_labels(labels)
    if sampler == "none":
        return np.arange(len(labels))
    from imblearn.over_sampling import RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler

    strategy = target_counts(np.bincount(labels), sampler, to_rho)
    resampler = {"oversampling": RandomOverSampler, "undersampling": RandomUnderSampler}[sampler]
    # imbalanced-learn takes legacy seeds of 32 bits.
    resampler = resampler(sampling_strategy=strategy, random_state=seed % 2**32)
    resampler.fit_resample(np.arange(len(labels))[:, None], labels)
    return np.asarray(resampler.sample_indices_, dtype=np.int64)


def class_weights(labels, n_classes: int) -> np.ndarray:
    """Weights that make the loss of an imbalanced set equal, in expectation, to that of its oversampled version.

    ``w_c = n / (C * n_c)``: every class then carries the same total weight and the mean weight over the set is 1
    (Buda et al., section 2.2: cost-sensitive learning is 'equivalent to oversampling').
    """
    counts = np.bincount(checked_labels(labels, n_classes), minlength=n_classes)
    if (counts == 0).any():
        raise UserError(f"class weights: class {int(np.argmin(counts))} has no image; every class needs at least one")
    return counts.sum() / (n_classes * counts.astype(float))
