"""Grad-CAM against the formula, and the pointing game by hand."""

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.gradcam import grad_cam, pointing_game
from common.multiscale import MultiScaleCNN


def test_grad_cam_is_the_class_activation_map_of_a_pooled_network():
    """With average pooling and a linear head the gradient of a logit is its weight over the number of places."""
    torch.manual_seed(0)
    network = MultiScaleCNN(n_classes=3, width=8, dropout=0.0).eval()
    x, targets = torch.rand(5, 1, 32, 32), np.array([0, 1, 2, 1, 0])
    maps = network.maps(x).detach()
    weights = network.head.weight.detach()[torch.as_tensor(targets)]
    expected = torch.relu((maps * weights[:, :, None, None]).sum(1)) / maps[0, 0].numel()
    found = grad_cam(network, network.branches, x, targets, (4, 4))
    assert np.allclose(found, expected.numpy(), atol=1e-6)
    assert grad_cam(network, network.branches, x, targets, (32, 32)).shape == (5, 32, 32)


def test_pointing_game_by_hand():
    maps = np.zeros((3, 2, 2))
    maps[0, 0, 1] = maps[1, 0, 1] = 0.5
    masks = np.zeros((3, 2, 2), bool)
    masks[0, 0, 1] = masks[1, 1, 1] = masks[2, 0, 0] = True
    # On the mask; beside it; a map that is zero everywhere has its first maximum on the mask but points nowhere.
    assert pointing_game(maps, masks).tolist() == [True, False, False]


def test_shapes_must_agree():
    with pytest.raises(UserError, match=r"maps of shape \(1, 2, 2\), masks of \(1, 3, 3\)"):
        pointing_game(np.zeros((1, 2, 2)), np.zeros((1, 3, 3), bool))
