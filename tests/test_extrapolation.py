"""Samplers between the classes: positions worked out by hand, imbalanced-learn's own checks, and bad input."""

import warnings

import numpy as np
import pandas as pd
import pytest
from imblearn.utils.estimator_checks import parametrize_with_checks
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.class_pairs import closest_majors
from common.class_specific import ClassSpecificExtrapolation, iterations_without_threshold
from common.errors import UserError
from common.extrapolation import (
    BiasedExtrapolation,
    DecisionBoundaryResampler,
    ExpansiveOverSampler,
    RepeatedSamplesWarning,
)

# Data small enough to be worked out by hand have few pairs.
pytestmark = pytest.mark.filterwarnings("ignore::common.extrapolation.RepeatedSamplesWarning")

SAMPLERS = [
    DecisionBoundaryResampler(random_state=0),
    BiasedExtrapolation(random_state=0),
    BiasedExtrapolation(selection="bottom", random_state=0),
    BiasedExtrapolation(target="asymmetric", random_state=0),
    BiasedExtrapolation(target="asymmetric", distance="centre", pairing="minor", random_state=0),
    ExpansiveOverSampler(random_state=0),
    ClassSpecificExtrapolation(random_state=0),
]


@pytest.mark.filterwarnings("ignore:class 0:RuntimeWarning")  # the checks' random points have no boundary
@parametrize_with_checks(SAMPLERS)
def test_imbalanced_learns_checks(estimator, check):
    check(estimator)


class Ramp(ClassifierMixin, BaseEstimator):
    """P(class 0) falls along the first feature, from 1 at 0 to 0 at 10; class 2 takes a tenth of everything."""

    classes_ = np.arange(3)

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        first = np.clip(1 - np.asarray(X)[:, 0] / 10, 0, 1)
        return np.column_stack([0.9 * first, 0.9 * (1 - first), np.full(len(first), 0.1)])


RAMP = FrozenEstimator(Ramp())
# Minor samples at 0 and 1 (y = 0 and 5), ten major ones at 6 to 10 on both heights.
X = np.array([[0.0, 0.0], [1.0, 5.0], *([float(x), h] for x in range(6, 11) for h in (0.0, 5.0))])
Y = np.array([0, 0] + [1] * 10)


def new(sampler, X=X, Y=Y):
    grown, labels = sampler.fit_resample(X, Y)
    assert np.array_equal(grown[: len(X)], X) and np.array_equal(labels[: len(Y)], Y)
    assert set(labels[len(Y) :]) <= {0}
    return grown[len(X) :]


def test_new_samples_lie_on_the_boundary_between_nearest_neighbours():
    made = new(DecisionBoundaryResampler(RAMP, sampling_strategy={0: 12}, random_state=0))
    # Every major sample's nearest minor one has its own height, so heights stay and P = 0.5 is at 5.
    assert np.allclose(made[:, 0], 5, atol=1e-5)
    assert sorted(set(made[:, 1].round(6))) == [0, 5]


def test_random_selection_takes_a_share_of_the_majors():
    sampler = BiasedExtrapolation(RAMP, share=0.2, sampling_strategy={0: 12}, random_state=0)
    new(sampler)
    assert sampler.report_[0]["distinct"] == 2  # of ten majors, each with its nearest minor sample


def test_pairs_are_taken_in_a_random_order():
    points = np.array([[0.0, 0.0], *([6.0, float(height)] for height in range(10))])
    labels = np.array([0] + [1] * 10)

    def heights(seed):
        made = new(DecisionBoundaryResampler(RAMP, sampling_strategy={0: 4}, random_state=seed), points, labels)
        return set((made[:, 1] * 6 / 5).round(3))  # at 5 of 6 of the way to the major sample

    assert len(heights(0)) == len(heights(1)) == 3 and heights(0) != heights(1)


def test_separable_pairs_are_extrapolated_without_a_bias():
    points, labels = np.array([[4.0, 0.0], [10.0, 0.0], [10.0, 0.1]]), np.array([0, 1, 1])
    biased = BiasedExtrapolation(RAMP, target="asymmetric", share=1.0)
    sampler = ClassSpecificExtrapolation(biased, accuracy={0: 1.0}, sampling_strategy={0: 3}, random_state=0)
    assert np.allclose(new(sampler, points, labels)[:, 0], 5, atol=1e-5)  # the bias would move it to 9.5


def test_a_target_moves_them_along_the_segment():
    made = new(BiasedExtrapolation(RAMP, target=0.3, share=1.0, sampling_strategy={0: 5}, random_state=0))
    assert np.allclose(made[:, 0], 7, atol=1e-5)


@pytest.mark.parametrize("selection, nearest", [("top", 10), ("bottom", 6)])
def test_selection_is_by_the_own_class_probability(selection, nearest):
    # 20 % of ten major samples: the two at 10 (surest) or at 6. With the centre's distance the position tells which.
    sampler = BiasedExtrapolation(
        RAMP, selection=selection, share=0.2, target="asymmetric", sampling_strategy={0: 4}, random_state=0
    )
    made = new(sampler)
    # From (0, 0): boundary at 5, ratio (x - 5) / 5 is at most 1, so P = 0.5 and the sample is at 5; from (1, 5) the
    # ratio is (x - 5) / 4, above 1 for x = 10 alone: P = 0.5 - 0.2 * 0.25 = 0.45, so 5.5.
    expected = {10: [5, 5.5], 6: [5, 5]}[nearest]
    assert np.allclose(sorted(made[:, 0]), expected, atol=1e-5)


def test_the_asymmetric_target_is_clipped_and_counted():
    # From a minor sample at 4 the boundary is 1 away, from a major one at 10 it is 5: P = 0.5 - 0.2 * 4 = -0.3.
    points, labels = np.array([[4.0, 0.0], [10.0, 0.0], [10.0, 0.1]]), np.array([0, 1, 1])
    sampler = BiasedExtrapolation(
        RAMP, share=1.0, target="asymmetric", p_low=0.05, sampling_strategy={0: 3}, random_state=0
    )
    made = new(sampler, points, labels)
    assert np.allclose(made[:, 0], 9.5, atol=1e-5)
    (report,) = sampler.report_
    assert report == {"minor": 0, "major": 1, "generated": 2, "distinct": 2, "skipped": 0, "clipped": 1.0}


def test_distances_to_the_class_centres():
    # Centres 2 and 8: d_normal = 2 for the major sample at 10, d_abnormal = 1 for minor ones at 1 and 3.
    points = np.array([[1.0], [3.0], [6.0], [10.0], [8.0]])
    sampler = BiasedExtrapolation(
        RAMP,
        selection="top",
        share=0.2,
        target="asymmetric",
        distance="centre",
        sampling_strategy={0: 3},
        random_state=0,
    )
    made = new(sampler, points, np.array([0, 0, 1, 1, 1]))
    assert np.allclose(made, 7, atol=1e-5)  # P = 0.5 - 0.2 * (2 - 1) = 0.3


def test_pairs_the_other_way_round():
    points = np.array([[0.0, 0.0], [0.0, 9.0], [6.0, 0.0], [6.0, 1.0], [6.0, 2.0]])
    sampler = BiasedExtrapolation(RAMP, pairing="minor", share=1.0, sampling_strategy={0: 4}, random_state=0)
    made = new(sampler, points, np.array([0, 0, 1, 1, 1]))
    # Each minor sample with its nearest major one: (6, 0) and (6, 2).
    assert np.allclose(made[np.argsort(made[:, 1])], [[5, 0], [5, 9 - 7 * 5 / 6]], atol=1e-5)


def test_pairs_without_a_crossing_are_left_out_and_counted():
    # The minor sample at 7 is on the wrong side: the three major ones near it give nothing.
    points = np.array([[0.0, 0.0], [7.0, 9.0], [8.0, 0.0], [8.0, 9.0], [9.0, 9.0], [9.0, 8.0]])
    labels = np.array([0, 0, 1, 1, 1, 1])
    sampler = BiasedExtrapolation(RAMP, share=1.0, sampling_strategy={0: 5}, random_state=0)
    made = new(sampler, points, labels)
    assert np.allclose(made, [[5, 0]] * 3, atol=1e-5), "one pair crosses, so its sample repeats"
    (report,) = sampler.report_
    assert (report["generated"], report["distinct"], report["skipped"]) == (3, 1, 3)


def test_no_crossing_at_all_gives_nothing_and_says_so():
    points, labels = np.array([[7.0], [8.0], [9.0]]), np.array([0, 1, 1])
    sampler = BiasedExtrapolation(RAMP, share=1.0, sampling_strategy={0: 2}, random_state=0)
    with pytest.warns(RuntimeWarning, match="class 0: none of 2 segments to class 1 crosses") as told:
        assert len(new(sampler, points, labels)) == 0
    assert told[0].filename == __file__
    assert sampler.report_[0]["generated"] == 0


def test_a_minor_class_of_one_sample_works():
    points, labels = np.array([[0.0, 0.0], [8.0, 0.0], [8.0, 4.0]]), np.array([0, 1, 1])
    made = new(DecisionBoundaryResampler(RAMP, sampling_strategy={0: 3}, random_state=0), points, labels)
    assert np.allclose(made[np.argsort(made[:, 1])], [[5, 0], [5, 2.5]], atol=1e-5)


def test_each_minor_class_goes_towards_the_nearest_larger_one():
    points = np.array([[0.0], [9.0], [1.0], [1.2], [8.0], [8.2]])
    labels = np.array(["a", "b", "near a", "near a", "near b", "near b"])
    assert closest_majors(points, labels, ["a", "b"]) == {"a": "near a", "b": "near b"}
    with pytest.raises(UserError, match="class near a is the largest"):
        closest_majors(points, labels, ["near a"])


def test_expansive_samples_lie_on_the_way_to_one_of_the_nearest_enemies():
    points = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [50.0, 50.0]])
    made = new(
        ExpansiveOverSampler(k_neighbors=2, sampling_strategy={0: 41}, random_state=0), points, np.array([0, 1, 1, 1])
    )
    assert len(made) == 40 and (made.min(axis=1) == 0).all() and made.max() < 4 and (made.max(axis=0) > 2).all()


# -- types of features -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted():
    """Features that are counts, and a rare class of high ones."""
    random = np.random.RandomState(0)
    points = random.poisson(2, (400, 5))
    return points, (points[:, 0] + points[:, 1] + random.randint(0, 3, 400) > 8).astype(int)


WHOLE = [
    DecisionBoundaryResampler(random_state=0),
    BiasedExtrapolation(random_state=0),
    ClassSpecificExtrapolation(random_state=0),
    ExpansiveOverSampler(random_state=0),
]


@pytest.mark.parametrize("kind", [np.int64, np.int8, np.uint8])
@pytest.mark.parametrize("sampler", WHOLE)
def test_whole_numbers_give_what_the_same_floating_point_numbers_do(counted, sampler, kind):
    points, labels = counted
    expected, _ = sampler.fit_resample(points.astype(float), labels)
    assert len(expected) > 700
    for given in (points.astype(kind), sparse.csr_matrix(points.astype(kind))):
        grown, _ = sampler.fit_resample(given, labels)
        assert type(grown) is type(given) and grown.dtype == np.float64
        assert np.array_equal(grown.toarray() if sparse.issparse(grown) else grown, expected)


def test_new_samples_of_whole_numbers_lie_on_the_boundary(counted):
    grown, _ = DecisionBoundaryResampler(random_state=0).fit_resample(*counted)
    at = LogisticRegression(max_iter=1000).fit(*counted).predict_proba(grown[400:])[:, 1]
    assert np.allclose(at, 0.5, atol=1e-6)


def test_truth_values_are_numbers():
    points = np.array([[False, False], [True, False], [True, True], [False, True]])
    made = new(ExpansiveOverSampler(sampling_strategy={0: 3}, random_state=0), points, np.array([0, 1, 1, 1]))
    assert made.dtype == np.float64 and ((made > 0) & (made < 1)).any()


@pytest.mark.parametrize("sampler", WHOLE)
def test_single_precision_stays(counted, sampler):
    points, labels = counted
    assert sampler.fit_resample(points.astype(np.float32), labels)[0].dtype == np.float32


@pytest.mark.parametrize("sampler", WHOLE)
def test_a_frame_keeps_its_columns_and_not_its_whole_numbers(counted, sampler):
    points, labels = counted
    frame = pd.DataFrame(points, columns=list("abcde"))
    frame = frame.assign(b=frame.b.astype("Int64"), c=frame.c.astype("category"), d=frame.d.astype(np.float32))
    grown, _ = sampler.fit_resample(frame, labels)
    assert grown.dtypes.map(str).to_dict() == {**dict.fromkeys("abce", "float64"), "d": "float32"}
    assert np.allclose(grown, sampler.fit_resample(points.astype(float), labels)[0])
    assert str(frame.c.dtype) == "category", "the frame that was given stays as it is"


# -- classifiers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", ["random", "top"])
def test_a_classifier_that_was_fitted_to_a_frame_gets_one(counted, selection):
    points, labels = counted
    frame = pd.DataFrame(points.astype(float), columns=list("abcde"))
    sampler = BiasedExtrapolation(selection=selection, random_state=0)
    expected, _ = sampler.fit_resample(frame, labels)
    sampler.set_params(estimator=FrozenEstimator(LogisticRegression(max_iter=1000).fit(frame, labels)))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*valid feature names")
        assert sampler.fit_resample(frame, labels)[0].equals(expected)
        assert np.array_equal(sampler.fit_resample(frame.to_numpy(), labels)[0], expected)
    with pytest.raises(ValueError, match="must be in the same order"):
        sampler.fit_resample(frame[list("edcba")], labels)


def test_columns_in_another_order_are_refused_for_overlapped_pairs_too(counted):
    points, labels = counted
    frame = pd.DataFrame(points.astype(float), columns=list("abcde"))
    own = ClassSpecificExtrapolation(tau=1.0, random_state=0).fit_resample(frame, labels)[0]
    fitted = FrozenEstimator(LogisticRegression(max_iter=1000).fit(frame, labels))
    sampler = ClassSpecificExtrapolation(BiasedExtrapolation(fitted, target="asymmetric"), tau=1.0, random_state=0)
    assert sampler.fit_resample(frame, labels)[0].equals(own)
    with pytest.raises(ValueError, match="must be in the same order"):
        sampler.fit_resample(frame[list("edcba")], labels)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("over", [BiasedExtrapolation, ClassSpecificExtrapolation])
def test_a_classifier_may_ask_for_columns_by_name(counted, over, frozen):
    points, labels = counted
    frame = pd.DataFrame(points.astype(float), columns=list("abcde"))
    scaled = make_column_transformer((StandardScaler(), list("ab")), remainder="passthrough")
    estimator = make_pipeline(scaled, LogisticRegression(max_iter=1000))
    estimator = FrozenEstimator(estimator.fit(frame, labels)) if frozen else estimator
    sampler = BiasedExtrapolation(estimator, random_state=0)
    sampler = sampler if over is BiasedExtrapolation else over(sampler, random_state=0)
    grown, _ = sampler.fit_resample(frame, labels)
    assert list(grown) == list("abcde") and len(grown) > len(frame)


def test_the_seed_decides_what_a_random_classifier_does(counted):
    def grown(estimator, seed=0):
        return BiasedExtrapolation(estimator, random_state=seed).fit_resample(*counted)[0]

    forest = RandomForestClassifier(5)
    for estimator in (forest, make_pipeline(StandardScaler(), forest)):
        assert np.array_equal(grown(estimator), grown(estimator))
    assert forest.random_state is None, "the estimator that was given stays as it is"
    sampler = BiasedExtrapolation(RandomForestClassifier(2, random_state=7), random_state=0)
    assert sampler.fit(*counted) and sampler.fit_resample(*counted)
    assert sampler.estimator_.random_state == 7


# -- repeats -----------------------------------------------------------------------------------------------------------


def test_repeats_are_told_once_and_where_the_sampler_was_called():
    sampler = BiasedExtrapolation(RAMP, share=0.1, sampling_strategy={0: 12}, random_state=0)
    with pytest.warns(UserWarning, match="class 0: 10 new, 1 distinct.*share=1.0 or another selection") as told:
        sampler.fit_resample(X, Y)
    assert [(one.category, one.filename) for one in told] == [(RepeatedSamplesWarning, __file__)]
    specific = ClassSpecificExtrapolation(sampler, accuracy={0: 0}, sampling_strategy={0: 12}, random_state=0)
    with pytest.warns(RepeatedSamplesWarning) as told:
        specific.fit_resample(X, Y)
    assert [one.filename for one in told] == [__file__]


@pytest.mark.parametrize(
    ("category", "options"),
    [
        (RepeatedSamplesWarning, {"share": 0.5}),  # half of them distinct
        (RuntimeWarning, {"share": 0.1}),  # as the study of paper 3 has it, whose results hold the counts
    ],
)
def test_no_repeats_are_told(category, options):
    sampler = BiasedExtrapolation(RAMP, sampling_strategy={0: 12}, random_state=0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if category is RuntimeWarning:
            warnings.simplefilter("ignore", category)
        sampler.fit_resample(X, Y)


# -- class specific ----------------------------------------------------------------------------------------------------

THREE = np.array([[0.0], [1.0], *([float(x)] for x in (6, 7, 8, 9))])
PAIRED = np.array([0, 0, 1, 1, 1, 1])


def specific(**options):
    sampler = BiasedExtrapolation(RAMP, target="asymmetric", share=1.0)
    options = {"sampling_strategy": {0: 6}, "random_state": 0, **options}
    return ClassSpecificExtrapolation(sampler, **options)


@pytest.mark.parametrize(
    "options, made, biased",
    [
        ({"accuracy": {0: 0.7}}, 4, [True]),  # at most tau: overlapped
        ({"accuracy": {0: 0.71}}, 4, [False]),  # as run
        ({"accuracy": {0: 0.71}, "separable": "skip"}, 0, []),  # as written
        ({"accuracy": {0: 0.75}, "tau": None, "iterations": 4}, 1, [True]),  # a quarter of the iterations
        ({"accuracy": {0: 1.0}, "tau": None}, 0, []),
    ],
)
def test_algorithms_1_and_2(options, made, biased):
    sampler = specific(**options)
    assert len(new(sampler, THREE, PAIRED)) == made
    assert [row["biased"] for row in sampler.report_] == biased


def test_algorithm_2_extrapolates_less_the_better_a_pair_is_told_apart():
    assert [iterations_without_threshold(accuracy, 19) for accuracy in (0, 0.5, 0.7, 0.95, 1)] == [19, 10, 6, 1, 0]


@pytest.mark.filterwarnings("ignore:class 0:RuntimeWarning")  # of a class that is never recognised
def test_accuracy_is_measured_by_cross_validation():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [30, 60, 30])
    # Class 0 lies on class 1, class 2 far from it.
    points = random.normal(size=(120, 2)) + np.array([[0.0], [0.0], [20.0]])[labels]
    sampler = ClassSpecificExtrapolation(BiasedExtrapolation(), random_state=0).fit(points, labels)
    sampler.set_params(sampling_strategy={0: 40, 2: 40}).fit_resample(points, labels)
    assert sampler.accuracy_[0] < 0.65 and sampler.accuracy_[2] == 1
    assert sampler.overlapped_ == [0]


def test_separable_pairs_of_a_sampler_that_has_no_bias_get_as_many():
    sampler = DecisionBoundaryResampler(RAMP)
    sampler = ClassSpecificExtrapolation(sampler, accuracy={0: 1.0}, sampling_strategy={0: 6}, random_state=0)
    assert len(new(sampler, THREE, PAIRED)) == 4
    assert [row["biased"] for row in sampler.report_] == [False]


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampler, message",
    [
        (BiasedExtrapolation(target=0.0), "The 'target' parameter .* must be a float in the range .0.0, 1.0."),
        (BiasedExtrapolation(target=1.2), "'target' parameter"),
        (BiasedExtrapolation(p_low=0.5), "'p_low' parameter .* range .0.0, 0.5."),
        (BiasedExtrapolation(share=0), "'share' parameter .* range .0.0, 1.0."),
        (BiasedExtrapolation(gamma=float("nan")), "The 'gamma' parameter .* must be a float"),
        (BiasedExtrapolation(gamma=-float("inf")), "'gamma' parameter"),
        (BiasedExtrapolation(selection="middle"), "'selection' parameter"),
        (BiasedExtrapolation(object()), "'estimator' parameter"),
        (ClassSpecificExtrapolation(tau=1.5), "The 'tau' parameter .* range .0.0, 1.0."),
        (ClassSpecificExtrapolation(tau=-0.1), "'tau' parameter"),
        (ClassSpecificExtrapolation(separable="sometimes"), "'separable' parameter"),
        (ExpansiveOverSampler(k_neighbors=0), "'k_neighbors' parameter"),
        (BiasedExtrapolation(pairs={5: 1}), "pairs: no major class for class 0"),
        (BiasedExtrapolation(pairs={0: 99}), "pairs: 99 for class 0; expected another class of the data"),
        (BiasedExtrapolation(pairs={0: 0}), "pairs: 0 for class 0; expected another class of the data"),
        (ClassSpecificExtrapolation(BiasedExtrapolation(pairs={1: 2})), "pairs: no major class for class 0"),
        (ClassSpecificExtrapolation(accuracy={0: 95}), "accuracy: 95 for class 0; expected between 0 and 1"),
        (ClassSpecificExtrapolation(accuracy={0: float("nan")}), "accuracy: nan for class 0"),
        (ClassSpecificExtrapolation(accuracy={5: 1}), "accuracy: none for class 0"),
    ],
)
def test_bad_values_are_named(sampler, message):
    with pytest.raises(ValueError, match=message):
        sampler.fit_resample(X, Y)


def fitted(labels, offset=0):
    """Frozen, fitted to these labels alone."""
    points = np.arange(2.0 * len(labels)).reshape(-1, 1)
    return FrozenEstimator(LogisticRegression().fit(points.repeat(2, axis=1), np.repeat(labels, 2) + offset))


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (BiasedExtrapolation(fitted([1, 2])), r"estimator: fitted to classes \[1, 2\], without class 0 of the data"),
        (BiasedExtrapolation(fitted([0, 1], 5)), r"fitted to classes \[5, 6\], without class 0 of the data; expected"),
        (BiasedExtrapolation(fitted([0, 2])), "without class 1 of the data"),
        (ClassSpecificExtrapolation(BiasedExtrapolation(fitted([1, 2]))), "without class 0 of the data"),
        (ClassSpecificExtrapolation(BiasedExtrapolation(fitted([0, 1], 5))), "without class 0 of the data"),
        (ClassSpecificExtrapolation(BiasedExtrapolation(fitted([0, 1, 2]))), r"the data have \[0, 1\]; give accuracy"),
    ],
)
def test_an_estimator_fitted_to_other_classes_is_refused(sampler, message):
    with pytest.raises(UserError, match=message):
        sampler.fit_resample(X, Y)


def test_one_sample_cannot_be_cross_validated():
    with pytest.raises(UserError, match=r"class 0: one sample, .* give accuracy"):
        ClassSpecificExtrapolation().fit_resample(X[1:], Y[1:])


def test_a_share_of_the_majors_is_rounded():
    sampler = BiasedExtrapolation(RAMP, share=0.28, sampling_strategy={0: 12}, random_state=0)
    new(sampler)
    assert sampler.report_[0]["distinct"] == 3  # of ten majors 2.8


def test_the_accuracy_of_a_pair_does_not_suffer_from_sorted_data():
    """Five clusters of each class, one after the other: a fold without a shuffle would hold out a whole one."""
    minors, majors = np.repeat(np.arange(0.0, 50, 10), 10), np.repeat(np.arange(5.0, 55, 10), 20)
    points, labels = np.concatenate([minors, majors])[:, None], np.repeat([0, 1], [50, 100])
    nearest = BiasedExtrapolation(KNeighborsClassifier(1))
    sampler = ClassSpecificExtrapolation(nearest, random_state=0)
    sampler.fit_resample(points, labels)
    assert sampler.accuracy_ == {0: 1.0}  # without a shuffle .2: next to a lost cluster stands one of the other class
