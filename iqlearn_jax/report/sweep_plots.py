"""Heat maps of a sweep: the score over each pair of settings."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from iqlearn_jax.report import style
from iqlearn_jax.report.read import short

Point = tuple[Mapping[str, Any], float]  # a point of the grid and its score


def heat_maps(points: Sequence[Point]) -> bytes | None:
    """One panel for each pair of settings that vary: the mean score over all the others, and the best.

    Args:
      points: (settings, score) of all points; None comes back where fewer than two settings vary.
    """
    pairs = list(combinations(varying(points), 2))
    if not pairs:
        return None
    columns = min(2, len(pairs))
    rows = -(-len(pairs) // columns)
    scores = [score for _, score in points]
    with style.figure((10.4, (4.0 if columns > 1 else 3.4) * rows), columns, rows) as (fig, axes):
        for ax, pair in zip(axes.flat, pairs, strict=False):
            _panel(ax, points, pair, (min(scores), max(scores)))
        for ax in axes.flat[len(pairs) :]:
            ax.set_visible(False)
        return style.png(fig)


def varying(points: Sequence[Point]) -> list[str]:
    """Settings with more than one value, in the order of the grid."""
    names = list(points[0][0]) if points else []
    return [name for name in names if len({repr(point.get(name)) for point, _ in points}) > 1]


def cells(points: Sequence[Point], pair: tuple[str, str]) -> tuple[list, list, np.ndarray]:
    """Values of both settings and the scores [first, second, others], NaN where the grid has no point."""
    first, second = (_values(points, name) for name in pair)
    scores: dict[tuple[int, int], list[float]] = {}
    for point, score in points:
        place = first.index(point[pair[0]]), second.index(point[pair[1]])
        scores.setdefault(place, []).append(score)
    most = max(map(len, scores.values()))
    table = np.full((len(first), len(second), most), np.nan)
    for (i, j), values in scores.items():
        table[i, j, : len(values)] = values
    return first, second, table


def _panel(ax: Axes, points: Sequence[Point], pair: tuple[str, str], limits: tuple[float, float]) -> None:
    first, second, table = cells(points, pair)
    mean = np.ma.masked_invalid(table).mean(axis=2)
    ax.imshow(mean, cmap="cividis", vmin=limits[0], vmax=limits[1], aspect="auto")
    dark = np.mean(limits)
    for (i, j), value in np.ma.ndenumerate(mean):
        best = np.nanmax(table[i, j])
        text = f"{value:.3g}" if table.shape[2] == 1 else f"{value:.3g}\nbest {best:.3g}"
        ax.text(j, i, text, ha="center", va="center", color="white" if value < dark else "black")
    ax.set_yticks(range(len(first)), [short(x) for x in first])
    ax.set_xticks(range(len(second)), [short(x) for x in second])
    ax.set_ylabel(pair[0])
    ax.set_xlabel(pair[1])
    ax.grid(visible=False)


def _values(points: Sequence[Point], name: str) -> list:
    """Numbers in their order, others as they came."""
    values: list = []
    for point, _ in points:
        values += [] if point[name] in values else [point[name]]
    return sorted(values) if all(isinstance(x, int | float) for x in values) else values
