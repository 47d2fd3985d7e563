"""Training and evaluating the cells of paper 4: one network, and all that is measured on it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import groupby

import numpy as np
import torch

from common import imbalance, metrics, networks, posthoc, resampling, training
from common.seeds import seed
from common.studies import systematic_study as protocol
from common.studies.systematic_study import Cell, seeds
from common.study import Context, Result

TRAIN_SAMPLE = 5_000  # draws from the sampled training set on which training accuracy is measured
ARM = {"none": "baseline", "weighted": "weighted loss"}  # method names of samplers that are not called by their own
THRESHOLDED = {"none": "thresholding", "weighted": "weighted loss + thresholding"}


@cache
def _resident(context: Context, dataset: str, size: int) -> tuple[training.Resident, training.Resident]:
    return tuple(
        training.Resident(part.images, part.labels, context.options.device) for part in context.data(dataset, size)
    )


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Train the cells, those of one data set, schedule and precision together, and evaluate each."""

    def alike(cell):
        return (cell.dataset, cell.image_size, cell.iterations, cell.precision)

    for _, group in groupby(sorted(cells, key=alike), key=alike):
        yield from _run_alike(list(group), context)


def _run_alike(cells: list[Cell], context: Context) -> Iterator[Result]:
    first = cells[0]
    train, test = _resident(context, first.dataset, first.image_size)
    images, _ = context.data(first.dataset, first.image_size)
    n_classes, build = len(images.classes), protocol.builder(images)
    kept = {}
    for cell in cells:
        counts = protocol.class_counts(cell, images.labels, n_classes)
        kept[cell] = imbalance.subsample(images.labels, counts, seeds(cell)["seed_subset"])
    members = [_member(cell, images.labels, kept[cell], n_classes) for cell in cells]
    fitted = training.fit_many(build, train, members, protocol.schedule(first), precision=first.precision)
    networks_ = [_network(build, f) for f in fitted]
    twophase = [i for i, cell in enumerate(cells) if cell.sampler in ("oversampling", "undersampling")]
    second = _second_phase(
        [(cells[i], networks_[i], kept[cells[i]]) for i in twophase], train, protocol.schedule(first)
    )
    heads = dict(zip(twophase, second, strict=True))
    for i, cell in enumerate(cells):
        yield _evaluate(cell, networks_[i], fitted[i], heads.get(i), members[i], kept[cell], train, test)


def _member(cell: Cell, labels: np.ndarray, kept: np.ndarray, n_classes: int) -> training.Member:
    chance = seeds(cell)
    weighted = cell.sampler == "weighted"
    plan = resampling.index_plan(
        labels[kept], "none" if weighted else cell.sampler, chance["seed_resampling"], cell.to_rho
    )
    weights = resampling.class_weights(labels[kept], n_classes) if weighted else None
    return training.Member(kept[plan], chance["seed_init"], chance["seed_order"], class_weights=weights)


def _network(build, fitted: training.Fitted) -> torch.nn.Module:
    network = build(torch.Generator())
    network.load_state_dict(fitted.state)
    return network.eval()


def _second_phase(trained, train: training.Resident, phase: training.Schedule) -> list[training.Fitted]:
    """Train the last layer on, with the imbalanced set and a tenth of the rate (section 3.2).

    The other layers are frozen and nothing is random before the last, so its inputs are computed once; the networks'
    inputs stand one after the other in one tensor, into which each member's plan points.
    """
    if not trained:
        return []
    features = [training.forward(network, train, kept, part="features") for _, network, kept in trained]
    labels = [train.labels.cpu().numpy()[kept] for _, _, kept in trained]
    offsets = np.cumsum([0, *map(len, labels)])
    stacked = training.Resident(torch.cat(features), np.concatenate(labels), str(train.device))
    members = [
        training.Member(
            np.arange(offsets[i], offsets[i + 1]), 0, seed("second phase", seeds(cell)["seed_order"]),
            learning_rate=0.1 * phase.learning_rate,
            initial={f"head.{name}": value.cpu() for name, value in network.head.state_dict().items()},
        )
        for i, (cell, network, _) in enumerate(trained)
    ]  # fmt: skip
    shape = trained[0][1].head
    return training.fit_many(
        lambda generator: networks.Head(shape.in_features, shape.out_features), stacked, members, phase
    )


def _evaluate(cell, network, fitted, second, member, kept, train, test) -> Result:
    rows = []
    labels = train.labels.cpu().numpy()
    prior = np.bincount(labels[kept], minlength=network.head.out_features)
    effective = np.bincount(labels[member.plan], minlength=len(prior))
    test_features = training.forward(network, test, part="features")
    scores = torch.log_softmax(network.head(test_features).detach().double(), dim=-1)
    own = ARM.get(cell.sampler, cell.sampler)
    rows += _rows(own, "", scores, test.labels, fitted.diverged)
    thresholded = THRESHOLDED.get(cell.sampler, f"{cell.sampler} + thresholding")
    rows += _rows(thresholded, "original", posthoc.threshold(scores, prior), test.labels, fitted.diverged)
    if cell.to_rho > 1:
        # After complete resampling the effective prior is uniform, and dividing by it changes nothing.
        rows += _rows(thresholded, "effective", posthoc.threshold(scores, effective), test.labels, fitted.diverged)
    sample = np.random.default_rng(member.seed_order).choice(member.plan, TRAIN_SAMPLE)
    train_scores = training.log_probabilities(network, train, sample)
    on_train = metrics.accuracy(train_scores, train.labels[torch.from_numpy(sample).to(train.device)]).item()
    rows.append(_row(own, "", "train_accuracy", on_train, fitted.diverged))
    curves = [{"method": own, "curve": "training loss", "x": fitted.loss_at.tolist(), "y": fitted.loss.tolist()}]
    seconds = fitted.seconds
    if second is not None:
        head = networks.Head(network.head.in_features, network.head.out_features)
        head.load_state_dict(second.state)
        scores = torch.log_softmax(head.to(test.device)(test_features).detach().double(), dim=-1)
        rows += _rows(f"two-phase {cell.sampler}", "", scores, test.labels, fitted.diverged or second.diverged)
        seconds += second.seconds
    columns = {
        **seeds(cell),
        "schedule": "inverse",
        "learning_rate": protocol.schedule(cell).learning_rate,
        "selection": "last",
        "n_train": len(kept),
        "engine": fitted.engine,
    }
    return Result(cell, rows, curves, columns, "diverged" if fitted.diverged else "ok", seconds)


def _rows(method: str, prior: str, scores: torch.Tensor, labels: torch.Tensor, diverged: bool) -> list[dict]:
    recall = metrics.recall_per_class(scores, labels).tolist()
    rows = [
        _row(method, prior, "auc", metrics.roc_auc(scores, labels).mean().item(), diverged),
        _row(method, prior, "accuracy", metrics.accuracy(scores, labels).item(), diverged),
    ]
    return rows + [_row(method, prior, "recall", value, diverged, label) for label, value in enumerate(recall)]


def _row(method: str, prior: str, metric: str, value: float, diverged: bool, class_label: int = -1) -> dict:
    value = float("nan") if diverged else value
    return {"method": method, "prior": prior, "metric": metric, "class_label": class_label, "value": value}
