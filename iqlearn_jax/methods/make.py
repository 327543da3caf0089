"""How a method is made of a configuration, and what is refused before."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np

from iqlearn_jax.agents.common import AGENT_KEYS, POLICY_KEYS
from iqlearn_jax.config.schema import KEYS
from iqlearn_jax.config.values import check_value, require, traced_keys, value_of, values_of
from iqlearn_jax.data.sampling import NORMALIZATION, identity_normalization
from iqlearn_jax.errors import InputError, unknown
from iqlearn_jax.methods.catalogue import METHODS, readers
from iqlearn_jax.methods.method import Method, MethodEntry, quadratic
from iqlearn_jax.methods.parts import make_parts
from iqlearn_jax.methods.wrappers import annealed, averaged
from iqlearn_jax.types import EnvSpec, Hparams


def make_method(config, spec: EnvSpec, networks: Any = None, optimizer: Any = None) -> Method:
    """The method that a configuration names; all that is static is decided here.

    Args:
      networks: {"critic": ..., "actor": ...} to use instead of the library's; either may be missing. Each is
        a pair `(init, apply)` or a flax module, `init(key, *inputs) -> params`, `apply(params, *inputs)`.
        For discrete actions the critic is `apply(params, obs) -> Q(s,·) [B, A]`; for continuous ones it is
        `apply(params, obs, action) -> Q(s,a) [B]`, and the actor `apply(params, obs) -> (mean, log_std)`,
        each [B, A], of the Gaussian before tanh. With `policy_class="gaussian_q"`, offline the default of
        "iq" and "bc", the critic is all there is: `apply(params, obs) -> (peak [B], mean before tanh [B, A],
        width [B, A])`, see `agents.gaussian_q`. Observations are standardised, images in [0, 1], actions in
        [-1, 1]; ensembles are built of it as of the library's.
      optimizer: an optax transformation instead of `optax.scale_by_adam()` for all networks. It gives the
        direction of ascent alone: parameters move by −rate·(direction + weight_decay·parameters), and rates
        (`critic_lr`, ...) stay hyperparameters.
    Raises:
      InputError: unknown method, a feed that it cannot learn from, values that it does not allow, or parts
        that it cannot be built of.
    """
    entry = METHODS[config.method]
    require(
        config.feed in entry.feeds,
        f"config.feed is '{config.feed}', but method '{config.method}' learns from "
        f"{' or '.join(sorted(entry.feeds))}; set --config.feed={min(entry.feeds)}",
    )
    check_values(config, entry)
    given = networks or optimizer is not None
    parts = (make_parts(config, spec, entry, networks, optimizer),) if given else ()
    method = entry.make(config, spec, *parts)
    require(
        method.labels is None or config.feed == "replay",
        f"config.feed is '{config.feed}', but method '{config.method}' rewards transitions before a replay "
        "stores them; set --config.feed=replay",
    )
    if any(values_of(config, "lr_decay")):
        method = annealed(config, method)
    if any(rate != 1.0 for rate in values_of(config, "average_rate")):
        require(
            not quadratic(config, spec, entry),
            f"config.average_rate is {config.average_rate}; it averages actors, and policy class "
            "'gaussian_q' has none; set --config.average_rate=1, or --config.policy_class=sac",
        )
        method = averaged(config, spec, method)
    return with_defaults(method, default_leaves(config, spec))


def check_keys(config, names: Iterable[str]) -> None:
    """Refuses keys that the chosen method, or the chosen feed, does not read: setting them changes nothing.

    Args:
      names: dotted keys that were set on purpose; "grid.X" counts as X.
    Raises:
      InputError: names the key, its value and who reads it.
    """
    for name in names:
        plain = name.removeprefix("grid.")
        if plain not in KEYS:
            raise unknown("config key", plain, KEYS)
        row, values = KEYS[plain], values_of(config, plain)
        setting = f"config.{name} is {repr(values[0]) if len(values) == 1 else values}"
        if row.of_method and plain not in METHODS[config.method].keys:
            raise InputError(
                f"{setting}, but method '{config.method}' does not read it; {readers(config.method, plain)}"
            )
        if row.feeds and config.feed not in row.feeds:
            remedy = " or ".join(f"--config.feed={feed}" for feed in row.feeds)
            raise InputError(f"{setting}, but config.feed '{config.feed}' does not read it; set {remedy}")
        if row.needs and any(value != row.default for value in values):
            other, wanted = row.needs
            require(
                config[other] == wanted,
                f"{setting}, but nothing reads it while config.{other} is {config[other]!r}; "
                f"set --config.{other}={wanted}",
            )


def check_values(config, entry: MethodEntry) -> None:
    """Refuses values outside the ranges of the keys that a method reads, and all of those that it refuses.

    Raises:
      InputError: names the field, its value and what is expected.
    """
    for name in sorted(entry.keys):
        check_value(name, KEYS[name], value_of(config, name))
    for name in sorted(entry.refuses):
        default = KEYS[name].default
        values = [value for value in values_of(config, name) if value != default]
        require(
            not values,
            f"config.{name} is {values and values[0]}, but method '{config.method}' is defined for {default} "
            f"only; set --config.{name}={default}",
        )


def check_policy_keys(config, names: Iterable[str], spec: EnvSpec) -> None:
    """Refuses keys that only policies of another kind read, as `check_keys` those of other methods.

    Args:
      names: dotted keys that were set on purpose; "grid.X" counts as X.
    Raises:
      InputError: names the key, its value and the kind of policy.
    """
    entry = METHODS[config.method]
    if not entry.keys >= POLICY_KEYS and not entry.keys >= AGENT_KEYS:
        return  # it has an actor of its own for all kinds of actions, or none
    if spec.discrete:
        kind = f"the actions of {spec.id} are discrete: the policy is read off Q"
        others = POLICY_KEYS | {"actor_lr"}
    elif quadratic(config, spec, entry):
        kind, others = "policy class 'gaussian_q' learns at critic_lr", frozenset({"actor_lr"})
    else:
        kind, others = (
            "policy class 'sac' has an actor, whose width is learned",
            POLICY_KEYS - {"policy_class"},
        )
    for name in names:
        if name.removeprefix("grid.") in others & entry.keys:
            raise InputError(f"config.{name} is {value_of(config, name)!r}, but {kind}; leave it out")


def default_leaves(config, spec: EnvSpec) -> dict[str, np.ndarray]:
    """The hyperparameters of one run at the configuration's values, observations left as they are."""
    leaves = {name: np.float32(config[name]) for name in traced_keys() if name in config}
    statistics = identity_normalization(1, spec.obs_shape, config.whiten and len(spec.obs_shape) == 1)
    return leaves | {name: values[0] for name, values in statistics.items()}


def with_defaults(method: Method, defaults: Mapping[str, np.ndarray]) -> Method:
    """The method, which now takes hyperparameters of which some are missing."""

    def completed(fn: Callable) -> Callable:
        return lambda hparams, *rest, **named: fn(complete(defaults, hparams), *rest, **named)

    names = ("update", "act", "reward", "value", "end_reward")
    functions: dict[str, Any] = {name: completed(fn) for name in names if (fn := getattr(method, name))}
    functions["init"] = lambda key, hparams: method.init(key, complete(defaults, hparams))

    def one_run(**changes: Any) -> Hparams:
        return {name: jnp.asarray(x, jnp.float32) for name, x in complete(defaults, changes).items()}

    return method._replace(**functions, defaults=MappingProxyType(dict(defaults)), hparams=one_run)


def complete(defaults: Mapping[str, np.ndarray], hparams: Hparams) -> Hparams:
    """The hyperparameters, those that are missing from `defaults`.

    Raises:
      InputError: a name that is none of a hyperparameter.
    """
    for name in hparams:
        if name not in (known := {*defaults, *traced_keys(), *NORMALIZATION}):
            raise unknown("hyperparameter", name, known)
    missing = {name: jnp.asarray(x) for name, x in defaults.items() if name not in hparams}
    return {**missing, **hparams}
