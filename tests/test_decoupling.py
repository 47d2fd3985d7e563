"""Classifiers of decoupled training, against independent computations."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from common import decoupling
from common.errors import UserError


@pytest.fixture
def imbalanced():
    """Three overlapping classes of 300, 60 and 15 samples in four dimensions, and a balanced test set."""
    random = np.random.default_rng(0)
    means = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])

    def draw(counts):
        labels = np.repeat([0, 1, 2], counts)
        return means[labels] + random.normal(0, 0.6, (len(labels), 4)), labels

    return draw([300, 60, 15]), draw([200] * 3)


def recall(scores, labels):
    return np.array([(scores[labels == k].argmax(axis=1) == k).mean() for k in range(3)])


@pytest.mark.parametrize("balanced", [True, False])
def test_retrained_is_the_minimum_of_the_penalised_loss(imbalanced, balanced):
    (features, labels), _ = imbalanced
    weight, bias = decoupling.retrained(features, labels, 3, 0.01, balanced)
    w, b = (torch.tensor(value, requires_grad=True) for value in (weight, bias))
    counts = torch.tensor(np.bincount(labels))
    share = len(labels) / (3 * counts[labels]) if balanced else torch.ones(len(labels))
    losses = torch.nn.functional.cross_entropy(torch.tensor(features) @ w.T + b, torch.tensor(labels), reduction="none")
    ((share * losses).mean() + 0.01 / 2 * (w**2).sum()).backward()
    assert w.grad.abs().max() < 1e-4 and b.grad.abs().max() < 1e-4


def test_a_balanced_layer_recognises_the_rare_class_better(imbalanced):
    (features, labels), (test, truth) = imbalanced
    plain, balanced = (
        recall(test @ w.T + b, truth)
        for w, b in (decoupling.retrained(features, labels, 3, 0.01, kind) for kind in (False, True))
    )
    assert balanced[2] > plain[2] + 0.2 and balanced.mean() > plain.mean()


def test_tau_between_the_weights_and_their_directions():
    weight = np.array([[3.0, 4], [0, 2], [1, 0]])
    assert np.array_equal(decoupling.tau_normalized(weight, 0), weight)
    assert np.linalg.norm(decoupling.tau_normalized(weight, 1), axis=1) == pytest.approx([1, 1, 1])
    assert decoupling.tau_normalized(weight, 0.5)[1].tolist() == pytest.approx([0, 2**0.5])


def test_tau_is_that_of_highest_macro_recall():
    # The frequent class's weight is three times as long: only its length costs the sample (1, 2) of class 1 its label.
    weight, held_out, labels = np.array([[3.0, 0], [0, 1]]), np.array([[2.0, 1], [2, 1], [2, 1], [1, 2]]), [0, 0, 0, 1]
    tau, value = decoupling.best_tau(held_out, np.array(labels), weight, taus=(0.0, 0.2, 0.5, 1.0))
    assert (tau, value) == (0.5, 1.0)  # 3 > 2; 3 ** .8 = 2.41 > 2; 3 ** .5 = 1.73 < 2
    assert decoupling.best_tau(held_out, np.array(labels), weight, taus=(0.0,)) == (0.0, 0.5)


def test_learned_scale_is_a_minimum_and_raises_the_rare_class(imbalanced):
    (features, labels), (test, truth) = imbalanced
    weight, bias = decoupling.retrained(features, labels, 3, 0.01, balanced=False)
    scores = features @ weight.T + bias
    scale = decoupling.learned_scale(scores, labels)
    s = torch.tensor(scale, requires_grad=True)
    losses = torch.nn.functional.cross_entropy(torch.tensor(scores) * s, torch.tensor(labels), reduction="none")
    sum(losses[labels == k].mean() for k in range(3)).backward()
    assert s.grad.abs().max() < 1e-3
    before, after = (recall((test @ weight.T + bias) * factor, truth) for factor in (1, scale))
    assert after.mean() > before.mean()


def test_frames_are_features_too(imbalanced):
    (train, labels), _ = imbalanced
    weight, bias = decoupling.retrained(pd.DataFrame(train), pd.Series(labels), 3, 1e-3)
    expected = decoupling.retrained(train, labels, 3, 1e-3)
    assert np.array_equal(weight, expected[0]) and np.array_equal(bias, expected[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decoupling.retrained(np.array([[np.nan], [1], [2]]), np.arange(3), 3, 0.1), "NaN or infinity"),
        (lambda: decoupling.retrained(np.ones((3, 2)), np.array([0, 0, 1]), 3, 0.1), "at least one of each of 3"),
        (lambda: decoupling.retrained(np.ones((2, 2)), np.array([0, 1]), 2, 0.1), "needs at least 3"),
        (lambda: decoupling.retrained(np.eye(3), np.arange(3), 3, 0), "weight_decay 0: expected a positive number"),
        (lambda: decoupling.retrained(np.eye(3), np.arange(3), 3, -0.1), "weight_decay -0.1"),
        (lambda: decoupling.retrained(np.eye(3), np.arange(3), 3, float("nan")), "weight_decay nan"),
        (lambda: decoupling.tau_normalized(np.array([[1.0, 0], [0, 0]]), 1), "weight of class 1 is zero"),
        (lambda: decoupling.learned_scale(np.ones((2, 2)), np.array([0, 0])), "at least one of each of 2"),
        (
            lambda: decoupling.learned_scale(np.ones((3, 2)), np.array([0, 1])),
            r"labels of shape \(2,\); expected",
        ),
        (lambda: decoupling.retrained(sparse.eye(3), np.arange(3), 3, 0.1), "expected a dense array of numbers"),
        (
            lambda: decoupling.retrained(np.eye(3), np.array(list("abc")), 3, 0.1),
            "labels of type <U1",
        ),
        (
            lambda: decoupling.best_tau(np.eye(2), np.arange(2), np.ones((1, 2))),
            "a row for each of two classes",
        ),
        (lambda: decoupling.best_tau(np.eye(2), np.arange(2), np.eye(2), taus=()), "taus: none to choose from"),
        (lambda: decoupling.best_tau(np.eye(2), np.arange(2), np.full((2, 2), np.nan)), "weights, or tau .*: NaN"),
        (lambda: decoupling.best_tau(np.eye(2), np.arange(2), np.eye(2), taus=(np.nan,)), "tau nan: NaN"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()
