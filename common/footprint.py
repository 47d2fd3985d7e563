"""How many networks fit into a device's memory at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from common import memory
from common.augmentation import centred
from common.errors import UserError
from common.members import Settings
from common.resident import Resident

SHARE = 0.8  # of what is free: workspaces of convolutions and fragments take the rest
SETTING = "IMBALANCE_GROUP"  # overrides what is computed here
OPTIMISER_STATE = {"sgd": 1, "adam": 2, "rmsprop": 1}  # tensors an optimiser keeps for each parameter
# What cuBLAS, cuDNN and CUDA itself say when they get no memory beside what torch has taken.
DENIED = ("STATUS_ALLOC_FAILED", "CUDA error: out of memory")


def group_size(network: nn.Module, data: Resident, settings: Settings) -> int:
    """Networks to train in one go: IMBALANCE_GROUP if it is set, else as many as fit, but at least one.

    Parameters
    ----------
    network : Module
        One of them.
    data : Resident
        What they are trained on; it is on the device already.
    settings : members.Settings

    Raises
    ------
    UserError
        If IMBALANCE_GROUP is no positive whole number.
    """
    if size := asked():
        return size
    try:
        with denials_told():
            one = bytes_of(network, data, settings)
    except torch.OutOfMemoryError:  # then its training says so, too
        return 1
    return max(1, int(SHARE * free_bytes(data.device) // one))


@contextmanager
def denials_told() -> Iterator[None]:
    """Raise `torch.OutOfMemoryError`, as torch does for its own memory, where one of its libraries gets none."""
    try:
        yield
    except RuntimeError as error:
        if not any(said in str(error) for said in DENIED):
            raise
        raise torch.OutOfMemoryError(str(error)) from error


def asked() -> int:
    """IMBALANCE_GROUP, or 0 where it is not set; `UserError` if it is no positive whole number.

    Also how many cells `study.Run` hands on at a time, where that is more than a study's GROUP.
    """
    setting = os.environ.get(SETTING)
    if not setting:
        return 0
    if not setting.isdecimal() or int(setting) < 1:
        raise UserError(f"{SETTING}={setting!r}: expected how many networks to train in one go, such as 64")
    return int(setting)


def free_bytes(device: torch.device) -> int:
    """Memory of the device that nobody uses, or that torch has set apart and not in use."""
    if device.type == "cuda":
        apart = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + apart
    return memory.free()


def bytes_of(network: nn.Module, data: Resident, settings: Settings) -> int:
    """Bytes that one more network takes while it is trained.

    Its parameters, as often for their gradients, their update and the optimiser's state; its buffers; and what the
    backward pass needs of the forward pass, in fp32, and once more for the gradients of it.
    """
    parameters = list(network.parameters())
    weights = sum(p.numel() * p.element_size() for p in parameters)
    buffers = sum(b.numel() * b.element_size() for b in network.buffers())
    own, kept = {p.data_ptr() for p in parameters}, {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:  # views share their memory
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    few, cut = torch.arange(2, device=data.device), partial(centred, crop=settings.augmentation.crop)
    was_training, state = network.training, {name: value.clone() for name, value in network.state_dict().items()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.enable_grad():
        output = network.train()(data.gather(few, cut))
    del output
    network.load_state_dict(state)  # batch normalisation has looked at the images
    network.train(was_training)
    per_image = sum(kept.values()) / 2
    copies = 3 + OPTIMISER_STATE[settings.schedule.optimiser]
    return round(weights * copies + buffers + 2 * per_image * settings.schedule.batch_size)
