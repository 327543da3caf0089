"""Helpers of several test folders: tiny environments with known answers, their experts and demonstrations."""

import functools
import json
import tempfile
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.config.values import as_plain, assign, base_config, traced_keys
from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.save import save
from iqlearn_jax.envs.api import Environment, Step
from iqlearn_jax.envs.registry import ENVIRONMENTS, open_by_name, register_env
from iqlearn_jax.methods import FORWARD_RL, make_method
from iqlearn_jax.ops.tabular.mdp import MDP
from iqlearn_jax.types import EnvSpec, Transition

ROOT = Path(__file__).resolve().parents[1]
LOW, HIGH = np.float32([-2.0, 0.5]), np.float32([1.0, 3.5])  # a box that is neither ±1 nor centred at 0


def configure(**changes):
    """The base configuration with changes; dots are written as two underscores (`online__num_envs=2`)."""
    config = base_config()
    for key, value in changes.items():
        assign(config, key.replace("__", "."), value)
    return config


def compiled(config, spec, *parts, **named):
    """As `make_method`, but all functions that learn are jitted: op by op they take several times as long."""
    method = make_method(config, spec, *parts, **named)
    names = ("init", "update", "reward", "value", "end_reward")
    functions = {name: jax.jit(fn) for name in names if (fn := getattr(method, name)) is not None}
    return method._replace(**functions)


def hyper(config, spec, dtype=jnp.float32):
    """Traced leaves of ONE run, observations unscaled."""
    shape = spec.obs_shape
    leaves = {name: jnp.asarray(config[name], dtype) for name in traced_keys()}
    return leaves | {"obs_mean": jnp.zeros(shape), "obs_std": jnp.ones(shape)}


def spec_of(obs_shape=(3,), num_actions=None, low=LOW, high=HIGH, obs_dtype=np.float32, mdp=None, limit=10):
    discrete = num_actions is not None
    return EnvSpec(
        id="made-up",
        obs_shape=obs_shape,
        obs_dtype=np.dtype(obs_dtype),
        num_actions=num_actions,
        action_low=None if discrete else low,
        action_high=None if discrete else high,
        max_episode_steps=limit,
        mdp=mdp,
    )


def random_rows(spec, size, seed=0, ends=0.2):
    """Unrelated random transitions [size]; some end, some are cut."""
    rng = np.random.default_rng(seed)
    end = rng.random(size)
    if spec.obs_shape == ():
        obs, following = rng.integers(0, len(spec.mdp.initial), (2, size)).astype(np.int32)
    else:
        obs, following = rng.normal(size=(2, size, *spec.obs_shape)).astype(np.float32)
    if spec.discrete:
        action = rng.integers(0, spec.num_actions, size).astype(np.int32)
    else:
        action = rng.uniform(spec.action_low, spec.action_high, (size, spec.action_low.size))
        action = action.astype(np.float32)
    return Transition(
        obs=obs,
        action=action,
        reward=rng.normal(size=size).astype(np.float32),
        next_obs=following,
        terminated=end < ends,
        truncated=(end > 1 - ends),
    )


# Environments ---------------------------------------------------------------------------------------------


def bandit(limit=6) -> Environment:
    """Continuous: fresh observations in [-1, 1]² at each step, reward −|a − target(s)|²."""

    def reset(key):
        obs = jax.random.uniform(key, (2,), jnp.float32, -1.0, 1.0)
        return obs, obs

    def step(state, action, key):
        _, following = reset(key)
        reward = -jnp.sum(jnp.square(action - bandit_action(state)))
        return Step(following, following, reward, jnp.bool_(False))

    return Environment(spec_of(obs_shape=(2,), limit=limit), reset, step)


def bandit_action(obs):
    """The best action, linear in the observation and inside the box."""
    weights = np.float32([[0.6, 0.0], [-0.3, 0.8]])
    return obs @ weights + np.float32([-0.4, 1.9])


def walk(limit=9) -> Environment:
    """Discrete: a point on a line, obs (x, v), is pushed left, not at all or right; |x| > 1 ends, with
    reward 1 on the right. It stands in for CartPole and compiles faster."""

    def reset(key):
        obs = jax.random.uniform(key, (2,), jnp.float32, -0.3, 0.3)
        return obs, obs

    def step(state, action, key):
        speed = state[1] + 0.2 * (action - 1.0) + 0.02 * jax.random.normal(key)
        following = jnp.stack([state[0] + speed, speed])
        ended = jnp.abs(following[0]) > 1.0
        return Step(following, following, jnp.where(following[0] > 1.0, 1.0, 0.0), ended)

    return Environment(spec_of(obs_shape=(2,), num_actions=3, limit=limit), reset, step)


def picture(limit=5) -> Environment:
    """Images: the brighter half (left, right) of a 6 x 6 uint8 picture is the rewarded action."""

    def reset(key):
        side_key, noise_key = jax.random.split(key)
        side = jax.random.bernoulli(side_key).astype(jnp.int32)
        bright = (jnp.arange(6) >= 3) == (side == 1)
        noise = jax.random.randint(noise_key, (6, 6), 0, 60)
        obs = (noise + 180 * bright[None, :])[..., None].astype(jnp.uint8)
        return (side, obs), obs

    def step(state, action, key):
        following = reset(key)
        reward = (action == state[0]).astype(jnp.float32)
        return Step(following[0], following[1], reward, jnp.bool_(False))

    return Environment(
        spec_of(obs_shape=(6, 6, 1), num_actions=2, obs_dtype=np.uint8, limit=limit), reset, step
    )


def picture_action(obs):
    return (obs[..., 3:, 0].mean(axis=(-2, -1)) > obs[..., :3, 0].mean(axis=(-2, -1))).astype(np.int32)


def tabular(mdp: MDP, reward, terminal=None, limit=20) -> Environment:
    """An environment of a finite process; entering a state where `terminal` [S] is true ends the task."""
    ends = np.zeros(len(mdp.initial), bool) if terminal is None else terminal
    with np.errstate(divide="ignore"):
        logits, first = np.log(np.asarray(mdp.transition)), np.log(np.asarray(mdp.initial))

    def reset(key):
        state = jax.random.categorical(key, jnp.asarray(first, jnp.float32)).astype(jnp.int32)
        return state, state

    def step(state, action, key):
        row = jnp.asarray(logits, jnp.float32)[state, action]
        following = jax.random.categorical(key, row).astype(jnp.int32)
        gain = jnp.asarray(reward, jnp.float32)[state, action]
        return Step(following, following, gain, jnp.asarray(ends)[following])

    actions = np.shape(reward)[1]
    return Environment(table_spec(mdp, actions, limit), reset, step)


def table_spec(mdp, actions, limit=20):
    return spec_of(obs_shape=(), num_actions=actions, obs_dtype=np.int32, mdp=mdp, limit=limit)


def deterministic_mdp(states, actions, seed, gamma=0.8) -> MDP:
    """A random process in which every (s, a) has one successor; starts are uniform."""
    rng = np.random.default_rng(seed)
    transition = np.eye(states)[rng.integers(0, states, (states, actions))]
    return MDP(transition, np.full(states, 1 / states), gamma)


def rooms() -> Environment:
    """Tabular: four states with noise in the dynamics."""
    mdp = deterministic_mdp(4, 3, 1)
    reward = np.random.default_rng(0).normal(size=(4, 3))
    return tabular(mdp._replace(transition=0.7 * mdp.transition + 0.3 / 4), reward, limit=9)


# Demonstrations -------------------------------------------------------------------------------------------


def play_expert(env: Environment, expert, episodes=4, seed=0) -> Demos:
    """Whole episodes of `expert(obs) -> action` (NumPy in, NumPy out), recorded step by step."""
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    rows = []

    def play(key):
        state, obs = reset(jax.random.fold_in(key, 0))
        for number in range(1, env.spec.max_episode_steps + 1):
            action = expert(np.asarray(obs))
            after = step(state, action, jax.random.fold_in(key, number))
            ended = bool(after.terminated)
            cut = number == env.spec.max_episode_steps and not ended
            rows.append((obs, action, after.reward, after.obs, ended, cut))
            state, obs = after.state, after.obs
            if ended:
                return

    for episode in range(episodes):
        play(jax.random.key(1000 * seed + episode))
    names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
    columns = [np.stack([np.asarray(value) for value in column]) for column in zip(*rows, strict=True)]
    stacked = dict(zip(names, columns, strict=True))
    return Demos(
        observations=stacked["obs"],
        actions=stacked["action"].astype(np.int32 if env.spec.discrete else np.float32),
        rewards=stacked["reward"].astype(np.float32),
        next_observations=stacked["next_obs"],
        terminals=stacked["terminated"],
        truncations=stacked["truncated"],
        metadata={"env": env.spec.id, "policy": "made up"},
    )


@functools.cache
def demos_of(name: str) -> Demos:
    """Demonstrations for one of the environments above."""
    experts = {
        "bandit": (bandit(), bandit_action),
        "walk": (walk(), lambda obs: np.int32(2)),
        "picture": (picture(), picture_action),
        "rooms": (rooms(), lambda obs: np.int32(obs % 3)),
    }
    return play_expert(*experts[name], episodes=6)


def cartpole_demos(path: Path, episodes=3, steps=60) -> Path:
    """A short CartPole-v1 demonstration file by a hand-written balancing rule; written once per path."""
    if not path.exists():
        save(path, _cartpole(episodes, steps))
    return path


@functools.cache
def _cartpole(episodes, steps) -> Demos:
    env = open_by_name("CartPole-v1", "gymnax").device
    env = env._replace(spec=env.spec._replace(max_episode_steps=steps))
    rule = lambda obs: np.int32(obs[2] + 0.5 * obs[3] + 0.05 * obs[1] > 0)  # noqa: E731
    return play_expert(env, rule, episodes=episodes)


# Problems and loops on them -------------------------------------------------------------------------------

MADE_UP = {"walk": walk, "bandit": bandit, "picture": picture, "rooms": rooms}


@functools.cache
def demos_path(name: str) -> str:
    """A file with `demos_of(name)`, in a temporary folder of this process."""
    path = Path(tempfile.mkdtemp(prefix="iqlearn-tests-")) / f"{name}.npz"
    save(path, demos_of(name))
    return str(path)


@contextmanager
def made_up_environments():
    """Lets configurations name the environments above."""
    before = dict(ENVIRONMENTS)
    for name, make in MADE_UP.items():
        register_env(name, make)
    try:
        yield
    finally:
        ENVIRONMENTS.clear()
        ENVIRONMENTS.update(before)


def made_once(make, key):
    """`make`, called once for all arguments with the same `key(*arguments)`: compiling takes the time."""
    made = {}

    def given(*arguments):
        name = key(*arguments)
        if name not in made:
            made[name] = make(*arguments)
        return made[name]

    return given


def all_keys_but(config, *beginnings):
    """A configuration as text, without the keys that begin so."""
    plain = as_plain(config)
    return json.dumps({name: value for name, value in plain.items() if not name.startswith(beginnings)})


def made_up_config(method, feed, env_name, **changes):
    """A tiny run: 3 seeds, 8 updates in chunks of 4, a replay of 64."""
    small = {
        "method": method, "feed": feed, "env__id": env_name, "seeds": 3, "hidden": (8,), "batch_size": 8,
        "log_every": 4, "eval_every": 4, "checkpoint_every": 4, "updates": 8, "temperature": 0.1,
        "demos__trajectories": 2, "demos__subsample": 2, "online__num_envs": 2,
        "online__learning_starts": 10, "online__capacity": 64,
    }  # fmt: skip
    path = {} if method in FORWARD_RL else {"demos__path": demos_path(env_name)}
    return configure(**small | path | changes)


def slope(function, x):
    """Central differences by every entry of x."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-6
        gradient[index] = (function(x + step) - function(x - step)) / 2e-6
    return gradient
