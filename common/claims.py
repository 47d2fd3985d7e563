"""What our results say about what a paper claims.

A claim is written with its margin before the run (`common.claim_file`). Its verdict is computed from one effect per
replicate: values are compared within a replicate, over the same cells in all of them (`common.matching`), then a 95 %
interval is taken over replicates (`common.statistics`).

- Results on stand-in data never count.
- Schedules are never mixed: judged is the longest that covers the grid (`coverage.one_schedule`). A verdict from a
  shortened schedule says so, and a level from one gets none, for it is not what the paper measured.
- Only complete replicates over common cells are averaged (`matching.complete_block`), and what a claim requires has to
  be among them (`matching.check`), in each group that is judged for itself; a group that lacks some of it is left out.
- Diverged results are left out of the effect shown and counted in the note, yet a verdict may not rest on that
  (`common.divergence`).
- The note ends with the settings that were judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from common import coverage, divergence, effects, groups, matching
from common.claim_file import COUNT, FUNCTION, Claim, load
from common.errors import UserError
from common.matching import NoData
from common.names import named
from common.statistics import LEAST, Interval, Noise
from common.verdicts import Verdict, counted, decide

__all__ = ["Claim", "Verdict", "evaluate", "load"]


def evaluate(claims, frame: pd.DataFrame, study_module=None) -> pd.DataFrame:
    """The verdict on each claim.

    Parameters
    ----------
    claims : list of Claim
    frame : DataFrame
        Result frame (docs/architecture.md); may be empty.
    study_module : module or None
        Where ``claim_<name>`` functions are, and optionally FULL_ITERATIONS: iterations of the paper's schedule by data
        set, NOT_DESIGN: columns the study adds that only record, ``judged``: the rows that claims are judged on,
        ``unjudged``: why the others are not, ``remarks``: what a verdict on these settings has to say, such as a
        shortened schedule that is not counted in iterations,
        ``caveats``: what it has to say of the judged results of the claim's own arm, given the claim's metric and their
        rows of all metrics, ``levels``: why none is compared on them, and ``chance``: the standard deviation of the
        difference of two arms that are alike, given the claim's metric, its cells and all rows, and its degrees of
        freedom; None where it is not known.

    Returns
    -------
    DataFrame
        One row per claim: id, statement, where, test, metric, quantity, direction, over, scale, n (replicates), cells
        (per replicate), effect, low, high, value, margin, verdict, verdict_note, note, changed, data (the sets judged).

    Raises
    ------
    UserError
        If the frame lacks metric, replicate or value, a cell was measured twice, or a function is missing.
    """
    full = getattr(study_module, "FULL_ITERATIONS", {})
    everything = frame
    if len(frame) and hasattr(study_module, "judged"):
        frame = study_module.judged(frame)
    recorded = getattr(study_module, "NOT_DESIGN", ())
    rows, alike = None, {}
    if len(frame):
        asked = {column for claim in claims for column in claim.columns}
        rows, alike = matching.telling(matching.tidy(frame, recorded), asked)
    study = _Study(study_module, full, alike, everything)
    found = [_row(claim, rows, study) for claim in claims]
    return pd.DataFrame(found, columns=_COLUMNS)


#: Columns that say of what a claim is, and so which results that are not judged could have spoken to it.
SUBJECT = {"dataset", "network"}
_COLUMNS = (
    "id statement where test metric quantity direction over scale n cells effect low high value margin verdict "
    "verdict_note note changed data".split()
)


@dataclass(frozen=True)
class _Study:
    """What the study's module says, given settings and results with the columns that are `alike` in all of them."""

    module: object
    full_iterations: Mapping[str, int]
    alike: Mapping[str, object]
    everything: pd.DataFrame

    def unjudged(self, claim: Claim) -> str:
        """Why results on the claim's data and network are not judged."""
        if self.everything.empty or not hasattr(self.module, "unjudged"):
            return ""
        rows = self.everything
        for name in SUBJECT & set(claim.on) & set(rows):
            rows = rows[rows[name].isin(claim.on[name])]
        return self.module.unjudged(rows)

    def remarks(self, settings: pd.DataFrame) -> list[str]:
        return self.module.remarks(settings.assign(**self.alike)) if hasattr(self.module, "remarks") else []

    def caveats(self, metric: str, rows: pd.DataFrame, judged: pd.DataFrame, replicates: pd.Index) -> list[str]:
        if not hasattr(self.module, "caveats"):
            return []
        return self.module.caveats(metric, _of_own_arm(rows, judged, replicates).assign(**self.alike))

    def levels(self, settings: pd.DataFrame) -> str:
        return self.module.levels(settings.assign(**self.alike)) if hasattr(self.module, "levels") else ""

    def chance(self, claim: Claim, judged: pd.DataFrame, rows: pd.DataFrame) -> Noise | None:
        """What chance makes of the difference of two arms in one setting."""
        if not (claim.against and claim.test in divergence.MEANS and hasattr(self.module, "chance")):
            return None
        found = self.module.chance(claim.metric, judged.assign(**self.alike), rows.assign(**self.alike))
        return Noise(*found) if found else None

    def effects(self, claim: Claim, rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(self._function(claim)(claim, rows.assign(**self.alike)), dtype=float)

    def count(self, claim: Claim) -> float:
        return float(self._function(claim)(claim))

    def _function(self, claim: Claim) -> Callable:
        function = getattr(self.module, claim.test, None)
        if function is None:
            where = getattr(self.module, "__name__", self.module)
            raise UserError(f"no function {claim.test} in {where}; write it there")
        return function


def _row(claim: Claim, rows: pd.DataFrame | None, study: _Study) -> dict:
    found, judged, verdict, notes = Interval(np.nan, np.nan, np.nan, 0), pd.DataFrame(), Verdict.NO_DATA, []
    try:
        if claim.test.startswith(COUNT) and study.module is not None:
            found, verdict = counted(claim, study.count(claim))
            notes.append("counted, not measured: without an interval")
        elif rows is None:
            raise NoData("no results")
        elif rows.empty:
            raise NoData("only results on stand-in data")
        else:
            found, judged, verdict = _judge(claim, rows, study, notes)
    except NoData as reason:
        unjudged = study.unjudged(claim)
        notes += [str(reason), *([unjudged] if unjudged else [])]
    except UserError as error:
        raise UserError(f"claim {claim.id!r}: {error}") from error
    result = {"n": found.n, "cells": len(judged), "effect": found.estimate, "low": found.low, "high": found.high}
    result["data"] = ", ".join(named(name) for name in judged["dataset"].unique()) if "dataset" in judged else ""
    result["value"] = np.nan if claim.value is None else claim.value
    return asdict(claim) | result | {"verdict": verdict.value, "verdict_note": "; ".join(notes)}


def _judge(claim: Claim, rows: pd.DataFrame, study: _Study, notes: list[str]) -> tuple[Interval, pd.DataFrame, Verdict]:
    """Interval, the cells judged and verdict; appends to `notes`."""
    cells, alone, schedule = _compared(claim, rows, notes)
    own = claim.test.startswith(FUNCTION)
    if not own:
        cells = groups.whole(claim, cells, notes)
    usable, *bounds = divergence.readings(claim, cells)
    if usable.empty:
        raise NoData("all diverged")
    if own:
        usable = _replicates(usable, claim.requires, notes)
    elif alone:
        notes.append(f"{alone} without a partner left out")
    block, judged, note = _block(claim, usable)
    notes += [note] if note else []
    matching.check(judged, claim.requires)
    notes += study.remarks(judged)
    notes += study.caveats(claim.metric, rows, judged, block.index)
    if own:
        complete = usable[usable["replicate"].isin(block.index)].merge(judged, on=list(judged))
        found = [{"": study.effects(claim, complete)}]
    else:
        lost = (effects.effects(claim, *_block(claim, one)[:2]) for one in bounds)
        found = [effects.effects(claim, block, judged), *lost]
    shortened = _shortened(schedule, study.full_iterations)
    notes += shortened
    undecidable = divergence.undecidable(claim, cells, found[0], notes)
    noises = effects.noises(found[0], study.chance(claim, judged, rows))
    shown, verdict = decide(claim, found, notes, undecidable, noises)
    if shown.n < 2:
        notes.append("one replicate; an interval needs two" if shown.n else "no effect could be computed")
        verdict = verdict if shown.n else Verdict.NO_DATA
    if shown.n < LEAST and not claim.identity and verdict in (Verdict.SUPPORTED, Verdict.NOT_SUPPORTED):
        notes.append(f"two replicates only: {verdict} by their one difference, a verdict needs {LEAST}")
        verdict = Verdict.UNDECIDED
    incomparable = study.levels(judged) if claim.test == "level" else ""
    incomparable = "a level is judged on the full schedule only" if shortened else incomparable
    if claim.value is not None and incomparable:
        notes.append(incomparable)
        verdict = Verdict.NO_DATA
    fixed = {column for filters in (claim.on, claim.of) for column, values in filters.items() if len(values) == 1}
    extent = matching.extent(judged, fixed)
    notes += [extent] if extent else []
    return shown, judged, verdict


def _of_own_arm(rows: pd.DataFrame, judged: pd.DataFrame, replicates: pd.Index) -> pd.DataFrame:
    """The rows of all metrics, classes and pairs of these that belong to the judged cells of the claim's own arm."""
    cell = [column for column in rows if column in judged and column not in matching.PARTS]
    return rows[rows["replicate"].isin(replicates)].merge(judged[cell].drop_duplicates(), on=cell)


def _compared(claim: Claim, rows: pd.DataFrame, notes: list[str]) -> tuple[pd.DataFrame, int, pd.DataFrame | None]:
    """On one schedule: a row per cell and replicate with what the claim is about, and what lost sides could make of it.

    Also how many results have no partner, and the schedule. Diverged cells have a NaN.
    """
    arms = []
    for filters in (claim.of, claim.against) if claim.against else (claim.of,):
        chosen = matching.select(rows, {**claim.on, **filters})
        arms.append(matching.values(chosen, claim.metric))
    if claim.against:
        apart = {*claim.of, *claim.against, *claim.unmatched, *matching.ARM}
        cells, alone = matching.pair(*arms, apart)
        if cells.empty:
            differ = matching.disjoint(*arms, apart)
            which = f"; they differ in {', '.join(differ)}" if differ else ""
            raise NoData(f"no pairs: the arms share no cell ({len(alone)} results without a partner{which})")
    else:
        value = arms[0]["value"]
        cells, alone = arms[0].assign(least=value.fillna(0), most=value.fillna(1)), arms[0].iloc[:0]
    schedule, longer = coverage.one_schedule(cells)
    notes += longer
    for arm, filters in zip(arms, (claim.of, claim.against), strict=False):
        diverged = int(coverage.at(arm, schedule)["value"].isna().sum())
        which = f" of {matching.describe(filters)}" if filters else ""
        notes += [f"{diverged} diverged{which} left out"] if diverged else []
    return coverage.at(cells, schedule), len(coverage.at(alone, schedule)), schedule


def _block(claim: Claim, cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Complete replicates, the largest block that has all the claim requires (`matching.complete_block`)."""
    return matching.complete_block(cells, (lambda s: groups.has_required(claim, s)) if claim.requires else None)


def _replicates(rows: pd.DataFrame, requires: Mapping[str, tuple], notes: list[str]) -> pd.DataFrame:
    """The rows of the replicates that have all that is required.

    A function may compare what only some replicates have, such as two data sets of which one was run more often; the
    others would outweigh them in the complete block.
    """
    matching.check(rows, requires)
    told = {replicate: matching.lacks(one, requires) for replicate, one in rows.groupby("replicate")}
    lacking = {replicate: reason for replicate, reason in told.items() if reason}
    if lacking:
        total, reason = rows["replicate"].nunique(), next(iter(lacking.values()))
        if len(lacking) == total:
            raise NoData(f"no replicate has all that is required, first: {reason}")
        notes.append(f"{len(lacking)} of {total} replicates left out: {reason}")
    return rows[~rows["replicate"].isin(lacking)]


def _shortened(schedule: pd.DataFrame | None, full: Mapping[str, int]) -> list[str]:
    if schedule is None or "dataset" not in schedule:
        return []
    return [
        f"shortened schedule: {row.iterations:g} of {full[row.dataset]:g} iterations"
        for row in schedule.itertuples()
        if row.iterations < full.get(row.dataset, 0)
    ]
