"""Figure 2's thinned-out rows of IQ-Learn without the target network that Table 1's recipe gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.bars import few_table
from experiments.comparison import compare, compare_table
from experiments.markdown import markdown_table, score
from experiments.table import Row

ABOUT = """
## Without a target network

Table 1's recipe gives IQ-Learn a target network: V(s') has no gradient then, and what Q is fitted to may
drift ([notes.md](notes.md#offline-a-target-network-lets-values-drift)). Here are the same runs without one:
settings as found with it, nothing was searched again. That it would help was seen before these ran, on our
own Acrobot demonstrations and other seeds (100 to 119).

"""


def twin(name: str) -> str:
    """What a row of IQ-Learn is called without its target network."""
    return name.replace("_iq_", "_iq_no_target_")


def no_target_rows(rows: Mapping[str, Row]) -> dict[str, Row]:
    """A twin of each of these that is IQ-Learn's with χ², thinned out and not of two actions."""
    return {
        twin(name): row._replace(
            changes={**row.changes, "target_network": False},
            label=f"{row.label}, no target network",
            folder=None,
        )
        for name, row in rows.items()
        if name.rsplit("_", 1)[0].endswith("_sparse_iq")
    }


def no_target_section(done: Mapping[str, Any], tasks: Sequence[str], others: Sequence[str]) -> str:
    """With and without beside each other, then the latter against all baselines.

    Args:
      done: rows by their names.
      others: the baselines.
    """
    twins = {name: twin(name) for name in done if twin(name) in done.keys() - {name}}
    if not twins:
        return ""
    lines = [
        (name.replace("_iq_", " ").replace("_", " "), score(done[name]), score(done[without]))
        for name, without in twins.items()
    ]
    page = ABOUT + markdown_table(("task, demonstrations", "with", "without"), lines) + "\n"
    rows = {name: row for name, row in done.items() if row["method"] != "iq"}
    rows |= {name: done[without] for name, without in twins.items()}
    pairs = compare(rows)
    return page + few_table(rows, pairs, tasks, others) + "\n" + compare_table(pairs)
