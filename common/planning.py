"""What a start would do, and why: each cell of a run is done, missing, or stale because of what."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import product

import pandas as pd

from common.cells import completed

REFRESH, NEVER, OTHER_DATA = "refresh asked for", "not measured", "measured on other data of this name"
CODE_CHANGED = "code changed since"


def plan(run, code_version: str) -> pd.DataFrame:
    """One row per cell of a `study.Run`: key, the cell's fields, `state` and `why`.

    ``done`` has a note where the source is no longer what it was, which voids nothing; ``stale`` is what was measured
    at another version of the study, or on other data; all else is ``missing``. What is not done would run.

    Parameters
    ----------
    run : study.Run
    code_version : str
        Digest of the present source.
    """
    stem = run.module.STEM
    measured = _measured(run.store, stem)  # sets damaged records aside, so it comes before asking which there are
    finished = run.store.keys(stem)
    changed = set(measured.index[measured["code_version"] != code_version])
    stale = _stale(run, {key: cell for key, cell in run.keys.items() if key not in finished}, measured)
    rows = []
    for key, cell in run.keys.items():
        if key in stale:
            state, why = "stale", stale[key]
        elif key not in finished:
            state, why = "missing", NEVER
        elif run.options.refresh:
            state, why = "missing", REFRESH
        else:
            state, why = "done", CODE_CHANGED if key in changed else ""
        rows.append({"key": key, **dataclasses.asdict(cell), "state": state, "why": why})
    return pd.DataFrame(rows)


_read: dict[tuple, pd.DataFrame] = {}


def _measured(store, stem: str) -> pd.DataFrame:
    """One row per measured cell; kept while the store does not change, for the other runs of the same start."""
    places = (store.root / stem, store.committed / f"{stem}.parquet")
    state = tuple((path, path.stat().st_mtime_ns if path.exists() else 0) for path in places)
    if state not in _read:
        _read.clear()
        _read[state] = store.cells(stem).set_index("key")
    return _read[state]


def _stale(run, unfinished: Mapping, measured: pd.DataFrame) -> dict[str, str]:
    """Key to reason, for the unfinished cells that were measured once, in a way that no longer counts."""
    stem, version, reasons = run.module.STEM, run.module.VERSION, {}
    others = sorted(set(measured["version"].dropna().astype(int)) - {version})
    for key, cell in unfinished.items():
        at = [v for v in others if cell.key(stem, v, run.fingerprint(cell)) in measured.index]
        if at:
            reasons[key] = f"measured at version {at[-1]} of the study, which is at {version}"
    rest = {key: cell for key, cell in unfinished.items() if key not in reasons}
    if rest:
        settings = measured_settings(measured[~measured.index.isin(set(run.keys))], run.module.Cell)
        for key, cell in rest.items():
            if any(_on_other_data(run, cell, found) for found in settings.get(firm(vars(cell), cell), ())):
                reasons[key] = OTHER_DATA
    return reasons


def firm(values: Mapping, kind) -> tuple:
    """The values of the fields that a result shows as they were asked for.

    A field whose default is None may stand in a result as what was then taken, such as the protocol's learning rate.
    """
    return tuple(values[f.name] for f in dataclasses.fields(kind) if f.default is not None)


def measured_settings(measured: pd.DataFrame, kind: type) -> dict[tuple, list[dict]]:
    """Fields, key and version of every measured cell, by its firm fields."""
    fields = [f.name for f in dataclasses.fields(kind)]
    frame = completed(measured, kind).reindex(columns=[*fields, "version"]).astype(object)
    settings: dict[tuple, list[dict]] = {}
    for key, row in zip(frame.index, frame.where(frame.notna(), None).to_dict("records"), strict=True):
        values = {name: row[name] for name in fields}
        settings.setdefault(firm(values, kind), []).append({**values, "key": key, "version": row["version"]})
    return settings


def _on_other_data(run, cell, found: Mapping) -> bool:
    """Whether a measured cell with the same firm fields has a key that the data as they are now would not give it."""
    loose = [f.name for f in dataclasses.fields(cell) if f.default is None]
    if any(getattr(cell, name) not in (None, found[name]) for name in loose):
        return False
    asked: Iterable[tuple] = product(*((found[name], None) for name in loose))
    now = (dataclasses.replace(cell, **dict(zip(loose, values, strict=True))) for values in asked)
    return all(c.key(run.module.STEM, int(found["version"]), run.fingerprint(cell)) != found["key"] for c in now)
