"""The backbone of paper 3: VGG-19 trained on the imbalanced set, and the latents it gives every image.

It costs most of the study's time and all arms share it, so its latents and the state of its fully connected layers are
kept as an artifact. `Backbone` holds all that decides them, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from common import checks, imbalance, training
from common.cells import Cell as BaseCell
from common.cells import Context, chosen, shared
from common.data import Images
from common.errors import UserError
from common.seeds import seed
from common.vgg import DEPTHS, vgg

#: Raised when the same fields give other latents.
VERSION = 1
#: Major and minor class of each pair (figure 3); of other sets, neighbouring labels.
PAIRS = {
    "cifar10": (
        ("airplane", "automobile"),
        ("truck", "ship"),
        ("horse", "deer"),
        ("frog", "bird"),
        ("dog", "cat"),
    )
}
#: The pair of the ablation on the size of the minor class (figure 2); of other sets, the first major and last minor.
ABLATION = {"cifar10": ("airplane", "cat")}
HEAD = "head."


@dataclass(frozen=True)
class Backbone(BaseCell):
    """Everything that decides the latents; `Cell` of the study adds what is done with them.

    Parameters
    ----------
    image_size : int
        Resize images to this height and width (0: as they are).
    majors, minors : int
        Training images of each major and each minor class.
    rare : int
        Training images of the minor class of the ablation's pair (0: as many as of the others).
    held_out : int
        Further training images of every class, on which pair accuracy is measured.
    depth, width, hidden : int
        Of VGG; `hidden` is the width of its two fully connected layers.
    batch_norm : bool
    dropout : float
        Between fully connected layers.
    epochs, batch_size : int
    learning_rate, weight_decay : float
        SGD with momentum .9; the rate falls linearly to 0.
    precision : str
        Of training; latents are computed in fp32.
    """

    image_size: int = 0
    majors: int = 3000
    minors: int = 1000
    rare: int = 0
    held_out: int = 500
    depth: int = 19
    width: int = 64
    hidden: int = 512
    batch_norm: bool = True
    dropout: float = 0.0
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 0.01
    weight_decay: float = 5e-4
    precision: str = "bf16"


def backbone_of(cell: Backbone) -> Backbone:
    """The part of a cell that decides its latents."""
    return Backbone(**shared(Backbone, cell))


# -- which images ------------------------------------------------------------------------------------------------------


def pairs(images: Images) -> list[tuple[int, int]]:
    """Labels of the major and the minor class of each pair; an odd last class is a major without a pair."""
    if images.name in PAIRS:
        return [tuple(images.classes.index(name) for name in pair) for pair in PAIRS[images.name]]
    return [(label, label + 1) for label in range(0, len(images.classes) - 1, 2)]


def ablation_pair(images: Images) -> tuple[int, int]:
    """Labels of the major and the minor class of which the ablation varies the size."""
    if images.name in ABLATION:
        return tuple(images.classes.index(name) for name in ABLATION[images.name])
    return pairs(images)[0][0], pairs(images)[-1][1]


def class_counts(backbone: Backbone, images: Images) -> np.ndarray:
    """Training images per class, in label order."""
    counts = np.full(len(images.classes), backbone.majors, dtype=np.int64)
    counts[[minor for _, minor in pairs(images)]] = backbone.minors
    if backbone.rare:
        counts[ablation_pair(images)[1]] = backbone.rare
    return counts


def kept(backbone: Backbone, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images to train on and of those held out, which do not depend on the size of any class.

    Held-out images come first, so the training sets of one replicate are nested and its held-out images the same.
    """
    chance = seeds(backbone)["seed_subset"]
    apart = imbalance.subsample(images.labels, np.full(len(images.classes), backbone.held_out), chance)
    both = imbalance.subsample(images.labels, class_counts(backbone, images) + backbone.held_out, chance)
    return np.setdiff1d(both, apart), apart


def check(backbone: Backbone, context: Context) -> None:
    """Raise `UserError` if the data cannot give this backbone; before any training."""
    train, test = context.data(backbone.dataset, backbone.image_size)
    for images in (train, test):
        height, width, channels = images.images.shape[1:]
        if height != width or height < 32 or channels != 3:
            raise UserError(
                f"{backbone.dataset}: {images.split} images of {height} x {width} x {channels}; VGG takes square "
                "colour images of at least 32 x 32 (image_size resizes them)"
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(f"{backbone.dataset}: training and test images differ in size; image_size resizes them")
    if not pairs(train):
        raise UserError(f"{backbone.dataset}: {len(train.classes)} class; a pair needs a major and a minor one")
    wanted, there = class_counts(backbone, train) + backbone.held_out, train.counts
    if (short := np.flatnonzero(wanted > there)).size:
        label = short[0]
        raise UserError(
            f"class {train.classes[label]}: {wanted[label]} images asked for ({backbone.held_out} of them held out), "
            f"{there[label]} there are; lower majors, minors or held_out"
        )


# -- training ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Latents:
    """What a trained backbone leaves for the arms.

    Parameters
    ----------
    train, held_out, test : ndarray of float32, shape (n, d)
        Input of the first fully connected layer.
    train_labels, held_out_labels, test_labels : ndarray of int64, shape (n,)
    head : dict
        State of the fully connected layers, by their names in `vgg.VGG`.
    loss_at, loss : ndarray
        Training loss of the backbone over its iterations.
    seconds : float
        Its training took.
    """

    train: np.ndarray
    held_out: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    held_out_labels: np.ndarray
    test_labels: np.ndarray
    head: dict[str, torch.Tensor]
    loss_at: np.ndarray
    loss: np.ndarray
    seconds: float

    @property
    def finite(self) -> bool:
        """Whether the backbone did not diverge."""
        return bool(np.isfinite(self.loss).all() and np.isfinite(self.test).all())


def latents(backbone: Backbone, context: Context) -> Latents:
    """Latents of a backbone: from the store's artifacts, or after training it."""
    images = context.data(backbone.dataset, backbone.image_size)
    content = chosen(backbone) | {"version": VERSION, "data": "-".join(part.fingerprint[:16] for part in images)}
    arrays = context.artifact("latents", content, lambda: _train(backbone, *images, context))
    own = {name.removeprefix(HEAD): array for name, array in arrays.items() if name.startswith(HEAD)}
    head = {name: torch.from_numpy(np.array(array)) for name, array in own.items()}
    rest = {name: array for name, array in arrays.items() if not name.startswith(HEAD)}
    return Latents(**(rest | {"seconds": float(rest["seconds"])}), head=head)


def schedule(backbone: Backbone, n: int) -> training.Schedule:
    """The backbone's epochs over `n` images as iterations."""
    return training.Schedule(
        iterations=max(round(backbone.epochs * n / backbone.batch_size), 1),
        batch_size=backbone.batch_size,
        learning_rate=backbone.learning_rate,
        policy="linear",
        momentum=0.9,
        weight_decay=backbone.weight_decay,
        bias_rate=1.0,
    )


def seeds(backbone: Backbone) -> dict[str, int]:
    """Separate seeds, by what they decide; the sizes of the rare class share them, which pairs them."""
    streams = ("subset", "init", "order", "dropout")
    return {f"seed_{name}": seed(f"backbone {name}", backbone.replicate) for name in streams}


def _train(backbone: Backbone, train: Images, test: Images, context: Context) -> dict[str, np.ndarray]:
    """Arrays of `Latents` by name."""
    positions, apart = kept(backbone, train)
    device = context.options.device
    resident = training.Resident(train.images, train.labels, device)

    def build(generator: torch.Generator) -> torch.nn.Module:
        return vgg(
            generator,
            depth=backbone.depth,
            width=backbone.width,
            hidden=backbone.hidden,
            batch_norm=backbone.batch_norm,
            dropout=backbone.dropout,
            n_classes=len(train.classes),
            size=train.images.shape[1],
        )

    chance = {name: value for name, value in seeds(backbone).items() if name != "seed_subset"}
    member = training.Member(positions, **chance)
    (fitted,) = training.fit_many(
        build,
        resident,
        [member],
        schedule(backbone, len(positions)),
        precision=backbone.precision,
        checkpoints=context.checkpoints,
        identity=("backbone", VERSION, backbone),
    )
    network = training.loaded(build, fitted.state)

    def maps(data: training.Resident, where=None) -> np.ndarray:
        return training.forward(network, data, where, part="maps").cpu().numpy()

    arrays = {
        "train": maps(resident, positions),
        "held_out": maps(resident, apart),
        "test": maps(training.Resident(test.images, test.labels, device)),
        "train_labels": train.labels[positions],
        "held_out_labels": train.labels[apart],
        "test_labels": test.labels,
        "loss_at": fitted.loss_at,
        "loss": fitted.loss,
        "seconds": np.array(fitted.seconds),
    }
    heads = {name: value for name, value in fitted.state.items() if not name.startswith("body.")}
    return arrays | {HEAD + name: value.numpy() for name, value in heads.items()}


def validate(parameters) -> None:
    """Raise `UserError` for a value of the backbone's parameters that cannot be run."""
    checks.at_least(parameters, majors=2, minors=1, held_out=1, width=1, hidden=1, epochs=1, batch_size=1, image_size=0)
    checks.known(parameters, depth=DEPTHS, precision=training.PRECISIONS)
    checks.positive(parameters, "learning_rate")
    if parameters.minors >= parameters.majors:
        raise UserError(
            f"minors: {parameters.minors}; expected fewer than majors ({parameters.majors}), or nothing is imbalanced"
        )
    if not 0 <= parameters.dropout < 1:
        raise UserError(f"dropout: {parameters.dropout}; expected a rate of at least 0 and below 1")
