"""Training one network or many at once, for a fixed number of iterations, from index plans over one resident tensor.

The contract of `fit_many`: a member gives the result that it gives alone with the same seeds, to float tolerance,
whatever else shares its group. A member's initial weights, its order of data and its learning rate are its own; a
member that diverges is recorded as such and changes nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from common import checkpoints
from common.augmentation import Augmentation, centred
from common.checkpoints import Checkpoint, digest
from common.errors import UserError
from common.resident import Resident
from common.schedules import POLICIES, Feed, Order, Schedule, loss_points  # noqa: F401 - some are used from here

PRECISIONS = ("fp32", "bf16")
ENGINES = ("loop", "stacked")


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

    def __post_init__(self):
        if not self.focal >= 0:
            raise UserError(f"focal {self.focal}: expected an exponent of at least 0 (0: cross-entropy)")


@dataclass
class Fitted:
    """A trained member: its state (on the CPU), whether it diverged, its training loss over time, seconds it took.

    `iterations` is how many were done: fewer than the schedule's where it diverged or `on_point` ended it. `held` are
    the files that hold this end; see `fit_many`.
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
    """What the members of a group share; see `fit_many`."""

    schedule: Schedule
    precision: str
    trainable: tuple[str, ...]
    augmentation: Augmentation
    on_point: Callable[[int, int, nn.Module], float | None] | None
    at: frozenset[int]
    checkpoints: Path | None
    ends: tuple[Checkpoint, ...] = ()  # by member: where its end is held; empty: nowhere

    def content(self, engine: str, data: Resident, network: nn.Module) -> list:
        """All that decides a training beside its members; the data by their labels and a sample."""
        looks_at = (self.precision, self.trainable, self.augmentation, sorted(self.at), engine, repr(network))
        return [self.schedule, *looks_at, data.labels, data.inputs[:: max(1, len(data) // 100)]]

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


def fit_many(
    build: Callable[[torch.Generator], nn.Module],
    data: Resident,
    members: Iterable[Member],
    schedule: Schedule,
    *,
    precision: str = "fp32",
    engine: str = "auto",
    trainable: tuple[str, ...] = ("",),
    augmentation: Augmentation = Augmentation(),  # noqa: B008 - frozen
    on_point: Callable[[int, int, nn.Module], float | None] | None = None,
    at: Iterable[int] = (),
    checkpoints: Path | None = None,
    hold: bool = False,
    group: int = 0,
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
        Prefixes of the names of parameters that are trained; the others keep their values. Batch normalisation whose
        parameters are frozen also keeps its running statistics and normalises with them; dropout stays on everywhere,
        as in Caffe with a learning rate of zero (the papers say neither).
    augmentation : Augmentation
        What is cut from an image each time that it is seen.
    on_point : callable or None
        ``on_point(k, iteration, network)`` is called after each iteration in `at`, for every member k that has not
        diverged, with its network in eval mode: to look at, not to change or keep. The seconds it takes count. A number
        that it returns multiplies the member's learning rate from then on; 0 ends the member's training. One that
        gathers something needs ``state_dict(members)``, for what it has gathered of some members (numbers, lists,
        tensors; in their order), and ``load_state_dict(state, members)``, which puts that in the place of what it has
        of them: after a kill, and where a group that has begun does not fit into memory.
    at : iterable of int
        Numbers of finished iterations, 0 (before the first step) to the schedule's.
    checkpoints : Path or None
        Folder in which a training that takes minutes is written down, so that the same call goes on after a kill and
        ends with the same numbers. A group that was under way is found again if it begins with the same member,
        however many would fit into memory now.
    hold : bool
        Whether the end of such a training stays there, too, for a caller that has more to do before it keeps what it
        makes of it. A later call with the same member, in whatever company, takes it from there. The caller removes
        the files `Fitted.held` when they have served.
    group : int
        At most so many members are stacked; 0: as many as fit into the device's memory, or IMBALANCE_GROUP. Where
        they do not fit after all, half as many are.

    Returns
    -------
    list of Fitted, in the order of `members`.
    """
    members, at = list(members), frozenset(at)
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
    if engine == "auto":
        engine = "stacked" if data.device.type == "cuda" and len(members) > 1 else "loop"
    if beyond := [t for t in at if not 0 <= t <= schedule.iterations]:
        raise UserError(f"at {min(beyond)}: expected iterations between 0 and {schedule.iterations}")
    if augmentation:
        augmentation.patch(data.inputs.shape)
    at = at if on_point else frozenset()
    if checkpoints is not None and at and not hasattr(on_point, "load_state_dict"):
        raise TypeError("on_point: expected state_dict and load_state_dict, which checkpoints need")
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r}: expected auto, {' or '.join(ENGINES)}")
    settings = Settings(schedule, precision, trainable, augmentation, on_point, at, checkpoints)
    if hold and checkpoints is not None:
        # Both engines give the same, to float tolerance.
        end_of = settings.checkpoints_of("any", data, dict(enumerate(members)), build)
        settings = replace(settings, ends=tuple(end_of([k]) for k in range(len(members))))
    fitted = {k: earlier for k in range(len(members)) if (earlier := settings.held(k)) is not None}
    rest = {k: member for k, member in enumerate(members) if k not in fitted}
    if engine == "loop":
        from common.looping import fit_alone

        fitted |= {k: fit_alone(build, data, member, k, settings) for k, member in rest.items()}
    elif rest:
        from common.stacking import fit_groups

        fitted |= fit_groups(build, data, rest, settings, group)
    return [fitted[k] for k in range(len(members))]


def initialise(build, member: Member) -> nn.Module:
    """The member's network before its first step."""
    network = build(torch.Generator().manual_seed(member.seed_init))
    if member.initial is not None:
        network.load_state_dict(member.initial)
    return network


def batch_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, focal: float | torch.Tensor = 0.0
) -> torch.Tensor:
    """Mean over the batch of the (weighted, focal) cross-entropy, in fp32.

    Not torch's weighted 'mean', which divides by the batch's weights: only the plain mean has the oversampled loss as
    its expectation.
    """
    loss = functional.cross_entropy(logits.float(), labels, reduction="none")
    if isinstance(focal, torch.Tensor) or focal > 0:
        # (1 - p)^focal with p = exp(-loss); an exponent below 1 has no finite slope at p = 1.
        loss = loss * (-torch.expm1(-loss)).clamp_min(1e-12).pow(focal)
    return (loss if weights is None else loss * weights[labels]).mean()


@torch.no_grad()
def forward(
    network: nn.Module, data: Resident, positions=None, *, part: str = "forward", chunk: int = 500, crop: int = 0
):
    """Outputs of a trained network in fp32, in chunks.

    Parameters
    ----------
    network : Module
    positions : array of int or None
        Which inputs; None takes all.
    part : {'forward', 'features'}
    crop : int
        Height and width of the centre that is looked at (0: all).

    Returns
    -------
    tensor, shape (n, C), or that of the features
    """
    network = network.to(data.device).eval()
    positions = np.arange(len(data)) if positions is None else np.asarray(positions)
    index = torch.from_numpy(positions).to(data.device)
    cut = partial(centred, crop=crop)
    return torch.cat([getattr(network, part)(data.gather(piece, cut)) for piece in index.split(chunk)])


def log_probabilities(network: nn.Module, data: Resident, positions=None, *, crop: int = 0) -> torch.Tensor:
    """Log softmax in float64, shape (n, C).

    In float32 the probability of a confident network rounds to exactly 1 for many images, and ties move the AUC; the
    logarithm in float64 keeps their order.
    """
    return torch.log_softmax(forward(network, data, positions, crop=crop).double(), dim=-1)
