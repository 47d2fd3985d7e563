"""Which of the measured rows of paper 5 count, and what they are."""

from __future__ import annotations

import pandas as pd

from common.names import named


def remarks(settings: pd.DataFrame) -> list[str]:
    """What a verdict on these settings (`claims`) has to say: what is not the paper's own."""
    notes = ["a reconstruction from the abstract"]
    if "magnetic_tile" in set(settings.get("dataset", ())):
        notes.append("stand-in: magnetic tiles for the industrial set")
    return notes


def levels(settings: pd.DataFrame) -> str:
    """Why no level is judged, whatever the settings."""
    return "a reconstruction on other data: levels are not compared"


def summary(frame: pd.DataFrame) -> str:
    """What was measured, in one sentence for the README and the index."""
    parts = []
    for dataset, rows in frame.groupby("dataset"):
        splits = rows.dropna(subset=["rho"]).groupby("rho")["replicate"].nunique()
        shown = [
            f"{', '.join(f'{rho:g}' for rho in same.index)} ({n} split{'s' * (n > 1)})"
            for n, same in sorted(splits.groupby(splits), reverse=True)
        ]
        few = rows.loc[rows["few"] > 0, "few"].unique()
        said = [f"at ratios {', '.join(shown)}"] * bool(shown)
        said += [f"with {', '.join(f'{n:g}' for n in sorted(few))} defects"] * bool(len(few))
        parts.append(f"{named(dataset)} {' and '.join(said)}")
    return f"A reconstruction from the abstract; {frame['key'].nunique():,} trainings: {'; '.join(parts)}."
