"""Where a number comes from: versions, hardware, and a digest of the source."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from common import paths

#: Whose versions stand under 'Provenance'.
PACKAGES = "torch torchvision keras tensorflow numpy pandas scikit-learn scikit-learn-intelex imbalanced-learn".split()


@cache
def code_version() -> str:
    """Digest of the package's source: provenance, shown as 'code changed since', never part of a key."""
    digest = hashlib.sha256()
    for path in sorted((paths.ROOT / "common").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def device_name(device: str) -> str:
    """The processor's or the GPU's name."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of installed packages; "not installed" for the others."""
    rows = {}
    for package in packages:
        try:
            rows[package] = version(package)
        except PackageNotFoundError:
            rows[package] = "not installed"
    return rows
