"""Weights of MobileNet's convolutions as plain arrays, whatever file they come from, and their identity.

A set of weights is a mapping ``<Keras' layer>/<variable>`` to float32 array in Keras' layout. It is read from Keras'
files (``.weights.h5`` of Keras 3, or the older ``_no_top.h5`` that Keras downloads), or from ``.npz``, which needs
neither Keras nor h5py:

    python -m common.mobilenet_weights convert FILE.h5 FILE.npz
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common import paths
from common.errors import UserError

RANDOM, IMAGENET = "random", "imagenet"
KERAS_FILE = "mobilenet_1_0_224_tf_no_top.h5"  # as `keras.applications` names it
#: The weights at hand, by their digest.
KNOWN = {
    "d11c7857f5e51db4": "8-bit weights of a public quantisation-aware MobileNet v1 trained on ImageNet, "
    "batch-normalisation statistics estimated anew on Tiny ImageNet, which small images enlarged to 224 pixels agree "
    "with far better than at 64 pixels"
}
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_TORCH_NORM = ("weight", "bias", "running_mean", "running_var")
_N_BLOCKS = 13


def described(name: str) -> str:
    """What the weights are that studies know by this digest, as a reader has to know it."""
    return f"{KNOWN.get(name, 'a file of ImageNet weights')} (digest {name})"


def convolutions() -> list[str]:
    """Names of the convolutions in the order of the network; each has batch normalisation ``<name>_bn``."""
    return ["conv1", *(f"conv_{kind}_{i}" for i in range(1, _N_BLOCKS + 1) for kind in ("dw", "pw"))]


def names() -> list[str]:
    """Names of all arrays."""
    return [name for conv in convolutions() for name in (f"{conv}/kernel", *(f"{conv}_bn/{v}" for v in _NORM))]


def read(path) -> dict[str, np.ndarray]:
    """Weights from a file.

    Raises
    ------
    UserError
        If the file is missing, cannot be read here, or does not hold MobileNet's convolutions.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"weights {path}: no such file; expected Keras' MobileNet as .weights.h5, .h5 or .npz")
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
        except Exception as error:  # a damaged file raises whatever its bytes happen to say
            raise UserError(
                f"weights {path}: not an archive of plain arrays ({_reason(error)}); copy it again"
            ) from None
    elif path.suffix == ".h5":
        arrays = _read_h5(path)
    else:
        raise UserError(f"weights {path}: expected a name that ends in .h5 or .npz")
    missing = [name for name in names() if name not in arrays]
    if missing:
        raise UserError(f"weights {path}: no {missing[0]}; expected all convolutions of MobileNet")
    return {name: np.asarray(arrays[name], dtype=np.float32) for name in names()}


def _read_h5(path: Path) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise UserError(
            f"weights {path}: h5py is not installed; convert the file where it is: "
            "python -m common.mobilenet_weights convert FILE.h5 FILE.npz"
        ) from None
    try:
        with h5py.File(path) as file:
            return _keras_3(file["layers"]) if "layers" in file else _keras_2(file)
    except Exception as error:  # a damaged file, or one of another network
        raise UserError(f"weights {path}: not a file of MobileNet's weights ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _keras_3(layers) -> dict[str, np.ndarray]:
    """Keras 3 numbers the layers of a kind in order of creation; the first has no number."""
    arrays, numbers = {}, {}
    for conv in convolutions():
        kinds = {"depthwise_conv2d" if "_dw_" in conv else "conv2d": (conv, ("kernel",))}
        for kind, (name, variables) in {**kinds, "batch_normalization": (f"{conv}_bn", _NORM)}.items():
            number = numbers[kind] = numbers.get(kind, -1) + 1
            group = layers[f"{kind}_{number}" if number else kind]["vars"]
            arrays |= {f"{name}/{variable}": group[str(i)][:] for i, variable in enumerate(variables)}
    return arrays


def _keras_2(file) -> dict[str, np.ndarray]:
    """Older files have a group a layer, whose attribute lists its variables in order."""
    arrays = {}
    for conv in convolutions():
        for name, variables in ((conv, ("kernel",)), (f"{conv}_bn", _NORM)):
            group = file[name]
            order = [entry.decode() if isinstance(entry, bytes) else entry for entry in group.attrs["weight_names"]]
            arrays |= {f"{name}/{variable}": group[entry][:] for variable, entry in zip(variables, order, strict=True)}
    return arrays


def torch_state(weights: Mapping[str, np.ndarray]) -> dict:
    """State of the torch port's `body`. Kernels (h, w, in, out) or, depthwise, (h, w, in, 1) become (out, in, h, w)."""
    import torch

    state = {}
    for conv in convolutions():
        order = (2, 3, 0, 1) if "_dw_" in conv else (3, 2, 0, 1)
        state[f"{conv}.weight"] = torch.tensor(weights[f"{conv}/kernel"].transpose(order).copy())
        for keras, own in zip(_NORM, _TORCH_NORM, strict=True):
            state[f"{conv}_bn.{own}"] = torch.tensor(weights[f"{conv}_bn/{keras}"])
        state[f"{conv}_bn.num_batches_tracked"] = torch.tensor(0)
    return state


def from_torch(state: Mapping) -> dict[str, np.ndarray]:
    """The inverse of `torch_state`."""
    weights = {}
    for conv in convolutions():
        order = (2, 3, 0, 1) if "_dw_" in conv else (2, 3, 1, 0)
        weights[f"{conv}/kernel"] = state[f"{conv}.weight"].numpy().transpose(order).copy()
        for keras, own in zip(_NORM, _TORCH_NORM, strict=True):
            weights[f"{conv}_bn/{keras}"] = state[f"{conv}_bn.{own}"].numpy().copy()
    return weights


def draw(alpha: float = 1.0, seed: int = 0) -> dict[str, np.ndarray]:
    """Random weights (He et al.'s normal) where there are no trained ones: for the demo and for tests.

    Keras' own initialisation would not do: its depthwise kernels are so small that the last map vanishes.
    """
    import torch

    from common.mobilenet import MobileNet
    from common.networks import kaiming_

    body = kaiming_(MobileNet(alpha=alpha).body, torch.Generator().manual_seed(seed))
    return from_torch(body.state_dict())


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """Identity of the arrays, 16 hexadecimal digits: the same for the same weights in files of either kind."""
    content = hashlib.sha256()
    for name in names():
        content.update(f"{name}{weights[name].shape}".encode())
        content.update(np.ascontiguousarray(weights[name], dtype="<f4").tobytes())
    return content.hexdigest()[:16]


def load(which: str, path: str = "", *, alpha: float = 1.0, offline: bool = False) -> dict[str, np.ndarray]:
    """The weights that a study asks for.

    Parameters
    ----------
    which : str
        'random'; 'imagenet', the file that Keras downloads; or the `digest` of the weights in the file `path`. So a
        result's settings say which weights it is from, whatever the file is called.
    path : str
        A file of weights.
    alpha : float
        Multiplier of the channels, which trained weights have to fit.
    offline : bool
        Never download.

    Raises
    ------
    UserError
        If the weights cannot be had, or are not those asked for; it says what to set.
    """
    if which == RANDOM:
        return draw(alpha)
    if which == IMAGENET:
        if path:
            raise UserError(
                f"weights {path}: 'imagenet' means the file that Keras downloads; for this file set "
                f"pretrained={digest(read(path))}"
            )
        weights = read(_download(offline))
    elif not path:
        raise UserError(
            f"pretrained {which!r}: pass the file of these weights with --weights FILE, or set pretrained=imagenet to "
            "let Keras download its own"
        )
    else:
        weights = read(path)
        if (found := digest(weights)) != which:
            raise UserError(f"weights {path}: their digest is {found}, not {which}; to use them set pretrained={found}")
    if weights["conv1/kernel"].shape[-1] != int(32 * alpha):
        raise UserError(f"alpha {alpha}: the weights are for {weights['conv1/kernel'].shape[-1] / 32:g}")
    for name, array in draw(alpha).items():
        if weights[name].shape != array.shape:
            raise UserError(
                f"weights {path}: {name} is of shape {weights[name].shape}, not {array.shape}; expected MobileNet's"
            )
    return weights


def _download(offline: bool) -> str:
    from common.keras_features import keras

    kept = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / KERAS_FILE
    if kept.is_file():
        return str(kept)
    if offline:
        raise UserError(f"pretrained 'imagenet': {kept} is not there and --offline forbids the download; {_WAYS_OUT}")
    if not paths.writable(kept.parent):  # Keras would put the file elsewhere
        raise UserError(f"pretrained 'imagenet': {kept.parent} cannot be written; set KERAS_HOME to a folder that can")
    try:
        keras().applications.MobileNet(include_top=False, weights="imagenet")
        return str(kept)
    except ImportError:
        raise UserError(f"pretrained 'imagenet': Keras is not installed to download its weights; {_WAYS_OUT}") from None
    except Exception as error:  # Keras raises a bare Exception where the download fails
        raise UserError(
            f"pretrained 'imagenet': Keras could not download its weights ({error}); {_WAYS_OUT}"
        ) from error


_WAYS_OUT = "pass a file with --weights FILE and its digest as pretrained, or use pretrained=random"


def main(arguments: list[str]) -> int:
    """``convert FILE.h5 FILE.npz`` or ``digest FILE``."""
    try:
        if len(arguments) == 3 and arguments[0] == "convert" and arguments[2].endswith(".npz"):
            weights = read(arguments[1])
            np.savez(arguments[2], **weights)
        elif len(arguments) == 2 and arguments[0] == "digest":
            weights = read(arguments[1])
        else:
            raise UserError("expected: convert FILE.h5 FILE.npz, or digest FILE")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(digest(weights))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
