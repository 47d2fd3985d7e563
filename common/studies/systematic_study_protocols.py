"""What paper 4 does differently on its three data sets: network, schedule, preprocessing, classes (section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from common import catalogue, networks, preprocessing, training
from common.augmentation import Augmentation
from common.data import Images

#: The shorter side of ImageNet's images in the paper, in pixels.
IMAGENET_SIDE = 256
#: Of these a random patch of 224 is seen; other sizes keep the share.
CROP_SHARE = 224 / IMAGENET_SIDE


@dataclass(frozen=True)
class Protocol:
    """One network with the way it is trained.

    Parameters
    ----------
    schedule : Schedule
        The paper's, in full.
    per_class : int
        Images of a majority class.
    random_minority : bool
        Whether minority classes are drawn at random; else they are the lowest labels.
    least_size : int
        Smallest height and width of images that the network takes.
    learning_rates : tuple of float
        Base rates the paper chose from, by the score on the test set; empty where it had one.
    head_alone : bool
        Whether nothing before the head is random, so that the second phase can be trained on features computed once.
    small_are_minority : bool
        Whether classes without `per_class` images are minority in any case; else the smallest class sets the size.
    recall : bool
        Whether recall is stored by class.
    """

    schedule: training.Schedule
    per_class: int
    random_minority: bool
    least_size: int
    learning_rates: tuple[float, ...] = ()
    head_alone: bool = False
    small_are_minority: bool = False
    recall: bool = True


PROTOCOLS = {
    # Section 3.3.1 and table 2.
    "lenet5": Protocol(training.Schedule(), 5_000, True, 16, head_alone=True),
    # Section 3.3.2 and table 3. Dropout before the head is drawn anew at every step, in the second phase, too.
    "allcnn": Protocol(
        training.Schedule(
            iterations=70_000,
            batch_size=256,
            learning_rate=0.05,
            policy="multistep",
            milestones=(40_000, 50_000, 60_000),
            weight_decay=1e-3,
            bias_rate=1.0,
        ),
        5_000,
        False,
        32,
        learning_rates=(0.05, 0.005, 0.0005, 0.00005),
    ),
    # Section 3.3.3.
    "resnet10": Protocol(
        training.Schedule(
            iterations=320_000,
            batch_size=256,
            learning_rate=0.1,
            policy="linear",
            weight_decay=1e-4,
            bias_rate=1.0,
        ),
        1_000,
        True,
        32,
        small_are_minority=True,
        recall=False,
    ),
}
#: The network that the paper uses on a data set, and on what stands in for it.
NETWORK_OF = {"cifar10": "allcnn", "cifar100": "allcnn", "shapes": "allcnn", "imagenet": "resnet10"}
NETWORK_OF["tiny_imagenet"] = "resnet10"


def network_of(dataset: str) -> str:
    """Name of the protocol for a data set; LeNet-5 for any that the paper does not name."""
    return NETWORK_OF.get(dataset, "lenet5")


def side(dataset: str, image_size: int) -> int | None:
    """Height and width of a known set's images in pixels, where `image_size` is asked for (0: the set's own)."""
    known = catalogue.SETS.get(dataset)
    return image_size or (known.fit.shape[0] if known else None)


#: Iterations of the paper's schedule by data set (section 3.3).
FULL_ITERATIONS = {
    name: PROTOCOLS[network_of(name)].schedule.iterations for name in ("mnist", "cifar10", "imagenet", "tiny_imagenet")
}


def builder(network: str, images: Images, rectified: bool, width: int) -> Callable[[torch.Generator], torch.nn.Module]:
    """Generator to initialised network for these images."""
    _, size, _, channels = images.images.shape
    n_classes = len(images.classes)
    if network == "lenet5":
        return lambda generator: networks.caffe_xavier_(networks.LeNet5(n_classes, channels, size), generator)
    if network == "allcnn":
        return lambda generator: networks.caffe_xavier_(
            networks.AllCNN(n_classes, channels, rectified, width), generator
        )
    return lambda generator: networks.kaiming_(networks.ResNet10(n_classes), generator)


def residents(
    network: str, train: Images, test: Images, whiten: bool, device: str
) -> tuple[training.Resident, training.Resident]:
    """Training and test images on the device, preprocessed as the paper says.

    All-CNN gets global contrast normalisation and ZCA whitening, fitted on the full balanced training set, as the
    author did (section 3.3.2; `whiten` False leaves both out); the others get pixels / 256.
    """
    if network != "allcnn" or not whiten:
        return tuple(training.Resident(part.images, part.labels, device) for part in (train, test))
    whitener = preprocessing.GCNZCA().fit(train.images)
    return tuple(training.Resident(whitener.transform(part.images), part.labels, device) for part in (train, test))


def augmentation(network: str, size: int) -> Augmentation:
    """What training sees of an image: on ImageNet random patches, mirrored half of the time."""
    return Augmentation(crop=round(size * CROP_SHARE), mirror=True) if network == "resnet10" else Augmentation()


def test_crop(network: str, size: int) -> int:
    """Height and width of the centred patch that is evaluated (0: the image)."""
    return round(size * CROP_SHARE) if network == "resnet10" else 0


@cache
def halves(n: int) -> np.ndarray:
    """Which half of the test set an image belongs to, drawn once for each size of test set; shape (n,), 0 or 1.

    Choosing a learning rate on one half and reporting the other is the clean version of the paper's choice on the whole
    test set: it costs no training image.
    """
    return np.random.default_rng(n).permutation(n) % 2
