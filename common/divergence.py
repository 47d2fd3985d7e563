"""What a verdict may rest on where networks diverged.

Diverged results are left out, yet a verdict may not rest on leaving them out. A network that diverged where its
partner did not counts as worse than any score. If that speaks against a claim of no difference or no harm
(equivalence, not less, not greater), the claim is not supported; any other is undecided at best. If it speaks for a
claim that the rest refutes, the verdict is undecided. Where it may speak either way (a trend, a flat or equal level,
a function of the study, a metric of which more is not better) it counts as against. A group that divergence left
empty is not judged, so `every` is not supported and `some` not refuted. What diverged on both sides of a pair says
nothing, nor does a loss undo the one group that `some` needs. Where nothing is left there is no data.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from common import groups
from common.claim_file import ORDERS, Claim
from common.verdicts import Verdict

#: Metrics of which more is better, so that a network that diverged is at their lower end.
SCORES = frozenset(
    "auc accuracy recall recall_few recall_many balanced_accuracy pr_auc pair_accuracy held_out_pair_accuracy "
    "avacc cba mavg pointing_game".split()
)
NO_HARM = ("not less", "not greater")


def judged(claim: Claim, cells: pd.DataFrame, effects: Mapping, verdict: Verdict, notes: list[str]) -> Verdict:
    """The verdict once it is seen what divergence took away.

    Parameters
    ----------
    claim : Claim
    cells : DataFrame
        All cells compared, `value` NaN where a side diverged, and `lost` (`matching.pair`).
    effects : mapping
        The groups that were judged, by name.
    verdict : Verdict
        That of what did not diverge.
    notes : list of str
        What a reader should know is appended.
    """
    lost = cells["lost"]
    if claim.against and lost.any():
        notes.append(f"diverged in {(lost != 0).sum()} cells whose partner did not")
    ordered = claim.direction in ORDERS and claim.test in ("difference", "level") and claim.metric in SCORES
    opposing = lost.eq(-1 if claim.direction in ("greater", "not less") else 1) if ordered else lost.ne(0)
    favouring = lost.ne(0) & ~opposing
    gone = sorted(set(groups.of(claim, cells[cells["value"].isna()])) - set(effects))
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        notes.append(f"not judged, for it diverged: {' / '.join(gone[:3])}{more}")
    if opposing.any() and not claim.some:
        if claim.test == "equivalence" or (ordered and claim.direction in NO_HARM):
            return Verdict.NOT_SUPPORTED
        verdict = Verdict.UNDECIDED if verdict is Verdict.SUPPORTED else verdict
    if favouring.any() and not claim.every and verdict is Verdict.NOT_SUPPORTED:
        return Verdict.UNDECIDED
    if gone and verdict is (Verdict.NOT_SUPPORTED if claim.some else Verdict.SUPPORTED):
        return Verdict.UNDECIDED
    return verdict
