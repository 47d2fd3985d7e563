"""Which method wins, by which measure, on the same data, imbalances and replicates; and what to use therefore.

Every study lists its scores (``contest`` in ``common/studies/<stem>_overview.py``): situation, where, setting, rho,
metric, method, replicate, value (NaN where a network diverged), and test_share where replicates are folds that share
images. Methods race on settings and replicates that all of them have, so no mean is over other cells than its rivals'.

The winner is picked on the results that it is judged by. So a lead counts only if its interval stays above zero at a
level corrected for the number of rivals (Bonferroni); the 95 % interval stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from common import matching, tables
from common.statistics import Interval, corrected_interval, interval

LEVEL = 0.95
MILD = 10  # the ratio up to which imbalance is called mild
LEAST = 3  # replicates that a lead needs: two may agree by chance, and their interval has no width then
WORTH = 0.002  # a gain that surely is smaller than this makes no difference in use
DIVERGED = "diverged"
NAMED = 4  # methods that a rule lists, at most
PLACE = ["situation", "where", "metric"]


@dataclass(frozen=True)
class Race:
    """Methods on the same cells.

    Parameters
    ----------
    scores : DataFrame
        Replicate (rows) by method, best mean first; means over the settings.
    baseline : str
        What the others are measured by.
    settings : tuple of str
        Over which the scores are means.
    left_out : dict
        Method to why it does not race.
    test_share : float or None
        Replicates are folds (`corrected_interval`).
    """

    scores: pd.DataFrame
    baseline: str
    settings: tuple[str, ...]
    left_out: dict[str, str]
    test_share: float | None = None

    @property
    def best(self) -> str:
        """The method with the highest mean."""
        return self.scores.columns[0]

    @property
    def next(self) -> str:
        """The method with the second highest mean."""
        return self.scores.columns[1]

    @property
    def n(self) -> int:
        """Replicates."""
        return len(self.scores)

    def gap(self, of: str, against: str, strict: bool = False) -> Interval:
        """Mean of `of` minus `against` over replicates; `strict`: at the level corrected for the number of rivals."""
        difference = self.scores[of] - self.scores[against]
        level = 1 - (1 - LEVEL) / (self.scores.shape[1] - 1) if strict else LEVEL
        if self.test_share is None:
            return interval(difference, level)
        return corrected_interval(difference, self.test_share, level)

    def ahead(self, of: str, against: str) -> bool | None:
        """Whether `of` is better (True), worse (False), or neither is shown (None)."""
        return self.gap(of, against, strict=True).above(0) if self.n >= LEAST else None

    @property
    def better(self) -> list[str]:
        """Methods that are better than the baseline, best first."""
        return [name for name in self._others if self.ahead(name, self.baseline) is True]

    @property
    def worse(self) -> list[str]:
        """Methods that are worse than the baseline, worst last."""
        return [name for name in self._others if self.ahead(name, self.baseline) is False]

    def ties(self, method: str) -> list[str]:
        """Methods that `method` is not shown to be better than."""
        return [name for name in self.scores if name != method and self.ahead(method, name) is not True]

    @property
    def _others(self) -> list[str]:
        return [name for name in self.scores if name != self.baseline]


def race(rows: pd.DataFrame, baseline: str) -> Race | None:
    """The race of all methods that have the same settings in the same replicates.

    Parameters
    ----------
    rows : DataFrame
        Columns setting, method, replicate, value, and optionally test_share; of one metric.
    baseline : str
        A method.

    Returns
    -------
    Race or None
        None if there are no two such methods, or the baseline is not among them.
    """
    cells = rows[["method", "setting", "replicate", "value"]]
    usable = cells.dropna(subset="value")
    if usable.empty:
        return None
    replicates = usable.groupby(["method", "setting"])["replicate"].transform("nunique")
    # Settings that have just begun would cost the others their replicates.
    usable = usable[replicates >= min(LEAST, replicates.max())]
    block, places, _ = matching.complete_block(usable)
    # The same once more, with methods in the place of replicates: as many methods on as many settings as possible.
    whole = places.rename(columns={"method": "replicate"}).assign(value=1.0)
    chosen, kept, _ = matching.complete_block(whole)
    methods, settings = list(chosen.index), list(kept["setting"])
    if baseline not in methods or len(methods) < 2:
        return None
    columns = {name: places.index[(places["method"] == name) & places["setting"].isin(settings)] for name in methods}
    scores = pd.DataFrame({name: block[at].mean(axis=1) for name, at in columns.items()})
    scores = scores[scores.mean().sort_values(ascending=False, kind="stable").index]
    lost = set(cells.loc[cells["value"].isna() & cells["setting"].isin(settings), "method"])
    left_out = {
        name: DIVERGED if name in lost else "not measured on all of it"
        for name in dict.fromkeys(cells["method"])
        if name not in methods
    }
    share = rows["test_share"].max() if "test_share" in rows else np.nan
    return Race(scores, baseline, tuple(settings), left_out, None if np.isnan(share) else float(share))


def races(contest: pd.DataFrame, baseline: str, by: list[str]) -> list[tuple[dict, Race]]:
    """The race of each group of these columns, in the order of `contest`; groups without one are left out."""
    found = []
    for key, rows in contest.groupby(by, sort=False, observed=True) if len(contest) else ():
        one = race(rows, baseline)
        if one is not None:
            found.append((dict(zip(by, key, strict=True)), one))
    return found


def winners(found: list[tuple[dict, Race]], measures: dict[str, str]) -> pd.DataFrame:
    """One row a race: the best method, its lead over the next and over the baseline, and whether either is shown."""
    return pd.DataFrame([_winner(group, one, measures) for group, one in found], dtype=object)


def _winner(group: dict, one: Race, measures: dict[str, str]) -> dict:
    own, best = one.best == one.baseline, one.best
    lead = "is the baseline" if own else _lead(one.gap(best, one.baseline), best in one.better)
    return {
        "data": group["where"],
        "measure": measures[group["metric"]],
        "best": f"{best}, of {one.scores.shape[1]}",
        "lead over the baseline": lead,
        "lead over the next": f"{_lead(one.gap(best, one.next), not one.ties(best))} (over {one.next})",
        "mean": tables.text(float(one.scores[best].mean())),
        "imbalance": group.get("setting", settings(one)),
        "n": one.n,
    }


def _lead(gap: Interval, sure: bool) -> str:
    return f"{shown(gap)}, {'shown' if sure else 'not shown'}"


def settings(one: Race) -> str:
    """How many settings the scores are means over."""
    return f"{len(one.settings)} setting{'s' * (len(one.settings) > 1)}"


def shown(gap: Interval) -> str:
    """An effect with its sign and interval, as text."""
    return str(tables.effect(gap.estimate, gap.low, gap.high, sign=True))


# -- what to use -------------------------------------------------------------------------------------------------------


def by_strength(contest: pd.DataFrame) -> pd.DataFrame:
    """The rows with `strength`: 'ratio up to 10', 'ratio above 10', or '' where imbalance has no single ratio.

    An ordered category, the milder first.
    """
    names = ["", f"ratio up to {MILD}", f"ratio above {MILD}"]
    which = np.where(contest["rho"].isna(), 0, np.where(contest["rho"] <= MILD, 1, 2))
    return contest.assign(strength=pd.Categorical.from_codes(which, names, ordered=True))


def advice(group: dict, one: Race, measures: dict[str, str]) -> dict:
    """A rule read off one race: the condition, what to use, the evidence, what to avoid."""
    gaps = {name: one.gap(name, one.baseline) for name in one.worse}
    worse = [f"{name} ({shown(gap)})" for name, gap in gaps.items() if not gap.within(WORTH)]
    lost = [name for name, why in one.left_out.items() if why == DIVERGED]
    return {
        "measured on": group["where"] + (f", {group['strength']}" if group["strength"] else ""),
        "judged by": measures[group["metric"]],
        "use": _use(one),
        "evidence": _evidence(one),
        "avoid": "; ".join([*worse, *(f"{name} (diverged)" for name in lost)]) or tables.MISSING,
    }


def _use(one: Race) -> str:
    if one.n < LEAST:
        return f"undecided, n = {one.n} of at least {LEAST}: highest so far is {one.best}"
    if not one.better:
        if not one.ties(one.baseline):
            return f"{one.baseline}, the baseline: every other method is worse"
        return f"undecided: nothing is shown to be better than {one.baseline}; highest so far is {one.best}"
    pick = one.better[0]
    if one.gap(pick, one.baseline).within(WORTH):
        return f"makes no difference: the best, {pick}, gains less than {WORTH:g} over {one.baseline}"
    equal = one.ties(pick)
    named = ", ".join(equal[:NAMED]) + (f" and {len(equal) - NAMED} more" if len(equal) > NAMED else "")
    return pick + (f"; not told apart from it: {named}" if equal else "")


def _evidence(one: Race) -> str:
    pick = one.better[0] if one.better else one.best
    against = one.next if pick == one.baseline else one.baseline
    return f"{pick} − {against}: {shown(one.gap(pick, against))}; {settings(one)}, n = {one.n}"
