"""Functions of the library compiled once for a whole test session, over a leading axis of processes."""

from functools import cache

import jax

from iqlearn_jax.ops.iq.divergences import DIVERGENCES
from iqlearn_jax.ops.tabular import mdp as tabular
from iqlearn_jax.ops.tabular import solve as tabular_solve


def batched(function):
    return jax.jit(jax.vmap(function))


TO_Q, TO_REWARD = batched(tabular.soft_value_iteration), batched(tabular.reward_from_q)
TO_ONE_Q = jax.jit(tabular.soft_value_iteration)


@cache
def dual(name):
    """(mdp, reward, expert, alpha, temperature) -> F, batched."""
    return batched(lambda m, r, e, a, t: tabular.dual(m, r, e, DIVERGENCES[name], a, t))


@cache
def objective(name):
    """(mdp, q, expert, alpha, temperature) -> J*, batched."""
    return batched(lambda m, q, e, a, t: tabular.objective(m, q, e, DIVERGENCES[name], a, t))


@cache
def solve(name):
    """(mdp, expert, alpha, temperature) -> Solution, batched."""
    return batched(lambda m, e, a, t: tabular_solve.solve(m, e, DIVERGENCES[name], a, t))
