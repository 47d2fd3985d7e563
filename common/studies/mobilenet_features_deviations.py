"""Where a run of paper 2 departs from the paper, computed from the parameters that ran."""

from __future__ import annotations

from common.mobilenet_weights import IMAGENET, RANDOM, described
from common.studies.mobilenet_features_resampling import METHODS
from common.studies.mobilenet_features_selection import EPOCHS, FOLDS, RATIOS

DATASETS = ("cifar10", "mnist", "stl10")
ON_FEATURES = ("none", "smote", "smoteenn", "iht")
ON_IMAGES = ("none", "oversampling", "undersampling", "smote", "smoteenn", "iht")


def deviations(parameters) -> list[dict]:
    """Departures from the paper of a run with these `mobilenet_features.Parameters`: what, paper, here, why."""
    p = parameters
    rows = []
    if p.dataset not in DATASETS:
        rows.append(("data", "MNIST, CIFAR-10, STL-10", p.dataset, "stand-in data, not comparable with the paper"))
    if p.pretrained == RANDOM:
        why = "needs no file; features of random convolutions say nothing about the paper"
        rows.append(("weights", "trained on ImageNet by Keras", "random", why))
    elif p.pretrained != IMAGENET:
        why = "Keras' file cannot be had here"
        rows.append(("weights", "the file that Keras downloads", described(p.pretrained), why))
    if p.alpha != 1:
        rows.append(("MobileNet's width", "1", f"{p.alpha:g}", "cost"))
    if p.per_class:
        here = f"{p.per_class:,} training images"
        rows.append(("largest class", "as many as the set has", here, "cost"))
    if p.dataset == "mnist":
        why = "MNIST's classes differ in size, and any of them may be the largest of a fold"
        rows.append(("images of the largest class", "not stated", "those of the smallest class, 5,421 and 892", why))
    if set(p.rhos) != set(RATIOS):
        here = ", ".join(f"{ratio:g}" for ratio in sorted(p.rhos))
        rows.append(("imbalance ratios", RATIOS, here, "cost"))
    if p.replicates != FOLDS:
        why = "intervals are given; more are added by first_replicate and replicates"
        rows.append(("folds", FOLDS, p.replicates, why))
    rows += _features(p) if p.samplers else []
    rows += _images(p) if p.image_samplers or p.finetuned_samplers else []
    return [dict(zip(("what", "paper", "here", "why"), row, strict=True)) for row in rows]


def _names(samplers) -> str:
    return ", ".join(METHODS[sampler] for sampler in samplers)


def _features(p) -> list[tuple]:
    why = (
        "speed; fitted alike, and predicted from what was fitted, because its own decisions are off for some pairs of "
        "classes on an Intel processor (benchmarks/results/svm_prediction.md)"
    )
    rows = [("support vector machine", "scikit-learn", "scikit-learn-intelex where installed", why)]
    if missing := [sampler for sampler in ON_FEATURES if sampler not in p.samplers]:
        rows.append(("resamplers of features left out", "none", _names(missing), "cost"))
    if added := [sampler for sampler in p.samplers if sampler not in ON_FEATURES]:
        why = "the paper leaves them out as independent of the representation; that says nothing about their scores"
        rows.append(("arms added on features", "none", _names(added), why))
    if "oversampling" in p.samplers:
        why = "the same optimum, gamma included, at a fraction of the cost; equal in a test"
        rows.append(("random oversampling of features", "samples repeated", "samples weighted by whole numbers", why))
    if tuple(p.variants) != ("paper",):
        why = "what the paper leaves open or proposes"
        rows.append(("features", "last convolution, 64 x 64, as they are", ", ".join(p.variants), why))
    return rows


def _images(p) -> list[tuple]:
    why = "GPU and CPU alike; layer by layer the same outputs with the same weights to 1e-4 in a test"
    smaller = "the Keras at hand; its constant is inside the root, so steps are smaller where gradients are below 3e-4"
    rows = [
        ("fine-tuning", "Keras", "a torch port of Keras' MobileNet and RMSprop", why),
        ("RMSprop", "of a Keras 2, its version not stated", "of Keras 3", smaller),
        ("synthetic images", "not stated", "rounded to 8 bits", "an error of at most half a grey level"),
    ]
    if p.epochs != EPOCHS:
        why = (
            "cost; a shortened schedule: levels are not compared with the paper, and what a method gains that changes "
            "how many updates an epoch has is not told apart from it"
        )
        rows.append(("epochs", EPOCHS, f"{p.epochs:g}", why))
    missing = [sampler for sampler in ON_IMAGES if sampler not in p.image_samplers]
    if missing and p.image_samplers:
        rows.append(("resamplers of images left out", "none", _names(missing), "cost"))
    if "weighted" in p.image_samplers:
        rows.append(
            ("arms added on images", "none", METHODS["weighted"], "the counterpart of oversampling in the loss")
        )
    if p.finetuned_samplers:
        why = "proposed in section 4"
        rows.append(("features of the fine-tuned network", "not run", _names(p.finetuned_samplers), why))
    if p.precision != "fp32":
        rows.append(("precision", "fp32", p.precision, "speed; last layer, softmax and metrics are in fp32"))
    return rows
