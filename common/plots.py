"""One look for all figures: a method has the same colour, marker and dash wherever it appears.

Functions return a `Chart`, a matplotlib figure that displays itself once, with an alternative text: as SVG where it
holds lines, as PNG where it holds pictures. The tables that stand beside figures are in `common.tables`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from common.errors import UserError
from common.tables import require


class Style(NamedTuple):
    """How one method is drawn."""

    color: str
    marker: str
    dash: str | tuple


TWO_PHASE, THRESHOLDED = (0, (4, 1.6)), (0, (5, 1.4, 1, 1.4))  # dashed; dash and dot
# Cool colours oversample, warm ones undersample, green only thresholds. The colours were searched to stay apart (CIELAB
# distance) for normal, deuteranopic, protanopic and tritanopic vision and from white; tests/test_plots.py keeps it so.
METHOD_STYLE = {
    "baseline": Style("#000000", "o", "-"),
    "oversampling": Style("#1f45e0", "s", "-"),
    "undersampling": Style("#eb6823", "^", "-"),
    "two-phase oversampling": Style("#17a3c6", "D", TWO_PHASE),
    "two-phase undersampling": Style("#a8522f", "v", TWO_PHASE),
    "thresholding": Style("#04664f", "P", "-"),
    "oversampling + thresholding": Style("#7a3fb0", "X", THRESHOLDED),
    "undersampling + thresholding": Style("#4d2000", "d", THRESHOLDED),
    "weighted loss": Style("#a8958a", "h", "-"),
    "weighted loss + thresholding": Style("#d667a8", "*", THRESHOLDED),
}
PALETTE = tuple(style.color for style in METHOD_STYLE.values())
LABELS = {
    "rho": "imbalance ratio ρ (largest / smallest class)",
    "mu": "fraction of minority classes μ",
    "to_rho": "imbalance ratio after sampling",
    "iterations": "weight updates",
}
RC = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#444444",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
    "figure.dpi": 100,
    "savefig.dpi": 130,
    "svg.fonttype": "none",  # text stays text: a third of the size
    "svg.hashsalt": "class-imbalance",  # the same figure gives the same file
}
NO_DATE = {"Date": None}
SCALES = {"equidistant": None, "log": np.log10, "linear": lambda values: values}


def style() -> None:
    """Give every figure of this process the project's look, also those drawn by pyplot or seaborn directly."""
    matplotlib.rcParams.update(RC)
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata=NO_DATE)


class Chart(Figure):
    """A figure outside pyplot: nothing to close, and a notebook shows it once, where it is the cell's value.

    Parameters
    ----------
    vector : bool
        Display as SVG; False: as PNG (pictures).
    alt : str
        Alternative text, for those who cannot see the figure.
    """

    def __init__(self, *args, vector: bool = True, alt: str = "", **options):
        super().__init__(*args, layout="constrained", **options)
        self.vector, self.alt = vector, alt

    def render(self) -> bytes:
        """The figure as SVG or PNG."""
        buffer = io.BytesIO()
        with matplotlib.rc_context(RC):
            if self.vector:
                self.savefig(buffer, format="svg", metadata=NO_DATE)
            else:
                self.savefig(buffer, format="png")
        return buffer.getvalue()

    def _ipython_display_(self) -> None:
        from base64 import b64encode

        from IPython.display import display

        kind = "image/svg+xml" if self.vector else "image/png"
        data = self.render().decode() if self.vector else b64encode(self.render()).decode()
        display({kind: data, "text/plain": self.alt or "figure"}, metadata={kind: {"alt": self.alt}}, raw=True)


def method_styles(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name: the fixed one of a known method, else one that no other name here has.

    A notebook whose methods are not in `METHOD_STYLE` calls this once with all of them and passes the result to every
    figure as `styles`.
    """
    names = list(dict.fromkeys(names))
    free = [s for method, s in METHOD_STYLE.items() if method not in names]
    unknown = [name for name in names if name not in METHOD_STYLE]
    if len(unknown) > len(free):
        raise UserError(f"{len(names)} lines in one figure; at most {len(METHOD_STYLE)} can be told apart; use panels")
    return {name: METHOD_STYLE.get(name) or free[unknown.index(name)] for name in names}


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
        Where the values of `x` stand. Lines are moved apart a little, so that intervals do not hide each other.
    values : sequence, optional
        All values of `x` that the axis should have, where it shares them with other panels.
    styles : mapping, optional
        Styles by name, from `method_styles`.
    intervals : {'bars', 'bands', 'none'}

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
    step = min(0.07, 0.5 / len(names)) * (gaps.min() if len(gaps) else 1.0)
    for number, name in enumerate(names):
        line = summary[summary[hue] == name].dropna(subset=["mean"])
        line = line.assign(_at=line[x].map(place)).sort_values("_at")
        at = line["_at"].to_numpy(float) + step * (number - (len(names) - 1) / 2)
        mean, low, high = (line[column].to_numpy(float) for column in ("mean", "low", "high"))
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
            grid[number].label_outer(remove_inner_ticks=False) if share_y and number % columns else None
            if key is not None:
                name = str((titles or {}).get(key, ", ".join(map(_tick, key)) if isinstance(key, tuple) else key))
                names.append(f"({chr(97 + number)}) {name}")
                grid[number].set_title(names[-1], loc="left", parse_math=False)
        for axes in grid[len(parts) :]:
            axes.remove()
        handles = {label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels())}  # noqa: B905
        order = [name for name in _ordered(summary[hue]) if name in handles]
        figure.legend(
            [handles[name] for name in order], order, loc="outside lower center", ncols=min(len(order), 3 + columns // 3),
            handlelength=3.2,
        )  # fmt: skip
    figure.alt = alt or (
        f"{ylabel} over {figure.axes[0].get_xlabel() or x}, means with 95% intervals"
        + (f"; panels {'; '.join(names)}" if names else "")
        + f"; lines {', '.join(map(str, order))}"
    )
    return figure


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
            axes.bar_label(bars, labels=[f"{count:,}" for count in counts], fontsize=8.5, padding=2)
            turned = max(map(len, names)) > 8
            axes.set_xticks(
                range(len(names)), names, parse_math=False, rotation=35 if turned else 0, ha="right" if turned else "center"
            )
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
