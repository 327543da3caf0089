"""Images are [H, W, C] here: other orders are recognised and named, and put right by a wrapper."""

from collections.abc import Callable
from typing import Any

import numpy as np

from iqlearn_jax.errors import InputError
from iqlearn_jax.types import channels_first, order_fault

WRAPPER = "iqlearn_jax.envs.spaces:channels_last"
REMEDY = (
    f"""turn them round with --config.env.wrappers="('{WRAPPER}',)", or make vectors of them with """
    "'gymnasium.wrappers:FlattenObservation'"
)


def check_order(name: str, shape: tuple[int, ...], dtype: Any) -> None:
    """Refuses observations that look like images of another order than [H, W, C].

    Raises:
      InputError: names the environment, the order that it seems to have, and the wrapper that mends it.
    """
    fault = order_fault(shape, dtype)
    if fault is not None:
        raise InputError(
            f"environment '{name}': observations of shape {list(shape)} and {np.dtype(dtype)}; {fault}: "
            f"{REMEDY}"
        )


def channels_last(env: Any) -> Any:
    """A gymnasium environment with images [H, W, C]; a wrapper for `env.wrappers`.

    [C, H, W] is transposed, [H, W] gets a channel, and of stacks [N, H, W, C] and [N, C, H, W] the frames
    follow one another in the channels [H, W, N * C], oldest first.

    Raises:
      InputError: observations that are no images of one of these orders.
    """
    import gymnasium  # imported here: most environments need no wrapper

    space = env.observation_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) not in (2, 3, 4):
        raise InputError(f"{WRAPPER}: observations {space}; expected images, a Box of two to four axes")
    turn = _turn(space.shape)
    dtype: Any = space.dtype
    box = gymnasium.spaces.Box(turn(space.low), turn(space.high), dtype=dtype.type)
    return gymnasium.wrappers.TransformObservation(env, turn, box)


def _turn(shape: tuple[int, ...]) -> Callable[[Any], np.ndarray]:
    """What makes [H, W, C] of an image of this shape, whatever is wrong with its axes.

    Raises:
      InputError: it is in that order.
    """
    if len(shape) == 2:
        return lambda x: np.asarray(x)[..., None]
    if len(shape) == 4:
        return lambda x: _stack(np.moveaxis(x, 1, -1) if channels_first(*shape[1:]) else np.asarray(x))
    if shape[2] == min(shape):
        raise InputError(f"{WRAPPER}: observations of shape {list(shape)} look like [H, W, C]: leave it out")
    return lambda x: np.moveaxis(x, 0, -1)


def _stack(frames: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> [H, W, N * C]"""
    turned = np.moveaxis(frames, 0, 2)
    return turned.reshape(*turned.shape[:2], -1)
