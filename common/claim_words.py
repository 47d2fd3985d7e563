"""A claim's test in words: what was measured, and where its whole interval has to lie for the claim to hold."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

METRICS = {  # all others are written as they are called
    "auc": "AUC", "avacc": "AvAcc", "cba": "CBA", "mavg": "MAvG", "pr_auc": "PR-AUC",
    "recall_few": "recall where images are few", "recall_many": "recall where images are many",
}  # fmt: skip
SYMBOLS = {"rho": "ρ", "mu": "μ"}
#: How the parts of a verdict's note begin without which it would be read wrongly, such as a claim refuted by networks
#: that diverged, beside an effect of nothing.
LIMITS = (
    "most favourable", "least favourable", "corrected for", "other weights", "no test defect", "two replicates only",
    "a reconstruction", "a head", "stand-in", "shortened", "diverged in", "a level is judged", "undecided at the level",
    "undecided because", "all replicates from one", "counted", "no pair overlapped",
)  # fmt: skip
MINUS = "\N{MINUS SIGN}"


def metric(name: str) -> str:
    """A metric as it is written, or the difference of two: ``train accuracy − accuracy``."""
    parts = [METRICS.get(part, part.replace("_", " ")) for part in name.split(" - ")]
    return f" {MINUS} ".join(parts)


def how_tested(row: Mapping) -> str:
    """The test of an evaluated claim: ``difference of AUC > 0``, ``accuracy > 0.99``, ``slope of AUC over ρ < 0``.

    Parameters
    ----------
    row : mapping
        As `claims.evaluate` returns it; `over` and `scale` are used where there are any.
    """
    measure, kind = metric(row.get("metric") or "value"), row["test"]
    if kind == "trend":
        over = row.get("over") or ""
        what = f"slope of {measure}" + (f" over {SYMBOLS.get(over, over.replace('_', ' '))}" if over else "")
        what += " (per decade)" if row.get("scale") == "log10" else ""
    elif kind in ("difference", "equivalence"):
        what = f"difference of {measure}"
    elif kind == "level":
        what = measure
    else:
        what = row["quantity"]
    return f"{what} {_bound(row)}".strip()


def _bound(row: Mapping) -> str:
    """Where the interval has to lie."""
    margin, direction = row.get("margin"), row.get("direction") or ""
    if margin is None or pd.isna(margin):
        return ""
    centre = 0.0 if row.get("value") is None or pd.isna(row["value"]) else row["value"]
    above = {"greater": margin, "not less": -margin}
    below = {"less": -margin, "not greater": margin}
    if direction in above:
        return f">\N{NO-BREAK SPACE}{_number(centre + above[direction])}"
    if direction in below:
        return f"<\N{NO-BREAK SPACE}{_number(centre + below[direction])}"
    return f"within\N{NO-BREAK SPACE}±{_number(margin)}" + (f" of {_number(centre)}" if centre else "")


def _number(value: float) -> str:
    return f"{value + 0.0:g}".replace("-", MINUS)


def caveats(note: str) -> tuple[str, str]:
    """A verdict's note in two: what limits the verdict, to be read with it, and how it came about."""
    parts = [part for part in note.split("; ") if part]
    limits = [part for part in parts if part.startswith(LIMITS)]
    return "; ".join(limits), "; ".join(part for part in parts if part not in limits)
