"""Which of the measured rows of paper 3 count."""

from __future__ import annotations

import dataclasses

import pandas as pd

from common.matching import at_defaults
from common.names import named
from common.studies.class_specific_extrapolation_protocol import FULL_ITERATIONS, METHODS, WIDE, Cell

#: Fields in which runs of the paper's own setting may differ; the width of the head is not stated, and figures and
#: verdicts never mix two.
FREE = {
    "dataset", "replicate", "rare", "hidden", "dropout", "precision", "sampler", "ablation", "iterations", "starts",
}  # fmt: skip
USUAL = {field.name: field.default for field in dataclasses.fields(Cell) if field.name not in FREE}
#: What the arms with a threshold do where no pair is at or below it.
NONE_OVERLAPPED = {
    METHODS["written"]: "there it makes no samples",
    METHODS["run"]: "there it extrapolates every pair at random",
    METHODS["two"]: "there it takes the two worst for overlapped all the same",
}


def selected(frame: pd.DataFrame) -> pd.DataFrame:
    """Of measured rows, those of the paper's own setting; any other is an experiment of its own."""
    return frame[at_defaults(frame, USUAL)]


def remarks(settings: pd.DataFrame) -> list[str]:
    """What a verdict on these settings (`claims`) has to say: what is not stated by the paper, or not as it has it."""
    widths = sorted(set(settings.get("hidden", ())))
    return ["a reconstruction where the paper is silent", *(f"a {text}" for text in map(narrower, widths) if text)]


def narrower(width: float) -> str:
    """How a head differs from VGG's own: ``head 512 wide, not 4,096``; "" if it does not."""
    return f"head {width:,.0f} wide, not {WIDE:,}" if width != WIDE else ""


def departures(rows: pd.DataFrame) -> list[str]:
    """What keeps the levels of rows, or of settings, from being compared with the paper's."""
    iterations = rows.get("iterations", pd.Series(dtype=float))
    words = ["shortened schedule"] if iterations.min() < FULL_ITERATIONS["cifar10"] else []
    return words + list(filter(None, map(narrower, sorted(set(rows.get("hidden", ()))))))


def levels(settings: pd.DataFrame) -> str:
    """Why no level is judged on these settings (`claims`); "" where they are the paper's."""
    found = departures(settings)
    return f"a level is judged on the paper's network only: here a {', '.join(found)}" if found else ""


def caveats(metric: str, rows: pd.DataFrame) -> list[str]:
    """What a verdict on an arm with a threshold has to say of its results (`claims`): where no pair is overlapped.

    Parameters
    ----------
    metric : str
        That the claim is about.
    rows : DataFrame
        Tidied rows of the judged cells, of all metrics and pairs.
    """
    told = rows[(rows["metric"] == "held_out_pair_accuracy") & rows["method"].isin(NONE_OVERLAPPED)]
    if told.empty:
        return []
    tau = float(told["tau"].iloc[0]) if "tau" in told else USUAL["tau"]
    least = told.groupby("replicate")["value"].min()
    none, does = int((least > tau).sum()), NONE_OVERLAPPED[told["method"].iloc[0]]
    return [f"no pair overlapped at tau = {tau:g} in {none} of {len(least)} replicates: {does}"] * bool(none)


def judged(frame: pd.DataFrame) -> pd.DataFrame:
    """What claims are judged by: of the pairs and of the ratios what is shown, so that no verdict mixes two widths.

    Later iterations extrapolate from synthetic samples, too.
    """
    shown = {key for ablation in (False, True) for key in main_rows(frame, ablation)["key"]}
    return frame[frame["key"].isin(shown)]


def main_rows(frame: pd.DataFrame, ablation: bool = False, starts: str = "all") -> pd.DataFrame:
    """The rows to show, of one experiment: one data set, one width of the head and one number of iterations.

    CIFAR-10 if it was measured; the most iterations, then the widest head, of those that at least two replicates have
    (one, if none has two).
    """
    if frame.empty:
        return frame
    frame = frame[(frame["ablation"].astype(bool) == ablation) & (frame["starts"] == starts)]
    if frame.empty:
        return frame
    datasets = set(frame["dataset"])
    frame = frame[frame["dataset"] == ("cifar10" if "cifar10" in datasets else min(datasets))]
    kind = ["iterations", "hidden", "dropout", "precision"]
    replicates = frame.groupby(kind)["replicate"].nunique()
    chosen = max(replicates[replicates >= min(2, replicates.max())].index)
    return frame[at_defaults(frame, dict(zip(kind, chosen, strict=True)))]


def summary(frame: pd.DataFrame) -> str:
    """What was measured, in one sentence for the README and the index."""
    main = main_rows(frame)
    if main.empty:
        return f"{frame['key'].nunique():,} heads."
    backbones, hidden = main["replicate"].nunique(), int(main["hidden"].iloc[0])
    heads, ratios = main["key"].nunique(), main_rows(frame, ablation=True)
    smaller = ratios["key"].nunique()
    others = frame["key"].nunique() - heads - smaller
    each = sorted(set(ratios.groupby("rho")["replicate"].nunique()))
    each = " to ".join(f"{n}" for n in dict.fromkeys((*each[:1], *each[-1:])))
    parts = [
        f"{heads:,} heads of width {hidden:,} on {backbones} VGG-19 backbone{'s' * (backbones > 1)} "
        f"({named(main['dataset'].iloc[0])})",
        f"{smaller:,} for figure 2, with {each} backbone{'s' * (each != '1')} a ratio" if smaller else "",
        f"{others:,} in variants" if others else "",
    ]
    return "; ".join(part for part in parts if part) + "."
