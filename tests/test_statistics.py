"""Intervals: against scipy and by hand, and how often they cover the truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from common.errors import UserError
from common.statistics import Interval, Noise, interval, summarise


def coverage(samples: np.ndarray, truth: float, level: float = 0.95, **options) -> float:
    """Share of the samples, shape (samples, n), whose interval covers the truth."""
    found = [interval(sample, level=level, **options) for sample in samples]
    return float(np.mean([one.low <= truth <= one.high for one in found]))


@pytest.mark.parametrize("n", [2, 3, 19, 20, 50])
def test_students_interval_whatever_n(n):
    values = np.random.default_rng(n).normal(0.9, 0.05, n)
    found = interval(values, 0.9)
    expected = stats.t.interval(0.9, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.estimate == pytest.approx(values.mean()) and found.n == n


def test_students_interval_by_hand():
    found = interval([1.0, 2.0, 3.0])  # s = 1, t(2) = 4.3027, half = 4.3027 / sqrt(3)
    assert (found.low, found.high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)


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
        (lambda: interval([[[1.0, 2.0]]]), "shape"),
        (lambda: interval([1.0, 2.0], level=95), "0.95"),
        (lambda: interval([1, 2], test_share=1.0), "test_share"),
        (lambda: summarise(pd.DataFrame({"value": [1.0]}), "method"), "'method'"),
        (lambda: summarise(pd.DataFrame({"value": [1.0]}), "value", test_share="share"), "'share'"),
        (lambda: summarise(pd.DataFrame({"g": ["a"], "value": [1.0]}), "g", test_share=2), "test_share"),
    ],
)
def test_bad_input_is_a_user_error(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_interval_of_folds_by_hand():
    values = np.array([0.01, 0.03, 0.02, 0.04, 0.05])
    half = stats.t.ppf(0.975, 4) * np.sqrt((1 / 5 + 0.25) * values.var(ddof=1))
    found = interval(values, test_share=0.2)
    assert (found.low, found.high) == pytest.approx((0.03 - half, 0.03 + half))


def test_settings_that_vary_keep_an_interval_wide_whose_means_agree_by_chance():
    crossing = interval([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])  # each s = 1, so of their mean sqrt(2) / 2, with 4 df
    half = 2.77645 * np.sqrt(0.5) / np.sqrt(3)
    assert (crossing.low, crossing.estimate, crossing.high) == pytest.approx((2 - half, 2, 2 + half), abs=1e-5)
    assert crossing.of == "replicates within each setting"
    together = interval([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])  # these are as wide as their means are apart
    assert together == interval([1.0, 2.0, 3.0]) and together.of == ""
    assert interval([[1.0], [2.0], [3.0]]) == together
    # Settings of other spreads: s**2 = 1 and 4, df = 2 * 5**2 / (1 + 16).
    uneven = interval([[1.0, 5.0], [2.0, 3.0], [3.0, 1.0]])
    half = max(stats.t.ppf(0.975, 50 / 17) * np.sqrt(5) / 2, stats.t.ppf(0.975, 2) * 0.5) / np.sqrt(3)
    assert uneven.high - uneven.estimate == pytest.approx(half)
    assert interval([[1.0, np.nan], [2.0, 1.0], [4.0, 0.0]]).n == 2  # only whole replicates


def test_noise_that_is_known_only_widens():
    known = Noise(0.5, 10)
    assert interval([1.0, 1.0, 1.0], noise=known).high == pytest.approx(1 + stats.t.ppf(0.975, 10) * 0.5 / np.sqrt(3))
    assert interval([1.0, 2.0, 3.0], noise=known) == interval([1.0, 2.0, 3.0])
    assert np.isnan(interval([1.0], noise=known).low)


def test_interval_over_independent_settings_covers_at_least_as_often_as_it_says():
    rng = np.random.default_rng(8)
    assert coverage(rng.normal(0, [1.0, 2.0, 0.1], (1000, 3, 3)), 0.0) >= 0.95


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
    found = summarise(pd.DataFrame({"g": [], "value": []}), "g")
    assert found.empty and list(found.columns) == ["g", "mean", "low", "high", "n"]


def test_summarise_keeps_the_kind_of_what_it_groups_by():
    frame = pd.DataFrame(
        {"method": pd.Categorical(list("bab"), list("bca")), "run": [1, 1, 2], "value": [1.0, 2.0, 3.0]}
    )
    found = summarise(frame, ["method", "run"])
    assert found[["method", "run"]].dtypes.equals(frame[["method", "run"]].dtypes)
    assert list(found["method"]) == list("bba") and list(found["n"]) == [1, 1, 1]


def test_summarise_of_replicates_that_share_images():
    frame = pd.DataFrame(
        {"set": list("aaabbb"), "value": [1.0, 2.0, 4.0, 3.0, 5.0, 4.5], "share": [0.5] * 3 + [0.2] * 3}
    )
    values = frame["value"].to_numpy()
    for share, (one, other) in {0.5: (0.5, 0.5), "share": (0.5, 0.2)}.items():
        found = summarise(frame, "set", test_share=share)
        expected = interval(values[:3], test_share=one), interval(values[3:], test_share=other)
        assert list(found["low"]) == [i.low for i in expected] and list(found["high"]) == [i.high for i in expected]


@pytest.mark.parametrize(("n", "level"), [(3, 0.95), (10, 0.95), (20, 0.95), (20, 1 - 0.05 / 12)])
def test_students_interval_covers_as_often_as_it_says(n, level):
    """At the level corrected for twelve groups, too, where the least of resampled means is no bound any more."""
    values = np.random.default_rng(n).normal(0.7, 0.1, (3000, n))
    assert coverage(values, 0.7, level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 3000))


def test_students_interval_covers_skewed_scores_often_enough_at_20():
    values = 1 - np.random.default_rng(0).exponential(0.01, (3000, 20))
    assert coverage(values, 0.99) > 0.915  # 0.92; a bias-corrected bootstrap covers 0.91


def test_interval_of_folds_covers_overlapping_folds_where_the_naive_one_does_not():
    # 10 random splits of 100 images, 20 of them for the test; a split's difference is the mean over its test images.
    rng = np.random.default_rng(0)
    images = rng.normal(0.05, 1, (1500, 1, 100)).repeat(10, axis=1)
    folds = rng.permuted(images, axis=2)[:, :, :20].mean(axis=2)

    assert coverage(folds, 0.05, test_share=0.2) >= 0.93 and coverage(folds, 0.05) < 0.85


def test_of_several_shares_in_a_group_the_largest_counts():
    frame = pd.DataFrame({"set": list("aaa"), "value": [1.0, 2.0, 4.0], "share": [0.2, 0.5, 0.2]})
    found, expected = summarise(frame, "set", test_share="share"), interval([1.0, 2.0, 4.0], test_share=0.5)
    assert (found["low"].item(), found["high"].item()) == (expected.low, expected.high)
