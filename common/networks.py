"""Architectures, as the papers print them.

Every network is ``head(features(x))``: a study that trains only the last layer computes `features` once.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


def n_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def caffe_xavier_(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Caffe's 'xavier' filler: weights from U(-sqrt(3 / fan_in), +sqrt(3 / fan_in)), biases zero.

    Not torch's `xavier_uniform_`, which averages fan in and fan out: that is three times wider on LeNet-5's first
    convolution. Values come from `generator` in order of definition, so one seed gives one network on any device.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = math.sqrt(3 / layer.weight[0].numel())
            with torch.no_grad():
                layer.weight.copy_(torch.empty(layer.weight.shape).uniform_(-bound, bound, generator=generator))
                layer.bias.zero_()
    return module


class LeNet5(nn.Module):
    """The modern LeNet-5 of Buda et al., table 2 (Caffe's example network): 431,080 parameters for 28 x 28 grey images.

    There is no non-linearity after the convolutions but max pooling, as in Caffe's example.

    Parameters
    ----------
    n_classes, channels, size : int
        The paper's are 10, 1 and 28. `size` is the height and width of the images, at least 16.
    """

    def __init__(self, n_classes: int = 10, channels: int = 1, size: int = 28):
        super().__init__()
        side = ((size - 4) // 2 - 4) // 2
        if side < 1:
            raise ValueError(f"size {size}: LeNet-5 needs images of at least 16 x 16")
        self.conv1 = nn.Conv2d(channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * side * side, 500)
        self.head = nn.Linear(500, n_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, channels, size, size) to the 500 rectified values before the last layer."""
        x = functional.max_pool2d(self.conv1(x), 2)
        x = functional.max_pool2d(self.conv2(x), 2)
        return functional.relu(self.fc1(x.flatten(1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits (n, n_classes); the last layer stays in fp32 under autocast, see `training`."""
        features = self.features(x)
        # Ties between bf16 logits would move the AUC.
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())


class Head(nn.Module):
    """A linear classifier on features computed once: the second phase of two-phase training."""

    def __init__(self, n_features: int, n_classes: int):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The input itself."""
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (n, n_features) to logits (n, n_classes)."""
        return self.head(x)
