"""The networks of paper 1, the layers that are read off them, their sizes and their pre-training."""

import dataclasses
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from common.cells import Context
from common.data import Images
from common.errors import UserError
from common.options import Options
from common.studies import category_centers as paper
from common.studies import category_centers_networks as networks
from common.studies import category_centers_pretraining as pretraining
from common.studies.category_centers_networks import BEFORE_NORM, BEFORE_RELU

VGG_CELL = paper.Cell("cifar10", 0, network="vgg16", hidden=8)
PLAIN = ((0.0,) * 3, (1.0,) * 3)


def built(cell, n_classes=10, statistics=PLAIN):
    return networks.builder(cell, (32, 32, 3), n_classes, statistics)(torch.Generator().manual_seed(0)).eval()


@pytest.fixture
def pictures():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_layers_of_all_cnn(pictures):
    network = built(paper.Cell("cifar10", 0, width=4))
    seen = {}
    network.network.maps.register_forward_hook(lambda layer, inputs, output: seen.update(maps=output))
    network.network.norm.register_forward_hook(lambda layer, inputs, output: seen.update(norm=output))
    read = network.layers(pictures)
    assert read["C", ""].shape == (4, 360)
    assert torch.equal(read["C", BEFORE_RELU], seen["maps"].flatten(1))
    assert torch.equal(read["C", BEFORE_NORM], seen["maps"].flatten(1).clamp_min(0))
    assert torch.equal(read["C", ""], seen["norm"].flatten(1))
    assert torch.allclose(read["head", ""], network(pictures))


@torch.no_grad()
def test_layers_of_vgg(pictures):
    network = built(VGG_CELL)
    seen = {}
    for name in ("fc6", "fc7"):
        layer = getattr(network.network, name)
        layer.register_forward_hook(lambda layer, inputs, output, name=name: seen.__setitem__(name, output.flatten(1)))
    read = network.layers(pictures)
    assert torch.equal(read["C", BEFORE_RELU], seen["fc6"]) and torch.equal(read["F", BEFORE_RELU], seen["fc7"])
    assert torch.equal(read["C", ""], seen["fc6"].clamp_min(0))
    assert torch.equal(read["F", ""], seen["fc7"].clamp_min(0))
    assert torch.allclose(read["head", ""], network(pictures))


def test_a_vgg_starts_near_chance():
    """As torchvision starts it: He's deviations for convolutions, 0.01 for fully connected layers."""
    network = built(paper.Cell("cifar10", 0, network="vgg16", hidden=256)).network
    layers = dict(network.named_modules())
    for name, layer in layers.items():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            body = name.startswith("body")
            expected = (2 / layer.weight[0].numel()) ** 0.5 if body else 0.01
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05), name
            assert not layer.bias.any()


@pytest.mark.parametrize(("batch_norm", "rate"), [(False, 0.01), (True, 0.05)])
def test_the_rate_of_pre_training(batch_norm, rate):
    cell = paper.Cell("cifar10", 0, network="vgg16", batch_norm=batch_norm, pretraining_iterations=7)
    schedule = pretraining._schedule(cell)
    assert (schedule.learning_rate, schedule.iterations, schedule.batch_size) == (rate, 7, 128)


def test_images_are_standardised_and_scaled():
    images = np.random.default_rng(0).integers(0, 256, (1500, 8, 8, 3), dtype=np.uint8)
    mean, deviation = networks.channel_statistics(images)
    assert mean == pytest.approx((images / 256).mean((0, 1, 2))) and deviation == pytest.approx(
        (images / 256).std((0, 1, 2))
    )
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 256
    standard = networks.Standardised(nn.Identity(), mean, deviation)(x)
    assert standard.mean((0, 2, 3)).abs().max() < 1e-4
    assert (standard.std((0, 2, 3)) - 1).abs().max() < 1e-3
    assert networks.Standardised(nn.Identity(), *PLAIN, size=16)(x).shape == (1500, 3, 16, 16)


def test_parameters_of_recognition():
    network = built(VGG_CELL)
    whole = sum(p.numel() for p in network.parameters())
    count = {method: networks.n_parameters(network, method, 10, 8 * (method != "D")) for method in "DCF"}
    # F keeps all but the 10 biases, because 10 centres of 8 replace 10 weights of 8; C also drops fc7's 8 x 8 + 8.
    assert count == {"D": whole, "F": whole - 10, "C": whole - 10 - 72}


def test_all_cnn_is_that_of_table_4():
    train = SimpleNamespace(images=np.zeros((1, 32, 32, 3), np.uint8), classes=range(10))
    context = SimpleNamespace(data=lambda *_: (train, train))
    assert paper.parameter_count(paper.Cell("cifar10", 0), context) == 1_372_254


# -- pre-training ------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path):
    """A file as `torch.save(vgg16().state_dict())` writes it, with the first fully connected layers made small."""
    from torchvision.models.vgg import cfgs, make_layers

    state = {f"features.{name}": value for name, value in make_layers(cfgs["D"]).state_dict().items()}
    state |= {"classifier.3.weight": torch.zeros(1), "classifier.3.bias": torch.zeros(1)}
    torch.save(state, tmp_path / "vgg16.pt")
    return tmp_path / "vgg16.pt", state


def test_imagenet_weights_find_their_places(weights):
    path, theirs = weights
    context = Context(Options(weights=str(path)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[: pretraining.DIGITS]
    cell = paper.Cell("shapes", 0, network="vgg16", hidden=8, pretraining="imagenet", pretrained=digest)
    network = built(cell)
    missing, unexpected = network.load_state_dict(pretraining.pretrained(cell, context), strict=False)
    assert not unexpected and {name.split(".")[1] for name in missing} == {"fc6", "fc7", "head"}
    assert torch.equal(network.network.body[0].weight, theirs["features.0.weight"])
    white = torch.ones(1, 3, 32, 32) * 255 / 256  # a white pixel as torchvision's weights expect it
    expected = (1 - torch.tensor(pretraining.IMAGENET_MEAN)) / torch.tensor(pretraining.IMAGENET_DEVIATION)
    assert torch.allclose(network.standardise(white)[0, :, 0, 0], expected)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_pre_training_gives_all_but_the_last_layer(batch_norm):
    random = np.random.default_rng(0)
    source = Images("tiny", "train", random.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8),
                    np.arange(12) % 4, tuple("abcd"), "f")  # fmt: skip
    state = pretraining._pretrain(
        paper.Cell("cifar10", 0, network="vgg16", hidden=8, pretraining_iterations=1, batch_norm=batch_norm),
        source,
        Context(Options()),
    )
    assert any("running_mean" in name and value.any() for name, value in state.items()) == batch_norm
    network = built(dataclasses.replace(VGG_CELL, batch_norm=batch_norm))
    missing, unexpected = network.load_state_dict({n: torch.from_numpy(v) for n, v in state.items()}, strict=False)
    assert not unexpected and set(missing) == {"network.head.weight", "network.head.bias"}
    assert network.mean.flatten().numpy() == pytest.approx((source.images / 256).mean((0, 1, 2)))


@pytest.mark.parametrize(("version", "found"), [(1, True), (2, False)])
def test_a_backbone_belongs_to_a_version_of_the_study(tmp_path, monkeypatch, version, found):
    """What was made before the version was a field is found at version 1."""
    cell = paper.Cell("shapes", 0, network="vgg16", pretraining="tiny_imagenet", pretraining_iterations=5)
    context = Context(Options(store=str(tmp_path)))
    monkeypatch.setattr(pretraining, "pretraining_images", lambda *_: SimpleNamespace(fingerprint="f"))
    monkeypatch.setattr(pretraining, "_size", lambda *_: 32)
    monkeypatch.setattr(pretraining, "_pretrain", lambda *_: {"new": np.zeros(1)})
    fields = {"hidden": 4096, "batch_norm": False, "pretraining_iterations": 5, "precision": "fp32"}
    fields |= {"size": 32, "data": "f", "revision": pretraining.REVISION}
    context.artifact("category_centers-vgg16", fields, lambda: {"old": np.zeros(1)})
    monkeypatch.setattr(paper, "VERSION", version)
    assert list(pretraining.pretrained(cell, context)) == ["old" if found else "new"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no weights", "no state dict that torch can load"), ({"layer": torch.zeros(1)}, "expected the state dict of")],
)
def test_wrong_weights_are_named(tmp_path, content, message):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=message):
        pretraining.imagenet_state(str(path), True, 32, 8)


def test_other_weights_than_were_asked_for_are_refused(weights):
    """The key of a cell says which; torchvision's own have no need to be named."""
    path, _ = weights
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[: pretraining.DIGITS]
    for asked, meant in (
        ("", "not that of torchvision's own file, 397923af"),
        (digest[:4], f"not {digest[:4]}"),
    ):
        with pytest.raises(UserError, match=f"their digest is {digest}, {meant}; to use them set pretrained={digest}"):
            pretraining.imagenet_state(str(path), True, 32, 8, asked)
    with pytest.raises(UserError, match=r"pretrained: .* is the digest of a file; name that with --weights"):
        pretraining._check_digest("", digest)
    pretraining._check_digest("", "")  # what torchvision has downloaded it has checked


def test_weights_of_ones_own_make_other_cells():
    plain = paper.Cell("cifar10", 0, network="vgg16", pretraining="imagenet")
    keys = [cell.key(paper.STEM, 1, "f") for cell in (plain, dataclasses.replace(plain, pretrained="0123456789abcdef"))]
    # What it was before there was the field.
    known = {"study": paper.STEM, "version": 1, "data": "f"}
    known["cell"] = {"dataset": "cifar10", "replicate": 0, "network": "vgg16", "pretraining": "imagenet"}
    assert keys[0] == hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:24] != keys[1]


def test_nothing_is_downloaded_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"checkpoints/vgg16-\w+\.pth is not there and --offline forbids the download"):
        pretraining.imagenet_state("", True, 32, 8)
    kept = tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"vgg16-397923af\.pth: their digest is \w+, not that of torchvision"):
        pretraining.imagenet_state("", True, 32, 8)  # what is kept is read
