"""The images half of paper 2: resampling of vectorised images, and MobileNet fine-tuned on what it gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch

from common import mobilenet, resampling, training
from common.cells import Context, Result
from common.resident import held
from common.studies import mobilenet_features as study
from common.studies import mobilenet_features_scoring as scoring
from common.studies.mobilenet_features import Cell
from common.studies.mobilenet_features_resampling import BY_POSITION, Failed, resample

BATCH_SIZE, LEARNING_RATE = 32, 1e-4
MEMBERS = 10  # networks trained together on a GPU: ten sets of 50,000 images of 64 x 64 take 6 GB


@dataclass
class Prepared:
    """A cell's training set: images, and the plan of one epoch's positions among them."""

    cell: Cell
    images: np.ndarray
    labels: np.ndarray
    plan: np.ndarray
    train_at: np.ndarray
    test_at: np.ndarray
    columns: dict

    @property
    def iterations(self) -> int:
        """Weight updates in the cell's epochs."""
        return max(1, round(self.cell.epochs * len(self.plan) / BATCH_SIZE))


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Resample, train and evaluate; cells of one setting and one number of images are trained together."""

    def alike(cell):
        return repr(replace(cell, replicate=0))

    for _, same in groupby(sorted(cells, key=alike), key=alike):
        same = list(same)
        for start in range(0, len(same), MEMBERS):
            prepared = []
            for cell in same[start : start + MEMBERS]:
                one = prepare(cell, context)
                if isinstance(one, Result):
                    yield one
                else:
                    prepared.append(one)
            prepared.sort(key=lambda one: one.iterations)
            for _, together in groupby(prepared, key=lambda one: one.iterations):
                for trained in train(list(together), context):
                    yield evaluate(trained, context)


def prepare(cell: Cell, context: Context) -> Prepared | Result:
    """The resampled training set; a result without values where the resampler fails.

    Synthetic images are rounded to whole grey levels, an error of at most half a level.
    """
    train, _ = context.data(cell.dataset, cell.image_size)
    train_at, test_at = study.fold(cell, context)
    chance = study.seeds(cell)
    columns = scoring.columns(cell, chance, train_at, test_at)
    images, labels = train.images[train_at], train.labels[train_at]
    vectors = None if cell.sampler in (*BY_POSITION, "weighted") else vectorised(images)
    try:
        resampled = resample(cell.sampler, vectors, labels, chance["seed_resampling"])
    except Failed as reason:
        return scoring.lost(cell, "failed", {**columns, "reason": str(reason)}, float("nan"))
    columns |= scoring.resampled_columns(labels, resampled)
    plan = resampled.positions
    if resampled.x is not None and plan is None:
        side = images.shape[1]
        images, labels = as_images(resampled.x, side), resampled.y
        plan = np.arange(len(labels))
    return Prepared(cell, images, labels, plan, train_at, test_at, columns)


def vectorised(images: np.ndarray) -> np.ndarray:
    """Images (n, side, side, 1 or 3) as float32 vectors (n, side * side * 3) in 0..255; one channel is repeated."""
    colour = np.repeat(images, 3 // images.shape[-1], axis=-1)
    return colour.reshape(len(images), -1).astype(np.float32)


def as_images(vectors: np.ndarray, side: int) -> np.ndarray:
    """The inverse of `vectorised`, rounded to uint8 in pieces, so that no second float copy is made."""
    images = np.empty((len(vectors), side, side, 3), np.uint8)
    for start in range(0, len(vectors), 1000):
        piece = vectors[start : start + 1000]
        images[start : start + 1000] = np.rint(piece.clip(0, 255)).reshape(-1, side, side, 3)
    return images


def schedule(iterations: int) -> training.Schedule:
    """Keras' RMSprop at a constant rate."""
    return training.Schedule(
        iterations=iterations, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, policy="constant",
        momentum=0.0, weight_decay=0.0, bias_rate=1.0, optimiser="rmsprop",
    )  # fmt: skip


@held
def _test_images(context: Context, dataset: str, size: int) -> training.Resident:
    _, test = context.data(dataset, size)
    return training.Resident(test.images, test.labels, context.options.device)


@dataclass
class Trained:
    """A fine-tuned network, and what it was trained on."""

    prepared: Prepared
    network: torch.nn.Module
    fitted: training.Fitted


def train(prepared: list[Prepared], context: Context) -> list[Trained]:
    """Fine-tune networks of one schedule together."""
    first = prepared[0].cell
    n_classes = len(context.data(first.dataset, first.image_size)[0].classes)
    build = mobilenet.builder(study.weights_of(first, context), n_classes, first.alpha)
    offsets = np.cumsum([0, *(len(one.images) for one in prepared)])
    images, labels = (np.concatenate([getattr(one, name) for one in prepared]) for name in ("images", "labels"))
    data = training.Resident(images, labels, context.options.device)
    members = []
    for one, offset in zip(prepared, offsets, strict=False):
        chance = study.seeds(one.cell)
        weights = resampling.class_weights(one.labels, n_classes) if one.cell.sampler == "weighted" else None
        members.append(
            training.Member(one.plan + offset, chance["seed_init"], chance["seed_order"], class_weights=weights)
        )
    course = schedule(prepared[0].iterations)
    identity = (study.STEM, study.VERSION, first.dataset, first.image_size, first.pretrained)
    how = {"precision": first.precision, "checkpoints": context.checkpoints, "identity": identity}
    fitted = training.fit_many(build, data, members, course, **how)
    return [
        Trained(one, training.loaded(build, result.state), result) for one, result in zip(prepared, fitted, strict=True)
    ]


def evaluate(trained: Trained, context: Context) -> Result:
    """The rows of a fine-tuned network."""
    one, fitted = trained.prepared, trained.fitted
    cell, test = one.cell, _test_images(context, one.cell.dataset, one.cell.image_size)
    logits = training.forward(trained.network, test, one.test_at).cpu()
    columns = {**one.columns, "iterations": fitted.iterations, "learning_rate": LEARNING_RATE, "engine": fitted.engine}
    seconds = fitted.seconds + one.columns["resampling_seconds"]
    if fitted.diverged or not logits.isfinite().all():
        return scoring.lost(cell, "diverged", columns, seconds)
    labels = test.labels.cpu().numpy()[one.test_at]
    rows = scoring.rows(cell.method, labels, logits.argmax(1).numpy(), logits.shape[1])
    loss = {"method": cell.method, "curve": "training loss", "x": fitted.loss_at.tolist(), "y": fitted.loss.tolist()}
    return Result(cell, rows, [loss], columns, "ok", seconds)


def features(cell: Cell, context: Context) -> dict[str, np.ndarray]:
    """Flattened last maps of the fold's training and test images after fine-tuning, float32 (n, d)."""
    (trained,) = train([prepare(cell, context)], context)
    found = {}
    for name, images, at in zip(
        ("train", "test"),
        context.data(cell.dataset, cell.image_size),
        (trained.prepared.train_at, trained.prepared.test_at),
        strict=True,
    ):
        data = training.Resident(images.images[at], images.labels[at], context.options.device)
        found[name] = training.forward(trained.network, data, part="flat_maps").cpu().numpy()
    return found
