"""Random finite processes on which every method can learn, with its data drawn from exact occupancies.

Rows come from chains that restart with probability 1−γ, so they are those of the discounted occupancy.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.config.values import base_config
from iqlearn_jax.data.sampling import identity_normalization
from iqlearn_jax.loops.loop import make_hparams
from iqlearn_jax.methods import Method, make_method
from iqlearn_jax.ops.tabular.mdp import MDP
from iqlearn_jax.types import Batch, EnvSpec, RoundTransition, Transition

STATES, ACTIONS, GAMMA, ALPHA, TEMPERATURE = 6, 3, 0.9, 1.0, 0.5
CHAINS, BURN_IN, KEPT, DRAWS = 128, 60, 128, 4096  # KEPT: steps of the replay; DRAWS: actions per state
ROLLOUT = 4  # steps of all chains in an update of an on-policy method
RATES = ("critic_lr", "actor_lr", "discriminator_lr")  # fall as 1/(1 + 10t/T)
METHODS: dict[str, dict[str, Any]] = {
    "iq": {},
    "iq, online": {"feed": "replay", "value_term": "mixture"},
    "bc": {},
    "regularized_bc": {},
    "value_dice": {"actor_lr": 0.02},
    "avril": {"temperature": 1.0},
    "sqil": {"feed": "replay"},
    "adril": {"feed": "replay", "round_updates": 100},
    "dac": {"feed": "replay", "discriminator_lr": 0.02},
    "gail": {"feed": "rollout", "temperature": 1e-3, "actor_lr": 0.003, "discriminator_lr": 0.05},
    "airl": {"feed": "rollout", "temperature": 1e-3, "actor_lr": 0.02, "discriminator_lr": 0.02},
    "asaf": {"feed": "rollout", "actor_lr": 0.02},
    "max_entropy_deep": {"feed": "replay", "discriminator_lr": 0.02},
    "max_entropy": {"inner_steps": 3, "value_term": "v0"},
    "max_margin": {},
    "lstd_mu": {},
    "max_likelihood": {"inner_steps": 40},
    "max_entropy_dynamics": {"inner_steps": 3},
}


class World(NamedTuple):
    """One random process: the model that is seen, the one that the expert walked in, the expert's policy."""

    seen: MDP
    true: MDP
    expert: jax.Array


def random_worlds(count: int, deterministic: bool, seed: int = 0) -> World:
    """`count` processes and soft experts; in deterministic ones each pair leads to one state."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.ones(STATES), (count, STATES, ACTIONS))
    if deterministic:
        chances = np.eye(STATES)[rng.integers(STATES, size=(count, STATES, ACTIONS))]
    starts = rng.dirichlet(np.ones(STATES), count)
    expert = rng.dirichlet(2 * np.ones(ACTIONS), (count, STATES))
    mdp = MDP(jnp.asarray(chances), jnp.asarray(starts), jnp.full(count, GAMMA))
    return World(mdp, mdp, jnp.asarray(expert))


def shuffled(worlds: World, seed: int = 1) -> World:
    """The same demonstrations' pairs, each with the successors of another pair."""
    order = np.random.default_rng(seed).permutation(STATES * ACTIONS)
    flat = worlds.true.transition.reshape(-1, STATES * ACTIONS, STATES)
    return worlds._replace(
        seen=worlds.true._replace(transition=flat[:, order].reshape(worlds.true.transition.shape))
    )


def configuration(name: str):
    """A method's configuration on these processes."""
    config = base_config()
    config.method = name.split(",")[0]
    config.gamma, config.alpha, config.temperature, config.critic_lr = GAMMA, ALPHA, TEMPERATURE, 0.05
    config.batch_size, config.chain_count = CHAINS, CHAINS
    config.online.num_envs, config.online.rollout_steps = CHAINS, ROLLOUT
    for key, value in METHODS[name].items():
        config[key] = value
    return config


def choose(table: jax.Array, key: jax.Array) -> jax.Array:
    """One entry of each row of probabilities [N, K]. [N] int32"""
    return jax.random.categorical(key, jnp.log(table)).astype(jnp.int32)


def walk(model: MDP, obs: jax.Array, action: jax.Array, seen: MDP, key: jax.Array):
    """(successors that are shown, where chains go on, which start anew): `model` moves, `seen` is shown."""
    step_key, show_key, end_key, start_key = jax.random.split(key, 4)
    shown = choose(seen.transition[obs, action], show_key)
    following = shown if model is seen else choose(model.transition[obs, action], step_key)
    start = choose(jnp.broadcast_to(model.initial, (obs.size, STATES)), start_key)
    anew = jax.random.bernoulli(end_key, 1 - GAMMA, obs.shape)
    return shown, jnp.where(anew, start, following), anew


def rows_of(obs, action, next_obs) -> Transition:
    """Transitions without rewards and without ends."""
    no = jnp.zeros(obs.shape, bool)
    return Transition(
        obs=obs, action=action, reward=jnp.zeros(obs.shape), next_obs=next_obs, terminated=no, truncated=no
    )


class Walkers(NamedTuple):
    """Where the chains of expert and learner are, [N] each, and what the learner did: [4, KEPT, N] integers,
    obs, action, successor and round."""

    expert: jax.Array
    own: jax.Array
    memory: jax.Array


def demonstrate(world: World, walkers: Walkers, key: jax.Array) -> tuple[Walkers, Transition]:
    """One step of the expert's chains."""
    act_key, walk_key = jax.random.split(key)
    action = choose(world.expert[walkers.expert], act_key)
    shown, following, _ = walk(world.true, walkers.expert, action, world.seen, walk_key)
    return walkers._replace(expert=following), rows_of(walkers.expert, action, shown)


def play(act: Callable, world: World, walkers: Walkers, number, when, key: jax.Array) -> Walkers:
    """One step of the learner's chains, remembered with its round `when`."""
    act_key, walk_key = jax.random.split(key)
    action = act(walkers.own, act_key)
    shown, following, _ = walk(world.seen, walkers.own, action, world.seen, walk_key)
    step = jnp.stack([walkers.own, action, shown, jnp.broadcast_to(when, shown.shape)])
    return walkers._replace(own=following, memory=walkers.memory.at[:, number % KEPT].set(step))


def perform(act: Callable, world: World, walkers: Walkers, key: jax.Array) -> tuple[Walkers, Transition]:
    """A rollout [ROLLOUT, CHAINS] of the learner; chains that start anew cut it, as a time limit would."""

    def step(own, key):
        act_key, walk_key = jax.random.split(key)
        action = act(own, act_key)
        shown, following, anew = walk(world.seen, own, action, world.seen, walk_key)
        return following, rows_of(own, action, shown).replace(truncated=anew)

    own, rows = jax.lax.scan(step, walkers.own, jax.random.split(key, ROLLOUT))
    return walkers._replace(own=own), rows


def remembered(walkers: Walkers, number, rounds: bool, key: jax.Array) -> Transition:
    """One row of each chain of the learner, from any of its steps that are kept."""
    ago = jax.random.randint(key, (CHAINS,), 0, jnp.clip(number + BURN_IN + 1, 1, KEPT))
    obs, action, after, when = walkers.memory[:, (number - ago) % KEPT, jnp.arange(CHAINS)]
    rows = rows_of(obs, action, after)
    return RoundTransition(**vars(rows), round=when) if rounds else rows


def few_rows(world: World, few: int, key: jax.Array) -> Transition:
    """So many rows of the expert, each from another chain."""
    keys = jax.random.split(key, BURN_IN)
    start = Walkers(*[jnp.zeros(few, jnp.int32)] * 3)
    _, rows = jax.lax.scan(lambda walkers, k: demonstrate(world, walkers, k), start, keys)
    return jax.tree.map(lambda x: x[-1], rows)


class Learner(NamedTuple):
    """A method in one world, with the expert's rows where there are only a few."""

    config: Any
    method: Method
    hparams: Any
    world: World
    bank: Transition | None


def learn(name: str, marks: tuple[int, ...], few: int, world: World, seed: jax.Array) -> jax.Array:
    """The learned policy [len(marks), S, A] after so many updates each; jit and vmap over worlds and seeds.

    Args:
      few: rows of the expert that there are; 0: new ones at each update.
    """
    config = configuration(name)
    spec = EnvSpec("random", (), np.dtype(np.int32), ACTIONS, None, None, 1000, mdp=world.seen)
    method = make_method(config, spec)
    hparams = jax.tree.map(lambda x: jnp.asarray(x)[0], make_hparams(config, identity_normalization(1, ())))
    init_key, bank_key, walk_key, eval_key = jax.random.split(jax.random.key(seed), 4)
    learner = Learner(config, method, hparams, world, few_rows(world, few, bank_key) if few else None)
    start = jnp.zeros(CHAINS, jnp.int32)
    walkers = Walkers(start, start, jnp.zeros((4, KEPT, CHAINS), jnp.int32))
    carry, policies = (method.init(init_key, hparams), walkers), []
    step = partial(learning_step, learner, marks[-1], walk_key)
    for before, mark in zip((-BURN_IN, *marks), marks, strict=False):
        carry, _ = jax.lax.scan(step, carry, jnp.arange(before, mark))
        policies.append(estimated_policy(method, hparams, carry[0], jax.random.fold_in(eval_key, mark)))
    return jnp.stack(policies)


def learning_step(learner: Learner, last: int, key: jax.Array, carry: tuple, number: jax.Array):
    """All chains once, then one update with rates that fall until update `last`; none before update 0."""
    config, method, hparams, world, _ = learner
    state, walkers = carry
    keys = jax.random.split(jax.random.fold_in(key, number), 3)
    act = partial(method.act, hparams, state, deterministic=False)
    when = jnp.maximum(number, 0) // config.round_updates
    if config.feed == "rollout":
        walkers, rollout = perform(act, world, walkers, keys[0])
        walkers, batch = rollout_batch(learner, walkers, rollout, keys[1])
    else:
        walkers = play(act, world, walkers, number, when, keys[0])
        walkers, batch = batch_of(learner, walkers, number, keys[1])
    falling = {rate: hparams[rate] / (1 + 10 * jnp.maximum(number, 0) / last) for rate in RATES}
    new, _ = method.update(hparams | falling, state, batch, keys[2])
    return (jax.tree.map(lambda a, b: jnp.where(number >= 0, a, b), new, state), walkers), None


def batch_of(learner: Learner, walkers: Walkers, number: jax.Array, key: jax.Array) -> tuple[Walkers, Batch]:
    """What one update learns from."""
    config, method, _, world, bank = learner
    keys = jax.random.split(key, 5)
    walkers, expert = demonstrate(world, walkers, keys[0])
    if bank is not None:
        pick = jax.random.randint(keys[1], (CHAINS,), 0, bank.reward.shape[0])
        expert = jax.tree.map(lambda x: x[pick], bank)
    online = config.feed == "replay"
    return walkers, Batch(
        expert=expert,
        policy=remembered(walkers, number, method.round_updates > 0, keys[2]) if online else None,
        next_action=choose(world.expert[expert.next_obs], keys[3]),
        initial=choose(jnp.broadcast_to(world.seen.initial, (CHAINS, STATES)), keys[4]),
    )


def rollout_batch(learner: Learner, walkers: Walkers, rollout: Transition, key: jax.Array):
    """The rollout beside as many rows of the expert, in windows of one where the method asks for windows."""
    drawn = []
    for step_key in jax.random.split(key, ROLLOUT):
        walkers, batch = batch_of(learner, walkers, jnp.int32(0), step_key)
        drawn.append(batch.replace(policy=None))
    batch = jax.tree.map(lambda *x: jnp.concatenate(x), *drawn)
    expert = jax.tree.map(lambda x: x[:, None], batch.expert) if learner.method.window else batch.expert
    return walkers, batch.replace(policy=rollout, expert=expert)


def estimated_policy(method, hparams, state, key) -> jax.Array:
    """Frequencies [S, A] of `DRAWS` actions in each state."""
    obs = jnp.repeat(jnp.arange(STATES, dtype=jnp.int32), DRAWS)
    action = method.act(hparams, state, obs, key, False)
    return jax.nn.one_hot(action, ACTIONS).reshape(STATES, DRAWS, ACTIONS).mean(axis=1)
