"""Training and evaluating the cells of paper 4: one network, and all that is measured on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch

from common import imbalance, metrics, networks, posthoc, resampling, training
from common.cells import Context, Result
from common.resident import held
from common.seeds import seed
from common.studies import systematic_study as study
from common.studies import systematic_study_protocols as protocols
from common.studies.systematic_study import Cell, seeds

CURVE_SAMPLE = 2_000  # test images, and draws from the sampled training set, at each point of a convergence curve
HEADS = 64  # second phases trained together: the features of each take about 50 MB
TRAIN_SAMPLE = 5_000  # draws from the sampled training set on which training accuracy is measured
#: Method names of samplers that are not called by their own.
ARM = {"none": "baseline", "weighted": "weighted loss", "normalised": "weighted loss, normalised"}
_STREAMS = ("seed_order", "seed_dropout", "seed_augmentation")
THRESHOLDED = {"none": "thresholding"} | {name: f"{ARM[name]} + thresholding" for name in study.WEIGHTED}


@held
def _residents(context: Context, dataset: str, size: int, network: str, whiten: bool):
    train, test = context.data(dataset, size)
    return protocols.residents(network, train, test, whiten, context.options.device)


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Train the cells, those of one data set, network, schedule and precision together, and evaluate each."""

    def alike(cell):
        chance = {"replicate": 0, "repeat": 0, "imbalance": "none", "rho": 1.0, "mu": None, "sampler": "none"}
        return replace(cell, **chance, to_rho=1.0, learning_rate=None)

    for shared, group in groupby(sorted(cells, key=lambda cell: repr(alike(cell))), key=alike):
        yield from _Group(shared, context).run(list(group))


class _Group:
    """Cells that are trained together: what they share, and the steps of running them."""

    def __init__(self, shared: Cell, context: Context):
        self.shared = shared
        self.images, _ = context.data(shared.dataset, shared.image_size)
        self.train, self.test = _residents(context, shared.dataset, shared.image_size, shared.network, shared.whiten)
        size = self.images.images.shape[1]
        self.build = protocols.builder(shared.network, self.images, shared.rectified, shared.width)
        self.options = {
            "precision": shared.precision,
            "augmentation": protocols.augmentation(shared.network, size),
            "checkpoints": context.checkpoints,
            "hold": True,  # until all phases are done and evaluated
            "identity": (study.STEM, study.VERSION, shared),
        }
        self.crop = protocols.test_crop(shared.network, size)
        self.schedule = study.schedule(shared)

    def run(self, cells: list[Cell]) -> Iterator[Result]:
        """Train all, then evaluate one by one."""
        kept = []
        for cell in cells:
            counts = study.class_counts(cell, self.images.counts)
            kept.append(imbalance.subsample(self.images.labels, counts, seeds(cell)["seed_subset"]))
        members = [self._member(cell, own) for cell, own in zip(cells, kept, strict=True)]
        course = _Convergence(self, members) if self.shared.convergence else None
        watch = {"on_point": course, "at": course.at} if course else {}
        fitted = training.fit_many(self.build, self.train, members, self.schedule, **self.options, **watch)
        networks_ = [training.loaded(self.build, one.state) for one in fitted]
        twophase = [i for i, cell in enumerate(cells) if cell.two_phase and cell.sampler in study.RESAMPLED]
        phase = self._head_alone if self.shared.protocol.head_alone else self._second_phase
        second = phase([(cells[i], members[i], networks_[i], kept[i]) for i in twophase]) if twophase else []
        second = dict(zip(twophase, second, strict=True))
        for i, cell in enumerate(cells):
            result = self._evaluate(cell, networks_[i], fitted[i], members[i], kept[i])
            if i in second:
                network, phase_two = second[i]
                scores = self._scores(network)
                diverged = fitted[i].diverged or phase_two.diverged or not scores.isfinite().all()
                result.rows += self._rows(f"two-phase {cell.sampler}", "", scores, diverged)
                result.seconds += phase_two.seconds
                result.held += phase_two.held
            if course:
                course.add_to(result, i, fitted[i].diverged)
            yield result

    def _member(self, cell: Cell, kept: np.ndarray) -> training.Member:
        chance, labels = seeds(cell), self.images.labels[kept]
        weighted = cell.sampler in study.WEIGHTED
        sampler = "none" if weighted else cell.sampler
        plan = resampling.index_plan(labels, sampler, chance["seed_resampling"], cell.to_rho)
        return training.Member(
            kept[plan],
            chance["seed_init"],
            chance["seed_order"],
            learning_rate=study.schedule(cell).learning_rate,
            class_weights=resampling.class_weights(labels, len(self.images.classes)) if weighted else None,
            normalised=cell.sampler == "normalised",
            seed_dropout=chance["seed_dropout"],
            seed_augmentation=chance["seed_augmentation"],
        )

    # -- two-phase training: train on with the imbalanced set and a tenth of the rate (section 3.2) -------------------

    def _second_phase(self, trained) -> list[tuple[torch.nn.Module, training.Fitted]]:
        """The whole network runs, its head learns."""
        members = []
        for _, member, network, kept in trained:
            again = {name: seed("second phase", getattr(member, name)) for name in _STREAMS}
            state = {name: value.cpu() for name, value in network.state_dict().items()}
            rate = 0.1 * member.learning_rate
            members.append(replace(member, plan=kept, learning_rate=rate, initial=state, class_weights=None, **again))
        fitted = training.fit_many(self.build, self.train, members, self.schedule, **self.options, trainable=("head.",))
        return [(training.loaded(self.build, one.state), one) for one in fitted]

    def _head_alone(self, trained) -> list[tuple[torch.nn.Module, training.Fitted]]:
        """The same where nothing is random before the head: its inputs are computed once.

        The networks' inputs stand one after the other in one tensor, into which each member's plan points.
        """
        if len(trained) > HEADS:
            return [one for k in range(0, len(trained), HEADS) for one in self._head_alone(trained[k : k + HEADS])]
        features = [training.forward(network, self.train, kept, part="features") for _, _, network, kept in trained]
        labels = [self.images.labels[kept] for _, _, _, kept in trained]
        offsets = np.cumsum([0, *map(len, labels)])
        stacked = training.Resident(torch.cat(features), np.concatenate(labels), str(self.train.device))
        del features  # on a GPU they would stand there twice while the heads are trained
        members = [
            training.Member(
                np.arange(offsets[i], offsets[i + 1]),
                0,
                seed("second phase", member.seed_order),
                learning_rate=0.1 * member.learning_rate,
                initial={f"head.{name}": value.cpu() for name, value in network.head.state_dict().items()},
            )
            for i, (_, member, network, _) in enumerate(trained)
        ]
        shape = trained[0][2].head
        fitted = training.fit_many(
            lambda generator: networks.Head(shape.in_features, shape.out_features), stacked, members, self.schedule,
            checkpoints=self.options["checkpoints"], hold=True, identity=self.options["identity"],
        )  # fmt: skip
        return [
            (training.loaded(self.build, {**network.state_dict(), **one.state}), one)
            for (_, _, network, _), one in zip(trained, fitted, strict=True)
        ]

    # -- evaluation ---------------------------------------------------------------------------------------------------

    def _scores(self, network: torch.nn.Module) -> torch.Tensor:
        return training.log_probabilities(network, self.test, crop=self.crop)

    def _evaluate(self, cell, network, fitted, member, kept) -> Result:
        labels, n_classes = self.images.labels, len(self.images.classes)
        prior = np.bincount(labels[kept], minlength=n_classes)
        effective = np.bincount(labels[member.plan], minlength=n_classes)
        scores = self._scores(network)
        if not scores.isfinite().all():
            # The loss was still finite when it was last looked at; the argmax of NaN would look like a score.
            fitted.diverged = True
        own = ARM.get(cell.sampler, cell.sampler)
        thresholded = THRESHOLDED.get(cell.sampler, f"{cell.sampler} + thresholding")
        rows = self._rows(own, "", scores, fitted.diverged)
        rows += self._rows(thresholded, "original", posthoc.threshold(scores, prior), fitted.diverged)
        if cell.to_rho > 1:
            # After complete resampling the effective prior is uniform, and dividing by it changes nothing.
            rows += self._rows(thresholded, "effective", posthoc.threshold(scores, effective), fitted.diverged)
        sample = np.random.default_rng(member.seed_order).choice(member.plan, TRAIN_SAMPLE)
        rows.append(_row(own, "", "train_accuracy", self.accuracy(network, self.train, sample), fitted.diverged))
        curves = [{"method": own, "curve": "training loss", "x": fitted.loss_at.tolist(), "y": fitted.loss.tolist()}]
        columns = {
            **seeds(cell),
            "schedule": self.schedule.policy,
            "learning_rate": member.learning_rate,
            "selection": "last",
            "n_train": len(kept),
            "engine": fitted.engine,
        }
        return Result(cell, rows, curves, columns, "diverged" if fitted.diverged else "ok", fitted.seconds, fitted.held)

    def accuracy(self, network: torch.nn.Module, data: training.Resident, positions: np.ndarray) -> float:
        """Accuracy on some inputs."""
        scores = training.log_probabilities(network, data, positions, crop=self.crop)
        return metrics.accuracy(scores, data.labels[torch.from_numpy(positions).to(data.device)]).item()

    def _rows(self, method: str, prior: str, scores: torch.Tensor, diverged: bool) -> list[dict]:
        labels, protocol = self.test.labels, self.shared.protocol
        parts = {"": torch.ones(len(labels), dtype=bool)}
        if protocol.learning_rates:
            half = torch.from_numpy(protocols.halves(len(labels)))
            parts |= {f" (half {h})": half == h for h in (0, 1)}
        rows = []
        for suffix, part in parts.items():
            part = part.to(labels.device)
            auc = metrics.roc_auc(scores[part], labels[part]).mean().item()
            rows.append(_row(method, prior, f"auc{suffix}", auc, diverged))
            accuracy = metrics.accuracy(scores[part], labels[part]).item()
            rows.append(_row(method, prior, f"accuracy{suffix}", accuracy, diverged))
        recall = metrics.recall_per_class(scores, labels).tolist() if protocol.recall else []
        return rows + [_row(method, prior, "recall", value, diverged, label) for label, value in enumerate(recall)]


class _Convergence:
    """Training and test accuracy along the training, on fixed samples (section 4.6, figure 8)."""

    def __init__(self, group: _Group, members: list[training.Member]):
        self.group = group
        self.at = training.loss_points(group.schedule.iterations, group.shared.convergence)
        self.on_test = np.random.default_rng(0).permutation(len(group.test))[:CURVE_SAMPLE]
        self.on_train = [np.random.default_rng(m.seed_order).choice(m.plan, CURVE_SAMPLE) for m in members]
        self.curves = [{"training accuracy": [], "test accuracy": []} for _ in members]

    def __call__(self, k: int, iteration: int, network: torch.nn.Module) -> None:
        """Called by the engine at each point of each member."""
        mine = self.curves[k]
        mine["training accuracy"].append(self.group.accuracy(network, self.group.train, self.on_train[k]))
        mine["test accuracy"].append(self.group.accuracy(network, self.group.test, self.on_test))

    def state_dict(self, members: Sequence[int]) -> dict:
        """Of some members."""
        return {"curves": [self.curves[k] for k in members]}

    def load_state_dict(self, state: dict, members: Sequence[int]) -> None:
        """In the place of what there is of these members."""
        for k, curves in zip(members, state["curves"], strict=True):
            self.curves[k] = curves

    def add_to(self, result: Result, k: int, diverged: bool) -> None:
        """Curves, and what the claims ask of them: late fall and unsteadiness of test accuracy."""
        own = ARM.get(result.cell.sampler, result.cell.sampler)
        for name, values in self.curves[k].items():
            at = self.at[: len(values)].tolist()
            result.curves.append({"method": own, "curve": name, "x": at, "y": values})
        test = np.array(self.curves[k]["test accuracy"])
        if len(test) >= 3:
            stretches = np.lib.stride_tricks.sliding_window_view(test, max(1, len(test) // 10)).mean(axis=1)
            fall = float(stretches[-1] - stretches.max())
            result.rows.append(_row(own, "", "accuracy_from_best", fall, diverged))
            result.rows.append(_row(own, "", "accuracy_wobble", float(np.diff(test).std()), diverged))


def _row(method: str, prior: str, metric: str, value: float, diverged: bool, class_label: int = -1) -> dict:
    value = float("nan") if diverged else value
    return {"method": method, "prior": prior, "metric": metric, "class_label": class_label, "value": value}
