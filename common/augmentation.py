"""Random crops and mirror images, drawn for each member from a stream of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from common.errors import UserError


@dataclass(frozen=True)
class Augmentation:
    """What training sees of an image; the default is the image itself.

    Buda et al. (section 3.3.3) crop 224 of 256 pixels at random and mirror at random, with ``Augmentation(224, True)``.

    Parameters
    ----------
    crop : int
        Height and width of a patch at a random position (0: as large as the image).
    mirror : bool
        Mirror left and right with probability one half.
    pad : int
        Rows and columns of zeros added on every side before the crop.
    flip : bool
        Turn upside down with probability one half: for surfaces, which have no up.
    """

    crop: int = 0
    mirror: bool = False
    pad: int = 0
    flip: bool = False

    def __post_init__(self):
        if self.crop < 0 or self.pad < 0:
            raise UserError(f"crop {self.crop}, pad {self.pad}: expected numbers of pixels, at least 0")

    def __bool__(self) -> bool:
        return bool(self.crop or self.mirror or self.pad or self.flip)

    def patch(self, shape) -> tuple[int, int]:
        """Height and width of a patch of inputs of shape (n, channels, height, width).

        Raises
        ------
        UserError
            If the inputs are no images, or smaller than the patch.
        """
        if len(shape) != 4:
            raise UserError(f"augmentation of inputs of shape {tuple(shape)}: expected images in four dimensions")
        height, width = shape[2:]
        if self.crop > min(height, width) + 2 * self.pad:
            raise UserError(f"crop {self.crop}: images have {height} x {width} pixels, padded by {self.pad}")
        return self.crop or height, self.crop or width

    def take(self, generator: np.random.Generator, count: int, shape) -> np.ndarray:
        """Top, left and turn of the next `count` patches, int64 of shape (count, 3).

        The turn is 1 for mirrored, 2 for upside down, 3 for both. Three floats are drawn a patch, so the stream does
        not depend on how it is read.
        """
        height, width = self.patch(shape)
        turns = (1 + self.mirror) * (1 + self.flip)
        choices = [shape[2] + 2 * self.pad - height + 1, shape[3] + 2 * self.pad - width + 1, turns]
        drawn = (generator.random((count, 3)) * choices).astype(np.int64)
        drawn[:, 2] *= 1 if self.mirror else 2  # flips alone are turns 0 and 2
        return drawn

    def cut(self, images: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
        """The patches `views` (n, 3), as `take` gives them, of `images` (n, channels, height, width).

        Without augmentation, `images` themselves, which then may also be features.
        """
        if not self:
            return images
        height, width = self.patch(images.shape)
        if self.pad:
            images = self.padded(images)
        rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
        rows = views[:, 0, None] + torch.where(views[:, 2, None] >= 2, height - 1 - rows, rows)
        columns = views[:, 1, None] + torch.where(views[:, 2, None] % 2 == 1, width - 1 - columns, columns)
        number = torch.arange(len(images), device=images.device)[:, None, None]
        # Indices on both sides of a slice put the slice last: the patches lie in memory with their channels last.
        return images[number, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def padded(self, images: torch.Tensor) -> torch.Tensor:
        """Images (n, channels, height, width) with `pad` rows and columns more on every side."""
        return functional.pad(images, (self.pad,) * 4)


@dataclass(frozen=True)
class EdgeAugmentation(Augmentation):
    """The same views, but what is added on every side repeats the image's outermost pixels instead of zeros.

    A class of its own, because checkpoints are known by the fields of what decides a training: one more field in
    `Augmentation` would void those of all studies. `border` tells the checkpoints of the two apart.
    """

    border: str = "edge"

    def padded(self, images: torch.Tensor) -> torch.Tensor:
        """Images with their edge repeated; by indices, for torch repeats edges of floats alone."""
        rows, columns = (
            torch.arange(-self.pad, side + self.pad, device=images.device).clamp(0, side - 1)
            for side in images.shape[2:]
        )
        return images[:, :, rows][:, :, :, columns]


def centred(images: torch.Tensor, crop: int) -> torch.Tensor:
    """The central `crop` x `crop` pixels of images (n, channels, height, width); 0: all."""
    if not crop:
        return images
    height, width = Augmentation(crop).patch(images.shape)
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]
