"""Arms of paper 3 beside each other: those that are alike, and those that were also run with other starts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from common import matching, tables
from common.statistics import LEAST
from common.studies.class_specific_extrapolation_protocol import METHODS
from common.studies.class_specific_extrapolation_selection import main_rows

#: Arms that extrapolate a separable pair at random, the second one no other pair.
ALIKE = (METHODS["random"], METHODS["run"])
#: Columns in which what is alike may differ from the claim that asks: the arm, and what is measured of a network.
APART = {*matching.ARM, *matching.PARTS}
NEEDED = {"metric", "method", "replicate", "pair", "value"}


# -- chance ------------------------------------------------------------------------------------------------------------


def alike(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """How far two arms of one rule are apart: random selection, in two arms, of pairs that are separable in both.

    One row a replicate and pair: the metric of both arms and their difference, which is chance (other draws of major
    images, another head beside it). What is measured over all classes counts where every pair is separable.

    Parameters
    ----------
    frame : DataFrame
        Rows of one experiment, of all metrics.
    """
    if not set(frame) >= NEEDED:
        return pd.DataFrame()
    place = [column for column in ("replicate", "pair", "class_label") if column in frame]
    told = frame[(frame["metric"] == "overlapped") & (frame["method"] == ALIKE[1])]
    table = frame[frame["metric"] == metric].pivot_table(index=place, columns="method", values="value")
    if told.empty or not set(ALIKE) <= set(table):
        return pd.DataFrame()
    overlapped = told.groupby(["replicate", "pair"])["value"].max().to_dict()
    anywhere = told.assign(pair="").groupby(["replicate", "pair"])["value"].max().to_dict()
    separable = [{**overlapped, **anywhere}.get(where[:2]) == 0 for where in table.index]
    both = table.loc[separable, list(ALIKE)].dropna()
    return both.assign(difference=both[ALIKE[1]] - both[ALIKE[0]]).reset_index().rename_axis(columns=None)


def spread(found: pd.DataFrame) -> tuple[float, int] | None:
    """Standard deviation of differences of arms that are `alike`, around 0, and their number; None of very few."""
    if len(found) < LEAST:
        return None
    return float(np.sqrt((found["difference"] ** 2).mean())), len(found)


def chance(metric: str, judged: pd.DataFrame, rows: pd.DataFrame) -> tuple[float, int] | None:
    """What chance makes of the difference of two arms, by those that are alike in the claim's experiment.

    Parameters
    ----------
    metric : str
        That the claim is about.
    judged : DataFrame
        Settings of its cells. Where both sides are one method, as where two pairs of a network are compared, no arm
        differs from another.
    rows : DataFrame
        Tidied rows of all results that are judged. Those on other settings, such as the ablation, say nothing of these.

    Returns
    -------
    tuple of float and int, or None
        Standard deviation and its degrees of freedom; None where no two arms are alike.
    """
    other = f"method{matching.AGAINST}"
    one_method = {"method", other} <= set(judged) and (judged["method"] == judged[other]).all()
    if one_method or not set(rows) >= NEEDED:
        return None
    rows = rows[rows["method"].isin(ALIKE)]
    for column in set(judged) & set(rows) - APART:
        rows = rows[rows[column].isin(judged[column].unique())]
    return spread(alike(rows, metric))


# -- starts ------------------------------------------------------------------------------------------------------------


def both_starts(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the arms and replicates that were run with images and synthetic samples as starts and with images alone.

    The first are of the usual runs, the second of those with images alone; both empty where none was.
    """
    real = main_rows(frame, starts="real")
    if real.empty:
        return real, real
    kind = ["replicate", "method", "hidden", "iterations"]
    return main_rows(frame).merge(real[kind].drop_duplicates(), on=kind), real


def effect_of_starts(frame: pd.DataFrame) -> str:
    """What images alone as starts change of random selection's gain or harm, on the pairs where most; "" if not run."""
    every, real = both_starts(frame)
    if real.empty:
        return ""
    none = _by_place(main_rows(frame), METHODS["none"])
    gains = [(_by_place(part, METHODS["random"]) - none).dropna() for part in (every, real)]
    table = pd.concat(gains, axis=1, keys=["all", "real"]).dropna()
    if table.empty:
        return ""
    means, n = table.groupby("pair").mean(), table.index.unique("replicate").size
    change = means["real"] - means["all"]
    told = [
        f"{tables.effect(means.loc[pair, 'all'], sign=True)} on {pair}, with images alone "
        f"{tables.effect(means.loc[pair, 'real'], sign=True)}"
        for pair in dict.fromkeys([change.idxmax(), change.idxmin()])
    ]
    return (
        f"PR-AUC of random selection minus that without extrapolation is {', and '.join(told)} "
        f"(the pairs on which it changes most; {n} replicate{'s' * (n != 1)})"
    )


def _by_place(rows: pd.DataFrame, method: str) -> pd.Series:
    """PR-AUC of a method by replicate and pair."""
    own = rows[(rows["metric"] == "pr_auc") & (rows["method"] == method) & (rows["status"] == "ok")]
    return own.set_index(["replicate", "pair"])["value"]
