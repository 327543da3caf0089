"""Observations for which there is a network; images in another order of axes are named."""

import os

import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec, order_fault

REMEDY = {
    2: "add an axis (observations[..., None])",
    3: "transpose them (np.moveaxis(observations, 1, -1))",
    4: "make the frames channels of one image",
}


def check_order(obs: np.ndarray, source: str | os.PathLike) -> None:
    """Refuses a file's observations [N, ...] that look like images of another order than [H, W, C].

    Raises:
      InputError: names the order that they seem to have, and how to change it.
    """
    fault = order_fault(obs.shape[1:], obs.dtype)
    if fault is not None:
        place = f"{os.fspath(source)}: observations [N, {', '.join(map(str, obs.shape[1:]))}]"
        raise InputError(
            f"{place}: {fault}; {REMEDY[obs.ndim - 1]}, in the environment too "
            "(config.env.wrappers, e.g. iqlearn_jax.envs.spaces:channels_last), or flatten them"
        )


def check_shown(spec: EnvSpec) -> None:
    """Refuses an environment for whose observations there is no network.

    Raises:
      InputError: names the environment and what it is to show.
    """
    fault = order_fault(spec.obs_shape, spec.obs_dtype)
    if fault is None and len(spec.obs_shape) not in (0, 1, 3):
        fault = "a vector [D] or an image [H, W, C] expected"
    if fault is not None:
        raise InputError(
            f"observations of {spec.id} have shape {list(spec.obs_shape)}: {fault}; change them in a wrapper "
            "(config.env.wrappers), e.g. transpose or flatten them"
        )
    if spec.obs_shape == () and (spec.mdp is None or not spec.discrete):
        raise InputError(
            f"observations of {spec.id} are integers; that needs a tabular model (spec.mdp) and discrete "
            "actions: encode them as vectors in a wrapper"
        )
