"""Networks (flax.linen)."""

from iqlearn_jax.nets.networks import Actor, Critic, Ensemble, QNetwork, TransitionEncoder

__all__ = ["Actor", "Critic", "Ensemble", "QNetwork", "TransitionEncoder"]
