"""Effects of paper 1's claims that no built-in test expresses; `category_centers_claims.yaml` calls them by name.

Each `claim_` takes the claim and tidied rows (metric, replicate, value and the design columns; one schedule a data set)
and returns one effect per replicate; a `count_` takes the claim alone and returns a number that needs no results.
"""

import numpy as np
import pandas as pd

from common.studies.category_centers_networks import recognition_parameters

CLASSES = 10  # of CIFAR-10


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


def claim_few_below_many(claim, rows: pd.DataFrame) -> np.ndarray:
    """Recall of labels with few training images minus that of those with many, averaged over imbalances (abstract)."""
    return rows.groupby("replicate")["value"].mean().to_numpy()


def count_parameters_saved(claim) -> float:
    """Share of VGG-16's numbers that recognition by centres saves, the centres' own counted (section I)."""
    (method,), (size,) = claim.on["method"], claim.on["input_size"]
    numbers = recognition_parameters(CLASSES, size)
    return 1 - numbers[method] / numbers["D"]


def count_classification_layer_saved(claim) -> float:
    """Share of the classification layer's numbers that centres of what it sees save (section II)."""
    (size,) = claim.on["input_size"]
    numbers = recognition_parameters(CLASSES, size)
    return (numbers["D"] - numbers["F"]) / numbers["layer"]
