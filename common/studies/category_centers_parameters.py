"""Paper 1: what a run of it is asked for, and which values cannot be run."""

from __future__ import annotations

from dataclasses import dataclass

from common import checks, plateau, training
from common.errors import UserError
from common.studies.category_centers_networks import PRETRAINING, PROTOCOLS

IMBALANCES = ("A", "B", "C", "own")
SAMPLERS = ("none", "oversampling")


@dataclass(frozen=True)
class Parameters:
    """What to run; the defaults are the demo profile. Every field is a parameter of the notebook.

    Parameters
    ----------
    dataset : str
        Any name that `data.load` knows; 10 or 100 classes for imbalances A, B and C.
    network : str
        allcnn (table IV) or vgg16 (table III).
    image_size : int
        Resize images to this height and width as they are read (0: as they are).
    input_size : int
        VGG-16: height and width that images are scaled to on the device (0: as they are); 224 in the paper.
    imbalances : list of str
        A, B, C of tables I and II; own: the class sizes of the data as they are.
    samplers : list of str
        none gives D, C and F, oversampling OD, OC and OF.
    count_scale : float
        Share of the images that tables I and II count.
    epoch_scale : float
        Validation accuracy is looked at after as many updates as a pass takes over this share of the images that tables
        I and II count (0: over the images that there are).
    iterations : int
        Weight updates at most; the rule on validation accuracy may end training before.
    plateau : str
        How the learning rate falls at the s-th recession: exponential (0.5 exp(-0.1 s)) or halving (0.5 ** s).
    patience : int
        Recessions that end training.
    batch_size : int
        0: the paper's, 256 for All-CNN and 50 for VGG-16.
    width, hidden, batch_norm : int, int, bool
        All-CNN: channels of its first convolution. VGG-16: width of its fully connected layers; batch normalisation.
    pretraining : str
        VGG-16: nothing (from scratch), imagenet (weights that `pretrained` names), or tiny_imagenet (trained here, a
        stand-in).
    pretraining_iterations : int
        Weight updates on tiny_imagenet.
    replicates, first_replicate : int
        How many repetitions, and the number of the first.
    precision : str
        fp32 or bf16 (training only; evaluation is in fp32).
    pretrained : str
        ImageNet's weights: torchvision's own, downloaded or given by --weights (empty), or the digest of another file
        that --weights names.
    """

    dataset: str = "digits"
    network: str = "allcnn"
    image_size: int = 32
    input_size: int = 0
    imbalances: tuple[str, ...] = ("A",)
    samplers: tuple[str, ...] = SAMPLERS
    count_scale: float = 0.025
    epoch_scale: float = 0.0
    iterations: int = 100
    plateau: str = "exponential"
    patience: int = 8
    batch_size: int = 64
    width: int = 12
    hidden: int = 4096
    batch_norm: bool = False
    pretraining: str = ""
    pretraining_iterations: int = 0
    replicates: int = 1
    first_replicate: int = 0
    precision: str = "fp32"
    pretrained: str = ""

    def validate(self) -> None:
        """Raise `UserError` for a value that cannot be run."""
        checks.known(self, network=PROTOCOLS, imbalances=IMBALANCES, samplers=SAMPLERS, plateau=plateau.RULES)
        checks.known(self, pretraining=PRETRAINING, precision=training.PRECISIONS)
        checks.at_least(self, iterations=1, patience=1, width=1, hidden=1, replicates=1, first_replicate=0)
        checks.at_least(self, image_size=0, input_size=0, batch_size=0, pretraining_iterations=0)
        if not 0 < self.count_scale <= 1:
            raise UserError(f"count_scale: {self.count_scale!r}; expected a share of the counts, 0.1 for a tenth")
        if not 0 <= self.epoch_scale <= 1:
            raise UserError(
                f"epoch_scale: {self.epoch_scale!r}; expected a share of the counts, or 0 for all there are"
            )
        if self.epoch_scale and "own" in self.imbalances:
            raise UserError(f"epoch_scale: {self.epoch_scale!r} with imbalance own, which has no counts; expected 0")
        if self.input_size and (self.network != "vgg16" or self.input_size < 32):
            raise UserError(f"input_size: {self.input_size} for {self.network}; expected 0, or at least 32 for vgg16")
        if self.pretraining and self.network != "vgg16":
            raise UserError(f"pretraining: {self.pretraining!r} is for vgg16; {self.network} is trained from scratch")
        if self.pretrained and self.pretraining != "imagenet":
            raise UserError(
                f"pretrained: {self.pretrained!r} with pretraining {self.pretraining!r}; expected nothing, for only "
                "pretraining imagenet takes weights from a file"
            )
        if self.pretraining == "imagenet" and self.batch_norm:
            raise UserError("pretraining: the ImageNet weights are those of VGG-16 without batch_norm; set it to false")
        if (self.pretraining == "tiny_imagenet") != (self.pretraining_iterations > 0):
            raise UserError(
                f"pretraining_iterations: {self.pretraining_iterations} with pretraining {self.pretraining!r}; "
                "expected a positive number with tiny_imagenet, and 0 without"
            )
