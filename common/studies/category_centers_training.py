"""Training and evaluating the cells of paper 1: one network, and every classifier on its features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import groupby

import numpy as np
import torch

from common import decoupling, plateau, posthoc, resampling, training
from common.cells import Context, Result
from common.centers import CategoryCenters
from common.resident import held
from common.studies import category_centers as study
from common.studies import category_centers_networks as networks
from common.studies.category_centers import Cell, seeds
from common.studies.category_centers_pretraining import pretrained
from common.studies.category_centers_selection import RIVALS, TRAINING_ONLY
from common.studies.category_centers_stability import angles

NORMALIZED = "normalised centres"
DECOUPLED = RIVALS[1:]  # of any network; `linear` of All-CNN alone


def method_name(method: str, sampler: str) -> str:
    """The paper's prefix O for oversampled training; set apart from the names of methods it does not have."""
    if sampler == "none":
        return method
    return f"O {method}" if method in RIVALS else f"O{method}"


@held
def _residents(context: Context, dataset: str, size: int) -> tuple[training.Resident, training.Resident]:
    train, test = context.data(dataset, size)
    return tuple(training.Resident(part.images, part.labels, context.options.device) for part in (train, test))


@cache
def _statistics(context: Context, dataset: str, size: int):
    """Of the whole official training split: six numbers, the same for every imbalance."""
    return networks.channel_statistics(context.data(dataset, size)[0].images)


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Train the cells and evaluate each; those that differ in sampler and replicate alone are trained together."""

    for shared, group in groupby(sorted(cells, key=lambda cell: repr(_shared(cell))), key=_shared):
        group = list(group)
        # A VGG fills the device alone, and each result is kept as soon as it is there.
        for part in [[cell] for cell in group] if shared.network == "vgg16" else [group]:
            yield from _Group(shared, context).run(part)


def _shared(cell: Cell) -> Cell:
    """What cells that are trained together have in common, the same in whatever company."""
    return replace(cell, replicate=0, sampler="none")


class _Group:
    """Cells that are trained together: what they share, and the steps of running them."""

    def __init__(self, shared: Cell, context: Context):
        self.shared, self.context = shared, context
        place = (context, shared.dataset, shared.image_size)
        self.images, _ = context.data(shared.dataset, shared.image_size)
        self.train, self.test = _residents(*place)
        self.n_classes = len(self.images.classes)
        self.build = networks.builder(shared, self.images.images.shape[1:], self.n_classes, _statistics(*place))
        self.schedule = networks.schedule(shared)
        # Images that are evaluated at a time: the first maps of 500 at 224 pixels would take 6 GB.
        self.chunk = 500 if max(shared.input_size, self.images.images.shape[1]) <= 64 else 50

    def run(self, cells: list[Cell]) -> Iterator[Result]:
        """Train all, then evaluate one by one."""
        splits = [study.split(cell, self.images.labels, self.n_classes) for cell in cells]
        members = [self._member(cell, kept) for cell, (kept, _) in zip(cells, splits, strict=True)]
        epoch = study.epoch(self.shared, self.images.labels, self.n_classes, self.schedule.batch_size)
        course = _Course(self, [valid for _, valid in splits], epoch)
        fitted = training.fit_many(
            self.build, self.train, members, self.schedule, precision=self.shared.precision,
            on_point=course, at=range(epoch, self.schedule.iterations + 1, epoch), checkpoints=self.context.checkpoints,
            hold=True, identity=(study.STEM, study.VERSION, self.shared),
        )  # fmt: skip
        for k, cell in enumerate(cells):
            yield _Evaluation(self, cell, *splits[k]).result(fitted[k], course, k)

    def _member(self, cell: Cell, kept: np.ndarray) -> training.Member:
        chance = seeds(cell)
        plan = resampling.index_plan(self.images.labels[kept], cell.sampler, chance["seed_resampling"])
        initial = None
        if cell.pretraining:
            fresh = self.build(torch.Generator().manual_seed(chance["seed_init"]))
            initial = {**fresh.state_dict(), **pretrained(cell, self.context)}
        return training.Member(
            kept[plan],
            chance["seed_init"],
            chance["seed_order"],
            initial=initial,
            seed_dropout=chance["seed_dropout"],
        )


class _Course:
    """Validation accuracy after each epoch, and the learning rate that follows from it."""

    def __init__(self, group: _Group, valid: list[np.ndarray], epoch: int):
        self.group, self.valid, self.epoch = group, valid, epoch
        self.rules: dict[int, plateau.Recessions] = {}
        self.accuracy: dict[int, list[float]] = {}
        self.rate: dict[int, list[float]] = {}
        for k in range(len(valid)):
            self._begin(k)

    def __call__(self, k: int, iteration: int, network: torch.nn.Module) -> float:
        """Called by the engine after each epoch of each member; the factor on its learning rate."""
        scores = training.forward(network, self.group.train, self.valid[k], chunk=self.group.chunk)
        labels = self.group.images.labels[self.valid[k]]
        return self._after(k, float((scores.argmax(dim=1).cpu().numpy() == labels).mean()))

    def state_dict(self, members: Sequence[int]) -> dict:
        """Of some members: the accuracies, from which the rest follows."""
        return {"accuracy": [self.accuracy[k] for k in members]}

    def load_state_dict(self, state: dict, members: Sequence[int]) -> None:
        """In the place of what has been measured of these members."""
        for k, accuracies in zip(members, state["accuracy"], strict=True):
            self._begin(k)
            for accuracy in accuracies:
                self._after(k, accuracy)

    def _begin(self, k: int) -> None:
        self.rules[k] = plateau.Recessions(self.group.shared.plateau, self.group.shared.patience)
        self.accuracy[k], self.rate[k] = [], [self.group.schedule.learning_rate]

    def _after(self, k: int, accuracy: float) -> float:
        """Note an epoch's accuracy; the factor on the learning rate."""
        factor = self.rules[k].after(accuracy)
        self.accuracy[k].append(accuracy)
        self.rate[k].append(self.rate[k][-1] * factor)
        return factor

    def curves(self, k: int, method: str) -> list[dict]:
        """Validation accuracy and the rate that follows, over the weight updates."""
        ends = (self.epoch * np.arange(1, len(self.accuracy[k]) + 1)).tolist()
        return [
            {"method": method, "curve": "validation accuracy", "x": ends, "y": self.accuracy[k]},
            {"method": method, "curve": "learning rate", "x": [0, *ends], "y": self.rate[k]},
        ]


class _Evaluation:
    """Every classifier on one trained network, from two passes: over the images it may learn from, over the test set.

    Features are read in chunks; of the training images only those of the layer before the last are kept, for the
    classifiers that need them all at once.
    """

    def __init__(self, group: _Group, cell: Cell, kept: np.ndarray, valid: np.ndarray):
        self.group, self.cell, self.kept, self.valid = group, cell, kept, valid
        self.layers = networks.PROTOCOLS[cell.network].layers
        self.rows: list[dict] = []

    def result(self, fitted: training.Fitted, course: _Course, k: int) -> Result:
        """Evaluate the network that member `k` of the group gave."""
        network = training.loaded(self.group.build, fitted.state).to(self.group.train.device)
        diverged = fitted.diverged or not all(value.isfinite().all() for value in fitted.state.values())
        columns = {}
        if diverged:
            linear = ("linear",) if self.cell.network == "allcnn" else ()
            for method in ("D", *self.layers, *linear, *DECOUPLED):
                for metric in ("accuracy", "recall_few", "recall_many"):
                    self._add(method, "", metric, float("nan"))
        else:
            columns = self._evaluate(network)
        chance, schedule = seeds(self.cell), self.group.schedule
        by_rule = course.rules[k].count >= self.cell.patience
        columns |= {
            **chance,
            "schedule": self.cell.plateau,
            "learning_rate": schedule.learning_rate,
            "weight_decay": schedule.weight_decay,
            "selection": "last",
            "prior": "",
            "n_train": len(self.kept),
            "n_valid": len(self.valid),
            "engine": fitted.engine,
            "epochs": len(course.accuracy[k]),
            "recessions": course.rules[k].count,
            "iterations_done": fitted.iterations,
            "ended_by": "divergence" if diverged else "rule" if by_rule else "limit",
        }
        own = method_name("D", self.cell.sampler)
        curves = [{"method": own, "curve": "training loss", "x": fitted.loss_at.tolist(), "y": fitted.loss.tolist()}]
        curves += course.curves(k, own)
        status = "diverged" if diverged else "ok"
        return Result(self.cell, self.rows, curves, columns, status, fitted.seconds, fitted.held)

    def _add(self, method: str, variant: str, metric: str, value: float, class_label: int = -1) -> None:
        name = method_name(method, self.cell.sampler)
        row = {"method": name, "variant": variant, "metric": metric, "class_label": class_label, "value": value}
        self.rows.append(row)

    @torch.no_grad()
    def _read(self, network, data: training.Resident, positions) -> Iterator[tuple[np.ndarray, dict]]:
        """Labels and layers of the images at `positions`, chunk by chunk."""
        for piece in torch.as_tensor(positions, device=data.device).split(self.group.chunk):
            read = network.layers(data.gather(piece))
            yield data.labels[piece].cpu().numpy(), {name: value.cpu().numpy() for name, value in read.items()}

    def _evaluate(self, network) -> dict:
        group, cell, n = self.group, self.cell, self.group.n_classes
        centers, features = self._centers(network)
        labels = group.images.labels
        last = network.network.head.state_dict()
        heads, tau = self._heads(features, {name: value.cpu().numpy() for name, value in last.items()})
        prior = np.bincount(labels[self.kept], minlength=n)
        predicted = {name: [] for name in [("D", ""), ("logit adjustment", ""), *centers, *((h, "") for h in heads)]}
        truth, zero = [], dict.fromkeys(self.layers, 0)
        for target, read in self._read(network, group.test, np.arange(len(group.test))):
            truth.append(target)
            logits = torch.from_numpy(read["head", ""]).double()
            predicted["D", ""].append(logits.argmax(dim=1).numpy())
            adjusted = posthoc.threshold(torch.log_softmax(logits, dim=1), prior)
            predicted["logit adjustment", ""].append(adjusted.argmax(dim=1).numpy())
            for (layer, variant), classifier in centers.items():
                source = variant if (layer, variant) in read else ""
                predicted[layer, variant].append(classifier.predict(read[layer, source]))
            for name, (weight, bias) in heads.items():
                predicted[name, ""].append((read[self.layers[-1], ""] @ weight.T + bias).argmax(axis=1))
            for layer in self.layers:
                zero[layer] += int((~read[layer, ""].any(axis=1)).sum())
        truth = np.concatenate(truth)
        for (method, variant), parts in predicted.items():
            self._scores(method, variant, np.concatenate(parts), truth)
        self._add("D", "", "parameters", networks.n_parameters(network, "D", n, 0))
        for layer in self.layers:
            center = centers[layer, ""]
            size = networks.n_parameters(network, layer, n, center.n_features_in_)
            self._add(layer, "", "parameters", size)
            self._add(layer, "", "zero_norm", center.n_zero_norm_ / center.class_count_.sum())
            self._add(layer, "", "zero_norm_test", zero[layer] / len(truth))
        if cell.sampler == "none":  # what the paper argues from: a class with few samples, each of them once
            everything = np.concatenate([self.kept, self.valid])
            for row in angles(np.concatenate(features), labels[everything], n, seeds(cell)["seed_stability"]):
                self.rows.append({**row, "variant": "", "metric": "angle", "class_label": -1})
        return {"tau": tau}

    def _centers(self, network) -> tuple[dict, tuple[np.ndarray, np.ndarray]]:
        """Centres by (layer, variant), and the last layer's inputs for training and validation images."""
        centers: dict[tuple[str, str], CategoryCenters] = {}
        features = []
        for positions in (self.kept, self.valid):
            inputs = []
            for target, read in self._read(network, self.group.train, positions):
                inputs.append(read[self.layers[-1], ""])
                for (layer, variant), values in read.items():
                    if layer not in self.layers:
                        continue
                    names = [((layer, variant), False)] + [((layer, NORMALIZED), True)] * (variant == "")
                    for name, normalize in names:
                        center = centers.setdefault(name, CategoryCenters(normalize_centers=normalize))
                        center.partial_fit(values, target, classes=np.arange(self.group.n_classes))
            features.append(np.concatenate(inputs))
            if positions is self.kept:
                only = {(layer, TRAINING_ONLY): deepcopy(centers[layer, ""]) for layer in self.layers}
        return {**centers, **only}, tuple(features)

    def _heads(self, features, last: dict[str, np.ndarray]) -> tuple[dict[str, tuple], float]:
        """Weight and bias of the linear classifiers of decoupled training, and the tau that validation chose.

        All-CNN ends in a maximum over its map and has no weights to normalise or scale, so it gets a linear layer on
        its flattened map first: `linear`.
        """
        labels, n = self.group.images.labels, self.group.n_classes
        (inputs, held_out), targets = features, labels[self.kept]
        heads, weight, bias = {}, last.get("weight"), last.get("bias")
        if weight is None:
            weight, bias = decoupling.retrained(inputs, targets, n, networks.WEIGHT_DECAY, balanced=False)
            heads["linear"] = (weight, bias)
        heads["cRT"] = decoupling.retrained(inputs, targets, n, networks.WEIGHT_DECAY)
        tau, _ = decoupling.best_tau(held_out, labels[self.valid], weight)
        heads["tau-norm"] = (decoupling.tau_normalized(weight, tau), np.zeros(n))
        scale = decoupling.learned_scale(inputs @ weight.T + bias, targets)
        heads["LWS"] = (scale[:, None] * weight, scale * bias)
        return heads, tau

    def _scores(self, method: str, variant: str, predicted: np.ndarray, truth: np.ndarray) -> None:
        """Accuracy; its mean over the labels with few and with many training images; recall of each label."""
        n = self.group.n_classes
        recall = np.bincount(truth[predicted == truth], minlength=n) / np.bincount(truth, minlength=n)
        few = study.rare(self.cell, self.group.images.labels, n)
        self._add(method, variant, "accuracy", float((predicted == truth).mean()))
        if few.any():
            self._add(method, variant, "recall_few", float(recall[few].mean()))
            self._add(method, variant, "recall_many", float(recall[~few].mean()))
        if not variant:
            for label, value in enumerate(recall):
                self._add(method, variant, "recall", float(value), label)
