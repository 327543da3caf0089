"""What the rows of Table 1 and Figure 2 have to reach, and the causes where they do not."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

from experiments.comparison import Pair
from experiments.markdown import markdown_table, score

WEAK = 0.1  # a row whose interval reaches below does not clearly beat the uniform policy


class Bar(NamedTuple):
    """A score that a row is to reach, and whose it is."""

    least: float
    source: str


PAPER = "the paper, Figure 2"
BARS = {
    "cartpole_full_bc_10": Bar(0.9, "ours"),
    "acrobot_full_bc_10": Bar(0.9, "ours"),
    "cartpole_sparse_edm_1": Bar(0.41, PAPER),
    "acrobot_sparse_edm_1": Bar(0.88, PAPER),
    "cartpole_sparse_value_dice_1": Bar(0.31, PAPER),
    "inverted_double_pendulum_online_dac": Bar(0.8, "ours"),
    "inverted_double_pendulum_online_value_dice": Bar(0.8, "ours"),
}
FIGURE2_BARS = {
    "cartpole_full_iq_1": Bar(0.95, "ours"),
    "acrobot_full_iq_1": Bar(0.95, "ours"),
    "lunarlander_full_iq_7": Bar(0.95, "ours"),
    "lunarlander_full_iq_10": Bar(0.95, "ours"),
    "lunarlander_full_iq_15": Bar(0.95, "ours"),
}
TABLE3_BARS = {"hopper_iq": Bar(0.95, "ours"), "halfcheetah_iq": Bar(0.95, "ours")}
TABLE3_WORST = 0.8  # no seed below
NOTES = {
    "halfcheetah_iq": "halfcheetah-v5-online-its-reward-turns-round",
    "hopper_iq": "hopper-v5-online-what-is-learned-is-lost-again",
    "cartpole_sparse_iq": "iq-learn-on-thinned-out-cartpole",
    "edm": "edm-at-one-thinned-out-demonstration",
    "lstd_mu": "max-margin-from-demonstrations-alone-estimates-that-are-wrong-where-nobody-acted",
    "lunarlander_sparse_value_dice": "",
    "sparse_value_dice": "valuedice-on-25-rows-of-cartpole",
    "lunarlander_sparse": "offline-few-transitions",
    "online_gail": "gail-airl-and-asaf-on-cartpole-online-few-steps-few-rows",
    "online_airl": "gail-airl-and-asaf-on-cartpole-online-few-steps-few-rows",
    "online_asaf": "gail-airl-and-asaf-on-cartpole-online-few-steps-few-rows",
}  # part of a row's name -> heading of docs/results/notes.md, "" where nothing was found


def cause(name: str) -> str:
    """A link to what was found about a row, or that nothing was."""
    heading = next((heading for part, heading in NOTES.items() if part in name), None)
    return f"[cause](notes.md#{heading})" if heading else "cause not found"


def bars_table(
    done: Mapping[str, Any], bars: Mapping[str, Bar] = MappingProxyType(BARS), worst: float = -math.inf
) -> str:
    """Every bar with the row's score; rows that miss it lead to their cause.

    Args:
      worst: no seed may be below it.
    """
    lines = []
    for name, bar in bars.items():
        if name not in done:
            lines.append((name, "pending", f"{bar.least:g}", bar.source, ""))
            continue
        met = done[name]["normalized_iqm"] >= bar.least and min(done[name]["normalized"]) >= worst
        lines.append((name, score(done[name]), f"{bar.least:g}", bar.source, "met" if met else cause(name)))
    return markdown_table(("row", "score", "bar", "whose", ""), lines)


def weak_table(done: Mapping[str, Any]) -> str:
    """Rows that do not clearly beat the uniform policy."""
    lowest = {name: min(found["ci95"] or [found["normalized_iqm"]]) for name, found in done.items()}
    lines = [(name, score(done[name]), cause(name)) for name, low in lowest.items() if low < WEAK]
    return markdown_table(("row", "score", ""), lines)


def few_table(done: Mapping[str, Any], pairs: list[Pair], tasks: Sequence[str], others: Sequence[str]) -> str:
    """IQ-Learn against every baseline at one and three thinned-out demonstrations, and where it falls short.

    Args:
      pairs: of all rows, from `comparison.compare`.
      others: the baselines.
    """
    lines = []
    for task, demos in product(tasks, (1, 3)):
        stem, own = f"{task} sparse {demos}", f"{task}_sparse_iq_{demos}"
        met = {p.method: p for p in pairs if p.where == stem and p.method in others}
        worse = [f"{name} ({cause(own)})" for name, pair in met.items() if pair.verdict == "worse"]
        above = [name for name, p in met.items() if p.verdict == "open" and p.difference < 0]
        waiting = [name for name in others if name not in met]
        cells = (", ".join(names) or "–" for names in (worse, above, waiting))
        lines.append((f"{task}, {demos}", score(done[own]) if own in done else "pending", *cells))
    head = ("task, demonstrations", "IQ-Learn", "better than it", "above it, within the interval", "pending")
    return markdown_table(head, lines)
