"""Which of the measured rows of paper 5 count, and what they are."""

from __future__ import annotations

import pandas as pd

NAMES = {"dagm_class1": "DAGM class 1", "magnetic_tile": "magnetic tiles", "mura": "MURA"}


def summary(frame: pd.DataFrame) -> str:
    """What was measured, in one sentence for the README and the index."""
    parts = []
    for dataset, rows in frame.groupby("dataset"):
        ratios = ", ".join(f"{rho:g}" for rho in sorted(rows["rho"].dropna().unique()))
        parts.append(f"{NAMES.get(dataset, dataset)} at ratios {ratios}, {rows['replicate'].nunique()} splits")
    return f"A reconstruction from the abstract; {frame['key'].nunique():,} trainings: {'; '.join(parts)}."
