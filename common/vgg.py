"""VGG-16 and VGG-19: torchvision's convolutions, and fully connected layers for any input size."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from common.dropout import Dropout
from common.errors import UserError
from common.networks import BatchNorm2d, kaiming_

DEPTHS = (16, 19)
LAYERS = ("fc6", "fc7")


class VGG(nn.Module):
    """VGG (Simonyan and Zisserman) as in table III of Zhang et al., for square images of 32 pixels and more.

    fc6 is a convolution over the whole pooled map: 7 x 7 at 224 pixels, 1 x 1 at 32.

    Parameters
    ----------
    depth : {16, 19}
    n_classes : int
    size : int
        Height and width of the images; 224 in the papers.
    hidden : int
        Width of the two fully connected layers; 4096 in the papers.
    batch_norm : bool
        Batch normalisation after each convolution. Without it and without pre-training VGG-19 hardly trains.
    dropout : float
        Before fc7 and before the last layer.
    width : int
        Channels of the first convolution, of which the others are multiples; 64 in the papers.
    """

    def __init__(
        self,
        depth: int = 16,
        n_classes: int = 10,
        size: int = 32,
        hidden: int = 4096,
        batch_norm: bool = False,
        dropout: float = 0.5,
        width: int = 64,
    ):
        super().__init__()
        if depth not in DEPTHS:
            raise UserError(f"VGG of depth {depth}: expected one of {', '.join(map(str, DEPTHS))}")
        if size < 32:
            raise UserError(f"images of {size} x {size}: VGG halves them five times and needs at least 32 x 32")
        from torchvision.models.vgg import cfgs, make_layers

        printed = cfgs["D" if depth == 16 else "E"]
        layers = make_layers([value if value == "M" else value // 64 * width for value in printed])
        self.body = nn.Sequential(*_normalised(layers)) if batch_norm else layers
        self.fc6 = nn.Conv2d(8 * width, hidden, size // 32)
        self.drop6 = Dropout(dropout)
        self.fc7 = nn.Linear(hidden, hidden)
        self.drop7 = Dropout(dropout)
        self.head = nn.Linear(hidden, n_classes)

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, size, size) to the flattened pooled map (n, 8 * width * (size // 32)^2), the input of fc6."""
        return self.body(x).flatten(1)

    def hidden(self, maps: torch.Tensor, layer: str = "fc7", rectified: bool = True) -> torch.Tensor:
        """Flattened maps to the values (n, hidden) of fc6 or fc7, before or after their ReLU."""
        if layer not in LAYERS:
            raise UserError(f"layer {layer!r}: expected one of {', '.join(LAYERS)}")
        side = self.fc6.kernel_size[0]
        values = self.fc6(maps.unflatten(1, (-1, side, side))).flatten(1)
        if layer == "fc7":
            values = self.fc7(self.drop6(functional.relu(values)))
        return functional.relu(values) if rectified else values

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Images to the rectified values (n, hidden) of fc7, before the last dropout."""
        return self.hidden(self.maps(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits (n, n_classes); the last layer stays in fp32 under autocast."""
        values = self.drop7(self.features(x))
        with torch.autocast(values.device.type, enabled=False):
            return self.head(values.float())


def _normalised(layers: nn.Sequential):
    """The layers, with batch normalisation (ours, which `torch.func.vmap` and autocast take) after convolutions."""
    for layer in layers:
        yield layer
        if isinstance(layer, nn.Conv2d):
            yield BatchNorm2d(layer.out_channels)


def vgg(generator: torch.Generator, **parameters) -> VGG:
    """A freshly initialised `VGG`, its values from `generator`."""
    return kaiming_(VGG(**parameters), generator)
