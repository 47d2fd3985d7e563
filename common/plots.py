"""Figures: a method has the same colour, marker and dash wherever it appears (`common.look`).

Functions return a `Chart`, a matplotlib figure that displays itself once, with an alternative text: as SVG where it
holds lines, as PNG where it holds pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from common.errors import UserError
from common.look import LABELS, METHOD_STYLE, PALETTE, RC, Chart, Style, method_styles, style
from common.tables import require

__all__ = [
    "METHOD_STYLE", "PALETTE", "Chart", "class_counts", "images", "lines", "method_styles", "panels", "style",
]  # fmt: skip
SCALES = {"equidistant": None, "log": np.log10, "linear": lambda values: values}


def lines(
    axes: Axes,
    summary: pd.DataFrame,
    x: str,
    hue: str = "method",
    *,
    ylabel: str,
    xlabel: str | None = None,
    scale: str = "equidistant",
    values: Sequence | None = None,
    styles: Mapping[str, Style] | None = None,
    intervals: str = "bars",
    within: tuple[float, float] | None = None,
) -> Axes:
    """Draw means with 95% intervals over `x`, one line per `hue`, ticks at the measured values.

    Parameters
    ----------
    axes : Axes
        Drawn on; has no legend yet (``axes.legend()``).
    summary : DataFrame
        Columns `x`, `hue`, mean, low, high; one row per point. A row without interval (one replicate) is a bare point.
    ylabel, xlabel : str
        Names with units; `xlabel` defaults to what `LABELS` says of `x`.
    scale : {'equidistant', 'log', 'linear'}
        Where the values of `x` stand. With bars, lines are moved apart a little, so that no interval
        hides another.
    values : sequence, optional
        All values of `x` that the axis should have, where it shares them with other panels.
    styles : mapping, optional
        Styles by name, from `method_styles`.
    intervals : {'bars', 'bands', 'none'}
    within : tuple of float, optional
        Least and greatest value there can be, where intervals end; of two replicates they can be far longer.

    Raises
    ------
    UserError
        If a column is missing, a point has several rows, or an option is unknown.
    """
    require(summary, [x, hue, "mean", "low", "high"], "summary")
    if scale not in SCALES or intervals not in ("bars", "bands", "none"):
        raise UserError(f"scale {scale!r}, intervals {intervals!r}; expected one of {', '.join(SCALES)}; bars, bands")
    double = summary.duplicated([x, hue], keep=False)
    if double.any():
        varies = [c for c in summary if c not in (x, hue, "mean", "low", "high", "n") and summary[c].nunique() > 1]
        raise UserError(f"several rows for one {x} and {hue}; filter or give a panel to: {', '.join(varies) or 'rows'}")
    place = _places(summary[x] if values is None else values, scale)
    names = _ordered(summary[hue])
    styles = {**method_styles(names), **(styles or {})}
    gaps = np.diff(sorted(place.values()))
    step = min(0.07, 0.5 / len(names)) * (gaps.min() if len(gaps) else 1.0) * (intervals == "bars")
    for number, name in enumerate(names):
        line = summary[summary[hue] == name].dropna(subset=["mean"])
        line = line.assign(_at=line[x].map(place)).sort_values("_at")
        at = line["_at"].to_numpy(float) + step * (number - (len(names) - 1) / 2)
        mean, low, high = (line[column].to_numpy(float) for column in ("mean", "low", "high"))
        low, high = (low, high) if within is None else np.clip([low, high], *within)
        look = styles[name]
        axes.plot(at, mean, color=look.color, marker=look.marker, linestyle=look.dash, label=name)
        if intervals == "bars":
            reach = np.clip([mean - low, high - mean], 0, None)
            axes.errorbar(at, mean, yerr=reach, fmt="none", ecolor=look.color, elinewidth=1.1, capsize=2)
        elif intervals == "bands":
            axes.fill_between(at, low, high, color=look.color, alpha=0.18, linewidth=0)
    axes.set_xticks(list(place.values()), [_tick(value) for value in place], parse_math=False)
    axes.set_xticks([], minor=True)
    margin = 0.35 * (gaps.min() if len(gaps) else 1.0)
    axes.set_xlim(min(place.values()) - margin, max(place.values()) + margin)
    axes.set_xlabel(LABELS.get(x, x.replace("_", " ")) if xlabel is None else xlabel)
    axes.set_ylabel(ylabel)
    return axes


def panels(
    summary: pd.DataFrame,
    x: str,
    by: str | Sequence[str] | None = None,
    *,
    ylabel: str,
    hue: str = "method",
    titles: Mapping | None = None,
    columns: int = 3,
    share_y: bool = True,
    alt: str | None = None,
    **options,
) -> Chart:
    """`lines` in a grid of panels with one legend below.

    Parameters
    ----------
    by : str or sequence of str, optional
        One panel per value (or combination of values), in order; None: one panel.
    titles : mapping, optional
        Value (tuple of values for several columns) to title; a letter is put before it: '(a) MNIST, 2 minority
        classes'. Default: the value itself.
    share_y : bool
        One vertical scale for all panels.
    alt : str, optional
        Alternative text; the default names what is on the axes, the panels and the lines.
    options
        Passed to `lines`.
    """
    by = [by] if isinstance(by, str) else list(by or [])
    require(summary, [x, hue, *by], "summary")
    if summary.empty:
        raise UserError("summary: no rows to draw; loosen the filter, or show a table instead")
    # A panel of one column is known by its value, not by a tuple of one.
    keys = summary[by[0]] if len(by) == 1 else pd.Series(list(map(tuple, summary[by].to_numpy())), summary.index)
    parts = [(key, summary[[k == key for k in keys]]) for key in _ordered(keys)] if by else [(None, summary)]
    columns = min(columns, len(parts))
    rows = -(-len(parts) // columns)
    width = {1: 6.4, 2: 9.2}.get(columns, 11.2)
    options = {"values": _ordered(summary[x]), "styles": method_styles(_ordered(summary[hue])), **options}
    with matplotlib.rc_context(RC):
        figure = Chart(figsize=(width, 3.3 * rows + 0.8))
        grid = figure.subplots(rows, columns, sharey=share_y, squeeze=False).ravel()
        names = []
        for number, (key, part) in enumerate(parts):
            lines(grid[number], part, x, hue, ylabel=ylabel, **options)
            if share_y and number % columns:
                grid[number].set_ylabel("")
            if key is not None:
                name = str((titles or {}).get(key, ", ".join(map(_tick, key)) if isinstance(key, tuple) else key))
                names.append(f"({chr(97 + number)}) {name}")
                grid[number].set_title(names[-1], loc="left", parse_math=False)
        for axes in grid[len(parts) :]:
            axes.remove()
        handles = {line.get_label(): line for axes in figure.axes for line in axes.lines if line.get_label()[0] != "_"}
        order = [name for name in _ordered(summary[hue]) if name in handles]
        # What a handle and the longest name take at this font size; a legend that is too wide would be cut off.
        across = min(len(order), max(1, int(width / (0.75 + 0.078 * max(len(str(name)) for name in order)))))
        shown = [handles[name] for name in order]
        figure.legend(shown, order, loc="outside lower center", ncols=across, handlelength=3.2)
    figure.alt = alt or (
        f"{ylabel} over {figure.axes[0].get_xlabel() or x}{_drawn(summary, options.get('intervals'))}"
        + (f"; panels {'; '.join(names)}" if names else "")
        + f"; lines {', '.join(map(str, order))}"
    )
    return figure


def _drawn(summary: pd.DataFrame, intervals: str | None) -> str:
    """What a point is, for the alternative text: an interval is promised only where one is drawn."""
    there = summary.dropna(subset=["mean"])[["low", "high"]].notna().all(axis=1)
    if intervals == "none" or not there.any():
        return ", means" if there.any() else ""
    return ", means with 95% intervals" + ("" if there.all() else " where there are several replicates")


def images(pictures, titles: Sequence[str] | None = None, columns: int = 8, alt: str | None = None) -> Chart:
    """A grid of pictures, displayed as PNG.

    Parameters
    ----------
    pictures : sequence of array, each of shape (H, W), (H, W, 1) or (H, W, 3)
        uint8, or floats in 0..1.
    titles : sequence of str, optional
        One per picture.
    """
    pictures = [np.asarray(picture) for picture in pictures]
    if not pictures or (titles is not None and len(titles) != len(pictures)):
        raise UserError(f"{len(pictures)} images, {len(titles or ())} titles; expected at least one, a title for each")
    for picture in pictures:
        if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (1, 3)):
            raise UserError(f"an image has shape {picture.shape}; expected H x W, H x W x 1 or H x W x 3")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    with matplotlib.rc_context(RC):
        figure = Chart(figsize=(1.25 * columns, (1.5 if titles is not None else 1.25) * rows), vector=False)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for number, axes in enumerate(grid):
            axes.axis("off")
            if number < len(pictures):
                picture = pictures[number]
                top = 255 if picture.dtype == np.uint8 else 1
                axes.imshow(np.squeeze(picture), cmap="gray", vmin=0, vmax=top, interpolation="nearest")
                if titles is not None:
                    axes.set_title(str(titles[number]), fontsize=8.5, parse_math=False)
    shown = "" if titles is None else ": " + ", ".join(dict.fromkeys(map(str, titles)))
    figure.alt = alt or f"{len(pictures)} images{shown}"
    return figure


def class_counts(counts, names: Sequence[str] | None = None, title: str = "", alt: str | None = None) -> Chart:
    """Bars of how many training images each class has; names and numbers are written where there is room."""
    counts = np.asarray(counts)
    names = [str(number) for number in range(len(counts))] if names is None else [str(name) for name in names]
    if counts.ndim != 1 or not len(counts) or len(names) != len(counts):
        raise UserError(f"counts have shape {counts.shape}, {len(names)} names; expected one count and name per class")
    few = len(counts) <= 20
    with matplotlib.rc_context(RC):
        figure = Chart(figsize=(max(5.0, min(10.0, 0.62 * len(counts))), 3.1))
        axes = figure.subplots()
        bars = axes.bar(np.arange(len(counts)), counts, color=METHOD_STYLE["oversampling"].color, width=0.75)
        if few:
            axes.margins(y=0.12)
            axes.bar_label(bars, labels=[f"{count:,}" for count in counts], fontsize=8.5, padding=2)
            turned = {"rotation": 35, "ha": "right"} if max(map(len, names)) > 8 else {}
            axes.set_xticks(range(len(names)), names, parse_math=False, **turned)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("class")
        axes.set_ylabel("training images")
        axes.set_title(title, loc="left", parse_math=False)
    figure.alt = alt or (
        f"{title or 'Training images per class'}: {len(counts)} classes, {counts.min():,} to {counts.max():,} images"
    )
    return figure


def _ordered(column: Iterable) -> list:
    """Distinct values: numbers ascending, known methods in the order of `METHOD_STYLE`, others as they come."""
    values = [value for value in dict.fromkeys(column) if not (isinstance(value, float) and np.isnan(value))]
    if all(isinstance(value, int | float | np.number) for value in values):
        return sorted(values)
    methods = list(METHOD_STYLE)
    known = sorted((value for value in values if value in METHOD_STYLE), key=methods.index)
    return known + [value for value in values if value not in METHOD_STYLE]


def _places(values: Iterable, scale: str) -> dict:
    """Measured value to position on the axis; a scale of numbers on text is an error."""
    values = _ordered(values)
    if scale == "equidistant":
        return {value: float(position) for position, value in enumerate(values)}
    try:
        places = SCALES[scale](np.asarray(values, float))
    except (TypeError, ValueError):
        raise UserError(f"scale {scale!r} needs numbers, not {values[:3]}; use 'equidistant'") from None
    if not np.isfinite(places).all():
        raise UserError(f"scale {scale!r} cannot show {values}; use 'equidistant'")
    return dict(zip(values, places.tolist(), strict=True))


def _tick(value) -> str:
    """A measured value as tick text: 1,000 and 0.1, no trailing zeros."""
    return f"{value:,.10g}" if isinstance(value, int | float | np.number) else str(value)
