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
        If there is not one finite positive prior for each class, or the scores are no tensor of floating-point numbers.
    """
    if not isinstance(log_probabilities, torch.Tensor) or not log_probabilities.is_floating_point():
        kind = getattr(log_probabilities, "dtype", type(log_probabilities).__name__)
        raise UserError(
            f"log_probabilities of type {kind}: expected a tensor of floating-point numbers; see torch.as_tensor"
        )
    prior = torch.as_tensor(prior, dtype=torch.float64, device="cpu")
    if prior.shape != log_probabilities.shape[-1:]:
        raise UserError(
            f"prior of shape {tuple(prior.shape)} for scores of shape {tuple(log_probabilities.shape)}; expected one "
            "number for each class"
        )
    if not bool((prior > 0).all() and prior.isfinite().all()):
        raise UserError(f"prior {prior.tolist()}: expected a positive number for every class; drop the absent class")
    # In double precision: the sum of class sizes is beyond what half precision can hold.
    return log_probabilities - (prior / prior.sum()).log().to(log_probabilities)
