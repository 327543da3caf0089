"""References for the methods on finite processes, in NumPy loops; nothing here imports the library."""

import numpy as np


def random_process(seed, states=5, actions=3):
    """(transition [S, A, S], initial [S]), everything possible."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(states, 0.5), (states, actions)), rng.dirichlet(np.ones(states))


def softmax(q, tau=1.0):
    e = np.exp((q - q.max(axis=-1, keepdims=True)) / tau)
    return e / e.sum(axis=-1, keepdims=True)


def soft_q(transition, gamma, reward, tau, sweeps=150):
    """Soft value iteration, sweep by sweep."""
    q = np.zeros(transition.shape[:2])
    for _ in range(sweeps):
        top = q.max(axis=1)
        v = top + tau * np.log(np.exp((q - top[:, None]) / tau).sum(axis=1))
        q = reward + gamma * transition @ v
    return q


def greedy_policy(transition, gamma, reward, sweeps=150):
    """One-hot [S, A], by value iteration."""
    q = np.zeros(transition.shape[:2])
    for _ in range(sweeps):
        q = reward + gamma * transition @ q.max(axis=1)
    return np.eye(q.shape[1])[q.argmax(axis=1)]


def visits(transition, start, gamma, policy, horizon=150):
    """(1−γ) Σ_t γ^t P(s_t, a_t), step by step from any start measure. [S, A]"""
    actual, now = np.zeros_like(policy), np.array(start)
    for t in range(horizon):
        pairs = now[:, None] * policy
        actual += (1 - gamma) * gamma**t * pairs
        now = np.einsum("sa,sat->t", pairs, transition)
    return actual


def differences(function, table, step=1e-5):
    """Central finite differences of function(table) -> number, entry by entry."""
    slope = np.zeros_like(table)
    for index in np.ndindex(*table.shape):
        up, down = table.copy(), table.copy()
        up[index] += step
        down[index] -= step
        slope[index] = (function(up) - function(down)) / (2 * step)
    return slope


def averaged_q(rows, shape, reward, gamma, tau, steps):
    """Q-averaging over rows (s, a, s', ended): lists of successors; Q = r where there is none."""
    q = np.array(np.broadcast_to(reward, shape))
    for _ in range(steps):
        value = (softmax(q, tau) * q).sum(axis=1)
        new = np.array(np.broadcast_to(reward, shape))
        for pair in np.ndindex(*shape):
            after = [0.0 if end else value[t] for (s, a, t, end) in rows if (s, a) == pair]
            new[pair] += gamma * np.mean(after) if after else 0.0
        q = new
    return q


def project_by_lists(transition, initial, gamma, expert, first, steps, feature):
    """Abbeel & Ng's projection with lists: distances [steps], (policies' occupancies, weights)."""
    policies, weights, distances = [visits(transition, initial, gamma, first)], [1.0], []
    for _ in range(steps):
        mean = sum(w * x for w, x in zip(weights, policies, strict=True))
        w = feature(expert) - feature(mean)
        distances.append(np.sqrt((w**2).sum()))
        reward = np.broadcast_to(w, expert.shape)
        best = visits(transition, initial, gamma, greedy_policy(transition, gamma, reward))
        along = feature(best) - feature(mean)
        size = (along * w).sum() / (along**2).sum()
        assert -1e-9 < size < 1 + 1e-9
        weights = [x * (1 - size) for x in weights] + [size]
        policies.append(best)
    return np.array(distances), (policies, weights)
