"""Updates alone, on made-up batches: IQ beside plain RL, beside bare matrix products, one run beside many.

An update is the loop's own (`train.device.update_run`): counted, frozen where it is not finite, metrics kept.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Row, alternate, at_least, at_most, row
from iqlearn_jax.config.values import base_config
from iqlearn_jax.data.sampling import identity_normalization
from iqlearn_jax.devices.placement import Placement, place_runs
from iqlearn_jax.loops.loop import make_hparams, start_run, update_run
from iqlearn_jax.methods import make_method
from iqlearn_jax.types import Batch, EnvSpec, Transition

REPEATS = 15
Product = tuple[int, int, int]  # m, k, n: [m, k] x [k, n], the outputs of a layer for m rows


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


def make_updates(
    method_name: str, case: Case, runs: int = 1, place: Placement | None = None
) -> tuple[Callable, float]:
    """(call of `case.steps` updates of all runs in one scan, FLOPs of one update as XLA counts them).

    Args:
      place: where the runs lie; by default all on one device.
    """
    place = place or Placement(runs, runs, None)
    config = base_config()
    config.update({"method": method_name, "feed": "replay", "seeds": runs, "hidden": case.hidden})
    config.update({"critics": case.critics, "target_network": True, "value_term": "policy"})
    config.update({"regularize": "both", "layer_norm": not case.discrete, "terminal": "bounded"})
    method, hparams = make_method(config, spec_of(case)), make_hparams(config, statistics(config, case))
    half, whole = random_rows(case, case.batch), random_rows(case, 2 * case.batch)
    batch = Batch(policy=half, expert=half) if method_name == "iq" else Batch(policy=whole)

    def begin(hparams, key):
        return start_run(method.init(key, hparams), key)

    def update(hparams, run):
        return update_run(method, hparams, run, batch, jax.random.fold_in(run.key, run.updates))

    def many(hparams, run):
        run, metrics = jax.lax.scan(lambda run, _: update(hparams, run), run, length=case.steps)
        return run, jax.tree.map(jnp.mean, metrics)

    hparams, keys = place.put(hparams), place.put(jax.random.split(jax.random.key(0), runs))
    states = jax.jit(place.map_runs(begin, in_axes=(0, 0)))(hparams, keys)
    mapped = jax.jit(place.map_runs(many, in_axes=(0, 0))).lower(hparams, states).compile()
    one = place.one((hparams, states), 0)
    flops = jax.jit(update).lower(*one).compile().cost_analysis()["flops"]
    return partial(mapped, hparams, states), float(flops)


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


def policy_classes() -> list[Row]:
    """Offline IQ-Learn: updates/s with one quadratic critic over those with SAC's actor and two critics."""
    case = Case((11,), 3, False, (256, 256), 256, 1, 20)
    forms: dict[str, dict[str, Any]] = {
        "gaussian_q": {"policy_class": "gaussian_q"},
        "sac": {"policy_class": "sac", "critics": 2, "layer_norm": True, "target_network": True},
    }
    times = alternate({name: _offline_updates(case, changes) for name, changes in forms.items()}, REPEATS)
    rates = {f"{name}_updates_per_second": case.steps / np.median(t) for name, t in times.items()}
    ratio = times["sac"] / times["gaussian_q"]
    return [row("offline: quadratic critic ÷ SAC", ratio, "updates/s ratio", at_least(4), **rates)]


def _offline_updates(case: Case, changes: dict[str, Any]) -> Callable:
    """A call of `case.steps` updates of one run in a scan."""
    config = base_config()
    config.update({"hidden": case.hidden, "seeds": 1} | changes)
    method = make_method(config, spec_of(case))
    hparams = jax.tree.map(lambda x: x[0], make_hparams(config, statistics(config, case)))
    batch = Batch(expert=random_rows(case, case.batch))

    def update(run, _):
        return update_run(method, hparams, run, batch, jax.random.fold_in(run.key, run.updates))

    run = start_run(method.init(jax.random.key(0), hparams), jax.random.key(0))
    return partial(jax.jit(lambda run: jax.lax.scan(update, run, length=case.steps)), run)


def against_matrix_products() -> list[Row]:
    """FLOPs of the SAC-IQ update by `sac_products` ÷ its time, over the rate of those very products."""
    call, counted = make_updates("iq", SAC)
    products = sac_products(SAC)
    flops = sum(2.0 * count * m * k * n for count, m, k, n in products)
    calls = {str(shape): multiply(*shape[1:]) for shape in products}
    times = alternate(calls | {"update": call}, REPEATS)
    bare = sum(shape[0] * times[str(shape)] / MULTIPLICATIONS for shape in products)
    update = times["update"] / SAC.steps
    details = {"flops": flops, "flops_counted_by_xla": counted, "updates_per_second": 1 / np.median(update)}
    rates = {"gflops_per_second": flops / np.median(update) / 1e9, "products": flops / np.median(bare) / 1e9}
    return [
        row("products: SAC-IQ update", bare / update, "share of the rate", at_least(0.75), **details, **rates)
    ]


def sac_products(case: Case) -> list[tuple[int, int, int, int]]:
    """The matrix products [m, k] x [k, n] of one SAC-IQ update: (how often, m, k, n).

    N rows of both kinds, E critics, two hidden layers H. Critic loss: Q(s, a) forwards, gradients of weights
    and of the second and last layer's inputs; V(s') by the actor and the target critics forwards. Actor: its
    forward pass and gradients; the critics forwards and back to the action, without gradients of weights.
    """
    n, e, h = 2 * case.batch, case.critics, case.hidden[0]
    x, a = case.obs[0], case.actions
    critic = [(n, x + a, h), (n, h, h), (n, h, 1)]
    actor = [(n, x, h), (n, h, h), (n, h, 2 * a)]
    products = e * (critic * 3 + weights(critic) + inputs(critic[1:]) + inputs(critic))
    products += actor * 2 + weights(actor) + inputs(actor[1:])
    return [(products.count(shape), *shape) for shape in dict.fromkeys(products)]


def weights(layers: list[Product]) -> list[Product]:
    """Gradients of the layers' weights."""
    return [(k, m, n) for m, k, n in layers]


def inputs(layers: list[Product]) -> list[Product]:
    """Gradients of the layers' inputs."""
    return [(m, n, k) for m, k, n in layers]


MULTIPLICATIONS = 20


def multiply(m: int, k: int, n: int) -> Callable:
    """`MULTIPLICATIONS` products [m, k] x [k, n] in one scan."""
    left, right = jnp.ones((MULTIPLICATIONS, m, k)), jnp.ones((k, n))
    return partial(jax.jit(lambda xs, w: jax.lax.scan(lambda c, x: (c, x @ w), 0, xs)[1]), left, right)


def one_beside_many(case: Case) -> dict[str, Callable]:
    """Calls of one run, of 64 as training places them, and of 64 mapped over on one device."""
    return {
        "1": make_updates("iq", case)[0],
        "64": make_updates("iq", case, 64, place_runs(64))[0],
        "64 on one device": make_updates("iq", case, 64)[0],
    }


def many_runs() -> list[Row]:
    """64 runs in one program beside one: discrete updates in total per second, SAC's time per step."""
    calls = one_beside_many(SOFT_Q)
    times = alternate(calls, REPEATS)
    one = SOFT_Q.steps / times["1"]
    many, mapped = (64 * SOFT_Q.steps / times[name] for name in ("64", "64 on one device"))
    details: dict[str, Any] = {
        "one_run_per_second": np.median(one),
        "ratio_to_one_run": np.median(many / one),
    }
    details |= {"on_one_device_per_second": np.median(mapped), "devices": jax.device_count()}
    rows = [row("runs: soft-Q, 64 together", many, "updates/s in total", at_least(10_000), **details)]
    short = SAC._replace(steps=2)
    times = alternate(one_beside_many(short), 3)
    ratio = times["64"] / times["1"]
    return [
        *rows,
        row("runs: SAC, 64 ÷ 1", ratio, "time per step", milliseconds_64=1e3 * np.median(times["64"]) / 2),
    ]
