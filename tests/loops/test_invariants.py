"""What holds of every method in every loop: vmap, one compile, no way back to the host, finite, own keys."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.loops import play as evaluate
from iqlearn_jax.loops.online import make_online
from iqlearn_jax.training.problem import make_loop, make_problem
from tests.common import made_up_config, made_up_environments

ENVS = ("walk", "bandit")
FEEDS = {"iq": ("demos", "replay", "rollout"), "value_dice": ("demos", "replay")}
FEEDS |= dict.fromkeys(("bc", "regularized_bc", "avril", "edm", "lstd_mu", "dsfn"), ("demos",))
FEEDS |= dict.fromkeys(("rl", "adril", "pwil", "max_entropy_deep"), ("replay",))
FEEDS |= dict.fromkeys(("sqil", "dac"), ("replay", "rollout"))
DISCRETE = ("regularized_bc", "avril", "edm", "lstd_mu", "dsfn", "pqn")  # refuse the bandit's actions
ON_POLICY = ("ppo", "pqn", "gail", "airl", "asaf")
FEEDS |= dict.fromkeys(ON_POLICY, ("rollout",))
FAST = [("iq", "demos", "walk"), ("iq", "replay", "bandit"), ("max_entropy", "demos", "rooms")]
ALL = [(m, feed, env) for m, feeds in FEEDS.items() for feed in feeds for env in ENVS]
ALL = [case for case in ALL if case[0] not in DISCRETE or case[2] != "bandit"]
TABULAR = ("max_entropy", "max_margin", "max_likelihood", "max_entropy_dynamics")
ALL += [(m, "demos", "rooms") for m in TABULAR]
CASES = [
    pytest.param(case, marks=[] if case in FAST else pytest.mark.slow, id="-".join(case)) for case in ALL
]
ALONE = [  # compiles a program of one run; the online ones are slow, here and in test_sweep.py
    pytest.param(case, marks=[] if case == FAST[0] else pytest.mark.slow, id="-".join(case)) for case in ALL
]
OPTIONS = {  # the fullest use of each method, so that nothing is left out by its defaults
    "iq": {"terminal": "absorbing", "learn_temperature": True, "target_network": True, "critics": 2},
    "bc": {},
    "rl": {"target_network": True, "critics": 2, "learn_temperature": True},
    "sqil": {"terminal": "absorbing", "target_network": True, "critics": 2, "learn_temperature": True},
    "adril": {"terminal": "absorbing", "target_network": True, "critics": 2, "round_updates": 2},
    "dac": {"terminal": "absorbing", "target_network": True, "critics": 2, "gradient_penalty": 10.0},
    "pwil": {"target_network": True, "critics": 2},
    "max_entropy_deep": {"terminal": "absorbing", "target_network": True, "critics": 2},
    "regularized_bc": {},
    "value_dice": {"terminal": "absorbing", "gradient_penalty": 10.0, "value_term": "v0"},
    "avril": {},
    "edm": {"chain_count": 12, "chain_steps": 3},
    "lstd_mu": {"features": 12, "inner_steps": 3},
    "dsfn": {"features": 6, "round_updates": 2, "target_network": True},
}
OPTIONS |= {name: {"reward_input": "state", "inner_steps": 3} for name in TABULAR}
ROLLOUT = {"online__rollout_steps": 4, "epochs": 2, "minibatches": 2}
OPTIONS |= {"ppo": ROLLOUT, "pqn": ROLLOUT}
OPTIONS |= {"gail": ROLLOUT | {"terminal": "absorbing", "gradient_penalty": 10.0}}
OPTIONS |= {"asaf": ROLLOUT | {"window": 2, "demos__subsample": 1}}
OPTIONS |= {"airl": ROLLOUT | {"terminal": "absorbing", "reward_input": "state", "gradient_penalty": 10.0}}
QUADRATIC = {("iq", "demos", "bandit"): {"terminal": "absorbing", "learn_std": True}}  # has other options
SEEDS = 3
COMPILED: list[str] = []  # one entry for each program that XLA compiled in this process


def note_compilation(event, seconds, **details):
    if event == "/jax/core/compile/backend_compile_duration":
        COMPILED.append(event)


jax.monitoring.register_event_duration_secs_listener(note_compilation)


class Setup:
    """A problem on a made-up environment and its loop; `calls` counts how often `update` was traced."""

    def __init__(self, method, feed, env_name, **changes):
        with made_up_environments():
            options = QUADRATIC.get((method, feed, env_name), OPTIONS[method])
            options = options | (ROLLOUT if feed == "rollout" else {})
            made = make_problem(made_up_config(method, feed, env_name, **options | changes))
        self.calls, update = 0, made.method.update

        def counting(*arguments):
            self.calls += 1
            return update(*arguments)

        self.problem = made._replace(method=made.method._replace(update=counting))
        self.config, self.spec, self.method = made.config, made.spec, made.method
        self.loop = make_loop(self.problem)
        self.inputs = (made.hparams, made.seeds, made.rows, made.demo_indices)

    def init(self):
        return self.loop.init(*self.inputs)

    def chunk(self, run):
        hparams, _, rows, demo_indices = self.inputs
        return self.loop.chunk(hparams, rows, demo_indices, run)

    def only(self, number):
        """Inputs of one run of the same problem, with a leading axis of 1."""
        cut = lambda tree: jax.tree.map(lambda x: x[number : number + 1], tree)  # noqa: E731
        hparams, seeds, rows, demo_indices = self.inputs
        return cut(hparams), seeds[number : number + 1], rows, cut(demo_indices)


@pytest.fixture(scope="module", params=CASES)
def played(request):
    """A setup, its state at the start (as NumPy) and after two chunks, and their metrics."""
    setup = Setup(*request.param)
    run = setup.init()
    first = plain(run)
    seen = []
    for _ in range(2):
        run, metrics = setup.chunk(run)
        seen.append(jax.device_get(metrics))
    assert COMPILED  # the listener hears
    # before other tests trace it again
    hparams, _, rows, demo_indices = setup.inputs
    warmer, fresh = hparams | {"temperature": hparams["temperature"] + 1}, setup.init()
    before = len(COMPILED)
    assert jax.tree.leaves(setup.loop.chunk(warmer, rows, demo_indices, fresh))
    setup.compiled = (setup.calls, len(COMPILED) - before)
    return setup, first, run, seen


def plain(tree):
    """NumPy copies of all leaves; keys as their data."""

    def copy(leaf):
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return np.array(leaf)

    return jax.tree.map(copy, tree)


def primitives(jaxpr):
    """Equations of a jaxpr and of everything inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            yield from primitives(inner) if hasattr(inner, "eqns") else ()


def test_everything_is_finite_and_moves(played):
    _, first, run, seen = played
    for leaf in jax.tree.leaves(plain(run)) + jax.tree.leaves(seen):
        assert np.isfinite(leaf).all()
    assert not all(map(np.array_equal, jax.tree.leaves(first.state), jax.tree.leaves(plain(run.state))))
    assert (run.updates == 8).all()
    assert all(metric.shape == (SEEDS,) for metric in seen[0].values())
    assert any("grad_norm" in name or name in ("bc/loss", "max_margin/distance") for name in seen[0])


def test_runs_differ_from_each_other(played):
    _, _, run, _ = played
    kernels = [leaf for leaf in jax.tree.leaves(plain(run.state)) if leaf.ndim > 2]
    assert kernels
    assert (
        sum((leaf[0] != leaf[1]).any() for leaf in kernels) > len(kernels) / 4
    )  # the rest are zeros of Adam


def test_environment_steps_are_counted(played):
    setup, first, run, _ = played
    if setup.config.feed != "replay":
        rollout = 4 * 2 if setup.config.feed == "rollout" else 0
        assert (first.env_steps == 0).all()
        assert (run.env_steps == 8 * rollout).all()
        assert run.replay is None
        return
    assert (first.env_steps == 10).all()
    assert (run.env_steps == 10 + 8 * 2).all()
    assert jax.tree.leaves(plain(run.replay.experience))[0].shape[2] == 26  # no larger than the run needs


@pytest.mark.parametrize("played", ALONE, indirect=True)
def test_vmapped_runs_equal_runs_alone(played):
    """In float32 XLA orders sums differently for other batch shapes; nothing else may differ."""
    setup, _, run, seen = played
    hparams, seed, rows, demo_indices = setup.only(1)
    alone = setup.loop.init(hparams, seed, rows, demo_indices)
    for _ in range(2):
        alone, metrics = setup.loop.chunk(hparams, rows, demo_indices, alone)
    for together, apart in zip(jax.tree.leaves(plain(run)), jax.tree.leaves(plain(alone)), strict=True):
        np.testing.assert_allclose(together[1:2], apart, rtol=2e-4, atol=2e-5)
    for name, value in metrics.items():
        np.testing.assert_allclose(seen[1][name][1:2], value, rtol=2e-3, atol=1e-4, err_msg=name)


def test_a_run_depends_neither_on_its_neighbours_nor_on_its_place(played):
    """Three copies of run 1 in the program that held three different runs."""
    setup, _, run, seen = played
    hparams, seeds, rows, demo_indices = setup.inputs
    hparams, seeds, demo_indices = jax.tree.map(
        lambda x: x[np.array([1, 1, 1])], (hparams, seeds, demo_indices)
    )
    copies = setup.loop.init(hparams, seeds, rows, demo_indices)
    for _ in range(2):
        copies, metrics = setup.loop.chunk(hparams, rows, demo_indices, copies)
    before, after = (jax.tree.leaves(plain(result)) for result in ((run, seen[1]), (copies, metrics)))
    for own, copied in zip(before, after, strict=True):
        np.testing.assert_array_equal(own[1], copied[1])
        for place in (0, 2):
            np.testing.assert_allclose(own[1], copied[place], rtol=2e-4, atol=2e-5)


def test_one_compile_for_all_chunks_and_hyperparameters(played):
    """Three chunks, one of them with another temperature: one trace of `update`, none compiles anew."""
    assert played[0].compiled == (1, 0)


def test_nothing_in_the_loop_returns_to_the_host(played):
    setup, _, run, _ = played
    hparams, _, rows, demo_indices = setup.inputs
    jaxpr = jax.make_jaxpr(setup.loop.chunk)(hparams, rows, demo_indices, run)
    names = {equation.primitive.name for equation in primitives(jaxpr.jaxpr)}
    assert "scan" in names
    assert "dot_general" in names  # the walk does see inside
    forbidden = ("callback", "infeed", "outfeed", "debug_print", "io_")
    assert not [name for name in names if any(word in name for word in forbidden)]


def test_the_walk_would_see_a_callback():
    def step(x, _):
        jax.debug.print("{}", x)
        return x, None

    jaxpr = jax.make_jaxpr(jax.jit(lambda x: jax.lax.scan(step, x, length=2)[0]))(1.0)
    assert any("debug" in e.primitive.name or "callback" in e.primitive.name for e in primitives(jaxpr.jaxpr))


def test_chunks_move_nothing_between_host_and_device(played):
    setup, *_ = played
    run = setup.init()
    with jax.transfer_guard("disallow"):
        run, metrics = setup.chunk(run)
        run, metrics = setup.chunk(run)
    assert metrics


def test_the_state_is_donated(played):
    setup, *_ = played
    run = setup.init()
    setup.chunk(run)
    assert jax.tree.leaves(run.state)[0].is_deleted()


def test_like_has_the_shapes_of_init(played):
    setup, _, run, _ = played
    like = setup.loop.like(*setup.inputs)
    assert jax.tree.structure(like) == jax.tree.structure(run)
    for a, b in zip(jax.tree.leaves(like), jax.tree.leaves(run), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


def test_actions_fit_the_action_space(played):
    setup, _, run, _ = played
    spec = setup.spec
    hparams, state = jax.tree.map(lambda x: x[0], (setup.inputs[0], run.state))
    obs = 10 * jax.random.normal(jax.random.key(0), (50, *spec.obs_shape))
    obs = obs if spec.obs_shape else jnp.arange(50) % len(spec.mdp.initial)
    drawn = [setup.method.act(hparams, state, obs, jax.random.key(k), False) for k in (1, 2)]
    fixed = [setup.method.act(hparams, state, obs, jax.random.key(k), True) for k in (1, 2)]
    np.testing.assert_array_equal(fixed[0], fixed[1])
    for action in (*drawn, *fixed):
        if spec.discrete:
            assert action.dtype == jnp.int32
            assert set(np.unique(action)) <= set(range(spec.num_actions))
        else:
            assert action.shape == (50, *spec.action_low.shape)
            assert ((action >= spec.action_low) & (action <= spec.action_high)).all()
    if not spec.discrete:
        assert (drawn[0] != drawn[1]).any()


@pytest.mark.slow
def test_gradients_are_finite_at_extreme_temperatures():
    for temperature in (1e-4, 1e3):
        setup = Setup("iq", "replay", "walk", temperature=temperature)
        run, metrics = setup.chunk(setup.init())
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((plain(run), metrics)))


@pytest.mark.slow
def test_replay_holds_what_happened():
    """Stored transitions are those of the environment: successors, ends and executed actions in the box."""
    setup = Setup("rl", "replay", "bandit")
    run, _ = setup.chunk(setup.init())
    stored = plain(run.replay.experience)
    count = int(run.env_steps[0])
    obs, following, end = (x[0, 0, :count] for x in (stored.obs, stored.next_obs, stored.truncated))
    spec = setup.spec
    action = stored.action[0, 0, :count]
    assert ((action >= spec.action_low) & (action <= spec.action_high)).all()
    for which in (0, 1):  # two environments, written side by side
        lane = slice(which, None, 2)
        inside = ~end[lane][:-1]
        np.testing.assert_array_equal(following[lane][:-1][inside], obs[lane][1:][inside])
        np.testing.assert_array_equal(
            np.flatnonzero(end[lane]) % spec.max_episode_steps, spec.max_episode_steps - 1
        )
        assert (following[lane][:-1][~inside] != obs[lane][1:][~inside]).all()
    assert not stored.terminated.any()


def test_no_select_over_the_replay():
    """Nothing in the compiled step is proportional to the capacity, but for the writes into it."""
    capacity = 12_345
    setup = Setup("iq", "replay", "walk", online__capacity=capacity, updates=40_000)
    run = jax.eval_shape(setup.init)
    assert jax.tree.leaves(run.replay.experience)[0].shape[2] == capacity
    hparams, _, rows, demo_indices = setup.inputs
    jaxpr = jax.make_jaxpr(setup.loop.chunk)(hparams, rows, demo_indices, run)
    large = {
        e.primitive.name
        for e in primitives(jaxpr.jaxpr)
        for v in e.outvars
        if capacity in getattr(v.aval, "shape", ())
    }
    assert "scatter" in large or "dynamic_update_slice" in large
    assert large <= {
        "scatter",
        "dynamic_update_slice",
        "pjit",
        "jit",
        "scan",
        "while",
        "closed_call",
        "reshape",
    }


def test_starts_and_exploration_use_different_keys(monkeypatch):
    """fold_in(k, i) is split(k, n)[i]: a key that is split into starts may not be folded as well."""
    starts, acting = [], []

    def note(where, key):
        jax.debug.callback(lambda data: where.append(data.tolist()), jax.random.key_data(key))

    setup = Setup("rl", "replay", "bandit", seeds=1)
    env, original = setup.problem.env, evaluate.random_actions

    def reset(key):
        note(starts, key)
        return env.reset(key)

    def draw(spec, key, size):
        note(acting, key)
        return original(spec, key, size)

    monkeypatch.setattr(evaluate, "random_actions", draw)
    make_online(setup.config, setup.method, env._replace(reset=reset)).init(*setup.inputs)
    jax.effects_barrier()
    assert len(starts) >= 2
    assert len(acting) == 5
    for data in starts:
        for number in range(5):
            child = jax.random.fold_in(jax.random.wrap_key_data(jnp.uint32(data)), number)
            assert jax.random.key_data(jax.random.split(child)[0]).tolist() not in acting


@pytest.mark.slow
@pytest.mark.parametrize("env", ["walk", "picture"])
def test_a_step_costs_the_same_whatever_the_capacity(env):
    """8 vmapped runs; the whole replay is 1000 times larger, a chunk of 200 updates may not feel it."""
    seconds = []
    for capacity in (1_000, 1_000_000):
        setup = Setup(
            "iq", "replay", env, seeds=8, updates=2_000_000, log_every=200, eval_every=200,
            checkpoint_every=200, online__capacity=capacity,
        )  # fmt: skip
        run = setup.init()
        taken = []
        for _ in range(6):
            begun = time.perf_counter()
            run, metrics = setup.chunk(run)
            jax.block_until_ready(metrics)
            taken.append(time.perf_counter() - begun)
        seconds.append(min(taken[1:]))
    assert seconds[1] < 2 * seconds[0] + 0.02, seconds
