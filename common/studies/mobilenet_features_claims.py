"""Effects of paper 2's claims that no built-in test expresses; `mobilenet_features_claims.yaml` calls them by name.

Each takes the claim and tidied rows (metric, replicate, value and the design columns) and returns one effect per
replicate (fold).
"""

import numpy as np
import pandas as pd

from common.studies.mobilenet_features_deviations import ON_FEATURES, ON_IMAGES
from common.studies.mobilenet_features_resampling import METHODS

#: What the paper combines.
COMBINATION = ["representation", "method"]
COMBINATIONS = pd.MultiIndex.from_tuples(
    [("images", METHODS[name]) for name in ON_IMAGES] + [("features", METHODS[name]) for name in ON_FEATURES],
    names=COMBINATION,
)


def _table(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean value by fold (rows) and `columns`, averaged over what else varies; complete folds only."""
    return rows.pivot_table(index="replicate", columns=columns, values="value", aggfunc="mean").dropna()


def _gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Gain over the baseline by fold (rows), and representation, data set and method (columns)."""
    table = _table(rows, ["representation", "dataset", "method"])
    baseline = table.xs("baseline", axis=1, level="method")
    methods = [m for m in table.columns.unique("method") if m != "baseline"]
    return pd.concat({m: table.xs(m, axis=1, level="method") - baseline for m in methods}, axis=1, names=["method"])


def claim_only_helper(claim, rows):
    """Whether oversampling alone improves images on all sets: the smallest margin by which that is so.

    The smaller of oversampling's gain on the set that is worst for it, and of how far the other method that comes
    nearest to helping everywhere is below the baseline on the set that is worst for that. Set and method are chosen by
    means over folds: the worst of each fold would be below what it estimates, the more so the noisier the folds are.
    """
    gains = _gains(rows)
    worst = {m: gains[m][gains[m].mean().idxmin()] for m in gains.columns.unique("method")}
    oversampling = worst.pop("oversampling")
    nearest = max(worst.values(), key=np.mean)
    return min(oversampling, -nearest, key=np.mean).to_numpy()


def claim_best_combination(claim, rows):
    """Images with oversampling minus the best other combination of the paper's, by its mean over folds.

    Over the data sets and ratios that all of its ten combinations have; without one of the required sets no effect.
    """
    table = rows.pivot_table(index=["replicate", "dataset", "rho"], columns=COMBINATION, values="value")
    table = table.reindex(columns=COMBINATIONS).dropna()
    if not set(claim.requires.get("dataset", ())) <= set(table.index.unique("dataset")):
        return np.array([])
    scores = table.groupby(level="replicate").mean()
    ours = scores.pop(("images", "oversampling"))
    return (ours - scores[scores.mean().idxmax()]).to_numpy()


def claim_larger_relative_drop(claim, rows):
    """Relative fall of the baseline from the mildest to the strongest imbalance, on features minus on images.

    Scores are averaged over data sets first, as in table 2.
    """
    table = _table(rows, ["representation", "rho"])
    mildest, strongest = (f(table.columns.unique("rho")) for f in (min, max))

    def drop(representation):
        return 1 - table[representation, strongest] / table[representation, mildest]

    return (drop("features") - drop("images")).to_numpy()


def claim_larger_gain_on_features(claim, rows):
    """Gain of SMOTE on features minus gain of oversampling on images, averaged over data sets and ratios."""
    gains = _gains(rows).T.groupby(level=["method", "representation"]).mean().T
    if not {("SMOTE", "features"), ("oversampling", "images")} <= set(gains):
        return np.array([])
    return (gains["SMOTE", "features"] - gains["oversampling", "images"]).to_numpy()


def claim_same_random_gain(claim, rows):
    """Gain of a random resampler on features minus its gain on images, averaged over data sets and ratios.

    Of several resamplers the one whose two gains differ most.
    """
    gains = _gains(rows).T.groupby(level=["method", "representation"]).mean().T
    methods = gains.columns.unique("method")
    differences = np.stack([(gains[m, "features"] - gains[m, "images"]).to_numpy() for m in methods], axis=1)
    largest = np.abs(differences.mean(axis=0)).argmax() if len(differences) else 0
    return differences[:, largest]
