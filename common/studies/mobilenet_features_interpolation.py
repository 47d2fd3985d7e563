"""Figure 1 of paper 2, and what interpolation does to features: for notebook 2."""

from __future__ import annotations

import numpy as np


def interpolations(
    images: np.ndarray, labels: np.ndarray, features: np.ndarray, count: int = 4, pairs: int = 300, seed: int = 0
) -> dict:
    """Figure 1, and what interpolation does to features: pairs that SMOTE could take, half-way between them.

    An image and one of its five nearest of the same class, by pixels (as on images) or by features (as on features);
    the mean of the two, as an image, and for the mean of the two features the real images that are nearest to it, the
    pair left out.

    Parameters
    ----------
    images : array of uint8, shape (n, side, side, channels)
    labels : array of int, shape (n,)
    features : array of float, shape (n, d)
    count : int
        Pairs of each kind to show, each of another class where there are enough.
    pairs : int
        Pairs to count, about as many of each class.

    Returns
    -------
    dict
        'pixels' and 'features': lists of rows of images, first, half-way or nearest real ones, second; 'pairs': how
        many were counted; 'same_class': share of their three nearest real images that are of the pair's class.
    """
    random = np.random.default_rng(seed)
    classes = random.permutation(np.unique(labels))
    each = max(1, round(pairs / len(classes)))
    vectors = images.reshape(len(images), -1).astype(np.float32)
    found, same = {"pixels": [], "features": []}, []
    for position, label in enumerate(classes):
        members = np.flatnonzero(labels == label)
        first = random.choice(members, each)
        second = _partners(features, first, members, random)
        nearest = _nearest(features, first, second)
        same.append(labels[nearest] == label)
        if position < count:
            found["features"].append([images[i] for i in (first[0], *nearest[0], second[0])])
            (other,) = _partners(vectors, first[:1], members, random)
            half = np.rint((vectors[first[0]] + vectors[other]) / 2).astype(np.uint8).reshape(images.shape[1:])
            found["pixels"].append([images[first[0]], half, images[other]])
    return {**found, "pairs": each * len(classes), "same_class": float(np.mean(same))}


def _partners(vectors: np.ndarray, first: np.ndarray, members: np.ndarray, random) -> np.ndarray:
    """For each of `first` one of the five members nearest to it."""
    distance = _distances(vectors[first], vectors[members])
    distance[members == first[:, None]] = np.inf
    near = np.argsort(distance)[:, : min(5, len(members) - 1)]
    return members[near[np.arange(len(first)), random.integers(near.shape[1], size=len(first))]]


def _nearest(features: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The three nearest to each point half-way, the pair left out; shape (pairs, 3)."""
    distance = _distances((features[first] + features[second]) / 2, features)
    rows = np.arange(len(first))
    distance[rows, first] = distance[rows, second] = np.inf
    return np.argsort(distance)[:, :3]


def _distances(points: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Squared distances (points, vectors) but for a constant of each point, by one product of matrices."""
    return np.einsum("ij,ij->i", vectors, vectors) - 2 * points @ vectors.T
