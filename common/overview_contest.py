"""Which method wins, by which measure, on the same data, imbalances and replicates; and what to use therefore.

Every study lists its scores (``contest`` in ``common/studies/<stem>_overview.py``): situation, where, setting, rho,
metric, method, replicate, value (NaN where a network diverged), and test_share where replicates are folds that share
images. Methods race on settings and replicates that all of them have, so no mean is over other cells than its rivals'.

The winner is picked on the results that it is judged by. So a lead counts only if its interval stays above zero at a
level corrected (Bonferroni) for the number of methods where it is one over the baseline, which is named beforehand, and
for that of all pairs of methods elsewhere; that interval is the one shown. A claim of a paper names its winner
beforehand, so the ledger judges it against each rival at 95 %, and may support what no race shows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from common import matching, tables
from common.statistics import LEAST, Interval, corrected, interval

MILD = 10  # the ratio up to which imbalance is called mild
WORTH = 0.002  # a gain that surely is smaller than this makes no difference in use
DIVERGED = "diverged"
#: Measures that a method raises by calling everything rare. Who is ahead in them is shown; no rule is read off them.
ONE_SIDED = ("recall_few", "minor_recall")
SAME = 1e-9  # scores that differ by less are the baseline's own, such as the AUC of a method that keeps its order
NAMED = 4  # methods that a list names, at most
PLACE = ["situation", "where", "metric"]


@dataclass(frozen=True)
class Race:
    """Methods on the same cells.

    Parameters
    ----------
    cells : DataFrame
        Scores, a replicate a row, by method and setting; the method with the best mean first.
    baseline : str
        What the others are measured by.
    settings : tuple of str
        Over which the scores are means.
    left_out : dict
        Method to why it does not race.
    test_share : float or None
        Replicates are folds (`statistics.interval`).
    ratios : tuple of float
        Imbalance ratios of the settings, ascending; empty where imbalance has no single ratio.
    """

    cells: pd.DataFrame
    baseline: str
    settings: tuple[str, ...]
    left_out: dict[str, str]
    test_share: float | None = None
    ratios: tuple[float, ...] = ()

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Means over the settings, replicate by method."""
        return _means(self.cells)

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

    def level(self, *pair: str) -> float:
        """Confidence level of the gap of two methods: corrected for all pairs, or for those with the baseline."""
        m = self.scores.shape[1]
        return corrected(m - 1 if self.baseline in pair else m * (m - 1) // 2)

    def gap(self, of: str, against: str) -> Interval:
        """Mean of `of` minus `against` over replicates, at the corrected level."""
        return interval(self.cells[of] - self.cells[against], self.level(of, against), self.test_share)

    def ahead(self, of: str, against: str) -> bool | None:
        """Whether `of` is better (True), worse (False), or neither is shown (None)."""
        return self.gap(of, against).above(0) if self.n >= LEAST else None

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
    def unbeaten(self) -> list[str]:
        """Methods that are better than the baseline and that no method is shown to be better than, best first."""
        return [
            name for name in self.better if not any(self.ahead(other, name) for other in self.scores.drop(columns=name))
        ]

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
    _, places, _ = matching.complete_block(usable)
    # The same once more, with methods in the place of replicates: as many methods on as many settings as possible.
    whole = places.rename(columns={"method": "replicate"}).assign(value=1.0)
    chosen, kept, _ = matching.complete_block(whole)
    methods, settings = list(chosen.index), list(kept["setting"])
    if baseline not in methods or len(methods) < 2:
        return None
    # All replicates that have these cells, also those that the first block left out for a cell that is not among them.
    raced = usable[usable["method"].isin(methods) & usable["setting"].isin(settings)]
    table = raced.pivot(index=["replicate", "setting"], columns="method", values="value").unstack("setting").dropna()
    scores = _means(table)
    scores = scores[scores.mean().sort_values(ascending=False, kind="stable").index]
    lost = set(cells.loc[cells["value"].isna() & cells["setting"].isin(settings), "method"])
    left_out = {
        name: DIVERGED if name in lost else "not measured on all of it"
        for name in dict.fromkeys(cells["method"])
        if name not in methods
    }
    same = scores.sub(scores[baseline], axis=0).abs().max() < SAME
    alike = list(scores.columns[same].drop(baseline))
    scores, left_out = scores.drop(columns=alike), left_out | dict.fromkeys(alike, f"the same as {baseline} here")
    if scores.shape[1] < 2:
        return None
    share = rows["test_share"].max() if "test_share" in rows else np.nan
    test_share = None if np.isnan(share) else float(share)
    ratios = rows.loc[rows["setting"].isin(settings), "rho"].dropna().unique() if "rho" in rows else ()
    return Race(table[list(scores)], baseline, tuple(settings), left_out, test_share, tuple(sorted(map(float, ratios))))


def _means(cells: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: cells[name].mean(axis=1) for name in dict.fromkeys(cells.columns.get_level_values(0))})


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
    own, best, mean = one.best == one.baseline, one.best, tables.text(float(one.scores[one.best].mean()))
    alone = "setting" in group
    return {
        "data": group["where"],
        **({"imbalance": group["setting"]} if alone else {}),
        "measure": measures[group["metric"]],
        "best": f"{best}, of {one.scores.shape[1]}",
        "lead over the baseline": "is the baseline" if own else _lead(one, one.baseline),
        "lead over the next": f"{_lead(one, one.next)} (over {one.next})",
        "no lead shown over": _listed(one.ties(best)) or "none: shown over all",
        "level": _levels(one),
        "mean": mean if alone else f"{mean}, {settings(one)}",
        "n": one.n,
    }


def _lead(one: Race, against: str) -> str:
    sure = one.ahead(one.best, against) is True
    return f"{shown(one.gap(one.best, against))}, {'shown' if sure else 'not shown'}"


def _levels(one: Race) -> str:
    over, other = level(one, one.baseline), level(one)
    return over if over == other else f"{over}, between others {other}"


def _listed(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def level(one: Race, *pair: str) -> str:
    """The level of the interval of a gap, as text: ``98.75%``."""
    return f"{100 * one.level(*pair):.4g}%"


def at_level(one: Race, of: str, against: str) -> str:
    """A gap as text, with the level of its interval where it has one."""
    gap = one.gap(of, against)
    return shown(gap) + (f" ({level(one, of, against)} interval)" if gap.n > 1 else "")


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


def unstable(contest: pd.DataFrame) -> set[str]:
    """Methods of which a network diverged in some setting."""
    return set(contest.loc[contest["value"].isna(), "method"])


def advice(group: dict, one: Race, measures: dict[str, str], unstable: Collection[str] = ()) -> dict:
    """A rule read off one race: the condition, what to use, the evidence, what to avoid.

    Of methods that are not told apart, one that never diverged comes before those in `unstable`, which did elsewhere.
    """
    pick = _pick(one, unstable)
    gaps = {name: one.gap(name, one.baseline) for name in one.worse}
    worse = [f"{name} ({shown(gap)})" for name, gap in gaps.items() if not gap.within(WORTH)]
    lost = [name for name, why in one.left_out.items() if why == DIVERGED]
    return {
        "measured on": group["where"] + _strength(one),
        "judged by": measures[group["metric"]],
        "use": _use(one, pick, unstable),
        "evidence": _evidence(one, pick),
        "avoid": "; ".join([*worse, *(f"{name} (diverged)" for name in lost)]) or tables.MISSING,
    }


def _strength(one: Race) -> str:
    """The ratios that were measured; a rule says nothing of others."""
    if not one.ratios:
        return ""
    return f", ratio{'s' * (len(one.ratios) > 1)} {', '.join(f'{ratio:,g}' for ratio in one.ratios)}"


def _pick(one: Race, unstable: Collection[str]) -> str:
    """The method to use, or the best so far where none is shown to be better than the baseline."""
    if not one.better:
        return one.best
    return next((name for name in one.unbeaten if name not in unstable), one.better[0])


def _use(one: Race, pick: str, unstable: Collection[str]) -> str:
    highest = (
        f"no method is above {one.baseline} so far" if one.best == one.baseline else f"highest so far is {one.best}"
    )
    if one.n < LEAST:
        return f"undecided, n = {one.n} of at least {LEAST}: {highest}"
    if not one.better:
        if not one.ties(one.baseline):
            others = _listed(list(one.scores.columns.drop(one.baseline)))
            return f"{one.baseline}: every other method that was measured is worse ({others})"
        return f"undecided: nothing is shown to be better than {one.baseline}; {highest}"
    if all(one.gap(name, one.baseline).within(WORTH) for name in one.better):
        return f"makes no difference: {pick} is better than {one.baseline}, by less than {WORTH:g}"
    equal = [f"{name} (diverged elsewhere)" if name in unstable else name for name in one.ties(pick)]
    return pick + (f"; not told apart from it: {_listed(equal)}" if equal else "")


def _evidence(one: Race, pick: str) -> str:
    against = one.next if pick == one.baseline else one.baseline
    return f"{pick} − {against}: {at_level(one, pick, against)}; {settings(one)}, n = {one.n}"
