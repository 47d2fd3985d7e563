"""Paper 5: what a run of it is asked for, and which values cannot be run."""

from __future__ import annotations

from dataclasses import dataclass

from common import checks
from common.errors import UserError
from common.multiscale import POOLING
from common.studies.multiscale_transfer_protocol import ARMS, BORDERS, kernels_of
from common.training import PRECISIONS


@dataclass(frozen=True)
class Parameters:
    """What to run; the defaults are the demo profile. Every field is a parameter of the notebook.

    Parameters
    ----------
    dataset : str
        Any name that `data.load` knows. Its first class is the normal one, all others are defects.
    image_size : int
        Resize images to this height and width (0: as they are).
    ratios : list of float
        Normal images for each defect in the training set.
    few : list of int
        Also training sets with so many defects ('several').
    natural : bool
        Also the set as it is: all its classes, all images of the training part.
    arms : list of str
        Names of `multiscale_transfer_protocol.ARMS`.
    networks : list of str
        multiscale, plain (one 3 x 3 branch of equal width), multiscale-3-5 and the like (those branches), resnet10.
    width, stem, pooling : int, int, str
        Channels of all branches together; stride of the first convolution (1, 2, 4); average or maximum of each map.
    iterations, batch_size, learning_rate, weight_decay
        Updates of both stages together, and Adam's settings.
    augment : bool
        Random mirror images and shifts.
    border : str
        What a shift leaves beyond the image: edge (its outermost pixels, repeated) or black, as in first results.
    ensemble : int
        Networks of the undersampling ensemble.
    total : int
        Training images at every ratio (0: as many as there are normal ones).
    folds : int
        One of so many parts of the set is the test part.
    source, source_size, source_iterations : str, int, int
        The source task: data set, size of its images (0: as they are), updates.
    related : str
        The data set of the second reading: source, related task, target.
    pretrained : str
        Weights of an ImageNet trunk (`mobilenet_weights.load`: imagenet, or the digest of the file given as the option
        `weights`): MobileNet's first convolutions, frozen, under every arm; ImageNet is then the source task, and arms
        that start from scratch or the source are one. Empty: a trunk of its own, trained from pixels.
    frozen_first, frozen_second : str
        Beginnings of the names of parameters that each stage leaves alone, such as "trunk branches".
    explain : bool
        Grad-CAM of the test defects, where the set has masks: the pointing game.
    pictures : int
        Cases of each outcome that the first replicate keeps as pictures.
    replicates, first_replicate : int
        Repetitions, each with another split, training set, initial weights and order.
    precision : str
        fp32 or bf16 (training only; evaluation is in fp32).
    """

    dataset: str = "textures"
    image_size: int = 0
    ratios: tuple[float, ...] = (4,)
    few: tuple[int, ...] = ()
    natural: bool = False
    arms: tuple[str, ...] = ("baseline", "oversampling", "one-stage natural", "two-stage balanced-natural")
    networks: tuple[str, ...] = ("multiscale",)
    width: int = 16
    stem: int = 2
    pooling: str = "average"
    iterations: int = 120
    batch_size: int = 32
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    augment: bool = True
    border: str = "edge"
    ensemble: int = 5
    total: int = 600
    folds: int = 2
    source: str = "shapes"
    source_size: int = 0
    source_iterations: int = 150
    related: str = "textures"
    pretrained: str = ""
    frozen_first: str = ""
    frozen_second: str = ""
    explain: bool = True
    pictures: int = 2
    replicates: int = 1
    first_replicate: int = 0
    precision: str = "fp32"

    def validate(self) -> None:
        """Raise `UserError` for a value that cannot be run."""
        checks.known(self, arms=ARMS, pooling=POOLING, border=BORDERS, precision=PRECISIONS)
        checks.ratios(self, "ratios", of="normal images to defects")
        checks.at_least(self, replicates=1, first_replicate=0, folds=2, few=1, total=0, ensemble=1, pictures=0)
        checks.at_least(self, width=1, stem=1, batch_size=1, iterations=2, source_iterations=1)
        checks.at_least(self, image_size=0, source_size=0, weight_decay=0)
        checks.positive(self, "learning_rate")
        for name in self.arms:
            if self.pretrained and name.startswith(("one-stage", "scratch")):
                raise UserError(
                    f"arms: {name!r} is no arm of its own with pretrained {self.pretrained!r}, where all start from "
                    "ImageNet; baseline and oversampling also give the rows of one stage"
                )
        for name in self.networks:
            if name != "resnet10":
                kernels_of(name)
            elif self.pretrained:
                raise UserError("networks: 'resnet10' takes images, not maps of a pretrained trunk; leave one out")
