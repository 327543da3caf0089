"""An environment's spaces as an EnvSpec: what is flattened, numbered or refused, for everybody alike."""

from iqlearn_jax.envs.spaces.images import channels_last, check_order
from iqlearn_jax.envs.spaces.own import OwnSpaces
from iqlearn_jax.envs.spaces.spec import DEFAULT_MAX_STEPS, FRAMES, is_atari, spec_from_spaces
from iqlearn_jax.envs.spaces.wrap import in_terms_of

__all__ = [
    "DEFAULT_MAX_STEPS", "FRAMES", "OwnSpaces", "channels_last", "check_order", "in_terms_of", "is_atari",
    "spec_from_spaces",
]  # fmt: skip
