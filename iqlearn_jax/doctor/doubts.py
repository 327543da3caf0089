"""What the doctor cannot tell of a run: a silence that is no clean bill."""

import numpy as np

from iqlearn_jax.doctor.rules import Case, History

BY_LIKENESS = "policy_collapsed, policy_lost"
BY_BOUNDS = "values_out_of_bounds, value_term_drift, survival_bias, termination_bias"


def doubts(case: Case, history: History) -> list[str]:
    """What could not be judged, and why, a sentence each; empty where every rule had what it reads."""
    sentences = []
    unknown = np.flatnonzero(np.isnan(history.metrics["eval/likeness"]).all(axis=0))
    if unknown.size:
        runs, total = unknown.size, history.metrics["eval/likeness"].shape[1]
        sentences.append(
            f"{BY_LIKENESS} in {runs} of {total} runs: no eval/likeness so far. There is none before the "
            "first evaluation, of images and without a simulator, nor where too few steps are compared: of "
            "short episodes raise --config.eval_episodes or --config.demos.trajectories"
        )
    if case.gaussian:
        sentences.append("policy_uniform, policy_collapsed: the policy's width is set, not learned")
    elif not np.isfinite(case.unit):
        sentences.append("policy_uniform, policy_collapsed: the box of actions has no finite volume")
    if not np.isfinite(case.reward_range[1]).all():
        sentences.append(
            f"{BY_BOUNDS}: nothing bounds the reward from above with --config.divergence="
            f"{case.config.divergence}"
        )
    return sentences
