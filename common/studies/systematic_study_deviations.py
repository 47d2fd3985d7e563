"""Where a run of paper 4 departs from the paper, computed from the parameters that ran."""

from __future__ import annotations

from common.studies.systematic_study_protocols import (
    FULL_ITERATIONS,
    IMAGENET_SIDE,
    PROTOCOLS,
    augmentation,
    network_of,
    side,
)

TRIED = "trainings of one set, of which the best counts"


def deviations(parameters) -> list[dict]:
    """Departures from the paper of a run with these `systematic_study.Parameters`: what, paper, here, why."""
    p = parameters
    network = p.network or network_of(p.dataset)
    full = PROTOCOLS[network].schedule.iterations
    stand_in = p.dataset not in FULL_ITERATIONS
    rows = [("framework", "Caffe", "torch", "Caffe is no longer maintained; initialisation and schedule follow it")]
    if {"oversampling", "undersampling"} & set(p.samplers):
        how = "the first phase is the sampler's own network" if p.two_phase else "not run"
        why = "halves the cost and pairs the comparison; the paper trains the same network a second time"
        rows.append(("two-phase training", "a first phase of its own", how, why if p.two_phase else "cost"))
    rhos, mus = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000), tuple(k / 10 for k in range(1, 10))
    if network == "allcnn":
        rhos, mus = (2, 10, 20, 50), (0.2, 0.5, 0.8)
    if network != "resnet10":
        printed, ours = (f"{len(r)} x {len(m)}" for r, m in ((rhos, mus), (p.step_rhos, p.step_mus)))
        if printed != ours:
            rows.append(("step imbalances (ratios x fractions)", printed, ours, "cost; the claims' notes name them"))
        if len(p.linear_rhos) != len(rhos):
            rows.append(("linear imbalances (ratios)", len(rhos), len(p.linear_rhos), "cost"))
    repetitions = {"lenet5": 50, "allcnn": 1, "resnet10": 3}[network]
    if p.replicates != repetitions:
        why = "intervals are given; more are added by first_replicate and replicates"
        rows.append(("repetitions, each with another training set", repetitions, p.replicates, why))
    search = (len(PROTOCOLS[network].learning_rates) or 1) * (2 if network == "allcnn" else 1)
    tried = max(len(p.learning_rates), 1) * p.repeats
    if tried != search:
        rows.append((TRIED, search, tried, "cost"))
    if p.iterations != full:
        why = "shortened schedule, same course of the learning rate; levels are not compared with the paper"
        rows.append(("iterations", f"{full:,}", f"{p.iterations:,}", why))
    base = PROTOCOLS[network].learning_rates or (PROTOCOLS[network].schedule.learning_rate,)
    if other := sorted(set(p.learning_rates) - set(base)):
        printed, ours = (", ".join(f"{rate:g}" for rate in rates) for rates in (base, other))
        rows.append(("base learning rate", printed, ours, "asked for"))
    if p.network and p.network != network_of(p.dataset):
        rows.append(("network", network_of(p.dataset), p.network, "asked for"))
    if p.per_class:
        rows.append(
            ("images of the largest class", f"{PROTOCOLS[network].per_class:,}", f"{p.per_class:,}", "asked for")
        )
    if network == "resnet10":
        size = side(p.dataset, p.image_size)
        ours = f"{size} x {size}, cut from the middle; patches of {augmentation(network, size).crop}" if size else "own"
        why = "all images stay in the memory of the device, for which those of the paper are too large"
        rows.append(("images", f"shorter side of {IMAGENET_SIDE}, patches of 224", ours, why))
    elif p.image_size:
        rows.append(("images", "as they are", f"resized to {p.image_size} x {p.image_size}", "asked for"))
    if p.precision != "fp32":
        why = "speed; last layer, softmax, metrics and second phases on features are in fp32; compared on MNIST in "
        why += "benchmarks/"
        rows.append(("precision", "fp32", p.precision, why))
    if p.dataset == "mnist":
        why = "table 1 says 1,000, which the official test set does not have"
        rows.append(("test images a class", "1,000", "892 to 1,135", why))
    if p.dataset == "tiny_imagenet" or stand_in:
        rows.append(("data", "MNIST, CIFAR-10, ImageNet", p.dataset, "stand-in data, not comparable with the paper"))
    if network == "allcnn" and (p.width, p.whiten, p.rectified) != (96, True, True):
        here = f"width {p.width}, whitening {p.whiten}, rectified {p.rectified}"
        rows.append(("All-CNN", "width 96, whitening, rectified", here, "asked for"))
    means = {"weighted": "the plain mean of weighted losses", "normalised": "divided by the batch's weights"}
    arms = [f"an arm of its own, {means[name]}" for name in means if name in p.samplers]
    if arms:
        why = "section 2.2 states the equivalence without a test, and no mean"
        rows.append(("weighted loss", "called equivalent to oversampling, not run", "; ".join(arms), why))
    if p.reduced_to:
        why = "figure 7 does not print its levels"
        rows.append(("ratios after partial sampling", "not stated", ", ".join(f"{to:g}" for to in p.reduced_to), why))
    return [dict(zip(("what", "paper", "here", "why"), row, strict=True)) for row in rows]
