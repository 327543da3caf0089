"""The policy in NumPy needs its file and nothing else; that it is the policy, test_policy.py tests."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from iqlearn_jax.methods import function_file
from iqlearn_jax.trained import numpy_policy
from iqlearn_jax.trained.layers import describe
from iqlearn_jax.trained.policy import load_policy, save_policy
from tests.trained.made_policies import CASES, NUMPY_CANNOT, PUSH, made, observations


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policies")

    def path_of(name):
        path = folder / f"{name}.npz"
        if not path.exists():
            save_policy(path, *made(name))
        return path

    return path_of


@pytest.mark.parametrize("name", sorted(NUMPY_CANNOT))
def test_what_is_no_stack_of_layers_is_refused_and_sent_to_jax(name, saved):
    assert load_policy(saved(name)).metadata["network"] is None
    with pytest.raises(ValueError, match=f"method '{name}' .*iqlearn_jax.load_policy") as error:
        numpy_policy.load(saved(name))
    assert "\n" not in str(error.value)


ALONE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jax", "jaxlib", "flax", "optax", "gymnasium"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Blocker())
try:
    import jax
except ImportError:
    pass
else:
    raise SystemExit("jax is here")
IMPORT
import json
import numpy as np
policy = numpy_policy.load(sys.argv[1])
print(json.dumps(policy(np.load(sys.argv[2])).tolist()))
"""


@pytest.mark.parametrize(
    "import_line", ["import numpy_policy", "from iqlearn_jax.trained import numpy_policy"]
)
@pytest.mark.parametrize("name", ["iq", "iq, box"])
def test_it_runs_where_jax_cannot_be_imported(name, import_line, saved, tmp_path):
    shutil.copy(numpy_policy.__file__, tmp_path)
    obs = observations(CASES[name][0], 9)
    np.save(tmp_path / "obs.npy", obs)
    script = ALONE.replace("IMPORT", import_line)
    command = [sys.executable, "-c", script, str(saved(name)), str(tmp_path / "obs.npy")]
    installed = "" if import_line == "import numpy_policy" else sys.path[0]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": installed}
    )
    assert done.returncode == 0, done.stderr
    expected = load_policy(saved(name))(obs)
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=1e-6, atol=1e-6)


def test_both_readers_know_the_same_files(saved):
    arrays, metadata = numpy_policy.read(saved("iq"))
    assert (
        function_file.digest(arrays, metadata) == metadata["digest"] == numpy_policy.digest(arrays, metadata)
    )
    assert load_policy(saved("iq")).metadata == metadata


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "schema version 2; this reader knows 1"),
        ({"format": "iqlearn_jax reward"}, "found 'iqlearn_jax reward'"),
        ({"digest": "0" * 64}, "digest is wrong"),
        ({"network": {"layers": [{"kind": "attention", "arrays": {}}]}}, r"unknown layers \['attention'\]"),
    ],
)
def test_other_files_are_refused_in_one_line(change, said, saved, tmp_path):
    arrays, metadata = numpy_policy.read(saved("iq"))
    metadata |= change
    if "digest" not in change:
        metadata["digest"] = numpy_policy.digest(arrays, metadata)
    np.savez(tmp_path / "other.npz", metadata=np.array(json.dumps(metadata)), **arrays)
    with pytest.raises(ValueError, match=said) as error:
        numpy_policy.load(tmp_path / "other.npz")
    assert "\n" not in str(error.value)


def test_damaged_files_and_pickles_are_refused(saved, tmp_path):
    whole, other = saved("iq").read_bytes(), tmp_path / "other.npz"
    for content in (b"", whole[: len(whole) // 2], b"no archive"):
        other.write_bytes(content)
        with pytest.raises(ValueError, match="expected a policy file"):
            numpy_policy.load(other)
    np.savez(other, metadata=np.array({}, object))
    with pytest.raises(ValueError, match="expected a policy file"):
        numpy_policy.load(other)
    with pytest.raises(FileNotFoundError):
        numpy_policy.load(tmp_path / "no_such.npz")


def test_other_observations_are_refused(saved):
    with pytest.raises(ValueError, match=r"obs: found shape \(2, 4\); expected \(3,\)"):
        numpy_policy.load(saved("iq"))(np.zeros((2, 4)))
    rooms = numpy_policy.load(saved("iq, rooms"))
    for obs in (5, -1, 0.5):
        with pytest.raises(ValueError, match=r"expected states 0\.\.4"):
            rooms(obs)


def test_a_network_that_numpy_would_play_otherwise_is_not_described(saved):
    """The same layers with another use of them, or arrays that are in no layer."""
    arrays, metadata = numpy_policy.read(saved("iq"))
    names = {name for layer in metadata["network"]["layers"] for name in layer["arrays"].values()}
    names |= {"hparams/obs_mean", "hparams/obs_std"}
    policy = load_policy(saved("iq"))
    assert describe(PUSH, arrays, names, policy) == metadata["network"]
    assert describe(PUSH, arrays, names, lambda obs: 2 - policy(obs)) is None
    assert describe(PUSH, arrays, names | {"state/log_temperature"}, policy) is None
