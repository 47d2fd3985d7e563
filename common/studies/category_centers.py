"""Paper 1: Zhang et al., 'Image classification with category centers in class imbalance situation'.

One cell is one training: an imbalance, with or without oversampling, a replicate. Its network gives the rows of its own
last layer (D), of centres of its features (C, F), of their ablations, and of the classifiers of decoupled training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from common import imbalance
from common.cells import Cell as BaseCell
from common.cells import Context, Result, shared
from common.errors import UserError
from common.seeds import seed
from common.studies.category_centers_claims import (  # noqa: F401 - the claims file names them
    claim_absolute_count,
    claim_few_below_many,
    count_classification_layer_saved,
    count_parameters_saved,
)
from common.studies.category_centers_deviations import deviations  # noqa: F401 - part of every study module
from common.studies.category_centers_parameters import Parameters
from common.studies.category_centers_selection import (  # noqa: F401 - what counts, and what a verdict has to say
    departures,
    judged,
    main_rows,
    remarks,
    selected,
    summary,
    unjudged,
)

STEM = "category_centers"
VERSION = 1
GROUP = 36  # networks in memory together on a GPU

UNCOUNTED = "pre-training, and the classifiers on the features of a trained network"  # in the times of its cells

#: Fields of a cell that do not concern a network.
OTHERS = {"allcnn": ("hidden", "batch_norm"), "vgg16": ("width",)}
#: Result columns that no claim pairs by: they say how a training went.
NOT_DESIGN = ("epochs", "recessions", "iterations_done", "ended_by", "tau", "n_valid", "batch_size", "weight_decay")
OWN_VALID = 5  # of a folder's own images, one in so many is for validation, as in tables I and II
#: How the notebook runs a reader's own images, as far as that decides which it takes; they are checked by it.
OWN_IMAGES = {"imbalances": ("own",)}


@dataclass(frozen=True)
class Cell(BaseCell):
    """One training (see `Parameters` for the fields)."""

    image_size: int = 0
    input_size: int = 0
    network: str = "allcnn"
    imbalance: str = "A"
    sampler: str = "none"
    count_scale: float = 1.0
    epoch_scale: float = 0.0
    iterations: int = 40_000
    plateau: str = "exponential"
    patience: int = 8
    batch_size: int = 0
    width: int = 96
    hidden: int = 4096
    batch_norm: bool = False
    pretraining: str = ""
    pretraining_iterations: int = 0
    precision: str = "fp32"
    pretrained: str = ""


def cells(parameters: Parameters) -> list[Cell]:
    """Replicate by replicate, so that a run cut short is balanced; the two arms of an imbalance next to each other."""
    p = parameters
    common = shared(Cell, p) | {"count_scale": float(p.count_scale), "epoch_scale": float(p.epoch_scale)}
    # What the network does not have decides nothing, so no value of it makes another cell.
    common |= {name: getattr(Cell, name) for name in OTHERS[p.network]}
    return [
        Cell(replicate=replicate, imbalance=kind, sampler=sampler, **common)
        for replicate in range(p.first_replicate, p.first_replicate + p.replicates)
        for kind, sampler in product(p.imbalances, p.samplers)
    ]


def group(cell: Cell):
    """Cells that share a backbone trained here: one makes it, the others wait."""
    if cell.pretraining != "tiny_imagenet":
        return None
    return (cell.dataset, cell.image_size, cell.input_size, *pretraining_fields(cell).values())


def pretraining_fields(cell: Cell) -> dict:
    """What decides a backbone trained on tiny_imagenet, beside its images."""
    names = ("hidden", "batch_norm", "pretraining_iterations", "precision")
    return {name: getattr(cell, name) for name in names}


def seeds(cell: Cell) -> dict[str, int]:
    """Separate seeds, by what they decide.

    Kept images, initial weights and order of data are shared by both samplers, which pairs D with OD. A smaller
    `count_scale` keeps a part of the larger one's images.
    """
    setting = (cell.imbalance, cell.replicate)
    streams = ("subset", "resampling", "init", "order", "dropout", "stability")
    return {f"seed_{name}": seed(name, *setting) for name in streams}


def class_counts(cell: Cell, labels: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation images per class, in label order (tables I and II times `count_scale`)."""
    if cell.imbalance == "own":
        available = np.bincount(labels, minlength=n_classes)
        valid = np.maximum(available // OWN_VALID, 1)
        return available - valid, valid
    train, valid = imbalance.category_centers_counts(cell.imbalance, n_classes)
    return tuple(np.maximum(np.floor(cell.count_scale * part + 0.5).astype(np.int64), 1) for part in (train, valid))


def epoch(cell: Cell, labels: np.ndarray, n_classes: int, batch_size: int) -> int:
    """Updates between two looks at validation accuracy.

    A pass over the images themselves, so both samplers get the same number. With a tenth of the images the rule would
    else end training after a tenth of the updates, and the number of images could not be told from that of updates.
    """
    counted = replace(cell, count_scale=cell.epoch_scale) if cell.epoch_scale else cell
    return -(-int(class_counts(counted, labels, n_classes)[0].sum()) // batch_size)


def split(cell: Cell, labels: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the training and of the validation images, disjoint, both from the official training split."""
    train, valid = class_counts(cell, labels, n_classes)
    chance = seeds(cell)["seed_subset"]
    # One seed orders each class once, so the training images are the first of those that both splits take.
    both = imbalance.subsample(labels, train + valid, chance)
    first = imbalance.subsample(labels, train, chance)
    return first, np.setdiff1d(both, first, assume_unique=True)


def rare(cell: Cell, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Which classes have few training images: fewer than the mean class; bool of shape (n_classes,).

    Five of ten in A and C, six in B: those of the lower rows of tables I and II.
    """
    train, _ = class_counts(cell, labels, n_classes)
    return train < train.mean()


def parameter_count(cell: Cell, context: Context) -> int:
    """Trainable parameters of the cell's network on its data."""
    import torch

    from common.networks import n_parameters
    from common.studies.category_centers_networks import builder

    images, _ = context.data(cell.dataset, cell.image_size)
    build = builder(cell, images.images.shape[1:], len(images.classes), ((0.0,), (1.0,)))
    return n_parameters(build(torch.Generator()))


def check(cells: list[Cell], context: Context) -> None:
    """Raise `UserError` if a cell cannot be run on its data; before any training."""
    from common.studies.category_centers_pretraining import pretrained, pretraining_images

    for cell in cells:
        train, test = context.data(cell.dataset, cell.image_size)
        height, width, channels = train.images.shape[1:]
        if height != width or test.images.shape[1:] != train.images.shape[1:]:
            raise UserError(f"{cell.dataset}: images of {height} x {width}; expected square ones (image_size resizes)")
        if cell.network == "allcnn" and height != 32:
            raise UserError(f"{cell.dataset}: images of {height} x {width}; allcnn takes 32 x 32 (image_size 32)")
        size = cell.input_size or height
        if cell.network == "vgg16" and (size < 32 or channels != 3):
            raise UserError(
                f"{cell.dataset}: images of {height} x {width} x {channels}; vgg16 takes colour images of at least "
                "32 x 32 (input_size scales them)"
            )
        n_classes = len(train.classes)
        if n_classes < 3:
            raise UserError(f"{cell.dataset}: {n_classes} classes; expected at least 3")
        if cell.imbalance != "own" and n_classes not in (10, 100):
            raise UserError(
                f"{cell.dataset}: {n_classes} classes; imbalance {cell.imbalance} is one of 10 or 100 classes, "
                "imbalances=[own] takes their sizes as they are"
            )
        counts, valid = class_counts(cell, train.labels, n_classes)
        lacking = np.flatnonzero((counts < 1) | (counts + valid > train.counts))
        if len(lacking):
            label = lacking[0]
            if cell.imbalance == "own":
                raise UserError(
                    f"{cell.dataset}: class {train.classes[label]!r} has one image in the training part; expected at "
                    "least 2, one to train and one to validate"
                )
            raise UserError(
                f"{cell.dataset}: class {train.classes[label]!r} has {train.counts[label]} images; imbalance "
                f"{cell.imbalance} takes {max(counts[label], 1)} to train and {valid[label]} to validate "
                f"(count_scale {cell.count_scale:g}, lower it where it helps)"
            )
        if cell.pretraining == "tiny_imagenet":
            pretraining_images(cell, context)
    for cell in [cell for cell in cells if cell.pretraining == "imagenet"][:1]:
        pretrained(cell, context)


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Train the cells and evaluate each; see `category_centers_training`."""
    # Imported here, because that module builds on this one.
    from common.studies import category_centers_training

    yield from category_centers_training.run(cells, context)
