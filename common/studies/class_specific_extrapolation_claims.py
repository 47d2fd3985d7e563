"""Effects of paper 3's claims that no built-in test expresses; `class_specific_extrapolation_claims.yaml` names them.

Each takes the claim and tidied rows (metric, replicate, value and the design columns) and returns one effect per
replicate.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from common.published_numbers import published

STEM = "class_specific_extrapolation"
BIASED = ("bottom", "asymmetric")  # those that the paper finds better than random selection on overlapped pairs
UNIFORM = "asymmetric"  # biased extrapolation of all pairs, against which cost is compared


def paper_pairs() -> dict[str, bool]:
    """The paper's pairs, and whether it found them overlapped."""
    rows = published(STEM)
    rows = rows[rows["metric"] == "overlapped"]
    return {pair: bool(value) for pair, value in zip(rows["pair"], rows["value"], strict=True)}


def _more_on_overlapped(rows: pd.DataFrame, methods: tuple[str, ...], over: str) -> np.ndarray:
    """Mean gain of methods over another on the pairs that the paper found overlapped, minus that on the others."""
    overlapped = paper_pairs()
    table = rows.pivot_table(index="replicate", columns=["pair", "method"], values="value")

    def gain(wanted: bool) -> pd.Series:
        pairs = [pair for pair, is_overlapped in overlapped.items() if is_overlapped == wanted]
        gains = [table[pair][list(methods)].mean(axis=1, skipna=False) - table[pair][over] for pair in pairs]
        return pd.concat(gains, axis=1).mean(axis=1, skipna=False)

    return (gain(True) - gain(False)).dropna().to_numpy()


def claim_more_on_overlapped(claim, rows):
    """Gain of the biases over random selection on overlapped pairs, minus that on separable ones."""
    return _more_on_overlapped(rows, BIASED, "random")


def claim_extrapolation_more_on_overlapped(claim, rows):
    """Gain of random selection over no extrapolation on overlapped pairs, minus that on separable ones."""
    return _more_on_overlapped(rows, ("random",), "no extrapolation")


def claim_percent_saved(claim, rows):
    """Cost saved, in percent of that of biased extrapolation of all pairs."""
    table = rows.pivot_table(index="replicate", columns="method", values="value")
    (other,) = set(table) - {UNIFORM}
    return 100 * (1 - table[other] / table[UNIFORM]).dropna().to_numpy()


def by_class(values: pd.Series) -> pd.DataFrame:
    """Values by pair name ``Major-Minor`` as a matrix, major classes down."""
    return values.set_axis(values.index.str.split("-", expand=True)).unstack()


def closest_pairs(distances: pd.Series) -> list[str]:
    """One major class for each minor one, so that the sum of distances is least.

    Parameters
    ----------
    distances : Series
        By pair name ``Major-Minor``.
    """
    from scipy.optimize import linear_sum_assignment

    matrix = by_class(distances)
    majors, minors = linear_sum_assignment(matrix.to_numpy())
    return [f"{matrix.index[a]}-{matrix.columns[b]}" for a, b in zip(majors, minors, strict=True)]


def claim_share_of_pairs_found(claim, rows):
    """Share of the paper's pairs (figure 3) that are among the closest ones, one to one."""
    printed, shares = set(paper_pairs()), []
    for _, one in rows.groupby("replicate"):
        found = closest_pairs(one.set_index("pair")["value"])
        shares.append(len(printed & set(found)) / len(printed))
    return np.array(shares)
