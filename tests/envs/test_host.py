"""gymnasium on the host: resume, independence of runs, ends, evaluation."""

import gymnasium
import numpy as np
import pytest

from iqlearn_jax.envs.host import HostEnvs, evaluate_host
from iqlearn_jax.envs.registry import ENVIRONMENTS, open_by_name, register_env
from iqlearn_jax.envs.seeds import TRAIN, episode_seed
from iqlearn_jax.errors import InputError

FIELDS = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
slow = pytest.mark.slow
IDS = [
    "CartPole-v1",
    "LunarLander-v3",
    pytest.param("Hopper-v5", marks=slow),
    pytest.param("ALE/Pong-v5", marks=slow),
]


def handle(env_id):
    return open_by_name(env_id, "gymnasium")


def host(env_id, *args):
    return HostEnvs(handle(env_id), *args)


def actions_for(envs: HostEnvs, time: int) -> np.ndarray:
    """Random actions that depend on the time and on the run's place in a list of two at most."""
    lead = envs.obs.shape[:2]
    rng = np.random.default_rng(time)
    if envs.spec.discrete:
        return rng.integers(envs.spec.num_actions, size=(2, lead[1]))[-lead[0] :]
    return rng.uniform(-1.2, 1.2, (2, lead[1], *envs.spec.action_low.shape))[-lead[0] :]


def play(envs: HostEnvs, times: range):
    """Transitions with leaves [time, R, E, ...]."""
    seen = [envs.step(actions_for(envs, time)) for time in times]
    return {field: np.stack([getattr(step, field) for step in seen]) for field in FIELDS}


def assert_same(first, second):
    for field in FIELDS:
        assert np.array_equal(first[field], second[field]), field


@pytest.mark.parametrize("env_id", IDS)
def test_resume_equals_uninterrupted(env_id):
    whole = host(env_id, [1, 2], 2)
    play(whole, range(150))
    saved = {name: leaf.copy() for name, leaf in whole.state().items()}
    rest = play(whole, range(150, 300))
    resumed = host(env_id, [1, 2], 2)
    play(resumed, range(7))  # whatever it did before does not matter
    resumed.restore(saved)
    assert_same(rest, play(resumed, range(150, 300)))
    ends, again = whole.state(), resumed.state()
    assert all(
        np.array_equal(ends[name], again[name], equal_nan=ends[name].dtype.kind == "f") for name in ends
    )


@pytest.mark.parametrize("env_id", IDS)
def test_a_run_does_not_depend_on_the_runs_beside_it(env_id):
    both, alone = host(env_id, [1, 2], 2), host(env_id, [2], 2)
    together, single = play(both, range(150)), play(alone, range(150))
    assert_same({field: together[field][:, 1:] for field in FIELDS}, single)
    assert (together["obs"][:, 0] != together["obs"][:, 1]).any()


def test_what_was_handed_out_is_never_written_again():
    envs = host("CartPole-v1", [0], 2)
    obs, step = envs.obs, envs.step(np.zeros((1, 2), int))
    kept = [obs.copy(), step.next_obs.copy(), step.obs.copy()]
    play(envs, range(30))
    assert all(np.array_equal(a, b) for a, b in zip(kept, [obs, step.next_obs, step.obs], strict=True))


def test_ends_show_the_true_successor_and_start_anew():
    envs = host("CartPole-v1", [3], 2)
    seen = play(envs, range(200))
    ended = seen["terminated"] | seen["truncated"]
    assert np.array_equal(seen["next_obs"][:-1][~ended[:-1]], seen["obs"][1:][~ended[:-1]])
    fallen = np.abs(seen["next_obs"])
    assert np.array_equal(ended, (fallen[..., 0] > 2.4) | (fallen[..., 2] > 12 * np.pi / 180))
    starts = seen["obs"][1:][ended[:-1]]
    assert (np.abs(starts) <= 0.05).all()
    assert len(np.unique(starts, axis=0)) == len(starts) > 5


def test_time_truncates_and_never_terminates():
    envs = host("MountainCar-v0", [0], 1)
    seen = [envs.step(np.ones((1, 1), int)) for _ in range(401)]
    cuts = [time for time, step in enumerate(seen) if step.truncated.any()]
    assert cuts == [199, 399]
    assert not any(step.terminated.any() for step in seen)
    assert envs.last_return.tolist() == [[-200.0]]


def test_steps_equal_plain_gymnasium():
    envs, plain = host("LunarLander-v3", [5], 1), gymnasium.make("LunarLander-v3")
    obs, _ = plain.reset(seed=episode_seed(TRAIN, 5, 0, 0))
    assert np.array_equal(envs.obs[0, 0], obs)
    for time in range(40):
        action = actions_for(envs, time)
        step, (obs, reward, terminated, truncated, _) = envs.step(action), plain.step(int(action[0, 0]))
        assert np.array_equal(step.next_obs[0, 0], obs)
        assert step.reward[0, 0] == np.float32(reward)
        assert (step.terminated[0, 0], step.truncated[0, 0]) == (terminated, truncated)


def test_continuous_actions_are_clipped():
    envs = host("Pendulum-v1", [0], 1)
    step = envs.step(np.full((1, 1, 1), 9.0))
    assert step.action.tolist() == [[[2.0]]]
    assert step.action.dtype == np.float32


def test_restore_refuses_other_runs_and_other_numbers():
    saved = host("CartPole-v1", [1], 2).state()
    with pytest.raises(InputError, match="seed"):
        host("CartPole-v1", [2], 2).restore(saved)
    with pytest.raises(InputError, match="episode: found shape"):
        host("CartPole-v1", [1], 3).restore(saved)
    with pytest.raises(InputError, match="actions"):
        host("CartPole-v1", [1], 2).restore({k: v for k, v in saved.items() if k != "actions"})


def test_restore_notices_a_simulator_that_is_not_deterministic():
    envs = host("CartPole-v1", [1], 1)
    envs.step(np.zeros((1, 1), int))
    saved = envs.state()
    saved["obs"] = saved["obs"] + 1
    with pytest.raises(RuntimeError, match="not deterministic"):
        envs.restore(saved)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", pytest.param("Hopper-v5", marks=slow)])
def test_evaluation(env_id):
    spec = host(env_id, [0], 1).spec
    shapes = set()

    def act(obs):
        shapes.add(obs.shape)
        if spec.discrete:
            return (obs[..., 2] + obs[..., 3] > 0).astype(np.int32)
        return np.repeat(np.tanh(obs[..., :1]), spec.action_low.size, axis=-1)

    first, second = (evaluate_host(handle(env_id), act, [1, 2], 3, record=True) for _ in range(2))
    assert np.array_equal(first.returns, second.returns)
    assert len(np.unique(first.returns)) > 1
    assert shapes == {(2, 3, *spec.obs_shape)}
    alone = evaluate_host(handle(env_id), act, [2], 3)
    assert np.array_equal(alone.returns[0], first.returns[1])
    assert alone.episodes is None
    for run in range(2):
        for number, episode in enumerate(first.episodes[run]):
            assert len(episode.reward) == first.lengths[run, number]
            assert episode.reward.sum() == pytest.approx(first.returns[run, number], rel=1e-4)
            assert np.array_equal(episode.next_obs[:-1], episode.obs[1:])
            assert not (episode.terminated[:-1] | episode.truncated[:-1]).any()
            assert episode.terminated[-1] != episode.truncated[-1]
            assert episode.obs.dtype == spec.obs_dtype


def test_evaluation_starts_are_not_those_of_training():
    seen = []
    evaluate_host(
        handle("CartPole-v1"),
        lambda obs: seen.append(obs.copy()) or np.zeros((1, 2), int),
        [0],
        2,
    )
    assert (seen[0] != host("CartPole-v1", [0], 2).obs).all()


def test_unusable_numbers():
    with pytest.raises(InputError, match="seeds"):
        host("CartPole-v1", [-1], 1)
    with pytest.raises(InputError, match="num_envs"):
        host("CartPole-v1", [1], 0)
    with pytest.raises(InputError, match="episodes"):
        evaluate_host(handle("CartPole-v1"), lambda obs: obs, [1], 0)
    with pytest.raises(InputError, match=r"actions: found shape \(2,\)"):
        host("CartPole-v1", [1], 2).step(np.zeros(2, int))


class InPlace(gymnasium.Env):
    """Scales the action that it gets, in place, as many environments do; it observes what it was told."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(np.float32([-2, 0]), np.float32([2, 4]))

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.normal(size=2).astype(np.float32), {}

    def step(self, action):
        told = action.copy()
        action -= 1.0
        action /= 3.0
        self.steps += 1
        return told + np.float32(0.125 * self.steps), 0.0, False, self.steps == 5, {}


@pytest.fixture
def in_place():
    register_env("in-place", InPlace)
    yield open_by_name("in-place")
    ENVIRONMENTS.pop("in-place")


def test_what_an_environment_does_to_its_action_is_not_what_is_recorded(in_place):
    envs = HostEnvs(in_place, [1, 2], 2)
    for time in range(4):
        chosen = np.random.default_rng(time).uniform([-2, 0], [2, 4], (2, 2, 2)).astype(np.float32)
        kept = chosen.copy()
        step = envs.step(chosen)
        np.testing.assert_array_equal(chosen, kept)
        np.testing.assert_array_equal(step.action, kept)
        np.testing.assert_array_equal(step.next_obs, kept + np.float32(0.125 * (time + 1)))
    saved = {name: leaf.copy() for name, leaf in envs.state().items()}
    resumed = HostEnvs(in_place, [1, 2], 2)
    resumed.restore(saved)  # replays the actions, and would notice other ones
    again = resumed.state()
    assert all(np.array_equal(saved[name], again[name], equal_nan=name == "last_return") for name in saved)


def test_evaluations_record_the_actions_that_were_chosen(in_place):
    chosen = []

    def act(obs):
        chosen.append(
            np.random.default_rng(len(chosen)).uniform([-2, 0], [2, 4], (1, 3, 2)).astype(np.float32)
        )
        return chosen[-1]

    played = evaluate_host(in_place, act, [0], 3, record=True)
    for number, episode in enumerate(played.episodes[0]):
        np.testing.assert_array_equal(episode.action, [actions[0, number] for actions in chosen])
        steps = 1 + np.arange(5, dtype=np.float32)[:, None]
        np.testing.assert_array_equal(episode.next_obs, episode.action + np.float32(0.125) * steps)
