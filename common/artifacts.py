"""Costly intermediate arrays, made once: features of a pre-trained network, a backbone that several cells share.

An artifact is a folder of `.npy` files under `<store>/artifacts/`. It is no result: it can be deleted at any time and
is made anew when next asked for, as is one that is damaged. A lock spares the work of making it twice; that it is
whole rests on the renaming of a finished folder alone, so a network file system without locks between hosts only
costs time.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from common.errors import UserError

LEFT_BEHIND = 3600.0  # seconds after which nobody is taken to be writing a folder still


def artifact(
    root: Path, name: str, fields: Mapping, make: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """The arrays that `make` returns, computed once for the same name and fields, whatever process asks first.

    Whoever asks while another process makes them waits; if that one dies, the next takes over.

    Parameters
    ----------
    root : Path
        The store's folder.
    name : str
        Kind of artifact; begins its folder's name.
    fields : mapping
        Plain values that decide the content, with the data's fingerprint among them.
    make : callable
        No arguments; gives arrays by name. Object arrays are refused.

    Returns
    -------
    dict of read-only memory maps
    """
    content = json.dumps({"name": name, "fields": dict(fields)}, sort_keys=True)
    folder = root / "artifacts" / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:24]}"
    arrays = _whole(folder)
    if arrays is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.with_suffix(".lock"), "w") as lock:
            alone = _locked(lock)
            if alone:
                _remove_left_behind(folder)
            arrays = _whole(folder)
            if arrays is None:
                if folder.exists():
                    warnings.warn(f"{folder.name} in the store is damaged; made anew", stacklevel=2)
                    shutil.rmtree(folder)
                _write(folder, make(), content)
                arrays = _read(folder)
    return arrays


def _remove_left_behind(folder: Path) -> None:
    """What a killed process had begun to write; a lock may not reach other hosts, so nothing that is still new."""
    for begun in folder.parent.glob(f".{folder.name}-*"):
        try:
            if time.time() - begun.stat().st_mtime > LEFT_BEHIND:
                shutil.rmtree(begun, ignore_errors=True)
        except FileNotFoundError:  # it has just got its name
            continue


def _read(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(folder.glob("*.npy"))}


def _whole(folder: Path) -> dict[str, np.ndarray] | None:
    """The arrays in a folder, or None where there is none or it is damaged (cut short, half deleted)."""
    try:
        written = json.loads((folder / "fields.json").read_text())
        arrays = _read(folder)
    except Exception:  # whatever a damaged file makes json or numpy raise, the answer is the same: made anew
        return None
    return arrays if sorted(arrays) == written.get("arrays", sorted(arrays)) else None


def _locked(file) -> bool:
    """Wait for the file's lock, which the system releases when its holder dies; False where there are no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP):
            raise
        return False
    return True


def _write(folder: Path, arrays: Mapping[str, np.ndarray], content: str) -> None:
    """Into a folder of another name first, so that a folder with the final name is complete."""
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise UserError(f"artifact {folder.name}: array {name!r} holds Python objects; expected plain numbers")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, array in arrays.items():
            with open(temporary / f"{name}.npy", "wb") as file:
                np.save(file, np.asarray(array), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        (temporary / "fields.json").write_text(json.dumps({**json.loads(content), "arrays": sorted(arrays)}))
        temporary.chmod(0o755)
        try:
            os.rename(temporary, folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            # Another host made the same in the meantime, behind a lock that did not reach this one: theirs will do.
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
