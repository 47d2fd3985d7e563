"""Printed numbers beside ours as tables of the site: with the digits and in the unit that the paper has."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from common.claim_words import metric
from common.names import named
from common.tables import MISSING, Html, assembled, effect, text

UNITS = {"percent": "%"}  # all others are written as they are called
PUBLISHED, OURS, DIFFERENCE = "published", "ours [95% interval]", "ours − published"


def beside(rows: pd.DataFrame, caption: str) -> Html:
    """Printed numbers and ours, a row each, ours in the unit of the printed number.

    Parameters
    ----------
    rows : DataFrame
        As `comparison.together` gives them, all with a number of ours.
    """
    scales = [100 if unit == "percent" else 1 for unit in rows["unit"]]
    digits = [_digits(value) for value in rows["printed"]]
    numbers = rows[["ours", "low", "high"]].mul(scales, axis=0).to_numpy()
    columns = _printed(rows) | {
        OURS: [effect(*row, digits=d) for row, d in zip(numbers, digits, strict=True)],
        "n": [text(int(n)) for n in rows["n"]],
        DIFFERENCE: [
            effect(one * scale, digits=d, sign=True)
            for one, scale, d in zip(rows["difference"], scales, digits, strict=True)
        ],
        "ours was run": [
            text(profile + (", stand-in data" if stand_in else ""))
            for profile, stand_in in zip(rows["profile"], rows["stand_in"], strict=True)
        ],
    }
    return assembled(columns, caption, "comparison", right=(PUBLISHED, OURS, "n", DIFFERENCE))


def printed(rows: pd.DataFrame, caption: str) -> Html:
    """Printed numbers that have none of ours beside them; `rows` as for `beside`."""
    return assembled(_printed(rows), caption, "comparison", right=(PUBLISHED,))


def _digits(value: str) -> int:
    """Decimals of ours beside a printed number: as many as it has, but a mean needs one more than a whole number."""
    return max(1, len(value.partition(".")[2]))


def _printed(rows: pd.DataFrame) -> dict[str, list[Markup]]:
    """What was printed, as the paper has it."""
    place = {"where": [text(where) for where in rows["where"]]} if rows["where"].nunique() > 1 else {}
    return place | {
        "what": [
            text(what) + (Markup(' <span class="note">{}</span>').format(note) if note and note != what else Markup())
            for what, note in zip(rows["what"], rows["note"], strict=True)
        ],
        "data set": [text(named(name) or MISSING) for name in rows["dataset"]],
        "metric": [text(metric(name.replace(" ", "_"))) for name in rows["metric"]],
        PUBLISHED: [
            text(f"{bound} {value}".strip().replace("-", "\N{MINUS SIGN}"))
            for bound, value in zip(rows["bound"], rows["printed"], strict=True)
        ],
        "unit": [text(UNITS.get(unit, unit) or MISSING) for unit in rows["unit"]],
    }
