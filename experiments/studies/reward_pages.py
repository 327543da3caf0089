"""The page of `python -m experiments.studies.rewards`; knows nothing of training."""

from typing import Any

import numpy as np

from experiments.lib.markdown import markdown_table

NUMBERS = {
    "pearson": "Pearson, steps",
    "spearman": "Spearman, steps",
    "pearson_episodes": "Pearson, episodes",
    "spearman_episodes": "Spearman, episodes",
    "starc": "STARC",
    "epic": "EPIC",
    "dard": "DARD",
    "r2_reward": "R² true reward",
    "r2_model": "R² successors",
}
AT = {"final": "after", "likeness": "of the first snapshot like the demonstrations, after"}
LABELS = {
    "recovered": "recovered reward",
    "true": "true reward, same budget",
    "recovered_changed": "recovered reward, changed dynamics",
    "true_changed": "true reward, changed dynamics",
}


def page(rows: list[dict[str, Any]], about: str) -> str:
    """An overview, then all tasks."""
    head = f"# What recovered rewards are worth\n\n{about}\n## Overview\n\n"
    return head + overview(rows) + "\n" + "".join(section(row) for row in rows)


def overview(rows: list[dict[str, Any]]) -> str:
    """Pearson over episodes of everything that was measured; "by return": with policies chosen by theirs."""
    measured = [row for row in rows if "measures" in row]
    lines = [
        (
            row["task"],
            row["seed"],
            f"{row.get('at', 'final')}, {row['updates']:,}",
            number(row["measures"]["pearson_episodes"]),
            number((row.get("levels") or {}).get("pearson")),
            row["provenance"]["commit"][:8],
        )
        for row in measured
    ]
    head = ("task", "seed", "reward, updates", "Pearson, episodes", "by return", "commit")
    return markdown_table(head, lines)


def section(row: dict[str, Any]) -> str:
    """One task: what was measured, then what was trained."""
    if "measures" not in row:
        return f"## {row['name']}\n\n{row['note']}\n\n"
    origin = row["provenance"]
    at = row.get("at", "final")
    head = (
        f"## {row['task']}, seed {row['seed']}, {at}\n\n"
        f"Reward of seed {row['seed']} {AT[at]} {row['updates']:,} updates, commit "
        f"{origin['commit'][:8]}, {origin['hardware']}; the final policy returns "
        f"{row['policy_return']:.1f}, the expert {number(row['expert_return'])}, random play "
        f"{row['random_return']:.1f}. {row['steps']:,} steps of {row['episodes']} episodes.\n\n"
    )
    values = tuple(number(row["measures"][key]) for key in NUMBERS)
    head += markdown_table(tuple(NUMBERS.values()), [values]) + "\n"
    groups = [
        (name, f"{g['mean_return']:.1f}", number(g["pearson"]), number(g.get("spearman")))
        for name, g in row["groups"].items()
    ]
    columns = ("episodes of", "mean return", "Pearson, steps", "Spearman, steps")
    head += markdown_table(columns, groups) + "\n"
    head += levels(row["levels"]) if row.get("levels") else ""
    head += policies(row) if "policies" in row else ""
    return head + f"![Rewards](../images/rewards_{row['name']}.png)\n\n"


def levels(correlations: dict[str, Any]) -> str:
    """Correlations with policies chosen by what they return."""
    names = ", ".join(f"{label} {value:.1f}" for label, value in correlations["returns"].items())
    return (
        f"With policies chosen by their return ({names}) instead of those after 25 % and 50 %: Pearson over "
        f"episodes {number(correlations['pearson'])}, Spearman {number(correlations['spearman'])}.\n\n"
    )


def policies(row: dict[str, Any]) -> str:
    """Policies trained from scratch."""
    lines = [policy_line(row, kind) for kind in LABELS]
    head = ("trained on", "learner", "seeds", "true returns", "share", "steps", "commit")
    words = "Shares are of the expert's return, there of the mean that the true reward gives."
    return f"Changed dynamics: {row['dynamics']}. {words}\n\n" + markdown_table(head, lines) + "\n"


def policy_line(row: dict[str, Any], kind: str) -> tuple:
    """One row of that table; under changed dynamics the yardstick is RL on the true reward there."""
    policy = row["policies"][kind]
    if "returns" not in policy:
        return (LABELS[kind], policy["note"], *[""] * 5)
    seeds = f"{policy['seeds'][0]}–{policy['seeds'][-1]}"
    returns = " ".join(f"{value:.1f}" for value in policy["returns"])
    commit = policy["provenance"]["commit"][:8]
    part = share(row, kind)
    return (
        LABELS[kind], policy["learner"], seeds, returns, number(part), f"{policy['env_steps']:,}", commit,
    )  # fmt: skip


def share(row: dict[str, Any], kind: str) -> float | None:
    """(mean return − random) / (yardstick − random), None where the yardstick is not there."""
    policy, low, high = row["policies"][kind], row["random_return"], row["expert_return"]
    if kind.endswith("changed"):
        best = row["policies"]["true_changed"]
        if "returns" not in best:
            return None
        high = float(np.mean(best["returns"]))
        low = low if best["random_return"] is None else best["random_return"]
    if high is None or high == low:
        return None
    return float((np.mean(policy["returns"]) - low) / (high - low))


def number(value: float | None) -> str:
    """Three digits, or that there is none."""
    return "–" if value is None else f"{value:.3f}"
