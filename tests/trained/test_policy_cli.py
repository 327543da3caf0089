"""`iqlearn policy` and `iqlearn evaluate`: from a trained folder to a file, to its returns and to a video."""

import re

import jax
import numpy as np
import pytest
from PIL import Image, ImageSequence

from iqlearn_jax.cli import main as cli
from iqlearn_jax.config.files import load_config
from iqlearn_jax.errors import InputError
from iqlearn_jax.trained import video
from iqlearn_jax.trained.export import export_policy, policy_of
from iqlearn_jax.trained.load import load_state, returns_at
from iqlearn_jax.trained.policy import load_policy
from iqlearn_jax.training.train import train
from tests.common import cartpole_demos

BACKENDS = (pytest.param("gymnax", marks=pytest.mark.slow), "gymnasium")
LINE = re.compile(r"seed (\d+): (\S+) ± (\S+) over 4 episodes, after (\d+) updates")


@pytest.fixture(scope="module", params=BACKENDS)
def workdir(request, tmp_path_factory):
    """Two seeds that learned CartPole for a moment, with a snapshot on the way."""
    folder = tmp_path_factory.mktemp(request.param)
    config = load_config("cartpole:offline")
    config.demos.path = str(cartpole_demos(folder / "demos.npz"))
    config.env.backend = request.param
    config.hidden, config.seeds, config.critic_lr = (8,), 2, 0.03
    config.updates, config.log_every, config.snapshot_every = 100, 50, 50
    config.eval_every = config.checkpoint_every = 0
    with pytest.MonkeyPatch.context() as patch:
        finish = "iqlearn_jax.training.summary.finish"  # summary and rewards cost more than training
        patch.setattr(finish, lambda *_: {})
        train(config, folder / "run")
    return folder / "run"


def run(capsys, *arguments):
    """Standard output of a command that must succeed."""
    assert cli.main([str(part) for part in arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.slow
def test_an_exported_policy_is_the_runs_of_its_time(workdir, tmp_path, capsys):
    out = tmp_path / "policy.npz"
    said = run(capsys, "policy", "export", f"--workdir={workdir}", "--run=1", "--at=50", f"--out={out}")
    assert said == run(capsys, "policy", "inspect", out)
    assert "CartPole-v1" in said and "NumPy alone" in said and ", 50 updates" in said
    policy, obs = load_policy(out), np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    problem, states, counts = load_state(workdir, 1, "50")
    act = jax.jit(problem.method.act, static_argnums=4)
    parts = problem.placement.one((problem.hparams, states), 1)
    np.testing.assert_array_equal(policy(obs), act(*parts, obs, jax.random.key(0), True))
    assert policy.metadata["run"] == {"index": 1, "seed": int(problem.seeds[1])} | counts
    assert (policy_of(workdir, 1, "final")(obs) != policy(obs)).any()


def test_a_program_is_exported_too(workdir, tmp_path, capsys):
    pytest.importorskip("flatbuffers")
    out = tmp_path / "policy.stablehlo"
    said = run(capsys, "policy", "export", f"--workdir={workdir}", "--format=stablehlo", f"--out={out}")
    assert "jax.export.deserialize" in said and out.exists()
    with pytest.raises(InputError, match="unknown policy format 'onnx'"):
        export_policy(workdir, 0, tmp_path / "policy.onnx", format="onnx")


def test_a_policy_and_its_folder_earn_the_same(workdir, tmp_path, capsys):
    out = tmp_path / "policy.npz"
    export_policy(workdir, 1, out)
    folder = run(capsys, "evaluate", f"--workdir={workdir}", "--episodes=4").splitlines()
    alone = run(capsys, "evaluate", f"--policy={out}", "--episodes=4").splitlines()
    assert len(folder) == 2 and alone == folder[1:]
    seed, mean, *_ = LINE.fullmatch(alone[0]).groups()
    [_, (expected, updates, returns)] = returns_at(workdir, 4)
    assert (int(seed), updates) == (expected, 100)
    assert float(mean) == pytest.approx(returns.mean(), rel=1e-3)


def test_another_environment_of_the_same_spaces_is_played(workdir, tmp_path, capsys):
    out = tmp_path / "policy.npz"
    export_policy(workdir, 0, out)
    where = ("--env=CartPole-v0", "--backend=gymnasium", "--episodes=4")
    folder = run(capsys, "evaluate", f"--workdir={workdir}", *where).splitlines()
    alone = run(capsys, "evaluate", f"--policy={out}", *where).splitlines()
    assert alone == folder[:1] and alone[0].endswith(", in CartPole-v0 (gymnasium)")
    for source in (f"--workdir={workdir}", f"--policy={out}"):
        assert cli.main(["evaluate", source, "--env=MountainCar-v0", "--backend=gymnasium"]) == 2
        error = capsys.readouterr().err
        assert "obs_shape of environment 'MountainCar-v0' is (2,), but the policy was learned" in error


def test_a_video_shows_the_first_evaluated_episode(workdir, tmp_path, capsys):
    out = tmp_path / "deep" / "episode.gif"
    here = () if "gymnasium" in str(workdir) else ("--backend=gymnasium",)
    said = run(capsys, "evaluate", f"--workdir={workdir}", "--episodes=1", f"--video={out}", *here)
    [first, _, last] = said.splitlines()
    steps, earned = re.search(r"(\d+) steps, return (\S+)\)", last).groups()
    assert first.split()[2] == earned
    with Image.open(out) as gif:
        frames = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]  # like ones are joined
        assert sum(frames) == 20 * (int(steps) + 1) and len(frames) > 10 and gif.size == (600, 400)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate"], "one of the arguments --workdir --policy is required"),
        (["evaluate", "--workdir={}", "--policy=x.npz"], "not allowed with"),
        (["evaluate", "--policy=x.npz", "--at=50"], "--at=50 chooses among the states of a --workdir"),
        (["evaluate", "--workdir={}", "--episodes=0"], "--episodes is 0"),
        (["evaluate", "--workdir={}", "--video=x.avi"], r"expected .mp4 or .gif"),
        (["evaluate", "--policy={}/config.json"], "policy file"),
        (["evaluate", "--workdir={}", "--at=51"], "nothing saved after 51 updates"),
        (["policy", "export", "--workdir={}", "--run=2", "--out=x.npz"], r"--run is 2; .* holds runs 0..1"),
        (["policy", "export", "--workdir={}"], "--out"),
        (["policy", "inspect", "{}/config.json"], "policy file"),
        (["policy", "praise"], "unknown policy command 'praise'"),
    ],
)
def test_what_cannot_be_done_is_one_line(workdir, arguments, said, capsys):
    assert cli.main([part.format(workdir) for part in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert re.search(said, error)


def test_a_long_gif_has_fewer_frames_and_the_same_duration(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "MOST_FRAMES", 8)
    writer = video.GifWriter(tmp_path / "long.gif", (2, 2, 3), fps=50)
    for number in range(40):
        writer.add(np.full((2, 2, 3), 6 * number, np.uint8))
    writer.close()
    with Image.open(tmp_path / "long.gif") as gif:
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(gif)] == [160] * 5


def test_mp4_is_what_ffmpeg_makes_of_the_frames(tmp_path):
    """Where there is an ffmpeg."""
    try:
        video.check_path(tmp_path / "short.mp4")
    except InputError as error:
        pytest.skip(str(error))
    writer = video.Mp4Writer(tmp_path / "short.mp4", (33, 31, 3), fps=25)
    for number in range(10):
        writer.add(np.full((33, 31, 3), 20 * number, np.uint8))
    writer.close()
    assert b"ftyp" in (tmp_path / "short.mp4").read_bytes()[:16]


def test_what_ffmpeg_says_is_passed_on(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "ffmpeg", lambda: "false")  # a program that fails at once
    writer = video.Mp4Writer(tmp_path / "short.mp4", (400, 400, 3), fps=25)
    for _ in range(10):
        writer.add(np.zeros((400, 400, 3), np.uint8))
    with pytest.raises(InputError, match="ffmpeg failed"):
        writer.close()


def test_mp4_without_ffmpeg_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(video.shutil, "which", lambda name: None)
    monkeypatch.setattr(video.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install iqlearn_jax\[video\], or name a "):
        video.check_path(tmp_path / "episode.mp4")
