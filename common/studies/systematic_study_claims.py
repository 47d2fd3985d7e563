"""Effects of paper 4's claims that no built-in test expresses; `systematic_study_claims.yaml` calls them by name.

Each takes the claim and tidied rows (metric, replicate, value and the design columns; one schedule a data set) and
returns one effect per replicate.
"""

import numpy as np
import pandas as pd

from common.statistics import of_others

NOTABLE = 0.01  # of AUC: the size from which the claims file takes a difference for notable


def _drops(rows: pd.DataFrame) -> pd.DataFrame:
    """Fall of the baseline from the balanced set: by data set, replicate, rho and mu."""
    place = ["dataset", "replicate"]
    reference = rows[rows["imbalance"] == "none"].groupby(place)["value"].mean().rename("reference").reset_index()
    step = rows[rows["imbalance"] == "step"].merge(reference, on=place)
    return step.assign(drop=step["reference"] - step["value"])


def claim_harder_task(claim, rows):
    """Drop on CIFAR-10 minus drop on MNIST, averaged over the settings both have (section 4.1)."""
    table = _drops(rows).pivot_table(index="replicate", columns=["dataset", "rho", "mu"], values="drop").dropna()
    if not {"cifar10", "mnist"} <= set(table.columns.get_level_values("dataset")):
        return np.array([])
    difference = table["cifar10"] - table["mnist"]  # NaN columns: settings only one of them has
    return difference.dropna(axis=1, how="all").mean(axis=1).dropna().to_numpy()


def claim_hundredfold(claim, rows):
    """log10 of how many times stronger imbalance is on MNIST at an equal drop, minus 2 (section 4.1).

    For every drop on CIFAR-10 the ratio at which MNIST's curve over log rho has it, by interpolation; beyond the curve
    that of its end. So only ratios count from which both ends lie outside of the claim's margin: of others the answer
    would be within it by what was measured, whatever the truth.
    """
    effects = []
    for _, replicate in _drops(rows).groupby("replicate"):
        shifts = []
        for _, curve in replicate.groupby("mu"):
            mnist, cifar = (curve[curve["dataset"] == name].sort_values("rho") for name in ("mnist", "cifar10"))
            drops = np.maximum.accumulate(mnist["drop"].to_numpy())  # interpolation needs an order; noise may lack it
            for rho, drop in zip(cifar["rho"], cifar["drop"], strict=True):
                reached = np.log10(mnist["rho"].to_numpy()) - np.log10(rho) - 2
                if len(drops) > 1 and reached[0] < -claim.margin and claim.margin < reached[-1]:
                    shifts.append(np.interp(drop, drops, reached))
        if shifts:
            effects.append(np.mean(shifts))
    return np.array(effects)


def claim_straight(claim, rows):
    """R squared of the score's least-squares line over rho, 0 if the line does not fall (section 4.1)."""
    effects = []
    for _, one in rows.groupby("replicate"):
        if len(one) > 2:
            falls = np.cov(one["rho"], one["value"])[0, 1] < 0  # also spares a constant score its undefined R squared
            effects.append(np.corrcoef(one["rho"], one["value"])[0, 1] ** 2 if falls else 0.0)
    return np.array(effects)


def claim_spread(claim, rows):
    """Largest minus smallest score of the replicates: one number (section 4.2)."""
    return np.array([np.ptp(rows["value"])] if len(rows) > 1 else [])


def _gains(rows: pd.DataFrame, method: str, over: str) -> pd.DataFrame:
    """Score of a method minus that of another: a row per replicate, a column per setting that has both."""
    table = rows.pivot_table(index="replicate", columns=["method", "rho", "mu"], values="value")
    return (table[method] - table[over]).dropna(axis=1)


def claim_below_baseline(claim, rows):
    """Share of the settings in which undersampling scores lower than the baseline (section 4.1)."""
    return (_gains(rows, "undersampling", "baseline") < 0).mean(axis=1).to_numpy()


def claim_best_of_all(claim, rows):
    """Share of the settings in which oversampling scores higher than every other method (sections 4.1 and 5)."""
    scores = rows.pivot_table(index=["replicate", "rho", "mu"], columns="method", values="value").dropna()
    best = scores.pop("oversampling") > scores.max(axis=1)
    return best.groupby(level="replicate").mean().to_numpy()


def claim_above_baseline(claim, rows):
    """Share of the settings in which oversampling scores higher than the baseline (sections 4.1 and 4.3)."""
    return (_gains(rows, "oversampling", "baseline") > 0).mean(axis=1).to_numpy()


def claim_notably_above_baseline(claim, rows):
    """Share of the settings in which oversampling gains more than `NOTABLE` over the baseline (section 4.1)."""
    return (_gains(rows, "oversampling", "baseline") > NOTABLE).mean(axis=1).to_numpy()


def _where_baseline(better: bool, rows: pd.DataFrame, over: str) -> np.ndarray:
    """Mean gain of two-phase undersampling where the baseline is better than undersampling, or in all other settings.

    Which it is in a setting is told by the mean of all other replicates, so that no number both sorts and reports. A
    replicate for which no setting is of that kind has a NaN; one replicate alone has no effect.
    """
    lead, gains = _gains(rows, "baseline", "undersampling").align(
        _gains(rows, "two-phase undersampling", over), join="inner", axis=1
    )
    if len(lead) < 2:
        return np.array([])
    return gains.where((of_others(lead) > 0) == better).mean(axis=1).to_numpy()


def claim_second_phase_where_baseline_better(claim, rows):
    """Gain of two-phase undersampling over undersampling where that is below the baseline (section 4.1)."""
    return _where_baseline(True, rows, over="undersampling")


def claim_second_phase_where_baseline_worse(claim, rows):
    """Gain of two-phase undersampling over undersampling where that is not below the baseline (section 4.1)."""
    return _where_baseline(False, rows, over="undersampling")


def claim_two_phase_over_better_baseline(claim, rows):
    """Gain of two-phase undersampling over the baseline where undersampling is below the baseline (section 4.1)."""
    return _where_baseline(True, rows, over="baseline")


def claim_two_phase_over_worse_baseline(claim, rows):
    """Gain of two-phase undersampling over the baseline where undersampling is not below the baseline (section 4.1)."""
    return _where_baseline(False, rows, over="baseline")


def claim_partial_above_both(claim, rows):
    """Gain of a level of partial undersampling over full undersampling or the baseline, the better one (section 4.5).

    Which level is the best, and which of the two the better, is told by the mean of all other replicates, so that no
    number both chooses and reports; the paper does not say which level it is. One replicate alone has no effect.
    """
    under = rows[rows["method"] == "undersampling"].pivot_table(index="replicate", columns="to_rho", values="value")
    baseline = rows[rows["method"] == "baseline"].groupby("replicate")["value"].mean()
    ends = np.stack([under.pop(1.0), baseline.reindex(under.index)], axis=1)
    if len(under) < 2:
        return np.array([])
    levels, own = under.to_numpy(), np.arange(len(under))
    best, better = (of_others(one).argmax(axis=1) for one in (levels, ends))
    return levels[own, best] - ends[own, better]


def claim_equal_level(claim, rows):
    """Distance to the nearest level of undersampling, of the level of oversampling with the largest (section 4.5).

    The paper says it 'for each case': a mean over mu would hide one where no level comes near. Which case is the
    farthest, and which level the nearest to it, is told by the mean of all other replicates, in whose direction the
    distance counts: a largest distance of noisy scores is above 0 where all are equal, and a smallest below what it
    estimates. A mu that lacks a level is left out, for that level may be the nearest. One replicate alone has none.
    """
    mus, levels = (np.unique(rows[name]) for name in ("mu", "to_rho"))
    table = rows.pivot_table(index="replicate", columns=["method", "mu", "to_rho"], values="value")
    table = table.reindex(columns=pd.MultiIndex.from_product([["oversampling", "undersampling"], mus, levels]))
    over, under = table.to_numpy().reshape(len(table), 2, len(mus), len(levels)).swapaxes(0, 1)
    differences = over[..., :, None] - under[..., None, :]  # replicates, mus, levels of over- and of undersampling
    whole = ~np.isnan(differences).any(axis=(0, 2, 3))
    if len(table) < 2 or not whole.any():
        return np.array([])
    differences, own = differences[:, whole].reshape(len(table), -1, len(levels)), np.arange(len(table))
    others = of_others(differences)
    nearest = np.abs(others).argmin(axis=2)
    distance = np.take_along_axis(others, nearest[:, :, None], axis=2)[:, :, 0]
    farthest = np.abs(distance).argmax(axis=1)
    return np.sign(distance[own, farthest]) * differences[own, farthest, nearest[own, farthest]]
