"""Tables of paper 2 from a result frame, the paper's numbers beside ours: for notebook 2."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from common import tables
from common.statistics import corrected_interval
from common.studies import mobilenet_features as study
from common.studies.mobilenet_features_deviations import DATASETS, RATIOS
from common.studies.mobilenet_features_resampling import METHODS, PRINTED
from common.studies.mobilenet_features_scoring import METRICS

TITLES = {"avacc": "AvAcc", "cba": "CBA", "mavg": "MAvG"}
SETS = {"cifar10": "CIFAR-10", "mnist": "MNIST", "stl10": "STL-10"}
HEADS = {method: PRINTED.get(method, method) for method in METHODS.values()}
KEY = ["representation", "metric", "method"]


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows by representation, data set, ratio and method, methods in the paper's order."""
    by = [name for name in ("representation", "dataset", "rho", "method") if name in table]
    place = list(METHODS.values()).index
    return table.sort_values(by, key=lambda c: c.map(place) if c.name == "method" else c, ignore_index=True)


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the paper's three metrics that were measured."""
    return frame[frame["metric"].isin(METRICS) & (frame["status"] == "ok")] if len(frame) else frame


def summarise(frame: pd.DataFrame, by: Iterable[str]) -> pd.DataFrame:
    """Mean over folds with Nadeau and Bengio's 95% interval, because folds share images.

    Values of one group and fold are averaged first.

    Returns
    -------
    DataFrame
        The columns `by`, mean, low, high and n (folds).
    """
    by, rows = list(by), []
    for key, part in frame.groupby(by, sort=False):
        share = (part["n_test"] / (part["n_test"] + part["n_train"])).max()
        found = corrected_interval(part.groupby("replicate")["value"].mean(), share)
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

    The difference of levels is given where fine-tuning was not shortened.
    """
    ours = complete(scores(frame), "rho", RATIOS) if len(frame) else frame
    return _beside(published, ours, "1", "dataset", list(DATASETS), representation, _full(ours, representation))


def table_2(published: pd.DataFrame, frame: pd.DataFrame, representation: str) -> dict[str, pd.DataFrame]:
    """Table 2 and ours, by metric and ratio, averaged over data sets: by caption, one table or two.

    A set counts if every method of the table that was measured at all was measured on it. Ours stands beside the
    paper's if it is over all sets; an average over fewer has another level, and a table of its own.
    """
    ours = scores(frame)
    sets = [name for name in DATASETS if len(ours) and _has_all(ours, name, representation)]
    ours = complete(ours, "dataset", sets) if sets else ours.iloc[:0]
    levels = len(sets) == len(DATASETS) and _full(ours, representation)
    table = _beside(published, ours, "2", "rho", list(RATIOS), representation, levels)
    if len(sets) == len(DATASETS):
        return {"table 2 and ours": table}
    parts = (table[table["source"] == "paper"], table[table["source"] != "paper"])
    printed, own = (part.loc[:, (part != tables.MISSING).any()] for part in parts)
    theirs = f"table 2 of the paper, over {len(DATASETS)} data sets"
    if not sets:
        return {f"{theirs}; ours: not measured": printed}
    names = ", ".join(SETS[name] for name in sets)
    return {theirs: printed, f"ours, over {len(sets)} of {len(DATASETS)} data sets ({names})": own}


def _full(frame: pd.DataFrame, representation: str) -> bool:
    """Whether no fine-tuning was shortened."""
    return bool(len(frame)) and bool(
        (frame.loc[frame["representation"] == representation, "epochs"] >= study.EPOCHS).all()
    )


def _has_all(frame: pd.DataFrame, dataset: str, representation: str) -> bool:
    rows = frame[frame["representation"] == representation]
    methods = set(rows["method"])
    return bool(methods) and set(rows.loc[rows["dataset"] == dataset, "method"]) == methods


def _beside(published, ours, number: str, by: str, values: list, representation: str, levels: bool) -> pd.DataFrame:
    """For each metric and value of `by` a row of the paper, one of ours, with `levels` the difference."""
    printed = published[(published["table"] == number) & (published["representation"] == representation)]
    ours = ours[ours["representation"] == representation] if len(ours) else ours
    ours = summarise(ours, ["metric", by, "method"]) if len(ours) else pd.DataFrame(columns=["metric", by, "method"])
    methods = [m for m in METHODS.values() if m in set(printed["method"]) | set(ours["method"])]
    rows = []
    for metric in METRICS:
        for value in values:
            paper, found = (t[(t["metric"] == metric) & (t[by] == value)].set_index("method") for t in (printed, ours))
            name = SETS.get(value, value)
            head = {"metric": TITLES[metric], "data set" if by == "dataset" else "IR": name}
            rows.append({**head, "source": "paper", **{HEADS[m]: _printed(paper, m) for m in methods}})
            n = int(found["n"].max()) if len(found) else 0
            source = f"ours, {n} fold{'s' * (n != 1)}" if n else "ours: not measured"
            rows.append({**head, "source": source, **{HEADS[m]: _found(found, m) for m in methods}})
            if n and levels:
                apart = found["mean"] - paper["comparable"]
                shown = {HEADS[m]: tables.effect(apart.get(m), digits=4, sign=True) for m in methods}
                rows.append({**head, "source": "ours − paper", **shown})
    return pd.DataFrame(rows).astype(object)


def _printed(table: pd.DataFrame, method: str):
    return tables.text(float(table["comparable"][method]), 4) if method in table.index else tables.MISSING


def _found(table: pd.DataFrame, method: str):
    if method not in table.index:
        return tables.MISSING
    return tables.effect(*table.loc[method, ["mean", "low", "high"]], digits=4)


def detail(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Ours by representation, data set and ratio: a column a method."""
    found = summarise(scores(frame).query("metric == @metric"), ["representation", "dataset", "rho", "method"])
    found["cell"] = [tables.effect(*row, digits=4) for row in found[["mean", "low", "high"]].to_numpy()]
    wide = found.pivot(index=["representation", "dataset", "rho"], columns="method", values="cell")
    wide = wide[[m for m in METHODS.values() if m in wide]].rename(columns=HEADS)
    return wide.astype(object).reset_index()


def gains(frame: pd.DataFrame, metric: str = "avacc") -> pd.DataFrame:
    """Gain over the baseline of the same fold, in points: by representation, data set and method; over the ratios.

    Only ratios that baseline and method have both count, and `ratios` names them.
    """
    rows = scores(frame).query("metric == @metric")
    place = ["representation", "dataset", "rho", "replicate"]
    baseline = rows[rows["method"] == "baseline"].set_index(place)["value"].rename("baseline")
    paired = rows[rows["method"] != "baseline"].join(baseline, on=place, how="inner")
    paired["value"] = 100 * (paired["value"] - paired["baseline"])
    by = ["representation", "dataset", "method"]
    found = summarise(paired, by)
    ratios = paired.groupby(by)["rho"].agg(lambda r: ", ".join(f"{v:g}" for v in sorted(set(r)))).rename("ratios")
    found = found.join(ratios, on=by)
    found["gain, points"] = [
        tables.effect(*row, digits=2, sign=True) for row in found[["mean", "low", "high"]].to_numpy()
    ]
    found = in_order(found[[*by, "ratios", "n", "gain, points"]].rename(columns={"n": "folds"}))
    return found.astype({"gain, points": object})


def variants(frame: pd.DataFrame, metric: str = "avacc") -> pd.DataFrame:
    """Machines on other features beside the paper's, same folds and ratio: score by variant and method.

    The fine-tuned network's features stand with them.
    """
    rows = scores(frame)
    if rows.empty:
        return pd.DataFrame()
    rows = rows[(rows["metric"] == metric) & (rows["representation"] != study.IMAGES)]
    kind = rows["variant"].where(rows["representation"] == study.FEATURES, rows["representation"])
    rows = rows.assign(features=kind)
    place = ["dataset", "rho", "replicate"]
    changed = rows[rows["features"] != "paper"]
    rows = rows.merge(changed[place].drop_duplicates(), on=place)
    if changed.empty:
        return pd.DataFrame()
    rows = rows[rows["method"].isin(set(changed["method"]))]
    found = summarise(rows, ["dataset", "rho", "features", "method"])
    found["cell"] = [tables.effect(*row, digits=4) for row in found[["mean", "low", "high"]].to_numpy()]
    wide = found.pivot(index=["dataset", "rho", "features"], columns="method", values="cell")
    wide = wide[[m for m in METHODS.values() if m in wide]].rename(columns=HEADS).astype(object)
    order = {name: position for position, name in enumerate([*study.VARIANTS, study.FINETUNED])}
    return wide.reset_index().sort_values("features", key=lambda c: c.map(order)).sort_values("dataset", kind="stable")


def sizes(frame: pd.DataFrame) -> pd.DataFrame:
    """What resampling makes of the training sets, mean over folds: size, classes lost, seconds, and failures."""
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
    return in_order(found.reset_index())


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells and their time by data set, representation, method and device."""
    cells = frame.drop_duplicates("key")
    found = cells.groupby(["representation", "dataset", "method", "device"], as_index=False, sort=False).agg(
        cells=("key", "size"),
        hours=("train_seconds", lambda seconds: seconds.sum() / 3600),
        seconds_a_cell=("train_seconds", "median"),
    )
    return in_order(found)
