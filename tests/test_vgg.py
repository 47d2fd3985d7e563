"""VGG: parameter counts of the literature, layers, and equality with torchvision's network."""

import pytest
import torch

from common import networks
from common.errors import UserError
from common.vgg import VGG, vgg


@pytest.mark.parametrize(
    ("depth", "size", "n_classes", "expected"),
    [(16, 224, 1000, 138_357_544), (19, 224, 1000, 143_667_240)],
)
def test_parameters_are_those_of_the_published_networks(depth, size, n_classes, expected):
    with torch.device("meta"):
        assert networks.n_parameters(VGG(depth, n_classes, size)) == expected


def test_it_computes_what_torchvisions_vgg_computes():
    """At 224 x 224 with torchvision's weights in our layers; a narrow hidden layer keeps the test small."""
    from torchvision import models

    theirs = models.vgg16(weights=None, num_classes=10).eval()
    theirs.classifier[0] = torch.nn.Linear(512 * 49, 8)
    theirs.classifier[3] = torch.nn.Linear(8, 8)
    theirs.classifier[6] = torch.nn.Linear(8, 10)
    ours = VGG(16, 10, 224, hidden=8).eval()
    ours.body.load_state_dict(theirs.features.state_dict())
    ours.fc6.load_state_dict(
        {"weight": theirs.classifier[0].weight.view(8, 512, 7, 7), "bias": theirs.classifier[0].bias}
    )
    ours.fc7.load_state_dict(theirs.classifier[3].state_dict())
    ours.head.load_state_dict(theirs.classifier[6].state_dict())
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), atol=1e-5)


@pytest.mark.parametrize(("size", "places"), [(32, 1), (64, 4)])
def test_layers_and_their_shapes(size, places):
    network = vgg(torch.Generator().manual_seed(0), depth=19, n_classes=4, size=size, hidden=16, batch_norm=True).eval()
    images = torch.rand(2, 3, size, size)
    maps = network.maps(images)
    assert maps.shape == (2, 512 * places)
    for layer in ("fc6", "fc7"):
        before, after = (network.hidden(maps, layer, rectified) for rectified in (False, True))
        assert before.shape == (2, 16) and torch.equal(after, before.clamp_min(0))
    assert torch.allclose(network(images), network.head(network.features(images)))
    assert sum(isinstance(layer, networks.BatchNorm2d) for layer in network.modules()) == 16


def test_one_seed_gives_one_network():
    first, second = (vgg(torch.Generator().manual_seed(3), hidden=8).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_bad_requests_are_named():
    with pytest.raises(UserError, match="VGG of depth 13: expected one of 16, 19"):
        VGG(13)
    with pytest.raises(UserError, match="images of 28 x 28: VGG halves them five times"):
        VGG(size=28)
    with pytest.raises(UserError, match="layer 'fc8': expected one of fc6, fc7"):
        VGG(hidden=8).hidden(torch.zeros(1, 512), "fc8")
