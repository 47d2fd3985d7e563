"""Nearest category centre: the classifier of Zhang et al. (section III), on features of any network."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import row_norms
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data


def _unit(X: np.ndarray) -> np.ndarray:
    """Rows at length 1, also those whose squares are too large or too small for a floating-point number."""
    unit, norms = normalize(X), row_norms(X)
    short = 10 * np.finfo(X.dtype).eps  # scikit-learn takes shorter rows for zero
    lost = X.any(axis=1) & ((norms < short) | ~np.isfinite(norms))
    if lost.any():
        rows = X[lost]
        unit[lost] = normalize(rows / np.abs(rows).max(axis=1, keepdims=True))
    return unit


class CategoryCenters(ClassifierMixin, BaseEstimator):
    """Label of the nearest mean of L2-normalised features (Zhang et al., equations 1 and 2).

    A class's centre is the mean of its samples, each scaled to length 1; the centre itself is not scaled again, so a
    diffuse class has a short centre. A query is scaled to length 1 and gets the label of the nearest centre by
    Euclidean distance. On samples of length 1 this is scikit-learn's `NearestCentroid`.

    Parameters
    ----------
    normalize_centers : bool
        Scale the centres to length 1 as well, which makes the decision that of the largest cosine. Because
        ``|f - C|^2 = 1 - 2 f.C + |C|^2``, short centres otherwise have an advantage.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    centers_ : ndarray of float64, shape (n_classes, n_features)
        NaN for a class of which `partial_fit` has seen no sample yet.
    class_count_ : ndarray of int64, shape (n_classes,)
        Samples in each centre.
    n_zero_norm_ : int
        Samples of norm zero among them. They have no direction, stay zero, and pull their centre towards the origin.
    n_features_in_ : int

    Examples
    --------
    >>> CategoryCenters().fit([[3, 0], [0, 2], [1, 1]], ["a", "b", "b"]).predict([[9, 1], [1, 5]])
    array(['a', 'b'], dtype='<U1')
    """

    _parameter_constraints: dict = {"normalize_centers": ["boolean"]}  # noqa: RUF012 - scikit-learn's convention

    def __init__(self, normalize_centers: bool = False):
        self.normalize_centers = normalize_centers

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y) -> CategoryCenters:
        """Compute the centres of the classes in `y`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)

        Raises
        ------
        ValueError
            If a parameter is not what it should be, `X` holds NaN or infinity, or the shapes do not fit.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self._begin(np.unique(y))
        return self._add(X, y)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None) -> CategoryCenters:
        """Add samples to the centres: for more features than fit in memory. Equal to `fit` of all of them at once.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,)
            All labels that will ever come; needed at the first call only.

        Raises
        ------
        ValueError
            As `fit`; if `classes` is missing at the first call or another one later; for a label that is not in it.
        """
        first = not hasattr(self, "classes_")
        if first and classes is None:
            raise ValueError("classes is missing; expected all labels at the first call of partial_fit")
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=first)
        if first:
            self._begin(np.unique(classes))
        elif classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(f"classes {classes!r} are not those of the first call, {self.classes_.tolist()}")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"label {unknown.tolist()[0]!r} is not in classes {self.classes_.tolist()}")
        return self._add(X, y)

    def _begin(self, classes: np.ndarray) -> None:
        self.classes_ = classes
        self.class_count_ = np.zeros(len(classes), dtype=np.int64)
        self.n_zero_norm_ = 0
        self._sums = np.zeros((len(classes), self.n_features_in_))

    def _add(self, X: np.ndarray, y: np.ndarray) -> CategoryCenters:
        unit = _unit(X)
        self.n_zero_norm_ += int((~unit.any(axis=1)).sum())
        for place, label in enumerate(self.classes_):
            mine = y == label
            self.class_count_[place] += mine.sum()
            # In float64: single precision loses the small classes' digits beside thousands of samples.
            self._sums[place] += unit[mine].sum(axis=0, dtype=np.float64)
        count = self.class_count_[:, None]
        self.centers_ = np.divide(self._sums, count, out=np.full_like(self._sums, np.nan), where=count > 0)
        if self.normalize_centers:
            seen = self.class_count_ > 0
            self.centers_[seen] = normalize(self.centers_[seen]) if seen.any() else self.centers_[seen]
        return self

    def _distances(self, X) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        if not self.class_count_.all():
            label = self.classes_.tolist()[np.argmin(self.class_count_)]
            raise ValueError(f"class {label!r} has no sample, so no centre; add samples of it, or leave it out")
        return euclidean_distances(_unit(X).astype(np.float64), self.centers_)

    def predict(self, X) -> np.ndarray:
        """Label of the nearest centre (equation 2) for each row of `X`; of equally near ones the first.

        A row of norm zero is as far from a centre as this is from the origin.
        """
        nearest = self._distances(X).argmin(axis=1)
        return self.classes_[nearest]

    def decision_function(self, X) -> np.ndarray:
        """Minus the distance to each centre, shape (n_samples, n_classes).

        With two classes, as everywhere in scikit-learn, shape (n_samples,): the distance to the first centre minus that
        to the second.
        """
        distances = self._distances(X)
        return distances[:, 0] - distances[:, 1] if len(self.classes_) == 2 else -distances
