"""The fully connected layers of VGG on latents computed once: what paper 3 trains on real and synthetic samples."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn
from torch.nn import functional

from common.dropout import Dropout


class LatentHead(nn.Module):
    """The fully connected layers of `vgg.VGG`, by the same names; fc6 is a matrix here.

    Parameters
    ----------
    n_features : int
        Of a latent.
    hidden, n_classes : int
    dropout : float
    """

    def __init__(self, n_features: int, hidden: int, n_classes: int, dropout: float):
        super().__init__()
        self.fc6 = nn.Linear(n_features, hidden)
        self.drop6 = Dropout(dropout)
        self.fc7 = nn.Linear(hidden, hidden)
        self.drop7 = Dropout(dropout)
        self.head = nn.Linear(hidden, n_classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Latents to the rectified values of fc7."""
        return functional.relu(self.fc7(self.drop6(functional.relu(self.fc6(x)))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Latents (n, n_features) to logits (n, n_classes)."""
        return self.head(self.drop7(self.features(x)))


def from_vgg(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State of a `LatentHead` from that of a VGG's fully connected layers."""
    return {name: value.flatten(1) if value.dim() == 4 else value for name, value in state.items()}


class HeadClassifier(ClassifierMixin, BaseEstimator):
    """A trained head as a classifier of scikit-learn, for samplers that ask where the boundary is.

    Parameters
    ----------
    network : LatentHead
    """

    def __init__(self, network: LatentHead):
        self.network = network
        self.classes_ = np.arange(network.head.out_features)

    def fit(self, X, y):
        """Nothing: the head is trained by `training.fit_many`."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @torch.no_grad()
    def predict_proba(self, X) -> np.ndarray:
        """Probabilities in float64, shape (n, C): in float32 those of a confident head round to 1, and tie."""
        device = self.network.head.weight.device
        # A copy, because cached latents are read-only memory maps, which torch cannot share.
        inputs = torch.from_numpy(np.array(X, dtype=np.float32)).to(device)
        return torch.softmax(self.network.eval()(inputs).double(), dim=-1).cpu().numpy()

    def predict(self, X) -> np.ndarray:
        """The most probable class, shape (n,)."""
        return self.predict_proba(X).argmax(axis=1)
