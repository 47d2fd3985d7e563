"""Architectures, as the papers print them.

Every network is ``head(features(x))``: a study that trains only the last layer computes `features` once.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

from common.dropout import Dropout


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
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear", generator=generator)
            nn.init.zeros_(layer.bias)
    return module


def kaiming_(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Caffe's 'msra' filler (He et al.): weights from a normal of variance 2 / fan_in, biases zero.

    Of convolutions and fully connected layers; batch normalisation starts at scale 1 and shift 0. Values come from
    `generator` in order of definition. torchvision's own initialisation of a ResNet divides by the fan out.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that computes in the precision of its statistics, also on the bf16 maps of autocast.

    torch takes mixed precisions on some devices and not under `torch.func.vmap`.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps normalised by channel, in the precision they came in."""
        return super().forward(x.to(self.running_mean.dtype)).to(x.dtype)


class Classifier(nn.Module):
    """A network of `features` and a last layer, `head`, that stays in fp32 under autocast.

    Ties between bf16 logits would move the AUC.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits (n, n_classes)."""
        features = self.features(x)
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())


class LeNet5(Classifier):
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


def _all_cnn_body(
    channels: int, width: int, n_convolutions: int, dropout: float, batch_norm: bool = False
) -> nn.Sequential:
    """The first convolutions of All-CNN, each with its ReLU, and the dropout before and between them."""
    # Output channels over `width`, kernel, stride, padding.
    printed = [(1, 3, 1, 1)] * 2 + [(1, 3, 2, 1)] + [(2, 3, 1, 1)] * 2 + [(2, 3, 2, 1), (2, 3, 1, 0), (2, 1, 1, 0)]
    layers = [Dropout(dropout)]
    for factor, kernel, stride, padding in printed[:n_convolutions]:
        layers += [nn.Conv2d(channels, factor * width, kernel, stride, padding), nn.ReLU(inplace=True)]
        channels = factor * width
        if batch_norm:
            layers.append(BatchNorm2d(channels))
        if stride == 2:
            layers.append(Dropout(0.5))
    return nn.Sequential(*layers)


class AllCNNHead(nn.Module):
    """The two last 1 x 1 convolutions of All-CNN and the average over the map: what two-phase training updates."""

    def __init__(self, width: int, n_classes: int, rectified: bool):
        super().__init__()
        self.hidden = nn.Conv2d(2 * width, 2 * width, 1)
        self.maps = nn.Conv2d(2 * width, n_classes, 1)
        self.rectified = rectified

    def extra_repr(self) -> str:
        """What the layers do not show, so that the digest of a checkpoint knows it."""
        return f"rectified={self.rectified}"

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Maps (n, 2 width, 6, 6) to logits (n, n_classes)."""
        hidden = functional.relu(self.hidden(features))
        # Ties between bf16 logits would move the AUC.
        with torch.autocast(hidden.device.type, enabled=False):
            maps = self.maps(hidden.to(self.maps.weight.dtype))
            return (functional.relu(maps) if self.rectified else maps).mean((2, 3))


class AllCNN(nn.Module):
    """All-CNN of Buda et al., table 3: 1,369,738 parameters for 10 classes and 32 x 32 colour images.

    Parameters
    ----------
    n_classes, channels : int
    rectified : bool
        Whether a ReLU follows the last convolution, as printed; it can silence a class for good.
    width : int
        Channels of the first convolution; the paper's is 96.
    """

    def __init__(self, n_classes: int = 10, channels: int = 3, rectified: bool = True, width: int = 96):
        super().__init__()
        self.body = _all_cnn_body(channels, width, 7, dropout=0.2)
        self.head = AllCNNHead(width, n_classes, rectified)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, channels, 32, 32) to the rectified maps (n, 2 width, 6, 6) of the last 3 x 3 convolution."""
        return self.body(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits (n, n_classes); the last convolution and the average stay in fp32 under autocast."""
        return self.head(self.features(x))


class MapMaximum(nn.Module):
    """Max pooling of a flattened map over all its places, (n, n_classes * places) to (n, n_classes)."""

    def __init__(self, n_classes: int):
        super().__init__()
        self.n_classes = n_classes

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The largest value of each class's map."""
        return features.unflatten(1, (self.n_classes, -1)).amax(-1)


class AllCNNBatchNorm(nn.Module):
    """All-CNN of Zhang et al., table IV: 1,372,254 parameters for 10 classes and 32 x 32 colour images.

    Batch normalisation after each ReLU, dropout of .1 at the input, and max pooling at the end, so its head has no
    parameters.

    Parameters
    ----------
    n_classes, channels : int
    width : int
        Channels of the first convolution; the paper's is 96.
    """

    def __init__(self, n_classes: int = 10, channels: int = 3, width: int = 96):
        super().__init__()
        self.body = _all_cnn_body(channels, width, 8, dropout=0.1, batch_norm=True)
        self.maps = nn.Conv2d(2 * width, n_classes, 1)
        self.norm = BatchNorm2d(n_classes)
        self.head = MapMaximum(n_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, channels, 32, 32) to the flattened maps (n, n_classes * 36) from which centres are computed."""
        hidden = self.body(x)
        with torch.autocast(hidden.device.type, enabled=False):
            return self.norm(functional.relu(self.maps(hidden.to(self.maps.weight.dtype)))).flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to logits (n, n_classes); from the last convolution on in fp32 under autocast."""
        return self.head(self.features(x))


class ResNet10(Classifier):
    """ResNet-10 of Buda et al. (section 3.3.3): one basic block a stage, 5,418,792 parameters for 1,000 classes.

    The block of the paper's figure 2 is taken to be torchvision's. Images of 224 x 224 and of 64 x 64 alike, because
    the last map is averaged.

    Parameters
    ----------
    n_classes : int
    """

    def __init__(self, n_classes: int = 1000):
        super().__init__()
        from torchvision.models.resnet import BasicBlock, ResNet

        whole = OrderedDict(ResNet(BasicBlock, [1] * 4, n_classes, norm_layer=BatchNorm2d).named_children())
        self.head = whole.pop("fc")
        self.body = nn.Sequential(whole)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, height, width) to the 512 averages before the last layer."""
        return self.body(x).flatten(1)


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
