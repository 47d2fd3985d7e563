"""Effects of paper 3's claims that no built-in test expresses; `class_specific_extrapolation_claims.yaml` names them.

Each takes the claim and tidied rows (metric, replicate, value and the design columns) and returns one effect per
replicate.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from common.published_numbers import published

STEM = "class_specific_extrapolation"
BIASED = ("bottom", "asymmetric")
UNIFORM = "asymmetric"  # biased extrapolation of all pairs, against which cost is compared


def paper_pairs() -> dict[str, bool]:
    """The paper's pairs, and whether it found them overlapped."""
    rows = published(STEM)
    rows = rows[rows["metric"] == "overlapped"]
    return {pair: bool(value) for pair, value in zip(rows["pair"], rows["value"], strict=True)}


def claim_more_on_overlapped(claim, rows):
    """Gain of the biases over random selection on overlapped pairs, minus that on separable ones."""
    overlapped = paper_pairs()
    table = rows.pivot_table(index="replicate", columns=["pair", "method"], values="value")

    def gain(wanted: bool) -> pd.Series:
        pairs = [pair for pair, is_overlapped in overlapped.items() if is_overlapped == wanted]
        gains = [table[pair][list(BIASED)].mean(axis=1, skipna=False) - table[pair]["random"] for pair in pairs]
        return pd.concat(gains, axis=1).mean(axis=1, skipna=False)

    return (gain(True) - gain(False)).dropna().to_numpy()


def _saving(rows: pd.DataFrame) -> np.ndarray:
    """Share of the uniform bias's cost that the other method does not have, by replicate."""
    table = rows.pivot_table(index="replicate", columns="method", values="value")
    (other,) = set(table) - {UNIFORM}
    return (1 - table[other] / table[UNIFORM]).dropna().to_numpy()


def claim_saving(claim, rows):
    """Cost saved, as a share of that of biased extrapolation of all pairs."""
    return _saving(rows)


def claim_printed_saving(claim, rows):
    """Cost saved minus what the paper prints."""
    numbers = published(STEM)
    (printed,) = numbers.loc[numbers["metric"] == "cost_saved", "comparable"]
    return _saving(rows) - printed


def closest_pairs(distances: pd.Series) -> list[str]:
    """One major class for each minor one, so that the sum of distances is least.

    Parameters
    ----------
    distances : Series
        By pair name ``Major-Minor``.
    """
    from scipy.optimize import linear_sum_assignment

    names = pd.MultiIndex.from_tuples([tuple(name.split("-")) for name in distances.index])
    matrix = pd.Series(distances.to_numpy(), names).unstack()
    majors, minors = linear_sum_assignment(matrix.to_numpy())
    return [f"{matrix.index[a]}-{matrix.columns[b]}" for a, b in zip(majors, minors, strict=True)]


def claim_closest(claim, rows):
    """Share of the paper's pairs among the closest, one to one, minus 1 (figure 3)."""
    printed, effects = set(paper_pairs()), []
    for _, one in rows.groupby("replicate"):
        found = closest_pairs(one.set_index("pair")["value"])
        effects.append(len(printed & set(found)) / len(printed) - 1)
    return np.array(effects)
