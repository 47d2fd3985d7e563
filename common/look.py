"""The look all figures share: a style per method, matplotlib settings, and the figure that displays itself."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

from common.errors import UserError


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


PICTURE_DPI = 100  # of figures made of photographs, whose grain no compression takes away


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
                self.savefig(buffer, format="png", dpi=PICTURE_DPI)
        return buffer.getvalue() if self.vector else _with_palette(buffer)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        kind = "image/svg+xml" if self.vector else "image/png"
        data = self.render().decode() if self.vector else b64encode(self.render()).decode()
        display({kind: data, "text/plain": self.alt or "figure"}, metadata={kind: {"alt": self.alt}}, raw=True)


def _with_palette(png: io.BytesIO) -> bytes:
    """The picture in its 256 most fitting colours: a third of the size, and nobody sees it on grainy photographs."""
    from PIL import Image

    small = io.BytesIO()
    picture = Image.open(png).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


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
