"""Running the cells of paper 3: the iterations of extrapolation and of training the head on what they add."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np

from common import training
from common.boundary import pair_accuracy
from common.cells import Context, Result
from common.seeds import seed
from common.studies import class_specific_extrapolation_backbone as backbones
from common.studies import class_specific_extrapolation_measures as measures
from common.studies import class_specific_extrapolation_protocol as protocol
from common.studies.class_specific_extrapolation_backbone import Latents, backbone_of
from common.studies.class_specific_extrapolation_head import HeadClassifier, LatentHead, from_vgg
from common.studies.class_specific_extrapolation_protocol import Cell

BIASES = {
    "random": {"selection": "random"},
    "bottom": {"selection": "bottom"},
    "top": {"selection": "top"},
    "asymmetric": {"target": "asymmetric"},
    "both": {"selection": "bottom", "target": "asymmetric"},
}
CLASS_SPECIFIC = ("written", "run", "two")


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Run the cells; those of one backbone and head schedule together."""

    def alike(cell: Cell) -> Cell:
        arm = {"share": 0.3, "gamma": -0.4, "p_max": 0.5, "tau": 0.7, "pairing": "major", "distance": "boundary"}
        return replace(cell, sampler="none", ablation=False, amount=0.1, starts="all", **arm)

    for _, group in groupby(sorted(cells, key=lambda cell: repr(alike(cell))), key=alike):
        yield from _together(list(group), context)


def _together(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Arms of one backbone, iteration by iteration."""
    images, _ = context.data(cells[0].dataset, cells[0].image_size)
    found = backbones.latents(backbone_of(cells[0]), context)
    arms = [_Arm(cell, found, images, context.options.device) for cell in cells]
    for iteration in range(cells[0].iterations):
        for arm in arms:
            if not arm.diverged:
                arm.grow(iteration)
        _train(arms, iteration)
    for arm in arms:
        yield arm.result()


def _train(arms: list[_Arm], iteration: int) -> None:
    """The iteration's epochs of every arm's head, each on its own real and synthetic samples."""
    cell = arms[0].cell
    offsets = np.cumsum([len(arms[0].found.train), *(len(arm.synthetic) for arm in arms)])
    inputs = np.concatenate([arms[0].found.train, *(arm.synthetic for arm in arms)])
    labels = np.concatenate([arms[0].found.train_labels, *(arm.synthetic_labels for arm in arms)])
    resident = training.Resident(inputs, labels, arms[0].device)
    members, ends = [], []
    for arm, start in zip(arms, offsets[:-1], strict=True):
        plan = np.concatenate([np.arange(offsets[0]), start + np.arange(len(arm.synthetic))])
        chance = {name: seed(f"head {name}", cell.replicate, iteration) for name in ("init", "order", "dropout")}
        members.append(training.Member(plan, initial=arm.state, **{f"seed_{k}": v for k, v in chance.items()}))
        ends.append(max(round(cell.head_epochs * len(plan) / cell.batch_size), 1))

    schedule = training.Schedule(
        iterations=max(ends),
        batch_size=cell.batch_size,
        learning_rate=cell.head_rate,
        policy="constant",
        momentum=0.9,
        weight_decay=cell.weight_decay,
        bias_rate=1.0,
    )
    # An epoch is as long as an arm's set; those with a shorter one stop before the others.
    stop = {"on_point": lambda k, done, _: 0.0 if done == ends[k] else None, "at": set(ends)} if len(arms) > 1 else {}
    begun = arms[0].clock()
    fitted = training.fit_many(lambda generator: arms[0].build(), resident, members, schedule, **stop)
    busy = arms[0].clock() - begun
    for arm, one, end in zip(arms, fitted, ends, strict=True):
        arm.take(one, end)
        arm.busy_seconds += busy * end / sum(ends)  # together they cost what their updates cost


class _Arm:
    """One cell's head, and what was made and measured on the way."""

    def __init__(self, cell: Cell, found: Latents, images, device: str):
        self.cell, self.found, self.classes, self.device = cell, found, images.classes, device
        self.minors = [minor for _, minor in backbones.pairs(images)]
        self.pairs = [backbones.ablation_pair(images)] if cell.ablation else backbones.pairs(images)
        self.counts = np.bincount(found.train_labels, minlength=len(images.classes))
        self.synthetic = np.empty((0, found.train.shape[1]), np.float32)
        self.synthetic_labels = np.empty(0, np.int64)
        self.state = from_vgg(found.head)
        self.diverged = not found.finite
        self.report: list[dict] = []
        self.sampling_seconds = self.head_seconds = self.busy_seconds = 0.0
        #: What arms are compared by: on a CPU the processor's time, which what else the machine does leaves alone.
        self.clock = time.process_time if device == "cpu" else time.perf_counter
        self.updates, self.engine = 0, "loop"
        self.network = self._network()
        self.start = measures.Scores(self.probabilities(found.test), found.test_labels)
        held_out = self.probabilities(found.held_out)
        #: Of each pair by its minor class, before any extrapolation (algorithms 1 and 2, line 4).
        self.accuracy = {
            minor: pair_accuracy(held_out, found.held_out_labels, minor, major) for major, minor in self.pairs
        }
        self.course = [self._pr_aucs(self.start)]

    # -- the head -----------------------------------------------------------------------------------------------------

    def build(self) -> LatentHead:
        """A head whose weights are yet to be loaded."""
        return LatentHead(self.found.train.shape[1], self.cell.hidden, len(self.classes), self.cell.dropout)

    def _network(self) -> LatentHead:
        network = self.build().to(self.device)
        network.load_state_dict(self.state)
        return network

    def probabilities(self, latents: np.ndarray) -> np.ndarray:
        """Of the present head, float64, shape (n, C)."""
        return HeadClassifier(self.network).predict_proba(latents)

    def take(self, fitted: training.Fitted, updates: int) -> None:
        """The head after an iteration's epochs."""
        self.diverged |= fitted.diverged
        self.state, self.updates, self.engine = fitted.state, self.updates + updates, fitted.engine
        self.head_seconds += fitted.seconds
        self.network = self._network()
        self.course.append(self._pr_aucs(measures.Scores(self.probabilities(self.found.test), self.found.test_labels)))

    def _pr_aucs(self, scores: measures.Scores) -> list[float]:
        return [scores.pr_auc(major, minor) for major, minor in self.pairs]

    # -- extrapolation ------------------------------------------------------------------------------------------------

    def grow(self, iteration: int) -> None:
        """Add the iteration's samples, made with the present head, to the synthetic ones."""
        if self.cell.sampler == "none":
            return
        started, busy = time.perf_counter(), self.clock()
        x, y = self.found.train, self.found.train_labels
        if self.cell.starts == "all":
            x, y = np.concatenate([x, self.synthetic]), np.concatenate([y, self.synthetic_labels])
        present = np.bincount(y, minlength=len(self.counts))
        amounts = {minor: max(round(self.cell.amount * self.counts[minor]), 1) for minor in self._active(iteration)}
        if amounts:
            sampler = self._sampler(iteration)
            sampler.set_params(sampling_strategy={minor: int(present[minor] + n) for minor, n in amounts.items()})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a pair that gives nothing is a row of the results
                grown, labels = sampler.fit_resample(x, y)
            self.synthetic = np.concatenate([self.synthetic, grown[len(x) :]])
            self.synthetic_labels = np.concatenate([self.synthetic_labels, labels[len(y) :]])
            made = np.bincount(labels[len(y) :], minlength=len(self.counts))
            plain = [{"minor": minor, "generated": int(made[minor])} for minor in amounts]
            self.report += getattr(sampler, "report_", plain)
        self.sampling_seconds += time.perf_counter() - started
        self.busy_seconds += self.clock() - busy

    def _active(self, iteration: int) -> list[int]:
        """Minor classes that get samples in this iteration; algorithm 2 stops early for pairs told apart well."""
        from common.class_specific import iterations_without_threshold

        minors = [minor for _, minor in self.pairs]
        if self.cell.sampler != "without":
            return minors
        return [m for m in minors if iteration < iterations_without_threshold(self.accuracy[m], self.cell.iterations)]

    def _sampler(self, iteration: int):
        """The arm's sampler with the present head as its boundary."""
        from imblearn.over_sampling import SMOTE, RandomOverSampler
        from sklearn.frozen import FrozenEstimator

        from common.class_specific import ClassSpecificExtrapolation
        from common.extrapolation import BiasedExtrapolation, ExpansiveOverSampler

        cell = self.cell
        chance = seed("extrapolation", cell.replicate, iteration) % 2**32
        plain = {"eos": ExpansiveOverSampler, "oversampling": RandomOverSampler}
        if cell.sampler == "smote":
            least = min(self.counts[minor] for _, minor in self.pairs)
            return SMOTE(k_neighbors=int(min(5, least - 1)), random_state=chance)
        if cell.sampler in plain:
            return plain[cell.sampler](random_state=chance)
        biased = BiasedExtrapolation(
            FrozenEstimator(HeadClassifier(self.network)),
            share=cell.share,
            gamma=cell.gamma,
            p_max=cell.p_max,
            pairing=cell.pairing,
            distance=cell.distance,
            pairs={minor: major for major, minor in self.pairs},
            random_state=chance,
        )
        # Which bias overlapped pairs get the paper does not say; the asymmetric one is its best.
        biased.set_params(**BIASES.get(cell.sampler, BIASES["asymmetric"]))
        if cell.sampler not in CLASS_SPECIFIC:
            return biased
        return ClassSpecificExtrapolation(
            biased,
            tau=self.tau,
            separable="skip" if cell.sampler == "written" else "random",
            accuracy=self.accuracy,
            random_state=chance,
        )

    @property
    def tau(self) -> float:
        """The paper's threshold, or the one that leaves as many pairs overlapped as in the paper."""
        if self.cell.sampler != "two":
            return self.cell.tau
        return sorted(self.accuracy.values())[min(1, len(self.accuracy) - 1)]

    # -- what came out ------------------------------------------------------------------------------------------------

    def result(self) -> Result:
        """Rows and curves of the cell."""
        method = protocol.METHODS[self.cell.sampler]
        end = measures.Scores(self.probabilities(self.found.test), self.found.test_labels)
        rows = end.rows(method, self.pairs, self.classes) + self._cost(method)
        if self.diverged:
            rows = [{**row, "value": float("nan")} for row in rows]
            return self._result(rows, [])
        curves = end.curves(method, self.pairs, self.classes)
        if self.cell.sampler == "none":
            rows += self.start.rows(protocol.BEFORE, self.pairs, self.classes)
            curves += self.start.curves(protocol.BEFORE, self.pairs, self.classes)
            # A constant on the pair's odds: it moves decisions and leaves each pair's PR-AUC as it is.
            rows += end.adjusted(self.counts).rows(protocol.ADJUSTED, self.pairs, self.classes)
            rows += measures.closeness(self.found, self.minors, self.classes)
            curves.append(
                {"method": protocol.BEFORE, "curve": "training loss", "x": self.found.loss_at, "y": self.found.loss}
            )
        for number, (major, minor) in enumerate(self.pairs):
            pair = measures.pair_name(self.classes, major, minor)
            along = [values[number] for values in self.course]
            curves.append({"method": method, "curve": f"PR-AUC {pair}", "x": np.arange(len(along)), "y": along})
            made = self.synthetic[self.synthetic_labels == minor]
            curves += measures.picture(method, pair, self.found, (major, minor), made, self.probabilities)
        return self._result(rows, [measures.plain(curve) for curve in curves])

    def _result(self, rows: list[dict], curves: list[dict]) -> Result:
        return Result(
            self.cell,
            rows,
            curves,
            self._columns(),
            "diverged" if self.diverged else "ok",
            self.head_seconds + self.sampling_seconds,
        )

    def _cost(self, method: str) -> list[dict]:
        rows = [
            measures.row(method, "generated", len(self.synthetic)),
            measures.row(method, "updates", self.updates),
            measures.row(method, "samples_seen", self.updates * self.cell.batch_size),
            measures.row(method, "sampling_seconds", self.sampling_seconds),
            measures.row(method, "seconds", self.sampling_seconds + self.head_seconds),
            measures.row(method, "busy_seconds", self.busy_seconds),
        ]
        for major, minor in self.pairs:
            pair = measures.pair_name(self.classes, major, minor)
            accuracy = self.accuracy[minor]
            mine = [row for row in self.report if row["minor"] == minor]
            generated = sum(row["generated"] for row in mine)
            rows += [
                measures.row(method, "held_out_pair_accuracy", accuracy, pair),
                measures.row(method, "overlapped", float(accuracy <= self.tau), pair),
                measures.row(method, "generated", generated, pair),
            ]
            if mine and "skipped" in mine[0]:
                distinct = sum(row["distinct"] for row in mine)
                skipped = sum(row["skipped"] for row in mine)
                clipped = sum(row["clipped"] * row["distinct"] for row in mine)
                rows += [
                    measures.row(method, "distinct", distinct, pair),
                    measures.row(method, "skipped", skipped, pair),
                    measures.row(method, "clipped", clipped / max(distinct, 1), pair),
                ]
        return rows

    def _columns(self) -> dict:
        cell = self.cell
        return {
            **backbones.seeds(cell),
            "seed_extrapolation": seed("extrapolation", cell.replicate, 0),
            "network": f"vgg{cell.depth}",
            "imbalance": "step",
            "rho": cell.majors / (cell.rare if cell.ablation and cell.rare else cell.minors),
            "mu": len(self.minors) / len(self.classes),
            "schedule": "linear",
            "selection": "last",
            "n_train": int(self.counts.sum()),
            "engine": self.engine,
        }
