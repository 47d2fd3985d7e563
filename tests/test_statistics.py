"""Intervals: against scipy and by hand, and how often they cover the truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from common.errors import UserError
from common.statistics import BOOTSTRAP_FROM, Interval, corrected_interval, interval, paired_interval, summarise


def coverage(frame: pd.DataFrame, truth: float) -> float:
    found = summarise(frame, "group")
    return float(((found["low"] <= truth) & (truth <= found["high"])).mean())


def groups(values: np.ndarray) -> pd.DataFrame:
    """A frame of groups from values of shape (groups, n)."""
    return pd.DataFrame({"group": np.repeat(np.arange(len(values)), values.shape[1]), "value": values.ravel()})


@pytest.mark.parametrize("n", [2, 3, 5, 19])
def test_few_values_give_students_interval(n):
    values = np.random.default_rng(n).normal(0.9, 0.05, n)
    found = interval(values, 0.9)
    expected = stats.t.interval(0.9, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.estimate == pytest.approx(values.mean()) and found.n == n


def test_students_interval_by_hand():
    found = interval([1.0, 2.0, 3.0])  # s = 1, t(2) = 4.3027, half = 4.3027 / sqrt(3)
    assert (found.low, found.high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)


def test_many_values_give_the_bootstrap():
    values = 1 - np.random.default_rng(0).exponential(0.01, BOOTSTRAP_FROM)
    found = interval(values)
    peer = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    assert found.low == pytest.approx(peer.confidence_interval.low, abs=5e-4)
    assert found.high == pytest.approx(peer.confidence_interval.high, abs=5e-4)
    assert found.estimate - found.low > found.high - found.estimate  # skewed as the values are
    assert found == interval(values)


@pytest.mark.parametrize("n", [2, 3, 25])
def test_equal_values_give_no_width_and_no_warning(n, recwarn):
    found = interval([0.1] * n)
    assert found == Interval(0.1, 0.1, 0.1, n)
    assert interval([0.1] * (n - 1) + [0.1 + 1e-16]).low == pytest.approx(0.1)
    assert not len(recwarn)


def test_missing_values_are_left_out_and_too_few_have_no_bounds():
    assert interval([1.0, np.nan, 2.0, 3.0]) == interval([1.0, 2.0, 3.0])
    one, none = interval([0.5, np.nan]), interval([np.nan])
    assert (one.estimate, one.n) == (0.5, 1) and np.isnan([one.low, one.high]).all()
    assert none.n == 0 and np.isnan(none.estimate)
    assert one.above(0) is None and one.within(1) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval([1.0, np.inf]), "infinite"),
        (lambda: interval([[1.0, 2.0]]), "shape"),
        (lambda: interval([1.0, 2.0], level=95), "0.95"),
        (lambda: paired_interval([1, 2, 3], [1, 2]), "one value per replicate"),
        (lambda: corrected_interval([1, 2], 1.0), "test_share"),
        (lambda: summarise(pd.DataFrame({"value": [1.0]}), "method"), "'method'"),
    ],
)
def test_bad_input_is_a_user_error(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_paired_interval_is_that_of_the_differences():
    a, b = np.array([0.9, 0.8, np.nan, 0.7]), np.array([0.8, 0.75, 0.5, 0.69])
    assert paired_interval(a, b) == interval([0.9 - 0.8, 0.8 - 0.75, 0.7 - 0.69])


def test_corrected_interval_by_hand():
    values = np.array([0.01, 0.03, 0.02, 0.04, 0.05])
    half = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 0.25) * values.var(ddof=1))
    found = corrected_interval(values, 0.2)
    assert (found.low, found.high) == pytest.approx((0.03 - half, 0.03 + half))


def test_interval_answers_what_claims_ask():
    found = Interval(0.02, 0.01, 0.03, 5)
    assert found.above(0) is True and found.above(0.05) is False and found.above(0.02) is None
    assert found.within(0.05) is True and found.within(0.005) is False and found.within(0.02) is None
    assert found.within(0.02, centre=0.02) is True


def test_summarise_gives_each_group_what_interval_gives():
    rng = np.random.default_rng(3)
    sizes = {"a": 3, "b": 25, "c": 1, "d": 25, None: 4}
    frame = pd.concat(
        pd.DataFrame({"method": name, "rho": 10.0, "value": rng.normal(size=n)}) for name, n in sizes.items()
    ).sample(frac=1, random_state=0, ignore_index=True)
    frame.loc[len(frame)] = ["a", 10.0, np.nan]
    frame.loc[len(frame)] = ["e", 10.0, np.nan]
    found = summarise(frame, ["method", "rho"])
    assert list(found.columns) == ["method", "rho", "mean", "low", "high", "n"] and len(found) == 6
    for row in found.itertuples():
        chosen = frame["method"].isna() if pd.isna(row.method) else frame["method"] == row.method
        expected = interval(frame.loc[chosen, "value"])
        assert [row.mean, row.low, row.high] == pytest.approx(
            [expected.estimate, expected.low, expected.high], nan_ok=True, rel=1e-12
        )
        assert row.n == expected.n


def test_summarise_an_empty_frame():
    assert summarise(pd.DataFrame({"g": [], "value": []}), "g").empty


@pytest.mark.parametrize("n", [3, 5, 10])
def test_students_interval_covers_95_of_100(n):
    values = np.random.default_rng(n).normal(0.7, 0.1, (4000, n))
    assert coverage(groups(values), 0.7) == pytest.approx(0.95, abs=0.012)


def test_bootstrap_covers_at_30():
    rng = np.random.default_rng(30)
    assert coverage(groups(rng.normal(0, 1, (1000, 30))), 0) >= 0.9
    assert coverage(groups(rng.beta(9, 1, (1000, 30))), 0.9) >= 0.9  # skewed, as AUC near 1 is


def test_corrected_interval_covers_overlapping_folds_where_the_naive_one_does_not():
    # 10 random splits of 100 images, 20 of them for the test; a split's difference is the mean over its test images.
    rng = np.random.default_rng(0)
    images = rng.normal(0.05, 1, (1500, 1, 100)).repeat(10, axis=1)
    folds = rng.permuted(images, axis=2)[:, :, :20].mean(axis=2)

    def share(function):
        found = [function(row) for row in folds]
        return np.mean([i.low <= 0.05 <= i.high for i in found])

    corrected, naive = share(lambda row: corrected_interval(row, 0.2)), share(interval)
    assert corrected >= 0.93 and naive < 0.85
