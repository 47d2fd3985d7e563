"""What was measured, kept: finished cells on disk, over the committed results.

A finished cell is one JSON file ``<root>/<stem>/<key>.json``, written under a temporary name, synced and renamed, so a
kill at any moment leaves either the whole record or none. That needs no lock, so several runs, also on several hosts
that share the folder, write to it at once: of two that finish the same cell, the later replaces the equal record of the
earlier. The committed parquet files are a read-only lower layer: a fresh clone already knows what was measured. A file
that is not what was written is set aside and its cell runs again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
import zipfile
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
            record = _opened(path.read_bytes(), key)
        except FileNotFoundError:
            return None
        if record is None:
            _set_aside(path)
        return record

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
        return {path.stem for path in (self.root / stem).glob("*.json")}

    def _lower_keys(self, stem: str) -> set[str]:
        lower = self._lower(stem, "", columns=["key"])
        return set(lower["key"].unique()) if len(lower) else set()

    # -- frames -------------------------------------------------------------------------------------------------------

    def _lower(self, stem: str, suffix: str, columns: list[str] | None = None, keys=None) -> pd.DataFrame:
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
        return _in_order(self._over(upper, self._lower(stem, ""), keys))

    def cells(self, stem: str) -> pd.DataFrame:
        """One row per cell, of both layers, with what all rows of the cell share."""
        upper = pd.DataFrame([{**record["common"], "key": record["key"]} for record in self._records(stem, None)])
        return _in_order(self._over(upper, self._lower(stem, ""), None).drop_duplicates("key"))

    def curves(self, stem: str, keys=None) -> pd.DataFrame:
        """Curves in long form: key, method, curve, x, y. `keys` limits it."""
        columns: dict[str, list] = {name: [] for name in CURVE_COLUMNS}
        for record in self._records(stem, keys):
            for curve in record["curves"]:
                n = len(curve["x"])
                row = {
                    **curve,
                    "key": [record["key"]] * n,
                    "method": [curve["method"]] * n,
                    "curve": [curve["curve"]] * n,
                }
                for name, values in columns.items():
                    values.extend(row[name])
        lower = self._lower(stem, "_curves", keys=keys) if keys is None or keys else pd.DataFrame()
        return self._over(pd.DataFrame(columns), lower, keys)

    @staticmethod
    def _over(upper: pd.DataFrame, lower: pd.DataFrame, keys) -> pd.DataFrame:
        if len(lower) and keys is not None:
            lower = lower[lower["key"].isin(set(keys))]
        if len(lower) and len(upper):
            lower = lower[~lower["key"].isin(set(upper["key"]))]
        parts = [part for part in (lower, upper) if len(part)]
        return pd.concat(parts, ignore_index=True) if parts else upper

    # -- between machines ---------------------------------------------------------------------------------------------

    def stems(self) -> list[str]:
        """Studies with at least one finished cell in either layer."""
        upper = {path.name for path in self.root.glob("*") if any(path.glob("*.json"))}
        lower = {path.stem for path in self.committed.glob("*.parquet") if not path.stem.endswith("_curves")}
        return sorted(upper | lower)

    def export(self, target) -> dict[str, int]:
        """Write all results measured on real data, of both layers, to a folder or a .zip; returns cells by study.

        Cells on stand-in data stay out: they are not measurements of what the papers report.
        """
        target, written = Path(target), {}
        files: dict[str, bytes] = {}
        for stem in self.stems():
            frame = self.frame(stem)
            frame = frame[~frame["stand_in"].astype(bool)]
            if frame.empty:
                continue
            order = [c for c in ("replicate", "key", "method", "prior", "metric", "class_label") if c in frame]
            frame = frame.sort_values(order, kind="stable", ignore_index=True)
            files[f"{stem}.parquet"] = frame.to_parquet(index=False, compression="zstd")
            curves = self.curves(stem, set(frame["key"]))
            if len(curves):
                curves = curves.sort_values(["key", "method", "curve", "x"], kind="stable", ignore_index=True)
                files[f"{stem}_curves.parquet"] = _curves_file(curves)
            written[stem] = frame["key"].nunique()
        if target.suffix == ".zip":
            with replacing(target) as file, zipfile.ZipFile(file, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        elif target.suffix == "" or target.is_dir():
            for name, content in files.items():
                with replacing(target / name) as file:
                    file.write(content)
        else:
            raise UserError(f"export {target}: expected a folder or a file ending in .zip")
        return written

    def merge(self, source) -> dict[str, int]:
        """Take the cells of an exported folder or .zip into this store; returns new cells by study."""
        source = Path(source)
        if not source.exists():
            raise UserError(f"merge {source}: no such file or folder; expected what export wrote")
        with tempfile.TemporaryDirectory() as folder:
            if source.is_file():
                source = _unpack(source, Path(folder))
            other = Store(Path(folder) / "empty", committed=source)
            if not other.stems():
                raise UserError(f"merge {source}: holds no <study>.parquet; expected what export wrote")
            return {stem: self._take(stem, other) for stem in other.stems()}

    def _take(self, stem: str, other: Store) -> int:
        found = list(map(str, other._lower(stem, "").columns))
        if not {"key", "study", "method", "metric", "value"} <= set(found):
            raise UserError(f"merge {stem}.parquet: not a result file (columns {', '.join(found)})")
        for key in other.keys(stem):  # a file in the store is called by it
            if not str(key).isalnum():
                raise UserError(f"merge {stem}.parquet: {key!r} is no key of a cell; expected what export writes")
        frame, curves = other.frame(stem), other.curves(stem)
        per_row = ["method", "prior", "metric", "class_label", "value"]
        per_row = [column for column in per_row if column in frame] + _varying(frame, per_row)
        by_key = dict(list(curves.groupby("key"))) if len(curves) else {}
        new, known = 0, self.keys(stem)
        for key, rows in frame.groupby("key", sort=False):
            if key in known:
                continue
            shared = rows.drop(columns=["key", *per_row]).iloc[0]
            record = {"key": key, "common": _plain(shared), "rows": [_plain(r) for _, r in rows[per_row].iterrows()]}
            lines = by_key[key].groupby(["method", "curve"], sort=False) if key in by_key else ()
            record["curves"] = [
                {"method": m, "curve": c, "x": line["x"].tolist(), "y": line["y"].tolist()} for (m, c), line in lines
            ]
            self.put(stem, record)
            new += 1
        return new


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


def _curves_file(curves: pd.DataFrame) -> bytes:
    """Curves as parquet. Whole x are written as differences: the pixels of a picture then take next to nothing."""
    whole = {}
    if pd.api.types.is_integer_dtype(curves["x"]):
        others = [column for column in curves if column != "x"]
        whole = {"use_dictionary": others, "column_encoding": {"x": "DELTA_BINARY_PACKED"}}
    return curves.to_parquet(index=False, compression="zstd", **whole)


def _varying(frame: pd.DataFrame, known: list[str]) -> list[str]:
    """Columns that differ between the rows of one cell, beside the known ones."""
    others = [column for column in frame.columns if column not in (*known, "key")]
    varies = frame.groupby("key")[others].nunique(dropna=False).max() > 1
    return varies.index[varies].tolist()


def _plain(series: pd.Series) -> dict:
    """A row as JSON types, missing values left out."""
    row = {}
    for name, value in series.items():
        if value is None or (not isinstance(value, list | dict) and pd.isna(value) and name != "value"):
            continue
        row[name] = value.item() if hasattr(value, "item") else value
    return row


def _unpack(archive: Path, folder: Path) -> Path:
    """Take the plain .parquet members of a .zip out; anything else in it is refused."""
    try:
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                if "/" in name or "\\" in name or not name.endswith(".parquet"):
                    raise UserError(f"merge {archive}: holds {name!r}; expected only <study>.parquet as export writes")
                (folder / name).write_bytes(file.read(name))
    except zipfile.BadZipFile as error:
        raise UserError(f"merge {archive}: not a .zip ({error}); expected what export wrote") from error
    return folder
