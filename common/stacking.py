"""Many networks in one go: parameters stacked along a new first axis, gradients by `torch.func.vmap`.

On a GPU one step of a hundred small networks costs little more than a step of one; on a CPU it gains nothing, and
serves there to show that a group gives what its members give alone.
"""

from __future__ import annotations

import time
import warnings
from functools import partial

import numpy as np
import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from common import dropout
from common.checkpoints import Checkpoint
from common.footprint import denials_told, group_size
from common.members import Fitted, Member, Settings, batch_loss, initialise, lost
from common.optimisers import direction
from common.resident import Resident
from common.schedules import Feed, loss_points

PARTS = ("free", "buffers", "memory")


def fit_groups(build, data: Resident, members: dict[int, Member], settings: Settings, size: int) -> dict[int, Fitted]:
    """Train the members, by their numbers, in groups of at most `size` (0: as many as fit); see `training.fit_many`.

    A group that a killed run was training is taken up as it was, whatever fits now.

    Raises
    ------
    torch.OutOfMemoryError
        If not even one network fits into the device's memory.
    """
    if not size:
        size = group_size(build(torch.Generator()).to(data.device), data, settings)
    checkpoint_of = settings.checkpoints_of("stacked", data, members, build)
    fitted, rest, most = {}, list(members), len(members)
    while rest:
        begun = (n for n in range(min(most, len(rest)), 0, -1) if checkpoint_of(rest[:n]).files)
        part = rest[: next(begun, size)]
        checkpoint, before = checkpoint_of(part), settings.observed(part)
        try:
            with denials_told():
                ended = fit_stacked(build, data, [members[k] for k in part], settings, part, checkpoint)
            fitted |= dict(zip(part, ended, strict=True))
            rest = rest[len(part) :]
        except torch.OutOfMemoryError:
            if len(part) == 1:
                raise
            # The smaller group begins at the beginning, and so does what is seen of it.
            settings.resume_observing(before, part)
            checkpoint.clear()
            most = size = len(part) // 2
            warnings.warn(
                f"{len(part)} networks do not fit into memory; {size} at a time", RuntimeWarning, stacklevel=3
            )
        if data.device.type == "cuda":
            torch.cuda.empty_cache()
    return fitted


def fit_stacked(
    build, data: Resident, members: list[Member], settings: Settings, numbers: list[int], checkpoint: Checkpoint
) -> list[Fitted]:
    """Train all members together; `numbers` are theirs among those of `training.fit_many`.

    Nothing in the loop waits for the device: losses stay there until a stretch of iterations has ended.
    """
    started = time.perf_counter()
    schedule, device = settings.schedule, data.device
    networks = [initialise(build, member) for member in members]
    parameters, buffers = stack_module_state(networks)  # before one of them moves
    skeleton = settings.train_mode(networks[0].to(device))
    settings.check(skeleton)
    parameters = {name: value.detach().to(device) for name, value in parameters.items()}
    # Running statistics of batch normalisation, which a forward pass updates in place, and dropout's keys.
    buffers = {name: value.to(device) for name, value in buffers.items()}
    free = {name: value for name, value in parameters.items() if settings.is_free(name)}
    frozen = {name: value for name, value in parameters.items() if name not in free}
    memory = {name: {} for name in free}

    rates = torch.tensor(
        [schedule.learning_rate if m.learning_rate is None else m.learning_rate for m in members], device=device
    )
    n_classes = int(data.labels.max()) + 1
    weights = torch.ones(len(members), n_classes, device=device)
    for k, member in enumerate(members):
        if member.class_weights is not None:
            weights[k] = torch.as_tensor(member.class_weights, dtype=torch.float32)

    focal = torch.tensor([float(m.focal) for m in members], device=device)
    any_focal = any(m.focal for m in members)
    normalised = torch.tensor([m.normalised for m in members], device=device)
    any_normalised = any(m.normalised for m in members)

    def loss_of(free_k, frozen_k, buffers_k, inputs, labels, weights_k, focal_k, normalised_k):
        with settings.autocast(device):
            logits = functional_call(skeleton, {**free_k, **frozen_k, **buffers_k}, (inputs,))
        special = focal_k if any_focal else 0.0, normalised_k if any_normalised else False
        return batch_loss(logits, labels, weights_k, *special)

    gradient = vmap(grad_and_value(loss_of))
    dropouts = dropout.layers(skeleton)
    feeds = [Feed(m, schedule.batch_size, settings.augmentation, data.inputs.shape, len(dropouts)) for m in members]
    decay = torch.from_numpy(schedule.decay()).to(device, torch.float32)
    points = loss_points(schedule.iterations)
    curves, alive, t = [], np.ones(len(members), bool), 0
    ended: dict[int, tuple[int, dict]] = {}  # members whose training `on_point` ended: when, and their state then

    def state_of(k: int) -> dict[str, torch.Tensor]:
        stacked = {**free, **frozen, **buffers}
        return {name: stacked[name][k] for name in networks[k].state_dict()}

    def look() -> None:
        if t in settings.at:
            # A network of its own, because the skeleton stays in train mode.
            network = build(torch.Generator()).to(device).eval()
            for k in map(int, np.flatnonzero(alive)):
                if k in ended:
                    continue
                network.load_state_dict(state_of(k))
                with torch.no_grad():
                    factor = settings.on_point(numbers[k], t, network.eval())
                if factor is not None:
                    rates[k] *= factor
                if factor == 0:
                    ended[k] = t, {name: value.cpu().clone() for name, value in state_of(k).items()}

    earlier = checkpoint.load(device)
    if earlier is None:
        look()
    else:
        for kept, tensors in zip((free, buffers, memory), (earlier[part] for part in PARTS), strict=True):
            kept.update(tensors)
        settings.resume_observing(earlier["observed"], numbers)
        rates, t, curves = (earlier[part] for part in ("rates", "t", "curves"))
        for k, (done, state) in earlier["ended"].items():
            ended[k] = done, {name: value.cpu() for name, value in state.items()}
        curves = [curve.cpu().numpy() for curve in curves]
        alive = np.isfinite(curves).all(axis=0)
        started -= earlier["seconds"]
        for feed in feeds:
            feed.skip(points, t)
    for until in points[points > t]:
        length = until - t
        # One array a kind, over members, iterations and the rest.
        parts = zip(*(feed.take(length) for feed in feeds), strict=True)
        positions, views, keys = (torch.from_numpy(np.stack(part)).to(device) for part in parts)
        total = torch.zeros(len(members), device=device)
        for i in range(length):
            batch = positions[:, i]
            buffers.update({f"{name}.key": keys[:, i, place] for place, name in enumerate(dropouts)})
            # Gathered by one flat index, because advanced indexing keeps no channels-last order.
            cut = partial(settings.augmentation.cut, views=views[:, i].flatten(0, 1))
            inputs = data.gather(batch.reshape(-1), cut).unflatten(0, batch.shape)
            own = data.labels[batch], weights, focal, normalised
            gradients, losses = gradient(free, frozen, buffers, inputs, *own)
            with torch.no_grad():
                of_weights = rates * decay[t]
                of_biases = of_weights * schedule.bias_rate
                for name, value in free.items():
                    rate = of_biases if name.endswith("bias") else of_weights
                    slope = gradients[name].add(value, alpha=schedule.weight_decay)
                    step = direction(schedule, slope, memory[name])
                    value.sub_(step * rate.view(-1, *[1] * (value.dim() - 1)))
                total += losses
            t += 1
            look()
            if all(k in ended for k in np.flatnonzero(alive)):
                break
        if t < until:
            break
        curves.append((total / length).cpu().numpy())
        alive &= np.isfinite(curves[-1])
        if all(k in ended for k in np.flatnonzero(alive)):
            break
        if checkpoint.due():
            checkpoint.save(
                {
                    **dict(zip(PARTS, (free, buffers, memory), strict=True)),
                    "observed": settings.observed(numbers),
                    "rates": rates,
                    "t": t,
                    "curves": [torch.from_numpy(curve) for curve in curves],
                    "ended": ended,
                    "seconds": time.perf_counter() - started,
                }
            )
    seconds = time.perf_counter() - started
    curves = np.array(curves).reshape(-1, len(members))
    fitted = []
    for k in range(len(members)):
        # The same record as alone: the curve ends at its first value that is not finite, or before training ended.
        if k in ended:
            done, state = ended[k]
            end = int(np.searchsorted(points, done, side="right"))
        else:
            state = {name: value.cpu().clone() for name, value in state_of(k).items()}
            end = len(curves) if alive[k] else int(np.argmin(np.isfinite(curves[:, k]))) + 1
            done = int(points[end - 1])
        diverged = not np.isfinite(curves[:end, k]).all() or lost(state)
        one = Fitted(state, diverged, points[:end], curves[:end, k], seconds / len(members), "stacked", done)
        settings.hold(numbers[k], one, seconds)
        fitted.append(one)
    checkpoint.clear()
    return fitted
