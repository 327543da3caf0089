"""One look for all figures: colour-blind-safe (Okabe & Ito 2008), legible when small."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
EXPERT, RANDOM, INK = "#222222", "#8A8A8A", "#222222"
SINGLE, DOUBLE = (5.4, 3.9), (9.8, 4.2)

_STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "text.parse_math": False,  # a $ in the name of a folder is a $
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.solid_capstyle": "round",
    "figure.dpi": 100,
    "savefig.dpi": 160,
}


@contextmanager
def figure(size: tuple[float, float] = SINGLE, columns: int = 1, rows: int = 1) -> Iterator[tuple]:
    """A figure outside pyplot's global state, in the house style: yields (figure, axes [rows, columns])."""
    with rc_context(_STYLE):
        fig = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(fig)
        yield fig, fig.subplots(rows, columns, squeeze=False)


def png(fig: Figure) -> bytes:
    """The figure as PNG, without a date or version inside, so that equal input gives equal bytes."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def colour(index: int) -> str:
    """Colour of the i-th method; after eight they come round again, with other markers."""
    return COLOURS[index % len(COLOURS)]


def reference(axes: Axes, value: float, name: str, line_colour: str) -> None:
    """A horizontal line with its name written on it, at the right end."""
    axes.axhline(value, color=line_colour, linewidth=1.3, linestyle=(0, (5, 3)), zorder=1)
    axes.annotate(
        f"{name} {value:,.4g}",
        xy=(1, value),
        xycoords=("axes fraction", "data"),
        xytext=(-3, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=9.5,
        color=line_colour,
    )


def thousands(axes: Axes) -> None:
    """Writes 20000 as 20k on the x axis."""
    short = FuncFormatter(lambda x, _: f"{x / 1000:g}k" if abs(x) >= 1000 else f"{x:g}")
    axes.xaxis.set_major_formatter(short)


def legend_beside(axes: Axes, names: Sequence[str]) -> None:
    """A legend at the right of the plot, for many or long names."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=1)


def legend_below(axes: Axes, names: Sequence[str], columns: int = 3) -> None:
    """A legend under the plot, where it hides no data; nothing to say for a single name."""
    if len(names) > 1:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=min(len(names), columns))
