"""Features of a pre-trained MobileNet at a named layer, by Keras 3 on either of its backends.

Keras takes its backend from KERAS_BACKEND when it is first imported. Unless that is set we take tensorflow, and torch
where there is a GPU or no tensorflow. A machine without Keras gets the same features from the torch port.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Mapping
from functools import cache

import numpy as np

from common.mobilenet import LAST, MobileNet
from common.mobilenet_weights import convolutions, names, torch_state

BATCH = 256


@cache
def keras(device: str = "cpu"):
    """The keras module, on one thread of the CPU: cells run one a core."""
    if "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND"):
        tensorflow = device == "cpu" and importlib.util.find_spec("tensorflow") is not None
        os.environ["KERAS_BACKEND"] = "tensorflow" if tensorflow else "torch"
    os.environ.setdefault("KERAS_TORCH_DEVICE", device)  # Keras would take any GPU that there is
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # torch loads Triton with its first optimiser, and the process ends if TensorFlow's LLVM was there before Triton's.
    importlib.import_module("torch._dynamo")
    module = importlib.import_module("keras")
    if module.backend.backend() == "tensorflow":
        import tensorflow

        try:
            tensorflow.config.threading.set_intra_op_parallelism_threads(1)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # tensorflow is in use already, with the threads it has
    return module


def engine(device: str = "cpu") -> str:
    """What `extract` runs on here: 'keras-tensorflow', 'keras-torch' or 'torch' (the port)."""
    if importlib.util.find_spec("keras") is None:
        return "torch"
    return f"keras-{keras(device).backend.backend()}"


def model(weights: Mapping[str, np.ndarray], side: int, alpha: float, layer: str, device: str = "cpu"):
    """Keras' MobileNet without its top, from images (n, side, side, 3) in [-1, 1] to the maps of `layer`."""
    k = keras(device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`input_shape` is undefined or non-square.*")
        whole = k.applications.MobileNet(input_shape=(side, side, 3), alpha=alpha, include_top=False, weights=None)
    for conv in convolutions():
        for name in (conv, f"{conv}_bn"):
            whole.get_layer(name).set_weights([weights[entry] for entry in names() if entry.startswith(f"{name}/")])
    return k.Model(whole.input, whole.get_layer(layer).output)


def extract(
    images: np.ndarray,
    weights: Mapping[str, np.ndarray],
    *,
    layer: str = LAST,
    pooled: bool = False,
    alpha: float = 1.0,
    device: str = "cpu",
) -> np.ndarray:
    """Features of images, in batches.

    Parameters
    ----------
    images : array of uint8, shape (n, side, side, 1 or 3)
        One channel is repeated; pixels are scaled to [-1, 1] as Keras' `preprocess_input` does.
    weights : mapping
        See `mobilenet_weights`.
    layer : str
        One of `mobilenet.LAYERS`.
    pooled : bool
        Average over places instead of flattening.
    alpha : float
    device : {'cpu', 'cuda'}

    Returns
    -------
    ndarray of float32, shape (n, height * width * channels), or (n, channels) if pooled
    """
    if engine(device) == "torch":
        maps = _port(weights, alpha, layer, device)
    else:
        net = model(weights, images.shape[1], alpha, layer, device)

        def maps(batch: np.ndarray) -> np.ndarray:
            scaled = np.repeat(batch, 3 // batch.shape[-1], axis=-1).astype(np.float32) / 127.5 - 1
            return keras().ops.convert_to_numpy(net.predict_on_batch(scaled))

    parts = []
    for start in range(0, len(images), BATCH):
        found = maps(np.asarray(images[start : start + BATCH]))
        parts.append(found.mean((1, 2)) if pooled else found.reshape(len(found), -1))
    return np.concatenate(parts).astype(np.float32, copy=False)


def _port(weights, alpha: float, layer: str, device: str):
    import torch

    network = MobileNet(alpha=alpha).eval()
    network.body.load_state_dict(torch_state(weights))
    network.to(device)

    @torch.no_grad()
    def maps(batch: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(np.array(batch)).to(device).permute(0, 3, 1, 2).float() / 256
        return network.maps(x, layer).permute(0, 2, 3, 1).cpu().numpy()

    return maps
