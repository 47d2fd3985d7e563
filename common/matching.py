"""Which results a claim compares: filters, pairs, complete replicates.

Everything works on tidied rows (`tidy`): `metric`, `replicate`, `value`, and the design columns, those that say what
was run. Pairs and cells are found by equality of all design columns, so no comparison spans two settings by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product

import numpy as np
import pandas as pd

from common.errors import UserError

#: Columns that record how a result came about. They neither pair rows nor tell cells apart; a study names its own in
#: NOT_DESIGN. A learning rate is here because a paper may pick it for each arm, `n_train` because it follows from the
#: imbalance. A column that starts with "seed" counts as recorded, too.
RECORDED = frozenset(
    "key study version profile stand_in replicate run learning_rate n_train metric value status train_seconds device "
    "engine code_version created least most".split()
)
#: What may differ between the two sides of a pair even where a claim does not name it: they say what the arm is.
ARM = frozenset({"method", "sampler", "prior"})
AGAINST = " (against)"
PARTS = ("class_label", "pair")  # what is measured of one network by part: its classes, pairs of them
#: Columns that say on what part of the grid a verdict rests; above so many values only the range is given.
GRID, SHOWN = ("rho", "mu", "to_rho"), 5
BLOCKS = 1024  # blocks of complete replicates that are followed up: more than ten replicates can have


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


def telling(rows: pd.DataFrame, asked: Iterable[str]) -> tuple[pd.DataFrame, dict[str, object]]:
    """Tidied rows without the design columns that are alike in all of them, and the values of these.

    They tell no cell from another but cost as much as others in every merge. A column that is `asked` for stays, as do
    those that say which schedule and what part of the grid is judged.
    """
    kept = {"dataset", "iterations", *GRID, *asked}
    alike = [column for column in design(rows) if column not in kept and rows[column].nunique(dropna=False) == 1]
    if len(alike) == len(design(rows)):
        return rows, {}
    return rows.drop(columns=alike), {column: rows[column].iloc[0] for column in alike}


def _comparable(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    if column.notna().any() and numbers.notna().equals(column.notna()):
        return numbers.astype(float).round(10)
    return column.astype(object).where(column.notna(), "").astype(str)


def design(rows: pd.DataFrame) -> list[str]:
    """The design columns of tidied rows."""
    return [column for column in rows if column not in RECORDED]


def describe(filters: Mapping[str, Iterable]) -> str:
    """``method = baseline, rho = 10 or 100``; what is to be empty is left out."""
    named = {name: [str(value) for value in values if value not in ("", None)] for name, values in filters.items()}
    return ", ".join(f"{name} = {' or '.join(values)}" for name, values in named.items() if values)


def select(rows: pd.DataFrame, filters: Mapping[str, Iterable]) -> pd.DataFrame:
    """The rows whose columns hold one of the wanted values; "" and None stand for a missing entry.

    Raises
    ------
    NoData
        If a column does not exist or no row is left.
    """
    if rows.empty:
        raise NoData("no results")
    chosen, used = np.ones(len(rows), dtype=bool), {}
    for name, wanted in filters.items():
        if name not in rows:
            raise NoData(f"the results have no column {name!r}")
        chosen &= _fits(rows[name], wanted)
        used[name] = wanted
        if not chosen.any():  # named up to here: what was not run at all is not looked for in detail
            raise NoData(f"no results with {describe(used)}")
    return rows[chosen]


def _fits(column: pd.Series, wanted: Iterable) -> np.ndarray:
    """Whether each entry is one of the wanted values."""
    if not pd.api.types.is_numeric_dtype(column):
        return column.isin(["" if w is None else str(w) for w in wanted]).to_numpy(dtype=bool)
    fits = column.isin([round(float(w), 10) for w in wanted if isinstance(w, int | float)])
    if any(w is None or w == "" for w in wanted):
        fits |= column.isna()
    return fits.to_numpy(dtype=bool)


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
        Columns of `of`, the `apart` ones of `against` with `AGAINST` behind their names, `value` = of - against (NaN
        where a side diverged), and what that would be at `least` and at `most` if one side that diverged had scored
        anything from 0 to 1; NaN where both diverged, for then neither is better.
        Where one row has several partners, such as a reference that serves all ratios, each pair is a row.
    alone : DataFrame
        The usable rows of either arm that found no partner.
    """
    apart = [column for column in of if column in set(apart)]
    other = f"value{AGAINST}"
    right = against.rename(columns={column: column + AGAINST for column in [*apart, "value"]})
    match = [column for column in of if column not in apart and column != "value"]
    both = of.merge(right, on=match, how="outer", indicator="_side")
    paired = both.pop("_side") == "both"
    pairs, alone = both[paired], both[~paired & both[["value", other]].notna().any(axis=1)]
    left, right = pairs["value"], pairs[other]
    both_lost = left.isna() & right.isna()
    pairs = pairs.assign(
        value=left - right,
        least=(left.fillna(0) - right.fillna(1)).mask(both_lost),
        most=(left.fillna(1) - right.fillna(0)).mask(both_lost),
    )
    return pairs.drop(columns=other), alone


def disjoint(of: pd.DataFrame, against: pd.DataFrame, apart: Iterable[str]) -> list[str]:
    """Design columns, but those in `apart`, of which two arms have no value in common, so that `pair` finds nothing."""
    common = [column for column in design(of) if column not in apart]
    return [column for column in common if column not in against or not of[column].isin(against[column]).any()]


def at_defaults(frame: pd.DataFrame, defaults: Mapping[str, object]) -> pd.Series:
    """Whether each row has these values, bool by row."""
    return (frame[list(defaults)] == list(defaults.values())).all(axis=1)


def lacks(judged: pd.DataFrame, requires: Mapping[str, Iterable]) -> str:
    """The first combination of the required values that is in neither arm of what is judged, in words, or ""."""
    if not requires:
        return ""
    judged = judged[[column for column in judged if column.removesuffix(AGAINST) in requires]].drop_duplicates()
    other = [column.removesuffix(AGAINST) for column in judged if column.endswith(AGAINST)]
    partner = judged.drop(columns=other).rename(columns=lambda column: column.removesuffix(AGAINST))
    either = pd.concat([judged, partner]) if other else judged
    nowhere = np.zeros(len(either), bool)
    there = [
        [(value, _fits(either[name], (value,)) if name in either else nowhere) for value in wanted]
        for name, wanted in requires.items()
    ]
    for combination in product(*there):
        if not np.logical_and.reduce([fits for _, fits in combination]).any():
            needed = {name: (value,) for name, (value, _) in zip(requires, combination, strict=True)}
            return f"nothing to judge with {describe(needed)}"
    return ""


def check(judged: pd.DataFrame, requires: Mapping[str, Iterable]) -> None:
    """Raise `NoData` where what is judged `lacks` some of what is required."""
    if lacking := lacks(judged, requires):
        raise NoData(lacking)


def extent(judged: pd.DataFrame, fixed: Iterable[str]) -> str:
    """On what part of the grid a verdict rests: ``on 12 settings (rho 10, 100, 1000, 5000; mu 0.2, 0.5, 0.8)``.

    Columns in `fixed`, of which the claim wants one value, are left out unless they vary.
    """
    parts = []
    columns = [column for name in GRID for column in (name, name + AGAINST) if column in judged]
    columns = [column for column in columns if pd.api.types.is_numeric_dtype(judged[column])]
    for column in columns:
        name, side, _ = column.partition(AGAINST)
        values = np.unique(judged[column].dropna())
        # One value still tells how far the grid has got, except 1: no imbalance, or complete resampling.
        if len(values) < 2 and (side or name in fixed or set(values) <= {1.0}):
            continue
        listed = ", ".join(f"{value:g}" for value in values)
        shown = listed if len(values) <= SHOWN else f"{values[0]:g} to {values[-1]:g}, {len(values)} values"
        parts.append(f"{'against ' if side else ''}{name} {shown}")
    n = len(judged[[column for column in ("dataset", "imbalance") if column in judged] + columns].drop_duplicates())
    return f"on {n} setting{'s' if n > 1 else ''} ({'; '.join(parts)})" if parts else ""


def complete_block(
    cells: pd.DataFrame, enough: Callable[[pd.DataFrame], bool] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Replicates that all have the same cells, so that none is an average over other settings than its neighbours.

    Of all tables without gaps the one of most values, of equal ones that of more replicates; one replicate alone only
    if there is no other. So one half-finished replicate goes as a whole, and one diverged cell costs that cell, not its
    replicate.

    Parameters
    ----------
    cells : DataFrame
        Tidied rows, one a cell and replicate.
    enough : callable or None
        Whether a block of these settings will do. Where the largest will not, the largest that does is taken, and be it
        of one replicate; where none does, the largest of all.

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
    kinds = cells.assign(_cell=numbers).drop_duplicates("_cell").set_index("_cell")[names]
    ranked = _blocks(table.notna().to_numpy())
    if not ranked or (enough is None and ranked[0][0].sum() < min(2, len(table))):
        raise NoData("no cell was measured in two replicates")
    fitting = (block for block in ranked if enough and enough(kinds.loc[table.columns[block[1]]]))
    replicates, columns = next(fitting, ranked[0])
    block = table.loc[replicates, columns]
    settings = kinds.loc[block.columns]
    left = ((~replicates, "replicates"), (~columns, "cells"))
    note = " and ".join(f"{gone.sum()} of {gone.size} {what}" for gone, what in left if gone.any())
    return block, settings, f"incomplete, left out: {note}" if note else ""


def _blocks(there: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """All blocks without gaps that no row or column can be added to, as masks of rows and columns; the best first.

    There are no more of them than sets of rows. Beyond `BLOCKS` of them, which takes replicates by the dozen that each
    lack something else, only so many of the best are followed up.
    """

    def worth(columns: np.ndarray) -> tuple[bool, int, int]:
        rows = int(there[:, columns].all(axis=1).sum())
        return rows > 1, rows * int(columns.sum()), rows

    shared: dict[bytes, np.ndarray] = {}
    for row in there[np.argsort(-there.sum(axis=1), kind="stable")]:
        met = [row, *(row & columns for columns in shared.values())]
        shared |= {columns.tobytes(): columns for columns in met if columns.any()}
        if len(shared) > BLOCKS:
            shared = {columns.tobytes(): columns for columns in sorted(shared.values(), key=worth)[-BLOCKS:]}
    ranked = sorted(shared.values(), key=worth, reverse=True)
    return [(there[:, columns].all(axis=1), columns) for columns in ranked]
