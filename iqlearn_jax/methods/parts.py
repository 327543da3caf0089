"""Networks and optimisers of the user's own, checked before anything is compiled."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from iqlearn_jax.agents.common import Parts
from iqlearn_jax.config.values import require
from iqlearn_jax.errors import InputError, unknown
from iqlearn_jax.methods.method import MethodEntry, quadratic
from iqlearn_jax.nets import Network
from iqlearn_jax.types import EnvSpec

TRIAL_STEPS = 4


def make_parts(config, spec: EnvSpec, entry: MethodEntry, networks: Any, optimizer: Any) -> Parts:
    """What the method is built of. Arguments as `make_method`.

    Raises:
      InputError: something that the method cannot use, or a network with other outputs than it needs.
    """
    given = as_dictionary(networks) | ({} if optimizer is None else {"optimizer": optimizer})
    for name in given:
        require(
            name in entry.parts,
            f"{name} is given, but method '{config.method}' can be built of "
            f"{' and '.join(sorted(entry.parts)) or 'no such parts'} only; leave it out",
        )
    require(
        "actor" not in given or not spec.discrete,
        f"networks['actor'] is given, but actions of {spec.id} are discrete, where the policy is made of "
        "networks['critic']; leave it out",
    )
    if optimizer is not None:
        check_optimizer(optimizer)
    for name in given.keys() - {"optimizer"}:
        given[name] = as_network(name, given[name])
        check_network(name, given[name], spec, quadratic(config, spec, entry))
    return Parts(**given)


def as_dictionary(networks: Any) -> dict[str, Any]:
    """{"critic": ..., "actor": ...}, those that are given."""
    if networks is None:
        return {}
    if not isinstance(networks, Mapping):
        raise InputError(
            f"networks is a {type(networks).__name__}; expected a dictionary: {{'critic': (init, apply)}}"
        )
    for name in networks:
        if name not in ("critic", "actor"):
            raise unknown("network", str(name), ("critic", "actor"))
    return dict(networks)


def as_network(name: str, network: Any) -> Network:
    """A pair of functions, or something that has them (a flax module)."""
    functions = (getattr(network, part, None) for part in Network._fields)
    pair: Any = network if isinstance(network, tuple) else tuple(functions)
    if len(pair) != 2 or not all(map(callable, pair)):
        raise InputError(f"networks['{name}'] is {network!r:.80}; expected (init, apply), or a flax module")
    return Network(*pair)


def check_network(name: str, network: Network, spec: EnvSpec, one_critic: bool = False) -> None:
    """Refuses a network whose outputs have other shapes than the agent reads.

    Args:
      one_critic: the agent is `agents.gaussian_q`.
    """
    kind = spec.obs_dtype if spec.obs_shape == () else np.float32
    obs = jnp.zeros((2, *spec.obs_shape), kind)
    size = 0 if spec.discrete else np.size(spec.action_low)
    of_action = name == "critic" and not spec.discrete and not one_critic
    inputs = (obs, jnp.zeros((2, size))) if of_action else (obs,)
    wanted: Any = (2, spec.num_actions) if spec.discrete else (2,)
    wanted = ((2,), (2, size), (2, size)) if one_critic else wanted
    wanted = ((2, size), (2, size)) if name == "actor" else wanted

    def outputs(key):
        return network.apply(network.init(key, *(x[:1] for x in inputs)), *inputs)

    try:
        actual = jax.tree.map(jnp.shape, jax.eval_shape(outputs, jax.random.key(0)))
    except (TypeError, ValueError) as error:
        remedy = "; one of (obs, action) needs --config.policy_class=sac" if one_critic else ""
        raise InputError(
            f"networks['{name}'] cannot be called with inputs {[x.shape for x in inputs]} "
            f"({' '.join(str(error).split())[:120]}); expected outputs {wanted}{remedy}"
        ) from error
    require(
        actual == wanted,
        f"networks['{name}'] of inputs {[x.shape for x in inputs]} gives {actual}; expected {wanted}",
    )


def check_optimizer(optimizer: Any) -> None:
    """Refuses what is no optax transformation, and one with a learning rate of its own."""
    require(
        isinstance(optimizer, optax.GradientTransformation),
        f"optimizer is a {type(optimizer).__name__}; expected an optax transformation such as "
        "optax.scale_by_rms()",
    )
    ones, state, steps = jnp.ones(1), optimizer.init(jnp.ones(1)), []
    for _ in range(TRIAL_STEPS):  # of a schedule that begins at 0, the first says nothing
        step, state = optimizer.update(ones, state, ones)
        steps.append(float(step[0]))
    require(
        sum(steps) >= 0,
        f"optimizer makes a step of {min(steps):.3g} of a gradient of 1; expected the direction alone, e.g. "
        "optax.scale_by_adam() instead of optax.adam(rate): rates are config keys",
    )
