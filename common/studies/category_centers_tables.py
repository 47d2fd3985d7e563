"""Results of paper 1 as tables: beside the printed ones, method against method, and who wins."""

from __future__ import annotations

import numpy as np
import pandas as pd

from common import tables
from common.statistics import interval, summarise
from common.studies.category_centers_figures import METHODS, rows
from common.studies.category_centers_selection import RIVALS, TRAINING_ONLY, departures

EVERY = (*METHODS, *RIVALS, *(f"O {rival}" for rival in RIVALS))
CENTERS = ("C", "F", "OC", "OF")
#: Differences that the paper draws its conclusions from.
GAPS = (
    ("C", "D"),
    ("F", "D"),
    ("OD", "D"),
    ("C", "OD"),
    ("F", "OD"),
    ("OC", "OD"),
    ("OF", "OD"),
    ("OC", "C"),
    ("OF", "F"),
)


def compare(published: pd.DataFrame, frame: pd.DataFrame, number: str, *, levels: bool) -> tables.Html:
    """Table V, VI or VII beside ours; `levels`: whether the schedule is the paper's, so that they may be subtracted."""
    printed = published[(published["table"] == number) & (published["metric"] == "mean_precision")]
    printed = printed.sort_values("imbalance", kind="stable")  # an imbalance's methods one below the other
    ours = summarise(rows(frame, "accuracy", METHODS), ["imbalance", "method"])
    how = "".join(f", {words}" for words in departures(frame)) if len(frame) else ""
    caption = f"Table {number}: mean precision, the paper's and ours{how}"
    return tables.comparison_table(printed, ours, ["imbalance", "method"], caption=caption, difference=levels)


def mean_of(kinds) -> str:
    """What an average over these imbalances is called."""
    return f"mean of {', '.join(kinds)}"


def differences(frame: pd.DataFrame, pairs, metric: str = "accuracy") -> pd.DataFrame:
    """Paired differences of methods, by imbalance and on average over the imbalances, with 95% intervals.

    The average is over the imbalances that all these methods have, so that no method has an easier one than its
    neighbour; there is none over a single imbalance.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Method and the one it is compared with, or (method, variant) pairs of these.

    Returns
    -------
    DataFrame
        of, against, imbalance (`mean_of` in the last row of a pair), mean, low, high, n. A pair that was not measured
        has no rows.
    """
    table = rows(frame, metric, frame["method"].unique(), None)
    table = table.pivot_table(index="replicate", columns=["method", "variant", "imbalance"], values="value")
    gaps = {}
    for of, against in pairs:
        arms = [(arm, "") if isinstance(arm, str) else arm for arm in (of, against)]
        if all(arm in table.columns.droplevel(2) for arm in arms):
            gaps[of, against] = (table[arms[0]] - table[arms[1]]).dropna(axis=1, how="all")
    shared = [kind for kind in sorted(set().union(*gaps.values())) if all(kind in gap for gap in gaps.values())]
    found = []
    for (of, against), gap in gaps.items():
        # A replicate counts in the mean if it has every imbalance; how much each of these varies widens the interval.
        mean = [(mean_of(shared), gap[shared].to_numpy())] if len(shared) > 1 else []
        for name, values in [*gap.items(), *mean]:
            one = interval(values)
            found.append((of, against, name, one.estimate, one.low, one.high, one.n))
    return pd.DataFrame(found, columns=["of", "against", "imbalance", "mean", "low", "high", "n"])


def gap_table(published: pd.DataFrame, frame: pd.DataFrame, number: str) -> pd.DataFrame:
    """The differences that the paper concludes from: its own, and ours with intervals.

    Differences within one network are less sensitive to schedule and pre-training than levels are.
    """
    printed = published[(published["table"] == number) & (published["metric"] == "mean_precision")]
    printed = printed.pivot(index="method", columns="imbalance", values="comparable")
    found = []
    for row in differences(frame, GAPS).itertuples():
        if row.imbalance not in printed:
            kinds = [kind for kind in printed if kind in row.imbalance.removeprefix("mean of ").split(", ")]
            printed[row.imbalance] = printed[kinds].mean(axis=1) if kinds else np.nan
        known = {row.of, row.against} <= set(printed.index)
        paper = printed.loc[row.of, row.imbalance] - printed.loc[row.against, row.imbalance] if known else np.nan
        found.append(
            {
                "difference": f"{row.of} − {row.against}",
                "imbalance": row.imbalance,
                "paper": tables.effect(paper, sign=True),
                "ours [95% interval]": tables.effect(row.mean, row.low, row.high, sign=True),
                "n": row.n,
            }
        )
    return pd.DataFrame(found)


def few_and_many(frame: pd.DataFrame) -> pd.DataFrame:
    """What centres and oversampling change on labels with few and with many training images, against D."""
    names = {"recall_few": "labels with few images", "recall_many": "labels with many images"}
    pairs = [("C", "D"), ("F", "D"), ("OD", "D"), ("OC", "D"), ("OF", "D")]
    parts = []
    for metric, name in names.items():
        found = differences(frame, pairs, metric)
        cells = [tables.effect(*row, sign=True) for row in found[["mean", "low", "high"]].to_numpy()]
        gap = [f"{of} − {against}" for of, against in zip(found["of"], found["against"], strict=True)]
        parts.append(found[["imbalance"]].assign(difference=gap, labels=name, cell=cells))
    table = pd.concat(parts)
    if table.empty:
        return table
    order = list(dict.fromkeys(table["difference"]))
    table = table.set_index(["difference", "imbalance", "labels"])["cell"].unstack()
    return table.reindex(order, level=0).reset_index().rename_axis(columns=None)


def ablations(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each variant of the centres minus that of the paper's own, by method and imbalance."""
    variants = frame.loc[(frame["variant"] != "") & (frame["metric"] == "accuracy"), ["method", "variant"]]
    order = [(m, v) for m in METHODS for v in variants.loc[variants["method"] == m, "variant"].unique()]
    return _wide(differences(frame, [((m, v), (m, "")) for m, v in order]), ["method", "variant"])


def on_training_images(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with other centres in the place of the paper's: those of the training images alone.

    All other classifiers are fitted on these. The paper's centres are means over the validation images, too.
    """
    own = frame["method"].isin(CENTERS)
    kept = frame[~own | (frame["variant"] == TRAINING_ONLY)]
    return kept.assign(variant=kept["variant"].where(~own, ""))


def rivals(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of centres minus that of each classifier of decoupled training on the same network, by imbalance."""
    pairs = []
    for prefix, centers in (("", ("C", "F")), ("O", ("OC", "OF"))):
        pairs += [(center, f"{prefix} {rival}".strip()) for center in centers for rival in RIVALS]
    return _wide(differences(frame, pairs), ["centres", "minus"])


def _wide(found: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """One row a pair, one column an imbalance; a (method, variant) pair is named by its two parts."""
    if found.empty:
        return pd.DataFrame()
    cells = [tables.effect(*row, sign=True) for row in found[["mean", "low", "high"]].to_numpy()]
    left = [of if isinstance(of, tuple) else (of, against) for of, against in found[["of", "against"]].to_numpy()]
    table = pd.DataFrame(left, columns=names).assign(imbalance=found["imbalance"], cell=cells)
    order = list(dict.fromkeys(map(tuple, table[names].to_numpy())))
    wide = (
        table.set_index([*names, "imbalance"])["cell"].unstack().reindex(pd.MultiIndex.from_tuples(order, names=names))
    )
    return wide[sorted(wide, key=lambda name: (len(name), name))].reset_index().rename_axis(columns=None)


def accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean precision of every method, one row each and one column an imbalance, best mean first."""
    scores = rows(frame, "accuracy", EVERY)
    found = summarise(scores, ["method", "imbalance"])
    if found.empty:
        return found
    cells = [tables.effect(*row) for row in found[["mean", "low", "high"]].to_numpy()]
    table = found.assign(cell=cells).set_index(["method", "imbalance"])["cell"].unstack()
    shared, means, over = _means(scores)
    mean = {over: means} if len(shared) > 1 else {}
    return table.loc[means.index].assign(**mean).reset_index().rename_axis(columns=None)


def _means(scores: pd.DataFrame) -> tuple[list[str], pd.Series, str]:
    """The imbalances that all methods have, each method's mean over them, the best first, and what that mean is called.

    Only replicates that have most of these scores count: one with fewer methods would shift those methods alone.
    """
    measured = scores.groupby("replicate").size()
    complete = measured.index[measured == measured.max()]
    found = summarise(scores[scores["replicate"].isin(complete)], ["method", "imbalance"])
    wide = found.pivot(index="method", columns="imbalance", values="mean")
    shared = list(wide.columns[wide.notna().all()])
    among = f" in {len(complete)} of {len(measured)} replicates" * (len(complete) < len(measured))
    return shared, wide[shared].mean(axis=1).sort_values(ascending=False, kind="stable"), mean_of(shared) + among


def winner(frame: pd.DataFrame) -> str:
    """One sentence: the method of highest mean precision over the imbalances, and how far centres are from it."""
    scores = rows(frame, "accuracy", EVERY)
    if scores.empty:
        return ""
    shared, means, by = _means(scores)
    if not shared:
        return ""
    center = means[[method for method in CENTERS if method in means]].idxmax()
    other = means.drop([method for method in CENTERS if method in means]).idxmax()
    row = differences(frame[frame["imbalance"].isin(shared)], [(center, other)]).iloc[-1]
    gap = tables.effect(row["mean"], row["low"], row["high"], sign=True)
    told = f"{gap} (n = {row['n']})" if row["n"] > 1 else f"{gap} in one replicate, which cannot tell them apart"
    return f"The best centres ({center}) minus the best of the others ({other}), both picked by their {by}: {told}."
