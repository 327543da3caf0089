"""Recovered rewards for others: one file, one pure function, wrappers for environments (docs/rewards.md).

The wrappers lie in `rewards.brax` and `rewards.gymnasium`; each imports its library.
"""

from iqlearn_jax.rewards.file import load_reward, make_reward, save_reward
from iqlearn_jax.rewards.recovered import RecoveredReward
from iqlearn_jax.rewards.retrain import on_recovered

__all__ = ["RecoveredReward", "load_reward", "make_reward", "on_recovered", "save_reward"]
