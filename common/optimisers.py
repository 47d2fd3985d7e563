"""Optimisers: torch's where it has them, and each rule as a function of tensors for networks trained together."""

from __future__ import annotations

import torch

from common.schedules import Schedule

ADAM = {"betas": (0.9, 0.999), "eps": 1e-8}
#: Keras 3 adds the constant inside the root, torch's RMSprop and Keras 2 outside, where 1e-7 weighs far less.
RMSPROP = {"rho": 0.9, "eps": 1e-7}


def of(schedule: Schedule, groups: list[dict], rate: float) -> torch.optim.Optimizer:
    """The schedule's optimiser for groups of parameters.

    Parameters
    ----------
    schedule : Schedule
    groups : list of dict
        As torch's optimisers take them.
    rate : float
        Learning rate.
    """
    decay = schedule.weight_decay
    if schedule.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=schedule.momentum, weight_decay=decay, fused=True)
    if schedule.optimiser == "adam":
        return torch.optim.Adam(groups, lr=rate, weight_decay=decay, fused=True, **ADAM)
    return ByRule(groups, rate, schedule)


def direction(schedule: Schedule, slope: torch.Tensor, memory: dict) -> torch.Tensor:
    """What a step of the schedule's optimiser subtracts, but for the learning rate.

    Parameters
    ----------
    schedule : Schedule
    slope : tensor
        Gradient with weight decay added, of one network or of several along the first axis.
    memory : dict
        Of this parameter; empty before the first step, updated in place.

    Returns
    -------
    tensor of the same shape, not to be changed

    Notes
    -----
    sgd is torch's with momentum; adam is torch's, with bias correction (Kingma and Ba 2015); rmsprop is that of
    Keras 3, with rho = .9 and no momentum.
    """
    if schedule.optimiser == "sgd":
        velocity = _kept(memory, "velocity", slope)
        return velocity.mul_(schedule.momentum).add_(slope)
    square = _kept(memory, "square", slope)
    if schedule.optimiser == "rmsprop":
        square.mul_(RMSPROP["rho"]).addcmul_(slope, slope, value=1 - RMSPROP["rho"])
        return slope / (square + RMSPROP["eps"]).sqrt_()
    first, second = ADAM["betas"]
    mean = _kept(memory, "mean", slope)
    step = memory["step"] = memory.get("step", 0) + 1
    mean.lerp_(slope, 1 - first)
    square.mul_(second).addcmul_(slope, slope, value=1 - second)
    return mean / (1 - first**step) / (square / (1 - second**step)).sqrt_().add_(ADAM["eps"])


def _kept(memory: dict, name: str, like: torch.Tensor) -> torch.Tensor:
    """A tensor of the memory, zeros at first."""
    if name not in memory:
        memory[name] = torch.zeros_like(like)
    return memory[name]


class ByRule(torch.optim.Optimizer):
    """A torch optimiser made of `direction`, for rules that torch has in another form."""

    def __init__(self, groups: list[dict], rate: float, schedule: Schedule):
        super().__init__(groups, {"lr": rate})
        self._schedule = schedule

    @torch.no_grad()
    def step(self, closure=None) -> None:
        """One update of all parameters."""
        for group in self.param_groups:
            for parameter in group["params"]:
                slope = parameter.grad.add(parameter, alpha=self._schedule.weight_decay)
                parameter.sub_(direction(self._schedule, slope, self.state[parameter]), alpha=group["lr"])
