"""Koziarski et al.'s measures on a worked example, and against scikit-learn and imbalanced-learn."""

import numpy as np
import pytest
from imblearn.metrics import geometric_mean_score, sensitivity_score
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_score, recall_score

from common import metrics
from common.errors import UserError

# Class sizes 10, 5, 4; recalls .8, .6, .5; predicted 10, 6, 3 times, so precisions .8, .5, 2/3.
MATRIX = np.array([[8, 2, 0], [1, 3, 1], [1, 1, 2]])


def test_by_hand():
    assert metrics.recalls(MATRIX) == pytest.approx([0.8, 0.6, 0.5])
    assert metrics.average_accuracy(MATRIX) == pytest.approx((0.8 + 0.6 + 0.5) / 3)
    assert metrics.class_balance_accuracy(MATRIX) == pytest.approx((0.8 + 0.5 + 0.5) / 3)
    assert metrics.geometric_mean_recall(MATRIX) == pytest.approx((0.8 * 0.6 * 0.5) ** (1 / 3))


def test_a_class_that_is_never_predicted():
    matrix = np.array([[4, 0], [3, 0]])
    assert metrics.average_accuracy(matrix) == 0.5
    assert metrics.class_balance_accuracy(matrix) == pytest.approx(4 / 7 / 2)
    assert metrics.geometric_mean_recall(matrix) == 0


@pytest.mark.parametrize("n_classes", [2, 10])
def test_against_the_libraries(n_classes):
    random = np.random.default_rng(n_classes)
    labels = np.concatenate([np.arange(n_classes), random.integers(0, n_classes, 300)])
    predicted = np.where(random.random(len(labels)) < 0.6, labels, random.integers(0, n_classes, len(labels)))
    matrix = metrics.confusion(labels, predicted, n_classes)
    assert (matrix == confusion_matrix(labels, predicted)).all()
    assert metrics.average_accuracy(matrix) == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert metrics.average_accuracy(matrix) == pytest.approx(sensitivity_score(labels, predicted, average="macro"))
    assert metrics.geometric_mean_recall(matrix) == pytest.approx(
        geometric_mean_score(labels, predicted, average="multiclass")
    )
    smaller = np.minimum(*(f(labels, predicted, average=None) for f in (precision_score, recall_score)))
    assert metrics.class_balance_accuracy(matrix) == pytest.approx(smaller.mean())


def test_several_matrices_at_once():
    both = np.stack([MATRIX, MATRIX.T])
    for metric in (metrics.average_accuracy, metrics.class_balance_accuracy, metrics.geometric_mean_recall):
        assert metric(both) == pytest.approx([metric(MATRIX), metric(MATRIX.T)])
    # It swaps precision and recall, of which the smaller is taken over the larger of the two sums.
    assert metrics.class_balance_accuracy(MATRIX) == metrics.class_balance_accuracy(MATRIX.T)


def test_a_class_without_a_sample_is_named():
    with pytest.raises(UserError, match="1 classes without a sample"):
        metrics.average_accuracy([[3, 1], [0, 0]])
