"""The numbers the papers print, so that nothing of theirs is typed into a notebook."""

from __future__ import annotations

import pandas as pd

from common import paths
from common.errors import UserError

COLUMNS = ["table", "dataset", "imbalance", "rho", "mu", "method", "run", "metric", "value", "unit", "where", "note"]
NUMBERS = ["rho", "mu", "run", "value"]


def published(stem: str) -> pd.DataFrame:
    """The results that paper `stem` prints, and of its settings those that a table or a test looks up, one row each.

    Returns
    -------
    DataFrame
        The columns of ``common/published/<stem>.csv`` with `value` as a number, `printed` as the text that the paper
        has, `bound` ("" or what stands before it, such as *below*), and `comparable`: percentages divided by 100, so
        that they stand beside results, which lie in 0..1. Empty text is "", an empty number NaN.

    Raises
    ------
    UserError
        If there is no such file or it lacks a column.
    """
    path = paths.PUBLISHED / f"{stem}.csv"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in paths.PUBLISHED.glob("*.csv"))) or "none yet"
        raise UserError(f"no published numbers of {stem!r}; expected the stem of a paper ({known})")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise UserError(f"{path.name}: no column {missing[0]!r}; expected {', '.join(COLUMNS)}; add it")
    frame = frame.assign(printed=frame["value"], bound=frame["bound"] if "bound" in frame else "")
    for column in NUMBERS:
        try:
            frame[column] = pd.to_numeric(frame[column].where(frame[column] != "")).astype(float)
        except ValueError as error:
            raise UserError(f"{path.name}: column {column!r} must hold numbers or nothing ({error})") from error
    return frame.assign(comparable=frame["value"].where(frame["unit"] != "percent", frame["value"] / 100))
