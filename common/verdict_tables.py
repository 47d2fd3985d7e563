"""Verdicts on claims as HTML: badges, tables, and what limits or changed them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from markupsafe import Markup

from common.claim_words import caveats, how_tested
from common.errors import UserError
from common.tables import EFFECT, MISSING, Html, assembled, effect, require, text

# A mark beside the words: the verdict must survive a grey print and a colour-blind reader.
VERDICTS = {"supported": "✓", "not supported": "✗", "undecided": "?", "no data": MISSING}
VERDICT_COLUMNS = ("id", "statement", "where", "test", "n", "effect", "low", "high", "verdict")


def verdict(name: str) -> Html:
    """Badge of a verdict: mark, words, and a colour in pages that have our style."""
    if name not in VERDICTS:
        raise UserError(f"verdict {name!r} is unknown; expected one of {', '.join(VERDICTS)}")
    return Html('<span class="verdict {}"><span aria-hidden="true">{}</span> {}</span>').format(
        name.replace(" ", "-"), VERDICTS[name], name
    )


def verdict_table(verdicts: pd.DataFrame, caption: str = "Claims and verdicts", digits: int = 3) -> Html:
    """Claims with effect, 95% interval, n and verdict, one row each, which a link can name: ``#claim-<id>``.

    Parameters
    ----------
    verdicts : DataFrame
        As `claims.evaluate` returns it: id, statement, where, test, n, effect, low, high, verdict, and metric,
        direction, margin, verdict_note and changed where there are any.

    Returns
    -------
    Html
    """
    require(verdicts, VERDICT_COLUMNS, "verdicts")
    rows = verdicts.to_dict("records")
    columns = {
        "claim": [text(row["statement"]) for row in rows],
        "verdict": [judgement(row) for row in rows],
        EFFECT: [verdict_effect(row, digits) for row in rows],
        "n": [text(0 if pd.isna(row["n"]) else int(row["n"])) for row in rows],
        "holds if": [text(how_tested(row)) for row in rows],
        "in the paper": [text(row["where"]) for row in rows],
    }
    ids = [f"claim-{name}" for name in verdicts["id"]]
    return assembled(columns, caption, "verdicts", right=(EFFECT, "n"), ids=ids)


def waiting_table(verdicts: pd.DataFrame, caption: str = "Claims that our results cannot speak to yet") -> Html:
    """Claims without data and what is missing, and what was changed of them where anything was; nothing if all have."""
    rows = verdicts[verdicts["verdict"] == "no data"].to_dict("records")
    if not rows:
        return Html("")
    columns = {
        "claim": [text(row["statement"]) for row in rows],
        "in the paper": [text(row["where"]) for row in rows],
        "no data, because": [text(row["verdict_note"]) for row in rows],
    }
    if any(row["changed"] for row in rows):
        columns["changed since"] = [text(row["changed"]) for row in rows]
    return assembled(columns, caption, "verdicts")


def judgement(row: Mapping) -> Html:
    """Badge of an evaluated claim with what limits the verdict; folded how it came about, a note, what was changed."""
    names = ("verdict_note", "note", "changed")
    note, more, changed = (value if isinstance(value := row.get(name), str) else "" for name in names)
    limits, how = (note, "") if row["verdict"] == "no data" else caveats(note)
    html = verdict(row["verdict"])
    if limits:
        html += Html(' <span class="note">{}</span>').format(limits)
    if how:
        html += Html(' <details class="note"><summary>how judged</summary>{}</details>').format(how)
    if more:
        html += Html(' <details class="note"><summary>note</summary>{}</details>').format(more)
    if changed:
        mark = ' <details class="note changed"><summary>changed {} first results</summary>{}</details>'
        html += Html(mark).format("after" if _in_view(changed) else "before its", changed)
    return html


def changes(verdicts: pd.DataFrame) -> Html:
    """How many claims were changed or added since they were written, as a sentence; "" where none was.

    Parameters
    ----------
    verdicts : DataFrame
        As `claims.evaluate` returns it.
    """
    changed = [told for told in verdicts["changed"].fillna("") if told]
    if not changed:
        return Html()
    were, which = ("was", "it") if len(changed) == 1 else ("were", "each")
    late = sum(map(_in_view, changed))
    sentence = (
        "{} of {} claims {} changed or added since the claims were written, {} of them after first results of what "
        "they compare; {} says what, beside its verdict."
    )
    return Html(f"<p>{sentence}</p>").format(len(changed), len(verdicts), were, late or "none", which)


def _in_view(changed: str) -> bool:
    """Whether a claim was changed with results of what it compares in view.

    It begins with the date, and when in the course of the runs; before any result of one of its sides there was nothing
    to compare.
    """
    return not changed.partition(", ")[2].startswith("before any result")


def verdict_effect(row: Mapping, digits: int = 3) -> Markup:
    """Effect and interval of one evaluated claim; a difference or a slope has its sign."""
    sign = row["test"] in ("difference", "equivalence", "trend")
    return effect(row["effect"], row["low"], row["high"], digits, sign=sign)
