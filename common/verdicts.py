"""From intervals to a verdict: where they lie beside the claim's margin, over one group or several."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from common.claim_file import ORDERS, Claim
from common.statistics import Interval, corrected_interval, interval

LEVEL = 0.95


class Verdict(StrEnum):
    """What the results say."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"
    NO_DATA = "no data"


def decide(claim: Claim, groups: Mapping[str, np.ndarray], notes: list[str]) -> tuple[Interval, Verdict]:
    """The interval to show and the verdict over all groups.

    Parameters
    ----------
    claim : Claim
    groups : mapping
        Effect per replicate, by name of the group judged for itself ("": all).
    notes : list of str
        What a reader should know is appended.
    """
    strict = 1 - (1 - LEVEL) / len(groups)
    found = {name: _interval(claim, effects, LEVEL) for name, effects in groups.items()}
    holds = [_holds(claim, i) for i in found.values()]
    surely = [_holds(claim, _interval(claim, effects, strict)) for effects in groups.values()]
    if claim.some:
        supported, refuted, pick = any(h is True for h in surely), all(h is False for h in holds), max
    else:
        supported, refuted, pick = all(h is True for h in holds), any(h is False for h in surely), min
    # The group on which the verdict hangs: first by what its intervals say, then by its estimate. The stricter level
    # counts only where it decides, for the one group that supports `some` or refutes `every`.
    order, strictly = (False, None, True).index, bool(claim.some)
    rank = {
        name: (order(h), order(s if h is strictly else None), _favour(claim, found[name].estimate))
        for name, h, s in zip(found, holds, surely, strict=True)
    }
    name = pick(rank, key=rank.get)
    verdict = Verdict.SUPPORTED if supported else Verdict.NOT_SUPPORTED if refuted else Verdict.UNDECIDED
    if name:
        notes.append(f"{'most' if claim.some else 'least'} favourable of {len(groups)}: {name}")
        if verdict is Verdict.UNDECIDED and _holds(claim, found[name]) is not None:
            notes.append(f"undecided at the level corrected for {len(groups)} groups")
    return found[name], verdict


def _interval(claim: Claim, effects: np.ndarray, level: float) -> Interval:
    if claim.test_share is None:
        return interval(effects, level)
    return corrected_interval(effects, claim.test_share, level)


def _holds(claim: Claim, found: Interval) -> bool | None:
    """Whether one interval is where the claim says; None if it does not decide."""
    centre = claim.value or 0.0
    if claim.direction not in ORDERS:
        return found.within(claim.margin, centre)
    beyond = centre + (claim.margin if claim.direction in ("greater", "not greater") else -claim.margin)
    above = found.above(beyond)
    return above if above is None or claim.direction in ("greater", "not less") else not above


def _favour(claim: Claim, estimate: float) -> float:
    if claim.direction not in ORDERS:
        return -abs(estimate - (claim.value or 0.0))
    return estimate if claim.direction in ("greater", "not less") else -estimate
