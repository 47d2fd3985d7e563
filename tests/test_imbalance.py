"""Class counts against the numbers that the papers print."""

import numpy as np
import pytest

from common import imbalance
from common.errors import UserError


def test_figure_1_of_the_systematic_study_holds_27500_images_three_times():
    a = imbalance.step_counts(10, 5000, 10, imbalance.minority_classes(10, 0.5))
    b = imbalance.step_counts(10, 5000, 2, imbalance.minority_classes(10, 0.9))
    c = imbalance.linear_counts(10, 5000, 10)
    assert [counts.sum() for counts in (a, b, c)] == [27_500] * 3
    assert sorted(a) == [500] * 5 + [5000] * 5
    assert sorted(b) == [2500] * 9 + [5000]
    assert c.tolist() == list(range(500, 5001, 500))


@pytest.mark.parametrize(
    ("largest", "ir", "total", "counts"),
    [
        (5000, 10, 14_645, [5000, 2500, 1667, 1250, 1000, 833, 714, 625, 556, 500]),
        (5000, 5, 21_282, None),
        (5000, 2, 34_976, None),
        (500, 10, 1464, None),
        (500, 5, 2128, None),
        (500, 2, 3497, None),
    ],
)
def test_inverse_linear_counts_are_those_of_koziarski(largest, ir, total, counts):
    got = imbalance.inverse_linear_counts(10, largest, ir)
    assert abs(got.sum() - total) <= 1  # the sets of 500 a class are printed rounded as a whole
    if counts:
        assert got.tolist() == counts


def test_exponential_counts_are_those_of_the_long_tailed_cifar_benchmarks():
    assert imbalance.exponential_counts(10, 5000, 100).tolist() == [
        5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50
    ]  # fmt: skip
    assert imbalance.exponential_counts(100, 500, 100).sum() == 10_847


def test_category_centers_tables():
    train, validation = imbalance.category_centers_counts("C", 10)
    assert train.tolist() == [200, 600, 1000, 1400, 1800, 2200, 2600, 3000, 3500, 4000]
    assert validation.tolist() == [50, 150, 250, 350, 450, 550, 650, 750, 870, 1000]
    train, validation = imbalance.category_centers_counts("B", 100)
    assert train[[0, 29, 30, 59, 60, 89, 90]].tolist() == [20, 20, 40, 40, 200, 200, 400]
    assert validation[[0, 29, 30, 59, 60, 89, 90]].tolist() == [5, 5, 10, 10, 50, 50, 100]
    train, validation = imbalance.category_centers_counts("C", 100)
    assert (train[85], validation[85]) == (350, 87)
    assert imbalance.category_centers_counts("A", 10)[0].sum() == 22_000
    with pytest.raises(UserError, match=r"'D'.*A, B or C"):
        imbalance.category_centers_counts("D", 10)


def test_the_order_says_which_class_is_rare():
    assert imbalance.linear_counts(3, 30, 3, order=[2, 0, 1]).tolist() == [20, 30, 10]
    assert imbalance.inverse_linear_counts(3, 30, 3, order=[2, 0, 1]).tolist() == [15, 10, 30]
    assert imbalance.exponential_counts(3, 100, 4, order=[2, 0, 1]).tolist() == [50, 25, 100]


def test_extreme_ratio_leaves_one_image():
    counts = imbalance.step_counts(10, 5000, 5000, [3])
    assert counts[3] == 1 and counts.sum() == 9 * 5000 + 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: imbalance.step_counts(10, 5000, 0.5, [0]), "rho 0.5: expected a ratio"),
        (lambda: imbalance.step_counts(10, 100, 1000, [0]), "rho 1000: with 100 images"),
        (
            lambda: imbalance.step_counts(2, 100, 10, np.array([False, True])),
            r"a mask; expected labels: np.flatnonzero",
        ),
        (lambda: imbalance.step_counts(4, 100, 10, [4]), "minority: 4; expected integers from 0 to 3"),
        (lambda: imbalance.step_counts(4, 100, 10, [-1]), "minority: -1; expected"),
        (lambda: imbalance.step_counts(4, float("nan"), 10, [1]), "rho 10: with nan images"),
        (lambda: imbalance.linear_counts(3, 100, 10, [0, 0, 1]), r"order \[0, 0, 1\]: expected each label from 0 to 2"),
        (lambda: imbalance.exponential_counts(3, float("nan"), 2), "largest nan: expected the images"),
        (lambda: imbalance.inverse_linear_counts(3, 0, 2), "largest 0: expected the images"),
        (lambda: imbalance.inverse_linear_counts(3, 100, float("inf")), "ir inf: expected a ratio"),
        (
            lambda: imbalance.subsample(np.eye(2, dtype=int), [2, 2], 0),
            r"labels of shape \(2, 2\): expected one integer",
        ),
        (lambda: imbalance.linear_counts(10, 100, 1000), "rho 1000: with 100 images"),
        (lambda: imbalance.minority_classes(10, 0.25), "mu 0.25: expected a fraction of 10 classes"),
        (lambda: imbalance.minority_classes(10, 1.5), "mu 1.5"),
        (lambda: imbalance.minority_classes(3, float("nan")), "mu nan"),
        (lambda: imbalance.minority_classes(3, 0.5), "mu 0.5: .* a whole number of them, 0.3333 or 0.6667$"),
        (lambda: imbalance.minority_classes(2, 0.3), "a whole number of them, 0.5$"),
        (lambda: imbalance.minority_classes(100, 0.005), "a whole number of them, such as 0.01 or 0.5 or 0.99$"),
        (lambda: imbalance.minority_classes(1000, 0.5005), "mu 0.5005"),
        (lambda: imbalance.subsample([0, 0, 1], [1, 2], 0), "class 1: 2 images asked for, 1 there are"),
        (lambda: imbalance.subsample([0, 0, 1], [1, -1], 0), "class 1: -1 images asked for; expected at least 0"),
        (lambda: imbalance.check_enough([-3, 1], [5, 5], ("cat", "dog")), "class 'cat': -3 images asked for"),
        (lambda: imbalance.check_enough([1, float("nan")], [5, 5]), "class 1: nan images asked for"),
        (lambda: imbalance.subsample(["cat", "dog"], [1, 1], 0), "labels of type <U3: expected integers from 0 to 1"),
        (lambda: imbalance.subsample([0, 2], [1, 0], 0), "labels: 2; expected integers from 0 to 1"),
        (lambda: imbalance.subsample([0, 0, 1], [1, 2], 0, ("cat", "dog")), "class 'dog': 2 images asked for, 1 there"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_minority_classes():
    assert imbalance.minority_classes(10, 0.2).tolist() == [0, 1]
    drawn = [tuple(imbalance.minority_classes(10, 0.3, seed)) for seed in range(50)]
    assert all(len(set(classes)) == 3 for classes in drawn)
    assert len(set(drawn)) > 30
    # Every class is drawn about equally often: 15 of 50 expected, standard deviation 3.2.
    assert np.bincount(np.concatenate(drawn), minlength=10).min() > 3


@pytest.mark.parametrize("n_classes", [2, 3, 6, 7, 9, 10, 11, 12, 97])
def test_a_fraction_as_a_reader_writes_it_is_understood(n_classes):
    for count in range(1, n_classes):
        for mu in (count / n_classes, float(f"{count / n_classes:.4g}")):
            assert len(imbalance.minority_classes(n_classes, mu)) == count
    assert len(imbalance.minority_classes(3, 0.333)) == 1 and len(imbalance.minority_classes(3, 0.667)) == 2


def test_subsets_of_one_seed_are_nested_and_those_of_two_seeds_differ():
    labels = np.random.default_rng(0).integers(0, 5, 1000)
    small = imbalance.subsample(labels, [10] * 5, seed=1)
    large = imbalance.subsample(labels, [100, 10, 50, 10, 20], seed=1)
    assert set(small) <= set(large)
    assert np.bincount(labels[large]).tolist() == [100, 10, 50, 10, 20]
    assert len(set(small) & set(imbalance.subsample(labels, [10] * 5, seed=2))) < 15


def test_half_an_image_is_rounded_up():
    assert imbalance.step_counts(2, 5, 2, [0]).tolist() == [3, 5]  # 2.5
    assert imbalance.linear_counts(3, 4, 4).tolist() == [1, 3, 4]  # 1, 2.5, 4
    assert imbalance.inverse_linear_counts(2, 9, 2).tolist() == [9, 5]  # 4.5


def test_a_whole_number_of_images_is_not_rounded_down():
    """In floating-point numbers 64 * 64 ** (-5 / 6), which is 2, lies just below it."""
    assert imbalance.exponential_counts(7, 64, 64).tolist() == [64, 32, 16, 8, 4, 2, 1]
