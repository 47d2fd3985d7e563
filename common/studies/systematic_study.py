"""Paper 4: Buda et al., 'A systematic study of the class imbalance problem in convolutional neural networks'.

One cell is one training: an imbalance, a sampler, a replicate. Its network gives the sampler's own rows, those with
thresholding, and for over- and undersampling those of two-phase training, whose first phase it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch

from common import checks, imbalance, networks, training
from common.cells import Cell as BaseCell
from common.cells import Context, Result, shared
from common.data import Images
from common.errors import UserError
from common.seeds import seed
from common.studies.systematic_study_claims import (  # noqa: F401 - the claims file names them
    claim_above_baseline,
    claim_below_baseline,
    claim_best_of_all,
    claim_equal_level,
    claim_harder_task,
    claim_hundredfold,
    claim_notably_above_baseline,
    claim_partial_above_both,
    claim_second_phase_where_baseline_better,
    claim_second_phase_where_baseline_worse,
    claim_spread,
    claim_straight,
    claim_two_phase_over_better_baseline,
    claim_two_phase_over_worse_baseline,
)
from common.studies.systematic_study_deviations import deviations  # noqa: F401 - part of every study module
from common.studies.systematic_study_protocols import FULL_ITERATIONS, PROTOCOLS, Protocol, builder, network_of  # noqa: F401
from common.studies.systematic_study_selection import (  # noqa: F401 - what counts
    WEIGHTED,
    chosen,
    counted_replicates,
    judged,
    levels,
    main_rows,
    remarks,
    selected,
    summary,
)

STEM = "systematic_study"
VERSION = 1
GROUP = 256  # networks trained together on a GPU

SAMPLERS = ("none", "oversampling", "undersampling", *WEIGHTED)
RESAMPLED = ("oversampling", "undersampling")  # what a second phase can follow, and what can stop half-way
#: Result columns that no claim pairs by: they say how a network was looked at, or which of several was picked.
NOT_DESIGN = ("repeat", "convergence", "two_phase")
#: How the notebook runs a reader's own images, as far as that decides which it takes; they are checked by it.
OWN_IMAGES = {"image_size": 28, "step_rhos": ()}  # its ratio and classes are what the images allow


@dataclass(frozen=True)
class Parameters:
    """What to run; the defaults are the demo profile. Every field is a parameter of the notebook.

    Parameters
    ----------
    dataset : str
        Any name that `data.load` knows; images are square.
    network : str
        lenet5, allcnn or resnet10 with its schedule and preprocessing (empty: the paper's for the data set).
    image_size : int
        Resize images to this height and width (0: as they are).
    step_rhos, step_mus : list of float
        Step imbalance: all products of imbalance ratio and fraction of minority classes.
    linear_rhos : list of float
        Linear imbalance.
    reduced_to : list of float
        Also over- and undersampling that stops at these ratios, for every step imbalance above them (section 4.5).
    balanced : bool
        Also the balanced set, the reference of every drop.
    original : bool
        Also all training images as they are, the setting of the paper's test error.
    samplers : list of str
        none (baseline and thresholding), oversampling and undersampling (each with thresholding and two-phase
        training), weighted (a loss weighted by class, plain mean), normalised (the same, divided by the weights of a
        batch as torch's weighted mean is).
    replicates, first_replicate : int
        How many repetitions, and the number of the first.
    iterations : int
        Weight updates; the course of the learning rate is compressed to them.
    learning_rates : list of float
        Base rates, each a training (empty: the protocol's first).
    repeats : int
        Trainings of the same set that differ in initial weights and order alone (2 on CIFAR-10 in the paper).
    two_phase : bool
        Whether over- and undersampling are followed by a second phase.
    convergence : int
        Points of the curves of training and test accuracy (figure 8).
    rectified, whiten, width : bool, bool, int
        All-CNN: a ReLU on its last convolution, contrast normalisation and ZCA, channels of its first convolution.
    per_class : int
        Images of the largest class (0: what the paper takes, or what the set has if that is less).
    precision : str
        fp32 or bf16 (training only; evaluation is in fp32).
    """

    dataset: str = "digits"
    network: str = ""
    image_size: int = 0
    step_rhos: tuple[float, ...] = (10, 100)
    step_mus: tuple[float, ...] = (0.5,)
    linear_rhos: tuple[float, ...] = ()
    reduced_to: tuple[float, ...] = ()
    balanced: bool = True
    original: bool = False
    samplers: tuple[str, ...] = ("none", "oversampling", "undersampling")
    replicates: int = 1
    first_replicate: int = 0
    iterations: int = 100
    learning_rates: tuple[float, ...] = ()
    repeats: int = 1
    two_phase: bool = True
    convergence: int = 0
    rectified: bool = True
    whiten: bool = True
    width: int = 96
    per_class: int = 0
    precision: str = "fp32"

    def validate(self) -> None:
        """Raise `UserError` for a value that cannot be run."""
        checks.known(self, samplers=SAMPLERS, network=("", *PROTOCOLS), precision=training.PRECISIONS)
        checks.ratios(self, "step_rhos", "linear_rhos", "reduced_to")
        checks.at_least(self, replicates=1, first_replicate=0, repeats=1, iterations=1, width=1)
        checks.at_least(self, per_class=0, convergence=0, image_size=0)
        checks.positive(self, "learning_rates")
        for mu in self.step_mus:
            if not 0 < mu < 1:
                raise UserError(f"step_mus: {mu!r} is no fraction of classes; expected between 0 and 1")


@dataclass(frozen=True)
class Cell(BaseCell):
    """One training (see `Parameters` for the fields).

    `to_rho` is the ratio of largest to smallest class after resampling (1: balanced; section 4.5).
    """

    image_size: int = 0
    imbalance: str = "none"
    rho: float = 1.0
    mu: float | None = None
    sampler: str = "none"
    to_rho: float = 1.0
    per_class: int = 0
    network: str = "lenet5"
    iterations: int = 10_000
    precision: str = "fp32"
    learning_rate: float | None = None
    repeat: int = 0
    two_phase: bool = True
    convergence: int = 0
    rectified: bool = True
    whiten: bool = True
    width: int = 96

    @property
    def protocol(self) -> Protocol:
        """How its network is trained."""
        return PROTOCOLS[self.network]


def cells(parameters: Parameters) -> list[Cell]:
    """Replicate by replicate, so that a run cut short is balanced; within one, from the reference to the worst."""
    p = parameters
    common = shared(Cell, p) | {"network": p.network or network_of(p.dataset)}
    complete = [(sampler, 1.0) for sampler in p.samplers]
    partial = [sampler for sampler in p.samplers if sampler in RESAMPLED]
    settings = []
    if p.original:
        settings.append(("original", 1.0, None, [("none", 1.0)]))
    if p.balanced:
        settings.append(("none", 1.0, None, [("none", 1.0)]))
    for rho, mu in product(p.step_rhos, p.step_mus):
        reduced = [(sampler, float(to)) for to in p.reduced_to if 1 < to < rho for sampler in partial]
        settings.append(("step", float(rho), float(mu), complete + reduced))
    settings += [("linear", float(rho), None, complete) for rho in p.linear_rhos]
    return [
        Cell(
            replicate=replicate, imbalance=kind, rho=rho, mu=mu, sampler=sampler, to_rho=to_rho, learning_rate=rate,
            repeat=repeat, **common,
        )
        for replicate in range(p.first_replicate, p.first_replicate + p.replicates)
        for kind, rho, mu, samplers in settings
        for sampler, to_rho in samplers
        for rate in (p.learning_rates or (None,))
        for repeat in range(p.repeats)
    ]  # fmt: skip


def schedule(cell: Cell) -> training.Schedule:
    """The paper's schedule in the cell's iterations, at the cell's base rate."""
    full = cell.protocol.schedule
    rate = full.learning_rate if cell.learning_rate is None else cell.learning_rate
    return replace(full, learning_rate=rate).compressed(cell.iterations)


def parameter_count(cell: Cell, context: Context) -> int:
    """Trainable parameters of the cell's network on its data."""
    images, _ = context.data(cell.dataset, cell.image_size)
    return networks.n_parameters(builder(cell.network, images, cell.rectified, cell.width)(torch.Generator()))


def seeds(cell: Cell) -> dict[str, int]:
    """Separate seeds, by what they decide.

    Minority classes and kept images depend on mu and the replicate but not on rho: subsets are nested in rho, and
    drawn anew for each mu, else undersampling at one rho would see the same images for every mu. Initial weights and
    the order of data are shared by the samplers of one imbalanced set, which pairs their comparison.
    """
    profile = (cell.imbalance, cell.mu, cell.replicate)
    setting = (*profile, cell.rho)
    run = (*setting, cell.repeat) if cell.repeat else setting
    images = {f"seed_{name}": seed(name, *profile) for name in ("minority", "subset")}
    images["seed_resampling"] = seed("resampling", *setting, cell.sampler)
    return images | {f"seed_{name}": seed(name, *run) for name in ("init", "order", "dropout", "augmentation")}


def largest_count(cell: Cell, available: np.ndarray) -> int:
    """Training images of the largest class: as asked for, else the paper's or what the data have, if that is less."""
    most = available.max() if cell.protocol.small_are_minority else available.min()
    return cell.per_class or min(cell.protocol.per_class, int(most))


def class_counts(cell: Cell, available: np.ndarray) -> np.ndarray:
    """Training images per class, in label order, of those that are there."""
    n_classes = len(available)
    if cell.imbalance == "original":
        return available
    protocol = cell.protocol
    largest = largest_count(cell, available)
    chance = seeds(cell)["seed_minority"] if protocol.random_minority else None
    if cell.imbalance == "step":
        small = np.flatnonzero(available < largest) if protocol.small_are_minority else ()
        try:
            minority = imbalance.minority_classes(n_classes, cell.mu, chance, small)
        except UserError as error:
            raise UserError(f"step_mus: {error}") from error
        return imbalance.step_counts(n_classes, largest, cell.rho, minority)
    if cell.imbalance == "linear":
        return imbalance.linear_counts(n_classes, largest, cell.rho, imbalance.class_order(n_classes, chance))
    return np.minimum(largest, available) if protocol.small_are_minority else np.full(n_classes, largest)


def check(cells: list[Cell], context: Context) -> None:
    """Raise `UserError` if a cell cannot be run on its data; before any training."""
    for cell in cells:
        train, test = context.data(cell.dataset, cell.image_size)
        height, width = train.images.shape[1:3]
        least = cell.protocol.least_size
        if height != width or height < least or test.images.shape[1:] != train.images.shape[1:]:
            raise UserError(
                f"{cell.dataset}: images of {height} x {width}; {cell.network} takes square ones of at least "
                f"{least} x {least} (image_size resizes them)"
            )
        if cell.network == "allcnn" and height != 32:
            raise UserError(f"{cell.dataset}: images of {height} x {width}; allcnn takes 32 x 32 (image_size 32)")
        imbalance.check_reach(cell.rho, largest_count(cell, train.counts), limited(cell, train))
        counts = class_counts(cell, train.counts)
        imbalance.check_enough(counts, train.counts, train.classes)


def limited(cell: Cell, images: Images) -> str:
    """Which class decides how many training images the largest one has, for messages; "" where none does."""
    smallest = int(images.counts.argmin())
    count = int(images.counts[smallest])
    if cell.per_class or cell.protocol.small_are_minority or largest_count(cell, images.counts) < count:
        return ""
    return f"; every class is cut to the smallest, {images.classes[smallest]!r} with {count} training images"


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Train the cells and evaluate each; see `systematic_study_training`."""
    # Imported here, because that module builds on this one.
    from common.studies import systematic_study_training

    yield from systematic_study_training.run(cells, context)
