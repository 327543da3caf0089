"""Metrics of all runs as columns; what `metrics.jsonl` holds line by line."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.runs.files import metrics_lines

CLOCKS = ("update", "env_steps", "wall_seconds")


class History:
    """Columns that grow by one row with each logged chunk.

    Attributes:
      runs: R.
      clocks: {"update" | "env_steps" | "wall_seconds": one number for each chunk}.
      metrics: {name: [R] for each chunk}, NaN where a metric was not measured or not finite.
    """

    def __init__(self, runs: int):
        """Begins empty."""
        self.runs = runs
        self.clocks: dict[str, list[float]] = {name: [] for name in CLOCKS}
        self.metrics: dict[str, list[np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.clocks["update"])

    def add(self, update: int, env_steps: int, seconds: float, metrics: Mapping[str, np.ndarray]) -> None:
        """One more chunk; `metrics` are [R], `seconds` those of training so far."""
        blank = np.full(self.runs, np.nan)
        for name in metrics:
            self.metrics.setdefault(name, [blank] * len(self))
        for name, column in self.metrics.items():
            value = np.asarray(metrics.get(name, blank), float)
            column.append(np.where(np.isfinite(value), value, np.nan))
        for name, number in zip(CLOCKS, (update, env_steps, seconds), strict=True):
            self.clocks[name].append(number)

    def chunks(self) -> Iterator[tuple[int, int, float, dict[str, np.ndarray]]]:
        """(update, env_steps, wall_seconds, metrics [R]) of each chunk, as `add` took them."""
        for i in range(len(self)):
            update, env_steps, seconds = (self.clocks[name][i] for name in CLOCKS)
            metrics = {name: x[i] for name, x in self.metrics.items() if not np.isnan(x[i]).all()}
            yield int(update), int(env_steps), seconds, metrics

    def columns(self) -> dict[str, np.ndarray]:
        """{"update", "env_steps", "wall_seconds": [T], metric: [T, R]}."""
        return {name: np.array(values) for name, values in (self.clocks | self.metrics).items()}


def read_history(path: Path, runs: int) -> History:
    """The history that a `metrics.jsonl` holds; chunks that are not whole are left out.

    Raises:
      InputError: a line is damaged.
    """
    history = History(runs)
    chunk: list[dict[str, Any]] = []
    for line in metrics_lines(path):
        chunk = [*chunk, line] if chunk and chunk[-1]["update"] == line["update"] else [line]
        if len(chunk) == runs:
            names = {name for row in chunk for name in row if "/" in name}
            metrics = {name: np.array([_number(row.get(name)) for row in chunk]) for name in sorted(names)}
            history.add(line["update"], line["env_steps"], line["wall_seconds"], metrics)
    return history


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) else np.nan
