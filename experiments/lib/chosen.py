"""What policies are worth that their likeness chooses: no reward is read, and nothing after them counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.lib.markdown import markdown_table, seeds
from iqlearn_jax.report.tables import interval_text
from iqlearn_jax.statistics import iqm_and_ci, normalize
from iqlearn_jax.trained.load import LIKE, choices

HEAD = ("row", "seeds", "chosen after updates", "its score", "score of the final policies")
ABOUT = f"""
## Policies that likeness chose

Of each run the first kept snapshot whose `eval/likeness` is at least {LIKE} (where none is, the most alike),
as `iqlearn evaluate --at=likeness` takes it: a rule that reads no reward and was fixed for recovered rewards
before ([rewards.md](rewards.md)). Its score is of the ten episodes by which likeness chose, which flatters
it; of 100: [doctor.md](../doctor.md#which-policy-to-keep). Only runs that kept both are here.

"""


def chosen(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """The evaluations of a finished folder's chosen policies.

    Returns:
      `updates, env_steps, returns, normalized` [R], `normalized_iqm, ci95`; None where nothing that was kept
      has a likeness.
    """
    line_by_run = choices(folder)
    if len(line_by_run) < len(summary["seeds"]):
        return None
    lines = [line_by_run[run] for run in sorted(line_by_run)]
    returns = [line["eval/return"] for line in lines]
    normalized = normalize(returns, summary["expert_return"], summary["random_return"])
    average, interval = iqm_and_ci(normalized)
    return {
        "updates": [line["update"] for line in lines],
        "env_steps": [line["env_steps"] for line in lines],
        "returns": returns,
        "normalized": normalized.tolist(),
        "normalized_iqm": average,
        "ci95": interval,
    }


def chosen_table(results: Sequence[Mapping[str, Any]]) -> str:
    """The section of a page; empty without such rows."""
    lines = []
    for row in results:
        if own := row.get("chosen"):
            updates = " ".join(f"{value:,}" for value in own["updates"])
            scores = (interval_text(of["normalized_iqm"], of["ci95"], digits=3) for of in (own, row))
            lines.append((row["name"], seeds(row), updates, *scores))
    return ABOUT + markdown_table(HEAD, lines) if lines else ""
