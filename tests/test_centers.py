"""The nearest-centre classifier, by hand, against scikit-learn's, and by scikit-learn's own checks."""

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize
from sklearn.utils.estimator_checks import parametrize_with_checks

from common.centers import CategoryCenters, _unit


@parametrize_with_checks([CategoryCenters(), CategoryCenters(normalize_centers=True)])
def test_is_a_scikit_learn_classifier(estimator, check):
    check(estimator)


@pytest.fixture
def blobs():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 300)
    return random.normal(0, 1, (4, 8))[labels] + random.normal(0, 0.8, (300, 8)), labels


def test_equations_1_and_2_by_hand():
    # Unit vectors: (1, 0), (0, 1) of class 0; (-1, 0) twice of class 1.
    model = CategoryCenters().fit([[5, 0], [0, 0.1], [-2, 0], [-3, 0]], [0, 0, 1, 1])
    assert model.centers_.tolist() == [[0.5, 0.5], [-1, 0]]
    query = [[-1, 1]]  # as a unit vector (-.7071, .7071)
    to_0, to_1 = np.hypot(-(0.5**0.5) - 0.5, 0.5**0.5 - 0.5), np.hypot(-(0.5**0.5) + 1, 0.5**0.5)
    assert model.decision_function(query) == pytest.approx([to_0 - to_1])
    assert model.predict(query) == [1]


def test_centres_are_not_scaled_again_and_a_diffuse_class_has_the_advantage():
    samples, labels = [[1, 1], [1, -1], [0, 1]], [0, 0, 1]
    query = [[0.64, 0.77]]  # cosines .64 and .77; |f - C|^2 = 1 - 2 * .64 * .707 + .5 = .59 and 2 - 2 * .77 = .46
    assert CategoryCenters().fit(samples, labels).centers_[0] == pytest.approx([0.5**0.5, 0])
    assert CategoryCenters().fit(samples, labels).predict(query) == [1]
    near = [[0.70, 0.714]]  # .51 and .57: the short centre wins although its cosine is the smaller
    assert CategoryCenters().fit(samples, labels).predict(near) == [0]
    assert CategoryCenters(normalize_centers=True).fit(samples, labels).predict(near) == [1]


def test_length_does_not_matter(blobs):
    features, labels = blobs
    scaled = features * np.random.default_rng(1).uniform(0.1, 10, (len(features), 1))
    one, other = (CategoryCenters().fit(x, labels) for x in (features, scaled))
    assert np.allclose(one.centers_, other.centers_)
    assert (one.predict(features) == other.predict(scaled)).all()


@pytest.mark.parametrize(
    ("factor", "kind", "tolerance"),
    [(1e200, float, 1e-14), (1e-200, float, 1e-14), (1e307, float, 1e-14), (1e30, "f4", 1e-6), (1e-30, "f4", 1e-6)],
)
def test_lengths_whose_square_is_no_number_do_not_matter(blobs, factor, kind, tolerance):
    features, labels = blobs
    plain, extreme = CategoryCenters().fit(features, labels), (features * factor).astype(kind)
    model = CategoryCenters().fit(extreme, labels)
    assert np.allclose(model.centers_, plain.centers_, atol=tolerance)
    assert (plain.predict(extreme) == plain.predict(features)).all()
    assert np.allclose(model.decision_function(extreme), plain.decision_function(features), atol=10 * tolerance)


def test_rows_beside_one_of_extreme_length_stay_bit_for_bit(blobs):
    features = np.concatenate([blobs[0], [[1e200] * 8, [0.0] * 8]])
    unit = _unit(features)
    assert np.array_equal(unit[:-2], normalize(blobs[0]))
    assert np.allclose(unit[-2], 8**-0.5) and not unit[-1].any()


def test_is_nearest_centroid_on_unit_vectors(blobs):
    features, labels = normalize(blobs[0]), blobs[1]
    theirs = NearestCentroid().fit(features, labels)
    ours = CategoryCenters().fit(features, labels)
    assert np.allclose(ours.centers_, theirs.centroids_)
    assert (ours.predict(features) == theirs.predict(features)).all()


def test_replication_moves_no_centre_of_a_wholly_replicated_class(blobs):
    features, labels = blobs
    rare = labels == 2
    twice = CategoryCenters().fit(np.concatenate([features, features[rare]]), np.concatenate([labels, labels[rare]]))
    assert np.allclose(twice.centers_, CategoryCenters().fit(features, labels).centers_)


@pytest.mark.parametrize("normalize_centers", [False, True])
def test_in_parts_or_at_once(blobs, normalize_centers):
    features, labels = blobs
    parts = CategoryCenters(normalize_centers)
    for start in range(0, 300, 70):
        parts.partial_fit(features[start : start + 70], labels[start : start + 70], classes=[3, 2, 1, 0])
    whole = CategoryCenters(normalize_centers).fit(features, labels)
    assert np.allclose(parts.centers_, whole.centers_)
    assert parts.class_count_.tolist() == whole.class_count_.tolist() == np.bincount(labels).tolist()
    parts.fit(features[:50], labels[:50])
    assert parts.class_count_.sum() == 50  # fit begins anew


def test_a_part_may_hold_each_of_many_classes_once(recwarn):
    """As a batch of CIFAR-100 nearly does; scikit-learn's check would take its labels for measurements."""
    labels = np.arange(100)
    model = CategoryCenters().partial_fit(np.eye(100), labels, classes=labels)
    assert np.array_equal(model.predict(np.eye(100)), labels) and not recwarn.list


def test_zero_norm_features_stay_zero_and_are_counted():
    model = CategoryCenters().fit([[0, 0], [4, 0], [0, 1]], [0, 0, 1])
    assert model.centers_.tolist() == [[0.5, 0], [0, 1]] and model.n_zero_norm_ == 1
    assert model.predict([[0, 0]]) == [0]  # nearest to the origin


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.partial_fit([[1.0, 2.0]], [0]), "classes is missing; expected all labels at the first call"),
        (lambda m: m.partial_fit([[1.0, 2.0]], [5], classes=[0, 1]), r"label 5 is not in classes \[0, 1\]"),
        (lambda m: m.partial_fit([[1.0, 2.0]], [0.5], classes=[0, 1]), r"label 0.5 is not in classes"),
        (lambda m: m.partial_fit([[1.0, 2.0]], [0], [0, 1]).predict([[1, 1]]), "class 1 has no sample"),
        (lambda m: m.partial_fit([[1, 2]], [0], [0, 1]).partial_fit([[1, 2]], [0], [0, 2]), "not those of"),
        (lambda m: m.fit([[np.nan, 1.0]], [0]), "Input X contains NaN"),
        (lambda m: m.set_params(normalize_centers="false").fit([[1, 2]], [0]), "The 'normalize_centers' parameter of"),
        (lambda m: m.set_params(normalize_centers=None).partial_fit([[1, 2]], [0], [0]), "'normalize_centers'"),
        (lambda m: m.fit([[1.0, 2.0], [2.0, 1.0]], [0, 1]).predict([[np.inf, 0.0]]), "infinity"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(CategoryCenters())


def test_samples_of_norm_zero_are_counted_over_all_that_were_added():
    model = CategoryCenters()
    for chunk in ([[0, 0], [0, 0], [1, 0]], [[0, 0], [0, 3], [0, 2]], [[2, 0]]):
        model.partial_fit(chunk, [0] * len(chunk), classes=[0])
    assert model.n_zero_norm_ == 3 and model.class_count_.tolist() == [7]
