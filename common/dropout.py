"""Dropout whose masks belong to a member, an iteration and a layer, not to a device's stream of random numbers.

An element's fate is an integer hash of its index and two key words; the words are drawn from the member's own seed, a
pair for every iteration and layer. So a network drops the same units alone or in a group, on a CPU or a GPU, and a
group needs no random numbers from `torch.func.vmap`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def _scramble(x: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """lowbias32 (C. Wellons, github.com/skeeto/hash-prospector) of int32 `x`, with a key of two words.

    The first word is mixed in before the first round, as usual, and the second between the two rounds: with one word
    alone, the masks of two keys that differ in few bits would be rearrangements of each other.
    """
    x = _xorshift_(x ^ key[0], 16)
    x *= 0x7FEB352D
    x ^= key[1]
    x = _xorshift_(x, 15)
    x *= 0x846CA68B - 2**32  # as a signed number
    return _xorshift_(x, 16)


def _xorshift_(x: torch.Tensor, bits: int) -> torch.Tensor:
    """``x ^= x >> bits`` of unsigned numbers; torch's shift repeats the sign, which the mask takes away."""
    shifted = x >> bits
    shifted &= 2 ** (32 - bits) - 1
    x ^= shifted
    return x


def keep_mask(shape: torch.Size, key: torch.Tensor, rate: float) -> torch.Tensor:
    """Which elements stay, as bool of this shape.

    Elements of images (n, c, h, w) are numbered with the channels last, so that the mask has the memory layout of the
    networks' activations; the number of an element does not depend on how it is stored.

    Parameters
    ----------
    shape : tuple of int
    key : tensor of int32, shape (2,)
    rate : float
        Share that is dropped.
    """
    number = torch.arange(shape.numel(), dtype=torch.int32, device=key.device)
    mask = _scramble(number, key) >= round(rate * 2**32) - 2**31
    if len(shape) == 4:
        n, c, h, w = shape
        return mask.view(n, h, w, c).permute(0, 3, 1, 2)
    return mask.view(shape)


class Dropout(nn.Module):
    """Inverted dropout: in training, an element is zero with probability `rate` and divided by ``1 - rate`` otherwise.

    Parameters
    ----------
    rate : float in [0, 1)

    Attributes
    ----------
    key : tensor of int32, shape (2,)
        Decides the mask. `training.fit_many` sets it before every step; a network that is trained otherwise has to,
        else every step drops the same units. Not part of the state.
    """

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate {rate}: expected a dropout rate in [0, 1)")
        self.rate = rate
        self.register_buffer("key", torch.zeros(2, dtype=torch.int32), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` of any shape, dropped and scaled; in eval mode itself."""
        if not self.training or self.rate == 0:
            return x
        return x * keep_mask(x.shape, self.key, self.rate).to(x.dtype).mul_(1 / (1 - self.rate))

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def layers(network: nn.Module) -> dict[str, Dropout]:
    """The network's dropout layers by name, in order of definition: a layer's place is its position here."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, Dropout)}


def take_keys(generator: np.random.Generator, iterations: int, n_layers: int) -> np.ndarray:
    """Keys for a member's coming iterations, int32 of shape (iterations, n_layers, 2).

    One 64-bit draw each, so the keys do not depend on how many iterations are asked for at a time.
    """
    drawn = generator.integers(0, 2**64, (iterations, n_layers), dtype=np.uint64)
    words = np.stack([drawn & np.uint64(0xFFFFFFFF), drawn >> np.uint64(32)], axis=-1)
    return words.astype(np.uint32).view(np.int32)
