"""Does an interpreter satisfy the lock, and the files made from it.

Runs on a bare Python (standard library only, `packaging` if there), because it decides whether anything must be
installed. ``python -m common.environment`` takes one of

- ``--check``: exit 0 when this interpreter has what `requirements.txt` pins, else 1 and the first differences;
- ``--cpu FILE``: the lock without the CUDA packages, for an install with CPU-only torch wheels;
- ``--write``: `environment.yml` for conda from the lock.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from common.paths import ROOT

LOCK = ROOT / "requirements.txt"
CONDA = ROOT / "environment.yml"
PYTHON = ((3, 11), (3, 14))  # from, below: as requires-python in pyproject.toml
CONDA_PYTHON = "3.12"
CUDA_ONLY = re.compile(r"(nvidia-|cuda-|triton\b)")


def pins(text: str) -> Iterator[tuple[str, str, str]]:
    """(name, version, marker) of each line ``name==version ; marker`` of a lock; the marker may be empty."""
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line:
            requirement, _, marker = line.partition(";")
            name, _, version = requirement.partition("==")
            yield name.strip(), version.strip(), marker.strip()


def differences(text: str) -> list[str]:
    """What this interpreter lacks of a lock, one line each; empty when it satisfies it.

    A local label counts as the same version (``2.15.0+cpu`` satisfies ``2.15.0``), and beside a CPU-only torch the
    CUDA packages are not missed.
    """
    if not PYTHON[0] <= sys.version_info[:2] < PYTHON[1]:
        return [f"Python {sys.version.split()[0]}, wanted >=3.11,<3.14"]
    try:
        from packaging.markers import Marker
    except ImportError:  # it is in the lock itself, so the answer is known without it
        return ["packaging is not installed"]
    cpu_only = "+cpu" in (_installed("torch") or "")
    found = []
    for name, version, marker in pins(text):
        if (marker and not Marker(marker).evaluate()) or (cpu_only and CUDA_ONLY.match(name)):
            continue
        installed = _installed(name)
        if installed is None:
            found.append(f"{name} is not installed")
        elif installed.split("+")[0] != version:
            found.append(f"{name} {installed}, wanted {version}")
    return found


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def without_cuda(text: str) -> str:
    """The lock without the packages that only a CUDA build of torch needs."""
    return "".join(line for line in text.splitlines(keepends=True) if not CUDA_ONLY.match(line))


def conda(text: str) -> str:
    """`environment.yml` with the very same pins in its pip section."""
    lines = [
        "# Made from requirements.txt by `python -m common.environment --write`; do not edit.",
        "name: class-imbalance-replications",
        "channels: [conda-forge]",
        "dependencies:",
        f"  - python={CONDA_PYTHON}",
        "  - pip",
        "  - pip:",
    ]
    for name, version, marker in pins(text):
        entry = f"{name}=={version} ; {marker}" if marker else f"{name}=={version}"
        # Single quotes are YAML's only escape-free quoting, and markers hold single quotes: double them.
        lines.append("      - '" + entry.replace("'", "''") + "'" if marker else f"      - {entry}")
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    """The command line described at the top of the module."""
    text = LOCK.read_text(encoding="utf-8")
    if argv == ["--check"]:
        found = differences(text)
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            print(f"{sys.executable}: {'; '.join(found[:3])}{more}")
        return 1 if found else 0
    if argv == ["--write"]:
        CONDA.write_text(conda(text), encoding="utf-8")
        print(f"wrote {CONDA.name}")
        return 0
    if len(argv) == 2 and argv[0] == "--cpu":
        Path(argv[1]).write_text(without_cuda(text), encoding="utf-8")
        return 0
    print("usage: python -m common.environment --check | --cpu FILE | --write", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
