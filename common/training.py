"""Training one network or many at once, for a fixed number of iterations, from index plans over one resident tensor.

The contract of `fit_many`: a member gives the result that it gives alone with the same seeds, to float tolerance,
whatever else shares its group. A member's initial weights, its order of data and its learning rate are its own; a
member that diverges is recorded as such and changes nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from common.augmentation import Augmentation, centred
from common.errors import UserError
from common.footprint import asked, denials_told
from common.looping import fit_alone
from common.members import Fitted, Member, Settings, batch_loss  # noqa: F401 - some are used from here
from common.resident import Resident
from common.schedules import POLICIES, Order, Schedule, loss_points  # noqa: F401 - some are used from here
from common.stacking import fit_groups

PRECISIONS = ("fp32", "bf16")
ENGINES = ("loop", "stacked")

# What says fp32 is fp32 on a GPU, too; torch's convolutions would round their inputs to ten bits there (TF32).
torch.backends.cudnn.allow_tf32 = False


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
    identity: Iterable = (),
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
        makes a GPU fast). auto chooses by the device, and the loop on a GPU, too, where groups are of one.
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
    identity : iterable
        Plain values and dataclasses: what else decides the numbers, for a network need not show in `repr` how it
        pools, nor `on_point` by what rule it acts. What is written down under another identity is not gone on with.
        Of a study: its name, its version and the fields that its cells share, the same in whatever company.
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
        together = data.device.type == "cuda" and len(members) > 1 and (group or asked()) != 1
        engine = "stacked" if together else "loop"
    if beyond := [t for t in at if not 0 <= t <= schedule.iterations]:
        raise UserError(f"at {min(beyond)}: expected iterations between 0 and {schedule.iterations}")
    if augmentation:
        augmentation.patch(data.inputs.shape)
    at = at if on_point else frozenset()
    if checkpoints is not None and at and not hasattr(on_point, "load_state_dict"):
        raise TypeError("on_point: expected state_dict and load_state_dict, which checkpoints need")
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r}: expected auto, {' or '.join(ENGINES)}")
    settings = Settings(schedule, precision, trainable, augmentation, on_point, at, checkpoints, tuple(identity))
    if hold and checkpoints is not None:
        # Both engines give the same, to float tolerance.
        end_of = settings.checkpoints_of("any", data, dict(enumerate(members)), build)
        settings = replace(settings, ends=tuple(end_of([k]) for k in range(len(members))))
    fitted = {k: earlier for k in range(len(members)) if (earlier := settings.held(k)) is not None}
    rest = {k: member for k, member in enumerate(members) if k not in fitted}
    try:
        if engine == "loop":
            with denials_told():
                fitted |= {k: fit_alone(build, data, member, k, settings) for k, member in rest.items()}
        elif rest:
            fitted |= fit_groups(build, data, rest, settings, group)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"out of memory on {data.device} with one network; use a smaller batch_size or width"
        ) from error
    return [fitted[k] for k in range(len(members))]


def loaded(build, state: dict[str, torch.Tensor]) -> nn.Module:
    """A network of these weights, for evaluation; `build` is what `fit_many` took."""
    network = build(torch.Generator())
    network.load_state_dict(state)
    return network.eval()


@torch.no_grad()
def forward(
    network: nn.Module, data: Resident, positions=None, *, part: str = "forward", chunk: int = 500, crop: int = 0
):
    """Outputs of a trained network in fp32, in chunks; in smaller ones where the device has no memory for them.

    Parameters
    ----------
    network : Module
    positions : array of int or None
        Which inputs; None takes all.
    part : str
        The network's method that is called: forward, or one for what lies inside, such as features.
    crop : int
        Height and width of the centre that is looked at (0: all).

    Returns
    -------
    tensor, shape (n, C), or that of what lies inside
    """
    network = network.to(data.device).eval()
    positions = np.arange(len(data)) if positions is None else np.asarray(positions)
    index = torch.from_numpy(positions).to(data.device)
    cut = partial(centred, crop=crop)
    while True:
        try:
            with denials_told():
                return torch.cat([getattr(network, part)(data.gather(piece, cut)) for piece in index.split(chunk)])
        except torch.OutOfMemoryError:
            if chunk == 1:
                raise
            chunk //= 2


def log_probabilities(network: nn.Module, data: Resident, positions=None, *, crop: int = 0) -> torch.Tensor:
    """Log softmax in float64, shape (n, C).

    In float32 the probability of a confident network rounds to exactly 1 for many images, and ties move the AUC; the
    logarithm in float64 keeps their order.
    """
    return torch.log_softmax(forward(network, data, positions, crop=crop).double(), dim=-1)
