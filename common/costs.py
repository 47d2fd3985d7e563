"""What the runs of a profile cost, from the seconds that were measured with the committed results."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from common import grids, paths, planning, tables
from common.errors import UserError
from common.papers import PAPERS

COLUMNS = ["paper", "run", "cells", "measured", "hours", "whole", "device"]


def costs(profile: str, results: Path | None = None) -> pd.DataFrame:
    """A row for each run of the profile that is in grids.yaml.

    Parameters
    ----------
    profile : str
    results : Path, optional
        Folder of the measured results (default: the committed ones).

    Returns
    -------
    DataFrame
        paper, run, cells; of those measured, with the hours that they took, each on one core or GPU; the hours of the
        whole run, if the others take as long as these on average; device(s).
    """
    rows = []
    for paper in PAPERS:
        study = importlib.import_module(f"common.studies.{paper.stem}")
        spent = _measured(study, results or paths.RESULTS)
        for run in grids.expand(profile, paper.stem):
            cells = _cells(study, run.parameters)
            found = [one for one in map(spent, cells) if one]
            hours = sum(seconds for seconds, _ in found) / 3600
            devices = "; ".join(sorted({device for _, device in found}))
            whole = hours * len(cells) / len(found) if found else float("nan")
            rows.append([paper.number, run.name, len(cells), len(found), hours, whole, devices])
    return pd.DataFrame(rows, columns=COLUMNS)


def _cells(study, parameters: dict) -> list:
    own = {field.name for field in fields(study.Parameters)}
    try:
        return study.cells(study.Parameters(**{name: value for name, value in parameters.items() if name in own}))
    except UserError as error:
        raise UserError(f"grids.yaml: {study.STEM}: {error}") from error


def _measured(study, results: Path) -> Callable[[Any], tuple[float, str] | None]:
    """Cell to the seconds and the device that it took, or None; the results say nothing of the data at hand."""
    from common.store import Store

    frame = Store(results / "no-store", results).cells(study.STEM)
    if frame.empty:
        return lambda cell: None
    frame = frame[frame["version"] == study.VERSION].set_index("key")
    settings = planning.measured_settings(frame, study.Cell)
    loose = [field.name for field in fields(study.Cell) if field.default is None]

    def spent(cell):
        for found in settings.get(planning.firm(vars(cell), cell), ()):
            if all(getattr(cell, name) in (None, found[name]) for name in loose):
                return tuple(frame.loc[found["key"], ["train_seconds", "device"]])
        return None

    return spent


def markdown(profile: str, results: Path | None = None) -> str:
    """The table of `costs` in Markdown: runs of which anything was measured, and how many there are beside them."""
    table = costs(profile, results)
    columns = ["paper", "run", "cells", "measured", "hours of those", "hours of all", "on one core or GPU of"]
    rows = []
    for row in table[table["measured"] > 0].to_dict("records"):
        hours = [tables.text(row[name], 1) for name in ("hours", "whole")]
        rows.append([row["paper"], row["run"], f"{row['cells']:,}", f"{row['measured']:,}", *hours, row["device"]])
    without = int((table["measured"] == 0).sum())
    lines = [tables.markdown(columns, rows, right={*columns} - {columns[1], columns[-1]})]
    lines += ["", f"Nothing was measured yet of {without} of the {len(table)} runs of this profile."] * bool(without)
    return "\n".join(lines) + "\n"
