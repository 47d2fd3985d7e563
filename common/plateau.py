"""Learning rates that fall when validation accuracy does."""

from __future__ import annotations

import math

from common.errors import UserError

#: Rate after s recessions, as a share of the base rate; s = 0 is the base rate itself.
RULES = {
    "exponential": lambda s: 0.5 * math.exp(-0.1 * s) if s else 1.0,
    "halving": lambda s: 0.5**s,
}


class Recessions:
    """The learning rate of Zhang et al. (section IV.A): it 'exponentially goes down by 0.5e^{0.1s}', where s counts the
    recessions of validation accuracy.

    A recession is an epoch whose accuracy lies below the best so far. As printed the factor grows with s and exceeds 1
    from s = 7, so 'goes down' needs the other sign.

    Parameters
    ----------
    rule : {'exponential', 'halving'}
        exponential: the base rate times ``0.5 exp(-0.1 s)``; halving: the base rate times ``0.5 ** s``.
    patience : int
        Recessions after which training ends.

    Attributes
    ----------
    count : int
        Recessions so far.

    Examples
    --------
    >>> course = Recessions("halving", patience=2)
    >>> [course.after(accuracy) for accuracy in (0.3, 0.5, 0.4, 0.45)]
    [1.0, 1.0, 0.5, 0.0]
    """

    def __init__(self, rule: str, patience: int):
        if rule not in RULES:
            raise UserError(f"plateau {rule!r}: expected one of {', '.join(RULES)}")
        if patience < 1:
            raise UserError(f"patience {patience}: expected at least 1 recession of validation accuracy")
        self._share, self._patience = RULES[rule], patience
        self._best = -math.inf
        self.count = 0

    def after(self, accuracy: float) -> float:
        """Factor on the present rate after an epoch of this validation accuracy; 0 ends the training."""
        if accuracy >= self._best:
            self._best = accuracy
            return 1.0
        self.count += 1
        return 0.0 if self.count >= self._patience else self._share(self.count) / self._share(self.count - 1)
