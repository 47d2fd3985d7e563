"""Over which folds the columns of a table of paper 2, or the lines of its figure, are: all over the same."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from common import tables

#: Folds from which a method counts among those that say over which folds all of them are.
FEWEST = 2


def shared(rows: pd.DataFrame, by: Iterable[str]) -> pd.DataFrame:
    """The rows of the folds that all methods of a block have, so that none is over other folds than its neighbours.

    A method that has begun with one fold, where another has more, would take the others from all: it is left out.

    Parameters
    ----------
    rows : DataFrame
        Scores, with replicate (fold) and method.
    by : iterable of str
        Columns whose values are alike in a block, such as a row of a table.

    Returns
    -------
    DataFrame
        With a column `over`: the block's folds in words (`_over`).
    """
    parts = [_shared(block) for _, block in rows.groupby(list(by), sort=False)] if len(rows) else []
    return pd.concat(parts) if parts else rows.assign(over="")


def _shared(rows: pd.DataFrame) -> pd.DataFrame:
    """`shared` of one block. Methods that have no fold in common leave those of the method that has most."""
    own = rows.groupby("method", sort=False)["replicate"].agg(frozenset)
    several = own[own.map(len) >= min(FEWEST, own.map(len).max())]
    folds = frozenset.intersection(*several) or max(several, key=len)
    there = own.map(folds.issubset)
    kept = rows[rows["replicate"].isin(folds) & rows["method"].isin(own.index[there])]
    return kept.assign(over=_over(len(folds), len(frozenset.union(*own)), own.index[~there]))


def _over(used: int, measured: int, lacking: Iterable[str]) -> str:
    """``3 folds``, ``3 of 4 folds`` where a method has not all four, and the methods that lack some of these three."""
    folds = tables.span([measured], "fold")
    names = ", ".join(lacking)
    return (folds if used == measured else f"{used} of {folds}") + (f", some missing of {names}" if names else "")
