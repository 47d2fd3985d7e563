"""How to run, as opposed to what: the options that every notebook and the command line share."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from common import paths
from common.errors import UserError

PROFILES = ("demo", "reduced", "paper")


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what: none of these decides a result (docs/architecture.md)."""

    profile: str = "demo"
    data: str = ""
    store: str = ""
    device: str = "cpu"
    weights: str = ""
    time_budget: str = field(default="", compare=False)  # jobs of one run differ in it, and share what is loaded
    workers: int = 0
    offline: bool = False
    refresh: bool = False

    def __post_init__(self):
        if self.profile not in PROFILES:
            raise UserError(f"profile {self.profile!r}: expected one of {', '.join(PROFILES)}")
        if self.device not in ("cpu", "cuda"):
            raise UserError(f"device {self.device!r}: expected cpu or cuda")
        if self.device == "cuda":
            import torch

            if not torch.cuda.is_available():
                raise UserError("device 'cuda': torch finds no CUDA device here; use --device cpu")
        if self.workers < 0:
            raise UserError(f"workers {self.workers}: expected 0 (one per core) or a positive number")
        self.seconds()
        store = self.store_path()
        if not paths.standing(store).is_dir():
            raise UserError(f"store {str(store)!r}: no folder, and none can be made there; expected a folder")

    def seconds(self) -> float:
        """The time budget in seconds; infinite when there is none."""
        return parse_duration(self.time_budget) if self.time_budget else float("inf")

    def weights_path(self) -> str:
        """The file of pre-trained weights: `weights`, else IMBALANCE_WEIGHTS, else ""."""
        return self.weights or os.environ.get("IMBALANCE_WEIGHTS", "")

    def store_path(self) -> Path:
        """The store's folder: `store`, from the project's root if relative, else IMBALANCE_STORE, else `.store/`."""
        return paths.ROOT / Path(self.store).expanduser() if self.store else paths.store_root()


def parse_duration(text: str) -> float:
    """Seconds in a duration such as ``90m``, ``1h30m`` or ``45s``."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", str(text).strip())
    if not match or not any(match.groups()):
        raise UserError(f"time budget {text!r}: expected hours, minutes, seconds such as 90m, 1h30m or 45s")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60.0 * minutes + seconds
