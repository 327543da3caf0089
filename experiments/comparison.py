"""IQ-Learn against each other method: difference, probability of improvement, ties."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.table import markdown_table
from iqlearn_jax.statistics import iqm, probability_of_improvement

TIE = 0.98  # two scores at or above it count as equal
RESAMPLES = 10_000


class Pair(NamedTuple):
    """IQ-Learn and another method on the same task, data and seeds.

    Attributes:
      difference: of the interquartile means, IQ-Learn's less the other's, with its 95 % interval.
      probability: that a run of IQ-Learn is better than one of the other's.
      verdict: "tie", "better", "worse" (than the other) or "open" (the interval holds 0).
    """

    where: str
    method: str
    difference: float
    interval: tuple[float, float]
    probability: float
    verdict: str


def difference_interval(a, b, seed: int = 0) -> tuple[float, tuple[float, float]]:
    """IQM(a) − IQM(b) and its percentile bootstrap interval; runs are drawn from each side anew.

    Args:
      a, b: [R] scores of runs.
    """
    rng = np.random.default_rng(seed)
    a, b = np.asarray(a, float), np.asarray(b, float)
    drawn = [x[rng.integers(x.size, size=(RESAMPLES, x.size))] for x in (a, b)]
    low, high = np.percentile(iqm(drawn[0], axis=1) - iqm(drawn[1], axis=1), [2.5, 97.5])
    return float(iqm(a) - iqm(b)), (float(low), float(high))


def verdict(ours: float, other: float, interval: tuple[float, float]) -> str:
    """What the difference says of IQ-Learn; see `Pair`."""
    if min(ours, other) >= TIE:
        return "tie"
    if interval[0] > 0:
        return "better"
    return "worse" if interval[1] < 0 else "open"


def compare(done: Mapping[str, Any], ours: str = "iq") -> list[Pair]:
    """All pairs of rows that differ in the method only, by their names ("cartpole_full_iq_1")."""
    pairs = []
    for name, found in done.items():
        twin = _twin(name, found["method"], ours)
        if found["method"] == ours or twin not in done:
            continue
        own = done[twin]
        difference, interval = difference_interval(own["normalized"], found["normalized"])
        pairs.append(
            Pair(
                where=name.replace(f"_{found['method']}", "").replace("_", " "),
                method=found["method"],
                difference=difference,
                interval=interval,
                probability=probability_of_improvement(own["normalized"], found["normalized"]),
                verdict=verdict(own["normalized_iqm"], found["normalized_iqm"], interval),
            )
        )
    return pairs


def _twin(name: str, method: str, ours: str) -> str:
    """The name of IQ-Learn's row; on the gridworld it is called offline."""
    twin = name.replace(f"_{method}", f"_{ours}")
    return "gridworld_offline" if name.startswith("gridworld") else twin


def compare_table(pairs: list[Pair]) -> str:
    """Where another method is better stands first."""
    if not pairs:
        return ""
    order = {"worse": 0, "open": 1, "better": 2, "tie": 3}
    pairs = sorted(pairs, key=lambda pair: (order[pair.verdict], pair.difference))
    counts = {word: sum(pair.verdict == word for pair in pairs) for word in order}
    head = (
        f"**IQ-Learn is beaten in {counts['worse']} of {len(pairs)} comparisons**, better in "
        f"{counts['better']}, equal (both ≥ {TIE}) in {counts['tie']}, and {counts['open']} are open (the "
        "interval of the difference holds 0).\n\n"
    )
    lines = [
        (p.where, p.method, f"{p.difference:+.3f} [{p.interval[0]:+.3f}, {p.interval[1]:+.3f}]",
         f"{p.probability:.2f}", p.verdict)
        for p in pairs if p.verdict != "tie"
    ]  # fmt: skip
    columns = ("where", "against", "IQ-Learn − it [95 %]", "P(IQ-Learn better)", "IQ-Learn is")
    return head + markdown_table(columns, lines)
