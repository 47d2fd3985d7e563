"""Tables of paper 2 from a result frame, the paper's numbers beside ours: for notebook 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations

import pandas as pd

from common import tables
from common.matching import complete_block
from common.names import named
from common.statistics import interval
from common.studies import mobilenet_features as study
from common.studies.mobilenet_features_deviations import DATASETS
from common.studies.mobilenet_features_folds import shared
from common.studies.mobilenet_features_resampling import METHODS
from common.studies.mobilenet_features_scoring import METRICS
from common.studies.mobilenet_features_selection import RATIOS

TITLES = {"avacc": "AvAcc", "cba": "CBA", "mavg": "MAvG"}
KEY = ["representation", "metric", "method"]
SETTING = ["representation", "dataset", "rho"]  # a row of `detail`, and a point of the figure over the ratios


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows by representation, data set, ratio and method, methods in the paper's order."""
    by = [name for name in ("representation", "dataset", "rho", "method") if name in table]
    place = list(METHODS.values()).index
    return table.sort_values(by, key=lambda c: c.map(place) if c.name == "method" else c, ignore_index=True)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table with data sets and the ratio as they are called on the page."""
    if "dataset" in table:
        table = table.assign(dataset=table["dataset"].map(named))
    if "rho" in table and (table["rho"] % 1 == 0).all():
        table = table.astype({"rho": int})
    return table.rename(columns={"dataset": "data set", "rho": "IR"})


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the paper's three metrics that were measured."""
    return frame[frame["metric"].isin(METRICS) & (frame["status"] == "ok")] if len(frame) else frame


def summarise(frame: pd.DataFrame, by: Iterable[str]) -> pd.DataFrame:
    """Mean over folds with Nadeau and Bengio's 95% interval, because folds share images.

    Of a group over several data sets or ratios it is the mean over these, in folds that have all of them; how much each
    varies by itself widens the interval (`statistics.interval`).

    Returns
    -------
    DataFrame
        The columns `by`, mean, low, high and n (folds).
    """
    by, rows = list(by), []
    over = [column for column in ("dataset", "rho") if column in frame and column not in by]
    for key, part in frame.groupby(by, sort=False):
        share = (part["n_test"] / (part["n_test"] + part["n_train"])).max()
        folds = part.groupby(["replicate", *over])["value"].mean()
        folds = folds.unstack(over) if over else folds
        found = interval(folds.to_numpy(), test_share=share)
        rows.append((*key, found.estimate, found.low, found.high, found.n))
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "n"])


def complete(frame: pd.DataFrame, over: str, wanted: Iterable) -> pd.DataFrame:
    """The rows of those settings and folds that have every wanted value of `over`, so that none averages fewer."""
    wanted = set(wanted)
    other = "dataset" if over == "rho" else "rho"
    rows = frame[frame[over].isin(wanted)]
    return rows[rows.groupby([*KEY, other, "replicate"])[over].transform("nunique") == len(wanted)]


def table_1(published: pd.DataFrame, frame: pd.DataFrame, representation: str) -> pd.DataFrame:
    """Table 1 beside ours: by metric and data set, averaged over the three ratios of folds that have them all.

    All methods of a row are over the same of these folds (`shared`). The difference is given where levels are compared
    (`study.levels`).
    """
    measured = scores(frame)
    measured = measured[measured["representation"] == representation] if len(measured) else measured
    ours = complete(measured, "rho", RATIOS) if len(measured) else measured

    def lacking(dataset: str) -> str:
        there = set(measured.loc[measured["dataset"] == dataset, "rho"]) if len(measured) else set()
        missing = [ratio for ratio in RATIOS if ratio not in there]
        if len(missing) == len(RATIOS):
            return "not measured"
        which = f"IR {', '.join(map(str, missing))} missing" if missing else "no fold has them all"
        return f"not at all {len(RATIOS)} ratios ({which})"

    return _beside(published, ours, "1", "dataset", list(DATASETS), representation, lacking)


def table_2(published: pd.DataFrame, frame: pd.DataFrame, representation: str) -> dict[str, pd.DataFrame]:
    """Table 2 and ours, by metric and ratio, averaged over data sets: by caption, one table or two.

    Every average is over the same sets, those that leave the most to show (`_sets`); a method that was not measured on
    all of them has none. Ours stands beside the paper's if it is over all sets; an average over fewer has another
    level, and a table of its own. All methods of a row are over the same folds (`shared`).
    """
    ours = scores(frame)
    ours = ours[ours["representation"] == representation] if len(ours) else ours
    sets = _sets(ours)
    lost = [m for m in METHODS.values() if sets and m in set(ours["method"]) - _methods(ours, sets)]
    ours = complete(ours, "dataset", sets) if sets else ours.iloc[:0]
    table = _beside(published, ours, "2", "rho", list(RATIOS), representation)
    if len(sets) == len(DATASETS):
        return {"table 2 and ours": table}
    parts = (table[table["source"] == "paper"], table[table["source"] != "paper"])
    printed, own = (part.loc[:, (part != tables.MISSING).any()] for part in parts)
    theirs = f"table 2 of the paper, over {len(DATASETS)} data sets"
    if not sets:
        return {f"{theirs}; ours: not measured": printed}
    names = ", ".join(map(named, sets))
    less = f"; not measured on all of these: {', '.join(lost)}" if lost else ""
    return {theirs: printed, f"ours, over {len(sets)} of {len(DATASETS)} data sets ({names}){less}": own}


def _sets(frame: pd.DataFrame) -> tuple[str, ...]:
    """The paper's data sets over which to average: those that leave the most results, of equal ones the most sets.

    So a method that has begun on one set alone takes no other set out of the table, nor does a set that has begun with
    one method.
    """
    at_hand = [name for name in DATASETS if len(frame) and name in set(frame["dataset"])]
    choices = [sets for n in range(len(at_hand), 0, -1) for sets in combinations(at_hand, n)]
    return max(choices, key=lambda sets: len(sets) * len(_methods(frame, sets)), default=())


def _methods(frame: pd.DataFrame, sets: Iterable[str]) -> set[str]:
    """The methods that were measured on all of these sets."""
    return set.intersection(*(set(frame.loc[frame["dataset"] == name, "method"]) for name in sets))


def _beside(
    published, ours, number: str, by: str, values: list, representation: str, lacking: Callable | None = None
) -> pd.DataFrame:
    """For each metric and value of `by` a row of the paper, one of ours, and where levels are compared the difference.

    `lacking` says why there is none of ours; without it that nothing was measured.
    """
    printed = published[(published["table"] == number) & (published["representation"] == representation)]
    ours = shared(ours, [by])
    levels = len(ours) and not study.levels(ours) and (by == "dataset" or set(ours["dataset"]) == set(DATASETS))
    over = dict(ours[[by, "over"]].drop_duplicates().to_numpy()) if len(ours) else {}
    ours = summarise(ours, ["metric", by, "method"]) if len(ours) else pd.DataFrame(columns=["metric", by, "method"])
    methods = [m for m in METHODS.values() if m in set(printed["method"]) | set(ours["method"])]
    rows = []
    for metric in METRICS:
        for value in values:
            paper, found = (t[(t["metric"] == metric) & (t[by] == value)].set_index("method") for t in (printed, ours))
            where = {"data set": named(value)} if by == "dataset" else {"IR": value}
            head = {"metric": TITLES[metric], **where}
            rows.append({**head, "source": "paper", **{m: _printed(paper, m) for m in methods}})
            source = f"ours, {over[value]}" if len(found) else f"ours: {lacking(value) if lacking else 'not measured'}"
            rows.append({**head, "source": source, **{m: _found(found, m) for m in methods}})
            if len(found) and levels:
                apart = found["mean"] - paper["comparable"]
                differences = {m: tables.effect(apart.get(m), digits=4, sign=True) for m in methods}
                rows.append({**head, "source": "ours − paper", **differences})
    return pd.DataFrame(rows).astype(object)


def _printed(table: pd.DataFrame, method: str):
    return tables.text(float(table["comparable"][method]), 4) if method in table.index else tables.MISSING


def _found(table: pd.DataFrame, method: str):
    if method not in table.index:
        return tables.MISSING
    return tables.effect(*table.loc[method, ["mean", "low", "high"]], digits=4)


def detail(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Ours by representation, data set and ratio: a column a method, all over the folds that `over` names."""
    place = [*SETTING, "over"]
    found = summarise(shared(scores(frame).query("metric == @metric"), SETTING), [*place, "method"])
    found["cell"] = [tables.effect(*row, digits=4) for row in found[["mean", "low", "high"]].to_numpy()]
    wide = found.pivot(index=place, columns="method", values="cell")
    return shown(wide[[m for m in METHODS.values() if m in wide]].astype(object).reset_index())


def unscored(frame: pd.DataFrame) -> pd.DataFrame:
    """Methods of which no cell has a score, so that a table of scores lacks them, and why."""
    scored, what = scores(frame), ["representation", "method"]
    lost = ~pd.MultiIndex.from_frame(frame[what]).isin(pd.MultiIndex.from_frame(scored[what]))
    rows = frame[lost].drop_duplicates("key")
    reason = rows.get("reason", pd.Series(index=rows.index, dtype=object))
    rows = rows.assign(why=reason.fillna("").where(rows["status"] == "failed", rows["status"]))
    found = rows.groupby(what)["why"].agg(lambda why: "; ".join(sorted(set(why))))
    return in_order(found.reset_index())


def gains(frame: pd.DataFrame, metric: str = "avacc") -> pd.DataFrame:
    """Gain over the baseline of the same fold, in points: by representation, data set and method; over the ratios.

    Only ratios that baseline and method have both count, and of these only what makes a block: all folds average the
    same ratios, which are named (`matching.complete_block`, as in the claims).
    """
    rows = scores(frame).query("metric == @metric")
    place = ["representation", "dataset", "rho", "replicate"]
    baseline = rows[rows["method"] == "baseline"].set_index(place)["value"].rename("baseline")
    paired = rows[rows["method"] != "baseline"].join(baseline, on=place, how="inner")
    paired["value"] = 100 * (paired["value"] - paired["baseline"])
    by = ["representation", "dataset", "method"]
    parts = [_block(part) for _, part in paired.groupby(by)]
    paired = pd.concat(parts) if parts else paired
    found = summarise(paired, by)
    ratios = paired.groupby(by)["rho"].agg(lambda r: ", ".join(f"{v:g}" for v in sorted(set(r)))).rename("ratios")
    found = found.join(ratios, on=by)
    found["gain, points"] = [
        tables.effect(*row, digits=2, sign=True) for row in found[["mean", "low", "high"]].to_numpy()
    ]
    found = in_order(found[[*by, "ratios", "n", "gain, points"]].rename(columns={"n": "folds", "ratios": "IR"}))
    return shown(found.astype({"gain, points": object}))


def _block(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the rows of one method, those of folds that all have the same ratios."""
    block, settings, _ = complete_block(rows[["replicate", "rho", "value"]], lambda ratios: len(ratios) > 0)
    return rows[rows["replicate"].isin(block.index) & rows["rho"].isin(settings["rho"])]


def variants(frame: pd.DataFrame, metric: str = "avacc") -> pd.DataFrame:
    """Machines on other features beside the paper's: score by variant and method, for each set of folds that one has.

    A row is over the same folds in every column, and rows over the same folds stand together. The fine-tuned network's
    features stand with them.
    """
    rows = scores(frame)
    if rows.empty:
        return pd.DataFrame()
    rows = rows[(rows["metric"] == metric) & (rows["representation"] != study.IMAGES)]
    kind = rows["variant"].where(rows["representation"] == study.FEATURES, rows["representation"])
    rows = rows.assign(features=kind)
    if (rows["features"] == "paper").all():
        return pd.DataFrame()
    rows = pd.concat([part for _, one in rows.groupby(["dataset", "rho"]) for part in _on_folds(one)])
    found = summarise(rows, ["dataset", "rho", "features", "folds", "method"])
    found["cell"] = [tables.effect(*row, digits=4) for row in found[["mean", "low", "high"]].to_numpy()]
    wide = found.pivot(index=["dataset", "rho", "features", "folds"], columns="method", values="cell")
    wide = wide[[m for m in METHODS.values() if m in wide]].astype(object).reset_index()
    wide = wide.rename_axis(columns=None)
    order = {name: position for position, name in enumerate([*study.VARIANTS, study.FINETUNED])}
    order = {"features": order.get, "folds": lambda numbers: (-len(numbers), numbers)}
    by = ["dataset", "rho", "folds", "features"]
    wide = wide.sort_values(by, key=lambda c: c.map(order[c.name]) if c.name in order else c)
    return shown(wide.assign(folds=wide["folds"].map(len)))


def _on_folds(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows of one setting for each set of folds (`folds`) that a variant has: all of what has these folds."""
    own = rows.groupby(["features", "method"])["replicate"].agg(frozenset)
    parts = []
    for folds in set(own[own.index.get_level_values("features") != "paper"]):
        covered = own[own.map(folds.issubset)].index
        chosen = pd.MultiIndex.from_frame(rows[["features", "method"]]).isin(covered) & rows["replicate"].isin(folds)
        methods = {method for kind, method in covered if kind != "paper"}
        part = rows[chosen & rows["method"].isin(methods)]
        parts.append(part.assign(folds=[tuple(sorted(folds))] * len(part)))
    return parts


def sizes(frame: pd.DataFrame) -> pd.DataFrame:
    """What resampling makes of the training sets: size and seconds (means over folds), classes lost, and failures."""
    if frame.empty:
        return frame
    cells = frame[(frame["variant"] == "paper") & (frame["representation"] != study.FINETUNED)].drop_duplicates("key")
    cells = cells.assign(failed=cells["status"] == "failed", reason=cells.get("reason", pd.Series(dtype=object)))
    found = cells.groupby(["representation", "dataset", "rho", "method"], sort=False).agg(
        training_images=("n_train", "mean"),
        after_resampling=("n_resampled", "mean"),
        classes_emptied=("emptied", "max"),
        failed=("failed", "sum"),
        reason=("reason", lambda r: "; ".join(sorted(set(r.dropna())))),
        resampling_seconds=("resampling_seconds", "mean"),
    )
    counts = ["training_images", "after_resampling", "classes_emptied"]
    found[counts] = found[counts].astype(float).round().astype("Int64")  # a failure has none
    return shown(in_order(found.reset_index()))


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells and their time by data set, representation, method and device."""
    by = ["representation", "dataset", "method", "device"]
    return shown(in_order(tables.cost(frame, by, "cell").drop(columns="diverged")))
