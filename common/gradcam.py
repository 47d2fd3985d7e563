"""Grad-CAM, by captum, and how often its maximum lies on what was to be found."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from common.errors import UserError

CHUNK = 64  # images at a time; bounds memory


def grad_cam(network: nn.Module, layer: nn.Module, images: torch.Tensor, targets, size: tuple[int, int]) -> np.ndarray:
    """Where in an image a network finds evidence for a class (Selvaraju et al. 2017).

    Parameters
    ----------
    network, layer : Module
        The layer gives maps (n, c, h, w); Grad-CAM is taken of its output.
    images : tensor, shape (n, channels, height, width)
    targets : array of int, shape (n,)
        The class asked about, for each image.
    size : (int, int)
        Height and width of the result; maps are enlarged bilinearly.

    Returns
    -------
    ndarray of float32, shape (n, *size), 0 where nothing speaks for the class.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    explainer = LayerGradCam(network.eval(), layer)
    targets = torch.as_tensor(np.asarray(targets), device=images.device)
    maps = []
    for some, asked in zip(images.split(CHUNK), targets.split(CHUNK), strict=True):
        found = explainer.attribute(some, target=asked, relu_attributions=True)
        maps.append(LayerAttribution.interpolate(found, size, "bilinear")[:, 0].detach().float().cpu())
    return torch.cat(maps).numpy()


def pointing_game(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Whether each map's maximum lies in its mask (Zhang et al. 2018, without their tolerance of 15 pixels).

    Parameters
    ----------
    maps : array, shape (n, h, w)
        A map that is zero everywhere points nowhere: no hit.
    masks : array of bool, shape (n, h, w)

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    UserError
        If the shapes differ.
    """
    if maps.shape != masks.shape:
        raise UserError(f"maps of shape {maps.shape}, masks of {masks.shape}; expected the same")
    flat = maps.reshape(len(maps), -1)
    top = flat.argmax(axis=1)
    rows = np.arange(len(maps))
    return masks.reshape(len(masks), -1)[rows, top] & (flat[rows, top] > 0)
