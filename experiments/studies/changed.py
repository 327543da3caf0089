"""Environments with other dynamics and the same observations and actions, to see whether a reward transfers.

A recovered reward Q − γV(s') was learned with one process; in another it is no longer the true reward up to
shaping, since E[V(s')|s,a] moved: the limit that the paper states for itself.
"""

from typing import Any

import gymnasium

HEAVY = {"Acrobot": "AcrobotHeavy-v1", "Hopper": "HopperHeavy-v5", "LunarLander": "LunarLanderLight-v3"}
DYNAMICS = {
    "AcrobotHeavy-v1": "second link twice as heavy",
    "HopperHeavy-v5": "all bodies 1.5 times as heavy",
    "LunarLanderLight-v3": "gravity -6 instead of -10",
}


def acrobot(**options: Any) -> gymnasium.Env:
    """Acrobot whose second link weighs 2 instead of 1."""
    env: Any = gymnasium.make("Acrobot-v1", max_episode_steps=-1, **options)
    env.unwrapped.LINK_MASS_2 *= 2.0
    return env


def hopper(**options: Any) -> gymnasium.Env:
    """Hopper whose masses and inertias are 1.5 times as large."""
    env: Any = gymnasium.make("Hopper-v5", max_episode_steps=-1, **options)
    env.unwrapped.model.body_mass[:] *= 1.5
    env.unwrapped.model.body_inertia[:] *= 1.5
    return env


def register() -> None:
    """Makes the names above known to gymnasium; a second call changes nothing."""
    if HEAVY["Acrobot"] in gymnasium.registry:
        return
    gymnasium.register(HEAVY["Acrobot"], acrobot, max_episode_steps=500)
    gymnasium.register(HEAVY["Hopper"], hopper, max_episode_steps=1000)
    gymnasium.register(
        HEAVY["LunarLander"],
        "gymnasium.envs.box2d:LunarLander",
        max_episode_steps=1000,
        kwargs={"gravity": -6.0},
    )


def stronger_gravity(env: Any, factor: float = 1.5) -> Any:
    """The brax environment itself, with gravity `factor` times as strong."""
    env.sys = env.sys.replace(gravity=factor * env.sys.gravity)
    return env
