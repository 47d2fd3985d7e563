"""The groups that a claim judges for themselves, such as each method, and whether they have what it requires."""

from __future__ import annotations

import pandas as pd

from common import matching
from common.claim_file import Claim
from common.matching import NoData


def of(claim: Claim, cells: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The cells of each group that is judged for itself, by its name ("": all)."""
    by = list(claim.every or claim.some)
    if not by:
        return {"": cells}
    for column in by:
        if column not in cells:
            raise NoData(f"the compared cells have no column {column!r}")
    groups = {}
    for key, group in cells.groupby(by, dropna=False):
        shown = [f"{value:.10g}" if isinstance(value, float) else value for value in key]
        groups[matching.describe({column: [value] for column, value in zip(by, shown, strict=True)})] = group
    return groups


def whole(claim: Claim, cells: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The cells of the groups that have all that is required: an average over other settings is another quantity."""
    groups = of(claim, cells)
    lacking = _lacking(claim, groups)
    if len(lacking) == len(groups):
        raise NoData(next(iter(lacking.values())))
    notes += [f"left out: {name} ({reason})" for name, reason in lacking.items()]
    return cells.drop([row for name in lacking for row in groups[name].index])


def has_required(claim: Claim, settings: pd.DataFrame) -> bool:
    """Whether all that is required is among these settings, and in each group."""
    return not matching.lacks(settings, claim.requires) and not _lacking(claim, of(claim, settings))


def _lacking(claim: Claim, groups: dict[str, pd.DataFrame]) -> dict[str, str]:
    """Groups that have not all that is required beside the values that make the groups, and why."""
    own = {column.removesuffix(matching.AGAINST) for column in claim.every or claim.some}
    requires = {name: values for name, values in claim.requires.items() if name not in own}
    told = {name: matching.lacks(group, requires) for name, group in groups.items()}
    return {name: reason for name, reason in told.items() if reason}
