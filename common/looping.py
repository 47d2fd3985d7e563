"""One network by a plain loop: torch's fused optimisers, channels-last, autocast. The fastest on a CPU."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch
from torch import nn

from common import dropout
from common.members import Fitted, Member, Settings, batch_loss, initialise, lost
from common.optimisers import of
from common.resident import Resident
from common.schedules import Feed, loss_points


def fit_alone(build, data: Resident, member: Member, k: int, settings: Settings) -> Fitted:
    """Train the group's member `k`; see `training.fit_many`."""
    started = time.perf_counter()
    schedule, device = settings.schedule, data.device
    network = settings.train_mode(initialise(build, member).to(device, memory_format=torch.channels_last))
    rate = schedule.learning_rate if member.learning_rate is None else member.learning_rate
    optimiser = _optimiser(network, rate, settings)
    weights = None
    if member.class_weights is not None:
        weights = torch.as_tensor(member.class_weights, dtype=torch.float32, device=device)
    dropouts = dropout.layers(network).values()
    feed = Feed(member, schedule.batch_size, settings.augmentation, data.inputs.shape, len(dropouts))
    decay, points = schedule.decay().tolist(), loss_points(schedule.iterations)  # plain numbers, for checkpoints
    losses, total, t = [], torch.zeros((), device=device), 0
    checkpoint = settings.checkpoint(data, member, network)
    earlier = checkpoint.load(device)

    def look() -> None:
        nonlocal rate
        if t in settings.at:
            with torch.no_grad():
                factor = settings.on_point(k, t, network.eval())
            settings.train_mode(network)
            rate *= 1.0 if factor is None else factor

    if earlier is None:
        look()
    else:
        network.load_state_dict(earlier["network"])
        optimiser.load_state_dict(earlier["optimiser"])
        settings.resume_observing(earlier["observed"], [k])
        rate, t, losses = earlier["rate"], earlier["t"], earlier["losses"]
        started -= earlier["seconds"]
        feed.skip(points, t)
    for until in points[points > t]:
        positions, views, keys = (torch.from_numpy(part).to(device) for part in feed.take(until - t))
        total.zero_()
        for batch, views_t, keys_t in zip(positions, views, keys, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * decay[t] * group["factor"]
            for layer, key in zip(dropouts, keys_t, strict=True):
                layer.key = key
            with settings.autocast(device):
                logits = network(data.gather(batch, partial(settings.augmentation.cut, views=views_t)))
            loss = batch_loss(logits, data.labels[batch], weights, member.focal, member.normalised)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach()
            t += 1
            look()
            if rate == 0:
                break
        if t < until:
            break
        losses.append(float(total) * schedule.batch_size / positions.numel())
        if not np.isfinite(losses[-1]) or rate == 0:
            break
        if checkpoint.due():
            checkpoint.save(
                {
                    "network": network.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "observed": settings.observed([k]),
                    "rate": rate,
                    "t": t,
                    "losses": losses,
                    "seconds": time.perf_counter() - started,
                }
            )
    state = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    seconds = time.perf_counter() - started
    diverged = not np.isfinite(losses).all() or lost(state)
    fitted = Fitted(state, diverged, points[: len(losses)], np.array(losses), seconds, "loop", t)
    settings.hold(k, fitted, seconds)
    checkpoint.clear()
    return fitted


def _optimiser(network: nn.Module, rate: float, settings: Settings) -> torch.optim.Optimizer:
    """Of the free parameters, in groups by the factor on the rate; the others need no gradient any more."""
    settings.check(network)
    schedule = settings.schedule
    groups = {1.0: [], schedule.bias_rate: []}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(settings.is_free(name))
        if parameter.requires_grad:
            groups[schedule.bias_rate if name.endswith("bias") else 1.0].append(parameter)
    return of(schedule, [{"params": params, "factor": factor} for factor, params in groups.items() if params], rate)
