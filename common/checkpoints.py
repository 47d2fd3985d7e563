"""Where a training stands, written down from time to time, so that a killed one goes on instead of starting again.

A checkpoint's name is a digest of everything that decides the training's numbers, as far as `training.fit_many` can see
that or its caller says so (`identity`); nothing else has to match. It is removed when the training ends. Where a caller
asks for it, the end itself is then held in a file of its own, until what was made of it is in the store: see
`training.fit_many`.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch

from common.atomic import replacing
from common.errors import UserError, reason

EVERY = 60.0  # seconds between two checkpoints: what a kill costs at most, beside the stretch it interrupts
OLD = 30  # days after which nobody is taken to go on from a checkpoint; a training under way renews its own


class Checkpoint:
    """The checkpoint of one training, alone or of a group.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    content : iterable
        What decides the training; see `digest`.
    """

    def __init__(self, folder: Path | None, content=()):
        self._path = None if folder is None else Path(folder) / f"{digest(content)[:24]}.pt"
        self._last = time.monotonic()

    @property
    def files(self) -> tuple[Path, ...]:
        """What there is of it on the disk."""
        return (self._path,) if self._path is not None and self._path.exists() else ()

    def load(self, device: torch.device) -> dict | None:
        """What was saved last, or None; a damaged file is removed and counts as none, with a warning.

        Raises
        ------
        UserError
            If the file cannot be read now: nothing says that it is damaged.
        """
        if not self.files:
            return None
        try:
            return torch.load(self._path, map_location=device, weights_only=True)
        except (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except FileNotFoundError:  # another run has just ended the same training
            return None
        except OSError as error:
            told = f"checkpoint {self._path}: {reason(error)}; try again, or remove it to train from the start"
            raise UserError(told) from None
        except Exception as error:  # a damaged file raises whatever its bytes happen to say
            told = f"checkpoint {self._path}: {reason(error)}; training starts again"
            warnings.warn(told, RuntimeWarning, stacklevel=3)
            self._path.unlink(missing_ok=True)
            return None

    def due(self) -> bool:
        """Whether the last one is old enough."""
        return self._path is not None and time.monotonic() - self._last >= EVERY

    def save(self, state: dict) -> None:
        """Write the state, whole or not at all; where it cannot be written, training goes on without."""
        self._last = time.monotonic()
        try:
            with replacing(self._path) as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:  # torch's writer has errors of its own for a full disk
            told = f"checkpoint {self._path}: {reason(error)}; training goes on without"
            warnings.warn(told, RuntimeWarning, stacklevel=3)

    def clear(self) -> None:
        """Remove it: the training has ended."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def remove_old(folder: Path, days: float = OLD) -> int:
    """Remove the checkpoints, whole or half written, that nobody has touched for so many days; how many there were.

    By age alone: whose a checkpoint is cannot be told from its name, and many a killed run is gone on with.
    """
    before, removed = time.time() - 86_400 * days, 0
    for pattern in ("*.pt", ".*.pt.*"):
        for path in Path(folder).glob(pattern):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:  # its training has just ended
                continue
    return removed


def digest(content: Iterable) -> str:
    """Of dataclasses, plain values, arrays, tensors and dicts of tensors, and of torch's version."""
    found = hashlib.sha256(torch.__version__.encode())
    for part in content:
        _update(found, part)
    return found.hexdigest()


def _update(digest, part) -> None:
    """Add a part to the digest, its kind and size included."""
    if isinstance(part, dict):
        for name, value in part.items():
            _update(digest, name)
            _update(digest, value)
    elif isinstance(part, torch.Tensor):
        _update(digest, part.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    elif hasattr(part, "tobytes"):
        digest.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
    elif hasattr(part, "__dataclass_fields__"):
        _update(digest, {name: getattr(part, name) for name in part.__dataclass_fields__})
    else:
        digest.update(json.dumps(part, sort_keys=True, default=str).encode() + b";")
