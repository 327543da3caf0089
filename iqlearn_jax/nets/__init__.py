"""Networks (flax.linen)."""

from iqlearn_jax.nets.networks import Actor, Critic, QNetwork, ensemble

__all__ = ["Actor", "Critic", "QNetwork", "ensemble"]
