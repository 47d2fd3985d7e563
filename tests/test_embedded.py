"""Embedded sets are the same everywhere, and the textures' grey values alone tell nothing."""

import numpy as np
import pytest

from common import data


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """`data.load` with one cache for the module: each set is drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMBALANCE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield data.load


@pytest.mark.parametrize(
    ("name", "split", "shape", "counts", "fingerprint"),
    [
        ("digits", "train", (1347, 28, 28, 1), None, "210368a03a0b"),
        ("digits", "test", (450, 28, 28, 1), None, "c5c6b6d072a6"),
        ("shapes", "train", (6000, 32, 32, 3), [600] * 10, "fe8ee4db78b9"),
        ("shapes", "test", (1000, 32, 32, 3), [100] * 10, "7871d6be21d1"),
        ("textures", "train", (2000, 64, 64, 1), [1000] * 2, "58c32f019600"),
        ("textures", "test", (1000, 64, 64, 1), [500] * 2, "d28e0e8e8507"),
    ],
)
def test_same_images_everywhere(load, name, split, shape, counts, fingerprint):
    found = load(name, split)
    assert found.images.shape == shape and found.stand_in
    assert counts is None or found.counts.tolist() == counts
    assert found.fingerprint.startswith(fingerprint)


def test_no_image_in_both_splits(load):
    for name in ("digits", "shapes", "textures"):
        train, test = ({image.tobytes() for image in load(name, split).images} for split in ("train", "test"))
        assert not train & test


def test_class_names(load):
    assert load("digits").classes == tuple("0123456789")
    assert load("textures").classes == ("ok", "defect")
    assert len(load("shapes").classes) == 10


def statistics(found):
    values = found.images.reshape(len(found), -1).astype(float)
    percentiles = np.percentile(values, [1, 5, 25, 50, 75, 95, 99], axis=1)
    return np.column_stack([values.mean(1), values.std(1), values.min(1), values.max(1), *percentiles])


def test_global_statistics_do_not_tell_defects(load):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = load("textures"), load("textures", "test")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(statistics(train), train.labels)
    assert balanced_accuracy_score(test.labels, model.predict(statistics(test))) < 0.6


def test_defects_stand_out_where_the_mask_says(load):
    found = load("textures", "test")
    sizes = found.masks.sum(axis=(1, 2))
    assert (sizes[found.labels == 0] == 0).all() and (sizes[found.labels == 1] >= 10).all()
    deviation = np.abs(found.images[..., 0].astype(float) - np.median(found.images))
    assert deviation[found.masks].mean() > 1.8 * deviation[~found.masks].mean()
