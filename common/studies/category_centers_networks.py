"""The two networks of paper 1, how they are trained, and the layers whose features have centres (tables III and IV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from common.networks import AllCNNBatchNorm, kaiming_
from common.schedules import Schedule
from common.vgg import VGG

BEFORE_RELU, BEFORE_NORM = "before ReLU", "before batch normalisation"
PRETRAINING = ("", "imagenet", "tiny_imagenet")


@dataclass(frozen=True)
class Protocol:
    """What the paper says of a network (section IV.A): batch size, initial learning rate, layers with centres."""

    batch_size: int
    learning_rate: float
    layers: tuple[str, ...]


PROTOCOLS = {"allcnn": Protocol(256, 0.005, ("C",)), "vgg16": Protocol(50, 0.001, ("C", "F"))}
WEIGHT_DECAY = 5e-4


def schedule(cell) -> Schedule:
    """SGD at the base rate; `plateau.Recessions` lowers it along the way. Momentum and decay are not stated."""
    protocol = PROTOCOLS[cell.network]
    return Schedule(
        iterations=cell.iterations,
        batch_size=cell.batch_size or protocol.batch_size,
        learning_rate=protocol.learning_rate,
        policy="constant",
        momentum=0.9,
        weight_decay=WEIGHT_DECAY,
        bias_rate=1.0,
    )


class Standardised(nn.Module):
    """A network on images scaled and standardised by channel: pixels / 256 come in, as `Resident` gives them.

    Images are scaled here, bilinearly, because copies of CIFAR with 224 pixels would take 9 GB.

    Parameters
    ----------
    network : Module
    mean, deviation : sequence of float
        One per channel, of pixels / 256.
    size : int
        Height and width that the network takes (0: those of the images).
    """

    def __init__(self, network: nn.Module, mean, deviation, size: int = 0):
        super().__init__()
        self.network, self.size = network, size
        for name, values in (("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(-1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, channels, height, width) to logits (n, n_classes)."""
        return self.network(self.standardise(x))

    def layers(self, x: torch.Tensor) -> dict[tuple[str, str], torch.Tensor]:
        """All that is read off one forward pass in eval mode.

        Returns
        -------
        dict
            (layer, variant) to features (n, d); variant "" is as in the paper. And ("head", "") to the logits.
        """
        read = _vgg_layers if isinstance(self.network, VGG) else _all_cnn_layers
        return read(self.network, self.standardise(x))

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """Images of the network's size, each channel of about mean 0 and deviation 1."""
        if self.size not in (0, x.shape[-1]):
            x = functional.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        return (x - self.mean) / self.deviation


def _all_cnn_layers(network: AllCNNBatchNorm, x: torch.Tensor) -> dict[tuple[str, str], torch.Tensor]:
    maps = network.maps(network.body(x))
    rectified = functional.relu(maps)
    features = network.norm(rectified).flatten(1)
    return {
        ("C", ""): features,
        ("C", BEFORE_RELU): maps.flatten(1),
        ("C", BEFORE_NORM): rectified.flatten(1),
        ("head", ""): network.head(features),
    }


def _vgg_layers(network: VGG, x: torch.Tensor) -> dict[tuple[str, str], torch.Tensor]:
    maps = network.maps(x)
    read = {}
    for layer, name in (("C", "fc6"), ("F", "fc7")):
        values = network.hidden(maps, name, rectified=False)
        read |= {(layer, ""): functional.relu(values), (layer, BEFORE_RELU): values}
    return {**read, ("head", ""): network.head(read["F", ""])}


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation by channel, of pixels / 256, of uint8 images (n, height, width, channels)."""
    total, squares = np.zeros(images.shape[-1]), np.zeros(images.shape[-1])
    for start in range(0, len(images), 1000):
        pixels = images[start : start + 1000].reshape(-1, images.shape[-1]) / 256
        total += pixels.sum(axis=0)
        squares += (pixels**2).sum(axis=0)
    count = images[..., 0].size
    mean = total / count
    return tuple(mean.tolist()), tuple(np.sqrt(squares / count - mean**2).tolist())


def n_parameters(network: nn.Module, method: str, n_classes: int, n_features: int) -> int:
    """Numbers that recognition by a method needs: trained parameters of the layers it runs, and its centres.

    The centres of `n_classes` classes hold `n_features` numbers each; C needs nothing after its layer, F no last layer.
    """
    sizes = {name: p.numel() for name, p in network.named_parameters()}
    unused = {"D": (), "F": ("network.head.",), "C": ("network.head.", "network.fc7.")}[method]
    kept = sum(size for name, size in sizes.items() if not name.startswith(unused))
    return kept + (0 if method == "D" else n_classes * n_features)


def recognition_parameters(n_classes: int, size: int) -> dict[str, int]:
    """`n_parameters` of VGG-16 by method, of an input of so many pixels; without making its weights.

    Also those of its classification ``layer`` alone.
    """
    with torch.device("meta"):
        network = Standardised(VGG(16, n_classes, size), (0.0,), (1.0,))
    head = network.network.head
    found = {method: n_parameters(network, method, n_classes, head.in_features) for method in ("D", "C", "F")}
    return found | {"layer": sum(p.numel() for p in head.parameters())}


# -- building ----------------------------------------------------------------------------------------------------------


def builder(cell, shape: tuple[int, ...], n_classes: int, statistics) -> Callable[[torch.Generator], Standardised]:
    """Generator to initialised network for images of `shape` (height, width, channels)."""

    def build(generator: torch.Generator) -> Standardised:
        if cell.network == "allcnn":
            network = AllCNNBatchNorm(n_classes, shape[2], cell.width)
        else:
            network = VGG(16, n_classes, cell.input_size or shape[0], cell.hidden, cell.batch_norm)
        kaiming_(network, generator)
        if isinstance(network, VGG):
            _quieten(network, generator)
        return Standardised(network, *statistics, size=cell.input_size)

    return build


def _quieten(network: VGG, generator: torch.Generator) -> None:
    """Start the fully connected layers at a deviation of 0.01, as torchvision does.

    With He's, larger by up to six times, the loss of pre-training starts far above chance, comes back to it and stays.
    """
    for layer in (network.fc6, network.fc7, network.head):
        nn.init.normal_(layer.weight, std=0.01, generator=generator)
