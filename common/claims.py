"""What our results say about what a paper claims.

A claim is written with its margin before the run (`common.claim_file`). Its verdict is computed from one effect per
replicate: values are compared within a replicate, over the same cells in all of them (`common.matching`), then a 95 %
interval is taken over replicates (`common.statistics`).

- Results on stand-in data never count; diverged ones are left out and counted in the note. What diverges where its
  partner does not is not equivalent to it.
- Schedules are never mixed: the largest number of iterations that at least two replicates have is the one judged. A
  verdict from a shortened schedule says so, and a level from one gets none, for it is not what the paper measured.
- Only complete replicates over common cells are averaged (`matching.complete_block`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from itertools import product

import numpy as np
import pandas as pd

from common import matching
from common.claim_file import FUNCTION, ORDERS, Claim, load
from common.errors import UserError
from common.matching import NoData
from common.statistics import Interval, corrected_interval, interval

__all__ = ["Claim", "Verdict", "evaluate", "load"]

LEVEL = 0.95


class Verdict(StrEnum):
    """What the results say."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"
    NO_DATA = "no data"


def evaluate(claims, frame: pd.DataFrame, study_module=None, full_iterations=None) -> pd.DataFrame:
    """The verdict on each claim.

    Parameters
    ----------
    claims : list of Claim
    frame : DataFrame
        Result frame (docs/architecture.md); may be empty.
    study_module : module or None
        Where ``claim_<name>`` functions are, and optionally NOT_DESIGN: columns the study adds that only record.
    full_iterations : dict or None
        Iterations of the paper's schedule by data set; None: the module's FULL_ITERATIONS.

    Returns
    -------
    DataFrame
        One row per claim: id, statement, where, test, metric, direction, n (replicates), cells (per replicate), effect,
        low, high, value, margin, verdict, verdict_note, note.

    Raises
    ------
    UserError
        If the frame lacks a column that every result has, a cell was measured twice, or a function is missing.
    """
    if full_iterations is None:
        full_iterations = getattr(study_module, "FULL_ITERATIONS", {})
    rows = matching.tidy(frame, getattr(study_module, "NOT_DESIGN", ())) if len(frame) else None
    return pd.DataFrame([_row(claim, rows, study_module, full_iterations) for claim in claims], columns=_COLUMNS)


_COLUMNS = (
    "id statement where test metric direction n cells effect low high value margin verdict verdict_note note".split()
)


def _row(claim: Claim, rows: pd.DataFrame | None, module, full: Mapping[str, int]) -> dict:
    found, cells, verdict, notes = Interval(np.nan, np.nan, np.nan, 0), 0, Verdict.NO_DATA, []
    try:
        if rows is None:
            raise NoData("no results")
        if rows.empty:
            raise NoData("only results on stand-in data")
        for combination in product(*claim.requires.values()) if claim.requires else ():
            needed = {name: (value,) for name, value in zip(claim.requires, combination, strict=True)}
            if matching.select(rows, needed)["value"].isna().all():
                raise NoData(f"only diverged results with {matching.describe(needed)}")
        found, cells, verdict = _judge(claim, rows, module, full, notes)
    except NoData as reason:
        notes.append(str(reason))
    except UserError as error:
        raise UserError(f"claim {claim.id!r}: {error}") from error
    result = {"n": found.n, "cells": cells, "effect": found.estimate, "low": found.low, "high": found.high}
    result["value"] = np.nan if claim.value is None else claim.value
    return asdict(claim) | result | {"verdict": verdict.value, "verdict_note": "; ".join(notes)}


def _judge(claim: Claim, rows: pd.DataFrame, module, full, notes: list[str]) -> tuple[Interval, int, Verdict]:
    """Interval, number of cells and verdict; appends to `notes`."""
    if claim.test.startswith(FUNCTION):
        cells = _arm(claim, rows, {}, notes)
        schedule = matching.one_schedule(cells)
        function = getattr(module, claim.test, None)
        if function is None:
            raise UserError(f"no function {claim.test} in {getattr(module, '__name__', module)}; write it there")
        cells = matching.at(cells, schedule)
        groups = {"": np.asarray(function(claim, cells), dtype=float)}
        cells = cells.drop_duplicates(matching.design(cells))
    else:
        cells, alone = _cells(claim, rows, notes)
        schedule = matching.one_schedule(cells)
        left = 0 if alone is None else len(matching.at(alone, schedule))
        if left:
            notes.append(f"{left} without a partner left out")
        block, cells, note = matching.complete_block(matching.at(cells, schedule))
        notes += [note] if note else []
        groups = _effects(claim, block, cells)
    shortened = _shortened(schedule, full)
    notes += shortened
    found, verdict = _decide(claim, groups, notes)
    lopsided = _lopsided(claim, rows, schedule) if claim.test == "equivalence" else 0
    if lopsided:
        # The cells left out are where the arms differ most; the rest being alike is no equivalence.
        notes.append(f"diverged in {lopsided} cells whose partner did not")
        verdict = Verdict.NOT_SUPPORTED
    if found.n < 2:
        notes.append("one replicate; an interval needs two" if found.n else "no effect could be computed")
        verdict = verdict if found.n else Verdict.NO_DATA
    if claim.test == "level" and shortened:
        notes.append("a level is judged on the full schedule only")
        verdict = Verdict.NO_DATA
    return found, len(cells), verdict


def _arm(claim: Claim, rows: pd.DataFrame, filters: Mapping, notes: list[str]) -> pd.DataFrame:
    """Usable rows of an arm; notes how many diverged."""
    chosen = matching.select(rows, {**claim.on, **filters})
    chosen = matching.values(chosen, claim.metric) if claim.metric else chosen
    usable = chosen[chosen["value"].notna()]
    if len(usable) < len(chosen):
        arm = f" of {matching.describe(filters)}" if filters else ""
        notes.append(f"{len(chosen) - len(usable)} diverged{arm} left out")
    if usable.empty:
        raise NoData("all diverged")
    return usable


def _lopsided(claim: Claim, rows: pd.DataFrame, schedule: pd.DataFrame | None) -> int:
    """Pairs of an equivalence of which one side diverged and the other did not."""
    flags = []
    for filters in (claim.of, claim.against):
        chosen = matching.values(matching.select(rows, {**claim.on, **filters}), claim.metric)
        flags.append(chosen.assign(value=chosen["value"].isna().astype(float)))
    pairs, _ = matching.pair(*flags, {*claim.of, *claim.against, *claim.unmatched, *matching.ARM})
    return int((matching.at(pairs, schedule)["value"] != 0).sum())


def _cells(claim: Claim, rows: pd.DataFrame, notes: list[str]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """One row per cell and replicate with what the claim is about, and the rows without a partner."""
    of = _arm(claim, rows, claim.of, notes)
    if not claim.against:
        return of, None
    apart = {*claim.of, *claim.against, *claim.unmatched, *matching.ARM}
    pairs, alone = matching.pair(of, _arm(claim, rows, claim.against, notes), apart)
    if pairs.empty:
        raise NoData(f"no pairs: the arms share no cell ({len(alone)} results without a partner)")
    return pairs, alone


def _effects(claim: Claim, block: pd.DataFrame, cells: pd.DataFrame) -> dict[str, np.ndarray]:
    """Effect per replicate, by name of the group judged for itself ("": all)."""
    by = list(claim.every or claim.some)
    for column in [*by, *([claim.over] if claim.over else [])]:
        if column not in cells:
            raise NoData(f"the compared cells have no column {column!r}")
    grouped = cells.groupby(by, dropna=False) if by else [((), cells)]
    effects = {}
    for key, group in grouped:
        shown = [f"{v:g}" if isinstance(v, float) else v for v in key]
        name = matching.describe({column: [v] for column, v in zip(by, shown, strict=True)})
        values = block[group.index].to_numpy()
        effects[name] = _slopes(claim, values, group) if claim.test == "trend" else values.mean(axis=1)
    return effects


def _slopes(claim: Claim, values: np.ndarray, cells: pd.DataFrame) -> np.ndarray:
    """Least-squares slope per replicate, with an intercept for each setting of the other columns.

    Intercepts of their own keep a cell that is missing at one end from tilting the line; in a full grid they change
    nothing.
    """
    x = cells[claim.over]
    if not pd.api.types.is_numeric_dtype(x) or (claim.scale == "log10" and (x <= 0).any()):
        raise UserError(f"trend over {claim.over} ({claim.scale}): expected numbers, above 0 for log10")
    x = np.log10(x) if claim.scale == "log10" else x
    others = [column for column in cells if column != claim.over]
    centred = (x - x.groupby([cells[column] for column in others], dropna=False).transform("mean")).to_numpy()
    if not np.any(np.abs(centred) > 1e-12):
        raise NoData(f"a trend needs two values of {claim.over} at one setting of the rest")
    return values @ centred / (centred @ centred)


def _shortened(schedule: pd.DataFrame | None, full: Mapping[str, int]) -> list[str]:
    if schedule is None or "dataset" not in schedule:
        return []
    return [
        f"shortened schedule: {row.iterations:g} of {full[row.dataset]:g} iterations"
        for row in schedule.itertuples()
        if row.iterations < full.get(row.dataset, 0)
    ]


def _decide(claim: Claim, groups: Mapping[str, np.ndarray], notes: list[str]) -> tuple[Interval, Verdict]:
    """The interval to show and the verdict over all groups."""
    strict = 1 - (1 - LEVEL) / len(groups)
    found = {name: _interval(claim, effects, LEVEL) for name, effects in groups.items()}
    holds = [_holds(claim, i) for i in found.values()]
    surely = [_holds(claim, _interval(claim, effects, strict)) for effects in groups.values()]
    if claim.some:
        supported, refuted, pick = any(h is True for h in surely), all(h is False for h in holds), max
    else:
        supported, refuted, pick = all(h is True for h in holds), any(h is False for h in surely), min
    name = pick(found, key=lambda group: _favour(claim, found[group].estimate))
    if name:
        notes.append(f"{'most' if claim.some else 'least'} favourable of {len(groups)}: {name}")
    verdict = Verdict.SUPPORTED if supported else Verdict.NOT_SUPPORTED if refuted else Verdict.UNDECIDED
    return found[name], verdict


def _interval(claim: Claim, effects: np.ndarray, level: float) -> Interval:
    if claim.test_share is None:
        return interval(effects, level)
    return corrected_interval(effects, claim.test_share, level)


def _holds(claim: Claim, found: Interval) -> bool | None:
    """Whether one interval is where the claim says; None if it does not decide."""
    centre = claim.value if claim.test == "level" else 0.0
    if claim.direction not in ORDERS:
        return found.within(claim.margin, centre)
    beyond = centre + (claim.margin if claim.direction in ("greater", "not greater") else -claim.margin)
    above = found.above(beyond)
    return above if above is None or claim.direction in ("greater", "not less") else not above


def _favour(claim: Claim, estimate: float) -> float:
    if claim.direction not in ORDERS:
        return -abs(estimate - (claim.value if claim.test == "level" else 0.0))
    return estimate if claim.direction in ("greater", "not less") else -estimate
