"""IQ-Learn against each other method: difference, probability of improvement, verdict."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from iqlearn_jax.report.read import method_name
from iqlearn_jax.statistics import MIN_SEEDS_FOR_INTERVAL, iqm, probability_of_improvement

TIE = 0.98  # two scores at or above it count as equal
RESAMPLES = 10_000
WORDS = {
    "own cartpole": "our CartPole expert", "own acrobot": "our Acrobot expert", "cartpole": "CartPole",
    "acrobot": "Acrobot", "lunarlander": "LunarLander", "inverted double": "double", "hopper": "Hopper",
    " online": ", online", " sparse ": ", thinned out, ", " full ": ", whole, ",
}  # fmt: skip
VERDICTS = ("worse", "open", "better", "equal", "none")
Interval = tuple[float, float]


class Pair(NamedTuple):
    """IQ-Learn and another method on the same task, data and seeds.

    Attributes:
      seeds: of the side that has fewer.
      difference: of the interquartile means, IQ-Learn's less the other's.
      interval: its 95 % interval; None below 5 seeds.
      probability: that a run of IQ-Learn is better than one of the other's.
      verdict: "equal", "better", "worse" (than the other), "open" (the interval holds 0) or "none" (there is
        no interval).
    """

    where: str
    method: str
    seeds: int
    difference: float
    interval: Interval | None
    probability: float
    verdict: str


def difference_interval(a, b, seed: int = 0) -> tuple[float, Interval | None]:
    """IQM(a) − IQM(b) and its percentile bootstrap interval; runs are drawn from each side anew.

    Args:
      a, b: [R] scores of runs; below 5 on a side there is no interval, as in `statistics.bootstrap_ci`.
    """
    rng = np.random.default_rng(seed)
    a, b = np.asarray(a, float), np.asarray(b, float)
    difference = float(iqm(a) - iqm(b))
    if min(a.size, b.size) < MIN_SEEDS_FOR_INTERVAL:
        return difference, None
    drawn = [x[rng.integers(x.size, size=(RESAMPLES, x.size))] for x in (a, b)]
    low, high = np.percentile(iqm(drawn[0], axis=1) - iqm(drawn[1], axis=1), [2.5, 97.5])
    return difference, (float(low), float(high))


def verdict(ours: float, other: float, interval: Interval | None) -> str:
    """What the difference says of IQ-Learn; see `Pair`."""
    if interval is None:
        return "none"
    if min(ours, other) >= TIE:
        return "equal"
    if interval[0] > 0:
        return "better"
    return "worse" if interval[1] < 0 else "open"


def compare(done: Mapping[str, Any]) -> list[Pair]:
    """All pairs of rows that differ in the method only, by their names ("cartpole_full_iq_1").

    IQ-Learn's other divergences ("iq_w1") are no other method.
    """
    pairs = []
    for name, other in done.items():
        iq_name = _iq_name(name, other["method"])
        if other["method"].startswith("iq") or iq_name not in done:
            continue
        iq = done[iq_name]
        difference, interval = difference_interval(iq["normalized"], other["normalized"])
        pairs.append(
            Pair(
                where=name.replace(f"_{other['method']}", "").replace("_", " "),
                method=other["method"],
                seeds=min(len(iq["normalized"]), len(other["normalized"])),
                difference=difference,
                interval=interval,
                probability=probability_of_improvement(iq["normalized"], other["normalized"]),
                verdict=verdict(iq["normalized_iqm"], other["normalized_iqm"], interval),
            )
        )
    return pairs


def _iq_name(name: str, method: str) -> str:
    """The name of IQ-Learn's row; on the gridworld it is called offline."""
    return "gridworld_offline" if name.startswith("gridworld") else name.replace(f"_{method}", "_iq")


def verdicts(pairs: list[Pair]) -> str:
    """How often each verdict was reached, then by whom and where IQ-Learn is beaten."""
    if not pairs:
        return ""
    counts = {word: sum(pair.verdict == word for pair in pairs) for word in VERDICTS}
    few = counts.pop("none")
    apart = f" Not counted: {few} with fewer than {MIN_SEEDS_FOR_INTERVAL} seeds, too few for an interval."
    beaten = sorted((pair for pair in pairs if pair.verdict == "worse"), key=lambda pair: pair.difference)
    by = "; ".join(f"{method_name(p.method)} on {in_words(p.where)}: {_difference(p)}" for p in beaten)
    return (
        f"**IQ-Learn is beaten in {counts['worse']} of {sum(counts.values())} comparisons**, better in "
        f"{counts['better']}, equal (both ≥ {TIE}) in {counts['equal']}, and {counts['open']} are open (the "
        f"interval of the difference holds 0).{apart if few else ''}"
        + (f" It is beaten by {by}.\n" if by else "\n")
    )


def in_words(where: str) -> str:
    """What is compared ("cartpole sparse 1") as a page names it ("CartPole, thinned out, 1")."""
    for name, words in WORDS.items():
        where = where.replace(name, words)
    return where


def counts(pairs: Collection[Pair], method: str) -> str:
    """Of one method's comparisons, in how many IQ-Learn is better, equal, open, worse."""
    own = [pair.verdict for pair in pairs if pair.method == method]
    return ", ".join(str(own.count(word)) for word in ("better", "equal", "open", "worse")) if own else "–"


def _difference(pair: Pair) -> str:
    if pair.interval is None:
        return f"{pair.difference:+.3f}"
    return f"{pair.difference:+.3f} [{pair.interval[0]:+.3f}, {pair.interval[1]:+.3f}]"
