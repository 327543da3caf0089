"""Runs on several devices and processes: each holds its share, nothing is exchanged, results are the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from iqlearn_jax.devices import placement as mesh
from iqlearn_jax.devices.placement import Placement, cores, fit, place_runs
from iqlearn_jax.errors import InputError
from iqlearn_jax.training.reopen import load_run
from tests.common import ROOT, demos_path, made_up_environments
from tests.devices.sweep_on_devices import config_of

SCRIPT = Path(__file__).with_name("sweep_on_devices.py")
CLOSE = {"rtol": 2e-3, "atol": 2e-4}  # a device's share has other shapes, so sums of float32 another order


def start(devices, workdir, chunks=0, *process):
    """The script on so many simulated devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    path = str(ROOT)
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(workdir), str(chunks), *map(str, process)],
        env=os.environ | {"PYTHONPATH": path, "XLA_FLAGS": flags, "DEMOS": demos_path("walk")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    """{first word: rest of the line} of what it printed; it must have ended well."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-3000:]
    return dict(line.split(" ", 1) for line in out.splitlines() if " " in line) | {"all": out}


def metrics(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [(row["update"], row["run"]) for row in rows] == [(u, r) for u in (4, 8, 12) for r in range(6)]
    return {(row["update"], row["run"], k): v for row in rows for k, v in row.items() if "/" in k}


def compare(workdir, other):
    """Metrics, final states and replays of two folders, whatever number of devices wrote them."""
    ours, theirs = metrics(workdir), metrics(other)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], **CLOSE, err_msg=str(name))
    with made_up_environments():
        states = [load_run(folder, config_of(demos_path("walk")))[1] for folder in (workdir, other)]
    for a, b in zip(*map(jax.tree.leaves, states), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_allclose(a, b, **CLOSE)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The sweep on one device."""
    workdir = tmp_path_factory.mktemp("devices") / "one"
    said = finished(start(1, workdir))
    assert said["devices"] == "1 slots 6 collectives []"
    return workdir


@pytest.mark.slow
def test_four_devices_give_the_results_of_one(single, tmp_path):
    """Six runs on four devices are padded to eight; no device needs another inside the loop."""
    said = finished(start(4, tmp_path / "four"))
    assert said["devices"] == "4 slots 8 collectives []"
    assert said["control"] == "['all-reduce']"  # the search would find one
    assert said["shards"] == "[4]"
    compare(tmp_path / "four", single)


@pytest.mark.slow
def test_resuming_on_another_number_of_devices(single, tmp_path):
    """Stopped on eight devices (six used), then on four (padded), finished on one."""
    folder = tmp_path / "moving"
    assert "stopped" in finished(start(8, folder, 1))["all"]
    assert "stopped" in finished(start(4, folder, 1))["all"]
    assert "returns" in finished(start(1, folder))
    compare(folder, single)


@pytest.mark.slow
def test_two_processes_of_four_devices_give_the_results_of_one(single, tmp_path):
    address = "127.0.0.1:38417"
    both = [start(4, tmp_path / "two", 0, address, 2, number) for number in (0, 1)]
    for said in [finished(process) for process in both]:
        assert said["devices"] == "8 slots 8 collectives []"
        assert said["control"] == "['all-reduce']"
        assert said["shards"] == "[4]"  # each holds its own
    compare(tmp_path / "two", single)


def test_padding_repeats_the_last_run():
    padded = fit(np.arange(6).reshape(3, 2), runs=3, slots=5)
    np.testing.assert_array_equal(padded, [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]])
    np.testing.assert_array_equal(fit(np.arange(5), runs=3, slots=4), [0, 1, 2, 2])


def test_a_placement_on_a_mesh_gives_back_what_was_put():
    place = Placement(3, 3, jax.sharding.Mesh(np.array(jax.devices()[:1]), ("run",)))
    tree = {"x": np.arange(12.0).reshape(3, 4), "key": jax.random.split(jax.random.key(0), 3)}
    held = place.put(tree)
    assert held["x"].sharding == NamedSharding(place.mesh, P("run"))
    np.testing.assert_array_equal(place.get(held["x"]), tree["x"])
    np.testing.assert_array_equal(place.one(held, 2)["x"], tree["x"][2])
    squares = jax.jit(place.map_runs(lambda a, b: a * a + b, in_axes=(0, None)))
    np.testing.assert_array_equal(squares(held["x"], 1.0), tree["x"] ** 2 + 1)


def test_environments_on_the_host_stay_in_one_process(monkeypatch):
    monkeypatch.setattr(mesh.jax, "process_count", lambda: 2)
    with pytest.raises(InputError, match="2 processes"):
        place_runs(4, host_env=True)


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [
        ({}, cores()),
        ({"JAX_NUM_CPU_DEVICES": "3"}, 3),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=5"}, 5),
    ],
)
def test_our_programs_take_each_core_for_a_device_unless_told_otherwise(set_by_user, expected):
    script = "one_device_per_core(); import jax; print(len(jax.devices('cpu')))"
    command = [
        sys.executable,
        "-c",
        f"from iqlearn_jax.devices.placement import one_device_per_core; {script}",
    ]
    plain = {k: v for k, v in os.environ.items() if k not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")}
    said = subprocess.run(command, env=plain | set_by_user, capture_output=True, text=True, check=True).stdout
    assert int(said) == expected
