"""What can be done to a trained network without training it again."""

from __future__ import annotations

import torch

from common.errors import UserError


def threshold(log_probabilities: torch.Tensor, prior) -> torch.Tensor:
    """Divide class probabilities by class priors: thresholding (Buda et al., section 2.2), alias logit adjustment.

    The paper prints the prior upside down (the sum over the class size); meant is ``p(i) = |i| / sum_k |k|``, of the
    training set before sampling, and the decision is ``argmax_i y_i(x) / p(i)``. Rows are left unnormalised: dividing a
    column by a constant keeps every class's ROC curve, renormalising a row would not.

    Parameters
    ----------
    log_probabilities : tensor, shape (..., n, C)
    prior : array, shape (C,)
        Class sizes or probabilities; only their ratios matter.

    Returns
    -------
    tensor, shape (..., n, C): ``log y - log p``.

    Raises
    ------
    UserError
        If a prior is not positive.
    """
    prior = torch.as_tensor(prior, dtype=log_probabilities.dtype, device=log_probabilities.device)
    if not bool((prior > 0).all()):
        raise UserError(f"prior {prior.tolist()}: expected a positive number for every class; drop the absent class")
    return log_probabilities - (prior / prior.sum()).log()
