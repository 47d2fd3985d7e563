"""What paper 3 runs: its arms, its parameters, and the cell."""

from __future__ import annotations

from dataclasses import dataclass

from common import checks
from common.errors import UserError
from common.studies import class_specific_extrapolation_backbone as backbones
from common.studies.class_specific_extrapolation_backbone import Backbone

#: Iterations of extrapolation in the paper ('Iter').
FULL_ITERATIONS = {"cifar10": 19}
WIDE = 4096  # of VGG's own fully connected layers

#: Sampler to the name of its method.
METHODS = {
    "none": "no extrapolation",
    "random": "random",
    "bottom": "bottom",
    "top": "top",
    "asymmetric": "asymmetric",
    "both": "asymmetric and bottom",
    "written": "class-specific, as written",
    "run": "class-specific, as run",
    "two": "class-specific, two pairs",
    "without": "class-specific, no threshold",
    "eos": "EOS-style",
    "smote": "SMOTE",
    "oversampling": "oversampling",
}
#: The five arms of figures 1 and 2.
ARMS = ("none", "random", "bottom", "top", "asymmetric")
BEFORE = "before"  # the network after the backbone's epochs, from which all arms start
ADJUSTED = "logit adjustment"
#: Result columns that no claim pairs by.
NOT_DESIGN = ("rare",)


@dataclass(frozen=True)
class Parameters:
    """What to run; the defaults are the demo profile. Every field is a parameter of the notebook.

    Parameters
    ----------
    dataset : str
        Any name that `data.load` knows; square colour images of at least 32 x 32.
    image_size : int
        Resize images to this height and width (0: as they are).
    samplers : list of str
        Arms, see `METHODS`.
    five_pairs : bool
        The main experiment (figure 1).
    ablation : list of int
        Sizes of the ablation's minor class (figure 2: 1000, 500, 300), with those of the paper's five arms that are in
        `samplers`; empty: none. A size other than `minors` needs a backbone of its own.
    replicates, first_replicate : int
        How many repetitions, and the number of the first.
    iterations, head_epochs : int
        Of extrapolation, and epochs of the head in each.
    amount : float
        New samples of a minor class in each iteration, as a share of its images.
    share, gamma, p_max, tau : float
        Of selected major images; of equation 1; threshold of pair accuracy.
    pairing, distance : str
        See `extrapolation.BiasedExtrapolation`.
    starts : {'all', 'real'}
        Which minor samples later iterations extrapolate from: synthetic ones, too, or images only.
    head_rate : float
        Learning rate of the head, constant.
    majors, minors, held_out, depth, width, hidden, batch_norm, dropout, epochs, batch_size, learning_rate, precision
        Of the backbone, see `Backbone`.
    """

    dataset: str = "shapes"
    image_size: int = 0
    samplers: tuple[str, ...] = ("none", "random", "bottom", "top", "asymmetric", "run", "two", "without")
    five_pairs: bool = True
    ablation: tuple[int, ...] = ()
    replicates: int = 1
    first_replicate: int = 0
    iterations: int = 3
    head_epochs: int = 2
    amount: float = 0.1
    share: float = 0.3
    gamma: float = -0.4
    p_max: float = 0.5
    tau: float = 0.7
    pairing: str = "major"
    distance: str = "boundary"
    starts: str = "all"
    head_rate: float = 0.01
    majors: int = 240
    minors: int = 80
    held_out: int = 40
    depth: int = 16
    width: int = 8
    hidden: int = 64
    batch_norm: bool = True
    dropout: float = 0.0
    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 0.01
    precision: str = "fp32"

    def validate(self) -> None:
        """Raise `UserError` for a value that cannot be run."""
        backbones.validate(self)
        checks.known(self, samplers=METHODS, pairing=("major", "minor"), distance=("boundary", "centre"))
        checks.known(self, starts=("all", "real"))
        checks.at_least(self, replicates=1, first_replicate=0, iterations=1, head_epochs=1)
        checks.positive(self, "amount", "head_rate")
        if "smote" in self.samplers and self.minors < 2:
            raise UserError("minors: 1; SMOTE needs at least 2 images of a class; leave smote out of samplers")
        for size in self.ablation:
            if not 1 <= size < self.majors:
                raise UserError(f"ablation: {size}; expected a size of at least 1 and below majors ({self.majors})")
        for name in ("share", "p_max"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"{name}: {getattr(self, name)}; expected above 0 and at most 1")
        if not 0 <= self.tau <= 1:
            raise UserError(f"tau: {self.tau}; expected an accuracy between 0 and 1")


@dataclass(frozen=True)
class Cell(Backbone):
    """One arm on one backbone (see `Parameters` for the fields).

    `ablation` extrapolates the ablation's pair alone; else all pairs.
    """

    sampler: str = "none"
    ablation: bool = False
    iterations: int = 19
    head_epochs: int = 10
    amount: float = 0.1
    share: float = 0.3
    gamma: float = -0.4
    p_max: float = 0.5
    tau: float = 0.7
    pairing: str = "major"
    distance: str = "boundary"
    starts: str = "all"
    head_rate: float = 0.01
