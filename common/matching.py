"""Which results a claim compares: filters, pairs, one schedule, complete replicates.

Everything works on tidied rows (`tidy`): `metric`, `replicate`, `value`, and the design columns, those that say what
was run. Pairs and cells are found by equality of all design columns, so no comparison spans two settings by accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from common.errors import UserError

#: Columns that record how a result came about. They neither pair rows nor tell cells apart; a study names its own in
#: NOT_DESIGN. A learning rate is here because a paper may pick it for each arm, `n_train` because it follows from the
#: imbalance. A column that starts with "seed" counts as recorded, too.
RECORDED = frozenset(
    "key study version profile stand_in replicate run learning_rate n_train metric value status train_seconds device "
    "engine code_version created".split()
)
#: What may differ between the two sides of a pair even where a claim does not name it: they say what the arm is.
ARM = frozenset({"method", "sampler", "prior"})
AGAINST = " (against)"


class NoData(Exception):
    """The results cannot speak to the claim; the message says what is missing."""


def tidy(frame: pd.DataFrame, recorded: Iterable[str] = ()) -> pd.DataFrame:
    """Rows on real data with comparable design columns; the value of a diverged row is NaN.

    Numbers are rounded to ten digits, because mu = 0.3 may have been computed; a missing text is "".

    Raises
    ------
    UserError
        If `frame` lacks `metric`, `replicate` or `value`.
    """
    for column in ("metric", "replicate", "value"):
        if column not in frame:
            raise UserError(f"results have no column {column!r}; expected the result frame of docs/architecture.md")
    if "stand_in" in frame:
        frame = frame[~frame["stand_in"].fillna(False).astype(bool)]
    value = pd.to_numeric(frame["value"]).astype(float)
    usable = np.isfinite(value) & (frame["status"].eq("ok") if "status" in frame else True)
    columns = {"metric": frame["metric"].astype(str), "replicate": frame["replicate"], "value": value.where(usable)}
    recorded = RECORDED.union(recorded)
    design = [c for c in frame if c not in recorded and not str(c).startswith("seed")]
    return pd.DataFrame({**columns, **{column: _comparable(frame[column]) for column in design}})


def _comparable(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    if column.notna().any() and numbers.notna().equals(column.notna()):
        return numbers.astype(float).round(10)
    return column.astype(object).where(column.notna(), "").astype(str)


def design(rows: pd.DataFrame) -> list[str]:
    """The design columns of tidied rows."""
    return [column for column in rows if column not in RECORDED]


def describe(filters: Mapping[str, Iterable]) -> str:
    """``method = baseline, rho = 10 or 100``."""
    return ", ".join(f"{name} = {' or '.join(map(str, values))}" for name, values in filters.items())


def select(rows: pd.DataFrame, filters: Mapping[str, Iterable]) -> pd.DataFrame:
    """The rows whose columns hold one of the wanted values; "" and None stand for a missing entry.

    Raises
    ------
    NoData
        If a column does not exist or no row is left.
    """
    chosen = np.ones(len(rows), dtype=bool)
    for name, wanted in filters.items():
        if name not in rows:
            raise NoData(f"the results have no column {name!r}")
        if pd.api.types.is_numeric_dtype(rows[name]):
            fits = rows[name].isin([round(float(w), 10) for w in wanted if isinstance(w, int | float)])
            if any(w is None or w == "" for w in wanted):
                fits |= rows[name].isna()
        else:
            fits = rows[name].isin(["" if w is None else str(w) for w in wanted])
        chosen &= fits.to_numpy(dtype=bool)
    rows = rows[chosen]
    if rows.empty:
        raise NoData(f"no results with {describe(filters)}" if filters else "no results")
    return rows


def values(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of one metric, or of the difference of two: ``train_accuracy - accuracy``.

    Raises
    ------
    NoData
        If there are none.
    UserError
        If two rows hold the same metric of the same cell and replicate: their mean would mix what a filter must choose.
    """
    first, _, second = metric.partition(" - ")
    parts = [select(rows, {"metric": [name.strip()]}).drop(columns="metric") for name in (first, second) if name]
    cell = [column for column in parts[0] if column != "value"]
    for part in parts:
        twice = part.duplicated(cell)
        if twice.any():
            one = part.loc[twice, cell].iloc[0]
            which = describe({name: [entry] for name, entry in one.items() if entry != "" and entry == entry})
            raise UserError(
                f"two values of {metric} for one cell ({which}); expected one: filter in `on` by what tells them apart"
            )
    if len(parts) == 1:
        return parts[0]
    both = parts[0].merge(parts[1], on=cell, suffixes=("", AGAINST))
    if both.empty:
        raise NoData(f"no cell has both metrics of {metric}")
    return both.assign(value=both["value"] - both[f"value{AGAINST}"]).drop(columns=f"value{AGAINST}")


def pair(of: pd.DataFrame, against: pd.DataFrame, apart: Iterable[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Match two arms on replicate and every design column but those in `apart`.

    Returns
    -------
    pairs : DataFrame
        Columns of `of`, the `apart` ones of `against` with `AGAINST` behind their names, and `value` = of - against.
        Where one row has several partners, such as a reference that serves all ratios, each pair is a row.
    alone : DataFrame
        The rows of either arm that found no partner.
    """
    apart = [column for column in of if column in set(apart)]
    right = against.rename(columns={column: column + AGAINST for column in [*apart, "value"]})
    match = [column for column in of if column not in apart and column != "value"]
    both = of.merge(right, on=match, how="outer", indicator="_side")
    paired = both["_side"] == "both"
    pairs = both[paired]
    pairs = pairs.assign(value=pairs["value"] - pairs[f"value{AGAINST}"])
    return pairs.drop(columns=["_side", f"value{AGAINST}"]), both[~paired]


def one_schedule(cells: pd.DataFrame) -> pd.DataFrame | None:
    """For each data set the largest number of iterations that at least two replicates have.

    Where none has two, the largest there is. None if the rows do not say their iterations.
    """
    if "iterations" not in cells:
        return None
    place = [column for column in ("dataset", "iterations") if column in cells]
    counts = cells.groupby(place, dropna=False)["replicate"].nunique().rename("n").reset_index()
    ranked = counts.assign(enough=counts["n"] >= 2).sort_values(["enough", "iterations"], na_position="first")[place]
    return ranked.drop_duplicates("dataset", keep="last") if "dataset" in place else ranked.tail(1)


def at(cells: pd.DataFrame, schedule: pd.DataFrame | None) -> pd.DataFrame:
    """The cells on the schedule that `one_schedule` chose."""
    return cells if schedule is None else cells.merge(schedule, on=list(schedule))


def complete_block(cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Replicates that all have the same cells, so that none is an average over other settings than its neighbours.

    Of replicates, the most complete first, take as many as leave the most values in a table without gaps, at least two
    if there are two. So one half-finished replicate goes as a whole, and one diverged cell costs that cell, not its
    replicate.

    Returns
    -------
    block : DataFrame, shape (replicates, cells)
        No gaps; columns are positions in `settings`.
    settings : DataFrame
        One row per cell of the block: its design columns.
    note : str
        What was left out, or "".
    """
    names = design(cells)
    numbers = cells.groupby(names, dropna=False, sort=True).ngroup()
    table = cells.assign(_cell=numbers).pivot(index="replicate", columns="_cell", values="value")
    order = np.argsort(-table.notna().sum(axis=1).to_numpy(), kind="stable")
    common = np.logical_and.accumulate(table.notna().to_numpy()[order], axis=0)
    sizes = common.sum(axis=1) * np.arange(1, len(table) + 1)
    least = min(2, len(table)) - 1
    # From behind, so that of equal sizes the one with more replicates is taken.
    taken = len(table) - int(np.argmax(sizes[least:][::-1]))
    kept = np.flatnonzero(common[taken - 1])
    if not len(kept):
        raise NoData("no cell was measured in two replicates")
    block = table.iloc[np.sort(order[:taken]), kept]
    settings = cells.assign(_cell=numbers).drop_duplicates("_cell").set_index("_cell").loc[block.columns, names]
    left = [(len(table) - taken, len(table), "replicates"), (table.shape[1] - len(kept), table.shape[1], "cells")]
    note = " and ".join(f"{gone} of {total} {what}" for gone, total, what in left if gone)
    return block, settings, f"incomplete, left out: {note}" if note else ""
