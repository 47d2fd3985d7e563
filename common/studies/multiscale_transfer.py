"""Paper 5: Liu et al., 'Image classification method on class imbalance datasets using multi-scale CNN and two-stage
transfer learning'.

Only the abstract is public, so this is a reconstruction. One cell is one arm (`multiscale_transfer_protocol.ARMS`) on
one imbalanced training set: two stages of training, from random weights or from those of a source task.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from operator import attrgetter

import numpy as np
import torch

from common import imbalance, mobilenet_weights, networks
from common.cells import Cell as BaseCell
from common.cells import Context, Result
from common.errors import UserError
from common.seeds import seed
from common.studies.multiscale_transfer_deviations import deviations  # noqa: F401 - part of every study module
from common.studies.multiscale_transfer_parameters import Parameters
from common.studies.multiscale_transfer_protocol import (
    ARMS,
    MAPS,
    Arm,
    Pool,
    builder,
    defect_counts,
    divide,
    least_size,
    pool,
    trainable,
)
from common.studies.multiscale_transfer_selection import (  # noqa: F401 - part of every study module
    caveats,
    judged,
    levels,
    remarks,
    summary,
)

STEM = "multiscale_transfer"
VERSION = 1
GROUP = 64  # cells run together on a GPU
#: What the times of cells leave out, for it is made once for many.
UNCOUNTED = "source networks and the maps of the trunk"
#: Words in the name of a class without a defect.
NORMAL = {"ok", "good", "normal", "free", "intact", "healthy", "clean", "pass", "passed", "flawless"}
#: A defect denied in the name of a class, such as no_crack, Non-defective or undamaged; "not ok" denies none.
DENIED = re.compile(
    r"(?<![a-z])(?:no|non|not|without|un)[^a-z]*(?:abnormal|anomal|bad|break|broke|corro|crack|damag|defect|dent|disease|"
    r"error|fail|fault|flaw|fractur|hole|leak|lesion|rust|scratch|stain|tumo)"
)
#: Result columns that no claim pairs by: they only say what was recorded beside the scores.
NOT_DESIGN = ("arm", "explain", "pictures", "n_defects", "n_test", "majority", "source_accuracy", "pretrained")
#: How the notebook runs a reader's own images, as far as that decides which it takes; they are checked by it.
OWN_IMAGES = {"image_size": 64, "ratios": (2,), "arms": ("baseline", "oversampling"), "total": 0}


@dataclass(frozen=True)
class Cell(BaseCell):
    """One arm on one training set (see `Parameters` for the fields); what an arm does not use stays at its default."""

    image_size: int = 0
    imbalance: str = "ratio"  # ratio, few or natural
    rho: float | None = None
    few: int = 0
    arm: str = "baseline"
    network: str = "multiscale"
    width: int = 32
    stem: int = 2
    pooling: str = "average"
    iterations: int = 0
    batch_size: int = 32
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    augment: bool = True
    ensemble: int = 1
    total: int = 0
    folds: int = 2
    source: str = ""
    source_size: int = 0
    source_iterations: int = 0
    related: str = ""
    pretrained: str = ""
    frozen_first: str = ""
    frozen_second: str = ""
    explain: bool = False
    pictures: int = 0
    precision: str = "fp32"
    border: str = "black"  # as before there was a choice; without augmentation, too

    @property
    def plan(self) -> Arm:
        """What the arm does."""
        return ARMS[self.arm]

    @property
    def binary(self) -> bool:
        """Whether defects are one class."""
        return self.imbalance != "natural"


def cells(parameters: Parameters) -> list[Cell]:
    """Replicate by replicate, so that a run cut short is balanced."""
    p = parameters
    settings = [("ratio", float(rho), 0) for rho in p.ratios] + [("few", None, few) for few in p.few]
    settings += [("natural", None, 0)] if p.natural else []
    return [
        Cell(
            dataset=p.dataset, replicate=replicate, image_size=p.image_size, imbalance=kind, rho=rho, few=few, arm=arm,
            network=network, width=p.width, stem=0 if p.pretrained else p.stem, pooling=p.pooling,
            pretrained=p.pretrained, iterations=p.iterations, batch_size=p.batch_size, learning_rate=p.learning_rate,
            weight_decay=p.weight_decay, augment=p.augment and not p.pretrained,
            border=p.border if p.augment and not p.pretrained else "black",
            ensemble=p.ensemble if ARMS[arm].ensemble else 1, total=p.total, folds=p.folds, precision=p.precision,
            frozen_first=p.frozen_first, frozen_second=p.frozen_second, explain=p.explain,
            pictures=p.pictures if p.explain and replicate == 0 else 0, **_start(p, ARMS[arm]),
        )
        for replicate in range(p.first_replicate, p.first_replicate + p.replicates)
        for (kind, rho, few), network, arm in product(settings, p.networks, p.arms)
    ]  # fmt: skip


def _start(p: Parameters, arm: Arm) -> dict:
    """The fields of a cell that say where its weights come from."""
    related = {"related": p.related} if arm.start == "related" else {}
    if arm.start == "scratch" or p.pretrained:
        return related
    return related | {"source": p.source, "source_size": p.source_size, "source_iterations": p.source_iterations}


def group(cell: Cell) -> tuple | None:
    """Cells that start from the same pre-trained network, or look at the same maps."""
    if not cell.source and not cell.related:
        return (cell.dataset, cell.image_size, cell.pretrained) if cell.pretrained else None
    network = (cell.network, cell.width, cell.stem, cell.pooling, cell.pretrained, cell.border)
    return (cell.replicate, *network, cell.source, cell.source_size, cell.source_iterations, cell.related)


def seeds(cell: Cell, member: int = 0) -> dict[str, int]:
    """Separate seeds, by what they decide.

    Split and kept images depend on the replicate alone: arms, ratios and networks share them, and training sets are
    nested in the ratio. Initial weights, order, dropout and augmentation are shared by the arms of one training set.
    Members of an ensemble differ in all but the split and the kept images.
    """
    place = (cell.replicate, cell.imbalance, cell.rho, cell.few)
    run = (*place, member) if member else place
    images = {f"seed_{name}": seed(name, cell.replicate) for name in ("split", "subset")}
    streams = ("resampling", "init", "order", "dropout", "augmentation")
    return images | {f"seed_{name}": seed(name, *run) for name in streams}


@cache
def pool_of(context: Context, dataset: str, image_size: int) -> Pool:
    """All images of a data set, once a process."""
    return pool(context.data(dataset, image_size))


@cache
def weights_of(context: Context, pretrained: str) -> dict[str, np.ndarray]:
    """The weights of the ImageNet trunk; `UserError` if they cannot be had."""
    return mobilenet_weights.load(pretrained, context.options.weights_path(), offline=context.options.offline)


def parts(cell: Cell, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Positions in the pool of the cell's imbalanced training set, and of its test set.

    Raises
    ------
    UserError
        If the data cannot give them.
    """
    images = pool_of(context, cell.dataset, cell.image_size)
    chance = seeds(cell)
    train, test = divide(images, cell.folds, chance["seed_split"])
    if cell.imbalance == "natural":
        return train, test
    labels = images.targets(binary=True)[train]
    counts = defect_counts(np.bincount(labels, minlength=2), cell.rho or 0.0, cell.few, cell.total)
    return train[imbalance.subsample(labels, counts, chance["seed_subset"])], test


def check_normal(dataset: str, classes: tuple[str, ...]) -> None:
    """Raise `UserError` where not the first class is called as normal ones are, but a later one."""

    def sounds_normal(name: str) -> bool:
        words = set(re.findall(r"[a-z]+", name.lower()))
        return bool(DENIED.search(name.lower()) or (words & NORMAL and not words & {"no", "non", "not", "without"}))

    later = [name for name in classes[1:] if sounds_normal(name)]
    if later and not sounds_normal(classes[0]):
        raise UserError(
            f"{dataset}: the first class is taken for the normal one, here {classes[0]!r}, but {later[0]!r} is called "
            f"so; rename its folder so that it comes first, such as '0 {later[0]}'"
        )


def check(cells: list[Cell], context: Context) -> None:
    """Raise `UserError` if a cell cannot be run on its data; before any training."""
    for cell in cells:
        check_normal(cell.dataset, pool_of(context, cell.dataset, cell.image_size).classes)
        images = pool_of(context, cell.dataset, cell.image_size).images
        sizes = {cell.dataset: images.shape[1:3]}
        for name, size in ((cell.source, cell.source_size), (cell.related, cell.image_size)):
            if name:
                sizes[name] = context.data(name, size)[0].images.shape[1:3]
        least = least_size(cell.network, cell.stem)
        if cell.pretrained:
            weights_of(context, cell.pretrained)
        for name, (height, width) in sizes.items():
            if height != width or height < least:
                raise UserError(
                    f"{name}: images of {height} x {width}; {cell.network} with stem {cell.stem} takes square ones of "
                    f"at least {least} x {least} (image_size and source_size resize them)"
                )
        if cell.dataset in (cell.source, cell.related):
            raise UserError(f"{cell.dataset} is source or related task of itself; name another set as source, related")
        parts(cell, context)
    kind = attrgetter("network", "width", "stem", "pooling", "frozen_first", "frozen_second")
    for cell in {kind(cell): cell for cell in cells}.values():
        build = builder(cell, 2, 1)
        build(torch.Generator())  # which says what is wrong with its width or kernels
        for frozen in (cell.frozen_first, cell.frozen_second):
            trainable(build, frozen)


def parameter_count(cell: Cell, context: Context) -> int:
    """Trainable parameters of the cell's network on its data, without a pretrained trunk."""
    channels = MAPS if cell.pretrained else pool_of(context, cell.dataset, cell.image_size).images.shape[-1]
    return networks.n_parameters(builder(cell, 2, channels)(torch.Generator()))


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Train the cells and evaluate each; see `multiscale_transfer_training`."""
    # Imported here, because that module builds on this one.
    from common.studies import multiscale_transfer_training

    yield from multiscale_transfer_training.run(cells, context)
