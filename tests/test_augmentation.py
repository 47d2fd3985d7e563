"""Crops and mirror images: what is cut, and from whose stream."""

import numpy as np
import pytest
import torch

from common import networks, training
from common.augmentation import Augmentation, EdgeAugmentation, centred
from common.checkpoints import Checkpoint
from common.errors import UserError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (60, 20, 20, 1), dtype=np.uint8)
LABELS = np.arange(60) % 4
CROPPED = Augmentation(crop=16, mirror=True)


def build(generator):
    return networks.caffe_xavier_(networks.LeNet5(n_classes=4, size=16), generator)


def members(n=2):
    return [training.Member(np.arange(40), k, 10 + k, seed_augmentation=20 + k) for k in range(n)]


@pytest.fixture
def data():
    return training.Resident(IMAGES, LABELS)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_patch_is_the_part_of_the_padded_image(dtype):
    augmentation = Augmentation(crop=4, mirror=True, pad=1)
    images = torch.arange(2 * 3 * 5 * 6).reshape(2, 3, 5, 6).to(dtype)
    views = torch.tensor([[0, 3, 0], [2, 1, 1]])
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    patches = augmentation.cut(images, views)
    assert torch.equal(patches[0], padded[0, :, 0:4, 3:7])
    assert torch.equal(patches[1], padded[1, :, 2:6, 1:5].flip(-1))
    assert patches.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_edge_is_repeated_and_nothing_black_enters(dtype):
    images = torch.arange(1, 1 + 2 * 3 * 5 * 6).reshape(2, 3, 5, 6).to(dtype)
    edge, black = (kind(crop=5, mirror=True, pad=2) for kind in (EdgeAugmentation, Augmentation))
    views = torch.tensor([[0, 0, 0], [4, 5, 1]])
    padded = torch.nn.functional.pad(images.float(), (2, 2, 2, 2), mode="replicate").to(dtype)
    patches = edge.cut(images, views)
    assert torch.equal(patches[0], padded[0, :, 0:5, 0:5])
    assert torch.equal(patches[1], padded[1, :, 4:9, 5:10].flip(-1))
    assert patches.min() > 0 and (black.cut(images, views) == 0).any() and patches.dtype == dtype
    # In the middle both see the same, and both draw the same views.
    middle = torch.tensor([[2, 2, 0], [2, 3, 1]])
    assert torch.equal(edge.cut(images, middle), black.cut(images, middle))
    drawn = [kind.take(np.random.default_rng(0), 50, images.shape) for kind in (edge, black)]
    assert np.array_equal(*drawn)
    unpadded = EdgeAugmentation(crop=5, mirror=True), Augmentation(crop=5, mirror=True)
    assert torch.equal(*(kind.cut(images, torch.tensor([[0, 1, 1], [0, 0, 0]])) for kind in unpadded))


def test_checkpoints_tell_the_borders_apart_and_know_those_at_hand(tmp_path):
    """The digest of what has no edge to repeat is that from before there was a choice: of four fields."""
    assert list(Augmentation.__dataclass_fields__) == ["crop", "mirror", "pad", "flip"]
    black, edge = (Checkpoint(tmp_path, [kind(crop=16, pad=1)])._path for kind in (Augmentation, EdgeAugmentation))
    assert black != edge


def test_every_position_and_both_sides_are_as_likely():
    views = CROPPED.take(np.random.default_rng(0), 50_000, (1, 3, 20, 20))
    for column, choices in enumerate((5, 5, 2)):
        share = np.bincount(views[:, column], minlength=choices) / len(views)
        assert len(share) == choices and abs(share - 1 / choices).max() < 0.01
    assert abs(np.corrcoef(views.T) - np.eye(3)).max() < 0.02


def test_views_do_not_depend_on_how_they_are_read():
    shape = (1, 3, 20, 20)
    whole = CROPPED.take(np.random.default_rng(1), 30, shape)
    generator = np.random.default_rng(1)
    assert np.array_equal(np.concatenate([CROPPED.take(generator, n, shape) for n in (1, 9, 20)]), whole)


def test_without_a_choice_nothing_is_drawn_but_the_image():
    assert not Augmentation() and Augmentation(mirror=True)
    images = torch.rand(3, 1, 7, 5)
    assert Augmentation().cut(images, torch.empty(3, 0)) is images
    views = Augmentation(mirror=True).take(np.random.default_rng(0), 3, images.shape)
    assert views[:, :2].max() == 0
    expected = torch.where(torch.tensor(views[:, 2] == 1)[:, None, None, None], images.flip(-1), images)
    assert torch.equal(Augmentation(mirror=True).cut(images, torch.from_numpy(views)), expected)


def test_evaluation_looks_at_the_centre(data):
    network = build(torch.Generator().manual_seed(0))
    centre = training.Resident(np.ascontiguousarray(IMAGES[:, 2:18, 2:18]), LABELS)
    assert torch.equal(training.forward(network, data, crop=16), training.forward(network, centre))
    assert torch.equal(training.log_probabilities(network, data, crop=16), training.log_probabilities(network, centre))
    assert centred(data.inputs, 0) is data.inputs


def test_a_group_sees_what_its_members_see_alone(data):
    schedule = training.Schedule(batch_size=16).compressed(8)
    group = training.fit_many(build, data, members(), schedule, engine="stacked", augmentation=CROPPED)
    for k, member in enumerate(members()):
        (alone,) = training.fit_many(build, data, [member], schedule, engine="loop", augmentation=CROPPED)
        assert all(torch.allclose(alone.state[n], group[k].state[n], atol=2e-5) for n in alone.state)


def test_a_step_is_taken_on_the_patches(data):
    """One step without momentum or decay, by hand."""
    schedule = training.Schedule(iterations=1, batch_size=40, policy="constant", weight_decay=0.0)
    (member,) = members(1)
    (fitted,) = training.fit_many(build, data, [member], schedule, augmentation=CROPPED)
    positions = training.Order(member.plan, member.seed_order).take(40)
    patches = []
    for (top, left, mirrored), image in zip(
        CROPPED.take(np.random.default_rng(20), 40, (60, 1, 20, 20)), IMAGES[positions], strict=True
    ):
        patch = image[top : top + 16, left : left + 16, 0]
        patches.append(patch[:, ::-1] if mirrored else patch)
    network = build(torch.Generator().manual_seed(0))
    inputs = torch.tensor(np.stack(patches)[:, None] / 256, dtype=torch.float32)
    loss = torch.nn.functional.cross_entropy(network(inputs), torch.tensor(LABELS[positions]))
    (gradient,) = torch.autograd.grad(loss, [network.conv1.weight])
    assert torch.allclose(fitted.state["conv1.weight"], network.conv1.weight - 0.01 * gradient, atol=1e-6)


def test_what_cannot_be_cut_is_named(data):
    schedule = training.Schedule(iterations=1)
    with pytest.raises(UserError, match="crop 24: images have 20 x 20 pixels, padded by 1"):
        training.fit_many(build, data, members(1), schedule, augmentation=Augmentation(crop=24, pad=1))
    features = training.Resident(torch.rand(60, 5), LABELS)
    with pytest.raises(UserError, match=r"shape \(60, 5\): expected images"):
        training.fit_many(lambda g: networks.Head(5, 4), features, members(1), schedule, augmentation=CROPPED)
    with pytest.raises(UserError, match="crop -1, pad 0"):
        Augmentation(crop=-1)
    with pytest.raises(UserError, match="crop 21"):
        training.forward(build(torch.Generator()), data, crop=21)


def test_the_centre_of_a_mirrored_diagonal_is_the_mirrored_centre():
    """Where an odd number of pixels is left over, too, rows and columns are cut alike."""
    images = torch.rand(2, 1, 7, 7)
    assert torch.equal(centred(images.mT, 4), centred(images, 4).mT)
