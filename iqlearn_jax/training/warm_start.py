"""Runs that start from the networks of other runs: cloning, then IQ-Learn, then the true reward."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from iqlearn_jax.envs.facts import require_fit
from iqlearn_jax.errors import InputError
from iqlearn_jax.loops.loop import RunState
from iqlearn_jax.runs.folder import stored_config
from iqlearn_jax.runs.manifest import describe
from iqlearn_jax.training.problem import Problem
from iqlearn_jax.training.reopen import load_run


def warm_start(problem: Problem, run: RunState) -> RunState:
    """The fresh state with critic and actor of the run in `config.init_from`, where both methods have them.

    Optimisers, targets' history and temperature are the new run's. Networks are taken as they are: a critic
    of discrete actions keeps its greedy policy, but draws by its own temperature. Run i starts from run i of
    the other folder, over again where that has fewer.

    Raises:
      InputError: another environment's spaces, no network in common, or networks of other sizes.
    """
    folder = Path(problem.config.init_from)
    source, before = load_run(folder, stored_config(folder))
    require_fit(source.spec, problem.spec, "run in config.init_from")
    taken = {name: _network(source, before.state, run.state, name, problem) for name in ("critic", "actor")}
    taken = {name: network for name, network in taken.items() if network is not None}
    if not taken:
        raise InputError(
            f"config.init_from is {folder}, but method '{source.config.method}' there and "
            f"'{problem.config.method}' here have no network in common"
        )
    return run.replace(state=run.state.replace(**taken, **_copies(run.state, taken)))


def _network(source: Problem, before: Any, state: Any, name: str, problem: Problem) -> Any:
    """A network [R'] of another folder's runs, one after the other; None where one of both has none."""
    theirs, ours = getattr(before, name, None), getattr(state, name, None)
    if not jax.tree.leaves(theirs) or not jax.tree.leaves(ours):
        return None
    kinds = [describe(jax.tree.map(lambda x: x[:1], tree)) for tree in (theirs, ours)]
    if kinds[0] != kinds[1]:
        wanted, there = (dict(set(a.items()) - set(b.items())) for a, b in (kinds[::-1], kinds))
        raise InputError(
            f"config.init_from: the {name} there has other arrays ({there}) than this run's ({wanted}); set "
            "--config.hidden, layer_norm and critics as they are there; with continuous actions policy_class "
            "too (online it is 'sac': train the first run with --config.policy_class=sac)"
        )
    runs = len(source.seeds)
    index = np.arange(problem.placement.runs) % runs
    return problem.placement.put(jax.tree.map(lambda x: x[index], source.placement.get(theirs)))


def _copies(state: Any, taken: dict[str, Any]) -> dict[str, Any]:
    """What follows a network: its target and the mean that plays, in buffers that can be donated."""
    names = {"target_critic": "critic", "mean_actor": "actor"}
    return {
        copy_: jax.tree.map(jnp.copy, taken[name])
        for copy_, name in names.items()
        if name in taken and jax.tree.leaves(getattr(state, copy_, None))
    }
