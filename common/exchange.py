"""Measured results from one machine to another, and into what is committed: export and merge.

What is exchanged is a folder or a .zip of ``<study>.parquet``, one row per cell, method and metric, and
``<study>_curves.parquet``. It is the same form as the store's lower layer.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from common import paths
from common.atomic import replacing
from common.catalogue import EMBEDDED
from common.errors import UserError
from common.store import CURVE_COLUMNS, Store

NEEDED = ("key", "study", "version", "stand_in", "method", "metric", "value")  # without these a row counts nowhere
ROW = ["method", "prior", "metric", "class_label", "value"]  # what differs between the rows of a cell in every study


@dataclass(frozen=True)
class Exported:
    """Cells of a study that an export wrote, how many of them on a reader's own images, and those it left out."""

    cells: int
    own: int = 0
    own_left: int = 0
    stand_in_left: int = 0

    def __str__(self) -> str:
        left = [f"{self.own_left} on own images"] if self.own_left else []
        left += [f"{self.stand_in_left} on stand-in data"] if self.stand_in_left else []
        said = [f"{self.own} on own images"] if self.own else []
        said += [f"left out: {', '.join(left)}"] if left else []
        return f"{self.cells} ({'; '.join(said)})" if said else str(self.cells)


@dataclass(frozen=True)
class Merged:
    """Cells of a study that a merge found: taken, known here already, and of those with other values than here."""

    new: int
    known: int
    differing: int


# -- out ---------------------------------------------------------------------------------------------------------------


def export(store: Store, target) -> dict[str, Exported]:
    """Write all results measured on real data, of both layers, to a folder or a .zip; what was written, by study.

    Cells on stand-in data stay out: they are not measurements of what the papers report. Nor do they leave a trace:
    with their columns, or their types, the same results would make another file. The same holds for cells on a reader's
    own images in committed results; to anywhere else they go along.

    Raises
    ------
    UserError
        If the target is neither, or all that was measured would be left out; nothing is written then.
    """
    target, written = Path(target), {}
    if target.suffix != ".zip" and (target.is_file() or (target.suffix and not target.is_dir())):
        what = "is a file; " if target.is_file() else ""
        raise UserError(f"export {target}: {what}expected a folder or a file ending in .zip")
    # Of any copy of the project: only their names say what such a folder is for.
    committed = Path(os.path.abspath(target)).parts[-2:] == paths.RESULTS.parts[-2:]
    files: dict[str, bytes] = {}
    for stem in store.stems():
        cells = store.cells(stem)
        stand_in = cells["stand_in"].astype(bool)
        own = stand_in & cells["dataset"].notna() & ~cells["dataset"].isin(EMBEDDED)
        taken = ~stand_in if committed else ~stand_in | own
        counts = (taken & own).sum(), (own & ~taken).sum(), (stand_in & ~own).sum()
        written[stem] = Exported(int(taken.sum()), *map(int, counts))
        real = set(cells.loc[taken, "key"])
        if not real:
            continue
        frame = store.frame(stem, real)
        order = [c for c in ("replicate", "key", "method", "prior", "metric", "class_label") if c in frame]
        frame = frame.sort_values(order, kind="stable", ignore_index=True)
        files[f"{stem}.parquet"] = frame.to_parquet(index=False, compression="zstd")
        curves = store.curves(stem, real)
        if len(curves):
            curves = curves.sort_values(["key", "method", "curve", "x"], kind="stable", ignore_index=True)
            files[f"{stem}_curves.parquet"] = _curves_file(curves)
    if written and not files:
        left = "; ".join(f"{stem}: {found}" for stem, found in written.items())
        raise UserError(f"export {target}: nothing to write ({left}); run the reduced or the paper profile first")
    if target.suffix == ".zip":
        with replacing(target) as file, zipfile.ZipFile(file, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            with replacing(target / name) as file:
                file.write(content)
    return written


def _curves_file(curves: pd.DataFrame) -> bytes:
    """Curves as parquet. Whole x are written as differences: the pixels of a picture then take next to nothing."""
    whole = {}
    if pd.api.types.is_integer_dtype(curves["x"]):
        others = [column for column in curves if column != "x"]
        whole = {"use_dictionary": others, "column_encoding": {"x": "DELTA_BINARY_PACKED"}}
    return curves.to_parquet(index=False, compression="zstd", **whole)


# -- in ----------------------------------------------------------------------------------------------------------------


def merge(store: Store, source) -> dict[str, Merged]:
    """Take the cells of an exported folder or .zip into a store; a cell that is known there, in either layer, stays.

    Raises
    ------
    UserError
        If any of the files is not what `export` writes; nothing is taken then.
    """
    source = Path(source)
    if not source.exists():
        raise UserError(f"merge {source}: no such file or folder; expected what export wrote")
    with tempfile.TemporaryDirectory() as folder:
        if source.is_file():
            source = _unpack(source, Path(folder))
        other, found = Store(Path(folder) / "empty", committed=source), {}
        for stem in other.stems():
            try:
                found[stem] = (other.lower(stem), other.curves(stem))
            except UserError as error:  # which takes it for a file of ours
                raise UserError(
                    f"merge {stem}.parquet: not readable ({error.__cause__}); expected what export writes; copy it anew"
                ) from None
        if not found:
            raise UserError(f"merge {source}: holds no <study>.parquet; expected what export wrote")
    for stem, (frame, curves) in found.items():
        if wrong := _wrong(stem, frame, curves):
            raise UserError(f"merge {stem}.parquet: {wrong}; expected what export writes, and nothing was taken")
    return {stem: _take(store, stem, *both) for stem, both in found.items()}


def _unpack(archive: Path, folder: Path) -> Path:
    """Take the plain .parquet members of a .zip out; anything else in it is refused."""
    try:
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                if "/" in name or "\\" in name or not name.endswith(".parquet"):
                    raise UserError(f"merge {archive}: holds {name!r}; expected only <study>.parquet as export writes")
                (folder / name).write_bytes(file.read(name))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # the last: encrypted, unknown method
        told = f"merge {archive}: not a .zip that can be read ({error}); expected what export wrote"
        raise UserError(told) from error
    return folder


def _wrong(stem: str, frame: pd.DataFrame, curves: pd.DataFrame) -> str:
    """Why these are no results of a study, or ""."""
    number = pd.api.types.is_numeric_dtype
    for column in NEEDED:
        if column not in frame:
            return f"not a result file (no column {column!r} among {', '.join(map(str, frame.columns))})"
        if column != "value" and frame[column].isna().any():  # where a training diverged there is no value
            return f"not a result file (rows without {column!r})"
    if not number(frame["value"]) or frame["value"].dtype == bool:
        return f"not a result file (values such as {frame['value'].iloc[0]!r} are no numbers)"
    if not number(frame["version"]) or (frame["version"] % 1 != 0).any():
        return f"not a result file (version {frame['version'].iloc[0]!r} is no whole number)"
    if not frame["stand_in"].map(lambda value: isinstance(value, bool | np.bool_)).all():
        return f"not a result file (stand_in {frame['stand_in'].iloc[0]!r} is neither true nor false)"
    if others := set(frame["study"]) - {stem}:
        return f"holds results of the study {sorted(map(str, others))[0]!r}, not of the one that it is called by"
    for key in frame["key"].unique():  # a file in the store is called by it
        if not str(key).isalnum():
            return f"{key!r} is no key of a cell"
    if len(curves) and not set(CURVE_COLUMNS) <= set(curves):
        return f"{stem}_curves.parquet beside it holds no curves (columns {', '.join(map(str, curves.columns))})"
    return ""


def _take(store: Store, stem: str, frame: pd.DataFrame, curves: pd.DataFrame) -> Merged:
    """Put the cells that are new into the store."""
    known = store.keys(stem) & set(frame["key"])
    per_row = [column for column in ROW if column in frame] + _varying(frame, ROW)
    by_key = dict(list(curves.groupby("key"))) if len(curves) else {}
    new = 0
    for key, rows in frame[~frame["key"].isin(known)].groupby("key", sort=False):
        shared = rows.drop(columns=["key", *per_row]).iloc[0]
        record = {"key": key, "common": _plain(shared), "rows": [_plain(r) for _, r in rows[per_row].iterrows()]}
        lines = by_key[key].groupby(["method", "curve"], sort=False) if key in by_key else ()
        record["curves"] = [
            {"method": m, "curve": c, "x": line["x"].tolist(), "y": line["y"].tolist()} for (m, c), line in lines
        ]
        store.put(stem, record)
        new += 1
    ours, theirs = _scores(store.frame(stem, known)), _scores(frame[frame["key"].isin(known)])
    return Merged(new, len(known), sum(ours.get(key) != scores for key, scores in theirs.items()))


def _scores(frame: pd.DataFrame) -> dict[str, list[str]]:
    """What was measured of each cell, in a form that compares: NaN equals NaN, and the order of rows is none."""
    rows = frame.reindex(columns=["key", *ROW]).astype({"prior": object}).fillna({"prior": "", "class_label": -1})
    rows = rows.astype({"class_label": int, "value": float})
    texts = rows[ROW].apply(lambda row: repr(tuple(row)), axis=1) if len(rows) else rows["key"]
    return {key: sorted(some) for key, some in texts.groupby(rows["key"])}


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
