"""brax's own PPO on a recovered reward: nothing of iqlearn_jax is in the training loop but the reward.

    iqlearn train --config=brax:inverted_pendulum --workdir=runs/pendulum
    iqlearn reward export --workdir=runs/pendulum --out=reward.npz
    python examples/train_ppo_on_reward.py --reward=reward.npz --env=inverted_pendulum --backend=generalized

PPO never sees the true reward; the table shows it beside the recovered one, since the wrapper keeps it.
"""

import argparse
import functools

import brax.envs
import jax
import jax.numpy as jnp
from brax.training.agents.ppo import networks
from brax.training.agents.ppo import train as ppo

from iqlearn_jax.rewards import load_reward
from iqlearn_jax.rewards.brax import TRUE_REWARD, BraxRewardWrapper

LIMIT = 1000  # steps of an episode


def replicated(tree, devices):
    """The tree with a leading axis of devices."""
    return jax.tree.map(lambda x: jnp.stack([x] * len(devices)), tree)


if not hasattr(jax, "device_put_replicated"):  # brax 0.14 calls it, jax 0.10 has it no more
    jax.device_put_replicated = replicated


def train(env, reward, steps, seed=0, evaluations=5):
    """PPO in a raw brax environment on a recovered reward, or on its own with None.

    Returns:
      a list of (environment steps, mean true return, mean of what it learned from); the first is untrained.
    """
    gamma = 0.99 if reward is None else float(reward.gamma)
    true = "reward" if reward is None else TRUE_REWARD
    seen = []

    def show(step, metrics):
        pair = [float(metrics[f"eval/episode_{name}"]) for name in (true, "reward")]
        seen.append((step, *pair))
        print(f"{step:>9,} steps: true return {pair[0]:8.1f}, recovered {pair[1]:10.2f}", flush=True)

    ppo.train(
        environment=env if reward is None else BraxRewardWrapper(env, reward),
        num_timesteps=steps,
        episode_length=LIMIT,
        num_evals=evaluations,
        num_eval_envs=16,
        deterministic_eval=True,
        num_envs=64,
        batch_size=64,
        num_minibatches=8,
        unroll_length=16,
        num_updates_per_batch=8,
        normalize_observations=True,
        learning_rate=1e-3,
        entropy_cost=1e-3,
        discounting=gamma,  # the reward's: shaping with another discount would be another task
        network_factory=functools.partial(
            networks.make_ppo_networks, policy_hidden_layer_sizes=(64, 64), value_hidden_layer_sizes=(64, 64)
        ),
        seed=seed,
        progress_fn=show,
    )
    return seen


def main():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reward", required=True, help="file of `iqlearn reward export`")
    parser.add_argument("--env", default="inverted_pendulum")
    parser.add_argument("--backend", default="generalized")
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"on {jax.devices()[0].device_kind}, seed {options.seed}")
    env = brax.envs.get_environment(options.env, backend=options.backend)
    train(env, load_reward(options.reward), options.steps, options.seed)


if __name__ == "__main__":
    main()
