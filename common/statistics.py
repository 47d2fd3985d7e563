"""Intervals over replicates: the one place that decides how sure we are.

Student's t below 20 values, because the bootstrap of three values covers the truth only about 73 times in 100; the
bias-corrected and accelerated bootstrap from 20 values on, because AUC and accuracy near 1 are skewed. Where folds
share images, Nadeau and Bengio's correction.

Missing values (NaN: a diverged network, a cell not run) are left out and `n` counts what remains; infinite values are
an error. Fewer than two values have no interval: its bounds are NaN. Equal values give an interval of no width.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from common.errors import UserError

BOOTSTRAP_FROM = 20
RESAMPLES = 2000
# A fixed seed: the same values give the same interval, alone or among others.
SEED = 20180710
CHUNK = 200


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence bounds; `n` values entered it.

    The two questions a claim asks return True, False, or None where the interval does not decide.
    """

    estimate: float
    low: float
    high: float
    n: int

    def above(self, bound: float) -> bool | None:
        """True if the whole interval lies above `bound`, False if the whole interval lies below it."""
        return True if self.low > bound else False if self.high < bound else None

    def within(self, margin: float, centre: float = 0.0) -> bool | None:
        """Equivalence: True if the whole interval is inside `centre` +- `margin`, False if it is wholly outside.

        Two one-sided tests at 5 % (TOST) correspond to a 90 % interval inside the margin. We ask it of the 95 %
        interval, which is stricter, so that one interval serves the table, the plot and the verdict.
        """
        if self.low > centre - margin and self.high < centre + margin:
            return True
        return False if self.low > centre + margin or self.high < centre - margin else None


def interval(values, level: float = 0.95) -> Interval:
    """Mean of independent replicates with its confidence interval.

    Parameters
    ----------
    values : array_like, shape (n,)
        One value per replicate; NaN is left out.
    level : float
        Confidence level between 0 and 1.

    Returns
    -------
    Interval

    Raises
    ------
    UserError
        If `values` is not one-dimensional or holds an infinite value, or `level` is not between 0 and 1.
    """
    return _as_interval(_clean(values), level)


def paired_interval(a, b, level: float = 0.95) -> Interval:
    """Mean of ``a - b`` with its interval; a pair that lacks either value is left out.

    Parameters
    ----------
    a, b : array_like, shape (n,)
        The two arms in the same order of replicates.

    Raises
    ------
    UserError
        If the two differ in shape, or as in `interval`.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise UserError(f"paired values have shapes {a.shape} and {b.shape}; expected one value per replicate in each")
    return interval(a - b, level)


def corrected_interval(differences, test_share: float, level: float = 0.95) -> Interval:
    """Mean difference over folds that share training images, with Nadeau and Bengio's variance.

    Folds drawn from one data set are not independent, so the variance of their mean is taken as
    ``(1 / n + n_test / n_train) * s**2``, with Student's t on n - 1 degrees of freedom whatever n is.

    Parameters
    ----------
    differences : array_like, shape (n,)
        One paired difference per fold; NaN is left out.
    test_share : float
        Share of all images that a fold tests on: 0.2 for five folds (n_test / n_train = 0.25), 0.5 for 5 x 2 folds.

    Raises
    ------
    UserError
        If `test_share` is not between 0 and 1, or as in `interval`.

    References
    ----------
    C. Nadeau and Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003, section 4.
    """
    if not 0 < test_share < 1:
        raise UserError(f"test_share is {test_share}; expected a share between 0 and 1, such as 0.2 for five folds")
    values = _clean(differences)
    return _as_interval(values, level, extra=test_share / (1 - test_share))


def summarise(frame: pd.DataFrame, by, value: str = "value", level: float = 0.95) -> pd.DataFrame:
    """Mean and interval of every group: what tables and plots show.

    Parameters
    ----------
    frame : DataFrame
        One row per replicate and whatever else; NaN values are left out.
    by : str or sequence of str
        Columns that make a group; missing entries are a group of their own.
    value : str
        Column to summarise.

    Returns
    -------
    DataFrame
        One row per group, sorted: the columns `by`, then `mean`, `low`, `high`, `n`. A group gets exactly the numbers
        that `interval` gives its values.

    Raises
    ------
    UserError
        If a column does not exist, or as in `interval`.
    """
    by = [by] if isinstance(by, str) else list(by)
    missing = [column for column in [*by, value] if column not in frame.columns]
    if missing:
        raise UserError(f"no column {missing[0]!r} to summarise; expected one of {', '.join(map(str, frame.columns))}")
    _check_level(level)
    grouped = frame.groupby(by, dropna=False, sort=True, observed=True)
    groups = grouped.size().index.to_frame(index=False)
    values = frame[value].to_numpy(float)
    codes = grouped.ngroup().to_numpy()
    if np.isinf(values).any():
        raise UserError(f"column {value!r} holds an infinite value; expected finite numbers or NaN")
    present = ~np.isnan(values)
    # Stable, so that the order within a group, and with it the bootstrap's, is that of the frame.
    order = np.argsort(codes[present], kind="stable")
    values = values[present][order]
    n = np.bincount(codes[present], minlength=len(groups))
    starts = np.cumsum(n) - n
    mean, low, high = (np.full(len(groups), np.nan) for _ in range(3))
    for size in np.unique(n[n > 0]):
        chosen = np.flatnonzero(n == size)
        rows = values[starts[chosen][:, None] + np.arange(size)]
        mean[chosen], low[chosen], high[chosen] = _rows(rows, level)
    return groups.assign(mean=mean, low=low, high=high, n=n)


def _clean(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1:
        raise UserError(f"values have shape {values.shape}; expected one dimension, one value per replicate")
    if np.isinf(values).any():
        raise UserError("values hold an infinite value; expected finite numbers or NaN for a missing replicate")
    return values[~np.isnan(values)]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"level is {level}; expected a confidence level between 0 and 1, such as 0.95")


def _as_interval(values: np.ndarray, level: float, extra: float | None = None) -> Interval:
    _check_level(level)
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, 0)
    mean, low, high = _rows(values[None], level) if extra is None else _student(values[None], level, extra)
    return Interval(float(mean[0]), float(low[0]), float(high[0]), len(values))


def _rows(rows: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high of each row of `rows`, shape (groups, n >= 1)."""
    mean, low, high = _student(rows, level)
    if rows.shape[1] < BOOTSTRAP_FROM:
        return mean, low, high
    varied = np.flatnonzero(high > low)
    # In chunks, because a resample of all groups at once would not fit in memory.
    for start in range(0, len(varied), CHUNK):
        chosen = varied[start : start + CHUNK]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nearly equal values: BCa is undefined there and t stays
            bounds = stats.bootstrap(
                (rows[chosen],),
                np.mean,
                axis=1,
                confidence_level=level,
                n_resamples=RESAMPLES,
                batch=CHUNK,
                method="BCa",
                rng=np.random.default_rng(SEED),
            ).confidence_interval
        defined = np.isfinite(bounds.low) & np.isfinite(bounds.high)
        low[chosen[defined]], high[chosen[defined]] = bounds.low[defined], bounds.high[defined]
    return mean, low, high


def _student(rows: np.ndarray, level: float, extra: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Student's interval of each row, with the variance of the mean taken as ``(1 / n + extra) * s**2``."""
    n = rows.shape[1]
    equal = np.ptp(rows, axis=1) == 0
    mean = np.where(equal, rows[:, 0], rows.mean(axis=1))  # the mean of equal values may be off in its last digit
    if n < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    spread = np.where(equal, 0.0, rows.std(axis=1, ddof=1))
    half = stats.t.ppf((1 + level) / 2, n - 1) * spread * np.sqrt(1 / n + extra)
    return mean, mean - half, mean + half
