"""From intervals to a verdict: where they lie beside the claim's margin, over one group or several."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

import numpy as np

from common.claim_file import ORDERS, Claim
from common.statistics import LEVEL, Interval, Noise, corrected, interval

SAME = 1e-9  # an interval narrower than this is that of one number, up to rounding
ALIKE = 6  # equal replicates that are no chance: six throws of a fair coin are alike in 1 of 32 trials, five in 1 of 16


class Verdict(StrEnum):
    """What the results say."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"
    NO_DATA = "no data"


def decide(
    claim: Claim,
    readings: Sequence[Mapping[str, np.ndarray]],
    notes: list[str],
    undecidable: Collection[str] = (),
    noises: Mapping[str, Noise] | None = None,
) -> tuple[Interval, Verdict]:
    """The interval to show and the verdict over all groups.

    Parameters
    ----------
    claim : Claim
    readings : sequence of mappings
        Effect per replicate, or per replicate and setting, by name of the group judged for itself ("": all). The first
        is shown; a group decides only what it decides in all of them (`divergence.readings`).
    notes : list of str
        What a reader should know is appended.
    undecidable : collection of str
        Groups that were to be judged, but of which nothing can be said.
    noises : mapping, optional
        What chance alone makes of a replicate's effect, by group (`statistics.interval`).
    """
    shown, noises = readings[0], noises or {}
    found = {name: interval(one, LEVEL, claim.test_share, noises.get(name)) for name, one in shown.items()}
    holds, surely, verdict = _judged(claim, readings, dict.fromkeys([*shown, *undecidable]), undecidable, noises)
    # The group on which the verdict hangs: first by what its intervals say, then by its estimate. The stricter level
    # counts only where it decides, for the one group that supports `some` or refutes `every`.
    order, strictly = (False, None, True).index, bool(claim.some)
    rank = {
        name: (order(h := holds[name]), order(surely[name] if h is strictly else None), _favour(claim, one.estimate))
        for name, one in found.items()
    }
    name = (max if claim.some else min)(rank, key=rank.get)
    if len(found) > 1:
        notes.append(f"{'most' if claim.some else 'least'} favourable of {len(found)}: {name}")
        if verdict is (Verdict.SUPPORTED if claim.some else Verdict.NOT_SUPPORTED) and found[name].n > 1:
            strict = interval(shown[name], corrected(len(holds)), claim.test_share, noises.get(name))
            notes.append(f"corrected for {len(holds)} groups, its interval is [{strict.low:.3g}, {strict.high:.3g}]")
    if found[name].of:
        notes.append(f"interval widened to the spread of {found[name].of}")
    if verdict is Verdict.UNDECIDED:
        alone = _judged(claim, readings[:1], shown, (), noises)[-1]
        if alone is not verdict:
            notes.append(f"undecided because of what diverged: the rest alone would be {alone}")
        elif found[name].n > 1 and _still(claim, found[name]):
            notes.append(f"undecided because {found[name].n} equal replicates show nothing of chance")
        elif name and holds[name] is not None:
            notes.append(f"undecided at the level corrected for {len(holds)} groups")
    return found[name], verdict


def counted(claim: Claim, value: float) -> tuple[Interval, Verdict]:
    """The verdict on a number that has no chance in it."""
    found = Interval(value, np.nan, np.nan, 0)
    holds = _beyond(claim, Interval(value, value, value, 1))
    if claim.direction.startswith("not ") and value == _bound(claim):  # neither less nor greater
        holds = True
    return found, Verdict.SUPPORTED if holds else Verdict.NOT_SUPPORTED


def _judged(
    claim: Claim, readings: Sequence[Mapping], names: Collection[str], undecidable: Collection[str], noises: Mapping
):
    """What each group says, at the plain level and at that corrected for their number, and the verdict over all."""

    def answers(level: float) -> dict[str, bool | None]:
        found = dict.fromkeys(names)
        for name in found.keys() - set(undecidable):
            found[name] = _holds(claim, [one.get(name) for one in readings], level, noises.get(name))
        return found

    holds, surely = answers(LEVEL), answers(corrected(len(names)))
    if claim.some:
        supported, refuted = any(h is True for h in surely.values()), all(h is False for h in holds.values())
    else:
        supported, refuted = all(h is True for h in holds.values()), any(h is False for h in surely.values())
    return holds, surely, Verdict.SUPPORTED if supported else Verdict.NOT_SUPPORTED if refuted else Verdict.UNDECIDED


def _holds(claim: Claim, effects: Sequence[np.ndarray | None], level: float, noise) -> bool | None:
    """Whether what all readings span together is where the claim says; None if that does not decide."""
    if any(one is None for one in effects):  # a group that is not whole in one of them
        return None
    spans = [interval(one, level, claim.test_share, noise) for one in effects]
    if any(_still(claim, one) for one in spans):
        return None
    lows, highs = ([getattr(one, end) for one in spans] for end in ("low", "high"))
    return _beyond(claim, Interval(spans[0].estimate, np.min(lows), np.max(highs), spans[0].n))


def _beyond(claim: Claim, found: Interval) -> bool | None:
    """Whether an interval lies where the claim says; None if it lies on both sides of the bound."""
    if claim.direction not in ORDERS:
        return found.within(claim.margin, claim.value or 0.0)
    above = found.above(_bound(claim))
    return above if above is None or claim.direction in ("greater", "not less") else not above


def _bound(claim: Claim) -> float:
    """The number that an ordered claim's effect is to be beyond, or not."""
    return (claim.value or 0.0) + (claim.margin if claim.direction in ("greater", "not greater") else -claim.margin)


def _still(claim: Claim, found: Interval) -> bool:
    """Whether replicates are equal and too few for it: two that agree by chance would pass for certainty."""
    return not claim.identity and found.n < ALIKE and found.high - found.low < SAME


def _favour(claim: Claim, estimate: float) -> float:
    if claim.direction not in ORDERS:
        return -abs(estimate - (claim.value or 0.0))
    return estimate if claim.direction in ("greater", "not less") else -estimate
