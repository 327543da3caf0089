"""Learning curves of a table's rows as one figure in docs/images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from iqlearn_jax.report import style
from iqlearn_jax.report.plots import draw_curve
from iqlearn_jax.report.read import Series

COLUMNS = 3
TITLE_WIDTH = 36  # characters above a panel
APART = 0.13  # demonstrations between the intervals of two methods
IMAGES = Path("docs/images")


def write_curves(name: str, results: list[dict[str, Any]], panels: Mapping[str, Sequence[str]]) -> bool:
    """docs/images/NAME_curves.png: one panel per title, one colour per label, thin lines are seeds.

    A label that several panels have has the same colour in all of them.

    Args:
      results: rows of a result file; those without evaluations yet are left out.
      panels: title -> names of rows.
    Returns:
      whether there was anything to draw.
    """
    by_name = {row["name"]: row for row in results if "curve" in row}
    drawn = {title: [by_name[n] for n in names if n in by_name] for title, names in panels.items()}
    drawn = {title: rows for title, rows in drawn.items() if rows}
    if not drawn:
        return False
    labels = [dict.fromkeys(row["label"] for row in rows) for rows in drawn.values()]  # a panel has each once
    shared = [label for label, count in Counter(chain(*labels)).items() if count > 1]
    columns = min(COLUMNS, len(drawn))
    lines = -(-len(drawn) // columns)
    with style.figure((4.2 * columns, 3.4 * lines), columns, lines) as (fig, axes):
        for ax, (title, rows) in zip(axes.flat, drawn.items(), strict=False):
            _panel(ax, title, rows, shared)
        for ax in axes.flat[len(drawn) :]:
            ax.set_visible(False)
        IMAGES.mkdir(parents=True, exist_ok=True)
        (IMAGES / f"{name}_curves.png").write_bytes(style.png(fig))
    return True


def normalized_curve(row: dict[str, Any]) -> np.ndarray:
    """The curve [T, R] in units where 0 is the uniform policy and 1 the expert."""
    returns = np.asarray(row["curve"]["returns"])
    return (returns - row["random_return"]) / (row["expert_return"] - row["random_return"])


def series_over_steps(rows: list[dict[str, Any]]) -> tuple[str, list[Series]]:
    """What a panel's curves are drawn over, and the curves.

    Where some of the rows act, that is their environment steps; one that does not is level at its last score.
    """
    steps = [_env_steps(row) for row in rows]
    curves = [normalized_curve(row).T for row in rows]
    longest = max(steps, key=lambda x: x[-1])
    if longest[-1] == 0:
        return "updates", [
            Series(np.asarray(r["curve"]["updates"], float), c) for r, c in zip(rows, curves, strict=True)
        ]
    ends = longest[[0, -1]]
    return "env steps", [
        Series(x, curve) if x[-1] > 0 else Series(ends, np.repeat(curve[:, -1:], 2, axis=1))
        for x, curve in zip(steps, curves, strict=True)
    ]


def _env_steps(row: dict[str, Any]) -> np.ndarray:
    """At each point of the curve; of old rows only the last number is known, so even steps up to it."""
    updates = np.asarray(row["curve"]["updates"], float)
    known = row["curve"].get("env_steps")
    return updates / updates[-1] * row["env_steps"] if known is None else np.asarray(known, float)


def _panel(ax, title: str, rows: list[dict[str, Any]], shared: list[str]) -> None:
    order = [*shared, *(row["label"] for row in rows if row["label"] not in shared)]
    axis, curves = series_over_steps(rows)
    for row, curve in zip(rows, curves, strict=True):
        draw_curve(ax, curve, row["label"], style.colour(order.index(row["label"])))
    for value in (0.0, 1.0):
        ax.axhline(value, color=style.RANDOM, linewidth=0.8, zorder=0)
    title = title if len(rows) > 1 else f"{title}: {rows[0]['label']}"
    ax.set_title(fill(title, TITLE_WIDTH, break_on_hyphens=False))
    ax.set_xlabel(axis)
    ax.set_ylabel("normalised return")
    style.thousands(ax)
    style.legend_below(ax, [row["label"] for row in rows], columns=2)


def write_scores(name: str, panels: Mapping[str, Mapping[str, list]], demos: Sequence[int]) -> bool:
    """docs/images/NAME_scores.png: normalised scores over numbers of demonstrations, one panel per title.

    Args:
      panels: title -> {method: [(demonstrations, score, (low, high))]}.
      demos: all numbers of demonstrations, the ticks.
    Returns:
      whether there was anything to draw.
    """
    if not panels:
        return False
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    methods = list(dict.fromkeys(method for by_method in panels.values() for method in by_method))
    with style.figure((5.6 * columns, 3.6 * lines), columns, lines) as (fig, axes):
        for ax, (title, by_method) in zip(axes.flat, panels.items(), strict=False):
            _scores_panel(ax, title, by_method, methods)
            ax.set_xticks(demos)
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
        IMAGES.mkdir(parents=True, exist_ok=True)
        (IMAGES / f"{name}_scores.png").write_bytes(style.png(fig))
    return True


def _scores_panel(ax, title: str, by_method: Mapping[str, list], methods: Sequence[str]) -> None:
    for place, (method, points) in enumerate(by_method.items()):
        x, y, interval = (np.asarray(part, float) for part in zip(*points, strict=True))
        beside = APART * (place - (len(by_method) - 1) / 2)  # so that no interval hides another
        again, index = divmod(methods.index(method), len(style.COLOURS))
        marker = style.MARKERS[(index + again) % len(style.MARKERS)]
        look = {"color": style.colour(index), "marker": marker, "markersize": 4, "capsize": 2}
        dashes = "--" if again else "-"  # as colours have come round
        ax.errorbar(x + beside, y, np.abs(interval.T - y), label=method, linestyle=dashes, **look)
    for value in (0.0, 1.0):
        ax.axhline(value, color=style.RANDOM, linewidth=0.8, zorder=0)
    ax.set_title(title)
    ax.set_xlabel("demonstrations")
    ax.set_ylabel("normalised return")
    style.legend_below(ax, list(by_method), columns=3)
