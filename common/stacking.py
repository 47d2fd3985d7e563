"""Many networks in one go: parameters stacked along a new first axis, gradients by `torch.func.vmap`.

On a GPU one step of a hundred small networks costs little more than a step of one; on a CPU it gains nothing, and
serves there to show that a group gives what its members give alone.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from common.training import Fitted, Order, Resident, batch_loss, initialise, is_trainable, loss_points


def fit_stacked(build, data: Resident, members, schedule, precision: str, trainable) -> list[Fitted]:
    """Train all members together; see `training.fit_many`.

    Nothing in the loop waits for the device: losses stay there until a stretch of iterations has ended.
    """
    started = time.perf_counter()
    networks = [initialise(build, member) for member in members]
    skeleton = networks[0].to(data.device).train()
    parameters, buffers = stack_module_state(networks)
    parameters = {name: value.detach().to(data.device) for name, value in parameters.items()}
    buffers = {name: value.to(data.device) for name, value in buffers.items()}
    if buffers:
        raise NotImplementedError("stacked training of networks with buffers (batch normalisation)")
    free = {name: value for name, value in parameters.items() if is_trainable(name, trainable)}
    frozen = {name: value for name, value in parameters.items() if name not in free}
    velocity = {name: torch.zeros_like(value) for name, value in free.items()}

    rates = torch.tensor(
        [schedule.learning_rate if m.learning_rate is None else m.learning_rate for m in members], device=data.device
    )
    n_classes = int(data.labels.max()) + 1
    weights = torch.ones(len(members), n_classes, device=data.device)
    for k, member in enumerate(members):
        if member.class_weights is not None:
            weights[k] = torch.as_tensor(member.class_weights, dtype=torch.float32)

    def loss_of(free_k, frozen_k, inputs, labels, weights_k):
        with torch.autocast(data.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = functional_call(skeleton, {**free_k, **frozen_k}, (inputs,))
        return batch_loss(logits, labels, weights_k)

    gradient = vmap(grad_and_value(loss_of))
    orders = [Order(member.plan, member.seed_order) for member in members]
    decay = torch.from_numpy(schedule.decay()).to(data.device, torch.float32)
    points = loss_points(schedule.iterations)
    curves, t = [], 0
    for until in points:
        length = until - t
        positions = np.stack([order.take(length * schedule.batch_size) for order in orders])
        positions = torch.from_numpy(positions).to(data.device).view(len(members), length, schedule.batch_size)
        total = torch.zeros(len(members), device=data.device)
        for i in range(length):
            batch = positions[:, i]
            # Gathered by one flat index, because advanced indexing keeps no channels-last order.
            inputs = data.gather(batch.reshape(-1)).unflatten(0, batch.shape)
            gradients, losses = gradient(free, frozen, inputs, data.labels[batch], weights)
            with torch.no_grad():
                for name, value in free.items():
                    rate = rates * decay[t] * (schedule.bias_rate if name.endswith("bias") else 1.0)
                    velocity[name].mul_(schedule.momentum).add_(gradients[name]).add_(
                        value, alpha=schedule.weight_decay
                    )
                    value.sub_(velocity[name] * rate.view(-1, *[1] * (value.dim() - 1)))
                total += losses
            t += 1
        curves.append((total / length).cpu().numpy())
    seconds = (time.perf_counter() - started) / len(members)
    curves = np.array(curves)
    fitted = []
    for k in range(len(members)):
        state = {name: {**free, **frozen}[name][k].cpu().clone() for name in networks[k].state_dict()}
        finite = np.isfinite(curves[:, k])
        # The same record as alone: the curve ends at its first value that is not finite.
        end = len(points) if finite.all() else int(np.argmin(finite)) + 1
        fitted.append(Fitted(state, not finite.all(), points[:end], curves[:end, k], seconds, "stacked"))
    return fitted
