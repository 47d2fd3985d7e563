"""Class sizes, splits, contrast and freezing of paper 5 by hand."""

import numpy as np
import pytest
import torch

from common.augmentation import Augmentation, EdgeAugmentation
from common.data import Images
from common.errors import UserError
from common.studies import multiscale_transfer_protocol as protocol
from common.studies.multiscale_transfer import Cell


@pytest.mark.parametrize(
    ("available", "rho", "few", "total", "counts"),
    [
        ((252, 36), 50, 0, 0, (247, 5)),  # 252 / 51 = 4.9
        ((252, 36), 10, 0, 0, (229, 23)),  # 252 / 11 = 22.9
        ((252, 36), 5, 0, 0, (180, 36)),  # 42 wanted: all 36, and five times as many normal ones
        ((252, 36), 1, 0, 0, (36, 36)),
        ((476, 196), 100, 0, 0, (471, 5)),
        ((476, 196), 1, 0, 100, (50, 50)),
        ((476, 196), 0, 3, 0, (473, 3)),
    ],
)
def test_defect_counts(available, rho, few, total, counts):
    assert protocol.defect_counts(np.array(available), rho, few, total).tolist() == list(counts)


@pytest.mark.parametrize(
    ("few", "total", "message"),
    [
        (3, 600, "total 600: 597 normal images asked for, the training part has 476; lower total, or 0 for all"),
        (20, 20, "total 20: 0 normal images asked for, .*; ask for fewer defects, or a larger total"),
    ],
)
def test_totals_that_the_images_do_not_give(few, total, message):
    with pytest.raises(UserError, match=message):
        protocol.defect_counts(np.array([476, 196]), 0, few, total)


@pytest.mark.parametrize("rho", [1, 5, 10, 25, 50, 100])
def test_the_total_is_the_same_at_every_ratio_that_defects_suffice_for(rho):
    assert protocol.defect_counts(np.array([500, 250]), rho, 0, 0).sum() == 500


def images(labels, groups=None, size=4, seed=0):
    labels = np.asarray(labels)
    pixels = np.random.default_rng(seed).integers(3, 256, (len(labels), size, size, 1), dtype=np.uint8)
    names = tuple("abcdef"[: labels.max() + 1])
    return Images("x", "train", pixels, labels, names, "f", masks=None, groups=groups)


def test_a_pool_keeps_the_groups_of_both_parts_apart():
    both = protocol.pool((images([0, 0, 1], np.array([0, 0, 1])), images([0, 1], np.array([0, 1]))))
    assert both.groups.tolist() == [0, 0, 1, 2, 3] and both.labels.tolist() == [0, 0, 1, 0, 1]
    alone = protocol.pool((images([0, 1]), images([0, 1])))
    assert alone.groups.tolist() == [0, 1, 2, 3] and alone.masks is None


def test_a_split_keeps_groups_whole_and_classes_alike():
    labels = np.repeat([0, 0, 1, 2], 60)
    groups = np.arange(240) // 6
    pool = protocol.pool((images(labels, groups), images([0, 1, 2], np.arange(3))))
    train, test = protocol.divide(pool, 2, 5)
    assert sorted([*train, *test]) == list(range(243))
    assert not set(pool.groups[train]) & set(pool.groups[test])
    shares = [np.bincount(pool.labels[part]) / np.bincount(pool.labels) for part in (train, test)]
    assert np.abs(np.array(shares) - 0.5).max() <= 0.11  # a group is a tenth of the smaller classes
    assert not np.array_equal(train, protocol.divide(pool, 2, 6)[0])
    assert np.array_equal(train, protocol.divide(pool, 2, 5)[0])


def test_too_few_groups_for_a_split():
    pool = protocol.pool((images([0, 0, 0, 1], np.array([0, 1, 2, 3])), images([0, 1], np.array([0, 0]))))
    with pytest.raises(UserError, match="class 'b': 2 images or groups for 3 parts; lower folds"):
        protocol.divide(pool, 3, 0)


def test_defects_are_all_classes_but_the_first():
    pool = protocol.pool((images([0, 1, 2]), images([2, 0])))
    assert pool.targets(True).tolist() == [0, 1, 1, 1, 0] and pool.targets(False).tolist() == [0, 1, 2, 2, 0]


def test_contrast_takes_exposure_away_and_leaves_the_margin_out():
    one = np.random.default_rng(1).integers(60, 120, (1, 16, 16, 1)).astype(np.uint8)
    dark = (one // 2 + 10).astype(np.uint8)
    framed = np.zeros((1, 32, 32, 1), np.uint8)
    framed[:, 8:24, 8:24] = one
    normal = protocol.contrast(one)
    assert abs(normal.mean() - 128) < 1 and abs(normal.std() - protocol.SPREAD) < 1
    assert np.abs(protocol.contrast(dark).astype(int) - normal).max() <= 4  # halving rounds
    inside = protocol.contrast(framed)
    assert np.array_equal(inside[:, 8:24, 8:24], normal) and set(inside[0, :8].ravel()) == {128}
    assert set(protocol.contrast(np.zeros((1, 4, 4, 1), np.uint8)).ravel()) == {128}


def test_channels():
    colour = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]]], np.uint8)
    # 0.299, 0.587, 0.114 of 255; 2.99 + 11.74 + 3.42.
    assert protocol.as_channels(colour, 1)[0, 0, :, 0].tolist() == [76, 150, 29, 18]
    grey = colour[..., :1]
    assert protocol.as_channels(grey, 3).shape == (1, 1, 4, 3) and protocol.as_channels(grey, 1) is grey


def test_trainable_names():
    build = protocol.builder(Cell("x", 0, width=8, stem=2), 2, 1)
    assert protocol.trainable(build, "") == ("",)
    free = protocol.trainable(build, "trunk branches.branches.kernel1")
    assert free[0].startswith("branches.branches.kernel3") and free[-2:] == ("head.weight", "head.bias")


@pytest.mark.parametrize(
    ("name", "kernels"), [("multiscale", (1, 3, 5, 7)), ("plain", (3,)), ("multiscale-1-7", (1, 7))]
)
def test_kernels(name, kernels):
    assert protocol.kernels_of(name) == kernels
    network = protocol.builder(Cell("x", 0, network=name, width=8, stem=2), 2, 1)(torch.Generator())
    assert [int(branch.removeprefix("kernel")) for branch in network.branches.branches] == list(kernels)


def test_the_trunk_shrinks_sixteenfold():
    """`TRUNK_LAYERS` and `MAPS` describe what `ImageNetTrunk` does."""
    from common import mobilenet_weights
    from common.multiscale import receptive_field

    trunk = protocol.ImageNetTrunk(mobilenet_weights.load("random")).eval()
    with torch.no_grad():
        maps = trunk(torch.rand(1, 1, 64, 64))
    assert maps.shape == (1, protocol.MAPS, 64 // receptive_field(protocol.TRUNK_LAYERS)[1], 4)


def test_arms_differ_from_each_other():
    assert len(set(protocol.ARMS.values())) == len(protocol.ARMS)


@pytest.mark.parametrize(("mirror", "flip"), [(False, True), (True, True), (True, False)])
def test_turns_of_augmentation(mirror, flip):
    """`flip` turns images upside down, alone and with `mirror`, each with probability one half."""
    augmentation = Augmentation(mirror=mirror, flip=flip)
    shape = (400, 1, 3, 2)
    views = augmentation.take(np.random.default_rng(0), 400, shape)
    one = torch.arange(6).view(1, 1, 3, 2)
    found = augmentation.cut(one.expand(shape), torch.from_numpy(views))
    expected = {
        0: one[0], 1: one[0].flip(2), 2: one[0].flip(1), 3: one[0].flip(1, 2),
    }  # fmt: skip
    turns = {turn for turn in expected if (mirror or not turn % 2) and (flip or turn < 2)}
    assert set(views[:, 2]) == turns
    assert all(torch.equal(image, expected[int(turn)]) for image, turn in zip(found, views[:, 2], strict=True))
    assert np.bincount(views[:, 2], minlength=4)[sorted(turns)].min() > 400 / len(turns) * 0.75


def test_training_sees_mirrored_upside_down_and_shifted_images():
    black, edge = (protocol.augmentation(True, 64, border) for border in ("black", "edge"))
    assert black == Augmentation(crop=64, mirror=True, flip=True, pad=2)
    assert edge == EdgeAugmentation(crop=64, mirror=True, flip=True, pad=2)
    assert not protocol.augmentation(False, 64, "edge")
