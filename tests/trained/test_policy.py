"""An exported policy acts as its method does, in NumPy too; nothing but a whole file of ours is read."""

import dataclasses
import json

import flax.linen as nn
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from iqlearn_jax.config.values import as_plain
from iqlearn_jax.errors import InputError
from iqlearn_jax.methods import METHODS, make_method
from iqlearn_jax.methods.function_file import digest
from iqlearn_jax.trained import numpy_policy
from iqlearn_jax.trained.policy import load_policy, make_policy, save_policy
from tests.common import cartpole_demos, configure, hyper, spec_of
from tests.trained.made_policies import BOX, CASES, NUMPY_CANNOT, PUSH, made, observations

SLOW = (  # frames take long; the others act through the agents of cases that are fast
    "iq, frames", "bc, box", "bc, actor", "regularized_bc", "rl, box", "sqil", "adril", "dac, box", "pwil",
    "gail", "airl", "max_entropy_deep", "max_likelihood", "max_entropy_dynamics",
)  # fmt: skip
EVERY = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else []) for name in CASES]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policies")

    def path_of(name):
        path = folder / f"{name}.npz"
        if not path.exists():
            save_policy(path, *made(name))
        return path

    return path_of


def test_every_method_is_asked_below():
    assert {changes["method"] for _, changes in CASES.values()} == METHODS.keys()


@pytest.mark.parametrize("name", EVERY)
def test_an_exported_policy_acts_exactly_as_its_method(name, saved):
    method, spec, hparams, state, *_ = made(name)
    policy, obs = load_policy(saved(name)), observations(spec, 40)
    act = jax.jit(method.act, static_argnums=4)
    expected = np.asarray(act(hparams, state, obs, jax.random.key(0), True))
    actions = policy(obs)
    np.testing.assert_array_equal(actions, expected)
    drawn = policy(obs, jax.random.key(5), deterministic=False)
    np.testing.assert_array_equal(drawn, act(hparams, state, obs, jax.random.key(5), False))
    assert np.ptp(expected, axis=0).min() > 0  # it looks at what it sees
    if not spec.discrete:
        assert ((expected >= spec.action_low) & (expected <= spec.action_high)).all()
    if name not in NUMPY_CANNOT:
        numpy_acts_alike(numpy_policy.load(saved(name)), obs, actions)


def numpy_acts_alike(alone, obs, expected):
    """On 40 observations, on one of them, and with other leading axes."""
    actions = alone(obs)
    assert (actions.shape, actions.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(actions, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(alone(obs[3]), expected[3], rtol=1e-6, atol=1e-6)
    rows = alone(obs.reshape(8, 5, *obs.shape[1:]))
    np.testing.assert_allclose(rows, expected.reshape(8, 5, *expected.shape[1:]), rtol=1e-6, atol=1e-6)


def test_draws_differ_from_key_to_key_and_need_one(saved):
    policy, obs = load_policy(saved("iq, box")), observations(BOX, 20)
    first, second = (policy(obs, jax.random.key(seed), deterministic=False) for seed in (0, 1))
    inside = (first > BOX.action_low) & (first < BOX.action_high)  # rounding leaves some at the edge
    assert inside.sum() > 20 and (first != second)[inside].all()
    np.testing.assert_array_equal(policy(obs, jax.random.key(0)), policy(obs))
    with pytest.raises(InputError, match="needs a key"):
        policy(obs, deterministic=False)


@pytest.mark.parametrize("name", ["iq", "iq, box", "iq, rooms", "iq, grid"])
def test_it_takes_any_leading_axes_and_tracers(name, saved):
    spec = CASES[name][0]
    policy, obs = load_policy(saved(name)), observations(spec, 6)
    actions = policy(obs)
    assert isinstance(actions, np.ndarray) and actions.dtype == (np.int32 if spec.discrete else np.float32)
    np.testing.assert_array_equal(
        policy(obs.reshape(2, 3, *spec.obs_shape)), actions.reshape(2, 3, *actions.shape[1:])
    )
    np.testing.assert_allclose(policy(obs[4]), actions[4], rtol=1e-5)
    assert np.shape(policy(obs[4])) == actions.shape[1:]
    traced = jax.jit(jax.vmap(policy))(obs)
    assert isinstance(policy(jnp.asarray(obs)), jax.Array) and isinstance(traced, jax.Array)
    np.testing.assert_allclose(traced, actions, rtol=1e-5)


def test_it_is_traced_once_for_a_number_of_observations(saved):
    policy, obs, traced = load_policy(saved("iq")), observations(PUSH, 6), []

    def act(*arguments, **named):
        traced.append(arguments)
        return policy.method.act(*arguments, **named)

    counted = dataclasses.replace(policy, method=policy.method._replace(act=act))
    for _ in range(3):
        counted(obs)
        counted(obs.reshape(2, 3, 3).tolist())
    assert len(traced) == 1
    counted(obs[:2])
    assert len(traced) == 2


def test_an_environment_takes_its_actions(saved):
    env = gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(BOX.action_low, BOX.action_high)
    for name, space in zip(("iq", "iq, box"), env, strict=True):
        policy = load_policy(saved(name))
        assert space.contains(policy(observations(policy.spec, 1)[0].astype(np.float64)))


@pytest.mark.parametrize(
    ("name", "obs", "said"),
    [
        ("iq", np.zeros(4), r"obs: found shape \(4,\); the policy of 'made-up' expects \(3,\)"),
        ("iq", np.zeros(()), r"found shape \(\)"),
        ("iq, rooms", np.zeros(4), "found float64.*expects int32"),
        ("iq, grid", np.zeros((10, 10, 4)), "found float64.*expects uint8"),
        ("iq, grid", np.zeros((10, 10, 3), np.uint8), r"found shape \(10, 10, 3\)"),
    ],
)
def test_other_observations_are_refused(name, obs, said, saved):
    with pytest.raises(InputError, match=said):
        load_policy(saved(name))(obs)


def test_other_environments_are_refused_by_what_differs(saved):
    policy = load_policy(saved("iq"))
    policy.require_fit(spec_of(num_actions=3, limit=99)._replace(id="heavier"))
    for other, name in ((spec_of(obs_shape=(4,), num_actions=3), "obs_shape"), (spec_of(), "num_actions")):
        with pytest.raises(InputError, match=f"{name} of environment 'made-up' is .* the policy was learned"):
            policy.require_fit(other)
    grid = CASES["iq, grid"][0]
    with pytest.raises(InputError, match=r"obs_dtype .* float32.* uint8"):
        load_policy(saved("iq, grid")).require_fit(grid._replace(obs_dtype=np.dtype(np.float32)))
    rooms = CASES["iq, rooms"][0]
    with pytest.raises(InputError, match="states of environment 'made-up' is 4"):
        fewer = rooms.mdp._replace(initial=rooms.mdp.initial[:4])
        load_policy(saved("iq, rooms")).require_fit(rooms._replace(mdp=fewer))


def test_only_what_acting_reads_is_in_the_file(saved):
    def names(name):
        with np.load(saved(name), allow_pickle=False) as arrays:
            return {"/".join(entry.split("/")[:2]) for entry in arrays.files}

    statistics = {"hparams/obs_mean", "hparams/obs_std", "metadata"}
    assert names("iq, actor") == statistics | {"state/actor"}
    assert names("iq, box") == statistics | {"state/critic", "hparams/policy_std"}
    assert names("iq") == statistics | {"state/critic", "state/log_temperature"}
    assert names("iq, averaged") == statistics | {"state/actor", "state/mean_actor"}
    assert names("max_entropy") == {
        "metadata",
        "spec/transition",
        "spec/initial",
        "state/q",
        "state/log_temperature",
    }


def test_it_says_where_it_comes_from_and_can_be_saved_again(saved, tmp_path):
    parts = made("iq")
    policy = save_policy(tmp_path / "first.npz", *parts[:-1], {"run": {"seed": 7}})
    assert policy.metadata["run"] == {"seed": 7} and policy.metadata["config"]["method"] == "iq"
    load_policy(tmp_path / "first.npz").save(tmp_path / "second.npz")
    again = load_policy(tmp_path / "second.npz")
    assert again.metadata == policy.metadata
    obs = observations(PUSH, 5)
    np.testing.assert_array_equal(again(obs), policy(obs))


def test_networks_of_the_users_own_are_given_again(tmp_path):
    config, networks = configure(method="iq", critics=2), {"critic": nn.Dense(3, name="mine")}
    method = make_method(config, PUSH, networks)
    hparams = hyper(config, PUSH)
    state = jax.jit(method.init)(jax.random.key(0), hparams)
    save_policy(tmp_path / "policy.npz", method, PUSH, hparams, state, as_plain(config), {})
    policy, obs = load_policy(tmp_path / "policy.npz", networks), observations(PUSH, 20)
    np.testing.assert_array_equal(
        policy(obs), jax.jit(method.act, static_argnums=4)(hparams, state, obs, None, True)
    )
    assert policy.metadata["network"] is None  # NumPy knows the library's layers
    with pytest.raises(InputError, match=r"arrays: expected the .* loaded with networks="):
        load_policy(tmp_path / "policy.npz")


def test_a_policy_in_memory_is_the_one_in_its_file(tmp_path):
    policy, obs = make_policy(*made("iq")[:-1], {"run": {"seed": 7}}), observations(PUSH, 20)
    policy.save(tmp_path / "policy.npz")
    kept = load_policy(tmp_path / "policy.npz")
    np.testing.assert_array_equal(kept(obs), policy(obs))
    assert kept.metadata["run"] == policy.metadata["run"] == {"seed": 7}


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
        ({"format": "iqlearn_jax reward"}, "another kind of file.*iqlearn policy export"),
        ({"digest": "0" * 64}, "metadata.digest"),
        ({"config": {"warp": 9}}, "unknown config key 'warp'.*another version"),
        ({"config": {"method": "psychic"}}, "'psychic'; import the module that registers it"),
        ({"spec": {"id": "elsewhere"}}, "metadata: expected config and spec"),
        ({"config": {"hidden": [9]}}, r"kernel: expected float32 \[2, 9, 3\], found float32 \[2, 8, 3\]"),
        ({"config": {"method": "ppo", "feed": "rollout", "critics": 1}}, "unknown"),
        ({"arrays": {"state/log_temperature": np.float32(np.nan)}}, "state/log_temperature: expected finite"),
    ],
)
def test_another_file_is_refused_in_words(change, said, saved, tmp_path):
    if "config" in change:
        change = {"config": load_policy(saved("iq")).metadata["config"] | change["config"]}
    with pytest.raises(InputError, match=said) as error:
        load_policy(rewrite(saved("iq"), tmp_path / "other.npz", **change))
    assert "\n" not in str(error.value)


def test_modules_that_a_file_names_are_not_imported(saved, tmp_path):
    trap = tmp_path / "trap.py"
    trap.write_text("raise SystemExit('imported')")
    flat = load_policy(saved("iq")).metadata["config"] | {"imports": [str(trap)]}
    load_policy(rewrite(saved("iq"), tmp_path / "other.npz", config=flat))


def test_foreign_damaged_and_cut_off_files_are_refused(saved, tmp_path):
    whole, cut = saved("iq").read_bytes(), tmp_path / "cut.npz"
    for size in (0, 3, len(whole) // 2, len(whole) - 5):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match="policy file"):
            load_policy(cut)
    with pytest.raises(InputError, match="another kind of file"):
        load_policy(cartpole_demos(tmp_path / "demos.npz"))
    with pytest.raises(InputError, match="no_such"):
        load_policy(tmp_path / "no_such.npz")
    np.savez(tmp_path / "pickled.npz", metadata=np.array({}, object))
    with pytest.raises(InputError, match="object array"):
        load_policy(tmp_path / "pickled.npz")


def test_what_is_not_finite_is_not_exported(tmp_path):
    method, spec, hparams, state, flat, about = made("iq")
    broken = jax.tree.map(lambda x: x * np.nan if x.dtype == np.float32 else x, state)
    with pytest.raises(InputError, match="finite"):
        save_policy(tmp_path / "nan.npz", method, spec, hparams, broken, flat, about)
    assert not list(tmp_path.iterdir())
