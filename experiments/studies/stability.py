"""What each choice of the stable preset is worth: inverted_double_pendulum, one choice changed at a time.

python -m experiments.studies.stability [--list] [--only=NAME,...]
"""

from typing import Any

import numpy as np

from experiments.lib.figures import normalized_curve
from experiments.lib.markdown import markdown_table, score
from experiments.lib.table import Row, Table, main

BASE = {"first_seed": 100, "seeds": 10, "updates": 15_000, "eval_every": 3000, "eval_episodes": 5}
AUTHORS = {
    "critics": 1, "layer_norm": False, "target_rate": 0.005, "critic_lr": 3e-4, "actor_lr": 3e-5,
    "value_term": "v0_all", "terminal": "zero", "clip_targets": False, "normalize_obs": False,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "preset": {},
    "terminal_zero": {"terminal": "zero"},
    "terminal_absorbing": {"terminal": "absorbing"},
    "unclipped_targets": {"clip_targets": False},
    "chi2_over_expert": {"regularize": "expert", "terminal": "absorbing"},
    "value_term_mixture": {"value_term": "mixture"},
    "value_term_v0": {"value_term": "v0"},
    "one_critic": {"critics": 1},
    "no_layer_norm": {"layer_norm": False},
    "actor_rate_3e-5": {"actor_lr": 3e-5},
    "temperature_0.1": {"temperature": 0.1},
    "raw_observations": {"normalize_obs": False},
    "no_target": {"target_network": False},
    "paper": AUTHORS,
}
PREFACE = """# What keeps continuous IQ-Learn from diverging

Brax inverted_double_pendulum (`generalized`), online from one
demonstration, 15,000 steps, ten tuning seeds (100–109), one choice changed at a time from the preset
`config.presets.stable_sac`. 0 is the uniform policy, 1 the expert. "fall" is the mean over seeds of
the best evaluation minus the last one: what was learned and lost again. "rewards" are the smallest and
largest recovered reward in a batch at the end, "V" the mean soft value there (means over seeds); with χ²
over both kinds of samples their bounds are ±4α = ±2 and about ±200.

**What decides** (the score falls to about half or less):
- *The square must hold the learner's samples too.* With χ² over the expert's samples alone nothing keeps
  the rewards of the others: they run to −12,000 within 15,000 steps (`chi2_over_expert`).
- *The actor must keep up.* At the authors' 3e-5 the policy trails the critic that values it
  (`actor_rate_3e-5`; the preset has 3e-4).
- *Ends are worth something.* Behind a terminal, V = 0 tells a learner with positive values not to end and
  one with negative values to end quickly (`terminal_zero`, whose interval reaches into the preset's). The
  bound ±4α/(1−γ) mends it, a learned absorbing state in part.
- *Where Q is pushed down there must be a sample.* V(s) in the mixture term under a target network pushes
  actions that no sample holds; E_ρ[Q − γV'] and (1−γ)V(s0) do not.
- *A target network.* Without one (`no_target`) the gradient reaches V(s') too, as J has it, and the square
  obeys its bound; but values sink towards their lower bound before the policy has found the expert.

**What does not** (within the preset's interval, which is wide): clipping targets, a temperature ten times
larger, the value term at the start states, raw inputs, an absorbing end instead of the bound. One critic
does as well; the preset keeps two, since on Hopper values climb twice as fast with one. Without layer norm
the mean is lower, within the interval too (0.461 [0.231, 0.765] with earlier code). Rewards of single samples
leave ±2 in every variant; our reading, not measured: next to a terminal Q has to jump to ±200, and where it
has not yet, r = Q − γV' is large.

The authors' settings together (`paper`) learn next to nothing in 15,000 steps here; their runs are
longer.

"""


def markdown(results: list[dict[str, Any]]) -> str:
    """One line per variant."""
    head = ("variant", "changes", "score [95 %]", "worst seed", "fall", "rewards", "V")
    return markdown_table(head, [_cells(row) for row in results])


def _cells(row: dict[str, Any]) -> tuple:
    changes = VARIANTS[row["name"]]
    short = (
        "the authors' nine choices"
        if row["name"] == "paper"
        else ", ".join(f"`{key}={value}`" for key, value in changes.items())
    )
    curve, last = normalized_curve(row), row["last_metrics"]
    return (
        row["name"],
        short,
        score(row),
        f"{min(row['normalized']):.3f}",
        f"{np.mean(curve.max(axis=0) - curve[-1]):.3f}",
        f"{last['iq/reward_min']:.1f} … {last['iq/reward_max']:.1f}",
        f"{last['iq/value']:.0f}",
    )


ROWS = {
    name: Row("brax:inverted_double_pendulum", changes=BASE | changes, label=name)
    for name, changes in VARIANTS.items()
}
PANELS = {
    "Terminals and targets": ("preset", "terminal_zero", "terminal_absorbing", "unclipped_targets"),
    "Objective": ("preset", "chi2_over_expert", "value_term_mixture", "value_term_v0"),
    "Networks and inputs": ("preset", "one_critic", "no_layer_norm", "raw_observations"),
    "Actor's rate, temperature": ("preset", "actor_rate_3e-5", "temperature_0.1"),
    "All at once": ("preset", "paper"),
}
TABLE = Table("studies.stability", ROWS, PREFACE, markdown, PANELS)

if __name__ == "__main__":
    main(TABLE, __doc__)
