"""One file per method; METHODS is the only catalogue."""

from iqlearn_jax.errors import InputError, unknown
from iqlearn_jax.methods.adril import make_adril
from iqlearn_jax.methods.airl import make_airl
from iqlearn_jax.methods.asaf import make_asaf
from iqlearn_jax.methods.avril import make_avril
from iqlearn_jax.methods.bc import make_bc
from iqlearn_jax.methods.common import Method, annealed, averaged
from iqlearn_jax.methods.dac import make_dac
from iqlearn_jax.methods.dsfn import make_dsfn
from iqlearn_jax.methods.edm import make_edm
from iqlearn_jax.methods.gail import make_gail
from iqlearn_jax.methods.iq import make_iq
from iqlearn_jax.methods.lstd_mu import make_lstd_mu
from iqlearn_jax.methods.max_entropy import make_max_entropy
from iqlearn_jax.methods.max_entropy_deep import make_max_entropy_deep
from iqlearn_jax.methods.max_entropy_dynamics import make_max_entropy_dynamics
from iqlearn_jax.methods.max_likelihood import make_max_likelihood
from iqlearn_jax.methods.max_margin import make_max_margin
from iqlearn_jax.methods.ppo import make_ppo
from iqlearn_jax.methods.regularized_bc import make_regularized_bc
from iqlearn_jax.methods.rl import make_rl
from iqlearn_jax.methods.sqil import make_sqil
from iqlearn_jax.methods.value_dice import make_value_dice
from iqlearn_jax.types import EnvSpec

METHODS = {
    "iq": make_iq,
    "bc": make_bc,
    "regularized_bc": make_regularized_bc,
    "value_dice": make_value_dice,
    "avril": make_avril,
    "edm": make_edm,
    "rl": make_rl,
    "ppo": make_ppo,
    "sqil": make_sqil,
    "adril": make_adril,
    "dac": make_dac,
    "gail": make_gail,
    "airl": make_airl,
    "asaf": make_asaf,
    "max_entropy": make_max_entropy,
    "max_entropy_deep": make_max_entropy_deep,
    "max_margin": make_max_margin,
    "lstd_mu": make_lstd_mu,
    "dsfn": make_dsfn,
    "max_likelihood": make_max_likelihood,
    "max_entropy_dynamics": make_max_entropy_dynamics,
}

FEEDS = ("demos", "replay", "rollout")  # offline; online with a replay; online with fresh play alone
FORWARD_RL = ("rl", "ppo")  # learn from the environment's reward, without demonstrations


def make_method(config, spec: EnvSpec) -> Method:
    """METHODS[config.method](config, spec); learning rates fall and actors are averaged where `lr_decay` and
    `average_rate` say so.

    Raises:
      InputError: unknown method, a feed that the method cannot learn from, or nothing to average.
    """
    if config.method not in METHODS:
        raise unknown("method", config.method, METHODS)
    method = METHODS[config.method](config, spec)
    if config.feed not in method.feeds:
        raise InputError(
            f"config.feed is '{config.feed}', but method '{config.method}' learns from "
            f"{' or '.join(sorted(method.feeds))}; set --config.feed={min(method.feeds)}"
        )
    return averaged(config, spec, annealed(config, method))


__all__ = ["FEEDS", "FORWARD_RL", "METHODS", "Method", "make_method"]
