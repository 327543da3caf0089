"""Observations for which there is a network; images in another order of axes are named."""

import os

import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.types import EnvSpec, shape_fault

ORDER_REMEDY = {
    2: "add an axis to images (observations[..., None]) and flatten anything else",
    3: "transpose them (np.moveaxis(observations, 1, -1))",
}
FRAMES_REMEDY = "make the frames channels of one image"


def check_order(obs: np.ndarray, source: str | os.PathLike) -> None:
    """Refuses a file's observations [N, ...] that are neither states, vectors nor images [H, W, C].

    Raises:
      InputError: names the order that they seem to have, and how to change it.
    """
    fault = shape_fault(obs.shape[1:])
    if fault is not None:
        remedy = ORDER_REMEDY.get(obs.ndim - 1, FRAMES_REMEDY)
        place = f"{os.fspath(source)}: observations [N, {', '.join(map(str, obs.shape[1:]))}]"
        raise InputError(f"{place}: {fault}; {remedy}, in the environment too (config.env.wrappers)")


def check_shown(spec: EnvSpec) -> None:
    """Refuses an environment for whose observations there is no network.

    Raises:
      InputError: names the environment and what it is to show.
    """
    fault = shape_fault(spec.obs_shape)
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
