"""Training one network or many at once, for a fixed number of iterations, from index plans over one resident tensor.

The contract of `fit_many`: a member gives the result that it gives alone with the same seeds, to float tolerance,
whatever else shares its group. A member's initial weights, its order of data and its learning rate are its own; a
member that diverges is recorded as such and changes nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from common.errors import UserError

POLICIES = ("inverse", "multistep", "linear", "constant")
PRECISIONS = ("fp32", "bf16")
LOSS_POINTS = 50  # points of the stored training-loss curve


@dataclass(frozen=True)
class Schedule:
    """SGD with momentum for a fixed number of iterations; the defaults are Buda et al.'s for MNIST (section 3.3.1).

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

    def __post_init__(self):
        if self.policy not in POLICIES:
            raise UserError(f"policy {self.policy!r}: expected one of {', '.join(POLICIES)}")
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


@dataclass(frozen=True)
class Member:
    """One network of a group: what it sees, and its own seeds.

    Parameters
    ----------
    plan : array of int, shape (m,)
        Positions of one epoch's images in the resident tensor, with repeats when oversampled.
    seed_init, seed_order : int
    learning_rate : float or None
        None takes the schedule's.
    class_weights : array, shape (C,), or None
        Weights of the loss by class; a batch's loss is the plain mean of weighted losses.
    initial : dict or None
        State to start from instead of a fresh initialisation (a second phase).
    """

    plan: np.ndarray
    seed_init: int
    seed_order: int
    learning_rate: float | None = None
    class_weights: np.ndarray | None = None
    initial: dict | None = field(default=None, repr=False)


@dataclass
class Fitted:
    """A trained member: its state (on the CPU), whether it diverged, its training loss over time, seconds it took."""

    state: dict[str, torch.Tensor]
    diverged: bool
    loss_at: np.ndarray
    loss: np.ndarray
    seconds: float
    engine: str


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


class Resident:
    """Images or features, and labels, kept on the device.

    Parameters
    ----------
    inputs : array or tensor
        uint8 images (n, height, width, channels), scaled by 1 / 256 as they are used, or float features (n, d).
    labels : array of int, shape (n,)
    """

    def __init__(self, inputs, labels, device: str = "cpu"):
        if isinstance(inputs, np.ndarray):
            # A copy, because cached sets are read-only memory maps, which torch cannot share.
            inputs = torch.from_numpy(np.array(inputs))
        if inputs.dtype == torch.uint8:
            inputs = inputs.permute(0, 3, 1, 2)  # a view: memory stays channels-last, the fastest here
        self.inputs = inputs.to(device)
        self.labels = torch.as_tensor(np.array(labels), dtype=torch.int64, device=device)
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.labels)

    def gather(self, positions: torch.Tensor) -> torch.Tensor:
        """Inputs at `positions`, as float32 that a network takes."""
        chosen = self.inputs[positions]
        return chosen.float().mul_(1 / 256) if chosen.dtype == torch.uint8 else chosen


def fit_many(
    build: Callable[[torch.Generator], nn.Module],
    data: Resident,
    members: Iterable[Member],
    schedule: Schedule,
    *,
    precision: str = "fp32",
    engine: str = "auto",
    trainable: tuple[str, ...] = ("",),
) -> list[Fitted]:
    """Train every member for the schedule's iterations.

    Parameters
    ----------
    build : callable
        Generator to freshly initialised network; all members share the architecture.
    data : Resident
    members : iterable of Member
    schedule : Schedule
    precision : {'fp32', 'bf16'}
        bf16 runs convolutions and wide layers in bfloat16 by autocast; weights, the last layer, softmax and loss stay
        in fp32.
    engine : {'auto', 'loop', 'stacked'}
        loop trains one after the other (fastest on a CPU), stacked trains all in one go by `torch.func.vmap` (what
        makes a GPU fast). auto chooses by the device.
    trainable : tuple of str
        Prefixes of the names of parameters that are trained; the others keep their values.

    Returns
    -------
    list of Fitted, in the order of `members`.
    """
    members = list(members)
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
    if engine == "auto":
        engine = "stacked" if data.device.type == "cuda" and len(members) > 1 else "loop"
    if engine == "loop":
        return [_fit_alone(build, data, member, schedule, precision, trainable) for member in members]
    if engine == "stacked":
        from common.stacking import fit_stacked

        return fit_stacked(build, data, members, schedule, precision, trainable)
    raise UserError(f"engine {engine!r}: expected auto, loop or stacked")


def initialise(build, member: Member) -> nn.Module:
    """The member's network before its first step."""
    network = build(torch.Generator().manual_seed(member.seed_init))
    if member.initial is not None:
        network.load_state_dict(member.initial)
    return network


def is_trainable(name: str, trainable: tuple[str, ...]) -> bool:
    """Whether the parameter `name` starts with one of the prefixes."""
    return name.startswith(trainable)


def loss_points(iterations: int) -> np.ndarray:
    """Iterations at which the mean training loss since the last such point is stored."""
    return np.unique(np.linspace(0, iterations, min(LOSS_POINTS, iterations) + 1).round().astype(int)[1:])


def _fit_alone(build, data, member, schedule, precision, trainable) -> Fitted:
    """One network by a plain loop: torch's fused SGD, channels-last, autocast."""
    started = time.perf_counter()
    network = initialise(build, member).to(data.device, memory_format=torch.channels_last).train()
    rate = schedule.learning_rate if member.learning_rate is None else member.learning_rate
    groups = {1.0: [], schedule.bias_rate: []}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(is_trainable(name, trainable))
        if parameter.requires_grad:
            groups[schedule.bias_rate if name.endswith("bias") else 1.0].append(parameter)
    optimiser = torch.optim.SGD(
        [{"params": params, "factor": factor} for factor, params in groups.items() if params],
        lr=rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        fused=True,
    )
    weights = None
    if member.class_weights is not None:
        weights = torch.as_tensor(member.class_weights, dtype=torch.float32, device=data.device)
    order, decay = Order(member.plan, member.seed_order), schedule.decay()
    points = loss_points(schedule.iterations)
    losses, total, diverged, t = [], torch.zeros((), device=data.device), False, 0
    for until in points:
        positions = torch.from_numpy(order.take((until - t) * schedule.batch_size)).to(data.device)
        total.zero_()
        for batch in positions.view(-1, schedule.batch_size):
            for group in optimiser.param_groups:
                group["lr"] = rate * decay[t] * group["factor"]
            with torch.autocast(data.device.type, torch.bfloat16, enabled=precision == "bf16"):
                logits = network(data.gather(batch))
            loss = batch_loss(logits, data.labels[batch], weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach()
            t += 1
        losses.append(float(total) * schedule.batch_size / len(positions))
        if not np.isfinite(losses[-1]):
            diverged = True
            break
    state = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    return Fitted(state, diverged, points[: len(losses)], np.array(losses), time.perf_counter() - started, "loop")


def batch_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Mean over the batch of the (weighted) cross-entropy, in fp32.

    Not torch's weighted 'mean', which divides by the batch's weights: only the plain mean has the oversampled loss as
    its expectation.
    """
    loss = functional.cross_entropy(logits.float(), labels, reduction="none")
    return (loss if weights is None else loss * weights[labels]).mean()


@torch.no_grad()
def forward(network: nn.Module, data: Resident, positions=None, *, part: str = "forward", chunk: int = 500):
    """Outputs of a trained network in fp32, in chunks.

    Parameters
    ----------
    network : Module
    positions : array of int or None
        Which inputs; None takes all.
    part : {'forward', 'features'}

    Returns
    -------
    tensor, shape (n, C) or (n, d)
    """
    network = network.to(data.device).eval()
    positions = np.arange(len(data)) if positions is None else np.asarray(positions)
    index = torch.from_numpy(positions).to(data.device)
    return torch.cat([getattr(network, part)(data.gather(piece)) for piece in index.split(chunk)])


def log_probabilities(network: nn.Module, data: Resident, positions=None) -> torch.Tensor:
    """Log softmax in float64, shape (n, C).

    In float32 the probability of a confident network rounds to exactly 1 for many images, and ties move the AUC; the
    logarithm in float64 keeps their order.
    """
    return torch.log_softmax(forward(network, data, positions).double(), dim=-1)
