"""Points on segments and accuracy of pairs, worked out by hand."""

import numpy as np
import pytest

from common.boundary import asymmetric_target, between, bisect, pair_accuracy, pair_probability


def test_the_probability_of_a_pair_leaves_other_classes_out():
    probabilities = np.array([[0.2, 0.6, 0.2], [0.1, 0.0, 0.9], [0.0, 1.0, 0.0]])
    assert np.allclose(pair_probability(probabilities, 0, 2), [0.5, 0.1, 0.5])
    assert np.allclose(pair_probability(probabilities, 0, 1), [0.25, 1.0, 0.0])


def test_pair_accuracy_is_the_mean_recall_of_two_classes():
    # Class 2 is another pair's; of three majors (1) one is taken for a minor one, of two minors (0) one for a major.
    probabilities = np.array([[0.1, 0.2], [0.3, 0.6], [0.6, 0.2], [0.9, 0.1], [0.4, 0.5], [0.0, 0.0]])
    probabilities = np.column_stack([probabilities, 1 - probabilities.sum(axis=1)])
    labels = np.array([1, 1, 1, 0, 0, 2])
    assert pair_accuracy(probabilities, labels, 0, 1) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_bisection_finds_where_a_logistic_curve_has_its_target():
    def probability(points):
        return 1 / (1 + np.exp(points[:, 0] - 3 * points[:, 1]))

    starts, ends = np.array([[-4.0, 0.0], [-8.0, 1.0]]), np.array([[4.0, 0.0], [8.0, 1.0]])
    targets = np.array([0.5, 0.2])
    share = bisect(probability, starts, ends, targets)
    # logit(P) = -x + 3 y: x = 0 on the first segment; x = 3 + ln 4 on the second.
    assert np.allclose(between(starts, ends, share)[:, 0], [0, 3 + np.log(4)], atol=1e-5)
    assert bisect(probability, starts[:0], ends[:0], 0.5).shape == (0,)


def test_equation_1():
    # 0.5 - 0.4 * 0.5 * (max(1, r) - 1) for ratios 1/2, 1, 2 and 3.25.
    found = asymmetric_target(np.array([1.0, 1, 2, 3.25]), np.array([2.0, 1, 1, 1]), gamma=-0.4, p_max=0.5)
    assert np.allclose(found, [0.5, 0.5, 0.3, 0.05])
    assert asymmetric_target(1.0, 0.0, gamma=-0.4, p_max=0.5) < -1e100, "clipped by who asks"
