"""The page of `python -m experiments.studies.rewards`; knows nothing of training."""

from typing import Any

import numpy as np

from experiments.lib.markdown import markdown_table, origin

HEAD = (
    "task", "seed", "reward after updates", "Pearson, episodes", "by return", "STARC", "EPIC", "DARD",
    "share: recovered, true", "changed dynamics: recovered",
)  # fmt: skip
ABOUT = """# What recovered rewards are worth

**Along a run's own training the recovered reward ranks episodes as the true one does** (Pearson above 0.8 for
11 of 14 rewards); that of a first good policy does so better than the final one. **Policies trained on it
from scratch** reach the expert on Acrobot, LunarLander and the pendulum; Hopper's do not (one stands still,
one falls at once; on the true reward they have a quarter of the expert's return in as many steps:
[more](../research/06-does-the-reward-train-others.md)).

A reward is that of another experiment's run: "after updates" of its end, or of the first snapshot like the
demonstrations. Episodes: ten each of random play, of snapshots from training, and of the expert. "By return":
with policies at about 25 % and 50 % of the expert's return instead of snapshots by time. STARC, EPIC, DARD:
distances to the true reward, 0 is the same up to shaping and scale. Shares: mean true return of policies
trained from scratch on the recovered reward and, with the same budget, on the true one, from random play (0)
to the expert (1), in changed dynamics to what the true reward gives there. –: undefined (a reward that never
varies) or not run.

"""


def page(rows: list[dict[str, Any]]) -> str:
    """One line for each reward that was measured, then the pictures."""
    table = markdown_table(HEAD, [line(row) for row in rows])
    pictures = ", ".join(f"[{row['name']}](../images/rewards_{row['name']}.png)" for row in rows)
    made = origin("studies.rewards", rows)
    return f"{ABOUT}{made}{table}\nRewards drawn: {pictures}.\n"


def line(row: dict[str, Any]) -> tuple:
    """A reward beside the true one, and what policies made of it."""
    at = f"{row['updates']:,}" + (", like the demonstrations" if row.get("at") == "likeness" else "")
    correlations = (row["measures"]["pearson_episodes"], (row.get("levels") or {}).get("pearson"))
    distances = (row["measures"][key] for key in ("starc", "epic", "dard"))
    numbers = map(number, (*correlations, *distances))
    shares = ", ".join(number(share(row, kind)) for kind in ("recovered", "true"))
    return row["task"], row["seed"], at, *numbers, shares, number(share(row, "recovered_changed"))


def share(row: dict[str, Any], kind: str) -> float | None:
    """(mean return − random) / (yardstick − random), None where the policy or the yardstick is not there."""
    done, low, high = row.get("policies", {}), row["random_return"], row["expert_return"]
    if kind.endswith("changed"):
        best = done.get("true_changed")
        high = None if best is None else float(np.mean(best["returns"]))
        low = low if best is None or best["random_return"] is None else best["random_return"]
    if kind not in done or high is None or high == low:
        return None
    policy = done[kind]
    return float((np.mean(policy["returns"]) - low) / (high - low))


def number(value: float | None) -> str:
    """Three digits, or that there is none."""
    return "–" if value is None else f"{value:.3f}"
