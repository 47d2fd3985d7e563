"""What was measured, kept: finished cells on disk, over the committed results.

A finished cell is one JSON file ``<root>/<stem>/<key>.json``, written under a temporary name, synced and renamed, so a
kill at any moment leaves either the whole record or none. That needs no lock, so several runs, also on several hosts
that share the folder, write to it at once: of two that finish the same cell, the later replaces the equal record of the
earlier. The committed parquet files are a read-only lower layer: a fresh clone already knows what was measured. A file
that is not what was written is set aside and its cell runs again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import warnings
from contextlib import suppress
from pathlib import Path

import pandas as pd

from common import paths
from common.atomic import replacing
from common.errors import UserError

CURVE_COLUMNS = ["key", "method", "curve", "x", "y"]
#: Columns that every result has (docs/architecture.md), so that code may name them before anything was measured.
COLUMNS = (
    "key study version profile dataset stand_in network imbalance rho mu sampler to_rho method prior replicate "
    "learning_rate iterations schedule precision selection class_label metric value status train_seconds device "
    "code_version created"
).split()


def _sealed(record: dict) -> bytes:
    """A record as it stands in its file: JSON with a digest of the rest among its fields."""
    record = {name: value for name, value in record.items() if name != "digest"}  # it may come from `get`
    body = json.dumps(record, sort_keys=True).encode()
    return json.dumps({**record, "digest": hashlib.sha256(body).hexdigest()[:16]}, sort_keys=True).encode()


def _opened(content: bytes, key: str) -> dict | None:
    """The record in a file's content, or None if that is not what was written under this key."""
    try:
        record = json.loads(content)
        digest = record["digest"]
        # Without its digest the content is what the digest was made from: no need to write thousands of records anew.
        body = content.replace(f'"digest": "{digest}", '.encode(), b"", 1)
        return record if (record["key"], digest) == (key, hashlib.sha256(body).hexdigest()[:16]) else None
    except (ValueError, KeyError, TypeError):
        return None


def _read(path: Path, key: str) -> dict | None:
    """The record in a file, or None as `_opened`; a file that is not there raises FileNotFoundError."""
    try:
        return _opened(path.read_bytes(), key)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(error) from None


class Store:
    """Finished cells of all studies.

    Parameters
    ----------
    root : path or None
        Folder of the records (None: `paths.store_root()`); made when first written to.
    committed : path or None
        Folder of the lower layer's parquet files (None: `reports/results`).
    """

    def __init__(self, root=None, committed=None):
        self.root = paths.store_root(root)
        self.committed = Path(committed) if committed else paths.RESULTS

    # -- records ------------------------------------------------------------------------------------------------------

    def _path(self, stem: str, key: str) -> Path:
        return self.root / stem / f"{key}.json"

    def put(self, stem: str, record: dict) -> None:
        """Keep a finished cell: ``{"key", "common": {column: value}, "rows": [...], "curves": [...]}``."""
        try:
            with replacing(self._path(stem, record["key"])) as file:
                file.write(_sealed(record))
        except OSError as error:
            message = f"the store {self.root} takes no more ({error.strerror}); what it has is whole: make room, then"
            raise OSError(error.errno, f"{message} start again to go on") from error

    def get(self, stem: str, key: str) -> dict | None:
        """The record of a cell in the upper layer, or None; a damaged one is set aside with a warning."""
        path = self._path(stem, key)
        try:
            record = _read(path, key)
        except FileNotFoundError:
            return None
        if record is None:
            _set_aside(path)
        return record

    def _whole(self, stem: str, key: str) -> bool:
        """Whether a file is a record of ours; it stays where it is."""
        with suppress(FileNotFoundError):
            return _read(self._path(stem, key), key) is not None
        return False

    def has(self, stem: str, key: str) -> bool:
        """Whether the upper layer has the cell now: a quick look, without the lower layer."""
        return self._path(stem, key).exists()

    def keys(self, stem: str) -> set[str]:
        """Keys of all finished cells, of both layers, by their names alone."""
        return self.names(stem) | self._lower_keys(stem)

    def sound(self, stem: str, keys: set[str]) -> set[str]:
        """Those of `keys` that are finished and whole: their records are read, and damaged ones set aside."""
        return {record["key"] for record in self._records(stem, keys)} | self._lower_keys(stem) & keys

    def names(self, stem: str) -> set[str]:
        """Keys of the finished cells of the upper layer alone: quick enough to be asked again and again."""
        try:
            names = os.listdir(self.root / stem)  # glob would take a folder that cannot be read for an empty one
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise _unreadable(error) from None
        return {name.removesuffix(".json") for name in names if name.endswith(".json")}

    def check(self, stem: str, write: bool) -> None:
        """Whether all records of a study can be read and, with `write`, others be kept; before any work.

        Raises
        ------
        UserError
            Naming the folder or the record. What cannot be read would else run again, or stop a run half-way.
        """
        for name in self.names(stem):
            if not os.access(path := self._path(stem, name), os.R_OK):
                raise _unreadable(PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)))
        for folder in (self.root / stem, self.root / "checkpoints", self.root / "artifacts") if write else ():
            if not paths.writable(folder):
                raise UserError(f"--store {self.root}: {folder.name}/ in it cannot be written; change its permissions")

    def _lower_keys(self, stem: str) -> set[str]:
        lower = self.lower(stem, columns=["key"])
        return set(lower["key"].unique()) if len(lower) else set()

    # -- frames -------------------------------------------------------------------------------------------------------

    def lower(self, stem: str, suffix: str = "", columns: list[str] | None = None, keys=None) -> pd.DataFrame:
        """Rows of the lower layer as they stand in ``<stem><suffix>.parquet``; none where there is no such file."""
        path = self.committed / f"{stem}{suffix}.parquet"
        if not path.exists():
            return pd.DataFrame()
        try:
            # Curves hold pictures, millions of rows: those of other cells need not be decoded.
            return pd.read_parquet(path, columns=columns, filters=[("key", "in", keys)] if keys else None)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a readable parquet file ({error}); restore it with git checkout") from error

    def _records(self, stem: str, keys) -> list[dict]:
        wanted = sorted(self.names(stem) if keys is None else self.names(stem) & set(keys))
        return [record for record in (self.get(stem, key) for key in wanted) if record is not None]

    def frame(self, stem: str, keys=None) -> pd.DataFrame:
        """One row per cell, method and metric, of both layers; the upper one wins. `keys` limits it."""
        records = self._records(stem, keys)
        upper = pd.DataFrame([{**r["common"], "key": r["key"], **row} for r in records for row in r["rows"]])
        return _in_order(self._over(upper, self.lower(stem), keys))

    def cells(self, stem: str) -> pd.DataFrame:
        """One row per cell, of both layers, with what all rows of the cell share."""
        upper = pd.DataFrame([{**record["common"], "key": record["key"]} for record in self._records(stem, None)])
        return _in_order(self._over(upper, self.lower(stem), None).drop_duplicates("key"))

    def curves(self, stem: str, keys=None) -> pd.DataFrame:
        """Curves in long form: key, method, curve, x, y. `keys` limits it."""
        whole = [{**curve, "key": record["key"]} for record in self._records(stem, keys) for curve in record["curves"]]
        upper = pd.DataFrame(whole, columns=CURVE_COLUMNS)
        if len(upper):
            upper = upper.explode(["x", "y"], ignore_index=True).infer_objects()
        lower = self.lower(stem, "_curves", keys=keys) if keys is None or keys else pd.DataFrame()
        return self._over(upper, lower, keys)

    @staticmethod
    def _over(upper: pd.DataFrame, lower: pd.DataFrame, keys) -> pd.DataFrame:
        if len(lower) and keys is not None:
            lower = lower[lower["key"].isin(set(keys))]
        if len(lower) and len(upper):
            lower = lower[~lower["key"].isin(set(upper["key"]))]
        parts = [part for part in (lower, upper) if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else upper

    def stems(self) -> list[str]:
        """Studies with at least one whole cell in either layer.

        Folders of other files that end in .json are none, so that what is not ours is never taken for damaged.
        """
        try:
            folders = [entry.name for entry in os.scandir(self.root) if entry.is_dir()]
        except FileNotFoundError:
            folders = []
        except OSError as error:
            raise _unreadable(error) from None
        upper = {name for name in folders if any(self._whole(name, key) for key in self.names(name))}
        lower = {path.stem for path in self.committed.glob("*.parquet") if not path.stem.endswith("_curves")}
        return sorted(upper | lower)


def _unreadable(error: OSError) -> UserError:
    """What of the store cannot be read: it may hold hours of work, so it does not count as missing."""
    return UserError(
        f"{error.filename}: cannot be read ({error.strerror}); change its permissions, or remove it to run it again"
    )


def _set_aside(path: Path) -> None:
    """Put a damaged record out of the way, and say so; where that cannot be done it counts as absent all the same."""
    aside = path.with_suffix(".damaged")
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        return  # another run was quicker
    except OSError as error:
        warnings.warn(f"{path.name} in the store is damaged and cannot be set aside ({error.strerror})", stacklevel=3)
        return
    warnings.warn(f"{path.name} in the store is damaged; set aside as {aside.name}, its cell runs again", stacklevel=3)


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that every result has first, all of them, then those of the study."""
    return frame.reindex(columns=[*COLUMNS, *(c for c in frame.columns if c not in COLUMNS)])
