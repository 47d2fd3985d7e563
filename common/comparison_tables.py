"""Printed numbers beside ours as tables of the site."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from common.claim_words import metric
from common.tables import MISSING, Html, assembled, effect, setting, text


def beside(rows: pd.DataFrame, caption: str) -> Html:
    """Printed numbers and ours, a row each.

    Parameters
    ----------
    rows : DataFrame
        As `comparison.table` gives them, all with a number of ours.
    """
    columns = _printed(rows) | {
        "ours [95% interval]": [
            effect(*row) for row in rows[["ours", "low", "high"]].itertuples(index=False, name=None)
        ],
        "n": [text(int(n)) for n in rows["n"]],
        "ours − published": [effect(difference, sign=True) for difference in rows["difference"]],
        "ours was run": [
            text(profile + (", stand-in data" if stand_in else ""))
            for profile, stand_in in zip(rows["profile"], rows["stand_in"], strict=True)
        ],
    }
    return assembled(
        columns, caption, "comparison", right=("published", "ours [95% interval]", "n", "ours − published")
    )


def printed(rows: pd.DataFrame, caption: str) -> Html:
    """Printed numbers that have none of ours beside them; `rows` as for `beside`."""
    return assembled(_printed(rows), caption, "comparison", right=("published",))


def _printed(rows: pd.DataFrame) -> dict[str, list[Markup]]:
    """What was printed. Shares have three decimals as ours have; all else stands as the paper sets it."""
    share = rows["is_result"] & rows["published"].abs().le(1)
    place = {"where": [text(where) for where in rows["where"]]} if rows["where"].nunique() > 1 else {}
    return place | {
        "what": [
            text(what) + (Markup(' <span class="note">{}</span>').format(note) if note and note != what else Markup())
            for what, note in zip(rows["what"], rows["note"], strict=True)
        ],
        "data set": [text(name or MISSING) for name in rows["dataset"]],
        "metric": [text(metric(name.replace(" ", "_"))) for name in rows["metric"]],
        "published": [
            text(value) if is_share else setting(value)
            for value, is_share in zip(rows["published"], share, strict=True)
        ],
    }
