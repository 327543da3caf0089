"""−J of IQ-Learn on a table, in NumPy float64, from the paper and from LS-IQ; imports no library code.

Gradients are central differences of the loss, so nothing is derived twice.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import logsumexp, softmax

UNIT = {  # φ(x) at α = 1, from the table of the paper
    "forward_kl": lambda x: 1 + np.log(x),
    "reverse_kl": lambda x: -np.exp(-x - 1),
    "reverse_kl_unbiased": lambda x: 1 - np.exp(-x),
    "hellinger": lambda x: x / (1 + x),
    "js": lambda x: np.log(2 - np.exp(-x)),
    "chi2": lambda x: x - x**2 / 4,
    "chi2_monotone": lambda x: np.where(x > 2, 1.0, x - x**2 / 4),
    "tv": lambda x: np.minimum(x, 1.0),
    "w1": lambda x: x,
}
KNOT = {  # x at which φ has the slope s, below which it goes on as a straight line
    "forward_kl": lambda s: 1 / s,
    "hellinger": lambda s: s**-0.5 - 1,
    "js": lambda s: -np.log(2 * s / (1 + s)),
    "reverse_kl": lambda s: -np.log(s) - 1,
    "reverse_kl_unbiased": lambda s: -np.log(s),
    "tv": lambda s: -1.0,
}
INSIDE = {"forward_kl": 1.0, "reverse_kl": 0.0}  # a reward well inside each domain; 0.3 elsewhere


def phi(name, r, alpha, steepest=100.0):
    x = np.asarray(r) / alpha
    value = UNIT[name]
    if name not in KNOT:
        return alpha * value(x)
    inside = np.maximum(x, KNOT[name](steepest))
    slope = 10.0 if name == "tv" else steepest
    return alpha * (value(inside) + slope * np.minimum(x - inside, 0.0))


@dataclass
class Setting:
    """What the loss depends on besides the tables."""

    divergence: str = "chi2"
    alpha: float = 0.5
    phi_slope: float = 100.0
    gamma: float = 0.8
    temperature: float = 0.3
    value_term: str = "expert"
    regularize: str = "expert"
    terminal: str = "zero"
    absorbing_entropy: bool = False
    clip_targets: bool = False
    state_only: bool = False
    target_network: bool = False
    feed: str = "demos"


def loss(setting, table, theta, target, target_theta, policy, expert, initial):
    """−J plus the penalties; the value term "policy" is E[r] over the policy's samples.

    Args:
      table: [E, S, A] critics; theta: reward of the absorbing state; target, target_theta: the target's.
      policy, expert: (s, a, s', terminated) arrays; policy may be None. initial: [B] start states.
    """
    c, gamma, tau = setting, setting.gamma, setting.temperature
    boot, boot_theta = (target, target_theta) if c.target_network else (table, theta)
    soft = lambda q: tau * logsumexp(q.min(axis=0) / tau, axis=-1)  # noqa: E731
    v, following = soft(table), soft(boot)
    actions = table.shape[2]
    h = tau * math.log(actions) if c.absorbing_entropy else 0.0
    lower, upper = bounds(c)
    high, low = (upper + tau * math.log(actions)) / (1 - gamma), lower / (1 - gamma)

    def part(rows, is_expert):
        s, a, after, end = rows
        q = table[:, s, a]
        if c.state_only and is_expert:
            pi = softmax(table.min(axis=0) / tau, axis=-1)
            q = (pi[s] * table[:, s]).sum(axis=-1)
        nxt = following[after]
        if c.clip_targets:
            nxt = np.clip(nxt, low, high)
        if c.terminal == "zero":
            nxt = np.where(end, 0.0, nxt)
        elif c.terminal == "absorbing":
            nxt = np.where(end, (boot_theta + h) / (1 - gamma), nxt)
        else:
            nxt = np.where(end, (upper if is_expert else lower) / (1 - gamma), nxt)
        weight = end * gamma / (1 - gamma) if c.terminal == "absorbing" else np.zeros(len(s))
        loop_value = (theta + h) / (1 - gamma)
        drop = loop_value - gamma * (boot_theta + h) / (1 - gamma)  # V − γV' at the self-loop
        return q - gamma * nxt, v[s] - gamma * nxt, weight, drop - h, drop

    parts = {"expert": part(expert, True)}
    if policy is not None:
        parts["policy"] = part(policy, False)

    def mean(name, fn):  # mean over rows of what the row itself and its share of the self-loop bring
        reward, drop, weight, end_reward, end_drop = parts[name]
        return np.mean(fn(reward, drop) + weight * fn(end_reward, end_drop), axis=-1)

    def mixture(fn):
        return np.mean([mean(name, fn) for name in parts], axis=0)

    if c.value_term in ("v0", "v0_all"):
        value = (1 - gamma) * v[initial if c.value_term == "v0" else expert[0]].mean()
    else:
        single = partial(mean, "policy" if c.value_term == "policy" else "expert")
        over = mixture if c.value_term == "mixture" else single
        value = over(lambda r, drop: r if c.value_term == "policy" else drop).mean()
    linear = c.regularize == "both" and c.divergence == "chi2"  # its square is the one below
    total = (
        value
        - mean("expert", lambda r, drop: r if linear else phi(c.divergence, r, c.alpha, c.phi_slope)).mean()
    )
    if c.regularize == "both":
        total += mixture(lambda r, drop: r**2).mean() / (4 * c.alpha)
    if c.divergence == "tv":  # weight 10 on the distance from the box, over all rows
        rewards = np.concatenate([p[0] for p in parts.values()], axis=-1)
        total += 10.0 * np.mean(np.maximum(np.abs(rewards) - c.alpha, 0.0))
    return total


def bounds(c):
    """Range of the reward at the optimum."""
    if c.divergence == "chi2" and c.regularize == "both":
        return -4 * c.alpha, 4 * c.alpha
    actual = {
        "chi2": (-math.inf, 2.0), "chi2_monotone": (-math.inf, 2.0), "tv": (-1.0, 1.0),
        "forward_kl": (0.0, math.inf), "hellinger": (-1.0, math.inf), "js": (-math.log(2), math.inf),
    }.get(c.divergence, (-math.inf, math.inf))  # fmt: skip
    floor = -4 * c.alpha if c.regularize == "both" else -math.inf
    return max(actual[0] * c.alpha, floor), actual[1] * c.alpha


def gradient(fn, x, step=1e-6):
    """Central differences of a scalar function."""
    actual = np.zeros(x.size)
    for i in range(x.size):
        move = np.zeros(x.size)
        move[i] = step
        move = move.reshape(x.shape)
        actual[i] = (fn(x + move) - fn(x - move)) / (2 * step)
    return actual.reshape(x.shape)
