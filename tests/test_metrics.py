"""Metrics and thresholding against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

from common import metrics, posthoc
from common.errors import UserError


@pytest.mark.parametrize("decimals", [1, 2, 12])  # few decimals: many ties
@pytest.mark.parametrize("n_classes", [2, 10])
def test_vectorised_metrics_equal_scikit_learn(decimals, n_classes):
    random = np.random.default_rng(decimals)
    labels = random.permutation(np.repeat(np.arange(n_classes), 40))
    scores = random.random((3, len(labels), n_classes)).round(decimals)
    scores[:, np.arange(len(labels)), labels] += 0.2
    area = metrics.roc_auc(torch.tensor(scores), torch.tensor(labels))
    recall = metrics.recall_per_class(torch.tensor(scores), torch.tensor(labels))
    accuracy = metrics.accuracy(torch.tensor(scores), torch.tensor(labels))
    assert area.shape == recall.shape == (3, n_classes)
    for k in range(3):
        predicted = scores[k].argmax(1)
        for c in range(n_classes):
            assert abs(area[k, c].item() - roc_auc_score(labels == c, scores[k, :, c])) < 1e-6
        assert np.allclose(recall[k], recall_score(labels, predicted, average=None), atol=1e-6)
        assert abs(accuracy[k].item() - accuracy_score(labels, predicted)) < 1e-6


def test_auc_by_hand():
    # Class 1: positives .8, .4; negatives .4, .1. Pairs won: (.8, .4), (.8, .1), (.4, .1), half of (.4, .4): 3.5 of 4.
    scores = torch.tensor([[0.2, 0.8], [0.6, 0.4], [0.6, 0.4], [0.9, 0.1]])
    assert metrics.roc_auc(scores, torch.tensor([1, 1, 0, 0]))[1].item() == 3.5 / 4


def test_auc_of_an_absent_class_or_a_diverged_network_is_nan():
    scores = torch.rand(2, 6, 3)
    scores[1] = torch.nan
    area = metrics.roc_auc(scores, torch.tensor([0, 1, 0, 1, 0, 1]))
    assert area[0].isnan().tolist() == [False, False, True]
    assert area[1].isnan().all()


def test_thresholding_divides_by_the_prior():
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1]], dtype=torch.float64)
    adjusted = posthoc.threshold(probabilities.log(), [70, 20, 10])
    # .7/.7 = .2/.2 = .1/.1 on the first row; .5/.7, .4/.2, .1/.1 on the second.
    assert torch.allclose(adjusted.exp()[0], torch.ones(3, dtype=torch.float64))
    assert adjusted[1].argmax().item() == 1
    assert torch.allclose(adjusted.exp()[1], torch.tensor([5 / 7, 2.0, 1.0], dtype=torch.float64))


def test_thresholding_keeps_the_auc_and_a_uniform_prior_changes_nothing():
    random = torch.Generator().manual_seed(0)
    scores = torch.log_softmax(torch.randn(200, 5, generator=random, dtype=torch.float64), -1)
    labels = torch.arange(200) % 5
    before = metrics.roc_auc(scores, labels)
    assert torch.equal(metrics.roc_auc(posthoc.threshold(scores, [1000, 1, 5, 70, 3]), labels), before)
    assert torch.equal(posthoc.threshold(scores, [3] * 5).argmax(-1), scores.argmax(-1))


def test_a_diverged_network_has_no_accuracy_either():
    scores = torch.eye(3)[[0, 1, 2, 2]].repeat(2, 1, 1)
    scores[1, 3, 0] = torch.nan
    labels = torch.tensor([0, 1, 2, 1])
    assert metrics.accuracy(scores, labels).tolist() == pytest.approx([0.75, np.nan], nan_ok=True)
    recall = metrics.recall_per_class(scores, labels)
    assert recall[0].tolist() == [1, 0.5, 1] and recall[1].isnan().all()


@pytest.mark.parametrize("measure", [metrics.accuracy, metrics.recall_per_class, metrics.roc_auc])
def test_each_row_of_scores_needs_a_label(measure):
    for scores, labels in ((torch.eye(3), torch.tensor([0])), (torch.eye(3)[0], torch.tensor([0, 1, 2]))):
        with pytest.raises(UserError, match=r"labels of shape \(\d,\) for scores of shape .*; expected n labels"):
            measure(scores, labels)


def test_each_label_needs_a_prediction():
    with pytest.raises(UserError, match="4 labels and 1 predictions; expected as many of both"):
        metrics.confusion([0, 1, 2, 1], [0], 3)


def test_a_confusion_matrix_is_square():
    with pytest.raises(UserError, match=r"of shape \(2, 3\); expected as many rows as columns"):
        metrics.recalls(np.ones((2, 3)))


def test_the_geometric_mean_of_many_small_recalls_is_no_zero():
    n_classes = 200
    matrix = 2 * np.eye(n_classes, dtype=int) + 98 * np.roll(np.eye(n_classes, dtype=int), 1, axis=1)
    assert metrics.geometric_mean_recall(matrix) == pytest.approx(0.02)


def test_confusion_by_hand():
    assert metrics.confusion([0, 0, 1, 2], [0, 1, 1, 0], 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert metrics.confusion(np.array([1.0]), torch.tensor([0]), 2).tolist() == [[0, 0], [1, 0]]
    assert metrics.confusion([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([1, -1], [0, 0], "labels: -1; expected integers from 0 to 2"),
        ([0, 1], [0, 3], "predicted: 3; expected integers from 0 to 2"),
        ([0, 1], [0, -1], "predicted: -1"),
        ([0, 0.5], [0, 1], "labels: 0.5"),
        ([0, np.nan], [0, 1], "labels: nan"),
        (["a", "b"], [0, 1], "labels of type <U1: expected integers from 0 to 2"),
    ],
)
def test_labels_that_are_no_class_are_named(labels, predicted, message):
    with pytest.raises(UserError, match=message):
        metrics.confusion(labels, predicted, 3)


@pytest.mark.parametrize(
    ("scores", "prior", "message"),
    [
        (torch.zeros(1, 2), [1, 0], "expected a positive number"),
        (torch.zeros(1, 2), [1, float("inf")], "expected a positive number"),
        (torch.zeros(1, 2), [1, float("nan")], "expected a positive number"),
        (torch.zeros(1, 3), [1], r"prior of shape \(1,\) for scores of shape \(1, 3\)"),
        (torch.zeros(2, 2), [[1], [2]], r"prior of shape \(2, 1\)"),
        (np.zeros((1, 2)), [1, 2], "log_probabilities of type float64: expected a tensor"),
        (torch.zeros(1, 2, dtype=torch.long), [1, 2], "log_probabilities of type torch.int64"),
    ],
)
def test_priors_that_are_none_are_refused(scores, prior, message):
    with pytest.raises(UserError, match=message):
        posthoc.threshold(scores, prior)


def test_large_classes_fit_into_half_precision():
    scores = torch.tensor([[0.5, 0.2, 0.3], [0.6, 0.3, 0.1]]).log()
    counts = [50_000, 5_000, 20_000]
    halved = posthoc.threshold(scores.half(), counts)
    assert halved.dtype == torch.half
    assert torch.allclose(halved.float(), posthoc.threshold(scores, counts), atol=2e-3)


@pytest.mark.parametrize("measure", [metrics.accuracy, metrics.recall_per_class, metrics.roc_auc])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([1, 7]), "labels: 7; expected integers from 0 to 2"),
        (torch.tensor([1.5, 2.0]), "labels: 1.5; expected integers"),
        (np.array([1, 2]), "labels of type ndarray: expected a tensor"),
    ],
)
def test_labels_that_are_no_class_have_no_score(measure, labels, message):
    with pytest.raises(UserError, match=message):
        measure(torch.eye(3)[:2], labels)
