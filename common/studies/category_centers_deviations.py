"""Where a run of paper 1 departs from the paper, computed from the parameters that ran."""

from __future__ import annotations

from common.imbalance import category_centers_counts
from common.studies.category_centers_networks import PROTOCOLS
from common.studies.category_centers_selection import pixels

FULL = 40_000
STATED = "states none"
CLASSES = {"cifar10": 10, "cifar100": 100}


def deviations(parameters) -> list[dict]:
    """Departures from the paper of a run with these `category_centers.Parameters`: what, paper, here, why."""
    p = parameters
    vgg = p.network == "vgg16"
    rows = []
    if p.dataset not in ("cifar10", "cifar100"):
        rows.append(("data", "CIFAR-10, CIFAR-100", p.dataset, "stand-in data, not comparable with the paper"))
    if not vgg and p.dataset == "cifar100":
        rows.append(("network on CIFAR-100", "VGG-16 alone", "All-CNN, with 100 maps", "an experiment of our own"))
    if vgg and p.input_size != 224:
        size = pixels(vars(p)) if p.dataset in CLASSES else p.input_size or p.image_size
        here = f"{size} x {size}" if size else "the images' own size"
        why = "cost; fc6 is a convolution over the whole pooled map, which is smaller then"
        rows.append(("input of VGG-16", "224 x 224", here, why))
    if vgg and p.pretraining != "imagenet":
        here = "from scratch"
        if p.pretraining:
            here = (
                f"trained here, {p.pretraining_iterations:,} updates of 128 on what is at hand of tiny_imagenet "
                "(docs/data.md), its images made as small as the input: a stand-in"
            )
        rows.append(("pre-training", "ImageNet", here, "the weights could not be had, or were not asked for"))
    if vgg and p.pretraining == "imagenet" and p.input_size != 224:
        rows.append(("fully connected layers", "pre-trained", "fresh", "pre-trained ones fit 224 x 224 only"))
    if not vgg:
        why = "no ImageNet weights of this network for 32 x 32 are known; the statement may be meant for VGG-16"
        rows.append(("pre-training of All-CNN", "'all training processes are fine-tuned'", "from scratch", why))
        if "oversampling" in p.samplers:
            rows.append(("oversampling with All-CNN", "not in table VII", "run, too", "does the finding hold here?"))
    why = "as printed the factor grows with s and exceeds 1 from s = 7"
    rule = {"exponential": "0.5 exp(-0.1 s)", "halving": "0.5 ** s"}[p.plateau]
    rows.append(("learning rate after s recessions, as a factor", "0.5 e^{0.1 s}", rule, why))
    rows.append(("end of training", STATED, f"after {p.patience} recessions", "the rule needs one"))
    if p.iterations < FULL:
        why = "shortened schedule where the rule has not ended it before; levels are not compared with the paper"
        what = "weight updates of VGG-16" if vgg else "weight updates of All-CNN"
        rows.append((what, "no limit stated", f"at most {p.iterations:,}{_passes(p)}", why))
    if p.count_scale != 1:
        why = "to tell the number of images from the number of classes" if p.dataset == "cifar10" else "size of the set"
        rows.append(("images per class", "tables I and II", f"{p.count_scale:g} times those", why))
    if p.epoch_scale:
        why = "with a tenth of the images the rule would end training after a tenth of the updates"
        here = f"after the updates of a pass over {p.epoch_scale:g} times the images of tables I and II"
        rows.append(("a look at validation accuracy", "each epoch", here, why))
    if tuple(p.imbalances) != ("A", "B", "C"):
        rows.append(("imbalances", "A, B, C", ", ".join(p.imbalances), "cost, or data of your own"))
    if "oversampling" not in p.samplers and (vgg or p.dataset == "cifar100"):
        rows.append(("OD, OC, OF", "trained on oversampled data", "not run", "cost"))
    if p.batch_size:
        rows.append(("batch size", f"{PROTOCOLS[p.network].batch_size}", p.batch_size, "asked for"))
    if not vgg and p.width != 96:
        rows.append(("All-CNN", "width 96", f"width {p.width}", "cost"))
    if vgg and p.hidden != 4096:
        rows.append(("fully connected layers", "width 4096", f"width {p.hidden}", "asked for"))
    if vgg and p.batch_norm:
        why = "without ImageNet's weights it takes long to learn anything without it"
        rows.append(("batch normalisation", "none in VGG-16", "after each convolution", why))
    why = "each with other images, initial weights and order"
    if p.pretraining:
        why = "each with other images, order and last layer, all from one pre-trained network"
    why += "; intervals" if p.replicates > 1 else "; one has no interval"
    rows.append(("repetitions", STATED, p.replicates, why))
    if p.precision != "fp32":
        why = "speed, of training alone; last layer, features and metrics are in fp32; compared with fp32 on LeNet-5 "
        why += "alone (paper 4, benchmarks/)"
        rows.append(("precision", STATED, p.precision, why))
    why = "decoupled training is the strongest rival of centres on the same features (Kang et al. 2020); it is fitted "
    why += "on the training images, so it is compared with centres of these alone"
    rows.append(("cRT, tau-norm, LWS, logit adjustment", "not compared", "added on the same networks", why))
    if not vgg:
        why = "All-CNN ends in a maximum over each class's map, which has no weights to normalise, scale or train anew"
        rows.append(("last layer for cRT, tau-norm, LWS", "-", "a linear layer on the flattened map", why))
    return [dict(zip(("what", "paper", "here", "why"), row, strict=True)) for row in rows]


def _passes(p) -> str:
    """How often a shortened schedule sees the images of tables I and II, and whether the rule can end it."""
    if p.dataset not in CLASSES or "own" in p.imbalances:
        return ""
    seen = p.iterations * (p.batch_size or PROTOCOLS[p.network].batch_size)
    printed = [category_centers_counts(kind, CLASSES[p.dataset])[0].sum() for kind in p.imbalances]
    passes = [seen / (p.count_scale * count) for count in printed]
    looks = max(seen // ((p.epoch_scale or p.count_scale) * count) for count in printed)
    soon = f", too few for {p.patience} recessions of validation accuracy" if looks <= p.patience else ""
    span = " to ".join(dict.fromkeys((f"{min(passes):.1f}", f"{max(passes):.1f}")))
    return f": {span} passes over the images{soon}"
