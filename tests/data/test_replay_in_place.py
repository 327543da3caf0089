"""A replay is written in place and sampled without a copy of it, for one run as for several."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.data.replay import example_transition, make_replay
from iqlearn_jax.data.replay.scatter import write
from iqlearn_jax.devices.placement import vmap
from iqlearn_jax.loops.host import compile_host
from iqlearn_jax.training.problem import make_loop, make_problem
from tests.common import made_up_config, made_up_environments, spec_of

CAPACITY = 4096
SPECS = {
    "vectors": spec_of(),
    "frames": spec_of((12, 12, 4), num_actions=3, obs_dtype=np.uint8)._replace(frame_stack=4),
}


def copies(text):
    """Arrays of the replay's size that the program copies."""
    sizes = "|".join(str(size) for size in (CAPACITY, CAPACITY + CAPACITY // 8 + 6))
    return [line for line in text.splitlines() if re.search(rf"\[(\d+,)*({sizes})(,\d+)*\]\S* copy\(", line)]


def program(spec, runs, steps):
    """Compiled: so many times one addition and one sample; 0 steps: once, as the host's loop does."""
    replay = make_replay(spec, CAPACITY, 32, num_envs=1)
    row = jax.tree.map(lambda x: x[None], example_transition(spec))

    def step(state, key):
        state = replay.add(state, row)
        return state, jax.tree.map(lambda x: jnp.mean(x * 1.0), replay.sample(state, key))

    def loop(state, key):
        if not steps:
            return step(state, key)
        return jax.lax.scan(lambda s, n: step(s, jax.random.fold_in(key, n)), state, jnp.arange(steps))

    states = jax.eval_shape(jax.vmap(lambda _: replay.init()), jnp.zeros(runs))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), runs))
    return jax.jit(vmap(loop), donate_argnums=0).lower(states, keys).compile().as_text()


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("runs", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("steps", [0, 8], ids=["host", "device"])
def test_no_array_of_its_size_is_copied(kind, runs, steps):
    assert not copies(program(SPECS[kind], runs, steps))


def loop_program(name, runs, host):
    """Compiled: a chunk of the device's loop, or the call that stores and learns in the host's."""
    config = made_up_config("iq", "replay", name, seeds=runs, updates=2 * CAPACITY, online__capacity=CAPACITY)
    config.online.num_envs = 1
    with made_up_environments():
        problem = make_problem(config)
        loop = make_loop(problem)
    run, (hparams, _, rows, chosen) = loop.like(*problem.inputs), problem.inputs
    if not host:
        return loop.chunk.lower(hparams, rows, chosen, run).compile().as_text()
    one = jax.tree.map(lambda x: jnp.zeros((runs, 1, *x.shape), x.dtype), example_transition(problem.spec))
    learn = compile_host(config, problem.method, problem.spec).learn
    return learn.lower(hparams, rows, chosen, run.replace(env=None), one, one.obs).compile().as_text()


@pytest.mark.parametrize("runs", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4))])
@pytest.mark.parametrize("host", [True, False], ids=["host", "device"])
def test_the_loops_copy_none_either(host, runs):
    text = loop_program("bandit", runs, host)
    assert re.search(rf"\[(\d+,)*{CAPACITY}(,\d+)*\]", text)  # the replay is there
    assert not copies(text)


def test_rows_are_written_where_they_belong_and_nowhere_else():
    kept = jnp.zeros((3, 5, 2))
    index, new = (jnp.array([2, 0]), jnp.array([4, 1])), jnp.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(write(kept, index, new), kept.at[index].set(new))
    one = (jnp.array([1]), jnp.array([3]))
    np.testing.assert_array_equal(write(kept, one, new[:1]), kept.at[1, 3].set(new[0]))
