"""IQ-Learn on CartPole from ten demonstrations: soft_dqn.py with the few lines changed that it takes."""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from iqlearn_jax.ops.iq import objectives, soft

GAMMA, TEMPERATURE, BATCH, NUM_ENVS, CAPACITY, LIMIT = 0.99, 0.5, 64, 4, 10_000, 500


class Step(NamedTuple):
    """One step of the environment: obs, next_obs [4]; action, reward, terminated []."""

    obs: jax.Array
    action: jax.Array
    reward: jax.Array
    next_obs: jax.Array
    terminated: jax.Array


def move(obs, action):
    """CartPole's equations of motion (Barto, Sutton and Anderson 1983), one Euler step of 0.02 s."""
    _, speed, angle, spin = obs
    push = jnp.where(action == 1, 10.0, -10.0) + 0.05 * spin**2 * jnp.sin(angle)
    turn = 9.8 * jnp.sin(angle) - jnp.cos(angle) * push / 1.1
    turn /= 0.5 * (4 / 3 - 0.1 * jnp.cos(angle) ** 2 / 1.1)
    pull = push / 1.1 - 0.05 * turn * jnp.cos(angle) / 1.1
    next_obs = obs + 0.02 * jnp.stack([speed, pull, spin, turn])
    terminated = (jnp.abs(next_obs[0]) > 2.4) | (jnp.abs(next_obs[2]) > 0.2095)
    return Step(obs, action, jnp.float32(1.0), next_obs, terminated)


def start(key):
    """A start state. [4]"""
    return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)


def controller(obs):
    """A hand-made policy that balances for the whole episode; the yardstick."""
    return (obs @ jnp.array([0.1, 0.3, 1.0, 0.5]) > 0).astype(jnp.int32)


def episode(policy, key):
    """One episode of 500 steps: steps stacked over time, and which of them precede the end."""

    def advance(carry, _):
        obs, alive = carry
        step = move(obs, policy(obs))
        return (step.next_obs, alive & ~step.terminated), (step, alive)

    return jax.lax.scan(advance, (start(key), jnp.array(True)), length=LIMIT)[1]


DEMOS = jax.vmap(lambda key: episode(controller, key)[0])(jax.random.split(jax.random.key(100), 10))
OPTIMIZER = optax.adam(1e-3)


def init_network(key, sizes=(4, 64, 64, 2)):
    """Weights and biases of a perceptron."""
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(keys, pairwise(sizes), strict=True)
    return [(jax.random.normal(k, (m, n)) / m**0.5, jnp.zeros(n)) for k, (m, n) in pairs]


def q_values(params, obs):
    """Action values. [..., 4] -> [..., 2]"""
    obs = obs * jnp.array([1.0, 1.0, 10.0, 1.0])  # bring position, speed, angle and spin to one scale
    for weight, bias in params[:-1]:
        obs = jax.nn.relu(obs @ weight + bias)
    return obs @ params[-1][0] + params[-1][1]


def soft_value(q):
    """τ log Σ exp(Q/τ). [..., 2] -> [...]"""
    return TEMPERATURE * jax.nn.logsumexp(q / TEMPERATURE, axis=-1)


def loss_fn(params, target, batch):
    """IQ-Learn's loss (eq. 10), χ² over both samples; no target, no environment reward."""
    q = jnp.take_along_axis(q_values(params, batch.obs), batch.action[:, None], axis=1)[:, 0]
    next_v = soft_value(q_values(params, batch.next_obs))
    discount = GAMMA * (1 - batch.terminated)
    reward, expert = soft.inverse_bellman(q, next_v, discount), jnp.arange(2 * BATCH) < BATCH
    v, mixture = soft_value(q_values(params, batch.obs)), objectives.half_and_half(expert)
    value = objectives.difference_value_term(v, next_v, discount, mixture)
    loss = objectives.iq_loss(lambda r: r, reward, value, expert)
    return loss + objectives.chi2_regularizer(reward, 0.5, mixture)


def iterate(carry, inputs):
    """One step in every environment, then one update."""
    params, target, opt_state, obs, age, replay = carry
    index, key = inputs
    act_key, start_key, sample_key, demo_key = jax.random.split(key, 4)
    action = jax.random.categorical(act_key, q_values(params, obs) / TEMPERATURE)
    step = jax.vmap(move)(obs, action)
    slots = (index * NUM_ENVS + jnp.arange(NUM_ENVS)) % CAPACITY
    replay = jax.tree.map(lambda store, new: store.at[slots].set(new), replay, step)
    ended = step.terminated | (age + 1 >= LIMIT)
    fresh = jax.vmap(start)(jax.random.split(start_key, NUM_ENVS))
    obs, age = jnp.where(ended[:, None], fresh, step.next_obs), jnp.where(ended, 0, age + 1)

    rows = jax.random.randint(sample_key, (BATCH,), 0, jnp.minimum((index + 1) * NUM_ENVS, CAPACITY))
    batch = jax.tree.map(lambda store: store[rows], replay)
    which, when = jax.random.randint(demo_key, (2, BATCH), 0, jnp.array([[10], [LIMIT]]))
    batch = jax.tree.map(lambda demo, own: jnp.concatenate([demo[which, when], own]), DEMOS, batch)
    gradient = jax.grad(loss_fn)(params, target, batch)
    updates, opt_state = OPTIMIZER.update(gradient, opt_state)
    params = optax.apply_updates(params, updates)
    target = optax.incremental_update(params, target, 0.01)
    return (params, target, opt_state, obs, age, replay), None


def train(key, num_steps=15_000):
    """Parameters after num_steps iterations."""
    net_key, start_key, run_key = jax.random.split(key, 3)
    params = init_network(net_key)
    obs = jax.vmap(start)(jax.random.split(start_key, NUM_ENVS))
    row = move(obs[0], jnp.int32(0))
    replay = jax.tree.map(lambda x: jnp.zeros((CAPACITY, *x.shape), x.dtype), row)
    carry = (params, params, OPTIMIZER.init(params), obs, jnp.zeros(NUM_ENVS, jnp.int32), replay)
    return jax.lax.scan(iterate, carry, (jnp.arange(num_steps), jax.random.split(run_key, num_steps)))[0][0]


def evaluate(policy, key, episodes=20):
    """Mean return of a policy, 500 at most."""
    alive = jax.vmap(lambda k: episode(policy, k)[1])(jax.random.split(key, episodes))
    return jnp.mean(jnp.sum(alive, axis=1))


def main(seed=0):
    """Train, and return the mean returns of the greedy policy and of the controller."""
    train_key, test_key = jax.random.split(jax.random.key(seed))
    params = jax.jit(train)(train_key)
    learned = float(evaluate(lambda obs: jnp.argmax(q_values(params, obs)), test_key))
    yardstick = float(evaluate(controller, jax.random.key(seed + 1)))
    print(f"learned {learned:.0f}, controller {yardstick:.0f}")
    return learned, yardstick


if __name__ == "__main__":
    main()
