"""Effects of paper 2's claims that no built-in test expresses; `mobilenet_features_claims.yaml` calls them by name.

Each takes the claim and tidied rows (metric, replicate, value and the design columns) and returns one effect per
replicate (fold). What is chosen by its result, such as the best rival, is chosen by the mean of all other folds, so
that no number both chooses and reports; one fold alone has no such effect.
"""

import numpy as np
import pandas as pd

from common.matching import NoData, lacks
from common.statistics import of_others
from common.studies.mobilenet_features_deviations import ON_FEATURES, ON_IMAGES
from common.studies.mobilenet_features_resampling import METHODS

#: What the paper combines.
COMBINATION = ["representation", "method"]
COMBINATIONS = pd.MultiIndex.from_tuples(
    [("images", METHODS[name]) for name in ON_IMAGES] + [("features", METHODS[name]) for name in ON_FEATURES],
    names=COMBINATION,
)
BASELINES = pd.MultiIndex.from_product([["images", "features"], ["baseline"]], names=COMBINATION)
PLACE = ["dataset", "rho"]  # where combinations are compared


def _scores(claim, rows: pd.DataFrame, columns: pd.MultiIndex) -> pd.DataFrame:
    """Value by fold, data set and ratio (rows) and combination (`columns`), where all of these were measured.

    So that both sides of a comparison are means over the same sets and ratios, whatever else one of them has.

    Raises
    ------
    NoData
        If that is so nowhere, or not on all data sets and at all ratios that the claim requires.
    """
    table = rows.pivot_table(index=["replicate", *PLACE], columns=columns.names, values="value")
    table = table.reindex(columns=columns).dropna()
    required = {name: claim.requires[name] for name in PLACE if name in claim.requires}
    lacking = lacks(table.index.to_frame(index=False), required)
    if table.empty or lacking:
        raise NoData(f"{lacking or 'nothing to judge'}: not all that is compared was measured there")
    return table


def _gains(claim, rows: pd.DataFrame, columns: pd.MultiIndex) -> pd.DataFrame:
    """Gain over the baseline of the same representation, as `_scores` has the scores."""
    table = _scores(claim, rows, columns)
    better = [column for column in columns if column[1] != "baseline"]
    return pd.concat({(kind, m): table[kind, m] - table[kind, "baseline"] for kind, m in better}, axis=1)


def _by_fold(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over data sets and ratios of each fold."""
    return table.groupby(level="replicate").mean()


def claim_only_helper(claim, rows):
    """Whether oversampling alone improves images on all sets: the smallest margin by which that is so.

    The smaller of oversampling's gain on the set that is worst for it, and of how far the other method that comes
    nearest to helping everywhere is below the baseline on the set that is worst for that.
    """
    gains = _gains(claim, rows, COMBINATIONS[COMBINATIONS.get_level_values("representation") == "images"])
    gains = gains["images"].groupby(level=["replicate", "dataset"]).mean().unstack("dataset")
    found = []
    for fold, others in of_others(gains).iterrows():
        worst = {m: (m, others[m].idxmin()) for m in gains.columns.unique(0)}
        oversampling = worst.pop("oversampling")
        nearest = max(worst.values(), key=others.get)
        own = gains.loc[fold]
        found.append(own[oversampling] if others[oversampling] < -others[nearest] else -own[nearest])
    return np.array(found)


def claim_best_combination(claim, rows):
    """Images with oversampling minus the best other combination of the paper's.

    Over the data sets and ratios that all of its ten combinations have.
    """
    scores = _by_fold(_scores(claim, rows, COMBINATIONS))
    ours = scores.pop(("images", "oversampling"))
    best = of_others(scores).idxmax(axis=1)
    return np.array([ours[fold] - scores.loc[fold, rival] for fold, rival in best.items()])


def claim_larger_relative_drop(claim, rows):
    """Relative fall of the baseline from the mildest to the strongest imbalance, on features minus on images.

    Scores are averaged over data sets first, as in table 2.
    """
    scores = _scores(claim, rows, BASELINES).groupby(level=["replicate", "rho"]).mean().unstack("rho")
    mildest, strongest = (f(scores.columns.unique("rho")) for f in (min, max))

    def drop(representation):
        at = (representation, "baseline")
        return 1 - scores[*at, strongest] / scores[*at, mildest]

    return (drop("features") - drop("images")).to_numpy()


def claim_larger_gain_on_features(claim, rows):
    """Gain of SMOTE on features minus gain of oversampling on images, averaged over data sets and ratios."""
    compared = [*BASELINES, ("features", "SMOTE"), ("images", "oversampling")]
    gains = _by_fold(_gains(claim, rows, pd.MultiIndex.from_tuples(compared, names=COMBINATION)))
    return (gains["features", "SMOTE"] - gains["images", "oversampling"]).to_numpy()


def claim_same_random_gain(claim, rows):
    """Gain of a random resampler on features minus its gain on images, averaged over data sets and ratios.

    Of several resamplers the one whose two gains differ most.
    """
    random = ["oversampling", "undersampling"]
    compared = pd.MultiIndex.from_product([BASELINES.unique(0), ["baseline", *random]], names=COMBINATION)
    gains = _by_fold(_gains(claim, rows, compared))
    differences = pd.DataFrame({m: gains["features", m] - gains["images", m] for m in random})
    most = of_others(differences).abs().idxmax(axis=1)
    return np.array([differences.loc[fold, method] for fold, method in most.items()])
