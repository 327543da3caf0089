"""Methods of imitation: a module for each, `METHODS` the only catalogue."""

from collections.abc import Iterable
from typing import Any

from iqlearn_jax.config.schema import FEEDS, KEYS, Key
from iqlearn_jax.errors import Catalogue, InputError, unknown
from iqlearn_jax.methods.catalogue import FORWARD_RL, METHODS, readers, register_method
from iqlearn_jax.methods.method import (
    DEMOS,
    Method,
    MethodEntry,
    check_values,
    default_leaves,
    quadratic,
    require,
    values_of,
    with_defaults,
)
from iqlearn_jax.methods.parts import make_parts
from iqlearn_jax.methods.wrappers import annealed, averaged
from iqlearn_jax.types import EnvSpec


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


__all__ = [
    "DEMOS",
    "FEEDS",
    "FORWARD_RL",
    "METHODS",
    "Catalogue",
    "Key",
    "Method",
    "MethodEntry",
    "check_keys",
    "make_method",
    "register_method",
]  # fmt: skip
