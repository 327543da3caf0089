"""What two folders of the same run must share, bit for bit: everything but clocks."""

import json

import jax
import numpy as np

from iqlearn_jax.loops.loop import runs_of

CLOCKS = {"wall_seconds", "updates_per_second"}


def lines(workdir):
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in CLOCKS} for line in records]


def summary(workdir):
    content = json.loads((workdir / "summary.json").read_text())
    return {k: v for k, v in content.items() if k not in CLOCKS}


def assert_same_state(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for (path, left), right in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True):
        if jax.dtypes.issubdtype(left.dtype, jax.dtypes.prng_key):
            left, right = jax.random.key_data(left), jax.random.key_data(right)
        np.testing.assert_array_equal(left, right, err_msg=jax.tree_util.keystr(path))


def assert_no_gap(workdir, config):
    """Each (update, run) once, in order, at every multiple of log_every."""
    steps = [(line["update"], line["run"], line["seed"]) for line in lines(workdir)]
    wanted = range(config.log_every, config.updates + 1, config.log_every)
    seeds = list(enumerate(runs_of(config).seeds.tolist()))
    assert steps == [(u, *run) for u in wanted for run in seeds]


def assert_same_files(whole, parts):
    """Metrics, summary and every array file."""
    assert lines(whole) == lines(parts)
    assert summary(whole) == summary(parts)
    arrays = sorted(path.name for path in whole.glob("*.npz"))
    assert arrays == sorted(path.name for path in parts.glob("*.npz"))
    for name in arrays:
        np.testing.assert_equal(read_arrays(whole / name), read_arrays(parts / name))


def read_arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}
