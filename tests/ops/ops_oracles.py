"""Independent references in NumPy and SciPy; nothing here imports the library."""

import numpy as np
from scipy.optimize import linprog, minimize_scalar
from scipy.special import xlogy

# Generators f(t) at α = 1 and derivatives φ'(x), both typed in from the paper's table.
GENERATORS = {
    "forward_kl": lambda t: -np.log(t),
    "reverse_kl": lambda t: xlogy(t, t),
    "reverse_kl_unbiased": lambda t: xlogy(t, t) - t + 1,
    "hellinger": lambda t: (np.sqrt(t) - 1) ** 2,
    "js": lambda t: xlogy(t, t) - (1 + t) * np.log((1 + t) / 2),
    "chi2": lambda t: (t - 1) ** 2,
    "chi2_monotone": lambda t: (t - 1) ** 2,
    "tv": lambda t: np.abs(t - 1),
}
SLOPES = {
    "forward_kl": lambda x: 1 / x,
    "reverse_kl": lambda x: np.exp(-x - 1),
    "reverse_kl_unbiased": lambda x: np.exp(-x),
    "hellinger": lambda x: (1 + x) ** -2.0,
    "js": lambda x: np.exp(-x) / (2 - np.exp(-x)),
    "chi2": lambda x: 1 - x / 2,
    "chi2_monotone": lambda x: np.maximum(1 - x / 2, 0),
    "tv": lambda x: np.where(x > 1, 0.0, 1.0),
    "w1": lambda x: np.ones_like(x),
}
LOWER = {"forward_kl": 0.0, "hellinger": -1.0, "js": -np.log(2), "tv": -1.0}


def conjugate(name, x, alpha):
    """inf over t ≥ 0 of t x + α f(t), numerically; over all real t for χ² as printed."""
    f = GENERATORS[name]
    if name == "chi2":
        return minimize_scalar(lambda t: t * x + alpha * f(t), bounds=(-1e3, 1e3), method="bounded",
                               options={"xatol": 1e-9}).fun  # fmt: skip
    # A grid in log t brackets the minimiser, a bounded search polishes it; kinks and ends are tried apart.
    value = lambda log_t: np.exp(log_t) * x + alpha * f(np.exp(log_t))  # noqa: E731
    grid = np.linspace(-60, 20, 4001)
    best = grid[np.argmin(value(grid))]
    fine = minimize_scalar(value, bounds=(best - 0.05, best + 0.05), method="bounded",
                           options={"xatol": 1e-12})  # fmt: skip
    return min(fine.fun, value(0.0), value(-60.0))


def random_mdps(count, states, actions, seed=0, deterministic=False):
    """Dict of NumPy arrays with a leading axis: P, rho0, gamma, expert (policy), alpha, tau."""
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.ones(states), (count, states, actions))
    if deterministic:
        transition = np.eye(states)[rng.integers(states, size=(count, states, actions))]
    return {
        "P": transition,
        "rho0": rng.dirichlet(np.ones(states), count),
        "gamma": rng.uniform(0.5, 0.95, count),
        "expert": rng.dirichlet(2 * np.ones(actions), (count, states)),
        "alpha": rng.choice([0.5, 1.0, 2.0], count),
        "tau": rng.uniform(0.1, 1.0, count),
    }


def softmax(q, tau):
    z = np.exp((q - q.max(-1, keepdims=True)) / tau)
    return z / z.sum(-1, keepdims=True)


def soft_q(transition, gamma, reward, tau, sweeps=2000):
    """Plain value iteration on one process, as slow as it is simple."""
    q = np.zeros_like(reward)
    for _ in range(sweeps):
        top = q.max(-1)
        q = reward + gamma * transition @ (top + tau * np.log(np.exp((q - top[:, None]) / tau).sum(-1)))
    return q


def occupancy(transition, rho0, gamma, policy, horizon=2000):
    """(1−γ) Σ_t γ^t P(s_t, a_t) by stepping the state distribution."""
    total, now, weight = np.zeros_like(rho0), rho0, 1 - gamma
    for _ in range(horizon):
        total, now, weight = (
            total + weight * now,
            np.einsum("s,sa,sat->t", now, policy, transition),
            gamma * weight,
        )
    return total[:, None] * policy


def lipschitz_reward(difference, distance, bound):
    """argmax of difference·r under |r_i − r_j| ≤ bound·distance_ij with r_0 = 0, a linear programme."""
    n = len(difference)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    rows = np.zeros((len(pairs), n))
    for row, (i, j) in zip(rows, pairs, strict=True):
        row[i], row[j] = 1, -1
    limits = [bound * distance[i, j] for i, j in pairs]
    free = [(0, 0)] + [(None, None)] * (n - 1)
    return linprog(-difference, A_ub=rows, b_ub=limits, bounds=free, method="highs").x


def transport_cost(source, sink, distance):
    """Wasserstein-1 as the cheapest transport plan, the primal linear programme."""
    n = len(source)
    leaving = np.kron(np.eye(n), np.ones(n))
    arriving = np.kron(np.ones(n), np.eye(n))
    sums, masses = np.vstack([leaving, arriving[:-1]]), np.concatenate([source, sink[:-1]])
    return linprog(distance.ravel(), A_eq=sums, b_eq=masses, bounds=(0, None), method="highs").fun
