"""Where a run of paper 5 departs from the paper, and what of it is reconstructed, computed from its parameters."""

from __future__ import annotations

from common import data
from common.mobilenet_weights import IMAGENET, RANDOM, described
from common.studies.multiscale_transfer_protocol import ARMS, BLACK, FOCAL, LAYER, SECOND_RATE, SPREAD

SILENT = "not public (abstract only)"
#: Sets on whose training halves settings were tried before the runs.
TRIED = ("dagm_class1", "magnetic_tile")
RATIOS = (1, 5, 10, 25, 50, 100)


def deviations(parameters) -> list[dict]:
    """Departures of a run with these `multiscale_transfer.Parameters`: what, paper, here, why."""
    p = parameters
    guess = "a reconstruction: the abstract and the bibliography leave it open"
    rows = [
        ("the whole method", "its text is not public", "a reconstruction", guess),
        ("framework", "Keras and TensorFlow (references 38 and 43)", "torch", "one framework for all five papers"),
        (
            "network", SILENT, f"{_trunk(p)}; branches of together {p.width} channels, batch normalisation after each "
            "convolution", guess,
        ),
        (
            "pooling", SILENT, f"{p.pooling} of each map", "a reconstruction; the average of a map hardly moves for a "
            "defect that covers a hundredth of it",
        ),
        (
            "schedule", SILENT, f"{p.iterations:,} updates of {p.batch_size} images, Adam at {p.learning_rate:g}, and "
            f"at {SECOND_RATE:g} of it from the middle on; the same for every arm", guess,
        ),
        (
            "two-stage transfer", "named, not explained", "the two halves of the training see different sampling "
            "distributions; a related task in between is a second reading", guess,
        ),
        ("what is frozen", SILENT, _frozen(p), guess),
        (
            "contrast", SILENT, f"each image to a spread of {SPREAD} around 128; values up to {BLACK} count as margin",
            "exposures differ within the sets",
        ),
        (
            "split", SILENT, f"one of {p.folds} parts is the test part, drawn anew for each replicate, images of one "
            "tile or patient on one side", "intervals are over seeds and splits, not over other sets of images",
        ),
        (
            "source task", "ImageNet (reference 32)", _source(p), "weights of the paper's own network are not public"
        ),
    ]  # fmt: skip
    rows += _weights(p) + _data(p)
    if p.dataset in TRIED:
        rows.append(
            (
                "choice of settings", SILENT, "pooling, size of images, learning rate and updates chosen by trials on "
                "the training half of this set", "test parts are drawn from both halves, so about half of a test part "
                "was among these trials: the same for every arm, so comparisons are little affected, and levels are "
                "optimistic",
            )
        )  # fmt: skip
    if tuple(p.ratios) != RATIOS:
        ours = ", ".join(f"{rho:g}" for rho in p.ratios) or "none"
        rows.append(("ratios", f"{SILENT}; reconstructed as 1, 5, 10, 25, 50, 100", ours, "cost"))
    if p.pretrained:
        rows.append(("augmentation", "named (reference 34)", "none", "the trunk's maps are computed once"))
    elif p.augment:
        beyond = "repeat the edge of the image" if p.border == "edge" else "leave black, which test images do not have"
        here = f"mirror images and shifts by a 32nd of the side, which {beyond}"
        rows.append(("augmentation", "named (reference 34)", here, guess))
    if "focal loss" in p.arms:
        rows.append(("focal loss", SILENT, f"exponent {FOCAL:g}, no class weights", "the default of its paper"))
    if "undersampling ensemble" in p.arms:
        why = "each with as many updates as any other network, so the ensemble costs that many times more"
        rows.append(("ensemble", SILENT, f"{p.ensemble} undersampled networks, probabilities averaged", why))
    rows.append(("conditional GAN (reference 44)", "among the references", "not run", "no description to go by"))
    if "resnet10" not in p.networks:
        why = "it takes images, and this trunk gives maps" if p.pretrained else "cost"
        rows.append(("ResNet (reference 42)", "among the references", "not measured in this setting", why))
    if p.precision != "fp32":
        rows.append(("precision", "fp32", p.precision, "speed; last layer, softmax and metrics are in fp32"))
    return [dict(zip(("what", "paper", "here", "why"), row, strict=True)) for row in rows]


def _frozen(p) -> str:
    stages = [frozen or "nothing" for frozen in (p.frozen_first, p.frozen_second)]
    own = "nothing" if set(stages) == {"nothing"} else f"first stage: {stages[0]}; second stage: {stages[1]}"
    return f"the trunk; of the rest {own}" if p.pretrained else own


def _trunk(p) -> str:
    if p.pretrained:
        return f"MobileNet up to {LAYER} with ImageNet weights, frozen, under every arm"
    return f"first convolution with stride {p.stem}, two more"


def _weights(p) -> list[tuple]:
    if not p.pretrained:
        return []
    if p.pretrained == RANDOM:
        here, why = "random", "needs no file; what random convolutions see says nothing about the paper"
    elif p.pretrained == IMAGENET:
        here, why = "the file that Keras downloads for MobileNet", "the paper's own are not public"
    else:
        here = described(p.pretrained)
        why = "the paper's own are not public, and the file that Keras downloads cannot be had here"
    return [("weights of the trunk", SILENT, here, why)]


def _source(p) -> str:
    if p.pretrained:
        then = f", then {p.related}, {p.iterations:,} updates" if "related task" in p.arms else ""
        return f"ImageNet for all arms, common methods, too{then}"
    starts = {ARMS[arm].start for arm in p.arms} - {"scratch"}
    if not starts:
        return "none"
    text = f"{p.source}, {p.source_iterations:,} updates, another network for each replicate"
    return text + (f"; then {p.related}, {p.iterations:,} updates" if "related" in starts else "")


def _data(p) -> list[tuple]:
    rows = []
    sets = "DAGM (ten textures), MURA, an unpublished industrial set"
    if p.dataset.startswith("dagm_"):
        name = p.dataset.removeprefix("dagm_class")
        rows.append(("data", sets, f"DAGM texture {name}; what of it is at hand", "one set a run; pages show all runs"))
    elif p.dataset == "magnetic_tile":
        why = "a public industrial set that is imbalanced by nature; it stands in, levels are not the paper's"
        rows.append(("data", sets, "magnetic tiles, for the industrial set", why))
    elif p.dataset == "mura":
        rows.append(("data", sets, "MURA, an image labelled as its study", "labels are given by study"))
    else:
        rows.append(("data", sets, p.dataset, "stand-in data, not comparable with the paper"))
    if p.image_size or p.dataset not in data.names():
        rows.append(("size of images", SILENT, f"{p.image_size or 'as they are'} pixels", "cost"))
    if p.ratios:
        here = f"{p.total:,} images" if p.total else "as many as there are normal ones"
        why = "so that ratios differ in nothing else; where there are not enough defects, fewer of both"
        rows.append(("training images at every ratio", SILENT, here, why))
    return rows
