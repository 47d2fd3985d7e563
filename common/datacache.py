"""Decoding a data set once: rows of any source become a memory map in canonical order with its fingerprint.

Everything that `common.data` reads passes through here, whatever layout it came from, so two layouts of the same images
end in the same arrays and the same fingerprint.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from common.decoding import Fit, Row, decode, resolve
from common.errors import UserError

CACHE_FORMAT = 1  # raise when what is stored, or how images are fitted, changes
BATCH = 256  # images decoded at a time; bounds memory whatever the size of the set
STALE = 24 * 3600  # seconds after which an unfinished build is taken for abandoned


@dataclass(frozen=True)
class Rows:
    """What a source holds.

    Class names, number of images, the rows (iterable again and again), whether there are masks, and, where the images
    are already in their final shape, the fit that says so.
    """

    classes: tuple[str, ...]
    n: int
    rows: Iterable[Row]
    masks: bool = False
    fit: Fit | None = None


@dataclass(frozen=True)
class Source:
    """Files that decide the content, and how to read them. Listing is cheap; `read` is called on a cache miss only."""

    files: tuple[str, ...]
    read: Callable[[], Rows]
    version: str = ""


@dataclass(frozen=True)
class Entry:
    """A decoded set: read-only arrays, class names and fingerprint."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    fingerprint: str
    masks: np.ndarray | None
    groups: np.ndarray | None


def fetch(root: Path, name: str, split: str, source: Source, fit: Fit) -> Entry:
    """The decoded set from the cache under `root`, decoded now if it is not there or damaged."""
    # Of two entries of the same place, read as the same, the newer replaces the older.
    folders = sorted({os.path.dirname(file) for file in source.files})
    place = f"{_file_name(name)}-{split}-{_digest([*_reading(name, split, fit), folders])[:8]}"
    folder = root / "data" / f"{place}-{files_digest(name, split, source, fit)[:16]}"
    entry = _open(folder)
    if entry is None:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _sweep(folder.parent)
            temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
        except OSError as error:
            raise UserError(f"cannot write the cache of decoded data: {error}; set IMBALANCE_CACHE elsewhere") from None
        try:
            _build(temporary, name, split, source, fit)
            _move(temporary, folder)
            for older in folder.parent.glob(f"{place}-*"):  # of the files as they were before
                if older != folder:
                    shutil.rmtree(older, ignore_errors=True)
        except OSError as error:  # a full disk, most likely
            raise UserError(f"{name}: decoding into the cache {folder.parent} failed: {error}") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        entry = _open(folder)
        if entry is None:
            raise UserError(
                f"{name}: the cache {folder} cannot be read back; delete it or set IMBALANCE_CACHE elsewhere"
            )
    return entry


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:60]


def files_digest(name: str, split: str, source: Source, fit: Fit) -> str:
    """A digest of names, sizes and times of a source's files and of how they are read; nothing is decoded."""
    try:
        stats = [(path, os.stat(path)) for path in source.files]
    except OSError as error:
        raise UserError(f"{name}: cannot read {error.filename} ({error.strerror})") from None
    for path, status in stats:
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise UserError(f"{name}: {path} is no regular file; remove it")
    states = [(path, status.st_size, status.st_mtime_ns) for path, status in stats]
    return _digest([CACHE_FORMAT, source.version, *_reading(name, split, fit), states])


def _reading(name: str, split: str, fit: Fit) -> list:
    """What is read, and how it is fitted."""
    return [name, split, fit.kind, fit.channels, fit.size, fit.native]


def _digest(parts: list) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _open(folder: Path) -> Entry | None:
    """The entry in `folder`, or None where there is none or it is damaged (cut short, half deleted, other format)."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        masks = np.load(folder / "masks.npy", mmap_mode="r", allow_pickle=False) if meta["masks"] else None
        with np.load(folder / "labels.npz", allow_pickle=False) as file:
            labels = file["labels"]  # npz members carry a CRC
            groups = file["groups"] if "groups" in file else None
        intact = (
            list(images.shape) == meta["shape"]
            and images.dtype == np.uint8
            and labels.dtype == np.int64
            and labels.shape == images.shape[:1]
            and (masks is None or (masks.shape == images.shape[:3] and masks.dtype == bool))
        )
        if not intact:
            return None
        # Plain arrays over the maps: the memmap class costs time at every small slice and brings nothing here.
        masks = None if masks is None else np.asarray(masks)
        return Entry(np.asarray(images), labels, tuple(meta["classes"]), meta["fingerprint"], masks, groups)
    except Exception:  # whatever a damaged file makes json, zipfile or numpy raise, the answer is the same: rebuild
        return None


def _sweep(folder: Path) -> None:
    """Remove what killed builds left behind; for ImageNet that is many gigabytes."""
    for left in (*folder.glob(".building-*"), *folder.glob(".damaged-*")):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            if time.time() - left.stat().st_mtime > STALE:
                shutil.rmtree(left, ignore_errors=True)


def _move(temporary: Path, folder: Path) -> None:
    """Rename into place; a damaged older entry is first moved out of the way."""
    try:
        os.rename(temporary, folder)
    except OSError:
        if _open(folder) is not None:  # another process built the same entry meanwhile
            return
        discard = Path(tempfile.mkdtemp(prefix=".damaged-", dir=folder.parent))
        os.rename(folder, discard / "entry")
        shutil.rmtree(discard, ignore_errors=True)
        os.rename(temporary, folder)


def _build(folder: Path, name: str, split: str, source: Source, fit: Fit) -> None:
    """Decode every row, sort into canonical order, fingerprint, and write the entry's files into `folder`."""
    rows = source.read()
    if rows.n == 0:
        raise UserError(f"{name}: the {split} set is empty")
    with warnings.catch_warnings():
        # PIL only warns up to twice its pixel limit; one image that large is a mistake or an attack.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        fit = rows.fit or resolve(fit, rows.rows)
        shape = (rows.n, *fit.shape, fit.channels)
        raw = np.lib.format.open_memmap(folder / "raw.npy", mode="w+", dtype=np.uint8, shape=shape)
        raw_masks = None
        if rows.masks:
            raw_masks = np.lib.format.open_memmap(folder / "raw_masks.npy", mode="w+", dtype=bool, shape=shape[:3])
        keys, names, start = [], [], 0
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for batch in _batches(rows.rows):
                for i, (pixels, mask) in enumerate(pool.map(lambda row: decode(row, fit, rows.masks), batch), start):
                    raw[i] = pixels
                    digest = hashlib.sha1(pixels, usedforsecurity=False).digest()
                    tie = b""
                    if rows.masks:
                        raw_masks[i] = mask
                        tie = hashlib.sha1(mask, usedforsecurity=False).digest()
                    keys.append((digest, batch[i - start].label, tie))
                names += [row.group for row in batch]
                start += len(batch)
    order = np.array(sorted(range(rows.n), key=keys.__getitem__))
    labels = np.array([keys[i][1] for i in order], dtype=np.int64)
    counts = np.bincount(labels, minlength=len(rows.classes))
    if (counts == 0).any():
        missing = ", ".join(repr(rows.classes[c]) for c in np.flatnonzero(counts == 0)[:5])
        raise UserError(f"{name}: class without images in the {split} set: {missing}; every class needs at least one")

    hasher = hashlib.sha256(json.dumps([list(shape), list(rows.classes)]).encode())
    hasher.update(labels.astype("<i8").tobytes())
    _reorder(raw, order, folder / "images.npy", hasher.update)
    if raw_masks is not None:
        _reorder(raw_masks, order, folder / "masks.npy")
    del raw, raw_masks
    for leftover in ("raw.npy", "raw_masks.npy"):
        (folder / leftover).unlink(missing_ok=True)
    arrays = {"labels": labels}
    if any(names):  # numbered in canonical order, so that the numbers do not depend on the layout either
        number = {name: k for k, name in enumerate(dict.fromkeys(names[i] for i in order))}
        arrays["groups"] = np.array([number[names[i]] for i in order], dtype=np.int64)
    np.savez(folder / "labels.npz", **arrays)
    meta = dict(shape=list(shape), classes=list(rows.classes), fingerprint=hasher.hexdigest(), masks=rows.masks)
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    for path in folder.iterdir():  # on disk before the rename makes them visible
        with open(path, "rb+") as file:
            os.fsync(file.fileno())


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch


def _reorder(array: np.ndarray, order: np.ndarray, path: Path, update: Callable | None = None) -> None:
    """Write `array[order]` to `path` piece by piece."""
    out = np.lib.format.open_memmap(path, mode="w+", dtype=array.dtype, shape=array.shape)
    for start in range(0, len(order), 4 * BATCH):
        piece = array[order[start : start + 4 * BATCH]]
        out[start : start + len(piece)] = piece
        if update:
            update(np.ascontiguousarray(piece))
    out.flush()
