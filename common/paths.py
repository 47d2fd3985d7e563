"""Where things are. Everything else imports these names instead of building paths."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
REPORTS = ROOT / "reports"
RESULTS = REPORTS / "results"
PUBLISHED = ROOT / "common" / "published"


def _resolve(argument: str | os.PathLike | None, variable: str, default: str) -> Path:
    """`argument`, else the environment variable, else `default`; relative paths of the last count from ROOT."""
    if argument:
        return Path(argument).expanduser().resolve()
    if os.environ.get(variable):
        return Path(os.environ[variable]).expanduser().resolve()
    return ROOT / default


def data_root(argument=None) -> Path:
    """Folder with one subfolder per data set (`--data`, else IMBALANCE_DATA, else `data/`)."""
    return _resolve(argument, "IMBALANCE_DATA", "data")


def store_root(argument=None) -> Path:
    """Folder of finished cells (`--store`, else IMBALANCE_STORE, else `.store/`)."""
    return _resolve(argument, "IMBALANCE_STORE", ".store")


def standing(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    return next(one for one in (path, *path.parents) if os.path.lexists(one))


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where it is not there yet.

    One is made, and gone at once: permissions alone do not tell, such as those of an administrator or a network drive.
    """
    there = standing(folder)
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return False
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError as error:
        return error.errno == errno.ENOSPC  # a full disk may have room again; what is kept there says so otherwise


def cache_root() -> Path:
    """Folder of decoded data sets (IMBALANCE_CACHE, else `.cache/`); may be deleted at any time."""
    return _resolve(None, "IMBALANCE_CACHE", ".cache")
