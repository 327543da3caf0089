"""Learning rates that fall: the same updates as with rates passed by hand, for every kind of rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.config.values import rates as rate_names
from iqlearn_jax.types import Batch
from tests.common import compiled, configure, hyper, random_rows, spec_of

SPEC = spec_of(obs_shape=(2,))
UPDATES = 8


class Moves:
    """One update of IQ-Learn on a fixed batch, with rates that are constant or fall (a grid of both)."""

    def __init__(self, **changes):
        config = configure(
            updates=UPDATES,
            learn_temperature=True,
            target_network=True,
            policy_class="sac",
            hidden=(4,),
            **changes,
        )
        method, hparams = compiled(config, SPEC), hyper(config, SPEC)
        rows = jax.tree.map(jnp.asarray, random_rows(SPEC, 6))
        batch = Batch(expert=rows, initial=rows)

        def move(step, lr_decay, by_hand):
            state = method.init(jax.random.key(0), hparams).replace(step=step)
            rates = {name: by_hand * hparams[name] for name in rate_names()} | {"lr_decay": lr_decay}
            after, _ = method.update(hparams | rates, state, batch, jax.random.key(1))
            return [after.critic["net"], after.actor, after.log_temperature], [
                state.critic["net"], state.actor, state.log_temperature
            ]  # fmt: skip

        self.move = jax.jit(move)

    def __call__(self, step, lr_decay=0.0, by_hand=1.0):
        """How far the critic's, the actor's and the temperature's parameters move: three arrays."""
        after, before = self.move(jnp.int32(step), lr_decay, by_hand)
        flat = zip(map(jax.tree.leaves, after), map(jax.tree.leaves, before), strict=True)
        return [np.concatenate([np.ravel(a - b) for a, b in zip(*pair, strict=True)]) for pair in flat]


@pytest.fixture(scope="module")
def falling():
    return Moves(grid__lr_decay=(0.0, 0.5))


@pytest.fixture(scope="module")
def constant():
    return Moves()


@pytest.mark.parametrize(
    ("lr_decay", "step", "rate"),
    [
        (0.5, 0, 1.0),
        (0.5, 4, 1.0),
        (0.5, 6, 0.5),
        (0.5, 7, 0.25),
        (1.0, 2, 0.75),
        (1.0, 8, 0.0),
        (1.0, 9, 0.0),
    ],
)
def test_rates_fall_linearly_over_the_last_share_of_the_updates(falling, constant, lr_decay, step, rate):
    for actual, expected in zip(falling(step, lr_decay), constant(step, by_hand=rate), strict=True):
        np.testing.assert_allclose(actual, expected, atol=2e-7)
        assert np.any(actual) == (rate > 0)


def test_a_grid_may_hold_no_decay(falling, constant):
    for actual, expected in zip(falling(UPDATES - 1), constant(UPDATES - 1), strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert np.any(actual)
