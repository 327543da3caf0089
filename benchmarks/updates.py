"""Updates alone, on made-up batches: IQ beside plain RL, beside bare matrix products, one run beside many."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Row, alternate, at_least, at_most, row
from iqlearn_jax.config import base_config
from iqlearn_jax.methods import make_method
from iqlearn_jax.train.state import identity_normalization, make_hparams
from iqlearn_jax.types import Batch, EnvSpec, Transition

REPEATS = 15
Layer = tuple[int, int, int]  # m, k, n: rows, inputs, outputs
Product = tuple[int, int, int, int]  # e, m, k, n: [e, m, k] x [e, k, n]


class Case(NamedTuple):
    """An agent's sizes: observation, actions, network, batch of each kind, critics, updates in a call."""

    obs: tuple[int, ...]
    actions: int
    discrete: bool
    hidden: tuple[int, ...]
    batch: int
    critics: int
    steps: int


CASES = {
    "soft-Q 64-64, 32+32": Case((4,), 2, True, (64, 64), 32, 1, 200),
    "SAC 256-256, one critic, 256+256": Case((11,), 3, False, (256, 256), 256, 1, 20),
    "SAC 256-256, two critics, 256+256": Case((11,), 3, False, (256, 256), 256, 2, 20),
    "soft-Q on 10 x 10 x 4 images, 32+32": Case((10, 10, 4), 6, True, (128,), 32, 1, 50),
    "soft-Q on 84 x 84 x 4 images, 64+64": Case((84, 84, 4), 6, True, (512,), 64, 1, 1),
}
SOFT_Q, SAC = CASES["soft-Q 64-64, 32+32"], CASES["SAC 256-256, two critics, 256+256"]


def spec_of(case: Case) -> EnvSpec:
    """An environment's facts without an environment."""
    bound = None if case.discrete else np.ones(case.actions, np.float32)
    low = None if bound is None else -bound
    count = case.actions if case.discrete else None
    dtype = np.dtype(np.uint8 if len(case.obs) == 3 else np.float32)
    return EnvSpec("bench", case.obs, dtype, count, low, bound, 1000)


def random_rows(case: Case, size: int) -> Transition:
    """Made-up transitions [size]."""
    rng = np.random.default_rng(0)
    image = len(case.obs) == 3
    shape = (2, size, *case.obs)
    pair = rng.integers(0, 256, shape, np.uint8) if image else rng.normal(size=shape).astype(np.float32)
    action = rng.uniform(-1, 1, (size, case.actions)).astype(np.float32)
    if case.discrete:
        action = rng.integers(0, case.actions, size).astype(np.int32)
    end = rng.random(size) < 0.01
    reward = rng.normal(size=size).astype(np.float32)
    rows = (pair[0], action, reward, pair[1], end, np.zeros(size, bool))
    names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
    return Transition(**{name: jnp.asarray(value) for name, value in zip(names, rows, strict=True)})


def make_updates(method_name: str, case: Case, runs: int | None = None) -> tuple[Callable, float]:
    """(call of `case.steps` updates in one scan, FLOPs of one update as XLA counts them).

    Args:
      runs: number of runs mapped over; None for one run without an axis.
    """
    config = base_config()
    config.update({"method": method_name, "feed": "replay", "seeds": runs or 1, "hidden": case.hidden})
    config.update({"critics": case.critics, "target_network": True, "value_term": "policy"})
    config.update({"regularize": "both", "layer_norm": not case.discrete, "terminal": "bounded"})
    method, hparams = make_method(config, spec_of(case)), make_hparams(config, statistics(config, case))
    half, whole = random_rows(case, case.batch), random_rows(case, 2 * case.batch)
    batch = Batch(policy=half, expert=half) if method_name == "iq" else Batch(policy=whole)

    def update(hparams, state, key):
        return method.update(hparams, state, batch, key)[0]

    def many(hparams, state, key):
        def body(state, step):
            return update(hparams, state, jax.random.fold_in(key, step)), None

        return jax.lax.scan(body, state, jnp.arange(case.steps))[0]

    key = jax.random.key(1)
    one = jax.tree.map(lambda x: x[0], hparams)
    state = method.init(jax.random.key(0), one)
    flops = jax.jit(update).lower(one, state, key).compile().cost_analysis()["flops"]
    if runs is None:
        return partial(jax.jit(many).lower(one, state, key).compile(), one, state, key), float(flops)
    keys = jax.random.split(jax.random.key(0), runs)
    states = jax.jit(jax.vmap(method.init))(keys, hparams)
    mapped = jax.jit(jax.vmap(many)).lower(hparams, states, keys).compile()
    return partial(mapped, hparams, states, keys), float(flops)


def statistics(config, case: Case) -> dict[str, np.ndarray]:
    """Observations are left unscaled."""
    return identity_normalization(config.seeds, case.obs)


def iq_over_rl() -> list[Row]:
    """The IQ update's time over plain RL's with the same agent and total batch, over their FLOPs' ratio."""
    rows = []
    for name, case in CASES.items():
        made = {method: make_updates(method, case) for method in ("iq", "rl")}
        times = alternate({method: call for method, (call, _) in made.items()}, REPEATS)
        flops = made["iq"][1] / made["rl"][1]
        rates: dict[str, Any] = {
            f"{m}_updates_per_second": case.steps / np.median(t) for m, t in times.items()
        }
        ratio = times["iq"] / times["rl"] / flops
        rows.append(row(f"iq/rl: {name}", ratio, "time ÷ FLOPs", at_most(1.1), flop_ratio=flops, **rates))
    return rows


def against_matrix_products() -> list[Row]:
    """FLOPs of the SAC-IQ update by `sac_products` ÷ its time, over the rate of those very products."""
    call, counted = make_updates("iq", SAC)
    products = sac_products(SAC)
    flops = sum(2.0 * count * e * m * k * n for count, e, m, k, n in products)
    calls = {str(shape): multiply(*shape[1:]) for shape in products}
    times = alternate(calls | {"update": call}, REPEATS)
    bare = sum(shape[0] * times[str(shape)] / MULTIPLICATIONS for shape in products)
    update = times["update"] / SAC.steps
    found = {"flops": flops, "flops_counted_by_xla": counted, "updates_per_second": 1 / np.median(update)}
    rates = {"gflops_per_second": flops / np.median(update) / 1e9, "products": flops / np.median(bare) / 1e9}
    return [
        row("products: SAC-IQ update", bare / update, "share of the rate", at_least(0.75), **found, **rates)
    ]


def sac_products(case: Case) -> list[tuple[int, int, int, int, int]]:
    """The matrix products [e, m, k] x [e, k, n] of one SAC-IQ update: (how often, e, m, k, n).

    N rows of both kinds, E critics, two hidden layers H. Critic loss: Q(s, a) forwards, gradients of weights
    and of the second and last layer's inputs; V(s') by the actor and the target critics forwards. Actor: its
    forward pass and gradients; the critics forwards and back to the action, without gradients of weights.
    """
    n, e, h = 2 * case.batch, case.critics, case.hidden[0]
    x, a = case.obs[0], case.actions
    critic = [(n, x + a, h), (n, h, h), (n, h, 1)]
    actor = [(n, x, h), (n, h, h), (n, h, 2 * a)]
    found = forward(critic, e) * 3 + weights(critic, e) + inputs(critic[1:], e)
    found += forward(actor, 1) * 2 + weights(actor, 1) + inputs(actor[1:], 1) + inputs(critic, e)
    return [(found.count(shape), *shape) for shape in dict.fromkeys(found)]


def forward(layers: list[Layer], e: int) -> list[Product]:
    """Outputs of E networks' layers [m, k] x [k, n]."""
    return [(e, m, k, n) for m, k, n in layers]


def weights(layers: list[Layer], e: int) -> list[Product]:
    """Gradients of the layers' weights."""
    return [(e, k, m, n) for m, k, n in layers]


def inputs(layers: list[Layer], e: int) -> list[Product]:
    """Gradients of the layers' inputs."""
    return [(e, m, n, k) for m, k, n in layers]


MULTIPLICATIONS = 20


def multiply(e: int, m: int, k: int, n: int) -> Callable:
    """`MULTIPLICATIONS` products [e, m, k] x [e, k, n] in one scan."""
    left, right = jnp.ones((MULTIPLICATIONS, e, m, k)), jnp.ones((e, k, n))
    return partial(jax.jit(lambda xs, w: jax.lax.scan(lambda c, x: (c, x @ w), 0, xs)[1]), left, right)


def many_runs() -> list[Row]:
    """64 runs in one program beside one: discrete updates in total per second, SAC's time per step."""
    calls = {runs: make_updates("iq", SOFT_Q, runs)[0] for runs in (1, 64)}
    times = alternate({str(runs): call for runs, call in calls.items()}, REPEATS)
    one, many = SOFT_Q.steps / times["1"], 64 * SOFT_Q.steps / times["64"]
    found = {"one_run_per_second": float(np.median(one)), "ratio_to_one_run": float(np.median(many / one))}
    rows = [row("runs: soft-Q, 64 together", many, "updates/s in total", at_least(10_000), **found)]
    short = SAC._replace(steps=2)
    calls = {runs: make_updates("iq", short, runs)[0] for runs in (1, 64)}
    times = alternate({str(runs): call for runs, call in calls.items()}, 3)
    ratio = times["64"] / times["1"]
    return [
        *rows,
        row("runs: SAC, 64 ÷ 1", ratio, "time per step", milliseconds_64=1e3 * np.median(times["64"]) / 2),
    ]
