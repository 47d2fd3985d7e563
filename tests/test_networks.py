"""Architectures: parameter counts and shapes as printed."""

import math

import pytest
import torch
from torchvision.models.resnet import BasicBlock

from common import networks
from common.dropout import Dropout
from common.dropout import layers as dropout_layers


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


def shapes_of(network, kind, images):
    """Shapes (without the batch) of the outputs of all layers of a kind, in order."""
    seen = []
    layers = [layer for layer in network.modules() if isinstance(layer, kind)]
    hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:]))) for layer in layers]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return seen


ALL_CNN_MAPS = [(96, 32, 32)] * 2 + [(96, 16, 16)] + [(192, 16, 16)] * 2 + [(192, 8, 8)] + [(192, 6, 6)] * 2
ALL_CNN_DROPOUTS = [(3, 32, 32), (96, 16, 16), (192, 8, 8)]


def test_all_cnn_is_table_3_of_the_systematic_study():
    network, images = networks.AllCNN(), torch.zeros(1, 3, 32, 32)
    assert networks.n_parameters(network) == 1_369_738
    assert shapes_of(network, torch.nn.Conv2d, images) == [*ALL_CNN_MAPS, (10, 6, 6)]
    assert shapes_of(network, Dropout, images) == ALL_CNN_DROPOUTS
    assert [layer.rate for layer in dropout_layers(network).values()] == [0.2, 0.5, 0.5]
    assert network.features(images).shape == (1, 192, 6, 6)
    # What two-phase training updates: the two convolutions with kernels of size 1.
    kernels = {name: p.shape[-1] for name, p in network.named_parameters() if name.endswith("weight")}
    assert {name for name, size in kernels.items() if size == 1} == {n for n in kernels if n.startswith("head.")}
    assert networks.n_parameters(network.head) == 192 * 193 + 193 * 10


def test_the_last_relu_of_all_cnn_can_be_left_out():
    images = torch.rand(4, 3, 32, 32)
    rectified, plain = (
        networks.caffe_xavier_(networks.AllCNN(rectified=r, width=8), torch.Generator().manual_seed(0)).eval()
        for r in (True, False)
    )
    maps = plain.head.maps(torch.relu(plain.head.hidden(plain.features(images))))
    assert maps.min() < 0
    assert torch.allclose(plain(images), maps.mean((2, 3)), atol=1e-6)
    assert torch.allclose(rectified(images), maps.relu().mean((2, 3)), atol=1e-6)


def test_all_cnn_with_batch_normalisation_is_table_iv_of_category_centers():
    network, images = networks.AllCNNBatchNorm(), torch.zeros(2, 3, 32, 32)
    assert networks.n_parameters(network) == 1_372_254
    expected = [*ALL_CNN_MAPS, (10, 6, 6)]
    assert shapes_of(network, torch.nn.Conv2d, images) == shapes_of(network, torch.nn.BatchNorm2d, images) == expected
    assert shapes_of(network, Dropout, images) == ALL_CNN_DROPOUTS
    assert [layer.rate for layer in dropout_layers(network).values()] == [0.1, 0.5, 0.5]
    kinds = [type(layer).__name__ for layer in network.body]
    assert kinds[1:4] == ["Conv2d", "ReLU", "BatchNorm2d"]
    images = torch.rand(2, 3, 32, 32)
    network.eval()
    assert network.features(images).shape == (2, 360)
    maps = network.norm(torch.relu(network.maps(network.body(images))))
    assert torch.equal(network(images), torch.nn.functional.max_pool2d(maps, 6).flatten(1))


@pytest.mark.parametrize("size", [64, 224])
def test_resnet10(size):
    network = networks.ResNet10()
    assert networks.n_parameters(network) == 5_418_792
    images = torch.zeros(1, 3, size, size)
    # Nine convolutions (section 3.3.3) and the three 1 x 1 that widen the shortcuts.
    assert len(shapes_of(network, torch.nn.Conv2d, images)) == 9 + 3
    stages = shapes_of(network, BasicBlock, images)
    assert stages == [(64 * 2**k, size // 2 ** (k + 2), size // 2 ** (k + 2)) for k in range(4)]
    assert network.eval().features(images).shape == (1, 512)
    assert network(images).shape == (1, 1000)


def test_kaiming_depends_on_the_fan_in_alone():
    a, b = (networks.kaiming_(networks.ResNet10(10), torch.Generator().manual_seed(0)) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    for layer in a.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            expected = math.sqrt(2 / layer.weight[0].numel())
            assert abs(layer.weight.std().item() / expected - 1) < 0.03
    assert a.head.bias.abs().max() == 0


@pytest.mark.parametrize(
    "network",
    [networks.AllCNN(width=8), networks.AllCNNBatchNorm(width=8), networks.ResNet10(10)],
    ids=lambda n: type(n).__name__,
)
def test_the_last_layer_stays_in_fp32_under_autocast(network):
    images = torch.rand(3, 3, 32, 32)
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
        hidden = network.body(images)
    assert hidden.dtype == torch.bfloat16
    assert logits.dtype == torch.float32
    # Not merely cast at the end: bf16 has 8 bits, and these have more.
    assert not torch.equal(logits, logits.bfloat16().float())
    assert torch.equal(network.head(network.features(images)), network(images))
