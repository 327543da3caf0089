"""What is in a file of demonstrations, or of a recovered reward, as text that fits 80 columns."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from iqlearn_jax.cli.text import pairs
from iqlearn_jax.data.checks import Source
from iqlearn_jax.data.demos import Demos
from iqlearn_jax.data.origin import find_origin, moments
from iqlearn_jax.data.sampling import MIN_STD, varies

UNLIKE = 20.0  # widest over narrowest direction; the double pendulum's is 45


def describe_demos(demos: Demos, path: Source) -> str:
    """Lines about validated demonstrations; `path` is their title."""
    returns, lengths = demos.episode_returns, demos.episode_lengths
    terminated = int(demos.terminals.sum())
    obs = demos.observations
    rows = [
        ("environment", str(demos.metadata.get("env", "unknown"))),
        ("policy", _lines(demos.metadata.get("policy", "unknown"))),
        ("episodes", f"{demos.num_episodes}"),
        ("steps", f"{len(demos)}"),
        ("observations", f"{obs.dtype} {list(obs.shape[1:])}, range {obs.min():.4g} .. {obs.max():.4g}"),
        *([("directions", _direction_text(obs))] if obs.dtype.kind == "f" and obs.ndim == 2 else []),
        ("actions", _action_text(demos.actions)),
        ("return", "unknown" if returns is None else f"{_spread(returns)} (true reward)"),
        ("length", f"{_spread(lengths)} steps"),
        ("ends", f"{terminated} terminated, {demos.num_episodes - terminated} truncated"),
        ("digest", demos.digest),
        *(("conversion", _lines(record)) for record in demos.metadata.get("conversion", [])),
    ]
    return f"{os.fspath(path)}\n{pairs(rows)}"


def describe_reward(path: Path) -> str:
    """What a reward file holds, a line of text each.

    Raises:
      InputError: it is none.
    """
    from iqlearn_jax.rewards import load_reward  # imported here: demonstrations can do without

    reward = load_reward(path)
    config = reward.metadata["config"]
    after_end = "nothing" if reward.end is None else f"{config['terminal']}: see docs/rewards.md"
    return f"{os.fspath(path)}\n" + function_text(
        reward.spec,
        reward.metadata,
        ("gamma", f"{float(reward.gamma):.6g}"),
        ("V(s')", "sampled" if reward.sampled else "exact or absent"),
        ("after an end", after_end),
    )


def function_text(spec, about: Mapping[str, Any], *own: tuple[str, str]) -> str:
    """What the file of a policy or a reward holds, a line of text each; `own` are what only one kind has."""
    config, run, origin = about["config"], about.get("run", {}), about.get("provenance", {})
    size = f"discrete, {spec.num_actions}" if spec.discrete else f"continuous [{len(spec.action_low)}]"
    made = [f"seed {run['seed']}", f"{run['updates']} updates"] if run else []
    made += [f"commit {origin['commit']}"] if origin.get("commit") else []
    return pairs(
        [
            ("method", config["method"]),
            ("environment", f"{spec.id} ({config['env.backend']})"),
            ("observations", f"{spec.obs_dtype} {list(spec.obs_shape)}"),
            ("actions", size),
            *own,
            ("run", ", ".join(made) or "not known"),
            ("digest", about["digest"]),
        ]
    )


def _direction_text(obs: np.ndarray) -> str:
    """How unlike the directions are in which standardised observations vary; narrow ones are learned late."""
    origin = find_origin([obs])
    obs = obs if origin is None else obs - origin
    varied = obs[:, varies(*moments([obs]))].astype(np.float64)
    if not varied.size:
        return "none vary"
    variances = np.linalg.eigvalsh(np.atleast_2d(np.corrcoef(varied, rowvar=False)))  # ascending
    # narrower ones are relations; they stay as they are
    deviations = np.sqrt(variances[variances > MIN_STD**2])
    narrow, wide = deviations[0], deviations[-1]
    hint = "; --config.whiten=True scales them alike" if wide > UNLIKE * narrow else ""
    return f"standardised, deviate by {narrow:.2g} .. {wide:.2g}{hint}"


def _action_text(actions: np.ndarray | None) -> str:
    if actions is None:
        return "none"
    if actions.dtype.kind != "f" and actions.ndim == 2:
        ranges = ", ".join(f"{low}..{high}" for low, high in zip(actions.min(0), actions.max(0), strict=True))
        return f"discrete [{actions.shape[1]}], seen {ranges}"
    if actions.dtype.kind != "f":
        values, counts = np.unique(actions, return_counts=True)
        shares = ", ".join(
            f"{v}: {c / len(actions):.1%}" for v, c in zip(values[:20], counts[:20], strict=True)
        )
        return f"discrete, {len(values)} seen ({shares}{', ...' if len(values) > 20 else ''})"
    # likelihoods of a squashed policy are infinite at the bounds, so their share matters
    edge = ((actions == actions.min(0)) | (actions == actions.max(0))).mean()
    extent = f"{actions.min():.4g} .. {actions.max():.4g}"
    return (
        f"continuous [{actions.shape[1]}], range {extent}, {edge:.1%} of entries at the ends of their range"
    )


def _spread(values: np.ndarray) -> str:
    return f"{values.mean():.1f} ± {values.std():.1f} ({values.min():.1f} .. {values.max():.1f})"


def _lines(record: Any) -> str:
    if not isinstance(record, dict):
        return str(record)
    return "\n".join(f"{key}: {value}" for key, value in record.items() if value is not None)
