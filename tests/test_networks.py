"""Architectures: parameter counts and shapes as printed."""

import math

import pytest
import torch

from common import networks


def test_lenet5_is_table_2_of_the_systematic_study():
    network = networks.LeNet5()
    assert networks.n_parameters(network) == 431_080
    shapes = []
    for layer in (network.conv1, network.conv2, network.fc1, network.head):
        layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert shapes == [(20, 24, 24), (50, 8, 8), (500,), (10,)]


def test_caffes_xavier_depends_on_the_fan_in_alone():
    network = networks.caffe_xavier_(networks.LeNet5(), torch.Generator().manual_seed(0))
    for layer, fan_in in ((network.conv1, 25), (network.conv2, 500), (network.fc1, 800), (network.head, 500)):
        bound = math.sqrt(3 / fan_in)
        assert 0.97 * bound < layer.weight.abs().max().item() <= bound
        assert abs(layer.weight.mean().item()) < 0.1 * bound
        assert layer.bias.abs().max().item() == 0


def test_one_seed_gives_one_network():
    a, b, c = (networks.caffe_xavier_(networks.LeNet5(), torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(a.fc1.weight, b.fc1.weight)
    assert not torch.equal(a.fc1.weight, c.fc1.weight)


def test_head_of_features_is_the_network():
    network = networks.LeNet5(n_classes=4, channels=3, size=32)
    images = torch.rand(3, 3, 32, 32)
    assert torch.equal(network.head(network.features(images)), network(images))


def test_too_small_images_are_refused():
    with pytest.raises(ValueError, match="size 12: LeNet-5 needs"):
        networks.LeNet5(size=12)
