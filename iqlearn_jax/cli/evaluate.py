"""`iqlearn evaluate`: returns of trained policies, in their environment or another one, and a video."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqlearn_jax.cli.common import Parser, add_at, add_import
from iqlearn_jax.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from iqlearn_jax.envs.handle import EnvHandle
    from iqlearn_jax.trained.policy import Policy

HELP = "returns of a trained folder's policies, or of an exported one; a video of an episode"
DESCRIPTION = """Returns of trained policies: mean ± standard deviation over episodes, a line
for each seed; of an exported policy, one. Another environment must have the same
observations and actions. docs/policies.md has examples."""


def make_parser() -> Parser:
    """The options."""
    parser = Parser("iqlearn evaluate", description=DESCRIPTION)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--workdir", type=Path, metavar="DIR", help="folder of a trained run")
    source.add_argument("--policy", type=Path, metavar="FILE", help="what 'iqlearn policy export' wrote")
    parser.add_argument("--episodes", type=int, default=100, metavar="N", help="for each seed (100)")
    add_at(parser)
    parser.add_argument("--env", metavar="ID", help="another environment of the same spaces")
    parser.add_argument("--backend", metavar="NAME", help="where it is found: gymnasium, gymnax, auto, ...")
    video = "an episode of the first seed as .gif or .mp4 (with ffmpeg)"
    parser.add_argument("--video", type=Path, metavar="FILE", help=video)
    add_import(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Runs `iqlearn evaluate ARGUMENTS`; returns the exit code.

    Raises:
      InputError: whatever cannot be used.
    """
    options = make_parser().parse_args(arguments)
    if options.episodes < 1:
        raise InputError(f"--episodes is {options.episodes}; expected at least 1")
    if options.policy is not None and options.at != "final":
        raise InputError(f"--at={options.at} chooses among the states of a --workdir; a --policy has one")
    # imported here: help must not pay for jax
    from iqlearn_jax.config.files import import_modules

    import_modules(options.modules)
    run = evaluate_folder if options.policy is None else evaluate_policy
    run(options)
    return 0


def evaluate_folder(options: argparse.Namespace) -> None:
    """A line for each seed of a folder, and the first one's video."""
    from iqlearn_jax.runs.folder import stored_config
    from iqlearn_jax.trained.export import policy_of
    from iqlearn_jax.trained.load import returns_at

    config = stored_config(options.workdir)
    require_camera(config, options)
    handle = open_for(config, options) if elsewhere(options) else None
    for seed, updates, returns in returns_at(options.workdir, options.episodes, options.at, handle):
        print_returns(seed, updates, returns, handle)
    if options.video is not None:
        film_first(policy_of(options.workdir, 0, options.at), config, options)


def evaluate_policy(options: argparse.Namespace) -> None:
    """One line for an exported policy, and its video."""
    from iqlearn_jax.config.values import from_flat
    from iqlearn_jax.trained.play import policy_returns, seed_of
    from iqlearn_jax.trained.policy import load_policy

    policy = load_policy(options.policy)
    config = from_flat(policy.metadata["config"])
    require_camera(config, options)
    handle = open_for(config, options)
    returns = policy_returns(policy, handle, options.episodes)
    updates = policy.metadata.get("run", {}).get("updates")
    print_returns(seed_of(policy), updates, returns, handle if elsewhere(options) else None)
    if options.video is not None:
        film_first(policy, config, options)


def open_for(config: Any, options: argparse.Namespace) -> "EnvHandle":
    """The environment that the options name, or the configuration's."""
    from iqlearn_jax.envs.registry import open_env
    from iqlearn_jax.trained.play import environment_of

    return open_env(environment_of(config, options.env, options.backend))


def elsewhere(options: argparse.Namespace) -> bool:
    """Whether another environment than the policies' own was named."""
    return options.env is not None or options.backend is not None


def print_returns(seed: int, updates: int | None, returns: "np.ndarray", handle: "EnvHandle | None") -> None:
    """The line of one policy; returns: [episodes]; handle: of an environment that is worth naming."""
    place = "" if handle is None else f", in {handle.spec.id} ({handle.backend})"
    age = "" if updates is None else f", after {updates} updates"
    about = f"over {len(returns)} episodes{age}{place}"
    print(f"seed {seed}: {returns.mean():.4g} ± {returns.std():.3g} {about}")


def require_camera(config: Any, options: argparse.Namespace) -> None:
    """Refuses a video that cannot be made, before anything is played."""
    if options.video is None:
        return
    from iqlearn_jax.trained.play import environment_of
    from iqlearn_jax.trained.video import check_path, open_to_film

    check_path(options.video)
    open_to_film(environment_of(config, options.env, options.backend))


def film_first(policy: "Policy", config: Any, options: argparse.Namespace) -> None:
    """Writes the video and says what it shows."""
    from iqlearn_jax.trained.play import environment_of, seed_of
    from iqlearn_jax.trained.video import film

    video = film(options.video, policy, environment_of(config, options.env, options.backend))
    said = f"seed {seed_of(policy)}, {video.steps} steps, return {video.episode_return:.4g}"
    print(f"video: {options.video} ({said})")
