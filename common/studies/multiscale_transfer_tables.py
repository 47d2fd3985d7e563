"""Tables of paper 5 from a result frame, for notebook 5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from common import claims, tables
from common.claim_file import Claim
from common.names import named
from common.statistics import interval
from common.studies import multiscale_transfer as study
from common.studies.multiscale_transfer_figures import READINGS, distinct, metric_rows

#: The quantities of the abstract: their names, and the claims that judge them.
COMMON_LEVEL = ("common methods, average over all ratios", "common-methods-95")
OF_A_READING = {
    "average over all ratios": "average-99",
    "gain over common methods, all ratios": "gain-of-2-32",
    "gain over common methods, ratios 50 and 100": "gain-at-extreme",
    "several defects": "several-99",
}


def averages(frame: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The abstract's figures beside ours: the effects of its claims, for each reading, on both sets and on each.

    Every number is what `claims.evaluate` finds for the claim in question, so the table shows no quantity that is not
    judged; and none where the claim lacks what it requires.

    Parameters
    ----------
    frame : DataFrame
        Measured results, all that the claims are judged by.
    published : DataFrame
        As `published_numbers.published` gives them.

    Returns
    -------
    DataFrame
        what, in the paper (percent), then ours: both sets, and each set (percent, 95% interval, n replicates).
    """
    stated = {claim.id: claim for claim in claims.load(study.STEM)}
    datasets = ("", *stated[COMMON_LEVEL[1]].requires["dataset"])
    lines = [(*COMMON_LEVEL, "")]
    lines += [(f"{reading}, {what}", name, reading) for reading in READINGS for what, name in OF_A_READING.items()]
    asked = {
        (what, dataset): _of(stated[name], reading, dataset) for what, name, reading in lines for dataset in datasets
    }
    asked = {place: claim for place, claim in asked.items() if claim}
    rows = study.judged(frame)  # first, for which setting is the main one is a matter of all networks
    rows = rows[rows["metric"].eq("accuracy") & rows["network"].eq("multiscale")] if len(rows) else rows
    found = dict(zip(asked, claims.evaluate(list(asked.values()), rows, study).to_dict("records"), strict=True))
    printed = _printed(published)
    columns = {f"{named(dataset)}, %" if dataset else "both sets, %": dataset for dataset in datasets}
    return pd.DataFrame(
        [
            {"what": what, "in the paper, %": printed[name]}
            | {column: _percent(found.get((what, dataset))) for column, dataset in columns.items()}
            for what, name, _ in lines
        ],
        dtype=object,
    )


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """Each reading's gain over each common method: mean over both sets and all ratios, as `gain-over-common` has it.

    Returns
    -------
    DataFrame
        One row a reading, one column a common method; points of accuracy, 95% interval, n replicates, as text.
    """
    stated = next(claim for claim in claims.load(study.STEM) if claim.id == "gain-over-common")
    asked = {}
    for reading in READINGS:
        for common in stated.against["method"]:
            claim = _of(stated, reading, "")
            requires = claim.requires | {"method": (reading, common)}
            against = claim.against | {"method": (common,)}
            asked[reading, common] = replace(claim, against=against, requires=requires)
    found = claims.evaluate(list(asked.values()), frame, study).to_dict("records")
    cells = pd.Series([_percent(row) for row in found], pd.MultiIndex.from_tuples(asked, names=["reading", "common"]))
    wide = cells.unstack(sort=False).rename_axis(columns=None)
    return wide.reset_index().rename(columns={name: f"over {name}" for name in stated.against["method"]})


def _printed(published: pd.DataFrame) -> dict[str, str]:
    """The abstract's number of each claim."""
    values = {
        column: [" ".join(filter(None, said)) for said in zip(rows["bound"], rows["printed"], strict=True)]
        for column, rows in published.groupby(["metric", "method"], sort=False)
    }
    (common,), gains = values["accuracy", "common methods"], values["accuracy_gain", "proposed"]
    names = ("average-99", "several-99", "gain-of-2-32", "gain-at-extreme")
    return {COMMON_LEVEL[1]: common} | dict(zip(names, [*values["accuracy", "proposed"], *gains], strict=True))


def _of(claim: Claim, reading: str, dataset: str) -> Claim | None:
    """The claim for one reading ("": as it is) and set ("": those it names); None if it is about the other set."""
    if claim.on.get("dataset", (dataset,)) != (dataset,):
        return None
    of, on, requires = dict(claim.of), dict(claim.on), dict(claim.requires)
    if reading:
        of["method"] = (reading,)
        requires["method"] = tuple(m for m in requires["method"] if m == reading or m not in READINGS)
    if dataset:
        on["dataset"] = (dataset,)
        requires = {name: (dataset,) if name == "dataset" else values for name, values in requires.items()}
    return replace(claim, of=of, on=on, requires=requires, some=(), every=())


def _percent(found: Mapping | None) -> str:
    """An evaluated claim's effect in percent, as text."""
    if found is None:
        return tables.MISSING
    if np.isnan(found["effect"]):
        return "not measured yet"
    written = tables.effect(*(100 * found[name] for name in ("effect", "low", "high")), digits=2)
    return f"{written}, n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{found['n']}"


def wide(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row per network and arm, one column per training set: mean and interval as text.

    How many replicates there are stands behind each cell in round brackets, unless it is the same in all; `replicates`
    says it in words.
    """
    rows = metric_rows(distinct(frame), metric)
    mixed = len(set(_replicates(rows))) > 1

    def cell(part: pd.DataFrame) -> str:
        found = interval(part["value"], test_share=part["test_share"].max())
        return tables.effect(found.estimate, found.low, found.high) + f" ({found.n})" * mixed

    return _by_training_set(rows, cell)


def replicates(frame: pd.DataFrame, metric: str) -> str:
    """What the caption of `wide` says of n, the number of replicates: the same in all cells, or where it stands."""
    counts = set(_replicates(metric_rows(distinct(frame), metric)))
    return f"n = {counts.pop()}" if len(counts) == 1 else "n in round brackets"


def _replicates(rows: pd.DataFrame) -> list[int]:
    where = ["network", "method", "imbalance", "rho", "few"]
    return rows.groupby(where, dropna=False)["replicate"].nunique().tolist() if len(rows) else []


def blind(frame: pd.DataFrame) -> pd.DataFrame:
    """How many trainings recognise no defect at all, so that everything is called normal: arm by arm, ``2 of 3``."""
    return _by_training_set(
        metric_rows(distinct(frame), "recall"), lambda part: f"{(part['value'] == 0).sum()} of {len(part)}"
    )


def training_sets(frame: pd.DataFrame) -> pd.DataFrame:
    """What each ratio leaves to train and to test on: images and defects (a range where splits differ), and splits."""
    cells = frame[frame["imbalance"] != "natural"].drop_duplicates("key") if len(frame) else frame
    if cells.empty:
        return pd.DataFrame(columns=["training set"])
    ordered = cells.sort_values(["imbalance", "rho", "few"], ascending=[False, True, True])
    rows = []
    for name, part in ordered.groupby(_setting_names(ordered), sort=False):
        of_test = (part["n_test"] * (1 - part["majority"])).round()
        rows.append(
            {
                "training set": name,
                "normal images": tables.span(part["n_train"] - part["n_defects"]),
                "defects": tables.span(part["n_defects"]),
                "test images": tables.span(part["n_test"]),
                "defects among them": tables.span(of_test),
                "splits": part["replicate"].nunique(),
            }
        )
    return pd.DataFrame(rows)


def by_pooling(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What hangs on the pooling, of which the abstract says nothing: trainings that differ in it alone, split by split.

    Parameters
    ----------
    frame : DataFrame
        Rows of one data set and trunk that differ in the pooling alone (``main_rows`` with ``but=("pooling",)``).
    metric : str

    Returns
    -------
    DataFrame
        One row a network, training set and arm that has both: mean with each pooling, and maximum minus average (95%
        interval, n splits), as text.
    """
    rows = metric_rows(distinct(frame), metric)
    what = ["network", "method", "imbalance", "rho", "few"]
    average, maximum = (rows[rows["pooling"] == name] for name in ("average", "maximum"))
    same = [*what, "replicate", "test_share"]
    both = average[[*same, "value"]].merge(maximum[[*same, "value"]], on=same, suffixes=("_average", "_maximum"))
    both = both.assign(arm=both["method"].map(list(study.ARMS).index), set=_setting_names(both))
    lines = []
    for _, part in both.groupby(["network", "imbalance", "rho", "few", "arm"], dropna=False):
        first, share = part.iloc[0], part["test_share"].max()
        gain = interval(part["value_maximum"] - part["value_average"], test_share=share)
        lines.append(
            {"network": first["network"], "training set": first["set"], "arm": first["method"],
             "average": part["value_average"].mean(), "maximum": part["value_maximum"].mean(),
             "maximum minus average": tables.effect(gain.estimate, gain.low, gain.high, sign=True), "n": gain.n}
        )  # fmt: skip
    return pd.DataFrame(lines)


def _by_training_set(rows: pd.DataFrame, cell: Callable[[pd.DataFrame], str]) -> pd.DataFrame:
    """One row per network and arm, one column per training set, each cell from its rows."""
    if rows.empty:
        return pd.DataFrame(columns=["network", "arm"])
    rows = rows.assign(setting=_setting_names(rows))
    keys = ["network", "method", "setting"]
    table = pd.Series({key: cell(part) for key, part in rows.groupby(keys)}, dtype=object).unstack()
    order = rows.sort_values(["imbalance", "rho", "few"], ascending=[False, True, True])["setting"]
    networks = list(dict.fromkeys(["multiscale", "plain", "resnet10", *sorted(rows["network"])]))
    index = [(n, m) for n in networks for m in study.ARMS if (n, m) in table.index]
    table = table.loc[index, list(dict.fromkeys(order))].rename_axis(index=["network", "arm"])
    return table.reset_index().rename_axis(columns=None)


def _setting_names(rows: pd.DataFrame) -> pd.Series:
    names = {"ratio": "ratio {0.rho:g}", "few": "{0.few:g} defects", "natural": "all classes as they are"}
    return pd.Series([names[row.imbalance].format(row) for row in rows.itertuples()], rows.index)


def pointing(frame: pd.DataFrame) -> pd.DataFrame:
    """Pointing-game hit rates as `wide` shows them; the last row is the share of pixels that masks cover: chance."""
    hits, chance = wide(frame, "pointing_game"), metric_rows(frame, "pointing_chance")
    if hits.empty:
        return hits
    # Chance depends on the split alone: one value for each.
    once = chance.drop_duplicates(["imbalance", "rho", "few", "replicate"]).assign(network="", method="baseline")
    return pd.concat([hits, wide(once, "pointing_chance").assign(arm="a random point")]).fillna(tables.MISSING)


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells and their cost (`tables.cost`) by data set, device, network and arm."""
    return tables.cost(frame, ["dataset", "device", "network", "arm"], "cell")


def arms() -> pd.DataFrame:
    """What each arm does, one row each."""
    return pd.DataFrame(
        {
            "arm": name,
            "first stage sees": arm.first,
            "second stage sees": arm.second,
            "weights from": arm.start,
            "loss": arm.loss,
            "networks": "several" if arm.ensemble else "one",
        }
        for name, arm in study.ARMS.items()
    )


def majority(cells: pd.DataFrame) -> float:
    """Accuracy of calling every test image normal, mean over the cells in which defects are one class."""
    return float(cells.loc[cells["imbalance"] != "natural", "majority"].mean())
