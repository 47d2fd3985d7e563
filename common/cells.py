"""Cells, the unit of work: what decides a result, what running one gives, and what it may use meanwhile."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pandas as pd

from common import artifacts, data
from common.options import Options


@dataclass(frozen=True)
class Cell:
    """Base of every study's cell; its fields decide the result and make the key.

    A field at its default stays out of the key, so that a field added later, whose default is what was done before,
    voids no result. Defaults are therefore never changed without raising the study's VERSION.
    """

    dataset: str
    replicate: int

    def key(self, study: str, version: int, fingerprint: str) -> str:
        """Name of the cell in the store, from its fields, the data's fingerprint and the study's version."""
        content = {"study": study, "version": version, "data": fingerprint, "cell": chosen(self)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def shared(kind: type, other) -> dict[str, object]:
    """The fields of the dataclass `kind` that another, such as a study's parameters, has too, with the values there."""
    return {f.name: getattr(other, f.name) for f in dataclasses.fields(kind) if hasattr(other, f.name)}


def chosen(cell) -> dict[str, object]:
    """The fields of a dataclass that are not at their default, with 10 as 10.0 in a field of floats: equal cells."""
    found = {}
    for f in dataclasses.fields(cell):
        value = getattr(cell, f.name)
        if value != f.default:
            found[f.name] = float(value) if f.type in ("float", "float | None") and value is not None else value
    return found


def completed(frame: pd.DataFrame, kind: type) -> pd.DataFrame:
    """Results with the defaults of the fields of cells `kind` that they lack, from before these fields were added."""
    added = {f.name: f.default for f in dataclasses.fields(kind) if f.default not in (dataclasses.MISSING, None)}
    absent = {name: default for name, default in added.items() if name not in frame}
    return frame.fillna({name: default for name, default in added.items() if name in frame}).assign(**absent)


@dataclass
class Result:
    """What running a cell gives.

    `rows` hold method, metric, value and whatever varies within the cell; `columns` what is the same for all its rows
    beside the cell's own fields; `curves` hold method, curve, x and y. `held` are files that have served once the
    result is in the store (`training.Fitted`).
    """

    cell: Cell
    rows: list[dict]
    curves: list[dict] = field(default_factory=list)
    columns: dict = field(default_factory=dict)
    status: str = "ok"
    seconds: float = float("nan")
    held: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Context:
    """What a study's `run` may use: data by name, the device, and the options."""

    options: Options

    def data(self, name: str, size: int = 0) -> tuple[data.Images, data.Images]:
        """Training and test images of a data set, resized to `size` unless 0; loaded once a process."""
        return _load(name, size, self.options.data, self.options.offline)

    @property
    def checkpoints(self) -> Path:
        """Where `training.fit_many` writes long trainings down."""
        return self.options.store_path() / "checkpoints"

    def artifact(self, name: str, fields: Mapping, make: Callable[[], Mapping]) -> dict:
        """Costly arrays that cells share, made once and kept with the store; see `artifacts.artifact`."""
        return artifacts.artifact(self.options.store_path(), name, fields, make)


@cache
def _load(name: str, size: int, root: str, offline: bool) -> tuple[data.Images, data.Images]:
    return tuple(
        data.load(name, split, root or None, size=size or None, offline=offline) for split in ("train", "test")
    )
