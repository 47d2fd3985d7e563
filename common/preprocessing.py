"""Global contrast normalisation and ZCA whitening, as pylearn2 does them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from common.errors import UserError

CHUNK = 2_000  # images in float64 at a time: 50 MB of 32 x 32 in colour


def contrast_normalised(rows: np.ndarray, scale: float = 55.0, min_divisor: float = 1e-8) -> np.ndarray:
    """Subtract each row's mean and divide by its norm, in float64: every row gets the norm `scale`.

    Rows of constant values, whose divisor ``norm / scale`` is below `min_divisor`, are only centred.
    """
    rows = rows.astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    divisor = np.sqrt(np.einsum("ij,ij->i", rows, rows)) / scale
    divisor[divisor < min_divisor] = 1
    rows /= divisor[:, None]
    return rows


class GCNZCA(TransformerMixin, BaseEstimator):
    """Global contrast normalisation, then ZCA whitening: the preprocessing of CIFAR-10 (Buda et al., section 3.3.2).

    The defaults are those of the All-CNN that the paper uses: scale 55, ``filter_bias=0.1``, fitted once on the full
    balanced training set, whatever subset is then trained on. With normalised rows x of mean m and covariance C
    (divided by n), the result is ``(x - m) (C + filter_bias I)^(-1/2)``: the bias is added to the eigenvalues.

    Parameters
    ----------
    scale : float
        Norm of an image after contrast normalisation.
        Above zero, as is `filter_bias`.
    filter_bias : float

    Attributes
    ----------
    mean_ : ndarray of float64, shape (d,)
        d = height * width * channels, in this order.
    whitening_ : ndarray of float64, shape (d, d)
    """

    def __init__(self, scale: float = 55.0, filter_bias: float = 0.1):
        self.scale = scale
        self.filter_bias = filter_bias

    def fit(self, X: np.ndarray, y=None) -> GCNZCA:
        """Measure mean and covariance of images, uint8 or float of shape (n, height, width, channels).

        Raises
        ------
        UserError
            For parameters that are not positive, or images of another shape.
        """
        if not (self.scale > 0 and self.filter_bias > 0):
            raise UserError(f"scale {self.scale}, filter_bias {self.filter_bias}: expected positive numbers")
        _check(X)
        n, d = len(X), int(np.prod(X.shape[1:]))
        total, products = np.zeros(d), np.zeros((d, d))
        for rows in self._chunks(X):
            total += rows.sum(axis=0)
            products += rows.T @ rows
        self.shape_ = X.shape[1:]
        self.mean_ = total / n
        # In float64: the small eigenvalues lie seven orders of magnitude below the largest.
        covariance = products / n - np.outer(self.mean_, self.mean_)
        values, vectors = np.linalg.eigh(covariance + self.filter_bias * np.eye(d))
        self.whitening_ = (vectors / np.sqrt(values)) @ vectors.T
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Whitened images, float32 of shape (n, channels, height, width); channels lie last in memory.

        Raises
        ------
        UserError
            Before `fit`, or for images of another shape.
        """
        if not hasattr(self, "whitening_"):
            raise UserError("GCNZCA: transform before fit; fit it on the full training set first")
        _check(X)
        if X.shape[1:] != self.shape_:
            raise UserError(f"images of shape {X.shape[1:]}: fitted on {self.shape_}")
        whitening = self.whitening_.astype(np.float32)
        whitened, at = np.empty(X.shape, np.float32), 0
        for rows in self._chunks(X):
            part = (rows - self.mean_).astype(np.float32) @ whitening
            whitened[at : at + len(rows)] = part.reshape(-1, *self.shape_)
            at += len(rows)
        return whitened.transpose(0, 3, 1, 2)

    def _chunks(self, images: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(images), CHUNK):
            piece = images[start : start + CHUNK]
            yield contrast_normalised(piece.reshape(len(piece), -1), self.scale)


def _check(images: np.ndarray) -> None:
    if images.ndim != 4 or len(images) == 0:
        raise UserError(f"images of shape {images.shape}: expected (n, height, width, channels) with at least one")
