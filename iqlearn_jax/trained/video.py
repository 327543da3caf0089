"""One episode of a policy as a video, drawn by the renderer of a gymnasium environment, without a display."""

import copy
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np

from iqlearn_jax.envs.gymnasium import is_known
from iqlearn_jax.envs.handle import EnvHandle
from iqlearn_jax.envs.registry import open_env, resolve_backend
from iqlearn_jax.errors import InputError
from iqlearn_jax.runs.files import writing
from iqlearn_jax.trained.play import policy_returns
from iqlearn_jax.trained.policy import Policy

SUFFIXES = (".mp4", ".gif")
FASTEST_GIF = 50  # frames a second; viewers slow faster ones down
MOST_FRAMES = 1000  # of a GIF
FPS = 30  # where an environment does not say


class Video(NamedTuple):
    """What was filmed.

    Attributes:
      steps: of the episode; one frame each, and one of the start.
      episode_return: true one of the episode.
    """

    steps: int
    episode_return: float


class Writer(Protocol):
    """Where frames go, one after the other."""

    def add(self, frame: np.ndarray) -> None:
        """Takes a frame [H, W, 3] uint8."""

    def close(self) -> None:
        """Writes what is still to be written."""


def film(path: Path, policy: Policy, env_config: Any) -> Video:
    """Writes one episode, from the start of the first evaluation episode of the policy's run.

    Args:
      path: `*.gif`, which needs nothing more, or `*.mp4`, which needs ffmpeg.
      env_config: a configuration's `env`; one that is simulated on the device is played in the gymnasium
        environment of that name.
    Raises:
      InputError: another kind of file, ffmpeg or a package for rendering is missing, an environment that
        cannot be rendered, or one with other observations or actions than the policy's.
      StorageError: the file cannot be written.
    """
    check_path(path)
    handle = open_to_film(env_config)
    policy.require_fit(handle.spec)
    with handle.borrowed(1) as [env], closing(Camera(env, path)) as camera:
        filming = EnvHandle(handle.spec, handle.backend, make=lambda: camera)
        [episode_return] = policy_returns(policy, filming, 1)
    return Video(camera.steps, float(episode_return))


def check_path(path: Path) -> None:
    """Refuses files that cannot be written here, before anything is played.

    Raises:
      InputError: another suffix, or no ffmpeg.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"--video={path}: the name ends in '{path.suffix}'; expected {' or '.join(SUFFIXES)}"
        )
    if path.suffix == ".mp4":
        ffmpeg()


def ffmpeg() -> str:
    """The program that encodes mp4: the system's, or that of imageio-ffmpeg.

    Raises:
      InputError: there is none.
    """
    program = shutil.which("ffmpeg")
    if program is not None:
        return program
    if importlib.util.find_spec("imageio_ffmpeg"):
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    raise InputError("an mp4 needs ffmpeg, which is not here: pip install iqlearn_jax[video], or name a .gif")


def open_to_film(env_config: Any) -> EnvHandle:
    """The environment on the host, with a renderer that fills arrays.

    Raises:
      InputError: gymnasium has no environment of that name, or it cannot be opened so.
    """
    for driver in ("SDL_AUDIODRIVER", "SDL_VIDEODRIVER"):
        os.environ.setdefault(driver, "dummy")  # pygame asks for both, and complains where there is neither
    env_config = copy.deepcopy(env_config)
    name, backend = env_config.id, resolve_backend(env_config.id, env_config.backend)
    if backend != "registered":
        if not is_known(name):
            raise InputError(
                f"environment '{name}' (backend '{backend}') is simulated on the device, where nothing is "
                "drawn, and gymnasium has none of that name; film another with the same "
                "spaces: --env=ID --backend=gymnasium"
            )
        backend = "gymnasium"
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("MUJOCO_GL", "egl")  # its default wants a display
    env_config.backend = backend
    env_config.kwargs = json.dumps(json.loads(env_config.kwargs) | {"render_mode": "rgb_array"})
    handle = open_env(env_config)
    if handle.make is None:
        raise InputError(f"environment '{name}' is simulated on the device, where nothing is drawn")
    return handle


class Camera(gymnasium.Wrapper):
    """An environment that sends a frame of each state to a video.

    Attributes:
      steps: so far.
    """

    def __init__(self, env: gymnasium.Env, path: Path):
        super().__init__(env)
        self.steps = 0
        self._path = path
        self._writer: Writer | None = None

    def reset(self, **options):
        """As the environment; films the start."""
        result = self.env.reset(**options)
        self._film()
        return result

    def step(self, action):
        """As the environment; films the state it leads to."""
        result = self.env.step(action)
        self.steps += 1
        self._film()
        return result

    def close(self) -> None:
        """Completes the video; the environment stays open for others."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _film(self) -> None:
        frame = self._draw()
        if self._writer is None:
            fps = self.env.metadata.get("render_fps") or FPS
            kind = GifWriter if self._path.suffix == ".gif" else Mp4Writer
            with writing(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = kind(self._path, frame.shape, fps)
        self._writer.add(frame)

    def _draw(self) -> np.ndarray:
        remedy = (
            "pip install what it names; for MuJoCo without a display MUJOCO_GL=egl (the default) or osmesa"
        )
        try:
            frame = self.env.render()
        except Exception as error:  # renderers raise anything
            said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise InputError(
                f"environment '{self._name()}' cannot be drawn here ({said}); {remedy}"
            ) from error
        if not isinstance(frame, np.ndarray) or frame.ndim != 3:
            raise InputError(f"environment '{self._name()}' draws nothing in render_mode 'rgb_array'")
        return np.ascontiguousarray(frame[..., :3], np.uint8)

    def _name(self) -> str:
        return getattr(self.env.spec, "id", type(self.env.unwrapped).__name__)


class GifWriter:
    """An animated GIF by Pillow, of 256 colours and at most `MOST_FRAMES`: of longer episodes fewer a second.

    They are kept until the end, a byte for a pixel.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], fps: float):
        self._path = path
        self._frames: list[Any] = []
        self._skip = max(1, math.ceil(fps / FASTEST_GIF))  # every so many frames one is kept
        self._fps, self._seen = fps, 0

    def add(self, frame: np.ndarray) -> None:
        """Takes a frame."""
        from PIL import Image

        if self._seen % self._skip == 0:
            self._frames.append(Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE))
        self._seen += 1
        if len(self._frames) > MOST_FRAMES:
            self._frames, self._skip = self._frames[::2], 2 * self._skip

    def close(self) -> None:
        """Writes the file."""
        first, *rest = self._frames
        with writing(self._path):
            duration = 1000 * self._skip / self._fps  # ms of each
            first.save(self._path, save_all=True, append_images=rest, duration=duration, loop=0)


class Mp4Writer:
    """H.264 by ffmpeg, which takes the frames as they come."""

    def __init__(self, path: Path, shape: tuple[int, ...], fps: float):
        height, width = shape[:2]
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps}", "-i", "-"]
        even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]  # what players expect
        command = [ffmpeg(), "-loglevel", "error", "-y", *source, *even, str(path)]
        self._path = path
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def add(self, frame: np.ndarray) -> None:
        """Takes a frame."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has failed, and `close` says why
            self._process.stdin.write(frame.tobytes())

    def close(self) -> None:
        """Waits until the file is whole.

        Raises:
          InputError: ffmpeg failed; names what it said.
        """
        _, said = self._process.communicate()
        if self._process.returncode:
            lines = " ".join(said.decode(errors="replace").split())[:200]
            raise InputError(f"--video={self._path}: ffmpeg failed ({lines}); name a .gif, which needs none")
