"""Paper 4: Buda et al., 'A systematic study of the class imbalance problem in convolutional neural networks'.

One cell is one training: an imbalance, a sampler, a replicate. Its network gives the sampler's own rows, those with
thresholding, and for over- and undersampling those of two-phase training, whose first phase it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby, product

import numpy as np
import pandas as pd
import torch

from common import imbalance, metrics, networks, posthoc, resampling, training
from common.errors import UserError
from common.seeds import seed
from common.studies.systematic_study_claims import (  # noqa: F401 - the claims file names them
    claim_equal_level,
    claim_harder_task,
    claim_hundredfold,
    claim_spread,
    claim_straight,
)
from common.study import Cell as BaseCell
from common.study import Context, Result

STEM = "systematic_study"
PAPER = 4
TITLE = "A systematic study of the class imbalance problem in convolutional neural networks"
VERSION = 1
GROUP = 256  # networks trained together on a GPU

SAMPLERS = ("none", "oversampling", "undersampling", "weighted")
FULL_ITERATIONS = {"mnist": 10_000}  # of the paper's schedule (section 3.3.1)
PER_CLASS = 5_000  # images of a majority class (table 1)
TRAIN_SAMPLE = 5_000  # draws from the sampled training set on which training accuracy is measured
ARM = {"none": "baseline", "weighted": "weighted loss"}  # method names of samplers that are not called by their own
THRESHOLDED = {"none": "thresholding", "weighted": "weighted loss + thresholding"}


@dataclass(frozen=True)
class Parameters:
    """What to run; the defaults are the demo profile. Every field is a parameter of the notebook.

    Parameters
    ----------
    dataset : str
        Any name that `data.load` knows; images are square.
    image_size : int
        Resize images to this height and width (0: as they are).
    step_rhos, step_mus : list of float
        Step imbalance: all products of imbalance ratio and fraction of minority classes.
    linear_rhos : list of float
        Linear imbalance.
    reduced_to : list of float
        Also over- and undersampling that stops at these ratios, for every step imbalance above them (section 4.5).
    balanced : bool
        Also the balanced set, the reference of every drop.
    original : bool
        Also all training images as they are, the setting of the paper's test error.
    samplers : list of str
        none (baseline and thresholding), oversampling and undersampling (each with thresholding and two-phase
        training), weighted (a loss weighted by class).
    replicates, first_replicate : int
        How many repetitions, and the number of the first.
    iterations : int
        Weight updates; the course of the learning rate is compressed to them.
    per_class : int
        Images of the largest class (0: 5,000, or the smallest class of the set if that is less).
    precision : str
        fp32 or bf16 (training only; evaluation is in fp32).
    """

    dataset: str = "digits"
    image_size: int = 0
    step_rhos: tuple[float, ...] = (10, 100)
    step_mus: tuple[float, ...] = (0.2, 0.8)
    linear_rhos: tuple[float, ...] = ()
    reduced_to: tuple[float, ...] = ()
    balanced: bool = True
    original: bool = False
    samplers: tuple[str, ...] = ("none", "oversampling", "undersampling")
    replicates: int = 1
    first_replicate: int = 0
    iterations: int = 100
    per_class: int = 0
    precision: str = "fp32"

    def validate(self) -> None:
        """Raise `UserError` for a value that cannot be run."""
        for name in self.samplers:
            if name not in SAMPLERS:
                raise UserError(f"samplers: {name!r} is unknown; there are {', '.join(SAMPLERS)}")
        for name in ("step_rhos", "linear_rhos", "reduced_to"):
            for rho in getattr(self, name):
                if not rho >= 1:
                    raise UserError(f"{name}: {rho!r} is no ratio of largest to smallest class; expected at least 1")
        for mu in self.step_mus:
            if not 0 < mu < 1:
                raise UserError(f"step_mus: {mu!r} is no fraction of classes; expected between 0 and 1")
        for name, least in {"replicates": 1, "iterations": 1, "first_replicate": 0, "per_class": 0}.items():
            if getattr(self, name) < least:
                raise UserError(f"{name}: {getattr(self, name)}; expected at least {least}")
        if self.precision not in training.PRECISIONS:
            raise UserError(f"precision: {self.precision!r}; expected one of {', '.join(training.PRECISIONS)}")


@dataclass(frozen=True)
class Cell(BaseCell):
    """One training (see `Parameters` for the fields).

    `to_rho` is the ratio of largest to smallest class after resampling (1: balanced; section 4.5).
    """

    image_size: int = 0
    imbalance: str = "none"
    rho: float = 1.0
    mu: float | None = None
    sampler: str = "none"
    to_rho: float = 1.0
    per_class: int = 0
    network: str = "lenet5"
    iterations: int = 10_000
    precision: str = "fp32"


def cells(parameters: Parameters) -> list[Cell]:
    """Replicate by replicate, so that a run cut short is balanced; within one, from the reference to the worst."""
    p = parameters
    complete = [(sampler, 1.0) for sampler in p.samplers]
    partial = [sampler for sampler in p.samplers if sampler in ("oversampling", "undersampling")]
    settings = []
    if p.original:
        settings.append(("original", 1.0, None, [("none", 1.0)]))
    if p.balanced:
        settings.append(("none", 1.0, None, [("none", 1.0)]))
    for rho, mu in product(p.step_rhos, p.step_mus):
        reduced = [(sampler, float(to)) for to in p.reduced_to if 1 < to < rho for sampler in partial]
        settings.append(("step", float(rho), float(mu), complete + reduced))
    settings += [("linear", float(rho), None, complete) for rho in p.linear_rhos]
    return [
        Cell(
            dataset=p.dataset, replicate=replicate, image_size=p.image_size, imbalance=kind, rho=rho, mu=mu,
            sampler=sampler, to_rho=to_rho, per_class=p.per_class, iterations=p.iterations, precision=p.precision,
        )
        for replicate in range(p.first_replicate, p.first_replicate + p.replicates)
        for kind, rho, mu, samplers in settings
        for sampler, to_rho in samplers
    ]  # fmt: skip


def schedule(cell: Cell) -> training.Schedule:
    """The paper's schedule in the cell's iterations."""
    full = training.Schedule(iterations=FULL_ITERATIONS["mnist"])
    return full.compressed(cell.iterations)


def main_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows to show: one schedule and one precision, so that no figure mixes them.

    The most iterations, then the most cells, of which imbalanced sets were measured in at least two replicates; no rows
    if there are none.
    """
    imbalanced = frame[frame["imbalance"].isin(["step", "linear"])]
    found = imbalanced.groupby(["iterations", "precision"]).agg(n=("replicate", "nunique"), cells=("key", "nunique"))
    found = found[found["n"] >= 2].reset_index().sort_values(["iterations", "cells"])
    if found.empty:
        return frame.iloc[:0]
    chosen = found.iloc[-1]
    shown = (frame["iterations"] == chosen["iterations"]) & (frame["precision"] == chosen["precision"])
    return frame[shown & (frame["imbalance"] != "original")]


def parameter_count(cell: Cell, context: Context) -> int:
    """Trainable parameters of the cell's network on its data."""
    return networks.n_parameters(_builder(context.data(cell.dataset, cell.image_size)[0])(torch.Generator()))


def _builder(images):
    """Generator to initialised network for these images."""
    _, size, _, channels = images.images.shape
    n_classes = len(images.classes)
    return lambda generator: networks.caffe_xavier_(networks.LeNet5(n_classes, channels, size), generator)


def seeds(cell: Cell) -> dict[str, int]:
    """Separate seeds, by what they decide.

    Minority classes and kept images depend on mu and the replicate but not on rho: subsets are nested in rho, and
    drawn anew for each mu, else undersampling at one rho would see the same images for every mu. Initial weights and
    the order of data are shared by the samplers of one imbalanced set, which pairs their comparison.
    """
    profile = (cell.imbalance, cell.mu, cell.replicate)
    setting = (*profile, cell.rho)
    return {
        "seed_minority": seed("minority", *profile),
        "seed_subset": seed("subset", *profile),
        "seed_resampling": seed("resampling", *setting, cell.sampler),
        "seed_init": seed("init", *setting),
        "seed_order": seed("order", *setting),
    }


def class_counts(cell: Cell, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Training images per class, in label order."""
    available = np.bincount(labels, minlength=n_classes)
    if cell.imbalance == "original":
        return available
    largest = cell.per_class or min(PER_CLASS, int(available.min()))
    chance = seeds(cell)["seed_minority"]
    if cell.imbalance == "step":
        minority = imbalance.minority_classes(n_classes, cell.mu, chance)
        return imbalance.step_counts(n_classes, largest, cell.rho, minority)
    if cell.imbalance == "linear":
        return imbalance.linear_counts(n_classes, largest, cell.rho, imbalance.class_order(n_classes, chance))
    return np.full(n_classes, largest)


def check(cells: list[Cell], context: Context) -> None:
    """Raise `UserError` if a cell cannot be run on its data; before any training."""
    for cell in cells:
        train, test = context.data(cell.dataset, cell.image_size)
        height, width = train.images.shape[1:3]
        if height != width or height < 16 or test.images.shape[1:] != train.images.shape[1:]:
            raise UserError(
                f"{cell.dataset}: images of {height} x {width}; LeNet-5 takes square ones of at least 16 x 16 "
                "(image_size resizes them)"
            )
        counts = class_counts(cell, train.labels, len(train.classes))
        imbalance.subsample(train.labels, counts, 0)


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
    n_classes, build = len(images.classes), _builder(images)
    kept = {c: imbalance.subsample(images.labels, class_counts(c, images.labels, n_classes), seeds(c)["seed_subset"])
            for c in cells}  # fmt: skip
    members = [_member(cell, images.labels, kept[cell], n_classes) for cell in cells]
    fitted = training.fit_many(build, train, members, schedule(first), precision=first.precision)
    networks_ = [_network(build, f) for f in fitted]
    twophase = [i for i, cell in enumerate(cells) if cell.sampler in ("oversampling", "undersampling")]
    second = _second_phase([(cells[i], networks_[i], kept[cells[i]]) for i in twophase], train, schedule(first))
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
        **seeds(cell), "schedule": "inverse", "learning_rate": schedule(cell).learning_rate, "selection": "last",
        "n_train": len(kept), "engine": fitted.engine,
    }  # fmt: skip
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


def deviations(parameters: Parameters) -> list[dict]:
    """Departures from the paper of a run with these parameters."""
    p = parameters
    rows = [
        ("framework", "Caffe", "torch", "Caffe is no longer maintained; initialisation and schedule follow it"),
        (
            "two-phase training", "a first phase of its own", "the first phase is the sampler's own network",
            "halves the cost and pairs the comparison; the paper trains the same network a second time",
        ),
        (
            "repetitions", "50 on MNIST", str(p.replicates),
            "intervals are given; more are added by first_replicate and replicates",
        ),
    ]  # fmt: skip
    full = FULL_ITERATIONS.get(p.dataset, FULL_ITERATIONS["mnist"])
    if p.iterations != full:
        rows.append((
            "iterations", f"{full:,}", f"{p.iterations:,}",
            "shortened schedule, same course of the learning rate; levels are not compared with the paper",
        ))  # fmt: skip
    if p.precision != "fp32":
        rows.append((
            "precision", "fp32", p.precision,
            "speed; weights, last layer, softmax and metrics in fp32, compared in benchmarks/README.md",
        ))  # fmt: skip
    if p.dataset != "mnist":
        rows.append(("data", "MNIST", p.dataset, "stand-in data, not comparable with the paper"))
    if "weighted" in p.samplers:
        rows.append((
            "weighted loss", "called equivalent to oversampling, not run", "run as an arm of its own",
            "section 2.2 states the equivalence without a test",
        ))  # fmt: skip
    return [dict(zip(("what", "paper", "here", "why"), row, strict=True)) for row in rows]
