"""A reward in a file is the method's own, and nothing but a whole one of ours is read."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import METHODS, make_method
from iqlearn_jax.methods.function_file import digest, live_inputs
from iqlearn_jax.rewards import load_reward, save_reward
from tests.common import cartpole_demos, configure
from tests.rewards.made_rewards import CASES, asked, made

FAST = ("iq, box", "iq, absorbing", "iq, whitened", "airl", "max_entropy")
EVERY = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in CASES]
NO_REWARD = {"bc", "edm", "rl", "ppo", "pqn", "sqil", "adril", "pwil", "asaf"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("rewards") / "airl.npz"
    save_reward(path, *made("airl")[0])
    return path


def test_every_method_that_has_a_reward_is_asked_below():
    assert {changes["method"] for _, changes in CASES.values()} == METHODS.keys() - NO_REWARD


@pytest.mark.parametrize("name", EVERY)
def test_a_file_gives_back_the_methods_reward(name, tmp_path):
    parts, rows = made(name)
    method, _, hparams, state, *_ = parts
    save_reward(tmp_path / "reward.npz", *parts)
    reward = load_reward(tmp_path / "reward.npz")
    rule, keys = jax.jit(method.reward), jax.random.split(jax.random.key(3))
    expected, other = (np.asarray(rule(hparams, state, rows, key)) for key in keys)
    actual = jax.jit(reward)(*asked(rows), keys[0])
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    assert np.ptp(expected) > 0
    assert reward.sampled == np.any(expected != other)
    if method.end_reward is not None:
        after_end = method.end_reward(hparams, state) * 0.99 / (1 - 0.99) * rows.terminated
        np.testing.assert_allclose(reward.after_end(rows.terminated), after_end, rtol=1e-5)


def test_only_what_the_reward_reads_is_in_the_file(saved):
    with np.load(saved, allow_pickle=False) as arrays:
        names = set(arrays.files)
    assert {name.split("/")[1] for name in names if name.startswith("state/")} == {"discriminator"}
    assert {"hparams/gamma", "hparams/obs_mean", "hparams/obs_std", "metadata"} == {
        name for name in names if not name.startswith("state/")
    }


def test_what_a_function_depends_on():
    def fn(a, b, c):
        return jnp.where(a["x"] > 0, a["x"], b) + 0 * a["y"], jax.random.split(c)[0:0].size

    live = live_inputs(fn, {"x": 1.0, "y": 2.0, "z": 3.0}, 4.0, jax.random.key(0))
    assert live == ({"x": True, "y": True, "z": False}, True, False)


def rewrite(path, out, arrays=None, **metadata):
    """A copy with other arrays or metadata, with the digest made right again unless it is given."""
    with np.load(path) as old:
        content = {name: old[name] for name in old.files} | (arrays or {})
    about = json.loads(str(content.pop("metadata"))) | metadata
    if "digest" not in metadata:
        about["digest"] = digest(content, about)
    np.savez(out, metadata=np.array(json.dumps(about)), **content)
    return out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "schema_version: expected 1, found 2; upgrade"),
        ({"format": "other"}, "another kind of file"),
        ({"digest": "0" * 64}, "metadata.digest"),
        ({"config": {"method": "iq", "warp": 9}}, "unknown config key 'warp'.*another version"),
        ({"config": {"method": "psychic"}}, "'psychic'"),
        ({"spec": {"id": "elsewhere"}}, "metadata: expected config and spec"),
        ({"config": {"method": "gail", "feed": "rollout"}}, "unknown"),
        ({"arrays": {"hparams/gamma": np.float32([0.9])}}, r"hparams/gamma: expected float32 \[\]"),
        ({"arrays": {"hparams/gamma": np.float32(np.nan)}}, "hparams/gamma: expected finite"),
        ({"arrays": {"state/own": np.float32(0)}}, "0 missing.*1 unknown"),
    ],
)
def test_another_file_is_refused_in_words(change, said, saved, tmp_path):
    if "config" in change:
        before = load_reward(saved).metadata["config"]
        change = {"config": before | change["config"]}
    with pytest.raises(InputError, match=said):
        load_reward(rewrite(saved, tmp_path / "other.npz", **change))


def test_a_changed_number_is_noticed(saved, tmp_path):
    stated = load_reward(saved).metadata["digest"]
    other = rewrite(saved, tmp_path / "other.npz", {"hparams/gamma": np.float32(0.5)}, digest=stated)
    with pytest.raises(InputError, match=r"metadata.digest.*export the reward again"):
        load_reward(other)


def test_foreign_and_cut_off_files_are_refused(saved, tmp_path):
    whole, cut = saved.read_bytes(), tmp_path / "cut.npz"
    for size in (0, 3, len(whole) // 2, len(whole) - 5):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match="reward file"):
            load_reward(cut)
    with pytest.raises(InputError, match="another kind of file"):
        load_reward(cartpole_demos(tmp_path / "demos.npz"))
    with pytest.raises(InputError, match="no_such"):
        load_reward(tmp_path / "no_such.npz")
    np.savez(tmp_path / "pickled.npz", metadata=np.array({}, object))
    with pytest.raises(InputError, match="object array"):
        load_reward(tmp_path / "pickled.npz")


def test_a_reward_that_an_older_version_exported_still_loads():
    """Written by the commit before policies were exported, of a run of configs/cartpole.py:offline."""
    folder = Path(__file__).parent / "saved"
    reward, expected = (
        load_reward(folder / "cartpole.npz"),
        json.loads((folder / "cartpole.json").read_text()),
    )
    obs = np.float32(expected["obs"])
    rewards = reward(obs, np.int32(expected["action"]), obs[::-1], np.zeros(len(obs), bool))
    np.testing.assert_allclose(rewards, expected["reward"], rtol=1e-5)


def test_what_has_no_reward_or_no_finite_one_is_not_exported(tmp_path):
    (method, spec, hparams, state, flat, about), _ = made("airl")
    bc = make_method(configure(method="bc"), spec)
    with pytest.raises(InputError, match=r"method 'bc' recovers no reward.*'iq', 'airl'"):
        save_reward(tmp_path / "bc.npz", bc, spec, hparams, state, flat | {"method": "bc"}, about)
    broken = jax.tree.map(lambda x: x * np.nan if x.dtype == np.float32 else x, state)
    with pytest.raises(InputError, match="finite"):
        save_reward(tmp_path / "nan.npz", method, spec, hparams, broken, flat, about)
    assert not list(tmp_path.iterdir())
