"""Multi-scale CNN: a shared trunk, then parallel branches whose kernels look at fields of different size.

A reconstruction. Of Liu et al. (2021) only the abstract is public: 'multi-scale image features using convolutional
kernels with different receptive fields'; its bibliography names VGG (the trunk's 3 x 3 convolutions), dropout and Adam.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from common.dropout import Dropout
from common.errors import UserError
from common.networks import BatchNorm2d

KERNELS = (1, 3, 5, 7)
POOLING = ("average", "maximum")
STEMS = {1: 3, 2: 5, 4: 7}  # stride of the first convolution: its kernel, wide enough to see what it steps over


def _convolution(channels: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """A convolution that keeps the map's size but for its stride, batch normalisation and ReLU."""
    convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False)
    return [convolution, BatchNorm2d(out), nn.ReLU(inplace=True)]


class Branches(nn.Module):
    """Parallel convolutions with one kernel size each, their maps concatenated.

    Parameters
    ----------
    channels, width : int
        Channels that come in, and that go out over all branches, as equal as they can be.
    kernels : sequence of int
        Odd sizes, one branch each.
    """

    def __init__(self, channels: int, width: int, kernels: Sequence[int] = KERNELS):
        super().__init__()
        n = len(kernels)
        self.branches = nn.ModuleDict(
            {
                f"kernel{kernel}": nn.Sequential(*_convolution(channels, width // n + (i < width % n), kernel))
                for i, kernel in enumerate(kernels)
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (n, channels, h, w) to (n, width, h, w)."""
        return torch.cat([branch(x) for branch in self.branches.values()], dim=1)


class MultiScaleCNN(nn.Module):
    """Trunk, parallel branches, global pooling, dropout and a linear head.

    With ``kernels=(3,)`` it is the plain CNN of equal width: the branches are one 3 x 3 convolution.

    Parameters
    ----------
    n_classes, channels : int
        Classes, and channels of the images, whose height and width should be at least ``4 * stem``.
    kernels : sequence of int
        The branches; leave out a number to switch its branch off.
    width : int
        Channels of all branches together, and of the trunk's last convolution; the two before it have half as many.
    stem : {0, 1, 2, 4}
        Stride of the first convolution. 4 makes 256 x 256 pixels affordable: the first convolution still sees the
        finest grain, and all others work on small maps. 0: the images are maps of another network's trunk, and what is
        left of this one's is a 1 x 1 convolution to `width` channels.
    dropout : float
        Before the last layer.
    pooling : {'average', 'maximum'}
        Over the places of the maps. The average of a map hardly moves for a defect that covers a hundredth of it.

    Raises
    ------
    UserError
        If a kernel is not an odd number or occurs twice, there are fewer channels than branches or than two, or for
        another `stem` or `pooling`.
    """

    def __init__(
        self,
        n_classes: int = 2,
        channels: int = 1,
        kernels: Sequence[int] = KERNELS,
        width: int = 64,
        stem: int = 2,
        dropout: float = 0.5,
        pooling: str = "average",
    ):
        super().__init__()
        if not kernels or len(set(kernels)) < len(kernels) or any(k < 1 or k % 2 == 0 for k in kernels):
            raise UserError(f"kernels {list(kernels)}: expected different odd numbers such as 1, 3, 5, 7")
        if width < max(len(kernels), 2):
            raise UserError(f"width {width}: expected at least {max(len(kernels), 2)}, a channel for each branch")
        if stem not in (0, *STEMS):
            raise UserError(f"stem {stem}: expected a stride of {', '.join(map(str, STEMS))}, or 0 for maps")
        if pooling not in POOLING:
            raise UserError(f"pooling {pooling!r}: expected one of {', '.join(POOLING)}")
        self.pooling = pooling
        half = width // 2
        layers = _convolution(channels, width, 1)
        if stem:
            layers = [
                *_convolution(channels, half, STEMS[stem], stem),
                *_convolution(half, half, 3),
                nn.MaxPool2d(2),
                *_convolution(half, width, 3),
                nn.MaxPool2d(2),
            ]
        self.trunk = nn.Sequential(*layers)
        self.branches = Branches(width, width, kernels)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(width, n_classes)

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """Images to the concatenated maps: (n, width, size / stem / 4, size / stem / 4), or as large as they came."""
        return self.branches(self.trunk(x))

    def extra_repr(self) -> str:
        """What the layers do not show, so that the digest of a checkpoint knows it."""
        return f"pooling={self.pooling}"

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Images to the averages, or maxima, (n, width) over the concatenated maps."""
        maps = self.maps(x)
        return maps.mean((2, 3)) if self.pooling == "average" else maps.amax((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits (n, n_classes); the last layer stays in fp32 under autocast."""
        features = self.dropout(self.features(x))
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())


def receptive_field(layers: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Field of view and step, in pixels of the image, of one place in the last map.

    Parameters
    ----------
    layers : sequence of (kernel, stride)
        Convolutions and poolings from the image on.
    """
    field, step = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * step
        step *= stride
    return field, step


def receptive_fields(
    kernels: Sequence[int] = KERNELS, stem: int = 2, before: Sequence[tuple[int, int]] = ()
) -> dict[int, int]:
    """Kernel of a branch to the side, in pixels, of the square that one of its outputs sees.

    `before` are the layers (kernel, stride) of the network whose maps a `stem` of 0 takes.
    """
    trunk = [(STEMS[stem], stem), (3, 1), (2, 2), (3, 1), (2, 2)] if stem else list(before)
    return {kernel: receptive_field([*trunk, (kernel, 1)])[0] for kernel in kernels}
