"""Our own forward RL on a recovered reward: the method stays, its rewards are replaced."""

import jax

from iqlearn_jax.methods import Method
from iqlearn_jax.rewards.recovered import RecoveredReward
from iqlearn_jax.types import EnvSpec


def on_recovered(method: Method, reward: RecoveredReward, spec: EnvSpec) -> Method:
    """`rl` or `ppo` on `reward` instead of the environment's; evaluations still show the true return.

    Terminal states are worth 0 to these methods, so what the reward knows of the absorbing state behind an
    end is added to the row before it (`RecoveredReward.with_ends`). A sampled V(s') is drawn anew in each
    update.

    Args:
      method: a method that reads `Batch.policy.reward`.
      spec: of the environment that it plays in, with the reward's `obs_origin`.
    Raises:
      InputError: the environment has other observations or actions than the reward.
    """
    reward.require_fit(spec)
    reward = reward.of_relative()  # as the rows are, to the same origin

    def update(hparams, state, batch, key):
        reward_key, own_key = jax.random.split(key)
        rows = batch.policy
        recovered = reward.with_ends(rows.obs, rows.action, rows.next_obs, rows.terminated, reward_key)
        return method.update(hparams, state, batch.replace(policy=rows.replace(reward=recovered)), own_key)

    return method._replace(update=update)
