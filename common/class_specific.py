"""Extrapolation only where two classes overlap: algorithms 1 and 2 of Jeong and Lee, as a sampler.

Which pairs are overlapped is said by how well a classifier tells the two classes apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import pandas as pd
from imblearn.over_sampling.base import BaseOverSampler
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from common.boundary import BOUNDARY, pair_accuracy
from common.class_pairs import FloatingSampler, check_classes, check_pairs, closest_majors, named, seeded
from common.errors import UserError
from common.extrapolation import BiasedExtrapolation

FOLDS = 5


def iterations_without_threshold(accuracy: float, iterations: int) -> int:
    """How often a pair is extrapolated by algorithm 2, whose factor is unreadable: ``Iter * (1 - accuracy)``."""
    return round(iterations * (1 - accuracy))


def _unbiased(sampler: BiasedExtrapolation) -> BiasedExtrapolation:
    """The same without a bias; a subclass may lack the parameters that make one."""
    own, there = sampler.get_params(deep=False), BiasedExtrapolation().get_params(deep=False)
    shared = {name: value for name, value in own.items() if name in there}
    return clone(BiasedExtrapolation(**{**shared, "selection": "random", "target": BOUNDARY}))


class ClassSpecificExtrapolation(FloatingSampler):
    """Biased extrapolation of overlapped pairs of a minor and a major class.

    Parameters
    ----------
    sampler : BiasedExtrapolation or None
        For overlapped pairs, with its boundary and its pairs; its amounts are ignored. None: equation 1, logistic
        regression.
    tau : float in [0, 1], or None
        Algorithm 1: pairs with an accuracy of at most `tau` are overlapped. None is algorithm 2: every pair gets its
        amount times `iterations_without_threshold` of `iterations`.
    separable : {'random', 'skip'}
        What other pairs get by algorithm 1: as many samples without bias, as the authors ran it, or none, as they
        wrote it.
    iterations : int
        Of algorithm 2 (19 in the paper).
    accuracy : mapping or None
        Minor class to accuracy of its pair on images held out; None: the mean recall by cross-validation, for on its
        own training samples a classifier takes every pair for separable.
    sampling_strategy, random_state
        As everywhere in imbalanced-learn.

    Attributes
    ----------
    accuracy_ : dict
        Minor class to accuracy of its pair.
    overlapped_ : list
        Minor classes of overlapped pairs; by algorithm 2 all.
    report_ : list of dict
        As `BiasedExtrapolation` gives it, with `biased` beside.
    """

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's convention
        **BaseOverSampler._parameter_constraints,
        "sampler": [BiasedExtrapolation, None],
        "tau": [Interval(Real, 0, 1, closed="both"), None],
        "separable": [StrOptions({"random", "skip"})],
        "iterations": [Interval(Integral, 1, None, closed="left")],
        "accuracy": [Mapping, None],
    }

    def __init__(
        self,
        sampler=None,
        *,
        tau=0.7,
        separable="random",
        iterations=19,
        accuracy=None,
        sampling_strategy="auto",
        random_state=None,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.sampler = sampler
        self.tau = tau
        self.separable = separable
        self.iterations = iterations
        self.accuracy = accuracy
        self.random_state = random_state

    def _fit_resample(self, X, y):
        X = X if X.dtype.kind == "f" else X.astype(float)  # also where no sample is made
        biased = clone(self.sampler) if self.sampler is not None else BiasedExtrapolation(target="asymmetric")
        wanted = {label: amount for label, amount in self.sampling_strategy_.items() if amount > 0}
        dense = X.toarray() if sparse.issparse(X) else X
        biased.set_params(pairs=biased.pairs or closest_majors(dense, y, wanted))
        check_pairs(biased.pairs, list(wanted), y)
        self.accuracy_ = self._accuracies(biased, X, y, list(wanted))
        amounts, without = dict(wanted), {}
        if self.tau is None:
            self.overlapped_ = list(wanted)
            for label, accuracy in self.accuracy_.items():
                share = iterations_without_threshold(accuracy, self.iterations) / self.iterations
                amounts[label] = round(amounts[label] * share)
        else:
            self.overlapped_ = [label for label in wanted if self.accuracy_[label] <= self.tau]
            without = {label: amounts.pop(label) for label in wanted if label not in self.overlapped_}
        random = check_random_state(self.random_state)
        self.report_ = []
        parts = [self._grown(biased, amounts, X, y, random, biased=True)]
        if self.separable == "random":
            parts.append(self._grown(_unbiased(biased), without, X, y, random, biased=False))
        new, labels = zip(*parts, strict=True)
        stack = sparse.vstack if sparse.issparse(X) else np.concatenate
        return stack([X, *new]), np.concatenate([y, *labels])

    def _grown(self, sampler: BiasedExtrapolation, amounts: Mapping, X, y, random, biased: bool):
        """New samples and their labels; amounts are what is added to each class."""
        amounts = {label: amount for label, amount in amounts.items() if amount > 0}
        if not amounts:
            return X[:0], y[:0]
        counts = {label: int((y == label).sum()) + amount for label, amount in amounts.items()}
        sampler.set_params(sampling_strategy=counts, random_state=random.randint(2**31 - 1))
        grown, labels = sampler.fit_resample(named(self, X), y)
        grown = grown.to_numpy() if isinstance(grown, pd.DataFrame) else grown
        self.report_ += [{**row, "biased": biased} for row in sampler.report_]
        return grown[X.shape[0] :], labels[len(y) :]

    def _accuracies(self, sampler: BiasedExtrapolation, X, y, labels: list) -> dict:
        if self.accuracy is not None:
            if missing := [label for label in labels if label not in self.accuracy]:
                raise UserError(f"accuracy: none for class {missing[0]}; expected one for each class to resample")
            if wrong := [label for label in labels if not 0 <= self.accuracy[label] <= 1]:
                raise UserError(f"accuracy: {self.accuracy[wrong[0]]} for class {wrong[0]}; expected between 0 and 1")
            return {label: self.accuracy[label] for label in labels}
        classes, codes = np.unique(y, return_inverse=True)
        folds = min(FOLDS, int(np.bincount(codes).min()))
        if folds < 2:
            raise UserError(
                f"class {classes[np.bincount(codes).argmin()]}: one sample, on which no accuracy can be "
                "cross-validated; give accuracy"
            )
        estimator = LogisticRegression(max_iter=1000) if sampler.estimator is None else sampler.estimator
        fitted = clone(estimator)  # of which only a frozen one has classes, and these may be other ones than the data's
        if hasattr(fitted, "classes_"):
            check_classes(fitted, classes.tolist())
            if len(fitted.classes_) > len(classes):
                raise UserError(
                    f"estimator: fitted to classes {fitted.classes_.tolist()}, the data have {classes.tolist()}; give "
                    "accuracy, or an estimator that is not fitted"
                )
        # Shuffled, because data often come sorted; always the same way, so that the verdict is.
        split = StratifiedKFold(folds, shuffle=True, random_state=0)
        estimator = seeded(estimator, check_random_state(0))
        probabilities = cross_val_predict(estimator, named(self, X), y, cv=split, method="predict_proba")
        column = {label: int(np.flatnonzero(classes == label)[0]) for label in (*labels, *sampler.pairs.values())}
        return {
            label: pair_accuracy(probabilities, codes, column[label], column[sampler.pairs[label]]) for label in labels
        }
