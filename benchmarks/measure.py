"""Timing and rows: programs alternate, every figure is a ratio of medians within one run."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

COMMAND = "python -m benchmarks.run --only={name}"


class Row(NamedTuple):
    """One figure.

    Attributes:
      spread: quartiles of the figure over repeats.
      bar: what it must reach, in words ("≤ 1.1"), or "" where it is only reported.
      details: further figures, printed beside.
    """

    name: str
    value: float
    spread: tuple[float, float]
    bar: str
    holds: bool | None
    unit: str
    details: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """As JSON, with the command that measures it."""
        group = self.name.split(":")[0]
        return self._asdict() | {"spread": list(self.spread), "command": COMMAND.format(name=group)}


def at_most(limit: float) -> tuple[str, Callable[[float], bool]]:
    """A bar from above."""
    return f"≤ {limit:g}", lambda value: value <= limit


def at_least(limit: float) -> tuple[str, Callable[[float], bool]]:
    """A bar from below."""
    return f"≥ {limit:g}", lambda value: value >= limit


def between(low: float, high: float) -> tuple[str, Callable[[float], bool]]:
    """A bar from both sides."""
    return f"{low:g} … {high:g}", lambda value: low <= value <= high


def row(name: str, samples, unit: str, bar=None, **details) -> Row:
    """A row from the figure's repeats: their median and quartiles."""
    samples = np.atleast_1d(np.asarray(samples, float))
    value = float(np.median(samples))
    low, high = np.percentile(samples, [25, 75])
    text, holds = bar or ("", None)
    return Row(name, value, (float(low), float(high)), text, holds and holds(value), unit, details)


def seconds(call: Callable) -> float:
    """Seconds of one call, results included."""
    begun = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - begun


def alternate(calls: Mapping[str, Callable], repeats: int) -> dict[str, np.ndarray]:
    """Seconds [repeats] of each call, in turn, so that all see the same machine; one round warms up."""
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            durations[name].append(seconds(call))
    return {name: np.array(values[1:]) for name, values in durations.items()}
