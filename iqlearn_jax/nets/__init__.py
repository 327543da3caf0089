"""Networks (flax.linen)."""

from iqlearn_jax.nets.networks import (
    Actor,
    Critic,
    Ensemble,
    Network,
    QNetwork,
    QuadraticCritic,
    Split,
    TransitionEncoder,
)

__all__ = [
    "Actor",
    "Critic",
    "Ensemble",
    "Network",
    "QNetwork",
    "QuadraticCritic",
    "Split",
    "TransitionEncoder",
]
