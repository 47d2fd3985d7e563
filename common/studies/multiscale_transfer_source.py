"""Where the weights of paper 5 come from: a source task, a related task, or the maps of an ImageNet trunk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from common import metrics, training
from common.cells import Context
from common.resident import held
from common.seeds import seed
from common.studies import multiscale_transfer as study
from common.studies import multiscale_transfer_protocol as protocol
from common.studies.multiscale_transfer import Cell

PIECE = 2_000  # images whose maps are computed in one go: 1 GB at 256 pixels
#: Seeds of a member that every stage draws anew.
STREAMS = ("seed_order", "seed_dropout", "seed_augmentation")


def start(cell: Cell, context: Context) -> tuple[dict[str, torch.Tensor], float]:
    """Weights before the first stage, without a head, and the test accuracy on the task they were trained on.

    Returns
    -------
    state : dict
        Empty: from scratch.
    accuracy : float
        NaN from scratch.
    """
    if not cell.source and not cell.related:
        return {}, float("nan")
    arrays = _pretrained(cell, context)
    state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items() if name != "accuracy"}
    return state, float(arrays["accuracy"])


def _pretrained(cell: Cell, context: Context) -> dict[str, np.ndarray]:
    """Network of the source task, or of the related task that follows it; each replicate has its own."""
    name, size, updates = cell.source, cell.source_size, cell.source_iterations
    if cell.related:
        name, size, updates = cell.related, cell.image_size, cell.iterations
    channels = study.pool_of(context, cell.dataset, cell.image_size).images.shape[-1]
    sets = [context.data(cell.source, cell.source_size)] if cell.source else []
    sets.append(context.data(name, size))
    fields = {
        "replicate": cell.replicate, "network": cell.network, "width": cell.width, "stem": cell.stem,
        "pooling": cell.pooling,
        "source": cell.source, "source size": cell.source_size, "source iterations": cell.source_iterations,
        "related": cell.related, "size": size, "iterations": updates, "batch": cell.batch_size,
        "rate": cell.learning_rate, "decay": cell.weight_decay, "augment": cell.augment, "channels": channels,
        "pretrained": cell.pretrained, "precision": cell.precision, "version": study.VERSION,
        "fingerprints": [part.fingerprint for parts in sets for part in parts],
    } | ({"border": cell.border} if cell.border != Cell.border else {})  # fmt: skip

    def make() -> dict[str, np.ndarray]:
        initial = start(replace(cell, related=""), context)[0] if cell.related else {}
        return _pretrain(cell, context, name, size, updates, initial, channels, fields)

    return context.artifact("multiscale_transfer", fields, make)


def _task(cell: Cell, context: Context, name: str, size: int, channels: int) -> training.Resident:
    """Training and, after them, test images of a task, or their maps, with all its classes."""
    if cell.pretrained:
        return resident(context, name, size, False, cell.pretrained)
    parts = context.data(name, size)
    images = [protocol.contrast(protocol.as_channels(part.images, channels)) for part in parts]
    labels = [part.labels for part in parts]
    return training.Resident(np.concatenate(images), np.concatenate(labels), context.options.device)


def _pretrain(
    cell: Cell, context: Context, name: str, size: int, iterations: int, initial: dict, channels: int, fields: dict
) -> dict[str, np.ndarray]:
    """Train on a whole training set as it is, with the two rates of every other training."""
    train, test = context.data(name, size)
    data = _task(cell, context, name, size, channels)
    build = protocol.builder(cell, len(train.classes), data.inputs.shape[1])
    chance = {stream: seed("source", stream, cell.replicate) for stream in ("seed_init", *STREAMS)}
    fresh = build(torch.Generator().manual_seed(chance["seed_init"])).state_dict()
    member = training.Member(np.arange(len(train)), initial=fresh | initial if initial else None, **chance)
    first = iterations - iterations // 2
    options = {
        "precision": cell.precision,
        "augmentation": protocol.augmentation(cell.augment, train.images.shape[1], cell.border),
        "checkpoints": context.checkpoints,
        "identity": (study.STEM, fields),
    }
    for updates, factor in ((first, 1.0), (iterations - first, protocol.SECOND_RATE)):
        member = replace(member, learning_rate=factor * cell.learning_rate)
        if updates:
            (fitted,) = training.fit_many(build, data, [member], protocol.schedule(cell, updates), **options)
            again = {stream: seed("second stage", getattr(member, stream)) for stream in STREAMS}
            member = replace(member, initial=fitted.state, **again)
    held_out = np.arange(len(train), len(train) + len(test))
    scores = training.log_probabilities(training.loaded(build, fitted.state), data, held_out)
    accuracy = metrics.accuracy(scores, data.labels[len(train) :]).item()
    state = {key: value.numpy() for key, value in fitted.state.items() if not key.startswith("head.")}
    return state | {"accuracy": np.float64(accuracy)}


def resident(context: Context, dataset: str, size: int, binary: bool, pretrained: str) -> training.Resident:
    """Images or, with a pretrained trunk, its maps."""
    targets = study.pool_of(context, dataset, size).targets(binary)
    return _inputs(context, dataset, size, pretrained).labelled(targets)


@held
def _inputs(context: Context, dataset: str, size: int, pretrained: str) -> training.Resident:
    pool = study.pool_of(context, dataset, size)
    inputs = maps(context, dataset, size, pretrained) if pretrained else pool.images
    return training.Resident(inputs, pool.labels, context.options.device)


def maps(context: Context, dataset: str, size: int, pretrained: str) -> np.ndarray:
    """Maps of the ImageNet trunk for all images of a pool, float32 (n, 512, size / 16, size / 16); made once."""

    def make() -> dict[str, np.ndarray]:
        pool = study.pool_of(context, dataset, size)
        images = training.Resident(pool.images, pool.labels, context.options.device)
        trunk = protocol.ImageNetTrunk(study.weights_of(context, pretrained))
        # Piece by piece, because the maps of a large set leave a GPU no room to put them together.
        pieces = np.array_split(np.arange(len(images)), -(-len(images) // PIECE))
        return {"maps": np.concatenate([training.forward(trunk, images, one, chunk=50).cpu() for one in pieces])}

    fields = {
        "fingerprints": [part.fingerprint for part in context.data(dataset, size)], "size": size,
        "pretrained": pretrained, "layer": protocol.LAYER, "spread": protocol.SPREAD, "version": study.VERSION,
    }  # fmt: skip
    return context.artifact("multiscale_transfer_maps", fields, make)["maps"]
