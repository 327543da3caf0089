"""Tabular gridworlds with an exact model, as in the IQ-Learn paper's Figure 4: rewards and values as maps.

"Gridworld-HxW" (e.g. "Gridworld-8x8") is one open room with the goal in its upper right corner. "FourRooms"
is Sutton, Precup and Singh's 11 x 11 rooms (1999) with the goal in the upper right room. States are the free
cells, numbered row by row. The five actions are stay, up, down, left and right; with probability `SLIP` a
uniformly random one is taken instead, and who runs into a wall stays. The reward is 1 in the goal cell,
whatever the action, and the task goes on: it never terminates and is cut after 50 steps. Starts are uniform.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax import errors
from iqlearn_jax.envs.api import Environment, Step, advance, start
from iqlearn_jax.ops.iq.soft import log_policy
from iqlearn_jax.ops.tabular.mdp import MDP, soft_value_iteration
from iqlearn_jax.types import EnvSpec, Transition

SLIP = 0.1
GAMMA = 0.95
MAX_EPISODE_STEPS = 50
ACTIONS = ("stay", "up", "down", "left", "right")

_MOVES = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)])  # (row, column)
_FOUR_ROOMS = (
    ".....#....G",
    ".....#.....",
    "...........",
    ".....#.....",
    ".....#.....",
    "#.####.....",
    ".....###.##",
    ".....#.....",
    ".....#.....",
    "...........",
    ".....#.....",
)
_MAX_CELLS = 1600  # the model is dense, [S, 5, S] in float64
_OPEN_ROOM = re.compile(r"Gridworld-(\d+)x(\d+)")
EXAMPLES = ("FourRooms", "Gridworld-5x5", "Gridworld-8x8")


def is_gridworld(env_id: str) -> bool:
    """Whether a name is one of this module's."""
    return env_id == "FourRooms" or _OPEN_ROOM.fullmatch(env_id) is not None


def make_gridworld(env_id: str) -> Environment:
    """Makes a gridworld; `spec.mdp` is its exact model, in NumPy float64 (float32 in JAX unless x64 is on).

    Raises:
      InputError: `env_id` is neither "FourRooms" nor "Gridworld-HxW" with 2 to 1600 cells.
    """
    mdp = _model(_layout(env_id))
    with np.errstate(divide="ignore"):
        logits, initial = np.log(mdp.transition), np.log(mdp.initial)
    reward = gridworld_reward(env_id)
    spec = EnvSpec(
        id=env_id,
        obs_shape=(),
        obs_dtype=np.dtype(np.int32),
        num_actions=len(ACTIONS),
        action_low=None,
        action_high=None,
        max_episode_steps=MAX_EPISODE_STEPS,
        mdp=mdp,
    )

    def reset(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        state = jax.random.categorical(key, jnp.asarray(initial, jnp.float32)).astype(jnp.int32)
        return state, state

    def step(state: jax.Array, action: jax.Array, key: jax.Array) -> Step:
        row = jnp.asarray(logits, jnp.float32)[state, action]
        successor = jax.random.categorical(key, row).astype(jnp.int32)
        return Step(successor, successor, jnp.asarray(reward)[state, action], jnp.bool_(False))

    return Environment(spec, reset, step)


def gridworld_reward(env_id: str) -> np.ndarray:
    """True reward, [S, A] float32: 1 in the goal cell, 0 elsewhere. Raises InputError as `make_gridworld`."""
    layout = _layout(env_id)
    return np.repeat((layout[layout != "#"] == "G")[:, None], len(ACTIONS), axis=1).astype(np.float32)


def to_grid(env_id: str, values: np.ndarray) -> np.ndarray:
    """Values per state as a map, NaN in walls.

    Args:
      env_id: name of the gridworld.
      values: [S] one value per state.
    Returns:
      [H, W] float.
    Raises:
      InputError: unknown name, or not one value per state.
    """
    layout = _layout(env_id)
    free = layout != "#"
    if np.shape(values) != (free.sum(),):
        raise errors.InputError(f"values: found shape {np.shape(values)}; '{env_id}' expects ({free.sum()},)")
    grid = np.full(layout.shape, np.nan)
    grid[free] = values
    return grid


def soft_optimal_demos(
    env: Environment, temperature: float, num_demos: int, seed: int
) -> dict[str, np.ndarray]:
    """Whole episodes of the soft-optimal expert for the true reward, in the layout of demonstration files.

    Args:
      env: from `make_gridworld`.
      temperature: entropy weight τ > 0, in reward units per nat; small ones make the expert greedy.
      num_demos: number of episodes, each `max_episode_steps` long.
      seed: of the starts, slips and actions.
    Returns:
      observations, actions, next_observations [N] int32, rewards [N] float32, terminals, truncations [N]
      bool; N = num_demos * max_episode_steps.
    """
    log_expert = _log_expert(env.spec.mdp, gridworld_reward(env.spec.id), temperature)
    episodes = jax.jit(jax.vmap(functools.partial(_episode, env, log_expert)))(
        jax.random.split(jax.random.key(seed), num_demos)
    )
    flat = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), episodes)
    return {
        "observations": flat.obs,
        "actions": flat.action,
        "rewards": flat.reward,
        "next_observations": flat.next_obs,
        "terminals": flat.terminated,
        "truncations": flat.truncated,
    }


@jax.jit
def _log_expert(mdp: MDP, reward: jax.Array, temperature: jax.Array) -> jax.Array:
    return log_policy(soft_value_iteration(mdp, reward, temperature), temperature)


def _episode(env: Environment, logp: jax.Array, key: jax.Array) -> Transition:
    """One episode under the policy with log-probabilities [S, A]; leaves [max_episode_steps]."""
    start_key, run_key = jax.random.split(key)

    def step(state, time):
        act_key, step_key = jax.random.split(jax.random.fold_in(run_key, time))
        action = jax.random.categorical(act_key, logp[state.obs]).astype(jnp.int32)
        return advance(env, state, action, step_key)

    return jax.lax.scan(step, start(env, start_key), jnp.arange(env.spec.max_episode_steps))[1]


def _layout(env_id: str) -> np.ndarray:
    """[H, W] characters: "#" wall, "G" goal, "." free."""
    if env_id == "FourRooms":
        return np.array([list(row) for row in _FOUR_ROOMS])
    size = _OPEN_ROOM.fullmatch(env_id)
    height, width = (int(side) for side in size.groups()) if size else (0, 0)
    if not 2 <= height * width <= _MAX_CELLS:
        raise errors.unknown("gridworld", env_id, EXAMPLES)
    layout = np.full((height, width), ".")
    layout[0, -1] = "G"
    return layout


def _model(layout: np.ndarray) -> MDP:
    free = layout != "#"
    count = int(free.sum())
    number = np.full(layout.shape, -1)
    number[free] = np.arange(count)
    cells = np.argwhere(free)
    targets = cells[:, None, :] + _MOVES  # [S, A, 2]
    inside = np.clip(targets, 0, np.array(layout.shape) - 1)
    reached = number[inside[..., 0], inside[..., 1]]
    blocked = (inside != targets).any(-1) | (reached < 0)
    successors = np.where(blocked, np.arange(count)[:, None], reached)
    moves = np.eye(count)[successors]  # [S, A, S]
    transition = (1 - SLIP) * moves + SLIP * moves.mean(axis=1, keepdims=True)
    return MDP(transition, np.full(count, 1 / count), GAMMA)
