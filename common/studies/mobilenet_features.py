"""Paper 2: Koziarski et al., 'The Choice of Feature Representation in Small-Scale MobileNet-Based Imbalanced Image
Recognition'.

One cell is one classifier: a fold (which class is how frequent, which images stay), an imbalance ratio, a
representation and a resampler. On features a support vector machine is fitted, on images MobileNet is fine-tuned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np

from common import checks, imbalance, mobilenet_weights, training
from common.cells import Cell as BaseCell
from common.cells import Context, Result
from common.errors import UserError
from common.mobilenet import LAST
from common.seeds import seed
from common.studies.mobilenet_features_claims import (  # noqa: F401 - the claims file names them
    claim_best_combination,
    claim_larger_gain_on_features,
    claim_larger_relative_drop,
    claim_only_helper,
    claim_same_random_gain,
)
from common.studies.mobilenet_features_deviations import deviations  # noqa: F401 - part of every study module
from common.studies.mobilenet_features_resampling import METHODS, SAMPLERS
from common.studies.mobilenet_features_selection import (  # noqa: F401 - which of the measured rows count
    EPOCHS,
    FEATURES,
    FINETUNED,
    IMAGE_SIZE,
    IMAGES,
    VARIANTS,
    folds,
    judged,
    levels,
    main_rows,
    remarks,
    selected,
    summary,
)

STEM = "mobilenet_features"
#: 2: machines predict from what was fitted (`common.svm`), because scikit-learn-intelex's own prediction is off on
#: an Intel processor. What was measured before on an AMD EPYC was carried over: those of its machines that were fitted
#: and predicted again had the same scores.
VERSION = 2
#: Of features and fine-tuned networks, which are kept apart from results: raised where these change.
KEPT_VERSION = 1
GROUP = 60  # cells handed to a GPU at a time

#: What the times of cells leave out, for it is made once for many.
UNCOUNTED = "the extraction of features"
#: Result columns that no claim pairs by: `variant` stands for the first five, the others only record.
NOT_DESIGN = ("layer", "pooled", "standardise", "gamma", "image_size", "iterations", "n_resampled", "n_test", "emptied",
              "reason", "svm", "extractor", "resampling_seconds", "support_vectors")  # fmt: skip
#: How the notebook runs a reader's own images, as far as that decides which it takes; they are checked by it.
OWN_IMAGES = {"rhos": (4,), "image_samplers": (), "per_class": 0}


@dataclass(frozen=True)
class Parameters:
    """What to run; the defaults are the demo profile. Every field is a parameter of the notebook.

    Parameters
    ----------
    dataset : str
        Any name that `data.load` knows; images are resized to 64 x 64.
    rhos : list of float
        Imbalance ratios, the paper's IR (equation 1).
    samplers : list of str
        On features; none, oversampling and weighted are one fit of a weighted machine each.
    variants : list of str
        Names of `VARIANTS`, for features.
    image_samplers : list of str
        On images, each a training.
    epochs : float
        Passes over the resampled images in fine-tuning.
    finetuned_samplers : list of str
        On the features of the network that was fine-tuned without resampling.
    replicates, first_replicate : int
        How many folds, and the number of the first; it is the seed of the class order.
    per_class : int
        Training images of the largest class (0: as many as the smallest class of the set has).
    pretrained : str
        random; imagenet, the weights that Keras downloads; or the digest of those in the file given as `weights`.
    alpha : float
        Multiplies MobileNet's channels.
    precision : str
        fp32 or bf16, of fine-tuning.
    """

    dataset: str = "digits"
    rhos: tuple[float, ...] = (10,)
    samplers: tuple[str, ...] = SAMPLERS
    variants: tuple[str, ...] = ("paper",)
    image_samplers: tuple[str, ...] = ("none",)
    epochs: float = 4
    finetuned_samplers: tuple[str, ...] = ()
    replicates: int = 1
    first_replicate: int = 0
    per_class: int = 100
    pretrained: str = mobilenet_weights.RANDOM
    alpha: float = 0.25
    precision: str = "fp32"

    def validate(self) -> None:
        """Raise `UserError` for a value that cannot be run."""
        checks.known(self, samplers=SAMPLERS, image_samplers=SAMPLERS, finetuned_samplers=SAMPLERS)
        checks.known(self, variants=VARIANTS, precision=training.PRECISIONS)
        checks.ratios(self, "rhos")
        checks.at_least(self, replicates=1, first_replicate=0, per_class=0)
        checks.positive(self, "epochs")
        if self.alpha not in (0.25, 0.5, 0.75, 1.0):
            raise UserError(f"alpha: {self.alpha!r}; expected 0.25, 0.5, 0.75 or 1, which Keras has")


@dataclass(frozen=True)
class Cell(BaseCell):
    """One classifier (see `Parameters` for the fields); what only the other representation uses keeps its default.

    `layer`, `pooled`, `standardise`, `gamma` and `image_size` are of features, `epochs` and `precision` of images and
    of fine-tuned features, those of the network that was fine-tuned without resampling.
    """

    representation: str = FEATURES
    imbalance: str = "inverse linear"
    rho: float = 10.0
    sampler: str = "none"
    network: str = "mobilenet"
    pretrained: str = mobilenet_weights.RANDOM
    alpha: float = 1.0
    per_class: int = 0
    image_size: int = IMAGE_SIZE
    layer: str = LAST
    pooled: bool = False
    standardise: bool = False
    gamma: str = "scale"
    epochs: float = float(EPOCHS)
    precision: str = "fp32"

    @property
    def variant(self) -> str:
        """Its name among `VARIANTS`."""
        changed = {f for fields in VARIANTS.values() for f in fields}
        own = {f: getattr(self, f) for f in changed if getattr(self, f) != getattr(Cell, f)}
        return next((name for name, fields in VARIANTS.items() if fields == own), "other")

    @property
    def method(self) -> str:
        """What its rows are called."""
        return METHODS[self.sampler]


def cells(parameters: Parameters) -> list[Cell]:
    """Fold by fold, so that a run cut short is balanced; within one, features first, which cost far less."""
    p = parameters
    common = {"pretrained": p.pretrained, "alpha": p.alpha, "per_class": p.per_class}
    found = []
    for fold in range(p.first_replicate, p.first_replicate + p.replicates):
        for variant, rho, sampler in product(p.variants, p.rhos, p.samplers):
            own = {**common, "rho": float(rho), "sampler": sampler}
            found.append(Cell(p.dataset, fold, representation=FEATURES, **own, **VARIANTS[variant]))
        trained = {**common, "epochs": float(p.epochs), "precision": p.precision}
        for representation, samplers in ((IMAGES, p.image_samplers), (FINETUNED, p.finetuned_samplers)):
            for rho, sampler in product(p.rhos, samplers):
                own = {**trained, "rho": float(rho), "sampler": sampler}
                found.append(Cell(p.dataset, fold, representation=representation, **own))
    return found


def group(cell: Cell):
    """Cells that wait for the same features; None where there is nothing to wait for."""
    if cell.representation == IMAGES:
        return None
    same = replace(cell, sampler="none", gamma="scale", standardise=False)
    return replace(same, replicate=0, rho=1.0) if whole_set(cell) else same


def whole_set(cell: Cell) -> bool:
    """Whether the cell's features are kept of all images: the paper's, which every fold uses."""
    paper = (IMAGE_SIZE, LAST, False)
    return cell.representation == FEATURES and (cell.image_size, cell.layer, cell.pooled) == paper


def seeds(cell: Cell) -> dict[str, int]:
    """Separate seeds, by what they decide.

    The class order depends on the fold alone, and so do the kept images, which makes subsets nested in the ratio.
    Both representations and all resamplers share them, and a fold's networks share initial weights and order.
    """
    fold = cell.replicate
    return {
        "seed_classes": fold,
        "seed_subset": seed("subset", fold),
        "seed_subset_test": seed("subset", fold, "test"),
        "seed_resampling": seed("resampling", fold, cell.rho, cell.sampler) % 2**32,  # imbalanced-learn takes 32 bits
        "seed_init": seed("init", fold, cell.rho),
        "seed_order": seed("order", fold, cell.rho),
    }


def class_counts(cell: Cell, available: np.ndarray, largest: int = 0) -> np.ndarray:
    """Images per class by equations 1 and 2, in label order; the largest class has `largest`, or what all have."""
    order = imbalance.class_order(len(available), seeds(cell)["seed_classes"])
    return imbalance.inverse_linear_counts(len(available), largest or int(available.min()), cell.rho, order)


def fold(cell: Cell, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the fold's training and test images; both parts have the same ratios of class sizes."""
    train, test = context.data(cell.dataset, cell.image_size)
    chance = seeds(cell)
    wanted = class_counts(cell, train.counts, cell.per_class)
    return (
        imbalance.subsample(train.labels, wanted, chance["seed_subset"], train.classes),
        imbalance.subsample(test.labels, class_counts(cell, test.counts), chance["seed_subset_test"], test.classes),
    )


@cache
def weights(pretrained: str, path: str, alpha: float, offline: bool) -> dict[str, np.ndarray]:
    """The weights of `mobilenet_weights.load`, read once a process."""
    return mobilenet_weights.load(pretrained, path, alpha=alpha, offline=offline)


def weights_of(cell: Cell, context: Context) -> dict[str, np.ndarray]:
    """The convolutions that the cell starts from."""
    return weights(cell.pretrained, context.options.weights_path(), cell.alpha, context.options.offline)


def check(cells: list[Cell], context: Context) -> None:
    """Raise `UserError` if a cell cannot be run on its data or with the weights at hand; before any work."""
    for cell in cells:
        weights_of(cell, context)
        fold(cell, context)


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Fit the cells and evaluate each; see `mobilenet_features_svm` and `mobilenet_features_images`."""
    # Imported here, because these modules build on this one.
    from common.studies import mobilenet_features_images, mobilenet_features_svm

    yield from mobilenet_features_svm.run([c for c in cells if c.representation != IMAGES], context)
    yield from mobilenet_features_images.run([c for c in cells if c.representation == IMAGES], context)
