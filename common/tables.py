"""Tables and notices as HTML: escaped, captioned, with header cells that say what they head.

Every function returns `Html`, which a notebook displays, a template inserts as it is and a cell of another table may
hold; all other text is escaped, so that a class or file name cannot become markup.
"""

from __future__ import annotations

import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from common.errors import UserError

MISSING = "–"
SETTINGS = ("rho", "mu", "to_rho", "run", "replicate", "iterations", "margin")  # numbers written as they were set
SYMBOLS = {"rho": "ρ", "mu": "μ", "to_rho": "ρ after sampling"}
EFFECT = "effect [95% interval]"


class Html(Markup):
    """Safe HTML that a notebook displays as such."""

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        # Without this the notebook file would hold every table twice, as text/html and as text/plain.
        return f"Html({len(self)} characters)"


def text(value, digits: int = 3) -> Markup:
    """One value as escaped text: floats with `digits` decimals, missing as a dash, booleans as yes or no."""
    if isinstance(value, Markup):
        return value
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, numbers.Real) and np.isnan(value)):
        return Markup(MISSING)
    if isinstance(value, bool | np.bool_):
        return Markup("yes" if value else "no")
    if isinstance(value, numbers.Integral):
        return Markup(f"{value:,}")
    if isinstance(value, numbers.Real):
        return Markup(f"{value:z,.{digits}f}".replace("-", "\N{MINUS SIGN}"))  # z: no minus in front of nothing
    if isinstance(value, list | tuple | set):
        return Markup(", ").join(text(item, digits) for item in value)
    return escape(value)


def span(numbers: Iterable[int], noun: str = "") -> str:
    """How many there are where that may differ: ``3 folds``, ``2 to 10 folds``, without a noun ``2 to 10``."""
    least, most = int(min(numbers)), int(max(numbers))
    shown = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"{shown} {noun}{'s' * (shown != '1')}" if noun else shown


def setting(value) -> Markup:
    """A parameter's value without trailing zeros: 1,000 and 0.1."""
    if not isinstance(value, numbers.Real) or np.isnan(value):
        return text(value)
    return Markup(f"{value:,.10g}" if float(value).is_integer() else f"{value:.4g}")


def effect(value, low=None, high=None, digits: int = 3, sign: bool = False) -> Markup:
    """``value [low, high]``; without an interval (a single replicate) only the value, without a value a dash.

    More than `digits` decimals are shown where all three would round to nothing, such as a slope per unit of a ratio,
    where the ends of the interval would look the same, or where an end beyond zero would look like zero.
    """
    if pd.isna(value):
        return Markup(MISSING)
    known = [float(v) for v in (value, low, high) if v is not None and not pd.isna(v)]
    largest = max(map(abs, known))
    if 0 < largest < 10.0**-digits:
        digits = min(1 - int(np.floor(np.log10(largest))), 12)
    width = max(known) - min(known)
    if 1e-6 < width < 10.0**-digits:
        digits = -int(np.floor(np.log10(width)))
    nearest = min(known[1:], key=abs, default=0.0)
    if len(known) == 3 and 1e-6 < abs(nearest) and not round(nearest, digits):
        digits = -int(np.floor(np.log10(abs(nearest))))
    written = Markup("+") * bool(sign and round(value, digits) > 0) + text(float(value), digits)
    if len(known) < 3:
        return written
    return written + Markup(" [{},\N{NO-BREAK SPACE}{}]").format(text(float(low), digits), text(float(high), digits))


def table(frame: pd.DataFrame, caption: str = "", digits: int = 3, kind: str = "", right: Collection[str] = ()) -> Html:
    """A frame as an accessible table in a box of its own that scrolls sideways.

    Parameters
    ----------
    frame : DataFrame
        A named index (or levels) becomes leading columns; an unnamed one is left out. The first column heads its rows.
        `Html` in a column of dtype object stays markup (pandas makes plain text of it in a column of strings).
    caption : str
        What the table shows; also the name of its scrolling box for screen readers.
    digits : int
        Decimals of floats; parameters such as rho are written as they were set.
    kind : str
        CSS class of the table.
    right : collection of str
        Columns of text that stand to the right, as numbers do.
    """
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    columns, right = {}, set(right)
    for name, column in frame.items():
        columns[name] = [setting(value) if name in SETTINGS else text(value, digits) for value in column]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            right.add(name)
    return assembled(columns, caption, kind, right)


def assembled(
    columns: Mapping[str, Sequence[Markup]], caption: str, kind: str, right: Iterable[str] = (), ids: Iterable[str] = ()
) -> Html:
    """Columns of finished cells as a table; those named in `right` are aligned to the right and do not wrap.

    `ids` are what a link can name each row by. Of verdicts (`kind`) each cell says its column, for on a narrow screen
    their rows are stacked: a table that scrolls would show claim and verdict without effect and n.
    """
    classes = [Markup(' class="num"') if name in right else Markup() for name in columns]
    head = [
        Markup('<th scope="col"{}>{}</th>').format(style, _label(name))
        for name, style in zip(columns, classes, strict=True)
    ]
    labels = [Markup(' data-label="{}"').format(_label(name)) if kind == "verdicts" else Markup() for name in columns]
    rows, names = [], iter(ids)
    for row in zip(*columns.values(), strict=True):
        cells = [
            Markup("<td{}{}>{}</td>").format(style, label, cell)
            for style, label, cell in zip(classes, labels, row, strict=True)
        ]
        cells[0] = Markup('<th scope="row"{}>{}</th>').format(classes[0], row[0])
        name = next(names, "")
        rows.append(
            Markup("<tr{}>{}</tr>").format(Markup(' id="{}"').format(name) if name else "", Markup().join(cells))
        )
    return Html(
        '<div class="table" role="region" tabindex="0" aria-label="{}"><table class="{}">{}'
        "<thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table></div>"
    ).format(
        caption or "table", kind, Markup("<caption>{}</caption>").format(caption) if caption else "",
        Markup().join(head), Markup("\n").join(rows),
    )  # fmt: skip


def comparison_table(
    published: pd.DataFrame, ours: pd.DataFrame, on: Sequence[str], *, caption: str, difference: bool
) -> Html:
    """Published numbers beside ours, one row per published number.

    Parameters
    ----------
    published : DataFrame
        Key columns and `comparable`, the value in our unit.
    ours : DataFrame
        Key columns and mean, low, high, n.
    on : sequence of str
        The key columns, which say what belongs together.
    difference : bool
        Also ours minus the paper's. Switch it off where levels are not comparable (a shortened schedule).

    Raises
    ------
    UserError
        If a column is missing, or a key occurs twice in either frame.
    """
    require(published, ["comparable"], "published")
    require(ours, ["mean", "low", "high", "n"], "ours")
    for name, frame in {"published": published, "ours": ours}.items():
        require(frame, on, name)
        if frame.duplicated(on).any():
            first = frame.loc[frame.duplicated(on), on].iloc[0].to_dict()
            raise UserError(f"{name} has several rows for {first}; filter it, or add a column to `on`")
    both = published[[*on, "comparable"]].merge(ours[[*on, "mean", "low", "high", "n"]], on=on, how="left")
    columns = {name: [setting(cell) if name in SETTINGS else text(cell) for cell in both[name]] for name in on}
    columns["paper"] = [text(cell) for cell in both["comparable"]]
    intervals = both[["mean", "low", "high"]].itertuples(index=False, name=None)
    columns["ours [95% interval]"] = [effect(*row) for row in intervals]
    columns["n"] = [text(int(n)) for n in both["n"].fillna(0)]
    if difference:
        columns["ours − paper"] = [effect(d, sign=True) for d in both["mean"] - both["comparable"]]
    return assembled(columns, caption, "comparison", right=[name for name in columns if name not in on])


def banner(message: str, kind: str = "warning") -> Html:
    """A notice across the page; `kind` is 'warning' or 'note'."""
    if kind not in ("warning", "note"):
        raise UserError(f"banner kind {kind!r}; expected 'warning' or 'note'")
    return Html('<p class="banner {}" role="note"><strong>{}</strong></p>').format(kind, message)


def provenance(facts: Mapping[str, object], caption: str = "Provenance") -> Html:
    """What ran, where and with which versions: a table of names and values; a value may be a mapping itself."""

    def shown(value) -> Markup:
        if isinstance(value, Mapping):
            return Markup("<br>").join(Markup("{} {}").format(name, shown(part)) for name, part in value.items())
        # Numbers here are versions, seeds and years: no thousands separators.
        return escape(value) if isinstance(value, numbers.Number) else text(value)

    names = [text(name.replace("_", " ")) for name in facts]
    return assembled({"what": names, "value": [shown(value) for value in facts.values()]}, caption, "facts")


def deviations(rows: Iterable[Mapping[str, object]], caption: str = "Deviations from the paper") -> Html:
    """Departures from the paper, each with keys what, paper, here, why."""
    columns = ["what", "paper", "here", "why"]
    frame = pd.DataFrame(list(rows), columns=columns).astype(object)
    if frame.empty:
        return Html("<p>No deviations from the paper.</p>")
    return table(frame.rename(columns={"paper": "in the paper"}), caption, kind="prose")


def together(parts: Mapping[str, Iterable[Mapping]]) -> list[dict]:
    """Departures from the paper of several settings (name -> rows): once where they agree, else each says whose."""
    whose: dict[tuple, list[str]] = {}
    for name, rows in parts.items():
        for row in rows:
            whose.setdefault((row["what"], row["paper"], row["here"], row["why"]), []).append(name)
    subjects = list(dict.fromkeys(row[0] for row in whose))
    rows = []
    # What differs stands beside its like.
    for (what, paper, here, why), names in sorted(whose.items(), key=lambda item: subjects.index(item[0][0])):
        here = here if len(names) == len(parts) else f"{'; '.join(names)}: {here}"
        rows.append({"what": what, "paper": paper, "here": here, "why": why})
    return rows


def require(frame: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    """Raise `UserError` if `frame` lacks one of `columns`."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise UserError(f"{name}: no column {missing[0]!r}; expected {', '.join(columns)}")


def _label(name) -> str:
    """A column's name as a heading."""
    return SYMBOLS.get(name, str(name).replace("_", " "))


def markdown(columns: Sequence[str], rows: Iterable[Iterable], right: Iterable[str] = ()) -> str:
    """A table in Markdown, cells as `str` gives them; the columns named in `right` are aligned to the right."""
    right = set(right)
    rule = ["---:" if column in right else "---" for column in columns]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (columns, rule, *rows))


def cost(frame: pd.DataFrame, by: list[str], unit: str = "network") -> pd.DataFrame:
    """Cells, of them diverged, and training time, by these columns; `unit` is what a cell is called.

    Time is that of the cell itself: of one process with one thread on a CPU, a share of the group's on a GPU.
    """
    cells = frame.drop_duplicates("key").assign(diverged=lambda rows: rows["status"] != "ok")
    rows = cells.groupby(by, as_index=False).agg(
        cells=("key", "size"),
        diverged=("diverged", "sum"),
        hours=("train_seconds", lambda seconds: seconds.sum() / 3600),
        median=("train_seconds", "median"),
    )
    return rows.rename(columns={"cells": f"{unit}s", "median": f"seconds a {unit} (median)"})
