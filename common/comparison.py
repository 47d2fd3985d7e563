"""Every number the papers print beside ours: one table and one figure over all papers.

Two numbers stand side by side only where they are the same quantity: same data set, imbalance, metric and method. Which
those are each study says itself, in ``common/studies/<stem>_overview.py``:

- ``beside(printed, frame)`` gives, for those rows of the published numbers that have one (by their index), our mean,
  low, high, n, and how it was measured: `profile`, `full` (so that levels may be subtracted), `stand_in`.
- `RESULTS` are the metrics that report a result; all else a paper prints says how it was set up.
- `UNPAIRED` says in words what cannot be paired, and why.
"""

from __future__ import annotations

import importlib.util

import matplotlib
import numpy as np
import pandas as pd

from common.errors import UserError
from common.look import PALETTE, RC, Chart
from common.papers import PAPERS, Paper
from common.published_numbers import published

COLUMNS = (
    "paper where what dataset metric printed bound published ours low high n difference profile stand_in full unit "
    "note is_result"
).split()
SHARES = ("percent", "share", "fraction")  # units of numbers in 0..1, which a figure can hold together
LIMITS = ("below", "above", "at least")  # a printed number that is no value but bounds one
MARKERS = "osD^vPX*hd"
#: What each ``<stem>_overview`` has.
HOOKS = "RESULTS UNPAIRED MEASURES BASELINE FIGURE MATTER beside contest figure drawn deviations".split()


def together(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Every published number of the papers beside ours, from measured rows by stem; a paper may be missing.

    Returns
    -------
    DataFrame
        One row a published number, in the order of papers and files: paper (number), where (table, figure or section of
        the paper), what (in words), dataset, metric, printed (text) and bound (such as *below*), published, ours, low,
        high (95% interval), n (replicates), difference (ours - published, where the schedule is the paper's and it
        prints no bound), profile (such as "reduced, shortened schedule"), stand_in, full, unit (of `printed`), note and
        is_result. Percentages are in 0..1, except in `printed`. Numbers without ours: NaN, n 0.
    """
    return pd.concat([_rows(paper, frames.get(paper.stem, pd.DataFrame())) for paper in PAPERS], ignore_index=True)


def hook(stem: str):
    """What a study tells the overview: its module ``<stem>_overview``.

    Raises
    ------
    UserError
        If there is none, or it lacks something that index, overview or comparison take from it.
    """
    name = f"common.studies.{stem}_overview"
    if importlib.util.find_spec(name) is None:
        raise UserError(f"{name}: no such module, though {stem} is in common/papers.py; see docs/adding_a_paper.md")
    module = importlib.import_module(name)
    if missing := [one for one in HOOKS if not hasattr(module, one)]:
        raise UserError(f"{name}: has no {', '.join(missing)}; see docs/adding_a_paper.md")
    return module


def _rows(paper: Paper, frame: pd.DataFrame) -> pd.DataFrame:
    printed, own = published(paper.stem), hook(paper.stem)
    found = own.beside(printed, frame) if len(frame) else pd.DataFrame()
    found = found.reindex(index=printed.index, columns=["mean", "low", "high", "n", "profile", "full", "stand_in"])
    ours, full = found["mean"].astype(float), found["full"].eq(True)
    return printed.assign(
        paper=paper.number,
        what=[_words(row) for row in printed.to_dict("records")],
        metric=printed["metric"].str.replace("_", " "),
        published=printed["comparable"],
        ours=ours,
        low=found["low"].astype(float),
        high=found["high"].astype(float),
        n=found["n"].astype(float).fillna(0).astype(int),
        difference=(ours - printed["comparable"]).where(full & ~printed["bound"].isin(LIMITS)),
        profile=found["profile"].astype(object).fillna("").astype(str),
        stand_in=found["stand_in"].eq(True),
        full=full,
        is_result=printed["metric"].isin(own.RESULTS),
    )[COLUMNS]


def _words(row: dict) -> str:
    """The row and column of a printed number in words."""
    values = {name: row.get(name, "") for name in ("representation", "network", "imbalance", "method", "pair")}
    parts = [values["representation"], values["network"]]
    parts += [f"imbalance {values['imbalance']}" if len(values["imbalance"]) == 1 else values["imbalance"]]
    parts += [f"ratio {row['rho']:g}"] if row["rho"] == row["rho"] else []
    parts += [f"{100 * row['mu']:g}% minority classes"] if row["mu"] == row["mu"] else []
    parts += [values["method"], values["pair"]]
    parts += [f"{name.replace('class_', '')} {row[name]}" for name in ("class_label", "layer") if row.get(name)]
    parts += [f"run {row['run']:g}"] if row["run"] == row["run"] else []
    return ", ".join(part for part in parts if part) or row["note"] or row["metric"].replace("_", " ")


def paired(frame: pd.DataFrame) -> tuple[int, int]:
    """How many of the printed results have one of ours beside them, and how many there are."""
    results = frame[frame["is_result"]]
    return int(results["ours"].count()), len(results)


def unpaired(frame: pd.DataFrame) -> str:
    """In words, which papers have no pair yet, and what can have none; `frame` as `together` gives it."""
    paired = set(frame.loc[frame["ours"].notna(), "paper"])
    without = [str(paper.number) for paper in PAPERS if paper.number not in paired]
    listed = f"Papers without a pair so far: {', '.join(without)}. " if without else ""
    return listed + " ".join(f"Paper {paper.number}: {hook(paper.stem).UNPAIRED}" for paper in PAPERS)


def figure(frame: pd.DataFrame) -> Chart | None:
    """Ours, with its interval, against the published number; a panel a paper, the diagonal where both are equal.

    Full marks are levels on the paper's own schedule; hollow ones (*no level*) are not comparable with the
    paper's as levels, and `profile` says why.

    Parameters
    ----------
    frame : DataFrame
        As `together` gives it. Only shares (0..1) are drawn, and no bounds.

    Returns
    -------
    Chart or None
        None where no paper has two pairs; papers with fewer have no panel (`unpaired` says so of those without any).
    """
    pairs = frame[frame["ours"].notna() & frame["is_result"] & frame["unit"].isin(SHARES)]
    pairs = pairs[~pairs["bound"].isin(LIMITS)]
    panels = [(paper, pairs[pairs["paper"] == paper.number]) for paper in PAPERS]
    panels = [(paper, part) for paper, part in panels if len(part) > 1]
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(RC):
        chart = Chart(figsize=(3.7 * columns + 0.6, 4.5 * rows))
        grid = chart.subplots(rows, columns, squeeze=False).ravel()
        for axes, (paper, part) in zip(grid, panels, strict=False):
            _panel(axes, part)
            axes.set_title(f"Paper {paper.number}", loc="left")
        for axes in grid[len(panels) :]:
            axes.remove()
    counted = ", ".join(f"paper {paper.number}: {len(part)}" for paper, part in panels)
    chart.alt = f"Our values with 95% intervals against the published ones, and the diagonal; pairs by panel, {counted}"
    return chart


def _panel(axes, part: pd.DataFrame) -> None:
    place = part["where"].where(part["where"].str.startswith("table"), part["metric"])
    names = place + ", " + part["dataset"].replace("", "all data sets")
    for number, (name, rows) in enumerate(part.groupby(names, sort=False)):
        color, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        # An interval of two replicates may leave 0..1, and would squeeze everything else.
        reach = np.nan_to_num([rows["ours"] - rows["low"].clip(lower=0), rows["high"].clip(upper=1) - rows["ours"]])
        axes.errorbar(rows["published"], rows["ours"], yerr=reach, fmt="none", ecolor=color, elinewidth=1, capsize=2)
        full = rows["full"]
        axes.plot(rows["published"][full], rows["ours"][full], marker, color=color)
        axes.plot(rows["published"][~full], rows["ours"][~full], marker, color=color, markerfacecolor="white")
        face = color if full.all() else "white"
        axes.plot([], [], marker, color=color, markerfacecolor=face, label=name if full.all() else f"{name} (no level)")
    drawn = part[["published", "ours"]].join(part[["low", "high"]].clip(0, 1))
    ends = np.array([drawn.min().min(), drawn.max().max()])
    ends += np.array([-1, 1]) * max(0.08 * np.ptp(ends), 0.001)
    axes.plot(ends, ends, color="#888888", linestyle=(0, (4, 3)), linewidth=1, zorder=0)
    axes.set(xlim=ends, ylim=ends, xlabel="published", ylabel="ours", aspect="equal")
    axes.locator_params(nbins=5)
    axes.grid(True, axis="both")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), fontsize=8.5, handletextpad=0.3)
