"""Index plans: what resampling keeps, repeats and removes."""

import numpy as np
import pytest

from common import resampling
from common.errors import UserError

LABELS = np.repeat([0, 1, 2], [100, 50, 4])


def test_no_sampler_keeps_everything_once():
    assert resampling.index_plan(LABELS, "none", 0).tolist() == list(range(154))


def test_oversampling_repeats_only_minorities_and_loses_nothing():
    plan = resampling.index_plan(LABELS, "oversampling", seed=3)
    assert np.bincount(LABELS[plan]).tolist() == [100, 100, 100]
    assert set(plan) == set(range(154))
    assert np.bincount(plan)[:100].max() == 1


def test_undersampling_repeats_nothing():
    plan = resampling.index_plan(LABELS, "undersampling", seed=3)
    assert np.bincount(LABELS[plan]).tolist() == [4, 4, 4]
    assert len(set(plan)) == 12


@pytest.mark.parametrize(
    ("sampler", "to_rho", "counts"),
    [
        ("oversampling", 5, [100, 50, 20]),
        ("oversampling", 2, [100, 50, 50]),
        ("oversampling", 25, [100, 50, 4]),
        ("undersampling", 5, [20, 20, 4]),
        ("undersampling", 20, [80, 50, 4]),
    ],
)
def test_reduced_ratios(sampler, to_rho, counts):
    assert np.bincount(LABELS[resampling.index_plan(LABELS, sampler, 0, to_rho)]).tolist() == counts


def test_the_seed_decides():
    one, again, other = (resampling.index_plan(LABELS, "undersampling", seed) for seed in (1, 1, 2**40 + 2))
    assert one.tolist() == again.tolist() != other.tolist()


def test_class_weights_carry_every_class_equally_and_average_to_one():
    weights = resampling.class_weights(LABELS, 3)
    assert np.allclose(weights * [100, 50, 4], 154 / 3)
    assert np.isclose(weights[LABELS].mean(), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: resampling.index_plan(LABELS, "smote", 0),
            "unknown sampler 'smote'; there are none, oversampling, undersampling",
        ),
        (lambda: resampling.index_plan(["a", "b"], "oversampling", 0), "labels of type <U1: expected integers from 0"),
        (lambda: resampling.index_plan([0, -1], "none", 0), "labels: -1; expected integers from 0 on"),
        (lambda: resampling.class_weights(["a", "b"], 2), "labels of type <U1: expected integers from 0 to 1"),
        (lambda: resampling.class_weights([0, 1, 2], 2), "labels: 2; expected integers from 0 to 1"),
        (lambda: resampling.index_plan(LABELS, "oversampling", 0, 0.5), "to_rho 0.5"),
        (lambda: resampling.class_weights(LABELS, 4), "class 3 has no image"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_a_class_without_images_cuts_no_other():
    plan = resampling.index_plan([0, 0, 0, 2, 2, 2, 2], "undersampling", seed=0)
    assert np.bincount(np.array([0, 0, 0, 2, 2, 2, 2])[plan]).tolist() == [3, 0, 3]
