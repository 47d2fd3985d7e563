"""Which of several training schedules counts: the longest that covers the grid."""

from __future__ import annotations

import pandas as pd

from common.matching import design

#: How a network was trained, not on what: schedules are compared by the settings they have in common beside these.
HOW = frozenset({"iterations", "schedule", "precision"})
#: Share of the settings of the best-covered schedule that a longer one has to have before it is judged instead.
COVERED = 0.8


def covering(rows: pd.DataFrame, setting: list[str], how: list[str]) -> tuple[object, pd.DataFrame, int]:
    """The longest schedule that covers the grid.

    A setting is covered in two replicates, or in one if no schedule has any in two. The longest schedule is taken that
    has at least `COVERED` of the settings of the best-covered one, so that the first few cells of a longer schedule do
    not speak for the whole grid. Diverged cells count as covered: they were run, and a schedule is not to be chosen by
    how it went.

    Parameters
    ----------
    rows : DataFrame
        With a column replicate; at least one row.
    setting, how : list of str
        Columns that make a setting, and a schedule (its length first).

    Returns
    -------
    taken : value, or tuple where `how` has several columns
        The schedule.
    wanted : DataFrame of bool
        Whether each setting of the best-covered schedule (rows) is covered by each schedule (columns).
    least : int
        Replicates that cover a setting.
    """
    number = rows.groupby(setting, dropna=False).ngroup().rename("setting")
    replicates = rows.groupby([number, *how])["replicate"].nunique().unstack(how if len(how) > 1 else how[0])
    least = min(2, int(replicates.max().max()))
    covered = replicates.fillna(0) >= least
    wanted = covered[covered[covered.sum()[::-1].idxmax()]]  # from behind: of equal ones the longest
    return max(wanted.columns[wanted.mean() >= COVERED]), wanted, least


def one_schedule(cells: pd.DataFrame) -> tuple[pd.DataFrame | None, list[str]]:
    """For each data set the number of iterations to judge: the largest that covers the grid (`covering`).

    Returns
    -------
    schedule : DataFrame or None
        Columns dataset (where `cells` has it) and iterations; None if the rows do not say their iterations.
    notes : list of str
        What each longer schedule has so far.
    """
    if "iterations" not in cells or not pd.api.types.is_numeric_dtype(cells["iterations"]):
        return None, []
    chosen, notes = [], []
    setting = [column for column in design(cells) if column not in HOW]
    for dataset, one in cells.groupby("dataset") if "dataset" in cells else [(None, cells)]:
        taken, wanted, least = covering(one, setting, ["iterations"])
        chosen.append({"dataset": dataset, "iterations": taken} if "dataset" in cells else {"iterations": taken})
        often = "in two replicates" if least == 2 else "so far"
        notes += [
            f"{longer:g} iterations not judged, too few: {wanted[longer].sum()} of {len(wanted)} comparisons {often}"
            for longer in wanted.columns[wanted.columns > taken]
        ]
    return pd.DataFrame(chosen), notes


def at(cells: pd.DataFrame, schedule: pd.DataFrame | None) -> pd.DataFrame:
    """The cells on the schedule that `one_schedule` chose."""
    return cells if schedule is None else cells.merge(schedule, on=list(schedule))
