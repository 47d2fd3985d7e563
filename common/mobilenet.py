"""MobileNet (Howard et al. 2017) in torch, layer by layer the one of `keras.applications`, for fine-tuning.

With the same weights (`mobilenet_weights`) it gives what Keras gives; layers have Keras' names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from common.errors import UserError
from common.mobilenet_weights import torch_state
from common.networks import BatchNorm2d, Classifier

#: Channels and stride of each of the 13 separable convolutions.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
LAYERS = tuple(f"conv_pw_{i}_relu" for i in range(1, len(BLOCKS) + 1))
LAST = LAYERS[-1]


def _normalised(name: str, layer: nn.Module, channels: int) -> dict[str, nn.Module]:
    """A convolution with its batch normalisation (Keras' constants: momentum .99, epsilon .001) and ReLU6."""
    norm = BatchNorm2d(channels, eps=1e-3, momentum=0.01)
    return {name: layer, f"{name}_bn": norm, f"{name}_relu": nn.ReLU6(inplace=True)}


class MobileNet(Classifier):
    """Koziarski et al.'s classifier: MobileNet's convolutions, average pooling, 1,024 rectified units, the classes.

    Parameters
    ----------
    n_classes : int
    alpha : float
        Multiplies the channels; 1 in the paper.
    hidden : int
        Width of the fully connected layer.

    Notes
    -----
    Images are square with an even side of at least 32 and one or three channels (one is repeated), scaled to 0..1 as
    `resident.Resident` does (by 1 / 256). Keras 3 estimates the running variance of batch normalisation without
    Bessel's correction, torch with it: a factor of 1 + 1 / 127 in the last layers of a batch of 32, where it
    is largest.
    """

    def __init__(self, n_classes: int = 10, alpha: float = 1.0, hidden: int = 1024):
        super().__init__()
        channels = int(32 * alpha)
        stem = nn.Conv2d(3, channels, 3, 2, bias=False)
        # Keras pads a stride of 2 below and to the right alone.
        layers = OrderedDict(conv1_pad=nn.ZeroPad2d((0, 1, 0, 1)), **_normalised("conv1", stem, channels))
        for i, (width, stride) in enumerate(BLOCKS, 1):
            out = int(width * alpha)
            if stride == 2:
                layers[f"conv_pad_{i}"] = nn.ZeroPad2d((0, 1, 0, 1))
            depthwise = nn.Conv2d(channels, channels, 3, stride, 2 - stride, groups=channels, bias=False)
            layers |= _normalised(f"conv_dw_{i}", depthwise, channels)
            layers |= _normalised(f"conv_pw_{i}", nn.Conv2d(channels, out, 1, bias=False), out)
            channels = out
        self.body = nn.Sequential(layers)
        self.hidden = nn.Linear(channels, hidden)
        self.head = nn.Linear(hidden, n_classes)

    def maps(self, x: torch.Tensor, layer: str = LAST) -> torch.Tensor:
        """Images (n, 1 or 3, side, side) in 0..1 to the maps (n, channels, height, width) of a layer."""
        if x.shape[-1] % 2:
            raise UserError(f"images of {x.shape[-2]} x {x.shape[-1]}: MobileNet takes an even side, such as 64")
        x = x.expand(-1, 3, -1, -1) * (256 / 127.5) - 1
        for name, module in self.body.named_children():
            x = module(x)
            if name == layer:
                return x
        raise UserError(f"layer {layer!r}: expected one of {', '.join(LAYERS)}")

    def flat_maps(self, x: torch.Tensor) -> torch.Tensor:
        """Images to the last map as Keras flattens it, (n, height * width * channels)."""
        return self.maps(x).permute(0, 2, 3, 1).flatten(1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Images to the rectified values (n, hidden) before the last layer."""
        return functional.relu(self.hidden(self.maps(x).mean((2, 3))))


def glorot_(layer: nn.Linear, generator: torch.Generator) -> None:
    """Keras' default for a fully connected layer: uniform within +-sqrt(6 / (fan in + fan out)), biases zero."""
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.zeros_(layer.bias)


def builder(weights: Mapping[str, np.ndarray], n_classes: int, alpha: float = 1.0, hidden: int = 1024):
    """What builds a network for `training.fit_many`: convolutions from `weights`, the rest drawn from its generator."""
    state = torch_state(weights)

    def build(generator: torch.Generator) -> MobileNet:
        network = MobileNet(n_classes, alpha, hidden)
        network.body.load_state_dict(state)
        glorot_(network.hidden, generator)
        glorot_(network.head, generator)
        return network

    return build
