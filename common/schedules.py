"""What comes when: the learning rate over the iterations, and the order of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from common.augmentation import Augmentation
from common.dropout import take_keys
from common.errors import UserError

POLICIES = ("inverse", "multistep", "linear", "constant")
OPTIMISERS = ("sgd", "adam", "rmsprop")
LOSS_POINTS = 50  # points of the stored training-loss curve


@dataclass(frozen=True)
class Schedule:
    """An optimiser and its rate over a fixed number of iterations; the defaults are Buda et al.'s for MNIST (3.3.1).

    Parameters
    ----------
    iterations, batch_size : int
    learning_rate : float
        Base rate; a member may have its own.
    policy : {'inverse', 'multistep', 'linear', 'constant'}
        inverse: ``rate * (1 + gamma t) ** -power``; multistep: times `factor` at each of `milestones`;
        linear: to 0 at the last iteration.
    bias_rate : float
        Multiplies the rate of biases (2 in Caffe's LeNet).
    momentum : float
        Of SGD.
    weight_decay : float
        Times the weights, added to their gradient.
    optimiser : {'sgd', 'adam', 'rmsprop'}
        The rules and their constants: `optimisers.direction`.
    """

    iterations: int = 10_000
    batch_size: int = 64
    learning_rate: float = 0.01
    policy: str = "inverse"
    gamma: float = 1e-4
    power: float = 0.75
    milestones: tuple[int, ...] = ()
    factor: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_rate: float = 2.0
    optimiser: str = "sgd"

    def __post_init__(self):
        if self.policy not in POLICIES:
            raise UserError(f"policy {self.policy!r}: expected one of {', '.join(POLICIES)}")
        if self.optimiser not in OPTIMISERS:
            raise UserError(f"optimiser {self.optimiser!r}: expected one of {', '.join(OPTIMISERS)}")
        if self.iterations < 1 or self.batch_size < 1:
            raise UserError(
                f"iterations {self.iterations}, batch_size {self.batch_size}: expected whole numbers of at least 1"
            )

    def decay(self) -> np.ndarray:
        """Factor on the base rate at every iteration, shape (iterations,)."""
        t = np.arange(self.iterations, dtype=float)
        if self.policy == "inverse":
            return (1 + self.gamma * t) ** -self.power
        if self.policy == "multistep":
            return self.factor ** np.searchsorted(np.asarray(self.milestones), t, side="right").astype(float)
        if self.policy == "linear":
            return 1 - t / self.iterations
        return np.ones_like(t)

    def compressed(self, iterations: int) -> Schedule:
        """The same course of the learning rate, from first to last value, in another number of iterations."""
        ratio = iterations / self.iterations
        milestones = tuple(round(m * ratio) for m in self.milestones)
        return replace(self, iterations=iterations, gamma=self.gamma / ratio, milestones=milestones)


class Order:
    """Endless shuffled passes over a plan; a batch may straddle two passes, as in Caffe, and none is padded.

    Passes are drawn in blocks whose size depends only on the plan's length, so the stream does not depend on how it is
    read.
    """

    def __init__(self, plan: np.ndarray, seed: int):
        plan = np.asarray(plan, dtype=np.int64)
        if plan.ndim != 1 or len(plan) == 0:
            raise UserError(f"index plan of shape {plan.shape}: expected at least one image in one dimension")
        self._plan = plan
        self._passes = max(1, 65_536 // len(plan))
        self._generator = np.random.default_rng(seed)
        self._left = np.empty(0, dtype=np.int64)

    def take(self, count: int) -> np.ndarray:
        """The next `count` positions."""
        parts = [self._left]
        have = len(self._left)
        while have < count:
            block = np.tile(self._plan, (self._passes, 1))
            parts.append(self._generator.permuted(block, axis=1, out=block).ravel())
            have += block.size
        stream = np.concatenate(parts)
        self._left = stream[count:]
        return stream[:count]


def loss_points(iterations: int, points: int = LOSS_POINTS) -> np.ndarray:
    """Iterations at which something is stored along a training: `points` of them, the last at its end."""
    return np.unique(np.linspace(0, iterations, min(points, iterations) + 1).round().astype(int)[1:])


class Feed:
    """All that chance decides for one member after its initialisation, iteration by iteration.

    Parameters
    ----------
    member : training.Member
    batch_size : int
    augmentation : Augmentation
    shape : tuple of int
        Of all inputs.
    n_dropouts : int
        Dropout layers of the network.
    """

    def __init__(self, member, batch_size: int, augmentation: Augmentation, shape, n_dropouts: int):
        self._order = Order(member.plan, member.seed_order)
        self._views = np.random.default_rng(member.seed_augmentation)
        self._keys = np.random.default_rng(member.seed_dropout)
        self._batch_size, self._n_dropouts = batch_size, n_dropouts
        self._augmentation, self._shape = augmentation, shape

    def skip(self, points, iteration: int) -> None:
        """Go on from `iteration`, one of `points`, as if everything before it had been taken stretch by stretch."""
        for start, end in pairwise([0, *points]):
            if end <= iteration:
                self.take(end - start)

    def take(self, iterations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The next iterations' positions, views and dropout keys.

        Returns
        -------
        positions : ndarray of int64, shape (iterations, batch)
        views : ndarray of int64, shape (iterations, batch, 3); (iterations, batch, 0) without augmentation
        keys : ndarray of int32, shape (iterations, layers, 2)
        """
        shape = (iterations, self._batch_size)
        count = iterations * self._batch_size
        views = np.empty((*shape, 0), np.int64)
        if self._augmentation:
            views = self._augmentation.take(self._views, count, self._shape).reshape(*shape, 3)
        return self._order.take(count).reshape(shape), views, take_keys(self._keys, iterations, self._n_dropouts)
