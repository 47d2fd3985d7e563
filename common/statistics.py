"""Intervals over replicates: the one place that decides how sure we are.

Student's t whatever the number of replicates: it covers the truth as often as it says where values are normal, and with
at most some tens of skewed values still more often than a bootstrap, whose bounds cannot leave what few values hold and
so fail at the levels that many groups or rivals ask for.

Nadeau and Bengio's correction is for replicates that split one pool of images anew, so that what one tests on another
trains on: the random halves of paper 5. The folds of paper 2 draw the order of the classes on the official split; they
are corrected out of caution, as folds are. Papers 1 and 4 keep the official test set, too, and are not corrected: given
the data set, class orders, images kept and seeds are drawn independently for each replicate, so a plain interval covers
the mean over such draws. It says nothing of another test set, and no claim of theirs does.

Few replicates may agree by chance far more closely than what they are means of. So where values come by setting, an
interval is not narrower than the spread within each setting implies if settings vary independently of each other, nor
than that of a difference of two arms that are alike, where one is known (`Noise`). Both only ever widen it.

Missing values (NaN: a diverged network, a cell not run) are left out and `n` counts what remains; infinite values are
an error. Fewer than two values have no interval: its bounds are NaN. Equal values give an interval of no width, which
is no certainty: `common.verdicts` decides from it only where a claim says that nothing varies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from common.errors import UserError

#: Confidence level of every interval that is shown.
LEVEL = 0.95
LEAST = 3  # replicates that a verdict or a lead needs: two may agree by chance


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence bounds; `n` values entered it.

    `of` says of what the spread is that made it wider than its own values do; "" where they do. The two questions a
    claim asks return True, False, or None where the interval does not decide.
    """

    estimate: float
    low: float
    high: float
    n: int
    of: str = ""

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


@dataclass(frozen=True)
class Noise:
    """What chance alone makes of one value: its standard deviation, known with `df` degrees of freedom, from what."""

    deviation: float
    df: float
    of: str = "arms that are alike"


def corrected(number: int) -> float:
    """The level at which one of `number` groups or rivals decides for all (Bonferroni)."""
    return 1 - (1 - LEVEL) / number


def interval(values, level: float = LEVEL, test_share: float | None = None, noise: Noise | None = None) -> Interval:
    """Mean of replicates with its confidence interval, by Student's t on n - 1 degrees of freedom.

    Folds drawn from one data set share training images and are not independent: with `test_share` the variance of their
    mean is taken as ``(1 / n + n_test / n_train) * s**2``, after Nadeau and Bengio.

    Parameters
    ----------
    values : array_like, shape (n,) or (n, settings)
        One value per replicate, or one per replicate and setting, of which the mean is asked; NaN is left out, and a
        replicate with it where there are settings.
    level : float
        Confidence level between 0 and 1.
    test_share : float, optional
        Share of all images that a fold tests on: 0.2 for five folds (n_test / n_train = 0.25), 0.5 for 5 x 2 folds.
        None: replicates are independent.
    noise : Noise, optional
        Of one replicate's value, or mean over the settings.

    Returns
    -------
    Interval

    Raises
    ------
    UserError
        If `values` has neither one dimension nor two, or holds an infinite value, or `level` or `test_share` is not
        between 0 and 1.

    References
    ----------
    C. Nadeau and Y. Bengio, Inference for the generalization error, Machine Learning 52, 2003, section 4.
    F. E. Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 2, 1946
    (degrees of freedom of a sum of variances, here of those of the settings).
    """
    if test_share is not None and not 0 < test_share < 1:
        raise UserError(f"test_share is {test_share}; expected a share between 0 and 1, such as 0.2 for five folds")
    extra = 0.0 if test_share is None else test_share / (1 - test_share)
    if not 0 < level < 1:
        raise UserError(f"level is {level}; expected a confidence level between 0 and 1, such as 0.95")
    values = _clean(values)
    known = [_within_settings(values)] if values.ndim == 2 and len(values) > 1 else []
    means = values.mean(axis=1) if values.ndim == 2 else values
    return _student(means, level, extra, [*known, *([noise] if noise else [])])


def of_others(values: np.ndarray) -> np.ndarray:
    """For each replicate (first axis) the mean of all others, of the shape of `values`; none where there is but one.

    For choices that results make, such as the best of several rivals: what the others choose, a replicate reports
    without having had a part in it, so the choice does not favour what happened to be high (or low) in it.
    """
    return (values.sum(axis=0) - values) / (len(values) - 1) if len(values) > 1 else values[:0]


def summarise(frame: pd.DataFrame, by, value: str = "value", test_share: float | str | None = None) -> pd.DataFrame:
    """Mean and interval of every group: what tables and plots show.

    Parameters
    ----------
    frame : DataFrame
        One row per replicate and whatever else; NaN values are left out.
    by : str or sequence of str
        Columns that make a group; missing entries are a group of their own.
    value : str
        Column to summarise.
    test_share : float, str or None
        Replicates share images: as in `interval`, or the column that holds the share, of which the largest of
        a group counts. None: replicates are independent.

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
    used = [*by, value, *([test_share] if isinstance(test_share, str) else [])]
    missing = [column for column in used if column not in frame.columns]
    if missing:
        raise UserError(f"no column {missing[0]!r} to summarise; expected one of {', '.join(map(str, frame.columns))}")
    rows = []
    for key, group in frame.groupby(by, dropna=False, observed=True):
        share = group[test_share].max() if isinstance(test_share, str) else test_share
        found = interval(group[value], test_share=share)
        rows.append((*key, found.estimate, found.low, found.high, found.n))
    found = pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "n"])
    return found.astype({column: frame[column].dtype for column in by})


def _clean(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim not in (1, 2):
        raise UserError(f"values have shape {values.shape}; expected one value per replicate, or a row of settings")
    if np.isinf(values).any():
        raise UserError("values hold an infinite value; expected finite numbers or NaN for a missing replicate")
    return values[~np.isnan(values).any(axis=tuple(range(1, values.ndim)))]


def _within_settings(values: np.ndarray) -> Noise:
    """What the spread over replicates within each setting makes of the mean over settings that vary independently."""
    n, settings = values.shape
    variances = np.where(np.ptp(values, axis=0) == 0, 0.0, values.var(axis=0, ddof=1))
    total, squares = variances.sum(), (variances**2).sum()
    df = float((n - 1) * total**2 / squares) if squares else n - 1
    return Noise(float(np.sqrt(total)) / settings, df, "replicates within each setting")


def _student(values: np.ndarray, level: float, extra: float, known: Sequence[Noise]) -> Interval:
    """Student's interval, the variance of the mean taken as ``(1 / n + extra) * s**2``; at least that of `known`."""
    n = len(values)
    if n < 2:
        return Interval(float(values[0]) if n else np.nan, np.nan, np.nan, n)
    equal = np.ptp(values) == 0  # exactly: the mean of equal values, and their spread, may be off in the last digit
    mean = values[0] if equal else values.mean()
    spreads = [Noise(0.0 if equal else values.std(ddof=1), n - 1, ""), *known]
    halves = [stats.t.ppf((1 + level) / 2, one.df) * one.deviation * np.sqrt(1 / n + extra) for one in spreads]
    widest = int(np.argmax(halves))
    if halves[widest] <= halves[0] * (1 + 1e-9):  # of one setting the spread within it is its own, up to rounding
        widest = 0
    half = halves[widest]
    return Interval(float(mean), float(mean - half), float(mean + half), n, spreads[widest].of)
