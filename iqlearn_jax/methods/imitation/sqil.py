"""SQIL: soft Q imitation learning (Reddy, Dragan & Levine 2020, Algorithm 1; arXiv 1905.11108).

Soft RL on a constant reward: 1 for demonstrations, 0 for what the learner did itself. No reward is learned.
The fixed point's own reward is r(s,a) = ρ_E/(ρ_E + ρ_replay), which fades to 1/2 as the replay fills with
expert-like behaviour; the paper stops when its loss has converged.

Departures from the paper, each with the switch that restores its choice:
  the target takes no gradient, as in the paper's experiments; in its theory (regularised behavioural cloning)
    V(s') is differentiated as well: no switch;
  λ_samp, the weight of the replay's half, is 1, the paper's default: no switch;
  temperature is free, the paper's is 1: `temperature=1.0`;
  observations are standardised: `normalize_obs=False`.
"""

import jax

from iqlearn_jax.agents.common import STANDARD_PARTS, Learner, Parts, anchored
from iqlearn_jax.agents.soft_q import make_agent
from iqlearn_jax.config.schema import ONLINE
from iqlearn_jax.methods.forward_rl.soft_rl import IMITATION_KEYS, check_terminal, soft_rl_step
from iqlearn_jax.methods.method import Method, MethodEntry
from iqlearn_jax.methods.rollouts import PASSES, in_passes
from iqlearn_jax.ops.iq.objectives import half_and_half
from iqlearn_jax.types import join

KEYS = IMITATION_KEYS | PASSES


def make_sqil(config, spec, parts: Parts = STANDARD_PARTS) -> Method:
    """δ²(demonstrations, 1) + δ²(replay, 0), each a mean of squared soft Bellman errors.

    With `terminal="zero"` a reward ≥ 0 favours long episodes whatever the demonstrations show; with
    "absorbing" the state after a demonstrated end has reward 1 as well, after an end of the learner's 0.

    Raises:
      InputError: a terminal treatment that it does not know.
    """
    check_terminal(config)
    agent = make_agent(config, spec, parts, anchored=anchored(config))

    def update(hparams, state, batch, key):
        rows, expert = join(batch)
        end_reward = expert if config.terminal == "absorbing" else None
        learner = Learner(config, agent, hparams, state)
        return soft_rl_step(learner, rows, expert, key, sum_of_means(expert), end_reward, batch.expert)

    return Method(
        init=agent.init,
        update=in_passes(config, update) if config.feed == "rollout" else update,
        act=agent.act,
        reward=None,
    )


def sum_of_means(expert) -> jax.Array:
    """Weights [N] with which a mean over all rows is the sum of both kinds' means; expert: [N] mask."""
    return 2.0 * expert.size * half_and_half(expert)


ENTRY = MethodEntry(
    make_sqil,
    KEYS,
    "soft RL on reward 1 for demonstrations and 0 for the learner (Reddy et al. 2020)",
    feeds=frozenset(ONLINE),
    refuses=frozenset({"state_only"}),
    parts=frozenset({"critic", "actor", "optimizer"}),
)
