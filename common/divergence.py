"""What a verdict may rest on where networks diverged: not on leaving them out.

The effect shown is that of what did not diverge. A verdict has to be the same whatever the networks that diverged would
have scored: each group is judged as it is, with what was lost at the worst score, and with it at the best, and decides
only where all three agree (`verdicts.decide`). That needs a measure with a worst and a best (`SCORES`), and an effect
that is a mean of it (`MEANS`). A group that lost some of anything else is undecided, and so is one of which nothing is
left. What diverged on both sides of a pair says nothing of their difference and is left out.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from common import groups
from common.claim_file import Claim

#: Metrics from 0, the worst, to 1, the best.
SCORES = frozenset(
    "auc accuracy recall recall_few recall_many balanced_accuracy pr_auc pair_accuracy held_out_pair_accuracy "
    "minor_recall train_accuracy avacc cba mavg pointing_game".split()
)
MEANS = ("difference", "equivalence", "level")


def readings(claim: Claim, cells: pd.DataFrame) -> list[pd.DataFrame]:
    """The cells without those that are lost, then, if there are any, with these at the worst and at the best.

    Parameters
    ----------
    claim : Claim
    cells : DataFrame
        All cells compared: `value`, NaN where a side diverged, and `least` and `most` (`matching.pair`).
    """
    known = [cells[cells["value"].notna()]]
    if _lost(cells).empty or not _bounded(claim):
        return known
    return known + [cells.assign(value=cells[bound]).dropna(subset="value") for bound in ("least", "most")]


def undecidable(claim: Claim, cells: pd.DataFrame, shown: Collection[str], notes: list[str]) -> set[str]:
    """Names of the groups that divergence left nothing of, or some of what has no worst and best.

    Parameters
    ----------
    claim, cells
        As in `readings`.
    shown : collection of str
        The groups of which something is left.
    notes : list of str
        What a reader should know is appended.
    """
    lost = _lost(cells)
    if claim.against and len(lost):
        notes.append(f"diverged in {len(lost)} cells whose partner did not")
    gone = sorted(set(groups.of(claim, cells[cells["value"].isna()])) - set(shown))
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        notes.append(f"not judged, for it diverged: {' / '.join(gone[:3])}{more}")
    return {*gone, *(groups.of(claim, lost) if len(lost) and not _bounded(claim) else ())}


def _lost(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells that hang on a network that diverged while its partner, if it has one, did not."""
    return cells[cells["value"].isna() & cells["least"].notna()]


def _bounded(claim: Claim) -> bool:
    return claim.metric in SCORES and claim.test in MEANS
