"""Methods of imitation: a module for each, `METHODS` the only catalogue."""

from typing import Any

from iqlearn_jax.config.schema import FEEDS
from iqlearn_jax.methods.catalogue import FORWARD_RL, METHODS, check_keys, register_method
from iqlearn_jax.methods.checks import check_values, require, values_of
from iqlearn_jax.methods.method import Method, MethodEntry, default_leaves, with_defaults
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
        each [B, A], of the Gaussian before tanh. Observations are standardised, images in [0, 1], actions in
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
    parts = make_parts(config, spec, entry, networks, optimizer)
    method = entry.make(config, spec, parts) if entry.parts else entry.make(config, spec)
    if any(values_of(config, "lr_decay")):
        method = annealed(config, method)
    if any(rate != 1.0 for rate in values_of(config, "average_rate")):
        method = averaged(config, spec, method)
    return with_defaults(method, default_leaves(config, spec))


__all__ = [
    "FEEDS", "FORWARD_RL", "METHODS", "Method", "MethodEntry", "check_keys", "make_method", "register_method",
]  # fmt: skip
