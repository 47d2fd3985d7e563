"""Where the networks of paper 5 look: Grad-CAM of the test defects, the pointing game, and cases kept as pictures."""

from __future__ import annotations

import numpy as np
import torch

from common.gradcam import grad_cam, pointing_game
from common.studies.multiscale_transfer_protocol import Pool, last_maps
from common.training import Resident

SIDE = 96  # pixels of a kept picture; a page shows it smaller


def explain(
    network: torch.nn.Module, data: Resident, test: np.ndarray, scores: torch.Tensor, pool: Pool, pictures: int
) -> tuple[list[dict], list[dict]]:
    """Rows and curves of one network.

    Every test image with a mask is asked for its own class. `pointing_game` is the share of maxima on the mask,
    `pointing_chance` the share of pixels that masks cover, which a random point would hit.

    Parameters
    ----------
    network : Module
    data : Resident
    test : array of int
        Positions of the test images in `data`.
    scores : tensor, shape (len(test), C)
    pool : Pool
        Images and masks, in the order of `data`.
    pictures : int
        Kept cases of each outcome: recognised and missed. Image, map (0..1) and mask are curves, pixel by pixel.

    Returns
    -------
    rows, curves : list of dict
    """
    labels, masks = data.labels.cpu().numpy(), pool.masks
    shown = np.flatnonzero((labels[test] > 0) & masks[test].any(axis=(1, 2)))
    if not len(shown):
        return [], []
    positions = test[shown]
    inputs = data.gather(torch.from_numpy(positions).to(data.device))
    maps = grad_cam(network, last_maps(network), inputs, labels[positions], masks.shape[1:])
    hits = pointing_game(maps, masks[positions])
    rows = [
        {"metric": "pointing_game", "value": float(hits.mean())},
        {"metric": "pointing_chance", "value": float(masks[positions].mean())},
    ]
    right = scores.argmax(-1).cpu().numpy()[shown] == labels[positions]
    curves = []
    for outcome, which in (("recognised", right), ("missed", ~right)):
        for number, k in enumerate(np.flatnonzero(which)[:pictures]):
            top = maps[k].max() or 1.0
            image = pool.images[positions[k]].mean(-1) / 255
            layers = {"image": image, "map": maps[k] / top, "mask": masks[positions[k]]}
            curves += [_picture(f"{outcome} {number} {name}", layer) for name, layer in layers.items()]
    return rows, curves


def _picture(name: str, layer: np.ndarray) -> dict:
    """A picture of at most `SIDE` x `SIDE` as a curve over its pixels, in 256 steps."""
    step = -(-layer.shape[0] // SIDE)
    small = torch.nn.functional.avg_pool2d(torch.as_tensor(layer, dtype=torch.float32)[None], step)[0].numpy()
    values = (small * 255).round().ravel()
    return {"curve": name, "x": list(range(len(values))), "y": values.astype(int).tolist()}


def pictures_of(curves) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    """The kept cases of one cell by its curves: (outcome, number) to its image, map and mask, square arrays in 0..1."""
    cases: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for name, part in curves.groupby("curve"):
        outcome, _, rest = name.partition(" ")
        if outcome in ("recognised", "missed"):
            number, layer = rest.split(" ")
            values = part.sort_values("x")["y"].to_numpy(float) / 255
            side = round(len(values) ** 0.5)
            cases.setdefault((outcome, int(number)), {})[layer] = values.reshape(side, side)
    return cases
