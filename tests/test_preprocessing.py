"""Contrast normalisation and whitening, against a plain computation in float64."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from common import preprocessing, training
from common.errors import UserError
from common.preprocessing import GCNZCA

RANDOM = np.random.default_rng(0)
# Smooth images, so that neighbouring pixels are correlated, as in photographs.
IMAGES = RANDOM.integers(0, 256, (300, 1, 1, 3)) + RANDOM.normal(0, 40, (300, 6, 5, 3)).cumsum(1).cumsum(2)
IMAGES = np.clip(IMAGES, 0, 255).astype(np.uint8)


def naive(train, images, scale=55.0, bias=0.1):
    """What pylearn2 does, from the definitions."""

    def normalise(x):
        x = x.reshape(len(x), -1).astype(np.float64)
        x = x - x.mean(1)[:, None]
        return x / (np.linalg.norm(x, axis=1) / scale)[:, None]

    x = normalise(train)
    covariance = (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)
    u, s, _ = np.linalg.svd(covariance)
    whitened = (normalise(images) - x.mean(0)) @ u @ np.diag((s + bias) ** -0.5) @ u.T
    return whitened.reshape(images.shape).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("chunk", [7, 1000])
def test_against_a_naive_computation(monkeypatch, chunk):
    monkeypatch.setattr(preprocessing, "CHUNK", chunk)
    transformer = GCNZCA().fit(IMAGES[:200])
    for images in (IMAGES[:200], IMAGES[200:]):
        ours = transformer.transform(images)
        assert ours.dtype == np.float32 and ours.shape == (len(images), 3, 6, 5)
        assert np.allclose(ours, naive(IMAGES[:200], images), atol=1e-4)


def test_every_image_has_mean_zero_and_the_same_norm():
    rows = preprocessing.contrast_normalised(IMAGES.reshape(300, -1))
    assert np.allclose(rows.mean(1), 0) and np.allclose(np.linalg.norm(rows, axis=1), 55)
    assert not preprocessing.contrast_normalised(np.full((1, 12), 200, np.uint8)).any()


def test_whitening_leaves_no_correlation():
    """The covariance's eigenvalues become v / (v + bias): 1 where v is large, and exactly 1 without a bias."""
    white = GCNZCA(filter_bias=1e-6).fit_transform(IMAGES).reshape(300, -1).astype(np.float64)
    values = np.linalg.eigvalsh(np.cov(white.T, bias=True))
    # One direction is lost: contrast normalisation makes every image's sum zero.
    assert np.allclose(values[1:], 1, atol=1e-3) and values[0] < 1e-3
    rows = preprocessing.contrast_normalised(IMAGES.reshape(300, -1))
    before = np.linalg.eigvalsh(np.cov(rows.T, bias=True))
    biased = GCNZCA(filter_bias=0.1).fit_transform(IMAGES).transpose(0, 2, 3, 1).reshape(300, -1)
    assert np.allclose(np.linalg.eigvalsh(np.cov(biased.T, bias=True)), np.sort(before / (before + 0.1)), atol=1e-4)


def test_the_result_is_ready_for_training():
    white = GCNZCA().fit_transform(IMAGES)
    data = training.Resident(white, np.zeros(300))
    batch = data.gather(torch.tensor([3, 1]))
    assert torch.equal(batch, torch.from_numpy(white[[3, 1]]))
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_is_a_scikit_learn_transformer():
    transformer = clone(GCNZCA(scale=20).set_params(filter_bias=0.5))
    assert transformer.get_params() == {"scale": 20, "filter_bias": 0.5}
    labels = np.arange(300) % 2
    flat = FunctionTransformer(lambda images: images.reshape(len(images), -1))
    model = make_pipeline(transformer, flat, LogisticRegression()).fit(IMAGES, labels)
    white = GCNZCA(20, 0.5).fit(IMAGES).transform(IMAGES)
    assert np.array_equal(model[:1].transform(IMAGES), white)
    assert np.array_equal(
        model.predict(IMAGES), LogisticRegression().fit(flat.transform(white), labels).predict(flat.transform(white))
    )


def test_bad_input_is_named():
    with pytest.raises(UserError, match="transform before fit"):
        GCNZCA().transform(IMAGES)
    with pytest.raises(UserError, match=r"images of shape \(300, 30\)"):
        GCNZCA().fit(IMAGES[..., 0].reshape(300, 30))
    with pytest.raises(UserError, match=r"images of shape \(5, 6, 3\): fitted on \(6, 5, 3\)"):
        GCNZCA().fit(IMAGES).transform(IMAGES.transpose(0, 2, 1, 3))
    with pytest.raises(UserError, match="filter_bias 0"):
        GCNZCA(filter_bias=0).fit(IMAGES)
    with pytest.raises(UserError, match="scale nan"):
        GCNZCA().set_params(scale=float("nan")).fit(IMAGES)


def test_another_scale_and_bias_against_a_naive_computation():
    ours = GCNZCA(scale=2.0, filter_bias=0.5).fit_transform(IMAGES)
    assert np.allclose(ours, naive(IMAGES, IMAGES, scale=2.0, bias=0.5), atol=1e-4)
