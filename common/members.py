"""The networks of a group: one member, what all of them share, how one ends, its network and its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from common import checkpoints
from common.augmentation import Augmentation
from common.checkpoints import Checkpoint, digest
from common.errors import UserError
from common.resident import Resident
from common.schedules import Schedule


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
    normalised : bool
        The loss is divided by the weights of the batch instead of its size, as torch's weighted mean is.
    initial : dict or None
        State to start from instead of a fresh initialisation (a second phase).
    focal : float
        Exponent of the focal loss (Lin et al. 2017); 0 is the cross-entropy.
    seed_dropout, seed_augmentation : int
        Of no effect in a network without `dropout.Dropout`, and in training without augmentation.
    """

    plan: np.ndarray
    seed_init: int
    seed_order: int
    learning_rate: float | None = None
    class_weights: np.ndarray | None = None
    initial: dict | None = field(default=None, repr=False)
    seed_dropout: int = 0
    seed_augmentation: int = 0
    focal: float = 0.0
    normalised: bool = False

    def __post_init__(self):
        if not self.focal >= 0:
            raise UserError(f"focal {self.focal}: expected an exponent of at least 0 (0: cross-entropy)")


@dataclass
class Fitted:
    """A trained member: its state (on the CPU), whether it diverged, its training loss over time, seconds it took.

    `iterations` is how many were done: fewer than the schedule's where it diverged or `on_point` ended it. `held` are
    the files that hold this end; see `training.fit_many`.
    """

    state: dict[str, torch.Tensor]
    diverged: bool
    loss_at: np.ndarray
    loss: np.ndarray
    seconds: float
    engine: str
    iterations: int
    held: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What the members of a group share; see `training.fit_many`."""

    schedule: Schedule
    precision: str
    trainable: tuple[str, ...]
    augmentation: Augmentation
    on_point: Callable[[int, int, nn.Module], float | None] | None
    at: frozenset[int]
    checkpoints: Path | None
    identity: tuple = ()
    ends: tuple[Checkpoint, ...] = ()  # by member: where its end is held; empty: nowhere

    def content(self, engine: str, data: Resident, network: nn.Module) -> list:
        """All that decides a training beside its members, as far as it shows, and what the caller adds to that.

        The data are known by their labels and a sample.
        """
        looks_at = (self.precision, self.trainable, self.augmentation, sorted(self.at), engine, repr(network))
        return [*self.identity, self.schedule, *looks_at, data.labels, data.inputs[:: max(1, len(data) // 100)]]

    def checkpoint(self, data: Resident, member: Member, network: nn.Module) -> Checkpoint:
        """Of a member that the loop trains, from this network on."""
        return Checkpoint(self.checkpoints, [*self.content("loop", data, network), member, network.state_dict()])

    def checkpoints_of(
        self, engine: str, data: Resident, members: Mapping[int, Member], build
    ) -> Callable[[Sequence[int]], Checkpoint]:
        """From some of the members' numbers to the checkpoint of their training together."""
        if self.checkpoints is None:
            return lambda numbers: Checkpoint(None)
        fresh = build(torch.Generator().manual_seed(0))
        shared = digest(self.content(engine, data, fresh))
        # How a network is initialised is known by one of seed 0; where none is, `build` need not give the same twice.
        own = digest([fresh.state_dict()])
        each = {k: digest([member, own if member.initial is None else ""]) for k, member in members.items()}
        return lambda numbers: Checkpoint(self.checkpoints, [shared, *(each[k] for k in numbers)])

    def observed(self, members: Sequence[int]) -> dict:
        """What `on_point` has gathered of these members so far; nothing where it gathers nothing."""
        gathers = self.at and hasattr(self.on_point, "state_dict")
        return deepcopy(self.on_point.state_dict(members)) if gathers else {}

    def resume_observing(self, state: dict, members: Sequence[int]) -> None:
        """Give `on_point` back what it had gathered of these members."""
        if self.at and hasattr(self.on_point, "load_state_dict"):
            self.on_point.load_state_dict(state, members)

    def hold(self, k: int, fitted: Fitted, seconds: float) -> None:
        """Write down how member `k` ended and what was seen of it, if its training, or its group's, took long."""
        if not self.ends or seconds < checkpoints.EVERY:
            return
        end = {name: value for name, value in vars(fitted).items() if name != "held"}
        end |= {name: torch.from_numpy(end[name]) for name in ("loss_at", "loss")}
        self.ends[k].save({"fitted": end, "observed": self.observed([k])})
        fitted.held = self.ends[k].files

    def held(self, k: int) -> Fitted | None:
        """How member `k` ended in an earlier run, if that is still held."""
        earlier = self.ends[k].load(torch.device("cpu")) if self.ends else None
        if earlier is None:
            return None
        self.resume_observing(earlier["observed"], [k])
        curves = {name: earlier["fitted"][name].numpy() for name in ("loss_at", "loss")}
        return Fitted(**{**earlier["fitted"], **curves}, held=self.ends[k].files)

    def is_free(self, name: str) -> bool:
        """Whether the parameter `name` is trained."""
        return name.startswith(self.trainable)

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context of a forward pass."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def check(self, network: nn.Module) -> None:
        """Raise `UserError` if there is nothing to train."""
        if not any(self.is_free(name) for name, _ in network.named_parameters()):
            raise UserError(f"trainable {self.trainable}: no parameter's name starts so")

    def train_mode(self, network: nn.Module) -> nn.Module:
        """The network in train mode, but for frozen batch normalisation."""
        network.train()
        for name, layer in network.named_modules():
            if isinstance(layer, _BatchNorm) and not self.is_free(f"{name}.weight"):
                layer.eval()
        return network


def lost(state: Mapping[str, torch.Tensor]) -> bool:
    """Whether a network, its state on the CPU, has lost its numbers."""
    return not all(np.isfinite(value.numpy()).all() for value in state.values())


def initialise(build, member: Member) -> nn.Module:
    """The member's network before its first step."""
    network = build(torch.Generator().manual_seed(member.seed_init))
    if member.initial is not None:
        network.load_state_dict(member.initial)
    return network


def batch_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None,
    focal: float | torch.Tensor = 0.0,
    normalised: bool | torch.Tensor = False,
) -> torch.Tensor:
    """Mean over the batch of the (weighted, focal) cross-entropy, in fp32.

    Only the plain mean of weighted losses has the oversampled loss as its expectation. Torch's weighted 'mean', which
    divides by the batch's weights (`normalised`), takes no larger steps for a batch with a heavy class in it.
    """
    loss = functional.cross_entropy(logits.float(), labels, reduction="none")
    if isinstance(focal, torch.Tensor) or focal > 0:
        # (1 - p)^focal with p = exp(-loss); an exponent below 1 has no finite slope at p = 1.
        loss = loss * (-torch.expm1(-loss)).clamp_min(1e-12).pow(focal)
    if weights is None:
        return loss.mean()
    weight = weights[labels]
    plain = (loss * weight).mean()
    if isinstance(normalised, torch.Tensor):
        return torch.where(normalised, plain / weight.mean(), plain)
    return plain / weight.mean() if normalised else plain
