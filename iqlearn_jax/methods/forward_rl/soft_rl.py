"""One soft RL update on whatever rewards: plain RL, SQIL, AdRIL and DAC differ only in those.

A terminal state is worth 0 (`config.terminal="zero"`) or what the absorbing state after it is worth
("absorbing", Kostrikov et al. 2019, §4.2): θ/(1−γ), θ being the reward there. Rewards of 0 and more with
"zero" make long episodes look good, negative ones short episodes.

Departure from DAC: the self-loop is not a row of the replay whose value is learned by bootstrapping. Where
the method knows θ, values are counted from the absorbing state's: an end is worth 0, rewards are r − θ. (By
that constant no policy changes. But networks begin at 0, and with values as they are an end is worth −200 at
once, of which the rest learns by and by: docs/research/12-a-smooth-reward.md.) Where θ differs from row to
row, its mean is regressed. No switch: all have the same fixed point.
"""

import jax
import jax.numpy as jnp

from iqlearn_jax.agents.common import AGENT_KEYS, Learner, critic_step
from iqlearn_jax.config.values import require
from iqlearn_jax.methods import terminal
from iqlearn_jax.methods.method import DEMOS
from iqlearn_jax.types import Metrics

IMITATION_KEYS = DEMOS | AGENT_KEYS | {"gamma", "terminal", "absorbing_entropy", "anchor"}


def check_terminal(config) -> None:
    """Refuses bounds after an end, which are those of IQ-Learn's rewards."""
    require(
        config.terminal != "bounded",
        f"config.terminal is 'bounded', which stands for the bounds of IQ-Learn's rewards; method "
        f"'{config.method}' knows 'zero' and 'absorbing': set --config.terminal=absorbing",
    )


def soft_rl_step(learner: Learner, rows, reward, key, weight=1.0, end_reward=None, expert=None):
    """Soft Bellman regression, then the policy's step (Haarnoja et al. 2017, eq. 9; 2018, eqs. 5 to 13).

    Args:
      rows: transitions [N]; the reward in them is not read.
      reward: [N] rewards to regress on.
      weight: [] or [N] of each squared error; their weighted mean is the loss.
      end_reward: reward in the absorbing state: [] where it is known, [N] after each row, of which a mean is
        learned; None: terminals are worth 0.
      expert: demonstrated transitions, near which an anchored actor stays.
    Returns:
      (state, metrics).
    """
    config, agent, hparams, state = learner
    next_key, improve_key = jax.random.split(key)

    def loss(critic):
        return bellman_loss(learner, critic, rows, reward, next_key, weight, end_reward)

    state, metrics = critic_step(config, hparams, state, loss, agent.optimizer)
    state, policy_metrics = agent.improve(hparams, state, rows.obs, improve_key, expert)
    return state, metrics | policy_metrics


def bellman_loss(
    learner: Learner, critic, rows, reward, key, weight=1.0, end_reward=None
) -> tuple[jax.Array, Metrics]:
    """E_w[(Q(s,a) − r − γV(s'))²], targets without gradient. Returns (loss [], metrics).

    With an `end_reward` [] Q and V are counted from the absorbing state's value: rewards are r − end_reward,
    V is 0 there. With an `end_reward` [N] each terminal row adds (θ − end_reward)², θ = critic["absorbing"]:
    the mean reward after terminals. Arguments as `soft_rl_step`.
    """
    _, agent, hparams, state = learner
    next_v = agent.value(hparams, state, state.target_critic, rows.next_obs, key)
    metrics, end_loss = {}, jnp.zeros(())
    if end_reward is None:
        discount, next_v = terminal.successor("zero", hparams, rows, next_v)
    elif jnp.ndim(end_reward) == 0:
        discount, next_v = terminal.successor("zero", hparams, rows, next_v)
        reward = reward - end_reward - terminal.absorbing_entropy(learner)
        metrics = {"rl/absorbing_reward": end_reward}
    else:
        theta, entropy = state.target_critic["absorbing"], terminal.absorbing_entropy(learner)
        after_end = terminal.absorbing_value(hparams, theta, entropy)
        discount, next_v = terminal.successor("absorbing", hparams, rows, next_v, after_end)
        gap = critic["absorbing"] - jax.lax.stop_gradient(end_reward)
        end_loss = jnp.mean(weight * rows.terminated * jnp.square(gap))
        metrics = {"rl/absorbing_reward": critic["absorbing"]}
    target = jax.lax.stop_gradient(reward + discount * next_v)
    q = agent.q(hparams, critic, rows.obs, rows.action)
    value = jnp.mean(weight * jnp.square(q - target))
    return value + end_loss, metrics | {"rl/loss": value, "rl/q": jnp.mean(q)}
