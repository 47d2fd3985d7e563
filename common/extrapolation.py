"""Oversampling between the classes: new minor samples at or beyond the decision boundary (Jeong and Lee).

Samplers in imbalanced-learn's sense, for any feature matrix and any classifier with `predict_proba`. Each new sample
lies on the segment from a minor sample to a major one, where the classifier gives the minor class a chosen probability
(`common.boundary`).
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin
from sklearn.neighbors import NearestNeighbors
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from common.boundary import BOUNDARY, Probability, asymmetric_target, between, bisect, pair_probability
from common.class_pairs import PairSampler, check_classes, check_pairs, closest_majors, named, seeded, warn


class RepeatedSamplesWarning(RuntimeWarning, UserWarning):
    """New samples are copies of far fewer; a `RuntimeWarning`, so one filter takes all that these samplers say."""


class BiasedExtrapolation(PairSampler):
    """New minor samples between selected major samples and their nearest minor ones (paper 3 and its reference 15).

    Parameters
    ----------
    estimator : classifier or None
        Has `predict_proba`; cloned and fitted to the data, so wrap a fitted one in
        `sklearn.frozen.FrozenEstimator`. Its random states that are None follow from `random_state`. None: logistic
        regression.
    selection : {'random', 'top', 'bottom'}
        Which major samples: any, or those with the highest or lowest probability of their own class.
    share : float in (0, 1]
        How many of them.
    target : float in (0, 1), or 'asymmetric'
        Probability of the minor class at a new sample; 0.5 is the boundary, 'asymmetric' is equation 1.
    gamma, p_max : float
        Of equation 1, finite; a negative gamma moves new samples into the major class.
    p_low : float in (0, 0.5)
        Equation 1 is clipped to between this and one minus this, because its ratio has no bound.
    distance : {'boundary', 'centre'}
        d_normal and d_abnormal of equation 1: from the major and the minor sample to the boundary on their segment, or
        to the mean of their own class.
    pairing : {'major', 'minor'}
        A pair for each selected major sample, with its nearest minor one, or the other way round.
    pairs : mapping or None
        Minor class to major class; None: the larger class whose mean is nearest.
    sampling_strategy, random_state
        As everywhere in imbalanced-learn.

    Attributes
    ----------
    report_ : list of dict
        For each class: minor, major, generated, distinct (of them, less than generated where pairs ran out), skipped
        (pairs tried whose segment does not cross the target), clipped (share of new samples).

    Notes
    -----
    A class of which no pair crosses the target gets no new samples, with a warning; `report_` says so. The target fixes
    where a sample of a pair lies, so where fewer pairs cross it than samples are asked for, samples repeat; less than
    half of them distinct gives a `RepeatedSamplesWarning`.

    New samples, and with them the data, are float64 where the features are not floating-point numbers.
    """

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's convention
        **BaseOverSampler._parameter_constraints,
        "estimator": [HasMethods(["fit", "predict_proba"]), None],
        "selection": [StrOptions({"random", "top", "bottom"})],
        "share": [Interval(Real, 0, 1, closed="right")],
        "target": [Interval(Real, 0, 1, closed="neither"), StrOptions({"asymmetric"})],
        "gamma": [Interval(Real, None, None, closed="neither")],
        "p_max": [Interval(Real, 0, 1, closed="right")],
        "p_low": [Interval(Real, 0, 0.5, closed="neither")],
        "distance": [StrOptions({"boundary", "centre"})],
        "pairing": [StrOptions({"major", "minor"})],
        "pairs": [Mapping, None],
    }

    def __init__(
        self,
        estimator=None,
        *,
        selection="random",
        share=0.3,
        target=BOUNDARY,
        gamma=-0.4,
        p_max=0.5,
        p_low=0.05,
        distance="boundary",
        pairing="major",
        pairs=None,
        sampling_strategy="auto",
        random_state=None,
    ):
        super().__init__(sampling_strategy=sampling_strategy)
        self.estimator = estimator
        self.selection = selection
        self.share = share
        self.target = target
        self.gamma = gamma
        self.p_max = p_max
        self.p_low = p_low
        self.distance = distance
        self.pairing = pairing
        self.pairs = pairs
        self.random_state = random_state

    def _fit_resample(self, X, y):
        resampled = super()._fit_resample(X, y)
        if repeated := [row for row in self.report_ if row["distinct"] < row["generated"] / 2]:
            told = (f"class {row['minor']}: {row['generated']} new, {row['distinct']} distinct" for row in repeated)
            # Fewer selected majors are fewer pairs; at share 1 only the classifier or the pairing are left to change.
            way = "share=1.0 or another selection" if self.share < 1 else "another estimator or pairing"
            warn(
                f"new samples repeat ({'; '.join(told)}): few pairs were selected, or few cross the target; "
                f"{way} may give more, sampling_strategy asks for fewer, report_ has the counts",
                RepeatedSamplesWarning,
            )
        return resampled

    def _prepare(self, X, y, labels, random):
        self.pairs_ = self.pairs or closest_majors(X, y, labels)
        check_pairs(self.pairs_, labels, y)
        estimator = LogisticRegression(max_iter=1000) if self.estimator is None else self.estimator
        self.estimator_ = seeded(estimator, random).fit(named(self, X), y)
        check_classes(self.estimator_, np.unique([*labels, *(self.pairs_[label] for label in labels)]).tolist())
        self.report_ = []

    def _new(self, X, y, label, amount, random):
        major = self.pairs_[label]
        columns = [int(np.flatnonzero(self.estimator_.classes_ == name)[0]) for name in (label, major)]
        minors, majors = X[y == label].astype(float), X[y == major].astype(float)
        chosen = majors[self._selected(majors, columns[1], random)]
        starts, ends = _segments(minors, chosen, self.pairing)
        centres = (minors.mean(axis=0), majors.mean(axis=0))

        def probability(points: np.ndarray) -> np.ndarray:
            return pair_probability(self._probabilities(points.astype(X.dtype)), *columns)

        made, skipped, clipped, tried = [np.empty((0, X.shape[1]))], 0, 0, 0
        order = random.permutation(len(starts))
        while (missing := amount - sum(map(len, made))) and tried < len(order):
            part = order[tried : tried + missing]
            tried += len(part)
            share, clips, crosses = self._place(probability, starts[part], ends[part], centres)
            made.append(between(starts[part][crosses], ends[part][crosses], share))
            skipped += int((~crosses).sum())
            clipped += int(clips.sum())
        new = np.concatenate(made)
        self.report_.append(
            {"minor": label, "major": major, "generated": amount if len(new) else 0, "distinct": len(new),
             "skipped": skipped, "clipped": clipped / max(len(new), 1)}
        )  # fmt: skip
        if not len(new):
            warn(
                f"class {label}: none of {skipped} segments to class {major} crosses the target; no new samples",
                RuntimeWarning,
            )
            return new
        # Fewer pairs than samples asked for: the target fixes where a sample of a pair lies, so pairs repeat.
        return new[np.arange(amount) % len(new)]

    def _probabilities(self, points: np.ndarray) -> np.ndarray:
        """What the classifier says, shape (n, C); a frozen one that was fitted to a frame gets its columns by name."""
        names = getattr(self.estimator_, "feature_names_in_", ())
        if len(names) == points.shape[1]:
            # The data's own names where it has some, so that columns in another order are refused.
            points = named(self if hasattr(self, "feature_names_in_") else self.estimator_, points)
        return self.estimator_.predict_proba(points)

    def _selected(self, majors: np.ndarray, column: int, random) -> np.ndarray:
        """Positions of the selected major samples."""
        count = max(round(self.share * len(majors)), 1)
        if self.selection == "random":
            return random.choice(len(majors), count, replace=False)
        own = self._probabilities(majors)[:, column]
        ascending = np.argsort(own, kind="stable")
        return ascending[:count] if self.selection == "bottom" else ascending[::-1][:count]

    def _place(self, probability: Probability, starts, ends, centres):
        """Shares of the way and which of them were clipped, for the segments that cross; and which do."""
        first, last = probability(starts), probability(ends)
        level = BOUNDARY if self.target == "asymmetric" else self.target
        crosses = (first > level) & (last <= level)
        share = bisect(probability, starts[crosses], ends[crosses], level)
        if self.target != "asymmetric":
            return share, np.zeros(len(share), bool), crosses
        if self.distance == "boundary":
            d_abnormal, d_normal = share, 1 - share  # in lengths of the segment, which cancel
        else:
            of_minor, of_major = centres
            d_abnormal = np.linalg.norm(starts[crosses] - of_minor, axis=1)
            d_normal = np.linalg.norm(ends[crosses] - of_major, axis=1)
        printed = asymmetric_target(d_normal, d_abnormal, self.gamma, self.p_max)
        target = np.clip(printed, self.p_low, 1 - self.p_low)
        reached = (first[crosses] > target) & (last[crosses] <= target)
        crosses[crosses] = reached
        share = bisect(probability, starts[crosses], ends[crosses], target[reached])
        return share, (printed != target)[reached], crosses


def _segments(minors: np.ndarray, majors: np.ndarray, pairing: str) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of the segments: each major sample with its nearest minor one, or each minor with its major."""
    if pairing == "major":
        return minors[pairwise_distances_argmin(majors, minors)], majors
    return minors, majors[pairwise_distances_argmin(minors, majors)]


class DecisionBoundaryResampler(BiasedExtrapolation):
    """Decision boundary re-sampling (paper 3's reference 8): new samples on the boundary, from any major sample.

    `BiasedExtrapolation` without a bias; its parameters, attributes and notes hold.
    """

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's convention
        name: BiasedExtrapolation._parameter_constraints[name]
        for name in ("estimator", "share", "pairing", "pairs", "sampling_strategy", "random_state")
    }

    def __init__(
        self, estimator=None, *, share=1.0, pairing="major", pairs=None, sampling_strategy="auto", random_state=None
    ):
        super().__init__(
            estimator,
            share=share,
            pairing=pairing,
            pairs=pairs,
            sampling_strategy=sampling_strategy,
            random_state=random_state,
        )


class ExpansiveOverSampler(PairSampler):
    """New minor samples anywhere on the way to the nearest samples of other classes, after EOS (Dablain et al.).

    New samples, and with them the data, are float64 where the features are not floating-point numbers.

    Parameters
    ----------
    k_neighbors : int
        Nearest enemies of a sample, of which one is drawn.
    sampling_strategy, random_state
        As everywhere in imbalanced-learn.
    """

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's convention
        **BaseOverSampler._parameter_constraints,
        "k_neighbors": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, k_neighbors=10, sampling_strategy="auto", random_state=None):
        super().__init__(sampling_strategy=sampling_strategy)
        self.k_neighbors = k_neighbors
        self.random_state = random_state

    def _new(self, X, y, label, amount, random):
        own, enemies = X[y == label], X[y != label]
        neighbours = NearestNeighbors(n_neighbors=min(self.k_neighbors, len(enemies))).fit(enemies)
        starts = own[random.randint(len(own), size=amount)]
        nearest = neighbours.kneighbors(starts, return_distance=False)
        ends = enemies[nearest[np.arange(amount), random.randint(nearest.shape[1], size=amount)]]
        return between(starts, ends, random.uniform(size=amount))
