"""What a VGG-16 of paper 1 knows before it sees CIFAR: ImageNet's weights, or a stand-in trained here."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import torch

from common import training
from common.cells import Context
from common.data import Images
from common.errors import UserError, reason
from common.seeds import seed
from common.studies import category_centers as study
from common.studies import category_centers_networks as networks
from common.studies.category_centers import Cell

#: torchvision's, of pixels / 255; ours come in as pixels / 256.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALE = 255 / 256
TINY = 64  # pixels of tiny_imagenet
REVISION = 2  # of how the stand-in is trained: first weights, rate; 1 did not learn
DIGITS = 16  # of a weights file's digest, in a cell's key


def pretrained(cell: Cell, context: Context) -> dict[str, torch.Tensor]:
    """The part of a network's state that pre-training decides: all but the last layer, with the images' scale.

    torchvision's ImageNet weights, or those of a network trained here on tiny_imagenet, once for all cells that share
    it (a stand-in for ImageNet).
    """
    size = _size(cell, context)
    if cell.pretraining == "imagenet":
        return imagenet_state(
            context.options.weights_path(), context.options.offline, size, cell.hidden, cell.pretrained
        )
    source = pretraining_images(cell, context)
    fields = study.pretraining_fields(cell) | {"size": size, "data": source.fingerprint, "revision": REVISION}
    if study.VERSION > 1:  # version 1 stays out, so that what was made before the version was a field is found
        fields["version"] = study.VERSION
    arrays = context.artifact("category_centers-vgg16", fields, lambda: _pretrain(cell, source, context))
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


def _size(cell: Cell, context: Context) -> int:
    return cell.input_size or context.data(cell.dataset, cell.image_size)[0].images.shape[1]


def pretraining_images(cell: Cell, context: Context) -> Images:
    """tiny_imagenet's training images, 64 x 64, or as large as the cell's network takes if that is less."""
    size = _size(cell, context)
    return context.data("tiny_imagenet", size if size < TINY else 0)[0]


def _pretrain(cell: Cell, source: Images, context: Context) -> dict[str, np.ndarray]:
    """A VGG-16 on another data set; its state without the last layer."""
    n_classes = len(source.classes)
    build = networks.builder(cell, source.images.shape[1:], n_classes, networks.channel_statistics(source.images))
    schedule = _schedule(cell)
    data = training.Resident(source.images, source.labels, context.options.device)
    chance = {f"seed_{name}": seed("pretraining", name) for name in ("init", "order", "dropout")}
    member = training.Member(np.arange(len(source)), **chance)
    identity = (study.STEM, study.VERSION, REVISION, study.pretraining_fields(cell))
    how = {"precision": cell.precision, "checkpoints": context.checkpoints, "identity": identity}
    (fitted,) = training.fit_many(build, data, [member], schedule, **how)
    return {name: value.numpy() for name, value in fitted.state.items() if not name.startswith("network.head.")}


def _schedule(cell: Cell) -> training.Schedule:
    """How a VGG is trained on another data set before; five times Simonyan and Zisserman's rate where it bears it."""
    return training.Schedule(
        iterations=cell.pretraining_iterations,
        batch_size=128,
        learning_rate=0.05 if cell.batch_norm else 0.01,
        policy="linear",
        momentum=0.9,
        weight_decay=networks.WEIGHT_DECAY,
        bias_rate=1.0,
    )


@cache
def imagenet_state(path: str, offline: bool, size: int, hidden: int, pretrained: str = "") -> dict[str, torch.Tensor]:
    """torchvision's VGG-16 under the names of `Standardised(VGG)`, without its last layer, with its channels' scale.

    Parameters
    ----------
    path : str
        A file written by ``torch.save(model.state_dict())``; empty: torchvision downloads it.
    size, hidden : int
        Of the network that it is for. The fully connected layers fit 224 pixels and width 4096; for other sizes only
        the convolutions are taken.
    pretrained : str
        Digest of the file, so that a cell's key says what its weights were; empty: torchvision's own.

    Raises
    ------
    UserError
        If it cannot be had, is no VGG-16, or is another file than was asked for.
    """
    theirs = _load(path) if path else _download(offline)
    names = {name: f"network.body.{name.removeprefix('features.')}" for name in theirs if name.startswith("features.")}
    if len(names) != 26 or "classifier.3.weight" not in theirs:
        raise UserError(f"weights {path or 'of torchvision'}: expected the state dict of torchvision's vgg16")
    _check_digest(path, pretrained)
    state = {ours: theirs[name] for name, ours in names.items()}
    for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_DEVIATION)):
        state[name] = SCALE * torch.tensor(values).view(-1, 1, 1)
    if size == 224 and hidden == 4096:
        state["network.fc6.weight"] = theirs["classifier.0.weight"].view(hidden, 512, 7, 7)
        state["network.fc6.bias"] = theirs["classifier.0.bias"]
        state |= {f"network.fc7.{kind}": theirs[f"classifier.3.{kind}"] for kind in ("weight", "bias")}
    return state


def _check_digest(path: str, pretrained: str) -> None:
    from torchvision.models import VGG16_Weights

    if not path:
        if pretrained:
            raise UserError(f"pretrained: {pretrained!r} is the digest of a file; name that with --weights")
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    own = VGG16_Weights.IMAGENET1K_V1.url.rsplit("-", 1)[1].removesuffix(".pth")  # its name ends in its digest's start
    if found[:DIGITS] != pretrained if pretrained else not found.startswith(own):
        meant = f"not {pretrained}" if pretrained else f"not that of torchvision's own file, {own}"
        raise UserError(
            f"weights {path}: their digest is {found[:DIGITS]}, {meant}; to use them set pretrained={found[:DIGITS]}"
        )


def _load(path: str) -> dict[str, torch.Tensor]:
    import pickle

    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file raises whatever its bytes happen to say
        # What torch says of a pickle is how to load it all the same.
        what = "more than tensors" if isinstance(error, pickle.UnpicklingError) else reason(error)
        raise UserError(f"weights {path}: no state dict that torch can load ({what}); see docs/running.md") from error


def _download(offline: bool) -> dict[str, torch.Tensor]:
    from torchvision.models import VGG16_Weights

    way = "pass the file of torchvision's vgg16 with --weights, or set pretraining to tiny_imagenet or to nothing"
    published = VGG16_Weights.IMAGENET1K_V1
    kept = Path(torch.hub.get_dir()) / "checkpoints" / published.url.rsplit("/", 1)[1]
    if kept.is_file():  # from an earlier run, or from another program that uses torchvision
        _check_digest(str(kept), "")
        return _load(str(kept))
    if offline:
        raise UserError(f"ImageNet weights of VGG-16: {kept} is not there and --offline forbids the download; {way}")
    try:
        return published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"ImageNet weights of VGG-16 cannot be downloaded ({error}); {way}") from error
