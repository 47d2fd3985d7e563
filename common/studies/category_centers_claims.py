"""Effects of paper 1's claims that no built-in test expresses; `category_centers_claims.yaml` calls them by name.

Each takes the claim and tidied rows (metric, replicate, value and the design columns; one schedule a data set) and
returns one effect per replicate.
"""

import numpy as np
import pandas as pd


def claim_absolute_count(claim, rows: pd.DataFrame) -> np.ndarray:
    """Gain of oversampling with centres at the paper's counts minus that at the smaller counts (section IV.B).

    Averaged over the imbalances and layers that have all four values.
    """
    rows = rows.assign(layer=rows["method"].str.removeprefix("O"), over=rows["method"].str.startswith("O"))
    place = ["replicate", "imbalance", "layer", "count_scale"]
    both = rows.pivot_table(index=place, columns="over", values="value").dropna()
    if not {False, True} <= set(both.columns):
        return np.array([])
    gain = (both[True] - both[False]).unstack("count_scale").dropna()
    if gain.shape[1] != 2:
        return np.array([])
    return (gain.iloc[:, 1] - gain.iloc[:, 0]).groupby("replicate").mean().to_numpy()


def claim_parameters_saved(claim, rows: pd.DataFrame) -> np.ndarray:
    """Share of the parameters of recognition that centres save beside the network's own last layer (section I)."""
    table = rows.pivot_table(index="replicate", columns="method", values="value").dropna()
    centers = [method for method in table if method != "D"]
    if "D" not in table or len(centers) != 1:
        return np.array([])
    return (1 - table[centers[0]] / table["D"]).to_numpy()
