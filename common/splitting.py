"""Cutting a set that comes in one part into training and test images, the same way on every machine."""

from __future__ import annotations

import re

import numpy as np

# Magnetic tile: a tile was photographed under six exposures one after the other, and the numbers in the file names
# count frames. At this gap 1,344 images fall into runs of 6 and multiples of 6; nine in ten images have a near copy in
# the set (correlation above 0.9), so a split by image would test on what it trained on.
TILE_GAP = 400
# Frames of tiles that were photographed again much later (equal to the eye); a few more may exist.
TILE_REPEATS = ((85602, 86828), (85602, 88149), (8676, 10642), (65017, 53011))


def tiles(paths: list[str]) -> list[str]:
    """One group name per image of the magnetic tile set, equal for images of one tile.

    Parameters
    ----------
    paths : list of str
        Original file names, ``.../exp<exposure>_num_<frame>.jpg``; a name without number is a group of its own.
    """
    matches = [re.search(r"_num_(\d+)", path or "") for path in paths]
    frames = np.array([int(match.group(1)) if match else -1 for match in matches])
    known = np.unique(frames[frames >= 0])
    runs = dict(zip(known.tolist(), np.cumsum(np.diff(known, prepend=known[:1]) > TILE_GAP).tolist(), strict=True))
    for first, second in TILE_REPEATS:
        if first in runs and second in runs:
            merged, kept = runs[second], runs[first]
            runs = {frame: kept if run == merged else run for frame, run in runs.items()}
    return [f"tile {runs[frame]}" if frame >= 0 else f"image {i}" for i, frame in enumerate(frames.tolist())]


def train_part(images: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, share: float) -> np.ndarray:
    """Which images of a set in canonical order train.

    Canonical order within a class is the order of hashes, which is as good as a shuffle and the same everywhere. So the
    first `share` of every class trains; with groups, whole groups go to the side that lacks more of their rarest class.
    Where one image stands in two classes, its copies are such a group, and so is every other image.

    Parameters
    ----------
    images : numpy.ndarray
        N x H x W x C, in canonical order; without groups, at least two different ones of every class.
    labels : numpy.ndarray
        N.
    groups : numpy.ndarray or None
        N, integers; images of one group stay together.
    share : float
        0..1.

    Returns
    -------
    numpy.ndarray
        bool, N.
    """
    if groups is None:
        first = np.array([i == 0 or not np.array_equal(images[i], images[i - 1]) for i in range(len(images))])
        if (first[1:] | (labels[1:] == labels[:-1])).all():  # equal images are neighbours, and of one class
            return _by_class(images, labels, share)
        groups = np.cumsum(first) - 1
    return _by_group(labels, groups, share)


def _by_class(images: np.ndarray, labels: np.ndarray, share: float) -> np.ndarray:
    train = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        wanted = min(len(members) - 1, round(share * len(members)))
        # Equal images are neighbours: cut only between different ones, never one in train and its copy in test.
        cuts = (*range(max(wanted, 1), len(members)), *range(wanted - 1, 0, -1))
        cut = next(c for c in cuts if not np.array_equal(images[members[c]], images[members[c - 1]]))
        train[members[:cut]] = True
    return train


def _by_group(labels: np.ndarray, groups: np.ndarray, share: float) -> np.ndarray:
    totals = np.bincount(labels)
    counts = np.zeros((groups.max() + 1, len(totals)), dtype=np.int64)
    np.add.at(counts, (groups, labels), 1)
    # The class that decides where a group goes is the rarest it holds; rare classes choose first, then large groups.
    rarest = np.where(counts > 0, totals, totals.max() + 1).argmin(axis=1)
    first = np.array([np.flatnonzero(groups == group)[0] for group in range(len(counts))])
    order = sorted(range(len(counts)), key=lambda g: (totals[rarest[g]], -counts[g, rarest[g]], first[g]))
    side = np.zeros(len(counts), dtype=bool)
    have = np.zeros((2, len(totals)))
    for group in order:
        label = rarest[group]
        side[group] = have[1, label] * (1 - share) <= have[0, label] * share
        have[int(side[group])] += counts[group]
    return side[groups]
