"""The multi-scale network: its shape, its size by hand, its receptive fields by tracing gradients."""

import numpy as np
import pytest
import torch

from common import networks
from common.errors import UserError
from common.multiscale import KERNELS, Branches, MultiScaleCNN, receptive_field, receptive_fields


def build(seed=0, **options):
    return networks.kaiming_(MultiScaleCNN(**options), torch.Generator().manual_seed(seed))


def test_head_of_features():
    network = build(n_classes=3, width=16).eval()
    x = torch.rand(2, 1, 64, 64)
    assert network.maps(x).shape == (2, 16, 8, 8)
    assert torch.equal(network.features(x), network.maps(x).mean((2, 3)))
    assert torch.allclose(network(x), network.head(network.features(x)))


def test_pooling_and_maps():
    x = torch.rand(2, 1, 64, 64)
    one, other = (build(width=8, pooling=pooling).eval() for pooling in ("average", "maximum"))
    assert torch.equal(one.maps(x), other.maps(x))  # the same weights
    assert torch.equal(other.features(x), one.maps(x).flatten(2).max(2).values)
    on_maps = build(channels=32, width=8, stem=0).eval()
    assert on_maps.maps(torch.rand(2, 32, 7, 7)).shape == (2, 8, 7, 7)
    assert [layer.kernel_size for layer in on_maps.trunk if isinstance(layer, torch.nn.Conv2d)] == [(1, 1)]


def test_number_of_parameters_by_hand():
    # width 16: stem 5 x 5 x 1 x 8, trunk 3 x 3 x 8 x 8 and 3 x 3 x 8 x 16, four branches of 4 with 1 + 9 + 25 + 49 = 84
    # places of 16 channels, scale and shift of 8 + 8 + 16 + 16 maps, head 16 x 2 + 2.
    assert networks.n_parameters(MultiScaleCNN(width=16)) == 200 + 576 + 1152 + 84 * 16 * 4 + 2 * 48 + 34
    plain = MultiScaleCNN(width=16, kernels=(3,))
    assert networks.n_parameters(plain) == 200 + 576 + 1152 + 9 * 16 * 16 + 2 * 48 + 34


@pytest.mark.parametrize("kernels", [(1,), (3, 7), (1, 3, 5), KERNELS])
def test_branches_share_the_width(kernels):
    branches = Branches(4, 10, kernels).eval()
    sizes = [branch[0].out_channels for branch in branches.branches.values()]
    assert sum(sizes) == 10 and max(sizes) - min(sizes) <= 1
    x = torch.rand(1, 4, 9, 9)
    maps = branches(x)
    assert maps.shape == (1, 10, 9, 9)
    last = list(branches.branches.values())[-1]
    assert torch.equal(maps[:, -sizes[-1] :], last(x))  # concatenated in the order of the kernels


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_receptive_field_is_where_gradients_come_from(kernel, stem):
    """Positive weights and no maximum's choice: every pixel that can reach an output does."""
    network = MultiScaleCNN(width=8, stem=stem, kernels=(kernel,)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 0.01)
    for name, layer in list(network.trunk.named_children()):
        if isinstance(layer, torch.nn.MaxPool2d):
            network.trunk[int(name)] = torch.nn.AvgPool2d(2)
    side = 64 * stem
    x = torch.rand(1, 1, side, side, requires_grad=True)
    maps = network.maps(x)
    maps[0, 0, maps.shape[2] // 2, maps.shape[3] // 2].backward()
    reached = (x.grad[0, 0] != 0).any(0)
    assert int(reached.sum()) == receptive_fields((kernel,), stem)[kernel]


def test_receptive_field_by_hand():
    assert receptive_field([(3, 1), (3, 1)]) == (5, 1)
    assert receptive_fields((1, 3), 0, [(3, 2), (3, 2)]) == {1: 7, 3: 7 + 2 * 4}
    # VGG's first pooled block: 3, 5, then 2 x 2 pooling sees 6 pixels in steps of 2; a 3 x 3 after it 6 + 2 * 2.
    assert receptive_field([(3, 1), (3, 1), (2, 2), (3, 1)]) == (10, 2)


def test_the_same_seed_gives_the_same_network():
    one, two, other = build(1), build(1), build(2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.head.weight, other.head.weight)


def test_the_head_stays_in_fp32():
    network = build(width=8).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(2, 1, 32, 32)).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": (2, 3)}, r"kernels \[2, 3\]: expected different odd numbers"),
        ({"kernels": (3, 3)}, r"kernels \[3, 3\]: expected different odd"),
        ({"kernels": ()}, r"kernels \[\]: expected different odd"),
        ({"width": 3}, "width 3: expected at least 4"),
        ({"stem": 3}, "stem 3: expected a stride of 1, 2, 4, or 0 for maps"),
        ({"pooling": "median"}, "pooling 'median': expected one of average, maximum"),
    ],
)
def test_bad_architectures_are_named(options, message):
    with pytest.raises(UserError, match=message):
        MultiScaleCNN(**options)


def test_dropout_belongs_to_the_key():
    network = build(width=8)
    network.dropout.key = torch.tensor([1, 2], dtype=torch.int32)
    x = torch.rand(4, 1, 32, 32)
    network.train()
    features = network.features(x)
    dropped = network.dropout(features).detach().numpy()
    kept = dropped != 0
    assert 0 < kept.mean() < 1 and np.allclose(dropped[kept], 2 * features.detach().numpy()[kept])


def test_training_drops_features_before_the_last_layer():
    network = build(width=16).train()
    network.dropout.key = torch.tensor([1, 2], dtype=torch.int32)
    x = torch.rand(3, 1, 64, 64)
    features = network.features(x)
    dropped = network.dropout(features)
    assert 0 < (dropped == 0).sum() < dropped.numel() and not torch.equal(dropped, features)
    assert torch.equal(network(x), network.head(dropped))
