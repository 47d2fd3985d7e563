"""How paper 5 is run: arms, networks, schedules, splits and class sizes. A reconstruction: see the deviations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from common import networks, training
from common.augmentation import Augmentation, EdgeAugmentation
from common.data import Images
from common.errors import UserError
from common.mobilenet import BLOCKS, LAYERS, MobileNet
from common.mobilenet_weights import torch_state
from common.multiscale import KERNELS, MultiScaleCNN

SAMPLER = {"natural": "none", "balanced": "oversampling", "undersampled": "undersampling"}
FOCAL = 2.0  # Lin et al. 2017, the paper's reference 14
LAYER = "conv_pw_6_relu"  # where MobileNet is cut: local texture, of 16 x 16 places for 256 pixels
SPREAD, BLACK = 40, 2  # of an image after contrast normalisation; grey values up to here are margin
BORDERS = ("edge", "black")  # what a shift leaves beyond the image
SECOND_RATE = 0.1  # of the learning rate, in the second half of every training


@dataclass(frozen=True)
class Arm:
    """A way to train: every arm has two stages of equal length, so that arms differ in nothing but these fields.

    Parameters
    ----------
    first, second : {'natural', 'balanced', 'undersampled'}
        What is seen in each stage: the imbalanced set, oversampled, or undersampled.
    start : {'scratch', 'source', 'related'}
        Weights before the first stage: random, those of a network trained on the source task, or of one trained on the
        source and then on a related task.
    loss : {'plain', 'weighted', 'focal'}
    ensemble : bool
        Several networks with subsets of their own, whose probabilities are averaged.
    """

    first: str = "natural"
    second: str = "natural"
    start: str = "scratch"
    loss: str = "plain"
    ensemble: bool = False


#: By name, which is also the method's name in results. The five after the baseline are the 'commonly used methods'.
ARMS = {
    "baseline": Arm(),
    "oversampling": Arm("balanced", "balanced"),
    "undersampling": Arm("undersampled", "undersampled"),
    "weighted loss": Arm(loss="weighted"),
    "focal loss": Arm(loss="focal"),
    "undersampling ensemble": Arm("undersampled", "undersampled", ensemble=True),
    "one-stage natural": Arm(start="source"),
    "one-stage balanced": Arm("balanced", "balanced", start="source"),
    "two-stage balanced-natural": Arm("balanced", "natural", start="source"),
    "two-stage natural-balanced": Arm("natural", "balanced", start="source"),
    "scratch balanced-natural": Arm("balanced", "natural"),
    "scratch natural-balanced": Arm("natural", "balanced"),
    "related task": Arm(start="related"),
    "related task balanced": Arm("balanced", "balanced", start="related"),
}


def kernels_of(network: str) -> tuple[int, ...]:
    """The branches of a network's name: ``multiscale``, ``multiscale-3-5`` (those branches only) or ``plain`` (3).

    Raises
    ------
    UserError
        If the name is none of these.
    """
    if network == "multiscale":
        return KERNELS
    if network == "plain":
        return (3,)
    name, *kernels = network.split("-")
    if name != "multiscale" or not all(kernel.isdigit() for kernel in kernels):
        raise UserError(f"network {network!r}: expected multiscale, multiscale-3-5 and the like, plain or resnet10")
    return tuple(int(kernel) for kernel in kernels)


def builder(cell, n_classes: int, channels: int) -> Callable:
    """Generator to the cell's network, initialised, for so many classes and channels of the input."""
    if cell.network == "resnet10":
        return lambda generator: networks.kaiming_(_resnet10(n_classes, channels), generator)
    options = {"kernels": kernels_of(cell.network), "width": cell.width, "stem": cell.stem, "pooling": cell.pooling}
    return lambda generator: networks.kaiming_(MultiScaleCNN(n_classes, channels, **options), generator)


def _resnet10(n_classes: int, channels: int) -> networks.ResNet10:
    network = networks.ResNet10(n_classes)
    network.body.conv1 = torch.nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    return network


def least_size(network: str, stem: int) -> int:
    """Smallest height and width of images that leave a map of at least 2 x 2."""
    return 64 if network == "resnet10" or not stem else 8 * stem


class ImageNetTrunk(MobileNet):
    """The convolutions of MobileNet up to `LAYER`, with trained weights: maps for the branches."""

    def __init__(self, weights: dict[str, np.ndarray]):
        super().__init__()
        self.body.load_state_dict(torch_state(weights))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (n, 1 or 3, size, size) in 0..1 to maps (n, 512, size / 16, size / 16)."""
        return self.maps(x, LAYER)


#: Channels of its maps.
MAPS = BLOCKS[LAYERS.index(LAYER)][0]
#: Kernel and stride of the convolutions up to `LAYER` that look beyond one place.
TRUNK_LAYERS = ((3, 2), *((3, stride) for _, stride in BLOCKS[: LAYERS.index(LAYER) + 1]))


def last_maps(network: torch.nn.Module) -> torch.nn.Module:
    """The layer whose maps are pooled."""
    return network.branches if isinstance(network, MultiScaleCNN) else network.body.layer4


def trainable(build: Callable, frozen: str) -> tuple[str, ...]:
    """Names of the parameters that are trained when those that begin with a word of `frozen` are not.

    Raises
    ------
    UserError
        If a word begins no parameter's name, or nothing is left to train.
    """
    words = tuple(frozen.split())
    if not words:
        return ("",)
    names = [name for name, _ in build(torch.Generator()).named_parameters()]
    for word in words:
        if not any(name.startswith(word) for name in names):
            raise UserError(f"frozen {word!r}: no parameter's name begins so; there are {', '.join(names)}")
    free = tuple(name for name in names if not name.startswith(words))
    if not free:
        raise UserError(f"frozen {frozen!r}: nothing is left to train; leave the head out")
    return free


def schedule(cell, iterations: int) -> training.Schedule:
    """Adam (the paper's reference 33) at the cell's constant rate: so many updates, one stage."""
    return training.Schedule(
        iterations=iterations, batch_size=cell.batch_size, learning_rate=cell.learning_rate, policy="constant",
        momentum=0.0, weight_decay=cell.weight_decay, bias_rate=1.0, optimiser="adam",
    )  # fmt: skip


def augmentation(augment: bool, size: int, border: str) -> Augmentation:
    """Mirror images in both directions and shifts by up to a 32nd of the side (reference 34 only names the idea).

    Test images are never shifted. A black margin beside the shifted ones would be in training alone, and `contrast`
    takes such margins away; so the edge is repeated, unless `border` is black, as it was in the first results.
    """
    kind = EdgeAugmentation if border == "edge" else Augmentation
    return kind(crop=size, mirror=True, flip=True, pad=size // 32) if augment else Augmentation()


# ---- data ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Pool:
    """All images of a set, from which each replicate draws its own training and test part."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    masks: np.ndarray | None
    groups: np.ndarray

    def targets(self, binary: bool) -> np.ndarray:
        """Labels; binary: 0 the first class, 1 any other, which is a defect."""
        return (self.labels > 0).astype(np.int64) if binary else self.labels


def pool(parts: tuple[Images, Images]) -> Pool:
    """Training and test images as one set; an image without a group is a group of its own."""
    train, test = parts
    groups, start = [], 0
    for part in parts:
        own = np.arange(len(part)) if part.groups is None else part.groups
        groups.append(own + start)
        start += int(own.max()) + 1
    masks = None if train.masks is None or test.masks is None else np.concatenate([train.masks, test.masks])
    return Pool(
        contrast(np.concatenate([train.images, test.images])),
        np.concatenate([train.labels, test.labels]),
        train.classes,
        masks,
        np.concatenate(groups),
    )


def contrast(images: np.ndarray) -> np.ndarray:
    """Each image with mean 128 and standard deviation `SPREAD`, uint8, because exposures differ within the sets.

    Black pixels are taken for the square's margin: they do not count, and become 128. In pieces, for floats take four
    times the memory.
    """
    out = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), 256):
        values = images[start : start + 256].astype(np.float32)
        seen = values > BLACK
        seen |= ~seen.any((1, 2, 3), keepdims=True)  # an image that is all black
        mean = values.mean((1, 2, 3), where=seen, keepdims=True)
        spread = values.std((1, 2, 3), where=seen, keepdims=True)
        values = 128 + SPREAD * (values - mean) / np.maximum(spread, 1)
        out[start : start + 256] = np.where(seen, values, 128).clip(0, 255).round()
    return out


@cache
def divide(pool: Pool, folds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of training and test images: one of `folds` parts is the test part, classes alike, groups whole.

    Raises
    ------
    UserError
        If a class has fewer groups than there are parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    for label, name in enumerate(pool.classes):
        groups = len(np.unique(pool.groups[pool.labels == label]))
        if groups < folds:
            raise UserError(f"class {name!r}: {groups} images or groups for {folds} parts; lower folds, or add images")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    return next(splitter.split(pool.labels, pool.labels, pool.groups))


def defect_counts(available: np.ndarray, rho: float, few: int, total: int) -> np.ndarray:
    """Normal images and defects to train on.

    Parameters
    ----------
    available : array of int, shape (2,)
        What the training part has.
    rho : float
        Normal images for each defect.
    few : int
        So many defects, whatever the ratio (0: as `rho` says).
    total : int
        Images together, at every ratio (0: as many as there are normal ones). Where it would take more defects than
        there are, all of them are taken, and `rho` times as many normal ones: a smaller total.

    Raises
    ------
    UserError
        If no defect would be left, or there are not enough images.
    """
    normal, defect = (int(n) for n in available)
    total = total or normal
    wanted = few or int(total / (1 + rho) + 0.5)
    if wanted < 1:
        raise UserError(f"ratio {rho:g}: of {total} training images none would be a defect; at most {2 * total - 1}")
    if few > defect:
        raise UserError(f"few {few}: the training part has {defect} defects")
    if wanted <= defect:
        counts = np.array([total - wanted, wanted])
    else:
        counts = np.array([int(defect * rho + 0.5), defect])
    if counts[0] > normal or counts.min() < 1:
        way = "lower total, or 0 for all" if counts[0] > normal else "ask for fewer defects, or a larger total"
        raise UserError(f"total {total}: {counts[0]} normal images asked for, the training part has {normal}; {way}")
    return counts


def as_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images (n, h, w, 1 or 3) with as many channels as the target's: grey by ITU-R 601 luma, or repeated."""
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    grey = np.empty((*images.shape[:-1], 1), np.uint8)
    weights = np.array([299, 587, 114], np.uint32)
    for start in range(0, len(images), 1000):  # a set of a gigabyte would need four more for the sums
        part = images[start : start + 1000].astype(np.uint32)
        grey[start : start + 1000, ..., 0] = (part @ weights + 500) // 1000
    return grey
