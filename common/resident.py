"""Images or features that stay on the device, from which every batch is gathered."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cache

import numpy as np
import torch

_HELD: list[Callable] = []


def held(function: Callable) -> Callable:
    """`functools.cache` for a function that gives `Resident` data, until `release`."""
    _HELD.append(cache(function))
    return _HELD[-1]


def release() -> None:
    """Forget what `held` functions gave: a GPU has no room for the data of every job of a long run."""
    for function in _HELD:
        function.cache_clear()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class Resident:
    """Images or features, and labels, kept on the device.

    Parameters
    ----------
    inputs : array or tensor
        uint8 images (n, height, width, channels), scaled by 1 / 256 as they are used; or, used as they are, float
        images (n, channels, height, width) or float features (n, d).
    labels : array of int, shape (n,)
    """

    def __init__(self, inputs, labels, device: str = "cpu"):
        if isinstance(inputs, np.ndarray):
            # A copy, because cached sets are read-only memory maps, which torch cannot share.
            inputs = torch.from_numpy(np.array(inputs))
        if inputs.dtype == torch.uint8:
            inputs = inputs.permute(0, 3, 1, 2)  # a view: memory stays channels-last, the fastest here
        elif inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        self.inputs = inputs.to(device)
        self.labels = torch.as_tensor(np.array(labels), dtype=torch.int64, device=device)
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.labels)

    def labelled(self, labels) -> Resident:
        """The same inputs, in the same memory, with other labels."""
        other = copy(self)
        other.labels = torch.as_tensor(np.array(labels), dtype=torch.int64, device=self.device)
        return other

    def gather(self, positions: torch.Tensor, cut: Callable | None = None) -> torch.Tensor:
        """Inputs at `positions`, as float32 that a network takes; `cut` takes a part of each image first."""
        chosen = self.inputs[positions]
        if cut is not None:
            chosen = cut(chosen)
        return chosen.float().mul_(1 / 256) if chosen.dtype == torch.uint8 else chosen
