"""Figures of runs; each function gives a PNG, or None when there is nothing to show."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from iqlearn_jax.report import style
from iqlearn_jax.report.read import Run, Series, series, x_axis
from iqlearn_jax.statistics import bootstrap_ci, iqm, known

BAND_RESAMPLES = 2000
FEW = 4  # runs whose names fit under a plot of single width
DIAGNOSTICS = {  # panel title -> metrics drawn in it, with the name in the legend
    "Loss": {"iq/loss": "IQ objective", "bc/loss": "−log likelihood", "rl/loss": "Bellman error"},
    "Recovered reward": {
        "iq/reward_expert": "expert",
        "dac/reward_expert": "expert",
        "iq/reward_policy": "policy",
        "dac/reward_policy": "policy",
    },
    "Soft value and Q": {
        "iq/value": "soft value",
        "iq/initial_value": "at the start",
        "iq/q": "Q",
        "rl/q": "Q",
    },
    "Policy entropy (nats)": {"policy/entropy": "entropy"},
    "Likeness to the demonstrations (reads no reward)": {"eval/likeness": "likeness"},
}


def learning_curves(runs: Sequence[Run]) -> bytes | None:
    """Return while training: every seed thin, the interquartile mean thick, its bootstrap band."""
    drawn = [
        (i, run, curve) for i, run in enumerate(runs) if (curve := series(run, "eval/return")) is not None
    ]
    if not drawn:
        return None
    many = len(drawn) > FEW
    with style.figure(style.DOUBLE if many else style.SINGLE) as (fig, axes):
        ax = axes[0, 0]
        for index, run, curve in drawn:
            draw_curve(ax, curve, run.label, style.colour(index))
        _references(ax, runs)
        ax.set_title("Return while training")
        ax.set_xlabel(steps_label([run for _, run, _ in drawn]))
        sampled = any(run.config.get("eval_sampled") for _, run, _ in drawn)
        ax.set_ylabel(f"return ({'sampled' if sampled else 'deterministic'} policy)")
        style.thousands(ax)
        (style.legend_beside if many else style.legend_below)(ax, [run.label for _, run, _ in drawn])
        return style.png(fig)


def steps_label(runs: Sequence[Run]) -> str:
    """What the curves of these runs are drawn over; those that take no steps, over updates."""
    axes = {x_axis(run) for run in runs}
    if len(axes) > 1:
        return "env steps (offline: updates)"
    return "env steps" if axes == {"env_steps"} else "updates"


def returns_per_seed(runs: Sequence[Run]) -> bytes:
    """Final return of each seed, a dot each, with the interquartile mean as a bar."""
    many = len(runs) > FEW
    with style.figure(style.DOUBLE if many else style.SINGLE) as (fig, axes):
        ax = axes[0, 0]
        for index, run in enumerate(runs):
            _dots(ax, index, np.asarray(run.summary["returns"], float))
        _references(ax, runs)
        ax.set_xlim(-0.6, len(runs) - 0.4)
        names = [_wrap(run.label) for run in runs]
        ax.set_xticks(range(len(runs)), names, **({"rotation": 35, "ha": "right"} if many else {}))
        ax.grid(axis="x", visible=False)
        ax.set_title("Final return of each seed")
        ax.set_ylabel("return (mean over episodes)")
        return style.png(fig)


def diagnostics(run: Run) -> bytes | None:
    """Loss, rewards, values and entropy while training, those that were logged."""
    panels = {
        title: {name: curve for key, name in keys.items() if (curve := _measured(run, key)) is not None}
        for title, keys in DIAGNOSTICS.items()
    }
    panels = {title: curves for title, curves in panels.items() if curves}
    if not panels:
        return None
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with style.figure((4.5 * columns, 3.1 * rows), columns, rows) as (fig, axes):
        for ax, (title, curves) in zip(axes.flat, panels.items(), strict=False):
            _panel(ax, title, curves)
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
        for ax in axes[-1]:
            ax.set_xlabel("env steps" if x_axis(run) == "env_steps" else "updates")
        return style.png(fig)


def _measured(run: Run, key: str) -> Series | None:
    """A metric, unless it is the mean over no rows at all that older versions logged offline, always 0."""
    curve = series(run, key)
    return None if curve is not None and key == "iq/reward_policy" and not curve.y.any() else curve


def _panel(ax: Axes, title: str, curves: dict[str, Series]) -> None:
    for index, (name, curve) in enumerate(curves.items()):
        draw_curve(ax, curve, name, style.colour(index))
    ax.set_title(title)
    style.thousands(ax)
    if len(curves) > 1:
        ax.legend(loc="best")


def draw_curve(ax: Axes, curve: Series, label: str, colour: str) -> None:
    """One metric of R seeds: each seed thin, the interquartile mean thick, its bootstrap band."""
    single = curve.x.size == 1
    ax.plot(curve.x, curve.y.T, color=colour, alpha=0.25, linewidth=0.8, marker="." if single else None)
    ax.plot(curve.x, iqm(curve.y), color=colour, linewidth=2.2, label=label, marker="o" if single else None)
    band = bootstrap_ci(curve.y, n=BAND_RESAMPLES)
    if band is not None:
        ax.fill_between(curve.x, *band, color=colour, alpha=0.18, linewidth=0)


def _dots(ax: Axes, index: int, values: np.ndarray) -> None:
    colour, marker = style.colour(index), style.MARKERS[index % len(style.MARKERS)]
    offsets = np.linspace(-0.22, 0.22, values.size) if values.size > 1 else np.zeros(1)
    ax.scatter(index + offsets, values, s=42, color=colour, marker=marker, alpha=0.85, linewidth=0, zorder=3)
    if known(values).size:
        ax.hlines(iqm(known(values)), index - 0.32, index + 0.32, color=colour, linewidth=2.4, zorder=2)


def _references(ax: Axes, runs: Sequence[Run]) -> None:
    """Expert and random lines, once for all runs when they agree (they share the task)."""
    for name, colour in (("expert", style.EXPERT), ("random", style.RANDOM)):
        values = [run.summary.get(f"{name}_return") for run in runs]
        for value in sorted({round(value, 6) for value in values if value is not None}):
            style.reference(ax, value, name, colour)
    ax.margins(y=0.12)


def _wrap(label: str) -> str:
    return label.replace(", ", ",\n")
