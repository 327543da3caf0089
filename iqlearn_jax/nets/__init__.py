"""Networks (flax.linen)."""

from iqlearn_jax.nets.networks import (
    Actor,
    Critic,
    Ensemble,
    Network,
    QNetwork,
    QuadraticCritic,
    TransitionEncoder,
)

__all__ = ["Actor", "Critic", "Ensemble", "Network", "QNetwork", "QuadraticCritic", "TransitionEncoder"]
