"""Figures of the recovered reward: against the true one, and as maps of the gridworld (Figure 4)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from iqlearn_jax.report import style
from iqlearn_jax.report.read import Arrays
from iqlearn_jax.statistics import pearson, spearman

SOURCES = ("expert", "policy", "random")
MAX_POINTS = 3000
MAX_ANNOTATED_CELLS = 144
MAPS = {
    "true_reward": "True reward",
    "recovered_reward": "Recovered reward",
    "exact_reward": "Exact optimum of the objective",
    "value": "Recovered value",
    "exact_value": "Exact value",
}


def recovered_reward(rewards: Arrays) -> bytes | None:
    """Recovered against true reward: sums over episodes, with their correlations, and single steps."""
    if not rewards or not rewards["true"].size:
        return None
    with style.figure(style.DOUBLE, columns=2) as (fig, axes):
        _episodes(axes[0, 0], rewards)
        _steps(axes[0, 1], rewards)
        return style.png(fig)


def episode_sums(rewards: Arrays) -> tuple[NDArray, NDArray, NDArray]:
    """Sums of the true and the recovered reward over each episode, and each episode's source: three [E]."""
    keys = np.stack([rewards["source"].astype(str), rewards["episode"].astype(str)], axis=1)
    episodes, index = np.unique(keys, axis=0, return_inverse=True)
    index = index.reshape(-1)
    return np.bincount(index, rewards["true"]), np.bincount(index, rewards["recovered"]), episodes[:, 0]


def gridworld_maps(maps: Arrays) -> bytes | None:
    """Rewards and values on the grid, side by side, as far as `maps` has them."""
    panels = [(title, np.asarray(maps[key], float)) for key, title in MAPS.items() if key in maps]
    return draw_maps(panels) if panels else None


def draw_maps(panels: Sequence[tuple[str, NDArray]]) -> bytes:
    """Titled grids [H, W], three to a line; each has its own scale, as rewards have no unit."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with style.figure((3.5 * columns, 3.3 * rows), columns, rows) as (fig, axes):
        for ax, (title, grid) in zip(axes.flat, panels, strict=False):
            fig.colorbar(_map(ax, title, grid), ax=ax, shrink=0.85).outline.set_visible(False)
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
        return style.png(fig)


def _by_source(source: NDArray) -> Iterator[tuple[str, str, str, NDArray]]:
    """Each source with its colour, marker and mask, the known ones always in the same colours."""
    names = [*SOURCES, *sorted(set(source.tolist()) - set(SOURCES))]
    for index, name in enumerate(names):
        mask = source == name
        if mask.any():
            yield name, style.colour(index), style.MARKERS[index % len(style.MARKERS)], mask


def _episodes(ax: Axes, rewards: Arrays) -> None:
    true, recovered, source = episode_sums(rewards)
    for name, colour, marker, mask in _by_source(source):
        look: dict[str, Any] = {"s": 34, "color": colour, "marker": marker, "alpha": 0.75, "linewidth": 0}
        ax.scatter(true[mask], recovered[mask], label=name, **look)
    r, rho = pearson(true, recovered), spearman(true, recovered)
    said = "undefined (a sum is constant)" if r is None else f"Pearson {r:.3f}, Spearman {rho:.3f}"
    ax.set_title(f"Episode sums: {said}")
    ax.set_xlabel("true return")
    ax.set_ylabel("recovered return")
    ax.legend(loc="best")


def _steps(ax: Axes, rewards: Arrays) -> None:
    true = rewards["true"]
    if np.ptp(true) == 0:
        _histogram(ax, rewards, float(true[0]))
        return
    chosen = np.random.default_rng(0).permutation(true.size)[:MAX_POINTS]
    for name, colour, marker, mask in _by_source(rewards["source"].astype(str)[chosen]):
        look: dict[str, Any] = {"s": 12, "color": colour, "marker": marker, "alpha": 0.35, "linewidth": 0}
        ax.scatter(true[chosen[mask]], rewards["recovered"][chosen[mask]], label=name, **look)
    r = pearson(true, rewards["recovered"])
    ax.set_title("Single steps" if r is None else f"Single steps: Pearson {r:.3f}")
    ax.set_xlabel("true reward")
    ax.set_ylabel("recovered reward")


def _histogram(ax: Axes, rewards: Arrays, constant: float) -> None:
    """Where every step pays the same, a scatter is one line of points; the distributions say more."""
    recovered = rewards["recovered"]
    bins = np.histogram_bin_edges(recovered, bins=40).tolist()
    for name, colour, _, mask in _by_source(rewards["source"].astype(str)):
        ax.hist(recovered[mask], bins, density=True, histtype="stepfilled", color=colour, alpha=0.25)
        ax.hist(recovered[mask], bins, density=True, histtype="step", color=colour, linewidth=1.6, label=name)
    ax.set_title(f"Single steps (the true reward is always {constant:g})")
    ax.set_xlabel("recovered reward")
    ax.set_ylabel("density")
    ax.legend(loc="best")


def _map(ax: Axes, title: str, grid: NDArray):
    finite = grid[np.isfinite(grid)]
    scale = Normalize(finite.min(), finite.max()) if finite.size else Normalize(0, 1)
    ax.set_facecolor("#DDDDDD")
    image = ax.imshow(np.ma.masked_invalid(grid), cmap="cividis", norm=scale)
    ax.set_title(title)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    if finite.size and grid.size <= MAX_ANNOTATED_CELLS:
        _annotate(ax, grid, scale)
    return image


def _annotate(ax: Axes, grid: NDArray, scale: Normalize) -> None:
    largest = np.nanmax(np.abs(grid))
    digits = sum(largest < limit for limit in (0.1, 10, 1000))
    size = 10 if max(grid.shape) <= 5 else 7.5 if max(grid.shape) <= 8 else 5.5
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            ink = "white" if scale(value) < 0.55 else "black"
            said = f"{value:z.{digits}f}"
            said = said.replace("0.", ".") if digits == 3 else said  # no room for six letters
            ax.text(column, row, said, ha="center", va="center", fontsize=size, color=ink)
