"""Reward files of a run: recovered beside true reward, and the gridworld's maps."""

from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.data.demos import transitions
from iqlearn_jax.data.sampling import relative_demos
from iqlearn_jax.envs.gridworld import gridworld_reward, to_grid
from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.ops.iq.soft import log_policy, soft_value
from iqlearn_jax.ops.tabular.mdp import occupancy, soft_value_iteration
from iqlearn_jax.ops.tabular.solve import solve
from iqlearn_jax.rewards.recover import join_episodes, recover
from iqlearn_jax.training.evaluation import record
from iqlearn_jax.training.problem import Problem
from iqlearn_jax.types import Transition

EPISODES = 10  # of each source
STACKED_EPISODES = 2  # of each source where observations are stacks of frames: an Atari episode takes 100 MB


def reward_arrays(problem: Problem, state: Any, run: int = 0) -> dict[str, np.ndarray]:
    """Recovered and true reward per step over episodes of the expert, the final policy and a uniform one.

    Returns:
      the arrays of `rewards.npz` (docs/formats.md), for one run.
    """
    episodes_of_each = EPISODES if problem.spec.frame_stack == 1 else STACKED_EPISODES
    sources = {
        "expert": expert_episodes(problem, episodes_of_each),
        "policy": record(problem, state, run, episodes_of_each),
        "random": record(problem, state, run, episodes_of_each, play="uniform"),
    }
    return recovered_arrays(problem, state, run, sources)


def recovered_arrays(
    problem: Problem, state: Any, run: int, sources: dict[str, list[Transition]]
) -> dict[str, np.ndarray]:
    """The arrays of `rewards.npz` over given episodes, by the reward of one run's `state` [R]."""
    episodes = [episode for group in sources.values() for episode in group]
    names = [name for name, group in sources.items() for episode in group for _ in episode.reward]
    rows, number = join_episodes(episodes)
    hparams, run_state = problem.placement.one((problem.hparams, state), run)
    key = jax.random.key(int(problem.seeds[run]))
    recovered = recover(problem.method, hparams, run_state, rows, key)
    return {"recovered": recovered, "true": rows.reward, "episode": number, "source": np.array(names)}


def expert_episodes(problem: Problem, most: int) -> list[Transition]:
    """The first episodes of the demonstration file."""
    assert problem.demos is not None
    demos = relative_demos(problem.demos, problem.spec)
    rows = transitions(demos)
    spans = zip(demos.episode_starts[:most], demos.episode_lengths[:most], strict=True)
    return [jax.tree.map(itemgetter(slice(start, start + size)), rows) for start, size in spans]


def map_arrays(problem: Problem, state: Any, run: int = 0) -> dict[str, np.ndarray]:
    """Figure 4: rewards and values per state [H, W], recovered beside true and exact ones.

    A state's reward is the mean of r(s, ·) under the soft-optimal policy of that reward. `exact`, for method
    iq only, is the maximiser of J for the exact occupancy of the expert that is soft-optimal for the true
    reward at the run's temperature: what infinite data would give.
    """
    hparams, run_state = jax.tree.map(np.asarray, problem.placement.one((problem.hparams, state), run))
    temperature, gamma = float(run_state.temperature), float(hparams["gamma"])
    recovered = table_reward(problem, state, run)
    true = gridworld_reward(problem.spec.id)
    with jax.enable_x64(True):
        mdp = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), problem.spec.mdp)._replace(gamma=gamma)
        rewards: dict[str, Any] = {"recovered": recovered, "true": true}
        divergence = DIVERGENCES[problem.config.divergence]
        if problem.config.method == "iq" and divergence.optimal_reward is not None:
            q = soft_value_iteration(mdp, jnp.asarray(true, jnp.float64), temperature)
            density = occupancy(mdp, jnp.exp(log_policy(q, temperature)))
            exact = solve(mdp, density, divergence, float(hparams["alpha"]), temperature)
            rewards["exact"] = exact.reward
        maps = {
            name: state_maps(mdp, jnp.asarray(r, jnp.float64), temperature) for name, r in rewards.items()
        }
    grid = partial(to_grid, problem.spec.id)
    renamed = {"recovered_value": "value"}
    arrays = {f"{name}_{kind}": value for name, pair in maps.items() for kind, value in pair.items()}
    return {renamed.get(name, name): grid(np.asarray(value)) for name, value in arrays.items()}


def table_reward(problem: Problem, state: Any, run: int = 0) -> np.ndarray:
    """r(s, a) = Σ_s' P(s'|s,a) r(s, a, s') of a tabular environment, [S, A]."""
    transition = np.asarray(problem.spec.mdp.transition)
    s, a, following = (axis.ravel().astype(np.int32) for axis in np.indices(transition.shape))
    blank = np.zeros(s.size, np.float32)
    rows = Transition(
        obs=s, action=a, reward=blank, next_obs=following, terminated=blank > 0, truncated=blank > 0
    )
    hparams, run_state = problem.placement.one((problem.hparams, state), run)
    arrays = recover(problem.method, hparams, run_state, rows, jax.random.key(int(problem.seeds[run])))
    return np.einsum("sat,sat->sa", transition, arrays.reshape(transition.shape))


def state_maps(mdp, reward, temperature):
    """State reward Σ_a π(a|s) r(s, a) and soft value V(s) of the soft-optimal policy. Two arrays [S]"""
    q = soft_value_iteration(mdp, reward, temperature)
    policy = jnp.exp(log_policy(q, temperature))
    return {"reward": jnp.sum(policy * reward, axis=1), "value": soft_value(q, temperature)}
