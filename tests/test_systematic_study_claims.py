"""Effects worked out by hand on small frames."""

import numpy as np
import pandas as pd
import pytest

from common.studies import systematic_study_claims as claims


def rows(values, **columns):
    return pd.DataFrame({"replicate": 0, "value": values, **columns})


def test_straight_is_r_squared():
    frame = rows([0.9, 0.8, 0.7, 0.9, 0.5, 0.7], rho=[1, 2, 3] * 2, replicate=[0, 0, 0, 1, 1, 1])
    # The second: correlation of (1, 2, 3) and (.9, .5, .7) is -.2 / sqrt(2 * .08) = -.5.
    assert claims.claim_straight(None, frame) == pytest.approx([1.0, 0.25])


def test_spread_is_the_range():
    assert claims.claim_spread(None, rows([0.90, 0.84, 0.88])) == pytest.approx([0.06])
    assert len(claims.claim_spread(None, rows([0.9]))) == 0


def test_equal_level_is_the_worst_best_match():
    frame = rows(
        [0.99, 0.95, 0.98, 0.90],
        mu=0.5,
        method=["oversampling", "oversampling", "undersampling", "undersampling"],
    )
    # .99 is nearest to .98 (.01), .95 to .98 (.03).
    assert claims.claim_equal_level(None, frame) == pytest.approx([0.03])


@pytest.fixture
def two_sets():
    """MNIST drops by .01 a decade, CIFAR-10 by .01 from ratio 1 to 10: the same drop at a hundred times the ratio..."""
    mnist = rows([1, 0.99, 0.98, 0.97], rho=[1, 10, 100, 1000], dataset="mnist", imbalance=["none"] + ["step"] * 3)
    cifar = rows([1, 0.975], rho=[1, 3], dataset="cifar10", imbalance=["none", "step"])
    return pd.concat([mnist, cifar]).assign(mu=0.5)


def test_hundredfold(two_sets):
    # ... here a drop of .025, which MNIST has at 10 ** 2.5, and CIFAR-10 at 3.
    assert claims.claim_hundredfold(None, two_sets) == pytest.approx([2.5 - np.log10(3) - 2])


def test_harder_task(two_sets):
    assert len(claims.claim_harder_task(None, two_sets[two_sets["dataset"] == "mnist"])) == 0
    extra = rows([0.95], rho=10, dataset="cifar10", imbalance="step", mu=0.5)
    both = pd.concat([two_sets[~((two_sets["dataset"] == "cifar10") & (two_sets["rho"] == 3))], extra])
    # At ratio 10: .05 on CIFAR-10, .01 on MNIST.
    assert claims.claim_harder_task(None, both) == pytest.approx([0.04])
