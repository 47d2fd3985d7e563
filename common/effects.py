"""What a claim compares, as numbers: one effect a replicate and setting, or one slope a replicate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from common import groups
from common.claim_file import Claim
from common.errors import UserError
from common.matching import AGAINST, PARTS, NoData
from common.statistics import Noise


def effects(claim: Claim, block: pd.DataFrame, cells: pd.DataFrame) -> dict[str, np.ndarray]:
    """Effect per replicate, by name of the group judged for itself ("": all); only groups with all that is required.

    A mean is returned by setting (columns), so that its interval knows how much each of them varies.
    """
    cells = groups.whole(claim, cells, [])
    if claim.over and claim.over not in cells:
        raise NoData(f"the compared cells have no column {claim.over!r}")
    found = {}
    for name, group in groups.of(claim, cells).items():
        values = block[group.index].to_numpy()
        found[name] = _slopes(claim, values, group) if claim.test == "trend" else _by_setting(values, group)
    return found


def _by_setting(values: np.ndarray, cells: pd.DataFrame) -> np.ndarray:
    """Columns of which the mean over all `cells` is the mean, one a setting.

    What varies together is one column: the classes of a network, for what one gains others lose, and the differences
    of one network from several rivals. Where the arms differ in the setting itself, as from a balanced reference, each
    setting stays one: all of them share the reference, and one column would have no spread but its own.
    """
    networks = [column for column in cells if column not in PARTS]
    apart = {column for one in cells if one.endswith(AGAINST) for column in (one, one.removesuffix(AGAINST))}
    number = _numbered(cells, [column for column in networks if column not in apart])
    if number.max() == 0:
        number = _numbered(cells, networks)
    if number.max() + 1 == len(cells):
        return values
    sums = np.stack([values[:, number == setting].sum(axis=1) for setting in range(number.max() + 1)], axis=1)
    return sums * sums.shape[1] / values.shape[1]


def _numbered(cells: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """A number from 0 for each of the cells, the same where all these columns are the same."""
    return cells.groupby(columns, dropna=False).ngroup().to_numpy() if columns else np.zeros(len(cells), int)


def noises(found: dict[str, np.ndarray], one: Noise | None) -> dict[str, Noise]:
    """What chance makes of the mean over the settings of each group, where it makes `one` of a single one."""
    if one is None:
        return {}
    return {name: replace(one, deviation=one.deviation / np.sqrt(values.shape[1])) for name, values in found.items()}


def _slopes(claim: Claim, values: np.ndarray, cells: pd.DataFrame) -> np.ndarray:
    """Least-squares slope per replicate, with an intercept for each setting of the other columns.

    Intercepts of their own keep a cell that is missing at one end from tilting the line; in a full grid they change
    nothing.
    """
    x = cells[claim.over]
    if not pd.api.types.is_numeric_dtype(x) or (claim.scale == "log10" and (x <= 0).any()):
        raise UserError(f"trend over {claim.over} ({claim.scale}): expected numbers, above 0 for log10")
    x = np.log10(x) if claim.scale == "log10" else x
    others = [column for column in cells if column != claim.over]
    mean = x.groupby([cells[column] for column in others], dropna=False).transform("mean") if others else x.mean()
    centred = (x - mean).to_numpy()
    if not np.any(np.abs(centred) > 1e-12):
        raise NoData(f"a trend needs two values of {claim.over} at one setting of the rest")
    return values @ centred / (centred @ centred)
