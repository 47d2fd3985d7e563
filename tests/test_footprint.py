"""How many networks are trained in one go."""

import numpy as np
import pytest
import torch
from torch import nn

from common import footprint, networks, training
from common.augmentation import Augmentation
from common.errors import UserError

FEATURES = training.Resident(np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2)
IMAGES = training.Resident(
    np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8), np.arange(40) % 2
)


def settings(optimiser="sgd", crop=0):
    schedule = training.Schedule(batch_size=8, optimiser=optimiser, bias_rate=1.0).compressed(3)
    return training.Settings(schedule, "fp32", ("",), Augmentation(crop), None, frozenset(), None)


def linear(generator):
    return networks.kaiming_(nn.Sequential(nn.Linear(3, 4)), generator)


@pytest.mark.parametrize(("optimiser", "copies"), [("sgd", 4), ("rmsprop", 4), ("adam", 5)])
def test_bytes_of_one_layer_worked_out_by_hand(optimiser, copies):
    # 4 x 3 weights and 4 biases; backward needs a batch of 8 x 3 inputs, counted twice.
    expected = 4 * (16 * copies + 2 * 8 * 3)
    assert footprint.bytes_of(linear(torch.Generator()), FEATURES, settings(optimiser)) == expected


def test_a_layer_in_between_adds_what_it_hands_on():
    deep = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    # Rectifier and second layer share the 8 x 4 values between them.
    assert footprint.bytes_of(deep, FEATURES, settings()) == 4 * (20 * 4 + 2 * 8 * (3 + 4))


def test_counting_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(400, 2)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    footprint.bytes_of(network, IMAGES, settings())
    assert not network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_smaller_patches_take_less():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    sizes = [footprint.bytes_of(network, IMAGES, settings(crop=crop)) for crop in (0, 8)]
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize(("room", "size"), [(2.5, 2), (3.0, 3), (0.1, 1)])
def test_as_many_as_fit_but_at_least_one(monkeypatch, room, size):
    one = footprint.bytes_of(linear(torch.Generator()), FEATURES, settings())
    # 0.01 of a byte more, for the share is no exact fraction in binary.
    monkeypatch.setattr(footprint, "free_bytes", lambda device: room * one / footprint.SHARE + 0.01)
    assert footprint.group_size(linear(torch.Generator()), FEATURES, settings()) == size


def test_groups_by_memory_give_what_one_group_gives(monkeypatch):
    sizes, members = [], [training.Member(np.arange(40), k, k, 0.01) for k in range(5)]
    whole = training.fit_many(linear, FEATURES, members, settings().schedule, engine="stacked", group=5)
    from common import stacking

    fit = stacking.fit_stacked
    monkeypatch.setattr(stacking, "fit_stacked", lambda *args: sizes.append(len(args[2])) or fit(*args))
    monkeypatch.setenv(footprint.SETTING, "2")
    parts = training.fit_many(linear, FEATURES, members, settings().schedule, engine="stacked")
    assert sizes == [2, 2, 1]
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.state, other.state)


def test_nothing_asked_for(monkeypatch):
    monkeypatch.delenv(footprint.SETTING, raising=False)
    assert footprint.asked() == 0


@pytest.mark.parametrize("value", ["0", "-3", "many", "1.5"])
def test_a_setting_that_is_no_number_of_networks(monkeypatch, value):
    monkeypatch.setenv(footprint.SETTING, value)
    with pytest.raises(UserError, match=f"IMBALANCE_GROUP='{value}': expected how many networks"):
        footprint.group_size(linear(torch.Generator()), FEATURES, settings())
