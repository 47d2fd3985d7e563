"""How many images each class keeps, and which ones.

The papers make balanced sets imbalanced on purpose. Every profile here is a function that returns class counts in label
order; `subsample` then picks the images. Which class is rare is decided by `minority_classes` or `class_order`, with a
seed of its own, so that the choice of classes, of images and of initial weights never mix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from common.errors import UserError


def _at_least_one(counts) -> np.ndarray:
    """Round half up, and keep one image: a class without any is no longer the same task."""
    return np.maximum(np.floor(np.asarray(counts, dtype=float) + 0.5).astype(np.int64), 1)


def _check_ratio(name: str, value: float) -> None:
    if not 1 <= value < math.inf:
        raise UserError(f"{name} {value!r}: expected a ratio of largest to smallest class of at least 1")


def _check_largest(largest: float) -> None:
    if not 1 <= largest < math.inf:
        raise UserError(f"largest {largest!r}: expected the images of the largest class, at least 1")


def checked_labels(labels, n_classes: int | None = None, name: str = "labels") -> np.ndarray:
    """Labels as int64.

    Raises
    ------
    UserError
        Unless they are integers from 0 to below `n_classes`, one a sample; None is no bound.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise UserError(f"{name} of shape {labels.shape}: expected one integer a sample, shape (n,)")
    expected = f"expected integers from 0 {'on' if n_classes is None else f'to {n_classes - 1}'}"
    if labels.dtype.kind not in "biuf":
        raise UserError(
            f"{name} of type {labels.dtype}: {expected}; np.unique(labels, return_inverse=True) makes them of others"
        )
    wrong = ~(labels >= 0) | (labels % 1 != 0)
    if n_classes is not None:
        wrong |= labels >= n_classes
    if wrong.any():
        raise UserError(f"{name}: {labels[wrong][0]}; {expected}")
    return labels.astype(np.int64, copy=False)


def minority_classes(n_classes: int, mu: float, seed: int | None = None, always=()) -> np.ndarray:
    """Labels of the minority classes.

    Parameters
    ----------
    n_classes : int
    mu : float
        Fraction of classes that are minority (Buda et al., equation 1), which stands for a whole number of them: 0.333
        of three classes is one.
    seed : int or None
        None takes the lowest labels (Buda et al. on CIFAR-10), a number draws at random (on MNIST).
    always : sequence of int
        Classes that are minority in any case where `seed` draws: on ImageNet those with too few images for a majority.

    Returns
    -------
    ndarray of int64, sorted.
    """
    count = round(mu * n_classes) if 0 <= mu <= 1 else -1
    # A fraction such as a third has to be written with few digits, and is then only nearly a whole number of classes.
    if count < 0 or not math.isclose(mu, count / n_classes, rel_tol=2e-3) or abs(mu * n_classes - count) > 0.1:
        raise UserError(f"mu {mu!r}: expected a fraction of {n_classes} classes that is a whole number of them, "
                        f"{_fractions(n_classes)}")  # fmt: skip
    if seed is None:
        return np.arange(count)
    drawn = np.random.default_rng(seed).permutation(n_classes)
    if len(always) > count:
        raise UserError(f"mu {mu!r}: {len(always)} classes are too small for a majority; expected at least that many")
    first = np.isin(drawn, always)
    return np.sort(np.concatenate([drawn[first], drawn[~first]])[:count])


def _fractions(n_classes: int) -> str:
    """The fractions that are a whole number of classes, or of many the first, the middle and the last."""
    counts = range(1, n_classes) if n_classes <= 10 else (1, n_classes // 2, n_classes - 1)
    return f"{'such as ' if n_classes > 10 else ''}{' or '.join(f'{count / n_classes:.4g}' for count in counts)}"


def class_order(n_classes: int, seed: int | None = None) -> np.ndarray:
    """Labels from rarest to most frequent: ascending (seed None) or drawn at random."""
    return np.arange(n_classes) if seed is None else np.random.default_rng(seed).permutation(n_classes)


def check_reach(rho: float, largest: int, limit: str = "") -> None:
    """Raise `UserError` if `rho` is below 1 or leaves the rarest class no image; `limit` says why it is no larger."""
    _check_ratio("rho", rho)
    if not largest / rho >= 1 - 1e-9:
        raise UserError(f"rho {rho:g}: with {largest} images in the largest class it is at most {largest}{limit}")


def step_counts(n_classes: int, largest: int, rho: float, minority) -> np.ndarray:
    """Step imbalance: majority classes keep `largest` images, minority classes `largest / rho` (Buda et al., eq. 1-2).

    Raises
    ------
    UserError
        If `rho` is below 1, a minority class would keep less than one image, or `minority` holds no labels.
    """
    check_reach(rho, largest)
    if np.asarray(minority).dtype == bool:
        raise UserError("minority: a mask; expected labels: np.flatnonzero(minority)")
    counts = np.full(n_classes, largest, dtype=np.int64)
    counts[checked_labels(minority, n_classes, "minority")] = _at_least_one(largest / rho)
    return counts


def linear_counts(n_classes: int, largest: int, rho: float, order=None) -> np.ndarray:
    """Linear imbalance: class sizes rise by a constant from `largest / rho` to `largest` (Buda et al., section 3.1).

    `order` lists the labels from the rarest up; None is ascending labels.
    """
    check_reach(rho, largest)
    return _placed(_at_least_one(np.linspace(largest / rho, largest, n_classes)), order)


def inverse_linear_counts(n_classes: int, largest: int, ir: float, order=None) -> np.ndarray:
    """``n / r_i`` with r rising linearly from 1 to `ir` (Koziarski et al., equations 1-2).

    `order` lists the labels from the most frequent down; None is ascending labels.
    """
    _check_ratio("ir", ir)
    _check_largest(largest)
    return _placed(_at_least_one(largest / np.linspace(1, ir, n_classes)), order)


def exponential_counts(n_classes: int, largest: int, rho: float, order=None) -> np.ndarray:
    """Long tail: ``largest * rho ** (-i / (C - 1))``, rounded down as the CIFAR-LT benchmarks do (Cui et al. 2019).

    `order` lists the labels from the most frequent down; None is ascending labels.
    """
    _check_ratio("rho", rho)
    _check_largest(largest)
    sizes = largest * np.power(float(rho), -np.arange(n_classes) / max(n_classes - 1, 1))
    # The tolerance keeps a size that is whole in exact arithmetic (5000 / 100) from falling to the number below.
    return _placed(np.maximum(np.floor(sizes + 1e-9), 1), order)


def _placed(sizes: np.ndarray, order) -> np.ndarray:
    """Sizes by label: the first goes to the first label of `order`."""
    order = class_order(len(sizes)) if order is None else np.asarray(order)
    if not np.array_equal(np.sort(order), class_order(len(sizes))):
        raise UserError(f"order {order.tolist()}: expected each label from 0 to {len(sizes) - 1} once")
    counts = np.empty(len(sizes), dtype=np.int64)
    counts[order] = sizes
    return counts


# Zhang et al., tables I and II: images per class, for ten classes or ten ranges of ten classes (then a tenth of it).
_CATEGORY_CENTERS = {
    "A": ([400] * 5 + [4000] * 5, [100] * 5 + [1000] * 5),
    "B": ([200] * 3 + [400] * 3 + [2000] * 3 + [4000], [50] * 3 + [100] * 3 + [500] * 3 + [1000]),
    "C": (
        [200, 600, 1000, 1400, 1800, 2200, 2600, 3000, 3500, 4000],
        [50, 150, 250, 350, 450, 550, 650, 750, 870, 1000],
    ),
}


def category_centers_counts(kind: str, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation images per class of Zhang et al.'s imbalance A, B or C (tables I and II).

    Parameters
    ----------
    kind : {'A', 'B', 'C'}
    n_classes : {10, 100}
        CIFAR-10 (table I) or CIFAR-100 (table II, ten classes a row and a tenth of the images).

    Returns
    -------
    train, validation : ndarray of int64, shape (n_classes,)
    """
    if kind not in _CATEGORY_CENTERS or n_classes not in (10, 100):
        raise UserError(f"imbalance {kind!r} with {n_classes} classes: expected A, B or C with 10 or 100 classes")
    repeat = n_classes // 10
    train, validation = (
        np.repeat(np.asarray(row, dtype=np.int64) // repeat, repeat) for row in _CATEGORY_CENTERS[kind]
    )
    return train, validation


def check_enough(counts, available, classes: Sequence[str] = ()) -> None:
    """Raise `UserError` if `counts` asks for more images of a class than are `available`, or for less than none."""
    for label, (count, there) in enumerate(zip(counts, available, strict=True)):
        name = repr(classes[label]) if len(classes) else label
        if not count >= 0:
            raise UserError(f"class {name}: {count} images asked for; expected at least 0")
        if count > there:
            raise UserError(f"class {name}: {count} images asked for, {there} there are; lower per_class")


def subsample(labels, counts, seed: int, classes: Sequence[str] = ()) -> np.ndarray:
    """Pick `counts[c]` images of each class c.

    One seed orders each class once and keeps the first `counts[c]`, so for one seed a smaller subset is contained in a
    larger one (nested in rho).

    Parameters
    ----------
    labels : array of int, shape (n,)
    counts : array of int, shape (n_classes,)
    seed : int
    classes : sequence of str
        Their names, for the error; without them it gives the number.

    Returns
    -------
    ndarray of int64, sorted positions into `labels`.

    Raises
    ------
    UserError
        If a class has fewer images than asked for, less than none are asked for, or a label is no class.
    """
    labels = checked_labels(labels, len(counts))
    members_of = [np.flatnonzero(labels == label) for label in range(len(counts))]
    check_enough(counts, map(len, members_of), classes)
    kept = []
    for label, (count, members) in enumerate(zip(counts, members_of, strict=True)):
        order = np.random.default_rng([seed, label]).permutation(len(members))
        kept.append(members[order[:count]])
    return np.sort(np.concatenate(kept))
