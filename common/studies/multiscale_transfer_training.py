"""Training and evaluating the cells of paper 5: pre-training, the two stages, and all that is measured on a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch

from common import metrics, resampling, training
from common.cells import Context, Result
from common.seeds import seed
from common.studies import multiscale_transfer as study
from common.studies import multiscale_transfer_protocol as protocol
from common.studies.multiscale_transfer import Cell, seeds
from common.studies.multiscale_transfer_explaining import explain
from common.studies.multiscale_transfer_source import STREAMS, resident, start

#: Where all arms start from ImageNet, an arm that keeps one distribution is also the one-stage transfer.
ALSO = {"baseline": "one-stage natural", "oversampling": "one-stage balanced"}


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Train and evaluate; on a GPU, cells of one data set, network and schedule are trained together."""
    if context.options.device == "cpu":
        for cell in cells:
            yield from _Group([cell], context).run()
        return

    def alike(cell: Cell) -> str:
        return repr((_shared(cell), cell.imbalance == "natural"))

    for _, together in groupby(sorted(cells, key=alike), key=alike):
        yield from _Group(list(together), context).run()


def _shared(cell: Cell) -> Cell:
    """What cells that are trained together have in common, the same in whatever company."""
    alone = {"replicate": 0, "rho": None, "few": 0, "arm": "baseline", "ensemble": 1, "pictures": 0, "total": 0}
    return replace(cell, **alone, source="", source_size=0, source_iterations=0, related="")


@dataclass
class _Network:
    """One member of one cell on its way through the stages."""

    cell: Cell
    member: training.Member
    kept: np.ndarray
    number: int


class _Group:
    """Cells that are trained together: what they share, and the steps of running them."""

    def __init__(self, cells: list[Cell], context: Context):
        self.cells, self.context, self.shared = cells, context, cells[0]
        shared = self.shared
        self.pool = study.pool_of(context, shared.dataset, shared.image_size)
        self.data = resident(context, shared.dataset, shared.image_size, shared.binary, shared.pretrained)
        self.labels = self.pool.targets(shared.binary)
        self.n_classes = 2 if shared.binary else len(self.pool.classes)
        self.build = protocol.builder(shared, self.n_classes, self.data.inputs.shape[1])

    def run(self) -> Iterator[Result]:
        """Both stages of all, then evaluate cell by cell."""
        runs, sources = [], {}
        for cell in self.cells:
            kept, _ = study.parts(cell, self.context)
            state, sources[cell] = start(cell, self.context)
            runs += [_Network(cell, self._member(cell, kept, k, state), kept, k) for k in range(cell.ensemble)]
        first = self._stage(runs, 1)
        for one, fitted in zip(runs, first, strict=True):
            one.member = self._second(one, fitted.state)
        second = self._stage(runs, 2)
        for cell in self.cells:
            mine = [k for k, one in enumerate(runs) if one.cell is cell]
            yield self._evaluate(
                cell, [first[k] for k in mine], [second[k] for k in mine], runs[mine[0]], sources[cell]
            )

    # -- training -----------------------------------------------------------------------------------------------------

    def _plan(self, cell: Cell, kept: np.ndarray, stage: int, member: int) -> np.ndarray:
        seen = cell.plan.first if stage == 1 else cell.plan.second
        chance = seeds(cell, member)["seed_resampling"]
        return kept[resampling.index_plan(self.labels[kept], protocol.SAMPLER[seen], chance)]

    def _member(self, cell: Cell, kept: np.ndarray, k: int, state: dict) -> training.Member:
        chance, loss = seeds(cell, k), cell.plan.loss
        fresh = self.build(torch.Generator().manual_seed(chance["seed_init"])).state_dict()
        return training.Member(
            self._plan(cell, kept, 1, k),
            chance["seed_init"],
            chance["seed_order"],
            learning_rate=cell.learning_rate,
            class_weights=resampling.class_weights(self.labels[kept], self.n_classes) if loss == "weighted" else None,
            initial=fresh | state if state else None,
            seed_dropout=chance["seed_dropout"],
            seed_augmentation=chance["seed_augmentation"],
            focal=protocol.FOCAL if loss == "focal" else 0.0,
        )

    def _second(self, one: _Network, state: dict) -> training.Member:
        """The same network, seen again: a tenth of the rate, the second stage's sampling."""
        again = {name: seed("second stage", getattr(one.member, name)) for name in STREAMS}
        plan = self._plan(one.cell, one.kept, 2, one.number)
        rate = protocol.SECOND_RATE * one.cell.learning_rate
        return replace(one.member, plan=plan, learning_rate=rate, initial=state, **again)

    def _stage(self, runs: list[_Network], stage: int) -> list[training.Fitted]:
        shared = self.shared
        first = shared.iterations - shared.iterations // 2
        return training.fit_many(
            self.build,
            self.data,
            [one.member for one in runs],
            protocol.schedule(shared, first if stage == 1 else shared.iterations - first),
            precision=shared.precision,
            trainable=protocol.trainable(self.build, shared.frozen_first if stage == 1 else shared.frozen_second),
            augmentation=protocol.augmentation(shared.augment, self.pool.images.shape[1], shared.border),
            checkpoints=self.context.checkpoints,
            hold=True,
            identity=(study.STEM, study.VERSION, _shared(shared)),
        )

    # -- evaluation ---------------------------------------------------------------------------------------------------

    def _evaluate(self, cell: Cell, first, second, run: _Network, source_accuracy: float) -> Result:
        _, test = study.parts(cell, self.context)
        networks = [training.loaded(self.build, fitted.state) for fitted in second]
        scores = torch.stack([training.log_probabilities(network, self.data, test) for network in networks])
        scores = scores.logsumexp(0) - np.log(len(networks))  # the mean of the members' probabilities
        diverged = any(fitted.diverged for fitted in (*first, *second)) or not bool(scores.isfinite().all())
        labels = self.data.labels[torch.from_numpy(test).to(self.data.device)]
        rows = _score_rows(scores, labels)
        curves = [_loss_curve(first[0], second[0])]
        if cell.explain and self.pool.masks is not None and not cell.plan.ensemble:
            found = explain(networks[0], self.data, test, scores, self.pool, cell.pictures)
            rows, curves = rows + found[0], curves + found[1]
        rows = [
            {"method": cell.arm, "prior": "", "class_label": -1} | row | ({"value": float("nan")} if diverged else {})
            for row in rows
        ]
        if cell.pretrained and cell.arm in ALSO:
            rows += [row | {"method": ALSO[cell.arm]} for row in rows]
        curves = [{"method": cell.arm} | curve for curve in curves]
        counts = np.bincount(labels.cpu().numpy(), minlength=self.n_classes)
        columns = {
            **seeds(cell),
            "schedule": "two stages",
            "trunk": "imagenet" if cell.pretrained else "own",
            "selection": "last",
            "n_train": len(run.kept),
            "n_defects": int((self.pool.labels[run.kept] > 0).sum()),
            "n_test": len(test),
            "majority": float(counts.max() / counts.sum()),
            "source_accuracy": source_accuracy,
            "engine": second[0].engine,
        }
        seconds = sum(fitted.seconds for fitted in (*first, *second))
        held = tuple(file for fitted in (*first, *second) for file in fitted.held)
        return Result(cell, rows, curves, columns, "diverged" if diverged else "ok", seconds, held)


def _score_rows(scores: torch.Tensor, labels: torch.Tensor) -> list[dict]:
    """Accuracy, balanced accuracy, recall by class, and the area under precision and recall of the defects."""
    from sklearn.metrics import average_precision_score

    recall = metrics.recall_per_class(scores, labels)
    rows = [
        {"metric": "accuracy", "value": metrics.accuracy(scores, labels).item()},
        {"metric": "balanced_accuracy", "value": recall.mean().item()},
    ]
    rows += [{"metric": "recall", "class_label": k, "value": value} for k, value in enumerate(recall.tolist())]
    area = float("nan")  # of a network that diverged, as its accuracy is: a row that is not there says nothing of it
    if bool(scores.isfinite().all()):
        # Probabilities of a confident network round to 1; the log odds keep their order.
        odds = (scores - torch.log1p(-scores.exp().clamp_max(1 - 1e-15))).cpu().numpy()
        own = labels.cpu().numpy()
        areas = [average_precision_score(own == k, odds[:, k]) for k in range(1, scores.shape[1])]
        area = float(np.mean(areas))
    return [*rows, {"metric": "pr_auc", "value": area}]


def _loss_curve(first: training.Fitted, second: training.Fitted) -> dict:
    x = [*first.loss_at.tolist(), *(second.loss_at + first.iterations).tolist()]
    return {"curve": "training loss", "x": x, "y": [*first.loss.tolist(), *second.loss.tolist()]}
